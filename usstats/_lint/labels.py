"""Outcome labels as events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from usstats._lint.parsing import plain_label

_NEGATIVE = {"0", "no", "false", "negative", "benign", "control", "normal", "healthy", "absent"}


def _stripped(value: Any) -> str | None:
    text = plain_label(value)
    return None if text is None else text.strip()


def as_events(labels: pd.Series[Any], positive: Any = None, negative: Any = None) -> pd.Series[Any]:
    """0/1 of a column of labels; NaN where neither label stands, all NaN where none can be told."""
    plain = pd.Series([_stripped(v) for v in labels], index=labels.index, dtype=object)
    known = list(plain.dropna().unique())
    if positive is None:
        others = [v for v in known if v.lower() in _NEGATIVE]
        if len(known) != 2 or len(others) != 1:
            return pd.Series(np.nan, index=labels.index)
        positive = next(v for v in known if v != others[0])
    wanted = plain_label(positive)
    other = {plain_label(negative)} if negative is not None else set(known) - {wanted}
    event = plain.map(lambda v: 1.0 if v == wanted else 0.0 if v in other else np.nan)
    return pd.Series(event.to_numpy(dtype=float), index=labels.index)
