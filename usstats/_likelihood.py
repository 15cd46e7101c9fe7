"""The logistic log-likelihood of many rows: value, gradient and information, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._scaling import ROWS_AT_A_TIME, Scaling, scale_columns

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]


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
        scaling = scale_columns(design, w)
        jacobian = scaling.jacobian()
        k = design.shape[1]
        scaled = np.zeros((k, k)) if penalty is None else jacobian.T @ penalty @ jacobian
        shift = None if offset is None else np.asarray(offset, dtype=float)
        return cls(scaling.apply(design), outcome, w, shift, scaling, scaled)

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

    def pieces(self) -> Iterator[tuple[Matrix, Vector, Vector | None, Vector | None]]:
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
        for z, y, w, shift in self.pieces():
            lp = z @ beta if shift is None else z @ beta + shift
            terms, residual, variance = row_terms(lp, y, w)
            value += terms
            gradient += residual @ z
            information += z.T @ (z * variance[:, None])
        pull = self.penalty @ beta
        return value - 0.5 * float(beta @ pull), gradient - pull, information


def row_terms(lp: Vector, y: Vector, w: Vector | None) -> tuple[float, Vector, Vector]:
    """Log-likelihood, residuals y - p and variances p(1 - p), weighted; one exponential a row."""
    sign = 2 * y - 1
    margin = sign * lp
    small = np.exp(-np.abs(margin))
    whole = 1 + small
    log_terms = np.minimum(margin, 0) - np.log(whole)
    residual = sign * np.where(margin >= 0, small, 1) / whole
    variance = small / whole**2
    if w is None:
        return float(log_terms.sum()), residual, variance
    return float(w @ log_terms), w * residual, w * variance


def null_log_likelihood(y: Vector, weights: Vector | None) -> float:
    """Log-likelihood with the intercept alone, without any offset."""
    w = np.ones_like(y) if weights is None else weights
    share = float(np.average(y, weights=w))
    return float(w.sum() * -(special.entr(share) + special.entr(1 - share)))
