"""Decision curves over the stated range of thresholds, with both reference strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from usstats._check import check_option
from usstats.plots.style import REFERENCE_GREY, journal_style, line_style, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "net_benefit": "Net benefit",
    "standardized_net_benefit": "Standardised net benefit",
    "interventions_avoided": "Net interventions avoided per patient",
}
REFERENCE_LABELS = {"treat_all": "Treat all", "treat_none": "Treat none"}
#: How far below zero the axis reaches, as a share of its height above zero.
BELOW_ZERO = 0.25


class DecisionTable(Protocol):
    """What is drawn: a `DecisionCurve`, or anything with its frame."""

    def frame(self) -> pd.DataFrame: ...


def plot_decision(
    curve: DecisionTable,
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
        Shade the limits of the net benefit where there are any.
    legend : bool

    Returns
    -------
    Axes
        The horizontal axis is the range of thresholds in the frame, no more; treat_all leaves
        the plot where it falls far below zero.

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
        models = [name for name in frame["model"].unique() if name not in REFERENCE_LABELS]
        for i, name in enumerate(models):
            rows = frame[frame["model"] == name]
            _draw_model(ax, i, name, rows, measure, band=band and measure == "net_benefit")
        _draw_references(ax, frame, measure)
        _finish(ax, frame, measure, legend=legend)
    return ax


def _draw_model(
    ax: Axes, i: int, name: str, rows: pd.DataFrame, measure: str, *, band: bool
) -> None:
    style = line_style(i)
    x = rows["threshold_probability"]
    if band and "conf_low" in rows:
        low, high = rows["conf_low"], rows["conf_high"]
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0, zorder=1)
    ax.plot(x, rows[measure], label=plain(name), zorder=3 + i, **style)


def _draw_references(ax: Axes, frame: pd.DataFrame, measure: str) -> None:
    looks: dict[str, dict[str, Any]] = {
        "treat_all": {"color": REFERENCE_GREY, "lw": 1.2, "ls": (0, (1, 1))},
        "treat_none": {"color": "#000000", "lw": 0.7, "ls": "-"},
    }
    for name, look in looks.items():
        rows = frame[frame["model"] == name]
        x = rows["threshold_probability"]
        ax.plot(x, rows[measure], label=REFERENCE_LABELS[name], zorder=2, **look)


def _finish(ax: Axes, frame: pd.DataFrame, measure: str, *, legend: bool) -> None:
    x = frame["threshold_probability"]
    if x.min() < x.max():
        ax.set_xlim(x.min(), x.max())
    top = frame[[c for c in (measure, "conf_high") if c in frame and _same(c, measure)]].max().max()
    if np.isfinite(top) and top > 0:
        ax.set_ylim(-BELOW_ZERO * top, 1.05 * top)
    ax.set_xlabel("Threshold probability")
    ax.set_ylabel(MEASURES[measure])
    if legend:
        ax.legend(loc="best")


def _same(column: str, measure: str) -> bool:
    """The limits belong to the net benefit and set the scale of no other measure."""
    return column == measure or measure == "net_benefit"
