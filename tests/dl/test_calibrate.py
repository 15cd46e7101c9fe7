"""Calibrators: minima of convex losses, in order, and never fitted on the patient's own outcome."""

from __future__ import annotations

import json

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, log_softmax, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from dl.calibrate import (
    BOUNDS,
    KINDS,
    CrossFitted,
    Isotonic,
    Platt,
    Temperature,
    Uncalibrated,
    calibrator_from_dict,
    class_log_odds,
    fit_calibrator,
    fit_calibrators,
    fit_isotonic,
    fit_platt,
    fit_temperature,
)
from usstats.errors import ArgumentError, OutcomeError, PairingError

RNG = np.random.default_rng(4)
LP = RNG.normal(0, 1.5, 4000)
Y = (RNG.random(4000) < expit(LP)).astype(int)
Z = RNG.normal([0.5, 0, -0.5], 1.5, (4000, 3))
CLASS = (softmax(Z, axis=1).cumsum(axis=1) > RNG.random((4000, 1))).argmax(axis=1)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    own = np.where(y == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(y)), y]
    return float(-np.log(own).mean())


# --- temperature -----------------------------------------------------------------------------


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


# --- Platt -----------------------------------------------------------------------------------


def test_platt_is_a_weighted_logistic_regression():
    s, y, w = 3 * LP[:400] - 2, Y[:400], RNG.uniform(0.2, 2, 400)
    peer = sm.GLM(y, sm.add_constant(s), family=sm.families.Binomial(), freq_weights=w).fit(
        tol=1e-12
    )
    found = fit_platt(s, y, weights=w)
    assert (found.intercept[0], found.slope[0]) == pytest.approx(tuple(peer.params), rel=1e-5)


def test_platt_undoes_a_shift_and_a_factor():
    found = fit_platt(2 * LP - 1, Y)
    assert found.slope[0] == pytest.approx(0.5, rel=0.1)
    assert found.intercept[0] == pytest.approx(0.5, abs=0.1)


def test_a_line_through_the_origin_is_a_temperature():
    line = Platt(intercept=(0.0,), slope=(1 / 1.7,))
    np.testing.assert_allclose(line.apply(LP), Temperature(temperature=1.7).apply(LP), rtol=1e-12)
    lines = Platt(intercept=(0.0,) * 3, slope=(1 / 1.7,) * 3)
    np.testing.assert_allclose(lines.apply(Z), Temperature(temperature=1.7).apply(Z), rtol=1e-12)


def test_platt_of_classes_is_the_minimum_that_sklearn_finds():
    """With the classes' log-probabilities as own columns, and other slopes at zero, by hand."""
    x, y = log_softmax(2 * Z[:500], axis=1), CLASS[:500]
    found = fit_platt(2 * Z[:500], y)
    best = log_loss(found.apply(2 * Z[:500]), y)
    full = LogisticRegression(C=1e9, max_iter=5000, tol=1e-10).fit(x, y)
    assert log_loss(full.predict_proba(x), y) < best + 1e-9  # more freedom, never worse
    assert sum(found.intercept) == pytest.approx(0, abs=1e-6)
    steps = np.random.default_rng(1).normal(0, 0.02, (200, 6))
    for step in steps:
        near = Platt(
            intercept=tuple(np.array(found.intercept) + step[:3]),
            slope=tuple(np.array(found.slope) + step[3:]),
        )
        assert log_loss(near.apply(2 * Z[:500]), y) > best


def test_platt_of_classes_does_not_see_a_constant_added_to_an_image():
    found, shift = fit_platt(Z[:200], CLASS[:200]), RNG.normal(0, 5, (200, 1))
    np.testing.assert_allclose(found.apply(Z[:200] + shift), found.apply(Z[:200]), rtol=1e-10)
    again = fit_platt(Z[:200] + shift, CLASS[:200])
    assert again.slope == pytest.approx(found.slope, rel=1e-4)


