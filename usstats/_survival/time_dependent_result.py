"""What a time-dependent measure hands back: a frame, differences between models, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_option
from usstats._influence import influence_se
from usstats._intervals import two_sided_p, wald_interval
from usstats._multiplicity import ADJUSTMENTS, adjust_p
from usstats.errors import ArgumentError
from usstats.results import unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Vector = NDArray[np.float64]
Codes = NDArray[np.int64]
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TimeDependent:
    """An AUC or a Brier score at several times, of one or more models.

    Attributes
    ----------
    measure : {"auc", "brier"}
    models, times : tuple
    n, n_event, n_cluster, conf_level
        Sample (all events, whenever they happened) and level.
    """

    measure: str
    models: tuple[str, ...]
    times: tuple[float, ...]
    conf_level: float
    method: str
    n: int
    n_event: int
    n_cluster: int | None = None
    _table: pd.DataFrame = field(repr=False)
    _influence: Mapping[tuple[str, float], Vector] = field(repr=False)
    _cluster: Codes | None = field(repr=False, default=None)

    def frame(self) -> pd.DataFrame:
        """One row a model and time: estimate, std_error, limits, numbers by then.

        n_event counts the events by the time, n_at_risk those followed beyond it. A Brier score
        has null_brier beside it, that of everybody's Kaplan-Meier risk, and scaled_brier,
        1 - brier / null_brier, with scaled_std_error and limits.
        """
        return self._table.copy()

    def compare(
        self,
        contrasts: Sequence[Pair] | None = None,
        *,
        adjust: str = "holm",
    ) -> pd.DataFrame:
        """Differences between models at each time, first minus second, on the same patients.

        Parameters
        ----------
        contrasts : sequence of (name, name), optional
            Pairs named beforehand; by default every pair.
        adjust : {"holm", "bonferroni", "none"}
            Of the p values, over contrasts and times.

        Returns
        -------
        DataFrame
            measure, model_1, model_2, time, estimate, std_error, conf_low, conf_high, conf_level,
            statistic, p_value, p_adjusted. Models fitted to these very patients have no such
            test: their difference is optimistic (R06).

        Raises
        ------
        ArgumentError
        """
        check_option(adjust, ADJUSTMENTS, name="adjust")
        pairs = _check_pairs(contrasts, self.models)
        rows = [self._difference(pair, t) for pair in pairs for t in self.times]
        table = pd.DataFrame(rows)
        return table.assign(p_adjusted=adjust_p(table["p_value"].to_numpy(), adjust))

    def _difference(self, pair: Pair, t: float) -> dict[str, Any]:
        estimates = self._table.set_index(["model", "time"])["estimate"]
        difference = float(estimates[pair[0], t] - estimates[pair[1], t])
        change = self._influence[pair[0], t] - self._influence[pair[1], t]
        std_error = influence_se(change / self.n, self._cluster, centred=True)
        low, high = wald_interval(difference, std_error, self.conf_level)
        statistic = 0.0 if not change.any() else difference / std_error
        return {
            "measure": f"{self.measure}_difference",
            "model_1": pair[0],
            "model_2": pair[1],
            "time": t,
            "estimate": difference,
            "std_error": std_error,
            "conf_low": max(float(low), -1.0),
            "conf_high": min(float(high), 1.0),
            "conf_level": self.conf_level,
            "statistic": statistic,
            "p_value": float(two_sided_p(statistic)),
        }

    def summary(self) -> str:
        """Sample, and every estimate with its limits."""
        rows = [
            f"  {row.model}, t = {row.time:g}: {row.estimate:.3f} "
            f"({row.conf_low:.3f} to {row.conf_high:.3f})"
            for row in self._table.itertuples()
        ]
        return "\n".join([repr(self)[1:-1], *rows])

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        at = ", ".join(f"{t:g}" for t in self.times)
        return (
            f"<time-dependent {self.measure} of {', '.join(self.models)} at {at}; {self.method}; "
            f"n = {self.n}, events = {self.n_event}, unit: {unit}, "
            f"{self.conf_level * 100:g} % intervals>"
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the estimates over time with their intervals."""
        from usstats.plots.survival import plot_time_dependent

        return plot_time_dependent(self, ax=ax, **options)


def _check_pairs(contrasts: Sequence[Pair] | None, models: tuple[str, ...]) -> list[Pair]:
    pairs = list(combinations(models, 2)) if contrasts is None else [tuple(c) for c in contrasts]
    known = [len(pair) == 2 and pair[0] != pair[1] and set(pair) <= set(models) for pair in pairs]
    if not pairs or not all(known):
        msg = f"`contrasts` must be pairs of two different models of {list(models)}; got {pairs}."
        raise ArgumentError(msg)
    return [(str(a), str(b)) for a, b in pairs]
