"""Tests and standardised differences between groups, as Table 1 needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Float = np.float64


@dataclass(frozen=True, kw_only=True)
class Test:
    """One test of one variable; NaN where it cannot be computed."""

    method: str
    statistic: float
    df: float
    p_value: float

    __test__ = False  # a statistical test, not one for pytest to collect


def equal_variance_test(samples: Sequence[NDArray[Float]]) -> Test:
    """Student's t test, or the analysis of variance with more than two groups."""
    method = "t test, equal variances" if len(samples) == 2 else "analysis of variance"
    if not _comparable(samples):
        return _undefined(method)
    n, mean, variance = _moments(samples)
    df = float(n.sum() - n.size)
    within = (variance * (n - 1)).sum() / df
    if n.size == 2:
        return _t_test(method, mean, float(np.sqrt(within * (1 / n).sum())), df)
    between = (n * (mean - (n * mean).sum() / n.sum()) ** 2).sum() / (n.size - 1)
    return _f_test(method, between / within, n.size - 1, df)


def welch_test(samples: Sequence[NDArray[Float]]) -> Test:
    """Welch's t test, or Welch's analysis of variance with more than two groups."""
    method = "Welch t test" if len(samples) == 2 else "Welch analysis of variance"
    if not _comparable(samples):
        return _undefined(method)
    n, mean, variance = _moments(samples)
    if n.size == 2:
        squared = variance / n
        df = float(squared.sum() ** 2 / (squared**2 / (n - 1)).sum())
        return _t_test(method, mean, float(np.sqrt(squared.sum())), df)
    if min(np.ptp(sample) for sample in samples) == 0:
        return _undefined(method)
    weight = n / variance
    k, total = n.size, weight.sum()
    between = (weight * (mean - (weight * mean).sum() / total) ** 2).sum() / (k - 1)
    spread = ((1 - weight / total) ** 2 / (n - 1)).sum()
    statistic = between / (1 + 2 * (k - 2) / (k**2 - 1) * spread)
    return _f_test(method, statistic, k - 1, float((k**2 - 1) / (3 * spread)))


def _moments(
    samples: Sequence[NDArray[Float]],
) -> tuple[NDArray[Float], NDArray[Float], NDArray[Float]]:
    """Size, mean and variance of each sample."""
    n = np.array([sample.size for sample in samples], dtype=float)
    mean = np.array([sample.mean() for sample in samples])
    variance = np.array([sample.var(ddof=1) for sample in samples])
    return n, mean, variance


def _t_test(method: str, mean: NDArray[Float], std_error: float, df: float) -> Test:
    statistic = float((mean[0] - mean[1]) / std_error)
    p_value = float(2 * special.stdtr(df, -abs(statistic)))
    return Test(method=method, statistic=statistic, df=df, p_value=p_value)


def _f_test(method: str, statistic: float, k: int, df: float) -> Test:
    p_value = float(special.fdtrc(k, df, statistic))
    return Test(method=method, statistic=float(statistic), df=df, p_value=p_value)


def rank_test(samples: Sequence[NDArray[Float]]) -> Test:
    """Kruskal-Wallis; with two groups Wilcoxon's test without continuity correction."""
    method = "Kruskal-Wallis test"
    if not _comparable(samples):
        return _undefined(method)
    n = np.array([sample.size for sample in samples], dtype=float)
    ranks, ties = midranks(np.concatenate(samples))
    N = n.sum()
    sums = np.add.reduceat(ranks, np.cumsum([0, *n[:-1].astype(int)]))
    between = 12 / (N * (N + 1)) * (sums**2 / n).sum() - 3 * (N + 1)
    statistic = float(between / (1 - (ties**3 - ties).sum() / (N**3 - N)))
    df = float(n.size - 1)
    p_value = float(special.chdtrc(df, max(statistic, 0.0)))
    return Test(method=method, statistic=statistic, df=df, p_value=p_value)


def midranks(x: NDArray[Float]) -> tuple[NDArray[Float], NDArray[Float]]:
    """Ranks from 1 on, shared where values are equal, and the sizes of the ties."""
    _, position, ties = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(ties)
    return (last - (ties - 1) / 2)[position], ties.astype(float)


def chi_square_test(table: NDArray[Float], *, correction: bool = True) -> Test:
    """Pearson's chi-square; Yates' correction in 2 x 2 tables unless switched off."""
    used = _without_empty(table)
    yates = correction and used.shape == (2, 2)
    method = "chi-square test" + (", Yates correction" if yates else "")
    if min(used.shape) < 2:
        return _undefined(method)
    total = used.sum()
    expected = np.outer(used.sum(axis=1), used.sum(axis=0)) / total
    apart = np.abs(used - expected)
    if yates:
        apart -= np.minimum(0.5, apart)
    statistic = float((apart**2 / expected).sum())
    df = float((used.shape[0] - 1) * (used.shape[1] - 1))
    p_value = float(special.chdtrc(df, statistic))
    return Test(method=method, statistic=statistic, df=df, p_value=p_value)


