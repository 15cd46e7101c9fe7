"""Folds that keep a patient whole.

Every splitter here deals patients, never images (rule R03). Patients whose images are near
duplicates can be tied together; whoever is tied shares a fold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_seed
from usstats._files import write_text
from usstats._grouping import Groups, patients_of, plain_labels, tied_groups
from usstats.errors import ArgumentError, PairingError, ResampleError, SchemaError
from usstats.leakage import LeakageAudit, audit_leakage, near_pairs
from usstats.results import read_only

__all__ = [
    "Folds",
    "LeakageAudit",
    "audit_leakage",
    "make_folds",
    "near_pairs",
    "tuning_split",
]

Int = np.int64
Label = str | int
FORMAT = "usstats.folds/1"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Folds:
    """Which patient is held out in which fold.

    Attributes
    ----------
    patient_id : tuple of str or int
        Patients in canonical (text) order.
    fold : (n_patients,) int
        Fold of each patient, from 0.
    outcome : (n_patients,) int
        The outcome the patient was stratified by.
    row_patient : (n,) int
        Position in `patient_id` of every row that was split.
    n_folds, seed : int
    """

    patient_id: tuple[Label, ...]
    fold: NDArray[Int]
    outcome: NDArray[Int]
    row_patient: NDArray[Int]
    n_folds: int
    seed: int

    @property
    def assignment(self) -> NDArray[Int]:
        """Fold of every row, (n,)."""
        return read_only(self.fold[self.row_patient])

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content: two objects that split alike share it."""
        return _digest(self._content())

    def frame(self) -> pd.DataFrame:
        """One row a patient: patient_id, fold, n_images, outcome."""
        n_images = np.bincount(self.row_patient, minlength=len(self.patient_id))
        return pd.DataFrame(
            {
                "patient_id": pd.Series(self.patient_id, dtype=object).infer_objects(),
                "fold": self.fold.copy(),
                "n_images": n_images,
                "outcome": self.outcome.copy(),
            }
        )

    def fold_frame(self) -> pd.DataFrame:
        """One row a fold: fold, n_patients, n_images, n_event (patients), prevalence.

        With more than two classes the patients of each stand in n_class_0, n_class_1, ... instead
        of the last two columns.
        """
        patients = self.frame()
        per_class = {"n_event": ("outcome", "sum"), "prevalence": ("outcome", "mean")}
        if self._n_classes > 2:
            names = [f"n_class_{level}" for level in range(self._n_classes)]
            patients[names] = np.eye(self._n_classes, dtype=Int)[self.outcome]
            per_class = {name: (name, "sum") for name in names}
        table = patients.groupby("fold", sort=True)
        return table.agg(
            n_patients=("patient_id", "size"), n_images=("n_images", "sum"), **per_class
        ).reset_index()

    def lookup(self, cluster: ArrayLike) -> NDArray[Int]:
        """Fold of any rows of these patients, (n,).

        Raises
        ------
        PairingError
            A patient who was not dealt.
        """
        known = dict(zip(self.patient_id, self.fold, strict=True))
        labels = plain_labels(np.asarray(cluster))
        unknown = [i for i, label in enumerate(labels) if label not in known]
        if unknown:
            msg = (
                f"{len(unknown)} of {len(labels)} rows belong to patients who are in no fold "
                f"(first at row {unknown[0]}). Make the folds from the same patients."
            )
            raise PairingError(msg)
        return np.array([known[label] for label in labels], dtype=Int)

    def to_json(self, path: str | Path) -> None:
        """Write splits.json, atomically, with a checksum of its content."""
        content = self._content()
        text = json.dumps({**content, "sha256": self.hash}, allow_nan=False, indent=1)
        write_text(path, text)

    @classmethod
    def from_json(cls, path: str | Path) -> Folds:
        """Read splits.json back.

        Raises
        ------
        SchemaError
            The file is not splits.json, or was changed after it was written.
        """
        content = _read_content(Path(path))
        return cls(
            patient_id=tuple(content["patient_id"]),
            fold=_column(content["fold"]),
            outcome=_column(content["outcome"]),
            row_patient=_column(content["row_patient"]),
            n_folds=int(content["n_folds"]),
            seed=int(content["seed"]),
        )

    def summary(self) -> str:
        """Counts of the split and of every fold."""
        lines = [
            f"  fold {k}: {(self.fold == k).sum()} patients, {self._events(self.fold == k)}, "
            f"{(self.assignment == k).sum()} rows"
            for k in np.unique(self.fold)
        ]
        return "\n".join([repr(self)[1:-1], *lines])

    def __repr__(self) -> str:
        events = int(self.outcome.sum())
        counts = f"events = {events}" if self._n_classes == 2 else self._events(self.fold >= 0)
        return (
            f"<{self.n_folds} folds of {len(self.patient_id)} patients, "
            f"{len(self.row_patient)} rows, {counts}, unit: patient; "
            f"stratified by outcome, seed {self.seed}>"
        )

    @property
    def _n_classes(self) -> int:
        return max(int(self.outcome.max()) + 1, 2)

    def _events(self, chosen: NDArray[np.bool_]) -> str:
        counts = np.bincount(self.outcome[chosen], minlength=self._n_classes)
        if self._n_classes == 2:
            return f"{counts[1]} events"
        return f"classes = {'/'.join(map(str, counts))}"

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "n_folds": self.n_folds,
            "seed": self.seed,
            "patient_id": list(self.patient_id),
            "fold": self.fold.tolist(),
            "outcome": self.outcome.tolist(),
            "row_patient": self.row_patient.tolist(),
        }


