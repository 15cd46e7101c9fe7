"""The numbers of weak calibration: intercept, slope, O:E and Brier score, each with its error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import brentq

from usstats._fits.newton import newton_logistic
from usstats._intervals import normal_quantile
from usstats.errors import FitError

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]

#: The logit of a risk of exactly 0 is taken here (and of 1 at 1 - CLIP).
CLIP = 1e-8
XTOL = 1e-12


@dataclass(frozen=True)
class Measure:
    """A name, a value, its standard error and limits (NaN where undefined)."""

    name: str
    estimate: float
    std_error: float
    low: float
    high: float
    method: str


def cluster_sums(contributions: NDArray[Float], cluster: Codes | None) -> NDArray[Float]:
    """Add the rows of each patient together; rows stay as they are without patients."""
    if cluster is None:
        return contributions
    sums = np.zeros((int(cluster.max()) + 1, *contributions.shape[1:]))
    np.add.at(sums, cluster, contributions)
    return sums


def finite_logit(p: Vector) -> Vector:
    """Logit of p; 0 and 1 are moved inside by CLIP, or less where other risks are closer.

    >>> finite_logit(np.array([0.0, 0.5])).round(2)
    array([-18.42,   0.  ])
    """
    inside = p[(p > 0) & (p < 1)]
    low, high = inside.min(initial=CLIP), inside.max(initial=1 - CLIP)
    return np.asarray(special.logit(np.clip(p, low, high)))


def maximise_likelihood(
    X: NDArray[Float],
    y: Vector,
    *,
    cluster: Codes | None = None,
) -> tuple[Vector, NDArray[Float]]:
    """Parameters of a logistic regression and their covariance.

    The covariance is the inverse information, or the sandwich over patients without a
    small-sample factor, as R's ``rms::robcov``.

    Raises
    ------
    FitError
        Collinear columns, or an infinite maximum (separation).
    """
    try:
        fit = newton_logistic(X, y)
    except np.linalg.LinAlgError:
        msg = "the information matrix is singular at the maximum: the data are nearly separated"
        raise FitError(msg) from None
    if cluster is None:
        return fit.params, fit.covariance
    scores = cluster_sums(X * (y - special.expit(X @ fit.params))[:, None], cluster)
    return fit.params, np.asarray(fit.covariance @ scores.T @ scores @ fit.covariance)


def _shift(lp: Vector, y: Vector, cluster: Codes | None) -> tuple[float, float]:
    """Intercept with lp as offset, and its standard error.

    Expected events rise with the intercept, so that the root lies between the two intercepts that
    give the extreme lp the observed share; that holds where Newton steps overshoot.
    """
    start = special.logit(y.mean()) - np.array([lp.max(), lp.min()])
    shift = float(start[0]) if start[0] == start[1] else brentq(_excess, *start, (lp, y), XTOL)
    mu = special.expit(lp + shift)
    information = (mu * (1 - mu)).sum()
    if cluster is None:
        return shift, float(1 / np.sqrt(information))
    scores = cluster_sums(y - mu, cluster)
    return shift, float(np.sqrt(np.square(scores).sum()) / information)


def _excess(shift: float, lp: Vector, y: Vector) -> float:
    return float(special.expit(lp + shift).sum() - y.sum())


def weak_measures(
    y: Vector, p: Vector, *, cluster: Codes | None, conf_level: float
) -> list[Measure]:
    """Intercept, slope, O:E and Brier scores in the order of the report.

    A slope that does not exist is NaN.
    """
    z, lp = normal_quantile(conf_level), finite_logit(p)
    unit = "" if cluster is None else ", patient sandwich"
    wald = f"wald{unit}"
    shift, shift_error = _shift(lp, y, cluster)
    joint, joint_variance = _recalibrate(lp, y, cluster)
    joint_error = np.sqrt(np.diag(joint_variance))
    return [
        _wald("calibration_in_the_large", shift, shift_error, z, f"wald{unit}"),
        _wald("calibration_slope", joint[1], joint_error[1], z, wald),
        _wald("recalibration_intercept", joint[0], joint_error[0], z, wald),
        _oe_ratio(y, p, cluster, z, unit),
        *_brier(y, p, cluster, z, unit),
    ]


def _recalibrate(lp: Vector, y: Vector, cluster: Codes | None) -> tuple[Vector, NDArray[Float]]:
    """Intercept and slope of y on the logit, or NaN where the slope is infinite or undefined."""
    events, others = lp[y == 1], lp[y == 0]
    undefined = np.full(2, np.nan), np.full((2, 2), np.nan)
    if events.min() >= others.max() or events.max() <= others.min():
        return undefined
    try:
        return maximise_likelihood(np.column_stack([np.ones(lp.size), lp]), y, cluster=cluster)
    except FitError:
        return undefined


def _wald(name: str, estimate: float, std_error: float, z: float, method: str) -> Measure:
    half = z * std_error
    low, high = estimate - half, estimate + half
    return Measure(name, float(estimate), float(std_error), float(low), float(high), method)


def _unit_error(influence: Vector, cluster: Codes | None) -> float:
    """Standard error of a mean from its influence values, summed over patients."""
    return float(np.sqrt(np.square(cluster_sums(influence, cluster)).sum()) / influence.size)


def _oe_ratio(y: Vector, p: Vector, cluster: Codes | None, z: float, unit: str) -> Measure:
    """Observed over expected events; the interval is symmetric on the log scale."""
    ratio = y.mean() / p.mean() if p.any() else np.nan
    log_error = _unit_error(y - y.mean(), cluster) / y.mean()
    low, high = ratio * np.exp(-z * log_error), ratio * np.exp(z * log_error)
    method, std_error = f"wald on log{unit}", ratio * log_error
    return Measure("oe_ratio", float(ratio), float(std_error), float(low), float(high), method)


def _brier(y: Vector, p: Vector, cluster: Codes | None, z: float, unit: str) -> Iterator[Measure]:
    """Mean squared error of the risks, and its share gained over the prevalence alone."""
    loss, prevalence = (y - p) ** 2, y.mean()
    brier, null = loss.mean(), prevalence * (1 - prevalence)
    yield _wald("brier", brier, _unit_error(loss - brier, cluster), z, f"wald{unit}")
    slope = (1 - 2 * prevalence) * (y - prevalence)
    influence = (loss - brier) / null - brier / null**2 * slope
    error = _unit_error(influence, cluster)
    yield _wald("brier_scaled", 1 - brier / null, error, z, f"delta{unit}")
