"""What an import took over, what it left out, and what the reader of the study must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from reports.files import write_json

__all__ = ["REPORT_FILE", "ImportReport"]

REPORT_FILE = "import.json"


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """The account of an import.

    Parameters
    ----------
    release
        Name of the imported release.
    target
        The study folder.
    counts
        cohort, outcome, n_patients, n_images.
    missing
        Column -> number of development patients without a value.
    left_out
        Column of the release -> why it is not in the study.
    duplicates
        image_1, image_2, distance, same_label: pairs of pictures that are (nearly) the same.
    notes
        Sentences a reader needs.
    """

    release: str
    target: Path
    counts: pd.DataFrame
    missing: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    left_out: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    duplicates: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        n_patients, n_images = self.counts[["n_patients", "n_images"]].sum()
        return f"<import of {self.release}: n = {n_patients} patients, {n_images} images>"

    @property
    def n_conflicts(self) -> int:
        """Pairs of near-identical pictures that carry different outcomes."""
        return 0 if self.duplicates.empty else int((~self.duplicates["same_label"]).sum())

    def frame(self) -> pd.DataFrame:
        """Patients and images by cohort and outcome."""
        return self.counts.copy()

    def summary(self) -> str:
        """Text for a person."""
        lines = [f"Imported {self.release} into {self.target}"]
        lines += [
            f"  {row.cohort}: {row.n_patients} {row.outcome} ({row.n_images} images)"
            for row in self.counts.itertuples()
        ]
        lines += [f"  {name}: missing in {count}" for name, count in self.missing.items()]
        lines += [f"  left out: {name} ({reason})" for name, reason in _by_reason(self.left_out)]
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes)])

    def to_json(self, path: Path | str) -> Path:
        """Write everything but the target's place on this machine."""
        content: dict[str, Any] = {
            "release": self.release,
            "counts": self.counts.to_dict("records"),
            "missing": dict(self.missing),
            "left_out": dict(self.left_out),
            "duplicates": self.duplicates.to_dict("records"),
            "notes": list(self.notes),
        }
        return write_json(path, content)


def _by_reason(left_out: Mapping[str, str]) -> list[tuple[str, str]]:
    """Columns that share a reason on one line."""
    grouped: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        grouped.setdefault(reason, []).append(name)
    return [(", ".join(names), reason) for reason, names in grouped.items()]
