"""Numbers out of whatever a column holds.

`pandas.to_numeric` crashes the interpreter on text such as 9e2147483648, which hashes contain.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?|[+-]?inf(inity)?", re.IGNORECASE)


def as_number(cell: Any) -> float:
    """A cell as a number; NaN where it is none.

    >>> as_number(" 1.5e3"), as_number("9e2147483648"), as_number(True)
    (1500.0, nan, 1.0)
    """
    if isinstance(cell, int | float | Decimal | np.number | np.bool_):
        return float(cell)
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()):
        return float(cell)
    return np.nan


def as_numbers(column: pd.Series[Any]) -> pd.Series[float]:
    """A column as floats; NaN where a cell is no number."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    return pd.Series([as_number(cell) for cell in column], index=column.index, dtype=float)
