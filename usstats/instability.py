"""Instability: would the same patient get the same risk had other patients been sampled?

Riley and Collins (2023), Biom J 65:2200302; Riley et al. (2023), BMC Med 21:502.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import Float, check_option
from usstats._intervals import check_conf_level
from usstats._validation.corrected_curves import net_benefits, smooth_calibration
from usstats._validation.indexes import Side
from usstats._validation.refits import Refits, average_copies
from usstats.results import read_only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Float]

KINDS = ("prediction", "mape", "classification", "calibration", "net_benefit")
_MOST_CURVES = 200


@dataclass(frozen=True, kw_only=True)
class Instability:
    """Risks of the development patients by the model itself and by the models of the resamples.

    Attributes
    ----------
    original : ndarray, shape (n,)
        Risk by the developed model.
    predictions : ndarray, shape (n_boot, n)
        Risk by each refitted model; failed refits are left out.
    y : ndarray, shape (n,)
    threshold : float or None
        Risk from which a patient is classified as an event.
    conf_level : float
        Width of the patients' ranges.
    """

    original: Array = field(repr=False)
    predictions: Array = field(repr=False)
    y: Array = field(repr=False)
    threshold: float | None
    n_failed: int
    seed: int | None
    conf_level: float = 0.95

    @property
    def n(self) -> int:
        """Number of patients (rows)."""
        return self.original.size

    @property
    def n_boot(self) -> int:
        """Number of refitted models."""
        return len(self.predictions)

    @property
    def mape(self) -> float:
        """Mean absolute difference between refitted and developed risk, over all patients."""
        return float(np.abs(self.predictions - self.original).mean())

    @property
    def classification(self) -> Array:
        """Share of refitted models that classify a patient otherwise; NaN without threshold."""
        if self.threshold is None:
            return np.full(self.n, np.nan)
        t = self.threshold
        return np.asarray(((self.predictions >= t) != (self.original >= t)).mean(axis=0))

    def frame(self) -> pd.DataFrame:
        """One row a patient.

        Columns: row, estimate (developed risk), conf_low, conf_high (percentiles of the refitted
        risks), conf_level, mape, classification_instability, n_boot.
        """
        low, high = np.quantile(
            self.predictions, [(1 - self.conf_level) / 2, (1 + self.conf_level) / 2], axis=0
        )
        return pd.DataFrame(
            {
                "row": np.arange(self.n),
                "estimate": self.original,
                "conf_low": low,
                "conf_high": high,
                "conf_level": self.conf_level,
                "mape": np.abs(self.predictions - self.original).mean(axis=0),
                "classification_instability": self.classification,
                "n_boot": self.n_boot,
            }
        )

    def prediction_frame(self) -> pd.DataFrame:
        """Every refitted risk: replicate, row, estimate (developed risk), prediction."""
        return pd.DataFrame(
            {
                "replicate": np.repeat(np.arange(self.n_boot), self.n),
                "row": np.tile(np.arange(self.n), self.n_boot),
                "estimate": np.tile(self.original, self.n_boot),
                "prediction": self.predictions.ravel(),
            }
        )

    def calibration_frame(self, *, most: int = _MOST_CURVES) -> pd.DataFrame:
        """Smooth calibration curve of each refitted model on the development patients.

        Columns: replicate (-1 is the developed model), predicted, observed. At most `most`
        refitted models, the first ones.
        """
        at = np.linspace(0.0, 1.0, 101)
        risks = np.vstack([self.original, self.predictions[:most]])
        curves = [smooth_calibration(risk, self.y, at) for risk in risks]
        return _long(np.array(curves), "predicted", at, "observed").dropna(ignore_index=True)

    def net_benefit_frame(
        self, thresholds: ArrayLike | None = None, *, most: int = _MOST_CURVES
    ) -> pd.DataFrame:
        """Net benefit of each refitted model on the development patients.

        Columns: replicate (-1 is the developed model), threshold_probability, net_benefit.
        """
        at = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, float)
        risks = np.vstack([self.original, self.predictions[:most]])
        curves = net_benefits(Side(special.logit(risks), self.y), at)
        return _long(curves, "threshold_probability", at, "net_benefit")

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "prediction",
        thresholds: ArrayLike | None = None,
    ) -> Axes:
        """Draw one of the instability plots.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        kind : {"prediction", "mape", "classification", "calibration", "net_benefit"}
        thresholds : array_like, optional
            Range of the decision curves.
        """
        from usstats.plots.instability import plot_instability

        check_option(kind, KINDS, name="kind")
        return plot_instability(self, ax, kind=kind, thresholds=thresholds)

    def summary(self) -> str:
        """Average MAPE, the least stable patient, and how many classifications are unsure."""
        table = self.frame()
        worst = table.loc[table["mape"].idxmax()]
        text = (
            f"Instability over {self.n_boot} refitted models ({self.n_failed} failed): mean "
            f"absolute prediction error {self.mape:.3f} on average, {worst['mape']:.3f} at most "
            f"(developed risk {worst['estimate']:.2f}, {self.conf_level * 100:g} % range "
            f"{worst['conf_low']:.2f} to {worst['conf_high']:.2f}); n = {self.n}, "
            f"events = {int(self.y.sum())}"
        )
        if self.threshold is None:
            return text
        unsure = int((self.classification > 0.1).sum())
        return f"{text}; {unsure} change class in over 10 % of models at risk {self.threshold:.2f}"

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def _long(curves: Array, name: str, at: Array, value: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "replicate": np.repeat(np.arange(len(curves)) - 1, at.size),
            name: np.tile(at, len(curves)),
            value: curves.ravel(),
        }
    )


def measure_instability(
    apparent: Side,
    refits: Refits,
    *,
    threshold: float | None,
    seed: int | None,
    conf_level: float = 0.95,
) -> Instability:
    """Risks of the original patients by every refitted model, averaged over completed copies."""
    predictions = [
        average_copies(special.expit(chunk.test.lp), len(chunk.which)) for chunk in refits.chunks()
    ]
    return Instability(
        original=_frozen(special.expit(apparent.lp).mean(axis=0)),
        predictions=_frozen(np.concatenate(predictions)),
        y=_frozen(apparent.y),
        threshold=threshold,
        n_failed=int(refits.failed.sum()),
        seed=seed,
        conf_level=check_conf_level(conf_level),
    )


def _frozen(array: Array) -> Array:
    return np.asarray(read_only(array), dtype=Float)
