"""ROC curves with their bands, AUCs in the legend, and operating points of readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._roc.partial_area import check_range
from usstats._roc.points import height
from usstats.errors import ArgumentError
from usstats.plots.style import (
    MARKERS,
    OKABE_ITO,
    REFERENCE_GREY,
    curve_style,
    journal_style,
    line_style,
    new_axes,
    plain,
    rounded,
)
from usstats.results import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Float = np.float64


class Curve(Protocol):
    """What is drawn: a `RocCurve`, or anything with its frame and area."""

    @property
    def auc(self) -> Estimate: ...

    def frame(self) -> pd.DataFrame: ...


class Rule(Protocol):
    """A frozen threshold, drawn as one operating point."""

    @property
    def value(self) -> float: ...

    @property
    def sensitivity(self) -> float: ...

    @property
    def specificity(self) -> float: ...


def plot_roc(
    curves: Curve | Mapping[str, Curve],
    ax: Axes | None = None,
    *,
    points: pd.DataFrame | Rule | None = None,
    band: bool = True,
    specificity: tuple[float, float] | None = None,
    sensitivity: tuple[float, float] | None = None,
) -> Axes:
    """Draw ROC curves on 1 - specificity.

    Parameters
    ----------
    curves : RocCurve or mapping of name to RocCurve
        Drawn in this order; the legend gives each AUC with its interval.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    points : DataFrame or Threshold, optional
        Operating points of people or of an ordinal scale: columns label, sensitivity,
        specificity and optionally group. Points of one group (of one label without groups)
        share a marker and a legend entry; a group named like a scale, such as BI-RADS, is
        annotated with its labels. A `Threshold` is drawn at its own sensitivity and specificity.
    band : bool
        Shade conf_low to conf_high where the curve has them.
    specificity, sensitivity : (float, float), optional
        Limits of a partial area (one of the two), shaded under each curve.

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError
        `points` lacks a column; limits that are no range inside [0, 1].

    Examples
    --------
    >>> from usstats.roc import roc_curve
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> ax = plot_roc(roc_curve(y, [1, 1, 1, 2, 2, 3, 1, 2, 3, 3, 3, 3]))
    >>> ax.get_xlabel()
    '1 \N{MINUS SIGN} specificity'
    """
    named = curves if isinstance(curves, Mapping) else {"": curves}
    with journal_style():
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, linewidth=0.6, zorder=1)
        for i, (name, curve) in enumerate(named.items()):
            style = curve_style(i, n_curves=len(named))
            _draw_curve(ax, i, name, curve, style, band=band)
        if specificity is not None or sensitivity is not None:
            _shade_part(ax, list(named.values()), *check_range(specificity, sensitivity))
        if points is not None:
            _draw_points(ax, _as_points(points), first=len(named))
        _finish(ax)
    return ax


def _draw_curve(
    ax: Axes, i: int, name: str, curve: Curve, style: dict[str, Any], *, band: bool
) -> None:
    frame = curve.frame()
    x = 1 - frame["specificity"]
    if band and "conf_low" in frame:
        low, high = frame["conf_low"], frame["conf_high"]
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0, zorder=1)
    ax.plot(x, frame["sensitivity"], label=curve_label(name, curve.auc), zorder=2 + i, **style)


def _shade_part(ax: Axes, curves: list[Curve], focus: str, low: float, high: float) -> None:
    """The area a partial AUC counts: below the curve, or to its right between sensitivities."""
    line = ax.axvline if focus == "specificity" else ax.axhline
    for limit in (low, high):
        at = 1 - limit if focus == "specificity" else limit
        line(at, color=REFERENCE_GREY, linewidth=0.6, linestyle=":", zorder=1)
    for i, curve in enumerate(curves):
        frame = curve.frame()
        fill = {"color": line_style(i)["color"], "alpha": 0.2, "linewidth": 0, "zorder": 1.5}
        rates = [frame[name].to_numpy() for name in ("specificity", "sensitivity")]
        if focus == "specificity":
            inner, edge = _part(rates[0], rates[1], low, high)
            ax.fill_between(1 - inner, 0, edge, **fill)
        else:
            inner, edge = _part(rates[1][::-1], rates[0][::-1], low, high)
            ax.fill_betweenx(inner, 1 - edge, 1, **fill)


def _part(
    x: NDArray[Float], y: NDArray[Float], low: float, high: float
) -> tuple[NDArray[Float], NDArray[Float]]:
    """The stretch of a falling curve between two limits, vertical pieces kept."""
    inside = (x >= low) & (x <= high)
    ends = height(x, y, np.array([low, high]))
    return np.r_[low, x[inside], high], np.r_[ends[0], y[inside], ends[1]]


def _as_points(points: pd.DataFrame | Rule) -> pd.DataFrame:
    if isinstance(points, pd.DataFrame):
        return points
    label = f"threshold \N{GREATER-THAN OR EQUAL TO} {points.value:.3g}"
    rates = {"sensitivity": [points.sensitivity], "specificity": [points.specificity]}
    return pd.DataFrame({"label": [label]} | rates)


def curve_label(name: str, area: Estimate) -> str:
    """Legend text: the name, the AUC and its interval.

    >>> area = Estimate(measure="auc", estimate=0.9, std_error=0.02, conf_low=0.86,
    ...     conf_high=1.0, conf_level=0.95, method="delong", n=100, n_event=40)
    >>> curve_label("nomogram", area)
    'nomogram\\nAUC 0.90 (0.86\N{EN DASH}1.00)'
    """
    shown = ">0.99" if 0.995 <= area.estimate < 1 else rounded(area.estimate)
    numbers = f"AUC {shown} ({rounded(area.conf_low)}\N{EN DASH}{rounded(area.conf_high)})"
    return f"{plain(name)}\n{numbers}" if name else numbers


def _draw_points(ax: Axes, points: pd.DataFrame, *, first: int) -> None:
    missing = {"label", "sensitivity", "specificity"} - set(points.columns)
    if missing:
        msg = f"`points` lacks {', '.join(sorted(missing))}; it has {list(points.columns)}."
        raise ArgumentError(msg)
    key = "group" if "group" in points else "label"
    for i, (group, rows) in enumerate(points.groupby(key, sort=False)):
        _draw_group(ax, rows, str(group), _point_style(first + i), annotate=len(rows) > 1)


def _point_style(i: int) -> dict[str, Any]:
    return {
        "marker": MARKERS[i % len(MARKERS)],
        "markeredgecolor": OKABE_ITO[i % len(OKABE_ITO)],
        "markerfacecolor": "white",
        "linestyle": "none",
        "zorder": 20,
    }


def _draw_group(
    ax: Axes, rows: pd.DataFrame, group: str, style: dict[str, Any], *, annotate: bool
) -> None:
    ax.plot(1 - rows["specificity"], rows["sensitivity"], label=plain(group), **style)
    if not annotate:
        return
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.6, foreground="white")]
    for label, sensitivity, specificity in zip(
        rows["label"], rows["sensitivity"], rows["specificity"], strict=True
    ):
        ax.annotate(
            plain(label),
            (1 - specificity, sensitivity),
            textcoords="offset points",
            xytext=(4, -7),
            fontsize=6,
            path_effects=halo,
            zorder=21,
        )


def _finish(ax: Axes) -> None:
    ax.set(
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        xlabel="1 \N{MINUS SIGN} specificity",
        ylabel="Sensitivity",
        aspect="equal",
    )
    legend = ax.legend(loc="lower right", fontsize=6.5, frameon=True, framealpha=0.8)
    legend.get_frame().set(facecolor="white", edgecolor="none")
