"""What the models and their validation promise, in simulated cohorts whose truth is known.

Tolerances are about three standard errors of the simulated shares.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import special

import usstats
from usstats._fits.newton_batch import newton_logistic_batch
from usstats._validation.indexes import rank_indexes
from usstats.errors import OptimismWarning, UsstatsError
from usstats.logistic import LogisticFit, fit_logistic
from usstats.optimism import validate
from usstats.recipe import Recipe
from usstats.selection import BackwardElimination, LassoTuning
from usstats.terms import as_terms

pytestmark = pytest.mark.slow

Float = NDArray[np.float64]


def drawn(rng: np.random.Generator, n: int, beta: Float, intercept: float = 0.0) -> pd.DataFrame:
    X = rng.normal(size=(n, beta.size))
    data = pd.DataFrame(X).add_prefix("x")
    return data.assign(y=(rng.random(n) < special.expit(intercept + X @ beta)).astype(int))


def fitted(data: pd.DataFrame, **options: object) -> LogisticFit:
    terms = [{"name": name} for name in data.columns if name != "y"]
    return fit_logistic(outcome="y", terms=terms, data=data, **options)  # type: ignore[arg-type]


def true_auc(fit: LogisticFit, beta: Float, n: int = 20_000) -> float:
    """AUC of a fitted model in many new patients."""
    new = drawn(np.random.default_rng(999), n, beta)
    lp = fit.linear_predictor(new)
    return float(rank_indexes(lp[None], new["y"].to_numpy(dtype=float))[0][0])


# --------------------------------------------------------------------------- one model


def test_wald_intervals_cover() -> None:
    beta, covered = np.array([0.8, -0.4, 0.0]), []
    for trial in range(1500):
        frame = fitted(drawn(np.random.default_rng(trial), 250, beta, -0.5)).frame()
        inside = (frame["conf_low"] <= [-0.5, *beta]) & (frame["conf_high"] >= [-0.5, *beta])
        covered.append(inside)
    assert np.mean(covered, axis=0) == pytest.approx(0.95, abs=0.018)


def test_profile_penalised_intervals_cover_where_wald_intervals_do_not() -> None:
    """Heinze and Schemper's setting: few patients, a binary covariate with a strong effect."""
    profile, wald = [], []
    for trial in range(250):
        rng = np.random.default_rng([1, trial])
        data = pd.DataFrame({"x": rng.integers(0, 2, 40), "z": rng.normal(size=40)})
        data["y"] = (rng.random(40) < special.expit(-1 + 3 * data["x"])).astype(int)
        if data["y"].nunique() < 2 or data["x"].nunique() < 2:
            continue
        fit = fit_logistic("y ~ x + z", data, method="firth")
        row = fit.frame().set_index("term").loc["x"]
        profile.append(row["conf_low"] <= 3 <= row["conf_high"])
        try:
            ml = fit_logistic("y ~ x + z", data).frame().set_index("term").loc["x"]
            wald.append(ml["conf_low"] <= 3 <= ml["conf_high"])
        except UsstatsError:
            wald.append(False)  # separated: there is no interval at all
    assert np.mean(profile) == pytest.approx(0.95, abs=0.042)
    assert np.mean(wald) < np.mean(profile)


def test_firth_is_less_biased_than_maximum_likelihood() -> None:
    ml, firth = [], []
    for trial in range(250):
        data = drawn(np.random.default_rng([2, trial]), 60, np.array([1.0, 0.0]))
        ml.append(fitted(data).params["x0"])
        firth.append(fitted(data, method="firth").params["x0"])
    assert np.mean(ml) > 1.06
    assert np.mean(firth) == pytest.approx(1, abs=0.07)


def test_an_added_noise_predictor_is_found_in_5_percent() -> None:
    """Likelihood ratio, Wald, and DeLong's test of the two fits on their own data (rule R06)."""
    lr, wald, delong = [], [], []
    for trial in range(1500):
        data = drawn(np.random.default_rng([3, trial]), 200, np.array([1.0, 0.5, 0.0]))
        fit = fitted(data)
        for table, test in ((lr, "lr"), (wald, "wald")):
            table.append(fit.anova(test).set_index("term").loc["x2", "p_value"] < 0.05)
        if trial < 400:
            risks = {
                "with": fit.predict(data),
                "without": fitted(data.drop(columns="x2")).predict(data),
            }
            delong.append(usstats.compare_auc(data["y"], risks).frame()["p_value"][0] < 0.05)
    assert np.mean(lr) == pytest.approx(0.05, abs=0.017)
    assert np.mean(wald) == pytest.approx(0.05, abs=0.017)
    assert np.mean(delong) < 0.02


def test_delong_on_nested_fits_misses_what_the_likelihood_ratio_finds() -> None:
    lr, delong = [], []
    for trial in range(300):
        data = drawn(np.random.default_rng([4, trial]), 275, np.array([1.0, 0.4]))
        fit, reduced = fitted(data), fitted(data[["x0", "y"]])
        lr.append(fit.anova("lr").set_index("term").loc["x1", "p_value"] < 0.05)
        risks = {"with": fit.predict(data), "without": reduced.predict(data)}
        delong.append(usstats.compare_auc(data["y"], risks).frame()["p_value"][0] < 0.05)
    assert np.mean(lr) > 0.75
    assert np.mean(delong) < np.mean(lr) - 0.3


