"""Internal validation against rms, against a naive loop, and in simulations with a known truth."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.metrics import roc_auc_score

from tests.reference import load_case, matrix_frame
from usstats._validation.indexes import (
    Side,
    emax,
    gini_mean_difference,
    indexes,
    rank_indexes,
    recalibrate,
)
from usstats._validation.out_of_sample import corrected_auc_limits
from usstats.errors import (
    ArgumentError,
    DesignError,
    FailedResamplesWarning,
    MissingDataError,
    PairingError,
    ResampleError,
    SmallSampleWarning,
)
from usstats.logistic import LogisticFit, fit_logistic
from usstats.optimism import InternalValidation, validate
from usstats.recipe import Recipe
from usstats.resample import Resamples
from usstats.roc import auc

RMS = {
    "Dxy": "dxy",
    "R2": "nagelkerke_r2",
    "Intercept": "calibration_intercept",
    "Slope": "calibration_slope",
    "Emax": "emax",
    "D": "discrimination_index",
    "U": "unreliability_index",
    "Q": "quality_index",
    "B": "brier",
    "g": "g",
    "gp": "gp",
}
COLUMNS = ["apparent", "training", "test", "optimism", "corrected", "n_boot"]


def assert_equals_rms(result: InternalValidation, case) -> None:
    expected = matrix_frame(case.expected["summary"])
    table = result.frame().set_index("measure")
    found = table.loc[[RMS[name] for name in expected.index], COLUMNS].astype(float)
    case.check(found, "summary.values")
    np.testing.assert_allclose(table.loc["auc", "apparent"], (expected.loc["Dxy"].iloc[0] + 1) / 2)


@pytest.fixture(scope="module")
def appx():
    """rms 6.5.0, validate(lrm, B = 30) with stored resamples and knots kept in place."""
    case = load_case("validate_boot_appx")
    data = case.table(0)
    formula = "appendicitis ~ age + rcs(wbc, knots=[5.8, 9.6, 13.9, 21.7]) + crp + sex + rebound"
    rows = case.table(1).to_numpy() - 1
    fit = fit_logistic(formula, data)
    return case, data, fit, rows, validate(fit, data, resamples=rows)


def test_bootstrap_equals_rms(appx):
    assert_equals_rms(appx[-1], appx[0])


def test_every_resample_equals_rms(appx):
    case, *_, result = appx
    names = [RMS[name] for name in case.expected["per_resample"]["cols"]]
    for side in ("training", "test"):
        table = result.replicates().pivot_table(side, "replicate", "measure")
        case.check(table[names], f"per_resample.{side}")


def test_calibration_curve_equals_rms(appx):
    case, data, fit, _, result = appx
    curve = result.calibration_curve()
    case.check(curve["predicted"], "calibrate.predy")
    for column in ("apparent", "optimism", "corrected"):
        case.check(curve[column], f"calibrate.{column}")
    risk = fit.predict(data)
    case.check(risk[:10], "calibrate.predicted_first10")
    seen = np.interp(risk, curve["predicted"], curve["corrected"], left=np.nan, right=np.nan)
    case.check(np.nanmean(np.abs(risk - seen)), "calibrate.mean_abs_error")


@pytest.fixture(scope="module")
def birthwt():
    """rms 6.5.0, validate(lrm, method = "crossvalidation", B = 10) with stored folds."""
    case = load_case("validate_cv_birthwt")
    data = case.table(0)
    fit = fit_logistic("low ~ age + lwt + smoke + ht + ui", data)
    return case, data, fit, case.table(1).to_numpy()


def test_crossvalidation_equals_rms(birthwt):
    case, data, fit, held_out = birthwt
    result = validate(fit, data, method="crossvalidation", resamples=held_out.T)
    assert_equals_rms(result, case)


def test_folds_can_be_written_in_other_ways(birthwt):
    case, data, fit, held_out = birthwt
    rows = [np.flatnonzero(column) for column in held_out.T]
    for folds in (held_out, held_out.T.astype(bool), rows):
        assert_equals_rms(validate(fit, data, method="crossvalidation", resamples=folds), case)


def test_fold_labels_are_a_membership_table(birthwt):
    _, data, fit, _ = birthwt
    labels = np.arange(len(data)) % 5
    table = np.array([labels == k for k in range(5)])
    first, second = (
        validate(fit, data, method="crossvalidation", resamples=folds).frame()
        for folds in (labels, table)
    )
    pd.testing.assert_frame_equal(first, second)


def cohort(n: int = 200, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    data["site"] = rng.choice(["left", "right"], n)
    data["y"] = (rng.random(n) < special.expit(data["a"] - 0.5 * data["b"])).astype(int)
    return data


FORMULA = "y ~ a + rcs(b, 3) + c + site"


@pytest.fixture(scope="module")
def developed() -> tuple[pd.DataFrame, LogisticFit]:
    data = cohort()
    return data, fit_logistic(FORMULA, data)


def naive(fit: LogisticFit, data: pd.DataFrame, draws: Resamples) -> pd.DataFrame:
    """Refit on the drawn rows themselves; measures by other people's functions."""
    rows = []
    for drawn in draws:
        sample = data.iloc[drawn].reset_index(drop=True)
        refit = fit_logistic(fit.spec, sample)
        for side, where in (("training", sample), ("test", data)):
            p = refit.predict(where)
            again = fit_logistic("y ~ lp", where.assign(lp=special.logit(p)))
            rows.append(
                {
                    "side": side,
                    "auc": roc_auc_score(where["y"], p),
                    "brier": np.mean((where["y"] - p) ** 2),
                    "calibration_slope": again.params["lp"],
                    "calibration_intercept": again.params["Intercept"],
                    "nagelkerke_r2": again.indices()["nagelkerke_r2"],
                }
            )
    return pd.DataFrame(rows).groupby("side").mean()


