"""Tests of fit that people ask for by name. None is part of a default report (rule R09)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

from usstats._check import check_lengths, check_outcome, check_risk
from usstats._fits.columns import check_present
from usstats._intervals import two_sided_p
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.logistic import LogisticFit


@dataclass(frozen=True, kw_only=True, repr=False)
class HosmerLemeshow:
    """Chi-square test over groups of predicted risk. Made by `hosmer_lemeshow`."""

    statistic: float
    df: int
    p_value: float
    n: int
    n_event: int
    _groups: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row: statistic, df, p_value."""
        row = {
            "measure": "hosmer_lemeshow",
            "statistic": self.statistic,
            "df": self.df,
            "p_value": self.p_value,
            "n": self.n,
            "n_event": self.n_event,
        }
        return pd.DataFrame([row])

    def groups(self) -> pd.DataFrame:
        """Observed and expected events in each group of predicted risk."""
        return self._groups.copy()

    def summary(self) -> str:
        """Statistic and what the test cannot say."""
        return (
            f"Hosmer-Lemeshow chi-square {self.statistic:.3f} on {self.df} df, "
            f"p = {self.p_value:.3g}; n = {self.n}, events = {self.n_event}. A large p value is "
            "no evidence of calibration."
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def hosmer_lemeshow(y: ArrayLike, p: ArrayLike, *, internal: bool, g: int = 10) -> HosmerLemeshow:
    """Hosmer-Lemeshow test, for those who are asked for it.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Outcome and predicted risk.
    internal : bool
        True if the model was fitted to these rows (df = groups - 2), False for an external
        cohort (df = groups).
    g : int
        Number of groups, cut at unique type-7 quantiles of p, (a, b]; ties merge groups.

    Returns
    -------
    HosmerLemeshow
        With `groups()`, the observed and expected events.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        Too few distinct risks for a test: the p value is NaN.

    Notes
    -----
    R: ``ResourceSelection::hoslem.test`` (df = groups - 2).

    Examples
    --------
    >>> p = np.repeat([0.2, 0.4, 0.6, 0.8], 5)
    >>> y = np.repeat([0, 0, 1, 0, 1, 1], [4, 3, 3, 2, 4, 4])
    >>> hosmer_lemeshow(y, p, internal=False, g=4).df
    4
    """
    outcome, risk = check_outcome(y), check_risk(p)
    n = check_lengths(y=outcome, p=risk)
    if isinstance(g, bool) or int(g) != g or g < 2:
        msg = f"`g` must be a whole number of at least 2; got {g!r}."
        raise ArgumentError(msg)
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, int(g) + 1)))
    group = np.clip(np.searchsorted(edges, risk, side="left") - 1, 0, None)
    table = _group_table(outcome.astype(float), risk, group, edges)
    df = len(table) - (2 if internal else 0)
    statistic, p_value = _chi_square(table, df)
    return HosmerLemeshow(
        statistic=statistic,
        df=df,
        p_value=p_value,
        n=n,
        n_event=int(outcome.sum()),
        _groups=table,
    )


def _group_table(
    y: np.ndarray, p: np.ndarray, group: np.ndarray, edges: np.ndarray
) -> pd.DataFrame:
    rows = pd.DataFrame({"observed": y, "expected": p}).groupby(group)
    table = rows.sum()
    table.insert(0, "n", rows.size())
    table.insert(0, "risk_high", edges[np.minimum(table.index + 1, edges.size - 1)])
    table.insert(0, "risk_low", edges[table.index])
    return table.reset_index(drop=True)


