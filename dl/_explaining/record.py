"""An evidence map with the image it lies on, and a study's maps as a table; it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats.plots.cam import CamPanel

__all__ = ["CamRecord", "SecondMap", "cam_frame"]

_COLUMNS = (
    "image_id",
    "patient_id",
    "fold",
    "method",
    "toward",
    "probability",
    "energy_in_mask",
    "pointing_hit",
    "chance",
    "iou",
    "iou_chance",
    "model_hash",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SecondMap:
    """The second image of a pair, and the evidence map over it.

    Attributes
    ----------
    image : (S, S) or (S, S, 3) uint8
    cam : (S, S) float32
        In the unit of the first image's map: the larger peak of the two is 1.
    mask : (S, S) bool or None
    """

    image: NDArray[np.uint8]
    cam: NDArray[np.float32]
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CamRecord:
    """One image as the network saw it, and the evidence map over it.

    Attributes
    ----------
    image_id, patient_id : str
    method : str
        One of `dl.cam.METHODS`.
    toward : str
        "event" or "non_event", or the class of several, that the map is evidence for. Methods
        that know no class name the one predicted.
    image : (S, S) or (S, S, 3) uint8
        The square shown to the network; of a pair, the gray image.
    cam : (S, S) float32
        Evidence for `toward`, 0 to 1.
    mask : (S, S) bool or None
        The lesion in the same square.
    energy_in_mask, chance, iou, iou_chance : float
        See `usstats.overlap.cam_overlap`; NaN without a mask.
    pointing_hit : bool or None
    second : SecondMap or None
        Of a pair whose Doppler image is there.
    fold : int or None
        Whose network it is: the one that never met the patient. None for other cohorts, whose
        map is the mean over all networks.
    logit, probability : float
        Of the event; of several classes, of `toward` against all others.
    model_hash : str
    """

    image_id: str
    patient_id: str
    method: str
    toward: str
    image: NDArray[np.uint8]
    cam: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    energy_in_mask: float
    pointing_hit: bool | None
    chance: float
    iou: float
    iou_chance: float
    second: SecondMap | None
    fold: int | None
    logit: float
    probability: float
    model_hash: str

    def panel(self, caption: str = "") -> CamPanel:
        """The record for `usstats.plots.cam.plot_cam_panels`.

        Parameters
        ----------
        caption : str
            For example the truth and the predicted probability.
        """
        pair = {} if self.second is None else vars(self.second)
        return CamPanel(
            image=self.image,
            cam=self.cam,
            mask=self.mask,
            caption=caption,
            **{f"second_{name}": value for name, value in pair.items()},
        )

    def __repr__(self) -> str:
        side = self.image.shape[0]
        where = "all folds" if self.fold is None else f"fold {self.fold}"
        return (
            f"<{self.method} {side} x {side} toward {self.toward} of the network of {where}: "
            f"probability {self.probability:.3f}, energy in mask {self.energy_in_mask:.3f} "
            f"(chance {self.chance:.3f}); unit: image>"
        )


def cam_frame(records: Sequence[CamRecord]) -> pd.DataFrame:
    """One row an image, without the pictures; `usstats.cam_report` takes it as it is.

    Columns image_id, patient_id, fold, method, toward, probability, energy_in_mask, pointing_hit,
    chance, iou, iou_chance and model_hash.
    """
    rows = [{name: getattr(record, name) for name in _COLUMNS} for record in records]
    return pd.DataFrame(rows, columns=list(_COLUMNS))
