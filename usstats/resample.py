"""Resampling whole patients: what a statistic does with the drawn rows, and the interval it gets.

A patient is the unit of every draw (`Resamples`); failed resamples are counted, never hidden.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_lengths, check_n_jobs, check_option
from usstats._intervals import check_conf_level
from usstats._resampling.draws import Resamples, as_resamples
from usstats._resampling.limits import (
    bca_limits,
    boot_limits,
    jackknife_acceleration,
    percentile_limits,
)
from usstats.errors import (
    ArgumentError,
    FailedResamplesWarning,
    ResampleError,
    UsstatsError,
    UsstatsWarning,
)
from usstats.results import Estimate

__all__ = [
    "Resamples",
    "as_resamples",
    "bootstrap",
    "check_failures",
    "interval_from_replicates",
    "replicate",
]

Float = np.float64
Statistic = Callable[..., float]

WARN_FAILED = 0.05
REFUSE_FAILED = 0.20
_FAILURES = (UsstatsError, ArithmeticError, np.linalg.LinAlgError)


def check_failures(values: NDArray[Float]) -> int:
    """Count replicates that are not finite; warn above 5 %, refuse above 20 %.

    Warns
    -----
    FailedResamplesWarning

    Raises
    ------
    ResampleError

    Examples
    --------
    >>> check_failures(np.array([0.7, 0.8, 0.9]))
    0
    """
    n_failed = int((~np.isfinite(values)).sum())
    share = n_failed / len(values)
    found = f"{n_failed} of {len(values)} resamples ({share:.1%}) could not be evaluated"
    if share > REFUSE_FAILED:
        msg = (
            f"{found}; above {REFUSE_FAILED:.0%} the interval means nothing. Use stratified "
            "draws or a method that needs fewer cases."
        )
        raise ResampleError(msg)
    if share > WARN_FAILED:
        warnings.warn(f"{found} and were left out.", FailedResamplesWarning, stacklevel=3)
    return n_failed


def replicate(
    statistic: Statistic, arrays: tuple[Any, ...], resamples: Resamples, *, n_jobs: int = 1
) -> NDArray[Float]:
    """The statistic in every resample, NaN where it could not be computed; shape (n_boot,).

    Warnings of this package inside a replicate are silenced: a failure is counted instead.
    """
    if check_n_jobs(n_jobs) == 1:
        return _replicate_range(statistic, arrays, resamples, 0, len(resamples))
    from joblib import Parallel, cpu_count, delayed

    blocks = 4 * (n_jobs if n_jobs > 0 else cpu_count())
    edges = np.linspace(0, len(resamples), blocks + 1).astype(int)
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_replicate_range)(statistic, arrays, resamples, int(start), int(stop))
        for start, stop in pairwise(edges)
    )
    return np.concatenate(parts)


def _replicate_range(
    statistic: Statistic, arrays: tuple[Any, ...], resamples: Resamples, start: int, stop: int
) -> NDArray[Float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        drawn = (_take(arrays, resamples[i]) for i in range(start, stop))
        return np.array([_attempt(statistic, sample) for sample in drawn], dtype=float)


def _take(arrays: tuple[Any, ...], rows: NDArray[np.int64]) -> tuple[Any, ...]:
    return tuple(a.iloc[rows] if hasattr(a, "iloc") else a[rows] for a in arrays)


def _attempt(statistic: Statistic, sample: tuple[Any, ...]) -> float:
    try:
        value = float(statistic(*sample))
    except _FAILURES:
        return np.nan
    return value if np.isfinite(value) else np.nan


def _leave_out(
    statistic: Statistic, arrays: tuple[Any, ...], resamples: Resamples
) -> NDArray[Float]:
    """The statistic without each patient in turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        kept = (np.flatnonzero(resamples.unit != u) for u in range(resamples.n_unit))
        return np.array([_attempt(statistic, _take(arrays, rows)) for rows in kept], dtype=float)


def interval_from_replicates(
    estimate: float,
    values: NDArray[Float],
    *,
    ci: str,
    conf_level: float,
    left_out: Callable[[], NDArray[Float]],
    strata: tuple[NDArray[np.int64], ...],
) -> tuple[float, float]:
    """Limits from the finite replicates.

    Parameters
    ----------
    estimate : float
        The statistic of the data.
    values : ndarray, shape (n_boot,)
    ci : {"percentile", "percentile_boot", "bca"}
    conf_level : float
    left_out : callable
        Returns the statistic without each patient, shape (n_unit,); called for "bca" only.
    strata : tuple of ndarray
        Patient numbers by stratum.
    """
    finite = values[np.isfinite(values)]
    if ci == "percentile":
        return percentile_limits(finite, conf_level)
    if ci == "percentile_boot":
        return boot_limits(finite, conf_level)
    acceleration = jackknife_acceleration(estimate, left_out(), strata)
    return bca_limits(estimate, finite, acceleration, conf_level)


