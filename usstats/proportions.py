"""Intervals of a proportion, and McNemar's test of two proportions on the same cases."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import check_option
from usstats._intervals import check_conf_level, normal_quantile, two_sided_p, wald_interval
from usstats.errors import ArgumentError, PairingError, SmallSampleWarning
from usstats.results import Interval

__all__ = ["clopper_pearson", "mcnemar", "mcnemar_clustered", "tango", "wald", "wilson"]

Float = np.float64


def _check_count(x: float, n: float) -> None:
    if not 0 <= x <= n or n <= 0:
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


def tango(n_10: int, n_01: int, n: int, *, conf_level: float = 0.95) -> Interval:
    """Score interval of the difference of two paired proportions, valid without discordance.

    Parameters
    ----------
    n_10, n_01 : int
        Pairs positive by the first only, and by the second only; the difference is first minus
        second.
    n : int
        All pairs.
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
    _check_count(n_10 + n_01, n)
    low = _tango_lower(n_10, n_01, n, normal_quantile(conf_level))
    high = -_tango_lower(n_01, n_10, n, normal_quantile(conf_level))
    return Interval(low=low, high=high, conf_level=conf_level, method="tango")


def _tango_lower(b: int, c: int, n: int, z: float) -> float:
    """Smallest difference that the score test does not reject, by bisection."""
    low, high = -1.0, (b - c) / n
    for _ in range(60):
        middle = (low + high) / 2
        rejected = (b - c - n * middle) ** 2 > z**2 * _tango_variance(b, c, n, middle)
        low, high = (middle, high) if rejected else (low, middle)
    return high if high > -1 + 1e-12 else -1.0


def _tango_variance(b: int, c: int, n: int, difference: float) -> float:
    """n (2 q + d (1 - d)) at the constrained maximum-likelihood q = P(second only)."""
    half = -b - c + (2 * n - b + c) * difference
    root = np.sqrt(max(half**2 - 8 * n * (-c * difference * (1 - difference)), 0.0))
    q = max((root - half) / (4 * n), 0.0, -difference)
    return float(n * (2 * q + difference * (1 - difference)))


def mcnemar(n_10: int, n_01: int, *, method: str = "chi2") -> tuple[float, float]:
    """Test that two paired proportions are equal, from the discordant pairs alone.

    Parameters
    ----------
    n_10, n_01 : int
        Discordant pairs of either kind.
    method : {"chi2", "chi2_corrected", "exact", "midp"}
        Chi-square without or with continuity correction, two-sided binomial, mid-p.

    Returns
    -------
    statistic, p_value : float
        The statistic is NaN for the exact methods. Without discordant pairs p is 1.

    References
    ----------
    McNemar (1947), Psychometrika 12:153. R: mcnemar.test, binom.test.

    Examples
    --------
    >>> statistic, p_value = mcnemar(78, 22)
    >>> round(statistic, 2), round(p_value * 1e8, 3)
    (31.36, 2.144)
    """
    check_option(method, ("chi2", "chi2_corrected", "exact", "midp"), name="method")
    total = n_10 + n_01
    if min(n_10, n_01) < 0:
        msg = f"Discordant counts cannot be negative; got {n_10!r} and {n_01!r}."
        raise ArgumentError(msg)
    if total == 0:
        return (0.0 if method.startswith("chi2") else np.nan), 1.0
    if method in ("exact", "midp"):
        return np.nan, _binomial_p(min(n_10, n_01), total, midp=method == "midp")
    gap = abs(n_10 - n_01) - (1 if method == "chi2_corrected" else 0)
    z = max(gap, 0) / np.sqrt(total)
    return float(z**2), float(two_sided_p(z))


def _binomial_p(fewer: int, total: int, *, midp: bool) -> float:
    """Twice the smaller tail at 1/2, capped at 1; mid-p takes one point probability off."""
    two_tails = min(2 * float(special.bdtr(fewer, total, 0.5)), 1.0)
    if not midp:
        return two_tails
    log_point = (
        special.gammaln(total + 1)
        - special.gammaln(fewer + 1)
        - special.gammaln(total - fewer + 1)
        - total * np.log(2)
    )
    point = float(np.exp(log_point))
    return 1.0 if 2 * fewer == total else two_tails - point


def mcnemar_clustered(
    n_10: ArrayLike, n_01: ArrayLike, n: ArrayLike, *, method: str = "yang"
) -> tuple[float, float]:
    """McNemar's test when a patient contributes several pairs.

    Parameters
    ----------
    n_10, n_01, n : array_like, shape (K,)
        Discordant pairs of either kind and all pairs of each patient.
    method : {"yang", "obuchowski", "durkalski"}

    Returns
    -------
    statistic, p_value : float
        Chi-square with 1 df; p is 1 when every patient has as many of either kind.

    Raises
    ------
    ArgumentError, PairingError

    Warns
    -----
    SmallSampleWarning
        A single patient: statistic and p value are NaN.

    References
    ----------
    Obuchowski (1998), Stat Med 17:1495. Durkalski et al. (2003), Stat Med 22:2417. Yang et al.
    (2010), Stat Med 29:2650. R: clust.bin.pair.

    Examples
    --------
    >>> statistic, p_value = mcnemar_clustered([2, 1, 0], [0, 0, 1], [3, 2, 2])
    >>> round(statistic, 4), round(p_value, 4)
    (0.5355, 0.4643)
    """
    check_option(method, tuple(_CLUSTERED), name="method")
    b, c, size = (np.asarray(values, dtype=float) for values in (n_10, n_01, n))
    if not b.shape == c.shape == size.shape or b.ndim != 1:
        msg = (
            f"The three counts need one value a patient; shapes {b.shape}, {c.shape}, {size.shape}."
        )
        raise PairingError(msg)
    if len(b) < 2:
        msg = "All pairs belong to one patient: a clustered test needs more, its p value is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
        return np.nan, np.nan
    if np.array_equal(b, c):
        return 0.0, 1.0
    chi2 = _CLUSTERED[method](b, c, size)
    return chi2, float(two_sided_p(np.sqrt(chi2)))


def _obuchowski(b: NDArray[Float], c: NDArray[Float], n: NDArray[Float]) -> float:
    k = len(n)
    return float((k - 1) / k * (b - c).sum() ** 2 / ((b - c) ** 2).sum())


def _durkalski(b: NDArray[Float], c: NDArray[Float], n: NDArray[Float]) -> float:
    share = (b - c) / n
    return float(share.sum() ** 2 / (share**2).sum())


def _yang(b: NDArray[Float], c: NDArray[Float], n: NDArray[Float]) -> float:
    k, gap = len(n), b - c
    expected = n * gap.sum() / n.sum()
    return float((k - 1) / k * gap.sum() ** 2 / (0.5 * ((gap - expected) ** 2 + gap**2).sum()))


_CLUSTERED: dict[str, Any] = {
    "yang": _yang,
    "obuchowski": _obuchowski,
    "durkalski": _durkalski,
}
