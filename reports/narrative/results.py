"""Results: sentences around the tables and figures, every number traced to its file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reports.evidence import Evidence
from reports.narrative.exhibits import Exhibits
from reports.narrative.methods import said
from reports.numbers import SIGNIFICANCE, format_auc, format_estimate, format_p
from reports.report import Block, KeyResult, Section
from reports.study import Study
from reports.text import Paragraph, Value, paragraph


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
                label=f"AUC of the {model_word(study, model)} in the cohort {cohort}",
                value=evidence.estimate(
                    f"external/{cohort}_{model}", 2, kind="unit", measure="auc", group="overall"
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


def external_model(study: Study, evidence: Evidence, cohort: str) -> str:
    """The nomogram where its covariates were measured, else the network's probability."""
    name = study.config.nomogram.name
    return name if evidence.has(f"external/{cohort}_{name}") else "dl_prob"


def model_word(study: Study, model: str) -> str:
    """What a model is called in a sentence."""
    return "network alone" if model == "dl_prob" else model


def result_sections(study: Study, evidence: Evidence, exhibits: Exhibits) -> tuple[Section, ...]:
    """The results in the order of a manuscript, for what this study has."""
    parts = {
        "Participants": _participants,
        "Image network": _network,
        "Model": _model,
        "Internal validation": _validation,
        "Added value": _comparison,
        "Clinical usefulness": _decision,
        "External validation": _external,
        "Readers": _readers,
        "Against the known truth": _truth,
    }
    sections = (
        Section(heading=heading, blocks=tuple(part(study, evidence, exhibits)))
        for heading, part in parts.items()
    )
    return tuple(section for section in sections if section.blocks)


