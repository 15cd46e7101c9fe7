"""What a study's networks are trained on and with, and where that is kept."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.networks import Network
from reports.study import Study, StudyConfig

if TYPE_CHECKING:
    from dl.config import TrainConfig

__all__ = [
    "can_be_frozen",
    "folder_name",
    "image_table",
    "members_of",
    "same_as",
    "seen_by",
    "takes_pairs",
    "tasks_of",
    "train_config",
    "training_order",
]


def image_table(study: Study, *cohorts: str) -> pd.DataFrame:
    """Images of the included patients with their outcome as `label`, as `dl` wants them."""
    patients = study.cohort(*cohorts)[["patient_id", "cohort", "event"]]
    own = study.images.drop(columns=["cohort", "label"], errors="ignore")
    merged = own.merge(patients, on="patient_id", how="inner", validate="m:1")
    return merged.rename(columns={"event": "label"})


def train_config(study: Study, name: str) -> TrainConfig:
    """A network's choices as the configuration that determines a training run."""
    return study.config.networks[name].train_config(
        name=name, positive=study.config.outcome.positive, seed=study.config.seed
    )


def folder_name(study: Study, name: str) -> str:
    """A folder for each configuration and table a network was trained with.

    Networks that are the same share the folder of the first.
    """
    first = same_as(study, name)
    network = study.config.networks[first]
    table = image_table(study, *study.config.cohorts.development)
    content = train_config(study, first).to_json() + table.to_csv(index=False)
    if network.modality is not None:
        content += network.modality
    if network.gate is not None:
        content += folder_name(study, network.gate)
    return f"{first}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def same_as(study: Study, name: str) -> str:
    """The first declared network that is trained alike; mostly the network itself.

    Two networks may differ in what the route "frozen" does not read, and are the same by it.
    """
    wanted = _identity(study, name)
    return next(other for other in study.config.networks if _identity(study, other) == wanted)


def _identity(study: Study, name: str) -> tuple[str, str | None, str | None]:
    config, network = train_config(study, name), study.config.networks[name]
    read = config.frozen() if config.route == "frozen" else config
    return read.changed(name="network").to_json(), network.modality, network.gate


def members_of(study: Study, name: str) -> list[str]:
    """The different networks behind a name: those of an ensemble, or the network alone."""
    names = study.config.ensembles.get(name, (name,))
    return list(dict.fromkeys(same_as(study, member) for member in names))


def training_order(config: StudyConfig) -> list[str]:
    """Networks without a gate first: those with one wait for its outlines."""
    return sorted(config.networks, key=lambda name: config.networks[name].gate is not None)


def tasks_of(network: Network) -> tuple[str, ...]:
    """What a network is trained for: "classify", "segment" or both.

    Raises
    ------
    ArgumentError
        There is no such architecture.
    """
    from dl import registry  # noqa: F401 - which registers the networks
    from dl.network import tasks_of as tasks_of_architecture

    return tasks_of_architecture(network.architecture)


def takes_pairs(network: Network) -> bool:
    """Whether a network takes a gray and a Doppler image."""
    return "doppler" in _blocks(network)


def _blocks(network: Network) -> tuple[str, ...]:
    from dl.registry import layout_of

    return layout_of(network.architecture, 1).names


def can_be_frozen(network: Network) -> bool:
    """Whether a network has the route "frozen": it classifies single images."""
    if network.route == "frozen" or find_spec("torch") is None:
        return True
    return tasks_of(network) == ("classify",) and _blocks(network) == ("image",)


def seen_by(network: Network, images: pd.DataFrame, root: Path) -> pd.DataFrame:
    """What a network sees of an images table: rows of one image, or of a pair.

    Raises
    ------
    SchemaError, PairingError
        The table gives no clear pairs, as `dl.pairing.pair_images`.
    """
    from dl.pairing import is_modality, pair_images

    if takes_pairs(network):
        return images if "doppler_path" in images else pair_images(images, root=root)
    if "modality" not in images:
        return images
    if network.modality is not None:
        return images[is_modality(images["modality"], network.modality)]
    return images[~is_modality(images["modality"], "doppler")]
