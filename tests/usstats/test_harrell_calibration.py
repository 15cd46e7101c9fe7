"""val.prob's indexes, profile and exact limits and groups: against R, and against their laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special, stats
from scipy.interpolate import CubicSpline

from tests.reference import load_case
from usstats._external.meta_analysis import logit_limits
from usstats.calibration import assess_calibration, le_cessie_van_houwelingen, spiegelhalter
from usstats.errors import ArgumentError, OutcomeError, PairingError, RiskError, SmallSampleWarning
from usstats.harrell_calibration import (
    calibration_groups,
    calibration_indexes,
    calibration_limits,
    lowess_curve,
)
from usstats.logistic import LogisticFit, fit_logistic
from usstats.optimism import validate
from usstats.roc import auc

LIMITS = ["conf_low", "conf_high"]


def rows(table):
    return table.set_index("measure")


def simulate(n, seed, slope=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    lp = rng.normal(-0.3, 1.2, n)
    return (rng.random(n) < special.expit(lp)).astype(int), special.expit(slope * lp + shift)


@pytest.fixture(scope="module")
def external():
    case = load_case("calib_external_appx")
    data = case.table()
    return case, data["appendicitis"], data["p"]


@pytest.fixture(scope="module")
def cohort():
    return simulate(400, 3, slope=1.6, shift=-0.3)


# --- values from R -----------------------------------------------------------------------------


def test_indexes_match_val_prob(external):
    # rms::val.prob(p, y)
    case, y, p = external
    table = rows(calibration_indexes(y, p))
    paths = {
        "nagelkerke_r2": "r2",
        "discrimination_index": "D",
        "unreliability_index": "U",
        "quality_index": "Q",
        "brier": "brier",
        "recalibration_intercept": "intercept",
        "calibration_slope": "slope",
        "emax_lowess": "emax_lowess",
        "e90_lowess": "e90_lowess",
        "eavg_lowess": "eavg_lowess",
        "auc": "c_index_binned",
        "dxy": "dxy_binned",
    }
    for measure, path in paths.items():
        case.check(table.loc[measure, "estimate"], f"val_prob.{path}")
    case.check(table.loc["discrimination_index", "statistic"], "val_prob.D_chi2")
    case.check(table.loc["unreliability_index", "statistic"], "val_prob.U_chi2")
    case.check(table.loc["unreliability_index", "p_value"], "val_prob.U_p")
    case.check(table.loc["spiegelhalter", "statistic"], "val_prob.spiegelhalter_z")
    case.check(table.loc["spiegelhalter", "p_value"], "val_prob.spiegelhalter_p")
    case.check(table.loc["log_loss", "estimate"], "basics.log_loss")


def test_sample_and_null_brier_match_r(external):
    case, y, p = external
    case.check(len(y), "basics.n")
    case.check(y.sum(), "basics.events")
    measures = rows(assess_calibration(y, p, min_events=0).frame())["estimate"]
    null = measures["brier"] / (1 - measures["brier_scaled"])
    case.check(null, "basics.brier_null")
    case.check(y.mean(), "basics.observed_mean")
    case.check(y.mean() / measures["oe_ratio"], "basics.expected_mean")


def test_calibration_curves_package_agrees(external):
    # CalibrationCurves::val.prob.ci.2
    case, y, p = external
    table = rows(assess_calibration(y, p, min_events=0).frame())
    case.check(table.loc["calibration_in_the_large", LIMITS], "calibrationcurves.intercept_ci")
    case.check(table.loc["calibration_slope", "estimate"], "calibrationcurves.slope")
    case.check(table.loc["calibration_slope", LIMITS], "calibrationcurves.slope_ci")
    area = auc(y, p)
    case.check(area.estimate, "calibrationcurves.c_index")
    limits = logit_limits(area.estimate, area.std_error, 0.95)
    case.check(limits, "calibrationcurves.c_index_ci_pepe_logit")


def test_exact_limits_of_oe_match_r(external):
    case, y, p = external
    case.check(rows(calibration_limits(y, p)).loc["oe_ratio", LIMITS], "basics.oe_ci_exact_poisson")


def test_profile_limits_are_what_mass_interpolates(external):
    """MASS::confint.glm reads its limits off a spline through a dozen points of the profile."""
    case, y, p = external
    table = rows(calibration_limits(y, p))
    lp = special.logit(p.to_numpy())
    own = sm.GLM(y, np.ones(lp.size), sm.families.Binomial(), offset=lp).fit()
    expected = case.value("basics.citl_profile_ci")
    np.testing.assert_allclose(
        table.loc["calibration_in_the_large", LIMITS].astype(float), expected, atol=1e-5
    )
    expected = case.value("basics.slope_profile_ci")
    np.testing.assert_allclose(
        table.loc["calibration_slope", LIMITS].astype(float), expected, atol=2e-5
    )
    family = sm.families.Binomial()

    def held_intercept(a):
        return stats.bernoulli.logpmf(y, special.expit(lp + a)).sum()

    def held_slope(b):
        return sm.GLM(y, np.ones(lp.size), family, offset=b * lp).fit(tol=1e-13).llf

    both = sm.GLM(y, sm.add_constant(lp), family).fit(tol=1e-13)
    limits = mass_limits(held_intercept, own.params.iloc[0], own.bse.iloc[0])
    case.check(limits, "basics.citl_profile_ci")
    case.check(
        mass_limits(held_slope, both.params.iloc[1], both.bse.iloc[1]), "basics.slope_profile_ci"
    )


def mass_limits(log_likelihood, estimate, error):
    """The profile at MASS's steps, a spline through it, and straight lines between its points."""
    furthest = np.sqrt(stats.chi2.ppf(1 - 0.05 / 4, 1))
    points, z = [estimate], [0.0]
    for sign in (-1, 1):
        for step in range(1, 11):
            points.append(estimate + sign * step * furthest / 5 * error)
            fall = log_likelihood(estimate) - log_likelihood(points[-1])
            z.append(sign * np.sqrt(2 * fall))
            if abs(z[-1]) > furthest:
                break
    order = np.argsort(points)
    points, z = np.array(points)[order], np.array(z)[order]
    fine = np.linspace(points[0], points[-1], 3 * points.size)
    return np.interp(stats.norm.ppf([0.025, 0.975]), CubicSpline(points, z)(fine), fine)


