"""BrEaST-Lesions-USG (Pawlowska et al., Sci Data 2024;11:148) as a study folder.

256 women with one B-mode image each, tumour masks and one sheet; 4 of them have no lesion. What
the sheet says after the biopsy, or in the reader's words, is the answer and never a predictor;
size and orientation are measured from the mask.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from dl.geometry import lesion_geometry
from dl.images import read_image, read_mask
from reports.files import sha256_file, write_csv
from reports.importers.busi import COHORT, ImageCohort, read_busi
from reports.importers.release import find_files, read_text_table, refuse, split_names
from reports.importers.report import REPORT_FILE, ImportReport
from reports.study_folder import new_study_folder, require_free, write_study
from usstats._numbers import as_numbers
from usstats.errors import SchemaError

__all__ = ["CONFIG", "import_breast_lesions_usg"]

RELEASE = "BrEaST-Lesions-USG"
NOT_AVAILABLE = "not available"
OUTCOMES = ("benign", "malignant", "normal")
REQUIRED = (
    "CaseID",
    "Image_filename",
    "Mask_tumor_filename",
    "Pixel_size",
    "Age",
    "BIRADS",
    "Classification",
)
_ANSWER = "known only after the diagnosis, or the diagnosis itself"
_READING = "a reader's description, already summed up in the BI-RADS category"
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("Diagnosis", "Interpretation", "Verification"), _ANSWER),
        **dict.fromkeys(
            (
                "Tissue_composition",
                "Shape",
                "Margin",
                "Echogenicity",
                "Posterior_features",
                "Halo",
                "Calcifications",
                "Skin_thickening",
            ),
            _READING,
        ),
        **dict.fromkeys(("Signs", "Symptoms"), "free text, not available in many"),
        "Mask_other_filename": "outlines of further lesions, which have no outcome of their own",
    }
)

_NETWORK: Mapping[str, Any] = MappingProxyType(
    {
        "architecture": "efficientnet_lite0",
        "weights": "imagenet",
        "input_size": 128,
        "folds": 5,
    }
)
_CLINICAL = (
    {"name": "age", "type": "rcs", "knots": 3},
    {"name": "max_diameter_mm", "type": "log"},
    {"name": "taller_than_wide", "type": "factor"},
)
_IMAGE = {"name": "dl_prob", "type": "logit"}

CONFIG: Mapping[str, Any] = MappingProxyType(
    {
        "schema_version": 1,
        "name": "breast",
        "title": "Malignancy of breast lesions on ultrasound",
        "synthetic": False,
        "source": "BrEaST-Lesions-USG: Pawlowska et al., Sci Data 2024, The Cancer Imaging "
        "Archive, CC BY 4.0",
        "outcome": {
            "column": "outcome",
            "positive": "malignant",
            "negative": "benign",
            "label": "malignant lesion",
        },
        "exclusions": [
            {"column": "outcome", "equals": "normal", "reason": "normal breast without a lesion"}
        ],
        "cohorts": {"development": ["development"], "external": []},
        "columns": {
            "birads": {
                "type": "string",
                "levels": ["1", "2", "3", "4a", "4b", "4c", "5"],
                "description": "BI-RADS category given by the reader",
            },
        },
        "networks": {
            "lesion": {**_NETWORK, "epochs": 10, "region": "roi", "roi_margin": 0.25},
            "lesion_features": {
                **_NETWORK,
                "route": "frozen",
                "region": "roi",
                "frozen_margins": [0.0, 0.15, 0.3, 0.6],
            },
        },
        "ensembles": {"lesion_both": ["lesion", "lesion_features"]},
        "fusion": {"network": "lesion_both", "aggregate": "mean_logit"},
        "models": [
            {"name": "nomogram", "terms": [_IMAGE, *_CLINICAL]},
            {"name": "clinical", "terms": list(_CLINICAL)},
            {"name": "network", "terms": [_IMAGE]},
        ],
        "imputation": {"m": 20, "method": "pmm"},
        "validation": {"n_boot": 1000},
        "decision": {
            "low": 0.05,
            "high": 0.60,
            "rationale": "The choice is biopsy or follow-up. A missed cancer weighs far more than "
            "a needless biopsy: few would accept more than 19 benign biopsies for one cancer "
            "(threshold 5 %), and few would only watch a lesion more likely malignant than "
            "benign (60 %).",
        },
        "comparator": {
            "column": "birads",
            "label": "BI-RADS category",
            "levels": ["2", "3", "4a", "4b", "4c", "5"],
        },
        "seed": 20261121,
    }
)


def import_breast_lesions_usg(
    source: Path | str, target: Path | str, *, external: Path | str | None
) -> ImportReport:
    """Turn the release, as published, into a study folder.

    Parameters
    ----------
    source
        Folder with clinical.csv, images/ and masks/.
    target
        A folder that does not exist yet, or is empty.
    external
        Folder of BUSI (labels.csv and images), the external cohort; None leaves it out.

    Returns
    -------
    ImportReport
        Also written as import.json; sources.csv maps every image to the file it was.

    Raises
    ------
    SchemaError
        The target is taken, or the release is incomplete: every missing file and every cell that
        cannot be read is reported at once, and nothing is written.
    """
    require_free(Path(target))
    sheet = _read_sheet(Path(source) / "clinical.csv")
    found = _locate(Path(source), sheet)
    busi = read_busi(Path(external)) if external is not None else None
    with new_study_folder(Path(target)) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        cases = pd.DataFrame([_import_case(row, found, folder) for row in sheet.to_dict("records")])
        if busi is not None:
            busi.copy_to(folder)
        patients, images = _tables(cases, busi)
        write_study(folder, _config(busi), patients=patients, images=images)
        _write_sources(folder, images, cases, busi)
        report = _report(Path(target), sheet, patients, images, busi)
        report.to_json(folder / REPORT_FILE)
    return report


def _read_sheet(path: Path) -> pd.DataFrame:
    """The sheet with its cells checked: ids unique, outcomes known, numbers numbers."""
    sheet = read_text_table(path, REQUIRED)
    case = "case " + sheet["CaseID"]
    refuse("has the CaseID of another row", case[sheet["CaseID"].duplicated()].tolist())
    unknown = ~sheet["Classification"].isin(OUTCOMES)
    refuse(f"has a Classification other than {', '.join(OUTCOMES)}", case[unknown].tolist())
    sheet["age"] = _numbers(sheet["Age"].replace(NOT_AVAILABLE, ""), case, "an Age")
    sheet["spacing_mm"] = 10 * _numbers(sheet["Pixel_size"], case, "a Pixel_size")
    no_size = sheet["spacing_mm"].isna()
    refuse("has no Pixel_size", case[no_size].tolist())
    no_mask = (sheet["Mask_tumor_filename"] == "") & (sheet["Classification"] != "normal")
    refuse("has a lesion but no tumour mask", case[no_mask].tolist())
    several = sheet["Image_filename"].map(lambda cell: len(split_names(cell)) != 1)
    refuse("does not have exactly one image", case[several].tolist())
    return sheet


def _numbers(cells: pd.Series, case: pd.Series, what: str) -> pd.Series:
    """Positive numbers, NaN for an empty cell; anything else is refused, never coerced."""
    numbers = as_numbers(cells)
    wrong = (cells != "") & ~((numbers > 0) & np.isfinite(numbers))
    refuse(f"has {what} that is no positive number", case[wrong].tolist())
    return numbers.astype(float)


def _locate(source: Path, sheet: pd.DataFrame) -> dict[str, Path]:
    """Every image and mask the sheet names, wherever the release keeps it."""
    names = [
        name
        for column in ("Image_filename", "Mask_tumor_filename")
        for cell in sheet[column]
        for name in split_names(cell)
    ]
    return find_files([source / "images", source / "masks", source], names)


def _import_case(row: Mapping[str, Any], found: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Copy one woman's image and mask, and measure her lesion."""
    patient_id = f"case{int(row['CaseID']):03d}" if row["CaseID"].isdigit() else row["CaseID"]
    image_file = found[split_names(row["Image_filename"])[0]]
    path = f"images/{patient_id}{image_file.suffix.lower()}"
    shutil.copyfile(image_file, folder / path)
    masks = [read_mask(found[name]) for name in split_names(row["Mask_tumor_filename"])]
    case = {
        "patient_id": patient_id,
        "outcome": row["Classification"],
        "age": row["age"],
        "birads": row["BIRADS"],
        "path": path,
        "pixel_spacing_mm": row["spacing_mm"],
        "file": image_file,
    }
    if not masks:
        return case
    _require_fit(patient_id, masks, read_image(image_file).shape[:2])
    case["mask"] = f"masks/{patient_id}.png"
    Image.fromarray(np.logical_or.reduce(masks)).save(folder / case["mask"])
    return {**case, **_measure(masks, row["spacing_mm"])}


