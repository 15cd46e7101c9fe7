"""Comparison of two or more yes/no decisions on the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._accuracy.paired import (
    PAIRED_METHODS,
    Paired,
    check_method,
    difference_table,
    ratio_table,
)
from usstats._accuracy.paired_tests import q_test
from usstats._accuracy.predictive_values import KINDS
from usstats._cases import renumber
from usstats._check import (
    check_cluster,
    check_lengths,
    check_option,
    check_outcome,
    one_dimensional,
)
from usstats._intervals import check_conf_level
from usstats._multiplicity import Pair, adjust_p, check_adjustment, check_contrasts
from usstats.errors import ArgumentError, OutcomeError
from usstats.results import unit_of_analysis

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AccuracyComparison:
    """Differences or ratios of two decisions, first minus (over) second.

    Attributes
    ----------
    table : DataFrame
    effect : {"difference", "ratio"}
    method : str
    conf_level : float
    n, n_event : int
    n_cluster : int or None
    """

    table: pd.DataFrame
    effect: str
    method: str
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """measure, estimate_1, estimate_2, estimate, std_error (of the logarithm for ratios),
        conf_low, conf_high, statistic, p_value, method and, for differences of proportions on
        the same cases, n_10, n_01, denominator; then level and sample."""
        return _with_sample(self.table, self)

    def summary(self) -> str:
        """One line a measure."""
        return "\n".join([repr(self)[1:-1], *map(_line, self.table.to_dict("records"))])

    def __repr__(self) -> str:
        return f"<comparison of two decisions: {self.method}, {_sample_text(self)}>"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DecisionComparison:
    """Several decisions: a test that all agree, and differences pair by pair.

    Attributes
    ----------
    table : DataFrame
    omnibus : DataFrame
        Cochran's Q: measure, statistic, df, p_value, method, n.
    method, adjust : str
    conf_level : float
    n, n_event : int
    n_cluster : int or None
    """

    table: pd.DataFrame
    omnibus: pd.DataFrame
    method: str
    adjust: str
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """measure, model_1, model_2, then as `AccuracyComparison` with p_adjusted (over the
        pairs of one measure)."""
        return _with_sample(self.table, self)

    def summary(self) -> str:
        """Cochran's Q of each measure, then one line a pair."""
        tests = [
            f"{row['measure']}, all equal: {row['method']} chi2({row['df']}) = "
            f"{row['statistic']:.3f}, p = {row['p_value']:.3g}"
            for row in self.omnibus.to_dict("records")
        ]
        pairs = [
            f"{row['model_1']} - {row['model_2']}, {_line(row)}, adjusted {row['p_adjusted']:.3g}"
            for row in self.table.to_dict("records")
        ]
        return "\n".join([repr(self)[1:-1], *tests, *pairs])

    def __repr__(self) -> str:
        return (
            f"<comparison of several decisions: {self.method}, p adjusted: {self.adjust}, "
            f"{_sample_text(self)}>"
        )


Comparison = AccuracyComparison | DecisionComparison


def _with_sample(table: pd.DataFrame, result: Comparison) -> pd.DataFrame:
    frame = table.assign(conf_level=result.conf_level, n=result.n, n_event=result.n_event)
    return frame if result.n_cluster is None else frame.assign(n_cluster=result.n_cluster)


def _sample_text(result: Comparison) -> str:
    unit = unit_of_analysis(result.n_cluster)
    return (
        f"{result.conf_level * 100:g} % intervals; n = {result.n}, events = {result.n_event}, "
        f"unit: {unit}"
    )


def _line(row: dict[Any, Any]) -> str:
    return (
        f"{row['measure']}: {row['estimate']:.3f} "
        f"({row['conf_low']:.3f} to {row['conf_high']:.3f}), p = {row['p_value']:.3g}"
    )


def check_decision(decision: ArrayLike, *, name: str) -> Bools:
    """A yes/no vector; risks are refused with advice."""
    values = one_dimensional(decision, name, OutcomeError)
    if values.dtype.kind == "f" and not np.isin(values[np.isfinite(values)], (0.0, 1.0)).all():
        msg = (
            f"`{name}` must be a decision (0/1 or bool); it holds values such as "
            f"{values[0]:g}. Apply a threshold first, for example `threshold.decide(p)`."
        )
        raise ArgumentError(msg)
    return np.asarray(check_outcome(decision, name=name, require_both=False) == 1)


