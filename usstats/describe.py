"""Table 1 as a long frame at full precision: one row a variable, level and group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._describe.table_one import (
    COLUMNS,
    CONTINUOUS_TESTS,
    OVERALL,
    Choice,
    Described,
    Groups,
    describe_variable,
)
from usstats._multiplicity import adjust_p
from usstats.errors import ArgumentError, MissingDataError, PairingError, SchemaError

__all__ = ["Description", "adjust_p_values", "describe"]

Float = np.float64


@dataclass(frozen=True, kw_only=True, repr=False)
class Description:
    """A described cohort.

    Attributes
    ----------
    statistics : DataFrame
        See `frame`.
    groups : DataFrame
        One row a group, and one for all: group, n_patients (or rows) and n_images.
    all_tests : DataFrame
        Every test of every variable: variable, method, statistic, df, p_value.
    differences : DataFrame
        Standardised differences of every pair: variable, group_1, group_2, smd.
    unit : {"patient", "row"}
    """

    statistics: pd.DataFrame
    groups: pd.DataFrame
    all_tests: pd.DataFrame
    differences: pd.DataFrame
    unit: str

    def frame(self) -> pd.DataFrame:
        """One row a variable, level and group.

        variable, level (empty for numbers), group; n and n_missing; mean, sd, median, q1, q3,
        min, max of numbers; count and percent (of the known) of levels; smd (mean over the pairs
        of groups), p_value, method and unit (what n counts: patient, image or row), repeated in
        every row of a variable.
        """
        return self.statistics.copy()

    def tests(self) -> pd.DataFrame:
        """Every test of every variable: variable, method, statistic, df, p_value."""
        return self.all_tests.copy()

    def summary(self) -> str:
        """Sizes of the groups and the number of variables."""
        sizes = ", ".join(f"{row.group}: {row.n_patients}" for row in self.groups.itertuples())
        return f"{self.statistics['variable'].nunique()} variables; n = {sizes}; unit: {self.unit}"

    def __repr__(self) -> str:
        return f"<description of {self.summary()}>"


def describe(
    data: pd.DataFrame,
    *,
    by: str | None,
    variables: Sequence[str] | None = None,
    patient_id: str | None = None,
    per_image: Collection[str] = (),
    smd: bool = True,
    tests: bool = True,
    categorical: Collection[str] = (),
    nonnormal: Collection[str] | bool = (),
    exact: Collection[str] = (),
    continuous_test: str = "student",
    adjust: str = "none",
) -> Description:
    """Describe patients, by group.

    Numbers get mean, SD, quartiles (type 7) and range, everything else counts. The tests are
    those of R's tableone: equal-variance t test or analysis of variance, Kruskal-Wallis without
    continuity correction, chi-square with Yates' correction in 2 x 2 tables. Missing values are
    counted, and left out of everything else.

    Parameters
    ----------
    data : DataFrame
    by : str or None
        Column of the groups; None describes all patients together.
    variables : sequence of str, optional
        Columns to describe, in order; all but `by` and `patient_id` by default.
    patient_id : str, optional
        Column of patient labels where `data` has a row an image. Statistics are then per
        patient, and patients and images are counted apart.
    per_image : collection of str
        Columns that differ between the images of a patient (needs `patient_id`). They are
        described over images, and tested by Wald's test with a covariance clustered by patient.
    smd : bool
        Standardised mean differences.
    tests : bool
    categorical : collection of str
        Numeric columns whose numbers are codes of levels. Text, categories, bools and numbers
        that are all 0 or 1 are levels without being listed.
    nonnormal : collection of str, or True
        Numeric columns (or all) tested by ranks.
    exact : collection of str
        Columns tested by Fisher's exact test (two groups).
    continuous_test : {"student", "welch"}
    adjust : str
        Adjustment of the p values for the number of variables (`adjust_p_values`); other than
        "none", the frame has a column p_adjusted. Unadjusted p values are descriptive.

    Returns
    -------
    Description

    Raises
    ------
    SchemaError
        A column is absent.
    MissingDataError
        A row has no group, or no patient label.
    PairingError
        A variable that is not listed in `per_image` (or the group) changes within a patient.
    ArgumentError
        `per_image` without `patient_id`, or asked for an exact test.

    Notes
    -----
    Level shares differ by the Mahalanobis distance of Yang and Dalton (SAS Global Forum 2012).

    Examples
    --------
    >>> data = pd.DataFrame({"noa": [0, 0, 1, 1], "fsh": [4.0, 6.0, 14.0, 20.0]})
    >>> describe(data, by="noa").frame()[["variable", "group", "n", "mean"]].values.tolist()
    [['fsh', '0', 2, 5.0], ['fsh', '1', 2, 17.0], ['fsh', 'overall', 4, 11.0]]
    """
    check_option(continuous_test, tuple(CONTINUOUS_TESTS), name="continuous_test")
    names = _variable_names(data, by, variables, patient_id)
    _check_per_image(per_image, names, patient_id, exact)
    once = [name for name in names if name not in per_image]
    patients, n_images = _one_row_a_patient(data, once, by, patient_id)
    groups = Groups.of(None if by is None else patients[by], len(patients), name=str(by))
    imaged = groups if patient_id is None else groups.of_rows(patients.index, data[patient_id])
    choice = Choice(
        categorical=frozenset(categorical),
        nonnormal=frozenset(names if nonnormal is True else nonnormal or ()),
        exact=frozenset(exact),
        continuous_test=continuous_test,
        smd=smd and len(groups.labels) > 1,
        tests=tests and len(groups.labels) > 1,
    )
    described = [
        describe_variable(data[name], imaged, choice)
        if name in per_image
        else describe_variable(patients[name], groups, choice)
        for name in names
    ]
    unit = "row" if patient_id is None else "patient"
    statistics = _statistics(described, adjust)
    statistics["unit"] = np.where(statistics["variable"].isin(list(per_image)), "image", unit)
    return Description(
        statistics=statistics,
        groups=_sizes(groups, n_images),
        all_tests=_test_frame(described),
        differences=_difference_frame(described, groups.labels),
        unit=unit,
    )


def adjust_p_values(p_values: ArrayLike, method: str = "holm") -> NDArray[Float]:
    """Adjust p values for several questions, as R's p.adjust.

    Parameters
    ----------
    p_values : array_like, shape (k,)
        NaN stays NaN and does not count.
    method : {"holm", "bonferroni", "hochberg", "hommel", "BH", "BY", "none"}

    Returns
    -------
    (k,) float

    Examples
    --------
    >>> adjust_p_values([0.01, 0.02, 0.03], "BH").tolist()
    [0.03, 0.03, 0.03]
    """
    return adjust_p(p_values, method)


def _variable_names(
    data: pd.DataFrame, by: str | None, variables: Sequence[str] | None, patient_id: str | None
) -> list[str]:
    if not isinstance(data, pd.DataFrame):
        msg = f"`data` must be a pandas DataFrame; got {type(data).__name__}."
        raise SchemaError(msg)
    aside = {by, patient_id} - {None}
    names = list(data.columns if variables is None else variables)
    absent = [str(name) for name in (*names, *aside) if name not in data.columns]
    if absent or data.empty:
        found = f"lacks the columns {', '.join(absent)}" if absent else "has no rows"
        msg = f"`data` {found}; its columns are {', '.join(map(str, data.columns))}."
        raise SchemaError(msg)
    return [name for name in names if name not in aside]


def _check_per_image(
    per_image: Collection[str], names: list[str], patient_id: str | None, exact: Collection[str]
) -> None:
    absent = [str(name) for name in per_image if name not in names]
    if absent:
        msg = f"`per_image` names {', '.join(absent)}, which `variables` does not hold."
        raise ArgumentError(msg)
    if per_image and patient_id is None:
        msg = "`per_image` needs `patient_id`, the column that says which images belong together."
        raise ArgumentError(msg)
    both = [str(name) for name in exact if name in per_image]
    if both:
        msg = (
            f"`exact` names {', '.join(both)}, which `per_image` names too: the exact test takes "
            f"images of one patient for independent. Leave them out of `exact`."
        )
        raise ArgumentError(msg)


def _one_row_a_patient(
    data: pd.DataFrame, names: list[str], by: str | None, patient_id: str | None
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Rows to describe, and how many images stand behind each."""
    if patient_id is None:
        return data, np.ones(len(data), dtype=np.int64)
    _refuse_missing(data[patient_id], patient_id)
    used = [*names, *([by] if by is not None else [])]
    grouped = data.groupby(patient_id, sort=False, observed=True)
    n_values = grouped[used].nunique()
    n_varying = (n_values > 1).sum()
    varying = n_varying[n_varying > 0]
    if len(varying):
        found = ", ".join(f"{name} (in {n} patients)" for name, n in varying.items())
        msg = (
            f"Statistics are per patient, but these differ between the images of one patient: "
            f"{found}. Aggregate them first, or list them in `per_image` to describe images."
        )
        raise PairingError(msg)
    return grouped[used].first(), np.asarray(grouped.size(), dtype=np.int64)


