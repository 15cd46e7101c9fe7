"""The result of an internal validation: corrected measures, curves, intervals and instability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float
from usstats._intervals import check_conf_level
from usstats._validation.corrected_curves import (
    CorrectedDecisionCurve,
    corrected_calibration,
    corrected_decision_curve,
)
from usstats._validation.indexes import Side
from usstats._validation.out_of_sample import auc_variance, corrected_auc_limits, out_of_sample_lp
from usstats._validation.plans import BootstrapPlan, Plan
from usstats._validation.refits import Refits
from usstats.errors import ArgumentError
from usstats.instability import Instability, measure_instability
from usstats.results import Estimate, unit_of_analysis

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
        "bootstrap", ".632+", ".632" or "crossvalidation".
    relative_overfitting : float or None
        R of Efron and Tibshirani for the AUC, 0 to 1, where refits were judged on the patients
        they did not see.
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
    relative_overfitting: float | None
    threshold: float | None
    seed: int | None
    selection: pd.DataFrame | None
    _table: pd.DataFrame = field(repr=False)
    _training: pd.DataFrame = field(repr=False)
    _test: pd.DataFrame = field(repr=False)
    _apparent: Side = field(repr=False)
    _refits: Refits = field(repr=False)
    _plan: Plan = field(repr=False)
    _patient: NDArray[np.int64] = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure.

        Columns: measure, apparent, training, test, optimism, corrected, n_boot, n_failed.
        `n_boot` counts the replicates that entered the means. corrected = apparent - optimism;
        emax belongs to the corrected calibration intercept and slope.
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
        """Corrected measure with a confidence interval.

        Parameters
        ----------
        measure : str
        conf_level : float

        Returns
        -------
        Estimate

        Raises
        ------
        ArgumentError
            An unknown measure, emax, or one of a cross-validation other than "auc" and "dxy".

        Notes
        -----
        AUC and Dxy: limits on the logit scale from DeLong's variance, over patients Obuchowski's,
        of the predictions that the refits make for the rows they have not seen (LeDell, Petersen
        and van der Laan 2015, EJS 9:1583). The others: location-shifted (Noma et al. 2021, Stat
        Med 40:5691), the percentiles of the measure in the resamples less the optimism; these
        cover too seldom where there are few events per parameter. Simulated coverage of the true
        AUC of the model by nominal 95 % intervals:

        ==============================================  ======  =======
        cohorts                                         logit   shifted
        ==============================================  ======  =======
        n = 200, 6 parameters                           95.3 %  90.7 %
        n = 120, 6 parameters                           93.7 %  85.7 %
        n = 275, 20 parameters                          94.0 %  57.5 %
        n = 275, 50 parameters (.632+)                  87.0 %  28.0 %
        137 patients with 1-7 images, 4 parameters      95.0 %  89.5 %
        ==============================================  ======  =======
        """
        check_conf_level(conf_level)
        if measure in ("auc", "dxy"):
            return self._ranking_interval(measure, conf_level)
        if not isinstance(self._plan, BootstrapPlan) or measure not in self._training:
            msg = (
                f"There is no interval for `measure` {measure!r} by {self.method}; bootstrap "
                f"methods offer {list(self._training)}, a cross-validation auc and dxy."
            )
            raise ArgumentError(msg)
        optimism = self._table.set_index("measure")["optimism"]
        drawn = self._training[measure].dropna() - optimism[measure]
        low, high = drawn.quantile([(1 - conf_level) / 2, (1 + conf_level) / 2])
        method = "optimism-corrected, location-shifted bootstrap"
        return self._estimate(
            measure, (float(low), float(high)), float(drawn.std()), conf_level, method
        )

    def _ranking_interval(self, measure: str, conf_level: float) -> Estimate:
        """Interval of AUC or Dxy = 2 AUC - 1 from the refits' predictions for unseen rows."""
        lp, y = out_of_sample_lp(self._refits, self._plan, self._apparent), self._apparent.y
        auc, variance = float(self.corrected["auc"]), auc_variance(lp, y, self._patient)
        times, less = (1, 0) if measure == "auc" else (2, 1)
        low, high = corrected_auc_limits(auc, variance, y, conf_level)
        limits = (times * low - less, times * high - less)
        plain = "delong" if self.n_cluster is None else "obuchowski"
        method = f"optimism-corrected, {plain} out of sample, logit"
        std_error = times * float(np.sqrt(variance))
        return self._estimate(measure, limits, std_error, conf_level, method)

    def _estimate(
        self,
        measure: str,
        limits: tuple[float, float],
        std_error: float,
        conf_level: float,
        method: str,
    ) -> Estimate:
        row = self._table.set_index("measure").loc[measure]
        return Estimate(
            measure=measure,
            estimate=float(row["corrected"]),
            std_error=std_error,
            conf_low=limits[0],
            conf_high=limits[1],
            conf_level=conf_level,
            method=method,
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
        unit = unit_of_analysis(self.n_cluster, row="row")
        return (
            f"{self.method} with {self.n_boot} refits ({self.n_failed} failed): AUC "
            f"{auc['apparent']:.3f} apparent, {auc['corrected']:.3f} corrected; calibration "
            f"slope {slope['corrected']:.3f} corrected; n = {self.n}, events = {self.n_event}, "
            f"unit: {unit}, seed {self.seed}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"
