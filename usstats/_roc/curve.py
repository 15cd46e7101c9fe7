"""The empirical ROC curve as a value, and its bootstrap band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._resampling.draws import Resamples
from usstats._roc.points import height, roc_points
from usstats.errors import ArgumentError
from usstats.resample import check_failures
from usstats.results import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = np.float64
_MOST_HEIGHTS = 201
_CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RocCurve:
    """Sensitivity and specificity at every threshold, ascending.

    Attributes
    ----------
    threshold, sensitivity, specificity : ndarray, shape (k + 1,)
    conf_low, conf_high : ndarray, shape (k + 1,), or None
        Limits of the sensitivity at the row's specificity.
    conf_level : float
    auc : Estimate
        The area with its DeLong (Obuchowski) interval.
    method : str
    n_boot, seed : int or None
    """

    threshold: NDArray[Float]
    sensitivity: NDArray[Float]
    specificity: NDArray[Float]
    conf_low: NDArray[Float] | None
    conf_high: NDArray[Float] | None
    conf_level: float
    auc: Estimate
    method: str
    n_boot: int | None
    seed: int | None

    def frame(self) -> pd.DataFrame:
        """threshold, sensitivity, specificity and, with a band, conf_low, conf_high."""
        names = ["threshold", "sensitivity", "specificity"]
        if self.conf_low is not None:
            names += ["conf_low", "conf_high"]
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def sensitivity_at(self, specificity: float) -> float:
        """Highest sensitivity at a specificity, on the line between two thresholds.

        Parameters
        ----------
        specificity : float
            Inside [0, 1]. A rule that can be applied is found by `choose_threshold`.

        Raises
        ------
        ArgumentError
        """
        at = np.array([_check_share(specificity, name="specificity")])
        return float(height(self.specificity, self.sensitivity, at)[0])

    def specificity_at(self, sensitivity: float) -> float:
        """Highest specificity at a sensitivity, on the line between two thresholds.

        Parameters
        ----------
        sensitivity : float
            Inside [0, 1].

        Raises
        ------
        ArgumentError
        """
        at = np.array([_check_share(sensitivity, name="sensitivity")])
        return float(height(self.sensitivity[::-1], self.specificity[::-1], at)[0])

    def summary(self) -> str:
        """The area under the curve in words."""
        return self.auc.summary()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curve."""
        from usstats.plots.roc import plot_roc

        return plot_roc({"": self}, ax)

    def __repr__(self) -> str:
        return f"<ROC curve, {len(self.threshold)} points, {self.method}; {self.summary()}>"


def _check_share(value: object, *, name: str) -> float:
    if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        msg = f"`{name}` must be a number inside [0, 1]; got {value!r}."
        raise ArgumentError(msg)
    return float(value)


def sensitivity_band(
    y: NDArray[np.int64], s: NDArray[Float], draws: Resamples, conf_level: float
) -> tuple[NDArray[Float], NDArray[Float]]:
    """Pointwise percentile limits of the sensitivity at the specificity of each curve point."""
    specificity = roc_points(y, s).specificity
    grid = np.unique(specificity)
    if len(grid) > _MOST_HEIGHTS:
        grid = np.linspace(0, 1, _MOST_HEIGHTS)
    heights = _heights(y, s, draws, grid)
    check_failures(heights[:, 0])
    finite = heights[np.isfinite(heights[:, 0])]
    low, high = np.quantile(finite, [(1 - conf_level) / 2, (1 + conf_level) / 2], axis=0)
    return np.interp(specificity, grid, low), np.interp(specificity, grid, high)


def _heights(
    y: NDArray[np.int64], s: NDArray[Float], draws: Resamples, grid: NDArray[Float]
) -> NDArray[Float]:
    """Sensitivity at each specificity of `grid` in each resample, shape (n_boot, len(grid))."""
    order = np.argsort(s)
    event = y[order] == 1
    first = np.flatnonzero(np.concatenate(([True], np.diff(s[order]) != 0)))
    rows = []
    for start, stop in draws.chunks(_CHUNK_BYTES):
        weights = draws.counts(start, stop)[:, order]
        cases = _at_or_above(np.where(event, weights, 0), first)
        controls = _at_or_above(np.where(event, 0, weights), first)
        with np.errstate(invalid="ignore"):
            sensitivity = cases / cases[:, :1]
            specificity = (controls[:, :1] - controls) / controls[:, :1]
        rows += [height(x, h, grid) for x, h in zip(specificity, sensitivity, strict=True)]
    return np.array(rows)


def _at_or_above(weights: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row's weight at or above each distinct score, then 0 above all of them.

    Counts, so that a specificity is the same ratio here and on the curve: 1 - 0.8 is not 0.2.
    """
    groups = np.add.reduceat(weights, first, axis=1)
    above = np.cumsum(groups[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.pad(above, ((0, 0), (0, 1))))
