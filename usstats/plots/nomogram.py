"""Nomogram charts: one ruler a variable, total points, risk; a patient's reading on request."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from usstats._columns import label_of
from usstats.errors import ArgumentError, UsstatsWarning
from usstats.nomogram import Nomogram, NomogramReading
from usstats.nomogram_density import axis_density
from usstats.plots._fonts import drawable, with_cjk
from usstats.plots._labels import Measure, Placed, wrap
from usstats.plots._nomogram_layout import (
    DENSITY,
    MINOR_TICK,
    PAD,
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
from usstats.plots.style import OKABE_ITO, journal_style
from usstats.ticks import tick_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_nomogram"]

POINTS_PER_MM = 72 / 25.4
WIDTH_MM = 174.0
SMALLEST_FONT = 6.0
#: Share of the height of a "g" that lies below the baseline.
DESCENT = 0.3
PATIENT, CUTOFF, DATA = OKABE_ITO[1], OKABE_ITO[2], OKABE_ITO[5]


def plot_nomogram(
    nomogram: Nomogram,
    ax: Axes | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    patient: Mapping[str, Any] | None = None,
    cutoff: float | None = None,
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
    cutoff : float, optional
        Frozen decision cut-off, marked on the risk axis.
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

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> from usstats.nomogram import build_nomogram
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> ax = plot_nomogram(build_nomogram(fit_logistic("y ~ x", data)))
    >>> [text.get_text() for text in ax.texts][:2]
    ['Points', '0']
    """
    if cutoff is not None and not 0 < cutoff < 1:
        msg = f"`cutoff` must lie strictly between 0 and 1; got {cutoff!r}."
        raise ArgumentError(msg)
    reading = None if patient is None else nomogram.points(**patient)
    table = dict(labels or {})
    notes = _notes(
        nomogram, reading, cutoff, table.get(nomogram.spec.outcome, nomogram.spec.outcome)
    )
    with journal_style(font_size=font_size):
        pen = _Pen.on(ax, width_mm, font_size)
        names = Names(table, lambda text: drawable(text, pen.families))
        rows = rulers(nomogram, names, show_lp=show_lp)
        text = "\n".join(pen.wrapped(note) for note in notes)
        layout = lay_out(
            rows,
            width=pen.width,
            measure=pen.small,
            measure_name=pen.large,
            density=density is not None,
            note_height=pen.small(text)[1] + PAD if text else 0.0,
        )
        pen.open(layout)
        for row in layout.rows:
            _draw_row(pen, row)
        if density is not None:
            _draw_density(pen, layout, axis_density(nomogram, density))
        _draw_overlays(pen, layout, nomogram, patient, reading, cutoff)
        if text:
            pen.text(PAD, layout.notes_top, text, pen.small_size, ha="left", va="top")
    return pen.ax


def _interval(reading: NomogramReading) -> str:
    """The interval in words; a lasso model has none."""
    if np.isnan(reading.conf_low):
        return ""
    level = f"{reading.conf_level * 100:g} % CI"
    return f" ({level} {reading.conf_low:.2f} to {reading.conf_high:.2f})"


def _on_axis(nomogram: Nomogram, risk: float) -> bool:
    return 0 <= float(nomogram.total_of_risk(risk)) <= nomogram.total_ticks[-1]


def _notes(
    nomogram: Nomogram, reading: NomogramReading | None, cutoff: float | None, outcome: str
) -> list[str]:
    notes = []
    if reading is not None:
        notes.append(
            f"\N{BLACK CIRCLE} Patient: {reading.total:.1f} points, risk of {outcome} "
            f"{reading.risk:.2f}{_interval(reading)}"
        )
        if reading.outside:
            notes.append(f"Outside development data: {', '.join(reading.outside)}")
    if cutoff is not None:
        where = "" if _on_axis(nomogram, cutoff) else ": beyond the risks points can reach"
        notes.append(f"\N{BLACK DOWN-POINTING TRIANGLE} Cut-off {cutoff:.3g}{where}")
    return notes


