"""Images beside what their out-of-fold network looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import nn

from dl._explaining.record import CamRecord, SecondMap, cam_frame
from dl._reading.pictures import Pictures, hashed
from dl._training.targets import mask_classes
from dl.calibrate import class_log_odds
from dl.cam import METHODS, new_cam, unit_map
from dl.data import ImageStudy
from dl.geometry import letterbox
from dl.images import read_mask, read_regions
from dl.inference import as_input, logits, steady_torch
from dl.network import layout_of, tasks_of
from dl.prepare import Preparation
from dl.run_folder import Run, open_run
from dl.train import START, epoch_seed
from usstats._check import check_option
from usstats.errors import ArgumentError
from usstats.overlap import cam_overlap

__all__ = ["CamRecord", "SecondMap", "cam_frame", "explain"]

SIDES = ("event", "non_event")
#: Overlap of a map with a mask where there is no mask.
_NO_OVERLAP: dict[str, Any] = {
    "energy_in_mask": float("nan"),
    "pointing_hit": None,
    "chance": float("nan"),
    "iou": float("nan"),
    "iou_chance": float("nan"),
}


def explain(
    run_dir: str | Path,
    study: ImageStudy,
    image_ids: Sequence[str],
    *,
    method: str = "gradcam",
    toward: str | None = None,
    layer: str | None = None,
    **options: Any,
) -> list[CamRecord]:
    """Evidence maps of images; a development patient's are made by the out-of-fold network.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate`, fine-tuned or frozen, of one image or of pairs.
    study : ImageStudy
        That holds the images.
    image_ids : sequence of str
    method : str
        One of `dl.cam.METHODS`: gradcam, gradcam++, layercam, eigencam, cam, gates, occlusion.
    toward : str, optional
        "event" (default) or "non_event"; of several classes, the name of one (default: the one
        predicted).
    layer : str, optional
        Name of the network's part whose map is looked at, instead of the default.
    **options
        Of the method, such as the `patch` of an occlusion.

    Returns
    -------
    list of CamRecord
        In the order of `image_ids`. A network of several margins is shown at the middle one; the
        map is the mean over the mirror image too where the prediction was.

    Raises
    ------
    ArgumentError
        An image the study does not have, an unknown method or class, or a network that gives no
        class.
    ImageError, CheckpointError, ResumeError
    """
    run = open_run(run_dir)
    check_option(method, METHODS, name="method")
    wanted = _Wanted(method=method, toward=toward, layer=layer, options=options)
    wanted.check(run)
    rows = study.rows(list(image_ids))
    folds = _held_out(run, study, rows)
    used = set(range(run.folds.n_folds)) if None in folds else set(folds)
    with steady_torch(epoch_seed(run.config, 0, START)):
        networks = {k: run.network(k) for k in sorted(used)}
        return [
            _explain_one(run, study, row, fold, networks, wanted)
            for row, fold in zip(rows, folds, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """The map that is asked for."""

    method: str
    toward: str | None
    layer: str | None
    options: dict[str, Any]

    def check(self, run: Run) -> None:
        config = run.config
        if "classify" not in tasks_of(config.architecture):
            msg = f"The network {config.architecture!r} gives no class there could be evidence for."
            raise ArgumentError(msg)
        if self.layer is not None and len(layout_of(config.architecture, 1).pictures) > 1:
            msg = "A network of two images is explained at both encoders; leave out `layer`."
            raise ArgumentError(msg)
        if self.toward is not None:
            check_option(self.toward, config.classes or SIDES, name="toward")
            if not METHODS[self.method].has_class:
                msg = f"`method` {self.method!r} knows no class; leave out `toward`."
                raise ArgumentError(msg)

    def maps(
        self, network: nn.Module, view: NDArray[np.uint8], toward: str | int, *, flip: bool
    ) -> dict[str, torch.Tensor]:
        """Raw evidence, (S, S), averaged over the mirror image where the prediction was."""
        x = as_input(view[None])
        side = toward if METHODS[self.method].has_class else None
        with new_cam(self.method, network, self.layer, **self.options) as cam:
            found = {name: heat[0] for name, heat in cam.maps(x, toward=side).items()}
            if flip:
                mirrored = cam.maps(x.flip(-1), toward=side)
                found = {k: (heat + mirrored[k][0].flip(-1)) / 2 for k, heat in found.items()}
        return found


def _held_out(run: Run, study: ImageStudy, rows: Sequence[int]) -> list[int | None]:
    """In which fold the patient, or the very file, was held out."""
    by_patient = dict(zip(run.images["patient_id"], run.images["fold"], strict=True))
    by_file = dict(zip(run.images["sha256"], run.images["fold"], strict=True))

    def one(row: int) -> int | None:
        fold = by_patient.get(study.patients[row])
        fold = by_file.get(hashed(study.file(row))) if fold is None else fold
        return None if fold is None else int(fold)

    return [one(row) for row in rows]


def _explain_one(
    run: Run,
    study: ImageStudy,
    row: int,
    fold: int | None,
    networks: dict[int, nn.Module],
    wanted: _Wanted,
) -> CamRecord:
    preparation = Preparation.of(run.config)
    pictures = preparation.read(study, row)
    views = preparation.compose(pictures)
    view = len(views) // 2
    used = list(networks.values()) if fold is None else [networks[fold]]
    answer = _Answer.of(run, used, views, wanted.toward)
    cams = _mean_maps(run, used, views[view], wanted, answer)
    mask, overlap = _overlap(run, study, row, pictures.image.shape, preparation, view, cams[0])
    second = None
    if len(cams) > 1:
        outline = _doppler_mask(run, study, row, pictures, preparation, view)
        second = SecondMap(image=_shown(preparation, views[view], 1), cam=cams[1], mask=outline)
    return CamRecord(
        image_id=study.images["image_id"].iloc[row],
        patient_id=study.images["patient_id"].iloc[row],
        method=wanted.method,
        toward=answer.toward,
        image=_shown(preparation, views[view], 0),
        cam=cams[0],
        mask=mask,
        second=second,
        fold=fold,
        logit=answer.logit,
        probability=answer.probability,
        model_hash=run.ensemble_hash if fold is None else run.model_hash(fold),
        **overlap,
    )


@dataclass(frozen=True)
class _Answer:
    """What the networks say of an image, and the side of it that is explained.

    Attributes
    ----------
    toward : str
    side : str or int
        The same for `dl.cam`.
    """

    toward: str
    side: str | int
    logit: float
    probability: float

    @classmethod
    def of(
        cls, run: Run, networks: Sequence[nn.Module], views: NDArray[np.uint8], toward: str | None
    ) -> _Answer:
        config = run.config
        seen = {"flip": config.flip_views, "tta": config.tta}
        mean = np.mean([logits(net, views[None], [0], **seen) for net in networks], axis=0)
        if config.classes is None:
            logit = float(mean[0])
            return cls(toward or SIDES[0], toward or SIDES[0], logit, float(expit(logit)))
        k = int(mean[0].argmax()) if toward is None else config.classes.index(toward)
        odds, probability = class_log_odds(mean)[0, k], softmax(mean[0])[k]
        return cls(config.classes[k], k, float(odds), float(probability))


def _mean_maps(
    run: Run,
    networks: Sequence[nn.Module],
    view: NDArray[np.uint8],
    wanted: _Wanted,
    answer: _Answer,
) -> NDArray[np.float32]:
    """The mean over the networks, scaled to a peak of 1: (1, S, S), or (2, S, S) of a pair."""
    flip = run.config.flip_views
    each = [wanted.maps(network, view, answer.side, flip=flip) for network in networks]
    mean = {name: torch.stack([maps[name] for maps in each]).mean(dim=0) for name in each[0]}
    if wanted.method == "gates":
        return unit_map(torch.stack(list(mean.values())).mean(dim=0, keepdim=True))
    layout = Preparation.of(run.config).layout
    there = [
        heat for name, heat in mean.items() if name != "doppler" or layout.take(view, name).any()
    ]
    return unit_map(torch.stack(there))


def _shown(preparation: Preparation, view: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A picture of the stack as (S, S), or (S, S, 3) in colour."""
    layout = preparation.layout
    picture = np.moveaxis(layout.take(view, layout.pictures[number]), 0, -1)
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def _read_outline(run: Run, path: Path | None) -> NDArray[np.bool_] | None:
    """A mask, or all regions of a label map together; None where nothing is marked."""
    if path is None:
        return None
    n = mask_classes(run.config)
    mask = read_mask(path) if n == 1 else read_regions(path, n) > 0
    return mask if mask.any() else None


def _overlap(
    run: Run,
    study: ImageStudy,
    row: int,
    shape: tuple[int, ...],
    preparation: Preparation,
    view: int,
    cam: NDArray[np.float32],
) -> tuple[NDArray[np.bool_] | None, dict[str, Any]]:
    mask = _read_outline(run, study.file(row, "mask"))
    if mask is None:
        return None, _NO_OVERLAP
    seen = preparation.mask_view(mask, shape, view)
    whole = np.ones(shape[:2], dtype=bool)
    visible = letterbox(preparation.cut(whole, mask, view), preparation.input_size)
    return seen, asdict(cam_overlap(cam, seen, visible=visible))


def _doppler_mask(
    run: Run,
    study: ImageStudy,
    row: int,
    pictures: Pictures,
    preparation: Preparation,
    view: int,
) -> NDArray[np.bool_] | None:
    """Its own outline, or the gray image's where both are pictures of one size."""
    shape = pictures.doppler.shape
    mask = _read_outline(run, study.file(row, "doppler_mask"))
    if mask is None and shape[:2] == pictures.image.shape[:2]:
        mask = _read_outline(run, study.file(row, "mask"))
    return None if mask is None else preparation.mask_view(mask, shape, view)
