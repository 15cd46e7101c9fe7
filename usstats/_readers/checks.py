"""What a file of readings may get wrong, each answered with reader, case, condition and row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_outcome
from usstats._numbers import as_numbers
from usstats.errors import DesignError, OutcomeError, PairingError, RiskError

Float = np.float64
Int = np.int64
Codes = Mapping[str, NDArray[Int]]
Names = Mapping[str, tuple[Hashable, ...]]
_SHOWN = 3
#: A share of rows that is an oversight rather than another coding.
_FEW = 0.2


def reading_in_words(codes: Codes, names: Names, row: int) -> str:
    """Reader, case, condition and row of one reading."""
    parts = [f"{role} {names[role][codes[role][row]]!r}" for role in ("reader", "case")]
    return f"{', '.join(parts)}, condition {names['condition'][codes['condition'][row]]!r}"


def reading_label(data: pd.DataFrame, columns: Mapping[str, str], row: int) -> str:
    """The same, from a file whose labels were not checked yet."""
    roles = [role for role in ("reader", "case", "condition") if role in columns]
    return ", ".join(f"{role} {plain_label(data[columns[role]].iloc[row])!r}" for role in roles)


def plain_label(label: Any) -> Hashable:
    """A numpy scalar as the Python value it stands for."""
    value: Hashable = label.item() if isinstance(label, np.generic) else label
    return value


def check_labels(column: pd.Series[Any], role: str) -> None:
    """Refuse rows without a reader, case, condition or patient."""
    missing = column.isna().to_numpy(dtype=bool)
    blank = column.astype(str).str.strip().eq("").to_numpy(dtype=bool)
    bad = np.flatnonzero(missing | blank)
    if bad.size:
        rows = ", ".join(map(str, bad[:_SHOWN]))
        msg = f"`{role}` (column {column.name!r}) has no label in {bad.size} rows (first: {rows})."
        raise DesignError(msg)


def truth_column(data: pd.DataFrame, columns: Mapping[str, str]) -> NDArray[np.bool_]:
    """The truth of each row as bool; a few bad rows are named, labels refused with advice."""
    column = data[columns["truth"]]
    values = as_numbers(column).to_numpy()
    bad = ~np.isin(values, (0.0, 1.0))
    if bad.any() and bad.mean() < _FEW:
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"`truth` must be 0 or 1; {int(bad.sum())} of {len(bad)} rows hold something else "
            f"(first: {plain_label(column.iloc[first])!r} at row {first}: "
            f"{reading_label(data, columns, first)})."
        )
        raise OutcomeError(msg)
    return np.asarray(check_outcome(column, name="truth", require_both=False) == 1)


def numbers(
    data: pd.DataFrame, columns: Mapping[str, str], role: str, *, infinite: bool = False
) -> NDArray[Float]:
    """A numeric column; text, missing and (+) infinite values are refused by reading.

    Minus infinity passes where `infinite` is set: a reader who marked nothing.
    """
    column = data[columns[role]]
    values = np.asarray(as_numbers(column), dtype=np.float64)
    given = column.notna().to_numpy(dtype=bool)
    text = given & np.isnan(values)
    if text.any():
        first = int(np.flatnonzero(text)[0])
        msg = (
            f"`{role}` must be a number; {int(text.sum())} of {len(data)} rows hold something "
            f"else (first: {plain_label(column.iloc[first])!r} at row {first}: "
            f"{reading_label(data, columns, first)})."
        )
        raise RiskError(msg)
    bad = np.isnan(values) | (np.isinf(values) & ~(infinite & (values < 0)))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"`{role}` is missing or infinite in {int(bad.sum())} of {len(data)} rows (first: row "
            f"{first}: {reading_label(data, columns, first)}). A case that was not read has no "
            "row: delete it, and use covariance='jackknife' or 'unbiased' for missing reads."
        )
        raise RiskError(msg)
    return values


def check_duplicates(codes: Codes, names: Names) -> None:
    """A reader reads a case once in each condition."""
    key = pd.DataFrame({role: codes[role] for role in ("reader", "case", "condition")})
    again = key.duplicated(keep="first").to_numpy()
    if not again.any():
        return
    second = int(np.flatnonzero(again)[0])
    first = int(np.flatnonzero((key == key.iloc[second]).all(axis=1))[0])
    msg = (
        f"{int(again.sum())} readings are duplicates (first: "
        f"{reading_in_words(codes, names, second)} at rows {first} and {second}). Keep one "
        "reading of each case by each reader in each condition; where a case has several images, "
        "name the images in `case` and the patients in `cluster`."
    )
    raise PairingError(msg)


def _first_rows(codes: NDArray[Int], n: int) -> NDArray[Int]:
    first = np.zeros(n, dtype=Int)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first


def check_truth_of_cases(truth: NDArray[np.bool_], codes: Codes, names: Names) -> NDArray[np.bool_]:
    """Truth of each case; every row of a case must agree."""
    first = _first_rows(codes["case"], len(names["case"]))
    event = truth[first]
    differs = truth != event[codes["case"]]
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        other = int(first[codes["case"][row]])
        wrong = len(np.unique(codes["case"][differs]))
        msg = (
            f"`truth` differs between rows of the same case in {wrong} cases (first: case "
            f"{names['case'][codes['case'][row]]!r} is {int(truth[other])} at row {other} and "
            f"{int(truth[row])} at row {row}: {reading_in_words(codes, names, row)}). If these "
            "are different patients, give them different case labels."
        )
        raise OutcomeError(msg)
    return np.asarray(event)


def check_clusters_of_cases(
    patient: NDArray[Int], labels: tuple[Hashable, ...], codes: Codes, names: Names
) -> NDArray[Int]:
    """Patient of each case; every row of a case must agree."""
    first = _first_rows(codes["case"], len(names["case"]))
    of_case = patient[first]
    differs = patient != of_case[codes["case"]]
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        msg = (
            f"A case belongs to two patients in `cluster`: {reading_in_words(codes, names, row)} "
            f"is patient {labels[patient[row]]!r} at row {row} and patient "
            f"{labels[of_case[codes['case'][row]]]!r} elsewhere."
        )
        raise PairingError(msg)
    return np.asarray(of_case)


def check_readers_meet_conditions(row: NDArray[Int], names: Names) -> None:
    """Every reader reads in every condition, or each in exactly one (nested readers)."""
    meets: NDArray[np.bool_] = np.asarray((row >= 0).any(axis=0))
    if meets.all() or (meets.sum(axis=0) == 1).all():
        return
    _refuse_rare_condition(row, meets, names)
    i, j = (int(k) for k in np.argwhere(~meets)[0])
    own = row[:, :, j]
    msg = (
        f"{int((~meets).any(axis=0).sum())} readers lack a condition (first: reader "
        f"{names['reader'][j]!r} has no reading in condition {names['condition'][i]!r}; the first "
        f"of the {int((own >= 0).sum())} readings is row {int(own[own >= 0].min())}). Let every "
        "reader read in every condition, or every reader in one condition only."
    )
    raise DesignError(msg)


def _refuse_rare_condition(row: NDArray[Int], meets: NDArray[np.bool_], names: Names) -> None:
    """A condition that few readers met is more likely a slip of the pen."""
    readers = meets.sum(axis=1)
    i = int(readers.argmin())
    if 2 * readers[i] >= meets.shape[1]:
        return
    own = row[:, i, :]
    first = int(own[own >= 0].min())
    case, reader = (int(k) for k in np.argwhere(own == first)[0])
    msg = (
        f"Condition {names['condition'][i]!r} occurs in {int((own >= 0).sum())} rows of only "
        f"{readers[i]} of {meets.shape[1]} readers (first: reader {names['reader'][reader]!r}, "
        f"case {names['case'][case]!r} at row {first}). Is the label misspelt? Let every reader "
        "read in every condition, or every reader in one condition only."
    )
    raise DesignError(msg)


def missing_reads(row: NDArray[Int], names: Names) -> str:
    """How many cells of a factorial design are empty, and the first of them."""
    empty = np.argwhere((row < 0) & (row >= 0).any(axis=0))
    told = []
    for case, condition, reader in empty[:_SHOWN]:
        others = row[case][row[case] >= 0]
        told.append(
            f"reader {names['reader'][reader]!r}, case {names['case'][case]!r}, condition "
            f"{names['condition'][condition]!r} (the case is first read at row {others.min()})"
        )
    return f"{len(empty)} of {row.size} readings are missing (first: {'; '.join(told)})"


def check_constant(ratings: NDArray[Float], row: NDArray[Int], names: Names) -> None:
    """Refuse a reader who gave one rating to every case of a condition."""
    read = row >= 0
    low = np.where(read, ratings, np.inf).min(axis=0)
    high = np.where(read, ratings, -np.inf).max(axis=0)
    flat = np.argwhere((low == high) & read.any(axis=0))
    if not flat.size:
        return
    i, j = (int(k) for k in flat[0])
    cell = row[:, i, j]
    case = int(np.flatnonzero(cell >= 0)[0])
    msg = (
        f"One rating for all cases in {len(flat)} of {int(read.any(axis=0).sum())} reader-condition"
        f" pairs (first: reader {names['reader'][j]!r}, condition {names['condition'][i]!r}: every "
        f"one of {int((cell >= 0).sum())} cases from case {names['case'][case]!r} at row "
        f"{cell[case]} on is rated {low[i, j]:g}). Such ratings have no ROC curve; check the "
        "export, or leave the reader out."
    )
    raise RiskError(msg)


def check_classes(
    event: NDArray[np.bool_], row: NDArray[Int], names: Names, classes: tuple[int, ...]
) -> None:
    """Each reader reads both classes (the class a proportion is about) in each condition."""
    for value in classes:
        kind = "events" if value else "non-events"
        if not (event == bool(value)).any():
            msg = f"`truth` holds no {kind} (n = {len(event)} cases)."
            raise OutcomeError(msg)
        met = ((row >= 0) & (event == bool(value))[:, None, None]).any(axis=0)
        lacking = np.argwhere(~met & (row >= 0).any(axis=0))
        if lacking.size:
            i, j = (int(k) for k in lacking[0])
            cell = row[:, i, j]
            msg = (
                f"Reader {names['reader'][j]!r} read no {kind} in condition "
                f"{names['condition'][i]!r} (first of {int((cell >= 0).sum())} readings: row "
                f"{int(cell[cell >= 0].min())}); both classes are needed there."
            )
            raise OutcomeError(msg)
