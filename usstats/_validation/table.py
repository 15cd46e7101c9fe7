"""The table of an internal validation: means over replicates, optimism, what was undefined."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import Float
from usstats._validation.indexes import emax
from usstats._validation.overfitting import Correction
from usstats._validation.plans import Plan
from usstats.errors import SmallSampleWarning
from usstats.resample import REFUSE_FAILED

Array = NDArray[Float]

#: The order of the rows: what a report shows first, then the rest of rms's indexes.
ORDER = (
    "auc",
    "dxy",
    "nagelkerke_r2",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "emax",
    "discrimination_index",
    "unreliability_index",
    "quality_index",
    "g",
    "gp",
    "sensitivity",
    "specificity",
)


def measure_table(
    names: list[str], apparent: Array, sides: tuple[Array, Array], found: Correction, plan: Plan
) -> pd.DataFrame:
    """One row a measure; means over the replicates in which both sides are defined."""
    defined = np.isfinite(sides[0] + sides[1])
    counted, n_fitted = defined.sum(axis=0), int(defined.any(axis=1).sum())
    table = pd.DataFrame(
        {
            "measure": names,
            "apparent": apparent,
            "training": found.training,
            "test": found.test,
            "optimism": apparent - found.corrected,
            "corrected": found.corrected,
            "n_boot": counted,
            "n_failed": plan.n_boot - counted,
        }
    )
    _withhold_undefined(table, n_fitted)
    table = pd.concat([table, _emax_row(table)], ignore_index=True)
    present = set(table["measure"])
    return table.set_index("measure").loc[[m for m in ORDER if m in present]].reset_index()


def _withhold_undefined(table: pd.DataFrame, n_fitted: int) -> None:
    """NaN, and a warning, where a measure is undefined in over 20 % of the fitted replicates."""
    rare = table["n_boot"] < (1 - REFUSE_FAILED) * n_fitted
    if rare.any():
        named = ", ".join(table.loc[rare, "measure"])
        msg = (
            f"Undefined in more than {REFUSE_FAILED:.0%} of the replicates and set to NaN: "
            f"{named}. The parts that models are judged on hold too few events, or the refitted "
            "models give everybody one risk."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=5)
        table.loc[rare, ["training", "test", "optimism", "corrected"]] = np.nan


def _emax_row(table: pd.DataFrame) -> pd.DataFrame:
    """Computed from calibration intercept and slope, as in R: never averaged."""
    rows = table.set_index("measure").loc[["calibration_intercept", "calibration_slope"]]
    values = {
        column: emax(*rows[column]) for column in ("apparent", "training", "test", "corrected")
    }
    counts = {column: int(rows[column].iloc[1]) for column in ("n_boot", "n_failed")}
    values["test"] = values["corrected"]
    optimism = values["corrected"] - values["apparent"]
    return pd.DataFrame([{"measure": "emax", **values, "optimism": optimism, **counts}])
