"""Nomogram charts: one ruler a variable, total points, risk; a patient's reading on request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from usstats._nomogram.density import axis_density
from usstats.errors import ArgumentError
from usstats.nomogram import Nomogram, NomogramReading
from usstats.plots._labels import Placed
from usstats.plots._nomogram_layout import (
    DENSITY,
    MINOR_TICK,
    PAD,
    PLAIN_TICK,
    TICK,
    Layout,
    Names,
    Row,
    Strip,
    lay_out,
    offset,
    row_heights,
    rulers,
)
from usstats.plots._nomogram_notes import on_axis, reading_notes
from usstats.plots._pen import Pen
from usstats.plots.style import OKABE_ITO, journal_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from usstats.thresholds import Threshold

__all__ = ["plot_nomogram"]

WIDTH_MM = 174.0
#: Share of the height of a "g" that lies below the baseline.
DESCENT = 0.3
PATIENT, CUTOFF, DATA = OKABE_ITO[1], OKABE_ITO[2], OKABE_ITO[5]


def plot_nomogram(
    nomogram: Nomogram,
    ax: Axes | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    patient: Mapping[str, Any] | None = None,
    cutoff: float | Threshold | None = None,
    density: pd.DataFrame | None = None,
    show_lp: bool = False,
    width_mm: float = WIDTH_MM,
    font_size: float = 8.0,
) -> Axes:
    """Draw a nomogram.

    Parameters
    ----------
    nomogram : Nomogram
    ax : Axes, optional
        Axes to draw in; a new figure gets the height the rows need.
    labels : mapping, optional
        Names for readers, by variable and by "variable=level"; the outcome's name too.
    patient : mapping, optional
        A patient's values: read on every axis, with the risk and its interval.
    cutoff : float or Threshold, optional
        Frozen decision cut-off, marked on the risk axis; of a Cox model, on that of the first of
        the nomogram's times.
    density : DataFrame, optional
        Patients whose distribution is drawn above the axes.
    show_lp : bool
        Also draw the linear predictor.
    width_mm, font_size : float
        Width of a new figure and size of the names of axes; ticks are a point smaller, at least 6.

    Returns
    -------
    Axes
        Data coordinates are points (1/72 inch) at the size it was drawn for.

    Raises
    ------
    ArgumentError
        A cut-off outside (0, 1), or a patient without every variable.

    Warns
    -----
    UsstatsWarning
        The given axes are not high enough for all labels.
    MissingGlyphWarning
        No installed font has some of the characters; a font that has them is named.

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> from usstats.nomogram import build_nomogram
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> ax = plot_nomogram(build_nomogram(fit_logistic("y ~ x", data)))
    >>> [text.get_text() for text in ax.texts][:2]
    ['Points', '0']
    """
    risk = _checked_cutoff(cutoff)
    reading = None if patient is None else nomogram.points(**patient)
    table = dict(labels or {})
    notes = reading_notes(nomogram, reading, risk, table)
    with journal_style(font_size=font_size):
        pen = Pen.on(ax, width_mm, font_size)
        rows = rulers(nomogram, Names(table, pen.drawable), show_lp=show_lp)
        text = "\n".join(pen.wrapped(note, PAD) for note in notes)
        layout = lay_out(
            rows,
            width=pen.width,
            measure=pen.small,
            measure_name=pen.large,
            density=density is not None,
            note_height=pen.small(text)[1] + PAD if text else 0.0,
        )
        pen.open(layout.height)
        if density is not None:
            _draw_density(pen, layout, axis_density(nomogram, density))
        for row in layout.rows:
            _draw_row(pen, row)
        if risk is not None:
            _draw_cutoff(pen, layout, nomogram, risk)
        if reading is not None and patient is not None:
            _draw_patient(pen, layout, nomogram, patient, reading)
        if text:
            pen.text(PAD, layout.notes_top, text, pen.small_size, ha="left", va="top")
    pen.warn_of_missing_glyphs()
    return pen.ax


def _checked_cutoff(cutoff: float | Threshold | None) -> float | None:
    if cutoff is None:
        return None
    value = getattr(cutoff, "value", cutoff)
    if not isinstance(value, int | float | np.number) or not 0 < value < 1:
        msg = f"`cutoff` must lie strictly between 0 and 1; got {value!r}."
        raise ArgumentError(msg)
    return float(value)


def _draw_row(pen: Pen, row: Row) -> None:
    pen.text(PAD, row.y, row.name, pen.large_size, ha="left", va="center")
    before: Strip | None = None
    for strip in row.strips:
        pen.line(strip.ends, [strip.y, strip.y])
        if before is not None:
            pen.line([strip.start, strip.start], [before.y, strip.y], linewidth=0.4)
        for x in strip.minor:
            pen.line([x, x], [strip.y, strip.y + MINOR_TICK], linewidth=0.4)
        for x in strip.plain:
            pen.line([x, x], [strip.y, strip.y + PLAIN_TICK], linewidth=0.5)
        for label in strip.labels:
            pen.line([label.tick, label.tick], [strip.y, strip.y + TICK])
        _draw_labels(pen, strip)
        before = strip


def _draw_labels(pen: Pen, strip: Strip) -> None:
    for label in strip.labels:
        if not label.row:
            pen.text(label.centre, strip.y, label.text, pen.small_size, va="center")
    for side in (-1, 1):
        heights = row_heights(strip.labels, side, pen.small)
        gap = offset(strip, side)
        for label in strip.labels:
            if label.row * side > 0:
                inner = sum(h for row, h in heights.items() if abs(row) < abs(label.row))
                _draw_label(pen, strip, label, gap, inner)


def _draw_label(pen: Pen, strip: Strip, label: Placed, gap: float, inner: float) -> None:
    """A label and the line to it; a line to a further row passes behind nearer labels."""
    down = 1 if label.row < 0 else -1
    near = strip.y + down * (gap + inner)
    if gap > TICK + PAD / 2 or down < 0:
        straight = TICK if down > 0 else max(strip.over, TICK)
        pen.line(
            [label.tick, label.tick, label.centre],
            [strip.y, strip.y + down * straight, near - down * PAD / 4],
            linewidth=0.4,
        )
    style: dict[str, Any] = {"va": "top" if down > 0 else "bottom"}
    if "\n" not in label.text:
        near += pen.small("0")[1] if down > 0 else -pen.small("g")[1] * DESCENT
        style = {"va": "baseline"}
    if max(abs(other.row) for other in strip.labels) > 1:
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}
    pen.text(label.centre, near, label.text, pen.small_size, **style)


def _draw_density(pen: Pen, layout: Layout, table: pd.DataFrame) -> None:
    """Filled outlines above the lines, each axis as high as its own maximum."""
    for row in layout.rows:
        name = "total" if row.ruler.axis is None else row.ruler.axis.name
        if not row.density:
            continue
        for number, strip in enumerate(row.strips):
            part = table[(table["term"] == name) & (table["run"] == number)]
            x = np.array([layout.x(share) for share in part["share"]])
            base = strip.y - 0.5
            y = base - part["height"].to_numpy(dtype=float) * (DENSITY - 2)
            if part["spike"].any():
                pen.ax.vlines(x, y, base, color=DATA, linewidth=4, clip_on=False, zorder=0)
            elif x.size:
                pen.fill(np.clip(x, *strip.ends), y, base, DATA)


def _draw_cutoff(pen: Pen, layout: Layout, nomogram: Nomogram, risk: float) -> None:
    if not on_axis(nomogram, risk):
        return
    scales = [axis.scale for axis in nomogram.outcomes if axis.ticks]
    rows = [row for row in layout.rows if row.ruler.kind in ("risk", "survival", "median")]
    first = nomogram.risk_scale
    same = [row for row, scale in zip(rows, scales, strict=True) if scale.time == first.time]
    risks = [row for row in same if row.ruler.kind == "risk"]
    x = layout.x(float(nomogram.total_of_risk(risk)) / nomogram.total_ticks[-1])
    for row in (risks or same)[:1]:
        pen.line([x], [row.strips[0].y - 3], marker="v", markersize=5, color=CUTOFF)


def _draw_patient(
    pen: Pen,
    layout: Layout,
    nomogram: Nomogram,
    patient: Mapping[str, Any],
    reading: NomogramReading,
) -> None:
    width = nomogram.total_ticks[-1]
    lower = {"total", *(axis.scale.kind for axis in nomogram.outcomes)}
    ys = [row.strips[0].y for row in layout.rows if row.ruler.kind in lower]
    x = layout.x(_inside(reading.total / width))
    pen.line([x, x], [ys[0], ys[-1]], color=PATIENT, linewidth=0.8, linestyle=":", zorder=0.5)
    shown = [i for i, axis in enumerate(nomogram.outcomes) if axis.ticks]
    for y, i in zip(ys[1:], shown, strict=True):
        outcome, scale = reading.outcomes[i], nomogram.outcomes[i].scale
        ends = nomogram.total_of_lp(scale.to_lp([outcome.conf_low, outcome.conf_high])) / width
        if not np.isnan(ends).any():
            low, high = (layout.x(_inside(float(end))) for end in ends)
            pen.line([low, high], [y, y], color=PATIENT, linewidth=2.5, alpha=0.6)
    for y in ys:
        pen.line([x], [y], marker="o", markersize=4, color=PATIENT)
    for row in layout.rows:
        _draw_value(pen, layout, nomogram, row, patient, reading)


def _inside(share: float) -> float:
    """Positions beyond the rulers stand at their ends."""
    return min(max(share, 0.0), 1.0)


def _draw_value(
    pen: Pen,
    layout: Layout,
    nomogram: Nomogram,
    row: Row,
    patient: Mapping[str, Any],
    reading: NomogramReading,
) -> None:
    """A patient's mark on a row, unless another of its group is his; hollow between two axes."""
    axis = row.ruler.axis
    if axis is None:
        return
    values = nomogram.spec.encode(pd.DataFrame({name: [patient[name]] for name in patient}))
    group = next(group for group in nomogram.groups if axis in group.axes)
    position, exact = group.axis_of(values, 1)
    if group.axes[int(position[0])] is not axis:
        return
    run = 0 if row.ruler.levels else int(axis.run_of(values[axis.variable])[0])
    strip = row.strips[run]
    x = np.clip(layout.x(reading.points[group.name] / nomogram.max_points), *strip.ends)
    style = {} if exact[0] else {"markerfacecolor": "white"}
    pen.line([x], [strip.y], marker="o", markersize=4, color=PATIENT, **style)
