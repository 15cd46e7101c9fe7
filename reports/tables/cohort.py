"""Who was studied: the participant flow and Table 1."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from reports.number_presets import NumberPreset, number_preset
from reports.numbers import (
    format_count,
    format_mean_sd,
    format_median_iqr,
    format_number,
    format_p,
    format_percent,
    spread_decimals,
)
from reports.tables.table import Table, footnote_mark
from reports.tables.words import abbreviations_in, require_columns

__all__ = ["flow_table", "missing_table", "table_one"]

Preset = str | NumberPreset
Labels = Mapping[str, str]
Writer = Callable[["pd.Series[Any]"], str]

OVERALL = "overall"


def flow_table(
    flow: pd.DataFrame,
    *,
    labels: Labels | None = None,
    title: str = "Participant flow",
    table_id: str = "flow",
    preset: Preset = "ama",
) -> Table:
    """Patients, images and events at each step, cohort by cohort.

    Parameters
    ----------
    flow : DataFrame
        Columns step, n_patients, n_images, n_event, and optionally reason and cohort.
    labels : mapping of str to str, optional
        Printed names of cohorts and steps.
    title, table_id : str
    preset : str or NumberPreset

    Examples
    --------
    >>> flow = pd.DataFrame({"step": ["enrolled", "excluded"], "reason": ["", "normal scan"],
    ...                      "n_patients": [256, 4], "n_images": [256, 4], "n_event": [98, 0]})
    >>> flow_table(flow).rows[1]
    ('Excluded: normal scan', '4', '4', '0/4 (0%)')
    """
    require_columns(flow, ("step", "n_patients", "n_images", "n_event"), table="flow table")
    style, names = number_preset(preset), labels or {}
    rows, indent = [], []
    for cohort, part in _by_cohort(flow):
        if cohort:
            rows.append((names.get(cohort, _words(cohort)), "", "", ""))
            indent.append(0)
        rows += [_flow_cells(row, names, style) for row in part.to_dict("records")]
        indent += [1 if cohort else 0] * len(part)
    return Table(
        id=table_id,
        title=title,
        columns=("Step", "Patients", "Images", "Patients with the event"),
        rows=tuple(rows),
        indent=tuple(indent),
    )


def table_one(
    description: pd.DataFrame,
    groups: pd.DataFrame | None = None,
    *,
    labels: Labels | None = None,
    group_labels: Labels | None = None,
    nonnormal: Collection[str] = (),
    title: str = "Characteristics of the patients",
    table_id: str = "table_one",
    preset: Preset = "ama",
) -> Table:
    """Table 1: each variable by group, with missing values, differences and p values.

    Parameters
    ----------
    description : DataFrame
        Frame of a `Description`.
    groups : DataFrame, optional
        Its `groups`: group and n_patients, and n_images, which get a row of their own; without
        it, sizes are counted from the variables.
    labels, group_labels : mapping of str to str, optional
        Printed names of variables (with units) and of groups.
    nonnormal : collection of str
        Variables printed as median (IQR), beside those compared by their ranks.
    title, table_id : str
    preset : str or NumberPreset
    """
    require_columns(description, ("variable", "level", "group", "n", "n_missing"), table="Table 1")
    style = number_preset(preset)
    medians = {*nonnormal, *_compared_by_rank(description)}
    writer = _Writer(description, style, labels or {}, medians)
    sizes = _sizes(description, groups)
    names = group_labels or {}
    headers = [_group_header(group, sizes[group], names) for group in writer.groups]
    lines = [*_image_counts(writer.groups, groups, len(writer.extra_headers()[0]))]
    lines += [line for variable in writer.variables for line in writer.lines(variable)]
    extras, marks = writer.extra_headers()
    columns = ("Characteristic", *headers, *extras)
    return Table(
        id=table_id,
        title=title,
        columns=columns,
        rows=tuple(cells for _, cells in lines),
        indent=tuple(level for level, _ in lines),
        footnotes=marks,
        italics=style.italics,
        abbreviations=abbreviations_in(*columns, *(cells[0] for _, cells in lines)),
    )


def missing_table(
    description: pd.DataFrame,
    *,
    labels: Labels | None = None,
    group_labels: Labels | None = None,
    title: str = "Missing values",
    table_id: str = "missing",
    preset: Preset = "ama",
) -> Table:
    """Map of what is missing: n/N (%) of each variable that was not measured in everybody (R20).

    Parameters
    ----------
    description : DataFrame
        Frame of a `Description`.
    labels, group_labels : mapping of str to str, optional
        Printed names of variables and of groups.
    title, table_id : str
    preset : str or NumberPreset

    Examples
    --------
    >>> frame = pd.DataFrame({"variable": ["fsh"], "level": [""], "group": ["overall"],
    ...                       "n": [90], "n_missing": [10]})
    >>> missing_table(frame).rows
    (('fsh', '10/100 (10.0%)'),)
    """
    needed = ("variable", "level", "group", "n", "n_missing")
    require_columns(description, needed, table="table of missing values")
    style, names = number_preset(preset), labels or {}
    counted = description.drop_duplicates(["variable", "group"]).astype({"group": str})
    some = counted.groupby("variable", sort=False)["n_missing"].transform("max") > 0
    found = list(dict.fromkeys(counted["group"]))
    groups = [g for g in found if g != OVERALL] + [g for g in found if g == OVERALL]
    rows = [
        (names.get(str(variable), str(variable)), *_shares_missing(part, groups, style))
        for variable, part in counted[some].groupby("variable", sort=False)
    ]
    default = {OVERALL: "All patients", **(group_labels or {})}
    complete = int((~some).groupby(counted["variable"]).first().sum())
    return Table(
        id=table_id,
        title=title,
        columns=("Variable", *(f"{default.get(g, g)}, n/N (%)" for g in groups)),
        rows=tuple(rows),
        notes=(f"{complete} further {_have(complete)} no missing value.",),
    )


def _have(n: int) -> str:
    return "variable has" if n == 1 else "variables have"


def _shares_missing(part: pd.DataFrame, groups: list[str], style: NumberPreset) -> Iterator[str]:
    by_group = part.set_index("group")
    for group in groups:
        if group not in by_group.index:
            yield style.missing
            continue
        n, missing = by_group.loc[group, ["n", "n_missing"]]
        yield format_percent(missing, n + missing, preset=style)


def _image_counts(
    order: list[str], groups: pd.DataFrame | None, n_extras: int
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The row of images, counted apart from the patients of the headers."""
    if groups is None or "n_images" not in groups:
        return
    images = dict(zip(groups["group"].astype(str), groups["n_images"], strict=True))
    yield 0, ("Images, n", *(format_count(images.get(g, np.nan)) for g in order), *[""] * n_extras)


