"""How patients are distributed along the axes of a nomogram."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._columns import read_labels
from usstats.axes import Axis
from usstats.nomogram import Nomogram
from usstats.ticks import tick_label

Float = np.float64
Vector = NDArray[Float]

BINS = 40


def axis_density(nomogram: Nomogram, data: pd.DataFrame) -> pd.DataFrame:
    """Distribution of patients along every axis and along total points.

    Parameters
    ----------
    nomogram : Nomogram
    data : DataFrame
        Patients with the model's variables.

    Returns
    -------
    DataFrame
        term (an axis, or "total"), share (position between 0 and 1 of the full width), height
        (1 where most patients are).
    """
    read = nomogram.read(data)
    rows = []
    for group in nomogram.groups:
        for axis in group.axes:
            mine = _uses(axis, nomogram, data)
            points = read[group.name].to_numpy(dtype=float)[mine] / nomogram.max_points
            levels = isinstance(axis.values[0], str)
            rows.append((axis.name, _levels(points) if levels else _bins(points)))
    total = read["total"].to_numpy(dtype=float) / nomogram.total_ticks[-1]
    rows.append(("total", _bins(total)))
    frames = [
        pd.DataFrame({"term": name, "share": share, "height": height})
        for name, (share, height) in rows
    ]
    return pd.concat(frames, ignore_index=True)


def _uses(axis: Axis, nomogram: Nomogram, data: pd.DataFrame) -> NDArray[np.bool_]:
    """Patients who are read off this axis rather than another of its group."""
    mine = np.ones(len(data), dtype=bool)
    for name, level in axis.given.items():
        if nomogram.spec.mains[name].type == "factor":
            mine &= read_labels(data, name) == level
        else:
            mine &= np.array([tick_label(float(value)) == level for value in data[name]])
    return mine


def _bins(shares: Vector) -> tuple[Vector, Vector]:
    """Outline of a histogram, from zero to zero."""
    counts, edges = np.histogram(np.clip(shares, 0, 1), bins=BINS, range=(0, 1))
    x = np.repeat(edges, 2)
    y = np.concatenate([[0.0], np.repeat(counts / max(counts.max(), 1), 2), [0.0]])
    filled = np.flatnonzero(y)
    if not filled.size:
        return np.empty(0), np.empty(0)
    keep = slice(max(filled[0] - 1, 0), filled[-1] + 2)
    return x[keep], y[keep]


def _levels(shares: Vector) -> tuple[Vector, Vector]:
    x, counts = np.unique(np.round(shares, 9), return_counts=True)
    return x, counts / max(counts.max(initial=1), 1)
