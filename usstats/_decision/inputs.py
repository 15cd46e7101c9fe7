"""Arguments that decision curves and their value of information share, checked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import (
    check_cluster,
    check_finite,
    check_inside,
    check_lengths,
    check_outcome,
    check_risks,
)
from usstats.errors import ArgumentError, OutcomeError, RiskError, UsstatsWarning

Float = np.float64
Vector = NDArray[Float]

REFERENCES = ("treat_all", "treat_none")


def check_models(risks: Mapping[str, ArrayLike], n: int) -> dict[str, Vector]:
    """Return named risks in [0, 1]; the names of the reference strategies are taken.

    Raises
    ------
    ArgumentError, RiskError, PairingError
    """
    named = check_risks(risks, n)
    taken = [name for name in REFERENCES if name in named]
    if taken:
        msg = f"`risks` may not hold a model named {taken[0]!r}: that is a reference strategy."
        raise ArgumentError(msg)
    return named


def check_thresholds(thresholds: ArrayLike, *, stacklevel: int) -> tuple[Vector, tuple[str, ...]]:
    """Ascending thresholds in [0, 1), and notes on what was left out or is undefined.

    Raises
    ------
    RiskError
        Missing, not a probability, or none below 1.
    ArgumentError
        Not ascending.

    Warns
    -----
    UsstatsWarning
        A final threshold of 1 was left out.
    """
    at = check_finite(np.atleast_1d(np.asarray(thresholds)), name="thresholds")
    outside = (at < 0) | (at > 1)
    if outside.any():
        advice = " If these are percentages, divide by 100." if at.max() > 1 else ""
        msg = (
            f"`thresholds` must lie in [0, 1); {outside.sum()} of {at.size} do not "
            f"(first: {at[outside][0]:g}).{advice}"
        )
        raise RiskError(msg)
    if (np.diff(at) <= 0).any():
        first = at[1:][np.diff(at) <= 0][0]
        msg = (
            f"`thresholds` must ascend without duplicates; {first:g} does not. "
            "Pass sorted(set(thresholds))."
        )
        raise ArgumentError(msg)
    return _without_one(at, stacklevel + 1)


def _without_one(at: Vector, stacklevel: int) -> tuple[Vector, tuple[str, ...]]:
    notes = []
    if at[-1] == 1:
        notes.append("Threshold 1 was left out: a false positive would weigh infinitely.")
        warnings.warn(notes[0], UsstatsWarning, stacklevel=stacklevel)
        at = at[:-1]
    if at.size == 0:
        msg = "`thresholds` holds no threshold below 1."
        raise RiskError(msg)
    if at[0] == 0:
        notes.append("At threshold 0 interventions_avoided is undefined (NaN).")
    return at, tuple(notes)


def check_harm(harm: float | Mapping[str, float] | None, models: tuple[str, ...]) -> Vector:
    """Harm of each strategy, shape (n_model + 2,); the references have none.

    Raises
    ------
    ArgumentError
    """
    by_model = harm if isinstance(harm, Mapping) else dict.fromkeys(models, harm or 0.0)
    unknown = [name for name in by_model if name not in models]
    if unknown:
        msg = f"`harm` names {unknown[0]!r}, which is not one of the models {list(models)}."
        raise ArgumentError(msg)
    try:
        values = np.array([*(by_model.get(name, 0.0) for name in models), 0.0, 0.0], dtype=float)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not (np.isfinite(values) & (values >= 0)).all():
        msg = f"`harm` must be finite and not negative; got {harm!r}."
        raise ArgumentError(msg)
    return values


def check_prevalence(prevalence: float | None) -> float | None:
    """Return the stated share of events, inside (0, 1).

    Raises
    ------
    ArgumentError
    """
    return None if prevalence is None else check_inside(prevalence, 0, 1, name="prevalence")


def design_strata(
    y: NDArray[np.int64], cluster: ArrayLike | None, prevalence: float | None
) -> NDArray[np.int64] | None:
    """Cases and controls are resampled apart where their numbers were fixed by design."""
    who = check_cluster(cluster, y.size)
    if prevalence is None:
        return None
    mixed = who is not None and np.unique(np.c_[who, y], axis=0).shape[0] > who.max() + 1
    return None if mixed else y


def check_follow_up(
    time: ArrayLike, event: ArrayLike, horizon: float
) -> tuple[Vector, NDArray[np.int64]]:
    """Times and event codes (0 censored, 1 event, 2 competing event).

    Raises
    ------
    RiskError, OutcomeError, PairingError, ArgumentError
    """
    times = check_finite(time, name="time")
    codes = _check_event_codes(event)
    check_lengths(time=times, event=codes)
    if (times < 0).any():
        msg = f"`time` must not be negative; {(times < 0).sum()} values are."
        raise ArgumentError(msg)
    if not isinstance(horizon, int | float | np.number) or not 0 < horizon <= times.max():
        msg = (
            f"`horizon` must be positive and not after the end of follow-up ({times.max():g}); "
            f"got {horizon!r}."
        )
        raise ArgumentError(msg)
    if not (codes[times <= horizon] == 1).any():
        msg = f"No event happens by the horizon {horizon:g}: net benefit needs events."
        raise OutcomeError(msg)
    return times, codes


def _check_event_codes(event: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(event)
    competing = pd.Series(array.ravel()).isin([2]).to_numpy().reshape(array.shape)
    failed = array.copy()
    failed[competing] = 0
    codes = check_outcome(failed, name="event", require_both=False) + 2 * competing
    if competing.any() and not (codes == 0).any():
        msg = (
            "`event` holds 1 and 2 but no 0 (censored). Where 1 stands for censored and 2 for the "
            "event, pass `event == 2`. Where 2 is a competing event and nobody was censored, the "
            "outcome is known for everybody: use decision_curve with "
            "`(event == 1) & (time <= horizon)`."
        )
        raise OutcomeError(msg)
    return np.asarray(codes, dtype=np.int64)
