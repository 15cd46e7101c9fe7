"""NRI and IDI against Hmisc, PredictABEL and nricens, against loops, and against their laws."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from tests.reference import load_case
from usstats._fits.newton import newton_logistic
from usstats.decision import decision_curve
from usstats.delong import compare_auc
from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    ResampleError,
    RiskError,
    SmallSampleWarning,
)
from usstats.reclassification import ReclassificationWarning, reclassify
from usstats.resample import bootstrap

NUMBERS = ["estimate", "std_error", "conf_low", "conf_high"]


def rows(result):
    return result.frame().set_index("measure")


def simulate(n, seed):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    y = (rng.random(n) < special.expit(x + z - 0.3)).astype(int)
    return y, special.expit(0.8 * x - 0.2), special.expit(x + 0.9 * z - 0.3)


@pytest.fixture(scope="module")
def cohort():
    return simulate(400, 3)


# --- values from R -----------------------------------------------------------------------------


def test_continuous_nri_and_idi_match_improve_prob():
    # Hmisc::improveProb(p1, p2, y)
    case = load_case("reclass_appx_improveprob")
    data = case.table()
    result = reclassify(data["y"], data["p1"], data["p2"])
    case.check(result.n, "n")
    case.check(result.n_event, "na")
    case.check(result.n - result.n_event, "nb")
    share = result.movements().set_index(["group", "movement"])["share"]
    for path, key in (("ev", "event"), ("ne", "non_event")):
        case.check(share[key, "up"], f"pup_{path}")
        case.check(share[key, "down"], f"pdown_{path}")
    table = rows(result)
    paths = {"nri": "nri", "nri_events": "nri_ev", "nri_nonevents": "nri_ne", "idi": "idi"}
    for measure, path in paths.items():
        case.check(table.loc[measure, "estimate"], path)
        case.check(table.loc[measure, "std_error"], f"se_{path}")
        case.check(table.loc[measure, "statistic"], f"z_{path}")
    case.check(table.loc["idi_events", "estimate"], "improveSens")
    case.check(table.loc["idi_nonevents", "estimate"], "improveSpec")
    # R's p values follow from the statistic; the frame holds none (R08).
    for measure in ("nri", "idi"):
        case.check(2 * stats.norm.sf(table.loc[measure, "statistic"]), f"p_{measure}")


def test_categorical_nri_matches_predictabel_and_nricens():
    # PredictABEL::reclassification(cutoff = c(0, .4, .6, 1)); nricens::nribin(cut = c(.4, .6))
    case = load_case("reclass_appx_categorical")
    data = case.table()
    result = reclassify(data["y"], data["p1"], data["p2"], cutoffs=case.inputs["cut"])
    for name, path in (("event", "table_events"), ("non_event", "table_nonevents")):
        case.check(result.table(name), f"predictabel.{path}")
    assert result.table("event").index.tolist() == case.expected["predictabel"]["categories"]
    table = rows(result)
    case.check(table.loc["nri", "estimate"], "predictabel.nri")
    case.check(table.loc["nri", "std_error"], "predictabel.se")
    case.check(table.loc["nri", "statistic"], "predictabel.z")
    case.check(2 * stats.norm.sf(table.loc["nri", "statistic"]), "predictabel.p")
    # PredictABEL's limits are at 1.96, not at qnorm(.975)
    by_hand = table.loc["nri", "estimate"] + np.array([-1.96, 1.96]) * table.loc["nri", "std_error"]
    case.check(by_hand, "predictabel.ci")
    np.testing.assert_allclose(
        table.loc["nri", ["conf_low", "conf_high"]].astype(float), by_hand, atol=1e-5
    )
    case.check(table.loc["nri_events", "estimate"], "predictabel.nri_events")
    case.check(table.loc["nri_nonevents", "estimate"], "predictabel.nri_nonevents")
    share = result.movements().set_index(["group", "movement"])["share"]
    for move in ("up", "down"):
        case.check(share["event", move], f"predictabel.p_{move}_event")
        case.check(share["non_event", move], f"predictabel.p_{move}_nonevent")
    case.check(nribin(result), "nribin_category.estimate")


def test_a_least_change_matches_nricens():
    # nricens::nribin(updown = "diff", cut = .05)
    case = load_case("reclass_appx_categorical")
    data = case.table()
    result = reclassify(data["y"], data["p1"], data["p2"], min_change=0.05)
    case.check(nribin(result), "nribin_diff_0.05.estimate")


def nribin(result):
    """nricens's rows: NRI, NRI+, NRI-, Pr(Up|Case), Pr(Down|Case), Pr(Down|Ctrl), Pr(Up|Ctrl)."""
    table = rows(result)["estimate"]
    share = result.movements().set_index(["group", "movement"])["share"]
    return [
        *table[["nri", "nri_events", "nri_nonevents"]],
        share["event", "up"],
        share["event", "down"],
        share["non_event", "down"],
        share["non_event", "up"],
    ]


