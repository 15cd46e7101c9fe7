"""The axes of a nomogram: which variables share one, which values it shows, what they add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._nomogram.ticks import (
    log_ticks,
    logit_ticks,
    minor_ticks,
    pretty,
    tick_label,
    tick_labels,
    turning_points,
)
from usstats.design import DesignSpec, Term
from usstats.errors import ArgumentError, DesignError

Float = np.float64
Vector = NDArray[Float]
IntVector = NDArray[np.int64]

#: An interaction is drawn as one axis per combination of levels, up to this many.
MOST_COMBINATIONS = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Ticks:
    """A named axis: the values printed on it, their part of the linear predictor, their points.

    Minor ticks have no label.
    """

    name: str
    values: tuple[float | str, ...]
    effects: Vector
    points: Vector
    minor_values: tuple[float, ...] = ()
    minor_points: Vector = field(default_factory=lambda: np.empty(0))

    @property
    def labels(self) -> tuple[str, ...]:
        """Texts of the ticks."""
        return tick_labels(self.values)

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis(Ticks):
    """The axis of a predictor.

    `relative` are its effects less that of the reference patient, so that no digits are lost
    where values are far from zero. `given` holds the levels of the variables an interacting axis
    is for. At the values `turns` (ticks or minor ticks) a spline turns back.
    """

    variable: str
    relative: Vector
    given: Mapping[str, str]
    minor_relative: Vector = field(default_factory=lambda: np.empty(0))
    turns: tuple[float, ...] = ()

    @property
    def has_levels(self) -> bool:
        """Whether its values are levels of a factor."""
        return isinstance(self.values[0], str)

    def run_of(self, values: Sequence[float] | Vector) -> IntVector:
        """The stretch between turning points each value of a number lies on, from 0."""
        return np.searchsorted(self.turns, values, side="left")

    def with_points(self, lowest: float, points_per_lp: float, least: float) -> Axis:
        """The axis with its points; it turns back where it does so by `least` points."""
        points = (self.relative - lowest) * points_per_lp
        minor = (self.minor_relative - lowest) * points_per_lp
        turns: tuple[float, ...] = ()
        if not self.has_levels:
            values = np.array([*self.values, *self.minor_values], dtype=float)
            order = np.argsort(values)
            every = np.concatenate([points, minor])[order].tolist()
            turns = tuple(values[order][turning_points(every, least)].tolist())
        return replace(self, points=points, minor_points=minor, turns=turns)

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
    """Axes of which a patient uses one: a variable, or variables that interact.

    Attributes
    ----------
    name : str
    terms : tuple of Term
    axes : tuple of Axis
    held : mapping of str to tuple of float
        Encoded values of the variables that choose among the axes.
    least, most : float
        Of the parts of the linear predictor over all values of its axes.
    lowest : float
        `least`, less the reference patient's part.
    """

    name: str
    terms: tuple[Term, ...]
    axes: tuple[Axis, ...]
    held: Mapping[str, tuple[float, ...]]
    least: float
    most: float
    lowest: float

    def with_points(self, points_per_lp: float, least_turn: float) -> Group:
        """The group with its points filled in."""
        axes = (axis.with_points(self.lowest, points_per_lp, least_turn) for axis in self.axes)
        return replace(self, axes=tuple(axes))

    def axis_of(self, values: Mapping[str, Vector], n: int) -> tuple[IntVector, NDArray[np.bool_]]:
        """The axis of each of n patients, and whether it is exactly his; else it is the nearest.

        `values` are encoded.
        """
        position, exact = np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
        for name, options in self.held.items():
            apart = np.abs(values[name][:, None] - np.array(options))
            position = position * len(options) + apart.argmin(axis=1)
            exact &= apart.min(axis=1) == 0
        return position, exact


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """The patient whom effects are measured from: medians and most frequent levels.

    Attributes
    ----------
    columns : ndarray, shape (k,)
        His design, without the column of ones.
    lp : float
        His linear predictor.
    """

    columns: Vector
    lp: float


def relative_effect(
    spec: DesignSpec,
    slopes: Vector,
    reference: Reference,
    terms: Iterable[Term],
    values: Mapping[str, Vector],
) -> Vector:
    """Part of the linear predictor of encoded values less the reference patient's, shape (n,)."""
    parts = []
    for term in terms:
        block = np.array(spec.blocks[term.name]) - 1
        away = spec.term_columns(term, values) - reference.columns[block]
        parts.append(away @ slopes[block])
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


@dataclass(frozen=True, kw_only=True)
class AxisOptions:
    """What a caller asked of the axes, by variable: ranges, values, and values held."""

    ranges: Mapping[str, tuple[float, float]]
    ticks: Mapping[str, Sequence[float]]
    hold: Mapping[str, Sequence[float | str]]