def compare_accuracy(
    y: ArrayLike,
    decision_1: ArrayLike,
    decision_2: ArrayLike,
    *,
    method: str = "mcnemar",
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
    effect: str = "difference",
    ci: str = "tango",
    predictive: str = "weighted",
) -> AccuracyComparison:
    """Compare two yes/no decisions on the same cases.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    decision_1, decision_2 : array_like of 0/1 or bool, shape (n,)
        For example `threshold.decide(p)` and a reader's calls.
    method : str
        Test of sensitivity, specificity and accuracy: "mcnemar", "mcnemar_corrected", "exact" or
        "midp"; with `cluster` "yang" (also meant by "mcnemar"), "obuchowski", "durkalski" or
        "eliasziw" (liberal, see `mcnemar_clustered`).
    cluster : array_like, shape (n,), optional
        Patient labels when a patient has several images.
    conf_level : float
    effect : {"difference", "ratio"}
        "difference": rows sensitivity, specificity, accuracy, ppv, npv. "ratio": rows
        sensitivity, specificity, ppv, npv, lr_pos, lr_neg, each a Wald test of the log ratio
        with a linearised standard error (`method` does not apply).
    ci : {"tango", "wald"}
        Limits of the differences of sensitivity, specificity and accuracy. Those of predictive
        values, and all with `cluster`, are Wald on the linearised standard error, except where
        that is zero: then Tango's on the number of patients, or Wilson's combined.
    predictive : {"weighted", "score"}
        Test of the predictive values: Kosinski's weighted generalised score, or Leisenring's,
        which is also the one used with `cluster`.

    Returns
    -------
    AccuracyComparison
        Differences are first minus second, ratios first over second.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        A class, or a decision, without cases: its row is NaN.

    References
    ----------
    McNemar (1947), Psychometrika 12:153. Tango (1998), Stat Med 17:891. Yang et al. (2010), Stat
    Med 29:2650. Leisenring et al. (2000), Biometrics 56:345. Moskowitz and Pepe (2006), Clin
    Trials 3:272. Gu and Pepe (2009), Stat Med 28:2384. Kosinski (2013), Stat Med 32:964.
    R: DTComPair::sesp.mcnemar, sesp.rel, pv.wgs, pv.gs, pv.rpv, dlr.regtest; clust.bin.pair.

    Examples
    --------
    >>> y = [1, 1, 1, 1, 0, 0, 0, 0]
    >>> comparison = compare_accuracy(y, [1, 1, 1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 1, 1])
    >>> comparison.frame()[["measure", "estimate", "p_value"]].head(3)
           measure  estimate  p_value
    0  sensitivity      0.50     0.16
    1  specificity      0.25     0.32
    2     accuracy      0.38     0.08
    """
    check_option(method, PAIRED_METHODS, name="method")
    check_option(effect, ("difference", "ratio"), name="effect")
    check_option(ci, ("tango", "wald"), name="ci")
    check_option(predictive, KINDS, name="predictive")
    check_conf_level(conf_level)
    paired = _paired(y, decision_1, decision_2, cluster)
    test = check_method(method, clustered=cluster is not None)
    if effect == "ratio":
        table, used = ratio_table(paired, conf_level=conf_level), "log ratio"
    else:
        table = difference_table(
            paired, method=method, ci=ci, predictive=predictive, conf_level=conf_level
        )
        used = method if cluster is None else test
    return AccuracyComparison(
        table=table,
        effect=effect,
        method=used if cluster is None else f"{used}, clustered",
        conf_level=conf_level,
        n=len(paired.event),
        n_event=int(paired.event.sum()),
        n_cluster=_n_cluster(paired),
    )


def _paired(
    y: ArrayLike, decision_1: ArrayLike, decision_2: ArrayLike, cluster: ArrayLike | None
) -> Paired:
    outcome = check_outcome(y, require_both=False)
    first = check_decision(decision_1, name="decision_1")
    second = check_decision(decision_2, name="decision_2")
    check_lengths(y=outcome, decision_1=first, decision_2=second)
    codes = check_cluster(cluster, len(outcome))
    return Paired(event=outcome == 1, first=first, second=second, cluster=codes)


def _n_cluster(paired: Paired) -> int | None:
    return None if paired.cluster is None else int(paired.cluster.max()) + 1


