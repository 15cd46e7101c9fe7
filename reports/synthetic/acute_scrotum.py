"""Acute scrotum, where Doppler images do not always tell, and drawn outlines tell too much.

The pictures are those of `reports.synthetic.torsion`, with what a study meets in life. In an
incomplete torsion some flow is left, and in a small healthy testis none may be found: a plane shows
no flow where a latent ischaemia, normal with mean `separation` in torsion and mean 0 without, seen
with the plane's own error, exceeds half the separation. So the AUC of whoever sees the flow without
error is known. The skin over the testis is the boy's own, by which his gray images can be
recognised. And who outlines a testis knows what was found, and draws a twisted one wider.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from scipy.special import ndtr
from scipy.stats import multinomial

from dl.data import ImageStudy
from dl.pairing import pair_images
from reports.synthetic.readings import TORSION as READERS
from reports.synthetic.scenes import (
    DYNAMIC_RANGE_DB,
    SIDE,
    SOURCE,
    Ellipse,
    Floats,
    Scene,
    SyntheticImages,
    deal,
    draw_patients,
    hide,
    save_scene,
)
from reports.synthetic.torsion import HALF_AXES, SIDES, VIEWS, draw_doppler, draw_testis

__all__ = ["ACUTE_SCROTUM", "AcuteScrotumLaw", "gray_for_doppler", "without_colour"]

#: Deepest layer of the skin, and the layers' number, thickness (pixels) and brightness (dB).
SKIN_DEPTH, LAYERS, LAYER_PX, LAYER_DB = 15.0, 4, 0.9, 14.0
_NODES = 60


@dataclass(frozen=True, kw_only=True)
class AcuteScrotumLaw:
    """What is true of the boys.

    Attributes
    ----------
    share : float
        Of the boys who have a torsion.
    separation : float
        Mean latent ischaemia in torsion, in its standard deviations.
    plane_sd : float
        Error with which one plane shows it.
    missing_doppler : float
        Share of the planes of which no Doppler image was kept.
    wider : float
        By how much the half axes of a twisted testis are drawn too large.
    """

    share: float = 0.4
    separation: float = 3.2
    plane_sd: float = 0.5
    missing_doppler: float = 0.1
    wider: float = 0.09

    def best_auc(self, n_planes: int = 1) -> float:
        """AUC of whoever sees without error which of a boy's planes show flow.

        Examples
        --------
        >>> round(ACUTE_SCROTUM.best_auc(), 3), round(ACUTE_SCROTUM.best_auc(2), 3)
        (0.92, 0.952)
        """
        seen = [s for s in product(range(n_planes + 1), repeat=3) if sum(s) == n_planes]
        healthy, twisted = (self._chances(np.array(seen), label) for label in (0, 1))
        both = np.outer(twisted, healthy)
        return float((both * (0.5 + np.sign(both - both.T) / 2)).sum())

    def draw(
        self, folder: str | Path, *, n_patients: int, seed: int, prefix: str = "T"
    ) -> SyntheticImages:
        """Draw boys, two planes each, write their pictures and outlines, and pair them.

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
            One row a gray image, with its Doppler image and `mask`, the outline as it was drawn;
            the label is 1 for a torsion. The truth has the latent ischaemia, and whether the
            Doppler image of the plane shows flow.

        Raises
        ------
        ArgumentError
            Fewer than two patients with and two without a torsion.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home:
        ...     drawn = ACUTE_SCROTUM.draw(home, n_patients=10, seed=1)
        >>> drawn
        <synthetic images: n = 20 of 10 patients (0 6, 1 4)>
        """
        dealt, *boys = np.random.SeedSequence([seed, 0]).spawn(1 + n_patients)
        labels = deal(np.random.default_rng(dealt), n_patients, (1 - self.share, self.share))
        draw = partial(self._draw_boy, folder=Path(folder))
        files = draw_patients(draw, boys, labels, prefix=prefix)
        return hide(pair_images(files), ["ischaemia", "flow"], folder)

    def readings(
        self, truth: pd.DataFrame, network: pd.Series[float], *, seed: int
    ) -> pd.DataFrame:
        """What four experts and four juniors make of the boys, without and with a network.

        Parameters
        ----------
        truth : DataFrame
            Of `draw`.
        network : Series
            Probability of a torsion by patient: what aided readers are shown.
        seed : int

        Returns
        -------
        DataFrame
            Of `ReaderLaw.read`, and synthetic. What all readers see in a boy is his ischaemia.
        """
        boys = truth.drop_duplicates("patient_id")
        cases = pd.DataFrame(
            {
                "case": boys["patient_id"],
                "truth": boys["label"],
                "network": boys["patient_id"].map(network),
            }
        )
        beyond = (boys["ischaemia"] - self.separation * boys["label"]).to_numpy()
        return READERS.read(cases, common=beyond, seed=seed).assign(synthetic=True)

    def _chances(self, seen: NDArray[np.int64], label: int) -> Floats:
        """Of each (planes without flow, with flow, without Doppler), by the label."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        above = self.separation * (label - 0.5) + nodes
        none, some = ((1 - self.missing_doppler) * ndtr(x / self.plane_sd) for x in (above, -above))
        kinds = np.stack([none, some, np.full_like(none, self.missing_doppler)], axis=-1)
        chances = multinomial.pmf(seen[:, None], n=int(seen[0].sum()), p=kinds[None])
        return np.asarray(chances @ weights / weights.sum())

    def _draw_boy(
        self, source: np.random.SeedSequence, label: int, patient_id: str, folder: Path
    ) -> list[dict[str, Any]]:
        body, *planes = source.spawn(1 + len(VIEWS))
        rng = np.random.default_rng(body)
        ischaemia = float(self.separation * label + rng.normal())
        boy = {"patient_id": patient_id, "side": str(rng.choice(SIDES)), "label": label}
        skin = _skin(rng)
        rows = []
        for view, child in zip(VIEWS, planes, strict=True):
            own = np.random.default_rng(child)
            shown = ischaemia + self.plane_sd * float(own.normal())
            twisted = shown > self.separation / 2
            facts = boy | {"view": view, "ischaemia": ischaemia, "flow": not twisted}
            scenes = self._draw_plane(view, skin, own, label=label, twisted=twisted)
            kept = 1 + (own.random() >= self.missing_doppler)
            for modality, scene in list(scenes.items())[:kept]:
                name = f"{patient_id}_{view[:4]}_{modality[0]}"
                rows.append(save_scene(scene, folder, name) | facts | {"modality": modality})
        return rows

    def _draw_plane(
        self, view: str, skin: Floats, rng: np.random.Generator, *, label: int, twisted: bool
    ) -> dict[str, Scene]:
        """The gray and the Doppler image of a plane, under the outline as it is drawn."""
        outline = _outline(view, rng)
        gray = draw_testis(outline, rng).gray + 255 / DYNAMIC_RANGE_DB * skin
        pixels, _ = draw_doppler(outline, rng, twisted=twisted)
        factor = (1 + self.wider * label) * float(np.exp(rng.normal(0, 0.03)))
        rows, columns = outline.half_axes
        drawn = replace(outline, half_axes=(factor * rows, factor * columns))
        regions = (drawn.radius() < 1).astype(np.uint8)
        pictures = {"gray": np.clip(gray, 0, 255).astype(np.uint8), "doppler": pixels}
        return {name: Scene(gray=each, regions=regions) for name, each in pictures.items()}


