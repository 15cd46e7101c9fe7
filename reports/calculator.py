"""The calculator: the nomogram as one HTML file that opens from a disk and asks nobody."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from markupsafe import Markup

from reports.files import atomic_write_text, clean_text, json_text, sha256_bytes
from reports.numbers import format_shortest
from reports.templating import page_environment, template_text
from usstats._intervals import normal_quantile
from usstats.axes import Axis, Group
from usstats.design import DesignSpec
from usstats.errors import ArgumentError
from usstats.nomogram import Nomogram
from usstats.terms import Term
from usstats.ticks import tick_label
from usstats.variables import VariableRange

__all__ = ["calculator_html", "model_hash", "write_calculator"]

Labels = Mapping[str, str]

LARGEST_BYTES = 150_000
CONF_LEVEL = 0.95
#: Open bounds of the values a term is defined for.
DOMAINS = {"log": (0.0, None), "logit": (0.0, 1.0)}
INTENDED_USE = (
    "Research use only; not a medical device. Meant for studying the model, not for the care of a "
    "patient."
)


class Fit(Protocol):
    """What is read of a fitted model, pooled over imputations or not."""

    @property
    def params(self) -> pd.Series[float]: ...
    @property
    def covariance(self) -> pd.DataFrame: ...
    @property
    def spec(self) -> DesignSpec: ...
    @property
    def n(self) -> int: ...
    @property
    def n_event(self) -> int: ...


def write_calculator(
    fit: Fit,
    nomogram: Nomogram,
    path: str | Path,
    *,
    title: str,
    outcome_label: str,
    units: Labels | None = None,
    labels: Labels | None = None,
    threshold: float | None = None,
    model_card: Mapping[str, str] | None = None,
    synthetic: bool = False,
) -> Path:
    """Write the calculator of a model.

    Parameters
    ----------
    fit : LogisticFit or PooledFit
    nomogram : Nomogram
        Of the same fit.
    path : str or Path
    title, outcome_label : str
        Of the page, and of what the risk is a risk of.
    units, labels : mapping of str to str, optional
        Unit and printed name of each variable.
    threshold : float, optional
        The cut-off frozen in development; the page says on which side the risk lies.
    model_card : mapping of str to str, optional
        Further lines about the model: population, performance, version.
    synthetic : bool
        Say on the page that nobody was measured.

    Returns
    -------
    Path

    Raises
    ------
    ArgumentError
        A nomogram of another fit, a threshold outside (0, 1), or a page over 150 kB.

    Notes
    -----
    The page evaluates the design columns themselves, so its risk is the fit's, not one read off
    axes. Its script may run by its hash alone; names and levels reach the page only as JSON text.
    """
    page = calculator_html(
        fit,
        nomogram,
        title=title,
        outcome_label=outcome_label,
        units=units,
        labels=labels,
        threshold=threshold,
        model_card=model_card,
        synthetic=synthetic,
    )
    size = len(page.encode("utf-8"))
    if size > LARGEST_BYTES:
        msg = f"The calculator would have {size} bytes, more than {LARGEST_BYTES}; use fewer ticks."
        raise ArgumentError(msg)
    return atomic_write_text(path, page)


def calculator_html(
    fit: Fit,
    nomogram: Nomogram,
    *,
    title: str,
    outcome_label: str,
    units: Labels | None = None,
    labels: Labels | None = None,
    threshold: float | None = None,
    model_card: Mapping[str, str] | None = None,
    synthetic: bool = False,
) -> str:
    """Return the page; arguments as `write_calculator`."""
    _check(fit, nomogram, threshold)
    content = _model_content(fit, nomogram, units or {}, labels or {})
    content |= {"threshold": threshold, "outcome_label": _sentence_case(outcome_label)}
    style = template_text("calculator.css")
    scripts = [template_text(f"calculator_{name}.js") for name in ("model", "page")]
    return (
        page_environment()
        .get_template("calculator.html")
        .render(
            title=clean_text(title),
            outcome_label=_sentence_case(outcome_label),
            synthetic=synthetic,
            card=list(_card(fit, model_card or {})),
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=_csp_hash(style),
            model_script=Markup(scripts[0]),  # noqa: S704
            model_script_hash=_csp_hash(scripts[0]),
            page_script=Markup(scripts[1]),  # noqa: S704
            page_script_hash=_csp_hash(scripts[1]),
            model_json=Markup(_inert_json(content)),  # noqa: S704 - no `<` is left in it
        )
    )


def model_hash(fit: Fit) -> str:
    """SHA-256 of a model's design, coefficients and covariance: its name across files."""
    content = {
        "spec": fit.spec.to_dict(),
        "params": [float(value) for value in fit.params],
        "covariance": fit.covariance.to_numpy(dtype=float),
    }
    return sha256_bytes(json_text(content, indent=None).encode("utf-8", "surrogatepass"))


def _check(fit: Fit, nomogram: Nomogram, threshold: float | None) -> None:
    own, drawn = fit.params, nomogram.params
    if list(own.index) != list(drawn.index) or not (own.to_numpy() == drawn.to_numpy()).all():
        msg = "`nomogram` was not built from `fit`: their coefficients differ."
        raise ArgumentError(msg)
    if threshold is not None and not 0 < threshold < 1:
        msg = f"`threshold` must be a risk between 0 and 1; got {threshold!r}."
        raise ArgumentError(msg)