def fisher_test(table: NDArray[Float], *, most_tables: int = 5_000_000) -> Test:
    """Fisher's exact test for two groups (Freeman-Halton beyond two levels).

    The table's margins are held; every table as likely as the observed one or less counts. NaN
    with more than two groups, or with more tables than can be listed.
    """
    used = _without_empty(table).astype(np.int64)
    method = "Fisher's exact test"
    if min(used.shape) < 2 or used.shape[1] > 2 or _n_tables(used) > most_tables:
        return _undefined(method)
    in_first = _first_columns(used)
    log_p = sum(
        _log_choose(n, x) for n, x in zip(used.sum(axis=1), in_first, strict=True)
    ) - _log_choose(used.sum(), used[:, 0].sum())
    observed = sum(
        _log_choose(n, x) for n, x in zip(used.sum(axis=1), used[:, 0], strict=True)
    ) - _log_choose(used.sum(), used[:, 0].sum())
    likely = log_p <= observed + 1e-7
    p_value = min(1.0, float(np.exp(log_p[likely]).sum()))
    return Test(method=method, statistic=np.nan, df=np.nan, p_value=p_value)


def continuous_smd(samples: Sequence[NDArray[Float]]) -> NDArray[Float]:
    """|m1 - m2| / sqrt((v1 + v2) / 2) for every pair of groups."""
    return np.array([_mean_difference(one, two) for one, two in combinations(samples, 2)])


def categorical_smd(table: NDArray[Float]) -> NDArray[Float]:
    """Standardised distance of the level shares (Yang and Dalton 2012) for every pair."""
    totals = table.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (table / totals).T
    return np.array([_share_distance(one, two) for one, two in combinations(shares, 2)])


def _mean_difference(one: NDArray[Float], two: NDArray[Float]) -> float:
    if min(one.size, two.size) < 2:
        return np.nan
    apart = abs(one.mean() - two.mean())
    spread = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / 2)
    if spread == 0:
        return 0.0 if apart == 0 else np.nan
    return float(apart / spread)


def _share_distance(one: NDArray[Float], two: NDArray[Float]) -> float:
    if not np.isfinite([one, two]).all():
        return np.nan
    apart = (one - two)[1:]
    if not apart.any():
        return 0.0
    covariance = sum(np.diag(p[1:]) - np.outer(p[1:], p[1:]) for p in (one, two)) / 2
    squared = apart @ np.linalg.pinv(covariance, hermitian=True) @ apart
    return float(np.sqrt(squared)) if squared > 0 else np.nan


def _comparable(samples: Sequence[NDArray[Float]]) -> bool:
    """Two groups at least with two values each, and not all values the same."""
    return (
        len(samples) > 1
        and min(map(len, samples)) > 1
        and bool(np.ptp(np.concatenate(samples)) > 0)
        and any(np.ptp(sample) > 0 for sample in samples)
    )


def _undefined(method: str) -> Test:
    return Test(method=method, statistic=np.nan, df=np.nan, p_value=np.nan)


def _without_empty(table: NDArray[Float]) -> NDArray[Float]:
    return table[table.any(axis=1)][:, table.any(axis=0)]


def _n_tables(table: NDArray[np.int64]) -> float:
    """Upper bound on the number of tables with these margins."""
    reach = np.minimum(table.sum(axis=1), table[:, 0].sum()).astype(float) + 1
    return float(np.prod(np.sort(reach)[:-1]))


def _first_columns(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """All first columns (levels, tables) that share the margins of the observed table."""
    rows = table.sum(axis=1)
    last = int(np.argmax(rows))
    free = [i for i in range(len(rows)) if i != last]
    goal = int(table[:, 0].sum())
    axes = np.meshgrid(*(np.arange(min(rows[i], goal) + 1) for i in free), indexing="ij")
    columns = np.empty((len(rows), axes[0].size), dtype=np.int64)
    columns[free] = np.stack([axis.ravel() for axis in axes])
    columns[last] = goal - columns[free].sum(axis=0)
    return columns[:, (columns[last] >= 0) & (columns[last] <= rows[last])]


def _log_choose(n: int, k: NDArray[np.int64] | int) -> NDArray[Float]:
    return np.asarray(
        special.gammaln(n + 1) - special.gammaln(np.asarray(k) + 1) - special.gammaln(n - k + 1)
    )
