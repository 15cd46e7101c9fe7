"""Building blocks the networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, relu, scaled_dot_product_attention

from usstats._check import check_option
from usstats.errors import ArgumentError


def same_padding(size: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis so that ceil(size / stride) values come out.

    The convention of TensorFlow's padding "SAME": an odd number of zeros puts the extra one last.

    Examples
    --------
    >>> same_padding(128, kernel=3, stride=2), same_padding(127, kernel=3, stride=2)
    ((0, 1), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A square convolution without bias whose output size is ceil(input / stride)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            top, bottom = same_padding(x.shape[-2], kernel=kernel, stride=stride)
            left, right = same_padding(x.shape[-1], kernel=kernel, stride=stride)
            x = pad(x, (left, right, top, bottom))
        return super().forward(x)


class Standardise(nn.Module):
    """Shift and scale gray levels from [0, 1] to what the trunk was trained on."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class StandardiseColours(nn.Module):
    """Shift and scale each colour by its own mean and spread.

    Examples
    --------
    >>> import torch
    >>> StandardiseColours((0.5, 0.4, 0.4), (0.2, 0.2, 0.1))(torch.ones(1, 3, 1, 1)).flatten()
    tensor([2.5000, 3.0000, 6.0000])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class GrayStem(nn.Conv2d):
    """A first convolution made for colours that is given gray: it sees three equal colours.

    What comes in was standardised by one mean and spread; each colour is brought to its own, so
    that the answer is exactly that of the colour network to three copies of the image.
    """

    def __init__(self, conv: nn.Conv2d, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            bias=False,
        )
        self.weight = conv.weight
        colour, spread = torch.tensor(mean), torch.tensor(std)
        scale, shift = spread.mean() / spread, (colour.mean() - colour) / spread
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("shift", shift[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.scale + self.shift)


class ImageClassifier(nn.Module):
    """Trunk -> global average -> dropout -> linear head; returns logits.

    Parameters
    ----------
    trunk : Module
        (N, in_channels, H, W) -> (N, `n_features`, h, w).
    n_features, n_classes : int
        One class means a single logit of the event.
    standardise : Module
        Applied to input in [0, 1] before the trunk.
    """

    def __init__(
        self,
        trunk: nn.Module,
        *,
        n_features: int,
        n_classes: int,
        standardise: nn.Module,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.standardise = standardise
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(n_features, n_classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features, (N, n_features)."""
        return self.trunk(self.standardise(x)).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))


def merge_input_channels(weight: Tensor, in_channels: int) -> Tensor:
    """Fit the first convolution's weight to another number of input channels.

    One channel: the sum over colours, which answers a gray image exactly as the colour filter
    answers its three equal copies.

    Examples
    --------
    >>> import torch
    >>> merge_input_channels(torch.ones(8, 3, 3, 3), 1)[0, 0, 0, 0].item()
    3.0
    """
    if weight.shape[1] == in_channels:
        return weight
    if in_channels != 1:
        msg = f"Pretrained filters take {weight.shape[1]} channels or 1; got {in_channels}."
        raise ValueError(msg)
    return weight.sum(dim=1, keepdim=True)


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU; ceil(size / stride) values come out."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> None:
        padding = dilation * (kernel // 2)
        conv = nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False
        )
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def resize_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation of a map to (height, width), where it does not have that size."""
    if x.shape[-2:] == tuple(size):
        return x
    return interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class MultiRateBlock(nn.Module):
    """Parallel convolutions of several dilations, concatenated and mixed (Chen et al. 2017).

    Parameters
    ----------
    inputs, outputs : int
        Every branch is `outputs` wide.
    stride : int
    rates : sequence of int
        Dilations of the 3 x 3 branches beside the 1 x 1 one. Empty: one plain 3 x 3 convolution.

    Examples
    --------
    >>> import torch
    >>> MultiRateBlock(4, 8, stride=2).eval()(torch.zeros(1, 4, 14, 9)).shape
    torch.Size([1, 8, 7, 5])
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, rates: Sequence[int] = (1, 3, 6, 9)
    ) -> None:
        super().__init__()
        if rates:
            wide = [ConvNormAct(inputs, outputs, 3, stride=stride, dilation=r) for r in rates]
            self.branches = nn.ModuleList([ConvNormAct(inputs, outputs, 1, stride=stride), *wide])
        else:
            self.branches = nn.ModuleList([ConvNormAct(inputs, outputs, 3, stride=stride)])
        self.mix = ConvNormAct(len(self.branches) * outputs, outputs, 1) if rates else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([branch(x) for branch in self.branches], dim=1))


class MaskGate(nn.Module):
    """x m + x, where m are features of the mask: what it marks is amplified, nothing is erased."""

    def forward(self, x: Tensor, m: Tensor, present: Tensor | None = None) -> Tensor:
        """Gate a map.

        Parameters
        ----------
        x : (N, C, H, W) Tensor
        m : (N, C, h, w) Tensor, 0 or more
        present : (N,) bool Tensor, optional
            Rows that have a mask; the others pass unchanged.
        """
        gated = x * resize_to(m, x.shape[-2:]) + x
        return gated if present is None else torch.where(present[:, None, None, None], gated, x)


