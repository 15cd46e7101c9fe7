"""Bytes to a grid of text cells, with line numbers; nothing is converted here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_schema.problems import Problem, Severity

MAX_BYTES = 500_000_000
MAX_COLUMNS = 5_000
SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cells of a file as text.

    Attributes
    ----------
    file : str
    names : tuple of str
        Column names, trimmed and made different from each other.
    cells : tuple of tuple of str
        One tuple a column.
    lines : tuple of int
        1-based line of the file at which each row ends.
    """

    file: str
    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the text of a file is written."""

    encoding: str | None = None
    separator: str = ","


def read_grid(path: str | Path, dialect: Dialect) -> tuple[Grid | None, list[Problem]]:
    """Read a delimited text file; None where no table can be made of it."""
    file = Path(path)
    problems: list[Problem] = []
    text = _text(file, dialect, problems)
    if text is None:
        return None, problems
    rows = _rows(file.name, text, dialect.separator, problems)
    if rows is None:
        return None, problems
    (_, header), body = rows[0], rows[1:]
    names = _names(file.name, header, problems)
    lines, cells = _rectangle(file.name, body, len(names), problems)
    if not lines and not any(problem.severity == "error" for problem in problems):
        problems.append(_no_rows(file.name, "a header and no data rows"))
    columns = tuple(zip(*cells, strict=True)) if cells else tuple(() for _ in names)
    return Grid(file=file.name, names=names, cells=columns, lines=lines), problems


def _text(file: Path, dialect: Dialect, problems: list[Problem]) -> str | None:
    try:
        size = file.stat().st_size
        raw = file.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.append(
            _problem(file.name, "unreadable", reason, "a readable file", "check the path")
        )
        return None
    fault = _refuse_bytes(file.name, raw, size, dialect)
    if fault is not None:
        problems.append(fault)
        return None
    return _decode(file.name, raw, dialect.encoding, problems)


def _refuse_bytes(name: str, raw: bytes, size: int, dialect: Dialect) -> Problem | None:
    if size > MAX_BYTES:
        found, limit = f"a file of {size:,} bytes", f"at most {MAX_BYTES:,} bytes"
        return _problem(name, "too_large", found, limit, "split the file")
    if not raw.strip(b"\xef\xbb\xbf \t\r\n"):
        return _no_rows(name, "an empty file")
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        remedy = "export the sheet you mean as CSV (UTF-8)"
        return _problem(name, "not_text", "a spreadsheet or an archive", "a CSV file", remedy)
    wide = _wide_encoding(raw)
    if wide and dialect.encoding is None:
        return _encoding_problem(name, wide, ())
    return None


def _no_rows(name: str, found: str) -> Problem:
    return _problem(name, "no_data_rows", found, "at least one data row", "fill in the table")


def _wide_encoding(raw: bytes) -> str | None:
    """UTF-16 by its byte-order mark, or by every other byte of the header being zero."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = raw[:200]
    if head[1::2].count(0) > len(head) / 3:
        return "utf-16-le"
    return "utf-16-be" if head[0::2].count(0) > len(head) / 3 else None


def _decode(name: str, raw: bytes, encoding: str | None, problems: list[Problem]) -> str | None:
    try:
        return raw.decode(encoding or "utf-8-sig").removeprefix("\ufeff")
    except LookupError:
        remedy = "use a name such as utf-8, gbk or cp1252"
        found = f"the encoding {encoding!r}"
        problems.append(_problem(name, "encoding", found, "a known encoding", remedy))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(_encoding_problem(name, _guess_encoding(raw), (line,)))
    return None


def _guess_encoding(raw: bytes) -> str:
    """GBK where the bytes above 127 come in pairs, else cp1252, whose accents stand alone."""
    try:
        raw.decode("gbk")
    except UnicodeDecodeError:
        return "cp1252"
    runs = _HIGH_BYTES.findall(raw)
    paired = sum(len(run) % 2 == 0 for run in runs)
    return "gbk" if paired > 0.8 * len(runs) else "cp1252"


def _encoding_problem(name: str, guess: str, rows: tuple[int, ...]) -> Problem:
    return _problem(
        name,
        "encoding",
        f"bytes that are not UTF-8; they look like {guess}",
        "UTF-8",
        f"save the file as UTF-8, or declare `encoding: {guess}`",
        rows=rows,
    )