def _chi_square(table: pd.DataFrame, df: int) -> tuple[float, float]:
    """Sum over events and non-events; a cell that is empty and expected so adds nothing."""
    gap = (table["observed"] - table["expected"]) ** 2
    cells = np.r_[table["expected"], table["n"] - table["expected"]]
    parts = np.divide(
        np.r_[gap, gap], cells, out=np.where(np.r_[gap, gap] > 0, np.inf, 0.0), where=cells > 0
    )
    statistic = float(parts.sum())
    if df < 1:
        msg = (
            f"The predictions form {len(table)} groups, too few for a Hosmer-Lemeshow test of a "
            "model on its own data: the p value is NaN."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
        return statistic, np.nan
    return statistic, float(stats.chi2.sf(statistic, df))


def spiegelhalter(y: ArrayLike, p: ArrayLike) -> pd.DataFrame:
    """Spiegelhalter's z test of the Brier score against its expectation if p were the truth.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Outcome and predicted risk.

    Returns
    -------
    DataFrame
        One row: measure, statistic (z), p_value (two-sided), n, n_event.

    Raises
    ------
    OutcomeError, RiskError, PairingError

    Warns
    -----
    SmallSampleWarning
        Every risk is 0, 0.5 or 1: the statistic is NaN.

    Notes
    -----
    Spiegelhalter (1986), Stat Med 5:421; R: ``rms::val.prob``.

    Examples
    --------
    >>> float(spiegelhalter([0, 1, 0, 1], [0.2, 0.8, 0.3, 0.6])["statistic"].iloc[0])
    -1.105...
    """
    outcome, risk = check_outcome(y), check_risk(p)
    n = check_lengths(y=outcome, p=risk)
    weight = 1 - 2 * risk
    variance = float((weight**2 * risk * (1 - risk)).sum())
    if variance == 0:
        msg = "Every risk is 0, 0.5 or 1: Spiegelhalter's statistic is undefined (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
    z = float(((outcome - risk) * weight).sum() / np.sqrt(variance)) if variance else np.nan
    row = {
        "measure": "spiegelhalter",
        "statistic": z,
        "p_value": float(two_sided_p(z)),
        "n": n,
        "n_event": int(outcome.sum()),
    }
    return pd.DataFrame([row])


def le_cessie_van_houwelingen(
    fit: LogisticFit, *, data: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Unweighted sum of squares test of a logistic model on the data it was fitted to.

    Parameters
    ----------
    fit : LogisticFit
    data : DataFrame, optional
        Development data of a model that was read from a file.

    Returns
    -------
    DataFrame
        One row: measure, estimate (sum of squared errors), expected (under the model), std_error,
        statistic (z), p_value (two-sided), n, n_event. It needs no groups of risk.

    Raises
    ------
    ArgumentError
        Not a LogisticFit, a weighted or penalised fit, or no data; other patients belong to
        `spiegelhalter`.
    OutcomeError, DesignError, MissingDataError

    Warns
    -----
    SmallSampleWarning
        The sum of squares does not vary: z is NaN.

    Notes
    -----
    Le Cessie and van Houwelingen (1991), Biometrics 47:1267; Hosmer et al. (1997), Stat Med
    16:965. The standard error allows for the estimated coefficients: the residual sum of squares
    of 1 - 2p regressed on the design with weights p(1 - p). R: ``residuals(fit, "gof")`` of rms.

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> df = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1, 0, 1], "x": [0, 1, 2, 3, 4, 5, 6, 7.5]})
    >>> float(le_cessie_van_houwelingen(fit_logistic("y ~ x", df))["statistic"].round(3).iloc[0])
    0.65...
    """
    X, y = _development_rows(fit, data)
    p = special.expit(fit._lp(X))
    weight = p * (1 - p)
    design = X / np.abs(X).max(axis=0) * np.sqrt(weight)[:, None]
    slope = (1 - 2 * p) * np.sqrt(weight)
    left = slope - design @ np.linalg.lstsq(design, slope, rcond=None)[0]
    sse, expected, sd = (
        float(((y - p) ** 2).sum()),
        float(weight.sum()),
        float(np.sqrt(left @ left)),
    )
    if sd <= 1e-10:
        msg = "The sum of squared errors cannot vary under this model: its z is undefined (NaN)."
        warnings.warn(msg, SmallSampleWarning, stacklevel=2)
    z = (sse - expected) / sd if sd > 1e-10 else np.nan
    row = {
        "measure": "le_cessie_van_houwelingen",
        "estimate": sse,
        "expected": expected,
        "std_error": sd,
        "statistic": z,
        "p_value": float(two_sided_p(z)),
        "n": y.size,
        "n_event": int(y.sum()),
    }
    return pd.DataFrame([row])


def _development_rows(fit: LogisticFit, data: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
    """Design and outcome the model was fitted to."""
    if not isinstance(fit, LogisticFit) or fit.method != "ml":
        found = getattr(fit, "method", type(fit).__name__)
        msg = f"`fit` must be a maximum-likelihood LogisticFit; got {found}."
        raise ArgumentError(msg)
    known = fit.development
    if known is not None and known.weights is not None:
        msg = "The test knows no case weights; fit without them."
        raise ArgumentError(msg)
    if data is None:
        if known is None:
            msg = "This model was read from a file; pass its development table as `data`."
            raise ArgumentError(msg)
        return known.X, known.y
    check_present(data, [fit.spec.outcome])
    y = check_outcome(data[fit.spec.outcome].to_numpy(), name=fit.spec.outcome)
    if len(y) != fit.n:
        msg = f"`data` has {len(y)} rows; the model was fitted to {fit.n}."
        raise ArgumentError(msg)
    return fit.spec.matrix(data), y
