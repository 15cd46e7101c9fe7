"""Other cohorts through a finished run: the mean logit over its fold networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dl.data import ImageStudy
from dl.inference import features, logits, steady_torch
from dl.network import tasks_of
from dl.predictions import predictions_frame
from dl.prepare import Preparation, PreparedImages, prepare
from dl.progress import Progress, reporter
from dl.run_folder import Run, open_run
from dl.segment import mask_frame, mask_logits, write_masks
from dl.targets import mask_targets
from dl.train import START, epoch_seed
from usstats.errors import ArgumentError, LeakageError

__all__ = ["ENSEMBLE_RULE", "predict", "predict_in_sample", "predict_masks"]

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
        the fold networks, the temperature fitted on all out-of-fold logits, and one hash of all
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
    _refuse_segmenter(run)
    temperature = run.temperatures.overall
    try:
        prepared = prepare(
            study,
            Preparation.of(run.config),
            cache_dir=run.folder / "cache",
            report=reporter(progress, "reading images"),
        )
        _refuse_overlap(run, study, prepared)
        logit = _fold_logits(run, prepared, progress).mean(axis=0)
    finally:
        if progress is not None:
            progress.close()
    return predictions_frame(
        study,
        logit,
        temperature,
        model=run.config.name,
        positive=run.config.positive,
        classes=run.config.classes,
        role="external",
        fold=None,
        model_hash=run.ensemble_hash,
    )


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
    return predictions_frame(
        study,
        np.average(logit, axis=0, weights=trained),
        run.temperatures.overall,
        model=run.config.name,
        positive=run.config.positive,
        classes=run.config.classes,
        role="in_sample",
        fold=None,
        model_hash=run.ensemble_hash,
    )


def predict_masks(run_dir: str | Path, study: ImageStudy, *, folder: str | Path) -> pd.DataFrame:
    """Outline images of patients who had no part in development.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate` of a network that segments.
    study : ImageStudy
        Masks are compared where there are some, and not needed.
    folder : path
        Gets ROW.png: the probability of every pixel at the network's size, in 8 bits.

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
    masks = mask_targets(study, preparation, images=prepared.sha256, cache_dir=cache)
    rows, flip = np.arange(len(study)), run.config.flip_views
    networks = [run.network(fold) for fold in range(run.folds.n_folds)]
    with steady_torch(epoch_seed(run.config, 0, START)):
        answers = [mask_logits(net, prepared.views, rows, flip=flip) for net in networks]
        write_masks(target, rows, sum(answers) / len(answers))
    return mask_frame(
        study,
        target,
        np.load(masks, mmap_mode="r", allow_pickle=False),
        model=run.config.name,
        role="external",
        fold=None,
        model_hash=run.ensemble_hash,
    )


def _refuse_segmenter(run: Run) -> None:
    if "classify" not in tasks_of(run.config.architecture):
        msg = f"The network {run.config.architecture!r} gives no class; use `predict_masks`."
        raise ArgumentError(msg)


def _fold_of(run: Run, study: ImageStudy) -> np.ndarray:
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


def _fold_logits(run: Run, prepared: PreparedImages, progress: Progress | None) -> np.ndarray:
    """Logits by each fold's network, shape (n_folds, n), or (n_folds, n, K) of K classes."""
    flip, rows = run.config.flip_views, np.arange(len(prepared.views))
    networks = [run.network(fold) for fold in range(run.folds.n_folds)]
    with steady_torch(epoch_seed(run.config, 0, START)):
        if run.config.route == "frozen":
            report = reporter(progress, "features")
            table = features(networks[0], prepared.views, rows, flip=flip, report=report)
            heads = [net.head.weight[0].detach().double().numpy() for net in networks]
            biases = [[float(net.head.bias.detach())] for net in networks]
            return np.array(heads) @ table.T + biases
        answers = []
        for fold, network in enumerate(networks):
            answers.append(logits(network, prepared.views, rows, flip=flip))
            if progress is not None:
                progress.update("predicting", fold + 1, len(networks))
    return np.array(answers)


def _refuse_overlap(run: Run, study: ImageStudy, prepared: PreparedImages) -> None:
    patients = study.images["patient_id"].isin(run.images["patient_id"])
    files = pd.Series(prepared.sha256).isin(run.images["sha256"])
    if patients.any() or files.any():
        msg = (
            f"{patients.sum()} images of patients and {files.sum()} files of the development "
            "cohort are among those to predict; the networks know them. Use the out-of-fold "
            "predictions of cross_validate for them, and give other patients other ids."
        )
        raise LeakageError(msg)
