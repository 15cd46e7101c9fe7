"""Masks at the front door, and the overlap and surface distances of two of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from usstats._check import check_option
from usstats.errors import ArgumentError, EmptyMaskWarning, PairingError

Float = np.float64
Mask = NDArray[np.bool_]
Spacing = float | Sequence[float] | NDArray[Float] | None
PERCENTILE = 95.0


def check_mask(mask: ArrayLike, *, name: str) -> Mask:
    """A mask as bool: True/False, 0/1 or 0/255.

    Raises
    ------
    ArgumentError
        Anything else, such as probabilities, grey edges of a resized mask, or several labels.
    """
    array = np.asarray(mask)
    if array.ndim < 1 or array.size == 0:
        msg = f"`{name}` has no pixels; its shape is {array.shape}."
        raise ArgumentError(msg)
    if array.dtype == bool:
        return array
    if array.dtype.kind not in "iuf":
        msg = f"`{name}` must be a mask of bool or 0/1; its type is {array.dtype}."
        raise ArgumentError(msg)
    top = array.max()
    if not np.isin(array, (0, top)).all() or top not in (0, 1, 255):
        values = np.unique(array)
        msg = (
            f"`{name}` must hold 0 and 1 (or 255); it holds {values.size} values, "
            f"{values[:4].tolist()} first. Threshold probabilities beforehand, resize masks by "
            "nearest neighbour, and give label maps to `overlap_report(classes=...)`."
        )
        raise ArgumentError(msg)
    return np.asarray(array > 0)


def check_mask_pair(a: ArrayLike, b: ArrayLike) -> tuple[Mask, Mask]:
    """Two masks of one shape.

    Raises
    ------
    ArgumentError, PairingError
    """
    first, second = check_mask(a, name="a"), check_mask(b, name="b")
    if first.shape != second.shape:
        msg = (
            f"Both masks must have one shape; `a` is {first.shape}, `b` {second.shape}. Check the "
            "pairing before resizing anything."
        )
        raise PairingError(msg)
    return first, second


def check_spacing(spacing: Spacing, n_axes: int) -> tuple[float, ...]:
    """Length of a pixel along each axis, in the order of the array's axes (row, column).

    Raises
    ------
    ArgumentError
    """
    try:
        lengths = np.broadcast_to(
            np.asarray(1.0 if spacing is None else spacing, dtype=float), (n_axes,)
        )
    except (TypeError, ValueError):
        msg = f"`spacing` must be one number or one for each of {n_axes} axes; got {spacing!r}."
        raise ArgumentError(msg) from None
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        msg = f"`spacing` must be positive lengths, such as 0.1 (mm a pixel); got {spacing!r}."
        raise ArgumentError(msg)
    return tuple(float(length) for length in lengths)


def _empty(first: Mask, second: Mask) -> str:
    """Which mask has no pixel: "", "a", "b" or "both"."""
    names = {(True, True): "", (False, True): "a", (True, False): "b", (False, False): "both"}
    return names[bool(first.any()), bool(second.any())]


def _warn_of_empty(which: str, what: str, value: float) -> None:
    masks = "Both masks are" if which == "both" else f"Mask `{which}` is"
    msg = f"{masks} empty: {what} has no value; {value:g} is returned."
    warnings.warn(msg, EmptyMaskWarning, stacklevel=4)


def _undefined(which: str, what: str, value: float) -> float:
    """The declared value of an undefined measure; NaN is told, a choice was made knowingly."""
    if np.isnan(value):
        _warn_of_empty(which, what, value)
    return float(value)


def dice(a: ArrayLike, b: ArrayLike, *, both_empty: float = np.nan) -> float:
    """Dice's coefficient of two masks: 2 |A and B| / (|A| + |B|).

    Parameters
    ----------
    a, b : array_like of bool or 0/1, one shape
    both_empty : float
        What two empty masks give. The ratio is 0/0, so NaN by default, with a warning; the
        software of Metrics Reloaded gives 1, which rewards an image without a lesion as much as a
        perfect outline: choose it knowingly, and report such images apart.

    Returns
    -------
    float
        0 where exactly one mask is empty.

    Raises
    ------
    ArgumentError, PairingError

    Warns
    -----
    EmptyMaskWarning

    References
    ----------
    Dice (1945), Ecology 26:297. Maier-Hein et al. (2024), Nat Methods 21:195.

    Examples
    --------
    >>> dice([[0, 1, 1], [0, 1, 0]], [[0, 1, 0], [0, 1, 0]])
    0.8
    """
    first, second = check_mask_pair(a, b)
    total = int(first.sum()) + int(second.sum())
    if total == 0:
        return _undefined("both", "Dice's coefficient", both_empty)
    return 2 * int((first & second).sum()) / total


def iou(a: ArrayLike, b: ArrayLike, *, both_empty: float = np.nan) -> float:
    """Intersection over union (Jaccard's index) of two masks.

    Parameters
    ----------
    a, b : array_like of bool or 0/1, one shape
    both_empty : float
        What two empty masks give; see `dice`.

    Returns
    -------
    float
        Dice / (2 - Dice); 0 where exactly one mask is empty.

    Raises
    ------
    ArgumentError, PairingError

    Warns
    -----
    EmptyMaskWarning

    References
    ----------
    Jaccard (1912), New Phytol 11:37.

    Examples
    --------
    >>> iou([[0, 1, 1], [0, 1, 0]], [[0, 1, 0], [0, 1, 0]])
    0.67
    """
    first, second = check_mask_pair(a, b)
    union = int((first | second).sum())
    if union == 0:
        return _undefined("both", "the intersection over union", both_empty)
    return int((first & second).sum()) / union


def surface(mask: Mask) -> Mask:
    """Pixels of a mask with a neighbour (sharing an edge) outside it, or at the image's border."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def surface_distances(
    a: ArrayLike, b: ArrayLike, *, spacing: Spacing = None
) -> tuple[NDArray[Float], NDArray[Float]]:
    """Distance of each surface pixel of one mask to the nearest surface pixel of the other.

    Parameters
    ----------
    a, b : array_like of bool or 0/1, one shape
    spacing : float or sequence, optional
        Length of a pixel along each axis of the array (row, column), for example in mm. Without
        it distances are in pixels.

    Returns
    -------
    from_a, from_b : ndarray
        Empty where either mask is.

    Raises
    ------
    ArgumentError, PairingError

    Examples
    --------
    >>> from_a, from_b = surface_distances([0, 1, 0, 0], [0, 0, 0, 1], spacing=0.5)
    >>> from_a, from_b
    (array([1.]), array([1.]))
    """
    first, second = check_mask_pair(a, b)
    lengths = check_spacing(spacing, first.ndim)
    if _empty(first, second):
        return np.empty(0), np.empty(0)
    box = ndimage.find_objects((first | second).astype(np.int8))[0]
    # binary_erosion takes what lies beyond the box for background, so that cropping to it keeps
    # every surface pixel.
    one, two = surface(first[box]), surface(second[box])
    to_one, to_two = (
        ndimage.distance_transform_edt(~each, sampling=lengths) for each in (one, two)
    )
    return to_two[one], to_one[two]


