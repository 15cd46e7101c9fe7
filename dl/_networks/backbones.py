"""Classifier trunks with dense convolutions, written from their papers: ResNet and DenseNet."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from dl._networks.torchvision_weights import (
    COLOUR_MEAN,
    COLOUR_STD,
    DENSENET121,
    RESNET18,
    RESNET50,
    densenet_name,
    imagenet_loader,
    resnet_name,
)
from dl.network import NetworkEntry, register
from usstats._check import check_option

__all__ = ["densenet121_trunk", "resnet18_trunk", "resnet50_trunk"]

RESNET_WIDTHS = (64, 128, 256, 512)
RESNET18_FEATURES, RESNET50_FEATURES = 512, 2048
#: Layers of each block, and the channels every layer adds.
DENSENET121_BLOCKS, GROWTH = (6, 12, 24, 16), 32
DENSENET121_FEATURES = 1024


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016)."""

    EXPANSION = 1

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(width)
        self.conv_2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.norm_1(self.conv_1(x)), inplace=True)
        return relu(self.norm_2(self.conv_2(y)) + self.shortcut(x), inplace=True)


class BottleneckBlock(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 to four times the width, and a shortcut; the 3 x 3 one strides."""

    EXPANSION = 4

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        outputs = self.EXPANSION * width
        self.conv_1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(width)
        self.conv_2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(width)
        self.conv_3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.norm_3 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.norm_1(self.conv_1(x)), inplace=True)
        y = relu(self.norm_2(self.conv_2(y)), inplace=True)
        return relu(self.norm_3(self.conv_3(y)) + self.shortcut(x), inplace=True)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _resnet(
    in_channels: int,
    block: type[ResidualBlock] | type[BottleneckBlock],
    repeats: tuple[int, ...],
    stem_stride: int,
) -> nn.Sequential:
    check_option(stem_stride, (1, 2), name="stem_stride")
    stages, inputs = [], RESNET_WIDTHS[0]
    for width, n_blocks in zip(RESNET_WIDTHS, repeats, strict=True):
        blocks = []
        for i in range(n_blocks):
            stride = 2 if i == 0 and width > RESNET_WIDTHS[0] else 1
            blocks.append(block(inputs, width, stride=stride))
            inputs = width * block.EXPANSION
        stages.append(nn.Sequential(*blocks))
    stem = [
        nn.Conv2d(in_channels, 64, 7, stride=stem_stride, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    trunk = nn.Sequential(OrderedDict(stem=nn.Sequential(*stem), stages=nn.Sequential(*stages)))
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in trunk.modules():
        if isinstance(module, block):
            _weaken(module, sum(repeats))
    return trunk


@torch.no_grad()
def _weaken(block: nn.Module, n_blocks: int) -> None:
    """Divide a branch's last weights, so that all branches together weigh as much as the input."""
    last = block.conv_3 if isinstance(block, BottleneckBlock) else block.conv_2
    last.weight /= math.sqrt(n_blocks)


def resnet18_trunk(in_channels: int, *, stem_stride: int = 2) -> nn.Sequential:
    """ResNet18 up to the last feature map: (N, 512, H/32, W/32), or H/16 at a stem stride of 1."""
    return _resnet(in_channels, ResidualBlock, (2, 2, 2, 2), stem_stride)


def resnet50_trunk(in_channels: int, *, stem_stride: int = 2) -> nn.Sequential:
    """ResNet50 up to the last feature map: (N, 2048, H/32, W/32), or H/16 at a stem stride of 1."""
    return _resnet(in_channels, BottleneckBlock, (3, 4, 6, 3), stem_stride)


class DenseLayer(nn.Module):
    """Add `GROWTH` channels made of all before them (Huang et al. 2017)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm_1 = nn.BatchNorm2d(inputs)
        self.conv_1 = nn.Conv2d(inputs, 4 * GROWTH, 1, bias=False)
        self.norm_2 = nn.BatchNorm2d(4 * GROWTH)
        self.conv_2 = nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_1(relu(self.norm_1(x), inplace=True))
        y = self.conv_2(relu(self.norm_2(y), inplace=True))
        return torch.cat((x, y), dim=1)


class Transition(nn.Module):
    """Half the channels, half the size."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(self.conv(relu(self.norm(x), inplace=True)), 2)


def densenet121_trunk(in_channels: int) -> nn.Sequential:
    """DenseNet121 up to the last feature map: (N, 1024, H/32, W/32)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Conv2d(in_channels, 2 * GROWTH, 7, stride=2, padding=3, bias=False),
        stem_norm=nn.BatchNorm2d(2 * GROWTH),
        stem_act=nn.ReLU(inplace=True),
        stem_pool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    channels = 2 * GROWTH
    for k, n_layers in enumerate(DENSENET121_BLOCKS, start=1):
        block = [DenseLayer(channels + i * GROWTH) for i in range(n_layers)]
        layers[f"block_{k}"] = nn.Sequential(*block)
        channels += n_layers * GROWTH
        if k < len(DENSENET121_BLOCKS):
            layers[f"transition_{k}"] = Transition(channels)
            channels //= 2
    layers["top_norm"] = nn.BatchNorm2d(channels)
    layers["top_act"] = nn.ReLU(inplace=True)
    trunk = nn.Sequential(layers)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return trunk


register(
    NetworkEntry(
        name="resnet18",
        trunk=resnet18_trunk,
        n_features=RESNET18_FEATURES,
        stem="trunk.stem.0.weight",
        mean=COLOUR_MEAN,
        std=COLOUR_STD,
        imagenet=imagenet_loader(RESNET18, resnet_name),
        options={"stem_stride": 2},
        origin="ResNet18 (He et al. 2016); ImageNet weights of torchvision (BSD)",
    )
)
register(
    NetworkEntry(
        name="resnet50",
        trunk=resnet50_trunk,
        n_features=RESNET50_FEATURES,
        stem="trunk.stem.0.weight",
        mean=COLOUR_MEAN,
        std=COLOUR_STD,
        imagenet=imagenet_loader(RESNET50, resnet_name),
        options={"stem_stride": 2},
        origin="ResNet50 (He et al. 2016); ImageNet weights of torchvision (BSD)",
    )
)
register(
    NetworkEntry(
        name="densenet121",
        trunk=densenet121_trunk,
        n_features=DENSENET121_FEATURES,
        stem="trunk.stem.weight",
        mean=COLOUR_MEAN,
        std=COLOUR_STD,
        imagenet=imagenet_loader(DENSENET121, densenet_name),
        origin="DenseNet121 (Huang et al. 2017); ImageNet weights of torchvision (BSD)",
    )
)
