"""A fixed system, such as an AI alone, against many readers of the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._readers.checks import numbers
from usstats._readers.covariance import estimate_figures
from usstats._readers.groups import PerReader, mean_row
from usstats._readers.metrics import Metric
from usstats._readers.obuchowski_rockette import t_tail, wald_row
from usstats._readers.plan import (
    Plan,
    as_decisions,
    check_margin,
    load_readings,
    make_plan,
    missing_for_delong,
)
from usstats._readers.result import stacked
from usstats._readers.table import ReaderTable, with_columns
from usstats.errors import PairingError
from usstats.results import unit_of_analysis

Float = np.float64


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StandaloneComparison:
    """A fixed system minus the readers' average.

    Attributes
    ----------
    table : DataFrame
        One row a condition: condition, standalone, reader_averaged, estimate (standalone minus
        readers), std_error, conf_low, conf_high, statistic, df, p_value, n_reader, and with a
        margin p_noninferior and noninferior.
    readers : DataFrame
        The same for each reader, against the variance over cases.
    metric, method : str
    conf_level : float
    n, n_event : int
    n_cluster : int or None
    """

    table: pd.DataFrame
    readers: pd.DataFrame
    metric: str
    method: str
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """The comparison with the average (reader None), then with each reader."""
        frame = stacked([self.table, self.readers]).assign(
            measure="standalone_difference",
            conf_level=self.conf_level,
            method=self.method,
            n=self.n,
            n_event=self.n_event,
        )
        if self.n_cluster is not None:
            frame["n_cluster"] = self.n_cluster
        first = ["measure", "condition", "reader"]
        return frame[[*first, *(name for name in frame if name not in first)]]

    def summary(self) -> str:
        """One line a condition."""
        lines = [
            f"{row['condition']}: standalone {row['standalone']:.3f}, readers "
            f"{row['reader_averaged']:.3f}, difference {row['estimate']:.3f} "
            f"({row['conf_low']:.3f} to {row['conf_high']:.3f}), p = {row['p_value']:.3g}"
            for row in self.table.to_dict("records")
        ]
        return "\n".join([repr(self)[1:-1], *lines])

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        readers = int(self.table["n_reader"].max())
        return (
            f"<standalone {self.metric} against {readers} readers: {self.method}, "
            f"{self.conf_level * 100:g} % intervals; n = {self.n}, events = {self.n_event}, "
            f"unit: {unit}>"
        )


def compare_standalone(
    data: pd.DataFrame,
    *,
    truth: str,
    case: str,
    reader: str,
    rating: str,
    standalone: str | Mapping[Any, float] | pd.Series[Any],
    condition: str | None = None,
    metric: str = "auc",
    threshold: float | None = None,
    standalone_threshold: float | None = None,
    covariance: str = "delong",
    readers: str = "random",
    cases: str = "random",
    cluster: str | ArrayLike | None = None,
    margin: float | None = None,
    conf_level: float = 0.95,
) -> StandaloneComparison:
    """Compare a fixed system (an AI alone) with the average of many readers on the same cases.

    The null hypothesis is that readers like these are on average as good as the system. The
    system is the same for everybody, so it adds no variance between readers, only over cases.

    Parameters
    ----------
    data : DataFrame
        One row a reading.
    truth, case, reader, rating : str
        Columns, as in `reader_study`.
    standalone : str, mapping or Series
        Column with the system's score (or decision), one value a case, or case -> score.
    condition : str, optional
        The system is compared with the readers in each condition.
    metric : {"auc", "sensitivity", "specificity"}
    threshold, standalone_threshold : float, optional
        Of the ratings and of the system, for sensitivity and specificity; not needed for
        decisions 0/1.
    covariance, readers, cases, cluster, conf_level
        As in `reader_study`.
    margin : float, optional
        Non-inferiority of the system: H0 system - readers <= -margin.

    Returns
    -------
    StandaloneComparison
        Differences are standalone minus readers.

    Raises
    ------
    DesignError, PairingError, OutcomeError, RiskError, ArgumentError

    References
    ----------
    Hillis (2007), Stat Med 26:596, for one treatment against a constant, with the differences
    from the system in the place of the figures. R: RJafroc::StSignificanceTestingCadVsRad
    ("1T-RRRC").

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> grid = pd.MultiIndex.from_product([range(60), list("ABCDE")], names=["case", "reader"])
    >>> data = grid.to_frame(index=False).assign(truth=lambda d: d["case"] % 2)
    >>> data["rating"] = data["truth"] + rng.normal(size=len(data))
    >>> data["ai"] = 2 * data["truth"] + rng.normal(size=60)[data["case"]]
    >>> found = compare_standalone(data, truth="truth", case="case", reader="reader",
    ...                            rating="rating", standalone="ai")
    >>> found.table[["standalone", "reader_averaged"]].round(2).values.tolist()
    [[0.9..., 0.7...]]
    """
    check_margin(margin)
    check_option(metric, ("auc", "sensitivity", "specificity"), name="metric")
    plan = make_plan(
        metric=metric, covariance=covariance, readers=readers, cases=cases, conf_level=conf_level
    )
    if condition is None and isinstance(data, pd.DataFrame):
        condition = "readers, all" + "_" * max(len(str(name)) for name in data.columns)
        data = data.assign(**{condition: "readers"})
    roles = {
        "truth": truth,
        "case": case,
        "reader": reader,
        "condition": condition,
        "rating": rating,
        "standalone": standalone,
        "cluster": cluster,
    }
    data, given = with_columns(data, roles, {"standalone": "case"})
    table = load_readings(data, given, threshold, plan.metric)
    system = system_of_cases(data, given, table, plan.metric, standalone_threshold)
    return compare_with_readers(table, system, plan, margin)


def compare_with_readers(
    table: ReaderTable, system: NDArray[Float], plan: Plan, margin: float | None
) -> StandaloneComparison:
    """One-sample Obuchowski-Rockette test of the differences from a fixed system.

    Parameters
    ----------
    table : ReaderTable
    system : ndarray, shape (n,)
        The system's value for each case, on the metric's scale (score, or call 0/1).
    """
    missing_for_delong(table, plan)
    averages, single = [], []
    for i, condition in enumerate(table.conditions):
        present = np.flatnonzero(table.read[:, i, :].any(axis=0))
        distances, alone = _distances(table, i, present, system, plan)
        row = mean_row(distances, plan)
        shown = {
            "condition": condition,
            "standalone": float(alone.mean()),
            "reader_averaged": float((alone - distances.values).mean()),
        }
        extra = {"n_reader": len(present)} | ({} if margin is None else _margin(row, margin))
        averages.append(shown | row | extra)
        for k, j in enumerate(present):
            labels = {"condition": condition, "reader": table.readers[j]}
            levels = {
                "standalone": float(alone[k]),
                "reader_averaged": float(alone[k] - distances.values[k]),
            }
            variance = float(distances.covariance[k, k])
            own = wald_row(float(distances.values[k]), variance, np.inf, plan.conf_level)
            single.append(labels | levels | own)
    return StandaloneComparison(
        table=pd.DataFrame(averages),
        readers=pd.DataFrame(single),
        metric=plan.metric.name,
        method=(
            f"one-sample Obuchowski-Rockette, {plan.covariance} covariance, {plan.readers} "
            f"readers, {plan.cases} cases"
        ),
        conf_level=plan.conf_level,
        n=len(table.cases),
        n_event=int(table.event.sum()),
        n_cluster=table.n_cluster,
    )


def _distances(
    table: ReaderTable, i: int, present: NDArray[np.int64], system: NDArray[Float], plan: Plan
) -> tuple[PerReader, NDArray[Float]]:
    """System minus each reader on the cases of that reader, and the system's own figures."""
    ratings = table.ratings[:, i, present]
    read = table.read[:, i, present]
    both = np.hstack([np.where(read, system[:, None], np.nan), ratings])
    found = estimate_figures(
        both, table.event, plan.metric, covariance=plan.covariance, cluster=table.cluster
    )
    J = len(present)
    L = np.hstack([np.eye(J), -np.eye(J)])
    distances = PerReader(values=L @ found.theta, covariance=L @ found.covariance @ L.T)
    return distances, found.theta[:J]


