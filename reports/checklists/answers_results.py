"""What a run can say of its results, its failures, and of what is kept and shared."""

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
from reports.text import Value, joined

__all__ = ["RESULTS"]


def _performance(facts: Facts) -> Answer:
    where = [
        table("performance"),
        table("net_benefit"),
        facts.rows(f"validate/{facts.name}", measure="auc"),
    ]
    where += [
        facts.rows(facts.external_result(cohort), group="overall", measure="auc")
        for cohort in facts.external
    ]
    if facts.external:
        where.append(table("external"))
    return found(
        "AUC of the model {name}, corrected for optimism: {auc}. Calibration and net benefit "
        "stand beside it.",
        *where,
        name=facts.said("models.name", facts.name),
        auc=facts.evidence.estimate(f"validate/{facts.name}_auc", kind="unit", measure="auc"),
    )


def _accuracy(facts: Facts) -> Answer:
    return found(
        "Counts and proportions at the frozen cut-off.",
        table("accuracy"),
        facts.rows("fit/accuracy", measure="sensitivity"),
        facts.rows("fit/accuracy", measure="specificity"),
    )


def _heterogeneity(facts: Facts) -> Answer | None:
    if "centre" not in facts.splits:
        return None
    return found("Results of each centre apart.", section("robustness"), table("groups"))


def _robustness(facts: Facts) -> Answer | None:
    if not facts.splits:
        return None
    return found(
        "Results by {splits}; explored, not planned.",
        section("robustness"),
        table("groups"),
        "run/examine/groups.csv",
        splits=Value("examine/groups.csv.by", joined(facts.splits)),
    )


def _fairness(facts: Facts) -> Answer:
    return found(
        "Discrimination and calibration by subgroup, as far as the tables hold them.",
        section("robustness"),
        table("groups"),
    )


def _failures(facts: Facts) -> Answer:
    return found(
        "The patients whose risk contradicts their outcome most, with their images.",
        section("failure-analysis"),
        table("failures"),
        "run/examine/failures.csv",
    )


def _errors_and_fairness(facts: Facts) -> Answer:
    return found(
        "The worst errors, and results by subgroup.",
        section("failure-analysis"),
        section("robustness"),
        table("failures"),
        table("groups"),
    )


def _explanation(facts: Facts) -> Answer:
    if not facts.has("explain/cam"):
        return not_applicable("No network was trained in this run, so there is none to explain.")
    return found(
        "Grad-CAM of patients the network had not seen, held against the masks.",
        figure("cam"),
        section("image-network"),
        "run/explain/overlap.csv",
    )


def _internal(facts: Facts) -> Answer:
    return found(
        "Out-of-fold for the network, corrected for optimism for the models.",
        section("internal-validation"),
        table("performance"),
    )


def _external(facts: Facts) -> Answer:
    if not facts.external:
        return found(
            "There is no external cohort; the report says so among its limits.", section("limits")
        )
    return found(
        "Evaluated in {cohorts}.",
        section("external-validation"),
        table("external"),
        cohorts=facts.names("cohorts.external", facts.external),
    )


def _limitations(facts: Facts) -> Answer:
    return found("Limits the run can see by itself.", section("limits"))


def _protocol(facts: Facts) -> Answer:
    return found(
        "The study file states every choice of the analysis; the manifest holds its hash.",
        key("models"),
        "manifest.json#inputs",
    )


def _data_available(facts: Facts) -> Answer | None:
    if facts.study.config.synthetic:
        return found(
            "The data are synthetic and can be made again by the same command.",
            section("code-and-data"),
        )
    return found(
        "The manifest holds the hash of every table the run read.",
        section("code-and-data"),
        "manifest.json#inputs",
    )


def _code_available(facts: Facts) -> Answer:
    return found(
        "Version, commit and seeds stand in the manifest.",
        section("code-and-data"),
        "manifest.json#git_commit",
        "manifest.json#seeds",
    )


def _code_and_data(facts: Facts) -> Answer:
    return found(
        "Version, commit, seeds and data hashes stand in the manifest; the model is a file of its "
        "own.",
        section("code-and-data"),
        "manifest.json#packages",
        "model.json#model",
    )


def _audit(facts: Facts) -> Answer:
    return found(
        "Every file of the report has its hash in the manifest, and one command checks them and "
        "makes every table again.",
        "manifest.json#outputs",
        section("code-and-data"),
    )


RESULTS = {
    "performance": _performance,
    "accuracy": _accuracy,
    "heterogeneity": _heterogeneity,
    "robustness": _robustness,
    "fairness": _fairness,
    "failures": _failures,
    "errors_and_fairness": _errors_and_fairness,
    "explanation": _explanation,
    "internal": _internal,
    "external": _external,
    "limitations": _limitations,
    "protocol": _protocol,
    "data_available": _data_available,
    "code_available": _code_available,
    "code_and_data": _code_and_data,
    "audit": _audit,
}
