"""Intervals of a proportion and McNemar's tests: R values, definitions, and empty tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from statsmodels.stats import contingency_tables

from tests.reference import load_case
from usstats.errors import ArgumentError, PairingError, SmallSampleWarning
from usstats.proportions import clopper_pearson, mcnemar, mcnemar_clustered, tango, wald, wilson

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
    return (*grouped, images.groupby("patient").size())


@pytest.mark.parametrize("method", ["yang", "obuchowski", "durkalski"])
def test_clustered_mcnemar_equals_clust_bin_pair(method):
    case = load_case("cluster_mcnemar_images")
    b, c, n = per_patient()
    case.check([b.sum()], "sensitivity_test.discordant_10")
    statistic, p_value = mcnemar_clustered(b, c, n, method=method)
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


@pytest.mark.parametrize("method", ["yang", "obuchowski", "durkalski"])
def test_one_patient_allows_no_clustered_test(method):
    with pytest.warns(SmallSampleWarning, match="one patient"):
        got = mcnemar_clustered([3], [1], [8], method=method)
    assert np.isnan(got).all()


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
        (lambda: mcnemar(-1, 4), ArgumentError, "cannot be negative; got -1 and 4"),
        (lambda: mcnemar(1, 4, method="fisher"), ArgumentError, "`method` must be one of 'chi2'"),
        (
            lambda: mcnemar_clustered([1], [1, 2], [3, 4]),
            PairingError,
            r"one value a patient; shapes \(1,\)",
        ),
        (
            lambda: mcnemar_clustered([1], [0], [3], method="eliasziw"),
            ArgumentError,
            "`method` must be one of 'yang', 'obuchowski', 'durkalski'",
        ),
    ],
)
def test_messages(call, error, text):
    with pytest.raises(error, match=text):
        call()
