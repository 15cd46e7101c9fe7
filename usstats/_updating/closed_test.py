"""The updating ladder: likelihoods of its rungs, and the test of each against the refit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, special

from usstats._calibration.recalibration import Codes, Float, Vector, _shift, cluster_sums
from usstats._fits.newton import newton_logistic
from usstats.errors import FitError, SeparationError

Matrix = NDArray[Float]

#: From the model as it stands to all coefficients anew.
LADDER = ("none", "intercept", "slope", "refit")
#: Slopes of the original model smaller than this (per SD of their column) are zero.
NO_SLOPE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Rung:
    """lp_new = intercept + slope * lp_old, and its log-likelihood in the new data.

    `covariance` is that of (intercept, slope), zero where a number was kept, given the original
    coefficients.
    """

    intercept: float
    slope: float
    log_likelihood: float
    covariance: Matrix


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A rung against the refit."""

    statistic: float
    df: int
    p_value: float


UNKNOWN = Rung(
    intercept=np.nan,
    slope=np.nan,
    log_likelihood=np.nan,
    covariance=np.full((2, 2), np.nan),
)


def log_likelihood(lp: Vector, y: Vector) -> float:
    """Bernoulli log-likelihood of linear predictors."""
    return float(special.log_expit(np.where(y == 1, lp, -lp)).sum())


def kept(lp: Vector, y: Vector) -> Rung:
    """The original model."""
    return Rung(
        intercept=0.0,
        slope=1.0,
        log_likelihood=log_likelihood(lp, y),
        covariance=np.zeros((2, 2)),
    )


def new_intercept(lp: Vector, y: Vector, cluster: Codes | None) -> Rung:
    """Recalibration in the large: the mean risk becomes the observed share."""
    shift, std_error = _shift(lp, y, cluster)
    return Rung(
        intercept=shift,
        slope=1.0,
        log_likelihood=log_likelihood(lp + shift, y),
        covariance=np.diag([std_error**2, 0.0]),
    )


def new_slope(lp: Vector, y: Vector, cluster: Codes | None) -> Rung:
    """Logistic recalibration: intercept and slope of y on the linear predictor.

    Raises
    ------
    FitError
        The linear predictor is the same for everybody.
    SeparationError
        It separates events from non-events.
    """
    _check_overlap(lp, y)
    Z = np.column_stack([np.ones(lp.size), lp])
    fit = newton_logistic(Z, y)
    covariance = fit.covariance
    if cluster is not None:
        scores = cluster_sums(Z * (y - special.expit(Z @ fit.params))[:, None], cluster)
        covariance = covariance @ scores.T @ scores @ covariance
    return Rung(
        intercept=float(fit.params[0]),
        slope=float(fit.params[1]),
        log_likelihood=fit.log_likelihood,
        covariance=covariance,
    )


def _check_overlap(lp: Vector, y: Vector) -> None:
    events, others = lp[y == 1], lp[y == 0]
    if np.ptp(lp) == 0:
        msg = (
            "The original model gives every patient of `data` the same risk, so a slope cannot be "
            'estimated; use method="intercept".'
        )
        raise FitError(msg)
    if events.min() >= others.max() or events.max() <= others.min():
        msg = (
            "The original linear predictor separates events from non-events in `data`, so the "
            'recalibration slope is infinite. Use method="none" or "intercept", or more patients.'
        )
        raise SeparationError(msg)


def ratio_tests(rungs: dict[str, Rung], k: int) -> dict[str, Comparison]:
    """Likelihood-ratio tests of the lower rungs against the refit with k slopes."""
    top = rungs["refit"].log_likelihood
    return {
        name: _compared(2 * (top - rungs[name].log_likelihood), df)
        for name, df in zip(LADDER, (k + 1, k, k - 1), strict=False)
    }


def wald_tests(
    params: Vector, covariance: Matrix, original: Vector, spread: Vector
) -> dict[str, Comparison]:
    """The same hypotheses as linear ones about the refitted coefficients.

    none: all equal the original ones; intercept: the slopes do; slope: the slopes are a multiple
    of the original ones. `covariance` may be a sandwich over patients.
    """
    scale = np.r_[1.0, spread]
    gap, V = (params - original) * scale, covariance * np.outer(scale, scale)
    slopes, before = (b[1:] * spread for b in (params, original))
    across = _orthogonal_complement(before)
    return {
        "none": _wald(gap, V),
        "intercept": _wald(gap[1:], V[1:, 1:]),
        "slope": _wald(across @ slopes, across @ V[1:, 1:] @ across.T),
    }


def _orthogonal_complement(direction: Vector) -> Matrix:
    """Rows that span everything at right angles to `direction`, (k - 1, k)."""
    return np.asarray(linalg.null_space(direction[None] / np.linalg.norm(direction)).T)


def _wald(value: Vector, covariance: Matrix) -> Comparison:
    if not value.size:
        return _compared(0.0, 0)
    return _compared(float(value @ linalg.pinvh(covariance) @ value), value.size)


def _compared(statistic: float, df: int) -> Comparison:
    """With one predictor the slope update is the refit: nothing is left to test, p = 1."""
    if df == 0:
        return Comparison(statistic=0.0, df=0, p_value=1.0)
    chi2 = statistic if np.isnan(statistic) else max(statistic, 0.0)
    return Comparison(statistic=chi2, df=df, p_value=float(special.chdtrc(df, chi2)))


def first_not_rejected(tests: dict[str, Comparison], significance: float) -> str:
    """Walk up the ladder to the first rung that the refit does not improve upon.

    Each test is made only if those before it were rejected, so the overall level is that of the
    first one.
    """
    for name in LADDER[:-1]:
        if not tests[name].p_value < significance:
            return name
    return "refit"


def ladder_table(rungs: dict[str, Rung], tests: dict[str, Comparison], chosen: str) -> pd.DataFrame:
    """One row a rung."""
    absent = Comparison(statistic=np.nan, df=0, p_value=np.nan)
    compared = [tests.get(name, absent) for name in LADDER]
    return pd.DataFrame(
        {
            "method": LADDER,
            "statistic": [test.statistic for test in compared],
            "df": [test.df for test in compared],
            "p_value": [test.p_value for test in compared],
            "log_likelihood": [rungs[name].log_likelihood for name in LADDER],
            "chosen": [name == chosen for name in LADDER],
            "intercept": [rungs[name].intercept for name in LADDER],
            "slope": [rungs[name].slope for name in LADDER],
        }
    )
