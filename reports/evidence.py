"""What a run found, read from its files, as values a sentence or a table may use.

Every value carries the file, row and column it came from, so that each number of the report can
be followed back to the stage that computed it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reports.files import read_csv
from reports.numbers import (
    format_auc,
    format_count,
    format_estimate,
    format_number,
    format_p,
    format_percent,
)
from reports.tables.words import words_for
from reports.text import Value
from usstats.errors import SchemaError


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The results under a run folder, in the number style of a journal."""

    run_dir: Path
    preset: str = "esr"
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    def has(self, table: str) -> bool:
        """Whether the run wrote `table`, for example `validate/nomogram`."""
        return (self.run_dir / f"{table}.csv").is_file()

    def table(self, table: str) -> pd.DataFrame:
        """A result file as a frame, read once."""
        if table not in self._tables:
            path = self.run_dir / f"{table}.csv"
            self._tables[table] = read_csv(path)
        return self._tables[table]

    def json(self, name: str) -> Mapping[str, Any]:
        """A small result kept as JSON, for example `fit/threshold`."""
        return json.loads((self.run_dir / f"{name}.json").read_text("utf-8"))

    def row(self, table: str, **where: object) -> pd.Series:
        """The one row of a table where the columns hold these values.

        Raises
        ------
        SchemaError
            No such row, or several.
        """
        frame = self.table(table)
        for column, value in where.items():
            frame = frame[frame[column] == value]
        if len(frame) != 1:
            msg = f"{table}.csv has {len(frame)} rows with {where}; expected one."
            raise SchemaError(msg)
        return frame.iloc[0]

    def number(self, table: str, column: str, decimals: int = 2, **where: object) -> Value:
        """One cell, rounded as its measure asks: an AUC below 1 never becomes 1."""
        value = float(self.row(table, **where)[column])
        is_unit = words_for(str(where.get("measure"))).kind == "unit"
        written = (format_auc if is_unit else format_number)(value, decimals, preset=self.preset)
        return Value(_key(table, column, where), written)

    def count(self, table: str, column: str, **where: object) -> Value:
        """One cell that is a count."""
        return Value(
            _key(table, column, where),
            format_count(self.row(table, **where)[column], preset=self.preset),
        )

    def share(self, table: str, column: str, of: str, **where: object) -> Value:
        """n/N with its percentage from two columns of one row."""
        row = self.row(table, **where)
        return Value(
            _key(table, column, where), format_percent(row[column], row[of], preset=self.preset)
        )

    def p_value(self, table: str, *, column: str = "p_value", **where: object) -> Value:
        """A p value with its symbol."""
        p = float(self.row(table, **where)[column])
        return Value(_key(table, column, where), format_p(p, preset=self.preset, symbol=True))

    def estimate(
        self, table: str, decimals: int = 2, kind: str = "number", **where: object
    ) -> Value:
        """An estimate with its confidence limits."""
        row = self.row(table, **where)
        text = format_estimate(
            row["estimate"],
            row["conf_low"],
            row["conf_high"],
            decimals=decimals,
            preset=self.preset,
            kind=kind,
        )
        return Value(_key(table, "estimate", where), text)

    def fact(self, name: str, value: float | int, decimals: int | None = None) -> Value:
        """A number of the study file or of the run itself."""
        if decimals is None:
            return Value(name, format_count(value, preset=self.preset))
        return Value(name, format_number(value, decimals, preset=self.preset))


def _key(table: str, column: str, where: Mapping[str, object]) -> str:
    """Address of a number: file, row and column."""
    rows = ",".join(f"{name}={value}" for name, value in where.items())
    return f"{table}.csv[{rows}].{column}"
