"""Tables with the place of every row, so that a finding can say where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from usstats._numbers import as_numbers

_SHOWN = 5

_NO_FACTS: Mapping[str, Any] = MappingProxyType({})


def distinct(values: pd.Series[Any]) -> int:
    """How many different values there are, missing ones apart."""
    return int(values.dropna().drop_duplicates().size)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table of the study.

    Attributes
    ----------
    name : str
        File or argument.
    frame : DataFrame
    lines : sequence of int or None
        Line of the file of each row; None for a table in memory.
    """

    name: str
    frame: pd.DataFrame
    lines: Sequence[int] | None = None

    def has(self, *columns: str) -> bool:
        """All the columns are there."""
        return all(column in self.frame for column in columns)

    def at(self, column: str = "", rows: Any = None) -> str:
        """File, column and the first rows a mask picks; never the content of a cell."""
        place = f"{self.name}, column {column}" if column else self.name
        if rows is None:
            return place
        hit = np.flatnonzero(np.asarray(rows, dtype=bool))
        if hit.size in (0, len(self.frame)):
            return place
        label, numbers = ("line", self.lines) if self.lines is not None else ("row", None)
        shown = [str(int(i) if numbers is None else numbers[i]) for i in hit[:_SHOWN]]
        more = f" and {hit.size - _SHOWN} more" if hit.size > _SHOWN else ""
        return f"{place}, {label}{'s' if hit.size > 1 else ''} {', '.join(shown)}{more}"


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """A result as a table, from an object or from a file of a run.

    Attributes
    ----------
    name : str
        Class of the object, or path of the file.
    frame : DataFrame
    kind : str
        Class of the object; empty for a file.
    scope : str
        "development", "external" or "" where nothing says so.
    cohort : str
        The external cohort, where it is known.
    model : str
    facts : mapping
        What stands beside the table: n, n_event, n_cluster, adjust, method, threshold.
    source : object
        The result itself, for what no table shows.
    printed : bool
        Cells are rounded text for readers; only words can be trusted.
    """

    name: str
    frame: pd.DataFrame
    kind: str = ""
    scope: str = ""
    cohort: str = ""
    model: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: _NO_FACTS)
    source: Any = None
    printed: bool = False

    def has(self, *columns: str) -> bool:
        """All the columns are there."""
        return all(column in self.frame for column in columns)

    def words(self, column: str) -> pd.Series[Any]:
        """A column as lower-case text; empty where the table lacks it."""
        if column not in self.frame:
            return pd.Series([""] * len(self.frame), index=self.frame.index, dtype=object)
        return self.frame[column].fillna("").astype(str).str.strip().str.lower()

    def numbers(self, column: str) -> pd.Series[float]:
        """A column as numbers; NaN where it holds none, or where the table lacks it."""
        if column not in self.frame:
            return pd.Series(np.nan, index=self.frame.index, dtype=float)
        return as_numbers(self.frame[column]).astype(float)

    @property
    def measures(self) -> set[str]:
        """What the rows are about."""
        return set(self.words("measure")) - {""}

    def fact(self, name: str) -> float:
        """A number that belongs to the whole result: stated beside it, or one and the same in
        every row; NaN where there is none."""
        stated = self.facts.get(name)
        if isinstance(stated, int | float | np.number) and not isinstance(stated, bool):
            return float(stated)
        values = self.numbers(name).dropna().unique()
        return float(values[0]) if len(values) == 1 else np.nan
