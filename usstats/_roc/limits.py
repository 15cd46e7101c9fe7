"""Limits of an AUC: Wald, logit, Newcombe's score interval; and of a difference of two numbers."""

from __future__ import annotations

import numpy as np
from scipy import special
from scipy.optimize import brentq

from usstats._intervals import normal_quantile

Limits = tuple[float, float]


def wald_limits(estimate: float, variance: float, conf_level: float) -> Limits:
    """DeLong's usual interval, clipped to [0, 1]."""
    half = normal_quantile(conf_level) * np.sqrt(variance)
    return max(float(estimate - half), 0.0), min(float(estimate + half), 1.0)


def logit_limits(estimate: float, variance: float, conf_level: float) -> Limits:
    """Wald on the logit scale, which stays inside (0, 1); for an estimate inside (0, 1).

    >>> low, high = logit_limits(0.95, 0.001, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.837, 0.986)
    """
    half = normal_quantile(conf_level) * np.sqrt(variance) / (estimate * (1 - estimate))
    low, high = special.expit(special.logit(estimate) + np.array([-half, half]))
    return float(low), float(high)


def newcombe_limits(estimate: float, n_event: int, n_nonevent: int, conf_level: float) -> Limits:
    """Score interval of an AUC on a Hanley-McNeil variance with averaged class sizes.

    References
    ----------
    Newcombe (2006), Stat Med 25:559, method 5.

    Examples
    --------
    >>> newcombe_limits(1.0, 20, 20, 0.95)
    (0.898..., 1.0)
    """
    z = normal_quantile(conf_level)
    average = (n_event + n_nonevent) / 2

    def shortfall(theta: float, above: float) -> float:
        spread = 1 + (average - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * spread / (n_event * n_nonevent)
        return float(above - theta - z * np.sqrt(variance))

    def lower(above: float) -> float:
        edge = above - 1e-12
        return float(brentq(shortfall, 0.0, edge, args=(above,))) if edge > 0 else 0.0

    return lower(estimate), 1.0 - lower(1.0 - estimate)


def square_and_add(
    estimates: tuple[float, float], limits_1: Limits, limits_2: Limits
) -> tuple[float, float]:
    """Limits of a difference from the limits of its two parts, as if these were independent.

    References
    ----------
    Newcombe (1998), Stat Med 17:873, method 10. Zou and Donner (2008), Stat Med 27:1693.

    Examples
    --------
    >>> low, high = square_and_add((1.0, 1.0), (0.9, 1.0), (0.9, 1.0))
    >>> round(low, 3), round(high, 3)
    (-0.1, 0.1)
    """
    one, two = estimates
    below = np.hypot(one - limits_1[0], limits_2[1] - two)
    above = np.hypot(limits_1[1] - one, two - limits_2[0])
    return float(one - two - below), float(one - two + above)
