"""Chained equations: what must hold of every completed table, and what simulations must recover."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from usstats._imputing.chained import draw_regression, fit_multinomial, nearest_donors
from usstats.errors import (
    ArgumentError,
    DesignError,
    MissingDataError,
    UsstatsWarning,
)
from usstats.imputation import fit_imputed, impute, missing_map, missing_patterns
from usstats.logistic import fit_logistic


def cohort(n: int = 200, seed: int = 3, *, missing: float = 0.2) -> pd.DataFrame:
    """Patients with a hole of every kind of variable."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "patient_id": [f"P{i:03d}" for i in range(n)],
            "fsh": rng.lognormal(2, 0.5, n),
            "age": rng.integers(20, 50, n).astype(float),
            "side": rng.choice(["left", "right", "both"], n),
            "smoker": rng.integers(0, 2, n).astype(float),
        }
    )
    risk = 1 / (1 + np.exp(-(np.log(data["fsh"]) - 2 + 0.5 * data["smoker"])))
    data["noa"] = (rng.random(n) < risk).astype(int)
    for name in ("fsh", "age", "side", "smoker"):
        data.loc[rng.random(n) < missing, name] = None
    return data


def test_observed_cells_stay_and_no_hole_is_left():
    data = cohort()
    for copy in impute(data, m=3, seed=1, outcome="noa"):
        observed = data.notna()
        assert copy.notna().all().all()
        assert (
            (copy.where(observed) == data.where(observed)).where(observed, other=True).all().all()
        )
        assert list(copy.columns) == list(data.columns)
        assert (copy.dtypes == data.dtypes).all()


def test_the_table_that_came_is_not_changed():
    data = cohort()
    before = data.copy(deep=True)
    copies = impute(data, m=2, seed=1, outcome="noa")
    first = copies[0]
    first["fsh"] = 0.0
    pd.testing.assert_frame_equal(data, before)
    assert (copies[0]["fsh"] > 0).all()


def test_matched_values_are_observed_values_and_drawn_levels_exist():
    data = cohort()
    for copy in impute(data, m=3, seed=1, outcome="noa"):
        for name in ("fsh", "age", "side", "smoker"):
            assert set(copy[name]) <= set(data[name].dropna())


def test_the_normal_method_draws_values_nobody_had():
    data = cohort()
    copy = impute(data, m=1, seed=1, outcome="noa", method="norm")[0]
    assert not set(copy["fsh"][data["fsh"].isna()]) & set(data["fsh"].dropna())


def test_the_seed_decides_and_copies_are_its_children():
    data = cohort()
    five = impute(data, m=5, seed=7, outcome="noa")
    two = impute(data, m=2, seed=7, outcome="noa")
    other = impute(data, m=2, seed=8, outcome="noa")
    pd.testing.assert_frame_equal(five[1], two[1])
    assert not five[0].equals(five[1])
    assert not two[0].equals(other[0])


def test_copies_are_independent_of_each_other():
    data = cohort(400)
    holes = data["age"].isna().to_numpy()
    drawn = np.array([c["age"][holes] for c in impute(data, m=40, seed=1, outcome="noa")])
    between = np.corrcoef(drawn - drawn.mean(axis=0))[np.triu_indices(40, 1)]
    assert abs(between.mean() + 1 / 39) < 0.02


def test_it_is_a_sequence_of_frames():
    copies = impute(cohort(), m=4, seed=1, outcome="noa")
    assert len(copies) == len(list(copies)) == copies.m == 4
    assert [len(copy) for copy in copies[1:3]] == [200, 200]
    stacked = copies.stacked()
    assert stacked["imputation"].value_counts().to_dict() == dict.fromkeys(range(1, 5), 200)
    pd.testing.assert_frame_equal(
        stacked.query("imputation == 3").drop(columns="imputation").reset_index(drop=True),
        copies[2],
        check_dtype=False,
    )


def test_the_missing_map_counts_by_hand():
    data = pd.DataFrame({"a": [1.0, None, None, 4.0], "b": [None, "x", None, "y"]})
    table = missing_map(data).set_index("variable")
    assert table.loc["a", ["n", "n_missing", "percent_missing"]].tolist() == [4, 2, 50.0]
    patterns = missing_patterns(data).set_index("pattern")["n"].to_dict()
    assert patterns == {"": 1, "a": 1, "b": 1, "a + b": 1}


def test_methods_and_exclusions_are_told():
    copies = impute(cohort(), m=1, seed=1, outcome="noa")
    assert copies.excluded == ("patient_id",)
    assert copies.methods == {
        "fsh": "pmm", "age": "pmm", "side": "multinomial", "smoker": "logistic",
    }  # fmt: skip
    assert "fsh" in repr(copies)
    assert "seed 1" in repr(copies)