def test_platt_of_two_classes_is_that_of_their_difference():
    z, y = Z[:300, :2], (CLASS[:300] > 0).astype(int)
    one = fit_platt(z[:, 1] - z[:, 0], y)
    # The line of the single logit, as a line a class, is one of those the two may choose.
    two = fit_platt(z, y)
    assert log_loss(two.apply(z), y) <= log_loss(one.apply(z[:, 1] - z[:, 0]), y) + 1e-9


@pytest.mark.parametrize("sign", [1, -1])
def test_separated_and_inverted_logits_keep_a_rising_line(sign):
    found = fit_platt(sign * np.array([-2.0, -1, 1, 2]), [0, 0, 1, 1])
    assert BOUNDS[0] - 1e-9 <= found.slope[0] <= BOUNDS[1] + 1e-9
    assert np.isfinite(found.intercept[0])


def test_logits_of_one_class_and_constant_logits_have_an_answer():
    assert fit_platt([0.0, 1.0, 2.0], [1, 1, 1]).apply([1.0])[0] > 0.999
    assert fit_platt([1.0, 1.0, 1.0, 1.0], [1, 0, 0, 0]).apply([1.0])[0] == pytest.approx(0.25)


# --- isotonic --------------------------------------------------------------------------------


def test_isotonic_is_sklearns_up_to_the_ends():
    s, y, w = np.round(LP[:500], 1), Y[:500], RNG.uniform(0.5, 2, 500)
    peer = IsotonicRegression(out_of_bounds="clip").fit(s, y, sample_weight=w)
    new = np.linspace(-6, 6, 1001)
    half = 0.5 / w.sum()
    expected = np.interp(new, peer.X_thresholds_, np.clip(peer.y_thresholds_, half, 1 - half))
    np.testing.assert_allclose(fit_isotonic(s, y, weights=w).apply(new), expected, atol=1e-12)


def test_nobody_is_certain_after_few_patients():
    found = fit_isotonic([-2.0, -1, 1, 2], [0, 0, 1, 1])
    assert found.apply([-99.0, 99.0]).tolist() == [0.125, 0.875]


def test_isotonic_keeps_only_the_corners():
    found = fit_isotonic(LP, Y)
    assert len(found.logit[0]) < 200
    p = found.apply(np.sort(LP))
    assert (np.diff(p) >= 0).all()


def test_isotonic_of_classes_is_one_curve_a_class_divided_by_the_sum():
    found, odds = fit_isotonic(Z, CLASS), class_log_odds(Z)
    own = np.stack([fit_isotonic(odds[:, k], k == CLASS).apply(odds[:, k]) for k in range(3)], 1)
    np.testing.assert_allclose(found.apply(Z), own / own.sum(axis=1, keepdims=True), rtol=1e-12)


# --- laws of all kinds -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrator_keeps_the_order_and_gives_probabilities(kind):
    p = fit_calibrator(LP * 3 + 1, Y, kind=kind).apply(np.sort(LP))
    assert (np.diff(p) >= 0).all()
    assert ((p >= 0) & (p <= 1)).all()
    many = fit_calibrator(Z, CLASS, kind=kind).apply(Z)
    assert many.shape == Z.shape
    np.testing.assert_allclose(many.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("factor", "shift"), [(1, 0), (4, -2), (0.3, 1), (-1, 0)])
def test_the_log_loss_of_the_data_it_was_fitted_on_does_not_rise(kind, factor, shift):
    s = factor * LP[:600] + shift
    found = fit_calibrator(s, Y[:600], kind=kind)
    if isinstance(found, Isotonic):  # the best rising curve among those that are never certain
        before = np.clip(expit(s), found.probability[0][0], found.probability[0][-1])
    else:
        before = expit(s)
    assert log_loss(found.apply(s), Y[:600]) <= log_loss(before, Y[:600]) + 1e-9