def _model_content(fit: Fit, nomogram: Nomogram, units: Labels, labels: Labels) -> dict[str, Any]:
    """Everything the page computes with, as plain values."""
    spec = fit.spec
    return {
        "terms": [term.to_dict() for term in spec.terms],
        "params": [float(value) for value in fit.params],
        "covariance": fit.covariance.to_numpy(dtype=float).tolist(),
        "means": list(getattr(fit, "means", None) or [0.0] * len(fit.params)),
        "centred_intercept": float(getattr(fit, "centred_intercept", fit.params.iloc[0])),
        "quantile": normal_quantile(CONF_LEVEL),
        "level_text": f"{CONF_LEVEL * 100:g}%",
        "variables": [_variable(spec, name, units, labels) for name in spec.variables],
        **_nomogram_content(spec, nomogram, labels),
    }


def _variable(spec: DesignSpec, name: str, units: Labels, labels: Labels) -> dict[str, Any]:
    """One field of the form."""
    term, known = spec.mains[name], spec.ranges[name]
    base = {"name": name, "label": labels.get(name, name), "unit": units.get(name, "")}
    if term.type == "factor":
        return base | {
            "kind": "factor",
            "levels": list(term.levels or ()),
            "typical": known.adjust_to,
            "range_text": "",
            "domain_text": "Choose one of the levels.",
        }
    above, below = DOMAINS.get(term.type, (None, None))
    return base | {
        "kind": "number",
        "minimum": known.minimum,
        "maximum": known.maximum,
        "typical": known.median,
        "above": above,
        "below": below,
        "range_text": _range_text(known),
        "domain_text": _domain_text(above, below),
    }


def _range_text(known: VariableRange) -> str:
    ends = (float(known.minimum or 0.0), float(known.maximum or 0.0))
    low, high = (format_shortest(value, preset="plain") for value in ends)
    return f"Developed between {low} and {high}"


def _domain_text(above: float | None, below: float | None) -> str:
    if above is None:
        return "Enter a number."
    return "Enter a number above 0." if below is None else "Enter a number between 0 and 1."


def _nomogram_content(spec: DesignSpec, nomogram: Nomogram, labels: Labels) -> dict[str, Any]:
    """Axes, scales and ticks of the drawing."""
    ends = [0.0, *nomogram.total_ticks, *nomogram.total_of_risk(nomogram.risk_ticks).tolist()]
    points = [point for axis in nomogram.axes for point in axis.points.tolist()]
    hundredth = nomogram.max_points / 10
    return {
        "points_per_unit": nomogram.points_per_lp,
        "points_range": [min(0.0, *points), max(nomogram.max_points, *points)],
        "points_ticks": [_tick(i * hundredth, tick_label(i * hundredth)) for i in range(11)],
        "total_range": [min(ends), max(ends)],
        "total_ticks": [_tick(at, tick_label(at)) for at in nomogram.total_ticks],
        "risk_ticks": [
            _tick(float(nomogram.total_of_risk(risk)), tick_label(risk))
            for risk in nomogram.risk_ticks
        ],
        "axes": [
            axis for group in nomogram.groups for axis in _axes(spec, nomogram, group, labels)
        ],
    }


def _axes(
    spec: DesignSpec, nomogram: Nomogram, group: Group, labels: Labels
) -> Iterator[dict[str, Any]]:
    """The axes of one group; of several, a patient is read off the one for his levels."""
    columns = [column for term in group.terms for column in spec.blocks[term.name]]
    variables = list(dict.fromkeys(name for term in group.terms for name in _names(term)))
    for axis in group.axes:
        yield {
            "label": _axis_label(axis, labels),
            "columns": columns,
            "variables": variables,
            "given": dict(axis.given),
            "zero": group.least,
            "spread": spec.mains[axis.variable].type == "factor",
            "ticks": _axis_ticks(axis),
        }


def _names(term: Term) -> tuple[str, ...]:
    return term.parts or (term.name,)


def _axis_label(axis: Axis, labels: Labels) -> str:
    name = labels.get(axis.variable, axis.variable)
    given = ", ".join(f"{labels.get(key, key)} = {level}" for key, level in axis.given.items())
    return f"{name} ({given})" if given else name


def _axis_ticks(axis: Axis) -> list[dict[str, Any]]:
    """Ticks; where a curve turns back, the returning part hangs below the line."""
    points = axis.points.tolist()
    rising = points[-1] >= points[0]
    turned = [(b >= a) != rising for a, b in pairwise(points)]
    back = [*turned[:1], *turned]
    if any(isinstance(value, str) for value in axis.values):
        back = [False] * len(points)
    ticks = zip(points, axis.labels, back, strict=True)
    return [_tick(at, label) | ({"below": True} if low else {}) for at, label, low in ticks]


def _tick(at: float, text: str) -> dict[str, Any]:
    return {"at": at, "text": clean_text(str(text))}


def _card(fit: Fit, model_card: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Lines about the model: what it is for first, its hash last; the caller's own win."""
    lines = {
        "Intended use": INTENDED_USE,
        "Development": f"{fit.n} patients, {fit.n_event} with the outcome",
        **model_card,
        "Interval": f"{CONF_LEVEL * 100:g}% Wald interval of the predicted mean risk",
        "Model (SHA-256)": model_hash(fit),
    }
    yield from ((clean_text(name), clean_text(text)) for name, text in lines.items())


def _sentence_case(text: str) -> str:
    """The text with a capital first letter; the rest keeps its case."""
    clean = clean_text(text)
    return clean[:1].upper() + clean[1:]


def _inert_json(content: Mapping[str, Any]) -> str:
    """JSON that cannot end its script element, whatever a column is called."""
    text = json_text(_cleaned(content), indent=None)
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _cleaned(value: Any) -> Any:
    """The same content without a number that JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_cleaned(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
