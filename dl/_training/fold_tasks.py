"""Who trains on whom: what a run asks for, its folds, and what each of them may know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dl._networks.stacked import channel_layout
from dl._training.fold import FoldTask, epoch_seed
from dl._training.objective import check_tasks
from dl._training.world import training_device
from dl.config import TrainConfig
from dl.data import ImageStudy, check_study
from dl.errors import ConfigError
from dl.gates import refuse_other_folds
from dl.network import entry, tasks_of
from dl.prepare import PreparedImages
from dl.run_folder import Run
from usstats._grouping import patients_of, tied_groups
from usstats.errors import ArgumentError, LeakageError, SchemaError
from usstats.splits import Folds, make_folds, tuning_split

__all__ = ["TUNING", "checked_folds", "checked_tasks", "fold_task", "shared_pictures"]

#: What the random numbers of a fold are for, beside those of a fold.
TUNING = 3


def checked_tasks(study: ImageStudy, config: TrainConfig) -> tuple[str, ...]:
    """What the network is trained for.

    Raises
    ------
    ArgumentError
        Something else than a study and a configuration.
    ConfigError
        Settings that the network cannot use, or a GPU where there is none.
    SchemaError
        A network of two images and no Doppler image, or one that segments and no mask.
    """
    check_study(study)
    if not isinstance(config, TrainConfig):
        msg = (
            f"`config` must be a TrainConfig; got {type(config).__name__}. TrainConfig.from_dict "
            "makes one of plain values."
        )
        raise ArgumentError(msg)
    tasks = tasks_of(config.architecture)
    check_tasks(config, tasks)
    if config.policy_search is not None:
        config.policy_search.check_tasks(tasks)
    training_device(config.device)
    if "doppler" in channel_layout(config).names:
        _check_pairs(study, config)
    if "segment" in tasks and (config.region, config.route) != ("whole", "finetune"):
        msg = (
            'A network that segments needs region="whole" (a box made from the mask would tell '
            'where the mask is) and route="finetune".'
        )
        raise ConfigError(msg)
    if "segment" in tasks and not study.has_mask.any():
        msg = f"{config.architecture!r} learns from outlines, and no row has a `mask`; name them."
        raise SchemaError(msg)
    if tasks == ("segment",) and config.classes is not None:
        msg = "A network that only segments has no `classes`; leave them out."
        raise ConfigError(msg)
    return tasks


def _check_pairs(study: ImageStudy, config: TrainConfig) -> None:
    if config.route != "finetune":
        msg = f'{config.architecture!r} takes two images and needs route="finetune".'
        raise ConfigError(msg)
    used = (entry(config.architecture).options | config.options).get("dual", True)
    if used and not study.has_doppler.any():
        msg = (
            f"{config.architecture!r} takes gray and Doppler images, and no row has a "
            "`doppler_path`. Pair the table with `dl.pairing.pair_images`, or train on the gray "
            'images alone: options={"dual": False}.'
        )
        raise SchemaError(msg)


def _strata(labels: NDArray[np.int64], config: TrainConfig) -> tuple[NDArray[np.int64], int]:
    """What patients are dealt by, and its number of levels; unlabelled ones as of class 0."""
    return np.maximum(labels, 0), config.n_classes if (labels >= 0).any() else 1


def shared_pictures(
    study: ImageStudy, prepared: PreparedImages, labels: NDArray[np.int64]
) -> list[tuple[str, str]]:
    """Pairs of patients who share a picture, gray or Doppler.

    Raises
    ------
    SchemaError
        One file under two labels: at least one of them is wrong.
    """
    patients = study.patients
    seen: dict[str, int] = {}
    for row, digest in prepared.pictures:
        first = seen.setdefault(digest, row)
        if labels[first] != labels[row]:
            msg = (
                f"Rows {first} and {row} (counted from 0) hold the same file under two labels. "
                "Correct the table before training."
            )
            raise SchemaError(msg)
    pairs = prepared.duplicates().tolist()
    return [(patients[i], patients[j]) for i, j in pairs if patients[i] != patients[j]]


def checked_folds(
    study: ImageStudy,
    config: TrainConfig,
    labels: NDArray[np.int64],
    ties: Sequence[tuple[str, str]],
    splits: Folds | None,
) -> Folds:
    """The folds of a run, made or given; whoever shares a picture shares a fold.

    Raises
    ------
    ArgumentError, LeakageError
        The given ones are of another number or study, part such patients, or are not those the
        gates were predicted in.
    """
    if splits is None:
        splits = _dealt(study, config, labels, ties)
    else:
        _check_given(study, config, ties, splits)
    refuse_other_folds(study, splits)
    return splits


def _dealt(
    study: ImageStudy,
    config: TrainConfig,
    labels: NDArray[np.int64],
    ties: Sequence[tuple[str, str]],
) -> Folds:
    strata, n_strata = _strata(labels, config)
    return make_folds(
        strata,
        study.patients,
        n_folds=config.folds,
        seed=config.seed,
        keep_together=ties,
        n_classes=n_strata,
    )


def _check_given(
    study: ImageStudy, config: TrainConfig, ties: Sequence[tuple[str, str]], splits: Folds
) -> None:
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


def fold_task(
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
