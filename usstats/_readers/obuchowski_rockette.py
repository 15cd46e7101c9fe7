"""Obuchowski and Rockette's analysis of variance of readers' figures of merit.

Letters of Hillis (2007): I conditions, J readers; Cov1 same reader and different condition, Cov2
different readers and same condition, Cov3 both different. Only arrays come in and go out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats.errors import SmallSampleWarning

Float = np.float64
Int = np.int64
#: A squared standard error below this is rounding, not variance.
NO_VARIANCE = 1e-24


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Figures of merit of reader-condition cells.

    Attributes
    ----------
    theta : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
        Over cases.
    condition, reader : ndarray of int, shape (k,)
    nested : bool
        Each reader reads in one condition only.
    """

    theta: NDArray[Float]
    covariance: NDArray[Float]
    condition: NDArray[Int]
    reader: NDArray[Int]
    nested: bool = False

    @property
    def n_condition(self) -> int:
        return int(self.condition.max()) + 1

    @property
    def n_reader(self) -> int:
        return len(np.unique(self.reader))

    @property
    def readers_of(self) -> NDArray[Int]:
        """Readers of each condition."""
        return np.bincount(self.condition, minlength=self.n_condition)

    def means(self) -> NDArray[Float]:
        sums = np.bincount(self.condition, weights=self.theta, minlength=self.n_condition)
        return np.asarray(sums / self.readers_of)

    def part(self, chosen: NDArray[np.bool_]) -> Cells:
        return Cells(
            theta=self.theta[chosen],
            covariance=self.covariance[np.ix_(chosen, chosen)],
            condition=self.condition[chosen],
            reader=self.reader[chosen],
            nested=self.nested,
        )


@dataclass(frozen=True, kw_only=True)
class Components:
    """Mean variance and covariances over cases; a covariance without pairs counts as zero.

    Attributes
    ----------
    error, cov1, cov2, cov3 : float
    present : tuple of str
        Those of Cov1, Cov2, Cov3 that the design has pairs for.
    """

    error: float
    cov1: float
    cov2: float
    cov3: float
    present: tuple[str, ...]

    @property
    def between_readers(self) -> float:
        """Cov2 - Cov3."""
        return self.cov2 - self.cov3


def components(cells: Cells) -> Components:
    """Averages over the pairs of cells of each kind."""
    same_condition = cells.condition[:, None] == cells.condition
    same_reader = cells.reader[:, None] == cells.reader

    pairs = {
        "Cov1": ~same_condition & same_reader,
        "Cov2": same_condition & ~same_reader,
        "Cov3": ~same_condition & ~same_reader,
    }
    found = {k: float(cells.covariance[p].mean()) for k, p in pairs.items() if p.any()}
    return Components(
        error=float(cells.covariance.diagonal().mean()),
        cov1=found.get("Cov1", 0.0),
        cov2=found.get("Cov2", 0.0),
        cov3=found.get("Cov3", 0.0),
        present=tuple(found),
    )


@dataclass(frozen=True, kw_only=True)
class MeanSquares:
    """Mean squares of conditions, readers and their interaction; NaN without df.

    With readers nested in conditions `interaction` is MS(R(T)) and `reader` is NaN.
    """

    condition: float
    reader: float
    interaction: float
    df_condition: int
    df_reader: int
    df_interaction: int


def mean_squares(cells: Cells) -> MeanSquares:
    I, J = cells.n_condition, cells.n_reader  # noqa: E741 - the letters of the papers
    means, grand = cells.means(), cells.theta.mean()
    ss_condition = float((cells.readers_of * (means - grand) ** 2).sum())
    within = cells.theta - means[cells.condition]
    if cells.nested:
        df = len(cells.theta) - I
        return MeanSquares(
            condition=_ratio(ss_condition, I - 1),
            reader=np.nan,
            interaction=_ratio(float((within**2).sum()), df),
            df_condition=I - 1,
            df_reader=0,
            df_interaction=df,
        )
    _, reader = np.unique(cells.reader, return_inverse=True)
    reader_effect = np.bincount(reader, weights=within) / I
    left = within - reader_effect[reader]
    return MeanSquares(
        condition=_ratio(ss_condition, I - 1),
        reader=_ratio(float(I * (reader_effect**2).sum()), J - 1),
        interaction=_ratio(float((left**2).sum()), (I - 1) * (J - 1)),
        df_condition=I - 1,
        df_reader=J - 1,
        df_interaction=(I - 1) * (J - 1),
    )


def _ratio(sum_of_squares: float, df: int) -> float:
    return sum_of_squares / df if df else np.nan


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What a difference of conditions is measured against.

    The variance of a difference is a / J_1 + a / J_2 + 2 b with a `per_reader`, b `shared`.
    """

    per_reader: float
    shared: float
    df: float

    def of_difference(self, readers_1: int, readers_2: int) -> float:
        return (1 / readers_1 + 1 / readers_2) * self.per_reader + 2 * self.shared


def spread_of_conditions(cells: Cells, *, readers: str, cases: str) -> Spread:
    """Variance between conditions with random or fixed readers and cases.

    Random readers: the interaction mean square plus max(Cov2 - Cov3, 0), df by Hillis. Fixed
    readers: the case variance alone, without truncation. Fixed cases: the mean square alone.
    """
    found, ms = components(cells), mean_squares(cells)
    shared = found.between_readers
    if readers == "fixed":
        alone = found.cov2 if cells.nested else found.cov1 + shared
        return Spread(per_reader=found.error - alone, shared=shared, df=np.inf)
    if cases == "fixed":
        return Spread(per_reader=ms.interaction, shared=0.0, df=float(ms.df_interaction))
    kept = float(np.maximum(shared, 0.0))
    J = _effective_readers(cells)
    df = satterthwaite(ms.interaction, J * kept, ms.df_interaction)
    return Spread(per_reader=ms.interaction, shared=kept, df=df)


def satterthwaite(mean_square: float, case_part: float, df: int) -> float:
    """Hillis's denominator df: only the mean square is estimated with few of them."""
    if mean_square == 0:
        return np.inf
    return float((mean_square + case_part) ** 2 / (mean_square**2 / df)) if df else np.nan


