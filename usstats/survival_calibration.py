"""Do predicted risks of a censored event mean what they say, at a horizon."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._calibration.flexible import curve_frame, curve_grid
from usstats._check import check_cluster, check_lengths, check_option, check_risk
from usstats._intervals import check_conf_level
from usstats._survival.censoring import check_follow_up, check_horizons
from usstats._survival.curve import CLIP, HazardCurve, group_table
from usstats._survival.measures import (
    Cohort,
    Measure,
    calibration_slope,
    distance_measures,
    flexible_curve,
    oe_ratio,
)
from usstats.errors import ArgumentError, OutcomeError, UsstatsWarning
from usstats.resample import Resamples, as_resamples
from usstats.results import COLUMNS, unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SurvivalCalibration", "assess_calibration_survival"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SurvivalCalibration:
    """Calibration of one set of risks at a horizon. Made by `assess_calibration_survival`.

    Attributes
    ----------
    horizon : float
    withheld : str or None
        Why there is no flexible curve.
    clipped : int
        Risks within 1e-8 of 0 or 1, moved there for log(-log).
    n, n_event, n_cluster, n_boot, n_failed, seed, conf_level
        Sample (events by the horizon), resamples and level.
    """

    horizon: float
    withheld: str | None
    clipped: int
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    n_boot: int | None = None
    n_failed: int | None = None
    seed: int | None = None
    _table: pd.DataFrame = field(repr=False)
    _groups: pd.DataFrame = field(repr=False)
    _curve: pd.DataFrame = field(repr=False)
    _histogram: pd.DataFrame = field(repr=False)
    _fitted: HazardCurve | None = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure: estimate, std_error, limits, method and sample."""
        return self._table.copy()

    def groups(self) -> pd.DataFrame:
        """One row a risk group: n, n_event, predicted, observed (1 - Kaplan-Meier), limits."""
        return self._groups.copy()

    def curve(self, at: ArrayLike | None = None) -> pd.DataFrame:
        """The smooth curve: predicted, observed, conf_low, conf_high.

        Parameters
        ----------
        at : array_like, optional
            Predicted risks to evaluate at (NaN outside the observed range). By default a hundred
            equal steps, and every hundredth, between the smallest and the largest.
        """
        if at is None:
            return self._curve.copy()
        low, high = self._curve["predicted"].min(), self._curve["predicted"].max()
        return curve_frame(self._fitted, np.asarray(at, dtype=float), (low, high), self.conf_level)

    def histogram(self) -> pd.DataFrame:
        """How many patients were given each risk: twentieths of the scale."""
        return self._histogram.copy()

    def summary(self) -> str:
        """Sample, and every measure with its limits."""
        rows = [_row_text(row) for row in self._table.to_dict("records")]
        notes = [] if self.withheld is None else [f"No flexible curve: {self.withheld}."]
        return "\n".join([repr(self)[1:-1], *rows, *notes])

    def __repr__(self) -> str:
        values = self._table.set_index("measure")["estimate"]
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<SurvivalCalibration at {self.horizon:g}: O:E {values['oe_ratio']:.3f}, slope "
            f"{values['calibration_slope']:.3f}, ICI {values['ici']:.3f}; n = {self.n}, events "
            f"by then = {self.n_event}, unit: {unit}, {self.conf_level * 100:g} % intervals>"
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the curve with its band, the groups, the ideal line and the risks."""
        from usstats.plots.survival import plot_survival_calibration

        return plot_survival_calibration(self, ax=ax, **options)


def _row_text(row: dict[Hashable, Any]) -> str:
    limits = f" ({row['conf_low']:.3f} to {row['conf_high']:.3f})"
    shown = limits if np.isfinite(row["conf_low"]) else ""
    return f"  {row['measure']}: {row['estimate']:.3f}{shown}, {row['method']}"


def assess_calibration_survival(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float,
    n_groups: int = 10,
    n_knots: int = 3,
    cluster: ArrayLike | None = None,
    min_events: int = 100,
    conf_level: float = 0.95,
    n_boot: int | None = None,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> SurvivalCalibration:
    """Assess predicted risks of a censored event at a horizon.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, not negative.
    event : array_like, shape (n,)
        1 where follow-up ended with the event, 0 where it was censored.
    risk : array_like, shape (n,)
        Predicted risk of the event by the horizon, 1 - S(horizon).
    horizon : float
        In the unit of `time`, not after the end of follow-up.
    n_groups : int
        Groups between quantiles of the risk, for the points of the plot.
    n_knots : {3, 4, 5}
        Knots of the smooth curve.
    cluster : array_like, shape (n,), optional
        Patient labels where a patient has several rows: standard errors and bands are then
        computed over patients.
    min_events : int
        The flexible curve and its numbers are withheld below so many events by the horizon
        (patients with one, if `cluster` is given). 0 draws it regardless.
    conf_level : float
    n_boot, seed, resamples
        Ask for a bootstrap over patients: percentile limits of ici, e50, e90 and emax. Distances
        cannot be negative, so their replicates sit above the estimate; read them as a spread.

    Returns
    -------
    SurvivalCalibration
        frame rows: oe_ratio (Kaplan-Meier risk over mean predicted risk; its limits take the
        predictions as given), calibration_slope (coefficient of log(-log(1 - risk)) in a Cox
        model), ici, e50, e90, emax (distances between risk and curve at the observed risks).

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        A flexible curve or slope that is withheld or does not exist, with the reason.
    UsstatsWarning
        Risks within 1e-8 of 0 or 1, moved there.
    DirectionWarning
        A negative slope with its whole interval: `risk` may be S(horizon).

    Notes
    -----
    The curve is a Cox model on a restricted cubic spline of log(-log(1 - risk)), fitted to all
    follow-up: Austin, Harrell and van Klaveren (2020), Stat Med 39:2714.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=500)
    >>> failure, end = rng.exponential(np.exp(-x / 2)), rng.uniform(0.5, 3, 500)
    >>> risk = 1 - np.exp(-np.exp(0.5 * x))
    >>> result = assess_calibration_survival(
    ...     np.minimum(failure, end), failure <= end, risk, horizon=1)
    >>> result.frame()["measure"].tolist()
    ['oe_ratio', 'calibration_slope', 'ici', 'e50', 'e90', 'emax']
    """
    _check_options(n_groups, n_knots, min_events)
    cohort = _checked(time, event, risk, horizon, cluster, conf_level)
    clipped = _warn_of_bounds(cohort.risk)
    weak = {"oe_ratio": oe_ratio(cohort), "calibration_slope": calibration_slope(cohort)}
    fitted, withheld = flexible_curve(cohort, n_knots, min_events)
    draws = None
    if fitted is not None and (n_boot is not None or resamples is not None):
        n = cohort.risk.size
        draws = as_resamples(resamples, n, n_boot=n_boot or 0, seed=seed, cluster=cluster)
    far, n_failed = distance_measures(cohort, fitted, n_knots, draws)
    sample = _sample(cohort, draws, n_failed)
    return SurvivalCalibration(
        horizon=cohort.horizon,
        withheld=withheld,
        clipped=clipped,
        _table=_measure_table({**weak, **far}, sample),
        _groups=_groups(cohort, n_groups),
        _curve=_curve(cohort, fitted),
        _histogram=_histogram(cohort.risk),
        _fitted=fitted,
        **sample,
    )


def _sample(cohort: Cohort, draws: Resamples | None, n_failed: int | None) -> dict[str, Any]:
    who = cohort.cluster
    return {
        "n": cohort.risk.size,
        "n_event": int(cohort.failed.sum()),
        "n_cluster": None if who is None else int(who.max()) + 1,
        "n_boot": None if draws is None else len(draws),
        "n_failed": n_failed,
        "seed": None if draws is None else draws.seed,
        "conf_level": cohort.conf_level,
    }


def _groups(cohort: Cohort, n_groups: int) -> pd.DataFrame:
    return group_table(
        cohort.follow_up,
        cohort.risk,
        cohort.horizon,
        cohort.cluster,
        n_groups=n_groups,
        conf_level=cohort.conf_level,
    )


def _curve(cohort: Cohort, fitted: HazardCurve | None) -> pd.DataFrame:
    ends = (float(cohort.risk.min()), float(cohort.risk.max()))
    return curve_frame(fitted, curve_grid(cohort.risk), ends, cohort.conf_level)


def _checked(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    horizon: float,
    cluster: ArrayLike | None,
    conf_level: float,
) -> Cohort:
    follow_up = check_follow_up(time, event, names=("time", "event"))
    predicted = check_risk(risk, name="risk")
    check_lengths(time=follow_up.time, risk=predicted)
    at = float(check_horizons(horizon, follow_up.last, name="horizon")[0])
    who = check_cluster(cluster, follow_up.n)
    cohort = Cohort(follow_up, predicted, at, who, check_conf_level(conf_level))
    if not cohort.failed.any():
        msg = f"No event happens by the horizon {at:g}: calibration needs events."
        raise OutcomeError(msg)
    return cohort


def _check_options(n_groups: int, n_knots: int, min_events: int) -> None:
    check_option(n_knots, (3, 4, 5), name="n_knots")
    if not isinstance(n_groups, int | np.integer) or n_groups < 2:
        msg = f"`n_groups` must be a whole number of 2 or more; got {n_groups!r}."
        raise ArgumentError(msg)
    if min_events < 0:
        msg = f"`min_events` must be 0 or more; got {min_events!r}."
        raise ArgumentError(msg)


def _warn_of_bounds(risk: Vector) -> int:
    clipped = int(((risk < CLIP) | (risk > 1 - CLIP)).sum())
    if clipped:
        msg = (
            f"{clipped} of {risk.size} risks lie within {CLIP:g} of 0 or 1 and were moved there: "
            "their log(-log(1 - risk)) is all but infinite. Slope and curve depend on that choice."
        )
        warnings.warn(msg, UsstatsWarning, stacklevel=3)
    return clipped


def _measure_table(measures: Mapping[str, Measure], sample: Mapping[str, Any]) -> pd.DataFrame:
    known = {name: value for name, value in sample.items() if value is not None}
    rows = [{"measure": name, **row._asdict(), **known} for name, row in measures.items()]
    frame = pd.DataFrame(rows)
    return frame[[name for name in COLUMNS if name in frame.columns]]


def _histogram(risk: Vector) -> pd.DataFrame:
    edges = np.linspace(0, 1, 21)
    counts, _ = np.histogram(risk, edges)
    return pd.DataFrame({"risk_low": edges[:-1], "risk_high": edges[1:], "n": counts})
