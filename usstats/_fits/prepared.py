"""Checked development data, and what an estimator found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from usstats._fits.newton import NewtonFit, sandwich
from usstats.design import DesignSpec

Float = np.float64
Vector = NDArray[Float]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Checked development data of one fit."""

    spec: DesignSpec
    X: NDArray[Float] = field(repr=False)
    y: NDArray[np.int64] = field(repr=False)
    weights: Vector | None = field(repr=False)
    cluster: NDArray[np.int64] | None = field(repr=False)
    n_dropped: int
    missing: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What an estimator found, on the original scale."""

    params: Vector
    covariance: NDArray[Float]
    log_likelihood: float
    null_log_likelihood: float
    means: Vector
    centred_intercept: float
    n_iter: int
    penalty: Mapping[str, float] | None = None
    effective_df: float | None = None
    penalised_log_likelihood: float | None = None


def solution_of(fit: NewtonFit, data: Prepared) -> Solution:
    """A Newton maximum with the covariance the rows call for."""
    covariance = (
        fit.covariance
        if data.cluster is None
        else sandwich(fit, data.X, data.y.astype(float), data.weights, data.cluster)
    )
    return Solution(
        params=fit.params,
        covariance=covariance,
        log_likelihood=fit.log_likelihood,
        null_log_likelihood=fit.null_log_likelihood,
        means=fit.scaling.centre,
        centred_intercept=float(fit.scaled[0]),
        n_iter=fit.n_iter,
    )
