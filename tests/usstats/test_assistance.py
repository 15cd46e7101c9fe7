"""The effect of an aid on readers: second implementations, laws, bad files."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from usstats.assistance import assistance_effect, compare_standalone
from usstats.delong import compare_auc
from usstats.errors import (
    ArgumentError,
    CarryOverWarning,
    DesignError,
    PairingError,
    RiskError,
    SmallSampleWarning,
    UsstatsError,
)
from usstats.readers import reader_study

COLUMNS = {name: name for name in ("truth", "case", "reader", "condition", "rating")}
NUMBERS = ["estimate", "std_error", "df", "conf_low", "conf_high", "statistic", "p_value"]


def simulate(seed=1, *, n=40, experts=3, juniors=4):
    """Juniors gain more by the aid; everybody is faster with it."""
    rng = np.random.default_rng(seed)
    people = [f"R{j}" for j in range(experts + juniors)]
    levels = [range(n), people, ["unaided", "aided"]]
    data = pd.MultiIndex.from_product(levels, names=["case", "reader", "condition"])
    data = data.to_frame(index=False).assign(truth=lambda d: d["case"] % 2)
    number = data["reader"].str[1:].astype(int)
    aided = data["condition"] == "aided"
    data["experience"] = np.where(number < experts, "expert", "junior")
    gain = 1 + 0.5 * (number < experts) + aided * (0.2 + 0.6 * (number >= experts))
    of_case, of_reader = rng.normal(0, 0.6, size=n), rng.normal(0, 0.3, size=len(people))
    noise = of_case[data["case"]] + of_reader[number] * data["truth"] + rng.normal(size=len(data))
    data["rating"] = np.round(2 * (gain * data["truth"] + noise)) / 2
    time = 3 + of_case[data["case"]] / 4 - 0.25 * aided + rng.normal(0, 0.4, size=len(data))
    data["time"] = np.exp(time)
    data["patient"] = data["case"] // 4
    data["ai"] = (1.5 * data["truth"] + rng.normal(size=n)[data["case"]]).round(1)
    return data


def effect(data, **options):
    return assistance_effect(data, **(COLUMNS | options))


def row_of(frame, **labels):
    chosen = np.logical_and.reduce([frame[name] == value for name, value in labels.items()])
    assert chosen.sum() == 1
    return frame[chosen].iloc[0]


def close(one, other, names=NUMBERS, **kwargs):
    assert_allclose(
        [float(one[name]) for name in names],
        [float(other[name]) for name in names],
        **({"rtol": 1e-9} | kwargs),
    )


# ---- the effect and its interaction -------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["delong", "jackknife", "unbiased"])
def test_the_effect_is_the_reader_study_of_aided_minus_unaided(covariance):
    data = simulate(1)
    study = reader_study(data, covariance=covariance, **COLUMNS)
    found = effect(data, covariance=covariance)
    close(found.difference, study.differences.iloc[0])
    assert found.difference["condition_1"] == "aided"
    close(found.readers.iloc[2], study.reader_differences.iloc[2])
    assert_allclose(found.readers["aided"] - found.readers["unaided"], found.readers["estimate"])


def test_groups_are_the_reader_studies_of_their_readers():
    data = simulate(2)
    found = effect(data, experience="experience").by_experience
    for group, own in data.groupby("experience"):
        study = reader_study(own, **COLUMNS)
        close(row_of(found, group=group, condition="aided - unaided"), study.differences.iloc[0])
        names = ["estimate", "std_error", "df", "conf_low", "conf_high"]
        for condition in ("aided", "unaided"):
            expected = row_of(study.means, condition=condition)
            close(row_of(found, group=group, condition=condition), expected, names)


def by_hand(data, *, readers="random"):
    """Difference of differences from AUCs and covariances of the reader study."""
    study = reader_study(data, **COLUMNS)
    theta = study.reader_means.set_index(["condition", "reader"])["estimate"]
    people = sorted(data["reader"].unique())
    experts = [p for p in people if p in set(data.loc[data["experience"] == "expert", "reader"])]
    D = {p: theta["aided", p] - theta["unaided", p] for p in people}
    S = study.covariances

    def cov(p, q):
        signs = {"aided": 1, "unaided": -1}
        return sum(
            s * t * S.loc[(a, p), (b, q)] for a, s in signs.items() for b, t in signs.items()
        )

    groups = [experts, [p for p in people if p not in experts]]
    means = [np.mean([D[p] for p in g]) for g in groups]
    if readers == "fixed":
        w = {p: (1 / len(groups[0]) if p in experts else -1 / len(groups[1])) for p in people}
        return means[0] - means[1], sum(w[p] * w[q] * cov(p, q) for p in people for q in people)
    df = len(people) - 2
    square = sum((D[p] - m) ** 2 for g, m in zip(groups, means, strict=True) for p in g) / df
    own = square * sum(1 / len(g) for g in groups)
    within = [np.mean([cov(p, q) for p, q in combinations(g, 2)]) for g in groups]
    between = np.mean([cov(p, q) for p in groups[0] for q in groups[1]])
    shared = max(sum(within) - 2 * between, 0)
    return means[0] - means[1], own + shared, (own + shared) ** 2 / (own**2 / df)


def test_the_interaction_is_the_difference_of_differences():
    data = simulate(3)
    row = effect(data, experience="experience").interaction.iloc[0]
    estimate, variance, df = by_hand(data)
    assert (row["group_1"], row["group_2"]) == ("expert", "junior")
    assert_allclose([row["estimate"], row["std_error"] ** 2, row["df"]], [estimate, variance, df])
    t = estimate / np.sqrt(variance)
    assert_allclose(row["p_value"], 2 * stats.t.sf(abs(t), df))
    half = stats.t.ppf(0.975, df) * np.sqrt(variance)
    assert_allclose([row["conf_low"], row["conf_high"]], [estimate - half, estimate + half])


def test_the_interaction_of_fixed_readers_rests_on_the_cases():
    data = simulate(4)
    row = effect(data, experience="experience", readers="fixed").interaction.iloc[0]
    assert_allclose([row["estimate"], row["std_error"] ** 2], by_hand(data, readers="fixed"))


def test_two_groups_have_one_test_and_more_have_an_f_test():
    data = simulate(5, experts=4, juniors=5)
    two = effect(data, experience="experience")
    row = two.interaction.iloc[0]
    assert_allclose(two.interaction_test["statistic"], row["statistic"] ** 2)
    assert_allclose(two.interaction_test["p_value"], row["p_value"])
    number = data["reader"].str[1:].astype(int)
    three = effect(data.assign(years=number // 3), experience="years")
    assert three.interaction[["group_1", "group_2"]].values.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert three.interaction_test["df"] == 2
    assert (three.interaction["p_adjusted"] >= three.interaction["p_value"]).all()
    shuffled = effect(data.assign(years=2 - number // 3), experience="years")
    assert_allclose(shuffled.interaction_test["p_value"], three.interaction_test["p_value"])


def test_swapping_labels_flips_signs():
    data = simulate(6)
    one = effect(data, experience="experience")
    swapped = data.replace({"condition": {"aided": "unaided", "unaided": "aided"}})
    other = effect(swapped, experience="experience")
    assert_allclose(other.difference["estimate"], -one.difference["estimate"])
    close(other.interaction.iloc[0], one.interaction.iloc[0], ["std_error", "df", "p_value"])
    assert_allclose(other.interaction["estimate"], -one.interaction["estimate"])
    renamed = effect(
        data.replace({"expert": "z-expert"}), experience="experience"
    ).interaction.iloc[0]
    assert renamed["group_1"] == "junior"
    assert_allclose(renamed["estimate"], -one.interaction["estimate"][0])


def test_readers_harmed():
    data = simulate(7)
    harmed = (data["reader"] == "R5") & (data["condition"] == "aided")
    data["rating"] = data["rating"].where(~harmed, -data["rating"])
    found = effect(data, experience="experience")
    row = row_of(found.readers, reader="R5")
    assert row["harmed"]
    assert row["harmed_beyond_chance"]
    assert row["conf_high"] < 0
    assert row["group"] == "junior"
    assert found.n_harmed == (found.readers["estimate"] < 0).sum()
    assert "1 of them beyond chance" in found.summary()


def test_non_inferiority_is_of_the_aided_reading():
    found = effect(simulate(8), margin=0.03).difference
    t = (found["estimate"] + 0.03) / found["std_error"]
    assert_allclose(found["p_noninferior"], stats.t.sf(t, found["df"]))
    assert found["noninferior"] == (found["conf_low"] > -0.03)


# ---- reading time -------------------------------------------------------------------------------


def test_reading_time_is_a_paired_ratio_over_readers_and_cases():
    data = simulate(9)
    found = effect(data, reading_time="time").reading_time
    wide = np.log(data["time"]).to_numpy().reshape(40, 7, 2)
    ratio = wide[:, :, 1] - wide[:, :, 0]  # case, reader
    square = ratio.mean(axis=0).var(ddof=1)
    C = np.cov(ratio.T) / 40
    shared = max((C.sum() - np.trace(C)) / (7 * 6), 0)
    variance = square / 7 + shared
    df = variance**2 / ((square / 7) ** 2 / 6)
    row = row_of(found, measure="reading_time_ratio")
    half = stats.t.ppf(0.975, df) * np.sqrt(variance)
    centre = ratio.mean()
    assert_allclose(row["estimate"], np.exp(centre))
    assert_allclose([row["conf_low"], row["conf_high"]], np.exp([centre - half, centre + half]))
    assert_allclose(row["p_value"], 2 * stats.t.sf(abs(centre) / np.sqrt(variance), df))
    aided = row_of(found, measure="reading_time", condition="aided")
    assert_allclose(aided["estimate"], np.exp(wide[:, :, 1].mean()))
    doubled = effect(data.assign(time=data["time"] * 60), reading_time="time").reading_time
    close(row_of(doubled, measure="reading_time_ratio"), row)


def test_times_may_be_missing_and_only_pairs_count():
    data = simulate(10)
    data.loc[[0, 11, 200], "time"] = np.nan
    found = effect(data, reading_time="time").reading_time
    row = row_of(found, measure="reading_time_ratio")
    assert row["n_readings"] == 40 * 7 - 3
    wide = np.log(data["time"]).to_numpy().reshape(40, 7, 2)
    ratio = wide[:, :, 1] - wide[:, :, 0]
    assert_allclose(row["estimate"], np.exp(np.nanmean(ratio, axis=0).mean()))


def test_times_by_experience_have_an_interaction():
    data = simulate(11)
    found = effect(data, experience="experience", reading_time="time")
    ratios = {
        group: row_of(found.reading_time, measure="reading_time_ratio", group=group)
        for group in ("expert", "junior")
    }
    row = found.reading_time_interaction.iloc[0]
    assert_allclose(row["estimate"], ratios["expert"]["estimate"] / ratios["junior"]["estimate"])
    assert row["conf_low"] < row["estimate"] < row["conf_high"]


def test_patients_are_the_units_of_times_and_decisions():
    data = simulate(12)
    own = data.assign(patient="p" + data["case"].astype(str))
    options = {"reading_time": "time", "threshold": 1}
    plain = effect(data, covariance="jackknife", **options)
    same = effect(own, covariance="jackknife", cluster="patient", **options)
    paired = effect(data, covariance="jackknife", cluster="patient", **options)
    for table in ("reading_time", "decisions"):
        one, other, two = (getattr(e, table) for e in (plain, same, paired))
        assert_allclose(one["std_error"], other["std_error"])
        assert_allclose(one["estimate"], two["estimate"])
        assert not np.allclose(one["std_error"], two["std_error"], rtol=1e-3)


# ---- decisions ----------------------------------------------------------------------------------


def test_net_change_is_the_difference_of_sensitivity_and_of_specificity():
    data = simulate(13)
    found = effect(data, threshold=1).decisions
    for truth, metric in (("event", "sensitivity"), ("non-event", "specificity")):
        study = reader_study(data, metric=metric, threshold=1, covariance="jackknife", **COLUMNS)
        close(row_of(found, truth=truth, change="net"), study.differences.iloc[0])
        rows = {c: row_of(found, truth=truth, change=c) for c in ("better", "worse", "net")}
        net = rows["better"]["n_changed"] - rows["worse"]["n_changed"]
        assert rows["net"]["n_changed"] == net
        assert_allclose(rows["net"]["estimate"], net / (20 * 7))
        assert rows["better"]["conf_low"] >= 0


def test_decisions_by_hand():
    data = simulate(14)
    calls = (data["rating"] >= 1).to_numpy().reshape(40, 7, 2)
    event = data["truth"].to_numpy().reshape(40, 7, 2)[:, 0, 0] == 1
    better = (~calls[event, :, 0] & calls[event, :, 1]).mean(axis=0)
    found = effect(data.assign(call=(data["rating"] >= 1).astype(int)), decision="call")
    row = row_of(found.decisions, truth="event", change="better")
    assert_allclose(row["estimate"], better.mean())
    points = found.operating_points
    own = points[(points["reader"] == "R3") & (points["condition"] == "aided")].iloc[0]
    assert_allclose(own["sensitivity"], calls[event, 3, 1].mean())
    assert_allclose(own["specificity"], 1 - calls[~event, 3, 1].mean())
    binary = effect(data.assign(rating=(data["rating"] >= 1).astype(int)))
    pd.testing.assert_frame_equal(binary.decisions, found.decisions)


def test_nothing_changed_has_the_interval_of_zero_patients():
    data = simulate(15)
    first = data["condition"] == "unaided"
    call = (data["rating"] >= 1).astype(int).where(first, (data["rating"] >= 1).shift())
    data["call"] = call.astype(int)
    found = effect(data, decision="call").decisions
    assert (found["estimate"] == 0).all()
    assert_allclose(found["conf_high"], 1.959964**2 / (20 + 1.959964**2), rtol=1e-6)
    assert_allclose(found.loc[found["change"] == "net", "conf_low"], -found["conf_high"][2])


def test_sensitivity_may_rest_on_the_decision_column():
    data = simulate(16).assign(call=lambda d: (d["rating"] >= 1).astype(int))
    one = effect(data, metric="sensitivity", decision="call")
    other = effect(data, metric="sensitivity", threshold=1)
    close(one.difference, other.difference)
    assert effect(data).decisions.empty


# ---- order --------------------------------------------------------------------------------------


def ordered(data, unaided_first):
    """Period 1 or 2 of each reading."""
    period = np.where((data["condition"] == "unaided") == unaided_first, 1, 2)
    return data.assign(order=period)


def test_the_aided_reading_always_second_without_washout_is_warned_of():
    data = ordered(simulate(17), unaided_first=True)
    with pytest.warns(CarryOverWarning, match="always came second, without a washout"):
        found = effect(data, order="order")
    assert found.order.reading == "sequential"
    assert found.order_effects.empty
    with pytest.warns(CarryOverWarning):
        effect(data, order="order", washout=0)
    with pytest.warns(CarryOverWarning):
        effect(data, reading="sequential")
    rested = effect(data, order="order", washout=28)
    assert rested.order.reading == "independent"
    assert "washout 28 days" in rested.summary()
    days = effect(
        data.assign(days=np.where(data["case"] > 3, 30, 21)), order="order", washout="days"
    )
    assert days.order.washout == 21
    assert effect(data).order.summary() == "order of reading not recorded, no washout given"


@pytest.mark.parametrize(
    "spelling",
    [
        {1: 1, 2: 2},
        {1: pd.Timestamp("2024-01-01"), 2: pd.Timestamp("2024-02-01")},
        {1: "first", 2: "second"},
    ],
)
def test_order_may_be_a_period_a_date_or_words(spelling):
    data = simulate(18)
    data = ordered(data, data["reader"].isin(["R0", "R1", "R4"]))
    found = effect(data.assign(order=data["order"].map(spelling)), order="order")
    assert (found.order.n_unaided_first, found.order.n_aided_first) == (120, 160)
    assert found.order.reading == "crossed"
    assert found.order.sequences == "between readers"


def test_order_may_name_the_sequence_or_lie_within_sessions():
    data = simulate(19)
    first = data["reader"].isin(["R0", "R1", "R4"])
    expected = effect(ordered(data, first), order="order")
    named = data.assign(order=np.where(first, "unaided first", "aided first"))
    pd.testing.assert_frame_equal(effect(named, order="order").frame(), expected.frame())
    sessions = ordered(data, first).rename(columns={"order": "session"})
    sessions = sessions.assign(order=sessions["case"] + 1)
    found = effect(sessions, order="order", session="session")
    pd.testing.assert_frame_equal(found.frame(), expected.frame())
    with pytest.raises(DesignError, match="starts anew within reader 'R0'"):
        effect(sessions, order="order")


def test_period_and_carry_over_between_readers_by_hand():
    data = simulate(20)
    first = data["reader"].isin(["R0", "R1", "R4"])
    found = effect(ordered(data, first), order="order")
    rows = found.order_effects.set_index("term")["estimate"]
    D, level = found.readers["estimate"], found.readers[["aided", "unaided"]].mean(axis=1)
    own = found.readers["reader"].isin(["R0", "R1", "R4"])
    assert_allclose(rows["period"], (D[own].mean() - D[~own].mean()) / 2)
    assert_allclose(rows["sequence (carry-over)"], level[own].mean() - level[~own].mean())
    assert_allclose(rows["difference adjusted for period"], (D[own].mean() + D[~own].mean()) / 2)
    # the period test is the interaction of the effect with the sequence
    grouped = effect(
        data.assign(group=np.where(first, "a", "b")), experience="group", covariance="jackknife"
    )
    period = found.order_effects.iloc[0]
    close(period, grouped.interaction.iloc[0], ["statistic", "df", "p_value"])


def test_period_and_carry_over_within_readers_by_hand():
    data = simulate(21, n=60)
    block = data["case"] < 30
    found = effect(ordered(data, block), order="order")
    parts = [
        assistance_effect(data[own], **COLUMNS).readers.set_index("reader")
        for own in (block, ~block)
    ]
    D = [part["estimate"] for part in parts]
    level = [part[["aided", "unaided"]].mean(axis=1) for part in parts]
    rows = found.order_effects.set_index("term")
    assert found.order.sequences == "within readers"
    assert_allclose(rows.loc["period", "estimate"], (D[0] - D[1]).mean() / 2)
    assert_allclose(rows.loc["sequence (carry-over)", "estimate"], (level[0] - level[1]).mean())
    adjusted = rows.loc["difference adjusted for period"]
    assert_allclose(adjusted["estimate"], (D[0] + D[1]).mean() / 2)
    assert adjusted["df"] >= 6


def test_a_second_look_shows_as_a_period_effect():
    """Second readings are better by a lot, the aid does nothing."""
    data = simulate(22, n=100)
    data = ordered(data, data["case"] % 4 < 2)
    rng = np.random.default_rng(6)
    noise = rng.normal(size=100)[data["case"]] + rng.normal(size=len(data))
    data["rating"] = data["truth"] * (0.6 + 1.2 * (data["order"] == 2)) + noise
    rows = effect(data, order="order").order_effects.set_index("term")
    assert rows.loc["period", "estimate"] > 0.08
    assert rows.loc["period", "p_value"] < 0.001
    adjusted = rows.loc["difference adjusted for period"]
    assert adjusted["conf_low"] < 0 < adjusted["conf_high"]


def test_an_order_that_cannot_be_tested_is_nan_and_said_so():
    data = simulate(22)
    with pytest.warns(SmallSampleWarning, match="Period and carry-over cannot be tested"):
        found = effect(ordered(data, data["case"] > 0), order="order")
    assert found.order_effects["p_value"].isna().all()
    assert len(found.order_effects) == 3
    mixed = ordered(data, data["case"] > 0).astype({"order": object})
    mixed.loc[3, "order"] = "second"
    with pytest.raises(DesignError, match="mixes numbers and text"):
        effect(mixed, order="order")


# ---- standalone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["delong", "jackknife", "unbiased"])
@pytest.mark.parametrize("readers", ["random", "fixed"])
def test_standalone_is_a_study_whose_readers_all_copy_the_system(covariance, readers):
    data = simulate(23).query("condition == 'unaided'").assign(condition="b readers")
    both = pd.concat([data, data.assign(rating=data["ai"], condition="a system")])
    options = {"covariance": covariance, "readers": readers}
    study = reader_study(both, **COLUMNS, **options)
    columns = {name: name for name in COLUMNS if name != "condition"}
    found = compare_standalone(data, standalone="ai", **columns, **options)
    close(found.table.iloc[0], study.differences.iloc[0])
    close(found.readers.iloc[1], study.reader_differences.iloc[1])
    assert_allclose(found.table["standalone"], study.means["estimate"][0])
    assert_allclose(found.table["reader_averaged"], study.means["estimate"][1])


def test_standalone_against_one_reader_is_the_paired_comparison():
    data = simulate(24).query("condition == 'unaided' and reader == 'R2'")
    columns = {name: name for name in COLUMNS if name != "condition"}
    found = compare_standalone(data, standalone="ai", **columns).table.iloc[0]
    expected = compare_auc(data["truth"], {"ai": data["ai"], "reader": data["rating"]}).frame()
    close(found, expected.iloc[0], ["estimate", "std_error", "statistic", "p_value"])


def test_standalone_by_hand_in_both_conditions():
    data = simulate(25)
    found = effect(data, standalone="ai").standalone
    assert found.table["condition"].tolist() == ["aided", "unaided"]
    row = found.table.iloc[1]
    D = found.readers.query("condition == 'unaided'")["estimate"]
    assert_allclose(row["estimate"], D.mean())
    assert row["std_error"] ** 2 >= D.var(ddof=1) / 7
    assert row["df"] >= 6
    sensitivity = effect(
        data, standalone="ai", standalone_threshold=0.8, threshold=1, metric="sensitivity"
    ).standalone
    events = data[data["truth"] == 1].drop_duplicates("case")
    assert_allclose(sensitivity.table["standalone"], (events["ai"] >= 0.8).mean())


def test_groups_and_the_system_may_be_mappings():
    data = simulate(25)
    expected = effect(data, experience="experience", standalone="ai")
    groups = data.set_index("reader")["experience"].to_dict()
    system = data.drop_duplicates("case").set_index("case")["ai"]
    found = effect(data, experience=groups, standalone=system)
    pd.testing.assert_frame_equal(found.frame(), expected.frame())
    with pytest.raises(
        DesignError, match=r"`experience` has no value for .* labels of column 'read"
    ):
        effect(data, experience={"R0": "expert"})


def test_standalone_margin_and_missing_reads():
    data = simulate(26).query("condition == 'aided'").drop(index=[1, 17])
    columns = {name: name for name in COLUMNS if name != "condition"}
    with pytest.raises(DesignError, match="2 of 280 readings are missing"):
        compare_standalone(data, standalone="ai", **columns)
    found = compare_standalone(data, standalone="ai", covariance="jackknife", margin=0.1, **columns)
    row = found.table.iloc[0]
    assert row["noninferior"] == (row["conf_low"] > -0.1)
    # the system is judged on the cases that the reader read
    own = data[data["reader"] == "R1"]
    expected = compare_auc(own["truth"], {"ai": own["ai"], "r": own["rating"]}).frame().iloc[0]
    assert_allclose(row_of(found.readers, reader="R1")["standalone"], expected["auc_1"])


# ---- results, laws, bad input -------------------------------------------------------------------


def test_order_of_rows_does_not_matter():
    data = simulate(27)
    data = ordered(data, data["reader"].isin(["R0", "R1", "R4"]))
    options = {
        "experience": "experience",
        "reading_time": "time",
        "order": "order",
        "threshold": 1,
        "standalone": "ai",
    }
    expected = effect(data, **options)
    shuffled = effect(data.sample(frac=1, random_state=3), **options)
    pd.testing.assert_frame_equal(shuffled.frame(), expected.frame())
    assert shuffled.summary() == expected.summary()


def test_frame_and_texts():
    data = simulate(28)
    data = ordered(data, data["reader"].isin(["R0", "R1", "R4"]))
    found = effect(
        data,
        experience="experience",
        reading_time="time",
        order="order",
        threshold=1,
        standalone="ai",
    )
    measures = found.frame()["measure"].value_counts()
    assert measures["difference"] == 3
    assert measures["interaction"] == 1
    assert measures["order_effect"] == 3
    assert measures["decisions_net"] == 2
    assert measures["reading_time_ratio"] == 3
    assert {"group", "term", "conf_low", "method", "n_event"} <= set(found.frame())
    text = found.summary()
    assert "interaction, expert - junior" in text
    assert "nan" not in text.lower()
    assert repr(found).startswith("<effect of the aid on auc: ")


@pytest.mark.parametrize("labels", [(0, 1), (False, True), ("Unaided", "AIDED"), ("x", "b")])
def test_conditions_may_have_other_names(labels):
    data = simulate(29)
    named = dict(zip(("unaided", "aided"), labels, strict=True))
    other = data.assign(condition=data["condition"].map(named))
    options = {"conditions": labels} if labels == ("x", "b") else {}
    found = effect(other, **options)
    close(found.difference, effect(data).difference)
    assert found.difference["condition_1"] == labels[1]


def test_other_conditions_are_left_out_when_two_are_named():
    data = simulate(30)
    third = data[data["condition"] == "aided"].assign(condition="other aid")
    every = pd.concat([data, third])
    close(effect(every, conditions=("unaided", "aided")).difference, effect(data).difference)
    with pytest.raises(DesignError, match="'other aid' \\(first at row 560\\)"):
        effect(every)


def test_missing_reads_are_paired_away_from_times_and_decisions():
    data = simulate(31).drop(index=[4, 9, 30]).reset_index(drop=True)
    with pytest.raises(DesignError, match="3 of 560 readings are missing"):
        effect(data)
    found = effect(data, covariance="jackknife", threshold=1, reading_time="time")
    rows = found.decisions.query("change == 'net'")
    assert rows["n_readings"].sum() == 40 * 7 - 3


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({"experience": "expert"}, {}, DesignError, ["'R5'", "'expert'", "row 10"]),
        ({"experience": None}, {}, DesignError, ["`experience`", "no label"]),
        ({"time": 0.0}, {}, RiskError, ["positive", "0.0 at row 10", "'R5'", "case 0"]),
        ({"time": "fast"}, {}, RiskError, ["'fast'", "row 10"]),
        ({"order": 1}, {}, DesignError, ["'R5'", "case 0", "both conditions", "rows 10 and 11"]),
        ({"order": np.nan}, {}, DesignError, ["`order`", "missing in 1 rows", "10"]),
        ({"ai": 99.0}, {}, PairingError, ["`standalone`", "case 0", "99 at row 10"]),
        ({"ai": np.nan}, {}, RiskError, ["`standalone`", "row 10", "'R5'"]),
        ({"condition": "assisted"}, {}, DesignError, ["'assisted'", "row 10"]),
        ({}, {"conditions": ("aided", "alone")}, ArgumentError, ["'aided', 'unaided'"]),
        ({}, {"reading": "parallel"}, ArgumentError, ["`reading` must be one of"]),
        ({}, {"washout": -3}, ArgumentError, ["`washout` must be a number of days"]),
        ({}, {"washout": "order"}, None, []),
        ({}, {"decision": "rating"}, RiskError, ["`decision` must be a decision 0/1"]),
        ({}, {"margin": 0}, ArgumentError, ["`margin`"]),
        ({}, {"reading": "sequential"}, DesignError, ["160 pairs of readings"]),
        ({}, {"experience": "years"}, DesignError, ["no column `years`"]),
    ],
)
def test_bad_input(change, options, error, words):
    data = simulate(32)
    data = ordered(data, data["reader"].isin(["R0", "R1", "R4"]))
    for column, value in change.items():
        data[column] = data[column].astype(object)
        data.loc[10, column] = value
        data[column] = data[column].infer_objects()
    given = {"experience": "experience", "reading_time": "time", "order": "order"}
    given |= {"standalone": "ai"} | options
    if error is None:
        with pytest.raises(ArgumentError, match="are the same column"):
            effect(data, **given)
        return
    with pytest.raises(error) as caught:
        effect(data, **given)
    assert isinstance(caught.value, UsstatsError)
    for word in words:
        assert word in str(caught.value)


def test_readers_of_one_condition_are_no_study_of_an_aid():
    data = simulate(33)
    aided = data["reader"].isin(["R0", "R1", "R4"])
    nested = data[(data["condition"] == "aided") == aided]
    with pytest.raises(DesignError, match="within readers"):
        effect(nested)


@pytest.mark.slow
def test_type_one_error_of_interaction_and_standalone():
    """No interaction, and readers who are on average as good as the system; 600 studies."""
    rng = np.random.default_rng(23)
    n, J = 120, 10
    names = ["condition", "reader", "case"]
    grid = pd.MultiIndex.from_product([("aided", "unaided"), range(J), range(n)], names=names)
    data = grid.to_frame(index=False).assign(truth=lambda d: d["case"] % 2)
    data["experience"] = np.where(data["reader"] < 4, "expert", "junior")
    y = np.arange(n) % 2
    hits = np.zeros(3)
    for _ in range(600):
        skill = rng.normal(0, 0.2, size=(1, J, 1)) + rng.normal(0, 0.15, size=(2, J, 1))
        of_case = rng.normal(0, 0.7, size=(1, 1, n)) + rng.normal(0, 0.3, size=(2, 1, n))
        x = y * (1.2 + skill) + of_case + rng.normal(0, 0.65, size=(2, J, n))
        alone = y * 1.2 + of_case[0, 0] + rng.normal(0, 0.3, size=n) + rng.normal(0, 0.65, size=n)
        data["rating"], data["ai"] = x.ravel(), np.tile(alone, 2 * J)
        found = effect(data, experience="experience", standalone="ai")
        hits += [
            found.difference["p_value"] < 0.05,
            found.interaction["p_value"][0] < 0.05,
            found.standalone.table["p_value"][0] < 0.05,
        ]
    rates = hits / 600
    assert (rates[:2] > 0.025).all()
    assert (rates[:2] < 0.075).all()
    assert rates[2] < 0.10


def test_the_summary_names_what_each_line_is_of():
    data = simulate(25).assign(time=lambda d: 10.0 + d.index % 7)
    lines = effect(data, reading_time="time", threshold=0.5).summary().split("\n")
    assert not any("None" in line for line in lines)
    assert any(line.startswith("reading_time, aided: ") for line in lines)
    assert any(line.startswith("decisions_better, event: ") for line in lines)
