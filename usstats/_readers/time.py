"""Reading time: the paired ratio aided to unaided, over readers and cases."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._numbers import as_numbers
from usstats._readers.checks import plain_label, reading_label
from usstats._readers.groups import PerReader, figures_of_readers, mean_row
from usstats._readers.metrics import mean_of
from usstats._readers.plan import Plan
from usstats._readers.table import ReaderTable
from usstats.errors import RiskError

Float = np.float64
_METRIC = mean_of("log reading time", bounded=False)


def log_times(data: pd.DataFrame, columns: Mapping[str, str], table: ReaderTable) -> NDArray[Float]:
    """Log of the reading times in the shape of the ratings, NaN where none was taken.

    Raises
    ------
    RiskError
        Text, zero, negative or infinite times.
    """
    column = data[columns["reading_time"]]
    values = as_numbers(column).to_numpy()
    given = column.notna().to_numpy(dtype=bool)
    bad = given & ~(np.isfinite(values) & (values > 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"`reading_time` must be positive (seconds, say); {int(bad.sum())} of {len(values)} "
            f"rows are not (first: {plain_label(column.iloc[first])!r} at row {first}: "
            f"{reading_label(data, columns, first)}). Leave the field empty where no time was "
            "taken."
        )
        raise RiskError(msg)
    if not given.any():
        msg = f"`reading_time` (column {column.name!r}) is empty."
        raise RiskError(msg)
    return table.spread(np.log(values))


def log_ratios(times: NDArray[Float], table: ReaderTable) -> PerReader:
    """Mean over cases of log(aided / unaided), for readers and cases with both times.

    Raises
    ------
    RiskError
        A reader without a case timed in both conditions.
    """
    ratio = times[:, 0, :] - times[:, 1, :]
    alone = np.isnan(ratio).all(axis=0)
    if alone.any():
        reader = table.readers[int(np.flatnonzero(alone)[0])]
        msg = (
            f"`reading_time`: {int(alone.sum())} readers have no case timed in both conditions "
            f"(first: {reader!r})."
        )
        raise RiskError(msg)
    return figures_of_readers(ratio, table.event, _METRIC, table.cluster)


def time_table(times: NDArray[Float], table: ReaderTable, plan: Plan) -> pd.DataFrame:
    """Geometric mean time in each condition, and their ratio with its test against 1."""
    paired = np.isfinite(times).all(axis=1)
    rows: list[dict[str, Hashable]] = []
    for i, condition in enumerate(table.conditions):
        own = np.where(paired, times[:, i, :], np.nan)
        numbers = figures_of_readers(own, table.event, _METRIC, table.cluster)
        row = exponentiated(mean_row(numbers, plan, test=False))
        rows.append({"measure": "reading_time", "condition": condition, **row})
    ratio = exponentiated(mean_row(log_ratios(times, table), plan))
    label = f"{table.conditions[0]} / {table.conditions[1]}"
    rows.append({"measure": "reading_time_ratio", "condition": label, **ratio})
    return pd.DataFrame(rows).assign(n_readings=int(paired.sum()))


def exponentiated(row: Mapping[str, float]) -> dict[str, float]:
    """Estimate and limits on the ratio scale; std_error stays that of the logarithm."""
    scale = ("estimate", "conf_low", "conf_high")
    return {name: float(np.exp(v)) if name in scale else v for name, v in row.items()}
