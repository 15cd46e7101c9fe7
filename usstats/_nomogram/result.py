"""A nomogram as a frozen result: its axes, readings of patients, its ticks as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._intervals import normal_quantile
from usstats._nomogram.axes import Axis, Group, Ticks, relative_effect
from usstats._nomogram.model import NomogramModel
from usstats._nomogram.outcome_scale import OutcomeScale
from usstats._nomogram.reading import NomogramReading, OutcomeReading
from usstats._nomogram.ticks import minor_ticks
from usstats.design import DesignSpec
from usstats.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = np.float64
Vector = NDArray[Float]

#: Names of the columns a reading adds; no variable of a nomogram may bear one.
READING = ("total", "lp", "risk", "conf_low", "conf_high")


@dataclass(frozen=True, kw_only=True, eq=False)
class OutcomeAxis:
    """A lower axis: what it shows, and the values printed on it."""

    scale: OutcomeScale
    ticks: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class LowerAxis(Ticks):
    """An axis of total points, of the linear predictor or of an outcome."""

    kind: str


def _as_is(lp: ArrayLike) -> Vector:
    return np.asarray(lp, dtype=float)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Nomogram:
    """A model drawn as axes.

    Attributes
    ----------
    axes : tuple of Axis
        One per variable (one per level or held value of an interacting one): name, values, points.
    points_per_lp : float
        Points per unit of the linear predictor.
    lp_at_zero : float
        Linear predictor at zero total points.
    total_ticks, lp_ticks : tuple of float
        Values printed on these two axes.
    outcomes : tuple of OutcomeAxis
        The lower axes: the risk; for a Cox model, survival, risk or median survival.
    risk_scale : OutcomeScale
        What `risk` means: for a Cox model, the event by the first of its times.
    """

    model: NomogramModel
    groups: tuple[Group, ...]
    max_points: float
    points_per_lp: float
    lp_at_zero: float
    total_ticks: tuple[float, ...]
    lp_ticks: tuple[float, ...]
    outcomes: tuple[OutcomeAxis, ...]
    risk_scale: OutcomeScale

    @property
    def spec(self) -> DesignSpec:
        """The model's frozen design."""
        return self.model.spec

    @property
    def params(self) -> pd.Series[float]:
        """The model's coefficients."""
        return self.model.params

    @property
    def covariance(self) -> pd.DataFrame:
        """Their covariance."""
        return self.model.covariance

    @property
    def n(self) -> int | None:
        """Rows the model was fitted on."""
        return self.model.n

    @property
    def n_event(self) -> int | None:
        """Events among them."""
        return self.model.n_event

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes of the predictors, in the order of the model."""
        return tuple(axis for group in self.groups for axis in group.axes)

    @property
    def risk_ticks(self) -> tuple[float, ...]:
        """Values printed on the first risk axis; none where there is no such axis."""
        return next((axis.ticks for axis in self.outcomes if axis.scale.kind == "risk"), ())

    def total_of_lp(self, lp: ArrayLike) -> Vector:
        """Total points of a linear predictor."""
        return np.asarray((np.asarray(lp, dtype=float) - self.lp_at_zero) * self.points_per_lp)

    def total_of_risk(self, risk: ArrayLike) -> Vector:
        """Total points of a risk strictly between 0 and 1."""
        return self.total_of_lp(self.risk_scale.to_lp(risk))

    def linear_predictor(self, total_points: ArrayLike) -> Vector:
        """Linear predictor of total points."""
        return np.asarray(
            self.lp_at_zero + np.asarray(total_points, dtype=float) / self.points_per_lp
        )

    def risk(self, total_points: ArrayLike) -> Vector:
        """Risk of total points, shape as given; of a Cox model, by the first of its times."""
        return self.risk_scale.of_lp(self.linear_predictor(total_points))

    def read(self, data: pd.DataFrame, *, conf_level: float = 0.95) -> pd.DataFrame:
        """Read many patients.

        Parameters
        ----------
        data : DataFrame
            Holds the model's variables.
        conf_level : float

        Returns
        -------
        DataFrame
            Points per group of axes, total, lp, risk and its limits; of a Cox model also each
            lower axis: survival_12, risk_12, median_survival.

        Raises
        ------
        DesignError, MissingDataError
            As `DesignSpec.matrix`.

        Notes
        -----
        Limits are Wald's for the linear predictor; for a Cox model for log(-log S), where they
        count the error of the baseline hazard too.
        """
        return self._read(self.spec.encode(data), data.index, normal_quantile(conf_level))

    def _read(self, values: dict[str, Vector], index: pd.Index[Any], z: float) -> pd.DataFrame:
        model = self.model
        points = {}
        for group in self.groups:
            part = relative_effect(model.spec, model.slopes, model.reference, group.terms, values)
            points[group.name] = (part - group.lowest) * self.points_per_lp
        total = np.sum(list(points.values()), axis=0)
        lp = self.linear_predictor(total)
        low, high = self._limits(self.risk_scale, lp, values, z)
        risk = {"risk": self.risk_scale.of_lp(lp), "conf_low": low, "conf_high": high}
        scales = [axis.scale for axis in self.outcomes]
        more = {scale.column: scale.of_lp(lp) for scale in scales if scale.column != "risk"}
        return pd.DataFrame({**points, "total": total, "lp": lp, **risk, **more}, index=index)

    def _limits(
        self, scale: OutcomeScale, lp: Vector, values: dict[str, Vector], z: float
    ) -> tuple[Vector, Vector]:
        away = self.model.away(values, len(lp))
        return scale.limits(lp, z * scale.precision.std_error(away, self.model.slope_covariance))

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
        encoded, z = self.spec.encode(data), normal_quantile(conf_level)
        row = self._read(encoded, data.index, z).iloc[0]
        outside = self.spec.outside_range(data).iloc[0]
        ends = {name: float(row[name]) for name in READING}
        return NomogramReading(
            points={group.name: float(row[group.name]) for group in self.groups},
            conf_level=conf_level,
            outcomes=tuple(
                self._outcome(axis.scale, float(row["lp"]), encoded, z) for axis in self.outcomes
            ),
            outside=tuple(str(name) for name in outside.index[outside.to_numpy(dtype=bool)]),
            between=tuple(
                name
                for group in self.groups
                for name, options in group.held.items()
                if float(encoded[name][0]) not in options
            ),
            **ends,
        )

    def _outcome(
        self, scale: OutcomeScale, lp: float, values: dict[str, Vector], z: float
    ) -> OutcomeReading:
        low, high = self._limits(scale, np.array([lp]), values, z)
        return OutcomeReading(
            measure=scale.kind,
            title=scale.title(self.spec.outcome),
            time=scale.time,
            estimate=float(scale.of_lp(lp)),
            conf_low=float(low[0]),
            conf_high=float(high[0]),
        )

    def frame(self) -> pd.DataFrame:
        """One row per tick of every axis.

        Columns: kind (predictor, total, lp, risk, survival, median), term (name of the axis),
        label, value (NaN for levels), linear_predictor_part, points.
        """
        rows = [axis.frame().assign(kind="predictor") for axis in self.axes]
        rows += [axis.frame().assign(kind=axis.kind) for axis in self.lower_axes()]
        frame = pd.concat(rows, ignore_index=True)
        return frame[["kind", "term", "label", "value", "linear_predictor_part", "points"]]

    def minor_frame(self) -> pd.DataFrame:
        """Unlabelled ticks between those of `frame`: kind, term, value, points."""
        rows = [("predictor", a.name, a.minor_values, a.minor_points) for a in self.axes]
        rows += [(a.kind, a.name, a.minor_values, a.minor_points) for a in self.lower_axes()]
        columns = ["kind", "term", "value", "points"]
        filled = [pd.DataFrame(dict(zip(columns, row, strict=True))) for row in rows if len(row[2])]
        return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)

    def lower_axes(self, outcome: str | None = None) -> list[LowerAxis]:
        """Total points, linear predictor and outcomes; `outcome` is its name for readers."""
        name = self.spec.outcome if outcome is None else outcome
        rows = [
            self._lower("total", "Total points", self.total_ticks, self.linear_predictor),
            self._lower("lp", "Linear predictor", self.lp_ticks, _as_is),
        ]
        for axis in self.outcomes:
            scale = axis.scale
            rows.append(self._lower(scale.kind, scale.title(name), axis.ticks, scale.to_lp))
        return rows

    def _lower(
        self, kind: str, name: str, ticks: tuple[float, ...], to_lp: Callable[[ArrayLike], Vector]
    ) -> LowerAxis:
        between = () if kind == "median" else tuple(minor_ticks(ticks))
        return LowerAxis(
            kind=kind,
            name=name,
            values=ticks,
            effects=to_lp(ticks),
            points=self.total_of_lp(to_lp(ticks)),
            minor_values=between,
            minor_points=self.total_of_lp(to_lp(between)),
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the nomogram; options as in `usstats.plots.nomogram.plot_nomogram`."""
        from usstats.plots.nomogram import plot_nomogram

        return plot_nomogram(self, ax, **options)

    def to_json(self, path: str | Path) -> None:
        """Write axes, scales, coefficients and the design, without any patient's row."""
        from usstats._nomogram.json_file import write_nomogram

        write_nomogram(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> Nomogram:
        """Read a nomogram back; an edited, damaged or newer file is refused.

        Raises
        ------
        SchemaError
            With the path of the fault inside the file.
        """
        from usstats._nomogram.json_file import read_nomogram

        return read_nomogram(path)

    def summary(self) -> str:
        """Scale and axes in text."""
        axes = "; ".join(
            f"{axis.name} {min(axis.points):.0f} to {max(axis.points):.0f}" for axis in self.axes
        )
        return f"{self!r}\npoints: {axes}"

    def __repr__(self) -> str:
        sample = "" if self.n is None else f"; n = {self.n}, events = {self.n_event}, unit: row"
        times = [f"{axis.scale.time:g}" for axis in self.outcomes if axis.scale.time is not None]
        at = f", times {', '.join(dict.fromkeys(times))}" if times else ""
        return (
            f"<Nomogram of {self.spec.outcome}: {len(self.axes)} axes{at}, "
            f"{self.points_per_lp:.4g} points per unit of the linear predictor{sample}>"
        )
