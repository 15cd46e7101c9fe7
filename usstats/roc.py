"""Discrimination of one score: the ROC curve, the area under it, and part of that area.

A score is never turned round: higher means more likely an event, and an AUC below 0.5 is
reported as it is, with a warning.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._cases import Cases, check_cases
from usstats._check import check_option
from usstats._intervals import check_conf_level
from usstats._resampling.draws import Resamples
from usstats._roc.curve import RocCurve, sensitivity_band
from usstats._roc.limits import logit_limits, newcombe_limits, wald_limits
from usstats._roc.partial_area import partial_auc
from usstats._roc.placements import Placements, covariance_of_wins, place
from usstats._roc.points import RocPoints, roc_points
from usstats._roc.resampled import auc_of_resamples, auc_without_each
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
    ci : {"delong", "logit", "newcombe", "percentile", "bca"}
        "delong": Wald interval clipped to [0, 1]; with `cluster`, on Obuchowski's variance.
        "logit": the same variance on the logit scale, for an AUC near 1: simulated with 25 a
        class and an AUC of 0.98 it covered 97.6 %, "delong" 84 %. "newcombe": score interval on
        Hanley and McNeil's variance, which needs no pair of cases out of order; with `cluster`
        it counts patients. "percentile", "bca": bootstrap of patients, stratified by outcome
        unless a patient has both classes. Where DeLong's variance is zero or undefined (perfect
        separation, all scores tied, a single event) every choice becomes "newcombe", and
        `method` says so.
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
    (2006), Stat Med 25:559, method 5. Pepe (2003), equation 5.3 (logit). R: pROC::ci.auc.

    Examples
    --------
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> auc(y, [1, 2, 3, 4, 5, 8, 3, 6, 7, 9, 10, 11])
    <auc 0.847 (95 % 0.613 to 1.000), delong; n = 12, events = 6, unit: case>
    """
    check_option(ci, ("delong", "logit", "newcombe", "percentile", "bca"), name="ci")
    check_conf_level(conf_level)
    cases = check_cases(y, s, cluster)
    placed = place(cases.y, cases.s)
    _warn_of_direction(placed.auc)
    variance = float(covariance_of_wins(placed.doubled[:, None], placed.event, cases.cluster)[0, 0])
    if not variance > 0:
        ci = "newcombe"
    if ci in ("delong", "logit", "newcombe"):
        return _analytic_auc(cases, placed.auc, variance, ci, conf_level)
    return _resampled_auc(cases, placed, cases.draws(resamples, n_boot, seed), ci, conf_level)


def _warn_of_direction(estimate: float) -> None:
    if estimate < 0.5:
        msg = (
            f"The AUC is {estimate:.3f}, below 0.5: higher scores go with non-events. It is "
            "reported as it is; check how the outcome and the score are coded."
        )
        warnings.warn(msg, DirectionWarning, stacklevel=3)


def _analytic_auc(
    cases: Cases, estimate: float, variance: float, ci: str, conf_level: float
) -> Estimate:
    """Limits from a formula; Newcombe's count patients, the others take the variance."""
    if ci == "newcombe":
        low, high = newcombe_limits(estimate, cases.patients(1), cases.patients(0), conf_level)
    else:
        low, high = _FROM_VARIANCE[ci](estimate, variance, conf_level)
    plain = "delong" if cases.cluster is None else "obuchowski"
    return Estimate(
        measure="auc",
        estimate=estimate,
        std_error=float(np.sqrt(variance)) if variance >= 0 else np.nan,
        conf_low=low,
        conf_high=high,
        conf_level=conf_level,
        method={"delong": plain, "logit": f"{plain}, logit"}.get(ci, ci),
        n=len(cases.y),
        n_event=int(cases.y.sum()),
        n_cluster=cases.n_cluster,
    )


_FROM_VARIANCE = {"delong": wald_limits, "logit": logit_limits}


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
