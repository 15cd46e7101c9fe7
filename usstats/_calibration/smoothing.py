"""Smooth curves of a 0/1 outcome over predicted risk: exact local regression, splines on the logit.

Both smoothers answer the same two questions, `predict(at)` and `band(at, conf_level)`, and refuse
with a `FitError` that carries the reason when the data cannot bear a curve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special
from scipy.interpolate import PchipInterpolator

from usstats._calibration.recalibration import finite_logit, maximise_likelihood
from usstats._intervals import normal_quantile
from usstats.errors import DesignError, FitError
from usstats.splines import harrell_knots, rcs_basis

Float = np.float64
Vector = NDArray[Float]

LEAST_DISTINCT = 10
#: Local fits x distinct values computed exactly (6,000 distinct risks at their own values); beyond,
#: exact vertices are joined by a monotone cubic, within 1e-4 of the curve and 1e-6 of the ICI.
MAX_DIRECT = 40_000_000
#: The same in a bootstrap replicate, whose chance error is far above 1e-4.
MAX_DIRECT_REPLICATE = 4_000_000
VERTICES = 400
CHUNK = 2_000_000
SINGULAR = 1e-12
#: A logit with a larger standard error says nothing: the spline has found separation.
WIDEST = 30.0
#: Vertices closer than this share of the range are one.
NEAREST = 1e-6


class Smoother(Protocol):
    """What a calibration curve needs from a smoother."""

    def predict(self, at: ArrayLike) -> Vector:
        """Smoothed outcome at the given risks."""

    def band(self, at: ArrayLike, conf_level: float) -> tuple[Vector, Vector]:
        """Pointwise limits, inside [0, 1] wherever the curve is."""


@dataclass(frozen=True, kw_only=True)
class LoessCurve:
    """Local quadratic regression with tricube weights, evaluated exactly at every point asked for.

    Made by `fit_loess`. Rows with the same x are kept as one value with a count.

    Examples
    --------
    >>> x = np.linspace(0, 1, 21)
    >>> curve = fit_loess(x, 1 + 2 * x - 3 * x**2)
    >>> curve.predict([0.25, 0.5]).round(6)
    array([1.3125, 1.25  ])
    """

    x: Vector
    count: Vector
    total: Vector
    span: float
    scatter: sparse.csr_matrix = field(repr=False)
    replicate: bool = False

    def predict(self, at: ArrayLike) -> Vector:
        """Local fit at each value of `at`, NaN where it has too few neighbours; shape (m,)."""
        values = np.atleast_1d(np.asarray(at, dtype=float))
        points, position = np.unique(values, return_inverse=True)
        most = MAX_DIRECT_REPLICATE if self.replicate else MAX_DIRECT
        if points.size * self.x.size <= most or points.size <= 2 * VERTICES:
            return np.asarray(self._direct(points)[position])
        vertices = self._vertices(points)
        between = PchipInterpolator(vertices, self._direct(vertices))
        return np.asarray(between(points)[position])

    def std_error(self, at: ArrayLike) -> Vector:
        """Standard error of the local fit: root of the sum of squared patient contributions."""
        points = np.asarray(at, dtype=float)
        parts = [
            np.square(np.asarray(rows @ self.scatter)).sum(axis=1)
            for rows in self._operator(points)
        ]
        return np.asarray(np.sqrt(np.concatenate(parts)))

    def band(self, at: ArrayLike, conf_level: float) -> tuple[Vector, Vector]:
        """Normal-theory pointwise limits."""
        curve, half = self.predict(at), normal_quantile(conf_level) * self.std_error(at)
        low, high = np.minimum(curve, 0.0), np.maximum(curve, 1.0)
        return np.clip(curve - half, low, high), np.clip(curve + half, low, high)

    def _direct(self, points: Vector) -> Vector:
        return np.concatenate([rows @ self.total for rows in self._operator(points)])

    def _vertices(self, points: Vector) -> Vector:
        """Half at quantiles, where the patients are, half evenly spaced, where they are not.

        Vertices that differ by rounding alone would ruin the slopes between them.
        """
        first, last = points[0], points[-1]
        at_patients = np.quantile(points, np.linspace(0, 1, VERTICES))
        vertices = np.unique(np.r_[at_patients, np.linspace(first, last, VERTICES)])
        apart = np.diff(vertices, prepend=-np.inf) > NEAREST * (last - first)
        return np.asarray(np.r_[vertices[apart][:-1], last])

    def _operator(self, points: Vector) -> Iterator[NDArray[Float]]:
        """Rows l(x) with fit(x) = sum_j l_j(x) y_j, a chunk of points at a time."""
        bandwidth = self._bandwidth(points)
        step = max(1, CHUNK // self.x.size)
        for start in range(0, points.size, step):
            part = slice(start, start + step)
            yield _local_quadratic(points[part], bandwidth[part], self.x, self.count)

    def _bandwidth(self, points: Vector) -> Vector:
        """Distance to the q-th nearest row, q = floor(n span).

        The q nearest rows are neighbours in x; among all runs of q rows the right one balances
        its two ends, and the midpoints of the runs ascend.
        """
        rows = np.repeat(self.x, self.count.astype(np.int64))
        q = min(rows.size, int(rows.size * self.span + 1e-5))
        first, last = rows[: rows.size - q + 1], rows[q - 1 :]
        right = np.searchsorted((first + last) / 2, points)
        candidates = [np.clip(right + shift, 0, first.size - 1) for shift in (-1, 0)]
        reach = [np.maximum(points - first[run], last[run] - points) for run in candidates]
        return np.minimum(*reach)


def fit_loess(
    x: ArrayLike,
    y: ArrayLike,
    *,
    span: float = 0.75,
    counts: ArrayLike | None = None,
    cluster: NDArray[np.int64] | None = None,
) -> LoessCurve:
    """Prepare a local quadratic regression of y on x.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Predicted risk and outcome.
    span : float
        Share of the rows in each neighbourhood.
    counts : array_like of int, shape (n,), optional
        How often each row counts: a bootstrap replicate, which carries no band of its own.
    cluster : ndarray of int, shape (n,), optional
        Patient codes 0..K-1; the standard error then adds up whole patients.

    Returns
    -------
    LoessCurve

    Raises
    ------
    FitError
        Fewer than 10 distinct x, or so many ties that a neighbourhood has no width.

    Notes
    -----
    Cleveland and Devlin (1988, JASA 83:596); the values of R's ``loess(y ~ x, span, degree = 2,
    family = "gaussian", control = loess.control(surface = "direct"))``. The fit is a weighted sum
    ``sum_j l_j y_j``. Its variance is ``sum_j l_j^2 m_j (1 - m_j)``, m the smoothed risk, for
    independent rows (R instead takes one residual variance for all risks), and
    ``sum_k (sum_{j in k} l_j e_j)^2``, e the residuals, for patients k with several rows.

    Examples
    --------
    >>> x = np.linspace(0, 1, 21)
    >>> fit_loess(x, x**2).predict(0.5).round(6)
    array([0.25])
    """
    risk, outcome = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    times = np.ones(risk.size) if counts is None else np.asarray(counts, dtype=float)
    drawn = times > 0
    risk, outcome, times = risk[drawn], outcome[drawn], times[drawn]
    values, position = np.unique(risk, return_inverse=True)
    if values.size < LEAST_DISTINCT:
        msg = f"loess needs at least {LEAST_DISTINCT} distinct predictions; there are {values.size}"
        raise FitError(msg)
    curve = LoessCurve(
        x=values,
        count=np.bincount(position, times).astype(float),
        total=np.bincount(position, times * outcome).astype(float),
        span=span,
        scatter=sparse.csr_matrix((values.size, 1)),
        replicate=counts is not None,
    )
    if counts is not None:
        return curve
    fitted = curve.predict(values)
    _refuse_gaps(fitted, curve.count)
    return replace(curve, scatter=_scatter(curve, fitted, position, outcome, cluster))


def _refuse_gaps(fitted: Vector, count: Vector) -> None:
    """A curve must exist at every prediction, though not between distant ones."""
    if np.isfinite(fitted).all():
        return
    share = count.max() / count.sum()
    msg = (
        "too few distinct predictions inside a neighbourhood for a local quadratic (the most "
        f"frequent value is shared by {share:.0%} of the predictions)"
    )
    raise FitError(msg)


def _scatter(
    curve: LoessCurve,
    fitted: Vector,
    position: NDArray[np.intp],
    y: Vector,
    cluster: NDArray[np.int64] | None,
) -> sparse.csr_matrix:
    """Column k: what unit k adds to the error at each distinct x.

    Independent rows: their Bernoulli standard deviations at the smoothed risk. Patients with
    several rows: the sums of their residuals, whatever the dependence within a patient.
    """
    if cluster is None:
        risk = np.clip(fitted, 0, 1)
        return sparse.diags(np.sqrt(curve.count * risk * (1 - risk))).tocsr()
    return sparse.csr_matrix((y - fitted[position], (position, cluster)))


def _local_quadratic(points: Vector, bandwidth: Vector, x: Vector, count: Vector) -> NDArray[Float]:
    """Operator rows (m, u) of the tricube-weighted quadratic, read off at each point.

    NaN where a neighbourhood has no width or too few distinct values.
    """
    width = np.where(bandwidth > 0, bandwidth, np.nan)
    u = (x - points[:, None]) / width[:, None]
    far = np.abs(u)
    bell = np.maximum(1 - far * far * far, 0.0)
    kernel = bell * bell * bell
    weighted = kernel * count
    moments = [weighted.sum(axis=1)]
    power = weighted
    for _ in range(4):
        power = power * u
        moments.append(power.sum(axis=1))
    c0, c1, c2 = _intercept_row(*moments)
    return np.asarray(kernel * (c0[:, None] + u * (c1[:, None] + u * c2[:, None])))


def _intercept_row(
    s0: Vector, s1: Vector, s2: Vector, s3: Vector, s4: Vector
) -> tuple[Vector, Vector, Vector]:
    """First row of the inverse of the moment matrix [[s0 s1 s2] [s1 s2 s3] [s2 s3 s4]]."""
    m0, m1, m2 = s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2
    determinant = s0 * m0 + s1 * m1 + s2 * m2
    determinant = np.where(determinant > SINGULAR * s0 * s2 * s4, determinant, np.nan)
    return m0 / determinant, m1 / determinant, m2 / determinant


@dataclass(frozen=True, kw_only=True)
class SplineCurve:
    """Logistic regression on a restricted cubic spline of logit(p). Made by `fit_spline`."""

    knots: Vector
    params: Vector
    covariance: NDArray[Float]

    def predict(self, at: ArrayLike) -> Vector:
        """Smoothed risk at each predicted risk inside (0, 1); shape (m,)."""
        return np.asarray(special.expit(self._design(at) @ self.params))

    def band(self, at: ArrayLike, conf_level: float) -> tuple[Vector, Vector]:
        """Delta-method limits on the logit, carried back to risks."""
        design = self._design(at)
        lp = design @ self.params
        half = normal_quantile(conf_level) * np.sqrt(_quadratic_form(design, self.covariance))
        return np.asarray(special.expit(lp - half)), np.asarray(special.expit(lp + half))

    def _design(self, at: ArrayLike) -> NDArray[Float]:
        return spline_design(finite_logit(np.asarray(at, dtype=float)), self.knots)


def _quadratic_form(design: NDArray[Float], covariance: NDArray[Float]) -> Vector:
    """Variance of every row's linear predictor, infinite where the covariance is none."""
    variance = np.einsum("ij,jk,ik->i", design, covariance, design)
    return np.where(variance >= 0, variance, np.inf)


