"""Differences of AUCs on the same cases: one row a contrast, and the test that all are equal."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from usstats._cases import Cases
from usstats._intervals import chi2_p, normal_quantile, two_sided_p
from usstats._multiplicity import Pair
from usstats._resampling.draws import Resamples
from usstats._roc.comparison import GlobalTest
from usstats._roc.limits import newcombe_limits, square_and_add
from usstats._roc.placements import Placements, covariance_of_wins
from usstats._roc.resampled import auc_of_resamples, auc_without_each
from usstats.errors import SmallSampleWarning
from usstats.resample import check_failures, interval_from_replicates

Float = np.float64
Row = dict[str, Any]
_DEPENDENT = 1e-10


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Several scores of the same cases.

    Attributes
    ----------
    cases : Cases
        Outcome and patients; its score is the first one's.
    scores : mapping of name to ndarray, shape (n,)
    placed : mapping of name to Placements
    """

    cases: Cases
    scores: Mapping[str, NDArray[Float]]
    placed: Mapping[str, Placements]

    def same_ranking(self, pair: Pair) -> bool:
        """Whether two scores order all cases alike, also within a class."""
        one, two = (stats.rankdata(self.scores[name]) for name in pair)
        return bool(np.array_equal(one, two))


def contrast_table(curves: Curves, pairs: Sequence[Pair], conf_level: float) -> pd.DataFrame:
    """DeLong's rows (Obuchowski's with patients)."""
    rows = [_contrast(curves, pair, conf_level) for pair in pairs]
    return pd.DataFrame(rows)


def _contrast(curves: Curves, pair: Pair, conf_level: float) -> Row:
    first, second = (curves.placed[name] for name in pair)
    if np.array_equal(first.doubled, second.doubled):
        return _agreement(curves, pair, conf_level)
    difference = first.auc - second.auc
    std_error = _difference_se(first, second, curves.cases.cluster)
    half = normal_quantile(conf_level) * std_error
    limits = (difference - half, difference + half)
    return _row(pair, (first.auc, second.auc), std_error, limits, difference / std_error)


def _row(
    pair: Pair,
    areas: tuple[float, float],
    std_error: float,
    limits: tuple[float, float],
    statistic: float,
    note: str = "",
) -> Row:
    low, high = (float(limit) for limit in np.clip(limits, -1.0, 1.0))
    return {
        "model_1": pair[0],
        "model_2": pair[1],
        "auc_1": areas[0],
        "auc_2": areas[1],
        "estimate": areas[0] - areas[1],
        "std_error": std_error,
        "conf_low": low,
        "conf_high": high,
        "statistic": statistic,
        "p_value": float(two_sided_p(statistic)),
        "note": note,
    }


def _agreement(curves: Curves, pair: Pair, conf_level: float) -> Row:
    """Two curves that never disagree: the same ranking, or both perfect in their own way."""
    area = curves.placed[pair[0]].auc
    if 0 < area < 1 or curves.same_ranking(pair):
        return _row(pair, (area, area), 0.0, (0.0, 0.0), 0.0, "identical")
    cases = curves.cases
    limits = newcombe_limits(area, cases.patients(1), cases.patients(0), conf_level)
    apart = square_and_add((area, area), limits, limits)
    note = f"both AUCs are {area:g}; limits from Newcombe's"
    return _row(pair, (area, area), np.nan, apart, 0.0, note)


def _difference_se(
    first: Placements, second: Placements, cluster: NDArray[np.int64] | None
) -> float:
    """From the differences of placements, which loses no digits when the curves nearly agree."""
    change = (first.doubled - second.doubled)[:, None]
    variance = float(covariance_of_wins(change, first.event, cluster)[0, 0])
    if variance > 0:
        return float(np.sqrt(variance))
    msg = (
        "The variance of the AUC difference is zero or undefined (too few cases, or curves "
        "without any variation); its test and interval are NaN."
    )
    warnings.warn(msg, SmallSampleWarning, stacklevel=6)
    return np.nan


def resampled_table(
    curves: Curves, pairs: Sequence[Pair], draws: Resamples, ci: str, conf_level: float
) -> pd.DataFrame:
    """Rows whose standard error and limits come from the same draws of patients for both curves."""
    used = dict.fromkeys(name for pair in pairs for name in pair)
    cases = curves.cases
    areas = {name: auc_of_resamples(cases.y, curves.scores[name], draws) for name in used}
    rows = [_resampled(curves, pair, areas, draws, ci, conf_level) for pair in pairs]
    return pd.DataFrame(rows)


def _resampled(
    curves: Curves,
    pair: Pair,
    areas: Mapping[str, NDArray[Float]],
    draws: Resamples,
    ci: str,
    conf_level: float,
) -> Row:
    first, second = (curves.placed[name] for name in pair)
    if np.array_equal(first.doubled, second.doubled):
        return _agreement(curves, pair, conf_level) | {"n_failed": 0}
    values = areas[pair[0]] - areas[pair[1]]
    n_failed = check_failures(values)
    difference, std_error = first.auc - second.auc, float(np.nanstd(values, ddof=1))

    def left_out() -> NDArray[Float]:
        one, two = (
            auc_without_each(curves.placed[name], curves.scores[name], draws.unit) for name in pair
        )
        return np.asarray(one - two)

    limits = interval_from_replicates(
        difference, values, ci=ci, conf_level=conf_level, left_out=left_out, strata=draws.strata
    )
    statistic = difference / std_error if std_error > 0 else np.nan
    return _row(pair, (first.auc, second.auc), std_error, limits, statistic) | {
        "n_failed": n_failed
    }


def with_margin(table: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Add the one-sided test of H0: AUC_1 - AUC_2 <= -margin, unknown where the limits are."""
    unknown = table["conf_low"].isna()
    with np.errstate(divide="ignore"):
        z = (table["estimate"] + margin) / table["std_error"]
    return table.assign(
        margin=margin,
        p_noninferior=special.ndtr(-z.to_numpy()),
        noninferior=(table["conf_low"] > -margin).astype("boolean").mask(unknown),
    )


def global_test(curves: Curves) -> GlobalTest:
    """Wald chi-square of "all AUCs are equal", with as many df as the curves truly differ in."""
    first, *others = curves.placed.values()
    changes = np.stack([other.doubled - first.doubled for other in others], axis=1)
    difference = np.array([other.auc - first.auc for other in others])
    covariance = covariance_of_wins(changes, first.event, curves.cases.cluster)
    if not np.isfinite(covariance).all():
        return GlobalTest(statistic=np.nan, df=0, p_value=np.nan)
    statistic, df = _quadratic_form(difference, covariance)
    return GlobalTest(statistic=statistic, df=df, p_value=chi2_p(statistic, df) if df else 1.0)


def _quadratic_form(difference: NDArray[Float], covariance: NDArray[Float]) -> tuple[float, int]:
    """d' V^- d and the rank of V, judged on correlations so that no difference is too small."""
    varying = np.diag(covariance) > 0
    scale = np.sqrt(np.diag(covariance)[varying])
    values, vectors = np.linalg.eigh(covariance[np.ix_(varying, varying)] / np.outer(scale, scale))
    kept = values > _DEPENDENT
    z = vectors.T[kept] @ (difference[varying] / scale)
    return float((z**2 / values[kept]).sum()), int(kept.sum())
