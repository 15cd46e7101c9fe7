"""Which rows a model is refitted on and which it is judged on, replicate by replicate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float, check_lengths, check_n_boot, check_option, check_seed
from usstats._resampling.draws import Resamples, as_resamples
from usstats.errors import ArgumentError, ResampleError
from usstats.splits import make_folds

Array = NDArray[Float]
METHODS = ("bootstrap", "harrell", ".632+", ".632", "crossvalidation")
_MOST_FOLDS = 10
#: A table of counts with at most this many entries is kept instead of drawn again.
_MOST_KEPT = 10_000_000


@dataclass(frozen=True, kw_only=True)
class BootstrapPlan:
    """Refit on drawn rows; judge on the original table, or (.632, .632+) on what was not drawn."""

    resamples: Resamples
    method: str

    @property
    def n_boot(self) -> int:
        """Number of refits."""
        return len(self.resamples)

    @property
    def seed(self) -> int | None:
        """Seed of the draws; None for explicit ones."""
        return self.resamples.seed

    def train_rows(self, i: int) -> NDArray[np.int64]:
        """Rows of replicate `i`, repeated as often as drawn."""
        return self.resamples[i]

    def counts(self, start: int, stop: int) -> NDArray[np.integer[Any]]:
        """How often each row was drawn, shape (stop - start, n)."""
        if self.n_boot * self.resamples.n > _MOST_KEPT:
            return self.resamples.counts(start, stop)
        return self._all_counts[start:stop]

    @cached_property
    def _all_counts(self) -> NDArray[np.int32]:
        """The whole table of counts, where it is small enough to be kept."""
        return self.resamples.counts().astype(np.int32)

    def train_weights(self, start: int, stop: int) -> Array:
        """How often each row was drawn, as weights."""
        return self.counts(start, stop).astype(float)

    def test_weights(self, start: int, stop: int) -> Array | None:
        """Rows to judge on; None for all of them."""
        if self.method == "bootstrap":
            return None
        return np.asarray(self.unseen(start, stop), dtype=Float)

    def unseen(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Rows that the refit has not seen, shape (stop - start, n)."""
        return np.asarray(self.counts(start, stop) == 0)

    @cached_property
    def share(self) -> Array:
        """Weight of each replicate in the mean of the test measures; they add up to 1.

        Out of the sample every row counts alike, however often it was left out; a row that was
        drawn in all resamples cannot count.
        """
        if self.method == "bootstrap":
            return np.full(self.n_boot, 1 / self.n_boot)
        parts = list(self.resamples.chunks())
        times = np.sum([self.unseen(*part).sum(axis=0) for part in parts], axis=0)
        if not times.any():
            msg = "Every row was drawn in every resample; there is nobody to judge the refits on."
            raise ResampleError(msg)
        part_of_row = np.divide(1.0, times, out=np.zeros(times.size), where=times > 0)
        share = np.concatenate([self.unseen(*part) @ part_of_row for part in parts])
        return np.asarray(share / (times > 0).sum())


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """Refit without the members of a fold; judge on the members. `members`: (n_folds, n)."""

    members: NDArray[np.bool_]
    seed: int | None
    method: str = "crossvalidation"

    @property
    def n_boot(self) -> int:
        """Number of refits."""
        return len(self.members)

    def train_rows(self, i: int) -> NDArray[np.int64]:
        """Rows outside fold `i`."""
        return np.flatnonzero(~self.members[i])

    def train_weights(self, start: int, stop: int) -> Array:
        """1 outside the fold, shape (stop - start, n)."""
        return (~self.members[start:stop]).astype(float)

    def test_weights(self, start: int, stop: int) -> Array:
        """1 inside the fold."""
        return self.members[start:stop].astype(float)

    def unseen(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Members of the folds, whom the refits have not seen."""
        return self.members[start:stop]

    @property
    def share(self) -> Array:
        """Folds count alike."""
        return np.full(self.n_boot, 1 / self.n_boot)


Plan = BootstrapPlan | FoldPlan


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """How `validate` was asked to resample."""

    method: str
    n_boot: int
    repeats: int | None
    seed: int | None
    cluster: ArrayLike | None
    stratify: ArrayLike | None
    resamples: Any

    def __post_init__(self) -> None:
        check_option(self.method, METHODS, name="method")
        if self.repeats is None:
            return
        if self.method != "crossvalidation" or self.resamples is not None:
            given = repr(self.method) if self.resamples is None else "explicit `resamples`"
            msg = (
                "`repeats` deals the folds of method='crossvalidation' anew; it has no meaning for "
                f"{given}."
            )
            raise ArgumentError(msg)
        if not isinstance(self.repeats, int | np.integer) or not 1 <= self.repeats <= 10_000:
            msg = f"`repeats` must be a whole number from 1 to 10000; got {self.repeats!r}."
            raise ArgumentError(msg)


def make_plan(y: NDArray[np.int64], options: PlanOptions) -> Plan:
    """What `validate`'s options mean together."""
    o = options
    if o.method == "crossvalidation":
        return _fold_plan(y, o)
    draws = as_resamples(
        o.resamples, y.size, n_boot=o.n_boot, seed=o.seed, cluster=o.cluster, stratify=o.stratify
    )
    return BootstrapPlan(resamples=draws, method="bootstrap" if o.method == "harrell" else o.method)


def _fold_plan(y: NDArray[np.int64], o: PlanOptions) -> FoldPlan:
    if o.resamples is not None:
        return FoldPlan(members=fold_members(o.resamples, y.size), seed=o.seed)
    n_boot = check_n_boot(o.n_boot)
    n_folds = min(n_boot, _MOST_FOLDS)
    n_boot = n_boot if o.repeats is None else n_folds * o.repeats
    return FoldPlan(members=_deal(y, n_boot, n_folds, o), seed=o.seed)


def fold_members(folds: Any, n: int) -> NDArray[np.bool_]:
    """(n_folds, n) membership from explicit folds.

    Accepts a membership table of zeros and ones, (n_folds, n) or (n, n_folds); fold labels (n,);
    or a list of 0-based test rows, one array a fold.
    """
    if not isinstance(folds, np.ndarray) and _is_ragged(folds):
        return _members_of_rows(folds, n)
    table = np.asarray(folds)
    if table.ndim == 1:
        check_lengths(data=np.empty(n), resamples=table)
        return np.asarray(np.unique(table)[:, None] == table)
    if table.ndim == 2 and table.shape[1] != n and table.shape[0] == n:
        table = table.T
    if table.ndim != 2 or table.shape[1] != n or not np.isin(table, (0, 1)).all():
        msg = (
            "`resamples` of a crossvalidation must be fold labels (n,), or a table (n_folds, n) "
            f"with 1 where a row is held out; n = {n}, it has shape {table.shape}."
        )
        raise ResampleError(msg)
    return _both_sides(table.astype(bool))


def _is_ragged(folds: Any) -> bool:
    return (
        isinstance(folds, Sequence)
        and len(folds) > 0
        and all(np.ndim(rows) == 1 for rows in folds)
        and not all(set(np.unique(rows)) <= {0, 1} for rows in folds)
    )


def _members_of_rows(folds: Sequence[Any], n: int) -> NDArray[np.bool_]:
    members = np.zeros((len(folds), n), dtype=bool)
    for k, rows in enumerate(folds):
        held_out = np.asarray(rows, dtype=np.int64)
        if held_out.min() < 0 or held_out.max() >= n:
            msg = f"`resamples[{k}]` must hold 0-based rows below {n}; largest {held_out.max()}."
            raise ResampleError(msg)
        members[k, held_out] = True
    return _both_sides(members)


def _both_sides(members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    size = members.sum(axis=1)
    if (size == 0).any() or (size == members.shape[1]).any():
        msg = "`resamples` has a fold that holds out nobody, or everybody."
        raise ResampleError(msg)
    return members


def _deal(
    y: NDArray[np.int64], n_boot: int, n_folds: int, options: PlanOptions
) -> NDArray[np.bool_]:
    """Up to ten folds once; more refits are rounds of that many folds, each dealt anew."""
    rounds, left = divmod(n_boot, n_folds)
    if left:
        msg = (
            "`n_boot` of a crossvalidation must be at most 10, or a multiple of 10; got "
            f"{n_boot}. Or give the number of folds as `n_boot` and `repeats`."
        )
        raise ArgumentError(msg)
    labels = np.arange(y.size) if options.cluster is None else options.cluster
    seeds = np.random.SeedSequence(check_seed(options.seed)).generate_state(rounds)
    dealt = [make_folds(y, labels, n_folds=n_folds, seed=int(s)).assignment for s in seeds]
    return np.concatenate([np.arange(n_folds)[:, None] == fold for fold in dealt])
