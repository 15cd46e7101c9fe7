"""Tumours of the skin that look like one of three kinds, and mostly are what they look like.

A lipoma is flat and striated like the fat around it; an epidermal cyst is round and dark with
brighter tissue behind it; a pilomatricoma holds clumps of calcium that cast a shadow. A tumour
looks like its class with probability `typical`, else like another. Nobody who sees pictures only
can know which, so that the best possible AUC is known and lies below one: whoever does better has
met the patient before. A caliper mark is drawn by chance alone; it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from reports.synthetic.scenes import (
    SIDE,
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

__all__ = ["SKIN", "SKIN_CLASSES", "SkinLaw", "draw_tumour"]

SKIN_CLASSES = ("lipoma", "epidermal cyst", "pilomatricoma")
SHARES = (0.40, 0.35, 0.25)
FAT, DERMIS, EPIDERMIS, CALCIUM = -30.0, -17.0, -6.0, -4.0
#: Half axes (rows, columns) of the outlines, by look.
HALF_AXES = ((8.0, 19.0), (12.5, 13.0), (10.0, 11.5))
#: Largest half axis, which leaves a margin for the movement of the probe.
LARGEST = 26.0
MARK_RATE = 0.4


@dataclass(frozen=True, kw_only=True)
class SkinLaw:
    """What is true of the tumours.

    Attributes
    ----------
    typical : float
        Probability that a tumour looks like its class; the other looks share the rest.
    images : tuple of int
        Fewest and most images a patient.
    """

    typical: float = 0.8
    images: tuple[int, int] = (2, 4)

    def looks(self) -> Floats:
        """Probability of each look (column) given the class (row)."""
        n = len(SKIN_CLASSES)
        other = (1 - self.typical) / (n - 1)
        return np.where(np.eye(n, dtype=bool), self.typical, other)

    def best_auc(self) -> Mapping[str, float]:
        """One-vs-rest AUC of each class for whoever sees every look without error; and "macro".

        Examples
        --------
        >>> round(SKIN.best_auc()["macro"], 3)
        0.855
        """
        joint = np.array(SHARES)[:, None] * self.looks()
        posterior = joint / joint.sum(axis=0)
        areas = {}
        for k, name in enumerate(SKIN_CLASSES):
            event = joint[k] / joint[k].sum()
            others = np.delete(joint, k, axis=0).sum(axis=0)
            others = others / others.sum()
            higher = np.sign(posterior[k][:, None] - posterior[k][None, :])
            areas[name] = float(event @ (0.5 + 0.5 * higher) @ others)
        return areas | {"macro": float(np.mean(list(areas.values())))}

    def draw(
        self, folder: str | Path, *, n_patients: int, seed: int, prefix: str = "T"
    ) -> SyntheticImages:
        """Draw patients and write their pictures and masks under `folder`.

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
            Labels are names of `SKIN_CLASSES`; the truth has look and mark.

        Raises
        ------
        ArgumentError
            Fewer than two patients a class.
        """
        dealt, *children = np.random.SeedSequence(seed).spawn(1 + n_patients)
        classes = deal(np.random.default_rng(dealt), n_patients, SHARES)
        draw = partial(self._draw_patient, folder=Path(folder))
        table = draw_patients(draw, children, classes, prefix=prefix)
        return hide(table, ["look", "mark"], folder)

    def _draw_patient(
        self, source: np.random.SeedSequence, kind: int, patient_id: str, folder: Path
    ) -> list[dict[str, Any]]:
        body, *images = source.spawn(1 + self.images[1])
        rng = np.random.default_rng(body)
        look = int(rng.choice(len(SKIN_CLASSES), p=self.looks()[kind]))
        n = int(rng.integers(self.images[0], self.images[1] + 1))
        tumour = draw_tumour(look, rng)
        rows = []
        for i, child in enumerate(images[:n]):
            own = np.random.default_rng(child)
            mark = bool(own.random() < MARK_RATE)
            cells = save_scene(tumour.image(own, mark=mark), folder, f"{patient_id}_{i + 1}")
            known = {"patient_id": patient_id, "label": SKIN_CLASSES[kind], "pixel_spacing_mm": 0.4}
            rows.append(cells | known | {"look": SKIN_CLASSES[look], "mark": mark})
        return rows


SKIN = SkinLaw()


@dataclass(frozen=True, kw_only=True, eq=False)
class Tumour:
    """One patient's tumour and the tissue around it; every image of it has its own speckle."""

    look: int
    outline: Ellipse
    tissue: Floats
    inside: Floats
    behind: float

    def image(self, rng: np.random.Generator, *, mark: bool) -> Scene:
        """A picture with its own speckle, gain and slight movement of the probe."""
        level = _blend(self.tissue + self._shadow(), self.inside, self.outline.radius())
        level = level + _wall(self.outline.radius(), self.look) + rng.normal(0, 1.5)
        move = int(rng.integers(-2, 3))
        level, region = (np.roll(part, move, axis=1) for part in (level, self.outline.radius() < 1))
        gray = compress(level + speckle(rng))
        return Scene(gray=_marked(gray, rng) if mark else gray, regions=region.astype(np.uint8))

    def _shadow(self) -> Floats:
        """Brighter behind fluid, darker behind calcium, from the middle of the tumour down."""
        along, across = self.outline.local()
        return self.behind * expit((along - 0.4) / 0.15) * np.exp(-((across / 0.75) ** 4))


