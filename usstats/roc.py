"""Discrimination of one score: the ROC curve, the area under it, and part of that area.

A score is never turned round: higher means more likely an event, and an AUC below 0.5 is
reported as it is, with a warning.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from usstats._auc_resamples import auc_of_resamples, auc_without_each
from usstats._cases import Cases, check_cases
from usstats._check import check_option
from usstats._draws import Resamples
from usstats._intervals import check_conf_level, normal_quantile
from usstats._partial_auc import partial_auc
from usstats._placements import Placements, auc_covariance, place
from usstats._roc_curve import RocCurve, sensitivity_band
from usstats._roc_points import RocPoints, roc_points
from usstats.errors import DirectionWarning, SmallSampleWarning
from usstats.resample import check_failures, interval_from_replicates
from usstats.results import Estimate, read_only

__all__ = ["RocCurve", "auc", "partial_auc", "roc_curve"]

Float = np.float64


def auc(
    y: ArrayLike,
    s: ArrayLike,
    *,
    ci: str = "delong",
    conf_level: float = 0.95,
    cluster: ArrayLike | None = None,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> Estimate:
    """Area under the ROC curve: P(score of an event > score of a non-event) + P(tie) / 2.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    s : array_like, shape (n,)
        Any finite score, higher = more likely an event.
    ci : {"delong", "percentile", "bca"}
        "delong": Wald interval clipped to [0, 1]; with `cluster`, on Obuchowski's variance.
        "percentile", "bca": bootstrap of patients, stratified by outcome unless a patient has
        both classes. Where DeLong's variance is zero or undefined (perfect separation, all
        scores tied, a single event) every choice gives Newcombe's score interval, which is
        valid there; `method` then says "newcombe".
    conf_level : float
    cluster : array_like, shape (n,), optional
        Patient labels when a patient has several images.
    n_boot, seed : int
        For the bootstrap; not needed with `resamples`.
    resamples : Resamples or array_like, shape (n_boot, n), optional
        Explicit 0-based draws.

    Returns
    -------
    Estimate
        `std_error` is DeLong's (Obuchowski's), or the SD of the replicates.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    DirectionWarning
        The AUC is below 0.5: the score may point the wrong way.
    SmallSampleWarning
        A class with five or fewer patients.

    References
    ----------
    DeLong et al. (1988), Biometrics 44:837. Obuchowski (1997), Biometrics 53:567. Newcombe
    (2006), Stat Med 25:559, method 5. R: pROC::ci.auc.

    Examples
    --------
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> auc(y, [1, 2, 3, 4, 5, 8, 3, 6, 7, 9, 10, 11])
    <auc 0.847 (95 % 0.613 to 1.000), delong; n = 12, events = 6, unit: case>
    """
    check_option(ci, ("delong", "percentile", "bca"), name="ci")
    check_conf_level(conf_level)
    cases = check_cases(y, s, cluster)
    placed = place(cases.y, cases.s)
    _warn_of_direction(placed.auc)
    variance = float(auc_covariance(placed.values[:, None], placed.event, cases.cluster)[0, 0])
    if not variance > 0:
        return _bound_estimate(cases, placed.auc, variance, conf_level)
    if ci == "delong":
        return _wald_estimate(cases, placed.auc, variance, conf_level)
    return _resampled_auc(cases, placed, cases.draws(resamples, n_boot, seed), ci, conf_level)


def _warn_of_direction(estimate: float) -> None:
    if estimate < 0.5:
        msg = (
            f"The AUC is {estimate:.3f}, below 0.5: higher scores go with non-events. It is "
            "reported as it is; check how the outcome and the score are coded."
        )
        warnings.warn(msg, DirectionWarning, stacklevel=3)


def _wald_estimate(cases: Cases, estimate: float, variance: float, conf_level: float) -> Estimate:
    half = normal_quantile(conf_level) * np.sqrt(variance)
    return Estimate(
        measure="auc",
        estimate=estimate,
        std_error=float(np.sqrt(variance)),
        conf_low=max(float(estimate - half), 0.0),
        conf_high=min(float(estimate + half), 1.0),
        conf_level=conf_level,
        method="delong" if cases.cluster is None else "obuchowski",
        n=len(cases.y),
        n_event=int(cases.y.sum()),
        n_cluster=cases.n_cluster,
    )


def _bound_estimate(cases: Cases, estimate: float, variance: float, conf_level: float) -> Estimate:
    """Newcombe's interval; with clusters, on the number of patients behind each class."""
    low, high = newcombe_limits(estimate, cases.patients(1), cases.patients(0), conf_level)
    return Estimate(
        measure="auc",
        estimate=estimate,
        std_error=float(np.sqrt(variance)) if variance >= 0 else np.nan,
        conf_low=low,
        conf_high=high,
        conf_level=conf_level,
        method="newcombe",
        n=len(cases.y),
        n_event=int(cases.y.sum()),
        n_cluster=cases.n_cluster,
    )


