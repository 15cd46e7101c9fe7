"""Counting true and false positives at every threshold at once.

A row's stratum is the number of thresholds its risk reaches; one count per stratum, summed from
the top, gives every threshold. The same counts serve the data and their resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]
#: Whole numbers from draws with replacement, or fractions from a Bayesian bootstrap.
Weights = NDArray[Any]

#: Cells of the risk scale with a known least count; a power of two, so that the cell is exact.
CELLS = 4096


@dataclass(frozen=True)
class Rates:
    """True and false positives as shares of the cohort: (b, n_model, n_threshold).

    `prevalence`, shape (b,), is the share of events: what treating everybody would find.
    """

    true_positive: NDArray[Float]
    false_positive: NDArray[Float]
    prevalence: Vector

    def with_references(self) -> Rates:
        """Append treat_all and treat_none as the last two strategies."""
        b, _, n_threshold = self.true_positive.shape
        everybody = np.repeat(self.prevalence[:, None, None], n_threshold, axis=2)
        nobody = np.zeros((b, 1, n_threshold))
        return Rates(
            np.concatenate([self.true_positive, everybody, nobody], axis=1),
            np.concatenate([self.false_positive, 1 - everybody, nobody], axis=1),
            self.prevalence,
        )

    def net_benefit(self, thresholds: Vector, harm: Vector) -> NDArray[Float]:
        """NB = TP - FP t / (1 - t) - harm; shape (b, n_model, n_threshold)."""
        return self.true_positive - self.false_positive * odds(thresholds) - harm[:, None]


class Cohort(Protocol):
    """Data that turn row weights into rates."""

    def rates(self, weights: Weights) -> Rates:
        """`weights` of shape (b, n): how often each row counts."""


class Draws(Protocol):
    """Row weights of many replicates, a block at a time."""

    def counts(self, start: int, stop: int) -> Weights:
        """Weights of replicates start..stop-1, shape (stop - start, n)."""

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges (start, stop) of a size that memory bears."""


def odds(thresholds: Vector) -> Vector:
    """The weight of a false positive against a true positive."""
    return thresholds / (1 - thresholds)


def reached(risk: Vector, thresholds: Vector) -> Codes:
    """How many of the ascending thresholds each risk reaches (risk >= threshold).

    A risk of exactly 0 reaches none, not even the threshold 0: it stands for "never treat", and
    net benefit then joins its limit from the right.

    >>> reached(np.array([0.0, 0.1, 0.25]), np.array([0.0, 0.1, 0.3])).tolist()
    [0, 2, 2]
    """
    sure = np.searchsorted(thresholds, np.arange(CELLS + 1) / CELLS, side="right")
    count = sure[(risk * CELLS).astype(np.int64)]
    above = np.append(thresholds, np.inf)
    for _ in range(np.diff(sure).max()):
        count += above[count] <= risk
    count[risk <= 0] = 0
    return count


def from_the_top(counts: NDArray[Any]) -> NDArray[Float]:
    """Sum the strata (last axis) from the highest down: entry k counts strata k and above."""
    return counts[..., ::-1].cumsum(axis=-1)[..., ::-1]


@dataclass(frozen=True)
class BinaryCohort:
    """A 0/1 outcome; `strata` has one array of `reached` a model."""

    y: Codes
    strata: Sequence[Codes]
    n_threshold: int
    prevalence: float | None

    def rates(self, weights: Weights) -> Rates:
        """Shares of the cohort, or of a population with the stated prevalence."""
        count = self._count_one if len(weights) == 1 else self._count_many
        positive = from_the_top(count(weights))
        false_positive, true_positive = positive[:, :, 0, 1:], positive[:, :, 1, 1:]
        others, events = positive[:, 0, 0, :1, None], positive[:, 0, 1, :1, None]
        observed = (events / (events + others))[:, 0, 0]
        if self.prevalence is None:
            n = events + others
            return Rates(true_positive / n, false_positive / n, observed)
        with np.errstate(invalid="ignore"):
            return Rates(
                true_positive / events * self.prevalence,
                false_positive / others * (1 - self.prevalence),
                np.full_like(observed, self.prevalence),
            )

    @cached_property
    def _cells(self) -> list[Codes]:
        """Outcome and stratum of each row as one number, by model."""
        return [self.y * (self.n_threshold + 1) + stratum for stratum in self.strata]

    def _count_one(self, weights: Weights) -> NDArray[Float]:
        size = self.n_threshold + 1
        counts = [np.bincount(cells, weights[0], 2 * size) for cells in self._cells]
        return np.reshape(counts, (1, -1, 2, size))

    def _count_many(self, weights: Weights) -> NDArray[Float]:
        """Rows by outcome and stratum: (b, n_model, 2, n_threshold + 1)."""
        size = self.n_threshold + 1
        columns = np.ascontiguousarray(weights.T)
        counts = [(members @ columns).T.reshape(-1, 2, size) for members in self._members]
        return np.stack(counts, axis=1).astype(float)

    @cached_property
    def _members(self) -> list[sparse.csc_matrix]:
        """Which rows stand in which cell: a matrix (cell, row) of ones a model."""
        n, n_cell = self.y.size, 2 * (self.n_threshold + 1)
        ones, ends = np.ones(n, dtype=np.int64), np.arange(n + 1)
        return [sparse.csc_matrix((ones, cells, ends), shape=(n_cell, n)) for cells in self._cells]


def replicate_net_benefit(
    cohort: Cohort, draws: Draws, thresholds: Vector, harm: Vector
) -> NDArray[Float]:
    """Net benefit of every strategy in every resample: (n_boot, n_model + 2, n_threshold)."""
    return np.concatenate(
        [
            cohort.rates(draws.counts(start, stop)).with_references().net_benefit(thresholds, harm)
            for start, stop in draws.chunks()
        ]
    )
