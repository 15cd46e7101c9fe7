"""Calibration against rms, CalibrationCurves and ResourceSelection, and against its own laws."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special, stats
from scipy.interpolate import CubicHermiteSpline

from tests.reference import load_case
from usstats._calibration.flexible import distances
from usstats._calibration.smoothing import fit_spline
from usstats.calibration import assess_calibration, hosmer_lemeshow, spiegelhalter
from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
    UsstatsWarning,
)

FLEXIBLE = ["ici", "e50", "e90", "emax"]


def measures(calibration):
    return calibration.frame().set_index("measure")


def simulate(n, seed, slope=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    lp = rng.normal(-0.3, 1.2, n)
    return (rng.random(n) < special.expit(lp)).astype(int), special.expit(slope * lp + shift)


@pytest.fixture(scope="module")
def cohort():
    return simulate(500, 3, slope=1.5, shift=-0.2)


@pytest.fixture(scope="module")
def external():
    case = load_case("calib_external_appx")
    return case, case.table()


# --- values from R -----------------------------------------------------------------------------


def test_weak_measures_match_rms(external):
    # glm(y ~ offset(qlogis(p))), glm(y ~ qlogis(p)), rms::val.prob(p, y)
    case, data = external
    rows = measures(assess_calibration(data["appendicitis"], data["p"], min_events=0))
    expected = {
        "calibration_in_the_large": ("basics.citl_intercept", "basics.citl_se"),
        "calibration_slope": ("basics.slope", "basics.slope_se"),
        "recalibration_intercept": ("basics.joint_intercept", "basics.joint_intercept_se"),
    }
    for name, (estimate, std_error) in expected.items():
        case.check(rows.loc[name, "estimate"], estimate)
        case.check(rows.loc[name, "std_error"], std_error)
    case.check(rows.loc["calibration_in_the_large", LIMITS], "basics.citl_wald_ci")
    case.check(rows.loc["calibration_slope", LIMITS], "basics.slope_wald_ci")
    case.check(rows.loc["oe_ratio", "estimate"], "basics.oe_ratio")
    case.check(rows.loc["oe_ratio", LIMITS], "basics.oe_ci")
    case.check(rows.loc["brier", "estimate"], "basics.brier")
    case.check(rows.loc["brier_scaled", "estimate"], "basics.brier_scaled")
    log_error = rows.loc["oe_ratio", "std_error"] / rows.loc["oe_ratio", "estimate"]
    case.check(log_error, "basics.oe_se_log")


LIMITS = ["conf_low", "conf_high"]


def test_recalibration_intercept_is_another_number_than_calibration_in_the_large(external):
    case, data = external
    rows = measures(assess_calibration(data["appendicitis"], data["p"], min_events=0))
    case.check(rows.loc["recalibration_intercept", "estimate"], "val_prob.intercept")
    case.check(rows.loc["calibration_in_the_large", "estimate"], "calibrationcurves.intercept")


def test_loess_distances_match_r():
    case = load_case("calib_smooth_appx")
    data = case.table()
    result = assess_calibration(data["appendicitis"], data["p"], min_events=0)
    for name in FLEXIBLE:
        case.check(measures(result).loc[name, "estimate"], f"loess_direct.{name}")
    grid = case.value("loess_direct.grid")
    case.check(result.curve(grid)["observed"], "loess_direct.curve")
    on_default_grid = result.curve().set_index("predicted")["observed"]
    case.check(on_default_grid[np.round(grid, 2)], "loess_direct.curve")


def test_loess_through_the_vertices_of_a_tree_is_r_default():
    """R's default reads loess off cubics between a few exact local fits."""
    case = load_case("calib_smooth_appx")
    data = case.table()
    y, p = data["appendicitis"].to_numpy(dtype=float), data["p"].to_numpy()
    vertices = tree_vertices(p, most=int(p.size * 0.75 * 0.2))
    value, slope = np.array([local_quadratic(p, y, at) for at in vertices]).T
    curve = assess_calibration(y, p, min_events=0).curve(vertices[1:-1])
    np.testing.assert_allclose(value[1:-1], curve["observed"], rtol=1e-8)
    blended = CubicHermiteSpline(vertices, value, slope)
    case.check(blended(case.value("loess_interpolate.grid")), "loess_interpolate.curve")
    for name, got in zip(FLEXIBLE, distances(p, blended(p)), strict=True):
        case.check(got, f"loess_interpolate.{name}")


