"""From a user's call to arrays, and from arrays to a maximum: the steps behind `fit_logistic`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_lengths, check_option, check_outcome
from usstats._columns import check_complete, check_present, missing_counts
from usstats._rank import check_full_rank
from usstats.design import DesignSpec, Term, learn_design, read_model
from usstats.errors import (
    ArgumentError,
    DesignError,
    FitError,
    MissingDataError,
    SeparationError,
    SmallSampleWarning,
)
from usstats.newton import NewtonFit, newton_logistic, sandwich
from usstats.separation import detect_separation

Float = np.float64
Vector = NDArray[Float]

METHODS = ("ml",)
#: Beyond this linear predictor the data are looked at for separation.
SUSPICIOUS_LP = 15.0


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Checked development data of one fit."""

    spec: DesignSpec
    X: NDArray[Float] = field(repr=False)
    y: NDArray[np.int64] = field(repr=False)
    weights: Vector | None = field(repr=False)
    cluster: NDArray[np.int64] | None = field(repr=False)
    n_dropped: int
    missing: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What an estimator found, on the original scale."""

    params: Vector
    covariance: NDArray[Float]
    log_likelihood: float
    null_log_likelihood: float
    means: Vector
    centred_intercept: float
    n_iter: int
    penalty: Mapping[str, float] | None = None
    effective_df: float | None = None


def prepare(
    formula: str | DesignSpec | None,
    data: pd.DataFrame | None,
    *,
    outcome: str | None,
    terms: Sequence[Term | Mapping[str, Any]] | None,
    cluster: str | ArrayLike | None,
    weights: str | ArrayLike | None,
    missing: str,
    penalised: bool,
) -> Prepared:
    """Check a call's arguments and learn its design."""
    check_option(missing, ("error", "complete_case"), name="missing")
    if data is None:
        msg = "`data` is missing: pass the development table as a DataFrame."
        raise ArgumentError(msg)
    known: DesignSpec | None = None
    if isinstance(formula, DesignSpec):
        known, name, parsed = formula, formula.outcome, formula.terms
    else:
        name, parsed = read_model(formula, outcome, terms)
    variables = [name, *(term.name for term in parsed if term.type != "interaction")]
    check_present(data, variables)
    kept = _kept_rows(data, variables, missing)
    rows = data.loc[kept] if not kept.all() else data
    y = check_outcome(rows[name].to_numpy(), name=name)
    spec = known or learn_design(name, parsed, rows)
    X = spec.matrix(rows)
    _check_size(X, spec, penalised=penalised)
    if not penalised:
        check_full_rank(X, spec.column_names)
    _warn_of_lone_levels(spec)
    labels = _per_row(cluster, data, kept, "cluster")
    return Prepared(
        spec=spec,
        X=X,
        y=y,
        weights=_checked_weights(_per_row(weights, data, kept, "weights")),
        cluster=check_cluster(labels, len(y)),
        n_dropped=int((~kept).sum()),
        missing=missing_counts(data, variables),
    )


def _kept_rows(data: pd.DataFrame, variables: list[str], missing: str) -> NDArray[np.bool_]:
    """Rows without missing values; under missing="error" there must be no others."""
    if missing == "error":
        check_complete(data, variables[1:])
        return np.ones(len(data), dtype=bool)
    kept = data[variables].notna().all(axis=1).to_numpy()
    if not kept.any():
        msg = f"No row is complete in {variables}; impute the missing values with `impute`."
        raise MissingDataError(msg)
    return np.asarray(kept)


def _check_size(X: NDArray[Float], spec: DesignSpec, *, penalised: bool) -> None:
    n, k = X.shape
    if not penalised and n <= k:
        msg = (
            f"The model has {k} parameters ({', '.join(spec.column_names[:6])}, ...) and only "
            f"{n} rows. Use fewer terms, or a penalised method."
        )
        raise DesignError(msg)


def _warn_of_lone_levels(spec: DesignSpec) -> None:
    for name, known in spec.ranges.items():
        lone = [v for v, count in zip(known.levels, known.counts, strict=True) if count == 1]
        if lone:
            msg = f"`{name}`: one patient only has level {lone}; merge it with another level."
            warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def _per_row(
    given: str | ArrayLike | None, data: pd.DataFrame, kept: NDArray[np.bool_], name: str
) -> NDArray[Any] | None:
    """A column by its name, or labels of the caller's rows; rows that were left out go too."""
    if given is None:
        return None
    if isinstance(given, str):
        check_present(data, [given])
        values = data[given].to_numpy()
    else:
        values = np.asarray(given)
        check_lengths(data=kept, **{name: values})
    return values[kept]


def _checked_weights(weights: NDArray[Any] | None) -> Vector | None:
    if weights is None:
        return None
    values = np.asarray(weights, dtype=float)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        msg = (
            f"`weights` must be positive and finite; {bad.sum()} of {values.size} are not (first "
            f"at row {np.flatnonzero(bad)[0]}). Leave rows without weight out of `data`."
        )
        raise ArgumentError(msg)
    return values


def maximise(
    prepared: Prepared, *, method: str, penalty: float | Mapping[str, float] | None
) -> Solution:
    """Fit by the method asked for."""
    check_option(method, METHODS, name="method")
    if penalty is not None:
        msg = f'method="{method}" takes no `penalty`; use "ridge" or "lasso".'
        raise ArgumentError(msg)
    return _maximum_likelihood(prepared)


def _maximum_likelihood(data: Prepared) -> Solution:
    try:
        fit = newton_logistic(data.X, data.y, data.weights)
    except FitError:
        _refuse_separated(data)
        raise
    if np.abs(fit.scaling.apply(data.X) @ fit.scaled).max() > SUSPICIOUS_LP:
        _refuse_separated(data)
    return solution_of(fit, data)


def solution_of(fit: NewtonFit, data: Prepared) -> Solution:
    """A Newton maximum with the covariance the rows call for."""
    covariance = (
        fit.covariance
        if data.cluster is None
        else sandwich(fit, data.X, data.y.astype(float), data.weights, data.cluster)
    )
    return Solution(
        params=fit.params,
        covariance=covariance,
        log_likelihood=fit.log_likelihood,
        null_log_likelihood=fit.null_log_likelihood,
        means=fit.scaling.centre,
        centred_intercept=float(fit.scaled[0]),
        n_iter=fit.n_iter,
    )


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