def _margin(row: dict[str, float], margin: float) -> dict[str, float | bool]:
    """One-sided test of H0: system - readers <= -margin."""
    t = (row["estimate"] + margin) / row["std_error"]
    return {
        "margin": margin,
        "p_noninferior": t_tail(row["df"], t),
        "noninferior": row["conf_low"] > -margin,
    }


def system_of_cases(
    data: pd.DataFrame,
    columns: Mapping[str, str],
    table: ReaderTable,
    metric: Metric,
    threshold: float | None,
) -> NDArray[Float]:
    """The system's value of each case on the metric's scale; every row of a case must agree.

    Raises
    ------
    RiskError, PairingError
    """
    values = numbers(data, columns, "standalone")
    spread = np.where(table.read, table.spread(values), np.nan).reshape(len(table.cases), -1)
    low, high = np.nanmin(spread, axis=1), np.nanmax(spread, axis=1)
    if (low != high).any():
        _refuse_change(table, values, int(np.flatnonzero(low != high)[0]))
    if metric.two_sample:
        return np.asarray(low)
    return as_decisions(low, threshold, name="standalone", hint="standalone_threshold")


def _refuse_change(table: ReaderTable, values: NDArray[Float], case: int) -> None:
    rows = np.sort(table.row[case][table.read[case]])
    other = int(rows[values[rows] != values[rows[0]]][0])
    msg = (
        f"`standalone` differs between rows of case {table.cases[case]!r}: {values[rows[0]]:g} at "
        f"row {rows[0]} and {values[other]:g} at row {other}. A fixed system has one value a case."
    )
    raise PairingError(msg)
