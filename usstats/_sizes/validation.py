"""Sample size of an external validation: each measure with an interval of given width."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, special, stats

from usstats._check import check_inside, check_option
from usstats._intervals import normal_quantile
from usstats._sizes.result import SampleSize, required, whole
from usstats.errors import ArgumentError

Float = np.float64

_LARGEST = 1e9


def sample_size_validation(
    prevalence: float,
    auc: float,
    *,
    lp_mean: float | None = None,
    lp_sd: float | None = None,
    oe_width: float = 0.2,
    slope_width: float = 0.2,
    auc_width: float = 0.1,
    threshold: float | None = None,
    sensitivity: float | None = None,
    specificity: float | None = None,
    net_benefit_width: float = 0.2,
    conf_level: float = 0.95,
) -> SampleSize:
    """Patients needed to validate a risk model externally.

    Parameters
    ----------
    prevalence : float
        Expected proportion of events.
    auc : float
        Expected AUC.
    lp_mean, lp_sd : float
        Normal distribution of the linear predictor in the validation population. Without it the
        one that has this prevalence and this AUC is used: the mixture of two normals.
    oe_width, slope_width, auc_width : float
        Widths of the intervals of O:E, calibration slope and AUC.
    threshold, sensitivity, specificity : float, optional
        Threshold probability and the expected accuracy there: adds the criterion of standardised
        net benefit.
    net_benefit_width : float
        Width of its interval.
    conf_level : float

    Returns
    -------
    SampleSize
        Criteria "oe_ratio", "calibration_slope", "auc" and, where asked,
        "standardized_net_benefit", each with its `std_error`. The flexible calibration curve
        wants 100 events and 100 non-events besides (R18); `n_event` tells.

    Raises
    ------
    ArgumentError

    References
    ----------
    Riley et al. (2021), Stat Med 40:4230. R: pmvalsampsize(type = "b"), which simulates the linear
    predictor and searches standard errors in steps of 1e-4; here both are solved for.

    Examples
    --------
    >>> needed = sample_size_validation(0.4, 0.85)
    >>> dict(zip(needed.criteria["criterion"], needed.criteria["n"]))
    {'oe_ratio': 579, 'calibration_slope': 1644, 'auc': 243}
    """
    phi = check_inside(prevalence, 0, 1, name="prevalence")
    c = check_inside(auc, 0.5, 1, name="auc")
    z = normal_quantile(conf_level)
    rows = [
        _oe_row(phi, z, check_inside(oe_width, 0, math.inf, name="oe_width")),
        _slope_row(
            _information(phi, c, lp_mean, lp_sd),
            check_inside(slope_width, 0, math.inf, name="slope_width") / (2 * z),
        ),
        _auc_row(phi, c, z, check_inside(auc_width, 0, 1, name="auc_width")),
    ]
    at = (threshold, sensitivity, specificity)
    if any(value is not None for value in at):
        width = check_inside(net_benefit_width, 0, math.inf, name="net_benefit_width")
        rows.append(_net_benefit_row(phi, width / (2 * z), *_accuracy_at(*at)))
    return required("external validation", rows, method="Riley et al. 2021", event_rate=phi)


def sample_size_accuracy(
    expected: float,
    prevalence: float,
    *,
    measure: str = "sensitivity",
    margin: float = 0.05,
    relative: bool = False,
    conf_level: float = 0.95,
) -> SampleSize:
    """Patients needed to estimate sensitivity or specificity to a margin.

    Parameters
    ----------
    expected : float
        Expected sensitivity (specificity).
    prevalence : float
        Proportion of diseased patients among those enrolled.
    measure : {"sensitivity", "specificity"}
    margin : float
        Half-width of the interval; of the expected value's size when `relative`.
    relative : bool
    conf_level : float

    Returns
    -------
    SampleSize

    Raises
    ------
    ArgumentError

    References
    ----------
    Buderer (1996), Acad Emerg Med 3:895. R: epiR::epi.ssdxsesp.

    Examples
    --------
    >>> sample_size_accuracy(0.9, 0.3, margin=0.05).n
    461
    """
    check_option(measure, ("sensitivity", "specificity"), name="measure")
    phi = check_inside(prevalence, 0, 1, name="prevalence")
    accuracy = check_inside(expected, 0, 1, name="expected")
    half = check_inside(margin, 0, 1, name="margin") * (accuracy if relative else 1)
    n_class = normal_quantile(conf_level) ** 2 * accuracy * (1 - accuracy) / half**2
    n = whole(n_class / (phi if measure == "sensitivity" else 1 - phi))
    row = {"criterion": measure, "n": n, "n_event": n * phi, "estimate": accuracy, "margin": half}
    return required("accuracy", [row], method="Buderer 1996", event_rate=phi)


def _row(criterion: str, n: float, phi: float, estimate: float, se: float) -> dict[str, object]:
    if not n < _LARGEST:
        msg = f"The width asked for {criterion} would need more than {_LARGEST:g} patients."
        raise ArgumentError(msg)
    size = whole(n)
    return {
        "criterion": criterion,
        "n": size,
        "n_event": size * phi,
        "estimate": estimate,
        "std_error": se,
    }


def _oe_row(phi: float, z: float, width: float) -> dict[str, object]:
    """exp(z se) - exp(-z se) = width; var(ln O:E) = (1 - phi) / (n phi)."""
    se = math.asinh(width / 2) / z
    return _row("oe_ratio", (1 - phi) / (phi * se**2), phi, 1.0, se)


def _slope_row(information: NDArray[Float], se: float) -> dict[str, object]:
    """var(slope) = I_00 / (n (I_00 I_11 - I_01^2)) for the information of one patient."""
    i_00, i_01, i_11, phi = information
    n = i_00 / (se**2 * (i_00 * i_11 - i_01**2))
    return _row("calibration_slope", float(n), float(phi), 1.0, se)


def _auc_row(phi: float, c: float, z: float, width: float) -> dict[str, object]:
    """Smallest n whose interval of the AUC is no wider than `width`."""
    target = width / (2 * z)
    log_n = optimize.brentq(
        lambda x: hanley_mcneil_newcombe(c, math.exp(x), phi) - target**2, 0, math.log(_LARGEST)
    )
    n = whole(math.exp(log_n))
    return _row("auc", n, phi, c, math.sqrt(hanley_mcneil_newcombe(c, n, phi)))


def hanley_mcneil_newcombe(auc: float, n: float, prevalence: float) -> float:
    """Variance of an AUC from n patients (Newcombe 2006, method 4).

    Examples
    --------
    >>> round(hanley_mcneil_newcombe(0.8, 4252, 0.018) ** 0.5, 4)
    0.0255
    """
    extra = n / 2 - 1
    spread = 1 + extra * (1 - auc) / (2 - auc) + extra * auc / (1 + auc)
    return auc * (1 - auc) * spread / (n**2 * prevalence * (1 - prevalence))


def _net_benefit_row(
    phi: float, se: float, threshold: float, sensitivity: float, specificity: float
) -> dict[str, object]:
    """Delta-method variance of Se - w (1 - Sp), w the odds of threshold and of non-events."""
    w = (1 - phi) / phi * threshold / (1 - threshold)
    one_patient = (
        sensitivity * (1 - sensitivity) / phi
        + w**2 * specificity * (1 - specificity) / (1 - phi)
        + w**2 * (1 - specificity) ** 2 / (phi * (1 - phi))
    )
    benefit = sensitivity - w * (1 - specificity)
    return _row("standardized_net_benefit", one_patient / se**2, phi, benefit, se)


def _accuracy_at(
    threshold: float | None, sensitivity: float | None, specificity: float | None
) -> tuple[float, float, float]:
    if threshold is None or sensitivity is None or specificity is None:
        msg = "Net benefit needs `threshold`, `sensitivity` and `specificity` together."
        raise ArgumentError(msg)
    return (
        check_inside(threshold, 0, 1, name="threshold"),
        check_inside(sensitivity, 0, 1, name="sensitivity"),
        check_inside(specificity, 0, 1, name="specificity"),
    )


def _information(
    phi: float, auc: float, lp_mean: float | None, lp_sd: float | None
) -> NDArray[Float]:
    """E[w], E[w lp], E[w lp^2] with w = p (1 - p) over the lp; and the prevalence."""
    if (lp_mean is None) != (lp_sd is None):
        msg = "Give `lp_mean` and `lp_sd` together, or neither."
        raise ArgumentError(msg)
    if lp_mean is not None:
        mean = check_inside(lp_mean, -math.inf, math.inf, name="lp_mean")
        parts = [(1.0, mean, check_inside(lp_sd, 0, math.inf, name="lp_sd"))]
    else:
        d = math.sqrt(2) * float(special.ndtri(auc))
        middle = float(special.logit(phi))
        parts = [(1 - phi, middle - d**2 / 2, d), (phi, middle + d**2 / 2, d)]
    moments = sum(
        share * np.array([_weighted_moment(k, mean, sd) for k in range(3)])
        for share, mean, sd in parts
    )
    return np.append(moments, phi)


def _weighted_moment(power: int, mean: float, sd: float) -> float:
    """E[p (1 - p) lp^power] for a normal linear predictor."""

    def integrand(x: float) -> float:
        p = special.expit(x)
        return float(p * (1 - p) * x**power * stats.norm.pdf(x, mean, sd))

    value, _ = integrate.quad(integrand, mean - 12 * sd, mean + 12 * sd, limit=200)
    return float(value)