# --- second implementations ------------------------------------------------------------------


def counted_nri(y, old, new, cutoffs):
    """By counting, one patient at a time."""
    ups = {0: 0, 1: 0}
    for outcome, a, b in zip(y, old, new, strict=True):
        before, after = (sum(p >= cut for cut in cutoffs) for p in (a, b))
        ups[outcome] += int(after > before) - int(after < before)
    return ups[1] / sum(y) - ups[0] / (len(y) - sum(y))


@pytest.mark.parametrize("cutoffs", [[0.5], [0.2, 0.4], [0.1, 0.3, 0.5, 0.7]])
def test_categorical_nri_is_what_counting_gives(cohort, cutoffs):
    result = reclassify(*cohort, cutoffs=cutoffs)
    assert rows(result).loc["nri", "estimate"] == pytest.approx(counted_nri(*cohort, cutoffs))
    table = result.table()
    assert len(table) == 2 * (len(cutoffs) + 1) ** 2
    assert table["n"].sum() == 400
    shares = table.groupby(["group", "old"])[["n", "share"]].sum()
    np.testing.assert_allclose(shares["share"], np.where(shares["n"] > 0, 1, 0))


def test_idi_is_the_difference_of_discrimination_slopes(cohort):
    y, old, new = cohort
    slopes = [p[y == 1].mean() - p[y == 0].mean() for p in (new, old)]
    assert rows(reclassify(*cohort)).loc["idi", "estimate"] == pytest.approx(slopes[0] - slopes[1])


def test_the_company_of_the_nri_is_computed_elsewhere_too(cohort):
    y, old, new = cohort
    result = reclassify(*cohort, cutoffs=[0.2, 0.5])
    area = compare_auc(y, {"new": new, "old": old}).frame().iloc[0]
    got = rows(result)
    np.testing.assert_allclose(
        got.loc["auc_change", NUMBERS].astype(float), area[NUMBERS].astype(float)
    )
    curve = decision_curve(y, {"new": new, "old": old}, thresholds=[0.2, 0.5])
    benefit = result.frame().query("measure == 'net_benefit_difference'")
    assert benefit["threshold_probability"].tolist() == [0.2, 0.5]
    np.testing.assert_allclose(
        benefit["estimate"], curve.difference("new", "old").frame()["estimate"]
    )


def test_net_benefit_is_compared_at_the_event_rate_without_cutoffs(cohort):
    """There the two-category NRI is the net benefit difference over prevalence."""
    y = cohort[0]
    result = reclassify(*cohort)
    assert result.thresholds == (y.mean(),)
    two = rows(reclassify(*cohort, cutoffs=[y.mean()]))
    ratio = two.loc["net_benefit_difference", "estimate"] / y.mean()
    assert two.loc["nri", "estimate"] == pytest.approx(ratio)


def test_standard_errors_match_a_bootstrap(cohort):
    got = rows(reclassify(*cohort, cutoffs=[0.3, 0.6]))
    drawn = rows(reclassify(*cohort, cutoffs=[0.3, 0.6], ci="percentile", n_boot=2000, seed=1))
    np.testing.assert_allclose(got["std_error"], drawn["std_error"], rtol=0.07)
    np.testing.assert_allclose(got["estimate"], drawn["estimate"])
    assert (drawn["n_boot"] == 2000).all()
    assert drawn["method"].unique().tolist() == ["bootstrap percentile"]


