"""Accuracy of a classification into several classes: each class against the rest, and overall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._accuracy.paired_tests import mcnemar
from usstats._agreement.two_raters import cohen_kappa
from usstats._check import check_cluster, check_option
from usstats._intervals import check_conf_level, chi2_p
from usstats._multiclass.labels import (
    Codes,
    Labels,
    Probabilities,
    check_class_risks,
    class_codes,
    declared_labels,
    labels_seen,
    plain_label,
    read_labels,
)
from usstats._multiclass.one_vs_rest import (
    DEFAULT,
    MEASURES,
    Decisions,
    average_rows,
    class_rows,
    proportion_rows,
    warn_of_undefined,
)
from usstats.errors import ArgumentError, PairingError
from usstats.results import COLUMNS, unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_KAPPA = ("estimate", "std_error", "conf_low", "conf_high", "method", "statistic", "p_value")
INTERVALS = ("wilson", "clopper-pearson", "wald", "logit")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MulticlassReport:
    """What a classifier's decisions achieve, class by class. Made by `multiclass_report`.

    Attributes
    ----------
    classes : tuple
    conf_level : float
    n : int
    n_cluster : int or None
    """

    classes: Labels
    conf_level: float
    n: int
    n_cluster: int | None
    _table: pd.DataFrame = field(repr=False)
    _averages: pd.DataFrame = field(repr=False)
    _overall: pd.DataFrame = field(repr=False)
    _counts: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a class and measure: measure, group (the class), estimate, std_error, conf_low,
        conf_high, conf_level, method, n, n_event (cases of the class), numerator, denominator."""
        return self._table.copy()

    def averages(self) -> pd.DataFrame:
        """The means over classes that were asked for: group "macro" or "weighted"."""
        return self._averages.copy()

    def overall(self) -> pd.DataFrame:
        """Rows accuracy (p value: exact one-sided test that it exceeds the largest class share),
        kappa, no_information_rate, and symmetry (McNemar for two classes, else Bowker: whether
        the confusions of two classes go both ways equally often)."""
        return self._overall.copy()

    def confusion(self, *, normalise: str | None = None) -> pd.DataFrame:
        """Confusion matrix, rows predicted and columns true.

        Parameters
        ----------
        normalise : {None, "truth", "predicted", "all"}
            Shares of each column, of each row or of all cases instead of counts.
        """
        check_option(normalise, (None, "truth", "predicted", "all"), name="normalise")
        counts = self._counts.copy()
        if normalise is None:
            return counts
        totals: NDArray[np.int64] = {
            "truth": counts.sum(axis=0).to_numpy()[None, :],
            "predicted": counts.sum(axis=1).to_numpy()[:, None],
            "all": np.array([[self.n]]),
        }[normalise]
        shares = counts.to_numpy() / np.where(totals > 0, totals, np.nan)
        return pd.DataFrame(shares, index=counts.index, columns=counts.columns)

    def summary(self) -> str:
        """Overall accuracy and kappa, then the measures of each class."""
        lines = [repr(self)[1:-1]]
        for name in self._table["group"].unique():
            rows = self._table[self._table["group"] == name].to_dict("records")
            shown = ", ".join(
                f"{row['measure']} {row['estimate']:.3f} ({row['conf_low']:.3f} to "
                f"{row['conf_high']:.3f})"
                for row in rows
            )
            lines.append(f"  {name} (n = {rows[0]['n_event']}): {shown}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        rows = self._overall.set_index("measure")
        unit = unit_of_analysis(self.n_cluster)
        accuracy = rows.loc["accuracy"]
        return (
            f"<multi-class report, {len(self.classes)} classes: accuracy "
            f"{accuracy['estimate']:.3f} ({accuracy['conf_low']:.3f} to "
            f"{accuracy['conf_high']:.3f}), kappa {rows.loc['kappa', 'estimate']:.3f}, "
            f"{accuracy['method']}; n = {self.n}, unit: {unit}, {self.conf_level * 100:g} % "
            "intervals>"
        )

    def plot(self, ax: Axes | None = None, *, normalise: str = "truth") -> Axes:
        """The confusion matrix."""
        from usstats.plots.multiclass import plot_confusion

        return plot_confusion(self.confusion(), ax=ax, normalise=normalise)


def multiclass_report(
    y: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    p: Probabilities | None = None,
    classes: Sequence[Any] | None = None,
    measures: Sequence[str] | None = None,
    averages: Sequence[str] = (),
    cluster: ArrayLike | None = None,
    ci: str = "wilson",
    conf_level: float = 0.95,
) -> MulticlassReport:
    """Each class against the rest, overall accuracy, kappa, and the confusion matrix.

    Parameters
    ----------
    y : array_like, shape (n,)
        True classes: text, numbers, bool or categorical.
    predicted : array_like, shape (n,), optional
        Chosen classes. A table of probabilities, shape (n, K), is taken for `p`.
    p : DataFrame, mapping or array_like, shape (n, K), optional
        Probabilities instead of decisions: the most probable class is chosen, the first one of
        equals.
    classes : sequence, optional
        All classes in the order of the table; with an unnamed array `p` that of its columns.
    measures : sequence of str, optional
        Default accuracy, sensitivity, specificity, ppv, npv. On request f1, balanced_accuracy,
        prevalence, detection_rate (true positives among all) and detection_prevalence. Accuracy
        against the rest rewards calling everything "other"; F1 ignores true negatives and is no
        measure of a decision's value.
    averages : sequence of {"macro", "weighted"}, optional
        Means over classes, plain or weighted by class share, with delta-method limits on the
        logit; see `.averages()`.
    cluster : array_like, shape (n,), optional
        Patient labels when a patient has several images: standard errors are Taylor-linearised
        over patients and limits are those of `diagnostic_accuracy`.
    ci : {"wilson", "clopper-pearson", "wald", "logit"}
        Interval of the proportions, overall accuracy included. F1 carries the limits of
        TP / (TP + FP + FN) over.
    conf_level : float

    Returns
    -------
    MulticlassReport

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        A measure without any case to compute it from: NaN.
    ProbabilityWarning
        The probabilities look like a softmax of a softmax.

    References
    ----------
    Wilson (1927), J Am Stat Assoc 22:209. Bowker (1948), J Am Stat Assoc 43:572. R:
    caret::confusionMatrix.

    Examples
    --------
    >>> y = ["benign", "benign", "benign", "BCC", "BCC", "melanoma"]
    >>> predicted = ["benign", "benign", "BCC", "BCC", "BCC", "benign"]
    >>> report = multiclass_report(y, predicted, classes=["benign", "BCC", "melanoma"],
    ...                            measures=["sensitivity", "specificity"])
    >>> report.frame()[["measure", "group", "estimate"]].head(2)
           measure   group  estimate
    0  sensitivity  benign      0.67
    1  specificity  benign      0.67
    >>> int(report.confusion().loc["benign", "melanoma"])
    1
    """
    check_option(ci, INTERVALS, name="ci")
    check_conf_level(conf_level)
    wanted = _check_names(measures or DEFAULT, MEASURES, "measures")
    means = _check_names(averages, ("macro", "weighted"), "averages")
    labels, truth, chosen = _decide(y, predicted, p, classes)
    decisions = Decisions(
        y=truth,
        chosen=chosen,
        names=[str(label) for label in labels],
        cluster=check_cluster(cluster, len(truth)),
    )
    n_cluster = None if decisions.cluster is None else int(decisions.cluster.max()) + 1
    facts = {"conf_level": conf_level, "n": len(truth)}
    facts |= {} if n_cluster is None else {"n_cluster": n_cluster}
    rows = [
        row for k in range(len(labels)) for row in class_rows(decisions, k, wanted, ci, conf_level)
    ]
    table = _framed(rows, facts)
    warn_of_undefined(table)
    plain = tuple(plain_label(label) for label in labels)
    return MulticlassReport(
        classes=plain,
        conf_level=conf_level,
        n=len(truth),
        n_cluster=n_cluster,
        _table=table,
        _averages=_framed(average_rows(decisions, wanted, means, conf_level), facts),
        _overall=_framed(_overall_rows(decisions, ci, conf_level), facts),
        _counts=pd.DataFrame(
            decisions.counts(),
            index=pd.Index(plain, name="predicted"),
            columns=pd.Index(plain, name="truth"),
        ),
    )


def _check_names(names: Sequence[str], offered: tuple[str, ...], argument: str) -> tuple[str, ...]:
    chosen = (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        check_option(name, offered, name=argument)
    return tuple(dict.fromkeys(chosen))


def _decide(
    y: ArrayLike,
    predicted: ArrayLike | None,
    p: Probabilities | None,
    classes: Sequence[Any] | None,
) -> tuple[Labels, Codes, Codes]:
    """Classes, true and chosen class numbers."""
    if predicted is not None and p is None and _is_table(predicted):
        predicted, p = None, predicted
    if (predicted is None) == (p is None):
        msg = "Give the chosen classes (`predicted`) or their probabilities (`p`), one of them."
        raise ArgumentError(msg)
    if p is not None:
        risks = check_class_risks(y, p, classes)
        return risks.labels, risks.y, np.argmax(risks.p, axis=1).astype(np.int64)
    columns = read_labels(y, name="y"), read_labels(predicted, name="predicted")  # type: ignore[arg-type]
    if len(columns[0]) != len(columns[1]):
        msg = f"`y` has {len(columns[0])} cases and `predicted` {len(columns[1])}."
        raise PairingError(msg)
    labels = labels_seen(*columns) if classes is None else declared_labels(classes)
    truth, chosen = (
        class_codes(column, labels, name=name)
        for column, name in zip(columns, ("y", "predicted"), strict=True)
    )
    return labels, truth, chosen


def _is_table(values: object) -> bool:
    return isinstance(values, pd.DataFrame | dict) or np.ndim(values) == 2  # type: ignore[arg-type]


def _framed(rows: list[dict[str, Any]], facts: dict[str, Any]) -> pd.DataFrame:
    """Rows in the shared vocabulary, counts last."""
    names = [*COLUMNS, "numerator", "denominator"]
    table = pd.DataFrame(rows, columns=_present(rows, names)).assign(**facts)
    for name in ("numerator", "denominator", "n_event"):
        if name in table:
            table[name] = table[name].astype("Int64")
    return table[[name for name in names if name in table]]


def _present(rows: list[dict[str, Any]], names: list[str]) -> list[str]:
    basic = ["measure", "group", "estimate", "std_error", "conf_low", "conf_high", "method"]
    return [n for n in names if n in basic or any(n in row for row in rows)]


def _overall_rows(decisions: Decisions, ci: str, conf_level: float) -> list[dict[str, Any]]:
    right, everyone = decisions.y == decisions.chosen, np.ones(len(decisions.y), dtype=bool)
    correct = proportion_rows(everyone, right, decisions.cluster, ci, conf_level)["sensitivity"]
    size = len(decisions.names)
    kappa = cohen_kappa(
        decisions.chosen,
        decisions.y,
        levels=range(size),
        cluster=decisions.cluster,
        conf_level=conf_level,
    )
    largest = int(decisions.counts().sum(axis=0).max())
    n = len(decisions.y)
    exceeds = float(special.bdtrc(int(right.sum()) - 1, n, largest / n)) if right.any() else 1.0
    independent = decisions.cluster is None
    rows: list[dict[str, Any]] = [
        correct | {"measure": "accuracy", "p_value": exceeds if independent else np.nan},
        {name: getattr(kappa, name) for name in _OF_KAPPA} | {"measure": "kappa"},
        {
            "measure": "no_information_rate",
            "estimate": largest / n,
            "method": "largest class share",
        },
        _symmetry(decisions.counts(), independent=independent),
    ]
    return [{"group": "all", **row} for row in rows]


def _symmetry(counts: Codes, *, independent: bool) -> dict[str, Any]:
    """McNemar with continuity correction for two classes, Bowker for more; NaN by patient."""
    above = np.triu_indices(len(counts), 1)
    b, c = counts[above], counts.T[above]
    apart = b + c > 0
    method, df = ("mcnemar", 1) if len(counts) == 2 else ("bowker", int(apart.sum()))
    if not independent:
        return {"measure": "symmetry", "method": f"{method}, undefined for clustered cases"}
    if len(counts) == 2:
        statistic, p_value = mcnemar(int(b[0]), int(c[0]), method="chi2_corrected")
    else:
        statistic = float(((b - c)[apart] ** 2 / (b + c)[apart]).sum())
        p_value = chi2_p(statistic, df) if df else 1.0
    return {
        "measure": "symmetry",
        "statistic": statistic,
        "df": df,
        "p_value": p_value,
        "method": method,
    }
