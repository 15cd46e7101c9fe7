"""Value of information: what is lost, on average, by not knowing which strategy is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from usstats._decision.inputs import REFERENCES
from usstats._decision.net_benefit import Float, Vector
from usstats.results import unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A model that treats the same patients as a reference is not better than it by rounding.
ROUNDING = 1e-12
#: Below this share of the larger variance, a difference of two strategies is taken as known.
KNOWN = 1e-12


@dataclass(frozen=True, kw_only=True, repr=False)
class ValueOfInformation:
    """Expected value of perfect information on net benefit. Made by `value_of_information`.

    Attributes
    ----------
    models : tuple of str
    method : str
        "bayesian_bootstrap", "asymptotic" or "bootstrap".
    """

    models: tuple[str, ...]
    method: str
    n: int
    n_event: int
    n_cluster: int | None = None
    n_boot: int | None = None
    seed: int | None = None
    _table: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a model and threshold.

        Columns: model, threshold_probability, net_benefit (expected with what is known now), best
        (the strategy to choose now: the model or a reference), evpi (expected gain of net benefit
        from knowing the truth), p_useful (probability that the model beats both references).
        """
        return self._table.copy()

    def summary(self) -> str:
        """Sample and method, and by model the range of P(useful) and the largest EVPI."""
        rows = [f"  {name}: {_model_text(rows)}" for name, rows in self._by_model()]
        return "\n".join([self._head(), *rows])

    def _by_model(self) -> list[tuple[str, pd.DataFrame]]:
        table = self._table
        return [(name, table[table["model"] == name]) for name in self.models]

    def _head(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        draws = "" if self.n_boot is None else f" ({self.n_boot} replicates)"
        return (
            f"Value of information: {', '.join(self.models)}; n = {self.n}, events = "
            f"{self.n_event}, unit: {unit}, {self.method}{draws}"
        )

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw P(useful) or the EVPI over the threshold probability."""
        from usstats.plots.decision import plot_value_of_information

        return plot_value_of_information(self, ax=ax, **options)


def _model_text(rows: pd.DataFrame) -> str:
    largest = rows.loc[rows["evpi"].idxmax()]
    return (
        f"P(useful) {rows['p_useful'].min():.2f} to {rows['p_useful'].max():.2f}, EVPI up to "
        f"{largest['evpi']:.4f} at threshold {largest['threshold_probability']:g}"
    )


@dataclass(frozen=True)
class Information:
    """EVPI and P(useful) of one model; both of shape (n_threshold,)."""

    evpi: Vector
    p_useful: Vector


def information_table(
    models: Sequence[str],
    thresholds: Vector,
    net_benefit: NDArray[Float],
    information: Sequence[Information],
) -> pd.DataFrame:
    """The frame of a `ValueOfInformation`; `net_benefit` has one row a strategy."""
    parts = []
    for i, (name, known) in enumerate(zip(models, information, strict=True)):
        options = np.array([name, *REFERENCES], dtype=object)
        part = {
            "model": name,
            "threshold_probability": thresholds,
            "net_benefit": net_benefit[i],
            "best": options[_best(net_benefit[[i, -2, -1]])],
            "evpi": known.evpi,
            "p_useful": known.p_useful,
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _best(net_benefit: NDArray[Float]) -> NDArray[np.int64]:
    """Strategy (model, treat_all, treat_none) to choose now; a model must beat the references."""
    reference = 1 + np.argmax(net_benefit[1:], axis=0)
    return np.where(net_benefit[0] > net_benefit[1:].max(axis=0) + ROUNDING, 0, reference)


def from_replicates(net_benefit: NDArray[Float], replicates: NDArray[Float]) -> Information:
    """Average loss of today's choice over replicates.

    Parameters
    ----------
    net_benefit : ndarray, shape (3, n_threshold)
        Of the model, treat_all and treat_none in the data.
    replicates : ndarray, shape (n_boot, 3, n_threshold)

    Notes
    -----
    E max - max E is the mean of max - NB of the strategy that is best in expectation: the same
    number with less Monte Carlo error, and never negative.
    """
    chosen = np.take_along_axis(replicates, _best(net_benefit)[None, None], axis=1)[:, 0]
    loss = replicates.max(axis=1) - chosen
    useful = replicates[:, 0] > replicates[:, 1:].max(axis=1) + ROUNDING
    known = np.isfinite(loss)
    with np.errstate(invalid="ignore"):
        return Information(
            np.where(known, loss, 0).sum(axis=0) / known.sum(axis=0),
            (useful & known).sum(axis=0) / known.sum(axis=0),
        )


def from_normal(mean: Vector, covariance: NDArray[Float]) -> tuple[float, float]:
    """EVPI and P(useful) of one model at one threshold under a normal law.

    Parameters
    ----------
    mean : ndarray, shape (3,)
        Net benefit of the model, treat_all and treat_none.
    covariance : ndarray, shape (3, 3)

    References
    ----------
    Clark (1961), Oper Res 9:145; Afonja (1972), J R Stat Soc B 34:251.

    Examples
    --------
    >>> evpi, p_useful = from_normal(np.array([0.1, 0.1, -9.0]), np.diag([0.02, 0.02, 0.0]))
    >>> round(evpi, 4), round(p_useful, 4)
    (0.0798, 0.5)
    """
    variance = np.diag(covariance)
    spread = np.maximum(variance[:, None] + variance - 2 * covariance, 0.0)
    known = spread <= max(KNOWN * covariance.max(), ROUNDING**2)
    if (known[0, 1:] & (mean[0] <= mean[1:] + ROUNDING)).any():
        return _loss(mean[1] - mean[2], spread[1, 2]), 0.0
    if known[1, 2]:
        rival = 1 + int(np.argmax(mean[1:]))
        gap = mean[0] - mean[rival]
        return _loss(gap, spread[0, rival]), _chance(gap, spread[0, rival])
    return _of_three(mean, spread)


def _of_three(mean: Vector, spread: NDArray[Float]) -> tuple[float, float]:
    """Afonja's expected maximum less the largest mean; `spread` holds variances of differences."""
    best = [_chance_of_being_best(mean, spread, i) for i in range(3)]
    evpi = float(best @ (mean - mean.max()))
    for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        gap, sd = mean[i] - mean[j], np.sqrt(spread[i, j])
        shared = _shared(spread, i, j, k)
        ahead = mean[i] - mean[k] - shared / spread[i, j] * gap
        above_third = _chance(ahead, spread[i, k] - shared**2 / spread[i, j])
        evpi += sd * stats.norm.pdf(gap / sd) * above_third
    return float(max(evpi, 0.0)), best[0]


def _chance_of_being_best(mean: Vector, spread: NDArray[Float], i: int) -> float:
    j, k = (other for other in range(3) if other != i)
    shared = _shared(spread, i, j, k)
    gaps = stats.multivariate_normal(
        cov=[[spread[i, j], shared], [shared, spread[i, k]]], allow_singular=True
    )
    return float(gaps.cdf([mean[i] - mean[j], mean[i] - mean[k]]))


def _shared(spread: NDArray[Float], i: int, j: int, k: int) -> float:
    """Covariance of the differences i - j and i - k."""
    return float(spread[i, j] + spread[i, k] - spread[j, k]) / 2


def _chance(gap: float, variance: float) -> float:
    """P(a difference with this mean and variance is positive)."""
    return float(special.ndtr(gap / np.sqrt(variance)) if variance > 0 else gap > ROUNDING)


def _loss(gap: float, variance: float) -> float:
    """EVPI between two strategies: the unit normal loss."""
    if variance <= 0:
        return 0.0
    sd = np.sqrt(variance)
    z = abs(gap) / sd
    return float(sd * (stats.norm.pdf(z) - z * special.ndtr(-z)))
