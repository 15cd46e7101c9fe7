"""A finished run, small enough for every run of the tests; it needs no torch."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

from dl.predictions import COLUMNS
from reports.run import run_study
from reports.synthetic import make_noa_study


def make_small_study(folder: Path) -> Path:
    """A synthetic study whose network's probabilities came from somebody else."""
    truth = make_noa_study(folder, seed=5, n_development=40, n_external=24)
    images = pd.read_csv(folder / "images.csv")
    severity = truth.patients.set_index("patient_id")["severity"]
    noise = np.random.default_rng(11).normal(scale=1.5, size=len(images))
    logit = images["patient_id"].map(severity) + noise
    probability = logit.map(lambda value: 1 / (1 + math.exp(-value)))
    is_ours = images["patient_id"].str.startswith("D")
    images.assign(
        model="roi",
        fold=0,
        role=is_ours.map({True: "out_of_fold", False: "external"}),
        logit=logit,
        probability=probability,
        probability_calibrated=probability,
        n_images=images.groupby("patient_id")["image_id"].transform("size"),
        model_hash="theirs",
    ).assign(**{"class": "NOA"})[list(COLUMNS)].to_csv(folder / "predictions.csv", index=False)
    config = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    config |= {
        "networks": {},
        "models": config["models"][:2],
        "validation": {"n_boot": 50},
        "imputation": {"m": 2, "method": "pmm"},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    (folder / "truth.json").unlink()
    return folder


def copy_study(source: Path, target: Path) -> Path:
    """A copy that a test may spoil; pictures are links, to be replaced and never written into."""

    def link_or_copy(old: str, new: str) -> None:
        if Path(old).parent.name in {"images", "masks"}:
            os.link(old, new)
        else:
            shutil.copy2(old, new)

    shutil.copytree(source, target, copy_function=link_or_copy)
    return target


def coarse_figures() -> pytest.MonkeyPatch:
    """Draw at the lowest resolution of the preset: most of a figure's time is its PNG."""
    from reports.stages import draw

    fine = draw.figures
    patch = pytest.MonkeyPatch()
    patch.setattr(
        draw,
        "figures",
        lambda study: {
            k: (make, {**o, "kind": "halftone"}) for k, (make, o) in fine(study).items()
        },
    )
    return patch


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was never run; copy it before running it."""
    return make_small_study(tmp_path_factory.mktemp("small") / "study")


@pytest.fixture(scope="session")
def small_run(small_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study, finished; copy it before changing it."""
    folder = copy_study(small_study, tmp_path_factory.mktemp("finished") / "study")
    patch = coarse_figures()
    try:
        run_study(folder, console=Console(quiet=True))
    finally:
        patch.undo()
    return folder
