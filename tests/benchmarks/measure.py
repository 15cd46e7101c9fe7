"""Seconds and bytes."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Work = Callable[[], object]


def seconds(work: Work, *, at_least: int = 3, at_most: int = 20, budget: float = 2.0) -> float:
    """Best of several runs: until `budget` seconds are spent, but `at_least` so many."""
    best, spent = float("inf"), 0.0
    gc.collect()
    for run in range(at_most):
        started = time.perf_counter()
        work()
        took = time.perf_counter() - started
        best, spent = min(best, took), spent + took
        if run + 1 >= at_least and spent > budget:
            break
    return best


def peak_bytes(work: Work) -> int:
    """The most memory that `work` holds at one time beyond what was held before."""
    gc.collect()
    tracemalloc.start()
    try:
        held, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[1] - held
    finally:
        tracemalloc.stop()


def resident_bytes(code: str) -> int:
    """The largest resident size of a fresh interpreter that runs `code`, libraries included."""
    told = _fresh(f"{code}\nimport resource; print(resource.getrusage(0).ru_maxrss)")
    unit = 1 if sys.platform == "darwin" else 1024
    return int(told.split()[-1]) * unit


def seconds_alone(code: str, *, repeats: int = 3) -> float:
    """Best time of `code` in a fresh interpreter, the start of the interpreter left out."""
    timed = f"import time; t = time.perf_counter()\n{code}\nprint(time.perf_counter() - t)"
    return min(float(_fresh(timed).split()[-1]) for _ in range(repeats))


def _fresh(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603
    return done.stdout