@pytest.mark.parametrize("clustered", [False, True])
def test_weights_equal_the_naive_loop(developed, clustered):
    data, fit = developed
    cluster = np.arange(len(data)) // 2 if clustered else None
    draws = Resamples.draw(len(data), n_boot=12, seed=9, cluster=cluster)
    table = validate(fit, data, n_boot=12, seed=9, cluster=cluster).frame().set_index("measure")
    expected = naive(fit, data, draws)
    for measure in expected.columns:
        assert table.loc[measure, "training"] == pytest.approx(expected.loc["training", measure])
        assert table.loc[measure, "test"] == pytest.approx(expected.loc["test", measure])


def test_a_recipe_of_nothing_new_equals_the_batch(developed):
    """The general path, row by row, gives what the batched Newton gives."""
    data, fit = developed
    draws = Resamples.draw(len(data), n_boot=20, seed=2)
    batch = validate(fit, data, resamples=draws).frame()
    general = validate(
        fit, data, resamples=draws, recipe=Recipe(select=lambda copies, outcome, terms: terms)
    ).frame()
    pd.testing.assert_frame_equal(batch, general, atol=1e-7)


def test_corrected_is_apparent_minus_optimism(developed):
    data, fit = developed
    table = validate(fit, data, n_boot=50, seed=1).frame()
    rest = table[table["measure"] != "emax"]
    np.testing.assert_allclose(rest["corrected"], rest["apparent"] - rest["optimism"])
    np.testing.assert_allclose(rest["optimism"], rest["training"] - rest["test"])


def test_emax_belongs_to_the_corrected_line(developed):
    data, fit = developed
    table = validate(fit, data, n_boot=50, seed=1).frame().set_index("measure")
    line = table["corrected"][["calibration_intercept", "calibration_slope"]]
    assert table.loc["emax", "corrected"] == pytest.approx(emax(*line))


def test_apparent_is_what_the_fit_says_of_itself(developed):
    data, fit = developed
    table = validate(fit, data, n_boot=2, seed=1).frame().set_index("measure")["apparent"]
    own = fit.indices()
    for name in ("auc", "dxy", "nagelkerke_r2", "brier", "g", "gp"):
        assert table[name] == pytest.approx(own[name])
    assert table["calibration_slope"] == pytest.approx(1)
    assert table["emax"] == pytest.approx(0, abs=1e-9)


def test_the_seed_decides(developed):
    data, fit = developed
    first, same, other = (validate(fit, data, n_boot=20, seed=s).frame() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, same)
    assert not first.equals(other)


