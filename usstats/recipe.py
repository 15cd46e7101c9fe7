"""A model's recipe: every step between the table and the prediction, so that all can be repeated.

Imputation, knots, selection, fit and threshold belong to the model; a resample that skips one of
them is more optimistic than it says.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float, check_option
from usstats._fits.newton import BATCH_ITERATIONS, newton_logistic
from usstats._fits.shared_design import learn_from_observed
from usstats._imputing.columns import Method
from usstats._imputing.tables import Imputations, impute
from usstats._validation.plans import Plan
from usstats._validation.refits import Refit
from usstats.design import DesignSpec, read_model
from usstats.errors import ArgumentError, UsstatsError, UsstatsWarning
from usstats.logistic import fit_logistic
from usstats.selection import LassoTuning
from usstats.terms import Term, as_terms
from usstats.thresholds import Threshold, choose_threshold

Array = NDArray[Float]

REFIT = "refit"

_JOBS_AT_A_TIME = 4

#: Takes the completed tables, the outcome's name and the candidate terms; returns those kept.
Selection = Callable[[Sequence[pd.DataFrame], str, tuple[Term, ...]], Sequence[Term]]


@dataclass(frozen=True, kw_only=True)
class ThresholdRule:
    """How the threshold is chosen in development: by a criterion, a target, or by decree.

    Examples
    --------
    >>> ThresholdRule(criterion="youden").choose([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9])
    0.3
    >>> ThresholdRule(value=0.2).choose([0, 1], [0.1, 0.9])
    0.2
    """

    criterion: str = "youden"
    sensitivity: float | None = None
    specificity: float | None = None
    value: float | None = None

    def choose(self, y: ArrayLike, p: ArrayLike) -> float:
        """The threshold of these cases; a decreed value is the same everywhere."""
        if self.value is not None:
            return self.value
        chosen = choose_threshold(
            y,
            p,
            criterion=self.criterion,
            sensitivity=self.sensitivity,
            specificity=self.specificity,
        )
        return chosen.value


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What was done to the development table to get the model.

    Parameters
    ----------
    formula, outcome, terms : optional
        The model as `fit_logistic` takes it; by default the terms of the fit that is validated.
    imputation : {"pmm", "norm", "sample"} or mapping, optional
        Method of `impute`; None where the table is complete.
    m, n_iter, variables, exclude
        As in `impute`; `m` copies are drawn and pooled in every resample.
    knots : {"fixed", "refit"}
        Whether splines keep the knots of the development table or place them anew.
    select : LassoTuning, BackwardElimination or callable, optional
        Takes (completed tables, outcome, candidate terms) and returns the terms to keep. Rule
        R15: selection is honest only when it is repeated in every resample.
    method : optional
        As in `fit_logistic`; by default that of the fit that is validated.
    penalty : float, mapping, "refit", LassoTuning or callable, optional
        As in `fit_logistic`; by default the size used by the fit that is validated. A penalty
        chosen from the data is part of the recipe: "refit" lets the ridge choose its own in every
        resample and cross-validates the lasso's (`LassoTuning`), a callable takes (completed
        table, design) and returns one.
    threshold : str, float, Threshold or ThresholdRule, optional
        Criterion ("youden", "closest_topleft"), or a risk fixed beforehand. Sensitivity and
        specificity are then corrected too (rule R13).

    Examples
    --------
    >>> Recipe(imputation="pmm", m=5, threshold="youden").imputes
    True
    """

    formula: str | None = None
    outcome: str | None = None
    terms: Sequence[Term | Mapping[str, Any]] | None = None
    imputation: Method | None = None
    m: int = 5
    n_iter: int = 10
    variables: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    knots: str = "fixed"
    select: Selection | None = None
    method: str | None = None
    penalty: Any = None
    threshold: str | float | Threshold | ThresholdRule | None = None

    def __post_init__(self) -> None:
        check_option(self.knots, ("fixed", REFIT), name="knots")
        if self.select is not None and not callable(self.select):
            msg = (
                "`select` must be LassoTuning(), BackwardElimination() or a function of (completed "
                f"tables, outcome, terms); got {self.select!r}."
            )
            raise ArgumentError(msg)
        if self.rule is not None and self.rule.value is not None and not 0 < self.rule.value < 1:
            msg = f"A fixed `threshold` is a risk inside (0, 1); got {self.rule.value!r}."
            raise ArgumentError(msg)

    @property
    def imputes(self) -> bool:
        """Whether missing values are imputed."""
        return self.imputation is not None

    @property
    def rule(self) -> ThresholdRule | None:
        """The threshold as a rule; a frozen `Threshold` is repeated by its criterion."""
        if self.threshold is None or isinstance(self.threshold, ThresholdRule):
            return self.threshold
        if isinstance(self.threshold, Threshold):
            return _rule_of(self.threshold)
        if isinstance(self.threshold, str):
            return ThresholdRule(criterion=self.threshold)
        return ThresholdRule(value=float(self.threshold))

    def for_fit(self, fit: Any) -> Recipe:
        """This recipe with what was left open taken from the fit."""
        if self.formula is None and self.terms is None:
            outcome, terms = fit.spec.outcome, tuple(fit.spec.terms)
        else:
            own_outcome = self.outcome or (None if self.formula else fit.spec.outcome)
            outcome, terms = read_model(self.formula, own_outcome, self.terms)
            terms = _with_development_facts(terms, fit.spec)
        own = self.method is None
        return replace(
            self,
            formula=None,
            outcome=outcome,
            terms=terms if self.knots == "fixed" else tuple(map(_without_learned_knots, terms)),
            method=fit.method if own else self.method,
            penalty=fit.penalty if own and self.penalty is None else self.penalty,
        )

    def complete(self, data: pd.DataFrame, seed: int | None) -> Imputations | list[pd.DataFrame]:
        """Completed copies of a table, or the table itself where nothing is imputed."""
        if self.imputation is None:
            return [data]
        return impute(
            data,
            m=self.m,
            method=self.imputation,
            seed=seed,
            variables=self.variables,
            outcome=self.outcome,
            n_iter=self.n_iter,
            exclude=self.exclude,
        )


