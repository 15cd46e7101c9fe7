"""One readable training loop: it sees the training and tuning labels of one fold, no others."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from dl.augment import augment_batch
from dl.config import TrainConfig
from dl.errors import TrainingError
from dl.inference import as_input, logits, steady_torch
from dl.losses import balanced_weights, binary_cross_entropy
from dl.registry import build
from dl.training_state import latest_state

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
        Their outcomes and patients (tied patients share a number).
    is_tuning : (k,) bool
        Which of them choose the epoch rather than train.
    held_out_rows : (m,) int
        Rows to predict when training is over. Their labels are not here.
    identity : mapping
        Hashes of configuration, data and folds.
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
        _shift_back(network, task)
        return network


def _new_network(config: TrainConfig) -> nn.Module:
    network = build(
        config.architecture,
        n_classes=1,
        in_channels=config.in_channels,
        weights=config.weights,
        dropout=config.dropout,
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = config.norm_momentum
    return network.to(memory_format=torch.channels_last)


def _new_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation are not decayed, the new head learns faster."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        peak = config.head_lr if name.startswith("head.") else config.lr
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
        x = augment_batch(as_input(views[rows, 0]), config.augment, generator)
        targets = torch.from_numpy(task.train_labels[batch]).float()
        loss = binary_cross_entropy(
            network(x)[:, 0], targets, weights=weights, label_smoothing=config.label_smoothing
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.grad_clip)
        _refuse_not_finite(loss.item() + norm.item(), task, rows, epoch, "loss or its gradient")
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(order)


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
    """Loss (unweighted, at the training prevalence) and AUC on the tuning rows."""
    answer = logits(network, views, task.tuning_rows, flip=False) - _log_weight_ratio(task)
    _refuse_not_finite(float(np.abs(answer).sum()), task, task.tuning_rows, epoch, "tuning logits")
    targets = torch.from_numpy(task.tuning_labels).double()
    loss = binary_cross_entropy(torch.from_numpy(answer), targets)
    return {
        "tuning_loss": float(loss),
        "tuning_auc": float(roc_auc_score(task.tuning_labels, answer)),
    }


def _class_weights(task: FoldTask) -> tuple[float, float]:
    if task.config.class_weights == "none":
        return 1.0, 1.0
    return balanced_weights(task.train_labels)


def _log_weight_ratio(task: FoldTask) -> float:
    low, high = _class_weights(task)
    return math.log(high / low)


def _shift_back(network: nn.Module, task: FoldTask) -> None:
    """Undo the shift of the logit that class weights caused."""
    with torch.no_grad():
        network.head.bias -= _log_weight_ratio(task)