def test_without_a_seed_a_fresh_one_is_told(developed):
    data, fit = developed
    for method in ("bootstrap", ".632+", "crossvalidation"):
        first, second = (validate(fit, data, n_boot=10, method=method) for _ in range(2))
        assert first.seed != second.seed
        again = validate(fit, data, n_boot=10, method=method, seed=first.seed)
        pd.testing.assert_frame_equal(first.frame(), again.frame())


def test_more_refits_begin_with_the_fewer(developed):
    data, fit = developed
    few, many = (validate(fit, data, n_boot=n, seed=1).replicates() for n in (10, 30))
    pd.testing.assert_frame_equal(few, many.query("replicate < 10").reset_index(drop=True))


def test_the_unit_of_a_covariate_does_not_matter(developed):
    data, fit = developed
    moved = data.assign(a=data["a"] * 1e-6 + 1e4)
    refitted = fit_logistic(FORMULA, moved)
    first = validate(fit, data, n_boot=20, seed=1).frame()
    second = validate(refitted, moved, n_boot=20, seed=1).frame()
    pd.testing.assert_frame_equal(first, second, atol=1e-6)


def test_labels_may_be_named_by_their_column(developed):
    data, fit = developed
    patient = np.arange(len(data)) // 2
    named = data.assign(patient=patient, stratum=data["y"])
    for option, column in (("cluster", "patient"), ("stratify", "stratum")):
        first = validate(fit, named, n_boot=10, seed=1, **{option: column})
        second = validate(fit, data, n_boot=10, seed=1, **{option: named[column]})
        pd.testing.assert_frame_equal(first.frame(), second.frame())
    with pytest.raises(DesignError, match="no column `hospital`"):
        validate(fit, data, n_boot=10, seed=1, cluster="hospital")


def test_nobody_left_out_is_nobody_to_judge_on(developed):
    data, fit = developed
    everybody = np.tile(np.arange(len(data)), (3, 1))
    with pytest.raises(ResampleError, match="there is nobody to judge the refits on"):
        validate(fit, data, resamples=everybody, method=".632+")
    draws = np.vstack([everybody[:1], np.array(list(Resamples.draw(200, n_boot=9, seed=1)))])
    result = validate(fit, data, resamples=draws, method=".632")
    assert result.frame()["n_boot"].eq(9).all()


def test_stratified_resamples_keep_the_events(developed):
    data, fit = developed
    result = validate(fit, data, n_boot=5, seed=1, stratify=data["y"])
    drawn = result._plan.train_weights(0, 5)
    assert (drawn @ data["y"] == data["y"].sum()).all()


def test_the_632_estimator_by_hand(developed):
    data, fit = developed
    draws = Resamples.draw(len(data), n_boot=30, seed=3)
    row = (
        validate(fit, data, resamples=draws, method=".632")
        .frame()
        .set_index("measure")
        .loc["brier"]
    )
    squared = np.full((30, len(data)), np.nan)
    for i, drawn in enumerate(draws):
        out = np.setdiff1d(np.arange(len(data)), drawn)
        refit = fit_logistic(fit.spec, data.iloc[drawn].reset_index(drop=True))
        mean = np.mean((data["y"].iloc[out] - refit.predict(data.iloc[out])) ** 2)
        squared[i, out] = mean
    test = np.nanmean(squared, axis=0).mean()
    assert row["test"] == pytest.approx(test)
    assert row["corrected"] == pytest.approx(0.368 * row["apparent"] + 0.632 * test)


def test_repeated_folds_hold_everybody_out_once_a_round(developed):
    data, fit = developed
    result = validate(fit, data, n_boot=20, seed=1, method="crossvalidation")
    members = result._plan.members
    assert (members[:10].sum(axis=0) == 1).all()
    assert (members[10:].sum(axis=0) == 1).all()
    assert not (members[:10] == members[10:]).all()


def test_folds_keep_patients_whole(developed):
    data, fit = developed
    patient = np.arange(len(data)) // 4
    result = validate(fit, data, n_boot=5, seed=1, method="crossvalidation", cluster=patient)
    assert result.n_cluster == 50
    folds = result._plan.members.argmax(axis=0)
    assert (folds == folds[patient * 4]).all()


