"""Sample size and power of one AUC against a null value, and of the difference of two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from usstats._check import (
    check_finite,
    check_inside,
    check_lengths,
    check_outcome,
)
from usstats._intervals import normal_quantile
from usstats._roc.placements import auc_covariance, place
from usstats._sizes.result import SampleSize, required, whole
from usstats.errors import ArgumentError

Pilot = tuple[ArrayLike, ArrayLike, ArrayLike]


@dataclass(frozen=True, kw_only=True)
class _Test:
    """A two-sided normal test: the difference, and its variance times the number of events."""

    difference: float
    null_variance: float
    variance: float
    ratio: float

    def n_event(self, power: float, significance: float) -> float:
        """n = (z_a sqrt(V_0) + z_b sqrt(V_A))^2 / d^2."""
        z_a, z_b = normal_quantile(1 - significance), float(special.ndtri(power))
        total = z_a * math.sqrt(self.null_variance) + z_b * math.sqrt(self.variance)
        return (total / self.difference) ** 2

    def power(self, n_event: float, significance: float) -> float:
        z_a = normal_quantile(1 - significance)
        signal = math.sqrt(n_event) * abs(self.difference) - z_a * math.sqrt(self.null_variance)
        return float(special.ndtr(signal / math.sqrt(self.variance)))


def sample_size_auc(
    auc: float,
    *,
    auc_null: float = 0.5,
    power: float = 0.9,
    significance: float = 0.05,
    ratio: float = 1.0,
) -> SampleSize:
    """Cases needed to show that an AUC differs from a null value.

    Parameters
    ----------
    auc, auc_null : float
        Expected value and the value to be excluded, both in [0.5, 1).
    power : float
    significance : float
        Two-sided.
    ratio : float
        Non-events per event.

    Returns
    -------
    SampleSize
        `criteria` holds n_event and n_nonevent before rounding; `n` is the sum after it.

    Raises
    ------
    ArgumentError

    References
    ----------
    Obuchowski, Lieber and Wians (2004), Clin Chem 50:1118. R: pROC::power.roc.test(auc = ).

    Examples
    --------
    >>> needed = sample_size_auc(0.8, power=0.9)
    >>> round(float(needed.criteria["n_event"].iloc[0]), 3), needed.n
    (16.619, 34)
    """
    return _size(
        _against_null(auc, auc_null, ratio),
        power,
        significance,
        criterion="one AUC",
        method="Obuchowski et al. 2004",
    )


def power_auc(
    auc: float,
    *,
    auc_null: float = 0.5,
    n_event: int,
    n_nonevent: int,
    significance: float = 0.05,
) -> float:
    """Power of the test of `sample_size_auc` with given numbers of cases.

    Examples
    --------
    >>> round(power_auc(0.75, n_event=40, n_nonevent=60), 4)
    0.9946
    """
    n = check_inside(n_event, 1, math.inf, name="n_event")
    ratio = check_inside(n_nonevent, 1, math.inf, name="n_nonevent") / n
    level = check_inside(significance, 0, 1, name="significance")
    return _against_null(auc, auc_null, ratio).power(n, level)


def sample_size_auc_difference(
    auc_1: float | None = None,
    auc_2: float | None = None,
    *,
    correlation: float | None = None,
    pilot: Pilot | None = None,
    power: float = 0.9,
    significance: float = 0.05,
    ratio: float = 1.0,
) -> SampleSize:
    """Cases needed to show that two AUCs differ.

    Parameters
    ----------
    auc_1, auc_2 : float, optional
        Expected AUCs of the two scores.
    correlation : float, optional
        Correlation of the two scores within events and within non-events when both are read on the
        same cases; left out, the curves come from different patients and `n` counts one of the
        two groups.
    pilot : (y, s_1, s_2), optional
        Pilot data instead: AUCs, DeLong's covariance and the ratio are taken from it.
    power : float
    significance : float
        Two-sided.
    ratio : float
        Non-events per event.

    Returns
    -------
    SampleSize

    Raises
    ------
    ArgumentError

    References
    ----------
    Obuchowski and McClish (1997), Stat Med 16:1529, with the variance of the empirical AUC under
    binormal scores instead of the fitted one, because DeLong's test is the one that follows; under
    the null hypothesis both AUCs are their mean. R: pROC::power.roc.test(roc1, roc2) for the pilot,
    whose null variance 2 var(AUC_1) - 2 cov is kept.

    Examples
    --------
    >>> unpaired = sample_size_auc_difference(0.85, 0.75)
    >>> paired = sample_size_auc_difference(0.85, 0.75, correlation=0.6)
    >>> unpaired.n, paired.n
    (396, 180)
    """
    test = _difference(auc_1, auc_2, correlation, pilot, ratio)
    return _size(
        test,
        power,
        significance,
        criterion="difference of two AUCs",
        method="Obuchowski and McClish 1997",
    )


def power_auc_difference(
    auc_1: float | None = None,
    auc_2: float | None = None,
    *,
    n_event: int,
    n_nonevent: int | None = None,
    correlation: float | None = None,
    pilot: Pilot | None = None,
    significance: float = 0.05,
) -> float:
    """Power of the test of `sample_size_auc_difference` with given numbers of cases.

    `n_nonevent` is left out with a pilot, whose ratio of non-events to events is kept.

    Examples
    --------
    >>> round(power_auc_difference(0.85, 0.75, n_event=90, n_nonevent=90, correlation=0.6), 2)
    0.9
    """
    n = check_inside(n_event, 1, math.inf, name="n_event")
    non_events = n if n_nonevent is None else n_nonevent
    ratio = check_inside(non_events, 1, math.inf, name="n_nonevent") / n
    level = check_inside(significance, 0, 1, name="significance")
    return _difference(auc_1, auc_2, correlation, pilot, ratio).power(n, level)


def _size(
    test: _Test, power: float, significance: float, *, criterion: str, method: str
) -> SampleSize:
    target = check_inside(power, 0, 1, name="power")
    level = check_inside(significance, 0, 1, name="significance")
    n_event = test.n_event(target, level)
    n_nonevent = n_event * test.ratio
    row = {
        "criterion": criterion,
        "n": whole(n_event) + whole(n_nonevent),
        "n_event": n_event,
        "n_nonevent": n_nonevent,
        "power": target,
        "significance": level,
    }
    share = 1 / (1 + test.ratio)
    return required(criterion, [row], method=method, event_rate=share)


def _check_auc(auc: float | None, name: str) -> float:
    return check_inside(auc, 0.5 - 1e-12, 1, name=name)


def _check_different(first: float, second: float) -> float:
    if first == second:
        msg = f"Both AUCs are {first:g}: no number of cases shows a difference that is not there."
        raise ArgumentError(msg)
    return first - second


def _against_null(auc: float, auc_null: float, ratio: float) -> _Test:
    kappa = check_inside(ratio, 0, math.inf, name="ratio")
    expected, null = _check_auc(auc, "auc"), _check_auc(auc_null, "auc_null")
    return _Test(
        difference=_check_different(expected, null),
        null_variance=_variance_of_auc(null, kappa),
        variance=_variance_of_auc(expected, kappa),
        ratio=kappa,
    )


def _variance_of_auc(auc: float, kappa: float) -> float:
    """Obuchowski's binormal variance of an AUC, times the number of events."""
    a = 1.414 * float(special.ndtri(auc))
    return 0.0099 * math.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) / kappa)


