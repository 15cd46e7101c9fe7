"""Covariance over cases of the figures of merit of readers in conditions.

Three estimators. DeLong's (Obuchowski's with patients) takes every case read by everybody. The
jackknife and the unbiased U-statistic of Gallas take each pair of figures over the cases that
each was made of, so they also serve nested cases and missing reads.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._readers.metrics import Metric
from usstats._roc.placements import auc_covariance
from usstats.errors import ArgumentError, SmallSampleWarning

Float = np.float64
Int = np.int64
COVARIANCES = ("delong", "jackknife", "unbiased")
_PAIRS_AT_A_TIME = 2**17


@dataclass(frozen=True, kw_only=True, eq=False)
class Figures:
    """k figures of merit over n cases.

    Attributes
    ----------
    theta : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
    """

    theta: NDArray[Float]
    covariance: NDArray[Float]


def estimate_figures(
    ratings: NDArray[Float],
    event: NDArray[np.bool_],
    metric: Metric,
    *,
    covariance: str,
    cluster: NDArray[Int] | None = None,
) -> Figures:
    """Figures of merit and their covariance over cases.

    Parameters
    ----------
    ratings : ndarray, shape (n, k)
        NaN where a case was not read.
    event : ndarray of bool, shape (n,)
    metric : Metric
    covariance : {"delong", "jackknife", "unbiased"}
    cluster : ndarray of int, shape (n,), optional
        Patient of each case.

    Raises
    ------
    ArgumentError
        "unbiased" for a partial area or for clustered cases.
    """
    of_interest = np.isin(event, [bool(c) for c in metric.classes])
    if len(metric.classes) == 1:
        ratings, event = ratings[of_interest], event[of_interest]
        cluster = None if cluster is None else renumbered(cluster[of_interest])
    theta, values = _evaluate(ratings, event, metric)
    if covariance == "unbiased":
        found = _unbiased(ratings, event, metric, theta, cluster)
    elif covariance == "jackknife":
        found = _jackknife(ratings, event, metric, theta, values, cluster)
    else:
        found = (
            auc_covariance(values, event, cluster)
            if metric.two_sample
            else _of_means(values, cluster)
        )
    if not np.isfinite(found).all():
        msg = (
            f"The covariance of the {metric.name}s is undefined: a class has a single case (or "
            "patient). Standard errors, intervals and tests are NaN."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=5)
    return Figures(theta=theta, covariance=found)


def renumbered(cluster: NDArray[Int]) -> NDArray[Int]:
    """Patient numbers 0, 1, ... without gaps."""
    return np.asarray(np.unique(cluster, return_inverse=True)[1], dtype=Int)


def _evaluate(
    ratings: NDArray[Float], event: NDArray[np.bool_], metric: Metric
) -> tuple[NDArray[Float], NDArray[Float]]:
    """Each figure, and the pseudovalues of its cases (NaN where not read)."""
    theta = np.empty(ratings.shape[1])
    values = np.full(ratings.shape, np.nan)
    for k, rating in enumerate(ratings.T):
        read = ~np.isnan(rating)
        theta[k], values[read, k] = metric.evaluate(event[read], rating[read])
    return theta, values


def _of_means(values: NDArray[Float], cluster: NDArray[Int] | None) -> NDArray[Float]:
    """Covariance of means of one sample, between patients where there are any."""
    deviation = values - values.mean(axis=0)
    if cluster is not None:
        size = int(cluster.max()) + 1
        columns = [np.bincount(cluster, weights=d, minlength=size) for d in deviation.T]
        deviation = np.stack(columns, axis=1)
    units = len(deviation)
    factor = units / (units - 1) if units > 1 else np.nan
    return np.asarray(factor * (deviation.T @ deviation) / len(values) ** 2)


def _jackknife(
    ratings: NDArray[Float],
    event: NDArray[np.bool_],
    metric: Metric,
    theta: NDArray[Float],
    values: NDArray[Float],
    cluster: NDArray[Int] | None,
) -> NDArray[Float]:
    """(n - 1) / n times the cross-products of the leave-one-out figures about their mean."""
    if cluster is not None:
        left_out = _without_patients(ratings, event, metric, theta, cluster)
    else:
        left_out = _without_cases(values, event, metric, theta)
    n = len(left_out)
    deviation = left_out - left_out.mean(axis=0)
    return np.asarray((n - 1) / n * (deviation.T @ deviation))


def _without_cases(
    values: NDArray[Float], event: NDArray[np.bool_], metric: Metric, theta: NDArray[Float]
) -> NDArray[Float]:
    """theta_(-i) = theta - (V_i - theta) / (m - 1), which is theta where case i was not read."""
    read = ~np.isnan(values)
    if metric.two_sample:
        counts = np.where(event[:, None], read[event].sum(axis=0), read[~event].sum(axis=0))
    else:
        counts = np.broadcast_to(read.sum(axis=0), values.shape)
    change = np.where(read, values - theta, 0.0)
    alone = read & (counts < 2)
    change[alone] = np.nan
    return np.asarray(theta - change / np.maximum(counts - 1, 1))


def _without_patients(
    ratings: NDArray[Float],
    event: NDArray[np.bool_],
    metric: Metric,
    theta: NDArray[Float],
    cluster: NDArray[Int],
) -> NDArray[Float]:
    left_out = np.tile(theta, (int(cluster.max()) + 1, 1))
    for k, rating in enumerate(ratings.T):
        read = ~np.isnan(rating)
        present, unit = np.unique(cluster[read], return_inverse=True)
        left_out[present, k] = metric.without_each(event[read], rating[read], unit)
    return left_out


def _unbiased(
    ratings: NDArray[Float],
    event: NDArray[np.bool_],
    metric: Metric,
    theta: NDArray[Float],
    cluster: NDArray[Int] | None,
) -> NDArray[Float]:
    """theta_a theta_b minus its unbiased counterpart made of pairs that share no case."""
    if cluster is not None or metric.name == "partial_auc":
        reason = "independent cases" if cluster is not None else "a mean over cases or pairs"
        msg = f"covariance='unbiased' needs {reason}; use 'jackknife' or 'delong' here."
        raise ArgumentError(msg)
    if metric.name != "auc":
        return _unbiased_means(_evaluate(ratings, event, metric)[1], theta)
    read = (~np.isnan(ratings)).astype(float)
    wins = _wins(ratings, event)
    e, f = (read[rows].T @ read[rows] for rows in (event, ~event))
    m, n = (read[rows].sum(axis=0) for rows in (event, ~event))
    total = wins[event].sum(axis=0)
    shared_event, shared_other = (wins[rows].T @ wins[rows] for rows in (event, ~event))
    both = _shared_pairs(ratings, event)
    apart = np.outer(total, total) - shared_event - shared_other + both
    count = np.outer(m * n, m * n) - e * np.outer(n, n) - np.outer(m, m) * f + e * f
    return _minus_apart(theta, apart, count)


def _minus_apart(
    theta: NDArray[Float], apart: NDArray[Float], count: NDArray[Float]
) -> NDArray[Float]:
    mean = np.divide(apart, count, out=np.full(apart.shape, np.nan), where=count > 0)
    return np.asarray(np.outer(theta, theta) - mean)


def _unbiased_means(values: NDArray[Float], theta: NDArray[Float]) -> NDArray[Float]:
    read = (~np.isnan(values)).astype(float)
    known = np.nan_to_num(values)
    total, m = known.sum(axis=0), read.sum(axis=0)
    apart = np.outer(total, total) - known.T @ known
    return _minus_apart(theta, apart, np.outer(m, m) - read.T @ read)


def _wins(ratings: NDArray[Float], event: NDArray[np.bool_]) -> NDArray[Float]:
    """Kernel summed over the other class, for each case; 0 where not read."""
    wins = np.zeros(ratings.shape)
    for k, rating in enumerate(ratings.T):
        events = np.sort(rating[event & ~np.isnan(rating)])
        others = np.sort(rating[~event & ~np.isnan(rating)])
        below = _middle_rank(others, rating)
        above = len(events) - _middle_rank(events, rating)
        wins[:, k] = np.where(np.isnan(rating), 0.0, np.where(event, below, above))
    return wins


def _middle_rank(sorted_values: NDArray[Float], at: NDArray[Float]) -> NDArray[Float]:
    left, right = (np.searchsorted(sorted_values, at, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / 2)


def _shared_pairs(ratings: NDArray[Float], event: NDArray[np.bool_]) -> NDArray[Float]:
    """Sum over pairs (event, non-event) of the product of two kernels, for all pairs of figures.

    Twice the kernel is 0, 1 or 2, so single precision is exact in each block.
    """
    ranks = np.stack([np.unique(r, return_inverse=True)[1] for r in ratings.T]).astype(np.int32)
    unread = np.isnan(ratings.T)
    events = np.where(unread, -1, ranks)[:, event]
    others = np.where(unread, np.iinfo(np.int32).max, ranks)[:, ~event]
    step = max(_PAIRS_AT_A_TIME // others.shape[1], 1)
    total = np.zeros((len(ranks), len(ranks)))
    for start in range(0, events.shape[1], step):
        block = events[:, start : start + step, None]
        twice = (block > others[:, None, :]).astype(np.float32)
        twice += block >= others[:, None, :]
        flat = twice.reshape(len(ranks), -1)
        total += flat @ flat.T
    return total / 4
