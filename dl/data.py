"""A study's images as a table; it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_schema.cells import normal_id
from dl.errors import ImageError, MaskError
from dl.images import read_mask
from usstats._check import check_outcome
from usstats._numbers import as_number
from usstats.errors import ArgumentError, OutcomeError, SchemaError

__all__ = ["ImageStudy"]

_REQUIRED = ("image_id", "patient_id", "path")


@dataclass(frozen=True, kw_only=True)
class ImageStudy:
    """Images of a study, one row each, and the folder their paths start from.

    Attributes
    ----------
    images : DataFrame
        image_id (unique), patient_id and path; label (0/1, or one of several
        declared classes by name or code; needed for training only); mask (path)
        or roi ("left top right bottom", or "x1 y1 x2 y2 x3 y3 ..." of a polygon, in pixels) for
        networks that look at a region; frame of a loop, counted from 0;
        for networks of two images doppler_path (empty where there is none) with
        doppler_mask or doppler_roi, and gate (path of an outline, best a predicted one:
        `dl.gates.gate_masks`). `dl.pairing.pair_images` makes these columns from a table of
        one row a file. pixel_spacing_mm, cohort and others are carried along.
    root : Path
        No path may lead outside it.

    Raises
    ------
    SchemaError
        A column is absent or there twice, an identifier is missing or repeated, or two patients
        differ in case, spaces or width of their identifiers alone.

    Examples
    --------
    >>> table = pd.DataFrame({"image_id": ["a1"], "patient_id": ["a"], "path": ["a1.png"]})
    >>> len(ImageStudy(images=table, root=Path(".")))
    1
    """

    images: pd.DataFrame
    root: Path

    def __post_init__(self) -> None:
        if not isinstance(self.images, pd.DataFrame):
            msg = f"`images` must be a DataFrame; got {type(self.images).__name__}."
            raise SchemaError(msg)
        twice = self.images.columns[self.images.columns.duplicated()]
        if len(twice):
            msg = f"The images table has the column(s) {', '.join(map(str, twice))} twice."
            raise SchemaError(msg)
        absent = [name for name in _REQUIRED if name not in self.images]
        if absent:
            msg = f"The images table lacks the column(s) {', '.join(absent)}."
            raise SchemaError(msg)
        if self.images.empty:
            msg = "The images table has no data rows."
            raise SchemaError(msg)
        table = self.images.reset_index(drop=True)
        _check_identifiers(table)
        for name in _REQUIRED:
            table[name] = table[name].astype(str)
        object.__setattr__(self, "images", table)
        object.__setattr__(self, "root", Path(self.root))

    def __len__(self) -> int:
        return len(self.images)

    def labels(self, classes: Sequence[str] | None = None) -> NDArray[np.int64]:
        """The outcome of every image: 0 or 1, or the position of its class in `classes`.

        Parameters
        ----------
        classes : sequence of str, optional
            Names of several classes; the column holds them, or the codes 0 to K - 1.

        Raises
        ------
        SchemaError
            There is no column `label`.
        OutcomeError
            It is missing somewhere, not 0/1 (or no declared class), or a class has no image.
        """
        if "label" not in self.images:
            msg = "The images table has no column `label` (0/1); training needs the outcome."
            raise SchemaError(msg)
        if classes is None:
            return check_outcome(self.images["label"].to_numpy(), name="label")
        return _class_codes(self.images["label"], list(classes))

    @property
    def patients(self) -> NDArray[Any]:
        """Patient of every image."""
        return self.images["patient_id"].to_numpy(dtype=object)

    @property
    def has_doppler(self) -> NDArray[np.bool_]:
        """Which rows name a Doppler image."""
        return self._filled("doppler_path")

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """Which rows name a mask."""
        return self._filled("mask")

    def rows(self, image_ids: list[str]) -> list[int]:
        """Positions of images.

        Raises
        ------
        ArgumentError
            An image the study does not have.
        """
        where = {name: row for row, name in enumerate(self.images["image_id"])}
        unknown = [name for name in image_ids if str(name) not in where]
        if unknown:
            msg = f"`image_ids`: {len(unknown)} of {len(image_ids)} are not images of this study."
            raise ArgumentError(msg)
        return [where[str(name)] for name in image_ids]

    def file(self, row: int, column: str = "path") -> Path | None:
        """A file named in the table, inside the root; None where the cell is empty."""
        value = self.images[column].iloc[row] if column in self.images else None
        if value is None or pd.isna(value) or not str(value).strip():
            return None
        path = self.root / str(value)
        if "\0" in str(value) or not path.resolve().is_relative_to(self.root.resolve()):
            msg = f"the {column} leads outside the study folder; use a path relative to it"
            raise ImageError(msg)
        return path

    def frame(self, row: int, picture: str = "") -> int | None:
        """Which frame of a loop, counted from 0; None where the column `frame` says nothing.

        Of the image, or of its Doppler image (`picture="doppler"`, column `doppler_frame`).
        """
        column = f"{picture}_frame" if picture else "frame"
        value = self.images[column].iloc[row] if column in self.images else None
        if value is None or pd.isna(value) or not str(value).strip():
            return None
        number = as_number(value)
        if not number.is_integer():
            msg = f"`{column}` must be a whole number, counted from 0; got {value!r}"
            raise ImageError(msg)
        return int(number)

    def region(self, row: int, picture: str = "") -> NDArray[Any] | None:
        """The region of interest: a mask (H, W), a box (4,), a polygon (2 k,), or None.

        Of the image, or of its Doppler image (`picture="doppler"`).
        """
        prefix = f"{picture}_" if picture else ""
        mask, column = self.file(row, f"{prefix}mask"), f"{prefix}roi"
        if mask is not None:
            return read_mask(mask)
        box = self.images[column].iloc[row] if column in self.images else None
        if box is None or pd.isna(box) or not str(box).strip():
            return None
        try:
            return np.array([float(part) for part in str(box).split()])
        except ValueError:
            msg = (
                f"`{column}` must be numbers in pixels: left top right bottom of a box, or "
                "x1 y1 x2 y2 x3 y3 ... of a polygon"
            )
            raise MaskError(msg) from None

    def _filled(self, column: str) -> NDArray[np.bool_]:
        if column not in self.images:
            return np.zeros(len(self), dtype=bool)
        cells = self.images[column]
        return (cells.notna() & (cells.astype(str).str.strip() != "")).to_numpy(dtype=bool)


def check_study(study: object) -> None:
    """Refuse anything but an `ImageStudy`.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(study, ImageStudy):
        msg = (
            f"`study` must be an ImageStudy; got {type(study).__name__}. Make one of a table: "
            "ImageStudy(images=table, root=folder)."
        )
        raise ArgumentError(msg)


