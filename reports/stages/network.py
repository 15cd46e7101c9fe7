"""Images in, probabilities out: the only stages that need torch."""

from __future__ import annotations

import pandas as pd

from reports.files import write_csv
from reports.pipeline import Workspace
from reports.study import Network, Study


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
            train_config(network, study.config.seed, name, study.config.outcome.positive),
            run_dir=work.folder / name,
            progress=console_progress(),
        )
        write_csv(work.folder / f"{name}.csv", predictions)


def train_config(network: Network, seed: int, name: str, positive: str):
    """The network's choices as the configuration that determines a training run."""
    from dl.config import TrainConfig

    return TrainConfig(name=name, positive=positive, seed=seed, **network.model_dump())


def predict(work: Workspace) -> None:
    """Put the external cohorts through the fold models of the network that describes them."""
    study = work.study
    config = study.config
    parts = [
        pd.read_csv(path, dtype={"patient_id": str, "image_id": str})
        for path in sorted(work.of("train").glob("*.csv"))
    ]
    parts += [_external(work, cohort) for cohort in config.cohorts.external]
    write_csv(work.folder / "predictions.csv", pd.concat(parts, ignore_index=True))


def _external(work: Workspace, cohort: str) -> pd.DataFrame:
    from dl.data import ImageStudy
    from dl.predict import predict as predict_images

    study = work.study
    network = study.config.network_for(cohort)
    images = image_table(study, cohort).drop(columns="label")
    return predict_images(work.of("train") / network, ImageStudy(images=images, root=study.root))
