"""Limits of agreement of two methods of measurement, and Lin's concordance."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from usstats._check import check_cluster, check_finite, check_inside, check_lengths
from usstats._influence import by_cluster
from usstats._intervals import check_conf_level, normal_quantile
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.results import Estimate, read_only, unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = np.float64
Vector = NDArray[Float]
#: A correlation this close to -1 or 1 is exact but for rounding.
EXACT = 1e-12


@dataclass(frozen=True, kw_only=True)
class BlandAltman:
    """Bias and limits of agreement, method 1 minus method 2.

    Attributes
    ----------
    table : DataFrame
        Rows bias, loa_lower, loa_upper, proportional_slope.
    sd : float
        Standard deviation of a difference, between and within patients together.
    mean, difference : ndarray, shape (n,)
        What the plot shows.
    """

    table: pd.DataFrame
    sd: float
    mean: Vector
    difference: Vector
    n: int
    n_cluster: int | None
    conf_level: float
    method: str

    def frame(self) -> pd.DataFrame:
        """Columns measure, estimate, std_error, conf_low, conf_high, statistic, df, p_value, ..."""
        return self.table.copy()

    def points(self) -> pd.DataFrame:
        """Mean and difference of each pair."""
        return pd.DataFrame({"mean": self.mean, "difference": self.difference})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Differences against means, with bias, limits and their intervals."""
        from usstats.plots.agreement import plot_bland_altman

        return plot_bland_altman(self.points(), self.frame(), ax=ax)

    def summary(self) -> str:
        """Bias and limits in one line."""
        bias, low, high = (self._text(name) for name in ("bias", "loa_lower", "loa_upper"))
        unit = unit_of_analysis(self.n_cluster, row="pair")
        return (
            f"bias {bias}, limits of agreement {low} and {high}, {self.conf_level * 100:g} % "
            f"intervals, {self.method}; n = {self.n}, unit: {unit}"
        )

    def _text(self, measure: str) -> str:
        row = self.table.set_index("measure").loc[measure]
        return f"{row['estimate']:.3g} ({row['conf_low']:.3g} to {row['conf_high']:.3g})"

    def __repr__(self) -> str:
        return f"<Bland-Altman: {self.summary()}>"


def bland_altman(
    x_1: ArrayLike,
    x_2: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    multiplier: float = 1.96,
    conf_level: float = 0.95,
) -> BlandAltman:
    """Bias and limits of agreement of two methods measuring the same things.

    Parameters
    ----------
    x_1, x_2 : array_like, shape (n,)
        Measurements in the same unit.
    cluster : array_like, shape (n,), optional
        Patient labels where patients were measured repeatedly: the limits then hold for one
        difference of any patient (between- plus within-patient variance), with intervals by the
        method of variance estimates recovery.
    multiplier : float
        Half the width of the limits in standard deviations.
    conf_level : float

    Returns
    -------
    BlandAltman

    Raises
    ------
    ArgumentError, PairingError, RiskError

    References
    ----------
    Bland and Altman (1999), Stat Methods Med Res 8:135; repeated measurements Zou (2013), Stat
    Methods Med Res 22:630. R: blandr::blandr.statistics.

    Examples
    --------
    >>> ellipsoid, lambert = [12.1, 15.0, 9.8, 18.2, 14.1], [12.9, 15.2, 10.4, 18.1, 15.0]
    >>> bland_altman(ellipsoid, lambert).frame().round(2)[["measure", "estimate"]].values.tolist()
    [['bias', -0.48], ['loa_lower', -1.3], ['loa_upper', 0.34], ['proportional_slope', 0.09]]
    """
    first, second = check_finite(x_1, name="x_1"), check_finite(x_2, name="x_2")
    n = check_lengths(x_1=first, x_2=second)
    level = check_conf_level(conf_level)
    width = check_inside(multiplier, 0, np.inf, name="multiplier")
    patients = check_cluster(cluster, n)
    if n < 3 or (patients is not None and patients.max() < 2):
        msg = f"Limits of agreement need three or more pairs (patients); got {n} pairs."
        raise ArgumentError(msg)
    mean, difference = (first + second) / 2, first - second
    once = patients is None or len(np.unique(patients)) == n
    spread = (
        _one_each(difference, width, level)
        if once
        else _repeated(difference, np.asarray(patients), width, level)
    )
    rows = [*spread.rows, _proportional(mean, difference, patients, level)]
    n_cluster = None if patients is None else int(patients.max()) + 1
    method = "bland-altman" if once else "mover"
    facts: dict[str, Any] = {"conf_level": level, "method": method, "n": n}
    facts |= {} if n_cluster is None else {"n_cluster": n_cluster}
    return BlandAltman(
        table=pd.DataFrame(rows).assign(**facts),
        sd=spread.sd,
        mean=read_only(mean),
        difference=read_only(difference),
        n=n,
        n_cluster=n_cluster,
        conf_level=level,
        method=method,
    )