def test_the_kinds_fit_the_closer_the_more_freedom_they_have():
    s = np.exp(LP[:1000] / 2)  # no line makes a probability of it
    losses = [log_loss(fit_calibrator(s, Y[:1000], kind=kind).apply(s), Y[:1000]) for kind in KINDS]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrator_survives_json(kind):
    for s, y in ((LP[:90], Y[:90]), (Z[:90], CLASS[:90])):
        found = fit_calibrator(s, y, kind=kind)
        back = calibrator_from_dict(json.loads(json.dumps(found.to_dict())))
        assert back == found
        assert back.kind == kind
        np.testing.assert_array_equal(back.apply(s), found.apply(s))


@pytest.mark.parametrize(
    "content", [{}, {"kind": "spline"}, {"kind": "platt"}, {"kind": "none", "temperature": 2}]
)
def test_what_is_no_calibration_is_refused(content):
    with pytest.raises(ArgumentError, match="kind that is known \\(none, temperature, platt"):
        calibrator_from_dict(content)


def test_an_unknown_kind_and_broken_logits_are_refused():
    with pytest.raises(ArgumentError, match="`kind` must be one of 'none'"):
        fit_calibrator(LP, Y, kind="beta")
    with pytest.raises(ArgumentError, match="must be finite numbers; 1 of 2 are not"):
        fit_platt([np.nan, 1.0], [0, 1])


# --- across folds ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[1:])
def test_own_fold_has_no_say_in_its_calibration(kind):
    fold = np.arange(4000) % 4
    before = fit_calibrators(LP, Y, fold, np.arange(4000), kind=kind)
    flipped = np.where(fold == 2, 1 - Y, Y)
    after = fit_calibrators(LP, flipped, fold, np.arange(4000), kind=kind)
    assert after.by_fold[2] == before.by_fold[2]
    assert after.by_fold[0] != before.by_fold[0]
    assert after.overall != before.overall


@pytest.mark.parametrize("kind", KINDS)
def test_a_patient_with_many_images_counts_once(kind):
    fold, again = np.arange(60) % 3, np.r_[np.arange(60), np.zeros(40, dtype=int)]
    once = fit_calibrators(LP[:60], Y[:60], fold, np.arange(60), kind=kind)
    many = fit_calibrators(LP[again], Y[again], fold[again], again, kind=kind)
    np.testing.assert_allclose(many.overall.apply(LP), once.overall.apply(LP), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_calibrated_by_its_fold_and_others_by_all(kind):
    fold = np.arange(90) % 3
    found = fit_calibrators(LP[:90], Y[:90], fold, np.arange(90), kind=kind)
    p = found.apply(LP[:90], fold)
    for k in range(3):
        own = fit_calibrator(LP[:90][fold != k], Y[:90][fold != k], kind=kind)
        np.testing.assert_array_equal(p[fold == k], own.apply(LP[:90][fold == k]))
    np.testing.assert_array_equal(found.apply(LP[:9]), found.overall.apply(LP[:9]))
    back = CrossFitted.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back == found


def test_none_is_the_sigmoid_itself():
    np.testing.assert_array_equal(Uncalibrated().apply(LP), expit(LP))


@pytest.mark.parametrize("kind", ["temperature", "platt", "isotonic"])
@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"y": [0, 1]}, PairingError, "`logit` has 3, `y` has 2"),
        ({"y": [0, 1, 2]}, OutcomeError, r"`y` must hold the codes 0 to 1 .*; got \[0 1 2\]"),
        ({"y": ["0", "1", "1"]}, OutcomeError, "`y` must hold the codes 0 to 1"),
        ({"weights": [1, 1]}, PairingError, "`weights` has 2"),
        ({"weights": [1, -1, 1]}, ArgumentError, "`weights` must be finite numbers of 0 or more"),
        ({"weights": [1, np.nan, 1]}, ArgumentError, "`weights` must be finite"),
        ({"logit": []}, PairingError, "`logit` has 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(kind, changed, error, text):
    given = {"logit": [-1.0, 0.5, 2.0], "y": [0, 1, 1]} | changed
    with pytest.raises(error, match=text):
        fit_calibrator(**given, kind=kind)
