"""Placement values of an ROC curve by one sort, and the covariance of AUCs made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = np.float64
Counts = NDArray[np.signedinteger[Any]]
_BLOCK = 2**15
_WORTH_A_THREAD = 50_000


@dataclass(frozen=True, kw_only=True)
class Placements:
    """Where each case stands among the cases of the other class.

    Attributes
    ----------
    doubled : ndarray of int, shape (n,)
        Twice the `wins`, which makes them whole numbers.
    event : ndarray of bool, shape (n,)
    """

    doubled: Counts
    event: NDArray[np.bool_]

    @cached_property
    def n_event(self) -> int:
        return int(np.count_nonzero(self.event))

    @property
    def n_nonevent(self) -> int:
        return len(self.event) - self.n_event

    @property
    def wins(self) -> NDArray[Float]:
        """For an event: non-events with a lower score, ties counted half. For a non-event: events
        with a higher score, ties counted half."""
        return np.asarray(self.doubled / 2)

    @cached_property
    def auc(self) -> float:
        """P(event > non-event) + P(tie) / 2, exact up to one rounding."""
        blocks = _blocks(len(self.event))
        total = sum(float(self.doubled[b].astype(float) @ self.event[b]) for b in blocks)
        return total / (2 * self.n_event * self.n_nonevent)

    @property
    def values(self) -> NDArray[Float]:
        """Placement values in [0, 1]: each class's mean is the AUC."""
        m, n = self.n_event, self.n_nonevent
        return np.asarray(self.doubled / (2.0 * m + self.event * (2.0 * (n - m))))


def place(y: NDArray[np.int64], s: NDArray[Float]) -> Placements:
    """Placements by one sort, O(n log n) time and O(n) memory.

    Parameters
    ----------
    y : ndarray of 0/1, shape (n,)
    s : ndarray, shape (n,)
        Finite scores.

    Examples
    --------
    >>> place(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).auc
    0.75
    """
    order = np.argsort(s)
    event = y == 1
    doubled = _doubled_wins(event, s, order)
    if doubled is None:
        doubled = _doubled_wins_with_ties(event, s, order)
    return Placements(doubled=doubled, event=event)


def _blocks(n: int) -> Iterator[slice]:
    """Stretches of n cases that stay in the processor's cache."""
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


def place_each(y: NDArray[np.int64], scores: Mapping[str, NDArray[Float]]) -> dict[str, Placements]:
    """Placements of several scores; sorting leaves the interpreter, so threads share long ones."""
    if len(y) < _WORTH_A_THREAD:
        return {name: place(y, s) for name, s in scores.items()}
    with ThreadPoolExecutor(max_workers=min(len(scores), os.cpu_count() or 1)) as pool:
        placed = pool.map(place, repeat(y), scores.values())
        return dict(zip(scores, placed, strict=True))


def _whole(n: int) -> type[np.signedinteger[Any]]:
    """The smallest type that holds twice a count of n cases."""
    return np.int32 if n < 2**29 else np.int64


def _doubled_wins(
    event: NDArray[np.bool_], s: NDArray[Float], order: NDArray[np.intp]
) -> Counts | None:
    """Of distinct scores, None where two are equal; in blocks that stay in the cache."""
    n, m, whole = len(event), int(np.count_nonzero(event)), _whole(len(event))
    doubled = np.empty(n, whole)
    ranks = np.arange(1, min(n, _BLOCK) + 1, dtype=whole)
    seen, last = 0, np.nan
    for start in range(0, n, _BLOCK):
        rows = order[start : start + _BLOCK]
        scores, events = s.take(rows, mode="clip"), event.take(rows, mode="clip")
        if scores[0] == last or (scores[1:] == scores[:-1]).any():
            return None
        count = np.cumsum(events, dtype=whole)
        wins = ranks[: len(rows)] + (start - m)
        wins *= events
        wins -= count
        wins += m - seen
        wins *= 2
        doubled[rows] = wins
        seen, last = seen + int(count[-1]), scores[-1]
    return doubled


def _doubled_wins_with_ties(
    event: NDArray[np.bool_], s: NDArray[Float], order: NDArray[np.intp]
) -> Counts:
    """Of any scores: twice the middle of a group of ties is the sum of its edges."""
    ordered, events_ordered, whole = s[order], event[order], _whole(len(event))
    edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    events = np.concatenate(([0], np.cumsum(events_ordered)))[edges]
    below, events_below = edges[1:] + edges[:-1], events[1:] + events[:-1]
    of_group = np.stack([2 * events[-1] - events_below, below - events_below], axis=1)
    group = np.repeat(np.arange(0, 2 * len(below), 2, dtype=whole), np.diff(edges))
    group += events_ordered
    doubled = np.empty(len(s), whole)
    doubled[order] = of_group.astype(whole).ravel()[group]
    return doubled


