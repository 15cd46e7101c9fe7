"""The manuscript: tables, report, calculator and the manifest beside them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

import usstats
from reports.calculator import write_calculator
from reports.evidence import Evidence
from reports.manifest import make_manifest
from reports.narrative import (
    author_section,
    key_results,
    limits_section,
    methods_section,
    result_sections,
)
from reports.narrative.captions import CAPTIONS, external_caption
from reports.narrative.exhibits import Exhibits
from reports.narrative.results import external_model
from reports.pipeline import Workspace, read_records
from reports.report import ReportContent, ReportFigure, render_report
from reports.stages.draw import PRESET, term_labels
from reports.stages.model import frozen_threshold, read_fit
from reports.stages.saved import corrected_decision
from reports.study import STUDY_FILE
from reports.tables import (
    Table,
    accuracy_table,
    decision_table,
    external_table,
    flow_table,
    model_table,
    odds_ratio_table,
    performance_table,
    table_one,
    write_table,
)
from reports.tables.comparator import comparator_table
from reports.tables.comparison import nested_table, truth_table
from reports.text import Value
from usstats.nomogram import build_nomogram

NUMBERS = "esr"


def write_manuscript(work: Workspace) -> None:
    """Everything a reader opens, in one folder."""
    study = work.study
    evidence = Evidence(run_dir=study.run_dir, preset=NUMBERS)
    tables = {table.id: table for table in manuscript_tables(work, evidence)}
    for table in tables.values():
        write_table(table, work.folder / "tables")
    figures = copy_figures(work)
    exhibits = Exhibits(tables=tables, figures=figures)
    content = ReportContent(
        title=study.config.title,
        synthetic=study.config.synthetic,
        key_results=key_results(study, evidence),
        sections=(
            methods_section(study, evidence),
            *result_sections(study, evidence, exhibits),
            limits_section(study, evidence),
            author_section(),
        ),
        provenance=tuple(provenance(work)),
        source=study.config.source or "",
    )
    render_report(content, work.folder / "report.html")
    calculator(work, evidence)
    manifest(work)


def manuscript_tables(work: Workspace, evidence: Evidence) -> Iterator[Table]:
    """Every table of the report, under the name the text calls it by."""
    study, labels = work.study, term_labels(work.study)
    name = study.config.nomogram.name
    fit = read_fit(work, name)
    yield flow_table(evidence.table("describe/flow"), preset=NUMBERS)
    yield table_one(
        evidence.table("describe/development"),
        labels=study.labels,
        title="Development cohort by outcome",
        table_id="patients",
        preset=NUMBERS,
    )
    if evidence.has("describe/cohorts"):
        yield table_one(
            evidence.table("describe/cohorts"),
            labels=study.labels,
            title="Development and external cohorts",
            table_id="cohorts",
            preset=NUMBERS,
        )
    yield model_table(fit, labels=labels, preset=NUMBERS)
    yield odds_ratio_table(evidence.table(f"fit/{name}_odds_ratios"), labels=labels, preset=NUMBERS)
    yield performance_table(
        evidence.table(f"validate/{name}"),
        _external_frames(work, evidence, only=name),
        intervals=evidence.table(f"validate/{name}_auc"),
        preset=NUMBERS,
    )
    if evidence.has("compare/nested"):
        yield nested_table(evidence.table("compare/nested"), preset=NUMBERS)
    comparator = study.config.comparator
    if comparator is not None:
        yield comparator_table(
            evidence.table("compare/comparator"), label=comparator.label, preset=NUMBERS
        )
    yield accuracy_table(_accuracy_frames(work, evidence), preset=NUMBERS)
    yield _net_benefit(work)
    if study.config.cohorts.external:
        yield external_table(_external_frames(work, evidence), preset=NUMBERS)
    if evidence.has("truth/truth"):
        yield truth_table(evidence.table("truth/truth"), preset=NUMBERS)


def _external_frames(
    work: Workspace, evidence: Evidence, *, only: str | None = None
) -> dict[str, pd.DataFrame]:
    """Each external cohort's evaluation, of the nomogram or of the network where that is all."""
    found = {
        cohort: external_model(work.study, evidence, cohort)
        for cohort in work.study.config.cohorts.external
    }
    return {
        cohort: evidence.table(f"external/{cohort}_{model}")
        for cohort, model in found.items()
        if only in (None, model)
    }


