"""Does anything stand on both sides of a split, or under two names?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_lengths
from usstats.errors import ArgumentError, LeakageError, PairingError, SchemaError

if TYPE_CHECKING:
    from usstats.splits import Folds

#: Bits of 64 in which two perceptual hashes may differ and still count as the same picture.
MAX_DISTANCE = 6
ACROSS_FOLDS = "patient across folds"
ACROSS_COHORTS = "patient across cohorts"
IDENTICAL = "identical image under two patients"
NEAR = "near-duplicate"
CONFLICT = "label conflict"
FINDINGS = (
    "rule",
    "kind",
    "patient_1",
    "patient_2",
    "image_1",
    "image_2",
    "side_1",
    "side_2",
    "distance",
)
_BLOCK = 4_000_000


@dataclass(frozen=True, kw_only=True, repr=False)
class LeakageAudit:
    """What was found, and how much was looked at.

    Attributes
    ----------
    findings : DataFrame
        See `frame`.
    n_images, n_patients : int
    checked : tuple of str
        The kinds that could be checked with what was given.
    """

    findings: pd.DataFrame
    n_images: int
    n_patients: int
    checked: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """One row a finding.

        rule, kind, patient_1, patient_2, image_1, image_2, side_1, side_2 (fold or cohort) and
        distance (bits, for near duplicates).
        """
        return self.findings.copy()

    @property
    def is_clean(self) -> bool:
        """Nothing was found, conflicting labels included."""
        return self.findings.empty

    @property
    def leaks(self) -> pd.DataFrame:
        """The findings that put one patient or picture on two sides."""
        return self.findings[self.findings["kind"] != CONFLICT].reset_index(drop=True)

    @property
    def pairs(self) -> tuple[tuple[Any, Any], ...]:
        """Pairs of patients who share a picture: the `keep_together` of `make_folds`."""
        shared = self.findings[self.findings["kind"].isin((IDENTICAL, NEAR))]
        couples = shared[["patient_1", "patient_2"]].drop_duplicates()
        return tuple(couples.itertuples(index=False, name=None))

    def raise_if_leaking(self) -> None:
        """Stop here if a patient or a picture stands on two sides.

        Raises
        ------
        LeakageError
            With the count of every kind and what to do about it.
        """
        if self.leaks.empty:
            return
        msg = (
            f"R03: {_counts(self.leaks)}. Split by patient, pass the audit's `pairs` to "
            "make_folds(keep_together=...), and leave out what two cohorts share; frame() "
            "lists the patients and images."
        )
        raise LeakageError(msg)

    def summary(self) -> str:
        """Counts of what was found and the list of what was checked."""
        found = "nothing found" if self.is_clean else _counts(self.findings)
        return (
            f"leakage audit of {self.n_images} images of {self.n_patients} patients: {found}; "
            f"checked: {', '.join(self.checked)}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def audit_leakage(
    images: pd.DataFrame,
    folds: Folds | ArrayLike | None = None,
    *,
    hashes: ArrayLike | Mapping[Any, int] | None = None,
    digests: ArrayLike | None = None,
    duplicates: ArrayLike | None = None,
    max_distance: int = MAX_DISTANCE,
) -> LeakageAudit:
    """Look for patients and pictures that stand on two sides (rule R03).

    Parameters
    ----------
    images : DataFrame
        One row an image: image_id, patient_id; `label`, `cohort`, `fold` and `sha256` are used
        where they exist.
    folds : Folds or array_like, shape (n,), optional
        The fold of every image; the column `fold` where neither is given.
    hashes : (n,) int, or mapping image_id -> int, optional
        64-bit perceptual hashes. Images of two patients are near duplicates when at most
        `max_distance` bits differ.
    digests : (n,) str, optional
        Hashes of the files' content, for exact duplicates; the column `sha256` by default.
    duplicates : (k, 2) or (k, 3) int, optional
        Rows i, j (and distance) already known to show the same picture, from a finer comparison
        than the hash; they take the place of `hashes`.
    max_distance : int

    Returns
    -------
    LeakageAudit
        With folds or cohorts given, shared pictures of two patients are findings only where
        they stand on two sides; without, all are, as candidates for `keep_together`.
        Pictures (or a patient's images) with two labels are listed as label conflicts.

    Raises
    ------
    SchemaError
        `images` lacks image_id or patient_id.
    PairingError
        Folds or hashes do not match the images.

    Examples
    --------
    >>> images = pd.DataFrame({"image_id": ["i1", "i2"], "patient_id": ["p1", "p1"]})
    >>> audit_leakage(images, [0, 1]).frame()["kind"].tolist()
    ['patient across folds']
    """
    table = _image_table(images, folds)
    if isinstance(max_distance, bool) or not 0 <= max_distance < 64:
        msg = f"`max_distance` must be a whole number of bits from 0 to 63; got {max_distance!r}."
        raise ArgumentError(msg)
    content = digests if digests is not None else images.get("sha256")
    checked = [CONFLICT] if table["label"].notna().any() else []
    findings = [_identical(table, content), _label_conflicts(table)]
    checked.append(IDENTICAL)
    if duplicates is None and hashes is not None:
        duplicates = list(near_pairs(_aligned(hashes, table), max_distance=max_distance))
    if duplicates is not None:
        findings.append(_near(table, duplicates))
        checked.append(NEAR)
    for side, kind in (("fold", ACROSS_FOLDS), ("cohort", ACROSS_COHORTS)):
        if table[side].notna().any():
            findings.append(_patients_across(table, side, kind))
            checked.append(kind)
    rows = [finding for group in findings for finding in group]
    return LeakageAudit(
        findings=_without_repeats(pd.DataFrame(rows, columns=list(FINDINGS))),
        n_images=len(table),
        n_patients=table["patient_id"].nunique(),
        checked=tuple(checked),
    )


def near_pairs(
    hashes: ArrayLike, *, max_distance: int = MAX_DISTANCE
) -> Iterator[tuple[int, int, int]]:
    """Yield (i, j, distance), i < j, for 64-bit hashes that differ in few bits.

    Examples
    --------
    >>> list(near_pairs([0b1111, 0b1110, 2**40 - 1], max_distance=2))
    [(0, 1, 1)]
    """
    bits = np.asarray(hashes, dtype=np.uint64)
    block = max(1, _BLOCK // max(bits.size, 1))
    for start in range(0, bits.size, block):
        apart = np.bitwise_count(bits[start : start + block, None] ^ bits[None, start:])
        near = np.triu(apart <= max_distance, k=1)
        for i, j in zip(*np.nonzero(near), strict=True):
            yield start + int(i), start + int(j), int(apart[i, j])


def _image_table(images: pd.DataFrame, folds: Folds | ArrayLike | None) -> pd.DataFrame:
    absent = [name for name in ("image_id", "patient_id") if name not in images]
    if absent:
        msg = f"`images` needs the columns image_id and patient_id; absent: {', '.join(absent)}."
        raise SchemaError(msg)
    table = images.reindex(columns=["image_id", "patient_id", "label", "cohort", "fold"])
    table = table.reset_index(drop=True)
    if folds is not None:
        rows = folds.lookup(table["patient_id"]) if hasattr(folds, "lookup") else folds
        check_lengths(images=table.to_numpy(), folds=np.asarray(rows))
        table["fold"] = np.asarray(rows)
    return table


def _aligned(hashes: ArrayLike | Mapping[Any, int], table: pd.DataFrame) -> NDArray[Any]:
    if isinstance(hashes, Mapping):
        absent = int((~table["image_id"].isin(list(hashes))).sum())
        if absent:
            msg = f"`hashes` lacks {absent} of {len(table)} images; hash every image."
            raise PairingError(msg)
        return np.array([int(hashes[image]) for image in table["image_id"]], dtype=np.uint64)
    values = np.asarray(hashes, dtype=np.uint64)
    check_lengths(images=table.to_numpy(), hashes=values)
    return values


def _patients_across(table: pd.DataFrame, side: str, kind: str) -> Iterator[tuple[Any, ...]]:
    seen = table.dropna(subset=[side]).drop_duplicates(["patient_id", side])
    for patient, rows in seen[seen.duplicated("patient_id", keep=False)].groupby("patient_id"):
        first = rows.iloc[0]
        for _, other in rows.iloc[1:].iterrows():
            images = (first["image_id"], other["image_id"])
            yield ("R03", kind, patient, patient, *images, first[side], other[side], np.nan)


def _identical(table: pd.DataFrame, digests: Any) -> Iterator[tuple[Any, ...]]:
    """Same image_id, or same content, under two patients; or same content, two labels."""
    keys = [table["image_id"].to_numpy()]
    if digests is not None:
        content = np.asarray(digests)
        check_lengths(images=table.to_numpy(), digests=content)
        keys.append(content)
    for key in keys:
        repeated = table.assign(key=key)[pd.Series(key).duplicated(keep=False).to_numpy()]
        for _, rows in repeated.dropna(subset=["key"]).groupby("key", sort=False):
            first, *others = rows.index
            for other in others:
                yield from _shared(table, first, other, IDENTICAL, np.nan)


def _near(table: pd.DataFrame, duplicates: ArrayLike) -> Iterator[tuple[Any, ...]]:
    pairs = np.asarray(duplicates)
    if pairs.size and (pairs.ndim != 2 or pairs[:, :2].max() >= len(table)):
        msg = "`duplicates` must hold pairs of row numbers of `images`, from 0."
        raise PairingError(msg)
    for i, j, *distance in pairs.tolist():
        yield from _shared(table, i, j, NEAR, distance[0] if distance else np.nan)


def _shared(
    table: pd.DataFrame, i: int, j: int, kind: str, distance: float
) -> Iterator[tuple[Any, ...]]:
    """Findings about two rows that show the same picture."""
    one, two = table.iloc[i], table.iloc[j]
    who = (one["patient_id"], two["patient_id"], one["image_id"], two["image_id"])
    sides = _sides(one, two)
    if who[0] != who[1] and sides is not None:
        yield ("R03", kind, *who, *sides, distance)
    if pd.notna(one["label"]) and pd.notna(two["label"]) and one["label"] != two["label"]:
        yield ("R03", CONFLICT, *who, one["label"], two["label"], distance)


def _sides(one: pd.Series[Any], two: pd.Series[Any]) -> tuple[Any, Any] | None:
    """The two sides rows stand on; None when they stand on the same known side."""
    known = [side for side in ("fold", "cohort") if pd.notna(one[side]) and pd.notna(two[side])]
    for side in known:
        if one[side] != two[side]:
            return one[side], two[side]
    return None if known else (np.nan, np.nan)


def _label_conflicts(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Patients whose own images carry two labels."""
    seen = table.dropna(subset=["label"]).drop_duplicates(["patient_id", "label"])
    for patient, rows in seen[seen.duplicated("patient_id", keep=False)].groupby("patient_id"):
        images, labels = rows["image_id"].iloc[:2], rows["label"].iloc[:2]
        yield ("R03", CONFLICT, patient, patient, *images, *labels, np.nan)


def _without_repeats(findings: pd.DataFrame) -> pd.DataFrame:
    """An exact duplicate is also a near duplicate: the exact finding, met first, stays."""
    who = ["patient_1", "patient_2", "image_1", "image_2"]
    picture = findings["kind"].isin((IDENTICAL, NEAR))
    again = picture & findings.assign(picture=picture).duplicated([*who, "picture"])
    conflict = (findings["kind"] == CONFLICT) & findings.duplicated([*who, "kind"])
    return findings[~(again | conflict)].reset_index(drop=True)


def _counts(findings: pd.DataFrame) -> str:
    counts = findings["kind"].value_counts(sort=False)
    return ", ".join(f"{count} x {kind}" for kind, count in counts.items())