def local_quadratic(x, y, at):
    """Value and slope of the tricube-weighted parabola at one point, by least squares."""
    gap = np.abs(x - at)
    reach = np.sort(gap)[int(x.size * 0.75) - 1]
    root = np.clip(1 - (gap / reach) ** 3, 0, None) ** 1.5
    powers = np.vander(x - at, 3, increasing=True)
    return np.linalg.lstsq(powers * root[:, None], y * root, rcond=None)[0][:2]


def tree_vertices(x, most):
    """Cell borders: halved at the median until a cell holds no more than `most` points."""
    x = np.sort(x)
    margin = 0.005 * np.ptp(x)
    borders = [x[0] - margin, x[-1] + margin]

    def halve(first, last):
        if last - first + 1 > most:
            middle = (first + last) // 2
            borders.append((x[middle] + x[middle + 1]) / 2)
            halve(first, middle)
            halve(middle + 1, last)

    halve(0, x.size - 1)
    return np.sort(borders)


@pytest.mark.parametrize("n_knots", [3, 4, 5])
def test_spline_distances_match_r(n_knots):
    case = load_case("calib_smooth_appx")
    data = case.table()
    result = assess_calibration(
        data["appendicitis"], data["p"], smoother="rcs", n_knots=n_knots, min_events=0
    )
    for name in FLEXIBLE:
        case.check(measures(result).loc[name, "estimate"], f"rcs{n_knots}_logit.{name}")
    fitted = fit_spline(data["p"], data["appendicitis"], n_knots=n_knots)
    case.check(fitted.knots, f"rcs{n_knots}_logit.knots")
    case.check(fitted.params, f"rcs{n_knots}_logit.coef")


@pytest.mark.parametrize("g", [5, 10])
def test_hosmer_lemeshow_matches_resource_selection(g):
    case = load_case("calib_hl_appx")
    data = case.table()
    internal = hosmer_lemeshow(data["appendicitis"], data["p"], g=g, internal=True)
    external = hosmer_lemeshow(data["appendicitis"], data["p"], g=g, internal=False)
    case.check(internal.statistic, f"g{g}.chi2")
    case.check(internal.df, f"g{g}.df_internal")
    case.check(internal.p_value, f"g{g}.p_internal")
    case.check(external.p_value, f"g{g}.p_df_g")
    groups = internal.groups()
    case.check(groups["observed"], f"g{g}.observed1")
    case.check(groups["expected"], f"g{g}.expected1")
    case.check(groups["n"], f"g{g}.n")
    case.check(len(groups), f"g{g}.groups")
    assert r_labels(groups) == case.expected[f"g{g}"]["bins"]


def r_labels(groups):
    """The names R's `cut` gives: three significant digits, the first interval closed."""
    edges = [f"{edge:.3g}" for edge in [groups["risk_low"].iloc[0], *groups["risk_high"]]]
    return [f"{'(' if i else '['}{a},{b}]" for i, (a, b) in enumerate(pairwise(edges))]


def test_tests_of_fit_match_r_on_a_models_own_data():
    case = load_case("calib_internal_appx")
    data = case.table()
    design = sm.add_constant(data[case.inputs["predictors"]])
    p = sm.GLM(data["appendicitis"], design, sm.families.Binomial()).fit().predict()
    test = hosmer_lemeshow(data["appendicitis"], p, internal=True)
    case.check(test.statistic, "hl.g10.chi2")
    case.check(test.df, "hl.g10.df_internal")
    case.check(test.p_value, "hl.g10.p_internal")
    case.check(hosmer_lemeshow(data["appendicitis"], p, internal=False).p_value, "hl.g10.p_df_g")
    groups = test.groups()
    case.check(len(groups), "hl.g10.groups")
    case.check(groups["observed"], "hl.g10.observed1")
    case.check(groups["expected"], "hl.g10.expected1")
    case.check(groups["n"], "hl.g10.n")
    assert r_labels(groups) == case.expected["hl"]["g10"]["bins"]
    case.check(spiegelhalter(data["appendicitis"], p)["statistic"].iloc[0], "spiegelhalter_z")


