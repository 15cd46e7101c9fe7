"""The effect of the aid by experience of the readers, with the interaction."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._multiplicity import adjust_p
from usstats._readers.checks import check_labels, plain_label
from usstats._readers.groups import (
    PerReader,
    contrast_row,
    differences_of_readers,
    equality_test,
    group_means,
    mean_row,
)
from usstats._readers.obuchowski_rockette import Cells
from usstats._readers.plan import Plan
from usstats._readers.result import frame_of_rows, records
from usstats._readers.table import ReaderTable, sorted_labels
from usstats._readers.tables import condition_means
from usstats.errors import DesignError

Int = np.int64


def experience_of_readers(
    data: pd.DataFrame, column: str, table: ReaderTable
) -> dict[Hashable, Hashable]:
    """Group of each reader; every row of a reader must agree.

    Raises
    ------
    DesignError
    """
    check_labels(data[column], "experience")
    labels = data[column].to_numpy(dtype=object)
    groups: dict[Hashable, Hashable] = {}
    for j, reader in enumerate(table.readers):
        rows = np.sort(table.row[:, :, j][table.read[:, :, j]])
        own = labels[rows]
        differs = np.flatnonzero(own != own[0])
        if differs.size:
            other = int(differs[0])
            msg = (
                f"`experience` differs between rows of reader {reader!r}: {own[0]!r} at row "
                f"{rows[0]} and {own[other]!r} at row {rows[other]}. Experience describes the "
                "reader, not the reading."
            )
            raise DesignError(msg)
        groups[reader] = plain_label(own[0])
    return groups


def group_numbers(
    data: pd.DataFrame, column: str, groups: dict[Hashable, Hashable]
) -> tuple[tuple[Hashable, ...], NDArray[Int]]:
    """Groups in category or sorted order, and the number of each reader's group."""
    kind = data[column].dtype
    present = set(groups.values())
    if isinstance(kind, pd.CategoricalDtype):
        names = [level for level in map(plain_label, kind.categories) if level in present]
    else:
        found = list(present)
        names = [found[i] for i in sorted_labels(found)]
    return tuple(names), np.array([names.index(group) for group in groups.values()], dtype=Int)


def effect_by_group(
    cells: Cells,
    names: tuple[Hashable, ...],
    group: NDArray[Int],
    conditions: tuple[Hashable, ...],
    plan: Plan,
) -> pd.DataFrame:
    """Reader-averaged figures and their difference in each group, from that group's readers.

    Conditions are (aided, unaided); a group of one reader rests on the cases alone.
    """
    parts: list[dict[str, Any]] = []
    for g, name in enumerate(names):
        own = cells.part(np.isin(cells.reader, np.flatnonzero(group == g)))
        readers = "fixed" if own.n_reader == 1 else plan.readers
        means = condition_means(
            own,
            readers=readers,
            cases=plan.cases,
            conf_level=plan.conf_level,
            bounded=plan.metric.bounded,
        )
        means.insert(0, "condition", list(conditions))
        row = mean_row(differences_of_readers(own), plan)
        label = f"{conditions[0]} - {conditions[1]}"
        rows = [*records(means), {"condition": label, **row, "n_reader": own.n_reader}]
        parts += [{"group": name, **own_row} for own_row in rows]
    return frame_of_rows(parts)


def interactions(
    numbers: PerReader,
    names: tuple[Hashable, ...],
    group: NDArray[Int],
    plan: Plan,
    *,
    adjust: str = "holm",
) -> pd.DataFrame:
    """Differences between groups of one number a reader: first minus second group."""
    found = group_means(numbers, group, plan)
    rows = []
    for g in range(len(names)):
        for h in range(g + 1, len(names)):
            weights = np.zeros(len(names))
            weights[g], weights[h] = 1.0, -1.0
            labels = {"group_1": names[g], "group_2": names[h]}
            rows.append(labels | contrast_row(found, weights, plan.conf_level))
    frame = pd.DataFrame(rows)
    if rows:
        frame["p_adjusted"] = adjust_p(frame["p_value"].to_numpy(), adjust)
    return frame


def interaction_test(numbers: PerReader, group: NDArray[Int], plan: Plan) -> dict[str, float]:
    """All groups profit alike."""
    return equality_test(group_means(numbers, group, plan))