def test_diagnostics_follow_every_chain():
    copies = impute(cohort(), m=3, seed=1, outcome="noa", n_iter=4)
    table = copies.diagnostics()
    assert list(table.columns) == ["copy", "iteration", "variable", "mean", "std"]
    assert len(table) == 3 * 4 * 4
    last = table.query("copy == 1 and iteration == 4 and variable == 'age'")
    holes = copies.original["age"].isna()
    assert last["mean"].item() == pytest.approx(copies[0]["age"][holes].mean())


def test_one_incomplete_variable_needs_one_pass():
    data = cohort()[["fsh", "noa"]]
    assert impute(data, m=1, seed=1, outcome="noa").diagnostics()["iteration"].max() == 1


def test_a_complete_table_comes_back_as_it_was():
    data = cohort(missing=0.0)
    pd.testing.assert_frame_equal(impute(data, m=2, seed=1, outcome="noa")[1], data)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([True, None, False, True, None, False], object),
        ([True, None, False, True, None, False], "boolean"),
        ([1, None, 5, 7, 3, 4], "Int64"),
        (["a", None, "b", "a", "b", "a"], "category"),
        (["a", None, "b", "a", "b", "a"], "string"),
    ],
)
def test_the_type_of_a_column_survives(values, dtype):
    data = pd.DataFrame({"x": pd.Series(values, dtype=dtype), "y": [0, 1, 0, 1, 1, 0]})
    copy = impute(data, m=1, seed=1, outcome="y")[0]
    assert copy["x"].dtype == data["x"].dtype
    assert set(copy["x"]) <= set(data["x"].dropna())


def test_a_predictor_that_separates_a_level_does_not_break_the_draw():
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    data = pd.DataFrame({"x": x, "level": np.where(x > 0, "high", "low"), "y": [0, 1] * 40})
    data.loc[:9, "level"] = None
    copy = impute(data, m=1, seed=1, outcome="y")[0]
    far = np.abs(x[:10]) > 0.5
    assert (copy["level"][:10][far] == np.where(x[:10] > 0, "high", "low")[far]).all()


def test_collinear_predictors_can_be_used():
    rng = np.random.default_rng(1)
    a = rng.normal(size=50)
    data = pd.DataFrame({"a": a, "twice": 2 * a, "b": a + rng.normal(size=50), "y": [0, 1] * 25})
    data.loc[:9, "b"] = None
    assert np.isfinite(impute(data, m=1, seed=1, outcome="y")[0]["b"]).all()


@pytest.mark.parametrize(
    ("change", "options", "error", "text"),
    [
        ({}, {"seed": None}, ArgumentError, "`seed` must be a whole number"),
        ({}, {"m": 0}, ArgumentError, "`m` must be a whole number"),
        ({}, {"method": "mean"}, ArgumentError, "must be one of 'pmm', 'norm', 'sample'"),
        ({}, {"method": {"side": "pmm"}}, ArgumentError, "'side' is a factor with 3 levels"),
        ({}, {"method": {"fsh": "logistic"}}, ArgumentError, "'fsh' is numeric"),
        ({}, {"variables": ["fsh", "lh"]}, ArgumentError, r"not in `data`: \['lh'\]"),
        ({}, {"exclude": ["noa"]}, ArgumentError, "must contain it"),
        ({"noa": None}, {}, MissingDataError, "missing in 200 of 200 rows"),
        ({"fsh": None}, {}, MissingDataError, "'fsh' has no observed value"),
        ({"fsh": np.inf}, {}, DesignError, "'fsh' has 200 infinite values"),
    ],
)
def test_refusals_say_what_to_do(change, options, error, text):
    data = cohort().assign(**change)
    with pytest.raises(error, match=text):
        impute(data, **{"m": 2, "seed": 1, "outcome": "noa", **options})


def test_variables_without_an_outcome_are_warned_of():
    with pytest.warns(UsstatsWarning, match="Name the outcome"):
        impute(cohort(), m=1, seed=1, variables=["fsh", "age"])


def test_a_model_whose_outcome_was_left_out_is_refused():
    with pytest.warns(UsstatsWarning):
        copies = impute(cohort(), m=2, seed=1, variables=["fsh", "age"])
    with pytest.raises(ArgumentError, match="no part of the imputation models"):
        fit_imputed("noa ~ fsh", copies)


