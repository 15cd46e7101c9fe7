"""Score tests that two decisions have the same predictive value on the same cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usstats._accuracy.diagnostic import Share, cluster_std_error
from usstats._intervals import two_sided_p

Float = np.float64
KINDS = ("weighted", "score")


def score_test(
    one: Share, two: Share, cluster: NDArray[np.int64] | None, *, kind: str
) -> tuple[float, float, str]:
    """Chi-square with 1 df, its p value and the method's name.

    Parameters
    ----------
    one, two : Share
        The outcome among the positives (negatives) of each decision.
    cluster : ndarray of int, shape (n,), or None
        With patients the variance is the sum of squares of their sums.
    kind : {"weighted", "score"}
        Kosinski's variance, or Leisenring's; patients always take the second.

    References
    ----------
    Leisenring et al. (2000), Biometrics 56:345. Kosinski (2013), Stat Med 32:964. R:
    DTComPair::pv.gs, pv.wgs.
    """
    weighted = kind == "weighted" and cluster is None
    name = "weighted generalised score" if weighted else "generalised score"
    method = name if cluster is None else f"{name}, clustered"
    gap = one.estimate - two.estimate
    if gap == 0:
        return 0.0, 1.0, method
    variance = _kosinski(one, two) if weighted else _leisenring(one, two, cluster)
    statistic = gap**2 / variance if variance > 0 else np.nan
    return float(statistic), float(two_sided_p(np.sqrt(statistic))), method


def _pooled(one: Share, two: Share) -> float:
    return (one.x + two.x) / (one.n + two.n)


def _kosinski(one: Share, two: Share) -> float:
    """Binomial variance at the pooled value, less twice the covariance of cases in both."""
    pooled = _pooled(one, two)
    shared = one.among & two.among
    covariance = ((one.hit - pooled) ** 2)[shared].sum() / (one.n + two.n)
    return float((pooled * (1 - pooled) - 2 * covariance) * (1 / one.n + 1 / two.n))


def _leisenring(one: Share, two: Share, cluster: NDArray[np.int64] | None) -> float:
    """Sum of squared contributions, of cases or of patients, at the pooled value."""
    part = one.among / one.n - two.among / two.n
    contribution = (one.hit - _pooled(one, two)) * part
    if cluster is None:
        return float((contribution**2).sum())
    return cluster_std_error(contribution, cluster, one.among | two.among)[0] ** 2
