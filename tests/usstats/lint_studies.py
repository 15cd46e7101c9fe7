"""Studies without a mistake, in many shapes, as they lie on disk.

The covariates follow a known law, the network's logit is the log likelihood ratio of a normal
score (so that it is calibrated), and the run folder holds what the statistics gave.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import special, stats

import usstats

#: Shapes of clean studies: patients, external cohorts with their size, images a patient, networks,
#: missing values, readers, style of the identifiers.
SHAPES: tuple[Mapping[str, Any], ...] = (
    {"n": 700, "external": {"prospective": 420}, "images": (1, 3)},
    {"n": 1200, "external": {"hospital_b": 400, "hospital_c": 500}, "images": (1, 4)},
    {"n": 900, "external": {}, "images": (1, 1), "missing": 0.0},
    {"n": 600, "external": {"later": 400}, "images": (2, 2), "networks": 2, "ids": "hex"},
    {"n": 260, "external": {"prospective": 90}, "images": (1, 3)},
    {"n": 800, "external": {"zhongshan": 450}, "images": (1, 6), "missing": 0.3, "prevalence": 0.3},
    {"n": 1500, "external": {"external": 700}, "images": (1, 2), "auc": 0.7, "prevalence": 0.2},
    {"n": 750, "external": {"temporal": 400}, "images": (1, 3), "readers": 6},
    {"n": 640, "external": {"site_2": 380}, "images": (1, 2), "auc": 0.93, "ids": "number"},
    {"n": 1000, "external": {"b": 420}, "networks": 2, "images": (1, 2), "prevalence": 0.6},
)
TERMS = (
    {"name": "dl_prob", "type": "logit"},
    {"name": "fsh", "type": "log"},
    {"name": "testicular_volume", "type": "log"},
    {"name": "edv", "type": "rcs", "knots": 3},
)


@dataclass(frozen=True)
class Study:
    """A study folder in memory: study.yaml, tables by path, small JSON files by path."""

    config: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    documents: dict[str, Any] = field(default_factory=dict)
    #: Rules the study does break, by its size.
    true: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def having(self, **changes: Any) -> Study:
        """With other values of `config` (top-level keys)."""
        return replace(self, config={**self.config, **changes})

    def table(self, path: str, frame: pd.DataFrame | None) -> Study:
        """With another table, or without it."""
        tables = {k: v for k, v in self.tables.items() if k != path}
        return replace(self, tables=tables if frame is None else {**tables, path: frame})

    def document(self, path: str, content: Any) -> Study:
        """With another JSON file."""
        return replace(self, documents={**self.documents, path: content})

    def write(self, root: Path) -> Path:
        """On disk."""
        root.mkdir(parents=True, exist_ok=True)
        (root / "study.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        for path, frame in self.tables.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            frame.to_csv(root / path, index=False)
        for path, content in self.documents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            (root / path).write_text(text)
        return root


def clean_study(
    seed: int,
    *,
    n: int = 700,
    external: Mapping[str, int] | None = None,
    images: tuple[int, int] = (1, 3),
    networks: int = 1,
    missing: float = 0.1,
    prevalence: float = 0.42,
    auc: float = 0.85,
    readers: int = 0,
    ids: str = "letters",
) -> Study:
    """A study in which nothing is wrong, but for its size where it is small."""
    rng = np.random.default_rng(seed)
    sizes = {"development": n, **(external or {})}
    names = [f"net_{i + 1}" for i in range(networks)]
    patients = _patients(rng, sizes, prevalence, missing, ids)
    pictures = _images(rng, patients, images)
    parts = [_predictions(rng, name, patients, pictures, auc, prevalence) for name in names]
    study = Study(
        config=_config(seed, [*(external or {})], names),
        tables={
            "patients.csv": patients,
            "images.csv": pictures,
            "run/predict/predictions.csv": pd.concat(parts, ignore_index=True),
        },
        documents={f"run/train/{name}/config.json": _training(name, seed) for name in names},
    )
    if readers:
        study = study.table("readings.csv", _readings(rng, patients, readers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return with_results(study, seed)


def _config(seed: int, external: list[str], networks: list[str]) -> dict[str, Any]:
    network = {"architecture": "resnet18", "weights": "imagenet", "region": "roi", "folds": 5}
    terms = [dict(term) for term in TERMS]
    return {
        "schema_version": 1,
        "name": "noa",
        "title": "A clean study",
        "synthetic": True,
        "outcome": {"column": "outcome", "positive": "NOA", "negative": "OA", "label": "NOA"},
        "cohorts": {"development": ["development"], "external": external},
        "networks": {name: dict(network) for name in networks},
        "fusion": {"network": networks[0], "aggregate": "mean_logit"},
        "models": [
            {"name": "nomogram", "terms": terms},
            {"name": "clinical", "terms": [dict(term) for term in TERMS[1:]]},
            {"name": "network", "terms": [dict(TERMS[0])]},
        ],
        "imputation": {"m": 20, "method": "pmm"},
        "validation": {"n_boot": 1000},
        "decision": {
            "low": 0.1,
            "high": 0.8,
            "rationale": "Few surgeons would operate below 10 % or wait above 80 %.",
        },
        "seed": seed,
    }


def _training(name: str, seed: int) -> dict[str, Any]:
    return {
        "name": name,
        "loss": "cross_entropy",
        "class_weights": "none",
        "tuning_fraction": 0.2,
        "epochs": 6,
        "folds": 5,
        "seed": seed,
        "augment": {"flip": 0.5},
        "label_smoothing": 0.0,
    }


def _patients(
    rng: np.random.Generator, sizes: Mapping[str, int], prevalence: float, missing: float, ids: str
) -> pd.DataFrame:
    cohort = np.repeat(list(sizes), list(sizes.values()))
    total = len(cohort)
    y = (rng.random(total) < prevalence).astype(int)
    base = rng.normal(size=total)
    frame = pd.DataFrame(
        {
            "patient_id": _identifiers(rng, sizes, ids),
            "cohort": cohort,
            "outcome": np.where(y == 1, "NOA", "OA"),
            "centre": rng.choice(["north", "south"], total),
            "age": np.round(rng.normal(32, 5, total)),
            "smoker": rng.choice(["no", "yes"], total),
            "fsh": np.exp(1.6 + 0.7 * y + 0.6 * base + 0.3 * rng.normal(size=total)).round(1),
            "lh": np.exp(1.5 + 0.2 * y + 0.4 * base + 0.2 * rng.normal(size=total)).round(1),
            "testosterone": np.exp(2.6 + 0.3 * rng.normal(size=total)).round(1),
            "testicular_volume": np.exp(2.7 - 0.3 * y + 0.3 * rng.normal(size=total)).round(1),
            "edv": np.exp(1.3 - 0.25 * y + 0.3 * rng.normal(size=total)).round(2),
        }
    )
    if missing:
        frame.loc[rng.random(total) < missing, "edv"] = np.nan
    return frame


def _identifiers(rng: np.random.Generator, sizes: Mapping[str, int], ids: str) -> list[str]:
    total = sum(sizes.values())
    if ids == "hex":
        return [f"{v:08x}" for v in rng.choice(2**32, total, replace=False)]
    if ids == "number":
        return [str(100001 + i) for i in range(total)]
    return [
        f"{name[0].upper()}{k}{i:04d}"
        for k, (name, m) in enumerate(sizes.items())
        for i in range(m)
    ]


def _images(
    rng: np.random.Generator, patients: pd.DataFrame, least_most: tuple[int, int]
) -> pd.DataFrame:
    count = rng.integers(least_most[0], least_most[1] + 1, len(patients))
    who = patients["patient_id"].to_numpy().repeat(count)
    number = np.concatenate([np.arange(k) + 1 for k in count])
    image = [f"{p}_{i}" for p, i in zip(who, number, strict=True)]
    return pd.DataFrame(
        {
            "image_id": image,
            "patient_id": who,
            "path": [f"images/{name}.png" for name in image],
            "modality": "bmode",
            "sha256": [f"{v:064x}" for v in rng.integers(2**62, 2**63, len(image))],
        }
    )


def _predictions(
    rng: np.random.Generator,
    name: str,
    patients: pd.DataFrame,
    images: pd.DataFrame,
    auc: float,
    prevalence: float,
) -> pd.DataFrame:
    """Logits that are log likelihood ratios; each fold's network is too sure by its own factor."""
    apart = np.sqrt(2) * stats.norm.ppf(auc)
    known = patients.set_index("patient_id")
    y = (known["outcome"] == "NOA").astype(int)
    person = pd.Series(np.sqrt(0.7) * rng.normal(size=len(y)), index=y.index)
    seen = images["patient_id"].map(apart * y + person) + np.sqrt(0.3) * rng.normal(
        size=len(images)
    )
    true = special.logit(prevalence) + apart * (seen - apart / 2)
    home = images["patient_id"].map(known["cohort"] == "development")
    fold = images["patient_id"].map(pd.Series(rng.integers(0, 5, len(y)), index=y.index))
    warm = rng.uniform(1.05, 1.35, 5)
    factor = np.where(home, warm[fold], warm.mean())
    hashes = np.array([f"{v:016x}" for v in rng.integers(2**62, 2**63, 6)])
    logit = (true * factor).round(6)
    return pd.DataFrame(
        {
            "patient_id": images["patient_id"],
            "image_id": images["image_id"],
            "model": name,
            "fold": fold.where(home).astype("Int64"),
            "role": np.where(home, "out_of_fold", "external"),
            "class": "NOA",
            "logit": logit,
            "probability": special.expit(logit),
            "probability_calibrated": special.expit(logit / factor),
            "n_images": images.groupby("patient_id")["image_id"].transform("size"),
            "model_hash": np.where(home, hashes[fold], hashes[5]),
        }
    )


