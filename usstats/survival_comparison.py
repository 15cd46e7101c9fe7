"""Do groups have the same hazard: the log-rank test and Peto's and Peto's Wilcoxon test."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special

from usstats._check import check_lengths
from usstats._survival.censoring import FollowUp, check_follow_up, event_curve
from usstats.errors import ArgumentError, PairingError

__all__ = ["LogRank", "logrank"]

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LogRank:
    """Observed and expected events of groups, and the test that their hazards are the same."""

    statistic: float
    df: int
    p_value: float
    rho: float
    n: int
    n_event: int
    _table: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a group: group, n, n_event, observed and expected (weighted by S^rho)."""
        return self._table.copy()

    def summary(self) -> str:
        """The test, and each group's events."""
        return f"{self!r}\n{self._table.to_string(index=False, float_format='%.4g')}"

    def __repr__(self) -> str:
        return (
            f"<LogRank: chi-square {self.statistic:.3f}, {self.df} df, p = {self.p_value:.3g}, "
            f"rho = {self.rho:g}; n = {self.n}, events = {self.n_event}, unit: case>"
        )


def logrank(time: ArrayLike, event: ArrayLike, group: ArrayLike, *, rho: float = 0.0) -> LogRank:
    """Test that groups have one hazard of the event.

    Parameters
    ----------
    time, event : array_like, shape (n,)
        As in `kaplan_meier`.
    group : array_like, shape (n,)
        Two or more groups.
    rho : float
        Weight S(t-)^rho of an event: 0 the log-rank test, 1 Peto's and Peto's Wilcoxon test.

    Returns
    -------
    LogRank

    Raises
    ------
    OutcomeError, PairingError, ArgumentError

    Notes
    -----
    Harrington and Fleming (1982), Biometrika 69:553; R: ``survival::survdiff(rho = )``.

    Examples
    --------
    >>> logrank([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 0, 1], ["a", "a", "a", "b", "b", "b"])
    <LogRank: chi-square 5.052, 1 df, p = 0.0246, rho = 0; n = 6, events = 5, unit: case>
    """
    follow_up = check_follow_up(time, event, names=("time", "event"))
    if not np.isfinite(rho):
        msg = f"`rho` must be a number, for example 0 or 1; got {rho!r}."
        raise ArgumentError(msg)
    labels = np.asarray(group)
    check_lengths(time=follow_up.time, group=labels)
    if pd.isna(labels).any():
        msg = f"`group` has {pd.isna(labels).sum()} missing labels."
        raise PairingError(msg)
    codes, levels = pd.factorize(labels, sort=True)
    if len(levels) < 2:
        msg = f"`group` holds one group only, {list(levels)}; two are needed."
        raise PairingError(msg)
    observed, expected, variance = _observed_expected(follow_up, codes, len(levels), rho)
    difference = (observed - expected)[1:]
    statistic = float(difference @ linalg.lstsq(variance[1:, 1:], difference)[0])
    table = pd.DataFrame(
        {
            "group": levels,
            "n": np.bincount(codes),
            "n_event": np.bincount(codes, weights=follow_up.event).astype(np.int64),
            "observed": observed,
            "expected": expected,
        }
    )
    df = len(levels) - 1
    return LogRank(
        statistic=statistic,
        df=df,
        p_value=float(special.chdtrc(df, statistic)),
        rho=float(rho),
        n=follow_up.n,
        n_event=int(follow_up.event.sum()),
        _table=table,
    )


def _observed_expected(
    follow_up: FollowUp, codes: Codes, n_group: int, rho: float
) -> tuple[Vector, Vector, NDArray[Float]]:
    """Sums over event times of weighted events, of what one hazard expects, and its covariance."""
    curve = event_curve(follow_up)
    members = codes[:, None] == np.arange(n_group)
    order = np.argsort(follow_up.time, kind="stable")
    first = np.searchsorted(follow_up.time[order], curve.times, side="left")
    at_risk = members[order][::-1].cumsum(axis=0)[::-1][first]
    share = at_risk / curve.at_risk[:, None]
    weight = curve.before(curve.times) ** rho
    mine = weight[np.searchsorted(curve.times, follow_up.time[follow_up.event == 1])]
    observed = mine @ members[follow_up.event == 1]
    expected = (weight * curve.failed) @ share
    others = np.maximum(curve.at_risk - 1, 1)
    spread = weight**2 * curve.failed * (curve.at_risk - curve.failed) / others
    variance = np.diag(spread @ share) - share.T @ (share * spread[:, None])
    return observed, expected, variance