def _refuse_missing(values: pd.Series[Any], name: str) -> None:
    missing = int(values.isna().sum())
    if missing:
        msg = f"`{name}` is missing in {missing} of {len(values)} rows; fill it in or drop them."
        raise MissingDataError(msg)


def _statistics(described: Sequence[Described], adjust: str) -> pd.DataFrame:
    frame = pd.DataFrame([row for one in described for row in one.rows], columns=list(COLUMNS))
    n_rows = [len(one.rows) for one in described]
    p_value = np.array([one.chosen.p_value for one in described])
    smd = [one.smd.mean() if one.smd.size else np.nan for one in described]
    frame["smd"] = np.repeat(np.array(smd, dtype=float), n_rows)
    frame["p_value"] = np.repeat(p_value, n_rows)
    frame["method"] = np.repeat(np.array([one.chosen.method for one in described], object), n_rows)
    if adjust != "none":
        frame["p_adjusted"] = np.repeat(adjust_p(p_value, adjust), n_rows)
    return frame


def _test_frame(described: Sequence[Described]) -> pd.DataFrame:
    rows = [
        (one.name, test.method, test.statistic, test.df, test.p_value)
        for one in described
        for test in one.tests
    ]
    return pd.DataFrame(rows, columns=["variable", "method", "statistic", "df", "p_value"])


def _difference_frame(described: Sequence[Described], labels: Sequence[str]) -> pd.DataFrame:
    rows = [
        (one.name, *pair, smd)
        for one in described
        for pair, smd in zip(combinations(labels, 2), one.smd, strict=False)
    ]
    return pd.DataFrame(rows, columns=["variable", "group_1", "group_2", "smd"])


def _sizes(groups: Groups, n_images: NDArray[np.int64]) -> pd.DataFrame:
    everybody = np.ones(len(n_images), dtype=bool)
    members = [*groups.members(), everybody]
    return pd.DataFrame(
        {
            "group": [*groups.labels, OVERALL],
            "n_patients": [int(rows.sum()) for rows in members],
            "n_images": [int(n_images[rows].sum()) for rows in members],
        }
    )
