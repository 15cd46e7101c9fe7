"""The reader study of a folder that has one: `readings.csv` against the patients' outcomes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from data_schema import assert_valid, load_schema, read_table
from reports.files import read_csv, write_csv, write_json
from reports.pipeline import Workspace
from reports.study import Study
from usstats.assistance import AssistanceEffect, assistance_effect
from usstats.readers import ReaderStudy, reader_study

READINGS, POINTS = "readings.csv", "operating_points"
#: Conditions of an aid; under other names two systems are compared.
AIDED = {"unaided", "aided"}
#: What a reading takes over from its patient.
_TAKEN = ("patient_id", "event", "cohort")
_ROLES = {
    "truth": "event",
    "case": "case",
    "reader": "reader",
    "condition": "condition",
    "rating": "rating",
}


def analyse_readers(work: Workspace) -> None:
    """Readers by condition, random readers and random cases, on the patients of the study (R22)."""
    readings = judged_readings(work.study)
    result = analyse(readings, threshold=_positive_from(work.study))
    write_csv(work.folder / "readers.csv", result.frame())
    points = getattr(result, "operating_points", pd.DataFrame())
    if len(points):
        write_csv(work.folder / f"{POINTS}.csv", points)
    write_csv(work.folder / "groups.csv", _groups(readings))
    write_json(work.folder / "facts.json", _facts(result, readings))


def judged_readings(study: Study) -> pd.DataFrame:
    """Readings of included patients, each with the patient's outcome as `event`."""
    frame, problems = read_table(study.root / READINGS, load_schema("readings"))
    assert_valid([problem for problem in problems if problem.severity == "error"])
    outcome = study.included[[name for name in _TAKEN if name in study.included]]
    return frame.merge(outcome, left_on="case", right_on="patient_id", validate="m:1")


def analyse(
    readings: pd.DataFrame, *, threshold: float | None = None
) -> ReaderStudy | AssistanceEffect:
    """An aid's effect where the conditions are unaided and aided, else the conditions compared.

    Ratings from `threshold` on call a case positive; without it there are no operating points.
    """
    conditions = set(readings["condition"].astype(str))
    shared: dict[str, Any] = {**_ROLES, "covariance": _covariance(readings)}
    if conditions != AIDED:
        return reader_study(readings, **shared)
    offered = ("experience", "reading_time", "order", "session")
    given = {name: name for name in offered if _is_complete(readings, name)}
    if "order" not in given:
        given.pop("session", None)
    return assistance_effect(readings, threshold=threshold, **shared, **given)


def _positive_from(study: Study) -> float | None:
    readers = study.config.readers
    return None if readers is None else readers.positive_from


def saved_readers(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The frame `analyse_readers` wrote, and the experience of each reader; labels stay text."""
    names = ("measure", "condition", "reader", "group", "term", "experience")
    frame, groups = (
        read_csv(folder / f"{name}.csv", dtype=dict.fromkeys(names, str))
        for name in ("readers", "groups")
    )
    known = groups.dropna(subset="experience")
    return frame, dict(zip(known["reader"], known["experience"], strict=True))


def _covariance(readings: pd.DataFrame) -> str:
    """DeLong's needs every reading; Gallas' takes what there is."""
    sizes = [readings[name].nunique() for name in ("reader", "case", "condition")]
    return "delong" if len(readings) == sizes[0] * sizes[1] * sizes[2] else "unbiased"


def _is_complete(readings: pd.DataFrame, name: str) -> bool:
    return name in readings and bool(readings[name].notna().all())


def _groups(readings: pd.DataFrame) -> pd.DataFrame:
    """Experience of each reader, empty where it is not told."""
    readers = readings.drop_duplicates("reader")[["reader"]].reset_index(drop=True)
    if not _is_complete(readings, "experience"):
        return readers.assign(experience="")
    one = readings.drop_duplicates("reader").set_index("reader")["experience"]
    return readers.assign(experience=readers["reader"].map(one))


def _facts(result: ReaderStudy | AssistanceEffect, readings: pd.DataFrame) -> dict[str, Any]:
    study = result.study if isinstance(result, AssistanceEffect) else result
    test = None if study.test is None else asdict(study.test)
    return {
        "kind": "aid" if isinstance(result, AssistanceEffect) else "conditions",
        "conditions": study.means["condition"].astype(str).tolist(),
        "covariance": study.covariance,
        "readers": study.readers,
        "cases": study.cases,
        "n": study.n,
        "n_event": study.n_event,
        "n_reader": study.n_reader,
        "n_reading": len(readings),
        "cohorts": sorted(readings["cohort"].unique()) if "cohort" in readings else [],
        "design": study.design,
        "test": {name: _finite(value) for name, value in (test or {}).items()},
        "order": result.order.summary() if isinstance(result, AssistanceEffect) else "",
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity; a chi-square test has no second degrees of freedom."""
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
