"""Other cohorts through a finished run: the mean logit over its fold networks."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dl._training.fold import START, epoch_seed
from dl._training.frozen import head_logits
from dl._training.targets import mask_classes, mask_targets
from dl.data import ImageStudy, normal_patients
from dl.errors import ImageWarning
from dl.fingerprint import confirmed_duplicates
from dl.inference import features, logits, steady_torch
from dl.network import tasks_of
from dl.predictions import predictions_frame
from dl.prepare import Preparation, PreparedImages, prepare
from dl.progress import Progress, reporter
from dl.run_folder import Run, open_run
from dl.segment import mask_frame, mask_logits, write_masks
from dl.storage import read_json
from usstats.errors import ArgumentError, LeakageError

__all__ = [
    "ENSEMBLE_RULE",
    "predict",
    "predict_in_sample",
    "predict_masks",
    "predict_members",
]

#: How k fold networks become one prediction.
ENSEMBLE_RULE = "mean logit over the fold networks"


def predict(
    run_dir: str | Path, study: ImageStudy, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Predict images of patients who had no part in development.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate`.
    study : ImageStudy
        Labels are not needed and not looked at.
    progress : Progress, optional

    Returns
    -------
    DataFrame
        The columns of `cross_validate`, with role external, an empty fold, the mean logit over
        the fold networks, the calibration fitted on all out-of-fold logits, and one hash of all
        the networks.

    Raises
    ------
    LeakageError
        A patient or a file of the development images is among them.
    ResumeError
        The run is not finished.
    CheckpointError
        A network's file is damaged.
    ImageError
        Images that cannot be used, by row.
    """
    run = open_run(run_dir)
    logit = _external_logits(run, study, progress).mean(axis=0)
    return _frame(run, study, logit, role="external", model_hash=run.ensemble_hash)


def predict_members(
    run_dir: str | Path, study: ImageStudy, *, progress: Progress | None = None
) -> pd.DataFrame:
    """What each fold's network alone says of patients who had no part in development.

    Parameters
    ----------
    run_dir, study, progress : as for `predict`

    Returns
    -------
    DataFrame
        The columns of `predict` and `member`, the fold whose patients the network was not
        trained on; the rows of `predict` once a member, calibrated as it calibrates their mean.
        `dl.ensemble.uncertainty_frame` tells how much they disagree.

    Raises
    ------
    LeakageError, ResumeError, CheckpointError, ImageError
        As `predict`.
    """
    run = open_run(run_dir)
    tables = [
        _frame(run, study, own, role="external", model_hash=run.model_hash(fold)).assign(
            member=fold
        )
        for fold, own in enumerate(_external_logits(run, study, progress))
    ]
    return pd.concat(tables, ignore_index=True)


