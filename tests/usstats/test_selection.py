"""Selection as a step of a recipe, against naive refits and as a whole inside `validate`."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import special

from usstats._fits.lasso import lasso_path
from usstats.design import learn_design
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.logistic import fit_logistic
from usstats.optimism import validate
from usstats.recipe import Recipe
from usstats.selection import BackwardElimination, LassoTuning
from usstats.splits import make_folds
from usstats.terms import Term, as_terms, interaction

NAMES = [f"x{i}" for i in range(8)]
TERMS = as_terms([{"name": name} for name in NAMES])


def cohort(n: int = 300, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(n, 8)), columns=NAMES)
    data["site"] = rng.choice(["a", "b", "c"], n)
    lp = data["x0"] - 0.8 * data["x1"] + 0.15 * data["x2"]
    return data.assign(y=(rng.random(n) < special.expit(lp)).astype(int))


def test_what_goes_together_costs_little_together() -> None:
    """The Wald chi-square of all that went is the sum of what each step cost."""
    data = cohort()
    kept = {term.name for term in BackwardElimination()([data], "y", TERMS)}
    gone = [name for name in NAMES if name not in kept]
    full = fit_logistic(outcome="y", terms=TERMS, data=data)
    order, costs = [], []
    while len(order) < len(gone):
        rest = [name for name in NAMES if name not in order]
        price = {}
        for name in rest:
            rows = [NAMES.index(other) + 1 for other in (*order, name)]
            b, V = full.params.iloc[rows], full.covariance.iloc[rows, rows]
            price[name] = float(b @ np.linalg.solve(V, b)) - sum(costs)
        weakest = min(price, key=price.__getitem__)
        order.append(weakest)
        costs.append(price[weakest])
    assert set(order) == set(gone)
    assert max(costs) < 2
    assert {"x0", "x1"} <= kept


def test_it_ends_near_the_best_aic_of_all_subsets() -> None:
    data = cohort(400, seed=3)
    names = NAMES[:5]
    aic = {}
    for size in range(1, 6):
        for subset in itertools.combinations(names, size):
            terms = as_terms([{"name": name} for name in subset])
            fit = fit_logistic(outcome="y", terms=terms, data=data)
            aic[subset] = fit.indices()["aic"]
    kept = tuple(t.name for t in BackwardElimination()([data], "y", TERMS[:5]))
    assert aic[kept] <= min(aic.values()) + 0.5


def test_a_p_value_of_157_is_akaikes_criterion_for_single_columns() -> None:
    data = cohort()
    p = special.chdtrc(1, 2)
    assert BackwardElimination(p_value=p)([data], "y", TERMS) == BackwardElimination()(
        [data], "y", TERMS
    )


def test_variables_go_whole_and_main_effects_stay_under_interactions() -> None:
    rng = np.random.default_rng(4)
    data = cohort(500, seed=4)
    lp = 1.5 * data["x0"] * data["x3"]
    data["y"] = (rng.random(500) < special.expit(lp)).astype(int)
    terms = (
        Term(name="x0"),
        Term(name="x3"),
        Term(name="x5", type="rcs", n_knots=4),
        Term(name="site", type="factor"),
        interaction("x0", "x3"),
    )
    kept = BackwardElimination(p_value=0.01)([data], "y", terms)
    assert [term.name for term in kept] == ["x0", "x3", "x0 * x3"]
    lasso = LassoTuning()([data], "y", terms)
    assert {"x0", "x3", "x0 * x3"} <= {term.name for term in lasso}


def test_the_lasso_keeps_what_its_path_keeps() -> None:
    data = cohort()
    tuning = LassoTuning(rule="best", n_folds=5, seed=3)
    kept = [term.name for term in tuning([data], "y", TERMS)]
    fit = fit_logistic(outcome="y", terms=TERMS, data=data)
    folds = make_folds(data["y"], np.arange(300), n_folds=5, seed=3).assignment
    penalty = tuning.penalty(data, fit.spec, np.arange(300))
    path = lasso_path(fit.development, penalties=[penalty], folds=folds)
    coefficients = path.coefficients.iloc[0]
    assert kept == [name for name in NAMES if coefficients[name] != 0]
    nearby = lasso_path(fit.development, penalties=[penalty * 3, penalty, penalty / 3], folds=folds)
    assert nearby.best == penalty


def test_one_standard_error_keeps_fewer() -> None:
    data = cohort()
    few, many = (LassoTuning(rule=rule)([data], "y", TERMS) for rule in ("one_se", "best"))
    assert set(few) <= set(many)
    assert {"x0", "x1"} <= {term.name for term in few}


def test_a_row_drawn_twice_is_never_on_both_sides_of_a_fold() -> None:
    """Otherwise cross-validation in a bootstrap sample believes what it knows by heart."""
    tuning, honest, naive = LassoTuning(rule="best"), [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        data = pd.DataFrame(rng.normal(size=(150, 8)), columns=NAMES)
        data["y"] = rng.integers(0, 2, 150)
        drawn = rng.integers(0, 150, 150)
        sample, spec = data.iloc[drawn].reset_index(drop=True), learn_design("y", TERMS, data)
        honest.append(tuning.penalty(sample, spec, drawn))
        naive.append(tuning.penalty(sample, spec, np.arange(150)))
    assert (np.array(honest) >= naive).all()
    assert np.mean(honest) > 1.5 * np.mean(naive)


def test_half_of_the_copies_decide() -> None:
    data = cohort()
    noise = data.assign(x0=np.random.default_rng(0).normal(size=300))
    names = [t.name for t in LassoTuning()([data, data, noise], "y", TERMS)]
    assert "x0" in names
    assert "x0" not in [t.name for t in LassoTuning()([data, noise, noise], "y", TERMS)]


def test_elimination_over_copies_uses_the_pooled_test() -> None:
    data, rng = cohort(), np.random.default_rng(1)
    copies = [data.assign(x1=data["x1"] + rng.normal(scale=3, size=300)) for _ in range(4)]
    assert "x1" in [t.name for t in BackwardElimination()([data], "y", TERMS)]
    strict = BackwardElimination(p_value=0.01)
    assert "x1" not in [t.name for t in strict(copies, "y", TERMS)]


@pytest.mark.parametrize("select", [BackwardElimination(), LassoTuning(rule="best", n_folds=5)])
def test_selection_inside_validate_costs_optimism(select: object) -> None:
    data = cohort(120, seed=9)
    kept = select([data], "y", TERMS)  # type: ignore[operator]
    fit = fit_logistic(outcome="y", terms=kept, data=data)
    recipe = Recipe(terms=TERMS, select=select)  # type: ignore[arg-type]
    honest = validate(fit, data, n_boot=40, seed=1, recipe=recipe, method="bootstrap")
    blind = validate(fit, data, n_boot=40, seed=1)
    assert honest.n_failed == 0
    assert honest.selection["percent"].max() <= 100
    assert honest.frame()["optimism"][0] > blind.frame()["optimism"][0]


def test_a_lasso_is_tuned_anew_in_every_resample() -> None:
    data = cohort(150, seed=2)
    spec = fit_logistic(outcome="y", terms=TERMS, data=data).spec
    tuning = LassoTuning()
    penalty = tuning.penalty(data, spec, np.arange(150))
    fit = fit_logistic(spec, data, method="lasso", penalty=penalty)
    fixed = validate(fit, data, n_boot=15, seed=1, method="bootstrap")
    tuned = validate(fit, data, n_boot=15, seed=1, recipe=Recipe(penalty=tuning))
    refit = validate(fit, data, n_boot=15, seed=1, recipe=Recipe(penalty="refit"))
    pd.testing.assert_frame_equal(tuned.frame(), refit.frame())
    assert not tuned.frame().equals(fixed.frame())


def test_a_resample_that_keeps_nothing_predicts_the_event_rate() -> None:
    data = cohort(150, seed=2)
    fit = fit_logistic("y ~ x0", data)
    nothing = Recipe(terms=TERMS, select=lambda copies, outcome, terms: [])
    with pytest.warns(SmallSampleWarning, match="give everybody one risk"):
        result = validate(fit, data, method="crossvalidation", n_boot=5, seed=1, recipe=nothing)
    table = result.replicates().set_index("measure")
    assert result.n_failed == 0
    assert (table.loc["auc", "test"] == 0.5).all()
    assert table.loc["nagelkerke_r2", "training"].to_numpy() == pytest.approx(0, abs=1e-12)
    assert table.loc["brier", "test"].between(0.2, 0.3).all()
    assert np.isnan(table.loc["calibration_slope", "test"]).all()


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"`p_value` must lie inside \(0, 1\); got 5"):
        BackwardElimination(p_value=5)
    with pytest.raises(ArgumentError, match=r"`select` must be LassoTuning\(\).*; got 'lasso'"):
        Recipe(select="lasso")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="`rule` must be one of 'one_se', 'best'"):
        LassoTuning(rule="min")
