"""Colours, line styles, markers and sizes shared by every chart, without touching global state.

Colours alone never carry meaning: each series has its own line style and marker, so that a grey
print still works. matplotlib is imported when a style is applied, not when this module is read.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito (2008), yellow last because it is faint on white paper.
OKABE_ITO = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2, 5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: For references such as the chance line or "treat none".
REFERENCE_GREY = "#7F7F7F"

MM_PER_INCH = 25.4
COLUMN_WIDTH_MM = 84.0
_FONTS = ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans")
_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def series_style(i: int) -> dict[str, Any]:
    """Colour, line style and marker of series `i`, by position and the same in every chart.

    Examples
    --------
    >>> series_style(0)
    {'color': '#0072B2', 'linestyle': '-', 'marker': 'o'}
    """
    return {
        "color": OKABE_ITO[i % len(OKABE_ITO)],
        "linestyle": LINE_STYLES[i % len(LINE_STYLES)],
        "marker": MARKERS[i % len(MARKERS)],
    }


def line_style(i: int) -> dict[str, Any]:
    """`series_style` without the marker, for curves of many points."""
    style = series_style(i)
    del style["marker"]
    return style


def curve_style(i: int, *, n_curves: int) -> dict[str, Any]:
    """`line_style`, with a few open markers along the way where several curves are drawn.

    Examples
    --------
    >>> "marker" in curve_style(0, n_curves=1), curve_style(1, n_curves=2)["marker"]
    (False, 's')
    """
    if n_curves == 1:
        return line_style(i)
    along = {"markevery": (0.05 * (i % len(MARKERS) + 1), 0.25), "markersize": 3.4}
    return series_style(i) | along | {"markerfacecolor": "white", "markeredgewidth": 0.8}


def plain(text: object, *, width: int = 32, longest: int = 200) -> str:
    r"""Text from a user's table, made harmless as a label and wrapped.

    Dollar signs start no formula, control characters and lone surrogates become U+FFFD, marks
    that reverse the reading direction are removed, and a leading underscore does not hide a
    legend entry.

    Parameters
    ----------
    text : object
        Whatever stands in the cell.
    width : int
        Characters a line.
    longest : int
        Characters in all; the rest is replaced by an ellipsis.

    Examples
    --------
    >>> plain("price in $ and $")
    'price in \\$ and \\$'
    >>> plain("a" * 40, width=20)
    'aaaaaaaaaaaaaaaaaaaa\naaaaaaaaaaaaaaaaaaaa'
    """
    words = " ".join(str(text).split())
    clean = "".join(_safe(character) for character in words if character not in _BIDI_CONTROLS)
    if len(clean) > longest:
        clean = clean[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
    wrapped = "\n".join(textwrap.wrap(clean, width=width)) or " "
    shown = f" {wrapped}" if wrapped.startswith("_") else wrapped
    return shown.replace("\\$", "$").replace("$", "\\$")


def rounded(value: float, decimals: int = 2) -> str:
    """A number as a figure shows it: half up on its digits, a true minus, and none before a zero.

    Examples
    --------
    >>> rounded(0.045), rounded(-0.004), rounded(-1.5, 1)
    ('0.05', '0.00', '\N{MINUS SIGN}1.5')
    """
    if not math.isfinite(value):
        return "\N{EN DASH}"
    shown = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{abs(shown) if shown == 0 else shown:f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share as a whole percentage that is 0 or 100 only where it is exactly so.

    Examples
    --------
    >>> percent(0.125), percent(0.999), percent(1.0), percent(0.001)
    ('13%', '>99%', '100%', '<1%')
    """
    shown = rounded(100 * share, 0)
    if shown == "100" and share < 1:
        return ">99%"
    return "<1%" if shown == "0" and share > 0 else f"{shown}%"


def _safe(character: str) -> str:
    unprintable = unicodedata.category(character) in {"Cc", "Cs"}
    return "\N{REPLACEMENT CHARACTER}" if unprintable else character


@contextmanager
def journal_style(*, font_size: float = 8.0) -> Iterator[None]:
    """Journal type and line widths inside the block; the caller's settings return afterwards.

    Wrap saving in it too: it embeds TrueType fonts in PDF and keeps text as text in SVG.

    Parameters
    ----------
    font_size : float
        Points of axis labels; ticks and legends are one point smaller (never below 6).
    """
    import matplotlib as mpl

    with mpl.rc_context(_settings(font_size)):
        yield


def _settings(font_size: float) -> dict[str, Any]:
    small = max(font_size - 1.0, 6.0)
    return {
        "font.family": "sans-serif",
        "font.sans-serif": _available_fonts(),
        "font.size": font_size,
        "axes.labelsize": font_size,
        "axes.titlesize": font_size,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
        "legend.frameon": False,
        "legend.handlelength": 2.6,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "savefig.dpi": 300,
    }


def _available_fonts() -> list[str]:
    """The journal's fonts that exist here, DejaVu Sans always, then those of other scripts."""
    from matplotlib.font_manager import fontManager

    from usstats.plots._fonts import with_cjk

    installed = {font.name for font in fontManager.ttflist}
    return with_cjk([name for name in _FONTS if name in installed])


def new_axes(
    ax: Axes | None = None,
    *,
    width_mm: float = COLUMN_WIDTH_MM,
    height_mm: float | None = None,
) -> Axes:
    """Return `ax`, or fresh axes on a figure that pyplot does not know of.

    Parameters
    ----------
    ax : Axes, optional
    width_mm, height_mm : float
        Size of a new figure; the height is the width where it is not given.
    """
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width_mm / MM_PER_INCH, (height_mm or width_mm) / MM_PER_INCH)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()
