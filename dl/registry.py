"""Name -> network that returns logits, with its weights.

`dl.network` holds the contract every network keeps; a module with networks is imported here, once,
and registers them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dl import nasnet, nets
from dl._networks import attention, backbones, dual_aspp, multitask, unet
from dl._networks.outside import OUTSIDE
from dl.checkpoint import load_weights
from dl.errors import CheckpointError
from dl.layers import ImageClassifier, merge_input_channels
from dl.network import NetworkEntry, entry, layout_of, names, register
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["NetworkEntry", "build", "entry", "layout_of", "names", "register"]

#: Each registers its networks when it is imported.
MODULES = (attention, backbones, dual_aspp, multitask, nasnet, nets, unet)

HEAD = "head."
IMAGENET_CLASSES = 1000
_SHOWN = 3


def build(
    name: str,
    *,
    n_classes: int,
    in_channels: int = 3,
    weights: str | Path | None = None,
    dropout: float = 0.2,
    **options: Any,
) -> nn.Module:
    """Build a network that returns logits.

    Parameters
    ----------
    name : str
        One of `names()`; or `timm/<name>` or `monai/<name>` where that package is installed.
    n_classes : int
        Logits returned; 1 for a binary outcome (the logit of the event).
    in_channels : int
        3 for colour, 1 for gray. Input values lie in [0, 1]; the network standardises them. Of a
        network with two inputs, the channels of the last.
    weights : None, "imagenet" or path
        Random (from torch's generator); published ImageNet weights with a new head; a checkpoint
        written by this package; or, where the network reads them, a foreign file (Keras h5 for
        nasnet_mobile), whose head is taken too if it is not ImageNet's or n_classes is 1000.
    dropout : float
        Before the head.
    **options
        What the network offers beside (`entry(name).options`): border="slim", stem_stride=1.

    Returns
    -------
    Module
        In evaluation mode, channels last in memory. (N, in_channels, H, W) -> (N, n_classes).

    Raises
    ------
    ArgumentError
        Unknown name or option, or no ImageNet weights for it.
    CheckpointError
        The weights are absent, damaged, or of another network.

    Examples
    --------
    >>> network = build("resnet18", n_classes=1, in_channels=1)
    >>> network(torch.zeros(2, 1, 64, 64)).shape
    torch.Size([2, 1])
    """
    known = _known(name)
    _check_options(known, options)
    chosen = {**known.options, **options}
    network = _new(known, n_classes, in_channels, dropout, chosen)
    if weights == "imagenet":
        _load_imagenet(network, known, chosen)
    elif weights is not None and Path(weights).suffix in known.readers:
        path = Path(weights)
        _load_foreign(network, known, known.readers[path.suffix](path), path)
    elif weights is not None:
        load_weights(network, Path(weights), architecture=name)
    return network.to(memory_format=torch.channels_last).eval()


def _check_options(known: NetworkEntry, options: Mapping[str, Any]) -> None:
    if options and not known.options:
        msg = f"There is no option of {known.name} to set; got {', '.join(map(repr, options))}."
        raise ArgumentError(msg)
    for option in options:
        check_option(option, known.options, name=f"option of {known.name}")


def _known(name: str) -> NetworkEntry:
    """The entry of a network here, or of one in a package that is not required."""
    package, found, model = str(name).partition("/")
    if found and package in OUTSIDE:
        return OUTSIDE[package](model)
    return entry(name)


def _new(
    known: NetworkEntry,
    n_classes: int,
    in_channels: int,
    dropout: float,
    options: Mapping[str, Any],
) -> nn.Module:
    _check_count(n_classes, "n_classes")
    _check_count(in_channels, "in_channels")
    if known.build is None:
        standardise, trunk = known.parts(in_channels, **options)
        return ImageClassifier(
            trunk,
            n_features=known.n_features,
            n_classes=n_classes,
            standardise=standardise,
            dropout=dropout,
        )
    return known.build(n_classes=n_classes, in_channels=in_channels, dropout=dropout, **options)


def _check_count(value: int, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"`{name}` must be a whole number of 1 or more; got {value!r}."
        raise ArgumentError(msg)


def _load_imagenet(network: nn.Module, known: NetworkEntry, options: Mapping[str, Any]) -> None:
    """Published tensors for everything but the head."""
    if known.imagenet is None:
        having = [name for name in names() if entry(name).imagenet is not None]
        msg = (
            f"There are no ImageNet weights for {known.name!r}; they exist for "
            f"{', '.join(having)}. Use weights=None to train from random weights."
        )
        raise ArgumentError(msg)
    tensors = known.imagenet(**options)
    body = {name: tensor for name, tensor in tensors.items() if not name.startswith(HEAD)}
    _put(network, known, body, "The published weights")


def _load_foreign(
    network: nn.Module, known: NetworkEntry, tensors: Mapping[str, Tensor], path: Path
) -> None:
    """A foreign file's tensors; ImageNet's head is left out where another one is asked for."""
    own = network.state_dict()
    head = [name for name in tensors if name.startswith(HEAD)]
    foreign = any(
        len(tensors[name]) == IMAGENET_CLASSES and own[name].shape != tensors[name].shape
        for name in head
    )
    kept = {name: t for name, t in tensors.items() if not (foreign and name in head)}
    _put(network, known, kept, str(path))


def _put(
    network: nn.Module, known: NetworkEntry, tensors: Mapping[str, Tensor], source: str
) -> None:
    """Every tensor into its place; only a head, or what a larger network adds, may stay new."""
    own = network.state_dict()
    given = dict(tensors)
    if known.stem in given:
        given[known.stem] = _fit_stem(known, given[known.stem], own[known.stem])
    absent = [name for name in own if name not in given and not name.startswith(HEAD)]
    wrong = [name for name in given if name not in own or own[name].shape != given[name].shape]
    wrong += [] if known.build else absent
    if wrong:
        msg = (
            f"{source}: {len(wrong)} tensors are absent, unknown or of another shape (first: "
            f"{', '.join(wrong[:_SHOWN])}). They belong to another network or head."
        )
        raise CheckpointError(msg)
    broken = [name for name, tensor in given.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        msg = f"{source}: {len(broken)} tensors hold NaN or infinity (first: {broken[0]})."
        raise CheckpointError(msg)
    network.load_state_dict(own | given, strict=True)


def _fit_stem(known: NetworkEntry, published: Tensor, own: Tensor) -> Tensor:
    if own.shape[1] not in (1, published.shape[1]):
        msg = (
            f"The published filters of {known.name} take {published.shape[1]} channels or 1; got "
            f"in_channels={own.shape[1]}. Use weights=None, or give gray or colour images."
        )
        raise ArgumentError(msg)
    return merge_input_channels(published, own.shape[1])
