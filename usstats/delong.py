"""Comparison of AUCs: DeLong's test, Obuchowski's for clustered images, independent groups.

Placements come from one sort a score, so a million cases cost little more than sorting them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._auc_comparison import AucComparison, GlobalTest
from usstats._check import (
    check_cluster,
    check_finite,
    check_lengths,
    check_option,
    check_outcome,
    check_risks,
)
from usstats._intervals import check_conf_level, normal_quantile, two_sided_p
from usstats._multiplicity import ADJUSTMENTS, adjust_p
from usstats._placements import Placements, auc_covariance, place
from usstats.errors import ArgumentError, SmallSampleWarning

__all__ = [
    "AucComparison",
    "GlobalTest",
    "Placements",
    "auc_covariance",
    "compare_auc",
    "compare_auc_independent",
    "place",
]

Float = np.float64
Pair = tuple[str, str]


def compare_auc(
    y: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    contrasts: Sequence[Pair] | None = None,
    cluster: ArrayLike | None = None,
    adjust: str = "holm",
    margin: float | None = None,
    conf_level: float = 0.95,
) -> AucComparison:
    """Compare AUCs of several scores on the same cases (DeLong; Obuchowski with clusters).

    The null hypothesis of each contrast is AUC_1 = AUC_2; with three or more curves a global
    chi-square test of "all equal" comes first.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    risks : mapping of name to array_like, shape (n,)
        Two or more scores, higher = more likely an event.
    contrasts : sequence of (name, name), optional
        Pairs named beforehand (default: every pair). Differences are first minus second.
    cluster : array_like, shape (n,), optional
        Patient labels.
    adjust : {"holm", "bonferroni", "none"}
        Adjustment of the p values over the contrasts; intervals stay unadjusted.
    margin : float, optional
        Also test non-inferiority of the first model: H0 AUC_1 - AUC_2 <= -margin, one-sided.
    conf_level : float

    Returns
    -------
    AucComparison

    Raises
    ------
    ArgumentError
        Fewer than two scores, an unknown name, or fitted models instead of arrays: nested models
        on their development data need `compare_nested`.
    OutcomeError, RiskError, PairingError

    Warns
    -----
    SmallSampleWarning
        A difference whose variance is zero or undefined.

    References
    ----------
    DeLong et al. (1988), Biometrics 44:837. Sun and Xu (2014), IEEE Signal Process Lett 21:1389.
    Obuchowski (1997), Biometrics 53:567. R: pROC::roc.test(method = "delong").

    Examples
    --------
    >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> risks = {"ours": [1, 2, 3, 6, 4, 5, 7, 8], "theirs": [1, 5, 3, 6, 4, 2, 7, 8]}
    >>> compare_auc(y, risks).frame()[["model_1", "model_2", "estimate", "p_value"]]
      model_1 model_2  estimate   p_value
    0    ours  theirs    0.1875  0.267...
    """
    _refuse_fits(risks)
    check_option(adjust, ADJUSTMENTS, name="adjust")
    check_conf_level(conf_level)
    outcome = check_outcome(y)
    scores = check_risks(risks, len(outcome), scores=True)
    codes = check_cluster(cluster, len(outcome))
    pairs = _check_contrasts(contrasts, list(scores))
    placed = {name: place(outcome, s) for name, s in scores.items()}
    table = _contrast_table(placed, pairs, codes, conf_level)
    table["p_adjusted"] = adjust_p(table["p_value"].to_numpy(), adjust)
    if margin is not None:
        table = _with_margin(table, margin)
    return AucComparison(
        table=table,
        global_test=_global_test(placed, codes) if len(placed) > 2 else None,
        conf_level=conf_level,
        method="DeLong" if codes is None else "Obuchowski (clustered)",
        adjust=adjust,
        n=len(outcome),
        n_event=int(outcome.sum()),
        n_cluster=None if codes is None else int(codes.max()) + 1,
    )


def _refuse_fits(risks: object) -> None:
    values = list(risks.values()) if isinstance(risks, Mapping) else [risks]
    if any(hasattr(value, "spec") for value in values):
        msg = (
            "`risks` holds fitted models. DeLong's test has no power between nested models on the "
            "data they were fitted to; use `compare_nested` (likelihood-ratio test and the AUC "
            "change). On new data pass predictions: {'a': fit_a.predict(new), ...}."
        )
        raise ArgumentError(msg)


def _check_contrasts(contrasts: Sequence[Pair] | None, names: list[str]) -> list[Pair]:
    if len(names) < 2:
        msg = f"`risks` must hold two or more scores to compare; it holds {len(names)}."
        raise ArgumentError(msg)
    pairs = list(combinations(names, 2)) if contrasts is None else [tuple(c) for c in contrasts]
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(names):
            msg = f"`contrasts` must be pairs of {', '.join(map(repr, names))}; got {pair!r}."
            raise ArgumentError(msg)
    if not pairs:
        msg = "`contrasts` is empty: name at least one pair of models."
        raise ArgumentError(msg)
    return [(str(a), str(b)) for a, b in pairs]


def _contrast_table(
    placed: Mapping[str, Placements],
    pairs: Sequence[Pair],
    cluster: NDArray[np.int64] | None,
    conf_level: float,
) -> pd.DataFrame:
    rows = [_contrast(placed, pair, cluster, normal_quantile(conf_level)) for pair in pairs]
    return pd.DataFrame(rows)


def _contrast(
    placed: Mapping[str, Placements], pair: Pair, cluster: NDArray[np.int64] | None, z: float
) -> dict[str, Any]:
    first, second = (placed[name] for name in pair)
    identical = bool(np.array_equal(first.wins, second.wins))
    difference = first.auc - second.auc
    std_error = 0.0 if identical else _difference_se(first, second, cluster)
    statistic = 0.0 if identical else difference / std_error
    return {
        "model_1": pair[0],
        "model_2": pair[1],
        "auc_1": first.auc,
        "auc_2": second.auc,
        "estimate": difference,
        "std_error": std_error,
        "conf_low": float(np.maximum(difference - z * std_error, -1.0)),
        "conf_high": float(np.minimum(difference + z * std_error, 1.0)),
        "statistic": statistic,
        "p_value": float(two_sided_p(statistic)),
        "note": "identical" if identical else "",
    }


def _difference_se(
    first: Placements, second: Placements, cluster: NDArray[np.int64] | None
) -> float:
    """From the differences of placements, which loses no digits when the curves nearly agree."""
    change = (first.values - second.values)[:, None]
    variance = float(auc_covariance(change, first.event, cluster)[0, 0])
    if variance > 0:
        return float(np.sqrt(variance))
    msg = (
        "The variance of the AUC difference is zero or undefined (too few cases, or curves "
        "without any variation); its test and interval are NaN."
    )
    warnings.warn(msg, SmallSampleWarning, stacklevel=5)
    return np.nan


def _with_margin(table: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Add the one-sided test of H0: AUC_1 - AUC_2 <= -margin."""
    if not 0 < margin < 1:
        msg = f"`margin` must lie inside (0, 1), as an AUC difference; got {margin!r}."
        raise ArgumentError(msg)
    with np.errstate(divide="ignore"):
        z = (table["estimate"] + margin) / table["std_error"]
    return table.assign(
        margin=margin,
        p_noninferior=special.ndtr(-z.to_numpy()),
        noninferior=table["conf_low"] > -margin,
    )