@pytest.mark.parametrize("options", [{}, {"cutoffs": [0.3, 0.6]}])
def test_resampled_limits_match_a_loop(cohort, options):
    draws = np.random.default_rng(4).integers(0, 400, (60, 400))
    got = rows(reclassify(*cohort, ci="percentile", resamples=draws, thresholds=[0.3], **options))
    each = [
        rows(reclassify(*(a[row] for a in cohort), thresholds=[0.3], **options))["estimate"]
        for row in draws
    ]
    limits = np.quantile(each, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(got[["conf_low", "conf_high"]].to_numpy().T, limits)


def test_bca_agrees_with_the_general_bootstrap(cohort):
    draws = np.random.default_rng(5).integers(0, 400, (300, 400))
    got = rows(reclassify(*cohort, ci="bca", resamples=draws))

    def idi(y, old, new):
        change = new - old
        return change[y == 1].mean() - change[y == 0].mean()

    expected = bootstrap(idi, *cohort, ci="bca", resamples=draws)
    assert got.loc["idi", "conf_low"] == pytest.approx(expected.conf_low)
    assert got.loc["idi", "conf_high"] == pytest.approx(expected.conf_high)


def test_patients_are_the_unit_of_clustered_errors(cohort):
    y, old, new = (np.tile(a, 3) for a in cohort)
    once = rows(reclassify(*cohort, cutoffs=[0.4]))
    thrice = reclassify(y, old, new, cutoffs=[0.4], cluster=np.tile(np.arange(400), 3))
    table = rows(thrice)
    np.testing.assert_allclose(table["estimate"], once["estimate"], atol=1e-12)
    np.testing.assert_allclose(table["std_error"], once["std_error"], rtol=1e-10)
    assert table["method"].unique().tolist() == ["wald, patient sandwich"]
    assert "unit: patient (400 clusters)" in repr(thrice)
    own = rows(reclassify(*cohort, cutoffs=[0.4], cluster=[f"p{i}" for i in range(400)]))
    np.testing.assert_allclose(own["std_error"], once["std_error"])


def test_clustered_errors_match_a_patient_bootstrap():
    rng = np.random.default_rng(9)
    patient = np.repeat(np.arange(120), rng.integers(1, 6, 120))
    x, z = rng.normal(size=(2, 120))
    own = rng.random(120) < special.expit(x + z)
    noise = rng.normal(0, 0.3, patient.size)
    y = own[patient].astype(int)
    old, new = special.expit(x[patient] + noise), special.expit(x[patient] + 0.8 * z[patient])
    sandwich = rows(reclassify(y, old, new, cluster=patient))["std_error"]
    drawn = rows(reclassify(y, old, new, cluster=patient, ci="percentile", n_boot=2000, seed=2))[
        "std_error"
    ]
    np.testing.assert_allclose(sandwich, drawn, rtol=0.1)
    naive = rows(reclassify(y, old, new))["std_error"]
    assert (sandwich[["nri", "idi"]] > 1.3 * naive[["nri", "idi"]]).all()


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"cutoffs": [0.4]}, {"min_change": 0.1}])
@pytest.mark.filterwarnings("ignore::usstats.reclassification.ReclassificationWarning")
def test_swapping_the_models_flips_every_sign(cohort, options):
    y, old, new = cohort
    ours, swapped = (rows(reclassify(y, *pair, **options)) for pair in ((old, new), (new, old)))
    np.testing.assert_allclose(swapped["estimate"], -ours["estimate"], atol=1e-12)
    np.testing.assert_allclose(swapped["conf_low"], -ours["conf_high"], atol=1e-12)
    np.testing.assert_allclose(swapped["std_error"], ours["std_error"])


@pytest.mark.parametrize("ci", ["wald", "percentile", "bca"])
def test_a_model_against_itself_is_exactly_0(cohort, ci):
    y, old, _ = cohort
    table = rows(reclassify(y, old, old, ci=ci, n_boot=20, seed=1))
    assert (table[NUMBERS] == 0).all(axis=None)
    assert table["statistic"].isna().all()


def test_components_add_up(cohort):
    table = rows(reclassify(*cohort))["estimate"]
    for name in ("nri", "idi"):
        parts = table[f"{name}_events"] + table[f"{name}_nonevents"]
        assert table[name] == pytest.approx(parts)


def test_swapping_the_classes_swaps_the_components(cohort):
    y, old, new = cohort
    ours, mirrored = rows(reclassify(*cohort)), rows(reclassify(1 - y, 1 - old, 1 - new))
    for name in ("nri", "idi"):
        for a, b in (("events", "nonevents"), ("nonevents", "events")):
            assert mirrored.loc[f"{name}_{a}", "estimate"] == pytest.approx(
                ours.loc[f"{name}_{b}", "estimate"]
            )