def _accuracy_frames(work: Workspace, evidence: Evidence) -> dict[str, pd.DataFrame]:
    frames = {"Development (apparent)": evidence.table("fit/accuracy")}
    for cohort in work.study.config.cohorts.external:
        if evidence.has(f"external/{cohort}_accuracy"):
            frames[cohort] = evidence.table(f"external/{cohort}_accuracy")
    return frames


def _net_benefit(work: Workspace) -> Table:
    """Corrected net benefit at both ends and the middle of the stated range."""
    models = [model.name for model in work.study.config.models]
    thresholds = work.study.config.decision.thresholds()
    return decision_table(
        corrected_decision(work.of("validate"), models),
        thresholds=[float(thresholds[i]) for i in (0, len(thresholds) // 2, -1)],
        title="Net benefit, corrected for optimism",
        preset=NUMBERS,
    )


def copy_figures(work: Workspace) -> Mapping[str, ReportFigure]:
    """The drawn figures beside the report, and inside it."""
    target = work.folder / "figures"
    target.mkdir(exist_ok=True)
    figures = {}
    for path in sorted(work.of("draw").iterdir()):
        shutil.copyfile(path, target / path.name)
        if path.suffix == ".svg" or (path.stem == "cam" and path.suffix == ".png"):
            figures[path.stem] = _report_figure(path)
    return figures


def _report_figure(path: Path) -> ReportFigure:
    name = path.stem
    caption = CAPTIONS.get(name) or external_caption(name.removeprefix("external_"))
    return ReportFigure.from_file(
        path, id=name, title=caption.title, alt=caption.alt, width_mm=caption.width_mm
    )


def provenance(work: Workspace) -> Iterator[tuple[str, Value]]:
    """What somebody needs to repeat the run."""
    study = work.study
    yield "Software", Value("manifest.json:packages", f"usstats {usstats.__version__}")
    yield "Seed", Value("study.yaml:seed", str(study.config.seed))
    yield "Figures", Value("figures.json", f"drawn for {PRESET.replace('_', ' ')}")
    yield "Numbers", Value("study.yaml", f"style {NUMBERS}")


def calculator(work: Workspace, evidence: Evidence) -> None:
    """The nomogram as one HTML file."""
    study = work.study
    fit = read_fit(work, study.config.nomogram.name)
    write_calculator(
        fit,
        build_nomogram(fit),
        work.folder / "calculator.html",
        title=study.config.title,
        outcome_label=study.config.outcome.label,
        units={name: study.unit(name) for name in study.variables},
        labels={name: study.bare_label(name) for name in study.variables},
        threshold=frozen_threshold(work),
        model_card=model_card(work, evidence),
        synthetic=study.config.synthetic,
    )


def model_card(work: Workspace, evidence: Evidence) -> dict[str, str]:
    """Where the model comes from and how well it did, for the calculator's foot."""
    study = work.study
    name = study.config.nomogram.name
    where = {"cohort": study.config.cohorts.development[0], "step": "analysed"}
    auc = evidence.estimate(f"validate/{name}_auc", kind="unit", measure="auc")
    slope = evidence.number(f"validate/{name}", "corrected", measure="calibration_slope")
    return {
        "Development": f"{evidence.count('describe/flow', 'n_patients', **where).text} patients, "
        f"{evidence.count('describe/flow', 'n_event', **where).text} events",
        "AUC, corrected for optimism": auc.text,
        "Calibration slope, corrected for optimism": slope.text,
        "Software": f"usstats {usstats.__version__}",
    }


def manifest(work: Workspace) -> None:
    """Versions, seeds and hashes of everything that went in and came out."""
    study = work.study
    inputs = [study.root / name for name in (STUDY_FILE, "patients.csv", "images.csv")]
    make_manifest(
        work.folder,
        inputs=inputs,
        root=study.root,
        seeds={"study": study.config.seed},
        details={"stages": [record.name for record in read_records(study.run_dir)]},
    ).write(work.folder)
