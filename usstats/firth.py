"""Firth's penalised likelihood: finite estimates where maximum likelihood has none.

Intervals and tests come from the profile of the penalised likelihood, in which the determinant of
the full information matrix stays whatever is held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, optimize, special

from usstats._intervals import check_conf_level
from usstats._prepared import Prepared, Solution
from usstats._scaling import Scaling, scale_columns
from usstats.errors import ArgumentError, FitError
from usstats.newton import newton_logistic, null_log_likelihood

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

TOLERANCE = 1e-9
MAX_ITERATIONS = 500
LONGEST_STEP = 5.0
HALVINGS = 30
#: Doublings of the search for a profile limit before it is called infinite.
DOUBLINGS = 40


@dataclass(frozen=True, kw_only=True)
class ProfileLimits:
    """Profile penalised-likelihood limits and likelihood-ratio tests, one per coefficient."""

    conf_level: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    statistic: tuple[float, ...]
    p_value: tuple[float, ...]


@dataclass(frozen=True)
class _State:
    """Penalised log-likelihood at a point, with its score and the information."""

    value: float
    score: Vector
    information: Matrix
    leverage: Vector


@dataclass(frozen=True)
class Jeffreys:
    """The likelihood times the square root of the information's determinant, on scaled columns."""

    Z: Matrix
    y: Vector
    weights: Vector

    @classmethod
    def of(cls, data: Prepared, scaling: Scaling) -> Jeffreys:
        """The penalised likelihood of prepared data."""
        y = data.y.astype(float)
        weights = np.ones_like(y) if data.weights is None else data.weights
        return cls(scaling.apply(data.X), y, weights)

    def at(self, beta: Vector) -> _State:
        """Everything a step needs.

        Raises
        ------
        FitError
            The information is singular.
        """
        lp = self.Z @ beta
        p = special.expit(lp)
        variance = self.weights * p * special.expit(-lp)
        information = self.Z.T @ (self.Z * variance[:, None])
        try:
            factor = linalg.cho_factor(information)
        except linalg.LinAlgError:
            msg = "Firth's information matrix is singular; leave columns out, or use ridge."
            raise FitError(msg) from None
        leverage = variance * (self.Z * linalg.cho_solve(factor, self.Z.T).T).sum(axis=1)
        likelihood = float(self.weights @ (self.y * lp - np.logaddexp(0, lp)))
        residual = self.weights * (self.y - p) + leverage * (0.5 - p)
        half_log_det = float(np.log(np.diag(factor[0])).sum())
        return _State(likelihood + half_log_det, residual @ self.Z, information, leverage)

    def climb(self, beta: Vector, held: Matrix) -> tuple[Vector, _State]:
        """Maximise from `beta` while the combinations `held` @ beta keep their values.

        Raises
        ------
        FitError
            No convergence.
        """
        state = self.at(beta)
        for _ in range(MAX_ITERATIONS):
            step = _step(state, held)
            moved, reached = self._shortened(beta, state, step)
            if np.abs(step).max() < TOLERANCE:
                return moved, reached
            beta, state = moved, reached
        msg = f"Firth's likelihood was not maximised in {MAX_ITERATIONS} steps; use ridge."
        raise FitError(msg)

    def _shortened(self, beta: Vector, state: _State, step: Vector) -> tuple[Vector, _State]:
        """Take the step, halved until the penalised likelihood does not fall."""
        for _ in range(HALVINGS):
            reached = self.at(beta + step)
            if reached.value >= state.value - 1e-10 * (1 + abs(state.value)):
                break
            step = step / 2
        return beta + step, reached


def _step(state: _State, held: Matrix) -> Vector:
    """Scoring step inside the plane on which the held combinations do not change."""
    step = linalg.solve(state.information, state.score, assume_a="pos")
    if len(held):
        step = step - _towards(state.information, held, held @ step)
    return np.asarray(step * min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), LONGEST_STEP)))


def _towards(information: Matrix, held: Matrix, change: Vector) -> Vector:
    """The likeliest move that changes the held combinations by `change`."""
    ways = linalg.solve(information, held.T, assume_a="pos")
    return np.asarray(ways @ linalg.solve(held @ ways, change, assume_a="pos"))


def firth_solution(data: Prepared, method: str) -> Solution:
    """Firth's estimate, or FLIC or FLAC made from it.

    Parameters
    ----------
    data : Prepared
    method : {"firth", "flic", "flac"}
        "flic" re-estimates the intercept by maximum likelihood, "flac" adds Firth's pseudo
        observations with an indicator of their own; both predict the observed event rate.

    Notes
    -----
    Firth (1993); Heinze and Schemper (2002); Puhr, Heinze, Nold, Lusa and Geroldinger (2017). The
    covariance is the inverse Fisher information; R's `logistf` prints smaller standard errors,
    from weights that count the pseudo observations as data.
    """
    scaling = scale_columns(data.X, data.weights)
    problem = Jeffreys.of(data, scaling)
    beta, state = problem.climb(*_start(problem))
    if method == "flac":
        beta, inverse = _flac(problem, state)
    else:
        beta = _flic(problem, beta) if method == "flic" else beta
        inverse = linalg.inv(problem.at(beta).information)
    jacobian = scaling.jacobian()
    lp = problem.Z @ beta
    return Solution(
        params=scaling.to_original(beta),
        covariance=jacobian @ inverse @ jacobian.T,
        log_likelihood=float(problem.weights @ (problem.y * lp - np.logaddexp(0, lp))),
        null_log_likelihood=null_log_likelihood(problem.y, data.weights),
        penalised_log_likelihood=state.value + float(np.log(scaling.spread).sum()),
        means=scaling.centre,
        centred_intercept=float(beta[0]),
        n_iter=0,
    )


