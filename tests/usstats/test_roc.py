"""ROC curve and its areas: pROC 1.18.0 values, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.reference import load_case, read_reference_table
from usstats._roc.limits import newcombe_limits, square_and_add
from usstats._roc.placements import place
from usstats._roc.resampled import auc_of_resamples, auc_without_each
from usstats.errors import (
    ArgumentError,
    DirectionWarning,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
)
from usstats.resample import Resamples, bootstrap
from usstats.roc import auc, partial_auc, roc_curve


def asah():
    table = read_reference_table("asah.csv")
    return (table["outcome"] == "Poor").to_numpy(int), table


def plain_auc(y, s):
    return place(y, s).auc


def simulated(n=80, seed=0, shift=1.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return y, shift * y + rng.normal(size=n)


@pytest.mark.parametrize("marker", ["s100b", "ndka", "wfns", "age"])
def test_auc_equals_proc(marker):
    # ci.auc(roc(outcome, marker, levels = c("Good", "Poor"), direction = "<"))
    case = load_case("roc_asah_delong")
    y, table = asah()
    got = auc(y, table[marker])
    case.check(got.estimate, f"{marker}.auc")
    case.check(got.std_error, f"{marker}.se_delong")
    case.check([got.conf_low, got.conf_high], f"{marker}.ci95_delong")
    narrower = auc(y, table[marker], conf_level=0.9)
    case.check([narrower.conf_low, narrower.conf_high], f"{marker}.ci90_delong")
    case.check([got.n_event], f"{marker}.n_cases")
    case.check([got.n - got.n_event], f"{marker}.n_controls")


def test_any_binary_outcome_equals_proc():
    case = load_case("roc_asah_delong")
    _, table = asah()
    arrays = (table["gender"] == "Female", table["s100b"])
    got, narrower, logit = auc(*arrays), auc(*arrays, conf_level=0.9), auc(*arrays, ci="logit")
    case.check(got.estimate, "female_s100b.auc")
    case.check(got.std_error, "female_s100b.se_delong")
    case.check(got.std_error**2, "female_s100b.var_delong")
    case.check([got.n_event], "female_s100b.n_cases")
    case.check([got.n - got.n_event], "female_s100b.n_controls")
    for one, name in ((got, "ci95_delong"), (narrower, "ci90_delong"), (logit, "ci95_logit")):
        case.check([one.conf_low, one.conf_high], f"female_s100b.{name}")


@pytest.mark.parametrize("marker", ["a", "b"])
def test_clustered_auc_equals_obuchowski(marker):
    case = load_case("auc_cluster_images")
    images = case.table()
    got = auc(images["label"], images[f"model_{marker}"], cluster=images["patient"])
    number = {"a": 1, "b": 2}[marker]
    case.check(got.estimate, f"auc{number}")
    case.check(got.std_error**2, f"var{number}")
    if number == 1:
        case.check(got.std_error, "se1")
    case.check([got.conf_low, got.conf_high], f"ci{number}")
    assert got.n_cluster == 275
    assert "unit: patient (275 clusters)" in repr(got)


@pytest.mark.parametrize(
    ("ci", "path"), [("percentile", "percentile_type7"), ("bca", "bca_jackknife")]
)
def test_bootstrap_interval_equals_r(ci, path):
    case = load_case("boot_auc_asah_stratified")
    y, table = asah()
    draws = read_reference_table("idx_boot_asah_strat.csv").to_numpy() - 1
    got = auc(y, table["s100b"], ci=ci, resamples=draws)
    case.check([got.conf_low, got.conf_high], path)
    case.check(got.std_error, "sd_t")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("s100b_sp_1_0.9", {"specificity": (1, 0.9)}),
        ("s100b_sp_0.9_0.7", {"specificity": (0.9, 0.7)}),
        ("s100b_se_1_0.8", {"sensitivity": (1, 0.8)}),
        ("wfns_sp_1_0.85", {"specificity": (0.85, 1)}),
        ("ndka_se_0.95_0.6", {"sensitivity": (0.6, 0.95)}),
    ],
)
def test_partial_auc_equals_proc(name, options):
    # auc(roc, partial.auc = c(1, .9), partial.auc.focus = "sp", partial.auc.correct = TRUE)
    case = load_case("roc_asah_partial")
    y, table = asah()
    s = table[name.split("_")[0]]
    case.check(partial_auc(y, s, **options).estimate, f"{name}.plain")
    case.check(partial_auc(y, s, corrected=True, **options).estimate, f"{name}.mcclish")


def test_curve_points_equal_proc():
    case = load_case("roc_asah_delong")
    y, table = asah()
    curve = roc_curve(y, table["wfns"], thresholds="midpoint").frame()
    for column in curve:
        case.check(curve[column], f"roc_points_wfns.{column}")
    observed = roc_curve(y, table["wfns"]).frame()
    assert_array_equal(observed["threshold"], [1, 2, 3, 4, 5, np.inf])
    assert_array_equal(observed["sensitivity"], curve["sensitivity"])


@pytest.mark.parametrize("marker", ["s100b", "ndka", "wfns", "age"])
def test_logit_limits_equal_the_formula(marker):
    case = load_case("roc_asah_delong")
    y, table = asah()
    got = auc(y, table[marker], ci="logit")
    case.check([got.conf_low, got.conf_high], f"{marker}.ci95_logit")
    case.check(got.std_error, f"{marker}.se_delong")
    case.check(got.std_error**2, f"{marker}.var_delong")
    assert got.method == "delong, logit"


def test_heights_between_thresholds_equal_coords():
    # coords(roc, 0.9, input = "specificity"); coords(roc, 0.8, input = "sensitivity")
    case = load_case("roc_asah_coords")
    y, table = asah()
    curve = roc_curve(y, table["s100b"])
    case.check(curve.sensitivity_at(0.9), "s100b_at_sp090.sensitivity")
    case.check(curve.specificity_at(0.8), "s100b_at_se080.specificity")
    assert (curve.sensitivity_at(0), curve.specificity_at(0)) == (1.0, 1.0)
    for wrong in (1.2, -0.1, np.nan, "0.9"):
        with pytest.raises(ArgumentError, match=r"`specificity` must be a number inside \[0, 1\]"):
            curve.sensitivity_at(wrong)
        with pytest.raises(ArgumentError, match="`sensitivity` must be a number"):
            curve.specificity_at(wrong)


def test_limits_of_an_auc_near_one_stay_inside():
    y = np.repeat([0, 1], 25)
    s = np.arange(50.0)
    s[[24, 25]] = s[[25, 24]]
    limits = {ci: auc(y, s, ci=ci) for ci in ("delong", "logit", "newcombe")}
    assert limits["delong"].conf_high == 1.0
    assert limits["logit"].conf_high < 1.0
    lows = [limits[ci].conf_low for ci in ("newcombe", "logit", "delong")]
    assert lows == sorted(lows)
    assert limits["newcombe"].method == "newcombe"
    clustered = auc(y, s, ci="newcombe", cluster=np.arange(50) // 4)
    assert clustered.conf_low < limits["newcombe"].conf_low


def test_square_and_add_is_newcombes_hybrid():
    # Newcombe (1998), table II, method 10: 56/70 against 48/80
    low, high = square_and_add((0.8, 0.6), (0.6920, 0.8769), (0.4905, 0.7004))
    assert_allclose([low, high], [0.0524, 0.3339], atol=2e-4)


def test_auc_equals_scikit_learn_with_ties():
    y, s = simulated(200)
    assert_allclose(auc(y, s.round(1)).estimate, roc_auc_score(y, s.round(1)), rtol=1e-14)


def test_area_under_the_curve_is_the_auc():
    y, s = simulated()
    curve = roc_curve(y, s.round(1)).frame()
    area = np.trapezoid(curve["sensitivity"], curve["specificity"])
    assert_allclose(area, auc(y, s.round(1)).estimate)
    assert_allclose(partial_auc(y, s.round(1), specificity=(0, 1)).estimate, area)
    parts = [
        partial_auc(y, s.round(1), specificity=(a, a + 0.25)).estimate for a in (0, 0.25, 0.5, 0.75)
    ]
    assert_allclose(sum(parts), area)


def test_each_row_is_the_decision_rule():
    y, s = simulated(60)
    s = s.round(1)
    for t, sensitivity, specificity in roc_curve(y, s).frame().itertuples(index=False):
        assert sensitivity == np.mean(s[y == 1] >= t)
        assert specificity == np.mean(s[y == 0] < t)


def test_direction_is_kept_and_said():
    y, s = simulated()
    right = auc(y, s)
    with pytest.warns(DirectionWarning, match="below 0.5"):
        wrong = auc(y, -s)
    assert_allclose(wrong.estimate, 1 - right.estimate)
    assert_allclose([wrong.conf_low, wrong.conf_high], [1 - right.conf_high, 1 - right.conf_low])


def test_the_interval_stays_inside_zero_and_one():
    y = np.r_[np.zeros(12), np.ones(12)].astype(int)
    s = np.arange(24.0)
    s[[11, 12]] = s[[12, 11]]
    got = auc(y, s)
    assert got.method == "delong"
    assert got.conf_low < got.estimate < got.conf_high == 1.0


@pytest.mark.parametrize("ci", ["delong", "percentile", "bca"])
def test_perfect_separation_keeps_an_honest_lower_limit(ci):
    y = np.arange(60) % 2
    got = auc(y, y + 0.0, ci=ci, seed=1, n_boot=50)
    assert (got.estimate, got.conf_high, got.method) == (1.0, 1.0, "newcombe")
    assert 0.9 < got.conf_low < 0.97
    with pytest.warns(DirectionWarning):
        reverse = auc(y, -y, ci=ci, seed=1, n_boot=50)
    assert_allclose([reverse.conf_low, reverse.conf_high], [0.0, 1 - got.conf_low], atol=1e-9)


def test_perfect_separation_with_clusters_counts_patients():
    y, patient = np.repeat([0, 1], 60), np.repeat(np.arange(24), 5)
    clustered, cases = auc(y, y, cluster=patient), auc(y, y)
    assert clustered.method == "newcombe"
    assert clustered.conf_low == auc(y[::5], y[::5]).conf_low < cases.conf_low


def test_all_scores_tied():
    y = np.arange(40) % 2
    got = auc(y, np.ones(40))
    assert (got.estimate, got.method) == (0.5, "newcombe")
    assert got.conf_low < 0.35
    assert got.conf_high > 0.65


def test_newcombe_solves_its_own_equation():
    m, n, theta = 30, 45, 0.8
    for limit in newcombe_limits(theta, m, n, 0.95):
        average = (m + n) / 2
        spread = 1 + (average - 1) * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        se = np.sqrt(limit * (1 - limit) * spread / (m * n))
        assert_allclose(abs(theta - limit) / se, stats.norm.ppf(0.975), rtol=1e-9)


@pytest.mark.parametrize("events", [1, 2, 5])
def test_few_events_are_flagged_and_still_have_an_interval(events):
    y = np.r_[np.ones(events), np.zeros(40)].astype(int)
    s = np.r_[np.full(events, 25.5), np.arange(40)] + 0.001 * np.arange(40 + events)
    with pytest.warns(SmallSampleWarning, match=f"only {events} cases"):
        got = auc(y, s)
    assert 0 <= got.conf_low < got.estimate < got.conf_high <= 1


def test_resampled_auc_equals_the_slow_way():
    y, s = simulated(61, seed=2)
    s = s.round(1)
    cluster = np.sort(np.random.default_rng(1).integers(0, 20, size=61))
    for labels in (None, cluster):
        resamples = Resamples.draw(61, n_boot=40, seed=9, cluster=labels)
        slow = [plain_auc(y[rows], s[rows]) for rows in resamples]
        assert_allclose(auc_of_resamples(y, s, resamples), slow, rtol=1e-14)


@pytest.mark.parametrize("clustered", [False, True])
def test_leaving_out_equals_the_slow_way(clustered):
    y, s = simulated(50, seed=5)
    s = s.round(1)
    unit = np.arange(50) // 4 if clustered else np.arange(50)
    slow = [plain_auc(y[unit != u], s[unit != u]) for u in np.unique(unit)]
    assert_allclose(auc_without_each(place(y, s), s, unit), slow, rtol=1e-13)


@pytest.mark.parametrize("ci", ["percentile", "bca"])
def test_fast_bootstrap_equals_the_general_one(ci):
    y, s = simulated(60, seed=3)
    cluster = np.arange(60) // 3
    fast = auc(y, s, ci=ci, n_boot=300, seed=7, cluster=cluster)
    slow = bootstrap(plain_auc, y, s, ci=ci, n_boot=300, seed=7, cluster=cluster)
    assert_allclose([fast.conf_low, fast.conf_high], [slow.conf_low, slow.conf_high], rtol=1e-12)
    assert (fast.n_cluster, fast.n_boot, fast.seed) == (20, 300, 7)


def test_bootstrap_is_stratified_where_patients_have_one_class():
    y, s = simulated(60)
    unclustered = auc(y, s, ci="percentile", n_boot=100, seed=1)
    explicit = Resamples.draw(60, n_boot=100, seed=1, stratify=y)
    assert auc(y, s, ci="percentile", resamples=explicit) == unclustered


def test_partial_auc_interval():
    y, s = simulated(100, shift=1.5)
    none = partial_auc(y, s, specificity=(0.8, 1))
    assert np.isnan([none.conf_low, none.std_error]).all()
    got = partial_auc(y, s, specificity=(0.8, 1), seed=3, n_boot=200)
    assert 0 <= got.conf_low < got.estimate < got.conf_high <= 0.2
    assert got.measure == "partial_auc"


def test_perfect_and_below_chance_partial_areas():
    y = np.arange(40) % 2
    assert_allclose(partial_auc(y, y, specificity=(0.7, 0.9), corrected=True).estimate, 1.0)
    with pytest.warns(DirectionWarning, match="below chance"):
        got = partial_auc(y, -y, specificity=(0.7, 0.9), corrected=True, seed=1)
    assert np.isnan(got.estimate)


def test_band_holds_the_curve_and_repeats():
    y, s = simulated(120)
    curve = roc_curve(y, s, band="bootstrap", n_boot=300, seed=1)
    frame = curve.frame()
    assert list(frame) == ["threshold", "sensitivity", "specificity", "conf_low", "conf_high"]
    assert (frame["conf_low"] <= frame["conf_high"]).all()
    inside = frame["sensitivity"].between(frame["conf_low"], frame["conf_high"])
    assert inside.mean() > 0.9
    assert frame.equals(roc_curve(y, s, band="bootstrap", n_boot=300, seed=1).frame())


def test_band_equals_the_slow_way():
    y, s = simulated(40, seed=6)
    s = s.round(1)
    draws = Resamples.draw(40, n_boot=60, seed=2, stratify=y)
    frame = roc_curve(y, s, band="bootstrap", resamples=draws).frame()
    at = frame["specificity"].iloc[(frame["specificity"] - 0.5).abs().argmin()]

    def highest_sensitivity(rows):
        curve = roc_curve(y[rows], s[rows]).frame()
        exact = curve.loc[curve["specificity"] == at, "sensitivity"]
        if len(exact):
            return exact.max()
        below = curve[curve["specificity"] < at].iloc[-1]
        above = curve[curve["specificity"] > at].iloc[0]
        share = (at - below["specificity"]) / (above["specificity"] - below["specificity"])
        return below["sensitivity"] + share * (above["sensitivity"] - below["sensitivity"])

    low, high = np.quantile([highest_sensitivity(rows) for rows in draws], [0.025, 0.975])
    row = frame[frame["specificity"] == at].iloc[0]
    assert_allclose([row["conf_low"], row["conf_high"]], [low, high])


def test_curve_is_frozen():
    y, s = simulated()
    curve = roc_curve(y, s)
    with pytest.raises(ValueError, match="read-only"):
        curve.sensitivity[0] = 0.0
    with pytest.raises(AttributeError):
        curve.method = "other"
    assert "ROC curve, 81 points" in repr(curve)
    assert curve.summary() == auc(y, s).summary()


@pytest.mark.parametrize(
    ("function", "options", "error", "text"),
    [
        (auc, {"y": [0, 0, 0, 0]}, OutcomeError, "only non-events"),
        (auc, {"y": [0, 1, 2, 1]}, OutcomeError, "must be 0/1 or bool"),
        (auc, {"y": ["no", "yes", "no", "yes"]}, OutcomeError, "say which one is the event"),
        (auc, {"s": [1, np.nan, 2, np.inf]}, RiskError, "2 of 4 values .*first at row 1, 3"),
        (auc, {"s": [1, 2, 3]}, PairingError, "`y` has 4, `s` has 3"),
        (auc, {"ci": "wald"}, ArgumentError, "`ci` must be one of 'delong'"),
        (auc, {"ci": "bca", "seed": 0.5}, ArgumentError, "`seed`"),
        (partial_auc, {}, ArgumentError, "exactly one of"),
        (auc, {"y": [[0, 1], [1]]}, OutcomeError, "`y` must be one-dimensional; its rows differ"),
        (auc, {"cluster": ["a", "b", None, "c"]}, PairingError, "`cluster` has 1 missing labels"),
        (auc, {"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
        (auc, {"ci": ["delong"]}, ArgumentError, "`ci` must be one of 'delong'"),
        (auc, {"ci": "bca", "seed": 1, "n_boot": 0}, ArgumentError, "`n_boot` must be a whole"),
        (roc_curve, {"band": "bootstrap", "seed": -1}, ArgumentError, "`seed` must be a whole"),
        (partial_auc, {"specificity": (0.8, 1), "ci": "wald"}, ArgumentError, "`ci` must be one"),
        (partial_auc, {"specificity": (0.9, 0.9)}, ArgumentError, "two different limits"),
        (partial_auc, {"sensitivity": (90, 100)}, ArgumentError, "`sensitivity` must be two"),
        (roc_curve, {"band": "delong"}, ArgumentError, "`band` must be one of None"),
        (roc_curve, {"thresholds": "all"}, ArgumentError, "`thresholds` must be one of"),
    ],
)
@pytest.mark.filterwarnings("ignore::usstats.errors.SmallSampleWarning")
def test_messages(function, options, error, text):
    arguments = {"y": [0, 1, 0, 1], "s": [1, 2, 3, 4]} | options
    with pytest.raises(error, match=text):
        function(arguments.pop("y"), arguments.pop("s"), **arguments)
