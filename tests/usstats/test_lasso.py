"""The lasso against glmnet, scikit-learn, and its optimality conditions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tests.reference import ReferenceCase, load_case
from tests.usstats.test_logistic import simulated
from usstats._fits.lasso import lasso_path
from usstats._fits.prepared import Prepared
from usstats.errors import ArgumentError, PairingError
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram


@cache
def prepared(case_id: str) -> tuple[ReferenceCase, Prepared]:
    case = load_case(case_id)
    data = case.table().assign(male=lambda d: (d["sex"] == "male").astype(int))
    formula = f"{case.inputs['outcome']} ~ " + " + ".join(case.inputs["predictors"])
    fit = fit_logistic(formula, data)
    assert fit.development is not None
    return case, fit.development


def test_a_path_equals_glmnet() -> None:
    case, data = prepared("lasso_appx_path")
    path = lasso_path(data, penalties=case.inputs["lambda"])
    case.check(path.coefficients, "coef.values")
    case.check(path.penalties, "lambda")
    case.check((path.coefficients.iloc[:, 1:] != 0).sum(axis=1), "df")
    assert len(path.coefficients.columns) == len(case.expected["names"])
    default = lasso_path(data)
    case.check(default.penalties[:5], "default_path_first5")
    case.check(default.penalties[0], "lambda_max")
    case.check(default.penalties[0], "lambda_max_glmnet")


def test_deviances_equal_glmnets() -> None:
    case, data = prepared("lasso_appx_path")
    table = case.table().assign(male=lambda d: (d["sex"] == "male").astype(int))
    fits = [
        fit_logistic(data.spec, table, method="lasso", penalty=penalty)
        for penalty in case.inputs["lambda"]
    ]
    case.check([1 - fit.log_likelihood / fit.null_log_likelihood for fit in fits], "dev_ratio")
    case.check(-2 * fits[0].null_log_likelihood, "nulldev")


def test_cross_validation_equals_cv_glmnet() -> None:
    case, data = prepared("lasso_appx_cv")
    path = lasso_path(data, penalties=case.inputs["lambda"], folds=case.table(1)["fold"])
    case.check(path.cv["deviance"], "cvm")
    case.check(path.cv["std_error"], "cvsd")
    case.check(path.best, "lambda_min")
    case.check(path.one_se, "lambda_1se")
    wide = path.coefficients.set_axis(path.penalties)
    for key, penalty in (("coef_1se", path.one_se), ("coef_min", path.best)):
        for name, value in zip(case.expected[key], wide.loc[penalty], strict=True):
            case.check(value, f"{key}.{name}")


def test_a_fit_at_one_penalty_is_the_paths() -> None:
    case, data = prepared("lasso_appx_path")
    table = case.table().assign(male=lambda d: (d["sex"] == "male").astype(int))
    fit = fit_logistic(data.spec, table, method="lasso", penalty=0.02)
    path = lasso_path(data, penalties=[0.02])
    np.testing.assert_allclose(fit.params, path.coefficients.iloc[0], atol=1e-9)
    assert fit.effective_df == 6
    assert fit.frame()["std_error"].isna().all()
    assert "no standard errors" in repr(fit)


def test_the_optimality_conditions_hold() -> None:
    data = simulated()
    fit = fit_logistic(
        "y ~ age + log(fsh) + logit(p) + site + left", data, method="lasso", penalty=0.03
    )
    X = fit.spec.matrix(data)
    sd = X.std(axis=0)
    score = X.T @ (data["y"] - fit.predict(data)) / len(data)
    assert score[0] == pytest.approx(0, abs=1e-10)
    for j in range(1, X.shape[1]):
        if fit.params.iloc[j]:
            assert score[j] / sd[j] == pytest.approx(0.03 * np.sign(fit.params.iloc[j]), abs=1e-9)
        else:
            assert abs(score[j] / sd[j]) <= 0.03 + 1e-9


def test_scikit_learn_finds_the_same_minimum() -> None:
    data = simulated()
    fit = fit_logistic("y ~ age + fsh + p", data, method="lasso", penalty=0.02)
    X = data[["age", "fsh", "p"]].to_numpy()
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    other = LogisticRegression(
        C=1 / (0.02 * len(data)), l1_ratio=1, solver="saga", tol=1e-10, max_iter=100_000
    ).fit(Z, data["y"])
    np.testing.assert_allclose(other.coef_[0] / X.std(axis=0), fit.params.iloc[1:], atol=1e-5)


def test_a_model_without_intervals_can_still_be_carried(tmp_path: Path) -> None:
    data = simulated()
    fit = fit_logistic("y ~ age + log(fsh) + site", data, method="lasso", penalty=0.01)
    fit.to_json(tmp_path / "lasso.json")
    again = LogisticFit.from_json(tmp_path / "lasso.json")
    np.testing.assert_array_equal(again.predict(data), fit.predict(data))
    nomogram = build_nomogram(again)
    patient = {"age": 5.0, "fsh": 1.0, "site": "b"}
    ax = nomogram.plot(patient=patient)
    assert "CI" not in ax.texts[-1].get_text()
    assert np.isnan(nomogram.points(**patient).conf_low)


def test_paths_say_what_they_are() -> None:
    _, data = prepared("lasso_appx_path")
    path = lasso_path(data, penalties=[0.1, 0.01])
    frame = path.frame()
    assert list(frame.columns) == ["penalty", "term", "estimate"]
    assert len(frame) == 2 * 11
    assert "2 penalties from 0.1 to 0.01; n = 358" in path.summary()
    with pytest.raises(ArgumentError, match="not cross-validated"):
        _ = path.best


def test_arguments_are_checked() -> None:
    data: pd.DataFrame = simulated()
    _, ready = prepared("lasso_appx_path")
    with pytest.raises(ArgumentError, match="needs `penalty`"):
        fit_logistic("y ~ age", data, method="lasso")
    with pytest.raises(ArgumentError, match="`penalties` must be finite numbers >= 0"):
        lasso_path(ready, penalties=[-1.0])
    with pytest.raises(PairingError, match="folds"):
        lasso_path(ready, penalties=[0.1], folds=[1, 2])
