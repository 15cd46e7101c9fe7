"""Tables as a workbook: a sheet a table, every cell text, nothing a spreadsheet would run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING

from reports.files import FORMULA_STARTS, slug
from reports.tables.table import Table
from usstats.errors import ArgumentError

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

__all__ = ["NOTES_SHEET", "xlsx_bytes"]

NOTES_SHEET = "Notes"
#: More does not fit a cell of a spreadsheet.
_LONGEST_CELL = 32_767
_LONGEST_SHEET_NAME = 31
_NOTE_WIDTH, _LINE_PT = 100, 13
_A4 = 9
_NO_GUESSING = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_NO_DAY = datetime.fromisoformat("1980-01-01")


def xlsx_bytes(*tables: Table) -> bytes:
    """One workbook: a sheet a table that begins at A1, and a last sheet with what stands around it.

    Every cell is text. One that a spreadsheet would run if it were typed in (`=`, `+`, `-`, `@`)
    is marked as quoted, which shows and reads back as the same text. Equal tables give equal bytes.

    Parameters
    ----------
    *tables : Table

    Raises
    ------
    ArgumentError
        A cell longer than a spreadsheet holds.

    Examples
    --------
    >>> table = Table(id="t", title="AUC", columns=("Model", "AUC"), rows=(("Nomogram", "0.91"),))
    >>> xlsx_bytes(table) == xlsx_bytes(table)
    True
    """
    import xlsxwriter

    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer, _NO_GUESSING) as book:
        book.set_properties({"created": _NO_DAY, "author": "", "title": tables[0].caption[:250]})
        names = _sheet_names([table.id for table in tables])
        for name, table in zip(names, tables, strict=True):
            _Sheet(book, book.add_worksheet(name)).fill(table)
        _write_notes(book, names, tables)
    return buffer.getvalue()


class _Sheet:
    """One table on one sheet."""

    def __init__(self, book: Workbook, sheet: Worksheet) -> None:
        self.book, self.sheet = book, sheet
        self.formats: dict[tuple[tuple[str, object], ...], Format] = {}

    def fill(self, table: Table) -> None:
        """Headers, cells, widths, and how it prints."""
        _check_lengths(table)
        last = len(table.rows)
        for row, cells in enumerate((table.columns, *table.rows)):
            for column, text in enumerate(cells):
                look = self._look(table, row, column, is_last=row == last)
                self.sheet.write_string(row, column, text, self._format(text, look))
        lines = 1
        for column, align in enumerate(table.align):
            width = (table.column_widths if align == "left" else table.least_widths)[column]
            self.sheet.set_column(column, column, width)
            lines = max(lines, math.ceil(1.3 * len(table.columns[column]) / width))
        self.sheet.set_row(0, _LINE_PT * lines)
        self._set_print(table)

    def _set_print(self, table: Table) -> None:
        self.sheet.freeze_panes(1, 1)
        self.sheet.repeat_rows(0)
        self.sheet.set_paper(_A4)
        self.sheet.fit_to_pages(1, 0)
        if table.is_wide:
            self.sheet.set_landscape()

    def _look(self, table: Table, row: int, column: int, *, is_last: bool) -> dict[str, object]:
        look: dict[str, object] = {"font_name": "Arial", "font_size": 9, "num_format": "@"}
        look["valign"] = "top"
        if row == 0:
            look |= {"bold": True, "text_wrap": True, "top": 2, "bottom": 1, "valign": "bottom"}
        else:
            look["text_wrap"] = table.align[column] == "left"
            if column == 0:
                look |= {"indent": table.indent[row - 1], "align": "left"}
        if is_last:
            look["bottom"] = 2
        if table.align[column] == "center":
            look["align"] = "center"
        return look

    def _format(self, text: str, look: dict[str, object]) -> Format:
        if text.startswith(FORMULA_STARTS):
            look = look | {"quote_prefix": True}
        key = tuple(sorted(look.items()))
        if key not in self.formats:
            self.formats[key] = self.book.add_format(look)
        return self.formats[key]


def _write_notes(book: Workbook, names: Sequence[str], tables: Sequence[Table]) -> None:
    """Captions and footnotes: beside the tables, so that a sheet is nothing but its table."""
    sheet = book.add_worksheet(NOTES_SHEET)
    bold = book.add_format({"bold": True, "font_name": "Arial", "font_size": 9, "valign": "top"})
    plain = book.add_format(
        {"font_name": "Arial", "font_size": 9, "text_wrap": True, "valign": "top"}
    )
    sheet.set_column(0, 0, 20)
    sheet.set_column(1, 1, _NOTE_WIDTH)
    sheet.set_paper(_A4)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    row = 0
    for name, table in zip(names, tables, strict=True):
        sheet.write_string(row, 0, name, bold)
        for text in (table.caption, *table.lines_below):
            sheet.write_string(row, 1, text, plain)
            sheet.set_row(row, _LINE_PT * math.ceil(len(text) / _NOTE_WIDTH))
            row += 1


def _sheet_names(ids: Sequence[str]) -> list[str]:
    """A name a spreadsheet allows for each table, all different, none that of the notes."""
    names: list[str] = []
    for text in ids:
        name = slug(text, limit=_LONGEST_SHEET_NAME)[:_LONGEST_SHEET_NAME]
        while name in names or name == NOTES_SHEET.lower():
            name = f"{name[: _LONGEST_SHEET_NAME - 3]}_{len(names) + 1}"
        names.append(name)
    return names


def _check_lengths(table: Table) -> None:
    longest = max((len(t) for row in (table.columns, *table.rows) for t in row), default=0)
    if longest > _LONGEST_CELL:
        msg = (
            f"A cell of table {table.id!r} has {longest} characters; a spreadsheet holds "
            f"{_LONGEST_CELL}. Shorten it."
        )
        raise ArgumentError(msg)