def test_lowess_matches_r():
    case = load_case("calib_smooth_appx")
    data = case.table()
    y, p = data["appendicitis"], data["p"]
    case.check(
        lowess_curve(y, p, at=case.value("lowess_iter0.grid"))["observed"], "lowess_iter0.curve"
    )
    table = rows(calibration_indexes(y, p))["estimate"]
    for measure, path in (("eavg", "ici"), ("e50", "e50"), ("e90", "e90"), ("emax", "emax")):
        case.check(table[f"{measure}_lowess"], f"lowess_iter0.{path}")


def test_groups_match_hmisc_cut2():
    # Hmisc::cut2(p, g = 10)
    case = load_case("calib_hl_appx")
    data = case.table()
    table = calibration_groups(data["appendicitis"], data["p"])
    case.check(table["n"], "hmisc_cut2_deciles.n")
    case.check(table["predicted"], "hmisc_cut2_deciles.mean_p")
    case.check(table["observed"], "hmisc_cut2_deciles.mean_y")


def test_le_cessie_matches_rms():
    # residuals(lrm(...), "gof")
    case = load_case("calib_internal_appx")
    data = case.table()
    formula = f"{case.inputs['outcome']} ~ {' + '.join(case.inputs['predictors'])}"
    fit = fit_logistic(formula, data)
    row = le_cessie_van_houwelingen(fit).iloc[0]
    names = {"sse": "estimate", "expected_h0": "expected", "sd": "std_error"}
    for path, column in {**names, "z": "statistic", "p": "p_value"}.items():
        case.check(row[column], f"lecessie.{path}")


# --- second implementations and laws -------------------------------------------------------------


