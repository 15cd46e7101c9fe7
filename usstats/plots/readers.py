"""Readers on the model's ROC curve, and what each reader gains or loses by the aid.

Without the aid a marker is open, with it filled; groups differ in marker and colour, so that the
charts read in grey too.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from usstats.errors import ArgumentError
from usstats.plots.roc import Curve, plot_roc
from usstats.plots.style import (
    MARKERS,
    OKABE_ITO,
    REFERENCE_GREY,
    journal_style,
    new_axes,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_reader_change", "plot_reader_points"]

_ROW_MM, _MARGIN_MM = 4.6, 22.0
_AVERAGE_STEP = 0.6
_LEGEND_CHARACTERS = 56
_NEUTRAL = "#404040"
_DASHES = (0, (2.5, 1.5))
#: The curve has the first colour and style; groups of readers start at the second.
_FIRST = 1
_NAMES = {
    "auc": "AUC",
    "partial_auc": "Partial AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


def plot_reader_points(
    points: pd.DataFrame,
    ax: Axes | None = None,
    *,
    curve: Curve | Mapping[str, Curve] | None = None,
    conditions: Sequence[Hashable] | None = None,
    means: bool = True,
    band: bool = True,
) -> Axes:
    """Operating point of each reader, on the ROC curve of a model.

    Parameters
    ----------
    points : DataFrame
        reader, condition, sensitivity, specificity and optionally group, as
        `AssistanceEffect.operating_points`. With two conditions an arrow leads from the first to
        the second.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    curve : RocCurve or mapping of name to RocCurve, optional
        Drawn with its band beneath the points.
    conditions : (first, second), optional
        Order of the conditions; by default unaided before aided, else as they come.
    means : bool
        Mark the mean of each group by a large marker.
    band : bool

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError
        A missing column, no points, more than two conditions.

    Examples
    --------
    >>> points = pd.DataFrame({"reader": ["A", "A"], "condition": ["unaided", "aided"],
    ...                        "sensitivity": [0.7, 0.8], "specificity": [0.8, 0.9]})
    >>> plot_reader_points(points).get_ylabel()
    'Sensitivity'
    """
    _check_columns(points, ("reader", "condition", "sensitivity", "specificity"))
    order = _conditions(points["condition"], conditions)
    if len(order) > 2:
        msg = f"Operating points can be drawn for one or two conditions; got {order}."
        raise ArgumentError(msg)
    points = points[points["condition"].isin(order)]
    with journal_style():
        ax = new_axes(ax)
        handles = _draw_field(ax, curve, band=band)
        for i, (_, rows) in enumerate(_groups(points)):
            _draw_group(ax, rows, order, i, means=means)
        handles += _keys(points, order, means=means)
        ax.legend(handles=handles, loc="lower right", fontsize=6.5)
    return ax


def _check_columns(frame: pd.DataFrame, needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in frame]
    if missing or frame.empty:
        fault = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        msg = f"The table of readers needs {', '.join(needed)}; it {fault}."
        raise ArgumentError(msg)


def _conditions(column: pd.Series[Any], conditions: Sequence[Hashable] | None) -> list[Hashable]:
    found = list(pd.unique(column))
    if conditions is not None:
        unknown = [name for name in conditions if name not in found]
        if unknown or not len(conditions):
            msg = f"`conditions` must be out of {found}; got {list(conditions)}."
            raise ArgumentError(msg)
        return list(conditions)
    first = [name for name in found if str(name).lower() in ("unaided", "without", "0")]
    return first + [name for name in found if name not in first]


def _groups(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "group" not in frame or frame["group"].isna().all():
        return [("", frame)]
    names = pd.unique(frame["group"].dropna())
    return [(str(name), frame[frame["group"] == name]) for name in names]


def _group_style(i: int) -> dict[str, Any]:
    k = i + _FIRST
    return {"color": OKABE_ITO[k % len(OKABE_ITO)], "marker": MARKERS[i % len(MARKERS)]}


def _look(i: int, k: int, n: int, *, grouped: bool) -> dict[str, Any]:
    """Marker of group `i` in condition `k` of `n`.

    Up to two conditions differ in filling and groups in marker; more conditions need the marker
    (and without groups the colour) for themselves.
    """
    if n <= 2:
        return _group_style(i) | {"filled": k == 1}
    colour = _group_style(i if grouped else k)["color"]
    return {"color": colour, "marker": MARKERS[k % len(MARKERS)], "filled": True}


def _draw_field(ax: Axes, curve: Curve | Mapping[str, Curve] | None, *, band: bool) -> list[Any]:
    """The curves with their legend entries, or an empty square with the chance line."""
    if curve is not None:
        plot_roc(curve, ax, band=band)
        return [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, linewidth=0.6, zorder=1)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.set(xlabel="1 \N{MINUS SIGN} specificity", ylabel="Sensitivity")
    return []


def _draw_group(
    ax: Axes, rows: pd.DataFrame, order: list[Hashable], i: int, *, means: bool
) -> None:
    wide = [rows[rows["condition"] == name].set_index("reader") for name in order]
    spots = [(1 - part["specificity"], part["sensitivity"]) for part in wide]
    looks = [_look(i, k, len(order), grouped=True) for k in range(len(order))]
    if len(order) == 2:
        for reader in wide[0].index.intersection(wide[1].index):
            start, end = ((x[reader], y[reader]) for x, y in spots)
            _arrow(ax, start, end, color=looks[0]["color"], linewidth=0.6, alpha=0.55)
    several = means and len(wide[0]) > 1
    for k, (x, y) in enumerate(spots):
        _mark(ax, x, y, looks[k], size=3.2 if several else 4.5, zorder=20 + k)
    if several:
        centres = [(float(x.mean()), float(y.mean())) for x, y in spots]
        if len(centres) == 2:
            _arrow(ax, *centres, color=looks[0]["color"], linewidth=1.4, zorder=24)
        for k, centre in enumerate(centres):
            _mark(ax, *centre, looks[k], size=7, zorder=25 + k)


def _mark(ax: Axes, x: Any, y: Any, look: dict[str, Any], *, size: float, zorder: int) -> None:
    filled, color = look["filled"], look["color"]
    ax.plot(
        x,
        y,
        linestyle="none",
        marker=look["marker"],
        markersize=size,
        markeredgecolor="white" if filled and size > 5 else color,
        markeredgewidth=0.6 if size < 5 else 1.0,
        markerfacecolor=color if filled else "white",
        zorder=zorder,
    )


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    color: str,
    linewidth: float,
    alpha: float = 1.0,
    zorder: int = 12,
) -> None:
    if np.allclose(start, end):
        return
    ax.annotate(
        "",
        xy=end,
        xytext=start,
        zorder=zorder,
        arrowprops={
            "arrowstyle": "-|>,head_width=0.12,head_length=0.25",
            "color": color,
            "linewidth": linewidth,
            "alpha": alpha,
            "shrinkA": 1.5,
            "shrinkB": 1.5,
        },
    )


def _keys(frame: pd.DataFrame, order: list[Hashable], *, means: bool) -> list[Any]:
    """Legend entries of groups and of conditions."""
    groups = _groups(frame)
    grouped, n = bool(groups[0][0]), len(order)
    keys = []
    for i, (name, rows) in enumerate(groups):
        if grouped:
            look = _look(i, 0, n, grouped=True) | {"filled": True}
            look |= {"marker": "s"} if n > 2 else {}
            keys.append(_key(f"{plain(name)} ({rows['reader'].nunique()})", look))
    for k, condition in enumerate(order):
        look = _look(0, k, n, grouped=grouped)
        keys.append(_key(plain(condition), look | ({"color": _NEUTRAL} if grouped else {})))
    if means and any(len(rows) > n for _, rows in groups):
        look = _look(0, 0, n, grouped=grouped)
        look |= {"color": _NEUTRAL} if grouped else {}
        keys.append(_key("mean (large)", look, size=7))
    return keys


def _key(label: str, look: dict[str, Any], *, size: float = 4.5) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        linestyle="none",
        marker=look["marker"],
        markersize=size,
        markeredgecolor=look["color"],
        markerfacecolor=look["color"] if look["filled"] else "white",
        label=label,
    )


def plot_reader_change(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    conditions: Sequence[Hashable] | None = None,
    xlabel: str | None = None,
) -> Axes:
    """Each reader's figure of merit in every condition, and the averages with intervals.

    Parameters
    ----------
    frame : DataFrame
        measure, condition, reader, estimate, conf_low, conf_high and optionally group, as
        `ReaderStudy.frame()`. Readers are rows, by group and by their figure in the first
        condition; a dashed line leads to a worse figure in the last condition than in the first.
    ax : Axes, optional
        A fresh 84 mm figure without it, high enough for its rows.
    conditions : sequence, optional
        Order of the conditions; by default unaided before aided, else as they come.
    xlabel : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError
        A missing column, or no readers.

    Examples
    --------
    >>> frame = pd.DataFrame({"measure": "auc", "reader": ["A", "A", "B", "B"],
    ...     "condition": ["unaided", "aided"] * 2, "estimate": [0.7, 0.8, 0.75, 0.74]})
    >>> [text.get_text() for text in plot_reader_change(frame).get_yticklabels()]
    ['A', 'B']
    """
    _check_columns(frame, ("measure", "condition", "reader", "estimate"))
    metric = _metric_of(frame)
    rows = frame[(frame["measure"] == metric) & frame["reader"].notna()]
    averages = frame[frame["measure"] == f"reader_averaged_{metric}"]
    if "group" in averages:
        averages = averages[averages["group"].isna()]
    order = _conditions(rows["condition"], conditions)
    layout, grouped = _layout(rows, order), bool(_groups(rows)[0][0])
    with journal_style():
        ax = new_axes(ax, height_mm=_MARGIN_MM + _ROW_MM * (len(layout) + len(order) / 1.5))
        for y, (reader, i) in enumerate(layout):
            _draw_reader(ax, y, rows[rows["reader"] == reader], order, i, grouped=grouped)
        names = {float(y): plain(reader, width=24) for y, (reader, _) in enumerate(layout)}
        if not averages.empty:
            middle = _draw_averages(ax, len(layout), averages, order, grouped=grouped)
            names[middle] = "average"
        ax.set_yticks(list(names), list(names.values()))
        ax.set_ylim(max(names) + 0.6 + _AVERAGE_STEP * len(order) / 2, -0.7)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color="#E0E0E0", linewidth=0.4, zorder=0)
        ax.set_axisbelow(True)
        ax.set_xlabel(xlabel or _NAMES.get(metric, plain(metric)))
        _legend_above(ax, rows, order)
    return ax


def _metric_of(frame: pd.DataFrame) -> str:
    own = frame.loc[frame["reader"].notna(), "measure"]
    names = [str(name) for name in pd.unique(own) if not str(name).endswith("_difference")]
    if not names:
        msg = "The table holds no reader's figure: `reader` is empty in every row."
        raise ArgumentError(msg)
    return names[0]


def _layout(rows: pd.DataFrame, order: list[Hashable]) -> list[tuple[Hashable, int]]:
    """Readers from the top with their group, each group by its figures in the first condition."""
    layout: list[tuple[Hashable, int]] = []
    for i, (_, own) in enumerate(_groups(rows)):
        first = own[own["condition"] == order[0]].sort_values("estimate", kind="stable")
        readers = pd.unique(pd.concat([first["reader"], own["reader"]]))
        layout += [(reader, i) for reader in readers]
    return layout


def _draw_reader(
    ax: Axes, y: int, rows: pd.DataFrame, order: list[Hashable], i: int, *, grouped: bool
) -> None:
    figures = rows.set_index("condition")["estimate"].reindex(order).dropna()
    worse = len(order) == 2 and len(figures) == 2 and figures.iloc[1] < figures.iloc[0]
    color = REFERENCE_GREY if len(order) > 2 else _look(i, 0, 2, grouped=grouped)["color"]
    ends = [figures.min(), figures.max()]
    ax.plot(ends, [y, y], color=color, linestyle=_DASHES if worse else "-", lw=1.0, zorder=2)
    for name, x in figures.items():
        k = order.index(name)
        _mark(ax, x, y, _look(i, k, len(order), grouped=grouped), size=4.6, zorder=3 + k)


def _draw_averages(
    ax: Axes, start: int, averages: pd.DataFrame, order: list[Hashable], *, grouped: bool
) -> float:
    """Averages beneath a rule, each with its interval; returns the middle of their rows."""
    ax.axhline(start - 0.4, color=REFERENCE_GREY, linewidth=0.5)
    own = {row["condition"]: row for row in averages.to_dict("records")}
    names = [name for name in order if name in own]
    for position, name in enumerate(names):
        y, row = start + 0.2 + _AVERAGE_STEP * position, own[name]
        if "conf_low" in row:
            limits = [row["conf_low"], row["conf_high"]]
            ax.plot(limits, [y, y], color=_NEUTRAL, lw=1.0, solid_capstyle="butt", zorder=2)
        look = _look(0, order.index(name), len(order), grouped=grouped)
        if len(order) <= 2:
            look |= {"color": _NEUTRAL, "marker": "D"}
        _mark(ax, row["estimate"], y, look, size=4.9, zorder=4)
    return start + 0.2 + _AVERAGE_STEP * (len(names) - 1) / 2


def _legend_above(ax: Axes, rows: pd.DataFrame, order: list[Hashable]) -> None:
    from matplotlib.lines import Line2D

    handles = _keys(rows, order, means=False)
    if len(order) == 2:
        label = f"lower {plain(order[1])}"
        handles.append(Line2D([], [], label=label, color=_NEUTRAL, linestyle=_DASHES, lw=1.0))
    longest = max(len(line) for h in handles for line in str(h.get_label()).split("\n"))
    ax.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.4, 1.0),
        ncols=max(1, min(len(handles), 3, _LEGEND_CHARACTERS // (longest + 5))),
        fontsize=6.5,
        handlelength=1.8,
        columnspacing=1.2,
    )
