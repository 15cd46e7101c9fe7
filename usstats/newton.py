"""Newton's method for the logistic likelihood: one fit, or many resamples at once.

Columns are centred and scaled inside, so that neither the origin nor the unit of a covariate
decides whether the information matrix can be inverted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special

from usstats._likelihood import Rows, null_log_likelihood, row_terms
from usstats._scaling import Scaling, scale_columns
from usstats.errors import FitError

__all__ = [
    "BATCH_ITERATIONS",
    "NewtonFit",
    "newton_logistic",
    "newton_logistic_batch",
    "null_log_likelihood",
    "sandwich",
    "scale_columns",
]

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]
Codes = NDArray[np.int64]

#: The last step must gain less than this in log-likelihood (Newton's decrement, squared).
DECREMENT = 1e-13
#: Along a separated direction each step gains about one unit; such a climb does not end in time.
MAX_ITERATIONS = BATCH_ITERATIONS = 25
HALVINGS = 40
#: Values (resamples x rows) of a batch held at a time.
BATCH_VALUES = 1_000_000
#: From this many rows on, a fit of every so many-th row is the start.
MANY_ROWS = 100_000
PILOT_STEP = 16
#: A resample whose columns are closer to dependent than this is given up.
SMALLEST_EIGENVALUE = 1e-10


@dataclass(frozen=True, kw_only=True)
class NewtonFit:
    """The maximum of a (penalised) logistic likelihood.

    `information` is that of the likelihood alone; `covariance` inverts it with the penalty added.
    `scaled` and `scaled_covariance` are the same estimates for the columns of `scaling`, which
    lose no digits when a column sits far from zero.
    """

    params: Vector
    covariance: Matrix
    information: Matrix
    log_likelihood: float
    null_log_likelihood: float
    scaling: Scaling
    scaled: Vector
    scaled_covariance: Matrix
    converged: bool
    n_iter: int


def newton_logistic(
    X: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    offset: ArrayLike | None = None,
    penalty: Matrix | None = None,
    max_iter: int = MAX_ITERATIONS,
) -> NewtonFit:
    """Maximise the logistic log-likelihood, less half a quadratic penalty where one is given.

    Parameters
    ----------
    X : array_like, shape (n, k)
        Design matrix; a column of ones is the intercept.
    y : array_like, shape (n,)
        0/1.
    weights : array_like, shape (n,), optional
        Non-negative case weights.
    offset : array_like, shape (n,), optional
        Part of the linear predictor with coefficient 1.
    penalty : ndarray, shape (k, k), optional
        P of the penalty b'Pb / 2, on the columns as they are given.
    max_iter : int
        Newton steps before giving up.

    Returns
    -------
    NewtonFit

    Raises
    ------
    FitError
        Singular information, or no convergence: the maximum may be infinite (separation).

    Examples
    --------
    >>> X = np.column_stack([np.ones(6), [0.0, 1, 2, 3, 4, 5]])
    >>> fit = newton_logistic(X, [0, 0, 1, 0, 1, 1])
    >>> fit.params
    array([-3.03..., 1.21...])
    """
    rows = Rows.of(X, y, weights, offset, penalty)
    beta, information, n_iter = _climb(rows, _start(rows), max_iter)
    return _finished(rows, beta, n_iter, information)


def _start(rows: Rows) -> Vector:
    """The intercept of the event rate; for many rows the fit of a systematic sample of them."""
    beta = rows.start()
    if len(rows.y) < MANY_ROWS:
        return beta
    try:
        return _climb(rows.every(PILOT_STEP), beta, MAX_ITERATIONS)[0]
    except FitError:
        return beta


def _climb(rows: Rows, beta: Vector, max_iter: int) -> tuple[Vector, Matrix, int]:
    """Newton steps until the last gains nothing: estimate, information, number of steps."""
    value, gradient, information = rows.derivatives(beta)
    for iteration in range(1, max_iter + 1):
        step = _newton_step(information + rows.penalty, gradient)
        decrement = float(gradient @ step)
        beta, value, gradient, information = _ascend(rows, beta, step, value)
        if decrement < DECREMENT:
            return beta, information, iteration
    msg = (
        f"The likelihood was not maximised in {max_iter} Newton steps (last gain "
        f"{decrement:.1e}). Look for separation with `detect_separation`, or penalise."
    )
    raise FitError(msg)


def _newton_step(information: Matrix, gradient: Vector) -> Vector:
    try:
        factor = linalg.cho_factor(information)
    except linalg.LinAlgError:
        msg = (
            "The information matrix is singular: columns depend on each other, or the data are "
            "separated. Look with `detect_separation`, or penalise."
        )
        raise FitError(msg) from None
    return np.asarray(linalg.cho_solve(factor, gradient))


def _ascend(
    rows: Rows, beta: Vector, step: Vector, value: float
) -> tuple[Vector, float, Vector, Matrix]:
    """Take the step, halved until the objective does not fall by more than rounding."""
    allowed = value - 1e-10 * (1 + abs(value))
    for _ in range(HALVINGS):
        reached, gradient, information = rows.derivatives(beta + step)
        if reached >= allowed:
            break
        step = step / 2
    return beta + step, reached, gradient, information


def _finished(rows: Rows, beta: Vector, n_iter: int, information: Matrix) -> NewtonFit:
    jacobian = rows.scaling.jacobian()
    k = beta.size
    inverse = linalg.cho_solve(linalg.cho_factor(information + rows.penalty), np.eye(k))
    back = linalg.inv(jacobian)
    pull = 0.5 * float(beta @ rows.penalty @ beta)
    return NewtonFit(
        params=rows.scaling.to_original(beta),
        covariance=_symmetric(jacobian @ inverse @ jacobian.T),
        information=_symmetric(back.T @ information @ back),
        log_likelihood=rows.derivatives(beta)[0] + pull,
        null_log_likelihood=null_log_likelihood(rows.y, rows.weights),
        scaling=rows.scaling,
        scaled=beta,
        scaled_covariance=inverse,
        converged=True,
        n_iter=n_iter,
    )


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) / 2


def sandwich(
    fit: NewtonFit, X: Matrix, y: Vector, weights: Vector | None, cluster: Codes
) -> Matrix:
    """Huber-White covariance over patients, without a small-sample factor (R's `robcov`)."""
    Z = fit.scaling.apply(X)
    _, residual, _ = row_terms(Z @ fit.scaled, y, weights)
    scores = np.zeros((int(cluster.max()) + 1, Z.shape[1]))
    np.add.at(scores, cluster, Z * residual[:, None])
    half = scores @ fit.scaled_covariance @ fit.scaling.jacobian().T
    return _symmetric(half.T @ half)


def newton_logistic_batch(
    X: ArrayLike,
    y: ArrayLike,
    counts: ArrayLike,
    *,
    max_iter: int = MAX_ITERATIONS,
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Refit the model in many resamples at once.

    Parameters
    ----------
    X : array_like, shape (n, k)
        Design matrix with its column of ones.
    y : array_like, shape (n,)
        0/1.
    counts : array_like, shape (B, n)
        How often replicate b drew row i.
    max_iter : int
        Newton steps per replicate.

    Returns
    -------
    params : ndarray, shape (B, k)
        NaN where the replicate has no finite maximum.
    converged : ndarray of bool, shape (B,)
        False for replicates with one class only, dependent columns or separation.

    Notes
    -----
    Replicates stop one by one. Those that plain Newton steps do not bring home are tried again
    with step halving; what then fails is separated.

    Examples
    --------
    >>> X = np.column_stack([np.ones(6), [0.0, 1, 2, 3, 4, 5]])
    >>> y = [0, 0, 1, 0, 1, 1]
    >>> params, converged = newton_logistic_batch(X, y, [[1] * 6, [2, 2, 0, 0, 1, 1]])
    >>> converged.tolist()
    [True, False]
    """
    design, outcome = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    weights = np.asarray(counts)
    scaling = scale_columns(design)
    batch = _Batch.of(scaling.apply(design), outcome)
    at_a_time = max(1, BATCH_VALUES // max(1, outcome.size))
    pieces = [
        batch.solve(weights[start : start + at_a_time].astype(float), max_iter)
        for start in range(0, len(weights), at_a_time)
    ]
    beta = np.concatenate([piece[0] for piece in pieces])
    converged = np.concatenate([piece[1] for piece in pieces])
    params = scaling.to_original(beta)
    params[~converged] = np.nan
    return params, converged


@dataclass(frozen=True)
class _Batch:
    """A scaled design with the products of its columns, ready for weights by the row."""

    z: Matrix
    y: Vector
    products: Matrix
    upper: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    def of(cls, z: Matrix, y: Vector) -> _Batch:
        i, j = np.triu_indices(z.shape[1])
        return cls(z, y, z[:, i] * z[:, j], (i, j))

    def cross_products(self, weights: Matrix) -> Matrix:
        """(b, n) row weights -> (b, k, k) matrices Z'WZ."""
        k = self.z.shape[1]
        i, j = self.upper
        cross = np.empty((len(weights), k, k))
        cross[:, i, j] = cross[:, j, i] = weights @ self.products
        return cross

    def solve(self, counts: Matrix, max_iter: int) -> tuple[Matrix, NDArray[np.bool_]]:
        beta = np.zeros((len(counts), self.z.shape[1]))
        converged = np.zeros(len(counts), dtype=bool)
        left = np.flatnonzero(self._estimable(counts))
        solvable = left
        for _ in range(max_iter):
            if not left.size:
                break
            step, decrement = self._step(beta[left], counts[left])
            beta[left] += step
            converged[left] = decrement < DECREMENT
            left = left[~(decrement < DECREMENT)]
        self._retry(beta, converged, counts, solvable)
        return beta, converged

    def _estimable(self, counts: Matrix) -> NDArray[np.bool_]:
        """Both classes drawn, and columns that do not depend on each other."""
        size, events = counts.sum(axis=1), counts @ self.y
        both = (events > 0) & (events < size)
        gram = self.cross_products(counts) / np.maximum(size, 1)[:, None, None]
        eigenvalues = np.linalg.eigvalsh(gram)
        return np.asarray(both & (eigenvalues[:, 0] > SMALLEST_EIGENVALUE * eigenvalues[:, -1]))

    def _step(self, beta: Matrix, counts: Matrix) -> tuple[Matrix, Vector]:
        p = special.expit(beta @ self.z.T)
        gradient = (counts * (self.y - p)) @ self.z
        information = self.cross_products(counts * p * (1 - p))
        k = beta.shape[1]
        trace = np.trace(information, axis1=1, axis2=2)
        nudge = (1e-14 * trace + np.finfo(float).tiny)[:, None, None] * np.eye(k)
        step = np.linalg.solve(information + nudge, gradient[:, :, None])[:, :, 0]
        return step, np.asarray((gradient * step).sum(axis=1))

    def _retry(
        self,
        beta: Matrix,
        converged: NDArray[np.bool_],
        counts: Matrix,
        solvable: NDArray[np.intp],
    ) -> None:
        """Step halving for the replicates that overshot."""
        for b in solvable[~converged[solvable]]:
            drawn = counts[b] > 0
            try:
                fit = newton_logistic(self.z[drawn], self.y[drawn], counts[b][drawn])
            except FitError:
                continue
            beta[b], converged[b] = fit.params, True
