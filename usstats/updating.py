"""Updating a model for new patients: as little as the data ask for, chosen by a closed test."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usstats._check import check_option
from usstats._fits.fitting import prepare
from usstats._fits.newton import null_log_likelihood
from usstats._fits.prepared import Prepared
from usstats._imputing.tables import Imputations
from usstats._intervals import check_conf_level, wald_interval
from usstats._updating.closed_test import (
    LADDER,
    UNKNOWN,
    Comparison,
    Matrix,
    Rung,
    first_not_rejected,
    kept,
    ladder_table,
    new_intercept,
    new_slope,
    ratio_tests,
    wald_tests,
)
from usstats._updating.covariance import propagate
from usstats._updating.result import Fit, UpdatedModel
from usstats.errors import (
    ArgumentError,
    DesignError,
    FitError,
    SmallSampleWarning,
)
from usstats.logistic import LogisticFit, fit_logistic
from usstats.pooled_fit import PooledFit
from usstats.results import Estimate

__all__ = ["UpdatedModel", "update_model"]

#: Below so many events or non-events even a new intercept is uncertain.
FEW_EVENTS = 10
#: A refit whose coefficients would have to be shrunk by more than this is warned of, unless there
#: are so many events for each of its parameters.
LEAST_SHRINKAGE = 0.9
ENOUGH_EVENTS = 20


def update_model(
    fit: Fit | UpdatedModel,
    data: pd.DataFrame,
    *,
    method: str = "auto",
    significance: float = 0.05,
    conf_level: float = 0.95,
    cluster: str | ArrayLike | None = None,
    missing: str = "error",
) -> UpdatedModel:
    """Update a logistic model for new patients.

    Parameters
    ----------
    fit : LogisticFit, PooledFit or UpdatedModel
        The model as it was published.
    data : DataFrame, n rows
        New patients with the outcome and every variable of the model.
    method : {"auto", "none", "intercept", "slope", "refit"}
        "intercept": recalibration in the large. "slope": intercept and one slope for the whole
        linear predictor. "refit": all coefficients anew by maximum likelihood, terms, knots and
        levels as they are. "auto": the lowest of these that the closed test does not reject.
    significance : float
        Level of the closed test.
    conf_level : float
        Of the intervals of the update's intercept and slope.
    cluster : str or array_like, shape (n,), optional
        Column or labels of patients with several rows: standard errors become sandwiches over
        patients, and the likelihood-ratio tests Wald tests of the same hypotheses.
    missing : {"error", "complete_case"}

    Returns
    -------
    UpdatedModel
        A fit with `params`, `covariance`, `spec`, `predict` and `to_json`, and a frame of the
        tests.

    Raises
    ------
    ArgumentError
        An unknown method, not a logistic model, imputed tables.
    OutcomeError
        One outcome class only.
    DesignError, MissingDataError
        A missing column, an unseen level; with "auto" and "refit" also too few rows or a
        constant column.
    SeparationError, FitError
        A coefficient to be estimated is infinite. "auto" needs the refit to test against.

    Warns
    -----
    SmallSampleWarning
        Fewer than 10 events or non-events; a refit that would have to be shrunk by more than
        10 % and has fewer than 20 events a parameter; a rung that cannot be estimated and was
        not asked for.

    Notes
    -----
    Closed test (Vergouwe et al. 2017, Stat Med 36:4529): the refit against the original model on
    k + 1 df, k the number of slopes; if rejected, against the new intercept on k df; if rejected,
    against new intercept and slope on k - 1 df. The first that is not rejected is chosen
    (Steyerberg et al. 2004, Stat Med 23:2567, describe the ladder).

    Covariance: after "intercept" and "slope" the delta method carries over both the original
    covariance and that of the update, J V_0 J' + G V G', taking the two samples as independent;
    NaN where the original fit has none (lasso). After "refit" it is that of the new data alone,
    after "none" the original one. The ranges of `spec`, which a nomogram draws, stay those of
    development.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> df = pd.DataFrame({"x": rng.normal(size=900), "z": rng.normal(size=900)})
    >>> risk = 1 / (1 + np.exp(-df["x"] - 0.5 * df["z"] - 1.0 * (df.index >= 500)))
    >>> df["y"] = (rng.random(900) < risk).astype(int)
    >>> fit = fit_logistic("y ~ x + z", df[:500])
    >>> updated = update_model(fit, df[500:])
    >>> updated.method
    'intercept'
    >>> bool(np.isclose(updated.predict(df[500:]).mean(), df["y"][500:].mean()))
    True
    """
    check_option(method, ("auto", *LADDER), name="method")
    level = check_conf_level(conf_level)
    _check_significance(significance)
    original, base = _model_of(fit)
    prepared = _prepared(base, data, cluster, missing)
    refit, fault = _refit(base, data, cluster, missing, required=method in ("auto", "refit"))
    rungs = _rungs(base, prepared, refit, required=method)
    tests = _tests(rungs, base, prepared, refit)
    chosen = first_not_rejected(tests, significance) if method == "auto" else method
    shrinkage = _shrinkage(prepared, refit)
    _warn(prepared, chosen, shrinkage, len(base.params), fault)
    sample: dict[str, Any] = {
        "n": len(prepared.y),
        "n_event": int(prepared.y.sum()),
        "n_cluster": None if prepared.cluster is None else int(prepared.cluster.max()) + 1,
    }
    estimates = _estimates(rungs[chosen], chosen, level, sample)
    return UpdatedModel(
        method=chosen,
        model=_carrier(chosen, rungs[chosen], base, prepared, refit, sample),
        original=original,
        intercept=estimates[0],
        slope=estimates[1],
        significance=significance,
        requested=method,
        shrinkage=shrinkage,
        conf_level=level,
        _table=ladder_table(rungs, tests, chosen),
        **sample,
    )


def _check_significance(significance: float) -> None:
    number = isinstance(significance, int | float | np.number)
    if not number or not 0 < significance < 1:
        msg = f"`significance` must lie inside (0, 1), for example 0.05; got {significance!r}."
        raise ArgumentError(msg)


def _model_of(fit: Fit | UpdatedModel) -> tuple[Fit, LogisticFit]:
    """The fit that came in, and the LogisticFit that carries its coefficients."""
    if isinstance(fit, UpdatedModel):
        return fit.model, fit.model
    if isinstance(fit, PooledFit):
        return fit, fit.model
    if isinstance(fit, LogisticFit):
        return fit, fit
    msg = (
        "`fit` must be a logistic model such as fit_logistic or pool returns; got "
        f"{type(fit).__name__}."
    )
    raise ArgumentError(msg)


def _prepared(
    base: LogisticFit, data: pd.DataFrame, cluster: str | ArrayLike | None, missing: str
) -> Prepared:
    if isinstance(data, Imputations):
        msg = (
            "`data` holds imputed tables; pass one completed table, or update with each and pool "
            "the updated coefficients."
        )
        raise ArgumentError(msg)
    with _development_warnings_silenced():
        return prepare(
            base.spec,
            data,
            outcome=None,
            terms=None,
            cluster=cluster,
            weights=None,
            missing=missing,
            penalised=True,
        )


def _development_warnings_silenced() -> warnings.catch_warnings[None]:
    """Lone levels of development are no news here."""
    return warnings.catch_warnings(action="ignore", category=SmallSampleWarning)


def _refit(
    base: LogisticFit,
    data: pd.DataFrame,
    cluster: str | ArrayLike | None,
    missing: str,
    *,
    required: bool,
) -> tuple[LogisticFit | None, str]:
    """All coefficients anew; where that fails and was not asked for, the reason instead."""
    try:
        with _development_warnings_silenced():
            return fit_logistic(base.spec, data, cluster=cluster, missing=missing), ""
    except (FitError, DesignError) as error:
        if not required:
            return None, str(error)
        msg = (
            f"The model cannot be refitted to `data`: {error} The closed test needs the refit; "
            'method="intercept" or "slope" does not.'
        )
        raise type(error)(msg) from None


def _rungs(
    base: LogisticFit, data: Prepared, refit: LogisticFit | None, *, required: str
) -> dict[str, Rung]:
    lp, y = base._lp(data.X), data.y.astype(float)
    try:
        slope = new_slope(lp, y, data.cluster)
    except FitError:
        if required in ("auto", "slope"):
            raise
        slope = UNKNOWN
    return {
        "none": kept(lp, y),
        "intercept": new_intercept(lp, y, data.cluster),
        "slope": slope,
        "refit": _unlimited(refit),
    }


def _unlimited(refit: LogisticFit | None) -> Rung:
    """The refit puts no intercept and slope on the original linear predictor."""
    return UNKNOWN if refit is None else replace(UNKNOWN, log_likelihood=refit.log_likelihood)


def _tests(
    rungs: dict[str, Rung], base: LogisticFit, data: Prepared, refit: LogisticFit | None
) -> dict[str, Comparison]:
    if refit is None or data.cluster is None:
        return ratio_tests(rungs, len(base.params) - 1)
    return wald_tests(
        _values(refit.params),
        _values(refit.covariance),
        _values(base.params),
        data.X[:, 1:].std(axis=0),
    )


def _values(table: pd.Series[float] | pd.DataFrame) -> Matrix:
    return np.asarray(table, dtype=np.float64)


def _shrinkage(data: Prepared, refit: LogisticFit | None) -> float:
    """Van Houwelingen and Le Cessie's heuristic."""
    if refit is None:
        return np.nan
    null = null_log_likelihood(data.y.astype(float), None)
    gained = 2 * (refit.log_likelihood - null)
    return float((gained - (len(refit.params) - 1)) / gained) if gained > 0 else np.nan


