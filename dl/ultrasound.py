"""What a DICOM ultrasound header says of its picture: regions, pixel spacing, burned-in text."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dl._reading.dicom import number, read_header
from dl.errors import ImageWarning
from dl.geometry import Box

__all__ = ["UltrasoundHeader", "UltrasoundRegion", "read_ultrasound_header"]

#: DICOM PS3.3 C.8.5.5.1.1 and C.8.5.5.1.2.
CONTENTS = {1: "2d", 2: "m_mode", 3: "spectral", 4: "waveform", 5: "graphics"}
DATA = {1: "tissue", 2: "colour_flow", 3: "pulsed_wave", 4: "continuous_wave"}
CENTIMETRES = 3
MM_PER_CM = 10.0


@dataclass(frozen=True, kw_only=True)
class UltrasoundRegion:
    """A calibrated region of the picture.

    Attributes
    ----------
    content : {"2d", "m_mode", "spectral", "waveform", "graphics", "other"}
    data : {"tissue", "colour_flow", "pulsed_wave", "continuous_wave", "other"}
    box : tuple of int
        Left, top, right, bottom in pixels, half open.
    spacing_mm : tuple of float or None
        Millimetres per pixel, rows (depth) first; None where the axes are no lengths.
    """

    content: str
    data: str
    box: Box
    spacing_mm: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class UltrasoundHeader:
    """What can be used of a header; nothing in it names the patient.

    Attributes
    ----------
    height, width, n_frames : int
    regions : tuple of UltrasoundRegion
        Those that lie inside the picture.
    burned_in : bool or None
        Whether the header says that text is burned into the pixels; None where it does not say.
    """

    height: int
    width: int
    n_frames: int
    regions: tuple[UltrasoundRegion, ...]
    burned_in: bool | None

    @property
    def pixel_spacing_mm(self) -> tuple[float, float] | None:
        """Of the two-dimensional regions; None without one, or where they differ."""
        found = {r.spacing_mm for r in self.regions if r.content == "2d"} - {None}
        return found.pop() if len(found) == 1 else None


def read_ultrasound_header(path: str | Path) -> UltrasoundHeader:
    """Read the regions, the spacing and the burned-in flag of a DICOM ultrasound file.

    Parameters
    ----------
    path : path

    Returns
    -------
    UltrasoundHeader

    Raises
    ------
    ImageError
        No DICOM image; the message never quotes the header.

    Warns
    -----
    ImageWarning
        Regions that do not lie inside the picture are left out: the picture was resized after
        they were written, and their spacing is not that of its pixels.

    References
    ----------
    DICOM PS3.3 C.8.5.5, US Region Calibration Module.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", ImageWarning)
    ...     header = read_ultrasound_header(get_testdata_file("examples_palette.dcm"))
    >>> header.width, header.height, [region.content for region in header.regions]
    (800, 350, [])
    """
    header = read_header(Path(path))
    height, width = int(header.Rows), int(header.Columns)
    found = [_region(item) for item in header.get("SequenceOfUltrasoundRegions") or []]
    inside = [r for r in found if r is not None and _lies_inside(r.box, height, width)]
    if len(inside) < len(found):
        warnings.warn(
            f"{path}: {len(found) - len(inside)} of {len(found)} ultrasound regions do not lie "
            f"inside the picture of {width} x {height} pixels and are left out, with their pixel "
            "spacing; was it resized after the examination?",
            ImageWarning,
            stacklevel=2,
        )
    return UltrasoundHeader(
        height=height,
        width=width,
        n_frames=int(number(header.get("NumberOfFrames")) or 1),
        regions=tuple(inside),
        burned_in={"YES": True, "NO": False}.get(str(header.get("BurnedInAnnotation"))),
    )


def _region(item: Any) -> UltrasoundRegion | None:
    """A region of the sequence; None where its corners are no numbers."""
    corners = [number(item.get(f"RegionLocation{name}")) for name in ("MinX0", "MinY0", "MaxX1")]
    corners.append(number(item.get("RegionLocationMaxY1")))
    if any(corner is None for corner in corners):
        return None
    left, top, last_column, last_row = (int(corner) for corner in corners if corner is not None)
    return UltrasoundRegion(
        content=CONTENTS.get(_code(item, "RegionSpatialFormat"), "other"),
        data=DATA.get(_code(item, "RegionDataType"), "other"),
        box=(left, top, last_column + 1, last_row + 1),
        spacing_mm=_spacing(item),
    )


def _code(item: Any, name: str) -> int:
    return int(number(item.get(name)) or 0)


def _spacing(item: Any) -> tuple[float, float] | None:
    units = {_code(item, f"PhysicalUnits{axis}Direction") for axis in "XY"}
    rows, columns = (number(item.get(f"PhysicalDelta{axis}")) for axis in "YX")
    if units != {CENTIMETRES} or not rows or not columns:
        return None
    return abs(rows) * MM_PER_CM, abs(columns) * MM_PER_CM


def _lies_inside(box: Box, height: int, width: int) -> bool:
    left, top, right, bottom = box
    return 0 <= left < right <= width and 0 <= top < bottom <= height
