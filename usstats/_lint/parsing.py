"""Plain columns and labels out of whatever a table holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

#: Columns whose cells are names, whatever they look like.
IDENTIFIERS = ("patient_id", "image_id", "reader", "case", "model_hash")


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table with plain columns: identifiers as text, numbers as numpy numbers, everything else
    as objects with None where a cell is missing; rows numbered from 0, a repeated column once."""
    columns = {str(name): table.iloc[:, i] for i, name in enumerate(table.columns)}
    return pd.DataFrame(
        {
            name: _identifiers(values) if name in IDENTIFIERS else _plain_column(values)
            for name, values in columns.items()
        }
    )


def _identifiers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Text, so that 7, 7.0 and "7" are one patient in every table."""
    return pd.Series([plain_label(cell) for cell in values], dtype=object)


def plain_label(value: Any) -> str | None:
    """A label as text: 1.0, True and 1 are one label."""
    if _is_missing(value):
        return None
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _plain_column(values: pd.Series[Any]) -> pd.Series[Any]:
    dtype = values.dtype
    if pd.api.types.is_bool_dtype(dtype) or not pd.api.types.is_numeric_dtype(dtype):
        cells = [None if _is_missing(cell) else cell for cell in values]
        if any(cell is not None for cell in cells) and all(map(_is_number, cells)):
            return pd.Series([np.nan if c is None else c for c in cells]).infer_objects()
        return pd.Series(cells, dtype=object)
    if pd.api.types.is_integer_dtype(dtype) and not values.isna().any():
        return pd.Series(values.to_numpy(dtype=np.int64))
    return pd.Series(values.to_numpy(dtype=float, na_value=np.nan))


def _is_number(cell: Any) -> bool:
    number = isinstance(cell, int | float | np.number) and not isinstance(cell, bool | np.bool_)
    return cell is None or number


def _is_missing(cell: Any) -> bool:
    missing = cell is None or cell is pd.NA or cell is pd.NaT
    return missing or (isinstance(cell, float | np.floating) and bool(np.isnan(cell)))
