"""The declared half of the page: functions.yaml, and what must be true of it."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

import usstats
from tests.reference import CASES, leaves, load_case

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).parent / "functions.yaml"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One call of ours and what it is checked against; several entries may share a function."""

    area: str
    function: str
    call: str
    second: tuple[str, ...]
    r: str = ""
    cases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without_r: str = ""

    def covers(self, case: str, path: str) -> bool:
        prefixes = self.cases.get(case)
        return prefixes is not None and (not prefixes or any(matches(path, p) for p in prefixes))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Everything functions.yaml says."""

    entries: tuple[Entry, ...]
    no_statistic: Mapping[str, str]
    not_compared: Mapping[str, Mapping[str, str]]


def load_table(path: Path = TABLE) -> Table:
    content = yaml.safe_load(path.read_text("utf-8"))
    return Table(
        entries=tuple(
            _entry(area, facts) for area, rows in content["areas"].items() for facts in rows
        ),
        no_statistic=content["no_statistic"],
        not_compared=content["not_compared"],
    )


def _entry(area: str, facts: Mapping[str, Any]) -> Entry:
    cases = {case: tuple(paths or ()) for case, paths in facts.get("cases", {}).items()}
    second = tuple(facts.get("second", ()))
    return Entry(area=area, **{**facts, "cases": cases, "second": second})


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern with `*` means this path or a name above it."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")


def problems(table: Table) -> list[str]:
    """Every way in which functions.yaml is out of step with the package, the tests, the cases."""
    return [
        *_functions_without_entry(table),
        *(found for entry in table.entries for found in _faults(entry)),
        *_cases_without_entry(table),
        *_unknown_paths(table),
    ]


def public_functions() -> list[str]:
    return [name for name in usstats.__all__ if inspect.isfunction(getattr(usstats, name))]


def _functions_without_entry(table: Table) -> Iterator[str]:
    told = [resolve(entry.function) for entry in table.entries]
    for name in public_functions():
        if (getattr(usstats, name) in told) == (name in table.no_statistic):
            yield f"usstats.{name} needs an entry or a reason under no_statistic (not both)"
    for name in set(table.no_statistic) - set(public_functions()):
        yield f"no_statistic names {name}, which usstats does not have"


def _faults(entry: Entry) -> Iterator[str]:
    if not callable(resolve(entry.function)):
        yield f"{entry.function}: usstats has no such function"
    if bool(entry.cases) == bool(entry.without_r):
        yield f"{entry.call}: give cases, or say under without_r why there are none"
    if bool(entry.cases) != bool(entry.r):
        yield f"{entry.call}: cases and the R function go together"
    if not entry.second:
        yield f"{entry.call}: no second check"
    for test in entry.second:
        if not has_test(test):
            yield f"{entry.call}: there is no test {test}"


def resolve(name: str) -> Any:
    """The function behind auc, LogisticFit.anova or (in a module) proportions.wilson."""
    first, *rest = name.split(".")
    found: Any = getattr(usstats, first, None)
    if rest and not inspect.isclass(found):
        found = _module(first)
    for part in rest:
        found = getattr(found, part, None)
    return found


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"usstats.{name}")
    except ModuleNotFoundError:
        return None


def has_test(node: str) -> bool:
    """Whether tests/<file>.py has what `file.py::name` or `file.py::Class::name` names."""
    path, _, name = node.partition("::")
    return name in _test_names(ROOT / "tests" / path)


@cache
def _test_names(path: Path) -> frozenset[str]:
    if not path.exists():
        return frozenset()
    return frozenset(_named(ast.parse(path.read_text("utf-8")).body))


def _named(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield f"{prefix}{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield from _named(node.body, f"{node.name}::")


def all_cases() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.json"))


def _cases_without_entry(table: Table) -> Iterator[str]:
    used = {case for entry in table.entries for case in entry.cases}
    for case in sorted(set(all_cases()) - used):
        yield f"no entry uses the case {case}"
    for case in sorted((used | set(table.not_compared)) - set(all_cases())):
        yield f"there is no case {case}"


def _unknown_paths(table: Table) -> Iterator[str]:
    named = [(case, path) for e in table.entries for case, ps in e.cases.items() for path in ps]
    named += [(case, path) for case, reasons in table.not_compared.items() for path in reasons]
    for case, path in named:
        known = leaves(load_case(case)) if case in all_cases() else ()
        if known and not any(matches(leaf, path) for leaf in known):
            yield f"{case} has no numbers at {path}"