def test_donors_are_the_nearest_by_a_slow_search():
    rng = np.random.default_rng(2)
    observed, wanted = rng.normal(size=40), rng.normal(size=15)
    drawn = np.array([nearest_donors(observed, wanted, rng, n_donors=3) for _ in range(300)])
    for j, value in enumerate(wanted):
        nearest = set(np.argsort(np.abs(observed - value))[:3])
        assert set(drawn[:, j]) == nearest


def test_tied_donors_are_equally_likely():
    rng = np.random.default_rng(2)
    drawn = np.concatenate(
        [nearest_donors(np.zeros(8), np.zeros(1), rng, n_donors=2) for _ in range(4000)]
    )
    assert np.bincount(drawn, minlength=8).min() > 400


def test_a_drawn_regression_has_the_posterior_of_the_textbook():
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(60), rng.normal(size=60)])
    y = X @ [1.0, 2.0] + rng.normal(size=60)
    draws = np.array([draw_regression(X, y, rng)[1] for _ in range(4000)])
    beta, residual, *_ = np.linalg.lstsq(X, y, rcond=None)
    variance = residual[0] / (60 - 2 - 2) * np.linalg.inv(X.T @ X)
    assert draws.mean(axis=0) == pytest.approx(beta, abs=0.02)
    assert np.cov(draws.T) == pytest.approx(variance, abs=0.003)


def test_two_levels_are_a_logistic_regression():
    rng = np.random.default_rng(5)
    x = rng.normal(size=150)
    y = (rng.random(150) < 1 / (1 + np.exp(-x))).astype(int)
    X = np.column_stack([np.ones(150), x])
    beta, V = fit_multinomial(X, y, np.ones(150), n_level=2)
    fit = fit_logistic("y ~ x", pd.DataFrame({"x": x, "y": y}))
    assert beta[0] == pytest.approx(fit.params.to_numpy(), abs=1e-5)
    assert pytest.approx(fit.covariance.to_numpy(), rel=1e-4) == V


def test_three_levels_agree_with_statsmodels():
    from statsmodels.discrete.discrete_model import MNLogit

    rng = np.random.default_rng(6)
    X = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    codes = rng.integers(0, 3, 200)
    beta, V = fit_multinomial(X, codes, np.ones(200), n_level=3)
    fit = MNLogit(codes, X).fit(disp=False, method="newton")
    assert beta == pytest.approx(np.asarray(fit.params).T, abs=1e-4)
    assert pytest.approx(np.asarray(fit.cov_params()), abs=1e-4) == V


def test_one_imputation_takes_milliseconds():
    data = cohort(275)[["fsh", "age", "noa"]]
    impute(data, m=2, seed=1, outcome="noa")
    start = time.perf_counter()
    impute(data, m=20, seed=1, outcome="noa")
    assert (time.perf_counter() - start) / 20 < 0.015


def _recovered(mechanism: str, n_trial: int = 60) -> tuple[float, float]:
    """Mean pooled coefficient of x (truth 1) and coverage of its 95 % interval."""
    found, covered = [], []
    for trial in range(n_trial):
        rng = np.random.default_rng(1000 + trial)
        x, z = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 500).T
        y = (rng.random(500) < 1 / (1 + np.exp(-x))).astype(int)
        data = pd.DataFrame({"x": x, "z": z, "y": y})
        p = 0.4 if mechanism == "mcar" else np.where(y == 1, 0.6, 0.2)
        data.loc[rng.random(500) < p, "x"] = None
        row = fit_imputed("y ~ x", impute(data, m=10, seed=trial, outcome="y")).frame().iloc[1]
        found.append(row["estimate"])
        covered.append(row["conf_low"] < 1 < row["conf_high"])
    return float(np.mean(found)), float(np.mean(covered))


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_the_coefficient_is_recovered(mechanism):
    mean, coverage = _recovered(mechanism)
    assert mean == pytest.approx(1.0, abs=0.07)
    assert coverage >= 0.87


@pytest.mark.slow
def test_leaving_the_outcome_out_dilutes_the_coefficient():
    found = []
    for trial in range(30):
        rng = np.random.default_rng(trial)
        x = rng.normal(size=500)
        y = (rng.random(500) < 1 / (1 + np.exp(-x))).astype(int)
        data = pd.DataFrame({"x": x, "z": x + rng.normal(size=500), "y": y})
        data.loc[rng.random(500) < 0.5, "x"] = None
        copies = [c.assign(y=y) for c in impute(data[["x", "z"]], m=3, seed=trial)]
        found.append(np.mean([fit_logistic("y ~ x", copy).params["x"] for copy in copies]))
    assert np.mean(found) < 0.9
