"""What a network is worth on the cases it keeps, when it leaves its most uncertain ones to people.

It loads no torch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

import usstats
from usstats._check import (
    check_cluster,
    check_finite,
    check_inside,
    check_lengths,
    check_outcome,
    check_risk,
    one_dimensional,
)
from usstats._intervals import check_conf_level
from usstats.errors import ArgumentError, OutcomeError, RiskError, SmallSampleWarning

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AbstentionCurve", "abstention_curve"]

Float = np.float64
MEASURES = ("accuracy", "sensitivity", "specificity")


@dataclass(frozen=True, kw_only=True, repr=False)
class AbstentionCurve:
    """Performance on the retained cases, by how many are retained.

    Attributes
    ----------
    table : DataFrame
        See `frame`.
    area : float
        Area under the error rate over the retained share (Geifman and El-Yaniv 2017); lower is
        better. Ties count as if broken at random.
    area_random, area_best : float
        The same if cases were left out at random, and if the wrong ones went first.
    """

    table: pd.DataFrame
    area: float
    area_random: float
    area_best: float
    conf_level: float
    n: int
    n_event: int | None
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """One row a measure and retained share, at full precision.

        measure, retained (the share there really is: ties stay together), n_abstained,
        uncertainty_limit (the largest that is retained), estimate, conf_low, conf_high,
        conf_level, method, n, n_event, n_cluster.
        """
        return self.table.copy()

    def summary(self) -> str:
        """Accuracy with everybody and with the fewest, and the areas."""
        rows = self.table[self.table["measure"] == "accuracy"]
        first, last = rows.iloc[0], rows.iloc[-1]
        unit = "case" if self.n_cluster is None else f"patient ({self.n_cluster} clusters)"
        return (
            f"accuracy {first.estimate:.3f} on {first.retained:.0%} of the cases and "
            f"{last.estimate:.3f} on {last.retained:.0%}; area under error by retained share "
            f"{self.area:.4f} (at random {self.area_random:.4f}, best {self.area_best:.4f}); "
            f"n = {self.n}, unit: {unit}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the measures over the retained share."""
        from usstats.plots.abstention import plot_abstention

        return plot_abstention(self, ax)

    def __repr__(self) -> str:
        return f"<AbstentionCurve: {self.summary()}>"


def abstention_curve(
    y: ArrayLike,
    p: ArrayLike,
    *,
    uncertainty: ArrayLike,
    threshold: float = 0.5,
    retained: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> AbstentionCurve:
    """Measures on the cases whose uncertainty is lowest.

    Parameters
    ----------
    y : array_like, shape (n,)
        0/1; or classes 0 to K - 1 where `p` has K columns.
    p : array_like, shape (n,) or (n, K)
        Probability of the event, or of each class.
    uncertainty : array_like, shape (n,)
        Any finite number, higher = less certain: `mutual_information`, `predictive_entropy`, or
        -abs(p - threshold) for a band around the threshold.
    threshold : float
        Positive when p >= threshold; fixed in development. Not used with K classes.
    retained : array_like of float in (0, 1], optional
        Shares of the cases to keep; 1.00, 0.95 ... 0.50 by default. Cases as uncertain as the
        last one kept are kept too.
    cluster : array_like, shape (n,), optional
        Patient labels when a patient has several images.
    conf_level : float

    Returns
    -------
    AbstentionCurve
        accuracy, and for a 0/1 outcome sensitivity, specificity and auc. Intervals are those of
        `usstats.diagnostic_accuracy` and `usstats.auc` on the retained cases.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        A measure is undefined at some share, because a class is no longer there.

    References
    ----------
    El-Yaniv and Wiener (2010), J Mach Learn Res 11:1605.

    Examples
    --------
    >>> p = np.array([0.1, 0.2, 0.45, 0.4, 0.55, 0.6, 0.8, 0.9])
    >>> y = np.array([0, 0, 1, 0, 0, 1, 1, 1])
    >>> curve = abstention_curve(y, p, uncertainty=-abs(p - 0.5), retained=[1, 0.75])
    >>> curve.frame().loc[lambda t: t["measure"] == "accuracy", ["retained", "estimate"]]
       retained  estimate
    0      1.00      0.75
    4      0.75      1.00
    """
    check_conf_level(conf_level)
    cases = _checked_cases(y, p, uncertainty, threshold, cluster)
    shares = _checked_shares(retained)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        table = pd.DataFrame(
            [row for share in shares for row in _rows_at(cases, share, conf_level)]
        )
    _warn_of_undefined(table)
    area, area_random, area_best = _areas(~cases.correct, cases.uncertainty)
    return AbstentionCurve(
        table=table,
        area=area,
        area_random=area_random,
        area_best=area_best,
        conf_level=conf_level,
        n=len(cases.correct),
        n_event=None if cases.p.ndim == 2 else int(cases.y.sum()),
        n_cluster=None if cases.cluster is None else len(np.unique(cases.cluster)),
    )


@dataclass(frozen=True, kw_only=True)
class _Cases:
    """Checked arrays, one entry a case."""

    y: NDArray[np.int64]
    p: NDArray[Float]
    uncertainty: NDArray[Float]
    correct: NDArray[np.bool_]
    threshold: float
    cluster: NDArray[np.int64] | None


def _checked_cases(
    y: ArrayLike, p: ArrayLike, uncertainty: ArrayLike, threshold: float, cluster: ArrayLike | None
) -> _Cases:
    doubt = check_finite(uncertainty, name="uncertainty")
    if np.ndim(p) == 2:
        risk, outcome = _checked_classes(y, np.asarray(p, dtype=float))
        decision = risk.argmax(axis=1)
    else:
        risk, outcome = check_risk(p), check_outcome(y, require_both=False)
        decision = (risk >= check_inside(threshold, 0, 1, name="threshold")).astype(int)
    check_lengths(y=outcome, p=risk, uncertainty=doubt)
    return _Cases(
        y=outcome,
        p=risk,
        uncertainty=doubt,
        correct=decision == outcome,
        threshold=float(threshold),
        cluster=check_cluster(cluster, len(outcome)),
    )


def _checked_classes(y: ArrayLike, p: NDArray[Float]) -> tuple[NDArray[Float], NDArray[np.int64]]:
    if not np.isfinite(p).all() or (p < 0).any() or not np.allclose(p.sum(axis=1), 1, atol=1e-4):
        bad = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & (abs(p.sum(axis=1) - 1) < 1e-4))
        msg = (
            f"Rows of `p` must be probabilities that sum to 1; {bad.sum()} of {len(p)} do not "
            f"(first: row {np.flatnonzero(bad)[0]}). If these are logits, apply softmax once."
        )
        raise RiskError(msg)
    classes = one_dimensional(y, "y", OutcomeError)
    if not np.isin(classes, np.arange(p.shape[1])).all():
        msg = f"`y` must hold classes 0 to {p.shape[1] - 1}, the columns of `p`."
        raise OutcomeError(msg)
    return p, classes.astype(np.int64)