@dataclass
class _Pen:
    """An Axes in points, with the fonts and sizes to write in."""

    ax: Axes
    owner: bool
    width: float
    families: list[str]
    large_size: float
    small_size: float
    small: Measure
    large: Measure
    height: float = 0.0

    @classmethod
    def on(cls, ax: Axes | None, width_mm: float, font_size: float) -> _Pen:
        import matplotlib as mpl

        families = with_cjk(list(mpl.rcParams["font.sans-serif"]))
        owner = ax is None
        own = _fresh_axes(width_mm) if ax is None else ax
        if not owner:
            _figure(own).draw_without_rendering()
        sizes = max(font_size, SMALLEST_FONT), max(font_size - 1, SMALLEST_FONT)
        box = own.get_window_extent()
        scale = 72 / own.figure.dpi
        return cls(
            ax=own,
            owner=owner,
            width=float(box.width * scale),
            height=float(box.height * scale),
            families=families,
            large_size=sizes[0],
            small_size=sizes[1],
            large=_measure(own, families, sizes[0]),
            small=_measure(own, families, sizes[1]),
        )

    def open(self, layout: Layout) -> None:
        """Give the axes their extent; a figure of our own gets the height it needs."""
        if self.owner:
            _figure(self.ax).set_size_inches(self.width / 72, layout.height / 72)
        elif layout.height > self.height * 1.001:
            need = layout.height / POINTS_PER_MM
            msg = (
                f"These axes are {self.height / POINTS_PER_MM:.0f} mm high and the nomogram needs "
                f"{need:.0f} mm; labels may touch. Draw on higher axes, or pass none."
            )
            warnings.warn(msg, UsstatsWarning, stacklevel=3)
        self.ax.set(xlim=(0, self.width), ylim=(layout.height, 0))
        self.ax.set_axis_off()

    def line(self, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
        style = {"color": "black", "linewidth": 0.7, "solid_capstyle": "butt", **style}
        self.ax.plot(x, y, clip_on=False, **style)

    def text(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        style = {"ha": "center", "linespacing": 1.1, "clip_on": False, **style}
        self.ax.text(x, y, text, fontsize=size, fontfamily=self.families, **style)

    def wrapped(self, text: str) -> str:
        """A note broken so that it fits under the axes."""
        safe = drawable(text, self.families)
        fits = (wrap(safe, n) for n in range(160, 10, -4))
        return next((t for t in fits if self.small(t)[0] <= self.width - 2 * PAD), safe)


def _figure(ax: Axes) -> Any:
    return ax.get_figure(root=True)


def _fresh_axes(width_mm: float) -> Axes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_mm / 25.4, width_mm / 25.4))
    FigureCanvasAgg(figure)
    return figure.add_axes((0, 0, 1, 1))


def _measure(ax: Axes, families: list[str], size: float) -> Measure:
    """Width and height of a text on this canvas, in points."""
    figure = ax.figure
    scale = 72 / figure.dpi

    @cache
    def measure(text: str) -> tuple[float, float]:
        probe = figure.text(0, 0, text, fontsize=size, fontfamily=families, linespacing=1.1)
        box = probe.get_window_extent()
        probe.remove()
        return float(box.width * scale), float(box.height * scale)

    return measure


def _draw_row(pen: _Pen, row: Row) -> None:
    pen.text(PAD, row.y, row.name, pen.large_size, ha="left", va="center")
    before: Strip | None = None
    for strip in row.strips:
        ends = [strip.start, *strip.xs, *strip.minor]
        pen.line([min(ends), max(ends)], [strip.y, strip.y])
        if before is not None:
            pen.line([strip.start, strip.start], [before.y, strip.y], linewidth=0.4)
        for x in strip.minor:
            pen.line([x, x], [strip.y, strip.y + MINOR_TICK], linewidth=0.4)
        for x in strip.xs:
            pen.line([x, x], [strip.y, strip.y + TICK])
        _draw_labels(pen, strip)
        before = strip


def _draw_labels(pen: _Pen, strip: Strip) -> None:
    for label in strip.labels:
        if not label.row:
            pen.text(label.centre, strip.y, label.text, pen.small_size, va="center")
    for side in (-1, 1):
        heights = row_heights(strip.labels, side, pen.small)
        gap = offset(strip.labels, side)
        for label in strip.labels:
            if label.row * side > 0:
                inner = sum(h for row, h in heights.items() if abs(row) < abs(label.row))
                _draw_label(pen, strip, label, gap, inner)


