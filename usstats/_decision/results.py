"""The results of a decision curve analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_option
from usstats._decision.information import (
    ROUNDING,
    ValueOfInformation,
    from_replicates,
    information_table,
)
from usstats._decision.inputs import REFERENCES
from usstats._decision.net_benefit import Float, Rates, Vector, odds
from usstats.errors import ArgumentError
from usstats.resample import REFUSE_FAILED
from usstats.results import unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    _rates: Rates = field(repr=False)
    _net_benefit: NDArray[Float] = field(repr=False)
    _replicates: NDArray[Float] | None = field(repr=False, default=None)

    def frame(self) -> pd.DataFrame:
        """One row a strategy and threshold.

        Columns: model, threshold_probability, net_benefit, standardized_net_benefit (net benefit
        over prevalence), interventions_avoided (net, per patient, against treat_all; NaN at
        threshold 0), and with resamples conf_low and conf_high of the net benefit.
        """
        columns: dict[str, Any] = {
            "net_benefit": self._net_benefit,
            "standardized_net_benefit": self._net_benefit / self.prevalence,
            "interventions_avoided": self._avoided(self._net_benefit),
        }
        if self._replicates is not None:
            columns |= self._limits(self._net_benefit, self._replicates)
        return self._by_strategy(columns)

    def consequences(self) -> pd.DataFrame:
        """What each strategy does at each threshold, before anything is weighed.

        Returns
        -------
        DataFrame
            Columns: model, threshold_probability, test_positive, true_positive, false_positive
            (shares of the cohort, or of a population with the stated prevalence), sensitivity,
            specificity. R: ``dcurves::test_consequences``.

        Examples
        --------
        >>> from usstats.decision import decision_curve
        >>> curve = decision_curve([0, 0, 1, 1], {"m": [0.1, 0.4, 0.3, 0.9]}, thresholds=[0.2])
        >>> curve.consequences().loc[:0, ["model", "test_positive", "sensitivity", "specificity"]]
          model  test_positive  sensitivity  specificity
        0     m           0.75          1.0          0.5
        """
        true, false = self._rates.true_positive[0], self._rates.false_positive[0]
        return self._by_strategy(
            {
                "test_positive": true + false,
                "true_positive": true,
                "false_positive": false,
                "sensitivity": true / self.prevalence,
                "specificity": 1 - false / (1 - self.prevalence),
            }
        )

    def interventions_avoided(self, *, per: float = 100) -> pd.DataFrame:
        """Net interventions avoided against treating everybody, without missing an event.

        Parameters
        ----------
        per : float
            Patients the number refers to.

        Returns
        -------
        DataFrame
            Columns: model, threshold_probability, interventions_avoided (NaN at threshold 0), and
            with resamples conf_low and conf_high. It is the net benefit of the opt-out policy, in
            units of true negatives. R: ``dcurves::net_intervention_avoided``.

        Raises
        ------
        ArgumentError

        Examples
        --------
        >>> from usstats.decision import decision_curve
        >>> curve = decision_curve([0, 0, 1, 1], {"m": [0.1, 0.4, 0.3, 0.9]}, thresholds=[0.2])
        >>> curve.interventions_avoided()["interventions_avoided"].round(1).tolist()
        [25.0, 0.0, -150.0]
        """
        if not isinstance(per, int | float | np.number) or not (np.isfinite(per) and per > 0):
            msg = f"`per` must be a positive number of patients; got {per!r}."
            raise ArgumentError(msg)
        avoided = per * self._avoided(self._net_benefit)
        columns: dict[str, Any] = {"interventions_avoided": avoided}
        if self._replicates is not None:
            columns |= self._limits(avoided, per * self._avoided(self._replicates))
        return self._by_strategy(columns)

    def _avoided(self, net_benefit: NDArray[Float]) -> NDArray[Float]:
        gained, weight = net_benefit - net_benefit[..., -2:-1, :], odds(self.thresholds)
        return np.divide(gained, weight, out=np.full_like(gained, np.nan), where=weight > 0)

    def _limits(self, values: NDArray[Float], replicates: NDArray[Float]) -> dict[str, Any]:
        low, high = percentiles(values, replicates, self.conf_level)
        return {"conf_low": low, "conf_high": high}

    def _by_strategy(self, columns: dict[str, NDArray[Float]]) -> pd.DataFrame:
        """A tidy frame from arrays of shape (n_model + 2, n_threshold)."""
        names = (*self.models, *REFERENCES)
        return pd.DataFrame(
            {
                "model": np.repeat(names, self.thresholds.size),
                "threshold_probability": np.tile(self.thresholds, len(names)),
                **{name: values.ravel() for name, values in columns.items()},
            }
        )

    def value_of_information(self) -> ValueOfInformation:
        """EVPI and P(useful) of each model from the resamples of this curve.

        The same patients, strata, harms and horizon as the curve; `value_of_information` has the
        Bayesian bootstrap and the normal law.

        Raises
        ------
        ArgumentError
            The curve has no resamples.
        """
        if self._replicates is None:
            msg = "This decision curve has no resamples; make it with ci='bootstrap' and a seed."
            raise ArgumentError(msg)
        strategies = [[i, -2, -1] for i in range(len(self.models))]
        information = [
            from_replicates(self._net_benefit[s], self._replicates[:, s]) for s in strategies
        ]
        return ValueOfInformation(
            models=self.models,
            method="bootstrap",
            n=self.n,
            n_event=self.n_event,
            n_cluster=self.n_cluster,
            n_boot=self.n_boot,
            seed=self.seed,
            _table=information_table(self.models, self.thresholds, self._net_benefit, information),
        )

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
        gap = self._net_benefit[first] - self._net_benefit[second]
        columns: dict[str, Any] = {
            "threshold_probability": self.thresholds,
            "model_1": model_1,
            "model_2": model_2,
            "estimate": gap,
        }
        if self._replicates is not None:
            columns |= self._limits(gap, self._replicates[:, first] - self._replicates[:, second])
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
        unit = unit_of_analysis(self.n_cluster)
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


def percentiles(
    values: NDArray[Float], replicates: NDArray[Float], conf_level: float
) -> NDArray[Float]:
    """Type-7 limits over the replicates of (n_boot, ...); shape (2, ...).

    NaN where the value itself is undefined, or more than 20 % of its replicates are.
    """
    tails = [(1 - conf_level) / 2, (1 + conf_level) / 2]
    undefined = np.isnan(replicates)
    if not undefined.any():
        return np.asarray(np.quantile(replicates, tails, axis=0))
    refused = np.isnan(values) | (undefined.mean(axis=0) > REFUSE_FAILED)
    limits = np.nanquantile(np.where(refused, 0.0, replicates), tails, axis=0)
    return np.where(refused, np.nan, limits)
