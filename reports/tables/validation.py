"""Tables of performance: internal and external validation, calibration, net benefit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_number
from reports.tables.table import Table
from reports.tables.words import (
    abbreviations_in,
    cell_of,
    confidence_words,
    estimate_cell,
    in_order,
    require_columns,
    sample_notes,
    single_cell,
    words_for,
)

__all__ = [
    "calibration_table",
    "centre_table",
    "decision_table",
    "external_table",
    "performance_table",
]

Preset = str | NumberPreset

NET_BENEFIT_NOTE = (
    "Net benefit: true positives per patient, minus false positives weighted by the odds of the "
    "threshold."
)
_PERFORMANCE = (
    "auc",
    "nagelkerke_r2",
    "brier",
    "brier_scaled",
    "calibration_intercept",
    "calibration_in_the_large",
    "calibration_slope",
    "oe_ratio",
    "ici",
    "emax",
)
_CALIBRATION = (
    "calibration_in_the_large",
    "calibration_slope",
    "oe_ratio",
    "ici",
    "e50",
    "e90",
    "emax",
    "brier",
    "brier_scaled",
)


def performance_table(
    internal: pd.DataFrame,
    external: Mapping[str, pd.DataFrame] | None = None,
    *,
    intervals: pd.DataFrame | None = None,
    title: str = "Performance in internal and external validation",
    table_id: str = "performance",
    preset: Preset = "ama",
) -> Table:
    """Apparent, optimism and corrected performance, then each external cohort with intervals.

    Parameters
    ----------
    internal : DataFrame
        Frame of an `InternalValidation`: measure, apparent, optimism, corrected, n_boot, n_failed.
    external : mapping of cohort to DataFrame, optional
        Frames of `evaluate`; only the rows of the whole cohort are used.
    intervals : DataFrame, optional
        measure, conf_low, conf_high, conf_level of corrected values.
    title, table_id : str
    preset : str or NumberPreset

    Examples
    --------
    >>> internal = pd.DataFrame({"measure": ["auc"], "apparent": [0.91], "optimism": [0.02],
    ...                          "corrected": [0.89], "n_boot": [200], "n_failed": [0]})
    >>> performance_table(internal).rows
    (('AUC', '0.910', '0.020', '0.890'),)
    """
    require_columns(
        internal, ("measure", "apparent", "optimism", "corrected"), table="performance table"
    )
    style = number_preset(preset)
    own = internal.set_index("measure")
    cohorts = {name: _overall(frame) for name, frame in (external or {}).items()}
    names = in_order(_PERFORMANCE, own.index, *(frame.index for frame in cohorts.values()))
    limits = None if intervals is None else intervals.set_index("measure")
    rows = tuple(
        (
            words_for(name).label,
            *_internal_cells(own, name, limits, style),
            *(cell_of(frame, name, style) for frame in cohorts.values()),
        )
        for name in names
    )
    corrected = "Corrected" if limits is None else f"Corrected ({confidence_words(intervals)})"
    headers = [f"{name} ({confidence_words(frame)})" for name, frame in cohorts.items()]
    columns = ("Measure", "Apparent", "Optimism", corrected, *headers)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=rows,
        notes=(
            *_resample_note(internal),
            *sample_notes(cohorts),
            *_withheld_note(cohorts),
            *([_EMAX] if "emax" in own.index else []),
        ),
        abbreviations=abbreviations_in(*columns, *(row[0] for row in rows)),
    )


_EMAX = (
    "Emax in development follows from the calibration intercept and slope of its column; its "
    "optimism is an error still to be added, not a gain to be taken off."
)


def calibration_table(
    frames: Mapping[str, pd.DataFrame],
    *,
    title: str = "Calibration",
    table_id: str = "calibration",
    preset: Preset = "ama",
) -> Table:
    """Measures of calibration, one column a cohort.

    Parameters
    ----------
    frames : mapping of cohort to DataFrame
        Frames of `assess_calibration` or `evaluate`.
    title, table_id : str
    preset : str or NumberPreset
    """
    return _side_by_side(frames, _CALIBRATION, title, table_id, number_preset(preset))


def external_table(
    frames: Mapping[str, pd.DataFrame],
    *,
    title: str = "Performance in external cohorts",
    table_id: str = "external",
    preset: Preset = "ama",
) -> Table:
    """Discrimination and calibration together, one column a cohort.

    Parameters
    ----------
    frames : mapping of cohort to DataFrame
        Frames of `evaluate`.
    title, table_id : str
    preset : str or NumberPreset
    """
    return _side_by_side(frames, _PERFORMANCE, title, table_id, number_preset(preset))


def centre_table(
    external: pd.DataFrame,
    *,
    title: str = "Performance by centre",
    table_id: str = "centres",
    preset: Preset = "ama",
) -> Table:
    """AUC and calibration of each centre of an external cohort.

    Parameters
    ----------
    external : DataFrame
        Frame of `evaluate(..., centre=...)`.
    title, table_id : str
    preset : str or NumberPreset
    """
    style = number_preset(preset)
    whole = external[external["threshold_probability"].isna()]
    groups = {
        str(name): part.set_index("measure") for name, part in whole.groupby("group", sort=False)
    }
    names = ("auc", "calibration_in_the_large", "calibration_slope", "oe_ratio")
    level = confidence_words(external)
    rows = tuple(
        (
            "All centres" if name == "overall" else name,
            f"{int(part['n'].iloc[0])} ({int(part['n_event'].iloc[0])})",
            *(cell_of(part, measure, style) for measure in names),
        )
        for name, part in groups.items()
    )
    headers = [f"{words_for(name).label} ({level})" for name in names]
    columns = ("Centre", "n (events)", *headers)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=rows,
        abbreviations=abbreviations_in(*columns),
    )


def decision_table(
    curve: pd.DataFrame,
    *,
    thresholds: Sequence[float],
    labels: Mapping[str, str] | None = None,
    title: str = "Net benefit",
    table_id: str = "net_benefit",
    preset: Preset = "ama",
) -> Table:
    """Net benefit of each strategy at chosen threshold probabilities.

    Parameters
    ----------
    curve : DataFrame
        Frame of a `DecisionCurve`.
    thresholds : sequence of float
        Which of the curve's thresholds are printed.
    labels : mapping of str to str, optional
    title, table_id : str
    preset : str or NumberPreset
    """
    require_columns(
        curve, ("model", "threshold_probability", "net_benefit"), table="net benefit table"
    )
    style = number_preset(preset)
    names = {"treat_all": "Treat all", "treat_none": "Treat none", **(labels or {})}
    wide = curve.pivot_table(
        index="threshold_probability", columns="model", values="net_benefit", sort=False
    )
    chosen = [t for t in wide.index if np.isclose(t, thresholds, atol=1e-9).any()]
    models = [str(model) for model in dict.fromkeys(curve["model"])]
    rows = tuple(
        (
            f"{format_number(t * 100, 0, preset=style)}%",
            *(format_number(wide.loc[t, model], 3, preset=style) for model in models),
        )
        for t in chosen
    )
    return Table(
        id=table_id,
        title=title,
        columns=("Threshold probability", *(names.get(model, model) for model in models)),
        rows=rows,
        notes=(NET_BENEFIT_NOTE,),
    )


def _overall(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a whole cohort, by measure, without those of single thresholds."""
    keep = frame
    if "group" in frame:
        keep = keep[keep["group"] == "overall"]
    if "threshold_probability" in frame:
        keep = keep[keep["threshold_probability"].isna()]
    return keep.set_index("measure")


