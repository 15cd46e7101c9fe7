"""What a computation hands back: frozen values that say how they were obtained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import pandas as pd
from numpy.typing import NDArray

Array = TypeVar("Array", bound=NDArray[Any])

#: The words a result's frame may use for what every table shares, in this order.
COLUMNS = (
    "measure",
    "model",
    "group",
    "term",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "conf_level",
    "statistic",
    "df",
    "p_value",
    "method",
    "n",
    "n_event",
    "n_cluster",
    "n_boot",
    "n_failed",
    "seed",
)


@runtime_checkable
class Result(Protocol):
    """Every result can be read as a table and as a line of text."""

    def frame(self) -> pd.DataFrame:
        """Tidy table at full precision."""

    def summary(self) -> str:
        """Text for a person."""


def unit_of_analysis(n_cluster: int | None, *, row: str = "case") -> str:
    """What an interval counts: patients where rows share them, else the rows themselves.

    >>> unit_of_analysis(None), unit_of_analysis(40)
    ('case', 'patient (40 clusters)')
    """
    return row if n_cluster is None else f"patient ({n_cluster} clusters)"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Confidence limits with their level and method."""

    low: float
    high: float
    conf_level: float
    method: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One number with its interval, and how both were obtained.

    Examples
    --------
    >>> Estimate(measure="auc", estimate=0.9, std_error=0.02, conf_low=0.86, conf_high=0.94,
    ...          conf_level=0.95, method="delong", n=100, n_event=40)
    <auc 0.900 (95 % 0.860 to 0.940), delong; n = 100, events = 40, unit: case>
    """

    measure: str
    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    conf_level: float
    method: str
    n: int
    n_event: int | None
    n_cluster: int | None = None
    n_boot: int | None = None
    n_failed: int | None = None
    seed: int | None = None

    @property
    def interval(self) -> Interval:
        """The confidence limits on their own."""
        return Interval(
            low=self.conf_low,
            high=self.conf_high,
            conf_level=self.conf_level,
            method=self.method,
        )

    def frame(self) -> pd.DataFrame:
        """One row in the shared vocabulary; what does not apply is left out."""
        row = {name: value for name, value in asdict(self).items() if value is not None}
        return pd.DataFrame([row])[[name for name in COLUMNS if name in row]]

    def summary(self) -> str:
        """Estimate, interval, method, sample and unit of analysis in one line."""
        unit = unit_of_analysis(self.n_cluster)
        events = "" if self.n_event is None else f", events = {self.n_event}"
        return (
            f"{self.measure} {self.estimate:.3f} "
            f"({self.conf_level * 100:g} % {self.conf_low:.3f} to {self.conf_high:.3f}), "
            f"{self.method}; n = {self.n}{events}, unit: {unit}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def read_only(array: Array) -> Array:
    """Return a view of `array` that refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
