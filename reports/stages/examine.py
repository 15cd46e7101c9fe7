"""What reviewers miss most: where a model fails, for whom, on how many patients and masks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from reports.files import read_csv, write_csv
from reports.pipeline import Workspace, cohort_file
from reports.stages.model import read_fit, read_patients
from reports.study import DL_COLUMN, Study
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.external import evaluate
from usstats.samplesize import SampleSize, sample_size_development, sample_size_validation

#: Patients of each cohort and class whose risk contradicts their outcome most.
WORST = 3
#: A subgroup of fewer patients is not shown on its own.
LEAST_GROUP = 5
MEASURES = ("auc", "oe_ratio")
#: Half-width at which the overall risk is called precise (Riley's third criterion).
MARGIN = 0.05


def examine(work: Workspace) -> None:
    """Results by subgroup, the worst errors, the sample size and the annotations as tables."""
    risks = list(honest_risks(work))
    write_csv(work.folder / "groups.csv", pd.concat([group_rows(part) for part in risks]))
    write_csv(work.folder / "failures.csv", pd.concat([failures(work, part) for part in risks]))
    write_csv(work.folder / "sample_size.csv", sample_sizes(work))
    write_csv(work.folder / "annotation.csv", annotations(work.study))


def honest_risks(work: Workspace) -> Iterator[pd.DataFrame]:
    """Patients with a risk from a model that had not seen them: cohort, model, risk, event."""
    study = work.study
    development = read_patients(work, "development")
    yield development.assign(model=DL_COLUMN, risk=development[DL_COLUMN])
    for cohort in study.config.cohorts.external:
        risks = read_csv(
            work.of("external") / f"{cohort_file(cohort)}_risks.csv", dtype={"patient_id": str}
        )
        name = study.config.nomogram.name
        model = name if name in risks else DL_COLUMN
        found = risks[["patient_id"]].assign(risk=risks[model], model=model)
        yield read_patients(work, cohort).merge(found, on="patient_id", validate="1:1")


def group_rows(patients: pd.DataFrame) -> pd.DataFrame:
    """Discrimination and observed over expected, in all patients and in each subgroup."""
    parts = [_evaluated(patients, "all patients", None)]
    for by, labels in subgroups(patients):
        keep = labels.notna()
        if len(labels[keep].unique()) > 1:
            parts.append(_evaluated(patients[keep], by, labels[keep]))
    return pd.concat(parts, ignore_index=True).assign(
        cohort="; ".join(sorted(patients["cohort"].unique())), model=patients["model"].iloc[0]
    )


def subgroups(patients: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """What patients are split by: place, number of images, and who they are."""
    images = np.where(patients["n_images"] > 1, "two or more", "one")
    yield "images a patient", pd.Series(images, index=patients.index)
    for column in ("centre", "device", "sex"):
        if column in patients:
            yield column, _large_groups(patients[column])
    if "age" in patients and patients["age"].notna().any():
        median = patients["age"].median()
        halves = np.where(patients["age"] <= median, "up to the median", "above the median")
        yield "age", pd.Series(halves, index=patients.index).where(patients["age"].notna())


def _large_groups(labels: pd.Series) -> pd.Series:
    """The labels of groups that are large enough to be shown."""
    sizes = labels.map(labels.value_counts())
    return labels.astype(str).where(labels.notna() & (sizes >= LEAST_GROUP))


def _evaluated(patients: pd.DataFrame, by: str, labels: pd.Series | None) -> pd.DataFrame:
    names = None if labels is None else "group " + labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        table = evaluate(patients["event"], patients["risk"], centre=names).frame()
    rows = table[table["measure"].isin(MEASURES)]
    rows = rows[rows["group"] == "overall"] if labels is None else rows[rows["group"] != "overall"]
    columns = ["measure", "estimate", "conf_low", "conf_high", "conf_level", "n", "n_event"]
    group = rows["group"].str.removeprefix("group ")
    found = rows[columns].assign(by=by, group=group if labels is not None else "all")
    return found.sort_values("group", kind="stable")


def failures(work: Workspace, patients: pd.DataFrame) -> pd.DataFrame:
    """The patients whose risk contradicts their outcome most, with their images."""
    error = (patients["event"] - patients["risk"]).abs()
    kind = np.where(patients["event"] == 1, "event, low risk", "no event, high risk")
    ranked = patients.assign(error=error, kind=kind).sort_values(
        ["error", "patient_id"], ascending=[False, True]
    )
    worst = ranked[ranked["error"] > 0.5].groupby("kind", sort=True).head(WORST)
    worst = worst.sort_values(["kind", "error"], ascending=[True, False])
    images = _images_of(work, worst["patient_id"])
    columns = ["cohort", "model", "kind", "patient_id", "event", "risk", DL_COLUMN, "n_images"]
    return worst[columns].merge(images, on="patient_id", how="left", validate="1:1")


def _images_of(work: Workspace, patients: pd.Series) -> pd.DataFrame:
    """Image ids of the patients, and how much of the network's attention lay in their masks."""
    images = work.study.images[["patient_id", "image_id"]]
    images = images[images["patient_id"].isin(patients)]
    overlap = work.of("explain") / "overlap.csv"
    if overlap.is_file():
        energy = read_csv(overlap, dtype={"image_id": str})[["image_id", "energy_in_mask"]]
        images = images.merge(energy, on="image_id", how="left", validate="1:1")
    else:
        images = images.assign(energy_in_mask=np.nan)
    grouped = images.groupby("patient_id")
    return pd.DataFrame(
        {
            "image_ids": grouped["image_id"].agg("; ".join),
            "energy_in_mask": grouped["energy_in_mask"].mean(),
        }
    ).reset_index()


