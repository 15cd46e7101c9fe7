"""Means and contrasts over readers of one number a reader, with random readers and cases.

The number may be a difference of conditions, a log ratio of reading times or a distance from a
fixed system. Its variance between readers comes from their spread, the part that all readers share
through the cases from the covariance over cases, as in Obuchowski and Rockette's analysis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from usstats._readers.covariance import estimate_figures
from usstats._readers.metrics import Metric
from usstats._readers.obuchowski_rockette import (
    Cells,
    f_tail,
    satterthwaite,
    variance_of_mean,
    wald_row,
)
from usstats._readers.plan import Plan

Float = np.float64
Int = np.int64


@dataclass(frozen=True, kw_only=True, eq=False)
class PerReader:
    """One number a reader.

    Attributes
    ----------
    values : ndarray, shape (J,)
    covariance : ndarray, shape (J, J)
        Over cases.
    """

    values: NDArray[Float]
    covariance: NDArray[Float]

    def part(self, chosen: NDArray[np.bool_]) -> PerReader:
        return PerReader(
            values=self.values[chosen], covariance=self.covariance[np.ix_(chosen, chosen)]
        )


def combine(cells: Cells, weights: NDArray[Float]) -> PerReader:
    """Linear combinations of cells, one row of weights a reader."""
    return PerReader(
        values=weights @ cells.theta, covariance=weights @ cells.covariance @ weights.T
    )


def differences_of_readers(cells: Cells) -> PerReader:
    """First minus second condition of every reader."""
    readers = np.unique(cells.reader)
    same = cells.reader == readers[:, None]
    return combine(cells, same * np.where(cells.condition == 0, 1.0, -1.0))


def figures_of_readers(
    values: NDArray[Float],
    event: NDArray[np.bool_],
    metric: Metric,
    cluster: NDArray[Int] | None,
    covariance: str = "jackknife",
) -> PerReader:
    """A figure of each column of values, shape (n, J), NaN where not read."""
    found = estimate_figures(values, event, metric, covariance=covariance, cluster=cluster)
    return PerReader(values=found.theta, covariance=found.covariance)


def mean_row(
    numbers: PerReader, plan: Plan, *, test: bool = True, bounded: bool = False
) -> dict[str, float]:
    """Mean over readers with its interval, and its test against 0."""
    J = len(numbers.values)
    readers = "fixed" if J == 1 else plan.readers
    if readers == "fixed":
        variance, df = float(numbers.covariance.sum() / J**2), np.inf
    else:
        cells = Cells(
            theta=numbers.values,
            covariance=numbers.covariance,
            condition=np.zeros(J, dtype=Int),
            reader=np.arange(J),
        )
        variance, df = variance_of_mean(cells, readers=readers, cases=plan.cases)
    mean = float(numbers.values.mean())
    return wald_row(mean, variance, df, plan.conf_level, test=test, bounded=bounded)


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Group means of one number a reader, and what they vary by.

    The covariance of the means is M diag(1 / J_g) + C: M the pooled mean square within groups
    (`df` degrees of freedom), C what the groups share through the cases. With fixed readers M is
    0 and C the whole covariance over cases; with fixed cases C is 0.
    """

    means: NDArray[Float]
    counts: NDArray[Int]
    mean_square: float
    shared: NDArray[Float]
    df: int


def group_means(numbers: PerReader, group: NDArray[Int], plan: Plan) -> Groups:
    """Groups numbered 0, 1, ...; a single reader in every group can only be fixed."""
    counts = np.bincount(group)
    member = (group == np.arange(len(counts))[:, None]) / counts[:, None]
    means = member @ numbers.values
    df = len(group) - len(counts)
    if plan.readers == "fixed" or df == 0:
        shared = member @ numbers.covariance @ member.T
        return Groups(means=means, counts=counts, mean_square=0.0, shared=shared, df=0)
    mean_square = float(((numbers.values - means[group]) ** 2).sum() / df)
    shared = (
        np.zeros((len(counts), len(counts)))
        if plan.cases == "fixed"
        else _shared_between_readers(numbers.covariance, group, len(counts))
    )
    return Groups(means=means, counts=counts, mean_square=mean_square, shared=shared, df=df)


def _shared_between_readers(
    covariance: NDArray[Float], group: NDArray[Int], n_group: int
) -> NDArray[Float]:
    """Mean covariance over cases of two different readers of groups g and h.

    A group of one reader takes the mean over the pairs within the other groups.
    """
    different = ~np.eye(len(group), dtype=bool)
    within = different & (group[:, None] == group)
    pooled = float(covariance[within].mean())
    shared = np.empty((n_group, n_group))
    for g, h in np.ndindex(n_group, n_group):
        pairs = different & (group[:, None] == g) & (group == h)
        shared[g, h] = covariance[pairs].mean() if pairs.any() else pooled
    return shared


def contrast_row(groups: Groups, weights: NDArray[Float], conf_level: float) -> dict[str, float]:
    """A combination of group means; the share of the cases is not let below 0."""
    own = groups.mean_square * float((weights**2 / groups.counts).sum())
    common = float(weights @ groups.shared @ weights)
    if groups.df:
        common = float(np.maximum(common, 0.0))
    df = satterthwaite(own, common, groups.df) if groups.df else np.inf
    return wald_row(float(weights @ groups.means), own + common, df, conf_level)


def equality_test(groups: Groups) -> dict[str, float]:
    """All group means equal: a Wald F, chi-square where readers are fixed.

    The contrasts are orthonormal, so that the order of groups does not matter. Of what the cases
    share no contrast is let below 0; df2 is Satterthwaite's for the sum of the
    contrasts. With two groups this is the square of `contrast_row`.
    """
    k = len(groups.means)
    if not np.isfinite(groups.shared).all():
        return {"statistic": np.nan, "df": k - 1, "df2": np.nan, "p_value": np.nan}
    L = linalg.helmert(k)
    own = groups.mean_square * L @ np.diag(1 / groups.counts) @ L.T
    roots, axes = np.linalg.eigh(L @ groups.shared @ L.T)
    common = (axes * np.maximum(roots, 0.0)) @ axes.T
    difference = L @ groups.means
    statistic = float(difference @ np.linalg.pinv(own + common) @ difference) / (k - 1)
    df2 = satterthwaite(np.trace(own), np.trace(common), groups.df) if groups.df else np.inf
    return {
        "statistic": statistic,
        "df": k - 1,
        "df2": df2,
        "p_value": f_tail(k - 1, df2, statistic),
    }
