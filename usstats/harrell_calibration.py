"""What R's `val.prob` and its neighbours print about a set of risks, for those who ask for it.

None of this is part of a default report: tests of calibration reward small samples (rule R09).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from scipy.optimize import brentq

from usstats._calibration.flexible import distances
from usstats._calibration.goodness_of_fit import spiegelhalter
from usstats._calibration.recalibration import Vector, _shift, finite_logit
from usstats._check import check_lengths, check_outcome, check_risk
from usstats._fits.likelihood import log_likelihood
from usstats._intervals import check_conf_level
from usstats._validation.corrected_curves import smooth_calibration
from usstats._validation.indexes import rank_indexes, recalibrate
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.proportions import wilson

__all__ = ["calibration_groups", "calibration_indexes", "calibration_limits", "lowess_curve"]

#: Standard errors from the estimate within which a profile limit is looked for.
REACH = 40.0


def calibration_indexes(y: ArrayLike, p: ArrayLike) -> pd.DataFrame:
    """The indexes of R's `rms::val.prob`, with their tests.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool.
    p : array_like, shape (n,)
        Predicted probability of the event, from a model fitted elsewhere.

    Returns
    -------
    DataFrame
        measure, estimate, statistic, df, p_value, n, n_event. Rows: auc and dxy (exact ties;
        val.prob bins risks to 0.002), nagelkerke_r2 and discrimination_index (D) of the risks as
        they are given, unreliability_index (U, with the 2 df test of intercept 0 and slope 1),
        quality_index (D - U), brier, log_loss (a patient), recalibration_intercept,
        calibration_slope, emax_lowess, e90_lowess, e50_lowess, eavg_lowess (distances from a
        lowess curve without robustness iterations), and spiegelhalter's z.

    Raises
    ------
    OutcomeError, RiskError, PairingError

    Warns
    -----
    SmallSampleWarning
        No slope exists (equal or separating risks): what depends on it is NaN.

    Notes
    -----
    D = (LR - 1) / n and U = (LR of the recalibration - 2) / n (Miller et al. 1991, Stat Med
    10:1213; Harrell 2015). A large p value is no evidence of calibration.

    Examples
    --------
    >>> p = np.linspace(0.05, 0.95, 60)
    >>> table = calibration_indexes(np.tile([0, 0, 1, 0, 1, 1], 10), p).set_index("measure")
    >>> float(table.loc["unreliability_index", "statistic"].round(2))
    17.9...
    """
    outcome, risk, n = _checked(y, p)
    lp = finite_logit(risk)
    y_1 = outcome.astype(float)
    one = np.ones((1, n))
    a, b, recalibrated = (float(v[0]) for v in recalibrate(lp[None], y_1, one))
    if np.isnan(b):
        msg = "The calibration slope does not exist; U, Q and the recalibration are NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
    given = float(log_likelihood(lp[None], y_1, one)[0])
    null = _null(y_1)
    area = float(rank_indexes(risk[None], y_1, one)[0][0])
    near = distances(risk, _lowess_at(y_1, risk, risk))
    discrimination, unreliability = 2 * (given - null), 2 * (recalibrated - given)
    D, U = (discrimination - 1) / n, (unreliability - 2) / n
    tested = spiegelhalter(outcome, risk).iloc[0]
    rows = [
        _row("auc", area),
        _row("dxy", 2 * area - 1),
        _row("nagelkerke_r2", np.expm1(-discrimination / n) / np.expm1(2 * null / n)),
        _row("discrimination_index", D, discrimination, 1),
        _row("unreliability_index", U, unreliability, 2),
        _row("quality_index", D - U),
        _row("brier", float(((risk - y_1) ** 2).mean())),
        _row("log_loss", -given / n),
        _row("recalibration_intercept", a),
        _row("calibration_slope", b),
        _row("emax_lowess", near[3]),
        _row("e90_lowess", near[2]),
        _row("e50_lowess", near[1]),
        _row("eavg_lowess", near[0]),
        {"measure": "spiegelhalter", **tested[["statistic", "p_value"]]},
    ]
    columns = ["measure", "estimate", "statistic", "df", "p_value"]
    return pd.DataFrame(rows, columns=columns).assign(n=n, n_event=int(outcome.sum()))


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[NDArray[np.int64], Vector, int]:
    outcome, risk = check_outcome(y), check_risk(p)
    return outcome, risk, check_lengths(y=outcome, p=risk)


def _null(y: Vector) -> float:
    share = y.mean()
    return float(-y.size * (special.entr(share) + special.entr(1 - share)))


def _row(
    name: str, estimate: float, statistic: float = np.nan, df: float = np.nan
) -> dict[str, Any]:
    """A measure, and where it has one its chi-square test."""
    chi2 = max(statistic, 0.0) if np.isfinite(statistic) else np.nan
    return {
        "measure": name,
        "estimate": float(estimate),
        "statistic": statistic,
        "df": df,
        "p_value": float(stats.chi2.sf(chi2, df)),
    }


def lowess_curve(y: ArrayLike, p: ArrayLike, *, at: ArrayLike | None = None) -> pd.DataFrame:
    """The lowess calibration curve of `rms::val.prob`: span 2/3, no robustness iterations.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Outcome and predicted risk.
    at : array_like, optional
        Where to read the curve; by default at the distinct risks. NaN outside their range.

    Returns
    -------
    DataFrame
        predicted, observed.

    Raises
    ------
    OutcomeError, RiskError, PairingError

    Notes
    -----
    R: ``approx(lowess(p, y, iter = 0), xout = at, ties = mean)``.

    Examples
    --------
    >>> p = np.linspace(0.05, 0.95, 60)
    >>> lowess_curve(np.tile([0, 0, 1, 0, 1, 1], 10), p, at=[0.5]).round(2)
       predicted  observed
    0        0.5       0.5
    """
    outcome, risk, _ = _checked(y, p)
    points = np.unique(risk) if at is None else np.atleast_1d(np.asarray(at, dtype=float))
    observed = _lowess_at(outcome.astype(float), risk, points)
    return pd.DataFrame({"predicted": points, "observed": observed})


def _lowess_at(y: Vector, p: Vector, at: Vector) -> Vector:
    """Smoothed outcome, read off by linear interpolation; equal risks share their mean."""
    if np.ptp(p) == 0:
        return np.where(at == p[0], y.mean(), np.nan)
    return smooth_calibration(p, y, at)


def calibration_limits(y: ArrayLike, p: ArrayLike, *, conf_level: float = 0.95) -> pd.DataFrame:
    """Limits that need no symmetry: profile likelihood for intercept and slope, exact for O:E.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Outcome and predicted risk; rows are taken as independent patients.
    conf_level : float

    Returns
    -------
    DataFrame
        measure (calibration_in_the_large, calibration_slope, oe_ratio), estimate, conf_low,
        conf_high, conf_level, method, n, n_event. The slope is profiled over its intercept; the
        limits of O:E are those of a Poisson count of events over the expected number.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        The slope does not exist (NaN).

    Notes
    -----
    R: ``confint(glm(...))`` of MASS, which interpolates the profile and agrees to about 1e-5;
    ``epitools::pois.exact``.

    Examples
    --------
    >>> p = np.linspace(0.05, 0.95, 60)
    >>> calibration_limits(np.tile([0, 0, 1, 0, 1, 1], 10), p)["method"].tolist()
    ['profile likelihood', 'profile likelihood', 'exact poisson']
    """
    level = check_conf_level(conf_level)
    outcome, risk, n = _checked(y, p)
    y_1, lp = outcome.astype(float), finite_logit(risk)
    half = float(stats.chi2.ppf(level, 1)) / 2
    shift, error = _shift(lp, y_1, None)
    in_the_large = (shift, *_profile(lambda a: _fixed(lp + a, y_1), shift, error, half))
    rows = {
        "calibration_in_the_large": (*in_the_large, "profile likelihood"),
        "calibration_slope": (*_slope_limits(lp, y_1, half), "profile likelihood"),
        "oe_ratio": (*_exact_oe(y_1.sum(), risk.sum(), level), "exact poisson"),
    }
    names = ["estimate", "conf_low", "conf_high", "method"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("measure")
    table.insert(3, "conf_level", level)
    return table.reset_index().assign(n=n, n_event=int(outcome.sum()))


def _fixed(lp: Vector, y: Vector) -> float:
    return float(special.log_expit(np.where(y == 1, lp, -lp)).sum())


def _slope_limits(lp: Vector, y: Vector, half: float) -> tuple[float, float, float]:
    a, b, _ = (float(v[0]) for v in recalibrate(lp[None], y, np.ones((1, y.size))))
    if np.isnan(b):
        msg = "The calibration slope does not exist (NaN): equal or separating risks."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
        return np.nan, np.nan, np.nan
    risk = special.expit(a + b * lp)
    weight = risk * (1 - risk)
    centre = np.average(lp, weights=weight)
    error = 1 / np.sqrt((weight * (lp - centre) ** 2).sum())

    def profile(slope: float) -> float:
        return _fixed(slope * lp + _shift(slope * lp, y, None)[0], y)

    return (b, *_profile(profile, b, float(error), half))


def _profile(
    log_likelihood: Callable[[float], float], estimate: float, error: float, half: float
) -> tuple[float, float]:
    """Where the log-likelihood has fallen by `half` below its maximum, on either side."""
    floor = log_likelihood(estimate) - half
    ends = []
    for side in (-1.0, 1.0):
        step = error
        while log_likelihood(estimate + side * step) > floor and step < REACH * error:
            step *= 2
        bracket = sorted((estimate, estimate + side * step))
        ends.append(float(brentq(lambda v: log_likelihood(v) - floor, *bracket, xtol=1e-12)))
    return ends[0], ends[1]


def _exact_oe(observed: float, expected: float, level: float) -> tuple[float, float, float]:
    if expected == 0:
        return np.nan, np.nan, np.nan
    low = stats.chi2.ppf((1 - level) / 2, 2 * observed) / 2
    high = stats.chi2.ppf((1 + level) / 2, 2 * observed + 2) / 2
    return observed / expected, float(low / expected), float(high / expected)


def calibration_groups(
    y: ArrayLike, p: ArrayLike, *, g: int = 10, conf_level: float = 0.95
) -> pd.DataFrame:
    """Predicted against observed risk in groups of equal size, as older papers plot them.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Outcome and predicted risk.
    g : int
        Number of groups; ties make fewer.
    conf_level : float

    Returns
    -------
    DataFrame
        risk_low, risk_high (the smallest and largest risk of the group), n, n_event, predicted
        and observed (means), conf_low, conf_high (Wilson), conf_level.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Notes
    -----
    R: ``Hmisc::cut2(p, g = 10)``, whose groups are closed on the left; those of
    `hosmer_lemeshow` are closed on the right.

    Examples
    --------
    >>> calibration_groups([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], g=2)["n"].tolist()
    [3, 3]
    """
    outcome, risk, _ = _checked(y, p)
    level = check_conf_level(conf_level)
    whole = isinstance(g, int | np.integer) and not isinstance(g, bool)
    if not whole or g < 2:
        msg = f"`g` must be a whole number of at least 2; got {g!r}."
        raise ArgumentError(msg)
    rows = pd.DataFrame({"risk": risk, "y": outcome}).groupby(_equal_groups(risk, int(g)))
    table = pd.DataFrame(
        {
            "risk_low": rows["risk"].min(),
            "risk_high": rows["risk"].max(),
            "n": rows.size(),
            "n_event": rows["y"].sum(),
            "predicted": rows["risk"].mean(),
            "observed": rows["y"].mean(),
        }
    ).reset_index(drop=True)
    limits = [
        wilson(int(x), int(n), conf_level=level)
        for x, n in zip(table["n_event"], table["n"], strict=True)
    ]
    return table.assign(
        conf_low=[limit.low for limit in limits],
        conf_high=[limit.high for limit in limits],
        conf_level=level,
    )


def _equal_groups(p: Vector, g: int) -> NDArray[np.int64]:
    """Number of each risk's group: what is left is shared out anew after every group."""
    values, place, count = np.unique(p, return_inverse=True, return_counts=True)
    through = np.cumsum(count)
    group, used, first = np.empty(values.size, dtype=np.int64), 0, 0
    for j in range(g):
        if first == values.size:
            break
        share = (p.size - used) / (g - j)
        last = int(np.searchsorted(through, used + share - 1e-9))
        last = values.size - 1 if j == g - 1 else min(last, values.size - 1)
        group[first : last + 1] = j
        used, first = int(through[last]), last + 1
    return np.asarray(group[place])
