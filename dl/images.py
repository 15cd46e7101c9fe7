"""Files to arrays: what is read, what is refused, and how every pixel format becomes 8 bits.

Nothing here needs torch. The content decides the format, never the file's name.
"""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dl.errors import ImageError, ImageWarning, MaskError, OversizeError
from dl.geometry import LesionGeometry, crop_roi, lesion_geometry, letterbox, roi_box
from usstats._check import check_count
from usstats.errors import ArgumentError

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "LesionGeometry",
    "crop_roi",
    "decode_image",
    "lesion_geometry",
    "letterbox",
    "read_image",
    "read_mask",
    "read_regions",
    "roi_box",
]

#: Formats that are decoded; DICOM is recognised by its own preamble.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
#: Larger images are refused before a pixel is decoded.
MAX_PIXELS = 40_000_000

_DECODING = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    MemoryError,
)
#: A mask read from a lossy or smoothed file may have this share of in-between pixels.
_MAX_BETWEEN = 0.25


def read_image(
    path: str | Path, *, bits: int | None = None, frame: int | None = None
) -> NDArray[np.uint8]:
    """Read one still image as 8-bit gray or RGB.

    Parameters
    ----------
    path : path
        PNG, JPEG, TIFF, BMP or DICOM, by content.
    bits : int, optional
        Bits in use of a 16-bit gray image; by default all 16, or BitsStored of a DICOM file.
        Values are divided so that 2**bits - 1 becomes 255: scaled, never clipped or stretched.
    frame : int, optional
        Which frame of a loop, counted from 0. A loop is refused without it.

    Returns
    -------
    (H, W) or (H, W, 3) uint8
        EXIF orientation applied; palette and CMYK as RGB; transparency laid on black.

    Raises
    ------
    ImageError
        Absent, empty, truncated, of another format, of several frames and none chosen, or over
        40 megapixels (read from the header, before decoding).
    ArgumentError
        `bits` or `frame` is no whole number, or below 1 or 0.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "scan.png"
    ...     Image.fromarray(np.array([[0, 300, 65535]], dtype=np.uint16)).save(path)
    ...     read_image(path).tolist()
    [[0, 1, 255]]
    """
    path = path if isinstance(path, _InMemory) else Path(path)
    if bits is not None:
        check_count(bits, name="bits")
    if is_dicom(path):
        from dl._reading.dicom import read_dicom

        return read_dicom(path, bits=bits, frame=frame)
    with _open(path) as picture:
        _check_size(path, *picture.size)
        return _to_8_bits(path, _decode(path, picture, frame), bits)


class _InMemory(BytesIO):
    """Bytes where a file is expected: they open and read, and messages call them by a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self._name = name

    def open(self, mode: str) -> BytesIO:
        return BytesIO(self.getvalue())

    def __str__(self) -> str:
        return self._name


def decode_image(content: bytes, *, name: str = "The image") -> NDArray[np.uint8]:
    """Read one still image that is in memory by the rules of `read_image`; no file is written.

    Parameters
    ----------
    content : bytes
        What a PNG, JPEG, TIFF, BMP or DICOM file holds.
    name : str
        What the messages call it.

    Returns
    -------
    (H, W) or (H, W, 3) uint8

    Raises
    ------
    ImageError
        As in `read_image`; an OversizeError above 40 megapixels.

    Examples
    --------
    >>> file = BytesIO()
    >>> Image.new("L", (30, 20)).save(file, "PNG")
    >>> decode_image(file.getvalue()).shape
    (20, 30)
    """
    return read_image(_InMemory(content, name))


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a binary mask, True inside the region.

    Two levels are needed, whatever they are (0/1, 0/255, black/colour). Values near the two
    ends, as JPEG leaves them, are snapped to them.

    Parameters
    ----------
    path : path

    Returns
    -------
    (H, W) bool
        All False for an empty mask.

    Raises
    ------
    MaskError
        More than two levels: a label map or a photograph is not a binary mask.
    ImageError
        As in `read_image`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mask.png"
    ...     Image.fromarray(np.array([[0, 255, 255]], dtype=np.uint8)).save(path)
    ...     read_mask(path).tolist()
    [[False, True, True]]
    """
    values = read_image(path)
    if values.ndim == 3:
        values = values.max(axis=2)
    return _binary(Path(path), values)


def read_regions(path: str | Path, n_classes: int) -> NDArray[np.uint8]:
    """Read a label map of several regions: 0 is the background, 1 to n_classes - 1 the regions.

    Parameters
    ----------
    path : path
    n_classes : int
        The background included.

    Returns
    -------
    (H, W) uint8

    Raises
    ------
    MaskError
        In colour, or with a level that is no class: levels are counted, never guessed.
    ImageError
        As in `read_image`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "regions.png"
    ...     Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).save(path)
    ...     read_regions(path, 3).tolist()
    [[0, 1, 2]]
    """
    values = read_image(path)
    if values.ndim == 2 and values.max() < n_classes:
        return values
    what = "colours" if values.ndim == 3 else f"the level {values.max()}"
    msg = (
        f"{path}: a map of regions must hold the gray levels 0 (background) to {n_classes - 1}, "
        f"one a region; it holds {what}. Write it as an 8-bit gray image without smoothing."
    )
    raise MaskError(msg)


