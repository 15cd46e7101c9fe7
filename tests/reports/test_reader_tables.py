"""Tables of readers, sample sizes and missing values, from the frames the statistics hand back."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import usstats
from reports.number_presets import PRESETS
from reports.synthetic.readings import ReaderGroup, ReaderLaw
from reports.tables import (
    Plan,
    Table,
    accuracy_table,
    auc_table,
    missing_table,
    performance_table,
    reader_effect_table,
    reader_table,
    sample_size_table,
    table_one,
)
from usstats.delong import compare_auc
from usstats.describe import describe
from usstats.errors import ArgumentError

LAW = ReaderLaw(
    n_event=30,
    n_nonevent=30,
    network_auc=0.9,
    groups={
        "expert": ReaderGroup(size=3, auc=0.88, trust=0.3),
        "junior": ReaderGroup(size=3, auc=0.75, trust=0.5, quicker=0.8),
    },
)
ROLES = {
    "truth": "truth",
    "case": "case",
    "reader": "reader",
    "condition": "condition",
    "rating": "rating",
}


@pytest.fixture(scope="module")
def readings() -> pd.DataFrame:
    return LAW.draw(seed=1)


@pytest.fixture(scope="module")
def effect(readings):
    return usstats.assistance_effect(
        readings,
        **ROLES,
        experience="experience",
        reading_time="reading_time",
        order="order",
        session="session",
        threshold=50,
    )


def cells(table: Table) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in table.rows}


def test_each_reader_stands_with_his_group_and_the_average_last(effect, readings):
    groups = dict(zip(readings["reader"], readings["experience"], strict=True))
    table = reader_table(effect.frame(), groups=groups, preset="plain")
    assert table.columns == (
        "Reader",
        "Unaided, AUC (95% CI)",
        "Aided, AUC (95% CI)",
        "Difference (95% CI)",
        "p valueᵃ",
    )
    assert [row[0] for row in table.rows] == [
        "Expert",
        "R01",
        "R02",
        "R03",
        "Average",
        "Junior",
        "R04",
        "R05",
        "R06",
        "Average",
        "All readers, average",
    ]
    assert table.indent == (0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0)
    row = effect.study.reader_means.query("reader == 'R05' and condition == 'aided'").iloc[0]
    assert cells(table)["R05"][1].startswith(f"{row['estimate']:.3f} (")
    whole = effect.difference
    assert cells(table)["All readers, average"][2].startswith(f"{whole['estimate']:.3f} (")
    assert "n = 60 cases, events = 30, 6 readers" in table.notes[0]


def test_the_difference_follows_the_order_of_the_columns(effect):
    frame = effect.frame()
    one = reader_table(frame, conditions=("unaided", "aided"), preset="plain")
    other = reader_table(frame, conditions=("aided", "unaided"), preset="plain")
    a, b = (cells(t)["All readers, average"] for t in (one, other))
    assert (a[0], a[1], a[3]) == (b[1], b[0], b[3])
    low, high = effect.difference["conf_low"], effect.difference["conf_high"]
    assert f"({low:.3f} to {high:.3f})" in a[2]
    assert f"(−{high:.3f} to −{low:.3f})" in b[2]


def test_readers_in_one_condition_have_no_difference(readings):
    alone = readings[readings["condition"] == "unaided"]
    study = usstats.reader_study(alone, **ROLES)
    table = reader_table(study.frame())
    assert table.columns == ("Reader", "Unaided, AUC (95% CI)")
    assert len(table.rows) == 7
    assert table.footnotes == ()


def test_three_systems_have_a_column_each(readings):
    three = pd.concat(
        [
            readings.assign(condition=readings["condition"].map({"unaided": "a", "aided": "b"})),
            readings[readings["condition"] == "aided"].assign(condition="c"),
        ]
    )
    rng = np.random.default_rng(0)
    frame = usstats.reader_study(
        three.assign(rating=three["rating"] + rng.normal(0, 5, len(three))), **ROLES
    ).frame()
    assert len(reader_table(frame).columns) == 4
    effects = reader_effect_table(frame)
    assert len(effects.rows) == 3
    assert effects.columns[-1] == "Adjusted P"
    assert effects.rows[0][0] == "Difference: a minus b"


def test_every_comparison_of_an_aid_has_its_row(effect):
    table = reader_effect_table(effect.frame(), labels={"expert": "Experts"}, preset="esr")
    names = [row[0] for row in table.rows]
    assert names[0] == "Difference: aided minus unaided"
    assert "Difference: aided minus unaided, Experts" in names
    assert "Interaction: Experts minus junior" in names
    assert "Ratio of reading times: aided over unaided, junior" in names
    assert "Net change of decisions: event" in names
    interaction = effect.interaction.iloc[0]
    shown = cells(table)["Interaction: Experts minus junior"][0]
    assert shown.replace("−", "-").startswith(f"{interaction['estimate']:.3f} (")


def test_a_frame_without_readers_is_refused(effect):
    with pytest.raises(ArgumentError, match="has no reader-averaged figure"):
        reader_table(effect.frame().query("measure == 'difference'"))
    with pytest.raises(ArgumentError, match="`conditions` names with; the frame has aided, una"):
        reader_table(effect.frame(), conditions=("unaided", "with"))


def test_sample_size_beside_what_there_is():
    needed = usstats.sample_size_development(6, 0.42, auc=0.85)
    outside = usstats.sample_size_validation(0.4, 0.85)
    table = sample_size_table(
        [
            Plan(needed=needed.frame(), purpose="Development", n=275, n_event=115, method="Riley"),
            Plan(needed=outside.frame(), purpose="External"),
        ],
        preset="plain",
    )
    assert [row[0] for row, level in zip(table.rows, table.indent, strict=True) if not level] == [
        "Development",
        "External",
    ]
    assert table.rows[4] == ("Required", "", "375", "158", "275", "115", "100")
    assert table.rows[1][-1] == "0", "275 patients are enough for the shrinkage"
    assert cells(table)["Precise O:E ratio"] == ("SE 0.051", "579", "232", "", "", "–")
    assert table.notes[0] == (
        "Development: 6 candidate parameters, prevalence 0.42, anticipated Nagelkerke R² 0.46. "
        "Riley."
    )
    assert ("SE", "standard error") in table.abbreviations


def test_missing_values_are_mapped_by_group():
    data = pd.DataFrame({"noa": [0] * 40 + [1] * 60, "fsh": 1.0, "age": 2.0, "side": "left"})
    data.loc[:3, "fsh"] = np.nan
    data.loc[50:99, "side"] = None
    data["fsh"] += np.arange(100)
    data["age"] += np.arange(100) % 7
    frame = describe(data, by="noa", tests=False, smd=False).frame()
    table = missing_table(frame, labels={"fsh": "FSH"}, group_labels={"1": "NOA", "0": "OA"})
    assert table.columns == ("Variable", "OA, n/N (%)", "NOA, n/N (%)", "All patients, n/N (%)")
    assert table.rows == (
        ("FSH", "4/40 (10%)", "0/60 (0%)", "4/100 (4.0%)"),
        ("side", "0/40 (0%)", "50/60 (83%)", "50/100 (50.0%)"),
    )
    assert table.notes == ("1 further variable has no missing value.",)


def test_table_one_counts_images_apart():
    data = pd.DataFrame(
        {
            "patient": ["a", "a", "b", "c", "c", "c"],
            "noa": [0, 0, 0, 1, 1, 1],
            "age": [30, 30, 40, 50, 50, 50],
            "depth": [4.0, 5.0, 4.5, 6.0, 5.5, 6.5],
        }
    )
    described = describe(
        data, by="noa", patient_id="patient", per_image=["depth"], tests=False, smd=False
    )
    table = table_one(described.frame(), described.groups)
    assert table.columns[1:] == ("0 (n = 2)", "1 (n = 1)", "All patients (n = 3)")
    assert table.rows[0] == ("Images, n", "3", "3", "6")
    assert [row[0] for row in table.rows[1:]] == ["age, mean (SD)", "depth, per image, mean (SD)"]


def test_contrasts_of_several_cohorts_stand_apart():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    risks = {name: rng.random(80) + y * 0.4 for name in ("model", "network", "fsh")}
    pairs = [("model", "network"), ("model", "fsh")]
    frame = compare_auc(y, risks, contrasts=pairs).frame()
    both = pd.concat([frame.assign(group="north"), frame.assign(group="south")])
    table = auc_table(both, labels={"north": "North", "model": "Nomogram"})
    assert [row[0] for row in table.rows] == [
        "North",
        "Nomogram vs network",
        "Nomogram vs fsh",
        "south",
        "Nomogram vs network",
        "Nomogram vs fsh",
    ]
    assert table.indent == (0, 1, 1, 0, 1, 1)
    assert table.notes[0].startswith("North: n = 80, events =")
    assert "Holm" in table.notes[-1]
    assert table.italics == ("P",)


edges = st.sampled_from([0.0, 1.0, 1 - 1e-9, 1e-9, 0.9996, 0.0004, 0.5, float("nan")])
shares = st.floats(0, 1) | edges
numbers = st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), -1e-9, 0.0])
p_values = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.0496, 0.04999999, 1e-300, float("nan")])


@settings(deadline=None, max_examples=60)
@given(
    preset=st.sampled_from(sorted(PRESETS)),
    values=st.tuples(shares, shares, shares),
    ratio=numbers.map(abs),
    p=p_values,
)
def test_no_cell_of_any_preset_tells_another_story(preset, values, ratio, p):
    estimate, low, high = values
    limits = {"conf_low": low, "conf_high": high, "conf_level": 0.95, "n": 50, "n_event": 20}
    accuracy = pd.DataFrame(
        [
            {"measure": name, "estimate": e, "numerator": 1, "denominator": 2, **limits}
            for name, e in (("sensitivity", estimate), ("lr_pos", ratio), ("youden", estimate))
        ]
    )
    contrast = pd.DataFrame(
        [
            {
                "model_1": "a",
                "model_2": "b",
                "auc_1": estimate,
                "auc_2": low,
                "estimate": estimate - low,
                "p_value": p,
                **(limits | {"conf_low": -high, "conf_high": high}),
            }
        ]
    )
    internal = pd.DataFrame(
        [{"measure": "auc", "apparent": estimate, "optimism": -1e-9, "corrected": high}]
    )
    for table in (
        accuracy_table({"A": accuracy}, preset=preset),
        auc_table(contrast, preset=preset),
        performance_table(internal, preset=preset),
    ):
        for cell in (cell for row in table.rows for cell in row):
            assert not re.search(r"nan|inf|None|<NA>|(?<!\d)[-−]0[.·]0+(?!\d)", cell), cell
    text = auc_table(contrast, preset=preset).rows[0][-1]
    assert not re.fullmatch(r"0?[.·]000?", text)
    if p == p:
        shown = float(re.sub("[<> ]", "", text).replace("·", "."))
        assert (shown < 0.05 or (text.startswith("<") and shown == 0.05)) == (p < 0.05)
    printed = performance_table(internal, preset=preset).rows[0][1].replace("·", ".")
    assert (printed == "1.000") == (estimate == 1)
    assert (printed == "0.000") == (estimate == 0)
