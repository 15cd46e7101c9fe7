"""Time-dependent AUC and Brier score against timeROC and Score, and the ordinary ones."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tests.reference import ReferenceCase, load_case
from tests.usstats.survival_data import cohort, tied_table
from usstats.errors import (
    ArgumentError,
    DirectionWarning,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
)
from usstats.roc import auc
from usstats.survival import fit_cox
from usstats.time_dependent import TimeDependent, time_dependent_auc, time_dependent_brier


@pytest.fixture(scope="module")
def timeroc() -> ReferenceCase:
    return load_case("surv_timeauc_lung")


@pytest.fixture(scope="module")
def score() -> ReferenceCase:
    return load_case("surv_score_lung")


def rows_of(result: TimeDependent, model: str) -> pd.DataFrame:
    frame = result.frame()
    return frame[frame["model"] == model]


def risks_of(case: ReferenceCase) -> dict[str, np.ndarray]:
    table = case.table()
    return {name: table[columns].to_numpy() for name, columns in case.inputs["models"].items()}


class TestReference:
    def test_auc_of_timeroc(self, timeroc: ReferenceCase) -> None:
        table = timeroc.table()
        result = time_dependent_auc(
            table["time"],
            table["event"],
            {name: table[name] for name in timeroc.inputs["marker"]},
            times=timeroc.inputs["times"],
        )
        for name in timeroc.inputs["marker"]:
            rows = rows_of(result, name)
            timeroc.check(rows["time"], f"{name}.times")
            timeroc.check(rows["estimate"], f"{name}.auc")
            timeroc.check(rows["std_error"], f"{name}.se")

    def test_auc_of_score(self, score: ReferenceCase) -> None:
        table = score.table()
        result = time_dependent_auc(
            table["time"],
            table["event"],
            risks_of(score),
            times=score.inputs["times"],
            cases="by",
        )
        for name in score.inputs["models"]:
            rows = rows_of(result, name)
            score.check(rows["estimate"], f"{name}.auc")
            score.check(rows["std_error"], f"{name}.auc_se")
            score.check(rows["conf_low"], f"{name}.auc_lower")
            score.check(rows["conf_high"], f"{name}.auc_upper")

    def test_brier_of_score(self, score: ReferenceCase) -> None:
        table = score.table()
        result = time_dependent_brier(
            table["time"], table["event"], risks_of(score), times=score.inputs["times"]
        )
        for name in score.inputs["models"]:
            rows = rows_of(result, name)
            score.check(rows["estimate"], f"{name}.brier")
            score.check(rows["std_error"], f"{name}.brier_se")
            score.check(rows["null_brier"], "null_brier")
            np.testing.assert_allclose(
                rows["scaled_brier"], 1 - rows["estimate"] / rows["null_brier"]
            )


def naive_weights(time: np.ndarray, event: np.ndarray, t: float) -> tuple[np.ndarray, float]:
    """1 / G(T-) of every row and 1 / G(t), G written out as a product."""

    def G(upto: float, *, itself: bool) -> float:
        value = 1.0
        for u in np.unique(time[event == 0]):
            if u < upto or (itself and u == upto):
                failing = ((time == u) & (event == 1)).sum()
                value *= 1 - ((time == u) & (event == 0)).sum() / ((time >= u).sum() - failing)
        return value

    return np.array([1 / G(u, itself=False) for u in time]), 1 / G(t, itself=True)


@pytest.mark.parametrize("t", [3.0, 5.0])
class TestWrittenOut:
    """Pairs and rows one by one, on days with many ties."""

    @pytest.mark.parametrize("cases", ["before", "by"])
    def test_auc(self, t: float, cases: str) -> None:
        table = tied_table()
        time, event, s = (table[c].to_numpy() for c in ("days", "dead", "x"))
        s = s.round(1)
        weight, _ = naive_weights(time, event, t)
        early = time < t if cases == "before" else time <= t
        total = right = 0.0
        for i in np.flatnonzero(early & (event == 1)):
            for j in np.flatnonzero(time > t):
                total += weight[i]
                right += weight[i] * ((s[i] > s[j]) + 0.5 * (s[i] == s[j]))
        frame = time_dependent_auc(time, event, s, times=t, cases=cases).frame()
        assert frame["estimate"][0] == pytest.approx(right / total)
        assert frame["n_event"][0] == (early & (event == 1)).sum()
        assert frame["n_at_risk"][0] == (time > t).sum()

    def test_brier(self, t: float) -> None:
        table = tied_table()
        time, event = table["days"].to_numpy(), table["dead"].to_numpy()
        risk = np.random.default_rng(1).random(len(table))
        weight, beyond = naive_weights(time, event, t)
        failed, left = (time <= t) & (event == 1), time > t
        expected = np.mean(failed * weight * (1 - risk) ** 2 + left * beyond * risk**2)
        frame = time_dependent_brier(time, event, risk, times=t).frame()
        assert frame["estimate"][0] == pytest.approx(expected)

    def test_standard_errors_are_those_of_dropping_rows(self, t: float) -> None:
        """The jackknife, which weighs censoring anew each time, agrees within a twentieth."""
        table = cohort(150, 9)
        time, event = table["time"].to_numpy() * 4, table["event"].to_numpy()
        risk = table["risk"].to_numpy()
        for estimate in (time_dependent_auc, time_dependent_brier):
            found = estimate(time, event, risk, times=t).frame()["std_error"][0]
            left_out = [
                estimate(*(np.delete(a, i) for a in (time, event, risk)), times=t).frame()[
                    "estimate"
                ][0]
                for i in range(150)
            ]
            jackknife = np.sqrt(149**2 / 150 * np.var(left_out, ddof=1))
            assert found == pytest.approx(jackknife, rel=0.05)


class TestLaws:
    def test_without_censoring_the_ordinary_auc(self) -> None:
        data = cohort(250, 2, censoring=1e9)
        y = (data["time"] <= 0.7).astype(int)
        found = time_dependent_auc(data["time"], data["event"], data["x"], times=0.7)
        expected = auc(y, data["x"])
        frame = found.frame()
        assert frame["estimate"][0] == pytest.approx(expected.estimate)
        assert frame["std_error"][0] == pytest.approx(expected.std_error, rel=0.01)

    def test_without_censoring_the_ordinary_brier_score(self) -> None:
        data = cohort(250, 2, censoring=1e9)
        y, risk = (data["time"] <= 0.7).to_numpy(), data["risk"].to_numpy()
        frame = time_dependent_brier(data["time"], data["event"], risk, times=0.7).frame()
        distance = (y - risk) ** 2
        assert frame["estimate"][0] == pytest.approx(distance.mean())
        assert frame["std_error"][0] == pytest.approx(distance.std(ddof=1) / np.sqrt(250))
        assert frame["null_brier"][0] == pytest.approx(y.mean() * (1 - y.mean()))

    def test_unit_of_time_and_monotone_scores(self) -> None:
        table = tied_table()
        first = time_dependent_auc(table["days"], table["dead"], table["x"], times=[3, 6])
        second = time_dependent_auc(
            table["days"] * 24, table["dead"], np.exp(table["x"]), times=[72, 144]
        )
        pd.testing.assert_frame_equal(
            first.frame().drop(columns="time"), second.frame().drop(columns="time")
        )

    def test_order_of_rows(self) -> None:
        table = tied_table()
        mixed = table.sample(frac=1, random_state=5)
        frames = [
            time_dependent_auc(d["days"], d["dead"], d["x"], times=[3, 6], cases=cases).frame()
            for cases in ("before", "by")
            for d in (table, mixed)
        ]
        np.testing.assert_allclose(frames[0]["std_error"], frames[1]["std_error"], rtol=1e-2)
        np.testing.assert_allclose(frames[2]["std_error"], frames[3]["std_error"], rtol=1e-10)

    def test_cases_at_the_horizon(self) -> None:
        """Moving the horizon just past a tied time turns "by" into "before"."""
        table = tied_table()
        by = time_dependent_auc(table["days"], table["dead"], table["x"], times=5, cases="by")
        past = time_dependent_auc(table["days"], table["dead"], table["x"], times=5.01)
        assert by.frame()["estimate"][0] == past.frame()["estimate"][0]

    def test_one_row_a_cluster_and_copies(self) -> None:
        data = cohort(120, 3)
        who = np.arange(120)
        copies = pd.concat([data] * 2, ignore_index=True)
        for estimate in (time_dependent_auc, time_dependent_brier):
            plain = estimate(data["time"], data["event"], data["risk"], times=1).frame()
            alone = estimate(data["time"], data["event"], data["risk"], times=1, cluster=who)
            twice = estimate(
                copies["time"], copies["event"], copies["risk"], times=1, cluster=np.tile(who, 2)
            )
            assert alone.frame()["std_error"][0] == pytest.approx(plain["std_error"][0])
            assert twice.frame()["std_error"][0] == pytest.approx(plain["std_error"][0], rel=1e-2)
            assert twice.frame()["n_cluster"][0] == 120
            assert "patient (120 clusters)" in repr(twice)

    def test_null_model_scores_zero(self) -> None:
        data = cohort(200, 4)
        risk = time_dependent_brier(data["time"], data["event"], data["risk"], times=1)
        null = risk.frame()["null_brier"][0]
        share = 0.5 + np.sqrt(0.25 - null) * np.array([-1, 1])
        found = time_dependent_brier(
            data["time"], data["event"], {s: np.full(200, s) for s in share}, times=1
        ).frame()
        assert found["scaled_brier"].abs().min() == pytest.approx(0, abs=1e-12)

    def test_perfect_ranking_has_score_limits(self) -> None:
        """As an AUC of 1 has them: not 1 to 1."""
        time = np.arange(1.0, 41)
        frame = time_dependent_auc(time, np.ones(40), -time, times=20.5).frame()
        assert frame["estimate"][0] == 1
        assert 0.8 < frame["conf_low"][0] < 0.95
        assert frame["conf_high"][0] == 1

    def test_many_rows_cost_little(self) -> None:
        data = cohort(50_000, 5)
        frame = time_dependent_auc(data["time"], data["event"], data["x"], times=[0.5, 1]).frame()
        assert (frame["std_error"] < 0.004).all()


class TestCompare:
    def test_differences(self) -> None:
        data = cohort(300, 6)
        noise = data["x"] + np.random.default_rng(3).normal(size=300)
        result = time_dependent_auc(
            data["time"],
            data["event"],
            {"a": data["x"], "b": noise, "c": data["x"]},
            times=[0.5, 1],
        )
        table = result.compare()
        assert table["p_adjusted"].ge(table["p_value"]).all()
        estimates = result.frame().set_index(["model", "time"])["estimate"]
        first = table.iloc[0]
        assert first["estimate"] == pytest.approx(estimates["a", 0.5] - estimates["b", 0.5])
        same = table[(table["model_1"] == "a") & (table["model_2"] == "c")]
        assert same["p_value"].tolist() == [1, 1]
        turned = result.compare([("b", "a")], adjust="none")
        assert turned["statistic"].iloc[0] == pytest.approx(-first["statistic"])

    def test_brier(self) -> None:
        data = cohort(300, 6)
        risks = {"right": data["risk"], "half": np.full(300, 0.5)}
        table = time_dependent_brier(data["time"], data["event"], risks, times=1).compare()
        assert table["measure"].tolist() == ["brier_difference"]
        assert table["conf_high"][0] < 0

    def test_refused(self) -> None:
        data = cohort(50, 1)
        result = time_dependent_auc(data["time"], data["event"], {"a": data["x"]}, times=0.5)
        with pytest.raises(ArgumentError, match="pairs of two different models"):
            result.compare()
        with pytest.raises(ArgumentError, match="pairs of two different models"):
            result.compare([("a", "z")])


class TestBadInput:
    time, event, s = (1.0, 2.0, 3.0, 4.0), (1, 0, 1, 0), (0.9, 0.3, 0.6, 0.2)

    def test_refused(self) -> None:
        with pytest.raises(ArgumentError, match=r"after the end of follow-up \(4\); got 5"):
            time_dependent_auc(self.time, self.event, self.s, times=[2, 5])
        with pytest.raises(ArgumentError, match="`times` must be positive"):
            time_dependent_auc(self.time, self.event, self.s, times=0)
        with pytest.raises(ArgumentError, match="none were given"):
            time_dependent_auc(self.time, self.event, self.s, times=[])
        with pytest.raises(ArgumentError, match="holds a time twice"):
            time_dependent_auc(self.time, self.event, self.s, times=[2, 2])
        with pytest.raises(ArgumentError, match="`cases` must be one of 'before', 'by'"):
            time_dependent_auc(self.time, self.event, self.s, times=2, cases="incident")
        with pytest.raises(OutcomeError, match="`event` holds no event"):
            time_dependent_auc(self.time, [0] * 4, self.s, times=2)
        with pytest.raises(OutcomeError, match="must be 0/1 or bool"):
            time_dependent_auc(self.time, [1, 2, 2, 1], self.s, times=2)
        with pytest.raises(OutcomeError, match="`time` must be finite; 1 of 4"):
            time_dependent_auc([1, 2, np.nan, 3], self.event, self.s, times=2)
        with pytest.raises(ArgumentError, match="`s` holds no model"):
            time_dependent_auc(self.time, self.event, {}, times=2)
        with pytest.raises(PairingError, match="`time` has 4, `model` has 3"):
            time_dependent_auc(self.time, self.event, [1, 2, 3], times=2)
        with pytest.raises(PairingError, match=r"one column for each of the 2 `times`"):
            time_dependent_brier(self.time, self.event, self.s, times=[2, 3])
        with pytest.raises(RiskError, match=r"`ours` must lie in \[0, 1\]"):
            time_dependent_brier(self.time, self.event, {"ours": [5, 3, 6, 2]}, times=2)
        with pytest.raises(PairingError, match="`cluster` has 1 missing"):
            time_dependent_brier(self.time, self.event, self.s, times=2, cluster=[1, 1, None, 2])

    def test_nobody_left(self) -> None:
        with pytest.warns(SmallSampleWarning, match=r"undefined \(NaN\) at 4"):
            frame = time_dependent_auc(self.time, self.event, self.s, times=4).frame()
        assert frame[["estimate", "std_error", "conf_low"]].isna().all(axis=None)

    def test_constant_score(self) -> None:
        with pytest.warns(SmallSampleWarning, match="`model` ranks nobody"):
            frame = time_dependent_auc(self.time, self.event, [1, 1, 1, 1], times=2).frame()
        assert frame["estimate"][0] == 0.5

    def test_survival_in_place_of_risk(self) -> None:
        data = cohort(300, 1)
        with pytest.warns(DirectionWarning, match="not a survival probability"):
            time_dependent_auc(data["time"], data["event"], 1 - data["risk"], times=1)
        with pytest.warns(DirectionWarning, match=r"`ours` rank patients the wrong way round"):
            time_dependent_brier(data["time"], data["event"], {"ours": 1 - data["risk"]}, times=1)

    def test_frame_and_lists_are_taken(self) -> None:
        expected = time_dependent_brier(self.time, self.event, self.s, times=3).frame()
        table = pd.DataFrame({"r": self.s}, index=[9, 3, 1, 7])
        again = time_dependent_brier(
            list(self.time), [True, False, True, False], table, times=np.float32(3)
        ).frame()
        pd.testing.assert_frame_equal(expected, again)

    def test_text(self) -> None:
        result = time_dependent_auc(self.time, self.event, self.s, times=[2.5, 3.5], cases="by")
        assert repr(result) == (
            "<time-dependent auc of model at 2.5, 3.5; IPCW, cases T <= t; n = 4, events = 2, "
            "unit: case, 95 % intervals>"
        )
        assert "model, t = 2.5: " in result.summary()


def test_cox_model_of_development(timeroc: ReferenceCase) -> None:
    """The columns a Cox model predicts go straight in."""
    data = cohort(400, 12)
    fit = fit_cox("Surv(time, event) ~ x", data)
    times = [0.5, 1.0]
    brier = time_dependent_brier(
        data["time"], data["event"], {"cox": fit.risk(data, times)}, times=times
    )
    assert (brier.frame()["scaled_brier"] > 0.1).all()


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_coverage(clustered: bool) -> None:
    """95 % limits hold the truth in 93 to 97 % of cohorts, by patients where rows share them."""
    big = cohort(1_000_000, 1, censoring=1e9)
    y = (big["time"] < 0.5).to_numpy()
    truth = auc(y, big["x"]).estimate, np.mean((y - (1 - np.exp(-0.5 * np.exp(big["x"])))) ** 2)
    held = []
    for seed in range(500):
        data = cohort(400, seed)
        who = None
        if clustered:
            data = data.loc[data.index.repeat(np.random.default_rng(seed).integers(1, 6, 400))]
            who = data.index.to_numpy()
        risk = -np.expm1(-0.5 * np.exp(data["x"]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = [
                estimate(data["time"], data["event"], risk, times=0.5, cluster=who).frame()
                for estimate in (time_dependent_auc, time_dependent_brier)
            ]
        held.append(
            [f["conf_low"][0] <= t <= f["conf_high"][0] for f, t in zip(found, truth, strict=True)]
        )
    assert (np.abs(np.mean(held, axis=0) - 0.95) <= 0.02).all(), np.mean(held, axis=0)
