"""Sums over rows that come before in one order and rank below in another, for many queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]


class DominanceSums:
    """Weights of rows with a place in line and a rank, summed below both at once.

    A wavelet matrix: each bit of the rank, from the highest, parts the rows in two while keeping
    their order, so that a query costs one look-up a bit and all queries go together.

    Examples
    --------
    >>> sums = DominanceSums(rank=np.array([2, 0, 1]), weights=np.ones(3))
    >>> sums.query(before=np.array([2, 3]), below=np.array([1, 2])).tolist()
    [1.0, 2.0]
    """

    def __init__(self, *, rank: Codes, weights: Vector) -> None:
        highest = int(rank.max()) + 1
        self._levels = []
        for bit in reversed(range(highest.bit_length())):
            low = ((rank >> bit) & 1) == 0
            places = np.concatenate([[0], np.cumsum(low)])
            sums = np.concatenate([[0.0], np.cumsum(np.where(low, weights, 0.0))])
            self._levels.append((bit, places, sums))
            rank = np.concatenate([rank[low], rank[~low]])
            weights = np.concatenate([weights[low], weights[~low]])

    def query(self, *, before: Codes, below: Codes) -> Vector:
        """Sum of the weights of the first `before` rows with a rank smaller than `below`.

        `below` may be one more than the largest rank at most.
        """
        low, high = np.zeros_like(before), before
        total = np.zeros(before.size)
        for bit, places, sums in self._levels:
            up = ((below >> bit) & 1) == 1
            total += np.where(up, sums[high] - sums[low], 0.0)
            low = np.where(up, places[-1] + low - places[low], places[low])
            high = np.where(up, places[-1] + high - places[high], places[high])
        return total
