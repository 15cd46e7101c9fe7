"""The cut-off of the network's probability and the band around it in which the app says "unsure".

Both are fixed from out-of-fold predictions of the development patients before the first image is
read, and written beside the network.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from dl.abstention import abstention_curve
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.shift import EDGE
from usstats.thresholds import Threshold

__all__ = ["COVERAGE", "AbstentionBand", "abstention_band"]

#: Share of the development patients the network answers for, unless stated otherwise.
COVERAGE = 0.8
#: Two distances from the cut-off that differ by less are the same.
_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class AbstentionBand:
    """Where the network's probability is called, and where it is left to people.

    Attributes
    ----------
    cutoff : float
    criterion : str
        How the cut-off was chosen.
    low, high : float
        A probability strictly between them is "unsure". They lie as far from the cut-off as each
        other, in log-odds; both are the cut-off where nobody is left out.
    coverage, retained : float
        Share of the development patients asked for, and reached (ties stay together).
    n, n_event : int
        Development patients.
    accuracy, accuracy_retained : tuple of float
        Estimate and 95 % limits on all of them, and on those outside the band; apparent, as
        cut-off and band were chosen on the same patients.
    """

    cutoff: float
    criterion: str
    low: float
    high: float
    coverage: float
    retained: float
    n: int
    n_event: int
    accuracy: tuple[float, float, float]
    accuracy_retained: tuple[float, float, float]

    def verdict(self, p: float) -> str:
        """Return "unsure" inside the band, else "above" (at or above the cut-off) or "below".

        Examples
        --------
        >>> from usstats.thresholds import choose_threshold
        >>> y, p = [0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.45, 0.55, 0.8, 0.9]
        >>> cutoff = choose_threshold(y, p)
        >>> band = abstention_band(y, p, cutoff=cutoff, coverage=0.6)
        >>> [band.verdict(value) for value in (0.1, 0.5, 0.9)]
        ['below', 'unsure', 'above']
        """
        if _distance(p, self.cutoff) < self._reach - _SAME:
            return "unsure"
        return "above" if p >= self.cutoff else "below"

    @property
    def _reach(self) -> float:
        return float(_distance(self.high, self.cutoff))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def abstention_band(
    y: ArrayLike, p: ArrayLike, *, cutoff: Threshold, coverage: float = COVERAGE
) -> AbstentionBand:
    """Return the band that leaves out the patients nearest to the cut-off.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
        Outcome of the development patients.
    p : array_like, shape (n,)
        Their calibrated out-of-fold probabilities.
    cutoff : Threshold
        Frozen.
    coverage : float
        Share of the patients to answer for, above 0 and up to 1.

    Returns
    -------
    AbstentionBand

    Raises
    ------
    ArgumentError, OutcomeError, RiskError
        As `dl.abstention.abstention_curve`.

    References
    ----------
    El-Yaniv and Wiener (2010), J Mach Learn Res 11:1605.

    Examples
    --------
    >>> from usstats.thresholds import choose_threshold
    >>> y, p = [0, 0, 0, 1, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.45, 0.5, 0.6, 0.8, 0.9]
    >>> band = abstention_band(y, p, cutoff=choose_threshold(y, p), coverage=0.5)
    >>> round(band.low, 2), round(band.cutoff, 2), round(band.high, 2), band.retained
    (0.2, 0.45, 0.73, 0.5)
    """
    if not 0 < coverage <= 1:
        msg = (
            "`coverage` is the share of patients the networks answer for, above 0 and up to 1; got "
            f"{coverage}."
        )
        raise ArgumentError(msg)
    at = float(np.clip(cutoff.value, EDGE, 1 - EDGE))
    everybody, kept = _accuracy(y, np.asarray(p, dtype=float), at, coverage)
    reach = -float(kept["uncertainty_limit"]) if kept["n_abstained"] else 0.0
    return AbstentionBand(
        cutoff=at,
        criterion=cutoff.criterion,
        low=float(expit(logit(at) - reach)),
        high=float(expit(logit(at) + reach)),
        coverage=float(coverage),
        retained=float(kept["retained"]),
        n=int(everybody["n"]),
        n_event=int(everybody["n_event"]),
        accuracy=_with_limits(everybody),
        accuracy_retained=_with_limits(kept),
    )


def _accuracy(
    y: ArrayLike, p: NDArray[np.float64], cutoff: float, coverage: float
) -> tuple[pd.Series, pd.Series]:
    """Rows of the abstention curve: with everybody, and with the patients that are kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # of measures that are not looked at
        table = abstention_curve(
            y, p, uncertainty=-_distance(p, cutoff), threshold=cutoff, retained=[1.0, coverage]
        ).frame()
    rows = table[table["measure"] == "accuracy"]
    return rows.iloc[0], rows.iloc[-1]


def _distance(p: ArrayLike, cutoff: float) -> NDArray[np.float64]:
    """Of probabilities from the cut-off, in log-odds."""
    return np.asarray(np.abs(logit(np.clip(p, EDGE, 1 - EDGE)) - logit(cutoff)))


def _with_limits(row: pd.Series) -> tuple[float, float, float]:
    return float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])
