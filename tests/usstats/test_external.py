"""External validation is its four parts, side by side and by centre."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import special, stats

from usstats._external.meta_analysis import random_effects
from usstats.calibration import assess_calibration
from usstats.decision import decision_curve
from usstats.errors import ArgumentError, OutcomeError, PairingError, SmallSampleWarning
from usstats.external import DEFAULT_BOOT, DEFAULT_THRESHOLDS, evaluate
from usstats.resample import bootstrap
from usstats.roc import auc, roc_curve


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


# --- intervals -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    """One to four images a patient, whose risks differ a little."""
    rng = np.random.default_rng(5)
    patient = np.repeat(np.arange(350), rng.integers(1, 5, 350))
    lp = rng.normal(-0.2, 1.2, 350)
    y = (rng.random(350) < special.expit(lp)).astype(int)[patient]
    return y, special.expit(1.3 * lp[patient] + rng.normal(0, 0.3, patient.size)), patient


WITH_INTERVAL = [
    "auc",
    "calibration_in_the_large",
    "calibration_slope",
    "oe_ratio",
    "brier",
    "brier_scaled",
    "net_benefit",
]
FLEXIBLE = ["ici", "e50", "e90", "emax"]


def test_every_measure_has_an_interval_over_patients(images):
    y, p, patient = images
    plain = evaluate(y, p, cluster=patient).frame()
    drawn = evaluate(y, p, cluster=patient, n_boot=40, seed=1, smoother="rcs").frame()
    for frame, measures in ((plain, WITH_INTERVAL), (drawn, [*WITH_INTERVAL, *FLEXIBLE])):
        rows = frame[frame["measure"].isin(measures)]
        assert set(rows["measure"]) == set(measures)
        assert rows[["std_error", "conf_low", "conf_high"]].notna().all(axis=None)
        assert (rows["conf_low"] <= rows["estimate"]).mean() > 0.9
        assert (rows["n_cluster"] == 350).all()


@pytest.mark.parametrize("prevalence", [None, 0.2])
def test_net_benefit_errors_match_a_bootstrap(images, prevalence):
    y, p, patient = images
    options = {"cluster": patient, "prevalence": prevalence, "thresholds": [0.0, 0.2, 0.5]}
    closed = part(evaluate(y, p, **options), "overall", "net_benefit")
    drawn = decision_curve(y, {"model": p}, ci="bootstrap", n_boot=3000, seed=1, **options)
    spread = drawn._replicates[:, 0].std(axis=0)
    np.testing.assert_allclose(closed["std_error"][1:], spread[1:], rtol=0.08)
    assert closed["method"].unique().tolist() == ["wald, patient sandwich"]
    assert (closed["conf_high"] - closed["estimate"]).iloc[1] == pytest.approx(
        stats.norm.isf(0.025) * closed["std_error"].iloc[1]
    )


def test_treating_everybody_at_a_known_prevalence_is_certain(cohort):
    rows = part(evaluate(*cohort, prevalence=0.3), "overall", "net_benefit_treat_all")
    np.testing.assert_allclose(rows["std_error"], 0, atol=1e-15)


def test_net_benefit_error_is_that_of_a_mean(cohort):
    y, p = cohort
    row = part(evaluate(y, p, thresholds=[0.25]), "overall", "net_benefit").iloc[0]
    gain = (p >= 0.25) * np.where(y == 1, 1, -1 / 3)
    assert row["estimate"] == pytest.approx(gain.mean())
    assert row["std_error"] == pytest.approx(gain.std() / np.sqrt(y.size))


def test_resampled_net_benefit_brings_its_own_spread(images):
    y, p, patient = images
    result = evaluate(y, p, cluster=patient, n_boot=60, seed=2, smoother="rcs", thresholds=[0.3])
    own = result.net_benefit._replicates[:, 0, 0].std(ddof=1)
    assert part(result, "overall", "net_benefit")["std_error"].iloc[0] == pytest.approx(own)


def test_a_seed_alone_asks_for_resamples(cohort):
    result = evaluate(*cohort, seed=4, smoother="rcs")
    assert result.net_benefit.n_boot == result.calibration.n_boot == DEFAULT_BOOT
    assert result.roc.n_boot == DEFAULT_BOOT


def test_explicit_resamples_are_used_by_every_part(cohort):
    y, p = cohort
    draws = np.random.default_rng(6).integers(0, 600, (25, 600))
    result = evaluate(y, p, resamples=draws, smoother="rcs")
    assert result.net_benefit.n_boot == result.calibration.n_boot == 25
    curve = decision_curve(
        y, {"model": p}, thresholds=DEFAULT_THRESHOLDS, ci="bootstrap", resamples=draws
    ).frame()
    rows = part(result, "overall", "net_benefit")
    assert rows["conf_low"].tolist() == curve["conf_low"][: len(rows)].tolist()


def test_risks_are_distributed_with_intervals_over_patients(images):
    y, p, patient = images
    table = evaluate(y, p, cluster=patient).risk_distribution()
    assert table.columns[:4].tolist() == ["group", "outcome", "measure", "estimate"]
    wide = evaluate(y, p).risks().set_index("outcome")
    for level, outcome in ((1, "event"), (0, "non_event")):
        mine = table[table["outcome"] == outcome].set_index("measure")
        rows = y == level
        for measure, statistic in (
            ("mean", np.mean),
            ("median", np.median),
            ("q25", partial(np.quantile, q=0.25)),
        ):
            drawn = bootstrap(statistic, p[rows], cluster=patient[rows], n_boot=1500, seed=3)
            got = mine.loc[measure]
            assert got["estimate"] == pytest.approx(wide.loc[outcome, measure])
            assert got["std_error"] == pytest.approx(drawn.std_error, rel=0.2)
            assert got["conf_low"] == pytest.approx(drawn.conf_low, abs=0.02)
            assert got["conf_high"] == pytest.approx(drawn.conf_high, abs=0.02)
        assert (mine["n_cluster"] == np.unique(patient[rows]).size).all()


def test_one_row_a_patient_is_no_clustering(cohort):
    y, p = cohort
    plain, own = (evaluate(y, p, **o) for o in ({}, {"cluster": np.arange(600)}))
    columns = ["estimate", "std_error", "conf_low", "conf_high"]
    np.testing.assert_allclose(own.risk_distribution()[columns], plain.risk_distribution()[columns])
    benefit = [part(r, "overall", "net_benefit")[columns] for r in (plain, own)]
    np.testing.assert_allclose(benefit[1].astype(float), benefit[0].astype(float))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::usstats.errors.SmallSampleWarning")
def test_intervals_of_net_benefit_and_medians_cover():
    at, hits = 0.3, []

    def study(seed, n_patient):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(n_patient), rng.integers(1, 8, n_patient))
        lp = rng.normal(-0.2, 1.2, n_patient)
        y = (rng.random(n_patient) < special.expit(lp)).astype(int)[patient]
        return y, special.expit(lp[patient] + rng.normal(0, 0.4, patient.size)), patient

    y, p, _ = study(0, 200_000)
    truth = {"net_benefit": ((p >= at) * np.where(y == 1, 1, -at / (1 - at))).mean()}
    truth["median"] = np.median(p[y == 1])
    for seed in range(1, 401):
        y, p, patient = study(seed, 137)
        result = evaluate(y, p, cluster=patient, thresholds=[at], min_events=10**6)
        rows = [part(result, "overall", "net_benefit").iloc[0]]
        table = result.risk_distribution()
        rows.append(table.query("outcome == 'event' and measure == 'median'").iloc[0])
        hits.append([r["conf_low"] <= truth[r["measure"]] <= r["conf_high"] for r in rows])
    shares = np.mean(hits, axis=0)
    assert ((shares >= 0.91) & (shares <= 0.98)).all(), shares


# --- centres -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def centres():
    """Eight centres whose prevalence and slope differ."""
    rng = np.random.default_rng(8)
    where = np.repeat(np.arange(8), 150)
    lp = rng.normal(-0.2, 1.2, where.size)
    shift, slope = rng.normal(0, 0.7, 8)[where], 1 + rng.normal(0, 0.3, 8)[where]
    y = (rng.random(where.size) < special.expit(shift + slope * lp)).astype(int)
    return y, special.expit(lp), np.array([f"c{k}" for k in where])


def test_heterogeneity_pools_the_rows_of_the_centres(centres):
    y, p, where = centres
    result = evaluate(y, p, centre=where)
    table = result.heterogeneity().set_index("measure")
    frame = result.frame()
    rows = frame[frame["group"] != "overall"].pivot_table(
        index="group", columns="measure", values=["estimate", "std_error"]
    )
    slope = random_effects(
        rows["estimate", "calibration_slope"].to_numpy(),
        rows["std_error", "calibration_slope"].to_numpy(),
        method="reml",
        conf_level=0.95,
    )
    assert table.loc["calibration_slope", "estimate"] == pytest.approx(slope.estimate)
    assert table.loc["calibration_slope", "prediction_low"] == pytest.approx(slope.prediction_low)
    ratio, error = rows["estimate", "oe_ratio"], rows["std_error", "oe_ratio"]
    logs = random_effects(
        np.log(ratio).to_numpy(), (error / ratio).to_numpy(), method="reml", conf_level=0.95
    )
    assert table.loc["oe_ratio", "conf_high"] == pytest.approx(np.exp(logs.high))
    area, spread = rows["estimate", "auc"], rows["std_error", "auc"]
    logits = random_effects(
        special.logit(area).to_numpy(),
        (spread / area / (1 - area)).to_numpy(),
        method="reml",
        conf_level=0.95,
    )
    assert table.loc["auc", "estimate"] == pytest.approx(special.expit(logits.estimate))
    assert table.loc["calibration_in_the_large", "tau"] == pytest.approx(0.7, abs=0.35)
    assert (table["n_centre"] == 8).all()
    inside = table["conf_low"].between(table["prediction_low"], table["estimate"])
    assert inside.all()
    wide = result.heterogeneity(conf_level=0.99, method="dl").set_index("measure")
    assert wide["method"].unique().tolist() == ["DerSimonian-Laird, Hartung-Knapp"]
    assert (wide["conf_high"] > table["conf_high"]).sum() >= 3


def test_heterogeneity_needs_centres_and_says_who_was_left_out(centres, cohort):
    with pytest.raises(ArgumentError, match="There are no centres: call `evaluate` with `centre`"):
        evaluate(*cohort).heterogeneity()
    y, p, where = centres
    with pytest.raises(ArgumentError, match="`method` must be one of 'reml', 'dl'"):
        evaluate(y, p, centre=where).heterogeneity(method="fixed")
    quiet = np.where((where == "c0") & (y == 0), "quiet", where)
    with pytest.warns(SmallSampleWarning, match="one outcome class only"):
        result = evaluate(y, p, centre=quiet)
    with pytest.warns(SmallSampleWarning, match=r"were left out of the summary: auc \d of 9"):
        table = result.heterogeneity()
    assert (table["n_centre"] == 7).all()


def test_two_centres_have_no_prediction_interval(cohort):
    table = evaluate(*cohort, centre=np.arange(600) % 2).heterogeneity()
    assert table["estimate"].notna().all()
    assert table[["prediction_low", "prediction_high"]].isna().all(axis=None)
    single = evaluate(*cohort, centre=np.zeros(600)).heterogeneity()
    assert single["estimate"].isna().all()
    assert (single["n_centre"] == 1).all()


# --- pictures ------------------------------------------------------------------------------------


def test_the_four_parts_are_drawn_together(cohort):
    result = evaluate(*cohort)
    ax = result.plot()
    panels = ax.figure.axes
    assert [panel.get_title(loc="left") for panel in panels] == ["a", "b", "c", "d"]
    labels = [panel.get_xlabel() for panel in panels]
    assert labels == [
        "1 \N{MINUS SIGN} specificity",
        "Predicted risk",
        "Threshold probability",
        "Predicted risk",
    ]
    curve = roc_curve(*cohort).frame()
    assert np.isin(curve["sensitivity"], panels[0].lines[-1].get_ydata()).all()
    heights = [bar.get_height() for bar in panels[3].patches]
    assert sum(heights[:20]) == pytest.approx(1)
    assert sum(heights[20:]) == pytest.approx(-1)


def test_the_parts_fill_given_axes(cohort):
    figure = Figure()
    ax = figure.add_subplot()
    assert evaluate(*cohort).plot(ax) is ax
    assert len(ax.child_axes) == 4


@pytest.mark.parametrize("panel", ["roc", "calibration", "net_benefit", "risks"])
def test_a_part_can_be_drawn_alone(cohort, panel):
    ax = Figure().add_subplot()
    result = evaluate(*cohort, thresholds=[0.3])
    assert result.plot(ax, panel=panel) is ax
    assert isinstance(result.plot(panel=panel), Axes)


def test_an_unknown_part_is_refused(cohort):
    with pytest.raises(ArgumentError, match="`panel` must be one of 'roc'"):
        evaluate(*cohort).plot(panel="lift")


def test_tables_handed_out_are_copies(cohort):
    result = evaluate(*cohort)
    for read in (result.frame, result.risks, result.risk_distribution):
        before, spoilt = read(), read()
        spoilt.iloc[:, 0] = "spoilt"
        pd.testing.assert_frame_equal(read(), before)


# --- warnings and bad input ----------------------------------------------------------------------


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
        ({"n_boot": 9, "seed": -1, "min_events": 0}, ArgumentError, "`seed` must be a whole"),
    ],
)
@pytest.mark.filterwarnings("ignore::usstats.errors.UsstatsWarning")
def test_bad_input_is_refused(change, error, message):
    arguments = {"y": [0, 1, 1], "p": [0.2, 0.5, 0.4]} | change
    y, p = arguments.pop("y"), arguments.pop("p")
    with pytest.raises(error, match=message):
        evaluate(y, p, **arguments)
