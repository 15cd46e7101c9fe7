"""Bytes that somebody sent become pixels, or are refused; nothing is written to a disk."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dl.errors import ImageError, ImageWarning, OversizeError
from dl.images import decode_image
from reports.app.refusal import RefusedError

__all__ = ["MAX_BYTES", "decoded", "preview"]

MAX_BYTES = 20_000_000
MIN_SIDE = 16
#: Longest side of the picture the page shows; the network reads the original.
PREVIEW_SIDE = 1600
KINDS = "PNG, JPEG, TIFF, BMP or DICOM"

#: How the accepted files begin.
_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\x00",
    b"MM\x00*",
    b"BM",
)
_DICOM = (128, b"DICM")
#: A DICOM file that is compressed as a whole says how large it is only once it is unpacked.
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def decoded(content: bytes) -> NDArray[np.uint8]:
    """Return the upright picture in an upload: its pixels and nothing else of the file.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    (H, W) or (H, W, 3) uint8
        By the rules of `dl.images.read_image`: EXIF orientation applied and dropped with the rest.

    Raises
    ------
    RefusedError
        400 nothing was sent; 413 too many pixels by its header; 415 another kind of file; 422
        truncated, several frames, or too small to show anything.

    Examples
    --------
    >>> file = BytesIO()
    >>> Image.new("L", (40, 30)).save(file, "PNG")
    >>> decoded(file.getvalue()).shape
    (30, 40)
    >>> decoded(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    Traceback (most recent call last):
    ...
    reports.app.refusal.RefusedError: This is not a PNG, JPEG, TIFF, BMP or ... image, ...
    """
    _check_kind(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)  # the page shows the picture to a person
        try:
            picture = decode_image(content)
        except OversizeError as error:
            raise RefusedError(413, str(error)) from None
        except ImageError as error:
            raise RefusedError(422, str(error)) from None
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        msg = (
            f"The image has {width} x {height} pixels, too few to show anything; at least "
            f"{MIN_SIDE} on each side are needed."
        )
        raise RefusedError(422, msg)
    return picture


def _check_kind(content: bytes) -> None:
    if not content:
        msg = "The file is empty (0 bytes). Choose the image again."
        raise RefusedError(400, msg)
    start, mark = _DICOM
    is_dicom = content[start : start + len(mark)] == mark
    if not (is_dicom or content.startswith(_SIGNATURES)):
        msg = f"This is not a {KINDS} image, whatever the file is called. Export it as PNG or JPEG."
        raise RefusedError(415, msg)
    if is_dicom and _DEFLATED in content:
        msg = "A DICOM file in the deflated transfer syntax is not read. Export it as PNG."
        raise RefusedError(415, msg)


def preview(picture: NDArray[np.uint8]) -> bytes:
    """Return the picture as a new JPEG of at most `PREVIEW_SIDE` pixels, for the page to show.

    Examples
    --------
    >>> small = Image.open(BytesIO(preview(np.zeros((3200, 1600), dtype=np.uint8))))
    >>> small.size, small.format
    ((800, 1600), 'JPEG')
    """
    shown = Image.fromarray(picture)
    shown.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR)
    file = BytesIO()
    shown.save(file, "JPEG", quality=90)
    return file.getvalue()
