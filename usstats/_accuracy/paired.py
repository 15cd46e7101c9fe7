"""Two decisions on the same cases: differences and ratios of their accuracy, row by row."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._accuracy.diagnostic import Share, cluster_std_error, joint_influence
from usstats._accuracy.predictive_values import score_test
from usstats._cases import count_units, renumber
from usstats._intervals import normal_quantile, two_sided_p
from usstats._roc.limits import square_and_add
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.proportions import mcnemar, mcnemar_clustered, tango, wilson
from usstats.results import Interval

Float = np.float64
Bools = NDArray[np.bool_]
Codes = NDArray[np.int64]
Row = dict[str, Any]
_PLAIN = {
    "mcnemar": "chi2",
    "mcnemar_corrected": "chi2_corrected",
    "exact": "exact",
    "midp": "midp",
}
_CLUSTERED = {
    "mcnemar": "yang",
    "yang": "yang",
    "obuchowski": "obuchowski",
    "durkalski": "durkalski",
    "eliasziw": "eliasziw",
}
PAIRED_METHODS = tuple(dict.fromkeys([*_PLAIN, *_CLUSTERED]))
_ROW = (
    "measure",
    "estimate_1",
    "estimate_2",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "statistic",
    "p_value",
    "method",
)


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Outcome, two decisions and the patients behind them.

    Attributes
    ----------
    event, first, second : ndarray of bool, shape (n,)
    cluster : ndarray of int, shape (n,), or None
    """

    event: Bools
    first: Bools
    second: Bools
    cluster: Codes | None

    def shares(self) -> dict[str, tuple[Share, Share]]:
        """Each proportion of the first and of the second decision."""
        event, decisions = self.event, (self.first, self.second)
        return {
            "sensitivity": _both(lambda d: Share(hit=d, among=event), decisions),
            "specificity": _both(lambda d: Share(hit=~d, among=~event), decisions),
            "accuracy": _both(
                lambda d: Share(hit=d == event, among=np.ones_like(event)), decisions
            ),
            "ppv": _both(lambda d: Share(hit=event, among=d), decisions),
            "npv": _both(lambda d: Share(hit=~event, among=~d), decisions),
        }

    def std_error(self, influence: NDArray[Float], among: Bools) -> float:
        """Of a sum of influences: over cases, or over the patients in `among`."""
        if not np.isfinite(influence).all():
            return np.nan
        if self.cluster is None:
            return float(np.sqrt((influence**2).sum()))
        return cluster_std_error(influence, self.cluster, among)[0]


def _both(make: Callable[[Bools], Share], decisions: tuple[Bools, Bools]) -> tuple[Share, Share]:
    return make(decisions[0]), make(decisions[1])


def check_method(method: str, *, clustered: bool) -> str:
    """The name under which the row's test is computed."""
    offered = _CLUSTERED if clustered else _PLAIN
    if method not in offered:
        need = "does not allow for `cluster`" if clustered else "needs `cluster`"
        msg = f"`method` {method!r} {need}; use one of {', '.join(map(repr, offered))}."
        raise ArgumentError(msg)
    return offered[method]


def difference_table(
    paired: Paired, *, method: str, ci: str, predictive: str, conf_level: float
) -> pd.DataFrame:
    """Rows sensitivity, specificity, accuracy, ppv, npv: first minus second."""
    test = check_method(method, clustered=paired.cluster is not None)
    name = method if paired.cluster is None else f"{test}, clustered"
    rows = []
    for measure, shares in paired.shares().items():
        if not all(share.n for share in shares):
            rows.append(_undefined(measure, shares))
        elif measure in ("ppv", "npv"):
            rows.append(_predictive_row(paired, measure, shares, predictive, conf_level))
        else:
            row = _paired_row(paired, shares, test, ci, conf_level)
            rows.append({"measure": measure, "method": name} | row)
    _warn_of_undefined(rows)
    counts = dict.fromkeys(("n_10", "n_01", "denominator"), "Int64")
    return pd.DataFrame(rows, columns=[*_ROW, *counts]).astype(counts)


def _undefined(measure: str, shares: tuple[Share, Share]) -> Row:
    return {
        "measure": measure,
        "estimate_1": shares[0].estimate,
        "estimate_2": shares[1].estimate,
        "method": "undefined",
    }


