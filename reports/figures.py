"""Figures as a journal wants them: exact width, fonts kept as fonts, the same bytes every time."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from reports.figure_presets import FIGURE_PRESETS, FigurePreset, figure_preset
from reports.files import atomic_write_bytes, slug
from usstats._check import check_option
from usstats.errors import ArgumentError, MissingGlyphWarning
from usstats.plots._fonts import advice, quiet_about_glyphs, undrawable, with_cjk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = [
    "FIGURE_FORMATS",
    "FIGURE_PRESETS",
    "FigureFiles",
    "FigurePreset",
    "figure_preset",
    "letter_panels",
    "panel_letters",
    "save_figure",
]

FIGURE_FORMATS = ("pdf", "svg", "png")
MM_PER_INCH = 25.4
_BASE_FONT = re.compile(rb"/BaseFont\s*/(?:[A-Z]{6}\+)?([^\s/<>\[\]()]+)")


@dataclass(frozen=True, kw_only=True)
class FigureFiles:
    """Where a figure was written, and what is really in it.

    Attributes
    ----------
    paths : mapping of str to Path
        Format -> path.
    fonts : tuple of str
        PostScript names of the fonts embedded in the PDF, read back from the file.
    width_mm, height_mm : float
    dpi : int
    preset : str
    """

    paths: Mapping[str, Path]
    fonts: tuple[str, ...]
    width_mm: float
    height_mm: float
    dpi: int
    preset: str

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths.values())

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]

    def record(self) -> dict[str, Any]:
        """What a manifest keeps of this figure."""
        return {
            "files": sorted(path.name for path in self.paths.values()),
            "fonts": list(self.fonts),
            "width_mm": round(self.width_mm, 2),
            "height_mm": round(self.height_mm, 2),
            "dpi": self.dpi,
            "preset": self.preset,
        }


def save_figure(
    fig: Figure | Axes,
    folder: str | Path,
    name: str,
    preset: str | FigurePreset = "springer",
    *,
    width: str | float = "single",
    kind: str = "line",
    formats: Sequence[str] = FIGURE_FORMATS,
) -> FigureFiles:
    """Write a figure at the exact width of a journal's column.

    The height keeps the figure's proportions; nothing is cropped. The figure itself is left as
    it was. Two runs write the same bytes.

    Parameters
    ----------
    fig : Figure or Axes
        Axes stand for the figure they are on: what a result's `plot` returns.
    folder : str or Path
    name : str
        File name without its ending.
    preset : str or FigurePreset
    width : {"single", "double"} or float
        A number is millimetres.
    kind : {"line", "combination", "halftone"}
        Chooses the resolution of the raster formats.
    formats : sequence of {"pdf", "svg", "png", "tiff"}

    Returns
    -------
    FigureFiles

    Raises
    ------
    ArgumentError
        An unknown option, or text smaller than the preset's least size.
    """
    rules, fig = figure_preset(preset), _figure_of(fig)
    for item in formats:
        check_option(item, (*FIGURE_FORMATS, "tiff"), name="formats")
    with _drawn_for(fig, rules, rules.width_mm(width)):
        _check_text_size(fig, rules)
        _check_glyphs(fig, rules)
        dpi = rules.dpi(kind)
        content = {item: _rendered(fig, item, dpi) for item in dict.fromkeys(("pdf", *formats))}
        if "svg" in content:
            content["svg"] = _preferring(content["svg"], rules.fonts)
        width_mm, height_mm = (float(side) * MM_PER_INCH for side in fig.get_size_inches())
    stem = Path(folder) / slug(name)
    paths = {
        item: atomic_write_bytes(stem.with_name(f"{stem.name}.{item}"), content[item])
        for item in formats
    }
    return FigureFiles(
        paths=paths,
        fonts=_embedded_fonts(content["pdf"]),
        width_mm=width_mm,
        height_mm=height_mm,
        dpi=dpi,
        preset=rules.name,
    )


def letter_panels(
    axes: Sequence[Axes], preset: str | FigurePreset = "springer", *, size: float = 9.0
) -> None:
    """Put a bold letter at the top left of each panel, in the preset's case."""
    for letter, ax in zip(panel_letters(len(axes), preset), axes, strict=True):
        ax.annotate(
            letter,
            xy=(0, 1),
            xycoords="axes fraction",
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=size,
            fontweight="bold",
        )


