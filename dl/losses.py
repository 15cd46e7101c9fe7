"""Losses of an image's class, and of class and mask together; all take logits.

A label of MISSING leaves its row out. Weighted losses are means over rows of weight times loss, not
divided by the sum of the weights, so that a batch of the rare class keeps its say. Losses of masks
come from `dl._training.mask_losses` and are offered here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    log_softmax,
    logsigmoid,
    one_hot,
)

from dl._training.loss_input import MISSING, class_weights, known_rows, mean_or_zero
from dl._training.mask_losses import dice_cross_entropy, pixel_cross_entropy, soft_dice
from usstats.errors import ArgumentError, OutcomeError

__all__ = [
    "MISSING",
    "TaskLosses",
    "UncertaintyWeights",
    "balanced_weights",
    "binary_cross_entropy",
    "cross_entropy",
    "deep_supervision",
    "dice_cross_entropy",
    "focal",
    "multitask_loss",
    "pixel_cross_entropy",
    "remove_prior_shift",
    "soft_dice",
]

Loss = Callable[[Tensor, Tensor], Tensor]


def balanced_weights(labels: ArrayLike, *, n_classes: int = 2) -> tuple[float, ...]:
    """Weights, one a class, that give all classes the same total.

    A network trained with them answers odds times the ratio of the weights;
    `remove_prior_shift` takes that out again.

    Raises
    ------
    OutcomeError
        A class without a case.

    Examples
    --------
    >>> balanced_weights([0, 0, 0, 1])
    (0.6666666666666666, 2.0)
    """
    counts = np.bincount(np.asarray(labels, dtype=int), minlength=n_classes)
    if (counts == 0).any() or len(counts) > n_classes:
        msg = (
            f"`labels` must hold each of the classes 0 to {n_classes - 1}; "
            f"the counts are {counts.tolist()}."
        )
        raise OutcomeError(msg)
    return tuple((counts.sum() / (n_classes * counts)).tolist())


def remove_prior_shift(logits: Tensor, weights: Sequence[float]) -> Tensor:
    """Logits at the prevalence the network was trained at, from one trained with class weights.

    Parameters
    ----------
    logits : (N, 1) or (N, K) Tensor
    weights : sequence of float
        Of the non-events and the events, or of the K classes, as the loss had them. Exact for
        cross-entropy without label smoothing; a focal loss needs calibration whatever its weights.

    Examples
    --------
    >>> remove_prior_shift(torch.tensor([[0.0]]), (0.5, 2.0))
    tensor([[-1.3863]])
    """
    shift = class_weights(weights, logits.shape[-1], logits).log()
    return logits - (shift[1] - shift[0] if logits.shape[-1] == 1 else shift)


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: Sequence[float] = (1.0, 1.0),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean cross-entropy of a single logit.

    Parameters
    ----------
    logits, targets : (N,) Tensor
        Targets are 0 or 1.
    weights : (float, float)
        Of non-events and events.
    label_smoothing : float
        Targets move to label_smoothing / 2 and 1 - label_smoothing / 2.

    Examples
    --------
    >>> round(binary_cross_entropy(torch.tensor([0.0]), torch.tensor([1.0])).item(), 4)
    0.6931
    """
    smoothed = targets * (1 - label_smoothing) + label_smoothing / 2
    weight = targets * weights[1] + (1 - targets) * weights[0]
    return binary_cross_entropy_with_logits(logits, smoothed, weight=weight)


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean cross-entropy over the rows that have a label.

    Parameters
    ----------
    logits : (N, 1) or (N, K) Tensor
        One logit of the event, or one a class.
    labels : (N,) int Tensor
        MISSING where unknown.
    weights : sequence of float, optional
        Of non-events and events, or of the K classes.
    label_smoothing : float
        e: the target becomes 1 - e for the label, plus e / K for every class.

    Raises
    ------
    PairingError, OutcomeError, ArgumentError

    Examples
    --------
    >>> round(cross_entropy(torch.zeros(2, 3), torch.tensor([2, -1])).item(), 4)
    1.0986
    """
    if not 0 <= label_smoothing < 1:
        msg = f"`label_smoothing` must lie in [0, 1); got {label_smoothing!r}."
        raise ArgumentError(msg)
    kept, codes = known_rows(logits, labels)
    log_p = _log_probabilities(kept)
    target = one_hot(codes, log_p.shape[1]).to(log_p)
    smoothed = target * (1 - label_smoothing) + label_smoothing / log_p.shape[1]
    weight = target @ class_weights(weights, kept.shape[1], kept)
    return mean_or_zero(-weight * (smoothed * log_p).sum(dim=1))


def focal(
    logits: Tensor,
    labels: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | Sequence[float] | None = None,
) -> Tensor:
    """Mean of alpha (1 - p)^gamma (-log p), p the probability of the label (Lin et al. 2017).

    Parameters
    ----------
    logits : (N, 1) or (N, K) Tensor
    labels : (N,) int Tensor
        MISSING where unknown.
    gamma : float
        0 gives cross-entropy.
    alpha : float or sequence of float, optional
        Weights of the classes, for example `balanced_weights` of the training fold. One number,
        for a single logit only, weighs events; 1 - alpha then weighs the others.

    Raises
    ------
    PairingError, OutcomeError, ArgumentError

    Examples
    --------
    >>> round(focal(torch.zeros(1, 1), torch.tensor([1]), gamma=2.0).item(), 4)
    0.1733
    """
    if not 0 <= gamma < math.inf:
        msg = f"`gamma` must be 0 or more; got {gamma!r}."
        raise ArgumentError(msg)
    kept, codes = known_rows(logits, labels)
    log_p = _log_probabilities(kept)
    chosen = one_hot(codes, log_p.shape[1]).bool()
    # The others' probabilities are summed on the log scale: 1 - p loses its digits near p = 1,
    # and with them the gradient of its power.
    log_other = log_p.masked_fill(chosen, -math.inf).logsumexp(dim=1)
    weight = class_weights(_alpha(alpha, kept.shape[1]), kept.shape[1], kept)[codes]
    log_own = log_p.where(chosen, torch.zeros_like(log_p)).sum(dim=1)
    return mean_or_zero(-weight * torch.exp(gamma * log_other) * log_own)


def deep_supervision(
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    share: float = 0.3,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Loss of the first logits plus `share` times the mean loss of the others.

    Examples
    --------
    >>> heads = [torch.zeros(1, 1)] * 4
    >>> round((deep_supervision(heads, torch.tensor([1])) / math.log(2)).item(), 4)
    1.3
    """
    main, *others = (loss(each, labels) for each in logits)
    return main + share * torch.stack(others).mean() if others else main


