"""Tests between groups where a patient has several rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.linalg import block_diag

from usstats._describe.two_way import Test, midranks

Float = np.float64
Codes = NDArray[np.int64]


def clustered_mean_test(x: NDArray[Float], group: Codes, patient: Codes) -> Test:
    """Equality of the groups' means of a number."""
    return _wald_test("Wald test of means, clustered by patient", x[:, None], group, patient)


def clustered_rank_test(x: NDArray[Float], group: Codes, patient: Codes) -> Test:
    """Equality of the groups' mean ranks."""
    ranks = midranks(x)[0][:, None]
    return _wald_test("Wald test of ranks, clustered by patient", ranks, group, patient)


def clustered_share_test(level: Codes, group: Codes, patient: Codes) -> Test:
    """Equality of the groups' shares of levels."""
    indicators = (level[:, None] == np.unique(level)[1:]).astype(float)
    return _wald_test("Wald test of shares, clustered by patient", indicators, group, patient)


def _wald_test(method: str, values: NDArray[Float], group: Codes, patient: Codes) -> Test:
    """Wald's test of equal mean vectors, their covariance by leaving out one patient at a time.

    The means are over rows, as in a generalised estimating equation with independent working
    correlation; leaving out patients is the sandwich of Mancl and DeRouen (Biometrics
    2001;57:126) times (G_k - 1) / G_k for the G_k patients of a group. With one row a patient the
    statistic is Welch's, squared. With r contrasts and nu = sum of (G_k - 1), statistic / r *
    (nu - r + 1) / nu is referred to F(r, nu - r + 1).
    """
    undefined = Test(method=method, statistic=np.nan, df=np.nan, p_value=np.nan)
    group = _codes(group)
    n_groups = group.max(initial=-1) + 1
    if n_groups < 2 or values.shape[1] == 0:
        return undefined
    mean = _sums(values, group) / np.bincount(group)[:, None]
    parts = [_left_out(values[group == k] - mean[k], patient[group == k]) for k in range(n_groups)]
    n_patients, covariances = np.array([n for n, _ in parts]), [part for _, part in parts]
    apart = (mean[1:] - mean[0]).ravel()
    covariance = block_diag(*covariances[1:]) + np.tile(covariances[0], (n_groups - 1,) * 2)
    nu, scale = int((n_patients - 1).sum()), np.abs(values).max()
    rounding = np.diag(covariance).min() <= (1e-12 * scale) ** 2
    if n_patients.min() < 2 or nu < apart.size or rounding or _is_singular(covariance):
        return undefined
    return _hotelling(method, apart, covariance, nu)


def _left_out(deviations: NDArray[Float], patient: Codes) -> tuple[int, NDArray[Float]]:
    """How many patients a mean comes from, and its covariance by leaving each of them out."""
    own = _codes(patient)
    n_rows = np.bincount(own)[:, None]
    n = len(n_rows)
    others = np.maximum(len(own) - n_rows, 1)
    shifts = _sums(deviations, own) / others
    return n, shifts.T @ shifts * (n - 1) / n


def _is_singular(covariance: NDArray[Float]) -> bool:
    return bool(np.linalg.matrix_rank(covariance, hermitian=True) < len(covariance))


def _hotelling(method: str, apart: NDArray[Float], covariance: NDArray[Float], nu: int) -> Test:
    r = apart.size
    df = float(nu - r + 1)
    statistic = float(apart @ np.linalg.solve(covariance, apart)) / r * df / nu
    p_value = float(special.fdtrc(r, df, statistic))
    return Test(method=method, statistic=statistic, df=df, p_value=p_value)


def _codes(labels: Codes) -> Codes:
    """Codes from 0 on without gaps."""
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def _sums(values: NDArray[Float], code: Codes) -> NDArray[Float]:
    """Column sums by code."""
    return np.column_stack([np.bincount(code, column) for column in values.T])
