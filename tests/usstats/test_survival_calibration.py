"""Calibration at a horizon: against Kaplan-Meier by hand, lifelines on a spline, known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from tests.usstats.survival_data import cohort
from usstats.errors import (
    ArgumentError,
    DirectionWarning,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
    UsstatsWarning,
)
from usstats.product_limit import kaplan_meier
from usstats.splines import harrell_knots, rcs_basis
from usstats.survival_calibration import SurvivalCalibration, assess_calibration_survival


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return cohort(600, 21, effect=0.7)


@pytest.fixture(scope="module")
def result(data: pd.DataFrame) -> SurvivalCalibration:
    return assess_calibration_survival(data["time"], data["event"], data["risk"], horizon=1)


def estimates(calibration: SurvivalCalibration) -> pd.Series:
    return calibration.frame().set_index("measure")["estimate"]


class TestSecondImplementation:
    def test_curve_is_a_cox_model_on_a_spline(self, data, result: SurvivalCalibration) -> None:
        """lifelines on the same spline columns, its Breslow hazard, and the distances by hand."""
        cloglog = np.log(-np.log(1 - data["risk"].to_numpy()))
        basis = rcs_basis(cloglog, harrell_knots(cloglog, 3))
        table = pd.DataFrame({"a": basis[:, 0], "b": basis[:, 1], **data[["time", "event"]]})
        theirs = CoxPHFitter().fit(table, "time", "event", fit_options={"precision": 1e-12})
        # lifelines interpolates between the steps of its curve: ask at the last step
        step = table.loc[(table["time"] <= 1) & (table["event"] == 1), "time"].max()
        observed = 1 - theirs.predict_survival_function(table, times=[step]).to_numpy()[0]
        np.testing.assert_allclose(
            result.curve(data["risk"])["observed"], observed, rtol=2e-4, atol=2e-4
        )
        gap = np.abs(observed - data["risk"])
        found = estimates(result)
        assert found["ici"] == pytest.approx(gap.mean(), abs=2e-4)
        assert found["e50"] == pytest.approx(np.median(gap), abs=2e-4)
        assert found["e90"] == pytest.approx(np.quantile(gap, 0.9), abs=2e-4)
        assert found["emax"] == pytest.approx(gap.max(), abs=2e-4)

    def test_slope(self, data, result: SurvivalCalibration) -> None:
        table = data[["time", "event"]].assign(c=np.log(-np.log(1 - data["risk"])))
        fit = CoxPHFitter().fit(table, "time", "event", fit_options={"precision": 1e-12})
        theirs = fit.summary.loc["c"]
        row = result.frame().set_index("measure").loc["calibration_slope"]
        assert row["estimate"] == pytest.approx(theirs["coef"], rel=1e-4)
        assert row["std_error"] == pytest.approx(theirs["se(coef)"], rel=1e-4)

    def test_observed_over_expected(self, data, result: SurvivalCalibration) -> None:
        km = kaplan_meier(data["time"], data["event"], times=1).frame().iloc[0]
        row = result.frame().set_index("measure").loc["oe_ratio"]
        ratio = (1 - km["estimate"]) / data["risk"].mean()
        assert row["estimate"] == pytest.approx(ratio)
        half = 1.959964 * km["std_error"] / (1 - km["estimate"])
        assert row["conf_low"] == pytest.approx(ratio * np.exp(-half), rel=1e-6)
        assert row["conf_high"] == pytest.approx(ratio * np.exp(half), rel=1e-6)

    def test_groups(self, data, result: SurvivalCalibration) -> None:
        groups = result.groups()
        cut = pd.qcut(data["risk"], 10, labels=False)
        assert groups["n"].tolist() == [60] * 10
        for g, part in data.groupby(cut):
            row = groups.iloc[int(g)]
            at = min(1.0, part["time"].max())
            km = kaplan_meier(part["time"], part["event"], times=at).frame().iloc[0]
            assert row["predicted"] == pytest.approx(part["risk"].mean())
            assert row["observed"] == pytest.approx(1 - km["estimate"])
            assert row["conf_low"] == pytest.approx(1 - km["conf_high"], nan_ok=True)
            assert row["conf_high"] == pytest.approx(1 - km["conf_low"], nan_ok=True)


class TestTruth:
    def test_right_risks(self) -> None:
        big = cohort(20_000, 3, effect=0.5)
        found = assess_calibration_survival(big["time"], big["event"], big["risk"], horizon=1)
        values = estimates(found)
        assert values["oe_ratio"] == pytest.approx(1, abs=0.03)
        assert values["calibration_slope"] == pytest.approx(1, abs=0.05)
        assert values["ici"] < 0.01
        curve = found.curve()
        assert (np.abs(curve["observed"] - curve["predicted"]) < 0.03).all()

    @pytest.mark.parametrize(("times", "expected"), [(2.0, 0.5), (0.5, 2.0)])
    def test_slope_of_stretched_predictions(self, times: float, expected: float) -> None:
        """The linear predictor times 2 has slope 1/2."""
        big = cohort(5000, 4, effect=0.4)
        risk = -np.expm1(-np.exp(times * 0.4 * big["x"]))
        found = assess_calibration_survival(big["time"], big["event"], risk, horizon=1)
        assert estimates(found)["calibration_slope"] == pytest.approx(expected, rel=0.08)

    def test_risks_too_low_by_half(self) -> None:
        big = cohort(5000, 5)
        found = assess_calibration_survival(big["time"], big["event"], big["risk"] / 2, horizon=1)
        assert estimates(found)["oe_ratio"] == pytest.approx(2, rel=0.05)
        expected = (big["risk"] / 2).mean()
        assert estimates(found)["ici"] == pytest.approx(expected, rel=0.1)

    @pytest.mark.slow
    def test_coverage(self) -> None:
        """Limits of O:E, slope and of the curve at 0.6 hold the truth in 93 to 97 %."""
        held = []
        for seed in range(400):
            d = cohort(400, seed, effect=0.5)
            found = assess_calibration_survival(d["time"], d["event"], d["risk"], horizon=1)
            rows = found.frame().set_index("measure").loc[["oe_ratio", "calibration_slope"]]
            at = found.curve([0.6])
            held.append(
                [
                    *((rows["conf_low"] <= 1) & (rows["conf_high"] >= 1)),
                    at["conf_low"][0] <= 0.6 <= at["conf_high"][0],
                ]
            )
        # O:E takes the predictions as given, so their spread makes its interval a little narrow
        assert (np.abs(np.mean(held, axis=0) - 0.95) <= [0.05, 0.02, 0.02]).all()


class TestLaws:
    def test_unit_of_time(self, data, result: SurvivalCalibration) -> None:
        days = assess_calibration_survival(
            data["time"] * 365, data["event"], data["risk"], horizon=365
        )
        pd.testing.assert_frame_equal(days.frame(), result.frame())
        pd.testing.assert_frame_equal(days.groups(), result.groups())

    def test_clusters(self, data, result: SurvivalCalibration) -> None:
        """Copies of patients within their cluster change no estimate and hardly an error."""
        who = np.tile(np.arange(600), 2)
        twice = pd.concat([data, data], ignore_index=True)
        found = assess_calibration_survival(
            twice["time"], twice["event"], twice["risk"], horizon=1, cluster=who
        )
        np.testing.assert_allclose(estimates(found)[:2], estimates(result)[:2], rtol=5e-3)
        np.testing.assert_allclose(
            found.frame()["std_error"][:2], result.frame()["std_error"][:2], rtol=0.15
        )
        assert found.frame()["n_cluster"][0] == 600

    def test_bootstrap(self, data) -> None:
        options = {"horizon": 1, "n_boot": 40, "seed": 5}
        first, second = (
            assess_calibration_survival(data["time"], data["event"], data["risk"], **options)
            for _ in range(2)
        )
        pd.testing.assert_frame_equal(first.frame(), second.frame())
        row = first.frame().set_index("measure").loc["ici"]
        assert row["conf_low"] <= row["conf_high"]
        assert row["n_boot"] == 40
        assert row["n_failed"] == 0
        assert row["seed"] == 5

    def test_curve_ends_with_the_data(self, data, result: SurvivalCalibration) -> None:
        curve = result.curve([0.0, 0.5, 1.0])
        assert curve["observed"].isna().tolist() == [True, False, True]
        assert curve["conf_low"][1] < curve["observed"][1] < curve["conf_high"][1]


class TestWithheld:
    def test_few_events(self, data) -> None:
        part = data.head(100)
        with pytest.warns(SmallSampleWarning, match="events by the horizon, fewer than 100"):
            found = assess_calibration_survival(
                part["time"], part["event"], part["risk"], horizon=1
            )
        assert "min_events=0" in str(found.withheld)
        assert np.isnan(estimates(found)["ici"])
        assert np.isfinite(estimates(found)["oe_ratio"])
        assert found.curve()["observed"].isna().all()
        drawn = assess_calibration_survival(
            part["time"], part["event"], part["risk"], horizon=1, min_events=0
        )
        assert np.isfinite(estimates(drawn)["ici"])

    def test_patients_are_counted(self, data) -> None:
        who = np.arange(600) // 10
        with pytest.warns(SmallSampleWarning, match="patients with an event by the horizon"):
            assess_calibration_survival(
                data["time"], data["event"], data["risk"], horizon=1, cluster=who
            )

    def test_constant_risk(self, data) -> None:
        with (
            pytest.warns(SmallSampleWarning, match="calibration slope does not exist"),
            pytest.warns(SmallSampleWarning, match="curve is withheld"),
        ):
            found = assess_calibration_survival(
                data["time"], data["event"], np.full(600, 0.4), horizon=1
            )
        assert len(found.groups()) == 1
        assert np.isnan(estimates(found)["calibration_slope"])

    def test_group_whose_follow_up_ends_early(self) -> None:
        """Its Kaplan-Meier risk at the horizon is not known."""
        d = cohort(400, 7)
        low = d["risk"] < d["risk"].median()
        time = d["time"].where(~low, d["time"].clip(upper=0.5))
        event = d["event"].where(~low | (d["time"] < 0.5), 0)
        found = assess_calibration_survival(time, event, d["risk"], horizon=1, n_groups=2)
        assert found.groups()["observed"].isna().tolist() == [True, False]


class TestBadInput:
    def test_refused(self, data) -> None:
        time, event, risk = data["time"], data["event"], data["risk"]
        call = assess_calibration_survival
        with pytest.raises(ArgumentError, match="`horizon` must be positive and not after"):
            call(time, event, risk, horizon=1e3)
        with pytest.raises(OutcomeError, match="No event happens by the horizon"):
            call(time + 1, event, risk, horizon=0.5)
        with pytest.raises(RiskError, match=r"`risk` must lie in \[0, 1\].*divide by 100"):
            call(time, event, risk * 100, horizon=1)
        with pytest.raises(PairingError, match="`time` has 600, `risk` has 599"):
            call(time, event, risk[1:], horizon=1)
        with pytest.raises(ArgumentError, match="`n_groups` must be a whole number"):
            call(time, event, risk, horizon=1, n_groups=1)
        with pytest.raises(ArgumentError, match="`n_knots` must be one of 3, 4, 5"):
            call(time, event, risk, horizon=1, n_knots=9)
        with pytest.raises(ArgumentError, match="`min_events` must be 0 or more"):
            call(time, event, risk, horizon=1, min_events=-1)
        with pytest.raises(OutcomeError, match="`time` must not be negative"):
            call(-time, event, risk, horizon=1)

    def test_survival_in_place_of_risk(self, data) -> None:
        with pytest.warns(DirectionWarning, match=r"A risk is 1 - S\(horizon\)"):
            assess_calibration_survival(data["time"], data["event"], 1 - data["risk"], horizon=1)

    def test_risks_at_the_bounds(self, data) -> None:
        risk = data["risk"].to_numpy().copy()
        risk[np.argmin(risk)] = 0
        with pytest.warns(UsstatsWarning, match="1 of 600 risks lie within 1e-08 of 0 or 1"):
            found = assess_calibration_survival(data["time"], data["event"], risk, horizon=1)
        assert found.clipped == 1

    def test_text(self, result: SurvivalCalibration) -> None:
        assert repr(result).startswith("<SurvivalCalibration at 1: O:E ")
        assert "calibration_slope: " in result.summary()