#: As a good centre sees them.
ACUTE_SCROTUM = AcuteScrotumLaw()


def gray_for_doppler(study: ImageStudy, folder: str) -> ImageStudy:
    """The pairs as the published crop made them: the gray image stands in for its Doppler image.

    Parameters
    ----------
    study : ImageStudy
    folder : str
        Inside the study's root; gets copies, since no file may be both images of a pair.
    """
    return _doppler_from(study, "path", folder)


def without_colour(study: ImageStudy, folder: str) -> ImageStudy:
    """The pairs with Doppler images in gray, as the published reader opened them.

    Parameters
    ----------
    study : ImageStudy
    folder : str
        Inside the study's root; gets the gray Doppler images.
    """
    return _doppler_from(study, "doppler_path", folder)


def _doppler_from(study: ImageStudy, column: str, folder: str) -> ImageStudy:
    note = PngImagePlugin.PngInfo()
    note.add_text("Source", SOURCE)
    (study.root / folder).mkdir(exist_ok=True)
    paths = study.images[column]
    copies = (folder + "/" + study.images["image_id"] + ".png").where(paths.notna())
    for path, copy in zip(paths.dropna(), copies.dropna(), strict=True):
        with Image.open(study.root / path) as picture:
            picture.convert("L").convert("RGB").save(study.root / copy, pnginfo=note)
    return ImageStudy(images=study.images.assign(doppler_path=copies), root=study.root)


def _outline(view: str, rng: np.random.Generator) -> Ellipse:
    """A testis somewhere below the skin, of about the size of its plane."""
    down, right = rng.uniform(-2, 4), rng.uniform(-4, 4)
    rows, columns = np.array(HALF_AXES[view]) * np.exp(rng.normal(0, 0.06, 2))
    return Ellipse(
        centre=(36 + float(down), 34 + float(right)),
        half_axes=(float(rows), float(columns)),
        tilt=float(rng.normal(0, 0.12)),
    )


def _skin(rng: np.random.Generator) -> Floats:
    """A boy's layers of skin and his overall brightness, in decibels to be added."""
    rows = np.arange(SIDE)[:, None] + 0.08 * rng.normal() * np.arange(SIDE)[None, :]
    depths, levels = rng.uniform(1, SKIN_DEPTH, LAYERS), LAYER_DB * rng.choice([-1, 1], LAYERS)
    layers = [
        level * np.exp(-(((rows - depth) / LAYER_PX) ** 2) / 2)
        for depth, level in zip(depths, levels, strict=True)
    ]
    return np.asarray(np.sum(layers, axis=0) + rng.normal(0, 3))
