"""From a user's call to arrays: the front door of the regression models."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_lengths, check_option, check_outcome
from usstats._fits.columns import check_complete, check_present, missing_counts
from usstats._fits.prepared import Prepared
from usstats._roc.rank import check_full_rank, check_variation
from usstats.design import DesignSpec, Term, learn_design, read_model
from usstats.errors import (
    ArgumentError,
    DesignError,
    MissingDataError,
    PairingError,
    SmallSampleWarning,
)

Float = np.float64
Vector = NDArray[Float]


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
    kept = kept_rows(data, variables, missing)
    rows = data.loc[kept] if not kept.all() else data
    y = check_outcome(rows[name].to_numpy(), name=name)
    spec = known or learn_design(name, parsed, rows)
    X = spec.matrix(rows)
    check_size(X, spec, penalised=penalised)
    if not penalised:
        check_full_rank(X, spec.column_names)
    elif known is None:
        check_variation(X, spec.column_names)
    warn_of_lone_levels(spec)
    labels = per_row(cluster, data, kept, "cluster")
    return Prepared(
        spec=spec,
        X=X,
        y=y,
        weights=_checked_weights(per_row(weights, data, kept, "weights")),
        cluster=checked_cluster(labels, len(y)),
        n_dropped=int((~kept).sum()),
        missing=missing_counts(data, variables),
    )


def checked_cluster(labels: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    """Codes of the patients, of whom a sandwich covariance needs more than one."""
    codes = check_cluster(labels, n)
    if codes is not None and not codes.any():
        msg = "`cluster` holds one patient: a sandwich covariance over patients needs several."
        raise PairingError(msg)
    return codes


def kept_rows(data: pd.DataFrame, variables: list[str], missing: str) -> NDArray[np.bool_]:
    """Rows without missing values; under missing="error" there must be no others."""
    if missing == "error":
        check_complete(data, variables[1:])
        return np.ones(len(data), dtype=bool)
    kept = data[variables].notna().all(axis=1).to_numpy()
    if not kept.any():
        msg = f"No row is complete in {variables}; impute the missing values with `impute`."
        raise MissingDataError(msg)
    return np.asarray(kept)


def check_size(X: NDArray[Float], spec: DesignSpec, *, penalised: bool) -> None:
    """Refuse more parameters than rows, unless a penalty bears them."""
    n, k = X.shape
    if not penalised and n <= k:
        msg = (
            f"The model has {k} parameters ({', '.join(spec.column_names[:6])}, ...) and only "
            f"{n} rows. Use fewer terms, or a penalised method."
        )
        raise DesignError(msg)


def warn_of_lone_levels(spec: DesignSpec) -> None:
    """Warn of levels that one patient has."""
    for name, known in spec.ranges.items():
        lone = [v for v, count in zip(known.levels, known.counts, strict=True) if count == 1]
        if lone:
            msg = f"`{name}`: one patient only has level {lone}; merge it with another level."
            warnings.warn(msg, SmallSampleWarning, stacklevel=4)


def per_row(
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
    if weights.dtype.kind not in "biuf":
        msg = f"`weights` must be numbers; got {str(weights[0])!r} at row 0."
        raise ArgumentError(msg)
    values = np.asarray(weights, dtype=float)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        msg = (
            f"`weights` must be positive and finite; {bad.sum()} of {values.size} are not (first "
            f"at row {np.flatnonzero(bad)[0]}). Leave rows without weight out of `data`."
        )
        raise ArgumentError(msg)
    return values