def _warn(data: Prepared, chosen: str, shrinkage: float, k: int, fault: str) -> None:
    events = int(min(data.y.sum(), len(data.y) - data.y.sum()))
    if events < FEW_EVENTS:
        msg = (
            f"`data` holds {events} events or non-events, fewer than {FEW_EVENTS}: the update is "
            "uncertain, and the closed test can hardly reject the original model."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    if fault:
        msg = f"The refit's row of the table is NaN: {fault}"
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    if chosen == "refit" and events < ENOUGH_EVENTS * k and not shrinkage >= LEAST_SHRINKAGE:
        msg = (
            f"The refitted coefficients should be shrunk by a factor of about {shrinkage:.2f} "
            f"({events / k:.1f} events for each of {k} parameters): they are too extreme for new "
            'patients. Collect more, or use method="slope".'
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)


def _carrier(
    chosen: str,
    rung: Rung,
    base: LogisticFit,
    data: Prepared,
    refit: LogisticFit | None,
    sample: dict[str, Any],
) -> LogisticFit:
    """The updated model as a LogisticFit."""
    if chosen == "none":
        return base
    if chosen == "refit" and refit is not None:
        return refit
    before, y = _values(base.params), data.y.astype(float)
    updated = rung.slope * before
    updated[0] += rung.intercept
    names = list(base.params.index)
    V = propagate(rung, data.X, y, before, _values(base.covariance))
    return replace(
        base,
        params=pd.Series(updated, index=names, name="estimate"),
        covariance=pd.DataFrame(V, index=names, columns=names),
        centred_intercept=rung.intercept + rung.slope * base.centred_intercept,
        method=f"{base.method.split(',')[0]}, {chosen} updated",
        log_likelihood=rung.log_likelihood,
        null_log_likelihood=float(null_log_likelihood(y, None)),
        n_dropped=data.n_dropped,
        missing=data.missing,
        penalised_log_likelihood=None,
        effective_df=None,
        stored_limits=None,
        stored_indices=None,
        development=data,
        **sample,
    )


def _estimates(
    rung: Rung, chosen: str, level: float, sample: dict[str, Any]
) -> tuple[Estimate, Estimate]:
    """Intercept and slope on the original linear predictor; a kept number has no error."""
    errors = np.sqrt(np.diag(rung.covariance))
    errors = np.where(errors > 0, errors, np.nan)
    values = np.array([rung.intercept, rung.slope])
    low, high = wald_interval(values, errors, level)
    unit = "" if sample["n_cluster"] is None else ", patient sandwich"
    made = [
        Estimate(
            measure=name,
            estimate=float(values[j]),
            std_error=float(errors[j]),
            conf_low=float(low[j]),
            conf_high=float(high[j]),
            conf_level=level,
            method=f"wald{unit}" if np.isfinite(errors[j]) else _unestimated(chosen),
            **sample,
        )
        for j, name in enumerate(("intercept", "slope"))
    ]
    return made[0], made[1]


def _unestimated(chosen: str) -> str:
    return "re-estimated by the refit" if chosen == "refit" else "kept"
