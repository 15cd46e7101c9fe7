"""Means over images or over patients, with intervals that count patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats._resampling.draws import Resamples
from usstats.resample import check_failures, interval_from_replicates

Float = np.float64
Codes = NDArray[np.int64]
Vector = NDArray[Float]
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A ratio of sums over images: value times weight over weight.

    Attributes
    ----------
    value, weight : ndarray, shape (n,)
        Weight 0 where the value is undefined; 1 for a mean over images, 1 / images of the patient
        for a mean over patients.
    patient : ndarray of int, shape (n,)
    """

    value: Vector
    weight: Vector
    patient: Codes

    @classmethod
    def of(cls, x: Vector, patient: Codes, average: str) -> Mean:
        """Undefined (NaN) values are left out; `average` is "image" or "patient"."""
        weight = np.isfinite(x).astype(float)
        if average == "patient":
            images = np.bincount(patient, weights=weight)[patient]
            weight = np.divide(weight, images, out=np.zeros_like(weight), where=images > 0)
        return cls(value=np.where(weight > 0, x, 0.0), weight=weight, patient=patient)

    @property
    def n(self) -> int:
        return int((self.weight > 0).sum())

    @property
    def n_patients(self) -> int:
        return len(np.unique(self.patient[self.weight > 0]))

    @property
    def estimate(self) -> float:
        total = self.weight.sum()
        return float(self.value @ self.weight / total) if total > 0 else np.nan

    def influence(self) -> Vector:
        """What each patient adds to the error of the mean."""
        if not self.n:
            return np.full(int(self.patient.max()) + 1, np.nan)
        parts = self.weight * (self.value - self.estimate) / self.weight.sum()
        return np.asarray(np.bincount(self.patient, weights=parts), dtype=float)

    def replicates(self, draws: Resamples) -> Vector:
        """The mean in every resample; NaN where no value was drawn."""
        terms = np.stack([self.value * self.weight, self.weight], axis=1)
        sums = [draws.counts(start, stop).astype(float) @ terms for start, stop in draws.chunks()]
        above, below = np.concatenate(sums).T
        return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))


def mean_row(
    means: Mapping[Any, Mean],
    *,
    conf_level: float,
    draws: Resamples | None,
    bounds: tuple[float, float],
) -> Row:
    """The plain mean of one or more means (of classes), with its interval.

    Student's t on patients (Taylor-linearised), or percentiles of a bootstrap of patients.
    """
    parts = list(means.values())
    estimate = float(np.mean([mean.estimate for mean in parts]))
    used = np.unique(np.concatenate([mean.patient[mean.weight > 0] for mean in parts]))
    row: Row = {"estimate": estimate, "n": max(mean.n for mean in parts), "n_cluster": len(used)}
    if draws is None:
        influence = np.mean([mean.influence() for mean in parts], axis=0)
        return row | _student(estimate, influence, len(used), conf_level, bounds)
    values = np.mean([mean.replicates(draws) for mean in parts], axis=0)
    if not np.isfinite(estimate):
        return row | _nothing("undefined")
    n_failed = check_failures(values)
    low, high = interval_from_replicates(
        estimate,
        values,
        ci="percentile",
        conf_level=conf_level,
        left_out=lambda: values,
        strata=draws.strata,
    )
    return row | {
        "std_error": float(np.nanstd(values, ddof=1)),
        "conf_low": low,
        "conf_high": high,
        "method": "bootstrap percentile",
        "n_failed": n_failed,
    }


def _student(
    estimate: float, influence: Vector, k: int, conf_level: float, bounds: tuple[float, float]
) -> Row:
    if not np.isfinite(estimate):
        return _nothing("undefined")
    if k < 2:
        return _nothing("a single patient")
    std_error = float(np.sqrt(k / (k - 1) * (influence**2).sum()))
    half = std_error * float(special.stdtrit(k - 1, (1 + conf_level) / 2))
    return {
        "std_error": std_error,
        "conf_low": max(estimate - half, bounds[0]),
        "conf_high": min(estimate + half, bounds[1]),
        "df": float(k - 1),
        "method": "t",
    }


def _nothing(why: str) -> Row:
    return {"std_error": np.nan, "conf_low": np.nan, "conf_high": np.nan, "method": why}
