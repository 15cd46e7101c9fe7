"""What is read of one row of a study: its image, its Doppler image, their regions and its gate.

It loads no torch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dl.channels import ChannelLayout
from dl.data import ImageStudy
from dl.errors import ImageError, ImageWarning, MaskError
from dl.fingerprint import sha256_file
from dl.images import read_image

__all__ = ["FILES", "Pictures", "file_digests", "hashed", "read_pictures"]

MIN_SIDE = 8
#: Columns of files beside `path`, and the block of channels that needs each.
FILES = {"mask": "", "doppler_path": "doppler", "doppler_mask": "doppler", "gate": "mask"}
_REGIONS = ("mask", "doppler_mask")


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One row of a study.

    Attributes
    ----------
    image : (H, W) or (H, W, 3) uint8
        The gray image, of a pair.
    region : (H, W) mask, (4,) box, or None
    doppler : (H', W') or (H', W', 3) uint8, optional
    doppler_region : as `region`
    gate : (H, W) uint8, optional
        An outline on the image: 255 inside, or 255 times a probability.
    """

    image: NDArray[np.uint8]
    region: NDArray[Any] | None = None
    doppler: NDArray[np.uint8] | None = None
    doppler_region: NDArray[Any] | None = None
    gate: NDArray[np.uint8] | None = None


def read_pictures(
    study: ImageStudy, row: int, *, layout: ChannelLayout, with_region: bool
) -> Pictures:
    """Read what the blocks of a layout need of one row.

    Parameters
    ----------
    study : ImageStudy
    row : int
    layout : ChannelLayout
    with_region : bool
        Read masks and boxes, too.

    Raises
    ------
    ImageError
        A file that cannot be used, or is of another size than the one it belongs to.
    """
    image = _usable(study, row, "path")
    region = study.region(row) if with_region else None
    doppler = doppler_region = gate = None
    if "doppler" in layout.names and study.file(row, "doppler_path") is not None:
        doppler = _usable(study, row, "doppler_path")
        if with_region:
            doppler_region = _doppler_region(study, row, region, image.shape, doppler.shape)
    if "mask" in layout.names and study.file(row, "gate") is not None:
        gate = _gate(study, row, image.shape)
    return Pictures(
        image=image, region=region, doppler=doppler, doppler_region=doppler_region, gate=gate
    )


def _usable(study: ImageStudy, row: int, column: str) -> NDArray[np.uint8]:
    picture = "doppler" if column == "doppler_path" else ""
    image = read_image(study.file(row, column) or "", frame=study.frame(row, picture))
    if min(image.shape[:2]) < MIN_SIDE:
        msg = f"{image.shape[1]} x {image.shape[0]} pixels are too few to see anything in"
        raise ImageError(msg)
    if image.min() == image.max():
        what = "" if column == "path" else f"`{column}`: "
        warnings.warn(
            f"row {row}: {what}every pixel has the value {image.flat[0]}; is the file blank?",
            ImageWarning,
            stacklevel=6,
        )
    return image


def _doppler_region(
    study: ImageStudy,
    row: int,
    region: NDArray[Any] | None,
    shape: tuple[int, ...],
    doppler_shape: tuple[int, ...],
) -> NDArray[Any] | None:
    """Its own region, or the gray image's where both are pictures of one size."""
    own = study.region(row, "doppler")
    if own is not None or region is None:
        return own
    if doppler_shape[:2] != shape[:2]:
        msg = (
            f"the Doppler image is {doppler_shape[1]} x {doppler_shape[0]} pixels and the gray "
            f"image {shape[1]} x {shape[0]}, so the gray image's region does not hold for it; "
            "give `doppler_mask` or `doppler_roi`"
        )
        raise MaskError(msg)
    return region


def _gate(study: ImageStudy, row: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An outline, binary in any two levels or a probability in 8 bits."""
    gate = read_image(study.file(row, "gate") or "")
    if gate.ndim == 3:
        gate = gate.max(axis=2)
    if gate.shape != shape[:2]:
        msg = (
            f"the gate is {gate.shape[1]} x {gate.shape[0]} pixels and its image {shape[1]} x "
            f"{shape[0]}; a gate must be drawn on the image it belongs to"
        )
        raise MaskError(msg)
    levels = np.unique(gate)
    binary = levels.size <= 2 and levels[0] == 0
    return (gate > 0) * np.uint8(255) if binary else gate


def file_digests(
    study: ImageStudy, row: int, *, layout: ChannelLayout, with_region: bool
) -> dict[str, str | None]:
    """SHA-256 of every file that `read_pictures` would read, by column; None where there is none.

    Raises
    ------
    ImageError
        A file cannot be opened, or the Doppler image is the gray image once more.
    """
    found: dict[str, str | None] = {"path": hashed(study.file(row))}
    for column, block in FILES.items():
        used = (not block or block in layout.names) and (with_region or column not in _REGIONS)
        path = study.file(row, column) if used else None
        found[column] = None if path is None else hashed(path)
    same_frame = study.frame(row) == study.frame(row, "doppler")
    if found["doppler_path"] == found["path"] and same_frame:
        msg = "`doppler_path` is the gray image itself; name the Doppler image, or leave it empty"
        raise ImageError(msg)
    return found


def hashed(path: Path | None) -> str:
    """SHA-256 of a file.

    Raises
    ------
    ImageError
        It cannot be opened.
    """
    try:
        return sha256_file(path or "")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        msg = f"{path}: the file cannot be opened ({reason})."
        raise ImageError(msg) from None