def make_folds(
    y: ArrayLike,
    cluster: ArrayLike,
    *,
    n_folds: int = 5,
    seed: int,
    keep_together: Iterable[Sequence[Hashable]] | None = None,
    n_classes: int = 2,
) -> Folds:
    """Deal patients into folds, stratified by outcome and balanced in size.

    A patient's outcome is the maximum over the rows, so that a patient with conflicting labels
    counts as an event. Each class is dealt in random order to the fold that holds the fewest
    patients of the class, then the fewest patients, then the fewest rows: numbers of patients
    per class differ by at most one between folds as long as nobody is tied to somebody else.

    Parameters
    ----------
    y : array_like, shape (n,)
        0/1 or bool, one value a row (image).
    cluster : array_like, shape (n,)
        Patient labels (text or whole numbers).
    n_folds : int
    seed : int
    keep_together : iterable of tuples of patient labels, optional
        Patients who must share a fold, for example because an image of one is a near duplicate
        of an image of the other (`LeakageAudit.pairs`). Ties are transitive.
    n_classes : int
        Of the outcome. With more than two, `y` holds the classes 0 to n_classes - 1, each of
        them at least once.

    Returns
    -------
    Folds

    Raises
    ------
    OutcomeError
        `y` is not 0/1 (or not 0 to n_classes - 1), or lacks a class.
    PairingError
        Lengths differ, a label is missing, or a tied patient is unknown.
    ResampleError
        A class has fewer patients (or tied groups) than folds.

    Examples
    --------
    >>> folds = make_folds([0, 0, 1, 1, 0, 1], list("aabbcd"), n_folds=2, seed=1)
    >>> folds.fold_frame()[["n_patients", "n_event"]].values.tolist()
    [[2, 1], [2, 1]]
    """
    if isinstance(n_folds, bool) or int(n_folds) != n_folds or n_folds < 2:
        msg = f"`n_folds` must be a whole number of at least 2; got {n_folds!r}."
        raise ArgumentError(msg)
    patients = patients_of(y, cluster, n_classes=n_classes)
    groups = tied_groups(patients, keep_together)
    _refuse_scarce_classes(groups, int(n_folds), n_classes)
    fold_of_group = _deal(groups, int(n_folds), n_classes, np.random.default_rng(check_seed(seed)))
    return Folds(
        patient_id=patients.labels,
        fold=_frozen(fold_of_group[groups.of_patient]),
        outcome=_frozen(patients.outcome),
        row_patient=_frozen(patients.of_row),
        n_folds=int(n_folds),
        seed=int(seed),
    )


