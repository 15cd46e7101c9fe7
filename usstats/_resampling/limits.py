"""Confidence limits from bootstrap replicates: which order statistic, and the BCa correction."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats.errors import SmallSampleWarning

Float = np.float64


def _tails(conf_level: float) -> NDArray[Float]:
    return np.array([(1 - conf_level) / 2, (1 + conf_level) / 2])


def percentile_limits(values: NDArray[Float], conf_level: float) -> tuple[float, float]:
    """Type-7 quantiles (the default of R's `quantile`, of numpy and of pROC).

    >>> percentile_limits(np.arange(101.0), 0.90)
    (5.0, 95.0)
    """
    low, high = np.quantile(values, _tails(conf_level))
    return float(low), float(high)


def boot_limits(values: NDArray[Float], conf_level: float) -> tuple[float, float]:
    """Order statistics at (B + 1) alpha, interpolated on the normal scale (R's boot.ci)."""
    low, high = _order_statistics(values, _tails(conf_level))
    return float(low), float(high)


def _order_statistics(values: NDArray[Float], alpha: NDArray[Float]) -> NDArray[Float]:
    """Davison and Hinkley (1997), equation 5.8; beyond the data the extreme replicate."""
    ordered = np.sort(values)
    size = len(ordered)
    rank = (size + 1) * alpha
    if (np.floor(rank) < 1).any() or (np.floor(rank) >= size).any():
        msg = (
            f"{size} resamples are too few for this level: a limit is the most extreme "
            "replicate. Draw more resamples."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    below = np.clip(np.floor(rank).astype(int), 1, size)
    above = np.clip(below + 1, 1, size)
    z, z_below, z_above = (
        special.ndtri(q) for q in (alpha, below / (size + 1), above / (size + 1))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(above > below, (z - z_below) / (z_above - z_below), 0.0)
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(ordered[below - 1] + share * (ordered[above - 1] - ordered[below - 1]))


def jackknife_acceleration(
    estimate: float, left_out: NDArray[Float], strata: tuple[NDArray[np.int64], ...]
) -> float:
    """BCa acceleration from the statistic without each unit.

    Parameters
    ----------
    estimate : float
    left_out : ndarray, shape (n_unit,)
    strata : tuple of ndarray
        Unit numbers by stratum: influence is scaled by each stratum's own size.
    """
    influence = np.zeros(len(left_out))
    for members in strata:
        influence[members] = (len(members) - 1) * (estimate - left_out[members])
    influence = influence[np.isfinite(influence)]
    spread = float((influence**2).sum())
    return float((influence**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0


def bca_limits(
    estimate: float, values: NDArray[Float], acceleration: float, conf_level: float
) -> tuple[float, float]:
    """Bias-corrected and accelerated limits (Efron 1987), NaN where all replicates agree in side.

    Parameters
    ----------
    estimate : float
    values : ndarray, shape (n_boot,)
        Finite replicates.
    acceleration : float
    conf_level : float
    """
    z_0 = special.ndtri(np.mean(values < estimate))
    if not np.isfinite(z_0):
        msg = (
            "The bias correction is undefined: no resample lies below the estimate, or all do. "
            "The limits are NaN."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
        return np.nan, np.nan
    shifted = z_0 + special.ndtri(_tails(conf_level))
    alpha = special.ndtr(z_0 + shifted / (1 - acceleration * shifted))
    low, high = _order_statistics(values, alpha)
    return float(low), float(high)
