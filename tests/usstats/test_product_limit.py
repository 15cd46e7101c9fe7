"""Kaplan-Meier and the log-rank test against R, scipy and products written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.reference import ReferenceCase, load_case
from tests.usstats.survival_data import cohort, tied_table
from usstats._survival.censoring import FollowUp, censoring_curve
from usstats.errors import ArgumentError, OutcomeError, PairingError
from usstats.product_limit import kaplan_meier
from usstats.survival_comparison import logrank

COLUMNS = {
    "n_risk": "n_risk",
    "n_event": "n_event_cum_interval",
    "estimate": "surv",
    "std_error": "std_err",
    "conf_low": "lower",
    "conf_high": "upper",
}


@pytest.fixture(scope="module")
def case() -> ReferenceCase:
    return load_case("surv_km_lung")


@pytest.fixture(scope="module")
def lung(case: ReferenceCase) -> pd.DataFrame:
    table = case.table()
    return table.assign(dead=table["status"] == 2)


class TestReference:
    @pytest.mark.parametrize("scale", ["log", "log-log"])
    def test_curve(self, case: ReferenceCase, lung: pd.DataFrame, scale: str) -> None:
        times = case.inputs["times"]
        frame = kaplan_meier(lung["time"], lung["dead"], times=times, scale=scale).frame()
        for ours, theirs in COLUMNS.items():
            case.check(frame[ours], f"{scale.replace('-', '')}.{theirs}")

    def test_quantiles(self, case: ReferenceCase, lung: pd.DataFrame) -> None:
        found = kaplan_meier(lung["time"], lung["dead"], scale="log").quantiles()
        case.check(found["p"], "quantiles.p")
        case.check(found["estimate"], "quantiles.time")
        case.check(found["conf_low"], "quantiles.lower")
        case.check(found["conf_high"], "quantiles.upper")
        medians = [
            kaplan_meier(part["time"], part["dead"]).quantiles(0.5)["estimate"][0]
            for _, part in lung.groupby("sex")
        ]
        case.check(medians, "by_sex_median")

    def test_restricted_mean(self, case: ReferenceCase, lung: pd.DataFrame) -> None:
        found = kaplan_meier(lung["time"], lung["dead"]).restricted_mean(365)
        case.check(found.estimate, "rmst_365.rmean")
        case.check(found.std_error, "rmst_365.se")

    def test_log_rank(self, case: ReferenceCase, lung: pd.DataFrame) -> None:
        found = logrank(lung["time"], lung["dead"], lung["sex"])
        case.check(found.statistic, "logrank.chi2")
        case.check(found.p_value, "logrank.p")
        case.check(found.frame()["observed"], "logrank.observed")
        case.check(found.frame()["expected"], "logrank.expected")
        peto = logrank(lung["time"], lung["dead"], lung["sex"], rho=1)
        case.check(peto.statistic, "peto_wilcoxon.chi2")


class TestAgainstScipy:
    def test_curve(self) -> None:
        table = tied_table()
        sample = stats.CensoredData.right_censored(table["days"], table["dead"] == 0)
        theirs = stats.ecdf(sample).sf
        ours = kaplan_meier(table["days"], table["dead"], times=theirs.quantiles)
        np.testing.assert_allclose(ours.frame()["estimate"], theirs.probabilities)

    def test_log_rank(self) -> None:
        table = tied_table()
        parts = [
            stats.CensoredData.right_censored(part["days"], part["dead"] == 0)
            for _, part in table.groupby(table["x"] > 0)
        ]
        theirs = stats.logrank(*parts)
        ours = logrank(table["days"], table["dead"], table["x"] > 0)
        assert ours.statistic == pytest.approx(theirs.statistic**2)
        assert ours.p_value == pytest.approx(theirs.pvalue)


class TestLaws:
    def test_no_censoring_gives_the_share_and_its_binomial_variance(self) -> None:
        time = np.arange(1.0, 41)
        frame = kaplan_meier(time, np.ones(40), times=[10]).frame()
        assert frame["estimate"][0] == pytest.approx(0.75)
        assert frame["std_error"][0] == pytest.approx(np.sqrt(0.75 * 0.25 / 40))

    def test_censoring_curve_and_survival_share_the_rows_at_risk(self) -> None:
        """S(t-) G(t-) is the share still followed: what makes the weights add up to n."""
        table = tied_table()
        follow_up = FollowUp(table["days"].to_numpy(), table["dead"].to_numpy())
        at = np.arange(2.0, 12)
        still = [(follow_up.time >= t).mean() for t in at]
        S = kaplan_meier(table["days"], table["dead"], times=at - 0.5).frame()["estimate"]
        np.testing.assert_allclose(S * censoring_curve(follow_up).before(at), still)

    def test_limits_stay_inside(self) -> None:
        for scale in ("log-log", "log", "plain"):
            frame = kaplan_meier([1, 2, 3, 4, 9], [1, 1, 1, 1, 0], scale=scale).frame()
            assert ((frame["conf_low"] >= 0) & (frame["conf_high"] <= 1)).all()
            assert (frame["conf_low"] <= frame["estimate"]).all()

    def test_curve_at_zero_has_no_standard_error(self) -> None:
        frame = kaplan_meier([1, 2], [1, 1]).frame()
        assert frame["estimate"].tolist() == [0.5, 0.0]
        assert np.isnan(frame["std_error"][1])
        assert np.isnan(frame["conf_low"][1])

    def test_before_the_first_event(self) -> None:
        frame = kaplan_meier([5, 6, 7], [1, 1, 0], times=[0, 2]).frame()
        assert frame["estimate"].tolist() == [1, 1]
        assert frame["conf_low"].tolist() == [1, 1]
        assert frame["std_error"].tolist() == [0, 0]

    def test_median_in_a_gap_is_its_middle(self) -> None:
        quantiles = kaplan_meier([1, 2, 3, 4], [1, 1, 1, 1]).quantiles(0.5)
        assert quantiles["estimate"][0] == 2.5

    def test_quantile_that_is_not_reached(self) -> None:
        assert np.isnan(kaplan_meier([1, 2, 3], [1, 0, 0]).quantiles(0.9)["estimate"][0])

    def test_order_of_groups_and_the_p_of_equal_ones(self) -> None:
        data = pd.concat([cohort(40, 1)] * 2, ignore_index=True)
        group = np.repeat(["b", "a"], 40)
        assert logrank(data["time"], data["event"], group).statistic == pytest.approx(0, abs=1e-9)
        assert logrank(data["time"], data["event"], group).frame()["group"].tolist() == ["a", "b"]

    def test_clusters(self) -> None:
        """One row a patient is Greenwood's; copies of patients change nothing."""
        data = cohort(400, 4).round({"time": 1})
        at = [0.3, 0.8, 1.5]
        plain = kaplan_meier(data["time"], data["event"], times=at).frame()["std_error"]
        who = np.arange(400)
        alone = kaplan_meier(data["time"], data["event"], times=at, cluster=who)
        np.testing.assert_allclose(alone.frame()["std_error"], plain, rtol=1e-9)
        copies = pd.concat([data] * 3, ignore_index=True)
        thrice = kaplan_meier(
            copies["time"], copies["event"], times=at, cluster=np.tile(who, 3)
        ).frame()
        np.testing.assert_allclose(thrice["std_error"], alone.frame()["std_error"], rtol=1e-9)
        assert "unit: patient (400 clusters)" in repr(alone)


