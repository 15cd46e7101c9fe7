"""Cox's partial likelihood: value, derivatives and residuals, ties by Efron or Breslow.

With d events at one time, Efron's method takes them one after the other, each leaving the risk set
by the share f = 0, 1/d, 2/d ... of all d; Breslow's leaves f = 0. Every sum over a risk set is
a sum from the last patient backwards, so that cost grows as the sort.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]
Codes = NDArray[np.int64]

#: A risk set that weighs less, relative to the riskiest patient, lies beyond any estimate.
LEAST_AT_RISK = 1e-200


@dataclass(frozen=True)
class AtEvents:
    """What the events see at one beta, one entry an event, in order of time.

    `weights` are exp(lp - shift) of all rows, `phi` the weight at risk, `mean` the weighted mean
    of the columns in the risk set.
    """

    log_likelihood: float
    weights: Vector
    shift: float
    phi: Vector
    mean: Matrix


@dataclass(frozen=True)
class PartialLikelihood:
    """Columns sorted by time, with the risk set of every event.

    Attributes
    ----------
    Z : ndarray, shape (n, k)
        Scaled columns without an intercept, in order of time.
    order : ndarray of int, shape (n,)
        Row of the caller's data at each place.
    times : ndarray, shape (m,)
        Distinct event times.
    passed : ndarray of int, shape (n,)
        How many of these are not after the row's own time: it is at risk at exactly those.
    rows, group : ndarray of int, shape (n_event,)
        Places of the events, and the position of their time among `times`.
    share : ndarray, shape (n_event,)
        f of Efron's method.
    penalty : ndarray, shape (k, k)
    """

    Z: Matrix
    order: Codes
    times: Vector
    passed: Codes
    rows: Codes
    group: Codes
    share: Vector
    penalty: Matrix

    @classmethod
    def of(
        cls, Z: Matrix, time: Vector, event: Codes, *, ties: str, penalty: Matrix | None = None
    ) -> PartialLikelihood:
        """Sort rows and count risk sets."""
        order = np.argsort(time, kind="stable")
        ordered = time[order]
        rows = np.flatnonzero(event[order] == 1)
        times, group, tied = np.unique(ordered[rows], return_inverse=True, return_counts=True)
        first = np.concatenate([[0], np.cumsum(tied)[:-1]])
        place = np.arange(rows.size) - first[group]
        k = Z.shape[1]
        return cls(
            Z=np.ascontiguousarray(Z[order]),
            order=order,
            times=times,
            passed=np.searchsorted(times, ordered, side="right"),
            rows=rows,
            group=group,
            share=place / tied[group] if ties == "efron" else np.zeros(rows.size),
            penalty=np.zeros((k, k)) if penalty is None else penalty,
        )

    def with_columns(self, columns: list[int]) -> PartialLikelihood:
        """The same risk sets with some of the columns, without a penalty."""
        k = len(columns)
        return replace(self, Z=self.Z[:, columns], penalty=np.zeros((k, k)))

    def shortfall(self, lp: Vector) -> Vector:
        """How far each event stays below the highest `lp` (in order of time) at risk with it."""
        highest = np.maximum.accumulate(lp[::-1])[::-1]
        first = np.searchsorted(self.passed, np.arange(1, self.times.size + 1))
        return np.asarray(highest[first][self.group] - lp[self.rows])

    def at_events(self, beta: Vector) -> AtEvents:
        """Risk sets at one beta."""
        lp = self.Z @ beta
        shift = float(lp.max())
        weights = np.exp(lp - shift)
        weighted = np.column_stack([weights, weights[:, None] * self.Z])
        at_risk = self._at_risk(weighted)[self.group]
        leaving = self._by_time(weighted[self.rows])[self.group]
        sums = at_risk - self.share[:, None] * leaving
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float((lp[self.rows] - shift - np.log(sums[:, 0])).sum())
            mean = sums[:, 1:] / sums[:, :1]
        return AtEvents(value, weights, shift, sums[:, 0], mean)

    def derivatives(self, beta: Vector) -> tuple[float, Vector, Matrix]:
        """Objective, gradient, and the information of the likelihood alone."""
        seen = self.at_events(beta)
        value, pull = seen.log_likelihood, self.penalty @ beta
        if not (seen.phi > LEAST_AT_RISK).all():
            return -np.inf, np.full_like(beta, np.nan), np.full_like(self.penalty, np.nan)
        gradient = self.Z[self.rows].sum(axis=0) - seen.mean.sum(axis=0)
        information = self.information(seen, np.ones(len(self.rows)))
        return value - 0.5 * float(beta @ pull), gradient - pull, information

    def information(self, seen: AtEvents, by: Vector) -> Matrix:
        """Sum over events of `by` times the weighted covariance of the columns at risk."""
        exposure = seen.weights * self.exposure((by / seen.phi)[:, None])[:, 0]
        second = self.Z.T @ (self.Z * exposure[:, None])
        return np.asarray(second - seen.mean.T @ (seen.mean * by[:, None]))

    def exposure(self, increments: Matrix) -> Matrix:
        """What each row collects: increments of the events it was at risk for, (n, c).

        A row that fails among ties collects 1 - f of its own time's increments.
        """
        total = np.cumsum(self._by_time(increments), axis=0)
        collected = np.vstack([np.zeros(increments.shape[1]), total])[self.passed]
        missed = self._by_time(increments * self.share[:, None])
        collected[self.rows] -= missed[self.group]
        return np.asarray(collected)

    def _by_time(self, values: Matrix) -> Matrix:
        """Sums of values of events over tied events, (m, c)."""
        starts = np.searchsorted(self.group, np.arange(self.times.size))
        return np.asarray(np.add.reduceat(values, starts, axis=0))

    def _at_risk(self, values: Matrix) -> Matrix:
        """Sums of values of rows over the risk set at each event time, (m, c)."""
        first = np.searchsorted(self.passed, np.arange(1, self.times.size + 1))
        return np.asarray(values[::-1].cumsum(axis=0)[::-1][first])

    def score_residuals(self, beta: Vector) -> Matrix:
        """Each row's part in the gradient, in the caller's order, (n, k)."""
        seen = self.at_events(beta)
        increments = np.column_stack([1 / seen.phi, seen.mean / seen.phi[:, None]])
        collected = seen.weights[:, None] * self.exposure(increments)
        residuals = collected[:, 1:] - self.Z * collected[:, :1]
        tied = np.bincount(self.group)[:, None]
        average = self._by_time(seen.mean) / tied
        residuals[self.rows] += self.Z[self.rows] - average[self.group]
        out = np.empty_like(residuals)
        out[self.order] = residuals
        return out
