"""Reading the tables of a study: every fault in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from data_schema.cells import Place, inferred, typed
from data_schema.checks import check_columns, check_keys, check_plausible, check_units
from data_schema.errors import SchemaError
from data_schema.problems import Problem
from data_schema.reading import Dialect, Grid, read_grid
from data_schema.relations import Table, check_relations
from data_schema.schema import Column, TableSchema


def read_table(
    path: str | Path,
    schema: TableSchema,
    *,
    encoding: str | None = None,
    separator: str = ",",
    decimal: str = ".",
) -> tuple[pd.DataFrame, list[Problem]]:
    """Read one table as text, type it by its schema, and say everything that is wrong with it.

    Parameters
    ----------
    path : path
    schema : TableSchema
        From `load_schema`.
    encoding : str, optional
        UTF-8 (with or without a byte-order mark) where it is not given.
    separator, decimal : str

    Returns
    -------
    frame : DataFrame
        Identifiers and other text as str, columns with levels as categories in declared order,
        numbers as float, complete integers as int, dates as datetime; NaN where a cell is empty
        or could not be read. Columns nobody declared are numbers where every cell is one.
    problems : list of Problem
        Empty where the table is fine; see `assert_valid`.

    Examples
    --------
    >>> import tempfile
    >>> from data_schema import load_schema
    >>> path = Path(tempfile.mkdtemp()) / "patients.csv"
    >>> _ = path.write_text('patient_id,cohort,fsh\\n007,development,"12,5"\\n')
    >>> frame, problems = read_table(path, load_schema("patients"))
    >>> frame.patient_id.tolist(), problems[0].code, problems[0].rows
    (['007'], 'decimal_comma', (2,))
    """
    dialect = Dialect(encoding=encoding, separator=separator)
    table, problems = _read(Path(path), schema, dialect, decimal)
    return table.frame, problems


def read_tables(
    paths: Mapping[str, str | Path],
    schemas: Mapping[str, TableSchema],
    *,
    encoding: str | None = None,
    separator: str = ",",
    decimal: str = ".",
) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Read the tables of a study and check them against each other.

    Parameters
    ----------
    paths : mapping
        Table name -> file.
    schemas : mapping
        Table name -> schema, for the same names.
    encoding, separator, decimal
        As in `read_table`, for all files.

    Returns
    -------
    frames : dict of DataFrame
    problems : list of Problem
        Those of every table, then those between tables: keys that point nowhere or match only
        nearly, patients in two cohorts, patients without an image.
    """
    unknown = sorted(set(paths) - set(schemas))
    if unknown:
        msg = f"There is no schema for the tables {', '.join(unknown)}."
        raise SchemaError(msg)
    dialect = Dialect(encoding=encoding, separator=separator)
    tables, problems = {}, []
    for name, path in paths.items():
        tables[name], found = _read(Path(path), schemas[name], dialect, decimal)
        problems += found
    problems += check_relations(tables)
    return {name: table.frame for name, table in tables.items()}, problems


def _read(
    path: Path, schema: TableSchema, dialect: Dialect, decimal: str
) -> tuple[Table, list[Problem]]:
    grid, problems = read_grid(path, dialect)
    if grid is None:
        empty = pd.DataFrame(columns=list(schema.names))
        return Table(file=path.name, schema=schema, frame=empty, lines=()), problems
    frame = _typed_frame(grid, schema, decimal, problems)
    for check in (check_columns, check_plausible, check_keys, check_units):
        problems += check(grid.file, frame, schema, grid.lines)
    return Table(file=grid.file, schema=schema, frame=frame, lines=grid.lines), problems


def _typed_frame(
    grid: Grid, schema: TableSchema, decimal: str, problems: list[Problem]
) -> pd.DataFrame:
    columns = {}
    for name, cells in zip(grid.names, grid.cells, strict=True):
        declared = schema.get(name)
        place = Place(file=grid.file, column=declared or Column(name=name), lines=grid.lines)
        if declared is None:
            columns[name] = inferred(place, cells)
            problems.append(_undeclared(grid.file, name, columns[name]))
        else:
            columns[name], found = typed(place, cells, decimal=decimal)
            problems += found
    return pd.DataFrame(columns)


def _undeclared(file: str, name: str, values: pd.Series[Any]) -> Problem:
    kind = "numbers" if pd.api.types.is_numeric_dtype(values) else "text"
    return Problem(
        file=file,
        column=name,
        code="undeclared_column",
        severity="warning",
        found=f"a column nobody declared, read as {kind}",
        expected="a declaration with type, unit and range",
        remedy="declare it under `columns` in study.yaml, or remove it",
    )
