"""The results of a decision curve analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_option
from usstats._net_benefit import Float, Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REFERENCES = ("treat_all", "treat_none")
#: Below this a model that treats everybody is not "above" treat_all.
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, repr=False)
class NetBenefitDifference:
    """Net benefit of one strategy minus that of another, at every threshold."""

    model_1: str
    model_2: str
    conf_level: float
    n: int
    n_event: int
    n_boot: int | None
    seed: int | None
    _table: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """threshold_probability, model_1, model_2, estimate[, conf_low, conf_high]."""
        return self._table.copy()

    def summary(self) -> str:
        """The largest difference in either direction, and where it is."""
        table = self._table
        low, high = (table.loc[i] for i in (table["estimate"].idxmin(), table["estimate"].idxmax()))
        return (
            f"Net benefit, {self.model_1} minus {self.model_2}: from {low['estimate']:.4f} at "
            f"{low['threshold_probability']:g} to {high['estimate']:.4f} at "
            f"{high['threshold_probability']:g}; n = {self.n}, events = {self.n_event}, "
            f"{_interval_text(self.n_boot, self.conf_level)}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


@dataclass(frozen=True, kw_only=True, repr=False)
class DecisionCurve:
    """Net benefit of models and of the two reference strategies. Made by `decision_curve`.

    Attributes
    ----------
    models : tuple of str
    thresholds : ndarray, shape (n_threshold,)
    prevalence : float
        Share of events: observed, stated, or 1 - Kaplan-Meier at the horizon.
    horizon : float or None
        Of a survival decision curve.
    notes : tuple of str
        What was left out or is undefined.
    """

    models: tuple[str, ...]
    thresholds: Vector
    prevalence: float
    horizon: float | None
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    n_boot: int | None = None
    n_failed: int | None = None
    seed: int | None = None
    notes: tuple[str, ...] = ()
    _table: pd.DataFrame = field(repr=False)
    _net_benefit: NDArray[Float] = field(repr=False)
    _replicates: NDArray[Float] | None = field(repr=False, default=None)

    def frame(self) -> pd.DataFrame:
        """One row a strategy and threshold.

        Columns: model, threshold_probability, net_benefit, standardized_net_benefit (net benefit
        over prevalence), interventions_avoided (net, per patient, against treat_all; NaN at
        threshold 0), and with resamples conf_low and conf_high of the net benefit.
        """
        return self._table.copy()

    def difference(self, model_1: str, model_2: str) -> NetBenefitDifference:
        """Net benefit of `model_1` minus `model_2`, with the paired bootstrap interval if drawn.

        Parameters
        ----------
        model_1, model_2 : str
            Names of models, or treat_all or treat_none.

        Raises
        ------
        ArgumentError
        """
        names = (*self.models, *REFERENCES)
        for argument, name in (("model_1", model_1), ("model_2", model_2)):
            check_option(name, names, name=argument)
        first, second = names.index(model_1), names.index(model_2)
        columns: dict[str, Any] = {
            "threshold_probability": self.thresholds,
            "model_1": model_1,
            "model_2": model_2,
            "estimate": self._net_benefit[first] - self._net_benefit[second],
        }
        if self._replicates is not None:
            gap = self._replicates[:, first] - self._replicates[:, second]
            columns["conf_low"], columns["conf_high"] = percentiles(gap, self.conf_level)
        return NetBenefitDifference(
            model_1=model_1,
            model_2=model_2,
            conf_level=self.conf_level,
            n=self.n,
            n_event=self.n_event,
            n_boot=self.n_boot,
            seed=self.seed,
            _table=pd.DataFrame(columns),
        )

    def summary(self) -> str:
        """Sample, thresholds, and where each model beats both reference strategies."""
        best = np.maximum(*self._net_benefit[-2:])
        rows = [
            f"  {name}: {_useful_text(self.thresholds, values > best + ROUNDING)}"
            for name, values in zip(self.models, self._net_benefit, strict=False)
        ]
        return "\n".join([self._head(), *rows, *(f"  Note: {note}" for note in self.notes)])

    def _head(self) -> str:
        unit = "case" if self.n_cluster is None else f"patient ({self.n_cluster} clusters)"
        when = "" if self.horizon is None else f" at {self.horizon:g}"
        return (
            f"Decision curve{when}: {', '.join(self.models)}; thresholds {self.thresholds[0]:g} "
            f"to {self.thresholds[-1]:g} ({self.thresholds.size}); n = {self.n}, events = "
            f"{self.n_event}, prevalence {self.prevalence:.3f}, unit: {unit}, "
            f"{_interval_text(self.n_boot, self.conf_level)}"
        )

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw net benefit over the threshold probability."""
        from usstats.plots.decision import plot_decision

        return plot_decision(self, ax=ax, **options)


def _interval_text(n_boot: int | None, conf_level: float) -> str:
    if n_boot is None:
        return "no interval"
    return f"{conf_level * 100:g} % bootstrap percentile intervals ({n_boot} resamples)"


def _useful_text(thresholds: Vector, better: NDArray[np.bool_]) -> str:
    if not better.any():
        return "nowhere above treat_all and treat_none"
    inside = thresholds[better]
    return (
        f"above treat_all and treat_none at {better.sum()} of {better.size} thresholds, "
        f"between {inside[0]:g} and {inside[-1]:g}"
    )


def percentiles(replicates: NDArray[Float], conf_level: float) -> NDArray[Float]:
    """Type-7 limits over the finite replicates of (n_boot, ...); shape (2, ...)."""
    usable = replicates[np.isfinite(replicates).reshape(len(replicates), -1).all(axis=1)]
    return np.asarray(np.quantile(usable, [(1 - conf_level) / 2, (1 + conf_level) / 2], axis=0))