def draw_tumour(look: int, rng: np.random.Generator) -> Tumour:
    """One patient's tumour.

    Parameters
    ----------
    look : int
        Position in `SKIN_CLASSES`.
    rng : Generator
    """
    rows = np.mgrid[:SIDE, :SIDE][0].astype(float)
    height, width = np.clip(HALF_AXES[look] * np.exp(rng.normal(0, 0.12, 2)), 5, LARGEST)
    aside = float(np.clip(rng.normal(0, 4), width - LARGEST, LARGEST - width))
    outline = Ellipse(
        centre=(32 + float(np.clip(rng.normal(0, 2.5), -5, 5)), SIDE / 2 + aside),
        half_axes=(float(height), float(width)),
        tilt=float(np.clip(rng.normal(0, 0.08), -0.2, 0.2)),
    )
    return Tumour(
        look=look,
        outline=outline,
        tissue=_skin(rows, rng),
        inside=_interior(look, rows, rng),
        behind=(0.0, 7.0, -11.0)[look] * float(np.exp(rng.normal(0, 0.2))),
    )


def _skin(rows: Floats, rng: np.random.Generator) -> Floats:
    """Epidermis, dermis, fat with septa, and the fascia below: a pattern of this patient."""
    edge = 13 + rng.normal(0, 1.5) + 0.8 * smooth_field(rng, 9)
    septa = 5 * np.exp(-((np.sin(rows / 3.1 + 1.6 * smooth_field(rng, 8)) / 0.35) ** 2))
    fat = FAT + septa + 2.5 * smooth_field(rng, 5)
    dermis = DERMIS + 2.0 * smooth_field(rng, 3)
    level = dermis + (fat - dermis) * expit((rows - edge) / 0.8)
    skin = (EPIDERMIS - DERMIS) * np.exp(-(((rows - 4) / 1.6) ** 2))
    fascia = 14 * np.exp(-(((rows - 56 - rng.normal(0, 2) - smooth_field(rng, 12)) / 1.4) ** 2))
    return np.asarray(level + skin + fascia)


def _interior(look: int, rows: Floats, rng: np.random.Generator) -> Floats:
    grain = smooth_field(rng, 3)
    if look == 0:
        lines = np.exp(-((np.sin(rows / 1.9 + 0.5 * smooth_field(rng, 7)) / 0.4) ** 2))
        return np.asarray(FAT + 3 + 8 * lines + grain)
    if look == 1:
        return np.asarray(-40 + 1.5 * grain)
    clumps = expit((smooth_field(rng, 1.8) - 0.7) / 0.1)
    return np.asarray(-34 + grain + (CALCIUM + 34) * clumps)


def _blend(outside: Floats, inside: Floats, radius: Floats) -> Floats:
    share = expit((1 - radius) / 0.04)
    return np.asarray(outside * (1 - share) + inside * share)


def _wall(radius: Floats, look: int) -> Floats:
    """A thin capsule, brightest around a cyst."""
    return np.asarray((5.0, 14.0, 6.0)[look] * np.exp(-(((radius - 1) / 0.07) ** 2)))


def _marked(gray: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A caliper cross in a lower corner, where no tumour is."""
    shown = gray.copy()
    row, column = SIDE - 6, int(rng.choice([6, SIDE - 7]))
    shown[row - 2 : row + 3, column] = shown[row, column - 2 : column + 3] = 255
    return shown