def _difference(
    auc_1: float | None,
    auc_2: float | None,
    correlation: float | None,
    pilot: Pilot | None,
    ratio: float,
) -> _Test:
    if (pilot is None) == (auc_1 is None or auc_2 is None):
        msg = "Give either both expected AUCs or a `pilot` of (y, s_1, s_2)."
        raise ArgumentError(msg)
    if pilot is not None:
        return _from_pilot(*pilot)
    first, second = _check_auc(auc_1, "auc_1"), _check_auc(auc_2, "auc_2")
    kappa = check_inside(ratio, 0, math.inf, name="ratio")
    r = 0.0 if correlation is None else check_inside(correlation, -1, 1, name="correlation")
    middle = (first + second) / 2
    return _Test(
        difference=_check_different(first, second),
        null_variance=_variance_of_difference(middle, middle, r, kappa),
        variance=_variance_of_difference(first, second, r, kappa),
        ratio=kappa,
    )


def _variance_of_difference(auc_1: float, auc_2: float, r: float, kappa: float) -> float:
    variances = sum(binormal_covariance(auc, auc, 1.0, kappa) for auc in (auc_1, auc_2))
    return variances - 2 * binormal_covariance(auc_1, auc_2, r, kappa)


def _from_pilot(y: ArrayLike, s_1: ArrayLike, s_2: ArrayLike) -> _Test:
    outcome = check_outcome(y)
    first, second = check_finite(s_1, name="s_1"), check_finite(s_2, name="s_2")
    check_lengths(y=outcome, s_1=first, s_2=second)
    placed = [place(outcome, s) for s in (first, second)]
    n_event = placed[0].n_event
    values = np.stack([placements.values for placements in placed], axis=1)
    v = n_event * auc_covariance(values, placed[0].event)
    null_variance = float(2 * v[0, 0] - 2 * v[0, 1])
    if not null_variance > 0:
        msg = "The pilot's scores agree so closely that the difference has no null variance."
        raise ArgumentError(msg)
    return _Test(
        difference=_check_different(placed[0].auc, placed[1].auc),
        null_variance=null_variance,
        variance=float(v[0, 0] + v[1, 1] - 2 * v[0, 1]),
        ratio=placed[0].n_nonevent / n_event,
    )


def binormal_covariance(auc_1: float, auc_2: float, correlation: float, ratio: float) -> float:
    """Covariance of two empirical AUCs on the same cases, times the number of events, for large n.

    Both scores are normal with equal variances in events and non-events, and correlated alike in
    either. Two pairs that share their event (or their non-event) then agree with the probability
    that two normals with correlation r / 2 do; r = 1 and one AUC give its variance.

    Examples
    --------
    >>> round(binormal_covariance(0.8, 0.7, 0.5, 2.0), 4)
    0.0387
    """
    z = [float(special.ndtri(auc)) for auc in (auc_1, auc_2)]
    rho = correlation / 2
    both = float(stats.multivariate_normal.cdf(z, mean=[0, 0], cov=[[1, rho], [rho, 1]]))
    return (both - auc_1 * auc_2) * (1 + 1 / ratio)
