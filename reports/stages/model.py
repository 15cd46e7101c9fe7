"""Images become one covariate, covariates become models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.files import read_csv, write_csv, write_json
from reports.pipeline import Workspace, cohort_file
from reports.study import RESAMPLED_COPIES, Model, Study
from usstats.fusion import logit_shift, patient_probability
from usstats.imputation import Imputations, impute
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram
from usstats.pooled_fit import PooledFit, fit_imputed
from usstats.recipe import Recipe, ThresholdRule
from usstats.thresholds import choose_threshold, diagnostic_accuracy

#: Identifiers are text, however much they look like numbers.
TEXT_IDS = {"patient_id": str, "image_id": str, "cohort": str}

Fit = LogisticFit | PooledFit
Completed = pd.DataFrame | Imputations


def fuse(work: Workspace) -> None:
    """One row a patient: the covariates and the network's out-of-fold probability (R01, R02)."""
    study = work.study
    predictions = read_csv(predictions_path(work), dtype=TEXT_IDS)
    development = study.config.cohorts.development
    write_csv(work.folder / "development.csv", fused(study, predictions, *development))
    shifts = []
    for cohort in study.config.cohorts.external:
        external = fused(study, predictions, cohort)
        write_csv(work.folder / f"{cohort_file(cohort)}.csv", external)
        same_network = study.config.network_for(cohort)
        home = fused(study, predictions, *development, network=same_network)
        shift = logit_shift(home["dl_prob"], external["dl_prob"])
        shifts.append(shift.frame().assign(group=cohort, model=same_network))
    if shifts:
        write_csv(work.folder / "shift.csv", pd.concat(shifts, ignore_index=True))


def predictions_path(work: Workspace) -> Path:
    """Our networks' table, or the one that came with the study."""
    if work.study.config.networks:
        return work.of("predict") / "predictions.csv"
    return work.study.root / "predictions.csv"


def fused(
    study: Study, predictions: pd.DataFrame, *cohorts: str, network: str | None = None
) -> pd.DataFrame:
    """Included patients of the cohorts with `dl_prob`, `n_images` and its provenance."""
    patients = study.cohort(*cohorts)
    rows = predictions[predictions["patient_id"].isin(patients["patient_id"])]
    probability = patient_probability(
        rows,
        aggregate=study.config.fusion.aggregate,
        model=network or study.config.network_for(cohorts[0]),
        positive=study.config.outcome.positive,
    )
    return patients.merge(probability, on="patient_id", how="inner", validate="1:1")


def fit(work: Workspace) -> None:
    """Complete the covariates, fit every model, draw up the nomogram, freeze the cut-off."""
    study = work.study
    development = read_patients(work, "development")
    completed = complete(study, development)
    copies = copies_of(completed)
    fits = {model.name: fit_model(model, completed) for model in study.config.models}
    for name, model_fit in fits.items():
        model_fit.to_json(work.folder / f"{name}.json")
        write_csv(work.folder / f"{name}.csv", model_fit.frame())
        write_csv(work.folder / f"{name}_odds_ratios.csv", model_fit.odds_ratios(per="iqr"))
    nomogram_fit = fits[study.config.nomogram.name]
    build_nomogram(nomogram_fit).to_json(work.folder / "nomogram_axes.json")
    risks = mean_risk(nomogram_fit, copies)
    cutoff = study.config.cutoff
    threshold = choose_threshold(
        development["event"],
        risks,
        criterion=cutoff.criterion,
        sensitivity=cutoff.sensitivity,
        specificity=cutoff.specificity,
    )
    write_json(work.folder / "threshold.json", threshold.frame().iloc[0].to_dict())
    accuracy = diagnostic_accuracy(development["event"], risks, threshold=threshold)
    write_csv(work.folder / "accuracy.csv", accuracy.frame())
    write_json(work.folder / "facts.json", {"imputed": len(copies) > 1})


def read_patients(work: Workspace, cohort: str) -> pd.DataFrame:
    """A fused cohort as `fuse` wrote it, factors kept as text."""
    name = cohort if cohort == "development" else cohort_file(cohort)
    path = work.of("fuse") / f"{name}.csv"
    factors = {
        term.name: str
        for model in work.study.config.models
        for term in model.terms
        if term.type == "factor"
    }
    return read_csv(path, dtype={**TEXT_IDS, **factors})


def complete(study: Study, patients: pd.DataFrame) -> Completed:
    """The development cohort completed, its outcome in the imputation models (R20)."""
    table = patients[["patient_id", "event", *study.variables]]
    return _imputed(study, table, outcome="event")


def complete_external(
    study: Study, development: pd.DataFrame, external: pd.DataFrame
) -> list[pd.DataFrame]:
    """Completed copies of an external cohort as at the bedside: without anybody's outcome."""
    variables = ["patient_id", *study.variables]
    both = pd.concat([development[variables], external[variables]], ignore_index=True)
    return [
        copy.iloc[len(development) :].reset_index(drop=True)
        for copy in copies_of(_imputed(study, both))
    ]


def copies_of(completed: Completed) -> list[pd.DataFrame]:
    """The completed copies; a table without a hole is its own only copy."""
    return [completed] if isinstance(completed, pd.DataFrame) else list(completed)


def _imputed(study: Study, table: pd.DataFrame, *, outcome: str | None = None) -> Completed:
    if not table.isna().any().any():
        return table
    choice = study.config.imputation
    return impute(
        table,
        m=choice.m,
        method=choice.method,
        seed=study.config.seed,
        outcome=outcome,
        exclude=["patient_id"],
    )


def fit_model(model: Model, completed: Completed) -> Fit:
    """One maximum-likelihood fit, or the pool of one a completed copy."""
    terms = terms_of(model)
    if isinstance(completed, pd.DataFrame):
        return fit_logistic(None, completed, outcome="event", terms=terms)
    return fit_imputed(None, completed, outcome="event", terms=terms)


def terms_of(model: Model) -> list[dict[str, object]]:
    """A model's terms as the statistics take them."""
    return [term.to_term() for term in model.terms]


def recipe_for(study: Study, model: Model, *, imputes: bool) -> Recipe:
    """Everything that was done to get a model, to be repeated in every resample."""
    choice, cutoff = study.config.imputation, study.config.cutoff
    return Recipe(
        outcome="event",
        terms=terms_of(model),
        imputation=choice.method if imputes else None,
        m=RESAMPLED_COPIES,
        exclude=("patient_id",),
        knots="refit",
        threshold=ThresholdRule(
            criterion=cutoff.criterion,
            sensitivity=cutoff.sensitivity,
            specificity=cutoff.specificity,
        ),
    )


def mean_risk(model_fit: Fit, completed: Sequence[pd.DataFrame]) -> NDArray[np.float64]:
    """Each patient's risk, averaged over the completed copies."""
    return np.mean([model_fit.predict(frame) for frame in completed], axis=0)


def read_fit(work: Workspace, name: str) -> Fit:
    """A model as `fit` wrote it."""
    path = work.of("fit") / f"{name}.json"
    pooled = json.loads((work.of("fit") / "facts.json").read_text("utf-8"))["imputed"]
    return PooledFit.from_json(path) if pooled else LogisticFit.from_json(path)


def frozen_threshold(work: Workspace) -> float:
    """The cut-off `fit` chose in development."""
    return float(json.loads((work.of("fit") / "threshold.json").read_text("utf-8"))["value"])
