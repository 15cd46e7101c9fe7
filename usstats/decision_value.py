"""What perfect information on net benefit would be worth (Sadatsafavi et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_option, check_outcome
from usstats._decision.information import (
    Information,
    ValueOfInformation,
    from_normal,
    from_replicates,
    information_table,
)
from usstats._decision.inputs import (
    check_harm,
    check_models,
    check_prevalence,
    check_thresholds,
)
from usstats._decision.net_benefit import (
    BinaryCohort,
    Codes,
    Float,
    Vector,
    odds,
    reached,
    replicate_net_benefit,
)
from usstats.errors import ResampleError
from usstats.resample import Resamples

__all__ = ["ValueOfInformation", "value_of_information"]


def value_of_information(
    y: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    thresholds: ArrayLike,
    method: str = "bayesian_bootstrap",
    prevalence: float | None = None,
    harm: float | Mapping[str, float] | None = None,
    cluster: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int | None = None,
) -> ValueOfInformation:
    """Expected value of perfect information (EVPI) and P(useful) of models at thresholds.

    A validation sample is finite: the strategy with the largest net benefit in it may not be the
    best one. EVPI is the net benefit lost by that, on average; if it is small, more validation
    data will not change much. It takes the place of a p value for net benefit. For times to
    event, and for the ordinary bootstrap, see `DecisionCurve.value_of_information`.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool, of patients the models were not made from.
    risks : mapping of str to array_like, shape (n,)
        Predicted probabilities in [0, 1] by model.
    thresholds : array_like
        Ascending threshold probabilities in [0, 1).
    method : {"bayesian_bootstrap", "asymptotic"}
        Replicates with Dirichlet weights, or the normal law of the net benefits of the model and
        of treat_all, in closed form and without random numbers.
    prevalence, harm
        As in `decision_curve`.
    cluster : array_like, shape (n,), optional
        Patient labels; weights belong to patients, net benefit stays a mean over rows.
    n_boot, seed : int
        Of the Bayesian bootstrap.

    Returns
    -------
    ValueOfInformation
        Each model is judged against treat_all and treat_none alone: another model in `risks`
        changes none of its rows. P(useful) is the probability that it beats both; a model that
        treats the same patients as a reference does not (predtools counts such ties as useful).

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    UsstatsWarning
        Threshold 1 was left out: its odds are infinite.

    References
    ----------
    Sadatsafavi, Lee, Wynants, Vickers and Gustafson (2023), Med Decis Making 43:564; Wynants et
    al. (2018), Med Decis Making 38:877, on P(useful); Vickers et al. (2023), Diagn Progn Res
    7:11, on p values. R: ``predtools::evpi_val``.

    Examples
    --------
    >>> y = [0, 0, 0, 1, 0, 1, 1, 0, 1, 1]
    >>> p = [0.1, 0.2, 0.4, 0.3, 0.1, 0.8, 0.7, 0.6, 0.9, 0.5]
    >>> found = value_of_information(y, {"m": p}, thresholds=[0.3, 0.6], method="asymptotic")
    >>> found.frame()[["threshold_probability", "net_benefit", "best", "evpi", "p_useful"]]
       threshold_probability  net_benefit best   evpi  p_useful
    0                    0.3        0.414    m  0.001     0.966
    1                    0.6        0.150    m  0.046     0.672
    """
    check_option(method, ("bayesian_bootstrap", "asymptotic"), name="method")
    outcome = check_outcome(y)
    named = check_models(risks, outcome.size)
    at, _ = check_thresholds(thresholds, stacklevel=3)
    who = _check_patients(cluster, outcome.size)
    sample = _Sample(
        cohort=BinaryCohort(
            outcome,
            [reached(risk, at) for risk in named.values()],
            at.size,
            check_prevalence(prevalence),
        ),
        thresholds=at,
        harm=check_harm(harm, tuple(named)),
        unit=np.arange(outcome.size) if who is None else who,
    )
    if method == "asymptotic":
        draws, information = None, sample.asymptotic()
    else:
        draws = Resamples.draw(outcome.size, n_boot=n_boot, seed=seed, cluster=cluster)
        information = sample.replicated(_DirichletWeights(draws))
    return ValueOfInformation(
        models=tuple(named),
        method=method,
        n=outcome.size,
        n_event=int(outcome.sum()),
        n_cluster=None if who is None else int(who.max()) + 1,
        n_boot=None if draws is None else len(draws),
        seed=None if draws is None else draws.seed,
        _table=information_table(tuple(named), at, sample.net_benefit, information),
    )


def _check_patients(cluster: ArrayLike | None, n: int) -> Codes | None:
    who = check_cluster(cluster, n)
    if who is not None and not who.any():
        msg = "`cluster` names one patient: nothing is known of how patients differ."
        raise ResampleError(msg)
    return who


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Checked data of a value-of-information analysis."""

    cohort: BinaryCohort
    thresholds: Vector
    harm: Vector
    unit: Codes

    @cached_property
    def net_benefit(self) -> NDArray[Float]:
        """Of every model and both references in the data: (n_model + 2, n_threshold)."""
        rates = self.cohort.rates(np.ones((1, self.unit.size))).with_references()
        return np.asarray(rates.net_benefit(self.thresholds, self.harm)[0])

    def replicated(self, weights: _DirichletWeights) -> list[Information]:
        replicates = replicate_net_benefit(self.cohort, weights, self.thresholds, self.harm)
        strategies = ([i, -2, -1] for i in range(len(self.cohort.strata)))
        return [from_replicates(self.net_benefit[s], replicates[:, s]) for s in strategies]

    def asymptotic(self) -> list[Information]:
        return [
            Information(*np.array([self._normal(i, j) for j in range(self.thresholds.size)]).T)
            for i in range(len(self.cohort.strata))
        ]

    def _normal(self, i: int, j: int) -> tuple[float, float]:
        """EVPI and P(useful) of model i at threshold j."""
        treated = self.cohort.strata[i] > j
        covariance = np.zeros((3, 3))
        covariance[:2, :2] = self._covariance(treated, float(odds(self.thresholds)[j]))
        return from_normal(self.net_benefit[[i, -2, -1], j], covariance)

    def _covariance(self, treated: NDArray[np.bool_], price: float) -> NDArray[Float]:
        """Of the net benefits of treating some and treating everybody; patients are independent."""
        gain = np.where(self.cohort.y == 1, 1.0, -price)
        of_row = (self._influence(worth) for worth in (gain * treated, gain))
        influence = np.array([np.bincount(self.unit, values) for values in of_row])
        return np.asarray(influence @ influence.T)

    def _influence(self, worth: Vector) -> Vector:
        """Each row's part in the error of a mean, or of two class means that are weighted."""
        share = self.cohort.prevalence
        if share is None:
            return np.asarray((worth - worth.mean()) / worth.size)
        influence: Vector = np.empty_like(worth)
        for outcome, weight in ((1, share), (0, 1 - share)):
            own = self.cohort.y == outcome
            influence[own] = weight * (worth[own] - worth[own].mean()) / own.sum()
        return influence


@dataclass(frozen=True)
class _DirichletWeights:
    """Bayesian bootstrap (Rubin 1981): each patient has an exponential weight."""

    patients: Resamples

    def chunks(self) -> Iterator[tuple[int, int]]:
        return self.patients.chunks()

    def counts(self, start: int, stop: int) -> NDArray[Float]:
        """Row weights of replicates start..stop-1; net benefit divides by their sum."""
        stop = min(stop, len(self.patients))
        drawn = [
            self.patients.rng(i).standard_exponential(self.patients.n_unit)
            for i in range(start, stop)
        ]
        return np.array(drawn)[:, self.patients.unit]
