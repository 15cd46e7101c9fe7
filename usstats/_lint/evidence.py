"""All that is known about a study, read once and asked by every rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from data_schema import load_schema
from usstats._lint.labels import as_events
from usstats._lint.models import ModelTerms, declared_models, fitted_models
from usstats._lint.predicted import event_rows
from usstats._lint.sheets import ResultTable, Sheet

OUTCOMES = ("outcome", "event", "y", "label", "truth", "diagnosis", "target", "class")
_DEVELOPMENT = re.compile(r"^(dev|train|deriv|primary|internal_dev|model)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value of study.yaml or of a configuration in the run folder."""

    file: str
    key: str
    value: Any

    @property
    def where(self) -> str:
        """File and key."""
        return f"{self.file}, {self.key}"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Who is held out in which fold; of one network, or ("") of all. `torn`: patients in two."""

    where: str
    fold_of: Mapping[str, Any]
    network: str = ""
    torn: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainedFold:
    """What a training folder says about one of its folds."""

    where: str
    network: str
    fold: int
    model_hash: str = ""
    patients: Mapping[str, frozenset[str]] = field(default_factory=dict)
    logged: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Tables, settings and results of one study; whatever is not known is empty.

    Attributes
    ----------
    config : mapping
        The content of study.yaml.
    patients, images, predictions, readings : Sheet or None
    fused : tuple of Sheet
        Tables with one row a patient and the network's probability, as a run wrote them.
    splits : tuple of Split
    folds : tuple of TrainedFold
    fits : mapping
        Name -> fitted model.
    results : tuple of ResultTable
    settings : tuple of Setting
    files : tuple of str
        Paths inside the study folder.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    patients: Sheet | None = None
    images: Sheet | None = None
    predictions: Sheet | None = None
    readings: Sheet | None = None
    fused: tuple[Sheet, ...] = ()
    splits: tuple[Split, ...] = ()
    folds: tuple[TrainedFold, ...] = ()
    fits: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[ResultTable, ...] = ()
    settings: tuple[Setting, ...] = ()
    files: tuple[str, ...] = ()

    def option(self, *keys: str, default: Any = None) -> Any:
        """A value of study.yaml by its path."""
        value: Any = self.config
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                return default
            value = value[key]
        return default if value is None else value

    @property
    def names(self) -> str:
        """What was looked at, for a summary."""
        sheets = (self.patients, self.images, self.predictions, self.readings)
        named = [sheet.name for sheet in sheets if sheet is not None]
        named += ["study.yaml"] if self.config else []
        named += [f"{len(self.fits)} fit(s)"] if self.fits else []
        named += [f"{len(self.results)} result(s)"] if self.results else []
        return ", ".join(named) or "nothing"

    @cached_property
    def models(self) -> tuple[ModelTerms, ...]:
        """The models of study.yaml, then those that were fitted."""
        declared = declared_models(self.option("models", default=()))
        known = {model.name for model in declared}
        fitted = [m for m in fitted_models(self.fits) if m.name not in known]
        return (*declared, *fitted)

    @cached_property
    def used_variables(self) -> tuple[str, ...]:
        """Covariates of the models, each once."""
        return tuple(dict.fromkeys(v for model in self.models for v in model.variables))

    @cached_property
    def known_numbers(self) -> frozenset[str]:
        """Covariates that are measured on a scale, by the toolkit's and the study's own words."""
        schema = load_schema("patients")
        names = {n for n in schema.names if schema[n].is_numeric}
        own = self.option("columns", default={})
        if isinstance(own, Mapping):
            names |= {
                str(n)
                for n, facts in own.items()
                if isinstance(facts, Mapping) and facts.get("type") in ("number", "integer")
            }
        return frozenset(names)

    @cached_property
    def outcome_column(self) -> str | None:
        """The column of patients that is the outcome: declared, fitted, or by its usual name."""
        if self.patients is None:
            return None
        wanted = [self.option("outcome", "column"), *(f.spec.outcome for f in self.fits.values())]
        for name in (*wanted, *OUTCOMES):
            if name is not None and name in self.patients.frame:
                return str(name)
        return None

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row a patient of `patients`, exclusions taken out: event (0/1, NaN), cohort, side.

        Indexed by patient_id; side is "development", "external" or "".
        """
        empty = pd.DataFrame({"event": [], "cohort": [], "side": []})
        if self.patients is None or not self.patients.has("patient_id"):
            return empty
        frame = self.patients.frame[self._included]
        table = pd.DataFrame(
            {
                "patient_id": frame["patient_id"].astype(str),
                "event": self._events(frame),
                "cohort": _text(frame, "cohort", "development"),
            }
        )
        table["side"] = table["cohort"].map(self._side_of)
        return table.drop_duplicates("patient_id").set_index("patient_id")

    @property
    def _included(self) -> pd.Series[bool]:
        frame = self.patients.frame if self.patients is not None else pd.DataFrame()
        keep = pd.Series(data=True, index=frame.index)
        for rule in self.option("exclusions", default=()):
            if isinstance(rule, Mapping) and rule.get("column") in frame:
                keep &= frame[rule["column"]].astype(str) != str(rule.get("equals"))
        return keep

    def _events(self, frame: pd.DataFrame) -> pd.Series[float]:
        name = self.outcome_column
        if name is None:
            return pd.Series(np.nan, index=frame.index)
        positive = self.option("outcome", "positive") or self._positive_class(frame[name])
        return as_events(frame[name], positive, self.option("outcome", "negative"))

    def _positive_class(self, labels: pd.Series[Any]) -> Any:
        """The class the predictions are about, where the labels know it."""
        if self.predictions is None or not self.predictions.has("class"):
            return None
        classes = self.predictions.frame["class"].dropna().astype(str).unique()
        known = [c for c in classes if c in set(labels.dropna().astype(str))]
        return known[0] if len(known) == 1 else None

    @cached_property
    def _side_of(self) -> dict[str, str]:
        declared = {
            str(c): side
            for side in ("development", "external")
            for c in _listed(self.option("cohorts", side, default=()))
        }
        if declared or self.patients is None:
            return declared
        cohorts = _text(self.patients.frame, "cohort", "development")
        counts = cohorts.value_counts()
        named = [c for c in counts.index if _DEVELOPMENT.match(c)]
        home = set(named or counts.index[:1])
        return {c: "development" if c in home else "external" for c in counts.index}

    @cached_property
    def external_cohorts(self) -> tuple[str, ...]:
        """Names of the external cohorts."""
        return tuple(c for c, side in self._side_of.items() if side == "external")

    def patients_of(self, side: str, cohort: str = "") -> pd.DataFrame:
        """Rows of `cases` of one side, or of one cohort of it."""
        cases = self.cases[self.cases["side"] == side]
        return cases[cases["cohort"] == cohort] if cohort else cases

    @cached_property
    def predicted(self) -> pd.DataFrame:
        """The predictions of the event joined with the patients; see `event_rows`."""
        if self.predictions is None or not self.predictions.has("patient_id"):
            return pd.DataFrame()
        positive = str(self.option("outcome", "positive", default=""))
        return event_rows(self.predictions.frame, self.cases, positive)

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Patients and images of the development side, of each external cohort, and of all."""
        if self.cases.empty:
            return self._sizes_from_predictions()
        images = self._images_by_patient
        groups = {"development": self.patients_of("development")}
        groups |= {c: self.patients_of("external", c) for c in self.external_cohorts}
        groups["all"] = self.cases
        return {k: (len(g), int(images.reindex(g.index).sum())) for k, g in groups.items()}

    @cached_property
    def _images_by_patient(self) -> pd.Series[Any]:
        for sheet in (self.images, self.predictions):
            if sheet is not None and sheet.has("patient_id", "image_id"):
                once = sheet.frame[["patient_id", "image_id"]].dropna().drop_duplicates()
                return once["patient_id"].astype(str).value_counts()
        return pd.Series(dtype=float)

    def _sizes_from_predictions(self) -> dict[str, tuple[int, int]]:
        images = self._images_by_patient
        return {"all": (len(images), int(images.sum()))} if len(images) else {}

    def of_scope(self, scope: str) -> Iterator[ResultTable]:
        """Results of one scope."""
        return (table for table in self.results if table.scope == scope)


def _text(frame: pd.DataFrame, column: str, default: str) -> pd.Series[str]:
    if column not in frame:
        return pd.Series(default, index=frame.index, dtype=object)
    return frame[column].astype(object).where(frame[column].notna(), "").astype(str)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