def compare_decisions(
    y: ArrayLike,
    decisions: Mapping[str, ArrayLike],
    *,
    contrasts: Sequence[Pair] | None = None,
    method: str = "mcnemar",
    cluster: ArrayLike | None = None,
    adjust: str = "holm",
    conf_level: float = 0.95,
) -> DecisionComparison:
    """Compare three or more yes/no decisions: Cochran's Q, then pairs with adjusted p values.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    decisions : mapping of name to array_like of 0/1 or bool, shape (n,)
        Two or more tests or readers.
    contrasts : sequence of (name, name), optional
        Pairs named beforehand (default: every pair). Differences are first minus second.
    method, cluster, conf_level
        As in `compare_accuracy`; with `cluster`, Cochran's Q takes its covariance from patients.
    adjust : {"holm", "bonferroni", "hochberg", "hommel", "BH", "BY", "none"}
        Adjustment over the pairs, within each measure.

    Returns
    -------
    DecisionComparison
        `.omnibus` holds Cochran's Q for sensitivity, specificity and accuracy.

    Raises
    ------
    ArgumentError
        Fewer than two decisions, an unknown name.
    OutcomeError, PairingError

    Warns
    -----
    SmallSampleWarning
        A class, or a decision, without cases: its row is NaN.

    References
    ----------
    Cochran (1950), Biometrika 37:256. Holm (1979), Scand J Stat 6:65.

    Examples
    --------
    >>> y = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    >>> calls = {"a": [1, 1, 1, 1, 1, 0, 0, 0, 1, 0], "b": [1, 0, 1, 0, 1, 0, 0, 1, 0, 0],
    ...          "c": [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]}
    >>> compare_decisions(y, calls).omnibus[["measure", "statistic", "p_value"]].head(1)
           measure  statistic  p_value
    0  sensitivity        6.0     0.05
    """
    check_option(method, PAIRED_METHODS, name="method")
    adjust = check_adjustment(adjust)
    check_conf_level(conf_level)
    outcome = check_outcome(y, require_both=False)
    calls = _check_decisions(decisions, len(outcome))
    codes = check_cluster(cluster, len(outcome))
    pairs = check_contrasts(contrasts, list(calls), argument="decisions")
    table = _pair_table(outcome == 1, calls, pairs, codes, method, conf_level)
    table["p_adjusted"] = table.groupby("measure")["p_value"].transform(
        lambda p: adjust_p(p, adjust)
    )
    test = check_method(method, clustered=codes is not None)
    return DecisionComparison(
        table=table,
        omnibus=_omnibus(outcome == 1, calls, codes),
        method=method if codes is None else f"{test}, clustered",
        adjust=adjust,
        conf_level=conf_level,
        n=len(outcome),
        n_event=int(outcome.sum()),
        n_cluster=None if codes is None else int(codes.max()) + 1,
    )


def _check_decisions(decisions: Mapping[str, ArrayLike], n: int) -> dict[str, Bools]:
    if not isinstance(decisions, Mapping) or not decisions:
        msg = (
            "`decisions` must map names to yes/no arrays, for example {'reader 1': calls}; "
            f"got {type(decisions).__name__}."
        )
        raise ArgumentError(msg)
    checked = {str(name): check_decision(d, name=str(name)) for name, d in decisions.items()}
    check_lengths(y=np.empty(n), **checked)
    return checked


def _pair_table(
    event: Bools,
    calls: Mapping[str, Bools],
    pairs: Sequence[Pair],
    cluster: NDArray[np.int64] | None,
    method: str,
    conf_level: float,
) -> pd.DataFrame:
    """One row a measure and pair, measures together."""
    tables = []
    for one, two in pairs:
        paired = Paired(event=event, first=calls[one], second=calls[two], cluster=cluster)
        table = difference_table(
            paired, method=method, ci="tango", predictive="weighted", conf_level=conf_level
        )
        table.insert(1, "model_1", one)
        table.insert(2, "model_2", two)
        tables.append(table)
    together = pd.concat(tables, ignore_index=True)
    order = pd.Categorical(together["measure"], categories=tables[0]["measure"])
    return together.iloc[np.argsort(order.codes, kind="stable")].reset_index(drop=True)


def _omnibus(
    event: Bools, calls: Mapping[str, Bools], cluster: NDArray[np.int64] | None
) -> pd.DataFrame:
    """Cochran's Q among events, among non-events, and of right answers; a class may be absent."""
    decided = np.stack(list(calls.values()), axis=1)
    hits = {
        "sensitivity": (decided, event),
        "specificity": (~decided, ~event),
        "accuracy": (decided == event[:, None], np.ones_like(event)),
    }
    rows = []
    for measure, (hit, among) in hits.items():
        if among.any():
            codes = None if cluster is None else renumber(cluster[among])
            test = q_test(hit[among].astype(float), codes)
            names = ("statistic", "df", "p_value", "method", "n")
            rows.append({"measure": measure} | {name: getattr(test, name) for name in names})
    return pd.DataFrame(rows)
