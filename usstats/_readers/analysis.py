"""From a checked table of readings to the whole of a reader study."""

from __future__ import annotations

import warnings
from collections.abc import Hashable

import numpy as np
import pandas as pd

from usstats._multiplicity import adjust_p
from usstats._readers.obuchowski_rockette import (
    NO_VARIANCE,
    Cells,
    Spread,
    compare_conditions,
    mean_squares,
    spread_of_conditions,
    t_tail,
    wald_row,
)
from usstats._readers.plan import Plan, cells_of, design_of
from usstats._readers.result import ReaderStudy
from usstats._readers.table import ReaderTable
from usstats._readers.tables import (
    anova_table,
    component_table,
    condition_differences,
    condition_means,
    reader_differences,
)
from usstats._roc.limits import newcombe_limits
from usstats.errors import SmallSampleWarning
from usstats.proportions import wilson


def analyse(
    table: ReaderTable,
    plan: Plan,
    *,
    pairs: list[tuple[int, int]],
    adjust: str = "holm",
    margin: float | None = None,
) -> ReaderStudy:
    """The whole analysis of a checked table."""
    cells = cells_of(table, plan)
    readers = _random_or_fixed(cells, plan)
    spread = spread_of_conditions(cells, readers=readers, cases=plan.cases)
    several = len(table.conditions) > 1
    means = condition_means(
        cells,
        readers=readers,
        cases=plan.cases,
        conf_level=plan.conf_level,
        bounded=plan.metric.bounded,
    )
    return ReaderStudy(
        metric=plan.metric.name,
        readers=readers,
        cases=plan.cases,
        covariance=plan.covariance,
        design=design_of(table),
        test=compare_conditions(cells, spread, readers=readers) if several else None,
        reader_means=_reader_means(cells, table, plan),
        means=pd.concat([_labels(table.conditions), means], axis=1),
        differences=_differences(cells, table, spread, plan, pairs, adjust, margin),
        reader_differences=_reader_differences(cells, table, plan, pairs),
        components=component_table(cells),
        anova=anova_table(cells),
        covariances=_covariances(cells, table),
        n=len(table.cases),
        n_event=int(table.event.sum()),
        n_reader=len(table.readers),
        n_cluster=table.n_cluster,
        conf_level=plan.conf_level,
        adjust=adjust,
    )


def _random_or_fixed(cells: Cells, plan: Plan) -> str:
    """One reader (a condition) shows no variation between readers: the case variance is left."""
    ms = mean_squares(cells)
    alone = len(cells.theta) == cells.n_condition
    if plan.readers == "fixed" or not (alone or ms.df_interaction + ms.df_reader == 0):
        return plan.readers
    msg = (
        "A single reader a condition shows no variation between readers: intervals and tests "
        "rest on the cases alone and hold for this reader only (readers='fixed')."
    )
    warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    return "fixed"


def _labels(conditions: tuple[Hashable, ...]) -> pd.DataFrame:
    return pd.DataFrame({"condition": pd.Series(conditions, dtype=object)})


def _reader_means(cells: Cells, table: ReaderTable, plan: Plan) -> pd.DataFrame:
    rows = []
    for k, (i, j) in enumerate(zip(cells.condition, cells.reader, strict=True)):
        names = {"condition": table.conditions[i], "reader": table.readers[j]}
        row = wald_row(
            float(cells.theta[k]),
            float(cells.covariance[k, k]),
            np.inf,
            plan.conf_level,
            test=False,
            bounded=plan.metric.bounded,
        )
        if cells.covariance[k, k] <= NO_VARIANCE:
            row["conf_low"], row["conf_high"] = _score_limits(cells.theta[k], table, i, j, plan)
        rows.append(names | {name: row[name] for name in row if name != "df"})
    return pd.DataFrame(rows)


def _score_limits(
    theta: float, table: ReaderTable, i: int, j: int, plan: Plan
) -> tuple[float, float]:
    """Limits of a figure without variance over cases, as of a reader who made no mistake."""
    read = table.read[:, i, j]
    unit = np.arange(len(read)) if table.cluster is None else table.cluster
    n = [len(np.unique(unit[read & (table.event == bool(c))])) for c in plan.metric.classes]
    if plan.metric.name == "auc":
        return newcombe_limits(theta, n[1], n[0], plan.conf_level)
    if len(n) == 1:
        interval = wilson(theta * n[0], n[0], conf_level=plan.conf_level)
        return interval.low, interval.high
    return np.nan, np.nan


def _differences(
    cells: Cells,
    table: ReaderTable,
    spread: Spread,
    plan: Plan,
    pairs: list[tuple[int, int]],
    adjust: str,
    margin: float | None,
) -> pd.DataFrame:
    if not pairs:
        return pd.DataFrame()
    found = condition_differences(cells, pairs, spread, plan.conf_level)
    found["p_adjusted"] = adjust_p(found["p_value"].to_numpy(), adjust)
    if margin is not None:
        found = with_margin(found, margin)
    names = [(table.conditions[a], table.conditions[b]) for a, b in pairs]
    labels = pd.DataFrame(names, columns=["condition_1", "condition_2"])
    return pd.concat([labels, found], axis=1)


def with_margin(found: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Add the one-sided test of H0: difference <= -margin."""
    t = (found["estimate"] + margin) / found["std_error"]
    p = [t_tail(df, value) for df, value in zip(found["df"], t, strict=True)]
    return found.assign(margin=margin, p_noninferior=p, noninferior=found["conf_low"] > -margin)


def _reader_differences(
    cells: Cells, table: ReaderTable, plan: Plan, pairs: list[tuple[int, int]]
) -> pd.DataFrame:
    if not pairs or cells.nested:
        return pd.DataFrame()
    found = reader_differences(cells, pairs, plan.conf_level)
    named = [pairs[k] for k in found.pop("pair")]
    labels = {
        "reader": [table.readers[j] for j in found.pop("reader")],
        "condition_1": [table.conditions[a] for a, _ in named],
        "condition_2": [table.conditions[b] for _, b in named],
    }
    return pd.concat([pd.DataFrame(labels), found], axis=1)


def _covariances(cells: Cells, table: ReaderTable) -> pd.DataFrame:
    labels = [
        (table.conditions[i], table.readers[j])
        for i, j in zip(cells.condition, cells.reader, strict=True)
    ]
    index = pd.MultiIndex.from_tuples(labels, names=["condition", "reader"])
    return pd.DataFrame(cells.covariance, index=index, columns=index)
