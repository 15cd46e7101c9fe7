"""The developed model with its table, ready to be refitted in resamples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float, check_cluster, check_outcome, seed_or_fresh
from usstats._fits.columns import check_present
from usstats._fits.shared_design import learn_from_observed
from usstats._imputing.tables import Imputations
from usstats._validation.checkpoint import Checkpoint
from usstats._validation.indexes import Side
from usstats._validation.plans import Plan
from usstats._validation.refits import BatchRefits, RecipeRefits, Refit, Refits
from usstats.design import DesignSpec
from usstats.errors import ArgumentError, MissingDataError, PairingError
from usstats.logistic import LogisticFit
from usstats.pooled_fit import PooledFit, check_outcome_imputed_with
from usstats.recipe import Kitchen, Recipe
from usstats.terms import as_terms

Array = NDArray[Float]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Development:
    """The model with the table it came from."""

    kitchen: Kitchen
    y: Array
    apparent: Side
    n_parameters: int

    @property
    def events_per_parameter(self) -> float:
        """Patients of the rarer class for each candidate parameter."""
        patient = self.kitchen.patient
        rarer = min(np.unique(patient[self.y == event]).size for event in (0, 1))
        return rarer / max(self.n_parameters, 1)

    @property
    def plain(self) -> bool:
        """Whether a replicate is nothing but the same columns refitted."""
        recipe = self.kitchen.recipe
        return recipe.method == "ml" and not recipe.imputes and self.kitchen.spec is not None


def develop(
    fit: Any,
    data: pd.DataFrame | Imputations,
    recipe: Recipe | None,
    *,
    seed: int | None,
    cluster: ArrayLike | None,
) -> Development:
    table = data.original if isinstance(data, Imputations) else data
    _check_development(fit, table)
    if recipe is not None and not isinstance(recipe, Recipe):
        msg = f"`recipe` must be a Recipe; got {type(recipe).__name__}."
        raise ArgumentError(msg)
    if isinstance(data, Imputations):
        check_outcome_imputed_with(data, fit.spec.outcome)
    full = _with_imputation(recipe or Recipe(), data).for_fit(fit)
    if full.imputes:
        seed = seed_or_fresh(seed)
    else:
        _check_no_holes(fit, table)
    copies = list(data) if isinstance(data, Imputations) else list(full.complete(table, seed))
    y = check_outcome(table[fit.spec.outcome], name=fit.spec.outcome).astype(float)
    _check_same_events(fit, y)
    spec = _kept_design(full, fit, table)
    codes = check_cluster(cluster, len(table))
    return Development(
        kitchen=Kitchen(
            recipe=full,
            data=table,
            originals=copies,
            spec=spec,
            seed=seed,
            patient=np.arange(len(table)) if codes is None else codes,
        ),
        y=y,
        apparent=Side(np.array([fit.linear_predictor(copy) for copy in copies]), y),
        n_parameters=len((spec or _candidates(full, table)).column_names) - 1,
    )


def labels_of(given: str | ArrayLike | None, data: Any) -> ArrayLike | None:
    """Labels of the rows; a text names the column that holds them."""
    if not isinstance(given, str):
        return given
    table = data.original if isinstance(data, Imputations) else data
    check_present(table, [given])
    return np.asarray(table[given])


def _kept_design(recipe: Recipe, fit: Any, table: pd.DataFrame) -> DesignSpec | None:
    """The design that every replicate keeps; None where the recipe learns it anew."""
    if recipe.knots != "fixed" or recipe.select is not None:
        return None
    if as_terms(recipe.terms or ()) == fit.spec.terms:
        return fit.spec  # type: ignore[no-any-return]
    return _candidates(recipe, table)


def _candidates(recipe: Recipe, table: pd.DataFrame) -> DesignSpec:
    """The design of all terms the recipe starts from."""
    return learn_from_observed(str(recipe.outcome), as_terms(recipe.terms or ()), table)


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


def _check_same_events(fit: Any, y: Array) -> None:
    """The outcome must be the one the model was fitted to, coded the same way."""
    model = fit.model if isinstance(fit, PooledFit) else fit
    if not model.n_dropped and model.n_event != y.sum():
        msg = (
            f"`fit` was developed on {model.n_event} events, `data` has {int(y.sum())}. Pass the "
            "development table with the same event."
        )
        raise PairingError(msg)


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


def refit(
    case: Development,
    plan: Plan,
    *,
    n_jobs: int,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> Refits:
    """The model, or its recipe, in every replicate of the plan."""
    kitchen = case.kitchen
    stored = None if checkpoint is None else Checkpoint.open(checkpoint, kitchen)
    if case.plain and kitchen.spec is not None:
        return BatchRefits.fit(kitchen.spec.matrix(kitchen.data), case.y, plan)
    cook = partial(kitchen.cook, plan, n_jobs=n_jobs)
    made = cook(range(plan.n_boot)) if stored is None else stored.replicates(plan, cook)
    return RecipeRefits(refits=list(_reported(made, plan.n_boot, progress)), y=case.y, plan=plan)


def _reported(
    made: Iterable[Refit | None], total: int, progress: Progress | None
) -> Iterator[Refit | None]:
    for done, one in enumerate(made, start=1):
        yield one
        if progress is not None:
            progress(done, total)
