"""True and false positives at a horizon where follow-up is censored and events may compete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._decision.net_benefit import Codes, Float, Rates, Vector, Weights, from_the_top

#: Cells of one table of event times by strata: 8 MiB of floats.
BLOCK_CELLS = 2**20
_NOBODY = np.finfo(float).tiny


@dataclass(frozen=True)
class _Rows:
    """Some rows in the order of `at`, the number of an event time."""

    row: Codes
    at: Codes

    @classmethod
    def of(cls, row: Codes, at: Codes) -> _Rows:
        order = np.argsort(at, kind="stable")
        return cls(row[order], at[order])

    def table(
        self, span: tuple[int, int], weight: Weights, stratum: Codes, size: int
    ) -> NDArray[Float]:
        """Weight by event time and "this stratum or above": (last - first, size)."""
        first, last = span
        here = slice(*np.searchsorted(self.at, span))
        row = self.row[here]
        cells = (self.at[here] - first) * size + stratum[row]
        flat = np.bincount(cells, weight[row], (last - first) * size)
        return from_the_top(flat.reshape(-1, size))


@dataclass(frozen=True)
class SurvivalCohort:
    """Follow-up to a horizon; rates by Aalen-Johansen within test positives.

    Made by `survival_cohort`. Event times are the distinct times, up to the horizon, of the event
    or of a competing one. A row in `leaving` is not at risk from its event time on.
    """

    strata: Sequence[Codes]
    n_threshold: int
    n_time: int
    leaving: _Rows
    events: _Rows
    rivals: _Rows
    followed: NDArray[np.bool_]
    lost: NDArray[np.bool_]

    def rates(self, weights: Weights) -> Rates:
        """One replicate at a time: a table of event times by strata is enough memory."""
        found = np.array([[self._risk(w, stratum) for stratum in self.strata] for w in weights])
        risk, share = found[:, :, 0], found[:, :, 1]
        return Rates((risk * share)[..., 1:], ((1 - risk) * share)[..., 1:], risk[:, 0, 0])

    def _risk(self, weight: Weights, stratum: Codes) -> tuple[Vector, Vector]:
        """Risk of the event by the horizon and share of the cohort, above each threshold.

        Entry 0 is everybody. The risk is NaN where nobody was followed to the horizon and
        somebody was censored: what became of him is not known.
        """
        size = self.n_threshold + 1
        positive, followed, lost = (
            from_the_top(np.bincount(stratum, weight * who, size))
            for who in (True, self.followed, self.lost)
        )
        risk = self._incidence(weight, stratum, positive)
        return np.where((followed == 0) & (lost > 0), np.nan, risk), positive / positive[0]

    def _incidence(self, weight: Weights, stratum: Codes, positive: Vector) -> Vector:
        """Aalen-Johansen cumulative incidence; without competing events, 1 - Kaplan-Meier."""
        size = positive.size
        gone, free, incidence = np.zeros(size), np.ones(size), np.zeros(size)
        for span in self._spans():
            left = gone + self.leaving.table(span, weight, stratum, size).cumsum(axis=0)
            at_risk = np.maximum(positive - left, _NOBODY)
            hazard = self.events.table(span, weight, stratum, size) / at_risk
            any_hazard = hazard
            if self.rivals.row.size:
                any_hazard = hazard + self.rivals.table(span, weight, stratum, size) / at_risk
            event_free = free * np.cumprod(1 - any_hazard, axis=0)
            incidence += free * hazard[0] + (event_free[:-1] * hazard[1:]).sum(axis=0)
            gone, free = left[-1], event_free[-1]
        return incidence

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Ranges of event times whose tables fit in `BLOCK_CELLS`."""
        length = max(1, BLOCK_CELLS // (self.n_threshold + 1))
        for first in range(0, self.n_time, length):
            yield first, min(first + length, self.n_time)


def survival_cohort(
    time: Vector, event: Codes, horizon: float, strata: Sequence[Codes], n_threshold: int
) -> SurvivalCohort:
    """Follow-up counted in event times.

    Parameters
    ----------
    time : ndarray, shape (n,)
    event : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    horizon : float
    strata : sequence of ndarray of int, shape (n,)
        `reached` of each model.
    n_threshold : int
    """
    early = time <= horizon
    event_times = np.unique(time[early & (event > 0)])
    passed = np.searchsorted(event_times, time, side="right")

    def failing(code: int) -> _Rows:
        row = np.flatnonzero(early & (event == code))
        return _Rows.of(row, passed[row] - 1)

    return SurvivalCohort(
        strata=strata,
        n_threshold=n_threshold,
        n_time=event_times.size,
        leaving=_Rows.of(np.arange(time.size), passed),
        events=failing(1),
        rivals=failing(2),
        followed=time >= horizon,
        lost=(time < horizon) & (event == 0),
    )