def test_a_least_change_of_0_is_the_continuous_nri(cohort):
    continuous, least = (reclassify(*cohort, **o).frame() for o in ({}, {"min_change": 0}))
    pd.testing.assert_frame_equal(continuous, least)


def test_categories_are_closed_on_the_left():
    y = np.tile([0, 1], 20)
    old, new = np.full(40, 0.39), np.full(40, 0.4)
    with pytest.warns(SmallSampleWarning, match="do not vary"):
        result = reclassify(y, old, new, cutoffs=[0, 0.4, 1])
    assert result.cutoffs == (0.4,)
    assert result.table("event").loc["[0,0.4)", "[0.4,1]"] == 20


def test_there_is_no_p_value(cohort):
    frame = reclassify(*cohort).frame()
    assert not [name for name in frame if name.startswith("p_")]
    benefit = frame["measure"].isin(["auc_change", "net_benefit_difference"])
    assert frame.loc[benefit, "statistic"].isna().all()
    assert "no tests" in reclassify(*cohort).summary()


@pytest.mark.slow
def test_noise_looks_useful_to_the_nri_and_is_warned_of():
    """R08: three noise markers fitted to 275 patients, judged on 5,000 others."""
    positive, warned = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = np.column_stack([np.ones(5275), rng.normal(size=(5275, 5))])
        y = (rng.random(5275) < special.expit(-0.4 + X[:, 1] + 0.5 * X[:, 2])).astype(int)
        fits = [newton_logistic(X[:275, :k], y[:275]).params for k in (3, 6)]
        old, new = (special.expit(X[275:, : b.size] @ b) for b in fits)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            table = rows(reclassify(y[275:], old, new))["estimate"]
        positive.append(table["nri"] > 0)
        warned.append(any(w.category is ReclassificationWarning for w in caught))
        assert not warned[-1] or table["auc_change"] < 0
    assert np.mean(positive) > 0.6
    assert np.mean(warned) > 0.3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::usstats.reclassification.ReclassificationWarning")
def test_intervals_cover_with_several_images_a_patient():
    def idi_of(seed, n_patient):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(n_patient), rng.integers(1, 8, n_patient))
        x, z = rng.normal(size=(2, n_patient))
        y = (rng.random(n_patient) < special.expit(x + 0.7 * z))[patient].astype(int)
        jitter = rng.normal(0, 0.4, (2, patient.size))
        old = special.expit(x[patient] + jitter[0])
        new = special.expit(x[patient] + 0.7 * z[patient] + jitter[1])
        return rows(reclassify(y, old, new, cluster=patient))

    truth = idi_of(0, 200_000)["estimate"]
    tables = [idi_of(seed, 137) for seed in range(1, 401)]
    for name in ("nri", "nri_events", "idi", "idi_nonevents"):
        covered = [
            t.loc[name, "conf_low"] <= truth[name] <= t.loc[name, "conf_high"] for t in tables
        ]
        assert 0.92 <= np.mean(covered) <= 0.98, name


# --- warnings and bad input ----------------------------------------------------------------------


def test_praise_for_a_model_with_a_lower_auc_is_warned_of():
    """Overconfident and noisier risks gain by the IDI (Hilden and Gerds 2014)."""
    y, old, _ = simulate(3000, 1)
    noise = np.random.default_rng(99).normal(0, 1.2, 3000)
    with pytest.warns(ReclassificationWarning, match=r"IDI .interval above 0. favour the new"):
        table = rows(reclassify(y, old, special.expit(3 * special.logit(old) + noise)))
    assert table.loc["idi", "conf_low"] > 0 > table.loc["auc_change", "estimate"]


def test_few_events_are_warned_of(cohort):
    y, old, new = cohort
    keep = np.r_[np.flatnonzero(y == 1)[:4], np.flatnonzero(y == 0)[:60]]
    with pytest.warns(SmallSampleWarning, match="One class has 4 patients only"):
        reclassify(y[keep], old[keep], new[keep])


def test_a_class_that_never_moves_has_no_limits(cohort):
    y, old, _ = cohort
    new = np.where(y == 1, old, np.clip(old - 0.05, 0.001, 1))
    with pytest.warns(SmallSampleWarning, match="nri_events.*idi_events"):
        table = rows(reclassify(y, old, new))
    assert table.loc["nri_events", "estimate"] == 0
    assert table.loc["nri_events", ["conf_low", "conf_high"]].isna().all()
    assert np.isnan(table.loc["nri_events", "statistic"])


