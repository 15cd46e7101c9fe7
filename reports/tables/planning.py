"""The table of what a study of its kind needs, beside what this one has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_auc, format_count, format_number
from reports.tables.table import Table
from reports.tables.words import abbreviations_in, require_columns

__all__ = ["Plan", "sample_size_table"]

Preset = str | NumberPreset

_CRITERIA = {
    "shrinkage": "Little overfitting: expected shrinkage",
    "optimism": "Small optimism in Nagelkerke R²",
    "overall risk": "Precise overall risk",
    "oe_ratio": "Precise O:E ratio",
    "calibration_slope": "Precise calibration slope",
    "auc": "Precise AUC",
    "standardized_net_benefit": "Precise standardized net benefit",
    "sensitivity": "Precise sensitivity",
    "specificity": "Precise specificity",
    "required": "Required",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size a purpose asks for, and the patients there are for it.

    Attributes
    ----------
    needed : DataFrame
        Frame of a `SampleSize`: criterion, n, and what it rests on.
    purpose : str
        What the patients are for, as printed.
    n, n_event : int or None
        Patients and events the study has.
    method : str
        Source of the criteria.
    """

    needed: pd.DataFrame
    purpose: str
    n: int | None = None
    n_event: int | None = None
    method: str = ""


def sample_size_table(
    plans: Iterable[Plan],
    *,
    title: str = "Sample size",
    table_id: str = "sample_size",
    preset: Preset = "ama",
) -> Table:
    """Patients and events each criterion asks for, and what the study has (R16, R18).

    Parameters
    ----------
    plans : iterable of Plan
    title, table_id : str
    preset : str or NumberPreset

    Examples
    --------
    >>> import usstats
    >>> size = usstats.sample_size_development(6, 0.42, auc=0.85)
    >>> plan = Plan(needed=size.frame(), purpose="Development", n=275, n_event=115)
    >>> sample_size_table([plan]).rows[-1]
    ('Required', '', '375', '158', '275', '115', '100')
    """
    style, rows, indent, notes = number_preset(preset), [], [], []
    for plan in plans:
        require_columns(plan.needed, ("criterion", "n"), table="sample size table")
        rows.append((plan.purpose, *[""] * 6))
        rows += [_criterion_cells(row, plan, style) for row in plan.needed.to_dict("records")]
        indent += [0, *[1] * len(plan.needed)]
        notes += _notes(plan, style)
    columns = (
        "Purpose and criterion",
        "Target",
        "Patients needed",
        "Events needed",
        "Patients here",
        "Events here",
        "Patients lacking",
    )
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=tuple(rows),
        indent=tuple(indent),
        align=("left", "left", *["decimal"] * 5),
        notes=tuple(notes),
        abbreviations=abbreviations_in(*columns, *(cell for row in rows for cell in row[:2])),
    )


def _criterion_cells(row: Mapping[Any, Any], plan: Plan, style: NumberPreset) -> tuple[str, ...]:
    name = str(row["criterion"])
    n, lacking = int(row["n"]), None if plan.n is None else max(int(row["n"]) - plan.n, 0)
    is_total = name == "required"
    return (
        _CRITERIA.get(name, name.replace("_", " ").capitalize()),
        _target(row, style),
        format_count(n, preset=style),
        _events(row, style),
        _have(plan.n, style) if is_total else "",
        _have(plan.n_event, style) if is_total else "",
        _have(lacking, style),
    )


def _events(row: Mapping[Any, Any], style: NumberPreset) -> str:
    """Expected events, rounded up as patients are."""
    events = row.get("n_event")
    return style.missing if events is None or pd.isna(events) else str(-int(-float(events) // 1))


def _target(row: Mapping[Any, Any], style: NumberPreset) -> str:
    if row["criterion"] == "overall risk":
        margin = row.get("margin")
        known = margin is not None and not pd.isna(margin)
        return f"margin {format_number(margin, 2, preset=style)}" if known else ""
    shrinkage, error = row.get("shrinkage"), row.get("std_error")
    if shrinkage is not None and not pd.isna(shrinkage):
        return f"shrinkage {format_auc(shrinkage, 2, preset=style)}"
    if error is not None and not pd.isna(error):
        return f"SE {format_number(error, 3, preset=style)}"
    return ""


def _have(n: int | None, style: NumberPreset) -> str:
    return style.missing if n is None else format_count(n, preset=style)


def _notes(plan: Plan, style: NumberPreset) -> list[str]:
    """What the numbers rest on."""
    first = plan.needed.iloc[0]
    assumed = []
    if "parameters" in first:
        assumed.append(f"{int(first['parameters'])} candidate parameters")
    if first.get("n_event") is not None and first["n"]:
        share = format_auc(first["n_event"] / first["n"], 2, preset=style)
        assumed.append(f"prevalence {share}")
    if "r2_nagelkerke" in first:
        r2 = format_auc(first["r2_nagelkerke"], 2, preset=style)
        assumed.append(f"anticipated Nagelkerke R² {r2}")
    aucs = plan.needed.loc[plan.needed["criterion"] == "auc"]
    if len(aucs) and "estimate" in aucs:
        assumed.append(f"AUC {format_auc(aucs['estimate'].iloc[0], 2, preset=style)}")
    source = f" {plan.method}." if plan.method else ""
    return [f"{plan.purpose}: {', '.join(assumed)}.{source}"] if assumed or source else []
