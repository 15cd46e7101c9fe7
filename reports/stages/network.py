"""Images in, probabilities out: the only stages that need torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.files import write_csv
from reports.pipeline import WORKERS, Workspace
from reports.study import Study

if TYPE_CHECKING:
    from dl.config import TrainConfig


def image_table(study: Study, *cohorts: str) -> pd.DataFrame:
    """Images of the included patients with their outcome as `label`, as `dl` wants them."""
    patients = study.cohort(*cohorts)[["patient_id", "cohort", "event"]]
    merged = study.images.merge(patients, on="patient_id", how="inner", validate="m:1")
    return merged.rename(columns={"event": "label"})


def train(work: Workspace) -> None:
    """Cross-validate every declared network; a killed run goes on where it stopped."""
    from dl.crossval import cross_validate
    from dl.data import ImageStudy
    from dl.progress import console_progress

    study = work.study
    images = image_table(study, *study.config.cohorts.development)
    for name, network in study.config.networks.items():
        work.say(f"  network {name}: {network.architecture}, {network.route}, {network.region}")
        predictions = cross_validate(
            ImageStudy(images=images, root=study.root),
            train_config(study, name),
            run_dir=network_folder(work, name),
            progress=console_progress(),
            n_jobs=WORKERS,
        )
        write_csv(work.folder / f"{name}.csv", predictions)


def train_config(study: Study, name: str) -> TrainConfig:
    """A network's choices as the configuration that determines a training run."""
    from dl.config import TrainConfig

    return TrainConfig(
        name=name,
        positive=study.config.outcome.positive,
        seed=study.config.seed,
        **study.config.networks[name].model_dump(),
    )


def network_folder(work: Workspace, name: str) -> Path:
    """Where a network's folds lie: a folder for each configuration and table it was trained with.

    So that another number of epochs starts afresh, and the old one can be gone back to.
    """
    study = work.study
    table = image_table(study, *study.config.cohorts.development)
    content = train_config(study, name).to_json() + table.to_csv(index=False)
    return work.of("train") / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def predict(work: Workspace) -> None:
    """Put the external cohorts through the fold models of the network that describes them."""
    study = work.study
    config = study.config
    parts = [
        pd.read_csv(path, dtype={"patient_id": str, "image_id": str})
        for path in (work.of("train") / f"{name}.csv" for name in config.networks)
    ]
    parts += [_external(work, cohort) for cohort in config.cohorts.external]
    write_csv(work.folder / "predictions.csv", pd.concat(parts, ignore_index=True))


def _external(work: Workspace, cohort: str) -> pd.DataFrame:
    from dl.data import ImageStudy
    from dl.predict import predict as predict_images

    study = work.study
    network = study.config.network_for(cohort)
    images = image_table(study, cohort).drop(columns="label")
    return predict_images(network_folder(work, network), ImageStudy(images=images, root=study.root))
