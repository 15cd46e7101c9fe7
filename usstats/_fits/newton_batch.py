"""Newton's method for the logistic likelihood of many resamples at once, as weights of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._fits.likelihood import score_terms
from usstats._fits.newton import MAX_ITERATIONS, SUSPICIOUS_LP, newton_logistic
from usstats._fits.scaling import conditioned
from usstats.errors import FitError

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

#: A resample is left after a step that gained this: the next would gain the square of it, over n.
BATCH_DECREMENT = 1e-9
#: Values (resamples x rows) of a batch held at a time.
BATCH_VALUES = 25_000
#: Multiplications up to which OpenBLAS works in one thread; more threads cost small products time.
SINGLE_THREADED, FEWEST = 2**18, 8
#: A resample whose columns are closer to dependent than this is given up.
SMALLEST_EIGENVALUE = 1e-10


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
    scaling, Z = conditioned(design)
    batch = _Batch.of(Z, outcome)
    at_a_time = _at_a_time(outcome.size, batch.products.size)
    pieces = [
        batch.solve(weights[start : start + at_a_time].astype(float), max_iter)
        for start in range(0, len(weights), at_a_time)
    ]
    beta = np.concatenate([piece[0] for piece in pieces])
    converged = np.concatenate([piece[1] for piece in pieces])
    params = scaling.to_original(beta)
    params[~converged] = np.nan
    return params, converged


def _at_a_time(n: int, n_products: int) -> int:
    """Replicates that stay in the cache, and few enough that BLAS starts no threads for them."""
    single = SINGLE_THREADED // max(1, n_products)
    return max(1, min(BATCH_VALUES // max(1, n), single if single >= FEWEST else BATCH_VALUES))


@dataclass(frozen=True)
class _Batch:
    """A scaled design with the products of its columns, ready for weights by the row.

    `start` is the fit of all rows, from which a resample is a few steps away.
    """

    z: Matrix
    y: Vector
    products: Matrix
    upper: tuple[NDArray[np.intp], NDArray[np.intp]]
    start: Vector

    @classmethod
    def of(cls, z: Matrix, y: Vector) -> _Batch:
        i, j = np.triu_indices(z.shape[1])
        return cls(z, y, z[:, i] * z[:, j], (i, j), _fit_of_all(z, y))

    def cross_products(self, weights: Matrix) -> Matrix:
        """(b, n) row weights -> (b, k, k) matrices Z'WZ."""
        k = self.z.shape[1]
        i, j = self.upper
        cross = np.empty((len(weights), k, k))
        cross[:, i, j] = cross[:, j, i] = weights @ self.products
        return cross

    # A separated resample may leave the range of numbers; it is then found not to converge.
    @np.errstate(over="ignore", invalid="ignore")
    def solve(self, counts: Matrix, max_iter: int) -> tuple[Matrix, NDArray[np.bool_]]:
        beta = np.tile(self.start, (len(counts), 1))
        converged = np.zeros(len(counts), dtype=bool)
        left = np.flatnonzero(self._estimable(counts))
        solvable, drawn = left, counts[left]
        for _ in range(max_iter):
            if not left.size:
                break
            step, decrement = self._step(beta[left], drawn)
            beta[left] += step
            converged[left] = decrement < BATCH_DECREMENT
            on = ~(decrement < BATCH_DECREMENT)
            if not on.all():
                left, drawn = left[on], drawn[on]
        extreme = np.abs(beta @ self.z.T).max(axis=1) > SUSPICIOUS_LP
        self._retry(beta, converged, counts, solvable[(extreme | ~converged)[solvable]])
        return beta, converged

    def _estimable(self, counts: Matrix) -> NDArray[np.bool_]:
        """Both classes drawn, and columns that do not depend on each other."""
        size, events = counts.sum(axis=1), counts @ self.y
        both = (events > 0) & (events < size)
        gram = self.cross_products(counts) / np.maximum(size, 1)[:, None, None]
        doubtful = np.flatnonzero(both & ~_surely_regular(gram))
        eigenvalues = np.linalg.eigvalsh(gram[doubtful])
        both[doubtful] = eigenvalues[:, 0] > SMALLEST_EIGENVALUE * eigenvalues[:, -1]
        return np.asarray(both)

    def _step(self, beta: Matrix, counts: Matrix) -> tuple[Matrix, Vector]:
        residual, variance = score_terms(beta @ self.z.T, self.y, counts)
        gradient, information = residual @ self.z, self.cross_products(variance)
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
        again: NDArray[np.intp],
    ) -> None:
        """From the start with step halving: who overshot, or seems to climb without an end."""
        for b in again:
            drawn, converged[b] = counts[b] > 0, False
            try:
                fit = newton_logistic(self.z[drawn], self.y[drawn], counts[b][drawn])
            except FitError:
                continue
            beta[b], converged[b] = fit.params, True


def _fit_of_all(z: Matrix, y: Vector) -> Vector:
    """Where the resamples start; zero where the rows together have no finite maximum."""
    try:
        return newton_logistic(z, y).params
    except FitError:
        return np.zeros(z.shape[1])


def _surely_regular(gram: Matrix) -> NDArray[np.bool_]:
    """Whether a determinant alone rules out a small eigenvalue.

    The other k - 1 eigenvalues multiply to at most (trace / (k - 1))^(k - 1), so the smallest is
    at least the determinant over that; the largest is at most the trace.
    """
    k = gram.shape[-1]
    trace = np.maximum(np.trace(gram, axis1=1, axis2=2), np.finfo(float).tiny)
    sign, log_det = np.linalg.slogdet(gram)
    rest = (k - 1) * np.log(trace / max(k - 1, 1))
    return np.asarray((sign > 0) & (log_det - rest > np.log(SMALLEST_EIGENVALUE * trace)))
