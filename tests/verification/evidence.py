"""The measured half of the page: what one run of the reference tests compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.reference import leaves, load_case
from tests.reference.recording import Comparison
from tests.verification.table import ROOT, Entry, Table, matches

PLUGIN = "tests.verification.plugin"


class EvidenceError(Exception):
    """The run of the reference tests says less than the page would claim."""


@dataclass(frozen=True)
class Evidence:
    """Comparisons, each with the test that made it."""

    comparisons: tuple[tuple[str, Comparison], ...]

    @cached_property
    def paths(self) -> Mapping[str, frozenset[str]]:
        """Paths that were compared, by case."""
        found: dict[str, set[str]] = {}
        for _, one in self.comparisons:
            found.setdefault(one.case, set()).add(one.path)
        return {case: frozenset(paths) for case, paths in found.items()}

    def of_entry(self, entry: Entry) -> list[Comparison]:
        return [one for _, one in self.comparisons if entry.covers(one.case, one.path)]

    def of_case(self, case: str) -> list[Comparison]:
        return [one for _, one in self.comparisons if one.case == case]

    def tests_of_case(self, case: str) -> list[str]:
        """Test functions, without their parameters."""
        return sorted(
            {test.partition("[")[0] for test, one in self.comparisons if one.case == case}
        )


def n_numbers(comparisons: Iterable[Comparison]) -> int:
    """How many expected numbers were compared, those compared twice counted once."""
    return sum({(one.case, one.path): one.n for one in comparisons}.values())


def largest_by_tolerance(comparisons: Iterable[Comparison]) -> dict[float, float]:
    """The largest difference among comparisons of one tolerance, strictest first."""
    largest: dict[float, float] = {}
    for one in comparisons:
        largest[one.rtol] = max(one.difference, largest.get(one.rtol, 0.0))
    return dict(sorted(largest.items()))


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Numbers of a case that no test compared, and why; an empty reason was not given."""

    reason: str
    paths: tuple[str, ...]
    n: int


def gaps(case: str, evidence: Evidence, table: Table) -> list[Gap]:
    """What `case` expects and no test compared: by the reasons given, then without one."""
    numbers = leaves(load_case(case))
    left = [path for path in numbers if path not in evidence.paths.get(case, ())]
    found = []
    by_reason: dict[str, list[str]] = {}
    for pattern, reason in table.not_compared.get(case, {}).items():
        by_reason.setdefault(reason, []).append(pattern)
    for reason, patterns in by_reason.items():
        meant = [path for path in left if any(matches(path, pattern) for pattern in patterns)]
        left = [path for path in left if path not in meant]
        found.append(_gap(reason, patterns, [numbers[path] for path in meant]))
    return [*found, *([_gap("", left, [numbers[path] for path in left])] if left else [])]


def _gap(reason: str, paths: Iterable[str], counts: Iterable[int]) -> Gap:
    return Gap(reason=reason, paths=tuple(paths), n=sum(counts))


def unexplained(evidence: Evidence, table: Table, cases: Iterable[str]) -> list[str]:
    """Numbers not compared without a reason, reasons for what was compared, empty entries."""
    messages = []
    for case in cases:
        for gap in gaps(case, evidence, table):
            if not gap.reason:
                messages.append(f"{case}: not compared, no reason given: {', '.join(gap.paths)}")
            elif gap.n == 0:
                messages.append(f"{case}: compared after all: {', '.join(gap.paths)}")
    for entry in table.entries:
        unused = [case for case in entry.cases if not _touched(entry, case, evidence)]
        messages += [f"{entry.call}: no test compared its numbers of {case}" for case in unused]
    return messages


def _touched(entry: Entry, case: str, evidence: Evidence) -> bool:
    return any(entry.covers(case, path) for path in evidence.paths.get(case, ()))


def run_reference_tests() -> Evidence:
    """Run them in a process of their own; refuse what is skipped, failing or absent."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "records.json"
        done = _pytest(target)
        if not target.exists():
            raise EvidenceError(done.stdout + done.stderr)
        return read_records(json.loads(target.read_text("utf-8")))


def _pytest(target: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", PLUGIN]
    command = [sys.executable, "-m", "pytest", *options, "--record-verification", str(target)]
    return subprocess.run(  # noqa: S603
        [*command, "--ignore", "tests/test_verification.py", "tests"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def read_records(content: Mapping[str, Any]) -> Evidence:
    missed = content["not_passed"]
    if missed:
        lines = [f"{one['outcome']}: {one['test']}: {one['reason']}" for one in missed]
        raise EvidenceError("\n".join(lines))
    if not content["comparisons"]:
        msg = "no test compared anything"
        raise EvidenceError(msg)
    return Evidence(
        tuple(
            (facts["test"], Comparison(**{key: facts[key] for key in facts if key != "test"}))
            for facts in content["comparisons"]
        )
    )
