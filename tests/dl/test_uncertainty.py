"""Entropies against their sums, and the laws of disagreement."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dl.uncertainty import (
    ensemble_logits,
    ensemble_probabilities,
    expected_entropy,
    member_probabilities,
    mutual_information,
    predictive_entropy,
)
from usstats.errors import ArgumentError, RiskError

RNG = np.random.default_rng(3)
BINARY = RNG.normal(0, 2, (5, 7))
CLASSES = RNG.normal(0, 2, (4, 6, 3))

logit_arrays = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(-30, 30))
)


def _softmax(row: np.ndarray) -> list[float]:
    total = sum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


def _entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q > 0)


def test_entropies_are_their_sums():
    for case in range(6):
        members = [_softmax(CLASSES[m, case]) for m in range(4)]
        mean = [sum(p[k] for p in members) / 4 for k in range(3)]
        total, expected = _entropy(mean), sum(map(_entropy, members)) / 4
        assert predictive_entropy(CLASSES)[case] == pytest.approx(total, rel=1e-12)
        assert expected_entropy(CLASSES)[case] == pytest.approx(expected, rel=1e-12)
        assert mutual_information(CLASSES)[case] == pytest.approx(total - expected, rel=1e-9)


def test_mutual_information_is_the_mean_divergence_from_the_mean():
    """The same by another road: the mean Kullback-Leibler divergence of members from it."""
    p = member_probabilities(CLASSES)
    divergence = (p * np.log(p / p.mean(axis=0))).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(mutual_information(CLASSES), divergence, rtol=1e-9)


def test_a_single_logit_is_two_classes():
    two = np.stack([np.zeros_like(BINARY), BINARY], axis=2)
    for function in (predictive_entropy, expected_entropy, mutual_information):
        np.testing.assert_allclose(function(BINARY), function(two), rtol=1e-10)
        np.testing.assert_allclose(function(BINARY[:, :, None]), function(two), rtol=1e-10)
    p = 1 / (1 + np.exp(-BINARY))
    np.testing.assert_allclose(member_probabilities(BINARY)[:, :, 1], p)


@given(logit_arrays)
def test_disagreement_lies_inside_its_bounds(s):
    found = mutual_information(s)
    top = min(math.log(len(s)), math.log(max(s.shape[2], 2)))
    assert (found >= 0).all()
    assert (found <= top + 1e-9).all()
    assert (found <= predictive_entropy(s) + 1e-12).all()


@given(logit_arrays)
def test_the_members_order_does_not_matter_and_agreement_is_zero(s):
    np.testing.assert_allclose(mutual_information(s[::-1]), mutual_information(s), atol=1e-9)
    same = np.repeat(s[:1], 4, axis=0)
    np.testing.assert_allclose(mutual_information(same), 0, atol=1e-9)


def test_opposite_certainties_disagree_most():
    assert mutual_information([[40.0], [-40.0]])[0] == pytest.approx(math.log(2))
    assert mutual_information([[0.0], [0.0]])[0] == pytest.approx(0)
    assert predictive_entropy([[0.0], [0.0]])[0] == pytest.approx(math.log(2))


def test_far_logits_do_not_overflow():
    s = np.array([[800.0, -800.0], [800.0, 800.0]])
    assert np.isfinite(mutual_information(s)).all()
    np.testing.assert_allclose(mutual_information(s), [0, math.log(2)], atol=1e-12)


def test_two_rules_of_the_ensemble():
    p = 1 / (1 + np.exp(-BINARY))
    np.testing.assert_allclose(ensemble_probabilities(BINARY, rule="probability"), p.mean(axis=0))
    by_logit = 1 / (1 + np.exp(-BINARY.mean(axis=0)))
    np.testing.assert_allclose(ensemble_probabilities(BINARY), by_logit)
    np.testing.assert_allclose(ensemble_logits(BINARY), BINARY.mean(axis=0))
    several = ensemble_probabilities(CLASSES, rule="logit")
    np.testing.assert_allclose(several.sum(axis=1), 1)
    np.testing.assert_allclose(several[2], _softmax(CLASSES.mean(axis=0)[2]))
    assert ensemble_logits(CLASSES).shape == (6, 3)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros(4), r"must be \(n_networks, n\) or .*got shape \(4,\)"),
        (np.zeros((0, 3)), r"got shape \(0, 3\)"),
        ([[0.0, np.nan], [0.0, 1.0]], r"finite; 1 of 2 cases are not \(first: case 1\)"),
        ([[np.inf, 0.0]], r"finite; 1 of 2 cases are not \(first: case 0\)"),
    ],
)
def test_logits_that_cannot_be_used_are_refused(logits, message):
    with pytest.raises(RiskError, match=message):
        mutual_information(logits)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ArgumentError, match="`rule` must be one of 'logit', 'probability'"):
        ensemble_probabilities(BINARY, rule="vote")


def test_it_loads_no_torch():
    code = "import sys, dl.uncertainty, dl.abstention; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
