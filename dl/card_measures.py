"""The measures of a model card, with patient-clustered intervals; it loads no torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import usstats
from usstats.errors import UsstatsWarning

__all__ = ["MEASURED", "class_measures", "mask_measures"]

#: Columns of a row.
MEASURED = (
    "cohort",
    "group",
    "measure",
    "estimate",
    "conf_low",
    "conf_high",
    "conf_level",
    "method",
    "n",
    "n_event",
    "n_cluster",
)
CALIBRATION = ("calibration_in_the_large", "calibration_slope", "oe_ratio", "brier")
N_BOOT = 1000
_NUMBERS = ("estimate", "conf_low", "conf_high", "conf_level")


def class_measures(
    table: pd.DataFrame, classes: Sequence[str] | None, *, cohort: str
) -> list[dict[str, Any]]:
    """AUC, and calibration before and after, of a predictions table with a column `label`.

    Parameters
    ----------
    table : DataFrame
        `label` is 0/1, or of several classes the position or the name of the image's class.
    classes : sequence of str, optional
    cohort : str
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)  # what is undefined is told as such
        if classes is None:
            return _event_measures(table, cohort)
        return _classes_measures(table, list(classes), cohort)


def _event_measures(table: pd.DataFrame, cohort: str) -> list[dict[str, Any]]:
    y, patients = table["label"].to_numpy(dtype=int), table["patient_id"].to_numpy()
    facts = {"cohort": cohort, "group": ""}
    if len(set(y)) < 2:
        nothing = dict.fromkeys(_NUMBERS)
        sizes = {"n": len(y), "n_event": int(y.sum()), "n_cluster": len(set(patients))}
        return [_row(facts | {"measure": "auc", "method": "one class"} | nothing | sizes)]
    area = usstats.auc(y, table["logit"].to_numpy(), cluster=patients)
    told = {name: getattr(area, name, None) for name in MEASURED[3:]} | {
        "measure": "auc",
        "n_cluster": len(set(patients)),
    }
    rows = [_row(facts | told)]
    for column, group in (
        ("probability", "uncalibrated"),
        ("probability_calibrated", "calibrated"),
    ):
        found = usstats.assess_calibration(
            y, table[column].to_numpy(), cluster=patients, band=False
        ).frame()
        kept = found[found["measure"].isin(CALIBRATION)]
        rows += [_row(facts | {"group": group} | row) for row in kept.to_dict("records")]
    return rows


def _classes_measures(table: pd.DataFrame, classes: list[str], cohort: str) -> list[dict[str, Any]]:
    first = table["class"] == classes[0]
    images = table[first]
    p = np.stack(
        [
            table.loc[table["class"] == name]
            .set_index("image_id")["probability"]
            .reindex(images["image_id"])
            .to_numpy()
            for name in classes
        ],
        axis=1,
    )
    label = images["label"]
    codes = (
        label.map({name: i for i, name in enumerate(classes)}) if label.dtype == object else label
    )
    found = usstats.multiclass_auc(
        codes.to_numpy(dtype=int), p, cluster=images["patient_id"].to_numpy()
    ).frame()
    named = found.assign(group=[_class_name(group, classes) for group in found["group"]])
    rows = [_row({"cohort": cohort} | row) for row in named.to_dict("records")]
    for name, code in zip(classes, range(len(classes)), strict=True):
        own = table[table["class"] == name]
        y = (codes == code).to_numpy(dtype=int)
        rows += [
            row | {"group": f"{name}, {row['group']}"}
            for row in _event_measures(own.assign(label=y), cohort)
            if row["measure"] in CALIBRATION
        ]
    return rows


def _class_name(group: Any, classes: Sequence[str]) -> str:
    codes = {str(code): name for code, name in enumerate(classes)}
    return codes.get(str(group), str(group))


def mask_measures(table: pd.DataFrame, *, cohort: str, seed: int) -> list[dict[str, Any]]:
    """Mean Dice coefficient of the images that have a mask, by a patient bootstrap."""
    rows = []
    groups = table.groupby("class") if "class" in table else [("", table)]
    for group, part in groups:
        own = part[part["dice"].notna()]
        if own.empty:
            continue
        mean = usstats.bootstrap(
            np.mean,
            own["dice"].to_numpy(dtype=float),
            cluster=own["patient_id"].to_numpy(),
            n_boot=N_BOOT,
            seed=seed,
        )
        told = {name: getattr(mean, name, None) for name in MEASURED[3:]}
        n = own["patient_id"].nunique()
        facts = {"cohort": cohort, "group": str(group), "measure": "mean_dice", "n_cluster": n}
        rows.append(_row(told | facts | {"n_event": None}))
    return rows


def _row(values: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON types; an undefined number is None."""
    return {name: _plain(values.get(name)) for name in MEASURED}


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value
