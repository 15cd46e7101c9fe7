"""Classifiers of other packages, by `monai/<name>` and `timm/<name>`; neither is required.

They start from random weights: whoever has published ones loads them into `network.trunk`. MONAI's
networks are built for two dimensions, its ResNets with a stem of stride 2 (its default of 1 is made
for volumes and costs four times the time).
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch
from torch import nn

from dl.network import NetworkEntry
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["OUTSIDE"]

#: Side of the image that shows what a trunk returns; no number is computed for it.
_PROBE = 64
_DENSENETS = {"densenet169": "DenseNet169", "densenet201": "DenseNet201"}
_RESNETS = {
    "resnet34": ("ResNetBlock", [3, 4, 6, 3], [64, 128, 256, 512]),
    "resnet101": ("ResNetBottleneck", [3, 4, 23, 3], [64, 128, 256, 512]),
}
_SENETS = {"seresnet50": "SEResNet50", "seresnext50": "SEResNext50"}


def _monai(name: str) -> NetworkEntry:
    nets = _package("monai.networks.nets", "monai")
    check_option(name, (*_DENSENETS, *_RESNETS, *_SENETS), name="architecture after monai/")

    def trunk(in_channels: int) -> nn.Module:
        if name in _DENSENETS:
            make = getattr(nets, _DENSENETS[name])
            return make(spatial_dims=2, in_channels=in_channels, out_channels=1).features
        if name in _SENETS:
            return _chain(getattr(nets, _SENETS[name])(spatial_dims=2, in_channels=in_channels))
        return _chain(_monai_resnet(nets, name, in_channels))

    return _entry(f"monai/{name}", trunk, mean=0.5, std=0.25, origin=f"MONAI {_version(nets)}")


def _monai_resnet(nets: ModuleType, name: str, in_channels: int) -> nn.Module:
    block, layers, widths = _RESNETS[name]
    return nets.ResNet(
        block=getattr(nets.resnet, block),
        layers=layers,
        block_inplanes=widths,
        spatial_dims=2,
        n_input_channels=in_channels,
        conv1_t_stride=2,
        num_classes=1,
    )


def _chain(network: nn.Module) -> nn.Sequential:
    """What comes before the pooling over the whole map, as one module after the other."""
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    for name, child in network.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            break
        steps[name] = child
    return nn.Sequential(steps)


def _timm(name: str) -> NetworkEntry:
    timm = _package("timm", "timm")
    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models())) or "none is spelled alike"
        msg = f"timm {timm.__version__} has no network {name!r} ({near}); see timm.list_models()."
        raise ArgumentError(msg)

    def trunk(in_channels: int) -> nn.Module:
        return timm.create_model(
            name, pretrained=False, in_chans=in_channels, num_classes=0, global_pool=""
        )

    known = timm.get_pretrained_cfg(name)
    colours = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    if known is not None:
        colours = {"mean": tuple(known.mean), "std": tuple(known.std)}
    return _entry(f"timm/{name}", trunk, origin=f"timm {timm.__version__}", **colours)


def _entry(name: str, trunk: Callable[[int], nn.Module], **facts: Any) -> NetworkEntry:
    try:
        with torch.device("meta"), torch.no_grad():
            answer = trunk(3).eval()(torch.zeros(1, 3, _PROBE, _PROBE))
    except AssertionError:  # of a network made for one size of image
        answer = None
    if not isinstance(answer, torch.Tensor) or answer.ndim != 4 or answer.shape[-1] > _PROBE // 2:
        msg = (
            f"{name!r} does not return a feature map (N, C, H, W), which a classifier here is "
            "made of and Grad-CAM looks at. Choose a convolutional network."
        )
        raise ArgumentError(msg)
    return NetworkEntry(name=name, trunk=trunk, n_features=answer.shape[1], **facts)


def _package(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        msg = (
            f"Networks by the name {package}/... need the package {package}, which is not "
            f"installed. Install usstats[{package}], or choose another network."
        )
        raise ArgumentError(msg) from None


def _version(module: ModuleType) -> str:
    return str(importlib.import_module(module.__name__.split(".")[0]).__version__)


#: Prefix of a name -> the entry of what follows it.
OUTSIDE: dict[str, Callable[[str], NetworkEntry]] = {"monai": _monai, "timm": _timm}
