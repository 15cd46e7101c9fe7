"""Comparison of AUCs: DeLong's test, Obuchowski's for clustered images, independent groups.

Placements come from one sort a score, so a million cases cost little more than sorting them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._cases import Cases
from usstats._check import (
    check_cluster,
    check_finite,
    check_inside,
    check_lengths,
    check_option,
    check_outcome,
    check_risks,
)
from usstats._intervals import check_conf_level
from usstats._multiplicity import Pair, adjust_p, check_adjustment, check_contrasts
from usstats._resampling.draws import Resamples
from usstats._roc.comparison import AucComparison, GlobalTest
from usstats._roc.contrasts import (
    Curves,
    contrast_table,
    global_test,
    resampled_table,
    with_margin,
)
from usstats._roc.limits import newcombe_limits, square_and_add
from usstats._roc.placements import Placements, auc_covariance, place, place_each
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


def compare_auc(
    y: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    contrasts: Sequence[Pair] | None = None,
    cluster: ArrayLike | None = None,
    adjust: str = "holm",
    margin: float | None = None,
    conf_level: float = 0.95,
    ci: str = "delong",
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
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
    adjust : {"holm", "bonferroni", "hochberg", "hommel", "BH", "BY", "none"}
        Adjustment of the p values over the contrasts (`adjust_p_values`); intervals stay
        unadjusted.
    margin : float, optional
        Largest loss of AUC that is still acceptable, for example 0.05. Also tests that the first
        model of each contrast is not inferior: H0 AUC_1 - AUC_2 <= -margin, one-sided, shown
        when conf_low > -margin (at half of 1 - conf_level). Not adjusted.
    conf_level : float
    ci : {"delong", "percentile", "bca"}
        "percentile", "bca": standard errors and limits of the differences from a bootstrap of
        patients in which both scores share the draws; the test is then difference / SD.
    n_boot, seed, resamples
        For the bootstrap, as in `auc`.

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
        A difference whose variance is zero or undefined: its test and interval are NaN.

    Notes
    -----
    Two scores with the same ranking have difference 0, limits 0 and p = 1, and `note` says
    "identical". Two perfect curves with different rankings also have p = 1, but limits from
    Newcombe's interval of each AUC: a few cases in perfect order prove no equality.

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
    adjust = check_adjustment(adjust)
    check_option(ci, ("delong", "percentile", "bca"), name="ci")
    check_conf_level(conf_level)
    curves = _curves(y, risks, cluster)
    pairs = check_contrasts(contrasts, list(curves.scores))
    if ci == "delong":
        draws, table = None, contrast_table(curves, pairs, conf_level)
    else:
        draws = curves.cases.draws(resamples, n_boot, seed)
        table = resampled_table(curves, pairs, draws, ci, conf_level)
    table.insert(len(table.columns), "p_adjusted", adjust_p(table["p_value"], adjust))
    if margin is not None:
        table = with_margin(table, check_inside(margin, 0, 1, name="margin"))
    return AucComparison(
        table=table,
        global_test=global_test(curves) if len(curves.placed) > 2 else None,
        conf_level=conf_level,
        method=_method(curves.cases, ci, draws),
        adjust=adjust,
        n=len(curves.cases.y),
        n_event=int(curves.cases.y.sum()),
        n_cluster=curves.cases.n_cluster,
        n_boot=None if draws is None else len(draws),
        seed=None if draws is None else draws.seed,
    )


def _curves(y: ArrayLike, risks: Mapping[str, ArrayLike], cluster: ArrayLike | None) -> Curves:
    outcome = check_outcome(y)
    scores = check_risks(risks, len(outcome), scores=True)
    codes = check_cluster(cluster, len(outcome))
    cases = Cases(y=outcome, s=next(iter(scores.values())), cluster=codes)
    return Curves(cases=cases, scores=scores, placed=place_each(outcome, scores))


def _method(cases: Cases, ci: str, draws: Resamples | None) -> str:
    if draws is None:
        return "DeLong" if cases.cluster is None else "Obuchowski (clustered)"
    return f"bootstrap {ci}" if cases.cluster is None else f"bootstrap {ci} (clustered)"


def _refuse_fits(risks: object) -> None:
    values = list(risks.values()) if isinstance(risks, Mapping) else [risks]
    if any(hasattr(value, "spec") for value in values):
        msg = (
            "`risks` holds fitted models. DeLong's test has no power between nested models on the "
            "data they were fitted to; use `compare_nested` (likelihood-ratio test and the AUC "
            "change). On new data pass predictions: {'a': fit_a.predict(new), ...}."
        )
        raise ArgumentError(msg)


def compare_auc_independent(
    y_1: ArrayLike,
    s_1: ArrayLike,
    y_2: ArrayLike,
    s_2: ArrayLike,
    *,
    conf_level: float = 0.95,
    cluster_1: ArrayLike | None = None,
    cluster_2: ArrayLike | None = None,
) -> AucComparison:
    """Compare the AUCs of two separate groups of patients.

    Parameters
    ----------
    y_1, y_2 : array_like of 0/1, shapes (n_1,), (n_2,)
    s_1, s_2 : array_like, shapes (n_1,), (n_2,)
        Scores, higher = more likely an event.
    conf_level : float
    cluster_1, cluster_2 : array_like, shapes (n_1,), (n_2,), optional
        Patient labels where patients have several images; both or none.

    Returns
    -------
    AucComparison
        One row "group 1" minus "group 2", with `df`: the statistic is referred to Student's t
        with Welch-Satterthwaite degrees of freedom, counted in patients.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        Neither AUC has a variance: the test is NaN, the limits combine Newcombe's.

    References
    ----------
    DeLong et al. (1988), Biometrics 44:837. Obuchowski (1997), Biometrics 53:567. R:
    pROC::roc.test(paired = FALSE).

    Examples
    --------
    >>> compare_auc_independent([0, 0, 1, 1, 1], [1, 3, 2, 4, 5], [0, 0, 1, 1], [1, 4, 2, 3])
    <AUC comparison, 1 contrast: DeLong, independent groups; n = 9, events = 5, 95 % ...>
    """
    check_conf_level(conf_level)
    if (cluster_1 is None) != (cluster_2 is None):
        msg = "Give `cluster_1` and `cluster_2`, or neither of them."
        raise ArgumentError(msg)
    groups = (_group(y_1, s_1, cluster_1, "_1"), _group(y_2, s_2, cluster_2, "_2"))
    clustered = cluster_1 is not None
    return AucComparison(
        table=pd.DataFrame([_welch(*groups, conf_level)]),
        global_test=None,
        conf_level=conf_level,
        method=f"{'Obuchowski' if clustered else 'DeLong'}, independent groups",
        adjust="none",
        n=sum(len(group.y) for group in groups),
        n_event=sum(int(group.y.sum()) for group in groups),
        n_cluster=sum(group.n_cluster or 0 for group in groups) if clustered else None,
    )


def _group(y: ArrayLike, s: ArrayLike, cluster: ArrayLike | None, suffix: str) -> Cases:
    outcome = check_outcome(y, name=f"y{suffix}")
    score = check_finite(s, name=f"s{suffix}")
    check_lengths(**{f"y{suffix}": outcome, f"s{suffix}": score})
    codes = check_cluster(cluster, len(outcome))
    return Cases(y=outcome, s=score, cluster=codes)


def _welch(one: Cases, two: Cases, conf_level: float) -> dict[str, Any]:
    """Difference of two independent AUCs against Student's t, df by Satterthwaite."""
    first, second = place(one.y, one.s), place(two.y, two.s)
    difference = first.auc - second.auc
    variances = np.array([_variance(first, one.cluster), _variance(second, two.cluster)])
    sizes = np.array([group.n_cluster or len(group.y) for group in (one, two)])
    total = variances.sum()
    if total > 0:
        df = float(total**2 / (variances**2 / (sizes - 1)).sum())
        half = np.sqrt(total) * special.stdtrit(df, (1 + conf_level) / 2)
        limits = (difference - half, difference + half)
    else:
        total = df = _undefined_group_variance()
        bounds = [
            newcombe_limits(area, group.patients(1), group.patients(0), conf_level)
            for area, group in ((first.auc, one), (second.auc, two))
        ]
        limits = square_and_add((first.auc, second.auc), bounds[0], bounds[1])
    std_error = float(np.sqrt(total))
    p_value = 2 * float(special.stdtr(df, -abs(difference / std_error)))
    return {
        "model_1": "group 1",
        "model_2": "group 2",
        "auc_1": first.auc,
        "auc_2": second.auc,
        "estimate": difference,
        "std_error": std_error,
        "conf_low": float(np.maximum(limits[0], -1.0)),
        "conf_high": float(np.minimum(limits[1], 1.0)),
        "statistic": difference / std_error,
        "df": df,
        "p_value": p_value,
        "p_adjusted": p_value,
        "note": "",
    }


def _variance(placements: Placements, cluster: NDArray[np.int64] | None) -> float:
    return float(auc_covariance(placements.values[:, None], placements.event, cluster)[0, 0])


def _undefined_group_variance() -> float:
    msg = (
        "The variance of both AUCs is zero or undefined; the test is NaN and the limits combine "
        "Newcombe's of each AUC."
    )
    warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    return np.nan
