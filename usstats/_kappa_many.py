"""Chance-corrected agreement of any number of raters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_option
from usstats._influence import bounded_interval
from usstats._intervals import check_conf_level, two_sided_p
from usstats._kappa import Kappa
from usstats._ratings import Ratings, RatingTable, agreement_weights, read_ratings
from usstats.errors import ArgumentError, SmallSampleWarning

Float = np.float64
Matrix = NDArray[Float]
#: Observed and chance agreement of a table of ratings.
Agreement = Callable[[RatingTable], tuple[float, float]]

METRICS = ("nominal", "ordinal", "interval", "ratio")


def fleiss_kappa(
    ratings: Ratings,
    *,
    method: str = "fleiss",
    levels: Sequence[Any] | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Kappa:
    """Kappa of several raters who all rated every subject.

    Parameters
    ----------
    ratings : array_like or DataFrame, shape (n, k)
        One row a subject (image), one column a rater.
    method : {"fleiss", "conger", "light"}
        Raters interchangeable; each rater with his own margins; mean of the pairs' Cohen's kappas.
    levels : sequence, optional
        All categories.
    cluster : array_like, shape (n,), optional
        Patient labels.
    conf_level : float
        Of the interval by leaving out each subject (patient) in turn.

    Returns
    -------
    Kappa
        For "fleiss" with the test of Fleiss, Nee and Landis (1979).

    Raises
    ------
    ArgumentError, PairingError, MissingDataError

    References
    ----------
    Fleiss (1971), Psychol Bull 76:378; Conger (1980), Psychol Bull 88:322; Light (1971), Psychol
    Bull 76:365. R: irr::kappam.fleiss, irr::kappam.light.

    Examples
    --------
    >>> kappa = fleiss_kappa([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0], [2, 2, 2]])
    >>> round(kappa.estimate, 4)
    0.5833
    """
    check_option(method, ("fleiss", "conger", "light"), name="method")
    table = read_ratings(ratings, levels=levels, complete=True)
    agreement = {"fleiss": _fleiss, "conger": _conger, "light": _light}[method]
    z = _fleiss_z(table) if method == "fleiss" else np.nan
    return _kappa(f"{method}_kappa", table, agreement, cluster, conf_level, statistic=z)


def gwet_ac(
    ratings: Ratings,
    *,
    weights: str | ArrayLike | None = None,
    levels: Sequence[Any] | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Kappa:
    """Gwet's AC1, or AC2 with weights: kappa that does not collapse when one category is rare.

    Parameters
    ----------
    ratings : array_like or DataFrame, shape (n, k)
        One row a subject, one column a rater; missing ratings are taken.
    weights : {None, "linear", "quadratic"} or array_like
    levels, cluster, conf_level
        As in `fleiss_kappa`.

    Returns
    -------
    Kappa

    Raises
    ------
    ArgumentError, PairingError

    References
    ----------
    Gwet (2008), Br J Math Stat Psychol 61:29. R: irrCAC::gwet.ac1.raw.

    Examples
    --------
    >>> round(gwet_ac([[1, 1], [1, 1], [1, 1], [1, 0]]).estimate, 4)
    0.68
    """
    table = read_ratings(ratings, levels=levels, complete=False)
    w = agreement_weights(weights, table)

    def agreement(part: RatingTable) -> tuple[float, float]:
        counts = part.counts()
        share = _shares(counts)
        q = len(part.levels)
        chance = w.sum() / (q * (q - 1)) * (share @ (1 - share)) if q > 1 else 1.0
        return _pairwise_agreement(counts, w), float(chance)

    return _kappa(
        "gwet_ac1" if weights is None else "gwet_ac2", table, agreement, cluster, conf_level
    )


def krippendorff_alpha(
    ratings: Ratings,
    *,
    metric: str = "nominal",
    levels: Sequence[Any] | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Kappa:
    """Krippendorff's alpha: one minus observed over expected disagreement, missing ratings taken.

    Parameters
    ----------
    ratings : array_like or DataFrame, shape (n, k)
    metric : {"nominal", "ordinal", "interval", "ratio"}
        How far two ratings lie apart; all but "nominal" need ordered or numeric categories.
    levels, cluster, conf_level
        As in `fleiss_kappa`.

    Returns
    -------
    Kappa
        `observed` and `expected` are one minus the disagreements.

    Raises
    ------
    ArgumentError, PairingError

    References
    ----------
    Krippendorff (2019), Content Analysis, 4th edition, chapter 12. R: irr::kripp.alpha.

    Examples
    --------
    >>> alpha = krippendorff_alpha([[1, 1], [2, 2], [3, 3], [3, 2], [None, 1]], metric="ordinal")
    >>> round(alpha.estimate, 3)
    0.79
    """
    check_option(metric, METRICS, name="metric")
    table = read_ratings(ratings, levels=levels, complete=False)
    values = _numbers(table, metric)

    def agreement(part: RatingTable) -> tuple[float, float]:
        return _krippendorff(part.counts(), values, metric)

    return _kappa(f"krippendorff_alpha_{metric}", table, agreement, cluster, conf_level)


def _kappa(
    measure: str,
    table: RatingTable,
    agreement: Agreement,
    cluster: ArrayLike | None,
    conf_level: float,
    *,
    statistic: float = np.nan,
) -> Kappa:
    """The coefficient with the interval of a jackknife over subjects or patients."""
    level = check_conf_level(conf_level)
    patients = check_cluster(cluster, table.n)
    observed, expected = agreement(table)
    estimate = _coefficient(observed, expected)
    if not np.isfinite(estimate):
        msg = "Only one category was used: chance agreement is complete and the coefficient is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    unit = np.arange(table.n) if patients is None else patients
    std_error = _jackknife_se(table, agreement, unit)
    low, high = bounded_interval(estimate, std_error, level, low=-1.0)
    return Kappa(
        measure=measure,
        estimate=estimate,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        conf_level=level,
        method="jackknife",
        n=table.n,
        n_event=None,
        n_cluster=None if patients is None else int(patients.max()) + 1,
        observed=observed,
        expected=expected,
        statistic=statistic,
        p_value=float(two_sided_p(statistic)),
        levels=table.levels,
    )


def _coefficient(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else np.nan


def _jackknife_se(table: RatingTable, agreement: Agreement, unit: NDArray[np.int64]) -> float:
    """sqrt((K - 1) / K * sum (theta_without - mean)^2) over K units; NaN below three."""
    n_unit = int(unit.max()) + 1
    if n_unit < 3:
        return np.nan
    without = np.array([_coefficient(*agreement(_rows(table, unit != u))) for u in range(n_unit)])
    return float(np.sqrt((n_unit - 1) ** 2 / n_unit * without.var(ddof=1)))


def _rows(table: RatingTable, keep: NDArray[np.bool_]) -> RatingTable:
    return RatingTable(codes=table.codes[keep], levels=table.levels, ordered=table.ordered)


def _shares(counts: Matrix) -> NDArray[Float]:
    """Mean over rated subjects of the share of their raters in each category."""
    raters = counts.sum(axis=1)
    rated = raters > 0
    return np.asarray((counts[rated] / raters[rated, None]).mean(axis=0))


def _pairwise_agreement(counts: Matrix, w: Matrix) -> float:
    """Mean over subjects of the (weighted) share of pairs of raters who agree."""
    raters = counts.sum(axis=1)
    paired = raters > 1
    if not paired.any():
        msg = "No subject was rated twice: there is no agreement to measure."
        raise ArgumentError(msg)
    r, m = counts[paired], raters[paired]
    agreeing = (r * (r @ w - 1)).sum(axis=1) / (m * (m - 1))
    return float(agreeing.mean())


def _fleiss(table: RatingTable) -> tuple[float, float]:
    counts = table.counts()
    share = _shares(counts)
    return _pairwise_agreement(counts, np.eye(len(share))), float(share @ share)


def _conger(table: RatingTable) -> tuple[float, float]:
    """Chance agreement is the mean over pairs of raters of the product of their margins."""
    q, k = len(table.levels), table.codes.shape[1]
    margins = np.stack([np.bincount(codes, minlength=q) for codes in table.codes.T]) / table.n
    total = margins.sum(axis=0)
    chance = (total @ total - (margins**2).sum()) / (k * (k - 1))
    return _pairwise_agreement(table.counts(), np.eye(q)), float(chance)


def _light(table: RatingTable) -> tuple[float, float]:
    """The mean kappa itself, against a chance of 0."""
    q = len(table.levels)
    kappas = []
    for first, second in combinations(table.codes.T, 2):
        p_1, p_2 = (np.bincount(codes, minlength=q) / table.n for codes in (first, second))
        kappas.append(_coefficient(float((first == second).mean()), float(p_1 @ p_2)))
    return float(np.mean(kappas)), 0.0


def _fleiss_z(table: RatingTable) -> float:
    """Fleiss, Nee and Landis (1979), variance when ratings are independent of the subject."""
    n, m = table.codes.shape
    p = _shares(table.counts())
    spread = p @ (1 - p)
    variance = 2 / (n * m * (m - 1)) * (spread**2 - (p * (1 - p)) @ (1 - 2 * p)) / spread**2
    return _coefficient(*_fleiss(table)) / float(np.sqrt(variance)) if variance > 0 else np.nan


def _numbers(table: RatingTable, metric: str) -> NDArray[Float]:
    """The categories as numbers: ranks for "nominal" and "ordinal", their values otherwise."""
    if metric != "nominal" and not table.ordered:
        msg = (
            f"metric={metric!r} needs the order of the categories {list(table.levels)}: give "
            "`levels` from lowest to highest."
        )
        raise ArgumentError(msg)
    if metric in ("nominal", "ordinal"):
        return np.arange(len(table.levels), dtype=float)
    if not all(isinstance(v, int | float | np.number) for v in table.levels):
        msg = f"metric={metric!r} needs numeric ratings; the levels are {list(table.levels)}."
        raise ArgumentError(msg)
    return np.asarray(table.levels, dtype=float)


def _krippendorff(counts: Matrix, values: NDArray[Float], metric: str) -> tuple[float, float]:
    """One minus the disagreements, from the coincidences of ratings within subjects."""
    raters = counts.sum(axis=1)
    r = counts[raters > 1]
    if not len(r):
        msg = "No subject was rated twice: there is no agreement to measure."
        raise ArgumentError(msg)
    per_pair = r / (r.sum(axis=1, keepdims=True) - 1)
    coincidence = r.T @ per_pair - np.diag(per_pair.sum(axis=0))
    total = coincidence.sum(axis=0)
    n = total.sum()
    apart = _squared_distance(total, values, metric)
    scale = apart.max() or 1.0
    seen = (coincidence * apart).sum() / n
    by_chance = (np.outer(total, total) * apart).sum() / (n * (n - 1))
    return float(1 - seen / scale), float(1 - by_chance / scale)


def _squared_distance(total: NDArray[Float], values: NDArray[Float], metric: str) -> Matrix:
    if metric == "nominal":
        return 1.0 - np.eye(len(values))
    if metric == "ordinal":
        reached = np.cumsum(total) - total / 2
        return np.asarray(np.subtract.outer(reached, reached) ** 2)
    gap = np.subtract.outer(values, values)
    if metric == "interval":
        return np.asarray(gap**2)
    both = np.add.outer(values, values)
    return np.asarray(np.divide(gap, both, out=np.zeros_like(gap), where=both != 0) ** 2)
