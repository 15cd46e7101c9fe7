"""Round numbers for axes: where ticks belong on plain, logarithmic and logit scales."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from usstats.errors import ArgumentError

#: How much a coarser step is preferred over a finer one, and the same for steps of 5.
COARSER = 1.5
COARSER_FIVE = 0.5 + 1.5 * COARSER
#: Risk axes start here, unless every risk is smaller, and end at its complement.
FIRST_RISK = 0.001
_LEAST_RISK = 1e-12
_SLACK = 1e-10
_FEWEST_TICKS = 4
#: A label may miss its tick by this share of the distance to the next one.
_READABLE_SHARE = 1e-3
#: Numbers between these are written out, others as 1.5e9.
_LEAST_PLAIN, _MOST_PLAIN = 1e-7, 1e9
_ODDS_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def pretty(low: float, high: float, n: int = 10) -> list[float]:
    """About `n` + 1 equally spaced round values that cover [low, high], as R's `pretty`.

    Parameters
    ----------
    low, high : float
        Range to cover, low <= high.
    n : int
        Desired number of intervals.

    Returns
    -------
    list of float
        Multiples of 1, 2 or 5 times a power of ten; the outer ones reach beyond the range.

    Raises
    ------
    ArgumentError
        A range that is not finite or runs backwards.

    Notes
    -----
    R's documentation of `pretty`: the step is 1, 2, 5 or 10 times the power of ten below
    (high - low) / n; the larger of two neighbours is taken when the distance to it is less than
    `COARSER` (for 5: `COARSER_FIVE`) times the distance to the smaller one. At least n // 3
    intervals are returned.

    Examples
    --------
    >>> pretty(14, 45)
    [10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0]
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        msg = f"A range needs two finite numbers, low <= high; got ({low!r}, {high!r})."
        raise ArgumentError(msg)
    unit = _round_step(_cell(low, high, n), n)
    first = math.floor(low / unit + _SLACK)
    last = math.ceil(high / unit - _SLACK)
    short = n // 3 - (last - first)
    if short > 0:
        more, extra = divmod(short, 2)
        first -= more + (extra if first >= 0 and first > 0 else 0)
        last += more + (extra if not first > 0 else 0)
    return [_clean(k * unit, unit) for k in range(first, last + 1)]


