"""Baseline hazard of a Cox model: a step function, with what its standard error needs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from usstats._survival.partial_likelihood import PartialLikelihood

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """Cumulative hazard of a patient whose design columns are at their means.

    Attributes
    ----------
    times : ndarray, shape (m,)
        Distinct event times.
    hazard : ndarray, shape (m,)
        Cumulative hazard from each time on.
    variance : ndarray, shape (m,)
        Its variance if the coefficients were known.
    gradient : ndarray, shape (m, k)
        Its derivative in the coefficients, with the sign turned.
    last : float
        End of the longest follow-up; nothing is known later.
    """

    times: Vector
    hazard: Vector
    variance: Vector = field(repr=False)
    gradient: Matrix = field(repr=False)
    last: float

    def hazard_at(self, at: Vector) -> Vector:
        """Cumulative hazard at some times, 0 before the first event."""
        return self._step(self.hazard, at)

    def variance_at(self, at: Vector) -> Vector:
        """Variance of `hazard_at` with known coefficients."""
        return self._step(self.variance, at)

    def gradient_at(self, at: Vector) -> Matrix:
        """`gradient` at some times, (len(at), k)."""
        return self._step(self.gradient, at)

    def _step(self, values: NDArray[Float], at: Vector) -> NDArray[Float]:
        before = np.zeros((1, *values.shape[1:]))
        return np.concatenate([before, values])[np.searchsorted(self.times, at, side="right")]


def baseline_hazard(
    likelihood: PartialLikelihood, beta: Vector, spread: Vector, *, last: float
) -> Baseline:
    """Sums over events of 1 / (weight at risk), ties as in the likelihood.

    Breslow's estimator for Breslow's ties; for Efron's its counterpart, as R's
    ``survival::survfit.coxph`` takes it.
    """
    seen = likelihood.at_events(beta)
    step = np.exp(-seen.shift) / seen.phi
    ends = np.searchsorted(likelihood.group, np.arange(likelihood.times.size), side="right") - 1
    return Baseline(
        times=likelihood.times,
        hazard=np.cumsum(step)[ends],
        variance=np.cumsum(step**2)[ends],
        gradient=np.cumsum(seen.mean * spread * step[:, None], axis=0)[ends],
        last=last,
    )
