"""Maximum-likelihood fits against R's lrm, statsmodels, and laws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from tests.reference import ReferenceCase, load_case, matrix_frame
from tests.usstats.models import (
    appendicitis,
    appx_nomogram_fit,
    appx_rcs345,
    asah_interaction,
    birthwt_main,
)
from usstats.errors import (
    ArgumentError,
    DesignError,
    MissingDataError,
    OutcomeError,
    SeparationError,
    SmallSampleWarning,
)
from usstats.logistic import LogisticFit, fit_logistic

CASES = [birthwt_main, appx_rcs345, asah_interaction]
Case = Callable[[], tuple[ReferenceCase, LogisticFit]]


@pytest.mark.parametrize("make", CASES)
def test_coefficients_standard_errors_and_tests_equal_lrm(make: Case) -> None:
    case, fit = make()
    frame = fit.frame().set_index("term")
    assert list(frame.index) == list(case.expected["coef"])
    for column, key in [
        ("estimate", "coef"),
        ("std_error", "se"),
        ("statistic", "wald_z"),
        ("p_value", "wald_p"),
    ]:
        for term in frame.index:
            case.check(frame.loc[term, column], f"{key}.{term}")
    case.check(fit.n, "n")
    expected = matrix_frame(case.expected["vcov"])
    assert list(fit.covariance.columns) == list(expected.columns)
    case.check(fit.covariance.to_numpy(), "vcov.values")


INDEX_KEYS = {
    "log_likelihood": "loglik",
    "null_log_likelihood": "loglik_null",
    "lr_chi2": "lr_chi2",
    "lr_df": "lr_df",
    "lr_p": "lr_p",
    "aic": "aic",
    "bic": "bic",
    "mcfadden_r2": "r2_mcfadden",
    "coxsnell_r2": "r2_coxsnell",
    "nagelkerke_r2": "r2_nagelkerke",
    "auc": "c_index",
    "dxy": "dxy",
    "gamma": "gamma",
    "tau_a": "tau_a",
    "brier": "brier",
    "g": "g",
    "gr": "gr",
    "gp": "gp",
}


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize(("ours", "theirs"), INDEX_KEYS.items())
def test_indices_equal_lrm(make: Case, ours: str, theirs: str) -> None:
    case, fit = make()
    case.check(fit.indices()[ours], theirs)


@pytest.mark.parametrize("make", CASES)
def test_anova_equals_rms(make: Case) -> None:
    case, fit = make()
    anova = fit.anova()
    assert anova["term"].tolist() == case.expected["anova_wald"]["rows"]
    case.check(anova["statistic"], "anova_wald.chi2")
    case.check(anova["df"], "anova_wald.df")
    case.check(anova["p_value"], "anova_wald.p")


def test_knots_and_deviance_equal_rms() -> None:
    case, fit = appx_rcs345()
    for term in fit.spec.terms:
        if term.type == "rcs":
            case.check(term.knots, f"knots.{term.name}")
    case, fit = birthwt_main()
    case.check(-2 * fit.log_likelihood, "deviance")


def test_the_likelihood_ratio_of_the_interaction_equals_rms() -> None:
    case, fit = asah_interaction()
    row = fit.anova("lr").set_index("term").loc["age * s100b  (Factor+Higher Order Factors)"]
    case.check(row["statistic"], "lrtest_vs_main.chi2")
    case.check(row["df"], "lrtest_vs_main.df")
    case.check(row["p_value"], "lrtest_vs_main.p")


#: Rows of an analysis of variance, and the formula without what they test.
NESTED = {
    ("site", "site"): "y ~ rcs(age, 4)*left + log(fsh) + p",
    ("fsh", "fsh"): "y ~ rcs(age, 4)*left + site + p",
    ("age", "age  (Factor+Higher Order Factors)"): "y ~ left + site + log(fsh) + p",
    ("age", "All Interactions"): "y ~ rcs(age, 4) + left + site + log(fsh) + p",
    ("age", "Nonlinear (Factor+Higher Order Factors)"): "y ~ age*left + site + log(fsh) + p",
    ("left", "left  (Factor+Higher Order Factors)"): "y ~ rcs(age, 4) + site + log(fsh) + p",
    ("TOTAL", "TOTAL NONLINEAR"): "y ~ age*left + site + log(fsh) + p",
    ("TOTAL", "TOTAL NONLINEAR + INTERACTION"): "y ~ age + left + site + log(fsh) + p",
}


@pytest.mark.parametrize("row", NESTED)
def test_likelihood_ratios_are_those_of_nested_fits(row: tuple[str, str]) -> None:
    data = simulated()
    fit = fit_logistic("y ~ rcs(age, 4)*left + site + log(fsh) + p", data)
    table = fit.anova("lr")
    assert table["term"].tolist() == fit.anova("wald")["term"].tolist()
    found = table.set_index(["group", "term"])
    name = row if row in found.index else next(k for k in found.index if k[1] == row[1])
    reduced = fit_logistic(NESTED[row], data)
    chi2, df = 2 * (fit.log_likelihood - reduced.log_likelihood), len(fit.params)
    assert found.loc[name, "statistic"] == pytest.approx(chi2)
    assert found.loc[name, "df"] == df - len(reduced.params)
    assert found.loc[name, "p_value"] == pytest.approx(chi2_tail(chi2, df - len(reduced.params)))
    total = found.loc[("TOTAL", "TOTAL")]
    assert total["statistic"] == pytest.approx(fit.indices()["lr_chi2"])
    assert set(table["method"]) == {"likelihood ratio"}


def test_wald_and_likelihood_ratio_agree_in_large_samples() -> None:
    fit = fit_logistic(FORMULA, simulated(20_000))
    wald, lr = (fit.anova(test).set_index("term")["statistic"] for test in ("wald", "lr"))
    np.testing.assert_allclose(lr[:-1], wald[:-1], rtol=0.08, atol=0.05)


def test_likelihood_ratios_of_weighted_rows_are_those_of_repeated_rows() -> None:
    data = simulated(120)
    times = np.random.default_rng(1).integers(1, 4, len(data))
    repeated = data.loc[data.index.repeat(times)].reset_index(drop=True)
    weighted = fit_logistic(FORMULA, data, weights=times).anova("lr")
    expanded = fit_logistic(FORMULA, repeated).anova("lr")
    np.testing.assert_allclose(weighted["statistic"], expanded["statistic"], rtol=1e-8)


def test_likelihood_ratios_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    data = simulated()
    fit = fit_logistic(FORMULA, data)
    with pytest.raises(ArgumentError, match="`test` must be one of 'wald', 'lr'; got 'F'"):
        fit.anova("F")
    for method, penalty in (("ridge", 1.0), ("flac", None), ("lasso", 0.01)):
        other = fit_logistic(FORMULA, data, method=method, penalty=penalty)
        with pytest.raises(ArgumentError, match=f"likelihood of a {method} fit"):
            other.anova("lr")
    with pytest.raises(ArgumentError, match="A lasso fit has no covariance"):
        other.anova()
    clustered = fit_logistic(FORMULA, data, cluster=np.arange(300) // 2)
    with pytest.raises(ArgumentError, match="rows of one patient for independent"):
        clustered.anova("lr")
    fit.to_json(tmp_path / "fit.json")
    with pytest.raises(ArgumentError, match="this model was read from a file"):
        LogisticFit.from_json(tmp_path / "fit.json").anova("lr")


def test_predictions_and_their_standard_errors_equal_lrm() -> None:
    case, fit = appx_rcs345()
    new = pd.DataFrame(case.inputs["newdata"])
    frame = fit.predict_interval(new)
    case.check(fit.linear_predictor(new), "newdata_lp")
    case.check(fit.predict(new), "newdata_p")
    case.check(frame["std_error"], "newdata_lp_se")
    assert (frame["conf_low"] < frame["risk"]).all()


def test_odds_ratios_per_unit_equal_lrm() -> None:
    case, fit = birthwt_main()
    ratios = fit.odds_ratios().set_index("term")
    for term in ratios.index:
        case.check(ratios.loc[term, "estimate"], f"or.{term}")
        case.check(ratios.loc[term, "conf_low"], f"or_lo.{term}")
        case.check(ratios.loc[term, "conf_high"], f"or_hi.{term}")
    assert set(ratios.index) == set(case.expected["or"]) - {"Intercept"}
    intercept = np.exp(fit.frame().iloc[0][["estimate", "conf_low", "conf_high"]].astype(float))
    for value, key in zip(intercept, ("or", "or_lo", "or_hi"), strict=True):
        case.check(value, f"{key}.Intercept")


def test_odds_ratios_per_quartile_range_equal_summary_rms() -> None:
    case, ratios = load_case("or_iqr_appx"), appx_nomogram_fit().odds_ratios(per="iqr")
    assert ratios["term"].tolist() == case.expected["rows"]
    case.check(ratios["low"], "low")
    case.check(ratios["high"], "high")
    case.check(np.log(ratios["estimate"]), "effect")
    case.check(np.log(ratios["conf_low"]), "lower")
    case.check(np.log(ratios["conf_high"]), "upper")
    for name, known in appx_nomogram_fit().spec.ranges.items():
        if known.kind == "number":
            case.check(known.adjust_to, f"adjust_to.{name}")
        else:
            assert known.adjust_to == case.expected["adjust_to"][name]
    case.check(ratios["std_error"], "se")
    case.check(ratios["estimate"], "ratio")
    case.check(ratios["conf_low"], "ratio_lower")
    case.check(ratios["conf_high"], "ratio_upper")


def test_vif_equals_rms() -> None:
    case = load_case("vif_appx")
    formula = "appendicitis ~ " + " + ".join(case.inputs["predictors"])
    vif = fit_logistic(formula, case.table()).vif()
    for term in vif.index:
        case.check(vif[term], f"vif_logistic.{term}")


@pytest.mark.parametrize("by_name", [True, False])
def test_cluster_covariance_equals_robcov(by_name: bool) -> None:
    case = load_case("logit_images_robcov")
    data = case.table()
    cluster = "patient" if by_name else data["patient"].to_numpy()
    fit = fit_logistic("label ~ model_a + model_b", data, cluster=cluster)
    plain = fit_logistic("label ~ model_a + model_b", data)
    own = fit_logistic("label ~ model_a + model_b", data, cluster=np.arange(len(data)))
    case.check(fit.covariance, "vcov_cluster.values")
    case.check(plain.covariance, "vcov_model.values")
    case.check(own.covariance, "vcov_hc0.values")
    case.check(fit.params, "coef")
    case.check(fit.frame().set_index("term")["std_error"], "se_cluster")
    assert fit.frame()["n_cluster"].unique().tolist() == [data["patient"].nunique()]
    assert "patient" in repr(fit)


def chi2_tail(chi2: float, df: int) -> float:
    return float(special.chdtrc(df, chi2))


def simulated(n: int = 300, seed: int = 7) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "age": rng.integers(1, 60, n) / 4,
            "fsh": np.exp(rng.normal(size=n)),
            "p": rng.beta(2, 3, n),
            "site": rng.choice(["a", "b", "c"], n),
            "left": rng.random(n) < 0.5,
        }
    )
    lp = -1 + 0.1 * data["age"] - 0.5 * np.log(data["fsh"]) + 2 * data["p"] + data["left"]
    return data.assign(y=(rng.random(n) < 1 / (1 + np.exp(-lp))).astype(int))


FORMULA = "y ~ age + log(fsh) + logit(p) + site + left"


def test_statsmodels_finds_the_same_maximum() -> None:
    data = simulated()
    fit = fit_logistic(FORMULA, data)
    X = np.column_stack(
        [
            np.ones(len(data)),
            data["age"],
            np.log(data["fsh"]),
            np.log(data["p"] / (1 - data["p"])),
            data["site"] == "b",
            data["site"] == "c",
            data["left"],
        ]
    ).astype(float)
    other = sm.Logit(data["y"], X).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(fit.params, other.params, rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, other.cov_params(), rtol=1e-6)
    assert fit.log_likelihood == pytest.approx(other.llf, rel=1e-12)
    assert fit.null_log_likelihood == pytest.approx(other.llnull, rel=1e-12)
    assert list(fit.params.index)[2:] == ["log(fsh)", "logit(p)", "site=b", "site=c", "left=True"]


@pytest.mark.parametrize(("shift", "scale"), [(1e8, 1.0), (0.0, 1e12), (0.0, 1e-12), (-1e6, 1e3)])
def test_origin_and_unit_of_a_covariate_do_not_matter(shift: float, scale: float) -> None:
    data = simulated()
    moved = data.assign(age=data["age"] * scale + shift)
    formula = "y ~ rcs(age, 4) + log(fsh)"
    plain, other = fit_logistic(formula, data), fit_logistic(formula, moved)
    np.testing.assert_allclose(other.predict(moved), plain.predict(data), atol=1e-8)
    np.testing.assert_allclose(other.anova()["statistic"], plain.anova()["statistic"], rtol=1e-5)


METHODS = {"ml": None, "firth": None, "flic": None, "ridge": 2.0, "lasso": 0.01}


@given(
    method=st.sampled_from(list(METHODS)),
    power=st.integers(-12, 12),
    shift=st.sampled_from([0.0, 1.0, -1e4, 1e8]),
)
def test_no_method_knows_the_origin_or_unit_of_a_covariate(
    method: str, power: int, shift: float
) -> None:
    """x + 1e8 and x * 1e12 give the same predictions, tests and intervals of the risk."""
    data, penalty = simulated(200), METHODS[method]
    moved = data.assign(age=(data["age"] + shift) * 10.0**power, p=data["p"] * 10.0**-power)
    formula = "y ~ age*left + p + site"
    plain = fit_logistic(formula, data, method=method, penalty=penalty)
    other = fit_logistic(formula, moved, method=method, penalty=penalty)
    if method in ("ridge", "lasso") and shift:
        return  # the penalty of the product age * left follows the origin of age, as in rms
    np.testing.assert_allclose(other.predict(moved), plain.predict(data), atol=1e-7)
    if method != "lasso":
        first, second = (fit.anova()["statistic"].iloc[-1] for fit in (plain, other))
        assert second == pytest.approx(first, rel=1e-5 if shift < 1e8 else 2e-3)


@given(shift=st.sampled_from([0.0, -300.0, 1e8]), power=st.integers(-12, 12))
def test_splines_and_penalties_without_products_follow_the_origin(shift: float, power: int) -> None:
    data = simulated(200)
    moved = data.assign(age=(data["age"] + shift) * 10.0**power)
    for method, penalty in METHODS.items():
        first, second = (
            fit_logistic("y ~ rcs(age, 4) + site", d, method=method, penalty=penalty).predict(d)
            for d in (data, moved)
        )
        np.testing.assert_allclose(second, first, atol=2e-6)


def test_numbers_that_would_overflow_are_refused_before_they_do() -> None:
    data = simulated()
    huge = data.assign(age=np.where(data.index == 7, 1e200, data["age"]))
    with pytest.raises(
        DesignError, match=r"`age` is larger than 1e\+50 in 1 of 300 rows \(first: row 7"
    ):
        fit_logistic("y ~ age", huge)
    with pytest.raises(DesignError, match=r"first value -?[0-9.]+e\+1.*change the unit"):
        fit_logistic("y ~ rcs(age, 3)", data.assign(age=-data["age"] * 1e150))
    with pytest.raises(DesignError, match=r"`age` is nowhere larger than .*e-199; change its unit"):
        fit_logistic("y ~ age", data.assign(age=data["age"] * 1e-200))
    fit = fit_logistic("y ~ age", data)
    with pytest.raises(DesignError, match="larger than"):
        fit.predict(huge)


@pytest.mark.parametrize("method", METHODS)
def test_extreme_but_possible_units_fit(method: str) -> None:
    data = simulated()
    for unit in (1e45, 1e-45):
        moved = data.assign(age=data["age"] * unit, p=data["p"] * unit)
        fit = fit_logistic("y ~ age*p + left", moved, method=method, penalty=METHODS[method])
        plain = fit_logistic("y ~ age*p + left", data, method=method, penalty=METHODS[method])
        np.testing.assert_allclose(fit.predict(moved), plain.predict(data), atol=1e-7)
        assert (fit.predict_interval(moved)["std_error"].notna()).all() or method == "lasso"


def test_score_equations_hold() -> None:
    data = simulated()
    fit = fit_logistic(FORMULA, data)
    score = fit.spec.matrix(data).T @ (data["y"] - fit.predict(data))
    np.testing.assert_allclose(score, 0, atol=1e-8)


def test_weights_equal_repeated_rows() -> None:
    data = simulated(120)
    times = np.random.default_rng(1).integers(1, 4, len(data))
    repeated = data.loc[data.index.repeat(times)].reset_index(drop=True)
    weighted = fit_logistic(FORMULA, data, weights=times)
    expanded = fit_logistic(FORMULA, repeated)
    np.testing.assert_allclose(weighted.params, expanded.params, rtol=1e-8)
    np.testing.assert_allclose(weighted.covariance, expanded.covariance, rtol=1e-8)
    a, b = weighted.indices(), expanded.indices()
    np.testing.assert_allclose(a, b, rtol=1e-8)


def test_a_spec_refits_with_frozen_knots_and_levels() -> None:
    data = simulated()
    first = fit_logistic("y ~ rcs(age, 4) + site", data)
    half = data.iloc[::2]
    again = fit_logistic(first.spec, half)
    assert again.spec.terms == first.spec.terms
    assert again.n == 150
    assert fit_logistic("y ~ rcs(age, 4) + site", half).spec.terms != first.spec.terms


def test_names_with_spaces_and_units_come_as_terms() -> None:
    data = simulated().rename(columns={"fsh": "FSH [IU/l]", "age": "age (years)", "y": "out come"})
    terms = [
        {"name": "age (years)", "type": "rcs", "knots": 3},
        {"name": "FSH [IU/l]", "type": "log"},
        {"name": "site", "type": "factor", "levels": ["c", "a", "b"]},
        {"name": "age (years):site", "type": "interaction"},
    ]
    fit = fit_logistic(data=data, outcome="out come", terms=terms)
    assert list(fit.params.index)[3:8] == [
        "log(FSH [IU/l])",
        "site=a",
        "site=b",
        "age (years) * site=a",
        "age (years)' * site=a",
    ]


def test_complete_cases_are_counted() -> None:
    data = simulated()
    holes = data.assign(
        age=data["age"].mask(data.index < 3), site=data["site"].mask(data.index == 9)
    )
    with pytest.raises(
        MissingDataError, match=r"`age` 3, `site` 1; 4 of 300 rows \(first: row 0, 1, 2\)"
    ):
        fit_logistic(FORMULA, holes)
    fit = fit_logistic(FORMULA, holes, missing="complete_case", cluster=np.arange(300) // 2)
    assert (fit.n, fit.n_dropped, dict(fit.missing)) == (296, 4, {"age": 3, "site": 1})
    assert "4 rows with missing values left out" in repr(fit)
    np.testing.assert_allclose(fit.params, fit_logistic(FORMULA, holes.dropna()).params)


def test_separated_data_are_refused_by_name() -> None:
    data = simulated()
    with pytest.raises(SeparationError, match=r"Complete separation: `marker` separates.*firth"):
        fit_logistic("y ~ age + marker", data.assign(marker=data["y"] * 2.0 + data["p"]))
    empty = data.assign(site=np.where(data["y"] == 1, "c", data["site"]))
    with pytest.raises(SeparationError, match=r"Quasi separation: `site` separates"):
        fit_logistic("y ~ age + site", empty)


@pytest.mark.parametrize(
    ("change", "formula", "error", "text"),
    [
        ({"k": 1.0}, "y ~ age + k", DesignError, r"without variation.*`k` \(always 1\)"),
        ({"k": "a"}, "y ~ age + k", DesignError, "one level only"),
        (
            {"k": lambda d: d["age"]},
            "y ~ age + k",
            DesignError,
            "depend on each other: `age`, `k`",
        ),
        (
            {"k": lambda d: d["age"] + 2 * d["p"]},
            "y ~ k + age + fsh + p",
            DesignError,
            "`k`, `age`, `p`",
        ),
        ({"age": np.inf}, "y ~ age", DesignError, "infinite in 300 of 300 rows"),
        ({}, "y ~ age + y", DesignError, "`y` is the outcome"),
        ({"y": 2}, "y ~ age", OutcomeError, "must be 0/1"),
        ({"y": 1}, "y ~ age", OutcomeError, "holds only events"),
        ({"patient_id": lambda d: d.index}, "y ~ patient_id", DesignError, "identifier"),
        ({"k": lambda d: d["age"].astype(str)}, "y ~ k", DesignError, "read as numbers"),
        ({"k": pd.Timestamp("2024-01-01")}, "y ~ k", DesignError, "dates"),
        ({}, "y ~ log(age2)", DesignError, r"no column `age2`; did you mean \['age'\]"),
    ],
)
def test_designs_that_cannot_be_fitted(
    change: dict[str, object], formula: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        fit_logistic(formula, simulated().assign(**change))


def test_more_parameters_than_rows_are_refused() -> None:
    with pytest.raises(DesignError, match=r"7 parameters .* only 7 rows"):
        fit_logistic(FORMULA, simulated().groupby(["site", "y"]).head(2).head(7))


def test_one_patient_levels_are_warned_of() -> None:
    data = simulated()
    data.loc[5, "site"] = "lone"
    data.loc[5, "y"] = 1
    lone = r"`site`: one patient only has level \['lone'\]"
    with (
        pytest.warns(SmallSampleWarning, match=lone),
        pytest.raises(SeparationError, match="site=lone"),
    ):
        fit_logistic(FORMULA, data)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_weights_must_be_positive(bad: float) -> None:
    data = simulated(60)
    with pytest.raises(ArgumentError, match=r"`weights` must be positive.*row 3"):
        fit_logistic("y ~ age", data, weights=np.where(data.index == 3, bad, 1.0))


def test_weights_must_be_numbers_and_column_names_text() -> None:
    data = simulated(60)
    with pytest.raises(ArgumentError, match="`weights` must be numbers; got 'a' at row 0"):
        fit_logistic("y ~ age", data, weights=["a"] * 60)
    numbered = pd.DataFrame({0: data["age"], 1: data["y"]})
    with pytest.raises(DesignError, match=r"`1` is a number. Use data.rename\(columns=str\)"):
        fit_logistic(None, numbered, outcome="1", terms=[{"name": "0"}])
    fit = fit_logistic(None, numbered.rename(columns=str), outcome="1", terms=[{"name": "0"}])
    assert fit.params["0"] == pytest.approx(fit_logistic("y ~ age", data).params["age"])


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "bool", "float", "object", "Float64"])
def test_outcomes_of_every_dtype_of_zeros_and_ones_are_read(dtype: str) -> None:
    data = simulated(80)
    other = data.assign(y=data["y"].astype(dtype), age=data["age"].round().astype("Int64"))
    plain = fit_logistic("y ~ age", data.assign(age=data["age"].round()))
    np.testing.assert_allclose(fit_logistic("y ~ age", other).params, plain.params)


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2], ["0", "1"]])
@pytest.mark.parametrize("method", METHODS)
def test_labels_without_a_declared_event_are_refused(labels: list[object], method: str) -> None:
    data = simulated(80)
    coded = data.assign(y=data["y"].map(dict(enumerate(labels))))
    with pytest.raises(OutcomeError, match=r"`y == '?\w+'?`"):
        fit_logistic("y ~ age", coded, method=method, penalty=METHODS[method])


def test_options_are_checked() -> None:
    data = simulated(60)
    with pytest.raises(ArgumentError, match="`method` must be one of"):
        fit_logistic("y ~ age", data, method="bayes")
    with pytest.raises(ArgumentError, match="takes no `penalty`"):
        fit_logistic("y ~ age", data, penalty=1.0)
    with pytest.raises(ArgumentError, match="`missing` must be one of"):
        fit_logistic("y ~ age", data, missing="drop")
    with pytest.raises(ArgumentError, match="`per` must be one of 'unit', 'iqr'"):
        fit_logistic("y ~ age", data).odds_ratios(per="sd")


def test_summary_and_frame_state_what_was_done() -> None:
    fit = fit_logistic(FORMULA, simulated())
    events = int(simulated()["y"].sum())
    assert repr(fit).startswith(f"<LogisticFit y: 6 df, ml; n = 300, events = {events}, unit: row")
    assert "nagelkerke_r2" in fit.summary()
    assert fit.frame(conf_level=0.9)["conf_level"].unique().tolist() == [0.9]


def test_a_real_table_with_an_empty_cell_is_refused() -> None:
    with pytest.raises(SeparationError, match=r"`peritonitis` separates.* in 13 of 358 rows"):
        fit_logistic("appendicitis ~ age + peritonitis", appendicitis())
