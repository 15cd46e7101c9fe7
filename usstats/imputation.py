"""Missing values: complete a table m times, fit m times, pool by Rubin's rules.

`usstats._imputing` draws the values and holds the rules, `usstats.pooled_fit` the
pooled logistic model.
"""

from __future__ import annotations

from usstats._imputing.rubin import PooledEstimates, PooledTest, pool_estimates
from usstats._imputing.tables import Imputations, impute, missing_map, missing_patterns
from usstats.pooled_fit import PooledFit, fit_imputed, pool

__all__ = [
    "Imputations",
    "PooledEstimates",
    "PooledFit",
    "PooledTest",
    "fit_imputed",
    "impute",
    "missing_map",
    "missing_patterns",
    "pool",
    "pool_estimates",
]
