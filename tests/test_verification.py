"""docs/verification.md names every public function, test and case; and how it comes about."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import usstats
from tests.reference import ReferenceCase, leaves, load_case
from tests.reference.recording import Comparison, listening
from tests.verification.__main__ import PAGE
from tests.verification.evidence import (
    Evidence,
    EvidenceError,
    gaps,
    largest_by_tolerance,
    n_numbers,
    read_records,
    unexplained,
)
from tests.verification.page import case_row, function_row, page, rounded, without_r_row
from tests.verification.table import (
    ROOT,
    Entry,
    all_cases,
    has_test,
    load_table,
    matches,
    problems,
    public_functions,
    resolve,
)

TABLE = load_table()
NOTHING = Evidence(())


def static(row: list[str], measured: int) -> list[str]:
    """A row without the two cells that only a run of the tests can fill."""
    return row[:measured] + row[measured + 2 :]


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    lines = PAGE.read_text("utf-8").replace("\\|", "\0").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [[cell.replace("\0", "|").strip() for cell in row] for row in cells]


def test_the_table_is_in_step_with_package_tests_and_cases():
    assert problems(TABLE) == []


def test_the_page_has_every_function(rows):
    compared = [static(row, 4) for row in rows if len(row) == 7]
    others = [row for row in rows if len(row) == 3]
    for entry in TABLE.entries:
        if entry.r:
            assert static(function_row(entry, NOTHING), 4) in compared
        else:
            assert without_r_row(entry) in others
    text = PAGE.read_text("utf-8")
    assert all(f"`{name}`: {reason}" in text for name, reason in TABLE.no_statistic.items())


def test_the_page_has_every_case(rows):
    listed = [row[:3] for row in rows if len(row) == 6]
    assert [case_row(case, NOTHING)[:3] for case in all_cases()] == listed[2:]


def test_the_page_gives_a_reason_for_every_number_that_was_not_compared():
    text = PAGE.read_text("utf-8")
    assert "no reason given" not in text
    assert "No test was skipped." in text
    for reasons in TABLE.not_compared.values():
        assert all(reason in text for reason in reasons.values())


def first_entry(**changes) -> Entry:
    return replace(next(entry for entry in TABLE.entries if entry.cases), **changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"function": "no_such"}, "no_such: usstats has no such function"),
        ({"cases": {}, "r": ""}, "give cases, or say under without_r why"),
        ({"r": ""}, "cases and the R function go together"),
        ({"second": ()}, "no second check"),
        ({"second": ("usstats/test_roc.py::test_gone",)}, "no test usstats/test_roc.py::test_gone"),
        ({"second": ("usstats/test_gone.py::test_x",)}, "no test usstats/test_gone.py::test_x"),
        ({"cases": {"gone": ()}}, "there is no case gone"),
        ({"cases": {"p_adjust": ("gone",)}}, "p_adjust has no numbers at gone"),
    ],
)
def test_a_wrong_entry_is_named(changes, text):
    found = problems(replace(TABLE, entries=(*TABLE.entries, first_entry(**changes))))
    assert len(found) == 1
    assert text in found[0]


def test_a_function_without_an_entry_and_a_case_without_use_are_named():
    fewer = tuple(entry for entry in TABLE.entries if entry.function != "describe")
    found = problems(replace(TABLE, entries=fewer))
    assert any("usstats.describe needs an entry" in text for text in found)
    assert any("no entry uses the case table1_birthwt" in text for text in found)
    twice = replace(TABLE, no_statistic={**TABLE.no_statistic, "describe": "x", "gone": "y"})
    assert any("usstats.describe needs" in text for text in problems(twice))
    assert any("no_statistic names gone" in text for text in problems(twice))


def test_names_are_found_in_package_classes_and_modules():
    assert resolve("auc") is usstats.auc
    assert resolve("LogisticFit.anova") is usstats.LogisticFit.anova
    assert resolve("roc.auc") is usstats.auc
    assert callable(resolve("describe.adjust_p_values"))
    assert resolve("LogisticFit.gone") is None
    assert resolve("gone.gone") is None
    assert "describe" in public_functions()
    assert "LogisticFit" not in public_functions()


def test_tests_are_found_in_files_and_their_classes():
    assert has_test("usstats/test_roc.py::test_auc_equals_proc")
    assert has_test("usstats/test_agreement.py::TestIcc::test_as_in_r")
    assert not has_test("usstats/test_agreement.py::test_as_in_r")
    assert not has_test("usstats/test_roc.py::load_case")


def test_patterns_mean_a_path_or_all_below_it():
    assert matches("a.b", "a")
    assert matches("a.b.c", "*.b")
    assert not matches("ab", "a")


def made_up(expected: Mapping, **facts) -> ReferenceCase:
    return ReferenceCase({"id": "made_up", "rtol": 1e-6, "expected": expected, **facts})


def heard(check) -> list[Comparison]:
    found: list[Comparison] = []
    with listening(found.append):
        check()
    return found


def test_a_check_is_heard_with_its_largest_difference():
    case = made_up({"a": {"x": 1.0, "y": [100.0, None, "Inf", 0.0]}}, atol=1e-9)
    got = {"x": 1.0, "y": [100.00005, np.nan, np.inf, 1e-10]}
    one, other = heard(lambda: case.check(pd.Series(got), "a"))
    assert one == Comparison(case="made_up", path="a.x", n=1, difference=0.0, rtol=1e-6)
    assert (other.path, other.n) == ("a.y", 4)
    assert other.difference == pytest.approx(5e-7, rel=1e-3)


def test_the_difference_passes_exactly_where_the_check_does():
    case = made_up({"x": 1e-4}, atol=1e-9)
    limit = 1e-9 + 1e-6 * 1e-4
    found: list[Comparison] = []
    with listening(found.append):
        case.check(1e-4 + 0.999 * limit, "x")
        with pytest.raises(AssertionError):
            case.check(1e-4 + 1.001 * limit, "x")
    assert [one.difference for one in found] == [pytest.approx(0.999e-6, rel=1e-6)]


@pytest.mark.parametrize(
    ("got", "text"),
    [
        ({"x": 1.0}, "names at 'a'"),
        ({"x": 1.0, "y": [1.0], "z": 2.0}, "names at 'a'"),
        ({"x": 1.0, "y": 1.0}, r"made_up: a.y: shape \(\), expected \(2,\)"),
        ({"x": 1.0, "y": [1.0, np.nan]}, "made_up: a.y"),
    ],
)
def test_nothing_is_broadcast_or_left_out(got, text):
    case = made_up({"a": {"x": 1.0, "y": [1.0, 1.0]}})
    with pytest.raises((AssertionError, pytest.fail.Exception), match=text):
        case.check(got, "a")


def test_words_are_no_numbers():
    case = made_up({"m": {"rows": ["a", "b"], "values": [[1, 2], [None, "Inf"]]}, "n": 3})
    assert leaves(case) == {"m.values": 4, "n": 1}


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0, "< 1e-11"), (9e-12, "< 1e-11"), (3e-9, "3e-09"), (3.01e-9, "4e-09"), (9.5e-4, "1e-03")],
)
def test_differences_are_rounded_up_to_one_digit(difference, text):
    assert rounded(difference) == text


def compared(*paths: str, rtol: float = 1e-10, difference: float = 0.0) -> Evidence:
    facts = {"case": "p_adjust", "n": 8, "rtol": rtol, "difference": difference}
    return Evidence(
        tuple((f"tests/t.py::test_{path}[1]", Comparison(path=path, **facts)) for path in paths)
    )


def test_what_no_test_compared_is_listed_with_its_reason():
    table = replace(TABLE, entries=(), not_compared={"p_adjust": {"B*": "false discoveries"}})
    known, open_ = gaps("p_adjust", compared("holm", "hochberg", "hommel"), table)
    assert (known.reason, known.paths, known.n) == ("false discoveries", ("B*",), 16)
    assert (open_.reason, open_.paths, open_.n) == ("", ("bonferroni",), 8)
    (text,) = unexplained(compared("holm", "hochberg", "hommel"), table, ["p_adjust"])
    assert text == "p_adjust: not compared, no reason given: bonferroni"


def test_a_reason_for_what_is_compared_and_an_entry_without_numbers_are_named():
    everything = compared(*leaves(load_case("p_adjust")))
    entry = first_entry(call="adjust(p)", cases={"p_adjust": (), "table1_birthwt": ()})
    table = replace(TABLE, entries=(entry,), not_compared={"p_adjust": {"holm": "forgotten"}})
    assert unexplained(everything, table, ["p_adjust"]) == [
        "p_adjust: compared after all: holm",
        "adjust(p): no test compared its numbers of table1_birthwt",
    ]


def test_numbers_compared_twice_count_once_and_tolerances_stay_apart():
    strict, loose = compared("holm", difference=2e-11), compared("BH", rtol=1e-2, difference=1e-3)
    found = [one for _, one in (*strict.comparisons, *strict.comparisons, *loose.comparisons)]
    assert n_numbers(found) == 16
    assert largest_by_tolerance(found) == {1e-10: 2e-11, 1e-2: 1e-3}
    assert strict.tests_of_case("p_adjust") == ["tests/t.py::test_holm"]


def test_the_page_of_a_run_says_what_was_compared():
    text = page(TABLE, compared("holm", difference=3e-11))
    assert "8 numbers of" in text
    assert "| 8 of 48 | 3e-11 (1e-10) | [test_holm](../tests/t.py) |" in text


def recorded(tmp_path: Path, *tests: str, shared: str | None = None) -> dict:
    """What the plugin writes down in a run of its own."""
    target = tmp_path / "records.json"
    plugin = ["-p", "no:cacheprovider", "-p", "tests.verification.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *plugin]
    environment = os.environ | ({"USSTATS_SHARED": shared} if shared else {})
    subprocess.run(  # noqa: S603
        [*command, "--record-verification", str(target), *tests],
        cwd=ROOT, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    return json.loads(target.read_text("utf-8"))


def test_only_tests_that_read_a_case_run_whatever_way_they_come_by_it(tmp_path):
    tests = {
        "describe": ("test_p_values_are_adjusted_as_in_r", "test_laws_of_adjustment"),
        "pooling": ("test_linear_total_variance_equals_mice", "test_refusals"),
    }
    files = {name: f"tests/usstats/test_{name}.py" for name in tests}
    found = recorded(tmp_path, *(f"{files[name]}::{t}" for name in tests for t in tests[name]))
    assert found["not_passed"] == []
    evidence = read_records(found)
    assert evidence.paths["p_adjust"] == set(leaves(load_case("p_adjust")))
    assert {path.partition(".")[0] for path in evidence.paths["mi_pool_nhanes2"]} == {"linear"}
    assert found["comparisons"][1]["test"] == f"{files['describe']}::{tests['describe'][0]}[holm]"
    assert evidence.tests_of_case("p_adjust") == [f"{files['describe']}::{tests['describe'][0]}"]


def test_a_skipped_test_is_refused_with_its_reason(tmp_path):
    test = "tests/usstats/test_describe.py::test_numbers_match_tableone"
    found = recorded(tmp_path, test, shared=str(tmp_path / "nowhere"))
    with pytest.raises(EvidenceError, match=r"skipped: .*birthwt.csv is not in the shared data"):
        read_records(found)


def test_a_run_without_comparisons_is_refused():
    with pytest.raises(EvidenceError, match="no test compared anything"):
        read_records({"comparisons": [], "not_passed": []})