def _warn_of_undefined(rows: list[Row]) -> None:
    missing = [row["measure"] for row in rows if row["method"] == "undefined"]
    if missing:
        msg = (
            f"There are no cases to compare {', '.join(missing)} on (a class, or a decision, has "
            "no cases): the rows are NaN."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def _paired_row(
    paired: Paired, shares: tuple[Share, Share], test: str, ci: str, conf_level: float
) -> Row:
    """Both proportions on the same cases."""
    among = shares[0].among
    a, b = (share.hit[among] for share in shares)
    n, n_10, n_01 = len(a), int((a & ~b).sum()), int((~a & b).sum())
    std_error = paired.std_error(shares[0].influence - shares[1].influence, among)
    difference = (n_10 - n_01) / n
    if paired.cluster is None:
        statistic, p_value = mcnemar(n_10, n_01, method=test)
        score = tango(n_10, n_01, n, conf_level=conf_level)
    else:
        codes = renumber(paired.cluster[among])
        statistic, p_value = _clustered_test(a, b, codes, test)
        ci, k = "wald" if std_error != 0 else ci, int(codes.max()) + 1
        score = tango(n_10 * k / n, n_01 * k / n, k, conf_level=conf_level)
    low, high = (
        _wald(difference, std_error, conf_level) if ci == "wald" else (score.low, score.high)
    )
    return {
        "estimate_1": a.mean(),
        "estimate_2": b.mean(),
        "estimate": difference,
        "std_error": std_error,
        "conf_low": low,
        "conf_high": high,
        "statistic": statistic,
        "p_value": p_value,
        "n_10": n_10,
        "n_01": n_01,
        "denominator": n,
    }


def _clustered_test(a: Bools, b: Bools, codes: Codes, test: str) -> tuple[float, float]:
    kinds = (a & ~b, ~a & b, np.ones(len(a)), a & b)
    n_10, n_01, n, n_11 = (np.bincount(codes, weights=kind) for kind in kinds)
    return mcnemar_clustered(n_10, n_01, n, method=test, n_11=n_11)


def _wald(difference: float, std_error: float, conf_level: float) -> tuple[float, float]:
    half = normal_quantile(conf_level) * std_error
    low, high = np.clip([difference - half, difference + half], -1.0, 1.0)
    return float(low), float(high)


def _predictive_row(
    paired: Paired, measure: str, shares: tuple[Share, Share], predictive: str, conf_level: float
) -> Row:
    """Predictive values, whose denominators overlap only in part."""
    one, two = shares
    statistic, p_value, method = score_test(one, two, paired.cluster, kind=predictive)
    std_error = paired.std_error(one.influence - two.influence, one.among | two.among)
    limits = (
        _independent_limits(paired, shares, conf_level)
        if std_error == 0
        else _wald(one.estimate - two.estimate, std_error, conf_level)
    )
    return {
        "measure": measure,
        "estimate_1": one.estimate,
        "estimate_2": two.estimate,
        "estimate": one.estimate - two.estimate,
        "std_error": std_error,
        "conf_low": limits[0],
        "conf_high": limits[1],
        "statistic": statistic,
        "p_value": p_value,
        "method": method,
    }


def _independent_limits(
    paired: Paired, shares: tuple[Share, Share], conf_level: float
) -> tuple[float, float]:
    """Wilson's limits of each combined, for decisions that never disagree."""
    one, two = (_wilson_of_units(share, paired.cluster, conf_level=conf_level) for share in shares)
    estimates = (shares[0].estimate, shares[1].estimate)
    return square_and_add(estimates, (one.low, one.high), (two.low, two.high))


def _wilson_of_units(share: Share, cluster: Codes | None, *, conf_level: float) -> Interval:
    k = share.n if cluster is None else count_units(cluster[share.among])
    return wilson(share.estimate * k, k, conf_level=conf_level)


def ratio_table(paired: Paired, *, conf_level: float) -> pd.DataFrame:
    """Rows sensitivity, specificity, ppv, npv, lr_pos, lr_neg: first over second, tested on the
    logarithm with linearised standard errors."""
    shares = paired.shares()
    rows = []
    for measure in ("sensitivity", "specificity", "ppv", "npv"):
        one, two = shares[measure]
        sides = _Sides(one.estimate, two.estimate, _log_influence(one), _log_influence(two))
        rows.append(_ratio_row(paired, measure, sides, one.among | two.among, conf_level))
    both = list(zip(shares["sensitivity"], shares["specificity"], strict=True))
    on_log = [joint_influence(*pair)[0] for pair in both]
    for measure, ratio in (("lr_pos", _lr_pos), ("lr_neg", _lr_neg)):
        first, second = (ratio(se.estimate, sp.estimate) for se, sp in both)
        sides = _Sides(first, second, on_log[0][measure], on_log[1][measure])
        everyone = np.ones_like(paired.event)
        rows.append(_ratio_row(paired, measure, sides, everyone, conf_level))
    _warn_of_ratios(rows)
    return pd.DataFrame(rows, columns=list(_ROW))


class _Sides(NamedTuple):
    """A measure of the first and of the second decision, and each case's pull on its logarithm."""

    first: float
    second: float
    influence_1: NDArray[Float]
    influence_2: NDArray[Float]


def _log_influence(share: Share) -> NDArray[Float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(share.influence / np.float64(share.estimate))


def _lr_pos(sensitivity: float, specificity: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.float64(sensitivity) / (1 - specificity))


def _lr_neg(sensitivity: float, specificity: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((1 - sensitivity) / np.float64(specificity))


def _ratio_row(paired: Paired, measure: str, sides: _Sides, among: Bools, conf_level: float) -> Row:
    log_se = paired.std_error(sides.influence_1 - sides.influence_2, among)
    half = normal_quantile(conf_level) * log_se
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.float64(sides.first) / sides.second
        statistic = 0.0 if ratio == 1 else float(np.log(ratio) / log_se)
        limits = np.exp(np.log(ratio) + np.array([-half, half]))
    low, high = limits if log_se > 0 else (np.nan, np.nan)
    return {
        "measure": measure,
        "estimate_1": sides.first,
        "estimate_2": sides.second,
        "estimate": float(ratio),
        "std_error": log_se,
        "conf_low": float(low),
        "conf_high": float(high),
        "statistic": statistic,
        "p_value": float(two_sided_p(statistic)),
        "method": "log ratio" if paired.cluster is None else "log ratio, clustered",
    }


def _warn_of_ratios(rows: list[Row]) -> None:
    missing = [row["measure"] for row in rows if not np.isfinite(row["conf_low"])]
    if missing:
        msg = (
            f"Ratios undefined, or without limits, because a cell of a table is empty or the "
            f"decisions agree: {', '.join(missing)}."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
