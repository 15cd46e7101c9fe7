"""Tables of a reader study: what each reader achieved, and what the conditions differ by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import format_estimate, format_number, format_p
from reports.tables.table import Table, footnote_mark
from reports.tables.words import (
    abbreviations_in,
    confidence_words,
    estimate_cell,
    require_columns,
    words_for,
)
from usstats.errors import ArgumentError

__all__ = ["reader_effect_table", "reader_table"]

Preset = str | NumberPreset
Labels = Mapping[str, str]

_AVERAGE = "reader_averaged_"
_UNITLESS = ("difference", "interaction", "order_effect")
_SHARES = ("decisions_better", "decisions_worse", "decisions_net")
_EFFECTS = (
    *_UNITLESS,
    "reading_time_ratio",
    "reading_time_interaction",
    *_SHARES,
    "standalone_difference",
)
_KINDS = {
    "difference": "Difference",
    "interaction": "Interaction",
    "order_effect": "Order",
    "reading_time_ratio": "Ratio of reading times",
    "reading_time_interaction": "Interaction of reading times",
    "decisions_better": "Decisions that became right",
    "decisions_worse": "Decisions that became wrong",
    "decisions_net": "Net change of decisions",
    "standalone_difference": "System alone minus readers",
}


def reader_table(
    frame: pd.DataFrame,
    *,
    groups: Mapping[Any, str] | None = None,
    conditions: tuple[str, ...] | None = None,
    labels: Labels | None = None,
    title: str = "Readers",
    table_id: str = "readers",
    preset: Preset = "ama",
) -> Table:
    """Each reader's figure of merit in every condition, and the readers' average.

    Parameters
    ----------
    frame : DataFrame
        Frame of a `ReaderStudy` or an `AssistanceEffect`.
    groups : mapping of reader to str, optional
        Experience of each reader; readers are then listed by it, each group with its average
        where the frame has one.
    conditions : tuple of str, optional
        Order of the columns; with two, a column holds the second minus the first where the frame
        has that difference or its opposite.
    labels : mapping of str to str, optional
        Printed names of conditions and groups.
    title, table_id : str
    preset : str or NumberPreset

    Raises
    ------
    ArgumentError
        A frame without readers, an unknown condition.
    """
    require_columns(frame, ("measure", "condition", "estimate"), table="reader table")
    return _Readers(frame, groups or {}, conditions, labels or {}, number_preset(preset)).table(
        title, table_id
    )


class _Readers:
    """Figures of one frame, by reader and condition."""

    def __init__(
        self,
        frame: pd.DataFrame,
        groups: Mapping[Any, str],
        conditions: tuple[str, ...] | None,
        labels: Labels,
        style: NumberPreset,
    ) -> None:
        self.frame, self.labels, self.style = frame, labels, style
        averages = frame["measure"].astype(str).str.startswith(_AVERAGE)
        if not averages.any():
            msg = "`frame` has no reader-averaged figure; pass the frame of a reader study."
            raise ArgumentError(msg)
        self.metric = str(frame.loc[averages, "measure"].iloc[0]).removeprefix(_AVERAGE)
        self.conditions = self._conditions(frame.loc[averages, "condition"], conditions)
        singles = frame[frame["measure"] == self.metric]
        self.readers = list(dict.fromkeys(singles["reader"])) if "reader" in frame else []
        self.groups = {reader: groups.get(reader, "") for reader in self.readers}

    @staticmethod
    def _conditions(found: pd.Series[Any], wanted: tuple[str, ...] | None) -> list[str]:
        known = list(dict.fromkeys(found.astype(str)))
        if wanted is None:
            return sorted(known, key=lambda name: name == "aided")
        unknown = [name for name in wanted if name not in known]
        if unknown:
            msg = f"`conditions` names {', '.join(unknown)}; the frame has {', '.join(known)}."
            raise ArgumentError(msg)
        return list(wanted)

    def table(self, title: str, table_id: str) -> Table:
        lines = list(self._lines())
        name, level = words_for(self.metric).label, confidence_words(self.frame)
        columns = ("Reader", *(f"{self._named(c)}, {name} ({level})" for c in self.conditions))
        if self._compares:
            columns += (
                f"Difference ({level})",
                f"{self.style.p_symbol} value{footnote_mark(0)}",
            )
        first = self.frame.iloc[0]
        return Table(
            id=table_id,
            title=title,
            columns=columns,
            rows=tuple(cells for _, cells in lines),
            indent=tuple(level for level, _ in lines),
            footnotes=(_SINGLE_READERS,) if self._compares else (),
            notes=(
                f"n = {int(first['n'])} cases, events = {int(first['n_event'])}, "
                f"{self._n_readers()} readers; unit of analysis: case.",
                f"Method: {first['method']}.",
            ),
            abbreviations=abbreviations_in(*columns),
            italics=self.style.italics,
        )

    @property
    def _compares(self) -> bool:
        return len(self.conditions) == 2 and (self.frame["measure"] == "difference").any()

    def _n_readers(self) -> int:
        return len(self.readers) or int(self.frame["n_reader"].iloc[0])

    def _lines(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        for group in dict.fromkeys(self.groups.values()):
            members = [reader for reader in self.readers if self.groups[reader] == group]
            if group:
                yield 0, (self._named(group), *[""] * (len(self.conditions) + 2 * self._compares))
            for reader in members:
                yield int(bool(group)), self._cells(str(reader), self.metric, reader=reader)
            if group and self._rows(_AVERAGE + self.metric, group=group).size:
                yield 1, self._cells("Average", _AVERAGE + self.metric, group=group)
        yield 0, self._cells("All readers, average", _AVERAGE + self.metric)

    def _cells(self, name: str, measure: str, **where: object) -> tuple[str, ...]:
        own = self._rows(measure, **where)
        cells = [self._figure(own[own["condition"] == c]) for c in self.conditions]
        if not self._compares:
            return (name, *cells)
        difference = "reader_difference" if "reader" in where else "difference"
        return (name, *cells, *self._difference(self._rows(difference, **where)))

    def _rows(self, measure: str, **where: object) -> pd.DataFrame:
        keep = self.frame[self.frame["measure"] == measure]
        for column in ("reader", "group"):
            if column in keep:
                wanted = where.get(column)
                same = keep[column].isna() if wanted is None else keep[column] == wanted
                keep = keep[same]
        return keep

    def _figure(self, rows: pd.DataFrame) -> str:
        if len(rows) != 1:
            return self.style.missing
        return estimate_cell({**rows.iloc[0].to_dict(), "measure": self.metric}, self.style)

    def _difference(self, rows: pd.DataFrame) -> tuple[str, str]:
        """Second minus first condition, whichever way the frame took it."""
        first, second = self.conditions
        for text, sign in ((f"{second} - {first}", 1), (f"{first} - {second}", -1)):
            found = rows[rows["condition"] == text]
            if len(found) == 1:
                return _signed(found.iloc[0], sign, self.style)
        return self.style.missing, self.style.missing

    def _named(self, name: str) -> str:
        return self.labels.get(name, name[:1].upper() + name[1:])


_SINGLE_READERS = "Of a single reader: against the variance over cases, for this reader only."


def reader_effect_table(
    frame: pd.DataFrame,
    *,
    labels: Labels | None = None,
    title: str = "Differences between reading conditions",
    table_id: str = "reader_effects",
    preset: Preset = "ama",
) -> Table:
    """Every comparison of a reader study: overall, by experience, of times and of decisions.

    Parameters
    ----------
    frame : DataFrame
        Frame of a `ReaderStudy` or an `AssistanceEffect`.
    labels : mapping of str to str, optional
        Printed names of conditions, groups and terms.
    title, table_id : str
    preset : str or NumberPreset
    """
    require_columns(frame, ("measure", "estimate", "p_value"), table="table of reader effects")
    style, names = number_preset(preset), labels or {}
    shown = [row for row in frame.to_dict("records") if row["measure"] in _EFFECTS]
    adjusted = any(_known(row.get("p_adjusted")) for row in shown)
    symbol = f"{style.p_symbol} value"
    headers = (symbol, f"Adjusted {style.p_symbol}") if adjusted else (symbol,)
    columns = ("Comparison", f"Estimate ({confidence_words(frame)})", "df", *headers)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=tuple(_effect_cells(row, names, style, adjusted=adjusted) for row in shown),
        notes=(
            "Differences of the readers' averages; ratios of geometric mean reading times; changes "
            "of decisions as shares of the readings.",
        ),
        abbreviations=(*abbreviations_in(*columns), ("df", "degrees of freedom")),
        italics=style.italics,
    )


def _effect_cells(
    row: Mapping[Any, Any], names: Labels, style: NumberPreset, *, adjusted: bool
) -> tuple[str, ...]:
    kind = "ratio" if str(row["measure"]).startswith("reading_time") else "number"
    limits = (row.get("conf_low", np.nan), row.get("conf_high", np.nan))
    cells = (
        _effect_name(row, names),
        format_estimate(row["estimate"], *limits, decimals=3, kind=kind, preset=style),
        format_number(row.get("df", np.nan), 1, preset=style),
        format_p(row["p_value"], preset=style),
    )
    if not adjusted:
        return cells
    p = row.get("p_adjusted")
    return (*cells, format_p(p, preset=style) if _known(p) else style.missing)


def _effect_name(row: Mapping[Any, Any], names: Labels) -> str:
    measure = str(row["measure"])
    what = [row.get(key) for key in ("condition", "group", "term")]
    told = ", ".join(_printed(str(text), names) for text in what if _known(text))
    kind = _KINDS.get(measure, measure.replace("_", " ").capitalize())
    return f"{kind}: {told}" if told else kind


def _printed(text: str, names: Labels) -> str:
    """`aided - unaided` with the names of both."""
    for between, sign in ((" - ", " minus "), (" / ", " over ")):
        parts = text.split(between)
        if len(parts) == 2:
            return sign.join(names.get(part, part) for part in parts)
    return names.get(text, text)


def _known(value: object) -> bool:
    return value is not None and not pd.isna(value)


def _signed(row: pd.Series[Any], sign: int, style: NumberPreset) -> tuple[str, str]:
    low, high = sorted((sign * row["conf_low"], sign * row["conf_high"]))
    estimate = format_estimate(sign * row["estimate"], low, high, decimals=3, preset=style)
    return estimate, format_p(row["p_value"], preset=style)
