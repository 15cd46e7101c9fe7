"""Predictions joined with what is known of the patients, and two numbers about them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from usstats._fits.newton import newton_logistic
from usstats.errors import UsstatsError, UsstatsWarning
from usstats.roc import auc
from usstats.shift import EDGE


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How well a score separates: AUC, slope of its logit, with standard errors."""

    n: int
    n_event: int
    auc: float
    auc_error: float
    slope: float
    slope_error: float


def by_network(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of every network."""
    if not rows.empty:
        yield from ((str(name), part) for name, part in rows.groupby("model", sort=False))


def patient_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a patient: mean logit of the images, event, fold and side."""
    inside = rows[rows["p"].between(0, 1) & (rows["patient_id"] != "")]
    logit = special.logit(inside["p"].clip(EDGE, 1 - EDGE))
    grouped = inside.assign(score=logit).groupby("patient_id", sort=False)
    return grouped.agg(
        score=("score", "mean"),
        event=("event", "first"),
        fold=("fold", "first"),
        cohort=("cohort", "first"),
    )


def strength(scores: pd.DataFrame) -> Strength | None:
    """AUC and logit slope of scores with a known outcome; None where there is too little."""
    known = scores.dropna(subset=["score", "event"])
    y, s = known["event"].to_numpy(dtype=int), known["score"].to_numpy(dtype=float)
    if min(int(y.sum()), int((1 - y).sum())) < 10 or np.ptp(s) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        area = auc(y, s)
    slope, error = _slope(y, s)
    return Strength(
        n=y.size,
        n_event=int(y.sum()),
        auc=area.estimate,
        auc_error=area.std_error,
        slope=slope,
        slope_error=error,
    )


def _slope(y: np.ndarray, s: np.ndarray) -> tuple[float, float]:
    try:
        fit = newton_logistic(np.column_stack([np.ones(s.size), s]), y)
    except UsstatsError:
        return np.nan, np.nan
    return float(fit.params[1]), float(np.sqrt(fit.covariance[1, 1]))
