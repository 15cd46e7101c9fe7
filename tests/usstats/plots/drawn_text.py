"""Where the text of a figure lands, in the renderer that draws it and in the file it writes."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image

from usstats.plots.style import journal_style

#: A renderer rounds to its own pixels; less than this many points is no overlap.
ROUNDING = 0.05
_WORD = re.compile(rb'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)<')
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Box:
    """A text and where it stands, in points from the page's corner."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float

    def overlap(self, other: Box) -> float:
        wide = min(self.x1, other.x1) - max(self.x0, other.x0)
        high = min(self.y1, other.y1) - max(self.y0, other.y0)
        return min(wide, high)


class _Witness(Artist):
    """Asks the renderer that draws a figure how large it draws each text."""

    def __init__(self, ax: Axes) -> None:
        super().__init__()
        self.ax = ax
        self.boxes: list[Box] = []
        self.page = (0.0, 0.0)

    def draw(self, renderer: object) -> None:
        figure = self.ax.figure
        scale = 72 / figure.dpi
        self.page = (figure.bbox.width * scale, figure.bbox.height * scale)
        shown = [text for text in self.ax.texts if text.get_text().strip()]
        extents = [text.get_window_extent(renderer).extents * scale for text in shown]
        self.boxes = [
            Box(t.get_text(), *map(float, e)) for t, e in zip(shown, extents, strict=True)
        ]


def saved(ax: Axes, kind: str) -> tuple[bytes, list[Box], tuple[float, float]]:
    """The file, every text as its backend drew it, and the page's size in points."""
    witness = _Witness(ax)
    ax.add_artist(witness)
    buffer = io.BytesIO()
    with journal_style():
        ax.figure.savefig(buffer, format=kind, dpi=200)
    witness.remove()
    return buffer.getvalue(), witness.boxes, witness.page


def assert_apart(boxes: list[Box], page: tuple[float, float]) -> None:
    """No text covers another, none leaves the page."""
    assert boxes
    for box in boxes:
        inside = min(box.x0, box.y0, page[0] - box.x1, page[1] - box.y1) >= -ROUNDING
        assert inside, f"{box} is cropped by a page of {page}"
    for first, second in combinations(boxes, 2):
        assert first.overlap(second) <= ROUNDING, f"{first} covers {second}"


def assert_readable(ax: Axes, kind: str) -> None:
    """Legible as the backend draws it, and in the file itself."""
    content, boxes, page = saved(ax, kind)
    assert_apart(boxes, page)
    if kind == "png":
        assert_white_border(content)
    if kind == "svg":
        assert_apart(list(svg_text(content)), page)
    if kind == "pdf" and shutil.which("pdftotext"):
        assert_apart(pdf_words(content), page)


def assert_white_border(png: bytes) -> None:
    """Nothing touches the edge, where it would be cut off."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert edge.min() == 255


def svg_text(svg: bytes) -> Iterator[Box]:
    """The ink of every <text> of an SVG file."""
    for element in ET.fromstring(svg).iter(f"{_SVG}text"):  # noqa: S314 - our own file
        text, style = "".join(element.itertext()), element.get("style", "")
        x, y = _position(element)
        size = float(re.search(r"font-size: ([\d.]+)px", style)[1])  # type: ignore[index]
        families = re.findall(r"'([^']+)'", style)
        ink = TextPath((0, 0), text, size=size, prop=FontProperties(family=families))
        box = ink.get_extents()
        if "anchor: middle" in style:
            x -= (box.x0 + box.x1) / 2
        elif "anchor: end" in style:
            x -= box.x1
        yield Box(text, x + box.x0, y - box.y1, x + box.x1, y - box.y0)


def _position(element: ET.Element) -> tuple[float, float]:
    if element.get("x") is not None:
        return float(element.get("x", "nan")), float(element.get("y", "nan"))
    found = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
    assert found is not None
    return float(found[1]), float(found[2])


def pdf_words(pdf: bytes) -> list[Box]:
    """Words of a PDF file as poppler finds them; their height is cut to the letters' own."""
    command = [shutil.which("pdftotext") or "", "-bbox", "-", "-"]
    found = subprocess.run(command, input=pdf, capture_output=True, check=True).stdout  # noqa: S603
    boxes = []
    for word in re.findall(
        rb'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)<', found
    ):
        x0, y0, x1, y1 = map(float, word[:4])
        trimmed = 0.12 * (y1 - y0)
        boxes.append(Box(word[4].decode(), x0, y0 + trimmed, x1, y1 - trimmed))
    if not boxes:
        pytest.fail("poppler found no text in the PDF")
    return boxes
