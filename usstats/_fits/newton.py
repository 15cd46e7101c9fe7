"""Newton's method for the logistic likelihood, and for any other with the same derivatives.

Columns are centred and scaled inside, so that neither the origin nor the unit of a covariate
decides whether the information matrix can be inverted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from usstats._fits.likelihood import MANY_ROWS, Rows, null_log_likelihood, score_terms
from usstats._fits.scaling import Scaling, scale_columns
from usstats.errors import FitError

__all__ = [
    "BATCH_ITERATIONS",
    "NewtonFit",
    "Objective",
    "Summit",
    "ascend",
    "climb",
    "newton_logistic",
    "newton_step",
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
#: A fit of many rows starts from the fit of every so many-th of them.
PILOT_STEP = 16
#: Beyond this linear predictor a fit may be separated.
SUSPICIOUS_LP = 15.0


class Objective(Protocol):
    """A log-likelihood, less half a quadratic penalty, that Newton's method climbs."""

    @property
    def penalty(self) -> Matrix:
        """P of the penalty b'Pb / 2."""

    def derivatives(self, beta: Vector) -> tuple[float, Vector, Matrix]:
        """Objective, its gradient, and the information of the likelihood alone."""


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
    return _finished(rows, ascend(rows, _start(rows), max_iter))


def _start(rows: Rows) -> Vector:
    """The intercept of the event rate; for many rows the fit of a systematic sample of them."""
    beta = rows.start()
    if len(rows.y) < MANY_ROWS:
        return beta
    try:
        return ascend(rows.every(PILOT_STEP), beta, MAX_ITERATIONS).beta
    except FitError:
        return beta


@dataclass(frozen=True)
class Summit:
    """Where a climb ended: the estimate, the objective and its derivatives there."""

    beta: Vector
    value: float
    gradient: Vector
    information: Matrix
    n_iter: int


def climb(rows: Objective, beta: Vector, max_iter: int) -> tuple[Vector, Matrix, int]:
    """Newton steps until the last gains nothing: estimate, information, number of steps."""
    top = ascend(rows, beta, max_iter)
    return top.beta, top.information, top.n_iter


def ascend(rows: Objective, beta: Vector, max_iter: int, *, longest: float | None = None) -> Summit:
    """Newton steps, none of them longer than `longest`, until the last gains nothing.

    Raises
    ------
    FitError
        Singular information, or steps that do not end.
    """
    here = Summit(beta, *rows.derivatives(beta), 0)
    for iteration in range(1, max_iter + 1):
        step = newton_step(here.information + rows.penalty, here.gradient)
        decrement = float(here.gradient @ step)
        if longest is not None:
            step = step * min(1.0, longest / max(float(np.abs(step).max()), longest))
        here = _moved(rows, here, step, iteration)
        if decrement < DECREMENT:
            return here
    msg = (
        f"The likelihood was not maximised in {max_iter} Newton steps (last gain "
        f"{decrement:.1e}). Look for separation with `detect_separation`, or penalise."
    )
    raise FitError(msg)


def newton_step(information: Matrix, gradient: Matrix) -> Matrix:
    """Solve information @ step = gradient, for one gradient or the columns of a matrix.

    Raises
    ------
    FitError
        The information is singular.
    """
    try:
        factor = linalg.cho_factor(information)
    except linalg.LinAlgError:
        msg = (
            "The information matrix is singular: columns depend on each other, or the data are "
            "separated. Look with `detect_separation`, or penalise."
        )
        raise FitError(msg) from None
    return np.asarray(linalg.cho_solve(factor, gradient))


def _moved(rows: Objective, here: Summit, step: Vector, iteration: int) -> Summit:
    """Take the step, halved until the objective does not fall by more than rounding."""
    allowed = here.value - 1e-10 * (1 + abs(here.value))
    for _ in range(HALVINGS):
        reached = rows.derivatives(here.beta + step)
        if reached[0] >= allowed:
            break
        step = step / 2
    return Summit(here.beta + step, *reached, iteration)


def _finished(rows: Rows, top: Summit) -> NewtonFit:
    jacobian, beta = rows.scaling.jacobian(), top.beta
    inverse = newton_step(top.information + rows.penalty, np.eye(beta.size))
    back = rows.scaling.inverse_jacobian()
    pull = 0.5 * float(beta @ rows.penalty @ beta)
    return NewtonFit(
        params=rows.scaling.to_original(beta),
        covariance=_symmetric(jacobian @ inverse @ jacobian.T),
        information=_symmetric(back.T @ top.information @ back),
        log_likelihood=top.value + pull,
        null_log_likelihood=float(null_log_likelihood(rows.y, rows.weights)),
        scaling=rows.scaling,
        scaled=beta,
        scaled_covariance=inverse,
        converged=True,
        n_iter=top.n_iter,
    )


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) / 2


def sandwich(
    fit: NewtonFit, X: Matrix, y: Vector, weights: Vector | None, cluster: Codes
) -> Matrix:
    """Huber-White covariance over patients, without a small-sample factor (R's `robcov`)."""
    Z = fit.scaling.apply(X)
    residual, _ = score_terms(Z @ fit.scaled, y, weights)
    scores = np.zeros((int(cluster.max()) + 1, Z.shape[1]))
    np.add.at(scores, cluster, Z * residual[:, None])
    half = scores @ fit.scaled_covariance @ fit.scaling.jacobian().T
    return _symmetric(half.T @ half)
