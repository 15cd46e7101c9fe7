"""Who is in the study: check the tables, count the flow, describe the patients."""

from __future__ import annotations

import pandas as pd

from data_schema.problems import assert_valid, problems_frame
from reports.check import check_study
from reports.files import write_csv
from reports.pipeline import Workspace
from reports.study import Study
from usstats.describe import describe

#: Columns that say who a patient is or how he ended, never how he looked.
BOOKKEEPING = ("patient_id", "cohort", "centre", "event")
#: Absolute skewness from which a covariate is described by its quartiles.
SKEWED = 1.0


def check_tables(work: Workspace) -> None:
    """Every problem in one pass; errors stop the study, warnings are kept for the report."""
    problems = check_study(work.study.root)
    assert_valid(problems)
    write_csv(work.folder / "problems.csv", problems_frame(problems))


def describe_cohorts(work: Workspace) -> None:
    """Participant flow and Table 1; what is skewed in development has its quartiles everywhere."""
    study = work.study
    write_csv(work.folder / "flow.csv", participant_flow(study))
    development = study.development
    variables = covariates(study)
    quartiles = skewed(development, variables)
    by = study.config.outcome.column
    write_csv(
        work.folder / "development.csv",
        describe(development, by=by, variables=variables, nonnormal=quartiles).frame(),
    )
    with_values = _cohorts_with_covariates(study, variables)
    if len(with_values) > 1:
        write_csv(
            work.folder / "cohorts.csv",
            describe(
                study.cohort(*with_values),
                by="cohort",
                variables=[*variables, by],
                nonnormal=quartiles,
            ).frame(),
        )


def skewed(patients: pd.DataFrame, variables: list[str]) -> list[str]:
    """Numeric covariates a mean would misdescribe: medians and quartiles serve them better."""
    numbers = patients[variables].select_dtypes("number")
    return list(numbers.columns[numbers.skew().abs() > SKEWED])


def covariates(study: Study) -> list[str]:
    """Columns of patients.csv that describe a patient before the outcome is known."""
    config = study.config
    hidden = {*BOOKKEEPING, config.outcome.column, *(rule.column for rule in config.exclusions)}
    return [name for name in study.patients.columns if name not in hidden]


def participant_flow(study: Study) -> pd.DataFrame:
    """Patients, images and events at each step: enrolled, excluded with reason, analysed."""
    config = study.config
    cohorts = [*config.cohorts.development, *config.cohorts.external]
    rows = [row for cohort_name in cohorts for row in _flow_of(study, cohort_name)]
    return pd.DataFrame(rows)


def _flow_of(study: Study, cohort_name: str) -> list[dict[str, object]]:
    config = study.config
    keep = study.patients[study.patients["cohort"] == cohort_name]
    rows = [_flow_row(study, cohort_name, "enrolled", "", keep)]
    for rule in config.exclusions:
        excluded = keep[rule.column].astype(str) == rule.equals
        rows.append(_flow_row(study, cohort_name, "excluded", rule.reason, keep[excluded]))
        keep = keep[~excluded]
    rows.append(_flow_row(study, cohort_name, "analysed", "", keep))
    return rows


def _flow_row(
    study: Study, cohort_name: str, step: str, reason: str, patients: pd.DataFrame
) -> dict[str, object]:
    outcome = study.config.outcome
    images = study.images["patient_id"].isin(patients["patient_id"])
    return {
        "cohort": cohort_name,
        "step": step,
        "reason": reason,
        "n_patients": len(patients),
        "n_images": int(images.sum()),
        "n_event": int((patients[outcome.column].astype(str) == outcome.positive).sum()),
    }


def _cohorts_with_covariates(study: Study, variables: list[str]) -> list[str]:
    """Cohorts that were measured at all, not only photographed."""
    config = study.config
    names = [*config.cohorts.development, *config.cohorts.external]
    return [name for name in names if study.cohort(name)[variables].notna().any().any()]
