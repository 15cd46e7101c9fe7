"""A file of readings, one row a reading, turned into an array of cases, conditions and readers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._fits.columns import check_present
from usstats._readers.checks import (
    check_clusters_of_cases,
    check_duplicates,
    check_labels,
    check_readers_meet_conditions,
    check_truth_of_cases,
    plain_label,
    truth_column,
)
from usstats.errors import ArgumentError, DesignError, PairingError

Float = np.float64
Int = np.int64
_MAY_SHARE = ({"case", "cluster"}, {"rating", "decision"})


@dataclass(frozen=True, kw_only=True, eq=False)
class ReaderTable:
    """Readings of n cases under I conditions by J readers.

    Attributes
    ----------
    readers, conditions, cases : tuple
        Labels, sorted (in category order where the column is categorical).
    event : ndarray of bool, shape (n,)
    ratings : ndarray, shape (n, I, J)
        NaN where the reader did not read the case in that condition.
    row : ndarray of int, shape (n, I, J)
        Position in the file; -1 where there is no reading.
    cluster : ndarray of int, shape (n,), optional
        Patient of each case, 0..K-1.
    """

    readers: tuple[Hashable, ...]
    conditions: tuple[Hashable, ...]
    cases: tuple[Hashable, ...]
    event: NDArray[np.bool_]
    ratings: NDArray[Float]
    row: NDArray[Int]
    cluster: NDArray[Int] | None = None

    @property
    def read(self) -> NDArray[np.bool_]:
        return np.asarray(self.row >= 0)

    @property
    def n_cluster(self) -> int | None:
        return None if self.cluster is None else int(self.cluster.max()) + 1

    def spread(self, column: NDArray[Float]) -> NDArray[Float]:
        """A column of the file in the shape of the ratings, NaN where there is no reading."""
        return np.asarray(np.append(column, np.nan)[self.row])

    def with_ratings(self, ratings: NDArray[Float]) -> ReaderTable:
        """The same readings with other values."""
        return replace(self, ratings=np.where(self.read, ratings, np.nan))

    def of_readers(self, chosen: NDArray[np.bool_]) -> ReaderTable:
        """A part of the readers."""
        keep = np.flatnonzero(chosen)
        return replace(
            self,
            readers=tuple(self.readers[j] for j in keep),
            ratings=self.ratings[:, :, keep],
            row=self.row[:, :, keep],
        )

    def of_conditions(self, order: list[int]) -> ReaderTable:
        """Some conditions, in the order given."""
        return replace(
            self,
            conditions=tuple(self.conditions[i] for i in order),
            ratings=self.ratings[:, order, :],
            row=self.row[:, order, :],
        )


def read_table(
    data: pd.DataFrame, columns: Mapping[str, str], *, rating_values: NDArray[Float]
) -> ReaderTable:
    """Check a file of readings and give it its shape.

    Parameters
    ----------
    data : DataFrame
    columns : mapping
        Names of the columns truth, case, reader, condition, rating and optionally cluster.
    rating_values : ndarray, shape (rows,)

    Raises
    ------
    DesignError, PairingError, OutcomeError
    """
    labels = {role: _codes(data, columns, role) for role in ("reader", "condition", "case")}
    codes = {role: found[0] for role, found in labels.items()}
    names = {role: found[1] for role, found in labels.items()}
    check_duplicates(codes, names)
    event = check_truth_of_cases(truth_column(data, columns), codes, names)
    shape = tuple(len(names[role]) for role in ("case", "condition", "reader"))
    row = np.full(shape, -1, dtype=Int)
    row[codes["case"], codes["condition"], codes["reader"]] = np.arange(len(data))
    check_readers_meet_conditions(row, names)
    cluster = None
    if "cluster" in columns:
        patients, labels_of = _codes(data, columns, "cluster")
        cluster = check_clusters_of_cases(patients, labels_of, codes, names)
    return ReaderTable(
        readers=names["reader"],
        conditions=names["condition"],
        cases=names["case"],
        event=event,
        ratings=np.append(rating_values, np.nan)[row],
        row=row,
        cluster=cluster,
    )


def with_columns(
    data: pd.DataFrame, roles: Mapping[str, Any], keys: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Name the column of every role that is given; values take a column of their own.

    Parameters
    ----------
    data : DataFrame
    roles : mapping
        Column names, None, one value a row, or for the roles in `keys` a mapping (or Series) from
        the labels of that other role.
    keys : mapping
        For example {"experience": "reader"}.

    Raises
    ------
    DesignError, PairingError
    """
    columns = {role: name for role, name in roles.items() if isinstance(name, str)}
    loose = {role: v for role, v in roles.items() if v is not None and role not in columns}
    if not loose:
        return data, columns
    check_present(data, columns.values())
    stem = "_" * (1 + max(len(str(name)) for name in data.columns))
    added = {}
    for role, values in loose.items():
        keyed = role in keys and isinstance(values, Mapping | pd.Series)
        column = (
            _by_key(data, columns[keys[role]], values, role)
            if keyed
            else _one_a_row(data, values, role)
        )
        columns[role] = f"{role}{stem}"
        added[columns[role]] = np.asarray(column)
    return data.assign(**added), columns


def _by_key(data: pd.DataFrame, key: str, values: Any, role: str) -> pd.Series[Any]:
    found = data[key].map(values)
    lacking = data.loc[found.isna(), key].dropna().unique()
    if len(lacking):
        first = ", ".join(repr(plain_label(label)) for label in lacking[:3])
        msg = f"`{role}` has no value for {len(lacking)} labels of column {key!r} (first: {first})."
        raise DesignError(msg)
    return found


def _one_a_row(data: pd.DataFrame, values: Any, role: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (len(data),):
        msg = (
            f"`{role}` must be a column of `data` or one value a row ({len(data)}); it has shape "
            f"{array.shape}."
        )
        raise PairingError(msg)
    return array


def check_columns(data: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """Every named column is there, and none serves twice."""
    for role, name in columns.items():
        if not isinstance(name, str):
            msg = f"`{role}` must be the name of a column of `data`; got {type(name).__name__}."
            raise ArgumentError(msg)
    check_present(data, columns.values())
    roles: dict[str, str] = {}
    for role, name in columns.items():
        if name in roles and {role, roles[name]} not in _MAY_SHARE:
            msg = f"`{role}` and `{roles[name]}` are the same column {name!r}."
            raise ArgumentError(msg)
        roles.setdefault(name, role)


def _codes(
    data: pd.DataFrame, columns: Mapping[str, str], role: str
) -> tuple[NDArray[Int], tuple[Hashable, ...]]:
    """Numbers 0, 1, ... of the labels in sorted or category order, and the labels."""
    column = data[columns[role]]
    check_labels(column, role)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        levels = tuple(plain_label(level) for level in column.cat.categories)
        return np.asarray(column.cat.codes, dtype=Int), levels
    codes, found = pd.factorize(column.to_numpy(dtype=object), sort=False)
    if len({str(label) for label in found}) < len(found):
        msg = f"`{role}` holds the same label as text and as a number; make them all text."
        raise DesignError(msg)
    order = sorted_labels(list(found))
    rank = np.empty(len(order), dtype=Int)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[codes]), tuple(plain_label(found[i]) for i in order)


def sorted_labels(labels: list[Any]) -> list[int]:
    """Positions in sorted order; labels of several kinds are sorted by their text."""
    try:
        return sorted(range(len(labels)), key=lambda i: labels[i])
    except TypeError:
        return sorted(range(len(labels)), key=lambda i: str(labels[i]))
