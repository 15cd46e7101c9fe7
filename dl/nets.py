"""Classifier trunks, written from their papers; every network returns logits."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.functional import relu

from dl.layers import SameConv2d

#: MBConv stages of EfficientNet-B0 (Tan and Le 2019, table 1), whose plan Lite0 keeps:
#: repeats, kernel, stride, expansion, output channels.
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LITE0_FEATURES = 1280
#: The TensorFlow batch normalisation of the published weights.
LITE0_EPS, LITE0_MOMENTUM = 1e-3, 0.01


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=LITE0_EPS, momentum=LITE0_MOMENTUM)


class InvertedBottleneck(nn.Module):
    """Expand (1x1), filter each channel (k x k), project (1x1); ReLU6 and no squeeze-excitation."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = inputs * expansion
        steps: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            steps["expand"] = SameConv2d(inputs, width, 1)
            steps["expand_norm"] = _norm(width)
            steps["expand_act"] = nn.ReLU6(inplace=True)
        steps["depthwise"] = SameConv2d(width, width, kernel, stride=stride, groups=width)
        steps["depthwise_norm"] = _norm(width)
        steps["depthwise_act"] = nn.ReLU6(inplace=True)
        steps["project"] = SameConv2d(width, outputs, 1)
        steps["project_norm"] = _norm(outputs)
        self.steps = nn.Sequential(steps)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(x) + x if self.residual else self.steps(x)


def efficientnet_lite0_trunk(in_channels: int) -> nn.Sequential:
    """EfficientNet-Lite0 up to the last feature map: (N, C, H, W) -> (N, 1280, H/32, W/32).

    EfficientNet-B0 without squeeze-excitation, with ReLU6 in the place of swish, and with stem
    and head of fixed width.
    """
    blocks: list[nn.Module] = []
    width = 32
    for repeats, kernel, stride, expansion, outputs in LITE0_STAGES:
        for i in range(repeats):
            step = stride if i == 0 else 1
            blocks.append(
                InvertedBottleneck(width, outputs, kernel=kernel, stride=step, expansion=expansion)
            )
            width = outputs
    layers = OrderedDict(
        stem=SameConv2d(in_channels, 32, 3, stride=2),
        stem_norm=_norm(32),
        stem_act=nn.ReLU6(inplace=True),
        blocks=nn.Sequential(*blocks),
        top=SameConv2d(width, LITE0_FEATURES, 1),
        top_norm=_norm(LITE0_FEATURES),
        top_act=nn.ReLU6(inplace=True),
    )
    return nn.Sequential(layers)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(outputs)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.norm_1(self.conv_1(x)), inplace=True)
        return relu(self.norm_2(self.conv_2(y)) + self.shortcut(x), inplace=True)


RESNET18_FEATURES = 512


def resnet18_trunk(in_channels: int) -> nn.Sequential:
    """ResNet18 up to the last feature map, its 7 x 7 stem at stride 2: (N, 512, H/32, W/32)."""
    stages = [
        nn.Sequential(
            ResidualBlock(inputs, outputs, stride=stride),
            ResidualBlock(outputs, outputs, stride=1),
        )
        for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    ]
    stem = [
        nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    trunk = nn.Sequential(OrderedDict(stem=nn.Sequential(*stem), stages=nn.Sequential(*stages)))
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return trunk
