"""An Axes measured in points (1/72 inch), with the fonts and sizes to write in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usstats.errors import MissingGlyphWarning, UsstatsWarning
from usstats.plots._fonts import advice, drawable, with_cjk
from usstats.plots._labels import Measure, wrap
from usstats.plots.style import MM_PER_INCH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS_PER_MM = 72 / MM_PER_INCH
SMALLEST_FONT = 6.0
#: Characters of a label and of a note; the rest is left out.
LONGEST_LABEL, LONGEST_NOTE = 200, 2000


@dataclass
class Pen:
    """Lines and texts on an Axes whose data coordinates are points, the origin top left."""

    ax: Axes
    owner: bool
    width: float
    families: list[str]
    large_size: float
    small_size: float
    small: Measure
    large: Measure
    height: float = 0.0
    missing: dict[str, None] = field(default_factory=dict)

    @classmethod
    def on(cls, ax: Axes | None, width_mm: float, font_size: float) -> Pen:
        """A pen on the given axes, or on those of a new figure."""
        import matplotlib as mpl

        families = with_cjk(list(mpl.rcParams["font.sans-serif"]))
        owner = ax is None
        own = _fresh_axes(width_mm) if ax is None else ax
        if not owner:
            _figure(own).draw_without_rendering()
        sizes = max(font_size, SMALLEST_FONT), max(font_size - 1, SMALLEST_FONT)
        box = own.get_window_extent()
        scale = 72 / own.figure.dpi
        return cls(
            ax=own,
            owner=owner,
            width=float(box.width * scale),
            height=float(box.height * scale),
            families=families,
            large_size=sizes[0],
            small_size=sizes[1],
            large=_measure(own, families, sizes[0]),
            small=_measure(own, families, sizes[1]),
        )

    def open(self, height: float) -> None:
        """Give the axes their extent; a figure of our own gets the height it needs."""
        if self.owner:
            _figure(self.ax).set_size_inches(self.width / 72, height / 72)
        elif height > self.height * 1.001:
            need = height / POINTS_PER_MM
            msg = (
                f"These axes are {self.height / POINTS_PER_MM:.0f} mm high and the nomogram needs "
                f"{need:.0f} mm; labels may touch. Draw on higher axes, or pass none."
            )
            warnings.warn(msg, UsstatsWarning, stacklevel=3)
        self.ax.set(xlim=(0, self.width), ylim=(height, 0))
        self.ax.set_axis_off()

    def line(self, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
        """A line, or a marker."""
        style = {"color": "black", "linewidth": 0.7, "solid_capstyle": "butt", **style}
        self.ax.plot(x, y, clip_on=False, **style)

    def fill(self, x: NDArray[Any], y: NDArray[Any], base: float, colour: str) -> None:
        """The area between an outline and a horizontal."""
        self.ax.fill_between(
            x, y, np.full_like(y, base), color=colour, alpha=0.6, linewidth=0, clip_on=False
        )

    def text(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        """A text."""
        style = {"ha": "center", "linespacing": 1.1, "clip_on": False, **style}
        self.ax.text(x, y, text, fontsize=size, fontfamily=self.families, **style)

    def drawable(self, text: str, longest: int = LONGEST_LABEL) -> str:
        """A label without characters that no font has; they are remembered."""
        shown, missing = drawable(text, self.families, longest=longest)
        self.missing |= dict.fromkeys(missing)
        return shown

    def wrapped(self, text: str, margin: float) -> str:
        """A note broken so that it fits under the axes."""
        safe = self.drawable(text, LONGEST_NOTE)
        fits = (wrap(safe, n) for n in range(160, 10, -4))
        return next((t for t in fits if self.small(t)[0] <= self.width - 2 * margin), safe)

    def warn_of_missing_glyphs(self) -> None:
        """Say which characters were drawn as empty squares, and which font has them."""
        if self.missing:
            warnings.warn(advice("".join(self.missing)), MissingGlyphWarning, stacklevel=3)


def _figure(ax: Axes) -> Any:
    return ax.get_figure(root=True)


def _fresh_axes(width_mm: float) -> Axes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_mm / MM_PER_INCH, width_mm / MM_PER_INCH))
    FigureCanvasAgg(figure)
    return figure.add_axes((0, 0, 1, 1))


def _measure(ax: Axes, families: list[str], size: float) -> Measure:
    """Width and height of a text on this canvas, in points."""
    figure = ax.figure
    scale = 72 / figure.dpi

    @cache
    def measure(text: str) -> tuple[float, float]:
        probe = figure.text(0, 0, text, fontsize=size, fontfamily=families, linespacing=1.1)
        box = probe.get_window_extent()
        probe.remove()
        return float(box.width * scale), float(box.height * scale)

    return measure
