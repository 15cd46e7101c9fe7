"""Tables of an external validation: net benefit with its limits, and the risks by outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._calibration.recalibration import Codes, Float, Vector, cluster_sums
from usstats._decision.net_benefit import odds
from usstats._intervals import normal_quantile, wald_interval
from usstats.decision import DecisionCurve
from usstats.results import COLUMNS

MODEL = "model"
OVERALL = "overall"
NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
Rows = dict[str, NDArray[np.intp]]
QUANTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}


def net_benefit_rows(
    curve: DecisionCurve,
    y: NDArray[np.int64],
    p: Vector,
    cluster: Codes | None,
    prevalence: float | None,
) -> pd.DataFrame:
    """Net benefit of the model and of treat_all, in the vocabulary of the other measures.

    Limits are the curve's where it was resampled, Wald limits otherwise.
    """
    table = curve.frame()
    table = table[table["model"] != "treat_none"]
    estimate, drawn = table["net_benefit"].to_numpy(), curve.n_boot is not None
    errors = _drawn_errors(curve)
    if errors is None:
        closed = _net_benefit_errors(curve.thresholds, y, p, cluster, prevalence)
        errors = np.concatenate(closed)
    low, high = wald_interval(estimate, errors, curve.conf_level)
    unit = "" if cluster is None else ", patient sandwich"
    rows = {
        "measure": np.where(table["model"] == MODEL, "net_benefit", "net_benefit_treat_all"),
        "threshold_probability": table["threshold_probability"],
        "estimate": estimate,
        "std_error": errors,
        "conf_low": table["conf_low"] if drawn else low,
        "conf_high": table["conf_high"] if drawn else high,
        "conf_level": curve.conf_level,
        "method": "bootstrap percentile" if drawn else f"wald{unit}",
        "n": curve.n,
        "n_event": curve.n_event,
    }
    extra = {"n_cluster": curve.n_cluster, "n_boot": curve.n_boot, "n_failed": curve.n_failed}
    extra["seed"] = curve.seed
    return pd.DataFrame(rows | {k: v for k, v in extra.items() if v is not None})


def _drawn_errors(curve: DecisionCurve) -> Vector | None:
    """Standard deviations over the resamples, of the model and of treat_all."""
    if curve._replicates is None:
        return None
    return np.asarray(np.nanstd(curve._replicates[:, [0, -2]], axis=0, ddof=1).ravel())


def _net_benefit_errors(
    thresholds: Vector,
    y: NDArray[np.int64],
    p: Vector,
    cluster: Codes | None,
    prevalence: float | None,
) -> tuple[Vector, Vector]:
    """Standard errors of the model's and of treat_all's net benefit at every threshold.

    Net benefit is a mean over patients, or, at a stated prevalence, a sum of two class means.
    """
    treated = (p[:, None] >= thresholds) & (p[:, None] > 0)
    everybody = np.ones_like(treated)
    influence = [
        _net_benefit_influence(decision, y, odds(thresholds), prevalence)
        for decision in (treated, everybody)
    ]
    errors = [np.sqrt(np.square(cluster_sums(each, cluster)).sum(axis=0)) for each in influence]
    return errors[0], errors[1]


def _net_benefit_influence(
    treated: NDArray[np.bool_], y: NDArray[np.int64], weight: Vector, prevalence: float | None
) -> NDArray[Float]:
    event = (y == 1)[:, None]
    if prevalence is None:
        gain = treated * np.where(event, 1.0, -weight)
        return np.asarray((gain - gain.mean(axis=0)) / y.size)
    parts = [
        (treated - treated[rows].mean(axis=0)) * rows[:, None] / rows.sum() * share
        for rows, share in ((y == 1, prevalence), (y == 0, -(1 - prevalence) * weight))
    ]
    return np.asarray(parts[0] + parts[1])


def risk_table(y: NDArray[np.int64], p: Vector, where: Rows) -> pd.DataFrame:
    """Mean, SD and quantiles of the risks by group and outcome."""
    return pd.DataFrame(
        [
            {"group": group, "outcome": label, **_distribution(p[rows][y[rows] == level])}
            for group, rows in _groups(y, where).items()
            for label, level in (("event", 1), ("non_event", 0))
        ]
    )


def _groups(y: NDArray[np.int64], where: Rows) -> Rows:
    return {OVERALL: np.arange(y.size), **where}


def _distribution(p: Vector) -> dict[str, float]:
    names = ("minimum", "q25", "median", "q75", "maximum")
    if p.size == 0:
        return {"n": 0, "mean": np.nan, "std_dev": np.nan, **dict.fromkeys(names, np.nan)}
    quantiles = np.quantile(p, [0, 0.25, 0.5, 0.75, 1])
    spread = float(p.std(ddof=1)) if p.size > 1 else np.nan
    values = dict(zip(names, map(float, quantiles), strict=True))
    return {"n": p.size, "mean": float(p.mean()), "std_dev": spread, **values}


def risk_distribution(
    y: NDArray[np.int64], p: Vector, cluster: Codes | None, where: Rows, conf_level: float
) -> pd.DataFrame:
    """Mean and quartiles of the risks by group and outcome, each with its interval."""
    unit = np.arange(y.size) if cluster is None else cluster
    records = [
        {"group": group, "outcome": label, **row}
        for group, rows in _groups(y, where).items()
        for label, level in (("event", 1), ("non_event", 0))
        for chosen in (rows[y[rows] == level],)
        for row in _located(p[chosen], unit[chosen], conf_level)
    ]
    table = pd.DataFrame(records).assign(conf_level=conf_level)
    return table if cluster is not None else table.drop(columns="n_cluster")


def _located(p: Vector, unit: Codes, conf_level: float) -> Iterator[dict[str, Any]]:
    """Mean with a Wald interval, quartiles with Woodruff's, both over patients."""
    codes = np.unique(unit, return_inverse=True)[1]
    sample = {"n": p.size, "n_cluster": int(codes.max(initial=-1)) + 1}
    if p.size < 2:
        numbers = dict.fromkeys(NUMBERS, np.nan)
        for name in ("mean", *QUANTILES):
            yield {"measure": name, **numbers, "method": "undefined", **sample}
        return
    error = _mean_error(p, codes)
    low, high = wald_interval(p.mean(), error, conf_level)
    ends = {"conf_low": max(float(low), 0.0), "conf_high": min(float(high), 1.0)}
    mean = {"measure": "mean", "estimate": float(p.mean()), "std_error": error, **ends}
    yield {**mean, "method": "wald", **sample}
    z = normal_quantile(conf_level)
    for name, share in QUANTILES.items():
        yield {"measure": name, **_woodruff(p, codes, share, z), "method": "woodruff", **sample}


def _mean_error(values: Vector, codes: Codes) -> float:
    """Standard error of a mean over rows whose patients are the units."""
    sums = cluster_sums(values - values.mean(), codes)
    factor = sums.size / (sums.size - 1) if sums.size > 1 else np.nan
    return float(np.sqrt(factor * np.square(sums).sum()) / values.size)


def _woodruff(p: Vector, codes: Codes, share: float, z: float) -> dict[str, float]:
    """Limits of the share below the quantile, carried back through the distribution."""
    value = float(np.quantile(p, share))
    half = z * _mean_error((p <= value).astype(float), codes)
    if np.isnan(half):
        return {"estimate": value, "std_error": np.nan, "conf_low": np.nan, "conf_high": np.nan}
    low, high = np.quantile(p, np.clip([share - half, share + half], 0, 1))
    error = float(high - low) / (2 * z)
    return {
        "estimate": value,
        "std_error": error,
        "conf_low": float(low),
        "conf_high": float(high),
    }


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    wanted = ["group", "measure", "threshold_probability"]
    rest = [name for name in COLUMNS if name in table and name not in wanted]
    return table[[*wanted, *rest]]
