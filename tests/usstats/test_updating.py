"""Updating against statsmodels and against its own laws; the level of the closed test."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, special, stats

from usstats._imputing.tables import impute
from usstats._updating.closed_test import new_intercept, new_slope
from usstats._updating.covariance import jacobian
from usstats.calibration import assess_calibration
from usstats.errors import (
    ArgumentError,
    DesignError,
    FitError,
    MissingDataError,
    OutcomeError,
    SeparationError,
    SmallSampleWarning,
)
from usstats.external import evaluate
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram
from usstats.pooled_fit import fit_imputed
from usstats.updating import update_model

FORMULA = "y ~ rcs(x, 3) + z + g"
NEW_WORLDS = {
    "none": {},
    "intercept": {"shift": 0.9},
    "slope": {"shift": 0.3, "slope": 0.45},
    "refit": {"turn": 0.9},
}


def patients(n, seed, *, shift=0.0, slope=1.0, turn=0.0):
    """`turn` swaps the importance of x and z, which no recalibration can mend."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    g = rng.integers(0, 3, n)
    lp = -0.4 + x + 0.6 * z + 0.5 * (g == 2)
    y = rng.random(n) < special.expit(shift + slope * lp + turn * (z - x))
    return pd.DataFrame({"y": y.astype(int), "x": x, "z": z, "g": np.array(list("abc"))[g]})


@pytest.fixture(scope="module")
def fit():
    return fit_logistic(FORMULA, patients(600, 1))


@pytest.fixture(scope="module")
def new():
    return patients(500, 2, shift=0.8, slope=0.7)


def by_method(updated):
    return updated.frame().set_index("method")


# --- against other implementations ------------------------------------------------------------


def test_the_ladder_matches_statsmodels(fit, new):
    lp, y = fit.linear_predictor(new), new["y"]
    family = sm.families.Binomial()
    shift = sm.GLM(y, np.ones(500), family, offset=lp).fit(tol=1e-14)
    slope = sm.GLM(y, sm.add_constant(lp), family).fit(tol=1e-14)
    whole = sm.GLM(y, fit.spec.matrix(new), family).fit(tol=1e-14)
    as_it_is = stats.bernoulli.logpmf(y, special.expit(lp)).sum()
    table = by_method(update_model(fit, new))
    likelihoods = [as_it_is, shift.llf, slope.llf, whole.llf]
    np.testing.assert_allclose(table["log_likelihood"], likelihoods, rtol=1e-10)
    assert table.loc["intercept", "intercept"] == pytest.approx(shift.params.iloc[0])
    np.testing.assert_allclose(
        table.loc["slope", ["intercept", "slope"]].astype(float), slope.params
    )
    chi2 = 2 * (whole.llf - np.array(likelihoods[:3]))
    np.testing.assert_allclose(table["statistic"][:3], chi2, rtol=1e-7)
    assert table["df"][:3].tolist() == [6, 5, 4]
    np.testing.assert_allclose(table["p_value"][:3], stats.chi2.sf(chi2, [6, 5, 4]), rtol=1e-6)
    updated = update_model(fit, new, method="slope")
    np.testing.assert_allclose(
        [updated.intercept.std_error, updated.slope.std_error], slope.bse, rtol=1e-6
    )
    np.testing.assert_allclose(
        [updated.slope.conf_low, updated.slope.conf_high], slope.conf_int().iloc[1], rtol=1e-6
    )


