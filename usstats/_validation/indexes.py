"""Accuracy of many models at once: every row of a (r, n) table of linear predictors is a model.

What `rms::lrm` and `rms::validate` call indexes; arrays in, arrays out, nothing is looped over
models. Weights are the number of times a case was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats._check import Float
from usstats._fits.likelihood import log_likelihood, null_log_likelihood, risk_of, score_terms

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
#: Near the maximum a step leaves an error of the order of its square.
_TOLERANCE = 1e-6
_LONGEST_STEP = 5.0
#: Newton's method starts from the predictions as they are; where that strays, from no slope; then
#: again with short steps.
_STARTS = ((True, _LONGEST_STEP), (False, _LONGEST_STEP), (False, 0.25))
_EMAX_GRID = np.linspace(0, 1, 2001)


@dataclass(frozen=True)
class Side:
    """Cases on which r models are judged.

    `lp` has shape (r, n): linear predictors. `y` has shape (n,). `weights` has shape (r, n), or
    is None where every case counts once. `own` says that each model is the maximum-likelihood fit
    of exactly these cases, whose recalibration is the identity.
    """

    lp: Array
    y: Array
    weights: Array | None = None
    own: bool = False
    like: Side | None = field(default=None, repr=False)

    def elsewhere(self, weights: Array | None) -> Side:
        """The same models judged on other cases; they are sorted once for both."""
        return Side(self.lp, self.y, weights, like=self)

    @property
    def w(self) -> Array:
        """Weights of shape (r, n)."""
        return np.ones_like(self.lp) if self.weights is None else self.weights

    @cached_property
    def sorted(self) -> Sorted:
        """Each row from its lowest to its highest linear predictor."""
        if self.like is not None:
            return self.like.sorted.weighing(self.weights)
        return Sorted.of(np.round(self.lp, TIED_DECIMALS), self.y, self.weights)


@dataclass(frozen=True)
class Sorted:
    """Rows of values from low to high, with outcomes and weights beside them.

    `weight` is None where every case counts once.
    """

    x: Array
    y: Array
    order: NDArray[np.intp]
    weight: Array | None

    @classmethod
    def of(cls, lp: Array, y: Array, weights: Array | None) -> Sorted:
        order = np.argsort(lp, axis=1)
        plain = cls(np.take_along_axis(lp, order, axis=1), y[order], order, None)
        return plain.weighing(weights)

    def weighing(self, weights: Array | None) -> Sorted:
        """The same order with other weights of the cases."""
        taken = None if weights is None else np.take_along_axis(weights, self.order, axis=1)
        return replace(self, weight=taken)

    @cached_property
    def event(self) -> Array:
        """Weight of each case that is an event."""
        return self.y if self.weight is None else self.weight * self.y

    @cached_property
    def upto(self) -> Array:
        """Weight of all cases up to and including each, shape (r, n) or (n,)."""
        if self.weight is None:
            return np.arange(1.0, self.x.shape[1] + 1)
        return np.asarray(np.cumsum(self.weight, axis=1))

    @property
    def flat(self) -> NDArray[np.bool_]:
        """Whether all cases of a row have one value: a model without predictors."""
        return np.asarray(self.x[:, 0] == self.x[:, -1])

    def auc(self) -> Array:
        """Mann-Whitney: non-events below each event, plus half of those tied."""
        n, events = self.upto[..., -1], self.event.sum(axis=1)
        return _ratio(self._wins(), events * (n - events))

    def _wins(self) -> Array:
        same = self.x[:, 1:] == self.x[:, :-1]
        if same.any():
            return self._wins_with_ties(same)
        if self.weight is None:
            events = self.event.sum(axis=1)
            return np.asarray(self.event @ self.upto - events * (events + 1) / 2)
        other = self.weight - self.event
        return np.asarray(np.vecdot(self.event, np.cumsum(other, axis=1) - other / 2))

    def _wins_with_ties(self, same: NDArray[np.bool_]) -> Array:
        other = (1.0 if self.weight is None else self.weight) - self.event
        through, edge = np.cumsum(other, axis=1), np.ones((len(same), 1), dtype=bool)
        new = np.hstack([edge, ~same])
        before = np.maximum.accumulate(np.where(new, through - other, 0.0), axis=1)
        ahead = np.where(np.hstack([~same, edge]), through, np.inf)
        upto = np.minimum.accumulate(ahead[:, ::-1], axis=1)[:, ::-1]
        return np.asarray(np.vecdot(self.event, (before + upto) / 2))

    def gini(self, x: Array | None = None) -> Array:
        """Gini's mean difference of the values, or of others in the same order."""
        values, n = self.x if x is None else x, self.upto[..., -1:]
        w = 1.0 if self.weight is None else self.weight
        share = w * (2 * self.upto - w - n)
        spread = 2 * (values @ share if share.ndim == 1 else np.vecdot(values, share))
        n = n[..., 0]
        return _ratio(spread, np.broadcast_to(n * (n - 1), spread.shape))


