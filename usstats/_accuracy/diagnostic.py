"""The two-by-two table: measures, and their intervals for cases or for clustered images."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._cases import count_units
from usstats._intervals import normal_quantile, wald_interval
from usstats.errors import SmallSampleWarning
from usstats.proportions import clopper_pearson, wald, wilson
from usstats.results import Interval, unit_of_analysis

Float = np.float64
Row = dict[str, Any]
MEASURES = (
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "lr_pos",
    "lr_neg",
    "dor",
    "accuracy",
    "youden",
)
_COLUMNS = (
    "measure",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "method",
    "numerator",
    "denominator",
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DiagnosticAccuracy:
    """Measures of a decision rule at one threshold.

    Attributes
    ----------
    table : DataFrame
    threshold : float
        Positive when the value >= threshold.
    conf_level : float
    n, n_event : int
    n_cluster : int or None
    """

    table: pd.DataFrame
    threshold: float
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """measure, estimate, std_error (of the logarithm for lr_pos, lr_neg and dor), conf_low,
        conf_high, method, numerator, denominator, then level, sample and threshold."""
        frame = self.table.assign(
            conf_level=self.conf_level, n=self.n, n_event=self.n_event, threshold=self.threshold
        )
        return frame if self.n_cluster is None else frame.assign(n_cluster=self.n_cluster)

    def summary(self) -> str:
        """One line a measure."""
        lines = [
            f"{row['measure']} {row['estimate']:.3f} "
            f"({row['conf_low']:.3f} to {row['conf_high']:.3f})"
            for row in self.table.to_dict("records")
        ]
        return "\n".join([repr(self)[1:-1], *lines])

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<diagnostic accuracy at >= {self.threshold:g}: {self.table['method'].iloc[0]}, "
            f"{self.conf_level * 100:g} % intervals; n = {self.n}, events = {self.n_event}, "
            f"unit: {unit}>"
        )


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Counts of the two-by-two table."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def count(cls, event: NDArray[np.bool_], positive: NDArray[np.bool_]) -> Cells:
        return cls(
            tp=int((event & positive).sum()),
            fp=int((~event & positive).sum()),
            fn=int((event & ~positive).sum()),
            tn=int((~event & ~positive).sum()),
        )

    def proportions(self) -> dict[str, tuple[int, int]]:
        """Numerator and denominator of each proportion."""
        return {
            "sensitivity": (self.tp, self.tp + self.fn),
            "specificity": (self.tn, self.tn + self.fp),
            "ppv": (self.tp, self.tp + self.fp),
            "npv": (self.tn, self.tn + self.fn),
            "accuracy": (self.tp + self.tn, self.tp + self.fp + self.fn + self.tn),
        }

    def ratios(self) -> dict[str, tuple[float, float]]:
        """Estimate and variance of the logarithm of each ratio (Simel 1991; Woolf for the DOR)."""
        tp, fp, fn, tn = (np.float64(v) for v in (self.tp, self.fp, self.fn, self.tn))
        m, n = tp + fn, fp + tn
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "lr_pos": ((tp / m) / (fp / n), 1 / tp - 1 / m + 1 / fp - 1 / n),
                "lr_neg": ((fn / m) / (tn / n), 1 / fn - 1 / m + 1 / tn - 1 / n),
                "dor": (tp * tn / (fp * fn), 1 / tp + 1 / fp + 1 / fn + 1 / tn),
            }


def accuracy_table(
    event: NDArray[np.bool_], positive: NDArray[np.bool_], ci: str, conf_level: float
) -> pd.DataFrame:
    """Every measure with its interval, one case a patient."""
    cells = Cells.count(event, positive)
    rows = {
        name: _proportion_row(name, x, n, _INTERVALS[ci], conf_level)
        for name, (x, n) in cells.proportions().items()
    }
    for name, (estimate, variance) in cells.ratios().items():
        rows[name] = ratio_row(name, estimate, np.sqrt(variance), conf_level)
    rows["youden"] = _youden_row(rows["sensitivity"], rows["specificity"])
    return as_table(rows)


def as_table(rows: dict[str, Row], *, lone_patient: bool = False) -> pd.DataFrame:
    """The measures in their order; undefined ones are named in a warning."""
    table = pd.DataFrame([rows[name] for name in MEASURES], columns=list(_COLUMNS))
    defined = np.isfinite(table[["estimate", "conf_low", "conf_high"]].to_numpy()).all(axis=1)
    if not defined.all():
        undefined = ", ".join(np.array(MEASURES)[~defined])
        reason = "there is a single patient" if lone_patient else "a cell of the table is empty"
        msg = f"Undefined, or without limits, because {reason}: {undefined}."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    return table


def logit_interval(x: float, n: float, *, conf_level: float, std_error: float) -> Interval:
    """Wald on the logit scale for a given standard error of the proportion."""
    p = x / n
    half = normal_quantile(conf_level) * std_error / (p * (1 - p))
    low, high = special.expit(special.logit(p) + np.array([-half, half]))
    return Interval(low=float(low), high=float(high), conf_level=conf_level, method="logit")


def _logit(x: float, n: float, *, conf_level: float) -> Interval:
    if x in (0, n):
        return wilson(x, n, conf_level=conf_level)
    p = x / n
    return logit_interval(x, n, conf_level=conf_level, std_error=np.sqrt(p * (1 - p) / n))


_INTERVALS: dict[str, Callable[..., Interval]] = {
    "wilson": wilson,
    "clopper-pearson": clopper_pearson,
    "wald": wald,
    "logit": _logit,
}


def _proportion_row(
    name: str, x: int, n: int, method: Callable[..., Interval], conf_level: float
) -> Row:
    if n == 0:
        return undefined_row(name, x, n)
    p = x / n
    return proportion_row(name, x, n, np.sqrt(p * (1 - p) / n), method(x, n, conf_level=conf_level))


def proportion_row(name: str, x: int, n: int, std_error: float, interval: Interval) -> Row:
    """A row of the table for a proportion x of n."""
    return {
        "measure": name,
        "estimate": x / n,
        "std_error": float(std_error),
        "conf_low": interval.low,
        "conf_high": interval.high,
        "method": interval.method,
        "numerator": x,
        "denominator": n,
    }


def undefined_row(name: str, x: int, n: int) -> Row:
    """A row for a measure without any case to compute it from."""
    return {"measure": name, "method": "undefined", "numerator": x, "denominator": n}


def ratio_row(name: str, estimate: float, log_std_error: float, conf_level: float) -> Row:
    """A row for a ratio, with limits from its logarithm."""
    half = normal_quantile(conf_level) * log_std_error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        low, high = np.exp(np.log(estimate) + np.array([-half, half]))
    return {
        "measure": name,
        "estimate": float(estimate),
        "std_error": float(log_std_error),
        "conf_low": float(low),
        "conf_high": float(high),
        "method": "log",
    }


def _youden_row(sensitivity: Row, specificity: Row) -> Row:
    def combined(column: str) -> float:
        return float(sensitivity.get(column, np.nan) + specificity.get(column, np.nan) - 1)

    errors = (sensitivity.get("std_error", np.nan), specificity.get("std_error", np.nan))
    return {
        "measure": "youden",
        "estimate": combined("estimate"),
        "std_error": float(np.hypot(*errors)),
        "conf_low": combined("conf_low"),
        "conf_high": combined("conf_high"),
        "method": f"limits of sensitivity and specificity ({sensitivity['method']})",
    }


def clustered_table(
    event: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    ci: str,
    conf_level: float,
) -> pd.DataFrame:
    """Every measure with Taylor-linearised standard errors over patients."""
    hits = {
        "sensitivity": (positive, event),
        "specificity": (~positive, ~event),
        "ppv": (event, positive),
        "npv": (~event, ~positive),
        "accuracy": (event == positive, np.ones_like(event)),
    }
    shares = {name: Share(hit=hit, among=among) for name, (hit, among) in hits.items()}
    rows = {
        name: _clustered_proportion(name, share, cluster, ci, conf_level)
        for name, share in shares.items()
    }
    ratios = Cells.count(event, positive).ratios()
    on_log, on_youden = joint_influence(shares["sensitivity"], shares["specificity"])
    for name, values in on_log.items():
        rows[name] = ratio_row(name, ratios[name][0], _se(values, cluster), conf_level)
    youden = shares["sensitivity"].estimate + shares["specificity"].estimate - 1
    rows["youden"] = _clustered_youden(youden, _se(on_youden, cluster), conf_level)
    return as_table(rows, lone_patient=not cluster.any())


@dataclass(frozen=True, kw_only=True)
class Share:
    """The proportion of `hit` among the cases in `among`."""

    hit: NDArray[np.bool_]
    among: NDArray[np.bool_]

    @property
    def x(self) -> int:
        return int((self.hit & self.among).sum())

    @property
    def n(self) -> int:
        return int(self.among.sum())

    @property
    def estimate(self) -> float:
        return self.x / self.n if self.n else np.nan

    @property
    def influence(self) -> NDArray[Float]:
        """Each case's contribution to the error of the proportion."""
        if self.n == 0:
            return np.full(len(self.hit), np.nan)
        return np.asarray(np.where(self.among, self.hit - self.estimate, 0.0) / self.n)