def _compared_by_rank(description: pd.DataFrame) -> set[str]:
    """Variables whose test looks at ranks; a mean beside it would describe something else."""
    if "method" not in description:
        return set()
    ranks = description["method"].astype(str).str.startswith(("Kruskal", "Wilcoxon"))
    return set(description.loc[ranks, "variable"].astype(str))


class _Writer:
    """Turns the long frame into lines of cells."""

    def __init__(
        self, frame: pd.DataFrame, style: NumberPreset, labels: Labels, nonnormal: set[str]
    ) -> None:
        self.frame = frame.assign(level=frame["level"].fillna("").astype(str))
        self.style, self.labels, self.nonnormal = style, labels, nonnormal
        self.variables = list(dict.fromkeys(frame["variable"].astype(str)))
        found = list(dict.fromkeys(frame["group"].astype(str)))
        self.groups = [g for g in found if g != OVERALL] + [g for g in found if g == OVERALL]
        self.has_smd = "smd" in frame and bool(frame["smd"].notna().any())
        self.p_column = "p_adjusted" if "p_adjusted" in frame else "p_value"
        self.has_p = self.p_column in frame and bool(frame[self.p_column].notna().any())

    def extra_headers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Headers after the groups, and the footnote that says what the p values are."""
        headers = ("SMD",) if self.has_smd else ()
        if not self.has_p:
            return headers, ()
        tests = dict.fromkeys(self.frame["method"].dropna().astype(str))
        methods = "; ".join(_test_words(test) for test in tests)
        kind = "Adjusted" if self.p_column == "p_adjusted" else "Descriptive, not adjusted"
        header = f"{self.style.p_symbol} value{footnote_mark(0)}"
        return (*headers, header), (f"{kind} for the number of comparisons ({methods}).",)

    def lines(self, variable: str) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Indent and cells of each row of one variable."""
        rows = self.frame[self.frame["variable"].astype(str) == variable]
        levels = [level for level in dict.fromkeys(rows["level"]) if level]
        name = self.labels.get(variable, variable)
        if "unit" in rows and (rows["unit"] == "image").all():
            name = f"{name}, per image"
        if levels:
            yield 0, (f"{name}, n/N (%)", *[""] * len(self.groups), *self._extras(rows))
            for level in levels:
                part = rows[rows["level"] == level].set_index("group")
                yield 1, (level, *self._cells(part, self._share), *self._no_extras())
        else:
            what, write = self._number_writer(variable, rows)
            part = rows.set_index("group")
            yield 0, (f"{name}, {what}", *self._cells(part, write), *self._extras(rows))
        one = rows.drop_duplicates("group").set_index("group")
        if (one["n_missing"] > 0).any():
            yield 1, ("Missing, n", *self._cells(one, self._missing), *self._no_extras())

    def _cells(self, rows: pd.DataFrame, write: Writer) -> list[str]:
        by_name = {str(group): row for group, row in rows.iterrows()}
        return [write(by_name[g]) if g in by_name else self.style.missing for g in self.groups]

    def _share(self, row: pd.Series[Any]) -> str:
        return format_percent(row["count"], row["n"], preset=self.style)

    def _number_writer(self, variable: str, rows: pd.DataFrame) -> tuple[str, Writer]:
        """How a number is summarised, with the same decimals in every group."""
        spread = rows["sd"][rows["sd"] > 0].min()
        places, style = spread_decimals(float(spread)), self.style
        if variable in self.nonnormal:
            return "median (IQR)", lambda row: format_median_iqr(
                row["median"], row["q1"], row["q3"], decimals=places, preset=style
            )
        return "mean (SD)", lambda row: format_mean_sd(
            row["mean"], row["sd"], decimals=places, preset=style
        )

    def _missing(self, row: pd.Series[Any]) -> str:
        return format_count(row["n_missing"], preset=self.style)

    def _extras(self, rows: pd.DataFrame) -> tuple[str, ...]:
        first = rows.iloc[0]
        smd = (format_number(first["smd"], 2, preset=self.style),) if self.has_smd else ()
        p = (format_p(first[self.p_column], preset=self.style),) if self.has_p else ()
        return (*smd, *p)

    def _no_extras(self) -> tuple[str, ...]:
        return ("",) * (self.has_smd + self.has_p)