def test_the_interval_is_the_drawn_one_moved_down(developed):
    data, fit = developed
    result = validate(fit, data, n_boot=200, seed=1)
    table = result.frame().set_index("measure").loc["brier"]
    drawn = result.replicates().query("measure == 'brier'")["training"]
    estimate = result.interval("brier", conf_level=0.9)
    assert estimate.estimate == table["corrected"]
    low, high = np.quantile(drawn, [0.05, 0.95]) - table["optimism"]
    assert (estimate.conf_low, estimate.conf_high) == pytest.approx((low, high))
    assert estimate.conf_level == 0.9
    with pytest.raises(ArgumentError, match="no interval"):
        result.interval("emax")


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_of_the_auc_is_delongs_of_unseen_patients(developed, clustered):
    data, fit = developed
    cluster = np.arange(len(data)) // 2 if clustered else None
    draws = Resamples.draw(len(data), n_boot=25, seed=3, cluster=cluster)
    result = validate(fit, data, resamples=draws, cluster=cluster)
    lp = np.full((25, len(data)), np.nan)
    for i, drawn in enumerate(draws):
        out = np.setdiff1d(np.arange(len(data)), drawn)
        refit = fit_logistic(fit.spec, data.iloc[drawn].reset_index(drop=True))
        lp[i, out] = refit.linear_predictor(data.iloc[out])
    unseen = auc(data["y"], np.nanmean(lp, axis=0), cluster=cluster)
    found = result.interval("auc", conf_level=0.9)
    assert found.std_error == pytest.approx(unseen.std_error)
    corrected = result.corrected["auc"]
    half = 1.6448536269514722 * unseen.std_error / (corrected * (1 - corrected))
    limits = special.expit(special.logit(corrected) + np.array([-half, half]))
    assert (found.conf_low, found.conf_high) == pytest.approx(tuple(limits))
    assert found.estimate == corrected
    assert ("obuchowski" if clustered else "delong") in found.method
    dxy = result.interval("dxy", conf_level=0.9)
    assert dxy.conf_low == pytest.approx(2 * limits[0] - 1)
    assert dxy.std_error == pytest.approx(2 * unseen.std_error)


def test_a_crossvalidation_has_an_interval_of_its_auc_too(developed):
    data, fit = developed
    result = validate(fit, data, n_boot=10, repeats=2, seed=1, method="crossvalidation")
    found = result.interval()
    assert found.conf_low < found.estimate < found.conf_high
    bootstrap = validate(fit, data, n_boot=100, seed=1).interval()
    assert found.std_error == pytest.approx(bootstrap.std_error, rel=0.1)


def test_an_interval_at_the_end_of_the_scale_is_a_score_interval():
    y = np.r_[np.zeros(30), np.ones(20)]
    low, high = corrected_auc_limits(1.0, 0.0, y, 0.95)
    assert 0.85 < low < 0.95
    assert high == 1


def test_the_decision_curve_by_hand(developed):
    data, fit = developed
    draws = Resamples.draw(len(data), n_boot=15, seed=4)
    table = validate(fit, data, resamples=draws).decision_curve([0.2, 0.5], model="ours").frame()
    row = table.query("model == 'ours' and threshold_probability == 0.2").iloc[0]

    def net_benefit(where, p):
        treated = p >= 0.2
        y = where["y"].to_numpy()
        return np.mean(treated & (y == 1)) - np.mean(treated & (y == 0)) * 0.25

    gaps = []
    for drawn in draws:
        sample = data.iloc[drawn].reset_index(drop=True)
        refit = fit_logistic(fit.spec, sample)
        gaps.append(
            net_benefit(sample, refit.predict(sample)) - net_benefit(data, refit.predict(data))
        )
    assert row["apparent"] == pytest.approx(net_benefit(data, fit.predict(data)))
    assert row["optimism"] == pytest.approx(np.mean(gaps))
    assert row["net_benefit"] == pytest.approx(row["apparent"] - np.mean(gaps))
    everybody = table.query("model == 'treat_all' and threshold_probability == 0.2").iloc[0]
    assert everybody["net_benefit"] == pytest.approx(data["y"].mean() - data["y"].eq(0).mean() / 4)


