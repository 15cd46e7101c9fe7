"""Each class against the rest at a decision: proportions, F1, balanced accuracy, their averages."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._accuracy.diagnostic import Share, accuracy_table, cluster_std_error, clustered_table
from usstats._intervals import normal_quantile
from usstats._multiclass.labels import Codes
from usstats._roc.limits import square_and_add
from usstats.errors import SmallSampleWarning, UsstatsWarning

Float = np.float64
Bools = NDArray[np.bool_]
Row = dict[str, Any]

DEFAULT = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
ON_REQUEST = ("f1", "balanced_accuracy", "prevalence", "detection_rate", "detection_prevalence")
MEASURES = (*DEFAULT, *ON_REQUEST)


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """True and chosen class numbers.

    Attributes
    ----------
    y, chosen : ndarray of int, shape (n,)
    names : list of str
    cluster : ndarray of int, shape (n,), optional
    """

    y: Codes
    chosen: Codes
    names: list[str]
    cluster: Codes | None

    def against_rest(self, k: int) -> tuple[Bools, Bools]:
        """Whether each case is, and is called, class k."""
        return self.y == k, self.chosen == k

    def counts(self) -> NDArray[np.int64]:
        """Rows predicted, columns true."""
        size = len(self.names)
        return np.bincount(self.chosen * size + self.y, minlength=size**2).reshape(size, size)


def proportion_rows(
    event: Bools, positive: Bools, cluster: Codes | None, ci: str, conf_level: float
) -> dict[str, Row]:
    """Rows of the two-by-two table by measure; undefined ones are left for the caller to name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        table = (
            accuracy_table(event, positive, ci, conf_level)
            if cluster is None
            else clustered_table(event, positive, cluster, ci, conf_level)
        )
    return {
        str(row["measure"]): {str(k): v for k, v in row.items()} for row in table.to_dict("records")
    }


def class_rows(
    decisions: Decisions, k: int, measures: tuple[str, ...], ci: str, conf_level: float
) -> list[Row]:
    """The measures of one class, in the order asked for."""
    event, positive = decisions.against_rest(k)
    basic = proportion_rows(event, positive, decisions.cluster, ci, conf_level)
    rows = dict(basic)
    for name, hit in _shares_of_all(event, positive).items():
        if name in measures:
            rows[name] = _share_of(hit, np.ones_like(hit), decisions.cluster, ci, conf_level)
    if "f1" in measures:
        rows["f1"] = _f1(event, positive, decisions.cluster, ci, conf_level)
    if "balanced_accuracy" in measures:
        rows["balanced_accuracy"] = _balanced(basic, clustered=decisions.cluster is not None)
    facts = {"group": decisions.names[k], "n_event": int(event.sum())}
    return [rows[name] | {"measure": name} | facts for name in measures]


def _shares_of_all(event: Bools, positive: Bools) -> dict[str, Bools]:
    return {
        "prevalence": event,
        "detection_rate": event & positive,
        "detection_prevalence": positive,
    }


def _share_of(hit: Bools, among: Bools, cluster: Codes | None, ci: str, conf_level: float) -> Row:
    """A proportion by the machinery of sensitivity: hits are called, `among` is diseased."""
    own = None if cluster is None else cluster[among]
    if not among.any():
        return {"method": "undefined", "numerator": 0, "denominator": 0}
    return proportion_rows(np.ones(among.sum(), dtype=bool), hit[among], own, ci, conf_level)[
        "sensitivity"
    ]


def _f1(event: Bools, positive: Bools, cluster: Codes | None, ci: str, conf_level: float) -> Row:
    """2 J / (1 + J), J = TP / (TP + FP + FN), a proportion whose limits are carried over."""
    row = _share_of(event & positive, event | positive, cluster, ci, conf_level)
    if row["denominator"] == 0:
        return row
    jaccard = row["estimate"]
    limits = {name: 2 * row[name] / (1 + row[name]) for name in ("conf_low", "conf_high")}
    tp, either = row["numerator"], row["denominator"]
    return {
        **limits,
        "estimate": 2 * jaccard / (1 + jaccard),
        "std_error": 2 / (1 + jaccard) ** 2 * row["std_error"],
        "method": f"{row['method']} of TP / (TP + FP + FN)",
        "numerator": 2 * tp,
        "denominator": tp + either,
    }


