"""Figures of merit of one reader in one condition, and how each case bears on them.

Every metric gives its value and one number a case, the class-wise pseudovalue
m V_i = m theta - (m - 1) theta_(-i), where m counts the cases of case i's class. For the AUC these
are DeLong's placement values, for a proportion the decisions themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._check import check_option
from usstats._roc.partial_area import check_range
from usstats._roc.placements import place
from usstats._roc.resampled import auc_without_each
from usstats.errors import ArgumentError

Float = np.float64
Int = np.int64
METRICS = ("auc", "partial_auc", "sensitivity", "specificity")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of merit of (event, rating).

    Attributes
    ----------
    name : str
    classes : tuple of int
        Classes of the truth that it depends on.
    evaluate : callable
        (event, rating) -> value and pseudovalues, shape (n,).
    without_each : callable
        (event, rating, unit) -> value without each patient, shape (n_unit,).
    two_sample : bool
        Events are compared with non-events; otherwise a mean over cases.
    bounded : bool
        Lies in [0, 1], and so do its intervals.
    """

    name: str
    classes: tuple[int, ...]
    evaluate: Callable[[NDArray[np.bool_], NDArray[Float]], tuple[float, NDArray[Float]]]
    without_each: Callable[[NDArray[np.bool_], NDArray[Float], NDArray[Int]], NDArray[Float]]
    two_sample: bool = False
    bounded: bool = True


def make_metric(
    metric: str,
    *,
    specificity: tuple[float, float] | None = None,
    sensitivity: tuple[float, float] | None = None,
    corrected: bool = False,
) -> Metric:
    """The metric of a name; the range of a partial area is part of it."""
    check_option(metric, METRICS, name="metric")
    given = specificity is not None or sensitivity is not None or corrected
    if metric != "partial_auc" and given:
        msg = (
            "`specificity`, `sensitivity` and `corrected` belong to metric='partial_auc'; got "
            f"metric={metric!r}."
        )
        raise ArgumentError(msg)
    if metric == "partial_auc":
        return _partial(specificity, sensitivity, corrected=corrected)
    return AUC if metric == "auc" else proportion(metric, int(metric == "sensitivity"))


def _auc(event: NDArray[np.bool_], rating: NDArray[Float]) -> tuple[float, NDArray[Float]]:
    placed = place(event.astype(Int), rating)
    return placed.auc, placed.values


def _auc_without(
    event: NDArray[np.bool_], rating: NDArray[Float], unit: NDArray[Int]
) -> NDArray[Float]:
    return auc_without_each(place(event.astype(Int), rating), rating, unit)


AUC = Metric(name="auc", classes=(0, 1), evaluate=_auc, without_each=_auc_without, two_sample=True)


def proportion(name: str, value: int) -> Metric:
    """Share of the cases of one class that were called rightly (ratings are 0/1 calls)."""

    def right(rating: NDArray[Float]) -> NDArray[Float]:
        return rating if value else 1 - rating

    def evaluate(event: NDArray[np.bool_], rating: NDArray[Float]) -> tuple[float, NDArray[Float]]:
        return float(right(rating).mean()), right(rating)

    def without(
        event: NDArray[np.bool_], rating: NDArray[Float], unit: NDArray[Int]
    ) -> NDArray[Float]:
        return _mean_without(right(rating), unit)

    return Metric(name=name, classes=(value,), evaluate=evaluate, without_each=without)


def mean_of(name: str, *, classes: tuple[int, ...] = (0, 1), bounded: bool = True) -> Metric:
    """Mean over the cases, for times and shares of changed decisions."""
    return Metric(
        name=name,
        classes=classes,
        evaluate=lambda event, rating: (float(rating.mean()), rating),
        without_each=lambda event, rating, unit: _mean_without(rating, unit),
        bounded=bounded,
    )


def _mean_without(values: NDArray[Float], unit: NDArray[Int]) -> NDArray[Float]:
    left = len(values) - np.bincount(unit)
    total = values.sum() - np.bincount(unit, weights=values)
    return np.asarray(np.divide(total, left, out=np.full(len(left), np.nan), where=left > 0))