def test_clustered_tests_are_wald_tests_with_the_sandwich(fit):
    rng = np.random.default_rng(4)
    data = patients(500, 5, shift=0.6)
    patient = rng.integers(0, 150, 500)
    result = sm.GLM(data["y"], fit.spec.matrix(data), sm.families.Binomial()).fit(
        tol=1e-14, cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False}
    )
    before = fit.params.to_numpy()
    table = by_method(update_model(fit, data, cluster=patient))
    k = before.size
    same = result.wald_test((np.eye(k), before), scalar=True)
    slopes = result.wald_test((np.eye(k)[1:], before[1:]), scalar=True)
    # b_j / b_1 = b0_j / b0_1 for every other slope: a multiple of the original slopes
    multiple = np.zeros((k - 2, k))
    multiple[:, 1] = -before[2:] / before[1]
    multiple[:, 2:] = np.eye(k - 2)
    ratios = result.wald_test(multiple, scalar=True)
    expected = [float(test.statistic) for test in (same, slopes, ratios)]
    np.testing.assert_allclose(table["statistic"][:3], expected, rtol=1e-6)
    assert table["df"][:3].tolist() == [k, k - 1, k - 2]


def test_one_patient_a_row_gives_about_the_same_tests(fit, new):
    plain, own = (by_method(update_model(fit, new, **o)) for o in ({}, {"cluster": new.index}))
    np.testing.assert_allclose(plain["statistic"][:3], own["statistic"][:3], rtol=0.25)


def test_derivatives_match_finite_differences(fit, new):
    X, y, before = fit.spec.matrix(new), new["y"].to_numpy(dtype=float), fit.params.to_numpy()
    for update in (new_intercept, new_slope):

        def coefficients(b, update=update):
            rung = update(X @ b, y, None)
            return rung.intercept * np.eye(b.size)[0] + rung.slope * b

        expected = optimize.approx_fprime(before, coefficients, 1e-6)
        got = jacobian(update(X @ before, y, None), X, y, before)
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)


def test_rescaling_the_original_model_changes_nothing_after_a_slope_update(fit, new):
    X, y, before = fit.spec.matrix(new), new["y"].to_numpy(dtype=float), fit.params.to_numpy()
    J = jacobian(new_slope(X @ before, y, None), X, y, before)
    np.testing.assert_allclose(J @ before, 0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["intercept", "slope"])
def test_the_covariance_is_that_of_repeated_studies(method):
    found, claimed = [], []
    for seed in range(300):
        old = fit_logistic("y ~ x + z", patients(250, 2 * seed))
        data = patients(300, 2 * seed + 1, shift=0.7, slope=0.8)
        updated = update_model(old, data, method=method)
        found.append(updated.params.to_numpy())
        claimed.append(np.diag(updated.covariance))
    ratio = np.sqrt(np.mean(claimed, axis=0)) / np.std(found, axis=0)
    assert (ratio > 0.9).all()
    assert (ratio < 1.12).all()


# --- laws ----------------------------------------------------------------------------------------


def test_none_leaves_every_bit_as_it_was(fit, new):
    updated = update_model(fit, new, method="none")
    assert (updated.predict(new) == fit.predict(new)).all()
    assert updated.covariance.equals(fit.covariance)
    assert (updated.intercept.estimate, updated.slope.estimate) == (0.0, 1.0)
    assert updated.intercept.method == "kept"
    assert updated.n == 500


def test_a_new_intercept_makes_the_mean_risk_the_observed_share(fit, new):
    updated = update_model(fit, new, method="intercept")
    assert updated.predict(new).mean() == pytest.approx(new["y"].mean(), abs=1e-12)
    assert updated.params[1:].equals(fit.params[1:])
    gap = updated.linear_predictor(new) - fit.linear_predictor(new)
    np.testing.assert_allclose(gap, updated.intercept.estimate, atol=1e-12)


def test_a_new_slope_recalibrates(fit, new):
    updated = update_model(fit, new, method="slope")
    rows = assess_calibration(new["y"], updated.predict(new)).frame().set_index("measure")
    assert rows.loc["calibration_slope", "estimate"] == pytest.approx(1, abs=1e-8)
    assert rows.loc["recalibration_intercept", "estimate"] == pytest.approx(0, abs=1e-8)
    assert rows.loc["calibration_in_the_large", "estimate"] == pytest.approx(0, abs=1e-8)
    ratio = updated.params[1:] / fit.params[1:]
    np.testing.assert_allclose(ratio, updated.slope.estimate)
    np.testing.assert_allclose(
        fit.spec.matrix(new) @ updated.params.to_numpy(), updated.linear_predictor(new)
    )


