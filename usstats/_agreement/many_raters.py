"""Chance-corrected agreement of any number of raters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from usstats._agreement.ratings import Ratings, RatingTable, agreement_weights, read_ratings
from usstats._agreement.sums import Agreement, coefficient, kappa_of, side_by_side
from usstats._agreement.two_raters import Kappa
from usstats._check import check_option
from usstats.errors import ArgumentError

Float = np.float64
Matrix = NDArray[Float]
Vector = NDArray[Float]

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
    agreement = {"fleiss": _fleiss, "conger": _conger, "light": _light}[method](table)
    z = _fleiss_z(table) if method == "fleiss" else np.nan
    return kappa_of(f"{method}_kappa", table, agreement, cluster, conf_level, statistic=z)


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
    measure = "gwet_ac1" if weights is None else "gwet_ac2"
    agreement = _gwet(table, agreement_weights(weights, table))
    return kappa_of(measure, table, agreement, cluster, conf_level)


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
    agreement = _krippendorff(table, _numbers(table, metric), metric)
    return kappa_of(f"krippendorff_alpha_{metric}", table, agreement, cluster, conf_level)


def _shares(counts: Matrix) -> Matrix:
    """Share of a subject's raters in each category; zeros where nobody rated."""
    raters = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, raters, out=np.zeros_like(counts), where=raters > 0))


def _check_pairs(raters: Vector) -> None:
    if not (raters > 1).any():
        msg = "No subject was rated twice: there is no agreement to measure."
        raise ArgumentError(msg)


def _fleiss(table: RatingTable) -> Agreement:
    k, counts = table.codes.shape[1], table.counts()
    agreeing = (counts * (counts - 1)).sum(axis=1, keepdims=True)

    def value(sums: Vector) -> tuple[float, float]:
        share = sums[1:] / sums[1:].sum()
        pairs = sums[1:].sum() * (k - 1)
        return float(sums[0] / pairs), float(share @ share)

    return Agreement(side_by_side(agreeing, counts), value)


def _gwet(table: RatingTable, w: Matrix) -> Agreement:
    """Observed: mean over subjects of the (weighted) share of pairs of raters who agree."""
    counts, q = table.counts(), len(table.levels)
    raters = counts.sum(axis=1)
    _check_pairs(raters)
    agreeing = (counts * (counts @ w - 1)).sum(axis=1)
    pairs = np.maximum(raters * (raters - 1), 1)
    tally = np.stack([agreeing / pairs * (raters > 1), raters > 1, raters > 0], axis=1)
    unequal = w.sum() / (q * (q - 1)) if q > 1 else np.inf

    def value(sums: Vector) -> tuple[float, float]:
        share = sums[3:] / sums[2]
        chance = float(unequal * (share @ (1 - share))) if q > 1 else 1.0
        return float(sums[0] / sums[1]) if sums[1] else np.nan, chance

    return Agreement(side_by_side(tally, _shares(counts)), value)


def _chosen(table: RatingTable) -> Matrix:
    """1 where a rater (outer) chose a category (inner); shape (n, k q)."""
    chosen = table.codes[:, :, None] == np.arange(len(table.levels))
    return np.asarray(chosen.reshape(table.n, -1), dtype=float)


def _conger(table: RatingTable) -> Agreement:
    """Chance agreement is the mean over pairs of raters of the product of their margins."""
    k, counts = table.codes.shape[1], table.counts()
    agreeing = (counts * (counts - 1)).sum(axis=1, keepdims=True)

    def value(sums: Vector) -> tuple[float, float]:
        margins = sums[1:].reshape(k, -1)
        n = margins[0].sum()
        total = margins.sum(axis=0)
        pairs = k * (k - 1)
        chance = (total @ total - (margins**2).sum()) / (pairs * n**2)
        return float(sums[0] / (n * pairs)), float(chance)

    return Agreement(side_by_side(agreeing, _chosen(table)), value)


def _light(table: RatingTable) -> Agreement:
    """The mean kappa itself, against a chance of 0."""
    k = table.codes.shape[1]
    pairs = list(combinations(range(k), 2))
    equal = np.stack([table.codes[:, a] == table.codes[:, b] for a, b in pairs], axis=1)

    def value(sums: Vector) -> tuple[float, float]:
        margins = sums[len(pairs) :].reshape(k, -1)
        n = margins[0].sum()
        kappas = [
            coefficient(float(hits / n), float(margins[a] @ margins[b] / n**2))
            for hits, (a, b) in zip(sums, pairs, strict=False)
        ]
        return float(np.mean(kappas)), 0.0

    return Agreement(side_by_side(equal.astype(float), _chosen(table)), value)


def _fleiss_z(table: RatingTable) -> float:
    """Fleiss, Nee and Landis (1979), variance when ratings are independent of the subject."""
    n, m = table.codes.shape
    p = table.counts().mean(axis=0) / m
    spread = p @ (1 - p)
    variance = 2 / (n * m * (m - 1)) * (spread**2 - (p * (1 - p)) @ (1 - 2 * p)) / spread**2
    if not variance > 0:
        return np.nan
    return coefficient(*_fleiss(table).whole()) / float(np.sqrt(variance))


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


def _krippendorff(table: RatingTable, values: Vector, metric: str) -> Agreement:
    """One minus the disagreements, from the coincidences of ratings within subjects.

    Where the distances do not depend on the ratings a subject's disagreement is one number; the
    ordinal ones need all coincidences.
    """
    counts, q = table.counts(), len(values)
    raters = counts.sum(axis=1, keepdims=True)
    _check_pairs(raters)
    coincidences = _coincidences(table, raters[:, 0])

    def from_all(sums: Vector) -> tuple[float, float]:
        coincidence = sums.reshape(q, q)
        total = coincidence.sum(axis=0)
        apart = _squared_distance(total, values, metric)
        return _disagreement((coincidence * apart).sum(), total, apart)

    if metric == "ordinal":
        return Agreement(coincidences, from_all)
    apart = _squared_distance(np.ones(q), values, metric)
    seen = np.asarray(coincidences @ apart.ravel())[:, None]

    def from_totals(sums: Vector) -> tuple[float, float]:
        return _disagreement(sums[0], sums[1:], apart)

    return Agreement(side_by_side(seen, counts * (raters > 1)), from_totals)


def _coincidences(table: RatingTable, raters: Vector) -> sparse.csr_array:
    """Each ordered pair of a subject's m ratings counts 1 / (m - 1); shape (n, q q)."""
    q, k = len(table.levels), table.codes.shape[1]
    subject, cell = [], []
    for a, b in permutations(range(k), 2):
        both = np.flatnonzero((table.codes[:, a] >= 0) & (table.codes[:, b] >= 0))
        subject.append(both)
        cell.append(table.codes[both, a] * q + table.codes[both, b])
    rows = np.concatenate(subject)
    found = sparse.coo_array(
        (1 / (raters[rows] - 1), (rows, np.concatenate(cell))), shape=(table.n, q * q)
    )
    return sparse.csr_array(found)


def _disagreement(seen: float, total: Vector, apart: Matrix) -> tuple[float, float]:
    n = total.sum()
    if n < 2:
        return np.nan, np.nan
    scale = apart.max() or 1.0
    by_chance = float(total @ apart @ total) / (n * (n - 1))
    return float(1 - seen / n / scale), float(1 - by_chance / scale)


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
