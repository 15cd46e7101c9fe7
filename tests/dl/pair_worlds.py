"""Pairs of a gray and a Doppler image whose outcome is the colour of the flow, and nothing gray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from dl.config import TrainConfig
from dl.data import ImageStudy
from tests.dl.worlds import SIDE, tiny_config

SMALL: dict[str, Any] = {
    "dim": 16,
    "heads": 2,
    "depth": 1,
    "channels": [4, 4, 8, 8, 16],
    "scales": [1.0],
}


def pair_config(**values: Any) -> TrainConfig:
    """Three folds and two epochs of a network of some ten thousand parameters."""
    settings = {
        "architecture": "dual_aspp",
        "options": SMALL | values.pop("options", {}),
        "epochs": 2,
        "lr": 0.01,
        "head_lr": 0.01,
        "flip_views": False,
    }
    return tiny_config(**(settings | values))


def pair_images_of(rng: np.random.Generator, *, event: bool) -> tuple[np.ndarray, ...]:
    """A gray image, a Doppler image of the same place and the outline of what it shows."""
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, axes = rng.uniform(20, 28, 2), rng.uniform(9, 13, 2)
    outline = ((y - centre[0]) / axes[0]) ** 2 + ((x - centre[1]) / axes[1]) ** 2 <= 1
    gray, under = (
        np.clip(90 * np.where(outline, 0.5, 1) * rng.gamma(9, 1 / 9, (SIDE, SIDE)), 0, 255)
        for _ in range(2)
    )
    doppler = np.repeat(under[..., None], 3, axis=2)
    flow = outline & (rng.random((SIDE, SIDE)) < 0.5)
    doppler[flow] = (220, 40, 0) if event else (0, 40, 220)
    return gray.astype(np.uint8), doppler.astype(np.uint8), outline


def write_pairs(root: Path, *, n: int = 18, seed: int = 1, prefix: str = "P") -> ImageStudy:
    """`n` patients with one or two pairs each; every second patient has the event."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for patient in range(n):
        for side in ("left", "right")[: 1 + patient % 2]:
            name = f"{prefix}{patient:02d}-{side}"
            files = {kind: f"{name}-{kind}.png" for kind in ("gray", "doppler", "mask")}
            pictures = pair_images_of(rng, event=bool(patient % 2))
            for path, picture in zip(files.values(), pictures, strict=True):
                Image.fromarray(picture).save(root / path)
            rows.append(
                {
                    "image_id": name,
                    "patient_id": f"{prefix}{patient:02d}",
                    "path": files["gray"],
                    "doppler_path": files["doppler"],
                    "mask": files["mask"],
                    "gate": files["mask"],
                    "label": patient % 2,
                }
            )
    return ImageStudy(images=pd.DataFrame(rows), root=root)
