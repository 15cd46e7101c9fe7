"""Predictions joined with what is known of the patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from usstats._lint.labels import as_events
from usstats._numbers import as_numbers

#: Spellings of the three roles a row can have, and of two it must not have.
ROLES = {
    "out_of_fold": ("out_of_fold", "oof", "cross_validated", "crossvalidated", "cv"),
    "external": ("external", "external_validation", "ext"),
    "in_sample": (
        "in_sample", "insample", "train", "training", "resubstitution", "apparent", "fitted",
        "self", "development",
    ),
    "tuning": ("tuning", "validation", "val", "valid", "early_stopping", "inner"),
    "held_out": ("test", "testing", "held_out", "holdout", "hold_out", "internal_test"),
}  # fmt: skip
_ROLE_OF = {spelling: role for role, spellings in ROLES.items() for spelling in spellings}
_OUTCOMES = ("event", "outcome", "y", "y_true", "truth", "target")


def role_of(role: Any) -> str:
    """A role in one spelling; "" where it is missing, the word itself where it is unknown."""
    if role is None or pd.isna(role):
        return ""
    word = str(role).strip().lower().replace("-", "_").replace(" ", "_")
    return _ROLE_OF.get(word, word)


def event_rows(frame: pd.DataFrame, cases: pd.DataFrame, positive: str) -> pd.DataFrame:
    """The predictions of the event, one row an image: patient_id, image_id, model, fold, role,
    hash, p (calibrated where it is), raw, calibrated, logit, event, cohort, side.

    Columns the table lacks are NaN or empty; the index is that of the table.
    """
    text = frame.reindex(columns=["patient_id", "image_id", "model", "model_hash"])
    rows = text.astype(object).where(text.notna(), "").astype(str)
    rows = rows.rename(columns={"model_hash": "hash"})
    rows["fold"] = as_numbers(frame["fold"]) if "fold" in frame else np.nan
    rows["role"] = _roles(frame["role"]) if "role" in frame else ""
    rows["p"] = _risk(frame)
    rows["raw"] = _numbers(frame, "probability")
    rows["calibrated"] = _numbers(frame, "probability_calibrated")
    rows["logit"] = _numbers(frame, "logit")
    for name in ("event", "cohort", "side"):
        rows[name] = rows["patient_id"].map(cases[name])
    rows["event"] = rows["event"].fillna(_own_event(frame))
    return rows[_of_the_event(frame, positive)]


def _roles(column: pd.Series[Any]) -> pd.Series[Any]:
    spellings = {role: role_of(role) for role in column.unique()}
    return column.map(spellings).fillna("")


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series[float]:
    if column not in frame:
        return pd.Series(np.nan, index=frame.index)
    return as_numbers(frame[column]).astype(float)


def _risk(frame: pd.DataFrame) -> pd.Series[float]:
    calibrated = _numbers(frame, "probability_calibrated")
    return calibrated.fillna(_numbers(frame, "probability"))


def _own_event(frame: pd.DataFrame) -> pd.Series[float]:
    for name in _OUTCOMES:
        if name in frame:
            return as_events(frame[name])
    return pd.Series(np.nan, index=frame.index)


def _of_the_event(frame: pd.DataFrame, positive: str) -> pd.Series[bool]:
    every = pd.Series(data=True, index=frame.index)
    if "class" not in frame:
        return every
    classes = frame["class"].astype(str)
    if positive in set(classes):
        return classes == positive
    return classes == classes.iloc[-1] if classes.nunique() == 2 else every
