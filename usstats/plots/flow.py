"""Flow of participants: enrolled, excluded with the reason, analysed, one column a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from usstats.errors import ArgumentError
from usstats.plots.style import MM_PER_INCH, journal_style, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_flow"]

NEEDED = ("step", "n_patients", "n_images", "n_event")
EXCLUDED = "excluded"
_BOX_MM, _GAP_MM, _LINE_MM, _HEAD_MM = 4.0, 6.0, 3.3, 8.0
_MAIN, _SIDE = (0.0, 0.56), (0.64, 1.0)
#: Where nobody was excluded the boxes have the column for themselves.
_ALONE = (0.0, 0.9)
_PAD_MM, _CHARACTER_MM, _INSET = 4.0, 1.38, 0.015


def plot_flow(
    flow: pd.DataFrame,
    *,
    width_mm: float = 174.0,
    labels: Mapping[str, str] | None = None,
    event: str = "events",
) -> Figure:
    """Draw the flow of participants.

    Parameters
    ----------
    flow : DataFrame
        Rows in order, columns step, n_patients, n_images, n_event, and optionally reason and
        cohort. A row whose step is `excluded` becomes a box at the side.
    width_mm : float
    labels : mapping of str to str, optional
        Printed names of cohorts and steps.
    event : str
        What the event is called, in the plural.

    Returns
    -------
    Figure
        A figure pyplot does not know of.

    Raises
    ------
    ArgumentError
        A missing column, or no rows.

    Examples
    --------
    >>> flow = pd.DataFrame({"step": ["enrolled", "excluded", "analysed"],
    ...                      "reason": ["", "normal scan", ""], "n_patients": [256, 4, 252],
    ...                      "n_images": [256, 4, 252], "n_event": [98, 0, 98]})
    >>> len(plot_flow(flow).axes[0].patches)
    3
    """
    _check(flow)
    names = dict(labels or {})
    cohorts = _cohorts(flow)
    with journal_style(font_size=7.0):
        column_mm = width_mm / len(cohorts) * (1 - 2 * _INSET)
        boxes = [_boxes(rows, names, event, column_mm) for rows in cohorts.values()]
        height = max(sum(box.height + _GAP_MM for box in column) for column in boxes) - _GAP_MM
        figure, axes = _columns(len(cohorts), height, width_mm)
        for ax, name, column in zip(axes, cohorts, boxes, strict=True):
            _draw_cohort(ax, names.get(name, name), column)
    return figure


def _check(flow: pd.DataFrame) -> None:
    missing = [name for name in NEEDED if name not in flow]
    if missing or flow.empty:
        fault = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        msg = f"`flow` must hold the steps of the study with their counts; it {fault}."
        raise ArgumentError(msg)


def _cohorts(flow: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Rows of each cohort, in order."""
    table = flow if "cohort" in flow else flow.assign(cohort="")
    cohorts: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        record = {str(key): value for key, value in row.items()}
        cohorts.setdefault(str(record["cohort"]), []).append(record)
    return cohorts


@dataclass(frozen=True)
class _Box:
    """One box: its text, its height, and whether it stands at the side."""

    text: str
    height: float
    aside: bool


def _boxes(
    rows: list[dict[str, Any]], names: Mapping[str, str], event: str, column_mm: float
) -> list[_Box]:
    boxes = []
    main = _MAIN if any(row["step"] == EXCLUDED for row in rows) else _ALONE
    for row in rows:
        aside = row["step"] == EXCLUDED
        side = _SIDE if aside else main
        width = max(int(((side[1] - side[0]) * column_mm - _PAD_MM) / _CHARACTER_MM), 8)
        lines = [plain(line, width=width) for line in _lines(row, names, event)]
        text = "\n".join(lines)
        height = _BOX_MM + _LINE_MM * (text.count("\n") + 1)
        boxes.append(_Box(text=text, height=height, aside=aside))
    return boxes


def _lines(row: Mapping[str, Any], names: Mapping[str, str], event: str) -> list[str]:
    """Step with its reason, patients, events, images."""
    step = str(row["step"])
    title = names.get(step, step.replace("_", " ").capitalize())
    reason = row.get("reason")
    told = f"{title}: {reason}" if isinstance(reason, str) and reason.strip() else title
    patients, images = f"{int(row['n_patients'])} patients", f"{int(row['n_images'])} images"
    events = f"{int(row['n_event'])} {event}"
    counts = [patients, events] if step == EXCLUDED else [f"{patients}, {events}"]
    return [told, *counts, images]


def _columns(n: int, height: float, width_mm: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    height_mm = height + _HEAD_MM + 2
    figure = NewFigure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH))
    FigureCanvasAgg(figure)
    axes = []
    for column in range(n):
        ax = figure.add_axes(((column + _INSET) / n, 0.01, (1 - 2 * _INSET) / n, 0.98))
        ax.set_axis_off()
        ax.set_xlim(0, 1)
        ax.set_ylim(height_mm, 0)
        axes.append(ax)
    return figure, axes


def _draw_cohort(ax: Axes, name: str, boxes: list[_Box]) -> None:
    """Boxes from the top, joined by arrows; exclusions leave to the right."""
    if name:
        ax.text(0, 3, plain(name, width=44), fontweight="bold", va="center", fontsize=8)
    top = _HEAD_MM
    last_main: float | None = None
    main = _MAIN if any(box.aside for box in boxes) else _ALONE
    for box in boxes:
        bottom = top + box.height
        _draw_box(ax, _SIDE if box.aside else main, top, bottom, box.text)
        if box.aside:
            half = (top + bottom) / 2
            _draw_arrow(ax, (_middle(main), half), (_SIDE[0], half))
        else:
            if last_main is not None:
                _draw_arrow(ax, (_middle(main), last_main), (_middle(main), top))
            last_main = bottom
        top = bottom + _GAP_MM


def _middle(side: tuple[float, float]) -> float:
    return sum(side) / 2


def _draw_box(ax: Axes, side: tuple[float, float], top: float, bottom: float, text: str) -> None:
    from matplotlib.patches import Rectangle

    size = (side[1] - side[0], bottom - top)
    ax.add_patch(Rectangle((side[0], top), *size, fill=False, linewidth=0.6, clip_on=False))
    ax.text(side[0] + 0.02, (top + bottom) / 2, text, va="center", fontsize=7, linespacing=1.3)


def _draw_arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>",
            "linewidth": 0.6,
            "shrinkA": 0,
            "shrinkB": 0,
            "color": "black",
        },
    )
