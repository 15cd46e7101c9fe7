"""Internal validation: how much of a model's accuracy is owed to having seen its own patients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float, check_n_jobs
from usstats._corrected_curves import (
    CorrectedDecisionCurve,
    corrected_calibration,
    corrected_decision_curve,
)
from usstats._development import Development, develop, refit
from usstats._frozen_thresholds import accuracies, choose_on_copies, judge_thresholds
from usstats._indexes import MEASURES, Side, indexes
from usstats._intervals import check_conf_level
from usstats._plans import Plan, make_plan
from usstats._refits import RecipeRefits, Refits, average_copies, judge_refits
from usstats._validation_table import measure_columns, measure_table
from usstats.errors import (
    ArgumentError,
    FailedResamplesWarning,
    ResampleError,
)
from usstats.imputing import Imputations
from usstats.instability import Instability, measure_instability
from usstats.recipe import Recipe
from usstats.resample import REFUSE_FAILED, WARN_FAILED
from usstats.results import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Float]


@dataclass(frozen=True, kw_only=True)
class InternalValidation:
    """Apparent and optimism-corrected performance. Made by `validate`.

    Attributes
    ----------
    n, n_event : int
        Rows and events of the development table.
    n_cluster : int or None
        Patients, where rows were drawn by patient.
    n_boot, n_failed : int
        Refits asked for, and those that failed.
    method : str
        "bootstrap", "crossvalidation" or ".632".
    threshold : float or None
        The development threshold whose sensitivity and specificity are corrected.
    seed : int or None
        None for explicit resamples without a seed.
    selection : pandas.DataFrame or None
        How often each term was kept, where the recipe selects.
    """

    n: int
    n_event: int
    n_cluster: int | None
    n_boot: int
    n_failed: int
    method: str
    threshold: float | None
    seed: int | None
    selection: pd.DataFrame | None
    _table: pd.DataFrame = field(repr=False)
    _training: pd.DataFrame = field(repr=False)
    _test: pd.DataFrame = field(repr=False)
    _apparent: Side = field(repr=False)
    _refits: Refits = field(repr=False)
    _plan: Plan = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure.

        Columns: measure, apparent, training, test, optimism, corrected, n_boot, n_failed.
        `n_boot` counts the replicates that entered the means. corrected = apparent - optimism,
        except for emax, which belongs to the corrected calibration intercept and slope.
        """
        return self._table.copy()

    @property
    def corrected(self) -> pd.Series:
        """Optimism-corrected value of each measure."""
        return self._table.set_index("measure")["corrected"]

    def replicates(self) -> pd.DataFrame:
        """Every measure in every replicate: replicate, measure, training, test."""
        sides = [
            table.rename_axis("replicate")
            .reset_index()
            .melt("replicate", var_name="measure", value_name=name)
            for name, table in (("training", self._training), ("test", self._test))
        ]
        return sides[0].assign(test=sides[1]["test"])

    def interval(self, measure: str = "auc", *, conf_level: float = 0.95) -> Estimate:
        """Corrected measure with the location-shifted bootstrap interval of Noma et al. (2021).

        The percentile interval of the measure in the resamples, moved down by the optimism.

        Raises
        ------
        ArgumentError
            An unknown measure, or a method other than the bootstrap.
        """
        check_conf_level(conf_level)
        if self.method != "bootstrap" or measure not in self._training or measure == "emax":
            msg = (
                f"There is no shifted interval for `measure` {measure!r} by {self.method}; "
                f"offered for the bootstrap: {list(self._training)}."
            )
            raise ArgumentError(msg)
        row = self._table.set_index("measure").loc[measure]
        drawn = self._training[measure].dropna() - row["optimism"]
        low, high = drawn.quantile([(1 - conf_level) / 2, (1 + conf_level) / 2])
        return Estimate(
            measure=measure,
            estimate=float(row["corrected"]),
            std_error=float(drawn.std()),
            conf_low=float(low),
            conf_high=float(high),
            conf_level=conf_level,
            method="optimism-corrected, location-shifted bootstrap",
            n=self.n,
            n_event=self.n_event,
            n_cluster=self.n_cluster,
            n_boot=int(row["n_boot"]),
            n_failed=int(row["n_failed"]),
            seed=self.seed,
        )

    def decision_curve(
        self, thresholds: ArrayLike, *, model: str = "model"
    ) -> CorrectedDecisionCurve:
        """Optimism-corrected net benefit of the development cohort (rule R11).

        Parameters
        ----------
        thresholds : array_like
            Threshold probabilities inside (0, 1): the range in which anybody would hesitate.
        model : str
            Name of the model in the table.

        Returns
        -------
        CorrectedDecisionCurve
            Its frame has the columns of `decision_curve` (net_benefit is the corrected one), then
            apparent, training, test and optimism.
        """
        return corrected_decision_curve(
            self._apparent, self._refits, self._plan, thresholds, model=model
        )

    def calibration_curve(self, predicted: ArrayLike | None = None) -> pd.DataFrame:
        """Optimism-corrected smooth calibration curve, as R's `rms::calibrate`.

        Parameters
        ----------
        predicted : array_like, optional
            Risks at which the curve is wanted; by default 50 from the 5th lowest to the 5th
            highest of the model.

        Returns
        -------
        pandas.DataFrame
            predicted, apparent, optimism, corrected, n_boot.
        """
        return corrected_calibration(self._apparent, self._refits, self._plan, predicted)

    def instability(self, *, threshold: float | None = None) -> Instability:
        """How far single patients' risks move between the models of the resamples.

        Parameters
        ----------
        threshold : float, optional
            Risk at which patients are classified; by default the development threshold.

        Returns
        -------
        Instability
        """
        if self.method == "crossvalidation":
            msg = "Instability is judged over bootstrap models; validate with method='bootstrap'."
            raise ArgumentError(msg)
        chosen = self.threshold if threshold is None else threshold
        return measure_instability(self._apparent, self._refits, threshold=chosen, seed=self.seed)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Prediction instability; the other pictures are drawn by `instability().plot`."""
        return self.instability().plot(ax)

    def summary(self) -> str:
        """Apparent and corrected AUC and slope, with method, failures and unit."""
        rows = self._table.set_index("measure")
        auc, slope = rows.loc["auc"], rows.loc["calibration_slope"]
        unit = "row" if self.n_cluster is None else f"patient ({self.n_cluster} clusters)"
        return (
            f"{self.method} with {self.n_boot} refits ({self.n_failed} failed): AUC "
            f"{auc['apparent']:.3f} apparent, {auc['corrected']:.3f} corrected; calibration "
            f"slope {slope['corrected']:.3f} corrected; n = {self.n}, events = {self.n_event}, "
            f"unit: {unit}, seed {self.seed}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def validate(
    fit: Any,
    data: pd.DataFrame | Imputations,
    *,
    n_boot: int = 1000,
    method: str = "bootstrap",
    cluster: ArrayLike | None = None,
    stratify: ArrayLike | None = None,
    recipe: Recipe | None = None,
    seed: int | None = None,
    resamples: Any = None,
    n_jobs: int = 1,
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
    method : {"bootstrap", "crossvalidation", ".632"}
        "bootstrap" is Harrell's optimism bootstrap. ".632" judges each refit on the rows it did
        not see, each row counting alike, and takes optimism = 0.632 (apparent - test).
    cluster : array_like, shape (n,), optional
        Patient labels where patients have several rows; patients are drawn, or held out, whole.
    stratify : array_like, shape (n,), optional
        Strata that keep their size in every resample, for example the outcome.
    recipe : Recipe, optional
        Everything that was done to the data to get `fit`; all of it is repeated. Without one the
        columns of the design are refitted, knots and levels as they are, by the same method.
    seed : int
        Replicate i depends on child i of it alone. May be left out with explicit `resamples`
        unless the recipe imputes.
    resamples : Resamples or array_like, optional
        Explicit 0-based draws (n_boot, n). With "crossvalidation": fold labels (n,), a table of
        zeros and ones (n_folds, n) where 1 is held out, or a list of held-out rows.
    n_jobs : int
        Worker processes of a recipe; the digits do not depend on it.

    Returns
    -------
    InternalValidation

    Raises
    ------
    ResampleError
        More than 20 % of the refits failed.
    ArgumentError, MissingDataError, OutcomeError, PairingError

    Warns
    -----
    FailedResamplesWarning
        More than 5 % failed.
    SmallSampleWarning
        A measure is undefined in more than 20 % of the replicates and is NaN.

    Notes
    -----
    Harrell (2015), Regression Modeling Strategies, chapter 5; indexes as in R's `rms::validate`:
    nagelkerke_r2, intercept, slope, the discrimination (D), unreliability (U) and quality (Q)
    indexes and g, gp on the test side are those of the recalibration model fitted there. emax is
    computed from the corrected intercept and slope, not averaged. .632: Efron (1983).

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
    case = develop(fit, data, recipe, seed)
    plan = make_plan(
        case.y.astype(np.int64),
        method=method,
        n_boot=n_boot,
        seed=seed,
        cluster=cluster,
        stratify=stratify,
        resamples=resamples,
    )
    refits = refit(case, plan, check_n_jobs(n_jobs))
    _check_failed(refits.failed)
    return _result(case, plan, refits, cluster)


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
    own = average_copies(measure_columns(indexes(case.apparent)), 1)[0]
    training, test = judge_refits(
        refits, lambda side, _: measure_columns(indexes(side)), len(MEASURES)
    )
    names = list(MEASURES)
    rule, threshold = case.kitchen.recipe.rule, None
    if rule is not None:
        threshold = choose_on_copies(rule, case.apparent)
        own = np.append(own, average_copies(accuracies(case.apparent, threshold), 1))
        training, test = (
            np.hstack(pair)
            for pair in zip((training, test), judge_thresholds(rule, refits), strict=True)
        )
        names += ["sensitivity", "specificity"]
    table = measure_table(names, own, training, test, plan)
    return InternalValidation(
        n=case.y.size,
        n_event=int(case.y.sum()),
        n_cluster=None if cluster is None else int(pd.Series(np.asarray(cluster)).nunique()),
        n_boot=refits.n_boot,
        n_failed=int(refits.failed.sum()),
        method=plan.method,
        threshold=threshold,
        seed=plan.seed if plan.seed is not None else case.kitchen.seed,
        selection=_selection(case, refits),
        _table=table,
        _training=pd.DataFrame(training, columns=names),
        _test=pd.DataFrame(test, columns=names),
        _apparent=case.apparent,
        _refits=refits,
        _plan=plan,
    )


def _selection(case: Development, refits: Refits) -> pd.DataFrame | None:
    if case.kitchen.recipe.select is None or not isinstance(refits, RecipeRefits):
        return None
    return refits.selection()
