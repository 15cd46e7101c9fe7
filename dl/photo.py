"""A telephone's photo of a screen that shows an ultrasound image.

In the order in which light goes: the screen is seen at an angle, out of focus, through the grid of
its pixels, which beats with the grid of the sensor (moire); lamps are reflected in it (glare), the
room lifts its black, the lens darkens the corners; the camera errs in exposure and white balance,
adds noise, and writes JPEG.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from dl._augmenting.changes import blur, each, normal, uniform
from dl._augmenting.jpeg import compress
from dl._augmenting.moves import plain_grid, projective_grid, resample
from dl.channels import ChannelLayout
from dl.geometry import check_pixels
from usstats.errors import ArgumentError

__all__ = ["photograph", "photograph_batch"]

_LUMA = (0.299, 0.587, 0.114)
#: Width of the screen's frame, in halves of the image's side.
_FRAME = 0.05


def photograph(
    image: NDArray[np.uint8], rng: np.random.Generator, *, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Photograph the screen that shows an image.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    rng : numpy.random.Generator
    strength : float
        How bad the photo may be, from 0 (the image itself) to 1.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ArgumentError
        No 8-bit image, or a strength outside [0, 1].

    Examples
    --------
    >>> screen = np.full((64, 64), 120, np.uint8)
    >>> photograph(screen, np.random.default_rng(1)).shape
    (64, 64, 3)
    """
    pixels = check_pixels(image)
    if not 0 <= strength <= 1:
        msg = f"`strength` must lie in [0, 1]; got {strength!r}."
        raise ArgumentError(msg)
    colours = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    screen = torch.from_numpy(np.moveaxis(colours, -1, 0).astype(np.float32))[None] / 255
    generator = Generator().manual_seed(int(rng.integers(2**63)))
    photo, _ = photograph_batch(screen, None, torch.tensor([float(strength)]), generator)
    return np.moveaxis((photo[0] * 255).round().byte().numpy(), 0, -1).copy()


