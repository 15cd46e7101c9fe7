"""Loess against R's exact local fits and a least-squares loop; the spline against R's glm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import usstats._calibration.smoothing as smoothing
from tests.reference import load_case
from usstats._calibration.smoothing import fit_loess, fit_spline
from usstats.errors import FitError


def naive_loess(x, y, at, span=0.75):
    """One weighted least-squares fit a point, by lstsq on the raw polynomial."""
    q = int(np.floor(len(x) * span + 1e-5))
    fitted = []
    for point in at:
        distance = np.abs(x - point)
        h = np.sort(distance)[q - 1]
        w = np.where(distance < h, (1 - (distance / h) ** 3) ** 3, 0.0)
        design = np.vander(x - point, 3, increasing=True)
        root = np.sqrt(w)
        fitted.append(np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0][0])
    return np.array(fitted)


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(11)
    lp = rng.normal(-0.5, 1.2, 250)
    y = (rng.random(250) < special.expit(lp)).astype(float)
    return special.expit(1.3 * lp), y


def test_loess_matches_r_direct_surface():
    # stats::loess(y ~ p, span = .75, degree = 2, control = loess.control(surface = "direct"))
    case = load_case("calib_smooth_appx")
    data = case.table()
    curve = fit_loess(data["p"], data["appendicitis"])
    case.check(curve.predict(case.value("loess_direct.grid")), "loess_direct.curve")


@pytest.mark.parametrize("span", [0.5, 0.75, 1.0])
def test_loess_matches_a_loop_of_least_squares(cohort, span):
    p, y = cohort
    at = np.linspace(p.min(), p.max(), 17)
    got = fit_loess(p, y, span=span).predict(at)
    np.testing.assert_allclose(got, naive_loess(p, y, at, span), atol=1e-10)


def test_loess_matches_a_loop_with_ties(cohort):
    p, y = cohort
    rounded = np.round(p, 1) + 0.01 * np.round(5 * np.sin(np.arange(p.size)))
    at = np.unique(rounded)
    got = fit_loess(rounded, y).predict(at)
    np.testing.assert_allclose(got, naive_loess(rounded, y, at), atol=1e-9)


def test_loess_reproduces_a_parabola_exactly(cohort):
    p, _ = cohort
    np.testing.assert_allclose(
        fit_loess(p, 0.2 + 0.5 * p - 0.3 * p**2).predict(p), 0.2 + 0.5 * p - 0.3 * p**2
    )


def test_counts_equal_repeated_rows(cohort):
    p, y = cohort
    counts = np.random.default_rng(1).integers(0, 3, p.size)
    at = np.linspace(0.1, 0.9, 9)
    weighted = fit_loess(p, y, counts=counts).predict(at)
    repeated = fit_loess(np.repeat(p, counts), np.repeat(y, counts)).predict(at)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)
    spline = fit_spline(p, y, counts=counts).predict(at)
    np.testing.assert_allclose(
        spline, fit_spline(np.repeat(p, counts), np.repeat(y, counts)).predict(at)
    )


def test_vertices_stay_close_to_exact_fits_in_large_samples(monkeypatch):
    rng = np.random.default_rng(5)
    p = special.expit(rng.normal(-1, 1.2, 4000))
    y = (rng.random(4000) < p).astype(float)
    at = np.linspace(p.min(), p.max(), 1001)
    exact = fit_loess(p, y).predict(at)
    monkeypatch.setattr(smoothing, "MAX_DIRECT", 0)
    interpolated = fit_loess(p, y).predict(at)
    assert 0 < np.abs(exact - interpolated).max() < 1e-4
    assert np.abs(exact - at).mean() == pytest.approx(np.abs(interpolated - at).mean(), abs=2e-6)


def test_std_error_is_that_of_the_linear_operator(cohort):
    p, y = cohort
    at = np.array([0.2, 0.7])
    curve = fit_loess(p, y)
    unit = np.eye(p.size)
    operator = np.column_stack([naive_loess(p, row, at) for row in unit])
    risk = np.clip(curve.predict(p), 0, 1)
    expected = np.sqrt((operator**2 * risk * (1 - risk)).sum(axis=1))
    np.testing.assert_allclose(curve.std_error(at), expected, rtol=1e-8)


def test_patients_with_several_rows_widen_the_band(cohort):
    p, y = cohort
    twice = fit_loess(np.tile(p, 2), np.tile(y, 2), cluster=np.tile(np.arange(p.size), 2))
    naive = fit_loess(np.tile(p, 2), np.tile(y, 2))
    once = fit_loess(p, y)
    at = [0.3, 0.6]
    np.testing.assert_allclose(twice.std_error(at) / once.std_error(at), 1, atol=0.1)
    np.testing.assert_allclose(naive.std_error(at) / once.std_error(at), np.sqrt(0.5), rtol=0.02)


def test_band_stays_inside_the_unit_interval(cohort):
    p, y = cohort
    low, high = fit_loess(p, y).band(np.linspace(p.min(), p.max(), 50), 0.999)
    assert low.min() >= 0
    assert high.max() <= 1


@pytest.mark.parametrize("n_knots", [3, 4, 5])
def test_spline_matches_r_glm(n_knots):
    # glm(y ~ rcs(qlogis(p), k), binomial)
    case = load_case("calib_smooth_appx")
    data = case.table()
    curve = fit_spline(data["p"], data["appendicitis"], n_knots=n_knots)
    case.check(curve.knots, f"rcs{n_knots}_logit.knots")
    case.check(curve.params, f"rcs{n_knots}_logit.coef")


def test_spline_band_is_the_delta_method_by_finite_differences(cohort):
    p, y = cohort
    curve = fit_spline(p, y)
    at = np.array([0.25])
    low, high = curve.band(at, 0.95)
    step = 1e-6
    gradient = []
    for j in range(curve.params.size):
        shifted = curve.params.copy()
        shifted[j] += step
        moved = smoothing.SplineCurve(
            knots=curve.knots, params=shifted, covariance=curve.covariance
        )
        gradient.append(special.logit(moved.predict(at)) - special.logit(curve.predict(at)))
    slope = np.array(gradient)[:, 0] / step
    half = 1.959963984540054 * np.sqrt(slope @ curve.covariance @ slope)
    assert special.logit(high[0]) - special.logit(low[0]) == pytest.approx(2 * half, rel=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.tile([0.1, 0.4, 0.9], 20), "at least 10 distinct predictions; there are 3"),
        (np.r_[np.full(80, 0.1), np.linspace(0.2, 0.9, 20)], r"too few .* shared by 80% of"),
    ],
)
def test_loess_says_why_there_is_no_curve(x, message):
    with pytest.raises(FitError, match=message):
        fit_loess(x, np.tile([0.0, 1.0], x.size // 2))


def test_loess_refuses_a_neighbourhood_of_two_values():
    x = np.r_[np.full(70, 0.1), np.full(30, 0.100001), np.linspace(0.5, 0.9, 10)]
    with pytest.raises(FitError, match="too few distinct predictions inside"):
        fit_loess(x, np.tile([0.0, 1.0], x.size // 2))


def test_spline_says_why_there_is_no_curve():
    with pytest.raises(FitError, match="at least 10 distinct predictions; there are 2"):
        fit_spline(np.tile([0.2, 0.8], 30), np.tile([0, 1, 1], 20))


def test_a_replicate_joins_vertices_where_the_data_are_fitted_at_every_value():
    rng = np.random.default_rng(8)
    p = rng.uniform(0.02, 0.98, 3000)
    y = (rng.random(3000) < p**1.3).astype(float)
    exact = fit_loess(p, y)
    drawn = fit_loess(p, y, counts=np.ones(3000))
    assert np.abs(drawn.predict(p) - exact.predict(p)).max() < 1e-4
    assert np.abs(drawn.predict(p) - p).mean() == pytest.approx(
        np.abs(exact.predict(p) - p).mean(), abs=1e-6
    )
    assert drawn.replicate
    assert not exact.replicate