@dataclass(frozen=True, kw_only=True)
class _Spread:
    sd: float
    rows: list[dict[str, object]]


def _row(
    measure: str, estimate: float, std_error: float, low: float, high: float
) -> dict[str, object]:
    return {
        "measure": measure,
        "estimate": estimate,
        "std_error": std_error,
        "conf_low": low,
        "conf_high": high,
    }


def _one_each(d: Vector, width: float, conf_level: float) -> _Spread:
    """t intervals; var(limit) = sd^2 (1 / n + z^2 / (2 (n - 1)))."""
    n, bias, sd = len(d), float(d.mean()), float(d.std(ddof=1))
    t, z = float(stats.t.isf((1 - conf_level) / 2, n - 1)), normal_quantile(conf_level)
    se_bias, se_limit = sd / np.sqrt(n), sd * np.sqrt(1 / n + z**2 / (2 * (n - 1)))
    at = {
        "bias": (bias, se_bias),
        "loa_lower": (bias - width * sd, se_limit),
        "loa_upper": (bias + width * sd, se_limit),
    }
    rows = [_row(name, x, float(se), x - t * se, x + t * se) for name, (x, se) in at.items()]
    return _Spread(sd=sd, rows=rows)


def _repeated(d: Vector, patients: NDArray[np.int64], width: float, conf_level: float) -> _Spread:
    """Variance of the patients' means plus (1 - 1 / m_h) times that within them."""
    size = np.bincount(patients)
    k, n = len(size), len(d)
    means = by_cluster(d, patients) / size
    between = float(means.var(ddof=1))
    within = float(((d - means[patients]) ** 2).sum() / (n - k)) * (1 - float((1 / size).mean()))
    bias, sd = float(means.mean()), float(np.sqrt(between + within))
    tail = (1 - conf_level) / 2
    low_sd, high_sd = (
        np.sqrt(max(sd**2 + side * _reach(between, within, k, n, p), 0.0))
        for side, p in ((-1, tail), (1, 1 - tail))
    )
    half_bias = float(stats.t.isf(tail, k - 1)) * np.sqrt(between / k)
    inner, outer = (np.hypot(half_bias, width * gap) for gap in (sd - low_sd, high_sd - sd))
    lower, upper = bias - width * sd, bias + width * sd
    rows = [
        _row("bias", bias, float(np.sqrt(between / k)), bias - half_bias, bias + half_bias),
        _row("loa_lower", lower, np.nan, lower - outer, lower + inner),
        _row("loa_upper", upper, np.nan, upper - inner, upper + outer),
    ]
    return _Spread(sd=sd, rows=rows)


def _reach(between: float, within: float, k: int, n: int, p: float) -> float:
    """How far a chi-square limit of the summed variances lies from the sum."""
    parts = [
        variance * (1 - df / float(stats.chi2.isf(p, df)))
        for variance, df in ((between, k - 1), (within, n - k))
    ]
    return float(np.hypot(parts[0], parts[1]))


def _proportional(
    mean: Vector, d: Vector, patients: NDArray[np.int64] | None, conf_level: float
) -> dict[str, object]:
    """Slope of the differences on the means: does the bias grow with the size?"""
    x = mean - mean.mean()
    if not x.any():
        return _row("proportional_slope", np.nan, np.nan, np.nan, np.nan)
    slope = float(x @ d / (x @ x))
    residual = d - d.mean() - slope * x
    if patients is None:
        df = len(d) - 2
        se = float(np.sqrt(residual @ residual / df / (x @ x)))
    else:
        score = by_cluster(x * residual, patients)
        df = len(score) - 1
        se = float(np.sqrt((df + 1) / df * (score @ score)) / (x @ x))
    t = float(stats.t.isf((1 - conf_level) / 2, df))
    statistic = slope / se if se > 0 else np.nan
    p_value = float(2 * stats.t.sf(abs(statistic), df))
    row = _row("proportional_slope", slope, se, slope - t * se, slope + t * se)
    return row | {"statistic": statistic, "df": df, "p_value": p_value}


