"""A made-up study of non-obstructive azoospermia whose truth is known.

275 azoospermic men of three centres for development and 100 seen later on another machine, with
one to three pictures each: the shape of the published NOA study, none of its data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from reports.files import write_json
from reports.study_folder import new_study_folder, write_study
from reports.synthetic.covariates import LAW, SEVERITY, Law, draw_covariates, hide_values
from reports.synthetic.overlay import annotate
from reports.synthetic.texture import SCANNERS, draw_anatomy, render
from usstats.errors import ArgumentError, SchemaError

__all__ = ["NOA_CONFIG", "TRUTH_FILE", "Truth", "ensure_noa_study", "make_noa_study"]

TRUTH_FILE = "truth.json"
GENERATOR_VERSION = 1
COHORTS = ("development", "prospective")
IMAGES_PER_PATIENT: Mapping[int, float] = MappingProxyType({1: 0.25, 2: 0.50, 3: 0.25})
HIDDEN = (SEVERITY, "true_risk")
TRUTH_COLUMNS = ("patient_id", "cohort", "outcome", *HIDDEN)
DEFAULT_SEED = 20261121

NOA_CONFIG: Mapping[str, Any] = MappingProxyType(
    {
        "schema_version": 1,
        "name": "noa_demo",
        "title": "Non-obstructive azoospermia on scrotal ultrasound (synthetic demonstration)",
        "synthetic": True,
        "source": "Drawn by usstats; no patient was examined",
        "outcome": {
            "column": "outcome",
            "positive": "NOA",
            "negative": "OA",
            "label": "non-obstructive azoospermia",
        },
        "cohorts": {"development": ["development"], "external": ["prospective"]},
        "networks": {
            "roi": {
                "architecture": "efficientnet_lite0",
                "weights": "imagenet",
                "region": "roi",
                "roi_margin": 0.1,
                "input_size": 96,
                "epochs": 6,
                "folds": 5,
            }
        },
        "fusion": {"network": "roi", "aggregate": "mean_logit"},
        "models": [
            {
                "name": "nomogram",
                "terms": [
                    {"name": "dl_prob", "type": "logit"},
                    {"name": "fsh", "type": "log"},
                    {"name": "testicular_volume", "type": "log"},
                    {"name": "edv", "type": "rcs", "knots": 3},
                ],
            },
            {
                "name": "clinical",
                "terms": [
                    {"name": "fsh", "type": "log"},
                    {"name": "testicular_volume", "type": "log"},
                    {"name": "edv", "type": "rcs", "knots": 3},
                ],
            },
            {"name": "network", "terms": [{"name": "dl_prob", "type": "logit"}]},
        ],
        "imputation": {"m": 20, "method": "pmm"},
        "validation": {"n_boot": 1000},
        "decision": {
            "low": 0.30,
            "high": 0.90,
            "rationale": "The choice is sperm extraction or reconstruction of the ducts. Few "
            "surgeons would prepare an extraction while non-obstructive azoospermia is less than "
            "30 % likely, and few would still explore for an obstruction above 90 %.",
        },
        "seed": DEFAULT_SEED,
    }
)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What no investigator knows: the law the patients come from, and each one's true risk.

    Parameters
    ----------
    seed, n_development, n_external
        What the study was made with; the same three make the same files again.
    patients
        patient_id, cohort, outcome, severity, true_risk of every patient of the study.
    law
        The law; `law.auc(names)` is the best AUC any model of those covariates can reach.
    """

    seed: int
    n_development: int
    n_external: int
    patients: pd.DataFrame
    law: Law = field(default_factory=lambda: LAW)

    def __repr__(self) -> str:
        n_event = int((self.patients["outcome"] == "NOA").sum())
        return (
            f"<synthetic NOA study: n = {len(self.patients)}, events = {n_event}, unit: patient; "
            f"best possible AUC {self.auc():.3f}>"
        )

    def auc(self, names: list[str] | None = None) -> float:
        """The best possible AUC given the named covariates (default: all and the severity)."""
        return self.law.auc(names)

    def draw_patients(
        self, n: int, *, seed: int, cohort: str = "development", missing: bool = True
    ) -> pd.DataFrame:
        """Fresh patients of the same law, with `severity` and `true_risk`, unlike any in the study.

        Parameters
        ----------
        n
            Number of patients.
        seed
            Makes the draw; independent of the study's own seed.
        cohort
            "development" or "prospective"; decides which scanner draws their pictures.
        missing
            Whether values are left out as in the study.

        Raises
        ------
        ArgumentError
            A cohort that does not exist, or n below 1.
        """
        if cohort not in COHORTS or n < 1:
            offered = ", ".join(COHORTS)
            msg = f"`cohort` must be one of {offered} and `n` at least 1; got {cohort}, {n}."
            raise ArgumentError(msg)
        return _draw_cohort(
            n, np.random.SeedSequence([seed, 1]), cohort, "F", law=self.law, missing=missing
        )

    def draw_images(self, patients: pd.DataFrame, folder: Path, *, seed: int) -> pd.DataFrame:
        """Draw the pictures of patients from `draw_patients` under `folder`; return images.csv."""
        return _draw_images(patients, Path(folder), np.random.SeedSequence([seed, 2]))

    def to_json(self, path: Path | str) -> Path:
        """Write the truth beside the study."""
        content = {
            "generator_version": GENERATOR_VERSION,
            "seed": self.seed,
            "n_development": self.n_development,
            "n_external": self.n_external,
            "prevalence": self.law.prevalence,
            "best_auc": self.auc(),
            "best_auc_severity": self.auc([SEVERITY]),
            "patients": self.patients.to_dict("records"),
        }
        return write_json(path, content)

    @classmethod
    def from_json(cls, path: Path | str) -> Truth:
        """Read what `to_json` wrote.

        Raises
        ------
        SchemaError
            The file was written by another version of the generator.
        """
        content = json.loads(Path(path).read_text("utf-8"))
        version = content.get("generator_version")
        if version != GENERATOR_VERSION:
            msg = f"{path} comes from generator version {version}, this is {GENERATOR_VERSION}."
            raise SchemaError(msg)
        return cls(
            seed=content["seed"],
            n_development=content["n_development"],
            n_external=content["n_external"],
            patients=pd.DataFrame(content["patients"], columns=list(TRUTH_COLUMNS)),
        )


