"""docs/verification.md as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tests.reference import leaves, load_case
from tests.reference.recording import Comparison
from tests.verification.evidence import Evidence, Gap, gaps, largest_by_tolerance, n_numbers
from tests.verification.table import Entry, Table, all_cases

SMALLEST = 1e-11
INTRODUCTION = """\
# Verification

Written by `make verification`; edit `tests/verification/functions.yaml` and the tests, not this
page.

Each statistic has two independent checks. The first is a number computed in R by the package most
trusted for it (R 4.2.2); the second is a law, a naive implementation written differently, another
library, or a simulation with a known truth, named in the last column.

The difference of a number is |ours - R's| / (|R's| + atol / rtol), and a comparison passes where
it is at most rtol, the tolerance. Differences are rounded up to one digit, and rounding errors of
the machine are written as "< 1e-11". Where a case allows some of its numbers more than others,
each tolerance has its own largest difference.

{n_compared} numbers of {n_cases} reference cases were compared, of {n_expected} that the cases
hold; the last section lists the others and why. No test was skipped.
"""
FUNCTIONS = (
    "ours", "R", "version", "reference cases", "numbers", "largest difference (tolerance)",
    "second check",
)  # fmt: skip
WITHOUT_R = ("ours", "why not from R", "checks")
CASES = ("case", "version", "call", "compared", "largest difference (tolerance)", "tests")


def page(table: Table, evidence: Evidence) -> str:
    """The whole page, ending in a line feed."""
    cases = all_cases()
    sections = [
        _introduction(evidence, cases),
        "## Functions compared with R",
        *_function_sections(table, evidence),
        "## Functions without a counterpart in R",
        _markdown(WITHOUT_R, [without_r_row(entry) for entry in table.entries if not entry.r]),
        "## Public functions that compute no statistic",
        "\n".join(f"- `{name}`: {reason}" for name, reason in sorted(table.no_statistic.items())),
        "## Reference cases",
        _markdown(CASES, [case_row(case, evidence) for case in cases]),
        "## Numbers not compared",
        *(_gap_section(case, gaps(case, evidence, table)) for case in cases),
    ]
    return "\n\n".join(section.strip("\n") for section in sections if section) + "\n"


def _introduction(evidence: Evidence, cases: Sequence[str]) -> str:
    return INTRODUCTION.format(
        n_compared=f"{n_numbers(one for _, one in evidence.comparisons):,}",
        n_expected=f"{sum(sum(leaves(load_case(case)).values()) for case in cases):,}",
        n_cases=len(cases),
    )


def _function_sections(table: Table, evidence: Evidence) -> Iterable[str]:
    for area in dict.fromkeys(entry.area for entry in table.entries if entry.r):
        entries = [entry for entry in table.entries if entry.area == area and entry.r]
        yield f"### {area}"
        yield _markdown(FUNCTIONS, [function_row(entry, evidence) for entry in entries])


def function_row(entry: Entry, evidence: Evidence) -> list[str]:
    compared = evidence.of_entry(entry)
    return [
        f"`{entry.call}`",
        entry.r,
        versions(entry.cases),
        ", ".join(entry.cases),
        f"{n_numbers(compared):,}",
        differences(compared),
        ", ".join(map(link, entry.second)),
    ]


def without_r_row(entry: Entry) -> list[str]:
    return [f"`{entry.call}`", entry.without_r, ", ".join(map(link, entry.second))]


def case_row(case: str, evidence: Evidence) -> list[str]:
    content = load_case(case)
    compared = evidence.of_case(case)
    return [
        case,
        versions([case]),
        content.content["reference"]["call"],
        f"{n_numbers(compared):,} of {sum(leaves(content).values()):,}",
        differences(compared),
        ", ".join(link(test.removeprefix("tests/")) for test in evidence.tests_of_case(case)),
    ]


def _gap_section(case: str, found: Sequence[Gap]) -> str:
    lines = [
        f"- {gap.reason or 'no reason given'} ({gap.n:,} {'number' if gap.n == 1 else 'numbers'}): "
        + ", ".join(f"`{path}`" for path in gap.paths)
        for gap in found
    ]
    return f"**{case}**\n\n" + "\n".join(lines) if lines else ""


def versions(cases: Iterable[str]) -> str:
    """R packages behind some cases, with their versions."""
    found = {}
    for case in cases:
        reference = load_case(case).content["reference"]
        packages, numbers = (reference[key].split("+") for key in ("package", "version"))
        found |= dict(zip(packages, numbers, strict=True))
    return ", ".join(f"{package} {number}" for package, number in found.items())


def differences(compared: Iterable[Comparison]) -> str:
    largest = largest_by_tolerance(compared)
    return ", ".join(f"{rounded(value)} ({rtol:.0e})" for rtol, value in largest.items())


def rounded(difference: float) -> str:
    """One significant digit, rounded up."""
    if difference < SMALLEST:
        return f"< {SMALLEST:.0e}"
    power = math.floor(math.log10(difference))
    return f"{math.ceil(round(difference / 10.0**power, 6)) * 10.0**power:.0e}"


def link(node: str) -> str:
    """`usstats/test_roc.py::test_x` as a link to its file."""
    path, _, name = node.partition("::")
    return f"[{name}](../tests/{path})"


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
