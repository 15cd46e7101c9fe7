"""What stands in which channel of a prepared image; it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["BLOCKS", "ChannelLayout"]

#: What a block of channels may be; all but the last hold levels of a picture.
BLOCKS = ("image", "gray", "doppler", "mask")
MASK = "mask"


@dataclass(frozen=True)
class ChannelLayout:
    """The blocks of channels that a prepared image (C, H, W) stacks, in their order.

    Networks of one image have the block "image" alone. Networks of two have "gray" and "doppler"
    and, where they can be gated by an outline, "mask", so that one array, one tensor and one call
    `network(x)` serve them all. Two rules keep it so:

    - A block of zeros is a missing one. What changes levels must leave zeros zero, or put back
      what `present` says was missing.
    - A mask holds probabilities. What changes levels (gain, speckle, shadow ...) changes the
      channels of `pictures` only, each picture as one image of its own; what moves pixels (flip,
      rotation ...) moves all channels alike.

    Parameters
    ----------
    blocks : tuple of (str, int)
        Name, one of `BLOCKS`, and number of channels.

    Raises
    ------
    ArgumentError
        A block that is unknown, repeated or empty, or no picture.

    Examples
    --------
    >>> import numpy as np
    >>> layout = ChannelLayout((("gray", 1), ("doppler", 3), ("mask", 1)))
    >>> layout.n_channels, layout.slice("doppler"), layout.pictures
    (5, slice(1, 4, None), ('gray', 'doppler'))
    >>> x = np.zeros((2, 5, 8, 8))
    >>> x[0, 1:4] = 0.5
    >>> layout.present(x, "doppler").tolist()
    [True, False]
    """

    blocks: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple((str(a), int(n)) for a, n in self.blocks))
        for name, n in self.blocks:
            check_option(name, BLOCKS, name="blocks")
            if n < 1 or self.names.count(name) > 1:
                msg = f"`blocks` must name each block once, with 1 or more channels; got {name!r}."
                raise ArgumentError(msg)
        if not self.pictures:
            msg = "`blocks` must hold a picture beside the mask."
            raise ArgumentError(msg)

    @classmethod
    def of(
        cls, inputs: Sequence[str], *, in_channels: int, with_mask: bool = False
    ) -> ChannelLayout:
        """Of a network with these inputs; a gray image has one channel, the last `in_channels`."""
        blocks = [(name, 1 if name == "gray" else in_channels) for name in inputs]
        return cls((*blocks, (MASK, 1)) if with_mask else tuple(blocks))

    @property
    def names(self) -> tuple[str, ...]:
        """Of all blocks, in their order."""
        return tuple(name for name, _ in self.blocks)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the blocks that hold levels of a picture."""
        return tuple(name for name in self.names if name != MASK)

    @property
    def n_channels(self) -> int:
        """Of all blocks together."""
        return sum(n for _, n in self.blocks)

    def channels(self, name: str) -> int:
        """Number of channels of a block."""
        place = self.slice(name)
        return place.stop - place.start

    def slice(self, name: str) -> slice:
        """The channels of a block.

        Raises
        ------
        ArgumentError
            There is no such block.
        """
        check_option(name, self.names, name="block")
        place = self.names.index(name)
        start = sum(n for _, n in self.blocks[:place])
        return slice(start, start + self.blocks[place][1])

    def take(self, x: Any, name: str) -> Any:
        """A block of an array or tensor (..., C, H, W)."""
        return x[..., self.slice(name), :, :]

    def present(self, x: Any, name: str) -> Any:
        """Which of (N, C, H, W) images, array or tensor, have a block: (N,) bool."""
        return (self.take(x, name) != 0).any(axis=(-3, -2, -1))
