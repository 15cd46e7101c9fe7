"""Where a model was developed: each variable's range, quartiles or level counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usstats.terms import Term

Float = np.float64

#: A numeric variable with at most this many distinct values is shown by those values.
FEW_DISTINCT = 10


@dataclass(frozen=True, kw_only=True)
class VariableRange:
    """What development data said about one variable.

    For a number: extremes, type-7 quartiles, and its distinct values where they are few. For a
    factor: its levels, how many patients had each, and the most frequent.
    """

    kind: str
    minimum: float | None = None
    lower_quartile: float | None = None
    median: float | None = None
    upper_quartile: float | None = None
    maximum: float | None = None
    values: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mode: str | None = None

    @property
    def adjust_to(self) -> float | str:
        """Where the variable is held while another one moves: median or most frequent level."""
        if self.mode is not None:
            return self.mode
        return float(self.median or 0.0) if len(self.values) != 2 else self.values[0]

    @property
    def contrast(self) -> tuple[float, float]:
        """The quartiles; both values of a two-valued variable, and the range where they tie."""
        low, high = float(self.lower_quartile or 0.0), float(self.upper_quartile or 0.0)
        if len(self.values) == 2 or low == high:
            return float(self.minimum or 0.0), float(self.maximum or 0.0)
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what does not apply is left out."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in row.items()
            if value is not None and value != ()
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> VariableRange:
        """The range from plain values."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
        }
        return cls(**plain)


def describe_variable(term: Term, values: NDArray[Float]) -> VariableRange:
    """Range of the encoded values of one main effect."""
    if term.type == "factor":
        levels = term.levels or ()
        counts = np.bincount(values.astype(np.int64), minlength=len(levels))
        return VariableRange(
            kind="factor",
            levels=levels,
            counts=tuple(int(count) for count in counts),
            mode=levels[int(counts.argmax())],
        )
    ordered = np.sort(values)
    low, lower, median, upper, high = (_quantile(ordered, q) for q in (0, 0.25, 0.5, 0.75, 1))
    changes = ordered[1:] != ordered[:-1]
    few = int(changes.sum()) < FEW_DISTINCT
    return VariableRange(
        kind="number",
        minimum=low,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        maximum=high,
        values=tuple(float(v) for v in np.unique(ordered)) if few else (),
    )


def _quantile(ordered: NDArray[Float], q: float) -> float:
    """Type-7 quantile of sorted values."""
    place = q * (ordered.size - 1)
    below = int(place)
    above = min(below + 1, ordered.size - 1)
    return float(np.quantile(ordered[[below, above]], place - below))
