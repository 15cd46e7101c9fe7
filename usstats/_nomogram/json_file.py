"""Nomogram files: axes and scales beside the model they follow from, and back again unchanged.

The reader draws the axes up again from the model in the file; a position that is not where the
model puts it, or any other edit, is refused with its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from usstats._fits.json_file import (
    SpecFile,
    StrictFile,
    Text,
    check_agreement,
    check_version,
    checked_content,
    content_digest,
    file_fault,
    load_json,
    spec_of,
    write_content,
)
from usstats._nomogram.axes import AxisOptions, Reference
from usstats._nomogram.model import NomogramModel
from usstats._nomogram.outcome_scale import HazardRecord
from usstats.errors import UsstatsError
from usstats.nomogram import Nomogram, draw_up

SCHEMA = "usstats.nomogram"
SCHEMA_VERSION = 2
#: Positions may differ by the last digits of another machine's arithmetic.
TOLERANCE = 1e-9


class _ReferenceFile(StrictFile):
    columns: list[float] = Field(min_length=1)
    lp: float


class _RecordFile(StrictFile):
    times: list[float] = Field(min_length=1)
    hazard: list[float]
    variance: list[float]
    centre: list[list[float]]


class _OutcomeFile(StrictFile):
    kind: Literal["risk", "survival", "median"]
    time: float | None
    ticks: list[float]
    points: list[float]


class _AxisFile(StrictFile):
    name: Text
    variable: Text
    given: dict[str, Text]
    values: list[float] | list[Text] = Field(min_length=1)
    linear_predictor_part: list[float]
    points: list[float]


class _NomogramFile(StrictFile):
    """Everything a nomogram's file holds."""

    schema_name: Literal["usstats.nomogram"]
    schema_version: Literal[2]
    max_points: float = Field(gt=0)
    points_per_lp: float
    lp_at_zero: float
    n: int | None
    n_event: int | None
    time_unit: Text
    horizon: float | None
    axes: list[_AxisFile] = Field(min_length=1)
    hold: dict[str, list[float]]
    total_ticks: list[float]
    lp_ticks: list[float]
    outcomes: list[_OutcomeFile]
    spec: SpecFile
    params: dict[str, float]
    covariance: list[list[float]] | None
    reference: _ReferenceFile
    baseline: _RecordFile | None
    sha256: str


def write_nomogram(nomogram: Nomogram, path: str | Path) -> None:
    """Write a nomogram's file atomically; see `Nomogram.to_json`."""
    write_content(nomogram_content(nomogram), path)


def nomogram_content(nomogram: Nomogram) -> dict[str, Any]:
    """The nomogram as plain values, without its digest."""
    model = nomogram.model
    V = model.covariance.to_numpy(dtype=float)
    return {
        "schema_name": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "max_points": nomogram.max_points,
        "points_per_lp": nomogram.points_per_lp,
        "lp_at_zero": nomogram.lp_at_zero,
        "n": model.n,
        "n_event": model.n_event,
        "time_unit": model.unit,
        "horizon": nomogram.risk_scale.time,
        "axes": [axis.to_dict() for axis in nomogram.axes],
        "hold": _held_numbers(nomogram),
        "total_ticks": list(nomogram.total_ticks),
        "lp_ticks": list(nomogram.lp_ticks),
        "outcomes": _outcomes_content(nomogram),
        "spec": model.spec.to_dict(),
        "params": {str(name): float(value) for name, value in model.params.items()},
        "covariance": V.tolist() if np.isfinite(V).all() else None,
        "reference": {
            "columns": model.reference.columns.tolist(),
            "lp": model.reference.lp,
        },
        "baseline": None if model.record is None else _record_content(model.record),
    }


def _held_numbers(nomogram: Nomogram) -> dict[str, list[float]]:
    """Values that interacting numbers are held at, by variable."""
    return {
        name: list(values)
        for group in nomogram.groups
        for name, values in group.held.items()
        if nomogram.spec.mains[name].type != "factor"
    }


def _outcomes_content(nomogram: Nomogram) -> list[dict[str, Any]]:
    return [
        {
            "kind": axis.scale.kind,
            "time": axis.scale.time,
            "ticks": list(axis.ticks),
            "points": nomogram.total_of_lp(axis.scale.to_lp(axis.ticks)).tolist(),
        }
        for axis in nomogram.outcomes
    ]


def _record_content(record: HazardRecord) -> dict[str, Any]:
    return {name: getattr(record, name).tolist() for name in _RecordFile.model_fields}


