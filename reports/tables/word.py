"""A table as a Word document: a real table an editor can work on, not a picture."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Emu, Mm, Pt

from reports.tables.table import Table

if TYPE_CHECKING:
    from docx.document import Document as DocumentObject
    from docx.table import Table as WordTable
    from docx.table import _Cell, _Row
    from docx.text.paragraph import Paragraph

__all__ = ["LANDSCAPE_ABOVE", "docx_bytes"]

#: A table with more columns than this gets a landscape page.
LANDSCAPE_ABOVE = 7
FONT, BODY_PT, NOTE_PT, INDENT_PT, CHARACTER_PT, ROW_PT = "Arial", 9, 8, 10, 4.9, 2
MARGIN_MM, LONGEST_COLUMN = 20, 40
#: A bold header of three letters must not break.
LEAST_COLUMN = 9
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def docx_bytes(*tables: Table) -> bytes:
    """One Word document with a page for each table; the same tables give the same bytes.

    Examples
    --------
    >>> table = Table(id="t", title="AUC", columns=("Model", "AUC"), rows=(("Nomogram", "0.91"),))
    >>> docx_bytes(table) == docx_bytes(table)
    True
    """
    document = Document()
    _set_properties(document, tables[0].caption)
    for position, table in enumerate(tables):
        if position:
            document.add_section()
        _set_page(document, landscape=len(table.columns) > LANDSCAPE_ABOVE)
        _add_table(document, table)
    buffer = BytesIO()
    document.save(buffer)
    return _without_times(buffer.getvalue())


def _set_properties(document: DocumentObject, title: str) -> None:
    """Nothing about a person or a machine in the file's properties."""
    properties = document.core_properties
    properties.title, properties.author, properties.comments = title[:250], "", ""
    properties.last_modified_by = ""
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = FONT, Pt(BODY_PT)
    normal.paragraph_format.space_after = Pt(0)
    caption = document.styles["Caption"].font
    caption.name, caption.size, caption.color.rgb = FONT, Pt(BODY_PT + 1), None


def _set_page(document: DocumentObject, *, landscape: bool) -> None:
    section = document.sections[-1]
    short, long = sorted((section.page_width, section.page_height))
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (long, short) if landscape else (short, long)
    section.left_margin = section.right_margin = Mm(MARGIN_MM)


def _add_table(document: DocumentObject, table: Table) -> None:
    caption = document.add_paragraph(table.caption, style="Caption")
    caption.paragraph_format.keep_with_next = True
    caption.paragraph_format.space_after = Pt(4)
    grid = document.add_table(rows=0, cols=len(table.columns))
    grid.alignment = WD_TABLE_ALIGNMENT.LEFT
    _fill_header(grid.add_row(), table)
    for position, cells in enumerate(table.rows):
        _fill_row(grid.add_row(), table, cells, table.indent[position])
    _set_widths(document, grid, table)
    _rule(grid.rows[0], "top", 8)
    _rule(grid.rows[0], "bottom", 4)
    if table.rows:
        _rule(grid.rows[-1], "bottom", 8)
    _add_notes(document, table)


def _set_widths(document: DocumentObject, grid: WordTable, table: Table) -> None:
    """Column widths by their longest text: the whole page where it is needed, never more."""
    page = document.sections[-1]
    room = page.page_width - page.left_margin - page.right_margin
    longest = [_column_width(table, position) for position in range(len(table.columns))]
    character = min(Pt(CHARACTER_PT), room // sum(longest))
    grid.autofit = False
    for position, column in enumerate(grid.columns):
        column.width = Emu(character * longest[position])
        for cell in column.cells:
            cell.width = column.width


def _column_width(table: Table, position: int) -> int:
    """Characters a column needs: aligned cells have their longest whole and longest rest."""
    cells = [row[position] for row in table.rows]
    needed = max((len(cell) for cell in cells), default=0)
    if table.align[position] == "decimal":
        rests = (len(cell) - len(table.whole_part(cell)) for cell in cells)
        needed = table.whole_widths[position] + max(rests, default=0)
    wide = max(needed, len(table.columns[position])) + 3
    return min(max(wide, LEAST_COLUMN), LONGEST_COLUMN)


def _fill_header(row: _Row, table: Table) -> None:
    """Bold headers that come again on every page the table runs over."""
    _set_row_property(row, "w:tblHeader")
    _set_row_property(row, "w:cantSplit")
    for cell, header, align in zip(row.cells, table.columns, table.align, strict=True):
        paragraph = cell.paragraphs[0]
        paragraph.add_run(header).bold = True
        paragraph.paragraph_format.keep_with_next = True
        _space(paragraph)
        if align == "center":
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER


def _space(paragraph: Paragraph) -> None:
    """A little air above and below a cell's text."""
    paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(ROW_PT)


def _fill_row(row: _Row, table: Table, cells: tuple[str, ...], indent: int) -> None:
    _set_row_property(row, "w:cantSplit")
    for position, (cell, text) in enumerate(zip(row.cells, cells, strict=True)):
        paragraph = cell.paragraphs[0]
        paragraph.add_run(text)
        _space(paragraph)
        if position == 0:
            paragraph.paragraph_format.left_indent = Pt(INDENT_PT * indent)
        _align(paragraph, table, position)


def _align(paragraph: Paragraph, table: Table, position: int) -> None:
    """A decimal tab stop aligns a cell's text at its first decimal mark without a tab character."""
    align = table.align[position]
    if align == "center":
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    elif align == "decimal":
        stop = Pt(CHARACTER_PT * (table.whole_widths[position] + 1))
        paragraph.paragraph_format.tab_stops.add_tab_stop(stop, WD_TAB_ALIGNMENT.DECIMAL)


def _add_notes(document: DocumentObject, table: Table) -> None:
    for mark, text in table.marked_footnotes:
        _add_note(document, f"{mark} {text}")
    for text in table.notes:
        _add_note(document, text)
    if table.abbreviations:
        spelled = "; ".join(f"{short}, {long}" for short, long in table.abbreviations)
        _add_note(document, f"Abbreviations: {spelled}.")


def _add_note(document: DocumentObject, text: str) -> None:
    paragraph = document.add_paragraph()
    paragraph.add_run(text).font.size = Pt(NOTE_PT)
    paragraph.paragraph_format.space_before = Pt(2)


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


def _without_times(archive: bytes) -> bytes:
    """The same archive with one date on every member, so that equal tables are equal files."""
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(name))
    return buffer.getvalue()
