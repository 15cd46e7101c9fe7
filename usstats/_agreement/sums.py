"""Agreement coefficients as functions of sums over subjects, with the interval of a jackknife."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from usstats._agreement.ratings import RatingTable
from usstats._agreement.two_raters import Kappa
from usstats._check import check_cluster
from usstats._influence import bounded_interval, warn_of_no_variance
from usstats._intervals import check_conf_level, two_sided_p
from usstats.errors import SmallSampleWarning

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]
#: Chance agreement closer to 1 than this is complete but for rounding.
COMPLETE = 1e-12


@dataclass(frozen=True)
class Agreement:
    """Observed and chance agreement as a function of sums over subjects.

    Leaving a subject out takes its part from the sums, so that the jackknife costs no more passes
    over the data.

    Attributes
    ----------
    parts : sparse array, shape (n, d)
    value : callable
        Sums, shape (d,), to observed and chance agreement.
    """

    parts: sparse.csr_array
    value: Callable[[Vector], tuple[float, float]]

    def whole(self) -> tuple[float, float]:
        return self.value(np.asarray(self.parts.sum(axis=0), dtype=float))

    def coefficients_without(self, unit: Codes) -> Vector:
        """The coefficient without each unit in turn."""
        n_unit = int(unit.max()) + 1
        member = sparse.csr_array((np.ones(len(unit)), (unit, np.arange(len(unit)))))
        own = sparse.csr_array(member @ self.parts)
        total = np.asarray(own.sum(axis=0), dtype=float)
        without = np.empty(n_unit)
        for u in range(n_unit):
            here = slice(own.indptr[u], own.indptr[u + 1])
            rest = total.copy()
            rest[own.indices[here]] -= own.data[here]
            without[u] = coefficient(*self.value(rest))
        return without


def kappa_of(
    measure: str,
    table: RatingTable,
    agreement: Agreement,
    cluster: ArrayLike | None,
    conf_level: float,
    *,
    statistic: float = np.nan,
) -> Kappa:
    """The coefficient with the interval of a jackknife over subjects or patients."""
    level = check_conf_level(conf_level)
    patients = check_cluster(cluster, table.n)
    observed, expected = agreement.whole()
    estimate = coefficient(observed, expected)
    if not np.isfinite(estimate):
        msg = "Only one category was used: chance agreement is complete and the coefficient is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    unit = np.arange(table.n) if patients is None else patients
    std_error = _jackknife_se(agreement, unit)
    warn_of_no_variance("coefficient", estimate, std_error)
    low, high = bounded_interval(estimate, std_error, level, low=-1.0)
    return Kappa(
        measure=measure,
        estimate=estimate,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        conf_level=level,
        method="jackknife",
        n=table.n,
        n_event=None,
        n_cluster=None if patients is None else int(patients.max()) + 1,
        observed=observed,
        expected=expected,
        statistic=statistic,
        p_value=float(two_sided_p(statistic)),
        levels=table.levels,
    )


def coefficient(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 - COMPLETE else np.nan


def _jackknife_se(agreement: Agreement, unit: Codes) -> float:
    """sqrt((K - 1) / K * sum (theta_without - mean)^2) over K units; NaN below three."""
    n_unit = int(unit.max()) + 1
    if n_unit < 3:
        return np.nan
    without = agreement.coefficients_without(unit)
    return float(np.sqrt((n_unit - 1) ** 2 / n_unit * without.var(ddof=1)))


def side_by_side(*blocks: NDArray[Any]) -> sparse.csr_array:
    return sparse.csr_array(sparse.hstack([sparse.csr_array(block) for block in blocks]))
