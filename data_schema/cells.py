"""Text cells to typed values; a cell that is not what its column declares is named, not coerced."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from data_schema.problems import Problem, Severity
from data_schema.schema import Column

NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*", re.ASCII)
_ID_FROM_NUMBER = re.compile(r"[0-9]+\.0+|[0-9](\.[0-9]+)?[eE]\+?[0-9]+", re.ASCII)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+", re.ASCII)
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_COMMA = re.compile(r"[ \t]*[+-]?[0-9]+(,[0-9]+)+(\.[0-9]+)?[ \t]*", re.ASCII)
_CENSORED = re.compile(r"\s*[<>≤≥＜＞]=?\s*[0-9].*")
_WITH_UNIT = re.compile(r"\s*[+-]?[0-9]+([.,][0-9]+)?\s*[^\W\d_][^\s\d]{0,7}\s*|\s*[0-9.,]+\s*%\s*")
_ABSENT = frozenset(
    (
        *("na", "n/a", "n.a.", "n / a", "nan", "none", "null", "nil", "nd", "n.d.", "unk"),
        *("-", "--", "–", "—", ".", "?", "unknown", "missing", "not available"),
        *("not applicable", "not done", "not measured"),
    )
)
_HUGE, _TINY = 1e300, 1e-300
_TRUTH = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_FEW = 5
_FIRST_YEAR = 1800

#: code -> (what is expected, what to do, may the cell be shown)
_NUMBER_FAULTS: Mapping[str, tuple[str, str, bool]] = MappingProxyType(
    {
        "unicode_digits": ("ASCII digits and signs", "write them with 0-9, - and .", True),
        "decimal_comma": (
            "a decimal point and no thousands separator",
            "write 12.5, or declare `decimal: ','` for the file",
            True,
        ),
        "censored_value": (
            "a number",
            "decide on a rule for values beyond the detection limit and write the number",
            True,
        ),
        "unit_in_cell": ("a bare number", "put the unit into the declaration", True),
        "undeclared_missing": (
            "an empty cell, or a declared code",
            "empty the cell, or declare the code under `missing`",
            True,
        ),
        "not_a_number": ("a number", "correct the cell", False),
        "not_finite": ("a finite number of usual size", "correct the cell", True),
        "not_whole": ("a whole number", "correct the cell, or declare type: number", True),
    }
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a column stands, for the messages about it."""

    file: str
    column: Column
    lines: tuple[int, ...]

    def problem(
        self,
        code: str,
        bad: Sequence[bool] | pd.Series[bool] | np.ndarray[Any, Any],
        *,
        found: str,
        expected: str,
        remedy: str,
        severity: Severity = "error",
    ) -> list[Problem]:
        """A problem about the rows where `bad` holds; none where it holds nowhere."""
        rows = tuple(self.lines[i] for i in np.flatnonzero(np.asarray(bad)))
        if not rows:
            return []
        return [
            Problem(
                file=self.file,
                column=self.column.name,
                rows=rows,
                n=len(rows),
                code=code,
                severity=severity,
                found=found,
                expected=expected,
                remedy=remedy,
            )
        ]


def typed(
    place: Place, cells: Sequence[str], *, decimal: str = "."
) -> tuple[pd.Series[Any], list[Problem]]:
    """The cells of a column as its declared type; what cannot be read is NaN and a problem."""
    text = pd.Series(cells, dtype=object)
    missing = (text.str.strip() == "") | text.isin(place.column.missing)
    known = text.mask(missing)
    convert = _CONVERTERS[place.column.type]
    return convert(place, known, decimal)


def inferred(place: Place, cells: Sequence[str]) -> pd.Series[Any]:
    """The cells of a column nobody declared: numbers where all are, else text."""
    text = pd.Series(cells, dtype=object)
    known = text.mask(text.str.strip() == "")
    present = known.dropna()
    numeric = len(present) > 0 and all(
        NUMBER.fullmatch(cell) and not _LEADING_ZERO.fullmatch(cell.strip())
        for cell in present.unique()
    )
    return known.astype(float) if numeric else known


