"""Where an answer stands: a pointer into the files of a run, and how to follow it.

report.html#methods                          a section, table or figure of the report
tables/flow.csv                              a file of the report
study.yaml#models                            a key of a YAML or JSON file
run/describe/flow.csv[step=analysed]         the row of a table that holds these values
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from data_schema import load_strict_yaml
from reports.paths import resolve_inside
from usstats.errors import SchemaError

__all__ = ["Pointer", "follow", "parse_pointers", "row_pointer"]

_TARGET = re.compile(r"(?P<file>[^#\[]+)(?:#(?P<anchor>.+)|\[(?P<row>.+)\])?")
_PRINTED = re.compile(r"(?:[^();]+ \()?([^();]+)\)?")


@dataclass(frozen=True)
class Pointer:
    """A target, and what a reader of the report calls it, for example `Table 2`."""

    target: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.label} ({self.target})" if self.label else self.target


def row_pointer(table: str, **where: object) -> str:
    """The row of a result file where the columns hold these values.

    >>> row_pointer("describe/flow", cohort="north (2)", step="analysed")
    'run/describe/flow.csv[cohort=north%20%282%29,step=analysed]'
    """
    cells = ",".join(f"{name}={quote(str(value), safe='')}" for name, value in where.items())
    return f"run/{table}.csv[{cells}]"


def parse_pointers(cell: str) -> list[str]:
    """The targets in a checklist's cell.

    >>> parse_pointers("Table 2 (tables/flow.csv); report.html#methods")
    ['tables/flow.csv', 'report.html#methods']
    """
    parts = (part.strip() for part in cell.split(";"))
    found = (_PRINTED.fullmatch(part) for part in parts if part)
    return [match.group(1) for match in found if match]


def follow(target: str, *, report: Path, root: Path) -> None:
    """Go where a pointer points.

    Parameters
    ----------
    target : str
    report : Path
        Folder of the report, in which a target is looked for first.
    root : Path
        The study folder, which `run/...` and `study.yaml` are relative to.

    Raises
    ------
    SchemaError
        There is no such file, anchor, key or row.
    """
    match = _TARGET.fullmatch(target)
    path = _file(match["file"], report, root) if match else None
    if match is None or path is None:
        msg = f"The pointer {target!r} names no file of the run."
        raise SchemaError(msg)
    try:
        missing = _missing(path, match["anchor"], match["row"])
    except (ValueError, csv.Error):
        msg = f"The pointer {target!r} cannot be followed: {path.name} cannot be read."
        raise SchemaError(msg) from None
    if missing:
        msg = f"The pointer {target!r} leads to nothing: {path.name} has no {missing}."
        raise SchemaError(msg)


def _missing(path: Path, anchor: str | None, row: str | None) -> str:
    """What of a pointer its file lacks; empty where all is there."""
    if anchor is not None and not _has_anchor(path, anchor):
        return repr(anchor)
    return "such row" if row is not None and not _has_row(path, _cells(row)) else ""


def _file(name: str, report: Path, root: Path) -> Path | None:
    places = (resolve_inside(folder, name) for folder in (report, root))
    return next((path for path in places if path.is_file()), None)


def _has_anchor(path: Path, anchor: str) -> bool:
    """Whether a page has an element of this id, or a file of keys this path of keys."""
    if path.suffix == ".html":
        return f' id="{anchor}"' in path.read_text("utf-8")
    content: Any
    if path.suffix == ".yaml":
        content = load_strict_yaml(path)
    else:
        content = json.loads(path.read_text("utf-8"))
    for key in anchor.split("."):
        if isinstance(content, list) and key.isdigit() and int(key) < len(content):
            content = content[int(key)]
        elif isinstance(content, Mapping) and key in content:
            content = content[key]
        else:
            return False
    return True


def _cells(row: str) -> dict[str, str]:
    pairs = (cell.partition("=") for cell in row.split(","))
    return {name: unquote(value) for name, _, value in pairs}


def _has_row(path: Path, where: Mapping[str, str]) -> bool:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return any(all(row.get(k) == v for k, v in where.items()) for row in rows)
