"""What scanner, probe and patient do to the levels of an ultrasound image, on whole batches.

Every change takes levels (N, C, H, W) in [0, 1] and one amount an image, (N,), in the unit that its
docstring names; 0 leaves an image as it is. Depth is 0 at the upper border and 1 at the lower one.
All channels share their shadow and noise. Black stays black: borders of the letterbox, and a
Doppler block that is missing, are no tissue. Results may leave [0, 1]; the caller clamps once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad

from dl.channels import ChannelLayout

__all__ = [
    "attenuation",
    "blur",
    "contrast",
    "gain",
    "gamma",
    "haze",
    "on_pictures",
    "shadow",
    "shadow_band",
    "speckle",
    "tgc",
    "uniform",
]

SLIDERS = 8
#: The side of the image to which lengths in pixels refer.
SIDE = 128
_DARKEST = 1e-3


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """`n` numbers between two bounds, where the generator is."""
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def each(amount: Tensor, images: Tensor) -> Tensor:
    """One number an image, ready to meet (N, C, H, W)."""
    return amount.to(images).view(-1, 1, 1, 1)


def _depth(images: Tensor) -> Tensor:
    return torch.linspace(0, 1, images.shape[-2], device=images.device).view(1, 1, -1, 1)


def gain(images: Tensor, amount: Tensor) -> Tensor:
    """Receive gain: a share of the full range added (levels are logarithms of echoes).

    Examples
    --------
    >>> gain(torch.tensor([[[[0.0, 0.5]]]]), torch.tensor([0.25])).tolist()
    [[[[0.0, 0.75]]]]
    """
    return (images + each(amount, images) * (images > 0)).clamp(0, 1)


def gamma(images: Tensor, amount: Tensor) -> Tensor:
    """Gray map: levels to the power exp(amount), so that positive amounts darken.

    Examples
    --------
    >>> gamma(torch.full((1, 1, 1, 1), 0.5), torch.tensor([math.log(2)])).item()
    0.25
    """
    exponent = torch.exp(each(amount, images))
    return images.clamp_min(_DARKEST) ** exponent * (images > 0)


def contrast(images: Tensor, amount: Tensor) -> Tensor:
    """Dynamic range: distance from the image's mean level times 1 + amount."""
    seen = images > 0
    mean = images.sum((1, 2, 3), keepdim=True) / seen.sum((1, 2, 3), keepdim=True).clamp_min(1)
    return (images + each(amount, images) * (images - mean) * seen).clamp(0, 1)


def attenuation(images: Tensor, amount: Tensor) -> Tensor:
    """Tissue that attenuates more than the scanner expects: times exp(-amount depth).

    Examples
    --------
    >>> attenuation(torch.ones(1, 1, 3, 1), torch.tensor([1.0])).flatten()
    tensor([1.0000, 0.6065, 0.3679])
    """
    return images * torch.exp(-each(amount, images) * _depth(images))


def tgc(images: Tensor, amount: Tensor, generator: Generator) -> Tensor:
    """Misplaced sliders of the time-gain compensation, each up to `amount` of the full range."""
    sliders = uniform(len(images) * SLIDERS, -1, 1, generator).view(-1, 1, SLIDERS, 1)
    curve = interpolate(
        sliders.to(images), (images.shape[-2], 1), mode="bilinear", align_corners=True
    )
    return (images + each(amount, images) * curve * (images > 0)).clamp(0, 1)


def haze(images: Tensor, amount: Tensor, generator: Generator) -> Tensor:
    """Clutter and reverberation: an uneven veil of at most `amount`, densest near the probe.

    Small echo-free places are filled, borders of the letterbox are not.
    """
    n, _, height, width = images.shape
    patches = torch.rand(n, 1, 4, 4, generator=generator, device=generator.device).to(images)
    cloud = interpolate(patches, (height, width), mode="bicubic", align_corners=True).clamp(0, 1)
    veil = each(amount, images) * cloud * torch.exp(-2 * _depth(images))
    return images + veil * (1 - images) * _closed(images > 0)


