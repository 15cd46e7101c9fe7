"""Calibration plot: the smooth curve with its band, the ideal line, the risks by outcome."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from scipy import special

from usstats.plots.style import (
    OKABE_ITO,
    REFERENCE_GREY,
    journal_style,
    line_style,
    new_axes,
    rounded,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The strip under the plot that holds the histogram, in units of the risk axis.
STRIP_CENTRE, STRIP_HEIGHT = -0.13, 0.075
TEXT_POINTS = 6.5
_CURVES = {"apparent": "Apparent", "corrected": "Corrected for optimism"}
EVENT_GREY, NON_EVENT_GREY = "#333333", "#BBBBBB"


class CalibrationTables(Protocol):
    """What is drawn: a `Calibration`, or anything with its three tables."""

    def frame(self) -> pd.DataFrame: ...

    def curve(self) -> pd.DataFrame: ...

    def histogram(self) -> pd.DataFrame: ...


def plot_calibration(
    calibration: CalibrationTables,
    ax: Axes | None = None,
    *,
    band: bool = True,
    text: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw a calibration plot.

    Parameters
    ----------
    calibration : Calibration
    ax : Axes, optional
        A fresh 84 mm figure without it.
    band : bool
        Shade the pointwise limits where the curve has them.
    text : bool
        Write intercept, slope, O:E and ICI into the plot.
    legend : bool

    Returns
    -------
    Axes
        Under the diagonal plot a strip shows how many events (upwards) and non-events
        (downwards) were given each risk. Where the flexible curve is withheld, the logistic
        recalibration line is drawn instead and named so.

    Examples
    --------
    >>> from usstats.calibration import assess_calibration
    >>> p = np.linspace(0.05, 0.95, 60)
    >>> y = np.tile([0, 0, 1, 0, 1, 1], 10)
    >>> ax = plot_calibration(assess_calibration(y, p, min_events=0))
    >>> ax.get_xlabel()
    'Predicted risk'
    """
    with journal_style():
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, lw=0.8, ls="--", label="Ideal", zorder=1)
        _draw_curve(ax, calibration, band=band)
        _draw_histogram(ax, calibration.histogram())
        if text:
            lines = weak_text(calibration.frame())
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0}
            corner = ax.text(0.03, 0.985, lines, bbox=box, zorder=4, transform=ax.transAxes)
            corner.set(va="top", fontsize=TEXT_POINTS)
        _finish(ax, legend=legend)
    return ax


def plot_corrected_calibration(
    curve: pd.DataFrame, ax: Axes | None = None, *, histogram: pd.DataFrame | None = None
) -> Axes:
    """Draw the apparent and the optimism-corrected calibration curve of a development cohort.

    Parameters
    ----------
    curve : DataFrame
        predicted, apparent and corrected, as `InternalValidation.calibration_curve()` gives.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    histogram : DataFrame, optional
        Events and non-events by risk (`risk_histogram`), drawn beneath the curves.

    Examples
    --------
    >>> curve = pd.DataFrame({"predicted": [0.2, 0.8], "apparent": [0.2, 0.8],
    ...                       "corrected": [0.25, 0.75]})
    >>> len(plot_corrected_calibration(curve).lines)
    3
    """
    with journal_style():
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, lw=0.8, ls="--", label="Ideal", zorder=1)
        for i, column in enumerate(("apparent", "corrected")):
            style = line_style(1 - i)
            ax.plot(curve["predicted"], curve[column], label=_CURVES[column], **style)
        if histogram is not None:
            _draw_histogram(ax, histogram)
            _finish(ax, legend=True)
        else:
            ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
            ax.set(xlabel="Predicted risk", ylabel="Observed proportion")
            ax.legend(loc="lower right")
    return ax


def _draw_curve(ax: Axes, calibration: CalibrationTables, *, band: bool) -> None:
    curve = calibration.curve().dropna(subset="observed")
    if curve.empty:
        _draw_logistic(ax, calibration)
        return
    x, colour = curve["predicted"], OKABE_ITO[0]
    if band and "conf_low" in curve:
        low, high = curve["conf_low"], curve["conf_high"]
        ax.fill_between(
            x, low, high, color=colour, alpha=0.2, lw=0, zorder=2, label=_band_label(calibration)
        )
    smooth = curve["observed"].clip(0, 1)
    ax.plot(x, smooth, color=colour, label="Flexible curve", zorder=3)


def _band_label(calibration: CalibrationTables) -> str:
    return f"{calibration.frame()['conf_level'].iloc[0] * 100:g}% band"


def _draw_logistic(ax: Axes, calibration: CalibrationTables) -> None:
    """The straight line on the logit, all that a small sample can show."""
    values = calibration.frame().set_index("measure")["estimate"]
    intercept, slope = values["recalibration_intercept"], values["calibration_slope"]
    if not np.isfinite(slope):
        return
    risk = calibration.curve()["predicted"].to_numpy().clip(1e-6, 1 - 1e-6)
    recalibrated = special.expit(intercept + slope * special.logit(risk))
    label = "Logistic recalibration\n(flexible curve withheld)"
    ax.plot(risk, recalibrated, color=OKABE_ITO[1], ls="-.", label=label, zorder=3)


def _draw_histogram(ax: Axes, bins: pd.DataFrame) -> None:
    """Events upwards, non-events downwards, on one scale."""
    tallest = max(bins["n_event"].max(), bins["n_nonevent"].max(), 1)
    height = STRIP_HEIGHT / tallest
    left, width = bins["risk_low"], bins["risk_high"] - bins["risk_low"]
    bars = (("n_event", 1, EVENT_GREY, "Events"), ("n_nonevent", -1, NON_EVENT_GREY, "Non-events"))
    for column, direction, colour, label in bars:
        ax.bar(
            left,
            direction * height * bins[column],
            width=0.85 * width,
            bottom=STRIP_CENTRE,
            align="edge",
            color=colour,
            label=label,
            zorder=2,
        )
    ax.axhline(STRIP_CENTRE, color=EVENT_GREY, lw=0.4, zorder=2)


def weak_text(frame: pd.DataFrame) -> str:
    """Intercept, slope, O:E and ICI with their limits, two decimals, one a line."""
    rows = frame.set_index("measure").to_dict("index")
    names = {
        "calibration_in_the_large": "Intercept",
        "calibration_slope": "Slope",
        "oe_ratio": "O:E",
        "ici": "ICI",
    }
    lines = [_line(label, rows[name]) for name, label in names.items()]
    sample = f"n = {rows['brier']['n']}, events = {rows['brier']['n_event']}"
    return "\n".join([*(line for line in lines if line), sample])


def _line(label: str, row: dict[Hashable, Any]) -> str:
    if not np.isfinite(row["estimate"]):
        return ""
    limits = f" ({rounded(row['conf_low'])} to {rounded(row['conf_high'])})"
    shown = limits if np.isfinite(row["conf_low"]) else ""
    return f"{label} {rounded(row['estimate'])}{shown}"


def _finish(ax: Axes, *, legend: bool) -> None:
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(STRIP_CENTRE - STRIP_HEIGHT - 0.015, 1.01)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_aspect("equal", adjustable="box")
    ax.set_xlabel("Predicted risk")
    ax.set_ylabel("Observed proportion")
    if legend:
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.17), borderaxespad=0.2)