def test_spiegelhalter_matches_val_prob(external):
    case, data = external
    row = spiegelhalter(data["appendicitis"], data["p"]).iloc[0]
    case.check(row["statistic"], "val_prob.spiegelhalter_z")
    case.check(row["p_value"], "val_prob.spiegelhalter_p")


# --- laws ----------------------------------------------------------------------------------------


def test_recalibrated_risks_have_intercept_0_and_slope_1(cohort):
    y, p = cohort
    rows = measures(assess_calibration(y, p))["estimate"]
    repaired = special.expit(
        rows["recalibration_intercept"] + rows["calibration_slope"] * special.logit(p)
    )
    again = measures(assess_calibration(y, repaired))["estimate"]
    assert again["calibration_slope"] == pytest.approx(1, abs=1e-8)
    assert again["calibration_in_the_large"] == pytest.approx(0, abs=1e-8)
    assert again["oe_ratio"] == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("constant", [-1.0, 0.4, 2.0])
def test_a_constant_on_the_logit_shifts_the_intercept_by_minus_itself(cohort, constant):
    y, p = cohort
    before = measures(assess_calibration(y, p))["estimate"]
    after = measures(assess_calibration(y, special.expit(special.logit(p) + constant)))["estimate"]
    moved = after["calibration_in_the_large"] - before["calibration_in_the_large"]
    assert moved == pytest.approx(-constant, abs=1e-8)
    assert after["calibration_slope"] == pytest.approx(before["calibration_slope"], abs=1e-8)


def test_swapping_events_and_non_events_mirrors_everything(cohort):
    y, p = cohort
    ours, mirrored = (measures(assess_calibration(*pair)) for pair in ((y, p), (1 - y, 1 - p)))
    for name in ("calibration_slope", "brier", "brier_scaled", *FLEXIBLE):
        assert mirrored.loc[name, "estimate"] == pytest.approx(ours.loc[name, "estimate"])
    assert mirrored.loc["calibration_in_the_large", "estimate"] == pytest.approx(
        -ours.loc["calibration_in_the_large", "estimate"]
    )


def test_oe_interval_is_symmetric_on_the_log_scale(cohort):
    row = measures(assess_calibration(*cohort)).loc["oe_ratio"]
    assert row["estimate"] / row["conf_low"] == pytest.approx(row["conf_high"] / row["estimate"])


def test_doubling_every_row_changes_no_patient_level_error(cohort):
    y, p = cohort
    n = np.arange(y.size)
    once = measures(assess_calibration(y, p, cluster=n))
    twice = measures(assess_calibration(np.tile(y, 2), np.tile(p, 2), cluster=np.tile(n, 2)))
    for name in ("calibration_in_the_large", "calibration_slope", "oe_ratio", "brier"):
        assert twice.loc[name, "estimate"] == pytest.approx(once.loc[name, "estimate"])
        assert twice.loc[name, "std_error"] == pytest.approx(once.loc[name, "std_error"])


def test_patient_sandwich_matches_statsmodels():
    rng = np.random.default_rng(8)
    patient = rng.integers(0, 120, 500)
    lp = rng.normal(0, 1, 500) + rng.normal(0, 1, 120)[patient]
    y = (rng.random(500) < special.expit(lp)).astype(int)
    p = special.expit(0.8 * lp)
    robust = {"cov_type": "cluster", "cov_kwds": {"groups": patient, "use_correction": False}}
    x = special.logit(p)
    slope = sm.GLM(y, sm.add_constant(x), sm.families.Binomial()).fit(**robust, tol=1e-12)
    shift = sm.GLM(y, np.ones(500), sm.families.Binomial(), offset=x).fit(**robust, tol=1e-12)
    rows = measures(assess_calibration(y, p, cluster=patient, min_events=0))
    names = ["recalibration_intercept", "calibration_slope"]
    np.testing.assert_allclose(rows.loc[names, "std_error"], slope.bse, rtol=1e-6)
    got = rows.loc["calibration_in_the_large"]
    np.testing.assert_allclose(got["std_error"], shift.bse[0], rtol=1e-6)
    assert got["method"] == "wald, patient sandwich"
    assert got["n_cluster"] == np.unique(patient).size