def test_a_refit_is_the_fit_with_the_old_knots(fit, new):
    updated = update_model(fit, new, method="refit")
    again = fit_logistic(fit.spec, new)
    assert updated.params.equals(again.params)
    assert updated.covariance.equals(again.covariance)
    knots = [term.knots for term in updated.spec.terms]
    assert knots == [term.knots for term in fit.spec.terms]
    assert np.isnan([updated.intercept.estimate, updated.slope.estimate]).all()


def test_updating_with_development_data_changes_nothing(fit):
    data = patients(600, 1)
    updated = update_model(fit, data)
    assert updated.method == "none"
    table = by_method(updated)
    np.testing.assert_allclose(table["statistic"][:3], 0, atol=1e-8)
    np.testing.assert_allclose(table["slope"][:3], 1, atol=1e-8)
    assert update_model(fit, data, method="slope").slope.estimate == pytest.approx(1)


def test_likelihood_climbs_the_ladder(fit, new):
    values = by_method(update_model(fit, new))["log_likelihood"]
    assert values.is_monotonic_increasing
    assert update_model(fit, new, method="slope").log_likelihood == values["slope"]


@pytest.mark.parametrize("world", NEW_WORLDS)
def test_auto_finds_what_the_new_patients_need(fit, world):
    updated = update_model(fit, patients(1500, 9, **NEW_WORLDS[world]))
    assert updated.method == world
    table = by_method(updated)
    assert table["chosen"].tolist() == [name == world for name in table.index]
    assert updated.requested == "auto"
    assert f"closed test at 0.05; n = 1500, events = {updated.n_event}, unit: row" in repr(updated)
    assert "\n" not in repr(updated)
    assert "none against refit: chi-square" in updated.summary()


@pytest.mark.parametrize("world", NEW_WORLDS)
def test_auto_is_the_first_rung_that_is_not_rejected(fit, world):
    for seed in range(5):
        updated = update_model(fit, patients(500, seed, **NEW_WORLDS[world]), significance=0.2)
        table = by_method(updated).drop(index="refit")
        passed = table.index[table["p_value"] >= 0.2].tolist()
        assert updated.method == ([*passed, "refit"])[0]


def test_a_single_slope_leaves_nothing_to_test_against():
    single = fit_logistic("y ~ x", patients(400, 3))
    updated = update_model(single, patients(800, 4, slope=0.3, shift=1))
    table = by_method(updated)
    assert updated.method == "slope"
    assert table["df"].tolist() == [2, 1, 0, 0]
    assert table.loc["slope", "p_value"] == 1
    refit = update_model(single, patients(800, 4, slope=0.3, shift=1), method="refit")
    np.testing.assert_allclose(refit.params, updated.params, rtol=1e-6)


def test_updating_twice_is_updating_once(fit, new):
    once = update_model(fit, new, method="slope")
    twice = update_model(once, new, method="slope")
    np.testing.assert_allclose(twice.params, once.params, rtol=1e-6)
    assert twice.slope.estimate == pytest.approx(1)
    assert twice.original is once.model


def test_tests_survive_covariates_far_from_zero():
    """The same statistics at x + 1e7 and x * 1e12."""
    tables = []
    for add, times in ((0, 1), (1e7, 1), (0, 1e12)):
        old, later = (patients(500, s, shift=0.3 * s) for s in (1, 2))
        data = [d.assign(x=d["x"] * times + add) for d in (old, later)]
        tables.append(by_method(update_model(fit_logistic("y ~ x + z", data[0]), data[1])))
    for table in tables[1:]:
        np.testing.assert_allclose(table["statistic"][:3], tables[0]["statistic"][:3], rtol=1e-5)
        assert table["chosen"].tolist() == tables[0]["chosen"].tolist()


