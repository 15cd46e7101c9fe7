"""Tables and figures, numbered in the order the text calls for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reports.report import ReportFigure
from reports.tables.table import Table


@dataclass(kw_only=True)
class Exhibits:
    """Gives out each table and figure once, with its number.

    A report that is put together twice is numbered anew from a new object.
    """

    tables: Mapping[str, Table]
    figures: Mapping[str, ReportFigure]
    shown: list[str] = field(default_factory=list)

    def table(self, name: str) -> Table:
        """The table as the next one of the report."""
        return self.tables[name].labelled(self._next("Table"))

    def figure(self, name: str) -> ReportFigure:
        """The figure as the next one of the report."""
        return replace(self.figures[name], label=self._next("Figure"))

    def _next(self, kind: str) -> str:
        self.shown.append(kind)
        return f"{kind} {self.shown.count(kind)}"
