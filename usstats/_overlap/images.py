"""One row an image (and class): overlap, distance, areas, and which mask was empty."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster
from usstats._numbers import as_numbers
from usstats._overlap.masks import (
    Mask,
    Spacing,
    _empty,
    check_mask_pair,
    check_spacing,
    dice,
    hd95,
    iou,
)
from usstats.errors import ArgumentError, EmptyMaskWarning, PairingError, RiskError

Float = np.float64
Stack = Sequence[ArrayLike] | NDArray[Any]
MEASURES = ("dice", "iou", "hd95")
BOUNDS = {"dice": (0.0, 1.0), "iou": (0.0, 1.0), "hd95": (0.0, np.inf)}


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a pair of masks is measured."""

    spacing: Spacing
    classes: Mapping[Any, str] | None
    background: Any
    both_empty: float
    missed: float | str
    pooled: bool

    def score(self, a: ArrayLike, b: ArrayLike, spacing: Spacing) -> list[dict[str, Any]]:
        """Rows of one image: one, or one a class."""
        if self.classes is None:
            return [self._measure(*check_mask_pair(a, b), spacing)]
        first, second = self._label_maps(a, b)
        return [
            {"class": name, **self._measure(first == label, second == label, spacing)}
            for label, name in self.classes.items()
        ]

    def _measure(self, a: Mask, b: Mask, spacing: Spacing) -> dict[str, Any]:
        pixel = float(np.prod(check_spacing(spacing, a.ndim)))
        return {
            "dice": dice(a, b, both_empty=self.both_empty),
            "iou": iou(a, b, both_empty=self.both_empty),
            "hd95": hd95(a, b, spacing=spacing, pooled=self.pooled, empty=self.missed),
            "size_a": float(a.sum() * pixel),
            "size_b": float(b.sum() * pixel),
            "empty": _empty(a, b),
        }

    def _label_maps(self, a: ArrayLike, b: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        first, second = np.asarray(a), np.asarray(b)
        if first.shape != second.shape:
            msg = f"Both label maps must have one shape; `a` is {first.shape}, `b` {second.shape}."
            raise PairingError(msg)
        known = {*(self.classes or {}), self.background}
        found = {*np.unique(first).tolist(), *np.unique(second).tolist()}
        if not found <= known:
            msg = (
                f"The label maps hold {sorted(found - known, key=str)[:5]}, which are neither in "
                f"`classes` {list(self.classes or {})} nor the background {self.background!r}."
            )
            raise ArgumentError(msg)
        return first, second


def score_images(masks_a: Stack, masks_b: Stack, scoring: Scoring) -> pd.DataFrame:
    """Rows of all images, numbered in a column `row`.

    Raises
    ------
    PairingError, ArgumentError
        With the number of the image.
    """
    if len(masks_a) != len(masks_b):
        msg = f"`masks_a` has {len(masks_a)} images, `masks_b` {len(masks_b)}; pair them first."
        raise PairingError(msg)
    if len(masks_a) == 0:
        msg = "`masks_a` is empty: there are no images."
        raise PairingError(msg)
    spacings = _spacings(scoring.spacing, len(masks_a))
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyMaskWarning)
        for i, (a, b) in enumerate(zip(masks_a, masks_b, strict=True)):
            try:
                rows += [{"row": i, **row} for row in scoring.score(a, b, spacings[i])]
            except (PairingError, ArgumentError) as error:
                msg = f"Image {i}: {error}"
                raise type(error)(msg) from None
    return pd.DataFrame(rows)


def _spacings(spacing: Spacing, n: int) -> Sequence[Spacing]:
    """One spacing an image: the common one, or a row of a table (n, axes)."""
    if np.ndim(spacing) < 2:  # type: ignore[arg-type]
        return [spacing] * n
    table = np.asarray(spacing, dtype=float)
    if table.ndim != 2 or len(table) != n:
        msg = f"`spacing` has shape {table.shape}; one row an image needs ({n}, axes)."
        raise PairingError(msg)
    return [row if len(row) > 1 else float(row[0]) for row in table]


