"""Which rows a model is refitted on and which it is judged on, replicate by replicate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float, check_lengths, check_n_boot, check_option, check_seed
from usstats._draws import Resamples, as_resamples
from usstats.errors import ArgumentError, ResampleError
from usstats.splits import make_folds

Array = NDArray[Float]
METHODS = ("bootstrap", "crossvalidation", ".632")
_MOST_FOLDS = 10


@dataclass(frozen=True, kw_only=True)
class BootstrapPlan:
    """Refit on drawn rows; judge on the original table, or (".632") on what was not drawn."""

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

    def train_weights(self, start: int, stop: int) -> Array:
        """How often each row was drawn, shape (stop - start, n)."""
        return self.resamples.counts(start, stop).astype(float)

    def test_weights(self, start: int, stop: int) -> Array | None:
        """Rows to judge on; None for all of them."""
        if self.method == "bootstrap":
            return None
        return np.asarray(self.resamples.counts(start, stop) == 0, dtype=Float)

    @cached_property
    def share(self) -> Array:
        """Weight of each replicate in the mean of the test measures; they add up to 1."""
        if self.method == "bootstrap":
            return np.full(self.n_boot, 1 / self.n_boot)
        omitted = np.concatenate(
            [self.resamples.counts(*part) == 0 for part in self.resamples.chunks()]
        )
        times = omitted.sum(axis=0)
        if times.min() == 0:
            msg = (
                f"{(times == 0).sum()} rows were drawn in all {self.n_boot} resamples; the .632 "
                "estimator needs every row left out at least once. Increase `n_boot`."
            )
            raise ResampleError(msg)
        return np.asarray((omitted / times).sum(axis=1) / omitted.shape[1])


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

    @property
    def share(self) -> Array:
        """Folds count alike."""
        return np.full(self.n_boot, 1 / self.n_boot)


Plan = BootstrapPlan | FoldPlan


def make_plan(
    y: NDArray[np.int64],
    *,
    method: str,
    n_boot: int,
    seed: int | None,
    cluster: ArrayLike | None,
    stratify: ArrayLike | None,
    resamples: Any,
) -> Plan:
    """What `validate`'s options mean together."""
    check_option(method, METHODS, name="method")
    if method != "crossvalidation":
        draws = as_resamples(
            resamples, y.size, n_boot=n_boot, seed=seed, cluster=cluster, stratify=stratify
        )
        return BootstrapPlan(resamples=draws, method=method)
    if resamples is not None:
        return FoldPlan(members=fold_members(resamples, y.size), seed=seed)
    members = _deal(y, check_n_boot(n_boot), check_seed(seed), cluster)
    return FoldPlan(members=members, seed=seed)


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
    y: NDArray[np.int64], n_boot: int, seed: int, cluster: ArrayLike | None
) -> NDArray[np.bool_]:
    """Up to ten folds once; more refits are rounds of ten folds, each dealt anew."""
    n_folds = min(n_boot, _MOST_FOLDS)
    rounds, left = divmod(n_boot, n_folds)
    if left:
        msg = (
            f"`n_boot` of a crossvalidation must be at most 10, or a multiple of 10; got {n_boot}."
        )
        raise ArgumentError(msg)
    labels = np.arange(y.size) if cluster is None else cluster
    seeds = np.random.SeedSequence(seed).generate_state(rounds)
    dealt = [make_folds(y, labels, n_folds=n_folds, seed=int(s)).assignment for s in seeds]
    return np.concatenate([np.arange(n_folds)[:, None] == fold for fold in dealt])
