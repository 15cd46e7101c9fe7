"""Ways of showing an image to a network again, whose logits are averaged at prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from dl.channels import ChannelLayout
from usstats._check import check_option

__all__ = ["PLAIN", "TTA", "Variant", "variants"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One fixed change of an image; the same image always gives the same answer.

    Attributes
    ----------
    mirror : bool
        Left and right change places.
    rotate : float
        Degrees counterclockwise, about the centre.
    zoom : float
        Above 1 what is shown looks larger. What comes in from outside is black.
    gain : float
        Added to the levels of every pixel that is not black, as a scanner's gain is after log
        compression; levels of a mask are left alone.
    """

    mirror: bool = False
    rotate: float = 0.0
    zoom: float = 1.0
    gain: float = 0.0

    def show(self, x: Tensor, layout: ChannelLayout | None = None) -> Tensor:
        """Images (N, C, H, W) in [0, 1] so changed; without a layout all channels are picture.

        Examples
        --------
        >>> Variant(mirror=True).show(torch.tensor([[[[0.0, 1.0]]]])).tolist()
        [[[[1.0, 0.0]]]]
        """
        moved = x.flip(-1) if self.mirror else self._moved(x, inverse=False)
        return moved if self.gain == 0 else self._louder(moved, layout)

    def undo(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K, H, W) of what was shown, back in their places, and where they are known.

        Returns
        -------
        (N, K, H, W) and (1, 1, H, W) Tensor
            The second is 1 where the image was inside what was shown, 0 where it was not.
        """
        whole = y.new_ones(1, 1, *y.shape[-2:])
        if self.mirror:
            return y.flip(-1), whole
        known = (self._moved(whole, inverse=True) > 1 - 1e-4).to(y)
        return self._moved(y, inverse=True), known

    def _moved(self, x: Tensor, *, inverse: bool) -> Tensor:
        if self.rotate == 0 and self.zoom == 1:
            return x
        angle = math.radians(self.rotate) * (-1 if inverse else 1)
        size = self.zoom if inverse else 1 / self.zoom
        cos, sin = math.cos(angle) * size, math.sin(angle) * size
        theta = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]], dtype=x.dtype, device=x.device)
        grid = affine_grid(theta, [1, 1, *x.shape[-2:]], align_corners=False)
        return grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), align_corners=False)

    def _louder(self, x: Tensor, layout: ChannelLayout | None) -> Tensor:
        """Every picture by itself, so that one that is missing stays black and colours keep hue."""
        if layout is None:
            return _lifted(x, self.gain)
        parts = [
            _lifted(layout.take(x, name), self.gain)
            if name in layout.pictures
            else layout.take(x, name)
            for name in layout.names
        ]
        return torch.cat(parts, dim=1)


def _lifted(picture: Tensor, gain: float) -> Tensor:
    lit = (picture.amax(dim=1, keepdim=True) > 0).to(picture)
    return (picture + gain * lit).clamp(0, 1)


#: The image as it is.
PLAIN = Variant()
#: Name in a configuration -> variants it adds.
TTA: dict[str, tuple[Variant, ...]] = {
    "rotate": (Variant(rotate=-10.0), Variant(rotate=10.0)),
    "scale": (Variant(zoom=0.9), Variant(zoom=1.1)),
    "gain": (Variant(gain=-0.08), Variant(gain=0.08)),
}


def variants(*, flip: bool, tta: Sequence[str] = ()) -> tuple[Variant, ...]:
    """What is shown of an image: itself, its mirror image, and what `tta` names, all alike.

    Parameters
    ----------
    flip : bool
    tta : sequence of {"rotate", "scale", "gain"}
        10 degrees to both sides; 0.9 and 1.1 of the size; 0.08 darker and brighter.

    Raises
    ------
    ArgumentError
        An unknown name.

    Examples
    --------
    >>> len(variants(flip=True)), len(variants(flip=True, tta=("rotate", "gain")))
    (2, 6)
    """
    for name in tta:
        check_option(name, TTA, name="tta")
    mirror = (Variant(mirror=True),) if flip else ()
    return (PLAIN, *mirror, *(each for name in dict.fromkeys(tta) for each in TTA[name]))
