"""The simulated tables of the races."""

from __future__ import annotations

import numpy as np
import pandas as pd

THRESHOLDS = np.arange(1, 100) / 100


def scores(n: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An outcome and two scores without ties."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return y, rng.normal(y, 1.0), rng.normal(0.8 * y, 1.0)


def risks(n: int, *, seed: int = 3) -> pd.DataFrame:
    """An outcome y and three calibrated or noisy risks a, b, c."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.random((n, 3)), columns=list("abc"))
    return table.assign(y=(rng.random(n) < table["a"]).astype(int))


def follow_up(n: int, *, seed: int = 6) -> pd.DataFrame:
    """Censored follow-up in years, and three risks at one year and a half."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    event_time = rng.exponential(4.0 * np.exp(-x[:, 0]))
    censoring = rng.uniform(1.0, 8.0, n)
    table = pd.DataFrame(1 / (1 + np.exp(1.0 - x)), columns=list("abc"))
    table["time"] = np.minimum(event_time, censoring)
    table["event"] = (event_time <= censoring).astype(int)
    return table


def cohort(n: int, n_columns: int, *, seed: int = 4) -> pd.DataFrame:
    """An outcome that depends on the first of several standard normal covariates."""
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(n_columns)]
    table = pd.DataFrame(rng.normal(size=(n, n_columns)), columns=names)
    return table.assign(y=(rng.random(n) < 1 / (1 + np.exp(-table["x0"]))).astype(int))


def clinic(n: int = 500, *, seed: int = 0) -> pd.DataFrame:
    """Ten numbers and ten factors of three levels, in two groups."""
    rng = np.random.default_rng(seed)
    numbers = {f"x{i}": rng.normal(size=n) for i in range(10)}
    levels = {f"c{i}": rng.choice(list("abc"), n) for i in range(10)}
    return pd.DataFrame(numbers | levels | {"g": rng.integers(0, 2, n)})


def formula(table: pd.DataFrame) -> str:
    return "y ~ " + " + ".join(name for name in table if name != "y")


def resamples(n: int, n_boot: int, *, seed: int = 4) -> np.ndarray:
    """Row numbers of plain bootstrap resamples."""
    return np.random.default_rng(seed).integers(0, n, (n_boot, n))