def _readings(rng: np.random.Generator, patients: pd.DataFrame, readers: int) -> pd.DataFrame:
    cases = patients[patients["cohort"] == "development"].sample(120, random_state=1)
    y = (cases["outcome"] == "NOA").to_numpy(dtype=int)
    parts = []
    for reader in range(readers):
        junior = reader >= readers // 2
        for k, condition in enumerate(("unaided", "aided")):
            seen = (0.9 + 0.6 * (not junior) + 0.4 * k) * y + rng.normal(size=len(y))
            parts.append(
                pd.DataFrame(
                    {
                        "reader": f"R{reader + 1}",
                        "case": cases["patient_id"].to_numpy(),
                        "condition": condition,
                        "rating": np.round(100 * stats.norm.cdf(seen - 0.8)),
                        "experience": "junior" if junior else "expert",
                        "session": 1 + (k + reader) % 2,
                        "order": rng.permutation(len(y)) + 1,
                        "washout": 28,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def fused(study: Study, cohort: str) -> pd.DataFrame:
    """One row a patient with the network's probability."""
    rows = study["run/predict/predictions.csv"]
    table = usstats.patient_probability(rows, model=study.config["fusion"]["network"])
    patients = study["patients.csv"]
    mine = patients[patients["cohort"] == cohort]
    event = (mine["outcome"] == "NOA").astype(int)
    return mine.assign(event=event).merge(table, on="patient_id", validate="1:1")


def with_results(study: Study, seed: int) -> Study:
    """Add the run folder: fits, validation, comparison, Table 1, external cohorts."""
    home = fused(study, "development")
    tables: dict[str, pd.DataFrame] = {"run/fuse/development.csv": home}
    by = usstats.describe(
        home[["event", "age", "smoker", "fsh", "lh", "testosterone", "testicular_volume", "edv"]],
        by="event",
    )
    tables["run/describe/development.csv"] = by.frame()
    models = {m["name"]: m["terms"] for m in study.config["models"]}
    variables = ["event", "dl_prob", "fsh", "testicular_volume", "edv"]
    completed: Any = home[variables]
    if completed.isna().any().any():
        completed = usstats.impute(home[variables], m=5, method="pmm", outcome="event", seed=seed)
    fits = {}
    for name, terms in models.items():
        make = usstats.fit_logistic if isinstance(completed, pd.DataFrame) else usstats.fit_imputed
        fits[name] = make(None, completed, outcome="event", terms=terms)
        tables[f"run/fit/{name}.csv"] = fits[name].frame()
        tables[f"run/fit/{name}_odds_ratios.csv"] = fits[name].odds_ratios(per="iqr")
        first = completed if isinstance(completed, pd.DataFrame) else completed[0]
        recipe = usstats.Recipe(threshold="youden")
        result = usstats.validate(
            usstats.fit_logistic(None, first, outcome="event", terms=terms),
            first,
            n_boot=100,
            seed=seed,
            recipe=recipe if name == "nomogram" else None,
        )
        tables[f"run/validate/{name}.csv"] = result.frame()
        curve = result.decision_curve([0.1, 0.3, 0.5, 0.8], model=name)
        tables[f"run/validate/{name}_decision.csv"] = curve.frame()
    first = completed if isinstance(completed, pd.DataFrame) else completed[0]
    risk = fits["nomogram"].predict(first)
    threshold = usstats.choose_threshold(home["event"], risk)
    accuracy = usstats.diagnostic_accuracy(home["event"], risk, threshold=threshold)
    tables["run/fit/accuracy.csv"] = accuracy.frame()
    tables |= _external(study, fits, threshold)
    whole = replace(study, tables={**study.tables, **tables}, true=_true(study))
    return whole.document("run/fit/threshold.json", threshold.frame().iloc[0].to_dict())


def _external(study: Study, fits: Mapping[str, Any], threshold: Any) -> dict[str, pd.DataFrame]:
    tables = {}
    for cohort in study.config["cohorts"]["external"]:
        there = fused(study, cohort)
        tables[f"run/fuse/{cohort}.csv"] = there
        there = there.assign(edv=there["edv"].fillna(there["edv"].median()))
        for name, fit in fits.items():
            result = usstats.evaluate(
                there["event"], fit.predict(there), thresholds=[0.1, 0.3, 0.5, 0.8]
            )
            tables[f"run/external/{cohort}_{name}.csv"] = result.frame()
        risk = fits["nomogram"].predict(there)
        accuracy = usstats.diagnostic_accuracy(there["event"], risk, threshold=threshold)
        tables[f"run/external/{cohort}_accuracy.csv"] = accuracy.frame()
    return tables


def _true(study: Study) -> frozenset[str]:
    """What the size of a study breaks, by the rules' own words."""
    patients = study["patients.csv"]
    event = patients["outcome"] == "NOA"
    broken = set()
    for cohort in study.config["cohorts"]["external"]:
        here = event[patients["cohort"] == cohort]
        if min(here.sum(), (~here).sum()) < 100:
            broken.add("R18")
    home = event[patients["cohort"] == "development"]
    if usstats.sample_size_development(5, float(home.mean()), auc=0.9).n > len(home):
        broken.add("R16")
    return frozenset(broken)
