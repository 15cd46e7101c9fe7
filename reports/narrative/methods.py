"""Methods, generated from the study file and the run's results: what was done, and only that."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import usstats
from reports.evidence import Evidence
from reports.narrative.methods_images import explanation, fusion, networks
from reports.narrative.networks import relations
from reports.narrative.words import model_said, said
from reports.pipeline import cohort_file
from reports.report import Section
from reports.study import RESAMPLED_COPIES, Study, TermChoice
from reports.tables.words import method_words
from reports.text import Paragraph, Value, paragraph

__all__ = ["methods_section"]

IMPUTERS = {"pmm": "predictive mean matching", "norm": "Bayesian linear regression"}
TRANSFORMS = {"log": "logarithm", "logit": "logit", "factor": "factor"}
_READER_COVARIANCES = {"delong": "DeLong", "unbiased": "Gallas"}


def methods_section(study: Study, evidence: Evidence) -> Section:
    """The methods as paragraphs in the order of a manuscript."""
    parts = [
        _participants,
        networks,
        relations,
        fusion,
        explanation,
        _models,
        _missing,
        _validation,
        _cutoff,
        _comparison,
        _usefulness,
        _external,
        _readers,
        _reporting,
        _statistics,
    ]
    blocks = [block for part in parts for block in part(study, evidence)]
    return Section(heading="Methods", blocks=tuple(blocks))


def _participants(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    outcome = study.config.outcome
    yield paragraph(
        "The outcome was {label} ({positive} versus {negative}). The unit of analysis is the "
        "patient; images of one patient are never treated as independent.",
        label=said(study, "outcome.label", outcome.label),
        positive=said(study, "outcome.positive", outcome.positive),
        negative=said(study, "outcome.negative", outcome.negative),
    )
    for rule in study.config.exclusions:
        yield paragraph(
            "Patients with {column} = {value} were excluded ({reason}).",
            column=said(study, "exclusions.column", rule.column),
            value=said(study, "exclusions.equals", rule.equals),
            reason=said(study, "exclusions.reason", rule.reason),
        )


def _models(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    for position, model in enumerate(study.config.models):
        terms = ", ".join(_term_text(study, term) for term in model.terms)
        yield paragraph(
            "The {name} is a maximum-likelihood logistic regression on {terms}.",
            name=model_said(study, model.name),
            terms=said(study, f"models.{position}.terms", terms),
        )
    yield paragraph(
        "The terms were fixed in the study file before fitting; none was selected by its p value. "
        "Points of the nomogram are linear in its linear predictor."
    )


def _term_text(study: Study, term: TermChoice) -> str:
    parts = term.name.split(":") if term.type == "interaction" else [term.name]
    label = " × ".join(study.bare_label(part) for part in parts)
    if term.type == "rcs":
        knots = term.knots if isinstance(term.knots, int) else len(term.knots or ())
        return f"{label} (restricted cubic spline, {knots} knots)"
    return f"{label} ({TRANSFORMS[term.type]})" if term.type in TRANSFORMS else label


def _missing(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if not _imputed(evidence):
        yield paragraph("No covariate of the models was missing in development.")
        return
    choice = study.config.imputation
    yield paragraph(
        "Missing covariates were completed {m} times by chained equations ({method}) with the "
        "outcome among the predictors, and the fits pooled by Rubin's rules.",
        m=said(study, "imputation.m", choice.m),
        method=said(study, "imputation.method", IMPUTERS[choice.method]),
    )
    yield paragraph(
        "A patient's risk behind the cut-off, its accuracy and the apparent ROC curves is the mean "
        "over the completed copies; the apparent values beside an optimism come from copies of "
        "their own and differ from it a little."
    )
    if _measured_outside(study, evidence):
        yield paragraph(
            "Missing covariates of external patients were imputed without anybody's outcome, as "
            "they would be at the bedside."
        )


def _imputed(evidence: Evidence) -> bool:
    return bool(evidence.json("fit/facts")["imputed"])


def _measured_outside(study: Study, evidence: Evidence) -> bool:
    """Whether an external cohort has the covariates of the nomogram."""
    name = study.config.nomogram.name
    external = study.config.cohorts.external
    return any(evidence.has(f"external/{cohort_file(c)}_{name}") for c in external)


def _validation(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    splines = any(term.type == "rcs" for model in study.config.models for term in model.terms)
    steps = ["imputation"] * _imputed(evidence) + ["spline knots"] * splines + ["coefficients"]
    yield paragraph(
        f"Optimism was estimated by refitting the whole recipe ({', '.join(steps)} and cut-off) in "
        "{n_boot} bootstrap resamples of patients (Harrell). The network was not retrained in "
        "them: its probabilities are out-of-fold already. The flexible calibration curve was "
        "corrected in the same way, and the refitted models show how stable a patient's risk is.",
        n_boot=said(study, "validation.n_boot", study.config.validation.n_boot),
    )
    if _imputed(evidence):
        yield paragraph(
            "Inside each resample the covariates were completed {m} times.",
            m=said(study, "imputation", RESAMPLED_COPIES),
        )


def _cutoff(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    cutoff = study.config.cutoff
    chosen = (
        f"to reach a sensitivity of {cutoff.sensitivity:g}"
        if cutoff.sensitivity
        else f"to reach a specificity of {cutoff.specificity:g}"
        if cutoff.specificity
        else {"youden": "by Youden's index", "closest_topleft": "closest to the top left"}[
            cutoff.criterion
        ]
    )
    interval = evidence.row("fit/accuracy", measure="sensitivity")["method"]
    yield paragraph(
        "The cut-off was chosen once, in development, {chosen}, and frozen; its sensitivity and "
        "specificity are corrected for optimism. Proportions carry {interval} intervals.",
        chosen=said(study, "cutoff", chosen),
        interval=Value("fit/accuracy.csv[measure=sensitivity].method", method_words(str(interval))),
    )


def _comparison(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if evidence.has("compare/nested"):
        pooled = {"pooled": Value("compare/nested.csv.method", "D3")} if _imputed(evidence) else {}
        yield paragraph(
            "Nested models were compared by a likelihood-ratio test"
            + (", pooled over the completed copies ({pooled})" if pooled else "")
            + "; the change in AUC is reported with a bootstrap interval and not tested, since "
            "DeLong's test is not valid between nested models on their own data (Demler and "
            "colleagues).",
            **pooled,
        )
    if (evidence.table("compare/discrimination")["group"] == "images").any():
        yield paragraph(
            "AUCs over images carry intervals over patients (Obuchowski); AUCs over patients carry "
            "DeLong's."
        )


def _usefulness(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    decision = study.config.decision
    yield paragraph(
        "Net benefit was computed for threshold probabilities from {low} to {high}. {rationale}",
        low=said(study, "decision.low", f"{decision.low:g}"),
        high=said(study, "decision.high", f"{decision.high:g}"),
        rationale=said(study, "decision.rationale", decision.rationale),
    )


def _external(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if study.config.cohorts.external:
        yield paragraph(
            "In every external cohort discrimination, calibration, net benefit and the "
            "distribution of risks were evaluated together; models and cut-off were carried over "
            "unchanged. The shift of the network's logit from development was measured."
        )
    if evidence.has("contrasts/auc"):
        several = len(study.config.models) > 2
        yield paragraph(
            "There, where no model had been fitted, the AUC of the {first} was contrasted with "
            "that of every other model by DeLong's method for paired curves"
            + ("; p values are adjusted by Holm's method." if several else "."),
            first=model_said(study, study.config.nomogram.name),
        )


def _readers(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if not evidence.has("readers/readers"):
        return
    facts, at = evidence.json("readers/facts"), "readers/facts.json"
    fixed = {name: Value(f"{at}.{name}", str(facts[name])) for name in ("readers", "cases")}
    yield paragraph(
        "{n_reader} readers gave {n_reading} ratings of {n} patients ({conditions}). Their AUCs "
        "were compared by the method of Obuchowski and Rockette with {readers} readers and {cases} "
        "cases; the covariance over cases is that of {covariance}.",
        n_reader=evidence.fact(f"{at}.n_reader", facts["n_reader"]),
        n_reading=evidence.fact(f"{at}.n_reading", facts["n_reading"]),
        n=evidence.fact(f"{at}.n", facts["n"]),
        conditions=Value(f"{at}.conditions", " and ".join(facts["conditions"])),
        covariance=Value(
            f"{at}.covariance",
            _READER_COVARIANCES.get(facts["covariance"], facts["covariance"]),
        ),
        **fixed,
    )
    if evidence.has("readers/operating_points") and study.config.readers is not None:
        least = f"{study.config.readers.positive_from:g}"
        yield paragraph(
            "A rating of {least} or more called a case positive.",
            least=said(study, "readers.positive_from", least),
        )
    if facts["order"]:
        yield paragraph(
            "Order of the readings: {order}.", order=Value(f"{at}.order", facts["order"])
        )


def _reporting(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    """Subgroups, failures and sample size: computed for the reader, chosen by nobody."""
    splits = [by for by in evidence.table("examine/groups")["by"].unique() if by != "all patients"]
    if splits:
        yield paragraph(
            "Results were explored in subgroups ({splits}), with models that had not seen the "
            "patients; the sample size was held against the criteria of Riley and colleagues at "
            "the prevalence and performance found.",
            splits=Value("examine/groups.csv.by", ", ".join(splits)),
        )


def _statistics(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    table = f"validate/{study.config.nomogram.name}_auc"
    yield paragraph(
        "Covariates are described by mean and standard deviation, skewed ones by median and "
        "quartiles, and compared by standardized mean differences and by descriptive tests, named "
        "below the table. Intervals in parentheses are {level} confidence intervals; p values are "
        "two-sided. All computing was done with {software} under Python {python}.",
        level=Value(
            f"{table}.csv.conf_level", f"{evidence.table(table)['conf_level'].iloc[0] * 100:g}%"
        ),
        software=Value("manifest.json:packages.usstats", f"usstats {usstats.__version__}"),
        python=Value("manifest.json:python", platform.python_version()),
    )
