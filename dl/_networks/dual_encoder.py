"""What the dual-modal network is made of, and the encoder of one of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from dl._networks.backbones import ResidualBlock
from dl._networks.encoders import encoder_names, new_encoder
from dl._networks.gabor import SCALES, GaborStem
from dl._networks.pyramid import Tap, feature_maps
from dl.layers import ConvNormAct, MaskGate, MultiRateBlock, Standardise
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["ASPP", "AsppTrunk", "DualPlan", "MaskStream", "ModalityEncoder"]

ASPP = "aspp"
ASPP_STRIDES = (1, 2, 2, 2)
#: Steps of the ASPP trunk after which the mask is multiplied in.
ASPP_GATES = ("stem", "blocks.0", "blocks.1")
#: Resolutions at which another encoder meets the mask.
GATE_STRIDES = (4, 8, 16)


@dataclass(frozen=True, kw_only=True)
class DualPlan:
    """What the dual-modal network is made of; the first six are its ablation switches.

    Attributes
    ----------
    dual : bool
        A Doppler encoder and the attention between the images. Off: the gray path alone.
    mask : bool
        Streams that gate the encoders by the outline.
    multi_rate : bool
        Five branches a block. Off: one 3 x 3 convolution.
    cross_attention : bool
        Off: every image's tokens pass the fusion blocks on their own.
    positions : bool
        Code of the place, times a learned number, added to the tokens.
    gate : bool
        The averages are multiplied by a sigmoid of themselves.
    encoder : str
        "aspp", or a registered classifier whose trunk takes its place.
    learnable_stem : bool
        Train the Gabor filters (encoder aspp).
    legacy_head : bool
        Treat the averages as a signal and convolve it, as the published network did.
    dim, heads, depth : int
        Width, attention heads and number of the fusion blocks.
    channels : five int
        Of stem and blocks (encoder aspp).
    scales : sequence of float
        Of the Gabor filters (encoder aspp).
    modality_dropout, mask_dropout : float
        In training, share of the rows whose Doppler image, or mask, is taken away.
    """

    dual: bool = True
    mask: bool = True
    multi_rate: bool = True
    cross_attention: bool = True
    positions: bool = True
    gate: bool = True
    encoder: str = ASPP
    learnable_stem: bool = False
    legacy_head: bool = False
    dim: int = 256
    heads: int = 8
    depth: int = 2
    channels: Sequence[int] = (64, 128, 256, 256, 256)
    scales: Sequence[float] = SCALES
    modality_dropout: float = 0.2
    mask_dropout: float = 0.2

    def __post_init__(self) -> None:
        check_option(self.encoder, (ASPP, *encoder_names()), name="encoder")
        if len(self.channels) != len(ASPP_STRIDES) + 1:
            msg = f"`channels` needs five numbers (stem and blocks); got {self.channels!r}."
            raise ArgumentError(msg)
        for name in ("modality_dropout", "mask_dropout"):
            if not 0 <= getattr(self, name) < 1:
                msg = f"`{name}` must lie in [0, 1); got {getattr(self, name)!r}."
                raise ArgumentError(msg)


class AsppTrunk(nn.Module):
    """Gabor stem and four multi-rate blocks: (N, in_channels, H, W) -> (N, 256, H/32, W/32)."""

    def __init__(self, in_channels: int, plan: DualPlan) -> None:
        super().__init__()
        rates = (1, 3, 6, 9) if plan.multi_rate else ()
        first, *others = plan.channels
        self.stem = GaborStem(in_channels, first, scales=plan.scales, learnable=plan.learnable_stem)
        widths = zip(plan.channels, others, ASPP_STRIDES, strict=False)
        self.blocks = nn.Sequential(
            *(MultiRateBlock(a, b, stride=stride, rates=rates) for a, b, stride in widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.stem(x))


class MaskStream(nn.Module):
    """Features of a mask at the resolutions and widths of the maps they will gate."""

    def __init__(self, taps: Sequence[Tap]) -> None:
        super().__init__()
        first = taps[0].channels
        self.stem = nn.Sequential(
            ConvNormAct(1, first, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(a.channels, b.channels, stride=b.stride // a.stride)
            for a, b in pairwise(taps)
        )

    def forward(self, mask: Tensor) -> list[Tensor]:
        features = [self.stem(mask)]
        for block in self.blocks:
            features.append(block(features[-1]))
        return features


class ModalityEncoder(nn.Module):
    """One image, and its mask if there is one, to a map of `dim` channels."""

    def __init__(self, in_channels: int, plan: DualPlan) -> None:
        super().__init__()
        if plan.encoder == ASPP:
            self.standardise, self.trunk = Standardise(0.5, 0.25), AsppTrunk(in_channels, plan)
            self.gated, outputs = _aspp_gates(plan), plan.channels[-1]
        else:
            encoder = new_encoder(plan.encoder, in_channels)
            self.standardise, self.trunk = encoder.standardise, encoder.trunk
            self.gated = tuple(tap for tap in encoder.taps if tap.stride in GATE_STRIDES)
            outputs = encoder.taps[-1].channels
        self.project = nn.Identity() if outputs == plan.dim else nn.Conv2d(outputs, plan.dim, 1)
        self.mask_stream = MaskStream(self.gated) if plan.mask else None
        self.gate = MaskGate()

    def forward(
        self, x: Tensor, mask: Tensor | None = None, has_mask: Tensor | None = None
    ) -> Tensor:
        x = self.standardise(x)
        if mask is None or self.mask_stream is None:
            return self.project(self.trunk(x))
        m = self.mask_stream(mask)
        output, _ = feature_maps(
            self.trunk, x, self.gated, lambda i, features: self.gate(features, m[i], has_mask)
        )
        return self.project(output)


def _aspp_gates(plan: DualPlan) -> tuple[Tap, ...]:
    """After the stem and the first two blocks, at 1/4, 1/4 and 1/8 of the side."""
    places = zip(ASPP_GATES, plan.channels, (4, 4, 8), strict=False)
    return tuple(Tap(module=name, channels=c, stride=stride) for name, c, stride in places)