def _effective_readers(cells: Cells) -> float:
    """Readers a condition; with unequal numbers n0 of the one-way analysis of variance."""
    J = cells.readers_of.astype(float)
    if len(J) == 1:
        return float(J[0])
    return float((J.sum() - (J**2).sum() / J.sum()) / (len(J) - 1))


@dataclass(frozen=True, kw_only=True)
class GlobalReaderTest:
    """Test that all conditions are equal: F(df1, df2), or chi-square(df1) with fixed readers.

    Attributes
    ----------
    distribution : {"F", "chi2"}
    statistic, df1, df2, p_value : float
    denominator : float
        What MS(T) is divided by.
    """

    distribution: str
    statistic: float
    df1: int
    df2: float
    p_value: float
    denominator: float


def compare_conditions(cells: Cells, spread: Spread, *, readers: str) -> GlobalReaderTest:
    """F, or chi-square, of MS(T)."""
    ms, J = mean_squares(cells), _effective_readers(cells)
    denominator = spread.per_reader + J * spread.shared
    ratio = _standardised(ms.condition, denominator)
    if readers == "fixed":
        statistic = ms.df_condition * ratio
        p_value = float(special.chdtrc(ms.df_condition, statistic))
        df2, name = np.inf, "chi2"
    else:
        statistic, df2, name = ratio, spread.df, "F"
        p_value = f_tail(ms.df_condition, spread.df, statistic)
    return GlobalReaderTest(
        distribution=name,
        statistic=statistic,
        df1=ms.df_condition,
        df2=df2,
        p_value=p_value,
        denominator=denominator,
    )


def f_tail(df1: int, df2: float, statistic: float) -> float:
    """P(F > statistic); chi-square where df2 is infinite."""
    if np.isinf(df2):
        return float(special.chdtrc(df1, df1 * statistic))
    return float(special.fdtrc(df1, df2, statistic))


def _standardised(square: float, variance: float) -> float:
    """A square over its variance: 0 where both are 0, NaN where only the variance is."""
    if square <= NO_VARIANCE and not variance > NO_VARIANCE:
        return 0.0 if np.isfinite(variance) else np.nan
    return square / variance if variance > NO_VARIANCE else np.nan


def t_quantile(df: float, conf_level: float) -> float:
    """Two-sided quantile of Student's t, normal where df is infinite."""
    tail = (1 + conf_level) / 2
    return float(special.ndtri(tail) if np.isinf(df) else special.stdtrit(df, tail))


def t_tail(df: float, statistic: float) -> float:
    """P(T > statistic) with the digits of small tails kept."""
    return float(special.ndtr(-statistic) if np.isinf(df) else special.stdtr(df, -statistic))


def wald_row(
    estimate: float,
    variance: float,
    df: float,
    conf_level: float,
    *,
    test: bool = True,
    bounded: bool = False,
) -> dict[str, float]:
    """Estimate, standard error, limits, and with `test` statistic, df and p value.

    Without any variance a difference of exactly zero has p = 1; anything else is NaN with a
    warning, and so is a negative variance.
    """
    nothing = abs(estimate) < np.sqrt(NO_VARIANCE) and 0 <= variance <= NO_VARIANCE
    known = variance > NO_VARIANCE or (not test and variance >= 0) or nothing
    if not known and np.isfinite(variance):
        msg = (
            f"The estimate {estimate:.4f} has variance {variance:.3g}, which is no measure of "
            "its uncertainty; its interval and test are NaN."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=6)
    std_error = float(np.sqrt(variance)) if known else np.nan
    half = t_quantile(df, conf_level) * std_error
    low, high = estimate - half, estimate + half
    if bounded:
        low, high = (float(np.clip(limit, 0.0, 1.0)) for limit in (low, high))
    row = {"estimate": estimate, "std_error": std_error, "conf_low": low, "conf_high": high}
    if not test:
        return row | {"df": df}
    statistic = 0.0 if nothing else estimate / std_error
    return row | {
        "statistic": statistic,
        "df": df,
        "p_value": 2 * t_tail(df, abs(statistic)),
    }


def variance_of_mean(cells: Cells, *, readers: str, cases: str) -> tuple[float, float]:
    """Variance of the mean of one condition's readers, and its df."""
    J = len(cells.theta)
    found = components(cells)
    shared = float(np.maximum(found.cov2, 0.0))
    if readers == "fixed":
        return (found.error + (J - 1) * shared) / J, np.inf
    mean_square = float(cells.theta.var(ddof=1)) if J > 1 else np.nan
    if cases == "fixed":
        return mean_square / J, float(J - 1)
    return mean_square / J + shared, satterthwaite(mean_square, J * shared, J - 1)
