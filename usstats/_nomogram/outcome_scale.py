"""What a linear predictor means to a reader: a risk, survival at a time, a median survival time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._nomogram.ticks import pretty, probability_ticks

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

LOG_TWO = float(np.log(2))
#: A median is reached where the cumulative hazard is log 2 but for this share.
_ROUNDING = 1e-12
_FEWEST_TICKS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Precision:
    """What the standard error of a (transformed) linear predictor needs besides the slopes'.

    Attributes
    ----------
    variance : ndarray, shape (m,)
        Of the linear predictor of a reference patient; for survival, of log(-log S) at m times.
    covariance : ndarray, shape (m, k)
        With each of the k slopes.
    """

    variance: Vector
    covariance: Matrix

    def std_error(self, away: Matrix, slopes: Matrix) -> Matrix:
        """Standard errors (n, m) of patients whose design is `away` (n, k) from the reference."""
        own = np.einsum("ij,jk,ik->i", away, slopes, away)
        variance = self.variance + 2 * away @ self.covariance.T + own[:, None]
        return np.asarray(np.sqrt(np.maximum(variance, 0)))


class OutcomeScale(Protocol):
    """A lower axis of a nomogram: values, and where the linear predictor puts them."""

    @property
    def precision(self) -> Precision:
        """Standard errors on the scale of the linear predictor."""

    @property
    def kind(self) -> str:
        """What its values are: risk, survival or median."""

    @property
    def time(self) -> float | None:
        """The horizon of a survival or risk."""

    @property
    def column(self) -> str:
        """Its name among the columns of a reading."""

    def title(self, outcome: str) -> str:
        """Its name for readers."""

    def of_lp(self, lp: ArrayLike) -> Vector:
        """Values of linear predictors."""

    def to_lp(self, values: ArrayLike) -> Vector:
        """Linear predictors of values."""

    def ticks(self, low: float, high: float) -> list[float]:
        """Round values whose linear predictors lie between two."""

    def limits(self, lp: Vector, half: Matrix) -> tuple[Vector, Vector]:
        """Values at the ends of lp -+ half (n, m), the smaller first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LogisticRisk:
    """The risk of a logistic model."""

    precision: Precision
    kind: str = "risk"
    time: float | None = None

    @property
    def column(self) -> str:
        """Its name among the columns of a reading."""
        return "risk"

    def title(self, outcome: str) -> str:
        """Its name for readers."""
        return f"Risk of {outcome}"

    def of_lp(self, lp: ArrayLike) -> Vector:
        """Inverse logit."""
        return np.asarray(special.expit(np.asarray(lp, dtype=float)))

    def to_lp(self, values: ArrayLike) -> Vector:
        """Logit."""
        return np.asarray(special.logit(np.asarray(values, dtype=float)))

    def ticks(self, low: float, high: float) -> list[float]:
        """Round risks whose logits lie between two."""
        return probability_ticks(*_sorted(self.of_lp([low, high])))

    def limits(self, lp: Vector, half: Matrix) -> tuple[Vector, Vector]:
        """Wald limits on the logit scale."""
        return self.of_lp(lp - half[:, 0]), self.of_lp(lp + half[:, 0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Survival:
    """S(time) = exp(-hazard * exp(lp)) of a Cox model, or the risk 1 - S(time).

    `hazard` is the baseline's cumulative hazard at the time.
    """

    precision: Precision
    time: float
    hazard: float
    kind: str
    unit: str = ""

    @property
    def column(self) -> str:
        """Its name among the columns of a reading."""
        return f"{self.kind}_{self.time:g}"

    def title(self, outcome: str) -> str:
        """Its name for readers."""
        when = f"{self.time:g} {self.unit}".strip()
        return f"Survival at {when}" if self.kind == "survival" else f"Risk of {outcome} by {when}"

    def of_lp(self, lp: ArrayLike) -> Vector:
        """Survival or risk."""
        spent = self.hazard * np.exp(np.asarray(lp, dtype=float))
        return np.asarray(np.exp(-spent) if self.kind == "survival" else -np.expm1(-spent))

    def to_lp(self, values: ArrayLike) -> Vector:
        """log(-log S / hazard)."""
        p = np.asarray(values, dtype=float)
        spent = -np.log(p) if self.kind == "survival" else -np.log1p(-p)
        return np.asarray(np.log(spent / self.hazard))

    def ticks(self, low: float, high: float) -> list[float]:
        """Round probabilities whose linear predictors lie between two."""
        return probability_ticks(*_sorted(self.of_lp([low, high])))

    def limits(self, lp: Vector, half: Matrix) -> tuple[Vector, Vector]:
        """Limits on the scale of log(-log S)."""
        ends = self.of_lp(lp - half[:, 0]), self.of_lp(lp + half[:, 0])
        return ends if self.kind == "risk" else ends[::-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class MedianSurvival:
    """The time by which a Cox model expects half of such patients to have had the event.

    `times` are those of events, `hazard` the baseline's cumulative hazard from each on. A tick
    stands where exactly half survive; the median itself is then the last event time up to it.
    """

    precision: Precision
    times: Vector
    hazard: Vector
    unit: str = ""
    kind: str = "median"
    time: float | None = None

    @property
    def column(self) -> str:
        """Its name among the columns of a reading."""
        return "median_survival"

    def title(self, outcome: str) -> str:
        """Its name for readers."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"Median time to {outcome}{unit}"

    def of_lp(self, lp: ArrayLike) -> Vector:
        """Medians; infinite where half never have the event within follow-up."""
        return self._first_half(self.hazard * np.exp(np.asarray(lp, dtype=float))[..., None])

    def _first_half(self, spent: NDArray[Float]) -> Vector:
        """The first time at which the cumulative hazard (..., m) has reached log 2."""
        reached = spent >= LOG_TWO * (1 - _ROUNDING)
        first = self.times[np.argmax(reached, axis=-1)]
        return np.where(reached.any(axis=-1), first, np.inf)

    def to_lp(self, values: ArrayLike) -> Vector:
        """Linear predictors with which half survive up to some times."""
        at = np.searchsorted(self.times, np.asarray(values, dtype=float), side="right")
        hazard = np.concatenate([[0.0], self.hazard])[at]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(LOG_TWO / hazard))

    def ticks(self, low: float, high: float) -> list[float]:
        """Round times, one between two neighbouring events at most."""
        first, last = _sorted(self.of_lp([low, high]))
        last = min(last, float(self.times[-1]))
        first = min(max(first, float(self.times[0])), last)
        inside: list[float] = []
        for ticks in (pretty(first, last, n) for n in (5, 10)):
            inside = self._apart([t for t in ticks if first <= t <= last], low, high)
            if len(inside) >= _FEWEST_TICKS:
                break
        return inside

    def _apart(self, times: list[float], low: float, high: float) -> list[float]:
        lp = self.to_lp(times)
        kept = [i for i, at in enumerate(lp) if low <= at <= high and (i == 0 or at < lp[i - 1])]
        return [times[i] for i in kept]

    def limits(self, lp: Vector, half: Matrix) -> tuple[Vector, Vector]:
        """Where the limits of log(-log S) reach a half."""
        ends = [self._first_half(self.hazard * np.exp(lp[:, None] + s * half)) for s in (1, -1)]
        undefined = np.isnan(half).any(axis=1)
        low, high = (np.where(undefined, np.nan, end) for end in ends)
        return low, high


def _sorted(ends: Vector) -> tuple[float, float]:
    return float(min(ends)), float(max(ends))


@dataclass(frozen=True, kw_only=True, eq=False)
class HazardRecord:
    """Baseline hazard at the times a nomogram needs.

    Attributes
    ----------
    times, hazard, variance : ndarray, shape (m,)
        Cumulative hazard at these times, and the variance of its logarithm were the slopes known.
    centre : ndarray, shape (m, k)
        Design columns whose patient has the least uncertain log hazard.
    """

    times: Vector
    hazard: Vector
    variance: Vector
    centre: Matrix

    def precision(self, position: slice, reference: Vector, slopes: Matrix) -> Precision:
        """Precision at some of the times for a reference patient's design columns (k,)."""
        away = reference - self.centre[position]
        own = np.einsum("ij,jk,ik->i", away, slopes, away)
        return Precision(variance=self.variance[position] + own, covariance=away @ slopes)


def logistic_risk(V: Matrix, reference: Vector) -> LogisticRisk:
    """The risk of a logistic model with covariance V (k + 1, k + 1), the intercept first."""
    row = np.concatenate([[1.0], reference])
    precision = Precision(variance=np.array([row @ V @ row]), covariance=(V @ row)[None, 1:])
    return LogisticRisk(precision=precision)


def survival_scales(
    record: HazardRecord,
    shown: Sequence[tuple[str, float | None]],
    slopes: Matrix,
    reference: Vector,
    *,
    unit: str,
) -> tuple[OutcomeScale, ...]:
    """Survival, risk and median axes; `shown` holds each one's kind and time."""
    made: list[OutcomeScale] = []
    for kind, time in shown:
        if time is None:
            precision = record.precision(slice(None), reference, slopes)
            made.append(
                MedianSurvival(
                    precision=precision, times=record.times, hazard=record.hazard, unit=unit
                )
            )
            continue
        j = int(np.searchsorted(record.times, time))
        precision = record.precision(slice(j, j + 1), reference, slopes)
        hazard = float(record.hazard[j])
        made.append(Survival(precision=precision, time=time, hazard=hazard, kind=kind, unit=unit))
    return tuple(made)


def shown_scales(kinds: Sequence[str], times: Sequence[float]) -> list[tuple[str, float | None]]:
    """Kind and time of each lower axis: all times of the first kind, then of the next."""
    shown: list[tuple[str, float | None]] = []
    for kind in kinds:
        timeless = kind == "median" or not times
        shown += [(kind, None)] if timeless else [(kind, time) for time in times]
    return shown