def indexes(side: Side) -> dict[str, Array]:
    """Every measure of `MEASURES` for every row, shape (r,); NaN where undefined.

    A model that gives everybody one risk has the log-likelihood of the event rate and no slope.
    """
    total, events = totals(side.lp, side.y, side.weights)
    total = np.where(total > 0, total, np.nan)
    as_given = log_likelihood(side.lp, side.y, side.weights)
    a, b, recalibrated = _recalibrated(side, as_given)
    null, ranks = _null(total, events), side.sorted
    recalibrated = np.where(ranks.flat, null, recalibrated)
    lr = 2 * (recalibrated - null)
    auc, risk = ranks.auc(), risk_of(a[:, None] + b[:, None] * ranks.x)
    spread = ranks.gini()
    discrimination = (lr - 1) / total
    unreliability = (2 * (recalibrated - as_given) - 2) / total
    return {
        "auc": auc,
        "dxy": 2 * auc - 1,
        "nagelkerke_r2": _ratio(-np.expm1(-lr / total), -np.expm1(2 * null / total)),
        "brier": _squared_errors(side) / total,
        "calibration_intercept": a,
        "calibration_slope": b,
        "discrimination_index": discrimination,
        "unreliability_index": unreliability,
        "quality_index": discrimination - unreliability,
        "g": np.where(ranks.flat, 0.0, np.abs(b) * spread),
        "gp": np.where(ranks.flat, 0.0, np.abs(ranks.gini(risk))),
    }


def _recalibrated(side: Side, as_given: Array) -> tuple[Array, Array, Array]:
    """Intercept, slope and log-likelihood of y ~ lp; 0 and 1 for models on their own cases."""
    if side.own:
        return np.zeros(len(side.lp)), np.ones(len(side.lp)), as_given
    return recalibrate(side.lp, side.y, side.weights)


def totals(lp: Array, y: Array, w: Array | None) -> tuple[Array, Array]:
    """Cases and events of each row, shape (r,)."""
    if w is None:
        return np.full(len(lp), float(y.size)), np.full(len(lp), float(y.sum()))
    return w.sum(axis=1), w @ y


def _squared_errors(side: Side) -> Array:
    error = risk_of(side.lp)
    error -= side.y
    error *= error
    return _sums(error, side.weights)


def _null(total: Array, events: Array) -> Array:
    """Log-likelihood of the event rate, one a row."""
    pair = np.stack([total - events, events], axis=1)
    return null_log_likelihood(np.array([0.0, 1.0]), pair)


def rank_indexes(lp: Array, y: Array, w: Array | None = None) -> tuple[Array, Array]:
    """AUC (ties count half) and Gini's mean difference of `lp`, from one sort a row."""
    ranks = Sorted.of(lp, y, w)
    return ranks.auc(), ranks.gini()


def gini_mean_difference(x: Array, w: Array | None = None) -> Array:
    """Mean absolute difference of two cases drawn without replacement, one value a row."""
    return Sorted.of(x, np.zeros(x.shape[1]), w).gini()


def _ratio(top: Array, bottom: Array) -> Array:
    """Quotient, NaN where there is nothing to divide by."""
    undefined = np.full(np.shape(top), np.nan)
    return np.asarray(np.divide(top, bottom, out=undefined, where=bottom > 0))


