"""Column facts: type, unit, range, levels. Read from tables/*.yaml and from a study's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from data_schema.errors import SchemaError
from data_schema.strict_yaml import load_strict_yaml

TABLES = Path(__file__).parent / "tables"
TYPES = ("string", "integer", "number", "boolean", "date")


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column holds.

    Attributes
    ----------
    type : {"string", "integer", "number", "boolean", "date"}
    unit, label, description : str
    minimum, maximum : float, optional
        Values outside are refused.
    plausible : (low, high), optional
        Values outside are warned of: a wrong unit, or a rare patient.
    levels : tuple of str, optional
        All values a text column may hold, the reference level first.
    positive : str, optional
        The level that is the event, where the column is an outcome.
    present : bool
        The column must be in the file.
    required : bool
        The column must be in the file and have no empty cell.
    unique, identifier : bool
        Cells of an identifier are text, and never repeated in a message.
    missing : tuple of str
        Codes that stand for a missing value; an empty cell always does.
    other_units : tuple of (unit, factor)
        Units a study may declare instead; a value times the factor is in `unit`. The ranges
        follow the declared unit.
    centre : bool
        Rows can be compared between the values of this column, to find a wrong unit.
    """

    name: str
    type: str = "string"
    unit: str = ""
    label: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    plausible: tuple[float | None, float | None] | None = None
    levels: tuple[str, ...] | None = None
    positive: str | None = None
    present: bool = False
    required: bool = False
    unique: bool = False
    identifier: bool = False
    centre: bool = False
    missing: tuple[str, ...] = ()
    other_units: tuple[tuple[str, float], ...] = ()

    @classmethod
    def declared(cls, name: str, facts: Mapping[str, Any], *, base: Column | None = None) -> Column:
        """A column from a declaration; what it leaves out is taken from `base`.

        Raises
        ------
        SchemaError
            An unknown key, type or malformed range; the message names the column.
        """
        checked = _checked_facts(name, dict(facts))
        if base is not None and checked.get("type", base.type) == base.type:
            return replace(base._in_unit(checked.get("unit", base.unit)), **checked)
        return cls(name=name, **checked)

    def _in_unit(self, unit: str) -> Column:
        """This column with its ranges in another unit; without ranges where none is known."""
        if unit == self.unit:
            return self
        factor = dict(self.other_units).get(unit)
        if factor is None:
            return replace(self, unit=unit, minimum=None, maximum=None, plausible=None)
        low, high = self.plausible or (None, None)
        return replace(
            self,
            unit=unit,
            minimum=_divided(self.minimum, factor),
            maximum=_divided(self.maximum, factor),
            plausible=(_divided(low, factor), _divided(high, factor)),
        )

    @property
    def is_numeric(self) -> bool:
        """The cells are numbers."""
        return self.type in ("integer", "number")


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """Cells of `column` must be found in `reference_column` of the table `reference`."""

    column: str
    reference: str
    reference_column: str


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """The columns of one table, and what identifies a row.

    Examples
    --------
    >>> load_schema("patients")["fsh"].unit
    'IU/L'
    """

    name: str
    description: str = ""
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()

    def __getitem__(self, name: str) -> Column:
        found = self.get(name)
        if found is None:
            msg = f"The table {self.name} declares no column {name!r}."
            raise KeyError(msg)
        return found

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The declared columns, in order."""
        return tuple(column.name for column in self.columns)

    def get(self, name: str) -> Column | None:
        """The declared column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def with_columns(self, columns: Mapping[str, Mapping[str, Any]]) -> Self:
        """This schema with a study's own columns added, or its declarations changed.

        A column a study declares must be in its file.
        """
        own = {
            name: Column.declared(name, {"present": True, **facts}, base=self.get(name))
            for name, facts in columns.items()
        }
        kept = tuple(own.pop(column.name, column) for column in self.columns)
        return replace(self, columns=(*kept, *own.values()))

    def with_outcome(
        self, column: str, *, positive: str, negative: str, others: Sequence[str] = ()
    ) -> Self:
        """This schema with the outcome's labels declared; `others` are labels left out later."""
        facts = {
            "type": "string",
            "levels": [negative, positive, *others],
            "positive": positive,
            "label": "outcome",
        }
        return self.with_columns({column: facts})