def _checked_shares(retained: ArrayLike | None) -> NDArray[Float]:
    if retained is None:
        return np.linspace(1.0, 0.5, 11)
    shares = np.atleast_1d(np.asarray(retained, dtype=float))
    if shares.ndim != 1 or shares.size == 0 or not ((shares > 0) & (shares <= 1)).all():
        msg = f"`retained` must be shares above 0 and up to 1; got {retained!r}."
        raise ArgumentError(msg)
    return np.sort(shares)[::-1]


def _rows_at(cases: _Cases, share: float, conf_level: float) -> list[dict[str, Any]]:
    """The measures on the `share` of cases that are least uncertain."""
    n = len(cases.uncertainty)
    last = max(int(np.ceil(share * n - 1e-9)), 1) - 1
    limit = np.partition(cases.uncertainty, last)[last]
    kept = cases.uncertainty <= limit
    facts = {
        "retained": kept.mean(),
        "n_abstained": int(n - kept.sum()),
        "uncertainty_limit": float(limit),
    }
    return [
        {"measure": row.pop("measure"), **facts, **row}
        for row in _measures(cases, kept, conf_level)
    ]


def _measures(cases: _Cases, kept: NDArray[np.bool_], conf_level: float) -> list[dict[str, Any]]:
    cluster = None if cases.cluster is None else cases.cluster[kept]
    y, p = cases.y[kept], cases.p[kept]
    # With K classes the rule "always right" is compared with whether it was.
    truth, score = (y, p) if p.ndim == 1 else (cases.correct[kept], np.ones(len(y)))
    table = usstats.diagnostic_accuracy(
        truth, score, threshold=cases.threshold, cluster=cluster, conf_level=conf_level
    ).frame()
    wanted = MEASURES if p.ndim == 1 else MEASURES[:1]
    columns = ["measure", "estimate", "conf_low", "conf_high", "conf_level", "method"]
    rows = table.set_index("measure", drop=False).loc[list(wanted), columns].to_dict("records")
    if p.ndim == 1:
        rows.append(_auc_row(y, p, cluster, conf_level))
    sizes: dict[str, Any] = {"n": len(y)} | ({"n_event": int(y.sum())} if p.ndim == 1 else {})
    sizes |= {} if cluster is None else {"n_cluster": len(np.unique(cluster))}
    return [row | sizes for row in rows]


def _auc_row(
    y: NDArray[np.int64], p: NDArray[Float], cluster: NDArray[Any] | None, conf_level: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"measure": "auc", "conf_level": conf_level, "method": "delong"}
    if y.min() == y.max():
        return row | dict.fromkeys(("estimate", "conf_low", "conf_high"), np.nan)
    found = usstats.auc(y, p, cluster=cluster, conf_level=conf_level)
    names = ("estimate", "conf_low", "conf_high", "method")
    return row | {name: getattr(found, name) for name in names}


def _areas(wrong: NDArray[np.bool_], uncertainty: NDArray[Float]) -> tuple[float, float, float]:
    """Mean error rate over all numbers of retained cases: as ordered, at random, and at best."""
    n = len(wrong)
    _, codes, counts = np.unique(uncertainty, return_inverse=True, return_counts=True)
    share = np.bincount(codes, weights=wrong) / counts
    kept = np.arange(1, n + 1)
    by_order = np.cumsum(np.repeat(share, counts)) / kept
    best = np.cumsum(np.sort(wrong)) / kept
    return float(by_order.mean()), float(wrong.mean()), float(best.mean())


def _warn_of_undefined(table: pd.DataFrame) -> None:
    undefined = table[table["estimate"].isna()]
    if len(undefined):
        first = undefined.iloc[0]
        msg = (
            f"{len(undefined)} of {len(table)} measures are undefined (first: {first.measure} at "
            f"{first.retained:.0%} retained): a class is not among the retained cases."
        )
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
