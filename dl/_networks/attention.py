"""ResNet18 whose middle maps are gated by its last one, with gates that really gate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dl._networks.encoders import encoder_imagenet
from dl._networks.pyramid import feature_maps
from dl._networks.unet import EncodedNetwork
from dl.layers import GridAttentionGate
from dl.network import NetworkEntry, register

__all__ = ["AttentionNet", "attention_resnet18"]

#: Maps that are gated, counted from the last one, which gates them: 1/8 and 1/16 of the side.
N_GATED = 2


class AttentionNet(EncodedNetwork):
    """A trunk, two gated maps, and one linear head over the means of all three maps.

    The logits are a linear function of gated features, and nothing else reaches them from the two
    middle maps: a coefficient of zero takes a place out of the answer (`evidence`).

    Parameters
    ----------
    n_classes, in_channels : int
    encoder : str
        A registered classifier.
    normalise : {"sigmoid", "softmax"}
        Of the gates' coefficients.
    deep_supervision : bool
        A head of its own for each of the three maps, for training (`auxiliary=True`).
    dropout : float
        Before the head.
    """

    new_parts = ("head", "gates", "deep_heads")

    def __init__(
        self,
        *,
        n_classes: int,
        in_channels: int = 3,
        encoder: str = "resnet18",
        normalise: str = "sigmoid",
        deep_supervision: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(encoder, in_channels)
        *_, fine, coarse, last = (tap.channels for tap in self.taps)
        self.gates = nn.ModuleList(
            GridAttentionGate(channels, last, normalise=normalise) for channels in (fine, coarse)
        )
        self.widths = (fine, coarse, last)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(sum(self.widths), n_classes)
        self.deep_heads = (
            nn.ModuleList(nn.Linear(width, n_classes) for width in self.widths)
            if deep_supervision
            else None
        )

    def _maps(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Gated maps and the last map; and the coefficients."""
        last, middle = feature_maps(self.trunk, self.standardise(x), self.taps[-1 - N_GATED : -1])
        gated = [gate(m, last) for gate, m in zip(self.gates, middle, strict=True)]
        return [*(y for y, _ in gated), last], [a for _, a in gated]

    def coefficients(self, x: Tensor) -> list[Tensor]:
        """What each gate multiplies its map by, (N, 1, h, w), the finer map first."""
        return self._maps(x)[1]

    def evidence(self, x: Tensor) -> list[Tensor]:
        """Each map's share of the logits at every place, (N, n_classes, h, w).

        The sum over the maps of their means, plus the head's bias, is the logits.
        """
        maps, _ = self._maps(x)
        weights = self.head.weight.split(self.widths, dim=1)
        return [torch.einsum("kc,nchw->nkhw", w, m) for w, m in zip(weights, maps, strict=True)]

    def features(self, x: Tensor) -> Tensor:
        """Means of the three maps, (N, n_features)."""
        return torch.cat([m.mean(dim=(2, 3)) for m in self._maps(x)[0]], dim=1)

    def forward(self, x: Tensor, *, auxiliary: bool = False) -> Tensor | tuple[Tensor, ...]:
        """Logits (N, n_classes); with `auxiliary`, those of each map's own head behind them."""
        features = self.features(x)
        logits = self.head(self.dropout(features))
        if not auxiliary or self.deep_heads is None:
            return logits
        parts = features.split(self.widths, dim=1)
        own = (head(part) for head, part in zip(self.deep_heads, parts, strict=True))
        return (logits, *own)


def attention_resnet18(**options: Any) -> AttentionNet:
    """Build the network; `options` as for `AttentionNet`.

    Examples
    --------
    >>> network = attention_resnet18(n_classes=3, in_channels=1).eval()
    >>> x = torch.rand(2, 1, 64, 64)
    >>> network(x).shape, [tuple(a.shape) for a in network.coefficients(x)]
    (torch.Size([2, 3]), [(2, 1, 8, 8), (2, 1, 4, 4)])
    """
    return AttentionNet(**options)


register(
    NetworkEntry(
        name="attention_resnet18",
        build=attention_resnet18,
        stem="trunk.stem.0.weight",
        imagenet=lambda **options: encoder_imagenet(encoder="resnet18"),
        origin="ResNet18 (He et al. 2016) with grid attention gates (Schlemper et al. 2019)",
        options={"normalise": "sigmoid", "deep_supervision": False},
    )
)
