"""One readable training loop: it sees the training and tuning labels of one fold, no others."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from dl.augment import augment_batch, augment_with_masks
from dl.config import TrainConfig
from dl.errors import TrainingError
from dl.inference import as_input, logits, steady_torch
from dl.losses import (
    balanced_weights,
    binary_cross_entropy,
    cross_entropy,
    deep_supervision,
    dice_cross_entropy,
    focal,
    multitask_loss,
    soft_dice,
)
from dl.registry import build
from dl.segment import mask_logits
from dl.training_state import latest_state
from usstats.errors import LeakageError

__all__ = ["FoldTask", "epoch_seed", "train_fold"]

#: What the random numbers of a fold are for.
START, BATCHES, DROPOUT = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """All that training may know of one fold.

    Attributes
    ----------
    config : TrainConfig
    fold : int
    folder : Path
        Where the fold's files go.
    views : Path
        Array file of the prepared images.
    rows : (k,) int
        Rows of that array that belong to patients of the other folds.
    labels, groups : (k,) int
        Their outcomes (-1 where unknown, beside a mask) and patients (tied patients share a
        number).
    is_tuning : (k,) bool
        Which of them choose the epoch rather than train.
    held_out_rows : (m,) int
        Rows to predict when training is over. Their labels are not here.
    identity : mapping
        Hashes of configuration, data and folds.
    tasks : tuple of str
        "classify", "segment" or both.
    masks : Path, optional
        Array file of the masks. Only the rows of `rows` are looked at.
    """

    config: TrainConfig
    fold: int
    folder: Path
    views: Path
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    is_tuning: NDArray[np.bool_]
    held_out_rows: NDArray[np.int64]
    identity: dict[str, str]
    tasks: tuple[str, ...] = ("classify",)
    masks: Path | None = None

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows whose gradient is taken."""
        return self.rows[~self.is_tuning]

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """Their outcomes."""
        return self.labels[~self.is_tuning]

    @property
    def tuning_rows(self) -> NDArray[np.int64]:
        """Rows that choose the epoch."""
        return self.rows[self.is_tuning]

    @property
    def tuning_labels(self) -> NDArray[np.int64]:
        """Their outcomes."""
        return self.labels[self.is_tuning]

    def load_views(self) -> NDArray[np.uint8]:
        """The prepared images, mapped."""
        return np.load(self.views, mmap_mode="r", allow_pickle=False)

    def load_masks(self, rows: NDArray[np.int64]) -> Tensor:
        """Masks of some of the fold's own rows, (k, size, size)."""
        if not np.isin(rows, self.rows).all():
            msg = "A held-out mask was asked for in training."
            raise LeakageError(msg)
        masks = np.load(self.masks, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(masks[rows].astype(np.int64))


def epoch_seed(config: TrainConfig, fold: int, purpose: int, epoch: int = 0) -> int:
    """A seed of its own for every fold, purpose and epoch.

    No random state outlives an epoch, so that a run that was killed goes on with the numbers it
    would have drawn.
    """
    children = np.random.SeedSequence([config.seed, fold, purpose, epoch])
    return int(children.generate_state(1, np.uint64)[0] >> np.uint64(1))


def train_fold(task: FoldTask) -> nn.Module:
    """Train one fold, epoch by epoch, and return the network of its best tuning epoch.

    Every epoch ends with a checkpoint. A later call goes on from the latest one, to the same
    bits.

    Raises
    ------
    TrainingError
        The loss or gradient is not finite; the rows of the batch are named, and the last good
        checkpoint stays.
    """
    config = task.config
    with steady_torch(epoch_seed(config, task.fold, START)):
        network = _new_network(config)
        optimiser = _new_optimiser(network, config)
        views = task.load_views()
        state = latest_state(task.folder, network, optimiser, task.identity)
        for epoch in range(state.epoch, config.epochs):
            started = time.perf_counter()
            torch.manual_seed(epoch_seed(config, task.fold, DROPOUT, epoch))
            train_loss = _train_epoch(network, optimiser, task, views, epoch)
            record = _tune(network, task, views, epoch)
            record |= {"train_loss": train_loss, "epoch": epoch + 1, "epochs": config.epochs}
            record["seconds"] = round(time.perf_counter() - started, 2)
            state.finish_epoch(network, optimiser, record)
        state.load_best(network)
        if "classify" in task.tasks:
            _shift_back(network, task)
        return network


def _new_network(config: TrainConfig) -> nn.Module:
    network = build(
        config.architecture,
        n_classes=config.n_logits,
        in_channels=config.in_channels,
        weights=config.weights,
        dropout=config.dropout,
        **config.options,
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = config.norm_momentum
    return network.to(memory_format=torch.channels_last)


def _new_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation are not decayed, what is new learns faster."""
    new = getattr(network, "new_parts", ("head",))
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        peak = config.head_lr if name.partition(".")[0] in new else config.lr
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((peak, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "lr": peak, "peak_lr": peak, "weight_decay": decay}
            for (peak, decay), members in groups.items()
        ]
    )


def _train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    task: FoldTask,
    views: NDArray[np.uint8],
    epoch: int,
) -> float:
    """One pass over the training rows in random order; returns the mean loss."""
    config = task.config
    seed = epoch_seed(config, task.fold, BATCHES, epoch)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(task.train_rows), generator=generator).numpy()
    batches = np.array_split(order, max(1, round(len(order) / config.batch_size)))
    weights = _class_weights(task)
    network.train()
    total = 0.0
    for i, batch in enumerate(batches):
        _set_learning_rate(optimiser, config, epoch + i / len(batches))
        rows = task.train_rows[batch]
        labels = torch.from_numpy(task.train_labels[batch])
        x = as_input(views[rows, 0])
        if task.masks is None:
            x = augment_batch(x, config.augment, generator)
            loss = _batch_loss(network, x, labels, config, weights)
        else:
            masks = task.load_masks(rows)
            x, masks = augment_with_masks(x, masks, config.augment, generator)
            loss = _mask_loss(network(x), labels, masks, config, weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.grad_clip)
        _refuse_not_finite(loss.item() + norm.item(), task, rows, epoch, "loss or its gradient")
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(order)


def _batch_loss(
    network: nn.Module,
    x: Tensor,
    labels: Tensor,
    config: TrainConfig,
    weights: tuple[float, ...],
) -> Tensor:
    loss = partial(_class_loss, config=config, weights=weights)
    if getattr(network, "deep_heads", None) is None:
        return loss(network(x), labels)
    return deep_supervision(network(x, auxiliary=True), labels, loss=loss)


def _mask_loss(
    answer: Tensor | tuple[Tensor, Tensor],
    labels: Tensor,
    masks: Tensor,
    config: TrainConfig,
    weights: tuple[float, ...],
) -> Tensor:
    """Of a segmenter, or of class and mask together."""
    if isinstance(answer, Tensor):
        return dice_cross_entropy(answer, masks)
    classify = partial(_class_loss, config=config, weights=weights)
    return multitask_loss(answer, labels, masks, classify=classify).total


def _class_loss(
    answer: Tensor, labels: Tensor, *, config: TrainConfig, weights: tuple[float, ...]
) -> Tensor:
    """The configured loss of (N, 1) or (N, K) logits."""
    if config.loss == "focal":
        return focal(answer, labels, gamma=config.gamma, alpha=config.alpha)
    options = {"weights": weights, "label_smoothing": config.label_smoothing}
    if config.classes is None and bool((labels >= 0).all()):
        return binary_cross_entropy(answer[:, 0], labels.float(), **options)
    return cross_entropy(answer, labels, **options)


def _set_learning_rate(
    optimiser: torch.optim.Optimizer, config: TrainConfig, progress: float
) -> None:
    """Linear warm-up, then half a cosine to zero; `progress` counts epochs."""
    warm = config.warmup_epochs
    if progress < warm:
        share = (progress + 0.1) / (warm + 0.1)
    elif config.schedule == "constant":
        share = 1.0
    else:
        done = (progress - warm) / max(config.epochs - warm, 1e-9)
        share = 0.5 * (1 + math.cos(math.pi * done))
    for group in optimiser.param_groups:
        group["lr"] = share * group["peak_lr"]


def _refuse_not_finite(
    value: float, task: FoldTask, rows: NDArray[Any], epoch: int, what: str
) -> None:
    if not math.isfinite(value):
        listed = ", ".join(map(str, rows.tolist()))
        msg = (
            f"Fold {task.fold}, epoch {epoch + 1}: no finite {what} for image rows {listed}. "
            "Lower `lr`, or look at these images; the last good epoch is kept."
        )
        raise TrainingError(msg)


def _tune(
    network: nn.Module, task: FoldTask, views: NDArray[np.uint8], epoch: int
) -> dict[str, float]:
    """Losses and measures of the tasks on the tuning rows; the losses are added up."""
    record = {"tuning_loss": 0.0}
    for name in task.tasks:
        found = {"classify": _tune_classes, "segment": _tune_masks}[name](
            network, task, views, epoch
        )
        record |= found | {"tuning_loss": record["tuning_loss"] + found["tuning_loss"]}
    return record


def _tune_masks(
    network: nn.Module, task: FoldTask, views: NDArray[np.uint8], epoch: int
) -> dict[str, float]:
    """Loss and soft Dice of the tuning rows that have a mask."""
    answer = mask_logits(network, views, task.tuning_rows, flip=False)
    _refuse_not_finite(float(answer.abs().sum()), task, task.tuning_rows, epoch, "tuning logits")
    masks = task.load_masks(task.tuning_rows)
    if bool((masks < 0).all()):
        msg = f"Fold {task.fold}: no tuning image has a mask; add masks (column `mask`)."
        raise TrainingError(msg)
    return {
        "tuning_loss": float(dice_cross_entropy(answer, masks)),
        "tuning_dice": 1 - float(soft_dice(answer, masks)),
    }


def _tune_classes(
    network: nn.Module, task: FoldTask, views: NDArray[np.uint8], epoch: int
) -> dict[str, float]:
    """Log-loss (unweighted, at the training prevalence) and AUC of the rows with a label."""
    known = task.tuning_labels >= 0
    rows, labels = task.tuning_rows[known], task.tuning_labels[known]
    if len(np.unique(labels)) < 2:
        msg = f"Fold {task.fold}: the tuning images hold labels of one class only; add labels."
        raise TrainingError(msg)
    answer = logits(network, views, rows, flip=False) - _log_weights(task)
    _refuse_not_finite(float(np.abs(answer).sum()), task, rows, epoch, "tuning logits")
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


def _class_weights(task: FoldTask) -> tuple[float, ...]:
    n_classes = task.config.n_classes
    if task.config.class_weights == "none":
        return (1.0,) * n_classes
    known = task.train_labels[task.train_labels >= 0]
    return balanced_weights(known, n_classes=n_classes)


def _log_weights(task: FoldTask) -> NDArray[np.float64]:
    """What class weights add to each logit, as `remove_prior_shift` takes it out: (1,) or (K,)."""
    weights = _class_weights(task)
    if task.config.classes is None:
        return np.array([math.log(weights[1] / weights[0])])
    return np.log(weights)


def _shift_back(network: nn.Module, task: FoldTask) -> None:
    """Undo the shift of the logits that class weights caused, in the last layer's bias."""
    last = network.head[-1] if isinstance(network.head, nn.Sequential) else network.head
    with torch.no_grad():
        last.bias -= torch.from_numpy(_log_weights(task)).to(last.bias)
