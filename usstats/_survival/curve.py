"""Observed against predicted risk at a horizon: groups by Kaplan-Meier, and a smooth curve.

The curve is a Cox model of the event on a spline of log(-log(1 - risk)) (Austin, Harrell and
van Klaveren 2020, Stat Med 39:2714).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._survival.censoring import FollowUp
from usstats.product_limit import kaplan_meier
from usstats.survival import CoxFit, fit_cox

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]

#: Risks closer to 0 or 1 are moved to here: their log(-log(1 - risk)) is infinite.
CLIP = 1e-8


def cloglog(risk: Vector) -> Vector:
    """log(-log(1 - risk)), the linear predictor up to a constant if hazards are proportional.

    >>> cloglog(np.array([0.5])).round(4).tolist()
    [-0.3665]
    """
    inside = np.clip(risk, CLIP, 1 - CLIP)
    return np.asarray(np.log(-np.log1p(-inside)))


@dataclass(frozen=True)
class HazardCurve:
    """The fitted curve."""

    fit: CoxFit
    horizon: float

    def predict(self, at: ArrayLike) -> Vector:
        """Smoothed risk of the event by the horizon among patients given each risk."""
        return self.fit.predict(_table(np.asarray(at, dtype=float)), horizon=self.horizon)

    def band(self, at: ArrayLike, conf_level: float) -> tuple[Vector, Vector]:
        """Pointwise limits of `predict`."""
        frame = self.fit.predict_interval(
            _table(np.asarray(at, dtype=float)), horizon=self.horizon, conf_level=conf_level
        )
        return frame["conf_low"].to_numpy(), frame["conf_high"].to_numpy()


def _table(risk: Vector) -> pd.DataFrame:
    return pd.DataFrame({"cloglog": cloglog(risk)})


def fit_recalibration(
    follow_up: FollowUp, risk: Vector, cluster: Codes | None, *, n_knots: int | None
) -> CoxFit:
    """Cox model on log(-log(1 - risk)), straight or as a spline.

    Raises
    ------
    DesignError, FitError
    """
    term = {"name": "cloglog"} if n_knots is None else _spline(n_knots)
    data = _table(risk).assign(time=follow_up.time, event=follow_up.event)
    return fit_cox(data=data, time="time", event="event", terms=[term], cluster=cluster)


def _spline(n_knots: int) -> dict[str, object]:
    return {"name": "cloglog", "type": "rcs", "knots": n_knots}


def fit_smoother(
    follow_up: FollowUp, risk: Vector, horizon: float, cluster: Codes | None, n_knots: int
) -> HazardCurve:
    """The smooth calibration curve.

    Raises
    ------
    DesignError, FitError
    """
    return HazardCurve(fit_recalibration(follow_up, risk, cluster, n_knots=n_knots), horizon)


def group_table(
    follow_up: FollowUp,
    risk: Vector,
    horizon: float,
    cluster: Codes | None,
    *,
    n_groups: int,
    conf_level: float,
) -> pd.DataFrame:
    """Groups between quantiles of the risk: mean risk, and Kaplan-Meier risk with its interval.

    Ties at a quantile merge groups. A group whose follow-up ends before the horizon, somebody
    being left, or that has no event, is not observed (NaN; without an event the risk is 0).
    """
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, n_groups + 1)))
    group = np.clip(np.searchsorted(edges, risk, side="left") - 1, 0, max(edges.size - 2, 0))
    rows = []
    for g in np.unique(group):
        inside = group == g
        part = FollowUp(follow_up.time[inside], follow_up.event[inside])
        who = None if cluster is None else cluster[inside]
        rows.append(
            {
                "group": int(g) + 1,
                "n": part.n,
                "n_event": int(part.event[part.time <= horizon].sum()),
                "predicted": float(risk[inside].mean()),
                **observed_risk(part, horizon, who, conf_level),
                "conf_level": conf_level,
            }
        )
    return pd.DataFrame(rows)


def observed_risk(
    follow_up: FollowUp, horizon: float, cluster: Codes | None, conf_level: float
) -> dict[str, float]:
    """1 - Kaplan-Meier at the horizon, its standard error, and log-log limits."""
    names = ("observed", "std_error", "conf_low", "conf_high")
    if not follow_up.event[follow_up.time <= horizon].any():
        known = 0.0 if follow_up.last >= horizon else np.nan
        return dict(zip(names, (known, np.nan, np.nan, np.nan), strict=True))
    at = min(horizon, follow_up.last)
    km = kaplan_meier(
        follow_up.time, follow_up.event, times=at, cluster=cluster, conf_level=conf_level
    )
    row = km.frame().iloc[0]
    if horizon > follow_up.last and row["estimate"] > 0:
        return dict.fromkeys(names, np.nan)
    values = (1 - row["estimate"], row["std_error"], 1 - row["conf_high"], 1 - row["conf_low"])
    return {name: float(value) for name, value in zip(names, values, strict=True)}
