"""A tiny network and image studies whose outcome can be seen, small enough for one core."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from torch import nn

from dl import registry
from dl.config import AugmentConfig, TrainConfig
from dl.data import ImageStudy

SIDE = 48


def _trunk(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(in_channels, 6, 5, stride=4, padding=2, bias=False),
            norm=nn.BatchNorm2d(6),
            act=nn.ReLU(inplace=True),
            top=nn.Conv2d(6, 8, 3, stride=2, padding=1),
            top_act=nn.ReLU(),
        )
    )


if "tiny" not in registry.names():
    registry.register(
        registry.NetworkEntry(
            name="tiny", trunk=_trunk, n_features=8, stem="trunk.stem.weight", mean=0.4, std=0.2
        )
    )


@dataclass(frozen=True, kw_only=True)
class TinyConfig(TrainConfig):
    """Reading one from another process registers the tiny network there."""


def tiny_config(**values: Any) -> TrainConfig:
    """Three folds and three fast epochs."""
    settings = {
        "architecture": "tiny",
        "weights": None,
        "region": "whole",
        "input_size": 32,
        "folds": 3,
        "epochs": 3,
        "batch_size": 8,
        "lr": 0.02,
        "head_lr": 0.1,
        "warmup_epochs": 0.0,
        "tuning_fraction": 0.3,
        "augment": AugmentConfig(rotate=5.0, shadow=0.0),
        "seed": 7,
    }
    return TinyConfig(**(settings | values))


def lesion_image(rng: np.random.Generator, *, event: bool) -> tuple[np.ndarray, np.ndarray]:
    """Speckle with an elliptic lesion, dark in events and bright in the others, and its mask."""
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, axes = rng.uniform(20, 28, 2), rng.uniform(9, 13, 2)
    mask = ((y - centre[0]) / axes[0]) ** 2 + ((x - centre[1]) / axes[1]) ** 2 <= 1
    level = np.where(mask, 0.2 if event else 1.8, 1.0)
    speckle = rng.gamma(9, 1 / 9, (SIDE, SIDE))
    return np.clip(90 * level * speckle, 0, 255).astype(np.uint8), mask


def write_world(
    root: Path, *, n: int = 24, seed: int = 1, prefix: str = "P", per_patient: int = 2
) -> ImageStudy:
    """`n` patients with one or two images each; every second patient has the event."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for patient in range(n):
        event = patient % 2
        for image in range(1 + patient % per_patient):
            name = f"{prefix}{patient:02d}-{image}"
            pixels, mask = lesion_image(rng, event=bool(event))
            Image.fromarray(pixels).save(root / f"{name}.png")
            Image.fromarray(mask).save(root / f"{name}-mask.png")
            rows.append((name, f"{prefix}{patient:02d}", f"{name}.png", f"{name}-mask.png", event))
    names = ["image_id", "patient_id", "path", "mask", "label"]
    return ImageStudy(images=pd.DataFrame(rows, columns=names), root=root)


CLASSES = ("layered", "columnar", "plain")


def write_classes(root: Path, *, n: int = 24, seed: int = 1, prefix: str = "Q") -> ImageStudy:
    """`n` patients with one or two images of one of three textures: stripes, checks or speckle."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:SIDE, :SIDE]
    rows = []
    for patient in range(n):
        for image in range(1 + patient % 2):
            name = f"{prefix}{patient:02d}-{image}"
            phase = rng.integers(0, 8)
            textures = (y + phase) // 4 % 2, (x + phase) // 4 % 2, np.full((SIDE, SIDE), 0.5)
            level = 0.4 + 1.2 * textures[patient % 3]
            speckle = rng.gamma(9, 1 / 9, (SIDE, SIDE))
            pixels = np.clip(90 * level * speckle, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"{name}.png")
            rows.append((name, f"{prefix}{patient:02d}", f"{name}.png", CLASSES[patient % 3]))
    names = ["image_id", "patient_id", "path", "label"]
    return ImageStudy(images=pd.DataFrame(rows, columns=names), root=root)


def altered(study: ImageStudy, **columns: Any) -> ImageStudy:
    """The same study with other columns."""
    return ImageStudy(images=study.images.assign(**columns), root=study.root)
