"""The tables of the manuscript, each made from what a stage saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from reports.checklists import reporting_tables
from reports.evidence import Evidence
from reports.narrative.networks import mean_dice_of
from reports.narrative.words import cohort_words, external_model
from reports.pipeline import Workspace, cohort_file
from reports.stages.draw import term_labels
from reports.stages.model import read_fit
from reports.stages.readers import saved_readers
from reports.stages.saved import corrected_decision
from reports.tables import (
    Table,
    accuracy_table,
    auc_table,
    comparator_table,
    decision_table,
    external_table,
    flow_table,
    missing_table,
    model_table,
    nested_table,
    odds_ratio_table,
    performance_table,
    reader_effect_table,
    reader_table,
    segmentation_table,
    table_one,
    truth_table,
)
from usstats._describe.table_one import OVERALL


def manuscript_tables(work: Workspace, evidence: Evidence) -> Iterator[Table]:
    """Every table of the report, under the name the text calls it by."""
    yield from _patients(work, evidence)
    yield from _models(work, evidence)
    yield from _performance(work, evidence)
    dice = mean_dice_of(work.study, evidence)
    if not dice.empty:
        yield segmentation_table(dice, preset=evidence.preset)
    if evidence.has("readers/readers"):
        yield from _readers(work, evidence)
    yield from reporting_tables(evidence, preset=evidence.preset)
    if evidence.has("truth/truth"):
        yield truth_table(evidence.table("truth/truth"), preset=evidence.preset)


def _patients(work: Workspace, evidence: Evidence) -> Iterator[Table]:
    study = work.study
    yield flow_table(evidence.table("describe/flow"), preset=evidence.preset)
    described = evidence.table("describe/development")
    development = study.config.cohorts.development
    outcome = study.config.outcome.column
    yield table_one(
        described,
        image_counts(work, development, by=outcome),
        labels=study.labels,
        title="Development cohort by outcome",
        table_id="patients",
        preset=evidence.preset,
    )
    if (described["n_missing"] > 0).any():
        yield missing_table(
            described,
            labels=study.labels,
            title="Missing values in the development cohort",
            preset=evidence.preset,
        )
    if evidence.has("describe/cohorts"):
        cohorts = list(dict.fromkeys(evidence.table("describe/cohorts")["group"]))
        cohorts.remove(OVERALL)
        yield table_one(
            evidence.table("describe/cohorts"),
            image_counts(work, cohorts, by="cohort"),
            labels=study.labels,
            group_labels={name: cohort_words(name) for name in cohorts},
            title="Development and external cohorts",
            table_id="cohorts",
            preset=evidence.preset,
        )


def image_counts(work: Workspace, cohorts: list[str], *, by: str) -> pd.DataFrame:
    """Patients and images of each group, counted apart, and of all together."""
    patients = work.study.cohort(*cohorts)
    images = patients["patient_id"].map(work.study.images["patient_id"].value_counts()).fillna(0)
    counted = patients.assign(n_images=images.astype(int), group=patients[by].astype(str))
    sizes = counted.groupby("group")["n_images"].agg(n_patients="size", n_images="sum")
    overall = pd.DataFrame(
        {"n_patients": [len(counted)], "n_images": [int(images.sum())]}, index=[OVERALL]
    )
    return pd.concat([sizes, overall]).rename_axis("group").reset_index()


def _models(work: Workspace, evidence: Evidence) -> Iterator[Table]:
    name, labels = work.study.config.nomogram.name, term_labels(work.study)
    yield model_table(read_fit(work, name), labels=labels, preset=evidence.preset)
    yield odds_ratio_table(
        evidence.table(f"fit/{name}_odds_ratios"), labels=labels, preset=evidence.preset
    )


def _performance(work: Workspace, evidence: Evidence) -> Iterator[Table]:
    study = work.study
    name = study.config.nomogram.name
    yield performance_table(
        evidence.table(f"validate/{name}"),
        external_frames(work, evidence, only=name),
        intervals=evidence.table(f"validate/{name}_auc"),
        preset=evidence.preset,
    )
    if evidence.has("compare/nested"):
        yield nested_table(evidence.table("compare/nested"), preset=evidence.preset)
    comparator = study.config.comparator
    if comparator is not None:
        yield comparator_table(
            evidence.table("compare/comparator"), label=comparator.label, preset=evidence.preset
        )
    yield accuracy_table(_accuracy_frames(work, evidence), preset=evidence.preset)
    yield _net_benefit(work, evidence)
    if study.config.cohorts.external:
        yield external_table(external_frames(work, evidence), preset=evidence.preset)
    if evidence.has("contrasts/auc"):
        cohorts = {name: cohort_words(name) for name in study.config.cohorts.external}
        yield auc_table(
            evidence.table("contrasts/auc"),
            labels=cohorts,
            title="Areas under the curve of the frozen models in external cohorts",
            preset=evidence.preset,
        )


def external_frames(
    work: Workspace, evidence: Evidence, *, only: str | None = None
) -> dict[str, pd.DataFrame]:
    """Each external cohort's evaluation, of the nomogram or of the network where that is all."""
    found = {
        cohort: external_model(work.study, evidence, cohort)
        for cohort in work.study.config.cohorts.external
    }
    return {
        cohort_words(cohort): evidence.table(f"external/{cohort_file(cohort)}_{model}")
        for cohort, model in found.items()
        if only in (None, model)
    }


def _accuracy_frames(work: Workspace, evidence: Evidence) -> Mapping[str, pd.DataFrame]:
    frames = {"Development (apparent)": evidence.table("fit/accuracy")}
    for cohort in work.study.config.cohorts.external:
        if evidence.has(f"external/{cohort_file(cohort)}_accuracy"):
            frames[cohort_words(cohort)] = evidence.table(
                f"external/{cohort_file(cohort)}_accuracy"
            )
    return frames


def _net_benefit(work: Workspace, evidence: Evidence) -> Table:
    """Corrected net benefit at both ends and the middle of the stated range."""
    models = [model.name for model in work.study.config.models]
    thresholds = work.study.config.decision.thresholds()
    return decision_table(
        corrected_decision(work.of("validate"), models),
        thresholds=[float(thresholds[i]) for i in (0, len(thresholds) // 2, -1)],
        title="Net benefit, corrected for optimism",
        preset=evidence.preset,
    )


def _readers(work: Workspace, evidence: Evidence) -> Iterator[Table]:
    frame, groups = saved_readers(work.of("readers"))
    yield reader_table(frame, groups=groups, title="Readers by condition", preset=evidence.preset)
    if (frame["measure"] == "difference").any():
        yield reader_effect_table(frame, preset=evidence.preset)
