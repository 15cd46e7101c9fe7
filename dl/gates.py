"""Outlines for networks that are gated by one: predicted, never drawn by whoever knew the case."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dl._reading.pictures import hashed
from dl._training.targets import mask_classes
from dl.data import ImageStudy
from dl.errors import ImageError, ResumeError
from dl.geometry import letterbox_box
from dl.images import read_image
from dl.network import tasks_of
from dl.predict import predict_masks
from dl.prepare import for_every_row
from dl.run_folder import Run, open_run
from dl.segment import mask_path
from dl.storage import atomic_path
from usstats.errors import ArgumentError, LeakageError
from usstats.splits import Folds

__all__ = ["FOLD_COLUMN", "gate_masks", "refuse_other_folds"]

FOLD_COLUMN = "gate_fold"
_NAMED = 16


def gate_masks(
    run_dir: str | Path, study: ImageStudy, *, folder: str | Path = "gates"
) -> ImageStudy:
    """Give every image of a study the outline that a finished segmenter predicts for it.

    An image the segmenter was developed on gets its out-of-fold mask, made by the network that
    never met the patient; images of other patients get the mean of all its networks. Training on
    such gates teaches a network what it will be given in practice.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate` of a network that segments.
    study : ImageStudy
        All its patients, or none, are the segmenter's; its images are found by their files.
    folder : path
        Inside the study's root; gets one 8-bit picture an image, of the image's own size: 255
        times the probability, or, of several regions, 255 in any of them.

    Returns
    -------
    ImageStudy
        With the columns `gate` (path) and `gate_fold` (the fold the patient was held out in,
        missing for other patients). `cross_validate` refuses them beside other folds: pass
        `splits=open_run(run_dir).folds`.

    Raises
    ------
    ArgumentError
        The network does not segment, an image is none of its run, or `folder` lies outside.
    LeakageError
        Some patients are the segmenter's and others are not.
    ResumeError, ImageError
    """
    run = open_run(run_dir)
    if "segment" not in tasks_of(run.config.architecture):
        msg = f"The network {run.config.architecture!r} does not segment and gives no gates."
        raise ArgumentError(msg)
    target = study.root / folder / run.ensemble_hash
    if not target.resolve().is_relative_to(study.root.resolve()):
        msg = f"`folder` must lie inside the study's root; got {str(folder)!r}."
        raise ArgumentError(msg)
    keys = for_every_row(len(study), lambda row: _key(study, row))
    if study.images["patient_id"].isin(run.images["patient_id"]).any():
        rows = _rows_of(run, study, keys)
        fold = run.images["fold"].to_numpy()[rows]
        files = {i: mask_path(run.folder / "masks", row) for i, row in enumerate(rows)}
        paths = _write_gates(run, study, keys, files, target)
    else:
        fold = [pd.NA] * len(study)
        with tempfile.TemporaryDirectory() as squares:
            predict_masks(run_dir, study, folder=squares)
            files = {i: mask_path(Path(squares), i) for i in range(len(study))}
            paths = _write_gates(run, study, keys, files, target)
    columns = {"gate": paths, FOLD_COLUMN: pd.array(fold, dtype="Int64")}
    return ImageStudy(images=study.images.assign(**columns), root=study.root)


def refuse_other_folds(study: ImageStudy, folds: Folds) -> None:
    """Gates of the development patients must come from the folds they are used in.

    Raises
    ------
    LeakageError
        The segmenter was trained with other folds.
    """
    if FOLD_COLUMN not in study.images:
        return
    made = pd.array(study.images[FOLD_COLUMN], dtype="Int64")
    other = ~made.isna() & (made != folds.lookup(study.patients)).fillna(value=False)
    if other.any():
        msg = (
            f"{other.sum()} of {len(study)} gates were predicted in other folds than these, so "
            "the segmenter knew patients who are held out here. Pass the segmenter's folds: "
            "splits=open_run(segmenter_run).folds."
        )
        raise LeakageError(msg)


def _key(study: ImageStudy, row: int) -> tuple[str, str]:
    """What tells one picture from all others: its file and, of a loop, the frame."""
    frame = study.frame(row)
    return hashed(study.file(row)), "" if frame is None else str(frame)


def _rows_of(run: Run, study: ImageStudy, keys: list[tuple[str, str]]) -> NDArray[np.int64]:
    """Row of every image in the run."""
    table = run.images
    strangers = ~study.images["patient_id"].isin(table["patient_id"])
    if strangers.any():
        msg = (
            f"{strangers.sum()} of {len(study)} images are of patients the segmenter never met, "
            "the others are of its own; make the gates of the two groups one after the other."
        )
        raise LeakageError(msg)
    frames = table["frame"] if "frame" in table else pd.Series([""] * len(table))
    columns = table["patient_id"], table["sha256"], frames
    known = {key: i for i, key in enumerate(zip(*columns, strict=True))}
    wanted = [(patient, *key) for patient, key in zip(study.patients, keys, strict=True)]
    absent = [i for i, key in enumerate(wanted) if key not in known]
    if absent:
        msg = (
            f"{len(absent)} of {len(study)} images have no out-of-fold mask in {run.folder} "
            f"(first: row {absent[0]}); train the segmenter on the same images and patients."
        )
        raise ArgumentError(msg)
    return np.array([known[key] for key in wanted], dtype=np.int64)


def _write_gates(
    run: Run,
    study: ImageStudy,
    keys: list[tuple[str, str]],
    files: Mapping[int, Path],
    target: Path,
) -> list[str]:
    """Masks at the network's size as pictures of the images' own size; paths from the root."""
    target.mkdir(parents=True, exist_ok=True)
    several = mask_classes(run.config) > 1

    def one(row: int) -> str:
        shape = read_image(study.file(row) or "", frame=study.frame(row)).shape
        gate = _unboxed(_square(files[row]), shape, several=several)
        path = target / f"{'-'.join((keys[row][0][:_NAMED], *filter(None, keys[row][1:])))}.png"
        with atomic_path(path) as temporary:
            Image.fromarray(gate).save(temporary, format="PNG")
        return path.relative_to(study.root).as_posix()

    return for_every_row(len(study), one)


def _square(path: Path) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except ImageError as error:
        msg = f"The segmenter's run is not finished, or its masks are damaged: {error}"
        raise ResumeError(msg) from None


def _unboxed(
    square: NDArray[np.uint8], shape: tuple[int, ...], *, several: bool
) -> NDArray[np.uint8]:
    """The part of a square that shows the image, at the image's size."""
    left, top, right, bottom = letterbox_box(shape, len(square))
    part = square[top:bottom, left:right]
    if several:
        part = (part > 0) * np.uint8(255)
    how = Image.Resampling.NEAREST if several else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(part).resize((shape[1], shape[0]), how))
