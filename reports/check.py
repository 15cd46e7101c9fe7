"""Every problem of a study, in one pass, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from data_schema.problems import Problem
from data_schema.reading import Dialect, read_grid
from data_schema.schema import TableSchema, load_schema
from data_schema.tables import read_tables
from reports.image_checks import check_images
from reports.network_checks import check_networks
from reports.study import STUDY_FILE, Study, StudyConfig, load_study
from reports.study_checks import StudyTables, check_against_study
from usstats.errors import SchemaError

__all__ = ["check_study", "describe_problems"]

OPTIONAL = ("predictions", "readings")


def check_study(
    folder: Path | str, *, progress: Callable[[int, int], None] | None = None
) -> list[Problem]:
    """Check study.yaml, the tables, what they say about each other, and every image and mask.

    Parameters
    ----------
    folder
        The study folder.
    progress
        Called with (done, total) after every image.

    Returns
    -------
    list of Problem
        Errors first; empty when all is well. Bad content never raises, and no problem repeats a
        cell of an identifier column.

    Examples
    --------
    >>> import tempfile
    >>> [problem.code for problem in check_study(tempfile.mkdtemp())]
    ['study_file']
    """
    try:
        study = load_study(folder)
        schemas = _schemas(study)
    except SchemaError as error:
        return [_study_problem(error)]
    problems = _check_tables_and_images(study, schemas, progress)
    return sorted(problems, key=lambda problem: problem.severity != "error")


def describe_problems(problems: Sequence[Problem]) -> str:
    """One line a problem for a terminal, the count last.

    Examples
    --------
    >>> describe_problems([])
    'No problems found.'
    """
    if not problems:
        return "No problems found."
    n_errors = sum(problem.severity == "error" for problem in problems)
    n_warnings = len(problems) - n_errors
    verdict = "The study cannot run" if n_errors else "The study can run"
    count = f"{n_errors} error(s), {n_warnings} warning(s). {verdict}."
    return "\n".join([*map(str, problems), count])


def _study_problem(error: SchemaError) -> Problem:
    return Problem(
        file=STUDY_FILE,
        code="study_file",
        found=str(error),
        expected="a study.yaml that can be read",
        remedy="correct the file",
    )


def _schemas(study: Study) -> dict[str, TableSchema]:
    """The tables of this study: known columns, its own declarations, and its outcome."""
    names = ["patients", "images"]
    names += [name for name in OPTIONAL if (study.root / f"{name}.csv").is_file()]
    schemas = {name: load_schema(name) for name in names}
    schemas["patients"] = _patients_schema(study.config)
    return schemas


def _patients_schema(config: StudyConfig) -> TableSchema:
    outcome = config.outcome
    excluded = [rule.equals for rule in config.exclusions if rule.column == outcome.column]
    schema = load_schema("patients", columns=config.columns).with_outcome(
        outcome.column,
        positive=outcome.positive,
        negative=outcome.negative,
        others=list(dict.fromkeys(excluded)),
    )
    return schema.with_columns({outcome.column: {"required": True}})


def _check_tables_and_images(
    study: Study, schemas: dict[str, TableSchema], progress: Callable[[int, int], None] | None
) -> list[Problem]:
    paths = {name: study.root / f"{name}.csv" for name in schemas}
    frames, problems = read_tables(paths, schemas)
    tables = StudyTables(
        patients=frames["patients"],
        images=frames["images"],
        lines={name: _lines(paths[name], frames[name]) for name in ("patients", "images")},
    )
    if tables.patients.empty or tables.images.empty:
        return problems
    problems += check_against_study(study.config, tables)
    problems += check_networks(study.config, tables, study.root)
    if {"path", "patient_id"} <= set(tables.images):
        problems += check_images(
            study.root,
            tables.images,
            lines=tables.lines["images"],
            cohort=_cohort_of(tables),
            external=study.config.cohorts.external,
            progress=progress,
        )
    return problems


def _lines(path: Path, frame: pd.DataFrame) -> tuple[int, ...]:
    grid, _ = read_grid(path, Dialect())
    return grid.lines if grid is not None else tuple(range(2, len(frame) + 2))


def _cohort_of(tables: StudyTables) -> pd.Series | None:
    patients = tables.patients
    if not {"patient_id", "cohort"} <= set(patients):
        return None
    known = patients.dropna(subset="patient_id").drop_duplicates("patient_id")
    return tables.images["patient_id"].map(known.set_index("patient_id")["cohort"].astype(str))