def photograph_batch(
    images: Tensor,
    masks: Tensor | None,
    strength: Tensor,
    generator: Generator,
    layout: ChannelLayout | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Photograph a batch of screens, each in its own circumstances.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
        In [0, 1]. Pictures of one channel become gray photos.
    masks : (N, H, W) int Tensor, optional
        Moved along; the room around the screen is unknown, -1.
    strength : (N,) Tensor
        From 0 (the image itself) to 1.
    generator : torch.Generator
    layout : ChannelLayout, optional
        Pictures of a pair are taken from the same place, each in its own light. A mask is moved
        only, and a block of zeros in a pair, which is missing, stays so.

    Returns
    -------
    (N, C, H, W) Tensor in [0, 1], and the masks
    """
    taken = (strength > 0).to(images.device)
    if not bool(taken.any()):
        return images, masks
    layout = layout or ChannelLayout((("image", images.shape[1]),))
    screens, amount = images[taken], strength.to(images)[taken]
    grid = _viewpoint(amount, images.shape, generator)
    part = None if masks is None else masks[taken]
    moved, part = resample(screens, part, grid)
    for name in layout.pictures:
        light = _light(amount, images.shape, generator)
        photo = _expose(layout.take(moved, name), grid, light, generator)
        if len(layout.names) > 1:
            photo = photo * each(layout.present(screens, name), images)
        moved[:, layout.slice(name)] = photo
    images = images.clone()
    images[taken] = moved
    if masks is not None and part is not None:
        masks = masks.clone()
        masks[taken] = part
    return images, masks


def _viewpoint(strength: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Where each pixel of the photo looks on the screen, (N, H, W, 2): a homography."""
    n = len(strength)

    def about(reach: float) -> Tensor:
        return uniform(n, -reach, reach, generator).to(strength) * strength

    angle, size = about(0.07), torch.exp(about(0.07))
    tilt_x, tilt_y, x, y = about(0.1), about(0.1), about(0.04), about(0.04)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    one = torch.ones_like(size)
    rows = [[cos, -sin, x], [sin, cos, y], [tilt_x, tilt_y, one]]
    matrix = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    return projective_grid(matrix, shape)


@dataclass(frozen=True, kw_only=True)
class _Light:
    """Circumstances of N photos; all but the glare are (N,) or (N, 3)."""

    focus: Tensor
    fringes: Tensor
    ripple: Tensor
    glare: Tensor
    veil: Tensor
    corners: Tensor
    exposure: Tensor
    tint: Tensor
    room: Tensor
    noise: Tensor
    quality: Tensor


def _light(strength: Tensor, shape: tuple[int, ...], generator: Generator) -> _Light:
    n = len(strength)

    def between(low: float, high: float) -> Tensor:
        return uniform(n, low, high, generator).to(strength)

    warm, green = between(-0.2, 0.2) * strength, between(-0.06, 0.06) * strength
    side = torch.where(between(-1, 1) < 0, -1.0, 1.0)
    return _Light(
        focus=between(0, 1.0) * strength,
        fringes=torch.stack([side * between(3, 14), between(-14, 14)], dim=1),
        ripple=between(0.02, 0.14) * strength,
        glare=_reflections(strength, shape, between),
        veil=between(0, 0.12) * strength,
        corners=between(0, 0.35) * strength,
        exposure=between(-0.3, 0.3) * strength,
        tint=torch.exp(torch.stack([warm, green, -warm], dim=1)),
        room=between(0.05, 0.5)[:, None] * torch.stack([between(0.8, 1) for _ in range(3)], 1),
        noise=between(0.005, 0.03) * strength,
        quality=95 - between(0, 65) * strength,
    )


def _reflections(
    strength: Tensor, shape: tuple[int, ...], between: Callable[[float, float], Tensor]
) -> Tensor:
    """Light of a lamp (soft) or a window (with edges) that the screen throws back, (N, 1, H, W)."""
    place = plain_grid(shape, strength)
    angle, sharpness = between(0, math.pi), between(1, 4).view(-1, 1, 1)
    x = place[..., 0] - between(-0.9, 0.9).view(-1, 1, 1)
    y = place[..., 1] - between(-0.9, 0.9).view(-1, 1, 1)
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    along = (x * cos + y * sin) / between(0.15, 0.7).view(-1, 1, 1)
    across = (y * cos - x * sin) / between(0.08, 0.3).view(-1, 1, 1)
    spot = torch.exp(-((along**2) ** sharpness) - (across**2) ** sharpness)
    lit = (between(0, 1) < 0.7) * between(0.05, 0.55) * strength
    return (spot * lit.view(-1, 1, 1))[:, None]


def _expose(picture: Tensor, grid: Tensor, light: _Light, generator: Generator) -> Tensor:
    """The photo of pictures (N, 1 or 3, H, W) that lie as they will be seen."""
    gray = picture.shape[1] == 1
    colours = picture.expand(-1, 3, -1, -1) if gray else picture
    seen = blur(colours, light.focus) * _screen_grid(grid, light)
    seen = seen + light.glare + each(light.veil, seen) * (1 - seen)
    seen = _surround(seen, grid, light)
    radius = plain_grid(picture.shape, picture)[..., :2].square().sum(-1) / 2
    seen = seen * (1 - each(light.corners, seen) * radius)
    seen = seen.clamp(0, 1) ** torch.exp(each(light.exposure, seen))
    seen = seen * light.tint[..., None, None]
    seen = seen + each(light.noise, seen) * normal(seen.shape, generator).to(seen)
    photo = compress(seen.clamp(0, 1), light.quality)
    if not gray:
        return photo
    weights = photo.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (photo * weights).sum(dim=1, keepdim=True)


def _screen_grid(grid: Tensor, light: _Light) -> Tensor:
    """Moire: the screen's grid, sampled at the sensor's pixels; red, green and blue lie in line.

    A grid of nearly one period a pixel is a slow wave once it is sampled: `fringes` more or fewer
    than pixels over the width and height, bent where the screen is seen at an angle.
    """
    height, width = grid.shape[1:3]
    pixels = torch.tensor([width, height], device=grid.device)
    screen = (grid + 1) / 2 * (pixels + light.fringes).view(-1, 1, 1, 2)
    phase = 2 * math.pi * screen
    stripes = torch.arange(3, device=grid.device).view(1, 3, 1, 1) * (math.pi / 3)
    columns = torch.cos(phase[..., 0][:, None] + stripes)
    rows = torch.cos(phase[..., 1][:, None])
    return 1 + each(light.ripple, grid) * (0.7 * columns + 0.3 * rows)


def _surround(seen: Tensor, grid: Tensor, light: _Light) -> Tensor:
    """Beyond the screen its dark frame, then the room."""
    off = grid.abs().amax(dim=-1)[:, None]
    room = light.room[..., None, None]
    around = torch.where(off > 1 + _FRAME, room, 0.03)
    return torch.where(off > 1, around, seen)
