"""A made-up study's results held against the law its patients come from."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from reports.files import write_csv
from reports.pipeline import Workspace
from reports.stages.model import read_fit
from reports.synthetic import TRUTH_FILE, Truth
from usstats.decision import decision_curve
from usstats.external import evaluate
from usstats.fusion import patient_probability

#: Fresh patients: enough for an AUC to within two hundredths.
N_FRESH = 400


def truth(work: Workspace) -> None:
    """What the report promises, what fresh patients of the same law get, and the best possible."""
    study = work.study
    law = Truth.from_json(study.root / TRUTH_FILE)
    fresh = fresh_patients(work, law)
    y = fresh["event"].to_numpy()
    name = study.config.nomogram.name
    at = middle_threshold(study.config.decision.thresholds())
    result = evaluate(y, read_fit(work, name).predict(fresh), thresholds=[at])
    found = result.frame().set_index("measure")
    promised = pd.read_csv(work.of("validate") / f"{name}.csv").set_index("measure")["corrected"]
    decision = pd.read_csv(work.of("validate") / f"{name}_decision.csv")
    here = (decision["model"] == name) & np.isclose(decision["threshold_probability"], at)
    best = decision_curve(y, {"oracle": fresh["true_risk"]}, thresholds=[at]).frame()
    rows = [
        ("auc", promised["auc"], found.loc["auc"], law.auc()),
        ("calibration_slope", promised["calibration_slope"], found.loc["calibration_slope"], 1.0),
        (
            "net_benefit",
            decision.loc[here, "net_benefit"].iloc[0],
            found.loc["net_benefit"],
            best["net_benefit"].iloc[0],
        ),
    ]
    table = [
        {
            "measure": measure,
            "promised": value,
            "estimate": row["estimate"],
            "conf_low": row["conf_low"],
            "conf_high": row["conf_high"],
            "best_possible": limit,
            "n": len(y),
            "n_event": int(y.sum()),
            "threshold": at,
        }
        for measure, value, row, limit in rows
    ]
    write_csv(work.folder / "truth.csv", pd.DataFrame(table))


def middle_threshold(thresholds: np.ndarray) -> float:
    """The threshold in the middle of the stated range."""
    return float(thresholds[len(thresholds) // 2])


def fresh_patients(work: Workspace, law: Truth) -> pd.DataFrame:
    """New patients with new images, put through the study's own fold models."""
    from dl.data import ImageStudy
    from dl.predict import predict

    study = work.study
    patients = law.draw_patients(N_FRESH, seed=study.config.seed + 1, missing=False)
    with tempfile.TemporaryDirectory(dir=work.folder) as scratch:
        images = law.draw_images(patients, Path(scratch), seed=study.config.seed + 1)
        predictions = predict(
            work.of("train") / study.config.fusion.network,
            ImageStudy(images=images, root=Path(scratch)),
        )
    probability = patient_probability(predictions, aggregate=study.config.fusion.aggregate)
    event = (patients[study.config.outcome.column] == study.config.outcome.positive).astype(int)
    return patients.assign(event=event).merge(probability, on="patient_id", validate="1:1")
