"""What a run can say of participants, outcome, covariates and images."""

from __future__ import annotations

from reports.checklists.facts import (
    Answer,
    Facts,
    figure,
    found,
    key,
    not_applicable,
    section,
    table,
)

__all__ = ["DATA"]


def _title(facts: Facts) -> Answer:
    return found(
        "The report is titled {title}.",
        key("title"),
        title=facts.said("title", facts.study.config.title),
    )


def _key_results(facts: Facts) -> Answer:
    return found("The key results open the report.", section("key-results"))


def _decision(facts: Facts) -> Answer:
    return found(
        "The decision the model is for: {rationale}",
        key("decision.rationale"),
        section("clinical-usefulness"),
        rationale=facts.said("decision.rationale", facts.study.config.decision.rationale),
    )


def _goal(facts: Facts) -> Answer:
    models = facts.names("models", [model.name for model in facts.study.config.models])
    if not facts.external:
        return found(
            "Development with internal validation of the models {models}.",
            section("methods"),
            models=models,
        )
    return found(
        "Development with internal validation of the models {models}, and evaluation in "
        "{external}.",
        section("methods"),
        models=models,
        external=facts.names("cohorts.external", facts.external),
    )


def _source(facts: Facts) -> Answer | None:
    source = facts.study.config.source
    if not source:
        return None
    return found("{source}.", key("source"), source=facts.said("source", source.rstrip(".")))


def _centres(facts: Facts) -> Answer | None:
    patients = facts.study.included
    if "centre" not in patients:
        return None
    count = patients["centre"].nunique()
    return found(
        "{n} centres by the column centre of the patients.",
        table("groups"),
        n=facts.evidence.fact("patients.csv.centre", count),
    )


def _eligibility(facts: Facts) -> Answer:
    rules = facts.study.config.exclusions
    if not rules:
        return found(
            "No patient was excluded by a rule of the study file.",
            table("flow"),
            section("methods"),
        )
    return found(
        "Excluded, in this order: {reasons}.",
        table("flow"),
        key("exclusions"),
        reasons=facts.names("exclusions.reason", [rule.reason for rule in rules]),
    )


def _preparation(facts: Facts) -> Answer:
    return found(
        "Tables and images were checked before any computing; images were prepared as the "
        "methods say, in the same way for every patient."
        if facts.study.config.networks
        else "Tables and images were checked before any computing, in the same way for every "
        "patient; the images' probabilities came with the study.",
        section("methods"),
        "run/check/problems.csv",
    )


def _regions(facts: Facts) -> Answer | None:
    networks = facts.study.config.networks
    if not networks:
        return None
    return found(
        "Part of the image each network saw: {regions}.",
        section("methods"),
        key("networks"),
        regions=facts.names("networks.region", [f"{k}: {v.region}" for k, v in networks.items()]),
    )


def _deidentification(facts: Facts) -> Answer:
    return found(
        "Patients carry pseudonyms; no patient identifier leaves the run with the report. Image "
        "codes stand only in the list of failures.",
        section("failure-analysis"),
    )


def _devices(facts: Facts) -> Answer:
    return found("Software and versions stand in the manifest.", "manifest.json#packages")


def _outcome(facts: Facts) -> Answer:
    outcome = facts.study.config.outcome
    return found(
        "{label}: {positive} against {negative}.",
        section("methods"),
        key("outcome"),
        label=facts.said("outcome.label", outcome.label),
        positive=facts.said("outcome.positive", outcome.positive),
        negative=facts.said("outcome.negative", outcome.negative),
    )


def _outcome_levels(facts: Facts) -> Answer:
    outcome = facts.study.config.outcome
    return found(
        "Two categories, {positive} and {negative}.",
        key("outcome"),
        positive=facts.said("outcome.positive", outcome.positive),
        negative=facts.said("outcome.negative", outcome.negative),
    )


def _predictors(facts: Facts) -> Answer:
    return found(
        "Fixed in the study file before fitting: {names}. None was dropped by its p value.",
        section("methods"),
        key("models"),
        names=facts.names("models.terms", facts.study.variables),
    )


def _predictor_definitions(facts: Facts) -> Answer:
    labels = [facts.study.label(name) for name in facts.study.variables]
    return found(
        "With their units: {labels}.",
        table("patients"),
        labels=facts.names("models.terms.label", labels),
    )


