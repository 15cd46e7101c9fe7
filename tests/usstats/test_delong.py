"""DeLong and Obuchowski comparisons: pROC 1.18.0, doAUCcluster 1.0, fastAUC 2.1; and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tests.reference import load_case, read_reference_table
from usstats._intervals import two_sided_p
from usstats._multiplicity import adjust_p
from usstats._roc.placements import auc_covariance, place
from usstats.delong import compare_auc, compare_auc_independent
from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
)
from usstats.resample import bootstrap
from usstats.roc import auc


def asah():
    table = read_reference_table("asah.csv")
    return (table["outcome"] == "Poor").to_numpy(int), table


def kernel(y, s):
    events, others = s[y == 1][:, None], s[y == 0][None, :]
    return (events > others) + (events == others) / 2


def naive_covariance(y, scores):
    """Equations of DeLong et al. (1988) on the full n x m kernel."""
    kernels = [kernel(y, s) for s in scores]
    m, n = kernels[0].shape
    s10 = np.cov([k.mean(axis=1) for k in kernels])
    s01 = np.cov([k.mean(axis=0) for k in kernels])
    return s10 / m + s01 / n


def naive_obuchowski(y, s, cluster):
    """Obuchowski (1997) for one score, patient by patient."""
    k = kernel(y, s)
    m, n = k.shape
    theta = k.mean()
    v10, v01 = k.mean(axis=1) - theta, k.mean(axis=0) - theta
    of_event, of_other = cluster[y == 1], cluster[y == 0]
    patients = np.unique(cluster)
    e = np.array([v10[of_event == c].sum() for c in patients])
    f = np.array([v01[of_other == c].sum() for c in patients])
    i10, i01, i = len(set(of_event)), len(set(of_other)), len(patients)
    s10 = i10 / ((i10 - 1) * m) * (e**2).sum()
    s01 = i01 / ((i01 - 1) * n) * (f**2).sum()
    s11 = i / (i - 1) * (e * f).sum()
    return s10 / m + s01 / n + 2 * s11 / (m * n)


scored = st.lists(st.integers(0, 6), min_size=6, max_size=24)


@settings(max_examples=60, deadline=None)
@given(scored, st.randoms(use_true_random=False))
def test_placements_equal_the_pairwise_definition(values, random):
    s = np.array(values, dtype=float)
    y = np.array([0, 0, 1, 1] + [random.randint(0, 1) for _ in range(len(s) - 4)])
    placed = place(y, s)
    assert_allclose(placed.auc, kernel(y, s).mean(), rtol=1e-15)
    assert_allclose(placed.wins[y == 1], kernel(y, s).sum(axis=1), rtol=0)
    assert_allclose(placed.wins[y == 0], kernel(y, s).sum(axis=0), rtol=0)
    other = np.array(random.sample(values, len(values)), dtype=float)
    both = np.stack([placed.values, place(y, other).values], axis=1)
    assert_allclose(auc_covariance(both, y == 1), naive_covariance(y, (s, other)), atol=1e-15)


@pytest.mark.parametrize("pair", ["s100b_ndka", "s100b_wfns", "ndka_wfns", "wfns_age"])
def test_paired_test_equals_proc(pair):
    # roc.test(outcome, a, b, method = "delong", paired = TRUE)
    case = load_case("roc_asah_tests")
    y, table = asah()
    names = pair.split("_")
    row = compare_auc(y, {name: table[name] for name in names}).frame().iloc[0]
    expected = {
        "auc_1": "auc1",
        "auc_2": "auc2",
        "estimate": "difference",
        "statistic": "statistic",
        "p_value": "p",
    }
    for column, path in expected.items():
        case.check(row[column], f"{pair}.{path}")
    case.check([row["conf_low"], row["conf_high"]], f"{pair}.ci95_difference")
    placed = np.stack([place(y, table[n].to_numpy(float)).values for n in names], axis=1)
    case.check(auc_covariance(placed, y == 1)[0, 1], f"{pair}.cov")


def test_the_statistic_serves_a_one_sided_test():
    # roc.test(..., alternative = "less"): the lower tail of the same z
    case, path = load_case("roc_asah_tests"), "one_sided_s100b_less_wfns"
    y, table = asah()
    row = compare_auc(y, {name: table[name] for name in ("s100b", "wfns")}).frame().iloc[0]
    case.check(stats.norm.cdf(row["statistic"]), f"{path}.p")
    for column, key in {
        "auc_1": "auc1",
        "auc_2": "auc2",
        "estimate": "difference",
        "statistic": "statistic",
    }.items():
        case.check(row[column], f"{path}.{key}")
    case.check([row["conf_low"], row["conf_high"]], f"{path}.ci95_difference")


def test_independent_groups_equal_proc():
    case = load_case("roc_asah_tests")
    y, table = asah()
    male = (table["gender"] == "Male").to_numpy()
    s = table["s100b"]
    row = compare_auc_independent(y[male], s[male], y[~male], s[~male]).frame().iloc[0]
    for column, path in [("estimate", "difference"), ("statistic", "statistic"), ("df", "df")]:
        case.check(row[column], f"unpaired_male_female.{path}")
    case.check(row["p_value"], "unpaired_male_female.p")
    case.check(row["auc_1"], "unpaired_male_female.auc1")
    case.check(row["auc_2"], "unpaired_male_female.auc2")
    swapped = compare_auc_independent(y[~male], s[~male], y[male], s[male]).frame().iloc[0]
    assert_allclose(
        [swapped["statistic"], swapped["conf_low"]], [-row["statistic"], -row["conf_high"]]
    )


def test_clustered_comparison_equals_obuchowski():
    case = load_case("auc_cluster_images")
    images = case.table()
    y, cluster = images["label"].to_numpy(), images["patient"].to_numpy()
    risks = {"a": images["model_a"], "b": images["model_b"]}
    comparison = compare_auc(y, risks, cluster=cluster)
    row = comparison.frame().iloc[0]
    for column, path in {
        "auc_1": "auc1",
        "auc_2": "auc2",
        "estimate": "difference",
        "std_error": "se_difference",
        "statistic": "z",
        "p_value": "p",
        "n": "n",
        "n_cluster": "clusters",
    }.items():
        case.check(row[column], path)
    placed = np.stack([place(y, images[n].to_numpy()).values for n in ("model_a", "model_b")], 1)
    covariance = auc_covariance(placed, y == 1, cluster - 1)
    case.check(covariance[0, 0], "var1")
    case.check(covariance[1, 1], "var2")
    case.check(covariance[0, 1], "cov")
    case.check(compare_auc(y, risks).frame()["p_value"][0], "ignoring_clusters.p")
    ignoring = auc_covariance(placed, y == 1)
    for (i, j), path in {(0, 0): "var1", (1, 1): "var2", (0, 1): "cov"}.items():
        case.check(ignoring[i, j], f"ignoring_clusters.{path}")
    assert "275 clusters" in repr(comparison)


def test_clustered_variance_equals_the_naive_sums():
    rng = np.random.default_rng(8)
    cluster = rng.integers(0, 25, size=80)
    cluster = np.unique(cluster, return_inverse=True)[1]
    y, s = rng.integers(0, 2, size=80), rng.integers(0, 12, size=80).astype(float)
    got = auc_covariance(place(y, s).values[:, None], y == 1, cluster)[0, 0]
    assert_allclose(got, naive_obuchowski(y, s, cluster), rtol=1e-12)


def test_one_image_a_patient_is_delong():
    y, table = asah()
    risks = {"a": table["s100b"], "b": table["wfns"]}
    plain = compare_auc(y, risks).frame()
    clustered = compare_auc(y, risks, cluster=np.arange(len(y))).frame()
    assert_allclose(clustered["std_error"], plain["std_error"], rtol=1e-12)


def test_copies_of_an_image_carry_no_information():
    rng = np.random.default_rng(4)
    y = np.arange(60) % 2
    a, b = y + rng.normal(size=60), y + rng.normal(size=60)
    once = compare_auc(y, {"a": a, "b": b}).frame()["std_error"][0]
    rows = np.repeat(np.arange(60), 3)
    thrice = {"a": a[rows], "b": b[rows]}
    clustered = compare_auc(y[rows], thrice, cluster=rows).frame()["std_error"][0]
    assert_allclose(clustered, once, rtol=1e-12)
    assert compare_auc(y[rows], thrice).frame()["std_error"][0] < 0.65 * once


def test_swapping_models_flips_the_sign_and_nothing_else():
    y, table = asah()
    risks = {"s": table["s100b"], "w": table["wfns"]}
    there = compare_auc(y, risks, contrasts=[("s", "w")]).frame().iloc[0]
    back = compare_auc(y, risks, contrasts=[("w", "s")]).frame().iloc[0]
    assert (there["estimate"], there["statistic"]) == (-back["estimate"], -back["statistic"])
    assert (there["conf_low"], there["p_value"]) == (-back["conf_high"], back["p_value"])


def test_only_ranks_matter():
    rng = np.random.default_rng(0)
    y = np.arange(50) % 2
    lp = {"a": rng.normal(size=50) + y, "b": rng.normal(size=50)}
    risk = {name: 1 / (1 + np.exp(-values - 3)) for name, values in lp.items()}
    one, other = compare_auc(y, lp).frame(), compare_auc(y, risk).frame()
    assert one.equals(other)


def test_identical_rankings_have_p_one_and_say_so():
    y, table = asah()
    s = table["s100b"].to_numpy()
    comparison = compare_auc(y, {"a": s, "same": np.exp(s)})
    row = comparison.frame().iloc[0]
    assert (row["estimate"], row["p_value"], row["note"]) == (0.0, 1.0, "identical")
    assert "(identical)" in comparison.summary()
    nudged = s + 1e-9 * np.arange(len(s))
    near = compare_auc(y, {"a": s, "b": nudged}).frame().iloc[0]
    assert near["note"] == ""
    assert near["p_value"] > 0.01


def test_a_tiny_p_value_is_not_zero():
    rng = np.random.default_rng(1)
    y = np.arange(400) % 2
    risks = {"good": 3 * y + rng.normal(size=400), "noise": rng.normal(size=400)}
    row = compare_auc(y, risks).frame().iloc[0]
    assert row["statistic"] > 9
    assert 0 < row["p_value"] < 1e-16
    many = np.repeat(np.arange(400), 20)
    extreme = compare_auc(y[many], {name: s[many] for name, s in risks.items()}).frame().iloc[0]
    assert extreme["statistic"] > 40
    assert 0 < extreme["p_value"] < 1e-300
    assert two_sided_p(40.0) > 0
    assert two_sided_p(37.0) == pytest.approx(2 * stats.norm.sf(37.0))


def test_global_test_of_two_different_curves_is_z_squared():
    y, table = asah()
    risks = {name: table[name] for name in ("s100b", "wfns")}
    z = compare_auc(y, risks).frame()["statistic"][0]
    doubled = compare_auc(y, risks | {"again": table["wfns"]})
    assert doubled.global_test.df == 1
    assert_allclose(doubled.global_test.statistic, z**2, rtol=1e-9)


def test_global_test_equals_the_quadratic_form():
    y, table = asah()
    names = ["s100b", "ndka", "wfns"]
    scores = [table[name].to_numpy(float) for name in names]
    comparison = compare_auc(y, dict(zip(names, scores, strict=True)))
    contrast = np.array([[1, -1, 0], [0, 1, -1]])
    theta = contrast @ [kernel(y, s).mean() for s in scores]
    covariance = contrast @ naive_covariance(y, scores) @ contrast.T
    chi2 = theta @ np.linalg.solve(covariance, theta)
    assert_allclose(comparison.global_test.statistic, chi2, rtol=1e-10)
    assert_allclose(comparison.global_test.p_value, stats.chi2.sf(chi2, 2), rtol=1e-10)
    assert "chi2(2)" in comparison.summary()


def test_global_test_survives_curves_that_hardly_differ():
    y, table = asah()
    s = table["s100b"].to_numpy(float)
    order = np.argsort(s)
    swapped = s.copy()
    cut = next(i for i in order[60:] if y[i] != y[order[np.searchsorted(s[order], s[i]) - 1]])
    below = order[np.searchsorted(s[order], s[cut]) - 1]
    swapped[[cut, below]] = s[[below, cut]]
    pair = compare_auc(y, {"a": s, "b": swapped}).frame().iloc[0]
    assert 0 < abs(pair["estimate"]) < 0.002
    assert_allclose(pair["p_value"], stats.norm.sf(abs(pair["statistic"])) * 2)
    three = compare_auc(y, {"a": s, "b": swapped, "w": table["wfns"]}).global_test
    assert three.df == 2
    copies = compare_auc(y, {"a": s, "b": s, "c": np.exp(s)}).global_test
    assert (copies.statistic, copies.df, copies.p_value) == (0.0, 0, 1.0)


def test_perfect_curves_with_other_rankings_keep_limits_of_doubt():
    y = np.repeat([0, 1], 10)
    one, other = np.arange(20.0), np.r_[np.arange(10)[::-1], 10 + np.arange(10)[::-1]]
    comparison = compare_auc(y, {"a": one, "b": other, "c": np.exp(one)}, margin=0.05)
    row, same = comparison.frame().iloc[0], comparison.frame().iloc[1]
    assert (row["estimate"], row["p_value"], row["note"][:15]) == (0.0, 1.0, "both AUCs are 1")
    low = auc(y, one).conf_low
    assert_allclose([row["conf_low"], row["conf_high"]], [low - 1, 1 - low])
    assert np.isnan(row["p_noninferior"])
    assert not row["noninferior"]
    assert (same["note"], same["conf_low"], same["noninferior"]) == ("identical", 0.0, True)
    assert "non-inferiority of a (margin 0.05) not shown: lower limit -0" in comparison.summary()


def test_nested_perfect_curve_against_a_good_one():
    y = np.repeat([0, 1], 30)
    good = np.r_[np.arange(30), 25 + np.arange(30)] + 0.5 * y
    row = compare_auc(y, {"perfect": y, "good": good}).frame().iloc[0]
    plain = auc(y, good)
    assert_allclose([row["estimate"], row["std_error"]], [1 - plain.estimate, plain.std_error])
    assert 0 < row["p_value"] < 1


def test_columns_and_holm():
    y, table = asah()
    frame = compare_auc(y, {name: table[name] for name in ("s100b", "ndka", "wfns")}).frame()
    assert list(frame.columns[:11]) == [
        "model_1",
        "model_2",
        "auc_1",
        "auc_2",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "statistic",
        "p_value",
        "p_adjusted",
    ]
    assert_allclose(frame["p_adjusted"], adjust_p(frame["p_value"], "holm"))
    assert_array_equal(adjust_p([0.01, np.nan, 0.04], "holm"), [0.02, np.nan, 0.04])
    assert_allclose(adjust_p([0.01, 0.6], "bonferroni"), [0.02, 1.0])
    assert_array_equal(adjust_p([0.01, 0.6], "none"), [0.01, 0.6])


@pytest.mark.parametrize(
    "method", ["holm", "bonferroni", "hochberg", "hommel", "BH", "BY", "bh", "fdr", "none"]
)
def test_every_adjustment_is_r_s(method):
    case = load_case("p_adjust")
    spelling = {"bh": "BH", "fdr": "BH"}.get(method, method)
    if method != "none":
        case.check(adjust_p(case.inputs["p"], method), spelling)
    y, table = asah()
    risks = {name: table[name] for name in ("s100b", "ndka", "wfns")}
    comparison = compare_auc(y, risks, adjust=method)
    frame = comparison.frame()
    assert_allclose(frame["p_adjusted"], adjust_p(frame["p_value"], spelling))
    assert comparison.adjust == spelling


@pytest.mark.parametrize("ci", ["percentile", "bca"])
def test_bootstrap_of_a_difference_equals_boot(ci):
    case = load_case("boot_aucdiff_asah")
    y, table = asah()
    draws = read_reference_table("idx_boot_asah_plain.csv").to_numpy() - 1
    risks = {name: table[name] for name in ("wfns", "s100b")}
    got = compare_auc(y, risks, ci=ci, resamples=draws, conf_level=0.9)
    row = got.frame().iloc[0]
    case.check(row["estimate"], "t0")
    case.check(row["std_error"], "sd_t")
    path = {"percentile": "percentile_type7", "bca": "bca_jackknife"}[ci]
    case.check([row["conf_low"], row["conf_high"]], path)
    assert_allclose(row["statistic"], row["estimate"] / row["std_error"])
    assert (row["n_boot"], row["n_failed"], row["method"]) == (400, 0, f"bootstrap {ci}")


@pytest.mark.parametrize("clustered", [False, True])
def test_bootstrap_of_a_difference_equals_the_general_one(clustered):
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, size=60)
    a, b = y + rng.normal(size=60), (y + rng.normal(size=60)).round(1)
    cluster = np.arange(60) // 3 if clustered else None
    options = {"ci": "bca", "n_boot": 300, "seed": 4, "cluster": cluster}
    fast = compare_auc(y, {"a": a, "b": b}, **options).frame().iloc[0]
    slow = bootstrap(
        lambda y, a, b: place(y, a).auc - place(y, b).auc,
        *(y, a, b),
        stratify=None if clustered else y,
        **options,
    )
    assert_allclose([fast["conf_low"], fast["conf_high"]], [slow.conf_low, slow.conf_high])
    assert_allclose(fast["std_error"], slow.std_error)
    assert fast["seed"] == 4


def test_independent_groups_of_patients():
    images = load_case("auc_cluster_images").table()
    half = (images["patient"] % 2 == 0).to_numpy()
    one, two = images[half], images[~half]
    arrays = [v for t in (one, two) for v in (t["label"], t["model_a"])]
    labels = {"cluster_1": one["patient"], "cluster_2": two["patient"]}
    row = compare_auc_independent(*arrays, **labels).frame().iloc[0]
    parts = [auc(t["label"], t["model_a"], cluster=t["patient"]) for t in (one, two)]
    errors = np.array([part.std_error for part in parts])
    assert_allclose(row["estimate"], parts[0].estimate - parts[1].estimate)
    assert_allclose(row["std_error"], np.hypot(*errors))
    sizes = np.array([part.n_cluster for part in parts])
    df = (errors**2).sum() ** 2 / (errors**4 / (sizes - 1)).sum()
    assert_allclose(row["df"], df)
    assert_allclose(row["p_value"], 2 * stats.t.sf(abs(row["statistic"]), df))
    assert row["n_cluster"] == 275
    single = [np.arange(half.sum()), np.arange((~half).sum())]
    plain = compare_auc_independent(*arrays).frame().iloc[0]
    alone = compare_auc_independent(*arrays, cluster_1=single[0], cluster_2=single[1])
    assert_allclose(alone.frame()["std_error"], plain["std_error"])
    with pytest.raises(ArgumentError, match="Give `cluster_1` and `cluster_2`, or neither"):
        compare_auc_independent(*arrays, cluster_2=single[1])


def test_two_perfect_groups_have_limits_but_no_test():
    y = np.repeat([0, 1], 10)
    with pytest.warns(SmallSampleWarning, match="the limits combine"):
        row = compare_auc_independent(y, y, y, y).frame().iloc[0]
    low = auc(y, y).conf_low
    assert_allclose([row["conf_low"], row["conf_high"]], [low - 1, 1 - low])
    assert np.isnan(row["p_value"])


def test_millions_of_cases_are_placed_like_few():
    rng = np.random.default_rng(9)
    y = rng.integers(0, 2, size=70_000)
    a, b = rng.normal(y, 1.0), rng.normal(y, 1.0).round(3)
    comparison = compare_auc(y, {"a": a, "b": b}).frame().iloc[0]
    for s, column in ((a, "auc_1"), (b, "auc_2")):
        ranks = stats.rankdata(s)
        m = int(y.sum())
        wins = ranks[y == 1].sum() - m * (m + 1) / 2
        assert_allclose(comparison[column], wins / (m * (len(y) - m)), rtol=1e-14)
    values = np.stack([place(y, s).values for s in (a, b)], axis=1)
    covariance = auc_covariance(values, y == 1)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert_allclose(comparison["std_error"], np.sqrt(variance), rtol=1e-9)


def test_noninferiority_by_margin():
    y, table = asah()
    risks = {"w": table["wfns"], "s": table["s100b"]}
    row = compare_auc(y, risks, margin=0.05).frame().iloc[0]
    z = (row["estimate"] + 0.05) / row["std_error"]
    assert_allclose(row["p_noninferior"], stats.norm.sf(z))
    assert row["noninferior"] == (row["conf_low"] > -0.05) == (row["p_noninferior"] < 0.025)
    text = compare_auc(y, risks, margin=0.05).summary()
    assert "non-inferiority of w (margin 0.05) shown: lower limit 0.010" in text
    turned = compare_auc(y, risks, contrasts=[("s", "w")], margin=0.05)
    assert not turned.frame()["noninferior"][0]
    assert turned.frame()["p_noninferior"][0] > 0.5
    assert "(margin 0.05) not shown: lower limit -0.174" in turned.summary()
    for margin in (5, "a lot", -0.05, True, np.nan):
        with pytest.raises(ArgumentError, match="`margin` must be a number inside"):
            compare_auc(y, risks, margin=margin)


def test_difference_without_variance_is_nan_with_a_warning():
    y = np.array([0, 0, 0, 1, 1, 1])
    with pytest.warns(SmallSampleWarning, match="variance of the AUC difference"):
        row = compare_auc(y, {"perfect": y, "tied": np.ones(6)}).frame().iloc[0]
    assert (row["auc_1"], row["auc_2"]) == (1.0, 0.5)
    assert np.isnan([row["std_error"], row["p_value"], row["conf_low"]]).all()
    with pytest.warns(SmallSampleWarning, match="both AUCs"):
        compare_auc_independent(y, y, y, y)


class Fit:
    spec = "noa ~ fsh"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        ({"risks": {"a": Fit(), "b": Fit()}}, ArgumentError, "compare_nested"),
        ({"risks": Fit()}, ArgumentError, "compare_nested"),
        (
            {"risks": {"a": [1, 2, 3, 4]}},
            ArgumentError,
            "`risks` must hold two or more to compare; it holds 1",
        ),
        ({"risks": {"a": [1, 2, 3, 4], "b": [1, 2, 3]}}, PairingError, "`b` has 3"),
        ({"risks": {"a": [1, 2, 3, 4], "b": [1, np.nan, 3, 4]}}, RiskError, "`b` must be finite"),
        ({"contrasts": [("a", "c")]}, ArgumentError, "of 'a', 'b'; got .'a', 'c'."),
        ({"contrasts": []}, ArgumentError, "`contrasts` is empty"),
        ({"contrasts": ("a", "b")}, ArgumentError, r"pairs \[\(name, name\), ...\] .* got 'a'"),
        ({"contrasts": "ab"}, ArgumentError, "must be a list of pairs"),
        ({"contrasts": 3}, ArgumentError, "must be a list of pairs"),
        ({"contrasts": [("a", "b"), ("b", "a")]}, ArgumentError, "names a pair twice"),
        ({"ci": "wald"}, ArgumentError, "`ci` must be one of 'delong', 'percentile', 'bca'"),
        ({"ci": "bca", "seed": -1}, ArgumentError, "`seed` must be a whole number"),
        ({"ci": "bca", "seed": 1, "n_boot": 0}, ArgumentError, "`n_boot` must be a whole number"),
        ({"adjust": "sidak"}, ArgumentError, "`adjust` must be one of 'holm'"),
        ({"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
        ({"cluster": [1, 2, 3, None]}, PairingError, "1 missing labels"),
    ],
)
def test_messages(call, error, text):
    call = {"risks": {"a": [1, 2, 3, 4], "b": [1, 3, 2, 4]}} | call
    with pytest.raises(error, match=text):
        compare_auc([0, 0, 1, 1], **call)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"y_1": [0, 0, 0, 0]}, OutcomeError, "`y_1` holds only non-events"),
        ({"y_2": ["no", "yes", "no", "yes"]}, OutcomeError, "`y_2` holds labels"),
        ({"s_2": [1, np.nan, 2, 3]}, RiskError, "`s_2` must be finite; 1 of 4"),
        ({"s_1": [1, 2]}, PairingError, "`y_1` has 4, `s_1` has 2"),
        ({"cluster_1": [1, 1, 2, 2]}, ArgumentError, "`cluster_1` and `cluster_2`, or neither"),
        (
            {"cluster_1": [1, 1, 2], "cluster_2": [1, 1, 2, 2]},
            PairingError,
            "`cluster` has 3",
        ),
        ({"conf_level": 0}, ArgumentError, "`conf_level` must lie inside"),
    ],
)
def test_messages_of_independent_groups(change, error, text):
    arguments = {"y_1": [0, 1, 0, 1], "s_1": [1, 2, 3, 4], "y_2": [0, 1, 0, 1], "s_2": [1, 2, 3, 4]}
    arguments |= change
    order = [arguments.pop(name) for name in ("y_1", "s_1", "y_2", "s_2")]
    with pytest.raises(error, match=text):
        compare_auc_independent(*order, **arguments)
