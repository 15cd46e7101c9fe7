"""The table that `dl` and the statistics share; it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from dl.data import ImageStudy

__all__ = ["COLUMNS", "predictions_frame"]

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


def predictions_frame(
    study: ImageStudy,
    logit: NDArray[np.float64],
    temperature: NDArray[np.float64] | float,
    *,
    model: str,
    positive: str,
    role: str,
    fold: Sequence[int] | NDArray[Any] | None,
    model_hash: Sequence[str] | str,
) -> pd.DataFrame:
    """One row an image: the logit, its one sigmoid, and the sigmoid of logit / temperature.

    `fold` is empty for an external cohort; `n_images` counts the patient's images in the study.
    """
    patients = study.images["patient_id"]
    folds = pd.array([pd.NA] * len(study) if fold is None else np.asarray(fold), dtype="Int64")
    table = pd.DataFrame(
        {
            "patient_id": patients,
            "image_id": study.images["image_id"],
            "model": model,
            "fold": folds,
            "role": role,
            "class": positive,
            "logit": logit,
            "probability": expit(logit),
            "probability_calibrated": expit(logit / temperature),
            "n_images": patients.map(patients.value_counts()).to_numpy(),
            "model_hash": model_hash,
        }
    )
    return table[list(COLUMNS)]