def predict_in_sample(
    run_dir: str | Path, study: ImageStudy, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Predict development images by the very networks that were trained on them.

    For showing what such values do, and for nothing else: `usstats.patient_probability` refuses
    them (rule R01).

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate`.
    study : ImageStudy
        Development images.
    progress : Progress, optional

    Returns
    -------
    DataFrame
        The columns of `cross_validate`, with role in_sample: the mean logit over the fold
        networks that trained on the patient.

    Raises
    ------
    LeakageError
        A patient is none of the development patients.
    ResumeError, CheckpointError, ImageError
    """
    run = open_run(run_dir)
    _refuse_segmenter(run)
    fold = _fold_of(run, study)
    try:
        prepared = prepare(study, Preparation.of(run.config), cache_dir=run.folder / "cache")
        logit = _fold_logits(run, prepared, progress)
    finally:
        if progress is not None:
            progress.close()
    trained = np.arange(run.folds.n_folds)[:, None] != fold
    if logit.ndim == 3:
        trained = np.broadcast_to(trained[..., None], logit.shape)
    mean = np.average(logit, axis=0, weights=trained)
    return _frame(run, study, mean, role="in_sample", model_hash=run.ensemble_hash)


def predict_masks(run_dir: str | Path, study: ImageStudy, *, folder: str | Path) -> pd.DataFrame:
    """Outline images of patients who had no part in development.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate` of a network that segments.
    study : ImageStudy
        Masks are compared where there are some, and not needed.
    folder : path
        Gets ROW.png: the probability of every pixel at the network's size, in 8 bits; or, of
        several regions, its class.

    Returns
    -------
    DataFrame
        The columns of masks.csv, with role external; of the mean logit over the fold networks.

    Raises
    ------
    ArgumentError
        The network does not segment.
    LeakageError
        A patient or a file of the development images is among them.
    ResumeError, CheckpointError, ImageError
    """
    run, target = open_run(run_dir), Path(folder)
    if "segment" not in tasks_of(run.config.architecture):
        msg = f"The network {run.config.architecture!r} does not segment; use `predict`."
        raise ArgumentError(msg)
    preparation, cache = Preparation.of(run.config), run.folder / "cache"
    prepared = prepare(study, preparation, cache_dir=cache)
    _refuse_overlap(run, study, prepared)
    n = mask_classes(run.config)
    masks = mask_targets(study, preparation, images=prepared.sha256, cache_dir=cache, n_classes=n)
    rows, shown = np.arange(len(study)), {"flip": run.config.flip_views, "tta": run.config.tta}
    networks = [run.network(fold) for fold in range(run.folds.n_folds)]
    with steady_torch(epoch_seed(run.config, 0, START)):
        answers = [mask_logits(net, prepared.views, rows, **shown) for net in networks]
        write_masks(target, rows, sum(answers) / len(answers))
    return mask_frame(
        study,
        target,
        np.load(masks, mmap_mode="r", allow_pickle=False),
        model=run.config.name,
        role="external",
        fold=None,
        model_hash=run.ensemble_hash,
        n_classes=n,
    )


def _frame(
    run: Run, study: ImageStudy, logit: NDArray[np.float64], *, role: str, model_hash: str
) -> pd.DataFrame:
    return predictions_frame(
        study,
        logit,
        run.calibration.overall.apply(logit),
        model=run.config.name,
        positive=run.config.positive,
        classes=run.config.classes,
        role=role,
        fold=None,
        model_hash=model_hash,
    )


def _external_logits(run: Run, study: ImageStudy, progress: Progress | None) -> NDArray[np.float64]:
    """Of every fold's network, for a cohort that none of them knows."""
    _refuse_segmenter(run)
    _ = run.calibration  # an unfinished run is refused before an image is read
    try:
        prepared = prepare(
            study,
            Preparation.of(run.config),
            cache_dir=run.folder / "cache",
            report=reporter(progress, "reading images"),
        )
        _refuse_overlap(run, study, prepared)
        return _fold_logits(run, prepared, progress)
    finally:
        if progress is not None:
            progress.close()


def _refuse_segmenter(run: Run) -> None:
    if "classify" not in tasks_of(run.config.architecture):
        msg = f"The network {run.config.architecture!r} gives no class; use `predict_masks`."
        raise ArgumentError(msg)


def _fold_of(run: Run, study: ImageStudy) -> NDArray[np.int64]:
    """The fold each image's patient was held out in."""
    known = run.images.drop_duplicates("patient_id").set_index("patient_id")["fold"]
    fold = study.images["patient_id"].map(known)
    if fold.isna().any():
        msg = (
            f"{fold.isna().sum()} images are of patients the networks were not trained on; "
            "use `predict` for them."
        )
        raise LeakageError(msg)
    return fold.to_numpy(dtype=np.int64)


def _fold_logits(
    run: Run, prepared: PreparedImages, progress: Progress | None
) -> NDArray[np.float64]:
    """Logits by each fold's network, shape (n_folds, n), or (n_folds, n, K) of K classes."""
    config, views = run.config, prepared.views
    shown, rows = {"flip": config.flip_views, "tta": config.tta}, np.arange(len(views))
    networks = [run.network(fold) for fold in range(run.folds.n_folds)]
    with steady_torch(epoch_seed(config, 0, START)):
        if config.route == "frozen":
            report = reporter(progress, "features")
            table = features(networks[0], views, rows, **shown, report=report)
            return np.array([head_logits(network, table) for network in networks])
        answers = []
        for fold, network in enumerate(networks):
            answers.append(logits(network, views, rows, **shown))
            if progress is not None:
                progress.update("predicting", fold + 1, len(networks))
    return np.array(answers)


def _refuse_overlap(run: Run, study: ImageStudy, prepared: PreparedImages) -> None:
    """Patients, however they are spelled, and files of development; look-alikes are a warning."""
    developed = normal_patients(run.images["patient_id"])
    patients = normal_patients(study.images["patient_id"]).isin(developed)
    known = run.development_files
    files = {row for row, digest in prepared.pictures if digest in known}
    if patients.any() or files:
        msg = (
            f"{patients.sum()} images of patients and {len(files)} files of the development "
            "cohort are among those to predict; the networks know them. Use the out-of-fold "
            "predictions of cross_validate for them, and give other patients other ids."
        )
        raise LeakageError(msg)
    alike = _known_pictures(run, prepared)
    if alike:
        msg = (
            f"{len(alike)} images look like development images under another patient (first: row "
            f"{', '.join(map(str, alike[:3]))}). If they are copies, the networks know them."
        )
        warnings.warn(msg, ImageWarning, stacklevel=4)


def _known_pictures(run: Run, prepared: PreparedImages) -> list[int]:
    """Rows that show a picture of the development images, written again as another file.

    Nothing is found where the run's cache is gone.
    """
    own = list(run.images["hash"])
    for facts in sorted((run.folder / "cache").glob("images-*.json")):
        written = read_json(facts, needs=("hashes",))["hashes"][: len(own)]
        file = facts.with_name(facts.stem.replace("images", "details") + ".npy")
        if written == own and file.is_file():
            detail = np.load(file, mmap_mode="r", allow_pickle=False)[: len(own)]
            hashes = [*(int(text, 16) for text in own), *prepared.hashes]
            every = np.concatenate([detail, prepared.details[: len(prepared.hashes)]])
            pairs = confirmed_duplicates(hashes, every)[:, :2]
            crossing = pairs[(pairs[:, 0] < len(own)) & (pairs[:, 1] >= len(own)), 1]
            return sorted({int(row) - len(own) for row in crossing})
    return []