def _partial(
    specificity: tuple[float, float] | None,
    sensitivity: tuple[float, float] | None,
    *,
    corrected: bool,
) -> Metric:
    """Area in a range of specificity; a range of sensitivity is the same with classes swapped."""
    focus, low, high = check_range(specificity, sensitivity)
    chance = ((1 - low) ** 2 - (1 - high) ** 2) / 2
    scale = 0.5 / (high - low - chance) if corrected else 1.0
    shift = 0.5 - chance * scale if corrected else 0.0

    def swap(
        event: NDArray[np.bool_], rating: NDArray[Float]
    ) -> tuple[NDArray[np.bool_], NDArray[Float]]:
        return (event, rating) if focus == "specificity" else (~event, -rating)

    def evaluate(event: NDArray[np.bool_], rating: NDArray[Float]) -> tuple[float, NDArray[Float]]:
        area, values = _partial_area(*swap(event, rating), 1 - high, 1 - low)
        return shift + scale * area, shift + scale * values

    def without(
        event: NDArray[np.bool_], rating: NDArray[Float], unit: NDArray[Int]
    ) -> NDArray[Float]:
        sides = swap(event, rating)
        areas = [_area_of(*sides, unit != u, 1 - high, 1 - low) for u in range(unit.max() + 1)]
        return shift + scale * np.array(areas)

    return Metric(
        name="partial_auc",
        classes=(0, 1),
        evaluate=evaluate,
        without_each=without,
        two_sample=True,
    )


def _area_of(
    event: NDArray[np.bool_],
    rating: NDArray[Float],
    keep: NDArray[np.bool_],
    low: float,
    high: float,
) -> float:
    if event[keep].all() or not event[keep].any():
        return np.nan
    return float(_event_areas(event[keep], rating[keep], low, high).mean())


def _event_areas(
    event: NDArray[np.bool_], rating: NDArray[Float], low: float, high: float
) -> NDArray[Float]:
    """Partial area of each event alone; their mean is the partial area of the curve."""
    others = np.sort(rating[~event])
    n = len(others)
    above = n - np.searchsorted(others, rating[event], side="right")
    tied = n - np.searchsorted(others, rating[event], side="left") - above
    return _under_ramp(above, tied, low * n, high * n) / n


def _partial_area(
    event: NDArray[np.bool_], rating: NDArray[Float], low: float, high: float
) -> tuple[float, NDArray[Float]]:
    """Area for false-positive rates in [low, high], and the pseudovalues of all cases.

    The curve of one event is a ramp from the non-events above it to those above or tied. Leaving
    out a non-event moves the ramps of lower events to the left, narrows those of tied ones and
    stretches all, so three prefix sums over the sorted events serve every non-event.
    """
    areas = _event_areas(event, rating, low, high)
    values = np.empty(len(event))
    values[event] = areas
    theta = float(areas.mean())
    values[~event] = _nonevent_pseudovalues(event, rating, theta, low, high)
    return theta, values


def _nonevent_pseudovalues(
    event: NDArray[np.bool_], rating: NDArray[Float], theta: float, low: float, high: float
) -> NDArray[Float]:
    events, others = np.sort(rating[event]), rating[~event]
    n = len(others)
    if n < 2:
        return np.full(n, np.nan)
    ordered = np.sort(others)
    above = n - np.searchsorted(ordered, events, side="right")
    tied = n - np.searchsorted(ordered, events, side="left") - above
    ends = low * (n - 1), high * (n - 1)
    moved, narrowed, kept = (
        np.append(0.0, np.cumsum(_under_ramp(a, t, *ends)))
        for a, t in ((above - 1, tied), (above, tied - 1), (above, tied))
    )
    first = np.searchsorted(events, others, side="left")
    last = np.searchsorted(events, others, side="right")
    total = moved[first] + (narrowed[last] - narrowed[first]) + (kept[-1] - kept[last])
    left_out = total / (len(events) * (n - 1))
    return np.asarray(n * theta - (n - 1) * left_out)


def _under_ramp(
    start: NDArray[Int], width: NDArray[Int], low: float, high: float
) -> NDArray[Float]:
    """Area from `low` to `high` under a line that is 0 before `start` and 1 after its ramp."""

    def below(x: float) -> NDArray[Float]:
        inside = np.clip(x - start, 0, np.maximum(width, 0))
        ramp = np.divide(inside**2, 2 * width, out=np.zeros(len(width)), where=width > 0)
        return np.asarray(ramp + np.maximum(x - start - np.maximum(width, 0), 0))

    return np.asarray(below(high) - below(low))