def _test_words(test: str) -> str:
    """A test's name with what it assumes.

    >>> _test_words("t test, equal variances"), _test_words("Kruskal-Wallis test")
    ('t test with equal variances', 'Kruskal-Wallis test')
    """
    name, _, assumption = test.partition(", ")
    return f"{name} with {assumption}" if assumption else name


def _flow_cells(
    row: Mapping[Any, Any], names: Labels, style: NumberPreset
) -> tuple[str, str, str, str]:
    reason = row.get("reason")
    step = names.get(str(row["step"]), _words(str(row["step"])))
    told = isinstance(reason, str) and bool(reason.strip())
    return (
        f"{step}: {reason}" if told else step,
        format_count(row["n_patients"], preset=style),
        format_count(row["n_images"], preset=style),
        format_percent(row["n_event"], row["n_patients"], preset=style),
    )


def _by_cohort(flow: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "cohort" not in flow:
        yield "", flow
        return
    for cohort, part in flow.groupby("cohort", sort=False):
        yield str(cohort), part


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _sizes(description: pd.DataFrame, groups: pd.DataFrame | None) -> dict[str, int]:
    if groups is not None:
        return {str(row["group"]): int(row["n_patients"]) for row in groups.to_dict("records")}
    counted = description.assign(size=description["n"] + description["n_missing"])
    return {str(group): int(n) for group, n in counted.groupby("group")["size"].max().items()}


def _group_header(group: str, n: int, names: Labels) -> str:
    default = "All patients" if group == OVERALL else group
    return f"{names.get(group, default)} (n = {n})"
