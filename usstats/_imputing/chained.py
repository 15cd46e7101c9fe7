"""Chained equations on arrays: one regression draw a variable, repeated until the chain forgets.

Arrays in, arrays out; tables, names and seeds belong to `usstats._imputing.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._check import Float

Array = NDArray[Float]
Codes = NDArray[np.int64]

#: Added to the cross-product of standardised columns: keeps collinear predictors solvable.
RIDGE = 1e-5
N_DONORS = 5
_NEWTON_STEPS = 25
_LONGEST_STEP = 4.0
_TOLERANCE = 1e-7


@dataclass(frozen=True, kw_only=True)
class Column:
    """One variable of the imputation models.

    `values` holds numbers, or level codes 0..n_level-1 where `n_level` > 0; what stands at a
    missing position is ignored. `method` says how missing values are drawn.
    """

    name: str
    values: Array
    missing: NDArray[np.bool_]
    n_level: int
    method: str

    @property
    def width(self) -> int:
        """Number of design columns as a predictor."""
        return max(self.n_level - 1, 0) if self.n_level else 1

    def encode(self, values: Array) -> Array:
        """Standardised numbers, or one indicator a level after the first."""
        if self.n_level:
            return np.asarray(values[:, None] == np.arange(1, self.n_level), dtype=Float)
        observed = self.values[~self.missing]
        spread = observed.std()
        scaled = (values - observed.mean()) / (spread if spread > 0 else 1.0)
        return np.asarray(scaled)[:, None]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Drawn values per incomplete column, and their mean and SD at every iteration."""

    drawn: dict[str, Array]
    trace: list[tuple[int, str, float, float]]


