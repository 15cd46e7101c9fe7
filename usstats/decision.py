"""Decision curves: what acting on a model's risks is worth at each threshold (Vickers and Elkin).

Net benefit is reported with an interval if asked for, never with a p value (Vickers et al. 2023).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import (
    check_cluster,
    check_finite,
    check_lengths,
    check_option,
    check_outcome,
    check_risks,
)
from usstats._decision_results import (
    REFERENCES,
    DecisionCurve,
    NetBenefitDifference,
    percentiles,
)
from usstats._intervals import check_conf_level
from usstats._net_benefit import (
    BinaryCohort,
    Cohort,
    Float,
    SurvivalCohort,
    Vector,
    follow_up,
    odds,
    reached,
    replicate_net_benefit,
)
from usstats.errors import ArgumentError, OutcomeError, RiskError, UsstatsWarning
from usstats.resample import Resamples, as_resamples, check_failures

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
    named = _check_models(risks, outcome.size)
    at, notes = _check_thresholds(thresholds)
    if prevalence is not None and not 0 < prevalence < 1:
        msg = f"`prevalence` must lie inside (0, 1); got {prevalence!r}."
        raise ArgumentError(msg)
    strata = [reached(risk, at) for risk in named.values()]
    plan = _Plan(
        models=tuple(named),
        thresholds=at,
        harm=_check_harm(harm, tuple(named)),
        notes=notes,
        n_event=int(outcome.sum()),
        n=outcome.size,
        horizon=None,
    )
    return plan.evaluate(
        BinaryCohort(outcome, strata, at.size, prevalence),
        ci=ci,
        cluster=cluster,
        stratify=_design_strata(outcome, cluster, prevalence),
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
        1 where follow-up ended with the event, 0 where it was censored.
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

    Notes
    -----
    True positives are (1 - KM among test positives) x their share, false positives KM x their
    share (Vickers et al. 2008, BMC Med Inform Decis Mak 8:53; R: ``dcurves::dca`` with a `Surv`
    outcome). Where the last test positive is censored early, KM keeps its last value.

    Examples
    --------
    >>> curve = decision_curve_survival(
    ...     [1.0, 2.0, 3.0, 4.0], [1, 0, 1, 0], {"model": [0.9, 0.2, 0.6, 0.1]},
    ...     horizon=3, thresholds=[0.5])
    >>> curve.frame()["net_benefit"].round(4).tolist()
    [0.5, 0.25, 0.0]
    """
    times, failed = _check_follow_up(time, event, horizon)
    named = _check_models(risks, times.size)
    at, notes = _check_thresholds(thresholds)
    passed, fails, n_time = follow_up(times, failed, horizon)
    strata = [reached(risk, at) for risk in named.values()]
    plan = _Plan(
        models=tuple(named),
        thresholds=at,
        harm=_check_harm(harm, tuple(named)),
        notes=notes,
        n_event=int(fails.sum()),
        n=times.size,
        horizon=float(horizon),
    )
    return plan.evaluate(
        SurvivalCohort(strata, at.size, passed, fails, n_time),
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
        replicates, n_failed = self._replicates(cohort, draws)
        limits = None if replicates is None else percentiles(replicates, conf_level)
        prevalence = float(rates.prevalence[0])
        return DecisionCurve(
            models=self.models,
            thresholds=self.thresholds,
            prevalence=prevalence,
            horizon=self.horizon,
            conf_level=conf_level,
            n=self.n,
            n_event=self.n_event,
            n_cluster=None if who is None else int(who.max()) + 1,
            n_boot=None if draws is None else len(draws),
            n_failed=n_failed,
            seed=None if draws is None else draws.seed,
            notes=self.notes,
            _table=self._table(benefit, prevalence, limits),
            _net_benefit=benefit,
            _replicates=replicates,
        )

    def _replicates(
        self, cohort: Cohort, draws: Resamples | None
    ) -> tuple[NDArray[Float] | None, int | None]:
        if draws is None:
            return None, None
        replicates = replicate_net_benefit(cohort, draws, self.thresholds, self.harm)
        return replicates, check_failures(replicates.sum(axis=(1, 2)))

    def _table(
        self, benefit: NDArray[Float], prevalence: float, limits: NDArray[Float] | None
    ) -> pd.DataFrame:
        n_threshold = self.thresholds.size
        weight = odds(self.thresholds)
        gained = benefit - benefit[-2]
        avoided = np.divide(gained, weight, out=np.full_like(gained, np.nan), where=weight > 0)
        columns: dict[str, Any] = {
            "model": np.repeat([*self.models, *REFERENCES], n_threshold),
            "threshold_probability": np.tile(self.thresholds, len(benefit)),
            "net_benefit": benefit.ravel(),
            "standardized_net_benefit": (benefit / prevalence).ravel(),
            "interventions_avoided": avoided.ravel(),
        }
        if limits is not None:
            columns["conf_low"], columns["conf_high"] = limits[0].ravel(), limits[1].ravel()
        return pd.DataFrame(columns)


def _check_models(risks: Mapping[str, ArrayLike], n: int) -> dict[str, Vector]:
    named = check_risks(risks, n)
    taken = [name for name in REFERENCES if name in named]
    if taken:
        msg = f"`risks` may not hold a model named {taken[0]!r}: that is a reference strategy."
        raise ArgumentError(msg)
    return named


def _check_thresholds(thresholds: ArrayLike) -> tuple[Vector, tuple[str, ...]]:
    """Ascending thresholds in [0, 1), and notes on what was left out or is undefined."""
    at = check_finite(np.atleast_1d(np.asarray(thresholds)), name="thresholds")
    outside = (at < 0) | (at > 1)
    if outside.any():
        advice = " If these are percentages, divide by 100." if at.max() > 1 else ""
        msg = (
            f"`thresholds` must lie in [0, 1); {outside.sum()} of {at.size} do not "
            f"(first: {at[outside][0]:g}).{advice}"
        )
        raise RiskError(msg)
    if (np.diff(at) <= 0).any():
        first = at[1:][np.diff(at) <= 0][0]
        msg = (
            f"`thresholds` must ascend without duplicates; {first:g} does not. "
            "Pass sorted(set(thresholds))."
        )
        raise ArgumentError(msg)
    return _without_one(at)


def _without_one(at: Vector) -> tuple[Vector, tuple[str, ...]]:
    notes = []
    if at[-1] == 1:
        notes.append("Threshold 1 was left out: a false positive would weigh infinitely.")
        warnings.warn(notes[0], UsstatsWarning, stacklevel=4)
        at = at[:-1]
    if at.size == 0:
        msg = "`thresholds` holds no threshold below 1."
        raise RiskError(msg)
    if at[0] == 0:
        notes.append("At threshold 0 interventions_avoided is undefined (NaN).")
    return at, tuple(notes)


def _check_harm(harm: float | Mapping[str, float] | None, models: tuple[str, ...]) -> Vector:
    """Harm of each strategy; the references have none."""
    if harm is None:
        return np.zeros(len(models) + 2)
    by_model = harm if isinstance(harm, Mapping) else dict.fromkeys(models, harm)
    unknown = [name for name in by_model if name not in models]
    if unknown:
        msg = f"`harm` names {unknown[0]!r}, which is not one of the models {list(models)}."
        raise ArgumentError(msg)
    values = np.array([*(by_model.get(name, 0.0) for name in models), 0.0, 0.0], dtype=float)
    if not (np.isfinite(values) & (values >= 0)).all():
        msg = f"`harm` must be finite and not negative; got {harm!r}."
        raise ArgumentError(msg)
    return values


def _design_strata(
    y: NDArray[np.int64], cluster: ArrayLike | None, prevalence: float | None
) -> NDArray[np.int64] | None:
    """Cases and controls are resampled apart where their numbers were fixed by design."""
    who = check_cluster(cluster, y.size)
    if prevalence is None:
        return None
    mixed = who is not None and np.unique(np.c_[who, y], axis=0).shape[0] > who.max() + 1
    return None if mixed else y


def _check_follow_up(
    time: ArrayLike, event: ArrayLike, horizon: float
) -> tuple[Vector, NDArray[np.int64]]:
    times = check_finite(time, name="time")
    failed = check_outcome(event, name="event", require_both=False)
    check_lengths(time=times, event=failed)
    if (times < 0).any():
        msg = f"`time` must not be negative; {(times < 0).sum()} values are."
        raise ArgumentError(msg)
    if not 0 < horizon <= times.max():
        msg = (
            f"`horizon` must be positive and not after the end of follow-up ({times.max():g}); "
            f"got {horizon!r}."
        )
        raise ArgumentError(msg)
    if not (failed[times <= horizon] == 1).any():
        msg = f"No event happens by the horizon {horizon:g}: net benefit needs events."
        raise OutcomeError(msg)
    return times, failed
