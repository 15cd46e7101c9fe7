"""A study on disk: `study.yaml` beside its tables, read strictly and checked as a whole.

The model below is the grammar of `study.yaml`. Unknown and duplicate keys are refused, strings stay
strings, and terms are a list: nothing a user writes is ever evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, ValidationError, model_validator

from data_schema import TableSchema, assert_valid, load_schema, load_strict_yaml, read_table
from reports.networks import Name, Network, Strict, resolve_ensembles, resolve_gates
from usstats.errors import SchemaError

STUDY_FILE = "study.yaml"
#: The covariate the images become.
DL_COLUMN = "dl_prob"
#: Completed copies inside each resample: enough for a mean, few enough for a thousand of them.
RESAMPLED_COPIES = 5


class _Strict(Strict, BaseModel):
    """A part of the study file."""


class Outcome(_Strict):
    """The outcome column of patients.csv and the label that is the event."""

    column: str
    positive: str
    negative: str
    label: str


class Exclusion(_Strict):
    """Patients left out because a column holds a value; counted in the flow table."""

    column: str
    equals: str
    reason: str


class Cohorts(_Strict):
    """Values of the column `cohort`: where the model is made, where it is carried to."""

    development: list[str] = Field(min_length=1)
    external: list[str] = []


class Fusion(_Strict):
    """Which network's out-of-fold probability enters the models, and how images become a patient.

    `external` names the network an external cohort goes through where it is not `network`, for
    example because that cohort has no masks. Both may be ensembles.
    """

    network: Name
    aggregate: Literal["mean_logit", "mean_probability", "max"] = "mean_logit"
    external: dict[str, Name] = {}


class TermChoice(_Strict):
    """One term of a model, in the closed vocabulary of `usstats.design`."""

    name: str
    type: Literal["linear", "log", "logit", "rcs", "factor", "interaction"] = "linear"
    knots: int | list[float] | None = None
    levels: list[str] | None = None
    label: str | None = None

    def to_term(self) -> dict[str, Any]:
        """The dict `fit_logistic(terms=...)` takes; what was left out stays out."""
        return self.model_dump(exclude_none=True, exclude={"label"})


class Model(_Strict):
    """A named logistic model. The first of a study is the nomogram."""

    name: Name
    terms: list[TermChoice] = Field(min_length=1)


class Imputation(_Strict):
    """Multiple imputation by chained equations, the outcome included."""

    m: int = Field(20, ge=2, le=200)
    method: Literal["pmm", "norm"] = "pmm"


class Validation(_Strict):
    """Resamples of the whole recipe."""

    n_boot: int = Field(1000, ge=50, le=100_000)


class Decision(_Strict):
    """The range of threshold probabilities a clinician would act on, and why."""

    low: float = Field(gt=0, lt=1)
    high: float = Field(gt=0, lt=1)
    rationale: str

    @model_validator(mode="after")
    def _ordered(self) -> Decision:
        if self.low >= self.high:
            msg = f"decision.low ({self.low}) must lie below decision.high ({self.high})"
            raise ValueError(msg)
        return self

    def thresholds(self) -> np.ndarray:
        """The range in steps of one percentage point, both ends included."""
        return np.round(np.arange(round(self.low * 100), round(self.high * 100) + 1) / 100, 2)


class Cutoff(_Strict):
    """How the decision cut-off is chosen, once, in development (R13)."""

    criterion: Literal["youden", "closest_topleft"] = "youden"
    sensitivity: float | None = Field(None, gt=0, lt=1)
    specificity: float | None = Field(None, gt=0, lt=1)


class Comparator(_Strict):
    """An ordinal human reading, such as BI-RADS, drawn beside the models on the ROC plane."""

    column: str
    label: str
    levels: list[str] = Field(min_length=2)


class Readers(_Strict):
    """The reader study of `readings.csv`.

    A rating of `positive_from` or more calls a case positive: fixed beforehand, it gives every
    reader an operating point beside the model's ROC curve.
    """

    positive_from: float


class Journal(_Strict):
    """Whose rules the manuscript follows: presets of artwork and of numbers."""

    figures: Literal[
        "european_radiology", "springer", "elsevier", "radiology", "lancet", "jama", "plain"
    ] = "european_radiology"
    numbers: Literal["esr", "ama", "lancet", "nejm", "plain"] = "esr"


class StudyConfig(_Strict):
    """The whole of `study.yaml`."""

    schema_version: Literal[1]
    name: Name
    title: str
    synthetic: bool = False
    source: str | None = None
    intended_use: str | None = None
    outcome: Outcome
    exclusions: list[Exclusion] = []
    cohorts: Cohorts
    columns: dict[str, dict[str, Any]] = {}
    networks: dict[Name, Network] = {}
    ensembles: dict[Name, Annotated[tuple[Name, ...], Field(strict=False)]] = {}
    fusion: Fusion
    models: list[Model] = Field(min_length=1)
    imputation: Imputation = Imputation()
    validation: Validation = Validation()
    cutoff: Cutoff = Cutoff()
    decision: Decision
    comparator: Comparator | None = None
    readers: Readers | None = None
    journal: Journal = Journal()
    seed: int = Field(ge=0, lt=2**63)

    @model_validator(mode="after")
    def _names_resolve(self) -> StudyConfig:
        resolve_gates(self.networks)
        resolve_ensembles(self.ensembles, self.networks)
        known = {*self.networks, *self.ensembles}
        unknown = sorted(self.fused_networks - known) if self.networks else []
        if unknown:
            msg = f"fusion names networks that are not declared: {', '.join(unknown)}"
            raise ValueError(msg)
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            msg = f"models must have different names; got {', '.join(names)}"
            raise ValueError(msg)
        strangers = sorted(set(self.fusion.external) - set(self.cohorts.external))
        if strangers:
            msg = f"fusion.external names cohorts that are not external: {', '.join(strangers)}"
            raise ValueError(msg)
        return self

    @property
    def fused_networks(self) -> set[str]:
        """The networks and ensembles whose probabilities enter a model or describe a cohort."""
        return {self.fusion.network, *self.fusion.external.values()}

    @property
    def nomogram(self) -> Model:
        """The model the study is about."""
        return self.models[0]

    def network_for(self, cohort: str) -> str:
        """The network whose probability describes this cohort."""
        return self.fusion.external.get(cohort, self.fusion.network)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study folder: its configuration and where its tables lie."""

    root: Path
    config: StudyConfig

    @property
    def run_dir(self) -> Path:
        """Where every stage writes."""
        return self.root / "run"

    @cached_property
    def patient_schema(self) -> TableSchema:
        """The columns of patients.csv: the toolkit's, and those the study declares."""
        return load_schema("patients", columns=self.config.columns)

    @cached_property
    def patients(self) -> pd.DataFrame:
        """patients.csv with typed columns, one row a patient."""
        return self._table("patients", self.patient_schema)

    @cached_property
    def images(self) -> pd.DataFrame:
        """images.csv with typed columns, one row an image."""
        return self._table("images", load_schema("images"))

    @property
    def variables(self) -> list[str]:
        """The covariates of the models, each once, in the order of the study file."""
        return variables_of(self.config.models)

    @property
    def labels(self) -> dict[str, str]:
        """Printed names of every column of patients.csv and of the models' covariates."""
        return {name: self.label(name) for name in (*self.patients.columns, *self.variables)}

    def label(self, name: str) -> str:
        """A covariate's printed name with its unit."""
        unit = self.unit(name)
        return f"{self.bare_label(name)} ({unit})" if unit else self.bare_label(name)

    def bare_label(self, name: str) -> str:
        """A covariate's printed name: the author's, else the schema's."""
        own = [
            term.label
            for model in self.config.models
            for term in model.terms
            if term.name == name and term.label
        ]
        if own:
            return own[0]
        given = {DL_COLUMN: "Network probability", self.config.outcome.column: "Outcome"}
        if self.config.comparator is not None:
            given[self.config.comparator.column] = self.config.comparator.label
        if name in given:
            return given[name]
        column = self.patient_schema.get(name)
        return (column.label if column else "") or name

    def unit(self, name: str) -> str:
        """A covariate's unit, empty where it has none."""
        column = self.patient_schema.get(name)
        return column.unit if column else ""

    @cached_property
    def included(self) -> pd.DataFrame:
        """Patients left after the exclusions, with the outcome as `event` (0/1)."""
        keep = self.patients
        for rule in self.config.exclusions:
            keep = keep[keep[rule.column].astype(str) != rule.equals]
        outcome = self.config.outcome
        event = (keep[outcome.column].astype(str) == outcome.positive).astype(int)
        return keep.assign(event=event).reset_index(drop=True)

    def cohort(self, *names: str) -> pd.DataFrame:
        """The included patients of the named cohorts."""
        return self.included[self.included["cohort"].isin(names)].reset_index(drop=True)

    @property
    def development(self) -> pd.DataFrame:
        """The included patients the models are made from."""
        return self.cohort(*self.config.cohorts.development)

    def _table(self, name: str, schema: TableSchema) -> pd.DataFrame:
        frame, problems = read_table(self.root / f"{name}.csv", schema)
        assert_valid([problem for problem in problems if problem.severity == "error"])
        return frame


