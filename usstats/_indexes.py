"""Accuracy of many models at once: every row of a (r, n) table of linear predictors is a model.

What `rms::lrm` and `rms::validate` call indexes; arrays in, arrays out, nothing is looped over
models. Weights are the number of times a case was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats._check import Float

Array = NDArray[Float]

#: Measures averaged over resamples, in the order of the report.
MEASURES = (
    "auc",
    "dxy",
    "nagelkerke_r2",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "discrimination_index",
    "unreliability_index",
    "quality_index",
    "g",
    "gp",
)
#: Linear predictors closer than this are tied: rounding must not order equal patients.
TIED_DECIMALS = 10
_NEWTON_STEPS = 60
_TOLERANCE = 1e-10
_LONGEST_STEP = 5.0
_SHORT_STEP = 0.25
_EMAX_GRID = np.linspace(0, 1, 2001)


@dataclass(frozen=True)
class Side:
    """Cases on which r models are judged.

    `lp` has shape (r, n): linear predictors. `y` has shape (n,). `weights` has shape (r, n), or
    is None where every case counts once.
    """

    lp: Array
    y: Array
    weights: Array | None = None

    @property
    def w(self) -> Array:
        """Weights of shape (r, n)."""
        return np.ones_like(self.lp) if self.weights is None else self.weights


def indexes(side: Side) -> dict[str, Array]:
    """Every measure of `MEASURES` for every row, shape (r,); NaN where undefined."""
    w, total = side.w, side.w.sum(axis=1)
    x, event, weight = _in_order(np.round(side.lp, TIED_DECIMALS), side.y, w)
    a, b, log_likelihood = recalibrate(side.lp, side.y, w)
    null = _null_log_likelihood(side.y, w)
    lr = 2 * (log_likelihood - null)
    as_given = log_likelihood_of(side.lp, side.y, w)
    auc, recalibrated = _auc_sorted(x, event, weight - event), a[:, None] + b[:, None] * x
    discrimination = (lr - 1) / total
    unreliability = (2 * (log_likelihood - as_given) - 2) / total
    return {
        "auc": auc,
        "dxy": 2 * auc - 1,
        "nagelkerke_r2": _ratio(-np.expm1(-lr / total), -np.expm1(2 * null / total)),
        "brier": (w * (special.expit(side.lp) - side.y) ** 2).sum(axis=1) / total,
        "calibration_intercept": a,
        "calibration_slope": b,
        "discrimination_index": discrimination,
        "unreliability_index": unreliability,
        "quality_index": discrimination - unreliability,
        "g": np.abs(b) * _gini_sorted(x, weight),
        "gp": np.abs(_gini_sorted(special.expit(recalibrated), weight)),
    }


def rank_indexes(lp: Array, y: Array, w: Array) -> tuple[Array, Array]:
    """AUC (ties count half) and Gini's mean difference of `lp`, from one sort a row."""
    x, event, weight = _in_order(lp, y, w)
    return _auc_sorted(x, event, weight - event), _gini_sorted(x, weight)


def _in_order(lp: Array, y: Array, w: Array) -> tuple[Array, Array, Array]:
    """Each row from its lowest to its highest linear predictor: lp, weighted events, weights."""
    order = np.argsort(lp, axis=1)
    weight = np.take_along_axis(w, order, axis=1)
    return np.take_along_axis(lp, order, axis=1), weight * y[order], weight


def _auc_sorted(x: Array, event: Array, other: Array) -> Array:
    """Mann-Whitney from sorted values: non-events below, plus half of those tied."""
    new = np.ones(x.shape, dtype=bool)
    new[:, 1:] = x[:, 1:] != x[:, :-1]
    through = np.cumsum(other, axis=1)
    before = np.maximum.accumulate(np.where(new, through - other, 0.0), axis=1)
    last = np.ones(x.shape, dtype=bool)
    last[:, :-1] = new[:, 1:]
    upto = np.where(last, through, np.inf)
    upto = np.minimum.accumulate(upto[:, ::-1], axis=1)[:, ::-1]
    pairs = event.sum(axis=1) * other.sum(axis=1)
    wins = (event * (before + upto) / 2).sum(axis=1)
    return _ratio(wins, pairs)


def _gini_sorted(x: Array, w: Array) -> Array:
    total = w.sum(axis=1)
    rank = 2 * np.cumsum(w, axis=1) - w - total[:, None]
    pairs = total * (total - 1)
    spread = 2 * (w * x * rank).sum(axis=1)
    return _ratio(spread, pairs)


def _ratio(top: Array, bottom: Array) -> Array:
    """Quotient, NaN where there is nothing to divide by."""
    undefined = np.full(np.shape(top), np.nan)
    return np.asarray(np.divide(top, bottom, out=undefined, where=bottom > 0))


def gini_mean_difference(x: Array, w: Array) -> Array:
    """Mean absolute difference of two cases drawn without replacement, one value a row."""
    order = np.argsort(x, axis=1, kind="stable")
    return _gini_sorted(np.take_along_axis(x, order, axis=1), np.take_along_axis(w, order, axis=1))


