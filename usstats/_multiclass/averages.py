"""Averages of AUCs over classes: estimate, variance, replicates, limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usstats._multiclass.areas import (
    Areas,
    Pooled,
    areas_of_weights,
    class_areas,
    drawn_weights,
    one_vs_rest,
    ordered_pairs,
    sorted_curves,
    weights_without_each,
)
from usstats._multiclass.labels import ClassRisks, Codes
from usstats._resampling.draws import Resamples, as_resamples
from usstats._roc.limits import Limits, logit_limits, newcombe_limits, wald_limits
from usstats.resample import check_failures, interval_from_replicates

Float = np.float64
AVERAGES = ("hand-till", "macro", "weighted", "micro")
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AreaSet:
    """Every curve of one set of probabilities."""

    risks: ClassRisks
    cluster: Codes | None
    rest: Areas
    pairs: Areas
    pooled: Pooled

    @classmethod
    def of(cls, risks: ClassRisks, cluster: Codes | None) -> AreaSet:
        size = len(risks.labels)
        return cls(
            risks=risks,
            cluster=cluster,
            rest=class_areas(risks, one_vs_rest(size)),
            pairs=class_areas(risks, ordered_pairs(size)),
            pooled=Pooled.of(risks),
        )

    @property
    def names(self) -> list[str]:
        """Averages, then classes: the order of every vector here."""
        return [*AVERAGES, *self.risks.names]

    @property
    def counted(self) -> NDArray[Float]:
        """Rows of `names` as sums of one-vs-rest curves, pairs and the pooled curve."""
        k, pairs = len(self.risks.labels), len(self.pairs.estimate)
        table = np.zeros((4 + k, k + pairs + 1))
        table[0, k : k + pairs] = 1
        table[1, :k] = 1
        table[2, :k] = self.risks.counts
        table[3, -1] = 1
        table[4:, :k] = np.eye(k)
        return table

    def averaged(self, curves: NDArray[Float]) -> NDArray[Float]:
        """Averages of curves (over the last axis), exact where all are 1; an undefined curve
        spoils only what uses it."""
        undefined, counted = ~np.isfinite(curves), self.counted.T
        sums = np.where(undefined, 0.0, curves) @ counted / counted.sum(axis=0)
        spoilt = undefined.astype(float) @ (counted != 0).astype(float) > 0
        return np.asarray(np.where(spoilt, np.nan, sums))

    @property
    def estimates(self) -> NDArray[Float]:
        micro = self.pooled.placements[0]
        return self.averaged(np.concatenate([self.rest.estimate, self.pairs.estimate, [micro]]))

    def variances(self, other: AreaSet | None = None) -> NDArray[Float]:
        """Of `estimates`, or of their differences from those of another set."""
        rest, pairs, placed = self.rest, self.pairs, self.pooled.placements[1]
        if other is not None:
            rest, pairs = rest.minus(other.rest), pairs.minus(other.pairs)
            placed = placed - other.pooled.placements[1]
        k = len(self.risks.labels)
        weights, values = self.counted / self.counted.sum(axis=1, keepdims=True), np.empty(4 + k)
        of_pairs, of_rest = pairs.covariance(self.cluster), rest.covariance(self.cluster)
        values[0] = quadratic(weights[0, k:-1], of_pairs)
        for row in [1, 2, *range(4, 4 + k)]:
            values[row] = quadratic(weights[row, :k], of_rest)
        values[3] = self.pooled.variance(placed, self.cluster)
        return values

    def replicates(self, draws: Resamples) -> NDArray[Float]:
        """`estimates` in every resample; shape (n_boot, 4 + K)."""
        return self._reweighted(drawn_weights(draws))

    def without_each(self, draws: Resamples) -> NDArray[Float]:
        """`estimates` without each patient in turn."""
        return self._reweighted(weights_without_each(draws))

    def _reweighted(self, weights: Iterator[NDArray[Float]]) -> NDArray[Float]:
        curves = sorted_curves(self.risks, (self.rest.design, self.pairs.design))
        k = len(self.risks.labels)
        own = (self.risks.y[:, None] == np.arange(k)).astype(float)
        areas, counts = areas_of_weights(curves, own, weights)
        values = self.averaged(areas)
        # The class shares of "weighted" are those of the resample.
        weighted = np.where(counts > 0, areas[:, :k], 0.0) * counts
        values[:, 2] = weighted.sum(axis=1) / counts.sum(axis=1)
        return values

    def bounds(self, conf_level: float) -> list[Limits]:
        """Newcombe's limits of every curve, averaged: conservative, and valid at an AUC of 1."""
        unit = np.arange(len(self.risks.y)) if self.cluster is None else self.cluster
        everyone = int(unit.max()) + 1
        limits = [
            _newcombe(
                float(area), self._patients(event, unit), self._patients(rest, unit), conf_level
            )
            for areas in (self.rest, self.pairs)
            for area, event, rest in zip(
                areas.estimate, areas.design.event, areas.design.against, strict=True
            )
        ]
        micro = self.pooled.placements[0]
        limits.append(_newcombe(micro, everyone, everyone, conf_level))
        return [(float(low), float(high)) for low, high in self.averaged(np.array(limits).T).T]

    def _patients(self, classes: NDArray[np.bool_], unit: Codes) -> int:
        return len(np.unique(unit[classes[self.risks.y]]))

    def draws(self, resamples: Any, n_boot: int, seed: int | None) -> Resamples:
        """Draws of patients, within classes unless a patient has several."""
        y = self.risks.y
        stratify: Codes | None = y
        if self.cluster is not None:
            one_class = (
                len(np.unique(np.stack([self.cluster, y]), axis=1).T) == self.cluster.max() + 1
            )
            stratify = y if one_class else None
        return as_resamples(
            resamples,
            len(y),
            n_boot=n_boot,
            seed=seed,
            cluster=self.cluster,
            stratify=None if resamples is not None else stratify,
        )