def read_classes(classes: Sequence[Any] | Mapping[Any, str] | None) -> dict[Any, str] | None:
    """Label of each class in the maps -> its name.

    Raises
    ------
    ArgumentError
    """
    if classes is None:
        return None
    named = classes if isinstance(classes, Mapping) else {label: str(label) for label in classes}
    if not named or len(set(named.values())) < len(named):
        msg = f"`classes` must name each class of the label maps once; got {classes!r}."
        raise ArgumentError(msg)
    return {label: str(name) for label, name in named.items()}


def read_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of measures made elsewhere, checked.

    Raises
    ------
    ArgumentError, RiskError
    """
    given = [name for name in MEASURES if name in frame]
    if not given or frame.empty:
        msg = f"The table needs rows and one of {list(MEASURES)}; it has {list(frame.columns)}."
        raise ArgumentError(msg)
    table = frame.reset_index(drop=True).copy()
    for name in given:
        values = as_numbers(table[name]).to_numpy()
        text = np.isnan(values) & table[name].notna().to_numpy()
        low, high = BOUNDS[name]
        outside = (values < low) | (values > high)
        if text.any() or outside.any():
            first = int(np.flatnonzero(text | outside)[0])
            msg = (
                f"`{name}` must lie in [{low:g}, {high:g}]; {int((text | outside).sum())} of "
                f"{len(values)} values do not (first: {table[name].iloc[first]}, row {first})."
            )
            raise RiskError(msg)
        table[name] = values
    if "class" in table:
        missing = int(table["class"].isna().sum())
        if missing:
            msg = f"`class` has {missing} missing values; name the class of each row."
            raise ArgumentError(msg)
        table["class"] = table["class"].astype(str)
    return table


def image_table(
    masks_a: Stack | pd.DataFrame,
    masks_b: Stack | None,
    scoring: Scoring,
    *,
    patient_id: ArrayLike | str,
    image_id: ArrayLike | str | None,
) -> pd.DataFrame:
    """One row an image and class, with its number, patient and name.

    Raises
    ------
    ArgumentError, PairingError, RiskError
    """
    if isinstance(masks_a, pd.DataFrame):
        if masks_b is not None:
            msg = "`masks_a` is a table of measures; leave `masks_b` out."
            raise ArgumentError(msg)
        return _identified_table(read_scores(masks_a), patient_id, image_id)
    if masks_b is None:
        msg = "`masks_b` is missing: give the reference masks, or a table of measures alone."
        raise ArgumentError(msg)
    if isinstance(patient_id, str):
        msg = "`patient_id` must hold the patient of each image; only a table has columns."
        raise ArgumentError(msg)
    scores = score_images(masks_a, masks_b, scoring)
    n = len(masks_a)
    check_cluster(patient_id, n)
    names = np.arange(n) if image_id is None else np.asarray(image_id)
    if len(names) != n:
        msg = f"`image_id` has {len(names)} names for {n} images."
        raise PairingError(msg)
    row = scores["row"].to_numpy()
    who = pd.DataFrame({"patient_id": np.asarray(patient_id)[row], "image_id": names[row]})
    return pd.concat([who, scores], axis=1)


def _identified_table(
    scores: pd.DataFrame, patient_id: ArrayLike | str, image_id: ArrayLike | str | None
) -> pd.DataFrame:
    """Patients and image numbers of a table of measures."""
    table = (
        scores.rename(columns={patient_id: "patient_id"})
        if isinstance(patient_id, str)
        else (scores.assign(patient_id=np.asarray(patient_id)))
    )
    if "patient_id" not in table:
        msg = f"The table has no column {patient_id!r}; name the patients by `patient_id`."
        raise ArgumentError(msg)
    check_cluster(table["patient_id"], len(table))
    if isinstance(image_id, str):
        table = table.rename(columns={image_id: "image_id"})
    elif image_id is not None:
        table["image_id"] = np.asarray(image_id)
    if "image_id" not in table:
        if "class" in table:
            msg = "A table with several classes needs `image_id`, to know what belongs together."
            raise ArgumentError(msg)
        table["image_id"] = np.arange(len(table))
    keys = ["patient_id", "image_id"]
    if table.duplicated([*keys, *(["class"] if "class" in table else [])]).any():
        msg = "The table has several rows for one image (and class); each needs one."
        raise PairingError(msg)
    return table.assign(row=table.groupby(keys, sort=False).ngroup())
