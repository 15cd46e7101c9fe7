"""Tests of yes/no decisions on the same cases: McNemar, Cochran's Q, and both for patients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import check_cluster, check_option, check_outcome
from usstats._intervals import chi2_p, two_sided_p
from usstats.errors import ArgumentError, PairingError, SmallSampleWarning
from usstats.results import unit_of_analysis

Float = np.float64
_PLAIN = ("chi2", "chi2_corrected", "exact", "midp")
_DEPENDENT = 1e-10
_MOST_PAIRS = 2**53


def mcnemar(n_10: int, n_01: int, *, method: str = "chi2") -> tuple[float, float]:
    """Test that two paired proportions are equal, from the discordant pairs alone.

    Parameters
    ----------
    n_10, n_01 : int
        Discordant pairs of either kind.
    method : {"chi2", "chi2_corrected", "exact", "midp"}
        Chi-square without or with continuity correction, two-sided binomial, mid-p.

    Returns
    -------
    statistic, p_value : float
        The statistic is NaN for the exact methods. Without discordant pairs p is 1.

    Raises
    ------
    ArgumentError
        Counts that are not whole numbers of at least 0.

    References
    ----------
    McNemar (1947), Psychometrika 12:153. R: mcnemar.test, binom.test.

    Examples
    --------
    >>> statistic, p_value = mcnemar(78, 22)
    >>> round(statistic, 2), round(p_value * 1e8, 3)
    (31.36, 2.144)
    """
    check_option(method, _PLAIN, name="method")
    if not all(_is_count(n) for n in (n_10, n_01)):
        msg = f"Discordant counts must be whole numbers from 0; got {n_10!r} and {n_01!r}."
        raise ArgumentError(msg)
    total = n_10 + n_01
    if total == 0:
        return (0.0 if method.startswith("chi2") else np.nan), 1.0
    if method in ("exact", "midp"):
        return np.nan, _binomial_p(min(n_10, n_01), total, midp=method == "midp")
    gap = abs(n_10 - n_01) - (1 if method == "chi2_corrected" else 0)
    z = max(gap, 0) / np.sqrt(total)
    return float(z**2), float(two_sided_p(z))


def is_number(value: object) -> bool:
    """A real number: no text, no array, no time span."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, np.timedelta64)


def _is_count(n: Any) -> bool:
    return is_number(n) and 0 <= n <= _MOST_PAIRS and float(n).is_integer()


def _binomial_p(fewer: int, total: int, *, midp: bool) -> float:
    """Twice the smaller tail at 1/2, capped at 1; mid-p takes one point probability off."""
    two_tails = min(2 * float(special.bdtr(fewer, total, 0.5)), 1.0)
    if not midp:
        return two_tails
    log_point = (
        special.gammaln(total + 1)
        - special.gammaln(fewer + 1)
        - special.gammaln(total - fewer + 1)
        - total * np.log(2)
    )
    point = float(np.exp(log_point))
    return 1.0 if 2 * fewer == total else two_tails - point


def mcnemar_clustered(
    n_10: ArrayLike,
    n_01: ArrayLike,
    n: ArrayLike,
    *,
    method: str = "yang",
    n_11: ArrayLike | None = None,
) -> tuple[float, float]:
    """McNemar's test when a patient contributes several pairs.

    Parameters
    ----------
    n_10, n_01, n : array_like, shape (K,)
        Discordant pairs of either kind and all pairs of each patient.
    method : {"yang", "obuchowski", "durkalski", "eliasziw"}
        "eliasziw" takes one correlation for all patients and is liberal where they differ in
        their number of pairs (7 to 8 % instead of 5 % with 1-7 pairs and a correlation of 0.7).
    n_11 : array_like, shape (K,), optional
        Pairs positive by both, which "eliasziw" needs.

    Returns
    -------
    statistic, p_value : float
        Chi-square with 1 df; p is 1 when every patient has as many of either kind.

    Raises
    ------
    ArgumentError, PairingError

    Warns
    -----
    SmallSampleWarning
        A single patient, or a correction that is not positive: statistic and p value are NaN.

    References
    ----------
    Eliasziw and Donner (1991), Stat Med 10:1981. Obuchowski (1998), Stat Med 17:1495. Durkalski
    et al. (2003), Stat Med 22:2417. Yang et al. (2010), Stat Med 29:2650. R: clust.bin.pair.

    Examples
    --------
    >>> statistic, p_value = mcnemar_clustered([2, 1, 0], [0, 0, 1], [3, 2, 2])
    >>> round(statistic, 4), round(p_value, 4)
    (0.5355, 0.4643)
    """
    check_option(method, CLUSTERED, name="method")
    if method == "eliasziw" and n_11 is None:
        msg = "`method` 'eliasziw' needs `n_11`, each patient's pairs that are positive by both."
        raise ArgumentError(msg)
    b, c, size, both = _patient_counts(n_10, n_01, n, n_10 if n_11 is None else n_11)
    if len(b) < 2:
        msg = "All pairs belong to one patient: a clustered test needs more, its p value is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
        return np.nan, np.nan
    if np.array_equal(b, c):
        return 0.0, 1.0
    chi2 = _eliasziw(b, c, size, both) if method == "eliasziw" else _SUMS[method](b, c, size)
    return chi2, float(two_sided_p(np.sqrt(chi2)))


