"""The report as a Word document: the same text, numbers, tables and figures as the page.

A number is a link whose tip names its result; it leads to the list of results at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_COLOR_INDEX
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

from reports.files import atomic_write_bytes, clean_text
from reports.markup import italic_runs
from reports.report import (
    FOOT,
    SYNTHETIC_BANNER,
    Block,
    Bullets,
    ReportContent,
    ReportFigure,
    Section,
)
from reports.tables.table import Table
from reports.tables.word import add_table
from reports.text import Link, Paragraph, Value
from reports.word import (
    add_field,
    document_bytes,
    new_document,
    page_room,
    set_heading,
    set_orientation,
    start_section,
)
from usstats.errors import ArgumentError

if TYPE_CHECKING:
    from docx.document import Document as DocumentObject
    from docx.text.paragraph import Paragraph as WordParagraph
    from docx.text.run import Run

__all__ = ["SOURCES_HEADING", "render_document", "report_docx"]

SOURCES_HEADING = "Results behind the numbers"
TEXT_PT, SMALL_PT = 10.5, 8
_TALLEST_MM = 205.0
_LONGEST_TIP = 250
_SOURCES_TEXT = "File of the run folder, row and column, in the order of their first use."


def report_docx(content: ReportContent) -> bytes:
    """Return the document; the same content gives the same bytes.

    Parameters
    ----------
    content : ReportContent

    Raises
    ------
    ArgumentError
        A figure without a raster image: Word shows no SVG.

    Examples
    --------
    >>> report_docx(ReportContent(title="A study", synthetic=False))[:2]
    b'PK'
    """
    return document_bytes(_Writer(content).written())


def render_document(content: ReportContent, path: str | Path) -> Path:
    """Write the document.

    Parameters
    ----------
    content : ReportContent
    path : str or Path
    """
    return atomic_write_bytes(path, report_docx(content))


class _Writer:
    """Puts one report into one document."""

    def __init__(self, content: ReportContent) -> None:
        self.content = content
        self.document = new_document(content.title, body_pt=TEXT_PT)
        self.sources: dict[str, str] = {}
        self.is_landscape = False

    def written(self) -> DocumentObject:
        """The whole document."""
        _set_styles(self.document)
        self._head_and_foot()
        self._front()
        for section in self.content.sections:
            self._section(section)
        self._provenance()
        self._sources()
        return self.document

    def _front(self) -> None:
        content = self.content
        if content.synthetic:
            banner = self._paragraph()
            self._add(banner, SYNTHETIC_BANNER, lambda run: _set(run, bold=True))
            _frame(banner)
        self.document.add_paragraph(clean_text(content.title), style="Title")
        for text in content.summary:
            self._write(text)
        if content.source:
            self._add(self._paragraph(), content.source, lambda run: _set(run, italic=True))
        if content.key_results:
            self._heading("Key results")
        for item in content.key_results:
            detail = () if item.detail is None else ("; ", *item.detail.parts)
            self._write(Paragraph((f"{item.label}: ", item.value, *detail)), style="List Bullet")

    def _section(self, section: Section) -> None:
        self._turn(landscape=False)
        self._heading(section.heading)
        for block in section.blocks:
            self._block(block, for_author=section.for_author)

    def _block(self, block: Block, *, for_author: bool) -> None:
        self._turn(landscape=isinstance(block, Table) and block.is_wide)
        if isinstance(block, Table):
            add_table(self.document, block)
            self._gap(block)
        elif isinstance(block, ReportFigure):
            self._figure(block)
        elif isinstance(block, Bullets):
            for item in block.items:
                self._write(item, style="List Bullet", marked=for_author)
        else:
            self._write(block, marked=for_author or block.for_author)

    def _figure(self, figure: ReportFigure) -> None:
        holder = self.document.add_paragraph()
        holder.alignment = WD_ALIGN_PARAGRAPH.LEFT
        holder.paragraph_format.keep_with_next = True
        picture = holder.add_run().add_picture(BytesIO(_raster_of(figure)))
        _fit(picture, min(Mm(figure.width_mm), page_room(self.document)))
        properties = picture._inline.docPr
        properties.set("descr", clean_text(figure.alt))
        properties.set("name", clean_text(figure.label or figure.id))
        caption = self.document.add_paragraph(style="Caption")
        if figure.label:
            self._add(caption, f"{figure.label}. ", lambda run: _set(run, bold=True))
        self._add(caption, figure.title, lambda run: _set(run, bold=False))
        if figure.legend is not None:
            self._parts(caption, (" ", *figure.legend.parts), lambda run: _set(run, bold=False))
        caption.paragraph_format.space_after = Pt(10)

    def _provenance(self) -> None:
        self._turn(landscape=False)
        if self.content.provenance:
            self._heading("Provenance")
        for name, value in self.content.provenance:
            self._write(Paragraph((f"{name}: ", value)))

    def _sources(self) -> None:
        """One line a result; the links of the text lead here."""
        if not self.sources:
            return
        self._heading(SOURCES_HEADING)
        self._write(Paragraph((_SOURCES_TEXT,)))
        for number, (key, name) in enumerate(self.sources.items()):
            line = self._paragraph()
            line.paragraph_format.space_after = Pt(0)
            _bookmark(line, name, number)
            self._add(line, key, lambda run: _set(run, size=SMALL_PT))

    def _write(self, text: Paragraph, *, style: str | None = None, marked: bool = False) -> None:
        paragraph = self._paragraph(style)

        def look(run: Run) -> None:
            if marked:
                run.font.highlight_color = WD_COLOR_INDEX.YELLOW

        self._parts(paragraph, text.parts, look)

    def _parts(
        self,
        paragraph: WordParagraph,
        parts: Sequence[str | Value | Link],
        look: Callable[[Run], None],
    ) -> None:
        for part in parts:
            if isinstance(part, Value):
                _link(self._add(paragraph, part.text, look), *self._source(part))
            elif isinstance(part, Link):
                _link_file(self._add(paragraph, part.text, look), part.path)
            else:
                self._add(paragraph, part, look)

    def _add(self, paragraph: WordParagraph, text: str, look: Callable[[Run], None]) -> list[Run]:
        runs = []
        for part, is_symbol in italic_runs(clean_text(text), self.content.italics):
            run = paragraph.add_run(part)
            look(run)
            if is_symbol:
                run.italic = True
            runs.append(run)
        return runs

    def _source(self, value: Value) -> tuple[str, str]:
        """Bookmark and name of a value's result."""
        name = self.sources.setdefault(value.result, f"result_{len(self.sources) + 1}")
        return name, value.result

    def _paragraph(self, style: str | None = None) -> WordParagraph:
        paragraph = self.document.add_paragraph(style=style)
        paragraph.paragraph_format.space_after = Pt(3 if style else 6)
        return paragraph

    def _heading(self, text: str) -> None:
        self.document.add_heading(clean_text(text), level=1)

    def _gap(self, table: Table) -> None:
        """Space below a table: under its notes, or as a line of its own where it has none."""
        last = self.document.paragraphs[-1] if table.lines_below else self._paragraph()
        last.paragraph_format.space_after = Pt(12 if table.lines_below else 0)

    def _turn(self, *, landscape: bool) -> None:
        if landscape != self.is_landscape:
            start_section(self.document, landscape=landscape)
            self.is_landscape = landscape

    def _head_and_foot(self) -> None:
        section = self.document.sections[0]
        set_orientation(section, landscape=False)
        if self.content.synthetic:
            head = section.header.paragraphs[0]
            self._add(head, "SYNTHETIC DATA", lambda run: _set(run, bold=True, size=SMALL_PT))
        foot = section.footer.paragraphs[0]
        self._add(foot, f"{FOOT} Page ", lambda run: _set(run, size=SMALL_PT))
        add_field(foot, "PAGE", points=SMALL_PT)


