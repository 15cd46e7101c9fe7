"""Part of the area under the ROC curve, between two specificities or two sensitivities."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._cases import Cases, check_cases
from usstats._check import check_option, check_outcome
from usstats._intervals import check_conf_level
from usstats._resampling.draws import Resamples
from usstats._roc.points import area_between, roc_points
from usstats.errors import ArgumentError, DirectionWarning
from usstats.resample import bootstrap
from usstats.results import Estimate

Float = np.float64


def partial_auc(
    y: ArrayLike,
    s: ArrayLike,
    *,
    specificity: tuple[float, float] | None = None,
    sensitivity: tuple[float, float] | None = None,
    corrected: bool = False,
    ci: str | None = None,
    conf_level: float = 0.95,
    cluster: ArrayLike | None = None,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> Estimate:
    """Area under the ROC curve between two specificities, or two sensitivities.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    s : array_like, shape (n,)
    specificity, sensitivity : (float, float)
        Exactly one of them, the limits in either order.
    corrected : bool
        McClish's standardisation: 0.5 is chance and 1 is perfect in the range.
    ci : {"percentile", "bca"}, optional
        Bootstrap interval; by default "percentile" when a seed or resamples are given and none
        otherwise (limits NaN).
    conf_level, cluster, n_boot, seed, resamples
        As in `auc`.

    Returns
    -------
    Estimate

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    DirectionWarning
        The curve runs below chance in the range: the corrected area is NaN.

    References
    ----------
    McClish (1989), Med Decis Making 9:190. R: pROC::auc(partial.auc=, partial.auc.correct=).

    Examples
    --------
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> s = [1, 2, 3, 4, 5, 8, 3, 6, 7, 9, 10, 11]
    >>> round(partial_auc(y, s, specificity=(0.8, 1.0)).estimate, 4)
    0.1111
    """
    focus, low, high = check_range(specificity, sensitivity)
    check_option(ci, (None, "percentile", "percentile_boot", "bca"), name="ci")
    check_conf_level(conf_level)
    cases = check_cases(y, s, cluster)
    statistic = _partial_statistic(focus, low, high, corrected=corrected)
    measure = "partial_auc_corrected" if corrected else "partial_auc"
    estimate = statistic(cases.y, cases.s)
    if np.isnan(estimate):
        msg = "The curve lies below chance in this range; the corrected partial AUC is NaN."
        warnings.warn(msg, DirectionWarning, stacklevel=2)
    if np.isnan(estimate) or (ci is None and seed is None and resamples is None):
        return _without_interval(cases, measure, estimate, conf_level)
    ci = ci or "percentile"
    draws = cases.draws(resamples, n_boot, seed)
    return bootstrap(
        statistic,
        cases.y,
        cases.s,
        cluster=cases.cluster,
        ci=ci,
        resamples=draws,
        conf_level=conf_level,
        measure=measure,
    )


def check_range(
    specificity: tuple[float, float] | None, sensitivity: tuple[float, float] | None
) -> tuple[str, float, float]:
    if (specificity is None) == (sensitivity is None):
        msg = "Give exactly one of `specificity=(low, high)` and `sensitivity=(low, high)`."
        raise ArgumentError(msg)
    focus, limits = (
        ("specificity", specificity) if sensitivity is None else ("sensitivity", sensitivity)
    )
    try:
        values = np.sort(np.atleast_1d(np.asarray(limits, dtype=float)))
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (2,) or not 0 <= values[0] < values[1] <= 1:
        msg = f"`{focus}` must be two different limits inside [0, 1]; got {limits!r}."
        raise ArgumentError(msg)
    return focus, float(values[0]), float(values[1])


def _partial_statistic(
    focus: str, low: float, high: float, *, corrected: bool
) -> Callable[[NDArray[np.int64], NDArray[Float]], float]:
    chance = ((1 - low) ** 2 - (1 - high) ** 2) / 2

    def statistic(y: NDArray[np.int64], s: NDArray[Float]) -> float:
        points = roc_points(check_outcome(y), s)
        if focus == "specificity":
            area = area_between(points.specificity, points.sensitivity, low, high)
        else:
            x, height = points.sensitivity[::-1], points.specificity[::-1]
            area = area_between(x, height, low, high)
        if not corrected:
            return area
        return (1 + (area - chance) / (high - low - chance)) / 2 if area >= chance else np.nan

    return statistic


def _without_interval(cases: Cases, measure: str, estimate: float, conf_level: float) -> Estimate:
    return Estimate(
        measure=measure,
        estimate=estimate,
        std_error=np.nan,
        conf_low=np.nan,
        conf_high=np.nan,
        conf_level=conf_level,
        method="trapezoid, no interval",
        n=len(cases.y),
        n_event=int(cases.y.sum()),
        n_cluster=cases.n_cluster,
    )
