"""Two decisions on the same cases: differences of sensitivity, specificity and accuracy."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_outcome
from usstats._diagnostic import cluster_std_error
from usstats._intervals import normal_quantile
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.proportions import mcnemar, mcnemar_clustered, tango

Float = np.float64
_PLAIN = {
    "mcnemar": "chi2",
    "mcnemar_corrected": "chi2_corrected",
    "exact": "exact",
    "midp": "midp",
}
_CLUSTERED = {
    "mcnemar": "yang",
    "yang": "yang",
    "obuchowski": "obuchowski",
    "durkalski": "durkalski",
}
PAIRED_METHODS = tuple(dict.fromkeys([*_PLAIN, *_CLUSTERED]))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AccuracyComparison:
    """Differences between two decisions, first minus second.

    Attributes
    ----------
    table : DataFrame
    method : str
    conf_level : float
    n, n_event : int
    n_cluster : int or None
    """

    table: pd.DataFrame
    method: str
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """measure, estimate_1, estimate_2, estimate, std_error, conf_low, conf_high, statistic,
        p_value, n_10, n_01, denominator, then level, method and sample."""
        frame = self.table.assign(
            conf_level=self.conf_level, method=self.method, n=self.n, n_event=self.n_event
        )
        return frame if self.n_cluster is None else frame.assign(n_cluster=self.n_cluster)

    def summary(self) -> str:
        """One line a measure."""
        lines = [
            f"{row['measure']}: {row['estimate']:.3f} "
            f"({row['conf_low']:.3f} to {row['conf_high']:.3f}), p = {row['p_value']:.3g}"
            for row in self.table.to_dict("records")
        ]
        return "\n".join([repr(self)[1:-1], *lines])

    def __repr__(self) -> str:
        unit = "case" if self.n_cluster is None else f"patient ({self.n_cluster} clusters)"
        return (
            f"<comparison of two decisions: {self.method}, {self.conf_level * 100:g} % intervals; "
            f"n = {self.n}, events = {self.n_event}, unit: {unit}>"
        )


def check_decision(decision: ArrayLike, *, name: str) -> NDArray[np.bool_]:
    """A yes/no vector; risks are refused with advice."""
    values = np.asarray(decision)
    if values.dtype.kind == "f" and not np.isin(values[np.isfinite(values)], (0.0, 1.0)).all():
        msg = (
            f"`{name}` must be a decision (0/1 or bool); it holds values such as "
            f"{values.ravel()[0]:g}. Apply a threshold first, for example `threshold.decide(p)`."
        )
        raise ArgumentError(msg)
    return np.asarray(check_outcome(decision, name=name, require_both=False) == 1)


def paired_table(
    event: NDArray[np.bool_],
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    cluster: NDArray[np.int64] | None,
    method: str,
    conf_level: float,
) -> tuple[pd.DataFrame, str]:
    """One row a measure, and the name of the method used."""
    offered = _PLAIN if cluster is None else _CLUSTERED
    if method not in offered:
        need = "needs `cluster`" if cluster is None else "does not allow for `cluster`"
        msg = f"`method` {method!r} {need}; use one of {', '.join(map(repr, offered))}."
        raise ArgumentError(msg)
    subsets = {
        "sensitivity": (first, second, event),
        "specificity": (~first, ~second, ~event),
        "accuracy": (first == event, second == event, np.ones_like(event)),
    }
    rows = [
        {"measure": name}
        | _row(a[among], b[among], _subset(cluster, among), offered[method], conf_level)
        for name, (a, b, among) in subsets.items()
    ]
    return pd.DataFrame(rows), method if cluster is None else f"{offered[method]}, clustered"


def _subset(
    cluster: NDArray[np.int64] | None, among: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    return None if cluster is None else np.unique(cluster[among], return_inverse=True)[1]


def _row(
    a: NDArray[np.bool_],
    b: NDArray[np.bool_],
    cluster: NDArray[np.int64] | None,
    method: str,
    conf_level: float,
) -> dict[str, Any]:
    n = len(a)
    if n == 0:
        warnings.warn(
            "A class has no cases: its comparison is NaN.", SmallSampleWarning, stacklevel=5
        )
        return dict.fromkeys(_ROW, np.nan) | {"n_10": 0, "n_01": 0, "denominator": 0}
    n_10, n_01 = int((a & ~b).sum()), int((~a & b).sum())
    values = (
        _plain(n_10, n_01, n, method, conf_level)
        if cluster is None
        else _clustered(a, b, cluster, method, conf_level)
    )
    estimates = (a.mean(), b.mean(), (n_10 - n_01) / n)
    return dict(zip(_ROW, (*estimates, *values), strict=True)) | {
        "n_10": n_10,
        "n_01": n_01,
        "denominator": n,
    }


_ROW = (
    "estimate_1",
    "estimate_2",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "statistic",
    "p_value",
)


def _plain(
    n_10: int, n_01: int, n: int, method: str, conf_level: float
) -> tuple[float, float, float, float, float]:
    """std_error, limits, statistic and p value."""
    std_error = np.sqrt((n_10 + n_01) - (n_10 - n_01) ** 2 / n) / n
    interval = tango(n_10, n_01, n, conf_level=conf_level)
    return (
        float(std_error),
        interval.low,
        interval.high,
        *mcnemar(n_10, n_01, method=method),
    )


def _clustered(
    a: NDArray[np.bool_],
    b: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    method: str,
    conf_level: float,
) -> tuple[float, float, float, float, float]:
    """std_error, limits, statistic and p value, patients being the units."""
    gap = a.astype(float) - b
    difference = float(gap.mean())
    std_error, _ = cluster_std_error((gap - difference) / len(gap), cluster, np.ones_like(a))
    half = normal_quantile(conf_level) * std_error
    per_patient = (np.bincount(cluster, weights=w) for w in (a & ~b, ~a & b, np.ones(len(a))))
    statistic, p_value = mcnemar_clustered(*per_patient, method=method)
    low, high = np.clip([difference - half, difference + half], -1.0, 1.0)
    return std_error, float(low), float(high), statistic, p_value
