"""What small synthetic pictures share: outlines, tissue, speckle, and the tables beside them.

Levels are in decibels below the brightest echo; speckle is that of `reports.synthetic.texture`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from scipy.ndimage import gaussian_filter

from dl.data import ImageStudy
from usstats.errors import ArgumentError

__all__ = [
    "SIDE",
    "Ellipse",
    "Scene",
    "SyntheticImages",
    "compress",
    "deal",
    "save_scene",
    "smooth_field",
    "speckle",
]

Floats = NDArray[np.float64]
SIDE = 64
DYNAMIC_RANGE_DB = 55.0
SOURCE = "SYNTHETIC: drawn by usstats; no patient was examined"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture, and the region of every pixel (0 where there is none)."""

    gray: NDArray[np.uint8]
    regions: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, repr=False)
class SyntheticImages:
    """Drawn images as a study, and what no investigator knows of them.

    Attributes
    ----------
    study : ImageStudy
        Its table says `synthetic`.
    truth : DataFrame
        One row an image, in the study's order: image_id, patient_id, label and the hidden causes.
    """

    study: ImageStudy
    truth: pd.DataFrame

    def __repr__(self) -> str:
        patients = self.study.images["patient_id"].nunique()
        counts = self.truth.drop_duplicates("patient_id")["label"].value_counts(sort=False)
        listed = ", ".join(f"{name} {count}" for name, count in counts.sort_index().items())
        return f"<synthetic images: n = {len(self.study)} of {patients} patients ({listed})>"


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """An outline: centre and half axes in pixels (row, column), turned by `tilt` (radians)."""

    centre: tuple[float, float]
    half_axes: tuple[float, float]
    tilt: float = 0.0

    def local(self) -> tuple[Floats, Floats]:
        """Coordinates of every pixel along both axes, in half axes from the centre."""
        rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
        down, right = rows - self.centre[0], columns - self.centre[1]
        cosine, sine = math.cos(self.tilt), math.sin(self.tilt)
        along = (down * cosine - right * sine) / self.half_axes[0]
        across = (right * cosine + down * sine) / self.half_axes[1]
        return along, across

    def turned(self, angle: float) -> Ellipse:
        """The same about the same centre, turned further."""
        return replace(self, tilt=self.tilt + angle)

    def radius(self) -> Floats:
        """1 on the outline, less inside."""
        return np.hypot(*self.local())


def smooth_field(rng: np.random.Generator, scale_px: float) -> Floats:
    """A field of unit variance with this correlation length."""
    field = gaussian_filter(rng.standard_normal((SIDE, SIDE)), scale_px, mode="wrap")
    return np.asarray(field / field.std())


def speckle(rng: np.random.Generator, size_px: float = 0.6) -> Floats:
    """Two compounded looks at Rayleigh speckle, in decibels about a mean intensity of 0 dB."""
    noise = gaussian_filter(rng.standard_normal((4, SIDE, SIDE)), (0, size_px, 1.4 * size_px))
    intensity = np.square(noise).sum(axis=0)
    return np.asarray(10 * np.log10(intensity / intensity.mean() + 0.02))


def compress(level_db: Floats) -> NDArray[np.uint8]:
    """Decibels below the brightest echo as 8-bit gray."""
    return np.clip(255 * (level_db / DYNAMIC_RANGE_DB + 1), 0, 255).astype(np.uint8)


def deal(rng: np.random.Generator, n: int, shares: Sequence[float]) -> NDArray[np.int64]:
    """Classes of n patients in random order, each class with its share of them.

    Raises
    ------
    ArgumentError
        Fewer patients than two a class.

    Examples
    --------
    >>> np.bincount(deal(np.random.default_rng(1), 10, (0.5, 0.3, 0.2))).tolist()
    [5, 3, 2]
    """
    if n < 2 * len(shares):
        msg = f"{n} patients are too few for {len(shares)} classes; draw {2 * len(shares)} or more."
        raise ArgumentError(msg)
    edges = np.round(n * np.cumsum([0.0, *shares])).astype(int)
    return rng.permutation(np.repeat(np.arange(len(shares)), np.diff(edges)))


def draw_patients(
    draw: Callable[[np.random.SeedSequence, int, str], list[dict[str, Any]]],
    sources: Sequence[np.random.SeedSequence],
    classes: NDArray[np.int64],
    *,
    prefix: str,
) -> pd.DataFrame:
    """The rows that `draw` makes of every patient, from a source, a class and an id of his own."""
    return pd.DataFrame(
        row
        for i, (source, own) in enumerate(zip(sources, classes, strict=True), start=1)
        for row in draw(source, int(own), f"{prefix}{i:03d}")
    )


def hide(table: pd.DataFrame, hidden: Sequence[str], folder: str | Path) -> SyntheticImages:
    """What a study sees of a table, and the truth: its labels and the hidden columns."""
    return SyntheticImages(
        study=ImageStudy(images=table.drop(columns=list(hidden)), root=Path(folder)),
        truth=table[["image_id", "patient_id", "label", *hidden]],
    )


def save_scene(scene: Scene, folder: Path, image_id: str) -> dict[str, Any]:
    """Write picture and regions; return the cells of the images table that name them."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Source", SOURCE)
    for kind, pixels in (("images", scene.gray), ("masks", scene.regions)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{image_id}.png", pnginfo=note)
    path, mask = f"images/{image_id}.png", f"masks/{image_id}.png"
    return {"image_id": image_id, "path": path, "mask": mask, "synthetic": True}
