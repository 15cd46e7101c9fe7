"""Four-chamber views of fetal hearts with a gap in the septum between the ventricles, or without.

How open the septum looks follows a latent opening: normal with mean `separation` in fetuses with a
septal defect and mean 0 in the others, whose septum also drops out now and then. Every image shows
it with an error of its own. So the AUC of whoever reads the opening without error is known, and
so is that of experts who read it with theirs. The outlines of both ventricles are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

from dl.data import ImageStudy
from reports.synthetic.scenes import (
    Ellipse,
    Floats,
    Scene,
    SyntheticImages,
    compress,
    deal,
    draw_patients,
    save_scene,
    smooth_field,
    speckle,
)

__all__ = ["FETAL_HEART", "REGIONS", "FetalHeartLaw", "Heart", "draw_heart"]

#: Levels of the label maps.
REGIONS = {1: "left ventricle", 2: "right ventricle"}
PREVALENCE = 0.4
#: A heart of 25 mm, as at 22 weeks, fills most of the picture.
SPACING_MM = 0.5
BLOOD, MUSCLE, LUNG, RIB, FLUID = -46.0, -15.0, -34.0, -8.0, -44.0
#: Centres and half axes of the chambers, along the septum (apex first) and across it, as shares of
#: the heart's half axes: left and right ventricle, left and right atrium.
CHAMBERS = (
    ((-0.28, -0.42), (0.47, 0.32)),
    ((-0.20, 0.43), (0.43, 0.34)),
    ((0.54, -0.38), (0.27, 0.33)),
    ((0.54, 0.40), (0.28, 0.33)),
)
#: The gap lies in the septum between the ventricles; half axes along and across it.
GAP_CENTRE, GAP_HALF_AXES = -0.05, (0.30, 0.24)


@dataclass(frozen=True, kw_only=True)
class FetalHeartLaw:
    """What is true of the hearts and of the experts.

    Attributes
    ----------
    separation : float
        Mean latent opening of hearts with a defect, in its standard deviations.
    image_sd : float
        Error with which one image shows it.
    expert_sd : tuple of float
        Error with which each expert reads it.
    images : tuple of int
        Fewest and most images a patient.
    unlabelled, unmasked : float
        Shares of patients whose outcome is unknown, and of images nobody outlined.
    """

    separation: float = 2.0
    image_sd: float = 0.5
    expert_sd: tuple[float, ...] = (0.5, 0.7, 0.9, 1.1)
    images: tuple[int, int] = (2, 4)
    unlabelled: float = 0.1
    unmasked: float = 0.3

    def best_auc(self, n_images: int = 1) -> float:
        """AUC of whoever reads the opening off `n_images` images of a patient without error.

        Examples
        --------
        >>> round(FETAL_HEART.best_auc(), 3), round(FETAL_HEART.best_auc(3), 3)
        (0.897, 0.913)
        """
        return self._auc(self.image_sd / np.sqrt(n_images))

    def expert_auc(self) -> dict[str, float]:
        """AUC of each expert.

        Examples
        --------
        >>> {name: round(auc, 2) for name, auc in FETAL_HEART.expert_auc().items()}
        {'E1': 0.9, 'E2': 0.88, 'E3': 0.85, 'E4': 0.83}
        """
        return {f"E{i}": self._auc(sd) for i, sd in enumerate(self.expert_sd, start=1)}

    def draw(
        self, folder: str | Path, *, n_patients: int, seed: int, prefix: str = "F"
    ) -> SyntheticImages:
        """Draw patients and write their pictures and label maps under `folder`.

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
            Label 1 is a septal defect; it is missing in some patients, and the mask in some
            images. The truth has the label of all, the latent opening, and what the image shows.

        Raises
        ------
        ArgumentError
            Fewer than two patients a class.
        """
        dealt, *bodies = np.random.SeedSequence([seed, 0]).spawn(1 + n_patients)
        rng = np.random.default_rng(dealt)
        labels = deal(rng, n_patients, (1 - PREVALENCE, PREVALENCE))
        draw = partial(self._draw_patient, folder=Path(folder))
        table = draw_patients(draw, bodies, labels, prefix=prefix)
        hidden = ["opening", "shown"]
        known = rng.random(n_patients) >= self.unlabelled
        outlined = rng.random(len(table)) >= self.unmasked
        label = table["label"].astype("Int64").where(known[pd.factorize(table["patient_id"])[0]])
        seen = table.drop(columns=hidden).assign(label=label, mask=table["mask"].where(outlined))
        return SyntheticImages(
            study=ImageStudy(images=seen, root=Path(folder)),
            truth=table[["image_id", "patient_id", "label", *hidden]],
        )

    def readings(self, truth: pd.DataFrame, *, seed: int) -> pd.DataFrame:
        """What the experts make of the patients of `draw`.

        Parameters
        ----------
        truth : DataFrame
            patient_id, label and opening.
        seed : int

        Returns
        -------
        DataFrame
            Columns of readings.csv (reader, case, condition, rating 0-100, experience), and truth
            and synthetic.
        """
        rng = np.random.default_rng([seed, 1])
        patients = truth.drop_duplicates("patient_id")
        parts = []
        for reader, sd in zip(self.expert_auc(), self.expert_sd, strict=True):
            strict = self.separation / 2 + 0.2 * rng.normal()
            seen = patients["opening"] + sd * rng.normal(size=len(patients)) - strict
            cells = {"reader": reader, "case": patients["patient_id"], "condition": "unaided"}
            cells |= {"rating": np.round(100 * ndtr(seen)).astype(int), "experience": "expert"}
            parts.append(pd.DataFrame(cells | {"truth": patients["label"], "synthetic": True}))
        return pd.concat(parts, ignore_index=True)

    def _auc(self, error_sd: float) -> float:
        return float(ndtr(self.separation / np.sqrt(2 * (1 + error_sd**2))))

    def _draw_patient(
        self, source: np.random.SeedSequence, label: int, patient_id: str, folder: Path
    ) -> list[dict[str, Any]]:
        body, *images = source.spawn(1 + self.images[1])
        rng = np.random.default_rng(body)
        opening = float(self.separation * label + rng.normal())
        n = int(rng.integers(self.images[0], self.images[1] + 1))
        heart = draw_heart(rng)
        rows = []
        for i, child in enumerate(images[:n], start=1):
            own = np.random.default_rng(child)
            shown = float(opening + self.image_sd * own.normal())
            scene = heart.image(expit(1.5 * (shown - self.separation / 2)), own)
            known = {"patient_id": patient_id, "label": label, "pixel_spacing_mm": SPACING_MM}
            cells = save_scene(scene, folder, f"{patient_id}_{i}") | known
            rows.append(cells | {"opening": opening, "shown": shown})
        return rows


FETAL_HEART = FetalHeartLaw()


@dataclass(frozen=True, kw_only=True, eq=False)
class Heart:
    """One fetus' thorax and heart; every image has its own speckle, gain and slight turn.

    Attributes
    ----------
    outline : Ellipse
        Of the heart; its first axis is the septum, apex first.
    chambers : tuple of Ellipse
        Left and right ventricle, left and right atrium, in the heart's coordinates.
    tissue, muscle : (SIDE, SIDE) float
        Levels around the heart and of its wall.
    """

    outline: Ellipse
    chambers: tuple[Ellipse, ...]
    tissue: Floats
    muscle: Floats

    def image(self, openness: float, rng: np.random.Generator) -> Scene:
        """A picture; an `openness` of 1 is a septum that is not there, 0 a closed one."""
        outline = self.outline.turned(float(rng.normal(0, 0.04)))
        along, across = outline.local()
        level = _blend(self.tissue, self.muscle, np.hypot(along, across), 0.05)
        radii = [_radius(along, across, chamber) for chamber in self.chambers]
        for radius in radii:
            level = _blend(level, BLOOD, radius, 0.10)
        gap = _radius(along, across, Ellipse(centre=(GAP_CENTRE, 0.0), half_axes=GAP_HALF_AXES))
        level = level + openness * (_blend(level, BLOOD, gap, 0.10) - level)
        regions = np.select([radius < 1 for radius in radii[:2]], list(REGIONS), 0)
        gray = compress(level + float(rng.normal(0, 1.5)) + speckle(rng))
        return Scene(gray=gray, regions=regions.astype(np.uint8))


def draw_heart(rng: np.random.Generator) -> Heart:
    """One fetus: where its heart lies, how large its chambers are, what surrounds it."""
    outline = Ellipse(
        centre=(32 + float(rng.uniform(-3, 3)), 32 + float(rng.uniform(-3, 3))),
        half_axes=(
            25 * float(np.exp(rng.normal(0, 0.05))),
            20 * float(np.exp(rng.normal(0, 0.06))),
        ),
        tilt=float(rng.normal(0, 0.2)),
    )
    chambers = tuple(
        Ellipse(
            centre=(row + float(rng.normal(0, 0.02)), column),
            half_axes=(height * _about_one(rng, 0.06), width),
        )
        for (row, column), (height, width) in CHAMBERS
    )
    thorax = Ellipse(centre=outline.centre, half_axes=(31, 31)).radius()
    lungs = LUNG + 3 * smooth_field(rng, 4)
    tissue = _blend(FLUID + 2 * smooth_field(rng, 6), lungs, thorax, 0.02)
    ribs = expit((smooth_field(rng, 7) - 0.3) / 0.2) * np.exp(-(((thorax - 1) / 0.06) ** 2))
    muscle = MUSCLE + 1.5 * smooth_field(rng, 3)
    return Heart(
        outline=outline, chambers=chambers, tissue=tissue + (RIB - LUNG) * ribs, muscle=muscle
    )


def _about_one(rng: np.random.Generator, spread: float) -> float:
    return float(np.exp(rng.normal(0, spread)))


def _radius(along: Floats, across: Floats, part: Ellipse) -> Floats:
    """Normalised radius about a part that is given in the heart's coordinates."""
    rows = (along - part.centre[0]) / part.half_axes[0]
    columns = (across - part.centre[1]) / part.half_axes[1]
    return np.asarray(np.hypot(rows, columns))


def _blend(outside: Floats, inside: Floats | float, radius: Floats, softness: float) -> Floats:
    share = expit((1 - radius) / softness)
    return np.asarray(outside * (1 - share) + inside * share)
