"""What a test compared with R, told to whoever listens (`tests.verification` does)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One passed comparison of all numbers at one path of a case.

    `difference` is the largest |got - expected| / (|expected| + atol / rtol), so that a
    comparison passes where it is at most `rtol`; 0 where only infinities or NaN were expected.
    """

    case: str
    path: str
    n: int
    difference: float
    rtol: float


Listener = Callable[[Comparison], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of every comparison made inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def record(comparison: Comparison) -> None:
    for listener in _listeners:
        listener(comparison)


def largest_difference(
    got: NDArray[Any], expected: NDArray[Any], rtol: float, atol: float
) -> float:
    finite = np.isfinite(expected)
    apart = np.abs(got[finite] - expected[finite])
    scale = np.abs(expected[finite]) + (atol / rtol if rtol else 0.0)
    shares = np.divide(apart, scale, out=np.zeros_like(apart), where=apart > 0)
    return float(shares.max(initial=0.0))
