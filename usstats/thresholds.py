"""Thresholds chosen in development and frozen, and what a frozen threshold achieves elsewhere.

The decision rule is everywhere "positive when the value >= threshold". Thresholds are observed
values; pROC reports mid-points between them, which classify the development data alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._accuracy.comparisons import (
    AccuracyComparison,
    DecisionComparison,
    compare_accuracy,
    compare_decisions,
)
from usstats._accuracy.diagnostic import DiagnosticAccuracy, accuracy_table, clustered_table
from usstats._check import (
    check_cluster,
    check_finite,
    check_inside,
    check_lengths,
    check_option,
    check_outcome,
)
from usstats._intervals import check_conf_level
from usstats._roc.points import RocPoints, roc_points
from usstats.errors import ArgumentError

__all__ = [
    "AccuracyComparison",
    "DecisionComparison",
    "DiagnosticAccuracy",
    "Threshold",
    "choose_threshold",
    "compare_accuracy",
    "compare_decisions",
    "diagnostic_accuracy",
]

Float = np.float64


@dataclass(frozen=True, kw_only=True, repr=False)
class Threshold:
    """A decision rule "value >= threshold" made in development, with how and on whom.

    Attributes
    ----------
    value : float
    criterion : str
    sensitivity, specificity : float
        In the development data, so optimistic.
    n, n_event : int
    """

    value: float
    criterion: str
    sensitivity: float
    specificity: float
    n: int
    n_event: int

    def decide(self, p: ArrayLike) -> NDArray[np.bool_]:
        """True where the rule calls a case positive."""
        return np.asarray(check_finite(p, name="p") >= self.value)

    def frame(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([asdict(self)])

    def summary(self) -> str:
        """The rule and its apparent performance in one line."""
        return (
            f"threshold >= {self.value:.6g} ({self.criterion}): apparent sensitivity "
            f"{self.sensitivity:.3f}, specificity {self.specificity:.3f}; "
            f"n = {self.n}, events = {self.n_event}, development data"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def choose_threshold(
    y: ArrayLike,
    p: ArrayLike,
    *,
    criterion: str = "youden",
    sensitivity: float | None = None,
    specificity: float | None = None,
    cost: float = 1.0,
    prevalence: float | None = None,
) -> Threshold:
    """Choose a threshold in development data; freeze it before any validation.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    p : array_like, shape (n,)
        Probability, or any finite score, higher = more likely an event.
    criterion : {"youden", "closest_topleft"}
        Largest sensitivity + r specificity, or smallest (1 - sensitivity)^2 +
        r (1 - specificity)^2. Of equally good thresholds the lowest, hence most sensitive, is
        taken. Ignored when a target is given.
    sensitivity : float, optional
        Target in (0, 1]: the highest threshold that reaches it.
    specificity : float, optional
        Target in (0, 1]: the lowest threshold that reaches it.
    cost, prevalence : float
        Cost of a missed event relative to a false alarm and prevalence where the rule will be
        used: r = (1 - prevalence) / (cost * prevalence). r is 1 without a prevalence.

    Returns
    -------
    Threshold

    Raises
    ------
    ArgumentError
        Both targets, a target outside (0, 1], or one that no observed value reaches.
    OutcomeError, RiskError, PairingError

    References
    ----------
    Youden (1950), Cancer 3:32. Perkins and Schisterman (2006), Am J Epidemiol 163:670.
    R: pROC::coords("best"), cutpointr.

    Examples
    --------
    >>> choose_threshold([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.7, 0.9])
    <threshold >= 0.4 (youden): apparent sensitivity 1.000, specificity 0.667; n = 6, ...>
    """
    check_option(criterion, tuple(_CRITERIA), name="criterion")
    outcome, score = check_outcome(y), check_finite(p, name="p")
    check_lengths(y=outcome, p=score)
    points = roc_points(outcome, score)
    if sensitivity is None and specificity is None:
        weight = _specificity_weight(cost, prevalence)
        row, name = int(np.argmax(_CRITERIA[criterion](points, weight)[:-1])), criterion
    else:
        row, name = _reach(points, sensitivity, specificity)
    return Threshold(
        value=float(points.threshold[row]),
        criterion=name,
        sensitivity=float(points.sensitivity[row]),
        specificity=float(points.specificity[row]),
        n=len(outcome),
        n_event=points.n_event,
    )


def _specificity_weight(cost: float, prevalence: float | None) -> float:
    cost = check_inside(cost, 0, np.inf, name="cost")
    if prevalence is not None:
        prevalence = check_inside(prevalence, 0, 1, name="prevalence")
        return (1 - prevalence) / (cost * prevalence)
    if cost != 1:
        msg = "`cost` needs the `prevalence` of the population in which the rule will be used."
        raise ArgumentError(msg)
    return 1.0


def _youden(points: RocPoints, weight: float) -> NDArray[Float]:
    """Sensitivity + weight * specificity times both class sizes: ties stay exact ties."""
    m, n = points.n_event, points.n_nonevent
    return np.asarray(points.true_positive * float(n) + weight * (points.true_negative * float(m)))


def _closest_topleft(points: RocPoints, weight: float) -> NDArray[Float]:
    m, n = points.n_event, points.n_nonevent
    missed = (m - points.true_positive) * float(n)
    alarms = points.false_positive * float(m)
    return np.asarray(-(missed**2 + weight * alarms**2))


_CRITERIA: dict[str, Callable[[RocPoints, float], NDArray[Float]]] = {
    "youden": _youden,
    "closest_topleft": _closest_topleft,
}


def _reach(
    points: RocPoints, sensitivity: float | None, specificity: float | None
) -> tuple[int, str]:
    """Row and name of the observed threshold that just reaches a target."""
    if sensitivity is not None and specificity is not None:
        msg = "Give one target: `sensitivity` or `specificity`, not both."
        raise ArgumentError(msg)
    name, target, reached = (
        ("sensitivity", sensitivity, points.sensitivity)
        if specificity is None
        else ("specificity", specificity, points.specificity)
    )
    if not isinstance(target, int | float | np.number) or not 0 < float(target) <= 1:
        msg = f"`{name}` must lie in (0, 1]; got {target!r}."
        raise ArgumentError(msg)
    rows = np.flatnonzero(reached[:-1] >= target - 1e-12)
    if not rows.size:
        msg = (
            f"No observed value reaches {name} {target:g}; the highest is {reached[:-1].max():.3f}."
        )
        raise ArgumentError(msg)
    return int(rows[-1] if name == "sensitivity" else rows[0]), f"{name} >= {target:g}"


def diagnostic_accuracy(
    y: ArrayLike,
    p: ArrayLike,
    *,
    threshold: float | Threshold,
    ci: str = "wilson",
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> DiagnosticAccuracy:
    """Sensitivity, specificity and their relatives at a threshold fixed beforehand.

    Parameters
    ----------
    y : array_like of 0/1, shape (n,)
    p : array_like, shape (n,)
        Probability or any finite score; positive when p >= threshold.
    threshold : float or Threshold
        Never a rule to search for here: choose it in development with `choose_threshold`.
    ci : {"wilson", "clopper-pearson", "wald", "logit"}
        Interval of the proportions. Likelihood and odds ratios use the log method; Youden's
        index combines the limits of sensitivity and specificity. With `cluster`, standard errors
        are Taylor-linearised over patients and the interval is "logit" (or "wald" on request);
        proportions of 0 or 1 then take Wilson's on the number of patients.
    cluster : array_like, shape (n,), optional
        Patient labels when a patient has several images.
    conf_level : float

    Returns
    -------
    DiagnosticAccuracy
        Rows sensitivity, specificity, ppv, npv, lr_pos, lr_neg, dor, accuracy, youden.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError

    Warns
    -----
    SmallSampleWarning
        A measure or limit is undefined because a cell of the table is empty.

    References
    ----------
    Simel et al. (1991), J Clin Epidemiol 44:763. R: epiR::epi.tests; survey::svymean.

    Examples
    --------
    >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> p = [0.1, 0.2, 0.3, 0.8, 0.4, 0.6, 0.7, 0.9]
    >>> accuracy = diagnostic_accuracy(y, p, threshold=0.5)
    >>> accuracy.frame()[["measure", "estimate"]].head(2)
           measure  estimate
    0  sensitivity      0.75
    1  specificity      0.75
    """
    check_option(ci, ("wilson", "clopper-pearson", "wald", "logit"), name="ci")
    check_conf_level(conf_level)
    value = _threshold_value(threshold)
    outcome, score = check_outcome(y, require_both=False), check_finite(p, name="p")
    check_lengths(y=outcome, p=score)
    codes = check_cluster(cluster, len(outcome))
    positive = score >= value
    table = (
        accuracy_table(outcome == 1, positive, ci, conf_level)
        if codes is None
        else clustered_table(outcome == 1, positive, codes, ci, conf_level)
    )
    return DiagnosticAccuracy(
        table=table,
        threshold=value,
        conf_level=conf_level,
        n=len(outcome),
        n_event=int(outcome.sum()),
        n_cluster=None if codes is None else int(codes.max()) + 1,
    )


def _threshold_value(threshold: object) -> float:
    if isinstance(threshold, Threshold):
        return threshold.value
    if (
        isinstance(threshold, int | float | np.number)
        and not isinstance(threshold, bool)
        and np.isfinite(float(threshold))
    ):
        return float(threshold)
    msg = (
        f"`threshold` must be a finite number or a Threshold; got {threshold!r}. Choose it in "
        "development with `choose_threshold`, never on the data it is judged on."
    )
    raise ArgumentError(msg)
