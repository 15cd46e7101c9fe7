"""What JPEG compression does to a batch of images, without writing files.

The baseline codec of ITU-T T.81 on tensors: luma and colour differences (JFIF), colour at half the
resolution, 8 x 8 cosine transform, division by the tables of annex K scaled to a quality from 1 to
100 as libjpeg does, rounding, and all of it back. Entropy coding loses nothing and is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

__all__ = ["compress"]

#: T.81, tables K.1 and K.2.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Compress and decompress images.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
        In [0, 1]; one channel of gray or three of RGB.
    quality : (N,) Tensor
        From 1 to 100, as libjpeg counts.

    Returns
    -------
    (N, C, H, W) Tensor
        Levels k / 255.

    Examples
    --------
    >>> gray = torch.full((1, 1, 8, 8), 0.5)
    >>> compress(gray, torch.tensor([90]))[0, 0, 0, 0].mul(255).item()
    128.0
    """
    height, width = images.shape[-2:]
    room = (0, -width % 16, 0, -height % 16)
    levels = pad((images * 255).round(), room, mode="replicate")
    if images.shape[1] == 1:
        coded = _code(levels - 128, _tables(_LUMA, quality).to(images)) + 128
    else:
        coded = _code_colours(levels, quality)
    return coded[..., :height, :width].round().clamp(0, 255) / 255


def _code_colours(levels: Tensor, quality: Tensor) -> Tensor:
    ycc = torch.einsum("ij,njhw->nihw", levels.new_tensor(_TO_YCC), levels).round()
    luma = _code(ycc[:, :1] - 128, _tables(_LUMA, quality).to(levels)) + 128
    small = _code(avg_pool2d(ycc[:, 1:], 2).round(), _tables(_CHROMA, quality).to(levels))
    chroma = interpolate(small.round(), scale_factor=2.0, mode="bilinear", align_corners=False)
    both = torch.cat([luma.round(), chroma], dim=1)
    return torch.einsum("ij,njhw->nihw", levels.new_tensor(_TO_RGB), both)


def _code(plane: Tensor, table: Tensor) -> Tensor:
    """Round the cosine coefficients of (N, C, H, W) to multiples of (N, 8, 8)."""
    n, channels, height, width = plane.shape
    basis = _cosines().to(plane)
    blocks = plane.reshape(n, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    step = table.view(n, 1, 1, 1, 8, 8)
    coefficients = (basis @ blocks @ basis.T / step).round() * step
    return (basis.T @ coefficients @ basis).transpose(3, 4).reshape(plane.shape)


def _cosines() -> Tensor:
    """The orthonormal transform: row k is the k-th cosine."""
    k = torch.arange(8.0)
    rows = torch.cos((2 * k + 1) * k[:, None] * (math.pi / 16)) / 2
    rows[0] = math.sqrt(1 / 8)
    return rows


def _tables(table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Annex K scaled to each quality, (N, 8, 8)."""
    q = quality.float().round().clamp(1, 100).view(-1, 1, 1)
    scale = torch.where(q < 50, torch.floor(5000 / q), 200 - 2 * q)
    base = torch.tensor(table, device=quality.device)
    return torch.floor((base * scale + 50) / 100).clamp(1, 255)
