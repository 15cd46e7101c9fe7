"""DeLong and Obuchowski comparisons: pROC 1.18.0, doAUCcluster 1.0, fastAUC 2.1; and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tests.reference import load_case, read_reference_table
from usstats._multiplicity import adjust_p
from usstats._placements import auc_covariance, place
from usstats.delong import compare_auc, compare_auc_independent
from usstats.errors import ArgumentError, PairingError, RiskError, SmallSampleWarning


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


def test_independent_groups_equal_proc():
    case = load_case("roc_asah_tests")
    y, table = asah()
    male = (table["gender"] == "Male").to_numpy()
    s = table["s100b"]
    row = compare_auc_independent(y[male], s[male], y[~male], s[~male]).frame().iloc[0]
    for column, path in [("estimate", "difference"), ("statistic", "statistic"), ("df", "df")]:
        case.check(row[column], f"unpaired_male_female.{path}")
    case.check(row["p_value"], "unpaired_male_female.p")
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


def test_adjustment_equals_r():
    case = load_case("p_adjust")
    p = case.inputs["p"]
    case.check(adjust_p(p, "holm"), "holm")
    case.check(adjust_p(p, "bonferroni"), "bonferroni")


def test_noninferiority_by_margin():
    y, table = asah()
    risks = {"w": table["wfns"], "s": table["s100b"]}
    row = compare_auc(y, risks, margin=0.05).frame().iloc[0]
    z = (row["estimate"] + 0.05) / row["std_error"]
    assert_allclose(row["p_noninferior"], stats.norm.sf(z))
    assert row["noninferior"] == (row["conf_low"] > -0.05) == (row["p_noninferior"] < 0.025)
    with pytest.raises(ArgumentError, match="`margin` must lie inside"):
        compare_auc(y, risks, margin=5)


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
            "two or more scores to compare; it holds 1",
        ),
        ({"risks": {"a": [1, 2, 3, 4], "b": [1, 2, 3]}}, PairingError, "`b` has 3"),
        ({"risks": {"a": [1, 2, 3, 4], "b": [1, np.nan, 3, 4]}}, RiskError, "`b` must be finite"),
        ({"contrasts": [("a", "c")]}, ArgumentError, "pairs of 'a', 'b'; got .'a', 'c'."),
        ({"contrasts": []}, ArgumentError, "`contrasts` is empty"),
        ({"adjust": "fdr"}, ArgumentError, "`adjust` must be one of 'holm'"),
        ({"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
        ({"cluster": [1, 2, 3, None]}, PairingError, "1 missing labels"),
    ],
)
def test_messages(call, error, text):
    call = {"risks": {"a": [1, 2, 3, 4], "b": [1, 3, 2, 4]}} | call
    with pytest.raises(error, match=text):
        compare_auc([0, 0, 1, 1], **call)
