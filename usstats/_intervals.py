"""The normal quantile and the tail probability, written once so that nobody takes the wrong one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats.errors import ArgumentError

Float = np.float64
_SMALLEST = np.nextafter(0.0, 1.0)


def check_conf_level(conf_level: float) -> float:
    """Return `conf_level` if it lies inside (0, 1)."""
    if not isinstance(conf_level, int | float | np.number) or not 0 < conf_level < 1:
        msg = f"`conf_level` must lie inside (0, 1), for example 0.95; got {conf_level!r}."
        raise ArgumentError(msg)
    return float(conf_level)


def normal_quantile(conf_level: float) -> float:
    """Two-sided standard normal quantile: 1.96 for a 95 % interval.

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    return float(special.ndtri((1 + check_conf_level(conf_level)) / 2))


def two_sided_p(z: ArrayLike) -> NDArray[Float]:
    """Two-sided normal p value by the survival function, so that z = 9 is not exactly 0.

    Where even the tail is smaller than any double (z > 38.4) it is bounded by the smallest one.

    >>> float(two_sided_p(9.0)) > 0, float(two_sided_p(40.0)) > 0
    (True, True)
    """
    tails = 2 * special.ndtr(-np.abs(np.asarray(z, dtype=float)))
    return np.asarray(np.maximum(tails, _SMALLEST))


def chi2_p(statistic: float, df: int) -> float:
    """Upper tail of chi-square, bounded below like `two_sided_p`.

    >>> chi2_p(3.841, 1)
    0.0500
    """
    return float(np.maximum(special.chdtrc(df, statistic), _SMALLEST))


def wald_interval(
    estimate: ArrayLike, std_error: ArrayLike, conf_level: float
) -> tuple[NDArray[Float], NDArray[Float]]:
    """Estimate -+ z * std_error."""
    centre = np.asarray(estimate, dtype=float)
    half = normal_quantile(conf_level) * np.asarray(std_error, dtype=float)
    return centre - half, centre + half
