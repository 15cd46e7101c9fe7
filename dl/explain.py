"""Images beside what their out-of-fold network looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit

from dl.cam import GradCam, unit_map
from dl.data import ImageStudy
from dl.geometry import letterbox
from dl.images import read_image, read_mask
from dl.inference import as_input, logits, steady_torch
from dl.prepare import Preparation
from dl.run_folder import Run, open_run
from dl.train import START, epoch_seed
from usstats.errors import ArgumentError
from usstats.overlap import cam_overlap

__all__ = ["CamRecord", "cam_frame", "explain"]


@dataclass(frozen=True, kw_only=True, repr=False)
class CamRecord:
    """One image as the network saw it, and the evidence map over it.

    Attributes
    ----------
    image_id, patient_id : str
    image : (S, S) or (S, S, 3) uint8
        The square shown to the network.
    cam : (S, S) float32
        Evidence for the event, 0 to 1.
    mask : (S, S) bool or None
        The lesion in the same square.
    energy_in_mask, chance : float
        See `usstats.overlap.cam_overlap`; NaN without a mask.
    pointing_hit : bool or None
    fold : int or None
        Whose network it is: the one that never met the patient. None for other cohorts, whose
        map is the mean over all networks.
    logit, probability : float
    model_hash : str
    """

    image_id: str
    patient_id: str
    image: NDArray[np.uint8]
    cam: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    energy_in_mask: float
    pointing_hit: bool | None
    chance: float
    fold: int | None
    logit: float
    probability: float
    model_hash: str

    def __repr__(self) -> str:
        side = self.image.shape[0]
        where = "all folds" if self.fold is None else f"fold {self.fold}"
        return (
            f"<Grad-CAM {side} x {side} of the network of {where}: probability "
            f"{self.probability:.3f}, energy in mask {self.energy_in_mask:.3f} "
            f"(chance {self.chance:.3f}); unit: image>"
        )


def explain(run_dir: str | Path, study: ImageStudy, image_ids: Sequence[str]) -> list[CamRecord]:
    """Grad-CAM of images; a development patient's are explained by the out-of-fold network.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate`.
    study : ImageStudy
        That holds the images.
    image_ids : sequence of str

    Returns
    -------
    list of CamRecord
        In the order of `image_ids`. A network of several margins is shown at the middle one.

    Raises
    ------
    ArgumentError
        An image the study does not have.
    ImageError, CheckpointError, ResumeError
    """
    run = open_run(run_dir)
    if run.config.classes is not None:
        msg = "The evidence is drawn for a single logit; this run has several classes."
        raise ArgumentError(msg)
    rows = study.rows(list(image_ids))
    fold_of = dict(zip(run.images["patient_id"], run.images["fold"], strict=True))
    patients = study.patients
    with steady_torch(epoch_seed(run.config, 0, START)):
        networks = {fold: run.network(fold) for fold in range(run.folds.n_folds)}
        return [_explain_one(run, study, row, fold_of.get(patients[row]), networks) for row in rows]


def _explain_one(
    run: Run,
    study: ImageStudy,
    row: int,
    fold: int | None,
    networks: dict[int, torch.nn.Module],
) -> CamRecord:
    preparation = Preparation.of(run.config)
    image = read_image(study.file(row) or "")
    region = study.region(row) if run.config.region == "roi" else None
    views = preparation.views(image, region)
    used = list(networks.values()) if fold is None else [networks[int(fold)]]
    view = len(views) // 2
    logit = float(
        np.mean([logits(net, views[None], [0], flip=run.config.flip_views) for net in used])
    )
    cam = unit_map(sum(_map(net, views[view], flip=run.config.flip_views) for net in used))
    mask, overlap = _overlap(study, row, image.shape, preparation, view, cam)
    shown = np.moveaxis(views[view], 0, -1)
    return CamRecord(
        image_id=study.images["image_id"].iloc[row],
        patient_id=study.images["patient_id"].iloc[row],
        image=shown[..., 0] if shown.shape[-1] == 1 else shown,
        cam=cam,
        mask=mask,
        fold=None if fold is None else int(fold),
        logit=logit,
        probability=float(expit(logit)),
        model_hash=run.ensemble_hash if fold is None else run.model_hash(int(fold)),
        **overlap,
    )


def _map(network: torch.nn.Module, view: NDArray[np.uint8], *, flip: bool) -> torch.Tensor:
    """Raw evidence, (S, S), averaged over the mirror image where the prediction was."""
    x = as_input(view[None])
    with GradCam(network) as cam:
        heat = cam(x)[0]
        if flip:
            heat = (heat + cam(x.flip(-1))[0].flip(-1)) / 2
    return heat


def _overlap(
    study: ImageStudy,
    row: int,
    shape: tuple[int, ...],
    preparation: Preparation,
    view: int,
    cam: NDArray[np.float32],
) -> tuple[NDArray[np.bool_] | None, dict[str, float | bool | None]]:
    path = study.file(row, "mask")
    mask = None if path is None else read_mask(path)
    if mask is None or not mask.any():
        nothing = float("nan")
        return None, {"energy_in_mask": nothing, "pointing_hit": None, "chance": nothing}
    seen = preparation.mask_view(mask, shape, view)
    found = cam_overlap(cam, seen, visible=_visible(mask, shape, preparation, view))
    return seen, {
        name: getattr(found, name) for name in ("energy_in_mask", "pointing_hit", "chance")
    }


def _visible(
    mask: NDArray[np.bool_], shape: tuple[int, ...], preparation: Preparation, view: int
) -> NDArray[np.bool_]:
    """Where the square shows image rather than the bars of the letterbox."""
    whole = np.ones(shape[:2], dtype=bool)
    return letterbox(preparation.cut(whole, mask, view), preparation.input_size)


def cam_frame(records: Sequence[CamRecord]) -> pd.DataFrame:
    """One row an image: image_id, patient_id, fold, probability, energy_in_mask, pointing_hit,
    chance and model_hash."""
    names = (
        "image_id",
        "patient_id",
        "fold",
        "probability",
        "energy_in_mask",
        "pointing_hit",
        "chance",
        "model_hash",
    )
    rows = [{name: getattr(record, name) for name in names} for record in records]
    return pd.DataFrame(rows, columns=list(names))
