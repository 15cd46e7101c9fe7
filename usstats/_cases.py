"""One outcome, one score and the patients behind them: checked once, then passed around."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_finite, check_lengths, check_outcome
from usstats._resampling.draws import Resamples, as_resamples
from usstats.errors import SmallSampleWarning

Float = np.float64
FEW_CASES = 5


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Checked outcome, score and patient numbers."""

    y: NDArray[np.int64]
    s: NDArray[Float]
    cluster: NDArray[np.int64] | None

    @property
    def n_cluster(self) -> int | None:
        return None if self.cluster is None else int(self.cluster.max()) + 1

    def patients(self, event: int) -> int:
        """Patients (cases without clusters) with at least one event, or one non-event."""
        rows = self.y == event
        return int(rows.sum()) if self.cluster is None else count_units(self.cluster[rows])

    def strata(self) -> NDArray[np.int64] | None:
        """The outcome, where no patient has both classes."""
        if self.cluster is None:
            return self.y
        mixed = self.patients(0) + self.patients(1) > int(self.cluster.max()) + 1
        return None if mixed else self.y

    def draws(
        self, resamples: ArrayLike | Resamples | None, n_boot: int, seed: int | None
    ) -> Resamples:
        stratify = self.strata() if resamples is None else None
        return as_resamples(
            resamples,
            len(self.y),
            n_boot=n_boot,
            seed=seed,
            cluster=self.cluster,
            stratify=stratify,
        )


def count_units(codes: NDArray[np.int64]) -> int:
    """Different patients among patient numbers."""
    return int(np.count_nonzero(np.bincount(codes)))


def renumber(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of a part of the patients, without gaps.

    >>> renumber(np.array([4, 0, 4, 7])).tolist()
    [1, 0, 1, 2]
    """
    present = np.bincount(codes) > 0
    return np.asarray((np.cumsum(present) - 1)[codes])


def check_cases(y: ArrayLike, s: ArrayLike, cluster: ArrayLike | None) -> Cases:
    """Check one outcome and one score; warn where a class is too small for any interval."""
    outcome, score = check_outcome(y), check_finite(s)
    check_lengths(y=outcome, s=score)
    cases = Cases(y=outcome, s=score, cluster=check_cluster(cluster, len(outcome)))
    fewest = min(cases.patients(0), cases.patients(1))
    if fewest <= FEW_CASES:
        unit = "cases" if cluster is None else "patients"
        msg = f"One class has only {fewest} {unit}: the interval is unstable."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    return cases
