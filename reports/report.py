"""The report: one page that holds everything, opens anywhere, and loads nothing."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.files import atomic_write_text, slug
from reports.tables.table import Table
from reports.templating import page_environment
from reports.text import Link, Paragraph, Value
from usstats.errors import ArgumentError

__all__ = [
    "Block",
    "Bullets",
    "KeyResult",
    "ReportContent",
    "ReportFigure",
    "Section",
    "render_report",
    "report_html",
]

WIDE_MM = 120.0
SYNTHETIC_BANNER = (
    "SYNTHETIC DATA. Every patient and image of this study was made by a program. No number of "
    "this report is a clinical finding."
)
FOOT = "Research use only; not a medical device."
_MEDIA_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class ReportFigure:
    """A picture with its caption.

    Attributes
    ----------
    id : str
    title : str
        What it shows.
    image : bytes
    media_type : {"image/png", "image/svg+xml"}
    alt : str
        What a reader who cannot see it should know.
    legend : Paragraph or None
        Sample, method, abbreviations.
    label : str
        For example `Figure 1`.
    width_mm : float
        The printed width; a page shows it at most this wide, enlarged for the screen.
    raster : bytes
        The same picture as PNG, for documents that show no SVG.
    """

    id: str
    title: str
    image: bytes
    media_type: str
    alt: str
    legend: Paragraph | None = None
    label: str = ""
    width_mm: float = 84.0
    raster: bytes = b""

    def __post_init__(self) -> None:
        if self.media_type not in _MEDIA_TYPES.values():
            known = ", ".join(_MEDIA_TYPES.values())
            msg = f"`media_type` must be one of {known}; got {self.media_type!r}."
            raise ArgumentError(msg)

    @classmethod
    def from_file(cls, path: str | Path, **values: Any) -> ReportFigure:
        """Read a PNG or SVG file; the PNG of the same name beside an SVG is its raster.

        Raises
        ------
        ArgumentError
            A file of another kind.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in _MEDIA_TYPES:
            msg = f"`path` must be a .png or .svg file; got {Path(path).name!r}."
            raise ArgumentError(msg)
        twin = Path(path).with_suffix(".png")
        found: dict[str, Any] = {
            "image": Path(path).read_bytes(),
            "raster": twin.read_bytes() if twin.is_file() else b"",
        }
        return cls(media_type=_MEDIA_TYPES[suffix], **(found | values))

    @property
    def is_wide(self) -> bool:
        """Whether a phone should let it scroll sideways instead of shrinking it."""
        return self.width_mm > WIDE_MM

    @property
    def data_uri(self) -> str:
        """The image inside the page."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.image).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list of short paragraphs."""

    items: tuple[Paragraph, ...]


Block = Paragraph | Bullets | Table | ReportFigure


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it, in reading order."""

    heading: str
    blocks: tuple[Block, ...] = ()
    #: Whether it lists what only the author can say; shown as a thing still to be done.
    for_author: bool = False

    @property
    def id(self) -> str:
        """Anchor of the section."""
        return slug(self.heading.lower().replace(" ", "-"))


@dataclass(frozen=True, kw_only=True)
class KeyResult:
    """One line of the summary at the top: what was measured, the number, and its sample."""

    label: str
    value: Value
    detail: Paragraph | None = None


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything a report says.

    Attributes
    ----------
    title : str
    synthetic : bool
        Puts a banner on every page that nothing here was measured.
    key_results : tuple of KeyResult
    sections : tuple of Section
    summary : tuple of Paragraph
        One or two sentences under the title.
    provenance : tuple of (str, Value)
        Versions, seeds, hashes.
    source : str
        Where the data come from, with their licence.
    italics : tuple of str
        Symbols set in italics, see `reports.markup`.
    """

    title: str
    synthetic: bool
    key_results: tuple[KeyResult, ...] = ()
    sections: tuple[Section, ...] = ()
    summary: tuple[Paragraph, ...] = ()
    provenance: tuple[tuple[str, Value], ...] = ()
    source: str = ""
    italics: tuple[str, ...] = ()


def report_html(content: ReportContent) -> str:
    """Return the page: no script, no network, every picture inside.

    Parameters
    ----------
    content : ReportContent

    Examples
    --------
    >>> page = report_html(ReportContent(title="A <study>", synthetic=True))
    >>> "A &lt;study&gt;" in page, "SYNTHETIC" in page, "<script" in page
    (True, True, False)
    """
    template = page_environment().get_template("report.html")
    return template.render(content=content, kind=_kind, banner=SYNTHETIC_BANNER, foot=FOOT)


def render_report(content: ReportContent, path: str | Path) -> Path:
    """Write the page.

    Parameters
    ----------
    content : ReportContent
    path : str or Path
    """
    return atomic_write_text(path, report_html(content))


def _kind(block: Block | str | Value | Link) -> str:
    """The name of a block's class, by which the template chooses how to show it."""
    return type(block).__name__
