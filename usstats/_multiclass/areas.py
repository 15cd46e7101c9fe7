"""AUCs between groups of classes, their joint covariance, and their values in resamples.

One-vs-rest curves, and the ordered pairs of Hand and Till, are the same thing: cases of some
classes against cases of others, ranked by one column of probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from usstats._multiclass.labels import ClassRisks, Codes
from usstats._resampling.draws import Resamples
from usstats._roc.placements import auc_covariance, place
from usstats._roc.resampled import weighted_auc

Float = np.float64
Bools = NDArray[np.bool_]
_CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class Design:
    """Which classes stand against which, ranked by which column.

    Attributes
    ----------
    event, against : ndarray of bool, shape (Q, K)
    column : ndarray of int, shape (Q,)
    """

    event: Bools
    against: Bools
    column: Codes

    def rows(self, q: int, y: Codes) -> Codes:
        """Cases that take part in curve q."""
        return np.flatnonzero((self.event[q] | self.against[q])[y])


def one_vs_rest(n_classes: int) -> Design:
    """Each class against all others by its own probability."""
    own = np.eye(n_classes, dtype=bool)
    return Design(event=own, against=~own, column=np.arange(n_classes))


def ordered_pairs(n_classes: int) -> Design:
    """A(i|j) of Hand and Till: class i against class j by the probability of i."""
    first, second = np.nonzero(~np.eye(n_classes, dtype=bool))
    own = np.eye(n_classes, dtype=bool)
    return Design(event=own[first], against=own[second], column=first)


@dataclass(frozen=True, kw_only=True)
class Areas:
    """Q AUCs, and what each case adds to the error of each.

    Attributes
    ----------
    design : Design
    y : ndarray of int, shape (n,)
    estimate : ndarray, shape (Q,)
        NaN where a side has no case.
    influence : ndarray, shape (n, Q)
        (placement - AUC) / size of the case's own side; 0 for cases that take no part.
    """

    design: Design
    y: Codes
    estimate: NDArray[Float]
    influence: NDArray[Float]

    def minus(self, other: Areas) -> Areas:
        """Differences of the AUCs of two sets of probabilities for the same cases."""
        return Areas(
            design=self.design,
            y=self.y,
            estimate=self.estimate - other.estimate,
            influence=self.influence - other.influence,
        )

    def covariance(self, cluster: Codes | None) -> NDArray[Float]:
        """Covariance of the Q AUCs: DeLong's for each curve, Obuchowski's with patients.

        Sums over patients of products of influences, each with the factor I / (I - 1) of the I
        patients behind it: those of the side for two terms of one side (the geometric mean where
        two curves share only part of a side), all patients for terms of different classes.
        """
        unit = np.arange(len(self.y)) if cluster is None else cluster
        of_event = self.design.event.T[self.y]
        sides = (
            (_sums(self.influence * of_event, unit), self.design.event),
            (_sums(self.influence * ~of_event, unit), self.design.against),
        )
        patients = _present(self.y, unit, self.design.event.shape[1])
        everyone = _factor(np.array(len(patients)))
        total = np.zeros((len(self.estimate), len(self.estimate)))
        for left, classes_left in sides:
            for right, classes_right in sides:
                own = np.sqrt(
                    np.outer(
                        _side_factor(patients, classes_left), _side_factor(patients, classes_right)
                    )
                )
                shared = classes_left.astype(int) @ classes_right.T.astype(int) > 0
                total += (left.T @ right) * np.where(shared, own, everyone)
        return total


def _sums(values: NDArray[Float], unit: Codes) -> NDArray[Float]:
    return np.stack([np.bincount(unit, weights=column) for column in values.T], axis=1)


def _present(y: Codes, unit: Codes, n_classes: int) -> Bools:
    """Which patients have a case of which class; shape (patients, K)."""
    present = np.zeros((int(unit.max()) + 1, n_classes), dtype=bool)
    present[unit, y] = True
    return present


def _side_factor(patients: Bools, classes: Bools) -> NDArray[Float]:
    behind = (patients.astype(int) @ classes.T.astype(int) > 0).sum(axis=0)
    return _factor(behind)


def _factor(n: NDArray[np.int64]) -> NDArray[Float]:
    return np.asarray(np.divide(n, n - 1.0, out=np.full(n.shape, np.nan), where=n > 1))


def class_areas(risks: ClassRisks, design: Design) -> Areas:
    """AUCs of a design by one sort a curve."""
    size = len(design.column)
    estimate, influence = np.full(size, np.nan), np.zeros((len(risks.y), size))
    for q, column in enumerate(design.column):
        rows = design.rows(q, risks.y)
        event = design.event[q][risks.y[rows]]
        if event.all() or not event.any():
            influence[:, q] = np.nan
            continue
        placed = place(event.astype(np.int64), risks.p[rows, column])
        estimate[q] = placed.auc
        side = np.where(event, placed.n_event, placed.n_nonevent)
        influence[rows, q] = (placed.values - placed.auc) / side
    return Areas(design=design, y=risks.y, estimate=estimate, influence=influence)


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Every "is it class k" decision of every case in one curve (the micro average).

    Attributes
    ----------
    event : ndarray of bool, shape (n * K,)
    score : ndarray, shape (n * K,)
    """

    event: Bools
    score: NDArray[Float]
    n: int

    @classmethod
    def of(cls, risks: ClassRisks) -> Pooled:
        n, n_classes = risks.p.shape
        event = risks.y[:, None] == np.arange(n_classes)
        return cls(event=event.ravel(), score=risks.p.ravel(), n=n)

    @cached_property
    def placements(self) -> tuple[float, NDArray[Float]]:
        placed = place(self.event.astype(np.int64), self.score)
        return placed.auc, placed.values

    def variance(self, values: NDArray[Float], cluster: Codes | None) -> float:
        """Obuchowski's, since the K decisions about one case (patient) hang together."""
        unit = np.arange(self.n) if cluster is None else cluster
        rows = np.repeat(unit, len(self.event) // self.n)
        return float(auc_covariance(values[:, None], self.event, rows)[0, 0])


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """One curve, sorted once: the case behind each entry, events, and where scores change."""

    rows: Codes
    event: NDArray[Float]
    first: Codes

    @classmethod
    def of(cls, rows: Codes, event: Bools, score: NDArray[Float]) -> Sorted:
        order = np.argsort(score, kind="stable")
        change = np.concatenate(([True], np.diff(score[order]) != 0))
        return cls(rows=rows[order], event=event[order].astype(float), first=np.flatnonzero(change))

    def areas(self, weights: NDArray[Float]) -> NDArray[Float]:
        """AUC for each row of case weights."""
        return weighted_auc(weights[:, self.rows], self.event, self.first)


def sorted_curves(risks: ClassRisks, designs: Sequence[Design]) -> list[Sorted]:
    """All curves of the designs, and the pooled one last."""
    curves = []
    for design in designs:
        for q, column in enumerate(design.column):
            rows = design.rows(q, risks.y)
            curves.append(
                Sorted.of(rows, design.event[q][risks.y[rows]], risks.p[rows, column])
                if len(rows)
                else Sorted.of(np.arange(1), np.array([True]), np.zeros(1))
            )
    pooled = Pooled.of(risks)
    cases = np.repeat(np.arange(pooled.n), risks.p.shape[1])
    return [*curves, Sorted.of(cases, pooled.event, pooled.score)]


def areas_of_weights(
    curves: Sequence[Sorted], own: NDArray[Float], weights: Iterator[NDArray[Float]]
) -> tuple[NDArray[Float], NDArray[Float]]:
    """AUC of every curve in every resample, NaN where a side is absent, shape (n_boot, Q); and the
    cases of each class, shape (n_boot, K).

    `own` says which class each case has.
    """
    areas, counts = [], []
    for block in weights:
        areas.append(np.stack([curve.areas(block) for curve in curves], axis=1))
        counts.append(block @ own)
    return np.concatenate(areas), np.concatenate(counts)


def drawn_weights(draws: Resamples) -> Iterator[NDArray[Float]]:
    """How often each case was drawn, in blocks of resamples."""
    for start, stop in draws.chunks(_CHUNK_BYTES):
        yield draws.counts(start, stop).astype(float)


def weights_without_each(draws: Resamples) -> Iterator[NDArray[Float]]:
    """All cases but those of one patient, in blocks of patients."""
    size = max(1, _CHUNK_BYTES // (8 * draws.n))
    for start in range(0, draws.n_unit, size):
        units = np.arange(start, min(start + size, draws.n_unit))
        yield (draws.unit != units[:, None]).astype(float)
