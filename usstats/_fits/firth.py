"""Firth's penalised likelihood: finite estimates where maximum likelihood has none.

Intervals and tests come from the profile of the penalised likelihood, in which the determinant of
the full information matrix stays whatever is held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, optimize, special

from usstats._fits.likelihood import (
    cross_products,
    log_likelihood,
    null_log_likelihood,
    score_terms,
)
from usstats._fits.newton import ascend, newton_logistic, newton_step
from usstats._fits.prepared import Prepared, Solution
from usstats._fits.scaling import Scaling, conditioned
from usstats._intervals import check_conf_level
from usstats.errors import ArgumentError, FitError

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

MAX_ITERATIONS = 500
LONGEST_STEP = 5.0
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
class Jeffreys:
    """The likelihood times the square root of the information's determinant, on scaled columns.

    A point is beta = origin + ways @ gamma, so that a climb in gamma stays in a plane.
    """

    Z: Matrix
    y: Vector
    weights: Vector
    origin: Vector
    ways: Matrix

    @classmethod
    def of(cls, data: Prepared, scaling: Scaling) -> Jeffreys:
        """The penalised likelihood of prepared data, all coefficients free."""
        y = data.y.astype(float)
        weights = np.ones_like(y) if data.weights is None else data.weights
        k = data.X.shape[1]
        return cls(scaling.apply(data.X), y, weights, np.zeros(k), np.eye(k))

    @property
    def penalty(self) -> Matrix:
        """None that is quadratic."""
        return np.zeros((self.ways.shape[1],) * 2)

    def leverage(self, beta: Vector) -> tuple[float, Vector, Matrix]:
        """Half the log determinant of the information, the leverages, and the information.

        Raises
        ------
        FitError
            The information is singular.
        """
        _, variance = score_terms(self.Z @ beta, self.y, self.weights)
        information = cross_products(self.Z, variance)
        try:
            factor = linalg.cho_factor(information)
        except linalg.LinAlgError:
            msg = "Firth's information matrix is singular; leave columns out, or use ridge."
            raise FitError(msg) from None
        leverage = variance * (self.Z * linalg.cho_solve(factor, self.Z.T).T).sum(axis=1)
        return float(np.log(np.diag(factor[0])).sum()), leverage, information

    def derivatives(self, gamma: Vector) -> tuple[float, Vector, Matrix]:
        """Penalised log-likelihood, its score and the information, along the free ways."""
        beta = self.origin + self.ways @ gamma
        half_log_det, leverage, information = self.leverage(beta)
        lp = self.Z @ beta
        residual, _ = score_terms(lp, self.y, self.weights)
        pull, _ = score_terms(lp, np.full_like(self.y, 0.5), leverage)
        value = float(log_likelihood(lp, self.y, self.weights)) + half_log_det
        score = ((residual + pull) @ self.Z) @ self.ways
        return value, score, self.ways.T @ information @ self.ways

    def summit(self) -> tuple[Vector, float, Matrix]:
        """The maximum from the origin: coefficients, value, information of all of them.

        Raises
        ------
        FitError
            No convergence.
        """
        start = np.zeros(self.ways.shape[1])
        if not start.size:
            return self.origin, self.derivatives(start)[0], self.leverage(self.origin)[2]
        top = ascend(self, start, MAX_ITERATIONS, longest=LONGEST_STEP)
        beta = self.origin + self.ways @ top.beta
        return beta, top.value, self.leverage(beta)[2]


def _towards(information: Matrix, held: Matrix, change: Vector) -> Vector:
    """The likeliest move that changes the held combinations by `change`."""
    ways = newton_step(information, held.T)
    return np.asarray(ways @ newton_step(held @ ways, change))


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
    scaling, _ = conditioned(data.X, data.weights)
    problem = Jeffreys.of(data, scaling)
    beta, value, information = problem.summit()
    if method == "flac":
        beta, inverse = _flac(problem, beta)
    else:
        if method == "flic":
            beta = _flic(problem, beta)
            information = problem.leverage(beta)[2]
        inverse = newton_step(information, np.eye(beta.size))
    jacobian = scaling.jacobian()
    return Solution(
        params=scaling.to_original(beta),
        covariance=jacobian @ inverse @ jacobian.T,
        log_likelihood=float(log_likelihood(problem.Z @ beta, problem.y, problem.weights)),
        null_log_likelihood=float(null_log_likelihood(problem.y, problem.weights)),
        penalised_log_likelihood=value + scaling.log_volume,
        means=scaling.centre,
        centred_intercept=float(beta[0]),
        n_iter=0,
    )


def _flic(problem: Jeffreys, beta: Vector) -> Vector:
    slopes = np.append(0.0, beta[1:])
    ones = np.ones((len(problem.y), 1))
    fit = newton_logistic(ones, problem.y, problem.weights, offset=problem.Z @ slopes)
    return np.append(fit.params, beta[1:])


def _flac(problem: Jeffreys, beta: Vector) -> tuple[Vector, Matrix]:
    """Maximum likelihood of the data with their pseudo observations, told apart by a column."""
    n, k = problem.Z.shape
    half = problem.leverage(beta)[1] / 2
    pseudo = np.repeat([0.0, 1.0, 1.0], n)
    X = np.column_stack([np.tile(problem.Z, (3, 1)), pseudo])
    y = np.concatenate([problem.y, problem.y, 1 - problem.y])
    w = np.concatenate([problem.weights, half, half])
    fit = newton_logistic(X, y, w)
    return fit.params[:k], fit.covariance[:k, :k]


def firth_limits(data: Prepared, *, conf_level: float = 0.95) -> ProfileLimits:
    """Profile limits and likelihood-ratio tests of every coefficient of a Firth fit.

    Raises
    ------
    FitError
    """
    level = check_conf_level(conf_level)
    profile = Profile.of(data)
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
class Profile:
    """The penalised likelihood along combinations of scaled coefficients."""

    problem: Jeffreys
    scaling: Scaling
    beta: Vector
    best: float
    information: Matrix

    @classmethod
    def of(cls, data: Prepared) -> Profile:
        """The profile of prepared data around its maximum."""
        scaling, _ = conditioned(data.X, data.weights)
        problem = Jeffreys.of(data, scaling)
        return cls(problem, scaling, *problem.summit())

    def drop(self, held: Matrix, values: Vector) -> float:
        """Twice the fall of the likelihood when combinations are held at other values."""
        move = _towards(self.information, held, values - held @ self.beta)
        free = linalg.null_space(held)
        plane = replace(self.problem, origin=self.beta + move, ways=free)
        return 2 * (self.best - plane.summit()[1])

    def without(self, positions: Sequence[int]) -> float:
        """Likelihood-ratio statistic for the coefficients at some positions being zero."""
        held = self.scaling.jacobian()[list(positions)]
        return self.drop(held, np.zeros(len(held)))

    def limit(self, held: Matrix, quantile: float, side: int) -> float:
        """Where the fall reaches the quantile; infinite where it never does."""
        centre = float((held @ self.beta)[0])
        ways = newton_step(self.information, held.T)
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
    profile = Profile.of(data)
    df = len(columns)
    statistic = profile.without([names.index(name) for name in columns])
    row = {
        "term": " + ".join(columns),
        "statistic": statistic,
        "df": df,
        "p_value": float(special.chdtrc(df, statistic)),
        "method": "penalised likelihood ratio",
    }
    return pd.DataFrame([row])
