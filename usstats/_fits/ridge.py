"""Ridge-type shrinkage as in rms: a quadratic penalty in the scale of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._fits.newton import NewtonFit, newton_logistic
from usstats._fits.prepared import Prepared, Solution, solution_of
from usstats._fits.wald import nonlinear_positions
from usstats.design import DesignSpec
from usstats.errors import ArgumentError, FitError
from usstats.terms import Term

Float = np.float64
Matrix = NDArray[Float]
Penalty = float | Mapping[str, float] | None

#: Classes of columns, and the class each takes its factor from where none is given.
INHERITS = {
    "simple": None,
    "nonlinear": "simple",
    "interaction": "nonlinear",
    "nonlinear.interaction": "interaction",
}
#: Factors that are tried where none is given.
GRID = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 128.0)


def ridge_solution(data: Prepared, penalty: Penalty) -> Solution:
    """Fit with a quadratic penalty; without a given one, that with the best corrected AIC.

    Raises
    ------
    ArgumentError
        A factor that is negative or for an unknown class of columns.
    FitError
    """
    if penalty is None:
        table = trace_penalty(data, GRID)
        penalty = _best_of(table)
    factors = penalty_factors(penalty)
    P = penalty_matrix(data, factors)
    fit = newton_logistic(data.X, data.y, data.weights, penalty=P)
    b = fit.params
    penalised = fit.log_likelihood - 0.5 * float(b @ P @ b)
    return replace(
        solution_of(fit, data),
        log_likelihood=penalised,
        penalised_log_likelihood=penalised,
        penalty=factors,
        effective_df=effective_df(fit, P),
    )


def _best_of(table: pd.DataFrame) -> float:
    """The penalty with the largest corrected AIC among those that have a maximum."""
    criterion = table["aic_c"].to_numpy(dtype=float)
    if np.isnan(criterion).all():
        msg = "No ridge penalty that was tried has a finite maximum; pass a larger `penalty`."
        raise FitError(msg)
    return float(table["penalty"].to_numpy()[np.nanargmax(criterion)])


def penalty_factors(penalty: float | Mapping[str, float]) -> dict[str, float]:
    """Factors per class of columns: simple, nonlinear, interaction, nonlinear.interaction."""
    given = {"simple": penalty} if not isinstance(penalty, Mapping) else dict(penalty)
    unknown = sorted(set(map(str, given)) - set(INHERITS))
    factors: dict[str, float] = {}
    for name, parent in INHERITS.items():
        factors[name] = _number(given.get(name, factors[parent] if parent else 0.0))
    if unknown or not all(np.isfinite(f) and f >= 0 for f in factors.values()):
        msg = (
            f"`penalty` must be a number >= 0, or a mapping of such numbers for {list(INHERITS)}; "
            f"got {penalty!r}."
        )
        raise ArgumentError(msg)
    return factors


def _number(value: object) -> float:
    """A number, NaN for anything else."""
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if known else np.nan  # type: ignore[arg-type]


def penalty_matrix(data: Prepared, factors: Mapping[str, float]) -> Matrix:
    """P of the penalty b'Pb / 2, with a zero row for the intercept.

    Continuous columns are scaled by their variance, a factor of c levels by I - 1/c, as in
    `rms::lrm(penalty = )`. A column that does not vary in these rows keeps a coefficient of 0.
    """
    spec, k = data.spec, data.X.shape[1]
    P = np.zeros((k, k))
    for term in spec.terms:
        block = list(spec.blocks[term.name])
        if term.type == "factor":
            c = len(block) + 1
            P[np.ix_(block, block)] = np.eye(c - 1) - 1 / c
        else:
            variance = np.var(data.X[:, block], axis=0, ddof=1)
            P[block, block] = np.where(variance > 0, variance, 1.0)
    scale = np.sqrt(_column_factors(spec, factors))
    return np.asarray(P * np.outer(scale, scale))


def _column_factors(spec: DesignSpec, factors: Mapping[str, float]) -> NDArray[Float]:
    column = np.zeros(len(spec.column_names))
    for term in spec.terms:
        column[list(spec.blocks[term.name])] = factors[_class_of(term, curved=False)]
        column[list(nonlinear_positions(spec, term))] = factors[_class_of(term, curved=True)]
    return column


def _class_of(term: Term, *, curved: bool) -> str:
    if term.type == "interaction":
        return "nonlinear.interaction" if curved else "interaction"
    return "nonlinear" if curved else "simple"


def effective_df(fit: NewtonFit, P: Matrix) -> float:
    """Gray's effective degrees of freedom of the slopes: trace of I (I + P)^-1, intercept apart.

    Computed as k - 1 - trace of P (I + P)^-1 in the scale of the fit, which loses no digits to
    the origin of a covariate.
    """
    jacobian = fit.scaling.jacobian()
    pull = jacobian.T @ P @ jacobian
    return float(len(P) - 1 - np.sum(pull * fit.scaled_covariance))


def trace_penalty(data: Prepared, penalties: Sequence[float | Mapping[str, float]]) -> pd.DataFrame:
    """Effective degrees of freedom and information criteria of a list of penalties.

    Parameters
    ----------
    data : Prepared
        `fit.development` of a fit.
    penalties : sequence of float or mapping

    Returns
    -------
    DataFrame
        penalty (the factor of simple columns), df, aic, bic, aic_c: the model's likelihood-ratio
        chi-square less a price for df, so that larger is better, as R's `rms::pentrace`; NaN
        where the data are separated and the penalty is 0.
    """
    rows = []
    for penalty in penalties:
        factors = penalty_factors(penalty)
        P = penalty_matrix(data, factors)
        rows.append({"penalty": factors["simple"], **_criteria(data, P)})
    return pd.DataFrame(rows)


def _criteria(data: Prepared, P: Matrix) -> dict[str, float]:
    """Degrees of freedom and criteria of one penalty; NaN where its maximum is infinite."""
    try:
        fit = newton_logistic(data.X, data.y, data.weights, penalty=P)
    except FitError:
        return dict.fromkeys(("df", "aic", "bic", "aic_c"), np.nan)
    df, n = effective_df(fit, P), len(data.y)
    chi2 = 2 * (fit.log_likelihood - fit.null_log_likelihood)
    return {
        "df": df,
        "aic": chi2 - 2 * df,
        "bic": chi2 - np.log(n) * df,
        "aic_c": chi2 - 2 * df * (1 + (df + 1) / (n - df - 2)),
    }
