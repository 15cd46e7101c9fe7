"""Forest plot: estimates with their intervals, one row each; ratios on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from usstats._check import check_option
from usstats.errors import ArgumentError
from usstats.plots.style import OKABE_ITO, REFERENCE_GREY, journal_style, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_forest"]

_ROW_MM, _MARGIN_MM = 6.0, 14.0
_WIDEST_DECADES = 4.0
_LABEL_WIDTH = 48
_TICK_STEPS = ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
_MOST_TICKS = 7
_NAMING = ("term", "contrast", "model", "group", "measure")


def plot_forest(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    labels: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    xlabel: str = "Odds ratio",
    scale: str = "log",
    reference: float | None = None,
) -> Axes:
    """Draw estimates and their confidence intervals.

    Parameters
    ----------
    frame : DataFrame
        Columns estimate, conf_low, conf_high; one row a contrast, drawn from the top. A row with
        a missing estimate keeps its place and says "not estimable".
    ax : Axes, optional
    labels : sequence of str, optional
        Names of the rows; by default the column `term`, `contrast`, `model`, `group` or
        `measure`, or `model_1` minus `model_2`.
    texts : sequence of str, optional
        What stands at the right of each row, for example the estimate in words.
    xlabel : str
    scale : {"log", "linear"}
        "log" for ratios, which must be positive; "linear" for AUCs and differences.
    reference : float, optional
        Where a vertical line stands: 1 for ratios if not given, for differences give 0.

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError
        A missing column, no rows, a ratio that is not positive, texts of another length, a
        reference off the scale.

    Examples
    --------
    >>> frame = pd.DataFrame({"term": ["age"], "estimate": [1.5], "conf_low": [1.1],
    ...                       "conf_high": [2.0]})
    >>> plot_forest(frame).get_xscale()
    'log'
    """
    check_option(scale, ("log", "linear"), name="scale")
    names = _row_names(frame, labels)
    _check(frame, names, texts, positive=scale == "log")
    at = _reference(reference, scale)
    with journal_style():
        ax = new_axes(ax, height_mm=_MARGIN_MM + _ROW_MM * len(frame))
        low, high = _limits(frame, at or 1.0) if scale == "log" else _linear_limits(frame, at)
        ax.set_xscale(scale)
        ax.set_xlim(low, high)
        if at is not None:
            ax.axvline(at, color=REFERENCE_GREY, linewidth=0.6, zorder=1)
        for row, (estimate, *limits) in enumerate(_numbers(frame)):
            _draw_row(ax, row, estimate, limits[0], limits[1])
        _name_rows(ax, names, texts)
        _set_ticks(ax, low, high)
        ax.set_xlabel(plain(xlabel, width=60))
    return ax


def _row_names(frame: pd.DataFrame, labels: Sequence[str] | None) -> list[str]:
    if labels is not None:
        return [plain(label, width=_LABEL_WIDTH) for label in labels]
    if {"model_1", "model_2"} <= set(frame.columns):
        pairs = zip(frame["model_1"], frame["model_2"], strict=True)
        return [plain(f"{a} \N{MINUS SIGN} {b}", width=_LABEL_WIDTH) for a, b in pairs]
    column = next((name for name in _NAMING if name in frame), None)
    if column is None:
        msg = f"The forest plot needs `labels`, or one of the columns {', '.join(_NAMING)}."
        raise ArgumentError(msg)
    return [plain(label, width=_LABEL_WIDTH) for label in frame[column]]


def _check(
    frame: pd.DataFrame, names: list[str], texts: Sequence[str] | None, *, positive: bool
) -> None:
    missing = [name for name in ("estimate", "conf_low", "conf_high") if name not in frame]
    if missing or frame.empty:
        fault = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        msg = f"`frame` must hold estimates with their intervals; it {fault}."
        raise ArgumentError(msg)
    for argument, values in (("labels", names), ("texts", texts)):
        if values is not None and len(values) != len(frame):
            msg = f"`{argument}` has {len(values)} entries for {len(frame)} rows."
            raise ArgumentError(msg)
    refused = [estimate for estimate, *_ in _numbers(frame) if positive and estimate <= 0]
    if refused:
        msg = (
            f"Ratios must be positive; got {refused[0]:g}. Exponentiate coefficients first, or "
            "draw differences with scale='linear'."
        )
        raise ArgumentError(msg)


def _reference(reference: float | None, scale: str) -> float | None:
    if reference is None:
        return 1.0 if scale == "log" else None
    finite = isinstance(reference, int | float | np.number) and bool(np.isfinite(reference))
    if not finite or (scale == "log" and reference <= 0):
        msg = f"`reference` must be a number on the {scale} axis; got {reference!r}."
        raise ArgumentError(msg)
    return float(reference)


def _numbers(frame: pd.DataFrame) -> list[list[float]]:
    table = frame[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float)
    return [[float(value) for value in row] for row in table]


def _linear_limits(frame: pd.DataFrame, reference: float | None) -> tuple[float, float]:
    """Axis limits around every interval and the reference."""
    values = np.append(np.array(_numbers(frame)), np.nan if reference is None else reference)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.06 * (high - low) or 0.1
    return low - margin, high + margin


def _limits(frame: pd.DataFrame, reference: float) -> tuple[float, float]:
    """Axis limits around every interval and the reference, at most four decades from an
    estimate."""
    values = np.array(_numbers(frame))
    estimates = values[:, 0][np.isfinite(values[:, 0])]
    finite = values[np.isfinite(values) & (values > 0)]
    if not finite.size:
        return 0.1, 10.0
    low = max(finite.min(), min(estimates.min(), reference) / 10**_WIDEST_DECADES)
    high = min(finite.max(), max(estimates.max(), reference) * 10**_WIDEST_DECADES)
    low, high = min(low, reference / 1.2), max(high, reference * 1.2)
    margin = (high / low) ** 0.06
    return low / margin, high * margin


def _draw_row(ax: Axes, row: int, estimate: float, low: float, high: float) -> None:
    """A square and its interval; an arrow where the interval leaves the axis."""
    if not np.isfinite(estimate):
        ax.annotate(
            "not estimable",
            (0.5, row),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="center",
            fontsize=7,
            color=REFERENCE_GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
        return
    left, right = ax.get_xlim()
    shown = [float(np.clip(value, left, right)) for value in (low, high)]
    ax.plot(shown, [row, row], color=OKABE_ITO[0], linewidth=1.0, solid_capstyle="butt", zorder=2)
    for value, edge, marker in ((low, left, "<"), (high, right, ">")):
        if not left <= value <= right:
            ax.plot(edge, row, marker=marker, color=OKABE_ITO[0], markersize=4, clip_on=False)
    ax.plot(estimate, row, marker="s", color=OKABE_ITO[0], markersize=4.5, zorder=3)


def _name_rows(ax: Axes, names: list[str], texts: Sequence[str] | None) -> None:
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for row, text in enumerate(texts or ()):
        ax.annotate(
            plain(text, width=60),
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            annotation_clip=False,
        )


def _set_ticks(ax: Axes, low: float, high: float) -> None:
    """Ticks at plain numbers: 0.5, 1, 2 rather than powers of ten."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS - 1, steps=[1, 2, 2.5, 5, 10]))
        return
    ticks = _ticks(low, high)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{tick:g}" for tick in ticks])


def _ticks(low: float, high: float) -> list[float]:
    """The densest of the usual series with at most seven members on the axis."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in _TICK_STEPS:
        ticks = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(ticks) <= _MOST_TICKS:
            return ticks
    return [10.0**d for d in decades[::2] if low <= 10.0**d <= high]
