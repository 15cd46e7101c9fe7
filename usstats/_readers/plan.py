"""How a reader study is to be analysed, checked once, and the step from readings to figures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_option
from usstats._intervals import check_conf_level
from usstats._readers.checks import check_classes, check_constant, missing_reads, numbers
from usstats._readers.covariance import COVARIANCES, estimate_figures
from usstats._readers.metrics import Metric, make_metric
from usstats._readers.obuchowski_rockette import Cells
from usstats._readers.table import ReaderTable, check_columns, read_table
from usstats.errors import ArgumentError, DesignError, RiskError

Float = np.float64
_SOURCES = ("random", "fixed")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Metric, covariance estimator and what is random."""

    metric: Metric
    covariance: str = "delong"
    readers: str = "random"
    cases: str = "random"
    conf_level: float = 0.95

    def with_readers(self, readers: str) -> Plan:
        return replace(self, readers=readers)


def make_plan(
    *,
    metric: str,
    covariance: str,
    readers: str,
    cases: str,
    conf_level: float,
    specificity: tuple[float, float] | None = None,
    sensitivity: tuple[float, float] | None = None,
    corrected: bool = False,
) -> Plan:
    """Refuse options that are not offered.

    Raises
    ------
    ArgumentError
    """
    check_option(covariance, COVARIANCES, name="covariance")
    check_option(readers, _SOURCES, name="readers")
    check_option(cases, _SOURCES, name="cases")
    if readers == cases == "fixed":
        msg = "With `readers` and `cases` both fixed nothing is random; make one of them random."
        raise ArgumentError(msg)
    found = make_metric(
        metric, specificity=specificity, sensitivity=sensitivity, corrected=corrected
    )
    return Plan(
        metric=found,
        covariance=covariance,
        readers=readers,
        cases=cases,
        conf_level=check_conf_level(conf_level),
    )


def load_readings(
    data: pd.DataFrame, given: Mapping[str, str], threshold: float | None, metric: Metric
) -> ReaderTable:
    """Readings in the scale the metric needs: ratings, or 0/1 calls by the threshold."""
    check_columns(data, given)
    if metric.two_sample:
        if threshold is not None:
            msg = f"`threshold` belongs to sensitivity and specificity, not to {metric.name!r}."
            raise ArgumentError(msg)
        values = numbers(data, given, "rating", infinite=True)
    else:
        values = decisions(data, given, threshold)
    table = read_table(data, given, rating_values=values)
    check_table(table, metric)
    return table


def decisions(
    data: pd.DataFrame, columns: Mapping[str, str], threshold: float | None
) -> NDArray[Float]:
    """Calls 0/1 of each row: the rating itself, or rating >= threshold."""
    return as_decisions(numbers(data, columns, "rating", infinite=True), threshold)


def as_decisions(
    values: NDArray[Float],
    threshold: float | None,
    *,
    name: str = "rating",
    hint: str = "threshold",
) -> NDArray[Float]:
    """Values that are 0/1, or value >= threshold."""
    if threshold is not None:
        return (values >= check_threshold(threshold)).astype(float)
    other = ~np.isin(values, (0.0, 1.0))
    if other.any():
        first = int(np.flatnonzero(other)[0])
        msg = (
            f"`{name}` must be a decision 0/1; {int(other.sum())} of {len(values)} values are not "
            f"(first: {values[first]:g} at position {first}). Give `{hint}` for a scale."
        )
        raise RiskError(msg)
    return values


def check_threshold(threshold: object) -> float:
    """A number, or a frozen `Threshold`."""
    value: Any = getattr(threshold, "value", threshold)
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or np.isnan(value):
        msg = f"`threshold` must be a number or a Threshold; got {threshold!r}."
        raise ArgumentError(msg)
    return float(value)


def check_table(table: ReaderTable, metric: Metric) -> None:
    """Each cell of the table can be given a figure."""
    names = label_names(table)
    check_classes(table.event, table.row, names, metric.classes)
    if metric.two_sample:
        check_constant(table.ratings, table.row, names)


def label_names(table: ReaderTable) -> dict[str, tuple[Hashable, ...]]:
    return {"reader": table.readers, "case": table.cases, "condition": table.conditions}


def design_of(table: ReaderTable) -> str:
    """The design in words."""
    read = table.read
    n, I, J = read.shape  # noqa: E741 - the letters of the papers
    if not read.any(axis=0).all():
        return "readers nested in conditions"
    if read.all():
        return "factorial"
    if J > 1 and (read.any(axis=1).sum(axis=1) == 1).all():
        return "cases nested in readers"
    if I > 1 and (read.any(axis=2).sum(axis=1) == 1).all():
        return "cases nested in conditions"
    met = read.any(axis=0)
    empty = int((~read & met).sum())
    return f"partly crossed ({empty} of {n * int(met.sum())} readings missing)"


def cells_of(table: ReaderTable, plan: Plan) -> Cells:
    """Figure of merit of each reader in each condition, with their covariance over cases.

    Raises
    ------
    DesignError
        DeLong's covariance with readings missing.
    """
    missing_for_delong(table, plan)
    met = table.read.any(axis=0)
    condition, reader = np.nonzero(met)
    figures = estimate_figures(
        table.ratings[:, condition, reader],
        table.event,
        plan.metric,
        covariance=plan.covariance,
        cluster=table.cluster,
    )
    return Cells(
        theta=figures.theta,
        covariance=figures.covariance,
        condition=condition,
        reader=reader,
        nested=bool(len(table.conditions) > 1 and not met.all()),
    )


def missing_for_delong(table: ReaderTable, plan: Plan) -> None:
    """Refuse missing readings where DeLong's covariance was asked for."""
    met = table.read.any(axis=0)
    if plan.covariance != "delong" or (table.read | ~met).all():
        return
    msg = (
        f"{missing_reads(table.row, label_names(table))}. covariance='delong' needs every case "
        "read by every reader in every condition: add the rows, or use covariance='jackknife' or "
        "'unbiased', which take nested cases and missing reads."
    )
    raise DesignError(msg)


def check_pairs(
    contrasts: Sequence[tuple[Hashable, Hashable]] | None, conditions: tuple[Hashable, ...]
) -> list[tuple[int, int]]:
    """Positions of the conditions to be compared, every pair without `contrasts`."""
    if contrasts is None:
        n = len(conditions)
        return [(a, b) for a in range(n) for b in range(a + 1, n)]
    pairs = []
    for pair in contrasts:
        known = len(pair) == 2 and pair[0] != pair[1] and set(pair) <= set(conditions)
        if not known:
            msg = f"`contrasts` must be pairs of {', '.join(map(repr, conditions))}; got {pair!r}."
            raise ArgumentError(msg)
        pairs.append((conditions.index(pair[0]), conditions.index(pair[1])))
    if not pairs:
        msg = "`contrasts` is empty: name at least one pair of conditions."
        raise ArgumentError(msg)
    return pairs


def check_margin(margin: float | None) -> None:
    if margin is not None and not 0 < margin < 1:
        msg = f"`margin` must lie inside (0, 1), as a difference of figures; got {margin!r}."
        raise ArgumentError(msg)
