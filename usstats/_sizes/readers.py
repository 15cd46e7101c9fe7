"""Power of a multi-reader multi-case study, over a grid of readers and cases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from scipy import special, stats

from usstats._check import check_count, check_inside
from usstats.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The variance components of Obuchowski and Rockette's model, and what `n_case` scales.
COMPONENTS = ("reader_condition", "error", "cov_1", "cov_2", "cov_3")


@dataclass(frozen=True, kw_only=True)
class ReaderGrid:
    """Power of every combination of readers and cases.

    Examples
    --------
    >>> import usstats
    >>> pilot = {"reader_condition": 0.0002, "error": 0.0008, "cov_1": 0.00034, "cov_2": 0.00034,
    ...          "cov_3": 0.00024, "n_case": 114}
    >>> grid = usstats.sample_size_readers(0.04, variances=pilot, readers=[5, 10], cases=[100, 300])
    >>> grid
    <readers x cases for a difference of 0.04 at power 0.8: 10 readers x 300 cases>
    """

    difference: float
    power: float
    grid: pd.DataFrame
    readers: str
    cases: str
    significance: float

    def frame(self) -> pd.DataFrame:
        """Columns n_reader, n_case, power, sufficient."""
        return self.grid.copy()

    def table(self) -> pd.DataFrame:
        """Readers down, cases across."""
        return self.grid.set_index(["n_reader", "n_case"])["power"].unstack("n_case")  # noqa: PD010

    def smallest(self) -> pd.DataFrame:
        """For each number of readers the fewest cases that reach the power."""
        enough = self.grid[self.grid["sufficient"]]
        return enough.groupby("n_reader")["n_case"].min().reset_index()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Power against readers, one line for each number of cases."""
        from usstats.plots.power import plot_power

        return plot_power(self.frame(), ax, power=self.power)

    def summary(self) -> str:
        """What suffices, in a sentence."""
        pairs = ", ".join(
            f"{row.n_reader} readers x {row.n_case} cases" for row in self.smallest().itertuples()
        )
        return (
            f"readers x cases for a difference of {self.difference:g} at power {self.power:g}: "
            f"{pairs or 'none of the combinations suffices'}"
        )

    def __repr__(self) -> str:
        found = self.smallest()
        ends = found.iloc[[0, -1]] if len(found) > 2 else found
        pairs = " ... ".join(f"{r.n_reader} readers x {r.n_case} cases" for r in ends.itertuples())
        return (
            f"<readers x cases for a difference of {self.difference:g} at power {self.power:g}: "
            f"{pairs or 'none of the combinations suffices'}>"
        )


def sample_size_readers(
    difference: float,
    *,
    variances: Mapping[str, float],
    readers: Iterable[int] = range(3, 21),
    cases: Iterable[int] = range(50, 501, 50),
    power: float = 0.8,
    significance: float = 0.05,
    n_condition: int = 2,
    random_readers: bool = True,
    random_cases: bool = True,
) -> ReaderGrid:
    """Power of a reader study for each number of readers and of cases.

    Parameters
    ----------
    difference : float
        Difference of the reader-averaged AUC to be shown.
    variances : mapping
        Variance components of a pilot or published study: `reader_condition`, `error`, `cov_1`
        (same reader, two conditions), `cov_2` (two readers, same condition), `cov_3` (both
        different), and `n_case`, the cases they come from. Error and covariances shrink as
        1 / cases, at the pilot's proportion of diseased.
    readers, cases : iterable of int
        The grid.
    power : float
        What counts as sufficient.
    significance : float
    n_condition : int
        Conditions that every reader reads; the difference is that of two of them, the others lying
        between (the least favourable case).
    random_readers, random_cases : bool
        Whether the conclusion reaches beyond these readers and these cases.

    Returns
    -------
    ReaderGrid

    Raises
    ------
    ArgumentError

    References
    ----------
    Hillis, Obuchowski and Berbaum (2011), Acad Radiol 18:129. R: RJafroc, MRMCaov.

    Examples
    --------
    >>> pilot = {"reader_condition": 0.0002, "error": 0.0008, "cov_1": 0.00034, "cov_2": 0.00034,
    ...          "cov_3": 0.00024, "n_case": 114}
    >>> grid = sample_size_readers(0.04, variances=pilot, readers=[5, 10], cases=[100, 300])
    >>> grid.frame().round(2)
       n_reader  n_case  power  sufficient
    0         5     100   0.41       False
    1         5     300   0.70       False
    2        10     100   0.56       False
    3        10     300   0.90        True
    """
    target = check_inside(power, 0, 1, name="power")
    power_of = partial(
        power_readers,
        difference,
        variances=variances,
        significance=significance,
        n_condition=n_condition,
        random_readers=random_readers,
        random_cases=random_cases,
    )
    grid = pd.DataFrame(
        [
            {"n_reader": j, "n_case": c, "power": power_of(n_reader=j, n_case=c)}
            for j in _numbers(readers, "readers")
            for c in _numbers(cases, "cases")
        ]
    )
    return ReaderGrid(
        difference=float(difference),
        power=target,
        grid=grid.assign(sufficient=grid["power"] >= target),
        readers="random" if random_readers else "fixed",
        cases="random" if random_cases else "fixed",
        significance=float(significance),
    )


