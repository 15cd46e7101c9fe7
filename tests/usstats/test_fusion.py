"""Images become patients, and nothing in-sample gets through."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from usstats.errors import (
    ArgumentError,
    LeakageError,
    PairingError,
    RiskError,
    SchemaError,
    UsstatsWarning,
)
from usstats.fusion import patient_probability


def predictions(**columns) -> pd.DataFrame:
    p = [0.2, 0.6, 0.9, 0.3]
    base = {
        "patient_id": ["p1", "p1", "p2", "p3"],
        "image_id": ["i1", "i2", "i3", "i4"],
        "model": "roi",
        "fold": [0, 0, 1, 1],
        "role": "out_of_fold",
        "class": "NOA",
        "logit": logit(p),
        "probability": p,
        "probability_calibrated": np.square(p),
        "model_hash": ["a", "a", "b", "b"],
    }
    return pd.DataFrame(base | columns)


def test_columns_and_provenance():
    frame = patient_probability(predictions())
    assert frame.columns.tolist() == [
        "patient_id", "dl_prob", "n_images", "fold", "role", "model_hash",
    ]  # fmt: skip
    assert frame["patient_id"].tolist() == ["p1", "p2", "p3"]
    assert frame["n_images"].tolist() == [2, 1, 1]
    assert frame["fold"].tolist() == [0, 1, 1]
    assert frame["model_hash"].tolist() == ["a", "b", "b"]
    assert frame.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("mean_logit", expit((logit(0.04) + logit(0.36)) / 2)),
        ("mean_probability", 0.2),
        ("max", 0.36),
    ],
)
def test_aggregates_by_hand(aggregate, expected):
    frame = patient_probability(predictions(), aggregate=aggregate)
    assert_allclose(frame["dl_prob"], [expected, 0.81, 0.09])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.01, 0.99)), min_size=1, max_size=30),
    st.sampled_from(["mean_logit", "mean_probability", "max"]),
)
def test_laws_of_every_aggregate(rows, aggregate):
    patients, p = zip(*rows, strict=True)
    table = pd.DataFrame(
        {
            "patient_id": patients,
            "image_id": range(len(rows)),
            "fold": 0,
            "role": "out_of_fold",
            "model_hash": "h",
            "probability": p,
        }
    )
    frame = patient_probability(table, aggregate=aggregate, column="probability")
    by_patient = table.groupby("patient_id")["probability"]
    got = frame.set_index("patient_id")["dl_prob"].sort_index()
    assert (got >= by_patient.min() - 1e-12).all()
    assert (got <= by_patient.max() + 1e-12).all()
    single = by_patient.size() == 1
    assert_allclose(got[single.index[single]], by_patient.first()[single], rtol=1e-9)
    shuffled = patient_probability(
        table.sample(frac=1, random_state=1), aggregate=aggregate, column="probability"
    )
    assert_allclose(shuffled.set_index("patient_id")["dl_prob"][got.index], got)


def test_mean_logit_is_symmetric_in_the_class():
    table = predictions()
    mirrored = table.assign(probability_calibrated=1 - table["probability_calibrated"])
    one, two = patient_probability(table), patient_probability(mirrored)
    assert_allclose(one["dl_prob"], 1 - two["dl_prob"])


def test_certainty_keeps_a_finite_logit():
    table = predictions(probability_calibrated=[0.0, 0.0, 1.0, 0.5])
    p = patient_probability(table)["dl_prob"]
    assert np.isfinite(logit(p)).all()


def test_external_rows_have_no_fold():
    table = predictions(fold=[0, 0, np.nan, np.nan], role=["out_of_fold"] * 2 + ["external"] * 2)
    frame = patient_probability(table)
    assert frame["fold"].isna().tolist() == [False, True, True]
    assert patient_probability(table, role="external")["patient_id"].tolist() == ["p2", "p3"]


def test_in_sample_rows_are_a_leak():
    table = predictions(role=["out_of_fold", "out_of_fold", "in_sample", "out_of_fold"])
    text = r"R01: 1 of 4 rows are predictions for the network's own training .* first patients: p2"
    with pytest.raises(LeakageError, match=text):
        patient_probability(table)
    with pytest.raises(LeakageError, match="R01"):
        patient_probability(table, role="external")


@pytest.mark.parametrize("column", ["role", "fold", "model_hash"])
def test_no_provenance_is_a_leak(column):
    with pytest.raises(LeakageError, match=rf"R01: .*{column} absent"):
        patient_probability(predictions().drop(columns=column))


@pytest.mark.parametrize(
    "columns", [{"role": "training"}, {"role": None}, {"fold": [np.nan, 0, 1, 1]}]
)
def test_rows_of_unknown_origin_are_a_leak(columns):
    with pytest.raises(LeakageError, match=r"R01: .* lack their provenance"):
        patient_probability(predictions(**columns))


def test_a_patient_in_two_folds_or_cohorts_is_a_leak():
    with pytest.raises(LeakageError, match=r"R03: 1 patients .* \(first: p1\)"):
        patient_probability(predictions(fold=[0, 1, 1, 1]))
    with pytest.raises(LeakageError, match="R03"):
        patient_probability(predictions(role=["out_of_fold", "external"] + ["out_of_fold"] * 2))


def test_several_models_need_a_choice():
    two = pd.concat([predictions(), predictions(model="whole", probability_calibrated=0.5)])
    with pytest.raises(ArgumentError, match=r"2 models \['roi', 'whole'\]"):
        patient_probability(two)
    assert_allclose(patient_probability(two, model="whole")["dl_prob"], 0.5)
    with pytest.raises(ArgumentError, match="`model` must be one of 'roi', 'whole'"):
        patient_probability(two, model="other")


def test_several_classes_need_a_choice_and_sum_to_one():
    other = predictions()
    other = other.assign(**{"class": "OA"}, probability=1 - other["probability"])
    both = pd.concat([predictions(), other], ignore_index=True)
    with pytest.raises(ArgumentError, match="say which is the event"):
        patient_probability(both, column="probability")
    chosen = patient_probability(both, column="probability", positive="NOA")
    assert_allclose(
        chosen["dl_prob"], patient_probability(predictions(), column="probability")["dl_prob"]
    )
    broken = both.assign(probability=both["probability"] * 0.9)
    with pytest.raises(RiskError, match="R25: `probability` must sum to 1 over the 2 classes"):
        patient_probability(broken, column="probability", positive="NOA")
    with pytest.raises(RiskError, match="R25"):
        patient_probability(both.iloc[:-1], column="probability", positive="NOA")


def test_repeated_images():
    with pytest.raises(PairingError, match="1 of 4 rows repeat an image"):
        patient_probability(predictions(image_id=["i1", "i1", "i3", "i4"]))


@pytest.mark.parametrize("value", [1.2, 87.0, -0.1, np.nan, np.inf])
def test_values_that_are_no_probability(value):
    with pytest.raises(RiskError, match="`probability_calibrated` must"):
        patient_probability(predictions(probability_calibrated=[0.1, 0.2, 0.3, value]))


@pytest.mark.parametrize("twice", [lambda x: expit(expit(x)), lambda x: expit(2 * expit(x) - 1)])
def test_a_softmax_of_a_softmax_is_recognised_by_the_logit(twice):
    table = predictions()
    with pytest.raises(RiskError, match="R25: `probability` is the softmax of a softmax"):
        patient_probability(table.assign(probability=twice(table["logit"])), column="probability")


def squeezed(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "patient_id": range(n),
            "image_id": range(n),
            "fold": 0,
            "role": "out_of_fold",
            "model_hash": "h",
            "probability": expit(2 * rng.random(n) - 1),
        }
    )


def test_a_squeezed_range_without_logits_is_suspicious():
    with pytest.warns(UsstatsWarning, match="R25: all 40 values"):
        patient_probability(squeezed(), column="probability")


def test_a_squeezed_range_that_the_logits_confirm_is_not():
    table = squeezed()
    table["logit"] = logit(table["probability"])
    patient_probability(table, column="probability")


@pytest.mark.parametrize(
    ("table", "options", "error", "text"),
    [
        (predictions().drop(columns="patient_id"), {}, SchemaError, "lacks the columns patient_id"),
        (
            predictions().drop(columns="probability_calibrated"),
            {},
            SchemaError,
            'Pass column="probability"',
        ),
        (predictions().iloc[:0], {}, SchemaError, "has no rows"),
        (predictions(patient_id=[None, "p1", "p2", "p3"]), {}, PairingError, "without a patient"),
        (predictions(), {"aggregate": "median"}, ArgumentError, "'mean_logit'"),
        (predictions(), {"role": "external"}, SchemaError, "No row has the role external"),
        (predictions(), {"role": "in_sample"}, ArgumentError, "`role` must be one of"),
        (predictions(), {"positive": "OA"}, ArgumentError, "`positive` must be one of 'NOA'"),
    ],
)
def test_bad_arguments(table, options, error, text):
    with pytest.raises(error, match=text):
        patient_probability(table, **options)
