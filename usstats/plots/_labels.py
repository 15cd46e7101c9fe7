"""Where labels of an axis go so that none covers another: widths in, positions out.

Nothing here draws; lengths are in points (1/72 inch).
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Float = np.float64
Vector = NDArray[Float]
#: Width and height of a text.
Measure = Callable[[str], tuple[float, float]]

GAP = 3.0
#: Ways to set the labels of levels: characters a line, and rows of labels.
_SETTINGS = (
    *((24, 1), (16, 1), (24, 2), (12, 1), (16, 2), (14, 2), (12, 2), (11, 2), (10, 2), (9, 2)),
    *((12, 3), (9, 4), (7, 6)),
)


#: Characters that begin no line.
_NO_START = frozenset(")]}）］｝」』】》，。、；：！？%,.;:")


@dataclass(frozen=True)
class Placed:
    """A label, its centre and tick, and its row: -1, -2 below, 1, 2 above, 0 beside the line."""

    text: str
    centre: float
    tick: float
    row: int


def wrap(text: str, width: int) -> str:
    """Break a label at spaces, and inside words that are too long; wide characters count twice.

    >>> wrap("resistive index", 9)
    'resistive\\nindex'
    """
    lines, line = [], ""
    for word in _words(text, width):
        joined = f"{line} {word}".strip() if not line.endswith("\0") else line[:-1] + word
        if line and _columns(joined) > width:
            lines.append(line.rstrip("\0"))
            joined = word
        line = joined
    return "\n".join([*lines, line.rstrip("\0")])


def _words(text: str, width: int) -> list[str]:
    """Words no longer than a line; a piece that goes on without a space ends in NUL."""
    pieces = []
    for word in text.split():
        rest = word
        while _columns(rest) > width:
            cut = next(i for i in range(len(rest), 0, -1) if _columns(rest[:i]) <= width or i == 1)
            cut -= cut > 1 and rest[cut] in _NO_START
            pieces.append(rest[:cut] + "\0")
            rest = rest[cut:]
        pieces.append(rest)
    return pieces


def _columns(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text.rstrip("\0")) + wide


def thinned(
    ticks: Sequence[float],
    texts: Sequence[str],
    measure: Measure,
    taken: Sequence[Placed] = (),
    *,
    last_first: bool = False,
) -> list[Placed]:
    """Labels of numbers: at even steps where ticks are even, else those that fit.

    The ends come first (the last one before the first on request), then the roundest numbers.
    """
    half = [measure(text)[0] / 2 for text in texts]
    blocked = [(p.centre, measure(p.text)[0] / 2) for p in taken]
    steps = np.diff(ticks)
    if len(ticks) > 2 and not blocked and np.ptp(steps) < 1e-3 * abs(steps).max():
        for stride in _strides(len(ticks)):
            chosen = list(range(0, len(ticks), stride))
            if _apart([(ticks[i], half[i]) for i in chosen]):
                return [Placed(texts[i], ticks[i], ticks[i], -1) for i in chosen]
    kept: list[int] = []
    last = len(ticks) - 1
    ends = [last, 0] if last_first else [0, last]
    inner = sorted(range(len(ticks)), key=lambda i: (*roundness(texts[i]), i))
    for i in dict.fromkeys([*ends, *inner]):
        if _apart([*blocked, *((ticks[j], half[j]) for j in kept), (ticks[i], half[i])]):
            kept.append(i)
    return [Placed(texts[i], ticks[i], ticks[i], -1) for i in sorted(kept)]


def roundness(text: str) -> tuple[int, int]:
    """How many digits a number needs, and whether they are 1, 5 or 2: less is rounder.

    >>> sorted(["20", "0.95", "150", "100", "0.5"], key=roundness)
    ['100', '0.5', '20', '150', '0.95']
    """
    digits = "".join(c for c in text.partition("e")[0] if c.isdigit()).strip("0")
    return len(digits), {"": 0, "1": 0, "5": 1, "2": 2}.get(digits[:1], 3)


def _strides(n: int) -> list[int]:
    """Every tick, every second, ...; one that reaches the last tick goes before a smaller one."""
    last = n - 1
    order = []
    for stride in range(1, n):
        reaching = next((s for s in range(stride, 2 * stride) if last % s == 0), stride)
        order += [reaching, stride]
    return list(dict.fromkeys(order))


def _apart(boxes: Sequence[tuple[float, float]]) -> bool:
    ordered = sorted(boxes)
    return all(b[0] - b[1] - (a[0] + a[1]) >= GAP for a, b in itertools.pairwise(ordered))


def spread(
    ticks: Sequence[float], texts: Sequence[str], measure: Measure, low: float, high: float
) -> list[Placed]:
    """Labels of levels: every one is kept, moved aside, wrapped or put on further rows."""
    order = list(np.argsort(ticks, kind="stable"))
    wrapped, n_rows = _setting([texts[i] for i in order], measure, low, high)
    placed: list[Placed] = []
    for number in range(n_rows):
        side = -(number // 2 + 1) if number % 2 == 0 else number // 2 + 1
        row = range(number, len(order), n_rows)
        centres = _moved_aside(
            np.array([ticks[order[i]] for i in row]),
            np.array([measure(wrapped[i])[0] for i in row]),
            low,
            high,
        )
        placed += [
            Placed(wrapped[i], float(centre), ticks[order[i]], side)
            for i, centre in zip(row, centres, strict=True)
        ]
    return placed


def _setting(
    texts: Sequence[str], measure: Measure, low: float, high: float
) -> tuple[list[str], int]:
    """Wrapped labels and the number of rows: the first that fits, without cut words if possible."""
    fitting = []
    for width, n_rows in _SETTINGS:
        wrapped = [wrap(text, width) for text in texts]
        if all(_fits(wrapped[row::n_rows], measure, low, high) for row in range(n_rows)):
            fitting.append((wrapped, n_rows))
            if all(_columns(word) <= width for text in texts for word in text.split()):
                return wrapped, n_rows
    return fitting[0] if fitting else (wrapped, n_rows)


def _fits(texts: Sequence[str], measure: Measure, low: float, high: float) -> bool:
    return sum(measure(text)[0] + GAP for text in texts) - GAP <= high - low


def _moved_aside(wanted: Vector, widths: Vector, low: float, high: float) -> Vector:
    """Centres closest to those wanted that keep labels apart, in order and inside."""
    if not wanted.size:
        return wanted
    apart = np.concatenate([[0.0], np.cumsum((widths[:-1] + widths[1:]) / 2 + GAP)])
    base = optimize.isotonic_regression(wanted - apart).x
    first, last = low + widths[0] / 2, high - widths[-1] / 2 - apart[-1]
    return np.asarray(np.clip(base, first, max(first, last)) + apart)