def normal_patients(patients: pd.Series) -> pd.Series:
    """Identifiers as a careless eye reads them: without case, spaces and width."""
    return patients.astype(str).map(normal_id)


def _class_codes(label: pd.Series, classes: list[str]) -> NDArray[np.int64]:
    """Positions in `classes`; a column of numbers that are no names holds the positions."""
    texts = label.astype(str).str.strip()
    codes = pd.Categorical(texts, categories=classes).codes.astype(np.int64)
    if (codes < 0).all():
        numbers = [str(code) for code in range(len(classes))]
        texts = texts.str.removesuffix(".0")
        codes = pd.Categorical(texts, categories=numbers).codes.astype(np.int64)
    wrong = np.flatnonzero((codes < 0) | label.isna().to_numpy())
    if wrong.size:
        msg = (
            f"`label`: {wrong.size} of {len(label)} images have none of the classes {classes} "
            f"nor all a code from 0 to {len(classes) - 1} (first: row {wrong[0]}, "
            f"{label.iloc[wrong[0]]!r})."
        )
        raise OutcomeError(msg)
    absent = [name for i, name in enumerate(classes) if i not in codes]
    if absent:
        msg = f"`label`: no image is of the class(es) {', '.join(absent)}; leave them out."
        raise OutcomeError(msg)
    return codes


def _check_identifiers(table: pd.DataFrame) -> None:
    for name in _REQUIRED:
        blank = table[name].isna() | (table[name].astype(str).str.strip() == "")
        if blank.any():
            first = ", ".join(map(str, np.flatnonzero(blank)[:3]))
            msg = f"`{name}` is empty in {blank.sum()} of {len(table)} rows (first: row {first})."
            raise SchemaError(msg)
    _refuse_alike(table["patient_id"])
    repeated = table["image_id"].astype(str).duplicated()
    if repeated.any():
        first = ", ".join(map(str, np.flatnonzero(repeated)[:3]))
        msg = f"`image_id` is repeated in {repeated.sum()} rows (first: row {first})."
        raise SchemaError(msg)


def _refuse_alike(patient_id: pd.Series) -> None:
    """One patient under two spellings would stand on both sides of a split."""
    distinct = patient_id.astype(str).drop_duplicates()
    plain = normal_patients(distinct)
    alike = plain.duplicated(keep=False)
    if alike.any():
        msg = (
            f"`patient_id`: {alike.sum()} identifiers differ in case, spaces or width alone "
            f"(rows {', '.join(map(str, distinct.index[alike][:3]))}, ...). Write a patient the "
            "same way everywhere."
        )
        raise SchemaError(msg)
