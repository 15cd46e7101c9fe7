"""The lasso: paths and cross-validation of the L1-penalised logistic likelihood, as glmnet.

Newton steps whose quadratic model is minimised coordinate by coordinate on the small matrix of
cross-products, so that the number of patients does not slow the inner loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import check_lengths
from usstats._fits.likelihood import (
    cross_products,
    log_likelihood,
    log_terms,
    null_log_likelihood,
    score_terms,
)
from usstats._fits.prepared import Prepared, Solution
from usstats._fits.scaling import Scaling, scale_columns
from usstats.errors import ArgumentError, FitError

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

TOLERANCE = 1e-12
MAX_NEWTON, MAX_CHANGES, MAX_SWEEPS = 200, 20, 10_000
PATH_LENGTH, SMALLEST_SHARE = 100, 1e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class LassoPath:
    """Coefficients along a path of penalties, and their cross-validated deviance.

    Attributes
    ----------
    penalties : ndarray, shape (l,)
    coefficients : DataFrame, shape (l, k)
        On the original scale.
    cv : DataFrame
        penalty, deviance (mean per observation), std_error; empty without folds.
    """

    penalties: Vector
    coefficients: pd.DataFrame = field(repr=False)
    cv: pd.DataFrame = field(repr=False)
    n: int
    n_event: int

    @property
    def best(self) -> float:
        """Penalty with the smallest cross-validated deviance (glmnet's lambda.min)."""
        self._check_cv()
        return float(self.cv["penalty"].to_numpy()[self.cv["deviance"].argmin()])

    @property
    def one_se(self) -> float:
        """Largest penalty within one standard error of the best (glmnet's lambda.1se)."""
        self._check_cv()
        best = self.cv.loc[self.cv["deviance"].idxmin()]
        near = self.cv["deviance"] <= best["deviance"] + best["std_error"]
        return float(self.cv.loc[near, "penalty"].max())

    def _check_cv(self) -> None:
        if self.cv.empty:
            msg = "This path was not cross-validated; pass `folds`."
            raise ArgumentError(msg)

    def frame(self) -> pd.DataFrame:
        """One row per penalty and coefficient: penalty, term, estimate."""
        wide = self.coefficients.assign(penalty=self.penalties)
        return wide.melt(id_vars="penalty", var_name="term", value_name="estimate")

    def summary(self) -> str:
        """Extent of the path in a line."""
        return (
            f"lasso path of {len(self.penalties)} penalties from {self.penalties.max():.4g} to "
            f"{self.penalties.min():.4g}; n = {self.n}, events = {self.n_event}, unit: row"
        )


def lasso_solution(data: Prepared, penalty: float | Mapping[str, float] | None) -> Solution:
    """Fit at one penalty.

    Raises
    ------
    ArgumentError
        No penalty, or one that is not a positive number.
    """
    size = penalty.get("lambda") if isinstance(penalty, Mapping) else penalty
    known = isinstance(size, int | float | np.number) and not isinstance(size, bool)
    chosen = float(size) if known else np.nan  # type: ignore[arg-type]
    if not np.isfinite(chosen) or chosen < 0:
        msg = (
            'method="lasso" needs `penalty`, a number >= 0 (glmnet\'s lambda). Choose it by '
            "cross-validation with `lasso_path`, inside every resample of a validation."
        )
        raise ArgumentError(msg)
    problem = _Problem.of(data.X, data.y.astype(float), data.weights)
    beta = problem.solve(problem.start(), chosen)
    lp = problem.Z @ beta
    weights = np.ones(len(data.y)) if data.weights is None else data.weights
    k = len(beta)
    return Solution(
        params=problem.scaling.to_original(beta),
        covariance=np.full((k, k), np.nan),
        log_likelihood=float(log_likelihood(lp, problem.y, weights)),
        null_log_likelihood=float(null_log_likelihood(problem.y, weights)),
        means=problem.scaling.centre,
        centred_intercept=float(beta[0]),
        n_iter=0,
        penalty={"lambda": chosen},
        effective_df=float(np.count_nonzero(beta[1:])),
    )


def lasso_path(
    data: Prepared,
    *,
    penalties: ArrayLike | None = None,
    folds: ArrayLike | None = None,
) -> LassoPath:
    """Coefficients along a path of penalties, cross-validated where folds are given.

    Parameters
    ----------
    data : Prepared
        `fit.development` of any fit of the same columns.
    penalties : sequence of float, optional
        By default 100 values from the smallest that leaves nothing to 1e-4 of it.
    folds : array_like, shape (n,), optional
        Fold of every row; rows of one patient belong in one fold.

    Returns
    -------
    LassoPath

    Raises
    ------
    ArgumentError, PairingError, FitError

    Notes
    -----
    Minimises -loglik / n + penalty * sum |b_j sd_j|, the intercept unpenalised (Friedman, Hastie
    and Tibshirani 2010; R's `glmnet` with standardize = TRUE). Cross-validated deviances average
    folds weighted by their size, and the error is that of `cv.glmnet`.
    """
    y = data.y.astype(float)
    problem = _Problem.of(data.X, y, data.weights)
    if penalties is None:
        penalties = problem.default_path(PATH_LENGTH, SMALLEST_SHARE)
    steps = np.asarray(penalties, dtype=float)
    if steps.ndim != 1 or not steps.size or not (np.isfinite(steps) & (steps >= 0)).all():
        msg = f"`penalties` must be finite numbers >= 0; got {penalties!r}."
        raise ArgumentError(msg)
    coefficients = pd.DataFrame(problem.path(steps), columns=list(data.spec.column_names))
    cv = pd.DataFrame(columns=["penalty", "deviance", "std_error"])
    if folds is not None:
        cv = _cross_validated(data, steps, np.asarray(folds))
    return LassoPath(
        penalties=steps, coefficients=coefficients, cv=cv, n=len(y), n_event=int(y.sum())
    )


def penalty_path(data: Prepared, *, length: int, smallest: float) -> Vector:
    """Penalties from the smallest that leaves nothing down to a share of it, shape (length,)."""
    problem = _Problem.of(data.X, data.y.astype(float), data.weights)
    return problem.default_path(length, smallest)


def _cross_validated(data: Prepared, penalties: Vector, folds: NDArray[np.int64]) -> pd.DataFrame:
    check_lengths(data=data.y, folds=folds)
    y = data.y.astype(float)
    weights = np.ones_like(y) if data.weights is None else data.weights
    means, sizes = [], []
    for fold in np.unique(folds):
        out = folds == fold
        problem = _Problem.of(data.X[~out], y[~out], weights[~out])
        lp = data.X[out] @ problem.path(penalties).T
        deviance = -2 * log_terms(lp.T, y[out]).T
        means.append(np.average(deviance, axis=0, weights=weights[out]))
        sizes.append(weights[out].sum())
    average = np.average(means, axis=0, weights=sizes)
    spread = np.average((np.array(means) - average) ** 2, axis=0, weights=sizes)
    error = np.sqrt(spread / (len(sizes) - 1))
    return pd.DataFrame({"penalty": penalties, "deviance": average, "std_error": error})


@dataclass(frozen=True)
class _Problem:
    """Scaled columns, the intercept first, and weights that add up to one."""

    Z: Matrix
    y: Vector
    weights: Vector
    scaling: Scaling

    @classmethod
    def of(cls, X: Matrix, y: Vector, weights: Vector | None) -> _Problem:
        w = np.ones_like(y) if weights is None else weights
        scaling = scale_columns(X, w)
        return cls(scaling.apply(X), y, w / w.sum(), scaling)

    def start(self) -> Vector:
        """The intercept alone."""
        beta = np.zeros(self.Z.shape[1])
        beta[0] = special.logit(float(self.weights @ self.y))
        return beta

    def default_path(self, length: int, smallest: float) -> Vector:
        residual = self.weights * (self.y - float(self.weights @ self.y))
        largest = float(np.abs(residual @ self.Z[:, 1:]).max())
        return np.geomspace(largest, smallest * largest, length)

    def path(self, penalties: Vector) -> Matrix:
        """Original coefficients at every penalty, each started from the one before."""
        beta, found = self.start(), np.empty((len(penalties), self.Z.shape[1]))
        for i in np.argsort(-penalties, kind="stable"):
            beta = self.solve(beta, float(penalties[i]))
            found[i] = self.scaling.to_original(beta)
        return found

    def solve(self, beta: Vector, penalty: float) -> Vector:
        """Newton steps from `beta` until the coefficients stand still."""
        value = self._objective(beta, penalty)
        for _ in range(MAX_NEWTON):
            residual, variance = score_terms(self.Z @ beta, self.y, self.weights)
            gradient, information = residual @ self.Z, cross_products(self.Z, variance)
            step = _quadratic_minimum(information, gradient, beta, penalty) - beta
            reached = self._objective(beta + step, penalty)
            while reached > value + 1e-12 * (1 + abs(value)) and np.abs(step).max() > TOLERANCE:
                step = step / 2
                reached = self._objective(beta + step, penalty)
            beta, value = beta + step, reached
            if np.abs(step).max() < TOLERANCE:
                return beta
        msg = f"The lasso did not converge at penalty {penalty:.4g}; take a larger one."
        raise FitError(msg)

    def _objective(self, beta: Vector, penalty: float) -> float:
        fit = float(log_likelihood(self.Z @ beta, self.y, self.weights))
        return penalty * float(np.abs(beta[1:]).sum()) - fit


def _quadratic_minimum(H: Matrix, gradient: Vector, start: Vector, penalty: float) -> Vector:
    """Minimum of the quadratic model with its penalty, from `start`.

    The signs of the coefficients that are not zero turn the penalty into a straight line: solve
    for them, leave out the first that would change its sign, take in the one that the score pulls
    hardest (feature-sign search; Lee, Battle, Raina and Ng 2006). Columns that outnumber the
    patients can make that cycle; coordinate descent finishes what is left.
    """
    target, beta = H @ start + gradient, start.copy()
    prices = np.full(beta.size, penalty)
    prices[0] = 0.0
    signs, active = np.sign(beta), (beta != 0) | (prices == 0)
    for _ in range(MAX_CHANGES * beta.size):
        aim = _aim(H, target - prices * signs, active)
        leaving = np.flatnonzero(active & (prices > 0) & (aim * signs < 0))
        if leaving.size:
            share = beta[leaving] / (beta[leaving] - aim[leaving])
            first = leaving[share.argmin()]
            beta += share.min() * (aim - beta)
            beta[first] = signs[first] = 0.0
            active[first] = False
            continue
        beta, pull = aim, target - H @ aim
        excess = np.where(active, 0.0, np.abs(pull) - prices)
        entering = int(excess.argmax())
        if excess[entering] <= TOLERANCE:
            break
        active[entering], signs[entering] = True, np.sign(pull[entering])
    return _polished(H, target, beta, prices)


def _aim(H: Matrix, right: Vector, active: NDArray[np.bool_]) -> Vector:
    """Where the active coefficients would go with the signs they have."""
    rows, aim = np.flatnonzero(active), np.zeros(right.size)
    try:
        aim[rows] = np.linalg.solve(H[np.ix_(rows, rows)], right[rows])
    except np.linalg.LinAlgError:
        aim[rows] = np.linalg.lstsq(H[np.ix_(rows, rows)], right[rows], rcond=None)[0]
    return aim


def _polished(H: Matrix, target: Vector, beta: Vector, prices: Vector) -> Vector:
    """Coordinate descent until no coefficient moves; nothing to do at the minimum."""
    slope = target - H @ beta
    diagonal = np.maximum(np.diag(H), np.finfo(float).tiny)
    for _ in range(MAX_SWEEPS):
        pull = diagonal * beta + slope
        shrunk = np.sign(pull) * np.maximum(np.abs(pull) - prices, 0.0) / diagonal
        if np.abs(shrunk - beta).max() < TOLERANCE:
            return beta
        for j in range(beta.size):
            pull_j = diagonal[j] * beta[j] + slope[j]
            new = np.sign(pull_j) * max(abs(pull_j) - prices[j], 0.0) / diagonal[j]
            slope -= H[:, j] * (new - beta[j])
            beta[j] = new
    return beta
