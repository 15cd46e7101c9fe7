"""Losses of masks; all take logits. Pixels of MISSING are left out, and images of nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, one_hot

from dl._training.loss_input import (
    MISSING,
    check_codes,
    class_weights,
    mean_or_zero,
    single_precision,
)
from usstats.errors import ArgumentError, PairingError

__all__ = ["dice_cross_entropy", "pixel_cross_entropy", "soft_dice"]

#: Added to both areas, in pixels: an empty mask answered by an empty one has a Dice of 1.
SMOOTH = 1.0


def soft_dice(
    logits: Tensor,
    masks: Tensor,
    *,
    weights: Sequence[float] | None = None,
    background: bool = False,
    smooth: float = SMOOTH,
) -> Tensor:
    """Mean over images of 1 - soft Dice; 0 where the mask is met.

    Per image and class: (2 sum p t + smooth) / (sum p + sum t + smooth).

    Parameters
    ----------
    logits : (N, 1, H, W) or (N, K, H, W) Tensor
        One logit a pixel, or one a class with the background first.
    masks : (N, H, W) int Tensor
        Class of every pixel, MISSING where unknown.
    weights : sequence of float, optional
        Of the classes in their mean, the background's included.
    background : bool
        Count the background's Dice too; a single logit has none.
    smooth : float

    Raises
    ------
    PairingError, OutcomeError, ArgumentError

    References
    ----------
    Milletari et al. (2016), 3DV.

    Examples
    --------
    >>> masks = torch.tensor([[[0, 1], [1, 1]]])
    >>> round(soft_dice(100.0 * (2 * masks[:, None] - 1), masks).item(), 6)
    0.0
    """
    log_p, target, there = _pixels(logits, masks)
    p, t = log_p.exp() * there, target * there
    areas = p.sum(dim=(2, 3)) + t.sum(dim=(2, 3))
    dice = (2 * (p * t).sum(dim=(2, 3)) + smooth) / (areas + smooth)
    first = 0 if background and logits.shape[1] > 1 else 1
    weight = class_weights(weights, logits.shape[1], dice)[first:]
    return mean_or_zero(((1 - dice[:, first:]) * weight).sum(dim=1) / weight.sum())


def pixel_cross_entropy(
    logits: Tensor, masks: Tensor, *, weights: Sequence[float] | None = None
) -> Tensor:
    """Mean cross-entropy of an image's known pixels, then the mean over images.

    Parameters
    ----------
    logits, masks : as in `soft_dice`
    weights : sequence of float, optional
        Of the pixels of each class, or of those outside and inside.

    Examples
    --------
    >>> round(pixel_cross_entropy(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2)).item(), 4)
    0.6931
    """
    log_p, target, there = _pixels(logits, masks)
    weight = class_weights(weights, logits.shape[1], log_p)[:, None, None]
    terms = -(weight * target * log_p * there).sum(dim=(1, 2, 3))
    return mean_or_zero(terms / there.sum(dim=(1, 2, 3)))


def dice_cross_entropy(
    logits: Tensor,
    masks: Tensor,
    *,
    dice: float = 1.0,
    cross_entropy: float = 1.0,
    weights: Sequence[float] | None = None,
    background: bool = False,
) -> Tensor:
    """`dice` times the soft Dice loss plus `cross_entropy` times that of the pixels.

    Parameters
    ----------
    logits, masks, weights, background : as in `soft_dice`
    dice, cross_entropy : float
        Shares of the two.

    Raises
    ------
    PairingError, OutcomeError, ArgumentError
    """
    if dice < 0 or cross_entropy < 0 or dice + cross_entropy == 0:
        msg = f"`dice` and `cross_entropy` must be 0 or more, not both 0; got {dice!r}, " + (
            f"{cross_entropy!r}."
        )
        raise ArgumentError(msg)
    overlap = soft_dice(logits, masks, weights=weights, background=background)
    return dice * overlap + cross_entropy * pixel_cross_entropy(logits, masks, weights=weights)


def _pixels(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, targets (both n, classes, H, W) and known pixels (n, 1, H, W).

    Only images with a known pixel are among the n.
    """
    if logits.ndim != 4 or masks.shape != (len(logits), *logits.shape[2:]):
        msg = (
            f"Logits must be (N, classes, H, W) and masks (N, H, W); got {tuple(logits.shape)} "
            f"and {tuple(masks.shape)}."
        )
        raise PairingError(msg)
    codes = masks.long()
    check_codes(codes, logits.shape[1], "masks")
    there = codes != MISSING
    rows = there.flatten(1).any(dim=1)
    kept, codes, there = single_precision(logits[rows]), codes[rows], there[rows][:, None]
    if logits.shape[1] == 1:
        log_p = torch.cat([logsigmoid(-kept), logsigmoid(kept)], dim=1)
    else:
        log_p = log_softmax(kept, dim=1)
    target = one_hot(codes.clamp(min=0), log_p.shape[1]).movedim(-1, 1)
    return log_p, target.to(log_p), there.to(log_p)
