"""Firth's method against logistf, and the laws of FLIC and FLAC."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special

from tests.reference import ReferenceCase, load_case
from tests.usstats.test_logistic import simulated
from usstats._fits.firth import firth_test
from usstats.errors import ArgumentError, SeparationError
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram

CASES = ("firth_sex2", "firth_perfect_separation")
SITES = ["site=b", "site=c"]


@cache
def fitted(case_id: str, method: str = "firth") -> tuple[ReferenceCase, LogisticFit]:
    case = load_case(case_id)
    formula = f"{case.inputs['outcome']} ~ " + " + ".join(case.inputs["predictors"])
    return case, fit_logistic(formula, case.table(), method=method)


@pytest.mark.parametrize("case_id", CASES)
def test_estimates_profile_limits_and_tests_equal_logistf(case_id: str) -> None:
    case, fit = fitted(case_id)
    frame = fit.frame()
    for row, key in zip(frame.itertuples(), case.expected["coef"], strict=True):
        case.check(row.estimate, f"coef.{key}")
        case.check(row.std_error, f"se_fisher.{key}")
        case.check(row.statistic, f"chi2_plr.{key}")
        case.check(row.p_value, f"p.{key}")
        case.check(row.conf_low, f"ci_lower.{key}")
        if not np.isnan(case.value(f"ci_upper.{key}")):
            case.check(row.conf_high, f"ci_upper.{key}")
    case.check(fit.n, "n")
    case.check(fit.penalised_log_likelihood, "loglik_penalised_full")
    case.check(fit.predict(case.table())[:10], "fitted_first10")


@pytest.mark.parametrize(
    ("case_id", "columns"), [("firth_sex2", ["vic", "vicl"]), ("firth_perfect_separation", ["z"])]
)
def test_joint_tests_equal_logistftest(case_id: str, columns: list[str]) -> None:
    case, fit = fitted(case_id)
    assert fit.development is not None
    test = firth_test(fit.development, columns).iloc[0]
    case.check(test["statistic"], "test.chi2")
    case.check(test["df"], "test.df")
    case.check(test["p_value"], "test.p")
    everything = firth_test(fit.development, case.inputs["predictors"]).iloc[0]
    total = fit.anova("lr").set_index("term").loc["TOTAL"]
    for row in (everything, total):
        case.check(row["statistic"], "plr_model.chi2")
        case.check(row["df"], "plr_model.df")
        case.check(row["p_value"], "plr_model.p")
    null = fit.penalised_log_likelihood - everything["statistic"] / 2
    case.check(null, "loglik_penalised_null")


def test_tests_of_whole_terms_are_joint_penalised_likelihood_ratios() -> None:
    """rms's rows; each is Firth's test of the columns it names."""
    data = simulated()
    fit = fit_logistic("y ~ rcs(age, 4)*left + site", data, method="firth")
    table = fit.anova("lr")
    assert table["term"].tolist() == fit.anova().term.tolist()
    assert set(table["method"]) == {"penalised likelihood ratio"}
    names = {"All Interactions": [n for n in fit.params.index if " * " in n], "site": SITES}
    for term, columns in names.items():
        row = table[table["term"] == term].iloc[0]
        test = firth_test(fit.development, columns).iloc[0]
        assert row["statistic"] == pytest.approx(test["statistic"])
        assert row["df"] == len(columns)
    single = fit.frame().set_index("term").loc["left=True", "statistic"]
    assert single > 0
    flic = fit_logistic("y ~ rcs(age, 4)*left + site", data, method="flic").anova("lr")
    np.testing.assert_allclose(flic["statistic"], table["statistic"], rtol=1e-9)


def test_the_estimate_maximises_the_penalised_likelihood_found_another_way() -> None:
    case, fit = fitted("firth_sex2")
    X = fit.spec.matrix(case.table())
    y = case.table()["case"].to_numpy()

    def minus(b: np.ndarray) -> float:
        p = special.expit(X @ b)
        det = np.linalg.slogdet(X.T @ np.diag(p * (1 - p)) @ X)[1]
        return -float((y * np.log(p) + (1 - y) * np.log(1 - p)).sum() + det / 2)

    found = optimize.minimize(minus, np.zeros(7), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(found.x, fit.params, atol=1e-4)
    assert -found.fun == pytest.approx(fit.penalised_log_likelihood, abs=1e-8)


def test_two_by_two_table_adds_one_half_to_every_cell() -> None:
    x = np.repeat([0, 0, 1, 1], [7, 3, 0, 5])
    y = np.repeat([0, 1, 0, 1], [7, 3, 0, 5])
    data = pd.DataFrame({"x": x, "y": y})
    with pytest.raises(SeparationError, match="`x` separates"):
        fit_logistic("y ~ x", data)
    fit = fit_logistic("y ~ x", data, method="firth")
    assert fit.params["Intercept"] == pytest.approx(np.log(3.5 / 7.5))
    assert fit.params["x"] == pytest.approx(np.log(5.5 * 7.5 / (0.5 * 3.5)))


@pytest.mark.parametrize("method", ["flic", "flac"])
@pytest.mark.parametrize("case_id", CASES)
def test_corrected_intercepts_predict_the_event_rate(case_id: str, method: str) -> None:
    case, firth = fitted(case_id)
    _, fit = fitted(case_id, method)
    data = case.table()
    assert fit.predict(data).mean() == pytest.approx(data[case.inputs["outcome"]].mean(), abs=1e-9)
    if method == "flic":
        np.testing.assert_allclose(fit.params.iloc[1:], firth.params.iloc[1:], rtol=1e-9)
        slopes = fit.frame().iloc[1:]
        np.testing.assert_allclose(slopes["conf_low"], firth.frame()["conf_low"].iloc[1:])


def test_flac_is_maximum_likelihood_with_pseudo_observations() -> None:
    case, firth = fitted("firth_sex2")
    _, fit = fitted("firth_sex2", "flac")
    data = case.table()
    X, p = firth.spec.matrix(data), firth.predict(data)
    root = X * np.sqrt(p * (1 - p))[:, None]
    leverage = np.diag(root @ np.linalg.inv(root.T @ root) @ root.T)
    rows = pd.concat([data, data, data.assign(case=1 - data["case"])])
    rows["pseudo"] = np.repeat([0, 1, 1], len(data))
    weights = np.concatenate([np.ones(len(data)), leverage / 2, leverage / 2])
    formula = "case ~ " + " + ".join([*case.inputs["predictors"], "pseudo"])
    other = fit_logistic(formula, rows, weights=weights)
    np.testing.assert_allclose(fit.params, other.params.iloc[:-1], rtol=1e-7)


@pytest.mark.parametrize(("shift", "scale"), [(1e6, 1.0), (0.0, 1e9)])
def test_origin_and_unit_do_not_matter(shift: float, scale: float) -> None:
    case, fit = fitted("firth_perfect_separation")
    moved = case.table().assign(z=lambda d: d["z"] * scale + shift)
    other = fit_logistic("y ~ x + z", moved, method="firth")
    np.testing.assert_allclose(other.predict(moved), fit.predict(case.table()), atol=1e-8)
    ours, theirs = fit.frame().iloc[1:], other.frame().iloc[1:]
    np.testing.assert_allclose(theirs["p_value"], ours["p_value"], rtol=1e-5)
    np.testing.assert_allclose(theirs["conf_high"].iloc[0], ours["conf_high"].iloc[0], rtol=1e-6)


def test_weights_equal_repeated_rows() -> None:
    case, _ = fitted("firth_sex2")
    data = case.table().iloc[::2]
    times = np.random.default_rng(1).integers(1, 4, len(data))
    repeated = data.loc[data.index.repeat(times)]
    weighted = fit_logistic("case ~ age + oc", data, method="firth", weights=times)
    expanded = fit_logistic("case ~ age + oc", repeated, method="firth")
    np.testing.assert_allclose(weighted.params, expanded.params, rtol=1e-8)
    limits = ["conf_low", "conf_high"]
    np.testing.assert_allclose(weighted.frame()[limits], expanded.frame()[limits], rtol=1e-7)


def test_odds_ratios_have_profile_limits_where_one_coefficient_makes_them() -> None:
    _, fit = fitted("firth_sex2")
    ratios = fit.odds_ratios().set_index("term")
    frame = fit.frame().set_index("term").iloc[1:]
    np.testing.assert_allclose(np.log(ratios["conf_high"]), frame["conf_high"])
    assert set(ratios["method"]) == {"profile penalised likelihood"}


def test_limits_travel_with_the_model(tmp_path: Path) -> None:
    _, fit = fitted("firth_perfect_separation")
    fit.to_json(tmp_path / "firth.json")
    again = LogisticFit.from_json(tmp_path / "firth.json")
    pd.testing.assert_frame_equal(again.frame(), fit.frame())
    with pytest.raises(ArgumentError, match="this model was read from a file"):
        again.frame(conf_level=0.9)
    narrow, wide = fit.frame(conf_level=0.9), fit.frame()
    assert (narrow["conf_high"] < wide["conf_high"]).all()
    assert build_nomogram(again).axes[0].name == "x"


def test_what_firth_does_not_offer_is_refused() -> None:
    case, fit = fitted("firth_sex2")
    with pytest.raises(ArgumentError, match="no covariance over patients"):
        fit_logistic("case ~ age", case.table(), method="firth", cluster=np.arange(239))
    with pytest.raises(ArgumentError, match="takes no `penalty`"):
        fit_logistic("case ~ age", case.table(), method="firth", penalty=1)
    assert fit.development is not None
    with pytest.raises(ArgumentError, match="must name coefficients"):
        firth_test(fit.development, ["nobody"])