def bootstrap(
    statistic: Statistic,
    *arrays: Any,
    cluster: ArrayLike | None = None,
    stratify: ArrayLike | None = None,
    ci: str = "percentile",
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
    n_jobs: int = 1,
    conf_level: float = 0.95,
    measure: str | None = None,
) -> Estimate:
    """Bootstrap interval of any statistic, drawing whole patients.

    Parameters
    ----------
    statistic : callable
        Takes resampled `arrays` and returns one number. NaN, or an error of this package, counts
        as a failed resample.
    *arrays : array_like or pandas object, first dimension (n,)
    cluster : array_like, shape (n,), optional
        Patient labels; all rows of a patient are drawn together.
    stratify : array_like, shape (n,), optional
        Strata that keep their size, for example the outcome.
    ci : {"percentile", "percentile_boot", "bca"}
        "percentile": type-7 quantiles of the replicates (R's `quantile`, pROC).
        "percentile_boot": order statistics at (B + 1) alpha, interpolated on the normal scale
        (R's boot.ci "perc"). "bca": bias-corrected and accelerated, acceleration from the
        jackknife over patients, on the same order statistics as boot.ci "bca".
    n_boot, seed : int
        Number of draws and the seed they come from (without one a fresh seed, which the result
        tells); not needed with `resamples`.
    resamples : Resamples or array_like, shape (n_boot, n), optional
        Explicit 0-based draws.
    n_jobs : int
        Worker processes; the digits do not depend on it.
    conf_level : float
    measure : str, optional
        Name of the statistic in the result (default: the function's name).

    Returns
    -------
    Estimate
        `n_failed` counts the resamples left out; `std_error` is the SD of the replicates.

    Raises
    ------
    ResampleError
        The statistic is undefined on the data, or failed in more than 20 % of the resamples.
    ArgumentError, PairingError

    Warns
    -----
    FailedResamplesWarning
        More than 5 % failed.
    SmallSampleWarning
        An undefined limit, or one that is the most extreme replicate.

    References
    ----------
    Efron (1987), J Am Stat Assoc 82:171. Davison and Hinkley (1997), chapter 5. R: boot::boot.ci.

    Examples
    --------
    >>> ages = np.array([4.0, 7.0, 9.0, 11.0, 12.0, 15.0])
    >>> bootstrap(np.mean, ages, n_boot=200, seed=1, measure="mean age").n_failed
    0
    """
    check_option(ci, ("percentile", "percentile_boot", "bca"), name="ci")
    check_conf_level(conf_level)
    if not callable(statistic):
        msg = f"`statistic` must be a function of the arrays; got {type(statistic).__name__}."
        raise ArgumentError(msg)
    data = _as_data(arrays)
    draws = as_resamples(
        resamples, len(data[0]), n_boot=n_boot, seed=seed, cluster=cluster, stratify=stratify
    )
    estimate = _original(statistic, data)
    values = replicate(statistic, data, draws, n_jobs=n_jobs)
    n_failed = check_failures(values)
    low, high = interval_from_replicates(
        estimate,
        values,
        ci=ci,
        conf_level=conf_level,
        left_out=lambda: _leave_out(statistic, data, draws),
        strata=draws.strata,
    )
    return Estimate(
        measure=measure or _name(statistic),
        estimate=estimate,
        std_error=float(np.nanstd(values, ddof=1)),
        conf_low=low,
        conf_high=high,
        conf_level=conf_level,
        method=f"bootstrap {ci}",
        n=len(data[0]),
        n_event=_events(data[0]),
        n_cluster=None if cluster is None else draws.n_unit,
        n_boot=len(draws),
        n_failed=n_failed,
        seed=draws.seed,
    )


def _as_data(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    if not arrays:
        msg = "`bootstrap` needs at least one array to resample."
        raise ArgumentError(msg)
    data = tuple(a if hasattr(a, "iloc") else _as_array(a, i) for i, a in enumerate(arrays, 1))
    check_lengths(**{f"array {i + 1}": a for i, a in enumerate(data)})
    return data


def _as_array(values: Any, position: int) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(())
    if array.ndim == 0:
        msg = f"Array {position} must hold one value or row a case; got {type(values).__name__}."
        raise ArgumentError(msg)
    return array


def _original(statistic: Statistic, data: tuple[Any, ...]) -> float:
    found = statistic(*data)
    try:
        value = float(found)
    except (TypeError, ValueError):
        msg = (
            f"`statistic` must return one number; it returned {type(found).__name__} of shape "
            f"{np.shape(found)}. Bootstrap each of several numbers on its own, with one seed."
        )
        raise ArgumentError(msg) from None
    if not np.isfinite(value):
        msg = (
            f"The statistic of the data themselves is {value}; resampling cannot give it an "
            "interval."
        )
        raise ResampleError(msg)
    return value


def _name(statistic: Statistic) -> str:
    name = getattr(statistic, "__name__", "statistic")
    return "statistic" if name == "<lambda>" else str(name)


def _events(first: Any) -> int | None:
    """Events where the first array is an outcome of zeros and ones."""
    values = np.asarray(first)
    if values.ndim != 1 or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        return None
    return int(values.sum())
