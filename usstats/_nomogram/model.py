"""What a nomogram keeps of a fitted model: coefficients, design, a reference patient, a hazard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._nomogram.axes import Reference
from usstats._nomogram.outcome_scale import (
    HazardRecord,
    OutcomeScale,
    logistic_risk,
    survival_scales,
)
from usstats._survival.censoring import check_horizons
from usstats.contrasts import adjusted
from usstats.design import DesignSpec
from usstats.errors import ArgumentError

Float = np.float64
Vector = NDArray[Float]

SURVIVAL_KINDS = ("survival", "risk", "median")
Shown = Sequence[tuple[str, float | None]]


class FittedModel(Protocol):
    """What a nomogram needs of a model: logistic or Cox, single, pooled or updated."""

    @property
    def params(self) -> pd.Series[float]:
        """Coefficients by the names of the design's columns."""

    @property
    def covariance(self) -> pd.DataFrame:
        """Their covariance."""

    @property
    def spec(self) -> DesignSpec:
        """The frozen design."""

    def linear_predictor(self, data: pd.DataFrame) -> Vector:
        """Linear predictor of new rows, shape (n,)."""


class _Baseline(Protocol):
    times: Vector
    last: float

    def hazard_at(self, at: Vector) -> Vector: ...
    def variance_at(self, at: Vector) -> Vector: ...
    def gradient_at(self, at: Vector) -> NDArray[Float]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class NomogramModel:
    """Everything a nomogram computes with; no patient's row is in it.

    Attributes
    ----------
    spec, params, covariance
        Those of the fit.
    reference : Reference
    record : HazardRecord or None
        Baseline hazard of a Cox model.
    unit : str
        Of time.
    n, n_event : int or None
        Of the development data.
    """

    spec: DesignSpec
    params: pd.Series[float]
    covariance: pd.DataFrame
    reference: Reference
    record: HazardRecord | None
    unit: str
    n: int | None
    n_event: int | None

    @cached_property
    def slopes(self) -> Vector:
        """Coefficients without the intercept, in the order of the design."""
        return np.asarray(self.params[list(self.spec.column_names[1:])], dtype=float)

    @cached_property
    def slope_covariance(self) -> NDArray[Float]:
        """Covariance of `slopes`."""
        names = list(self.spec.column_names[1:])
        return np.ascontiguousarray(self.covariance.loc[names, names], dtype=float)

    def away(self, values: dict[str, Vector], n: int) -> NDArray[Float]:
        """Design of encoded values less the reference patient's, (n, k)."""
        return self.spec.assemble(values, n)[:, 1:] - self.reference.columns

    def scales(self, shown: Shown) -> tuple[OutcomeScale, ...]:
        """The outcome scales of kinds and times."""
        columns = self.reference.columns
        if self.record is None:
            names = list(self.spec.column_names)
            V = np.ascontiguousarray(self.covariance.loc[names, names], dtype=float)
            return (logistic_risk(V, columns),) * len(shown)
        return survival_scales(self.record, shown, self.slope_covariance, columns, unit=self.unit)


def nomogram_model(fit: FittedModel, *, times: Vector, median: bool, unit: str) -> NomogramModel:
    """Take from a fit what a nomogram keeps; a fit with a baseline hazard is a survival model.

    Raises
    ------
    ArgumentError
        Times beyond follow-up, or before the first event.
    """
    baseline = getattr(fit, "baseline", None)
    record = None if baseline is None else _record(fit, baseline, times, median=median)
    return NomogramModel(
        spec=fit.spec,
        params=fit.params,
        covariance=fit.covariance,
        reference=_reference(fit),
        record=record,
        unit=unit,
        n=getattr(fit, "n", None),
        n_event=getattr(fit, "n_event", None),
    )


def _reference(fit: FittedModel) -> Reference:
    spec, codes = fit.spec, adjusted(fit.spec)
    values = {name: np.array([code]) for name, code in codes.items()}
    raw = {name: [spec.ranges[name].adjust_to] for name in spec.variables}
    return Reference(
        columns=spec.assemble(values, 1)[0, 1:],
        lp=float(fit.linear_predictor(pd.DataFrame(raw))[0]),
    )


def _record(fit: Any, baseline: _Baseline, times: Vector, *, median: bool) -> HazardRecord:
    kept = np.unique(np.concatenate([times, baseline.times if median else []]))
    hazard = baseline.hazard_at(kept)
    if (hazard <= 0).any():
        first = float(kept[hazard <= 0][0])
        msg = (
            f"No event happened by {first:g}; survival there is 1 for every patient. The first "
            f"event is at {baseline.times[0]:g}."
        )
        raise ArgumentError(msg)
    return HazardRecord(
        times=kept,
        hazard=hazard,
        variance=baseline.variance_at(kept) / hazard**2,
        centre=np.asarray(fit.means) + baseline.gradient_at(kept) / hazard[:, None],
    )


def check_shown(
    fit: FittedModel, times: float | Sequence[float] | None, scales: Sequence[str] | None
) -> tuple[Vector, tuple[str, ...]]:
    """Times and kinds of the lower axes, for this kind of model.

    Raises
    ------
    ArgumentError
    """
    baseline = getattr(fit, "baseline", None)
    if baseline is None:
        if times is not None or scales not in (None, ("risk",), ["risk"]):
            msg = "`times` and `scales` are for a Cox model; this one has the risk axis only."
            raise ArgumentError(msg)
        return np.empty(0), ("risk",)
    if times is None:
        msg = (
            "A Cox model gives survival at a time: choose `times`, for example times=(12, 36); "
            f"follow-up ended at {baseline.last:g}."
        )
        raise ArgumentError(msg)
    kinds = tuple(scales) if scales is not None else ("survival", "risk")
    for kind in kinds:
        check_option(kind, SURVIVAL_KINDS, name="scales")
    if not kinds or len(set(kinds)) < len(kinds):
        msg = f"`scales` must name each axis once, of {SURVIVAL_KINDS}; got {scales!r}."
        raise ArgumentError(msg)
    return _check_times(times, baseline.last), kinds


def _check_times(times: ArrayLike, last: float) -> Vector:
    at = check_horizons(times, last)
    if np.unique(at).size < at.size:
        msg = f"`times` must be distinct; got {at.tolist()}."
        raise ArgumentError(msg)
    return at