def _patient_counts(*counts: ArrayLike) -> list[NDArray[Float]]:
    try:
        arrays = [np.asarray(values, dtype=float) for values in counts]
    except (TypeError, ValueError, OverflowError):
        msg = "The counts of the patients must be numbers."
        raise ArgumentError(msg) from None
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1 or arrays[0].ndim != 1:
        msg = f"The counts need one value a patient; shapes {', '.join(map(str, shapes))}."
        raise PairingError(msg)
    b, c, n, _ = arrays
    if not (np.isfinite(arrays).all() and (np.minimum(b, c) >= 0).all() and (b + c <= n).all()):
        msg = "Each patient needs counts of at least 0, with no more discordant pairs than pairs."
        raise ArgumentError(msg)
    return arrays


def _obuchowski(b: NDArray[Float], c: NDArray[Float], n: NDArray[Float]) -> float:
    k = len(n)
    return float((k - 1) / k * (b - c).sum() ** 2 / ((b - c) ** 2).sum())


def _durkalski(b: NDArray[Float], c: NDArray[Float], n: NDArray[Float]) -> float:
    share = (b - c) / n
    return float(share.sum() ** 2 / (share**2).sum())


def _yang(b: NDArray[Float], c: NDArray[Float], n: NDArray[Float]) -> float:
    k, gap = len(n), b - c
    expected = n * gap.sum() / n.sum()
    return float((k - 1) / k * gap.sum() ** 2 / (0.5 * ((gap - expected) ** 2 + gap**2).sum()))


_SUMS: dict[str, Callable[..., float]] = {
    "yang": _yang,
    "obuchowski": _obuchowski,
    "durkalski": _durkalski,
}
CLUSTERED = (*_SUMS, "eliasziw")


def _eliasziw(
    b: NDArray[Float], c: NDArray[Float], n: NDArray[Float], both: NDArray[Float]
) -> float:
    """McNemar's chi-square over 1 + (n_c - 1) rho, rho being that of discordant pairs."""
    plain = (b.sum() - c.sum()) ** 2 / (b + c).sum()
    discordant = b + c
    n_c = (discordant**2).sum() / discordant.sum()
    correction = 1 + (n_c - 1) * _discordant_correlation(b, c, n, both)
    if correction > 0:
        return float(plain / correction)
    msg = (
        "Eliasziw and Donner's correction is not positive (pairs of a patient disagree more than "
        "by chance): the test is NaN. Use another method."
    )
    warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    return np.nan


def _discordant_correlation(
    b: NDArray[Float], c: NDArray[Float], n: NDArray[Float], both: NDArray[Float]
) -> float:
    """From an analysis of variance of the four kinds of pairs, pooled; 0 for one pair a patient."""
    counts = np.stack([both, b, c, n - both - b - c])
    k, mean = len(n), n.mean()
    if mean == 1:
        return 0.0
    expected = n * counts.sum(axis=1, keepdims=True) / n.sum()
    between = ((counts - expected) ** 2 / n).sum() / k
    within = (counts * (n - counts) / n).sum() / (k * (mean - 1))
    typical = mean - ((n - mean) ** 2).sum() / (k * (k - 1) * mean)
    rho = (between - within) / (between + (typical - 1) * within)
    discordant = (b + c).sum() / n.sum()
    return float(rho / (rho + discordant * (1 - rho)))


