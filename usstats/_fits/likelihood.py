"""The logistic log-likelihood: its terms, its sums, and the rows of one fit read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._fits.scaling import ROWS_AT_A_TIME, Scaling, conditioned
from usstats._threads import in_threads

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

#: From this many rows on, the pieces are shared among the cores.
MANY_ROWS = 100_000


def log_terms(lp: Vector, y: Vector) -> Vector:
    """Log-likelihood of each row; `lp` may be a table (r, n) of models, `y` holds 0 and 1."""
    margin = (2 * y - 1) * lp
    return np.asarray(np.minimum(margin, 0) - np.log1p(np.exp(-np.abs(margin))))


def score_terms(lp: Vector, y: Vector, w: Vector | None = None) -> tuple[Vector, Vector]:
    """Residual y - p and variance p(1 - p) of each row, times its weight: p = (1 + t) / 2."""
    t = np.tanh(lp / 2)
    variance = t * t
    variance -= 1
    variance *= -0.25
    t *= -0.5
    t += y - 0.5
    if w is not None:
        t *= w
        variance *= w
    return t, variance


def risk_of(lp: Vector) -> Vector:
    """expit(lp), several times faster than `scipy.special.expit` for many values."""
    small = np.exp(-np.abs(lp))
    return np.asarray(np.where(lp >= 0, 1, small) / (1 + small))


def log_likelihood(lp: Vector, y: Vector, w: Vector | None = None) -> Vector:
    """Log-likelihood of each model, over the last axis."""
    terms = log_terms(lp, y)
    return np.asarray(terms.sum(axis=-1) if w is None else np.vecdot(w, terms))


def null_log_likelihood(y: Vector, weights: Vector | None = None) -> Vector:
    """Log-likelihood with the intercept alone, without any offset, over the last axis.

    Examples
    --------
    >>> bool(null_log_likelihood(np.array([0.0, 1.0])) == 2 * np.log(0.5))
    True
    """
    w = np.ones_like(y) if weights is None else weights
    total, events = w.sum(axis=-1), (w * y).sum(axis=-1)
    share = np.divide(events, total, out=np.full_like(total, np.nan), where=total > 0)
    return np.asarray(total * -(special.entr(share) + special.entr(1 - share)))


def cross_products(Z: Matrix, weights: Vector) -> Matrix:
    """Z'WZ for non-negative weights; a product of one matrix with itself costs half."""
    half = Z * np.sqrt(weights)[:, None]
    return np.asarray(half.T @ half)


Piece = tuple[Matrix, Vector, Vector | None, Vector | None]


@dataclass(frozen=True)
class Rows:
    """The scaled data of one fit, read in pieces so that the products stay small."""

    Z: Matrix
    y: Vector
    weights: Vector | None
    offset: Vector | None
    scaling: Scaling
    penalty: Matrix

    @classmethod
    def of(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        weights: ArrayLike | None,
        offset: ArrayLike | None,
        penalty: Matrix | None,
    ) -> Rows:
        design, outcome = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
        w = None if weights is None else np.asarray(weights, dtype=float)
        scaling, Z = conditioned(design, w)
        jacobian = scaling.jacobian()
        k = design.shape[1]
        scaled = np.zeros((k, k)) if penalty is None else jacobian.T @ penalty @ jacobian
        shift = None if offset is None else np.asarray(offset, dtype=float)
        return cls(Z, outcome, w, shift, scaling, scaled)

    def start(self) -> Vector:
        beta = np.zeros(self.Z.shape[1])
        if self.scaling.intercept is not None and self.offset is None:
            share = np.average(self.y, weights=self.weights)
            beta[self.scaling.intercept] = special.logit(share)
        return beta

    def every(self, step: int) -> Rows:
        """A systematic sample of the rows, in the same scale, with its share of the penalty."""
        return replace(
            self,
            Z=self.Z[::step],
            y=self.y[::step],
            weights=None if self.weights is None else self.weights[::step],
            offset=None if self.offset is None else self.offset[::step],
            penalty=self.penalty / step,
        )

    def pieces(self) -> Iterator[Piece]:
        for start in range(0, len(self.y), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            yield (
                self.Z[part],
                self.y[part],
                None if self.weights is None else self.weights[part],
                None if self.offset is None else self.offset[part],
            )

    def derivatives(self, beta: Vector) -> tuple[float, Vector, Matrix]:
        """Objective, gradient, and the information of the likelihood alone."""
        k = beta.size
        value, gradient, information = 0.0, np.zeros(k), np.zeros((k, k))
        many = len(self.y) >= MANY_ROWS
        for part in in_threads(lambda piece: _derivatives(piece, beta), self.pieces(), many=many):
            value += part[0]
            gradient += part[1]
            information += part[2]
        pull = self.penalty @ beta
        return value - 0.5 * float(beta @ pull), gradient - pull, information


def _derivatives(piece: Piece, beta: Vector) -> tuple[float, Vector, Matrix]:
    z, y, w, shift = piece
    lp = z @ beta if shift is None else z @ beta + shift
    residual, variance = score_terms(lp, y, w)
    return float(log_likelihood(lp, y, w)), residual @ z, cross_products(z, variance)
