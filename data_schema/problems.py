"""What is wrong with a table: every fault with its place and its remedy, never an identifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from data_schema.errors import SchemaError

Severity = Literal["error", "warning"]
FIELDS = ("file", "column", "rows", "n", "code", "severity", "found", "expected", "remedy")
_SHOWN_ROWS = 5
_SHOWN_PROBLEMS = 12


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One kind of fault in one column of one file.

    Attributes
    ----------
    file : str
        The file's name, without its folder.
    column : str
        Empty where the fault concerns the file.
    rows : tuple of int
        1-based line numbers in the file; the header is line 1.
    n : int
        How many rows are concerned.
    code : str
        The fault's stable name, such as "decimal_comma".
    severity : {"error", "warning"}
    found, expected, remedy : str
        Sentences for the user. `found` never holds a cell of an identifier column.

    Examples
    --------
    >>> Problem(file="patients.csv", column="fsh", rows=(7,), n=1, code="decimal_comma",
    ...         severity="error", found="12,5", expected="a number", remedy="write 12.5")
    <error decimal_comma: patients.csv, column fsh, line 7: found 12,5; ...>
    """

    file: str
    column: str = ""
    rows: tuple[int, ...] = ()
    n: int = 0
    code: str
    severity: Severity = "error"
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.severity} {self.code}: {self._place()}: found {self.found}; "
            f"expected {self.expected}; {self.remedy}"
        )

    def __repr__(self) -> str:
        return f"<{self}>"

    def _place(self) -> str:
        parts = [self.file]
        if self.column:
            parts.append(f"column {self.column}")
        if self.rows:
            parts.append(rows_text(self.rows))
        return ", ".join(parts)


def rows_text(rows: Sequence[int]) -> str:
    """Line numbers for a sentence, cut after the first few.

    >>> rows_text((2, 3, 4, 5, 6, 7, 8))
    'lines 2, 3, 4, 5, 6 and 2 more'
    """
    shown = ", ".join(str(row) for row in rows[:_SHOWN_ROWS])
    more = len(rows) - _SHOWN_ROWS
    return f"line{'s' if len(rows) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")


def problems_frame(problems: Iterable[Problem]) -> pd.DataFrame:
    """One row a problem: file, column, rows, n, code, severity, found, expected, remedy.

    `rows` is text (line numbers separated by spaces), so that the frame can be written to CSV.
    """
    rows = [
        [p.file, p.column, " ".join(map(str, p.rows)), *(getattr(p, name) for name in FIELDS[3:])]
        for p in problems
    ]
    return pd.DataFrame(rows, columns=list(FIELDS))


def assert_valid(problems: Iterable[Problem]) -> None:
    """Stop if any problem is an error.

    Raises
    ------
    SchemaError
        With one line a problem; warnings alone pass.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        return
    lines = [f"  {problem}" for problem in errors[:_SHOWN_PROBLEMS]]
    if len(errors) > _SHOWN_PROBLEMS:
        lines.append(f"  and {len(errors) - _SHOWN_PROBLEMS} more (see problems_frame)")
    count = f"{len(errors)} problem{'s' if len(errors) > 1 else ''}"
    msg = "\n".join([f"The tables cannot be used as they are ({count}):", *lines])
    raise SchemaError(msg)
