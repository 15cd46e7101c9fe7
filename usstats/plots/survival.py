"""Charts of censored outcomes: calibration at a horizon, and measures over time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats.plots.style import (
    OKABE_ITO,
    REFERENCE_GREY,
    journal_style,
    new_axes,
    plain,
    rounded,
    series_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The strip under a calibration plot that holds the histogram, in units of the risk axis.
STRIP_FOOT, STRIP_HEIGHT = -0.15, 0.12
TEXT_POINTS = 6.5
#: More times than this and the axis chooses its own ticks.
MOST_TICKS = 8
_LABELS = {"auc": "Time-dependent AUC", "brier": "Brier score"}


class SurvivalCalibrationTables(Protocol):
    """What is drawn: a `SurvivalCalibration`, or anything with its tables."""

    @property
    def horizon(self) -> float: ...

    def frame(self) -> pd.DataFrame: ...

    def groups(self) -> pd.DataFrame: ...

    def curve(self) -> pd.DataFrame: ...

    def histogram(self) -> pd.DataFrame: ...


class TimeDependentTable(Protocol):
    """What is drawn: a `TimeDependent`, or anything with its frame."""

    @property
    def measure(self) -> str: ...

    def frame(self) -> pd.DataFrame: ...


def plot_survival_calibration(
    calibration: SurvivalCalibrationTables,
    ax: Axes | None = None,
    *,
    groups: bool = True,
    text: bool = True,
    legend: bool = True,
    unit: str = "",
) -> Axes:
    """Draw observed against predicted risk at a horizon.

    Parameters
    ----------
    calibration : SurvivalCalibration
    ax : Axes, optional
        A fresh 84 mm figure without it.
    groups : bool
        Draw the Kaplan-Meier risk of each risk group with its interval.
    text : bool
        Write O:E, slope and ICI into the plot.
    legend : bool
    unit : str
        Unit of the horizon for the axis labels, for example "days".

    Returns
    -------
    Axes
        The strip at the foot shows how many patients were given each risk.

    Examples
    --------
    >>> from usstats.survival_calibration import assess_calibration_survival
    >>> time = np.arange(1.0, 61)
    >>> risk = np.tile([0.8, 0.4, 0.6], 20) - time / 200
    >>> result = assess_calibration_survival(
    ...     time, np.tile([1, 1, 0], 20), risk, horizon=30, n_groups=3, min_events=0)
    >>> plot_survival_calibration(result, unit="days").get_xlabel()
    'Predicted risk by 30 days'
    """
    with journal_style():
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, lw=0.8, ls="--", label="Ideal", zorder=1)
        _draw_curve(ax, calibration)
        if groups:
            _draw_groups(ax, calibration.groups())
        _draw_histogram(ax, calibration.histogram())
        if text:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0}
            corner = ax.text(
                0.03, 0.985, _text(calibration.frame()), bbox=box, transform=ax.transAxes, zorder=5
            )
            corner.set(va="top", fontsize=TEXT_POINTS)
        _finish(ax, f"{calibration.horizon:g} {unit}".strip(), legend=legend)
    return ax


def _draw_curve(ax: Axes, calibration: SurvivalCalibrationTables) -> None:
    curve = calibration.curve().dropna(subset="observed")
    if curve.empty:
        return
    level = calibration.frame()["conf_level"].iloc[0]
    x, colour = curve["predicted"], OKABE_ITO[0]
    ax.fill_between(
        x,
        curve["conf_low"],
        curve["conf_high"],
        color=colour,
        alpha=0.2,
        lw=0,
        zorder=2,
        label=f"{level * 100:g}% band",
    )
    ax.plot(x, curve["observed"], color=colour, label="Flexible curve", zorder=3)


def _draw_groups(ax: Axes, groups: pd.DataFrame) -> None:
    seen = groups.dropna(subset="observed")
    distance = [
        (seen["observed"] - seen["conf_low"]).fillna(0.0),
        (seen["conf_high"] - seen["observed"]).fillna(0.0),
    ]
    ax.errorbar(
        seen["predicted"],
        seen["observed"],
        yerr=np.maximum(distance, 0.0),
        fmt="s",
        ms=3.2,
        color=OKABE_ITO[1],
        mfc="white",
        elinewidth=0.8,
        capsize=1.5,
        label="Kaplan\N{EN DASH}Meier",
        zorder=4,
    )


def _draw_histogram(ax: Axes, bins: pd.DataFrame) -> None:
    height = STRIP_HEIGHT * bins["n"] / max(bins["n"].max(), 1)
    width = bins["risk_high"] - bins["risk_low"]
    ax.bar(
        bins["risk_low"],
        height,
        width=0.85 * width,
        bottom=STRIP_FOOT,
        align="edge",
        color=REFERENCE_GREY,
        label="Patients",
        zorder=2,
    )


def _text(frame: pd.DataFrame) -> str:
    """O:E, slope and ICI with their limits, two decimals, one a line."""
    rows = frame.set_index("measure").to_dict("index")
    lines = [
        _line("O:E", rows["oe_ratio"]),
        _line("Slope", rows["calibration_slope"]),
        # replicates of a distance sit above it, which limits in a picture would not explain
        _line("ICI", {**rows["ici"], "conf_low": np.nan}),
    ]
    n, n_event = rows["oe_ratio"]["n"], rows["oe_ratio"]["n_event"]
    return "\n".join([*(line for line in lines if line), f"n = {n}, events = {n_event}"])


def _line(label: str, row: dict[Hashable, Any]) -> str:
    if not np.isfinite(row["estimate"]):
        return ""
    limits = f" ({rounded(row['conf_low'])} to {rounded(row['conf_high'])})"
    shown = limits if np.isfinite(row["conf_low"]) else ""
    return f"{label} {rounded(row['estimate'])}{shown}"


def _finish(ax: Axes, horizon: str, *, legend: bool) -> None:
    ticks = np.linspace(0, 1, 6)
    ax.set(
        xlim=(-0.01, 1.01),
        ylim=(STRIP_FOOT - 0.005, 1.01),
        xticks=ticks,
        yticks=ticks,
        xlabel=f"Predicted risk by {horizon}",
        ylabel=f"Observed risk by {horizon}",
    )
    ax.set_aspect("equal", adjustable="box")
    if legend:
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.13), borderaxespad=0.2)


def plot_time_dependent(
    result: TimeDependentTable,
    ax: Axes | None = None,
    *,
    unit: str = "",
    legend: bool = True,
) -> Axes:
    """Draw an AUC or a Brier score over time with its intervals.

    Parameters
    ----------
    result : TimeDependent
    ax : Axes, optional
        A fresh 84 mm figure without it.
    unit : str
        Unit of time for the axis label.
    legend : bool

    Returns
    -------
    Axes
        Models stand side by side at each time. Chance (0.5) or the null model is drawn in grey.

    Examples
    --------
    >>> from usstats.time_dependent import time_dependent_auc
    >>> time, event = [1, 2, 3, 4, 5, 6], [1, 1, 0, 1, 0, 1]
    >>> result = time_dependent_auc(time, event, [0.9, 0.5, 0.6, 0.4, 0.2, 0.3], times=[2.5, 4.5])
    >>> plot_time_dependent(result, unit="months").get_xlabel()
    'Time (months)'
    """
    frame = result.frame()
    with journal_style():
        ax = new_axes(ax, height_mm=60.0)
        _draw_reference(ax, frame)
        models = list(frame["model"].unique())
        for i, model in enumerate(models):
            _draw_model(ax, frame[frame["model"] == model], i, len(models), _step(frame))
        ax.set_xlabel(f"Time ({unit})" if unit else "Time")
        ax.set_ylabel(_LABELS[result.measure])
        _mark_times(ax, frame["time"].unique())
        if legend:
            ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    return ax


def _mark_times(ax: Axes, times: NDArray[np.float64]) -> None:
    """Ticks at the times themselves where they are few; one time stands in the middle."""
    if times.size <= MOST_TICKS:
        ax.set_xticks(times, labels=[f"{t:g}" for t in times])
    if times.size == 1:
        ax.set_xlim(times[0] * 0.8, times[0] * 1.2)


def _step(frame: pd.DataFrame) -> float:
    """How far models stand apart: a fortieth of the range of times."""
    span = float(np.ptp(frame["time"].to_numpy()))
    return (span or float(frame["time"].iloc[0])) / 40


def _draw_reference(ax: Axes, frame: pd.DataFrame) -> None:
    if "null_brier" not in frame:
        ax.axhline(0.5, color=REFERENCE_GREY, lw=0.8, ls="--", label="Chance", zorder=1)
        return
    null = frame.drop_duplicates("time")
    ax.plot(
        null["time"],
        null["null_brier"],
        color=REFERENCE_GREY,
        lw=0.8,
        ls="--",
        marker="_",
        label="Kaplan\N{EN DASH}Meier for all",
        zorder=1,
    )


def _draw_model(ax: Axes, rows: pd.DataFrame, i: int, n_model: int, step: float) -> None:
    x = rows["time"] + (i - (n_model - 1) / 2) * step
    distance = [
        (rows["estimate"] - rows["conf_low"]).fillna(0.0),
        (rows["conf_high"] - rows["estimate"]).fillna(0.0),
    ]
    style = series_style(i)
    ax.errorbar(
        x,
        rows["estimate"],
        yerr=np.maximum(distance, 0.0),
        capsize=2.0,
        elinewidth=0.8,
        lw=0.9,
        label=plain(rows["model"].iloc[0]),
        zorder=3,
        **style,
    )
