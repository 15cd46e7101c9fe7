"""Nomograms: a model's linear predictor as points on axes. Pure arithmetic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._files import write_text
from usstats._intervals import check_conf_level, normal_quantile
from usstats.axes import Axis, Group, effect_of, group_axes, group_variables
from usstats.design import DesignSpec
from usstats.errors import ArgumentError, DesignError
from usstats.reading import NomogramReading
from usstats.ticks import logit_ticks, minor_ticks, pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FittedModel", "Nomogram", "NomogramReading", "build_nomogram"]

Float = np.float64
Vector = NDArray[Float]

#: Risk axes start here, unless every risk is smaller, and end at its complement.
FIRST_RISK = 0.001
#: Names of the columns a reading adds; no variable of a nomogram may bear one.
READING = ("total", "lp", "risk", "conf_low", "conf_high")


class FittedModel(Protocol):
    """What a nomogram needs of a model: a single fit, or one pooled over imputations."""

    @property
    def params(self) -> pd.Series[float]:
        """Coefficients, the intercept first."""

    @property
    def covariance(self) -> pd.DataFrame:
        """Their covariance."""

    @property
    def spec(self) -> DesignSpec:
        """The frozen design."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Nomogram:
    """A model drawn as axes.

    Attributes
    ----------
    axes : tuple of Axis
        One per variable (one per level of an interacting factor): name, values, points.
    points_per_lp : float
        Points per unit of the linear predictor.
    lp_at_zero : float
        Linear predictor at zero total points.
    total_ticks, lp_ticks, risk_ticks : tuple of float
        Values printed on the three lower axes.
    """

    spec: DesignSpec
    params: pd.Series[float]
    covariance: pd.DataFrame
    groups: tuple[Group, ...]
    max_points: float
    points_per_lp: float
    lp_at_zero: float
    total_ticks: tuple[float, ...]
    lp_ticks: tuple[float, ...]
    risk_ticks: tuple[float, ...]
    n: int | None
    n_event: int | None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes of the predictors, in the order of the model."""
        return tuple(axis for group in self.groups for axis in group.axes)

    def total_of_lp(self, lp: ArrayLike) -> Vector:
        """Total points of a linear predictor."""
        return np.asarray((np.asarray(lp, dtype=float) - self.lp_at_zero) * self.points_per_lp)

    def total_of_risk(self, risk: ArrayLike) -> Vector:
        """Total points of a risk strictly between 0 and 1."""
        return self.total_of_lp(special.logit(np.asarray(risk, dtype=float)))

    def linear_predictor(self, total_points: ArrayLike) -> Vector:
        """Linear predictor of total points."""
        return np.asarray(
            self.lp_at_zero + np.asarray(total_points, dtype=float) / self.points_per_lp
        )

    def risk(self, total_points: ArrayLike) -> Vector:
        """Risk of total points, shape as given."""
        return np.asarray(special.expit(self.linear_predictor(total_points)))

    def read(self, data: pd.DataFrame, *, conf_level: float = 0.95) -> pd.DataFrame:
        """Read many patients: points per group of axes, total, lp, risk and its Wald limits.

        Parameters
        ----------
        data : DataFrame
            Holds the model's variables.
        conf_level : float

        Raises
        ------
        DesignError, MissingDataError
            As `DesignSpec.matrix`.
        """
        values = self.spec.encode(data)
        points = {
            group.name: (effect_of(self.spec, self.params, group.terms, values) - group.least)
            * self.points_per_lp
            for group in self.groups
        }
        total = np.sum(list(points.values()), axis=0)
        lp = self.linear_predictor(total)
        X = self.spec.assemble(values, len(data))
        V = self.covariance.to_numpy(dtype=float)
        half = normal_quantile(conf_level) * np.sqrt(np.einsum("ij,jk,ik->i", X, V, X))
        risk = {"risk": lp, "conf_low": lp - half, "conf_high": lp + half}
        ends = {name: special.expit(value) for name, value in risk.items()}
        return pd.DataFrame({**points, "total": total, "lp": lp, **ends}, index=data.index)

    def points(self, *, conf_level: float = 0.95, **values: Any) -> NomogramReading:
        """Read one patient, each variable given by name: nomogram.points(age=11, sex="male").

        Names that are no Python names go in as `points(**{"FSH [IU/l]": 3.2})`.

        Raises
        ------
        ArgumentError
            A variable is left out or unknown.
        DesignError
        """
        variables = self.spec.variables
        absent = [name for name in variables if name not in values]
        unknown = [name for name in values if name not in variables]
        if absent or unknown:
            msg = f"A reading needs {list(variables)}; missing {absent}, unknown {unknown}."
            raise ArgumentError(msg)
        data = pd.DataFrame({name: [values[name]] for name in variables})
        row = self.read(data, conf_level=conf_level).iloc[0]
        outside = self.spec.outside_range(data).iloc[0]
        ends = {name: float(row[name]) for name in READING}
        return NomogramReading(
            points={group.name: float(row[group.name]) for group in self.groups},
            conf_level=check_conf_level(conf_level),
            outside=tuple(str(name) for name in outside.index[outside.to_numpy(dtype=bool)]),
            **ends,
        )

    def frame(self) -> pd.DataFrame:
        """One row per tick of every axis.

        Columns: kind (predictor, total, lp, risk), term (name of the axis), label, value (NaN for
        levels), linear_predictor_part, points.
        """
        rows = [axis.frame().assign(kind="predictor") for axis in self.axes]
        for kind, name, ticks in self._scales():
            values = np.array(ticks)
            lp = self._lp_of(kind, values)
            axis = Axis.of_scale(name, ticks, lp, self.total_of_lp(lp))
            rows.append(axis.frame().assign(kind=kind))
        frame = pd.concat(rows, ignore_index=True)
        return frame[["kind", "term", "label", "value", "linear_predictor_part", "points"]]

    def minor_frame(self) -> pd.DataFrame:
        """Unlabelled ticks between those of `frame`: kind, term, value, points."""
        rows = [
            pd.DataFrame(
                {
                    "kind": "predictor",
                    "term": axis.name,
                    "value": axis.minor_values,
                    "points": axis.minor_points,
                }
            )
            for axis in self.axes
        ]
        for kind, name, ticks in self._scales():
            values = np.array(minor_ticks(ticks))
            points = self.total_of_lp(self._lp_of(kind, values))
            rows.append(
                pd.DataFrame({"kind": kind, "term": name, "value": values, "points": points})
            )
        filled = [row for row in rows if len(row)]
        columns = ["kind", "term", "value", "points"]
        return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)

    def _lp_of(self, kind: str, values: Vector) -> Vector:
        """Linear predictor of values of a lower axis."""
        if kind == "total":
            return self.linear_predictor(values)
        return np.asarray(special.logit(values)) if kind == "risk" else values

    def _scales(self) -> tuple[tuple[str, str, tuple[float, ...]], ...]:
        """Kind, name and ticks of the lower axes."""
        return (
            ("total", "Total points", self.total_ticks),
            ("lp", "Linear predictor", self.lp_ticks),
            ("risk", f"Risk of {self.spec.outcome}", self.risk_ticks),
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the nomogram; options as in `usstats.plots.nomogram.plot_nomogram`."""
        from usstats.plots.nomogram import plot_nomogram

        return plot_nomogram(self, ax, **options)

    def to_json(self, path: str | Path) -> None:
        """Write axes, scales, coefficients and the design, without any patient's row."""
        content = {
            "schema_name": "usstats.nomogram",
            "schema_version": 1,
            "max_points": self.max_points,
            "points_per_lp": self.points_per_lp,
            "lp_at_zero": self.lp_at_zero,
            "n": self.n,
            "n_event": self.n_event,
            "axes": [axis.to_dict() for axis in self.axes],
            "total_ticks": list(self.total_ticks),
            "lp_ticks": list(self.lp_ticks),
            "risk_ticks": list(self.risk_ticks),
            "spec": self.spec.to_dict(),
            "params": {name: float(value) for name, value in self.params.items()},
            "covariance": self.covariance.to_numpy(dtype=float).tolist(),
        }
        write_text(path, json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1) + "\n")

    def summary(self) -> str:
        """Scale and axes in text."""
        axes = "; ".join(
            f"{axis.name} {min(axis.points):.0f} to {max(axis.points):.0f}" for axis in self.axes
        )
        return f"{self!r}\npoints: {axes}"

    def __repr__(self) -> str:
        sample = "" if self.n is None else f"; n = {self.n}, events = {self.n_event}, unit: row"
        return (
            f"<Nomogram of {self.spec.outcome}: {len(self.axes)} axes, "
            f"{self.points_per_lp:.4g} points per unit of the linear predictor{sample}>"
        )


