"""Concordance of a score with a censored time to event: Harrell's C and Uno's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_finite, check_lengths, check_option
from usstats._influence import bounded_interval, influence_se
from usstats._intervals import check_conf_level
from usstats._survival.censoring import FollowUp, censoring_curve, check_follow_up, check_horizons
from usstats._survival.dominance import DominanceSums
from usstats.errors import DirectionWarning, SmallSampleWarning
from usstats.results import Estimate

__all__ = ["concordance", "harrell_c", "uno_c"]

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]


def concordance(
    time: ArrayLike,
    event: ArrayLike,
    s: ArrayLike,
    *,
    method: str = "harrell",
    horizon: float | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Estimate:
    """How often the patient with the higher score has the event first.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, not negative.
    event : array_like, shape (n,)
        1 where follow-up ended with the event, 0 where it was censored.
    s : array_like, shape (n,)
        Score, higher = earlier event: a linear predictor or a risk, not a survival probability.
    method : {"harrell", "uno"}
        "harrell" counts every usable pair once; "uno" weighs each event by 1 / G(t-)^2, G being
        the Kaplan-Meier curve of censoring, and so does not depend on it.
    horizon : float, optional
        Events after it do not count. Uno's C needs one where follow-up thins out.
    cluster : array_like, shape (n,), optional
        Patient labels where rows share a patient.
    conf_level : float

    Returns
    -------
    Estimate
        Ties in `s` count one half. A pair is usable if the earlier time is an event; of two rows
        with one time, if one failed and the other was censored.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        No usable pair (NaN), or pairs that all agree: no interval.
    DirectionWarning
        C below one half by more than its interval: `s` may be a survival probability.

    Notes
    -----
    Standard error: infinitesimal jackknife, the derivative of C in each row's weight, summed
    within clusters; with G taken as known. R: ``survival::concordance(reverse = TRUE)``, with
    ``timewt = "n/G2"`` for Uno's. Harrell et al. (1996), Stat Med 15:361; Uno et al. (2011),
    Stat Med 30:1105.

    Examples
    --------
    >>> result = concordance([1, 2, 3, 4, 5], [1, 1, 0, 1, 0], [0.9, 0.8, 0.3, 0.6, 0.7])
    >>> result.estimate, result.std_error
    (0.875, 0.144...)
    """
    check_option(method, ("harrell", "uno"), name="method")
    check_conf_level(conf_level)
    follow_up = check_follow_up(time, event, names=("time", "event"))
    score = check_finite(s)
    check_lengths(time=follow_up.time, s=score)
    who = check_cluster(cluster, follow_up.n)
    weight = _event_weights(follow_up, method, horizon)
    pairs = _count_pairs(follow_up, score, weight)
    C, influence = pairs.index()
    std_error = influence_se(influence, who)
    low, high = bounded_interval(C, std_error, conf_level)
    _warn(C, high)
    return Estimate(
        measure=f"{method}_c",
        estimate=C,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        conf_level=conf_level,
        method="infinitesimal jackknife",
        n=follow_up.n,
        n_event=int((weight > 0).sum()),
        n_cluster=None if who is None else int(who.max()) + 1,
    )


def _warn(C: float, high: float) -> None:
    if not np.isfinite(C):
        msg = "No pair of patients can be ordered by time; the concordance is undefined (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    elif not np.isfinite(high):
        msg = f"A concordance of {C:.3f} has no variance here, and so no interval (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    elif high < 0.5:
        msg = (
            f"The concordance is {C:.3f}: patients with a higher `s` have the event later. Pass "
            "a risk or a linear predictor, not a survival probability."
        )
        warnings.warn(msg, DirectionWarning, stacklevel=3)


def harrell_c(
    time: ArrayLike,
    event: ArrayLike,
    s: ArrayLike,
    *,
    horizon: float | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Estimate:
    """Harrell's C: every usable pair counts once.

    Parameters
    ----------
    time, event, s : array_like, shape (n,)
        Follow-up, event (1) or censoring (0), and a score that is higher for earlier events.
    horizon : float, optional
        Events after it do not count.
    cluster : array_like, shape (n,), optional
        Patient labels where rows share a patient.
    conf_level : float

    Returns
    -------
    Estimate
        As `concordance`, with its errors and warnings.

    Examples
    --------
    >>> harrell_c([1, 2, 3, 4], [1, 1, 1, 0], [0.9, 0.4, 0.6, 0.1]).estimate
    0.833...
    """
    return concordance(
        time, event, s, method="harrell", horizon=horizon, cluster=cluster, conf_level=conf_level
    )


def uno_c(
    time: ArrayLike,
    event: ArrayLike,
    s: ArrayLike,
    *,
    horizon: float | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Estimate:
    """Uno's C: pairs weighted so that it does not depend on how long patients were followed.

    Parameters
    ----------
    time, event, s : array_like, shape (n,)
        Follow-up, event (1) or censoring (0), and a score that is higher for earlier events.
    horizon : float, optional
        Events after it do not count; needed where follow-up thins out.
    cluster : array_like, shape (n,), optional
        Patient labels where rows share a patient.
    conf_level : float

    Returns
    -------
    Estimate
        As `concordance`, with its errors and warnings.

    Examples
    --------
    >>> uno_c([1, 2, 3, 4], [1, 0, 1, 0], [0.5, 0.9, 0.6, 0.1], horizon=3).estimate
    0.619...
    """
    return concordance(
        time, event, s, method="uno", horizon=horizon, cluster=cluster, conf_level=conf_level
    )


def _event_weights(follow_up: FollowUp, method: str, horizon: float | None) -> Vector:
    """What each row weighs as the earlier of a pair; 0 for censored rows."""
    counted = follow_up.event.astype(float)
    if horizon is not None:
        end = check_horizons(horizon, follow_up.last, name="horizon")
        counted = counted * (follow_up.time <= end)
    if method == "harrell":
        return counted
    still = censoring_curve(follow_up).before(follow_up.time)
    return np.asarray(counted / np.where(counted > 0, still, 1.0) ** 2)


@dataclass(frozen=True)
class _Pairs:
    """Concordant pairs (ties one half) and usable pairs that each row takes part in."""

    concordant: Vector
    usable: Vector

    def index(self) -> tuple[float, Vector]:
        """C and its derivative in the weight of each row."""
        usable = self.usable.sum() / 2
        if usable <= 0:
            return np.nan, np.full_like(self.usable, np.nan)
        C = float(self.concordant.sum() / 2 / usable)
        return C, (self.concordant - C * self.usable) / usable


def _count_pairs(follow_up: FollowUp, score: Vector, weight: Vector) -> _Pairs:
    """Rows in line by time, events before censorings of the same time; sums by dominance."""
    n = follow_up.n
    order = np.lexsort((1 - follow_up.event, follow_up.time))
    time, event, w = follow_up.time[order], follow_up.event[order], weight[order]
    rank = np.unique(score[order], return_inverse=True)[1]
    key = np.cumsum(np.concatenate([[0], (np.diff(time) > 0) | (np.diff(event) != 0)]))
    first = np.searchsorted(key, key, side="left")
    after = np.searchsorted(key, key, side="right")
    earlier = DominanceSums(rank=rank, weights=w)
    weight_before = np.concatenate([[0.0], np.cumsum(w)])[first]
    lower, not_higher = (earlier.query(before=first, below=rank + more) for more in (0, 1))
    as_later = weight_before - (lower + not_higher) / 2
    everybody = DominanceSums(rank=rank, weights=np.ones(n))
    whole = np.full(n, n)
    below = sum(
        everybody.query(before=whole, below=rank + more)
        - everybody.query(before=after, below=rank + more)
        for more in (0, 1)
    )
    concordant, usable = np.empty(n), np.empty(n)
    concordant[order] = w * below / 2 + as_later
    usable[order] = w * (n - after) + weight_before
    return _Pairs(concordant, usable)
