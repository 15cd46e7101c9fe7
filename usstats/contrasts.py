"""Odds ratios: differences of the linear predictor between two values of one variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._check import check_option
from usstats._intervals import check_conf_level, two_sided_p, wald_interval
from usstats.design import DesignSpec
from usstats.terms import Term

Float = np.float64


@dataclass(frozen=True)
class Contrast:
    """Two values of one variable: encoded, as text, and the row's name."""

    variable: str
    term: str
    text: str
    low: float
    high: float


def odds_ratio_table(
    spec: DesignSpec,
    params: pd.Series[float],
    covariance: pd.DataFrame,
    *,
    per: str = "unit",
    conf_level: float = 0.95,
) -> pd.DataFrame:
    """Odds ratios with Wald intervals, every other variable held at its median or mode.

    Parameters
    ----------
    spec : DesignSpec
    params : Series, shape (k,)
    covariance : DataFrame, shape (k, k)
    per : {"unit", "iqr"}
        "unit": one unit of a number (of its logarithm or logit where that is the term), each
        level against the reference; a spline has no odds ratio per unit, so its row is the
        upper against the lower quartile. "iqr": upper against lower quartile, each level against
        the most frequent one, as R's `summary.rms`.
    conf_level : float

    Returns
    -------
    DataFrame
        group (the variable), term, contrast, low, high (for a factor the positions of the
        levels, counted from 1), estimate (odds ratio), std_error (of its logarithm), conf_low,
        conf_high, conf_level, statistic, p_value, method.

    Raises
    ------
    ArgumentError
    """
    check_option(per, ("unit", "iqr"), name="per")
    level = check_conf_level(conf_level)
    rows = [c for term in spec.mains.values() for c in contrasts_of(spec, term, per=per)]
    D = np.array([contrast_row(spec, c) for c in rows])
    effect = D @ params.to_numpy(dtype=float)
    variance = np.einsum("ij,jk,ik->i", D, covariance.to_numpy(dtype=float), D)
    std_error = np.sqrt(variance)
    low, high = wald_interval(effect, std_error, level)
    factor = [spec.mains[c.variable].type == "factor" for c in rows]
    return pd.DataFrame(
        {
            "group": [c.variable for c in rows],
            "term": [c.term for c in rows],
            "contrast": [c.text for c in rows],
            "low": np.array([c.low for c in rows]) + factor,
            "high": np.array([c.high for c in rows]) + factor,
            "estimate": np.exp(effect),
            "std_error": std_error,
            "conf_low": np.exp(low),
            "conf_high": np.exp(high),
            "conf_level": level,
            "statistic": effect / std_error,
            "p_value": two_sided_p(effect / std_error),
            "method": "wald",
        }
    )


def contrasts_of(spec: DesignSpec, term: Term, *, per: str) -> Iterator[Contrast]:
    """The comparisons that describe one main effect."""
    known = spec.ranges[term.name]
    if term.type == "factor":
        base = term.levels.index(str(known.mode)) if term.levels and per == "iqr" else 0
        yield from _level_contrasts(term, base, per)
    elif per == "iqr" or term.type == "rcs":
        low, high = known.contrast
        yield Contrast(term.name, term.name, f"{high:.6g} vs {low:.6g}", low, high)
    else:
        low = float(known.median or 0.0)
        text = "1 unit" if term.type == "linear" else f"1 unit of {term.label}"
        yield Contrast(term.name, term.label, text, low, _one_unit_up(term, low))


def _one_unit_up(term: Term, value: float) -> float:
    if term.type == "log":
        return value * float(np.e)
    if term.type == "logit":
        return float(special.expit(special.logit(value) + 1))
    return value + 1


def _level_contrasts(term: Term, base: int, per: str) -> Iterator[Contrast]:
    levels = term.levels or ()
    for j, level in enumerate(levels):
        if j != base:
            text = f"{level}:{levels[base]}"
            name = f"{term.name}={level}" if per == "unit" else f"{term.name} - {text}"
            yield Contrast(term.name, name, text, float(base), float(j))


def contrast_row(spec: DesignSpec, contrast: Contrast) -> NDArray[Float]:
    """Difference of two rows of the design that differ in one variable."""
    values = {name: np.full(2, code) for name, code in adjusted(spec).items()}
    values[contrast.variable] = np.array([contrast.low, contrast.high])
    X = spec.assemble(values, 2)
    return np.asarray(X[1] - X[0])


def adjusted(spec: DesignSpec) -> dict[str, float]:
    """Encoded medians and most frequent levels."""
    held = {}
    for name, term in spec.mains.items():
        value = spec.ranges[name].adjust_to
        levels = term.levels or ()
        held[name] = float(levels.index(value)) if isinstance(value, str) else float(value)
    return held
