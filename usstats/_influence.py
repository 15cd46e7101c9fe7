"""Standard errors from influence functions, over rows or over patients."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from usstats._intervals import wald_interval
from usstats.errors import SmallSampleWarning

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]


def by_cluster(influence: Vector, cluster: Codes | None) -> Vector:
    """Sums of the rows' influence within patients."""
    return influence if cluster is None else np.asarray(np.bincount(cluster, influence), float)


def influence_se(influence: Vector, cluster: Codes | None, *, centred: bool = False) -> float:
    """Root of the sum of squared influences, where each is a derivative in a row's weight.

    `centred` takes m / (m - 1) times the sum, m being rows or patients, as a sample variance
    does; NaN for a single one.
    """
    part = by_cluster(influence - centred * influence.mean(), cluster)
    total = float(part @ part)
    if not centred:
        return float(np.sqrt(total))
    return float(np.sqrt(total * part.size / (part.size - 1))) if part.size > 1 else float("nan")


def warn_of_no_variance(name: str, estimate: float, std_error: float) -> None:
    """Name a coefficient without an interval, of which every row agrees or all but one.

    Warns
    -----
    SmallSampleWarning
    """
    if np.isfinite(estimate) and not std_error > 0:
        msg = f"A {name} of {estimate:.3f} has no variance here, and so no interval (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def bounded_interval(
    estimate: float, std_error: float, conf_level: float, *, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """Wald limits cut at the bounds of the measure; NaN where the standard error is 0.

    An estimate at its bound, with every row agreeing, has no Wald interval.
    """
    if not std_error > 0:
        return float("nan"), float("nan")
    limits = wald_interval(estimate, std_error, conf_level)
    return float(np.maximum(limits[0], low)), float(np.minimum(limits[1], high))
