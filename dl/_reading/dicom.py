"""One still image from a DICOM file, its colour space and value range made explicit."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.errors import BytesLengthException, InvalidDicomError

from dl.errors import ImageError

_DECODING = (
    BytesLengthException,
    InvalidDicomError,
    OSError,
    AttributeError,
    LookupError,
    ArithmeticError,
    TypeError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    struct.error,
    MemoryError,
)


def read_dicom(
    path: Path, *, bits: int | None = None, frame: int | None = None
) -> NDArray[np.uint8]:
    """Read one frame of a DICOM image as 8-bit gray or RGB.

    YBR and palette colour become RGB, MONOCHROME1 is inverted, rescale slope and window are
    applied where the header holds them, and other gray values are scaled from BitsStored.

    Raises
    ------
    ImageError
        No pixels, several frames and none chosen, too large, truncated, or a transfer syntax that
        cannot be decoded. The message never quotes the header, which may name the patient.
    """
    with _silent_pydicom():
        header = _header(path)
        values = _pixels(path, header, frame)
        scale = _gray_scale(path, header)
    if values.ndim == 3:
        return _colour(path, values)
    return _gray(path, values, scale, bits)


@contextmanager
def _silent_pydicom() -> Iterator[None]:
    """Its warnings and log lines quote header values, which may identify the patient."""
    logger = logging.getLogger("pydicom")
    before = logger.handlers, logger.propagate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Its modules log to loggers of their own, whose lines end here.
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        try:
            yield
        finally:
            logger.handlers, logger.propagate = before


@dataclass(frozen=True, kw_only=True)
class _GrayScale:
    """What the header says of gray values; `window` holds the limits of what is displayed."""

    window: tuple[float, float] | None
    slope: float
    intercept: float
    stored: int
    signed: bool
    inverted: bool


def read_header(path: Path) -> Any:
    """The dataset of a file that holds an image, checked for its size.

    Raises
    ------
    ImageError
        No image, too large, or damaged.
    """
    with _silent_pydicom():
        return _header(path)


def number(value: Any) -> float | None:
    """A header value as a number; None where it is none."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _header(path: Path) -> Any:
    import pydicom

    from dl.images import _check_size

    try:
        header = pydicom.dcmread(path)
        height, width = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    except _DECODING as error:
        raise ImageError(_damaged(path, error)) from None
    if "PixelData" not in header or not height * width:
        msg = f"{path}: this DICOM object holds no image pixels (a report, index or plan?)."
        raise ImageError(msg)
    _check_size(path, width, height)
    return header


def _pixels(path: Path, header: Any, frame: int | None) -> NDArray[Any]:
    from pydicom.pixels import apply_color_lut, pixel_array

    from dl.images import chosen_frame

    n_frames = number(header.get("NumberOfFrames")) or 1
    chosen = chosen_frame(path, int(n_frames), frame)
    try:
        values = pixel_array(header, index=chosen)
        if header.PhotometricInterpretation == "PALETTE COLOR":
            values = apply_color_lut(values, header)
    except _DECODING as error:
        syntax = getattr(header.file_meta.get("TransferSyntaxUID"), "name", "unknown")
        msg = (
            f"{path}: the DICOM pixels cannot be decoded ({type(error).__name__}; transfer "
            f"syntax {syntax}). The file is truncated, or must be exported uncompressed."
        )
        raise ImageError(msg) from None
    return np.asarray(values)


def _colour(path: Path, values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.shape[-1] != 3 or values.dtype.kind != "u":
        msg = f"{path}: a colour DICOM image needs three unsigned channels; got {values.shape}."
        raise ImageError(msg)
    depth = 8 * values.dtype.itemsize
    if depth == 8:
        return np.ascontiguousarray(values)
    return np.round(values * (255 / (2**depth - 1))).astype(np.uint8)


def _gray_scale(path: Path, header: Any) -> _GrayScale:
    try:
        return _GrayScale(
            window=_window(header),
            slope=float(header.get("RescaleSlope") or 1),
            intercept=float(header.get("RescaleIntercept") or 0),
            stored=int(header.get("BitsStored") or 8),
            signed=int(header.get("PixelRepresentation") or 0) == 1,
            inverted=header.PhotometricInterpretation == "MONOCHROME1",
        )
    except _DECODING as error:
        raise ImageError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return f"{path}: the DICOM header is damaged ({type(error).__name__}). Export it again."


def _gray(
    path: Path, values: NDArray[Any], scale: _GrayScale, bits: int | None
) -> NDArray[np.uint8]:
    from dl.images import scale_to_8_bits

    if scale.window is not None:
        low, high = scale.window
        share = np.clip((values * scale.slope + scale.intercept - low) / (high - low), 0, 1)
        gray = np.round(share * 255).astype(np.uint8)
    else:
        stored = bits or scale.stored
        shifted = values.astype(np.int64) + (2 ** (stored - 1) if scale.signed else 0)
        gray = scale_to_8_bits(path, shifted, stored)
    return 255 - gray if scale.inverted else gray


def _window(header: Any) -> tuple[float, float] | None:
    """Limits of the first display window (PS3.3 C.11.2.1.2), where one is declared."""
    centre, width = header.get("WindowCenter"), header.get("WindowWidth")
    if centre is None or width is None or not hasattr(header, "BitsStored"):
        return None
    first = [float(v[0]) if hasattr(v, "__iter__") else float(v) for v in (centre, width)]
    half = (first[1] - 1) / 2
    return (first[0] - 0.5 - half, first[0] - 0.5 + half) if half > 0 else None