def _annotation(facts: Facts) -> Answer:
    rows = facts.evidence.table("examine/annotation")
    return found(
        "{n} of {total} images have an outline.",
        section("annotation-quality"),
        "run/examine/annotation.csv",
        n=facts.evidence.fact("examine/annotation.csv.n_mask", int(rows["n_mask"].sum())),
        total=facts.evidence.fact("examine/annotation.csv.n_images", int(rows["n_images"].sum())),
    )


def _agreement(facts: Facts) -> Answer:
    return found(
        "The study holds one outline an image, so that agreement was not computed here.",
        section("annotation-quality"),
    )


def _sample_size(facts: Facts) -> Answer:
    return found(
        "Set against what each criterion asks for, with the prevalence and performance found.",
        section("sample-size"),
        table("sample_size"),
    )


def _missing(facts: Facts) -> Answer:
    counted = "Missing values are counted in the table of patients. "
    if not facts.evidence.json("fit/facts")["imputed"]:
        return found(
            counted + "No covariate of the models was missing in development.",
            section("methods"),
            table("patients"),
        )
    return found(
        counted + "Covariates were completed by multiple imputation ({m} copies, outcome "
        "included); external patients without anybody's outcome.",
        section("methods"),
        table("patients"),
        key("imputation"),
        m=facts.said("imputation.m", facts.study.config.imputation.m),
    )


def _flow(facts: Facts) -> Answer:
    return found(
        "Patients, images and events of each cohort, exclusions with their reasons.",
        figure("flow"),
        table("flow"),
        *(facts.rows("describe/flow", cohort=name, step="analysed") for name in facts.cohorts),
    )


def _characteristics(facts: Facts) -> Answer:
    where = [table("patients")]
    if facts.has("describe/cohorts"):
        where.append(table("cohorts"))
    return found("Patients by outcome and by cohort, with missing values.", *where)


def _differences(facts: Facts) -> Answer:
    if not facts.external:
        return not_applicable("There is no external cohort.")
    where = [section("external-validation"), "run/fuse/shift.csv"]
    if facts.has("describe/cohorts"):
        where.insert(0, table("cohorts"))
    return found(
        "The cohorts stand side by side, and the shift of the network's logit is measured.", *where
    )


def _numbers(facts: Facts) -> Answer:
    return found(
        "Patients and events stand under every table.",
        table("performance"),
        *(facts.rows("describe/flow", cohort=name, step="analysed") for name in facts.cohorts),
    )


def _prevalence(facts: Facts) -> Answer:
    first = facts.cohorts[0]
    return found(
        "In development {share} had the outcome.",
        facts.rows("describe/flow", cohort=first, step="analysed"),
        table("flow"),
        share=facts.evidence.share(
            "describe/flow", "n_event", "n_patients", cohort=first, step="analysed"
        ),
    )


def _blinding_test(facts: Facts) -> Answer:
    return found(
        "The network saw images only, never the outcome of the patients it was applied to.",
        section("methods"),
    )


def _indeterminate(facts: Facts) -> Answer:
    return found(
        "The model gives every patient a risk; none is left undecided.", section("methods")
    )


def _poor_input(facts: Facts) -> Answer:
    return found(
        "Unreadable images stop the run before training; the calculator warns outside the ranges "
        "of development.",
        "calculator.html",
        "run/check/problems.csv",
    )


def _transformations(facts: Facts) -> Answer:
    return found(
        "Each term with its form and knots.", section("methods"), key("models"), table("model")
    )


DATA = {
    "title": _title,
    "key_results": _key_results,
    "decision": _decision,
    "goal": _goal,
    "source": _source,
    "centres": _centres,
    "eligibility": _eligibility,
    "preparation": _preparation,
    "regions": _regions,
    "deidentification": _deidentification,
    "devices": _devices,
    "outcome": _outcome,
    "outcome_levels": _outcome_levels,
    "predictors": _predictors,
    "predictor_definitions": _predictor_definitions,
    "annotation": _annotation,
    "agreement": _agreement,
    "sample_size": _sample_size,
    "missing": _missing,
    "flow": _flow,
    "characteristics": _characteristics,
    "differences": _differences,
    "numbers": _numbers,
    "prevalence": _prevalence,
    "blinding_test": _blinding_test,
    "indeterminate": _indeterminate,
    "poor_input": _poor_input,
    "transformations": _transformations,
}
