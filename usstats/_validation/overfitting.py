"""From measures in and out of the resamples to corrected ones: optimism, .632 and .632+.

The .632+ estimator weighs the patients a refit has not seen by how far it overfits: the share R
of the way from the apparent value to gamma, the value of the measure when every prediction is
paired with every outcome (Efron and Tibshirani 1997, JASA 92:548, eqs 28-32).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats._check import Float
from usstats._fits.likelihood import log_terms, null_log_likelihood, risk_of
from usstats._validation.indexes import MEASURES, Side
from usstats._validation.plans import BootstrapPlan, Plan
from usstats._validation.refits import Refits, average_copies, judge_refits
from usstats.errors import OptimismWarning

Array = NDArray[Float]

#: With fewer events (or non-events) than this per candidate parameter, Harrell's bootstrap may
#: leave optimism in (Iba, Shinozaki, Maruo and Noma 2021, BMC Med Res Methodol 21:9) ...
FEW_EVENTS = 10
#: ... and does where the relative overfitting of the AUC is larger than this.
LARGE = 0.5
#: Expected share of the patients that a bootstrap sample holds.
DRAWN = 0.632


@dataclass(frozen=True)
class Correction:
    """Means of the measures over the replicates, and what is left after correction."""

    training: Array
    test: Array
    corrected: Array
    overfitting: Array


def correct(
    apparent: Array,
    training: Array,
    test: Array,
    plan: Plan,
    no_information: Array,
    *,
    names: Sequence[str] = (),
) -> Correction:
    """Corrected measures, one a column of the replicates.

    Parameters
    ----------
    apparent, no_information : ndarray, shape (k,)
    training, test : ndarray, shape (n_boot, k)
        NaN where a replicate failed.
    plan : Plan
    names : sequence of str
        The measures; calibration intercept and slope are one line and share the slope's R.
    """
    mean_training, mean_test = mean_replicates(training, test, plan)
    share = relative_overfitting(apparent, mean_test, no_information)
    if "calibration_slope" in names:
        share[names.index("calibration_intercept")] = share[names.index("calibration_slope")]
    if plan.method == ".632+":
        corrected = _plus(apparent, mean_test, no_information, share)
    elif plan.method == ".632":
        corrected = apparent + DRAWN * (mean_test - apparent)
    else:
        corrected = apparent - (mean_training - mean_test)
    return Correction(mean_training, mean_test, corrected, share)


def mean_replicates(training: Array, test: Array, plan: Plan) -> tuple[Array, Array]:
    """Means over replicates in which both sides are defined, by column."""
    both = np.isfinite(training) & np.isfinite(test)
    share = np.where(both, plan.share[:, None], 0.0)
    counted = both.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.where(both, training, 0.0).sum(axis=0) / counted,
            (share * np.where(both, test, 0.0)).sum(axis=0) / share.sum(axis=0),
        )


def relative_overfitting(apparent: Array, test: Array, no_information: Array) -> Array:
    """R: 0 where the test value is no worse than the apparent one, 1 where it is worthless.

    Examples
    --------
    >>> relative_overfitting(np.array([0.8]), np.array([0.65]), np.array([0.5]))
    array([0.5])
    """
    room = no_information - apparent
    gone = np.divide(test - apparent, room, out=np.zeros_like(room), where=room != 0)
    return np.asarray(np.where(np.isnan(test), np.nan, np.clip(gone, 0.0, 1.0)))


def _plus(apparent: Array, test: Array, no_information: Array, share: Array) -> Array:
    """.632+: the test value, no worse than no information, with a weight of .632 to 1."""
    bounded = np.where(share == 1, no_information, test)
    weight = DRAWN / (1 - (1 - DRAWN) * share)
    return np.asarray(apparent + weight * (bounded - apparent))


def no_information(side: Side) -> Array:
    """`MEASURES` when outcomes and predictions are independent, one row a completed copy."""
    n, rate, lp = side.y.size, float(side.y.mean()), side.lp
    risk = risk_of(lp)
    squared = (risk**2).mean(axis=1) - 2 * rate * risk.mean(axis=1) + rate
    null = float(null_log_likelihood(side.y))
    ones, zeros = np.ones(n), np.zeros(n)
    paired = (rate * log_terms(lp, ones) + (1 - rate) * log_terms(lp, zeros)).sum(axis=1)
    unreliability = (2 * (null - paired) - 2) / n
    flat = np.zeros(len(lp))
    values = {
        "auc": flat + 0.5,
        "dxy": flat,
        "nagelkerke_r2": flat,
        "brier": squared,
        "calibration_intercept": flat + special.logit(rate),
        "calibration_slope": flat,
        "discrimination_index": flat - 1 / n,
        "unreliability_index": unreliability,
        "quality_index": -1 / n - unreliability,
        "g": flat,
        "gp": flat,
    }
    return np.column_stack([values[name] for name in MEASURES])


def better_judged(
    plan: Plan, refits: Refits, apparent: Side, *, insists: bool
) -> tuple[Plan, Refits]:
    """.632+ in the place of Harrell's correction where the model overfits much.

    A caller who insists on Harrell's gets it, and a warning.
    """
    if not isinstance(plan, BootstrapPlan) or plan.method != "bootstrap":
        return plan, refits
    unseen = replace(plan, method=".632+")
    judged = refits.judged_by(unseen)
    own = average_copies(_aucs(apparent), 1)[0]
    sides = judge_refits(judged, lambda side, _: _aucs(side), 1)
    found = correct(own, *sides, unseen, np.array([0.5]))
    share = float(found.overfitting[0])
    if share <= LARGE or not insists:
        return (plan, refits) if share <= LARGE else (unseen, judged)
    msg = (
        f"Relative overfitting of the AUC is {share:.2f} with fewer than {FEW_EVENTS} events per "
        f"candidate parameter: Harrell's bootstrap leaves optimism in. The apparent AUC is "
        f"{own[0]:.3f}, the .632+ estimate {found.corrected[0]:.3f}. Use method='.632+' or "
        "repeated cross-validation, and fewer terms."
    )
    warnings.warn(msg, OptimismWarning, stacklevel=3)
    return plan, refits


def _aucs(side: Side) -> Array:
    return side.sorted.auc()[:, None]
