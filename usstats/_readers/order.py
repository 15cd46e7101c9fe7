"""Which condition was read first, with what washout, and whether the order left a trace."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_option
from usstats._numbers import as_numbers
from usstats._readers.checks import plain_label
from usstats._readers.covariance import estimate_figures
from usstats._readers.groups import combine, contrast_row, group_means, mean_row
from usstats._readers.obuchowski_rockette import Cells
from usstats._readers.plan import Plan
from usstats._readers.table import ReaderTable
from usstats.errors import (
    ArgumentError,
    CarryOverWarning,
    DesignError,
    SmallSampleWarning,
)

Float = np.float64
Int = np.int64
_TERMS = ("period", "sequence (carry-over)", "difference adjusted for period")
READINGS = ("crossed", "sequential", "independent")


@dataclass(frozen=True, kw_only=True)
class ReadingOrder:
    """How the two readings of a case followed each other.

    Attributes
    ----------
    reading : {"crossed", "sequential", "independent"} or None
        Counterbalanced order; aided at once after unaided; one order with a washout between. None
        where no order was recorded.
    sequences : {"within readers", "between readers", "one", "unknown"}
        Where both orders occur.
    n_unaided_first, n_aided_first : int
        Pairs of readings (one reader, one case).
    washout : float or None
        Days between the readings.
    """

    reading: str | None
    sequences: str
    n_unaided_first: int
    n_aided_first: int
    washout: float | None

    @property
    def confounded(self) -> bool:
        """Every aided reading came second, and nothing kept the first one from memory."""
        always_second = self.n_unaided_first > 0 and self.n_aided_first == 0
        return (always_second or self.reading == "sequential") and not self.washout

    def summary(self) -> str:
        """One line."""
        washout = "no washout given" if self.washout is None else f"washout {self.washout:g} days"
        if self.sequences == "unknown":
            return f"order of reading not recorded, {washout}"
        total = self.n_unaided_first + self.n_aided_first
        return (
            f"{self.reading} reading: unaided first in {self.n_unaided_first} of {total} pairs "
            f"of readings, {washout}"
        )


def reading_order(
    data: pd.DataFrame,
    table: ReaderTable,
    *,
    order: str | None,
    session: str | None,
    washout: str | float | None,
    reading: str | None,
) -> tuple[ReadingOrder, NDArray[np.bool_] | None]:
    """The order of reading, and for each (case, reader) whether the aided reading came first.

    Conditions of `table` are (aided, unaided).

    Raises
    ------
    ArgumentError, DesignError

    Warns
    -----
    CarryOverWarning
    """
    if reading is not None:
        check_option(reading, READINGS, name="reading")
    days = _washout_days(data, washout)
    if order is None and session is None:
        found = ReadingOrder(
            reading=reading,
            sequences="unknown",
            n_unaided_first=0,
            n_aided_first=0,
            washout=days,
        )
        _warn_of_memory(found)
        return found, None
    aided_first = _aided_first(data, table, [name for name in (session, order) if name])
    paired: NDArray[np.bool_] = np.asarray(table.read.all(axis=1))
    found = ReadingOrder(
        reading=reading or _kind(aided_first[paired], days),
        sequences=_where_both(aided_first, paired),
        n_unaided_first=int((paired & ~aided_first).sum()),
        n_aided_first=int((paired & aided_first).sum()),
        washout=days,
    )
    _check_declared(found)
    _warn_of_memory(found)
    return found, aided_first


def _kind(aided_first: NDArray[np.bool_], days: float | None) -> str:
    if aided_first.any() and not aided_first.all():
        return "crossed"
    return "independent" if days or aided_first.all() else "sequential"


def _where_both(aided_first: NDArray[np.bool_], paired: NDArray[np.bool_]) -> str:
    has_aided, has_unaided = (
        (paired & aided_first).any(axis=0),
        (paired & ~aided_first).any(axis=0),
    )
    if (has_aided & has_unaided).any():
        return "within readers"
    return "between readers" if has_aided.any() and has_unaided.any() else "one"


def _check_declared(found: ReadingOrder) -> None:
    if found.reading == "sequential" and found.n_aided_first:
        msg = (
            f"reading='sequential' means that every aided reading follows the unaided one; in "
            f"{found.n_aided_first} pairs of readings it came first. Check `order`."
        )
        raise DesignError(msg)


def _warn_of_memory(found: ReadingOrder) -> None:
    if not found.confounded:
        return
    msg = (
        "The aided reading always came second, without a washout: the effect of the aid cannot be "
        "told from that of a second look. Counterbalance the order, or give `washout` in days."
    )
    warnings.warn(msg, CarryOverWarning, stacklevel=4)


def _washout_days(data: pd.DataFrame, washout: str | float | None) -> float | None:
    """Days, the shortest where each row has its own."""
    if washout is None:
        return None
    if isinstance(washout, str):
        values = as_numbers(data[washout])
        days = float(values.min()) if values.notna().all() else np.nan
    else:
        number = isinstance(washout, int | float | np.number) and not isinstance(washout, bool)
        days = float(washout) if number else np.nan
    if not (np.isfinite(days) and days >= 0):
        msg = f"`washout` must be a number of days >= 0, or a column of them; got {washout!r}."
        raise ArgumentError(msg)
    return days


def _aided_first(data: pd.DataFrame, table: ReaderTable, columns: list[str]) -> NDArray[np.bool_]:
    """Compare session, then order, of the two readings of each case by each reader."""
    if len(columns) == 1:
        _check_chronological(data, columns[0], table)
    row = np.where(np.asarray(table.read.all(axis=1))[:, None, :], table.row, -1)
    aided, unaided = row[:, 0, :].ravel(), row[:, 1, :].ravel()
    paired = np.flatnonzero(aided >= 0)
    earlier = np.zeros(len(paired), dtype=Int)
    for name in columns:
        values = _ranks(data, name)
        gap = np.sign(values[aided[paired]] - values[unaided[paired]])
        earlier = np.where(earlier == 0, gap, earlier)
    if (earlier == 0).any():
        earlier = _by_sequence_name(data, columns[-1], table, aided[paired], earlier)
    first = np.zeros(len(aided), dtype=bool)
    first[paired] = earlier < 0
    return first.reshape(row[:, 0, :].shape)


def _check_chronological(data: pd.DataFrame, name: str, table: ReaderTable) -> None:
    """Positions that start anew in each session do not compare the two readings of a case."""
    if not pd.api.types.is_numeric_dtype(data[name]):
        return
    values = table.spread(data[name].to_numpy(dtype=float, na_value=np.nan))
    for j, reader in enumerate(table.readers):
        aided, unaided = (np.unique(v[~np.isnan(v)]) for v in values[:, :, j].T)
        both = np.intersect1d(aided, unaided)
        if len(np.union1d(aided, unaided)) > 2 and both.size:
            msg = (
                f"`order` (column {name!r}) starts anew within reader {reader!r}: {both[0]:g} "
                "occurs in both conditions. Give the period (1, 2) or a date, or name the "
                "sessions in `session`."
            )
            raise DesignError(msg)


def _ranks(data: pd.DataFrame, name: str) -> NDArray[Int]:
    column = data[name]
    missing = np.flatnonzero(column.isna().to_numpy(dtype=bool))
    if missing.size:
        msg = f"`order` (column {name!r}) is missing in {missing.size} rows (first: {missing[0]})."
        raise DesignError(msg)
    try:
        ranks = column.rank(method="dense")
    except TypeError:
        msg = f"`order` (column {name!r}) mixes numbers and text; give it one kind of value."
        raise DesignError(msg) from None
    return np.asarray(ranks.to_numpy(dtype=float).astype(Int))


def _by_sequence_name(
    data: pd.DataFrame,
    name: str,
    table: ReaderTable,
    rows: NDArray[Int],
    earlier: NDArray[Int],
) -> NDArray[Int]:
    """The same value in both readings can only name the sequence: "unaided first" and the like."""
    labels = [str(label).strip().lower() for label in table.conditions]
    result = earlier.copy()
    for k in np.flatnonzero(earlier == 0):
        value = str(plain_label(data[name].iloc[rows[k]])).strip().lower()
        starts = [value.startswith(label) for label in labels]
        if sum(starts) != 1:
            case, reader = np.argwhere(table.row[:, 0, :] == rows[k])[0]
            both = " and ".join(map(str, sorted(table.row[case, :, reader])))
            msg = (
                f"`order` (column {name!r}) does not tell which reading came first: reader "
                f"{table.readers[reader]!r}, case {table.cases[case]!r} has {value!r} in both "
                f"conditions (rows {both}). Give the period (1, 2), a date, or "
                f"'{table.conditions[1]} first'."
            )
            raise DesignError(msg)
        result[k] = -1 if starts[0] else 1
    return result


def order_effects(
    table: ReaderTable, aided_first: NDArray[np.bool_] | None, plan: Plan, found: ReadingOrder
) -> pd.DataFrame:
    """Tests of period and carry-over where both orders occur.

    With D the aided minus the unaided figure: half the difference of D between the sequences is
    the period effect, the difference of the readers' mean figures is the sequence effect (carry-
    over, when readers or cases were randomised to sequences), and the mean of D over the two
    sequences is the effect of the aid free of a period effect.
    """
    if aided_first is None or found.sequences not in ("within readers", "between readers"):
        return pd.DataFrame()
    paired: NDArray[np.bool_] = np.asarray(table.read.all(axis=1))
    blocks = {True: paired & ~aided_first, False: paired & aided_first}
    usable = {
        unaided_first: _has_classes(block, table.event, plan)
        for unaided_first, block in blocks.items()
    }
    if found.sequences == "within readers":
        both = usable[True] & usable[False]
        chosen = dict.fromkeys(blocks, both)
    else:
        chosen = usable
    if not (chosen[True].any() and chosen[False].any()):
        return _untestable()
    cells, sequence = _cells_by_sequence(table, blocks, chosen, plan)
    rows = _effect_rows(cells, sequence, plan, within=found.sequences == "within readers")
    return pd.DataFrame([{"term": term} | row for term, row in rows.items()])


def _untestable() -> pd.DataFrame:
    msg = (
        "Period and carry-over cannot be tested: no reader has two cases of each class in both "
        "orders of reading. Their rows are NaN."
    )
    warnings.warn(msg, SmallSampleWarning, stacklevel=4)
    columns = ("estimate", "std_error", "conf_low", "conf_high", "statistic", "df", "p_value")
    return pd.DataFrame([{"term": term} | dict.fromkeys(columns, np.nan) for term in _TERMS])


def _has_classes(
    block: NDArray[np.bool_], event: NDArray[np.bool_], plan: Plan
) -> NDArray[np.bool_]:
    """Readers with two or more cases of every class the metric needs."""
    counts = [(block & (event == bool(c))[:, None]).sum(axis=0) for c in plan.metric.classes]
    return np.asarray(np.min(counts, axis=0) >= 2)


def _cells_by_sequence(
    table: ReaderTable,
    blocks: Mapping[bool, NDArray[np.bool_]],
    chosen: Mapping[bool, NDArray[np.bool_]],
    plan: Plan,
) -> tuple[Cells, NDArray[np.bool_]]:
    """Figures of each reader and condition on the cases read in one order."""
    columns, labels = [], []
    for unaided_first, block in blocks.items():
        for j in np.flatnonzero(chosen[unaided_first]):
            for i in range(2):
                columns.append(np.where(block[:, j], table.ratings[:, i, j], np.nan))
                labels.append((i, j, unaided_first))
    figures = estimate_figures(
        np.stack(columns, axis=1),
        table.event,
        plan.metric,
        covariance="jackknife",
        cluster=table.cluster,
    )
    condition, reader, sequence = (np.array(part) for part in zip(*labels, strict=True))
    cells = Cells(
        theta=figures.theta, covariance=figures.covariance, condition=condition, reader=reader
    )
    return cells, sequence


def _effect_rows(
    cells: Cells, sequence: NDArray[np.bool_], plan: Plan, *, within: bool
) -> dict[str, dict[str, float]]:
    aid = np.where(cells.condition == 0, 1.0, -1.0)
    level = np.full(len(cells.theta), 0.5)
    if within:
        same = cells.reader == np.unique(cells.reader)[:, None]
        sign = np.where(sequence, 1.0, -1.0)
        weights = (same * aid * sign / 2, same * level * sign, same * aid / 2)
        rows = [mean_row(combine(cells, w), plan) for w in weights]
        return dict(zip(_TERMS, rows, strict=True))
    units = np.unique(cells.reader)
    same = cells.reader == units[:, None]
    group = np.array([int(not sequence[cells.reader == j][0]) for j in units])
    differences = group_means(combine(cells, same * aid), group, plan)
    levels = group_means(combine(cells, same * level), group, plan)
    contrasts = ((differences, [0.5, -0.5]), (levels, [1.0, -1.0]), (differences, [0.5, 0.5]))
    rows = [contrast_row(g, np.array(weights), plan.conf_level) for g, weights in contrasts]
    return dict(zip(_TERMS, rows, strict=True))
