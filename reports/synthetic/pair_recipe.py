"""How the published dual-modal network was given its images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from dl._networks.stacked import StackedInputs
from dl.channels import ChannelLayout
from dl.prepare import Preparation
from reports.synthetic.as_published import Recipe

__all__ = ["PairRecipe"]

LAYOUT = ChannelLayout.of(("gray", "doppler"), in_channels=1, with_mask=True)


@dataclass(frozen=True, kw_only=True)
class PairRecipe(Recipe):
    """Of a gray image, a Doppler image whose colour is thrown away, and an outline."""

    @property
    def preparation(self) -> Preparation:
        """The whole images in gray, and the outline."""
        return replace(super().preparation, blocks=LAYOUT.blocks)

    def network(self) -> nn.Module:
        """A new one, with random weights, that takes the stacked images."""
        return StackedInputs(super().network(), LAYOUT)
