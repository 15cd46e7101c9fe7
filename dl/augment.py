"""Changes an ultrasound image may undergo and keep its label, on whole batches at once.

Random numbers are drawn from the given generator alone, where it lives, a whole batch at a time:
the same batches in the same order are changed in the same way, on a CPU or a GPU; other batches are
changed otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from dl._augmenting import changes
from dl._augmenting.changes import each, on_pictures, uniform
from dl._augmenting.moves import affine, degrees, warp
from dl._augmenting.operations import apply_policy
from dl.channels import ChannelLayout
from dl.config import AugmentConfig
from dl.photo import photograph_batch
from dl.policy import Policy

__all__ = ["augment_batch", "augment_with_masks"]


def augment_batch(
    images: Tensor,
    config: AugmentConfig,
    generator: Generator,
    *,
    layout: ChannelLayout | None = None,
    policy: Policy | Sequence[Any] | None = None,
) -> Tensor:
    """Change each image of a batch by its own random amounts.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
        Values in [0, 1]; not changed.
    config : AugmentConfig
    generator : torch.Generator
        The only source of randomness.
    layout : ChannelLayout, optional
        What the channels hold. All of them move alike; levels of a mask are not changed, and
        Doppler colours keep their hue. By default all are one picture.
    policy : Policy, optional
        Or its plain JSON types. Applied first; `config` says what is done besides.

    Returns
    -------
    (N, C, H, W) Tensor, values in [0, 1]

    Examples
    --------
    >>> x = torch.rand(2, 1, 8, 8)
    >>> bool((augment_batch(x, AugmentConfig.none(), Generator().manual_seed(1)) == x).all())
    True
    """
    return augment_with_masks(images, None, config, generator, layout=layout, policy=policy)[0]


def augment_with_masks(
    images: Tensor,
    masks: Tensor | None,
    config: AugmentConfig,
    generator: Generator,
    *,
    layout: ChannelLayout | None = None,
    policy: Policy | Sequence[Any] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Change images as `augment_batch` does, and move their masks along.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
    masks : (N, H, W) int Tensor, optional
        -1 where unknown. What comes in from outside is unknown, too.
    config, generator, layout, policy
        As in `augment_batch`.

    Returns
    -------
    (N, C, H, W) and (N, H, W) Tensor
        Masks are resampled by the nearest pixel.
    """
    if policy is not None:
        images, masks = apply_policy(images, masks, Policy.of(policy), generator, layout)
    images, masks = _move(images, masks, config, generator)
    images = on_pictures(images, layout, lambda x: _change_levels(x, config, generator))
    if config.photo > 0:
        taken = uniform(len(images), 0, 1, generator) < config.photo
        strength = uniform(len(images), 0, config.photo_strength, generator) * taken
        images, masks = photograph_batch(images, masks, strength, generator, layout)
    return images, masks


def _move(
    images: Tensor, masks: Tensor | None, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor | None]:
    """Mirror, lean, rotate, scale and shift in one resampling; what comes from outside is black."""
    if not (config.flip or config.rotate or config.scale or config.translate or config.shear):
        return images, masks
    n = len(images)
    flipped = uniform(n, 0, 1, generator) < config.flip
    angle = degrees(uniform(n, -config.rotate, config.rotate, generator))
    size = torch.exp(uniform(n, -1, 1, generator) * math.log1p(config.scale))
    shift = uniform(2 * n, -2 * config.translate, 2 * config.translate, generator).view(n, 2)
    shear = None
    if config.shear > 0:
        shear = degrees(uniform(n, -config.shear, config.shear, generator))
    mirror = torch.where(flipped, -1.0, 1.0)
    theta = affine(angle=angle, size=size, shift=shift, mirror=mirror, shear=shear)
    return warp(images, masks, theta)


def _change_levels(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """From the scanner's settings to what lies in the beam's way, then the monitor's blur."""
    n = len(images)

    def within(low: float, high: float) -> Tensor:
        return uniform(n, low, high, generator)

    if config.gamma > 0:
        images = changes.gamma(images, within(-config.gamma, config.gamma))
    if config.gain > 0:
        images = changes.gain(images, within(-config.gain, config.gain))
    if config.attenuation > 0:
        images = changes.attenuation(images, within(0, config.attenuation))
    if config.tgc > 0:
        images = changes.tgc(images, torch.full((n,), config.tgc), generator)
    if config.speckle > 0:
        spread = torch.full((n,), config.speckle)
        images = changes.speckle(images, spread, generator, config.grain)
    if config.haze > 0:
        images = changes.haze(images, within(0, config.haze), generator)
    if config.shadow > 0:
        images = images * _shadows(images, config, generator)
    if config.blur > 0:
        images = changes.blur(images, within(0, config.blur))
    return images.clamp(0, 1)


def _shadows(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Transmission in [0, 1]; most images have no shadow."""
    cast = uniform(len(images), 0, 1, generator) < config.shadow
    band = changes.shadow_band(images, generator)
    strength = uniform(len(images), 0.3, 0.7, generator) * cast
    return 1 - each(strength, images) * band
