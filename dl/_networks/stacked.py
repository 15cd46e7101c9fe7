"""The network of a configuration, called with one tensor whatever images it takes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dl.channels import ChannelLayout
from dl.config import TrainConfig
from dl.network import layout_of
from dl.registry import build

__all__ = ["StackedInputs", "channel_layout", "network_of"]


class StackedInputs(nn.Module):
    """A network of several inputs that is called with all of them in one tensor.

    To a checkpoint or an explanation it is the network itself: the names of tensors, `head`,
    `new_parts` and all other attributes are the network's own.

    Parameters
    ----------
    network : Module
        `forward(gray, doppler, mask, *, has_doppler, has_mask)`, or fewer of them, by the blocks
        of the layout.
    layout : ChannelLayout

    Examples
    --------
    >>> import torch
    >>> network = build("dual_aspp", n_classes=1, dim=32, channels=(8, 8, 16, 16, 32))
    >>> one = StackedInputs(network, layout_of("dual_aspp", 3))
    >>> one(torch.rand(2, 5, 64, 64)).shape, one.head is network.head
    (torch.Size([2, 1]), True)
    """

    def __init__(self, network: nn.Module, layout: ChannelLayout) -> None:
        super().__init__()
        self.network = network
        self.layout = layout

    def forward(self, x: Tensor) -> Any:
        """(N, C, H, W) by the layout; a block of zeros is taken as missing."""
        first, *others = self.layout.names
        blocks = {name: self.layout.take(x, name) for name in others}
        present = {f"has_{name}": self.layout.present(x, name) for name in others}
        return self.network(self.layout.take(x, first), **blocks, **present)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Of the network, under its own names."""
        return self.network.state_dict(*args, **options)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Into the network, by its own names."""
        return self.network.load_state_dict(*args, **options)


def channel_layout(config: TrainConfig) -> ChannelLayout:
    """What stands in which channel of the images this configuration trains on."""
    return layout_of(config.architecture, config.in_channels)


def network_of(config: TrainConfig, *, weights: Any = None) -> nn.Module:
    """The network of a configuration; it takes one tensor (N, C, H, W), by `channel_layout`.

    Parameters
    ----------
    config : TrainConfig
    weights : None, "imagenet" or path
        As in `dl.registry.build`.
    """
    layout = channel_layout(config)
    network = build(
        config.architecture,
        n_classes=config.n_logits,
        in_channels=layout.channels(layout.pictures[-1]),
        weights=weights,
        dropout=config.dropout,
        **config.options,
    )
    return network if len(layout.names) == 1 else StackedInputs(network, layout)
