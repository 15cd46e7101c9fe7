"""BUSI (Al-Dhabyani et al., Data in Brief 2020;28:104863) as an external cohort of images.

No patient key, no masks, no covariates: every picture counts as a patient of its own. The file
names carry the label, so the study uses neutral ones, numbered in the order of the content hash.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dl.fingerprint import confirmed_duplicates, detail_signature, perceptual_hash
from dl.images import read_image
from reports.files import sha256_file
from reports.importers.release import find_files, read_text_table, refuse

__all__ = ["COHORT", "ImageCohort", "read_busi"]

COHORT = "busi"
OUTCOMES = ("benign", "malignant", "normal")


@dataclass(frozen=True, kw_only=True)
class ImageCohort:
    """The cohort's tables, and where each image comes from (image_id -> file)."""

    patients: pd.DataFrame
    images: pd.DataFrame
    files: dict[str, Path]
    duplicates: pd.DataFrame

    def copy_to(self, folder: Path) -> None:
        """Copy the images to the paths that images.csv names."""
        for row in self.images.itertuples():
            shutil.copyfile(self.files[row.image_id], folder / row.path)


def read_busi(source: Path) -> ImageCohort:
    """Read labels.csv and the images it names.

    Raises
    ------
    SchemaError
        A file is missing, cannot be decoded, is named twice, or has an unknown label.
    """
    labels = read_text_table(source / "labels.csv", ["image", "classification"])
    refuse("is named twice in labels.csv", labels["image"][labels["image"].duplicated()].tolist())
    unknown = ~labels["classification"].isin(OUTCOMES)
    refuse(f"has a label other than {', '.join(OUTCOMES)}", labels["image"][unknown].tolist())
    found = find_files([source, source / "images"], labels["image"])
    table = labels.assign(digest=[sha256_file(found[name]) for name in labels["image"]])
    table = table.sort_values(["digest", "image"], ignore_index=True)
    table["image_id"] = [f"{COHORT}_{i + 1:03d}" for i in range(len(table))]
    return ImageCohort(
        patients=_patients(table),
        images=_images(table, found),
        files=dict(zip(table["image_id"], table["image"].map(found), strict=True)),
        duplicates=_duplicates(table, found),
    )


def _patients(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient_id": table["image_id"], "cohort": COHORT, "outcome": table["classification"]}
    )


def _images(table: pd.DataFrame, found: dict[str, Path]) -> pd.DataFrame:
    suffixes = table["image"].map(lambda name: found[name].suffix.lower())
    return pd.DataFrame(
        {
            "image_id": table["image_id"],
            "patient_id": table["image_id"],
            "path": "images/" + table["image_id"] + suffixes,
            "modality": "bmode",
        }
    )


def _duplicates(table: pd.DataFrame, found: dict[str, Path]) -> pd.DataFrame:
    """Pairs of pictures that are the same, or nearly, and whether their labels agree."""
    pictures = [read_image(found[name]) for name in table["image"]]
    pairs = confirmed_duplicates(
        [perceptual_hash(picture) for picture in pictures],
        [detail_signature(picture) for picture in pictures],
    )
    ids, labels = table["image_id"], table["classification"]
    rows = [
        (ids[i], ids[j], distance, bool(labels[i] == labels[j]))
        for i, j, distance in pairs.tolist()
    ]
    return pd.DataFrame(rows, columns=["image_1", "image_2", "distance", "same_label"])
