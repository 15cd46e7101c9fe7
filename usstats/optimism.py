"""Internal validation: how much of a model's accuracy is owed to having seen its own patients."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_n_jobs, seed_or_fresh
from usstats._imputing.tables import Imputations
from usstats._validation.development import (
    Development,
    Progress,
    develop,
    labels_of,
    refit,
)
from usstats._validation.frozen_thresholds import choose_on_copies, judge_thresholds
from usstats._validation.judged import judge_measures
from usstats._validation.overfitting import FEW_EVENTS, better_judged, correct
from usstats._validation.plans import Plan, PlanOptions, make_plan
from usstats._validation.refits import RecipeRefits, Refits
from usstats._validation.table import measure_table
from usstats.errors import (
    ArgumentError,
    FailedResamplesWarning,
    ResampleError,
)
from usstats.internal_validation import InternalValidation
from usstats.recipe import Recipe
from usstats.resample import REFUSE_FAILED, WARN_FAILED

__all__ = ["InternalValidation", "validate"]


def validate(
    fit: Any,
    data: pd.DataFrame | Imputations,
    *,
    n_boot: int = 1000,
    method: str = "bootstrap",
    repeats: int | None = None,
    cluster: str | ArrayLike | None = None,
    stratify: str | ArrayLike | None = None,
    recipe: Recipe | None = None,
    seed: int | None = None,
    resamples: Any = None,
    n_jobs: int = 1,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> InternalValidation:
    """Optimism-corrected performance: refit in resamples, judge on the development patients.

    Parameters
    ----------
    fit : LogisticFit or PooledFit
        The model developed on `data`.
    data : pandas.DataFrame or Imputations
        The development table. With `Imputations` (or a table with holes and a recipe that
        imputes) the imputation is repeated inside every resample.
    n_boot : int
        Refits. With "crossvalidation": that many folds up to ten; 10 r gives r rounds of ten.
    method : {"bootstrap", "harrell", ".632+", ".632", "crossvalidation"}
        "bootstrap" is Harrell's optimism bootstrap; where there are fewer than ten patients of
        the rarer class per candidate parameter and the relative overfitting of the AUC exceeds
        0.5 it is ".632+", because Harrell's correction is not enough there (see Notes). "harrell"
        insists. ".632" and ".632+" judge each refit on the rows it did not see, each row counting
        alike. `result.method` says what was done.
    repeats : int, optional
        Rounds of a cross-validation with min(n_boot, 10) folds, each dealt anew.
    cluster : str or array_like, shape (n,), optional
        Column or labels of patients with several rows; patients are drawn, or held out, whole.
    stratify : str or array_like, shape (n,), optional
        Column or labels of strata that keep their size in every resample, for example the outcome.
    recipe : Recipe, optional
        Everything that was done to the data to get `fit`; all of it is repeated. Without one the
        columns of the design are refitted, knots and levels as they are, by the same method.
    seed : int, optional
        Replicate i depends on child i of it alone. Without it a fresh one is drawn, which the
        result tells.
    resamples : Resamples or array_like, optional
        Explicit 0-based draws (n_boot, n). With "crossvalidation": fold labels (n,), a table of
        zeros and ones (n_folds, n) where 1 is held out, or a list of held-out rows.
    n_jobs : int
        Worker processes of a recipe; the digits do not depend on it. Inside
        `joblib.parallel_config(backend="dask")` the workers are those of a Dask cluster.
    checkpoint : path, optional
        Folder in which the finished replicates of a recipe are kept. A run that was killed goes on
        there and ends with the digits of a whole one; the folder of other data, another recipe or
        other draws is refused. A model that is refitted as it is takes moments and leaves only
        the manifest.
    progress : callable, optional
        Called with (replicates done, replicates in all) while a recipe is repeated.

    Returns
    -------
    InternalValidation

    Raises
    ------
    ResampleError
        More than 20 % of the refits failed, or a foreign `checkpoint`.
    ArgumentError, MissingDataError, OutcomeError, PairingError

    Warns
    -----
    FailedResamplesWarning
        More than 5 % failed.
    SmallSampleWarning
        A measure is undefined in more than 20 % of the replicates and is NaN.
    OptimismWarning
        method="harrell" where "bootstrap" would be ".632+", whose value is named.

    Notes
    -----
    Harrell (2015), Regression Modeling Strategies, chapter 5; indexes as in R's `rms::validate`:
    nagelkerke_r2, intercept, slope, the discrimination (D), unreliability (U) and quality (Q)
    indexes and g, gp on the test side are those of the recalibration model fitted there. emax is
    computed from the corrected intercept and slope, not averaged. With explicit `resamples`
    "bootstrap" and "crossvalidation" give the numbers of rms.

    .632: Efron (1983), optimism = 0.632 (apparent - test). .632+: Efron and Tibshirani (1997); the
    no-information value of each measure is its value when every prediction is paired with every
    outcome (AUC 0.5, as Adler and Lausen 2009; Brier score from all pairs).

    What is left of the optimism, 50 noise predictors, n = 275, true AUC 0.50, means of 24 cohorts
    (of the 8 in which the lasso kept anything), 40 resamples or twice ten folds:

    ==========================  ========  =======  =====  ======  ============
    recipe                      apparent  harrell  .632   .632+   folds (test)
    ==========================  ========  =======  =====  ======  ============
    all 50 predictors           0.75      0.58     0.59   0.52    0.50
    backward elimination (AIC)  0.66      0.51     0.56   0.51    0.49
    lasso, terms refitted       0.67      0.62     0.56   0.51    0.50
    lasso, penalty tuned        0.65      0.61     0.56   0.51    0.51
    ==========================  ========  =======  =====  ======  ============

    .632+ cannot fall below 0.50 and is a little above it on average. Where the events suffice the
    methods agree (Iba et al. 2021, BMC Med Res Methodol 21:9).

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> rng = np.random.default_rng(1)
    >>> df = pd.DataFrame({"x": rng.normal(size=120)})
    >>> df["y"] = (rng.random(120) < 1 / (1 + np.exp(-df["x"]))).astype(int)
    >>> result = validate(fit_logistic("y ~ x", df), df, n_boot=50, seed=1)
    >>> bool(result.corrected["auc"] < result.frame()["apparent"][0])
    True
    """
    seed = _seed_of(seed, resamples, checkpoint)
    cluster, stratify = labels_of(cluster, data), labels_of(stratify, data)
    options = PlanOptions(
        method=method,
        n_boot=n_boot,
        repeats=repeats,
        seed=seed,
        cluster=cluster,
        stratify=stratify,
        resamples=resamples,
    )
    case = develop(fit, data, recipe, seed=seed, cluster=cluster)
    plan = make_plan(case.y.astype(np.int64), options)
    refits = refit(
        case, plan, n_jobs=check_n_jobs(n_jobs), checkpoint=checkpoint, progress=progress
    )
    _check_failed(refits.failed)
    if resamples is None and case.events_per_parameter < FEW_EVENTS:
        insists = method == "harrell"
        plan, refits = better_judged(plan, refits, case.apparent, insists=insists)
    return _result(case, plan, refits, cluster)


def _seed_of(seed: int | None, resamples: Any, checkpoint: str | Path | None) -> int | None:
    """The seed given, or a fresh one, with which nobody could go on where a run stopped."""
    if seed is None and resamples is not None:
        return None
    if seed is None and checkpoint is not None:
        msg = "A `checkpoint` needs a `seed`: without one the replicates cannot be drawn again."
        raise ArgumentError(msg)
    return seed_or_fresh(seed)


def _check_failed(failed: NDArray[np.bool_]) -> None:
    """Warn above 5 % failed refits, refuse above 20 %."""
    share = float(failed.mean())
    found = f"{int(failed.sum())} of {failed.size} refits ({share:.1%}) failed"
    if share > REFUSE_FAILED:
        msg = (
            f"{found}; above {REFUSE_FAILED:.0%} the rest says nothing about the model. Fit with "
            "method='firth', or with fewer terms or knots, or merge rare levels."
        )
        raise ResampleError(msg)
    if share > WARN_FAILED:
        msg = f"{found} and were left out; the model is too large for its number of events."
        warnings.warn(msg, FailedResamplesWarning, stacklevel=3)


def _result(
    case: Development, plan: Plan, refits: Refits, cluster: ArrayLike | None
) -> InternalValidation:
    judged = judge_measures(case.apparent, refits)
    rule = case.kitchen.recipe.rule
    threshold = None if rule is None else choose_on_copies(rule, case.apparent)
    if rule is not None and threshold is not None:
        judged = judged.and_also(judge_thresholds(rule, threshold, case.apparent, refits))
    names, sides = list(judged.names), (judged.training, judged.test)
    found = correct(judged.apparent, *sides, plan, judged.no_information, names=names)
    out_of_sample = plan.method in (".632", ".632+")
    return InternalValidation(
        n=case.y.size,
        n_event=int(case.y.sum()),
        n_cluster=None if cluster is None else int(pd.Series(np.asarray(cluster)).nunique()),
        n_boot=refits.n_boot,
        n_failed=int(refits.failed.sum()),
        method=plan.method,
        relative_overfitting=float(found.overfitting[0]) if out_of_sample else None,
        threshold=threshold,
        seed=plan.seed if plan.seed is not None else case.kitchen.seed,
        selection=_selection(case, refits),
        _table=measure_table(names, judged.apparent, sides, found, plan),
        _training=pd.DataFrame(judged.training, columns=names),
        _test=pd.DataFrame(judged.test, columns=names),
        _apparent=case.apparent,
        _refits=refits,
        _plan=plan,
        _patient=case.kitchen.patient,
    )


def _selection(case: Development, refits: Refits) -> pd.DataFrame | None:
    if case.kitchen.recipe.select is None or not isinstance(refits, RecipeRefits):
        return None
    return refits.selection()
