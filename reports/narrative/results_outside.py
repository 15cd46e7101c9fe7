"""Results beyond development: other patients, readers, and the truth of a synthetic study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reports.evidence import Evidence
from reports.narrative.exhibits import Exhibits
from reports.narrative.words import cohort_said, external_model, model_said
from reports.numbers import format_auc, format_estimate, format_p
from reports.pipeline import cohort_file
from reports.report import Block
from reports.study import Study
from reports.text import Paragraph, Value, paragraph

__all__ = ["external_results", "reader_results", "truth_results"]


def external_results(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    for cohort in study.config.cohorts.external:
        model = external_model(study, evidence, cohort)
        table = f"external/{cohort_file(cohort)}_{model}"
        yield paragraph(
            "In the {cohort} cohort the {model} had an AUC of {auc}, a calibration intercept of "
            "{intercept}, a calibration slope of {slope} and a ratio of observed to expected "
            "events of {oe}.",
            cohort=cohort_said(study, cohort),
            model=model_said(study, model),
            auc=evidence.estimate(table, 2, kind="unit", measure="auc", group="overall"),
            intercept=evidence.estimate(
                table, 2, measure="calibration_in_the_large", group="overall"
            ),
            slope=evidence.estimate(table, 2, measure="calibration_slope", group="overall"),
            oe=evidence.estimate(table, 2, measure="oe_ratio", group="overall"),
        )
        yield _shift(study, evidence, cohort)
        yield exhibits.figure(f"external_{cohort_file(cohort)}")
    if study.config.cohorts.external:
        yield exhibits.table("external")
    if "auc_comparison" in exhibits.tables:
        yield from _contrasts(study, evidence, exhibits)


def _shift(study: Study, evidence: Evidence, cohort: str) -> Paragraph:
    row = evidence.row("fuse/shift", group=cohort)
    verdict = (
        "the network sees another distribution there: recalibrate before use"
        if str(row["shifted"]) == "True"
        else "no shift beyond the tolerance"
    )
    return paragraph(
        "The network's mean logit differs from that in development by {difference} standard "
        "deviations; " + verdict + ".",
        difference=evidence.estimate("fuse/shift", 2, group=cohort),
    )


def _contrasts(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    """The nomogram against every other model, in patients none was fitted to."""
    table = "contrasts/auc"
    for row in evidence.table(table).to_dict("records"):
        several = len(study.config.models) > 2
        where = {"group": row["group"], "model_1": row["model_1"], "model_2": row["model_2"]}
        yield paragraph(
            "In the {cohort} cohort the AUC of the {first} minus that of the {second} was {change} "
            f"({'adjusted ' if several else ''}{{p}}).",
            cohort=cohort_said(study, row["group"]),
            first=model_said(study, row["model_1"]),
            second=model_said(study, row["model_2"]),
            change=evidence.estimate(table, 3, **where),
            p=evidence.p_value(table, column="p_adjusted", **where),
        )
    yield exhibits.table("auc_comparison")


def reader_results(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
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
    if "reader_points" in exhibits.figures:
        yield exhibits.figure("reader_points")
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


def truth_results(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
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
