"""Doppler indices, volumes and units against published numbers and their own domain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from usstats import covariates
from usstats.covariates import UNITS, convert, pulsatility_index, resistive_index
from usstats.errors import ArgumentError, PairingError, RiskError

positive = st.floats(0.01, 1000)


def test_resistive_index_by_hand():
    assert_allclose(resistive_index([10, 20, 8], [4, 5, 8]), [0.6, 0.75, 0])
    assert resistive_index(10.0, 4.0) == pytest.approx(0.6)


def test_reversed_flow_is_above_one():
    assert_allclose(resistive_index([10.0], [-2.0]), [1.2])


def test_missing_stays_missing():
    assert np.isnan(resistive_index([np.nan, 10.0], [4.0, np.nan])).all()
    assert np.isnan(pulsatility_index([10.0], [4.0], [np.nan])).all()
    assert np.isnan(covariates.testicular_volume([4.0], [np.nan], [2.0])).all()
    assert np.isnan(convert([np.nan], "fsh", "IU/L", "mIU/mL")).all()


@given(positive, st.floats(0, 1), st.floats(0.1, 10))
def test_indices_do_not_depend_on_the_unit(psv, share, factor):
    edv, mean = psv * share, psv * (share + 1) / 2
    scaled = resistive_index(psv * factor, edv * factor)
    assert_allclose(resistive_index(psv, edv), scaled, atol=1e-12)
    assert_allclose(
        pulsatility_index(psv, edv, mean),
        pulsatility_index(psv * factor, edv * factor, mean * factor),
        atol=1e-12,
    )


@given(positive, st.floats(0, 0.999))
def test_pulsatility_exceeds_resistance_where_the_mean_is_below_the_peak(psv, share):
    edv = psv * share
    mean = (psv + 2 * edv) / 3
    if mean > 0:
        assert pulsatility_index(psv, edv, mean) >= resistive_index(psv, edv) - 1e-12


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: resistive_index([10, 5], [4, 6]), RiskError, r"`edv` must not exceed psv.*row 1"),
        (lambda: resistive_index([0.0], [0.0]), RiskError, "`psv` must be above 0"),
        (lambda: resistive_index([1, 2], [1]), PairingError, "shapes"),
        (lambda: resistive_index([np.inf], [1]), RiskError, "finite"),
        (lambda: resistive_index(["a"], [1]), ArgumentError, "`psv` must be numeric"),
        (lambda: pulsatility_index([10], [4], [11]), RiskError, "between EDV and PSV"),
        (lambda: pulsatility_index([10], [-4], [0]), RiskError, "`mean_velocity` must be above 0"),
        (lambda: covariates.testicular_volume([-4], [3], [2]), RiskError, "`length` must be above"),
        (lambda: covariates.testicular_volume([42], [30], [20]), RiskError, "unit='mm'"),
        (lambda: covariates.testicular_volume(4, 3, 2, "prolate"), ArgumentError, "'lambert'"),
        (lambda: covariates.testicular_volume(4, 3, 2, unit="m"), ArgumentError, "`unit`"),
        (lambda: covariates.testicular_volume([4], [3, 3], [2]), PairingError, "shapes"),
        (lambda: convert([1], "cortisol", "a", "b"), ArgumentError, "`analyte` must be one of"),
        (lambda: convert([1], "fsh", "ng/mL", "IU/L"), ArgumentError, "`from_unit`"),
        (lambda: convert([1], "fsh", "IU/L", "ng/mL"), ArgumentError, "`to_unit`"),
        (lambda: convert([-1], "fsh", "IU/L", "mIU/mL"), RiskError, "not be negative"),
    ],
)
def test_outside_the_domain(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_volumes():
    assert_allclose(covariates.testicular_volume([4, 5], [3, 3], [2, 2.5]), [17.04, 26.625])
    ellipsoid = covariates.testicular_volume(2, 2, 2, "ellipsoid")
    assert_allclose(ellipsoid, 4 / 3 * np.pi)  # a sphere of radius 1
    assert_allclose(
        covariates.testicular_volume([40], [30], [20], unit="mm"),
        covariates.testicular_volume([4], [3], [2]),
    )


@pytest.mark.parametrize(
    ("analyte", "from_unit", "to_unit", "factor"),
    [
        ("testosterone", "ng/mL", "nmol/L", 3.467),
        ("testosterone", "ng/dL", "nmol/L", 0.03467),
        ("estradiol", "pg/mL", "pmol/L", 3.671),
        ("amh", "ng/mL", "pmol/L", 7.14),
        ("fsh", "mIU/mL", "IU/L", 1.0),
        ("inhibin_b", "pg/mL", "ng/L", 1.0),
        ("velocity", "m/s", "cm/s", 100.0),
        ("volume", "mm3", "mL", 0.001),
    ],
)
def test_published_factors(analyte, from_unit, to_unit, factor):
    assert_allclose(convert(2.0, analyte, from_unit, to_unit), 2 * factor, rtol=5e-4)


@pytest.mark.parametrize("analyte", sorted(UNITS))
def test_there_and_back_is_the_same(analyte):
    for one in UNITS[analyte]:
        for two in UNITS[analyte]:
            assert_allclose(convert(convert(3.7, analyte, one, two), analyte, two, one), 3.7)
