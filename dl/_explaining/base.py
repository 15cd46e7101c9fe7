"""What every evidence map shares: hooks and modes, the class asked for, the input's size."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from dl._explaining.layers import class_logits, default_layers, last_map, layer_name
from dl.layers import resize_to
from usstats.errors import ArgumentError

__all__ = ["Cam", "Toward"]

Toward = str | int | Sequence[int] | Tensor | None


class Cam:
    """Evidence maps of a classifier, as a context manager; the parent of every method.

    On leaving, hooks are removed and every module is in the mode it was in; the parameters'
    gradients are never touched.

    Parameters
    ----------
    network : Module
        With one logit or several; of one image or two; of two tasks.
    layer : Module or str, optional
        Whose output is looked at, or its name inside the network. By default the trunk's last
        feature map, or both encoders' of a network of two images (`default_layers`).
    """

    #: Whether the map is of a class.
    has_class: ClassVar[bool] = True
    #: Whether the way from the map to the logits is recorded; the way up to it never is.
    records: ClassVar[bool] = False
    #: Which of a layer's outputs is the map, where it returns several.
    output: ClassVar[int] = 0

    def __init__(self, network: nn.Module, layer: nn.Module | str | None = None) -> None:
        self._network = network
        self._layers = self._choose(layer)
        self._seen: dict[str, Tensor] = {}
        self._hooks: list[Any] = []
        self._looking = False
        self._modes: list[tuple[nn.Module, bool]] | None = None

    def _choose(self, layer: nn.Module | str | None) -> dict[str, nn.Module]:
        if layer is None:
            return default_layers(self._network)
        name = layer_name(self._network, layer)
        return {name: self._network.get_submodule(name)}

    def __enter__(self) -> Self:
        if self._modes is not None:
            msg = f"This {type(self).__name__} is open already; make another one."
            raise ArgumentError(msg)
        self._modes = [(module, module.training) for module in self._network.modules()]
        self._network.eval()
        self._attach()
        return self

    def _attach(self) -> None:
        for name, layer in self._layers.items():
            self._hooks.append(layer.register_forward_hook(self._keeper(name)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        for module, training in self._modes or []:
            module.training = training
        self._hooks, self._modes = [], None
        self._seen.clear()

    def _keeper(self, name: str) -> Any:
        """A hook that keeps a layer's map, and hands on a copy that may be overwritten."""

        def keep(module: nn.Module, inputs: Any, output: Any) -> Any:
            if not self._looking:
                return output
            several = isinstance(output, tuple)
            kept = _as_map(name, output[self.output] if several else output)
            if self.records:
                torch.set_grad_enabled(True)
                kept = kept if kept.requires_grad else kept.detach().requires_grad_()
            self._seen[name] = kept
            if several:
                return (*output[: self.output], kept.clone(), *output[self.output + 1 :])
            return kept.clone()

        return keep

    def __call__(self, x: Tensor, *, toward: Toward = None) -> Tensor:
        """The map of every image, (N, H, W), 0 or more, at the input's size.

        Parameters
        ----------
        x : (N, C, H, W) Tensor
        toward : optional
            Of a single logit "event" (default) or "non_event"; of several a class by its number,
            or one for each image. By default the class with the highest logit.

        Raises
        ------
        ArgumentError
            Used outside the `with` block; toward something else; a network of two images, whose
            `maps` are two.
        """
        maps = self.maps(x, toward=toward)
        if len(maps) > 1:
            msg = f"There are several maps ({', '.join(maps)}); use `maps`, or choose a `layer`."
            raise ArgumentError(msg)
        return next(iter(maps.values()))

    def maps(self, x: Tensor, *, toward: Toward = None) -> dict[str, Tensor]:
        """Every layer's map, as in a call: "image", or "gray" and "doppler", or the layer's name.

        The maps of one image are in the same unit, so that those of gray and Doppler compare.
        """
        if self._modes is None:
            msg = f"{type(self).__name__} must be used inside its `with` block."
            raise ArgumentError(msg)
        if not self.has_class and toward is not None:
            msg = f"{type(self).__name__} knows no class; leave out `toward` ({toward!r})."
            raise ArgumentError(msg)
        with torch.inference_mode(mode=False), torch.enable_grad():
            raw = self._raw(x.detach().clone(), toward)
        return {name: self._finish(found, x) for name, found in raw.items()}

    def _finish(self, raw: Tensor, x: Tensor) -> Tensor:
        return resize_to(raw.detach()[:, None].relu(), x.shape[-2:])[:, 0]

    def _raw(self, x: Tensor, toward: Toward) -> dict[str, Tensor]:
        """Maps (N, h, w) before they are cut and enlarged."""
        raise NotImplementedError

    def _look(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Class logits, and the map of every layer that was passed."""
        if not self._layers:
            self._layers = {"image": last_map(self._network, x)}
            self._attach()
        self._seen.clear()
        self._looking = True
        try:
            with torch.no_grad():
                logits = class_logits(self._network, x)
        finally:
            self._looking = False
        seen = {name: self._seen[name] for name in self._layers if name in self._seen}
        self._seen.clear()
        if not seen:
            msg = f"No image passes {', '.join(self._layers)} on its way to the class logits."
            raise ArgumentError(msg)
        return logits, seen


def _as_map(name: str, output: Any) -> Tensor:
    if isinstance(output, Tensor) and output.ndim == 4:
        return output
    found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    msg = f"Layer {name!r} answers {found}; a feature map (N, C, h, w) is needed."
    raise ArgumentError(msg)
