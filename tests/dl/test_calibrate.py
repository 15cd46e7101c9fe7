"""Temperatures: the minimum of a convex loss, and never fitted on the patient's own outcome."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from dl.calibrate import BOUNDS, Temperatures, fit_temperature, fit_temperatures

RNG = np.random.default_rng(4)
LP = RNG.normal(0, 1.5, 4000)
Y = (RNG.random(4000) < expit(LP)).astype(int)


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_temperature_undoes_a_factor(factor):
    assert fit_temperature(LP * factor, Y) == pytest.approx(factor, rel=0.1)


def test_temperature_is_the_grid_minimum():
    s = LP[:300] * 2
    grid = np.exp(np.linspace(*np.log(BOUNDS), 20001))
    margin = np.where(Y[:300] == 1, -s, s)
    losses = [np.logaddexp(0, margin / t).sum() for t in grid]
    assert fit_temperature(s, Y[:300]) == pytest.approx(grid[int(np.argmin(losses))], rel=1e-3)


def test_weights_are_repetitions():
    s, y, w = LP[:50], Y[:50], RNG.integers(1, 4, 50)
    assert fit_temperature(s, y, weights=w) == pytest.approx(
        fit_temperature(np.repeat(s, w), np.repeat(y, w)), rel=1e-6
    )


@pytest.mark.parametrize(("sign", "bound"), [(1, BOUNDS[0]), (-1, BOUNDS[1])])
def test_separated_and_inverted_logits_stop_at_a_bound(sign, bound):
    y = np.array([0, 0, 1, 1])
    assert fit_temperature(sign * np.array([-2.0, -1, 1, 2]), y) == pytest.approx(bound, rel=1e-3)


def test_own_fold_has_no_say_in_its_temperature():
    fold = np.arange(4000) % 4
    before = fit_temperatures(LP, Y, fold, np.arange(4000))
    flipped = np.where(fold == 2, 1 - Y, Y)
    after = fit_temperatures(LP, flipped, fold, np.arange(4000))
    assert after.by_fold[2] == before.by_fold[2]
    assert after.by_fold[0] != before.by_fold[0]
    assert after.overall != before.overall


def test_a_patient_with_many_images_counts_once():
    once = fit_temperatures(LP[:60], Y[:60], np.arange(60) % 3, np.arange(60))
    again = np.r_[np.arange(60), np.zeros(40, dtype=int)]
    many = fit_temperatures(LP[again], Y[again], again % 3, again)
    assert many.overall == pytest.approx(once.overall, rel=1e-6)


def test_temperatures_survive_json():
    found = fit_temperatures(LP[:90], Y[:90], np.arange(90) % 3, np.arange(90))
    back = Temperatures.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back == found
    np.testing.assert_array_equal(back.of([2, 0]), [found.by_fold[2], found.by_fold[0]])
