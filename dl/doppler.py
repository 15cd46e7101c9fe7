"""Colour flow told from gray tissue by its chroma; it loads no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dl.geometry import check_pixels

__all__ = ["chroma", "coloured_share", "flow_pixels", "is_doppler", "separate_flow"]

#: Chroma from which a pixel shows flow. Tinted gray maps and coloured frames stay below.
FLOW_CHROMA = 80
#: Share of such pixels from which an image is a Doppler image: its colour bar alone has as many.
#: Of the ultrasound files that come with pydicom 5 % are in a power Doppler image and at most
#: 0.1 % in gray-scale images with coloured frames and marks.
DOPPLER_SHARE = 0.0015


def chroma(image: ArrayLike) -> NDArray[np.uint8]:
    """Distance of every pixel from gray: its largest minus its smallest colour, (H, W).

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8

    Raises
    ------
    ArgumentError
        Of another shape or type.

    Examples
    --------
    >>> chroma(np.array([[[90, 90, 90], [200, 20, 60]]], dtype=np.uint8)).tolist()
    [[0, 180]]
    """
    pixels = check_pixels(image)
    return np.zeros(pixels.shape, np.uint8) if pixels.ndim == 2 else np.ptp(pixels, axis=2)


def flow_pixels(image: ArrayLike) -> NDArray[np.bool_]:
    """Where an image is in colour, (H, W): flow, and the colour bar.

    Examples
    --------
    >>> flow_pixels(np.array([[[90, 90, 90], [200, 20, 60]]], dtype=np.uint8)).tolist()
    [[False, True]]
    """
    return chroma(image) >= FLOW_CHROMA


def coloured_share(image: ArrayLike) -> float:
    """Share of the pixels that are in colour, 0 to 1.

    Examples
    --------
    >>> coloured_share(np.array([[[90, 90, 90], [200, 20, 60]]], dtype=np.uint8))
    0.5
    """
    return float(flow_pixels(image).mean())


def is_doppler(image: ArrayLike) -> bool:
    """Whether an image is a Doppler image, by its colour.

    A Doppler image without flow is recognised by its colour bar, and not at all where that was
    cut off; a column `modality` knows better.

    Examples
    --------
    >>> is_doppler(np.array([[[90, 90, 90], [200, 20, 60]]], dtype=np.uint8))
    True
    """
    return coloured_share(image) >= DOPPLER_SHARE


def separate_flow(image: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Tissue and flow of a colour Doppler image.

    What lies under the flow cannot be known, and the scale of its colours only with the machine's
    colour bar; so the tissue is black there, and the flow keeps its colours.

    Returns
    -------
    (H, W) and (H, W, 3) uint8
        The gray image, 0 under flow; and the colours, 0 elsewhere. Their sum over pixels loses
        nothing but a tint of the gray map.

    Examples
    --------
    >>> gray, flow = separate_flow(np.array([[[90, 90, 90], [200, 20, 60]]], dtype=np.uint8))
    >>> gray.tolist(), flow.tolist()
    ([[90, 0]], [[[0, 0, 0], [200, 20, 60]]])
    """
    inside = flow_pixels(image)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels.copy(), np.zeros((*pixels.shape, 3), np.uint8)
    gray = np.round(pixels.mean(axis=2)).astype(np.uint8)
    return np.where(inside, np.uint8(0), gray), np.where(inside[..., None], pixels, np.uint8(0))
