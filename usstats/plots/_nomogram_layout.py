"""Rows of a nomogram and where everything on them stands; lengths in points (1/72 inch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from usstats._nomogram.axes import Axis, Ticks
from usstats._nomogram.ticks import minor_ticks, pretty, tick_label, tick_labels
from usstats.nomogram import Nomogram
from usstats.plots._labels import Measure, Placed, spread, thinned, wrap

Float = np.float64

#: Ticks with a label, further ticks of the axis, and those between.
TICK, PLAIN_TICK, MINOR_TICK = 4.0, 2.8, 1.6
ROW_GAP, PAD = 5.0, 2.0
#: Height of the lines to labels that moved aside: steep enough to follow.
LEADER, LEADER_SLOPE, LONGEST_LEADER = 6.0, 0.12, 14.0
#: Distance of a label that stands beside the end of its line.
BESIDE = 3.0
#: Room for what hangs below the baseline of a single line.
DESCENDER = 1.8
#: Room above a line for the distribution of the data.
DENSITY = 10.0
#: The widest share of the figure that names of axes may take.
NAMES_SHARE = 0.3
#: Ticks closer than this run together and are left out.
TICKS_APART = 2.2
#: A predictor whose points differ by less than this share of the width has no effect.
NO_EFFECT = 1e-9


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
    flat: bool = False


@dataclass
class Strip:
    """One straight line of a row with its labels; an axis that turns back has several.

    `plain` are the axis's own ticks that have no room for a label; `over` is the room that the
    distribution of the data takes above it.
    """

    start: float
    stop: float
    labels: list[Placed]
    plain: list[float]
    minor: list[float]
    above: float
    below: float
    over: float = 0.0
    y: float = 0.0

    @property
    def ends(self) -> tuple[float, float]:
        """Where its line begins and ends."""
        every = [self.start, self.stop, *(label.tick for label in self.labels)]
        return min(every), max(every)


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
    most = nomogram.max_points
    points = [tick for tick in pretty(0, most, 10) if tick <= most * (1 + 1e-9)]
    rows = [
        Ruler(
            kind="points",
            name="Points",
            ticks=tuple(tick / most for tick in points),
            texts=tick_labels(points),
            minor=tuple(tick / most for tick in minor_ticks(points)),
            levels=False,
        )
    ]
    rows += [_predictor(axis, most, names) for axis in nomogram.axes]
    for axis in nomogram.lower_axes(names.of(nomogram.spec.outcome)):
        if axis.values and (show_lp or axis.kind != "lp"):
            rows.append(_lower(axis.kind, axis, nomogram.total_ticks[-1]))
    return rows


def _predictor(axis: Axis, max_points: float, names: Names) -> Ruler:
    held = [f"{names.of(name)} = {names.level(name, level)}" for name, level in axis.given.items()]
    name = names.of(axis.variable) + (f" ({', '.join(held)})" if held else "")
    ticks, texts = axis.points / max_points, axis.labels
    if axis.has_levels:
        texts = tuple(names.level(axis.variable, label) for label in axis.labels)
    flat = bool(np.ptp(ticks) <= NO_EFFECT)
    return Ruler(
        kind="predictor",
        name=name,
        ticks=(float(ticks[0]),) if flat else tuple(ticks),
        texts=("any value",) if flat else texts,
        minor=() if flat else tuple(axis.minor_points / max_points),
        levels=axis.has_levels or flat,
        axis=axis,
        flat=flat,
    )


def _lower(kind: str, axis: Ticks, width: float) -> Ruler:
    return Ruler(
        kind=kind,
        name=axis.name,
        ticks=tuple(axis.points / width),
        texts=axis.labels,
        minor=tuple(m for m in axis.minor_points / width if 0 <= m <= 1),
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
    overhang = _overhang(rows, measure, width)
    wrapped = [_wrapped_to(ruler.name, NAMES_SHARE * width, measure_name) for ruler in rows]
    names = max(measure_name(name)[0] for name in wrapped)
    left, right = names + overhang + 3 * PAD, width - overhang - PAD
    layout = Layout(rows=[], left=left, right=right, overhang=overhang, height=0.0)
    for ruler, name in zip(rows, wrapped, strict=True):
        dense = density and ruler.kind in ("predictor", "total") and not ruler.flat
        strips = _strips(ruler, layout, measure, width, dense=dense)
        layout.rows.append(Row(ruler, name, strips, density=dense))
    _stack(layout, measure_name, note_height)
    return layout


def _overhang(rows: Sequence[Ruler], measure: Measure, width: float) -> float:
    """How far numbers reach beyond the ends of the lines; on a folded axis they stand beside."""
    reach = [0.0]
    for ruler in rows:
        if not ruler.levels:
            widest = max(measure(text)[0] for text in ruler.texts)
            folds = ruler.axis is not None and bool(ruler.axis.turns)
            beyond = max(*ruler.minor, 1.0) - min(*ruler.minor, 0.0) - 1 if folds else 0.0
            reach.append(beyond * width + widest + BESIDE + PAD if folds else widest / 2)
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
    page = (layout.left - layout.overhang, width - PAD)
    if ruler.levels:
        placed = spread(xs, ruler.texts, measure, *page)
        return [_strip(min(xs), max(xs), placed, [], [], measure, dense=dense)]
    runs = _runs(ruler)
    strips: list[Strip] = []
    for number, run in enumerate(runs):
        part = [layout.x(share) for share in run.ticks]
        start = part[0] if not number else strips[-1].stop
        if number < len(runs) - 1:
            placed = _folded(part, run.texts, start, page[0], measure)
        else:
            placed = _numbered(part, run.texts, page, measure, turned=number > 0)
        minor = [layout.x(share) for share in run.minor]
        plain, between = _unlabelled(part, placed, minor)
        strips.append(_strip(start, part[-1], placed, plain, between, measure, dense=dense))
    return strips


@dataclass(frozen=True)
class _Run:
    """A stretch of an axis between turning points, the turning tick last."""

    ticks: list[float]
    texts: list[str]
    minor: list[float]


def _runs(ruler: Ruler) -> list[_Run]:
    axis = ruler.axis
    if axis is None or not axis.turns:
        return [_Run(list(ruler.ticks), list(ruler.texts), list(ruler.minor))]
    own = axis.run_of([float(value) for value in axis.values])
    between = axis.run_of(axis.minor_values)
    runs = []
    for number in range(len(axis.turns) + 1):
        mine = np.flatnonzero(own == number)
        minor = np.flatnonzero(between == number)
        ticks, texts = [ruler.ticks[i] for i in mine], [ruler.texts[i] for i in mine]
        if number < len(axis.turns) and axis.turns[number] in axis.minor_values:
            ticks.append(ruler.minor[minor[-1]])
            texts.append(tick_label(axis.turns[number]))
            minor = minor[:-1]
        runs.append(_Run(ticks, texts, [ruler.minor[i] for i in minor]))
    return runs


def _numbered(
    xs: list[float],
    texts: list[str],
    page: tuple[float, float],
    measure: Measure,
    *,
    turned: bool,
) -> list[Placed]:
    """Labels of numbers; where not even the two ends fit, they are moved aside."""
    placed = thinned(xs, texts, measure, last_first=turned)
    if len(placed) > 1 or len(xs) == 1 or turned:
        return placed
    return spread([xs[0], xs[-1]], [texts[0], texts[-1]], measure, *page)


def _folded(
    xs: list[float], texts: list[str], start: float, low: float, measure: Measure
) -> list[Placed]:
    """Labels of a line that another one hangs from: the turning tick's stands beside its end.

    The free end has a label too, clear of the line down to the next one.
    """
    outwards = 1 if xs[-1] >= (xs[0] if len(xs) > 1 else start) else -1
    centre = xs[-1] + outwards * (BESIDE + measure(texts[-1])[0] / 2)
    turning = Placed(texts[-1], centre, xs[-1], 0)
    if len(xs) == 1:
        return [turning]
    rest = thinned(xs[:-1], texts[:-1], measure, [Placed("", xs[-1], xs[-1], -1)])
    if not rest:
        clear = (low, xs[-1] - PAD) if outwards > 0 else (xs[-1] + PAD, np.inf)
        rest = spread(xs[:1], texts[:1], measure, *clear)
    return [*rest, turning]


def _unlabelled(
    xs: list[float], placed: list[Placed], minor: list[float]
) -> tuple[list[float], list[float]]:
    """The axis's own ticks without a label and those between, where they do not run together."""
    labelled = {label.tick for label in placed}
    plain = [x for x in xs if x not in labelled]
    if not _readable([*xs, *labelled]):
        return [], []
    return plain, minor if _readable([*xs, *minor]) else []