def quadratic(weights: NDArray[Float], covariance: NDArray[Float]) -> float:
    """w' V w over the curves that count."""
    used = np.flatnonzero(weights)
    return float(weights[used] @ covariance[np.ix_(used, used)] @ weights[used])


def _newcombe(area: float, n_event: int, n_rest: int, conf_level: float) -> Limits:
    if not np.isfinite(area):
        return np.nan, np.nan
    return newcombe_limits(area, n_event, n_rest, conf_level)


_ANALYTIC = {"delong": wald_limits, "logit": logit_limits}


def area_rows(areas: AreaSet, ci: str, conf_level: float, draws: Resamples | None) -> list[Row]:
    """Every number with limits: from its variance, from resamples, or where the variance is zero
    or undefined from Newcombe's."""
    bounds, estimates = areas.bounds(conf_level), areas.estimates
    variances = areas.variances()
    values = None if draws is None else areas.replicates(draws)
    left_out = None if draws is None or ci != "bca" else areas.without_each(draws)
    rows = []
    for j, estimate in enumerate(estimates):
        if not variances[j] > 0 or (ci == "logit" and not 0 < estimate < 1):
            rows.append(_bounded(float(estimate), float(variances[j]), bounds[j]))
        elif draws is None or values is None:
            plain = "delong" if areas.cluster is None else "obuchowski"
            rows.append(_analytic(float(estimate), float(variances[j]), ci, conf_level, plain))
        else:
            spared = None if left_out is None else left_out[:, j]
            rows.append(resampled_row(float(estimate), values[:, j], spared, draws, ci, conf_level))
    return rows


def _bounded(estimate: float, variance: float, bounds: Limits) -> Row:
    return {
        "estimate": estimate,
        "std_error": float(np.sqrt(variance)) if variance >= 0 else np.nan,
        "conf_low": bounds[0],
        "conf_high": bounds[1],
        "method": "newcombe" if np.isfinite(estimate) else "undefined",
    }


def _analytic(estimate: float, variance: float, ci: str, conf_level: float, plain: str) -> Row:
    low, high = _ANALYTIC[ci](estimate, variance, conf_level)
    return {
        "estimate": estimate,
        "std_error": float(np.sqrt(variance)),
        "conf_low": low,
        "conf_high": high,
        "method": plain if ci == "delong" else f"{plain}, logit",
    }


def resampled_row(
    estimate: float,
    values: NDArray[Float],
    left_out: NDArray[Float] | None,
    draws: Resamples,
    ci: str,
    conf_level: float,
) -> Row:
    """Standard error and limits from replicates; `left_out` is needed for "bca" alone."""
    n_failed = check_failures(values)
    low, high = interval_from_replicates(
        estimate,
        values,
        ci=ci,
        conf_level=conf_level,
        left_out=lambda: values if left_out is None else left_out,
        strata=draws.strata,
    )
    return {
        "estimate": estimate,
        "std_error": float(np.nanstd(values, ddof=1)),
        "conf_low": low,
        "conf_high": high,
        "method": f"bootstrap {ci}",
        "n_failed": n_failed,
    }


def describe_parts(areas: AreaSet) -> list[Mapping[str, str]]:
    """Measure and group of each number."""
    averages = [{"measure": f"auc_{name.replace('-', '_')}", "group": "all"} for name in AVERAGES]
    return [*averages, *({"measure": "auc", "group": name} for name in areas.risks.names)]