def log_likelihood_of(lp: Array, y: Array, w: Array) -> Array:
    """Bernoulli log-likelihood of each row."""
    return np.asarray((w * (y * lp - np.logaddexp(0.0, lp))).sum(axis=1))


def _null_log_likelihood(y: Array, w: Array) -> Array:
    total, events = w.sum(axis=1), (w * y).sum(axis=1)
    share = _ratio(events, total)
    return np.asarray(
        special.xlogy(events, share) + special.xlogy(total - events, 1 - share), dtype=Float
    )


def recalibrate(lp: Array, y: Array, w: Array) -> tuple[Array, Array, Array]:
    """Intercept, slope and log-likelihood of y ~ lp, one logistic regression a row.

    NaN where the maximum is infinite (separation), where `lp` is constant, or with one class.
    """
    x, centre, spread = _standardised(lp, w)
    a, b = np.full((2, len(lp)), np.nan)
    finite = np.flatnonzero((spread > 0) & _overlapping(lp, y, w))
    a[finite], b[finite] = _newton(x[finite], y, w[finite], longest=_LONGEST_STEP)
    strayed = finite[~np.isfinite(b[finite])]
    if strayed.size:
        a[strayed], b[strayed] = _newton(x[strayed], y, w[strayed], longest=_SHORT_STEP)
    fitted = np.isfinite(b)
    log_likelihood = np.full(len(lp), np.nan)
    eta = a[fitted, None] + b[fitted, None] * x[fitted]
    log_likelihood[fitted] = log_likelihood_of(eta, y, w[fitted])
    slope = b / np.where(spread > 0, spread, 1.0)
    return a - slope * centre, slope, log_likelihood


def _overlapping(lp: Array, y: Array, w: Array) -> NDArray[np.bool_]:
    """Whether events and non-events overlap, so that the slope is finite; False with one class."""
    event, other = (w > 0) & (y == 1), (w > 0) & (y == 0)
    low_1, high_1 = _extremes(lp, event)
    low_0, high_0 = _extremes(lp, other)
    return np.asarray((high_0 > low_1) & (high_1 > low_0))


def _extremes(lp: Array, member: NDArray[np.bool_]) -> tuple[Array, Array]:
    low = np.where(member, lp, np.inf).min(axis=1)
    return low, np.where(member, lp, -np.inf).max(axis=1)


def _newton(x: Array, y: Array, w: Array, *, longest: float) -> tuple[Array, Array]:
    """Newton steps from slope 0, no longer than `longest`; NaN where they do not settle."""
    a, b = special.logit(_ratio((w * y).sum(axis=1), w.sum(axis=1))), np.zeros(len(x))
    todo, settled = np.arange(len(x)), np.zeros(len(x), dtype=bool)
    for _ in range(int(_NEWTON_STEPS * _LONGEST_STEP / longest)):
        if not todo.size:
            break
        step_a, step_b = _newton_step(a[todo], b[todo], x[todo], y, w[todo], longest)
        a[todo] += step_a
        b[todo] += step_b
        size = np.maximum(np.abs(step_a), np.abs(step_b))
        settled[todo] = size < _TOLERANCE * (1 + np.abs(b[todo]))
        todo = todo[~settled[todo] & np.isfinite(b[todo])]
    return np.where(settled, a, np.nan), np.where(settled, b, np.nan)


def _standardised(lp: Array, w: Array) -> tuple[Array, Array, Array]:
    total = w.sum(axis=1)
    centre = (w * lp).sum(axis=1) / total
    spread = np.sqrt((w * (lp - centre[:, None]) ** 2).sum(axis=1) / total)
    spread = np.where(spread > 1e-12 * (1 + np.abs(centre)), spread, 0.0)
    scale = np.where(spread > 0, spread, 1.0)
    return (lp - centre[:, None]) / scale[:, None], centre, spread


def _newton_step(
    a: Array, b: Array, x: Array, y: Array, w: Array, longest: float
) -> tuple[Array, Array]:
    """One bounded Newton step of each two-parameter fit, the 2 x 2 system written out."""
    p = special.expit(a[:, None] + b[:, None] * x)
    r, v = w * (y - p), w * p * (1 - p)
    g0, g1 = r.sum(axis=1), (r * x).sum(axis=1)
    h00, h01, h11 = v.sum(axis=1), (v * x).sum(axis=1), (v * x * x).sum(axis=1)
    determinant = h00 * h11 - h01**2
    determinant = np.where(determinant > 0, determinant, np.nan)
    step_a, step_b = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
    size = np.maximum(np.abs(step_a), np.abs(step_b))
    shorten = longest / np.maximum(size, longest)
    return step_a * shorten, step_b * shorten


def emax(intercept: float, slope: float) -> float:
    """Largest |p - expit(intercept + slope logit p)| over p in steps of 0.0005."""
    if not np.isfinite([intercept, slope]).all():
        return float("nan")
    p = _EMAX_GRID[1:-1]
    return float(np.abs(p - special.expit(intercept + slope * special.logit(p))).max())
