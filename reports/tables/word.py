"""Tables in Word: real tables an editor can work on, not pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Emu, Pt

from reports.markup import italic_runs
from reports.tables.table import Table
from reports.word import (
    TABLE_STYLE,
    TABLE_STYLE_ID,
    document_bytes,
    new_document,
    page_room,
    set_orientation,
    start_section,
)

if TYPE_CHECKING:
    from docx.document import Document as DocumentObject
    from docx.table import Table as WordTable
    from docx.table import _Cell, _Row
    from docx.text.paragraph import Paragraph

__all__ = ["add_table", "docx_bytes"]

NOTE_PT, INDENT_PT, CHARACTER_PT = 8, 10, 4.6
#: A digit of the tables' font.
DIGIT_PT = 5.0
#: Twentieths of a point left and right of a cell's text.
_CELL_MARGIN = 60
#: A table of at most so many rows is kept on one page.
_KEPT_TOGETHER = 30


def docx_bytes(*tables: Table) -> bytes:
    """One Word document with a page for each table; the same tables give the same bytes.

    Examples
    --------
    >>> table = Table(id="t", title="AUC", columns=("Model", "AUC"), rows=(("Nomogram", "0.91"),))
    >>> docx_bytes(table) == docx_bytes(table)
    True
    """
    document = new_document(tables[0].caption)
    for position, table in enumerate(tables):
        if position:
            start_section(document, landscape=table.is_wide)
        else:
            set_orientation(document.sections[-1], landscape=table.is_wide)
        add_table(document, table)
    return document_bytes(document)


def add_table(document: DocumentObject, table: Table) -> None:
    """Caption, table and what stands below it, at the end of a document."""
    _add_caption(document, table)
    grid = document.add_table(rows=0, cols=len(table.columns))
    grid.alignment = WD_TABLE_ALIGNMENT.LEFT
    _set_cell_margins(grid)
    _fill_header(grid.add_row(), table)
    for position, cells in enumerate(table.rows):
        _fill_row(grid.add_row(), table, cells, table.indent[position])
    _set_widths(grid, table, page_room(document))
    _rule(grid.rows[0], "top", 8)
    _rule(grid.rows[0], "bottom", 4)
    if table.rows:
        _rule(grid.rows[-1], "bottom", 8)
    if len(table.rows) <= _KEPT_TOGETHER:
        _keep_together(grid, until_notes=bool(table.lines_below))
    for position, text in enumerate(table.lines_below, start=1):
        note = _add_note(document, text, table.italics)
        note.paragraph_format.keep_with_next = position < len(table.lines_below)


def _add_caption(document: DocumentObject, table: Table) -> None:
    caption = document.add_paragraph(style="Caption")
    if table.label:
        caption.add_run(f"{table.label}.").bold = True
        caption.add_run(f" {table.title}").bold = False
    else:
        caption.add_run(table.title)
    caption.paragraph_format.keep_with_next = True
    caption.paragraph_format.space_after = Pt(4)


def _set_cell_margins(grid: WordTable) -> None:
    margins = OxmlElement("w:tblCellMar")
    for side in ("left", "right"):
        margin = OxmlElement(f"w:{side}")
        margin.set(qn("w:w"), str(_CELL_MARGIN))
        margin.set(qn("w:type"), "dxa")
        margins.append(margin)
    properties = grid._tbl.tblPr
    look = properties.find(qn("w:tblLook"))
    if look is None:
        properties.append(margins)
    else:
        look.addprevious(margins)


def _keep_together(grid: WordTable, *, until_notes: bool) -> None:
    """Every row with the next one, the last with the first note."""
    rows = grid.rows if until_notes else grid.rows[:-1]
    for row in rows:
        for cell in row.cells:
            cell.paragraphs[0].paragraph_format.keep_with_next = True


def _set_widths(grid: WordTable, table: Table, room: int) -> None:
    """Column widths in which no number breaks: what is too long is a stub or a header."""
    grid.autofit = False
    for column, width in zip(grid.columns, _widths(table, room), strict=True):
        column.width = Emu(width)
        for cell in column.cells:
            cell.width = column.width


def _widths(table: Table, room: int) -> list[int]:
    """EMU of each column; a table that is too wide for its page is set closer."""
    given = table.fitted_widths(int(room / Pt(CHARACTER_PT)))
    character = min(float(Pt(CHARACTER_PT)), room / sum(given))
    return [int(character * characters) for characters in given]


def _fill_header(row: _Row, table: Table) -> None:
    """Bold headers that come again on every page the table runs over."""
    _set_row_property(row, "w:cantSplit")
    _set_row_property(row, "w:tblHeader")
    for cell, header, align in zip(row.cells, table.columns, table.align, strict=True):
        paragraph = _cell_paragraph(cell)
        for text, is_symbol in italic_runs(header, table.italics):
            run = paragraph.add_run(text)
            run.bold = True
            run.italic = is_symbol or None
        paragraph.paragraph_format.keep_with_next = True
        if align == "center":
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER


def _cell_paragraph(cell: _Cell) -> Paragraph:
    """The empty paragraph of a new cell, in the style of tables.

    Set by its identifier: by its name, every cell would search the whole template.
    """
    paragraph = cell.paragraphs[0]
    paragraph._p.style = TABLE_STYLE_ID
    return paragraph


def _fill_row(row: _Row, table: Table, cells: tuple[str, ...], indent: int) -> None:
    _set_row_property(row, "w:cantSplit")
    for position, (cell, text) in enumerate(zip(row.cells, cells, strict=True)):
        paragraph = _cell_paragraph(cell)
        paragraph.add_run(text)
        if position == 0:
            paragraph.paragraph_format.left_indent = Pt(INDENT_PT * indent)
        _align(paragraph, table, position)


def _align(paragraph: Paragraph, table: Table, position: int) -> None:
    """A decimal tab stop aligns a cell's text at its decimal mark without a tab character.

    A fraction has no mark that every program would find; digits are equally wide, so an indent
    puts it in its place.
    """
    align, layout = table.align[position], paragraph.paragraph_format
    if align == "center":
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    elif align == "decimal" and any("/" in row[position] for row in table.rows):
        missing = table.whole_widths[position] - len(table.whole_part(paragraph.text))
        layout.left_indent = Pt(DIGIT_PT * missing)
    elif align == "decimal":
        stop = Pt(CHARACTER_PT * (table.whole_widths[position] + 1))
        layout.tab_stops.add_tab_stop(stop, WD_TAB_ALIGNMENT.DECIMAL)


def _add_note(document: DocumentObject, text: str, italics: Sequence[str]) -> Paragraph:
    paragraph = document.add_paragraph(style=TABLE_STYLE)
    for part, is_symbol in italic_runs(text, italics):
        run = paragraph.add_run(part)
        run.font.size = Pt(NOTE_PT)
        run.italic = is_symbol or None
    paragraph.paragraph_format.space_after = Pt(0)
    return paragraph


def _set_row_property(row: _Row, name: str) -> None:
    properties = row._tr.get_or_add_trPr()
    properties.append(OxmlElement(name))


def _rule(row: _Row, edge: str, eighths: int) -> None:
    """A horizontal rule along one edge of a row; vertical rules there are none."""
    for cell in row.cells:
        border = OxmlElement(f"w:{edge}")
        for name, value in (("val", "single"), ("sz", str(eighths)), ("color", "000000")):
            border.set(qn(f"w:{name}"), value)
        _borders_of(cell).append(border)


def _borders_of(cell: _Cell) -> OxmlElement:
    properties = cell._tc.get_or_add_tcPr()
    borders = properties.find(qn("w:tcBorders"))
    if borders is None:
        borders = OxmlElement("w:tcBorders")
        properties.append(borders)
    return borders
