"""R05: what was counted, patients or images."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.sheets import ResultTable, Sheet
from usstats._numbers import as_numbers

_CLUSTER = (
    "Count patients: pass `cluster=patient_id` (auc, compare_auc, diagnostic_accuracy, "
    "fit_logistic, validate, evaluate, reader_study), or one value a patient by "
    "`patient_probability`."
)
_GROUP = re.compile(r"[(\[]\s*n\s*=\s*(\d[\d,]*)\s*[)\]]", re.IGNORECASE)
#: Headers that repeat other groups, or that say themselves what they count.
_WHOLE = re.compile(
    r"\b(all|overall|total|image|lesion|testis|testes|frame|reading)s?\b", re.IGNORECASE
)
#: Words of methods that account for several rows of a patient.
_CLUSTERED = ("cluster", "obuchowski", "gee", "sandwich", "patient")


def check_units(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R05."""
    yield from _repeated_patients(evidence)
    for sheet in evidence.fused:
        yield from _repeated_rows(sheet)
    for table in evidence.results:
        yield from _counted_images(evidence, table)
        yield from _table_one(evidence, table)
        yield from _headers(evidence, table)
    for name, fit in evidence.fits.items():
        yield from _fitted_images(evidence, name, fit)
    yield from _read_images(evidence)


def _repeated_patients(evidence: Evidence) -> Iterator[Finding]:
    sheet = evidence.patients
    if sheet is None or not sheet.has("patient_id"):
        return
    columns = ["patient_id", "cohort"] if sheet.has("cohort") else ["patient_id"]
    again = sheet.frame.duplicated(columns, keep=False) & sheet.frame["patient_id"].notna()
    if again.any():
        yield found(
            "R05", "error", sheet.at("patient_id", again),
            f"{again.sum()} of {len(again)} rows repeat a patient: Table 1 and every model would "
            "count images, or visits, as patients.",
            fix="Keep one row a patient in patients.csv, and the images in images.csv.",
        )  # fmt: skip


def _repeated_rows(sheet: Sheet) -> Iterator[Finding]:
    again = sheet.frame.duplicated("patient_id", keep=False)
    if again.any():
        yield found(
            "R05", "error", sheet.at("patient_id", again),
            f"The models are fitted on {len(again)} rows of "
            f"{sheet.frame['patient_id'].nunique()} patients.",
            fix=_CLUSTER,
        )  # fmt: skip


def _counted_images(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    if table.printed or _is_clustered(table):
        return
    n = table.fact("n") if table.kind else _largest(table)
    patients = _excess(evidence, table, n)
    if patients is not None:
        yield found(
            "R05", "error", table.name,
            f"The result counts n = {n:.0f} where there are {patients} patients, and says nothing "
            "of a cluster: images were taken for independent patients.",
            fix=_CLUSTER,
        )  # fmt: skip


def _is_clustered(table: ResultTable) -> bool:
    if np.isfinite(table.fact("n_cluster")) or table.numbers("n_cluster").notna().any():
        return True
    if "n_patient" in table.frame or "n_patients" in table.frame:
        return True
    methods = " ".join([str(table.facts.get("method", "")).lower(), *set(table.words("method"))])
    return any(word in methods for word in _CLUSTERED)


def _largest(table: ResultTable) -> float:
    """The sample of a file of results; counts of levels, readers or groups are none."""
    about = {"measure", "term", "model_1", "auc", "auroc"} & {str(c).lower() for c in table.frame}
    if not about or "variable" in table.frame:
        return np.nan
    return float(table.numbers("n").max())


def _excess(evidence: Evidence, table: ResultTable, n: float) -> int | None:
    """Patients there are, when `n` can only be a count of images."""
    sizes = evidence.sizes
    if not np.isfinite(n) or "all" not in sizes or _of_readings(table):
        return None
    key = table.cohort if table.cohort in sizes else table.scope
    if key in sizes and key != "external":
        patients, _ = sizes[key]
        return patients if n > patients else None
    if n > sizes["all"][0]:
        return sizes["all"][0]
    same = [p for p, images in sizes.values() if images == n and p < images]
    return min(same) if same and n not in {p for p, _ in sizes.values()} else None


def _of_readings(table: ResultTable) -> bool:
    named = f"{table.kind} {table.name}".lower()
    return "reader" in table.frame or "read" in named or "assist" in named


def _table_one(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    """Table 1 counts known and missing values of rows; there are no more patients than patients."""
    if not table.has("variable", "group", "n", "n_missing") or "all" not in evidence.sizes:
        return
    if "unit" in table.frame and set(table.words("unit")) & {"patient"}:
        return
    whole = table.frame[table.words("group") == "overall"]
    counted = as_numbers(whole["n"]) + as_numbers(whole["n_missing"])
    patients = evidence.sizes["all"][0]
    if len(counted) and counted.max() > patients:
        yield found(
            "R05", "error", table.name,
            f"Table 1 describes {counted.max():.0f} rows where there are {patients} patients.",
            fix="describe(data, by=..., patient_id='patient_id', per_image=[...])",
        )  # fmt: skip


def _headers(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    """Groups of a printed table, `NOA (n = 812)`, that hold more than all patients."""
    counts = [m for c in table.frame if (m := _GROUP.search(str(c))) and not _WHOLE.search(str(c))]
    total = sum(int(match[1].replace(",", "")) for match in counts)
    if len(counts) > 1 and "all" in evidence.sizes and total > evidence.sizes["all"][0]:
        yield found(
            "R05", "error", table.name,
            f"The groups of the table hold {total} where there are {evidence.sizes['all'][0]} "
            "patients.",
            fix="describe(data, by=..., patient_id='patient_id', per_image=[...])",
        )  # fmt: skip


def _fitted_images(evidence: Evidence, name: str, fit: object) -> Iterator[Finding]:
    n, clusters = getattr(fit, "n", None), getattr(fit, "n_cluster", None)
    sizes = evidence.sizes
    if n is None or clusters is not None or "all" not in sizes:
        return
    patients = sizes.get("development", sizes["all"])[0] or sizes["all"][0]
    if n > patients:
        yield found(
            "R05", "error", f"fit {name}",
            f"The model was fitted on {n} rows of {patients} patients without a cluster.",
            fix=_CLUSTER,
        )  # fmt: skip


def _read_images(evidence: Evidence) -> Iterator[Finding]:
    """Readings whose cases are images, several a patient."""
    readings, images = evidence.readings, evidence.images
    if readings is None or images is None or not readings.has("case"):
        return
    if not images.has("image_id", "patient_id") or "patient_id" in readings.frame:
        return
    cases = set(readings.frame["case"].dropna().astype(str))
    patients = images.frame.set_index(images.frame["image_id"].astype(str))["patient_id"].to_dict()
    known = cases & set(patients)
    if len(known) > 0.5 * len(cases) and len({patients[c] for c in known}) < len(known):
        yield found(
            "R05", "error", readings.at("case"),
            f"The cases of the readings are {len(known)} images of "
            f"{len({patients[c] for c in known})} patients, and no column says which belong "
            "together.",
            fix="Add patient_id and pass it: reader_study(..., cluster='patient_id').",
        )  # fmt: skip
