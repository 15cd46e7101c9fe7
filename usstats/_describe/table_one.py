"""The numbers behind Table 1: one variable at a time, by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._describe.clustered_tests import (
    clustered_mean_test,
    clustered_rank_test,
    clustered_share_test,
)
from usstats._describe.two_way import (
    Test,
    categorical_smd,
    chi_square_test,
    continuous_smd,
    equal_variance_test,
    fisher_test,
    rank_test,
    welch_test,
)
from usstats.errors import ArgumentError, MissingDataError, RiskError

Float = np.float64
OVERALL = "overall"
NUMBERS = ("mean", "sd", "median", "q1", "q3", "min", "max")
COLUMNS = ("variable", "level", "group", "n", "n_missing", *NUMBERS, "count", "percent")
CONTINUOUS_TESTS: Mapping[str, Callable[[Sequence[NDArray[Float]]], Test]] = MappingProxyType(
    {"student": equal_variance_test, "welch": welch_test}
)
NO_TEST = Test(method="", statistic=np.nan, df=np.nan, p_value=np.nan)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which columns are treated how."""

    categorical: frozenset[str]
    nonnormal: frozenset[str]
    exact: frozenset[str]
    continuous_test: str
    smd: bool
    tests: bool


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Labels of the groups and the group of every row; no labels where there are no groups.

    `patients` holds a code a row where several rows belong to one patient: tests are then
    clustered.
    """

    labels: tuple[str, ...]
    codes: NDArray[np.int64]
    patients: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, by: pd.Series[Any] | None, n: int, *, name: str) -> Groups:
        """Groups in categorical order, else sorted."""
        if by is None:
            return cls(labels=(), codes=np.zeros(n, dtype=np.int64))
        missing = int(by.isna().sum())
        if missing:
            msg = f"`{name}` is missing in {missing} of {n} rows; fill it in or drop them."
            raise MissingDataError(msg)
        codes, labels = level_codes(by)
        if OVERALL in labels:
            msg = f"`{name}` has a group called {OVERALL!r}, which names all groups together."
            raise ArgumentError(msg)
        return cls(labels=labels, codes=codes)

    def of_rows(self, patients: pd.Index[Any], of_row: pd.Series[Any]) -> Groups:
        """The groups of rows, given one label a patient and the patient of every row."""
        position = patients.get_indexer(pd.Index(of_row))
        return Groups(labels=self.labels, codes=self.codes[position], patients=position)

    def members(self) -> list[NDArray[np.bool_]]:
        """Rows of each group."""
        return [self.codes == code for code in range(len(self.labels))]

    def split(self, values: NDArray[Any], known: NDArray[np.bool_]) -> list[NDArray[Any]]:
        """Known values of each group."""
        return [values[rows & known] for rows in self.members()]


@dataclass(frozen=True, kw_only=True)
class Described:
    """All rows of a variable, its tests, the one that was chosen, and differences by pair."""

    name: str
    rows: list[tuple[Any, ...]]
    tests: tuple[Test, ...]
    chosen: Test
    smd: NDArray[Float]


def describe_variable(values: pd.Series[Any], groups: Groups, choice: Choice) -> Described:
    """Describe a column as numbers or as levels."""
    if _is_numeric(values, choice):
        return _describe_numbers(values, groups, choice)
    return _describe_levels(values, groups, choice)


def level_codes(values: pd.Series[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes (-1 where missing) and labels: categorical order, else sorted."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy().astype(np.int64)
        return codes, tuple(_label(level) for level in values.cat.categories)
    codes, levels = pd.factorize(values)
    order = sorted(range(len(levels)), key=lambda i: _sort_key(levels[i]))
    rank = np.empty(len(levels) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(levels)), -1
    return rank[codes], tuple(_label(levels[i]) for i in order)


def _sort_key(level: Any) -> tuple[bool, Any]:
    """Numbers by size, before text by the alphabet."""
    is_text = isinstance(level, str)
    return is_text, level


def _label(level: Any) -> str:
    return f"{level:g}" if isinstance(level, float | np.floating) else str(level)


def _is_numeric(values: pd.Series[Any], choice: Choice) -> bool:
    if str(values.name) in choice.categorical or not pd.api.types.is_numeric_dtype(values):
        return False
    if pd.api.types.is_bool_dtype(values):
        return False
    return not values.dropna().isin((0, 1)).all() or bool(values.isna().all())


def _describe_numbers(values: pd.Series[Any], groups: Groups, choice: Choice) -> Described:
    name = str(values.name)
    x = values.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        msg = f"`{name}` holds {np.isinf(x).sum()} infinite values; correct them first."
        raise RiskError(msg)
    known = ~np.isnan(x)
    samples = groups.split(x, known)
    rows = [
        (name, "", label, sample.size, int(members.sum()) - sample.size, *_numbers(sample))
        for label, sample, members in zip(groups.labels, samples, groups.members(), strict=True)
    ]
    everything = (name, "", OVERALL, int(known.sum()), int((~known).sum()), *_numbers(x[known]))
    tests = _number_tests(x, samples, groups) if choice.tests else {}
    chosen = "rank" if name in choice.nonnormal else choice.continuous_test
    return Described(
        name=name,
        rows=[(*row, np.nan, np.nan) for row in (*rows, everything)],
        tests=tuple(dict.fromkeys(tests.values())),
        chosen=tests.get(chosen, NO_TEST),
        smd=continuous_smd(samples) if choice.smd else np.array([]),
    )


def _number_tests(
    x: NDArray[Float], samples: Sequence[NDArray[Float]], groups: Groups
) -> dict[str, Test]:
    """The tests by the name of the choice; only one of means where rows are clustered."""
    if groups.patients is None:
        return {
            **{name: test(samples) for name, test in CONTINUOUS_TESTS.items()},
            "rank": rank_test(samples),
        }
    known = ~np.isnan(x)
    rows = x[known], groups.codes[known], groups.patients[known]
    of_means = clustered_mean_test(*rows)
    return {**dict.fromkeys(CONTINUOUS_TESTS, of_means), "rank": clustered_rank_test(*rows)}


def _numbers(sample: NDArray[Float]) -> tuple[float, ...]:
    """Mean, SD, median, quartiles, range; NaN where there are too few values."""
    if sample.size == 0:
        return (np.nan,) * len(NUMBERS)
    q1, median, q3 = np.quantile(sample, (0.25, 0.5, 0.75))
    sd = float(sample.std(ddof=1)) if sample.size > 1 else np.nan
    return (
        float(sample.mean()),
        sd,
        float(median),
        float(q1),
        float(q3),
        float(sample.min()),
        float(sample.max()),
    )


def _describe_levels(values: pd.Series[Any], groups: Groups, choice: Choice) -> Described:
    name = str(values.name)
    codes, levels = level_codes(values)
    counts = _counts(codes, len(levels), groups)
    sizes = np.array([rows.sum() for rows in groups.members()], dtype=float)
    columns = [
        *zip(groups.labels, counts.T, sizes, strict=True),
        (OVERALL, np.bincount(codes[codes >= 0], minlength=len(levels)), float(len(codes))),
    ]
    rows = [
        _level_row(name, level, group, count[i], count.sum(), size)
        for i, level in enumerate(levels)
        for group, count, size in columns
    ]
    exact = name in choice.exact
    tests = _level_tests(codes, counts, groups, exact=exact) if choice.tests else ()
    return Described(
        name=name,
        rows=rows,
        tests=tests,
        chosen=tests[-1 if exact else 0] if tests else NO_TEST,
        smd=categorical_smd(counts) if choice.smd else np.array([]),
    )


def _counts(codes: NDArray[np.int64], n_levels: int, groups: Groups) -> NDArray[Float]:
    """Levels by groups."""
    known = codes >= 0
    n_groups = len(groups.labels)
    cells = codes[known] * max(n_groups, 1) + groups.codes[known]
    table = np.bincount(cells, minlength=n_levels * max(n_groups, 1)).astype(float)
    return table.reshape(n_levels, -1)[:, :n_groups] if n_levels else np.zeros((0, n_groups))


def _level_row(
    name: str, level: str, group: str, count: float, n: float, size: float
) -> tuple[Any, ...]:
    percent = 100 * count / n if n else np.nan
    missing = int(size - n)
    return (name, level, group, int(n), missing, *(np.nan,) * len(NUMBERS), int(count), percent)


def _level_tests(
    codes: NDArray[np.int64], counts: NDArray[Float], groups: Groups, *, exact: bool
) -> tuple[Test, ...]:
    """Chi-square first; Fisher last, and only where it is asked for or cheap."""
    if groups.patients is not None:
        known = codes >= 0
        rows = codes[known], groups.codes[known], groups.patients[known]
        return (clustered_share_test(*rows),)
    tests = [chi_square_test(counts)]
    if counts.shape == (2, 2):
        tests.append(chi_square_test(counts, correction=False))
    if exact or counts.shape == (2, 2):
        tests.append(fisher_test(counts))
    return tuple(tests)