def normal_id(text: str) -> str:
    """What an identifier looks like to a careless eye: no case, no spaces, no width."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _string(
    place: Place, known: pd.Series[Any], decimal: str
) -> tuple[pd.Series[Any], list[Problem]]:
    if place.column.identifier:
        return known, _identifier_faults(place, known)
    if place.column.levels is not None:
        return _levels(place, known, place.column.levels)
    return known, []


def _identifier_faults(place: Place, known: pd.Series[Any]) -> list[Problem]:
    spaced = known.notna() & (known != known.str.strip())
    damaged = known.notna() & known.str.fullmatch(_ID_FROM_NUMBER.pattern, na=False)
    return [
        *place.problem(
            "identifier_space",
            spaced,
            found="identifiers with spaces around them",
            expected="the same text everywhere",
            remedy="remove the spaces",
        ),
        *place.problem(
            "identifier_number_format",
            damaged.astype(bool),
            found="identifiers that went through a number format (1.0, 1.2E+15)",
            expected="text as it was given",
            remedy="take the identifiers from the source again, in a text column",
        ),
    ]


def _levels(
    place: Place, known: pd.Series[Any], levels: tuple[str, ...]
) -> tuple[pd.Series[Any], list[Problem]]:
    unknown = known.notna() & ~known.isin(levels)
    values = pd.Series(pd.Categorical(known.mask(unknown), categories=list(levels)))
    return values, place.problem(
        "unknown_level",
        unknown,
        found=_shown(known[unknown]),
        expected=f"one of {', '.join(levels)}",
        remedy=_level_remedy(known[unknown].unique().tolist(), levels),
    )


def _level_remedy(unknown: Sequence[str], levels: tuple[str, ...]) -> str:
    declared = {normal_id(level): level for level in levels}
    near = [declared[normal_id(text)] for text in unknown if normal_id(text) in declared]
    if near:
        return f"write {near[0]} exactly so (case and spaces count)"
    if any(text.strip().casefold() in _ABSENT for text in unknown):
        return "empty the cell, or declare the code under `missing`"
    return "correct the cells, or declare the level"


def _number(
    place: Place, known: pd.Series[Any], decimal: str
) -> tuple[pd.Series[Any], list[Problem]]:
    codes, cells = pd.factorize(known)
    pairs = [_parse_number(str(cell), decimal) for cell in cells]
    values = np.array([value for value, _ in pairs] + [np.nan])
    faults = np.array([fault for _, fault in pairs] + [""], dtype=object)[codes]
    problems = [
        problem for code in _NUMBER_FAULTS for problem in _number_fault(place, known, faults, code)
    ]
    return pd.Series(values[codes]), problems


def _number_fault(
    place: Place, known: pd.Series[Any], faults: np.ndarray[Any, Any], code: str
) -> list[Problem]:
    expected, remedy, shown = _NUMBER_FAULTS[code]
    bad = faults == code
    found = _shown(known[bad]) if shown and not place.column.identifier else "text"
    return place.problem(code, bad, found=found, expected=expected, remedy=remedy)


def _parse_number(cell: str, decimal: str) -> tuple[float, str]:
    """(value, fault); the value is NaN where there is a fault."""
    text = cell
    if decimal != "." and _COMMA.fullmatch(cell) and cell.count(",") == 1 and "." not in cell:
        text = cell.replace(decimal, ".")
    elif decimal != "." and "." in cell:
        return np.nan, "decimal_comma"
    if not NUMBER.fullmatch(text):
        return np.nan, _why_not_a_number(cell)
    value = float(text)
    if abs(value) > _HUGE or 0 < abs(value) < _TINY:
        return np.nan, "not_finite"
    return value, ""


def _why_not_a_number(cell: str) -> str:
    plain = unicodedata.normalize("NFKC", cell).replace("\u2212", "-").replace("\u2013", "-")
    if cell.strip().casefold() in _ABSENT:
        return "undeclared_missing"
    if plain != cell and NUMBER.fullmatch(plain):
        return "unicode_digits"
    for code, pattern in (
        ("decimal_comma", _COMMA),
        ("censored_value", _CENSORED),
        ("unit_in_cell", _WITH_UNIT),
    ):
        if pattern.fullmatch(plain):
            return code
    return (
        "not_finite"
        if plain.strip().lstrip("+-").casefold() in ("inf", "infinity")
        else ("not_a_number")
    )


def _integer(
    place: Place, known: pd.Series[Any], decimal: str
) -> tuple[pd.Series[Any], list[Problem]]:
    values, problems = _number(place, known, decimal)
    broken = values.notna() & (values != values.round())
    expected, remedy, _ = _NUMBER_FAULTS["not_whole"]
    problems += place.problem(
        "not_whole", broken, found=_shown(known[broken]), expected=expected, remedy=remedy
    )
    whole = values.mask(broken)
    return whole if whole.isna().any() else whole.astype(np.int64), problems


def _boolean(
    place: Place, known: pd.Series[Any], decimal: str
) -> tuple[pd.Series[Any], list[Problem]]:
    values = known.str.strip().str.casefold().map(_TRUTH)
    unknown = known.notna() & values.isna()
    problems = place.problem(
        "unknown_level",
        unknown,
        found=_shown(known[unknown]),
        expected="true or false, 1 or 0",
        remedy="correct the cells, or declare type: string with levels",
    )
    return (values if values.isna().any() else values.astype(bool)), problems


def _date(
    place: Place, known: pd.Series[Any], decimal: str
) -> tuple[pd.Series[Any], list[Problem]]:
    parsed = known.map(_iso_date, na_action="ignore")
    unread = known.notna() & parsed.isna()
    future = parsed.notna() & (parsed > pd.Timestamp(date.today()))
    problems = place.problem(
        "not_a_date",
        unread,
        found="dates in another form, or days that do not exist",
        expected="YYYY-MM-DD",
        remedy="write, for example, 2024-03-09",
    ) + place.problem(
        "future_date",
        future,
        found="dates after today",
        expected="a day that has come",
        remedy="correct the year",
    )
    return pd.to_datetime(parsed.mask(future)), problems


def _iso_date(cell: str) -> pd.Timestamp | None:
    if not _ISO_DATE.fullmatch(cell.strip()):
        return None
    try:
        day = date.fromisoformat(cell.strip())
    except ValueError:
        return None
    return pd.Timestamp(day) if day.year >= _FIRST_YEAR else None


def _shown(cells: pd.Series[Any]) -> str:
    """A few different cells, for a column that identifies nobody."""
    different = cells.unique()
    shown = ", ".join(repr(str(cell)[:20]) for cell in different[:_FEW])
    more = len(different) - _FEW
    return shown + (f" and {more} other values" if more > 0 else "")


_Converter = Callable[[Place, "pd.Series[Any]", str], "tuple[pd.Series[Any], list[Problem]]"]
_CONVERTERS: Mapping[str, _Converter] = MappingProxyType(
    {
        "string": _string,
        "integer": _integer,
        "number": _number,
        "boolean": _boolean,
        "date": _date,
    }
)
