"""What a careful user writes today where no package does the whole work."""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm
from sklearn.metrics import brier_score_loss, roc_auc_score


def refits(X: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A model of each resample."""
    return np.array([sm.Logit(y[drawn], X[drawn]).fit(disp=0).params for drawn in rows])


def optimism(X: np.ndarray, y: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Harrell's optimism of AUC, Brier score, intercept and slope."""
    found = []
    for drawn in rows:
        fit = sm.Logit(y[drawn], X[drawn]).fit(disp=0)
        training, test = fit.predict(X[drawn]), fit.predict(X)
        line = sm.Logit(y, sm.add_constant(X @ fit.params)).fit(disp=0).params
        found.append(
            {
                "auc": roc_auc_score(y[drawn], training) - roc_auc_score(y, test),
                "brier": brier_score_loss(y[drawn], training) - brier_score_loss(y, test),
                "calibration_intercept": 0 - line[0],
                "calibration_slope": 1 - line[1],
            }
        )
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}
