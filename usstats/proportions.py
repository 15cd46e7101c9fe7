"""Intervals of a proportion, and of the difference of two on the same cases."""

from __future__ import annotations

import numpy as np
from scipy import special

from usstats._accuracy.paired_tests import (
    CochranQ,
    cochran_q,
    is_number,
    mcnemar,
    mcnemar_clustered,
)
from usstats._intervals import check_conf_level, normal_quantile, wald_interval
from usstats.errors import ArgumentError
from usstats.results import Interval

__all__ = [
    "CochranQ",
    "clopper_pearson",
    "cochran_q",
    "mcnemar",
    "mcnemar_clustered",
    "tango",
    "wald",
    "wilson",
]

Float = np.float64


def _check_count(x: float, n: float) -> None:
    if not all(map(is_number, (x, n))) or not (0 <= x <= n < np.inf and n > 0):
        msg = f"`x` of `n` must satisfy 0 <= x <= n with n > 0; got x = {x!r}, n = {n!r}."
        raise ArgumentError(msg)


def wilson(x: float, n: float, *, conf_level: float = 0.95) -> Interval:
    """Score interval of a proportion, without continuity correction.

    Parameters
    ----------
    x, n : float
        Successes and trials (an effective, non-integer n is accepted).
    conf_level : float

    Raises
    ------
    ArgumentError

    References
    ----------
    Wilson (1927), J Am Stat Assoc 22:209. R: binom::binom.wilson.

    Examples
    --------
    >>> interval = wilson(45, 50)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.7864, 0.9565)
    """
    _check_count(x, n)
    z = normal_quantile(conf_level)
    centre = (x + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(x * (n - x) / n + z**2 / 4)
    return Interval(
        low=0.0 if x == 0 else float(centre - half),
        high=1.0 if x == n else float(centre + half),
        conf_level=conf_level,
        method="wilson",
    )


def clopper_pearson(x: int, n: int, *, conf_level: float = 0.95) -> Interval:
    """Exact interval of a proportion from the tails of the binomial.

    Parameters
    ----------
    x, n : int
        Successes and trials.
    conf_level : float

    Raises
    ------
    ArgumentError

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26:404. R: binom.test.

    Examples
    --------
    >>> interval = clopper_pearson(0, 20)
    >>> interval.low, round(interval.high, 4)
    (0.0, 0.1684)
    """
    _check_count(x, n)
    tail = (1 - check_conf_level(conf_level)) / 2
    low = 0.0 if x == 0 else float(special.betaincinv(x, n - x + 1, tail))
    high = 1.0 if x == n else float(special.betaincinv(x + 1, n - x, 1 - tail))
    return Interval(low=low, high=high, conf_level=conf_level, method="clopper-pearson")


def wald(x: float, n: float, *, conf_level: float = 0.95) -> Interval:
    """Wald interval clipped to [0, 1]; for comparison, it covers badly near 0 and 1.

    Examples
    --------
    >>> round(wald(45, 50).low, 4)
    0.8168
    """
    _check_count(x, n)
    p = x / n
    low, high = wald_interval(p, np.sqrt(p * (1 - p) / n), conf_level)
    return Interval(
        low=max(float(low), 0.0), high=min(float(high), 1.0), conf_level=conf_level, method="wald"
    )


def tango(n_10: float, n_01: float, n: float, *, conf_level: float = 0.95) -> Interval:
    """Score interval of the difference of two paired proportions, valid without discordance.

    Parameters
    ----------
    n_10, n_01 : float
        Pairs positive by the first only, and by the second only; the difference is first minus
        second.
    n : float
        All pairs (effective, non-integer numbers are accepted).
    conf_level : float

    References
    ----------
    Tango (1998), Stat Med 17:891.

    Examples
    --------
    >>> interval = tango(78, 22, 451)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0827, 0.1673)
    """
    if not all(map(is_number, (n_10, n_01, n))) or min(n_10, n_01) < 0:
        msg = f"Counts must be numbers of at least 0; got {n_10!r}, {n_01!r} and {n!r}."
        raise ArgumentError(msg)
    _check_count(n_10 + n_01, n)
    low = _tango_lower(n_10, n_01, n, normal_quantile(conf_level))
    high = -_tango_lower(n_01, n_10, n, normal_quantile(conf_level))
    return Interval(low=low, high=high, conf_level=conf_level, method="tango")


def _tango_lower(b: float, c: float, n: float, z: float) -> float:
    """Smallest difference that the score test does not reject, by bisection."""
    low, high = -1.0, (b - c) / n
    for _ in range(60):
        middle = (low + high) / 2
        rejected = (b - c - n * middle) ** 2 > z**2 * _tango_variance(b, c, n, middle)
        low, high = (middle, high) if rejected else (low, middle)
    return high if high > -1 + 1e-12 else -1.0


def _tango_variance(b: float, c: float, n: float, difference: float) -> float:
    """n (2 q + d (1 - d)) at the constrained maximum-likelihood q = P(second only)."""
    half = -b - c + (2 * n - b + c) * difference
    root = np.sqrt(max(half**2 - 8 * n * (-c * difference * (1 - difference)), 0.0))
    q = max((root - half) / (4 * n), 0.0, -difference)
    return float(n * (2 * q + difference * (1 - difference)))