def _rule_of(threshold: Threshold) -> ThresholdRule:
    """Repeat the criterion a frozen threshold was chosen by."""
    if threshold.criterion in ("youden", "closest_topleft"):
        return ThresholdRule(criterion=threshold.criterion)
    return ThresholdRule(value=threshold.value)


def _with_development_facts(terms: tuple[Term, ...], spec: DesignSpec) -> tuple[Term, ...]:
    """Knots and levels of the developed model for terms that leave them open."""
    known = {term.name: term for term in spec.terms}
    return tuple(
        known[term.name]
        if term.name in known
        and term.knots is None
        and term.levels is None
        and (term.type == known[term.name].type or term.type == "linear")
        else term
        for term in terms
    )


def _without_learned_knots(term: Term) -> Term:
    """Forget knots that Harrell's rule placed; knots set by hand have no number of knots."""
    return replace(term, knots=None) if term.n_knots is not None else term


@dataclass(frozen=True, kw_only=True)
class Kitchen:
    """A recipe with its ingredients: the table as it came, and its completed copies.

    `spec` is the design of the developed model where every replicate keeps it; None where the
    recipe learns it anew. `patient` says which rows are one patient's.
    """

    recipe: Recipe
    data: pd.DataFrame
    originals: Sequence[pd.DataFrame]
    spec: DesignSpec | None
    seed: int | None
    patient: NDArray[np.int64]

    def cook(self, plan: Plan, which: Sequence[int], *, n_jobs: int = 1) -> Iterator[Refit | None]:
        """The recipe in some replicates of the plan, in order; None where a step failed."""
        if n_jobs == 1:
            return (self.cook_one(plan, i) for i in which)
        from joblib import Parallel, delayed

        jobs = (delayed(self.cook_one)(plan, i) for i in which)
        workers = Parallel(n_jobs=n_jobs, batch_size=_JOBS_AT_A_TIME, return_as="generator")
        return iter(workers(jobs))

    def cook_one(self, plan: Plan, i: int) -> Refit | None:
        """Replicate `i`: draw, complete, select, place knots, fit, pool, predict.

        Warnings of this package are silenced here: a failure is counted by the caller instead.
        """
        drawn = plan.train_rows(i)
        rows = self.data.iloc[drawn].reset_index(drop=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UsstatsWarning)
            try:
                return self._refit(rows, self.patient[drawn], _imputation_seed(self.seed, i))
            except (UsstatsError, np.linalg.LinAlgError):
                return None

    def _original_designs(self, spec: DesignSpec) -> list[Array]:
        return self._kept_designs if spec is self.spec else _designs(spec, self.originals)

    @cached_property
    def _kept_designs(self) -> list[Array]:
        """The original copies in the design that every replicate keeps."""
        return [] if self.spec is None else _designs(self.spec, self.originals)

    def _refit(self, rows: pd.DataFrame, patient: NDArray[np.int64], seed: int | None) -> Refit:
        copies = list(self.recipe.complete(rows, seed))
        spec = self.spec or _learn(self.recipe, rows, copies, patient)
        designs = _designs(spec, copies)
        fits = [
            _fit(self.recipe, spec, X, copy, patient)
            for X, copy in zip(designs, copies, strict=True)
        ]
        params = np.mean(fits, axis=0)
        return Refit(
            training=np.array([X @ params for X in designs]),
            test=np.array([X @ params for X in self._original_designs(spec)]),
            terms=tuple(term.name for term in spec.terms),
        )