def cluster_std_error(
    influence: NDArray[Float], cluster: NDArray[np.int64], among: NDArray[np.bool_]
) -> tuple[float, int]:
    """sqrt(K / (K - 1) sum of squared patient sums), and K, the patients in `among`."""
    k = count_units(cluster[among])
    sums = np.bincount(cluster, weights=influence)
    return float(np.sqrt(k / (k - 1) * (sums**2).sum())) if k > 1 else np.nan, k


def _se(influence: NDArray[Float], cluster: NDArray[np.int64]) -> float:
    if not np.isfinite(influence).all():
        return np.nan
    return cluster_std_error(influence, cluster, np.ones(len(cluster), dtype=bool))[0]


def _clustered_proportion(
    name: str, share: Share, cluster: NDArray[np.int64], ci: str, conf_level: float
) -> Row:
    x, n = share.x, share.n
    if n == 0:
        return undefined_row(name, x, n)
    std_error, k = cluster_std_error(share.influence, cluster, share.among)
    if x in (0, n):
        interval = wilson(k * x / n, k, conf_level=conf_level)
    elif ci == "wald":
        interval = _clipped_wald(x / n, std_error, conf_level, lowest=0.0)
    else:
        interval = logit_interval(x, n, conf_level=conf_level, std_error=std_error)
    method = {"method": f"{interval.method}, clustered"}
    return proportion_row(name, x, n, std_error, interval) | method


