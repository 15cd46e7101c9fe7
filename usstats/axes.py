"""The axes of a nomogram: which variables share one, which values it shows, what they add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats.design import DesignSpec, Term
from usstats.errors import ArgumentError, DesignError
from usstats.ticks import log_ticks, logit_ticks, minor_ticks, pretty, tick_label

Float = np.float64
Vector = NDArray[Float]

#: An interaction is drawn as one axis per combination of levels, up to this many.
MOST_COMBINATIONS = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """One axis: its name, the values printed on it, and the points they stand at.

    `effects` are their parts of the linear predictor. `given` holds the levels of the variables
    an interacting axis is for.
    """

    name: str
    variable: str
    values: tuple[float | str, ...]
    effects: Vector
    points: Vector
    given: Mapping[str, str]
    minor_values: tuple[float, ...] = ()
    minor_effects: Vector = field(default_factory=lambda: np.empty(0))
    minor_points: Vector = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of_scale(cls, name: str, values: Sequence[float], lp: Vector, points: Vector) -> Axis:
        """An axis of total points, linear predictor or risk."""
        return cls(
            name=name, variable="", values=tuple(values), effects=lp, points=points, given={}
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Texts of the ticks."""
        return tuple(tick_label(value) for value in self.values)

    def frame(self) -> pd.DataFrame:
        """One row per tick: term, label, value, linear_predictor_part, points."""
        numeric = [np.nan if isinstance(value, str) else value for value in self.values]
        return pd.DataFrame(
            {
                "term": self.name,
                "label": self.labels,
                "value": np.array(numeric, dtype=float),
                "linear_predictor_part": self.effects,
                "points": self.points,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "variable": self.variable,
            "given": dict(self.given),
            "values": list(self.values),
            "linear_predictor_part": self.effects.tolist(),
            "points": self.points.tolist(),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Axes of which a patient uses one: a variable, or variables that interact."""

    name: str
    terms: tuple[Term, ...]
    axes: tuple[Axis, ...]
    least: float
    most: float

    def with_points(self, points_per_lp: float) -> Group:
        """The group with its points filled in."""
        axes = tuple(
            replace(
                axis,
                points=(axis.effects - self.least) * points_per_lp,
                minor_points=(axis.minor_effects - self.least) * points_per_lp,
            )
            for axis in self.axes
        )
        return replace(self, axes=axes)


def effect_of(
    spec: DesignSpec,
    params: pd.Series[float],
    terms: Iterable[Term],
    values: Mapping[str, Vector],
) -> Vector:
    """Part of the linear predictor that some terms make for encoded values, shape (n,)."""
    b = params.to_numpy(dtype=float)
    parts = [spec.term_columns(term, values) @ b[list(spec.blocks[term.name])] for term in terms]
    return np.asarray(np.sum(parts, axis=0))


def group_variables(spec: DesignSpec) -> list[tuple[str, ...]]:
    """Variables connected by interactions, in the order of the model."""
    group = {name: {name} for name in spec.mains}
    for term in spec.terms:
        merged = set().union(*(group[part] for part in term.parts)) if term.parts else set()
        for name in merged:
            group[name] = merged
    order = list(spec.mains)
    found = [tuple(sorted(group[name], key=order.index)) for name in order]
    return list(dict.fromkeys(found))


def group_axes(
    spec: DesignSpec,
    params: pd.Series[float],
    names: tuple[str, ...],
    *,
    ranges: Mapping[str, tuple[float, float]],
    ticks: Mapping[str, Sequence[float]],
) -> Group:
    """The axes of variables that interact, or of a single one; points still empty."""
    shown, held = _shown_and_held(spec, names)
    terms = tuple(term for term in spec.terms if term.name in names or set(term.parts) & set(names))
    values = _axis_values(spec, shown, ranges, ticks)
    between = _minor_values(spec, shown, values)

    def along(at: Sequence[float | str], given: Mapping[str, float | str]) -> Vector:
        encoded = {shown: _encode(spec, shown, at)}
        for name, level in given.items():
            encoded[name] = np.repeat(_encode(spec, name, [level]), len(at))
        return effect_of(spec, params, terms, encoded)

    axes = []
    for levels in product(*(_held_values(spec, name) for name in held)):
        given = dict(zip(held, levels, strict=True))
        axis = _axis(shown, values, along(values, given), given)
        minor = along(between, given) if between else np.empty(0)
        axes.append(replace(axis, minor_values=between, minor_effects=minor))
    every = np.concatenate([axis.effects for axis in axes])
    return Group(
        name=" * ".join(names),
        terms=terms,
        axes=tuple(axes),
        least=float(every.min()),
        most=float(every.max()),
    )


def _axis(
    shown: str, values: Sequence[float | str], effects: Vector, given: Mapping[str, float | str]
) -> Axis:
    labels = {name: tick_label(level) for name, level in given.items()}
    suffix = ", ".join(f"{name}={label}" for name, label in labels.items())
    return Axis(
        name=f"{shown} ({suffix})" if suffix else shown,
        variable=shown,
        values=tuple(values),
        effects=effects,
        points=np.full(len(values), np.nan),
        given=labels,
    )


def _shown_and_held(spec: DesignSpec, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The variable along the axes, and those whose combinations each have one."""
    if len(names) == 1:
        return names[0], ()
    continuous = [name for name in names if not _held_values(spec, name)]
    if len(continuous) > 1:
        msg = (
            f"{' and '.join(continuous)} interact and are both continuous; a nomogram cannot show "
            "that on straight axes. Leave the interaction out, or hand on the calculator instead."
        )
        raise DesignError(msg)
    shown = continuous[0] if continuous else max(names, key=lambda n: len(_held_values(spec, n)))
    held = tuple(name for name in names if name != shown)
    count = int(np.prod([len(_held_values(spec, name)) for name in held]))
    if count > MOST_COMBINATIONS:
        msg = (
            f"The interaction of {', '.join(names)} needs {count} axes; a nomogram holds "
            f"{MOST_COMBINATIONS} at most. Merge levels, or hand on the calculator instead."
        )
        raise DesignError(msg)
    return shown, held


def _held_values(spec: DesignSpec, name: str) -> tuple[float | str, ...]:
    """Levels of a factor or the few values of a number; empty for a continuous variable."""
    term, known = spec.mains[name], spec.ranges[name]
    return term.levels or () if term.type == "factor" else known.values


def _encode(spec: DesignSpec, name: str, values: Sequence[float | str]) -> Vector:
    levels = spec.mains[name].levels or ()
    coded = [levels.index(v) if isinstance(v, str) else v for v in values]
    return np.array(coded, dtype=float)


def _axis_values(
    spec: DesignSpec,
    name: str,
    ranges: Mapping[str, tuple[float, float]],
    ticks: Mapping[str, Sequence[float]],
) -> tuple[float | str, ...]:
    term, known = spec.mains[name], spec.ranges[name]
    if term.type == "factor":
        return term.levels or ()
    if name in ticks:
        return _checked_ticks(term, ticks[name])
    if name in ranges:
        low, high = (float(end) for end in ranges[name])
        _checked_ticks(term, (low, high))
        return tuple(_round_ticks(term, low, high))
    if known.values:
        return known.values
    return tuple(_round_ticks(term, float(known.minimum or 0.0), float(known.maximum or 0.0)))


def _minor_values(spec: DesignSpec, name: str, values: Sequence[float | str]) -> tuple[float, ...]:
    """Unlabelled ticks of an axis whose variable can lie between the labelled ones."""
    if _held_values(spec, name):
        return ()
    return tuple(minor_ticks([float(value) for value in values]))


def _round_ticks(term: Term, low: float, high: float) -> list[float]:
    if term.type == "log":
        return log_ticks(low, high)
    if term.type == "logit":
        return logit_ticks(low, high)
    return pretty(low, high, 10)


def _checked_ticks(term: Term, values: Sequence[float]) -> tuple[float, ...]:
    ticks = tuple(float(value) for value in values)
    if len(ticks) < 2 or not np.isfinite(ticks).all() or (np.diff(ticks) <= 0).any():
        msg = f"Ticks of `{term.name}` must be at least two increasing numbers; got {list(ticks)}."
        raise ArgumentError(msg)
    if (term.type == "log" and ticks[0] <= 0) or (
        term.type == "logit" and not 0 < ticks[0] < ticks[-1] < 1
    ):
        msg = f"Ticks of {term.label} lie outside its domain; got {list(ticks)}."
        raise ArgumentError(msg)
    return ticks
