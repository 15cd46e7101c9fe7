"""Second implementations of what is otherwise compared with R alone; docs/verification.md."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import special
from statsmodels.nonparametric.smoothers_lowess import lowess

from usstats.calibration import hosmer_lemeshow, spiegelhalter
from usstats.harrell_calibration import lowess_curve
from usstats.logistic import LogisticFit, fit_logistic
from usstats.roc import partial_auc, roc_curve


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    """Two correlated covariates, a factor, an outcome, and patients with two rows."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(300, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    data = pd.DataFrame(x, columns=["a", "b"]).assign(c=rng.choice(["u", "v", "w"], 300))
    lp = 0.8 * data["a"] - 0.5 * data["b"] + 0.4 * (data["c"] == "v")
    return data.assign(y=rng.random(300) < special.expit(lp), id=np.arange(300) // 2)


@pytest.fixture(scope="module")
def fit(cohort) -> LogisticFit:
    return fit_logistic("y ~ a + b + c", cohort)


def test_spiegelhalter_is_a_standardised_sum():
    """Over all 16 outcomes of four patients the squared error has its mean and variance."""
    p = np.array([0.1, 0.3, 0.6, 0.9])
    outcomes = (np.arange(16)[:, None] >> np.arange(4)) & 1
    weight = np.where(outcomes, p, 1 - p).prod(axis=1)
    error = ((outcomes - p) ** 2).sum(axis=1)
    mean = weight @ error
    expected = (error - mean) / np.sqrt(weight @ (error - mean) ** 2)
    mixed = [i for i, y in enumerate(outcomes) if 0 < y.sum() < 4]
    found = [spiegelhalter(outcomes[i], p)["statistic"].iloc[0] for i in mixed]
    assert_allclose(found, expected[mixed])


def test_hosmer_lemeshow_by_hand(cohort, fit):
    table = cohort.assign(p=fit.predict(cohort), group=lambda t: pd.qcut(t["p"], 10, labels=False))
    statistic = 0.0
    for _, rows in table.groupby("group"):
        for seen, expected in ((rows["y"], rows["p"]), (~rows["y"], 1 - rows["p"])):
            statistic += (seen.sum() - expected.sum()) ** 2 / expected.sum()
    found = hosmer_lemeshow(table["y"].astype(int), table["p"], internal=True)
    assert_allclose(found.statistic, statistic)


def test_lowess_is_that_of_statsmodels(cohort, fit):
    p, y = fit.predict(cohort), cohort["y"].to_numpy(dtype=float)
    order = np.argsort(p)
    theirs = lowess(y, p, frac=2 / 3, it=0, delta=0.01 * np.ptp(p))
    found = lowess_curve(y.astype(int), p, at=p[order])["observed"]
    assert_allclose(found, theirs[:, 1], atol=1e-8)


def test_variance_inflation_is_that_of_weighted_regressions(cohort, fit):
    p = fit.predict(cohort)
    X = sm.add_constant(fit.spec.matrix(cohort)[:, 1:])
    for j, found in enumerate(fit.vif(), start=1):
        others = np.delete(X, j, axis=1)
        assert_allclose(
            found, 1 / (1 - sm.WLS(X[:, j], others, weights=p * (1 - p)).fit().rsquared)
        )


def test_odds_ratios_are_ratios_of_predicted_odds(cohort, fit):
    ratios = fit.odds_ratios(per="iqr").set_index("term")["estimate"]
    low, high = cohort["a"].quantile([0.25, 0.75])
    odds = [fit.predict(cohort.head(1).assign(a=value))[0] for value in (low, high)]
    assert_allclose(ratios["a"], np.exp(np.diff(special.logit(odds))[0]))


def test_patient_clustered_errors_are_those_of_statsmodels(cohort):
    fit = fit_logistic("y ~ a + b", cohort, cluster="id")
    X = sm.add_constant(cohort[["a", "b"]])
    options = {"groups": cohort["id"], "use_correction": False, "df_correction": False}
    theirs = sm.Logit(cohort["y"].astype(float), X).fit(
        disp=0, cov_type="cluster", cov_kwds=options
    )
    assert_allclose(fit.covariance, theirs.cov_params(), rtol=1e-6)


@pytest.mark.parametrize("specificity", [(0.5, 1.0), (0.63, 0.87)])
def test_partial_area_is_the_area_of_the_drawn_curve(cohort, fit, specificity):
    y, p = cohort["y"].astype(int), fit.predict(cohort)
    curve = (
        roc_curve(y, p).frame().sort_values(["specificity", "sensitivity"], ascending=[True, False])
    )
    fine = np.linspace(*specificity, 400_001)
    height = np.interp(fine, curve["specificity"], curve["sensitivity"])
    area = np.trapezoid(height, fine)
    assert_allclose(partial_auc(y, p, specificity=specificity).estimate, area, atol=1e-5)
    least = np.trapezoid(1 - fine, fine)
    corrected = (1 + (area - least) / (np.ptp(specificity) - least)) / 2
    found = partial_auc(y, p, specificity=specificity, corrected=True).estimate
    assert_allclose(found, corrected, atol=1e-4)
