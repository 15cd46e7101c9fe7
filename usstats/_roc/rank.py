"""Columns of a design that carry no information of their own, found and named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from usstats._fits.scaling import ROWS_AT_A_TIME, Scaling, scale_columns
from usstats.errors import DesignError

Float = np.float64
Matrix = NDArray[Float]

#: A column whose part outside the span of the others is smaller than this is dependent.
DEPENDENT = 1e-10
_ROUNDING = 16 * np.finfo(float).eps


def check_full_rank(X: Matrix, names: Sequence[str]) -> None:
    """Refuse constant, duplicate and linearly dependent columns, by name.

    Parameters
    ----------
    X : ndarray, shape (n, k)
        Design with its column of ones.
    names : sequence of str
        Names of the k columns.

    Raises
    ------
    DesignError
    """
    scaling = scale_columns(X)
    largest = _refuse_constant(X, names, scaling)
    tolerance = np.maximum(DEPENDENT, _ROUNDING * largest / scaling.spread)
    if _surely_independent(X, scaling, float(tolerance.max())):
        return
    R = _triangle(X, scaling)
    _, R, order = linalg.qr(R, mode="economic", pivoting=True)
    tolerance = tolerance[order]
    diagonal = np.abs(np.diag(R))
    dependent = np.flatnonzero(diagonal <= tolerance * np.sqrt(len(X)))
    if dependent.size:
        involved = _involved(R, int(dependent[0]))
        found = [f"`{names[j]}`" for j in sorted(int(order[j]) for j in involved)]
        msg = (
            f"Columns depend on each other: {', '.join(found)}. One of them is a linear "
            "combination of the rest; leave one out."
        )
        raise DesignError(msg)


def check_variation(X: Matrix, names: Sequence[str]) -> None:
    """Refuse columns that are the same in all rows, by name.

    Raises
    ------
    DesignError
    """
    _refuse_constant(X, names, scale_columns(X))


def _refuse_constant(X: Matrix, names: Sequence[str], scaling: Scaling) -> NDArray[Float]:
    """The largest absolute value of each column, none of which is constant."""
    low, high = X.min(axis=0), X.max(axis=0)
    largest = np.maximum(high, -low)
    flat = high - low <= _ROUNDING * largest
    flat[scaling.intercept or 0] = False
    if flat.any():
        found = ", ".join(
            f"`{name}` (always {value:g})"
            for name, value, constant in zip(names, X[0], flat, strict=True)
            if constant
        )
        msg = f"Columns without variation cannot be predictors: {found}."
        raise DesignError(msg)
    return np.asarray(largest)


def _surely_independent(X: Matrix, scaling: Scaling, tolerance: float) -> bool:
    """Whether the correlations alone rule out dependence: no eigenvalue is small."""
    gram = np.zeros((X.shape[1],) * 2)
    for start in range(0, len(X), ROWS_AT_A_TIME):
        part = scaling.apply(X[start : start + ROWS_AT_A_TIME])
        gram += part.T @ part
    smallest = float(np.linalg.eigvalsh(gram / len(X))[0])
    return smallest > 1e-6 and smallest > (10 * tolerance) ** 2


def _triangle(X: Matrix, scaling: Scaling) -> Matrix:
    """R of the scaled design, accumulated so that large designs are not copied."""
    R: Matrix = np.empty((0, X.shape[1]))
    size = 16 * ROWS_AT_A_TIME
    for start in range(0, len(X), size):
        piece = scaling.apply(X[start : start + size])
        R = np.asarray(np.linalg.qr(np.vstack([R, piece]), mode="r"))
    return R


def _involved(R: Matrix, first: int) -> set[int]:
    """Pivoted columns that make up the dependent one: its own and those with weight in it."""
    if not first:
        return {0}
    weights = linalg.solve_triangular(R[:first, :first], R[:first, first])
    return {first, *(int(j) for j in np.flatnonzero(np.abs(weights) > 1e-6))}