def make_noa_study(
    target: Path | str, *, seed: int = DEFAULT_SEED, n_development: int = 275, n_external: int = 100
) -> Truth:
    """Make the synthetic NOA study in a new folder.

    Parameters
    ----------
    target
        A folder that does not exist yet, or is empty.
    seed
        Decides every number and pixel.
    n_development, n_external
        Patients of the development and the prospective cohort.

    Returns
    -------
    Truth
        Also written as truth.json beside study.yaml; no stage reads it.

    Raises
    ------
    SchemaError
        The target is taken.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     truth = make_noa_study(Path(home) / "noa", seed=1, n_development=6, n_external=4)
    ...     sorted(path.name for path in (Path(home) / "noa").iterdir())
    ['images', 'images.csv', 'masks', 'patients.csv', 'study.yaml', 'truth.json']
    >>> len(truth.patients)
    10
    """
    covariates, pictures = np.random.SeedSequence([seed, 0]).spawn(2)
    cohorts = zip(COHORTS, "DP", (n_development, n_external), covariates.spawn(2), strict=True)
    patients = pd.concat(
        [_draw_cohort(n, source, name, initial) for name, initial, n, source in cohorts],
        ignore_index=True,
    )
    truth = Truth(
        seed=seed,
        n_development=n_development,
        n_external=n_external,
        patients=patients[list(TRUTH_COLUMNS)],
    )
    with new_study_folder(Path(target)) as folder:
        images = _draw_images(patients, folder, pictures)
        seen = patients.drop(columns=list(HIDDEN))
        write_study(folder, {**NOA_CONFIG, "seed": seed}, patients=seen, images=images)
        truth.to_json(folder / TRUTH_FILE)
    return truth


def ensure_noa_study(target: Path | str) -> Truth:
    """The synthetic NOA study in `target`, made if it is not there yet.

    Raises
    ------
    SchemaError
        The folder holds something else.
    """
    path = Path(target) / TRUTH_FILE
    return Truth.from_json(path) if path.is_file() else make_noa_study(target)


def _draw_cohort(
    n: int,
    source: np.random.SeedSequence,
    cohort: str,
    initial: str,
    *,
    law: Law = LAW,
    missing: bool = True,
) -> pd.DataFrame:
    measured, hidden = (np.random.default_rng(child) for child in source.spawn(2))
    patients = draw_covariates(n, measured, law=law)
    if missing:
        patients = hide_values(patients, hidden)
    patients.insert(0, "patient_id", [f"{initial}{i + 1:04d}" for i in range(n)])
    patients.insert(1, "cohort", cohort)
    return patients


def _draw_images(
    patients: pd.DataFrame, folder: Path, source: np.random.SeedSequence
) -> pd.DataFrame:
    """Draw everybody's pictures; the result does not depend on the order of the threads."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    records = patients.to_dict("records")
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = pool.map(
            lambda job: _draw_patient(*job, folder),
            zip(records, source.spawn(len(records)), strict=True),
        )
        rows = [row for patient_rows in jobs for row in patient_rows]
    return pd.DataFrame(rows)


def _draw_patient(
    patient: Mapping[str, Any], source: np.random.SeedSequence, folder: Path
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(source)
    count = rng.choice(list(IMAGES_PER_PATIENT), p=list(IMAGES_PER_PATIENT.values()))
    return [
        _draw_image(patient, f"{patient['patient_id']}_{i + 1}", rng, folder) for i in range(count)
    ]


def _draw_image(
    patient: Mapping[str, Any], image_id: str, rng: np.random.Generator, folder: Path
) -> dict[str, Any]:
    prospective = patient["cohort"] == "prospective"
    scanner = SCANNERS["prospective" if prospective else patient["centre"]]
    anatomy = draw_anatomy(patient["testicular_volume"], rng)
    picture = render(patient[SEVERITY], anatomy, scanner, rng)
    calipers = picture.long_axis if rng.random() < scanner.caliper_rate else None
    shown = annotate(picture.gray, pixel_spacing_mm=anatomy.pixel_spacing_mm, calipers=calipers)
    path, mask = f"images/{image_id}.png", f"masks/{image_id}.png"
    Image.fromarray(shown).save(folder / path, compress_level=3)
    Image.fromarray(picture.mask).save(folder / mask)
    return {
        "image_id": image_id,
        "patient_id": patient["patient_id"],
        "path": path,
        "modality": "bmode",
        "mask": mask,
        "pixel_spacing_mm": anatomy.pixel_spacing_mm,
    }
