"""Movements between two sets of risks: class means, their influence, and both in resamples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usstats._calibration.recalibration import cluster_sums
from usstats._decision.net_benefit import odds
from usstats._resampling.draws import Resamples
from usstats._roc.placements import auc_covariance, place
from usstats._roc.resampled import auc_of_resamples, auc_without_each

Float = np.float64
Vector = NDArray[Float]
Codes = NDArray[np.int64]

CLASS_MEASURES = ("nri", "nri_events", "nri_nonevents", "idi", "idi_events", "idi_nonevents")
#: Changes of risk smaller than this are rounding, for example after a detour over the logit.
ROUNDING = 1e-14


@dataclass(frozen=True, kw_only=True)
class Movements:
    """Two risks of the same cases, and which way each case moved.

    `up` is 1, 0 or -1 a case.
    """

    y: Codes
    old: Vector
    new: Vector
    up: Codes
    thresholds: Vector
    cluster: Codes | None

    @property
    def signed(self) -> NDArray[Float]:
        """What the class means are taken of, (n, 2): the direction, and the change of risk."""
        columns: NDArray[Float] = np.column_stack([self.up.astype(float), self.new - self.old])
        return columns

    @property
    def decisions(self) -> NDArray[Float]:
        """Net benefit a case gains or loses at each threshold, (n, n_threshold)."""
        positive = [(p[:, None] >= self.thresholds).astype(float) for p in (self.new, self.old)]
        worth = self.y[:, None] - (1 - self.y[:, None]) * odds(self.thresholds)
        return np.asarray((positive[0] - positive[1]) * worth)

    def estimates(self) -> Vector:
        """The measures of `CLASS_MEASURES`, the AUC change, and each net benefit difference."""
        sums = self._columns().sum(axis=0)[None]
        areas = [place(self.y, p).auc for p in (self.new, self.old)]
        return np.asarray(self._measures(sums, np.array([areas[0] - areas[1]]))[0])

    def std_errors(self) -> Vector:
        """Sandwich standard errors of the same measures."""
        influence = np.column_stack([*self._class_influence().T, self._net_benefit_influence()])
        errors = np.sqrt(np.square(cluster_sums(influence, self.cluster)).sum(axis=0))
        k = len(CLASS_MEASURES)
        return np.asarray(np.r_[errors[:k], self._auc_error(), errors[k:]])

    def replicates(self, draws: Resamples) -> NDArray[Float]:
        """Every measure in every resample, (n_boot, n_measure); NaN where a class is absent."""
        columns = self._columns()
        sums = [draws.counts(*part).astype(float) @ columns for part in draws.chunks()]
        areas = [auc_of_resamples(self.y, p, draws) for p in (self.new, self.old)]
        return self._measures(np.concatenate(sums), areas[0] - areas[1])

    def without_each(self, unit: Codes) -> NDArray[Float]:
        """Every measure without each patient in turn, (n_unit, n_measure)."""
        own = cluster_sums(self._columns(), unit)
        areas = [auc_without_each(place(self.y, p), p, unit) for p in (self.new, self.old)]
        return self._measures(own.sum(axis=0) - own, areas[0] - areas[1])

    def _columns(self) -> NDArray[Float]:
        """What the measures are ratios of sums of: events, cases, and each signed gain."""
        event, other = (self.y == level for level in (1, 0))
        return np.column_stack(
            [
                event,
                np.ones(event.size),
                self.signed * event[:, None],
                self.signed * other[:, None],
                self.decisions,
            ]
        )

    def _measures(self, sums: NDArray[Float], auc_change: Vector) -> NDArray[Float]:
        events, n = sums[:, :1], sums[:, 1:2]
        with np.errstate(invalid="ignore", divide="ignore"):
            gained, lost = sums[:, 2:4] / events, sums[:, 4:6] / (n - events)
            benefit = sums[:, 6:] / n
        parts = [
            column
            for j in (0, 1)
            for column in (gained[:, j] - lost[:, j], gained[:, j], 0.0 - lost[:, j])
        ]
        return np.column_stack([*parts, auc_change, benefit])

    def _class_influence(self) -> NDArray[Float]:
        """(n, 6), in the order of `CLASS_MEASURES`."""
        event = self.y == 1
        inside, outside = self._centred(event), self._centred(~event)
        both = [
            column
            for j in (0, 1)
            for column in (inside[:, j] - outside[:, j], inside[:, j], outside[:, j])
        ]
        return np.column_stack(both)

    def _centred(self, among: NDArray[np.bool_]) -> NDArray[Float]:
        """Deviations from the class mean over its size; those of the change as its variance.

        The NRI has the multinomial variance (divisor n), the IDI the sample variance (n - 1;
        with clusters, patients instead of cases): R's improveProb.
        """
        size = among.sum()
        mean = self.signed[among].mean(axis=0)
        deviation = (self.signed - mean) * among[:, None] / size
        units = size if self.cluster is None else np.unique(self.cluster[among]).size
        factor = np.sqrt(units / (units - 1)) if units > 1 else np.nan
        return np.asarray(deviation * np.array([1.0, factor]))

    def _net_benefit_influence(self) -> NDArray[Float]:
        gain = self.decisions
        return np.asarray((gain - gain.mean(axis=0)) / len(gain))

    def _auc_error(self) -> float:
        """From the differences of placements; 0 where the two orders agree."""
        new, old = (place(self.y, p) for p in (self.new, self.old))
        if np.array_equal(new.wins, old.wins):
            return 0.0
        gap = (new.values - old.values)[:, None]
        variance = float(auc_covariance(gap, new.event, self.cluster)[0, 0])
        return float(np.sqrt(variance)) if variance > 0 else np.nan


def direction(old: Vector, new: Vector, *, cutoffs: Vector | None, min_change: float) -> Codes:
    """1 where the risk moved up, -1 where it moved down, 0 where it stayed.

    >>> direction(np.array([0.1, 0.3]), np.array([0.3, 0.29]), cutoffs=None, min_change=0.05)
    array([1, 0])
    """
    if cutoffs is None:
        change = new - old
        moved = np.abs(change) > max(min_change, ROUNDING)
        return np.asarray(np.where(moved, np.sign(change), 0), dtype=np.int64)
    levels = [np.searchsorted(cutoffs, risk, side="right") for risk in (new, old)]
    return np.asarray(np.sign(levels[0] - levels[1]), dtype=np.int64)