def hd95(
    a: ArrayLike,
    b: ArrayLike,
    *,
    spacing: Spacing = None,
    pooled: bool = False,
    empty: float | str = np.nan,
) -> float:
    """95th percentile of the Hausdorff distance between the surfaces of two masks.

    Parameters
    ----------
    a, b : array_like of bool or 0/1, one shape
    spacing : float or sequence, optional
        Length of a pixel along each axis of the array (row, column), for example in mm. Without
        it the distance is in pixels.
    pooled : bool
        False: the larger of both directions' percentiles (Metrics Reloaded, MONAI). True: the
        percentile of both directions' distances together (medpy), which is never larger. Say
        which one was used.
    empty : float or "diagonal"
        What is returned where one mask is empty (a missed lesion): NaN by default, with a
        warning, or "diagonal", the longest distance in the image, so that a miss counts as the
        worst outline. Two empty masks have no distance: NaN.

    Returns
    -------
    float
        Percentiles are type 7, as numpy's and R's default.

    Raises
    ------
    ArgumentError, PairingError

    Warns
    -----
    EmptyMaskWarning

    References
    ----------
    Huttenlocher et al. (1993), IEEE Trans Pattern Anal 15:850. Maier-Hein et al. (2024), Nat
    Methods 21:195. monai.metrics.compute_hausdorff_distance; medpy.metric.binary.hd95 (pooled).

    Examples
    --------
    >>> a = np.zeros((20, 20), dtype=bool)
    >>> a[5:10, 5:10] = True
    >>> hd95(a, np.roll(a, 3, axis=1), spacing=0.2)
    0.60
    """
    first, second = check_mask_pair(a, b)
    lengths = check_spacing(spacing, first.ndim)
    if isinstance(empty, str):
        check_option(empty, ("diagonal",), name="empty")
    which = _empty(first, second)
    if which:
        value: Any = np.nan if which == "both" else empty
        diagonal = float(np.linalg.norm((np.array(first.shape) - 1) * lengths))
        return _undefined(which, "hd95", diagonal if value == "diagonal" else float(value))
    from_a, from_b = surface_distances(first, second, spacing=lengths)
    if pooled:
        return float(np.percentile(np.concatenate([from_a, from_b]), PERCENTILE))
    return float(max(np.percentile(from_a, PERCENTILE), np.percentile(from_b, PERCENTILE)))
