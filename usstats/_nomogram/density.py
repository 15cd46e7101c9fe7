"""How patients are distributed along the axes of a nomogram."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._nomogram.axes import Axis
from usstats.nomogram import Nomogram

Float = np.float64
Vector = NDArray[Float]

BINS = 40


def axis_density(nomogram: Nomogram, data: pd.DataFrame) -> pd.DataFrame:
    """Distribution of patients along every axis and along total points.

    Parameters
    ----------
    nomogram : Nomogram
    data : DataFrame
        Patients with the model's variables. One whose value lies between those that interacting
        axes are drawn for counts on the nearest of them.

    Returns
    -------
    DataFrame
        term (an axis, or "total"), run (which stretch of an axis that turns back), share
        (position between 0 and 1 of the full width), height (1 where most patients are), spike
        (whether the rows are values that some patients share, or the outline of a histogram).
    """
    read, values = nomogram.read(data), nomogram.spec.encode(data)
    frames = []
    for group in nomogram.groups:
        position, _ = group.axis_of(values, len(data))
        shares = read[group.name].to_numpy(dtype=float) / nomogram.max_points
        for i, axis in enumerate(group.axes):
            mine = position == i
            frames.append(_along(axis, shares[mine], values[axis.variable][mine]))
    total = read["total"].to_numpy(dtype=float) / nomogram.total_ticks[-1]
    counts = _counts(total)
    frames.append(_frame("total", 0, *_outline(counts, float(counts.max()) or 1.0)))
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _along(axis: Axis, shares: Vector, values: Vector) -> pd.DataFrame:
    if axis.has_levels:
        return _frame(axis.name, 0, *_spikes(shares), spike=True)
    run = axis.run_of(values)
    parts = [shares[run == i] for i in range(len(axis.turns) + 1)]
    spike = bool(np.isin(values, axis.values).all())
    if spike:
        counts = [_spikes(part) for part in parts]
    else:
        highest = max(float(_counts(part).max()) for part in parts) or 1.0
        counts = [_outline(_counts(part), highest) for part in parts]
    frames = [_frame(axis.name, i, *part, spike=spike) for i, part in enumerate(counts)]
    return pd.concat(frames, ignore_index=True)


def _frame(
    term: str, run: int, share: Vector, height: Vector, *, spike: bool = False
) -> pd.DataFrame:
    return pd.DataFrame(
        {"term": term, "run": run, "share": share, "height": height, "spike": spike}
    )


def _counts(shares: Vector) -> Vector:
    """Patients in each bin of the full width."""
    return np.histogram(np.clip(shares, 0, 1), bins=BINS, range=(0, 1))[0].astype(float)


def _outline(counts: Vector, highest: float) -> tuple[Vector, Vector]:
    """Outline of a histogram, from zero to zero."""
    x = np.repeat(np.linspace(0, 1, BINS + 1), 2)
    y = np.concatenate([[0.0], np.repeat(counts / highest, 2), [0.0]])
    filled = np.flatnonzero(y)
    if not filled.size:
        return np.empty(0), np.empty(0)
    keep = slice(max(filled[0] - 1, 0), filled[-1] + 2)
    return x[keep], y[keep]


def _spikes(shares: Vector) -> tuple[Vector, Vector]:
    x, counts = np.unique(np.round(shares, 9), return_counts=True)
    return x, counts / max(counts.max(initial=1), 1)
