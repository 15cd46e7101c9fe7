"""Nested models: likelihood-ratio test, and an AUC change with an interval but no p value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.metrics import roc_auc_score
from statsmodels.discrete.discrete_model import Logit

from usstats.errors import DesignError, PairingError
from usstats.imputation import PooledFit, fit_imputed, impute
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nested import compare_nested
from usstats.resample import Resamples


def cohort(n: int = 180, seed: int = 7, *, effect: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    lp = data["a"] + effect * data["b"]
    data["y"] = (rng.random(n) < special.expit(lp)).astype(int)
    return data


@pytest.fixture(scope="module")
def pair():
    data = cohort()
    return data, fit_logistic("y ~ a + b + c", data), fit_logistic("y ~ a", data)


def test_the_test_is_that_of_statsmodels(pair):
    data, full, reduced = pair
    result = compare_nested(full, reduced, data, n_boot=20, seed=1)
    logs = [
        Logit(data["y"], np.column_stack([np.ones(len(data)), data[list(names)]]))
        .fit(disp=False, tol=1e-12)
        .llf
        for names in ("abc", "a")
    ]
    chi2 = 2 * (logs[0] - logs[1])
    assert result.statistic == pytest.approx(chi2)
    assert result.p_value == pytest.approx(stats.chi2.sf(chi2, 2))
    assert result.df == 2
    assert result.terms == ("b", "c")


def test_the_change_is_resampled_by_refitting_both(pair):
    data, full, reduced = pair
    draws = Resamples.draw(len(data), n_boot=15, seed=2)
    result = compare_nested(full, reduced, data, resamples=draws)
    own, seen = [], []
    for drawn in draws:
        sample = data.iloc[drawn].reset_index(drop=True)
        fits = [fit_logistic(fit.spec, sample) for fit in (full, reduced)]
        for target, where in ((own, sample), (seen, data)):
            first, second = (roc_auc_score(where["y"], fit.predict(where)) for fit in fits)
            target.append(first - second)
    apparent = roc_auc_score(data["y"], full.predict(data)) - roc_auc_score(
        data["y"], reduced.predict(data)
    )
    optimism = np.mean(own) - np.mean(seen)
    change = result.auc_change
    assert result.apparent["auc_change"] == pytest.approx(apparent)
    assert change.estimate == pytest.approx(apparent - optimism)
    assert change.conf_low == pytest.approx(np.quantile(own, 0.025) - optimism)
    assert change.conf_high == pytest.approx(np.quantile(own, 0.975) - optimism)
    assert change.n_boot == 15


def test_the_table_and_the_words(pair):
    data, full, reduced = pair
    result = compare_nested(full, reduced, data, n_boot=20, seed=1)
    table = result.frame().set_index("measure")
    assert list(table.index) == ["auc_full", "auc_reduced", "auc_change", "added_terms"]
    assert table["p_value"].notna().tolist() == [False, False, False, True]
    assert "b + c: likelihood ratio chi-square" in repr(result)
    assert "n = 180" in repr(result)


def test_a_curve_is_tested_against_its_line():
    data = cohort()
    full, reduced = fit_logistic("y ~ rcs(a, 4) + b", data), fit_logistic("y ~ a + b", data)
    result = compare_nested(full, reduced, data, n_boot=10, seed=1)
    assert result.terms == ("a'", "a''")


def test_patients_with_several_rows_get_a_sandwich_test():
    data = pd.concat([cohort(80)] * 3, ignore_index=True)
    patient = np.tile(np.arange(80), 3)
    full = fit_logistic("y ~ a + b", data, cluster=patient)
    reduced = fit_logistic("y ~ a", data, cluster=patient)
    result = compare_nested(full, reduced, data, n_boot=20, seed=1)
    once = cohort(80)
    alone = compare_nested(
        fit_logistic("y ~ a + b", once, cluster=np.arange(80)),
        fit_logistic("y ~ a", once, cluster=np.arange(80)),
        once, n_boot=20, seed=1,
    )  # fmt: skip
    assert "sandwich" in result.test
    assert result.p_value == pytest.approx(alone.p_value)
    assert result.auc_change.n_cluster == 80
    assert result.auc_change.conf_low == pytest.approx(alone.auc_change.conf_low)


@pytest.fixture(scope="module")
def imputed():
    data = cohort(seed=9)
    data.loc[np.random.default_rng(1).random(len(data)) < 0.2, "b"] = None
    copies = impute(data, m=6, seed=1, outcome="y")
    return copies, fit_imputed("y ~ a + b", copies), fit_imputed("y ~ a", copies)


def test_over_imputations_the_test_is_d3(imputed):
    copies, full, reduced = imputed
    result = compare_nested(full, reduced, copies, n_boot=30, seed=1)
    own = [
        2 * (f.log_likelihood - r.log_likelihood)
        for f, r in zip(full.fits, reduced.fits, strict=True)
    ]

    def log_likelihood(fit, copy):
        return stats.bernoulli.logpmf(copy["y"], fit.predict(copy)).sum()

    pooled = [2 * (log_likelihood(full, c) - log_likelihood(reduced, c)) for c in copies]
    riv = 7 / 5 * (np.mean(own) - np.mean(pooled))
    assert result.statistic == pytest.approx(np.mean(pooled) / (1 + riv))
    assert result.test == "D3 likelihood ratio F"
    wald = full.frame().set_index("term").loc["b", "p_value"]
    assert result.p_value == pytest.approx(wald, abs=0.02)


def test_models_from_files_compare_alike(imputed, pair, tmp_path):
    copies, full, reduced = imputed
    back = []
    for name, fit in (("full", full), ("reduced", reduced)):
        fit.to_json(tmp_path / f"{name}.json")
        back.append(PooledFit.from_json(tmp_path / f"{name}.json"))
    first = compare_nested(full, reduced, copies, n_boot=12, seed=1).frame()
    pd.testing.assert_frame_equal(first, compare_nested(*back, copies, n_boot=12, seed=1).frame())
    data, *fits = pair
    for i, fit in enumerate(fits):
        fit.to_json(tmp_path / f"{i}.json")
    back = [LogisticFit.from_json(tmp_path / f"{i}.json") for i in range(2)]
    first = compare_nested(*fits, data, n_boot=12, seed=1).frame()
    pd.testing.assert_frame_equal(first, compare_nested(*back, data, n_boot=12, seed=1).frame())


def test_models_that_are_not_nested_are_refused(pair):
    data, full, _ = pair
    other = data.assign(d=np.exp(data["b"]) + 1)
    strange = fit_logistic("y ~ log(d)", other)
    with pytest.raises(DesignError, match=r"not nested .* not contained: \['log\(d\)'\]"):
        compare_nested(full, strange, other, n_boot=10, seed=1)
    with pytest.raises(DesignError, match="not nested"):
        compare_nested(full, full, data, n_boot=10, seed=1)


def test_other_patients_are_refused(pair, imputed):
    data, _, reduced = pair
    holes = data.assign(b=data["b"].where(data["b"] < 1))
    smaller = fit_logistic("y ~ a + b + c", holes, missing="complete_case")
    with pytest.raises(PairingError, match="Compare them on the same patients"):
        compare_nested(smaller, reduced, data, n_boot=10, seed=1)
    with pytest.raises(PairingError, match="must both be single fits"):
        compare_nested(imputed[1], reduced, data, n_boot=10, seed=1)
    with pytest.raises(PairingError, match="of the same imputations"):
        compare_nested(imputed[1], imputed[2], data, n_boot=10, seed=1)


def test_without_a_seed_a_fresh_one_is_told(pair):
    first, second = (compare_nested(pair[1], pair[2], pair[0], n_boot=20) for _ in range(2))
    assert first.auc_change.seed != second.auc_change.seed
    again = compare_nested(pair[1], pair[2], pair[0], n_boot=20, seed=first.auc_change.seed)
    pd.testing.assert_frame_equal(first.frame(), again.frame())


@pytest.mark.slow
def test_the_test_keeps_its_level():
    """A noise term is called significant in 4 to 6 % of 2,000 studies of 275 patients."""
    hits, n_trial = 0, 2000
    for trial in range(n_trial):
        data = cohort(275, 10_000 + trial)
        full, reduced = (fit_logistic(f, data) for f in ("y ~ a + b + c", "y ~ a + b"))
        hits += compare_nested(full, reduced, data, n_boot=2, seed=1).p_value < 0.05
    assert 0.04 <= hits / n_trial <= 0.06


@pytest.mark.slow
def test_the_interval_of_the_change_covers_a_new_cohort():
    rng = np.random.default_rng(1)
    new = cohort(20_000, 99)
    covered = []
    for trial in range(60):
        data = cohort(275, int(rng.integers(2**31)))
        full, reduced = fit_logistic("y ~ a + b", data), fit_logistic("y ~ a", data)
        change = compare_nested(full, reduced, data, n_boot=200, seed=trial).auc_change
        truth = roc_auc_score(new["y"], full.predict(new)) - roc_auc_score(
            new["y"], reduced.predict(new)
        )
        covered.append(change.conf_low <= truth <= change.conf_high)
    assert np.mean(covered) >= 0.85
