"""How many events and non-events were given each risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

BINS = 20


def risk_histogram(y: ArrayLike, p: ArrayLike) -> pd.DataFrame:
    """Events and non-events in each twentieth of the risk scale.

    >>> risk_histogram([0, 1, 1], [0.01, 0.99, 1.0]).iloc[[0, -1]].values.tolist()
    [[0.0, 0.05, 0.0, 1.0], [0.95, 1.0, 2.0, 0.0]]
    """
    event, risk = np.asarray(y) == 1, np.asarray(p, dtype=float)
    edges = np.linspace(0, 1, BINS + 1)
    return pd.DataFrame(
        {
            "risk_low": edges[:-1],
            "risk_high": edges[1:],
            "n_event": np.histogram(risk[event], edges)[0],
            "n_nonevent": np.histogram(risk[~event], edges)[0],
        }
    )
