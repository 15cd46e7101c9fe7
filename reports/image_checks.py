"""Every image of a study, opened once: is it readable, does its mask fit, is it a copy?"""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from data_schema.problems import Problem
from dl.errors import ImageError, ImageWarning
from dl.fingerprint import confirmed_duplicates, detail_signature, perceptual_hash
from dl.images import read_image, read_mask
from reports.paths import resolve_inside
from usstats.errors import SchemaError

__all__ = ["check_images", "find_copies", "look_at"]

FILE = "images.csv"
SMALLEST_PX, LONGEST_SIDES = 32, 20.0

Progress = Callable[[int, int], None]
#: What a row may name beside an image and its mask, and how it is read.
_FURTHER: Mapping[str, Callable[[Path], NDArray[Any]]] = {
    "doppler_path": read_image,
    "doppler_mask": read_mask,
    "gate": read_image,
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one cell; equal faults of many rows become one problem."""

    code: str
    column: str
    found: str
    expected: str
    remedy: str
    severity: str = "error"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at an image leaves behind."""

    faults: tuple[Fault, ...] = ()
    digest: str | None = None
    fingerprint: int | None = None
    detail: NDArray[np.float32] | None = field(default=None, repr=False)


def check_images(
    root: Path,
    images: pd.DataFrame,
    *,
    lines: Sequence[int],
    cohort: pd.Series | None = None,
    external: Iterable[str] = (),
    progress: Progress | None = None,
) -> list[Problem]:
    """Open every image and mask once and report what is wrong.

    Parameters
    ----------
    root
        The study folder; no path may leave it.
    images
        image_id, patient_id, path and, if there are any, mask.
    lines
        Line of images.csv of each row.
    cohort
        Cohort of each row's patient.
    external
        Cohorts in which copies are tolerated with a warning, since nothing is trained there.
    progress
        Called with (done, total) after every image.
    """
    rows = images.to_dict("records")
    looks = _look_at_all(root, rows, progress)
    problems = _collect(looks, lines) + _case_clashes(images, lines)
    whose = cohort if cohort is not None else pd.Series([None] * len(rows))
    patients = images["patient_id"].astype(str).tolist()
    kinds = _is_doppler(images).tolist()
    return problems + _copies(looks, patients, whose.tolist(), set(external), lines, kinds)


def _is_doppler(images: pd.DataFrame) -> pd.Series:
    """Which rows are Doppler images, that show their gray image under the flow."""
    words = images.get("modality", pd.Series("", index=images.index))
    return words.astype(str).str.strip().str.lower() == "doppler"


def _look_at_all(root: Path, rows: list[dict[str, Any]], progress: Progress | None) -> list[Look]:
    looks = []
    for row in rows:
        looks.append(look_at(root, row))
        if progress is not None:
            progress(len(looks), len(rows))
    return looks


def look_at(root: Path, row: Mapping[str, Any]) -> Look:
    """Read one image and its mask; never raises on what a file holds."""
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always", ImageWarning)
        look = _look(root, row)
    noted = [_noted(str(warning.message)) for warning in met]
    return replace(look, faults=(*look.faults, *noted))


def _look(root: Path, row: Mapping[str, Any]) -> Look:
    try:
        image = _read(root, row["path"], "path", read_image)
    except _RefusedError as refused:
        return Look(faults=(refused.fault,))
    faults = [*_image_faults(image), *_mask_faults(root, row.get("mask"), image.shape[:2])]
    faults += _further_faults(root, row)
    return Look(
        faults=tuple(faults),
        digest=hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest(),
        fingerprint=perceptual_hash(image),
        detail=detail_signature(image),
    )


def _further_faults(root: Path, row: Mapping[str, Any]) -> Iterator[Fault]:
    """Files of a pair in one row that are absent or cannot be read."""
    for column, reader in _FURTHER.items():
        cell = row.get(column)
        if cell is None or pd.isna(cell):
            continue
        try:
            _read(root, cell, column, reader)
        except _RefusedError as refused:
            yield refused.fault


def _noted(message: str) -> Fault:
    """A warning of the image reader, the path it begins with left out."""
    return Fault(
        code="image_warning",
        column="path",
        found=message.split(": ", 1)[-1].rstrip("."),
        expected="an ordinary 8-bit image",
        remedy="look at the file",
        severity="warning",
    )


class _RefusedError(Exception):
    """Carries the fault of a file that cannot be looked at further."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


def _read(
    root: Path, cell: Any, column: str, reader: Callable[[Path], NDArray[Any]]
) -> NDArray[Any]:
    """The array behind a cell, or the fault that stands in its way."""
    try:
        path = resolve_inside(root, "" if pd.isna(cell) else str(cell))
    except SchemaError as error:
        raise _RefusedError(_path_fault(column, str(error))) from None
    if not path.is_file():
        raise _RefusedError(_missing_fault(column)) from None
    try:
        return reader(path)
    except ImageError as error:
        raise _RefusedError(_unreadable(column, str(error).removeprefix(f"{path}: "))) from None
    except OSError as error:
        raise _RefusedError(_unreadable(column, error.strerror or type(error).__name__)) from None


def _path_fault(column: str, found: str) -> Fault:
    return Fault(
        code="path_refused",
        column=column,
        found=found,
        expected="a path inside the study folder, with forward slashes",
        remedy="copy the file into the study folder and name it relative to that folder",
    )


def _missing_fault(column: str) -> Fault:
    return Fault(
        code="file_missing",
        column=column,
        found="no such file",
        expected="a file inside the study folder",
        remedy="copy the file there, or correct the cell (upper and lower case differ)",
    )


def _unreadable(column: str, reason: str) -> Fault:
    return Fault(
        code="mask_unreadable" if column == "mask" else "image_unreadable",
        column=column,
        found=reason.rstrip("."),
        expected="a binary mask" if column == "mask" else "an image that decodes",
        remedy="export it again from its source",
    )


def _image_faults(image: NDArray[Any]) -> list[Fault]:
    height, width = image.shape[:2]
    faults = []
    if int(image.max()) == int(image.min()):
        faults.append(_image_fault("image_flat", "one gray level everywhere", "error"))
    if min(height, width) < SMALLEST_PX:
        faults.append(_image_fault("image_small", f"{width} x {height} pixels", "error"))
    elif max(height, width) > LONGEST_SIDES * min(height, width):
        faults.append(_image_fault("image_narrow", f"{width} x {height} pixels", "warning"))
    return faults


def _image_fault(code: str, found: str, severity: str) -> Fault:
    return Fault(
        code=code,
        column="path",
        found=found,
        expected=f"a picture of at least {SMALLEST_PX} x {SMALLEST_PX} pixels with something on it",
        remedy="look at the file and export it again, or leave the row out",
        severity=severity,
    )


def _mask_faults(root: Path, cell: Any, shape: tuple[int, ...]) -> list[Fault]:
    if cell is None or pd.isna(cell):
        return []
    try:
        mask = _read(root, cell, "mask", read_mask)
    except _RefusedError as refused:
        return [refused.fault]
    if mask.shape != shape:
        height, width = mask.shape
        found = f"a mask of {width} x {height} for an image of {shape[1]} x {shape[0]} pixels"
        return [_mask_fault("mask_size", found, "draw the mask on this very image")]
    if not mask.any():
        return [_mask_fault("mask_empty", "no pixel inside", "draw it, or leave the cell empty")]
    if mask.all():
        return [_mask_fault("mask_full", "every pixel inside", "draw the outline of the region")]
    return _parts_fault(mask)


def _parts_fault(mask: NDArray[np.bool_]) -> list[Fault]:
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    large = int((sizes >= 0.05 * sizes.sum()).sum())
    if large <= 1:
        return []
    remedy = "nothing to do if all belong to one region"
    return [_mask_fault("mask_parts", "separate parts in one mask", remedy, "warning")]


def _mask_fault(code: str, found: str, remedy: str, severity: str = "error") -> Fault:
    return Fault(
        code=code,
        column="mask",
        found=found,
        expected="one region inside the image, in the image's own size",
        remedy=remedy,
        severity=severity,
    )


def _collect(looks: Sequence[Look], lines: Sequence[int]) -> list[Problem]:
    """Equal faults of many rows as one problem."""
    rows: dict[Fault, list[int]] = defaultdict(list)
    for look, line in zip(looks, lines, strict=True):
        for fault in look.faults:
            rows[fault].append(line)
    return [
        Problem(file=FILE, rows=tuple(where), n=len(where), **vars(fault))
        for fault, where in rows.items()
    ]


def _case_clashes(images: pd.DataFrame, lines: Sequence[int]) -> list[Problem]:
    """Paths that are different files here and one file on Windows or macOS."""
    paths = images["path"].dropna().astype(str)
    distinct = paths.drop_duplicates()
    clash = set(distinct[distinct.str.casefold().duplicated(keep=False)])
    where = tuple(line for line, path in zip(lines, images["path"], strict=True) if path in clash)
    if not where:
        return []
    return [
        Problem(
            file=FILE,
            column="path",
            rows=where,
            n=len(where),
            code="case_clash",
            severity="warning",
            found="paths that differ in upper and lower case only",
            expected="names that differ on every system",
            remedy="rename one of the files",
        )
    ]


def find_copies(looks: Sequence[Look]) -> list[tuple[int, int, bool]]:
    """Pairs of rows that show the same picture: (first, second, identical to the last pixel)."""
    readable = [i for i, look in enumerate(looks) if look.digest is not None]
    pairs = _equal_pairs([looks[i].digest for i in readable])
    if readable:
        details = np.array([looks[i].detail for i in readable])
        confirmed = confirmed_duplicates([looks[i].fingerprint for i in readable], details)
        pairs |= {(int(a), int(b)) for a, b, _ in confirmed}
    return [
        (readable[a], readable[b], looks[readable[a]].digest == looks[readable[b]].digest)
        for a, b in sorted(pairs)
    ]


def _equal_pairs(digests: Sequence[str | None]) -> set[tuple[int, int]]:
    """Each repeated digest as pairs of its first place and the others."""
    first: dict[str | None, int] = {}
    return {
        (first[digest], i) for i, digest in enumerate(digests) if first.setdefault(digest, i) != i
    }


def _copies(
    looks: Sequence[Look],
    patients: Sequence[str],
    cohorts: Sequence[Any],
    external: set[str],
    lines: Sequence[int],
    kinds: Sequence[bool],
) -> list[Problem]:
    """Pictures that two patients share: a leak across cohorts and folds, a nuisance elsewhere."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, j, identical in find_copies(looks):
        across = cohorts[i] != cohorts[j]
        code = "identical_images" if identical else "near_identical_images"
        if patients[i] == patients[j] and kinds[i] != kinds[j] and not identical:
            continue
        if patients[i] == patients[j]:
            code, severity = f"{code}_of_one_patient", "warning"
        else:
            tolerated = not across and cohorts[i] in external
            severity = "warning" if tolerated or not (identical or across) else "error"
            code += "_across_cohorts" if across else ""
        groups[code, severity] += [lines[i], lines[j]]
    return [_copy_problem(code, severity, rows) for (code, severity), rows in groups.items()]


def _copy_problem(code: str, severity: str, rows: list[int]) -> Problem:
    near = "nearly identical" if code.startswith("near") else "identical"
    one_patient = code.endswith("of_one_patient")
    whose = "of one patient" if one_patient else "under two patients"
    if code.endswith("across_cohorts"):
        whose += " of two cohorts"
    remedy = (
        "leave one of them out"
        if one_patient
        else "find out whose picture it is: the same picture in training and test is a leak (R03)"
    )
    return Problem(
        file=FILE,
        column="path",
        rows=tuple(dict.fromkeys(rows)),
        n=len(set(rows)),
        code=code,
        severity=severity,
        found=f"{len(rows) // 2} pair(s) of {near} pictures {whose}",
        expected="every picture once",
        remedy=remedy,
    )
