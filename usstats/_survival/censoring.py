"""Follow-up that may end before the event: checks, and Kaplan-Meier curves as step functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_finite, check_lengths, check_outcome
from usstats.errors import ArgumentError, OutcomeError

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]


def check_follow_up(time: ArrayLike, event: ArrayLike, *, names: tuple[str, str]) -> FollowUp:
    """Return follow-up times and 0/1 events of the same patients.

    Parameters
    ----------
    time : array_like, shape (n,)
        Not negative.
    event : array_like, shape (n,)
        1 where follow-up ended with the event, 0 where it was censored.
    names : (str, str)
        How messages call the two.

    Raises
    ------
    OutcomeError
        Missing, infinite or negative times; an event that is not 0/1; no event at all.
    PairingError
    """
    times = _check_times(time, names[0])
    failed = check_outcome(event, name=names[1], require_both=False)
    check_lengths(**{names[0]: times, names[1]: failed})
    if not failed.any():
        msg = (
            f"`{names[1]}` holds no event (n = {failed.size}): 1 marks the rows whose follow-up "
            "ended with the event, 0 those that were censored."
        )
        raise OutcomeError(msg)
    return FollowUp(times, failed)


def _check_times(time: ArrayLike, name: str) -> Vector:
    array = np.asarray(time)
    if array.dtype == object:
        array = np.where(pd.isna(array), np.nan, array)
    if array.dtype.kind in "mM":
        msg = f"`{name}` holds dates or durations; pass numbers of days, months or years."
        raise OutcomeError(msg)
    try:
        times = check_finite(array, name=name)
    except ValueError as error:
        raise OutcomeError(str(error)) from None
    bad = times < 0
    if bad.any():
        msg = (
            f"`{name}` must not be negative; {bad.sum()} of {times.size} values are (first: "
            f"{times[bad][0]:g}, row {np.flatnonzero(bad)[0]})."
        )
        raise OutcomeError(msg)
    return times


@dataclass(frozen=True)
class FollowUp:
    """Checked times and events, (n,) each."""

    time: Vector
    event: Codes

    @property
    def n(self) -> int:
        """Rows."""
        return self.time.size

    @property
    def last(self) -> float:
        """The end of the longest follow-up."""
        return float(self.time.max())


def check_horizons(
    times: ArrayLike, last: float, *, name: str = "times", zero: bool = False
) -> Vector:
    """Return times in (0, last], one-dimensional; `zero` allows 0 too.

    Raises
    ------
    ArgumentError
    """
    at = np.atleast_1d(np.asarray(times, dtype=object)).ravel()
    try:
        values = at.astype(float)
    except (TypeError, ValueError):
        msg = f"`{name}` must be numbers in the unit of follow-up; got {times!r}."
        raise ArgumentError(msg) from None
    bad = ~(((values > 0) | (zero & (values == 0))) & (values <= last))
    if not values.size or bad.any():
        found = f"; got {values[bad][0]:g}" if values.size else ": none were given"
        msg = (
            f"`{name}` must be positive and not after the end of follow-up ({last:g}){found}. "
            "Nothing is known beyond the last patient's follow-up."
        )
        raise ArgumentError(msg)
    return np.asarray(values)


@dataclass(frozen=True)
class ProductLimit:
    """A product-limit curve: what happened at each of its times.

    `at_risk`, `failed` and `survival`, shape (m,); the curve is 1 before the first time.
    """

    times: Vector
    at_risk: Vector
    failed: Vector
    survival: Vector

    def at(self, t: Vector) -> Vector:
        """S(t)."""
        return self._value(np.searchsorted(self.times, t, side="right"))

    def before(self, t: Vector) -> Vector:
        """S(t-), the limit from the left."""
        return self._value(np.searchsorted(self.times, t, side="left"))

    def _value(self, place: Codes) -> Vector:
        return np.concatenate([[1.0], self.survival])[place]


def event_curve(follow_up: FollowUp) -> ProductLimit:
    """Kaplan and Meier's survival without the event."""
    ordered = np.sort(follow_up.time)
    times, failed = np.unique(follow_up.time[follow_up.event == 1], return_counts=True)
    at_risk = follow_up.n - np.searchsorted(ordered, times, side="left")
    return _product_limit(times, at_risk, failed)


def censoring_curve(follow_up: FollowUp) -> ProductLimit:
    """G(t), the share still followed; at tied times events come before censorings."""
    ordered = np.sort(follow_up.time)
    events = np.sort(follow_up.time[follow_up.event == 1])
    times, failed = np.unique(follow_up.time[follow_up.event == 0], return_counts=True)
    gone = np.searchsorted(events, times, side="right")
    earlier = np.searchsorted(ordered, times, side="left") - np.searchsorted(events, times)
    return _product_limit(times, follow_up.n - earlier - gone, failed)


def _product_limit(times: Vector, at_risk: Codes, failed: Codes) -> ProductLimit:
    survival = np.asarray(np.cumprod(1 - failed / at_risk), dtype=float)
    return ProductLimit(times, at_risk.astype(float), failed.astype(float), survival)
