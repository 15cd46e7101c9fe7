"""Losses; all take logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["balanced_weights", "binary_cross_entropy"]


def balanced_weights(labels: ArrayLike) -> tuple[float, float]:
    """Weights (non-event, event) that give both classes the same total.

    A network trained with them answers the odds times w1 / w0; its logit minus log(w1 / w0) is
    the logit at the prevalence it was trained at.

    Examples
    --------
    >>> balanced_weights([0, 0, 0, 1])
    (0.6666666666666666, 2.0)
    """
    counts = np.bincount(np.asarray(labels, dtype=int), minlength=2)
    low, high = (counts.sum() / (2 * counts)).tolist()
    return low, high


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: tuple[float, float] = (1.0, 1.0),
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
    >>> import torch
    >>> round(binary_cross_entropy(torch.tensor([0.0]), torch.tensor([1.0])).item(), 4)
    0.6931
    """
    smoothed = targets * (1 - label_smoothing) + label_smoothing / 2
    weight = targets * weights[1] + (1 - targets) * weights[0]
    return binary_cross_entropy_with_logits(logits, smoothed, weight=weight)