def _readable(xs: Sequence[float]) -> bool:
    return bool((np.diff(np.unique(xs)) >= TICKS_APART).all())


def _strip(
    start: float,
    stop: float,
    placed: list[Placed],
    plain: list[float],
    minor: list[float],
    measure: Measure,
    *,
    dense: bool,
) -> Strip:
    data = DENSITY if dense else PAD
    strip = Strip(
        start=start,
        stop=stop,
        labels=placed,
        plain=plain,
        minor=minor,
        above=data,
        below=TICK,
        over=data if dense else 0.0,
    )
    half = max((measure(p.text)[1] / 2 for p in placed if not p.row), default=0.0)
    strip.above = max(data, half, _depth(strip, 1, measure))
    strip.below = max(TICK, half, _depth(strip, -1, measure))
    return strip


def _depth(strip: Strip, side: int, measure: Measure) -> float:
    """Room that labels on one side of a line take."""
    rows = row_heights(strip.labels, side, measure)
    return sum(rows.values()) + offset(strip, side) if rows else 0.0


def row_heights(placed: Sequence[Placed], side: int, measure: Measure) -> dict[int, float]:
    """Height of every row of labels on one side."""
    heights: dict[int, float] = {}
    for label in placed:
        if label.row * side > 0:
            height = max(measure(label.text)[1], measure("0")[1] + DESCENDER) + PAD / 2
            heights[label.row] = max(heights.get(label.row, 0.0), height)
    return heights


def offset(strip: Strip, side: int) -> float:
    """Distance from a line to its first row of labels: longer, the further labels moved aside."""
    placed = [label for label in strip.labels if label.row]
    aside = max((abs(label.centre - label.tick) for label in placed), default=0.0)
    moved = aside > 1 or any(abs(label.row) > 1 for label in placed)
    leader = min(max(LEADER, aside * LEADER_SLOPE), LONGEST_LEADER)
    gap = (leader if moved else TICK) + PAD / 2
    return gap + (strip.over if side > 0 else 0.0)


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
