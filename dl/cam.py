"""Where a network looks: Grad-CAM (Selvaraju et al. 2017)."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["GradCam", "unit_map"]

_SIGN = {"event": 1.0, "non_event": -1.0}


class GradCam:
    """Grad-CAM of a single-logit classifier, as a context manager.

    On leaving, hooks are removed and every module is in the mode it was in; the parameters'
    gradients are never touched.

    Parameters
    ----------
    network : Module
    layer : Module, optional
        Whose output is weighted; the trunk's last feature map by default.

    Examples
    --------
    >>> from dl.registry import build
    >>> network = build("resnet18", n_classes=1, in_channels=1)
    >>> with GradCam(network) as cam:
    ...     maps = cam(torch.rand(2, 1, 64, 64))
    >>> maps.shape, bool((maps >= 0).all()), len(network.trunk._forward_hooks)
    (torch.Size([2, 64, 64]), True, 0)
    """

    def __init__(self, network: nn.Module, layer: nn.Module | None = None) -> None:
        self._network = network
        self._layer = network.trunk if layer is None else layer
        self._map: Tensor | None = None
        self._hook: Any = None
        self._modes: list[tuple[nn.Module, bool]] = []

    def __enter__(self) -> Self:
        self._modes = [(module, module.training) for module in self._network.modules()]
        self._network.eval()
        self._hook = self._layer.register_forward_hook(self._keep)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hook.remove()
        self._hook, self._map = None, None
        for module, training in self._modes:
            module.training = training

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._map = output

    def __call__(self, x: Tensor, *, toward: str = "event") -> Tensor:
        """Evidence for (or against) the event, (N, H, W), 0 or more, at the input's size.

        Parameters
        ----------
        x : (N, C, H, W) Tensor
        toward : {"event", "non_event"}

        Raises
        ------
        ArgumentError
            Used outside the `with` block, or toward something else.
        """
        check_option(toward, _SIGN, name="toward")
        if self._hook is None:
            msg = "GradCam must be used inside its `with` block."
            raise ArgumentError(msg)
        with torch.enable_grad():
            logit = self._network(x.detach().requires_grad_())[:, 0]
            (gradient,) = torch.autograd.grad(_SIGN[toward] * logit.sum(), self._map)
        weight = gradient.mean(dim=(2, 3), keepdim=True)
        raw = (weight * self._map.detach()).sum(dim=1, keepdim=True).relu()
        return interpolate(raw, size=x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def unit_map(raw: Tensor) -> NDArray[np.float32]:
    """One map scaled to a maximum of 1; a map of zeros stays."""
    heat = raw.detach().numpy().astype(np.float32)
    top = heat.max()
    return heat / top if top > 0 else heat