def _designs(spec: DesignSpec, copies: Sequence[pd.DataFrame]) -> list[Array]:
    return [spec.matrix(copy) for copy in copies]


def _imputation_seed(seed: int | None, i: int) -> int | None:
    """A stream of its own for the imputations of replicate `i`."""
    if seed is None:
        return None
    return int(np.random.SeedSequence(seed, spawn_key=(i, 1)).generate_state(1, np.uint64)[0] >> 1)


def _learn(
    recipe: Recipe, rows: pd.DataFrame, copies: list[pd.DataFrame], patient: NDArray[np.int64]
) -> DesignSpec:
    """The design of this resample: selected terms, knots placed where the recipe says so."""
    outcome, terms = str(recipe.outcome), as_terms(recipe.terms or ())
    if isinstance(recipe.select, LassoTuning):
        terms = tuple(recipe.select.keep(copies, outcome, terms, patient))
    elif recipe.select is not None:
        terms = tuple(recipe.select(copies, outcome, terms))
    return learn_from_observed(outcome, terms, rows)


def _fit(
    recipe: Recipe, spec: DesignSpec, X: Array, copy: pd.DataFrame, patient: NDArray[np.int64]
) -> Array:
    """Coefficients in one completed table."""
    if recipe.method == "ml" or not spec.terms:
        y = copy[spec.outcome].to_numpy(dtype=float)
        return newton_logistic(X, y, max_iter=BATCH_ITERATIONS).params
    penalty = _penalty(recipe, spec, copy, patient)
    fit = fit_logistic(spec, copy, method=str(recipe.method), penalty=penalty)
    return np.asarray(fit.params.to_numpy(dtype=float))


def _penalty(
    recipe: Recipe, spec: DesignSpec, copy: pd.DataFrame, patient: NDArray[np.int64]
) -> Any:
    """The penalty of one completed table; None lets the ridge choose its own."""
    penalty = recipe.penalty
    if penalty == REFIT:
        penalty = LassoTuning() if recipe.method == "lasso" else None
    if isinstance(penalty, LassoTuning):
        return penalty.penalty(copy, spec, patient)
    return penalty(copy, spec) if callable(penalty) else penalty