def tuning_split(
    y: ArrayLike,
    cluster: ArrayLike,
    *,
    fraction: float = 0.2,
    seed: int,
    keep_together: Iterable[Sequence[Hashable]] | None = None,
    n_classes: int = 2,
) -> NDArray[np.bool_]:
    """Set patients of a training part aside for choosing epochs and settings.

    Selection on these patients leaves the held-out fold untouched (rule R04). In each class
    `fraction` of the patients is drawn, at least one and never all.

    Parameters
    ----------
    y, cluster, seed, keep_together, n_classes
        As in `make_folds`.
    fraction : float
        Share of the patients of each class, inside (0, 1).

    Returns
    -------
    (n,) bool
        True in the rows of tuning patients.

    Raises
    ------
    ResampleError
        A class has fewer than two patients.

    Examples
    --------
    >>> y = [0, 0, 0, 1, 1, 1]
    >>> tuning_split(y, list("aabcde"), fraction=0.34, seed=1).sum() in (2, 3)
    True
    """
    if not 0 < fraction < 1:
        msg = f"`fraction` must lie inside (0, 1), for example 0.2; got {fraction!r}."
        raise ArgumentError(msg)
    patients = patients_of(y, cluster, n_classes=n_classes)
    groups = tied_groups(patients, keep_together)
    _refuse_scarce_classes(groups, 2, n_classes)
    rng = np.random.default_rng(check_seed(seed))
    tuning = np.zeros(len(groups.outcome), dtype=bool)
    for level in reversed(range(n_classes)):
        members = np.flatnonzero(groups.outcome == level)
        size = int(np.clip(round(fraction * members.size), 1, members.size - 1))
        tuning[rng.permutation(members)[:size]] = True
    return np.asarray(tuning[groups.of_patient][patients.of_row])


def _refuse_scarce_classes(groups: Groups, n_folds: int, n_classes: int) -> None:
    counts = np.bincount(groups.outcome, minlength=n_classes)
    if counts.min() < n_folds:
        found = f"{', '.join(map(str, counts))} of the classes 0 to {n_classes - 1}"
        if n_classes == 2:
            found = f"{counts[1]} with and {counts[0]} without the event"
        msg = (
            f"Every fold needs a patient of each class; there are {found} (patients tied together "
            f"count once) for {n_folds} parts. Use at most {max(int(counts.min()), 1)}, or collect "
            "more patients."
        )
        raise ResampleError(msg)


def _deal(groups: Groups, n_folds: int, n_classes: int, rng: np.random.Generator) -> NDArray[Int]:
    """Fold of every group: large ties first, the others in random order."""
    fold = np.empty(len(groups.outcome), dtype=Int)
    n_patients, n_rows = np.zeros(n_folds, dtype=Int), np.zeros(n_folds, dtype=Int)
    for level in reversed(range(n_classes)):
        members = rng.permutation(np.flatnonzero(groups.outcome == level))
        members = members[np.argsort(-groups.n_patients[members], kind="stable")]
        in_class = np.zeros(n_folds, dtype=Int)
        for group in members:
            lightest = np.lexsort((rng.random(n_folds), n_rows, n_patients, in_class))[0]
            fold[group] = lightest
            in_class[lightest] += groups.n_patients[group]
            n_patients[lightest] += groups.n_patients[group]
            n_rows[lightest] += groups.n_rows[group]
    return fold


def _frozen(values: NDArray[Any]) -> NDArray[Int]:
    return read_only(np.array(values, dtype=Int))


def _column(values: list[int]) -> NDArray[Int]:
    return _frozen(np.array(values, dtype=Int))


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read_content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path.name} cannot be read as splits.json: {type(error).__name__}."
        raise SchemaError(msg) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{path.name} is not a splits.json of this version (`format` must be {FORMAT!r})."
        raise SchemaError(msg)
    stored = content.pop("sha256", None)
    if stored != _digest(content):
        msg = (
            f"{path.name} was changed after it was written: its content does not match its "
            "SHA-256. Restore the file, or make the folds again and retrain."
        )
        raise SchemaError(msg)
    return content