def sincos_positions(height: int, width: int, dim: int) -> Tensor:
    """Fixed code of the places of a grid, row by row: (height * width, dim).

    A quarter of the numbers each: sin(x w), cos(x w), sin(y w), cos(y w), with frequencies w from
    1 down to 1 / 10000 in even ratios (Vaswani et al. 2017, in two dimensions).

    Raises
    ------
    ArgumentError
        `dim` is not a multiple of four.

    Examples
    --------
    >>> sincos_positions(1, 2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0000, 1.0000]])
    """
    if dim % 4:
        msg = f"`dim` must be a multiple of 4 (sine and cosine of x and y); got {dim}."
        raise ArgumentError(msg)
    quarter = dim // 4
    w = 10_000 ** (-torch.arange(quarter, dtype=torch.float64) / max(quarter - 1, 1))
    y = torch.arange(height, dtype=torch.float64).repeat_interleave(width)[:, None] * w
    x = torch.arange(width, dtype=torch.float64).repeat(height)[:, None] * w
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1).float()


class CrossAttention(nn.Module):
    """Tokens ask the tokens of another image; query and context are normalised each on their own.

    Parameters
    ----------
    dim, heads : int
        `dim` is a multiple of `heads`.

    Examples
    --------
    >>> CrossAttention(8, heads=2)(torch.zeros(1, 5, 8), torch.zeros(1, 3, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, *, heads: int = 8) -> None:
        super().__init__()
        if dim % heads:
            msg = f"`dim` must be a multiple of `heads`; got {dim} and {heads}."
            raise ArgumentError(msg)
        self.heads = heads
        self.norm_query, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.value, self.out = (nn.Linear(dim, dim) for _ in range(3))
        # A bias of the keys would add the same number to all of a query's logits.
        self.key = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, T, dim) and (N, S, dim) -> (N, T, dim), without the residual."""
        source = self.norm_context(context)
        q, k, v = (
            self._split(t)
            for t in (self.query(self.norm_query(x)), self.key(source), self.value(source))
        )
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _split(self, t: Tensor) -> Tensor:
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class GridAttentionGate(nn.Module):
    """One coefficient a place, from a map and a deeper one, that multiplies the map.

    a = f(psi(ReLU(theta(x) + phi(g)))), y = a x (Schlemper et al. 2019).

    Parameters
    ----------
    inputs, gating : int
        Channels of the map x and of the gating signal g.
    width : int, optional
        Of the comparison; half of `inputs` by default.
    normalise : {"sigmoid", "softmax"}
        Every place on its own, in (0, 1); or places compete and the coefficients' mean is 1.

    Examples
    --------
    >>> gate = GridAttentionGate(8, 16)
    >>> y, a = gate(torch.ones(2, 8, 6, 4), torch.ones(2, 16, 3, 2))
    >>> y.shape, a.shape
    (torch.Size([2, 8, 6, 4]), torch.Size([2, 1, 6, 4]))
    """

    def __init__(
        self, inputs: int, gating: int, *, width: int | None = None, normalise: str = "sigmoid"
    ) -> None:
        super().__init__()
        check_option(normalise, ("sigmoid", "softmax"), name="normalise")
        self.normalise = normalise
        width = width or max(inputs // 2, 1)
        self.theta = nn.Conv2d(inputs, width, 1, bias=False)
        self.phi = nn.Conv2d(gating, width, 1)
        # A softmax over places does not see a bias.
        self.psi = nn.Conv2d(width, 1, 1, bias=normalise == "sigmoid")
        if self.psi.bias is not None:
            nn.init.zeros_(self.psi.bias)

    def coefficients(self, x: Tensor, g: Tensor) -> Tensor:
        """The coefficients alone, (N, 1, H, W)."""
        compared = relu(self.theta(x) + resize_to(self.phi(g), x.shape[-2:]))
        raw = self.psi(compared)
        if self.normalise == "sigmoid":
            return raw.sigmoid()
        return raw.flatten(1).softmax(dim=1).view_as(raw) * raw[0].numel()

    def forward(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """The gated map, and the coefficients that gated it."""
        a = self.coefficients(x, g)
        return a * x, a


class Cbam(nn.Module):
    """Channels, then places, weighted by what their mean and maximum say (Woo et al. 2018).

    Parameters
    ----------
    channels : int
    ratio : int
        By which the shared layer narrows the channels.

    Examples
    --------
    >>> Cbam(16)(torch.ones(2, 16, 5, 7)).shape
    torch.Size([2, 16, 5, 7])
    """

    def __init__(self, channels: int, *, ratio: int = 8) -> None:
        super().__init__()
        narrow = max(channels // ratio, 1)
        self.channels = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels)
        )
        self.places = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        which = self.channels(x.mean(dim=(2, 3))) + self.channels(x.amax(dim=(2, 3)))
        x = x * which.sigmoid()[:, :, None, None]
        where = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * self.places(where).sigmoid()
