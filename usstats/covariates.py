"""Covariates computed from what was measured: Doppler indices, testicular volume, units."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats.errors import ArgumentError, PairingError, RiskError

__all__ = ["convert", "pulsatility_index", "resistive_index", "testicular_volume"]

Float = np.float64
#: Times length x width x height. Lambert, Acta Genet Stat Med 1951;2 Suppl 1.
VOLUME_FACTORS = MappingProxyType({"lambert": 0.71, "ellipsoid": np.pi / 6})
CM_PER_UNIT = MappingProxyType({"cm": 1.0, "mm": 0.1})
LARGEST_CM = 12.0

#: analyte -> unit -> factor to the first unit. Molar masses in g/mol: testosterone 288.42,
#: estradiol 272.38, AMH 140 000 (Beckman's convention of 7.14 pmol/L per ng/mL).
UNITS = MappingProxyType(
    {
        "testosterone": {
            "nmol/L": 1.0,
            "ng/mL": 1000 / 288.42,
            "ng/dL": 10 / 288.42,
            "ug/L": 1000 / 288.42,
        },
        "estradiol": {"pmol/L": 1.0, "pg/mL": 1000 / 272.38, "ng/L": 1000 / 272.38},
        "fsh": {"IU/L": 1.0, "mIU/mL": 1.0, "U/L": 1.0},
        "lh": {"IU/L": 1.0, "mIU/mL": 1.0, "U/L": 1.0},
        "inhibin_b": {"pg/mL": 1.0, "ng/L": 1.0},
        "amh": {"ng/mL": 1.0, "ug/L": 1.0, "pmol/L": 0.14},
        "velocity": {"cm/s": 1.0, "m/s": 100.0, "mm/s": 0.1},
        "length": {"cm": 1.0, "mm": 0.1},
        "volume": {"mL": 1.0, "cm3": 1.0, "mm3": 0.001},
    }
)


def resistive_index(psv: ArrayLike, edv: ArrayLike) -> NDArray[Float]:
    """Resistive (Pourcelot) index (PSV - EDV) / PSV.

    Parameters
    ----------
    psv, edv : array_like, shape (n,) or scalar
        Peak systolic and end-diastolic velocity in the same unit. EDV below 0 is reversed flow
        and gives an index above 1. A missing velocity gives a missing index.

    Returns
    -------
    (n,) float

    Raises
    ------
    RiskError
        PSV not above 0, or EDV above PSV.
    PairingError
        Different lengths.

    Notes
    -----
    Pourcelot, Applications cliniques de l'examen Doppler transcutane, INSERM 1974;34:213.

    Examples
    --------
    >>> resistive_index([12.0, 10.0], [4.8, 10.0]).tolist()
    [0.6, 0.0]
    """
    systolic, diastolic = _velocities(psv, edv)
    return np.asarray((systolic - diastolic) / systolic)


def pulsatility_index(psv: ArrayLike, edv: ArrayLike, mean_velocity: ArrayLike) -> NDArray[Float]:
    """Pulsatility index (PSV - EDV) / mean velocity over the cycle.

    Parameters
    ----------
    psv, edv, mean_velocity : array_like, shape (n,) or scalar
        In the same unit; the (time-averaged maximum) mean lies between EDV and PSV.

    Returns
    -------
    (n,) float

    Raises
    ------
    RiskError
        As `resistive_index`; a mean that is not above 0, or not between EDV and PSV.

    Notes
    -----
    Gosling and King, Proc R Soc Med 1974;67:447.

    Examples
    --------
    >>> pulsatility_index([12.0], [4.0], [8.0]).tolist()
    [1.0]
    """
    systolic, diastolic = _velocities(psv, edv)
    mean = _numbers(mean_velocity, "mean_velocity")
    _same_shape(psv=systolic, mean_velocity=mean)
    _refuse(mean <= 0, "mean_velocity", mean, "be above 0")
    _refuse(
        (mean > systolic) | (mean < diastolic), "mean_velocity", mean, "lie between EDV and PSV"
    )
    return np.asarray((systolic - diastolic) / mean)


def testicular_volume(
    length: ArrayLike,
    width: ArrayLike,
    height: ArrayLike,
    formula: str = "lambert",  # noqa: PT028 - no test, whatever its name
    *,
    unit: str = "cm",  # noqa: PT028
) -> NDArray[Float]:
    """Volume of a testis in mL from its three axes.

    Parameters
    ----------
    length, width, height : array_like, shape (n,) or scalar
    formula : {"lambert", "ellipsoid"}
        Length x width x height x 0.71 (Lambert), or x pi / 6 (ellipsoid of revolution).
        Lambert's comes closest to the true volume of testes (Paltiel et al. 2002).
    unit : {"cm", "mm"}
        Unit of the axes.

    Returns
    -------
    (n,) float
        NaN where an axis is missing.

    Raises
    ------
    RiskError
        An axis that is not above 0, or too long for the unit.
    PairingError
        Different lengths.

    Notes
    -----
    Lambert, Acta Genet Stat Med 1951;2 Suppl 1; comparison: Paltiel et al., Radiology 2002.

    Examples
    --------
    >>> testicular_volume(4.0, 3.0, 2.0).item()
    17.04
    >>> testicular_volume(40, 30, 20, "ellipsoid", unit="mm").item()
    12.566
    """
    check_option(formula, tuple(VOLUME_FACTORS), name="formula")
    check_option(unit, tuple(CM_PER_UNIT), name="unit")
    axes = {
        name: _numbers(values, name) * CM_PER_UNIT[unit]
        for name, values in (("length", length), ("width", width), ("height", height))
    }
    _same_shape(**axes)
    for name, axis in axes.items():
        _refuse(axis <= 0, name, axis, "be above 0")
        hint = f"be at most {LARGEST_CM:g} cm (for millimetres pass unit='mm')"
        _refuse(axis > LARGEST_CM, name, axis, hint)
    long, wide, high = axes.values()
    return np.asarray(VOLUME_FACTORS[formula] * long * wide * high)


def convert(values: ArrayLike, analyte: str, from_unit: str, to_unit: str) -> NDArray[Float]:
    """Values in another unit.

    Parameters
    ----------
    values : array_like, shape (n,) or scalar
    analyte : str
        testosterone, estradiol, fsh, lh, inhibin_b, amh; or velocity, length, volume.
    from_unit, to_unit : str

    Returns
    -------
    (n,) float

    Raises
    ------
    ArgumentError
        An analyte or unit that is not known; those that are known are listed.
    RiskError
        Negative concentrations, lengths or volumes, or infinite values.

    Notes
    -----
    Molar masses: testosterone 288.42, estradiol 272.38 g/mol. Prolactin is left out, because its
    factor depends on the standard of the assay.

    Examples
    --------
    >>> convert([1.0, 5.0], "testosterone", "ng/mL", "nmol/L").round(3).tolist()
    [3.467, 17.336]
    """
    check_option(analyte, tuple(UNITS), name="analyte")
    factors = UNITS[analyte]
    check_option(from_unit, tuple(factors), name="from_unit")
    check_option(to_unit, tuple(factors), name="to_unit")
    numbers = _numbers(values, "values")
    if analyte != "velocity":
        _refuse(numbers < 0, "values", numbers, "not be negative")
    return np.asarray(numbers * (factors[from_unit] / factors[to_unit]))


def _velocities(psv: ArrayLike, edv: ArrayLike) -> tuple[NDArray[Float], NDArray[Float]]:
    systolic, diastolic = _numbers(psv, "psv"), _numbers(edv, "edv")
    _same_shape(psv=systolic, edv=diastolic)
    _refuse(systolic <= 0, "psv", systolic, "be above 0")
    _refuse(diastolic > systolic, "edv", diastolic, "not exceed psv; are the columns swapped")
    return systolic, diastolic


def _numbers(values: ArrayLike, name: str) -> NDArray[Float]:
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        msg = f"`{name}` must be numeric."
        raise ArgumentError(msg) from None
    _refuse(np.isinf(numbers), name, numbers, "be finite")
    return numbers


def _same_shape(**arrays: NDArray[Float]) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"`{name}` {shape}" for name, shape in shapes.items())
        msg = f"These must describe the same cases, one value each; shapes: {found}."
        raise PairingError(msg)


def _refuse(bad: NDArray[np.bool_], name: str, values: NDArray[Float], must: str) -> None:
    if np.any(bad):
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"`{name}` must {must}; {np.count_nonzero(bad)} of {values.size} values do not "
            f"comply (first: {values.flat[first]:g}, row {first})."
        )
        raise RiskError(msg)
