"""Newton's method against statsmodels, and the batch against single fits."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import special

from usstats._fits.newton import newton_logistic
from usstats._fits.newton_batch import newton_logistic_batch
from usstats.errors import FitError

Float = NDArray[np.float64]


def simulated(n: int, k: int, seed: int = 1) -> tuple[Float, Float]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, k))])
    risk = special.expit(X @ np.r_[-0.3, np.linspace(-1, 1, k)])
    return X, (rng.random(n) < risk).astype(float)


def test_a_fit_equals_statsmodels() -> None:
    X, y = simulated(275, 6)
    fit, other = newton_logistic(X, y), sm.Logit(y, X).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(fit.params, other.params, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, other.cov_params(), rtol=1e-9)
    np.testing.assert_allclose(np.linalg.inv(fit.information), fit.covariance, rtol=1e-9)
    assert fit.log_likelihood == pytest.approx(other.llf, rel=1e-13)


def test_an_offset_shifts_the_intercept() -> None:
    X, y = simulated(275, 3)
    plain, shifted = newton_logistic(X, y), newton_logistic(X, y, offset=np.full(275, 2.0))
    np.testing.assert_allclose(shifted.params, plain.params - [2, 0, 0, 0], atol=1e-9)
    recalibration = newton_logistic(np.ones((275, 1)), y, offset=X @ plain.params)
    assert recalibration.params[0] == pytest.approx(0, abs=1e-10)


def test_columns_without_an_intercept_are_only_scaled() -> None:
    X, y = simulated(275, 3)
    fit = newton_logistic(X[:, 1:], y)
    other = sm.Logit(y, X[:, 1:]).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(fit.params, other.params, rtol=1e-9)


def test_a_quadratic_penalty_solves_the_penalised_score_equations() -> None:
    X, y = simulated(275, 4)
    X[:, 2] = X[:, 2] * 1e3 + 5e4
    P = np.diag([0.0, 5.0, 2e6, 1.0, 0.5])
    fit = newton_logistic(X, y, penalty=P)
    score = X.T @ (y - special.expit(X @ fit.params)) - P @ fit.params
    np.testing.assert_allclose(score[[0, 1, 3, 4]], 0, atol=1e-7)
    W = special.expit(X @ fit.params)
    information = X.T @ (X * (W * (1 - W))[:, None])
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(information + P), rtol=1e-5)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.column_stack([np.ones(6), [1, 2, 3, 4, 5, 6]]), [0, 0, 0, 1, 1, 1]),
        (np.column_stack([np.ones(8), [0, 0, 0, 0, 1, 1, 1, 1]]), [0, 1, 0, 1, 1, 1, 1, 1]),
    ],
)
def test_separated_data_are_never_called_converged(X: Float, y: list[int]) -> None:
    with pytest.raises(FitError, match="detect_separation"):
        newton_logistic(X, y)


def test_an_extreme_start_is_brought_home_by_step_halving() -> None:
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(size=200), 80.0, -90.0, 60.0]
    y = np.r_[(rng.random(200) < special.expit(3 * x[:200])), 0.0, 1.0, 1.0]
    fit = newton_logistic(np.column_stack([np.ones(203), x]), y)
    score = np.column_stack([np.ones(203), x]).T @ (
        y - special.expit(fit.params[0] + fit.params[1] * x)
    )
    np.testing.assert_allclose(score, 0, atol=1e-6)


def test_a_batch_equals_single_fits_of_the_drawn_rows() -> None:
    X, y = simulated(275, 6)
    draws = np.random.default_rng(2).integers(0, 275, (40, 275))
    counts = np.array([np.bincount(draw, minlength=275) for draw in draws])
    params, converged = newton_logistic_batch(X, y, counts)
    assert converged.all()
    for b, draw in enumerate(draws):
        np.testing.assert_allclose(params[b], newton_logistic(X[draw], y[draw]).params, rtol=1e-8)


def test_a_batch_flags_what_has_no_maximum_and_leaves_the_rest_alone() -> None:
    rng = np.random.default_rng(5)
    n = 60
    level = np.repeat([0.0, 1.0], [56, 4])
    X = np.column_stack([np.ones(n), rng.normal(size=n), level])
    y = (rng.random(n) < special.expit(X[:, 1])).astype(float)
    y[56:] = [0, 1, 1, 1]
    counts = np.ones((5, n), dtype=int)
    counts[1, 56:] = 0  # the level is not drawn: dependent columns
    counts[2, y == 0] = 0  # one class only
    counts[3, 56] = 0  # the level holds events only: separated
    counts[4] = 2
    params, converged = newton_logistic_batch(X, y, counts)
    assert converged.tolist() == [True, False, False, False, True]
    assert np.isnan(params[1:4]).all()
    np.testing.assert_allclose(params[0], newton_logistic(X, y).params, rtol=1e-9)
    np.testing.assert_allclose(params[4], params[0], rtol=1e-9)


def test_a_batch_does_not_depend_on_how_it_is_cut() -> None:
    X, y = simulated(120, 3)
    counts = np.random.default_rng(3).multinomial(120, [1 / 120] * 120, 30)
    whole = newton_logistic_batch(X, y, counts)[0]
    parts = np.concatenate(
        [newton_logistic_batch(X, y, part)[0] for part in (counts[:7], counts[7:])]
    )
    np.testing.assert_allclose(whole, parts, rtol=1e-12)


@pytest.mark.slow
def test_a_thousand_refits_take_a_fraction_of_a_second() -> None:
    X, y = simulated(275, 6)
    counts = np.random.default_rng(3).multinomial(275, [1 / 275] * 275, 1000)
    seconds = min(_seconds(lambda: newton_logistic_batch(X, y, counts)) for _ in range(3))
    assert seconds < 0.5


@pytest.mark.slow
def test_a_million_rows_are_faster_than_statsmodels_and_need_little_memory() -> None:
    X, y = simulated(1_000_000, 9)
    ours = min(_seconds(lambda: newton_logistic(X, y)) for _ in range(3))
    theirs = min(_seconds(lambda: sm.Logit(y, X).fit(disp=0)) for _ in range(2))
    assert ours < theirs / 2
    tracemalloc.start()
    newton_logistic(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * X.nbytes


def _seconds(call) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
