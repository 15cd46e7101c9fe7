"""One still image from a DICOM file, its colour space and value range made explicit."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dl.errors import ImageError

_DECODING = (
    OSError,
    AttributeError,
    KeyError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    struct.error,
    MemoryError,
)


def read_dicom(path: Path, *, bits: int | None = None) -> NDArray[np.uint8]:
    """Read a single-frame DICOM image as 8-bit gray or RGB.

    YBR and palette colour become RGB, MONOCHROME1 is inverted, rescale slope and window are
    applied where the header holds them, and other gray values are scaled from BitsStored.

    Raises
    ------
    ImageError
        No pixels, several frames, too large, truncated, or a transfer syntax that cannot be
        decoded. The message never quotes the header, which may name the patient.
    """
    with warnings.catch_warnings():
        # pydicom's warnings quote header values, which may identify the patient.
        warnings.simplefilter("ignore")
        header = _header(path)
        values = _pixels(path, header)
    if values.ndim == 3:
        return _colour(path, values)
    return _gray(path, values, header, bits)


def _header(path: Path) -> Any:
    import pydicom

    from dl.images import _check_single_frame, _check_size

    try:
        header = pydicom.dcmread(path)
        n_frames = int(header.get("NumberOfFrames") or 1)
        height, width = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    except _DECODING as error:
        msg = f"{path}: the DICOM header is damaged ({type(error).__name__}). Export it again."
        raise ImageError(msg) from None
    if "PixelData" not in header or not height * width:
        msg = f"{path}: this DICOM object holds no image pixels (a report, index or plan?)."
        raise ImageError(msg)
    _check_size(path, width, height)
    _check_single_frame(path, n_frames)
    return header


def _pixels(path: Path, header: Any) -> NDArray[Any]:
    from pydicom.pixels import apply_color_lut, pixel_array

    try:
        values = pixel_array(header)
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


def _gray(path: Path, values: NDArray[Any], header: Any, bits: int | None) -> NDArray[np.uint8]:
    from dl.images import scale_to_8_bits

    window = _window(header)
    if window is not None:
        slope = float(header.get("RescaleSlope") or 1)
        intercept = float(header.get("RescaleIntercept") or 0)
        low, high = window
        share = np.clip((values * slope + intercept - low) / (high - low), 0, 1)
        gray = np.round(share * 255).astype(np.uint8)
    else:
        stored = bits or int(header.get("BitsStored", 8))
        signed = int(header.get("PixelRepresentation", 0)) == 1
        shifted = values.astype(np.int64) + (2 ** (stored - 1) if signed else 0)
        gray = scale_to_8_bits(path, shifted, stored)
    return 255 - gray if header.PhotometricInterpretation == "MONOCHROME1" else gray


def _window(header: Any) -> tuple[float, float] | None:
    """Limits of the first display window (PS3.3 C.11.2.1.2), where one is declared."""
    centre, width = header.get("WindowCenter"), header.get("WindowWidth")
    if centre is None or width is None or not hasattr(header, "BitsStored"):
        return None
    first = [float(v[0]) if hasattr(v, "__iter__") else float(v) for v in (centre, width)]
    half = (first[1] - 1) / 2
    return (first[0] - 0.5 - half, first[0] - 0.5 + half) if half > 0 else None