def load_schema(
    name: str, *, columns: Mapping[str, Mapping[str, Any]] | None = None
) -> TableSchema:
    """The schema of a study's table.

    Parameters
    ----------
    name : {"patients", "images", "predictions", "readings", "splits"}
    columns : mapping, optional
        A study's own declarations, column name -> facts (see `Column`).

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> schema = load_schema("patients", columns={"crp": {"type": "number", "unit": "mg/L"}})
    >>> schema["crp"].unit
    'mg/L'
    """
    known = sorted(path.stem for path in TABLES.glob("*.yaml"))
    if name not in known:
        msg = f"There is no table {name!r}; the tables of a study are {', '.join(known)}."
        raise SchemaError(msg)
    content = load_strict_yaml(TABLES / f"{name}.yaml")
    schema = TableSchema(
        name=content["name"],
        description=content["description"],
        columns=tuple(Column.declared(facts.pop("name"), facts) for facts in content["fields"]),
        primary_key=tuple(content.get("primaryKey", ())),
        foreign_keys=tuple(ForeignKey(**key) for key in content.get("foreignKeys", ())),
    )
    return schema.with_columns(columns) if columns else schema


def _checked_facts(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    if "range" in facts:
        facts["minimum"], facts["maximum"] = _pair(name, "range", facts.pop("range"))
    if "plausible" in facts:
        facts["plausible"] = _pair(name, "plausible", facts["plausible"])
    known = [field.name for field in fields(Column) if field.name != "name"]
    for key in facts:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            msg = f"column {name}: unknown key {key!r}.{hint} Known: {', '.join(known)}, range."
            raise SchemaError(msg)
    if facts.get("type", "string") not in TYPES:
        msg = f"column {name}: type must be one of {', '.join(TYPES)}; got {facts['type']!r}."
        raise SchemaError(msg)
    for key in ("levels", "missing"):
        if key in facts:
            facts[key] = _texts(name, key, facts[key])
    if "other_units" in facts:
        facts["other_units"] = tuple(dict(facts["other_units"]).items())
    _check_positive(name, facts)
    return facts


def _divided(end: float | None, factor: float) -> float | None:
    return None if end is None else end / factor


def _check_positive(name: str, facts: Mapping[str, Any]) -> None:
    positive = facts.get("positive")
    if positive is not None and positive not in (facts.get("levels") or (positive,)):
        msg = f"column {name}: positive {positive!r} is not among its levels."
        raise SchemaError(msg)


def _pair(name: str, key: str, value: Any) -> tuple[float | None, float | None]:
    ends = tuple(value) if isinstance(value, list | tuple) else ()
    numbers = [end for end in ends if end is not None]
    fine = len(ends) == 2 and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in numbers
    )
    if not fine or numbers != sorted(numbers):
        msg = f"column {name}: {key} must be [low, high], numbers or null; got {value!r}."
        raise SchemaError(msg)
    return ends


def _texts(name: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or any(isinstance(item, dict | list) for item in value):
        msg = f"column {name}: {key} must be a list of texts; got {value!r}."
        raise SchemaError(msg)
    texts = tuple(_as_written(item) for item in value)
    if len(set(texts)) < len(texts):
        msg = f"column {name}: {key} holds a value twice."
        raise SchemaError(msg)
    return texts


def _as_written(item: Any) -> str:
    """Text of a YAML scalar: an unquoted 1 or true means the text a CSV cell holds."""
    return str(item).lower() if isinstance(item, bool) else str(item)
