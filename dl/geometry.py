"""Where the lesion is and how large: boxes, crops that keep the aspect, and measurements."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from dl.errors import MaskError
from usstats.errors import ArgumentError

__all__ = [
    "LesionGeometry",
    "check_pixels",
    "crop_roi",
    "grow_box",
    "lesion_geometry",
    "letterbox",
    "letterbox_box",
    "roi_box",
]

Box = tuple[int, int, int, int]
#: Connected parts below this share of the mask are specks and do not stretch the box.
SPECK = 0.01


@dataclass(frozen=True, kw_only=True)
class LesionGeometry:
    """Size of the largest connected part of a mask, edge to edge.

    Attributes
    ----------
    max_diameter_mm : float
        Maximum Feret diameter: the longest straight line inside the convex hull.
    width_mm, height_mm : float
        Horizontal and vertical extent; the height is along the beam.
    area_mm2 : float
    taller_than_wide : bool
        The height exceeds the width.
    n_parts : int
        Connected parts of the mask, specks left out.
    """

    max_diameter_mm: float
    width_mm: float
    height_mm: float
    area_mm2: float
    taller_than_wide: bool
    n_parts: int

    def to_dict(self) -> dict[str, Any]:
        """As a table row."""
        return asdict(self)


def lesion_geometry(mask: ArrayLike, pixel_spacing_mm: float | ArrayLike) -> LesionGeometry:
    """Measure a lesion from its mask.

    Parameters
    ----------
    mask : array_like, shape (H, W)
        Of an image whose aspect was kept; a squashed image has no shape to measure.
    pixel_spacing_mm : float or (row spacing, column spacing)
        Millimetres per pixel, rows (depth) first.

    Returns
    -------
    LesionGeometry

    Raises
    ------
    MaskError
        The mask is empty.
    ArgumentError
        The spacing is not positive.

    Examples
    --------
    >>> mask = np.zeros((10, 10), dtype=bool)
    >>> mask[2:8, 4:7] = True
    >>> size = lesion_geometry(mask, 0.5)
    >>> (size.width_mm, size.height_mm, size.taller_than_wide)
    (1.5, 3.0, True)
    >>> round(size.max_diameter_mm, 3)
    3.354
    """
    spacing = _spacing(pixel_spacing_mm)
    parts, sizes = _parts(_checked_mask(mask))
    rows, columns = np.nonzero(parts == np.argmax(sizes))
    height, width = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1]) * spacing
    return LesionGeometry(
        max_diameter_mm=_feret(rows, columns, spacing),
        width_mm=float(width),
        height_mm=float(height),
        area_mm2=float(rows.size * spacing.prod()),
        taller_than_wide=bool(height > width),
        n_parts=int(np.count_nonzero(sizes)),
    )


def check_pixels(image: ArrayLike) -> NDArray[np.uint8]:
    """Pixels of a picture, as `dl.images.read_image` gives them.

    Raises
    ------
    ArgumentError
        Of another type or shape, or none at all.

    Examples
    --------
    >>> check_pixels(np.zeros((4, 6), dtype=np.uint8)).shape
    (4, 6)
    """
    pixels = np.asarray(image)
    fits = pixels.ndim in (2, 3) and pixels.shape[2:] in ((), (3,)) and pixels.size > 0
    if pixels.dtype != np.uint8 or not fits:
        msg = f"`image` must be uint8 (H, W) or (H, W, 3); got {pixels.dtype} {pixels.shape}."
        raise ArgumentError(msg)
    return pixels


def roi_box(roi: ArrayLike, shape: tuple[int, ...]) -> Box:
    """Return (left, top, right, bottom), half open, of a mask, box or polygon inside `shape`.

    Parameters
    ----------
    roi : (H, W) mask, (4,) box, or (2 k,) corners x1 y1 x2 y2 ... of a polygon with k of 3 or more
        In pixels.
    shape : tuple of int
        Of the image.

    Raises
    ------
    MaskError
        The mask is empty or of another size than the image, the box or polygon lies outside it,
        or the polygon has no area.

    Examples
    --------
    >>> mask = np.zeros((6, 8), dtype=bool)
    >>> mask[1:3, 2:7] = True
    >>> roi_box(mask, (6, 8))
    (2, 1, 7, 3)
    """
    region = np.asarray(roi)
    if region.ndim == 1 and region.size >= 6:
        return _box_of_polygon(region, shape)
    if region.ndim == 1:
        return _checked_box(region, shape)
    mask = _checked_mask(region)
    if mask.shape != shape[:2]:
        msg = (
            f"The mask is {mask.shape[1]} x {mask.shape[0]} pixels and its image "
            f"{shape[1]} x {shape[0]}; a mask must be drawn on the image it belongs to."
        )
        raise MaskError(msg)
    parts, sizes = _parts(mask)
    rows, columns = np.nonzero(sizes[parts] > 0)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def grow_box(box: Box, shape: tuple[int, ...], *, margin: float) -> Box:
    """Add `margin` times the longer side all around, as far as the image reaches.

    Examples
    --------
    >>> grow_box((2, 1, 7, 3), (6, 8), margin=0.2)
    (1, 0, 8, 4)
    """
    if not (np.isfinite(margin) and margin >= 0):
        msg = f"`margin` must be 0 or more, a share of the region's longer side; got {margin!r}."
        raise ArgumentError(msg)
    left, top, right, bottom = box
    extra = round(margin * max(right - left, bottom - top))
    return (
        max(left - extra, 0),
        max(top - extra, 0),
        min(right + extra, shape[1]),
        min(bottom + extra, shape[0]),
    )


def crop_roi(image: NDArray[Any], roi: ArrayLike, *, margin: float = 0.25) -> NDArray[Any]:
    """Cut the region of interest out, with its surroundings.

    Parameters
    ----------
    image : (H, W) or (H, W, 3)
    roi : (H, W) mask, (left, top, right, bottom) half open, or polygon, see `roi_box`
        All parts of the mask are kept, apart from specks below 1 % of it.
    margin : float
        Share of the region's longer side added on each side, clipped at the image's border.

    Returns
    -------
    (h, w) or (h, w, 3)
        Of the image's own resolution: nothing is resized.

    Raises
    ------
    MaskError, ArgumentError

    Examples
    --------
    >>> crop_roi(np.zeros((60, 80)), (20, 10, 40, 30), margin=0.25).shape
    (30, 30)
    """
    left, top, right, bottom = grow_box(roi_box(roi, image.shape), image.shape, margin=margin)
    return image[top:bottom, left:right]


def letterbox(image: NDArray[Any], size: int) -> NDArray[Any]:
    """Fit an image into a square, keeping its aspect; the rest is black.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or (H, W) bool
        Images are resampled with an antialiased bilinear filter, masks by the nearest pixel.
    size : int

    Returns
    -------
    (size, size) or (size, size, 3), same type

    Examples
    --------
    >>> boxed = letterbox(np.full((50, 100), 200, dtype=np.uint8), 32)
    >>> np.flatnonzero(boxed.any(axis=1)).tolist() == list(range(8, 24))
    True
    """
    left, top, right, bottom = letterbox_box(image.shape, size)
    mask = image.dtype == bool
    how = Image.Resampling.NEAREST if mask else Image.Resampling.BILINEAR
    source = Image.fromarray(image.astype(np.uint8) if mask else np.ascontiguousarray(image))
    boxed = np.zeros((size, size, *image.shape[2:]), dtype=image.dtype)
    boxed[top:bottom, left:right] = np.asarray(source.resize((right - left, bottom - top), how))
    return boxed


def letterbox_box(shape: tuple[int, ...], size: int) -> Box:
    """Where in its square of `size` pixels `letterbox` puts an image of a shape.

    Examples
    --------
    >>> letterbox_box((50, 100), 32)
    (0, 8, 32, 24)
    """
    height, width = shape[:2]
    scale = size / max(height, width)
    new = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - new[0]) // 2, (size - new[1]) // 2
    return left, top, left + new[0], top + new[1]


def _spacing(pixel_spacing_mm: float | ArrayLike) -> NDArray[np.float64]:
    try:
        spacing = np.broadcast_to(np.asarray(pixel_spacing_mm, dtype=float), 2)
    except (TypeError, ValueError):
        spacing = np.full(2, np.nan)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        msg = (
            "`pixel_spacing_mm` must be positive millimetres per pixel (one number, or rows and "
            f"columns); got {pixel_spacing_mm!r}."
        )
        raise ArgumentError(msg)
    return spacing


def _checked_mask(mask: ArrayLike) -> NDArray[np.bool_]:
    region = np.asarray(mask)
    if region.ndim != 2:
        msg = f"A mask must be (height, width); got shape {region.shape}."
        raise MaskError(msg)
    if not region.any():
        msg = "The mask is empty: no pixel lies inside the region."
        raise MaskError(msg)
    return region.astype(bool)


def _checked_box(box: NDArray[Any], shape: tuple[int, ...]) -> Box:
    if box.shape != (4,) or not np.isfinite(box.astype(float)).all():
        msg = (
            "A box is (left, top, right, bottom), and a polygon x1 y1 x2 y2 x3 y3 ..., in pixels; "
            f"got {box.tolist()}."
        )
        raise MaskError(msg)
    left, top, right, bottom = (round(float(v)) for v in box)
    if not (0 <= left < right <= shape[1] and 0 <= top < bottom <= shape[0]):
        msg = (
            f"The box ({left}, {top}, {right}, {bottom}) does not lie inside the image of "
            f"{shape[1]} x {shape[0]} pixels."
        )
        raise MaskError(msg)
    return left, top, right, bottom


def _box_of_polygon(numbers: NDArray[Any], shape: tuple[int, ...]) -> Box:
    """The whole pixels that a polygon touches."""
    if numbers.size % 2 or not np.isfinite(numbers.astype(float)).all():
        msg = f"A polygon is x1 y1 x2 y2 x3 y3 ... in pixels; got {numbers.size} numbers."
        raise MaskError(msg)
    corners = numbers.astype(float).reshape(-1, 2)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if left < 0 or top < 0 or right > shape[1] or bottom > shape[0]:
        msg = (
            f"The polygon reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), beyond the "
            f"image of {shape[1]} x {shape[0]} pixels."
        )
        raise MaskError(msg)
    if _enclosed(corners) == 0:
        msg = f"The polygon of {len(corners)} corners encloses no area."
        raise MaskError(msg)
    return int(left), int(top), math.ceil(right), math.ceil(bottom)


def _enclosed(corners: NDArray[np.float64]) -> float:
    """Area of a polygon by the shoelace formula."""
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _parts(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Label image of the 8-connected parts and their sizes, 0 for background and specks."""
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts, np.where(sizes >= SPECK * sizes.sum(), sizes, 0)


def _feret(rows: NDArray[Any], columns: NDArray[Any], spacing: NDArray[np.float64]) -> float:
    """Longest distance between two corners of pixels of the region, which `nonzero` put in order.

    Only the first and the last pixel of a row can hold an end of it.
    """
    starts = np.append(True, rows[1:] != rows[:-1])
    ends = starts | np.append(starts[1:], True)
    corners = np.concatenate(
        [np.column_stack([rows[ends] + i, columns[ends] + j]) for i in (0, 1) for j in (0, 1)]
    )
    points = np.unique(corners, axis=0) * spacing
    return float(pdist(points[ConvexHull(points).vertices]).max())