def test_indexes_are_those_of_internal_validation(cohort):
    """rms::validate and val.prob share D, U and Q on a model's own data."""
    data = pd.DataFrame(dict(zip(("y", "p"), cohort, strict=True)))
    fit = fit_logistic("y ~ logit(p)", data)
    apparent = validate(fit, data, n_boot=5, seed=1).frame().set_index("measure")["apparent"]
    table = rows(calibration_indexes(data["y"], fit.predict(data)))["estimate"]
    for name in ("auc", "dxy", "nagelkerke_r2", "brier", "calibration_slope"):
        assert table[name] == pytest.approx(apparent[name], rel=1e-6)
    for name in ("discrimination_index", "unreliability_index", "quality_index"):
        assert table[name] == pytest.approx(apparent[name], abs=1e-8)


def test_unreliability_is_the_likelihood_ratio_of_recalibration(cohort):
    y, p = cohort
    lp = special.logit(p)
    fit = sm.GLM(y, sm.add_constant(lp), sm.families.Binomial()).fit(tol=1e-14)
    chi2 = 2 * (fit.llf - stats.bernoulli.logpmf(y, p).sum())
    row = rows(calibration_indexes(y, p)).loc["unreliability_index"]
    assert row["statistic"] == pytest.approx(chi2)
    assert row["p_value"] == pytest.approx(stats.chi2.sf(chi2, 2))
    repaired = special.expit(fit.predict(which="linear"))
    again = rows(calibration_indexes(y, repaired)).loc["unreliability_index"]
    assert again["statistic"] == pytest.approx(0, abs=1e-8)
    assert again["estimate"] == pytest.approx(-2 / y.size)


def test_profile_limits_solve_their_equation(cohort):
    y, p = cohort
    lp = special.logit(p)
    table = rows(calibration_limits(y, p, conf_level=0.9))
    half = stats.chi2.ppf(0.9, 1)
    best = sm.GLM(y, sm.add_constant(lp), sm.families.Binomial()).fit(tol=1e-14).llf
    for end in LIMITS:
        offset = table.loc["calibration_slope", end] * lp
        held = sm.GLM(y, np.ones(lp.size), sm.families.Binomial(), offset=offset).fit(tol=1e-14)
        assert 2 * (best - held.llf) == pytest.approx(half, rel=1e-7)
    wald = rows(assess_calibration(y, p, conf_level=0.9).frame())
    for name in ("calibration_slope", "calibration_in_the_large", "oe_ratio"):
        assert table.loc[name, "estimate"] == pytest.approx(wald.loc[name, "estimate"])
        ends = [frame.loc[name, end] for frame in (table, wald) for end in LIMITS]
        np.testing.assert_allclose(ends[:2], ends[2:], atol=0.08)


def test_poisson_limits_hold_their_tails(cohort):
    y, p = cohort
    row = rows(calibration_limits(y, p)).loc["oe_ratio"]
    low, high = (row[end] * p.sum() for end in LIMITS)
    assert stats.poisson.sf(y.sum() - 1, low) == pytest.approx(0.025)
    assert stats.poisson.cdf(y.sum(), high) == pytest.approx(0.025)


def test_lowess_without_variation_or_outside_the_range(cohort):
    y, p = cohort
    assert lowess_curve(y, np.full(400, 0.3), at=[0.3])["observed"][0] == pytest.approx(y.mean())
    table = lowess_curve(y, p, at=[p.min() / 2, 0.5])
    assert np.isnan(table.loc[0, "observed"])
    assert 0 < table.loc[1, "observed"] < 1
    assert (lowess_curve(y, p)["predicted"].diff().dropna() > 0).all()


@pytest.mark.parametrize("g", [2, 5, 10, 50])
def test_groups_are_disjoint_and_complete(cohort, g):
    y, p = cohort
    rounded = p.round(2)
    table = calibration_groups(y, rounded, g=g)
    assert table["n"].sum() == 400
    assert table["n_event"].sum() == y.sum()
    assert (table["risk_low"].to_numpy()[1:] > table["risk_high"].to_numpy()[:-1]).all()
    assert (table["n"] @ table["predicted"]) == pytest.approx(rounded.sum())
    assert table["observed"].between(table["conf_low"], table["conf_high"]).all()
    assert len(table) <= g