def _set_styles(document: DocumentObject) -> None:
    styles = document.styles
    for name, points in (("Title", 18), ("Heading 1", 14)):
        set_heading(styles[name], points)
    for name in ("List Bullet", "Header", "Footer"):
        styles[name].font.size = Pt(TEXT_PT)
    border = styles["Title"].element.pPr.find(qn("w:pBdr"))
    if border is not None:
        styles["Title"].element.pPr.remove(border)


def _set(
    run: Run, *, bold: bool | None = None, italic: bool | None = None, size: float | None = None
) -> None:
    run.bold, run.italic = bold, italic
    if size is not None:
        run.font.size = Pt(size)


def _raster_of(figure: ReportFigure) -> bytes:
    if figure.raster:
        return figure.raster
    if figure.media_type == "image/png":
        return figure.image
    msg = (
        f"Figure {figure.id!r} is an SVG, which Word does not show; give its PNG as `raster` "
        "(`ReportFigure.from_file` finds a PNG of the same name)."
    )
    raise ArgumentError(msg)


def _fit(picture: object, width: int) -> None:
    """The printed width, less where the page is not high enough."""
    shape = picture
    ratio = shape.height / shape.width  # type: ignore[attr-defined]
    wide = min(width, int(Mm(_TALLEST_MM) / ratio))
    shape.width, shape.height = wide, int(wide * ratio)  # type: ignore[attr-defined]


def _link(runs: Sequence[Run], bookmark: str, tip: str) -> None:
    """Wrap runs in a link to a bookmark of the same document."""
    link = OxmlElement("w:hyperlink")
    link.set(qn("w:anchor"), bookmark)
    link.set(qn("w:tooltip"), clean_text(tip)[:_LONGEST_TIP])
    runs[0]._r.addprevious(link)
    for run in runs:
        link.append(run._r)


def _link_file(runs: Sequence[Run], path: str) -> None:
    """Wrap runs in a link to a file beside the document."""
    link = OxmlElement("w:hyperlink")
    target = runs[0].part.relate_to(path, RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
    link.set(qn("r:id"), target)
    runs[0]._r.addprevious(link)
    for run in runs:
        run.font.underline = True
        link.append(run._r)


def _bookmark(paragraph: WordParagraph, name: str, number: int) -> None:
    for kind in ("bookmarkStart", "bookmarkEnd"):
        mark = OxmlElement(f"w:{kind}")
        mark.set(qn("w:id"), str(number))
        if kind == "bookmarkStart":
            mark.set(qn("w:name"), name)
        paragraph._p.append(mark)


def _frame(paragraph: WordParagraph) -> None:
    """A line all round a paragraph."""
    borders = OxmlElement("w:pBdr")
    for edge in ("top", "left", "bottom", "right"):
        line = OxmlElement(f"w:{edge}")
        for name, value in (("val", "single"), ("sz", "8"), ("space", "4"), ("color", "000000")):
            line.set(qn(f"w:{name}"), value)
        borders.append(line)
    paragraph._p.get_or_add_pPr().append(borders)
