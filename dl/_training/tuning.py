"""How good a network is on the tuning rows of its fold; this alone chooses the epoch."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score
from torch import nn

from dl._training.fold import FoldTask
from dl._training.mask_losses import dice_cross_entropy, soft_dice
from dl._training.objective import Objective
from dl.errors import TrainingError
from dl.inference import logits, mask_logits
from dl.losses import binary_cross_entropy, cross_entropy

__all__ = ["not_finite", "tune"]


def tune(
    network: nn.Module,
    objective: Objective,
    task: FoldTask,
    views: NDArray[np.uint8],
    epoch: int,
) -> dict[str, float]:
    """Losses and measures of the tasks on the tuning rows; the losses are added up.

    Class weights, focusing and learned task weights are left out, so that epochs are compared on
    one scale.

    Raises
    ------
    TrainingError
        Logits that are not finite, or tuning rows that cannot measure a task.
    """
    record = {"tuning_loss": 0.0}
    if "classify" in task.tasks:
        found = _tune_classes(network, objective, task, views, epoch)
        record |= found
    if "segment" in task.tasks:
        found = _tune_masks(network, task, views, epoch)
        record |= found | {"tuning_loss": record["tuning_loss"] + found["tuning_loss"]}
    return record


def not_finite(task: FoldTask, rows: NDArray[np.int64], epoch: int, what: str) -> TrainingError:
    """The error that names the rows of a batch that gave no finite number."""
    listed = ", ".join(map(str, rows.tolist()))
    kept = f"epoch {epoch} is kept" if epoch else "no epoch was finished"
    msg = (
        f"Fold {task.fold}, epoch {epoch + 1}: no finite {what} for image rows {listed}. "
        f"Lower `lr`, or look at these images; {kept}."
    )
    return TrainingError(msg)


def _tune_masks(
    network: nn.Module, task: FoldTask, views: NDArray[np.uint8], epoch: int
) -> dict[str, float]:
    """Loss and soft Dice of the tuning rows that have a mask."""
    answer = mask_logits(network, views, task.tuning_rows, flip=False)
    if not math.isfinite(float(answer.abs().sum())):
        raise not_finite(task, task.tuning_rows, epoch, "tuning logits")
    masks = task.load_masks(task.tuning_rows)
    if bool((masks < 0).all()):
        msg = f"Fold {task.fold}: no tuning image has a mask; add masks (column `mask`)."
        raise TrainingError(msg)
    return {
        "tuning_loss": float(dice_cross_entropy(answer, masks)),
        "tuning_dice": 1 - float(soft_dice(answer, masks)),
    }


def _tune_classes(
    network: nn.Module,
    objective: Objective,
    task: FoldTask,
    views: NDArray[np.uint8],
    epoch: int,
) -> dict[str, float]:
    """Log-loss (unweighted, at the training prevalence) and AUC of the rows with a label."""
    known = task.tuning_labels >= 0
    rows, labels = task.tuning_rows[known], task.tuning_labels[known]
    if len(np.unique(labels)) < 2:
        msg = f"Fold {task.fold}: the tuning images hold labels of one class only; add labels."
        raise TrainingError(msg)
    answer = logits(network, views, rows, flip=False) - objective.log_weights
    if not math.isfinite(float(np.abs(answer).sum())):
        raise not_finite(task, rows, epoch, "tuning logits")
    targets = torch.from_numpy(labels)
    if task.config.classes is None:
        loss = binary_cross_entropy(torch.from_numpy(answer), targets.double())
    else:
        loss = cross_entropy(torch.from_numpy(answer), targets)
    return {"tuning_loss": float(loss), "tuning_auc": _auc(labels, answer)}


def _auc(labels: NDArray[np.int64], answer: NDArray[np.float64]) -> float:
    """Of the event; of several classes the mean over each against the others."""
    if answer.ndim == 1:
        return float(roc_auc_score(labels, answer))
    odds = log_softmax(answer, axis=1)
    return float(np.mean([roc_auc_score(labels == k, odds[:, k]) for k in np.unique(labels)]))
