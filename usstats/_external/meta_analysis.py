"""Random-effects meta-analysis of a handful of estimates, and the scales performance lives on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize_scalar

from usstats._intervals import normal_quantile

Float = np.float64
Vector = NDArray[Float]

#: Between-centre variance is looked for up to this multiple of the observed spread.
WIDEST = 10.0


@dataclass(frozen=True, kw_only=True)
class RandomEffects:
    """A mean over centres, and how far centres differ beyond chance.

    `std_error` is Hartung and Knapp's; limits are from Student's t on k - 1 df, the prediction
    interval for a new centre on k - 2.
    """

    estimate: float
    std_error: float
    low: float
    high: float
    prediction_low: float
    prediction_high: float
    tau: float
    i2: float
    q: float
    df: int
    p_value: float
    k: int


def random_effects(
    estimates: Vector, std_errors: Vector, *, method: str, conf_level: float
) -> RandomEffects:
    """Pool k estimates with their standard errors.

    Parameters
    ----------
    estimates, std_errors : ndarray, shape (k,)
        Finite; standard errors positive. With fewer than two everything but k is NaN.
    method : {"reml", "dl"}
        Between-centre variance by restricted maximum likelihood or DerSimonian and Laird.
    conf_level : float

    Notes
    -----
    Hartung and Knapp (2001), Stat Med 20:3875; Higgins et al. (2009), J R Stat Soc A 172:137 for
    the prediction interval; I2 by Higgins and Thompson's typical variance. R: ``metafor::rma(test
    = "knha")``.

    Examples
    --------
    >>> result = random_effects(np.array([0.1, 0.5, 0.9]), np.full(3, 0.1), method="dl",
    ...                         conf_level=0.95)
    >>> round(result.estimate, 3), round(result.i2, 3)
    (0.5, 0.938)
    """
    k = estimates.size
    if k < 2:
        return _undefined(k)
    v = std_errors**2
    tau2 = _reml(estimates, v) if method == "reml" else _dersimonian_laird(estimates, v)
    w = 1 / (v + tau2)
    mean = float(np.average(estimates, weights=w))
    error = float(np.sqrt((w * (estimates - mean) ** 2).sum() / ((k - 1) * w.sum())))
    half = special.stdtrit(k - 1, (1 + conf_level) / 2) * error
    spread = special.stdtrit(k - 2, (1 + conf_level) / 2) if k > 2 else np.nan
    reach = spread * np.sqrt(tau2 + error**2)
    q, df = _cochran(estimates, v)
    return RandomEffects(
        estimate=mean,
        std_error=error,
        low=mean - half,
        high=mean + half,
        prediction_low=mean - reach,
        prediction_high=mean + reach,
        tau=float(np.sqrt(tau2)),
        i2=float(tau2 / (tau2 + _typical_variance(v))),
        q=q,
        df=df,
        p_value=float(special.chdtrc(df, q)),
        k=k,
    )


def _undefined(k: int) -> RandomEffects:
    names = ("estimate", "std_error", "low", "high", "prediction_low", "prediction_high")
    unknown = dict.fromkeys((*names, "tau", "i2", "q", "p_value"), np.nan)
    return RandomEffects(df=max(k - 1, 0), k=k, **unknown)


def _cochran(y: Vector, v: Vector) -> tuple[float, int]:
    w = 1 / v
    return float((w * (y - np.average(y, weights=w)) ** 2).sum()), y.size - 1


def _typical_variance(v: Vector) -> float:
    w = 1 / v
    return float((v.size - 1) * w.sum() / (w.sum() ** 2 - (w**2).sum()))


def _dersimonian_laird(y: Vector, v: Vector) -> float:
    w = 1 / v
    q, df = _cochran(y, v)
    return max(0.0, (q - df) / float(w.sum() - (w**2).sum() / w.sum()))


def _reml(y: Vector, v: Vector) -> float:
    """Maximum of the restricted likelihood, looked for in tau and compared with tau = 0."""
    top = WIDEST * np.sqrt(y.var(ddof=1) + v.max())
    found = minimize_scalar(
        _minus_restricted,
        bounds=(0.0, top),
        args=(y, v),
        method="bounded",
        options={"xatol": 1e-10 * top},
    )
    polished = _fisher_steps(float(found.x) ** 2, y, v)
    return (
        polished if _minus_restricted(np.sqrt(polished), y, v) < _minus_restricted(0, y, v) else 0.0
    )


def _minus_restricted(tau: float, y: Vector, v: Vector) -> float:
    w = 1 / (v + tau**2)
    mean = np.average(y, weights=w)
    fit = (w * (y - mean) ** 2).sum()
    return float(0.5 * (fit - np.log(w).sum() + np.log(w.sum())))


def _fisher_steps(tau2: float, y: Vector, v: Vector) -> float:
    """Fisher scoring from a good start, to full precision."""
    for _ in range(20):
        w = 1 / (v + tau2)
        mean = np.average(y, weights=w)
        trace = w.sum() - (w**2).sum() / w.sum()
        score = (w**2 * (y - mean) ** 2).sum() - trace
        information = (w**2).sum() - 2 * (w**3).sum() / w.sum() + ((w**2).sum() / w.sum()) ** 2
        tau2 = max(0.0, tau2 + float(score / information))
    return tau2


def logit_scale(estimate: float, std_error: float) -> tuple[float, float]:
    """A proportion-like estimate on the logit scale, with its delta-method error.

    >>> tuple(round(v, 6) for v in logit_scale(0.8, 0.04))
    (1.386294, 0.25)
    """
    return float(special.logit(estimate)), float(std_error / (estimate * (1 - estimate)))


def logit_limits(estimate: float, std_error: float, conf_level: float) -> tuple[float, float]:
    """Wald limits made on the logit scale, inside (0, 1)."""
    centre, error = logit_scale(estimate, std_error)
    half = normal_quantile(conf_level) * error
    return float(special.expit(centre - half)), float(special.expit(centre + half))
