"""Decision curves against dcurves and rmda, loops over patients, and closed forms."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter

from tests.reference import load_case
from usstats.decision import decision_curve, decision_curve_survival
from usstats.errors import (
    ArgumentError,
    FailedResamplesWarning,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
    UsstatsWarning,
)
from usstats.resample import Resamples

HUNDREDTHS = np.arange(1, 100) / 100


def simulate(n=300, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0, 1, n)
    y = (rng.random(n) < p).astype(int)
    noisy = np.clip(p + rng.normal(0, 0.3, n), 0.01, 0.99)
    return y, {"sharp": np.round(p, 2), "noisy": np.round(noisy, 2)}


def naive_net_benefit(y, p, thresholds):
    """A loop over patients; risk >= threshold is positive."""
    values = []
    for t in thresholds:
        benefit = 0.0
        for outcome, risk in zip(y, p, strict=True):
            if risk >= t:
                benefit += 1 if outcome else -t / (1 - t)
        values.append(benefit / len(y))
    return np.array(values)


def naive_kaplan_meier(times, events, horizon):
    survival = 1.0
    for t in sorted(set(times[(events == 1) & (times <= horizon)])):
        survival *= 1 - ((times == t) & (events == 1)).sum() / (times >= t).sum()
    return survival


def naive_cumulative_incidence(times, events, horizon):
    """A walk through the days: who is left, who has the event, who has the other one."""
    free, incidence = 1.0, 0.0
    for t in sorted(set(times[times <= horizon])):
        left = (times >= t).sum()
        happened = [((times == t) & (events == code)).sum() / left for code in (1, 2)]
        incidence += free * happened[0]
        free *= 1 - sum(happened)
    return incidence


def naive_survival_net_benefit(times, events, p, thresholds, horizon):
    values = []
    for t in thresholds:
        positive = p >= t
        share = positive.mean()
        survival = naive_kaplan_meier(times[positive], events[positive], horizon)
        values.append((1 - survival) * share - survival * share * t / (1 - t))
    return np.array(values)


def rows_of(curve, model):
    frame = curve.frame()
    return frame[frame["model"] == model].reset_index(drop=True)


def rates_of(curve, model):
    table = curve.consequences()
    return table[table["model"] == model].reset_index(drop=True)


DCURVES_NAMES = {
    "threshold_probability": "threshold",
    "net_benefit": "net_benefit",
    "standardized_net_benefit": "standardized_net_benefit",
    "interventions_avoided": "net_intervention_avoided",
}
DCURVES_RATES = {"true_positive": "tp_rate", "false_positive": "fp_rate"}


def check_against_dcurves(case, curve):
    pairs = {name: name for name in case.inputs["models"]}
    pairs |= {"treat_all": "all", "treat_none": "none"}
    for ours, theirs in pairs.items():
        for column, name in DCURVES_NAMES.items():
            case.check(rows_of(curve, ours)[column], f"{theirs}.{name}")
        for column, name in DCURVES_RATES.items():
            case.check(rates_of(curve, ours)[column], f"{theirs}.{name}")
    case.check(curve.prevalence, "pos_rate")
    case.check(curve.n, "n")


# --- values from R -----------------------------------------------------------------------------


@pytest.mark.parametrize("case_id", ["dca_binary", "dca_case_control_prevalence"])
def test_binary_curves_match_dcurves(case_id):
    # dcurves::dca(outcome ~ models, thresholds, prevalence)
    case = load_case(case_id)
    data, inputs = case.table(), case.inputs
    curve = decision_curve(
        data[inputs["outcome"]],
        {name: data[name] for name in inputs["models"]},
        thresholds=inputs["thresholds"],
        prevalence=inputs.get("prevalence"),
    )
    check_against_dcurves(case, curve)


def test_survival_curve_matches_dcurves():
    # dcurves::dca(Surv(ttcancer, cancer) ~ cancerpredmarker, time = 1.5)
    case = load_case("dca_survival")
    data, inputs = case.table(), case.inputs
    curve = decision_curve_survival(
        data[inputs["time_col"]],
        data[inputs["event"]],
        {name: data[name] for name in inputs["models"]},
        horizon=inputs["time"],
        thresholds=inputs["thresholds"],
    )
    check_against_dcurves(case, curve)


def test_rmda_counts_strictly_above():
    # rmda takes risk > threshold, which is risk >= the next number after the threshold
    case = load_case("dca_rmda_standardized")
    data = case.table()
    at = np.array(case.inputs["thresholds"])
    curve = decision_curve(data["y"], {"m1": data["m1"]}, thresholds=np.nextafter(at, 1))
    for ours, theirs in {"m1": "m1", "treat_all": "All", "treat_none": "None"}.items():
        rows, rates = rows_of(curve, ours), rates_of(curve, ours)
        case.check(rows["threshold_probability"], f"{theirs}.threshold")
        case.check(rates["sensitivity"], f"{theirs}.TPR")
        case.check(1 - rates["specificity"], f"{theirs}.FPR")
        case.check(rows["net_benefit"], f"{theirs}.NB")
        case.check(rows["standardized_net_benefit"], f"{theirs}.sNB")
        case.check(rates["test_positive"], f"{theirs}.prob_high_risk")
        case.check(curve.prevalence, f"{theirs}.rho")


# --- laws and loops ---------------------------------------------------------------------------


def test_net_benefit_matches_a_loop_on_rounded_risks():
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=HUNDREDTHS)
    for name, p in risks.items():
        expected = naive_net_benefit(y, p, HUNDREDTHS)
        np.testing.assert_allclose(rows_of(curve, name)["net_benefit"], expected, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    cases=st.lists(st.tuples(st.booleans(), st.integers(1, 50)), min_size=2, max_size=40).filter(
        lambda cases: len({y for y, _ in cases}) == 2
    ),
    thresholds=st.lists(st.integers(0, 49), min_size=1, max_size=12, unique=True),
)
def test_any_rounded_risks_match_a_loop(cases, thresholds):
    y = [outcome for outcome, _ in cases]
    p = np.array([risk for _, risk in cases]) / 50
    at = np.sort(thresholds) / 50
    curve = decision_curve(y, {"m": p}, thresholds=at)
    np.testing.assert_allclose(
        rows_of(curve, "m")["net_benefit"], naive_net_benefit(y, p, at), atol=1e-13
    )


def test_treat_all_has_its_closed_form_and_treat_none_is_zero():
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=HUNDREDTHS)
    prevalence = y.mean()
    closed = (prevalence - HUNDREDTHS) / (1 - HUNDREDTHS)
    np.testing.assert_allclose(rows_of(curve, "treat_all")["net_benefit"], closed, atol=1e-12)
    assert (rows_of(curve, "treat_none")["net_benefit"] == 0).all()


def test_perfect_model_is_worth_the_prevalence():
    y, _ = simulate()
    rows = rows_of(decision_curve(y, {"oracle": y}, thresholds=HUNDREDTHS), "oracle")
    np.testing.assert_allclose(rows["net_benefit"], y.mean())
    np.testing.assert_allclose(rows["standardized_net_benefit"], 1)


def test_constant_risk_is_treat_all_up_to_itself_and_treat_none_above():
    y, _ = simulate()
    curve = decision_curve(y, {"flat": np.full(y.size, 0.4)}, thresholds=HUNDREDTHS)
    flat, everybody = (rows_of(curve, name)["net_benefit"] for name in ("flat", "treat_all"))
    np.testing.assert_allclose(flat[:40], everybody[:40])
    assert (flat[40:] == 0).all()


def test_risk_of_exactly_0_is_never_treated():
    # dcurves moves a risk of 0 below 0, so that its treat-none strategy holds at threshold 0
    y = [1, 0, 1, 0]
    rows = rows_of(decision_curve(y, {"m": [0.0, 0.0, 0.5, 0.1]}, thresholds=[0, 0.05]), "m")
    assert rows["net_benefit"][0] == pytest.approx(0.25)
    none = decision_curve(y, {"m": np.zeros(4)}, thresholds=[0, 0.05])
    assert (rows_of(none, "m")["net_benefit"] == 0).all()


def test_threshold_0_is_allowed_and_has_no_interventions_to_avoid():
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=[0, 0.5])
    rows = rows_of(curve, "noisy")
    assert rows["net_benefit"][0] == pytest.approx(y.mean())
    assert np.isnan(rows["interventions_avoided"][0])
    assert "threshold 0" in curve.summary()


def test_stated_prevalence_equal_to_the_observed_changes_nothing():
    y, risks = simulate()
    plain = decision_curve(y, risks, thresholds=HUNDREDTHS).frame()
    stated = decision_curve(y, risks, thresholds=HUNDREDTHS, prevalence=y.mean()).frame()
    pd.testing.assert_frame_equal(plain, stated)


def test_stated_prevalence_equals_weighting_the_cases():
    y, risks = simulate()
    stated = decision_curve(y, risks, thresholds=[0.2, 0.4], prevalence=0.1)
    weight = np.where(y == 1, 0.1 / y.mean(), 0.9 / (1 - y.mean()))
    positive = risks["sharp"] >= 0.4
    by_hand = (weight * positive * np.where(y == 1, 1, -0.4 / 0.6)).mean()
    assert rows_of(stated, "sharp")["net_benefit"][1] == pytest.approx(by_hand)


def test_harm_is_taken_from_the_model_alone():
    y, risks = simulate()
    free = decision_curve(y, risks, thresholds=[0.2, 0.4])
    costly = decision_curve(y, risks, thresholds=[0.2, 0.4], harm={"noisy": 0.02})
    lost = free.frame()["net_benefit"] - costly.frame()["net_benefit"]
    np.testing.assert_allclose(lost, [0, 0, 0.02, 0.02, 0, 0, 0, 0], atol=1e-15)
    both = decision_curve(y, risks, thresholds=[0.2, 0.4], harm=0.02)
    lost = free.frame()["net_benefit"] - both.frame()["net_benefit"]
    np.testing.assert_allclose(lost, [0.02] * 4 + [0] * 4, atol=1e-15)


def test_survival_curve_matches_a_loop():
    rng = np.random.default_rng(4)
    p = np.round(rng.uniform(0.05, 1, 200), 2)
    latent, censored = rng.exponential(1 / p), rng.uniform(0.2, 3, 200)
    times = np.round(np.minimum(latent, censored), 1)
    events = (latent <= censored).astype(int)
    at = [0.1, 0.3, 0.5, 0.95]
    curve = decision_curve_survival(times, events, {"m": p}, horizon=1.0, thresholds=at)
    expected = naive_survival_net_benefit(times, events, p, at, 1.0)
    np.testing.assert_allclose(rows_of(curve, "m")["net_benefit"], expected, atol=1e-12)


def test_survival_without_censoring_is_the_binary_curve():
    rng = np.random.default_rng(5)
    p = rng.uniform(0, 1, 150)
    times = rng.exponential(1 / (p + 0.1))
    survival = decision_curve_survival(
        times, np.ones(150), {"m": p}, horizon=1.0, thresholds=HUNDREDTHS
    )
    binary = decision_curve(times <= 1.0, {"m": p}, thresholds=HUNDREDTHS)
    pd.testing.assert_frame_equal(survival.frame(), binary.frame())


def simulate_competing(n=200, seed=8, *, censored=True):
    rng = np.random.default_rng(seed)
    p = np.round(rng.uniform(0.05, 0.95, n), 2)
    first, second = rng.exponential(1 / p), rng.exponential(2, n)
    end = rng.uniform(0.3, 4, n) if censored else np.full(n, np.inf)
    latent = np.stack([end, first, second])
    return np.round(latent.min(axis=0), 1), latent.argmin(axis=0), p


def test_competing_events_match_a_walk_through_the_days():
    times, events, p = simulate_competing()
    at = [0.1, 0.3, 0.5, 0.8]
    curve = decision_curve_survival(times, events, {"m": p}, horizon=1.2, thresholds=at)
    for t, row in zip(at, rows_of(curve, "m").itertuples(), strict=True):
        positive = p >= t
        risk = naive_cumulative_incidence(times[positive], events[positive], 1.2)
        expected = positive.mean() * (risk - (1 - risk) * t / (1 - t))
        assert row.net_benefit == pytest.approx(expected, abs=1e-12)
    assert curve.prevalence == pytest.approx(naive_cumulative_incidence(times, events, 1.2))
    assert curve.n_event == ((events == 1) & (times <= 1.2)).sum()


def test_competing_prevalence_is_that_of_lifelines():
    times, events, p = simulate_competing()
    times = times + np.random.default_rng(1).uniform(0, 1e-6, times.size)  # it breaks ties itself
    fitter = AalenJohansenFitter(calculate_variance=False)
    fitted = fitter.fit(times, events, event_of_interest=1).cumulative_density_
    curve = decision_curve_survival(times, events, {"m": p}, horizon=1.25, thresholds=[0.2])
    assert curve.prevalence == pytest.approx(fitted.loc[:1.25].iloc[-1, 0])


def test_competing_events_without_censoring_are_non_events():
    times, events, p = simulate_competing(censored=False)
    known = (events == 1) & (times <= 1.0)
    survival = decision_curve_survival(
        times, np.append(events[:-1], 0), {"m": p}, horizon=1.0, thresholds=HUNDREDTHS
    )
    binary = decision_curve(np.append(known[:-1], times[-1] < 0), {"m": p}, thresholds=HUNDREDTHS)
    assert times[-1] > 1.0
    pd.testing.assert_frame_equal(survival.frame(), binary.frame())


def test_treating_a_competing_event_as_censoring_overstates_the_benefit():
    times, events, p = simulate_competing(500)
    options = {"horizon": 1.2, "thresholds": [0.2, 0.4]}
    right = decision_curve_survival(times, events, {"m": p}, **options)
    wrong = decision_curve_survival(times, events == 1, {"m": p}, **options)
    assert (rows_of(wrong, "m")["net_benefit"] > rows_of(right, "m")["net_benefit"] + 0.01).all()


@pytest.mark.parametrize("cells", [1, 7, 40, 2**20])
def test_blocks_of_event_times_do_not_change_the_curve(monkeypatch, cells):
    times, events, p = simulate_competing()
    options = {"horizon": 1.2, "thresholds": [0.1, 0.5, 0.8]}
    whole = decision_curve_survival(times, events, {"m": p}, **options).frame()
    monkeypatch.setattr("usstats._decision.survival_benefit.BLOCK_CELLS", cells)
    again = decision_curve_survival(times, events, {"m": p}, **options).frame()
    pd.testing.assert_frame_equal(whole, again, rtol=1e-12)


def test_risk_beyond_the_follow_up_of_the_test_positives_is_undefined():
    # dcurves: NA where the last test positive leaves before the horizon
    times = [0.5, 0.7, 3.0, 3.0, 1.0, 3.0]
    events = [0, 1, 1, 0, 1, 0]
    p = [0.9, 0.9, 0.2, 0.3, 0.1, 0.1]
    options = {"horizon": 2.0, "thresholds": [0.05, 0.25, 0.5, 0.95]}
    with pytest.warns(SmallSampleWarning, match=r"`?m is undefined \(NaN\) at 1 of 4 thresholds"):
        curve = decision_curve_survival(times, events, {"m": p}, **options)
    assert np.isnan(rows_of(curve, "m")["net_benefit"]).tolist() == [False, False, True, False]
    assert rows_of(curve, "m")["net_benefit"][3] == 0
    assert "nobody above was followed" in curve.summary()


def test_test_positives_who_all_had_the_event_are_known():
    times, events, p = [0.5, 0.7, 3.0, 3.0], [1, 1, 0, 0], [0.9, 0.9, 0.2, 0.3]
    curve = decision_curve_survival(times, events, {"m": p}, horizon=2.0, thresholds=[0.5])
    assert rows_of(curve, "m")["net_benefit"][0] == pytest.approx(0.5)


def test_limits_are_left_out_where_few_resamples_have_a_risk():
    rng = np.random.default_rng(2)
    p = np.append(rng.uniform(0, 0.5, 57), [0.9, 0.9, 0.9])
    times = np.append(rng.uniform(0.2, 4, 57), [2.5, 0.5, 0.6])
    events = np.append(rng.integers(0, 2, 57), [0, 0, 0])
    options = {"horizon": 2.0, "thresholds": [0.2, 0.8], "ci": "bootstrap", "seed": 1}
    with pytest.warns(FailedResamplesWarning, match="at thresholds from 0.8: no limits"):
        curve = decision_curve_survival(times, events, {"m": p}, n_boot=100, **options)
    rows = rows_of(curve, "m")
    assert np.isfinite(rows["net_benefit"]).all()
    assert np.isfinite(rows["conf_low"]).tolist() == [True, False]
    assert curve.n_failed == 0
    gap = curve.difference("m", "treat_all").frame()
    assert np.isfinite(gap["conf_high"]).tolist() == [True, False]


def test_rates_say_what_each_strategy_does():
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=[0.3])
    positive = risks["noisy"] >= 0.3
    rates = rates_of(curve, "noisy").iloc[0]
    assert rates["test_positive"] == pytest.approx(positive.mean())
    assert rates["sensitivity"] == pytest.approx(positive[y == 1].mean())
    assert rates["specificity"] == pytest.approx(1 - positive[y == 0].mean())
    nobody = rates_of(curve, "treat_none").iloc[0]
    assert (nobody["test_positive"], nobody["sensitivity"], nobody["specificity"]) == (0, 0, 1)


def test_interventions_avoided_per_100_patients():
    # dcurves::net_intervention_avoided(nper = 100); true negatives less false negatives at odds
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=[0, 0.2], ci="bootstrap", n_boot=60, seed=4)
    table = curve.interventions_avoided()
    row = table[(table["model"] == "noisy") & (table["threshold_probability"] == 0.2)].iloc[0]
    negative = risks["noisy"] < 0.2
    expected = 100 * ((negative & (y == 0)).mean() - (negative & (y == 1)).mean() * 0.8 / 0.2)
    assert row["interventions_avoided"] == pytest.approx(expected)
    assert row["conf_low"] < expected < row["conf_high"]
    assert table["interventions_avoided"].isna().sum() == 4
    gap = curve.difference("noisy", "treat_all").frame().iloc[1]
    assert row["conf_high"] == pytest.approx(400 * gap["conf_high"])
    one = curve.interventions_avoided(per=1)["interventions_avoided"]
    pd.testing.assert_series_equal(one, curve.frame()["interventions_avoided"])
    with pytest.raises(ArgumentError, match="`per` must be a positive number of patients; got 0"):
        curve.interventions_avoided(per=0)


def test_survival_takes_risk_and_not_survival():
    case = load_case("dca_survival")
    data = case.table()
    arguments = (data["ttcancer"], data["cancer"])
    right, wrong = (
        decision_curve_survival(*arguments, {"m": p}, horizon=1.5, thresholds=[0.2])
        for p in (data["cancerpredmarker"], 1 - data["cancerpredmarker"])
    )
    assert rows_of(right, "m")["net_benefit"][0] > rows_of(wrong, "m")["net_benefit"][0] + 0.05


# --- intervals -----------------------------------------------------------------------------------


def test_bootstrap_limits_match_a_loop_over_the_draws():
    y, risks = simulate(80)
    draws = np.random.default_rng(6).integers(0, 80, (40, 80))
    at = [0.2, 0.5]
    curve = decision_curve(y, risks, thresholds=at, ci="bootstrap", resamples=draws)
    each = [naive_net_benefit(y[row], risks["noisy"][row], at) for row in draws]
    expected = np.quantile(each, [0.025, 0.975], axis=0)
    rows = rows_of(curve, "noisy")
    np.testing.assert_allclose(rows[["conf_low", "conf_high"]].T, expected, atol=1e-14)
    assert (rows_of(curve, "treat_none")[["conf_low", "conf_high"]] == 0).all(axis=None)


def test_survival_bootstrap_matches_the_curve_of_each_draw():
    rng = np.random.default_rng(7)
    times, events, p = rng.exponential(1, 60), rng.integers(0, 2, 60), rng.random(60)
    draws = rng.integers(0, 60, (25, 60))
    options = {"horizon": 0.8, "thresholds": [0.2, 0.6]}
    curve = decision_curve_survival(
        times, events, {"m": p}, ci="bootstrap", resamples=draws, **options
    )
    each = [
        naive_survival_net_benefit(times[row], events[row], p[row], [0.2, 0.6], 0.8)
        for row in draws
    ]
    got = rows_of(curve, "m")[["conf_low", "conf_high"]].T
    np.testing.assert_allclose(got, np.quantile(each, [0.025, 0.975], axis=0), atol=1e-12)


def test_patients_are_resampled_whole():
    y, risks = simulate(200)
    patient = np.arange(200) // 5
    curve = decision_curve(
        y, risks, thresholds=[0.3], ci="bootstrap", cluster=patient, n_boot=60, seed=9
    )
    draws = Resamples.draw(200, n_boot=60, seed=9, cluster=patient)
    each = [naive_net_benefit(y[row], risks["sharp"][row], [0.3])[0] for row in draws]
    rows = rows_of(curve, "sharp")
    np.testing.assert_allclose(
        rows[["conf_low", "conf_high"]].to_numpy()[0], np.quantile(each, [0.025, 0.975])
    )
    assert curve.n_cluster == 40
    assert "patient (40 clusters)" in repr(curve)


def test_case_control_resamples_keep_the_numbers_of_cases():
    y, risks = simulate()
    curve = decision_curve(
        y, risks, thresholds=[0.3], prevalence=0.1, ci="bootstrap", n_boot=50, seed=1
    )
    everybody = rows_of(curve, "treat_all").iloc[0]
    assert everybody["conf_low"] == pytest.approx(everybody["conf_high"])
    assert curve.n_failed == 0


def test_difference_is_paired():
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=[0.2, 0.4], ci="bootstrap", n_boot=200, seed=3)
    gap, back = curve.difference("sharp", "noisy"), curve.difference("noisy", "sharp")
    frame = gap.frame()
    expected = rows_of(curve, "sharp")["net_benefit"] - rows_of(curve, "noisy")["net_benefit"]
    np.testing.assert_allclose(frame["estimate"], expected)
    np.testing.assert_allclose(frame["conf_low"], -back.frame()["conf_high"])
    width = (frame["conf_high"] - frame["conf_low"]).to_numpy()
    apart = sum(
        (rows_of(curve, name)["conf_high"] - rows_of(curve, name)["conf_low"]).to_numpy()
        for name in risks
    )
    assert (width < apart).all()
    assert (curve.difference("sharp", "sharp").frame()["conf_high"] == 0).all()
    assert "sharp minus noisy" in repr(gap)
    with pytest.raises(ArgumentError, match="`model_2` must be one of 'sharp', 'noisy'"):
        curve.difference("sharp", "nobody")


def test_difference_without_resamples_has_no_limits():
    y, risks = simulate()
    table = decision_curve(y, risks, thresholds=[0.2]).difference("sharp", "treat_all").frame()
    assert table.columns.tolist() == ["threshold_probability", "model_1", "model_2", "estimate"]


def test_no_p_value_is_ever_offered():
    y, risks = simulate()
    curve = decision_curve(y, risks, thresholds=[0.2], ci="bootstrap", n_boot=20, seed=1)
    columns = [*curve.frame(), *curve.difference("sharp", "noisy").frame()]
    assert "p_value" not in columns
    assert curve.frame().columns.tolist() == [
        "model",
        "threshold_probability",
        "net_benefit",
        "standardized_net_benefit",
        "interventions_avoided",
        "conf_low",
        "conf_high",
    ]


def test_chunks_do_not_change_the_digits(monkeypatch):
    y, risks = simulate()
    options = {"thresholds": [0.2, 0.4], "ci": "bootstrap", "n_boot": 40, "seed": 2}
    whole = decision_curve(y, risks, **options).frame()
    monkeypatch.setattr(Resamples, "chunks", lambda self: ((i, i + 7) for i in range(0, 40, 7)))
    pd.testing.assert_frame_equal(whole, decision_curve(y, risks, **options).frame())


def large_sample(n=100_000):
    rng = np.random.default_rng(0)
    risks = {name: rng.random(n) for name in "abc"}
    return rng.random(n) < risks["a"], risks


@pytest.mark.slow
def test_speed():
    y, risks = large_sample()
    start = time.perf_counter()
    decision_curve(y, risks, thresholds=HUNDREDTHS)
    assert time.perf_counter() - start < 0.1
    few = {name: p[:10_000] for name, p in risks.items()}
    start = time.perf_counter()
    decision_curve(y[:10_000], few, thresholds=HUNDREDTHS, ci="bootstrap", n_boot=1000, seed=1)
    assert time.perf_counter() - start < 5
    times = np.random.default_rng(1).exponential(2, 1000)
    small = {name: p[:1000] for name, p in risks.items()}
    start = time.perf_counter()
    decision_curve_survival(times, y[:1000], small, horizon=1.5, thresholds=HUNDREDTHS)
    assert time.perf_counter() - start < 0.07


@pytest.mark.slow
@pytest.mark.parametrize("ci", [None, "bootstrap"])
def test_memory(ci):
    y, risks = large_sample()
    times = np.random.default_rng(1).exponential(2, y.size)
    tracemalloc.start()
    if ci:
        decision_curve(y, risks, thresholds=HUNDREDTHS, ci=ci, n_boot=2000, seed=1)
    else:
        decision_curve_survival(times, y, risks, horizon=1.5, thresholds=HUNDREDTHS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5e9


# --- what is refused ---------------------------------------------------------------------------


def test_threshold_1_is_left_out_with_a_warning():
    y, risks = simulate()
    with pytest.warns(UsstatsWarning, match="Threshold 1 was left out"):
        curve = decision_curve(y, risks, thresholds=[0.5, 1.0])
    assert curve.frame()["threshold_probability"].unique().tolist() == [0.5]
    assert "Threshold 1 was left out" in curve.summary()


@pytest.mark.parametrize(
    ("thresholds", "error", "message"),
    [
        ([0.1, 1.2], RiskError, r"must lie in \[0, 1\); 1 of 2 do not \(first: 1.2\)"),
        ([5, 10], RiskError, "divide by 100"),
        ([-0.1, 0.2], RiskError, r"\(first: -0.1\)"),
        ([0.1, np.nan], RiskError, "`thresholds` must be finite"),
        ([], RiskError, "`thresholds` is empty"),
        ([1.0], RiskError, "no threshold below 1"),
        ([0.3, 0.2], ArgumentError, "ascend without duplicates; 0.2 does not"),
        ([0.2, 0.2], ArgumentError, "ascend without duplicates; 0.2 does not"),
    ],
)
@pytest.mark.filterwarnings("ignore:Threshold 1")
def test_bad_thresholds_are_refused(thresholds, error, message):
    y, risks = simulate()
    with pytest.raises(error, match=message):
        decision_curve(y, risks, thresholds=thresholds)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": [1, 1, 1]}, OutcomeError, "holds only events"),
        ({"risks": {"m": [0.1, np.nan, 0.2]}}, RiskError, "`m` must be finite; 1 of 3"),
        ({"risks": {"m": [10, 20, 30]}}, RiskError, "divide by 100"),
        ({"risks": {"m": [0.1, 0.2]}}, PairingError, "`m` has 2"),
        ({"risks": [0.1, 0.2, 0.3]}, ArgumentError, "must map model names"),
        ({"risks": {"treat_all": [0.1, 0.2, 0.3]}}, ArgumentError, "reference strategy"),
        ({"y": [1, 2, 1]}, OutcomeError, r"must be 0/1 or bool; it holds \[1, 2\]"),
        ({"y": ["a", "b", "a"]}, OutcomeError, "say which one is the event"),
        ({"y": [0, 1, None]}, OutcomeError, "1 missing outcomes"),
        ({"risks": {}}, ArgumentError, "must map model names"),
        ({"risks": {"m": [0.1, None, 0.2]}}, RiskError, "`m` must be finite; 1 of 3"),
        ({"prevalence": 20}, ArgumentError, r"`prevalence` must be a number inside \(0, 1\)"),
        ({"prevalence": "20 %"}, ArgumentError, "`prevalence` must be a number"),
        ({"harm": "none"}, ArgumentError, "`harm` must be finite and not negative; got 'none'"),
        ({"ci": "bootstrap", "seed": 1, "n_boot": 0}, ArgumentError, "`n_boot` must be a whole"),
        ({"harm": {"x": 0.1}}, ArgumentError, "`harm` names 'x'"),
        ({"harm": -0.1}, ArgumentError, "`harm` must be finite and not negative"),
        ({"ci": "delong"}, ArgumentError, "`ci` must be one of None, 'bootstrap'"),
        ({"ci": "bootstrap", "seed": -1}, ArgumentError, "`seed` must be a whole number"),
        ({"cluster": [1]}, PairingError, "`cluster` has 1"),
    ],
)
def test_bad_input_is_refused_with_advice(change, error, message):
    arguments = {"y": [0, 1, 1], "risks": {"m": [0.1, 0.2, 0.3]}, "thresholds": [0.2]} | change
    y, risks = arguments.pop("y"), arguments.pop("risks")
    with pytest.raises(error, match=message):
        decision_curve(y, risks, **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"horizon": 9}, ArgumentError, "not after the end of follow-up"),
        ({"horizon": 0}, ArgumentError, "`horizon` must be positive"),
        ({"horizon": 0.5}, OutcomeError, "No event happens by the horizon"),
        ({"time": [-1.0, 2, 3]}, ArgumentError, "`time` must not be negative; 1 values are"),
        ({"event": [0, 1, 3]}, OutcomeError, "`event` must be 0/1"),
        ({"event": [1, 2, 1]}, OutcomeError, "holds 1 and 2 but no 0"),
        ({"event": ["0", "1", "1"]}, OutcomeError, "`event` holds labels"),
        ({"event": [0, 1, None]}, OutcomeError, "1 missing"),
        ({"time": [1.0, np.nan, 3]}, RiskError, "`time` must be finite"),
        ({"horizon": np.nan}, ArgumentError, "`horizon` must be positive"),
        ({"horizon": "2"}, ArgumentError, "`horizon` must be positive"),
        ({"event": [0, 1]}, PairingError, "`time` has 3, `event` has 2"),
    ],
)
def test_bad_follow_up_is_refused(change, error, message):
    given_ = {"time": [1.0, 2, 3], "event": [1, 0, 1], "horizon": 2.0} | change
    times, events, horizon = given_["time"], given_["event"], given_["horizon"]
    with pytest.raises(error, match=message):
        decision_curve_survival(
            times, events, {"m": [0.1, 0.2, 0.3]}, horizon=horizon, thresholds=[0.2]
        )


def test_arrays_of_a_decision_curve_are_read_only():
    curve = decision_curve(
        [0, 1, 0, 1], {"m": [0.2, 0.7, 0.4, 0.9]}, thresholds=[0.1, 0.3], ci="bootstrap", n_boot=20
    )
    for array in (curve.thresholds, curve._net_benefit, curve._replicates):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.5
