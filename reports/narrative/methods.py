"""Methods, generated from the study file: what was done, and only that."""

from __future__ import annotations

from collections.abc import Iterator

from reports.evidence import Evidence
from reports.report import Section
from reports.study import Network, Study, TermChoice
from reports.text import Paragraph, Value, paragraph

ARCHITECTURES = {"efficientnet_lite0": "EfficientNet-Lite0", "resnet18": "ResNet18"}
IMPUTERS = {"pmm": "predictive mean matching", "norm": "Bayesian linear regression"}
AGGREGATES = {
    "mean_logit": "the mean logit over a patient's images",
    "mean_probability": "the mean probability over a patient's images",
    "max": "the highest probability over a patient's images",
}
TRANSFORMS = {
    "linear": "linear",
    "log": "logarithm",
    "logit": "logit",
    "factor": "factor",
    "interaction": "interaction",
}


def methods_section(study: Study, evidence: Evidence) -> Section:
    """The methods as paragraphs in the order of a manuscript."""
    parts = [
        _participants,
        _networks,
        _fusion,
        _models,
        _missing,
        _validation,
        _comparison,
        _external,
        _readers,
    ]
    blocks = [block for part in parts for block in part(study, evidence)]
    return Section(heading="Methods", blocks=tuple(blocks))


def said(study: Study, path: str, text: object) -> Value:
    """Words or numbers of the study file, which may hold digits of their own."""
    return Value(f"study.yaml:{path}", str(text))


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


def _networks(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    for name, network in study.config.networks.items():
        yield _preparation(study, name, network)
        yield _training(study, name, network)


def _preparation(study: Study, name: str, network: Network) -> Paragraph:
    path = f"networks.{name}"
    size = said(study, f"{path}.input_size", f"{network.input_size} × {network.input_size}")
    label = said(study, path, name)
    if network.region == "whole":
        return paragraph(
            "For the network {name}, whole images were letterboxed (never stretched) to {size} "
            "pixels.",
            name=label,
            size=size,
        )
    return paragraph(
        "For the network {name}, images were cropped to the region of interest, grown by "
        "{margin} of its size on each side, and letterboxed (never stretched) to {size} pixels.",
        name=label,
        size=size,
        margin=said(study, f"{path}.roi_margin", f"{network.roi_margin * 100:g}%"),
    )


def _training(study: Study, name: str, network: Network) -> Paragraph:
    path = f"networks.{name}"
    shared = {
        "architecture": said(
            study,
            f"{path}.architecture",
            ARCHITECTURES.get(network.architecture, network.architecture),
        ),
        "folds": said(study, f"{path}.folds", network.folds),
        "seed": said(study, "seed", study.config.seed),
    }
    start = (
        ", initialised with ImageNet weights," if network.weights == "imagenet" else " from scratch"
    )
    grouped = (
        "in {folds} folds that keep all images of a patient, and near-identical images, together "
        "and are stratified by outcome (seed {seed})"
    )
    if network.route == "frozen":
        return paragraph(
            "{architecture}" + start + " was used as a fixed feature extractor; a penalised "
            "logistic head was fitted " + grouped + ", its penalty chosen inside the training "
            "folds.",
            **shared,
        )
    return paragraph(
        "{architecture}" + start + " was fine-tuned for at most {epochs} epochs " + grouped + ". "
        "The epoch was chosen on an inner tuning split of the training patients; the held-out "
        "fold chose nothing.",
        epochs=said(study, f"{path}.epochs", network.epochs),
        **shared,
    )


def _fusion(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    fusion = study.config.fusion
    yield paragraph(
        "Each development patient's network probability is out-of-fold: it comes from the model "
        "that did not see the patient. Out-of-fold logits were temperature-scaled, each fold by "
        "the others; {aggregate} entered the models as one covariate.",
        aggregate=said(study, "fusion.aggregate", AGGREGATES[fusion.aggregate]),
    )
    if study.config.networks and study.config.cohorts.external:
        yield paragraph(
            "Patients of external cohorts received the mean logit of all fold models of the "
            "network named for their cohort; no network was refitted."
        )


def _models(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    for position, model in enumerate(study.config.models):
        terms = "; ".join(_term_text(study, term) for term in model.terms)
        yield paragraph(
            "The model {name} is a maximum-likelihood logistic regression on {terms}.",
            name=said(study, f"models.{position}.name", model.name),
            terms=said(study, f"models.{position}.terms", terms),
        )
    yield paragraph(
        "The terms were fixed in the study file before fitting; none was selected by its p value. "
        "The nomogram shows the model {name}; points are linear in its linear predictor.",
        name=said(study, "models.0.name", study.config.nomogram.name),
    )


def _term_text(study: Study, term: TermChoice) -> str:
    label = study.label(term.name)
    if term.type == "rcs":
        knots = term.knots if isinstance(term.knots, int) else len(term.knots or ())
        return f"{label} (restricted cubic spline, {knots} knots)"
    return f"{label} ({TRANSFORMS[term.type]})"


def _missing(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if not evidence.json("fit/facts")["imputed"]:
        yield paragraph("No covariate of the models was missing in development.")
        return
    choice = study.config.imputation
    yield paragraph(
        "Missing covariates were completed {m} times by chained equations ({method}) with the "
        "outcome among the predictors, and the fits pooled by Rubin's rules. Missing covariates "
        "of external patients were imputed without anybody's outcome, as they would be at the "
        "bedside.",
        m=said(study, "imputation.m", choice.m),
        method=said(study, "imputation.method", IMPUTERS[choice.method]),
    )


def _validation(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    yield paragraph(
        "Optimism was estimated by refitting the whole recipe (imputation, spline knots, "
        "coefficients and cut-off) in {n_boot} bootstrap resamples of patients (Harrell); the "
        "network itself was not retrained in them: its probabilities are out-of-fold already. "
        "The flexible calibration curve is corrected in the same way.",
        n_boot=said(study, "validation.n_boot", study.config.validation.n_boot),
    )
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
    yield paragraph(
        "The cut-off was chosen once, in development, {chosen}, and frozen; its sensitivity and "
        "specificity are corrected for optimism.",
        chosen=said(study, "cutoff", chosen),
    )


def _comparison(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    if evidence.has("compare/nested"):
        yield paragraph(
            "Nested models were compared by a likelihood-ratio test; the change in AUC is "
            "reported with a bootstrap interval and not tested, since DeLong's test is not valid "
            "between nested models on their own data (Demler and colleagues)."
        )
    yield paragraph("AUCs over images carry intervals over patients (Obuchowski).")
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
            "unchanged. A shift of the network's logit between cohorts was measured."
        )
    if evidence.has("contrasts/auc"):
        yield paragraph(
            "There, where no model had been fitted, the AUC of the model {first} was contrasted "
            "with that of every other model by DeLong's method for paired curves; p values are "
            "adjusted by Holm's method.",
            first=said(study, "models.0.name", study.config.nomogram.name),
        )


_READER_COVARIANCES = {"delong": "DeLong", "unbiased": "Gallas"}


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
    if facts["order"]:
        yield paragraph(
            "Order of the readings: {order}.", order=Value(f"{at}.order", facts["order"])
        )
