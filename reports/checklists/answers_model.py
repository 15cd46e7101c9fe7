"""What a run can say of its networks, models, partitions and methods."""

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

__all__ = ["MODEL"]

NO_NETWORK = "No network was trained in this run; its probabilities came with the study."


def _partitions(facts: Facts) -> Answer:
    where = [section("methods"), key("cohorts")]
    where += [facts.rows("describe/flow", cohort=c, step="analysed") for c in facts.cohorts]
    if not facts.study.config.networks:
        return found(
            "Models were made in {development} and corrected for optimism by resampling; the "
            "network's predictions came with the study.",
            *where,
            development=facts.names("cohorts.development", facts.study.config.cohorts.development),
        )
    folds = {network.folds for network in facts.study.config.networks.values()}
    return found(
        "Networks were cross-validated in {folds} folds by patient, with an inner tuning split; "
        "models were corrected for optimism by resampling patients; other cohorts served "
        "evaluation alone.",
        *where,
        folds=facts.said("networks.folds", ", ".join(map(str, sorted(folds)))),
    )


def _partition_level(facts: Facts) -> Answer:
    return found(
        "The patient: all images of a patient stay together, and near-identical images too.",
        section("methods"),
    )


def _networks(facts: Facts) -> Answer:
    networks = facts.study.config.networks
    if not networks:
        return not_applicable(NO_NETWORK)
    return found(
        "Architectures {names}; inputs and outputs are in the methods, every setting in the study "
        "file.",
        section("methods"),
        key("networks"),
        names=facts.names(
            "networks.architecture", sorted({n.architecture for n in networks.values()})
        ),
    )


def _software(facts: Facts) -> Answer:
    return found(
        "Versions of all packages, and the commit, stand in the manifest.",
        "manifest.json#packages",
        section("code-and-data"),
    )


def _initialisation(facts: Facts) -> Answer:
    networks = facts.study.config.networks
    if not networks:
        return not_applicable(NO_NETWORK)
    starts = sorted({network.weights or "random" for network in networks.values()})
    return found(
        "Initial weights: {starts}.",
        section("methods"),
        key("networks"),
        starts=facts.names("networks.weights", starts),
    )


def _training(facts: Facts) -> Answer:
    if not facts.study.config.networks:
        return not_applicable(NO_NETWORK)
    return found(
        "Training is described in the methods; the run keeps the whole configuration of each "
        "network.",
        section("methods"),
        key("networks"),
    )


def _selection(facts: Facts) -> Answer:
    if not facts.study.config.networks:
        return not_applicable(NO_NETWORK)
    return found(
        "What was chosen was chosen inside the training patients; the held-out fold chose nothing.",
        section("methods"),
    )


def _ensemble(facts: Facts) -> Answer:
    if not facts.study.config.networks:
        return not_applicable(NO_NETWORK)
    if not facts.external:
        return not_applicable("Development patients have one model each, and no others were met.")
    return found(
        "External patients: the mean logit of all fold models. Development patients: the one "
        "model that had not seen them.",
        section("methods"),
    )


def _model_building(facts: Facts) -> Answer:
    return found(
        "Maximum-likelihood logistic models of fixed terms; {n_boot} resamples refit the whole "
        "recipe.",
        section("methods"),
        key("models"),
        key("validation"),
        n_boot=facts.said("validation.n_boot", facts.study.config.validation.n_boot),
    )


def _heterogeneity_methods(facts: Facts) -> Answer | None:
    by_centre = "centre" in facts.splits
    is_term = "centre" in facts.study.variables
    if not (by_centre or is_term):
        return None
    return found(
        ("The centre is a term of the models" if is_term else "No term for the centre")
        + ("; results are given for each centre apart." if by_centre else "."),
        section("robustness"),
        table("groups"),
    )


def _measures(facts: Facts) -> Answer:
    return found(
        "Discrimination, calibration and net benefit together, with intervals; nested models by a "
        "likelihood-ratio test."
        if facts.has("compare/nested")
        else "Discrimination, calibration and net benefit together, with intervals.",
        section("methods"),
        table("performance"),
    )


def _uncertainty(facts: Facts) -> Answer:
    return found(
        "Each estimate carries an interval whose method is named; the unit is the patient.",
        section("methods"),
        facts.rows(f"validate/{facts.name}_auc", measure="auc"),
    )


def _updating(facts: Facts) -> Answer:
    return not_applicable("No model was updated after its evaluation.")


def _computing(facts: Facts) -> Answer:
    if not facts.external:
        return not_applicable("There is no external cohort.")
    return found(
        "The stored equation was applied unchanged to the external patients.",
        section("methods"),
        "model.json#model",
    )


def _imbalance(facts: Facts) -> Answer:
    return found(
        "In the models classes were neither weighted nor resampled; how the network of the given "
        "probabilities was trained is not known to the run."
        if not facts.study.config.networks
        else "Classes were neither weighted nor resampled, so that risks keep the prevalence of "
        "development.",
        section("methods"),
    )


def _output(facts: Facts) -> Answer:
    value = float(facts.evidence.json("fit/threshold")["value"])
    return found(
        "A risk. The cut-off {threshold} was chosen in development and frozen.",
        section("methods"),
        table("accuracy"),
        "run/fit/threshold.json#value",
        threshold=facts.evidence.fact("fit/threshold.json.value", value, 3),
    )


def _full_model(facts: Facts) -> Answer:
    return found(
        "Coefficients with intercept, knots and levels; the model as a file and as a calculator.",
        table("model"),
        "model.json#equation",
        "calculator.html",
        figure("nomogram"),
    )


def _calculator(facts: Facts) -> Answer:
    return found("What a user enters stands on the calculator.", "calculator.html")


MODEL = {
    "partitions": _partitions,
    "partition_level": _partition_level,
    "networks": _networks,
    "software": _software,
    "initialisation": _initialisation,
    "training": _training,
    "selection": _selection,
    "ensemble": _ensemble,
    "model_building": _model_building,
    "heterogeneity_methods": _heterogeneity_methods,
    "measures": _measures,
    "uncertainty": _uncertainty,
    "updating": _updating,
    "computing": _computing,
    "imbalance": _imbalance,
    "output": _output,
    "full_model": _full_model,
    "calculator": _calculator,
}