def _start(problem: Jeffreys) -> tuple[Vector, Matrix]:
    """Zero coefficients, and nothing held."""
    k = problem.Z.shape[1]
    return np.zeros(k), np.empty((0, k))


def _flic(problem: Jeffreys, beta: Vector) -> Vector:
    slopes = np.append(0.0, beta[1:])
    ones = np.ones((len(problem.y), 1))
    fit = newton_logistic(ones, problem.y, problem.weights, offset=problem.Z @ slopes)
    return np.append(fit.params, beta[1:])


def _flac(problem: Jeffreys, state: _State) -> tuple[Vector, Matrix]:
    """Maximum likelihood of the data with their pseudo observations, told apart by a column."""
    n, k = problem.Z.shape
    pseudo = np.repeat([0.0, 1.0, 1.0], n)
    X = np.column_stack([np.tile(problem.Z, (3, 1)), pseudo])
    y = np.concatenate([problem.y, problem.y, 1 - problem.y])
    w = np.concatenate([problem.weights, state.leverage / 2, state.leverage / 2])
    fit = newton_logistic(X, y, w)
    return fit.params[:k], fit.covariance[:k, :k]


def firth_limits(data: Prepared, *, conf_level: float = 0.95) -> ProfileLimits:
    """Profile limits and likelihood-ratio tests of every coefficient of a Firth fit.

    Raises
    ------
    FitError
    """
    level = check_conf_level(conf_level)
    profile = _Profile.of(data)
    quantile = float(special.chdtri(1, 1 - level))
    rows = []
    for combination in profile.scaling.jacobian():
        statistic = profile.drop(combination[None], np.zeros(1))
        low, high = (profile.limit(combination[None], quantile, side) for side in (-1, 1))
        rows.append((low, high, statistic, float(special.chdtrc(1, statistic))))
    columns = [tuple(column) for column in zip(*rows, strict=True)]
    names = ("low", "high", "statistic", "p_value")
    return ProfileLimits(conf_level=level, **dict(zip(names, columns, strict=True)))


@dataclass(frozen=True)
class _Profile:
    """The penalised likelihood along combinations of scaled coefficients."""

    problem: Jeffreys
    scaling: Scaling
    beta: Vector
    best: _State

    @classmethod
    def of(cls, data: Prepared) -> _Profile:
        scaling = scale_columns(data.X, data.weights)
        problem = Jeffreys.of(data, scaling)
        beta, best = problem.climb(*_start(problem))
        return cls(problem, scaling, beta, best)

    def drop(self, held: Matrix, values: Vector) -> float:
        """Twice the fall of the likelihood when combinations are held at other values."""
        move = _towards(self.best.information, held, values - held @ self.beta)
        return 2 * (self.best.value - self.problem.climb(self.beta + move, held)[1].value)

    def limit(self, held: Matrix, quantile: float, side: int) -> float:
        """Where the fall reaches the quantile; infinite where it never does."""
        centre = float((held @ self.beta)[0])
        ways = linalg.solve(self.best.information, held.T, assume_a="pos")
        near, far = centre, centre + side * 2 * float(np.sqrt((held @ ways)[0, 0]))

        def above(value: float) -> float:
            return self.drop(held, np.array([value])) - quantile

        for _ in range(DOUBLINGS):
            if above(far) > 0:
                return float(optimize.brentq(above, near, far, rtol=1e-10))
            near, far = far, far + (far - centre)
        return side * float("inf")


def firth_test(data: Prepared, columns: Sequence[str]) -> pd.DataFrame:
    """Penalised likelihood-ratio test that some coefficients are all zero.

    Parameters
    ----------
    data : Prepared
        `fit.development` of a fit with method="firth".
    columns : sequence of str
        Names of coefficients; the intercept stays free unless it is named.

    Returns
    -------
    DataFrame
        One row: term, statistic, df, p_value, method.

    Raises
    ------
    ArgumentError
        No such coefficient.

    Notes
    -----
    Writing R's `logistftest(~ x)` drops the intercept as well; `~ x - 1` is this test.
    """
    names = list(data.spec.column_names)
    unknown = [name for name in columns if name not in names]
    if unknown or not columns:
        msg = f"`columns` must name coefficients of {names}; got {list(columns)}."
        raise ArgumentError(msg)
    profile = _Profile.of(data)
    held = profile.scaling.jacobian()[[names.index(name) for name in columns]]
    df = len(columns)
    statistic = profile.drop(held, np.zeros(df))
    row = {
        "term": " + ".join(columns),
        "statistic": statistic,
        "df": df,
        "p_value": float(special.chdtrc(df, statistic)),
        "method": "penalised likelihood ratio",
    }
    return pd.DataFrame([row])
