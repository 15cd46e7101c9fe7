"""The table of a human reading beside the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_estimate
from reports.tables.table import Table
from reports.tables.words import require_columns, words_for

__all__ = ["comparator_table"]

_PROPORTIONS = ("sensitivity", "specificity")


def comparator_table(
    comparator: pd.DataFrame,
    *,
    label: str,
    title: str = "The human reading at each of its cut-offs",
    table_id: str = "comparator",
    preset: str | NumberPreset = "ama",
) -> Table:
    """Sensitivity and specificity of an ordinal reading at each cut-off.

    Parameters
    ----------
    comparator : DataFrame
        term, n, and sensitivity and specificity with `_low` and `_high`.
    label : str
        What the reading is called.
    title, table_id : str
    preset : str or NumberPreset
    """
    require_columns(comparator, ("term", "n", *_PROPORTIONS), table="comparator table")
    style = number_preset(preset)
    return Table(
        id=table_id,
        title=title,
        columns=(label, *(f"{words_for(name).label} (95% CI)" for name in _PROPORTIONS)),
        rows=tuple(
            (str(row["term"]), *(_cell(row, name, style) for name in _PROPORTIONS))
            for row in comparator.to_dict("records")
        ),
        notes=(f"n = {int(comparator['n'].iloc[0])} patients with a reading. Wilson intervals.",),
        abbreviations=(("CI", "confidence interval"),),
    )


def _cell(row: Mapping[Any, Any], name: str, style: NumberPreset) -> str:
    return format_estimate(
        row[name], row[f"{name}_low"], row[f"{name}_high"], kind="unit", preset=style
    )
