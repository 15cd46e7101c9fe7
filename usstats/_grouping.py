"""From rows to patients, and from patients to groups that may not be parted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from usstats._check import check_cluster, check_lengths, check_outcome, one_dimensional
from usstats.errors import OutcomeError, PairingError

Int = np.int64
Label = str | int


@dataclass(frozen=True, kw_only=True)
class Patients:
    labels: tuple[Label, ...]
    outcome: NDArray[Int]
    n_rows: NDArray[Int]
    of_row: NDArray[Int]


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Patients tied together, numbered by their first patient in canonical order."""

    of_patient: NDArray[Int]
    outcome: NDArray[Int]
    n_patients: NDArray[Int]
    n_rows: NDArray[Int]


def patients_of(y: ArrayLike, cluster: ArrayLike, *, n_classes: int = 2) -> Patients:
    outcome = check_outcome(y) if n_classes == 2 else _check_codes(y, n_classes)
    labels = np.asarray(cluster)
    check_lengths(y=outcome, cluster=labels)
    codes = check_cluster(labels, len(outcome))
    assert codes is not None  # noqa: S101 - narrows the type: `cluster` was given
    first = np.unique(codes, return_index=True)[1]
    plain = plain_labels(labels[first])
    texts = [str(label) for label in plain]
    if len(set(texts)) < len(texts):
        msg = "`cluster` holds the same label as text and as a number; make them all text."
        raise PairingError(msg)
    order = np.argsort(np.array(texts, dtype=object), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    of_row = rank[codes].astype(Int)
    worst = np.zeros(order.size, dtype=Int)
    np.maximum.at(worst, of_row, outcome)
    return Patients(
        labels=tuple(plain[i] for i in order),
        outcome=worst,
        n_rows=np.bincount(of_row).astype(Int),
        of_row=of_row,
    )


def _check_codes(y: ArrayLike, n_classes: int) -> NDArray[Int]:
    codes = one_dimensional(y, "y", OutcomeError)
    found = pd.unique(codes)
    if codes.dtype.kind not in "iu" or sorted(found) != list(range(n_classes)):
        msg = (
            f"`y` must hold each of the classes 0 to {n_classes - 1} as whole numbers; it holds "
            f"{found[:5].tolist()}."
        )
        raise OutcomeError(msg)
    return codes.astype(Int)


def plain_labels(labels: NDArray[Any]) -> list[Label]:
    """Labels as Python text or int, which JSON keeps apart."""
    return [
        int(label) if isinstance(label, int | np.integer) else str(label)
        for label in labels.tolist()
    ]


def tied_groups(patients: Patients, keep_together: Iterable[Sequence[Hashable]] | None) -> Groups:
    position = {label: i for i, label in enumerate(patients.labels)}
    edges = [edge for tied in keep_together or () for edge in _edges(tuple(tied), position)]
    n = len(patients.labels)
    ends = np.array(edges, dtype=Int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    codes = pd.factorize(component)[0].astype(Int)
    outcome = np.zeros(codes.max() + 1, dtype=Int)
    np.maximum.at(outcome, codes, patients.outcome)
    return Groups(
        of_patient=codes,
        outcome=outcome,
        n_patients=np.bincount(codes).astype(Int),
        n_rows=np.bincount(codes, weights=patients.n_rows).astype(Int),
    )


def _edges(tied: tuple[Hashable, ...], position: dict[Label, int]) -> list[tuple[int, int]]:
    try:
        nodes = [position[label] for label in tied]  # type: ignore[index]
    except KeyError:
        msg = "`keep_together` ties a patient who has no row in `cluster`; check the labels' type."
        raise PairingError(msg) from None
    return list(pairwise(nodes))
