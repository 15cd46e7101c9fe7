"""The whole recipe is repeated in every resample: imputation, knots, selection, threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from usstats.errors import ArgumentError
from usstats.imputation import Imputations, PooledFit, fit_imputed, impute
from usstats.logistic import fit_logistic
from usstats.optimism import validate
from usstats.recipe import Recipe, ThresholdRule
from usstats.resample import Resamples
from usstats.terms import Term
from usstats.thresholds import choose_threshold


def cohort(n: int = 160, seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    data["y"] = (rng.random(n) < special.expit(data["a"] - 0.5 * data["b"])).astype(int)
    return data


@pytest.fixture(scope="module")
def imputed() -> tuple[pd.DataFrame, Imputations, PooledFit]:
    data = cohort()
    data.loc[np.random.default_rng(1).random(len(data)) < 0.25, "a"] = None
    copies = impute(data, m=4, seed=1, outcome="y")
    return data, copies, fit_imputed("y ~ rcs(a, 3) + b", copies)


def test_imputation_is_repeated_in_every_resample(imputed):
    """One replicate, step by step, with the public functions alone."""
    data, copies, fit = imputed
    draws = Resamples.draw(len(data), n_boot=3, seed=5)
    recipe = Recipe(imputation="pmm", m=2)
    result = validate(fit, copies, resamples=draws, seed=5, recipe=recipe)
    row = result.replicates().query("replicate == 1 and measure == 'auc'").iloc[0]
    child = np.random.SeedSequence(5, spawn_key=(1, 1)).generate_state(1, np.uint64)[0] >> 1
    sample = data.iloc[draws[1]].reset_index(drop=True)
    completed = impute(sample, m=2, seed=int(child), outcome="y")
    refit = fit_imputed(fit.spec, completed)
    own = [fit_logistic("y ~ lp", c.assign(lp=refit.linear_predictor(c))) for c in completed]
    seen = [fit_logistic("y ~ lp", c.assign(lp=refit.linear_predictor(c))) for c in copies]
    assert row["training"] == pytest.approx(np.mean([f.indices()["auc"] for f in own]))
    assert row["test"] == pytest.approx(np.mean([f.indices()["auc"] for f in seen]))


def test_imputed_data_bring_their_imputation_with_them(imputed):
    _, copies, fit = imputed
    silent = validate(fit, copies, n_boot=4, seed=2)
    spoken = validate(fit, copies, n_boot=4, seed=2, recipe=Recipe(imputation="pmm"))
    pd.testing.assert_frame_equal(silent.frame(), spoken.frame())


def test_a_table_with_holes_is_completed_by_the_recipe(imputed):
    data, _, fit = imputed
    result = validate(fit, data, n_boot=3, seed=2, recipe=Recipe(imputation="pmm", m=2))
    assert result.n_failed == 0
    draws = np.tile(np.arange(len(data)), (2, 1))
    fresh = validate(fit, data, resamples=draws, recipe=Recipe(imputation="pmm", m=2))
    again = validate(
        fit, data, resamples=draws, recipe=Recipe(imputation="pmm", m=2), seed=fresh.seed
    )
    pd.testing.assert_frame_equal(fresh.frame(), again.frame())


def test_the_digits_do_not_depend_on_the_number_of_workers(imputed):
    _, copies, fit = imputed
    one, two = (validate(fit, copies, n_boot=6, seed=2, n_jobs=n).frame() for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_imputation_happens_inside_folds_and_632(imputed):
    _, copies, fit = imputed
    for method, n_boot in (("crossvalidation", 5), (".632", 20)):
        table = validate(fit, copies, n_boot=n_boot, seed=2, method=method).frame()
        assert np.isfinite(table["corrected"]).all()


def test_knots_are_placed_anew_where_asked():
    data = cohort()
    fit = fit_logistic("y ~ rcs(a, 4) + b", data)
    draws = Resamples.draw(len(data), n_boot=3, seed=5)
    result = validate(fit, data, resamples=draws, recipe=Recipe(knots="refit"))
    sample = data.iloc[draws[2]].reset_index(drop=True)
    refit = fit_logistic("y ~ rcs(a, 4) + b", sample)
    row = result.replicates().query("replicate == 2 and measure == 'brier'").iloc[0]
    assert row["training"] == pytest.approx(np.mean((sample["y"] - refit.predict(sample)) ** 2))
    assert row["test"] == pytest.approx(np.mean((data["y"] - refit.predict(data)) ** 2))


def test_knots_set_by_hand_stay():
    data = cohort()
    fit = fit_logistic("y ~ rcs(a, knots=[-1, 0, 1]) + b", data)
    fixed, refitted = (
        validate(fit, data, n_boot=5, seed=1, recipe=Recipe(knots=k)).frame()
        for k in ("fixed", "refit")
    )
    pd.testing.assert_frame_equal(fixed, refitted, atol=1e-7)


@pytest.mark.parametrize("method", ["firth", "flic", "ridge"])
def test_penalised_fits_are_refitted_by_their_own_method(method):
    data = cohort(90)
    penalty = 3.0 if method == "ridge" else None
    fit = fit_logistic("y ~ a + b + c", data, method=method, penalty=penalty)
    draws = Resamples.draw(len(data), n_boot=4, seed=5)
    result = validate(fit, data, resamples=draws)
    sample = data.iloc[draws[3]].reset_index(drop=True)
    refit = fit_logistic("y ~ a + b + c", sample, method=method, penalty=penalty)
    row = result.replicates().query("replicate == 3 and measure == 'brier'").iloc[0]
    assert row["test"] == pytest.approx(np.mean((data["y"] - refit.predict(data)) ** 2))
    assert result.frame().set_index("measure").loc["calibration_slope", "apparent"] > 1


def test_a_chosen_penalty_is_chosen_anew_where_asked():
    data = cohort(90)
    fit = fit_logistic("y ~ a + b + c", data, method="ridge")
    draws = Resamples.draw(len(data), n_boot=4, seed=5)
    asked = []

    def choose(table, spec):
        asked.append(len(table))
        return 5.0

    anew = validate(fit, data, resamples=draws, recipe=Recipe(penalty="refit"))
    by_hand = validate(fit, data, resamples=draws, recipe=Recipe(penalty=choose))
    sample = data.iloc[draws[0]].reset_index(drop=True)
    expected = fit_logistic("y ~ a + b + c", sample, method="ridge").predict(data)
    np.testing.assert_allclose(anew.instability().predictions[0], expected)
    assert asked == [90] * 4
    assert not by_hand.frame().equals(anew.frame())


def strongest(copies, outcome, terms: tuple[Term, ...]) -> list[Term]:
    """Keep the variable that correlates most with the outcome."""
    table = copies[0]
    return [max(terms, key=lambda t: abs(np.corrcoef(table[t.name], table[outcome])[0, 1]))]


def test_selection_is_repeated_and_its_stability_told():
    data = cohort(80)
    fit = fit_logistic("y ~ a", data)
    recipe = Recipe(formula="y ~ a + b + c", select=strongest)
    result = validate(fit, data, n_boot=60, seed=1, recipe=recipe)
    table = result.selection
    assert table["n"].sum() == 60
    assert table["term"].iloc[0] == "a"
    assert 0 < table["percent"].iloc[-1] < 50
    honest = result.frame().set_index("measure").loc["auc", "optimism"]
    blind = validate(fit, data, n_boot=60, seed=1).frame().set_index("measure")
    assert honest > blind.loc["auc", "optimism"]


def test_sensitivity_and_specificity_are_corrected_by_hand():
    data = cohort()
    fit = fit_logistic("y ~ a + b + c", data)
    draws = Resamples.draw(len(data), n_boot=8, seed=5)
    result = validate(fit, data, resamples=draws, recipe=Recipe(threshold="youden"))
    table = result.frame().set_index("measure")
    assert result.threshold == pytest.approx(choose_threshold(data["y"], fit.predict(data)).value)

    def rates(where, p, threshold):
        positive, event = p >= threshold, where["y"].to_numpy() == 1
        return np.array([positive[event].mean(), (~positive)[~event].mean()])

    gaps = []
    for drawn in draws:
        sample = data.iloc[drawn].reset_index(drop=True)
        refit = fit_logistic("y ~ a + b + c", sample)
        p_own = np.round(refit.predict(sample), 9)
        cut = choose_threshold(sample["y"], p_own).value - 1e-8
        gaps.append(rates(sample, p_own, cut) - rates(data, refit.predict(data), cut))
    expected = np.mean(gaps, axis=0)
    found = table.loc[["sensitivity", "specificity"], "optimism"]
    assert found.to_numpy() == pytest.approx(expected, abs=1e-6)
    assert table.loc["sensitivity", "corrected"] < table.loc["sensitivity", "apparent"]


def test_a_fixed_threshold_stays_where_it_is():
    data = cohort()
    fit = fit_logistic("y ~ a + b", data)
    result = validate(fit, data, n_boot=20, seed=1, recipe=Recipe(threshold=0.3))
    assert result.threshold == 0.3
    p, event = fit.predict(data), data["y"] == 1
    row = result.frame().set_index("measure").loc["sensitivity"]
    assert row["apparent"] == pytest.approx((p[event] >= 0.3).mean())


@pytest.mark.parametrize(
    ("threshold", "rule"),
    [
        ("closest_topleft", ThresholdRule(criterion="closest_topleft")),
        (0.2, ThresholdRule(value=0.2)),
        (choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9]), ThresholdRule(criterion="youden")),
        (ThresholdRule(sensitivity=0.9), ThresholdRule(sensitivity=0.9)),
        (None, None),
    ],
)
def test_a_threshold_is_read_as_a_rule(threshold, rule):
    assert Recipe(threshold=threshold).rule == rule


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"knots": "moving"}, "`knots` must be one of"),
        ({"threshold": 20.0}, "inside \\(0, 1\\)"),
    ],
)
def test_refusals(options, text):
    with pytest.raises(ArgumentError, match=text):
        Recipe(**options)


@pytest.mark.slow
def test_imputing_outside_the_resamples_is_more_optimistic():
    """Rule R20: what the imputation learned counts as optimism only where it is repeated."""
    inside, outside = [], []
    for trial in range(12):
        rng = np.random.default_rng(trial)
        data = pd.DataFrame(rng.normal(size=(160, 6)), columns=list("abcdef"))
        data["y"] = rng.integers(0, 2, 160)
        data = data.mask(
            (rng.random(data.shape) < 0.4) & (data.columns != "y"),
        )
        data["y"] = data["y"].astype(int)
        copies = impute(data, m=1, seed=trial, outcome="y")
        terms = [{"name": name} for name in "abcdef"]
        fit = fit_logistic(outcome="y", terms=terms, data=copies[0])
        recipe = Recipe(imputation="pmm", m=1)
        honest = validate(fit, data, n_boot=60, seed=trial, recipe=recipe)
        inside.append(honest.corrected["auc"])
        outside.append(validate(fit, copies[0], n_boot=60, seed=trial).corrected["auc"])
    assert np.mean(inside) < np.mean(outside)
