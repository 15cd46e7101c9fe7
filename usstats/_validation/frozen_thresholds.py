"""A threshold chosen where the model was fitted, and what it achieves there and elsewhere."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import Float
from usstats._validation.indexes import Side
from usstats._validation.judged import Judged
from usstats._validation.refits import Refits, average_copies

Array = NDArray[Float]


class Rule(Protocol):
    """How a threshold is chosen from outcomes and risks."""

    def choose(self, y: ArrayLike, p: ArrayLike) -> float:
        """The threshold."""


def choose_on_copies(rule: Rule, side: Side) -> float:
    """One threshold for all rows of a side: completed copies are stacked, drawn rows repeated."""
    times = side.w.astype(int)
    risk = [np.repeat(special.expit(lp), t) for lp, t in zip(side.lp, times, strict=True)]
    y = [np.repeat(side.y, t) for t in times]
    return float(rule.choose(np.concatenate(y), np.concatenate(risk)))


def accuracies(side: Side, threshold: float | Array) -> Array:
    """Sensitivity and specificity of each row at its threshold, shape (r, 2)."""
    positive = special.expit(side.lp) >= np.reshape(threshold, (-1, 1))
    event = side.w * side.y
    other = side.w - event
    with np.errstate(invalid="ignore"):
        sensitivity = (event * positive).sum(axis=1) / event.sum(axis=1)
        specificity = (other * ~positive).sum(axis=1) / other.sum(axis=1)
    return np.column_stack([sensitivity, specificity])


def judge_thresholds(rule: Rule, threshold: float, apparent: Side, refits: Refits) -> Judged:
    """Sensitivity and specificity: the model's at its threshold, each replicate's at its own."""
    training, test = np.full((2, refits.n_boot, 2), np.nan)
    for chunk in refits.chunks():
        n = len(chunk.which)
        at = np.array([choose_on_copies(rule, side) for side in _split(chunk.training, n)])
        for target, side in ((training, chunk.training), (test, chunk.test)):
            own = np.repeat(at, len(side.lp) // n)
            target[chunk.which] = average_copies(accuracies(side, own), n)
    positive = float((special.expit(apparent.lp) >= threshold).mean())
    return Judged(
        names=("sensitivity", "specificity"),
        apparent=average_copies(accuracies(apparent, threshold), 1)[0],
        no_information=np.array([positive, 1 - positive]),
        training=training,
        test=test,
    )


def _split(side: Side, n: int) -> list[Side]:
    """A side with the rows of one replicate each."""
    lp = np.split(side.lp, n)
    w = [None] * n if side.weights is None else np.split(side.weights, n)
    return [Side(part, side.y, weights) for part, weights in zip(lp, w, strict=True)]
