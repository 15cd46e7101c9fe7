"""Instability of single patients' risks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from usstats.errors import ArgumentError
from usstats.instability import KINDS, Instability
from usstats.logistic import fit_logistic
from usstats.optimism import validate
from usstats.recipe import Recipe
from usstats.resample import Resamples


@pytest.fixture(scope="module")
def developed():
    rng = np.random.default_rng(2)
    data = pd.DataFrame(rng.normal(size=(120, 2)), columns=["a", "b"])
    data["y"] = (rng.random(120) < special.expit(data["a"])).astype(int)
    fit = fit_logistic("y ~ a + b", data)
    draws = Resamples.draw(120, n_boot=25, seed=1)
    return data, fit, draws, validate(fit, data, resamples=draws)


def test_predictions_are_those_of_refitted_models(developed):
    data, fit, draws, result = developed
    found = result.instability()
    for i in (0, 24):
        refit = fit_logistic("y ~ a + b", data.iloc[draws[i]].reset_index(drop=True))
        np.testing.assert_allclose(found.predictions[i], refit.predict(data), rtol=1e-6)
    np.testing.assert_allclose(found.original, fit.predict(data))


def test_the_table_by_hand(developed):
    found = developed[-1].instability(threshold=0.4)
    table = found.frame()
    p, own = found.predictions, found.original
    np.testing.assert_allclose(table["mape"], np.mean(np.abs(p - own), axis=0))
    np.testing.assert_allclose(table["conf_low"], np.quantile(p, 0.025, axis=0))
    other = [np.mean((p[:, j] >= 0.4) != (own[j] >= 0.4)) for j in range(120)]
    np.testing.assert_allclose(table["classification_instability"], other)
    assert found.mape == pytest.approx(table["mape"].mean())


def test_without_a_threshold_there_is_no_classification(developed):
    found = developed[-1].instability()
    assert found.threshold is None
    assert found.frame()["classification_instability"].isna().all()


def test_the_development_threshold_is_used(developed):
    data, fit, *_ = developed
    result = validate(fit, data, n_boot=10, seed=1, recipe=Recipe(threshold="youden"))
    assert result.instability().threshold == result.threshold
    assert "change class" in repr(result.instability())


def test_a_larger_cohort_is_more_stable():
    mape = []
    for n in (80, 800):
        rng = np.random.default_rng(3)
        data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
        data["y"] = (rng.random(n) < special.expit(data["a"])).astype(int)
        fit = fit_logistic("y ~ a + b + c", data)
        mape.append(validate(fit, data, n_boot=60, seed=1).instability().mape)
    assert mape[1] < mape[0] / 2


def test_curves_name_the_developed_model(developed):
    found = developed[-1].instability()
    for table in (found.calibration_frame(most=5), found.net_benefit_frame([0.2, 0.5], most=5)):
        assert sorted(table["replicate"].unique()) == [-1, 0, 1, 2, 3, 4]
    row = found.net_benefit_frame([0.5]).iloc[0]
    treated = found.original >= 0.5
    expected = np.mean(treated * found.y) - np.mean(treated * (1 - found.y))
    assert row["net_benefit"] == pytest.approx(expected)


def test_arrays_cannot_be_written_to(developed):
    found = developed[-1].instability()
    with pytest.raises(ValueError, match="read-only"):
        found.predictions[0, 0] = 1.0


def test_refusals(developed):
    data, fit, _, result = developed
    folds = validate(fit, data, n_boot=5, seed=1, method="crossvalidation")
    with pytest.raises(ArgumentError, match="bootstrap models"):
        folds.instability()
    with pytest.raises(ArgumentError, match="`kind` must be one of"):
        result.instability().plot(kind="radar")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_with_labelled_axes(developed, kind):
    ax = developed[-1].instability(threshold=0.5).plot(kind=kind)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.lines


def test_decision_curves_keep_to_the_range_asked_for(developed):
    ax = developed[-1].instability().plot(kind="net_benefit", thresholds=[0.1, 0.2, 0.3])
    assert ax.get_xlim() == pytest.approx((0.1, 0.3))


def test_the_prediction_plot_shows_every_patient(developed):
    found = developed[-1].instability()
    ax = found.plot()
    cloud = ax.lines[0]
    assert cloud.get_xdata().size == 25 * 120
    low = next(line for line in ax.lines if "range" in str(line.get_label()))
    np.testing.assert_array_equal(np.sort(found.original), low.get_xdata())


def test_a_result_can_be_made_from_arrays():
    p = np.array([0.2, 0.6])
    found = Instability(
        original=p, predictions=np.array([p, p + 0.1]), y=np.array([0.0, 1.0]),
        threshold=0.65, n_failed=0, seed=None,
    )  # fmt: skip
    assert found.mape == pytest.approx(0.05)
    assert found.classification.tolist() == [0.0, 0.5]
