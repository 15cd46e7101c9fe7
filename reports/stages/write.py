"""The manuscript: tables, report, calculator and the manifest beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import usstats
from reports.calculator import INTENDED_USE, calculator_nomogram, write_calculator
from reports.checklists import (
    Facts,
    reporting_sections,
    write_checklists,
)
from reports.document import render_document
from reports.evidence import Evidence
from reports.figure_presets import FigurePreset, figure_preset
from reports.files import sha256_file
from reports.manifest import git_commit, make_manifest
from reports.model_file import write_model_file
from reports.narrative import (
    author_section,
    key_results,
    limits_section,
    methods_section,
    result_sections,
    warnings_section,
)
from reports.narrative.captions import CAPTIONS, Caption, external_caption
from reports.narrative.exhibits import Exhibits
from reports.number_presets import number_preset
from reports.pipeline import Workspace, cohort_file, read_records
from reports.report import ReportContent, ReportFigure, render_report
from reports.stages.exhibits import manuscript_tables
from reports.stages.model import frozen_threshold, read_fit
from reports.study import STUDY_FILE, Study
from reports.tables import write_table, write_workbook
from reports.text import Value

#: What a study folder may hold beside its images.
TABLES = ("patients", "images", "predictions", "readings")


def write_manuscript(work: Workspace) -> None:
    """Everything a reader opens, in one folder."""
    study = work.study
    evidence = Evidence(run_dir=study.run_dir, preset=study.config.journal.numbers)
    tables = {table.id: table for table in manuscript_tables(work, evidence)}
    for table in tables.values():
        write_table(table, work.folder / "tables")
    write_workbook(tables.values(), work.folder / "tables.xlsx")
    figures = copy_figures(work)
    exhibits = Exhibits(tables=tables, figures=figures)
    warned = warnings_section(study)
    content = ReportContent(
        title=study.config.title,
        synthetic=study.config.synthetic,
        key_results=key_results(study, evidence),
        sections=(
            methods_section(study, evidence),
            *result_sections(study, evidence, exhibits),
            *reporting_sections(study, evidence, exhibits),
            limits_section(study, evidence),
            *([warned] if warned else []),
            author_section(),
        ),
        provenance=tuple(provenance(work)),
        source=study.config.source or "",
        italics=number_preset(evidence.preset).italics,
    )
    render_report(content, work.folder / "report.html")
    render_document(content, work.folder / "report.docx")
    calculator(work, evidence)
    fit = read_fit(work, study.config.nomogram.name)
    write_model_file(fit, study, evidence, work.folder, card=model_card(work, evidence))
    copy_model_cards(work)
    # The checklists point into the manifest, and the manifest names the checklists.
    manifest(work)
    write_checklists(Facts(study=study, evidence=evidence), content, work.folder)
    manifest(work)


def copy_model_cards(work: Workspace) -> None:
    """The cards of the networks beside the report."""
    for path in sorted(work.of("predict").glob("model_card_*")):
        shutil.copyfile(path, work.folder / path.name)


def copy_figures(work: Workspace) -> Mapping[str, ReportFigure]:
    """The drawn figures beside the report, and inside it."""
    target = work.folder / "figures"
    target.mkdir(exist_ok=True)
    figures, rules = {}, figure_preset(work.study.config.journal.figures)
    outside = {f"external_{cohort_file(c)}": c for c in work.study.config.cohorts.external}
    for path in sorted(work.of("draw").iterdir()):
        shutil.copyfile(path, target / path.name)
        if path.suffix == ".svg" or (path.stem == "cam" and path.suffix == ".png"):
            caption = CAPTIONS.get(path.stem) or external_caption(outside[path.stem])
            figures[path.stem] = _report_figure(path, caption, rules)
    return figures


def _report_figure(path: Path, caption: Caption, rules: FigurePreset) -> ReportFigure:
    width_mm = rules.width_mm("double" if caption.is_wide else "single")
    return ReportFigure.from_file(
        path, id=path.stem, title=caption.title, alt=caption.alt, width_mm=width_mm
    )


def provenance(work: Workspace) -> Iterator[tuple[str, Value]]:
    """What somebody needs to repeat the run."""
    study = work.study
    yield "Software", Value("manifest.json:packages", f"usstats {usstats.__version__}")
    yield "Seed", Value("study.yaml:seed", str(study.config.seed))
    for path in study_tables(study):
        yield f"SHA-256 of {path.name}", Value("manifest.json:inputs", sha256_file(path))
    commit = git_commit()
    if commit is not None:
        yield "Commit", Value("manifest.json:git_commit", commit)
    journal = study.config.journal
    figures, numbers = figure_preset(journal.figures), number_preset(journal.numbers)
    yield "Figures", Value("figures/figures.json", f"{figures.source}, as read in {figures.date}")
    yield "Numbers", Value("study.yaml:name", f"{numbers.source}, as read in {numbers.date}")


def calculator(work: Workspace, evidence: Evidence) -> None:
    """The nomogram as one HTML file."""
    study = work.study
    fit = read_fit(work, study.config.nomogram.name)
    write_calculator(
        fit,
        calculator_nomogram(fit),
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
    purpose = study.config.intended_use
    return {
        **({"Intended use": f"{purpose} {INTENDED_USE}"} if purpose else {}),
        "Development": f"{evidence.count('describe/flow', 'n_patients', **where).text} patients, "
        f"{evidence.count('describe/flow', 'n_event', **where).text} events",
        "AUC, corrected for optimism": auc.text,
        "Calibration slope, corrected for optimism": slope.text,
        "Software": f"usstats {usstats.__version__}",
    }


def manifest(work: Workspace) -> None:
    """Versions, seeds and hashes of everything that went in and came out."""
    study = work.study
    make_manifest(
        work.folder,
        inputs=[study.root / STUDY_FILE, *study_tables(study)],
        root=study.root,
        seeds={"study": study.config.seed},
        details={
            "model_cards": sorted(path.name for path in work.folder.glob("model_card_*")),
            "stages": [record.name for record in read_records(study.run_dir)],
            "figures": json.loads((work.of("draw") / "figures.json").read_text("utf-8")),
        },
    ).write(work.folder)


def study_tables(study: Study) -> list[Path]:
    """The tables of the study folder that are there."""
    paths = [study.root / f"{name}.csv" for name in TABLES]
    return [path for path in paths if path.is_file()]
