"""The AUC in every resample from one sort: resamples enter as integer weights of the cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usstats._resampling.draws import Resamples
from usstats._roc.placements import Placements, place

Float = np.float64
_CHUNK_BYTES = 4 * 2**20


def auc_of_resamples(
    y: NDArray[np.int64], s: NDArray[Float], resamples: Resamples
) -> NDArray[Float]:
    """AUC of each resample, NaN where a class is absent; shape (n_boot,).

    Parameters
    ----------
    y : ndarray of 0/1, shape (n,)
    s : ndarray, shape (n,)
    resamples : Resamples
    """
    order = np.argsort(s)
    event = (y[order] == 1).astype(float)
    first = np.flatnonzero(np.concatenate(([True], np.diff(s[order]) != 0)))
    parts = [
        weighted_auc(resamples.counts(start, stop)[:, order].astype(float), event, first)
        for start, stop in resamples.chunks(_CHUNK_BYTES)
    ]
    return np.concatenate(parts)


def weighted_auc(
    weights: NDArray[Float], event: NDArray[Float], first: NDArray[np.int64]
) -> NDArray[Float]:
    """AUCs of a block of weight rows whose columns are sorted by score."""
    events = weights * event
    nonevents = weights - events
    if len(first) < len(event):
        events, nonevents = (np.add.reduceat(w, first, axis=1) for w in (events, nonevents))
    below = np.cumsum(nonevents, axis=1)
    total = below[:, -1].copy()
    below -= nonevents / 2
    wins = np.einsum("ij,ij->i", events, below)
    with np.errstate(invalid="ignore"):
        return np.asarray(wins / (events.sum(axis=1) * total))


def auc_without_each(
    placed: Placements, s: NDArray[Float], unit: NDArray[np.int64]
) -> NDArray[Float]:
    """AUC without each patient in turn, NaN where a class is then absent; shape (n_unit,).

    Parameters
    ----------
    placed : Placements
        Of all cases.
    s : ndarray, shape (n,)
    unit : ndarray of int, shape (n,)
        Patient number of each case.
    """
    n_unit = int(unit.max()) + 1
    events = np.bincount(unit, weights=placed.event, minlength=n_unit)
    nonevents = np.bincount(unit, weights=~placed.event, minlength=n_unit)
    touched = np.bincount(unit, weights=placed.wins, minlength=n_unit)
    both = np.flatnonzero((events > 0) & (nonevents > 0))
    twice = np.zeros(n_unit)
    twice[both] = _wins_within(placed.event, s, unit, both)
    left = placed.auc * placed.n_event * placed.n_nonevent - touched + twice
    pairs = (placed.n_event - events) * (placed.n_nonevent - nonevents)
    return np.asarray(np.divide(left, pairs, out=np.full(n_unit, np.nan), where=pairs > 0))


def _wins_within(
    event: NDArray[np.bool_], s: NDArray[Float], unit: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[Float]:
    """Wins between images of the same patient, which leaving the patient out removes once."""
    order = np.argsort(unit, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(unit))[:-1])
    wins = [place(event[rows[u]].astype(np.int64), s[rows[u]]) for u in chosen]
    return np.array([w.wins[w.event].sum() for w in wins])