def newcombe_limits(
    estimate: float, n_event: int, n_nonevent: int, conf_level: float
) -> tuple[float, float]:
    """Score interval of an AUC on a Hanley-McNeil variance with averaged class sizes.

    References
    ----------
    Newcombe (2006), Stat Med 25:559, method 5.

    Examples
    --------
    >>> newcombe_limits(1.0, 20, 20, 0.95)
    (0.898..., 1.0)
    """
    z = normal_quantile(conf_level)
    average = (n_event + n_nonevent) / 2

    def shortfall(theta: float, above: float) -> float:
        spread = 1 + (average - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * spread / (n_event * n_nonevent)
        return float(above - theta - z * np.sqrt(variance))

    def lower(above: float) -> float:
        edge = above - 1e-12
        return float(brentq(shortfall, 0.0, edge, args=(above,))) if edge > 0 else 0.0

    return lower(estimate), 1.0 - lower(1.0 - estimate)


def _resampled_auc(
    cases: Cases, placed: Placements, draws: Resamples, ci: str, conf_level: float
) -> Estimate:
    values = auc_of_resamples(cases.y, cases.s, draws)
    n_failed = check_failures(values)
    low, high = interval_from_replicates(
        placed.auc,
        values,
        ci=ci,
        conf_level=conf_level,
        left_out=lambda: auc_without_each(placed, cases.s, draws.unit),
        strata=draws.strata,
    )
    return Estimate(
        measure="auc",
        estimate=placed.auc,
        std_error=float(np.nanstd(values, ddof=1)),
        conf_low=low,
        conf_high=high,
        conf_level=conf_level,
        method=f"bootstrap {ci}",
        n=len(cases.y),
        n_event=int(cases.y.sum()),
        n_cluster=cases.n_cluster,
        n_boot=len(draws),
        n_failed=n_failed,
        seed=draws.seed,
    )


def roc_curve(
    y: ArrayLike,
    s: ArrayLike,
    *,
    band: str | None = None,
    conf_level: float = 0.95,
    cluster: ArrayLike | None = None,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
    thresholds: str = "observed",
) -> RocCurve:
    """Empirical ROC curve, one row a threshold, from "all positive" to "none positive".

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    s : array_like, shape (n,)
        Any finite score, higher = more likely an event.
    band : {None, "bootstrap"}
        Pointwise limits of the sensitivity at each row's specificity (type-7 percentiles).
    conf_level, cluster, n_boot, seed, resamples
        As in `auc`.
    thresholds : {"observed", "midpoint"}
        "observed": a case is positive when its score >= threshold, thresholds are scores that
        occur, then infinity. "midpoint": pROC's -Inf, mid-points between scores, Inf. The
        sensitivities and specificities are the same.

    Returns
    -------
    RocCurve

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    DirectionWarning, SmallSampleWarning

    References
    ----------
    R: pROC::roc, pROC::ci.se.

    Examples
    --------
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> curve = roc_curve(y, [1, 1, 1, 2, 2, 3, 1, 2, 3, 3, 3, 3])
    >>> curve.frame()[["threshold", "sensitivity", "specificity"]]
       threshold  sensitivity  specificity
    0        1.0         1.00         0.00
    1        2.0         0.83         0.50
    2        3.0         0.67         0.83
    3        inf         0.00         1.00
    """
    check_option(band, (None, "bootstrap"), name="band")
    check_option(thresholds, ("observed", "midpoint"), name="thresholds")
    area = auc(y, s, conf_level=conf_level, cluster=cluster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        cases = check_cases(y, s, cluster)
    points = roc_points(cases.y, cases.s)
    draws = None if band is None else cases.draws(resamples, n_boot, seed)
    limits = None if draws is None else sensitivity_band(cases.y, cases.s, draws, conf_level)
    return RocCurve(
        threshold=read_only(_named_thresholds(points, thresholds)),
        sensitivity=read_only(points.sensitivity),
        specificity=read_only(points.specificity),
        conf_low=None if limits is None else read_only(limits[0]),
        conf_high=None if limits is None else read_only(limits[1]),
        conf_level=conf_level,
        auc=area,
        method="empirical" if band is None else "empirical, bootstrap band",
        n_boot=None if draws is None else len(draws),
        seed=None if draws is None else draws.seed,
    )


def _named_thresholds(points: RocPoints, thresholds: str) -> NDArray[Float]:
    if thresholds == "observed":
        return points.threshold
    scores = points.threshold[:-1]
    return np.concatenate(([-np.inf], (scores[1:] + scores[:-1]) / 2, [np.inf]))
