"""Which patients are drawn: whole patients, within strata, replayable from a seed.

Replicate i takes its random numbers from child i of `SeedSequence(seed)`, so a result does not
depend on the number of workers or on interruptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from usstats._check import (
    check_cluster,
    check_lengths,
    check_n_boot,
    one_dimensional,
    seed_or_fresh,
)
from usstats.errors import PairingError, ResampleError

CHUNK_BYTES = 64 * 2**20
_ENOUGH_TO_SEE_STRATA = 50


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Resamples:
    """Draws with replacement of whole patients, replayable and independent of who evaluates them.

    Make one with `Resamples.draw` (from a seed) or `Resamples.from_indices` (explicit draws).

    Attributes
    ----------
    n : int
        Rows of the data.
    n_boot : int
        Number of resamples.
    seed : int or None
        None for explicit draws.
    unit : ndarray, shape (n,)
        Number of the patient (0-based, in order of appearance) that each row belongs to.
    strata : tuple of ndarray
        Numbers of the patients of each stratum; each stratum keeps its size.
    explicit : ndarray, shape (n_boot, n_draw), or None
        Patient numbers of explicit draws.

    Examples
    --------
    >>> resamples = Resamples.draw(4, n_boot=3, seed=1, cluster=["a", "a", "b", "c"])
    >>> len(resamples), resamples.n_unit
    (3, 3)
    >>> resamples[0].tolist() == resamples[0].tolist()
    True
    >>> resamples.counts(0, 3).shape
    (3, 4)
    """

    n: int
    n_boot: int
    seed: int | None
    unit: NDArray[np.int64]
    strata: tuple[NDArray[np.int64], ...]
    explicit: NDArray[np.int64] | None = None

    @classmethod
    def draw(
        cls,
        n: int,
        *,
        n_boot: int,
        seed: int | None = None,
        cluster: ArrayLike | None = None,
        stratify: ArrayLike | None = None,
    ) -> Resamples:
        """Draw patients with replacement, within strata where these are given.

        Parameters
        ----------
        n : int
            Rows of the data.
        n_boot : int
        seed : int, optional
            Without it a fresh one is drawn and kept in `seed`.
        cluster : array_like, shape (n,), optional
            Patient labels; without them each row is its own patient.
        stratify : array_like, shape (n,), optional
            Stratum of each row, the same for all rows of a patient.

        Raises
        ------
        ArgumentError
            An impossible `seed` or `n_boot`.
        PairingError
            Labels of another length, or a patient in two strata.
        ResampleError
            A single patient.
        """
        codes = check_cluster(cluster, n)
        unit = np.arange(n) if codes is None else codes
        if not unit.any():
            msg = "There is one patient to draw from: every resample would be the data themselves."
            raise ResampleError(msg)
        return cls(
            n=n,
            n_boot=check_n_boot(n_boot),
            seed=seed_or_fresh(seed),
            unit=unit,
            strata=_strata(unit, stratify),
        )

    @classmethod
    def from_indices(
        cls,
        indices: ArrayLike,
        *,
        n: int | None = None,
        cluster: ArrayLike | None = None,
        stratify: ArrayLike | None = None,
    ) -> Resamples:
        """Wrap explicit draws, one resample a row.

        Parameters
        ----------
        indices : array_like, shape (n_boot, n_draw)
            0-based row numbers; or, with `cluster`, 0-based patient numbers in order of
            appearance (recognised by there being as many columns as patients).
        n : int, optional
            Rows of the data (default: the number of columns).
        cluster, stratify : array_like, shape (n,), optional
            As in `draw`. Without `stratify`, strata are read off the draws: column j of a
            stratified index table only ever holds members of row j's stratum.

        Raises
        ------
        ResampleError
            Not a table of whole numbers inside the data.
        """
        table = _check_index_table(indices)
        rows = table.shape[1] if n is None and cluster is None else n
        rows = len(np.asarray(cluster)) if rows is None else rows
        codes = check_cluster(cluster, rows)
        unit, table = _units_of_table(codes, table.astype(np.int64), rows)
        strata = _visible_strata(table) if stratify is None else _strata(unit, stratify)
        return cls(n=rows, n_boot=len(table), seed=None, unit=unit, strata=strata, explicit=table)

    def __len__(self) -> int:
        return self.n_boot

    def __repr__(self) -> str:
        source = "explicit" if self.seed is None else f"seed {self.seed}"
        return f"<{self.n_boot} resamples of {self.n_unit} units ({self.n} rows), {source}>"

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return (self[i] for i in range(self.n_boot))

    def __getitem__(self, i: int) -> NDArray[np.int64]:
        """0-based rows of replicate `i`; a patient drawn twice brings all rows twice."""
        drawn = self.units(i)
        return drawn if self._rows_are_units else np.concatenate([self._rows[u] for u in drawn])

    @cached_property
    def n_unit(self) -> int:
        """Number of patients."""
        return int(self.unit.max()) + 1

    @property
    def clustered(self) -> bool:
        """Whether some patient has several rows."""
        return self.n_unit < self.n

    @cached_property
    def _rows_are_units(self) -> bool:
        return bool(np.array_equal(self.unit, np.arange(self.n)))

    @cached_property
    def _rows(self) -> list[NDArray[np.int64]]:
        order = np.argsort(self.unit, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.unit))[:-1])

    def rng(self, i: int) -> np.random.Generator:
        """Generator of replicate `i`: child `i` of `SeedSequence(seed)`."""
        if self.seed is None:
            msg = "Explicit resamples have no seed and make no random numbers."
            raise ResampleError(msg)
        return np.random.Generator(np.random.PCG64(_child(self.seed, i)))

    def units(self, i: int) -> NDArray[np.int64]:
        """Patients drawn in replicate `i`, one number a draw."""
        if not 0 <= i < self.n_boot:
            msg = f"There are {self.n_boot} resamples; number {i} does not exist."
            raise IndexError(msg)
        if self.explicit is not None:
            drawn: NDArray[np.int64] = self.explicit[i]
            return drawn
        rng = self.rng(i)
        return np.concatenate([_draw_from(rng, members) for members in self.strata])

    def unit_counts(self, start: int, stop: int) -> NDArray[np.int64]:
        """How often each patient was drawn, shape (stop - start, n_unit)."""
        n_unit = self.n_unit
        drawn = [np.bincount(self.units(i), minlength=n_unit) for i in range(start, stop)]
        return np.array(drawn, dtype=np.int64).reshape(stop - start, n_unit)

    def counts(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Integer weight of each row in replicates start..stop-1, shape (stop - start, n)."""
        drawn = self.unit_counts(start, self.n_boot if stop is None else min(stop, self.n_boot))
        return drawn if self._rows_are_units else drawn[:, self.unit]

    def chunks(self, chunk_bytes: int = CHUNK_BYTES) -> Iterator[tuple[int, int]]:
        """Ranges (start, stop) whose `counts` stay below `chunk_bytes`."""
        size = max(1, chunk_bytes // (8 * self.n))
        for start in range(0, self.n_boot, size):
            yield start, min(start + size, self.n_boot)


def _draw_from(rng: np.random.Generator, members: NDArray[np.int64]) -> NDArray[np.int64]:
    return members[rng.integers(len(members), size=len(members))]


def _child(seed: int, i: int) -> np.random.SeedSequence:
    """What `SeedSequence(seed).spawn(i + 1)[i]` returns, without making the others."""
    return np.random.SeedSequence(seed, spawn_key=(i,))


def _strata(unit: NDArray[np.int64], stratify: ArrayLike | None) -> tuple[NDArray[np.int64], ...]:
    n_unit = int(unit.max()) + 1
    if stratify is None:
        return (np.arange(n_unit),)
    labels = one_dimensional(stratify, "stratify", PairingError)
    check_lengths(rows=unit, stratify=labels)
    codes, _ = pd.factorize(labels)
    if (codes < 0).any():
        msg = f"`stratify` has {(codes < 0).sum()} missing labels."
        raise PairingError(msg)
    of_unit = np.empty(n_unit, dtype=np.int64)
    of_unit[unit] = codes
    torn = of_unit[unit] != codes
    if torn.any():
        msg = (
            f"`stratify` differs between rows of the same patient ({len(np.unique(unit[torn]))} "
            "patients). Stratify by something known of the patient, or leave it out."
        )
        raise PairingError(msg)
    return tuple(np.flatnonzero(of_unit == code) for code in np.unique(of_unit))


def _check_index_table(indices: ArrayLike) -> NDArray[Any]:
    try:
        table = np.asarray(indices)
    except ValueError:
        msg = "`resamples` must be a table (n_boot, n); its rows differ in length."
        raise ResampleError(msg) from None
    if table.ndim != 2 or table.size == 0:
        msg = f"`resamples` must be a table (n_boot, n); it has shape {table.shape}."
        raise ResampleError(msg)
    if table.dtype.kind not in "iuf" or not np.array_equal(table, np.floor(table)):
        msg = "`resamples` must hold whole row numbers, counted from 0."
        raise ResampleError(msg)
    return table


def _units_of_table(
    codes: NDArray[np.int64] | None, table: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The unit of each row, and the draws in those units."""
    by_patient = codes is not None and table.shape[1] == codes.max() + 1
    unit = codes if by_patient and codes is not None else np.arange(n)
    n_unit = int(unit.max()) + 1
    outside = (table < 0) | (table >= n_unit)
    if outside.any():
        first = int(table[outside][0])
        advice = " Subtract 1 from numbers that start at 1." if first == n_unit else ""
        msg = (
            f"`resamples` must hold numbers from 0 to {n_unit - 1}; {outside.sum()} do not "
            f"(first: {first}).{advice}"
        )
        raise ResampleError(msg)
    return unit, table


def _visible_strata(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Connected components of "column j once held unit i"; one stratum where draws are few."""
    n_boot, n = table.shape
    size = max(n, int(table.max()) + 1)
    if n_boot < _ENOUGH_TO_SEE_STRATA or size > n:
        return (np.arange(size),)
    columns = np.tile(np.arange(n), n_boot)
    links = coo_array((np.ones(table.size, dtype=bool), (columns, table.ravel())), shape=(n, n))
    _, component = connected_components(links, directed=False)
    return tuple(np.flatnonzero(component == c) for c in np.unique(component))


def as_resamples(
    resamples: ArrayLike | Resamples | None,
    n: int,
    *,
    n_boot: int,
    seed: int | None,
    cluster: ArrayLike | None = None,
    stratify: ArrayLike | None = None,
) -> Resamples:
    """What a public function's `resamples`, `n_boot` and `seed` mean together.

    Parameters
    ----------
    resamples : Resamples or array_like, shape (n_boot, n), or None
        Explicit draws win over `n_boot` and `seed`.
    n : int
        Rows of the data.
    n_boot, seed, cluster, stratify
        As in `Resamples.draw`.

    Examples
    --------
    >>> as_resamples([[0, 1], [1, 1], [0, 0]], 2, n_boot=2000, seed=None)
    <3 resamples of 2 units (2 rows), explicit>
    """
    if resamples is None:
        return Resamples.draw(n, n_boot=n_boot, seed=seed, cluster=cluster, stratify=stratify)
    if isinstance(resamples, Resamples):
        if resamples.n != n:
            msg = f"`resamples` were drawn for {resamples.n} rows; the data have {n}."
            raise PairingError(msg)
        return resamples
    return Resamples.from_indices(resamples, n=n, cluster=cluster, stratify=stratify)
