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

from dl._training.assemble import assemble
from dl._training.fold_tasks import TUNING, checked_folds, checked_tasks, fold_task, shared_pictures
from dl._training.frozen import feature_table, fit_head, frozen_network, head_logits
from dl._training.targets import mask_classes, mask_digests, mask_targets, task_labels
from dl._training.training_state import LOG, read_state
from dl.checkpoint import save_weights
from dl.config import TrainConfig
from dl.data import ImageStudy
from dl.errors import TrainingError
from dl.inference import logits, steady_torch
from dl.policy_search import with_policy
from dl.prepare import Preparation, PreparedImages, prepare
from dl.progress import EpochWatcher, Progress, reporter
from dl.run_folder import Run, begin_run, image_index
from dl.segment import mask_logits, write_masks
from dl.storage import run_lock, tied_to, wait_for_lock, write_json
from dl.train import START, FoldTask, epoch_seed, train_fold
from usstats._check import check_count
from usstats.splits import Folds

__all__ = ["cross_validate", "plan_folds"]

#: Of a configuration's digest, in the name of its run folder.
_DIGITS = 16


def cross_validate(
    study: ImageStudy,
    config: TrainConfig,
    *,
    run_dir: str | Path | None = None,
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
    run_dir : path, optional
        Gets config.json, splits.json, images.csv, folds/, calibration.json and predictions.csv.
        By default runs/DIGEST in the study's folder, of the configuration's digest.
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
    ArgumentError
        Something else than a study and a configuration.
    ConfigError
        Settings that the network cannot use.
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
    The calibration of fold k is fitted on the out-of-fold logits of the other folds.

    A network of two images (dual_aspp) is trained on pairs: rows with a `doppler_path`, which may
    be empty, and a `gate`, see `dl.pairing.pair_images` and `dl.gates.gate_masks`.

    A network that segments writes masks/ROW.png, the out-of-fold probability of every pixel at
    the network's size in 8 bits, and masks.csv with the Dice coefficient of every image that has
    a mask. Networks of several regions (`n_mask_classes`, the background included) take label
    maps and write label maps, and their masks.csv has one row an image and region, named in a
    column `class`. Beside a mask a label may be missing, and the other way round: the image then
    gives only its task.

    Examples
    --------
    Eight patients, dark or bright, and a network that is not trained but for its head:

    >>> import tempfile
    >>> from PIL import Image
    >>> files = [f"{i}.png" for i in range(8)]
    >>> table = pd.DataFrame({"image_id": files, "patient_id": range(8), "path": files,
    ...                       "label": [0, 1] * 4})
    >>> config = TrainConfig(architecture="mobilenet_v2", weights=None, route="frozen",
    ...                      region="whole", input_size=32, folds=2, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i, file in enumerate(files):
    ...         levels = np.random.default_rng(i).integers(20, 80 + 90 * (i % 2), (40, 40))
    ...         Image.fromarray(levels.astype(np.uint8)).save(Path(folder) / file)
    ...     study = ImageStudy(images=table, root=Path(folder))
    ...     predictions = cross_validate(study, config, n_jobs=1)
    >>> predictions["role"].unique().tolist(), len(predictions)
    (['out_of_fold'], 8)
    """
    check_count(n_jobs, name="n_jobs")
    tasks = checked_tasks(study, config)
    folder = study.root / "runs" / config.digest[:_DIGITS] if run_dir is None else Path(run_dir)
    labels = task_labels(study, config.classes, tasks)
    try:
        with run_lock(folder):
            prepared = prepare(
                study,
                Preparation.of(config),
                cache_dir=folder / "cache",
                report=reporter(progress, "reading images"),
            )
            ties = shared_pictures(study, prepared, labels)
            folds = checked_folds(study, config, labels, ties, splits)
            digests = mask_digests(study) if "segment" in tasks else None
            images = image_index(study, prepared, folds, labels, digests)
            run = begin_run(folder, config, images, folds)
            masks = _targets(study, config, prepared, tasks)
            _run_folds(run, prepared, masks, ties, progress, n_jobs)
            return assemble(study, run, tasks, masks)
    finally:
        if progress is not None:
            progress.close()


def plan_folds(
    study: ImageStudy,
    config: TrainConfig,
    *,
    cache_dir: str | Path,
    progress: Progress | None = None,
) -> Folds:
    """The folds that `cross_validate` would make, for several networks to share.

    Give it the table with all pictures of all patients: whoever shares one of them shares a fold
    in every network, and networks that see a part of them can be gated by, or averaged with, each
    other.

    Parameters
    ----------
    study : ImageStudy
        With labels.
    config : TrainConfig
        Its number of folds, seed and classes count.
    cache_dir : path
        Keeps what was read.
    progress : Progress, optional

    Returns
    -------
    Folds
        For `cross_validate(splits=...)`.

    Raises
    ------
    ImageError, OutcomeError, ResampleError, SchemaError
        As `cross_validate`.
    """
    labels = task_labels(study, config.classes, ("classify",))
    pair = (("gray", 1), ("doppler", 3)) if study.has_doppler.any() else ()
    looked_at = Preparation(
        region="whole", margins=(0.0,), input_size=32, colour="gray", blocks=pair
    )
    report = reporter(progress, "reading images")
    prepared = prepare(study, looked_at, cache_dir=Path(cache_dir), report=report)
    return checked_folds(study, config, labels, shared_pictures(study, prepared, labels), None)


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
        n_classes=mask_classes(config),
    )


def _run_folds(
    run: Run,
    prepared: PreparedImages,
    masks: Path | None,
    ties: Sequence[tuple[str, str]],
    progress: Progress | None,
    n_jobs: int,
) -> None:
    tasks = [fold_task(run, prepared, masks, ties, fold) for fold in range(run.folds.n_folds)]
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
    task = with_policy(task)
    network = train_fold(task)
    state = read_state(task.folder, task.identity)
    with steady_torch(epoch_seed(task.config, task.fold, START)):
        held_out = _held_out(network, task)
    _close_fold(task, network, held_out, state.facts)
    state.forget()


def _held_out(network: nn.Module, task: FoldTask) -> NDArray[np.float64]:
    """Logits of the held-out images, none of a segmenter; their masks are written."""
    views, rows, config = task.load_views(), task.held_out_rows, task.config
    shown = {"flip": config.flip_views, "tta": config.tta}
    if "segment" in task.tasks:
        folder = task.folder.parents[1] / "masks"
        write_masks(folder, rows, mask_logits(network, views, rows, **shown))
    if "classify" not in task.tasks:
        return np.empty(0)
    return logits(network, views, rows, **shown)


def _finish_frozen_fold(task: FoldTask, table: NDArray[np.float64]) -> None:
    seed = epoch_seed(task.config, task.fold, TUNING)
    head = fit_head(table[task.rows], task.labels, task.groups, task.config, seed=seed)
    network = frozen_network(task, head)
    held_out = head_logits(network, table[task.held_out_rows])
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
