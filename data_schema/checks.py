"""Checks of typed columns: what must be there, what must differ, what lies out of range."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data_schema.cells import Place, normal_id
from data_schema.problems import Problem
from data_schema.schema import Column, TableSchema

#: A centre whose median is this many times that of the others has probably another unit.
UNIT_FACTOR = 5.0
_LEAST_PER_CENTRE = 5


def pandera_schema(schema: TableSchema) -> pa.DataFrameSchema:
    """The hard facts of a table (required cells, ranges, levels) for an already typed frame.

    Examples
    --------
    >>> from data_schema.schema import load_schema
    >>> table = pd.DataFrame({"patient_id": ["a", "b"], "fold": [0, 1]})
    >>> len(pandera_schema(load_schema("splits")).validate(table))
    2
    """
    columns = {
        column.name: pa.Column(
            nullable=not column.required,
            required=column.required or column.present,
            unique=column.unique and schema.primary_key != (column.name,),
            checks=_hard_checks(column),
        )
        for column in schema.columns
    }
    return pa.DataFrameSchema(columns)


def _hard_checks(column: Column) -> list[pa.Check]:
    checks = []
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum, error="out_of_range"))
    if column.maximum is not None:
        checks.append(pa.Check.le(column.maximum, error="out_of_range"))
    return checks


def check_columns(
    file: str, frame: pd.DataFrame, schema: TableSchema, lines: tuple[int, ...]
) -> list[Problem]:
    """Absent columns, empty required cells, repeated cells, values out of range."""
    failures = _failures(frame, schema)
    problems: list[Problem] = []
    for (name, check), cases in failures.groupby(["column", "check"], sort=False, dropna=False):
        if check == "column_in_dataframe":
            problems += [_absent(file, absent, frame) for absent in cases["failure_case"]]
        else:
            place = Place(file=file, column=schema[str(name)], lines=lines)
            problems += _value_problem(place, str(check), cases["index"].astype(int), frame)
    return problems


def _failures(frame: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """All failing cells: column, check, failure_case, index."""
    try:
        with warnings.catch_warnings():
            # pandera joins its failures in a way pandas has announced to change
            warnings.simplefilter("ignore", FutureWarning)
            pandera_schema(schema).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures: pd.DataFrame = error.failure_cases
        return failures
    return pd.DataFrame(columns=["column", "check", "failure_case", "index"])


def _absent(file: str, name: str, frame: pd.DataFrame) -> Problem:
    near = [column for column in frame.columns if normal_id(column) == normal_id(name)]
    return Problem(
        file=file,
        column=name,
        code="absent_column",
        found=f"the column {near[0]!r}" if near else "no such column",
        expected=f"a column named {name}",
        remedy="rename it" if near else "add it",
    )


def _value_problem(
    place: Place, check: str, positions: pd.Series[int], frame: pd.DataFrame
) -> list[Problem]:
    bad = np.zeros(len(frame), dtype=bool)
    bad[positions.to_numpy()] = True
    if check == "not_nullable":
        found, expected, remedy = "empty cells", "a value in every row", "fill them in"
        return place.problem("empty_cell", bad, found=found, expected=expected, remedy=remedy)
    if check == "field_uniqueness":
        found, expected, remedy = "repeated cells", "different cells", "correct the cells"
        return place.problem("duplicate", bad, found=found, expected=expected, remedy=remedy)
    column = place.column
    return place.problem(
        "out_of_range",
        bad,
        found=_extent(frame.loc[bad, column.name]),
        expected=_range_text(column, column.minimum, column.maximum),
        remedy="correct the cells, or declare the unit they are in",
    )


def check_plausible(
    file: str, frame: pd.DataFrame, schema: TableSchema, lines: tuple[int, ...]
) -> list[Problem]:
    """Values that are possible and rare: a warning."""
    problems = []
    for column in schema.columns:
        if column.plausible is None or column.name not in frame:
            continue
        low, high = column.plausible
        values = frame[column.name]
        bad = (values < (-np.inf if low is None else low)) | (
            values > (np.inf if high is None else high)
        )
        bad &= values.between(_or(column.minimum, -np.inf), _or(column.maximum, np.inf))
        problems += Place(file=file, column=column, lines=lines).problem(
            "implausible",
            bad,
            found=_extent(values[bad]),
            expected=f"usually {_range_text(column, low, high)}",
            remedy="check the unit; leave the cells if they are right",
            severity="warning",
        )
    return problems


def check_keys(
    file: str, frame: pd.DataFrame, schema: TableSchema, lines: tuple[int, ...]
) -> list[Problem]:
    """Rows that repeat the primary key, and keys that differ by case or space alone."""
    key = [name for name in schema.primary_key if name in frame]
    if len(key) < len(schema.primary_key) or frame.empty:
        return []
    column = Column(name=" + ".join(key), identifier=True)
    place = Place(file=file, column=column, lines=lines)
    whole = frame[key].notna().all(axis=1)
    again = whole & frame.duplicated(key, keep=False)
    apart = _across_cohorts(frame, key) if "cohort" in frame and "cohort" not in key else ~whole
    text = frame[key].map(lambda cell: normal_id(str(cell)))
    near = whole & ~again & text.duplicated(keep=False)
    return [
        *place.problem(
            "patient_across_cohorts",
            again & apart,
            found="the same identifier in two cohorts",
            expected="one cohort a patient (R03)",
            remedy="keep the patient in one cohort",
        ),
        *place.problem(
            "duplicate",
            again & ~apart,
            found="rows that repeat an identifier",
            expected="one row each",
            remedy="remove or rename the repeated rows",
        ),
        *place.problem(
            "near_match",
            near,
            found="identifiers that differ by case, spaces or character width alone",
            expected="clearly different identifiers",
            remedy="make them equal or clearly different",
        ),
    ]


def _across_cohorts(frame: pd.DataFrame, key: Sequence[str]) -> pd.Series[bool]:
    found: pd.Series[bool] = frame.groupby(list(key))["cohort"].transform("nunique") > 1
    return found


def check_units(
    file: str, frame: pd.DataFrame, schema: TableSchema, lines: tuple[int, ...]
) -> list[Problem]:
    """Columns whose median in one centre is many times that of the others: a warning."""
    groups = [c.name for c in schema.columns if c.centre or c.name == "cohort"]
    problems = []
    for group in (name for name in groups if name in frame):
        for column in schema.columns:
            if column.type == "number" and column.name in frame:
                place = Place(file=file, column=column, lines=lines)
                problems += _unit_problems(place, frame[column.name], frame[group])
    return problems


def _unit_problems(place: Place, values: pd.Series[Any], group: pd.Series[Any]) -> list[Problem]:
    positive = values.where(values > 0)
    problems = []
    for name, mine in positive.groupby(group, observed=True):
        others = positive[(group != name) & group.notna()].dropna()
        if min(mine.count(), len(others)) < _LEAST_PER_CENTRE:
            continue
        ratio = float(np.exp(np.log(mine).median() - np.log(others).median()))
        if max(ratio, 1 / ratio) < UNIT_FACTOR or _smaller_side(mine, others):
            continue
        problems += place.problem(
            "unit_mixture",
            (group == name) & values.notna(),
            found=f"a median {ratio:.3g} times that of the other values of {group.name}",
            expected=f"one unit everywhere ({place.column.unit or 'as declared'})",
            remedy="check the unit of these rows",
            severity="warning",
        )
    return problems


def _smaller_side(mine: pd.Series[Any], others: pd.Series[Any]) -> bool:
    """With two centres each is off from the other: name the smaller one alone."""
    return bool(mine.count() > len(others))


def _extent(values: pd.Series[Any]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"values from {low:g} to {high:g}"


def _range_text(column: Column, low: float | None, high: float | None) -> str:
    unit = f" {column.unit}" if column.unit else ""
    if low is None:
        return f"at most {high:g}{unit}"
    return f"at least {low:g}{unit}" if high is None else f"{low:g} to {high:g}{unit}"


def _or(end: float | None, otherwise: float) -> float:
    return otherwise if end is None else end
