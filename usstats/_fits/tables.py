"""Tables of a fitted model: coefficients and odds ratios with the intervals of their method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from usstats._intervals import two_sided_p, wald_interval
from usstats.contrasts import contrast_row, contrasts_of

if TYPE_CHECKING:
    from usstats.logistic import LogisticFit

#: Methods whose slopes have profile limits.
PROFILED = ("firth", "flic")
_PROFILE = "profile penalised likelihood"


class Tabulated(Protocol):
    """A fit whose coefficients can be tabulated."""

    @property
    def params(self) -> pd.Series[float]: ...

    @property
    def covariance(self) -> pd.DataFrame: ...

    @property
    def method_in_words(self) -> str: ...

    @property
    def n(self) -> int: ...

    @property
    def n_event(self) -> int: ...

    @property
    def n_cluster(self) -> int | None: ...


def coefficient_table(fit: LogisticFit, level: float) -> pd.DataFrame:
    """One row per coefficient in the shared vocabulary, with the intervals of the method."""
    frame = wald_table(fit, level)
    return _with_limits(fit, frame, level) if fit.method in PROFILED else frame


def wald_table(fit: Tabulated, level: float) -> pd.DataFrame:
    """One row per coefficient in the shared vocabulary: Wald z, p and interval."""
    estimate = fit.params.to_numpy(dtype=float)
    std_error = np.sqrt(np.diag(fit.covariance.to_numpy(dtype=float)))
    low, high = wald_interval(estimate, std_error, level)
    frame = pd.DataFrame(
        {
            "term": fit.params.index,
            "estimate": estimate,
            "std_error": std_error,
            "conf_low": low,
            "conf_high": high,
            "conf_level": level,
            "statistic": estimate / std_error,
            "p_value": two_sided_p(estimate / std_error),
            "method": fit.method_in_words,
            "n": fit.n,
            "n_event": fit.n_event,
        }
    )
    return frame if fit.n_cluster is None else frame.assign(n_cluster=fit.n_cluster)


def _with_limits(fit: LogisticFit, frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Profile limits and likelihood-ratio tests; FLIC's own intercept keeps its Wald interval."""
    limits = fit.profile_limits(level)
    if limits is None:
        return frame
    rows = np.arange(len(frame)) >= (fit.method == "flic")
    out = frame.copy()
    for column in ("low", "high"):
        name = f"conf_{column}"
        out[name] = np.where(rows, getattr(limits, column), frame[name])
    out["statistic"] = np.where(rows, limits.statistic, frame["statistic"] ** 2)
    out.insert(list(out.columns).index("p_value"), "df", 1)
    out["p_value"] = np.where(rows, limits.p_value, frame["p_value"])
    out["method"] = np.where(rows, f"{fit.method}, {_PROFILE}", f"{fit.method}, wald")
    return out


def with_profile(fit: LogisticFit, table: pd.DataFrame, per: str) -> pd.DataFrame:
    """Profile limits for odds ratios that are a multiple of one coefficient."""
    limits = fit.profile_limits(float(table["conf_level"].iloc[0]))
    if limits is None:
        return table
    out = table.copy()
    mains = fit.spec.mains.values()
    for i, contrast in enumerate(
        c for term in mains for c in contrasts_of(fit.spec, term, per=per)
    ):
        row = contrast_row(fit.spec, contrast)
        moved = np.flatnonzero(row)
        if len(moved) != 1:
            continue
        j, times = int(moved[0]), float(row[moved[0]])
        ends = sorted((limits.low[j] * times, limits.high[j] * times))
        out.loc[i, ["conf_low", "conf_high"]] = np.exp(ends)
        out.loc[i, ["statistic", "p_value"]] = limits.statistic[j], limits.p_value[j]
        out.loc[i, "method"] = _PROFILE
    return out
