"""The model in print: every coefficient, its odds ratio, and the equation to compute a risk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import (
    MINUS,
    format_estimate,
    format_number,
    format_p,
    format_significant,
    spread_decimals,
)
from reports.tables.table import Table, footnote_mark
from reports.tables.words import abbreviations_in, confidence_words, require_columns, sample_note
from usstats.design import DesignSpec
from usstats.terms import Term

__all__ = [
    "Fit",
    "column_labels",
    "equation_text",
    "model_table",
    "odds_ratio_table",
    "spline_notes",
]

Preset = str | NumberPreset
Labels = Mapping[str, str]


class Fit(Protocol):
    """What is read of a fitted model, pooled over imputations or not."""

    @property
    def params(self) -> pd.Series[float]: ...
    @property
    def spec(self) -> DesignSpec: ...
    @property
    def n(self) -> int: ...
    @property
    def n_event(self) -> int: ...

    def frame(self) -> pd.DataFrame: ...


def model_table(
    fit: Fit,
    *,
    labels: Labels | None = None,
    title: str = "Model: coefficients, odds ratios and equation",
    table_id: str = "model",
    preset: Preset = "ama",
) -> Table:
    """Every coefficient with its interval, odds ratio and p value; the equation underneath.

    Parameters
    ----------
    fit : LogisticFit or PooledFit
    labels : mapping of str to str, optional
        Printed names of the variables, with their units.
    title, table_id : str
    preset : str or NumberPreset

    Returns
    -------
    Table
        A spline's columns have no odds ratio of their own; their cells are empty and a footnote
        says so.
    """
    style, frame = number_preset(preset), fit.frame()
    if not {"n", "n_event"} <= set(frame.columns):
        frame = frame.assign(n=fit.n, n_event=fit.n_event)
    names = column_labels(fit.spec, labels or {})
    single = _single_columns(fit.spec)
    rows = tuple(
        _coefficient_cells(row, names[i], style, has_ratio=i in single)
        for i, row in enumerate(frame.to_dict("records"))
    )
    level, pooled = confidence_words(frame), "fmi" in frame
    mark = footnote_mark(0) if len(single) + 1 < len(names) else ""
    columns = (
        "Term",
        f"Coefficient ({level})",
        "SE",
        f"OR{mark} ({level})",
        f"{style.p_symbol} value",
    )
    return Table(
        id=table_id,
        title=title,
        columns=(*columns, "FMI") if pooled else columns,
        rows=rows,
        footnotes=(NO_RATIO,) if mark else (),
        italics=style.italics,
        notes=(
            sample_note(frame),
            *spline_notes(fit.spec, labels or {}, preset=style),
            equation_text(fit, labels=labels, preset=style),
        ),
        abbreviations=abbreviations_in(*columns, "OR", "FMI" if pooled else ""),
    )


NO_RATIO = (
    "The columns of a curve or an interaction have no odds ratio of their own; see the odds ratios "
    "per interquartile range."
)


def odds_ratio_table(
    odds_ratios: pd.DataFrame,
    *,
    labels: Labels | None = None,
    title: str = "Odds ratios, upper against lower quartile",
    table_id: str = "odds_ratios",
    preset: Preset = "ama",
) -> Table:
    """Odds ratios of a model, each with the two values it compares.

    Parameters
    ----------
    odds_ratios : DataFrame
        Made by `odds_ratios(per="iqr")`: group, contrast, low, high, estimate and interval.
    labels : mapping of str to str, optional
    title, table_id : str
    preset : str or NumberPreset
    """
    needed = ("group", "contrast", "low", "high", "estimate", "p_value")
    require_columns(odds_ratios, needed, table="odds ratio table")
    style, names = number_preset(preset), labels or {}
    columns = (
        "Variable",
        "Contrast",
        f"OR ({confidence_words(odds_ratios)})",
        f"{style.p_symbol} value",
    )
    rows = tuple(
        (
            names.get(str(row["group"]), str(row["group"])),
            contrast_text(row, style),
            _ratio(row, style),
            format_p(row["p_value"], preset=style),
        )
        for row in odds_ratios.to_dict("records")
    )
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=rows,
        align=("left", "left", "decimal", "decimal"),
        italics=style.italics,
        notes=("Other variables are held at their median or most frequent level.",),
        abbreviations=abbreviations_in(*columns),
    )


def contrast_text(row: Mapping[Any, Any], preset: Preset = "ama") -> str:
    """The two values an odds ratio compares, rounded as far as their distance asks.

    >>> contrast_text({"contrast": "58.15 vs 41.52", "low": 41.523, "high": 58.153})
    '58.2 vs 41.5'
    >>> contrast_text({"contrast": "left:both", "low": 1, "high": 2})
    'left vs both'
    """
    text = str(row["contrast"])
    if " vs " not in text:
        return " vs ".join(text.split(":", 1))
    decimals = spread_decimals(abs(row["high"] - row["low"]))
    high, low = (format_number(row[side], decimals, preset=preset) for side in ("high", "low"))
    return f"{high} vs {low}"


def column_labels(spec: DesignSpec, labels: Labels) -> list[str]:
    """Printed names of the design's columns, the intercept first."""
    return ["Intercept", *(name for term in spec.terms for name in _labels_of(spec, term, labels))]