def _rows(
    name: str, text: str, separator: str, problems: list[Problem]
) -> list[tuple[int, list[str]]] | None:
    """(line, cells) of every row with content, the header first."""
    fault = _wrong_separator(name, text, separator)
    if fault is not None:
        problems.append(fault)
        return None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = list(_with_lines(reader))
    except csv.Error as error:
        place = (reader.line_num,)
        remedy = "close every quote, and keep cells short"
        problems.append(_problem(name, "quoting", str(error), "a CSV row", remedy, rows=place))
        return None
    if len(rows[0][1]) > MAX_COLUMNS:
        found = f"{len(rows[0][1]):,} columns"
        limit = f"at most {MAX_COLUMNS:,}"
        problems.append(_problem(name, "too_large", found, limit, "drop columns"))
        return None
    _note_blank_and_control(name, rows, problems)
    header, *body = rows
    return [header, *(row for row in body if any(cell.strip() for cell in row[1]))]


def _with_lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for cells in reader:
        yield reader.line_num, cells  # type: ignore[attr-defined]


def _wrong_separator(name: str, text: str, separator: str) -> Problem | None:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    counts = {mark: header.count(mark) for mark in SEPARATORS}
    likely = max(counts, key=lambda mark: counts[mark])
    if counts[likely] == 0 or counts[separator] >= counts[likely]:
        return None
    found = f"columns separated by a {_SEPARATOR_NAMES[likely]}"
    expected = f"a {_SEPARATOR_NAMES.get(separator, separator)}"
    remedy = f"save with commas, or declare `separator: {likely!r}`"
    return _problem(name, "separator", found, expected, remedy, rows=(1,))


def _note_blank_and_control(
    name: str, rows: Sequence[tuple[int, list[str]]], problems: list[Problem]
) -> None:
    blank = [line for line, cells in rows[1:] if cells and not any(c.strip() for c in cells)]
    if blank:
        found = "rows without content"
        problems.append(
            _warning(name, "blank_row", found, "no blank rows", "they are left out", rows=blank)
        )
    control = [line for line, cells in rows if any(_CONTROL.search(cell) for cell in cells)]
    if control:
        found, expected = "control characters", "printable text"
        problems.append(
            _warning(name, "control_character", found, expected, "remove them", rows=control)
        )


def _names(name: str, header: Sequence[str], problems: list[Problem]) -> tuple[str, ...]:
    trimmed = [cell.strip() for cell in header]
    if any(cell != text for cell, text in zip(header, trimmed, strict=True)):
        found = "spaces around column names"
        problems.append(
            _warning(name, "column_name_space", found, "bare names", "they are trimmed", rows=(1,))
        )
    blank = [i + 1 for i, text in enumerate(trimmed) if not text]
    if blank:
        found = f"no name for column number {', '.join(map(str, blank))}"
        remedy = "name the column, or delete it"
        problems.append(_problem(name, "blank_column", found, "a name", remedy, rows=(1,)))
    repeated = sorted({text for text in trimmed if text and trimmed.count(text) > 1})
    for text in repeated:
        found = f"{trimmed.count(text)} columns of this name"
        problems.append(
            _problem(name, "duplicate_column", found, "one", "rename one", rows=(1,), column=text)
        )
    return _distinct(trimmed)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 and name else f"{name} ({seen[name]})")
    return tuple(distinct)


def _rectangle(
    name: str,
    rows: Sequence[tuple[int, list[str]]],
    width: int,
    problems: list[Problem],
) -> tuple[tuple[int, ...], list[list[str]]]:
    """Rows of equal width; ragged ones are reported, then padded or cut to go on checking."""
    ragged = [(line, len(cells)) for line, cells in rows if len(cells) != width]
    if ragged:
        found = f"rows of {min(n for _, n in ragged)} to {max(n for _, n in ragged)} cells"
        remedy = "quote cells that hold the separator, and fill up short rows"
        places = [line for line, _ in ragged]
        problems.append(
            _problem(name, "ragged_row", found, f"{width} cells a row", remedy, rows=places)
        )
    cells = [(row + [""] * (width - len(row)))[:width] for _, row in rows]
    return tuple(line for line, _ in rows), cells


def _problem(
    file: str,
    code: str,
    found: str,
    expected: str,
    remedy: str,
    *,
    rows: Sequence[int] = (),
    column: str = "",
    severity: Severity = "error",
) -> Problem:
    return Problem(
        file=file,
        column=column,
        rows=tuple(rows),
        n=len(rows),
        code=code,
        severity=severity,
        found=found,
        expected=expected,
        remedy=remedy,
    )


def _warning(
    file: str, code: str, found: str, expected: str, remedy: str, *, rows: Sequence[int]
) -> Problem:
    return _problem(file, code, found, expected, remedy, rows=rows, severity="warning")
