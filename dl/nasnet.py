"""NASNet-A (Zoph et al. 2018) with the arithmetic of Keras or that of TF-slim.

A cell looks at x, the last output, and at p, the one before, both brought to `filters` channels:
h from x, and p by what the cell's place asks for. Sep5(h) is two separable 5 x 5 convolutions.

Normal:     y1 = Sep5(h) + Sep3(p)   y2 = Sep5(p) + Sep3(p)   y3 = avg(h) + p   y4 = avg(p) + avg(p)
            y5 = Sep3(h) + h                                  out: p, y1, y2, y3, y4, y5
Reduction:  y1 = Sep5(h) + Sep7(p)   y2 = max(h) + Sep7(p)    y3 = avg(h) + Sep5(p), all at stride 2
            y4 = avg(y1) + y2        y5 = Sep3(y1) + max(h)   out: y2, y3, y4, y5

Keras and TF-slim differ in a reduction's pools only. Keras puts zeros around h first, and counts
them; TF-slim pads the maximum with -inf and leaves padding out of the average.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, pad, relu

from dl._networks.nasnet_weights import nasnet_imagenet, read_keras
from dl.network import NetworkEntry, register
from usstats._check import check_option

__all__ = ["LARGE", "MOBILE", "NasNetPlan", "NasNetTrunk", "nasnet_mobile_trunk"]

BORDERS = ("keras", "slim")
EPS = 1e-3
#: Keras keeps 0.9997 of a running statistic at each step; torch counts what is replaced.
MOMENTUM = 1 - 0.9997


@dataclass(frozen=True, kw_only=True)
class NasNetPlan:
    """How many cells, how wide.

    Attributes
    ----------
    n_cells : int
        Normal cells in each of the three stages.
    features : int
        Channels of the last map.
    stem : int
        Channels of the first convolution.
    skip_reduction : bool
        The cell after a reduction gets as p what lies two outputs before the reduction's, rather
        than the reduction's own input.
    """

    n_cells: int
    features: int
    stem: int
    skip_reduction: bool

    @property
    def filters(self) -> int:
        """Of a cell of the first stage; each reduction doubles them."""
        return self.features // 24


MOBILE = NasNetPlan(n_cells=4, features=1056, stem=32, skip_reduction=False)
LARGE = NasNetPlan(n_cells=6, features=4032, stem=96, skip_reduction=True)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPS, momentum=MOMENTUM)


def _around(size: int, kernel: int) -> tuple[int, int]:
    """Zeros before and after an axis of a stride-2 operation."""
    return kernel // 2 - (size % 2 == 0), kernel // 2


def _surround(x: Tensor, kernel: int) -> Tensor:
    return pad(x, (*_around(x.shape[-1], kernel), *_around(x.shape[-2], kernel)))


class SeparableConv2d(nn.Module):
    """Each channel by itself (k x k), then across channels (1 x 1); nothing between them."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.depthwise = nn.Conv2d(
            inputs, inputs, kernel, stride=stride, padding=padding, groups=inputs, bias=False
        )
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.depthwise.stride[0] > 1:
            x = _surround(x, self.depthwise.kernel_size[0])
        return self.pointwise(self.depthwise(x))


class SeparableBlock(nn.Module):
    """Two separable convolutions; the ReLU before the first is the caller's, who shares it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv_1 = SeparableConv2d(inputs, outputs, kernel, stride=stride)
        self.norm_1 = _norm(outputs)
        self.conv_2 = SeparableConv2d(outputs, outputs, kernel)
        self.norm_2 = _norm(outputs)

    def forward(self, activated: Tensor) -> Tensor:
        y = relu(self.norm_1(self.conv_1(activated)), inplace=True)
        return self.norm_2(self.conv_2(y))


class Projection(nn.Module):
    """ReLU, 1 x 1 convolution, batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(relu(x)))


