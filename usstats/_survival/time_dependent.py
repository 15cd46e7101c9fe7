"""Numerics of the time-dependent AUC and Brier score: estimates with each row's influence.

An influence is what a row adds: estimate = truth + mean of the influences, so that their sample
variance over n is the estimate's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usstats._survival.ipcw import CensoringMartingale, Weights

Float = np.float64
Vector = NDArray[Float]


def auc_at(
    score: Vector, weights: Weights, martingale: CensoringMartingale
) -> tuple[float, Vector]:
    """Cumulative/dynamic AUC: cases weighted by 1 / G(T-), controls alike; ties count one half.

    NaN without a case or a control.
    """
    n, w, control = score.size, weights.case, weights.control
    F, P = float(w.mean()), float(control.mean())
    if F == 0 or P == 0:
        return np.nan, np.full(n, np.nan)
    below = _share_below(score, score[control], np.ones(int(control.sum()))) / n
    above = (w.sum() - _share_below(score, score[w > 0], w[w > 0])) / n * control
    ranked = w * below
    N = float(ranked.mean())
    A = N / (F * P)
    of_pairs = ranked + above - 2 * N + martingale.integral(ranked)
    of_cases = w - F + martingale.integral(w)
    influence = (of_pairs - A * (P * of_cases + F * (control - P))) / (F * P)
    return A, influence


def _share_below(score: Vector, others: Vector, weights: Vector) -> Vector:
    """Weight of the others below each score, those at it one half."""
    order = np.argsort(others, kind="stable")
    ordered = others[order]
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    lower, upper = (np.searchsorted(ordered, score, side=side) for side in ("left", "right"))
    return np.asarray((total[lower] + total[upper]) / 2)


def brier_at(
    risk: Vector, weights: Weights, martingale: CensoringMartingale, t: float
) -> tuple[float, Vector]:
    """Mean weighted squared distance of the risk from the outcome at t."""
    beyond = np.where(weights.control, weights.beyond, 0.0)
    residual = weights.case * (1 - risk) ** 2 + beyond * risk**2
    estimate = float(residual.mean())
    reach = martingale.reach_until(t)
    return estimate, residual - estimate + martingale.integral(residual, reach)