def power_readers(
    difference: float,
    *,
    variances: Mapping[str, float],
    n_reader: int,
    n_case: int,
    significance: float = 0.05,
    n_condition: int = 2,
    random_readers: bool = True,
    random_cases: bool = True,
) -> float:
    """Power of one reader study; the arguments are those of `sample_size_readers`.

    Examples
    --------
    >>> pilot = {"reader_condition": 0.0002, "error": 0.0008, "cov_1": 0.00034, "cov_2": 0.00034,
    ...          "cov_3": 0.00024, "n_case": 114}
    >>> round(power_readers(0.04, variances=pilot, n_reader=10, n_case=300), 3)
    0.903
    """
    d = check_inside(difference, -1, 1, name="difference")
    level = check_inside(significance, 0, 1, name="significance")
    i = check_count(n_condition, name="n_condition", least=2)
    j = check_count(n_reader, name="n_reader", least=2 if random_readers else 1)
    v = _scaled(variances, check_count(n_case, name="n_case", least=2))
    if not (random_readers or random_cases):
        msg = "With fixed readers and fixed cases nothing varies; let one of them be random."
        raise ArgumentError(msg)
    signal = j * d**2 / 2
    between_readers = v["reader_condition"] + v["error"] - v["cov_1"]
    between_readers -= v["cov_2"] - v["cov_3"]
    if not random_cases:
        return _f_power(signal / between_readers, i - 1, (i - 1) * (j - 1), level)
    shared = v["cov_2"] - v["cov_3"]
    if not random_readers:
        noise = v["error"] - v["cov_1"] + (j - 1) * shared
        return _f_power(signal / noise, i - 1, math.inf, level)
    noise = between_readers + j * max(shared, 0.0)
    df = (noise / between_readers) ** 2 * (i - 1) * (j - 1)
    return _f_power(signal / noise, i - 1, df, level)


def _f_power(noncentrality: float, df_1: float, df_2: float, significance: float) -> float:
    """P(noncentral F > critical F); chi-square over its df where df_2 is infinite."""
    if math.isinf(df_2):
        critical = stats.chi2.isf(significance, df_1)
        return float(stats.ncx2.sf(critical, df_1, noncentrality))
    critical = stats.f.isf(significance, df_1, df_2)
    return 1 - float(special.ncfdtr(df_1, df_2, noncentrality, critical))


def _numbers(values: Iterable[int], name: str) -> list[int]:
    numbers = [check_count(value, name=name, least=2) for value in values]
    if not numbers:
        msg = f"`{name}` is empty: give at least one number."
        raise ArgumentError(msg)
    return numbers


def _scaled(variances: Mapping[str, float], n_case: int) -> dict[str, float]:
    """The components for `n_case` cases."""
    missing = [name for name in (*COMPONENTS, "n_case") if name not in variances]
    if missing:
        msg = f"`variances` lacks {', '.join(missing)}; it holds {', '.join(variances)}."
        raise ArgumentError(msg)
    pilot = check_count(variances["n_case"], name="variances['n_case']", least=2)
    values = {
        name: check_inside(variances[name], -1, 1, name=f"variances[{name!r}]")
        for name in COMPONENTS
    }
    values["reader_condition"] = max(values["reader_condition"], 0.0)
    if not values["error"] - values["cov_1"] > max(values["cov_2"] - values["cov_3"], 0):
        msg = "`variances`: the error variance must exceed cov_1 + cov_2 - cov_3, and cov_1."
        raise ArgumentError(msg)
    shrink = pilot / n_case
    return {
        name: value * (1 if name == "reader_condition" else shrink)
        for name, value in values.items()
    }
