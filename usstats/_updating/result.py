"""An updated model: a fit that says how it was updated, and what was tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from usstats._calibration.recalibration import Vector
from usstats.design import DesignSpec
from usstats.logistic import LogisticFit
from usstats.pooled_fit import PooledFit
from usstats.results import Estimate, unit_of_analysis

Fit = LogisticFit | PooledFit
IN_WORDS = {
    "none": "the original model was kept",
    "intercept": "the intercept was updated (recalibration in the large)",
    "slope": "intercept and slope were updated (logistic recalibration)",
    "refit": "all coefficients were re-estimated",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class UpdatedModel:
    """A model updated for new patients; it reads like a `LogisticFit`. Made by `update_model`.

    Attributes
    ----------
    method : str
        The update that was made: "none", "intercept", "slope" or "refit".
    model : LogisticFit
        The updated coefficients; what predictions, nomograms and files are made from.
    original : LogisticFit or PooledFit
    intercept, slope : Estimate
        Of lp_new = intercept + slope * lp_old; without limits where kept, NaN after a refit.
    significance : float
        Level of the closed test.
    requested : str
        The `method` asked for.
    shrinkage : float
        Heuristic shrinkage of the refit, (LR - df) / LR; NaN where there is none.
    n, n_event, n_cluster : int
        Of the data the model was updated with.
    """

    method: str
    model: LogisticFit
    original: Fit
    intercept: Estimate
    slope: Estimate
    significance: float
    requested: str
    shrinkage: float
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    _table: pd.DataFrame = field(repr=False)

    @property
    def params(self) -> pd.Series[float]:
        """Updated coefficients."""
        return self.model.params

    @property
    def covariance(self) -> pd.DataFrame:
        """Their covariance; see `update_model`."""
        return self.model.covariance

    @property
    def spec(self) -> DesignSpec:
        """The original design: terms, knots, levels and ranges."""
        return self.model.spec

    @property
    def log_likelihood(self) -> float:
        """Of the updated model in the data it was updated with."""
        return float(self._table.set_index("method")["log_likelihood"][self.method])

    def linear_predictor(self, data: pd.DataFrame) -> Vector:
        """Updated linear predictor (log odds) of new rows, shape (n,)."""
        return self.model.linear_predictor(data)

    def predict(self, data: pd.DataFrame) -> Vector:
        """Updated probability of the event for new rows, shape (n,)."""
        return self.model.predict(data)

    def predict_interval(self, data: pd.DataFrame, *, conf_level: float = 0.95) -> pd.DataFrame:
        """As `LogisticFit.predict_interval`, with the covariance of the updated coefficients."""
        return self.model.predict_interval(data, conf_level=conf_level)

    def coefficients(self, *, conf_level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient, as `LogisticFit.frame`."""
        return self.model.frame(conf_level=conf_level)

    def odds_ratios(self, per: str = "unit", *, conf_level: float = 0.95) -> pd.DataFrame:
        """As `LogisticFit.odds_ratios`."""
        return self.model.odds_ratios(per, conf_level=conf_level)

    def indices(self) -> pd.Series[float]:
        """Performance of the updated model in the data it was updated with (of the original
        model in its own, where it was kept)."""
        return self.model.indices()

    def frame(self) -> pd.DataFrame:
        """The closed test, one row a rung of the ladder.

        Columns: method, statistic, df, p_value (of the rung against the refit), log_likelihood in
        the new data, chosen, and the intercept and slope that the rung puts on the original linear
        predictor.
        """
        return self._table.copy()

    def summary(self) -> str:
        """What was done, why, and the tests."""
        rows = [
            f"  {row['method']} against refit: chi-square {row['statistic']:.2f}, df {row['df']}, "
            f"p = {row['p_value']:.3g}"
            for row in self._table.iloc[:-1].to_dict("records")
        ]
        estimates = [
            f"  {e.measure} {e.estimate:.3f} ({e.conf_low:.3f} to {e.conf_high:.3f})"
            for e in (self.intercept, self.slope)
            if np.isfinite(e.std_error)
        ]
        return "\n".join([repr(self)[1:-1], *estimates, *rows])

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster, row="row")
        how = "as asked" if self.requested != "auto" else f"closed test at {self.significance:g}"
        return (
            f"<UpdatedModel {self.spec.outcome}: {IN_WORDS[self.method]}, {how}; n = {self.n}, "
            f"events = {self.n_event}, unit: {unit}>"
        )

    def to_json(self, path: str | Path) -> None:
        """Write the updated model as a model file (read by `LogisticFit.from_json`)."""
        self.model.to_json(path)
