"""Performance centre by centre, and how it varies between centres."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._calibration.recalibration import Codes, Vector, weak_measures
from usstats._check import check_lengths
from usstats._external.meta_analysis import RandomEffects, logit_scale, random_effects
from usstats._external.tables import NUMBERS, OVERALL, Rows
from usstats.errors import ArgumentError, PairingError, SmallSampleWarning, UsstatsWarning
from usstats.roc import auc

#: Below this a centre's numbers are given with a warning.
SMALL_CENTRE = 10
METHODS = {"reml": "REML", "dl": "DerSimonian-Laird"}
#: On which scale each measure is normal enough to be pooled.
SCALES = {
    "auc": "logit",
    "oe_ratio": "log",
    "calibration_in_the_large": "identity",
    "calibration_slope": "identity",
}


def check_centre(centre: ArrayLike | None, n: int) -> Rows:
    """Rows of each centre, in order of appearance."""
    if centre is None:
        return {}
    labels = np.asarray(centre)
    check_lengths(cases=np.empty(n), centre=labels)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        msg = f"`centre` has {missing.sum()} missing labels (first at row {missing.argmax()})."
        raise PairingError(msg)
    codes, names = pd.factorize(labels)
    if OVERALL in names:
        msg = f"`centre` may not hold a centre named {OVERALL!r}: that is the whole cohort's group."
        raise ArgumentError(msg)
    return {str(name): np.flatnonzero(codes == code) for code, name in enumerate(names)}


def centre_rows(
    name: str,
    y: NDArray[np.int64],
    p: Vector,
    cluster: Codes | None,
    rows: NDArray[np.intp],
    conf_level: float,
) -> pd.DataFrame:
    """AUC and the measures of weak calibration in one centre, NaN where it has one class."""
    outcome, risk = y[rows], p[rows]
    who = None if cluster is None else np.unique(cluster[rows], return_inverse=True)[1]
    n_event = int(outcome.sum())
    sample: dict[str, Any] = {
        "group": name,
        "conf_level": conf_level,
        "n": rows.size,
        "n_event": n_event,
    }
    if who is not None:
        sample["n_cluster"] = int(who.max()) + 1
    least = min(n_event, rows.size - n_event)
    _warn_of_centre(name, least)
    records = _records(outcome, risk, who, conf_level) if least else _undefined()
    return pd.DataFrame(records).assign(**sample)


def _warn_of_centre(name: str, least: int) -> None:
    if least == 0:
        msg = f"Centre {name!r} has one outcome class only; its measures are NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    elif least < SMALL_CENTRE:
        msg = (
            f"Centre {name!r} has {least} events or non-events, fewer than {SMALL_CENTRE}; its "
            "measures are unstable."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def _records(
    y: NDArray[np.int64], p: Vector, cluster: Codes | None, conf_level: float
) -> Iterator[dict[str, Any]]:
    """One centre's measures; what warnings would say is in the centre's own warning and NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        area = auc(y, p, cluster=cluster, conf_level=conf_level)
    yield {name: getattr(area, name) for name in ("measure", *NUMBERS, "method")}
    weak = weak_measures(y.astype(float), p, cluster=cluster, conf_level=conf_level)
    for measure in weak:
        numbers = (measure.estimate, measure.std_error, measure.low, measure.high)
        yield {
            "measure": measure.name,
            **dict(zip(NUMBERS, numbers, strict=True)),
            "method": measure.method,
        }


def _undefined() -> Iterator[dict[str, Any]]:
    for name in ("auc", "calibration_in_the_large", "calibration_slope", "oe_ratio", "brier"):
        yield {"measure": name, **dict.fromkeys(NUMBERS, np.nan), "method": "undefined"}


def heterogeneity_table(rows: pd.DataFrame, *, method: str, conf_level: float) -> pd.DataFrame:
    """Random-effects summaries of the rows of centres, one a measure of `SCALES`."""
    records, left_out = [], []
    for measure, scale in SCALES.items():
        own = rows[rows["measure"] == measure]
        estimates, errors = _transformed(own, scale)
        usable = np.isfinite(estimates) & np.isfinite(errors) & (errors > 0)
        if not usable.all():
            left_out.append(f"{measure} {int((~usable).sum())} of {usable.size}")
        pooled = random_effects(
            estimates[usable], errors[usable], method=method, conf_level=conf_level
        )
        records.append(_pooled_row(measure, scale, pooled, method, conf_level))
    _warn_of_left_out(left_out)
    return pd.DataFrame(records)


def _warn_of_left_out(left_out: list[str]) -> None:
    if left_out:
        msg = (
            f"Centres without a standard error were left out of the summary: {'; '.join(left_out)}."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def _transformed(rows: pd.DataFrame, scale: str) -> tuple[Vector, Vector]:
    """Estimates and standard errors on the scale they are pooled on, NaN where undefined."""
    estimates, errors = (rows[name].to_numpy(dtype=float) for name in ("estimate", "std_error"))
    with np.errstate(invalid="ignore", divide="ignore"):
        if scale == "log":
            return np.log(estimates), errors / estimates
        if scale == "logit":
            pairs = [
                logit_scale(value, error) if 0 < value < 1 else (np.nan, np.nan)
                for value, error in zip(estimates, errors, strict=True)
            ]
            logits, spread = np.array(pairs).T
            return logits, spread
    return estimates, errors


def _pooled_row(
    measure: str, scale: str, pooled: RandomEffects, method: str, conf_level: float
) -> dict[str, Any]:
    back = {"logit": special.expit, "log": np.exp, "identity": float}[scale]
    return {
        "measure": measure,
        "scale": scale,
        "estimate": float(back(pooled.estimate)),
        "std_error": pooled.std_error,
        "conf_low": float(back(pooled.low)),
        "conf_high": float(back(pooled.high)),
        "conf_level": conf_level,
        "prediction_low": float(back(pooled.prediction_low)),
        "prediction_high": float(back(pooled.prediction_high)),
        "tau": pooled.tau,
        "i2": pooled.i2,
        "statistic": pooled.q,
        "df": pooled.df,
        "p_value": pooled.p_value,
        "method": f"{METHODS[method]}, Hartung-Knapp",
        "n_centre": pooled.k,
    }
