"""Curves corrected for optimism: net benefit and calibration of the development cohort."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import Float
from usstats._decision.net_benefit import odds
from usstats._validation.indexes import Side
from usstats._validation.overfitting import correct
from usstats._validation.plans import Plan
from usstats._validation.refits import Refits, average_copies, judge_refits
from usstats.errors import RiskError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Float]


def net_benefits(side: Side, thresholds: Array) -> Array:
    """Net benefit of every row of a side at every threshold, shape (r, n_threshold)."""
    risk, w = special.expit(side.lp), side.w
    event, total = w * side.y, w.sum(axis=1)
    curve = np.empty((len(risk), thresholds.size))
    for j, (t, price) in enumerate(zip(thresholds, odds(thresholds), strict=True)):
        positive = risk >= t
        found = (event * positive).sum(axis=1)
        curve[:, j] = (found - price * ((w * positive).sum(axis=1) - found)) / total
    return curve


@dataclass(frozen=True, kw_only=True)
class CorrectedDecisionCurve:
    """Decision curve of the development cohort with the optimism taken off.

    Made by `InternalValidation.decision_curve`.
    """

    model: str
    n: int
    n_event: int
    n_boot: int
    n_failed: int
    method: str
    seed: int | None
    _table: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a strategy and threshold.

        Columns: model, threshold_probability, net_benefit (corrected), standardized_net_benefit,
        interventions_avoided, apparent, training, test, optimism.
        """
        return self._table.copy()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the corrected curve beside treat all and treat none."""
        from usstats.plots.decision import plot_decision

        return plot_decision(self, ax)

    def summary(self) -> str:
        """Largest optimism, with the method behind it."""
        rows = self._table[self._table["model"] == self.model]
        worst = rows.loc[rows["optimism"].abs().idxmax()]
        return (
            f"Net benefit of {self.model} corrected by {self.method} ({self.n_boot} refits, "
            f"{self.n_failed} failed): optimism up to {worst['optimism']:.4f} at threshold "
            f"{worst['threshold_probability']:g}; n = {self.n}, events = {self.n_event}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def corrected_decision_curve(
    apparent: Side, refits: Refits, plan: Plan, thresholds: ArrayLike, *, model: str
) -> CorrectedDecisionCurve:
    """Net benefit of the model, corrected by the mean optimism, beside the two references."""
    at = _check_thresholds(thresholds)
    own = average_copies(net_benefits(apparent, at), 1)[0]
    sides = judge_refits(refits, lambda side, _: net_benefits(side, at), at.size)
    prevalence = float(apparent.y.mean())
    everybody = prevalence - (1 - prevalence) * odds(at)
    treated = (special.expit(apparent.lp)[:, :, None] >= at).mean(axis=(0, 1))
    found = correct(own, *sides, plan, treated * everybody)
    tables = [
        _curve(model, at, found.corrected, everybody, prevalence).assign(
            apparent=own,
            training=found.training,
            test=found.test,
            optimism=own - found.corrected,
        ),
        _reference("treat_all", at, everybody, everybody, prevalence),
        _reference("treat_none", at, np.zeros(at.size), everybody, prevalence),
    ]
    return CorrectedDecisionCurve(
        model=model,
        n=apparent.y.size,
        n_event=int(apparent.y.sum()),
        n_boot=refits.n_boot,
        n_failed=int(refits.failed.sum()),
        method=plan.method,
        seed=plan.seed,
        _table=pd.concat(tables, ignore_index=True),
    )


def _check_thresholds(thresholds: ArrayLike) -> Array:
    at = np.atleast_1d(np.asarray(thresholds, dtype=float))
    if at.ndim != 1 or at.size == 0 or not ((at > 0) & (at < 1)).all():
        msg = (
            "`thresholds` must be probabilities inside (0, 1), for example "
            f"np.arange(0.05, 0.60, 0.01); got {at.ravel()[:3].tolist()} ..."
        )
        raise RiskError(msg)
    return np.unique(at)


def _curve(
    model: str, at: Array, net_benefit: Array, everybody: Array, prevalence: float
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": model,
            "threshold_probability": at,
            "net_benefit": net_benefit,
            "standardized_net_benefit": net_benefit / prevalence,
            "interventions_avoided": (net_benefit - everybody) / odds(at),
        }
    )


def _reference(
    name: str, at: Array, net_benefit: Array, everybody: Array, prevalence: float
) -> pd.DataFrame:
    """A strategy that was not fitted to anything has no optimism."""
    table = _curve(name, at, net_benefit, everybody, prevalence)
    return table.assign(apparent=net_benefit, training=net_benefit, test=net_benefit, optimism=0.0)


def smooth_calibration(risk: Array, y: Array, at: Array) -> Array:
    """Cleveland's lowess without robustness steps, interpolated; NaN outside the risks seen."""
    from statsmodels.nonparametric.smoothers_lowess import lowess

    order = np.argsort(risk, kind="stable")
    p, observed = risk[order], y[order]
    delta = 0.01 * float(np.ptp(p))
    smoothed = lowess(
        observed, p, frac=2 / 3, it=0, delta=delta, is_sorted=True, return_sorted=False
    )
    distinct, first = np.unique(p, return_index=True)
    return np.asarray(np.interp(at, distinct, smoothed[first], left=np.nan, right=np.nan))


def _curves(side: Side, at: Array) -> Array:
    """Calibration curve of every row; a weighted row is written out case by case."""
    curves = []
    for lp, w in zip(side.lp, side.w, strict=True):
        rows = np.repeat(np.arange(lp.size), w.astype(int))
        curves.append(smooth_calibration(special.expit(lp[rows]), side.y[rows], at))
    return np.array(curves)


def corrected_calibration(
    apparent: Side, refits: Refits, plan: Plan, predicted: ArrayLike | None
) -> pd.DataFrame:
    """Smooth calibration curve minus the mean excess of the curves of the refits."""
    at = _default_grid(apparent) if predicted is None else np.asarray(predicted, dtype=float)
    own = average_copies(_curves(apparent, at), 1)[0]
    training, test = judge_refits(refits, lambda side, _: _curves(side, at), at.size)
    flat = np.full(at.size, float(apparent.y.mean()))
    corrected = correct(own, training, test, plan, flat).corrected
    return pd.DataFrame(
        {
            "predicted": at,
            "apparent": own,
            "optimism": own - corrected,
            "corrected": corrected,
            "n_boot": np.isfinite(training + test).sum(axis=0),
        }
    )


def _default_grid(apparent: Side) -> Array:
    risk = np.sort(special.expit(apparent.lp.mean(axis=0)))
    inner = min(4, (risk.size - 1) // 2)
    return np.linspace(risk[inner], risk[-1 - inner], 50)
