"""One readable training loop: it sees the training and tuning labels of one fold, no others."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from dl._networks.stacked import channel_layout, network_of
from dl._training.fold import BATCHES, DROPOUT, START, FoldTask, epoch_seed
from dl._training.objective import Objective
from dl._training.optimisation import Learner
from dl._training.training_state import latest_state
from dl._training.tuning import not_finite, tune
from dl._training.world import current_world, training_device
from dl.augment import augment_with_masks
from dl.config import TrainConfig
from dl.inference import as_input, steady_torch

__all__ = ["START", "FoldTask", "epoch_seed", "train_fold"]


def train_fold(task: FoldTask) -> nn.Module:
    """Train one fold, epoch by epoch, and return the network of its best tuning epoch.

    Every epoch ends with a checkpoint. A later call goes on from the latest one, to the same
    bits. In a process that `dl.distributed` has joined to others, all of them train the fold and
    the leading one tunes and writes.

    Returns
    -------
    Module
        On the CPU; the moving average where there is one.

    Raises
    ------
    TrainingError
        The loss or gradient is not finite; the rows of the batch are named, and the last good
        checkpoint stays.
    ConfigError
        A GPU is asked for and there is none.
    """
    config, world = task.config, current_world()
    device = training_device(config.device)
    if world.leads and world.size > 1:
        world.agreed(task.to_dict())
    with steady_torch(epoch_seed(config, task.fold, START)):
        torch.use_deterministic_algorithms(mode=device.type == "cpu")
        network = _new_network(config).to(device)
        objective = Objective.of(config, task.train_labels)
        learner = Learner(network, config, extra=objective.task_weights, world=world)
        views = task.load_views()
        state = latest_state(task.folder, learner, task.identity)
        while not state.is_over(config):
            state.add(world.agreed(_epoch(learner, objective, task, views, state.epoch)), config)
            if world.leads:
                state.write(learner)
        network = learner.predictor.cpu()
        if world.leads:
            state.load_best(network)
        if "classify" in task.tasks:
            objective.shift_back(network)
        return network


def _new_network(config: TrainConfig) -> nn.Module:
    network = network_of(config, weights=config.weights)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = config.norm_momentum
    return network.to(memory_format=torch.channels_last)


def _epoch(
    learner: Learner,
    objective: Objective,
    task: FoldTask,
    views: NDArray[np.uint8],
    epoch: int,
) -> dict[str, Any]:
    """Train an epoch and tell what it gave; the leading process alone tunes."""
    config, world, started = task.config, learner.world, time.perf_counter()
    torch.manual_seed(epoch_seed(config, task.fold, DROPOUT, epoch) + world.rank)
    train_loss = _train_epoch(learner, objective, task, views, epoch)
    if not world.leads:
        return {}
    record: dict[str, Any] = tune(learner.predictor, objective, task, views, epoch)
    record |= {"train_loss": train_loss, "epoch": epoch + 1, "epochs": config.epochs}
    record |= {"device": learner.device.type, "processes": world.size}
    record["seconds"] = round(time.perf_counter() - started, 2)
    return record


def _train_epoch(
    learner: Learner,
    objective: Objective,
    task: FoldTask,
    views: NDArray[np.uint8],
    epoch: int,
) -> float:
    """One pass over the training rows in random order; returns the mean loss."""
    config = task.config
    generator = Generator().manual_seed(epoch_seed(config, task.fold, BATCHES, epoch))
    order = torch.randperm(len(task.train_rows), generator=generator).numpy()
    batches = np.array_split(order, max(1, round(len(order) / config.batch_size)))
    learner.network.train()
    total = 0.0
    for i, batch in enumerate(batches):
        rows = task.train_rows[batch]
        labels = torch.from_numpy(task.train_labels[batch]).to(learner.device)
        x, masks = _augmented(task, views, rows, generator)
        answer = learner.answer(x)
        loss = objective.loss(answer, labels, None if masks is None else masks.to(learner.device))
        if not learner.step(loss, epoch + i / len(batches)):
            raise not_finite(task, rows, epoch, "loss or its gradient")
        total += loss.item() * len(batch)
    return total / len(order)


def _augmented(
    task: FoldTask, views: NDArray[np.uint8], rows: NDArray[np.int64], generator: Generator
) -> tuple[Tensor, Tensor | None]:
    """Images of a batch and, for a network that segments, their masks, changed at random."""
    x, config = as_input(views[rows, 0]), task.config
    masks = None if task.masks is None else task.load_masks(rows)
    layout, policy = channel_layout(config), config.policy
    return augment_with_masks(x, masks, config.augment, generator, layout=layout, policy=policy)