def concordance_correlation(
    x_1: ArrayLike, x_2: ArrayLike, *, cluster: ArrayLike | None = None, conf_level: float = 0.95
) -> Estimate:
    """Lin's concordance correlation coefficient, with its interval on Fisher's z scale.

    Parameters
    ----------
    x_1, x_2 : array_like, shape (n,)
    cluster : array_like, shape (n,), optional
        Patient labels: the standard error then comes from leaving out each patient in turn.
    conf_level : float

    Returns
    -------
    Estimate

    Raises
    ------
    ArgumentError, PairingError, RiskError

    Warns
    -----
    SmallSampleWarning
        The methods agree (or disagree) exactly: no interval.

    References
    ----------
    Lin (1989), Biometrics 45:255, corrected in Biometrics 56:324 (2000). R: epiR::epi.ccc.

    Examples
    --------
    >>> estimate = concordance_correlation([12.1, 15.0, 9.8, 18.2], [12.9, 15.2, 10.4, 18.1])
    >>> round(estimate.estimate, 3)
    0.986
    """
    first, second = check_finite(x_1, name="x_1"), check_finite(x_2, name="x_2")
    n = check_lengths(x_1=first, x_2=second)
    level = check_conf_level(conf_level)
    patients = check_cluster(cluster, n)
    if n < 3 or not (first.std() > 0 and second.std() > 0):
        msg = "Concordance needs three or more pairs, and both methods to vary."
        raise ArgumentError(msg)
    ccc = _concordance(first, second)
    if abs(ccc) >= 1 - EXACT:
        msg = f"A concordance correlation of {ccc:.0f} has no variance, and so no interval (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
    se_z = _lin_se(first, second) if patients is None else _jackknife_z_se(first, second, patients)
    z, half = _fisher(ccc), normal_quantile(level) * se_z
    return Estimate(
        measure="concordance_correlation",
        estimate=ccc,
        std_error=float(se_z * (1 - ccc**2)),
        conf_low=float(np.tanh(z - half)),
        conf_high=float(np.tanh(z + half)),
        conf_level=level,
        method="lin" if patients is None else "jackknife",
        n=n,
        n_event=None,
        n_cluster=None if patients is None else int(patients.max()) + 1,
    )


def _concordance(x: Vector, y: Vector) -> float:
    covariance = float(np.mean((x - x.mean()) * (y - y.mean())))
    return 2 * covariance / float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def _lin_se(x: Vector, y: Vector) -> float:
    """Of the z-transformed coefficient."""
    n, ccc = len(x), _concordance(x, y)
    if abs(ccc) >= 1 - EXACT:
        return float("nan")
    r = float(np.corrcoef(x, y)[0, 1])
    shift = float((x.mean() - y.mean()) ** 2)
    u_2 = shift / float(x.std() * y.std())
    accuracy = 2 * float(x.std() * y.std()) / float(x.var() + y.var() + shift)  # ccc / r
    variance = (
        (1 - r**2) * accuracy**2 / (1 - ccc**2)
        + 2 * ccc**2 * accuracy * (1 - ccc) * u_2 / (1 - ccc**2) ** 2
        - ccc**2 * accuracy**2 * u_2**2 / (2 * (1 - ccc**2) ** 2)
    ) / (n - 2)
    return float(np.sqrt(variance))


def _fisher(ccc: float) -> float:
    """z of a correlation; NaN at -1 and 1."""
    return float(np.arctanh(ccc)) if abs(ccc) < 1 - EXACT else float("nan")


def _jackknife_z_se(x: Vector, y: Vector, patients: NDArray[np.int64]) -> float:
    k = int(patients.max()) + 1
    kept = (patients != u for u in range(k))
    z = np.array([_fisher(_concordance(x[rows], y[rows])) for rows in kept])
    return float(np.sqrt((k - 1) ** 2 / k * z.var(ddof=1)))
