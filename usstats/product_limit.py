"""Kaplan-Meier curves with intervals, quantiles and restricted means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_option
from usstats._influence import influence_se
from usstats._intervals import check_conf_level, normal_quantile, wald_interval
from usstats._survival.censoring import (
    FollowUp,
    ProductLimit,
    check_follow_up,
    check_horizons,
    event_curve,
)
from usstats._survival.ipcw import CensoringMartingale, censoring_martingale
from usstats.errors import ArgumentError
from usstats.results import Estimate, unit_of_analysis

__all__ = ["KaplanMeier", "kaplan_meier"]

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]

SCALES = ("log-log", "log", "plain")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class KaplanMeier:
    """A survival curve without covariates. Made by `kaplan_meier`."""

    scale: str
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    _table: pd.DataFrame = field(repr=False)
    _full: pd.DataFrame = field(repr=False)
    _curve: ProductLimit = field(repr=False)
    _last: float = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a time: n_risk (just before), n_event (since the row above), S and its limits."""
        return self._table.copy()

    def quantiles(self, p: ArrayLike = (0.25, 0.5, 0.75)) -> pd.DataFrame:
        """Times by which shares p have failed: estimate, conf_low, conf_high; NaN if not reached.

        The first time at which the curve (for the limits, its limits) is at 1 - p or below; where
        it stays at 1 - p for a while, the middle of that stretch, as R's ``quantile.survfit``.
        """
        shares = np.atleast_1d(np.asarray(p, dtype=float))
        if not ((shares > 0) & (shares < 1)).all():
            msg = f"`p` must hold shares inside (0, 1), for example 0.5; got {p!r}."
            raise ArgumentError(msg)
        rows = {
            name: [_crossing(self._full["time"], self._full[column], 1 - q) for q in shares]
            for name, column in (
                ("estimate", "estimate"),
                ("conf_low", "conf_low"),
                ("conf_high", "conf_high"),
            )
        }
        return pd.DataFrame({"p": shares, **rows, "conf_level": self.conf_level})

    def restricted_mean(self, horizon: float) -> Estimate:
        """Mean time without the event up to the horizon: the area under the curve.

        Raises
        ------
        ArgumentError
        """
        end = float(check_horizons(horizon, self._last, name="horizon")[0])
        curve = self._curve
        early = curve.times <= end
        times = np.concatenate([[0.0], curve.times[early], [end]])
        S = np.concatenate([[1.0], curve.survival[early]])
        area = np.diff(times) * S
        left = area[::-1].cumsum()[::-1][1:]
        spread = _greenwood_steps(curve)[early]
        std_error = float(np.sqrt(np.sum(np.where(left > 0, left**2 * spread, 0.0))))
        low, high = wald_interval(area.sum(), std_error, self.conf_level)
        return Estimate(
            measure="restricted_mean",
            estimate=float(area.sum()),
            std_error=std_error,
            conf_low=float(low),
            conf_high=float(high),
            conf_level=self.conf_level,
            method=f"area to {end:g}",
            n=self.n,
            n_event=self.n_event,
        )

    def summary(self) -> str:
        """Sample, median with limits, and the curve at the times asked for."""
        median = self.quantiles(0.5).iloc[0]
        shown = ["time", "n_risk", "n_event", "estimate", "conf_low", "conf_high"]
        table = self._table[shown].head(20).to_string(index=False, float_format="%.4g")
        limits = f"({median['conf_low']:g} to {median['conf_high']:g})"
        return f"{self!r}\nmedian {median['estimate']:g} {limits}\n{table}"

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<KaplanMeier: n = {self.n}, events = {self.n_event}, unit: {unit}, "
            f"{self.conf_level * 100:g} % {self.scale} intervals>"
        )


def _crossing(times: pd.Series[float], values: pd.Series[float], level: float) -> float:
    curve, at = values.to_numpy(dtype=float), times.to_numpy(dtype=float)
    tolerance = 8 * np.finfo(float).eps
    reached = np.flatnonzero(curve <= level + tolerance)
    if not reached.size:
        return float("nan")
    first = int(reached[0])
    if abs(curve[first] - level) <= tolerance:
        lower = np.flatnonzero(curve < level - tolerance)
        return float((at[first] + at[lower[0]]) / 2) if lower.size else float(at[first])
    return float(at[first])