@pytest.mark.slow
def test_le_cessie_keeps_its_level():
    """Not rejected under the true model; rejected where curvature was left out."""
    rejected = {"x": [], "x + w": []}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=400)
        data = pd.DataFrame({"x": x, "w": x**2})
        data["y"] = (rng.random(400) < special.expit(0.7 * x + 0.9 * (x**2 - 1))).astype(int)
        for terms, found in rejected.items():
            test = le_cessie_van_houwelingen(fit_logistic(f"y ~ {terms}", data))
            found.append(test["p_value"].iloc[0] < 0.05)
    assert 0.02 <= np.mean(rejected["x + w"]) <= 0.08
    assert np.mean(rejected["x"]) > 0.5


def test_le_cessie_reads_a_model_from_a_file(tmp_path):
    data = pd.DataFrame(dict(zip(("y", "p"), simulate(150, 2), strict=True)))
    fit = fit_logistic("y ~ p", data)
    fit.to_json(tmp_path / "m.json")
    again = LogisticFit.from_json(tmp_path / "m.json")
    first, second = le_cessie_van_houwelingen(fit), le_cessie_van_houwelingen(again, data=data)
    pd.testing.assert_frame_equal(first, second)
    with pytest.raises(ArgumentError, match="read from a file; pass its development table"):
        le_cessie_van_houwelingen(again)
    with pytest.raises(ArgumentError, match="`data` has 100 rows; the model was fitted to 150"):
        le_cessie_van_houwelingen(again, data=data[:100])


def test_le_cessie_needs_plain_maximum_likelihood(cohort):
    data = pd.DataFrame(dict(zip(("y", "p"), cohort, strict=True))).assign(w=2.0)
    for fit in (fit_logistic("y ~ p", data, method="ridge", penalty=1), "model"):
        with pytest.raises(ArgumentError, match="must be a maximum-likelihood LogisticFit"):
            le_cessie_van_houwelingen(fit)
    with pytest.raises(ArgumentError, match="no case weights"):
        le_cessie_van_houwelingen(fit_logistic("y ~ p", data, weights="w"))


# --- what cannot be computed ------------------------------------------------------------------


@pytest.mark.parametrize("p", [np.full(60, 0.3), np.tile([0.2, 0.4], 30)])
def test_without_a_slope_the_rest_remains(p):
    y = np.tile([0, 1], 30)
    with pytest.warns(SmallSampleWarning, match="calibration slope does not exist"):
        table = rows(calibration_indexes(y, p))["estimate"]
    gone = ["unreliability_index", "quality_index", "calibration_slope", "recalibration_intercept"]
    assert table[gone].isna().all()
    assert np.isfinite(table.drop([*gone, "spiegelhalter"])).all()
    with pytest.warns(SmallSampleWarning, match="equal or separating risks"):
        limits = rows(calibration_limits(y, p))
    assert np.isnan(limits.loc["calibration_slope", "estimate"])
    assert np.isfinite(limits.loc["calibration_in_the_large", "conf_low"])


@pytest.mark.parametrize(
    "function", [calibration_indexes, calibration_limits, calibration_groups, lowess_curve]
)
@pytest.mark.parametrize(
    ("y", "p", "error", "message"),
    [
        ([1, 1], [0.1, 0.2], OutcomeError, "holds only events"),
        ([0, 1], [0.1, 1.7], RiskError, r"`p` must lie in \[0, 1\]"),
        ([0, 1], [0.1, np.nan], RiskError, "must be finite"),
        ([0, 1], [0.1], PairingError, "`p` has 1"),
    ],
)
def test_bad_input_is_refused(function, y, p, error, message):
    with pytest.raises(error, match=message):
        function(y, p)


@pytest.mark.parametrize("g", [1, 2.5, True, "ten"])
def test_groups_need_a_number(cohort, g):
    with pytest.raises(ArgumentError, match="`g` must be a whole number"):
        calibration_groups(*cohort, g=g)


def test_spiegelhalter_stands_in_the_table_too(cohort):
    table = rows(calibration_indexes(*cohort))
    assert table.loc["spiegelhalter", "statistic"] == spiegelhalter(*cohort)["statistic"].iloc[0]
