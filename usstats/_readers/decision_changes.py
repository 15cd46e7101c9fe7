"""Decisions that the aid changed for better and for worse, and operating points of readers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._readers.groups import figures_of_readers, mean_row
from usstats._readers.metrics import mean_of
from usstats._readers.plan import Plan
from usstats._readers.table import ReaderTable
from usstats.proportions import wilson

Float = np.float64


def decision_changes(calls: ReaderTable, plan: Plan) -> pd.DataFrame:
    """Shares of readings changed for better, for worse, and net, by truth.

    Parameters
    ----------
    calls : ReaderTable
        Decisions 0/1; conditions (aided, unaided).
    plan : Plan

    Returns
    -------
    DataFrame
        truth ("event", "non-event"), change ("better", "worse", "net"), n_changed (readings),
        n_readings, estimate (mean over readers of the share of cases), interval; the net change
        is the difference of sensitivity (specificity). Where nothing changed the interval of a
        share is Wilson's for 0 of the patients.
    """
    paired = calls.read.all(axis=1)
    aided, unaided = (np.where(paired, calls.ratings[:, i, :], np.nan) for i in range(2))
    rows = []
    for value, truth in ((1, "event"), (0, "non-event")):
        if not (calls.event == bool(value)).any():
            continue
        gain = (aided - unaided) if value else (unaided - aided)
        for change, found in {"better": gain > 0, "worse": gain < 0, "net": gain}.items():
            share = np.where(paired, found, np.nan)
            row = _row(share, value, calls, plan, net=change == "net")
            rows.append({"truth": truth, "change": change} | row)
    return pd.DataFrame(rows)


def _row(
    share: NDArray[Float], value: int, calls: ReaderTable, plan: Plan, *, net: bool
) -> dict[str, Any]:
    own = share[calls.event == bool(value)]
    counts = {"n_changed": int(np.nansum(own)), "n_readings": int(np.isfinite(own).sum())}
    if (own[np.isfinite(own)] == 0).all():
        return counts | _nothing_changed(value, calls, plan, net=net)
    metric = mean_of("share of changed decisions", classes=(value,))
    numbers = figures_of_readers(share, calls.event, metric, calls.cluster)
    return counts | mean_row(numbers, plan, test=net, bounded=not net)


def _nothing_changed(value: int, calls: ReaderTable, plan: Plan, *, net: bool) -> dict[str, Any]:
    """Wilson's interval of 0 of the patients, as if all readers were one."""
    chosen = calls.event == bool(value)
    n = int(chosen.sum()) if calls.cluster is None else len(np.unique(calls.cluster[chosen]))
    high = wilson(0, n, conf_level=plan.conf_level).high
    limits = {"conf_low": -high if net else 0.0, "conf_high": high}
    return {"estimate": 0.0, "std_error": np.nan} | limits


def operating_points(calls: ReaderTable, group: dict[Hashable, Hashable] | None) -> pd.DataFrame:
    """Sensitivity and specificity of every reader in every condition."""
    rows = []
    for i, condition in enumerate(calls.conditions):
        for j, reader in enumerate(calls.readers):
            call, read = calls.ratings[:, i, j], calls.read[:, i, j]
            rows.append(
                {
                    "reader": reader,
                    "condition": condition,
                    "group": None if group is None else group[reader],
                    "sensitivity": _share(call[read & calls.event] == 1),
                    "specificity": _share(call[read & ~calls.event] == 0),
                    "n": int(read.sum()),
                    "n_event": int((read & calls.event).sum()),
                }
            )
    frame = pd.DataFrame(rows)
    return frame.drop(columns="group") if group is None else frame


def _share(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if right.size else np.nan