def spline_design(lp: Vector, knots: Vector) -> NDArray[Float]:
    """Intercept and restricted cubic spline of a linear predictor; shape (m, n_knots)."""
    return np.column_stack([np.ones(lp.size), rcs_basis(lp, knots)])


def fit_spline(
    p: ArrayLike,
    y: ArrayLike,
    *,
    n_knots: int = 4,
    counts: ArrayLike | None = None,
    cluster: NDArray[np.int64] | None = None,
) -> SplineCurve:
    """Logistic regression of y on a restricted cubic spline of logit(p).

    Parameters
    ----------
    p : array_like, shape (n,)
        Predicted risks; 0 and 1 are moved inside by 1e-8.
    y : array_like, shape (n,)
    n_knots : int
        3, 4 or 5 knots at Harrell's quantiles of logit(p).
    counts : array_like of int, shape (n,), optional
        How often each row counts (a bootstrap replicate); knots follow the replicate.
    cluster : ndarray of int, shape (n,), optional
        Patient codes 0..K-1 for a sandwich covariance.

    Returns
    -------
    SplineCurve

    Raises
    ------
    FitError
        Too few distinct predictions for the knots, or no finite maximum.

    Notes
    -----
    R: ``glm(y ~ rcs(qlogis(p), n_knots), binomial)``.

    Examples
    --------
    >>> p = np.linspace(0.1, 0.9, 40)
    >>> fit_spline(p, np.tile([0, 1], 20), n_knots=3).predict([0.5]).round(2)
    array([0.5])
    """
    rows = _expand(np.asarray(p, dtype=float).size, counts)
    lp, outcome = finite_logit(np.asarray(p, dtype=float)[rows]), np.asarray(y, dtype=float)[rows]
    distinct = np.unique(lp).size
    if distinct < max(LEAST_DISTINCT, n_knots):
        msg = f"a spline needs at least {LEAST_DISTINCT} distinct predictions; there are {distinct}"
        raise FitError(msg)
    knots = _knots(lp, n_knots)
    who = None if cluster is None else cluster[rows]
    design = spline_design(lp, knots)
    params, covariance = maximise_likelihood(design, outcome, cluster=who)
    if not (_quadratic_form(design, covariance) < WIDEST**2).all():
        msg = "the spline nearly separates events from non-events"
        raise FitError(msg)
    return SplineCurve(knots=knots, params=params, covariance=covariance)


def _knots(lp: Vector, n_knots: int) -> Vector:
    try:
        return np.asarray(harrell_knots(lp, n_knots), dtype=float)
    except DesignError as error:
        raise FitError(str(error)) from None


def _expand(n: int, counts: ArrayLike | None) -> NDArray[np.intp]:
    """Row indices, each as often as it counts."""
    return np.arange(n) if counts is None else np.repeat(np.arange(n), np.asarray(counts))
