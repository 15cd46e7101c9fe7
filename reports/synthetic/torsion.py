"""Torsion of the testis, which the gray image does not tell: only the flow inside the testis does.

Every testis is drawn once in gray scale and once in colour Doppler, in one or two planes. A twisted
testis has no flow inside; around it flow is as common, or more so, than around a healthy one, and
the sum of all colour on the picture is about the same. So a network must see the Doppler image of
the very testis, and look inside the outline. The echoes of the gray image have nothing to do with
torsion: whoever does better than chance on them has met the patient before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from scipy.special import expit

from dl.pairing import pair_images
from reports.synthetic.scenes import (
    SIDE,
    SOURCE,
    Ellipse,
    Floats,
    Scene,
    SyntheticImages,
    compress,
    deal,
    draw_patients,
    hide,
    save_scene,
    smooth_field,
    speckle,
)

__all__ = ["TORSION", "TorsionLaw", "draw_doppler", "draw_testis"]

VIEWS = ("longitudinal", "transverse")
SIDES = ("left", "right")
WALL, PARENCHYMA, FLUID = -14.0, -24.0, -50.0
#: Half axes (rows, columns) of the testis in each plane.
HALF_AXES = {"longitudinal": (13.0, 20.0), "transverse": (12.5, 13.5)}
#: Vessels drawn inside and around a testis, fewest and most: healthy, then twisted.
INSIDE = ((5, 9), (0, 0))
AROUND = ((3, 7), (8, 14))
#: left, top, right, bottom of the colour bar.
COLOUR_BAR = (1, 10, 4, 34)
WEAKEST_FLOW = 0.35


@dataclass(frozen=True, kw_only=True)
class TorsionLaw:
    """What is true of the testes.

    Attributes
    ----------
    share : float
        Of the patients who have a torsion.
    missing_doppler : float
        Share of the planes of which no Doppler image was kept.
    """

    share: float = 0.4
    missing_doppler: float = 0.0

    def draw(
        self, folder: str | Path, *, n_patients: int, seed: int, prefix: str = "S"
    ) -> SyntheticImages:
        """Draw patients, write their pictures and masks under `folder`, and pair them.

        Parameters
        ----------
        folder : path
        n_patients : int
        seed : int
            Decides every number and pixel.
        prefix : str
            Of the patient ids; other cohorts take another.

        Returns
        -------
        SyntheticImages
            One row a gray image, with its Doppler image; the label is 1 for a torsion, and the
            truth has the share of the testis that shows flow.

        Raises
        ------
        ArgumentError
            Fewer than two patients with and two without a torsion.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home:
        ...     drawn = TORSION.draw(home, n_patients=10, seed=1)
        >>> drawn
        <synthetic images: n = 13 of 10 patients (0 6, 1 4)>
        >>> drawn.truth.groupby("label")["flow_inside"].min().gt(0).tolist()
        [True, False]
        """
        table = self.draw_files(folder, n_patients=n_patients, seed=seed, prefix=prefix)
        return hide(pair_images(table), ["flow_inside"], folder)

    def draw_files(
        self, folder: str | Path, *, n_patients: int, seed: int, prefix: str = "S"
    ) -> pd.DataFrame:
        """As `draw`, but the table as a study has it: one row a file, with modality, side, view."""
        first, *children = np.random.SeedSequence(seed).spawn(n_patients + 1)
        twisted = deal(np.random.default_rng(first), n_patients, (1 - self.share, self.share))
        draw = partial(self._draw_patient, folder=Path(folder))
        return draw_patients(draw, children, twisted, prefix=prefix)

    def _draw_patient(
        self, source: np.random.SeedSequence, event: int, patient: str, folder: Path
    ) -> list[dict[str, Any]]:
        rng = np.random.default_rng(source)
        side = str(rng.choice(SIDES))
        rows = []
        for view in VIEWS[: int(rng.integers(1, 3))]:
            outline = _outline(view, rng)
            scene = draw_testis(outline, rng)
            pixels, inside = draw_doppler(outline, rng, twisted=bool(event))
            name = f"{patient}_{view[:4]}"
            row = {"patient_id": patient, "side": side, "view": view, "label": event}
            row |= {"flow_inside": inside}
            rows.append(save_scene(scene, folder, name) | row | {"modality": "gray"})
            if rng.random() >= self.missing_doppler:
                rows.append(_save_doppler(pixels, folder, f"{name}_cd") | row)
        return rows


#: The published setting: two fifths of acute scrota are twisted.
TORSION = TorsionLaw()


def _outline(view: str, rng: np.random.Generator) -> Ellipse:
    rows, columns = HALF_AXES[view]
    return Ellipse(
        centre=(34 + float(rng.uniform(-3, 3)), 34 + float(rng.uniform(-4, 4))),
        half_axes=(rows * float(rng.uniform(0.9, 1.1)), columns * float(rng.uniform(0.9, 1.1))),
        tilt=float(rng.normal(0, 0.12)),
    )


def draw_testis(outline: Ellipse, rng: np.random.Generator) -> Scene:
    """The gray image of a testis, healthy or twisted: wall, a film of fluid, parenchyma."""
    radius = outline.radius()
    wall = WALL + 3 * smooth_field(rng, 4)
    inside = PARENCHYMA + rng.normal(0, 2) + 1.5 * smooth_field(rng, 3)
    film = np.exp(-(((radius - 1.06) / 0.05) ** 2))
    share = expit((1 - radius) / 0.03)
    level = wall * (1 - share) + inside * share + (FLUID - wall) * film
    return Scene(gray=compress(level + speckle(rng)), regions=(radius < 1).astype(np.uint8))


def draw_doppler(
    outline: Ellipse, rng: np.random.Generator, *, twisted: bool
) -> tuple[NDArray[np.uint8], float]:
    """The Doppler image of the same testis, and the share of the testis that shows flow.

    Returns
    -------
    (64, 64, 3) uint8, float
    """
    velocity = np.zeros((SIDE, SIDE))
    counts = INSIDE[twisted], AROUND[twisted]
    for (fewest, most), (near, far) in zip(counts, ((0.0, 0.72), (1.28, 1.7)), strict=True):
        for _ in range(int(rng.integers(fewest, most + 1))):
            velocity += _vessel(outline, rng, near, far)
    radius = outline.radius()
    velocity[(radius > 0.9) & (radius < 1.12)] = 0
    flow = np.abs(velocity) >= WEAKEST_FLOW
    gray = draw_testis(outline, rng).gray
    pixels = np.where(flow[..., None], _colour(velocity), np.repeat(gray[..., None], 3, axis=2))
    inside = radius < 1
    return _with_bar(pixels.astype(np.uint8)), float((flow & inside).sum() / inside.sum())


def _vessel(outline: Ellipse, rng: np.random.Generator, near: float, far: float) -> Floats:
    """Signed velocity of a short vessel whose middle lies between two radii of the outline."""
    angle, turn = rng.uniform(0, 2 * math.pi, 2)
    distance = float(rng.uniform(near, far))
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    reach = np.array(outline.half_axes) * distance
    row = rows - outline.centre[0] - reach[0] * math.sin(angle)
    column = columns - outline.centre[1] - reach[1] * math.cos(angle)
    along = (row * math.sin(turn) + column * math.cos(turn)) / rng.uniform(2.0, 3.5)
    across = (column * math.sin(turn) - row * math.cos(turn)) / 1.3
    return np.asarray(rng.choice([-1, 1]) * np.exp(-(along**2) - across**2))


def _colour(velocity: Floats) -> Floats:
    """Red towards the probe, blue away from it; the faster, the paler."""
    speed = np.clip(np.abs(velocity), 0, 1)
    strong, pale = 110 + 145 * speed, 200 * np.clip(speed - 0.5, 0, 1)
    weak = np.zeros_like(speed)
    towards = np.stack([strong, pale, weak], axis=-1)
    away = np.stack([weak, pale, strong], axis=-1)
    return np.where((velocity > 0)[..., None], towards, away)


def _with_bar(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    left, top, right, bottom = COLOUR_BAR
    scale = np.linspace(1, -1, bottom - top)[:, None] * np.ones((1, right - left))
    pixels[top:bottom, left:right] = _colour(scale).astype(np.uint8)
    return pixels


def _save_doppler(pixels: NDArray[np.uint8], folder: Path, image_id: str) -> dict[str, Any]:
    note = PngImagePlugin.PngInfo()
    note.add_text("Source", SOURCE)
    path = f"images/{image_id}.png"
    Image.fromarray(pixels).save(folder / path, pnginfo=note)
    return {"image_id": image_id, "path": path, "modality": "doppler", "synthetic": True}