def _draw_label(pen: _Pen, strip: Strip, label: Placed, gap: float, inner: float) -> None:
    down = 1 if label.row < 0 else -1
    near = strip.y + down * (gap + inner)
    if "\n" in label.text:
        pen.text(label.centre, near, label.text, pen.small_size, va="top" if down > 0 else "bottom")
    else:
        rise = pen.small("0")[1] if down > 0 else -pen.small("g")[1] * DESCENT
        pen.text(label.centre, near + rise, label.text, pen.small_size, va="baseline")
    if gap > TICK + PAD / 2 or down < 0:
        pen.line(
            [label.tick, label.tick, label.centre],
            [strip.y, strip.y + down * min(TICK, gap / 2), near - down * PAD / 4],
            linewidth=0.4,
        )


def _draw_density(pen: _Pen, layout: Layout, table: pd.DataFrame) -> None:
    """Filled outlines above the lines, each as high as its own maximum."""
    for row in layout.rows:
        name = "total" if row.ruler.axis is None else row.ruler.axis.name
        part = table[table["term"] == name]
        if not row.density or part.empty:
            continue
        x = np.array([layout.x(share) for share in part["share"]])
        y = row.strips[0].y - 0.5 - part["height"].to_numpy(dtype=float) * (DENSITY - 2)
        base = np.full_like(y, row.strips[0].y - 0.5)
        if row.ruler.levels:
            pen.ax.vlines(x, y, base, color=DATA, linewidth=4, clip_on=False, zorder=0)
        else:
            pen.ax.fill_between(x, y, base, color=DATA, alpha=0.6, linewidth=0, clip_on=False)


def _draw_overlays(
    pen: _Pen,
    layout: Layout,
    nomogram: Nomogram,
    patient: Mapping[str, Any] | None,
    reading: NomogramReading | None,
    cutoff: float | None,
) -> None:
    width = nomogram.total_ticks[-1]
    lower = {row.ruler.kind: row.strips[0] for row in layout.rows if row.ruler.axis is None}
    if cutoff is not None and "risk" in lower and _on_axis(nomogram, cutoff):
        x = layout.x(float(nomogram.total_of_risk(cutoff)) / width)
        pen.line([x], [lower["risk"].y - 3], marker="v", markersize=5, color=CUTOFF)
    if reading is None or patient is None:
        return
    for row in layout.rows:
        place = _patient_on(row, nomogram, patient, reading)
        if place is not None:
            pen.line([layout.x(place[0])], [place[1]], marker="o", markersize=4, color=PATIENT)
    x = layout.x(_inside(reading.total / width))
    last = lower.get("risk", lower["total"])
    pen.line([x, x], [lower["total"].y, last.y], color=PATIENT, linewidth=0.8, linestyle=":")
    ends = nomogram.total_of_risk([reading.conf_low, reading.conf_high]) / width
    if not np.isnan(ends).any():
        low, high = (layout.x(_inside(float(end))) for end in ends)
        pen.line([low, high], [last.y, last.y], color=PATIENT, linewidth=2.5, alpha=0.6)
    for y in (lower["total"].y, last.y):
        pen.line([x], [y], marker="o", markersize=4, color=PATIENT)


def _inside(share: float) -> float:
    """Positions beyond the rulers stand at their ends."""
    return min(max(share, 0.0), 1.0)


def _patient_on(
    row: Row, nomogram: Nomogram, patient: Mapping[str, Any], reading: NomogramReading
) -> tuple[float, float] | None:
    """Where a patient stands on a row: share of the width and height; None on others' rows."""
    axis = row.ruler.axis
    if axis is None:
        return None
    for name, level in axis.given.items():
        value = patient[name]
        number = nomogram.spec.mains[name].type != "factor"
        if (tick_label(float(value)) if number else label_of(value)) != level:
            return None
    group = next(group for group in nomogram.groups if axis in group.axes)
    share = _inside(reading.points[group.name] / nomogram.max_points)
    strip = row.strips[0]
    if not row.ruler.levels:
        above = [i for i, v in enumerate(axis.values) if float(v) >= float(patient[axis.variable])]
        first = above[0] if above else len(axis.values) - 1
        strip = next(s for s in row.strips if first in s.positions)
    return share, strip.y
