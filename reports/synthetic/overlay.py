"""What a scanner writes around and over its picture: label, ruler, gray bar, calipers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = [
    "FIELD_BOTTOM",
    "FIELD_LEFT",
    "FIELD_RIGHT",
    "FIELD_TOP",
    "LABEL",
    "LABEL_BOX",
    "SIDE",
    "annotate",
]

SIDE = 256
#: The echo field inside the screen; what lies outside it is black or writing.
FIELD_TOP, FIELD_BOTTOM, FIELD_LEFT, FIELD_RIGHT = 18, 250, 12, 238
LABEL = "SYNTHETIC"
#: left, top, right, bottom of the burned-in label, above every echo.
LABEL_BOX = (12, 2, 112, 16)
INK = 215


def annotate(
    gray: NDArray[np.uint8],
    *,
    pixel_spacing_mm: float,
    calipers: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> NDArray[np.uint8]:
    """Burn in the word SYNTHETIC, a centimetre ruler, a gray bar and, if given, calipers.

    Parameters
    ----------
    gray
        (256, 256) picture; it is not changed.
    pixel_spacing_mm
        Spacing of the ruler's ticks.
    calipers
        The two ends of a measured distance as (row, column), or None.

    Examples
    --------
    >>> shown = annotate(np.zeros((256, 256), dtype=np.uint8), pixel_spacing_mm=0.2)
    >>> int(shown[2:16, 12:112].max())
    215
    """
    image = Image.fromarray(gray.copy())
    draw = ImageDraw.Draw(image)
    draw.text((LABEL_BOX[0], LABEL_BOX[1]), LABEL, fill=INK, font=ImageFont.load_default(12))
    _ruler(draw, pixel_spacing_mm)
    if calipers is not None:
        _calipers(draw, *calipers)
    shown = np.asarray(image).copy()
    shown[40:140, 3:8] = np.linspace(255, 0, 100, dtype=np.uint8)[:, None]
    return shown


def _ruler(draw: ImageDraw.ImageDraw, pixel_spacing_mm: float) -> None:
    step = 5 / pixel_spacing_mm
    for tick, row in enumerate(np.arange(FIELD_TOP, FIELD_BOTTOM, step)):
        reach = 7 if tick % 2 == 0 else 4
        draw.line([(SIDE - 4 - reach, row), (SIDE - 4, row)], fill=INK)


def _calipers(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]
) -> None:
    for row, column in (start, end):
        draw.line([(column - 4, row), (column + 4, row)], fill=INK)
        draw.line([(column, row - 4), (column, row + 4)], fill=INK)
    for share in np.arange(0.06, 0.95, 0.055):
        row = start[0] + share * (end[0] - start[0])
        column = start[1] + share * (end[1] - start[1])
        draw.point([(column, row), (column + 1, row)], fill=INK)
