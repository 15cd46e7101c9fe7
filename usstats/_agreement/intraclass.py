"""Intraclass correlation of several raters' measurements, in all six forms."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from usstats._check import check_cluster, check_n_boot, check_option
from usstats._intervals import check_conf_level
from usstats._resampling.draws import Resamples
from usstats._resampling.limits import percentile_limits
from usstats.errors import ArgumentError, MissingDataError, SmallSampleWarning
from usstats.results import Estimate

Float = np.float64

FORMS = ("ICC1", "ICC2", "ICC3", "ICC1k", "ICC2k", "ICC3k")
_MEANING = {
    "ICC1": "one-way random, single rater",
    "ICC2": "two-way random, absolute agreement, single rater",
    "ICC3": "two-way mixed, consistency, single rater",
    "ICC1k": "one-way random, mean of k raters",
    "ICC2k": "two-way random, absolute agreement, mean of k raters",
    "ICC3k": "two-way mixed, consistency, mean of k raters",
}


@dataclass(frozen=True, kw_only=True)
class IntraclassCorrelation:
    """All six forms of Shrout and Fleiss; the study's design says which one is meant.

    Attributes
    ----------
    table : DataFrame
        One row a form.
    n, k : int
        Subjects and raters.
    """

    table: pd.DataFrame
    n: int
    k: int
    conf_level: float
    method: str
    n_cluster: int | None = None
    n_boot: int | None = None
    seed: int | None = None

    def frame(self) -> pd.DataFrame:
        """Columns measure, estimate, conf_low, conf_high, statistic, df, df_2, p_value, ..."""
        return self.table.copy()

    def form(self, name: str) -> Estimate:
        """One form as an Estimate.

        Raises
        ------
        ArgumentError
        """
        check_option(name, FORMS, name="form")
        row = self.table.set_index("measure").loc[name]
        return Estimate(
            measure=name,
            estimate=float(row["estimate"]),
            std_error=np.nan,
            conf_low=float(row["conf_low"]),
            conf_high=float(row["conf_high"]),
            conf_level=self.conf_level,
            method=self.method,
            n=self.n,
            n_event=None,
            n_cluster=self.n_cluster,
            n_boot=self.n_boot,
            seed=self.seed,
        )

    def summary(self) -> str:
        """One line a form, with what it means."""
        return "\n".join(f"{self.form(name).summary()} ({_MEANING[name]})" for name in FORMS)

    def __repr__(self) -> str:
        return f"<icc of {self.n} subjects x {self.k} raters, {self.method}: {self.form('ICC2')!r}>"


def icc(
    ratings: ArrayLike | pd.DataFrame,
    *,
    average_limits: str = "spearman-brown",
    cluster: ArrayLike | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    conf_level: float = 0.95,
) -> IntraclassCorrelation:
    """Intraclass correlation of measurements by several raters.

    Parameters
    ----------
    ratings : array_like or DataFrame, shape (n, k)
        One row a subject, one column a rater, no gaps.
    average_limits : {"spearman-brown", "irr"}
        Limits of ICC2k: those of ICC2 stepped up, which the theory asks for (psych), or with the
        degrees of freedom that the package irr takes for them.
    cluster : array_like, shape (n,), optional
        Patient labels: all intervals then come from a bootstrap of patients.
    n_boot, seed : int
        Of that bootstrap.
    conf_level : float

    Returns
    -------
    IntraclassCorrelation
        The F test of ICC2 and ICC2k is that of no differences between subjects, as in psych.

    Raises
    ------
    ArgumentError, MissingDataError, PairingError

    Warns
    -----
    SmallSampleWarning
        No subject differs from another (NaN).

    References
    ----------
    Shrout and Fleiss (1979), Psychol Bull 86:420; McGraw and Wong (1996), Psychol Methods 1:30.
    R: psych::ICC(lmer = FALSE), irr::icc.

    Examples
    --------
    >>> ml = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> icc(ml).frame()["estimate"].round(3).tolist()
    [0.166, 0.29, 0.715, 0.443, 0.62, 0.909]
    """
    check_option(average_limits, ("spearman-brown", "irr"), name="average_limits")
    level = check_conf_level(conf_level)
    x = _check_measurements(ratings)
    squares = _mean_squares(x)
    table = _table(squares, level, average_limits)
    if table["estimate"].isna().any():
        msg = "The subjects do not differ at all: intraclass correlations are undefined (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
    patients = check_cluster(cluster, len(x))
    if patients is None:
        return IntraclassCorrelation(
            table=table, n=len(x), k=x.shape[1], conf_level=level, method="anova"
        )
    drawn = Resamples.draw(len(x), n_boot=check_n_boot(n_boot), seed=seed, cluster=patients)
    replicates = np.array([_estimates(_mean_squares(x[rows])) for rows in drawn])
    limits = np.array([percentile_limits(column, level) for column in replicates.T])
    table[["conf_low", "conf_high"]] = limits
    table[["statistic", "df", "df_2", "p_value"]] = np.nan
    return IntraclassCorrelation(
        table=table.assign(method="percentile"),
        n=len(x),
        k=x.shape[1],
        conf_level=level,
        method="percentile",
        n_cluster=int(patients.max()) + 1,
        n_boot=n_boot,
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class _MeanSquares:
    """Of subjects (rows), raters (columns), residual, and within subjects."""

    n: int
    k: int
    rows: float
    columns: float
    error: float
    within: float


def _check_measurements(ratings: ArrayLike | pd.DataFrame) -> NDArray[Float]:
    try:
        x = np.asarray(pd.DataFrame(cast("Any", ratings)), dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = "Measurements must be numbers; for categories use cohen_kappa or fleiss_kappa."
        raise ArgumentError(msg) from error
    if x.shape[0] < 2 or x.shape[1] < 2:
        msg = f"Two or more subjects and raters are needed; got {x.shape[0]} x {x.shape[1]}."
        raise ArgumentError(msg)
    gaps = ~np.isfinite(x)
    if gaps.any():
        msg = (
            f"{int(gaps.any(axis=1).sum())} subjects lack a finite measurement (first: row "
            f"{int(np.flatnonzero(gaps.any(axis=1))[0])}); the analysis of variance needs all k."
        )
        raise MissingDataError(msg)
    return x


def _mean_squares(x: NDArray[Float]) -> _MeanSquares:
    n, k = x.shape
    centred = x - x.mean()
    rows = k * (centred.mean(axis=1) ** 2).sum()
    columns = n * (centred.mean(axis=0) ** 2).sum()
    total = (centred**2).sum()
    return _MeanSquares(
        n=n,
        k=k,
        rows=rows / (n - 1),
        columns=columns / (k - 1),
        error=max(total - rows - columns, 0.0) / ((n - 1) * (k - 1)),
        within=max(total - rows, 0.0) / (n * (k - 1)),
    )


def _estimates(ms: _MeanSquares) -> NDArray[Float]:
    """The six forms, in the order of FORMS."""
    k = ms.k
    raters = (ms.columns - ms.error) / ms.n
    absolute, consistent = ms.rows - ms.within, ms.rows - ms.error
    parts = [
        (absolute, ms.rows + (k - 1) * ms.within),
        (consistent, ms.rows + (k - 1) * ms.error + k * raters),
        (consistent, ms.rows + (k - 1) * ms.error),
        (absolute, ms.rows),
        (consistent, ms.rows + raters),
        (consistent, ms.rows),
    ]
    return np.array([above / below if below else np.nan for above, below in parts])


def _table(ms: _MeanSquares, conf_level: float, average_limits: str) -> pd.DataFrame:
    one_way = (ms.rows / ms.within if ms.within else np.inf, ms.n - 1, ms.n * (ms.k - 1))
    two_way = (ms.rows / ms.error if ms.error else np.inf, ms.n - 1, (ms.n - 1) * (ms.k - 1))
    estimates = _estimates(ms)
    tests = [one_way, two_way, two_way] * 2
    limits = _limits(ms, estimates, conf_level, average_limits, one_way, two_way)
    return pd.DataFrame(
        {
            "measure": FORMS,
            "estimate": estimates,
            "conf_low": [low for low, _ in limits],
            "conf_high": [high for _, high in limits],
            "conf_level": conf_level,
            "statistic": [f for f, _, _ in tests],
            "df": [df for _, df, _ in tests],
            "df_2": [df for _, _, df in tests],
            "p_value": [float(stats.f.sf(*test)) for test in tests],
            "method": "anova",
            "n": ms.n,
        }
    )


def _limits(
    ms: _MeanSquares,
    estimates: NDArray[Float],
    conf_level: float,
    average_limits: str,
    one_way: tuple[float, int, int],
    two_way: tuple[float, int, int],
) -> list[tuple[float, float]]:
    tail = (1 - conf_level) / 2
    one, consistent = (_exact(f, tail, ms.k) for f in (one_way, two_way))
    agreeing = _agreement_limits(ms, estimates[1], tail, single=True)
    averaged = (
        _stepped_up(agreeing, ms.k)
        if average_limits == "spearman-brown"
        else _agreement_limits(ms, estimates[4], tail, single=False)
    )
    return [
        one,
        agreeing,
        consistent,
        _stepped_up(one, ms.k),
        averaged,
        _stepped_up(consistent, ms.k),
    ]


def _exact(test: tuple[float, int, int], tail: float, k: int) -> tuple[float, float]:
    """(F' - 1) / (F' + k - 1) with F over its upper quantile, and times that of swapped df."""
    f, df_1, df_2 = test
    low, high = f / stats.f.isf(tail, df_1, df_2), f * stats.f.isf(tail, df_2, df_1)
    if not np.isfinite(f):
        return 1.0, 1.0
    return float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def _stepped_up(limits: tuple[float, float], k: int) -> tuple[float, float]:
    """Spearman and Brown: k r / (1 + (k - 1) r)."""
    step: Callable[[float], float] = lambda r: k * r / (1 + (k - 1) * r)  # noqa: E731
    return step(limits[0]), step(limits[1])


def _agreement_limits(
    ms: _MeanSquares, r: float, tail: float, *, single: bool
) -> tuple[float, float]:
    """McGraw and Wong's limits of absolute agreement, with Satterthwaite's degrees of freedom."""
    n, k = ms.n, ms.k
    if r >= 1:
        return 1.0, 1.0
    a = k * r / (n * (1 - r))
    b = 1 + k * r * (n - 1) / (n * (1 - r))
    spread = (a * ms.columns + b * ms.error) ** 2
    df = spread / ((a * ms.columns) ** 2 / (k - 1) + (b * ms.error) ** 2 / ((n - 1) * (k - 1)))
    upper, lower = stats.f.isf(tail, n - 1, df), stats.f.isf(tail, df, n - 1)
    noise = k * ms.columns + (k * n - k - n) * ms.error if single else ms.columns - ms.error
    return (
        float(n * (ms.rows - upper * ms.error) / (upper * noise + n * ms.rows)),
        float(n * (lower * ms.rows - ms.error) / (noise + n * lower * ms.rows)),
    )
