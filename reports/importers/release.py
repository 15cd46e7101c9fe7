"""Reading a published release: text tables as they are, files found before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from usstats.errors import SchemaError

__all__ = ["find_files", "read_text_table", "refuse", "split_names"]

SHOWN = 10


def read_text_table(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """Every cell as text, nothing guessed, nothing taken for missing.

    Raises
    ------
    SchemaError
        No such file, no rows, or a required column is absent.
    """
    if not path.is_file():
        msg = f"{path.name} is not in {path.parent}. Name the folder the release was unpacked into."
        raise SchemaError(msg)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        msg = f"{path.name} cannot be read as a UTF-8 CSV table: {error}."
        raise SchemaError(msg) from None
    absent = [name for name in required if name not in table.columns]
    if absent or table.empty:
        what = f"lacks the columns {', '.join(absent)}" if absent else "has no data rows"
        msg = f"{path.name} {what}; it is not the table that was published."
        raise SchemaError(msg)
    return table.apply(lambda column: column.str.strip())


def split_names(cell: str) -> list[str]:
    """File names of one cell, joined by "&" in the release.

    Examples
    --------
    >>> split_names("case022_other1.png&case022_other2.png"), split_names("")
    (['case022_other1.png', 'case022_other2.png'], [])
    """
    return [name.strip() for name in cell.split("&") if name.strip()]


def find_files(folders: Sequence[Path], names: Iterable[str]) -> dict[str, Path]:
    """Where each named file lies: the first of `folders` that has it.

    Raises
    ------
    SchemaError
        Files are absent or a name is no plain file name; all are counted, the first ten named.
    """
    wanted = list(dict.fromkeys(names))
    refuse("is no plain file name", [name for name in wanted if not _is_plain(name)])
    found = {
        name: folder / name
        for name in wanted
        for folder in reversed(folders)
        if (folder / name).is_file()
    }
    places = " or ".join(str(folder) for folder in folders)
    refuse(f"is not in {places}", [name for name in wanted if name not in found])
    return found


def refuse(fault: str, culprits: Sequence[str]) -> None:
    """Raise one SchemaError for all culprits of a fault, if there are any."""
    if not culprits:
        return
    shown = ", ".join(culprits[:SHOWN]) + (", ..." if len(culprits) > SHOWN else "")
    msg = (
        f"The release cannot be imported: {len(culprits)} x {fault}: {shown}. Nothing was written."
    )
    raise SchemaError(msg)


def _is_plain(name: str) -> bool:
    return name == Path(name).name and not set(name) & set("\\:\0") and name not in {".", ".."}