def _balanced(rows: dict[str, Row], *, clustered: bool) -> Row:
    """Mean of sensitivity and specificity; their limits combined as independent, or by patient."""
    one, two, youden = (rows[name] for name in ("sensitivity", "specificity", "youden"))
    if clustered:
        low, high, method = youden["conf_low"], youden["conf_high"], youden["method"]
    else:
        low, high = square_and_add(
            (one["estimate"], 1 - two["estimate"]),
            (one["conf_low"], one["conf_high"]),
            (1 - two["conf_high"], 1 - two["conf_low"]),
        )
        method = f"square-and-add of {one['method']}"
    return {
        "estimate": (one["estimate"] + two["estimate"]) / 2,
        "std_error": youden["std_error"] / 2,
        "conf_low": (low + 1) / 2,
        "conf_high": (high + 1) / 2,
        "method": method,
    }


def average_rows(
    decisions: Decisions, measures: tuple[str, ...], averages: tuple[str, ...], conf_level: float
) -> list[Row]:
    """Macro (plain) and weighted (by class share) means over classes."""
    return [
        _average(decisions, measure, average, conf_level)
        for average in averages
        for measure in measures
    ]


def _average(decisions: Decisions, measure: str, average: str, conf_level: float) -> Row:
    values, influence = _influences(decisions, measure)
    size, n = len(values), len(decisions.y)
    own = decisions.y[:, None] == np.arange(size)
    shares = own.mean(axis=0)
    weights = np.full(size, 1 / size) if average == "macro" else shares
    used = np.flatnonzero(weights)
    estimate = float(weights[used] @ values[used])
    parts = influence[:, used] @ weights[used]
    if average == "weighted":
        parts = parts + (own - shares)[:, used] @ values[used] / n
    low, high = _logit_limits(estimate, _std_error(parts, decisions.cluster), conf_level)
    unit = "" if decisions.cluster is None else ", clustered"
    defined = np.isfinite(estimate)
    return {
        "measure": measure,
        "group": average,
        "estimate": estimate,
        "std_error": _std_error(parts, decisions.cluster),
        "conf_low": low,
        "conf_high": high,
        "method": f"delta, logit{unit}" if defined else "undefined",
    }


def _influences(decisions: Decisions, measure: str) -> tuple[NDArray[Float], NDArray[Float]]:
    """Each class's value, and what each case adds to its error."""
    pairs = [_influence(*decisions.against_rest(k), measure) for k in range(len(decisions.names))]
    return np.array([value for value, _ in pairs]), np.stack([part for _, part in pairs], axis=1)


def _influence(event: Bools, positive: Bools, measure: str) -> tuple[float, NDArray[Float]]:
    if measure == "balanced_accuracy":
        (se, of_se), (sp, of_sp) = (
            _influence(event, positive, name) for name in ("sensitivity", "specificity")
        )
        return (se + sp) / 2, (of_se + of_sp) / 2
    hit, among = _hits(event, positive)[measure]
    share = Share(hit=hit, among=among)
    if measure != "f1":
        return share.estimate, share.influence
    jaccard = share.estimate
    return 2 * jaccard / (1 + jaccard), share.influence * 2 / (1 + jaccard) ** 2


def _hits(event: Bools, positive: Bools) -> dict[str, tuple[Bools, Bools]]:
    """What counts as a hit, among which cases."""
    everyone = np.ones_like(event)
    of_all = {name: (hit, everyone) for name, hit in _shares_of_all(event, positive).items()}
    return of_all | {
        "accuracy": (event == positive, everyone),
        "sensitivity": (positive, event),
        "specificity": (~positive, ~event),
        "ppv": (event, positive),
        "npv": (~event, ~positive),
        "f1": (event & positive, event | positive),
    }


def _std_error(influence: NDArray[Float], cluster: Codes | None) -> float:
    if not np.isfinite(influence).all():
        return np.nan
    if cluster is None:
        return float(np.sqrt((influence**2).sum()))
    return cluster_std_error(influence, cluster, np.ones(len(cluster), dtype=bool))[0]


def _logit_limits(estimate: float, std_error: float, conf_level: float) -> tuple[float, float]:
    """Wald on the logit; NaN at 0 and 1, where the delta method knows nothing."""
    if not 0 < estimate < 1 or not std_error > 0:
        return np.nan, np.nan
    half = normal_quantile(conf_level) * std_error / (estimate * (1 - estimate))
    low, high = special.expit(special.logit(estimate) + np.array([-half, half]))
    return float(low), float(high)


def warn_of_undefined(table: pd.DataFrame) -> None:
    """Name the measures without a value, by class."""
    undefined = table[table["estimate"].isna()]
    if len(undefined):
        listed = ", ".join(f"{row.measure} of {row.group}" for row in undefined.itertuples())
        msg = f"Undefined (NaN), for want of cases: {listed}."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
