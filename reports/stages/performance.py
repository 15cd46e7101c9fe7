"""How well the models do: resampled, compared, weighed, and carried to other patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.files import read_csv, write_csv
from reports.pipeline import WORKERS, Workspace, cohort_file
from reports.stages.model import (
    TEXT_IDS,
    Completed,
    complete,
    complete_external,
    copies_of,
    frozen_threshold,
    mean_risk,
    predictions_path,
    read_fit,
    read_patients,
    recipe_for,
)
from reports.stages.saved import save_calibration, save_instability, save_roc
from reports.study import Model, Study, variables_of
from usstats.external import evaluate
from usstats.nested import compare_nested
from usstats.optimism import validate as validate_model
from usstats.proportions import wilson
from usstats.roc import RocCurve, auc, roc_curve
from usstats.thresholds import diagnostic_accuracy


def validate(work: Workspace) -> None:
    """Optimism-corrected performance of every model by refitting its whole recipe (R17)."""
    from dl.progress import console_progress, reporter

    study = work.study
    development = read_patients(work, "development")
    thresholds = study.config.decision.thresholds()
    progress = console_progress()
    for model in study.config.models:
        table = development[["patient_id", "event", *variables_of([model])]]
        result = validate_model(
            read_fit(work, model.name),
            table,
            n_boot=study.config.validation.n_boot,
            recipe=recipe_for(study, model, imputes=bool(table.isna().any().any())),
            seed=study.config.seed,
            n_jobs=WORKERS,
            progress=reporter(progress, f"  {model.name}: resamples"),
        )
        write_csv(work.folder / f"{model.name}.csv", result.frame())
        write_csv(work.folder / f"{model.name}_auc.csv", result.interval("auc").frame())
        curve = result.decision_curve(thresholds, model=model.name)
        write_csv(work.folder / f"{model.name}_decision.csv", curve.frame())
        write_csv(work.folder / f"{model.name}_calibration.csv", result.calibration_curve())
        if model is study.config.nomogram:
            save_instability(work.folder, result.instability())
    progress.close()


def compare(work: Workspace) -> None:
    """What each part adds: likelihood-ratio test and AUC change of nested models (R06)."""
    study = work.study
    completed = complete(study, read_patients(work, "development"))
    nested = _nested(work, completed)
    if nested:
        write_csv(work.folder / "nested.csv", pd.concat(nested, ignore_index=True))
    curves = _roc_curves(work, copies_of(completed))
    for name, curve in curves.items():
        save_roc(work.folder, name, curve)
    apparent = [
        curve.auc.frame().assign(model=name, group="patients") for name, curve in curves.items()
    ]
    both = pd.concat([*apparent, *_image_level(work)], ignore_index=True)
    write_csv(work.folder / "discrimination.csv", both)
    if study.config.comparator is not None:
        write_csv(work.folder / "comparator.csv", _comparator(study, work))


def _nested(work: Workspace, completed: Completed) -> list[pd.DataFrame]:
    """The first model against each that is a part of it."""
    study = work.study
    full = study.config.nomogram
    return [
        compare_nested(
            read_fit(work, full.name),
            read_fit(work, reduced.name),
            completed,
            seed=study.config.seed,
        )
        .frame()
        .assign(model_1=full.name, model_2=reduced.name)
        for reduced in study.config.models[1:]
        if _is_nested(reduced, full)
    ]


def _is_nested(reduced: Model, full: Model) -> bool:
    return set(variables_of([reduced])) < set(variables_of([full]))


def _image_level(work: Workspace) -> list[pd.DataFrame]:
    """AUC of each network over images, with intervals over patients (R05)."""
    study = work.study
    predictions = read_csv(predictions_path(work), dtype=TEXT_IDS)
    events = study.included.set_index("patient_id")["event"]
    rows = predictions[predictions["role"] == "out_of_fold"]
    frames = []
    for name, part in rows.groupby("model"):
        y = part["patient_id"].map(events)
        estimate = auc(y, part["probability_calibrated"], cluster=part["patient_id"])
        frames.append(estimate.frame().assign(model=name, group="images"))
    return frames


def _roc_curves(work: Workspace, copies: list[pd.DataFrame]) -> dict[str, RocCurve]:
    """The curve of each model on its own data, with its area."""
    study = work.study
    y = copies[0]["event"]
    risks = {
        model.name: mean_risk(read_fit(work, model.name), copies) for model in study.config.models
    }
    return {
        name: roc_curve(y, risk, band="bootstrap", seed=study.config.seed)
        for name, risk in risks.items()
    }


def _comparator(study: Study, work: Workspace) -> pd.DataFrame:
    """Sensitivity and specificity of the human reading at each of its cut-offs, and its AUC."""
    comparator = study.config.comparator
    patients = read_patients(work, "development")
    rank = patients[comparator.column].map({v: i for i, v in enumerate(comparator.levels)})
    known = rank.notna()
    y, rank = patients.loc[known, "event"].to_numpy(), rank[known].to_numpy()
    area = auc(y, rank)
    rows = [
        {
            "term": f"\N{GREATER-THAN OR EQUAL TO} {level}",
            **_operating_point(y, rank >= cut),
            "auc": area.estimate,
            "auc_low": area.conf_low,
            "auc_high": area.conf_high,
            "n": int(known.sum()),
            "n_missing": int((~known).sum()),
        }
        for cut, level in enumerate(comparator.levels[1:], start=1)
    ]
    return pd.DataFrame(rows)


def _operating_point(y: np.ndarray, called: np.ndarray) -> dict[str, float]:
    return {
        **_proportion("sensitivity", called[y == 1]),
        **_proportion("specificity", ~called[y == 0]),
    }


def _proportion(measure: str, right: np.ndarray) -> dict[str, float]:
    interval = wilson(int(right.sum()), right.size)
    return {
        measure: float(right.mean()),
        f"{measure}_low": interval.low,
        f"{measure}_high": interval.high,
    }


def external(work: Workspace) -> None:
    """Discrimination, calibration and usefulness in every external cohort together (R10)."""
    study = work.study
    development = read_patients(work, "development")
    for cohort in study.config.cohorts.external:
        patients, file = read_patients(work, cohort), cohort_file(cohort)
        risks = _external_risks(work, development, patients)
        write_csv(work.folder / f"{file}_risks.csv", _risk_table(patients, risks))
        for name, risk in risks.items():
            result = evaluate(
                patients["event"],
                risk,
                thresholds=study.config.decision.thresholds(),
                n_boot=study.config.validation.n_boot,
                seed=study.config.seed,
            )
            label = f"{file}_{name}"
            write_csv(work.folder / f"{label}.csv", result.frame())
            curve = result.net_benefit.frame().replace({"model": {"model": name}})
            write_csv(work.folder / f"{label}_decision.csv", curve)
            save_calibration(work.folder, label, result.calibration)
            roc = roc_curve(patients["event"], risk, band="bootstrap", seed=study.config.seed)
            save_roc(work.folder, label, roc)
        if study.config.nomogram.name in risks:
            accuracy = diagnostic_accuracy(
                patients["event"],
                risks[study.config.nomogram.name],
                threshold=frozen_threshold(work),
            )
            write_csv(work.folder / f"{file}_accuracy.csv", accuracy.frame())


def _external_risks(
    work: Workspace, development: pd.DataFrame, patients: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Each model's risk where its covariates were measured; the network's own in any case."""
    study = work.study
    variables = study.variables
    risks = {"dl_prob": patients["dl_prob"].to_numpy()}
    if patients[variables].notna().any().all():
        completed = complete_external(study, development, patients)
        for model in study.config.models:
            risks[model.name] = mean_risk(read_fit(work, model.name), completed)
    return risks


def _risk_table(patients: pd.DataFrame, risks: dict[str, np.ndarray]) -> pd.DataFrame:
    return patients[["patient_id", "event"]].assign(**risks)
