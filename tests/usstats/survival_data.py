"""Censored data for the tests: small tables with ties, and cohorts with a known hazard."""

from __future__ import annotations

import numpy as np
import pandas as pd


def tied_table(n: int = 80, seed: int = 3) -> pd.DataFrame:
    """Days rounded so that many rows share a time; two covariates and a factor."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(40, 10, n)
    group = rng.choice(["a", "b", "c"], n)
    hazard = np.exp(0.7 * x - 0.02 * (z - 40) + 0.4 * (group == "c"))
    failure, end = rng.exponential(8 / hazard), rng.uniform(2, 16, n)
    return pd.DataFrame(
        {
            "days": np.ceil(np.minimum(failure, end)),
            "dead": (failure <= end).astype(int),
            "x": x,
            "z": z,
            "group": group,
            "patient_id": rng.integers(0, n // 2, n),
        }
    )


def cohort(n: int, seed: int, *, effect: float = 1.0, censoring: float = 2.0) -> pd.DataFrame:
    """Exponential times with hazard exp(effect x), exponentially censored; risk is by time 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    failure, end = rng.exponential(np.exp(-effect * x)), rng.exponential(censoring, n)
    return pd.DataFrame(
        {
            "time": np.minimum(failure, end),
            "event": (failure <= end).astype(int),
            "x": x,
            "risk": -np.expm1(-np.exp(effect * x)),
        }
    )
