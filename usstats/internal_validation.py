"""The result of an internal validation: corrected measures, curves, intervals and instability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import Float
from usstats._corrected_curves import (
    CorrectedDecisionCurve,
    corrected_calibration,
    corrected_decision_curve,
)
from usstats._indexes import Side
from usstats._intervals import check_conf_level
from usstats._plans import BootstrapPlan, Plan
from usstats._refits import Refits
from usstats.errors import ArgumentError
from usstats.instability import Instability, measure_instability
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
        """Corrected measure with the location-shifted bootstrap interval of Noma et al. (2021).

        The percentile interval of the measure in the resamples, moved down by the optimism; for
        the bootstrap, .632 and .632+.

        Raises
        ------
        ArgumentError
            An unknown measure, or a cross-validation.
        """
        check_conf_level(conf_level)
        if not isinstance(self._plan, BootstrapPlan) or measure not in self._training:
            msg = (
                f"There is no shifted interval for `measure` {measure!r} by {self.method}; "
                f"offered for bootstrap methods: {list(self._training)}."
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