def test_brier_errors_match_a_bootstrap(cohort):
    y, p = cohort
    rng = np.random.default_rng(1)
    rows = rng.integers(0, y.size, (4000, y.size))
    brier = ((y - p) ** 2)[rows].mean(axis=1)
    share = y[rows].mean(axis=1)
    scaled = 1 - brier / (share * (1 - share))
    got = measures(assess_calibration(y, p))["std_error"]
    assert got["brier"] == pytest.approx(brier.std(), rel=0.05)
    assert got["brier_scaled"] == pytest.approx(scaled.std(), rel=0.05)


def test_bootstrap_limits_match_a_loop_over_the_draws(cohort):
    y, p = cohort
    draws = np.random.default_rng(2).integers(0, y.size, (30, y.size))
    result = assess_calibration(y, p, resamples=draws)
    each = [
        measures(assess_calibration(y[row], p[row], min_events=0))["estimate"]["ici"]
        for row in draws
    ]
    got = measures(result).loc["ici"]
    np.testing.assert_allclose(got[LIMITS].astype(float), np.quantile(each, [0.025, 0.975]))
    assert got["std_error"] == pytest.approx(np.std(each, ddof=1))
    assert (got["n_boot"], got["n_failed"]) == (30, 0)
    assert "bootstrap" not in measures(result).loc["brier", "method"]


