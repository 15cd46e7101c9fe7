"""Centring and scaling of design columns, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

#: Rows of a single fit in the cache at a time; few enough that BLAS starts no threads for them.
ROWS_AT_A_TIME = 4_096


@dataclass(frozen=True)
class Scaling:
    """z = (x - centre) / spread, with the intercept column left alone."""

    centre: Vector
    spread: Vector
    intercept: int | None

    def apply(self, X: Matrix) -> Matrix:
        """Scaled columns, in one new array."""
        Z = X - self.centre
        Z /= self.spread
        return np.asarray(Z)

    def to_original(self, beta: Vector) -> Vector:
        """Coefficients of the columns as they came."""
        params = beta / self.spread
        if self.intercept is not None:
            params[..., self.intercept] -= (params * self.centre).sum(axis=-1)
        return np.asarray(params)

    def jacobian(self) -> Matrix:
        """The matrix that takes scaled coefficients to original ones."""
        jacobian = np.diag(1 / self.spread)
        if self.intercept is not None:
            jacobian[self.intercept] -= self.centre / self.spread
        return jacobian

    def inverse_jacobian(self) -> Matrix:
        """The matrix that takes original coefficients to scaled ones."""
        inverse = np.diag(self.spread)
        if self.intercept is not None:
            inverse[self.intercept] += self.centre
        return inverse


def scale_columns(X: Matrix, weights: Vector | None = None) -> Scaling:
    """Mean and standard deviation of every column; an intercept is a column of ones."""
    first, ones = X[0], np.flatnonzero(X[0] == 1.0)
    constant = [int(j) for j in ones if (X[:, j] == 1.0).all()]
    intercept = constant[0] if constant else None
    centre = np.average(X, axis=0, weights=weights) if constant else np.zeros_like(first)
    spread = np.sqrt(_mean_squares(X, centre, weights))
    if intercept is not None:
        centre[intercept] = 0.0
        spread[intercept] = 1.0
    spread[spread == 0] = 1.0
    return Scaling(centre=centre, spread=spread, intercept=intercept)


def _mean_squares(X: Matrix, centre: Vector, weights: Vector | None) -> Vector:
    w = np.ones(len(X)) if weights is None else weights
    total = np.zeros_like(centre)
    for start in range(0, len(X), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        total += w[part] @ (X[part] - centre) ** 2
    return np.asarray(total / w.sum())
