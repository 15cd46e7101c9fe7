"""The table that `dl` and the statistics share; it loads no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dl.calibrators import Uncalibrated, class_log_odds
from dl.data import ImageStudy

__all__ = ["COLUMNS", "ensemble_hash", "predictions_frame"]

COLUMNS = (
    "patient_id",
    "image_id",
    "model",
    "fold",
    "role",
    "class",
    "logit",
    "probability",
    "probability_calibrated",
    "n_images",
    "model_hash",
)


def ensemble_hash(hashes: Sequence[str]) -> str:
    """One `model_hash` that stands for those of several models, in their order.

    Examples
    --------
    >>> ensemble_hash(["a", "b"]) == ensemble_hash(["b", "a"])
    False
    """
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def predictions_frame(
    study: ImageStudy,
    logit: NDArray[np.float64],
    probability_calibrated: NDArray[np.float64],
    *,
    model: str,
    positive: str,
    classes: Sequence[str] | None = None,
    role: str,
    fold: Sequence[int] | NDArray[Any] | None,
    model_hash: Sequence[str] | str,
) -> pd.DataFrame:
    """One row an image: the logit, its one sigmoid, and the calibrated probability.

    `fold` is empty for an external cohort; `n_images` counts the patient's images in the study.

    Of several `classes`, with (n, K) network logits and calibrated probabilities, one row an
    image and class: `probability` is the one softmax over the classes, and `logit` the log-odds
    of the class against all others, so that here too the probability is the sigmoid of the logit.
    The network's logits, up to one constant an image, are log(probability).
    """
    odds = logit if classes is None else class_log_odds(logit)
    values = odds, Uncalibrated().apply(logit), probability_calibrated
    n_classes = 1 if classes is None else len(classes)
    patients = study.images["patient_id"]
    folds = pd.array([pd.NA] * len(study) if fold is None else np.asarray(fold), dtype="Int64")
    table = pd.DataFrame(
        {
            "patient_id": patients,
            "image_id": study.images["image_id"],
            "model": model,
            "fold": folds,
            "role": role,
            "n_images": patients.map(patients.value_counts()).to_numpy(),
            "model_hash": model_hash,
        }
    )
    table = table.loc[table.index.repeat(n_classes)].reset_index(drop=True)
    table["class"] = positive if classes is None else list(classes) * len(study)
    for name, column in zip(
        ("logit", "probability", "probability_calibrated"), values, strict=True
    ):
        table[name] = column.ravel()
    return table[list(COLUMNS)]
