"""Segmenter: any trunk, and a decoder that climbs back up through its feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dl._networks.encoders import encoder_imagenet, new_encoder
from dl._networks.pyramid import feature_maps
from dl.layers import Cbam, ConvNormAct, resize_to
from dl.network import NetworkEntry, register
from usstats.errors import ArgumentError

__all__ = ["Decoder", "EncodedNetwork", "UNet", "unet"]

ENCODER = "efficientnet_lite0"
WIDTHS = (256, 128, 64, 32)


class DecoderStage(nn.Module):
    """Enlarge to the size of the encoder's map, join it, and convolve twice."""

    def __init__(self, inputs: int, joined: int, outputs: int, *, attention: bool) -> None:
        super().__init__()
        self.attention = Cbam(inputs + joined) if attention else nn.Identity()
        self.convs = nn.Sequential(
            ConvNormAct(inputs + joined, outputs), ConvNormAct(outputs, outputs)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = torch.cat([resize_to(x, skip.shape[-2:]), skip], dim=1)
        return self.convs(self.attention(x))


class Decoder(nn.Module):
    """From the trunk's last map to the finest of its maps.

    Parameters
    ----------
    bottleneck : int
        Channels of the last map.
    skips : sequence of int
        Channels of the other maps, the finest first.
    widths : sequence of int
        Channels of the stages, the coarsest first; the last ones are used where the trunk has
        fewer resolutions.
    attention : bool
        A CBAM before the convolutions of each stage.
    """

    def __init__(
        self, bottleneck: int, skips: Sequence[int], *, widths: Sequence[int], attention: bool
    ) -> None:
        super().__init__()
        if not 1 <= len(skips) <= len(widths):
            msg = (
                f"The encoder has {len(skips)} maps above its last one and the decoder "
                f"{len(widths)} widths; from 1 map to as many as there are widths will do."
            )
            raise ArgumentError(msg)
        used = list(widths)[-len(skips) :]
        self.narrow = ConvNormAct(bottleneck, used[0], 1)
        plan = zip([used[0], *used], reversed(skips), used, strict=False)
        self.stages = nn.ModuleList(
            DecoderStage(inputs, joined, outputs, attention=attention)
            for inputs, joined, outputs in plan
        )
        self.outputs = used[-1]

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
        x = self.narrow(x)
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, skip)
        return x


class EncodedNetwork(nn.Module):
    """A standardised trunk whose maps on the way can be read."""

    def __init__(self, encoder: str, in_channels: int) -> None:
        super().__init__()
        new = new_encoder(encoder, in_channels)
        self.standardise, self.trunk, self.taps = new.standardise, new.trunk, new.taps

    @property
    def skip_channels(self) -> list[int]:
        """Channels of all maps but the last, the finest first."""
        return [tap.channels for tap in self.taps[:-1]]

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The trunk's last map, and the others, the finest first."""
        return feature_maps(self.trunk, self.standardise(x), self.taps[:-1])


class UNet(EncodedNetwork):
    """Logits of the mask at every pixel of the image.

    Parameters
    ----------
    n_classes : int
        1: one logit a pixel, of the region. Several: exclusive classes, the background first.
    in_channels : int
    encoder : str
        A registered classifier.
    widths : sequence of int
        Of the decoder's stages, the coarsest first.
    attention : bool
        CBAM in the decoder.
    dropout : float
        Of whole channels of the trunk's last map.
    """

    #: What begins with random weights beside an encoder from ImageNet.
    new_parts = ("head", "decoder")

    def __init__(
        self,
        *,
        n_classes: int,
        in_channels: int = 3,
        encoder: str = ENCODER,
        widths: Sequence[int] = WIDTHS,
        attention: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(encoder, in_channels)
        self.decoder = Decoder(
            self.taps[-1].channels, self.skip_channels, widths=widths, attention=attention
        )
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(self.decoder.outputs, n_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> (N, n_classes, H, W), for any H and W."""
        bottleneck, skips = self.encode(x)
        y = self.head(self.decoder(self.dropout(bottleneck), skips))
        return resize_to(y, x.shape[-2:])


def unet(*, n_classes: int, n_mask_classes: int | None = None, **options: Any) -> UNet:
    """Build the segmenter; `n_mask_classes`, where given, takes the place of `n_classes`.

    Examples
    --------
    >>> unet(n_classes=1, in_channels=1, encoder="resnet18").eval()(torch.zeros(1, 1, 70, 50)).shape
    torch.Size([1, 1, 70, 50])
    """
    return UNet(n_classes=n_mask_classes or n_classes, **options)


register(
    NetworkEntry(
        name="unet",
        build=unet,
        tasks=("segment",),
        stem="trunk.stem.weight",
        imagenet=encoder_imagenet,
        origin="U-Net decoder (Ronneberger et al. 2015) over a registered trunk",
        options={
            "n_mask_classes": None,
            "encoder": ENCODER,
            "widths": WIDTHS,
            "attention": False,
        },
    )
)