def _internal_cells(
    own: pd.DataFrame, name: str, limits: pd.DataFrame | None, style: NumberPreset
) -> tuple[str, str, str]:
    if name not in own.index:
        return (style.missing,) * 3
    row = own.loc[name]
    decimals = words_for(name).decimals
    corrected = single_cell(name, row["corrected"], style)
    if limits is not None and name in limits.index:
        low, high = limits.loc[name, ["conf_low", "conf_high"]]
        corrected = estimate_cell(
            {"measure": name, "estimate": row["corrected"], "conf_low": low, "conf_high": high},
            style,
        )
    optimism = format_number(row["optimism"], decimals, preset=style)
    return single_cell(name, row["apparent"], style), optimism, corrected


def _side_by_side(
    frames: Mapping[str, pd.DataFrame],
    order: Sequence[str],
    title: str,
    table_id: str,
    style: NumberPreset,
) -> Table:
    tables = {name: _overall(frame) for name, frame in frames.items()}
    names = in_order(order, *(table.index for table in tables.values()))
    rows = tuple(
        (words_for(name).label, *(cell_of(table, name, style) for table in tables.values()))
        for name in names
    )
    headers = [f"{name} ({confidence_words(frame)})" for name, frame in frames.items()]
    columns = ("Measure", *headers)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=rows,
        notes=(*sample_notes(tables), *_withheld_note(tables)),
        abbreviations=abbreviations_in(*columns, *(row[0] for row in rows)),
    )


def _withheld_note(tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """Why distances from a flexible curve are not there (R18)."""
    withheld = [
        name for name, t in tables.items() if "ici" in t.index and pd.isna(t.loc["ici", "estimate"])
    ]
    if not withheld:
        return ()
    return (
        f"ICI, E50, E90 and Emax come from the flexible calibration curve, which is withheld with "
        f"fewer than 100 events or 100 non-events ({', '.join(withheld)}).",
    )


def _resample_note(internal: pd.DataFrame) -> tuple[str, ...]:
    if "n_boot" not in internal:
        return ()
    failed = int(internal["n_failed"].max()) if "n_failed" in internal else 0
    used = int(internal["n_boot"].max())
    return (f"Optimism from {used} resamples of patients; {failed} could not be evaluated.",)
