"""Tables that hold one thing against another: nested models, and promises against the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_number, format_p
from reports.tables.table import Table
from reports.tables.words import (
    abbreviations_in,
    estimate_cell,
    require_columns,
    sample_note,
    single_cell,
    words_for,
)

__all__ = ["nested_table", "truth_table"]

Preset = str | NumberPreset

_TEST = "added_terms"


def nested_table(
    nested: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    title: str = "What the added terms contribute",
    table_id: str = "nested",
    preset: Preset = "ama",
) -> Table:
    """Nested models: the change in AUC with its interval, and the test of the terms.

    The AUCs themselves stand in the performance table, where the whole recipe was refitted.

    Parameters
    ----------
    nested : DataFrame
        Frames of `compare_nested` under each other: the rows auc_full, auc_reduced, auc_change
        and added_terms of each comparison, told apart by `model_1` and `model_2`.
    labels : mapping of str to str, optional
        Printed names of the models.
    title, table_id : str
    preset : str or NumberPreset
    """
    require_columns(nested, ("measure", "estimate", "p_value"), table="table of nested models")
    style, names = number_preset(preset), labels or {}
    level = nested["conf_level"].dropna()
    interval = f"{level.iloc[0] * 100:g}% CI" if len(level) else "CI"
    parts = list(_comparisons(nested))
    symbol = f"{style.p_symbol} value"
    columns = (
        "Full vs reduced model",
        f"Change in AUC ({interval})",
        "Statistic (df)",
        symbol,
    )
    estimates = nested[nested["measure"] == "auc_change"]
    tests = dict.fromkeys(nested.loc[nested["measure"] == _TEST, "method"].astype(str))
    methods = dict.fromkeys(estimates["method"].astype(str))
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=tuple(_nested_cells(pair, part, names, style) for pair, part in parts),
        notes=(
            sample_note(estimates),
            f"Change in AUC: {', '.join(methods)}. Test of the added terms: {', '.join(tests)}.",
        ),
        abbreviations=(*abbreviations_in(*columns), ("df", "degrees of freedom")),
        italics=style.italics,
    )


def truth_table(
    truth: pd.DataFrame,
    *,
    title: str = "Promise of the internal validation, and what fresh patients show",
    table_id: str = "truth",
    preset: Preset = "ama",
) -> Table:
    """A synthetic study's corrected performance beside that in fresh patients of the same law.

    Parameters
    ----------
    truth : DataFrame
        measure, promised, estimate, conf_low, conf_high, best_possible, n, n_event and, for the
        net benefit, threshold.
    title, table_id : str
    preset : str or NumberPreset
    """
    needed = ("measure", "promised", "estimate", "best_possible")
    require_columns(truth, needed, table="table of promise and truth")
    style = number_preset(preset)
    rows = tuple(
        (
            _truth_label(row, style),
            single_cell(str(row["measure"]), row["promised"], style),
            estimate_cell(row, style),
            single_cell(str(row["measure"]), row["best_possible"], style),
        )
        for row in truth.to_dict("records")
    )
    columns = ("Measure", "Corrected in development", "Fresh patients (95% CI)", "True risk")
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=rows,
        notes=(sample_note(truth, name="Fresh patients"),),
        abbreviations=abbreviations_in(*columns, *(row[0] for row in rows)),
    )


def _comparisons(nested: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Each pair of models with its rows by measure."""
    if not {"model_1", "model_2"} <= set(nested.columns):
        yield ("full", "reduced"), nested.set_index("measure")
        return
    for (full, reduced), part in nested.groupby(["model_1", "model_2"], sort=False):
        yield (str(full), str(reduced)), part.set_index("measure")


def _nested_cells(
    pair: tuple[str, str], part: pd.DataFrame, names: Mapping[str, str], style: NumberPreset
) -> tuple[str, ...]:
    full, reduced = (names.get(name, name) for name in pair)
    test = part.loc[_TEST]
    return (
        f"{full} vs {reduced}",
        estimate_cell({"measure": "auc_change", **part.loc["auc_change"].to_dict()}, style),
        f"{format_number(test['statistic'], 2, preset=style)} ({_degrees(test, style)})",
        format_p(test["p_value"], preset=style),
    )


def _degrees(test: pd.Series[Any], style: NumberPreset) -> str:
    """Degrees of freedom; of an F test also those of the denominator."""
    degrees = format_number(test["df"], 0, preset=style)
    residual = float(test.get("df_residual", np.inf))
    if not np.isfinite(residual):
        return degrees
    return f"{degrees}, {format_number(residual, 1, preset=style)}"


def _truth_label(row: Mapping[Any, Any], style: NumberPreset) -> str:
    label = words_for(str(row["measure"])).label
    if row["measure"] != "net_benefit" or pd.isna(row.get("threshold")):
        return label
    return f"{label} at {format_number(100 * row['threshold'], 0, preset=style)}%"
