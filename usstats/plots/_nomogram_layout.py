"""Rows of a nomogram and where everything on them stands; lengths in points (1/72 inch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats.axes import Axis
from usstats.nomogram import Nomogram
from usstats.plots._labels import Measure, Placed, monotone_runs, spread, thinned, wrap
from usstats.ticks import minor_ticks, pretty, tick_label

Float = np.float64

TICK, MINOR_TICK, LEADER, ROW_GAP, PAD = 3.5, 2.0, 6.0, 5.0, 2.0
#: Distance of a label that stands beside the end of its line.
BESIDE = 3.0
#: Room for what hangs below the baseline of a single line.
DESCENDER = 1.8
#: Room above a line for the distribution of the data.
DENSITY = 10.0
#: The widest share of the figure that names of axes may take.
NAMES_SHARE = 0.3
MINOR_APART = 1.8


@dataclass(frozen=True)
class Ruler:
    """What one row shows: a name and ticks as shares of the full width."""

    kind: str
    name: str
    ticks: tuple[float, ...]
    texts: tuple[str, ...]
    minor: tuple[float, ...]
    levels: bool
    axis: Axis | None = None


@dataclass
class Strip:
    """One straight line of a row with its labels; an axis that turns back has several."""

    xs: list[float]
    positions: list[int]
    start: float
    labels: list[Placed]
    minor: list[float]
    above: float
    below: float
    y: float = 0.0


@dataclass
class Row:
    """A ruler laid out."""

    ruler: Ruler
    name: str
    strips: list[Strip]
    y: float = 0.0
    density: bool = False


@dataclass
class Layout:
    """Everything in its place."""

    rows: list[Row]
    left: float
    right: float
    overhang: float
    height: float
    notes_top: float = field(default=0.0)

    def x(self, share: float) -> float:
        """Horizontal position of a share of the full width."""
        return self.left + share * (self.right - self.left)


def rulers(nomogram: Nomogram, names: Names, *, show_lp: bool) -> list[Ruler]:
    """The rows from top to bottom, with positions as shares of the width."""
    top = pretty(0, nomogram.max_points, 10)
    rows = [_scale("points", "Points", top, np.array(top) / nomogram.max_points, top)]
    rows += [_predictor(axis, nomogram.max_points, names) for axis in nomogram.axes]
    frame, minor = nomogram.frame(), nomogram.minor_frame()
    titles = {"total": "Total points", "lp": "Linear predictor"}
    titles["risk"] = f"Risk of {names.of(nomogram.spec.outcome)}"
    width = nomogram.total_ticks[-1]
    for kind in ("total", "lp", "risk"):
        part, between = frame[frame["kind"] == kind], minor[minor["kind"] == kind]
        if len(part) and (show_lp or kind != "lp"):
            rows.append(_lower(kind, part, between, width, titles[kind]))
    return rows


def _scale(
    kind: str, name: str, ticks: Sequence[float], shares: NDArray[Float], values: Sequence[float]
) -> Ruler:
    keep = [i for i, share in enumerate(shares) if share <= 1 + 1e-9]
    minor = np.array(minor_ticks([values[i] for i in keep])) / max(values[i] for i in keep)
    return Ruler(
        kind=kind,
        name=name,
        ticks=tuple(float(shares[i]) for i in keep),
        texts=tuple(tick_label(ticks[i]) for i in keep),
        minor=tuple(float(m) * float(shares[keep[-1]]) for m in minor),
        levels=False,
    )


def _predictor(axis: Axis, max_points: float, names: Names) -> Ruler:
    levels = isinstance(axis.values[0], str)
    texts = tuple(names.level(axis.variable, v) for v in axis.labels) if levels else axis.labels
    held = [f"{names.of(name)} {names.level(name, level)}" for name, level in axis.given.items()]
    given = ", ".join(held)
    return Ruler(
        kind="predictor",
        name=names.of(axis.variable) + (f" ({given})" if given else ""),
        ticks=tuple(float(p) / max_points for p in axis.points),
        texts=texts,
        minor=tuple(float(p) / max_points for p in axis.minor_points),
        levels=levels,
        axis=axis,
    )


def _lower(kind: str, part: pd.DataFrame, minor: pd.DataFrame, width: float, name: str) -> Ruler:
    between = minor["points"].to_numpy(dtype=float) / width
    return Ruler(
        kind=kind,
        name=name,
        ticks=tuple(part["points"].to_numpy(dtype=float) / width),
        texts=tuple(part["label"]),
        minor=tuple(m for m in between if 0 <= m <= 1),
        levels=False,
    )


def lay_out(
    rows: Sequence[Ruler],
    *,
    width: float,
    measure: Measure,
    measure_name: Measure,
    density: bool,
    note_height: float,
) -> Layout:
    """Place names, lines, ticks and labels for a figure `width` points wide."""
    overhang = _overhang(rows, measure)
    wrapped = [_wrapped_to(ruler.name, NAMES_SHARE * width, measure_name) for ruler in rows]
    names = max(measure_name(name)[0] for name in wrapped)
    left, right = names + overhang + 3 * PAD, width - overhang - PAD
    layout = Layout(rows=[], left=left, right=right, overhang=overhang, height=0.0)
    for ruler, name in zip(rows, wrapped, strict=True):
        dense = density and ruler.kind in ("predictor", "total")
        strips = _strips(ruler, layout, measure, width, dense=dense)
        layout.rows.append(Row(ruler, name, strips, density=dense))
    _stack(layout, measure_name, note_height)
    return layout


def _overhang(rows: Sequence[Ruler], measure: Measure) -> float:
    """How far numbers reach beyond the ends of the lines; on a folded axis they stand beside."""
    reach = [0.0]
    for ruler in rows:
        if not ruler.levels:
            folded = len(monotone_runs(ruler.ticks)) > 1
            widest = max(measure(text)[0] for text in ruler.texts)
            reach.append(widest + BESIDE + PAD if folded else widest / 2)
    return max(reach)


def _wrapped_to(text: str, share: float, measure: Measure) -> str:
    for width in range(40, 3, -1):
        name = wrap(text, width)
        if measure(name)[0] <= share:
            return name
    return wrap(text, 3)


def _strips(
    ruler: Ruler, layout: Layout, measure: Measure, width: float, *, dense: bool
) -> list[Strip]:
    xs = [layout.x(tick) for tick in ruler.ticks]
    if ruler.levels:
        ends = (layout.left - layout.overhang, width - PAD)
        placed = spread(xs, ruler.texts, measure, *ends)
        return [_strip(xs, list(range(len(xs))), min(xs), placed, [], measure, dense=dense)]
    strips, runs = [], monotone_runs(ruler.ticks)
    for number, run in enumerate(runs):
        part, texts = [xs[i] for i in run], [ruler.texts[i] for i in run]
        start = part[0] if not number else xs[run[0] - 1]
        if number < len(runs) - 1:
            placed = _folded(part, texts, start, measure)
        else:
            placed = thinned(part, texts, measure)
        minor = _minor_of(ruler, run, number, layout)
        first = dense and not number
        strips.append(_strip(part, run, start, placed, minor, measure, dense=first))
    return strips


def _folded(xs: list[float], texts: list[str], start: float, measure: Measure) -> list[Placed]:
    """Labels of a line that another one hangs from: the turning tick's stands beside its end."""
    outwards = 1 if xs[-1] >= start else -1
    if len(xs) > 1:
        outwards = 1 if xs[-1] >= xs[0] else -1
    centre = xs[-1] + outwards * (BESIDE + measure(texts[-1])[0] / 2)
    hanging = Placed("", xs[-1], xs[-1], -1)
    rest = thinned(xs[:-1], texts[:-1], measure, [hanging]) if len(xs) > 1 else []
    return [*rest, Placed(texts[-1], centre, xs[-1], 0)]


