"""Two sets of class probabilities for the same cases: the difference of their AUCs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._intervals import check_conf_level, normal_quantile, two_sided_p
from usstats._multiclass.auc import area_set
from usstats._multiclass.averages import AVERAGES, AreaSet, describe_parts, resampled_row
from usstats._multiclass.labels import Labels, Probabilities, plain_label, warn_of_absent
from usstats._resampling.draws import Resamples
from usstats._roc.limits import square_and_add
from usstats.errors import ArgumentError, SmallSampleWarning
from usstats.results import unit_of_analysis

Float = np.float64
Row = dict[str, Any]
_COLUMNS = (
    "measure",
    "group",
    "model_1",
    "model_2",
    "auc_1",
    "auc_2",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "statistic",
    "p_value",
    "note",
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MulticlassAucComparison:
    """Difference of two multi-class AUCs on the same cases, first minus second.

    Attributes
    ----------
    average, method : str
    classes : tuple
    conf_level : float
    n : int
    n_cluster, n_boot, n_failed, seed : int or None
    """

    average: str
    classes: Labels
    method: str
    conf_level: float
    n: int
    n_cluster: int | None
    n_boot: int | None
    n_failed: int | None
    seed: int | None
    _table: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row, the average named beforehand: measure, group, model_1, model_2, auc_1, auc_2,
        estimate, std_error, conf_low, conf_high, statistic, p_value, note, level and sample."""
        return self._rows(self._table["measure"] == f"auc_{self.average.replace('-', '_')}")

    def by_class(self) -> pd.DataFrame:
        """Differences of the one-vs-rest AUCs, with intervals and without p values."""
        return self._rows(self._table["measure"] == "auc").drop(columns=["statistic", "p_value"])

    def _rows(self, chosen: pd.Series) -> pd.DataFrame:
        facts = {name: getattr(self, name) for name in _FACTS}
        known = {name: fact for name, fact in facts.items() if fact is not None}
        return self._table[chosen].reset_index(drop=True).assign(**known)

    def summary(self) -> str:
        """Both AUCs and their difference in one line."""
        row = self.frame().iloc[0]
        unit = unit_of_analysis(self.n_cluster)
        note = f" ({row['note']})" if row["note"] else ""
        return (
            f"{row['measure']} {row['auc_1']:.3f} and {row['auc_2']:.3f}, difference "
            f"{row['estimate']:.3f} ({self.conf_level * 100:g} % {row['conf_low']:.3f} to "
            f"{row['conf_high']:.3f}), p = {row['p_value']:.3g}{note}, {self.method}; "
            f"n = {self.n}, unit: {unit}, {len(self.classes)} classes"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


_FACTS = ("conf_level", "method", "n", "n_cluster", "n_boot", "n_failed", "seed")


def compare_multiclass_auc(
    y: ArrayLike,
    p_1: Probabilities,
    p_2: Probabilities,
    *,
    classes: Sequence[Any] | None = None,
    average: str = "hand-till",
    cluster: ArrayLike | None = None,
    ci: str = "delong",
    conf_level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> MulticlassAucComparison:
    """Compare two classifications of the same cases by their multi-class AUC.

    Parameters
    ----------
    y : array_like, shape (n,)
    p_1, p_2 : DataFrame, mapping or array_like, shape (n, K)
        Class probabilities of the two models.
    classes, average, cluster
        As in `multiclass_auc`.
    ci : {"delong", "bootstrap", "percentile", "bca"}
        "delong" takes the correlation of both models into account through the differences of
        their placement values; the others draw the same patients for both.
    conf_level : float
    n_boot, seed, resamples
        For the bootstrap.

    Returns
    -------
    MulticlassAucComparison
        The difference is first minus second.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        A class without cases, or a difference whose variance is zero or undefined.

    References
    ----------
    DeLong et al. (1988), Biometrics 44:837. Obuchowski (1997), Biometrics 53:567.

    Examples
    --------
    >>> y = [0, 0, 1, 1, 2, 2] * 3
    >>> p_1 = [[.8, .1, .1], [.4, .5, .1], [.2, .7, .1], [.5, .4, .1], [.1, .2, .7], [.3, .1, .6]]
    >>> p_2 = [[.6, .2, .2], [.3, .6, .1], [.5, .4, .1], [.5, .4, .1], [.1, .2, .7], [.3, .1, .6]]
    >>> compare_multiclass_auc(y, p_1 * 3, p_2 * 3, average="macro")
    <auc_macro 0.917 and 0.812, difference 0.104 (95 % -0.016 to 0.225), p = 0.0898, ...>
    """
    check_option(average, AVERAGES, name="average")
    check_option(ci, ("delong", "bootstrap", "percentile", "bca"), name="ci")
    check_conf_level(conf_level)
    one = area_set(y, p_1, classes, cluster, name="p_1")
    two = area_set(y, p_2, one.risks.labels if classes is None else classes, cluster, name="p_2")
    _check_same_classes(one, two)
    warn_of_absent(one.risks)
    draws = None if ci == "delong" else one.draws(resamples, n_boot, seed)
    kind = "percentile" if ci == "bootstrap" else ci
    rows = _differences(one, two, draws, kind, conf_level)
    chosen = rows[AVERAGES.index(average)]
    table = pd.DataFrame(
        [{**who, **row} for who, row in zip(describe_parts(one), rows, strict=True)]
    )
    return MulticlassAucComparison(
        average=average,
        classes=tuple(plain_label(label) for label in one.risks.labels),
        method=chosen["method"],
        conf_level=conf_level,
        n=len(one.risks.y),
        n_cluster=None if one.cluster is None else int(one.cluster.max()) + 1,
        n_boot=None if draws is None else len(draws),
        n_failed=chosen.get("n_failed"),
        seed=None if draws is None else draws.seed,
        _table=table[list(_COLUMNS)],
    )


def _check_same_classes(one: AreaSet, two: AreaSet) -> None:
    if one.risks.names != two.risks.names:
        msg = f"`p_1` has the classes {one.risks.names}, `p_2` {two.risks.names}."
        raise ArgumentError(msg)


def _differences(
    one: AreaSet, two: AreaSet, draws: Resamples | None, ci: str, conf_level: float
) -> list[Row]:
    """One row an average and a class."""
    areas = np.stack([one.estimates, two.estimates], axis=1)
    variances = one.variances(two)
    values = left_out = None
    if draws is not None:
        values = one.replicates(draws) - two.replicates(draws)
        left_out = one.without_each(draws) - two.without_each(draws) if ci == "bca" else None
    plain = "delong" if one.cluster is None else "obuchowski"
    rows = []
    for j, pair in enumerate(areas):
        if not variances[j] > 0:
            rows.append(_without_variance(one, two, j, conf_level))
        elif draws is None or values is None:
            rows.append(_wald(pair, float(variances[j]), conf_level, plain))
        else:
            spared = None if left_out is None else left_out[:, j]
            difference = float(pair[0] - pair[1])
            row = resampled_row(difference, values[:, j], spared, draws, ci, conf_level)
            rows.append(_row(pair, **row))
    _warn_of_undefined(rows)
    return rows


def _row(
    pair: NDArray[Float],
    *,
    estimate: float,
    std_error: float,
    conf_low: float,
    conf_high: float,
    method: str,
    note: str = "",
    **rest: Any,
) -> Row:
    statistic = estimate / std_error if std_error > 0 else (0.0 if note else np.nan)
    return {
        "model_1": "model 1",
        "model_2": "model 2",
        "auc_1": float(pair[0]),
        "auc_2": float(pair[1]),
        "estimate": estimate,
        "std_error": std_error,
        "conf_low": max(conf_low, -1.0) if np.isfinite(conf_low) else conf_low,
        "conf_high": min(conf_high, 1.0) if np.isfinite(conf_high) else conf_high,
        "statistic": statistic,
        "p_value": float(two_sided_p(statistic)),
        "note": note,
        "method": method,
        **rest,
    }


def _wald(pair: NDArray[Float], variance: float, conf_level: float, method: str) -> Row:
    difference, std_error = float(pair[0] - pair[1]), float(np.sqrt(variance))
    half = normal_quantile(conf_level) * std_error
    return _row(
        pair,
        estimate=difference,
        std_error=std_error,
        conf_low=difference - half,
        conf_high=difference + half,
        method=method,
    )


def _without_variance(one: AreaSet, two: AreaSet, j: int, conf_level: float) -> Row:
    """The same rankings (limits 0), two perfect curves (limits from Newcombe's), or unknown."""
    pair = np.array([one.estimates[j], two.estimates[j]])
    difference = float(pair[0] - pair[1])
    if not np.isfinite(difference):
        return _constant(pair, np.nan, method="undefined")
    if difference == 0 and 0 < pair[0] < 1:
        return _constant(pair, 0.0, method="delong", note="identical")
    low, high = square_and_add(
        (pair[0], pair[1]), one.bounds(conf_level)[j], two.bounds(conf_level)[j]
    )
    note = f"both AUCs are {pair[0]:g}; limits from Newcombe's" if difference == 0 else ""
    return _row(
        pair,
        estimate=difference,
        std_error=np.nan,
        conf_low=low,
        conf_high=high,
        method="newcombe",
        note=note,
    )


def _constant(pair: NDArray[Float], value: float, *, method: str, note: str = "") -> Row:
    return _row(
        pair,
        estimate=value,
        std_error=value,
        conf_low=value,
        conf_high=value,
        method=method,
        note=note,
    )


def _warn_of_undefined(rows: Sequence[Row]) -> None:
    if any(np.isnan(row["p_value"]) and np.isfinite(row["estimate"]) for row in rows):
        msg = "The variance of an AUC difference is zero or undefined; its p value is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=4)
