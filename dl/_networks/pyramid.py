"""Feature maps of a trunk at every resolution it passes through, whatever trunk it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Tap", "feature_maps", "find_taps"]

#: Side of the image of zeros that is sent through a trunk to learn its sizes.
PROBE = 64
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

Change = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Tap:
    """Where a feature map of a trunk can be read.

    Attributes
    ----------
    module : str
        Name inside the trunk of the step whose output it is.
    channels : int
    stride : int
        Pixels of the image per place of the map, along a side.
    """

    module: str
    channels: int
    stride: int


def find_taps(trunk: nn.Module, in_channels: int) -> tuple[Tap, ...]:
    """The last map of every resolution, the finest first; the trunk is left as it was.

    The steps looked at are the trunk's children, and theirs where a child only holds others
    (Sequential, ModuleList, ModuleDict).

    Parameters
    ----------
    trunk : Module
        (N, in_channels, H, W) -> (N, C, h, w).
    in_channels : int

    Examples
    --------
    >>> trunk = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, 1))
    >>> [(tap.module, tap.channels, tap.stride) for tap in find_taps(trunk, 1)]
    [('1', 4, 2), ('2', 8, 4)]
    """
    seen: dict[int, Tap] = {}

    def note(name: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            stride = round(PROBE / output.shape[-1])
            seen[stride] = Tap(module=name, channels=output.shape[1], stride=stride)

    modes = [(module, module.training) for module in trunk.modules()]
    trunk.eval()
    try:
        with torch.no_grad(), _hooked(dict(_steps(trunk)), note):
            trunk(next(trunk.parameters()).new_zeros(1, in_channels, PROBE, PROBE))
    finally:
        for module, training in modes:
            module.training = training
    return tuple(seen[stride] for stride in sorted(seen))


def feature_maps(
    trunk: nn.Module, x: Tensor, taps: tuple[Tap, ...], change: Change | None = None
) -> tuple[Tensor, list[Tensor]]:
    """One forward pass: what the trunk returns, and the maps at `taps` on the way.

    Parameters
    ----------
    trunk : Module
    x : (N, in_channels, H, W) Tensor
    taps : tuple of Tap
    change : callable, optional
        (number of the tap, its map) -> the map the trunk goes on with.
    """
    maps: dict[str, Tensor] = {}
    number = {tap.module: i for i, tap in enumerate(taps)}

    def read(name: str, output: Tensor) -> Tensor:
        maps[name] = output if change is None else change(number[name], output)
        return maps[name]

    steps = {tap.module: trunk.get_submodule(tap.module) for tap in taps}
    with _hooked(steps, read):
        output = trunk(x)
    return output, [maps[tap.module] for tap in taps]


def _steps(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(child, _CONTAINERS):
            yield from _steps(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


@contextmanager
def _hooked(steps: dict[str, nn.Module], call: Callable[[str, Any], Any]) -> Iterator[None]:
    """Call with every step's name and output; a returned value takes the output's place."""
    hooks = [
        step.register_forward_hook(lambda module, inputs, output, name=name: call(name, output))
        for name, step in steps.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
