"""Covariance of updated coefficients: what the update adds to what the original fit left open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats._calibration.recalibration import Float, Vector
from usstats._updating.closed_test import Rung

Matrix = NDArray[Float]


def propagate(rung: Rung, X: Matrix, y: Vector, original: Vector, covariance: Matrix) -> Matrix:
    """Delta-method covariance of intercept + slope * original coefficients.

    The update is a function of the original coefficients and the new data, which are
    independent: J V_0 J' + G V G', V the covariance of the update given the original
    coefficients, J the derivative of the updated by the original coefficients, found by implicit
    differentiation of the update's score equations.
    """
    J, G = jacobian(rung, X, y, original), _directions(original)
    total = J @ covariance @ J.T + G @ rung.covariance @ G.T
    return np.asarray((total + total.T) / 2)


def _directions(original: Vector) -> Matrix:
    """How the updated coefficients move with the update's intercept and slope, (k + 1, 2)."""
    first = np.zeros(original.size)
    first[0] = 1.0
    return np.column_stack([first, original])


def jacobian(rung: Rung, X: Matrix, y: Vector, original: Vector) -> Matrix:
    """Derivative of the updated by the original coefficients, (k + 1, k + 1)."""
    G, moved = _directions(original), rung.covariance.diagonal() != 0
    step = np.zeros((2, original.size))
    step[moved] = _implicit(rung, X, y, original, moved)
    return np.asarray(rung.slope * np.eye(original.size) + G @ step)


def _implicit(
    rung: Rung, X: Matrix, y: Vector, original: Vector, moved: NDArray[np.bool_]
) -> Matrix:
    """Derivative of the update's own parameters: H^-1 dS / d(original)."""
    lp = X @ original
    Z = np.column_stack([np.ones(lp.size), lp])[:, moved]
    risk = special.expit(rung.intercept + rung.slope * lp)
    weight = risk * (1 - risk)
    score = -rung.slope * (Z * weight[:, None]).T @ X
    if moved[1]:
        score[-1] += (y - risk) @ X
    return np.asarray(np.linalg.solve((Z * weight[:, None]).T @ Z, score))
