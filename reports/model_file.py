"""The model file of a study: the fitted model with all it takes to use it, and where it comes from.

JSON, signed by a digest of itself. The reader trusts nothing: a file of newer software, or one that
was edited by hand, is refused with the path of the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

import usstats
from reports.calculator import INTENDED_USE, Fit, calculator_nomogram, write_calculator
from reports.evidence import Evidence
from reports.files import sha256_file
from reports.manifest import git_commit
from reports.study import STUDY_FILE, Study
from reports.tables.model import equation_text
from usstats._fits.json_file import (
    SCHEMA as LOGISTIC,
)
from usstats._fits.json_file import (
    StrictFile,
    check_version,
    checked_content,
    content_digest,
    fault_below,
    file_fault,
    fit_content,
    fit_of_content,
    load_json,
    write_content,
)
from usstats._imputing.json_file import SCHEMA as POOLED
from usstats._imputing.json_file import pooled_content, pooled_of_content
from usstats.errors import SchemaError
from usstats.logistic import LogisticFit
from usstats.pooled_fit import PooledFit
from usstats.survival import CoxFit

__all__ = [
    "MODEL_FILE",
    "StudyModel",
    "model_path",
    "read_model",
    "write_model_calculator",
    "write_model_file",
]

MODEL_FILE = "model.json"
SCHEMA = "usstats.study_model"
SCHEMA_VERSION = 1

Text = Annotated[str, Field(max_length=10_000)]
Risk = Annotated[float, Field(gt=0, lt=1)]


class _Outcome(StrictFile):
    label: Text
    positive: Text
    negative: Text


class _Cutoff(StrictFile):
    value: Risk
    criterion: Text
    sensitivity: float | None = None
    specificity: float | None = None


class _Variable(StrictFile):
    label: Text
    unit: Text


class _Provenance(StrictFile):
    software: Text
    git_commit: Text | None
    seed: int
    population: Text
    source: Text
    inputs: dict[Text, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    network_hash: Text | None = None


class _StudyModelFile(StrictFile):
    """Everything a model file of a study holds."""

    schema_name: Literal["usstats.study_model"]
    schema_version: Literal[1]
    name: Text
    title: Text
    intended_use: Text
    synthetic: bool
    outcome: _Outcome
    equation: Text
    cutoff: _Cutoff
    variables: dict[Text, _Variable]
    card: dict[Text, Text]
    provenance: _Provenance
    model: dict[str, Any]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class StudyModel:
    """A model, and what a calculator says about it.

    Attributes
    ----------
    fit : LogisticFit, PooledFit or CoxFit
    title, outcome_label : str
    labels, units : mapping of str to str
        Printed name and unit of each variable.
    threshold : float or None
        The frozen cut-off.
    card : mapping of str to str
    synthetic : bool
    network_hash : str or None
        Of the networks whose probability it takes.
    """

    fit: Fit
    title: str
    outcome_label: str
    labels: Mapping[str, str]
    units: Mapping[str, str]
    threshold: float | None = None
    card: Mapping[str, str]
    synthetic: bool = False
    network_hash: str | None = None


def write_model_file(
    fit: LogisticFit | PooledFit,
    study: Study,
    evidence: Evidence,
    folder: Path,
    *,
    card: Mapping[str, str],
) -> Path:
    """Write the file of a study's nomogram.

    Parameters
    ----------
    fit : LogisticFit or PooledFit
    study : Study
    evidence : Evidence
        Holds the frozen cut-off.
    folder : Path
        Of the report.
    card : mapping of str to str
        Lines about the model's sample and performance.
    """
    config = study.config
    labels = {name: study.label(name) for name in study.variables}
    content = {
        "schema_name": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "name": config.nomogram.name,
        "title": config.title,
        "intended_use": INTENDED_USE,
        "synthetic": config.synthetic,
        "outcome": config.outcome.model_dump(include={"label", "positive", "negative"}),
        "equation": equation_text(fit, labels=labels, preset="plain"),
        "cutoff": _cutoff(evidence),
        "variables": {
            name: {"label": study.bare_label(name), "unit": study.unit(name)}
            for name in fit.spec.variables
        },
        "card": dict(card),
        "provenance": _provenance(study, evidence),
        "model": _signed(pooled_content(fit) if isinstance(fit, PooledFit) else fit_content(fit)),
    }
    path = folder / MODEL_FILE
    write_content(content, path)
    return path


def _signed(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "sha256": content_digest(content)}


def _cutoff(evidence: Evidence) -> dict[str, Any]:
    chosen = evidence.json("fit/threshold")
    names = ("value", "criterion", "sensitivity", "specificity")
    return {name: chosen.get(name) for name in names}


def _provenance(study: Study, evidence: Evidence) -> dict[str, Any]:
    tables = (STUDY_FILE, "patients.csv", "images.csv", "predictions.csv")
    return {
        "software": f"usstats {usstats.__version__}",
        "git_commit": git_commit(),
        "seed": study.config.seed,
        "population": ", ".join(study.config.cohorts.development),
        "source": study.config.source or "",
        "inputs": {
            name: sha256_file(study.root / name) for name in tables if (study.root / name).is_file()
        },
        "network_hash": _network_hash(study, evidence),
    }


def _network_hash(study: Study, evidence: Evidence) -> str | None:
    """Of the networks of the fusion; none where the probabilities came with the study."""
    if not study.config.networks:
        return None
    return evidence.json("predict/networks")[study.config.fusion.network]


def model_path(path: str | Path) -> Path:
    """The model file meant: the file itself, or that of a study, a run or a report.

    Raises
    ------
    SchemaError
        A folder without one.
    """
    place = Path(path)
    if not place.is_dir():
        return place
    for folder in (place / "run" / "report", place / "report", place):
        if (folder / MODEL_FILE).is_file():
            return folder / MODEL_FILE
    msg = f"{place} holds no {MODEL_FILE}. Run the study first: usstats run {place}"
    raise SchemaError(msg)


def read_model(path: str | Path) -> StudyModel:
    """Read a study's model file, or the bare file of a fitted model.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    SchemaError
        No such file, not a model file, of newer software, or edited; with the path of the fault.
    """
    file = Path(path)
    if not file.is_file():
        msg = f"There is no file {file.name!r}. Name a model file, or a study that has been run."
        raise SchemaError(msg)
    content = load_json(file)
    readers = {SCHEMA: _study_model, LOGISTIC: _bare, POOLED: _bare, "usstats.cox": _bare}
    kind = content.get("schema_name")
    if not isinstance(kind, str) or kind not in readers:
        raise file_fault(file, "$.schema_name", f"expected one of {', '.join(readers)}")
    return readers[kind](content, file)


def _study_model(content: Mapping[str, Any], path: Path) -> StudyModel:
    check_version(content, path, schema=SCHEMA, version=SCHEMA_VERSION)
    checked = checked_content(_StudyModelFile, content, path)
    try:
        fit = _fit_of(checked.model, path)
    except SchemaError as error:
        raise fault_below(error, "$.model") from None
    if checked.sha256 != content_digest(content):
        raise file_fault(path, "$.sha256", "the content does not match its digest: it was edited")
    if set(checked.variables) != set(fit.spec.variables):
        raise file_fault(path, "$.variables", "does not cover the variables of the model")
    return StudyModel(
        fit=fit,
        title=checked.title,
        outcome_label=checked.outcome.label,
        labels={name: variable.label for name, variable in checked.variables.items()},
        units={name: variable.unit for name, variable in checked.variables.items()},
        threshold=checked.cutoff.value,
        card=checked.card,
        synthetic=checked.synthetic,
        network_hash=checked.provenance.network_hash,
    )


def _fit_of(content: Mapping[str, Any], path: Path) -> LogisticFit | PooledFit:
    if content.get("schema_name") == POOLED:
        return pooled_of_content(content, path)
    return fit_of_content(content, path)


def _bare(content: Mapping[str, Any], path: Path) -> StudyModel:
    """A fitted model without the study around it: its variables are called as in its table."""
    fit = (
        CoxFit.from_json(path)
        if content["schema_name"] == "usstats.cox"
        else _fit_of(content, path)
    )
    return StudyModel(
        fit=fit, title=path.stem, outcome_label=fit.spec.outcome, labels={}, units={}, card={}
    )


def write_model_calculator(
    model: StudyModel, path: str | Path, *, times: list[float] | None = None
) -> Path:
    """Write the calculator of a model file.

    Parameters
    ----------
    model : StudyModel
    path : str or Path
    times : list of float, optional
        At which a Cox model's survival is given.

    Raises
    ------
    ArgumentError
        A Cox model without times, or times for another.
    """
    return write_calculator(
        model.fit,
        calculator_nomogram(model.fit, times=times or None),
        path,
        title=model.title,
        outcome_label=model.outcome_label,
        units=model.units,
        labels=model.labels,
        threshold=model.threshold,
        model_card=model.card,
        synthetic=model.synthetic,
    )