def read_nomogram(path: str | Path) -> Nomogram:
    """Read a nomogram's file; see `Nomogram.from_json`.

    Raises
    ------
    SchemaError
        Not such a file, another version, a missing or edited value; with its path in the file.
    """
    content = load_json(path)
    check_version(content, path, schema=SCHEMA, version=SCHEMA_VERSION)
    checked = checked_content(_NomogramFile, content, path)
    with np.errstate(all="ignore"):
        nomogram = _drawn_up(checked, path)
        fault = _first_difference(nomogram_content(nomogram), content, "$")
    if fault is not None:
        raise file_fault(path, fault, "does not follow from the model in the file: it was edited")
    if checked.sha256 != content_digest(content):
        raise file_fault(path, "$.sha256", "the content does not match its digest: it was edited")
    return nomogram


def _drawn_up(checked: _NomogramFile, path: str | Path) -> Nomogram:
    """The nomogram that the model in the file makes at the values in the file."""
    model = _model(checked, path)
    for i, axis in enumerate(checked.outcomes):
        if not all(tick > 0 and (tick < 1 or axis.kind == "median") for tick in axis.ticks):
            raise file_fault(path, f"$.outcomes[{i}].ticks", "lie outside what the axis can show")
    try:
        return draw_up(
            model,
            _options(checked),
            max_points=checked.max_points,
            horizon=checked.horizon,
            lp_ticks=checked.lp_ticks,
            shown=[(axis.kind, axis.time, axis.ticks) for axis in checked.outcomes],
        )
    except (UsstatsError, KeyError, IndexError) as error:
        raise file_fault(path, "$.axes", f"cannot be drawn up ({error})") from None


def _options(checked: _NomogramFile) -> AxisOptions:
    numbers = {
        axis.variable: [float(value) for value in axis.values]
        for axis in reversed(checked.axes)
        if not isinstance(axis.values[0], str)
    }
    return AxisOptions(ranges={}, ticks=numbers, hold=checked.hold)


def _model(checked: _NomogramFile, path: str | Path) -> NomogramModel:
    spec = spec_of(checked.spec, path)
    columns = list(spec.column_names)
    survival = checked.baseline is not None
    names, given = columns[survival:], checked.reference.columns
    check_agreement(names, checked.params, [0.0, *given][survival:], checked.covariance, path)
    V = np.full((len(names), len(names)), np.nan)
    return NomogramModel(
        spec=spec,
        params=pd.Series(checked.params, name="estimate", dtype=float)[names],
        covariance=pd.DataFrame(
            V if checked.covariance is None else checked.covariance, index=names, columns=names
        ),
        reference=Reference(columns=np.array(given), lp=checked.reference.lp),
        record=_record(checked, len(columns) - 1, path),
        unit=checked.time_unit,
        n=checked.n,
        n_event=checked.n_event,
    )


def _record(checked: _NomogramFile, k: int, path: str | Path) -> HazardRecord | None:
    """The baseline hazard; every time shown must be one of its times."""
    stored = checked.baseline
    if stored is None:
        survival = checked.horizon is not None or any(
            axis.kind != "risk" or axis.time is not None for axis in checked.outcomes
        )
        if survival:
            raise file_fault(path, "$.baseline", "survival at a time needs a baseline hazard")
        return None
    steps = {name: np.array(getattr(stored, name)) for name in ("times", "hazard", "variance")}
    m = steps["times"].size
    even = len(stored.centre) == m and all(len(row) == k for row in stored.centre)
    if not even or any(values.shape != (m,) for values in steps.values()):
        why = f"`hazard`, `variance` and `centre` must have {m} steps"
        raise file_fault(path, "$.baseline", why)
    if (np.diff(steps["times"]) <= 0).any() or steps["hazard"][0] <= 0:
        raise file_fault(path, "$.baseline", "times must increase and hazards be positive")
    _check_times(checked, stored.times, path)
    return HazardRecord(**steps, centre=np.array(stored.centre))


def _check_times(checked: _NomogramFile, times: list[float], path: str | Path) -> None:
    if checked.horizon not in times:
        raise file_fault(path, "$.horizon", "is none of the times of the baseline hazard")
    for i, axis in enumerate(checked.outcomes):
        if (axis.time is None) != (axis.kind == "median"):
            raise file_fault(path, f"$.outcomes[{i}].time", f"does not suit {axis.kind!r}")
        if axis.time is not None and axis.time not in times:
            where = f"$.outcomes[{i}].time"
            raise file_fault(path, where, "is none of the times of the baseline hazard")


def _first_difference(expected: Any, found: Any, where: str) -> str | None:
    """Path of the first value that is not what the model gives."""
    if isinstance(expected, Mapping):
        pairs = [(f"{where}.{key}", expected[key], found.get(key)) for key in expected]
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return where
        pairs = [
            (f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(expected, found, strict=True))
        ]
    elif isinstance(expected, float) and isinstance(found, int | float):
        apart = abs(expected - found)
        return None if apart <= TOLERANCE * (1 + abs(expected)) else where
    else:
        return None if expected == found else where
    return next((fault for p, a, b in pairs if (fault := _first_difference(a, b, p))), None)
