"""The four parts of an external validation in one figure (rule R10), or each on its own axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from usstats._check import check_option
from usstats.plots.calibration import EVENT_GREY, NON_EVENT_GREY, plot_calibration
from usstats.plots.decision import plot_decision
from usstats.plots.roc import plot_roc
from usstats.plots.style import MM_PER_INCH, OKABE_ITO, journal_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from usstats.external import ExternalValidation

WIDTH_MM, HEIGHT_MM = 174.0, 168.0
#: Left, bottom, width and height of each panel inside given axes.
INSETS = (
    (0.02, 0.58, 0.42, 0.42),
    (0.58, 0.58, 0.42, 0.42),
    (0.02, 0.04, 0.42, 0.42),
    (0.58, 0.04, 0.42, 0.42),
)


def plot_external(result: ExternalValidation, ax: Axes | None = None) -> Axes:
    """Draw ROC curve, calibration, net benefit and the distribution of risks.

    Parameters
    ----------
    result : ExternalValidation
    ax : Axes, optional
        The four panels fill its area; a fresh 174 mm figure without it.

    Returns
    -------
    Axes
        `ax`, or the axes of the first panel; all four are in its `figure.axes`.

    Examples
    --------
    >>> import numpy as np
    >>> from usstats.external import evaluate
    >>> rng = np.random.default_rng(1)
    >>> p = rng.uniform(0.05, 0.95, 600)
    >>> ax = plot_external(evaluate(rng.random(600) < p, p))
    >>> len(ax.figure.axes)
    4
    """
    with journal_style():
        axes = _fresh_panels() if ax is None else _inset_panels(ax)
        for letter, (own, draw) in zip(
            "abcd", zip(axes, PANELS.values(), strict=True), strict=True
        ):
            draw(result, own)
            own.set_title(letter, loc="left", fontweight="bold")
    return axes[0] if ax is None else ax


def plot_external_panel(result: ExternalValidation, panel: str, ax: Axes | None = None) -> Axes:
    """Draw one part: "roc", "calibration", "net_benefit" or "risks".

    Raises
    ------
    ArgumentError
    """
    check_option(panel, tuple(PANELS), name="panel")
    return PANELS[panel](result, ax)


def _fresh_panels() -> list[Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (WIDTH_MM / MM_PER_INCH, HEIGHT_MM / MM_PER_INCH)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return list(figure.subplots(2, 2).ravel())


def _inset_panels(ax: Axes) -> list[Axes]:
    ax.set_axis_off()
    return [ax.inset_axes(place) for place in INSETS]


def _roc(result: ExternalValidation, ax: Axes | None) -> Axes:
    return plot_roc(result.roc, ax)


def _calibration(result: ExternalValidation, ax: Axes | None) -> Axes:
    return plot_calibration(result.calibration, ax)


def _net_benefit(result: ExternalValidation, ax: Axes | None) -> Axes:
    ax = plot_decision(result.net_benefit, ax)
    if result.net_benefit.thresholds.size == 1:
        for line in ax.lines:
            line.set_marker("o")
        ax.legend(loc="best")
    return ax


def _risks(result: ExternalValidation, ax: Axes | None) -> Axes:
    """Share of events (upwards) and of non-events (downwards) by predicted risk."""
    bins = result.calibration.histogram()
    with journal_style():
        ax = new_axes(ax)
        sides = (
            ("n_event", 1, EVENT_GREY, "Events"),
            ("n_nonevent", -1, NON_EVENT_GREY, "Non-events"),
        )
        for column, direction, colour, label in sides:
            _mirrored(ax, bins, column, direction, colour, label)
        tallest = max((bins[c] / bins[c].sum()).max() for c, *_ in sides)
        ax.axhline(0, color=EVENT_GREY, lw=0.6)
        ax.set(xlim=(-0.01, 1.01), ylim=(-1.15 * tallest, 1.4 * tallest))
        ax.set(xlabel="Predicted risk", ylabel="Share of the outcome class")
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.2f}")
        _medians(ax, result, tallest)
        ax.legend(loc="upper left", ncols=2, columnspacing=1.0)
    return ax


def _mirrored(
    ax: Axes, bins: pd.DataFrame, column: str, direction: int, colour: str, label: str
) -> None:
    width = bins["risk_high"] - bins["risk_low"]
    ax.bar(
        bins["risk_low"],
        direction * bins[column] / bins[column].sum(),
        width=0.85 * width,
        align="edge",
        color=colour,
        label=label,
    )


def _medians(ax: Axes, result: ExternalValidation, tallest: float) -> None:
    """The median risk of each class, with its interval."""
    table = result.risk_distribution().query("group == 'overall' and measure == 'median'")
    label = f"Median ({result.conf_level * 100:g}% interval)"
    for outcome, side in (("event", 1.0), ("non_event", -1.0)):
        row = table[table["outcome"] == outcome].iloc[0]
        height = side * 1.07 * tallest
        ends, middle = [row["conf_low"], row["conf_high"]], row["estimate"]
        ax.plot(ends, [height, height], color=OKABE_ITO[1], lw=1, label=label if side > 0 else None)
        ax.plot(middle, height, marker="|", color=OKABE_ITO[1], markersize=6)


PANELS: dict[str, Callable[[ExternalValidation, Axes | None], Axes]] = {
    "roc": _roc,
    "calibration": _calibration,
    "net_benefit": _net_benefit,
    "risks": _risks,
}
