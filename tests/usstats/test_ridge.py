"""Quadratic penalties against lrm, and their limits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import load_case
from tests.usstats.test_logistic import simulated
from usstats._fits.ridge import penalty_factors, penalty_matrix, trace_penalty
from usstats.errors import ArgumentError, DesignError
from usstats.logistic import LogisticFit, fit_logistic

FORMULA = "y ~ rcs(age, 4)*site + log(fsh) + left"


def reference() -> tuple:  # type: ignore[type-arg]
    case = load_case("logit_appx_penalty_nonlinear")
    fit = fit_logistic(
        case.inputs["formula"], case.table(), method="ridge", penalty=case.inputs["penalty"]
    )
    return case, fit


def test_a_penalised_fit_equals_lrm() -> None:
    case, fit = reference()
    for term in fit.params.index:
        case.check(fit.params[term], f"coef.{term}")
        case.check(fit.frame().set_index("term").loc[term, "std_error"], f"se.{term}")
    case.check(fit.covariance, "vcov.values")
    case.check(fit.effective_df, "effective_df")
    P = penalty_matrix(fit.development, penalty_factors(case.inputs["penalty"]))
    case.check(P[1:, 1:], "penalty_matrix.values")


def test_its_indices_equal_lrms_whose_deviance_holds_the_penalty() -> None:
    case, fit = reference()
    indices = fit.indices()
    case.check(indices["nagelkerke_r2"], "r2")
    case.check(indices["auc"], "c_index")
    case.check(indices["brier"], "brier")
    case.check(fit.log_likelihood, "loglik_unpenalized_at_estimate")


def test_no_penalty_is_maximum_likelihood_and_a_huge_one_the_event_rate() -> None:
    data = simulated()
    none, ml = (
        fit_logistic(FORMULA, data, method="ridge", penalty=0),
        fit_logistic(FORMULA, data),
    )
    np.testing.assert_allclose(none.params, ml.params, rtol=1e-8)
    assert none.effective_df == pytest.approx(len(ml.params) - 1)
    huge = fit_logistic(FORMULA, data, method="ridge", penalty=1e9)
    np.testing.assert_allclose(huge.predict(data), data["y"].mean(), atol=1e-5)
    assert huge.effective_df == pytest.approx(0, abs=1e-4)


def test_classes_without_a_factor_take_that_of_their_parent() -> None:
    assert penalty_factors({"simple": 1, "interaction": 4}) == {
        "simple": 1,
        "nonlinear": 1,
        "interaction": 4,
        "nonlinear.interaction": 4,
    }


def test_only_the_classes_asked_for_are_shrunk() -> None:
    data = simulated()
    free = fit_logistic(
        FORMULA, data, method="ridge", penalty={"simple": 0, "nonlinear": 0, "interaction": 1e9}
    )
    main = fit_logistic("y ~ rcs(age, 4) + site + log(fsh) + left", data)
    np.testing.assert_allclose(free.params[main.params.index], main.params, rtol=1e-4)


def test_the_default_penalty_has_the_largest_corrected_aic() -> None:
    fit = fit_logistic(FORMULA, simulated(80), method="ridge")
    assert fit.penalty is not None
    assert fit.development is not None
    chosen = fit.penalty["simple"]
    table = trace_penalty(fit.development, [chosen / 2, chosen, chosen * 2]).set_index("penalty")
    assert table["aic_c"].idxmax() == chosen
    assert (np.diff(table["df"]) < 0).all()


def test_the_trace_prices_degrees_of_freedom_as_pentrace() -> None:
    _, fit = reference()
    row = trace_penalty(fit.development, [{"simple": 2, "nonlinear": 8}]).iloc[0]
    p = fit.predict(load_case("logit_appx_penalty_nonlinear").table())
    y = fit.development.y
    chi2 = 2 * ((y * np.log(p) + (1 - y) * np.log(1 - p)).sum() - fit.null_log_likelihood)
    df, n = fit.effective_df, 358
    assert row["aic"] == pytest.approx(chi2 - 2 * df)
    assert row["bic"] == pytest.approx(chi2 - np.log(n) * df)
    assert row["aic_c"] == pytest.approx(chi2 - 2 * df * (1 + (df + 1) / (n - df - 2)))


def test_separated_data_and_more_columns_than_rows_can_be_fitted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = simulated().assign(marker=lambda d: d["y"] * 2.0 + d["p"])
    fit = fit_logistic("y ~ age + marker", data, method="ridge", penalty=1.0)
    assert np.isfinite(fit.params).all()
    few = fit_logistic(FORMULA, simulated(200).groupby("y").head(5), method="ridge", penalty=3.0)
    assert few.n < len(few.params)
    few.to_json(tmp_path / "few.json")
    assert LogisticFit.from_json(tmp_path / "few.json").penalty == few.penalty


@pytest.mark.parametrize("penalty", [-1, float("nan"), {"simpel": 1}, {"simple": -2}])
def test_penalties_are_checked(penalty: object) -> None:
    with pytest.raises(ArgumentError, match="`penalty` must be a number >= 0"):
        fit_logistic("y ~ age", simulated(), method="ridge", penalty=penalty)  # type: ignore[arg-type]


def test_the_penalty_is_chosen_among_those_that_have_a_maximum() -> None:
    """Separated or duplicate columns have none at penalty 0."""
    data = simulated(120)
    separated = data.assign(marker=data["y"] + 0.1 * data["p"])
    fit = fit_logistic("y ~ marker + age", separated, method="ridge")
    assert fit.penalty is not None
    assert fit.penalty["simple"] > 0
    table = trace_penalty(fit.development, [0.0, 1.0])
    assert table["aic_c"].isna().tolist() == [True, False]
    twice = fit_logistic("y ~ age + again", data.assign(again=data["age"]), method="ridge")
    assert twice.params["age"] == pytest.approx(twice.params["again"])


@pytest.mark.parametrize("method", ["ridge", "lasso"])
def test_constant_columns_are_refused_in_development_and_ignored_in_a_refit(method: str) -> None:
    data = simulated(120)
    penalty = 0.05 if method == "lasso" else 3.0
    with pytest.raises(DesignError, match=r"without variation.*`k` \(always 2\)"):
        fit_logistic("y ~ age + k", data.assign(k=2.0), method=method, penalty=penalty)
    spec = fit_logistic("y ~ age + left", data).spec
    alone = data.assign(left=True)
    fit = fit_logistic(spec, alone, method=method, penalty=penalty)
    assert fit.params["left=True"] == pytest.approx(0, abs=1e-9)
    age_only = fit_logistic("y ~ age", data, method=method, penalty=penalty)
    np.testing.assert_allclose(fit.predict(alone), age_only.predict(data), atol=1e-7)


@pytest.mark.parametrize("penalty", ["much", True, None, np.nan, -1.0, {"simple": "a"}])
def test_penalties_that_are_no_numbers_are_refused(penalty: object) -> None:
    data = simulated(60)
    if penalty is not None:
        with pytest.raises(ArgumentError, match="`penalty` must be a number >= 0"):
            fit_logistic("y ~ age", data, method="ridge", penalty=penalty)  # type: ignore[arg-type]
    if not isinstance(penalty, dict):
        with pytest.raises(ArgumentError, match='method="lasso" needs `penalty`, a number >= 0'):
            fit_logistic("y ~ age", data, method="lasso", penalty=penalty)  # type: ignore[arg-type]
