"""Checked follow-up and predictions, and one loop over models and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_cluster, check_finite, check_lengths, check_risk
from usstats._influence import bounded_interval, influence_se
from usstats._intervals import check_conf_level, wald_interval
from usstats._survival.censoring import FollowUp, censoring_curve, check_follow_up, check_horizons
from usstats._survival.ipcw import Weights, weights_at
from usstats._survival.time_dependent_result import TimeDependent
from usstats.errors import ArgumentError, PairingError

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]
Scores = ArrayLike | Mapping[str, ArrayLike]
Estimator = Callable[[Vector, Weights, float], tuple[float, Vector]]
Influences = dict[tuple[str, float], Vector]

_ORDER = ("measure", "model", "time", "estimate", "std_error", "conf_low", "conf_high")
_LAST = ("conf_level", "method", "n", "n_event", "n_at_risk", "n_cluster")


def predictions_at(
    given: Scores, n: int, times: tuple[float, ...], *, name: str, risk: bool
) -> dict[str, Matrix]:
    """Named predictions with a column for each time.

    Raises
    ------
    RiskError, PairingError, ArgumentError
    """
    named = given if isinstance(given, Mapping) else {"model": given}
    if not named:
        msg = f"`{name}` holds no model: pass an array, or a mapping such as {{'nomogram': array}}."
        raise ArgumentError(msg)
    return {
        str(key): _columns(values, n, times, str(key), risk=risk) for key, values in named.items()
    }


def _columns(
    given: ArrayLike, n: int, times: tuple[float, ...], name: str, *, risk: bool
) -> Matrix:
    values = np.asarray(given)
    if values.ndim == 1:
        values = values[:, None]
    m = len(times)
    if values.ndim != 2 or values.shape[1] not in (1, m) or (risk and values.shape[1] != m):
        msg = (
            f"`{name}` must hold one column for each of the {m} `times`, in their order; it has "
            f"shape {np.shape(given)}."
        )
        raise PairingError(msg)
    check = check_risk if risk else check_finite
    checked = [check(column, name=name) for column in values.T]
    check_lengths(time=np.empty(n), **{name: checked[0]})
    return np.column_stack(checked if len(checked) == m else checked * m)


@dataclass(frozen=True)
class Study:
    """Follow-up, times, patients and level of one call."""

    follow_up: FollowUp
    times: tuple[float, ...]
    cluster: NDArray[np.int64] | None
    conf_level: float

    @classmethod
    def of(
        cls,
        time: ArrayLike,
        event: ArrayLike,
        times: ArrayLike,
        cluster: ArrayLike | None,
        conf_level: float,
    ) -> Study:
        """Check what every measure shares.

        Raises
        ------
        OutcomeError, PairingError, ArgumentError
        """
        follow_up = check_follow_up(time, event, names=("time", "event"))
        at = check_horizons(times, follow_up.last)
        if np.unique(at).size < at.size:
            msg = f"`times` holds a time twice: {at.tolist()}."
            raise ArgumentError(msg)
        who = check_cluster(cluster, follow_up.n)
        return cls(follow_up, tuple(at.tolist()), who, check_conf_level(conf_level))

    def evaluate(
        self, named: Mapping[str, Matrix], estimate: Estimator, *, strict: bool
    ) -> tuple[list[dict[str, Any]], Influences]:
        """Estimate, standard error and limits of each model at each time, and influences."""
        G = censoring_curve(self.follow_up)
        weights = [weights_at(self.follow_up, G, t, strict=strict) for t in self.times]
        rows, influences = [], {}
        for name, columns in named.items():
            for t, w, column in zip(self.times, weights, columns.T, strict=True):
                value, influence = estimate(column, w, t)
                influences[name, t] = influence
                std_error = influence_se(influence / self.follow_up.n, self.cluster, centred=True)
                low, high = bounded_interval(value, std_error, self.conf_level)
                rows.append(
                    {
                        "model": name,
                        "time": t,
                        "estimate": value,
                        "std_error": std_error,
                        "conf_low": low,
                        "conf_high": high,
                        "conf_level": self.conf_level,
                        "n_event": int((w.case > 0).sum()),
                        "n_at_risk": int(w.control.sum()),
                    }
                )
        return rows, influences

    def scaled(
        self, row: Mapping[str, Any], influences: Influences, null: float, of_null: Influences
    ) -> dict[str, float]:
        """1 - Brier / null Brier, its standard error by the delta method, and limits."""
        t, estimate = row["time"], row["estimate"]
        if not null > 0:
            return {"null_brier": null, **dict.fromkeys(_SCALED, np.nan)}
        change = estimate * of_null["null", t] / null**2 - influences[row["model"], t] / null
        std_error = influence_se(change / self.follow_up.n, self.cluster, centred=True)
        low, high = wald_interval(1 - estimate / null, std_error, self.conf_level)
        values = (1 - estimate / null, std_error, float(low), min(float(high), 1.0))
        return {"null_brier": null, **dict(zip(_SCALED, values, strict=True))}

    def table(self, measure: str, rows: list[dict[str, Any]], method: str) -> pd.DataFrame:
        """Rows in the shared vocabulary."""
        frame = pd.DataFrame(rows).assign(measure=measure, method=method, n=self.follow_up.n)
        if self.cluster is not None:
            frame["n_cluster"] = int(self.cluster.max()) + 1
        between = [name for name in frame.columns if name not in (*_ORDER, *_LAST)]
        last = [name for name in _LAST if name in frame.columns]
        return frame[[*_ORDER, *between, *last]]

    def result(self, table: pd.DataFrame, influences: Influences) -> TimeDependent:
        """The frozen result."""
        return TimeDependent(
            measure=str(table["measure"].iloc[0]),
            models=tuple(table["model"].unique()),
            times=self.times,
            conf_level=self.conf_level,
            method=str(table["method"].iloc[0]),
            n=self.follow_up.n,
            n_event=int(self.follow_up.event.sum()),
            n_cluster=None if self.cluster is None else int(self.cluster.max()) + 1,
            _table=table,
            _influence=influences,
            _cluster=self.cluster,
        )


_SCALED = ("scaled_brier", "scaled_std_error", "scaled_conf_low", "scaled_conf_high")
