"""The five things papers leave out most often, written from the run as far as it knows them.

Annotation quality, sample size, robustness, failure analysis, and code and data (the items with
the lowest compliance in audits of imaging studies).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reports.checklists.facts import Facts
from reports.checklists.fill import STATES, fill, state_counts
from reports.checklists.items import GUIDELINES, load_guideline
from reports.evidence import Evidence
from reports.narrative.exhibits import Exhibits
from reports.narrative.words import cohort_said
from reports.numbers import format_auc
from reports.report import Block, Section
from reports.study import Study
from reports.tables import Table
from reports.text import Link, Paragraph, Value, author_note, paragraph

__all__ = ["FOLDER", "checklist_overview", "reporting_sections"]

#: Below the report.
FOLDER = "checklists"


def reporting_sections(study: Study, evidence: Evidence, exhibits: Exhibits) -> tuple[Section, ...]:
    """Five sections that are always there, and the overview of the checklists.

    Parameters
    ----------
    study : Study
    evidence : Evidence
    exhibits : Exhibits
        With the tables of `reporting_tables`.
    """
    parts = {
        "Failure analysis": _failures,
        "Robustness": _robustness,
        "Sample size": _sample_size,
        "Annotation quality": _annotation,
        "Code and data": _code_and_data,
    }
    facts = Facts(study=study, evidence=evidence)
    sections = [
        Section(heading=heading, blocks=tuple(part(facts, exhibits)))
        for heading, part in parts.items()
    ]
    overview = Section(heading="Reporting checklists", blocks=tuple(_checklists(facts)))
    return (*sections, overview)


def _failures(facts: Facts, exhibits: Exhibits) -> Iterator[Block]:
    rows = facts.evidence.table("examine/failures")
    if rows.empty:
        yield paragraph(
            "No patient's risk lay on the wrong side of one half. The author must still look at "
            "the patients nearest the cut-off."
        )
        return
    for cohort, part in rows.groupby("cohort", sort=False):
        yield _worst(facts, str(cohort), part)
    yield exhibits.table("failures")
    yield author_note(
        "what these images have in common after looking at them (depth, gain, calipers, shadows, "
        "rare disease), and what follows."
    )


def _worst(facts: Facts, cohort: str, part: pd.DataFrame) -> Paragraph:
    """The single worst error of a cohort, by its images."""
    error = (part["event"] - part["risk"]).abs()
    worst = part.loc[error.idxmax()]
    at = f"examine/failures.csv[image_ids={worst['image_ids']}]"
    return paragraph(
        "In the {cohort} cohort, the most confident error was a risk of {risk} in a patient "
        "{outcome} the outcome (images {images}).",
        cohort=cohort_said(facts.study, cohort),
        risk=Value(f"{at}.risk", format_auc(worst["risk"], 2, preset=facts.evidence.preset)),
        outcome=Value(f"{at}.event", "with" if worst["event"] == 1 else "without"),
        images=Value(f"{at}.image_ids", str(worst["image_ids"])),
    )


def _robustness(facts: Facts, exhibits: Exhibits) -> Iterator[Block]:
    groups = facts.evidence.table("examine/groups")
    aucs = groups[(groups["measure"] == "auc") & groups["estimate"].notna()]
    for cohort, part in aucs.groupby("cohort", sort=False):
        subgroups = part[part["by"] != "all patients"]
        if len(subgroups) > 1:
            yield _range(facts, str(cohort), subgroups)
    yield exhibits.table("groups")
    yield author_note(
        "conditions these tables do not hold (machine, probe, operator, image quality, disease "
        "spectrum), and whether any subgroup was planned."
    )


def _range(facts: Facts, cohort: str, subgroups: pd.DataFrame) -> Paragraph:
    """Lowest and highest AUC of a cohort's subgroups."""
    low, high = (
        subgroups.loc[subgroups["estimate"].idxmin()],
        subgroups.loc[subgroups["estimate"].idxmax()],
    )
    return paragraph(
        "In the {cohort} cohort, the AUC of the subgroups ran from {low} ({low_group}) to {high} "
        "({high_group}).",
        cohort=cohort_said(facts.study, cohort),
        low=_auc_of(facts, cohort, low),
        low_group=_name_of(cohort, low),
        high=_auc_of(facts, cohort, high),
        high_group=_name_of(cohort, high),
    )


def _auc_of(facts: Facts, cohort: str, row: pd.Series) -> Value:
    where = {"cohort": cohort, "by": row["by"], "group": row["group"], "measure": "auc"}
    return facts.evidence.estimate("examine/groups", 2, kind="unit", **where)


def _name_of(cohort: str, row: pd.Series) -> Value:
    at = f"examine/groups.csv[cohort={cohort},by={row['by']},group={row['group']}]"
    return Value(f"{at}.group", f"{row['by']}: {row['group']}")