def build_nomogram(
    fit: FittedModel,
    *,
    max_points: float = 100,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    ticks: Mapping[str, Sequence[float]] | None = None,
    lp_ticks: Sequence[float] | None = None,
    risk_ticks: Sequence[float] | None = None,
) -> Nomogram:
    """Turn a fitted model into the axes of a nomogram.

    Parameters
    ----------
    fit : LogisticFit or PooledFit
        Anything with `params`, `covariance` and `spec`.
    max_points : float
        Points of the axis with the widest effect.
    ranges : mapping of str to (low, high), optional
        Ranges of axes instead of those of development data.
    ticks : mapping of str to sequence of float, optional
        Values of axes. By default R's pretty(range, 10) for a number (1-2-5 steps for a log term,
        probabilities denser towards 0 and 1 for a logit term), its values where there are at most
        ten, all levels of a factor.
    lp_ticks, risk_ticks : sequence of float, optional
        Values of the lower axes.

    Returns
    -------
    Nomogram

    Raises
    ------
    ArgumentError
        Ranges or ticks of an unknown variable, backwards or outside a term's domain.
    DesignError
        Two continuous variables interact, or an interaction needs too many axes.

    Notes
    -----
    Points are scaled over axis values, which reach beyond the data, as in R's `rms::nomogram`.
    Variables that interact share one set of axes, one for each combination of levels; a patient
    is read off one of them. The arithmetic is exact: points add up to the model's prediction.

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> nomogram = build_nomogram(fit_logistic("y ~ x", data))
    >>> nomogram.points(x=25.0).total
    50.0
    """
    if not hasattr(fit, "spec"):
        msg = (
            f"`fit` must be a fitted model such as fit_logistic returns; got {type(fit).__name__}."
        )
        raise ArgumentError(msg)
    _check_options(fit.spec, max_points, ranges or {}, ticks or {})
    variables = group_variables(fit.spec)
    groups = [
        group_axes(fit.spec, fit.params, names, ranges=ranges or {}, ticks=ticks or {})
        for names in variables
    ]
    widest = max(group.most - group.least for group in groups)
    if widest <= 0:
        msg = "No variable moves the linear predictor; there is nothing to draw."
        raise DesignError(msg)
    scale = max_points / widest
    intercept = float(fit.params.iloc[0])
    lp_at_zero = intercept + sum(group.least for group in groups)
    largest = sum(group.most - group.least for group in groups)
    return Nomogram(
        spec=fit.spec,
        params=fit.params,
        covariance=fit.covariance,
        groups=tuple(group.with_points(scale) for group in groups),
        max_points=float(max_points),
        points_per_lp=scale,
        lp_at_zero=lp_at_zero,
        total_ticks=tuple(pretty(0, largest * scale)),
        lp_ticks=_lp_ticks(lp_at_zero, lp_at_zero + largest, lp_ticks),
        risk_ticks=_risk_ticks(lp_at_zero, lp_at_zero + largest, risk_ticks),
        n=getattr(fit, "n", None),
        n_event=getattr(fit, "n_event", None),
    )


