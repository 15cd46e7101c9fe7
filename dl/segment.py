"""Masks out of a trained network: probabilities as pictures, and Dice of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from dl.data import ImageStudy
from dl.images import read_image
from dl.inference import BATCH, as_input
from dl.targets import MISSING
from usstats import dice

__all__ = ["mask_frame", "mask_logits", "mask_path", "read_probability", "write_masks"]

#: A pixel of this 8-bit probability or more belongs to the region.
INSIDE = 128


@torch.no_grad()
def mask_logits(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
) -> Tensor:
    """Mean logits over an image and, with `flip`, its mirror image: (len(rows), K, H, W)."""
    network.eval()
    rows = np.asarray(rows, dtype=np.int64)
    parts = []
    for start in range(0, len(rows), BATCH):
        x = as_input(views[rows[start : start + BATCH], 0])
        y = _masks(network(x))
        if flip:
            y = (y + _masks(network(x.flip(-1))).flip(-1)) / 2
        parts.append(y)
    return torch.cat(parts)


def _masks(answer: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    return answer if isinstance(answer, Tensor) else answer[1]


def mask_path(folder: Path, row: int) -> Path:
    """Where the mask of an image is written, by its row in the study."""
    return folder / f"{row:06d}.png"


def write_masks(folder: Path, rows: NDArray[np.int64], logit: Tensor) -> None:
    """Write probabilities as 8-bit pictures at the network's size: 255 is 1."""
    folder.mkdir(parents=True, exist_ok=True)
    levels = (logit[:, 0].sigmoid() * 255).round().to(torch.uint8).numpy()
    for row, picture in zip(rows.tolist(), levels, strict=True):
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
) -> pd.DataFrame:
    """One row an image: the file of its mask, its area as a share of the square, and its Dice.

    The Dice coefficient is that of the pixels that show image, at the network's size, and missing
    where the study has no mask.
    """
    found = [
        _measure(read_probability(mask_path(folder, row)) * 255 >= INSIDE, targets[row])
        for row in range(len(study))
    ]
    folds = pd.array([pd.NA] * len(study) if fold is None else fold, dtype="Int64")
    return pd.DataFrame(
        {
            "patient_id": study.images["patient_id"],
            "image_id": study.images["image_id"],
            "model": model,
            "fold": folds,
            "role": role,
            "mask_file": [mask_path(folder, row).name for row in range(len(study))],
            "area": [area for area, _ in found],
            "dice": [overlap for _, overlap in found],
            "model_hash": model_hash,
        }
    )


def _measure(inside: NDArray[np.bool_], target: NDArray[np.int8]) -> tuple[float, float]:
    if (target == MISSING).all():
        return float(inside.mean()), float("nan")
    seen = inside & (target != MISSING)
    return float(seen.mean()), dice(seen, target == 1)