def _participants(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    for cohort in (*study.config.cohorts.development, *study.config.cohorts.external):
        yield paragraph(
            "In the cohort {cohort}, {enrolled} patients were enrolled and {analysed} analysed; "
            "{events} had the outcome. They contributed {images} images.",
            cohort=said(study, "cohorts", cohort),
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
            "Out of fold, the network {network} reached an AUC of {auc} over {n} images of "
            "{patients} patients.",
            network=said(study, "networks", network),
            auc=evidence.estimate("compare/discrimination", 2, kind="unit", **where),
            n=evidence.count("compare/discrimination", "n", **where),
            patients=evidence.count("compare/discrimination", "n_cluster", **where),
        )
    if "cam" in exhibits.figures:
        yield from _overlap(evidence)
        yield exhibits.figure("cam")


def _overlap(evidence: Evidence) -> Iterator[Block]:
    """How much of the maps lies inside the masks, against what chance would give."""
    overlap = evidence.table("explain/overlap").dropna(subset="energy_in_mask")
    if overlap.empty:
        return
    energy, chance = overlap["energy_in_mask"].median(), overlap["chance"].median()
    yield paragraph(
        "Over {n} images with a mask, a median share of {energy} of the Grad-CAM evidence lay "
        "inside the mask, which covers {chance} of the picture.",
        n=evidence.fact("explain/overlap.csv", len(overlap)),
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


def _validation(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    name = study.config.nomogram.name
    table = f"validate/{name}"
    yield paragraph(
        "The apparent AUC of the nomogram was {apparent}; corrected for an optimism of "
        "{optimism} it was {corrected}. The corrected calibration slope was {slope} and the "
        "corrected Brier score {brier}. {failed} of {n_boot} resamples could not be fitted.",
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
    yield exhibits.figure("roc")
    yield from _comparator(study, evidence, exhibits)


def _nested(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    """What the nomogram adds to each model that is a part of it."""
    table = "compare/nested"
    for reduced in evidence.table(table)["model_2"].unique():
        test = evidence.row(table, model_2=reduced, measure="added_terms")
        yield paragraph(
            "Against the model {reduced} the terms it lacks add information ({test}); they change "
            "the corrected AUC by {change}."
            if test["p_value"] < SIGNIFICANCE
            else "Against the model {reduced} no added information was shown ({test}); the "
            "corrected AUC changes by {change}.",
            reduced=said(study, "models", reduced),
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
    yield paragraph(
        "Over the stated range, net benefit is corrected for optimism and compared with treating "
        "all and treating none."
    )
    yield exhibits.figure("decision")
    yield exhibits.table("net_benefit")


def _external(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    for cohort in study.config.cohorts.external:
        model = external_model(study, evidence, cohort)
        table = f"external/{cohort}_{model}"
        yield paragraph(
            "In the cohort {cohort} the {model} had an AUC of {auc}, a calibration intercept of "
            "{intercept}, a calibration slope of {slope} and a ratio of observed to expected "
            "events of {oe}.",
            cohort=said(study, "cohorts.external", cohort),
            model=said(study, "models", model_word(study, model)),
            auc=evidence.estimate(table, 2, kind="unit", measure="auc", group="overall"),
            intercept=evidence.estimate(
                table, 2, measure="calibration_in_the_large", group="overall"
            ),
            slope=evidence.estimate(table, 2, measure="calibration_slope", group="overall"),
            oe=evidence.estimate(table, 2, measure="oe_ratio", group="overall"),
        )
        yield _shift(study, evidence, cohort)
        yield exhibits.figure(f"external_{cohort}")
    if study.config.cohorts.external:
        yield exhibits.table("external")
    if "auc_comparison" in exhibits.tables:
        yield from _contrasts(study, evidence, exhibits)


def _contrasts(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    """The nomogram against every other model, in patients none was fitted to."""
    table = "contrasts/auc"
    for row in evidence.table(table).to_dict("records"):
        where = {"group": row["group"], "model_1": row["model_1"], "model_2": row["model_2"]}
        yield paragraph(
            "In the cohort {cohort} the AUC of the {first} minus that of the {second} was {change} "
            "({p}, adjusted).",
            cohort=said(study, "cohorts.external", row["group"]),
            first=said(study, "models", row["model_1"]),
            second=said(study, "models", row["model_2"]),
            change=evidence.estimate(table, 3, **where),
            p=evidence.p_value(table, column="p_adjusted", **where),
        )
    yield exhibits.table("auc_comparison")


def _readers(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    if not evidence.has("readers/readers"):
        return
    frame = evidence.table("readers/readers")
    for row in frame[frame["measure"] == "difference"].to_dict("records"):
        if "group" in row and not pd.isna(row["group"]):
            continue
        where = {"measure": "difference", "condition": row["condition"]}
        yield paragraph(
            "Averaged over readers, the difference in AUC ({condition}) was {change} ({p}).",
            condition=Value(
                _address("readers/readers", where, "condition"),
                str(row["condition"]).replace(" - ", " minus "),
            ),
            change=_reader_value(evidence, row, where),
            p=Value(
                _address("readers/readers", where, "p_value"),
                format_p(row["p_value"], preset=evidence.preset, symbol=True),
            ),
        )
    yield exhibits.figure("readers")
    yield exhibits.table("readers")
    if "reader_effects" in exhibits.tables:
        yield exhibits.table("reader_effects")


def _reader_value(evidence: Evidence, row: dict[str, Any], where: dict[str, str]) -> Value:
    limits = (row["estimate"], row["conf_low"], row["conf_high"])
    text = format_estimate(*limits, decimals=3, preset=evidence.preset)
    return Value(_address("readers/readers", where, "estimate"), text)


def _address(table: str, where: dict[str, str], column: str) -> str:
    rows = ",".join(f"{name}={value}" for name, value in where.items())
    return f"{table}.csv[{rows}].{column}"


def _shift(study: Study, evidence: Evidence, cohort: str) -> Paragraph:
    row = evidence.row("fuse/shift", group=cohort)
    verdict = (
        "the network sees another distribution there: recalibrate before use"
        if str(row["shifted"]) == "True"
        else "no shift beyond the tolerance"
    )
    return paragraph(
        "The network's mean logit lies {difference} standard deviations from development; "
        + verdict
        + ".",
        difference=evidence.estimate("fuse/shift", 2, group=cohort),
    )


def _truth(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    if not evidence.has("truth/truth"):
        return
    row = evidence.row("truth/truth", measure="auc")
    yield paragraph(
        "This study is synthetic, so its promises can be checked: {n} fresh patients were drawn "
        "from the same law, photographed, and put through the frozen networks and nomogram. The "
        "nomogram's AUC in them was {found}, against {promised} promised by internal validation "
        "and {best} with the true risk itself. Net benefit is taken at the prevalence of "
        "development.",
        n=evidence.fact("truth/truth.csv.n", int(row["n"])),
        found=evidence.estimate("truth/truth", 3, kind="unit", measure="auc"),
        promised=evidence.number("truth/truth", "promised", 3, measure="auc"),
        best=Value(
            "truth/truth.csv[measure=auc].best_possible",
            format_auc(row["best_possible"], 3, preset=evidence.preset),
        ),
    )
    yield exhibits.table("truth")
