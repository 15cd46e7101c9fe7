"""The table of how well networks outlined the region."""

from __future__ import annotations

import pandas as pd

from reports.number_presets import NumberPreset
from reports.tables.table import Table
from reports.tables.words import confidence_words, estimate_cell, require_columns

__all__ = ["segmentation_table"]


def segmentation_table(
    dice: pd.DataFrame,
    *,
    title: str = "Agreement of out-of-fold outlines with those drawn by hand",
    table_id: str = "segmentation",
    preset: str | NumberPreset = "ama",
) -> Table:
    """Mean Dice coefficient of every network, and of every region where there are several.

    Parameters
    ----------
    dice : DataFrame
        model, group (the region, empty for one), measure, estimate with its limits, n (images) and
        n_cluster (patients).
    title, table_id : str
    preset : str or NumberPreset

    Examples
    --------
    >>> frame = pd.DataFrame({"model": ["outlines"], "group": [""], "measure": ["mean_dice"],
    ...     "estimate": [0.8], "conf_low": [0.7], "conf_high": [0.9], "conf_level": [0.95],
    ...     "n": [40], "n_cluster": [24]})
    >>> segmentation_table(frame).rows[0]
    ('outlines', 'all', '40', '24', '0.80 (0.70-0.90)')
    """
    needed = ("model", "group", "measure", "estimate", "n", "n_cluster")
    require_columns(dice, needed, table="Dice table")
    return Table(
        id=table_id,
        title=title,
        columns=(
            "Network",
            "Region",
            "Images",
            "Patients",
            f"Mean Dice ({confidence_words(dice)})",
        ),
        rows=tuple(
            (
                str(row["model"]),
                "all" if pd.isna(row["group"]) or row["group"] == "" else str(row["group"]),
                str(int(row["n"])),
                str(int(row["n_cluster"])),
                estimate_cell(row, preset),
            )
            for row in dice.to_dict("records")
        ),
        notes=("Images that have an outline; intervals by resampling patients.",),
        abbreviations=(("CI", "confidence interval"),),
    )