def _check_options(
    spec: DesignSpec, max_points: float, ranges: Mapping[str, Any], ticks: Mapping[str, Any]
) -> None:
    numeric = [name for name, term in spec.mains.items() if term.type != "factor"]
    for name in [*ranges, *ticks]:
        if name not in numeric:
            msg = f"`ranges` and `ticks` are for numeric variables, {numeric}; got {name!r}."
            raise ArgumentError(msg)
    if not 0 < max_points < float("inf"):
        msg = f"`max_points` must be positive; got {max_points!r}."
        raise ArgumentError(msg)
    taken = [name for name in spec.variables if name in READING]
    if taken:
        msg = f"Variables cannot be called {taken} in a nomogram; rename them."
        raise DesignError(msg)


def _lp_ticks(low: float, high: float, given: Sequence[float] | None) -> tuple[float, ...]:
    if given is not None:
        return tuple(float(tick) for tick in given)
    return tuple(tick for tick in pretty(low, high) if low <= tick <= high)


def _risk_ticks(low: float, high: float, given: Sequence[float] | None) -> tuple[float, ...]:
    """Risks inside what total points can reach."""
    first, last = float(special.expit(low)), float(special.expit(high))
    if given is None:
        given = logit_ticks(
            max(first, min(FIRST_RISK, last / 100)),
            min(last, max(1 - FIRST_RISK, 1 - (1 - first) / 100)),
        )
    risks = [float(risk) for risk in given]
    if not all(0 < risk < 1 for risk in risks):
        msg = f"`risk_ticks` must lie strictly between 0 and 1; got {risks}."
        raise ArgumentError(msg)
    return tuple(risk for risk in risks if first <= risk <= last)