class TaskLosses(NamedTuple):
    """The loss to be minimised, and its parts for the log (0 where no case has the task)."""

    total: Tensor
    classify: Tensor
    segment: Tensor


class UncertaintyWeights(nn.Module):
    """Learned weights of tasks: sum of exp(-s) loss + s / 2 (Kendall et al. 2018).

    A task that no case of the batch has moves nothing. The parameters belong into the optimiser.

    Examples
    --------
    >>> weigh = UncertaintyWeights(2)
    >>> weigh([torch.tensor(3.0), torch.tensor(0.0)], [True, False]).item()
    3.0
    """

    def __init__(self, n_tasks: int = 2) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(n_tasks))

    def forward(self, losses: Sequence[Tensor], present: Sequence[bool]) -> Tensor:
        s = self.log_variance
        there = s.new_tensor(present)
        return (there * (torch.exp(-s) * torch.stack(list(losses)) + s / 2)).sum()


def multitask_loss(
    logits: tuple[Tensor, Tensor],
    labels: Tensor,
    masks: Tensor,
    *,
    classify: Loss = cross_entropy,
    segment: Loss = dice_cross_entropy,
    weights: Sequence[float] | UncertaintyWeights = (1.0, 1.0),
) -> TaskLosses:
    """Loss of class and mask; a case without a label, or without a mask, gives only its task.

    Parameters
    ----------
    logits : (classify, segment)
        As a network of two tasks returns them.
    labels : (N,) int Tensor
        MISSING where unknown.
    masks : (N, H, W) int Tensor
        MISSING in the pixels that are unknown, for an image without a mask in all.
    classify, segment : callable
        (logits, truth) -> loss, for example `functools.partial(focal, gamma=2.0)`.
    weights : (float, float) or UncertaintyWeights
        Of the two tasks.

    Examples
    --------
    >>> logits = torch.zeros(2, 1), torch.zeros(2, 1, 4, 4)
    >>> masks = torch.full((2, 4, 4), MISSING)
    >>> losses = multitask_loss(logits, torch.tensor([1, 0]), masks)
    >>> round(losses.total.item(), 4), losses.segment.item()
    (0.6931, 0.0)
    """
    parts = [classify(logits[0], labels), segment(logits[1], masks)]
    if isinstance(weights, UncertaintyWeights):
        present = [bool((truth != MISSING).any()) for truth in (labels, masks)]
        total = weights(parts, present)
    else:
        total = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    return TaskLosses(total=total, classify=parts[0].detach(), segment=parts[1].detach())


def _log_probabilities(logits: Tensor) -> Tensor:
    """Of every class; a single logit is the event's against the other class."""
    if logits.shape[1] == 1:
        return torch.cat([logsigmoid(-logits), logsigmoid(logits)], dim=1)
    return log_softmax(logits, dim=1)


def _alpha(alpha: float | Sequence[float] | None, n_logits: int) -> Sequence[float] | None:
    if not isinstance(alpha, int | float):
        return alpha
    if n_logits > 1 or not 0 < alpha < 1:
        msg = (
            f"A single `alpha` must lie inside (0, 1) and needs a single logit; got {alpha!r} for "
            f"{n_logits} logits. Give one weight a class."
        )
        raise ArgumentError(msg)
    return 1 - alpha, alpha
