"""Image probabilities become one covariate a patient, with its provenance checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any
from warnings import warn

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._check import check_option, check_risk
from usstats.errors import (
    ArgumentError,
    LeakageError,
    PairingError,
    RiskError,
    SchemaError,
    UsstatsWarning,
)
from usstats.shift import EDGE, LogitShift, logit_shift

__all__ = ["LogitShift", "logit_shift", "patient_probability"]

Float = np.float64
ROLES = ("out_of_fold", "external", "in_sample")
#: A softmax fed with two probabilities can only answer between these two numbers.
TWICE_LOW, TWICE_HIGH = float(special.expit(-1)), float(special.expit(1))
_ENOUGH_TO_SUSPECT = 20


def _mean_logit(p: NDArray[Float], patient: NDArray[np.int64]) -> NDArray[Float]:
    logits = special.logit(np.clip(p, EDGE, 1 - EDGE))
    return np.asarray(special.expit(_mean(logits, patient)))


def _mean(values: NDArray[Float], patient: NDArray[np.int64]) -> NDArray[Float]:
    return np.asarray(np.bincount(patient, weights=values) / np.bincount(patient))


def _max(p: NDArray[Float], patient: NDArray[np.int64]) -> NDArray[Float]:
    highest = np.zeros(patient.max() + 1)
    np.maximum.at(highest, patient, p)
    return highest


AGGREGATES: MappingProxyType[str, Callable[[NDArray[Float], NDArray[np.int64]], NDArray[Float]]] = (
    MappingProxyType({"mean_logit": _mean_logit, "mean_probability": _mean, "max": _max})
)


def patient_probability(
    predictions: pd.DataFrame,
    *,
    aggregate: str = "mean_logit",
    column: str = "probability_calibrated",
    model: str | None = None,
    role: str | Sequence[str] = ("out_of_fold", "external"),
    positive: Any = None,
) -> pd.DataFrame:
    """One probability a patient from a predictions table with one row an image.

    Parameters
    ----------
    predictions : DataFrame
        The columns of predictions.csv: patient_id, image_id, model, fold, role, class, logit,
        probability, probability_calibrated, model_hash.
    aggregate : {"mean_logit", "mean_probability", "max"}
        "mean_logit" averages the images' logits and maps the mean back to a probability.
    column : str
        "probability_calibrated" or "probability".
    model : str, optional
        Which network, where the table holds several.
    role : str or sequence of str
        Rows to use: "out_of_fold", "external" or both.
    positive : optional
        The class that is the event, where the table holds a row for every class.

    Returns
    -------
    DataFrame
        patient_id, dl_prob, n_images, fold, role, model_hash; patients in order of appearance.

    Raises
    ------
    LeakageError
        R01: in-sample rows, or rows that do not say where they come from. R03: a patient in
        two folds or in two cohorts.
    ArgumentError
        Several networks or classes and no choice.
    RiskError
        R25: values outside [0, 1], classes that do not sum to 1, a softmax applied twice.
    PairingError
        An image twice.
    SchemaError
        Columns are absent.

    Notes
    -----
    Pre-validation: Tibshirani and Efron, Stat Appl Genet Mol Biol 2002;1:1.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "patient_id": ["p1", "p1", "p2"], "image_id": ["i1", "i2", "i3"],
    ...     "fold": [0, 0, 1], "role": "out_of_fold", "model_hash": "4f2a",
    ...     "probability_calibrated": [0.5, 0.9, 0.2]})
    >>> patient_probability(table)[["patient_id", "dl_prob", "n_images"]].values.tolist()
    [['p1', 0.75, 2], ['p2', 0.2, 1]]
    """
    check_option(aggregate, tuple(AGGREGATES), name="aggregate")
    _require(predictions, column)
    rows = _one_model(predictions, model)
    _refuse_in_sample(rows)
    rows = _with_roles(rows, role)
    check_risk(rows[column], name=column, labels=rows["patient_id"])
    _refuse_repeated_images(rows)
    rows = _one_class(rows, column, positive)
    _check_scale(rows, column)
    _refuse_two_sides(rows)
    return _by_patient(rows, column, AGGREGATES[aggregate])


def _require(predictions: pd.DataFrame, column: str) -> None:
    wanted = ("patient_id", "image_id", column)
    absent = [name for name in wanted if name not in predictions]
    if absent or predictions.empty:
        found = f"lacks the columns {', '.join(absent)}" if absent else "has no rows"
        advice = (
            ' Pass column="probability" to use the network\'s own probabilities.'
            if column in absent and "probability" in predictions
            else ""
        )
        msg = f"`predictions` {found}.{advice}"
        raise SchemaError(msg)
    anonymous = predictions["patient_id"].isna()
    if anonymous.any():
        msg = f"`predictions` has {anonymous.sum()} rows without a patient_id."
        raise PairingError(msg)
    unsourced = [name for name in ("role", "fold", "model_hash") if name not in predictions]
    if unsourced:
        msg = (
            f"R01: `predictions` does not say where its values come from ({', '.join(unsourced)} "
            "absent). Only values predicted for patients the network never saw may enter a "
            "model; write role (out_of_fold or external), fold and model_hash."
        )
        raise LeakageError(msg)


def _one_model(predictions: pd.DataFrame, model: str | None) -> pd.DataFrame:
    if "model" not in predictions:
        return predictions
    names = predictions["model"].unique().tolist()
    if model is None and len(names) > 1:
        msg = f"`predictions` holds {len(names)} models {names}; choose one with `model=`."
        raise ArgumentError(msg)
    if model is not None:
        check_option(model, names, name="model")
        return predictions.loc[predictions["model"] == model]
    return predictions


def _refuse_in_sample(rows: pd.DataFrame) -> None:
    """Rule R01: no value of a network for the patients it was trained on, or of unknown origin."""
    inside = rows["role"] == "in_sample"
    if inside.any():
        msg = (
            f"R01: {inside.sum()} of {len(rows)} rows are predictions for the network's own "
            f"training patients (role in_sample; first patients: {_first(rows, inside)}). A "
            "model fitted on them is optimistic. Use out-of-fold predictions from "
            "cross-validation, and drop the in-sample rows from the table."
        )
        raise LeakageError(msg)
    unknown = ~rows["role"].isin(ROLES)
    homeless = (rows["role"] == "out_of_fold") & rows[["fold", "model_hash"]].isna().any(axis=1)
    bad = unknown | homeless
    if bad.any():
        msg = (
            f"R01: {bad.sum()} of {len(rows)} rows lack their provenance (first patients: "
            f"{_first(rows, bad)}). `role` must be out_of_fold or external, and an out-of-fold "
            "row needs its fold and model_hash."
        )
        raise LeakageError(msg)


def _with_roles(rows: pd.DataFrame, role: str | Sequence[str]) -> pd.DataFrame:
    wanted = (role,) if isinstance(role, str) else tuple(role)
    for name in wanted:
        check_option(name, ROLES[:2], name="role")
    chosen = rows[rows["role"].isin(wanted)]
    if chosen.empty:
        msg = (
            f"No row has the role {' or '.join(wanted)}; the table has {sorted(set(rows['role']))}."
        )
        raise SchemaError(msg)
    return chosen


def _refuse_repeated_images(rows: pd.DataFrame) -> None:
    keys = [name for name in ("patient_id", "image_id", "class", "role") if name in rows]
    again = rows.duplicated(keys)
    if again.any():
        msg = (
            f"{again.sum()} of {len(rows)} rows repeat an image of the same patient (first "
            f"patients: {_first(rows, again)}). One row an image and class is expected."
        )
        raise PairingError(msg)


def _one_class(rows: pd.DataFrame, column: str, positive: Any) -> pd.DataFrame:
    if "class" not in rows:
        return rows
    levels = rows["class"].unique().tolist()
    if len(levels) > 1:
        _check_sums(rows, column, len(levels))
    if positive is None and len(levels) > 1:
        msg = f"`predictions` holds the classes {levels}; say which is the event (`positive=`)."
        raise ArgumentError(msg)
    if positive is None:
        return rows
    check_option(positive, levels, name="positive")
    chosen: pd.DataFrame = rows.loc[rows["class"] == positive]
    return chosen


def _check_sums(rows: pd.DataFrame, column: str, n_classes: int) -> None:
    """Rule R25: the classes of an image are all there and sum to 1."""
    images = rows.groupby(["patient_id", "image_id", "role"], observed=True)[column]
    total = images.sum()
    bad = (images.size() != n_classes) | ((total - 1).abs() > 1e-3)
    if bad.any():
        msg = (
            f"R25: `{column}` must sum to 1 over the {n_classes} classes of an image; "
            f"{bad.sum()} of {len(bad)} images do not (first sum: {total[bad].iloc[0]:.3f})."
        )
        raise RiskError(msg)


def _check_scale(rows: pd.DataFrame, column: str) -> None:
    """Rule R25: a softmax of probabilities is no probability."""
    p = rows[column].to_numpy(dtype=float)
    logit = rows["logit"].to_numpy(dtype=float) if "logit" in rows else np.full(p.size, np.nan)
    inside = special.expit(logit)
    twice = (special.expit(2 * inside - 1), special.expit(inside))
    if any(np.allclose(p, again, rtol=0, atol=1e-6) for again in twice):
        msg = (
            f"R25: `{column}` is the softmax of a softmax (all values between {p.min():.3f} and "
            f"{p.max():.3f}). Networks return logits; apply one softmax (or sigmoid)."
        )
        raise RiskError(msg)
    confirmed = np.allclose(p, inside, rtol=0, atol=1e-3) and logit.min() < 0
    squeezed = p.min() >= TWICE_LOW and p.max() <= TWICE_HIGH
    if column == "probability" and squeezed and p.size >= _ENOUGH_TO_SUSPECT and not confirmed:
        msg = (
            f"R25: all {p.size} values of `{column}` lie between {p.min():.3f} and "
            f"{p.max():.3f}, as if a softmax had been applied twice. Check the network's output."
        )
        warn(msg, UsstatsWarning, stacklevel=3)


def _refuse_two_sides(rows: pd.DataFrame) -> None:
    """Rule R03: a patient has one role, and one fold."""
    sides = rows.assign(fold=rows["fold"].where(rows["role"] == "out_of_fold"))
    seen = sides.groupby("patient_id", observed=True)[["role", "fold"]].nunique()
    split = seen[(seen > 1).any(axis=1)]
    if len(split):
        first = ", ".join(str(patient) for patient in split.index[:3])
        msg = (
            f"R03: {len(split)} patients stand in two folds or in two cohorts (first: {first}). "
            "Split by patient with make_folds, and predict again."
        )
        raise LeakageError(msg)


def _by_patient(
    rows: pd.DataFrame,
    column: str,
    aggregate: Callable[[NDArray[Float], NDArray[np.int64]], NDArray[Float]],
) -> pd.DataFrame:
    codes, patients = pd.factorize(rows["patient_id"])
    grouped = rows.groupby(codes, sort=True)
    hashes = grouped["model_hash"].agg(lambda found: "+".join(sorted(set(found.dropna()))))
    return pd.DataFrame(
        {
            "patient_id": patients,
            "dl_prob": aggregate(rows[column].to_numpy(dtype=float), codes),
            "n_images": grouped.size().to_numpy(),
            "fold": pd.to_numeric(grouped["fold"].first()).astype("Int64").to_numpy(),
            "role": grouped["role"].first().to_numpy(),
            "model_hash": hashes.to_numpy(),
        }
    )


def _first(rows: pd.DataFrame, bad: pd.Series[bool]) -> str:
    return ", ".join(str(patient) for patient in rows.loc[bad, "patient_id"].unique()[:3])
