"""Missing values: complete a table m times, fit m times, pool by Rubin's rules.

`usstats.imputing` draws the values, `usstats.pooling` holds the rules, `usstats.pooled_fit` the
pooled logistic model.
"""

from __future__ import annotations

from usstats.imputing import Imputations, impute, missing_map, missing_patterns
from usstats.pooled_fit import PooledFit, fit_imputed, pool
from usstats.pooling import PooledEstimates, PooledTest, pool_estimates

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
