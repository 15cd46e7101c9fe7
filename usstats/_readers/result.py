"""What a reader study hands back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from usstats._readers.obuchowski_rockette import GlobalReaderTest
from usstats.results import unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of the frames of reader studies and of aids.
_LEADING = (
    "measure",
    "group",
    "term",
    "condition",
    "reader",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "conf_level",
    "statistic",
    "df",
    "p_value",
    "p_adjusted",
    "method",
    "n",
    "n_event",
)


_COMPONENTS = {
    "condition:reader": "reader_condition",
    "Error": "error",
    "Cov1": "cov_1",
    "Cov2": "cov_2",
    "Cov3": "cov_3",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReaderStudy:
    """Figures of merit of readers, their averages, and differences between conditions.

    Attributes
    ----------
    metric : str
    readers, cases : {"random", "fixed"}
        What the intervals and tests speak for.
    covariance, design : str
    test : GlobalReaderTest or None
        "All conditions are equal"; None with a single condition.
    reader_means : DataFrame
        condition, reader, estimate, ...: each reader, against the variance over cases.
    means : DataFrame
        condition, estimate, ...: reader-averaged figures.
    differences : DataFrame
        condition_1, condition_2, estimate (first minus second), ..., p_value, p_adjusted.
    reader_differences : DataFrame
        The same for each reader, against the variance over cases.
    components : DataFrame
        term, estimate, correlation: variance components of readers (not truncated at zero) and
        Error, Cov1, Cov2, Cov3 of the figures over cases.
    anova : DataFrame
        term, df, mean_square.
    covariances : DataFrame
        Covariance over cases, rows and columns by (condition, reader).
    n, n_event, n_reader : int
    n_cluster : int or None
    conf_level : float
    adjust : str
    """

    metric: str
    readers: str
    cases: str
    covariance: str
    design: str
    test: GlobalReaderTest | None
    reader_means: pd.DataFrame
    means: pd.DataFrame
    differences: pd.DataFrame
    reader_differences: pd.DataFrame
    components: pd.DataFrame
    anova: pd.DataFrame
    covariances: pd.DataFrame
    n: int
    n_event: int
    n_reader: int
    n_cluster: int | None
    conf_level: float
    adjust: str

    @property
    def method(self) -> str:
        """Estimator, and which of readers and cases are random."""
        return (
            f"Obuchowski-Rockette, {self.covariance} covariance, {self.readers} readers, "
            f"{self.cases} cases"
        )

    def frame(self) -> pd.DataFrame:
        """All estimates: measure is the metric's name (one reader), reader_averaged_<metric>,
        difference, or reader_difference; condition is "a - b" in differences."""
        parts = {
            self.metric: self.reader_means,
            f"reader_averaged_{self.metric}": self.means,
            "difference": self.differences,
            "reader_difference": self.reader_differences,
        }
        rows = [row for name, part in parts.items() for row in _records(name, part)]
        frame = frame_of_rows(rows).assign(
            conf_level=self.conf_level, method=self.method, n=self.n, n_event=self.n_event
        )
        if self.n_cluster is not None:
            frame["n_cluster"] = self.n_cluster
        frame["n_reader"] = self.n_reader
        return leading_first(frame)

    def summary(self) -> str:
        """The global test, reader-averaged figures and their differences."""
        lines = [repr(self)[1:-1]]
        if self.test is not None:
            lines.append(f"all conditions equal: {_test_in_words(self.test)}")
        lines += [f"{row['condition']}: {_interval(row)}" for row in self.means.to_dict("records")]
        lines += [
            f"{row['condition_1']} - {row['condition_2']}: {_interval(row)}, "
            f"p = {row['p_value']:.3g}"
            for row in self.differences.to_dict("records")
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<reader study of {self.metric}: {self.n_reader} readers ({self.readers}), "
            f"{len(self.means)} conditions, n = {self.n} cases ({self.cases}), "
            f"events = {self.n_event}, unit: {unit}, {self.design}; Obuchowski-Rockette with "
            f"{self.covariance} covariance, {self.conf_level * 100:g} % intervals>"
        )

    def variances(self) -> dict[str, float]:
        """The components that `sample_size_readers` plans the next study with."""
        estimate = self.components.set_index("term")["estimate"]
        named = {name: float(estimate[term]) for term, name in _COMPONENTS.items()}
        return named | {"n_case": self.n}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Each reader's figure in every condition, and the reader averages with intervals."""
        from usstats.plots.readers import plot_reader_change

        return plot_reader_change(self.frame(), ax)


def _records(name: str, part: pd.DataFrame) -> list[dict[str, Any]]:
    rows = records(part)
    for row in rows:
        row.pop("n_reader", None)
        if "condition_1" in row:
            row["condition"] = f"{row['condition_1']} - {row['condition_2']}"
    return [{"measure": name} | row for row in rows]


def stacked(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables with different columns under each other."""
    return frame_of_rows([row for part in parts for row in records(part)])


def records(part: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in part.to_dict("records")]


_LABELS = {"reader", "condition", "condition_1", "condition_2", "group", "term"}


def leading_first(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns every table shares, in their order, then the others."""
    order = [name for name in _LEADING if name in frame]
    return frame[[*order, *(name for name in frame if name not in order)]]


def frame_of_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with different columns; labels keep their type, None where a row has none."""
    frame = pd.DataFrame(rows)
    for name in _LABELS & set(frame):
        values = [row.get(name) for row in rows]
        frame[name] = pd.Series([None if pd.isna(v) else v for v in values], dtype=object)
    return frame


def _test_in_words(test: GlobalReaderTest) -> str:
    df = f"{test.df1}" if np.isinf(test.df2) else f"{test.df1}, {test.df2:.2f}"
    name = "chi2" if test.distribution == "chi2" else "F"
    return f"{name}({df}) = {test.statistic:.3f}, p = {test.p_value:.3g}"


def _interval(row: dict[Any, Any]) -> str:
    return f"{row['estimate']:.3f} ({row['conf_low']:.3f} to {row['conf_high']:.3f})"
