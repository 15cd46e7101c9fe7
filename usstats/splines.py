"""Restricted cubic splines: Harrell's knots and the truncated power basis of Hmisc and rms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats.errors import DesignError

Float = np.float64
Vector = NDArray[Float]

#: The share of the rows at the smallest (largest) value that counts as a floor (ceiling).
TIED_SHARE = 0.05
#: Below this number of values the outer knots are the 5th smallest and the 5th largest.
FEW_VALUES = 100
FEWEST_BESIDE_TIES = 5
FEWEST_KNOTS, MOST_KNOTS = 3, 7


def harrell_knots(x: ArrayLike, k: int) -> Vector:
    """Place `k` knots by the rules of Harrell's `rcspline.eval`.

    Parameters
    ----------
    x : array_like, shape (n,)
        Development values of the variable; missing ones are left out.
    k : int
        Number of knots, 3 to 7.

    Returns
    -------
    ndarray, shape (at most k,)
        Knots in increasing order, in the unit of `x`; fewer than `k` where quantiles coincide.

    Raises
    ------
    DesignError
        Fewer than 6 values, or too few distinct values for 3 knots.

    Notes
    -----
    Type-7 quantiles between an outer share (.10 for 3 knots, .05 for 4 to 6, .025 for 7) and its
    complement. A floor or ceiling moves an outer knot to the neighbouring distinct value, and the
    other knots become quantiles of the remaining rows. With fewer than 100 of those, outer knots
    that no floor or ceiling moved are the 5th smallest and the 5th largest value.
    Harrell, Regression Modeling Strategies, 2nd ed., section 2.4.6; R function
    `Hmisc::rcspline.eval`.

    Examples
    --------
    >>> harrell_knots(range(101), 4).tolist()
    [5.0, 35.0, 65.0, 95.0]
    """
    values = _sorted_values(x)
    check_knot_count(k)
    distinct = np.unique(values)
    if distinct.size - 2 <= k:
        return _three_at_least(distinct[1:-1])
    first, last, rest = _floor_and_ceiling(values)
    return _three_at_least(np.concatenate([first, _inner_knots(rest, k, first, last), last]))


def check_knot_count(k: int) -> None:
    """Refuse a number of knots that is not a whole number from 3 to 7."""
    if isinstance(k, bool) or int(k) != k or not FEWEST_KNOTS <= k <= MOST_KNOTS:
        msg = f"A spline takes {FEWEST_KNOTS} to {MOST_KNOTS} knots; got {k!r}."
        raise DesignError(msg)


def _sorted_values(x: ArrayLike) -> Vector:
    values = np.asarray(x, dtype=float).ravel()
    values = np.sort(values[~np.isnan(values)])
    if values.size < 6:
        msg = f"Knots need at least 6 values; got {values.size}. Use a linear term."
        raise DesignError(msg)
    return values


def _three_at_least(knots: Vector) -> Vector:
    merged = np.unique(knots)
    if merged.size < FEWEST_KNOTS:
        msg = (
            f"Only {merged.size} distinct knots are possible, a spline needs 3: the variable has "
            "too few distinct values. Use a linear term, or C(...) if it is a category."
        )
        raise DesignError(msg)
    return merged


def _floor_and_ceiling(values: Vector) -> tuple[Vector, Vector, Vector]:
    """Knots that ties at the ends force, and the rows left for the others."""
    distinct, counts = np.unique(values, return_counts=True)
    share = counts / values.size
    none = np.empty(0)
    if share[1:-1].max() >= TIED_SHARE:
        return none, none, values
    first, last = none, none
    if share[0] >= TIED_SHARE:
        first = distinct[1:2]
        values = values[values > first[0]]
    if share[-1] >= TIED_SHARE:
        last = np.array([values[values < distinct[-1]].max()])
        values = values[values < last[0]]
    return first, last, values


def _inner_knots(rest: Vector, k: int, first: Vector, last: Vector) -> Vector:
    """The knots no tie has fixed: quantiles, with the small-sample rule for outer ones."""
    wanted = k - first.size - last.size
    if rest.size < FEWEST_BESIDE_TIES:
        msg = (
            f"Only {rest.size} values lie beside those tied at the smallest or largest; a spline "
            "cannot be placed. Use a linear term or a category."
        )
        raise DesignError(msg)
    if wanted == 1:
        return np.array([np.median(rest)])
    outer = _outer_share(k)
    low = 0.5 if wanted == 2 else outer
    knots = np.quantile(rest, np.linspace(low, 1 - outer, wanted))
    if np.unique(knots).size < min(wanted, FEWEST_KNOTS):
        knots = np.quantile(rest, np.linspace(outer, 1 - outer, 2 * wanted))
    if rest.size < FEW_VALUES:
        knots[0] = knots[0] if first.size else rest[4]
        knots[-1] = knots[-1] if last.size else rest[-5]
    return knots


def _outer_share(k: int) -> float:
    if k == FEWEST_KNOTS:
        return 0.10
    return 0.05 if k < MOST_KNOTS else 0.025


def check_knots(knots: Sequence[float] | NDArray[Float]) -> Vector:
    """Return explicit knots as increasing finite floats, or refuse them.

    Raises
    ------
    DesignError
    """
    t = np.asarray(knots, dtype=float).ravel()
    if t.size < FEWEST_KNOTS or not np.isfinite(t).all() or (np.diff(t) <= 0).any():
        msg = f"`knots` must be at least 3 finite, increasing numbers; got {t.tolist()}."
        raise DesignError(msg)
    return t


def rcs_basis(x: ArrayLike, knots: Sequence[float] | NDArray[Float]) -> Vector:
    """Restricted cubic spline basis: `x` itself, then one column per knot but two.

    Parameters
    ----------
    x : array_like, shape (n,)
        Values in any unit.
    knots : sequence of float, shape (k,)
        Increasing knots in the unit of `x`, at least 3.

    Returns
    -------
    ndarray, shape (n, k - 1)
        Columns named x, x', x'', ... in rms; nonlinear ones are divided by the squared distance
        of the outer knots, so that they are in the unit of `x` (norm = 2 in `rcspline.eval`).

    Raises
    ------
    DesignError
        Knots that are not increasing, or fewer than 3.

    Notes
    -----
    Devlin and Weeks (1986); Harrell, Regression Modeling Strategies, equation 2.25.

    Examples
    --------
    >>> rcs_basis([0.0, 1.0, 3.0], [0, 1, 2]).tolist()
    [[0.0, 0.0], [1.0, 0.25], [3.0, 3.0]]
    """
    t = check_knots(knots)
    values = np.asarray(x, dtype=float).ravel()
    cubes = np.maximum(values[:, None] - t, 0.0) ** 3
    gap = t[-1] - t[-2]
    to_last, to_second_last = (t[-1] - t[:-2]) / gap, (t[-2] - t[:-2]) / gap
    curved = cubes[:, :-2] - cubes[:, -2:-1] * to_last + cubes[:, -1:] * to_second_last
    return np.column_stack([values, curved / (t[-1] - t[0]) ** 2])
