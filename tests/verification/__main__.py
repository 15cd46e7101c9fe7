"""Write docs/verification.md; refuse to where a reference test was skipped or failed."""

from __future__ import annotations

import sys

from tests.verification.evidence import EvidenceError, run_reference_tests, unexplained
from tests.verification.page import page
from tests.verification.table import ROOT, all_cases, load_table, problems

PAGE = ROOT / "docs" / "verification.md"


def main() -> int:
    table = load_table()
    found = problems(table)
    if found:
        return _refuse("functions.yaml is out of step", found)
    try:
        evidence = run_reference_tests()
    except EvidenceError as error:
        return _refuse("the page needs every reference test to pass", str(error).splitlines())
    PAGE.write_text(page(table, evidence), encoding="utf-8", newline="\n")
    left = unexplained(evidence, table, all_cases())
    if left:
        return _refuse(f"{PAGE.name} is written, but is not complete", left)
    print(f"{PAGE.relative_to(ROOT)}: {len(evidence.comparisons)} comparisons")
    return 0


def _refuse(what: str, found: list[str]) -> int:
    print(f"{what}:", *found, sep="\n  ", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
