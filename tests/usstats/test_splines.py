"""Harrell's knots and the restricted cubic spline basis."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import load_case, read_reference_table
from usstats.errors import DesignError
from usstats.splines import harrell_knots, rcs_basis

CASE = load_case("rcs_knots_rules")


@pytest.mark.parametrize("key", CASE.expected["knots"])
def test_knots_equal_rcspline_eval(key: str) -> None:
    file, column, *subset, count = key.split(".")
    data = read_reference_table(f"{file}.csv")
    values = data.loc[data["low"] == 1, column] if subset else data[column]
    CASE.check(harrell_knots(values, int(count[1:])), f"knots.{key}")


def test_basis_equals_rcspline_eval() -> None:
    data = read_reference_table("birthwt.csv")
    basis = rcs_basis(data["lwt"].head(10), CASE.expected["knots"]["birthwt.lwt.k5"])
    CASE.check(basis, "basis_first10")


def test_the_curve_is_straight_outside_the_knots_and_smooth_inside() -> None:
    knots = [1.0, 2.0, 4.0, 7.0]
    x = np.linspace(-3, 12, 3001)
    columns = rcs_basis(x, knots)
    second = np.diff(columns, n=2, axis=0)
    outside = (x[1:-1] < 0.99) | (x[1:-1] > 7.01)
    np.testing.assert_allclose(second[outside], 0, atol=1e-9)
    assert np.abs(np.diff(second, axis=0)).max() < 1e-6


def test_the_basis_follows_the_origin_and_unit() -> None:
    x, knots = np.linspace(0, 9, 50), np.array([1.0, 3.0, 5.0, 8.0])
    plain = rcs_basis(x, knots)
    np.testing.assert_allclose(rcs_basis(x * 1e6, knots * 1e6), plain * 1e6, rtol=1e-9)
    moved = rcs_basis(x + 100, knots + 100)
    np.testing.assert_allclose(moved[:, 1:], plain[:, 1:], atol=1e-9)


def test_few_distinct_values_become_the_knots() -> None:
    assert harrell_knots([1, 2, 3, 4, 5] * 10, 3).tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("values", "k", "text"),
    [
        ([1, 2, 3], 3, "at least 6 values; got 3"),
        ([0, 1, 2, 3] * 10, 3, "Only 2 distinct knots"),
        (range(50), 2, "3 to 7 knots; got 2"),
        (range(50), 8, "3 to 7 knots; got 8"),
        ([0] * 100 + [1, 2, 3, 4, 5], 3, "Only 4 values lie beside those tied"),
    ],
)
def test_knots_that_cannot_be_placed(values: list[float], k: int, text: str) -> None:
    with pytest.raises(DesignError, match=text):
        harrell_knots(values, k)


@pytest.mark.parametrize("knots", [[1, 2], [1, 1, 2], [3, 2, 1], [1, 2, np.nan]])
def test_explicit_knots_must_increase(knots: list[float]) -> None:
    with pytest.raises(DesignError, match="at least 3 finite, increasing numbers"):
        rcs_basis([1.0], knots)
