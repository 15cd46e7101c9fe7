"""Where a network looks: Grad-CAM and its family, as context managers.

A is the feature map of a layer, (C, h, w), y the logit asked for, and G = dy / dA. Every map is cut
at 0, so that it shows evidence for the class and none against it, and is brought to the input's
size.

=================  =================================  ===========================================
GradCam            sum_k mean(G_k) A_k                Selvaraju et al. 2017
GradCamPlusPlus    sum_k sum(alpha_k relu(G_k)) A_k   Chattopadhay et al. 2018
LayerCam           sum_k relu(G_k) A_k, by place      Jiang et al. 2021
EigenCam           A on its first direction           Muhammad & Yeasin 2020; knows no class
LinearCam          the head's weights times A         Zhou et al. 2016; exact for linear heads
AttentionGates     the gates' own coefficients        Schlemper et al. 2019; knows no class
Occlusion          y less y behind a patch            Zeiler & Fergus 2014
=================  =================================  ===========================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dl._explaining.base import Cam, Toward
from dl._explaining.layers import Target, map_owner
from dl._explaining.occlusion import Occlusion
from dl.layers import GridAttentionGate, resize_to
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = [
    "METHODS",
    "AttentionGates",
    "Cam",
    "EigenCam",
    "GradCam",
    "GradCamPlusPlus",
    "LayerCam",
    "LinearCam",
    "Occlusion",
    "new_cam",
    "unit_map",
]

#: Largest difference, relative to the logits, between them and what a linear head would say.
LINEAR = 1e-3


class _GradientCam(Cam):
    """Methods that weigh A by what G says."""

    records = True

    def weigh(self, a: Tensor, g: Tensor) -> Tensor:
        """(N, h, w) of the map A and the gradient G, both (N, C, h, w)."""
        raise NotImplementedError

    def _raw(self, x: Tensor, toward: Toward) -> dict[str, Tensor]:
        logits, seen = self._look(x)
        total = Target.of(logits, toward).value(logits).sum()
        gradients = [None] * len(seen)
        if total.requires_grad:
            gradients = torch.autograd.grad(total, list(seen.values()), allow_unused=True)
        if all(g is None for g in gradients):
            msg = f"The class logits do not depend on {', '.join(seen)}."
            raise ArgumentError(msg)
        return {
            name: a.new_zeros(a[:, 0].shape) if g is None else self.weigh(a.detach(), g)
            for (name, a), g in zip(seen.items(), gradients, strict=True)
        }


class GradCam(_GradientCam):
    """Grad-CAM (Selvaraju et al. 2017): channels weighted by their mean gradient.

    Parameters
    ----------
    network, layer
        As for `Cam`.

    Examples
    --------
    >>> from dl.registry import build
    >>> network = build("resnet18", n_classes=1, in_channels=1)
    >>> with GradCam(network) as cam:
    ...     maps = cam(torch.rand(2, 1, 64, 64))
    >>> maps.shape, bool((maps >= 0).all()), len(network.trunk._forward_hooks)
    (torch.Size([2, 64, 64]), True, 0)
    """

    def weigh(self, a: Tensor, g: Tensor) -> Tensor:
        return (g.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1)


class GradCamPlusPlus(_GradientCam):
    """Grad-CAM++ (Chattopadhay et al. 2018): the sum of alpha relu(G) over places as weights.

    alpha = G^2 / (2 G^2 + sum(A) G^3), equation 19 for Y = exp(y); the factor exp(y), which all
    places of an image share, is left out. The closed form supposes maps behind a ReLU.

    Examples
    --------
    >>> from dl.registry import build
    >>> with GradCamPlusPlus(build("resnet18", n_classes=3)) as cam:
    ...     cam(torch.rand(2, 3, 64, 64), toward=2).shape
    torch.Size([2, 64, 64])
    """

    def weigh(self, a: Tensor, g: Tensor) -> Tensor:
        below = 2 * g**2 + a.sum(dim=(2, 3), keepdim=True) * g**3
        alpha = torch.where(below == 0, 0.0, g**2 / torch.where(below == 0, 1.0, below))
        return ((alpha * g.relu()).sum(dim=(2, 3), keepdim=True) * a).sum(dim=1)


class LayerCam(_GradientCam):
    """Layer-CAM (Jiang et al. 2021): every place weighted by its own positive gradient.

    Fit for the finer maps of early layers too.

    Examples
    --------
    >>> from dl.registry import build
    >>> with LayerCam(build("resnet18", n_classes=1), layer="trunk.stages.1") as cam:
    ...     cam(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def weigh(self, a: Tensor, g: Tensor) -> Tensor:
        return (g.relu() * a).sum(dim=1)


class EigenCam(Cam):
    """Eigen-CAM (Muhammad and Yeasin 2020): A on its first right singular vector.

    It asks no class and shows what dominates the map. Of the two signs of the vector the one with
    a positive sum over the map is taken.

    Examples
    --------
    >>> from dl.registry import build
    >>> with EigenCam(build("resnet18", n_classes=1)) as cam:
    ...     cam(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    has_class = False

    def _raw(self, x: Tensor, toward: Toward) -> dict[str, Tensor]:
        with torch.no_grad():
            _, seen = self._look(x)
            return {name: _first_direction(a) for name, a in seen.items()}


def _first_direction(a: Tensor) -> Tensor:
    places = a.flatten(2).transpose(1, 2)
    left, singular, _ = torch.linalg.svd(places.contiguous(), full_matrices=False)
    raw = left[..., 0] * singular[:, :1]
    sign = torch.where(raw.sum(dim=1, keepdim=True) < 0, -1.0, 1.0)
    return (sign * raw).view(len(a), *a.shape[2:])


class LinearCam(Cam):
    """CAM (Zhou et al. 2016): the logit taken apart by place, exactly.

    For a linear head on the means of maps: the mean of the map before it is cut, plus the head's
    bias, is the logit. Of several maps (gated ones and the last) it is their sum.

    Raises
    ------
    ArgumentError
        The head is not linear in the means of the maps.

    Examples
    --------
    >>> from dl.registry import build
    >>> with LinearCam(build("attention_resnet18", n_classes=3)) as cam:
    ...     cam(torch.rand(2, 3, 64, 64), toward=[0, 2]).shape
    torch.Size([2, 64, 64])
    """

    def _choose(self, layer: nn.Module | str | None) -> dict[str, nn.Module]:
        owner = map_owner(self._network)
        head = getattr(owner, "head", None)
        if layer is not None or not isinstance(head, nn.Linear):
            msg = "The exact map needs a linear head on the means of maps, and takes no `layer`."
            raise ArgumentError(msg)
        self._head = head
        gates = getattr(owner, "gates", ())
        return {f"gate {i + 1}": gate for i, gate in enumerate(gates)} | {"image": owner.trunk}

    def _raw(self, x: Tensor, toward: Toward) -> dict[str, Tensor]:
        with torch.no_grad():
            logits, seen = self._look(x)
            parts = self._parts(logits, list(seen.values()))
            target = Target.of(logits, toward)
            finest = parts[0].shape[-2:]
            total = torch.stack([resize_to(part, finest) for part in parts]).sum(dim=0)
            return {"image": target.sign * total[torch.arange(len(x)), target.index]}

    def _parts(self, logits: Tensor, maps: list[Tensor]) -> list[Tensor]:
        """Every map's share of all logits at every place, (N, n_classes, h, w)."""
        widths = [a.shape[1] for a in maps]
        if sum(widths) == self._head.in_features:
            weights = self._head.weight.split(widths, dim=1)
            parts = [
                torch.einsum("kc,nchw->nkhw", w, a) for w, a in zip(weights, maps, strict=True)
            ]
            rebuilt = sum(part.mean(dim=(2, 3)) for part in parts) + self._head.bias
            if float((rebuilt - logits).abs().max()) <= LINEAR * (1 + float(logits.abs().max())):
                return parts
        msg = "The network's logits are not a linear head on the means of its maps; use GradCam."
        raise ArgumentError(msg)


class AttentionGates(Cam):
    """By what a network's own gates multiply its maps: "gate 1" (the finest), "gate 2" ...

    Raises
    ------
    ArgumentError
        The network has no gates.

    Examples
    --------
    >>> from dl.registry import build
    >>> with AttentionGates(build("attention_resnet18", n_classes=3)) as gates:
    ...     {name: tuple(a.shape) for name, a in gates.maps(torch.rand(2, 3, 64, 64)).items()}
    {'gate 1': (2, 64, 64), 'gate 2': (2, 64, 64)}
    """

    has_class = False
    output = 1

    def _choose(self, layer: nn.Module | str | None) -> dict[str, nn.Module]:
        gates = [part for part in self._network.modules() if isinstance(part, GridAttentionGate)]
        if not gates or layer is not None:
            msg = f"{type(self._network).__name__} has no gates, or a `layer` was given."
            raise ArgumentError(msg)
        return {f"gate {i + 1}": gate for i, gate in enumerate(gates)}

    def _raw(self, x: Tensor, toward: Toward) -> dict[str, Tensor]:
        with torch.no_grad():
            return {name: a[:, 0] for name, a in self._look(x)[1].items()}


#: Name -> method.
METHODS: dict[str, type[Cam]] = {
    "gradcam": GradCam,
    "gradcam++": GradCamPlusPlus,
    "layercam": LayerCam,
    "eigencam": EigenCam,
    "cam": LinearCam,
    "gates": AttentionGates,
    "occlusion": Occlusion,
}


def new_cam(
    method: str, network: nn.Module, layer: nn.Module | str | None = None, **options: Any
) -> Cam:
    """A method by its name in `METHODS`, to be used in a `with` block.

    Raises
    ------
    ArgumentError
        An unknown method, or a `layer` for one that looks at none.

    Examples
    --------
    >>> from dl.registry import build
    >>> with new_cam("layercam", build("resnet18", n_classes=1)) as cam:
    ...     cam(torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 32, 32])
    """
    check_option(method, METHODS, name="method")
    return METHODS[method](network, layer, **options)


def unit_map(raw: Tensor) -> NDArray[np.float32]:
    """A map, or the maps of one image together, scaled to a maximum of 1; zeros stay."""
    heat = raw.detach().cpu().numpy().astype(np.float32)
    top = heat.max()
    return heat / top if top > 0 else heat
