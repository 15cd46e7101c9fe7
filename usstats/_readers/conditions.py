"""Which of two conditions is the aided one."""

from __future__ import annotations

from collections.abc import Hashable

from usstats._readers.table import ReaderTable
from usstats.errors import ArgumentError, DesignError

#: (unaided, aided), as they are commonly written; compared without case.
_KNOWN = (("unaided", "aided"), ("without ai", "with ai"), ("without", "with"), ("0", "1"))


def aided_and_unaided(
    table: ReaderTable, conditions: tuple[Hashable, Hashable] | None
) -> ReaderTable:
    """The table with its conditions in the order (aided, unaided).

    Raises
    ------
    ArgumentError
        `conditions` is no pair of labels.
    DesignError
        Labels that are not known, or readers who read in one of the conditions only.
    """
    unaided, aided = _labels(table) if conditions is None else _declared(table, conditions)
    found = table.of_conditions([aided, unaided])
    lacking = ~found.read.any(axis=0).all(axis=0)
    if lacking.any():
        j = int(lacking.argmax())
        msg = (
            f"{int(lacking.sum())} readers read in one of the two conditions only (first: "
            f"{table.readers[j]!r}, row {int(table.row[:, :, j][table.read[:, :, j]].min())}). The "
            "effect of an aid is a difference within readers; use `reader_study` for readers "
            "nested in conditions."
        )
        raise DesignError(msg)
    return found


def _declared(table: ReaderTable, conditions: tuple[Hashable, Hashable]) -> tuple[int, int]:
    pair = list(conditions) if isinstance(conditions, tuple | list) else []
    if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(table.conditions):
        found = ", ".join(map(repr, table.conditions))
        msg = f"`conditions` must be (unaided, aided) out of {found}; got {conditions!r}."
        raise ArgumentError(msg)
    return table.conditions.index(pair[0]), table.conditions.index(pair[1])


def _labels(table: ReaderTable) -> tuple[int, int]:
    texts = [_text(label) for label in table.conditions]
    for pair in _KNOWN:
        if sorted(pair) == sorted(texts):
            return texts.index(pair[0]), texts.index(pair[1])
    rows = [int(table.row[:, i][table.read[:, i]].min()) for i in range(len(texts))]
    found = ", ".join(
        f"{label!r} (first at row {row})" for label, row in zip(table.conditions, rows, strict=True)
    )
    msg = (
        f"`condition` must hold 'unaided' and 'aided'; it holds {found}. Declare other names as "
        "conditions=(unaided, aided)."
    )
    raise DesignError(msg)


def _text(label: Hashable) -> str:
    if isinstance(label, bool | int | float):
        return f"{float(label):g}"
    return " ".join(str(label).lower().split())
