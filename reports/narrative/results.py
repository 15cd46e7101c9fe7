"""Results: sentences around the tables and figures, every number traced to its file."""

from __future__ import annotations

from collections.abc import Iterator

from reports.evidence import Evidence
from reports.narrative.exhibits import Exhibits
from reports.narrative.networks import outline_results
from reports.narrative.results_outside import external_results, reader_results, truth_results
from reports.narrative.words import cohort_said, external_model, model_said, said
from reports.numbers import SIGNIFICANCE, format_estimate, format_risk
from reports.pipeline import cohort_file
from reports.report import Block, KeyResult, Section
from reports.study import Study
from reports.text import Paragraph, Value, joined, paragraph


def key_results(study: Study, evidence: Evidence) -> tuple[KeyResult, ...]:
    """The few numbers a reader looks for first."""
    name = study.config.nomogram.name
    results = [
        KeyResult(
            label="AUC of the nomogram, corrected for optimism",
            value=evidence.estimate(f"validate/{name}_auc", 2, kind="unit", measure="auc"),
            detail=_sample(evidence, study.config.cohorts.development[0]),
        ),
        KeyResult(
            label="Calibration slope, corrected for optimism",
            value=evidence.number(f"validate/{name}", "corrected", 2, measure="calibration_slope"),
        ),
    ]
    for cohort in study.config.cohorts.external:
        model = external_model(study, evidence, cohort)
        results.append(
            KeyResult(
                label=f"AUC of the {model_said(study, model).text} in the "
                f"{cohort_said(study, cohort).text} cohort",
                value=evidence.estimate(
                    f"external/{cohort_file(cohort)}_{model}",
                    2,
                    kind="unit",
                    measure="auc",
                    group="overall",
                ),
                detail=_sample(evidence, cohort),
            )
        )
    return tuple(results)


def _sample(evidence: Evidence, cohort: str) -> Paragraph:
    where = {"cohort": cohort, "step": "analysed"}
    return paragraph(
        "{n} patients, {events} events, {images} images",
        n=evidence.count("describe/flow", "n_patients", **where),
        events=evidence.count("describe/flow", "n_event", **where),
        images=evidence.count("describe/flow", "n_images", **where),
    )


def result_sections(study: Study, evidence: Evidence, exhibits: Exhibits) -> tuple[Section, ...]:
    """The results in the order of a manuscript, for what this study has."""
    parts = {
        "Participants": _participants,
        "Image network": _network,
        "Model": _model,
        "Internal validation": _validation,
        "Added value": _comparison,
        "Clinical usefulness": _decision,
        "External validation": external_results,
        "Readers": reader_results,
        "Against the known truth": truth_results,
    }
    sections = (
        Section(heading=heading, blocks=tuple(part(study, evidence, exhibits)))
        for heading, part in parts.items()
    )
    return tuple(section for section in sections if section.blocks)


