"""Centring and scaling of design columns, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

#: Rows of a single fit in the cache at a time; few enough that BLAS starts no threads for them.
ROWS_AT_A_TIME = 4_096
#: Columns whose correlation matrix has a smaller eigenvalue than this are made orthogonal.
NEARLY_DEPENDENT = 1e-6


@dataclass(frozen=True)
class Scaling:
    """z = (x - centre) / spread, with the intercept column left alone.

    `turn` mixes the slopes' columns further, to orthogonal ones, where they nearly depend on each
    other: a product of a covariate that sits at 1e8, for example.
    """

    centre: Vector
    spread: Vector
    intercept: int | None
    turn: Matrix | None = None

    def apply(self, X: Matrix) -> Matrix:
        """Scaled columns, in one new array."""
        Z = X - self.centre
        Z /= self.spread
        return np.asarray(Z if self.turn is None else Z @ self.turn)

    def to_original(self, beta: Vector) -> Vector:
        """Coefficients of the columns as they came."""
        params = (beta if self.turn is None else beta @ self.turn.T) / self.spread
        if self.intercept is not None:
            params[..., self.intercept] -= (params * self.centre).sum(axis=-1)
        return np.asarray(params)

    def jacobian(self) -> Matrix:
        """The matrix that takes scaled coefficients to original ones."""
        jacobian = np.diag(1 / self.spread)
        if self.intercept is not None:
            jacobian[self.intercept] -= self.centre / self.spread
        return jacobian if self.turn is None else jacobian @ self.turn

    def inverse_jacobian(self) -> Matrix:
        """The matrix that takes original coefficients to scaled ones."""
        inverse = np.diag(self.spread)
        if self.intercept is not None:
            inverse[self.intercept] += self.centre
        return np.asarray(inverse if self.turn is None else np.linalg.solve(self.turn, inverse))

    @property
    def log_volume(self) -> float:
        """By how much the log determinant of a root of the information falls in this scale."""
        shrunk = float(np.log(self.spread).sum())
        return shrunk if self.turn is None else shrunk - float(np.linalg.slogdet(self.turn)[1])


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


def conditioned(X: Matrix, weights: Vector | None = None) -> tuple[Scaling, Matrix]:
    """Scaling that a Newton step can trust, and the scaled columns.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0, 4.0])
    >>> _, Z = conditioned(np.column_stack([np.ones(4), x, x + [0, 1e-5, 0, 0]]))
    >>> np.allclose(Z[:, 1:].T @ Z[:, 1:], 4 * np.eye(2))
    True
    """
    scaling = scale_columns(X, weights)
    Z = scaling.apply(X)
    turn = _turn(Z, scaling.intercept)
    return (scaling, Z) if turn is None else (replace(scaling, turn=turn), Z @ turn)


def _turn(Z: Matrix, intercept: int | None) -> Matrix | None:
    """What makes nearly dependent slopes orthogonal; None where there is no need, or no way."""
    n, k = Z.shape
    slopes = [j for j in range(k) if j != intercept]
    if n <= k or not slopes:
        return None
    eigenvalues = np.linalg.eigvalsh(_gram(Z))
    if eigenvalues[0] > NEARLY_DEPENDENT * eigenvalues[-1]:
        return None
    R = np.linalg.qr(Z[:, slopes], mode="r")
    size = np.abs(np.diag(R))
    if size.min() <= 1e-12 * size.max():
        return None
    turn = np.eye(k)
    turn[np.ix_(slopes, slopes)] = np.sqrt(n) * np.linalg.inv(R)
    return turn


def _gram(Z: Matrix) -> Matrix:
    total = np.zeros((Z.shape[1],) * 2)
    for start in range(0, len(Z), ROWS_AT_A_TIME):
        part = Z[start : start + ROWS_AT_A_TIME]
        total += part.T @ part
    return total
