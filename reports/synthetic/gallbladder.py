"""Gallbladders of infants with jaundice: on the screen, on telephones' photos of it, and as read.

How abnormal a gallbladder looks follows a latent severity: normal with mean `separation` in biliary
atresia and mean 0 in other jaundice. A severe one is short and crooked, has lost its bright smooth
lining, and holds no bile to speak of. Every image shows the severity with an error of its own, so
the AUC of whoever reads it without further error is known. A second hospital has another machine
and another share of biliary atresia. Readers see the same severity, each with errors of his own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from scipy.special import expit, ndtr

from dl.data import ImageStudy
from dl.images import read_image
from dl.photo import photograph
from reports.synthetic.readings import ReaderGroup, ReaderLaw
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

__all__ = [
    "GALLBLADDER",
    "HOME",
    "READERS",
    "SECOND",
    "Abdomen",
    "GallbladderLaw",
    "Hospital",
    "draw_abdomen",
    "photographed",
]

LIVER, BILE, LINING, VESSEL, GAS = -25.0, -50.0, -9.0, -44.0, -5.0
SPACING_MM = 0.6
#: Orders of the bends of an outline, in bends a turn.
BENDS = (3, 4, 5, 7)
#: Of the photos' random numbers, apart from those of the pictures.
_PHOTOS = 1


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """A machine, its settings, and who is sent there.

    Attributes
    ----------
    prevalence : float
        Of biliary atresia among the infants examined.
    gain_db, gain_sd_db : float
        Mean brightness and its spread from image to image.
    slope_db : float
        Brightness lost from the top to the bottom.
    speckle_px : float
    """

    prevalence: float
    gain_db: float
    gain_sd_db: float
    slope_db: float
    speckle_px: float


HOME = Hospital(prevalence=0.3, gain_db=0.0, gain_sd_db=1.5, slope_db=4.0, speckle_px=0.6)
SECOND = Hospital(prevalence=0.45, gain_db=4.0, gain_sd_db=2.5, slope_db=9.0, speckle_px=0.9)

#: Six experts and eight juniors, who trust the network more.
READERS = ReaderLaw(
    n_event=60,
    n_nonevent=60,
    network_auc=0.9,
    reader_sd=0.25,
    groups=MappingProxyType(
        {
            "expert": ReaderGroup(size=6, auc=0.89, trust=0.25, seconds=30, quicker=0.95),
            "junior": ReaderGroup(size=8, auc=0.78, trust=0.45, seconds=50, quicker=0.8),
        }
    ),
)


@dataclass(frozen=True, kw_only=True)
class GallbladderLaw:
    """What is true of the infants.

    Attributes
    ----------
    separation : float
        Mean latent severity in biliary atresia, in its standard deviations.
    image_sd : float
        Error with which one image shows it.
    images : tuple of int
        Fewest and most images an infant.
    """

    separation: float = 2.4
    image_sd: float = 0.7
    images: tuple[int, int] = (2, 4)

    def best_auc(self, n_images: int = 1) -> float:
        """AUC of whoever reads the severity off `n_images` images of an infant without error.

        Examples
        --------
        >>> round(GALLBLADDER.best_auc(), 3), round(GALLBLADDER.best_auc(3), 3)
        (0.918, 0.942)
        """
        error = self.image_sd**2 / n_images
        return float(ndtr(self.separation / math.sqrt(2 * (1 + error))))

    def draw(
        self,
        folder: str | Path,
        *,
        n_patients: int,
        seed: int,
        hospital: Hospital = HOME,
        prefix: str = "G",
    ) -> SyntheticImages:
        """Draw infants and write their pictures and masks under `folder`.

        Parameters
        ----------
        folder : path
        n_patients : int
        seed : int
            Decides every number and pixel.
        hospital : Hospital
        prefix : str
            Of the patient ids; other cohorts take another.

        Returns
        -------
        SyntheticImages
            Label 1 is biliary atresia. The truth has the latent severity and what the image shows.

        Raises
        ------
        ArgumentError
            Fewer than two patients a class.
        """
        dealt, *bodies = np.random.SeedSequence([seed, 0]).spawn(1 + n_patients)
        shares = (1 - hospital.prevalence, hospital.prevalence)
        labels = deal(np.random.default_rng(dealt), n_patients, shares)
        draw = partial(self._draw_patient, hospital=hospital, folder=Path(folder))
        table = draw_patients(draw, bodies, labels, prefix=prefix)
        return hide(table, ["severity", "shown"], folder)

    def readings(
        self, truth: pd.DataFrame, network: pd.Series[float], *, seed: int, aided: bool = True
    ) -> pd.DataFrame:
        """What fourteen readers make of the infants of `draw`, without and with a network.

        Parameters
        ----------
        truth : DataFrame
            patient_id, label and severity.
        network : Series
            Probability of biliary atresia by patient: what aided readers are shown.
        seed : int
        aided : bool

        Returns
        -------
        DataFrame
            Of `READERS.read`, and synthetic.
        """
        infants = truth.drop_duplicates("patient_id")
        cases = pd.DataFrame(
            {
                "case": infants["patient_id"],
                "truth": infants["label"],
                "network": infants["patient_id"].map(network),
            }
        )
        beyond = (infants["severity"] - self.separation * infants["label"]).to_numpy()
        read = READERS.read(cases, common=beyond, seed=seed, aided=aided)
        return read.assign(synthetic=True)

    def _draw_patient(
        self,
        source: np.random.SeedSequence,
        label: int,
        patient_id: str,
        hospital: Hospital,
        folder: Path,
    ) -> list[dict[str, Any]]:
        body, *images = source.spawn(1 + self.images[1])
        rng = np.random.default_rng(body)
        severity = float(self.separation * label + rng.normal())
        n = int(rng.integers(self.images[0], self.images[1] + 1))
        abdomen = draw_abdomen(rng)
        rows = []
        for i, child in enumerate(images[:n], start=1):
            own = np.random.default_rng(child)
            shown = float(severity + self.image_sd * own.normal())
            scene = abdomen.image(expit(1.5 * (shown - self.separation / 2)), hospital, own)
            known = {"patient_id": patient_id, "label": label, "pixel_spacing_mm": SPACING_MM}
            cells = save_scene(scene, folder, f"{patient_id}_{i}") | known
            rows.append(cells | {"severity": severity, "shown": shown})
        return rows


GALLBLADDER = GallbladderLaw()


@dataclass(frozen=True, kw_only=True, eq=False)
class Abdomen:
    """One infant's gallbladder and what lies around it.

    Attributes
    ----------
    outline : Ellipse
        Of a healthy gallbladder of this infant; its second axis is the long one.
    bends : (len(BENDS), 2) float
        Amplitude and phase of each bend, for an outline that is all crooked.
    tissue : (SIDE, SIDE) float
        Level of liver, vessel and gas.
    """

    outline: Ellipse
    bends: Floats
    tissue: Floats

    def image(self, abnormality: float, hospital: Hospital, rng: np.random.Generator) -> Scene:
        """A picture; an `abnormality` of 0 is a healthy gallbladder, near 1 hardly any is left."""
        radius = self._radius(abnormality, float(rng.normal(0, 0.06)))
        lumen = BILE + 8 * abnormality + 12 * abnormality**8
        share = expit((1 - radius) / (0.06 + 0.05 * abnormality))
        level = self.tissue + share * (lumen - self.tissue)
        lining = (1 - abnormality) * np.exp(-(((radius - 1.05) / 0.11) ** 2))
        level = level + lining * (LINING - level)
        depth = np.mgrid[:SIDE, :SIDE][0] / SIDE
        gain = hospital.gain_db + hospital.gain_sd_db * float(rng.normal())
        level = level + gain - hospital.slope_db * (depth - 0.4)
        gray = compress(level + speckle(rng, hospital.speckle_px))
        return Scene(gray=gray, regions=(radius < 1.2).astype(np.uint8))

    def _radius(self, abnormality: float, turn: float) -> Floats:
        """1 on the outline, which shrinks and bends as the gallbladder gets more abnormal."""
        down, right = self.outline.turned(turn).local()
        down, right = down / (1 - 0.2 * abnormality), right / (1 - 0.25 * abnormality)
        angle = np.arctan2(down, right)
        crooked = sum(
            amplitude * np.cos(order * angle + phase)
            for order, (amplitude, phase) in zip(BENDS, self.bends, strict=True)
        )
        return np.asarray(np.hypot(down, right) / (1 + (0.15 + abnormality) * crooked))


def draw_abdomen(rng: np.random.Generator) -> Abdomen:
    """One infant: where the gallbladder lies, how large it was meant to be, what surrounds it."""
    middle = 27 + float(rng.uniform(-4, 4)), 32 + float(rng.uniform(-5, 5))
    outline = Ellipse(
        centre=middle,
        half_axes=(
            7.0 * float(np.exp(rng.normal(0, 0.2))),
            17.0 * float(np.exp(rng.normal(0, 0.18))),
        ),
        tilt=float(rng.normal(0.15, 0.2)),
    )
    amplitude = rng.uniform(0.5, 1.0, len(BENDS)) * np.array([0.14, 0.12, 0.10, 0.06])
    phase = rng.uniform(0, 2 * math.pi, len(BENDS))
    return Abdomen(
        outline=outline, bends=np.stack([amplitude, phase], axis=1), tissue=_surroundings(rng)
    )


def photographed(
    screens: SyntheticImages, folder: str | Path, *, seed: int, strength: float = 1.0
) -> SyntheticImages:
    """The same images as photos that a telephone took of the screen.

    Parameters
    ----------
    screens : SyntheticImages
    folder : path
        Gets photos/IMAGE_ID.png.
    seed : int
    strength : float
        How bad a photo may be, from 0 to 1 (`dl.photo.photograph`).

    Returns
    -------
    SyntheticImages
        In colour, the same ids, no masks: nobody outlines on a photo.
    """
    target, study = Path(folder), screens.study
    (target / "photos").mkdir(parents=True, exist_ok=True)
    children = np.random.SeedSequence([seed, _PHOTOS]).spawn(len(study))
    paths = [f"photos/{name}.png" for name in study.images["image_id"]]
    for row, (child, path) in enumerate(zip(children, paths, strict=True)):
        screen = read_image(study.file(row))
        photo = photograph(screen, np.random.default_rng(child), strength=strength)
        _save(photo, target / path)
    images = study.images.drop(columns=["mask", "pixel_spacing_mm"]).assign(path=paths)
    return SyntheticImages(study=ImageStudy(images=images, root=target), truth=screens.truth)


def _save(photo: NDArray[np.uint8], path: Path) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("Source", SOURCE)
    Image.fromarray(photo).save(path, pnginfo=note)


def _surroundings(rng: np.random.Generator) -> Floats:
    """Liver, a vessel as dark as bile below the gallbladder, and gas with its shadow aside."""
    liver = LIVER + 2.5 * smooth_field(rng, 4) + 2.0 * smooth_field(rng, 10)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    course = 50 + float(rng.uniform(-4, 6)) + float(rng.normal(0, 0.15)) * (columns - SIDE / 2)
    width = 2.0 + float(rng.uniform(0, 1.8))
    level = liver + (VESSEL - liver) * np.exp(-(((rows - course) / width) ** 4))
    side = float(rng.choice([4, SIDE - 5]))
    gas = Ellipse(centre=(38 + float(rng.uniform(-6, 8)), side), half_axes=(2.2, 6.5)).radius()
    behind = expit((rows - 42) / 3) * np.exp(-(((columns - side) / 6) ** 4))
    return np.asarray(level - 9 * behind + (GAS - level) * expit((1 - gas) / 0.15))