def _global_test(placed: Mapping[str, Placements], cluster: NDArray[np.int64] | None) -> GlobalTest:
    """Wald chi-square of "all AUCs are equal", with as many df as the curves truly differ in."""
    curves = list(placed.values())
    changes = np.stack([c.values - curves[0].values for c in curves[1:]], axis=1)
    difference = np.array([c.auc - curves[0].auc for c in curves[1:]])
    covariance = auc_covariance(changes, curves[0].event, cluster)
    if not np.isfinite(covariance).all():
        return GlobalTest(statistic=np.nan, df=0, p_value=np.nan)
    df = int(np.linalg.matrix_rank(covariance, hermitian=True))
    statistic = float(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference)
    p_value = float(special.chdtrc(df, statistic)) if df else 1.0
    return GlobalTest(statistic=statistic, df=df, p_value=p_value)


def compare_auc_independent(
    y_1: ArrayLike,
    s_1: ArrayLike,
    y_2: ArrayLike,
    s_2: ArrayLike,
    *,
    conf_level: float = 0.95,
) -> AucComparison:
    """Compare the AUCs of two separate groups of patients.

    Parameters
    ----------
    y_1, y_2 : array_like of 0/1, shapes (n_1,), (n_2,)
    s_1, s_2 : array_like, shapes (n_1,), (n_2,)
        Scores, higher = more likely an event.
    conf_level : float

    Returns
    -------
    AucComparison
        One row "group 1" minus "group 2", with `df`: the statistic is referred to Student's t
        with Welch-Satterthwaite degrees of freedom.

    Raises
    ------
    OutcomeError, RiskError, PairingError

    Warns
    -----
    SmallSampleWarning

    References
    ----------
    DeLong et al. (1988), Biometrics 44:837. R: pROC::roc.test(paired = FALSE).

    Examples
    --------
    >>> compare_auc_independent([0, 0, 1, 1, 1], [1, 3, 2, 4, 5], [0, 0, 1, 1], [1, 4, 2, 3])
    <AUC comparison, 1 contrast: DeLong, independent groups; n = 9, events = 5, 95 % ...>
    """
    check_conf_level(conf_level)
    first = _group(y_1, s_1, "_1")
    second = _group(y_2, s_2, "_2")
    return AucComparison(
        table=pd.DataFrame([_welch(first, second, conf_level)]),
        global_test=None,
        conf_level=conf_level,
        method="DeLong, independent groups",
        adjust="none",
        n=len(first.event) + len(second.event),
        n_event=first.n_event + second.n_event,
        n_cluster=None,
    )


