"""Rubin's rules against mice, and against themselves written out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.reference import load_case
from usstats._imputing.rubin import barnard_rubin_df, pool_likelihood_ratio
from usstats.errors import ArgumentError, DesignError, PairingError, SchemaError
from usstats.imputation import PooledFit, fit_imputed, impute, pool, pool_estimates
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram

COLUMNS = {
    "estimate": "estimate",
    "std_error": "std_error",
    "statistic": "statistic",
    "df": "df",
    "p": "p_value",
    "ci_lower": "conf_low",
    "ci_upper": "conf_high",
    "ubar": "within",
    "b": "between",
    "riv": "riv",
    "lambda": "lambda",
    "fmi": "fmi",
}


@pytest.fixture(scope="module")
def case():
    """mice 3.15.0, pool(as.mira(fits)) on five completed copies of nhanes2."""
    return load_case("mi_pool_nhanes2")


def nhanes_fits(case) -> list[LogisticFit]:
    table = case.table()
    copies = [table[table[".imp"] == i] for i in range(1, 6)]
    return [fit_logistic("h ~ bmi + chl", c.assign(h=(c["hyp"] == "yes") * 1)) for c in copies]


def by_r_names(column: pd.Series) -> pd.Series:
    return column.rename({"Intercept": "(Intercept)"})


@pytest.mark.parametrize("key", COLUMNS)
def test_logistic_pool_equals_mice(case, key):
    table = pool(nhanes_fits(case)).frame().set_index("term")
    case.check(by_r_names(table[COLUMNS[key]]), f"logistic.{key}")


def test_total_variance_and_complete_data_df_equal_mice(case):
    pooled = pool(nhanes_fits(case))
    case.check(pooled.m, "logistic.m")
    total = pd.Series(np.diag(pooled.covariance), pooled.params.index)
    case.check(by_r_names(total), "logistic.t")
    dfcom = pd.Series(float(pooled.estimates.dfcom), pooled.params.index)
    case.check(by_r_names(dfcom), "logistic.dfcom")


def test_every_completed_fit_equals_glm(case):
    fits = nhanes_fits(case)
    case.check([fit.params for fit in fits], "logistic_fits.coef")
    case.check([np.sqrt(np.diag(fit.covariance)) for fit in fits], "logistic_fits.se")


@pytest.fixture(scope="module")
def linear(case):
    """Our pool of the linear models that R fitted."""
    fits = case.expected["linear_fits"]
    return pool_estimates(fits["coef"], np.square(fits["se"]), dfcom=20, names=fits["names"])


@pytest.mark.parametrize("key", COLUMNS)
def test_linear_pool_equals_mice(case, linear, key):
    case.check(linear.frame().set_index("term")[COLUMNS[key]], f"linear.{key}")


def test_linear_total_variance_equals_mice(case, linear):
    total = linear.frame().set_index("term")["std_error"] ** 2
    case.check(total, "linear.t")


@pytest.fixture(scope="module")
def incomplete() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    data = pd.DataFrame(rng.normal(size=(150, 2)), columns=["a", "b"])
    data["s"] = rng.choice(["x", "y", "z"], 150)
    data["y"] = (rng.random(150) < 1 / (1 + np.exp(-data["a"]))).astype(int)
    data.loc[rng.random(150) < 0.25, "a"] = None
    return data


@pytest.fixture(scope="module")
def pooled(incomplete) -> PooledFit:
    return fit_imputed("y ~ rcs(a, 3) + b + s", impute(incomplete, m=8, seed=2, outcome="y"))


def test_the_total_covariance_is_written_out(pooled):
    Q, U = pooled.estimates.estimates, pooled.estimates.covariances
    deviation = Q - Q.mean(axis=0)
    total = U.mean(axis=0) + (1 + 1 / 8) * deviation.T @ deviation / 7
    np.testing.assert_allclose(pooled.covariance, total)


def test_identical_copies_have_nothing_missing():
    pooled = pool_estimates(np.ones((4, 2)), np.tile(np.eye(2), (4, 1, 1)), dfcom=30)
    table = pooled.frame()
    assert table["riv"].tolist() == [0, 0]
    assert table["std_error"].tolist() == [1, 1]
    assert table["df"][0] == pytest.approx(31 / 33 * 30)


def test_large_samples_have_rubins_df():
    assert barnard_rubin_df(0.3, m=10, dfcom=np.inf) == pytest.approx(9 / 0.09)


def test_the_interval_is_a_t_interval(pooled):
    table = pooled.frame(conf_level=0.9)
    half = stats.t.ppf(0.95, table["df"]) * table["std_error"]
    np.testing.assert_allclose(table["conf_high"] - table["estimate"], half)
    p = 2 * stats.t.sf(np.abs(table["statistic"]), table["df"])
    np.testing.assert_allclose(table["p_value"], p, rtol=1e-9)


def test_one_coefficient_d1_is_the_squared_t_test(pooled):
    test = pooled.estimates.wald(["b"])
    row = pooled.frame().set_index("term").loc["b"]
    assert test.statistic == pytest.approx(row["statistic"] ** 2)
    assert test.p_value == pytest.approx(row["p_value"])


def test_d1_without_missing_information_is_the_wald_test():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(3, 3))
    V, b = A @ A.T, rng.normal(size=3)
    pooled = pool_estimates(np.tile(b, (5, 1)), np.tile(V, (5, 1, 1)))
    chi2 = b @ np.linalg.solve(V, b)
    for method in ("D1", "D2"):
        test = pooled.wald(pooled.names, method=method)
        assert test.statistic == pytest.approx(chi2 / 3)
        assert test.p_value == pytest.approx(stats.chi2.sf(chi2, 3))


def test_d1_ignores_a_linear_change_of_the_coefficients(pooled):
    Q, U = pooled.estimates.estimates[:, 4:], pooled.estimates.covariances[:, 4:, 4:]
    A = np.array([[1.0, 2.0], [-0.5, 3.0]])
    first = pool_estimates(Q, U, dfcom=144)
    other = pool_estimates(Q @ A.T, A @ U @ A.T, dfcom=144)
    assert other.wald(other.names).p_value == pytest.approx(first.wald(first.names).p_value)


def test_d2_of_given_statistics_by_the_formula_of_li():
    d = np.array([3.0, 5.0, 4.0, 6.5])
    pooled = pool_estimates(np.column_stack([np.sqrt(d), np.zeros(4)]), np.ones((4, 2)))
    r = 1.25 * np.var(np.sqrt(d), ddof=1)
    statistic = (d.mean() / 2 - 5 / 3 * r) / (1 + r)
    test = pooled.wald(pooled.names, method="D2")
    assert test.statistic == pytest.approx(statistic)
    assert test.df_residual == pytest.approx(2 ** (-3 / 4) * 3 * (1 + 1 / r) ** 2)


def test_d3_without_missing_information_is_the_likelihood_ratio_test():
    test = pool_likelihood_ratio([7.0] * 5, [7.0] * 5, df=2)
    assert test.p_value == pytest.approx(stats.chi2.sf(7.0, 2))


def test_it_reads_like_a_logistic_fit(pooled, incomplete):
    new = incomplete.dropna().head(9)
    lp = pooled.spec.matrix(new) @ pooled.params.to_numpy()
    np.testing.assert_allclose(pooled.linear_predictor(new), lp)
    np.testing.assert_allclose(pooled.predict(new), 1 / (1 + np.exp(-lp)))
    assert pooled.n == 150
    assert pooled.n_event == incomplete["y"].sum()
    assert pooled.m == 8
    assert pooled.vif().index.tolist() == list(pooled.params.index[1:])
    assert 0.5 < pooled.indices()["auc"] < 1
    assert "8 imputations" in repr(pooled)
    assert "fmi" in pooled.summary()


def test_the_nomogram_accepts_it(pooled):
    assert {axis.name for axis in build_nomogram(pooled).axes} == {"a", "b", "s"}


def test_odds_ratios_agree_with_the_coefficients(pooled):
    row = pooled.odds_ratios().set_index("term").loc["b"]
    own = pooled.frame().set_index("term").loc["b"]
    assert row["estimate"] == pytest.approx(np.exp(own["estimate"]))
    assert row["conf_low"] == pytest.approx(np.exp(own["conf_low"]))
    assert row["df"] == pytest.approx(own["df"])


def test_anova_tests_whole_terms(pooled):
    table = pooled.anova().set_index("term")
    assert table.loc["a", "df"] == 2
    assert table.loc["s", "df"] == 2
    assert table.loc["TOTAL", "df"] == 5
    assert table.loc["Nonlinear", "p_value"] == pytest.approx(
        pooled.frame().set_index("term").loc["a'", "p_value"]
    )


def test_knots_are_placed_once_from_observed_values(pooled, incomplete):
    observed = incomplete["a"].dropna()
    assert pooled.spec.mains["a"].knots == pytest.approx(
        tuple(np.quantile(observed, [0.1, 0.5, 0.9]))
    )
    assert {fit.spec.mains["a"].knots for fit in pooled.fits} == {pooled.spec.mains["a"].knots}


def test_fits_with_their_own_knots_are_refused(incomplete):
    fits = [fit_logistic("y ~ rcs(a, 3)", c) for c in impute(incomplete, m=3, seed=1, outcome="y")]
    with pytest.raises(DesignError, match=r"'a' has knots .* Use `fit_imputed`"):
        pool(fits)


@pytest.mark.parametrize("count", [0, 1])
def test_one_fit_is_not_a_pool(pooled, count):
    with pytest.raises(PairingError, match="at least two LogisticFit"):
        pool(pooled.fits[:count])


def test_fits_of_other_patients_are_refused(incomplete):
    full = incomplete.dropna()
    fits = [fit_logistic("y ~ b", full), fit_logistic("y ~ b", full.head(60))]
    with pytest.raises(PairingError, match="different numbers of rows"):
        pool(fits)


@pytest.mark.parametrize(
    ("estimates", "covariances", "options", "error", "text"),
    [
        ([[1.0, 2.0]], [[1.0, 1.0]], {}, PairingError, "m >= 2"),
        ([[1.0], [2.0]], [[1.0]], {}, PairingError, r"must have shape \(2, 1, 1\)"),
        ([[1.0], [np.nan]], [[1.0], [1.0]], {}, ArgumentError, "must be finite"),
        ([[1.0], [2.0]], [[1.0], [1.0]], {"names": ["a", "b"]}, PairingError, "2 names for 1"),
        ([[1.0], [2.0]], [[1.0], [1.0]], {"dfcom": 0}, ArgumentError, "`dfcom` must be positive"),
    ],
)
def test_refusals(estimates, covariances, options, error, text):
    with pytest.raises(error, match=text):
        pool_estimates(estimates, covariances, **options)


def test_an_unknown_coefficient_is_named(pooled):
    with pytest.raises(ArgumentError, match="must name coefficients"):
        pooled.estimates.wald(["z"])


def test_a_file_brings_the_model_back(pooled, incomplete, tmp_path):
    path = tmp_path / "model.json"
    pooled.to_json(path)
    back = PooledFit.from_json(path)
    new = incomplete.dropna()
    np.testing.assert_array_equal(back.predict(new), pooled.predict(new))
    pd.testing.assert_frame_equal(back.frame(), pooled.frame())
    pd.testing.assert_frame_equal(back.anova(), pooled.anova())
    pd.testing.assert_frame_equal(back.odds_ratios(), pooled.odds_ratios())
    assert back.spec == pooled.spec


@pytest.mark.parametrize(
    ("path", "value"), [(("estimates", 0, 1), 9.0), (("pooled_model", "n"), 7), (("dfcom",), 3.0)]
)
def test_an_edited_file_is_refused(pooled, tmp_path, path, value):
    file = tmp_path / "model.json"
    pooled.to_json(file)
    content = json.loads(file.read_text("utf-8"))
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(SchemaError, match=r"model.json: \$"):
        PooledFit.from_json(file)
