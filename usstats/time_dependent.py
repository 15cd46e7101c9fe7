"""Discrimination and accuracy of risks of a censored event at chosen times, with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._roc.limits import newcombe_limits
from usstats._survival.censoring import FollowUp, event_curve
from usstats._survival.ipcw import Weights, censoring_martingale, sequential_martingale
from usstats._survival.time_dependent import auc_at, brier_at
from usstats._survival.time_dependent_result import TimeDependent
from usstats._survival.time_dependent_study import Scores, Study, predictions_at
from usstats.concordance_index import concordance
from usstats.errors import DirectionWarning, SmallSampleWarning, UsstatsWarning

__all__ = ["TimeDependent", "time_dependent_auc", "time_dependent_brier"]

Float = np.float64
Vector = NDArray[Float]


def time_dependent_auc(
    time: ArrayLike,
    event: ArrayLike,
    s: Scores,
    *,
    times: ArrayLike,
    cases: str = "before",
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> TimeDependent:
    """How well a score tells who fails by t from who does not, weighted for censoring.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, not negative.
    event : array_like, shape (n,)
        1 where follow-up ended with the event, 0 where it was censored.
    s : array_like, shape (n,) or (n, m); or mapping of model name to such
        Score, higher = earlier event: a linear predictor or a risk, not a survival probability.
        A column for each of `times` where it differs between them.
    times : float or array_like, shape (m,)
        In the unit of `time`, positive and not after the end of follow-up.
    cases : {"before", "by"}
        Who is a case at t: T < t (R's timeROC; an event at exactly t is in neither group) or
        T <= t (R's riskRegression::Score).
    cluster : array_like, shape (n,), optional
        Patient labels; the standard error then comes from sums of influences over patients.
    conf_level : float

    Returns
    -------
    TimeDependent
        frame: measure, model, time, estimate, std_error, conf_low, conf_high, conf_level, method,
        n, n_event (cases at t), n_at_risk (controls).

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        No case or no control at a time (NaN), or a variance of zero.
    DirectionWarning
        An AUC below one half with its whole interval: `s` may be a survival probability.

    Notes
    -----
    Cumulative/dynamic AUC, weights from the Kaplan-Meier curve G of censoring (censorings after
    events at ties), 1 / G(T-) for cases; ties in `s` count one half. The standard error follows
    from the influence function, estimation of G included: Blanche, Dartigues and Jacqmin-Gadda
    (2013), Stat Med 32:5381. With cases="before" rows of one time are taken in the order they
    are given, as timeROC does, which moves its 5th digit. R: ``timeROC(weighting = "marginal",
    iid = TRUE)``, ``riskRegression::Score(metrics = "auc", cens.model = "km")``. An AUC of 0 or 1
    has Newcombe's score limits.

    Examples
    --------
    >>> time, event = [1, 2, 3, 4, 5, 6], [1, 1, 0, 1, 0, 1]
    >>> result = time_dependent_auc(time, event, [0.9, 0.5, 0.6, 0.7, 0.2, 0.1], times=[2.5, 4.5])
    >>> result.frame()[["model", "time", "estimate", "std_error"]].round(3)
       model  time  estimate  std_error
    0  model   2.5     0.750      0.23...
    1  model   4.5     1.000      0.000
    """
    check_option(cases, ("before", "by"), name="cases")
    study = Study.of(time, event, times, cluster, conf_level)
    named = predictions_at(s, study.follow_up.n, study.times, name="s", risk=False)
    strict = cases == "before"
    martingale = (sequential_martingale if strict else censoring_martingale)(study.follow_up)

    def estimate(score: Vector, weights: Weights, t: float) -> tuple[float, Vector]:
        return auc_at(score, weights, martingale)

    rows, influence = study.evaluate(named, estimate, strict=strict)
    method = f"IPCW, cases T {'<' if strict else '<='} t"
    table = study.table("auc", [_bounded(row) for row in rows], method)
    _warn_of_auc(table)
    return study.result(table, influence)


def _bounded(row: dict[str, Any]) -> dict[str, Any]:
    """Newcombe's limits where the variance is zero because the AUC is at its bound."""
    if row["estimate"] in (0.0, 1.0) and np.isnan(row["conf_low"]):
        low, high = newcombe_limits(
            row["estimate"], row["n_event"], row["n_at_risk"], row["conf_level"]
        )
        return {**row, "conf_low": low, "conf_high": high}
    return row


def _warn_of_auc(table: pd.DataFrame) -> None:
    empty = table[table["estimate"].isna()]
    if len(empty):
        at = ", ".join(f"{t:g}" for t in empty["time"].unique())
        msg = f"The AUC is undefined (NaN) at {at}: nobody failed by then, or nobody is left."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    flat = table[(table["std_error"] == 0) & table["conf_low"].isna()]
    if len(flat):
        msg = f"`{flat['model'].iloc[0]}` ranks nobody: its AUC has no variance and no interval."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    turned = table[table["conf_high"] < 0.5]
    if len(turned):
        row = turned.iloc[0]
        msg = (
            f"The AUC of `{row['model']}` at {row['time']:g} is {row['estimate']:.3f}: higher "
            "values go with later events. Pass a risk or a linear predictor, not a survival "
            "probability."
        )
        warnings.warn(msg, DirectionWarning, stacklevel=3)


def time_dependent_brier(
    time: ArrayLike,
    event: ArrayLike,
    risks: Scores,
    *,
    times: ArrayLike,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> TimeDependent:
    """Mean squared error of predicted risks at t, weighted for censoring, beside the null model's.

    Parameters
    ----------
    time, event, times, cluster, conf_level
        As in `time_dependent_auc`.
    risks : array_like, shape (n, m); or mapping of model name to such
        Risk of the event by each of `times`, that is 1 - S(t), a column a time; (n,) for one time.

    Returns
    -------
    TimeDependent
        frame: measure, model, time, estimate, std_error, conf_low, conf_high, null_brier,
        scaled_brier, scaled_std_error, scaled_conf_low, scaled_conf_high, conf_level, method, n,
        n_event, n_at_risk.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    DirectionWarning
        Risks that rank events last: they may be survival probabilities.

    Notes
    -----
    Rows with an event at T <= t weigh 1 / G(T-), rows followed beyond t 1 / G(t), others 0. The
    null model is the Kaplan-Meier risk of everybody; its own error counts in the standard error
    of scaled_brier. Gerds and Schumacher (2006), Biom J 48:1029; R:
    ``riskRegression::Score(metrics = "brier", cens.model = "km")``.

    Examples
    --------
    >>> result = time_dependent_brier([1, 2, 3, 4], [1, 0, 1, 0], [0.9, 0.3, 0.6, 0.2], times=3)
    >>> result.frame()[["time", "estimate", "null_brier", "scaled_brier"]].round(4)
       time  estimate  null_brier  scaled_brier
    0   3.0    0.0775      0.23...        0.66...
    """
    study = Study.of(time, event, times, cluster, conf_level)
    named = predictions_at(risks, study.follow_up.n, study.times, name="risks", risk=True)
    martingale = censoring_martingale(study.follow_up)

    def estimate(risk: Vector, weights: Weights, t: float) -> tuple[float, Vector]:
        return brier_at(risk, weights, martingale, t)

    rows, influence = study.evaluate(named, estimate, strict=False)
    null_risk = 1 - event_curve(study.follow_up).at(np.asarray(study.times))
    null = {"null": np.tile(null_risk, (study.follow_up.n, 1))}
    null_rows, null_influence = study.evaluate(null, estimate, strict=False)
    errors = {row["time"]: row["estimate"] for row in null_rows}
    beside = [
        {**row, **study.scaled(row, influence, errors[row["time"]], null_influence)} for row in rows
    ]
    _warn_of_direction(study.follow_up, named)
    return study.result(study.table("brier", beside, "IPCW, Kaplan-Meier"), influence)


def _warn_of_direction(follow_up: FollowUp, named: Mapping[str, NDArray[Float]]) -> None:
    for name, risk in named.items():
        for column in risk.T:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UsstatsWarning)
                C = concordance(follow_up.time, follow_up.event, column)
            if C.conf_high < 0.5:
                msg = (
                    f"The risks of `{name}` rank patients the wrong way round (concordance "
                    f"{C.estimate:.3f}): a risk is 1 - S(t), not S(t)."
                )
                warnings.warn(msg, DirectionWarning, stacklevel=3)
                break
