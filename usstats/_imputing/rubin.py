"""Rubin's rules on arrays: estimates and covariances of m completed tables become one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from usstats._check import Float, check_option
from usstats._intervals import check_conf_level
from usstats.errors import ArgumentError, PairingError
from usstats.results import read_only

Array = NDArray[Float]


@dataclass(frozen=True, kw_only=True)
class PooledTest:
    """A pooled test that several coefficients are zero, referred to F(df, df_residual)."""

    statistic: float
    df: int
    df_residual: float
    p_value: float
    riv: float
    method: str
    m: int

    def frame(self) -> pd.DataFrame:
        """One row: statistic, df, df_residual, p_value, riv, method."""
        columns = ("statistic", "df", "df_residual", "p_value", "riv", "method")
        return pd.DataFrame([{name: getattr(self, name) for name in columns}])

    def summary(self) -> str:
        """Statistic, degrees of freedom and p value in one line."""
        return (
            f"{self.method} over {self.m} imputations: F({self.df}, {self.df_residual:.1f}) = "
            f"{self.statistic:.3f}, p = {self.p_value:.3g}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


@dataclass(frozen=True, kw_only=True)
class PooledEstimates:
    """Coefficients pooled by Rubin's rules, with everything the rules are made of.

    Attributes
    ----------
    names : tuple of str
    estimates, covariances : ndarray, shapes (m, k) and (m, k, k)
        What was pooled.
    dfcom : float
        Residual degrees of freedom of the complete-data model.
    conf_level : float
    """

    names: tuple[str, ...]
    estimates: Array = field(repr=False)
    covariances: Array = field(repr=False)
    dfcom: float
    conf_level: float

    @property
    def m(self) -> int:
        """Number of completed tables."""
        return len(self.estimates)

    @property
    def estimate(self) -> Array:
        """Pooled coefficients, shape (k,)."""
        return np.asarray(self.estimates.mean(axis=0))

    @property
    def within(self) -> Array:
        """Mean covariance of the m fits, shape (k, k)."""
        return np.asarray(self.covariances.mean(axis=0))

    @property
    def between(self) -> Array:
        """Covariance of the m coefficient vectors, shape (k, k)."""
        return np.atleast_2d(np.cov(self.estimates, rowvar=False))

    @property
    def covariance(self) -> Array:
        """Total covariance: within + (1 + 1/m) between."""
        return self.within + (1 + 1 / self.m) * self.between

    @property
    def df(self) -> Array:
        """Degrees of freedom of Barnard and Rubin (1999), shape (k,)."""
        return barnard_rubin_df(self._lambda, m=self.m, dfcom=self.dfcom)

    @property
    def _lambda(self) -> Array:
        missing = (1 + 1 / self.m) * np.diag(self.between)
        return missing / np.diag(self.covariance)

    def frame(self, *, conf_level: float | None = None) -> pd.DataFrame:
        """One row a coefficient: the shared columns, then within, between, riv, lambda, fmi."""
        level = check_conf_level(self.conf_level if conf_level is None else conf_level)
        std_error, df, share = np.sqrt(np.diag(self.covariance)), self.df, self._lambda
        half = special.stdtrit(df, (1 + level) / 2) * std_error
        statistic = self.estimate / std_error
        riv = share / (1 - share)
        return pd.DataFrame(
            {
                "term": list(self.names),
                "estimate": self.estimate,
                "std_error": std_error,
                "conf_low": self.estimate - half,
                "conf_high": self.estimate + half,
                "conf_level": level,
                "statistic": statistic,
                "df": df,
                "p_value": 2 * special.stdtr(df, -np.abs(statistic)),
                "within": np.diag(self.within),
                "between": np.diag(self.between),
                "riv": riv,
                "lambda": share,
                "fmi": (riv + 2 / (df + 3)) / (riv + 1),
            }
        )

    def wald(self, terms: Sequence[str], *, method: str = "D1") -> PooledTest:
        """Pooled Wald test that the named coefficients are all zero.

        Parameters
        ----------
        terms : sequence of str
            Names of coefficients.
        method : {"D1", "D2"}
            "D1" pools estimates and covariances (Li, Raghunathan and Rubin 1991) with Reiter's
            (2007) denominator degrees of freedom; "D2" pools the m Wald statistics (Li, Meng,
            Raghunathan and Rubin 1991). The same numbers as mice's `D1` and `D2`; D1 of a
            single coefficient has the degrees of freedom of Barnard and Rubin, so that it is the
            square of the t test in `frame()`.

        Raises
        ------
        ArgumentError
        """
        check_option(method, ("D1", "D2"), name="method")
        unknown = [name for name in terms if name not in self.names]
        if unknown or not terms:
            msg = f"`terms` must name coefficients of {list(self.names)}; got {list(terms)}."
            raise ArgumentError(msg)
        rows = [self.names.index(name) for name in terms]
        Q, U = self.estimates[:, rows], self.covariances[:, rows][:, :, rows]
        return _wald_d1(Q, U, self.dfcom) if method == "D1" else _wald_d2(Q, U)

    def summary(self) -> str:
        """How many coefficients and imputations, and the largest fraction missing."""
        worst = self.frame().nlargest(1, "fmi").iloc[0]
        return (
            f"{len(self.names)} coefficients pooled over {self.m} imputations by Rubin's rules "
            f"(Barnard-Rubin df, dfcom {self.dfcom:g}, {self.conf_level * 100:g} % level); "
            f"largest fraction of missing information {worst['fmi']:.2f} ({worst['term']})"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def pool_estimates(
    estimates: ArrayLike,
    covariances: ArrayLike,
    *,
    dfcom: float = np.inf,
    names: Sequence[str] | None = None,
    conf_level: float = 0.95,
) -> PooledEstimates:
    """Pool coefficients of any model over m completed tables by Rubin's rules.

    Parameters
    ----------
    estimates : array_like, shape (m, k)
    covariances : array_like, shape (m, k, k), or (m, k) of variances
    dfcom : float
        Residual degrees of freedom of the complete-data model: n minus the number of
        coefficients (events minus coefficients for a Cox model). Infinite for large samples.
    names : sequence of str, optional
        Names of the coefficients.
    conf_level : float

    Returns
    -------
    PooledEstimates

    Raises
    ------
    PairingError
        Shapes that do not belong together, or fewer than two imputations.
    ArgumentError

    Notes
    -----
    Rubin (1987), chapter 3; degrees of freedom of Barnard and Rubin (1999), Biometrika 86:948;
    fmi = (riv + 2 / (df + 3)) / (riv + 1). The same numbers as R's `mice::pool`.

    Examples
    --------
    >>> pooled = pool_estimates([[1.0, 0.2], [1.2, 0.1]], [[0.04, 0.01], [0.05, 0.01]], dfcom=90)
    >>> pooled.frame()["estimate"].round(2).tolist()
    [1.1, 0.15]
    """
    Q, U = _check_estimates(estimates, covariances)
    labels = tuple(names) if names is not None else tuple(f"x{j}" for j in range(Q.shape[1]))
    if len(labels) != Q.shape[1]:
        msg = f"`names` has {len(labels)} names for {Q.shape[1]} coefficients."
        raise PairingError(msg)
    if not dfcom > 0:
        msg = f"`dfcom` must be positive (n minus the number of coefficients); got {dfcom!r}."
        raise ArgumentError(msg)
    return PooledEstimates(
        names=labels,
        estimates=_frozen(Q),
        covariances=_frozen(U),
        dfcom=float(dfcom),
        conf_level=check_conf_level(conf_level),
    )


def barnard_rubin_df(share: ArrayLike, *, m: int, dfcom: float) -> Array:
    """Degrees of freedom for a small complete-data sample, by adding up reciprocals.

    `share` is lambda, the part of the total variance due to missing values.

    >>> barnard_rubin_df([0.0, 0.5], m=5, dfcom=np.inf).tolist()
    [inf, 16.0]
    """
    part = np.asarray(share, dtype=float)
    observed = dfcom if np.isinf(dfcom) else (dfcom + 1) / (dfcom + 3) * dfcom
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (part**2 / (m - 1) + 1 / (observed * (1 - part))))


def pool_likelihood_ratio(at_own: ArrayLike, at_pooled: ArrayLike, *, df: int) -> PooledTest:
    """Meng and Rubin's (1992) D3: likelihood-ratio statistics of m tables become one F test.

    Parameters
    ----------
    at_own : array_like, shape (m,)
        2 (l_full - l_reduced) of each table at that table's own estimates.
    at_pooled : array_like, shape (m,)
        The same at the pooled estimates of both models.
    df : int
        Number of coefficients tested.

    Examples
    --------
    >>> pool_likelihood_ratio([5.2, 6.1, 4.9], [5.0, 5.8, 4.6], df=1).method
    'D3 likelihood ratio'
    """
    own, pooled = np.asarray(at_own, dtype=float), np.asarray(at_pooled, dtype=float)
    m = own.size
    riv = max((m + 1) / (df * (m - 1)) * float(own.mean() - pooled.mean()), 0.0)
    statistic = max(float(pooled.mean()), 0.0) / (df * (1 + riv))
    return _f_test(statistic, df, _denominator(df, m, riv), riv, m, "D3 likelihood ratio")


def _check_estimates(estimates: ArrayLike, covariances: ArrayLike) -> tuple[Array, Array]:
    Q, U = np.asarray(estimates, dtype=float), np.asarray(covariances, dtype=float)
    if Q.ndim != 2 or len(Q) < 2:
        msg = f"`estimates` must have shape (m, k) with m >= 2 imputations; it has {Q.shape}."
        raise PairingError(msg)
    if U.shape == Q.shape:
        U = U[:, :, None] * np.eye(Q.shape[1])
    if U.shape != (*Q.shape, Q.shape[1]):
        msg = (
            f"`covariances` must have shape {(*Q.shape, Q.shape[1])} (or {Q.shape} for variances) "
            f"to go with `estimates`; it has {U.shape}."
        )
        raise PairingError(msg)
    if not (np.isfinite(Q).all() and np.isfinite(U).all()):
        msg = "`estimates` and `covariances` must be finite; a fit that failed cannot be pooled."
        raise ArgumentError(msg)
    return Q, U


def _frozen(array: Array) -> Any:
    return read_only(array.copy())


def _wald_d1(Q: Array, U: Array, dfcom: float) -> PooledTest:
    m, k = Q.shape
    within, between = U.mean(axis=0), np.atleast_2d(np.cov(Q, rowvar=False))
    riv = (1 + 1 / m) * float(np.trace(np.linalg.solve(within, between))) / k
    mean = Q.mean(axis=0)
    statistic = float(mean @ np.linalg.solve(within, mean)) / (k * (1 + riv))
    if k == 1:
        df = float(barnard_rubin_df(riv / (1 + riv), m=m, dfcom=dfcom))
    else:
        df = _reiter_df(k, m, riv, dfcom) if np.isfinite(dfcom) else _denominator(k, m, riv)
    return _f_test(statistic, k, df, riv, m, "D1 Wald")


def _wald_d2(Q: Array, U: Array) -> PooledTest:
    m, k = Q.shape
    d = np.einsum("mi,mi->m", Q, np.linalg.solve(U, Q[:, :, None])[:, :, 0])
    riv = (1 + 1 / m) * float(np.var(np.sqrt(d), ddof=1))
    statistic = max((float(d.mean()) / k - (m + 1) / (m - 1) * riv) / (1 + riv), 0.0)
    df = np.inf if riv == 0 else k ** (-3 / m) * (m - 1) * (1 + 1 / riv) ** 2
    return _f_test(statistic, k, df, riv, m, "D2 Wald")


def _denominator(k: int, m: int, riv: float) -> float:
    """Large-sample denominator df (Li, Raghunathan and Rubin 1991)."""
    t = k * (m - 1)
    if riv == 0:
        return np.inf
    if t > 4:
        return float(4 + (t - 4) * (1 + (1 - 2 / t) / riv) ** 2)
    return float(t * (1 + 1 / k) * (1 + 1 / riv) ** 2 / 2)


def _reiter_df(k: int, m: int, riv: float, dfcom: float) -> float:
    """Small-sample denominator df (Reiter 2007, Biometrika 94:502)."""
    t = k * (m - 1)
    if t <= 4:
        return min(_denominator(k, m, riv), dfcom)
    a = riv * t / (t - 2)
    v = (dfcom + 1) / (dfcom + 3) * dfcom
    c, d = v - 2 * (1 + a), v - 4 * (1 + a)
    if d <= 0:
        return min(_denominator(k, m, riv), dfcom)
    spread = (
        a**2 * c / ((1 + a) ** 2 * d)
        + 8 * a**2 * c / ((1 + a) * d**2)
        + 4 * a**2 / ((1 + a) * d)
        + 4 * a**2 / (c * d)
        + 16 * a**2 * c / d**3
        + 8 * a**2 / d**2
    )
    return float(4 + 1 / (1 / d + spread / (t - 4)))


def _f_test(statistic: float, k: int, df: float, riv: float, m: int, method: str) -> PooledTest:
    p = stats.f.sf(statistic, k, df) if np.isfinite(df) else stats.chi2.sf(statistic * k, k)
    return PooledTest(
        statistic=statistic,
        df=k,
        df_residual=float(df),
        p_value=float(p),
        riv=riv,
        method=method,
        m=m,
    )