def recalibrate(lp: Array, y: Array, w: Array | None = None) -> tuple[Array, Array, Array]:
    """Intercept, slope and log-likelihood of y ~ lp, one logistic regression a row.

    NaN where the maximum is infinite (separation), where `lp` is constant, or with one class.
    """
    x, centre, spread = _standardised(lp, w)
    a, b = np.full((2, len(lp)), np.nan)
    todo = np.flatnonzero((spread > 0) & _overlapping(lp, y, w))
    for as_given, longest in _STARTS:
        if todo.size:
            weights = _rows_of(w, todo)
            start = (
                (centre[todo], spread[todo].copy()) if as_given else _flat(y, weights, todo.size)
            )
            a[todo], b[todo] = _newton(_rows_of(x, todo), y, weights, start, longest)
            todo = todo[~np.isfinite(b[todo])]
    slope = b / np.where(spread > 0, spread, 1.0)
    intercept, reached = a - slope * centre, np.full(len(lp), np.nan)
    fitted = np.flatnonzero(np.isfinite(b))
    eta = intercept[fitted, None] + slope[fitted, None] * _rows_of(lp, fitted)
    reached[fitted] = log_likelihood(eta, y, _rows_of(w, fitted))
    return intercept, slope, reached


def _rows_of(table: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows of a table, without a copy where these are all."""
    return table if table is None or rows.size == len(table) else table[rows]


def _sums(values: Array, w: Array | None) -> Array:
    return np.asarray(values.sum(axis=1) if w is None else np.vecdot(w, values))


def _flat(y: Array, w: Array | None, n: int) -> tuple[Array, Array]:
    """The event rate of each row, and no slope."""
    rate = np.full(n, y.mean()) if w is None else _ratio(w @ y, w.sum(axis=1))
    return np.asarray(special.logit(rate)), np.zeros(n)


def _overlapping(lp: Array, y: Array, w: Array | None) -> NDArray[np.bool_]:
    """Whether events and non-events overlap, so that the slope is finite; False with one class."""
    low_1, high_1 = _extremes(lp, w, y == 1)
    low_0, high_0 = _extremes(lp, w, y == 0)
    return np.asarray((high_0 > low_1) & (high_1 > low_0))


def _extremes(lp: Array, w: Array | None, member: NDArray[np.bool_]) -> tuple[Array, Array]:
    low = high = lp[:, member]
    if w is not None:
        there = w[:, member] > 0
        low, high = np.where(there, low, np.inf), np.where(there, high, -np.inf)
    return low.min(axis=1, initial=np.inf), high.max(axis=1, initial=-np.inf)


def _newton(
    x: Array, y: Array, w: Array | None, start: tuple[Array, Array], longest: float
) -> tuple[Array, Array]:
    """Newton steps no longer than `longest`; NaN where they do not settle."""
    a, b = start
    todo, settled = np.arange(len(x)), np.zeros(len(x), dtype=bool)
    for _ in range(int(_NEWTON_STEPS * _LONGEST_STEP / longest)):
        if not todo.size:
            break
        step_a, step_b = _newton_step(a[todo], b[todo], x, y, w, longest)
        a[todo] += step_a
        b[todo] += step_b
        size = np.maximum(np.abs(step_a), np.abs(step_b))
        settled[todo] = size < _TOLERANCE * (1 + np.abs(b[todo]))
        on = np.flatnonzero(~settled[todo] & np.isfinite(b[todo]))
        todo, x, w = todo[on], _rows_of(x, on), _rows_of(w, on)
    return np.where(settled, a, np.nan), np.where(settled, b, np.nan)


def _standardised(lp: Array, w: Array | None) -> tuple[Array, Array, Array]:
    total = np.full(len(lp), float(lp.shape[1])) if w is None else w.sum(axis=1)
    centre = _ratio(_sums(lp, w), total)
    x = lp - centre[:, None]
    spread = np.sqrt(_ratio(_sums(x * x, w), total))
    spread = np.where(spread > 1e-12 * (1 + np.abs(centre)), spread, 0.0)
    x /= np.where(spread > 0, spread, 1.0)[:, None]
    return x, centre, spread


def _newton_step(
    a: Array, b: Array, x: Array, y: Array, w: Array | None, longest: float
) -> tuple[Array, Array]:
    """One bounded Newton step of each two-parameter fit, the 2 x 2 system written out."""
    eta = b[:, None] * x
    eta += a[:, None]
    r, v = score_terms(eta, y, w)
    g0, g1 = r.sum(axis=1), np.vecdot(r, x)
    h00, h01 = v.sum(axis=1), np.vecdot(v, x)
    h11 = np.vecdot(np.multiply(v, x, out=v), x)
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
