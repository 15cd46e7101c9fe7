"""Reclassification: how two models move events and non-events apart, by outcome and never alone.

The net reclassification improvement rises for worthless markers too (Hilden and Gerds 2014; Pepe
et al. 2015), so it comes by outcome, with the AUC and net benefit beside it, and without a test.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._cases import FEW_CASES
from usstats._check import (
    check_cluster,
    check_finite,
    check_lengths,
    check_option,
    check_outcome,
    check_risk,
)
from usstats._intervals import check_conf_level, wald_interval
from usstats._reclassification.movements import (
    CLASS_MEASURES,
    Codes,
    Float,
    Movements,
    Vector,
    direction,
)
from usstats._reclassification.result import Reclassification
from usstats._resampling.draws import Resamples, as_resamples
from usstats._resampling.limits import bca_limits, jackknife_acceleration, percentile_limits
from usstats.errors import ArgumentError, RiskError, SmallSampleWarning, UsstatsWarning
from usstats.resample import check_failures
from usstats.results import COLUMNS

__all__ = ["Reclassification", "ReclassificationWarning", "reclassify"]

#: A smaller standard error is rounding.
NO_SPREAD = 1e-14
#: Largest absolute value of each measure.
_WIDEST = {"nri": 2.0, "idi": 2.0}


class ReclassificationWarning(UsstatsWarning):
    """The interval of the NRI or IDI lies above 0 for a model whose AUC is lower."""


def reclassify(
    y: ArrayLike,
    p_old: ArrayLike,
    p_new: ArrayLike,
    *,
    cutoffs: ArrayLike | None = None,
    min_change: float | None = None,
    thresholds: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    ci: str = "wald",
    conf_level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> Reclassification:
    """Net reclassification improvement and integrated discrimination improvement, by outcome.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool.
    p_old, p_new : array_like, shape (n,)
        Predicted probabilities of the event by the old and the new model, for patients neither
        was fitted to.
    cutoffs : array_like, optional
        Ascending cut-offs inside (0, 1) of risk categories [a, b), the last closed; 0 and 1 at
        the ends may be written. Without them the NRI is the continuous one: any change of risk
        counts.
    min_change : float, optional
        Instead of cut-offs: only a change of risk larger than this counts.
    thresholds : array_like, optional
        Threshold probabilities at which net benefit is compared: the cut-offs unless stated, and
        the share of events where there are none.
    cluster : array_like, shape (n,), optional
        Patient labels where a patient has several rows; every interval is then over patients.
    ci : {"wald", "percentile", "bca"}
        Closed-form standard errors (a sandwich over patients with `cluster`), or a bootstrap of
        patients.
    conf_level : float
    n_boot, seed : int
        For the bootstrap; not needed with `resamples`.
    resamples : Resamples or array_like, shape (n_boot, n), optional
        Explicit 0-based draws.

    Returns
    -------
    Reclassification
        nri = nri_events + nri_nonevents and idi = idi_events + idi_nonevents; each component is
        positive where the new model moves that class the right way. There are no p values (rule
        R08); beside them stand auc_change (new minus old, DeLong's or Obuchowski's error) and
        net_benefit_difference.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    ReclassificationWarning
        The interval of NRI or IDI lies above 0 although the AUC fell.
    SmallSampleWarning
        A class with five or fewer patients, or a measure without variation, whose limits are NaN.

    Notes
    -----
    Variances: Var(nri_events) = [(up + down) / n - (up - down)^2 / n^2] / n of events, not the
    null variance of Pencina et al. (2008); idi from the variances of the paired differences (R:
    ``Hmisc::improveProb``). Categories as ``PredictABEL::reclassification``; `min_change` as
    ``nricens::nribin(updown = "diff")``. Kerr et al. (2014), Epidemiology 25:114; Pepe et al.
    (2015), Stat Biosci 7:282.

    Examples
    --------
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> old = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8]
    >>> new = [0.2, 0.1, 0.2, 0.3, 0.6, 0.4, 0.3, 0.3, 0.6, 0.8, 0.8, 0.9]
    >>> reclassify(y, old, new).frame()[["measure", "estimate"]].head(3)
             measure  estimate
    0            nri     1.000...
    1     nri_events     0.666...
    2  nri_nonevents     0.333...
    """
    check_option(ci, ("wald", "percentile", "bca"), name="ci")
    level = check_conf_level(conf_level)
    outcome = check_outcome(y)
    old, new = check_risk(p_old, name="p_old"), check_risk(p_new, name="p_new")
    n = check_lengths(y=outcome, p_old=old, p_new=new)
    cuts = _check_cutoffs(cutoffs, min_change)
    least = _check_min_change(min_change)
    moved = Movements(
        y=outcome,
        old=old,
        new=new,
        up=direction(old, new, cutoffs=cuts, min_change=least or 0.0),
        thresholds=_check_thresholds(thresholds, cuts, outcome),
        cluster=check_cluster(cluster, n),
    )
    draws = None
    if ci != "wald":
        draws = as_resamples(resamples, n, n_boot=n_boot, seed=seed, cluster=cluster)
    estimates = moved.estimates()
    spread, n_failed = _spread(moved, estimates, ci, draws, level)
    _warn_of_few(moved)
    _warn_of_disagreement(estimates, spread[1])
    sample: dict[str, Any] = {
        "n": n,
        "n_event": int(outcome.sum()),
        "n_cluster": None if moved.cluster is None else int(moved.cluster.max()) + 1,
        "n_boot": None if draws is None else len(draws),
        "n_failed": n_failed,
        "seed": None if draws is None else draws.seed,
        "conf_level": level,
    }
    return Reclassification(
        kind=_kind(cuts, least),
        cutoffs=() if cuts is None else tuple(float(cut) for cut in cuts),
        min_change=least,
        thresholds=tuple(float(t) for t in moved.thresholds),
        _table=_measure_table(estimates, spread, moved, ci, sample),
        _moved=moved,
        **sample,
    )


def _kind(cutoffs: Vector | None, min_change: float | None) -> str:
    if cutoffs is not None:
        return "categorical"
    return "continuous" if min_change is None else "difference"


def _check_cutoffs(cutoffs: ArrayLike | None, min_change: float | None) -> Vector | None:
    """Inner cut-offs; 0 and 1 bound the first and last category in any case."""
    if cutoffs is None:
        return None
    if min_change is not None:
        msg = "Give `cutoffs` (categories) or `min_change` (least change of risk), not both."
        raise ArgumentError(msg)
    cuts = check_finite(np.atleast_1d(np.asarray(cutoffs)), name="cutoffs")
    inner = cuts[(cuts != 0) & (cuts != 1)]
    return _inside(inner, "cutoffs")


def _inside(values: Vector, name: str) -> Vector:
    """Ascending values inside (0, 1), at least one."""
    if values.size == 0:
        msg = f"`{name}` holds no value inside (0, 1)."
        raise ArgumentError(msg)
    outside = (values <= 0) | (values >= 1)
    if outside.any():
        advice = " If these are percentages, divide by 100." if values.max() > 1 else ""
        msg = (
            f"`{name}` must lie inside (0, 1); {outside.sum()} of {values.size} do not (first: "
            f"{values[outside][0]:g}).{advice}"
        )
        raise RiskError(msg)
    if (np.diff(values) <= 0).any():
        first = values[1:][np.diff(values) <= 0][0]
        msg = (
            f"`{name}` must ascend without duplicates; {first:g} does not. "
            f"Pass sorted(set({name}))."
        )
        raise ArgumentError(msg)
    return values


def _check_min_change(min_change: float | None) -> float | None:
    if min_change is None:
        return None
    number = isinstance(min_change, int | float | np.number) and not isinstance(min_change, bool)
    if not number or not 0 <= min_change < 1:
        msg = f"`min_change` must be a difference of risks in [0, 1); got {min_change!r}."
        raise ArgumentError(msg)
    return float(min_change)


def _check_thresholds(thresholds: ArrayLike | None, cutoffs: Vector | None, y: Codes) -> Vector:
    if thresholds is not None:
        at = check_finite(np.atleast_1d(np.asarray(thresholds)), name="thresholds")
        return _inside(at, "thresholds")
    return np.array([y.mean()]) if cutoffs is None else cutoffs


def _spread(
    moved: Movements,
    estimates: Vector,
    ci: str,
    draws: Resamples | None,
    level: float,
) -> tuple[NDArray[Float], int | None]:
    """Standard errors, lower and upper limits, (3, n_measure), and the failed resamples."""
    if draws is None:
        errors = moved.std_errors()
        low, high = wald_interval(estimates, errors, level)
        return np.stack([errors, *_trusted(low, high, estimates, errors, moved)]), None
    replicates = moved.replicates(draws)
    n_failed = check_failures(replicates.sum(axis=1))
    kept = replicates[np.isfinite(replicates).all(axis=1)]
    errors = kept.std(axis=0, ddof=1)
    flat = errors <= NO_SPREAD
    if ci == "percentile":
        limits = [percentile_limits(column, level) for column in kept.T]
    else:
        left_out = moved.without_each(draws.unit)
        limits = [
            _bca(estimates[j], kept[:, j], left_out[:, j], draws, level, flat=bool(flat[j]))
            for j in range(len(estimates))
        ]
    low, high = np.array(limits).T
    return np.stack([errors, *_trusted(low, high, estimates, errors, moved)]), n_failed


def _bca(
    estimate: float, values: Vector, left_out: Vector, draws: Resamples, level: float, *, flat: bool
) -> tuple[float, float]:
    if flat:
        return float(estimate), float(estimate)
    acceleration = jackknife_acceleration(estimate, left_out, draws.strata)
    return bca_limits(estimate, values, acceleration, level)


def _trusted(
    low: Vector, high: Vector, estimates: Vector, errors: Vector, moved: Movements
) -> tuple[Vector, Vector]:
    """Limits inside each measure's range; NaN where nothing varies.

    Equal risks differ by exactly 0, and so do equal orders and equal decisions.
    """
    names = _names(moved)
    bound = np.array([_WIDEST.get(name, 1.0) for name in names])
    benefit = np.array([name == "net_benefit_difference" for name in names])
    low = np.where(benefit, low, np.maximum(low, -bound))
    high = np.where(benefit, high, np.minimum(high, bound))
    equal = np.array_equal(moved.old, moved.new) | ~np.isin(names, CLASS_MEASURES)
    flat = ~(errors > NO_SPREAD) & ~((np.abs(estimates) <= NO_SPREAD) & equal)
    if flat.any():
        which = ", ".join(dict.fromkeys(name for name, bad in zip(names, flat, strict=True) if bad))
        msg = f"These do not vary in the sample, and their limits are NaN: {which}."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    return np.where(flat, np.nan, low), np.where(flat, np.nan, high)


def _names(moved: Movements) -> list[str]:
    return [
        *CLASS_MEASURES,
        "auc_change",
        *["net_benefit_difference"] * moved.thresholds.size,
    ]


def _measure_table(
    estimates: Vector,
    spread: NDArray[Float],
    moved: Movements,
    ci: str,
    sample: dict[str, Any],
) -> pd.DataFrame:
    names, k = _names(moved), len(CLASS_MEASURES)
    errors, low, high = spread
    statistic = np.full(len(names), np.nan)
    np.divide(
        estimates, errors, out=statistic, where=(errors > NO_SPREAD) & (np.arange(len(names)) < k)
    )
    table = pd.DataFrame(
        {
            "measure": names,
            "estimate": estimates,
            "std_error": errors,
            "conf_low": low,
            "conf_high": high,
            "statistic": statistic,
            "method": _method(ci, moved),
            **{name: value for name, value in sample.items() if value is not None},
        }
    )
    table = table[[name for name in COLUMNS if name in table]]
    return table.assign(threshold_probability=np.r_[np.full(k + 1, np.nan), moved.thresholds])


def _method(ci: str, moved: Movements) -> str:
    if ci != "wald":
        return f"bootstrap {ci}"
    return "wald" if moved.cluster is None else "wald, patient sandwich"


def _warn_of_few(moved: Movements) -> None:
    unit = np.arange(moved.y.size) if moved.cluster is None else moved.cluster
    least = min(np.unique(unit[moved.y == level]).size for level in (0, 1))
    if least <= FEW_CASES:
        msg = f"One class has {least} patients only; NRI, IDI and their intervals are unreliable."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)


def _warn_of_disagreement(estimates: Vector, low: Vector) -> None:
    """Only where an interval above 0 invites the wrong conclusion."""
    k = len(CLASS_MEASURES)
    praised = [CLASS_MEASURES[j] for j in (0, 3) if low[j] > 0]
    if praised and estimates[k] < 0:
        named = " and ".join(f"{name.upper()} (interval above 0)" for name in praised)
        msg = (
            f"{named} favour the new model although its AUC is lower by {-estimates[k]:.3f}. Both "
            "rise for worthless or miscalibrated models (Pepe 2015); judge by net benefit and "
            "calibration."
        )
        warnings.warn(msg, ReclassificationWarning, stacklevel=3)
