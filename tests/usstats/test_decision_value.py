"""EVPI and P(useful) against loops over patients, simulation, closed forms and laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from usstats._decision.information import from_normal, from_replicates
from usstats.decision import decision_curve, decision_curve_survival
from usstats.decision_value import ValueOfInformation, value_of_information
from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    ResampleError,
    RiskError,
    UsstatsWarning,
)

AT = np.array([0.1, 0.3, 0.5, 0.7])
METHODS = ("bayesian_bootstrap", "asymptotic")


def simulate(n=200, seed=1):
    rng = np.random.default_rng(seed)
    lp = rng.normal(-0.5, 1, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-lp))).astype(int)
    return y, {"sharp": 1 / (1 + np.exp(-lp)), "noise": rng.uniform(0, 1, n)}


def evaluate(y, risks, *, method="bayesian_bootstrap", **options):
    drawn = {"n_boot": 300, "seed": 5} if method == "bayesian_bootstrap" else {}
    return value_of_information(y, risks, method=method, **{"thresholds": AT} | drawn | options)


def rows_of(found, model):
    frame = found.frame()
    return frame[frame["model"] == model].reset_index(drop=True)


def weighted_net_benefit(y, p, t, w):
    """A loop over patients that carry weights; (model, treat all, treat none)."""
    model = everybody = total = 0.0
    for outcome, risk, weight in zip(y, p, w, strict=True):
        gain = weight * (1 if outcome else -t / (1 - t))
        model += gain if risk >= t else 0.0
        everybody += gain
        total += weight
    return model / total, everybody / total, 0.0


def patient_weights(seed, i, patients):
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(i + 1)[i])
    return rng.exponential(size=len(set(patients)))[patients]


# --- a second implementation -------------------------------------------------------------------


@pytest.mark.parametrize("clustered", [False, True])
def test_bayesian_bootstrap_matches_a_loop_over_patients(clustered):
    y, risks = simulate(60)
    patients = np.arange(60) // 3 if clustered else np.arange(60)
    options = {"thresholds": [0.3, 0.5], "n_boot": 40, "seed": 9}
    found = value_of_information(y, risks, cluster=patients if clustered else None, **options)
    for name, p in risks.items():
        for t, row in zip((0.3, 0.5), rows_of(found, name).itertuples(), strict=True):
            now = weighted_net_benefit(y, p, t, np.ones(60))
            draws = np.array(
                [weighted_net_benefit(y, p, t, patient_weights(9, i, patients)) for i in range(40)]
            )
            regret = draws.max(axis=1) - draws[:, np.argmax(now)]
            assert row.net_benefit == pytest.approx(now[0])
            assert row.evpi == pytest.approx(regret.mean(), abs=1e-14)
            assert row.p_useful == (draws[:, 0] > draws[:, 1:].max(axis=1)).mean()
            assert row.best == (name, "treat_all", "treat_none")[np.argmax(now)]


@pytest.mark.parametrize("seed", range(4))
def test_normal_law_matches_simulation(seed):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(2, 2)) * 0.02
    mean, covariance = np.append(rng.normal(0, 0.02, 2), 0), np.zeros((3, 3))
    covariance[:2, :2] = half @ half.T
    draws = np.zeros((400_000, 3))
    draws[:, :2] = rng.multivariate_normal(mean[:2], covariance[:2, :2], len(draws))
    evpi, p_useful = from_normal(mean, covariance)
    assert evpi == pytest.approx(draws.max(axis=1).mean() - mean.max(), abs=1e-4)
    assert p_useful == pytest.approx((draws.argmax(axis=1) == 0).mean(), abs=3e-3)


def test_normal_law_of_two_strategies_is_the_unit_normal_loss():
    # treat_all is hopeless: E max(0, X) - max(0, E X) of one normal
    covariance = np.diag([0.02**2, 1e-6, 0.0])
    evpi, p_useful = from_normal(np.array([0.01, -5.0, 0.0]), covariance)
    assert evpi == pytest.approx(0.02 * stats.norm.pdf(0.5) - 0.01 * stats.norm.sf(0.5))
    assert p_useful == pytest.approx(stats.norm.cdf(0.5))


def test_covariance_of_the_normal_law_is_that_of_the_means():
    # Sadatsafavi et al. (2023), appendix: moments from prevalence, sensitivity, 1 - specificity
    y, risks = simulate(400)
    p, t, n = risks["sharp"], 0.3, 400
    price, rho, positive = t / (1 - t), y.mean(), p >= t
    tpr, fpr = positive[y == 1].mean(), positive[y == 0].mean()
    tp, fp = rho * tpr, (1 - rho) * fpr
    first = (tp * (1 - tp) + price**2 * fp * (1 - fp) + 2 * price * tp * fp) / n
    second = (1 + price) ** 2 * rho * (1 - rho) / n
    both = rho * (1 - rho) * (1 + price) * (tpr + price * fpr) / n
    mean = np.array([tp - price * fp, rho - price * (1 - rho), 0.0])
    covariance = np.array([[first, both, 0], [both, second, 0], [0, 0, 0]])
    row = rows_of(evaluate(y, risks, method="asymptotic", thresholds=[t]), "sharp").iloc[0]
    assert (row["evpi"], row["p_useful"]) == pytest.approx(from_normal(mean, covariance))


def test_both_methods_agree_in_a_large_sample():
    y, risks = simulate(10_000, seed=3)
    options = {"thresholds": [0.06, 0.08, 0.2, 0.6]}
    drawn = evaluate(y, risks, n_boot=4000, **options).frame()
    normal = evaluate(y, risks, method="asymptotic", **options).frame()
    np.testing.assert_allclose(drawn["p_useful"], normal["p_useful"], atol=0.03)
    np.testing.assert_allclose(drawn["evpi"], normal["evpi"], atol=1.5e-4)
    assert normal["p_useful"].between(0.1, 0.9).any()


def test_ordinary_bootstrap_of_the_curve_agrees_with_the_bayesian_one():
    y, risks = simulate(500, seed=4)
    curve = decision_curve(y, risks, thresholds=AT, ci="bootstrap", n_boot=1500, seed=1)
    ordinary, bayesian = curve.value_of_information(), evaluate(y, risks, n_boot=1500)
    assert ordinary.method == "bootstrap"
    assert (ordinary.n_boot, ordinary.seed) == (1500, 1)
    np.testing.assert_allclose(ordinary.frame()["evpi"], bayesian.frame()["evpi"], atol=6e-4)
    np.testing.assert_allclose(
        ordinary.frame()["p_useful"], bayesian.frame()["p_useful"], atol=0.06
    )


def test_stated_prevalence_keeps_cases_and_controls_apart():
    y, risks = simulate(1500)
    options = {"prevalence": 0.1, "thresholds": [0.05, 0.1, 0.2, 0.4]}
    drawn = evaluate(y, risks, n_boot=4000, **options)
    normal = evaluate(y, risks, method="asymptotic", **options)
    curve = decision_curve(y, risks, **options)
    plain = curve.frame().query("model in ['sharp', 'noise']")
    np.testing.assert_allclose(drawn.frame()["net_benefit"], plain["net_benefit"])
    np.testing.assert_allclose(drawn.frame()["p_useful"], normal.frame()["p_useful"], atol=0.05)
    np.testing.assert_allclose(drawn.frame()["evpi"], normal.frame()["evpi"], atol=5e-4)


# --- laws --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_ranges(method, seed):
    y, risks = simulate(80, seed)
    frame = evaluate(y, risks, method=method, thresholds=np.arange(0, 100) / 100).frame()
    assert (frame["evpi"] >= 0).all()
    assert frame["p_useful"].between(0, 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_information_runs_out_as_the_sample_grows(method):
    small, large = (
        rows_of(evaluate(*simulate(n), method=method, thresholds=[0.2]), "sharp").iloc[0]
        for n in (80, 50_000)
    )
    assert large["evpi"] < 1e-9 < 1e-4 < small["evpi"]
    assert small["p_useful"] < 0.99 < large["p_useful"]


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_a_patient_add_no_information(method):
    y, risks = simulate(90)
    once = evaluate(y, risks, method=method)
    copies = {name: np.repeat(p, 4) for name, p in risks.items()}
    again = evaluate(np.repeat(y, 4), copies, method=method, cluster=np.repeat(np.arange(90), 4))
    pd.testing.assert_frame_equal(once.frame(), again.frame())
    believed = evaluate(np.repeat(y, 4), copies, method="asymptotic").frame()
    assert believed["evpi"].sum() < 0.7 * once.frame()["evpi"].sum()


@pytest.mark.parametrize("method", METHODS)
def test_another_model_changes_no_row(method):
    y, risks = simulate()
    alone = evaluate(y, {"sharp": risks["sharp"]}, method=method)
    together = rows_of(evaluate(y, risks, method=method), "sharp")
    pd.testing.assert_frame_equal(alone.frame(), together)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_copies_a_reference_is_not_useful(method):
    y, _ = simulate()
    copies = {"everybody": np.ones(y.size), "nobody": np.zeros(y.size)}
    frame = evaluate(y, copies, method=method).frame()
    assert (frame["p_useful"] == 0).all()
    assert frame["best"].isin(["treat_all", "treat_none"]).all()
    pairs = [rows["evpi"].to_numpy() for _, rows in frame.groupby("model")]
    np.testing.assert_allclose(*pairs, atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_model_is_useful_beyond_doubt(method):
    y, _ = simulate()
    frame = evaluate(y, {"oracle": y.astype(float)}, method=method).frame()
    np.testing.assert_allclose(frame["p_useful"], 1)
    np.testing.assert_allclose(frame["evpi"], 0, atol=1e-12)
    assert (frame["best"] == "oracle").all()


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_model_of_a_stated_prevalence_leaves_nothing_to_learn(method):
    y, _ = simulate()
    frame = evaluate(y, {"oracle": y.astype(float)}, method=method, prevalence=0.2).frame()
    assert (frame["p_useful"] == 1).all()
    np.testing.assert_allclose(frame["evpi"], 0, atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_harm_lowers_what_a_model_is_worth(method):
    y, risks = simulate()
    free = rows_of(evaluate(y, risks, method=method), "sharp")
    costly = rows_of(evaluate(y, risks, method=method, harm={"sharp": 0.02}), "sharp")
    np.testing.assert_allclose(free["net_benefit"] - costly["net_benefit"], 0.02)
    assert (costly["p_useful"] <= free["p_useful"]).all()
    never = rows_of(evaluate(y, risks, method=method, harm=1.0), "sharp")
    assert (never["p_useful"] == 0).all()


def test_replicates_that_could_not_be_evaluated_are_left_out():
    replicates = np.array([[[0.2], [0.1], [0.0]], [[np.nan], [0.1], [0.0]], [[0.1], [0.3], [0.0]]])
    found = from_replicates(np.array([[0.2], [0.1], [0.0]]), replicates)
    assert found.evpi.tolist() == [pytest.approx(0.1)]
    assert found.p_useful.tolist() == [0.5]


def test_survival_curve_has_its_value_of_information():
    rng = np.random.default_rng(6)
    p = rng.uniform(0.05, 0.95, 150)
    times, end = rng.exponential(1 / p), rng.uniform(0.5, 4, 150)
    curve = decision_curve_survival(
        np.minimum(times, end), times <= end, {"m": p}, horizon=1.0,
        thresholds=[0.2, 0.4], ci="bootstrap", n_boot=200, seed=1,
    )  # fmt: skip
    frame = curve.value_of_information().frame()
    assert (frame["evpi"] >= 0).all()
    assert frame["p_useful"].between(0.5, 1).all()


def test_the_seed_settles_the_digits_and_chunks_do_not(monkeypatch):
    y, risks = simulate()
    once = evaluate(y, risks, n_boot=60)
    pd.testing.assert_frame_equal(once.frame(), evaluate(y, risks, n_boot=60).frame())
    monkeypatch.setattr(
        "usstats.resample.Resamples.chunks", lambda self: ((i, i + 7) for i in range(0, 60, 7))
    )
    pd.testing.assert_frame_equal(once.frame(), evaluate(y, risks, n_boot=60).frame())


def test_result_explains_itself():
    y, risks = simulate()
    found = evaluate(y, risks, cluster=np.arange(200) // 2)
    assert isinstance(found, ValueOfInformation)
    assert repr(found) == (
        f"<Value of information: sharp, noise; n = 200, events = {y.sum()}, unit: patient "
        "(100 clusters), bayesian_bootstrap (300 replicates)>"
    )
    assert "sharp: P(useful)" in found.summary()
    assert found.frame().columns.tolist() == [
        "model",
        "threshold_probability",
        "net_benefit",
        "best",
        "evpi",
        "p_useful",
    ]
    normal = evaluate(y, risks, method="asymptotic")
    assert (normal.n_boot, normal.seed) == (None, None)


# --- what is refused ---------------------------------------------------------------------------


def test_threshold_1_is_left_out_with_a_warning():
    y, risks = simulate()
    with pytest.warns(UsstatsWarning, match="Threshold 1 was left out"):
        found = evaluate(y, risks, method="asymptotic", thresholds=[0.5, 1.0])
    assert found.frame()["threshold_probability"].unique().tolist() == [0.5]


def test_a_curve_without_resamples_has_none():
    y, risks = simulate()
    with pytest.raises(ArgumentError, match="make it with ci='bootstrap' and a seed"):
        decision_curve(y, risks, thresholds=AT).value_of_information()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": [1, 1, 1]}, OutcomeError, "holds only events"),
        ({"y": [1, 2, 2]}, OutcomeError, "must be 0/1 or bool"),
        ({"risks": {}}, ArgumentError, "must map model names"),
        ({"risks": {"m": [0.1, np.nan, 0.2]}}, RiskError, "`m` must be finite; 1 of 3"),
        ({"risks": {"m": [0.1, 0.2]}}, PairingError, "`m` has 2"),
        ({"risks": {"treat_none": [0.1, 0.2, 0.3]}}, ArgumentError, "reference strategy"),
        ({"thresholds": [0.1, 1.2]}, RiskError, r"must lie in \[0, 1\)"),
        ({"method": "mcmc"}, ArgumentError, "`method` must be one of 'bayesian_bootstrap'"),
        ({"n_boot": 0}, ArgumentError, "`n_boot` must be a whole number from 2"),
        ({"seed": -1}, ArgumentError, "`seed` must be a whole number"),
        ({"prevalence": 0}, ArgumentError, "`prevalence` must be a number inside"),
        ({"harm": -1}, ArgumentError, "`harm` must be finite and not negative"),
        ({"cluster": [1]}, PairingError, "`cluster` has 1"),
        ({"cluster": [1, 1, 1]}, ResampleError, "`cluster` names one patient"),
        ({"cluster": [1, 1, 1], "method": "asymptotic"}, ResampleError, "names one patient"),
    ],
)
def test_bad_input_is_refused_with_advice(change, error, message):
    arguments = {
        "y": [0, 1, 1], "risks": {"m": [0.1, 0.2, 0.3]}, "thresholds": [0.2], "seed": 1
    } | change  # fmt: skip
    y, risks = arguments.pop("y"), arguments.pop("risks")
    with pytest.raises(error, match=message):
        value_of_information(y, risks, **arguments)