@pytest.mark.slow
def test_the_closed_test_keeps_its_level():
    """The truth is the original model: it is kept in 95 % of samples; where only the intercept
    moved, no more than that is changed in 95 %."""
    truth = fit_logistic("y ~ x + z + g", patients(200_000, 77))
    chosen = {}
    for name, world in (("none", {}), ("intercept", {"shift": 1.0})):
        made = [
            update_model(truth, patients(400, 1000 + seed, **world)).method for seed in range(600)
        ]
        chosen[name] = pd.Series(made).value_counts(normalize=True)
    assert 0.03 <= 1 - chosen["none"]["none"] <= 0.075
    assert 0.03 <= chosen["intercept"][["slope", "refit"]].sum() <= 0.075
    assert chosen["intercept"].get("none", 0) < 0.01


# --- it is a fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "intercept", "slope", "refit"])
def test_an_updated_model_can_be_drawn_written_and_evaluated(fit, new, tmp_path, method):
    updated = update_model(fit, new, method=method)
    nomogram = build_nomogram(updated)
    np.testing.assert_allclose(nomogram.read(new)["risk"], updated.predict(new), rtol=1e-10)
    updated.to_json(tmp_path / "model.json")
    again = LogisticFit.from_json(tmp_path / "model.json")
    assert (again.predict(new) == updated.predict(new)).all()
    assert updated.coefficients()["term"].tolist() == updated.params.index.tolist()
    assert len(updated.odds_ratios("iqr"))
    assert 0.5 < updated.indices()["auc"] < 1
    risk = updated.predict_interval(new)
    assert ((risk["conf_low"] < risk["risk"]) & (risk["risk"] < risk["conf_high"])).all()
    result = evaluate(new["y"], updated.predict(new))
    assert result.n == 500


def test_a_pooled_model_is_updated_by_its_pooled_coefficients(new):
    data = patients(400, 6)
    data.loc[:60, "x"] = np.nan
    pooled = fit_imputed("y ~ x + z", impute(data, m=5, seed=1, outcome="y"))
    updated = update_model(pooled, new, method="slope")
    assert updated.original is pooled
    lp = pooled.linear_predictor(new)
    expected = updated.intercept.estimate + updated.slope.estimate * lp
    np.testing.assert_allclose(updated.linear_predictor(new), expected)
    assert build_nomogram(updated).n == 500


@pytest.mark.parametrize("method", ["firth", "flic", "ridge"])
def test_penalised_models_keep_their_slopes_and_lose_their_profile_limits(method):
    old, later = patients(300, 1), patients(300, 2, shift=0.5)
    penalised = fit_logistic("y ~ x + z", old, method=method)
    updated = update_model(penalised, later, method="intercept")
    assert updated.params["x"] == penalised.params["x"]
    table = updated.coefficients()
    assert table["method"].unique().tolist() == [f"{method}, intercept updated"]
    half = table["conf_high"] - table["estimate"]
    np.testing.assert_allclose(half, stats.norm.isf(0.025) * table["std_error"])


def test_a_lasso_model_has_no_standard_errors_after_an_update(new):
    lasso = fit_logistic("y ~ x + z", patients(300, 1), method="lasso", penalty=0.02)
    updated = update_model(lasso, new, method="intercept")
    assert updated.covariance.isna().all(axis=None)
    assert np.isfinite(updated.intercept.std_error)


# --- what cannot be done -------------------------------------------------------------------------


def test_a_refit_of_few_events_is_warned_of(fit):
    small = patients(110, 3)
    with pytest.warns(
        SmallSampleWarning, match=r"shrunk by a factor of about 0\.\d\d \(\d\.\d eve"
    ):
        updated = update_model(fit, small, method="refit")
    assert updated.shrinkage < 0.9
    gained = 2 * (updated.model.log_likelihood - updated.model.null_log_likelihood)
    assert updated.shrinkage == pytest.approx((gained - 5) / gained)


def test_a_handful_of_events_is_warned_of(fit):
    data = patients(300, 3)
    few = pd.concat([data[data["y"] == 1][:6], data[data["y"] == 0]])
    single = fit_logistic("y ~ x", patients(300, 1))
    with pytest.warns(SmallSampleWarning, match="holds 6 events or non-events, fewer than 10"):
        assert update_model(single, few, method="intercept").n_event == 6


