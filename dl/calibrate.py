"""Logits to probabilities that mean what they say, fitted out of fold; it loads no torch.

Whatever the kind, a calibrator is fitted on out-of-fold logits alone, every patient counts once,
and it never turns the order of two logits round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp

from dl.calibrators import (
    KINDS,
    Calibrator,
    CrossFitted,
    Isotonic,
    Platt,
    Temperature,
    Uncalibrated,
    calibrator_from_dict,
    class_log_odds,
)
from usstats._check import check_lengths, check_option
from usstats.errors import ArgumentError, OutcomeError

__all__ = [
    "KINDS",
    "Calibrator",
    "CrossFitted",
    "Isotonic",
    "Platt",
    "Temperature",
    "Uncalibrated",
    "calibrator_from_dict",
    "class_log_odds",
    "fit_calibrator",
    "fit_calibrators",
    "fit_isotonic",
    "fit_platt",
    "fit_temperature",
]

Floats = NDArray[np.float64]
Loss = Callable[[float], Floats]

#: A temperature outside this range says that the logits are useless or separate the classes.
BOUNDS = (0.05, 20.0)
#: Of an intercept: only logits of a single class ask for more.
FARTHEST = 20.0


def fit_calibrators(
    logit: ArrayLike,
    y: ArrayLike,
    fold: ArrayLike,
    patient: ArrayLike,
    *,
    kind: str = "temperature",
) -> CrossFitted:
    """Fit a calibrator for every fold and one for other cohorts; every patient counts once.

    Parameters
    ----------
    logit : array_like, shape (n,) or (n, K)
        Out of fold, of the event or of K classes.
    y : array_like of 0/1, or of 0 to K - 1, shape (n,)
    fold, patient : array_like, shape (n,)
    kind : {"temperature", "platt", "isotonic", "none"}

    Notes
    -----
    The logits of the other folds come from networks that were trained on this fold's patients;
    a few numbers cannot carry much of that, but it is not nothing.

    Examples
    --------
    >>> found = fit_calibrators([-4, 4, -4, 4, -4, 4], [0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 2, 2],
    ...                         list("abcdef"))
    >>> sorted(found.by_fold), found.by_fold[0].temperature > found.overall.temperature
    ([0, 1, 2], True)
    """
    s, outcome, k = np.asarray(logit, dtype=float), np.asarray(y), np.asarray(fold)
    _, codes, counts = np.unique(np.asarray(patient), return_inverse=True, return_counts=True)
    w = 1 / counts[codes]

    def fit(rows: NDArray[np.bool_]) -> Calibrator:
        return fit_calibrator(s[rows], outcome[rows], kind=kind, weights=w[rows])

    by_fold = {int(own): fit(k != own) for own in np.unique(k)}
    return CrossFitted(by_fold=by_fold, overall=fit(np.ones(len(k), dtype=bool)))


def fit_calibrator(
    logit: ArrayLike, y: ArrayLike, *, kind: str = "temperature", weights: ArrayLike | None = None
) -> Calibrator:
    """Fit one calibrator; arguments as for `fit_temperature`, `fit_platt` and `fit_isotonic`.

    Examples
    --------
    >>> fit_calibrator([-1.0, 1.0], [0, 1], kind="none")
    Uncalibrated()
    """
    check_option(kind, KINDS, name="kind")
    if kind == "none":
        return Uncalibrated()
    if kind == "temperature":
        return Temperature(temperature=fit_temperature(logit, y, weights=weights))
    return (fit_platt if kind == "platt" else fit_isotonic)(logit, y, weights=weights)


def fit_temperature(logit: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """The T that minimises the log-loss of sigmoid(logit / T), or of softmax(logit / T).

    Parameters
    ----------
    logit : array_like, shape (n,) or (n, K)
        Of the event, or of K classes.
    y : array_like of 0/1, or of 0 to K - 1, shape (n,)
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        Inside 0.05 to 20; the loss is convex in 1 / T.

    Examples
    --------
    >>> fit_temperature([-4, -4, -4, 4, 4, 4], [0, 0, 1, 1, 1, 0])
    5.77...
    """
    s, outcome, w = _checked(logit, y, weights)
    loss = _softmax_loss(s, outcome) if s.ndim == 2 else _sigmoid_loss(s, outcome)
    fit = minimize_scalar(
        lambda log_t: float(w @ loss(np.exp(-log_t))),
        bounds=tuple(np.log(BOUNDS)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(fit.x))


def fit_platt(logit: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Platt:
    """The a and b > 0 that minimise the log-loss of sigmoid(a + b logit), or of several classes.

    Parameters
    ----------
    logit, y, weights : as in `fit_temperature`

    Returns
    -------
    Platt
        Slopes inside 0.05 to 20, as those of temperatures are, so that the order is kept and
        separated classes have an answer. Intercepts of several classes sum to 0.

    Notes
    -----
    Plain maximum likelihood: Platt's (1999) softened targets are not needed where the slope has
    bounds.

    Examples
    --------
    >>> fit_platt([-2, -1, 0, 1, 2, 3], [0, 0, 1, 0, 1, 1]).slope
    (1.21...,)
    """
    s, outcome, w = _checked(logit, y, weights)
    x = s[:, None] if s.ndim == 1 else log_softmax(s, axis=1)
    k = x.shape[1]
    target = np.arange(k) == outcome[:, None] if k > 1 else outcome[:, None] == 1
    spread = max(float(x.std()), 1e-12)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        linear = parameters[:k] + parameters[k:] * (x / spread)
        # A single logit stands beside the logit 0 of the non-event.
        every = linear if k > 1 else np.pad(linear, ((0, 0), (1, 0)))
        total = logsumexp(every, axis=1)
        residual = w[:, None] * (np.exp(linear - total[:, None]) - target)
        value = w @ (total - (linear * target).sum(axis=1))
        return float(value), np.concatenate([residual.sum(0), (residual * x / spread).sum(0)])

    slopes = (BOUNDS[0] * spread, BOUNDS[1] * spread)
    fit = minimize(
        loss,
        np.concatenate([np.zeros(k), np.full(k, spread)]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-FARTHEST, FARTHEST)] * k + [slopes] * k,
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )
    return Platt(intercept=tuple(fit.x[:k].tolist()), slope=tuple((fit.x[k:] / spread).tolist()))


def fit_isotonic(logit: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Isotonic:
    """The rising curve that fits best, by pooling adjacent violators.

    Parameters
    ----------
    logit, y, weights : as in `fit_temperature`

    Returns
    -------
    Isotonic
        No value nearer to 0 or 1 than half a patient in all patients (the sum of `weights`):
        nobody is certain after so many. Needs many patients; below several hundred a temperature
        or Platt's line is the better choice (Niculescu-Mizil and Caruana 2005).

    Examples
    --------
    >>> fit_isotonic([-2, -1, 1, 2], [0, 1, 0, 1])
    Isotonic(logit=((-2.0, -1.0, 1.0, 2.0),), probability=((0.125, 0.5, 0.5, 0.875),))
    """
    s, outcome, w = _checked(logit, y, weights)
    if s.ndim == 1:
        curves = [_rising(s, outcome == 1, w)]
    else:
        odds = class_log_odds(s)
        curves = [_rising(odds[:, k], outcome == k, w) for k in range(odds.shape[1])]
    return Isotonic(
        logit=tuple(tuple(x.tolist()) for x, _ in curves),
        probability=tuple(tuple(p.tolist()) for _, p in curves),
    )


def _rising(x: Floats, event: NDArray[np.bool_], w: Floats) -> tuple[Floats, Floats]:
    """Corners of the isotonic fit of `event` on x; tied x are one value."""
    values, codes = np.unique(x, return_inverse=True)
    weight = np.bincount(codes, weights=w)
    mean = np.bincount(codes, weights=w * event) / weight
    half = 0.5 / max(float(w.sum()), 1.0)
    p = np.clip(isotonic_regression(mean, weights=weight).x, half, 1 - half)
    steps = np.diff(p) != 0
    corner = np.append(True, steps) | np.append(steps, True)
    return values[corner], p[corner]


def _checked(
    logit: ArrayLike, y: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, NDArray[Any], Floats]:
    s, outcome = np.asarray(logit, dtype=float), np.asarray(y)
    w = np.ones(len(s)) if weights is None else np.asarray(weights, dtype=float)
    check_lengths(logit=s, y=outcome, weights=w)
    if not (np.isfinite(w).all() and w.min(initial=0) >= 0):
        msg = "`weights` must be finite numbers of 0 or more."
        raise ArgumentError(msg)
    codes = np.arange(s.shape[1] if s.ndim == 2 else 2)
    if not np.isin(outcome, codes).all():
        msg = f"`y` must hold the codes 0 to {codes[-1]} of the classes; got {np.unique(outcome)}."
        raise OutcomeError(msg)
    bad = ~np.isfinite(s if s.ndim == 1 else s.sum(axis=1))
    if len(s) == 0 or bad.any():
        msg = f"`logit` must be finite numbers; {bad.sum()} of {len(s)} are not."
        raise ArgumentError(msg)
    return s, outcome, w


def _sigmoid_loss(s: Floats, y: NDArray[Any]) -> Loss:
    """Log-loss of every row as a function of 1 / T."""
    margin = np.where(y == 1, -s, s)
    return lambda steepness: np.logaddexp(0, margin * steepness)


def _softmax_loss(s: Floats, y: NDArray[Any]) -> Loss:
    behind = s - s[np.arange(len(s)), y.astype(int)][:, None]
    return lambda steepness: logsumexp(behind * steepness, axis=1)
