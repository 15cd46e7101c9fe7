"""Decision curves: what acting on a model's risks is worth at each threshold (Vickers and Elkin).

Net benefit is reported with an interval if asked for, never with a p value (Vickers et al. 2023).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_option, check_outcome
from usstats._decision.inputs import (
    REFERENCES,
    check_follow_up,
    check_harm,
    check_models,
    check_prevalence,
    check_thresholds,
    design_strata,
)
from usstats._decision.net_benefit import (
    BinaryCohort,
    Cohort,
    Float,
    Vector,
    reached,
    replicate_net_benefit,
)
from usstats._decision.results import DecisionCurve, NetBenefitDifference
from usstats._decision.survival_benefit import survival_cohort
from usstats._intervals import check_conf_level
from usstats.errors import FailedResamplesWarning, SmallSampleWarning
from usstats.resample import REFUSE_FAILED, Resamples, as_resamples, check_failures
from usstats.results import read_only

__all__ = ["DecisionCurve", "NetBenefitDifference", "decision_curve", "decision_curve_survival"]


def decision_curve(
    y: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    thresholds: ArrayLike,
    prevalence: float | None = None,
    harm: float | Mapping[str, float] | None = None,
    ci: str | None = None,
    cluster: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
    conf_level: float = 0.95,
) -> DecisionCurve:
    """Net benefit of models with a 0/1 outcome.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool.
    risks : mapping of str to array_like, shape (n,)
        Predicted probabilities in [0, 1] by model; a yes/no test may be given as 0 and 1.
    thresholds : array_like
        Ascending threshold probabilities in [0, 1): the range in which the decision is open. A
        final 1 is left out with a warning.
    prevalence : float, optional
        Share of events in the population, for a case-control sample. Resamples then keep the
        numbers of cases and controls.
    harm : float or mapping of str to float, optional
        Harm of obtaining each model's prediction, in units of net benefit.
    ci : {None, "bootstrap"}
        Pointwise percentile intervals from resampled patients.
    cluster : array_like, shape (n,), optional
        Patient labels; patients are resampled, net benefit stays a mean over rows.
    n_boot, seed, resamples
        For `ci`; explicit resamples win.
    conf_level : float

    Returns
    -------
    DecisionCurve

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    UsstatsWarning
        Threshold 1 was left out: its odds are infinite.

    Notes
    -----
    Test positive is risk >= threshold (dcurves; rmda takes >), compared exactly: thresholds made
    by ``np.arange`` are not exact decimals. A risk of exactly 0 is negative even at threshold 0.
    Vickers and Elkin (2006), Med Decis Making 26:565; R: ``dcurves::dca``. With harm,
    standardized_net_benefit is (net benefit - harm) / prevalence (dcurves offers none).

    Examples
    --------
    >>> curve = decision_curve([0, 0, 1, 1], {"model": [0.1, 0.4, 0.3, 0.9]}, thresholds=[0.2, 0.5])
    >>> curve.frame()[["model", "threshold_probability", "net_benefit"]].round(4)
            model  threshold_probability  net_benefit
    0       model                    0.2       0.4375
    1       model                    0.5       0.2500
    2   treat_all                    0.2       0.3750
    3   treat_all                    0.5       0.0000
    4  treat_none                    0.2       0.0000
    5  treat_none                    0.5       0.0000
    """
    outcome = check_outcome(y)
    named = check_models(risks, outcome.size)
    at, notes = check_thresholds(thresholds, stacklevel=3)
    share = check_prevalence(prevalence)
    strata = [reached(risk, at) for risk in named.values()]
    plan = _Plan(
        models=tuple(named),
        thresholds=at,
        harm=check_harm(harm, tuple(named)),
        notes=notes,
        n_event=int(outcome.sum()),
        n=outcome.size,
        horizon=None,
    )
    return plan.evaluate(
        BinaryCohort(outcome, strata, at.size, share),
        ci=ci,
        cluster=cluster,
        stratify=design_strata(outcome, cluster, share),
        n_boot=n_boot,
        seed=seed,
        resamples=resamples,
        conf_level=conf_level,
    )


def decision_curve_survival(
    time: ArrayLike,
    event: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    horizon: float,
    thresholds: ArrayLike,
    harm: float | Mapping[str, float] | None = None,
    ci: str | None = None,
    cluster: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
    conf_level: float = 0.95,
) -> DecisionCurve:
    """Net benefit of models with a censored time to event, at a horizon.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, not negative, in the unit of `horizon`.
    event : array_like, shape (n,)
        1 where follow-up ended with the event, 0 where it was censored, 2 where a competing event
        made the event impossible.
    risks : mapping of str to array_like, shape (n,)
        Risk of the event by the horizon, that is 1 - S(horizon): higher is worse.
    horizon : float
        Not after the end of follow-up.
    thresholds, harm, ci, cluster, n_boot, seed, resamples, conf_level
        As in `decision_curve`.

    Returns
    -------
    DecisionCurve

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        Net benefit is undefined (NaN) at some thresholds.

    Notes
    -----
    True positives are risk x share, false positives (1 - risk) x share, where share is that of the
    test positives and risk their cumulative incidence at the horizon: 1 - Kaplan-Meier, or
    Aalen-Johansen where events compete, so that a patient with a competing event needed no
    treatment (Vickers et al. 2008, BMC Med Inform Decis Mak 8:53; R: ``dcurves::dca`` with a
    `Surv` outcome, of which 1 is the first state after censoring). Where nobody above a threshold
    was followed to the horizon and somebody was censored, the risk is not known: NaN.

    Examples
    --------
    >>> curve = decision_curve_survival(
    ...     [1.0, 2.0, 3.0, 4.0], [1, 0, 1, 0], {"model": [0.9, 0.2, 0.6, 0.1]},
    ...     horizon=3, thresholds=[0.5])
    >>> curve.frame()["net_benefit"].round(4).tolist()
    [0.5, 0.25, 0.0]
    """
    times, codes = check_follow_up(time, event, horizon)
    named = check_models(risks, times.size)
    at, notes = check_thresholds(thresholds, stacklevel=3)
    strata = [reached(risk, at) for risk in named.values()]
    plan = _Plan(
        models=tuple(named),
        thresholds=at,
        harm=check_harm(harm, tuple(named)),
        notes=notes,
        n_event=int(((codes == 1) & (times <= horizon)).sum()),
        n=times.size,
        horizon=float(horizon),
    )
    return plan.evaluate(
        survival_cohort(times, codes, horizon, strata, at.size),
        ci=ci,
        cluster=cluster,
        stratify=None,
        n_boot=n_boot,
        seed=seed,
        resamples=resamples,
        conf_level=conf_level,
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Checked arguments that both kinds of decision curve share."""

    models: tuple[str, ...]
    thresholds: Vector
    harm: Vector
    notes: tuple[str, ...]
    n: int
    n_event: int
    horizon: float | None

    def evaluate(
        self,
        cohort: Cohort,
        *,
        ci: str | None,
        cluster: ArrayLike | None,
        stratify: NDArray[np.int64] | None,
        n_boot: int,
        seed: int | None,
        resamples: ArrayLike | Resamples | None,
        conf_level: float,
    ) -> DecisionCurve:
        """Rates of the data, net benefit, and the same in every resample."""
        check_option(ci, (None, "bootstrap"), name="ci")
        check_conf_level(conf_level)
        who = check_cluster(cluster, self.n)
        rates = cohort.rates(np.ones((1, self.n), dtype=np.int64)).with_references()
        benefit = rates.net_benefit(self.thresholds, self.harm)[0]
        draws = (
            None
            if ci is None
            else as_resamples(
                resamples, self.n, n_boot=n_boot, seed=seed, cluster=cluster, stratify=stratify
            )
        )
        notes = self._undefined(benefit)
        replicates, n_failed = self._replicates(cohort, draws)
        return DecisionCurve(
            models=self.models,
            thresholds=read_only(self.thresholds),
            prevalence=float(rates.prevalence[0]),
            horizon=self.horizon,
            conf_level=conf_level,
            n=self.n,
            n_event=self.n_event,
            n_cluster=None if who is None else int(who.max()) + 1,
            n_boot=None if draws is None else len(draws),
            n_failed=n_failed,
            seed=None if draws is None else draws.seed,
            notes=(*self.notes, *notes),
            _rates=rates,
            _net_benefit=read_only(benefit),
            _replicates=None if replicates is None else read_only(replicates),
        )

    def _undefined(self, benefit: NDArray[Float]) -> list[str]:
        """A note and a warning for each model without a net benefit at some thresholds."""
        notes = []
        for name, values in zip((*self.models, *REFERENCES), benefit, strict=True):
            at = self.thresholds[np.isnan(values)]
            if at.size:
                notes.append(
                    f"Net benefit of {name} is undefined (NaN) at {at.size} of {values.size} "
                    f"thresholds (from {at[0]:g}): nobody above was followed to the horizon."
                )
                warnings.warn(notes[-1], SmallSampleWarning, stacklevel=4)
        return notes

    def _replicates(
        self, cohort: Cohort, draws: Resamples | None
    ) -> tuple[NDArray[Float] | None, int | None]:
        if draws is None:
            return None, None
        replicates = replicate_net_benefit(cohort, draws, self.thresholds, self.harm)
        defined = np.isfinite(replicates[:, :-1])
        n_failed = check_failures(np.where(defined.any(axis=(1, 2)), 0.0, np.nan))
        rare = (~defined).mean(axis=0) > REFUSE_FAILED
        if rare.any():
            msg = (
                f"Net benefit could not be evaluated in more than {REFUSE_FAILED:.0%} of the "
                f"resamples at thresholds from {self.thresholds[rare.any(axis=0)][0]:g}: no "
                "limits there."
            )
            warnings.warn(msg, FailedResamplesWarning, stacklevel=4)
        return replicates, n_failed
