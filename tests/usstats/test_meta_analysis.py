"""Random-effects pooling against published results, statsmodels and a direct maximisation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.meta_analysis import combine_effects

from usstats._external.meta_analysis import logit_limits, random_effects

#: Thirteen trials of BCG against tuberculosis (Colditz et al. 1994): cases and others, vaccinated
#: and control.
BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    dtype=float,
)


def log_risk_ratios():
    a, b, c, d = BCG.T
    ratio = np.log(a / (a + b) * (c + d) / c)
    return ratio, np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def pooled(method, level=0.95, data=None):
    return random_effects(*(data or log_risk_ratios()), method=method, conf_level=level)


def test_bcg_trials_give_the_published_numbers():
    """metafor's documentation: rma(yi, vi, data = dat), REML and DL."""
    result = pooled("reml")
    assert result.estimate == pytest.approx(-0.7145, abs=5e-5)
    assert result.tau**2 == pytest.approx(0.3132, abs=5e-5)
    assert result.i2 == pytest.approx(0.9222, abs=5e-5)
    assert result.q == pytest.approx(152.2330, abs=5e-5)
    assert result.df == 12
    assert pooled("dl").tau ** 2 == pytest.approx(0.3088, abs=5e-5)


def test_reml_is_the_maximum_of_the_restricted_likelihood():
    y, se = log_risk_ratios()

    def minus(tau2):
        V = np.diag(se**2 + tau2)
        X = np.ones((y.size, 1))
        inverse = np.linalg.inv(V)
        beta = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
        left = y - X @ beta
        return 0.5 * (
            np.linalg.slogdet(V)[1]
            + np.linalg.slogdet(X.T @ inverse @ X)[1]
            + left @ inverse @ left
        )

    best = optimize.minimize_scalar(
        minus, bounds=(0, 5), method="bounded", options={"xatol": 1e-12}
    )
    assert pooled("reml").tau ** 2 == pytest.approx(best.x, rel=1e-6)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.InvalidTestWarning")
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_hartung_knapp_matches_statsmodels(level):
    y, se = log_risk_ratios()
    theirs = combine_effects(y, se**2, method_re="dl", use_t=True, alpha=1 - level)
    ours = pooled("dl", level)
    table = theirs.summary_frame(alpha=1 - level).loc["random effect wls"]
    assert ours.estimate == pytest.approx(table["eff"])
    assert ours.std_error == pytest.approx(table["sd_eff"])
    assert (ours.low, ours.high) == pytest.approx((table["ci_low"], table["ci_upp"]))
    assert ours.q == pytest.approx(theirs.q)


def test_the_prediction_interval_is_wider_than_that_of_the_mean():
    result = pooled("reml")
    reach = stats.t.ppf(0.975, 11) * np.hypot(result.tau, result.std_error)
    assert result.prediction_high == pytest.approx(result.estimate + reach)
    assert result.prediction_low < result.low


@pytest.mark.parametrize("method", ["reml", "dl"])
def test_equal_estimates_do_not_differ(method):
    result = pooled(method, data=(np.full(6, 0.4), np.linspace(0.1, 0.3, 6)))
    assert (result.tau, result.i2) == (0, 0)
    assert result.estimate == pytest.approx(0.4)
    assert result.p_value == pytest.approx(1)


@pytest.mark.parametrize("method", ["reml", "dl"])
def test_scale_and_origin_are_carried_through(method):
    y, se = log_risk_ratios()
    ours, moved = pooled(method), pooled(method, data=(3 - 100 * y, 100 * se))
    assert moved.estimate == pytest.approx(3 - 100 * ours.estimate, rel=1e-7)
    assert moved.tau == pytest.approx(100 * ours.tau, rel=1e-7)
    assert moved.low == pytest.approx(3 - 100 * ours.high, rel=1e-7)
    assert moved.i2 == pytest.approx(ours.i2, rel=1e-7)


def test_too_few_centres_have_no_summary():
    single = pooled("reml", data=(np.array([0.3]), np.array([0.1])))
    assert np.isnan([single.estimate, single.tau, single.prediction_low]).all()
    assert single.k == 1
    two = pooled("reml", data=(np.array([0.3, 0.9]), np.array([0.1, 0.1])))
    assert np.isfinite([two.low, two.tau]).all()
    assert np.isnan(two.prediction_low)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["reml", "dl"])
def test_intervals_cover_the_mean_and_the_next_centre(method):
    rng = np.random.default_rng(1)
    covered, predicted = [], []
    for _ in range(1500):
        se = rng.uniform(0.15, 0.4, 10)
        centre = rng.normal(0.5, 0.4, 11)
        result = pooled(method, data=(rng.normal(centre[:10], se), se))
        covered.append(result.low <= 0.5 <= result.high)
        predicted.append(result.prediction_low <= centre[10] <= result.prediction_high)
    assert 0.935 <= np.mean(covered) <= 0.965
    # ten centres are few for a prediction interval (Partlett and Riley 2017)
    assert 0.89 <= np.mean(predicted) <= 0.97


def test_limits_on_the_logit_stay_inside():
    low, high = logit_limits(0.97, 0.03, 0.95)
    assert 0 < low < 0.97 < high < 1