class FactorisedReduction(nn.Module):
    """Halve a map by two sets of every second pixel, the second one pixel down and right."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.path_1 = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.path_2 = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(x)
        shifted = pad(x, (0, 1, 0, 1))[..., 1:, 1:]
        halves = (self.path_1(x[..., ::2, ::2]), self.path_2(shifted[..., ::2, ::2]))
        return self.norm(torch.cat(halves, dim=1))


class NormalCell(nn.Module):
    """(x, p) -> 6 x `filters` channels at the size of x."""

    WIDTH = 6

    def __init__(self, x_channels: int, adjust: nn.Module, filters: int) -> None:
        super().__init__()
        self.adjust = adjust
        self.squeeze = Projection(x_channels, filters)
        self.left1 = SeparableBlock(filters, filters, 5)
        self.right1 = SeparableBlock(filters, filters, 3)
        self.left2 = SeparableBlock(filters, filters, 5)
        self.right2 = SeparableBlock(filters, filters, 3)
        self.left5 = SeparableBlock(filters, filters, 3)

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        p, h = self.adjust(p), self.squeeze(x)
        active_p, active_h = relu(p), relu(h)
        y1 = self.left1(active_h) + self.right1(active_p)
        y2 = self.left2(active_p) + self.right2(active_p)
        y3 = _average(h) + p
        y4 = 2 * _average(p)
        y5 = self.left5(active_h) + h
        return torch.cat((p, y1, y2, y3, y4, y5), dim=1)


class ReductionCell(nn.Module):
    """(x, p), p of `p_channels` when adjusted -> 4 x `filters` channels at half the size of x."""

    WIDTH = 4

    def __init__(
        self, x_channels: int, adjust: nn.Module, filters: int, *, p_channels: int, border: str
    ) -> None:
        super().__init__()
        self.adjust = adjust
        self.squeeze = Projection(x_channels, filters)
        self.left1 = SeparableBlock(filters, filters, 5, stride=2)
        self.right1 = SeparableBlock(p_channels, filters, 7, stride=2)
        self.right2 = SeparableBlock(p_channels, filters, 7, stride=2)
        self.right3 = SeparableBlock(p_channels, filters, 5, stride=2)
        self.left4 = SeparableBlock(filters, filters, 3)
        self._halve = _halve_keras if border == "keras" else _halve_slim

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        p, h = self.adjust(p), self.squeeze(x)
        active_p = relu(p)
        largest, average = self._halve(h)
        y1 = self.left1(relu(h)) + self.right1(active_p)
        y2 = largest + self.right2(active_p)
        y3 = average + self.right3(active_p)
        y4 = _average(y1) + y2
        y5 = self.left4(relu(y1)) + largest
        return torch.cat((y2, y3, y4, y5), dim=1)


def _average(x: Tensor) -> Tensor:
    """Mean of 3 x 3 neighbours; beyond the border there are none."""
    return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _halve_keras(h: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum and mean of 3 x 3 at stride 2, the zeros around h taken for values."""
    wide = _surround(h, 3)
    return max_pool2d(wide, 3, stride=2), avg_pool2d(wide, 3, stride=2)


