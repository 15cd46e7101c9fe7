"""Intervals of a proportion and McNemar's tests: R values, definitions, and empty tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from statsmodels.stats import contingency_tables

from tests.reference import load_case
from usstats.errors import ArgumentError, OutcomeError, PairingError, SmallSampleWarning
from usstats.proportions import (
    clopper_pearson,
    cochran_q,
    mcnemar,
    mcnemar_clustered,
    tango,
    wald,
    wilson,
)

COUNTS = [(45, 50), (8, 120), (0, 20), (30, 30), (1, 7)]


def limits(interval):
    return [interval.low, interval.high]


@pytest.mark.parametrize(
    ("name", "x", "n"),
    [("a_45_50_95", 45, 50), ("b_8_120_95", 8, 120), ("c_0_20_95", 0, 20), ("d_30_30_95", 30, 30)],
)
def test_limits_equal_binom(name, x, n):
    case = load_case("diag_binomial_ci")
    case.check([x / n, *limits(clopper_pearson(x, n))], f"{name}.exact")
    case.check([x / n, *limits(wilson(x, n))], f"{name}.wilson")
    case.check([x / n, *limits(wald(x, n))], f"{name}.asymptotic")


@pytest.mark.parametrize(("x", "n"), COUNTS)
@pytest.mark.parametrize("conf_level", [0.8, 0.95, 0.99])
def test_wilson_solves_the_score_equation(x, n, conf_level):
    z = stats.norm.ppf((1 + conf_level) / 2)

    def surplus(p):
        return n * (x / n - p) ** 2 - z**2 * p * (1 - p)

    low = 0.0 if x == 0 else optimize.brentq(surplus, 1e-12, x / n - 1e-9 * (x == n))
    high = 1.0 if x == n else optimize.brentq(surplus, x / n + 1e-9 * (x == 0), 1 - 1e-12)
    assert_allclose(limits(wilson(x, n, conf_level=conf_level)), [low, high], atol=1e-10)


@pytest.mark.parametrize(("x", "n"), COUNTS)
def test_exact_limits_leave_half_of_alpha_in_each_tail(x, n):
    low, high = limits(clopper_pearson(x, n, conf_level=0.9))
    if x > 0:
        assert_allclose(stats.binom.sf(x - 1, n, low), 0.05)
    if x < n:
        assert_allclose(stats.binom.cdf(x, n, high), 0.05)


@pytest.mark.parametrize("method", [wilson, clopper_pearson, wald])
def test_limits_turn_with_the_counts(method):
    low, high = limits(method(13, 40))
    assert_allclose(limits(method(27, 40)), [1 - high, 1 - low], rtol=1e-12)


def test_exact_coverage_is_never_below_the_level():
    n, p = 15, np.linspace(0.01, 0.99, 99)
    bounds = np.array([limits(clopper_pearson(x, n)) for x in range(n + 1)])
    inside = (bounds[:, :1] <= p) & (p <= bounds[:, 1:])
    coverage = (stats.binom.pmf(np.arange(n + 1)[:, None], n, p) * inside).sum(axis=0)
    assert coverage.min() >= 0.95


def score_z(b, c, n, difference):
    """Score statistic with the nuisance parameter found by a numerical search."""

    def minus_log_likelihood(q):
        cells = np.array([q + difference, q, 1 - 2 * q - difference])
        counts = np.array([b, c, n - b - c])
        return -(counts * np.log(np.maximum(cells, 1e-300))).sum()

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    found = optimize.minimize_scalar(
        minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    )
    variance = n * (2 * found.x + difference * (1 - difference))
    return (b - c - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize(("b", "c", "n"), [(78, 22, 451), (3, 1, 20), (12, 9, 30), (5, 5, 40)])
def test_tango_limits_are_where_the_score_test_just_rejects(b, c, n):
    interval = tango(b, c, n, conf_level=0.9)
    z = stats.norm.ppf(0.95)
    assert_allclose(score_z(b, c, n, interval.low), z, rtol=1e-5)
    assert_allclose(score_z(b, c, n, interval.high), -z, rtol=1e-5)


def test_tango_turns_with_the_pairs_and_needs_no_discordance():
    there, back = tango(9, 2, 33), tango(2, 9, 33)
    assert_allclose(limits(there), [-back.high, -back.low], rtol=1e-12)
    none = tango(0, 0, 25)
    assert_allclose(none.high, -none.low)
    z2 = stats.norm.ppf(0.975) ** 2
    assert_allclose(none.high, z2 / (25 + z2))


def test_tango_ends_at_the_bounds():
    assert tango(10, 0, 10).high == 1.0
    assert tango(0, 10, 10).low == -1.0


PAIRED = [("sens", 78, 22), ("spec", 53, 22), ("all", 100, 75)]


@pytest.mark.parametrize(("name", "n_10", "n_01"), PAIRED)
def test_mcnemar_equals_r(name, n_10, n_01):
    case = load_case("diag_paired_paired1")
    path = "all_mcnemar_accuracy" if name == "all" else f"{name}_mcnemar"
    for method, suffix in (("chi2", ""), ("chi2_corrected", "_corrected")):
        statistic, p_value = mcnemar(n_10, n_01, method=method)
        case.check(statistic, f"{path}.chi2{suffix}")
        case.check(p_value, f"{path}.p{suffix}")
    for method in ("exact", "midp"):
        statistic, p_value = mcnemar(n_10, n_01, method=method)
        assert np.isnan(statistic)
        case.check(p_value, f"{path}.p_{method}")


@pytest.mark.parametrize(("b", "c"), [(0, 1), (6, 1), (4, 4), (30, 17), (0, 12)])
def test_mcnemar_equals_statsmodels_and_the_binomial(b, c):
    table = [[10, b], [c, 10]]
    for method, options in {
        "exact": {"exact": True},
        "chi2": {"exact": False, "correction": False},
    }.items():
        theirs = contingency_tables.mcnemar(table, **options)
        assert_allclose(mcnemar(b, c, method=method)[1], theirs.pvalue, rtol=1e-10)
    masses = [math.comb(b + c, k) / 2 ** (b + c) for k in range(b + c + 1)]
    tail = sum(masses[: min(b, c)]) + masses[min(b, c)] / 2
    assert_allclose(mcnemar(b, c, method="midp")[1], 2 * tail, rtol=1e-10)


def test_without_discordant_pairs_nothing_speaks_against_equality():
    for method in ("chi2", "chi2_corrected", "exact", "midp"):
        assert mcnemar(0, 0, method=method)[1] == 1.0
    assert mcnemar(3, 3, method="chi2_corrected") == (0.0, 1.0)
    assert mcnemar(3, 3, method="exact")[1] == 1.0


def per_patient():
    """Discordant counts of patients of the reference table, among images with the label."""
    images = load_case("cluster_mcnemar_images").table().query("label == 1")
    first, second = images["pos_a"] == 1, images["pos_b"] == 1
    grouped = [
        values.groupby(images["patient"]).sum() for values in (first & ~second, ~first & second)
    ]
    both = (first & second).groupby(images["patient"]).sum()
    return (*grouped, images.groupby("patient").size(), both)


METHODS = ["yang", "obuchowski", "durkalski", "eliasziw"]


@pytest.mark.parametrize("method", METHODS)
def test_clustered_mcnemar_equals_clust_bin_pair(method):
    case = load_case("cluster_mcnemar_images")
    b, c, n, both = per_patient()
    case.check([b.sum()], "sensitivity_test.discordant_10")
    case.check([c.sum()], "sensitivity_test.discordant_01")
    statistic, p_value = mcnemar_clustered(b, c, n, method=method, n_11=both)
    case.check(statistic, f"sensitivity_test.{method}.chi2")
    case.check(p_value, f"sensitivity_test.{method}.p")


def test_clustered_mcnemar_equals_the_sums_patient_by_patient():
    rng = np.random.default_rng(3)
    n = rng.integers(1, 6, size=30)
    b = rng.integers(0, n + 1)
    c = rng.integers(0, n - b + 1)
    k, gap = 30, sum(b) - sum(c)
    naive = {
        "obuchowski": (k - 1) / k * gap**2 / sum((i - j) ** 2 for i, j in zip(b, c, strict=True)),
        "durkalski": sum((i - j) / m for i, j, m in zip(b, c, n, strict=True)) ** 2
        / sum(((i - j) / m) ** 2 for i, j, m in zip(b, c, n, strict=True)),
    }
    share = gap / sum(n)
    spread = sum(((i - j) - m * share) ** 2 + (i - j) ** 2 for i, j, m in zip(b, c, n, strict=True))
    naive["yang"] = (k - 1) / k * gap**2 / (spread / 2)
    for method, expected in naive.items():
        statistic, p_value = mcnemar_clustered(b, c, n, method=method)
        assert_allclose(statistic, expected, rtol=1e-12)
        assert_allclose(p_value, stats.chi2.sf(expected, 1), rtol=1e-10)


def test_one_pair_a_patient_is_mcnemar():
    b, c = np.r_[np.ones(9), np.zeros(31)], np.r_[np.zeros(9), np.ones(4), np.zeros(27)]
    plain = mcnemar(9, 4)[0]
    assert_allclose(mcnemar_clustered(b, c, np.ones(40), method="durkalski")[0], plain)
    assert_allclose(mcnemar_clustered(b, c, np.ones(40), method="obuchowski")[0], plain * 39 / 40)


def test_patients_in_balance_have_p_one():
    assert mcnemar_clustered([1, 2], [1, 2], [3, 4]) == (0.0, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_one_patient_allows_no_clustered_test(method):
    with pytest.warns(SmallSampleWarning, match="one patient"):
        got = mcnemar_clustered([3], [1], [8], method=method, n_11=[2])
    assert np.isnan(got).all()


def intraclass_correlation(counts):
    """Analysis of variance of four indicators, pair by pair."""
    pairs = [
        (patient, kind)
        for patient, row in enumerate(counts)
        for kind, count in enumerate(row)
        for _ in range(int(count))
    ]
    patient = np.array([p for p, _ in pairs])
    indicators = np.eye(4)[[kind for _, kind in pairs]]
    k, total = len(counts), len(pairs)
    means = np.array([indicators[patient == p].mean(axis=0) for p in range(k)])
    between = sum(
        (patient == p).sum() * ((means[p] - indicators.mean(axis=0)) ** 2).sum() for p in range(k)
    )
    within = ((indicators - means[patient]) ** 2).sum()
    sizes = np.bincount(patient)
    typical = sizes.mean() - sizes.var(ddof=1) / (k * sizes.mean())
    mean_between, mean_within = between / k, within / (total - k)
    return (mean_between - mean_within) / (mean_between + (typical - 1) * mean_within)


def test_eliasziw_takes_the_correlation_from_an_analysis_of_variance():
    rng = np.random.default_rng(12)
    counts = rng.multinomial(5, [0.3, 0.25, 0.15, 0.3], size=25)
    both, b, c, _ = counts.T
    star = intraclass_correlation(counts)
    discordant = (b + c).sum() / counts.sum()
    rho = 1 / (1 + discordant * (1 - star) / star)
    some = (b + c)[b + c > 0]
    weighted = (some**2).sum() / some.sum()
    expected = mcnemar(b.sum(), c.sum())[0] / (1 + (weighted - 1) * rho)
    got = mcnemar_clustered(b, c, counts.sum(axis=1), method="eliasziw", n_11=both)[0]
    assert_allclose(got, expected, rtol=1e-10)


def test_eliasziw_of_one_pair_a_patient_is_mcnemar():
    b, c = np.r_[np.ones(9), np.zeros(31)], np.r_[np.zeros(9), np.ones(4), np.zeros(27)]
    got = mcnemar_clustered(b, c, np.ones(40), method="eliasziw", n_11=np.zeros(40))
    assert_allclose(got, mcnemar(9, 4))


def naive_q(table):
    """Cochran (1950), equation 1."""
    k = table.shape[1]
    t, u = table.sum(axis=0), table.sum(axis=1)
    return k * (k - 1) * ((t - t.mean()) ** 2).sum() / (k * u.sum() - (u**2).sum())


@pytest.mark.parametrize("k", [2, 3, 5])
def test_cochran_equals_statsmodels_and_the_definition(k):
    table = np.random.default_rng(k).random((60, k)) < np.linspace(0.4, 0.6, k)
    got = cochran_q(table)
    theirs = contingency_tables.cochrans_q(table.astype(int))
    assert_allclose([got.statistic, got.p_value], [theirs.statistic, theirs.pvalue])
    assert_allclose(got.statistic, naive_q(table.astype(float)))
    assert got.df == k - 1


def test_cochran_of_two_is_mcnemar_with_and_without_patients():
    case = load_case("cluster_mcnemar_images")
    images = case.table().query("label == 1")
    table = images[["pos_a", "pos_b"]].to_numpy()
    case.check(cochran_q(table).statistic, "sensitivity_test.mcnemar_ignoring_clusters.chi2")
    clustered = cochran_q(table, cluster=images["patient"])
    case.check(clustered.statistic, "sensitivity_test.obuchowski.chi2")
    case.check(clustered.p_value, "sensitivity_test.obuchowski.p")
    assert "unit: patient (205 clusters)" in repr(clustered)


def test_cochran_does_not_care_for_the_order_or_for_a_copy():
    rng = np.random.default_rng(3)
    patient = rng.integers(0, 25, size=90)
    table = (rng.random((90, 3)) < [0.4, 0.5, 0.6]).astype(int)
    for cluster in (None, patient):
        here, there = (cochran_q(t, cluster=cluster) for t in (table, table[:, [2, 0, 1]]))
        assert_allclose(here.statistic, there.statistic)
    twice = cochran_q(np.c_[table, table[:, :1]], cluster=patient)
    once = cochran_q(table, cluster=patient)
    assert (twice.df, once.df) == (2, 2)
    assert_allclose(twice.statistic, once.statistic)


def test_cochran_of_decisions_that_agree_has_p_one():
    same = np.repeat([[1], [0], [1]], 3, axis=1)
    assert cochran_q(same).p_value == 1.0
    assert cochran_q(same, cluster=[1, 1, 2]).p_value == 1.0
    with pytest.warns(SmallSampleWarning, match="one patient"):
        assert np.isnan(cochran_q([[1, 0], [0, 0]], cluster=[4, 4]).p_value)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: wilson(5, 4), ArgumentError, "0 <= x <= n with n > 0; got x = 5, n = 4"),
        (lambda: wilson(-1, 4), ArgumentError, "got x = -1"),
        (lambda: clopper_pearson(0, 0), ArgumentError, "n = 0"),
        (lambda: wald(3, np.nan), ArgumentError, "n = nan"),
        (lambda: wilson(3, 4, conf_level=95), ArgumentError, "`conf_level` must lie inside"),
        (lambda: clopper_pearson(3, 4, conf_level="95"), ArgumentError, "for example 0.95"),
        (lambda: tango(3, 4, 5), ArgumentError, "got x = 7, n = 5"),
        (lambda: mcnemar(-1, 4), ArgumentError, "whole numbers from 0; got -1 and 4"),
        (lambda: mcnemar(1, 4, method="fisher"), ArgumentError, "`method` must be one of 'chi2'"),
        (
            lambda: mcnemar_clustered([1], [1, 2], [3, 4]),
            PairingError,
            r"one value a patient; shapes \(1,\)",
        ),
        (
            lambda: mcnemar_clustered([1], [0], [3], method="eliasziw"),
            ArgumentError,
            "'eliasziw' needs `n_11`",
        ),
        (
            lambda: mcnemar_clustered([1], [0], [3], method="liang"),
            ArgumentError,
            "`method` must be one of 'yang', 'obuchowski', 'durkalski', 'eliasziw'",
        ),
        (
            lambda: mcnemar_clustered([1, 2], [0, 2], [3, 3]),
            ArgumentError,
            "no more discordant pairs than pairs",
        ),
        (lambda: mcnemar_clustered(["a"], [0], [3]), ArgumentError, "must be numbers"),
        (lambda: mcnemar(1.5, 4), ArgumentError, "got 1.5 and 4"),
        (lambda: mcnemar("3", 4), ArgumentError, "got '3' and 4"),
        (lambda: wilson("3", 4), ArgumentError, "got x = '3', n = 4"),
        (lambda: wilson(3, np.inf), ArgumentError, "n = inf"),
        (lambda: cochran_q([1, 0, 1]), ArgumentError, r"it has shape \(3,\)"),
        (lambda: cochran_q([[1], [0]]), ArgumentError, r"k >= 2 columns; it has shape \(2, 1\)"),
        (lambda: cochran_q([[1, 2], [0, 1]]), OutcomeError, r"`decisions\[:, 1\]` must be 0/1"),
        (lambda: cochran_q([[1, np.nan], [0, 1]]), OutcomeError, "1 missing"),
        (lambda: cochran_q([[1, 0], [0, 1]], cluster=[1]), PairingError, "`cluster` has 1"),
    ],
)
def test_messages(call, error, text):
    with pytest.raises(error, match=text):
        call()
