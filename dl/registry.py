"""Name -> network, with the input it expects and where its weights come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from dl.layers import ImageClassifier, Standardise, merge_input_channels
from dl.nets import (
    LITE0_FEATURES,
    RESNET18_FEATURES,
    efficientnet_lite0_trunk,
    resnet18_trunk,
)
from dl.pretrained import lite0_imagenet
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["NetworkEntry", "build", "entry", "names", "register"]


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """What is known of a network before it is built.

    Attributes
    ----------
    trunk : callable
        in_channels -> Module that returns the last feature map.
    n_features : int
        Channels of that map.
    stem : str
        Name of the first convolution's weight, the one that sees the input channels.
    mean, std : float
        Standardisation of gray levels in [0, 1].
    imagenet : callable, optional
        Returns published weights under our names; None where there are none.
    """

    name: str
    trunk: Callable[[int], nn.Module]
    n_features: int
    stem: str
    mean: float
    std: float
    imagenet: Callable[[], dict[str, Tensor]] | None = None


_ENTRIES: dict[str, NetworkEntry] = {}


def register(network: NetworkEntry) -> NetworkEntry:
    """Add a network; a name that is taken is refused."""
    if network.name in _ENTRIES:
        msg = f"A network called {network.name!r} is registered already; choose another name."
        raise ArgumentError(msg)
    _ENTRIES[network.name] = network
    return network


def names() -> list[str]:
    """The networks that can be built, in alphabetical order.

    Examples
    --------
    >>> {"efficientnet_lite0", "resnet18"} <= set(names())
    True
    """
    return sorted(_ENTRIES)


def entry(name: str) -> NetworkEntry:
    """What is known of one network.

    Raises
    ------
    ArgumentError
        An unknown name; the message lists those known.
    """
    check_option(name, names(), name="architecture")
    return _ENTRIES[name]


def build(
    name: str,
    *,
    n_classes: int,
    in_channels: int = 3,
    weights: str | Path | None = None,
    dropout: float = 0.2,
) -> nn.Module:
    """Build a network that returns logits.

    Parameters
    ----------
    name : str
        One of `names()`.
    n_classes : int
        Logits returned; 1 for a binary outcome (the logit of the event).
    in_channels : int
        3 for colour, 1 for gray. Input values lie in [0, 1]; the network standardises them.
    weights : None, "imagenet" or path
        Random (from torch's generator); published ImageNet weights with a new head; or a
        checkpoint written by this package.

    Returns
    -------
    Module
        In evaluation mode. (N, in_channels, H, W) -> (N, n_classes).

    Raises
    ------
    ArgumentError
        Unknown name, or no ImageNet weights for it.
    CheckpointError
        The weights are absent, damaged, or of another network.

    Examples
    --------
    >>> import torch
    >>> network = build("resnet18", n_classes=1, in_channels=1)
    >>> network(torch.zeros(2, 1, 64, 64)).shape
    torch.Size([2, 1])
    """
    known = entry(name)
    network = ImageClassifier(
        known.trunk(in_channels),
        n_features=known.n_features,
        n_classes=n_classes,
        standardise=Standardise(known.mean, known.std),
        dropout=dropout,
    )
    if weights == "imagenet":
        _load_imagenet(network, known, in_channels)
    elif weights is not None:
        from dl.checkpoint import load_weights

        load_weights(network, Path(weights), architecture=name)
    return network.eval()


def _load_imagenet(network: nn.Module, known: NetworkEntry, in_channels: int) -> None:
    if known.imagenet is None:
        having = [name for name in names() if _ENTRIES[name].imagenet is not None]
        msg = (
            f"There are no ImageNet weights for {known.name!r}; they exist for "
            f"{', '.join(having)}. Use weights=None to train from random weights."
        )
        raise ArgumentError(msg)
    tensors = known.imagenet()
    tensors[known.stem] = merge_input_channels(tensors[known.stem], in_channels)
    own_head = {name: t for name, t in network.state_dict().items() if name.startswith("head.")}
    network.load_state_dict({**tensors, **own_head}, strict=True)


register(
    NetworkEntry(
        name="efficientnet_lite0",
        trunk=efficientnet_lite0_trunk,
        n_features=LITE0_FEATURES,
        stem="trunk.stem.weight",
        mean=127 / 255,
        std=128 / 255,
        imagenet=lite0_imagenet,
    )
)
register(
    NetworkEntry(
        name="resnet18",
        trunk=resnet18_trunk,
        n_features=RESNET18_FEATURES,
        stem="trunk.stem.0.weight",
        mean=0.5,
        std=0.25,
    )
)
