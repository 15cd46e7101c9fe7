"""External validation is its four parts, side by side and by centre."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from usstats.calibration import assess_calibration
from usstats.decision import decision_curve
from usstats.errors import ArgumentError, OutcomeError, PairingError, SmallSampleWarning
from usstats.external import DEFAULT_THRESHOLDS, evaluate
from usstats.roc import auc


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(3)
    lp = rng.normal(-0.3, 1.3, 600)
    return (rng.random(600) < special.expit(lp)).astype(int), special.expit(1.4 * lp)


def part(result, group, measure):
    frame = result.frame()
    return frame[(frame["group"] == group) & (frame["measure"] == measure)]


def test_all_four_parts_are_there_and_are_the_functions_own(cohort):
    y, p = cohort
    result = evaluate(y, p, thresholds=[0.2, 0.4])
    area = part(result, "overall", "auc").iloc[0]
    assert area["conf_low"] == auc(y, p).conf_low
    slope = assess_calibration(y, p).frame().set_index("measure").loc["calibration_slope"]
    assert part(result, "overall", "calibration_slope")["conf_high"].iloc[0] == slope["conf_high"]
    curve = decision_curve(y, {"model": p}, thresholds=[0.2, 0.4]).frame()
    benefit = part(result, "overall", "net_benefit")
    assert benefit["threshold_probability"].tolist() == [0.2, 0.4]
    assert benefit["estimate"].tolist() == curve["net_benefit"][:2].tolist()
    everybody = part(result, "overall", "net_benefit_treat_all")
    assert everybody["estimate"].tolist() == curve["net_benefit"][2:4].tolist()
    risks = result.risks().set_index("outcome")
    assert risks.loc["event", "median"] == np.median(p[y == 1])
    assert risks["n"].sum() == y.size


def test_thresholds_have_a_stated_default(cohort):
    result = evaluate(*cohort)
    assert tuple(result.net_benefit.thresholds) == DEFAULT_THRESHOLDS
    assert "thresholds 0.05 to 0.5" in result.summary()


def test_patients_reach_every_interval(cohort):
    y, p = (np.tile(a, 2) for a in cohort)
    patient = np.tile(np.arange(600), 2)
    once = evaluate(*cohort, n_boot=30, seed=1, smoother="rcs")
    twice = evaluate(y, p, cluster=patient, n_boot=30, seed=1, smoother="rcs")
    frame = twice.frame()
    assert (frame["n_cluster"] == 600).all()
    for measure in ("auc", "calibration_slope", "oe_ratio", "brier"):
        rows = [part(result, "overall", measure).iloc[0] for result in (once, twice)]
        assert rows[1]["std_error"] == pytest.approx(rows[0]["std_error"], rel=0.1)
    for measure in ("net_benefit", "ici"):
        rows = [part(result, "overall", measure)["conf_low"] for result in (once, twice)]
        np.testing.assert_allclose(rows[1].astype(float), rows[0].astype(float), rtol=1e-6)
    assert "unit: patient (600 clusters)" in repr(twice)


def test_centres_are_evaluated_on_their_own_rows(cohort):
    y, p = cohort
    centre = np.repeat(["north", "south"], [350, 250])
    result = evaluate(y, p, centre=centre)
    assert result.centres == ("north", "south")
    rows = slice(350, None)
    area = part(result, "south", "auc").iloc[0]
    assert area["estimate"] == auc(y[rows], p[rows]).estimate
    assert area["n"] == 250
    own = assess_calibration(y[rows], p[rows]).frame().set_index("measure")
    for measure in ("calibration_in_the_large", "calibration_slope", "oe_ratio", "brier"):
        got = part(result, "south", measure).iloc[0]
        assert got["conf_low"] == pytest.approx(own.loc[measure, "conf_low"])
    assert result.risks()["group"].unique().tolist() == ["overall", "north", "south"]


def test_a_centre_with_one_class_is_undefined_and_named(cohort):
    y, p = cohort
    centre = np.where((np.arange(600) < 40) & (y == 0), "quiet", "busy")
    with pytest.warns(SmallSampleWarning, match="Centre 'quiet' has one outcome class only"):
        result = evaluate(y, p, centre=centre)
    frame = result.frame()
    assert frame.loc[frame["group"] == "quiet", "estimate"].isna().all()
    assert frame.loc[frame["group"] == "busy", "estimate"].notna().all()
    events = result.risks().query("group == 'quiet' and outcome == 'event'")
    assert events["n"].iloc[0] == 0


def test_a_small_centre_is_flagged(cohort):
    y, p = cohort
    few = np.flatnonzero(y == 1)[:4]
    centre = np.full(600, "large")
    centre[[*few, *np.flatnonzero(y == 0)[:30]]] = "small"
    with pytest.warns(SmallSampleWarning, match="Centre 'small' has 4 events or non-events"):
        evaluate(y, p, centre=centre)


def test_a_small_cohort_keeps_everything_but_the_curve(cohort):
    y, p = (a[:120] for a in cohort)
    with pytest.warns(SmallSampleWarning, match="withheld"):
        result = evaluate(y, p)
    assert np.isnan(part(result, "overall", "ici")["estimate"].iloc[0])
    assert part(result, "overall", "net_benefit")["estimate"].notna().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"centre": ["a"]}, PairingError, "`centre` has 1"),
        ({"centre": ["a", None, "b"]}, PairingError, "`centre` has 1 missing labels"),
        ({"centre": ["a", "overall", "b"]}, ArgumentError, "may not hold a centre named"),
        ({"y": [0, 0, 0]}, OutcomeError, "holds only non-events"),
        ({"n_boot": 10, "min_events": 0}, ArgumentError, "`seed` must be a whole number"),
    ],
)
@pytest.mark.filterwarnings("ignore::usstats.errors.UsstatsWarning")
def test_bad_input_is_refused(change, error, message):
    arguments = {"y": [0, 1, 1], "p": [0.2, 0.5, 0.4]} | change
    y, p = arguments.pop("y"), arguments.pop("p")
    with pytest.raises(error, match=message):
        evaluate(y, p, **arguments)