def sample_sizes(work: Workspace) -> pd.DataFrame:
    """Patients needed by each criterion at the performance found, beside those the study had."""
    study = work.study
    fits = [read_fit(work, model.name) for model in study.config.models]
    parameters = len({name for fit in fits for name in fit.params.index if name != "Intercept"})
    corrected = read_csv(work.of("validate") / f"{study.config.nomogram.name}_auc.csv")
    auc = float(corrected["estimate"].iloc[0])
    cohorts = {"development": list(study.config.cohorts.development)}
    cohorts |= {name: [name] for name in study.config.cohorts.external}
    parts = [
        _size_rows(study.cohort(*names), purpose, parameters, auc)
        for purpose, names in cohorts.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _size_rows(patients: pd.DataFrame, purpose: str, parameters: int, auc: float) -> pd.DataFrame:
    """Frame of the requirement with the patients there are; one empty row where there is none."""
    needed = _needed(purpose, parameters, float(patients["event"].mean()), auc)
    rows = needed.frame() if needed else pd.DataFrame({"criterion": ["required"], "n": [np.nan]})
    return rows.assign(
        margin=np.where(rows["criterion"] == "overall risk", MARGIN, np.nan),
        purpose=purpose,
        anticipated_auc=auc,
        n_have=len(patients),
        n_event_have=int(patients["event"].sum()),
        source=needed.method if needed else "",
    )


def _needed(purpose: str, parameters: int, rate: float, auc: float) -> SampleSize | None:
    """The requirement; none where the performance found cannot be planned with."""
    try:
        if purpose == "development":
            return sample_size_development(parameters, rate, auc=auc, margin=MARGIN)
        return sample_size_validation(rate, auc)
    except ArgumentError:
        return None


def annotations(study: Study) -> pd.DataFrame:
    """How many images of each cohort have an outline."""
    config = study.config
    rows = []
    for cohort in (*config.cohorts.development, *config.cohorts.external):
        images = study.images[study.images["patient_id"].isin(study.cohort(cohort)["patient_id"])]
        outlined = {
            name: int(images[name].notna().sum()) if name in images else 0
            for name in ("mask", "roi")
        }
        rows.append(
            {
                "cohort": cohort,
                "n_images": len(images),
                "n_mask": outlined["mask"],
                "n_roi": outlined["roi"],
            }
        )
    return pd.DataFrame(rows)
