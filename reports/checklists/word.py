"""A checklist as a Word document: a landscape page, and most of it for the answers."""

from __future__ import annotations

from collections.abc import Sequence

from docx.shared import Emu

from reports.tables import Table
from reports.tables.word import add_table
from reports.word import document_bytes, new_document, page_room, set_orientation

__all__ = ["checklist_docx"]


def checklist_docx(table: Table, *, shares: Sequence[float]) -> bytes:
    """The table on landscape pages.

    Parameters
    ----------
    table : Table
    shares : sequence of float
        Of the page's width, one a column; they add up to one.

    Examples
    --------
    >>> table = Table(id="t", title="T", columns=("A", "B"), rows=(("1", "x"),))
    >>> checklist_docx(table, shares=(0.2, 0.8))[:2]
    b'PK'
    """
    document = new_document(table.caption)
    set_orientation(document.sections[-1], landscape=True)
    add_table(document, table)
    room, grid = page_room(document), document.tables[0]
    for share, column in zip(shares, grid.columns, strict=True):
        column.width = Emu(int(room * share))
        for cell in column.cells:
            cell.width = column.width
    return document_bytes(document)