def _cell(low: float, high: float, n: int) -> float:
    """Width of one interval before rounding; a range that is a point gets a width."""
    size = max(abs(low), abs(high))
    if high - low > size * n * 3 * np.finfo(float).eps:
        return (high - low) / n
    return 0.75 * (size if size else 1.0) / max(n // 3, 1)


def _round_step(cell: float, n: int) -> float:
    base = 10.0 ** math.floor(math.log10(cell))
    step = base
    for factor, bias in ((2, COARSER), (5, COARSER_FIVE), (10, COARSER)):
        if factor * base - cell >= bias * (cell - step):
            break
        step = factor * base
    return step


def _clean(value: float, unit: float) -> float:
    """The multiple without the noise of binary fractions."""
    digits = max(0, 1 - math.floor(math.log10(unit)))
    return round(value, digits) + 0.0


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks 1, 2, 5, 10, ... that cover a positive range; plain ones where it is narrow.

    >>> log_ticks(0.7, 30)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = _covering([_clean(m * 10.0**d, 10.0**d) for d in decades for m in (1, 2, 5)], low, high)
    if len(ticks) < _FEWEST_TICKS:
        return [tick for tick in pretty(low, high) if tick > 0]
    return ticks


def logit_ticks(low: float, high: float) -> list[float]:
    """Probability ticks, denser towards 0 and 1, that cover a range inside (0, 1).

    >>> logit_ticks(0.08, 0.93)
    [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    """
    tails = [_clean(m * 10.0**-d, 10.0**-d) for d in range(15, 2, -1) for m in (1, 2, 5)]
    upper = [_clean(1 - tail, 1e-15) for tail in reversed(tails)]
    ticks = _covering([*tails, *_ODDS_TICKS, *upper], low, high)
    if len(ticks) < _FEWEST_TICKS:
        return [tick for tick in pretty(low, high) if 0 < tick < 1]
    return ticks


def probability_ticks(first: float, last: float) -> list[float]:
    """Round probabilities inside a range, denser towards 0 and 1; finer ones where it is narrow.

    They begin at 0.001, unless all of the range is smaller, and end at its complement.

    >>> probability_ticks(0.02, 0.9999)
    [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]
    >>> probability_ticks(0.57, 0.84)
    [0.6, 0.65, 0.7, 0.75, 0.8]
    """
    first, last = max(first, _LEAST_RISK), min(last, 1 - _LEAST_RISK)
    low = max(first, min(FIRST_RISK, last / 100))
    high = min(last, max(1 - FIRST_RISK, 1 - (1 - first) / 100))
    if not low < high:
        return []
    steps = (pretty(low, high, n) for n in (5, 10, 20))
    for ticks in (logit_ticks(low, high), *steps):
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= _FEWEST_TICKS:
            break
    return inside


def _covering(candidates: Sequence[float], low: float, high: float) -> list[float]:
    """Those inside the range and the next one on either side."""
    below = max((c for c in candidates if c <= low * (1 + _SLACK)), default=candidates[0])
    above = min((c for c in candidates if c >= high * (1 - _SLACK)), default=candidates[-1])
    return [c for c in candidates if below <= c <= above]


def minor_ticks(values: Sequence[float]) -> list[float]:
    """Round values between neighbouring ticks, where their distance can be divided evenly.

    >>> minor_ticks([0.05, 0.1])
    [0.06, 0.07, 0.08, 0.09]
    """
    between = []
    for a, b in itertools.pairwise(values):
        parts = next((c for c in (5, 4, 3, 2) if _is_round((b - a) / c)), 1)
        between += [_clean(a + (b - a) * j / parts, (b - a) / parts) for j in range(1, parts)]
    return between


def _is_round(step: float) -> bool:
    """Whether a step is 1, 2 or 5 times a power of ten."""
    mantissa = step / 10.0 ** math.floor(math.log10(step) + _SLACK)
    return any(abs(mantissa - m) < 1e-6 for m in (1, 2, 5))


def tick_label(value: float | str, digits: int = 6) -> str:
    """Text of a tick: the shortest that reads back as its position, to some significant digits.

    >>> tick_label(0.05), tick_label(160.0), tick_label(-2.5)
    ('0.05', '160', '−2.5')
    """
    if isinstance(value, str):
        return value
    number = float(f"{value:.{digits}g}")
    if number == 0:
        return "0"
    if _LEAST_PLAIN <= abs(number) < _MOST_PLAIN:
        text = np.format_float_positional(number, trim="-")
    else:
        text = np.format_float_scientific(number, trim="-", exp_digits=1).replace("e+", "e")
    return text.replace("-", "\N{MINUS SIGN}")


def tick_labels(values: Sequence[float | str]) -> tuple[str, ...]:
    """Texts of the ticks of one axis, with as many digits as tell every tick from the next.

    >>> tick_labels([0.99999, 0.9999999])
    ('0.99999', '0.9999999')
    >>> tick_labels([100000010.0, 100000012.5])
    ('100000010', '100000012.5')
    """
    numbers = np.array([value for value in values if not isinstance(value, str)], dtype=float)
    gaps = np.abs(np.diff(numbers))
    allowed = _READABLE_SHARE * gaps[gaps > 0].min(initial=np.inf)
    for digits in range(6, 18):
        shown = np.array([float(f"{value:.{digits}g}") for value in numbers])
        if (np.abs(shown - numbers) <= allowed).all():
            break
    return tuple(tick_label(value, digits) for value in values)


def turning_points(points: Sequence[float], least: float = 0.0) -> list[int]:
    """Positions at which a sequence turns back by more than `least`.

    >>> turning_points([0, 3, 5, 4, 1, 2])
    [2, 4]
    >>> turning_points([0, 3, 5, 4, 1, 2], least=1)
    [2]
    """
    turns, extreme, direction = [], 0, 0.0
    for i in range(1, len(points)):
        apart = points[i] - points[extreme]
        if direction * apart > 0 or apart == 0:
            extreme = i
        elif abs(apart) > least:
            turns += [extreme] if direction else []
            direction, extreme = math.copysign(1.0, apart), i
    return turns
