"""Placement values of an ROC curve by one sort, and the covariance of AUCs made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float = np.float64


@dataclass(frozen=True, kw_only=True)
class Placements:
    """Where each case stands among the cases of the other class.

    Attributes
    ----------
    wins : ndarray, shape (n,)
        For an event: non-events with a lower score, ties counted half. For a non-event: events
        with a higher score, ties counted half. Exact multiples of one half.
    event : ndarray of bool, shape (n,)
    """

    wins: NDArray[Float]
    event: NDArray[np.bool_]

    @cached_property
    def n_event(self) -> int:
        return int(np.count_nonzero(self.event))

    @property
    def n_nonevent(self) -> int:
        return len(self.event) - self.n_event

    @cached_property
    def auc(self) -> float:
        """P(event > non-event) + P(tie) / 2, exact up to one rounding."""
        return float(self.wins @ self.event / (self.n_event * self.n_nonevent))

    @cached_property
    def values(self) -> NDArray[Float]:
        """Placement values in [0, 1]: each class's mean is the AUC."""
        return self.wins / np.where(self.event, self.n_nonevent, self.n_event)


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
    sorted_event = event[order]
    events, cases = _below_middle(sorted_event, s[order])
    wins = np.empty(len(y))
    wins[order] = np.where(sorted_event, cases - events, np.count_nonzero(event) - events)
    return Placements(wins=wins, event=event)


def _below_middle(
    event: NDArray[np.bool_], s: NDArray[Float]
) -> tuple[NDArray[Float], NDArray[Float]]:
    """Events, and cases, below the middle of each case's group of equal scores (sorted input)."""
    edges = np.flatnonzero(np.concatenate(([True], s[1:] != s[:-1], [True])))
    events = np.concatenate(([0], np.cumsum(event)))[edges]
    middles = [(count[1:] + count[:-1]) / 2 for count in (events, edges)]
    if len(edges) <= len(s):
        middles = [np.repeat(middle, np.diff(edges)) for middle in middles]
    return middles[0], middles[1]


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
    events, nonevents = (_deviation_sums(values, event == c, cluster) for c in (True, False))
    m, n = int(event.sum()), int((~event).sum())
    within = _outer(events, m) + _outer(nonevents, n)
    if cluster is None:
        return within
    n_cluster = int(cluster.max()) + 1
    cross = events.full.T @ nonevents.full / (m * n) * _small_sample_factor(n_cluster)
    return within + cross + cross.T


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Sums by patient of deviations from the class mean."""

    full: NDArray[Float]
    n_present: int


def _deviation_sums(
    values: NDArray[Float], rows: NDArray[np.bool_], cluster: NDArray[np.int64] | None
) -> _Sums:
    chosen = values[rows]
    deviations = chosen - chosen.mean(axis=0)
    if cluster is None:
        return _Sums(full=deviations, n_present=len(chosen))
    codes, size = cluster[rows], int(cluster.max()) + 1
    sums = [np.bincount(codes, weights=column, minlength=size) for column in deviations.T]
    return _Sums(full=np.stack(sums, axis=1), n_present=len(np.unique(codes)))


def _small_sample_factor(n: int) -> float:
    return n / (n - 1) if n > 1 else np.nan


def _outer(sums: _Sums, n: int) -> NDArray[Float]:
    return np.asarray(sums.full.T @ sums.full / n**2 * _small_sample_factor(sums.n_present))
