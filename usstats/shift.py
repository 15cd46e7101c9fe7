"""Is a network's logit distributed outside as it was where the model was made?"""

from __future__ import annotations

from dataclasses import dataclass
from warnings import warn

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from usstats._check import check_risk
from usstats._intervals import normal_quantile, wald_interval
from usstats.errors import RiskError, ShiftWarning

Float = np.float64
#: Probabilities are kept this far from 0 and 1 before their logit is taken: what single-precision
#: networks can tell from certainty.
EDGE = 1e-7


@dataclass(frozen=True, kw_only=True, repr=False)
class LogitShift:
    """How the logit of a network's probability is distributed in two cohorts.

    Attributes
    ----------
    estimate : float
        Standardised difference of the mean logits, external minus development, with
        conf_low, conf_high at conf_level.
    ks_statistic, ks_p_value : float
        Two-sample Kolmogorov-Smirnov test.
    shifted : bool
        The means differ by more than `tolerance`, or the SDs by more than that on the log scale,
        and chance does not explain it at `conf_level`.
    """

    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    conf_level: float
    sd_ratio: float
    ks_statistic: float
    ks_p_value: float
    shifted: bool
    tolerance: float
    cohorts: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """One row: the standardised difference and its interval, SD ratio, KS statistic."""
        return pd.DataFrame(
            {
                "measure": ["standardized_difference"],
                "term": ["logit"],
                "estimate": [self.estimate],
                "std_error": [self.std_error],
                "conf_low": [self.conf_low],
                "conf_high": [self.conf_high],
                "conf_level": [self.conf_level],
                "sd_ratio": [self.sd_ratio],
                "ks_statistic": [self.ks_statistic],
                "p_value": [self.ks_p_value],
                "method": ["Hedges-Olkin interval; Kolmogorov-Smirnov test"],
                "shifted": [self.shifted],
            }
        )

    def cohort_frame(self) -> pd.DataFrame:
        """One row a cohort: n, mean, sd, median, q1, q3 of the logit."""
        return self.cohorts.copy()

    def summary(self) -> str:
        """Standardised difference, SD ratio and test in one line."""
        n_1, n_2 = self.cohorts["n"]
        return (
            f"logit shift {self.estimate:+.2f} SD ({self.conf_level * 100:g} % "
            f"{self.conf_low:.2f} to {self.conf_high:.2f}), SD ratio {self.sd_ratio:.2f}, "
            f"KS {self.ks_statistic:.2f}; n = {n_1} development, {n_2} external, unit: patient"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def logit_shift(
    development: ArrayLike,
    external: ArrayLike,
    *,
    tolerance: float = 0.25,
    conf_level: float = 0.95,
) -> LogitShift:
    """Compare a network's logits in the cohort it was made in and in another (rule R02).

    Parameters
    ----------
    development, external : array_like
        Probabilities (n_1,) and (n_2,), one a patient, for example `dl_prob`.
    tolerance : float
        Standardised difference above which a ShiftWarning is given; also the bound on
        |log SD ratio|.
    conf_level : float

    Returns
    -------
    LogitShift

    Warns
    -----
    ShiftWarning
        The distributions differ by more than `tolerance` and by more than chance explains.

    Notes
    -----
    Difference of means over the pooled SD sqrt((s1^2 + s2^2) / 2); its variance is that of
    Hedges and Olkin (1985): 1/n1 + 1/n2 + d^2 / (2 (n1 + n2)). 0.25 is the usual bound for
    regression adjustment (Rubin 2001). The log SD ratio has variance 1 / (2 (n1 - 1)) +
    1 / (2 (n2 - 1)) for normal logits.

    Examples
    --------
    >>> p = [0.2, 0.4, 0.6, 0.8]
    >>> logit_shift(p, p).estimate
    0.0
    """
    before, after = (
        special.logit(np.clip(check_risk(p, name=name), EDGE, 1 - EDGE))
        for p, name in ((development, "development"), (external, "external"))
    )
    d, std_error, sd_ratio = _standardized_difference(before, after)
    low, high = wald_interval(d, std_error, conf_level)
    ks = stats.ks_2samp(before, after)
    spread_error = np.sqrt(0.5 / (before.size - 1) + 0.5 / (after.size - 1))

    def beyond(difference: float, error: float) -> bool:
        return abs(difference) > max(tolerance, normal_quantile(conf_level) * error)

    shift = LogitShift(
        estimate=d,
        std_error=std_error,
        conf_low=float(low),
        conf_high=float(high),
        conf_level=conf_level,
        sd_ratio=sd_ratio,
        ks_statistic=float(ks.statistic),
        ks_p_value=float(ks.pvalue),
        shifted=bool(beyond(d, std_error) or beyond(np.log(sd_ratio), spread_error)),
        tolerance=tolerance,
        cohorts=_distribution({"development": before, "external": after}),
    )
    if shift.shifted:
        msg = f"R02: {shift.summary()}. Recalibrate the network outside, or update the model."
        warn(msg, ShiftWarning, stacklevel=2)
    return shift


def _standardized_difference(
    before: NDArray[Float], after: NDArray[Float]
) -> tuple[float, float, float]:
    n_1, n_2 = before.size, after.size
    if min(n_1, n_2) < 2 or min(np.ptp(before), np.ptp(after)) == 0:
        msg = (
            "A shift needs two different values in each cohort; there are "
            f"{np.unique(before).size} in development and {np.unique(after).size} outside."
        )
        raise RiskError(msg)
    variances = before.var(ddof=1), after.var(ddof=1)
    d = float((after.mean() - before.mean()) / np.sqrt(sum(variances) / 2))
    std_error = float(np.sqrt(1 / n_1 + 1 / n_2 + d**2 / (2 * (n_1 + n_2))))
    return d, std_error, float(np.sqrt(variances[1] / variances[0]))


def _distribution(logits: dict[str, NDArray[Float]]) -> pd.DataFrame:
    rows = [
        (name, x.size, x.mean(), x.std(ddof=1), *np.quantile(x, [0.5, 0.25, 0.75]))
        for name, x in logits.items()
    ]
    return pd.DataFrame(rows, columns=["cohort", "n", "mean", "sd", "median", "q1", "q3"])
