"""External validation: discrimination, calibration, net benefit and the risks, never one alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_lengths, check_outcome, check_risk
from usstats._recalibration import Codes, Vector, weak_measures
from usstats.calibration import Calibration, assess_calibration
from usstats.decision import DecisionCurve, decision_curve
from usstats.errors import ArgumentError, PairingError, SmallSampleWarning, UsstatsWarning
from usstats.results import COLUMNS, Estimate
from usstats.roc import auc

__all__ = ["ExternalValidation", "evaluate"]

#: Used where no range is stated: 5 % to 50 %. The clinical decision should choose it (rule R11).
DEFAULT_THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 11))
MODEL = "model"
OVERALL = "overall"
#: Below this a centre's numbers are given with a warning.
SMALL_CENTRE = 10
NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")


@dataclass(frozen=True, kw_only=True, repr=False)
class ExternalValidation:
    """What a model is worth in a cohort it has not seen. Made by `evaluate`.

    Attributes
    ----------
    discrimination : Estimate
        AUC; Obuchowski's variance where patients have several rows.
    calibration : Calibration
    net_benefit : DecisionCurve
        Its model is called "model".
    centres : tuple of str
    """

    discrimination: Estimate
    calibration: Calibration
    net_benefit: DecisionCurve
    centres: tuple[str, ...]
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    _table: pd.DataFrame = field(repr=False)
    _risks: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure and group ("overall", then each centre), estimate with limits.

        `threshold_probability` is filled for net_benefit and its treat_all companion.
        """
        return self._table.copy()

    def risks(self) -> pd.DataFrame:
        """Distribution of the predicted risks by group and outcome: n, mean, SD and quantiles."""
        return self._risks.copy()

    def summary(self) -> str:
        """All four parts in words."""
        medians = self._risks[self._risks["group"] == OVERALL].set_index("outcome")["median"]
        return "\n".join(
            [
                self.discrimination.summary(),
                self.calibration.summary(),
                self.net_benefit.summary(),
                f"Median risk {medians['event']:.3f} in events, {medians['non_event']:.3f} in "
                "non-events",
                *([f"Centres: {', '.join(self.centres)}"] if self.centres else []),
            ]
        )

    def __repr__(self) -> str:
        unit = "case" if self.n_cluster is None else f"patient ({self.n_cluster} clusters)"
        slope = self.calibration.frame().set_index("measure")["estimate"]["calibration_slope"]
        return (
            f"<ExternalValidation: AUC {self.discrimination.estimate:.3f}, slope {slope:.3f}, "
            f"net benefit at {self.net_benefit.thresholds.size} thresholds; n = {self.n}, "
            f"events = {self.n_event}, unit: {unit}, {self.conf_level * 100:g} % intervals>"
        )


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    centre: ArrayLike | None = None,
    thresholds: ArrayLike = DEFAULT_THRESHOLDS,
    smoother: str = "loess",
    min_events: int = 100,
    prevalence: float | None = None,
    n_boot: int | None = None,
    seed: int | None = None,
    conf_level: float = 0.95,
) -> ExternalValidation:
    """Evaluate predicted risks in an external cohort.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool.
    p : array_like, shape (n,)
        Predicted probability of the event in [0, 1], from a model fitted elsewhere.
    cluster : array_like, shape (n,), optional
        Patient labels where a patient has several rows; every interval is then over patients.
    centre : array_like, shape (n,), optional
        Centre labels: AUC, calibration in the large, slope, O:E and Brier score by centre.
    thresholds : array_like
        Range in which the clinical decision is open; 0.05 to 0.50 unless stated.
    smoother, min_events
        As in `assess_calibration`.
    prevalence : float, optional
        For the net benefit of a case-control sample.
    n_boot, seed : int, optional
        Ask for bootstrap intervals of net benefit, ICI and the curve.
    conf_level : float

    Returns
    -------
    ExternalValidation
        Discrimination, calibration, net benefit and risk distributions together (Van Calster et
        al. 2025, Lancet Digital Health).

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        The flexible curve is withheld, or a centre has one class only (NaN) or fewer than 10
        events or non-events.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> p = rng.uniform(0.05, 0.95, 600)
    >>> result = evaluate(rng.random(600) < p, p, thresholds=[0.2, 0.5])
    >>> sorted(set(result.frame()["measure"]))[:3]
    ['auc', 'brier', 'brier_scaled']
    """
    outcome, risk = check_outcome(y), check_risk(p)
    n = check_lengths(y=outcome, p=risk)
    who = check_cluster(cluster, n)
    where = _check_centre(centre, n)
    area = auc(outcome, risk, cluster=cluster, conf_level=conf_level)
    calibration = assess_calibration(
        outcome,
        risk,
        smoother=smoother,
        cluster=cluster,
        min_events=min_events,
        conf_level=conf_level,
        n_boot=n_boot,
        seed=seed,
    )
    curve = decision_curve(
        outcome,
        {MODEL: risk},
        thresholds=thresholds,
        prevalence=prevalence,
        ci=None if n_boot is None else "bootstrap",
        cluster=cluster,
        n_boot=n_boot or 0,
        seed=seed,
        conf_level=conf_level,
    )
    parts = [area.frame(), calibration.frame(), _net_benefit_rows(curve)]
    overall = pd.concat(parts, ignore_index=True).assign(group=OVERALL)
    centres = [_centre_rows(k, outcome, risk, who, rows, conf_level) for k, rows in where.items()]
    return ExternalValidation(
        discrimination=area,
        calibration=calibration,
        net_benefit=curve,
        centres=tuple(where),
        conf_level=conf_level,
        n=n,
        n_event=int(outcome.sum()),
        n_cluster=calibration.n_cluster,
        _table=_in_order(pd.concat([overall, *centres], ignore_index=True)),
        _risks=_risk_table(outcome, risk, where),
    )