def test_a_single_event_has_an_nri_without_an_interval():
    with pytest.warns(SmallSampleWarning) as caught:
        table = rows(reclassify([1, 0, 0, 0], [0.4, 0.2, 0.3, 0.5], [0.6, 0.1, 0.4, 0.4]))
    assert len(caught) == 2
    assert table.loc["idi_events", "estimate"] == pytest.approx(0.2)
    assert table.loc["idi", ["std_error", "conf_low"]].isna().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": [1, 1, 1, 1]}, OutcomeError, "holds only events"),
        ({"y": ["a", "b", "a", "b"]}, OutcomeError, "say which one is the event"),
        ({"p_old": [0.1, 0.2, 0.3]}, PairingError, "`p_old` has 3"),
        ({"p_new": [0.1, 0.2, 0.3, 1.7]}, RiskError, r"`p_new` must lie in \[0, 1\]; 1 of 4"),
        ({"p_new": [0.1, np.nan, 0.3, 0.7]}, RiskError, "`p_new` must be finite"),
        ({"cutoffs": [0.6, 0.4]}, ArgumentError, r"`cutoffs` must ascend.*0.4"),
        ({"cutoffs": [20, 50]}, RiskError, "If these are percentages, divide by 100"),
        ({"cutoffs": [0, 1]}, ArgumentError, "holds no value inside"),
        ({"cutoffs": [0.4], "min_change": 0.1}, ArgumentError, "not both"),
        ({"min_change": 5}, ArgumentError, "`min_change` must be a difference of risks"),
        ({"thresholds": [0.0]}, RiskError, "`thresholds` must lie inside"),
        ({"cluster": [1, 2]}, PairingError, "`cluster` has 2"),
        ({"ci": "delong"}, ArgumentError, "`ci` must be one of 'wald'"),
        ({"ci": "percentile", "seed": -1}, ArgumentError, "`seed` must be a whole number"),
        ({"ci": "percentile", "n_boot": 0, "seed": 1}, ArgumentError, "`n_boot` must be"),
        ({"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
        ({"ci": "bca", "seed": 1, "cluster": [1, 1, 1, 1]}, ResampleError, "one patient"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    arguments = {
        "y": [0, 1, 0, 1],
        "p_old": [0.1, 0.4, 0.3, 0.6],
        "p_new": [0.2, 0.5, 0.2, 0.7],
    } | change
    y, old, new = (arguments.pop(name) for name in ("y", "p_old", "p_new"))
    with pytest.raises(error, match=message):
        reclassify(y, old, new, **arguments)


def test_a_continuous_nri_has_no_table(cohort):
    result = reclassify(*cohort)
    with pytest.raises(ArgumentError, match=r"A continuous NRI has no categories; see `movements"):
        result.table()
    with pytest.raises(ArgumentError, match="`group` must be one of"):
        reclassify(*cohort, cutoffs=[0.5]).table("events")


def test_pandas_input_in_any_dtype(cohort):
    y, old, new = cohort
    expected = reclassify(y, old, new).frame()
    got = reclassify(
        pd.Series(y, dtype="Int64"), pd.Series(old, dtype="Float64"), list(new)
    ).frame()
    pd.testing.assert_frame_equal(got, expected)
    assert reclassify(y.astype(bool), old, new).n_event == y.sum()


def test_results_are_copies_and_say_what_they_are(cohort):
    result = reclassify(*cohort)
    frame = result.frame()
    frame.loc[0, "estimate"] = 99
    assert result.frame().loc[0, "estimate"] != 99
    text = repr(result)
    assert "n = 400, events = " in text
    assert "unit: case, wald, 95 % intervals" in text
    assert "\n" not in text


def test_the_picture_shows_each_patient_and_the_cutoffs(cohort):
    y = cohort[0]
    ax = reclassify(*cohort, cutoffs=[0.4]).plot()
    marks = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert [line.get_xdata().size for line in marks] == [(y == 0).sum(), y.sum()]
    assert {line.get_linestyle() for line in ax.lines} >= {":"}
    assert ax.get_legend().get_texts()[1].get_text().startswith("Events: ")