def panel_letters(count: int, preset: str | FigurePreset = "springer") -> list[str]:
    """Letters of panels in the preset's case.

    >>> panel_letters(3), panel_letters(2, "radiology")
    (['a', 'b', 'c'], ['A', 'B'])
    """
    upper = figure_preset(preset).panel_case == "upper"
    letters = [_letters(position) for position in range(count)]
    return [letter.upper() for letter in letters] if upper else letters


def _letters(position: int) -> str:
    """a to z, then aa to zz."""
    first, last = divmod(position, len(ascii_lowercase))
    return (ascii_lowercase[first - 1] if first else "") + ascii_lowercase[last]


def _figure_of(drawn: Figure | Axes) -> Figure:
    from matplotlib.figure import Figure as AnyFigure

    figure = drawn if isinstance(drawn, AnyFigure) else getattr(drawn, "figure", None)
    if not isinstance(figure, AnyFigure):
        msg = f"`fig` must be a matplotlib Figure or Axes; got {type(drawn).__name__}."
        raise ArgumentError(msg)
    return figure


@contextmanager
def _drawn_for(fig: Figure, rules: FigurePreset, width_mm: float) -> Iterator[None]:
    """The figure at its printed width with the journal's fonts; both restored afterwards."""
    import matplotlib as mpl

    size = fig.get_size_inches().copy()
    settings: Any = {
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "usstats",
        "font.family": ["sans-serif"],
        "font.sans-serif": _installed(rules.fonts),
        "savefig.bbox": None,
    }
    with mpl.rc_context(settings):
        try:
            fig.set_size_inches(width_mm / MM_PER_INCH, width_mm / MM_PER_INCH * size[1] / size[0])
            with quiet_about_glyphs():
                yield
        finally:
            fig.set_size_inches(*size)


def _installed(fonts: Sequence[str]) -> list[str]:
    """The fonts of a list that this machine has, the fallback always last."""
    from matplotlib.font_manager import fontManager

    known = set(fontManager.get_font_names())
    return with_cjk([font for font in dict.fromkeys((*fonts, "DejaVu Sans")) if font in known])


def _texts(fig: Figure) -> list[Text]:
    """What is written in a figure and seen."""
    from matplotlib.text import Text as AnyText

    texts = fig.findobj(AnyText)
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def _check_glyphs(fig: Figure, rules: FigurePreset) -> None:
    """Say once which characters no font has; an SVG keeps them, for whoever has the font."""
    missing = undrawable((text.get_text() for text in _texts(fig)), _installed(rules.fonts))
    if missing:
        warnings.warn(advice(missing), MissingGlyphWarning, stacklevel=3)


def _check_text_size(fig: Figure, rules: FigurePreset) -> None:
    small = {
        text.get_text(): text.get_fontsize()
        for text in _texts(fig)
        if text.get_fontsize() < rules.least_font_pt
    }
    if small:
        first, size = next(iter(small.items()))
        msg = (
            f"{len(small)} texts of the figure are smaller than {rules.least_font_pt:g} pt "
            f"(first: {first!r}, {size:g} pt); preset {rules.name!r} would not print them legibly."
        )
        raise ArgumentError(msg)


def _rendered(fig: Figure, item: str, dpi: int) -> bytes:
    """The figure's bytes in one format, without a date and without a program's name."""
    buffer = BytesIO()
    if item == "tiff":
        fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        return _flat_tiff(buffer, dpi)
    metadata = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }[item]
    fig.savefig(buffer, format=item, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def _preferring(svg: bytes, fonts: Sequence[str]) -> bytes:
    """Name the journal's fonts first in an SVG: whoever opens it may have what we had not."""
    wanted = ", ".join(f"'{font}'" for font in fonts)
    return re.sub(rb"font-family: ('[^;\"]*)", f"font-family: {wanted}, sans-serif".encode(), svg)


def _flat_tiff(png: BytesIO, dpi: int) -> bytes:
    """RGB on white with LZW compression: publishers refuse an alpha channel."""
    from PIL import Image

    buffer = BytesIO()
    with Image.open(png) as image:
        white = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    flat.save(buffer, format="TIFF", compression="tiff_lzw", dpi=(dpi, dpi))
    return buffer.getvalue()


def _embedded_fonts(pdf: bytes) -> tuple[str, ...]:
    """PostScript names as the PDF holds them: what was asked for may not be installed."""
    return tuple(sorted({match.decode("latin-1") for match in _BASE_FONT.findall(pdf)}))
