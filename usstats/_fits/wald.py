"""Wald tests of whole terms and variance inflation, from coefficients and their covariance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats.design import DesignSpec
from usstats.errors import FitError
from usstats.terms import Term

Float = np.float64

_HIGHER = "  (Factor+Higher Order Factors)"
Row = tuple[str, str, tuple[int, ...]]


def wald_chi2(
    params: NDArray[Float], covariance: NDArray[Float], positions: Sequence[int]
) -> float:
    """b'V^-1 b for the coefficients at `positions`.

    Raises
    ------
    FitError
        Their covariance is singular.

    Examples
    --------
    >>> wald_chi2(np.array([0.0, 2.0]), np.diag([1.0, 4.0]), [1])
    1.0
    """
    rows = list(positions)
    b, V = params[rows], covariance[np.ix_(rows, rows)]
    scale = np.sqrt(np.diag(V))
    try:
        solved = np.linalg.solve(V / np.outer(scale, scale), b / scale)
    except np.linalg.LinAlgError:
        msg = "A Wald test is undefined: the covariance of these coefficients is singular."
        raise FitError(msg) from None
    return float((b / scale) @ solved)


def anova_table(
    spec: DesignSpec, params: pd.Series[float], covariance: pd.DataFrame
) -> pd.DataFrame:
    """Joint Wald tests of every variable, its curvature and its interactions.

    Parameters
    ----------
    spec : DesignSpec
    params : Series, shape (k,)
    covariance : DataFrame, shape (k, k)

    Returns
    -------
    DataFrame
        group (the variable), term, statistic (chi-square), df, p_value, method; rows and their
        labels as R's `anova.rms` prints them.
    """
    b = np.asarray(params, dtype=Float)
    V = np.asarray(covariance, dtype=Float)
    return chi2_table(spec, lambda positions: wald_chi2(b, V, positions), method="wald")


def chi2_table(
    spec: DesignSpec, chi2_of: Callable[[Sequence[int]], float], *, method: str
) -> pd.DataFrame:
    """A chi-square test of the columns of every row of an analysis of variance.

    Parameters
    ----------
    spec : DesignSpec
    chi2_of : callable
        Takes positions of columns and returns the statistic for all their coefficients being zero.
    method : str

    Returns
    -------
    DataFrame
        group, term, statistic, df, p_value, method.
    """
    rows = []
    for group, term, positions in anova_rows(spec):
        statistic, df = chi2_of(positions), len(positions)
        rows.append((group, term, statistic, df, float(special.chdtrc(df, max(statistic, 0.0)))))
    frame = pd.DataFrame(rows, columns=["group", "term", "statistic", "df", "p_value"])
    return frame.assign(method=method)


def anova_rows(spec: DesignSpec) -> list[Row]:
    """Group, label and columns of every test of an analysis of variance, in the order of rms."""
    return [*_term_rows(spec), *_total_rows(spec)]


def _term_rows(spec: DesignSpec) -> Iterable[Row]:
    for term in spec.terms:
        if term.type == "interaction":
            yield from _interaction_rows(spec, term)
        else:
            yield from _main_rows(spec, term)


def _main_rows(spec: DesignSpec, term: Term) -> Iterable[Row]:
    products = [p for p in spec.terms if term.name in p.parts]
    higher = tuple(j for p in products for j in spec.blocks[p.name])
    curved = (
        *spec.blocks[term.name][1:],
        *(j for p in products for j in _nonlinear_in(spec, p, term.name)),
    )
    suffix = _HIGHER if products else ""
    yield term.name, term.name + suffix, (*spec.blocks[term.name], *higher)
    if products:
        yield term.name, "All Interactions", higher
    if term.type == "rcs":
        yield term.name, f"Nonlinear{suffix[1:]}", curved


def _interaction_rows(spec: DesignSpec, term: Term) -> Iterable[Row]:
    curved = nonlinear_positions(spec, term)
    yield term.name, term.name + _HIGHER, spec.blocks[term.name]
    if curved:
        yield term.name, "Nonlinear", curved
        yield term.name, "Nonlinear Interaction : f(A,B) vs. AB", curved


def nonlinear_positions(spec: DesignSpec, term: Term) -> tuple[int, ...]:
    """Columns of a term that a straight line would not have."""
    if term.type == "rcs":
        return spec.blocks[term.name][1:]
    parts = [_nonlinear_in(spec, term, part) for part in term.parts]
    return tuple(sorted({j for part in parts for j in part}))


def _nonlinear_in(spec: DesignSpec, product: Term, variable: str) -> tuple[int, ...]:
    """Columns of an interaction that hold a curved column of `variable`."""
    if spec.mains[variable].type != "rcs":
        return ()
    widths = [len(spec.blocks[part]) for part in product.parts]
    block = np.array(spec.blocks[product.name]).reshape(widths[1], widths[0])
    curved = block[:, 1:] if product.parts[0] == variable else block[1:]
    return tuple(int(j) for j in np.sort(curved.ravel()))


def _total_rows(spec: DesignSpec) -> Iterable[Row]:
    products = [term for term in spec.terms if term.type == "interaction"]
    curved = [nonlinear_positions(spec, term) for term in spec.terms]
    nonlinear = tuple(sorted({j for part in curved for j in part}))
    crossed = tuple(j for term in products for j in spec.blocks[term.name])
    if sum(bool(part) for part in curved) > 1:
        yield "TOTAL", "TOTAL NONLINEAR", nonlinear
    if len(products) > 1:
        yield "TOTAL", "TOTAL INTERACTION", crossed
    if products and nonlinear:
        both = tuple(sorted({*nonlinear, *crossed}))
        yield "TOTAL", "TOTAL NONLINEAR + INTERACTION", both
    yield "TOTAL", "TOTAL", tuple(range(1, len(spec.column_names)))


def variance_inflation(covariance: pd.DataFrame) -> pd.Series[float]:
    """Variance inflation of each slope: the diagonal of the inverse correlation matrix.

    Parameters
    ----------
    covariance : DataFrame, shape (k, k)
        Of the coefficients, the intercept first.

    Returns
    -------
    Series
        One value per coefficient but the intercept, as R's `rms::vif`; the covariance of a
        logistic fit is weighted by information, so this differs from the linear-model VIF.

    Notes
    -----
    Davis, Hyde, Bangdiwala and Nelson (1986).
    """
    V = covariance.to_numpy(dtype=float)[1:, 1:]
    scale = np.sqrt(np.diag(V))
    inverse = np.linalg.inv(V / np.outer(scale, scale))
    return pd.Series(np.diag(inverse), index=covariance.index[1:], name="vif").rename_axis("term")
