"""What study.yaml says about its tables, held against the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from data_schema.problems import Problem, Severity
from reports.study import StudyConfig, TermChoice

__all__ = ["StudyTables", "check_against_study"]

DL_TERM = "dl_prob"
NUMERIC_TERMS = {"log", "logit", "rcs"}
FEW_CASES = 10


@dataclass(frozen=True, kw_only=True)
class StudyTables:
    """The typed tables, and the line of the file each row stands on."""

    patients: pd.DataFrame
    images: pd.DataFrame
    lines: Mapping[str, tuple[int, ...]]

    def where(self, name: str, rows: pd.Series) -> tuple[int, ...]:
        """Lines of the rows a mask picks."""
        return tuple(line for line, bad in zip(self.lines[name], rows, strict=True) if bad)


def check_against_study(config: StudyConfig, tables: StudyTables) -> list[Problem]:
    """Columns, cohorts, outcomes, terms and masks that study.yaml counts on."""
    return [
        *_columns(config, tables.patients),
        *_predictors(config, tables),
        *_cohorts(config, tables),
        *_comparator(config, tables),
        *_masks(config, tables),
    ]


def _problem(
    file: str,
    code: str,
    found: str,
    expected: str,
    remedy: str,
    *,
    column: str = "",
    rows: tuple[int, ...] = (),
    severity: Severity = "error",
) -> Problem:
    return Problem(
        file=file,
        column=column,
        rows=rows,
        n=len(rows),
        code=code,
        severity=severity,
        found=found,
        expected=expected,
        remedy=remedy,
    )


def _terms(config: StudyConfig) -> list[TermChoice]:
    """Every term of every model that is a column of patients.csv."""
    terms = {term.name: term for model in config.models for term in model.terms}
    return [t for t in terms.values() if t.name != DL_TERM and t.type != "interaction"]


def _columns(config: StudyConfig, patients: pd.DataFrame) -> list[Problem]:
    named = {
        "exclusions": [rule.column for rule in config.exclusions],
        "models": [term.name for term in _terms(config)],
        "comparator": [config.comparator.column] if config.comparator else [],
    }
    return [
        _problem(
            "patients.csv",
            "absent_column",
            f"no such column, which `{place}` in study.yaml names",
            "a column of this name",
            "add the column, or correct study.yaml",
            column=column,
        )
        for place, columns in named.items()
        for column in columns
        if column not in patients.columns and column != config.outcome.column
    ]


def _predictors(config: StudyConfig, tables: StudyTables) -> list[Problem]:
    """Terms that know the answer, or that their transformation cannot take."""
    answer = {"patient_id", "cohort", config.outcome.column}
    answer |= {config.comparator.column} if config.comparator else set()
    problems = []
    for term in _terms(config):
        if term.name in answer:
            problems.append(_forbidden(term))
        elif term.name in tables.patients:
            problems += _unfit_values(term, config, tables)
    return problems


def _forbidden(term: TermChoice) -> Problem:
    return _problem(
        "study.yaml",
        "forbidden_predictor",
        "a term made of the outcome, its human reading, an identifier or the cohort",
        "covariates known before the outcome",
        "take the term out of `models`",
        column=term.name,
    )


def _unfit_values(term: TermChoice, config: StudyConfig, tables: StudyTables) -> list[Problem]:
    values = tables.patients[term.name]
    problems = []
    if term.type in NUMERIC_TERMS and not pd.api.types.is_numeric_dtype(values):
        found, remedy = (
            f"text under a term of type {term.type}",
            "use type factor, or write numbers",
        )
        return [_problem("patients.csv", "not_numeric", found, "numbers", remedy, column=term.name)]
    if term.type == "log" and (values <= 0).any():
        rows = tables.where("patients", values <= 0)
        found, remedy = (
            "values of 0 or below under a log term",
            "use rcs or linear, or correct them",
        )
        problems.append(
            _problem(
                "patients.csv", "not_positive", found, "values above 0", remedy,
                column=term.name, rows=rows,
            )
        )  # fmt: skip
    if _within(tables.patients, config.cohorts.development, values).isna().all():
        found, remedy = (
            "no value in any development patient",
            "take the term out, or add the values",
        )
        problems.append(
            _problem("patients.csv", "no_values", found, "values", remedy, column=term.name)
        )
    return problems


def _within(patients: pd.DataFrame, cohorts: Iterable[str], values: pd.Series) -> pd.Series:
    if "cohort" not in patients:
        return values
    return values[patients["cohort"].astype(str).isin(list(cohorts))]


def _cohorts(config: StudyConfig, tables: StudyTables) -> list[Problem]:
    patients, outcome = tables.patients, config.outcome
    if not {"cohort", outcome.column} <= set(patients.columns):
        return []
    cohort = patients["cohort"].astype(str)
    development, external = config.cohorts.development, config.cohorts.external
    problems = _strangers(cohort, [*development, *external], tables)
    groups = {" + ".join(development): development} | {name: [name] for name in external}
    for name, members in groups.items():
        labels = patients.loc[cohort.isin(members), outcome.column].astype(str)
        severity: Severity = "error" if members is development else "warning"
        problems += _classes(name, labels, config, severity)
    return problems


def _strangers(cohort: pd.Series, known: list[str], tables: StudyTables) -> list[Problem]:
    stranger = ~cohort.isin(known) & tables.patients["cohort"].notna()
    if not stranger.any():
        return []
    return [
        _problem(
            "patients.csv",
            "unknown_cohort",
            f"patients of cohorts that study.yaml does not name: "
            f"{', '.join(sorted(cohort[stranger].unique())[:5])}",
            f"one of {', '.join(known)}",
            "name the cohort under `cohorts`; these patients are in no analysis",
            column="cohort",
            rows=tables.where("patients", stranger),
            severity="warning",
        )
    ]


def _classes(
    name: str, labels: pd.Series, config: StudyConfig, severity: Severity
) -> list[Problem]:
    """A cohort needs events and non-events, and not too few of them."""
    outcome = config.outcome
    n_event, n_other = (int((labels == x).sum()) for x in (outcome.positive, outcome.negative))
    found = f"cohort {name}: {n_event} x {outcome.positive}, {n_other} x {outcome.negative}"
    if labels.empty:
        found, code, level = f"no patient of cohort {name}", "empty_cohort", "error"
    elif min(n_event, n_other) == 0:
        code, level = "one_class", severity
    elif min(n_event, n_other) < FEW_CASES:
        code, level = "few_cases", "warning"
    else:
        return []
    return [
        _problem(
            "patients.csv",
            code,
            found,
            f"at least {FEW_CASES} of each, for estimates worth having",
            "check the labels and `outcome` in study.yaml",
            column=outcome.column if code != "empty_cohort" else "cohort",
            severity=level,
        )
    ]


def _included(config: StudyConfig, patients: pd.DataFrame) -> pd.Series:
    """Patients no exclusion takes out."""
    keep = pd.Series(data=True, index=patients.index)
    for rule in config.exclusions:
        if rule.column in patients:
            keep &= patients[rule.column].astype(str) != rule.equals
    return keep


def _comparator(config: StudyConfig, tables: StudyTables) -> list[Problem]:
    comparator, patients = config.comparator, tables.patients
    if comparator is None or comparator.column not in patients:
        return []
    reading = patients[comparator.column]
    outside = reading.notna() & ~reading.astype(str).isin(comparator.levels)
    outside &= _included(config, patients)
    if not outside.any():
        return []
    return [
        _problem(
            "patients.csv",
            "unknown_level",
            "readings that `comparator.levels` does not list",
            ", ".join(comparator.levels),
            "add the level at its place in the order, or correct the cells",
            column=comparator.column,
            rows=tables.where("patients", outside),
        )
    ]


def _masks(config: StudyConfig, tables: StudyTables) -> list[Problem]:
    """Images that a network crops to a region they do not have."""
    patients, images = tables.patients, tables.images
    if not {"patient_id", "cohort"} <= set(patients) or "patient_id" not in images:
        return []
    needing = _cohorts_with_regions(config)
    chosen = patients[_included(config, patients) & patients["cohort"].astype(str).isin(needing)]
    bare = images["patient_id"].isin(set(chosen["patient_id"].dropna()))
    if "modality" in images and not any(n.modality for n in config.networks.values()):
        bare &= images["modality"].astype(str).str.strip().str.lower() != "doppler"
    for column in ("mask", "roi"):
        if column in images:
            bare &= images[column].isna()
    if not bare.any():
        return []
    return [
        _problem(
            "images.csv",
            "mask_missing",
            "images without a mask or box, which a network of region `roi` needs",
            "a mask in every row of that cohort",
            "draw the masks, or let the cohort use a network of region `whole`",
            column="mask",
            rows=tables.where("images", bare),
        )
    ]


def _cohorts_with_regions(config: StudyConfig) -> set[str]:
    """Cohorts that meet at least one network of region `roi`."""
    regional = {name for name, network in config.networks.items() if network.region == "roi"}
    development = set(config.cohorts.development) if regional else set()
    return development | {c for c in config.cohorts.external if config.network_for(c) in regional}
