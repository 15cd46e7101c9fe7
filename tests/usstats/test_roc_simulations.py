"""What intervals cover and how often tests err, in seeded simulations of images of patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from usstats.delong import compare_auc
from usstats.proportions import cochran_q, mcnemar, mcnemar_clustered, wilson
from usstats.roc import auc
from usstats.thresholds import compare_accuracy, diagnostic_accuracy

pytestmark = pytest.mark.slow


def images_of_patients(rng, *, patients=137, correlation=0.7, shift=1.2, scores=1):
    """1-7 images a patient; scores share a patient effect, labels are the patient's.

    Returns the outcome, `scores` equally good scores (n, scores), and the patient of each image.
    """
    sizes = rng.integers(1, 8, size=patients)
    of_patient = np.repeat(np.arange(patients), sizes)
    y = rng.permutation(np.arange(patients) % 2)[of_patient]
    shared = rng.normal(size=(patients, scores))[of_patient] * np.sqrt(correlation)
    own = rng.normal(size=(len(y), scores)) * np.sqrt(1 - correlation)
    return y, shift * y[:, None] + shared + own, of_patient


def rejections(test, *, runs, seed):
    """Share of p values at or below 0.05 under the null hypothesis, one column a variant."""
    rng = np.random.default_rng(seed)
    return np.mean([np.asarray(test(rng)) <= 0.05 for _ in range(runs)], axis=0)


def test_clustered_interval_covers_where_the_plain_one_does_not():
    # METHODS R05: DeLong about 71.5 %, Obuchowski about 94 %
    rng = np.random.default_rng(20240501)
    truth = special.ndtr(1.2 / np.sqrt(2))
    covered = np.zeros((2000, 3))
    for i in range(len(covered)):
        y, s, patient = images_of_patients(rng)
        plain = auc(y, s[:, 0])
        clustered, on_logit = (
            auc(y, s[:, 0], cluster=patient, ci=ci) for ci in ("delong", "logit")
        )
        for j, got in enumerate((plain, clustered, on_logit)):
            covered[i, j] = got.conf_low <= truth <= got.conf_high
    plain, clustered, on_logit = covered.mean(axis=0)
    assert 0.65 <= plain <= 0.75
    assert 0.93 <= clustered <= 0.97
    assert 0.93 <= on_logit <= 0.97


def test_patient_bootstrap_covers():
    rng = np.random.default_rng(7)
    truth = special.ndtr(1.2 / np.sqrt(2))
    covered = []
    for i in range(400):
        y, s, patient = images_of_patients(rng)
        got = auc(y, s[:, 0], cluster=patient, ci="percentile", n_boot=300, seed=i)
        covered.append(got.conf_low <= truth <= got.conf_high)
    assert 0.91 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("truth", [0.95, 0.98, 0.99])
def test_limits_of_an_auc_near_one_are_honest(truth):
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], 25)
    shift = stats.norm.ppf(truth) * np.sqrt(2)
    methods = ("logit", "newcombe", "delong")
    covered = np.zeros((1000, 3))
    for i in range(len(covered)):
        s = rng.normal(size=50) + shift * y
        for j, ci in enumerate(methods):
            got = auc(y, s, ci=ci)
            covered[i, j] = got.conf_low <= truth <= got.conf_high
    logit, newcombe, wald = covered.mean(axis=0)
    assert 0.93 <= logit <= 0.99
    assert 0.93 <= newcombe <= 1
    assert wald < logit


def test_wilson_covers_on_average_and_clopper_pearson_nowhere_less():
    n, p = 60, np.linspace(0.02, 0.98, 193)
    limits = [wilson(x, n) for x in range(n + 1)]
    inside = np.array([(one.low <= p) & (p <= one.high) for one in limits])
    coverage = (stats.binom.pmf(np.arange(n + 1)[:, None], n, p) * inside).sum(axis=0)
    assert 0.948 <= coverage.mean() <= 0.956
    assert coverage.min() > 0.9


def test_clustered_sensitivity_covers_where_wilson_does_not():
    rng = np.random.default_rng(11)
    truth = special.ndtr(1.2 - 0.5)
    covered = []
    for _ in range(1000):
        y, s, patient = images_of_patients(rng)
        rows = [
            diagnostic_accuracy(y, s[:, 0], threshold=0.5, cluster=cluster).table.iloc[0]
            for cluster in (None, patient)
        ]
        covered.append([row["conf_low"] <= truth <= row["conf_high"] for row in rows])
    wilson_alone, clustered = np.mean(covered, axis=0)
    assert wilson_alone < 0.85
    assert 0.925 <= clustered <= 0.97


@pytest.mark.parametrize(("n", "shift"), [(80, 0.8), (200, 1.5)])
def test_delong_rejects_equal_curves_at_its_level(n, shift):
    y = np.arange(n) % 2

    def p_values(rng):
        shared = rng.normal(size=(n, 1))
        s = shift * y[:, None] + 0.7 * shared + 0.7 * rng.normal(size=(n, 3))
        got = compare_auc(y, {"a": s[:, 0], "b": s[:, 1], "c": s[:, 2]}, contrasts=[("a", "b")])
        return got.table["p_value"][0], got.global_test.p_value

    pair, overall = rejections(p_values, runs=2000, seed=1)
    assert 0.035 <= pair <= 0.065
    assert 0.035 <= overall <= 0.065


def test_clustered_comparison_rejects_equal_curves_at_its_level():
    def p_values(rng):
        y, s, patient = images_of_patients(rng, scores=3)
        risks = dict(zip("abc", s.T, strict=True))
        plain = compare_auc(y, risks, contrasts=[("a", "b")])
        clustered = compare_auc(y, risks, contrasts=[("a", "b")], cluster=patient)
        return (
            plain.table["p_value"][0],
            clustered.table["p_value"][0],
            clustered.global_test.p_value,
        )

    plain, clustered, overall = rejections(p_values, runs=1500, seed=2)
    assert plain > 0.15
    assert 0.035 <= clustered <= 0.07
    assert 0.035 <= overall <= 0.075


def test_clustered_mcnemar_rejects_equal_decisions_at_its_level():
    methods = ("yang", "obuchowski", "durkalski", "eliasziw")

    def p_values(rng):
        y, s, patient = images_of_patients(rng, patients=80, scores=2)
        first, second = (s > 0.9)[y == 1].T
        unit = np.unique(patient[y == 1], return_inverse=True)[1]
        kinds = (first & ~second, ~first & second, np.ones(len(unit)), first & second)
        n_10, n_01, n, n_11 = (np.bincount(unit, weights=kind) for kind in kinds)
        clustered = [
            mcnemar_clustered(n_10, n_01, n, method=method, n_11=n_11)[1] for method in methods
        ]
        return mcnemar(int(n_10.sum()), int(n_01.sum()))[1], *clustered

    plain, *clustered, eliasziw = rejections(p_values, runs=2000, seed=4)
    assert plain > 0.12
    for share in clustered:
        assert 0.035 <= share <= 0.065
    assert 0.05 < eliasziw < 0.1  # liberal where patients differ in their number of images


def test_predictive_values_and_ratios_reject_at_their_level():
    def p_values(rng):
        y = rng.random(250) < 0.4
        shared = rng.normal(size=250)[:, None]
        calls = 1.2 * y[:, None] + 0.8 * shared + 0.6 * rng.normal(size=(250, 2)) > 0.6
        weighted, score = (
            compare_accuracy(y, *calls.T, predictive=kind).table["p_value"][3:5]
            for kind in ("weighted", "score")
        )
        ratio = compare_accuracy(y, *calls.T, effect="ratio").table["p_value"]
        return [*weighted, *score, *ratio]

    for share in rejections(p_values, runs=1500, seed=5):
        assert 0.03 <= share <= 0.075


def test_cochran_rejects_at_its_level_with_and_without_patients():
    def p_values(rng):
        y, s, patient = images_of_patients(rng, patients=80, scores=3)
        calls = (s > 0.9)[y == 1]
        apart = rng.normal(size=(120, 1)) + rng.normal(size=(120, 3)) > 0
        return (
            cochran_q(apart).p_value,
            cochran_q(calls).p_value,
            cochran_q(calls, cluster=patient[y == 1]).p_value,
        )

    plain, ignoring, clustered = rejections(p_values, runs=2000, seed=6)
    assert 0.035 <= plain <= 0.065
    assert ignoring > 0.15
    assert 0.03 <= clustered <= 0.07
