"""Columns of a table as numbers and level codes for the imputation models, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import Float, check_option
from usstats._imputing.chained import DRAWS, Column
from usstats.errors import ArgumentError, DesignError, MissingDataError

Method: TypeAlias = Literal["pmm", "norm", "sample"] | Mapping[str, str]

#: How a variable is drawn: text and categories by a logistic model, numbers as asked for.
_NUMERIC_METHODS = ("pmm", "norm", "sample")
_LEVEL_METHODS = ("logistic", "multinomial", "sample")
#: A text column with more levels than this and hardly a repeat is a label, not a factor.
_MOST_LEVELS = 20


def is_label(column: pd.Series) -> bool:
    """Whether a column names its row (identifier, date, free text) rather than describes it."""
    name = str(column.name).lower()
    if name == "id" or name.endswith("_id") or pd.api.types.is_datetime64_any_dtype(column):
        return True
    n_level = column.nunique()
    return _is_text(column) and n_level > _MOST_LEVELS and n_level > column.count() / 2


def _is_text(column: pd.Series) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(column)
        or pd.api.types.is_bool_dtype(column)
        or isinstance(column.dtype, pd.CategoricalDtype)
    )


def as_column(column: pd.Series, method: Method) -> Column:
    """Values or level codes, the holes, and how they are to be drawn."""
    missing = column.isna().to_numpy()
    if missing.all():
        msg = f"{column.name!r} has no observed value at all; it cannot be imputed. Exclude it."
        raise MissingDataError(msg)
    levels = _levels(column)
    values = _numbers(column) if levels is None else _codes(column, levels)
    n_level = 0 if levels is None else len(levels)
    return Column(
        name=str(column.name),
        values=values,
        missing=missing,
        n_level=n_level,
        method=_method_of(str(column.name), n_level, method),
    )


def _levels(column: pd.Series) -> list[Any] | None:
    """Levels of a factor in their order; None for a numeric variable."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        present = set(column.dropna())
        return [level for level in column.cat.categories if level in present]
    observed = pd.unique(column.dropna())
    if pd.api.types.is_numeric_dtype(column) and not set(observed) <= {0, 1}:
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        msg = f"{column.name!r} holds dates; turn them into a duration or exclude the column."
        raise DesignError(msg)
    return sorted(observed, key=lambda level: (str(type(level)), level))


def _numbers(column: pd.Series) -> NDArray[Float]:
    values = column.to_numpy(dtype=Float, na_value=np.nan)
    infinite = np.isinf(values)
    if infinite.any():
        msg = (
            f"{column.name!r} has {infinite.sum()} infinite values (first at row "
            f"{int(np.flatnonzero(infinite)[0])}); make them missing or correct them."
        )
        raise DesignError(msg)
    return values


def _codes(column: pd.Series, levels: list[Any]) -> NDArray[Float]:
    lookup = {level: float(i) for i, level in enumerate(levels)}
    return np.array([lookup.get(value, np.nan) for value in column], dtype=Float)


def _method_of(name: str, n_level: int, method: Method) -> str:
    default = "logistic" if n_level == 2 else "multinomial"
    if isinstance(method, Mapping):
        chosen = method.get(name, default if n_level else "pmm")
    else:
        check_option(method, _NUMERIC_METHODS, name="method")
        chosen = default if n_level and method != "sample" else method
    check_option(chosen, DRAWS, name=f"method[{name!r}]")
    if chosen not in (_LEVEL_METHODS if n_level else _NUMERIC_METHODS):
        kind = f"a factor with {n_level} levels" if n_level else "numeric"
        msg = f"{name!r} is {kind}; it cannot be drawn by {chosen!r}."
        raise ArgumentError(msg)
    return chosen


def decode(column: pd.Series, drawn: NDArray[Float], spec: Column) -> NDArray[Any]:
    """Drawn numbers or codes as values of the original column."""
    if not spec.n_level:
        return drawn
    levels = pd.Index(_levels(column) or ()).to_numpy()
    return np.asarray(levels[drawn.astype(np.int64)])


def completed(original: pd.DataFrame, drawn: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """A new frame with the holes filled; complete columns are untouched."""
    data = original.copy()
    for name, values in drawn.items():
        column = data[name]
        if pd.api.types.is_integer_dtype(column) and not np.array_equal(values, values.round()):
            column = column.astype("Float64")
        filled = column.copy()
        filled[column.isna().to_numpy()] = values
        data[name] = filled
    return data