def _check_centre(centre: ArrayLike | None, n: int) -> dict[str, NDArray[np.intp]]:
    """Rows of each centre, in order of appearance."""
    if centre is None:
        return {}
    labels = np.asarray(centre)
    check_lengths(cases=np.empty(n), centre=labels)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        msg = f"`centre` has {missing.sum()} missing labels (first at row {missing.argmax()})."
        raise PairingError(msg)
    codes, names = pd.factorize(labels)
    if OVERALL in names:
        msg = f"`centre` may not hold a centre named {OVERALL!r}: that is the whole cohort's group."
        raise ArgumentError(msg)
    return {str(name): np.flatnonzero(codes == code) for code, name in enumerate(names)}


def _net_benefit_rows(curve: DecisionCurve) -> pd.DataFrame:
    """Net benefit of the model and of treat_all, in the vocabulary of the other measures."""
    table = curve.frame()
    table = table[table["model"] != "treat_none"]
    rows = {
        "measure": np.where(table["model"] == MODEL, "net_benefit", "net_benefit_treat_all"),
        "threshold_probability": table["threshold_probability"],
        "estimate": table["net_benefit"],
        "conf_low": table.get("conf_low", np.nan),
        "conf_high": table.get("conf_high", np.nan),
        "conf_level": curve.conf_level,
        "method": "no interval" if curve.n_boot is None else "bootstrap percentile",
        "n": curve.n,
        "n_event": curve.n_event,
    }
    extra = {"n_cluster": curve.n_cluster, "n_boot": curve.n_boot, "n_failed": curve.n_failed}
    extra["seed"] = curve.seed
    return pd.DataFrame(rows | {k: v for k, v in extra.items() if v is not None})


def _centre_rows(
    name: str,
    y: NDArray[np.int64],
    p: Vector,
    cluster: Codes | None,
    rows: NDArray[np.intp],
    conf_level: float,
) -> pd.DataFrame:
    """AUC and the measures of weak calibration in one centre, NaN where it has one class."""
    outcome, risk = y[rows], p[rows]
    who = None if cluster is None else np.unique(cluster[rows], return_inverse=True)[1]
    n_event = int(outcome.sum())
    sample: dict[str, Any] = {
        "group": name,
        "conf_level": conf_level,
        "n": rows.size,
        "n_event": n_event,
    }
    if who is not None:
        sample["n_cluster"] = int(who.max()) + 1
    least = min(n_event, rows.size - n_event)
    _warn_of_centre(name, least)
    records = _records(outcome, risk, who, conf_level) if least else _undefined()
    return pd.DataFrame(records).assign(**sample)


def _warn_of_centre(name: str, least: int) -> None:
    if least == 0:
        msg = f"Centre {name!r} has one outcome class only; its measures are NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    elif least < SMALL_CENTRE:
        msg = (
            f"Centre {name!r} has {least} events or non-events, fewer than {SMALL_CENTRE}; its "
            "measures are unstable."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def _records(
    y: NDArray[np.int64], p: Vector, cluster: Codes | None, conf_level: float
) -> Iterator[dict[str, Any]]:
    """One centre's measures; what warnings would say is in the centre's own warning and NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        area = auc(y, p, cluster=cluster, conf_level=conf_level)
    yield {name: getattr(area, name) for name in ("measure", *NUMBERS, "method")}
    weak = weak_measures(y.astype(float), p, cluster=cluster, conf_level=conf_level)
    for measure in weak:
        numbers = (measure.estimate, measure.std_error, measure.low, measure.high)
        yield {
            "measure": measure.name,
            **dict(zip(NUMBERS, numbers, strict=True)),
            "method": measure.method,
        }


def _undefined() -> Iterator[dict[str, Any]]:
    for name in ("auc", "calibration_in_the_large", "calibration_slope", "oe_ratio", "brier"):
        yield {"measure": name, **dict.fromkeys(NUMBERS, np.nan), "method": "undefined"}


def _risk_table(
    y: NDArray[np.int64], p: Vector, where: dict[str, NDArray[np.intp]]
) -> pd.DataFrame:
    """Mean, SD and quantiles of the risks by group and outcome."""
    everywhere = {OVERALL: np.arange(y.size), **where}
    return pd.DataFrame(
        [
            {"group": group, "outcome": label, **_distribution(p[rows][y[rows] == level])}
            for group, rows in everywhere.items()
            for label, level in (("event", 1), ("non_event", 0))
        ]
    )


def _distribution(p: Vector) -> dict[str, float]:
    names = ("minimum", "q25", "median", "q75", "maximum")
    if p.size == 0:
        return {"n": 0, "mean": np.nan, "std_dev": np.nan, **dict.fromkeys(names, np.nan)}
    quantiles = np.quantile(p, [0, 0.25, 0.5, 0.75, 1])
    spread = float(p.std(ddof=1)) if p.size > 1 else np.nan
    values = dict(zip(names, map(float, quantiles), strict=True))
    return {"n": p.size, "mean": float(p.mean()), "std_dev": spread, **values}


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    wanted = ["group", "measure", "threshold_probability"]
    rest = [name for name in COLUMNS if name in table and name not in wanted]
    return table[[*wanted, *rest]]
