"""The developed model with its table, ready to be refitted in resamples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import Float, check_outcome, check_seed
from usstats._columns import check_present
from usstats._indexes import Side
from usstats._plans import Plan
from usstats._refits import BatchRefits, RecipeRefits, Refits
from usstats._shared_design import learn_from_observed
from usstats.errors import ArgumentError, MissingDataError, PairingError
from usstats.imputing import Imputations
from usstats.logistic import LogisticFit
from usstats.pooled_fit import PooledFit, check_outcome_imputed_with
from usstats.recipe import Kitchen, Recipe
from usstats.terms import as_terms

Array = NDArray[Float]


@dataclass(frozen=True, kw_only=True)
class Development:
    """The model with the table it came from."""

    kitchen: Kitchen
    y: Array
    apparent: Side

    @property
    def plain(self) -> bool:
        """Whether a replicate is nothing but the same columns refitted."""
        recipe = self.kitchen.recipe
        return recipe.method == "ml" and not recipe.imputes and self.kitchen.spec is not None


def develop(
    fit: Any, data: pd.DataFrame | Imputations, recipe: Recipe | None, seed: int | None
) -> Development:
    table = data.original if isinstance(data, Imputations) else data
    _check_development(fit, table)
    if isinstance(data, Imputations):
        check_outcome_imputed_with(data, fit.spec.outcome)
    full = _with_imputation(recipe or Recipe(), data).for_fit(fit)
    if full.imputes:
        check_seed(seed)
    if not full.imputes:
        _check_no_holes(fit, table)
    copies = list(data) if isinstance(data, Imputations) else list(full.complete(table, seed))
    y = check_outcome(table[fit.spec.outcome], name=fit.spec.outcome).astype(float)
    keeps = full.knots == "fixed" and full.select is None
    spec = (
        learn_from_observed(str(full.outcome), as_terms(full.terms or ()), table) if keeps else None
    )
    return Development(
        kitchen=Kitchen(recipe=full, data=table, originals=copies, spec=spec, seed=seed),
        y=y,
        apparent=Side(np.array([fit.linear_predictor(copy) for copy in copies]), y),
    )


def _check_development(fit: Any, table: Any) -> None:
    """The table must be the one the model was developed on."""
    if not isinstance(fit, LogisticFit | PooledFit) or not isinstance(table, pd.DataFrame):
        msg = (
            "`fit` must be a LogisticFit or PooledFit and `data` its development table; got "
            f"{type(fit).__name__} and {type(table).__name__}."
        )
        raise ArgumentError(msg)
    check_present(table, [fit.spec.outcome])
    model = fit.model if isinstance(fit, PooledFit) else fit
    if len(table) != model.n + model.n_dropped:
        msg = (
            f"`fit` was developed on {model.n + model.n_dropped} rows, `data` has {len(table)}. "
            "Pass the development table; other patients are for `evaluate`."
        )
        raise PairingError(msg)
    if model.development is not None and model.development.weights is not None:
        msg = "`fit` has case weights; resamples of weighted patients are not defined here."
        raise ArgumentError(msg)


def _check_no_holes(fit: Any, table: pd.DataFrame) -> None:
    variables = [*fit.spec.variables, fit.spec.outcome]
    check_present(table, variables)
    holes = table[variables].isna().sum()
    if holes.any():
        counts = ", ".join(f"{name} {n}" for name, n in holes[holes > 0].items())
        msg = (
            f"`data` has missing values ({counts}). Validate with a recipe that imputes, "
            "Recipe(imputation='pmm'), on a fit made by `fit_imputed`; or leave these rows out of "
            "both the fit and `data`."
        )
        raise MissingDataError(msg)


def _with_imputation(recipe: Recipe, data: pd.DataFrame | Imputations) -> Recipe:
    """Imputed data bring their own imputation settings unless the recipe has some."""
    if not isinstance(data, Imputations) or recipe.imputes:
        return recipe
    return replace(
        recipe,
        imputation=dict(data.methods) or "pmm",
        n_iter=data.n_iter,
        variables=data.variables,
        exclude=(),
    )


def refit(case: Development, plan: Plan, n_jobs: int) -> Refits:
    kitchen = case.kitchen
    if case.plain and kitchen.spec is not None:
        return BatchRefits.fit(kitchen.spec.matrix(kitchen.data), case.y, plan)
    return RecipeRefits(refits=kitchen.cook(plan, n_jobs=n_jobs), y=case.y, plan=plan)
