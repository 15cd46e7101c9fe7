"""Changes an ultrasound image may undergo and keep its label, on whole batches at once."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from dl.config import AugmentConfig

__all__ = ["augment_batch", "augment_with_masks"]

_DARKEST = 1e-3


def augment_batch(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Change each image of a batch by its own random amounts.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
        Values in [0, 1]; not changed.
    config : AugmentConfig
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    (N, C, H, W) Tensor, values in [0, 1]

    Examples
    --------
    >>> x = torch.rand(2, 1, 8, 8)
    >>> bool((augment_batch(x, AugmentConfig.none(), Generator().manual_seed(1)) == x).all())
    True
    """
    return _change_levels(_move(images, None, config, generator)[0], config, generator)


def augment_with_masks(
    images: Tensor, masks: Tensor, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Change images as `augment_batch` does, and move their masks along.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
    masks : (N, H, W) int Tensor
        -1 where unknown. What comes in from outside is unknown, too.

    Returns
    -------
    (N, C, H, W) and (N, H, W) Tensor
        Masks are resampled by the nearest pixel.
    """
    moved, masks = _move(images, masks, config, generator)
    return _change_levels(moved, config, generator), masks


def _change_levels(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    changed = _brighten(images, config, generator)
    if config.speckle > 0:
        noise = torch.randn(changed[:, :1].shape, generator=generator)
        changed = changed * (1 + config.speckle * noise)
    if config.shadow > 0:
        changed = changed * _shadows(changed, config, generator)
    return changed.clamp(0, 1)


def _uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


def _move(
    images: Tensor, masks: Tensor | None, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor | None]:
    """Mirror, rotate, scale and shift in one resampling; what comes in from outside is black."""
    if not (config.flip or config.rotate or config.scale or config.translate):
        return images, masks
    n = len(images)
    mirror = torch.where(torch.rand(n, generator=generator) < config.flip, -1.0, 1.0)
    angle = _uniform(n, -config.rotate, config.rotate, generator) * (math.pi / 180)
    size = torch.exp(_uniform(n, -1, 1, generator) * math.log1p(config.scale))
    shift = _uniform(2 * n, -2 * config.translate, 2 * config.translate, generator).view(n, 2)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    theta = torch.stack(
        [
            torch.stack([cos * mirror, -sin * mirror, shift[:, 0]], dim=1),
            torch.stack([sin, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, align_corners=False)
    if masks is None:
        return moved, None
    shifted = (masks + 1)[:, None].to(images)  # 0, unknown, is what grid_sample finds outside
    nearest = grid_sample(shifted, grid, mode="nearest", align_corners=False)
    return moved, nearest[:, 0].round().to(masks.dtype) - 1


def _brighten(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    n = len(images)
    if config.gamma > 0:
        exponent = torch.exp(_uniform(n, -config.gamma, config.gamma, generator))
        images = images.clamp_min(_DARKEST) ** exponent.view(n, 1, 1, 1) * (images > 0)
    if config.gain > 0:
        gain = _uniform(n, -config.gain, config.gain, generator).view(n, 1, 1, 1)
        images = (images + gain * (images > 0)).clamp(0, 1)
    return images


def _shadows(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Transmission in [0, 1]: below a random depth a soft vertical band is darkened."""
    n, _, height, width = images.shape
    cast = torch.rand(n, generator=generator) < config.shadow
    centre = _uniform(n, 0.1, 0.9, generator).view(n, 1, 1, 1)
    half = _uniform(n, 0.04, 0.12, generator).view(n, 1, 1, 1)
    depth = _uniform(n, 0.2, 0.7, generator).view(n, 1, 1, 1)
    strength = (_uniform(n, 0.3, 0.7, generator) * cast).view(n, 1, 1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, 1, width)
    y = torch.linspace(0, 1, height).view(1, 1, height, 1)
    band = torch.exp(-(((x - centre) / half) ** 2)) * torch.sigmoid((y - depth) / 0.05)
    return 1 - strength * band