def test_separated_data_cannot_be_refitted_but_recalibrated(fit):
    data = patients(200, 3).assign(z=lambda d: np.where(d["y"] == 1, 3, -3) + d["z"].abs() / 9)
    for method in ("auto", "refit"):
        with pytest.raises(SeparationError, match=r"cannot be refitted.*The closed test needs the"):
            update_model(fit, data, method=method)
    with pytest.warns(SmallSampleWarning, match="The refit's row of the table is NaN"):
        updated = update_model(fit, data, method="intercept")
    table = by_method(updated)
    assert table.loc["refit"].drop("chosen")[["log_likelihood"]].isna().all()
    assert table["p_value"].isna().all()
    assert np.isfinite(table.loc["none", "log_likelihood"])


def test_a_level_nobody_has_prevents_the_refit_alone(fit, new):
    data = new[new["g"] != "b"]
    with pytest.raises(DesignError, match=r"cannot be refitted to `data`.*g=b"):
        update_model(fit, data)
    with pytest.warns(SmallSampleWarning, match="g=b"):
        assert update_model(fit, data, method="slope").n == len(data)


def test_a_linear_predictor_that_separates_has_no_slope(fit, new):
    risk = fit.predict(new)
    sharp = new.assign(y=(risk > 0.5).astype(int))
    with pytest.raises(SeparationError):
        update_model(fit, sharp)
    with pytest.raises(SeparationError, match="recalibration slope is infinite"):
        update_model(fit, sharp, method="slope")


def test_equal_risks_have_no_slope(fit, new):
    alike = new.assign(x=0.1, z=0.2, g="a")
    with pytest.raises(FitError, match="the same risk, so a slope cannot be estimated"):
        update_model(fit, alike, method="slope")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "shrink"}, ArgumentError, "`method` must be one of 'auto', 'none'"),
        ({"significance": 5}, ArgumentError, r"`significance` must lie inside \(0, 1\)"),
        ({"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
        ({"missing": "drop"}, ArgumentError, "`missing` must be one of"),
        ({"fit": SimpleNamespace(params=1)}, ArgumentError, "`fit` must be a logistic model"),
        ({"data": patients(50, 1).assign(y=0)}, OutcomeError, "`y` holds only non-events"),
        ({"data": patients(50, 1).drop(columns="x")}, DesignError, "no column `x`"),
        ({"data": patients(50, 1).assign(g="q")}, DesignError, "q"),
        ({"data": [1, 2]}, DesignError, "`data` must be a pandas DataFrame"),
        ({"data": patients(50, 1).assign(z=np.nan)}, MissingDataError, "z"),
        ({"data": None}, ArgumentError, "`data` is missing"),
    ],
)
def test_bad_input_is_refused(fit, change, error, message):
    arguments = {"fit": fit, "data": patients(300, 1)} | change
    with pytest.raises(error, match=message):
        update_model(arguments.pop("fit"), arguments.pop("data"), **arguments)


def test_imputed_tables_are_refused(fit):
    data = patients(80, 6)
    data.loc[:9, "x"] = np.nan
    with pytest.raises(ArgumentError, match="`data` holds imputed tables"):
        update_model(fit, impute(data, m=2, seed=1, outcome="y"))


def test_rows_with_missing_values_can_be_left_out(fit, new):
    holes = new.copy()
    holes.loc[:49, "x"] = np.nan
    updated = update_model(fit, holes, method="intercept", missing="complete_case")
    assert updated.n == 450
    whole = update_model(fit, new[50:], method="intercept")
    assert updated.params.equals(whole.params)


def test_the_table_handed_out_is_a_copy(fit, new):
    updated = update_model(fit, new)
    frame = updated.frame()
    frame["statistic"] = 0
    assert updated.frame().loc[0, "statistic"] > 0
