"""Masks out of a trained network: probabilities as pictures, and Dice of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dl._training.targets import MISSING
from dl.data import ImageStudy
from dl.images import read_image
from dl.inference import mask_logits
from usstats import dice

__all__ = ["mask_frame", "mask_logits", "mask_path", "read_probability", "write_masks"]

#: A pixel of this 8-bit probability or more belongs to the region.
INSIDE = 128


def mask_path(folder: Path, row: int) -> Path:
    """Where the mask of an image is written, by its row in the study."""
    return folder / f"{row:06d}.png"


def write_masks(folder: Path, rows: NDArray[np.int64], logit: Tensor) -> None:
    """Write 8-bit pictures at the network's size: the probability of the region, 255 being 1, or
    the most probable of several classes."""
    folder.mkdir(parents=True, exist_ok=True)
    levels = (logit[:, 0].sigmoid() * 255).round() if logit.shape[1] == 1 else logit.argmax(dim=1)
    for row, picture in zip(rows.tolist(), levels.to(torch.uint8).numpy(), strict=True):
        Image.fromarray(picture).save(mask_path(folder, row))


def read_probability(path: Path) -> NDArray[np.float64]:
    """A picture that `write_masks` wrote, as probabilities (size, size).

    Raises
    ------
    ImageError
        It is absent or damaged.
    """
    return read_image(path).astype(float) / 255


def mask_frame(
    study: ImageStudy,
    folder: Path,
    targets: NDArray[np.int8],
    *,
    model: str,
    role: str,
    fold: NDArray[np.int64] | None,
    model_hash: Sequence[str] | str,
    n_classes: int = 1,
) -> pd.DataFrame:
    """One row an image: the file of its mask, its area as a share of the square, and its Dice.

    The Dice coefficient is that of the pixels that show image, at the network's size, and missing
    where the study has no mask. Of several regions, one row an image and region, its number in
    the column `class`.
    """
    regions = range(1, max(n_classes, 2))
    found = [
        _measure(seen == region if n_classes > 1 else seen >= INSIDE, targets[row], region)
        for row in range(len(study))
        for seen in [read_image(mask_path(folder, row))]
        for region in regions
    ]
    folds = pd.array([pd.NA] * len(study) if fold is None else fold, dtype="Int64")
    table = pd.DataFrame(
        {
            "patient_id": study.images["patient_id"],
            "image_id": study.images["image_id"],
            "model": model,
            "fold": folds,
            "role": role,
            "mask_file": [mask_path(folder, row).name for row in range(len(study))],
            "model_hash": model_hash,
        }
    )
    table = table.loc[table.index.repeat(len(regions))].reset_index(drop=True)
    measures = pd.DataFrame(found, columns=["area", "dice"])
    if n_classes > 1:
        measures.insert(0, "class", list(regions) * len(study))
    return pd.concat([table.drop(columns="model_hash"), measures, table["model_hash"]], axis=1)


def _measure(
    inside: NDArray[np.bool_], target: NDArray[np.int8], region: int
) -> tuple[float, float]:
    if (target == MISSING).all():
        return float(inside.mean()), float("nan")
    seen = inside & (target != MISSING)
    return float(seen.mean()), dice(seen, target == region)
