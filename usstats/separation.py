"""Separation: whether a linear predictor splits the outcome, so that estimates are infinite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from usstats._check import check_lengths, check_outcome
from usstats._fits.scaling import scale_columns
from usstats.errors import FitError

Float = np.float64
Matrix = NDArray[Float]

#: A coefficient or a margin below this is zero to the linear programme.
NOTHING = 1e-7


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Whether and by what the outcome is separated.

    `kind` is "none", "quasi" (some rows lie on the boundary) or "complete". `variables` separate
    by themselves where any does, else together.
    """

    kind: str
    variables: tuple[str, ...]
    columns: tuple[str, ...]
    n: int
    n_event: int
    n_separated: int

    @property
    def separated(self) -> bool:
        """True if a maximum-likelihood estimate does not exist."""
        return self.kind != "none"

    def frame(self) -> pd.DataFrame:
        """One row per column with an infinite estimate."""
        rows = [
            {
                "term": column,
                "method": f"linear programme, {self.kind} separation",
                "n": self.n,
                "n_event": self.n_event,
            }
            for column in self.columns
        ]
        return pd.DataFrame(rows, columns=["term", "method", "n", "n_event"])

    def summary(self) -> str:
        """What was found, in a sentence."""
        if not self.separated:
            return f"no separation; n = {self.n}, events = {self.n_event}, unit: row"
        found = ", ".join(f"`{name}`" for name in self.variables)
        return (
            f"{self.kind} separation by {found} ({self.n_separated} of {self.n} rows); "
            f"events = {self.n_event}, unit: row"
        )

    def __repr__(self) -> str:
        return f"<Separation: {self.summary()}>"


def detect_separation(
    X: ArrayLike,
    y: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> Separation:
    """Look for a direction along which the likelihood rises without end.

    Parameters
    ----------
    X : array_like, shape (n, k)
        Design matrix with its column of ones.
    y : array_like, shape (n,)
        0/1.
    names : sequence of str, optional
        Names of the columns.
    groups : mapping of str to positions, optional
        Columns that belong to one variable; by default every column but a constant one.

    Returns
    -------
    Separation

    Raises
    ------
    FitError
        The linear programme was not solved.
    OutcomeError, PairingError

    Notes
    -----
    Konis (2007), Linear programming algorithms for detecting separated data; R package
    `detectseparation`. Maximise the sum of (2y - 1) x'b over |b| <= 1 with no row on the wrong
    side; the data are separated if the maximum is positive.

    Examples
    --------
    >>> X = np.column_stack([np.ones(4), [1, 2, 3, 4]])
    >>> detect_separation(X, [0, 0, 1, 1], names=["Intercept", "psa"])
    <Separation: complete separation by `psa` (4 of 4 rows); events = 2, unit: row>
    """
    outcome = check_outcome(y)
    design = np.asarray(X, dtype=float)
    check_lengths(X=design, y=outcome)
    scaling = scale_columns(design)
    Z = scaling.apply(design)
    labels = [f"column {j}" for j in range(Z.shape[1])] if names is None else list(names)
    parts = groups or {labels[j]: [j] for j in range(Z.shape[1]) if j != scaling.intercept}
    direction = _direction(Z, outcome)
    margin = (2 * outcome - 1) * (Z @ direction)
    apart = int((margin > NOTHING).sum())
    if not apart:
        return _result("none", (), (), outcome, 0)
    culprits = _alone(Z, outcome, parts, scaling.intercept) or _together(direction, parts)
    columns = tuple(labels[j] for name in culprits for j in parts[name] if direction[j])
    if _widest_margin(Z, outcome) > NOTHING:
        return _result("complete", culprits, columns, outcome, len(outcome))
    return _result("quasi", culprits, columns, outcome, apart)


def _result(
    kind: str,
    variables: tuple[str, ...],
    columns: tuple[str, ...],
    y: NDArray[np.int64],
    n_separated: int,
) -> Separation:
    return Separation(
        kind=kind,
        variables=variables,
        columns=columns,
        n=y.size,
        n_event=int(y.sum()),
        n_separated=n_separated,
    )


def _direction(Z: Matrix, y: NDArray[np.int64]) -> NDArray[Float]:
    """The solution of Konis' programme, with rounding errors set to zero."""
    signed = Z * (2 * y - 1)[:, None]
    found = _solve(-signed.sum(axis=0) / len(y), signed)
    return np.where(np.abs(found) > NOTHING, found, 0.0)


def _widest_margin(Z: Matrix, y: NDArray[np.int64]) -> float:
    """The largest distance from zero that every row can have on its right side."""
    signed = np.column_stack([Z * (2 * y - 1)[:, None], -np.ones(len(y))])
    return float(_solve(np.append(np.zeros(Z.shape[1]), -1.0), signed)[-1])


def _solve(cost: NDArray[Float], signed: Matrix) -> NDArray[Float]:
    """Minimise cost'b over |b| <= 1 with signed b >= 0."""
    solution = optimize.linprog(
        cost, A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs"
    )
    if solution.status != 0:
        msg = f"The linear programme for separation was not solved: {solution.message}"
        raise FitError(msg)
    return np.asarray(solution.x)


def _alone(
    Z: Matrix, y: NDArray[np.int64], groups: Mapping[str, Sequence[int]], intercept: int | None
) -> tuple[str, ...]:
    """Variables that separate with the intercept and nothing else."""
    base = [] if intercept is None else [intercept]
    found = []
    for name, columns in groups.items():
        part = Z[:, [*base, *columns]]
        margin = (2 * y - 1) * (part @ _direction(part, y))
        if (margin > NOTHING).any():
            found.append(name)
    return tuple(found)


def _together(direction: NDArray[Float], groups: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    return tuple(name for name, columns in groups.items() if direction[list(columns)].any())
