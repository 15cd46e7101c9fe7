"""A shift of the network's logit between cohorts is measured and warned of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from usstats.errors import RiskError, ShiftWarning
from usstats.fusion import logit_shift


def logits(seed: int, n: int, mean: float = 0.0, sd: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, sd, n)


def test_the_difference_by_hand():
    one, two = np.array([-1.0, 0.0, 1.0]), np.array([-1.1, 0.1, 1.2, 0.0])
    shift = logit_shift(expit(one), expit(two), tolerance=9)
    pooled = np.sqrt((1.0 + np.var(two, ddof=1)) / 2)
    d = (two.mean() - 0) / pooled
    assert_allclose(shift.estimate, d)
    assert_allclose(shift.std_error, np.sqrt(1 / 3 + 1 / 4 + d**2 / 14))
    assert_allclose(shift.conf_high - shift.conf_low, 2 * 1.959963984540054 * shift.std_error)
    assert_allclose(shift.cohort_frame()["mean"], [0, two.mean()], atol=1e-12)
    assert_allclose(shift.ks_statistic, 1 / 4)


def test_swapping_the_cohorts_flips_the_sign():
    one, two = expit(logits(1, 80)), expit(logits(2, 60, 0.1))
    there, back = logit_shift(one, two), logit_shift(two, one)
    assert_allclose(there.estimate, -back.estimate)
    assert_allclose(there.sd_ratio, 1 / back.sd_ratio)
    assert_allclose(there.ks_statistic, back.ks_statistic)


def test_the_same_distribution_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shift = logit_shift(expit(logits(1, 500)), expit(logits(2, 500)))
    assert not shift.shifted
    assert shift.frame()["shifted"].tolist() == [False]


@pytest.mark.parametrize("other", [(0.8, 1.0), (0.0, 0.4), (0.0, 2.5)])
def test_another_place_or_spread_is_warned_of(other):
    with pytest.warns(ShiftWarning, match=r"R02: logit shift .* Recalibrate"):
        shift = logit_shift(expit(logits(1, 300)), expit(logits(2, 200, *other)))
    assert shift.shifted


def test_a_difference_that_chance_explains_is_silent():
    shift = logit_shift(expit([-1.0, 0.0, 1.0]), expit([-0.4, 0.6, 1.6]))
    assert shift.estimate > 0.25
    assert not shift.shifted


def test_repr_states_sizes_and_level():
    text = repr(logit_shift(expit(logits(1, 30)), expit(logits(1, 30))))
    assert "n = 30 development, 30 external, unit: patient" in text
    assert "95 %" in text


@pytest.mark.parametrize("bad", [[0.5], [0.4, 0.4]])
def test_a_cohort_without_spread(bad):
    with pytest.raises(RiskError, match="two different values in each cohort"):
        logit_shift([0.2, 0.3], bad)


def test_values_outside_the_range_name_the_cohort():
    with pytest.raises(RiskError, match="`external` must lie in"):
        logit_shift([0.2, 0.3], [0.2, 1.3])
