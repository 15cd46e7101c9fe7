"""A pytest plugin: run only tests that read reference cases, and write down what they compared.

pytest -p no:xdist -p tests.verification.plugin --record-verification FILE tests
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.reference import ReferenceCase, load_case
from tests.reference.recording import Comparison, listening


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-verification", metavar="FILE", type=Path, default=None)


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--record-verification")
    if target is not None:
        config.pluginmanager.register(Recorder(target), "verification-recorder")


class Recorder:
    """Comparisons by test, and every test that did not pass."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.current = ""
        self.comparisons: list[dict[str, Any]] = []
        self.not_passed: list[dict[str, str]] = []
        self._open = ExitStack()
        self._open.enter_context(listening(self.note))

    def note(self, comparison: Comparison) -> None:
        self.comparisons.append({"test": self.current, **asdict(comparison)})

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        others = [item for item in items if not reads_reference_case(item)]
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.current = item.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._miss(report.nodeid, report.outcome, report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._miss(report.nodeid, report.outcome, report.longrepr)

    def _miss(self, test: str, outcome: str, why: object) -> None:
        reason = why[-1] if isinstance(why, tuple) else str(why).strip().splitlines()[-1]
        self.not_passed.append({"test": test, "outcome": outcome, "reason": reason})

    def pytest_sessionfinish(self) -> None:
        self._open.close()
        content = {"comparisons": self.comparisons, "not_passed": self.not_passed}
        self.target.write_text(json.dumps(content, indent=1), "utf-8")


def reads_reference_case(item: pytest.Item) -> bool:
    """Whether a test, its fixtures and parameters, or a helper of those read a case."""
    if not isinstance(item, pytest.Function):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    begin = [item.function, *(definition[-1].func for definition in fixtures), *parameters]
    return any(_is_reference(found) for found in _reachable(begin))


def _reachable(begin: list[Any]) -> Iterator[Any]:
    """Every module-level object that functions of this test suite name, directly or not."""
    waiting, seen = list(begin), []
    while waiting:
        found = waiting.pop()
        if any(found is known for known in seen):
            continue
        seen.append(found)
        yield found
        inner = getattr(found, "__wrapped__", found)
        if isinstance(inner, FunctionType) and inner.__module__.startswith("tests."):
            names = _names(inner.__code__)
            waiting += [inner.__globals__[name] for name in names if name in inner.__globals__]


def _names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_reference(found: object) -> bool:
    return found is load_case or isinstance(found, ReferenceCase)
