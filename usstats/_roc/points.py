"""Points of the empirical ROC curve, and areas and heights read off the line through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = np.float64


@dataclass(frozen=True, kw_only=True)
class RocPoints:
    """Counts at every decision rule "score >= threshold", thresholds ascending, last infinite.

    Attributes
    ----------
    threshold : ndarray, shape (k + 1,)
        The k distinct observed scores, then infinity (nobody is positive).
    true_positive, false_positive : ndarray of int, shape (k + 1,)
    """

    threshold: NDArray[Float]
    true_positive: NDArray[np.int64]
    false_positive: NDArray[np.int64]

    @property
    def n_event(self) -> int:
        return int(self.true_positive[0])

    @property
    def n_nonevent(self) -> int:
        return int(self.false_positive[0])

    @property
    def true_negative(self) -> NDArray[np.int64]:
        return self.n_nonevent - self.false_positive

    @property
    def sensitivity(self) -> NDArray[Float]:
        return self.true_positive / self.n_event

    @property
    def specificity(self) -> NDArray[Float]:
        return self.true_negative / self.n_nonevent


def roc_points(y: NDArray[np.int64], s: NDArray[Float]) -> RocPoints:
    """Points of the curve by one sort.

    >>> points = roc_points(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 2.0, 3.0]))
    >>> points.sensitivity.tolist(), points.specificity.tolist()
    ([1.0, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 1.0])
    """
    order = np.argsort(s)
    first = np.flatnonzero(np.diff(s[order], prepend=-np.inf))
    positives = _at_or_above(y[order], first)
    cases = _at_or_above(np.ones_like(y), first)
    return RocPoints(
        threshold=np.append(s[order][first], np.inf),
        true_positive=positives,
        false_positive=cases - positives,
    )


def _at_or_above(weights: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    below = np.concatenate(([0], np.cumsum(weights)))
    return np.asarray(below[-1] - np.append(below[first], below[-1]))


def height(x: NDArray[Float], y: NDArray[Float], at: NDArray[Float]) -> NDArray[Float]:
    """Height of the falling line through (x, y) at `at`; the top of vertical pieces.

    Parameters
    ----------
    x : ndarray, shape (k,)
        Ascending, possibly with repeats.
    y : ndarray, shape (k,)
        Descending.
    at : ndarray, shape (j,)
    """
    return np.asarray(np.interp(-at, -x[::-1], y[::-1]))


def area_between(x: NDArray[Float], y: NDArray[Float], low: float, high: float) -> float:
    """Trapezoid area under the line through (x, y) for x from `low` to `high`.

    >>> area_between(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5, 1.0)
    0.125
    """
    width = np.diff(x)
    left, right = (np.clip(edge, low, high) for edge in (x[:-1], x[1:]))
    slope = np.divide(np.diff(y), width, out=np.zeros_like(width), where=width > 0)
    middle = y[:-1] + slope * ((left + right) / 2 - x[:-1])
    return float(((right - left) * middle).sum())
