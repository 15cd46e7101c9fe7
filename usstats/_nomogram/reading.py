"""Patients read off a nomogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from usstats._intervals import check_conf_level


@dataclass(frozen=True, kw_only=True)
class OutcomeReading:
    """What one lower axis says of a patient: a risk, a survival or a median, with its limits."""

    measure: str
    title: str
    time: float | None
    estimate: float
    conf_low: float
    conf_high: float


@dataclass(frozen=True, kw_only=True)
class NomogramReading:
    """One patient read off a nomogram.

    Attributes
    ----------
    points : mapping of str to float
        Per axis, or per group of axes where variables interact.
    total, lp : float
    risk, conf_low, conf_high : float
        The model's prediction with its limits at `conf_level`; of a Cox model, the risk by the
        first of the nomogram's times.
    outcomes : tuple of OutcomeReading
        One per lower axis.
    outside : tuple of str
        Variables outside the range of development data.
    between : tuple of str
        Variables whose value lies between those that interacting axes are drawn for: the points
        are computed, not read off an axis.
    """

    points: Mapping[str, float]
    total: float
    lp: float
    risk: float
    conf_low: float
    conf_high: float
    conf_level: float
    outcomes: tuple[OutcomeReading, ...]
    outside: tuple[str, ...]
    between: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_conf_level(self.conf_level)

    def frame(self) -> pd.DataFrame:
        """One row per axis, then the total."""
        rows = [{"term": name, "points": value} for name, value in self.points.items()]
        frame = pd.DataFrame([*rows, {"term": "total", "points": self.total}])
        return frame.assign(lp=self.lp, risk=self.risk)

    def outcome_frame(self) -> pd.DataFrame:
        """One row per lower axis: measure, time, estimate, conf_low, conf_high, conf_level."""
        rows = [
            {
                "measure": outcome.measure,
                "time": outcome.time,
                "estimate": outcome.estimate,
                "conf_low": outcome.conf_low,
                "conf_high": outcome.conf_high,
                "conf_level": self.conf_level,
            }
            for outcome in self.outcomes
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Points, total and outcomes in one line."""
        parts = ", ".join(f"{name} {value:.1f}" for name, value in self.points.items())
        flag = f"; outside development data: {', '.join(self.outside)}" if self.outside else ""
        return f"{parts}; total {self.total:.1f}; {self._risks()}{flag}"

    def _risks(self) -> str:
        level = f"{self.conf_level * 100:g} %"
        single = len(self.outcomes) == 1
        return "; ".join(
            f"{'risk' if single else outcome.title} {outcome.estimate:.3f} "
            f"({level} {outcome.conf_low:.3f} to {outcome.conf_high:.3f})"
            for outcome in self.outcomes
        )

    def __repr__(self) -> str:
        return f"<NomogramReading: {self.summary()}>"