def _welch(first: Placements, second: Placements, conf_level: float) -> dict[str, Any]:
    """Difference of two independent AUCs against Student's t, df by Satterthwaite."""
    sizes = np.array([len(first.event), len(second.event)])
    variances = np.array([_variance(first), _variance(second)])
    total = variances.sum()
    std_error = float(np.sqrt(total)) if total > 0 else _undefined_group_variance()
    df = float(total**2 / (variances**2 / (sizes - 1)).sum()) if total > 0 else np.nan
    difference = first.auc - second.auc
    half = std_error * special.stdtrit(df, (1 + conf_level) / 2)
    p_value = 2 * float(special.stdtr(df, -abs(difference / std_error)))
    return {
        "model_1": "group 1",
        "model_2": "group 2",
        "auc_1": first.auc,
        "auc_2": second.auc,
        "estimate": difference,
        "std_error": std_error,
        "conf_low": float(np.maximum(difference - half, -1.0)),
        "conf_high": float(np.minimum(difference + half, 1.0)),
        "statistic": difference / std_error,
        "df": df,
        "p_value": p_value,
        "p_adjusted": p_value,
        "note": "",
    }


def _group(y: ArrayLike, s: ArrayLike, suffix: str) -> Placements:
    outcome = check_outcome(y, name=f"y{suffix}")
    score = check_finite(s, name=f"s{suffix}")
    check_lengths(**{f"y{suffix}": outcome, f"s{suffix}": score})
    return place(outcome, score)


def _variance(placements: Placements) -> float:
    return float(auc_covariance(placements.values[:, None], placements.event)[0, 0])


def _undefined_group_variance() -> float:
    msg = "The variance of both AUCs is zero or undefined; the test and interval are NaN."
    warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    return np.nan
