"""What is held against a fixed limit: seconds, bytes, and how cost grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import usstats
from tests.benchmarks import data
from tests.benchmarks.measure import (
    Work,
    peak_bytes,
    resident_bytes,
    seconds,
    seconds_alone,
)

#: Room for noise and for caches that the larger table outgrows; a quadratic cost would show as 8.
SLACK = 2.0
BOOTSTRAP = """\
import usstats
from tests.benchmarks import data
y, s, _ = data.scores(100_000)
usstats.auc(y, s, ci="percentile", n_boot=2_000, seed=1)
"""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One line: what `measured` returns must not pass `most`."""

    work: str
    unit: str
    most: float
    measured: Callable[[], float]


def limits() -> Iterator[Limit]:
    yield Limit(
        work="import usstats, in a fresh interpreter",
        unit="s",
        most=1.5,
        measured=lambda: seconds_alone("import usstats"),
    )
    yield Limit(
        work="decision curve band, 3 models x 99, 1,000 resamples, n = 1e4",
        unit="s",
        most=5.0,
        measured=lambda: seconds(decision_curve(10_000, ci="bootstrap", n_boot=1_000, seed=1)),
    )
    yield Limit(
        work="memory of a logistic fit, n = 1e6, 10 columns",
        unit="design matrices",
        most=3.0,
        measured=lambda: peak_bytes(logistic_fit(1_000_000)) / (1_000_000 * 11 * 8),
    )
    yield Limit(
        work="resident memory of an AUC bootstrap, n = 1e5, 2,000 resamples",
        unit="GB",
        most=1.0,
        measured=lambda: resident_bytes(BOOTSTRAP) / 1e9,
    )
    yield growth("paired DeLong", paired_delong, 100_000, 1_000_000)
    yield growth("decision curve", decision_curve, 100_000, 1_000_000)
    yield growth("logistic fit", logistic_fit, 100_000, 1_000_000)
    yield growth_of_resamples("AUC bootstrap, n = 1,000", auc_bootstrap, 1_000, 4_000)
    yield growth_of_resamples("validate, n = 275, 6 df", validation, 250, 1_000)


def growth(name: str, build: Callable[[int], Work], small: int, large: int) -> Limit:
    """Seconds at `large` over those that n log n predicts from `small`."""
    expected = large * math.log(large) / (small * math.log(small))

    def measured() -> float:
        return seconds(build(large)) / seconds(build(small)) / expected

    return Limit(
        work=f"{name}, n = {large:,} against {small:,}",
        unit="of n log n",
        most=SLACK,
        measured=measured,
    )


def growth_of_resamples(name: str, build: Callable[[int], Work], few: int, many: int) -> Limit:
    """Seconds of `many` resamples over those that proportion predicts from `few`."""

    def measured() -> float:
        return seconds(build(many)) / seconds(build(few)) * few / many

    return Limit(
        work=f"{name}: {many:,} resamples against {few:,}",
        unit="of linear",
        most=SLACK,
        measured=measured,
    )


def paired_delong(n: int) -> Work:
    y, first, second = data.scores(n)
    return lambda: usstats.compare_auc(y, {"first": first, "second": second})


def decision_curve(n: int, **options: Any) -> Work:
    table = data.risks(n)
    models = {name: table[name] for name in "abc"}
    options = {"thresholds": data.THRESHOLDS, **options}
    return lambda: usstats.decision_curve(table["y"], models, **options)


def logistic_fit(n: int) -> Work:
    table = data.cohort(n, 10, seed=5)
    return lambda: usstats.fit_logistic(data.formula(table), table)


def auc_bootstrap(n_boot: int) -> Work:
    y, s, _ = data.scores(1_000)
    return lambda: usstats.auc(y, s, ci="percentile", n_boot=n_boot, seed=1)


def validation(n_boot: int) -> Work:
    table = data.cohort(275, 6)
    fit = usstats.fit_logistic(data.formula(table), table)
    return lambda: usstats.validate(fit, table, n_boot=n_boot, seed=1)