def _binary(path: Path, values: NDArray[np.uint8]) -> NDArray[np.bool_]:
    levels = np.unique(values)
    top = int(levels[-1])
    inside = values > top / 2
    near_an_end = np.minimum(values, top - values) <= top * 0.1
    between = int(np.count_nonzero(~near_an_end))
    if top and (levels[0] == top or between > _MAX_BETWEEN * np.count_nonzero(inside)):
        what = "one level only" if levels.size == 1 else f"{levels.size} levels"
        msg = (
            f"{path}: a mask must be binary (background 0, region any one value); it holds {what}."
            " Write one mask file a region, or threshold it beforehand."
        )
        raise MaskError(msg)
    return inside


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, whatever its name.

    Raises
    ------
    ImageError
        It cannot be opened, or is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"{path}: the image cannot be opened ({reason.lower()})."
        raise ImageError(msg) from None
    if not head:
        msg = f"{path}: the file is empty (0 bytes). Copy it again from its source."
        raise ImageError(msg)
    return head[128:] == b"DICM"


def _open(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            return Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            msg = (
                f"{path}: the content is not a readable {', '.join(FORMATS)} or DICOM image, "
                "whatever the file is called. Export it as PNG."
            )
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise OversizeError(_too_large(path, "far more")) from None
        except _DECODING as error:
            msg = (
                f"{path}: the header is truncated or damaged ({type(error).__name__}). "
                "Copy the file again from its source."
            )
    raise ImageError(msg)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise OversizeError(_too_large(path, f"{width} x {height}"))


def _too_large(path: Path, size: str) -> str:
    return (
        f"{path}: the header announces {size} pixels; at most {MAX_PIXELS / 1e6:g} megapixels "
        "are read. Crop or shrink the image beforehand."
    )


def chosen_frame(path: Path, n_frames: int, frame: int | None) -> int:
    """The frame to read, 0 of a still image.

    Raises
    ------
    ImageError
        Several frames and none chosen, or one that is not there.
    """
    if frame is None and n_frames > 1:
        msg = (
            f"{path}: {n_frames} frames; a single still image is needed. Choose one with `frame` "
            f"(0 to {n_frames - 1}), or export it by itself."
        )
        raise ImageError(msg)
    if frame is not None and check_count(frame, name="frame", least=0) >= n_frames:
        msg = f"{path}: there is no frame {frame}; the file has {n_frames}, counted from 0."
        raise ImageError(msg)
    return int(frame or 0)


def _decode(path: Path, picture: Image.Image, frame: int | None) -> Image.Image:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            chosen = chosen_frame(path, getattr(picture, "n_frames", 1), frame)
            if chosen:
                picture.seek(chosen)
            picture.load()
            picture = ImageOps.exif_transpose(picture)
        except (ImageError, ArgumentError):
            raise
        except _DECODING as error:
            msg = (
                f"{path}: the pixels are truncated or damaged ({type(error).__name__}). "
                "Copy the file again from its source."
            )
            raise ImageError(msg) from None
    if said:
        msg = f"{path}: its metadata are damaged; look whether it stands upright."
        warnings.warn(msg, ImageWarning, stacklevel=3)
    return picture


def _to_8_bits(path: Path, picture: Image.Image, bits: int | None) -> NDArray[np.uint8]:
    mode = picture.mode
    if mode.startswith("I;16") or mode == "I":
        return scale_to_8_bits(path, np.asarray(picture), bits or 16)
    if mode == "F":
        msg = f"{path}: floating-point pixels have no declared range. Export it with 8 or 16 bits."
        raise ImageError(msg)
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in picture.info:
        return _on_black(picture)
    return np.array(picture.convert("L" if mode in ("1", "L") else "RGB"))


def _on_black(picture: Image.Image) -> NDArray[np.uint8]:
    gray = picture.mode in ("LA", "La", "L", "1")
    seen = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    seen.alpha_composite(picture.convert("RGBA"))
    return np.array(seen.convert("L" if gray else "RGB"))


def scale_to_8_bits(path: Path, values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Map 0..2**bits - 1 linearly onto 0..255; a value outside is refused, never clipped.

    Parameters
    ----------
    path : Path
        Named in the messages.
    values : (H, W) int
    bits : int
        Bits in use.

    Raises
    ------
    ImageError
        A value needs more bits than declared.
    """
    top, low, high = 2**bits - 1, int(values.min()), int(values.max())
    if low < 0 or high > top:
        msg = (
            f"{path}: pixel values {low} to {high} do not fit the {bits} bits declared. "
            "Pass the bits in use, or export the image with 8 bits."
        )
        raise ImageError(msg)
    if bits > 8 and 0 < high <= top // 16:
        warnings.warn(
            f"{path}: the brightest of {bits}-bit values is {high}, so the image is nearly black; "
            f"pass bits={high.bit_length()} if only those bits are in use.",
            ImageWarning,
            stacklevel=4,
        )
    return np.round(values * (255 / top)).astype(np.uint8)