def _minor_of(ruler: Ruler, run: list[int], number: int, layout: Layout) -> list[float]:
    """Minor ticks inside a run, unless they would run together."""
    if ruler.axis is None:
        minor = [layout.x(m) for m in ruler.minor]
    else:
        values = [float(v) for v in ruler.axis.values]
        low, high = values[run[0] - (1 if number else 0)], values[run[-1]]
        between = zip(ruler.axis.minor_values, ruler.minor, strict=True)
        minor = [layout.x(m) for value, m in between if low < value < high]
    every = sorted([*minor, *(layout.x(ruler.ticks[i]) for i in run)])
    crowded = len(every) > 1 and np.diff(every).min() < MINOR_APART
    return [] if crowded else minor


def _strip(
    xs: list[float],
    positions: list[int],
    start: float,
    placed: list[Placed],
    minor: list[float],
    measure: Measure,
    *,
    dense: bool,
) -> Strip:
    above, below = _depth(placed, 1, measure), _depth(placed, -1, measure)
    return Strip(
        xs=xs,
        positions=positions,
        start=start,
        labels=placed,
        minor=minor,
        above=max(above, DENSITY if dense else PAD),
        below=max(below, TICK),
    )


def _depth(placed: Sequence[Placed], side: int, measure: Measure) -> float:
    """Room that labels on one side of a line take."""
    rows = row_heights(placed, side, measure)
    return sum(rows.values()) + offset(placed, side) if rows else 0.0


def row_heights(placed: Sequence[Placed], side: int, measure: Measure) -> dict[int, float]:
    """Height of every row of labels on one side."""
    heights: dict[int, float] = {}
    for label in placed:
        if label.row * side > 0:
            height = max(measure(label.text)[1], measure("0")[1] + DESCENDER) + PAD / 2
            heights[label.row] = max(heights.get(label.row, 0.0), height)
    return heights


def offset(placed: Sequence[Placed], side: int) -> float:
    """Distance from a line to its first row of labels; longer where labels moved aside."""
    moved = any(p.row and abs(p.centre - p.tick) > 1 for p in placed) or any(
        abs(p.row) > 1 for p in placed
    )
    return (LEADER if moved else TICK) + PAD / 2


def _stack(layout: Layout, measure_name: Measure, note_height: float) -> None:
    """Give every line its height, from the top downwards."""
    depth = PAD
    for row in layout.rows:
        start = depth
        for strip in row.strips:
            strip.y = depth + strip.above
            depth = strip.y + strip.below
        row.y = (row.strips[0].y + row.strips[-1].y) / 2
        half = measure_name(row.name)[1] / 2
        lift = max(0.0, start - (row.y - half))
        row.y += lift
        for strip in row.strips:
            strip.y += lift
        depth = max(depth + lift, row.y + half) + ROW_GAP
    layout.notes_top = depth
    layout.height = depth + note_height + PAD


@dataclass(frozen=True)
class Names:
    """Names for readers, by "variable" and by "variable=level"; what has none is itself."""

    table: Mapping[str, str]
    drawable: Callable[[str], str]

    def of(self, variable: str) -> str:
        """A variable or the outcome."""
        return self.drawable(self.table.get(variable, variable))

    def level(self, variable: str, level: str) -> str:
        """A level of a factor."""
        return self.drawable(self.table.get(f"{variable}={level}", level))
