"""What each image is trained for: its class, its mask, or both; it loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dl._reading.pictures import hashed
from dl.config import TrainConfig
from dl.data import ImageStudy
from dl.errors import MaskError
from dl.geometry import letterbox
from dl.images import read_image, read_mask, read_regions
from dl.prepare import Preparation, for_every_row
from dl.storage import atomic_path

__all__ = ["MISSING", "mask_classes", "mask_digests", "mask_targets", "task_labels"]

#: The label of an image, or of a pixel, that nobody gave.
MISSING = -1


def task_labels(
    study: ImageStudy, classes: Sequence[str] | None, tasks: Sequence[str]
) -> NDArray[np.int64]:
    """Class of every image; MISSING, beside a mask, where the study gives none.

    A network that only classifies needs them all; one that only segments looks at none.
    """
    if "classify" not in tasks:
        return np.full(len(study), MISSING)
    if "segment" not in tasks or "label" not in study.images:
        return study.labels(classes)
    there = study.images["label"].notna().to_numpy()
    codes = np.full(len(study), MISSING)
    known = study.images[there].assign(label=study.images["label"][there].infer_objects())
    codes[there] = ImageStudy(images=known, root=study.root).labels(classes)
    return codes


def mask_classes(config: TrainConfig) -> int:
    """Classes of a pixel: 1 for one region by itself, else the regions and the background."""
    return config.options.get("n_mask_classes") or 1


def mask_digests(study: ImageStudy) -> list[str | None]:
    """SHA-256 of every mask file; None where an image has none."""

    def one(row: int) -> str | None:
        mask = study.file(row, "mask")
        return None if mask is None else hashed(mask)

    return for_every_row(len(study), one)


def mask_targets(
    study: ImageStudy,
    preparation: Preparation,
    *,
    images: Sequence[str],
    cache_dir: Path,
    n_classes: int = 1,
) -> Path:
    """Array file of the masks as the network sees their images, (n, size, size) int8.

    1 inside, or the number of the region; 0 outside; MISSING where the square shows no image and
    for an image without a mask. Resampled by the nearest pixel, in the geometry of the image.

    Parameters
    ----------
    study : ImageStudy
    preparation : Preparation
    images : sequence of str
        SHA-256 of the image files.
    cache_dir : Path
    n_classes : int
        1: binary masks of one region. Several: label maps, the background being class 0.

    Raises
    ------
    ImageError
        Masks that cannot be used or are of another size than their image, by row.
    """
    digests = mask_digests(study)
    content = json.dumps([list(images), digests, asdict(preparation), n_classes], sort_keys=True)
    path = cache_dir / f"masks-{hashlib.sha256(content.encode()).hexdigest()[:24]}.npy"
    if not path.is_file():
        size = preparation.input_size
        squares = for_every_row(len(study), lambda row: _square(study, row, size, n_classes))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.stack(squares), allow_pickle=False)
    return path


def _square(study: ImageStudy, row: int, size: int, n_classes: int) -> NDArray[np.int8]:
    file = study.file(row, "mask")
    if file is None:
        return np.full((size, size), MISSING, dtype=np.int8)
    mask = read_mask(file) if n_classes == 1 else read_regions(file, n_classes)
    shape = read_image(study.file(row) or "").shape[:2]
    if mask.shape != shape:
        msg = (
            f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels and its image {shape[1]} x "
            f"{shape[0]}; a mask must be drawn on the image it belongs to"
        )
        raise MaskError(msg)
    visible = letterbox(np.ones(shape, dtype=bool), size)
    codes = sum(code * letterbox(mask == code, size) for code in range(1, max(n_classes, 2)))
    return np.where(visible, codes, MISSING).astype(np.int8)
