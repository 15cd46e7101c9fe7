"""What the logit loses behind a patch (Zeiler and Fergus 2014)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dl._explaining.base import Cam, Toward
from dl._explaining.layers import Target, class_logits
from dl.channels import ChannelLayout
from dl.inference import BATCH
from usstats._check import check_count
from usstats.errors import ArgumentError

__all__ = ["Occlusion"]

#: Patches along the shorter side where no size is given.
PATCHES = 8


class Occlusion(Cam):
    """Occlusion sensitivity: how much the logit falls when a patch of the image is covered.

    Every pixel shows the mean fall over the patches that cover it. It takes no gradient and no
    feature map, and as many forward passes as there are patches.

    Parameters
    ----------
    network : Module
    layer : None
        There is none to choose.
    patch : int, optional
        Side of the patch in pixels; an eighth of the shorter side by default.
    stride : int, optional
        Pixels from one patch to the next; half a patch by default. The last patch of a row ends at
        the edge.
    fill : float, optional
        Level of the patch in [0, 1]; the image's own mean in each channel by default, so that an
        image that is missing (zeros) stays missing.
    layout : ChannelLayout, optional
        Of stacked images: each picture is covered on its own and the mask never. By default the
        network's own (`network.layout`), or one picture.

    Examples
    --------
    >>> from dl.registry import build
    >>> with Occlusion(build("resnet18", n_classes=1), patch=16, stride=16) as cam:
    ...     cam(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 32, 32])
    """

    def __init__(
        self,
        network: nn.Module,
        layer: None = None,
        *,
        patch: int | None = None,
        stride: int | None = None,
        fill: float | None = None,
        layout: ChannelLayout | None = None,
    ) -> None:
        super().__init__(network, layer)
        for name, value in (("patch", patch), ("stride", stride)):
            if value is not None:
                check_count(value, name=name)
        if fill is not None and not 0 <= fill <= 1:
            msg = f"`fill` must be a level in [0, 1]; got {fill!r}."
            raise ArgumentError(msg)
        self._patch, self._stride, self._fill = patch, stride, fill
        self._layout = layout or getattr(network, "layout", None)

    def _choose(self, layer: nn.Module | str | None) -> dict[str, nn.Module]:
        if layer is not None:
            msg = "Occlusion covers the image and looks at no layer; leave out `layer`."
            raise ArgumentError(msg)
        return {}

    def _raw(self, x: Tensor, toward: Toward) -> dict[str, Tensor]:
        pictures = self._pictures(x.shape[1])
        with torch.no_grad():
            logits = class_logits(self._network, x)
            target = Target.of(logits, toward)
            before = target.value(logits)
            return {
                name: self._fall(x, channels, target, before) for name, channels in pictures.items()
            }

    def _pictures(self, n_channels: int) -> dict[str, slice]:
        layout = self._layout
        if layout is None:
            return {"image": slice(0, n_channels)}
        if layout.n_channels != n_channels:
            msg = f"The layout has {layout.n_channels} channels, the images {n_channels}."
            raise ArgumentError(msg)
        return {name: layout.slice(name) for name in layout.pictures}

    def _fall(self, x: Tensor, channels: slice, target: Target, before: Tensor) -> Tensor:
        """Mean fall over the patches that cover a pixel, (N, H, W)."""
        fall, covered = x.new_zeros(x[:, 0].shape), x.new_zeros(x.shape[-2:])
        level = x[:, channels].mean(dim=(2, 3), keepdim=True)
        if self._fill is not None:
            level = torch.full_like(level, self._fill)
        for chunk in self._chunks(x):
            hidden = x.repeat(len(chunk), 1, 1, 1).unflatten(0, (len(chunk), -1))
            for i, (rows, columns) in enumerate(chunk):
                hidden[i, :, channels, rows, columns] = level
            logits = class_logits(self._network, hidden.flatten(0, 1)).unflatten(
                0, (len(chunk), -1)
            )
            for (rows, columns), answer in zip(chunk, logits, strict=True):
                fall[:, rows, columns] += (before - target.value(answer))[:, None, None]
                covered[rows, columns] += 1
        return fall / covered

    def _chunks(self, x: Tensor) -> Iterator[list[tuple[slice, slice]]]:
        """Patches, as many at once as make a batch."""
        height, width = x.shape[-2:]
        patch = min(self._patch or -(-min(height, width) // PATCHES), height, width)
        stride = self._stride or max(patch // 2, 1)
        places = [
            (slice(top, top + patch), slice(left, left + patch))
            for top in _starts(height, patch, stride)
            for left in _starts(width, patch, stride)
        ]
        step = max(BATCH // len(x), 1)
        for first in range(0, len(places), step):
            yield places[first : first + step]


def _starts(length: int, patch: int, stride: int) -> list[int]:
    """From edge to edge; a pixel that no patch would cover cannot be told apart from a dull one."""
    return sorted({*range(0, length - patch, min(stride, patch)), length - patch})
