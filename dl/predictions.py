"""The table that `dl` and the statistics share; it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logsumexp, softmax

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
    classes: Sequence[str] | None = None,
    role: str,
    fold: Sequence[int] | NDArray[Any] | None,
    model_hash: Sequence[str] | str,
) -> pd.DataFrame:
    """One row an image: the logit, its one sigmoid, and the sigmoid of logit / temperature.

    `fold` is empty for an external cohort; `n_images` counts the patient's images in the study.

    Of several `classes`, with (n, K) network logits, one row an image and class: `probability` is
    the one softmax over the classes, `probability_calibrated` that of the logits / temperature,
    and `logit` the log-odds of the class against all others, so that here too the probability is
    the sigmoid of the logit. The network's logits, up to one constant an image, are
    log(probability).
    """
    if classes is None:
        values = logit, expit(logit), expit(logit / temperature)
    else:
        values = _by_class(logit, np.broadcast_to(temperature, len(study)))
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


def _by_class(
    logit: NDArray[np.float64], temperature: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Log-odds of each class against the others, softmax, and calibrated softmax: (n, K) each."""
    log_p, k = log_softmax(logit, axis=1), logit.shape[1]
    others = [logsumexp(np.delete(log_p, i, axis=1), axis=1) for i in range(k)]
    odds = log_p - np.stack(others, axis=1)
    return odds, softmax(logit, axis=1), softmax(logit / temperature[:, None], axis=1)
