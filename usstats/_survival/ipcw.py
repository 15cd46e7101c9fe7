"""Inverse probability of censoring weights, and what estimating them adds to a variance.

A mean of a_i / G(T_i) has the influence a_k / G(T_k) - mean + the sum over i of a_i / G(T_i) times
the martingale integral of row k up to T_i. `CensoringMartingale` adds that last part up in one
pass over the censoring times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._survival.censoring import FollowUp, ProductLimit

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class CensoringMartingale:
    """Steps of the censoring hazard, and which of them concern each row.

    Attributes
    ----------
    steps : ndarray, shape (m,)
        Their times.
    at_risk, hazard : ndarray, shape (m,)
        Share of all rows at risk, and hazard, at each step.
    own : ndarray of int, shape (n,)
        The step at which a row's own censoring counts; `censored` says whether it has one.
    passed : ndarray of int, shape (n,)
        How many steps a row was at risk for.
    reach : ndarray of int, shape (n,)
        How many steps change the weight of a row that fails at its time.
    """

    steps: Vector
    at_risk: Vector
    hazard: Vector
    censored: NDArray[np.bool_]
    own: Codes
    passed: Codes
    reach: Codes

    def integral(self, weighted: Vector, reach: Codes | None = None) -> Vector:
        """For each row k, the mean over i of weighted_i times k's integral up to i's reach."""
        m = self.steps.size
        if not m:
            return np.zeros_like(weighted)
        charged = np.bincount(self.reach if reach is None else reach, weighted, minlength=m + 1)
        share = charged[::-1].cumsum()[::-1][1:] / self.at_risk
        compensator = np.concatenate([[0.0], np.cumsum(self.hazard * share)])
        jump = np.where(self.censored, share[np.minimum(self.own, m - 1)], 0.0)
        return np.asarray((jump - compensator[self.passed]) / weighted.size)

    def reach_until(self, t: float) -> Codes:
        """`reach` of rows that are followed beyond t: every step up to it."""
        steps = int(np.searchsorted(self.steps, t, side="right"))
        return np.minimum(self.reach, steps)


def censoring_martingale(follow_up: FollowUp) -> CensoringMartingale:
    """Steps at the distinct censoring times, everybody not gone before being at risk.

    The tie rule of R's ``riskRegression::Score``.
    """
    time, event = follow_up.time, follow_up.event
    steps, censored = np.unique(time[event == 0], return_counts=True)
    at_risk = follow_up.n - np.searchsorted(np.sort(time), steps, side="left")
    return CensoringMartingale(
        steps=steps,
        at_risk=at_risk / follow_up.n,
        hazard=censored / at_risk,
        censored=event == 0,
        own=np.searchsorted(steps, time, side="left"),
        passed=np.searchsorted(steps, time, side="right"),
        reach=np.searchsorted(steps, time, side="left"),
    )


def sequential_martingale(follow_up: FollowUp) -> CensoringMartingale:
    """A step at every row, tied rows one after the other in the order they are given.

    The tie rule of R's ``timeROC``: a censoring's own jump falls on the first row of its time.
    """
    n, order = follow_up.n, np.argsort(follow_up.time, kind="stable")
    time, censored = follow_up.time[order], follow_up.event[order] == 0
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    left = np.arange(n, 0, -1)
    return CensoringMartingale(
        steps=time,
        at_risk=left / n,
        hazard=censored / left,
        censored=follow_up.event == 0,
        own=np.searchsorted(time, follow_up.time, side="left"),
        passed=place + 1,
        reach=place + 1,
    )


@dataclass(frozen=True)
class Weights:
    """Inverse probability of censoring weights at one time t.

    `case`, shape (n,), is 1 / G(T-) for rows that failed by t, else 0; `control`, shape (n,),
    whether a row was followed beyond t, and `beyond` their weight 1 / G(t).
    """

    case: Vector
    control: NDArray[np.bool_]
    beyond: float


def weights_at(follow_up: FollowUp, G: ProductLimit, t: float, *, strict: bool) -> Weights:
    """Weights at t; `strict` leaves events at exactly t out of the cases."""
    early = follow_up.time < t if strict else follow_up.time <= t
    failed = early & (follow_up.event == 1)
    before = G.before(follow_up.time)
    case = np.divide(1.0, before, out=np.zeros_like(before), where=failed)
    control = follow_up.time > t
    still = float(G.at(np.array([t]))[0])
    return Weights(case, control, 1 / still if control.any() else np.nan)
