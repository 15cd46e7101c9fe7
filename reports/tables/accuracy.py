"""Tables of discrimination and of what a frozen cut-off achieves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_auc, format_estimate, format_p
from reports.tables.table import Table
from reports.tables.words import (
    abbreviations_in,
    cell_of,
    confidence_words,
    in_order,
    method_note,
    require_columns,
    sample_note,
    sample_notes,
    words_for,
)

__all__ = ["accuracy_table", "auc_table"]

Preset = str | NumberPreset

_ACCURACY = ("sensitivity", "specificity", "ppv", "npv", "lr_pos", "lr_neg", "dor", "youden")
_PROPORTIONS = ("sensitivity", "specificity", "ppv", "npv")


def accuracy_table(
    frames: Mapping[str, pd.DataFrame],
    *,
    title: str = "Diagnostic accuracy at the cut-off frozen in development",
    table_id: str = "accuracy",
    preset: Preset = "ama",
) -> Table:
    """Accuracy at one threshold: n/N and estimate with interval for each cohort.

    Parameters
    ----------
    frames : mapping of cohort to DataFrame
        Frames of `diagnostic_accuracy`.
    title, table_id : str
    preset : str or NumberPreset
    """
    style = number_preset(preset)
    tables = {name: frame.set_index("measure") for name, frame in frames.items()}
    names = in_order(_ACCURACY, *(table.index for table in tables.values()))
    rows = tuple(
        (words_for(name).label, *_accuracy_cells(tables.values(), name, style)) for name in names
    )
    headers = [
        header
        for name, frame in frames.items()
        for header in (f"{name}, n/N", f"{name}, estimate ({confidence_words(frame)})")
    ]
    columns = ("Measure", *headers)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=rows,
        notes=(
            *_threshold_notes(frames, style),
            *sample_notes(tables),
            *method_note(frames, names),
        ),
        abbreviations=abbreviations_in(*columns, *(row[0] for row in rows)),
    )


def auc_table(
    comparisons: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    title: str = "Comparison of areas under the curve",
    table_id: str = "auc_comparison",
    preset: Preset = "ama",
) -> Table:
    """Each contrast of two models: both AUCs, their difference, and its p values.

    Parameters
    ----------
    comparisons : DataFrame
        Frame of an `AucComparison`; several under each other are told apart by `group`.
    labels : mapping of str to str, optional
        Printed names of the models and groups.
    title, table_id : str
    preset : str or NumberPreset
    """
    needed = ("model_1", "model_2", "auc_1", "auc_2", "estimate", "p_value")
    require_columns(comparisons, needed, table="AUC table")
    style, names = number_preset(preset), labels or {}
    groups = dict(_by_group(comparisons))
    adjusted = "p_adjusted" in comparisons and max(map(len, groups.values())) > 1
    rows, indent = [], []
    for group, part in groups.items():
        if group:
            rows.append((names.get(group, group), *[""] * (4 + adjusted)))
            indent.append(0)
        contrasts = part.to_dict("records")
        rows += [_contrast_cells(row, names, style, adjusted=adjusted) for row in contrasts]
        indent += [1 if group else 0] * len(part)
    difference = f"Difference ({confidence_words(comparisons)})"
    p_headers = (f"{style.p_symbol} value", *([f"Adjusted {style.p_symbol}"] if adjusted else []))
    columns = ("Contrast", "AUC, first", "AUC, second", difference, *p_headers)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=tuple(rows),
        indent=tuple(indent),
        notes=(
            *(sample_note(part, name=names.get(group, group)) for group, part in groups.items()),
            *method_note({"": comparisons}),
            *([_ADJUSTED] if adjusted else []),
        ),
        abbreviations=abbreviations_in(*columns),
        italics=style.italics,
    )


_ADJUSTED = "Adjusted for the number of contrasts by Holm's method; intervals are not adjusted."


def _by_group(comparisons: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "group" not in comparisons:
        yield "", comparisons
        return
    for group, part in comparisons.groupby("group", sort=False):
        yield str(group), part


def _accuracy_cells(
    tables: Iterable[pd.DataFrame], name: str, style: NumberPreset
) -> tuple[str, ...]:
    """n/N and estimate of one measure in each cohort."""
    cells = ((_fraction(table, name, style), cell_of(table, name, style)) for table in tables)
    return tuple(cell for pair in cells for cell in pair)


def _fraction(table: pd.DataFrame, name: str, style: NumberPreset) -> str:
    if name not in table.index or name not in _PROPORTIONS:
        return style.missing
    counts = table.loc[name, ["numerator", "denominator"]]
    return style.missing if counts.isna().any() else "/".join(str(int(count)) for count in counts)


def _contrast_cells(
    row: dict[Any, Any], names: Mapping[str, str], style: NumberPreset, *, adjusted: bool
) -> tuple[str, ...]:
    first, second = (str(row[f"model_{i}"]) for i in (1, 2))
    cells = (
        f"{names.get(first, first)} vs {names.get(second, second)}",
        format_auc(row["auc_1"], preset=style),
        format_auc(row["auc_2"], preset=style),
        format_estimate(
            row["estimate"], row["conf_low"], row["conf_high"], decimals=3, preset=style
        ),
        format_p(row["p_value"], preset=style),
    )
    return (*cells, format_p(row["p_adjusted"], preset=style)) if adjusted else cells


def _threshold_notes(frames: Mapping[str, pd.DataFrame], style: NumberPreset) -> tuple[str, ...]:
    values = {
        float(t) for frame in frames.values() if "threshold" in frame for t in frame["threshold"]
    }
    return tuple(
        f"Positive: predicted risk of {format_auc(t, preset=style)} or more."
        for t in sorted(values)
    )
