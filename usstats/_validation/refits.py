"""Refitted models and the cases they are judged on, a few replicates at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import Float
from usstats._fits.newton_batch import newton_logistic_batch
from usstats._fits.scaling import scale_columns
from usstats._validation.indexes import Side
from usstats._validation.plans import Plan

Array = NDArray[Float]

#: Values (models x cases) that are judged at a time, so that they stay in the cache.
CHUNK_VALUES = 25_000
#: Values (resamples x cases) of the weights that are refitted with at a time.
FIT_VALUES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Replicates `which`; each has one row, or one a completed table, in either side."""

    which: NDArray[np.int64]
    training: Side
    test: Side

    def labels(self, side: Side) -> NDArray[np.int64]:
        """Number of the replicate that each row of a side belongs to."""
        return np.repeat(self.which, len(side.lp) // len(self.which))


class Refits(Protocol):
    """A source of refitted models."""

    @property
    def n_boot(self) -> int:
        """Number of replicates, failed ones included."""

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Replicates that could not be fitted."""

    def judged_by(self, plan: Plan) -> Refits:
        """The same models judged on the test cases of another plan."""

    def chunks(self) -> Iterator[Chunk]:
        """The replicates that could be fitted, in order."""


@dataclass(frozen=True, kw_only=True)
class BatchRefits:
    """The same columns refitted by maximum likelihood in every replicate.

    Equal rows of the design share one linear predictor, so that ties are exact.
    """

    rows: Array
    position: NDArray[np.intp]
    y: Array
    params: Array
    plan: Plan

    @classmethod
    def fit(
        cls, X: Array, y: Array, plan: Plan, *, only: NDArray[np.bool_] | None = None
    ) -> BatchRefits:
        """Refit in every replicate of the plan, or in some; columns are centred and scaled."""
        X = scale_columns(X).apply(X)
        rows, position = np.unique(X, axis=0, return_inverse=True)
        asked = np.ones(plan.n_boot, dtype=bool) if only is None else only
        params = np.full((plan.n_boot, X.shape[1]), np.nan)
        size = max(1, FIT_VALUES // len(X))
        for start in range(0, plan.n_boot, size):
            mine = asked[start : start + size]
            weights = plan.train_weights(start, min(start + size, plan.n_boot))[mine]
            if mine.any():
                params[start : start + size][mine] = newton_logistic_batch(X, y, weights)[0]
        return cls(rows=rows, position=position.ravel(), y=y, params=params, plan=plan)

    @property
    def n_boot(self) -> int:
        """Number of replicates, failed ones included."""
        return len(self.params)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Replicates without a finite maximum."""
        return np.asarray(~np.isfinite(self.params).all(axis=1))

    def judged_by(self, plan: Plan) -> BatchRefits:
        """The same models judged on the test cases of another plan."""
        return replace(self, plan=plan)

    def chunks(self) -> Iterator[Chunk]:
        """The replicates that could be fitted, in order."""
        size = max(1, CHUNK_VALUES // self.y.size)
        for start in range(0, self.n_boot, size):
            stop = min(start + size, self.n_boot)
            fitted = np.flatnonzero(~self.failed[start:stop])
            if fitted.size:
                yield self._chunk(start, stop, fitted)

    def _chunk(self, start: int, stop: int, fitted: NDArray[np.intp]) -> Chunk:
        lp = (self.params[start + fitted] @ self.rows.T)[:, self.position]
        held_out = self.plan.test_weights(start, stop)
        training = Side(lp, self.y, self.plan.train_weights(start, stop)[fitted], own=True)
        test = training.elsewhere(None if held_out is None else held_out[fitted])
        return Chunk(which=start + fitted, training=training, test=test)


@dataclass(frozen=True, kw_only=True)
class Refit:
    """One replicate of a whole recipe.

    `training` and `test` are linear predictors (copies, rows): of the completed resample and of
    the completed original table. `terms` names what selection kept.
    """

    training: Array
    test: Array
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecipeRefits:
    """Replicates of a recipe; None where one failed."""

    refits: Sequence[Refit | None]
    y: Array
    plan: Plan

    @property
    def n_boot(self) -> int:
        """Number of replicates, failed ones included."""
        return len(self.refits)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Replicates in which some step failed."""
        return np.array([refit is None for refit in self.refits], dtype=bool)

    def selection(self) -> pd.DataFrame:
        """How often each term was kept: term, n, percent of the replicates that were fitted."""
        fitted = [refit for refit in self.refits if refit is not None]
        kept = pd.Series([term for refit in fitted for term in refit.terms], dtype=object)
        table = kept.value_counts().rename_axis("term").reset_index(name="n")
        return table.assign(percent=100 * table["n"] / max(len(fitted), 1))

    def judged_by(self, plan: Plan) -> RecipeRefits:
        """The same models judged on the test cases of another plan."""
        return replace(self, plan=plan)

    def chunks(self) -> Iterator[Chunk]:
        """The replicates that could be fitted, in order."""
        for i, refit in enumerate(self.refits):
            if refit is not None:
                held_out = self.plan.test_weights(i, i + 1)
                shape = refit.test.shape
                yield Chunk(
                    which=np.array([i]),
                    training=Side(refit.training, self.y[self.plan.train_rows(i)]),
                    test=Side(
                        refit.test,
                        self.y,
                        None if held_out is None else np.broadcast_to(held_out, shape),
                    ),
                )


#: Takes a side and the numbers of its replicates; returns (r, k) values.
Judge = Callable[[Side, NDArray[np.int64]], Array]


def judge_refits(refits: Refits, judge: Judge, k: int) -> tuple[Array, Array]:
    """`k` values of every replicate on its training and test cases, shapes (n_boot, k).

    Completed copies are averaged; failed replicates are NaN.
    """
    training, test = np.full((2, refits.n_boot, k), np.nan)
    for chunk in refits.chunks():
        for target, side in ((training, chunk.training), (test, chunk.test)):
            values = judge(side, chunk.labels(side))
            target[chunk.which] = average_copies(values, len(chunk.which))
    return training, test


def average_copies(values: Array, n_replicate: int) -> Array:
    """Mean over the completed copies of each replicate: (r * copies, k) -> (r, k)."""
    return np.asarray(values.reshape(n_replicate, -1, values.shape[1]).mean(axis=1))