def _closed(seen: Tensor) -> Tensor:
    """Pixels of the scan with their small gaps filled: dilated, then eroded, at a coarse scale."""
    step = max(seen.shape[-1] // 32, 1)
    coarse = max_pool2d(seen.float(), step, ceil_mode=True)
    wider = max_pool2d(coarse, 3, stride=1, padding=1)
    closed = -max_pool2d(-wider, 3, stride=1, padding=1)
    return interpolate(closed, scale_factor=float(step))[..., : seen.shape[-2], : seen.shape[-1]]


def speckle(images: Tensor, amount: Tensor, generator: Generator, grain: float = 0.0) -> Tensor:
    """Multiplicative noise of standard deviation `amount`, white or with a point spread.

    `grain` is the standard deviation of the point spread across the beam, in 128ths of the side;
    along the beam it is half as wide.
    """
    noise = normal(images[:, :1].shape, generator).to(images)
    if grain > 0:
        noise = _spread(noise, grain * images.shape[-1] / SIDE)
    return images * (1 + each(amount, images) * noise)


def _spread(noise: Tensor, width: float) -> Tensor:
    """Smoothed to a correlation length and back to unit variance."""
    across, along = (bell(torch.full((len(noise),), sigma)) for sigma in (width, width / 2))
    return _filtered(
        noise,
        across / across.norm(dim=1, keepdim=True),
        along / along.norm(dim=1, keepdim=True),
        mode="circular",
    )


def bell(sigma: Tensor) -> Tensor:
    """Gaussian kernels (N, 2r + 1) that sum to 1, for standard deviations in pixels."""
    reach = max(1, math.ceil(3 * float(sigma.max())))
    x = torch.arange(-reach, reach + 1, device=sigma.device)
    weight = torch.exp(-0.5 * (x / sigma.clamp_min(1e-3)[:, None]) ** 2)
    return weight / weight.sum(dim=1, keepdim=True)


def _filtered(images: Tensor, across: Tensor, along: Tensor, *, mode: str) -> Tensor:
    """Images (N, C, H, W) filtered by kernels of their own, (N, k) for rows and for columns."""
    n, channels, height, width = images.shape
    flat = images.reshape(1, n * channels, height, width)
    for kernels in (across[:, None, None], along[:, None, :, None]):
        weight = kernels.to(images).repeat_interleave(channels, 0)
        room = (weight.shape[3] // 2,) * 2 + (weight.shape[2] // 2,) * 2
        flat = conv2d(pad(flat, room, mode=mode), weight, groups=n * channels)
    return flat.view(images.shape)


def blur(images: Tensor, amount: Tensor) -> Tensor:
    """Gaussian blur of standard deviation `amount`, in 128ths of the side; borders repeat."""
    kernel = bell(amount * images.shape[-1] / SIDE)
    return _filtered(images, kernel, kernel, mode="replicate")


def shadow_band(images: Tensor, generator: Generator) -> Tensor:
    """Where a shadow falls, (N, 1, H, W) in [0, 1]: a soft vertical band below a random depth."""
    n, width = len(images), images.shape[-1]
    centre = each(uniform(n, 0.1, 0.9, generator), images)
    half = each(uniform(n, 0.04, 0.12, generator), images)
    depth = each(uniform(n, 0.2, 0.7, generator), images)
    x = torch.linspace(0, 1, width, device=images.device).view(1, 1, 1, width)
    y = _depth(images)
    return torch.exp(-(((x - centre) / half) ** 2)) * torch.sigmoid((y - depth) / 0.05)


def shadow(images: Tensor, amount: Tensor, generator: Generator) -> Tensor:
    """Acoustic shadow of a calcification or gas that takes the share `amount` of the level."""
    return images * (1 - each(amount, images) * shadow_band(images, generator))


def on_pictures(
    images: Tensor, layout: ChannelLayout | None, change: Callable[[Tensor], Tensor]
) -> Tensor:
    """Change the levels of stacked images: each picture as one of its own, a mask never.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
    layout : ChannelLayout, optional
        Without one, all channels are one picture.
    change : callable
        (N, c, H, W) -> (N, c, H, W). A Doppler picture is changed by its brightest colour only,
        and keeps hue and saturation: they are the flow.

    Examples
    --------
    >>> layout = ChannelLayout((("gray", 1), ("mask", 1)))
    >>> on_pictures(torch.ones(1, 2, 1, 1), layout, lambda x: x / 2).flatten().tolist()
    [0.5, 1.0]
    """
    if layout is None or layout.names in (("image",), ("gray",)):
        return change(images)
    changed = images.clone()
    for name in layout.pictures:
        block = layout.take(images, name)
        coloured = name == "doppler"
        changed[:, layout.slice(name)] = _same_hue(block, change) if coloured else change(block)
    return changed


def _same_hue(colours: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    value = colours.amax(dim=1, keepdim=True)
    return colours * (change(value).clamp(0, 1) / value.clamp_min(_DARKEST))