def draw_regression(X: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Least squares and one draw from its posterior under the flat prior (Rubin 1987, p. 167).

    Returns the estimate, the drawn coefficients and the drawn residual SD.
    """
    n, k = X.shape
    ridge = np.full(k, RIDGE * n)
    ridge[0] = 0.0
    V = np.linalg.inv(X.T @ X + np.diag(ridge))
    V = (V + V.T) / 2
    beta = V @ (X.T @ y)
    residual = y - X @ beta
    sigma = float(np.sqrt(residual @ residual / rng.chisquare(max(n - k, 1))))
    drawn = beta + sigma * (np.linalg.cholesky(V) @ rng.standard_normal(k))
    return beta, drawn, sigma


def nearest_donors(
    observed: Array, wanted: Array, rng: np.random.Generator, *, n_donors: int = N_DONORS
) -> Codes:
    """Position of a donor for every wanted value: one at random of the nearest observed ones.

    Ties are put in random order first, so that equal predictions are equally likely donors.
    """
    shuffled = rng.permutation(observed.size)
    order = shuffled[np.argsort(observed[shuffled], kind="stable")]
    k = min(n_donors, observed.size)
    left = np.searchsorted(observed[order], wanted) - k
    window = np.clip(left[:, None] + np.arange(2 * k), 0, observed.size - 1)
    distance = np.abs(observed[order][window] - wanted[:, None])
    distance[:, 1:][np.diff(window, axis=1) == 0] = np.inf
    near = np.argsort(distance, axis=1, kind="stable")[:, :k]
    chosen = near[np.arange(wanted.size), rng.integers(k, size=wanted.size)]
    return np.asarray(order[window[np.arange(wanted.size), chosen]], dtype=np.int64)


def _draw_pmm(X: Array, y: Array, X_mis: Array, rng: np.random.Generator) -> Array:
    """Predictive mean matching of type 1: estimate for donors, draw for recipients."""
    beta, drawn, _ = draw_regression(X, y, rng)
    return np.asarray(y[nearest_donors(X @ beta, X_mis @ drawn, rng)])


def _draw_norm(X: Array, y: Array, X_mis: Array, rng: np.random.Generator) -> Array:
    """Bayesian linear regression: prediction plus residual."""
    _, drawn, sigma = draw_regression(X, y, rng)
    return np.asarray(X_mis @ drawn + sigma * rng.standard_normal(len(X_mis)))


def _draw_sample(X: Array, y: Array, X_mis: Array, rng: np.random.Generator) -> Array:
    """A value at random from the observed ones."""
    return np.asarray(rng.choice(y, size=len(X_mis)))


def _draw_levels(X: Array, y: Array, X_mis: Array, rng: np.random.Generator) -> Array:
    """Baseline-category logistic draw; with two levels the logistic regression draw."""
    levels, codes = np.unique(y, return_inverse=True)
    if levels.size == 1:
        return np.full(len(X_mis), levels[0])
    beta, V = fit_multinomial(*_augment(X, codes, levels.size), n_level=levels.size)
    root = np.linalg.cholesky((V + V.T) / 2)
    drawn = beta + (root @ rng.standard_normal(beta.size)).reshape(beta.shape)
    p = _level_probabilities(X_mis, drawn)
    position = (rng.random(len(X_mis))[:, None] > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return np.asarray(levels[position])


def _augment(X: Array, codes: Codes, n_level: int) -> tuple[Array, Codes, Array]:
    """Add a few light rows so that no level can be predicted perfectly.

    White, Daniel and Royston (2010): each predictor one SD above and below its mean, once with
    every level, with a total weight of the number of coefficients.
    """
    k = X.shape[1] - 1
    if k == 0:
        return X, codes, np.ones(len(X))
    centre, spread = X[:, 1:].mean(axis=0), X[:, 1:].std(axis=0)
    steps = np.diag(np.where(spread > 0, spread, 1.0))
    rows = np.column_stack([np.ones(2 * k), centre + np.vstack([steps, -steps])])
    light = np.full(n_level * len(rows), (k + 1) / (n_level * len(rows)))
    return (
        np.vstack([X, np.tile(rows, (n_level, 1))]),
        np.concatenate([codes, np.repeat(np.arange(n_level), len(rows))]),
        np.concatenate([np.ones(len(X)), light]),
    )


def fit_multinomial(X: Array, codes: Codes, weights: Array, *, n_level: int) -> tuple[Array, Array]:
    """Weighted baseline-category logistic regression by Newton's method.

    Returns coefficients (n_level - 1, k) against level 0 and their covariance in row-major
    order.
    """
    k = X.shape[1]
    Y = np.asarray(codes[:, None] == np.arange(1, n_level), dtype=Float)
    beta = np.zeros((n_level - 1, k))
    ridge = RIDGE * np.eye(beta.size)
    for _ in range(_NEWTON_STEPS):
        p = _level_probabilities(X, beta)[:, 1:]
        gradient = ((Y - p) * weights[:, None]).T @ X
        information = _information(X, p, weights) + ridge
        step = np.linalg.solve(information, gradient.ravel()).reshape(beta.shape)
        longest = np.abs(step).max()
        beta = beta + step * min(1.0, _LONGEST_STEP / max(longest, _TOLERANCE))
        if longest < _TOLERANCE:
            break
    return beta, np.asarray(np.linalg.inv(information), dtype=Float)


def _information(X: Array, p: Array, weights: Array) -> Array:
    n_row, k = p.shape[1], X.shape[1]
    blocks = np.empty((n_row, k, n_row, k))
    for a in range(n_row):
        for b in range(n_row):
            w = weights * p[:, a] * ((a == b) - p[:, b])
            blocks[a, :, b, :] = X.T @ (w[:, None] * X)
    return blocks.reshape(n_row * k, n_row * k)


def _level_probabilities(X: Array, beta: Array) -> Array:
    scores = np.zeros((len(X), len(beta) + 1))
    scores[:, 1:] = X @ beta.T
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


DRAWS: dict[str, Callable[[Array, Array, Array, np.random.Generator], Array]] = {
    "pmm": _draw_pmm,
    "norm": _draw_norm,
    "sample": _draw_sample,
    "logistic": _draw_levels,
    "multinomial": _draw_levels,
}


class _Design:
    """All columns encoded side by side; a column is rewritten when its values are drawn."""

    def __init__(self, columns: Sequence[Column], start: dict[str, Array]) -> None:
        edges = np.cumsum([1, *(column.width for column in columns)])
        self.slices = {c.name: slice(edges[i], edges[i + 1]) for i, c in enumerate(columns)}
        self.Z = np.ones((columns[0].values.size, int(edges[-1])))
        for column in columns:
            self.Z[:, self.slices[column.name]] = column.encode(start[column.name])

    def without(self, name: str) -> Array:
        return np.delete(self.Z, self.slices[name], axis=1)


def run_chain(columns: Sequence[Column], rng: np.random.Generator, *, n_iter: int) -> Chain:
    """Draw the missing values of every incomplete column, given all others, `n_iter` times.

    Columns are visited from the fewest to the most missing values. One incomplete column needs
    no chain: its single draw is exact.
    """
    values = {column.name: _first_fill(column, rng) for column in columns}
    incomplete = sorted((c for c in columns if c.missing.any()), key=lambda c: c.missing.sum())
    design = _Design(columns, values)
    trace = []
    for iteration in range(n_iter if len(incomplete) > 1 else 1):
        for column in incomplete:
            drawn = _draw_column(column, design.without(column.name), rng)
            values[column.name][column.missing] = drawn
            rows = column.encode(values[column.name])[column.missing]
            design.Z[column.missing, design.slices[column.name]] = rows
            trace.append((iteration + 1, column.name, float(drawn.mean()), float(drawn.std())))
    return Chain(drawn={c.name: values[c.name][c.missing] for c in incomplete}, trace=trace)


def _first_fill(column: Column, rng: np.random.Generator) -> Array:
    values = column.values.copy()
    if column.missing.any():
        values[column.missing] = rng.choice(values[~column.missing], size=column.missing.sum())
    return values


def _draw_column(column: Column, X: Array, rng: np.random.Generator) -> Array:
    observed = ~column.missing
    draw = DRAWS[column.method]
    return draw(X[observed], column.values[observed], X[column.missing], rng)
