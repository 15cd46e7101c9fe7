"""What the study cannot tell: limits seen in its own files, and what only its author knows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd

from reports.evidence import Evidence
from reports.narrative.words import cohort_said, external_model
from reports.pipeline import read_records
from reports.report import Bullets, Section
from reports.study import Study
from reports.text import Paragraph, Value, paragraph, plural

#: Fewer events or non-events than this leave an external validation imprecise (R18).
ENOUGH = 100

#: Fewer patients than this may be recognised in a table.
SMALL_CELL = 5

AUTHOR_TO_STATE = (
    "Setting, dates of recruitment, and how patients were selected.",
    "Ethics approval and consent.",
    "Ultrasound machines, probes and presets; who acquired and who annotated the images, and "
    "whether they knew the outcome.",
    "How and when the outcome was established, and its interval to the examination.",
    "Intended use, and who would act on the risk.",
    "Registration, funding and conflicts of interest.",
    "Availability of data and code.",
)


def limits_section(study: Study, evidence: Evidence) -> Section:
    """Limits this run can see by itself."""
    items = [
        *_of_fusion(),
        *_of_size(evidence),
        *_of_external(study, evidence),
        *_of_small_cells(evidence),
        *_of_import(study),
    ]
    return Section(heading="Limits", blocks=(Bullets(items=tuple(items)),))


def warnings_section(study: Study) -> Section | None:
    """What the software warned of while it ran, in its own words; none where it was silent."""
    items = tuple(_of_warnings(study))
    if not items:
        return None
    head = paragraph("Messages of the software during this run, word for word.")
    return Section(heading="Warnings of the run", blocks=(head, Bullets(items=items)))


def author_section() -> Section:
    """What no run can know."""
    items = tuple(paragraph(text) for text in AUTHOR_TO_STATE)
    return Section(heading="Author to state", blocks=(Bullets(items=items),), for_author=True)


def _of_fusion() -> Iterator[Paragraph]:
    yield paragraph(
        "The network's probabilities are out-of-fold, which keeps them honest for new patients; "
        "the test of their own coefficient is still somewhat optimistic (Höfling and Tibshirani), "
        "and the resamples do not repeat the training of the network."
    )


def _of_size(evidence: Evidence) -> Iterator[Paragraph]:
    """Development that is smaller than the strictest criterion asks for."""
    where = {"purpose": "development", "criterion": "required"}
    row = evidence.row("examine/sample_size", **where)
    if not pd.isna(row["n"]) and row["n_have"] < row["n"]:
        yield paragraph(
            "Development has {have} patients where the strictest criterion of sample size asks for "
            "{needed}.",
            have=evidence.count("examine/sample_size", "n_have", **where),
            needed=evidence.count("examine/sample_size", "n", **where),
        )


def _of_external(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if not study.config.cohorts.external:
        yield paragraph("No external cohort: transportability was not examined.")
    for cohort in study.config.cohorts.external:
        row = evidence.row("describe/flow", cohort=cohort, step="analysed")
        events, others = int(row["n_event"]), int(row["n_patients"] - row["n_event"])
        at = f"describe/flow.csv[cohort={cohort},step=analysed]"
        if min(events, others) < ENOUGH:
            yield paragraph(
                "The {cohort} cohort has {events} events and {others} non-events; at least "
                "{enough} of each are needed for a precise validation.",
                cohort=cohort_said(study, cohort),
                events=evidence.fact(f"{at}.n_event", events),
                others=evidence.fact(f"{at}.n_patients", others),
                enough=evidence.fact("rule R18", ENOUGH),
            )
        if external_model(study, evidence, cohort) == "dl_prob":
            yield paragraph(
                "The covariates were not measured in the {cohort} cohort: only the network, not "
                "the nomogram, was validated there.",
                cohort=cohort_said(study, cohort),
            )


def _of_small_cells(evidence: Evidence) -> Iterator[Paragraph]:
    """Counts of so few patients that somebody could be recognised in them."""
    counts = [evidence.table("examine/groups")[["n", "n_event"]].drop_duplicates().melt()["value"]]
    described = [f"describe/{name}" for name in ("development", "cohorts")]
    counts += [evidence.table(name)["count"] for name in described if evidence.has(name)]
    small = sum(int(((cells > 0) & (cells < SMALL_CELL)).sum()) for cells in counts)
    if small:
        yield paragraph(
            "{small} "
            + plural(small, "count of the tables stands", "counts of the tables stand")
            + " for fewer than five patients each: before the tables are "
            "shared, merge the levels and subgroups, or leave them out.",
            small=evidence.fact("examine/groups.csv.n", small),
        )


def _of_import(study: Study) -> Iterator[Paragraph]:
    """Notes of the importer that made the study folder."""
    path = study.root / "import.json"
    if path.is_file():
        for note in json.loads(path.read_text("utf-8"))["notes"]:
            yield Paragraph((Value("import.json:notes", note),))


def _of_warnings(study: Study) -> Iterator[Paragraph]:
    """What the stages warned of, in their own words."""
    for record in read_records(study.run_dir):
        for text in record.warnings:
            yield Paragraph((Value(f"stages/{record.name}.json:warnings", text),))
