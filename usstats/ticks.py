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
_SLACK = 1e-10
_FEWEST_TICKS = 4
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


def tick_label(value: float | str) -> str:
    """Text of a tick: the shortest that reads back as its position.

    >>> tick_label(0.05), tick_label(160.0), tick_label(-2.5)
    ('0.05', '160', '−2.5')
    """
    if isinstance(value, str):
        return value
    text = f"{value:.6g}"
    if "e" in text:
        text = np.format_float_positional(float(text), trim="-") if abs(value) < 1e7 else text
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else "0"