def test_bootstrap_depends_on_the_seed_alone(cohort):
    y, p = cohort
    patient = np.arange(y.size) // 2
    runs = [
        assess_calibration(y, p, cluster=patient, smoother="rcs", n_boot=20, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert runs[0].curve().equals(runs[1].curve())
    assert not runs[0].curve().equals(runs[2].curve())
    assert runs[0].seed == 1


def test_curve_limits_surround_the_curve_and_widen_with_the_level(cohort):
    y, p = cohort
    narrow, wide = (assess_calibration(y, p, conf_level=level).curve() for level in (0.8, 0.99))
    assert (narrow["conf_low"] <= narrow["observed"]).all()
    assert (narrow["observed"] <= narrow["conf_high"]).all()
    assert (wide["conf_high"] - wide["conf_low"] >= narrow["conf_high"] - narrow["conf_low"]).all()


def test_curve_can_be_read_anywhere_inside_the_observed_risks(cohort):
    result = assess_calibration(*cohort)
    table = result.curve([0.5, 1.0])
    assert np.isfinite(table.loc[0]).all()
    assert table.loc[1, ["observed", "conf_low", "conf_high"]].isna().all()
    assert "conf_low" not in assess_calibration(*cohort, band=False).curve()


def test_histogram_counts_every_case(cohort):
    y, _ = cohort
    bins = assess_calibration(*cohort).histogram()
    assert bins["n_event"].sum() == y.sum()
    assert bins["n_nonevent"].sum() == (1 - y).sum()


@pytest.mark.slow
def test_true_risks_have_a_vanishing_ici():
    ici = [
        measures(assess_calibration(*simulate(n, seed=5), smoother=s))["estimate"]["ici"]
        for n in (2_000, 40_000)
        for s in ("loess", "rcs")
    ]
    assert max(ici[:2]) < 0.03
    assert max(ici[2:]) < 0.008


@pytest.mark.slow
@pytest.mark.parametrize("smoother", ["loess", "rcs"])
def test_bands_cover_the_truth_with_several_rows_a_patient(smoother):
    at = np.array([0.25, 0.5, 0.75])
    covered = np.mean([covers(smoother, at, seed) for seed in range(300)], axis=0)
    assert (covered > 0.90).all()
    assert (covered < 0.99).all()


def covers(smoother, at, seed):
    """Whether the band holds the diagonal when three rows of a patient share one draw."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(150), 3)
    p = special.expit(rng.normal(0, 1.2, 150)[patient] + rng.normal(0, 0.3, patient.size))
    y = (rng.random(150)[patient] < p).astype(int)
    band = assess_calibration(y, p, smoother=smoother, cluster=patient, min_events=0).curve(at)
    return (band["conf_low"] <= at) & (at <= band["conf_high"])


# --- what cannot be computed ------------------------------------------------------------------


def test_small_samples_get_no_flexible_curve():
    y, p = simulate(150, 4)
    with pytest.warns(SmallSampleWarning, match=r"withheld: \d+ events and \d+ non-events") as w:
        result = assess_calibration(y, p)
    assert "min_events=0 draws it regardless" in str(w[0].message)
    assert measures(result).loc[FLEXIBLE, "estimate"].isna().all()
    assert result.curve()["observed"].isna().all()
    assert "No flexible curve" in result.summary()
    assert np.isfinite(measures(result).loc["calibration_slope", "estimate"])
    assert measures(assess_calibration(y, p, min_events=0)).loc["ici", "estimate"] > 0


def test_patients_are_counted_where_rows_share_them():
    y, p = simulate(400, 4)
    assess_calibration(y, p)
    with pytest.warns(SmallSampleWarning, match="patients with .* events"):
        assess_calibration(y, p, cluster=np.arange(400) // 10)


def test_constant_risks_leave_intercept_and_oe():
    y = np.tile([0, 0, 0, 1], 200)
    with pytest.warns(SmallSampleWarning) as caught:
        result = assess_calibration(y, np.full(800, 0.5))
    messages = [str(w.message) for w in caught]
    assert "The calibration slope does not exist (NaN)" in messages[0]
    assert "there are 1" in messages[1]
    rows = measures(result)["estimate"]
    assert rows["calibration_in_the_large"] == pytest.approx(special.logit(0.25))
    assert rows["oe_ratio"] == pytest.approx(0.5)
    assert np.isnan(rows["calibration_slope"])


@pytest.mark.parametrize("smoother", ["loess", "rcs"])
def test_few_distinct_risks_degrade_to_a_table(smoother):
    y = np.tile([0, 1, 0, 1, 1, 0, 1, 0], 60)
    p = np.tile([0.2, 0.4, 0.6, 0.8], 120)
    with pytest.warns(SmallSampleWarning, match="at least 10 distinct predictions; there are 4"):
        result = assess_calibration(y, p, smoother=smoother)
    assert result.withheld is not None
    assert np.isfinite(measures(result).loc["calibration_slope", "estimate"])


def test_separating_risks_have_no_slope():
    p = np.linspace(0.01, 0.99, 400)
    with pytest.warns(SmallSampleWarning, match="separate events from non-events"):
        result = assess_calibration((p > 0.5).astype(int), p)
    assert measures(result).loc["calibration_slope", NUMBERS].isna().all()


NUMBERS = ["estimate", "std_error", "conf_low", "conf_high"]


def test_risks_of_0_and_1_are_counted_and_clipped(cohort):
    y, p = (np.array(a) for a in cohort)
    p[:3], p[3] = 0.0, 1.0
    with pytest.warns(UsstatsWarning, match="4 of 500 risks are exactly 0 or 1") as caught:
        result = assess_calibration(y, p)
    assert len(caught) == 1
    assert result.clipped == 4
    by_hand = np.where(p == 0, 1e-8, np.where(p == 1, 1 - 1e-8, p))
    expected = measures(assess_calibration(y, by_hand))["estimate"]
    got = measures(result)["estimate"]
    for name in ("calibration_in_the_large", "calibration_slope"):
        assert got[name] == pytest.approx(expected[name])
    assert "clipped" in result.summary()


@pytest.mark.filterwarnings("ignore::usstats.errors.UsstatsWarning")
def test_intercept_exists_for_confident_and_wrong_risks():
    y = np.tile([0, 1, 1, 0, 1], 40)
    p = np.tile([1e-12, 1e-12, 1 - 1e-12, 1 - 1e-12, 1e-9], 40)
    rows = measures(assess_calibration(y, p))["estimate"]
    shifted = special.expit(special.logit(p) + rows["calibration_in_the_large"])
    assert shifted.sum() == pytest.approx(y.sum())


@pytest.mark.filterwarnings("ignore::usstats.errors.UsstatsWarning")
def test_a_spline_that_separates_is_withheld():
    p = np.linspace(0.01, 0.99, 300)
    y = (p > 0.5).astype(int)
    y[149:151] = [1, 0]
    result = assess_calibration(y, p, smoother="rcs")
    assert result.withheld is not None


def test_risks_of_0_alone_have_no_ratio():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        result = assess_calibration([0, 1, 1, 0], np.zeros(4))
    assert np.isnan(measures(result).loc["oe_ratio", "estimate"])


@pytest.mark.parametrize(
    ("y", "p", "options", "error", "message"),
    [
        ([0, 1, 2], [0.1, 0.2, 0.3], {}, OutcomeError, "must be 0/1 or bool"),
        ([1, 1], [0.1, 0.2], {}, OutcomeError, "holds only events"),
        ([0, 1], [0.1, 1.7], {}, RiskError, r"`p` must lie in \[0, 1\]; 1 of 2"),
        ([0, 1], [0.1, np.nan], {}, RiskError, "must be finite"),
        ([0, 1], [0.1], {}, PairingError, "`y` has 2, `p` has 1"),
        ([0, 1], [0.1, 0.2], {"cluster": [1]}, PairingError, "`cluster` has 1"),
        ([0, 1], [0.1, 0.2], {"smoother": "lowess"}, ArgumentError, "one of 'loess', 'rcs'"),
        ([0, 1], [0.1, 0.2], {"n_knots": 7}, ArgumentError, "`n_knots` must be one of 3, 4, 5"),
        ([0, 1], [0.1, 0.2], {"span": 0}, ArgumentError, r"`span` must lie in \(0, 1\]"),
        ([0, 1], [0.1, 0.2], {"min_events": -1}, ArgumentError, "`min_events` must be 0 or more"),
        ([0, 1], [0.1, 0.2], {"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
    ],
)
def test_bad_input_is_refused_with_advice(y, p, options, error, message):
    with pytest.raises(error, match=message):
        assess_calibration(y, p, **options)


def test_a_bootstrap_without_a_seed_tells_the_one_it_drew(cohort):
    first = assess_calibration(*cohort, n_boot=10)
    again = assess_calibration(*cohort, n_boot=10, seed=first.seed)
    pd.testing.assert_frame_equal(first.frame(), again.frame())


def test_hosmer_lemeshow_on_too_few_groups_is_undefined():
    with pytest.warns(SmallSampleWarning, match="1 groups, too few"):
        result = hosmer_lemeshow([0, 1, 1], [0.2, 0.2, 0.2], internal=True)
    assert np.isnan(result.p_value)
    with pytest.raises(ArgumentError, match="`g` must be a whole number"):
        hosmer_lemeshow([0, 1], [0.2, 0.4], internal=True, g=1)


def test_hosmer_lemeshow_p_is_the_tail_of_a_chi_square(cohort):
    result = hosmer_lemeshow(*cohort, internal=False)
    assert result.p_value == pytest.approx(1 - stats.chi2.cdf(result.statistic, 10))
    assert "no evidence of calibration" in result.summary()


def test_spiegelhalter_is_undefined_for_yes_no_risks():
    with pytest.warns(SmallSampleWarning, match="undefined"):
        assert np.isnan(spiegelhalter([0, 1], [0.5, 1.0])["statistic"].iloc[0])


def test_repr_states_sample_unit_and_level(cohort):
    text = repr(assess_calibration(*cohort))
    assert "n = 500, events = " in text
    assert "unit: case, 95 % intervals" in text
    assert "\n" not in text


def test_results_hand_out_copies(cohort):
    result = assess_calibration(*cohort)
    frame = result.frame()
    frame.loc[0, "estimate"] = 99
    assert result.frame().loc[0, "estimate"] != 99
