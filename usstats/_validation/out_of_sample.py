"""What refitted models say of the patients they have not seen, and how sure an AUC is by that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usstats._check import Float
from usstats._roc.limits import Limits, logit_limits, newcombe_limits
from usstats._roc.placements import auc_covariance, place
from usstats._validation.indexes import Side
from usstats._validation.plans import Plan
from usstats._validation.refits import Refits

Array = NDArray[Float]


def out_of_sample_lp(refits: Refits, plan: Plan, apparent: Side) -> Array:
    """Mean linear predictor of each row over the refits without it, shape (n,).

    A row that every refit has seen keeps the model's own.
    """
    total, times = np.zeros((2, apparent.y.size))
    for chunk in refits.chunks():
        start = int(chunk.which[0])
        unseen = plan.unseen(start, int(chunk.which[-1]) + 1)[chunk.which - start]
        lp = chunk.test.lp.reshape(len(chunk.which), -1, total.size).mean(axis=1)
        total += (unseen * lp).sum(axis=0)
        times += unseen.sum(axis=0)
    own = apparent.lp.mean(axis=0)
    return np.asarray(np.divide(total, times, out=own, where=times > 0))


def auc_variance(lp: Array, y: Array, patient: NDArray[np.int64]) -> float:
    """DeLong's variance of the AUC of these predictions, Obuchowski's over patients."""
    event = y == 1
    values = place(y.astype(np.int64), lp).values[:, None]
    clustered = np.unique(patient).size < patient.size
    return float(auc_covariance(values, event, patient if clustered else None)[0, 0])


def corrected_auc_limits(auc: float, variance: float, y: Array, conf_level: float) -> Limits:
    """On the logit scale; a score interval where the AUC or its variance has reached an end."""
    if 0 < auc < 1 and variance > 0:
        return logit_limits(auc, variance, conf_level)
    events = int(y.sum())
    return newcombe_limits(min(max(auc, 0.0), 1.0), events, y.size - events, conf_level)