def equation_text(fit: Fit, *, labels: Labels | None = None, preset: Preset = "ama") -> str:
    """The linear predictor written out, and the risk that follows from it."""
    style = number_preset(preset)
    names = column_labels(fit.spec, labels or {})
    first, *rest = (float(value) for value in fit.params)
    terms = "".join(
        f" {MINUS if value < 0 else '+'} "
        f"{format_significant(abs(value), 6, preset=style)} × [{name}]"
        for value, name in zip(rest, names[1:], strict=True)
    )
    start = format_significant(first, 6, preset=style)
    return f"Linear predictor lp = {start}{terms}; risk = 1 / (1 + exp({MINUS}lp))."


def spline_notes(spec: DesignSpec, labels: Labels, *, preset: Preset = "ama") -> tuple[str, ...]:
    """Knots of every restricted cubic spline of a model."""
    return tuple(
        f"{labels.get(term.name, term.name)}: restricted cubic spline with knots at "
        f"{', '.join(format_significant(knot, 4, preset=preset) for knot in term.knots)}; "
        "basis divided by the squared distance of the outer knots."
        for term in spec.terms
        if term.type == "rcs" and term.knots
    )


def _single_columns(spec: DesignSpec) -> set[int]:
    """Columns whose coefficient alone is an odds ratio: no curve, no part of an interaction."""
    joined = {part for term in spec.terms for part in term.parts}
    return {
        column
        for term in spec.terms
        if term.type in ("linear", "log", "logit", "factor") and term.name not in joined
        for column in spec.blocks[term.name]
    }


def _labels_of(spec: DesignSpec, term: Term, labels: Labels) -> Iterator[str]:
    if term.type == "interaction":
        first, second = (list(_labels_of(spec, spec.mains[p], labels)) for p in term.parts)
        yield from (f"{a} × {b}" for b in second for a in first)
        return
    name = labels.get(term.name, term.name)
    if term.type == "factor":
        yield from (
            f"{name}: {level} vs {(term.levels or ('',))[0]}" for level in (term.levels or ())[1:]
        )
    elif term.type == "rcs":
        yield from (name + "′" * j for j in range(len(term.knots or ()) - 1))
    else:
        yield name if term.type == "linear" else f"{term.type}({name})"


def _coefficient_cells(
    row: Mapping[Any, Any], name: str, style: NumberPreset, *, has_ratio: bool
) -> tuple[str, ...]:
    decimals = max(spread_decimals(row["std_error"], most=6), 2)
    coefficient = format_estimate(
        row["estimate"], row["conf_low"], row["conf_high"], decimals=decimals, preset=style
    )
    ratio = style.missing
    if has_ratio:
        logs = ("estimate", "conf_low", "conf_high")
        ratio = _ratio({key: np.exp(min(row[key], 700.0)) for key in logs}, style)
    cells = (
        name,
        coefficient,
        format_number(row["std_error"], decimals, preset=style),
        ratio,
        format_p(row["p_value"], preset=style),
    )
    return (*cells, format_number(row["fmi"], 2, preset=style)) if "fmi" in row else cells


def _ratio(row: Mapping[Any, Any], style: NumberPreset) -> str:
    return format_estimate(
        row["estimate"], row["conf_low"], row["conf_high"], kind="ratio", preset=style
    )