def test_indexes_agree_with_a_slow_count():
    rng = np.random.default_rng(8)
    lp = rng.integers(-3, 4, size=(4, 30)) / 2
    y = rng.integers(0, 2, 30).astype(float)
    w = rng.integers(0, 3, size=(4, 30)).astype(float)
    auc, g = rank_indexes(lp, y, w)
    for r in range(4):
        rows = np.repeat(np.arange(30), w[r].astype(int))
        x, outcome = lp[r, rows], y[rows]
        assert auc[r] == pytest.approx(roc_auc_score(outcome, x))
        pairs = np.abs(x[:, None] - x).sum() / (x.size * (x.size - 1))
        assert g[r] == pytest.approx(pairs)
        assert gini_mean_difference(lp[r : r + 1], w[r : r + 1])[0] == pytest.approx(pairs)


def test_recalibration_is_undefined_where_it_must_be():
    lp = np.array([[-1.0, 0.0, 1.0, 2.0], [0.5, 0.5, 0.5, 0.5], [-1.0, 2.0, 1.0, 0.0]])
    y = np.array([0.0, 0.0, 1.0, 1.0])
    a, b, _ = recalibrate(lp, y, np.ones_like(lp))
    assert np.isnan(a).tolist() == [True, True, False]
    assert np.isnan(b).tolist() == [True, True, False]
    with np.errstate(all="raise"):
        indexes(Side(lp, y))


