"""The same work done by us and by a peer, whose packages come with the bench extra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

import usstats
from tests.benchmarks import data, peers
from tests.benchmarks.measure import Work
from usstats._fits.newton import newton_logistic
from usstats._fits.newton_batch import newton_logistic_batch


@dataclass(frozen=True, kw_only=True)
class Race:
    """One line: `goal` is the smallest ratio of their seconds to ours."""

    work: str
    peer: str
    goal: float
    ours: Work
    theirs: Work
    agree: Callable[[], None]
    given: str = ""


def delong_and_argsorts() -> Race:
    y, first, second = data.scores(1_000_000)
    return Race(
        work="paired DeLong, n = 1e6",
        peer="the two argsorts it cannot avoid",
        goal=0.5,
        ours=lambda: usstats.compare_auc(y, {"first": first, "second": second}),
        theirs=lambda: (np.argsort(first), np.argsort(second)),
        agree=lambda: None,
        given="pROC 2.7 s",
    )


def delong_and_mlstatkit() -> Race:
    from MLstatkit import Delong_test

    y, first, second = data.scores(1_000_000)

    def agree() -> None:
        ours = usstats.compare_auc(y, {"first": first, "second": second}).frame().iloc[0]
        z, p, _, _, *areas = Delong_test(y, first, second)
        assert_allclose(abs(ours["statistic"]), abs(z), rtol=1e-6)
        assert_allclose(ours["p_value"], p, rtol=1e-5, atol=1e-300)
        assert_allclose(ours[["auc_1", "auc_2"]].astype(float), areas[:2], rtol=1e-9)

    return Race(
        work="paired DeLong, n = 1e6",
        peer="MLstatkit",
        goal=5,
        ours=lambda: usstats.compare_auc(y, {"first": first, "second": second}),
        theirs=lambda: Delong_test(y, first, second),
        agree=agree,
        given="pROC 2.7 s",
    )


def bootstrap_and_confidenceinterval() -> Race:
    from confidenceinterval import roc_auc_score

    y, s, _ = data.scores(1_000)

    def ours() -> usstats.Estimate:
        return usstats.auc(y, s, ci="percentile", n_boot=2_000, seed=1)

    def theirs() -> tuple[float, tuple[float, float]]:
        rng = np.random.default_rng(2)
        return roc_auc_score(
            y, s, method="bootstrap_percentile", n_resamples=2_000, random_state=rng
        )

    def agree() -> None:
        mine, (area, limits) = ours(), theirs()
        assert_allclose(mine.estimate, area, rtol=1e-12)
        assert_allclose([mine.conf_low, mine.conf_high], limits, atol=0.003)

    return Race(
        work="AUC bootstrap interval, 2,000 resamples, n = 1,000",
        peer="confidenceinterval",
        goal=30,
        ours=ours,
        theirs=theirs,
        agree=agree,
        given="pROC 1.56 s",
    )


def decision_and_dcurves() -> Race:
    from dcurves import dca

    table = data.risks(100_000)

    def ours() -> usstats.DecisionCurve:
        models = {name: table[name] for name in "abc"}
        return usstats.decision_curve(table["y"], models, thresholds=data.THRESHOLDS)

    def theirs() -> pd.DataFrame:
        return dca(table, outcome="y", modelnames=list("abc"), thresholds=data.THRESHOLDS)

    return Race(
        work="decision curve, 3 models x 99 thresholds, n = 1e5",
        peer="dcurves (Python)",
        goal=40,
        ours=ours,
        theirs=theirs,
        agree=lambda: _same_net_benefit(ours().frame(), theirs()),
        given="dcurves (R) 10.9 s",
    )


def survival_decision_and_dcurves() -> Race:
    from dcurves import dca

    table = data.follow_up(1_000)
    thresholds = data.THRESHOLDS[:60]

    def ours() -> usstats.DecisionCurve:
        models = {name: table[name] for name in "abc"}
        return usstats.decision_curve_survival(
            table["time"], table["event"], models, horizon=1.5, thresholds=thresholds
        )

    def theirs() -> pd.DataFrame:
        return dca(
            table,
            outcome="event",
            modelnames=list("abc"),
            thresholds=thresholds,
            time=1.5,
            time_to_outcome_col="time",
        )

    return Race(
        work="survival decision curve, 3 models x 60 thresholds, n = 1,000",
        peer="dcurves (Python)",
        goal=100,
        ours=ours,
        theirs=theirs,
        agree=lambda: _same_net_benefit(ours().frame(), theirs()),
        given="dcurves (R) 7.0 s",
    )


def validation_and_statsmodels() -> Race:
    table = data.cohort(275, 6)
    fit = usstats.fit_logistic(data.formula(table), table)
    X, y = sm.add_constant(table.drop(columns="y").to_numpy()), table["y"].to_numpy()
    rows = data.resamples(275, 1_000)

    def agree() -> None:
        mine = usstats.validate(fit, table, resamples=rows).frame().set_index("measure")
        for measure, optimism in peers.optimism(X, y, rows).items():
            assert_allclose(mine.loc[measure, "optimism"], optimism, rtol=1e-5)

    return Race(
        work="validate: 1,000 refits, n = 275, 6 df",
        peer="loop: statsmodels' Logit, scikit-learn's AUC and Brier",
        goal=10,
        ours=lambda: usstats.validate(fit, table, resamples=rows),
        theirs=lambda: peers.optimism(X, y, rows),
        agree=agree,
        given="rms 5.5 s",
    )


def refits_and_statsmodels() -> Race:
    table = data.cohort(275, 6)
    X, y = sm.add_constant(table.drop(columns="y").to_numpy()), table["y"].to_numpy(dtype=float)
    rows = data.resamples(275, 1_000)
    weights = np.stack([np.bincount(drawn, minlength=275) for drawn in rows])

    def agree() -> None:
        mine, converged = newton_logistic_batch(X, y, weights)
        assert converged.all()
        assert_allclose(mine, peers.refits(X, y, rows), rtol=1e-5, atol=1e-7)

    return Race(
        work="1,000 refits alone, n = 275, 6 df",
        peer="loop over statsmodels' Logit",
        goal=10,
        ours=lambda: newton_logistic_batch(X, y, weights),
        theirs=lambda: peers.refits(X, y, rows),
        agree=agree,
    )


def fit_and_statsmodels() -> Race:
    table = data.cohort(1_000_000, 10, seed=5)
    text = data.formula(table)

    def theirs() -> pd.DataFrame:
        return smf.logit(text, table).fit(disp=0).cov_params()

    return Race(
        work="logistic fit of a table, n = 1e6, 10 columns",
        peer="statsmodels' logit of the same formula",
        goal=2,
        ours=lambda: usstats.fit_logistic(text, table),
        theirs=theirs,
        agree=lambda: assert_allclose(
            usstats.fit_logistic(text, table).covariance, theirs(), rtol=1e-5, atol=1e-12
        ),
    )


def matrix_fit_and_statsmodels() -> Race:
    table = data.cohort(1_000_000, 10, seed=5)
    X, y = sm.add_constant(table.drop(columns="y").to_numpy()), table["y"].to_numpy(dtype=float)

    def theirs() -> np.ndarray:
        return sm.Logit(y, X).fit(disp=0).cov_params()

    return Race(
        work="logistic fit of a matrix, n = 1e6, 10 columns",
        peer="statsmodels' Logit of the same matrix",
        goal=2,
        ours=lambda: newton_logistic(X, y),
        theirs=theirs,
        agree=lambda: assert_allclose(newton_logistic(X, y).covariance, theirs(), rtol=1e-5),
    )


def table_one_and_tableone() -> Race:
    from tableone import TableOne

    table = data.clinic()

    def theirs() -> TableOne:
        return TableOne(table, groupby="g", pval=True, smd=True)

    def ours() -> pd.DataFrame:
        return usstats.describe(table, by="g", continuous_test="welch").frame()

    def agree() -> None:
        mine, other = ours().groupby("variable").first(), theirs()
        p, smd = other.htest_table["P-Value"].astype(float), other.smd_table["SMD (0,1)"]
        assert_allclose(mine["p_value"], p[mine.index], rtol=1e-9)
        assert_allclose(mine["smd"], smd[mine.index].astype(float).abs(), atol=1e-6)

    return Race(
        work="Table 1, 500 x 20, with SMD and p",
        peer="tableone",
        goal=2,
        ours=ours,
        theirs=theirs,
        agree=agree,
    )


def _same_net_benefit(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    for name in "abc":
        mine = ours.loc[ours["model"] == name, "net_benefit"].to_numpy()
        other = theirs.loc[theirs["model"] == name, "net_benefit"].to_numpy()
        assert_allclose(mine, other, rtol=1e-8, atol=1e-10)


#: Built one at a time, so that only one table is in memory.
RACES: tuple[Callable[[], Race], ...] = (
    delong_and_argsorts,
    delong_and_mlstatkit,
    bootstrap_and_confidenceinterval,
    decision_and_dcurves,
    survival_decision_and_dcurves,
    validation_and_statsmodels,
    refits_and_statsmodels,
    fit_and_statsmodels,
    matrix_fit_and_statsmodels,
    table_one_and_tableone,
)
