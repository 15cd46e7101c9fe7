"""Tables of what reviewers miss most: results by subgroup, the worst errors, the sample size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.evidence import Evidence
from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_auc
from reports.tables import Table
from reports.tables.planning import Plan, sample_size_table
from reports.tables.words import cell_of, confidence_words, words_for

__all__ = ["failure_table", "group_table", "reporting_tables", "size_table"]

Preset = str | NumberPreset

MEASURES = ("auc", "oe_ratio")
#: Fewer events or non-events than this and a subgroup's numbers say little.
IMPRECISE = 10
MODEL_WORDS = {"dl_prob": "network, out of fold"}


def reporting_tables(evidence: Evidence, *, preset: Preset = "ama") -> Iterator[Table]:
    """The tables of the five items most often missed, for what the run has.

    Parameters
    ----------
    evidence : Evidence
    preset : str or NumberPreset
    """
    yield group_table(evidence.table("examine/groups"), preset=preset)
    failures = evidence.table("examine/failures")
    if len(failures):
        yield failure_table(failures, preset=preset)
    plans = list(_plans(evidence.table("examine/sample_size")))
    if plans:
        yield size_table(plans, preset=preset)


def group_table(
    groups: pd.DataFrame,
    *,
    title: str = "Results by subgroup",
    table_id: str = "groups",
    preset: Preset = "ama",
) -> Table:
    """Discrimination and calibration in subgroups of each cohort.

    Parameters
    ----------
    groups : DataFrame
        cohort, model, by, group, measure, estimate, conf_low, conf_high, n, n_event.
    title, table_id : str
    preset : str or NumberPreset
    """
    style = number_preset(preset)
    rows, indent = [], []
    for (cohort, model), part in groups.groupby(["cohort", "model"], sort=False):
        rows.append((_block(cohort, model), "", "", *[""] * len(MEASURES)))
        indent.append(0)
        for (by, group), one in part.groupby(["by", "group"], sort=False):
            rows.append(_group_row(by, group, one, style))
            indent.append(1)
    interval = confidence_words(groups)
    return Table(
        id=table_id,
        title=title,
        columns=(
            "Subgroup",
            "Patients",
            "Events",
            *(f"{words_for(name).label} ({interval})" for name in MEASURES),
        ),
        rows=tuple(rows),
        indent=tuple(indent),
        notes=(
            f"Exploratory. Below {IMPRECISE} events or non-events an estimate says little; with "
            "one class only there is none. Unit of analysis: patient.",
        ),
        abbreviations=(
            ("AUC", "area under the receiver operating characteristic curve"),
            ("CI", "confidence interval"),
            ("O:E", "observed to expected"),
        ),
    )


def _group_row(by: str, group: str, one: pd.DataFrame, style: NumberPreset) -> tuple[str, ...]:
    name = "All patients" if group == "all" else f"{str(by).capitalize()}: {group}"
    first, measures = one.iloc[0], one.set_index("measure")
    cells = (cell_of(measures, measure, style) for measure in MEASURES)
    return (name, str(int(first["n"])), str(int(first["n_event"])), *cells)


def failure_table(
    failures: pd.DataFrame,
    *,
    title: str = "Patients whose risk contradicts their outcome most",
    table_id: str = "failures",
    preset: Preset = "ama",
) -> Table:
    """The worst errors with their images, for somebody to look at.

    Parameters
    ----------
    failures : DataFrame
        cohort, model, kind, risk, dl_prob, energy_in_mask, image_ids.
    title, table_id : str
    preset : str or NumberPreset
    """
    style = number_preset(preset)
    explained = bool(failures["energy_in_mask"].notna().any())
    rows, indent = [], []
    for (cohort, model, kind), part in failures.groupby(["cohort", "model", "kind"], sort=False):
        rows.append((f"{_block(cohort, model)}: {kind}", "", "", *[""] * explained))
        rows += [_failure_row(row, style, explained=explained) for row in part.to_dict("records")]
        indent += [0, *[1] * len(part)]
    notes = [
        "By rule: the largest difference between risk and outcome above one half, from models "
        "that had not seen the patient. Images by the codes of the study."
    ]
    if explained:
        notes.append(
            "Grad-CAM in the mask: share of the evidence for the event inside the outline, mean "
            "over the patient's images; a dash where there was no such evidence."
        )
    return Table(
        id=table_id,
        title=title,
        columns=("Images", "Risk", "Network probability", *["Grad-CAM in the mask"] * explained),
        rows=tuple(rows),
        indent=tuple(indent),
        notes=tuple(notes),
    )


def _block(cohort: object, model: object) -> str:
    """Heading of a cohort's rows: its name and the model that was applied."""
    name = str(cohort).replace("_", " ")
    return f"{name[:1].upper()}{name[1:]} ({MODEL_WORDS.get(str(model), str(model))})"


def _failure_row(
    row: Mapping[Any, Any],
    style: NumberPreset,
    *,
    explained: bool,
) -> tuple[str, ...]:
    numbers = (row["risk"], row["dl_prob"], *[row["energy_in_mask"]] * explained)
    images = row["image_ids"] if isinstance(row["image_ids"], str) else style.missing
    return (images, *(format_auc(value, 2, preset=style) for value in numbers))


def size_table(plans: list[Plan], *, preset: Preset = "ama") -> Table:
    """The patients each criterion asks for, beside those the study has."""
    return sample_size_table(plans, title="Sample size, at the performance found", preset=preset)


def _plans(sizes: pd.DataFrame) -> Iterator[Plan]:
    """One plan a purpose that can be planned for."""
    for purpose, part in sizes.groupby("purpose", sort=False):
        if part["n"].isna().any():
            continue
        needed = part.dropna(axis="columns", how="all").reset_index(drop=True)
        first = needed.iloc[0]
        yield Plan(
            needed=needed,
            purpose="Development" if purpose == "development" else f"Evaluation: {purpose}",
            n=int(first["n_have"]),
            n_event=int(first["n_event_have"]),
            method=str(first["source"]),
        )
