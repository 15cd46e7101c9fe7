"""Building blocks the networks share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad


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
