"""The flexible calibration curve, its distances from the diagonal, and both in every resample."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._calibration.recalibration import Codes, Float, Vector
from usstats._calibration.smoothing import Smoother, fit_loess, fit_spline
from usstats.errors import FitError
from usstats.resample import Resamples, check_failures

GRID_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Which smoother, with which settings."""

    smoother: str
    span: float
    n_knots: int

    def fit(
        self,
        p: Vector,
        y: Vector,
        *,
        counts: NDArray[np.int64] | None = None,
        cluster: Codes | None = None,
    ) -> Smoother:
        """Fit to risks and outcomes; `counts` weighs the rows of a replicate."""
        if self.smoother == "loess":
            return fit_loess(p, y, span=self.span, counts=counts, cluster=cluster)
        return fit_spline(p, y, n_knots=self.n_knots, counts=counts, cluster=cluster)


def distances(p: Vector, smoothed: Vector) -> Vector:
    """ICI, E50, E90 and Emax: mean, quantiles and maximum of |p - curve(p)|."""
    gap = np.abs(p - smoothed)
    return np.array([gap.mean(), *np.quantile(gap, [0.5, 0.9]), gap.max()])


def curve_grid(p: Vector) -> Vector:
    """Every hundredth, and a hundred equal steps, from the smallest to the largest risk."""
    low, high = p.min(), p.max()
    hundredths = np.round(np.arange(101) / 100, 2)
    inside = hundredths[(hundredths > low) & (hundredths < high)]
    return np.unique(np.r_[np.linspace(low, high, GRID_STEPS + 1), inside])


def curve_frame(
    fitted: Smoother | None,
    at: Vector,
    observed_range: tuple[float, float],
    conf_level: float | None,
) -> pd.DataFrame:
    """The curve at given risks, NaN outside the observed range or where there is no curve.

    `conf_level` None leaves the limits out.
    """
    names = ["observed"] if conf_level is None else ["observed", "conf_low", "conf_high"]
    table = pd.DataFrame({"predicted": at, **dict.fromkeys(names, np.nan)})
    inside = (at >= observed_range[0]) & (at <= observed_range[1])
    if fitted is None or not inside.any():
        return table
    table.loc[inside, "observed"] = fitted.predict(at[inside])
    if conf_level is not None:
        table.loc[inside, "conf_low"], table.loc[inside, "conf_high"] = fitted.band(
            at[inside], conf_level
        )
    return table


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """Distances (n_boot, 4) and curves (n_boot, m) of the resamples; NaN rows failed.

    A curve is NaN outside its own replicate's range.
    """

    distances: NDArray[Float]
    curves: NDArray[Float]
    n_failed: int

    def limits(self, conf_level: float) -> tuple[NDArray[Float], NDArray[Float]]:
        """Percentile limits of the distances, and of the curve: each (2, k)."""
        tails = [(1 - conf_level) / 2, (1 + conf_level) / 2]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            return (
                np.asarray(np.nanquantile(self.distances, tails, axis=0)),
                np.asarray(np.nanquantile(self.curves, tails, axis=0)),
            )


def replicate_curves(
    engine: Engine, p: Vector, y: Vector, grid: Vector, draws: Resamples
) -> Replicates:
    """Refit the smoother in every resample; the curve is read inside each replicate's range.

    Raises
    ------
    ResampleError
        More than a fifth of the replicates bear no curve.
    """
    rows = [_replicate(engine, p, y, grid, draws[i]) for i in range(len(draws))]
    near, curves = (np.array(part) for part in zip(*rows, strict=True))
    n_failed = check_failures(near[:, 0])
    return Replicates(distances=near, curves=curves, n_failed=n_failed)


def _replicate(
    engine: Engine, p: Vector, y: Vector, grid: Vector, drawn: NDArray[np.int64]
) -> tuple[Vector, Vector]:
    counts = np.bincount(drawn, minlength=p.size)
    try:
        fitted = engine.fit(p, y, counts=counts)
        curve = curve_frame(fitted, grid, (p[drawn].min(), p[drawn].max()), None)
        return distances(p[drawn], fitted.predict(p[drawn])), curve["observed"].to_numpy()
    except FitError:
        return np.full(4, np.nan), np.full(grid.size, np.nan)
