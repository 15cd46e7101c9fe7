"""The estimators behind `fit_logistic`: one function from prepared data to a solution each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from usstats._check import check_option
from usstats._fits.firth import firth_solution
from usstats._fits.lasso import lasso_solution
from usstats._fits.newton import SUSPICIOUS_LP, newton_logistic
from usstats._fits.prepared import Prepared, Solution, solution_of
from usstats._fits.ridge import ridge_solution
from usstats.errors import ArgumentError, FitError, SeparationError
from usstats.separation import detect_separation

Penalty = float | Mapping[str, float] | None

#: Estimators, and whether they bear more columns than rows.
PENALISED = {
    "ml": False,
    "firth": False,
    "flic": False,
    "flac": False,
    "ridge": True,
    "lasso": True,
}


def maximise(prepared: Prepared, *, method: str, penalty: Penalty) -> Solution:
    """Fit by the method asked for.

    Raises
    ------
    ArgumentError, FitError, SeparationError
    """
    if prepared.cluster is not None and method not in ("ml", "ridge"):
        msg = f'`cluster` needs method="ml" or "ridge"; "{method}" has no covariance over patients.'
        raise ArgumentError(msg)
    if method == "ridge":
        return ridge_solution(prepared, penalty)
    if method == "lasso":
        return lasso_solution(prepared, penalty)
    if penalty is not None:
        msg = f'method="{method}" takes no `penalty`; use "ridge" or "lasso".'
        raise ArgumentError(msg)
    if method in ("firth", "flic", "flac"):
        return firth_solution(prepared, method)
    return _maximum_likelihood(prepared)


def check_method(method: str) -> None:
    """Refuse an estimator that does not exist."""
    check_option(method, PENALISED, name="method")


def _maximum_likelihood(data: Prepared) -> Solution:
    try:
        fit = newton_logistic(data.X, data.y, data.weights)
    except FitError:
        _refuse_separated(data)
        raise
    if np.abs(fit.scaling.apply(data.X) @ fit.scaled).max() > SUSPICIOUS_LP:
        _refuse_separated(data)
    return solution_of(fit, data)


def _refuse_separated(data: Prepared) -> None:
    spec = data.spec
    found = detect_separation(data.X, data.y, names=spec.column_names, groups=spec.blocks)
    if not found.separated:
        return
    names = ", ".join(f"`{name}`" for name in found.variables)
    msg = (
        f"{found.kind.capitalize()} separation: {names} separate{'s' * (len(found.variables) == 1)}"
        f" the outcome in {found.n_separated} of {found.n} rows, so the maximum-likelihood "
        f'estimate of {", ".join(found.columns)} is infinite. Use method="firth" or '
        'method="ridge", or merge levels.'
    )
    raise SeparationError(msg)
