"""A manuscript table as a value: cells that are text already, and what stands around them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from reports.files import clean_text
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = [
    "ALIGNMENTS",
    "LANDSCAPE_ABOVE",
    "LANDSCAPE_CHARACTERS",
    "PORTRAIT_CHARACTERS",
    "Table",
    "footnote_mark",
]

ALIGNMENTS = ("left", "decimal", "center")
#: A table with more columns than this needs a landscape page.
LANDSCAPE_ABOVE = 7
#: So many characters of table text fit across a page, upright and on its side.
PORTRAIT_CHARACTERS, LANDSCAPE_CHARACTERS = 107, 165
_LEAST_COLUMN, _LONGEST_COLUMN, _GUTTER = 6, 40, 2
#: A stub or a text may break from here on, a number never.
_LONGEST_UNBROKEN = 16
#: Headers are bold: so many characters of plain text take their room.
_BOLD = 1.2
_WHOLE = re.compile(r"[<>]? ?[−+]?[\d/]*")
_MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"


def footnote_mark(position: int) -> str:
    """Superscript letter of footnote `position`, counted from 0.

    >>> footnote_mark(0), footnote_mark(2)
    ('ᵃ', 'ᶜ')
    """
    if not 0 <= position < len(_MARKS):
        msg = f"`position` must lie between 0 and {len(_MARKS) - 1}; got {position}."
        raise ArgumentError(msg)
    return _MARKS[position]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One manuscript table; the same cells go to Word, HTML and CSV.

    Attributes
    ----------
    id : str
        Also the file name.
    title : str
    columns : tuple of str
        Headers; the first column is the stub.
    rows : tuple of tuple of str
        Cells that are text already: nothing is rounded later.
    label : str
        For example `Table 1`; stands before the title.
    footnotes : tuple of str
        In the order of their marks, see `footnote_mark`.
    abbreviations : tuple of (str, str)
    notes : tuple of str
        What holds for the whole table: sample, unit of analysis, interval method.
    align : tuple of {"left", "decimal", "center"}
        One a column; by default the stub left, the rest at the decimal mark.
    indent : tuple of int
        Level of each row's stub; by default 0.
    italics : tuple of str
        Symbols set in italics, see `reports.markup`.

    Raises
    ------
    ArgumentError
        A row of another length, a cell that is not text, an unknown alignment.

    Examples
    --------
    >>> Table(id="t", title="AUC", columns=("Model", "AUC"), rows=(("Nomogram", "0.91"),))
    <Table 't': 1 row x 2 columns>
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    label: str = ""
    footnotes: tuple[str, ...] = ()
    abbreviations: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    align: tuple[str, ...] = ()
    indent: tuple[int, ...] = ()
    italics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self._filled().items():
            object.__setattr__(self, name, value)
        self._check()

    def __repr__(self) -> str:
        rows = f"{len(self.rows)} row{'' if len(self.rows) == 1 else 's'}"
        return f"<Table {self.id!r}: {rows} x {len(self.columns)} columns>"

    @property
    def caption(self) -> str:
        """Label and title in one line."""
        return f"{self.label}. {self.title}" if self.label else self.title

    @property
    def marked_footnotes(self) -> tuple[tuple[str, str], ...]:
        """(superscript letter, text) of each footnote."""
        return tuple((footnote_mark(i), text) for i, text in enumerate(self.footnotes))

    @cached_property
    def whole_widths(self) -> tuple[int, ...]:
        """Characters of the longest whole part of each column, to align at the decimal mark."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return tuple(
            max((len(self.whole_part(t)) for t in column), default=0) for column in columns
        )

    @cached_property
    def column_widths(self) -> tuple[int, ...]:
        """Characters each column needs; one long text counts as so much as a line should hold."""
        return tuple(self._width(position) for position in range(len(self.columns)))

    @property
    def is_wide(self) -> bool:
        """Whether it needs a landscape page."""
        too_long = sum(self.least_widths) > PORTRAIT_CHARACTERS
        return len(self.columns) > LANDSCAPE_ABOVE or too_long

    @cached_property
    def least_widths(self) -> tuple[int, ...]:
        """Characters below which a number or a word of a column would break."""
        return tuple(self._least(position) for position in range(len(self.columns)))

    def fitted_widths(self, room: int) -> tuple[int, ...]:
        """Characters of each column on a line of `room`: headers and texts break, numbers never.

        A table that needs more than the room gets what it needs.
        """
        given = list(self.least_widths)
        spare = max(room - sum(given), 0)
        texts_first = sorted(range(len(given)), key=lambda i: (i > 0, self.align[i] != "left"))
        for i in texts_first:
            more = min(self.column_widths[i] - given[i], spare)
            given[i] += more
            spare -= more
        return tuple(given)

    @property
    def written_abbreviations(self) -> str:
        """The line that spells the abbreviations out; empty where there are none."""
        spelled = "; ".join(f"{short}, {long}" for short, long in self.abbreviations)
        return f"Abbreviations: {spelled}." if spelled else ""

    @property
    def lines_below(self) -> tuple[str, ...]:
        """Footnotes, notes and abbreviations in the order they are printed."""
        marked = (f"{mark} {text}" for mark, text in self.marked_footnotes)
        last = self.written_abbreviations
        return (*marked, *self.notes, *([last] if last else []))

    @staticmethod
    def whole_part(text: str) -> str:
        """What stands left of the decimal mark of a cell that begins with a number.

        >>> [Table.whole_part(text) for text in ("12.5 (3.1)", "38/252 (15.1%)", "<.001", "–")]
        ['12', '38/252', '<', '']
        """
        found = _WHOLE.match(text)
        return found.group() if found else ""

    def labelled(self, label: str) -> Table:
        """The same table under another label."""
        return replace(self, label=label)

    def _width(self, position: int) -> int:
        """Characters of a column: aligned cells have their longest whole and longest rest."""
        header = math.ceil(_BOLD * len(self.columns[position]))
        needed = max(self._longest_cell(position) + 1, header) + _GUTTER
        return max(min(needed, _LONGEST_COLUMN), self._least(position))

    def _least(self, position: int) -> int:
        words = [math.ceil(_BOLD * len(word)) for word in self.columns[position].split()]
        longest = self._longest_cell(position)
        if position == 0 or self.align[position] == "left":
            words += [len(word) for row in self.rows for word in row[position].split()]
            longest = min(longest, _LONGEST_UNBROKEN)
        needed = max(longest, *words, 0) + _GUTTER
        return min(max(needed, _LEAST_COLUMN), _LONGEST_COLUMN)

    def _longest_cell(self, position: int) -> int:
        cells = [row[position] for row in self.rows]
        if self.align[position] != "decimal":
            return max((len(cell) for cell in cells), default=0)
        rests = (len(cell) - len(self.whole_part(cell)) for cell in cells)
        return self.whole_widths[position] + max(rests, default=0)

    def _filled(self) -> dict[str, object]:
        """Defaults in place, and every text free of control characters."""
        stub_and_rest = ("left", *["decimal"] * (len(self.columns) - 1))
        abbreviations = (
            tuple(self.abbreviations.items())
            if isinstance(self.abbreviations, Mapping)
            else tuple(self.abbreviations)
        )
        return {
            "title": clean_text(self.title),
            "label": clean_text(self.label),
            "columns": _clean(self.columns),
            "rows": tuple(_clean(row) for row in self.rows),
            "footnotes": _clean(self.footnotes),
            "notes": _clean(self.notes),
            "abbreviations": tuple(_clean(pair) for pair in abbreviations),
            "align": tuple(self.align) or stub_and_rest,
            "indent": tuple(int(level) for level in self.indent) or (0,) * len(self.rows),
            "italics": tuple(self.italics),
        }

    def _check(self) -> None:
        width = len(self.columns)
        for number, row in enumerate(self.rows):
            if len(row) != width:
                msg = f"Row {number} of table {self.id!r} has {len(row)} cells; expected {width}."
                raise ArgumentError(msg)
        for name, expected in (("align", width), ("indent", len(self.rows))):
            found = len(getattr(self, name))
            if found != expected:
                msg = f"`{name}` of table {self.id!r} has {found} entries; expected {expected}."
                raise ArgumentError(msg)
        for alignment in self.align:
            check_option(alignment, ALIGNMENTS, name="align")


def _clean(texts: Sequence[str]) -> tuple[str, ...]:
    """Texts without control characters; a cell that is no text yet is refused."""
    for text in texts:
        if not isinstance(text, str):
            msg = f"A table cell must be text; got {text!r}. Format it with `reports.numbers`."
            raise ArgumentError(msg)
    return tuple(clean_text(text) for text in texts)
