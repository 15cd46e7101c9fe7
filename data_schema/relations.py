"""What the tables of a study say about each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data_schema.cells import Place, normal_id
from data_schema.problems import Problem
from data_schema.schema import Column, ForeignKey, TableSchema


@dataclass(frozen=True, kw_only=True)
class Table:
    """A typed table with the place of every row in its file."""

    file: str
    schema: TableSchema
    frame: pd.DataFrame
    lines: tuple[int, ...]

    def place(self, column: str) -> Place:
        """Where a column stands, for a message."""
        declared = self.schema.get(column) or Column(name=column)
        return Place(file=self.file, column=declared, lines=self.lines)


def check_relations(tables: Mapping[str, Table]) -> list[Problem]:
    """Keys that point nowhere, patients in two cohorts, images that changed their patient."""
    problems = []
    for table in tables.values():
        for key in table.schema.foreign_keys:
            reference = tables.get(key.reference)
            if reference is not None and key.column in table.frame:
                problems += _foreign_key(table, reference, key)
    if "patients" in tables and "images" in tables:
        problems += _without_image(tables["patients"], tables["images"])
        problems += _disagreeing(
            tables["images"], tables["patients"], on="patient_id", column="cohort"
        )
    if "images" in tables and "predictions" in tables:
        problems += _disagreeing(
            tables["predictions"], tables["images"], on="image_id", column="patient_id"
        )
    return problems


def _foreign_key(table: Table, reference: Table, key: ForeignKey) -> list[Problem]:
    if key.reference_column not in reference.frame:
        return []
    known = reference.frame[key.reference_column].dropna().astype(str)
    cells = table.frame[key.column]
    orphan = cells.notna() & ~cells.astype(str).isin(set(known))
    careless = {_loose(text) for text in known}
    near = orphan & cells.astype(str).map(_loose).isin(careless)
    expected = f"a {key.reference_column} of {reference.file}"
    place = table.place(key.column)
    return place.problem(
        "near_match",
        near,
        found=f"keys that match one of {reference.file} but for case, spaces or leading zeros",
        expected=expected,
        remedy="write the identifier the same way in both files",
    ) + place.problem(
        "orphan",
        orphan & ~near,
        found=f"keys that are not in {reference.file}",
        expected=expected,
        remedy="add the row there, or remove it here",
    )


def _loose(text: str) -> str:
    return normal_id(text).lstrip("0")


def _without_image(patients: Table, images: Table) -> list[Problem]:
    if not {"patient_id"} <= set(patients.frame) & set(images.frame):
        return []
    alone = ~patients.frame["patient_id"].isin(set(images.frame["patient_id"].dropna()))
    return patients.place("patient_id").problem(
        "patient_without_image",
        alone,
        found=f"patients without a row in {images.file}",
        expected="at least one image a patient",
        remedy="add the images; patients without one get no network probability",
        severity="warning",
    )


def _disagreeing(table: Table, reference: Table, *, on: str, column: str) -> list[Problem]:
    """Rows whose `column` is another than the one the reference gives for the same key."""
    if not {on, column} <= set(table.frame) & set(reference.frame):
        return []
    stated: pd.Series[Any] = reference.frame.drop_duplicates(on).set_index(on)[column]
    expected = table.frame[on].map(stated)
    mine = table.frame[column]
    bad = mine.notna() & expected.notna() & (mine.astype(str) != expected.astype(str))
    code = "patient_across_cohorts" if column == "cohort" else "other_patient"
    return table.place(column).problem(
        code,
        bad,
        found=f"another {column} than {reference.file} gives for the same {on}",
        expected="the same in both files",
        remedy="correct one of the files",
    )