def _participants(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    for cohort in (*study.config.cohorts.development, *study.config.cohorts.external):
        yield paragraph(
            "In the {cohort} cohort, {enrolled} patients were enrolled and {analysed} analysed; "
            "{events} had the outcome. They contributed {images} images.",
            cohort=cohort_said(study, cohort),
            enrolled=evidence.count("describe/flow", "n_patients", cohort=cohort, step="enrolled"),
            analysed=evidence.count("describe/flow", "n_patients", cohort=cohort, step="analysed"),
            events=evidence.count("describe/flow", "n_event", cohort=cohort, step="analysed"),
            images=evidence.count("describe/flow", "n_images", cohort=cohort, step="analysed"),
        )
    yield exhibits.figure("flow")
    yield exhibits.table("flow")
    yield exhibits.table("patients")
    if "missing" in exhibits.tables:
        yield exhibits.table("missing")
    if "cohorts" in exhibits.tables:
        yield exhibits.table("cohorts")


def _network(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    rows = evidence.table("compare/discrimination")
    for network in rows.loc[rows["group"] == "images", "model"]:
        where = {"model": network, "group": "images"}
        yield paragraph(
            "Out of fold, the network “{network}” reached an AUC of {auc} over {n} images of "
            "{patients} patients.",
            network=said(study, "networks", network),
            auc=evidence.estimate("compare/discrimination", 2, kind="unit", **where),
            n=evidence.count("compare/discrimination", "n", **where),
            patients=evidence.count("compare/discrimination", "n_cluster", **where),
        )
    yield from outline_results(study, evidence, exhibits)
    if "cam" in exhibits.figures:
        yield from _overlap(evidence)
        yield exhibits.figure("cam")


def _overlap(evidence: Evidence) -> Iterator[Block]:
    """How much of the maps lies inside the masks, against what chance would give."""
    images = evidence.table("explain/overlap").dropna(subset="chance")
    overlap = images.dropna(subset="energy_in_mask")
    if overlap.empty:
        return
    energy, chance = overlap["energy_in_mask"].median(), overlap["chance"].median()
    yield paragraph(
        "Of {images} images with a mask, {n} had a map with evidence for the event; a median share "
        "of {energy} of it lay inside the mask, which covers {chance} of the picture.",
        images=evidence.fact("explain/overlap.csv.chance", len(images)),
        n=evidence.fact("explain/overlap.csv.energy_in_mask", len(overlap)),
        energy=evidence.fact("explain/overlap.csv.energy_in_mask", energy, 2),
        chance=evidence.fact("explain/overlap.csv.chance", chance, 2),
    )


def _model(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    name = study.config.nomogram.name
    yield exhibits.figure("nomogram")
    yield exhibits.table("model")
    yield exhibits.figure("forest")
    yield exhibits.table("odds_ratios")
    threshold = evidence.json("fit/threshold")
    validation = evidence.table(f"validate/{name}").set_index("measure")["corrected"]
    if {"sensitivity", "specificity"} <= set(validation.index):
        yield paragraph(
            "The frozen cut-off is a risk of {threshold}. Corrected for optimism, its "
            "sensitivity is {sensitivity} and its specificity {specificity}.",
            threshold=evidence.fact("fit/threshold.json.value", threshold["value"], 3),
            sensitivity=evidence.number(f"validate/{name}", "corrected", 2, measure="sensitivity"),
            specificity=evidence.number(f"validate/{name}", "corrected", 2, measure="specificity"),
        )
    yield exhibits.table("accuracy")
    yield exhibits.figure("confusion")


def _validation(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    name = study.config.nomogram.name
    table = f"validate/{name}"
    yield paragraph(
        "The apparent AUC of the nomogram was {apparent}; corrected for an optimism of "
        "{optimism} it was {corrected}. The corrected calibration slope was {slope} and the "
        "corrected Brier score {brier}. Of {n_boot} resamples, {failed} could not be fitted.",
        apparent=evidence.number(table, "apparent", 3, measure="auc"),
        optimism=evidence.number(table, "optimism", 3, measure="auc"),
        corrected=evidence.estimate(f"{table}_auc", 3, kind="unit", measure="auc"),
        slope=evidence.number(table, "corrected", 2, measure="calibration_slope"),
        brier=evidence.number(table, "corrected", 3, measure="brier"),
        failed=evidence.count(table, "n_failed", measure="auc"),
        n_boot=said(study, "validation.n_boot", study.config.validation.n_boot),
    )
    yield exhibits.table("performance")
    yield exhibits.figure("calibration")
    yield paragraph(
        "Between the models of the resamples a patient's risk moved by {mape} on average.",
        mape=evidence.fact("validate/instability.json.mape", _mape(evidence), 3),
    )
    yield exhibits.figure("instability")


def _mape(evidence: Evidence) -> float:
    return float(evidence.json("validate/instability")["mape"])


def _comparison(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    if evidence.has("compare/nested"):
        yield from _nested(study, evidence, exhibits)
    yield from _discrimination(study, evidence)
    yield exhibits.figure("roc")
    yield from _comparator(study, evidence, exhibits)


def _discrimination(study: Study, evidence: Evidence) -> Iterator[Block]:
    """What the ROC curves show: the AUC of every model on the patients it was made from."""
    table = "compare/discrimination"
    values: dict[str, Value] = {}
    parts = []
    for i, model in enumerate(study.config.models):
        where = {"model": model.name, "group": "patients"}
        key = "abcdefghijklmnopqrstuvwxyz"[i % 26] * (1 + i // 26)
        values[f"auc_{key}"] = evidence.estimate(table, 2, kind="unit", **where)
        values[f"model_{key}"] = model_said(study, model.name)
        parts.append(f"{{auc_{key}}} for the {{model_{key}}}")
    yield paragraph(f"In the patients they were made from, the AUC was {joined(parts)}.", **values)


def _nested(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    """What the nomogram adds to each model that is a part of it."""
    table = "compare/nested"
    for reduced in evidence.table(table)["model_2"].unique():
        test = evidence.row(table, model_2=reduced, measure="added_terms")
        yield paragraph(
            "The terms the {reduced} lacks add information ({test}); with them the corrected AUC "
            "changes by {change}."
            if test["p_value"] < SIGNIFICANCE
            else "The terms the {reduced} lacks were not shown to add information ({test}); with "
            "them the corrected AUC changes by {change}.",
            reduced=model_said(study, reduced),
            test=evidence.p_value(table, model_2=reduced, measure="added_terms"),
            change=evidence.estimate(table, 3, model_2=reduced, measure="auc_change"),
        )
    yield exhibits.table("nested")


def _comparator(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    comparator = study.config.comparator
    if comparator is None:
        return
    table = evidence.table("compare/comparator")
    row = table.iloc[0]
    yield paragraph(
        "{label}, the human reading of the same examinations, had an AUC of {auc} in the {n} "
        "patients with a reading. It was made with more than these images show and is a "
        "benchmark, not a covariate.",
        label=said(study, "comparator.label", comparator.label),
        auc=Value(
            "compare/comparator.csv.auc",
            format_estimate(
                row["auc"], row["auc_low"], row["auc_high"], kind="unit", preset=evidence.preset
            ),
        ),
        n=evidence.fact("compare/comparator.csv.n", int(row["n"])),
    )
    yield exhibits.table("comparator")


def _decision(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    yield _net_benefit(study, evidence)
    yield exhibits.figure("decision")
    yield exhibits.table("net_benefit")


def _net_benefit(study: Study, evidence: Evidence) -> Paragraph:
    """The nomogram at the middle of the range, and where it is worth more than both extremes."""
    name = study.config.nomogram.name
    table = f"validate/{name}_decision"
    curves = evidence.table(table)
    thresholds = study.config.decision.thresholds()
    middle = float(thresholds[len(thresholds) // 2])
    wide = curves.pivot_table(
        index="threshold_probability", columns="model", values="net_benefit", sort=False
    )
    better = wide[name] > wide.drop(columns=name).max(axis="columns")
    shown = f"{table}.csv[threshold_probability={middle:g}].net_benefit"
    at = wide.iloc[len(wide) // 2]
    return paragraph(
        "At a threshold probability of {middle} the nomogram's net benefit, corrected for "
        "optimism, was {own}, against {all} for treating all and {none} for treating none. It lay "
        "above both at {better} of the {n} thresholds of the stated range.",
        middle=Value(f"{table}.csv.threshold_probability", format_risk(middle)),
        own=evidence.fact(shown, at[name], 3),
        all=evidence.fact(shown, at["treat_all"], 3),
        none=evidence.fact(shown, at["treat_none"], 3),
        better=evidence.fact(f"{table}.csv.net_benefit", int(better.sum())),
        n=evidence.fact(f"{table}.csv.threshold_probability", len(wide)),
    )
