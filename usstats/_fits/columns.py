"""Columns of a user's table, read as numbers or as level labels, or refused with the rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._numbers import as_numbers
from usstats.errors import DesignError, MissingDataError

Float = np.float64

#: The column that names the patients of a table, where there is one.
PATIENT_COLUMN = "patient_id"
#: A text column with more levels than this is an identifier or free text, not a factor.
MOST_LEVELS = 20
#: Covariates beyond this, or all below its inverse, are not computed with.
LARGEST = 1e50
_SHOWN = 3


def check_present(data: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse a table that lacks a model variable or holds it twice."""
    if not isinstance(data, pd.DataFrame):
        msg = f"`data` must be a pandas DataFrame; got {type(data).__name__}."
        raise DesignError(msg)
    if not len(data):
        msg = "`data` has no rows."
        raise DesignError(msg)
    columns = [str(column) for column in data.columns]
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=3)
            hint = f"did you mean {near}?" if near else f"the table has {columns[:12]}."
            msg = f"The table has no column `{name}`; {hint}"
            raise DesignError(msg)
        if name not in data.columns:
            msg = f"Column names must be text; `{name}` is a number. Use data.rename(columns=str)."
            raise DesignError(msg)
        if columns.count(name) > 1:
            msg = f"The table has {columns.count(name)} columns named `{name}`; rename them."
            raise DesignError(msg)


def rows_in_words(data: pd.DataFrame, bad: NDArray[np.bool_]) -> str:
    """How many rows are concerned and which come first, by patient where patients are named."""
    first = np.flatnonzero(bad)[:_SHOWN]
    rows = f"{int(bad.sum())} of {bad.size} rows (first: row {', '.join(map(str, first))}"
    if PATIENT_COLUMN in data.columns:
        patients = data[PATIENT_COLUMN].to_numpy()[first]
        rows += f"; patient {', '.join(map(str, patients))}"
    return rows + ")"


def is_label_column(column: pd.Series[Any]) -> bool:
    """Whether a column holds categories: text, booleans or a pandas categorical."""
    if pd.api.types.is_bool_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return kind not in {"integer", "floating", "mixed-integer-float", "decimal", "empty"}


def check_describes(column: pd.Series[Any], *, declared: bool) -> None:
    """Refuse identifiers, dates and free text as predictors."""
    name, kind = str(column.name), pd.api.types.infer_dtype(column, skipna=True)
    if kind == "mixed" or (kind == "mixed-integer" and not declared):
        msg = f"`{name}` mixes numbers, text or other kinds of values; give it one kind."
        raise DesignError(msg)
    if kind in {"datetime64", "datetime", "date"}:
        msg = f"`{name}` holds dates; turn them into a duration, for example an age in years."
        raise DesignError(msg)
    if name.lower() in (PATIENT_COLUMN, "image_id", "id"):
        msg = f"`{name}` names patients or images; an identifier cannot be a predictor."
        raise DesignError(msg)
    if declared or not is_label_column(column) or column.nunique() <= MOST_LEVELS:
        return
    numbers = int(np.isfinite(as_numbers(column.astype(str))).sum())
    msg = f"`{name}` is text with {column.nunique()} different values"
    msg += (
        f", of which {numbers} rows read as numbers. Convert it to numbers first."
        if numbers
        else f". If it is a category write C({name}); an identifier cannot be a predictor."
    )
    raise DesignError(msg)


def read_numbers(data: pd.DataFrame, name: str) -> NDArray[Float]:
    """A column as floats, NaN where missing; text and infinite values are refused."""
    column = data[name]
    if is_label_column(column) and not pd.api.types.is_bool_dtype(column):
        msg = (
            f"`{name}` must be numeric here; it holds {pd.api.types.infer_dtype(column)} "
            "values. Convert it, or use C(...) for a category."
        )
        raise DesignError(msg)
    values = _floats(column)
    if np.isinf(values).any():
        infinite = np.isinf(values)
        msg = f"`{name}` is infinite in {rows_in_words(data, infinite)}."
        raise DesignError(msg)
    _check_magnitude(name, values, data)
    return values


def _floats(column: pd.Series[Any]) -> NDArray[Float]:
    """The values as floats in one piece: rows of a table lie apart in memory."""
    if column.dtype == np.float64:
        return np.ascontiguousarray(column.to_numpy())
    return np.asarray(pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan))


def _check_magnitude(name: str, values: NDArray[Float], data: pd.DataFrame) -> None:
    """Numbers whose squares and products a float cannot hold are refused before they overflow."""
    largest = max(values.max(initial=0.0), -values.min(initial=0.0))
    if largest > LARGEST:
        large = np.abs(values) > LARGEST
        msg = (
            f"`{name}` is larger than {LARGEST:g} in {rows_in_words(data, large)}; first value "
            f"{values[large][0]:g}. Correct these values, or change the unit."
        )
        raise DesignError(msg)
    if 0 < largest < 1 / LARGEST:
        msg = f"`{name}` is nowhere larger than {largest:g}; change its unit."
        raise DesignError(msg)


def read_labels(data: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """A column as text labels, None where missing; 2.0 and 2 are the same level."""
    values, missing = data[name].to_numpy(dtype=object), data[name].isna().to_numpy()
    return np.array(
        [None if gone else label_of(value) for value, gone in zip(values, missing, strict=True)],
        dtype=object,
    )


def label_of(value: object) -> str:
    """The text of a level."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def observed_levels(data: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Levels that occur: in the order of a categorical, else sorted (numbers as numbers)."""
    column = data[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        ordered = [label_of(level) for level in column.cat.categories]
    else:
        present = list(pd.unique(column.dropna()))
        ordered = [label_of(level) for level in _sorted(present)]
    found = set(read_labels(data, name))
    return tuple(dict.fromkeys(level for level in ordered if level in found))


def _sorted(values: Sequence[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)


def level_codes(data: pd.DataFrame, name: str, levels: Sequence[str]) -> NDArray[Float]:
    """Positions of the levels; an unseen level is refused with its rows."""
    labels = read_labels(data, name)
    position = {level: float(i) for i, level in enumerate(levels)}
    codes = np.array([np.nan if v is None else position.get(v, -1.0) for v in labels])
    unseen = codes == -1.0
    if unseen.any():
        found = sorted(set(labels[unseen]))[:_SHOWN]
        msg = (
            f"`{name}` holds levels the model was not developed with: {found} in "
            f"{rows_in_words(data, unseen)}. Known levels: {list(levels)}."
        )
        raise DesignError(msg)
    return codes


def missing_counts(data: pd.DataFrame, names: Iterable[str]) -> dict[str, int]:
    """Missing values per column, only where there are any."""
    counts = {name: int(np.count_nonzero(pd.isna(data[name].to_numpy()))) for name in names}
    return {name: count for name, count in counts.items() if count}


def check_complete(data: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse missing values, with counts per column.

    Raises
    ------
    MissingDataError
    """
    counts = missing_counts(data, names)
    if counts:
        rows = data[list(names)].isna().any(axis=1).to_numpy()
        found = ", ".join(f"`{name}` {count}" for name, count in counts.items())
        msg = (
            f"Model variables have missing values: {found}; {rows_in_words(data, rows)}. Impute "
            'them with `impute`, or pass missing="complete_case" to leave these rows out.'
        )
        raise MissingDataError(msg)
