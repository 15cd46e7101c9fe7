"""Counting true and false positives at every threshold at once.

A row's stratum is the number of thresholds its risk reaches; one count per stratum, summed from
the top, gives every threshold. The same counts serve the data and their resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usstats.resample import Resamples

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]
Weights = NDArray[np.int64]

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


def _from_the_top(counts: NDArray[Float]) -> NDArray[Float]:
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
        columns = np.ascontiguousarray(weights.T)
        counts = np.stack([self._counts(stratum, columns) for stratum in self.strata], axis=1)
        positive = _from_the_top(counts.astype(float))
        events = weights @ self.y
        others = weights.sum(axis=1) - events
        return self._scaled(positive[..., 1:], events, others)

    def _counts(self, stratum: Codes, columns: Weights) -> NDArray[np.int64]:
        """Rows by outcome and stratum: (b, 2, n_threshold + 1)."""
        size = self.n_threshold + 1
        n = self.y.size
        members = sparse.csc_matrix(
            (np.ones(n, dtype=np.int64), self.y * size + stratum, np.arange(n + 1)),
            shape=(2 * size, n),
        )
        return np.asarray(members @ columns).T.reshape(-1, 2, size)

    def _scaled(self, positive: NDArray[Float], events: Weights, others: Weights) -> Rates:
        false_positive, true_positive = positive[:, :, 0], positive[:, :, 1]
        if self.prevalence is None:
            n = (events + others)[:, None, None]
            return Rates(true_positive / n, false_positive / n, events / (events + others))
        with np.errstate(invalid="ignore"):
            return Rates(
                true_positive / events[:, None, None] * self.prevalence,
                false_positive / others[:, None, None] * (1 - self.prevalence),
                np.full(events.size, self.prevalence),
            )


@dataclass(frozen=True)
class SurvivalCohort:
    """Times to event, censored; rates at the horizon by Kaplan-Meier within test positives.

    `passed` counts, for each row, the distinct event times (up to the horizon) that are not after
    its own time: it is at risk at exactly those.
    """

    strata: Sequence[Codes]
    n_threshold: int
    passed: Codes
    fails: NDArray[np.bool_]
    n_time: int

    def rates(self, weights: Weights) -> Rates:
        """One replicate at a time: a table of event times by strata is enough memory."""
        found = [[self._survival(w, stratum) for stratum in self.strata] for w in weights]
        survival = np.array([[s for s, _ in models] for models in found])
        share = np.array([[f for _, f in models] for models in found])
        return Rates(
            ((1 - survival) * share)[..., 1:],
            (survival * share)[..., 1:],
            1 - survival[:, 0, 0],
        )

    def _survival(self, weight: Weights, stratum: Codes) -> tuple[Vector, Vector]:
        """Kaplan-Meier at the horizon and share of the cohort, above each threshold.

        Entry 0 is everybody. Where the last patient left is censored before the horizon, the
        curve keeps its last value.
        """
        size = self.n_threshold + 1
        left = _table(self.passed, stratum, weight, (self.n_time + 1, size))
        at_risk = _from_the_top(left[::-1].cumsum(axis=0)[::-1][1:])
        rows = self.fails
        failed = _table(self.passed[rows] - 1, stratum[rows], weight[rows], (self.n_time, size))
        hazard = np.divide(
            _from_the_top(failed), at_risk, out=np.zeros_like(at_risk), where=at_risk > 0
        )
        positive = _from_the_top(left.sum(axis=0))
        return np.prod(1 - hazard, axis=0), positive / positive[0]


def _table(row: Codes, column: Codes, weight: Weights, shape: tuple[int, int]) -> NDArray[Float]:
    flat = np.bincount(row * shape[1] + column, weight, minlength=shape[0] * shape[1])
    return np.asarray(flat.reshape(shape), dtype=float)


def follow_up(time: Vector, event: Codes, horizon: float) -> tuple[Codes, NDArray[np.bool_], int]:
    """Event times passed by each row, rows that fail by the horizon, and how many such times."""
    fails = (event == 1) & (time <= horizon)
    times = np.unique(time[fails])
    return np.searchsorted(times, time, side="right"), fails, times.size


def replicate_net_benefit(
    cohort: Cohort, draws: Resamples, thresholds: Vector, harm: Vector
) -> NDArray[Float]:
    """Net benefit of every strategy in every resample: (n_boot, n_model + 2, n_threshold)."""
    return np.concatenate(list(_chunks(cohort, draws, thresholds, harm)))


def _chunks(
    cohort: Cohort, draws: Resamples, thresholds: Vector, harm: Vector
) -> Iterator[NDArray[Float]]:
    for start, stop in draws.chunks():
        rates = cohort.rates(draws.counts(start, stop)).with_references()
        yield rates.net_benefit(thresholds, harm)
