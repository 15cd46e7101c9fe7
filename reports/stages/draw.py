"""Every figure of the report, drawn from the tables the stages before it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from reports.evidence import Evidence
from reports.figures import FIGURE_FORMATS, figure_preset, letter_panels, save_figure
from reports.files import read_csv, write_json
from reports.narrative.words import cohort_words, external_model
from reports.panels import (
    cam_panel,
    confusion_counts,
    confusion_panels,
    flow_diagram,
    forest_plot,
)
from reports.pipeline import Workspace, cohort_file
from reports.stages.model import frozen_threshold, read_fit, read_patients
from reports.stages.readers import POINTS, READINGS, saved_readers
from reports.stages.saved import (
    SavedCalibration,
    SavedInstability,
    SavedRoc,
    SavedTable,
    corrected_decision,
)
from reports.study import Study
from usstats._calibration.histogram import risk_histogram
from usstats.nomogram import build_nomogram
from usstats.plots._fonts import quiet_about_glyphs
from usstats.plots.calibration import plot_calibration, plot_corrected_calibration
from usstats.plots.decision import plot_decision
from usstats.plots.instability import plot_instability
from usstats.plots.nomogram import plot_nomogram
from usstats.plots.readers import plot_reader_change, plot_reader_points
from usstats.plots.roc import plot_roc
from usstats.plots.style import journal_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MM_PER_INCH = 25.4
#: Readable names of the models of a study where its author gave none.
MODEL_LABELS = {"dl_prob": "network"}


def draw_figures(work: Workspace) -> None:
    """Write each figure in the journal's formats, and what is in the files as figures.json."""
    records, preset = {}, work.study.config.journal.figures
    for name, (make, options) in figures(work.study).items():
        with journal_style(), quiet_about_glyphs():
            fig = make(work)
            files = save_figure(
                fig, work.folder, name, preset, formats=_formats(options), **options
            )
        records[name] = files.record()
    write_json(work.folder / "figures.json", records)


