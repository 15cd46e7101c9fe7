"""Ratings of subjects by raters as category numbers, and the weights between categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats.errors import ArgumentError, MissingDataError, PairingError

Float = np.float64
Ratings = ArrayLike | pd.DataFrame

WEIGHTS = ("linear", "quadratic")


@dataclass(frozen=True, kw_only=True)
class RatingTable:
    """Category numbers, -1 where a rater did not rate.

    Attributes
    ----------
    codes : ndarray of int, shape (n, k)
    levels : tuple
        The categories, in the order their numbers count.
    ordered : bool
        Whether that order was declared or is that of numbers, not of the alphabet.
    """

    codes: NDArray[np.int64]
    levels: tuple[Any, ...]
    ordered: bool

    @property
    def n(self) -> int:
        return len(self.codes)

    def counts(self) -> NDArray[Float]:
        """How many raters chose each category; shape (n, q)."""
        categories = np.arange(len(self.levels))
        return np.asarray((self.codes[:, :, None] == categories).sum(axis=1), dtype=float)


def read_ratings(ratings: Ratings, *, levels: Sequence[Any] | None, complete: bool) -> RatingTable:
    """Check a table of one row a subject and one column a rater.

    Raises
    ------
    ArgumentError
        Fewer than two raters or categories, a rating that is not among `levels`.
    MissingDataError
        A rating is missing and the coefficient needs them all.
    """
    table = _yes_no_as_numbers(pd.DataFrame(cast("Any", ratings)))
    if table.shape[1] < 2 or table.empty:
        msg = (
            f"Ratings need one row a subject and one column for each of two or more raters; "
            f"got {table.shape[0]} x {table.shape[1]}."
        )
        raise ArgumentError(msg)
    known, ordered = _levels(table, levels)
    codes = np.column_stack([pd.Categorical(column, known).codes for _, column in table.items()])
    missing = table.isna().to_numpy()
    unknown = (codes < 0) & ~missing
    if unknown.any():
        row, rater = np.argwhere(unknown)[0]
        msg = f"Rating {table.iloc[row, rater]!r} (row {row}) is not among the levels {known}."
        raise ArgumentError(msg)
    if complete and missing.any():
        msg = (
            f"{int(missing.any(axis=1).sum())} subjects lack a rating (first: row "
            f"{int(np.flatnonzero(missing.any(axis=1))[0])}). Use krippendorff_alpha or gwet_ac, "
            "which take missing ratings, or leave the subjects out and say so."
        )
        raise MissingDataError(msg)
    return RatingTable(codes=codes.astype(np.int64), levels=tuple(known), ordered=ordered)


def _yes_no_as_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """True and False as 1 and 0 where another rater wrote numbers."""
    flags = [pd.api.types.is_bool_dtype(dtype) for dtype in table.dtypes]
    if all(flags) or not any(flags):
        return table
    columns = [
        c.astype("Int64") if f else c for f, (_, c) in zip(flags, table.items(), strict=True)
    ]
    return pd.concat(columns, axis=1)


def _levels(table: pd.DataFrame, levels: Sequence[Any] | None) -> tuple[list[Any], bool]:
    if levels is not None:
        known = list(levels)
        ordered = True
    elif all(isinstance(dtype, pd.CategoricalDtype) for dtype in table.dtypes):
        known, ordered = _shared_categories(table), all(t.ordered for t in table.dtypes)
    else:
        values = pd.unique(table.melt()["value"].dropna())
        ordered = all(isinstance(v, int | float | np.number | np.bool_) for v in values)
        known = sorted(values) if ordered else sorted(values, key=str)
    if len(set(known)) != len(known) or len(known) < 1:
        msg = f"`levels` must name each category once; got {known}."
        raise ArgumentError(msg)
    return known, ordered


def _shared_categories(table: pd.DataFrame) -> list[Any]:
    first = list(table.dtypes.iloc[0].categories)
    if any(list(dtype.categories) != first for dtype in table.dtypes):
        msg = "The raters' columns are categorical with different categories; give `levels`."
        raise ArgumentError(msg)
    return first


def agreement_weights(weights: str | ArrayLike | None, table: RatingTable) -> NDArray[Float]:
    """Weights w_kl of agreement: 1 on the diagonal, less the further two categories lie apart.

    Raises
    ------
    ArgumentError
        Unknown name, wrong shape, or weights between categories that have no declared order.
    """
    q = len(table.levels)
    if weights is None:
        return np.eye(q)
    if not isinstance(weights, str):
        return _own_weights(np.asarray(weights, dtype=float), q)
    if weights not in WEIGHTS:
        msg = f"`weights` must be None, 'linear', 'quadratic' or a matrix; got {weights!r}."
        raise ArgumentError(msg)
    if not table.ordered:
        msg = (
            f"Weighted agreement needs the order of the categories {list(table.levels)}: give "
            "`levels` from lowest to highest, or an ordered categorical."
        )
        raise ArgumentError(msg)
    apart = np.abs(np.subtract.outer(np.arange(q), np.arange(q))) / max(q - 1, 1)
    return np.asarray(1 - apart if weights == "linear" else 1 - apart**2)


def _own_weights(matrix: NDArray[Float], q: int) -> NDArray[Float]:
    symmetric = matrix.shape == (q, q) and np.allclose(matrix, matrix.T)
    if not symmetric or not np.allclose(np.diag(matrix), 1):
        msg = f"A weight matrix must be {q} x {q}, symmetric, with ones on the diagonal."
        raise ArgumentError(msg)
    return matrix


def paired_ratings(rater_1: ArrayLike, rater_2: ArrayLike) -> pd.DataFrame:
    """Two raters' columns side by side.

    Raises
    ------
    PairingError
    """
    first, second = pd.Series(rater_1), pd.Series(rater_2)
    if len(first) != len(second):
        msg = f"Both raters must rate the same subjects; `rater_1` has {len(first)}, `rater_2` "
        msg += f"{len(second)}."
        raise PairingError(msg)
    return pd.DataFrame({"rater_1": first.array, "rater_2": second.array})
