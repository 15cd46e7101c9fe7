""".632+ by its formulas, its limits, and who is judged by it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.metrics import roc_auc_score

from usstats._validation.indexes import Side, indexes
from usstats._validation.overfitting import no_information, relative_overfitting
from usstats.errors import ArgumentError, OptimismWarning
from usstats.logistic import LogisticFit, fit_logistic
from usstats.optimism import validate
from usstats.recipe import Recipe
from usstats.resample import Resamples


def cohort(n: int, k: int, seed: int, signal: float = 1.0) -> tuple[pd.DataFrame, LogisticFit]:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(n, k))).add_prefix("x")
    data["y"] = (rng.random(n) < special.expit(signal * data["x0"])).astype(int)
    terms = [{"name": f"x{i}"} for i in range(k)]
    return data, fit_logistic(outcome="y", terms=terms, data=data)


def naive_plus(apparent: float, unseen: float, gamma: float) -> float:
    """Efron and Tibshirani (1997), equations 28 to 32, for a measure that falls to gamma."""
    if apparent > gamma and unseen < apparent:
        rate = (apparent - max(unseen, gamma)) / (apparent - gamma)
    else:
        rate = 0.0
    weight = 0.632 / (1 - 0.368 * rate)
    return (1 - weight) * apparent + weight * max(unseen, gamma)


@pytest.mark.parametrize(("n", "k", "signal"), [(150, 3, 1.0), (120, 12, 0.5), (100, 15, 0.0)])
def test_auc_and_brier_by_hand(n: int, k: int, signal: float) -> None:
    data, fit = cohort(n, k, seed=3, signal=signal)
    draws = Resamples.draw(n, n_boot=25, seed=4)
    table = validate(fit, data, resamples=draws, method=".632+").frame().set_index("measure")
    y, p = data["y"].to_numpy(), fit.predict(data)
    left_out = [np.setdiff1d(np.arange(n), drawn) for drawn in draws]
    times = np.bincount(np.concatenate(left_out), minlength=n)
    share = np.array([(1 / times[out]).sum() for out in left_out]) / n
    areas, errors = [], []
    for drawn, out in zip(draws, left_out, strict=True):
        refit = fit_logistic(fit.spec, data.iloc[drawn].reset_index(drop=True))
        risk = refit.predict(data.iloc[out])
        areas.append(roc_auc_score(y[out], risk))
        errors.append(np.mean((y[out] - risk) ** 2))
    auc = naive_plus(roc_auc_score(y, p), share @ areas, 0.5)
    gamma = np.mean((y[:, None] - p[None, :]) ** 2)
    brier = -naive_plus(-np.mean((y - p) ** 2), -(share @ errors), -gamma)
    assert table.loc["auc", "corrected"] == pytest.approx(auc)
    assert table.loc["auc", "test"] == pytest.approx(share @ areas)
    assert table.loc["brier", "corrected"] == pytest.approx(brier)
    assert table.loc["dxy", "corrected"] == pytest.approx(2 * auc - 1)
    assert table.loc["brier", "optimism"] == pytest.approx(np.mean((y - p) ** 2) - brier)


def test_no_information_is_every_prediction_with_every_outcome() -> None:
    rng = np.random.default_rng(1)
    y, lp = (rng.random(40) < 0.3).astype(float), rng.normal(size=40)
    found = dict(zip(indexes(Side(lp[None], y)), no_information(Side(lp[None], y))[0], strict=True))
    paired = indexes(Side(np.tile(lp, 40)[None], np.repeat(y, 40)))
    for name in ("auc", "dxy", "brier", "nagelkerke_r2", "calibration_slope", "g", "gp"):
        assert found[name] == pytest.approx(paired[name][0], abs=1e-9), name
    assert found["calibration_intercept"] == pytest.approx(special.logit(y.mean()))
    for name, price in (("discrimination_index", 1), ("unreliability_index", 2)):
        free = paired[name][0] + price / 1600
        assert found[name] + price / 40 == pytest.approx(free), name
    assert found["quality_index"] == pytest.approx(
        found["discrimination_index"] - found["unreliability_index"]
    )


def test_relative_overfitting_stays_between_0_and_1() -> None:
    apparent, gamma = np.full(5, 0.8), np.full(5, 0.5)
    test = np.array([0.9, 0.8, 0.65, 0.5, 0.3])
    found = relative_overfitting(apparent, test, gamma)
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1])
    assert relative_overfitting(np.array([0.5]), np.array([0.4]), np.array([0.5]))[0] == 0
    assert np.isnan(relative_overfitting(np.array([0.8]), np.array([np.nan]), gamma[:1]))[0]


def test_a_model_without_overfitting_is_judged_by_632() -> None:
    data, fit = cohort(4000, 1, seed=1, signal=1.5)
    draws = Resamples.draw(len(data), n_boot=15, seed=1)
    plus, plain = (validate(fit, data, resamples=draws, method=m) for m in (".632+", ".632"))
    assert plus.relative_overfitting == pytest.approx(plain.relative_overfitting)
    assert plus.relative_overfitting < 0.05
    np.testing.assert_allclose(plus.corrected["auc"], plain.corrected["auc"], atol=2e-4)


def test_the_corrected_value_lies_between_apparent_and_no_information() -> None:
    data, fit = cohort(110, 20, seed=2, signal=0.3)
    result = validate(fit, data, n_boot=40, seed=1, method=".632+")
    table = result.frame().set_index("measure")
    assert 0.5 < result.relative_overfitting <= 1
    assert 0.5 <= table.loc["auc", "corrected"] < table.loc["auc", "apparent"]
    assert 0 <= table.loc["calibration_slope", "corrected"] < 1
    assert 0 <= table.loc["nagelkerke_r2", "corrected"] < table.loc["nagelkerke_r2", "apparent"]
    assert table.loc["brier", "corrected"] > table.loc["brier", "apparent"]
    assert np.isfinite(table["corrected"]).all()
    q = table.loc["discrimination_index"] - table.loc["unreliability_index"]
    assert table.loc["quality_index", "apparent"] == pytest.approx(q["apparent"])


def test_curves_and_thresholds_are_corrected_too() -> None:
    data, fit = cohort(110, 20, seed=2, signal=0.3)
    recipe = Recipe(threshold="youden")
    result = validate(fit, data, n_boot=40, seed=1, method=".632+", recipe=recipe)
    p, y = fit.predict(data), data["y"].to_numpy()
    curve = result.decision_curve([0.3]).frame().iloc[0]
    everybody = y.mean() - (1 - y.mean()) * 0.3 / 0.7
    worthless = (p >= 0.3).mean() * everybody
    low, high = sorted((worthless, curve["apparent"]))
    assert low <= curve["net_benefit"] <= high
    assert curve["optimism"] == pytest.approx(curve["apparent"] - curve["net_benefit"])
    smooth = result.calibration_curve()
    flatter = np.abs(smooth["corrected"] - y.mean()) <= np.abs(smooth["apparent"] - y.mean()) + 1e-9
    assert flatter.mean() > 0.9
    table = result.frame().set_index("measure")
    positive = (p >= result.threshold).mean()
    assert positive <= table.loc["sensitivity", "corrected"] < table.loc["sensitivity", "apparent"]
    assert result.instability().n_boot == 40


def test_what_overfits_is_judged_by_632_plus_unless_the_caller_insists() -> None:
    data, fit = cohort(100, 15, seed=5, signal=0.3)
    usual = validate(fit, data, n_boot=30, seed=1)
    plus = validate(fit, data, n_boot=30, seed=1, method=".632+")
    assert usual.method == plus.method == ".632+"
    assert usual.relative_overfitting > 0.5
    pd.testing.assert_frame_equal(usual.frame(), plus.frame())
    with pytest.warns(OptimismWarning) as caught:
        harrell = validate(fit, data, n_boot=30, seed=1, method="harrell")
    text = str(caught[0].message)
    assert f"Relative overfitting of the AUC is {plus.relative_overfitting:.2f}" in text
    assert f"the .632+ estimate {plus.corrected['auc']:.3f}" in text
    assert "method='.632+' or repeated cross-validation" in text
    assert harrell.method == "bootstrap"
    assert harrell.corrected["auc"] > plus.corrected["auc"]


def test_few_events_alone_do_not_change_the_method() -> None:
    data, fit = cohort(100, 8, seed=5, signal=3.0)
    assert min(data["y"].sum(), 100 - data["y"].sum()) / 8 < 10
    plus = validate(fit, data, n_boot=30, seed=1, method=".632+")
    assert plus.relative_overfitting < 0.5
    assert validate(fit, data, n_boot=30, seed=1).method == "bootstrap"
    assert validate(fit, data, n_boot=30, seed=1, method="harrell").method == "bootstrap"


def test_explicit_resamples_stay_harrells_and_enough_events_too() -> None:
    data, fit = cohort(100, 15, seed=5, signal=0.3)
    draws = np.array(list(Resamples.draw(100, n_boot=30, seed=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = validate(fit, data, resamples=draws)
    assert result.method == "bootstrap"
    table = result.frame().set_index("measure").drop("emax")
    np.testing.assert_allclose(table["optimism"], table["training"] - table["test"])
    enough, model = cohort(300, 4, seed=5, signal=0.0)
    assert validate(model, enough, n_boot=20, seed=1).method == "bootstrap"


def test_candidates_count_not_the_terms_that_were_kept() -> None:
    data, _ = cohort(150, 15, seed=6, signal=0.0)
    strongest = data.corr()["y"].drop("y").abs().idxmax()
    fit = fit_logistic(f"y ~ {strongest}", data)

    def select(copies, outcome, terms):  # type: ignore[no-untyped-def]
        best = copies[0].corr()["y"].drop("y").abs().idxmax()
        return [term for term in terms if term.name == best]

    recipe = Recipe(terms=[{"name": f"x{i}"} for i in range(15)], select=select)
    assert validate(fit, data, n_boot=20, seed=1).method == "bootstrap"
    assert validate(fit, data, n_boot=20, seed=1, recipe=recipe).method == ".632+"


def test_events_are_counted_by_patient() -> None:
    rng = np.random.default_rng(8)
    patient = np.repeat(np.arange(60), 5)
    data = pd.DataFrame(rng.normal(size=(60, 5))[patient]).add_prefix("x")
    data["y"] = rng.integers(0, 2, 60)[patient]
    fit = fit_logistic("y ~ x0 + x1 + x2 + x3 + x4", data)
    assert validate(fit, data, n_boot=20, seed=1).method == "bootstrap"
    assert validate(fit, data, n_boot=20, seed=1, cluster=patient).method == ".632+"


def test_intervals_are_moved_by_the_optimism_of_the_method() -> None:
    data, fit = cohort(150, 8, seed=8)
    result = validate(fit, data, n_boot=60, seed=1, method=".632+")
    row = result.frame().set_index("measure").loc["brier"]
    estimate = result.interval("brier")
    drawn = result.replicates().query("measure == 'brier'")["training"]
    shifted = np.quantile(drawn, [0.025, 0.975]) - row["optimism"]
    assert estimate.estimate == row["corrected"]
    assert (estimate.conf_low, estimate.conf_high) == pytest.approx(tuple(shifted))


def test_folds_are_dealt_again_as_often_as_asked() -> None:
    data, fit = cohort(150, 3, seed=8)
    five = validate(fit, data, n_boot=5, repeats=4, seed=1, method="crossvalidation")
    members = five._plan.members
    assert members.shape == (20, 150)
    assert all((part.sum(axis=0) == 1).all() for part in np.split(members, 4))
    ten = validate(fit, data, repeats=3, seed=1, method="crossvalidation")
    same = validate(fit, data, n_boot=30, seed=1, method="crossvalidation")
    pd.testing.assert_frame_equal(ten.frame(), same.frame())
    first = validate(fit, data, n_boot=5, repeats=1, seed=1, method="crossvalidation")
    assert (first._plan.members == members[:5]).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"repeats": 2}, "no meaning for 'bootstrap'"),
        ({"repeats": 0, "method": "crossvalidation"}, "`repeats` must be a whole number from 1"),
        ({"repeats": 2.5, "method": "crossvalidation"}, "`repeats` must be a whole number"),
        (
            {"repeats": 2, "method": "crossvalidation", "resamples": np.arange(150) % 5},
            "no meaning for explicit `resamples`",
        ),
    ],
)
def test_repeats_that_mean_nothing_are_refused(options: dict[str, object], text: str) -> None:
    data, fit = cohort(150, 3, seed=8)
    with pytest.raises(ArgumentError, match=text):
        validate(fit, data, **{"n_boot": 10, "seed": 1, **options})


def test_a_crossvalidation_has_no_shifted_interval() -> None:
    data, fit = cohort(150, 3, seed=8)
    result = validate(fit, data, n_boot=5, seed=1, method="crossvalidation")
    assert result.relative_overfitting is None
    with pytest.raises(ArgumentError, match=r"no interval.*by crossvalidation"):
        result.interval("brier")
