"""Networks small enough to train in a notebook; importing this module registers them.

A trunk of three resolutions, which serves as an encoder as well, and the gated network of
`dl._networks.attention` above it.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from dl._networks.attention import AttentionNet
from dl.network import NetworkEntry, names, register

__all__ = ["SMALL", "SMALL_GATED"]

#: Names under which they are registered.
SMALL, SMALL_GATED = "small_cnn", "attention_small"
ORIGIN = "of this package, for demonstrations; random weights"
WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two convolutions around a shortcut; the first one halves the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


def small_trunk(in_channels: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, 64, H / 8, W / 8)."""
    first, second, third = WIDTHS
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(in_channels, first, 5, stride=2, padding=2, bias=False),
            norm=nn.BatchNorm2d(first),
            act=nn.ReLU(inplace=True),
            fine=Block(first, second),
            coarse=Block(second, third),
        )
    )


if SMALL not in names():
    register(
        NetworkEntry(
            name=SMALL,
            trunk=small_trunk,
            n_features=WIDTHS[-1],
            stem="trunk.stem.weight",
            mean=0.35,
            std=0.2,
            origin=ORIGIN,
        )
    )
    register(
        NetworkEntry(
            name=SMALL_GATED,
            build=partial(AttentionNet, encoder=SMALL),
            stem="trunk.stem.weight",
            origin=ORIGIN,
            options={"normalise": "sigmoid", "deep_supervision": False},
        )
    )