def _require_fit(patient_id: str, masks: list[np.ndarray], shape: tuple[int, ...]) -> None:
    if any(mask.shape != shape for mask in masks):
        msg = f"{patient_id}: a mask does not have the size of its image, {shape[1]} x {shape[0]}."
        raise SchemaError(msg)
    if not all(mask.any() for mask in masks):
        msg = f"{patient_id}: a tumour mask is empty."
        raise SchemaError(msg)


def _measure(masks: list[np.ndarray], spacing_mm: float) -> dict[str, Any]:
    """Size and orientation of the largest outline."""
    sizes = [lesion_geometry(mask, spacing_mm) for mask in masks]
    largest = max(sizes, key=lambda size: size.max_diameter_mm)
    return {
        "max_diameter_mm": round(largest.max_diameter_mm, 2),
        "taller_than_wide": "yes" if largest.taller_than_wide else "no",
    }


def _tables(cases: pd.DataFrame, busi: ImageCohort | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["outcome", "age", "max_diameter_mm", "taller_than_wide", "birads"]
    patients = cases[["patient_id", *columns]].assign(cohort="development")
    patients["age"] = patients["age"].round().astype("Int64")
    images = cases.assign(image_id=cases["patient_id"], modality="bmode")
    if busi is not None:
        patients = pd.concat([patients, busi.patients], ignore_index=True)
        images = pd.concat([images, busi.images], ignore_index=True)
    order = ["image_id", "patient_id", "path", "modality", "mask", "pixel_spacing_mm"]
    return patients[["patient_id", "cohort", *columns]], images[order]


def _config(busi: ImageCohort | None) -> dict[str, Any]:
    """study.yaml; with BUSI another network, since pictures without masks have no region."""
    config = dict(CONFIG)
    if busi is None:
        return config
    whole = {**_NETWORK, "epochs": 10, "region": "whole"}
    return {
        **config,
        "source": config["source"] + "; BUSI: Al-Dhabyani et al., Data in Brief 2020",
        "cohorts": {"development": ["development"], "external": [COHORT]},
        "networks": {**config["networks"], "whole": whole},
        "fusion": {**config["fusion"], "external": {COHORT: "whole"}},
    }


def _write_sources(
    folder: Path, images: pd.DataFrame, cases: pd.DataFrame, busi: ImageCohort | None
) -> None:
    """Which published file became which image, with its hash."""
    files = dict(zip(cases["patient_id"], cases["file"], strict=True))
    files |= busi.files if busi is not None else {}
    sources = images[["image_id"]].assign(
        file=[files[image_id].name for image_id in images["image_id"]],
        sha256=[sha256_file(folder / path) for path in images["path"]],
    )
    write_csv(folder / "sources.csv", sources)


def _report(
    target: Path,
    sheet: pd.DataFrame,
    patients: pd.DataFrame,
    images: pd.DataFrame,
    busi: ImageCohort | None,
) -> ImportReport:
    merged = images.merge(patients, on="patient_id", validate="m:1")
    counts = merged.groupby(["cohort", "outcome"], sort=False).agg(
        n_patients=("patient_id", "nunique"), n_images=("image_id", "size")
    )
    development = patients[
        (patients["cohort"] == "development") & (patients["outcome"] != "normal")
    ]
    missing = development[["age", "max_diameter_mm", "birads"]].isna().sum()
    return ImportReport(
        release=RELEASE,
        target=target,
        counts=counts.reset_index(),
        missing={name: int(count) for name, count in missing.items() if count},
        left_out={name: reason for name, reason in LEFT_OUT.items() if name in sheet.columns},
        duplicates=busi.duplicates if busi is not None else pd.DataFrame(),
        notes=_notes(busi),
    )


def _notes(busi: ImageCohort | None) -> tuple[str, ...]:
    notes = ["BIRADS is kept as the human comparator and is in no model."]
    if busi is None:
        return tuple(notes)
    pairs = len(busi.duplicates)
    conflicts = int((~busi.duplicates["same_label"]).sum())
    notes += [
        f"{COHORT} has no patient key: every image counts as a patient.",
        f"{COHORT} has {pairs} pairs of (nearly) identical images, {conflicts} of them under two "
        "labels; all are kept as published, and intervals are narrower than they should be.",
        f"{COHORT} images were stored squashed to a square: no claim about shape holds there.",
    ]
    return tuple(notes)
