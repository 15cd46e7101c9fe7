"""Tables as files: Word, a workbook, HTML, LaTeX and CSV with identical cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from reports.files import atomic_write_bytes, atomic_write_text, slug, write_csv
from reports.tables.latex import latex_text
from reports.tables.spreadsheet import xlsx_bytes
from reports.tables.table import Table
from reports.tables.word import docx_bytes
from reports.templating import page_environment
from usstats._check import check_option

__all__ = ["FORMATS", "write_table", "write_workbook"]

FORMATS = ("docx", "xlsx", "html", "tex", "csv")


def write_table(
    table: Table, folder: str | Path, *, formats: Sequence[str] = FORMATS
) -> dict[str, Path]:
    """Write a table under its id, in each format.

    Parameters
    ----------
    table : Table
    folder : str or Path
    formats : sequence of {"docx", "xlsx", "html", "tex", "csv"}

    Returns
    -------
    dict
        Format -> path.

    Examples
    --------
    >>> import tempfile
    >>> table = Table(id="auc", title="AUC", columns=("Model", "AUC"), rows=(("A", "0.91"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table(table, folder)["csv"].read_text())
    Model,AUC
    A,0.91
    """
    for name in formats:
        check_option(name, FORMATS, name="formats")
    return {name: _write(table, Path(folder), name) for name in formats}


def write_workbook(tables: Iterable[Table], path: str | Path) -> Path:
    """Write tables as one workbook, a sheet each.

    Parameters
    ----------
    tables : iterable of Table
    path : str or Path
    """
    return atomic_write_bytes(path, xlsx_bytes(*tables))


def _write(table: Table, folder: Path, name: str) -> Path:
    path = folder / f"{slug(table.id)}.{name}"
    if name == "docx":
        return atomic_write_bytes(path, docx_bytes(table))
    if name == "xlsx":
        return atomic_write_bytes(path, xlsx_bytes(table))
    if name == "tex":
        return atomic_write_text(path, latex_text(table))
    if name == "html":
        page = page_environment().get_template("table_page.html").render(table=table)
        return atomic_write_text(path, page)
    return write_csv(path, pd.DataFrame(list(table.rows), columns=list(table.columns)))
