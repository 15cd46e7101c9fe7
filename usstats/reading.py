"""One patient read off a nomogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class NomogramReading:
    """One patient read off a nomogram: points per axis, their total, and the risk."""

    points: Mapping[str, float]
    total: float
    lp: float
    risk: float
    conf_low: float
    conf_high: float
    conf_level: float
    outside: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """One row per axis, then the total."""
        rows = [{"term": name, "points": value} for name, value in self.points.items()]
        frame = pd.DataFrame([*rows, {"term": "total", "points": self.total}])
        return frame.assign(lp=self.lp, risk=self.risk)

    def summary(self) -> str:
        """Points, total and risk in one line."""
        parts = ", ".join(f"{name} {value:.1f}" for name, value in self.points.items())
        flag = f"; outside development data: {', '.join(self.outside)}" if self.outside else ""
        return (
            f"{parts}; total {self.total:.1f}; risk {self.risk:.3f} "
            f"({self.conf_level * 100:g} % {self.conf_low:.3f} to {self.conf_high:.3f}){flag}"
        )

    def __repr__(self) -> str:
        return f"<NomogramReading: {self.summary()}>"