def test_the_sandwich_covers_where_rows_of_a_patient_are_alike() -> None:
    plain, sandwich = [], []
    for trial in range(500):
        rng = np.random.default_rng([5, trial])
        patient = np.repeat(np.arange(80), 4)
        shared = rng.normal(size=80)[patient]
        data = pd.DataFrame({"x": rng.normal(size=80)[patient]})
        data["y"] = (rng.random(320) < special.expit(1.2 * shared)).astype(int)
        for table, options in ((plain, {}), (sandwich, {"cluster": patient})):
            row = fit_logistic("y ~ x", data, **options).frame().iloc[1]
            table.append(row["conf_low"] <= 0 <= row["conf_high"])
    assert np.mean(plain) < 0.9
    assert np.mean(sandwich) == pytest.approx(0.95, abs=0.03)


# --------------------------------------------------------------------------- its validation

NOISE = 50


def noise_recipe(how: str, data: pd.DataFrame) -> tuple[LogisticFit, Recipe] | None:
    """A model of 50 predictors that mean nothing, selected or penalised."""
    terms = as_terms([{"name": f"x{i}"} for i in range(NOISE)])
    if how == "all":
        return fitted(data), Recipe()
    if how == "lasso":
        tuning = LassoTuning(rule="best", n_folds=5, n_penalty=20)
        spec = fitted(data).spec
        fit = fit_logistic(
            spec, data, method="lasso", penalty=tuning.penalty(data, spec, np.arange(len(data)))
        )
        return (fit, Recipe(penalty=tuning)) if fit.effective_df else None
    select = (
        BackwardElimination() if how == "aic" else LassoTuning(rule="best", n_folds=5, n_penalty=20)
    )
    kept = select([data], "y", terms)
    if not kept:
        return None
    return fit_logistic(outcome="y", terms=kept, data=data), Recipe(terms=terms, select=select)


METHODS = {
    "default": {"n_boot": 40},
    "harrell": {"n_boot": 40, "method": "harrell"},
    ".632": {"n_boot": 40, "method": ".632"},
    "folds": {"n_boot": 10, "repeats": 2, "method": "crossvalidation"},
}


@pytest.mark.filterwarnings("ignore::usstats.errors.OptimismWarning")
@pytest.mark.filterwarnings("ignore::usstats.errors.SmallSampleWarning")
@pytest.mark.parametrize(
    ("how", "trials"), [("all", 24), ("aic", 10), ("lasso_terms", 14), ("lasso", 14)]
)
def test_50_noise_predictors_predict_nothing(how: str, trials: int, tmp_path: Path) -> None:
    """The default is right; Harrell's bootstrap and .632 stay above 0.5, as `validate` says."""
    found: dict[str, list[float]] = {name: [] for name in ("apparent", *METHODS)}
    for trial in range(trials):
        rng = np.random.default_rng([6, trial])
        data = drawn(rng, 275, np.zeros(NOISE))
        made = noise_recipe(how, data)
        if made is None:  # nothing was kept: the model is the event rate, its AUC 0.5
            continue
        fit, recipe = made
        for name, options in METHODS.items():
            kept = tmp_path / f"{trial} {'folds' if name == 'folds' else 'resamples'}"
            options = {**options, "checkpoint": kept}
            result = validate(fit, data, seed=trial, recipe=recipe, **options)  # type: ignore[arg-type]
            row = result.frame().set_index("measure").loc["auc"]
            found[name].append(row["test" if name == "folds" else "corrected"])
        found["apparent"].append(row["apparent"])
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    assert len(found["default"]) >= 4
    assert mean["apparent"] > 0.6
    assert mean["default"] == pytest.approx(0.5, abs=0.03)
    assert mean["folds"] == pytest.approx(0.5, abs=0.03)
    assert mean["harrell"] > mean["default"] - 0.01
    assert mean[".632"] > 0.53


def test_the_corrected_auc_and_its_interval_are_right_for_patients_with_several_images() -> None:
    """137 patients with 1 to 7 images, within-patient correlation 0.7."""
    beta, gaps, covered, by_rows = np.array([1.2, 0.6, 0.0]), [], [], []
    for trial in range(250):
        rng = np.random.default_rng([7, trial])
        patient = np.repeat(np.arange(137), rng.integers(1, 8, 137))
        own = rng.normal(size=(137, 3))
        y = (rng.random(137) < special.expit(own @ beta)).astype(int)[patient]
        X = np.sqrt(0.7) * own[patient] + np.sqrt(0.3) * rng.normal(size=(patient.size, 3))
        data = pd.DataFrame(X).add_prefix("x").assign(y=y)
        fit = fitted(data)
        new = np.random.default_rng([8, trial]).normal(size=(2, 10_000, 3))
        event = np.random.default_rng([9, trial]).random(10_000) < special.expit(new[0] @ beta)
        images = np.sqrt(0.7) * new[0] + np.sqrt(0.3) * new[1]
        truth = rank_indexes((images @ fit.params.to_numpy()[1:])[None], event * 1.0)[0][0]
        interval = validate(fit, data, n_boot=60, seed=trial, cluster=patient).interval("auc")
        gaps.append(interval.estimate - truth)
        covered.append(interval.conf_low <= truth <= interval.conf_high)
        naive = validate(fit, data, n_boot=30, seed=trial).interval("auc")
        by_rows.append(naive.conf_low <= truth <= naive.conf_high)
    assert np.mean(gaps) == pytest.approx(0, abs=0.01)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)
    assert np.mean(by_rows) < 0.85


