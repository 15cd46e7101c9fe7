"""Riley's criteria for developing a prediction model: small overfitting, a precise overall risk."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from usstats._check import check_count, check_inside
from usstats._intervals import normal_quantile
from usstats._sizes.result import SampleSize, required, whole
from usstats.errors import ArgumentError

#: pmsampsize takes the maximum R2 of a survival model from this many patients.
_SURVIVAL_REFERENCE_N = 10_000


def sample_size_development(
    parameters: int,
    prevalence: float,
    *,
    auc: float | None = None,
    r2_cox_snell: float | None = None,
    r2_nagelkerke: float | None = None,
    shrinkage: float = 0.9,
    optimism: float = 0.05,
    margin: float = 0.05,
    conf_level: float = 0.95,
) -> SampleSize:
    """Patients needed to develop a logistic model.

    Parameters
    ----------
    parameters : int
        Candidate predictor parameters: a three-knot spline counts 2, a factor of c levels c - 1,
        and every variable that was looked at counts, kept or not.
    prevalence : float
        Expected proportion of events.
    auc, r2_cox_snell, r2_nagelkerke : float
        The anticipated performance; exactly one of them. An AUC is turned into an R2 by
        integrating over normal linear predictors of events and non-events.
    shrinkage : float
        Least expected uniform shrinkage (criterion 1).
    optimism : float
        Largest expected optimism in Nagelkerke's R2 (criterion 2).
    margin : float
        Half-width of the interval of the overall risk (criterion 3).
    conf_level : float
        Level of that interval.

    Returns
    -------
    SampleSize
        Criteria "shrinkage", "optimism" and "overall risk".

    Raises
    ------
    ArgumentError

    References
    ----------
    Riley et al. (2019), Stat Med 38:1276; Riley et al. (2020), BMJ 368:m441; for the AUC Riley,
    Van Calster and Collins (2021), Stat Med 40:859. R: pmsampsize(type = "b"), which simulates
    the linear predictors of an AUC and so moves by a patient or two from run to run.

    Examples
    --------
    >>> needed = sample_size_development(6, 0.42, auc=0.85)
    >>> needed.criteria["n"].tolist(), needed.n
    ([126, 129, 375], 375)
    >>> needed.assess(275)
    '275 patients are 100 short of the 375 that development requires (unmet: overall risk).'
    """
    p = check_count(parameters, name="parameters")
    phi = check_inside(prevalence, 0, 1, name="prevalence")
    max_r2 = 1 - math.exp(2 * _binary_null_log_likelihood(phi))
    r2 = _anticipated_r2(
        max_r2, r2_cox_snell, r2_nagelkerke, auc=auc, from_auc=lambda c: cox_snell_of_auc(c, phi)
    )
    overall = _precise_proportion(phi, margin=margin, conf_level=conf_level)
    rows = _criteria(p, r2, max_r2, phi, shrinkage=shrinkage, optimism=optimism, overall=overall)
    return required("development", rows, method="Riley et al. 2020", event_rate=phi)


def sample_size_development_survival(
    parameters: int,
    rate: float,
    *,
    horizon: float,
    mean_follow_up: float,
    r2_cox_snell: float | None = None,
    r2_nagelkerke: float | None = None,
    shrinkage: float = 0.9,
    optimism: float = 0.05,
    margin: float = 0.05,
    conf_level: float = 0.95,
) -> SampleSize:
    """Patients needed to develop a time-to-event model.

    Parameters
    ----------
    parameters : int
        Candidate predictor parameters.
    rate : float
        Expected events per unit of time.
    horizon : float
        The time the risk is predicted for.
    mean_follow_up : float
        Mean follow-up a patient, in the same unit.
    r2_cox_snell, r2_nagelkerke : float
        The anticipated performance; exactly one of them.
    shrinkage, optimism, margin, conf_level : float
        As in `sample_size_development`; the margin is that of the risk at the horizon.

    Returns
    -------
    SampleSize

    Raises
    ------
    ArgumentError

    References
    ----------
    Riley et al. (2019), Stat Med 38:1276. R: pmsampsize(type = "s"), which prints for the third
    criterion the larger of the first two where that is precise enough; here it is the smallest
    number that is.

    Examples
    --------
    >>> sample_size_development_survival(
    ...     30, 0.065, horizon=2, mean_follow_up=2.07, r2_cox_snell=0.051).n
    5143
    """
    p = check_count(parameters, name="parameters")
    per_time = check_inside(rate, 0, math.inf, name="rate")
    follow_up = check_inside(mean_follow_up, 0, math.inf, name="mean_follow_up")
    at = check_inside(horizon, 0, math.inf, name="horizon")
    max_r2 = 1 - math.exp(2 * _survival_null_log_likelihood(per_time * follow_up))
    r2 = _anticipated_r2(max_r2, r2_cox_snell, r2_nagelkerke)
    overall = _precise_risk(per_time, at, follow_up, margin=margin, conf_level=conf_level)
    rows = _criteria(
        p, r2, max_r2, per_time * follow_up, shrinkage=shrinkage, optimism=optimism, overall=overall
    )
    return required(
        "development", rows, method="Riley et al. 2019", event_rate=per_time * follow_up
    )


def cox_snell_of_auc(auc: float, prevalence: float) -> float:
    """Cox and Snell's R2 of a model whose linear predictor is normal in events and non-events.

    With variance 1 and means 0 and d = sqrt(2) Phi^-1(AUC) the logit of the risk is linear in the
    linear predictor, so the likelihood ratio is an integral and needs no simulation.

    Examples
    --------
    >>> round(cox_snell_of_auc(0.85, 0.42), 3)
    0.341
    """
    d = math.sqrt(2) * float(special.ndtri(check_inside(auc, 0.5, 1, name="auc")))
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    constant = float(special.logit(prevalence)) - d**2 / 2
    log_likelihood = prevalence * weights @ special.log_expit(constant + d * (nodes + d))
    log_likelihood += (1 - prevalence) * weights @ special.log_expit(-(constant + d * nodes))
    gain = float(log_likelihood) - _binary_null_log_likelihood(prevalence)
    return 1 - math.exp(-2 * gain)


def _criteria(
    parameters: int,
    r2: float,
    max_r2: float,
    events_per_patient: float,
    *,
    shrinkage: float,
    optimism: float,
    overall: int,
) -> list[dict[str, object]]:
    s_1 = check_inside(shrinkage, 0, 1, name="shrinkage")
    s_2 = r2 / (r2 + check_inside(optimism, 0, 1, name="optimism") * max_r2)
    sizes = {
        "shrinkage": (_size_for_shrinkage(parameters, r2, s_1), s_1),
        "optimism": (_size_for_shrinkage(parameters, r2, s_2), s_2),
        "overall risk": (overall, max(s_1, s_2)),
    }
    return [
        {
            "criterion": name,
            "n": n,
            "n_event": n * events_per_patient,
            "shrinkage": s,
            "parameters": parameters,
            "r2_cox_snell": r2,
            "r2_max": max_r2,
            "r2_nagelkerke": r2 / max_r2,
            "events_per_parameter": n * events_per_patient / parameters,
        }
        for name, (n, s) in sizes.items()
    ]


def _size_for_shrinkage(parameters: int, r2: float, shrinkage: float) -> int:
    """n = p / ((S - 1) ln(1 - R2 / S))."""
    if r2 >= shrinkage:
        msg = (
            f"A Cox-Snell R2 of {r2:.3g} is not below the shrinkage of {shrinkage:.3g} asked for: "
            "no sample size follows from it. Check the anticipated performance."
        )
        raise ArgumentError(msg)
    return whole(parameters / ((shrinkage - 1) * math.log1p(-r2 / shrinkage)))


def _anticipated_r2(
    max_r2: float,
    cox_snell: float | None,
    nagelkerke: float | None,
    *,
    auc: float | None = None,
    from_auc: Callable[[float], float] | None = None,
) -> float:
    if sum(value is not None for value in (cox_snell, nagelkerke, auc)) != 1:
        offered = (
            "`r2_cox_snell` or `r2_nagelkerke`"
            if from_auc is None
            else ("`auc`, `r2_cox_snell` or `r2_nagelkerke`")
        )
        msg = f"Give the anticipated performance exactly once: {offered}."
        raise ArgumentError(msg)
    if auc is not None and from_auc is not None:
        return from_auc(auc)
    if nagelkerke is not None:
        r2 = check_inside(nagelkerke, 0, 1, name="r2_nagelkerke") * max_r2
        return round(r2, 3) or r2  # pmsampsize works with three decimals
    return check_inside(cox_snell, 0, max_r2, name="r2_cox_snell")


def _binary_null_log_likelihood(prevalence: float) -> float:
    """Per patient."""
    return float(prevalence * math.log(prevalence) + (1 - prevalence) * math.log1p(-prevalence))


def _survival_null_log_likelihood(events_per_patient: float) -> float:
    """Per patient, of an exponential model; E ln(E / n) - E over n."""
    rate = math.ceil(events_per_patient * _SURVIVAL_REFERENCE_N) / _SURVIVAL_REFERENCE_N
    return rate * math.log(rate) - rate


def _precise_proportion(phi: float, *, margin: float, conf_level: float) -> int:
    """Smallest n whose Wald interval of the prevalence is +- margin."""
    z = normal_quantile(conf_level)
    return whole((z / check_inside(margin, 0, 1, name="margin")) ** 2 * phi * (1 - phi))


def _precise_risk(
    rate: float, horizon: float, follow_up: float, *, margin: float, conf_level: float
) -> int:
    """Smallest n whose interval of 1 - exp(-rate t) reaches no further than `margin`."""
    z, reach = normal_quantile(conf_level), check_inside(margin, 0, 1, name="margin")

    def excess(n: float) -> float:
        half = z * math.sqrt(rate / (follow_up * n))
        risk = -math.expm1(-rate * horizon)
        low, high = (-math.expm1(-(rate + side * half) * horizon) for side in (-1, 1))
        return max(risk - low, high - risk) - reach

    if excess(1) <= 0:
        return 1
    return whole(optimize.brentq(excess, 1, 1e12, xtol=1e-6))