def _formats(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Pictures also as TIFF, which publishers want of them; line art as its vectors."""
    is_line = options.get("kind", "line") == "line"
    return FIGURE_FORMATS if is_line else (*FIGURE_FORMATS, "tiff")


def figures(study: Study) -> dict[str, tuple[Callable[[Workspace], Figure], dict[str, Any]]]:
    """Name -> how it is drawn and saved, for what this study has."""
    double = {"width": "double"}
    chosen: dict[str, tuple[Callable[[Workspace], Figure], dict[str, Any]]] = {
        "flow": (draw_flow, double),
        "nomogram": (draw_nomogram, double),
        "roc": (draw_roc, {"width": "single"}),
        "calibration": (draw_calibration, {"width": "single"}),
        "decision": (draw_decision, {"width": "single"}),
        "confusion": (draw_confusion, double),
        "forest": (draw_forest, double),
        "instability": (draw_instability, {"width": "single", "kind": "combination"}),
    }
    for cohort in study.config.cohorts.external:
        chosen[f"external_{cohort_file(cohort)}"] = (_external_drawer(cohort), double)
    if (study.root / READINGS).is_file():
        chosen["readers"] = (draw_readers, {"width": "single"})
        if (study.run_dir / "readers" / f"{POINTS}.csv").is_file():
            chosen["reader_points"] = (draw_reader_points, {"width": "single"})
    if study.config.networks:
        chosen["cam"] = (draw_cam, {"width": "double", "kind": "halftone"})
    return chosen


def both_columns(work: Workspace) -> float:
    """Millimetres of both columns of the study's journal."""
    return figure_preset(work.study.config.journal.figures).width_double_mm


def draw_flow(work: Workspace) -> Figure:
    """Participants from enrolment to analysis."""
    config = work.study.config.cohorts
    return flow_diagram(
        read_csv(work.of("describe") / "flow.csv"),
        labels={name: cohort_words(name) for name in (*config.development, *config.external)},
        width_mm=both_columns(work),
    )


def draw_nomogram(work: Workspace) -> Figure:
    """The nomogram over where the development patients lie."""
    study = work.study
    nomogram = build_nomogram(read_fit(work, study.config.nomogram.name))
    ax = plot_nomogram(
        nomogram,
        labels={**term_labels(study), "event": study.config.outcome.label},
        cutoff=frozen_threshold(work),
        density=read_patients(work, "development").dropna(subset=study.variables),
        width_mm=both_columns(work),
    )
    return ax.figure


def term_labels(study: Study) -> dict[str, str]:
    """Covariate -> its printed name."""
    return {name: study.label(name) for name in study.variables}


def draw_roc(work: Workspace) -> Figure:
    """Apparent ROC curves of the models, and the human comparator's operating points."""
    folder = work.of("compare")
    curves = {
        model.name: SavedRoc(folder=folder, name=model.name) for model in work.study.config.models
    }
    points = None
    comparator = work.study.config.comparator
    if comparator is not None:
        table = read_csv(folder / "comparator.csv")
        points = table.rename(columns={"term": "label"}).assign(group=comparator.label)
    return plot_roc(curves, points=points, band=False).figure


def draw_calibration(work: Workspace) -> Figure:
    """Optimism-corrected calibration of the nomogram in development."""
    name = work.study.config.nomogram.name
    curve = read_csv(work.of("validate") / f"{name}_calibration.csv")
    risks = SavedInstability(folder=work.of("validate")).frame()["estimate"]
    bins = risk_histogram(read_patients(work, "development")["event"], risks)
    return plot_corrected_calibration(curve, histogram=bins).figure


def draw_confusion(work: Workspace) -> Figure:
    """Predicted against true class at the frozen cut-off, one panel a cohort."""
    outcome = work.study.config.outcome
    paths = {"Development": work.of("fit") / "accuracy.csv"}
    for cohort in work.study.config.cohorts.external:
        paths[cohort_words(cohort)] = work.of("external") / f"{cohort_file(cohort)}_accuracy.csv"
    counts = {
        name: confusion_counts(read_csv(path), outcome.positive, outcome.negative)
        for name, path in paths.items()
        if path.is_file()
    }
    return confusion_panels(counts, work.study.config.journal.figures, width_mm=both_columns(work))


def draw_decision(work: Workspace) -> Figure:
    """Optimism-corrected net benefit over the stated range."""
    models = [model.name for model in work.study.config.models]
    return plot_decision(SavedTable(table=corrected_decision(work.of("validate"), models))).figure


def draw_forest(work: Workspace) -> Figure:
    """Odds ratios of the nomogram's terms."""
    name = work.study.config.nomogram.name
    table = read_csv(work.of("fit") / f"{name}_odds_ratios.csv")
    return forest_plot(
        table,
        labels=term_labels(work.study),
        preset=work.study.config.journal.numbers,
        width_mm=both_columns(work),
    )


def draw_instability(work: Workspace) -> Figure:
    """How far each patient's risk moves between the models of the resamples."""
    return plot_instability(SavedInstability(folder=work.of("validate"))).figure


def draw_readers(work: Workspace) -> Figure:
    """Each reader in every condition, and the readers' averages."""
    frame, groups = saved_readers(work.of("readers"))
    if groups:
        own = frame["reader"].map(groups)
        frame["group"] = own if "group" not in frame else own.fillna(frame["group"])
    return plot_reader_change(frame).figure


def draw_reader_points(work: Workspace) -> Figure:
    """Each reader's operating point on the ROC curve of the nomogram in the same cohort."""
    points = read_csv(
        work.of("readers") / f"{POINTS}.csv", dtype={"reader": str, "condition": str, "group": str}
    )
    return plot_reader_points(points, curve=_curve_of_readers(work)).figure


def _curve_of_readers(work: Workspace) -> dict[str, SavedRoc] | None:
    """The curve in the one cohort that was read; none where several were."""
    config = work.study.config
    cohorts = set(json.loads((work.of("readers") / "facts.json").read_text("utf-8"))["cohorts"])
    name = config.nomogram.name
    if cohorts and cohorts <= set(config.cohorts.development):
        return {f"{name}, apparent": SavedRoc(folder=work.of("compare"), name=name)}
    if len(cohorts) != 1:
        return None
    (cohort,) = cohorts
    name = external_model(work.study, Evidence(run_dir=work.study.run_dir), cohort)
    saved = SavedRoc(folder=work.of("external"), name=f"{cohort_file(cohort)}_{name}")
    return {MODEL_LABELS.get(name, name): saved}


def draw_cam(work: Workspace) -> Figure:
    """Grad-CAM maps of patients the network had not seen."""
    table = read_csv(work.of("explain") / "cam.csv")
    preset = work.study.config.journal.figures
    return cam_panel(table, work.of("explain"), preset, width_mm=both_columns(work))


def _external_drawer(cohort: str) -> Callable[[Workspace], Figure]:
    """ROC, calibration and decision curve of one external cohort, side by side."""

    def draw_external(work: Workspace) -> Figure:
        from matplotlib.figure import Figure as NewFigure

        folder = work.of("external")
        name = external_model(work.study, Evidence(run_dir=work.study.run_dir), cohort)
        width = both_columns(work) / MM_PER_INCH
        fig = NewFigure(figsize=(width, 0.36 * width), layout="constrained")
        axes = fig.subplots(1, 3)
        label = f"{cohort_file(cohort)}_{name}"
        plot_roc({MODEL_LABELS.get(name, name): SavedRoc(folder=folder, name=label)}, axes[0])
        calibration = SavedCalibration(folder=folder, name=label)
        plot_calibration(calibration, axes[1], legend=False, text=False)
        curve = read_csv(folder / f"{label}_decision.csv")
        plot_decision(SavedTable(table=curve.replace({"model": MODEL_LABELS})), axes[2])
        letter_panels(axes, work.study.config.journal.figures)
        return fig

    return draw_external