def _sample_size(facts: Facts, exhibits: Exhibits) -> Iterator[Block]:
    sizes = facts.evidence.table("examine/sample_size")
    required = sizes[sizes["criterion"] == "required"]
    for row in required.to_dict("records"):
        yield _needed(facts, row)
    if "sample_size" in exhibits.tables:
        yield exhibits.table("sample_size")
    yield paragraph(
        "These sizes use the prevalence and performance this study found; they say whether it was "
        "large enough, not that it was planned."
    )
    yield author_note("whether a size was planned beforehand, and on what assumptions.")


def _needed(facts: Facts, row: dict[str, object]) -> Paragraph:
    where = {"purpose": row["purpose"], "criterion": "required"}
    have = facts.evidence.count("examine/sample_size", "n_have", **where)
    purpose = cohort_said(facts.study, row["purpose"])
    use = "development" if row["purpose"] == "development" else "evaluation in the {purpose} cohort"
    named = {} if row["purpose"] == "development" else {"purpose": purpose}
    if pd.isna(row["n"]):
        return paragraph(
            f"For {use} the study has {{have}} patients; no requirement can be computed from the "
            "performance found.",
            have=have,
            **named,
        )
    enough = "meet" if row["n_have"] >= row["n"] else "fall short of"
    return paragraph(
        f"For {use}, the {{have}} patients {enough} the {{needed}} that the strictest criterion "
        "asks for.",
        have=have,
        **named,
        needed=facts.evidence.count("examine/sample_size", "n", **where),
    )


def _annotation(facts: Facts, exhibits: Exhibits) -> Iterator[Block]:
    for row in facts.evidence.table("examine/annotation").to_dict("records"):
        where = {"cohort": row["cohort"]}
        table = "examine/annotation"
        yield paragraph(
            "In the {cohort} cohort, {masks} of {images} images have a mask, {boxes} have a box.",
            cohort=cohort_said(facts.study, row["cohort"]),
            masks=facts.evidence.count(table, "n_mask", **where),
            images=facts.evidence.count(table, "n_images", **where),
            boxes=facts.evidence.count(table, "n_roi", **where),
        )
    table = facts.evidence.table("examine/annotation")
    if table["n_mask"].sum():
        yield paragraph(
            "Every mask was read before any computing and held against its image: size, values, "
            "area. What was found amiss stands in {problems}.",
            problems=Value("run/check/problems.csv", "run/check/problems.csv"),
        )
    yield author_note(
        "who outlined the images and with how many years of experience, with which software, "
        "whether the outcome was known, and the agreement of two observers on a sample."
    )


def _code_and_data(facts: Facts, exhibits: Exhibits) -> Iterator[Block]:
    yield paragraph(
        "The manifest ({manifest}) names the versions of all packages, the commit, the seeds, and "
        "the SHA-{bits} hash of every table that went in and of every file that came out; the "
        "command usstats verify checks them and makes every table again. The model is a file of "
        "its own ({model}) with its equation, ranges, cut-off and model card, and a page that "
        "computes it without a network ({calculator}). All tables stand in one workbook ({tables}) "
        "and one by one in {folder}, the figures in {figures}.",
        bits=Value("manifest.json", "256"),
        manifest=Link("manifest.json"),
        model=Link("model.json"),
        calculator=Link("calculator.html"),
        tables=Link("tables.xlsx"),
        folder=Link("tables/"),
        figures=Link("figures/"),
    )
    if facts.study.config.synthetic:
        yield paragraph("The data are synthetic: the same command makes them again.")
        return
    yield author_note(
        "where the code can be had and under which licence, whether the images and the table of "
        "patients can be had, by whom and on what terms, and the same for the weights of the "
        "network."
    )


def _checklists(facts: Facts) -> Iterator[Block]:
    yield paragraph(
        "Each item below is filled from this run with a pointer to where it stands, or left to "
        "the author. The topics are in our own words; submit the form the guideline publishes."
    )
    for name in GUIDELINES:
        yield paragraph(
            "{guideline}: {document}, {cells}.",
            guideline=Value(f"{FOLDER}/{name}.csv", load_guideline(name).name),
            document=Link(f"{FOLDER}/{name}.docx"),
            cells=Link(f"{FOLDER}/{name}.csv"),
        )
    yield checklist_overview(facts)


def checklist_overview(facts: Facts) -> Table:
    """How many items of each guideline the run answers, and where the lists lie."""
    rows = []
    for name in GUIDELINES:
        guideline = load_guideline(name)
        counts = state_counts(fill(guideline, facts))
        rows.append((guideline.name, *(str(counts[state]) for state in STATES)))
    return Table(
        id="checklists",
        title="Items of the reporting guidelines",
        columns=("Guideline", *(state.capitalize() for state in STATES)),
        rows=tuple(rows),
        align=("left", *["decimal"] * len(STATES)),
        notes=tuple(
            f"{guideline.name}: {guideline.source}; doi:{guideline.doi}."
            for guideline in map(load_guideline, GUIDELINES)
        ),
    )