def variables_of(models: Sequence[Model]) -> list[str]:
    """The covariates the models need, each once, in the order of the study file."""
    names = [
        part
        for model in models
        for term in model.terms
        for part in (term.name.split(":") if term.type == "interaction" else [term.name])
    ]
    return list(dict.fromkeys(names))


def load_study(root: Path | str) -> Study:
    """Read and check `study.yaml`; the tables are read when they are first asked for.

    Raises
    ------
    SchemaError
        The folder or file is absent, or its content does not fit the grammar. All faults are
        listed with their path inside the file.
    """
    folder = Path(root)
    path = folder / STUDY_FILE
    if not path.is_file():
        msg = (
            f"No {STUDY_FILE} in {folder}. Make a study with `usstats init`, or run the command "
            "on the folder that holds one."
        )
        raise SchemaError(msg)
    try:
        config = StudyConfig.model_validate(load_strict_yaml(path))
    except ValidationError as error:
        raise SchemaError(_explain(error)) from None
    return Study(root=folder, config=config)


def _explain(error: ValidationError) -> str:
    """One line a fault: where in the file, and what is wrong there."""
    lines = [
        f"  {'.'.join(map(str, fault['loc'])) or 'study'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return f"{STUDY_FILE} has {len(lines)} fault(s):\n" + "\n".join(lines)
