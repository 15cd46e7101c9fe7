"""One trunk, two tasks: a class for the image and a mask for its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from dl._networks.encoders import encoder_imagenet
from dl._networks.unet import ENCODER, WIDTHS, Decoder, EncodedNetwork
from dl.layers import resize_to
from dl.network import NetworkEntry, register

__all__ = ["MultiTaskUNet", "TaskLogits", "multitask_unet"]


class TaskLogits(NamedTuple):
    """What a network of two tasks returns, in the order of its registry entry.

    Attributes
    ----------
    classify : (N, n_classes) Tensor
    segment : (N, n_mask_classes, H, W) Tensor
    """

    classify: Tensor
    segment: Tensor


class MultiTaskUNet(EncodedNetwork):
    """Class logits from the trunk's last map, mask logits from the decoder above it.

    Parameters
    ----------
    n_classes : int
        1: the logit of the event.
    n_mask_classes : int
        1: one logit a pixel. Several: exclusive classes, the background first.
    in_channels : int
    encoder : str
        A registered classifier.
    widths : sequence of int
        Of the decoder's stages, the coarsest first.
    attention : bool
        CBAM in the decoder.
    dropout : float
        Before the class head.
    """

    new_parts = ("head", "decoder", "mask_head")

    def __init__(
        self,
        *,
        n_classes: int,
        n_mask_classes: int = 1,
        in_channels: int = 3,
        encoder: str = ENCODER,
        widths: Sequence[int] = WIDTHS,
        attention: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(encoder, in_channels)
        bottleneck = self.taps[-1].channels
        self.decoder = Decoder(bottleneck, self.skip_channels, widths=widths, attention=attention)
        self.mask_head = nn.Conv2d(self.decoder.outputs, n_mask_classes, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(bottleneck, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features of the image, (N, n_features)."""
        return self.trunk(self.standardise(x)).mean(dim=(2, 3))

    def classify(self, x: Tensor) -> Tensor:
        """The class logits alone, without the cost of the decoder."""
        return self.head(self.dropout(self.features(x)))

    def forward(self, x: Tensor) -> TaskLogits:
        """(N, in_channels, H, W) in [0, 1] -> class logits and mask logits at the image's size."""
        classes, masks, _ = self.answer(x)
        return TaskLogits(classify=classes, segment=masks)

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits, mask logits, and the map whose mean the class logits are linear in."""
        bottleneck, skips = self.encode(x)
        mask = self.mask_head(self.decoder(bottleneck, skips))
        classes = self.head(self.dropout(bottleneck.mean(dim=(2, 3))))
        return classes, resize_to(mask, x.shape[-2:]), bottleneck


def multitask_unet(**options: Any) -> MultiTaskUNet:
    """Build the network.

    Examples
    --------
    >>> import torch
    >>> network = multitask_unet(n_classes=2, n_mask_classes=3, encoder="resnet18").eval()
    >>> [tuple(logits.shape) for logits in network(torch.zeros(2, 3, 64, 48))]
    [(2, 2), (2, 3, 64, 48)]
    """
    return MultiTaskUNet(**options)


register(
    NetworkEntry(
        name="multitask_unet",
        build=multitask_unet,
        tasks=("classify", "segment"),
        stem="trunk.stem.weight",
        imagenet=encoder_imagenet,
        origin="U-Net decoder with CBAM (Woo et al. 2018) over a registered trunk",
        options={"n_mask_classes": 1, "encoder": ENCODER, "widths": WIDTHS, "attention": True},
    )
)
