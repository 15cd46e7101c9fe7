"""Problems can be listed, counted and raised."""

from __future__ import annotations

import pytest

from data_schema import Problem, assert_valid, problems_frame
from data_schema.errors import SchemaError


def problem(**facts) -> Problem:
    base = {
        "file": "patients.csv", "column": "fsh", "rows": (4, 9), "n": 2, "code": "decimal_comma",
        "found": "'12,5'", "expected": "a decimal point", "remedy": "write 12.5",
    }  # fmt: skip
    return Problem(**(base | facts))


def test_frame_has_one_row_a_problem():
    frame = problems_frame([problem(), problem(severity="warning", rows=(), n=0)])
    assert frame.columns.tolist() == [
        "file", "column", "rows", "n", "code", "severity", "found", "expected", "remedy",
    ]  # fmt: skip
    assert frame["rows"].tolist() == ["4 9", ""]
    assert frame["severity"].tolist() == ["error", "warning"]
    assert problems_frame([]).empty


def test_warnings_pass():
    assert_valid([problem(severity="warning")])
    assert_valid([])


def test_errors_are_raised_together():
    with pytest.raises(SchemaError) as caught:
        assert_valid([problem(), problem(column="lh", severity="warning"), problem(column="age")])
    assert str(caught.value) == (
        "The tables cannot be used as they are (2 problems):\n"
        "  error decimal_comma: patients.csv, column fsh, lines 4, 9: found '12,5'; expected a "
        "decimal point; write 12.5\n"
        "  error decimal_comma: patients.csv, column age, lines 4, 9: found '12,5'; expected a "
        "decimal point; write 12.5"
    )


def test_a_long_list_is_cut():
    with pytest.raises(SchemaError, match=r"\(40 problems\)(.|\n)*and 28 more"):
        assert_valid([problem() for _ in range(40)])


def test_problems_are_frozen():
    with pytest.raises(AttributeError):
        problem().n = 3
