"""Print one line a piece of work: our time, the peer's time on the same data, the ratio."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.metrics import roc_auc_score

import usstats
from usstats.newton import newton_logistic


@dataclass(frozen=True, kw_only=True)
class Race:
    """The same work done twice."""

    work: str
    peer: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


def seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Best of a few runs, the first of which warms the caches."""
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return float(best)


def races() -> Iterator[Race]:
    """The pieces of work, made one at a time to keep memory low."""
    yield _paired_delong()
    yield _bootstrap_auc()
    yield _decision_curve()
    yield _refits()
    yield _large_fit()


def _scores(n: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return y, rng.normal(y, 1.0), rng.normal(0.8 * y, 1.0)


def _paired_delong() -> Race:
    y, first, second = _scores(1_000_000)
    return Race(
        work="paired DeLong test, n = 1e6",
        peer="the two argsorts it cannot avoid",
        ours=lambda: usstats.compare_auc(y, {"first": first, "second": second}),
        theirs=lambda: (np.argsort(first), np.argsort(second)),
    )


def _bootstrap_auc() -> Race:
    y, s, _ = _scores(1_000)
    rng = np.random.default_rng(2)

    def loop() -> np.ndarray:
        draws = (rng.integers(0, y.size, y.size) for _ in range(2_000))
        return np.percentile([roc_auc_score(y[i], s[i]) for i in draws], [2.5, 97.5])

    return Race(
        work="AUC bootstrap interval, 2,000 resamples, n = 1,000",
        peer="loop over scikit-learn's roc_auc_score",
        ours=lambda: usstats.auc(y, s, ci="percentile", n_boot=2_000, seed=1),
        theirs=loop,
    )


def _decision_curve() -> Race:
    rng = np.random.default_rng(3)
    n, thresholds = 100_000, np.arange(1, 100) / 100
    risks = {name: rng.random(n) for name in ("a", "b", "c")}
    y = (rng.random(n) < risks["a"]).astype(int)

    def loop() -> list[float]:
        return [
            ((risk >= t) & (y == 1)).mean() - ((risk >= t) & (y == 0)).mean() * t / (1 - t)
            for risk in risks.values()
            for t in thresholds
        ]

    return Race(
        work="decision curve, 3 models x 99 thresholds, n = 1e5",
        peer="loop over numpy comparisons",
        ours=lambda: usstats.decision_curve(y, risks, thresholds=thresholds),
        theirs=loop,
    )


def _refits() -> Race:
    rng = np.random.default_rng(4)
    names = [f"x{i}" for i in range(6)]
    data = pd.DataFrame(rng.normal(size=(275, 6)), columns=names)
    data["y"] = (rng.random(275) < 1 / (1 + np.exp(-data["x0"]))).astype(int)
    fit = usstats.fit_logistic("y ~ " + " + ".join(names), data)
    X, y = sm.add_constant(data[names].to_numpy()), data["y"].to_numpy()

    def loop() -> None:
        for _ in range(1_000):
            i = rng.integers(0, 275, 275)
            sm.Logit(y[i], X[i]).fit(disp=0)

    return Race(
        work="optimism by 1,000 refits, n = 275, 6 df",
        peer="loop over statsmodels' Logit, fits alone",
        ours=lambda: usstats.validate(fit, data, n_boot=1_000, seed=1),
        theirs=loop,
    )


def _large_fit() -> Race:
    rng = np.random.default_rng(5)
    X = np.column_stack([np.ones(1_000_000), rng.normal(size=(1_000_000, 10))])
    y = (rng.random(1_000_000) < 1 / (1 + np.exp(-X[:, 1]))).astype(float)
    return Race(
        work="logistic fit, n = 1e6, 10 columns",
        peer="statsmodels' Logit",
        ours=lambda: newton_logistic(X, y),
        theirs=lambda: sm.Logit(y, X).fit(disp=0),
    )


def main() -> None:
    """Run every race."""
    print(f"{'work':<54}{'ours, s':>10}{'peer, s':>10}{'ratio':>8}  peer")
    for race in races():
        ours, theirs = seconds(race.ours), seconds(race.theirs, repeats=1)
        print(f"{race.work:<54}{ours:>10.3f}{theirs:>10.3f}{theirs / ours:>8.1f}  {race.peer}")


if __name__ == "__main__":
    main()
