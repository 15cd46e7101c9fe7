"""Decision curves and their value of information over the stated range of thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from usstats._check import check_option
from usstats.plots.style import REFERENCE_GREY, curve_style, journal_style, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "net_benefit": "Net benefit",
    "standardized_net_benefit": "Standardised net benefit",
    "interventions_avoided": "Net interventions avoided per patient",
}
INFORMATION = {
    "p_useful": "P(useful)",
    "evpi": "EVPI (net benefit)",
}
REFERENCE_LABELS = {"treat_all": "Treat all", "treat_none": "Treat none"}
#: How far below zero the axis reaches, as a share of its height above zero.
BELOW_ZERO = 0.25
#: Between the legend and the curves, as a share of the height of the axes.
CLEARANCE = 0.03


class Table(Protocol):
    """What is drawn: a `DecisionCurve` or a `ValueOfInformation`, or anything with its frame."""

    def frame(self) -> pd.DataFrame: ...


def plot_decision(
    curve: Table,
    ax: Axes | None = None,
    *,
    measure: str = "net_benefit",
    band: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw a decision curve.

    Parameters
    ----------
    curve : DecisionCurve
    ax : Axes, optional
        A fresh 84 mm figure without it.
    measure : {"net_benefit", "standardized_net_benefit", "interventions_avoided"}
    band : bool
        Shade the limits of the net benefit where there are any; their edges have the line style
        of the model.
    legend : bool

    Returns
    -------
    Axes
        The horizontal axis is the range of thresholds in the frame, no more; treat_all leaves
        the plot where it falls far below zero. The legend stands above the curves.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> from usstats.decision import decision_curve
    >>> curve = decision_curve([0, 0, 1, 1], {"m": [0.1, 0.4, 0.3, 0.9]}, thresholds=[0.2, 0.5])
    >>> plot_decision(curve).get_ylabel()
    'Net benefit'
    """
    check_option(measure, tuple(MEASURES), name="measure")
    frame = curve.frame()
    with journal_style():
        ax = new_axes(ax)
        if band and measure == "net_benefit" and "conf_low" in frame:
            _draw_bands(ax, frame)
        _draw_models(ax, frame, measure)
        _draw_references(ax, frame, measure)
        _stretch(ax, frame, measure)
        ax.set_ylabel(MEASURES[measure])
        if legend:
            _place_legend(ax)
    return ax


def plot_value_of_information(
    found: Table, ax: Axes | None = None, *, measure: str = "p_useful", legend: bool = True
) -> Axes:
    """Draw P(useful) or the EVPI of each model, made to stand under its decision curve.

    Parameters
    ----------
    found : ValueOfInformation
    ax : Axes, optional
        A fresh 84 x 50 mm figure without it.
    measure : {"p_useful", "evpi"}
    legend : bool

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> from usstats.decision_value import value_of_information
    >>> found = value_of_information(
    ...     [0, 0, 1, 1], {"m": [0.1, 0.4, 0.3, 0.9]}, thresholds=[0.2, 0.5], method="asymptotic")
    >>> plot_value_of_information(found).get_ylabel()
    'P(useful)'
    """
    check_option(measure, tuple(INFORMATION), name="measure")
    frame = found.frame()
    with journal_style():
        ax = new_axes(ax, height_mm=50)
        _draw_models(ax, frame, measure)
        _set_thresholds(ax, frame)
        if measure == "p_useful":
            ax.set_ylim(0, 1.02)
            ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
            ax.spines["left"].set_bounds(0, 1)
        elif (top := frame[measure].max()) > 0:
            ax.set_ylim(0, 1.05 * top)
        ax.set_ylabel(INFORMATION[measure])
        if legend:
            _place_legend(ax)
    return ax


def _models(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Name, rows and look of each model, in the order of the frame."""
    names = [name for name in frame["model"].unique() if name not in REFERENCE_LABELS]
    for i, name in enumerate(names):
        yield name, frame[frame["model"] == name], curve_style(i, n_curves=len(names))


def _draw_bands(ax: Axes, frame: pd.DataFrame) -> None:
    """Faint where bands lie on each other, with edges that tell them apart without colour."""
    models = list(_models(frame))
    alpha = 0.15 if len(models) == 1 else 0.08
    for _, rows, style in models:
        x, low, high = (rows[name] for name in ("threshold_probability", "conf_low", "conf_high"))
        ax.fill_between(x, low, high, color=style["color"], alpha=alpha, lw=0, zorder=1)
        for edge in (low, high):
            look = style | {"marker": "", "label": "_limit", "lw": 0.5, "alpha": 0.7}
            ax.plot(x, edge, zorder=1.5, **look)


def _draw_models(ax: Axes, frame: pd.DataFrame, measure: str) -> None:
    for i, (name, rows, style) in enumerate(_models(frame)):
        ax.plot(
            rows["threshold_probability"], rows[measure], label=plain(name), zorder=3 + i, **style
        )


def _draw_references(ax: Axes, frame: pd.DataFrame, measure: str) -> None:
    looks: dict[str, dict[str, Any]] = {
        "treat_all": {"color": REFERENCE_GREY, "lw": 1.2, "ls": (0, (1, 1))},
        "treat_none": {"color": "#000000", "lw": 0.7, "ls": "-"},
    }
    for name, look in looks.items():
        rows = frame[frame["model"] == name]
        x = rows["threshold_probability"]
        ax.plot(x, rows[measure], label=REFERENCE_LABELS[name], zorder=2, **look)


def _stretch(ax: Axes, frame: pd.DataFrame, measure: str) -> None:
    """Fit the vertical axis to the highest curve or limit, not to treat_all's fall."""
    _set_thresholds(ax, frame)
    shown = [measure, "conf_high"] if measure == "net_benefit" else [measure]
    top = frame[[name for name in shown if name in frame]].max().max()
    if np.isfinite(top) and top > 0:
        ax.set_ylim(-BELOW_ZERO * top, 1.05 * top)


def _set_thresholds(ax: Axes, frame: pd.DataFrame) -> None:
    x = frame["threshold_probability"]
    if x.min() < x.max():
        ax.set_xlim(x.min(), x.max())
    ax.set_xlabel("Threshold probability")


def _place_legend(ax: Axes) -> None:
    """Put the legend in the upper corner that costs least, with the curves below it."""
    legend = ax.legend(loc="upper right", borderaxespad=0.2)
    frame = ax.get_window_extent()
    box = legend.get_window_extent()
    width, height = box.width / frame.width, box.height / frame.height + CLEARANCE
    if height >= 1:
        return
    bottom, top = ax.get_ylim()
    needed = {}
    for corner in ("upper right", "upper left"):
        highest = _highest_under(ax, width, right=corner == "upper right")
        needed[corner] = max(top, bottom + (highest - bottom) / (1 - height))
    corner = min(needed, key=lambda name: needed[name])
    ax.legend(loc=corner, borderaxespad=0.2)
    ax.set_ylim(bottom, needed[corner])


def _highest_under(ax: Axes, width: float, *, right: bool) -> float:
    """Highest point of any line in the corner that the legend takes."""
    left_edge, right_edge = ax.get_xlim()
    share = min(width + CLEARANCE, 1) * (right_edge - left_edge)
    low, high = (right_edge - share, right_edge) if right else (left_edge, left_edge + share)
    heights = [np.nanmin(ax.get_ylim())]
    for line in ax.get_lines():
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        near = np.flatnonzero((x >= low) & (x <= high) & np.isfinite(y))
        heights.extend(y[near])
    return float(max(heights))
