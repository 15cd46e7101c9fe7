"""What the calculator's page computes and draws with: plain values, and no patient's row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.files import clean_text
from reports.numbers import format_shortest
from usstats._fits.variables import VariableRange
from usstats._intervals import normal_quantile
from usstats._nomogram.axes import Axis, Group
from usstats._nomogram.outcome_scale import MedianSurvival, OutcomeScale, Survival
from usstats._nomogram.result import LowerAxis
from usstats._nomogram.ticks import minor_ticks, pretty, tick_labels
from usstats.design import DesignSpec
from usstats.nomogram import Nomogram

Labels = Mapping[str, str]

CONF_LEVEL = 0.95
#: Open bounds of the values a term is defined for.
DOMAINS = {"log": (0.0, None), "logit": (0.0, 1.0)}
#: A number is never moved in finer steps than this many decimals.
MOST_DECIMALS = 6


def page_content(
    nomogram: Nomogram, *, outcome: str, units: Labels, labels: Labels, threshold: float | None
) -> dict[str, Any]:
    """The model, the form and the drawing."""
    model, spec = nomogram.model, nomogram.spec
    scales = [axis.scale for axis in nomogram.outcomes]
    return {
        "terms": [term.to_dict() for term in spec.terms],
        "slopes": model.slopes.tolist(),
        "covariance": _finite_or_none(model.slope_covariance),
        "reference": {"columns": model.reference.columns.tolist(), "lp": model.reference.lp},
        "quantile": normal_quantile(CONF_LEVEL),
        "level_text": f"{CONF_LEVEL * 100:g}%",
        "threshold": threshold,
        "risk": scale_content(nomogram.risk_scale, outcome),
        "outcomes": [scale_content(scale, outcome) for scale in scales],
        "variables": [_variable(spec, name, units, labels) for name in spec.variables],
        "time_unit": clean_text(model.unit),
        "nomogram": _drawing(nomogram, outcome, labels)
        | {"cutoff_total": None if threshold is None else float(nomogram.total_of_risk(threshold))},
    }


def scale_content(scale: OutcomeScale, outcome: str) -> dict[str, Any]:
    """What turns a linear predictor and its error into an outcome."""
    content: dict[str, Any] = {
        "kind": scale.kind,
        "title": scale_title(scale, outcome),
        "time": scale.time,
        "variance": _finite_or_none(scale.precision.variance),
        "covariance": _finite_or_none(scale.precision.covariance),
        "hazard": None,
    }
    if isinstance(scale, Survival):
        content["hazard"] = scale.hazard
    elif isinstance(scale, MedianSurvival):
        content |= {"times": scale.times.tolist(), "hazard": scale.hazard.tolist()}
    return content


def scale_title(scale: OutcomeScale, outcome: str) -> str:
    """Its name for readers; a logistic risk needs no outcome beside the page's title."""
    return clean_text(scale.title(outcome)) if _of_time(scale) else "Predicted risk"


def _of_time(scale: OutcomeScale) -> bool:
    return isinstance(scale, Survival | MedianSurvival)


def _finite_or_none(values: NDArray[np.float64]) -> list[Any] | None:
    """Nested lists; None where the fit has no standard errors."""
    return values.tolist() if np.isfinite(values).all() else None


def level_text(labels: Labels, name: str, level: str) -> str:
    """A level as readers know it; `labels` may hold "variable=level"."""
    return clean_text(labels.get(f"{name}={level}", level))


def _variable(spec: DesignSpec, name: str, units: Labels, labels: Labels) -> dict[str, Any]:
    """One field of the form."""
    term, known = spec.mains[name], spec.ranges[name]
    base = {
        "name": name,
        "label": clean_text(labels.get(name, name)),
        "unit": clean_text(units.get(name, "")),
        "typical": known.adjust_to,
        "usual": usual_value(known),
    }
    if term.type == "factor":
        levels = list(term.levels or ())
        return base | {
            "kind": "factor",
            "levels": levels,
            "level_texts": [level_text(labels, name, level) for level in levels],
            "range_text": "",
            "domain_text": "Choose one of the levels.",
        }
    above, below = DOMAINS.get(term.type, (None, None))
    return base | {
        "kind": "number",
        "scale": term.type,
        "minimum": known.minimum,
        "maximum": known.maximum,
        "values": list(known.values),
        "decimals": _decimals(known),
        "above": above,
        "below": below,
        "range_text": _range_text(known),
        "domain_text": _domain_text(above, below),
    }


def usual_value(known: VariableRange) -> float | str:
    """Median as a reader would round it, or the most frequent level."""
    value = known.adjust_to
    if isinstance(value, str) or value in known.values:
        return value
    low, high = float(known.minimum or 0.0), float(known.maximum or 0.0)
    return min(max(rounded(value), low), high)