class TestBadInput:
    def test_refused(self) -> None:
        time, event = [1.0, 2, 3], [1, 0, 1]
        with pytest.raises(ArgumentError, match=r"`times` must be positive and not after .* \(3\)"):
            kaplan_meier(time, event, times=[1, 4])
        with pytest.raises(ArgumentError, match="ascend without duplicates"):
            kaplan_meier(time, event, times=[2, 1])
        with pytest.raises(ArgumentError, match="`scale` must be one of"):
            kaplan_meier(time, event, scale="logit")
        with pytest.raises(ArgumentError, match=r"`p` must hold shares inside \(0, 1\)"):
            kaplan_meier(time, event).quantiles(50)
        with pytest.raises(OutcomeError, match="holds no event"):
            kaplan_meier(time, [0, 0, 0])
        with pytest.raises(OutcomeError, match="`time` must be finite"):
            kaplan_meier([1, np.nan, 3], event)
        with pytest.raises(OutcomeError, match="`time` must be finite; 1 of 3"):
            kaplan_meier(pd.array([1, None, 3], dtype="Int64"), event)
        with pytest.raises(OutcomeError, match="`time` is empty"):
            kaplan_meier([], [])
        with pytest.raises(PairingError, match="`group` holds one group only"):
            logrank(time, event, ["a"] * 3)
        with pytest.raises(PairingError, match="1 missing labels"):
            logrank(time, event, ["a", None, "b"])
        with pytest.raises(ArgumentError, match="`rho` must be a number"):
            logrank(time, event, ["a", "b", "b"], rho=np.nan)

    def test_summary(self) -> None:
        text = kaplan_meier([1, 2, 3, 4, 5], [1, 1, 1, 1, 0]).summary()
        assert "median 3" in text
        assert "events = 4" in text
        assert "expected" in logrank([1, 2, 3, 4], [1, 1, 1, 0], [0, 0, 1, 1]).summary()
