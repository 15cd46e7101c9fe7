"""Labels of several classes and their probabilities: checked and put into one order."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    ProbabilityWarning,
    RiskError,
    SmallSampleWarning,
)

Float = np.float64
Codes = NDArray[np.int64]
Labels = tuple[Any, ...]
Probabilities = ArrayLike | pd.DataFrame | Mapping[Any, ArrayLike]

#: Rounding allowed in each probability of a row: two decimals.
ROUNDING = 0.005
#: A softmax of a softmax hides confident predictions; without one it cannot be told from doubt.
CONFIDENT = 0.85


@dataclass(frozen=True, kw_only=True)
class ClassRisks:
    """Class numbers and one column of probabilities a class, in the order of `labels`.

    Attributes
    ----------
    labels : tuple
    y : ndarray of int, shape (n,)
    p : ndarray, shape (n, K)
    """

    labels: Labels
    y: Codes
    p: NDArray[Float]

    @property
    def names(self) -> list[str]:
        return [str(label) for label in self.labels]

    @property
    def counts(self) -> Codes:
        """Cases of each class."""
        return np.bincount(self.y, minlength=len(self.labels))


def read_labels(values: ArrayLike, *, name: str) -> pd.Series:
    """One label a case, none missing.

    Raises
    ------
    OutcomeError
    """
    if isinstance(values, list | tuple):  # numpy would make the text "nan" of a missing label
        values = np.asarray(values, dtype=object)
    array = values if isinstance(values, pd.Series | pd.Categorical) else np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        msg = f"`{name}` must hold one class label a case; it has shape {array.shape}."
        raise OutcomeError(msg)
    series = pd.Series(array).reset_index(drop=True)
    missing = np.flatnonzero(series.isna())
    if missing.size:
        msg = f"`{name}` has {missing.size} missing labels (first at row {missing[0]})."
        raise OutcomeError(msg)
    return series


def declared_labels(classes: Iterable[Any]) -> Labels:
    """Labels that were declared, each once, two at least.

    Raises
    ------
    ArgumentError
    """
    labels = () if isinstance(classes, str) else tuple(classes)
    if len(labels) < 2 or len(set(labels)) != len(labels):
        msg = f"`classes` must name two or more classes, each once; got {classes!r}."
        raise ArgumentError(msg)
    return labels


def labels_seen(*columns: pd.Series) -> Labels:
    """The categories of a categorical, else all labels: numbers by size, others by name.

    Raises
    ------
    OutcomeError
        One label only.
    """
    if all(isinstance(column.dtype, pd.CategoricalDtype) for column in columns):
        categories = [list(column.cat.categories) for column in columns]
        if all(each == categories[0] for each in categories):
            return declared_labels(categories[0])
    values = list(dict.fromkeys(value for column in columns for value in column.tolist()))
    if len(values) < 2:
        msg = f"There is only one class, {values[0]!r}; declare the others in `classes`."
        raise OutcomeError(msg)
    if len({str(value) for value in values}) < len(values):
        msg = f"Labels stand as numbers here and as text there: {values[:6]}. Make them one type."
        raise OutcomeError(msg)
    numeric = all(isinstance(value, int | float | np.number) for value in values)
    return tuple(sorted(values) if numeric else sorted(values, key=str))


def class_codes(column: pd.Series, labels: Labels, *, name: str) -> Codes:
    """Position of each label among `labels`; numbers and their text are taken for the same.

    Raises
    ------
    OutcomeError
        A label that is not among the classes.
    """
    values = column.tolist()
    position = {label: i for i, label in enumerate(labels)}
    if not any(value in position for value in values):
        values, position = (
            [str(v) for v in values],
            {str(label): i for label, i in position.items()},
        )
    unknown = list(dict.fromkeys(value for value in values if value not in position))
    if unknown or len(position) < len(labels):
        msg = (
            f"`{name}` holds {unknown[:5]}, which is not among the classes {list(labels)}. Give "
            "`classes` in the order of the columns, spelt as in the outcome."
        )
        raise OutcomeError(msg)
    return np.array([position[value] for value in values], dtype=np.int64)


def check_class_risks(
    y: ArrayLike, p: Probabilities, classes: Sequence[Any] | None, *, name: str = "p"
) -> ClassRisks:
    """Check an outcome of several classes against its probabilities.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError
    """
    outcome = read_labels(y, name="y")
    columns, values = _table_of(p, name)
    if len(values) != len(outcome):
        msg = f"`y` has {len(outcome)} cases and `{name}` {len(values)} rows; give one row a case."
        raise PairingError(msg)
    check_simplex(values, name=name)
    labels, chosen = _columns_of_classes(outcome, columns, values.shape[1], classes, name)
    codes = class_codes(outcome, labels, name="y")
    return ClassRisks(labels=labels, y=codes, p=np.ascontiguousarray(values[:, chosen]))


def _table_of(p: Probabilities, name: str) -> tuple[list[Any] | None, NDArray[Float]]:
    """Names of the columns, where there are any, and the numbers."""
    table = pd.DataFrame(dict(p)) if isinstance(p, Mapping) else p
    columns = list(table.columns) if isinstance(table, pd.DataFrame) else None
    try:
        values = (
            table.to_numpy(dtype=float, na_value=np.nan)
            if isinstance(table, pd.DataFrame)
            else np.asarray(table, dtype=float)
        )
    except (TypeError, ValueError):
        msg = f"`{name}` must be a table of numbers, one row a case and one column a class."
        raise RiskError(msg) from None
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        msg = (
            f"`{name}` must have one column a class, shape (n, K); it has shape {values.shape}. "
            "For a single event use `auc` and `diagnostic_accuracy`."
        )
        raise RiskError(msg)
    if columns is not None and len(set(columns)) < len(columns):
        msg = f"`{name}` has columns of the same name: {columns}."
        raise ArgumentError(msg)
    return columns, values


def _columns_of_classes(
    outcome: pd.Series,
    columns: list[Any] | None,
    n_columns: int,
    classes: Sequence[Any] | None,
    name: str,
) -> tuple[Labels, list[int]]:
    """The classes, and the column of each."""
    if columns is None or (classes is not None and not _named(classes, columns)):
        labels = _labels_of_array(outcome, n_columns) if classes is None else classes
        labels = declared_labels(labels)
        if len(labels) != n_columns:
            msg = f"`{name}` has {n_columns} columns for {len(labels)} classes {list(labels)}."
            raise ArgumentError(msg)
        return labels, list(range(n_columns))
    if classes is None:
        return tuple(columns), list(range(n_columns))
    labels = declared_labels(classes)
    texts = [str(column) for column in columns]
    absent = [label for label in labels if str(label) not in texts]
    if absent:
        msg = f"`{name}` has no column for the classes {absent}; its columns are {columns}."
        raise ArgumentError(msg)
    return labels, [texts.index(str(label)) for label in labels]


def _named(classes: Iterable[Any], columns: list[Any]) -> bool:
    return bool({str(label) for label in classes} & {str(column) for column in columns})


def _labels_of_array(outcome: pd.Series, n_columns: int) -> Labels:
    """Whose column is whose where nothing says so: numbers count columns, categories are in order.

    Raises
    ------
    ArgumentError
        Text labels, whose order would have to be guessed.
    """
    if isinstance(outcome.dtype, pd.CategoricalDtype):
        return tuple(outcome.cat.categories)
    seen = set(outcome.tolist())
    if seen <= set(range(n_columns)):
        return (
            (False, True)
            if seen <= {False, True} and n_columns == 2 and _all_bool(seen)
            else (tuple(range(n_columns)))
        )
    msg = (
        f"The columns of `p` have no names and `y` holds {sorted(map(str, seen))[:5]}: declare "
        "`classes` in the order of the columns, or pass a DataFrame whose columns are the classes."
    )
    raise ArgumentError(msg)


def _all_bool(values: set[Any]) -> bool:
    return all(isinstance(value, bool | np.bool_) for value in values)


def check_simplex(values: NDArray[Float], *, name: str = "p") -> None:
    """Refuse rows that are no probabilities; warn of a softmax that was applied twice.

    Raises
    ------
    RiskError

    Warns
    -----
    ProbabilityWarning
    """
    bad = np.asarray(~np.isfinite(values).all(axis=1))
    if bad.any():
        msg = f"`{name}` has {bad.sum()} rows with missing or infinite values ({_first(bad)})."
        raise RiskError(msg)
    bad = np.asarray(((values < 0) | (values > 1)).any(axis=1))
    sums = values.sum(axis=1)
    if bad.any():
        percent = values.min() >= 0 and np.median(sums) > 50
        advice = (
            "Divide percentages by 100."
            if percent
            else "If these are logits, apply the softmax once: exp(l) / sum(exp(l))."
        )
        msg = f"`{name}` must lie in [0, 1]; {bad.sum()} rows do not ({_first(bad)}). {advice}"
        raise RiskError(msg)
    off = np.asarray(np.abs(sums - 1) > ROUNDING * values.shape[1])
    if off.any():
        msg = (
            f"Each row of `{name}` must sum to 1; {off.sum()} of {len(off)} do not "
            f"({_first(off)} sums to {sums[off][0]:.3f}). Give all classes; separate sigmoid "
            "outputs are no probabilities of classes that exclude each other."
        )
        raise RiskError(msg)
    _warn_of_double_softmax(values, name)


def _first(bad: NDArray[np.bool_]) -> str:
    return f"first: row {int(np.flatnonzero(bad)[0])}"


def _warn_of_double_softmax(values: NDArray[Float], name: str) -> None:
    """A softmax of q with sum(q) = 1 gives q back as log p - mean(log p) + 1 / K."""
    if (values <= 0).any():
        return
    logs = np.log(values)
    undone = logs - logs.mean(axis=1, keepdims=True) + 1 / values.shape[1]
    tolerance = 2 * ROUNDING
    inside = undone.min() >= -tolerance and undone.max() <= 1 + tolerance
    if inside and undone.max() > CONFIDENT:
        msg = (
            f"`{name}` looks like a softmax of probabilities: no value exceeds "
            f"{values.max():.2f} and undoing one softmax gives probabilities again. Ranking "
            "survives, calibration does not; apply the softmax exactly once, to the logits."
        )
        warnings.warn(msg, ProbabilityWarning, stacklevel=5)


def warn_of_absent(risks: ClassRisks) -> None:
    """Name the classes without a case.

    Raises
    ------
    OutcomeError
        Only one class has cases.
    """
    present = risks.counts > 0
    if present.sum() < 2:
        msg = (
            f"`y` holds only {risks.labels[int(np.argmax(present))]!r} (n = {len(risks.y)}); two "
            "classes at least are needed."
        )
        raise OutcomeError(msg)
    if not present.all():
        absent = [label for label, here in zip(risks.labels, present, strict=True) if not here]
        msg = (
            f"No case of {absent}: what needs one is NaN, averages over all classes too. Name the "
            "classes present in `classes` to leave the others out (columns of a DataFrame)."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)


def plain_label(label: Any) -> Any:
    """A label as a Python scalar, so that frames hold no numpy objects."""
    return cast("Any", label.item()) if isinstance(label, np.generic) else label
