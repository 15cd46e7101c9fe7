"""Patient-grouped cross-validation: every image is predicted by a network that never met it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray
from torch import nn

from dl.assemble import assemble
from dl.checkpoint import save_weights
from dl.config import TrainConfig
from dl.data import ImageStudy
from dl.errors import ConfigError, TrainingError
from dl.frozen import feature_table, fit_head, frozen_network
from dl.inference import logits, steady_torch
from dl.network import tasks_of
from dl.prepare import Preparation, PreparedImages, prepare
from dl.progress import EpochWatcher, Progress, reporter
from dl.run_folder import Run, begin_run, image_index
from dl.segment import mask_logits, write_masks
from dl.storage import run_lock, tied_to, wait_for_lock, write_json
from dl.targets import mask_digests, mask_targets, task_labels
from dl.train import START, FoldTask, epoch_seed, train_fold
from dl.training_state import LOG, read_state
from usstats._grouping import patients_of, tied_groups
from usstats.errors import ArgumentError, LeakageError, SchemaError
from usstats.splits import Folds, make_folds, tuning_split

__all__ = ["cross_validate"]

TUNING = 3


def cross_validate(
    study: ImageStudy,
    config: TrainConfig,
    *,
    run_dir: str | Path,
    splits: Folds | None = None,
    progress: Progress | None = None,
    n_jobs: int = 2,
) -> pd.DataFrame:
    """Train one network a fold and predict the patients it was not trained on.

    Epochs and penalties are chosen on patients of the training part only; the training functions
    never receive a held-out label. A run that was stopped goes on where it was when it is called
    again with the same arguments, and ends with the same numbers whatever `n_jobs` is.

    Parameters
    ----------
    study : ImageStudy
        With labels 0/1, or of the configuration's `classes`.
    config : TrainConfig
    run_dir : path
        Gets config.json, splits.json, images.csv, folds/, temperature.json and predictions.csv.
    splits : Folds, optional
        By default `usstats.splits.make_folds` with the configuration's seed; patients who share
        a picture, or nearly one, share a fold.
    progress : Progress, optional
        For example `dl.progress.console_progress()`.
    n_jobs : int
        Folds trained side by side, each on one thread.

    Returns
    -------
    DataFrame
        patient_id, image_id, model, fold, role (out_of_fold), class, logit, probability,
        probability_calibrated, n_images, model_hash; one row an image, or an image and class,
        in the study's order. Of a network that only segments, the table of masks.csv instead:
        patient_id, image_id, model, fold, role, mask_file, area, dice, model_hash.

    Raises
    ------
    ImageError
        Images that cannot be used, by row; found before any training.
    OutcomeError, ResampleError
        Labels that are not 0/1 nor declared classes, or too few patients of a class.
    LeakageError
        The given splits part images that show the same picture.
    ResumeError
        The folder holds a run with other settings, data or folds.
    RunLockedError
        Another process works in the folder.
    TrainingError
        A loss that is not finite, or a process that died.

    Notes
    -----
    The temperature of fold k is fitted on the out-of-fold logits of the other folds.

    A network that segments writes masks/ROW.png, the out-of-fold probability of every pixel at
    the network's size in 8 bits, and masks.csv with the Dice coefficient of every image that has
    a mask. Beside a mask a label may be missing, and the other way round: the image then gives
    only its task.
    """
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs < 1:
        msg = f"`n_jobs` must be a whole number of at least 1; got {n_jobs!r}."
        raise ArgumentError(msg)
    folder = Path(run_dir)
    tasks = _checked_tasks(config)
    labels = task_labels(study, config.classes, tasks)
    try:
        with run_lock(folder):
            prepared = prepare(
                study,
                Preparation.of(config),
                cache_dir=folder / "cache",
                report=reporter(progress, "reading images"),
            )
            ties = _ties(study, prepared, labels)
            folds = _checked_folds(study, config, labels, ties, splits)
            digests = mask_digests(study) if "segment" in tasks else None
            images = image_index(study, prepared, folds, labels, digests)
            run = begin_run(folder, config, images, folds)
            masks = _targets(study, config, prepared, tasks)
            _run_folds(run, prepared, masks, ties, progress, n_jobs)
            return assemble(study, run, tasks, masks)
    finally:
        if progress is not None:
            progress.close()


def _checked_tasks(config: TrainConfig) -> tuple[str, ...]:
    """What the network is trained for.

    Raises
    ------
    ConfigError
        Settings that a network with masks cannot use.
    """
    tasks = tasks_of(config.architecture)
    if "segment" in tasks and (config.region, config.route) != ("whole", "finetune"):
        msg = (
            'A network that segments needs region="whole" (a box made from the mask would tell '
            'where the mask is) and route="finetune".'
        )
        raise ConfigError(msg)
    if tasks == ("segment",) and config.classes is not None:
        msg = "A network that only segments has no `classes`; leave them out."
        raise ConfigError(msg)
    return tasks


def _targets(
    study: ImageStudy, config: TrainConfig, prepared: PreparedImages, tasks: Sequence[str]
) -> Path | None:
    if "segment" not in tasks:
        return None
    return mask_targets(
        study,
        Preparation.of(config),
        images=prepared.sha256,
        cache_dir=prepared.cache.parent,
    )


def _strata(labels: NDArray[np.int64], config: TrainConfig) -> tuple[NDArray[np.int64], int]:
    """What patients are dealt by, and its number of levels; unlabelled ones as of class 0."""
    return np.maximum(labels, 0), config.n_classes if (labels >= 0).any() else 1


def _ties(
    study: ImageStudy, prepared: PreparedImages, labels: NDArray[np.int64]
) -> list[tuple[str, str]]:
    """Pairs of patients who share a picture.

    Raises
    ------
    SchemaError
        One file under two labels: at least one of them is wrong.
    """
    patients = study.patients
    seen: dict[str, int] = {}
    pairs = prepared.duplicates().tolist()
    for row, digest in enumerate(prepared.sha256):
        first = seen.setdefault(digest, row)
        if labels[first] != labels[row]:
            msg = (
                f"Rows {first} and {row} (counted from 0) hold the same file under two labels. "
                "Correct the table before training."
            )
            raise SchemaError(msg)
    return [(patients[i], patients[j]) for i, j in pairs if patients[i] != patients[j]]


def _checked_folds(
    study: ImageStudy,
    config: TrainConfig,
    labels: NDArray[np.int64],
    ties: Sequence[tuple[str, str]],
    splits: Folds | None,
) -> Folds:
    if splits is None:
        strata, n_strata = _strata(labels, config)
        return make_folds(
            strata,
            study.patients,
            n_folds=config.folds,
            seed=config.seed,
            keep_together=ties,
            n_classes=n_strata,
        )
    fold_of = dict(zip(study.patients, splits.lookup(study.patients), strict=True))
    parted = [pair for pair in ties if fold_of[pair[0]] != fold_of[pair[1]]]
    if parted:
        msg = (
            f"The given splits part {len(parted)} pairs of patients who share a picture (R03). "
            "Pass keep_together to make_folds, or leave `splits` out."
        )
        raise LeakageError(msg)
    if splits.n_folds != config.folds:
        msg = f"`splits` has {splits.n_folds} folds and the configuration {config.folds}."
        raise ArgumentError(msg)
    empty = sorted(set(range(splits.n_folds)) - set(fold_of.values()))
    if empty:
        listed = ", ".join(map(str, empty))
        msg = f"`splits` leave no patient of this study in fold {listed}; make them from its table."
        raise ArgumentError(msg)
    return splits


def _run_folds(
    run: Run,
    prepared: PreparedImages,
    masks: Path | None,
    ties: Sequence[tuple[str, str]],
    progress: Progress | None,
    n_jobs: int,
) -> None:
    tasks = [_task(run, prepared, masks, ties, fold) for fold in range(run.folds.n_folds)]
    waiting = [task for task in tasks if not _finished(run, task.fold)]
    if run.config.route == "frozen":
        report = reporter(progress, "features")
        for task in waiting:
            _finish_frozen_fold(task, feature_table(run.config, task.views, report=report))
        return
    logs = [task.folder / LOG for task in tasks]
    with EpochWatcher(progress, logs, epochs=run.config.epochs):
        _side_by_side(waiting, n_jobs)


def _side_by_side(tasks: Sequence[FoldTask], n_jobs: int) -> None:
    workers = min(n_jobs, len(tasks))
    if workers < 2:
        for task in tasks:
            _finish_trained_fold(task)
        return
    try:
        Parallel(n_jobs=workers, backend="loky", batch_size=1)(
            delayed(_work_on_fold)(task, os.getpid()) for task in tasks
        )
    except TerminatedWorkerError:
        undone = [str(task.fold) for task in tasks if not (task.folder / "fold.json").is_file()]
        msg = (
            f"A training process was ended from outside (out of memory?); folds "
            f"{', '.join(undone)} are not finished. Run again to go on, with n_jobs=1 if memory "
            "is short."
        )
        raise TrainingError(msg) from None


def _task(
    run: Run,
    prepared: PreparedImages,
    masks: Path | None,
    ties: Sequence[tuple[str, str]],
    fold: int,
) -> FoldTask:
    """Everything training may know of a fold, cut out of what the run knows."""
    held_out = (run.images["fold"] == fold).to_numpy()
    table = run.images[~held_out]
    patients, y = table["patient_id"].to_numpy(), table["label"].to_numpy()
    inside = set(patients)
    within = [pair for pair in ties if pair[0] in inside and pair[1] in inside]
    strata, n_strata = _strata(y, run.config)
    is_tuning = tuning_split(
        strata,
        patients,
        fraction=run.config.tuning_fraction,
        seed=epoch_seed(run.config, fold, TUNING),
        keep_together=within,
        n_classes=n_strata,
    )
    return FoldTask(
        config=run.config,
        fold=fold,
        folder=run.fold_folders[fold],
        views=prepared.cache,
        rows=np.flatnonzero(~held_out),
        labels=y.astype(np.int64),
        groups=_tied_patients(strata, patients, within, n_strata),
        is_tuning=is_tuning,
        held_out_rows=np.flatnonzero(held_out),
        identity=run.identity,
        tasks=tasks_of(run.config.architecture),
        masks=masks,
    )


def _tied_patients(
    y: NDArray[np.int64],
    patients: NDArray[Any],
    ties: Sequence[tuple[str, str]],
    n_classes: int,
) -> NDArray[np.int64]:
    """A number for every row that patients who share a picture have in common."""
    known = patients_of(y, patients, n_classes=n_classes)
    return tied_groups(known, ties).of_patient[known.of_row]


def _finished(run: Run, fold: int) -> bool:
    """A fold was finished and its weights are still those; a damaged file is an error."""
    if not run.is_done(fold):
        return False
    run.fold_record(fold)
    run.network(fold)
    return True


def _work_on_fold(task: FoldTask, run_process: int) -> None:
    """A fold in a process of its own, after an orphan of a killed run has let go of it."""
    with tied_to(run_process), wait_for_lock(task.folder):
        if not (task.folder / "fold.json").is_file():
            _finish_trained_fold(task)


def _finish_trained_fold(task: FoldTask) -> None:
    network = train_fold(task)
    state = read_state(task.folder, task.identity)
    with steady_torch(epoch_seed(task.config, task.fold, START)):
        held_out = _held_out(network, task)
    facts = {"best_epoch": state.best_epoch, "history": state.history}
    _close_fold(task, network, held_out, facts)
    state.forget()


def _held_out(network: nn.Module, task: FoldTask) -> NDArray[np.float64]:
    """Logits of the held-out images, none of a segmenter; their masks are written."""
    views, rows, flip = task.load_views(), task.held_out_rows, task.config.flip_views
    if "segment" in task.tasks:
        folder = task.folder.parents[1] / "masks"
        write_masks(folder, rows, mask_logits(network, views, rows, flip=flip))
    if "classify" not in task.tasks:
        return np.empty(0)
    return logits(network, views, rows, flip=flip)


def _finish_frozen_fold(task: FoldTask, table: NDArray[np.float64]) -> None:
    seed = epoch_seed(task.config, task.fold, TUNING)
    head = fit_head(table[task.rows], task.labels, task.groups, task.config, seed=seed)
    network = frozen_network(task, head)
    weight = network.head.weight[0].detach().double().numpy()
    held_out = table[task.held_out_rows] @ weight + float(network.head.bias.detach())
    facts = {
        "penalty": head.penalty,
        "inner_loss": [[penalty, loss] for penalty, loss in head.inner_loss.items()],
    }
    task.folder.mkdir(parents=True, exist_ok=True)
    _close_fold(task, network, held_out, facts)


def _close_fold(
    task: FoldTask, network: nn.Module, held_out: NDArray[np.float64], facts: dict[str, Any]
) -> None:
    """Write a fold's weights, predictions and provenance; fold.json says that it is finished."""
    digest = save_weights(
        task.folder / "weights.safetensors",
        network,
        architecture=task.config.architecture,
        facts={"fold": task.fold, "config_sha256": task.identity["config"]},
    )
    rows = {
        "train": task.train_rows.tolist(),
        "tuning": task.tuning_rows.tolist(),
        "held_out": task.held_out_rows.tolist(),
    }
    record = {
        "identity": task.identity,
        "fold": task.fold,
        "weights_sha256": digest,
        "rows": rows,
        "rows_sha256": hashlib.sha256(str(rows).encode()).hexdigest(),
        "held_out_logit": held_out.tolist(),
        **facts,
    }
    write_json(task.folder / "fold.json", record)
