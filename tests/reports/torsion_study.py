"""A torsion study on disk: a segmenter, a gated network of pairs, one of gray images, both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.study_folder import write_study
from reports.synthetic.small_network import SMALL
from reports.synthetic.torsion import TorsionLaw

TINY = {"weights": None, "region": "whole", "input_size": 32, "folds": 2, "epochs": 1}
PAIR_OPTIONS = {"dim": 16, "heads": 2, "depth": 1, "channels": [4, 4, 8, 8, 16], "scales": [1.0]}

NETWORKS: dict[str, Any] = {
    "both": {
        **TINY,
        "architecture": "dual_aspp",
        "options": PAIR_OPTIONS,
        "gate": "outlines",
        "optimiser": "sgd",
        "momentum": 0.8,
        "schedule": "constant",
        "calibration": "platt",
        "augment": {"rotate": 5, "photo": 0.2},
    },
    "gray": {**TINY, "architecture": SMALL, "ema": 0.5, "patience": 1, "tta": ["gain"]},
    "outlines": {**TINY, "architecture": "unet", "options": {"encoder": SMALL, "widths": [8, 8]}},
}

CONFIG: dict[str, Any] = {
    "schema_version": 1,
    "name": "torsion",
    "title": "Torsion of the testis on gray and Doppler ultrasound (synthetic)",
    "synthetic": True,
    "intended_use": "Shows that a study of pairs runs.",
    "outcome": {
        "column": "outcome",
        "positive": "torsion",
        "negative": "other",
        "label": "torsion of the testis",
    },
    "cohorts": {"development": ["development"], "external": ["later"]},
    "networks": NETWORKS,
    "ensembles": {"together": ["both", "gray"]},
    "fusion": {"network": "together", "external": {"later": "together"}},
    "models": [
        {"name": "nomogram", "terms": [{"name": "dl_prob", "type": "logit"}, {"name": "age"}]},
        {"name": "clinical", "terms": [{"name": "age"}]},
    ],
    "validation": {"n_boot": 50},
    "decision": {"low": 0.1, "high": 0.6, "rationale": "Exploration or watching."},
    "seed": 4,
}


def make_torsion_study(
    folder: Path, *, n: int = 24, n_later: int = 8, law: TorsionLaw | None = None, **changes: Any
) -> Path:
    """Images in rows of their own, with modality, side and view; `changes` of study.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    law = law or TorsionLaw(missing_doppler=0.1)
    sizes = {"development": ("D", n), "later": ("L", n_later)}
    drawn = {
        cohort: law.draw_files(folder, n_patients=size, seed=i + 1, prefix=prefix)
        for i, (cohort, (prefix, size)) in enumerate(sizes.items())
    }
    images = pd.concat(drawn.values(), ignore_index=True)
    patients = pd.concat(
        [table.drop_duplicates("patient_id").assign(cohort=name) for name, table in drawn.items()]
    )
    patients = patients.assign(
        outcome=np.where(patients["label"] == 1, "torsion", "other"),
        age=np.random.default_rng(1).integers(1, 18, len(patients)),
    )
    kept = ["image_id", "patient_id", "path", "mask", "modality", "side", "view"]
    write_study(
        folder,
        {**CONFIG, **changes},
        patients=patients[["patient_id", "cohort", "outcome", "age"]],
        images=images[kept],
    )
    return folder