def kaplan_meier(
    time: ArrayLike,
    event: ArrayLike,
    *,
    times: ArrayLike | None = None,
    scale: str = "log-log",
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> KaplanMeier:
    """Survival without the event, by Kaplan and Meier.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, not negative.
    event : array_like, shape (n,)
        1 where follow-up ended with the event, 0 where it was censored.
    times : array_like, optional
        Ascending times to list; by default every event time.
    scale : {"log-log", "log", "plain"}
        Where the interval is symmetric; "log" is R's default, "log-log" stays inside (0, 1).
    cluster : array_like, shape (n,), optional
        Patient labels where rows share a patient: standard errors by the infinitesimal jackknife
        over patients (R: ``survfit(cluster = )``); with one row each these are Greenwood's.
    conf_level : float

    Returns
    -------
    KaplanMeier
        frame: time, n_risk, n_event, estimate, std_error, conf_low, conf_high, conf_level.

    Raises
    ------
    OutcomeError, PairingError, ArgumentError

    Notes
    -----
    Greenwood's variance; R: ``summary(survival::survfit(Surv(time, event) ~ 1), times)``.

    Examples
    --------
    >>> km = kaplan_meier([1, 2, 3, 4], [1, 0, 1, 0], times=[1, 3])
    >>> km.frame()[["time", "n_risk", "n_event", "estimate"]]
       time  n_risk  n_event  estimate
    0   1.0       4        1     0.750
    1   3.0       2        1     0.375
    """
    check_option(scale, SCALES, name="scale")
    level = check_conf_level(conf_level)
    follow_up = check_follow_up(time, event, names=("time", "event"))
    who = check_cluster(cluster, follow_up.n)
    curve = event_curve(follow_up)
    full = _table(follow_up, curve, curve.times, who, (scale, level))
    listed = full
    if times is not None:
        at = check_horizons(times, follow_up.last, zero=True)
        if (np.diff(at) <= 0).any():
            msg = f"`times` must ascend without duplicates; got {at.tolist()}."
            raise ArgumentError(msg)
        listed = _table(follow_up, curve, at, who, (scale, level))
    return KaplanMeier(
        scale=scale,
        conf_level=level,
        n=follow_up.n,
        n_event=int(follow_up.event.sum()),
        n_cluster=None if who is None else int(who.max()) + 1,
        _table=listed,
        _full=full,
        _curve=curve,
        _last=follow_up.last,
    )


def _table(
    follow_up: FollowUp,
    curve: ProductLimit,
    at: Vector,
    cluster: Codes | None,
    interval: tuple[str, float],
) -> pd.DataFrame:
    S, ordered = curve.at(at), np.sort(follow_up.time)
    events = np.concatenate([[0], np.cumsum(curve.failed)])
    by_then = events[np.searchsorted(curve.times, at, side="right")]
    std_error = _std_errors(follow_up, curve, at, cluster)
    low, high = survival_limits(S, std_error, *interval)
    return pd.DataFrame(
        {
            "time": at,
            "n_risk": follow_up.n - np.searchsorted(ordered, at, side="left"),
            "n_event": np.diff(by_then, prepend=0).astype(np.int64),
            "estimate": S,
            "std_error": std_error,
            "conf_low": low,
            "conf_high": high,
            "conf_level": interval[1],
        }
    )


def _greenwood_steps(curve: ProductLimit) -> Vector:
    left = curve.at_risk - curve.failed
    steps = np.full_like(left, np.inf)
    np.divide(curve.failed, curve.at_risk * left, out=steps, where=left > 0)
    return steps


def _std_errors(
    follow_up: FollowUp, curve: ProductLimit, at: Vector, cluster: Codes | None
) -> Vector:
    """Greenwood's, or over patients; NaN where the curve has fallen to 0."""
    S, place = curve.at(at), np.searchsorted(curve.times, at, side="right")
    if cluster is None:
        total = np.concatenate([[0.0], np.cumsum(_greenwood_steps(curve))])[place]
        return np.where(S > 0, S * np.sqrt(np.where(S > 0, total, 0.0)), np.nan)
    martingale = _event_martingale(follow_up, curve)
    ones, found = np.ones(follow_up.n), []
    for s, steps in zip(S, place, strict=True):
        influence = s * martingale.integral(ones, np.full(follow_up.n, steps))
        found.append(influence_se(influence / follow_up.n, cluster))
    return np.where(S > 0, found, np.nan)


def _event_martingale(follow_up: FollowUp, curve: ProductLimit) -> CensoringMartingale:
    """Influence of each row on -log S(t); with one row a patient its sum of squares is Greenwood's.

    Events stand where censorings do in the weights, and the survivors of a time where those at
    risk do: the derivative of a product-limit curve, not of a hazard's exponential.
    """
    turned = censoring_martingale(FollowUp(follow_up.time, 1 - follow_up.event))
    survivors = np.maximum(curve.at_risk - curve.failed, 1.0)
    return replace(turned, at_risk=survivors / follow_up.n)


def survival_limits(
    S: Vector, std_error: Vector, scale: str, conf_level: float
) -> tuple[Vector, Vector]:
    """Limits of survival probabilities, symmetric on a scale, in [0, 1]; 1 to 1 where S = 1."""
    z = normal_quantile(conf_level)
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "plain":
            low, high = S - z * std_error, S + z * std_error
        elif scale == "log":
            factor = np.exp(z * std_error / S)
            low, high = S / factor, S * factor
        else:
            factor = np.exp(z * std_error / (S * np.log(S)))
            low, high = S ** (1 / factor), S**factor
    sure = S == 1
    return (
        np.where(sure, 1.0, np.maximum(low, 0.0)),
        np.where(sure, 1.0, np.minimum(high, 1.0)),
    )
