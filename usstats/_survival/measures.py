"""Numbers of a calibration at a horizon: O:E, slope, and distances from the smooth curve."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from usstats._calibration.flexible import distances
from usstats._intervals import wald_interval
from usstats._survival.censoring import FollowUp
from usstats._survival.curve import HazardCurve, fit_recalibration, fit_smoother, observed_risk
from usstats.errors import (
    ArgumentError,
    DesignError,
    DirectionWarning,
    FitError,
    OutcomeError,
    SmallSampleWarning,
)
from usstats.resample import Resamples, check_failures

Vector = NDArray[np.float64]
Codes = NDArray[np.int64]

FLEXIBLE = ("ici", "e50", "e90", "emax")


class Measure(NamedTuple):
    """One row of the table."""

    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    method: str


def _undefined(method: str) -> Measure:
    return Measure(np.nan, np.nan, np.nan, np.nan, method)


@dataclass(frozen=True)
class Cohort:
    """Follow-up and predicted risks at a horizon, patients, and the level of intervals."""

    follow_up: FollowUp
    risk: Vector
    horizon: float
    cluster: Codes | None
    conf_level: float

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Rows with the event by the horizon."""
        return np.asarray((self.follow_up.event == 1) & (self.follow_up.time <= self.horizon))

    def drawn(self, rows: NDArray[np.int64]) -> Cohort:
        """A resample of the rows."""
        follow_up = FollowUp(self.follow_up.time[rows], self.follow_up.event[rows])
        return replace(self, follow_up=follow_up, risk=self.risk[rows], cluster=None)


def oe_ratio(cohort: Cohort) -> Measure:
    """Observed over expected events; the interval is symmetric on the log scale."""
    seen = observed_risk(cohort.follow_up, cohort.horizon, cohort.cluster, cohort.conf_level)
    expected = float(cohort.risk.mean())
    if expected == 0:
        msg = "Every predicted risk is 0: the O:E ratio is undefined (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
        return _undefined("kaplan-meier")
    ratio, std_error = seen["observed"] / expected, seen["std_error"] / expected
    limits = wald_interval(np.log(ratio), std_error / ratio, cohort.conf_level)
    low, high = (float(np.exp(limit)) for limit in limits)
    return Measure(ratio, std_error, low, high, "kaplan-meier, log limits")


def calibration_slope(cohort: Cohort) -> Measure:
    """Coefficient of log(-log(1 - risk)): 1 where hazards differ as much as predicted."""
    method = "cox on log(-log(1 - risk))"
    try:
        fit = fit_recalibration(cohort.follow_up, cohort.risk, cohort.cluster, n_knots=None)
    except (DesignError, FitError) as error:
        msg = f"The calibration slope does not exist (NaN): {error}"
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
        return _undefined(method)
    row = fit.frame(conf_level=cohort.conf_level).iloc[0]
    estimate, std_error, low, high = (float(row[name]) for name in Measure._fields[:4])
    slope = Measure(estimate, std_error, low, high, method)
    if slope.conf_high < 0:
        msg = (
            f"The calibration slope is {slope.estimate:.2f}: patients with a higher `risk` have "
            "the event later. A risk is 1 - S(horizon), not S(horizon)."
        )
        warnings.warn(msg, DirectionWarning, stacklevel=3)
    return slope


def flexible_curve(
    cohort: Cohort, n_knots: int, min_events: int
) -> tuple[HazardCurve | None, str | None]:
    """The smooth curve, or the reason why there is none."""
    reason = _too_few(cohort, min_events)
    if reason is None:
        try:
            return _fit(cohort, n_knots, cohort.cluster), None
        except (DesignError, FitError) as error:
            reason = str(error).rstrip(".")
    msg = f"The flexible calibration curve is withheld: {reason}."
    warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    return None, reason


def _too_few(cohort: Cohort, min_events: int) -> str | None:
    """Why the sample is too small, counting patients where rows share them."""
    who = cohort.cluster
    events = int(cohort.failed.sum()) if who is None else np.unique(who[cohort.failed]).size
    if events >= min_events:
        return None
    unit = "events" if who is None else "patients with an event"
    return (
        f"{events} {unit} by the horizon, fewer than {min_events}; min_events=0 draws it regardless"
    )


def _fit(cohort: Cohort, n_knots: int, cluster: Codes | None) -> HazardCurve:
    return fit_smoother(cohort.follow_up, cohort.risk, cohort.horizon, cluster, n_knots)


def distance_measures(
    cohort: Cohort, fitted: HazardCurve | None, n_knots: int, draws: Resamples | None
) -> tuple[dict[str, Measure], int | None]:
    """ICI, E50, E90 and Emax, with percentile limits where resamples are given."""
    method, nan = "cox on a spline of log(-log(1 - risk))", np.full(4, np.nan)
    found = nan if fitted is None else distances(cohort.risk, fitted.predict(cohort.risk))
    low, high, spread, n_failed = nan, nan, nan, None
    if draws is not None:
        drawn = (cohort.drawn(draws[i]) for i in range(len(draws)))
        replicates = np.array([_replicate(one, n_knots) for one in drawn])
        n_failed = check_failures(replicates[:, 0])
        level = cohort.conf_level
        low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
        spread = np.nanstd(replicates, axis=0, ddof=1)
        method += ", percentile limits"
    rows = zip(FLEXIBLE, found, spread, low, high, strict=True)
    measures = {
        name: Measure(float(estimate), float(std_error), float(lower), float(upper), method)
        for name, estimate, std_error, lower, upper in rows
    }
    return measures, n_failed


def _replicate(cohort: Cohort, n_knots: int) -> Vector:
    try:
        return distances(cohort.risk, _fit(cohort, n_knots, None).predict(cohort.risk))
    except (DesignError, FitError, ArgumentError, OutcomeError):
        return np.full(4, np.nan)