def test_recalibration_of_wild_predictions_is_that_of_the_model():
    """Overfitted linear predictors of +-30 must not throw Newton's method off."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 60).astype(float)
    lp = rng.normal(size=(50, 60)) * 20 + y
    a, b, log_likelihood = recalibrate(lp, y, np.ones_like(lp))
    for r in range(0, 50, 10):
        fit = fit_logistic("y ~ lp", pd.DataFrame({"y": y, "lp": lp[r]}))
        assert (a[r], b[r]) == pytest.approx(tuple(fit.params), abs=1e-8)
        assert log_likelihood[r] == pytest.approx(fit.log_likelihood)
    assert np.isfinite(b).all()


def test_emax_of_a_perfect_line_is_zero():
    assert emax(0.0, 1.0) == pytest.approx(0, abs=1e-12)
    assert emax(0.0, 0.5) == pytest.approx(
        np.abs(0.08 - special.expit(special.logit(0.08) / 2)), abs=5e-3
    )
    assert np.isnan(emax(np.nan, 1.0))


def rare_level(n_rare: int) -> pd.DataFrame:
    data = cohort(120, seed=6)
    rare = np.arange(120) < n_rare
    level = np.where(rare, "rare", "common")
    return data.assign(level=level, y=np.where(rare, [1, 0] * 60, data["y"]))


def test_failed_refits_are_counted_warned_of_and_refused():
    data = rare_level(2)
    fit = fit_logistic("y ~ a + level", data)
    with pytest.raises(ResampleError, match=r"of 100 refits .* failed; above 20%.*firth.*fewer"):
        validate(fit, data, n_boot=100, seed=1)
    data = rare_level(6)
    fit = fit_logistic("y ~ a + level", data)
    with pytest.warns(FailedResamplesWarning, match="refits .* failed and were left out"):
        result = validate(fit, data, n_boot=100, seed=1)
    assert 5 < result.n_failed <= 20
    assert result.frame()["n_failed"].eq(result.n_failed).all()
    assert result.frame()["n_boot"].eq(100 - result.n_failed).all()


def test_measures_undefined_in_tiny_folds_are_withheld():
    data = cohort(60)
    fit = fit_logistic("y ~ a", data)
    labels = np.arange(60) % 20
    with pytest.warns(SmallSampleWarning, match="Undefined in more than 20% of the replicates"):
        table = validate(fit, data, method="crossvalidation", resamples=labels).frame()
    table = table.set_index("measure")
    assert np.isnan(table.loc["calibration_slope", "corrected"])
    assert np.isfinite(table.loc["brier", "corrected"])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"seed": -1}, ArgumentError, "`seed` must be"),
        ({"seed": None, "checkpoint": "somewhere"}, ArgumentError, "`checkpoint` needs a `seed`"),
        ({"method": "jackknife"}, ArgumentError, r"'bootstrap', 'harrell', '.632\+', '.632'"),
        ({"n_boot": 0}, ArgumentError, "`n_boot` must be"),
        ({"n_boot": 15, "method": "crossvalidation"}, ArgumentError, "multiple of 10"),
        ({"cluster": [1, 2]}, PairingError, "same cases"),
        ({"resamples": [[1, 2, 300]]}, ResampleError, "from 0 to 199"),
        (
            {"method": "crossvalidation", "resamples": np.ones((3, 200))},
            ResampleError,
            "nobody, or everybody",
        ),
        (
            {"method": "crossvalidation", "resamples": np.full((3, 200), 2)},
            ResampleError,
            "1 where a row is held out",
        ),
    ],
)
def test_refusals(developed, options, error, text):
    data, fit = developed
    with pytest.raises(error, match=text):
        validate(fit, data, **{"n_boot": 10, "seed": 1, **options})


def test_holes_without_an_imputing_recipe_are_refused(developed):
    data, fit = developed
    with pytest.raises(MissingDataError, match=r"\(a \d+\).*Recipe\(imputation='pmm'\)"):
        validate(fit, data.assign(a=data["a"].where(data["a"] < 1)), n_boot=10, seed=1)


def test_other_tables_and_objects_are_refused(developed):
    data, fit = developed
    with pytest.raises(PairingError, match="developed on 200 rows, `data` has 50"):
        validate(fit, data.head(50), n_boot=10, seed=1)
    with pytest.raises(ArgumentError, match="got str and DataFrame"):
        validate("y ~ a", data, n_boot=10, seed=1)
    with pytest.raises(PairingError, match=r"developed on \d+ events, `data` has"):
        validate(fit, data.assign(y=data["y"].where(data.index > 20, 1)), n_boot=10, seed=1)
    with pytest.raises(ArgumentError, match="`recipe` must be a Recipe; got str"):
        validate(fit, data, n_boot=10, seed=1, recipe="pmm")
    with pytest.raises(ArgumentError, match="`checkpoint` must be the path of a folder; got 3"):
        validate(fit, data, n_boot=10, seed=1, checkpoint=3)
    weighted = fit_logistic(FORMULA, data, weights=np.full(len(data), 2.0))
    with pytest.raises(ArgumentError, match="case weights"):
        validate(weighted, data, n_boot=10, seed=1)


def test_it_says_what_it_is(developed):
    data, fit = developed
    text = repr(validate(fit, data, n_boot=20, seed=1))
    assert "bootstrap with 20 refits (0 failed)" in text
    assert "n = 200" in text
    assert "seed 1" in text


def test_a_thousand_refits_take_a_moment():
    data = cohort(275)
    fit = fit_logistic("y ~ a + rcs(b, 3) + c + site", data)
    validate(fit, data, n_boot=50, seed=1)
    start = time.perf_counter()
    validate(fit, data, n_boot=1000, seed=1)
    assert time.perf_counter() - start < 3


@pytest.mark.slow
def test_the_corrected_auc_is_the_auc_in_new_patients():
    rng = np.random.default_rng(0)
    X_new = rng.normal(size=(20_000, 5))
    y_new = rng.random(20_000) < special.expit(X_new @ [1, 0.5, 0, 0, 0])
    names = list("abcde")
    new = pd.DataFrame(X_new, columns=names)
    gaps, slopes, true_slopes = [], [], []
    for _ in range(60):
        data = pd.DataFrame(rng.normal(size=(150, 5)), columns=names)
        data["y"] = (rng.random(150) < special.expit(data["a"] + 0.5 * data["b"])).astype(int)
        fit = fit_logistic("y ~ a + b + c + d + e", data)
        corrected = validate(fit, data, n_boot=100, seed=1).corrected
        lp = fit.linear_predictor(new)
        gaps.append(corrected["auc"] - roc_auc_score(y_new, lp))
        slopes.append(corrected["calibration_slope"])
        true_slopes.append(recalibrate(lp[None], y_new * 1.0, np.ones((1, len(lp))))[1][0])
    assert np.mean(gaps) == pytest.approx(0, abs=0.01)
    assert np.mean(slopes) == pytest.approx(np.mean(true_slopes), abs=0.05)
