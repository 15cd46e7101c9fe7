"""The multinomial recalibration framework: intercepts, slopes, and the full matrix of slopes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usstats._calibration.recalibration import CLIP
from usstats._influence import influence_se
from usstats._intervals import wald_interval
from usstats._multiclass.labels import ClassRisks, Codes
from usstats._multiclass.multinomial import fit_multinomial
from usstats.errors import FitError, SmallSampleWarning, UsstatsWarning

Float = np.float64
Matrix = NDArray[Float]
Row = dict[str, Any]


def linear_predictors(risks: ClassRisks, reference: int) -> Matrix:
    """log p_k / p_reference of every other class; shape (K - 1, n).

    Warns
    -----
    UsstatsWarning
        Probabilities of exactly 0, moved to 1e-8.
    """
    clipped = np.clip(risks.p, CLIP, 1 - CLIP)
    moved = int((risks.p < CLIP).sum())
    if moved:
        msg = (
            f"{moved} probabilities are 0; their logarithm is infinite and was taken at {CLIP:g}. "
            "Intercepts and slopes depend on that choice."
        )
        warnings.warn(msg, UsstatsWarning, stacklevel=4)
    logs = np.log(clipped).T
    return np.asarray(np.delete(logs, reference, axis=0) - logs[reference])


def _intercepts(lp: Matrix) -> tuple[Matrix, Matrix]:
    """One constant a class; the linear predictors enter with slope 1."""
    k, n = lp.shape
    return np.broadcast_to(np.eye(k)[:, None, :], (k, n, k)).copy(), lp


def _own_slopes(lp: Matrix) -> tuple[Matrix, Matrix]:
    """A constant and the class's own linear predictor."""
    constants, _ = _intercepts(lp)
    return np.concatenate([constants, constants * lp[:, :, None]], axis=2), np.zeros_like(lp)


def _all_slopes(lp: Matrix) -> tuple[Matrix, Matrix]:
    """A constant and the linear predictors of all classes."""
    k, n = lp.shape
    constants, _ = _intercepts(lp)
    crossed = np.zeros((k, n, k * k))
    for i in range(k):
        crossed[i, :, i * k : (i + 1) * k] = lp.T
    return np.concatenate([constants, crossed], axis=2), np.zeros_like(lp)


def _fit(
    designed: Callable[[Matrix], tuple[Matrix, Matrix]],
    lp: Matrix,
    indicator: Matrix,
    cluster: Codes | None,
    what: str,
) -> tuple[NDArray[Float], NDArray[Float]]:
    """Estimates and standard errors behind the constants; NaN with a warning where none exist."""
    design, offset = designed(lp)
    try:
        beta, covariance = fit_multinomial(design, offset, indicator, cluster)
    except FitError:
        msg = f"The {what} do not exist (NaN): the probabilities separate classes or are constant."
        warnings.warn(msg, SmallSampleWarning, stacklevel=5)
        unknown = np.full(design.shape[2], np.nan)
        return unknown, unknown
    return beta, np.sqrt(np.diag(covariance))


def recalibration_rows(
    risks: ClassRisks, reference: int, cluster: Codes | None, conf_level: float
) -> tuple[list[Row], list[Row]]:
    """Rows of intercepts and slopes, and rows of the full matrix of slopes."""
    lp = linear_predictors(risks, reference)
    others = [k for k in range(len(risks.labels)) if k != reference]
    indicator = (risks.y == np.array(others)[:, None]).astype(float)
    k, absent = len(others), bool((risks.counts == 0).any())
    if absent:
        unknown = np.full(k * (k + 1), np.nan)
        fits = [(unknown, unknown)] * 3
    else:
        fits = [
            _fit(_intercepts, lp, indicator, cluster, "calibration intercepts"),
            _fit(_own_slopes, lp, indicator, cluster, "calibration slopes"),
            _fit(_all_slopes, lp, indicator, cluster, "slopes of the full recalibration"),
        ]
    unit = "" if cluster is None else ", patient sandwich"
    method = f"baseline-category logit, reference {risks.names[reference]}{unit}"
    rows = []
    for name, fit, skip in (
        ("calibration_in_the_large", fits[0], 0),
        ("calibration_slope", fits[1], k),
    ):
        for i, own in enumerate(others):
            row = _wald(name, fit[0][skip + i], fit[1][skip + i], conf_level)
            rows.append(row | {"group": risks.names[own], "method": method})
    matrix = [
        _wald("recalibration_slope", fits[2][0][at], fits[2][1][at], conf_level)
        | {"group": risks.names[i], "term": f"lp {risks.names[j]}", "method": method}
        for at, (i, j) in enumerate(((i, j) for i in others for j in others), start=k)
    ]
    return rows, matrix


def _wald(measure: str, estimate: float, std_error: float, conf_level: float) -> Row:
    low, high = wald_interval(estimate, std_error, conf_level)
    return {
        "measure": measure,
        "estimate": float(estimate),
        "std_error": float(std_error),
        "conf_low": float(low),
        "conf_high": float(high),
    }


def brier_rows(risks: ClassRisks, cluster: Codes | None, conf_level: float) -> list[Row]:
    """Sum over classes of squared errors (0 to 2), and its share gained over the class shares."""
    own = (risks.y[:, None] == np.arange(len(risks.labels))).astype(float)
    shares, loss = own.mean(axis=0), ((own - risks.p) ** 2).sum(axis=1)
    brier, null, n = float(loss.mean()), float(1 - (shares**2).sum()), len(loss)
    drift = -2 * (own - shares) @ shares
    gained = (loss - brier) / null - brier / null**2 * drift
    unit = "" if cluster is None else ", patient sandwich"
    pairs = (
        ("brier", brier, influence_se((loss - brier) / n, cluster), "wald"),
        ("brier_scaled", 1 - brier / null, influence_se(gained / n, cluster), "delta"),
    )
    return [
        _wald(name, value, error, conf_level) | {"group": "all", "method": f"{method}{unit}"}
        for name, value, error, method in pairs
    ]
