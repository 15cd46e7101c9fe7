"""The declared tables, and a study's own words about its columns."""

from __future__ import annotations

import pytest
from numpy.testing import assert_allclose

from data_schema import Column, load_schema
from data_schema.errors import SchemaError
from data_schema.schema import TYPES

TABLES = ("patients", "images", "predictions", "readings", "splits")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_consistent(name):
    schema = load_schema(name)
    assert schema.name == name
    assert schema.description
    assert len(set(schema.names)) == len(schema.names)
    assert all(schema[key].required for key in schema.primary_key)
    for column in schema.columns:
        assert column.type in TYPES
        if column.is_numeric:
            assert column.minimum is not None
            assert column.maximum is not None
        if column.plausible is not None:
            assert column.minimum <= column.plausible[0] < column.plausible[1] <= column.maximum
    for key in schema.foreign_keys:
        assert key.column in schema
        assert key.reference_column in load_schema(key.reference)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("fsh", "IU/L"),
        ("lh", "IU/L"),
        ("testosterone", "nmol/L"),
        ("inhibin_b", "pg/mL"),
        ("testicular_volume", "mL"),
        ("psv", "cm/s"),
        ("edv", "cm/s"),
        ("age", "years"),
        ("bmi", "kg/m2"),
        ("max_diameter_mm", "mm"),
    ],
)
def test_units_of_known_covariates(name, unit):
    column = load_schema("patients")[name]
    assert column.unit == unit
    assert column.plausible is not None or name == "age"


def test_predictions_have_the_columns_of_the_contract():
    assert load_schema("predictions").names == (
        "patient_id", "image_id", "model", "fold", "role", "class", "logit", "probability",
        "probability_calibrated", "n_images", "model_hash",
    )  # fmt: skip


def test_a_study_declares_its_own_columns():
    schema = load_schema(
        "patients",
        columns={
            "crp": {"type": "number", "unit": "mg/L", "range": [0, None], "missing": ["NA", 999]},
            "grade": {"levels": [1, 2, "2b"]},
        },
    )
    assert schema["crp"].minimum == 0
    assert schema["crp"].maximum is None
    assert schema["crp"].missing == ("NA", "999")
    assert schema["crp"].present
    assert schema["grade"].levels == ("1", "2", "2b")
    assert "crp" not in load_schema("patients")


def test_a_study_changes_a_known_column_and_keeps_the_rest():
    column = load_schema("patients", columns={"fsh": {"maximum": 150}})["fsh"]
    assert (column.maximum, column.minimum, column.unit) == (150, 0, "IU/L")


def test_ranges_follow_a_known_other_unit():
    si, own = (
        load_schema("patients", columns={"testosterone": facts})["testosterone"]
        for facts in ({}, {"unit": "ng/mL"})
    )
    assert_allclose(own.maximum * 3.4672, si.maximum)
    assert_allclose([end * 3.4672 for end in own.plausible], si.plausible)


def test_an_unknown_unit_drops_the_ranges():
    column = load_schema("patients", columns={"fsh": {"unit": "ng/mL"}})["fsh"]
    assert (column.unit, column.minimum, column.maximum, column.plausible) == (
        "ng/mL", None, None, None,
    )  # fmt: skip


def test_outcome_labels():
    schema = load_schema("patients").with_outcome(
        "outcome", positive="malignant", negative="benign", others=["normal"]
    )
    assert schema["outcome"].levels == ("benign", "malignant", "normal")
    assert schema["outcome"].positive == "malignant"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"units": "mm"}, r"column x: unknown key 'units'\. Did you mean 'unit'\?"),
        ({"type": "float"}, "type must be one of string, integer, number"),
        ({"range": [3, 1]}, r"range must be \[low, high\]"),
        ({"range": [True, 2]}, "range must be"),
        ({"plausible": 3}, "plausible must be"),
        ({"levels": "a"}, "levels must be a list"),
        ({"levels": ["a", "a"]}, "levels holds a value twice"),
        ({"levels": ["a", "b"], "positive": "c"}, "positive 'c' is not among its levels"),
    ],
)
def test_bad_declarations(facts, text):
    with pytest.raises(SchemaError, match=text):
        Column.declared("x", facts)


def test_unknown_names():
    with pytest.raises(SchemaError, match="There is no table 'patient'"):
        load_schema("patient")
    with pytest.raises(KeyError, match="no column 'crp'"):
        load_schema("patients")["crp"]