@pytest.mark.parametrize(("n", "k", "least"), [(200, 6, 0.92), (275, 20, 0.89)])
def test_intervals_of_the_corrected_auc_cover_where_shifted_ones_do_not(
    n: int, k: int, least: float
) -> None:
    beta = np.r_[1.0, 0.5, 0.3, np.zeros(k - 3)]
    covered, shifted, gaps = [], [], []
    for trial in range(200):
        data = drawn(np.random.default_rng([10, trial]), n, beta)
        fit = fitted(data)
        result = validate(fit, data, n_boot=60, seed=trial, method=".632+")
        truth, interval = true_auc(fit, beta), result.interval("auc")
        covered.append(interval.conf_low <= truth <= interval.conf_high)
        values = result.replicates().query("measure == 'auc'")["training"]
        low, high = np.quantile(values, [0.025, 0.975]) - result.frame()["optimism"][0]
        shifted.append(low <= truth <= high)
        gaps.append(interval.estimate - truth)
    assert np.mean(covered) >= least
    assert np.mean(covered) > np.mean(shifted)
    assert np.mean(gaps) == pytest.approx(0, abs=0.015)


def test_instability_falls_with_the_sample_and_measures_the_spread_of_the_models() -> None:
    """MAPE shrinks as 1 / sqrt(n), and is that between models of fresh samples."""
    beta, mape = np.array([1.0, 0.5, 0.0, 0.0]), {}
    for n in (100, 400, 1600):
        values = []
        for trial in range(12):
            data = drawn(np.random.default_rng([11, trial]), n, beta)
            values.append(validate(fitted(data), data, n_boot=60, seed=1).instability().mape)
        mape[n] = float(np.mean(values))
    assert mape[100] / mape[400] == pytest.approx(2, rel=0.15)
    assert mape[400] / mape[1600] == pytest.approx(2, rel=0.15)
    risks = []
    new = drawn(np.random.default_rng(12), 2000, beta)
    for trial in range(40):
        fresh = fitted(drawn(np.random.default_rng([13, trial]), 400, beta))
        risks.append(fresh.predict(new))
    between = np.abs(np.array(risks)[:, None] - np.array(risks)).mean() * 40 / 39
    # two fresh models differ by sqrt(2) times what a resampled one differs from its own sample
    assert mape[400] == pytest.approx(between / np.sqrt(2), rel=0.1)


def test_harrells_bootstrap_is_within_a_hundredth_of_the_truth_with_enough_events() -> None:
    beta, gaps = np.array([1.0, 0.5, 0.0, 0.0, 0.0]), {"harrell": [], ".632+": []}
    for trial in range(100):
        data = drawn(np.random.default_rng([14, trial]), 200, beta)
        fit = fitted(data)
        truth = true_auc(fit, beta)
        for method, table in gaps.items():
            result = validate(fit, data, n_boot=80, seed=trial, method=method)
            table.append(result.corrected["auc"] - truth)
    assert np.mean(gaps["harrell"]) == pytest.approx(0, abs=0.01)
    assert np.mean(gaps[".632+"]) == pytest.approx(0, abs=0.015)


def test_the_warning_comes_where_harrells_bootstrap_is_wrong() -> None:
    warned = []
    for trial in range(10):
        data = drawn(np.random.default_rng([15, trial]), 275, np.zeros(NOISE))
        with pytest.warns(OptimismWarning, match=r"the \.632\+ estimate 0\.[45]"):
            validate(fitted(data), data, n_boot=40, seed=1, method="harrell")
        warned.append(True)
    assert len(warned) == 10


def test_a_batch_of_refits_of_rare_events_flags_exactly_the_separated_ones() -> None:
    """The batch against single fits, where separation is common."""
    rng = np.random.default_rng(16)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, 3))])
    y = (rng.random(40) < special.expit(-1.5 + 2 * X[:, 1])).astype(float)
    counts = rng.multinomial(40, np.full(40, 1 / 40), size=300)
    params, converged = newton_logistic_batch(X, y, counts)
    assert 0.3 < converged.mean() < 1
    for b in range(300):
        rows = np.repeat(np.arange(40), counts[b])
        separated = usstats.separation.detect_separation(X[rows], y[rows]).separated
        assert converged[b] != separated
    assert np.isfinite(params[converged]).all()
