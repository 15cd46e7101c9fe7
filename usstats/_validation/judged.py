"""Measures of the model and of its refits, on the cases each was fitted on and on others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._check import Float
from usstats._validation.indexes import MEASURES, Side, indexes
from usstats._validation.overfitting import no_information
from usstats._validation.refits import Refits, average_copies, judge_refits

Array = NDArray[Float]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Some measures before they are summed up.

    `apparent` and `no_information` have shape (k,); `training` and `test` (n_boot, k), NaN where
    a replicate failed.
    """

    names: tuple[str, ...]
    apparent: Array
    no_information: Array
    training: Array
    test: Array

    def and_also(self, other: Judged) -> Judged:
        """Both, side by side."""
        return Judged(
            names=self.names + other.names,
            apparent=np.append(self.apparent, other.apparent),
            no_information=np.append(self.no_information, other.no_information),
            training=np.hstack([self.training, other.training]),
            test=np.hstack([self.test, other.test]),
        )


def judge_measures(apparent: Side, refits: Refits) -> Judged:
    """Every measure of `MEASURES`."""
    training, test = judge_refits(refits, lambda side, _: _columns(side), len(MEASURES))
    return Judged(
        names=MEASURES,
        apparent=average_copies(_columns(apparent), 1)[0],
        no_information=average_copies(no_information(apparent), 1)[0],
        training=training,
        test=test,
    )


def _columns(side: Side) -> Array:
    values = indexes(side)
    return np.column_stack([values[name] for name in MEASURES])
