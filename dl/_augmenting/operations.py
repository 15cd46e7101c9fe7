"""The operations of a policy, applied to batches of images and their masks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from dl._augmenting import changes
from dl._augmenting.changes import on_pictures, uniform
from dl._augmenting.moves import affine, degrees, warp
from dl.channels import ChannelLayout
from dl.photo import photograph_batch
from dl.policy import OPERATIONS, Operation, Policy

__all__ = ["apply_policy"]

_MOVEMENTS = ("rotate", "shear", "scale", "translate_x", "translate_y")
_SETTINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gain": changes.gain,
    "gamma": changes.gamma,
    "contrast": changes.contrast,
    "attenuation": changes.attenuation,
    "blur": changes.blur,
}
_CHANCES: dict[str, Callable[[Tensor, Tensor, Generator], Tensor]] = {
    "tgc": changes.tgc,
    "shadow": changes.shadow,
    "haze": changes.haze,
    "speckle": partial(changes.speckle, grain=1.0),
}


def apply_policy(
    images: Tensor,
    masks: Tensor | None,
    policy: Policy,
    generator: Generator,
    layout: ChannelLayout | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Change each image by one sub-policy, drawn with equal chances.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
        In [0, 1].
    masks : (N, H, W) int Tensor, optional
    policy : Policy
    generator : torch.Generator
    layout : ChannelLayout, optional

    Returns
    -------
    (N, C, H, W) Tensor in [0, 1], and the masks

    Examples
    --------
    >>> darker = Policy.of([[["gamma", 1.0, 0.5]]])
    >>> x = torch.full((1, 1, 2, 2), 0.5)
    >>> bool((apply_policy(x, None, darker, Generator().manual_seed(3))[0] != x).all())
    True
    """
    drawn = torch.rand(len(images), generator=generator, device=generator.device)
    chosen = (drawn * len(policy)).long().clamp_max(len(policy) - 1)
    for place in range(max(map(len, policy.sub_policies))):
        chance = uniform(len(images), 0, 1, generator)
        for number, sub_policy in enumerate(policy.sub_policies):
            if place >= len(sub_policy):
                continue
            step = sub_policy[place]
            happens = (chosen == number) & (chance < step.probability) & (step.magnitude > 0)
            images, masks = _on_some(images, masks, happens, step, generator, layout)
    return images, masks


def _on_some(
    images: Tensor,
    masks: Tensor | None,
    happens: Tensor,
    step: Operation,
    generator: Generator,
    layout: ChannelLayout | None,
) -> tuple[Tensor, Tensor | None]:
    rows = happens.nonzero()[:, 0].to(images.device)
    if not len(rows):
        return images, masks
    part = None if masks is None else masks[rows]
    changed, part = _operate(images[rows], part, step, generator, layout)
    images = images.index_copy(0, rows, changed)
    return images, masks if masks is None or part is None else masks.index_copy(0, rows, part)


def _operate(
    images: Tensor,
    masks: Tensor | None,
    step: Operation,
    generator: Generator,
    layout: ChannelLayout | None,
) -> tuple[Tensor, Tensor | None]:
    """One operation at its magnitude, either way where it has two."""
    n, name = len(images), step.name
    amount = torch.full((n,), step.magnitude, device=generator.device)
    if OPERATIONS[name].signed:
        amount = torch.where(uniform(n, -1, 1, generator) < 0, -amount, amount)
    if name in _MOVEMENTS:
        return warp(images, masks, _matrix(name, amount))
    if name == "photo":
        return photograph_batch(images, masks, amount, generator, layout)

    def change(picture: Tensor) -> Tensor:
        if name in _SETTINGS:
            return _SETTINGS[name](picture, amount).clamp(0, 1)
        return _CHANCES[name](picture, amount, generator).clamp(0, 1)

    return on_pictures(images, layout, change), masks


def _matrix(name: str, amount: Tensor) -> Tensor:
    """The affine matrices of one movement."""
    zero = torch.zeros_like(amount)
    x, y = (2 * amount if name == f"translate_{axis}" else zero for axis in "xy")
    bigger = amount.sign() * torch.log1p(amount.abs())
    return affine(
        angle=degrees(amount) if name == "rotate" else zero,
        size=torch.exp(bigger if name == "scale" else zero),
        shift=torch.stack([x, y], dim=1),
        shear=degrees(amount) if name == "shear" else None,
    )
