"""What a fold's network is trained for: the loss of class, of mask, or of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dl.config import TrainConfig
from dl.errors import ConfigError
from dl.losses import (
    UncertaintyWeights,
    balanced_weights,
    binary_cross_entropy,
    cross_entropy,
    deep_supervision,
    dice_cross_entropy,
    focal,
    multitask_loss,
)

__all__ = ["Objective", "check_tasks"]

Answer = Tensor | Sequence[Tensor]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss of a batch, and what its class weights do to the logits.

    Attributes
    ----------
    config : TrainConfig
    class_weights : tuple of float
        Of the cross-entropy, one a class; from the training rows of the fold.
    task_weights : UncertaintyWeights, optional
        Learned weights of class and mask; 1 and 1 without them.
    """

    config: TrainConfig
    class_weights: tuple[float, ...]
    task_weights: UncertaintyWeights | None = None

    @classmethod
    def of(cls, config: TrainConfig, train_labels: NDArray[np.int64]) -> Objective:
        """The configured loss, its class weights counted on the training rows."""
        learned = config.task_weights == "uncertainty"
        return cls(
            config=config,
            class_weights=_class_weights(config, train_labels),
            task_weights=UncertaintyWeights() if learned else None,
        )

    def loss(self, answer: Answer, labels: Tensor, masks: Tensor | None = None) -> Tensor:
        """Of a batch.

        Parameters
        ----------
        answer : Tensor or sequence of Tensor
            Class logits (N, K), or those of several heads; with `masks`, mask logits, or class and
            mask logits.
        labels : (N,) int Tensor
        masks : (N, H, W) int Tensor, optional
        """
        if masks is None:
            if isinstance(answer, Tensor):
                return self.of_classes(answer, labels)
            return deep_supervision(answer, labels, loss=self.of_classes)
        if isinstance(answer, Tensor):
            return dice_cross_entropy(answer, masks)
        options = {} if self.task_weights is None else {"weights": self.task_weights}
        classify, segment = answer
        return multitask_loss(
            (classify, segment), labels, masks, classify=self.of_classes, **options
        ).total

    def of_classes(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The configured loss of (N, 1) or (N, K) logits."""
        config = self.config
        if config.loss == "focal":
            return focal(logits, labels, gamma=config.gamma, alpha=config.alpha)
        options = {"weights": self.class_weights, "label_smoothing": config.label_smoothing}
        if config.classes is None and bool((labels >= 0).all()):
            return binary_cross_entropy(logits[:, 0], labels.float(), **options)
        return cross_entropy(logits, labels, **options)

    @property
    def log_weights(self) -> NDArray[np.float64]:
        """What class weights add to each logit: (1,) or (K,)."""
        if self.config.classes is None:
            return np.array([math.log(self.class_weights[1] / self.class_weights[0])])
        return np.log(self.class_weights)

    def shift_back(self, network: nn.Module) -> None:
        """Take the shift that class weights caused out of the last layer's bias."""
        last = network.head[-1] if isinstance(network.head, nn.Sequential) else network.head
        with torch.no_grad():
            last.bias -= torch.from_numpy(self.log_weights).to(last.bias)


def check_tasks(config: TrainConfig, tasks: Sequence[str]) -> None:
    """Refuse settings of the loss that the network's tasks give no meaning.

    Raises
    ------
    ConfigError
    """
    if config.task_weights == "uncertainty" and len(tasks) < 2:
        msg = (
            f'task_weights="uncertainty" weighs class against mask, and {config.architecture!r} '
            f"has one task only ({tasks[0]}); leave it out."
        )
        raise ConfigError(msg)


def _class_weights(config: TrainConfig, labels: NDArray[np.int64]) -> tuple[float, ...]:
    if config.class_weights == "none":
        return (1.0,) * config.n_classes
    return balanced_weights(labels[labels >= 0], n_classes=config.n_classes)