def group_axes(
    spec: DesignSpec,
    slopes: Vector,
    reference: Reference,
    names: tuple[str, ...],
    options: AxisOptions,
) -> Group:
    """The axes of variables that interact, or of a single one; points still empty."""
    choices = {name: _held_values(spec, name, options.hold) for name in names}
    shown, held = _shown_and_held(names, choices, options.hold)
    terms = tuple(term for term in spec.terms if term.name in names or set(term.parts) & set(names))
    values = _axis_values(spec, shown, options)
    between = _minor_values(spec, shown, values)
    own = np.concatenate([np.array(spec.blocks[term.name]) - 1 for term in terms])
    offset = float(reference.columns[own] @ slopes[own])

    def along(at: Sequence[float | str], given: Mapping[str, float | str]) -> Vector:
        encoded = {shown: _encode(spec, shown, at)}
        for name, level in given.items():
            encoded[name] = np.repeat(_encode(spec, name, [level]), len(at))
        return relative_effect(spec, slopes, reference, terms, encoded)

    axes = []
    for levels in product(*(choices[name] for name in held)):
        given = dict(zip(held, levels, strict=True))
        axis = _axis(shown, values, along(values, given), offset, given)
        minor = along(between, given) if between else np.empty(0)
        axes.append(replace(axis, minor_values=between, minor_relative=minor))
    every = np.concatenate([axis.relative for axis in axes])
    return Group(
        name=" * ".join(names),
        terms=terms,
        axes=tuple(axes),
        held={name: tuple(_encode(spec, name, choices[name]).tolist()) for name in held},
        least=float(every.min()) + offset,
        most=float(every.max()) + offset,
        lowest=float(every.min()),
    )


def _axis(
    shown: str,
    values: Sequence[float | str],
    relative: Vector,
    offset: float,
    given: Mapping[str, float | str],
) -> Axis:
    labels = {name: tick_label(level) for name, level in given.items()}
    suffix = ", ".join(f"{name}={label}" for name, label in labels.items())
    return Axis(
        name=f"{shown} ({suffix})" if suffix else shown,
        variable=shown,
        values=tuple(values),
        effects=relative + offset,
        relative=relative,
        points=np.full(len(values), np.nan),
        given=labels,
    )


def _shown_and_held(
    names: tuple[str, ...],
    choices: Mapping[str, Sequence[float | str]],
    hold: Mapping[str, Sequence[float | str]],
) -> tuple[str, tuple[str, ...]]:
    """The variable along the axes, and those whose combinations each have one."""
    free = [name for name in names if name not in hold]
    if len(names) == 1:
        free = list(names)
    continuous = [name for name in free if not choices[name]]
    if len(continuous) > 1:
        other = continuous[-1]
        msg = (
            f"{' and '.join(continuous)} interact and are both continuous; on straight axes one of "
            f"them has to be held. Choose its values, for example hold={{{other!r}: (...)}}: one "
            f"axis of {continuous[0]} for each. Or leave the interaction out, or hand on the "
            "calculator instead."
        )
        raise DesignError(msg)
    if not free:
        msg = f"`hold` names all of {list(names)}, which interact; one of them must stay free."
        raise ArgumentError(msg)
    shown = continuous[0] if continuous else max(free, key=lambda name: len(choices[name]))
    held = tuple(name for name in names if name != shown)
    count = int(np.prod([len(choices[name]) for name in held]))
    if count > MOST_COMBINATIONS:
        msg = (
            f"The interaction of {', '.join(names)} needs {count} axes; a nomogram holds "
            f"{MOST_COMBINATIONS} at most. Merge levels, or hand on the calculator instead."
        )
        raise DesignError(msg)
    return shown, held


def _held_values(
    spec: DesignSpec, name: str, hold: Mapping[str, Sequence[float | str]]
) -> tuple[float | str, ...]:
    """What a caller holds a variable at, else its levels or few values; none if continuous."""
    term = spec.mains[name]
    if name in hold:
        return _checked_ticks(term, hold[name], least=1, word="`hold`")
    return term.levels or () if term.type == "factor" else spec.ranges[name].values


def _encode(spec: DesignSpec, name: str, values: Sequence[float | str]) -> Vector:
    levels = spec.mains[name].levels or ()
    coded = [levels.index(v) if isinstance(v, str) else v for v in values]
    return np.array(coded, dtype=float)


def _axis_values(spec: DesignSpec, name: str, options: AxisOptions) -> tuple[float | str, ...]:
    term, known = spec.mains[name], spec.ranges[name]
    if term.type == "factor":
        return term.levels or ()
    if name in options.ticks:
        return _checked_ticks(term, options.ticks[name])
    if name in options.ranges:
        low, high = (float(end) for end in options.ranges[name])
        _checked_ticks(term, (low, high))
        return tuple(_round_ticks(term, low, high))
    if known.values:
        return known.values
    return tuple(_round_ticks(term, float(known.minimum or 0.0), float(known.maximum or 0.0)))


def _minor_values(spec: DesignSpec, name: str, values: Sequence[float | str]) -> tuple[float, ...]:
    """Unlabelled ticks of an axis whose variable can lie between the labelled ones."""
    if _held_values(spec, name, {}):
        return ()
    return tuple(minor_ticks([float(value) for value in values]))


def _round_ticks(term: Term, low: float, high: float) -> list[float]:
    if term.type == "log":
        return log_ticks(low, high)
    if term.type == "logit":
        return logit_ticks(low, high)
    return pretty(low, high, 10)


def _checked_ticks(
    term: Term, values: Sequence[Any], *, least: int = 2, word: str = "Ticks"
) -> tuple[float, ...]:
    try:
        ticks = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        ticks = ()
    if len(ticks) < least or not np.isfinite(ticks).all() or (np.diff(ticks) <= 0).any():
        counted = {1: "one number or more, increasing", 2: "at least two increasing numbers"}
        msg = f"{word} of `{term.name}` must be {counted[least]}; got {values!r}."
        raise ArgumentError(msg)
    if (term.type == "log" and ticks[0] <= 0) or (
        term.type == "logit" and not 0 < ticks[0] <= ticks[-1] < 1
    ):
        msg = f"{word} of {term.label} lie outside its domain; got {list(ticks)}."
        raise ArgumentError(msg)
    return ticks