def _halve_slim(h: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum and mean of 3 x 3 at stride 2 of what lies inside h."""
    wide = pad(h, (*_around(h.shape[-1], 3), *_around(h.shape[-2], 3)), value=-torch.inf)
    inside = _surround(torch.ones_like(h[:1, :1]), 3)
    share = avg_pool2d(inside, 3, stride=2)
    return max_pool2d(wide, 3, stride=2), avg_pool2d(_surround(h, 3), 3, stride=2) / share


class NasNetTrunk(nn.Module):
    """Stem, cells, ReLU: (N, in_channels, H, W) -> (N, plan.features, about H/32, W/32).

    Parameters
    ----------
    in_channels : int
    plan : NasNetPlan
    border : {"keras", "slim"}
    """

    def __init__(self, in_channels: int, *, plan: NasNetPlan, border: str) -> None:
        super().__init__()
        check_option(border, BORDERS, name="border")
        self.stem = nn.Conv2d(in_channels, plan.stem, 3, stride=2, bias=False)
        self.stem_norm = _norm(plan.stem)
        self.cells = _cells(plan, border)
        self._skip_reduction = plan.skip_reduction
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                module.weight.data *= _first_scale(name)

    def feature_maps(self, x: Tensor) -> Iterator[Tensor]:
        """Every map on the way, the trunk's answer last."""
        x = p = self.stem_norm(self.stem(x))
        yield x
        for name, cell in self.cells.items():
            kept = self._skip_reduction and name.startswith("reduce")
            x, p = cell(x, p), (p if kept else x)
            yield x
        yield relu(x)

    def forward(self, x: Tensor) -> Tensor:
        *_, last = self.feature_maps(x)
        return last


def _first_scale(name: str) -> float:
    """A pointwise convolution follows no ReLU, and the second one's output is one of two summed."""
    if not name.endswith("pointwise"):
        return 1.0
    return 0.5 if "conv_2" in name else math.sqrt(0.5)


@dataclass(frozen=True)
class _Place:
    """A cell's name in Keras, its filters, and whether it halves the map."""

    name: str
    filters: int
    reduces: bool


def _places(plan: NasNetPlan) -> list[_Place]:
    """The cells in their order; Keras counts on over the reductions."""
    f, n = plan.filters, plan.n_cells
    places = [_Place("stem_1", f // 4, reduces=True), _Place("stem_2", f // 2, reduces=True)]
    places += [_Place(str(i), f, reduces=False) for i in range(n)]
    places += [_Place(f"reduce_{n}", 2 * f, reduces=True)]
    places += [_Place(str(i), 2 * f, reduces=False) for i in range(n + 1, 2 * n + 1)]
    places += [_Place(f"reduce_{2 * n}", 4 * f, reduces=True)]
    places += [_Place(str(i), 4 * f, reduces=False) for i in range(2 * n + 1, 3 * n + 1)]
    return places


@dataclass(frozen=True)
class _Map:
    """Channels of a map, and how often it was halved since the stem."""

    channels: int
    halved: int


def _cells(plan: NasNetPlan, border: str) -> nn.ModuleDict:
    cells = nn.ModuleDict()
    x = p = _Map(plan.stem, 0)
    for place in _places(plan):
        f = place.filters
        # The first cell takes p as it is; every other brings it to its own filters.
        adjust, p_channels = (_adjust(x, p, f), f) if cells else (nn.Identity(), p.channels)
        if place.reduces:
            cells[place.name] = ReductionCell(
                x.channels, adjust, f, p_channels=p_channels, border=border
            )
        else:
            cells[place.name] = NormalCell(x.channels, adjust, f)
        kept = plan.skip_reduction and place.name.startswith("reduce")
        out = _Map(cells[place.name].WIDTH * f, x.halved + place.reduces)
        x, p = out, (p if kept else x)
    return cells


def _adjust(x: _Map, p: _Map, filters: int) -> nn.Module:
    """Bring p to the size of x and to `filters` channels."""
    if p.halved < x.halved:
        return FactorisedReduction(p.channels, filters)
    if p.channels != filters:
        return Projection(p.channels, filters)
    return nn.Identity()


def nasnet_mobile_trunk(in_channels: int, *, border: str = "keras") -> NasNetTrunk:
    """NASNet-A Mobile (4 @ 1056): 4,269,716 values without the head, 36,738 of them statistics.

    Examples
    --------
    >>> trunk = nasnet_mobile_trunk(3)
    >>> trunk(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 1056, 2, 2])
    """
    return NasNetTrunk(in_channels, plan=MOBILE, border=border)


register(
    NetworkEntry(
        name="nasnet_mobile",
        trunk=nasnet_mobile_trunk,
        n_features=MOBILE.features,
        stem="trunk.stem.weight",
        mean=0.5,
        std=0.5,
        imagenet=nasnet_imagenet,
        readers={".h5": read_keras},
        options={"border": "keras"},
        origin=(
            "NASNet-A Mobile (Zoph et al. 2018, arXiv 1707.07012); ImageNet weights of Keras "
            "(border keras) or of pretrainedmodels (border slim)"
        ),
    )
)
