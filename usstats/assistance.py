"""What an aid does to readers: unaided against aided, within readers, on the same cases."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._readers.analysis import analyse
from usstats._readers.assistance_result import AssistanceEffect
from usstats._readers.checks import numbers
from usstats._readers.conditions import aided_and_unaided
from usstats._readers.decision_changes import decision_changes, operating_points
from usstats._readers.experience import (
    effect_by_group,
    experience_of_readers,
    group_numbers,
    interaction_test,
    interactions,
)
from usstats._readers.groups import differences_of_readers
from usstats._readers.obuchowski_rockette import Cells
from usstats._readers.order import ReadingOrder, order_effects, reading_order
from usstats._readers.plan import (
    Plan,
    as_decisions,
    cells_of,
    check_margin,
    load_readings,
    make_plan,
)
from usstats._readers.result import frame_of_rows, records
from usstats._readers.standalone import (
    StandaloneComparison,
    compare_standalone,
    compare_with_readers,
    system_of_cases,
)
from usstats._readers.table import ReaderTable, check_columns, with_columns
from usstats._readers.time import exponentiated, log_ratios, log_times, time_table

__all__ = [
    "AssistanceEffect",
    "ReadingOrder",
    "StandaloneComparison",
    "assistance_effect",
    "compare_standalone",
]

Float = np.float64
Int = np.int64


def assistance_effect(
    data: pd.DataFrame,
    *,
    truth: str,
    case: str,
    reader: str,
    condition: str,
    rating: str,
    experience: str | Mapping[Any, Any] | None = None,
    reading_time: str | None = None,
    order: str | None = None,
    margin: float | None = None,
    session: str | None = None,
    washout: str | float | None = None,
    reading: str | None = None,
    conditions: tuple[Hashable, Hashable] | None = None,
    decision: str | None = None,
    threshold: float | None = None,
    standalone: str | Mapping[Any, float] | pd.Series[Any] | None = None,
    standalone_threshold: float | None = None,
    method: str = "obuchowski-rockette",
    covariance: str = "delong",
    readers: str = "random",
    cases: str = "random",
    metric: str = "auc",
    cluster: str | ArrayLike | None = None,
    specificity: tuple[float, float] | None = None,
    sensitivity: tuple[float, float] | None = None,
    corrected: bool = False,
    adjust: str = "holm",
    conf_level: float = 0.95,
) -> AssistanceEffect:
    """Effect of an aid on readers who read the same cases without and with it.

    All differences are aided minus unaided; readers and cases are random unless said otherwise.

    Parameters
    ----------
    data : DataFrame
        One row a reading, as in `reader_study`.
    truth, case, reader, condition, rating : str
        Columns. Conditions are "unaided" and "aided" (or 0 and 1, False and True); other names
        are declared in `conditions`.
    experience : str or mapping, optional
        Column with each reader's group, or reader -> group. The groups are compared by the
        interaction, that is by the difference of their differences, never by two p values.
    reading_time : str, optional
        Column of positive times; empty where none was taken. Analysed paired, on the log scale.
    order, session : str, optional
        Columns that tell which reading of a case came first: a period (1, 2), a date, the position
        in the session (with `session`, which goes first), or the name of the sequence ("unaided
        first"). Where both orders occur, period and carry-over are tested.
    margin : float, optional
        Non-inferiority: H0 aided - unaided <= -margin.
    washout : str or float, optional
        Days between the two readings, or a column of them.
    reading : {"crossed", "sequential", "independent"}, optional
        The design, where it is to be stated rather than read off `order` and `washout`.
    conditions : (unaided, aided), optional
        Labels; readings under other conditions are left out.
    decision : str, optional
        Column of decisions 0/1. By default rating >= threshold, or the ratings that are 0/1.
    threshold, standalone_threshold : float, optional
        Of the ratings, and of the standalone system.
    standalone : str, mapping or Series, optional
        Column with the rating of the aid itself, one value a case, or case -> rating: it is
        compared with the readers' average in both conditions (`compare_standalone`).
    method, covariance, readers, cases, metric, cluster, adjust, conf_level
        As in `reader_study`; `adjust` is over the pairs of experience groups.
    specificity, sensitivity, corrected
        Range of a partial AUC.

    Returns
    -------
    AssistanceEffect

    Raises
    ------
    DesignError, PairingError, OutcomeError, RiskError, ArgumentError

    Warns
    -----
    CarryOverWarning
        The aided reading always came second and no washout is given.
    SmallSampleWarning

    Notes
    -----
    With D_j the difference of reader j, the variance of a group's mean is MS/J + C: MS the mean
    square between readers, C = max(mean covariance over cases of two readers' D, 0), df by
    Satterthwaite with only MS uncertain (Hillis 2007). The interaction pools MS within groups and
    takes C_gg + C_hh - 2 C_gh. Decisions and log times are means over cases in the same analysis.

    References
    ----------
    Obuchowski and Rockette (1995), Commun Stat Simul Comput 24:285. Hillis (2007), Stat Med
    26:596. Jones and Kenward (2014), Design and Analysis of Cross-Over Trials, ch. 2.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> grid = pd.MultiIndex.from_product([range(40), list("ABCD"), ["unaided", "aided"]],
    ...                                   names=["case", "reader", "condition"])
    >>> data = grid.to_frame(index=False).assign(truth=lambda d: d["case"] % 2)
    >>> data["experience"] = np.where(data["reader"].isin(["A", "B"]), "expert", "junior")
    >>> gain = 1.0 + (data["condition"] == "aided") * (data["experience"] == "junior")
    >>> data["rating"] = gain * data["truth"] + rng.normal(size=len(data))
    >>> effect = assistance_effect(data, truth="truth", case="case", reader="reader",
    ...     condition="condition", rating="rating", experience="experience")
    >>> effect
    <effect of the aid on auc: 0.121 (-0.182 to 0.423), p = 0.308; 4 readers (random), ...>
    >>> effect.interaction[["group_1", "group_2"]].values.tolist()
    [['expert', 'junior']]
    """
    check_option(method, ("obuchowski-rockette",), name="method")
    check_margin(margin)
    plan = make_plan(
        metric=metric,
        covariance=covariance,
        readers=readers,
        cases=cases,
        conf_level=conf_level,
        specificity=specificity,
        sensitivity=sensitivity,
        corrected=corrected,
    )
    roles = {
        "truth": truth,
        "case": case,
        "reader": reader,
        "condition": condition,
        "rating": rating,
        "cluster": cluster,
        "experience": experience,
        "reading_time": reading_time,
        "order": order,
        "session": session,
        "washout": washout if isinstance(washout, str) else None,
        "decision": decision,
        "standalone": standalone,
    }
    data, given = with_columns(data, roles, {"experience": "reader", "standalone": "case"})
    table = _load(data, given, plan, threshold, conditions)
    study = analyse(table, plan, pairs=[(0, 1)], adjust="none", margin=margin)
    plan = plan.with_readers(study.readers)
    found, aided_first = reading_order(
        data, table, order=order, session=session, washout=washout, reading=reading
    )
    calls = _calls(data, given, table, threshold)
    groups = None
    if experience is not None:
        groups = experience_of_readers(data, given["experience"], table)
    alone = None
    if standalone is not None:
        system = system_of_cases(data, given, table, plan.metric, standalone_threshold)
        alone = compare_with_readers(table, system, plan, None)
    return AssistanceEffect(
        study=study,
        readers=_readers(study.reader_means, study.reader_differences, table, groups),
        order=found,
        order_effects=order_effects(table, aided_first, plan, found),
        **_by_experience(data, given, groups, cells_of(table, plan), table, plan, adjust),
        decisions=pd.DataFrame() if calls is None else decision_changes(calls, plan),
        operating_points=pd.DataFrame() if calls is None else operating_points(calls, groups),
        standalone=alone,
    )


def _load(
    data: pd.DataFrame,
    columns: Mapping[str, str],
    plan: Plan,
    threshold: float | None,
    conditions: tuple[Hashable, Hashable] | None,
) -> ReaderTable:
    """Readings (aided, unaided) on the metric's scale; decisions where it needs decisions."""
    check_columns(data, columns)
    used = {role: name for role, name in columns.items() if role != "decision"}
    if plan.metric.two_sample:
        threshold = None
    elif threshold is None and "decision" in columns:
        used["rating"] = columns["decision"]
    return aided_and_unaided(load_readings(data, used, threshold, plan.metric), conditions)


def _calls(
    data: pd.DataFrame, columns: Mapping[str, str], table: ReaderTable, threshold: float | None
) -> ReaderTable | None:
    """Decisions 0/1 of every reading, where the file has any."""
    if "decision" in columns:
        return table.with_ratings(
            table.spread(as_decisions(numbers(data, columns, "decision"), None, name="decision"))
        )
    ratings = numbers(data, columns, "rating", infinite=True)
    if threshold is None and not np.isin(ratings, (0.0, 1.0)).all():
        return None
    return table.with_ratings(table.spread(as_decisions(ratings, threshold)))


def _readers(
    means: pd.DataFrame,
    differences: pd.DataFrame,
    table: ReaderTable,
    groups: dict[Hashable, Hashable] | None,
) -> pd.DataFrame:
    """One row a reader: both figures, the difference, and whether the aid did harm."""
    frame = differences.drop(columns=["condition_1", "condition_2"])
    for position, (name, label) in enumerate(
        zip(("aided", "unaided"), table.conditions, strict=True), start=1
    ):
        own = means[means["condition"] == label].set_index("reader")["estimate"]
        frame.insert(position, name, own.loc[list(frame["reader"])].to_numpy())
    if groups is not None:
        frame.insert(1, "group", [groups[reader] for reader in frame["reader"]])
    return frame.assign(harmed=frame["estimate"] < 0, harmed_beyond_chance=frame["conf_high"] < 0)


def _by_experience(
    data: pd.DataFrame,
    columns: Mapping[str, str],
    groups: dict[Hashable, Hashable] | None,
    cells: Cells,
    table: ReaderTable,
    plan: Plan,
    adjust: str,
) -> dict[str, Any]:
    """Effects on figures and times in each group, and their interactions."""
    times = log_times(data, columns, table) if "reading_time" in columns else None
    tables: dict[str, Any] = {
        "by_experience": pd.DataFrame(),
        "interaction": pd.DataFrame(),
        "interaction_test": None,
        "reading_time": pd.DataFrame() if times is None else time_table(times, table, plan),
        "reading_time_interaction": pd.DataFrame(),
    }
    if groups is None:
        return tables
    names, number = group_numbers(data, columns["experience"], groups)
    differences = differences_of_readers(cells)
    tables["by_experience"] = effect_by_group(cells, names, number, table.conditions, plan)
    if len(names) > 1:
        tables["interaction"] = interactions(differences, names, number, plan, adjust=adjust)
        tables["interaction_test"] = interaction_test(differences, number, plan)
    if times is not None:
        tables |= _times_by_group(times, table, names, number, plan, adjust, tables["reading_time"])
    return tables


def _times_by_group(
    times: NDArray[Float],
    table: ReaderTable,
    names: tuple[Hashable, ...],
    number: NDArray[Int],
    plan: Plan,
    adjust: str,
    overall: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    rows: list[dict[str, Any]] = [{"group": None, **row} for row in records(overall)]
    for g, name in enumerate(names):
        chosen = number == g
        own = plan if chosen.sum() > 1 else plan.with_readers("fixed")
        part = time_table(times[:, :, chosen], table.of_readers(chosen), own)
        rows += [{"group": name, **row} for row in records(part)]
    tables = {"reading_time": frame_of_rows(rows)}
    if len(names) > 1:
        found = interactions(log_ratios(times, table), names, number, plan, adjust=adjust)
        ratios = [exponentiated(row) for row in records(found)]
        tables["reading_time_interaction"] = pd.DataFrame(ratios)
    return tables