def auc_covariance(
    values: NDArray[Float],
    event: NDArray[np.bool_],
    cluster: NDArray[np.int64] | None = None,
) -> NDArray[Float]:
    """Covariance of k AUCs, or of any linear combinations of them.

    With patients in `cluster` this is Obuchowski's (1997) estimator; without, each case is its
    own cluster and the formula becomes DeLong's (1988).

    Parameters
    ----------
    values : ndarray, shape (n, k)
        Placement values; linear combinations of columns give contrasts of AUCs.
    event : ndarray of bool, shape (n,)
    cluster : ndarray of int, shape (n,), optional
        Patient numbers 0..K-1.

    Returns
    -------
    ndarray, shape (k, k)
        NaN where a class has fewer than two patients.
    """
    return _covariance(values, event, cluster, of_events=1.0, of_nonevents=1.0)


def covariance_of_wins(
    doubled: Counts, event: NDArray[np.bool_], cluster: NDArray[np.int64] | None = None
) -> NDArray[Float]:
    """`auc_covariance` of twice counted wins (n, k), or of differences of them.

    Whole numbers until their sums: curves that nearly agree lose no digits, and no array of
    placement values is made.
    """
    m = int(np.count_nonzero(event))
    n = len(event) - m
    return _covariance(doubled, event, cluster, of_events=2.0 * n, of_nonevents=2.0 * m)


def _covariance(
    values: NDArray[Any],
    event: NDArray[np.bool_],
    cluster: NDArray[np.int64] | None,
    *,
    of_events: float,
    of_nonevents: float,
) -> NDArray[Float]:
    """From values that count `of_events` (`of_nonevents`) for one whole placement."""
    if cluster is None:
        squares = _class_squares(values, event)
        return _within(squares[0], of_events) + _within(squares[1], of_nonevents)
    events = _patient_sums(values, event, cluster)
    nonevents = _patient_sums(values, ~event, cluster)
    cross = events.full.T @ nonevents.full / (events.n * of_events * nonevents.n * of_nonevents)
    cross *= _small_sample_factor(int(cluster.max()) + 1)
    own = _within(events.squares(), of_events) + _within(nonevents.squares(), of_nonevents)
    return np.asarray(own + cross + cross.T)


@dataclass(frozen=True, kw_only=True)
class _Squares:
    """Sums of squares and products of deviations from a class mean.

    Attributes
    ----------
    products : ndarray, shape (k, k)
    n : int
        Cases of the class.
    n_unit : int
        Independent units they come from: cases, or patients.
    """

    products: NDArray[Float]
    n: int
    n_unit: int


def _within(squares: _Squares, whole: float) -> NDArray[Float]:
    """Covariance of a class's mean, its values counting `whole` for one placement."""
    factor = _small_sample_factor(squares.n_unit)
    return np.asarray(squares.products / (squares.n * whole) ** 2 * factor)


def _class_squares(values: NDArray[Any], event: NDArray[np.bool_]) -> tuple[_Squares, _Squares]:
    """Of events and of non-events, block by block: no copy of a long column is made."""
    k, m = values.shape[1], int(np.count_nonzero(event))
    n = len(event) - m
    of_class, total = np.zeros(k), np.zeros(k)
    for block in _blocks(len(event)):
        columns = values[block].astype(float)
        of_class += event[block] @ columns
        total += columns.sum(axis=0)
    means = of_class / m, (total - of_class) / n
    products = np.zeros((2, k, k))
    for block in _blocks(len(event)):
        inside = event[block]
        for j, rows in enumerate((inside, ~inside)):
            deviations = (values[block] - means[j]) * rows[:, None]
            products[j] += deviations.T @ deviations
    return (
        _Squares(products=products[0], n=m, n_unit=m),
        _Squares(products=products[1], n=n, n_unit=n),
    )


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Sums by patient of deviations from the class mean."""

    full: NDArray[Float]
    n: int
    n_unit: int

    def squares(self) -> _Squares:
        return _Squares(products=self.full.T @ self.full, n=self.n, n_unit=self.n_unit)


def _patient_sums(
    values: NDArray[Any], among: NDArray[np.bool_], cluster: NDArray[np.int64]
) -> _Sums:
    rows = np.flatnonzero(among)
    chosen = values.take(rows, axis=0)
    deviations = chosen - chosen.mean(axis=0)
    codes, size = cluster[rows], int(cluster.max()) + 1
    sums = [np.bincount(codes, weights=column, minlength=size) for column in deviations.T]
    n_unit = int(np.count_nonzero(np.bincount(codes)))
    return _Sums(full=np.stack(sums, axis=1), n=len(rows), n_unit=n_unit)


def _small_sample_factor(n: int) -> float:
    return n / (n - 1) if n > 1 else np.nan
