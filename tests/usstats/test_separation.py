"""Separation found by linear programming, with the variable named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from tests.reference import read_reference_table
from usstats.errors import OutcomeError
from usstats.separation import detect_separation


def with_ones(*columns: object) -> np.ndarray:
    return np.column_stack([np.ones(len(columns[0])), *columns])  # type: ignore[arg-type]


def test_the_separated_reference_table_names_its_variable() -> None:
    data = read_reference_table("sep_binary.csv")
    found = detect_separation(with_ones(data["x"], data["z"]), data["y"], names=["1", "x", "z"])
    assert found.kind == "complete"
    assert found.variables == ("x",)
    assert found.frame()["term"].tolist() == ["x"]


def test_complete_separation_is_told_from_quasi_separation() -> None:
    y = [0, 0, 0, 1, 1, 1]
    complete = detect_separation(with_ones([1, 2, 3, 4, 5, 6]), y)
    touching = detect_separation(with_ones([1, 2, 3, 3, 5, 6]), y)
    assert (complete.kind, complete.n_separated) == ("complete", 6)
    assert (touching.kind, touching.n_separated) == ("quasi", 4)


def test_variables_that_separate_only_together_are_both_named() -> None:
    a = np.array([1.0, 2, 3, 4, 1, 2, 3, 4])
    b = np.array([2.0, 3, 4, 5, 0, 1, 2, 3])
    y = (b > a).astype(int)
    found = detect_separation(with_ones(a, b), y, names=["1", "a", "b"])
    assert found.kind == "complete"
    assert found.variables == ("a", "b")


def test_a_factor_is_named_as_one_variable() -> None:
    level = np.repeat([0, 1, 2], 6)
    y = np.r_[0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, np.ones(6)].astype(int)
    X = with_ones(level == 1, level == 2)
    names = ["1", "site=b", "site=c"]
    found = detect_separation(X, y, names=names, groups={"site": [1, 2]})
    assert found.variables == ("site",)
    assert found.columns == ("site=c",)
    assert "quasi separation by `site` (6 of 18 rows)" in repr(found)


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_overlapping_data_are_not_separated(shift: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        x = rng.integers(0, 20, 40).astype(float)
        y = (rng.random(40) < special.expit(0.1 * (x - 10))).astype(int)
        overlap = x[y == 1].min() < x[y == 0].max() and x[y == 0].min() < x[y == 1].max()
        assert detect_separation(with_ones(x + shift), y).separated is not overlap


def test_the_outcome_is_checked() -> None:
    with pytest.raises(OutcomeError, match="only events"):
        detect_separation(with_ones([1.0, 2.0]), [1, 1])
