"""Apparent performance of a Cox model on the data it was fitted to."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats.concordance_index import concordance
from usstats.errors import UsstatsWarning

if TYPE_CHECKING:
    from usstats._survival.cox_data import CoxData
    from usstats.survival import CoxFit


def cox_indices(fit: CoxFit, data: CoxData, lp: NDArray[np.float64]) -> pd.Series[float]:
    """lr_chi2, nagelkerke_r2 (scaled to a maximum of 1), concordance, dxy, g.

    g is Gini's mean difference of the linear predictor: how far two patients are apart.
    """
    n, chi2 = lp.size, 2 * (fit.log_likelihood - fit.null_log_likelihood)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        C = concordance(data.time, data.y, lp).estimate
    place = 2 * np.arange(1, n + 1) - n - 1
    values = {
        "lr_chi2": chi2,
        "nagelkerke_r2": np.expm1(-chi2 / n) / np.expm1(2 * fit.null_log_likelihood / n),
        "concordance": C,
        "dxy": 2 * C - 1,
        "g": float(2 * (place @ np.sort(lp)) / (n * (n - 1))),
    }
    return pd.Series(values, name="estimate", dtype=float).rename_axis("measure")
