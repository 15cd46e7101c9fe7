"""A made-up study's results held against the law its patients come from."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from reports.files import read_csv, write_csv
from reports.pipeline import Workspace
from reports.stages.model import read_fit
from reports.stages.network import GATES, combined, predict_members
from reports.study import Study
from reports.synthetic import TRUTH_FILE, Truth
from usstats.decision import decision_curve
from usstats.external import evaluate
from usstats.fusion import patient_probability

#: Fresh patients: enough for an AUC to within two hundredths.
N_FRESH = 400
MEASURES = ("auc", "calibration_slope", "net_benefit")


def compare_with_truth(work: Workspace) -> None:
    """What the report promises, what fresh patients of the same law get, and the best possible."""
    study = work.study
    law = Truth.from_json(study.root / TRUTH_FILE)
    fresh = fresh_patients(work, law)
    at = middle_threshold(study.config.decision.thresholds())
    found = evaluate(
        fresh["event"],
        read_fit(work, study.config.nomogram.name).predict(fresh),
        thresholds=[at],
        prevalence=float(study.development["event"].mean()),
        n_boot=study.config.validation.n_boot,
        seed=study.config.seed,
    )
    table = found.frame().set_index("measure").loc[list(MEASURES)].reset_index()
    table = table[["measure", "estimate", "conf_low", "conf_high", "n", "n_event"]].assign(
        promised=promises(work, at),
        best_possible=[law.auc(), 1.0, best_net_benefit(study, fresh, at)],
        threshold=at,
    )
    write_csv(work.folder / "truth.csv", table)


def promises(work: Workspace, at: float) -> list[float]:
    """The optimism-corrected values of internal validation."""
    name = work.study.config.nomogram.name
    corrected = read_csv(work.of("validate") / f"{name}.csv").set_index("measure")["corrected"]
    decision = read_csv(work.of("validate") / f"{name}_decision.csv")
    here = (decision["model"] == name) & np.isclose(decision["threshold_probability"], at)
    return [
        float(corrected["auc"]),
        float(corrected["calibration_slope"]),
        float(decision.loc[here, "net_benefit"].iloc[0]),
    ]


def best_net_benefit(study: Study, fresh: pd.DataFrame, at: float) -> float:
    """Net benefit of the true risk, at the prevalence of development."""
    curve = decision_curve(
        fresh["event"],
        {"oracle": fresh["true_risk"]},
        thresholds=[at],
        prevalence=float(study.development["event"].mean()),
    )
    return float(curve.frame().set_index("model").loc["oracle", "net_benefit"])


def middle_threshold(thresholds: np.ndarray) -> float:
    """The threshold in the middle of the stated range."""
    return float(thresholds[len(thresholds) // 2])


def fresh_patients(work: Workspace, law: Truth) -> pd.DataFrame:
    """New patients with new images, put through the study's own fold models."""
    study = work.study
    patients = law.draw_patients(N_FRESH, seed=study.config.seed + 1, missing=False)
    with tempfile.TemporaryDirectory(dir=work.folder) as scratch:
        images = law.draw_images(patients, Path(scratch), seed=study.config.seed + 1)
        name, root = study.config.fusion.network, Path(scratch)
        tables = predict_members(work, name, images, root=root, gates=root / GATES)
        predictions = combined(study, name, tables)
    probability = patient_probability(predictions, aggregate=study.config.fusion.aggregate)
    event = (patients[study.config.outcome.column] == study.config.outcome.positive).astype(int)
    return patients.assign(event=event).merge(probability, on="patient_id", validate="1:1")
