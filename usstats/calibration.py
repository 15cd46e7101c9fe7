"""Do the predicted risks mean what they say: from the mean risk to the whole curve.

Intercept, slope, O:E and a flexible curve with its band, never a test of "good calibration"
(Van Calster et al. 2016, J Clin Epidemiol 74:167; 2019, BMC Medicine 17:230).
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usstats._calibration.flexible import (
    Engine,
    curve_frame,
    curve_grid,
    distances,
    replicate_curves,
)
from usstats._calibration.goodness_of_fit import (
    HosmerLemeshow,
    hosmer_lemeshow,
    le_cessie_van_houwelingen,
    spiegelhalter,
)
from usstats._calibration.histogram import risk_histogram
from usstats._calibration.recalibration import CLIP, Codes, Measure, Vector, weak_measures
from usstats._calibration.smoothing import Smoother
from usstats._check import check_cluster, check_lengths, check_option, check_outcome, check_risk
from usstats._intervals import check_conf_level
from usstats.errors import ArgumentError, FitError, SmallSampleWarning, UsstatsWarning
from usstats.resample import Resamples, as_resamples
from usstats.results import COLUMNS, unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Calibration",
    "HosmerLemeshow",
    "assess_calibration",
    "hosmer_lemeshow",
    "le_cessie_van_houwelingen",
    "spiegelhalter",
]

FLEXIBLE = ("ici", "e50", "e90", "emax")
OF_RESAMPLES = ("n_boot", "n_failed", "seed")


@dataclass(frozen=True, kw_only=True, repr=False)
class Calibration:
    """Calibration of one set of risks. Made by `assess_calibration`.

    Attributes
    ----------
    smoother : str
        "loess" or "rcs".
    withheld : str or None
        Why there is no flexible curve.
    clipped : int
        Risks of exactly 0 or 1, whose logit was taken at 1e-8 from the bound.
    n, n_event, n_cluster, n_boot, n_failed, seed, conf_level
        Sample, resamples and level.
    """

    smoother: str
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
    _curve: pd.DataFrame = field(repr=False)
    _histogram: pd.DataFrame = field(repr=False)
    _fitted: Smoother | None = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure: estimate, std_error, limits, method and sample."""
        return self._table.copy()

    def curve(self, at: ArrayLike | None = None) -> pd.DataFrame:
        """The smooth curve: predicted, observed and, with a band, conf_low and conf_high.

        Parameters
        ----------
        at : array_like, optional
            Predicted risks to evaluate at, inside the observed range (NaN elsewhere); then the
            band is the analytic one. By default every hundredth, and 100 equal steps, between the
            smallest and the largest predicted risk.
        """
        if at is None:
            return self._curve.copy()
        band = self.conf_level if "conf_low" in self._curve else None
        low, high = self._curve["predicted"].min(), self._curve["predicted"].max()
        return curve_frame(self._fitted, np.asarray(at, dtype=float), (low, high), band)

    def histogram(self) -> pd.DataFrame:
        """How many events and non-events were given each risk: twentieths of the scale."""
        return self._histogram.copy()

    def summary(self) -> str:
        """Sample, and every measure with its limits."""
        unit = unit_of_analysis(self.n_cluster)
        head = (
            f"Calibration; n = {self.n}, events = {self.n_event}, unit: {unit}; "
            f"{self.conf_level * 100:g} % intervals"
        )
        rows = [_row_text(row) for row in self._table.to_dict("records")]
        notes = [] if self.withheld is None else [f"No flexible curve: {self.withheld}."]
        if self.clipped:
            notes.append(f"{self.clipped} risks of exactly 0 or 1 were clipped for the logit.")
        return "\n".join([head, *rows, *notes])

    def __repr__(self) -> str:
        values = self._table.set_index("measure")["estimate"]
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<Calibration: intercept {values['calibration_in_the_large']:.3f}, "
            f"slope {values['calibration_slope']:.3f}, O:E {values['oe_ratio']:.3f}, "
            f"ICI {values['ici']:.3f} ({self.smoother}); n = {self.n}, events = {self.n_event}, "
            f"unit: {unit}, {self.conf_level * 100:g} % intervals>"
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the curve, its band, the ideal line and the histogram of risks."""
        from usstats.plots.calibration import plot_calibration

        return plot_calibration(self, ax=ax, **options)


def _row_text(row: dict[Hashable, Any]) -> str:
    limits = f" ({row['conf_low']:.3f} to {row['conf_high']:.3f})"
    shown = limits if np.isfinite(row["conf_low"]) else ""
    return f"  {row['measure']}: {row['estimate']:.3f}{shown}, {row['method']}"


def assess_calibration(
    y: ArrayLike,
    p: ArrayLike,
    *,
    smoother: str = "loess",
    band: bool = True,
    cluster: ArrayLike | None = None,
    min_events: int = 100,
    conf_level: float = 0.95,
    span: float = 0.75,
    n_knots: int = 4,
    n_boot: int | None = None,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> Calibration:
    """Assess the calibration of predicted risks.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool.
    p : array_like, shape (n,)
        Predicted probability of the event in [0, 1].
    smoother : {"loess", "rcs"}
        Flexible curve: local quadratic regression on p, or logistic regression on a restricted
        cubic spline of logit(p).
    band : bool
        Compute pointwise limits of the curve.
    cluster : array_like, shape (n,), optional
        Patient labels where a patient has several rows: every standard error and band is then a
        sandwich over patients.
    min_events : int
        The flexible curve and its numbers are withheld below so many events or non-events
        (patients with one, if `cluster` is given). 0 draws it regardless.
    conf_level : float
    span : float
        Share of the rows in each loess neighbourhood.
    n_knots : {3, 4, 5}
        Knots of the spline.
    n_boot, seed, resamples
        Ask for a bootstrap over patients: percentile limits of ici, e50, e90 and emax, and of the
        curve instead of the analytic band. Distances cannot be negative, so their replicates sit
        above the estimate; read the limits as a spread.

    Returns
    -------
    Calibration
        frame rows: calibration_in_the_large (intercept with the logit of p as offset),
        calibration_slope, recalibration_intercept (the intercept beside that slope), oe_ratio,
        ici, e50, e90, emax (distances between p and the curve at the observed p; e50 and e90 are
        type-7 quantiles), brier, brier_scaled. `std_error` is on the scale of the estimate; the
        interval of oe_ratio is symmetric on the log scale.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        A flexible curve or a slope that is withheld or does not exist, with the reason.
    UsstatsWarning
        Risks of exactly 0 or 1, whose logit is taken at 1e-8 from the bound.

    Notes
    -----
    Loess is R's ``loess(degree = 2, surface = "direct")``; see `usstats.smoothing.fit_loess` for
    its band. The spline's band is the delta method on the logit. ICI, E50, E90: Austin and
    Steyerberg (2019), Stat Med 38:4051.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> p = rng.uniform(0.05, 0.95, 600)
    >>> calibration = assess_calibration(rng.random(600) < p, p)
    >>> calibration.frame().loc[0, ["measure", "estimate"]].tolist()
    ['calibration_in_the_large', ...]
    >>> calibration.curve().columns.tolist()
    ['predicted', 'observed', 'conf_low', 'conf_high']
    """
    _check_options(smoother, min_events, span, n_knots, conf_level)
    outcome, risk = check_outcome(y).astype(float), check_risk(p)
    n = check_lengths(y=outcome, p=risk)
    who = check_cluster(cluster, n)
    clipped = _warn_of_bounds(risk)
    weak = weak_measures(outcome, risk, cluster=who, conf_level=conf_level)
    _warn_of_no_slope(weak)
    engine = Engine(smoother=smoother, span=span, n_knots=n_knots)
    fitted, withheld = _flexible(engine, outcome, risk, who, min_events)
    draws = None
    if fitted is not None and (n_boot is not None or resamples is not None):
        draws = as_resamples(resamples, n, n_boot=n_boot or 0, seed=seed, cluster=cluster)
    distant, curve, n_failed = _flexible_tables(
        engine, fitted, outcome, risk, draws, conf_level, band=band
    )
    sample = _sample(outcome, who, draws, n_failed) | {"conf_level": conf_level}
    return Calibration(
        smoother=smoother,
        withheld=withheld,
        clipped=clipped,
        _table=_measure_table([*weak[:4], *distant, *weak[4:]], sample),
        _curve=curve,
        _histogram=risk_histogram(outcome, risk),
        _fitted=fitted,
        **sample,
    )


def _sample(
    y: Vector, cluster: Codes | None, draws: Resamples | None, n_failed: int | None
) -> dict[str, Any]:
    return {
        "n": y.size,
        "n_event": int(y.sum()),
        "n_cluster": None if cluster is None else int(cluster.max()) + 1,
        "n_boot": None if draws is None else len(draws),
        "n_failed": n_failed,
        "seed": None if draws is None else draws.seed,
    }


def _check_options(
    smoother: str, min_events: int, span: float, n_knots: int, conf_level: float
) -> None:
    check_option(smoother, ("loess", "rcs"), name="smoother")
    check_option(n_knots, (3, 4, 5), name="n_knots")
    check_conf_level(conf_level)
    if min_events < 0:
        msg = f"`min_events` must be 0 or more; got {min_events!r}."
        raise ArgumentError(msg)
    if not 0 < span <= 1:
        msg = f"`span` must lie in (0, 1], for example 0.75; got {span!r}."
        raise ArgumentError(msg)


def _warn_of_bounds(risk: Vector) -> int:
    clipped = int(((risk <= 0) | (risk >= 1)).sum())
    if clipped:
        msg = (
            f"{clipped} of {risk.size} risks are exactly 0 or 1; their logit is infinite and was "
            f"taken at {CLIP:g} from the bound. Intercept and slope depend on that choice."
        )
        warnings.warn(msg, UsstatsWarning, stacklevel=3)
    return clipped


def _warn_of_no_slope(weak: list[Measure]) -> None:
    if not np.isfinite(weak[1].estimate):
        msg = (
            "The calibration slope does not exist (NaN): the predictions are all equal, or they "
            "separate events from non-events."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)


def _flexible(
    engine: Engine, y: Vector, p: Vector, cluster: Codes | None, min_events: int
) -> tuple[Smoother | None, str | None]:
    """The fitted smoother, or the reason why there is none."""
    reason = _too_few(y, cluster, min_events)
    if reason is None:
        try:
            return engine.fit(p, y, cluster=cluster), None
        except FitError as error:
            reason = str(error).rstrip(".")
    msg = f"The flexible calibration curve is withheld: {reason}."
    warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    return None, reason


def _too_few(y: Vector, cluster: Codes | None, min_events: int) -> str | None:
    """Why the sample is too small, counting patients where rows share them."""
    unit = np.arange(y.size) if cluster is None else cluster
    events, non_events = (np.unique(unit[y == level]).size for level in (1, 0))
    if min(events, non_events) >= min_events:
        return None
    who = "" if cluster is None else "patients with "
    return (
        f"{who}{events} events and {non_events} non-events, fewer than {min_events} of each "
        "(Van Calster 2016); min_events=0 draws it regardless"
    )


def _flexible_tables(
    engine: Engine,
    fitted: Smoother | None,
    y: Vector,
    p: Vector,
    draws: Resamples | None,
    conf_level: float,
    *,
    band: bool,
) -> tuple[list[Measure], pd.DataFrame, int | None]:
    """Distances as measures, the curve as a frame, and the failed resamples."""
    grid = curve_grid(p)
    analytic = conf_level if band else None
    curve = curve_frame(fitted, grid, (p.min(), p.max()), analytic)
    if fitted is None:
        return _as_measures(np.full(4, np.nan), None, f"{engine.smoother}, withheld"), curve, None
    near = distances(p, fitted.predict(p))
    if draws is None:
        return _as_measures(near, None, engine.smoother), curve, None
    replicates = replicate_curves(engine, p, y, grid, draws)
    near_limits, curve_limits = replicates.limits(conf_level)
    if band:
        curve["conf_low"], curve["conf_high"] = curve_limits
    spread = np.nanstd(replicates.distances, axis=0, ddof=1)
    method = f"{engine.smoother}, bootstrap percentile"
    measures = _as_measures(near, (spread, *near_limits), method)
    return measures, curve, replicates.n_failed


def _as_measures(
    near: Vector, spread: tuple[Vector, Vector, Vector] | None, method: str
) -> list[Measure]:
    unknown = np.full(4, np.nan)
    errors, low, high = spread or (unknown, unknown, unknown)
    columns = zip(FLEXIBLE, near, errors, low, high, strict=True)
    return [
        Measure(name, float(estimate), float(error), float(below), float(above), method)
        for name, estimate, error, below, above in columns
    ]


def _measure_table(measures: list[Measure], sample: dict[str, Any]) -> pd.DataFrame:
    """The measures in the shared vocabulary; facts that do not apply are left out, or missing."""
    rows = [
        {
            "measure": m.name,
            "estimate": m.estimate,
            "std_error": m.std_error,
            "conf_low": m.low,
            "conf_high": m.high,
            "method": m.method,
        }
        for m in measures
    ]
    table = pd.DataFrame(rows).assign(**{k: v for k, v in sample.items() if v is not None})
    analytic = ~table["measure"].isin(FLEXIBLE)
    for name in (name for name in OF_RESAMPLES if name in table):
        table[name] = table[name].astype("Int64").mask(analytic)
    return table[[name for name in COLUMNS if name in table]]