def rounded(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")


def _decimals(known: VariableRange) -> int:
    """Decimals the extremes were recorded with: steps need not be finer."""
    ends = (float(known.minimum or 0.0), float(known.maximum or 0.0))
    texts = (np.format_float_positional(end, trim="-") for end in ends)
    return min(max(len(text.partition(".")[2]) for text in texts), MOST_DECIMALS)


def _range_text(known: VariableRange) -> str:
    ends = (float(known.minimum or 0.0), float(known.maximum or 0.0))
    low, high = (format_shortest(value, preset="plain") for value in ends)
    return f"Range {low} to {high}"


def _domain_text(above: float | None, below: float | None) -> str:
    if above is None:
        return "Enter a number."
    return "Enter a number above 0." if below is None else "Enter a number between 0 and 1."


def _drawing(nomogram: Nomogram, outcome: str, labels: Labels) -> dict[str, Any]:
    """Axes, scales and ticks."""
    ticks = [tick for tick in pretty(0, nomogram.max_points) if tick <= nomogram.max_points]
    lower = [axis for axis in nomogram.lower_axes(outcome) if axis.kind != "lp"]
    ends = list(chain.from_iterable(axis.points.tolist() for axis in lower))
    return {
        "points_per_lp": nomogram.points_per_lp,
        "lp_at_zero": nomogram.lp_at_zero,
        "points_range": _points_range(nomogram),
        "points_axis": {
            "points": ticks,
            "texts": list(tick_labels(ticks)),
            "minor": minor_ticks(ticks),
        },
        "total_range": [min(0.0, *ends), max(ends)],
        "groups": [_group(nomogram.spec, group, labels) for group in nomogram.groups],
        "lower": list(_lower(nomogram, lower, outcome)),
    }


def _points_range(nomogram: Nomogram) -> list[float]:
    """Ends of the upper rulers; a spline may reach a little beyond its ticks."""
    every = [np.concatenate([axis.points, axis.minor_points]) for axis in nomogram.axes]
    points = np.concatenate(every)
    return [min(0.0, float(points.min())), max(nomogram.max_points, float(points.max()))]


def _group(spec: DesignSpec, group: Group, labels: Labels) -> dict[str, Any]:
    """Axes of which a patient uses one, with what chooses among them."""
    return {
        "columns": [column - 1 for term in group.terms for column in spec.blocks[term.name]],
        "lowest": group.lowest,
        "held": [
            {"name": name, "options": _raw(spec, name, options)}
            for name, options in group.held.items()
        ],
        "axes": [_axis(axis, labels) for axis in group.axes],
    }


def _raw(spec: DesignSpec, name: str, options: tuple[float, ...]) -> list[float | str]:
    """Encoded values as the form gives them."""
    levels = spec.mains[name].levels
    return [levels[int(value)] for value in options] if levels else list(options)


def _axis(axis: Axis, labels: Labels) -> dict[str, Any]:
    name = clean_text(labels.get(axis.variable, axis.variable))
    given = ", ".join(
        f"{clean_text(labels.get(key, key))} = {level_text(labels, key, level)}"
        for key, level in axis.given.items()
    )
    texts = [
        level_text(labels, axis.variable, text) if axis.has_levels else text for text in axis.labels
    ]
    return {
        "variable": axis.variable,
        "label": name,
        "given_text": given,
        "values": list(axis.values),
        "texts": texts,
        "points": axis.points.tolist(),
        "minor": axis.minor_points.tolist(),
        "minor_values": list(axis.minor_values),
        "turns": list(axis.turns),
    }


def _lower(nomogram: Nomogram, axes: list[LowerAxis], outcome: str) -> Iterator[dict[str, Any]]:
    """Total points, then the outcomes by their position among those of the model."""
    total, *outcomes = axes
    yield {"label": "Total points", "outcome": None, "cutoff": None, **_ruler(total)}
    marked = _cutoff_axis(nomogram)
    for i, (axis, own) in enumerate(zip(outcomes, nomogram.outcomes, strict=True)):
        if axis.values:
            label = scale_title(own.scale, outcome)
            yield {"label": label, "outcome": i, "cutoff": i == marked, **_ruler(axis)}


def _ruler(axis: LowerAxis) -> dict[str, Any]:
    return {
        "points": axis.points.tolist(),
        "texts": list(axis.labels),
        "minor": axis.minor_points.tolist(),
    }


def _cutoff_axis(nomogram: Nomogram) -> int | None:
    """The outcome a cut-off is drawn on: the risk, else the survival, of the same time."""
    scales = [axis.scale for axis in nomogram.outcomes]
    same = [i for i, own in enumerate(scales) if own.time == nomogram.risk_scale.time]
    risks = [i for i in same if scales[i].kind == "risk"]
    return next(iter(risks or [i for i in same if scales[i].kind == "survival"]), None)
