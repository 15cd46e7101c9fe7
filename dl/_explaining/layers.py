"""Which maps of a network are looked at, and the logit they are evidence for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from usstats.errors import ArgumentError

__all__ = ["Target", "class_logits", "default_layers", "last_map", "layer_name", "map_owner"]

#: What `toward` may be for a network with a single logit.
SIGNS = {None: 1.0, "event": 1.0, 1: 1.0, "non_event": -1.0, 0: -1.0}
ENCODERS = ("gray", "doppler")


def map_owner(network: nn.Module) -> nn.Module | None:
    """The part that holds the trunk or the encoders: the network, or what it alone wraps."""
    part: nn.Module | None = network
    while part is not None:
        if any(isinstance(getattr(part, name, None), nn.Module) for name in ("trunk", "gray")):
            return part
        children = list(part.children())
        part = children[0] if len(children) == 1 else None
    return None


def default_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The modules whose outputs are looked at where no layer is named.

    1. A network with an encoder for each image: both encoders, "gray" and "doppler".
    2. A network with a trunk (every other one of the registry; with a head from the frozen route
       too): the trunk, "image".
    3. Any other: nothing here, but the last map before pooling (`last_map`) at the first image.

    Examples
    --------
    >>> from dl.registry import build
    >>> list(default_layers(build("attention_resnet18", n_classes=3)))
    ['image']
    """
    owner = map_owner(network)
    if owner is None:
        return {}
    encoders = {name: getattr(owner, name, None) for name in ENCODERS}
    found = {name: part for name, part in encoders.items() if isinstance(part, nn.Module)}
    return found or {"image": owner.trunk}


def last_map(network: nn.Module, x: Tensor) -> nn.Module:
    """The module that answers last with a map of more than one place.

    Raises
    ------
    ArgumentError
        There is none.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    >>> last_map(network, torch.zeros(1, 1, 8, 8))
    ReLU()
    """
    seen: list[nn.Module] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            seen.append(module)

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        msg = f"{type(network).__name__} has no feature map (N, C, h, w) to look at."
        raise ArgumentError(msg)
    return seen[-1]


def layer_name(network: nn.Module, layer: nn.Module | str) -> str:
    """The name of a layer inside its network.

    Raises
    ------
    ArgumentError
        The network has no such layer.
    """
    names = [name for name, module in network.named_modules() if layer in (name, module) and name]
    if not names:
        shown = layer if isinstance(layer, str) else type(layer).__name__
        children = ", ".join(name for name, _ in network.named_children())
        msg = f"`layer` {shown!r} is no part of the network; its parts are {children}."
        raise ArgumentError(msg)
    return names[0]


def class_logits(network: nn.Module, x: Tensor) -> Tensor:
    """The logits of the classes alone, (N, n_classes), whatever else the network answers.

    Raises
    ------
    ArgumentError
        It classifies nothing.
    """
    answer = network.classify(x) if hasattr(network, "classify") else network(x)
    logits = answer[0] if isinstance(answer, tuple) else answer
    if logits.ndim != 2:
        msg = (
            f"{type(network).__name__} answers {tuple(logits.shape)}; a map of evidence needs the "
            "logits of classes, (N, n_classes)."
        )
        raise ArgumentError(msg)
    return logits


@dataclass(frozen=True)
class Target:
    """The logit of one class for each image, or its negative.

    Attributes
    ----------
    index : (N,) int Tensor
    sign : float
    """

    index: Tensor
    sign: float = 1.0

    @classmethod
    def of(cls, logits: Tensor, toward: str | int | Sequence[int] | Tensor | None) -> Target:
        """What `toward` means for these logits.

        Raises
        ------
        ArgumentError
            Neither of the two sides of a single logit, or no class of several.
        """
        n, k = logits.shape
        if k == 1:
            return cls(torch.zeros(n, dtype=torch.int64), _sign(toward))
        if toward is None:
            return cls(logits.detach().argmax(dim=1))
        return cls(_classes(toward, n, k))

    def value(self, logits: Tensor) -> Tensor:
        """(N,) of (N, n_classes)."""
        return self.sign * logits.gather(1, self.index[:, None].to(logits.device))[:, 0]


def _sign(toward: Any) -> float:
    try:
        return SIGNS[toward]
    except (KeyError, TypeError):
        msg = f"`toward` must be one of 'event', 'non_event' for a single logit; got {toward!r}."
        raise ArgumentError(msg) from None


def _classes(toward: Any, n: int, k: int) -> Tensor:
    wanted = torch.as_tensor(-1 if isinstance(toward, str) else toward)
    whole = not (wanted.is_floating_point() or wanted.dtype == torch.bool)
    if not whole or wanted.ndim > 1 or len(wanted.view(-1)) not in (1, n):
        wanted = torch.tensor(-1)
    index = wanted.to(torch.int64).expand(n)
    if bool(((index < 0) | (index >= k)).any()):
        msg = (
            f"`toward` must be a class from 0 to {k - 1}, one for all images or one for each of "
            f"{n}; got {toward!r}."
        )
        raise ArgumentError(msg)
    return index