def _clipped_wald(
    estimate: float, std_error: float, conf_level: float, *, lowest: float
) -> Interval:
    limits = np.clip(wald_interval(estimate, std_error, conf_level), lowest, 1.0)
    low, high = (float(limit) for limit in limits)
    return Interval(low=low, high=high, conf_level=conf_level, method="wald")


def joint_influence(
    sensitivity: Share, specificity: Share
) -> tuple[dict[str, NDArray[Float]], NDArray[Float]]:
    """Delta method: each case's influence on the logarithms of the ratios, and on Youden's J."""
    se, sp = np.float64(sensitivity.estimate), np.float64(specificity.estimate)
    of_se, of_sp = sensitivity.influence, specificity.influence
    with np.errstate(divide="ignore", invalid="ignore"):
        on_log = {
            "lr_pos": of_se / se + of_sp / (1 - sp),
            "lr_neg": -of_se / (1 - se) - of_sp / sp,
            "dor": of_se / (se * (1 - se)) + of_sp / (sp * (1 - sp)),
        }
    return on_log, of_se + of_sp


def _clustered_youden(estimate: float, std_error: float, conf_level: float) -> Row:
    interval = _clipped_wald(estimate, std_error, conf_level, lowest=-1.0)
    return {
        "measure": "youden",
        "estimate": estimate,
        "std_error": std_error,
        "conf_low": interval.low,
        "conf_high": interval.high,
        "method": "wald, clustered",
    }
