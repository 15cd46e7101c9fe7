"""Apparent performance of a logistic model: the figures R's `lrm` prints, without binning."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._validation.indexes import gini_mean_difference, rank_indexes

Float = np.float64
Vector = NDArray[Float]

#: Linear predictors closer than this are tied: rounding must not order equal patients.
TIED_DECIMALS = 10


def fit_indices(
    y: Vector, lp: Vector, weights: Vector | None, log_likelihood: tuple[float, float], k: int
) -> pd.Series[float]:
    """Indexes of a model on its own data.

    Parameters
    ----------
    y, lp : ndarray, shape (n,)
        Outcome 0/1 and linear predictor.
    weights : ndarray, shape (n,), optional
        Case weights.
    log_likelihood : (float, float)
        Of the null model and of the model.
    k : int
        Parameters including the intercept.

    Returns
    -------
    Series
        lr_chi2, lr_df, lr_p, mcfadden_r2, coxsnell_r2, nagelkerke_r2, auc, dxy, gamma, tau_a,
        brier, g, gr, gp, aic, bic, log_likelihood, null_log_likelihood. AUC, Dxy, gamma and
        tau-a count ties exactly; `lrm` rounds risks to 0.002 first.

    Notes
    -----
    Nagelkerke (1991); g and gp are Gini's mean differences of the linear predictor and of the
    risk, gr = exp(g) (Harrell's rms).

    Examples
    --------
    >>> lp = np.array([-1.0, 0.0, 0.5, 1.0])
    >>> float(fit_indices(np.array([0.0, 1, 0, 1]), lp, None, (-2.77, -2.1), 2)["auc"])
    0.75
    """
    w = np.ones_like(y) if weights is None else weights
    null, reached = log_likelihood
    values = {
        **_likelihood_indices(null, reached, float(w.sum()), k),
        **_rank_measures(y, np.round(lp, TIED_DECIMALS), w),
        **_spread_measures(y, lp, w),
    }
    return pd.Series(values, name="estimate").rename_axis("measure")


def _likelihood_indices(null: float, reached: float, n: float, k: int) -> dict[str, float]:
    lr = 2 * (reached - null)
    cox_snell = -np.expm1(-lr / n)
    return {
        "lr_chi2": lr,
        "lr_df": float(k - 1),
        "lr_p": float(special.chdtrc(k - 1, max(lr, 0.0))) if k > 1 else np.nan,
        "mcfadden_r2": 1 - reached / null,
        "coxsnell_r2": float(cox_snell),
        "nagelkerke_r2": float(cox_snell / -np.expm1(2 * null / n)),
        "log_likelihood": reached,
        "null_log_likelihood": null,
        "aic": 2 * k - 2 * reached,
        "bic": float(np.log(n)) * k - 2 * reached,
    }


def _rank_measures(y: Vector, lp: Vector, w: Vector) -> dict[str, float]:
    auc, _ = rank_indexes(lp[None], y, w[None])
    dxy = 2 * float(auc[0]) - 1
    _, group = np.unique(lp, return_inverse=True)
    events, others = np.bincount(group, w * y), np.bincount(group, w * (1 - y))
    pairs = float(events.sum() * others.sum())
    untied = pairs - float(events @ others)
    total = float(w.sum())
    return {
        "auc": float(auc[0]),
        "dxy": dxy,
        "gamma": dxy * pairs / untied if untied else np.nan,
        "tau_a": dxy * pairs / (total * (total - 1) / 2),
    }


def _spread_measures(y: Vector, lp: Vector, w: Vector) -> dict[str, float]:
    risk = special.expit(lp)
    g, gp = (float(gini_mean_difference(x[None], w[None])[0]) for x in (lp, risk))
    brier = float(np.average((y - risk) ** 2, weights=w))
    return {"brier": brier, "g": g, "gr": float(np.exp(g)), "gp": gp}