@dataclass(frozen=True, kw_only=True)
class CochranQ:
    """Test that several decisions are positive equally often.

    Examples
    --------
    >>> CochranQ(statistic=6.0, df=2, p_value=0.0498, method="Cochran's Q", n=12)
    <Cochran's Q: chi2(2) = 6.000, p = 0.0498; n = 12, unit: case>
    """

    statistic: float
    df: int
    p_value: float
    method: str
    n: int
    n_cluster: int | None = None

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<{self.method}: chi2({self.df}) = {self.statistic:.3f}, p = {self.p_value:.3g}; "
            f"n = {self.n}, unit: {unit}>"
        )


def cochran_q(decisions: ArrayLike, *, cluster: ArrayLike | None = None) -> CochranQ:
    """Test that two or more yes/no decisions on the same cases are positive equally often.

    Parameters
    ----------
    decisions : array_like of 0/1 or bool, shape (n, k)
        One column a test or reader, k >= 2; for example whether each was right.
    cluster : array_like, shape (n,), optional
        Patient labels: the covariance of the k shares is then the sum of squares of patients'
        sums under the null hypothesis (for k = 2 Obuchowski's clustered McNemar test).

    Returns
    -------
    CochranQ
        p is 1 where no two decisions differ on any case.

    Raises
    ------
    OutcomeError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        A single patient: the test is NaN.

    References
    ----------
    Cochran (1950), Biometrika 37:256. Obuchowski (1998), Stat Med 17:1495.

    Examples
    --------
    >>> cochran_q([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]])
    <Cochran's Q: chi2(2) = 6.000, p = 0.0498; n = 6, unit: case>
    """
    try:
        table = np.asarray(decisions)
    except ValueError:
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] < 2 or not len(table):
        msg = f"`decisions` must be a table (n, k) with k >= 2 columns; it has shape {table.shape}."
        raise ArgumentError(msg)
    columns = [
        check_outcome(column, name=f"decisions[:, {j}]", require_both=False)
        for j, column in enumerate(table.T)
    ]
    return q_test(np.stack(columns, axis=1).astype(float), check_cluster(cluster, len(table)))


def q_test(decisions: NDArray[Float], cluster: NDArray[np.int64] | None) -> CochranQ:
    """Cochran's Q of checked decisions, or its clustered form."""
    if cluster is None:
        statistic, df = _cochran(decisions)
        name, n_cluster = "Cochran's Q", None
    else:
        statistic, df = _score_form(decisions, cluster)
        name, n_cluster = "Cochran's Q, clustered", int(cluster.max()) + 1
    p_value = 1.0 if statistic == 0 else chi2_p(statistic, df)
    return CochranQ(
        statistic=statistic,
        df=df,
        p_value=p_value,
        method=name,
        n=len(decisions),
        n_cluster=n_cluster,
    )


def _cochran(decisions: NDArray[Float]) -> tuple[float, int]:
    k = decisions.shape[1]
    of_test, of_case = decisions.sum(axis=0), decisions.sum(axis=1)
    spread = (of_case * (k - of_case)).sum()
    between = ((of_test - of_test.mean()) ** 2).sum()
    return (float(k * (k - 1) * between / spread) if spread else 0.0), k - 1


def _score_form(decisions: NDArray[Float], cluster: NDArray[np.int64]) -> tuple[float, int]:
    """d' V^- d of the differences from the first decision, V from uncentred patient sums."""
    gaps = decisions[:, 1:] - decisions[:, :1]
    sums = np.stack([np.bincount(cluster, weights=gap) for gap in gaps.T], axis=1)
    n_cluster = int(cluster.max()) + 1
    if n_cluster < 2:
        msg = "All cases belong to one patient: a clustered test needs more, its p value is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
        return np.nan, gaps.shape[1]
    values, vectors = np.linalg.eigh(sums.T @ sums * n_cluster / (n_cluster - 1))
    kept = values > _DEPENDENT * max(values.max(), 1.0)
    total = vectors.T[kept] @ sums.sum(axis=0)
    return float((total**2 / values[kept]).sum()), int(kept.sum())
