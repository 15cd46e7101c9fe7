"""Oriented filters as a first layer: a Gabor bank whose envelope, mean and size are right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad

from dl.layers import ConvNormAct

__all__ = ["GaborStem", "gabor_bank", "gaussian_filter"]

#: Wavelengths of the carrier in one standard deviation of the envelope.
CYCLES = 0.56
#: The envelope is 1 / ASPECT times as long across the carrier's direction as along it.
ASPECT = 0.5
ANGLES = 8
PHASES = (0.0, -math.pi / 2)
SCALES = (1.0, 2.0, 4.0, 6.0)
#: Standard deviation of the average that keeps the level, which oriented filters cannot see.
LEVEL = 2.0
_REACH = 5


def gabor_bank(scale: float, *, n_angles: int = ANGLES) -> Tensor:
    """Even and odd filters of one scale at evenly spread angles.

    exp(-(u^2 + (v / 2)^2) / (2 s^2)) cos(2 pi 0.56 u / s + phase), u along the angle and v across
    it, less the share of the envelope that makes the sum zero, over the root of the sum of squares.

    Parameters
    ----------
    scale : float
        Standard deviation s of the envelope, pixels. At s = 1 the wave is shorter than two
        pixels, so the filters along the axes answer its alias.
    n_angles : int
        Angles j pi / n_angles, from the right downwards.

    Returns
    -------
    (2 n_angles, side, side) Tensor
        side = 2 int(5 s) + 1. All even filters come first.

    References
    ----------
    Daugman (1985), J Opt Soc Am A 2:1160.

    Examples
    --------
    >>> bank = gabor_bank(2.0)
    >>> bank.shape, bool(bank.sum(dim=(1, 2)).abs().max() < 1e-5)
    (torch.Size([16, 21, 21]), True)
    """
    y, x = _grid(scale)
    angles = torch.arange(n_angles, dtype=torch.float64)[:, None, None] * (math.pi / n_angles)
    along = x * angles.cos() + y * angles.sin()
    across = y * angles.cos() - x * angles.sin()
    envelope = torch.exp(-(along**2 + (ASPECT * across) ** 2) / (2 * scale**2))
    carrier = 2 * math.pi * CYCLES / scale * along
    waves = [_unit(envelope * torch.cos(carrier + phase), envelope) for phase in PHASES]
    return torch.cat(waves).float()


def gaussian_filter(scale: float = LEVEL) -> Tensor:
    """Weights of a local average, (side, side) with side = 2 int(5 s) + 1.

    Examples
    --------
    >>> gaussian_filter(1.0).shape, round(gaussian_filter(1.0).sum().item(), 6)
    (torch.Size([11, 11]), 1.0)
    """
    y, x = _grid(scale)
    weight = torch.exp(-(x**2 + y**2) / (2 * scale**2))
    return (weight / weight.sum()).float()


def _grid(scale: float) -> tuple[Tensor, Tensor]:
    """Rows and columns around the centre."""
    reach = int(_REACH * scale)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
    return steps[:, None], steps[None, :]


def _unit(wave: Tensor, envelope: Tensor) -> Tensor:
    """Zero sum, and a sum of squares of one."""
    over = (-2, -1)
    centred = wave - envelope * wave.sum(over, keepdim=True) / envelope.sum(over, keepdim=True)
    return centred / centred.square().sum(over, keepdim=True).sqrt()


class GaborStem(nn.Module):
    """Bank and local average of every channel at stride 2, mixed to `outputs`, then pooled.

    The filters are buffers: they follow `.to()` and stand in the state dict. Beyond the image its
    border is repeated, so that a letterbox does not become an edge.

    Parameters
    ----------
    in_channels, outputs : int
    scales : sequence of float
        Of `gabor_bank`.
    learnable : bool
        Make the oriented filters parameters that start from the bank.

    Examples
    --------
    >>> GaborStem(3, scales=(1, 2)).eval()(torch.zeros(2, 3, 64, 48)).shape
    torch.Size([2, 64, 16, 12])
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int = 64,
        *,
        scales: Sequence[float] = SCALES,
        learnable: bool = False,
    ) -> None:
        super().__init__()
        self.n_banks = len(scales)
        for i, scale in enumerate(scales):
            bank = gabor_bank(scale)[:, None]
            if learnable:
                self.register_parameter(f"bank_{i}", nn.Parameter(bank))
            else:
                self.register_buffer(f"bank_{i}", bank)
        self.register_buffer("level", gaussian_filter()[None, None])
        n_filters = 2 * ANGLES * len(scales) + 1
        self.mix = ConvNormAct(in_channels * n_filters, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.flatten(0, 1)[:, None]
        banks = [getattr(self, f"bank_{i}") for i in range(self.n_banks)]
        answers = torch.cat([_filtered(channels, bank) for bank in (*banks, self.level)], dim=1)
        mixed = self.mix(answers.reshape(x.shape[0], -1, *answers.shape[-2:]))
        return max_pool2d(mixed, 3, stride=2, padding=1)


def _filtered(x: Tensor, bank: Tensor) -> Tensor:
    reach = bank.shape[-1] // 2
    return conv2d(pad(x, (reach, reach, reach, reach), mode="replicate"), bank, stride=2)
