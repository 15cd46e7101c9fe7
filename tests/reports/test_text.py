"""A sentence holds no number of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.text import Link, Paragraph, Value, author_note, paragraph
from usstats.errors import ArgumentError


def test_a_filled_sentence_knows_where_its_numbers_came_from():
    filled = paragraph(
        "The AUC was {auc} in {n} patients.", auc=Value("v.auc", "0.84"), n=Value("v.n", "252")
    )
    assert filled.text == "The AUC was 0.84 in 252 patients."
    assert [part.result for part in filled.parts if isinstance(part, Value)] == ["v.auc", "v.n"]


@given(before=st.text(alphabet="abc ."), digit=st.integers(0, 9), after=st.text(alphabet="abc ."))
def test_a_digit_outside_a_value_is_refused(before, digit, after):
    with pytest.raises(ArgumentError, match="holds a number of its own"):
        paragraph(f"{before}{digit}{after}")


@pytest.mark.parametrize("values", [{}, {"b": Value("x", "1")}, {"a": Value("x", "1"), "b": 2}])
def test_slots_and_values_must_match(values):
    with pytest.raises(ArgumentError, match="do not match: "):
        paragraph("An {a}.", **values)


def test_a_value_without_a_result_or_text_is_refused():
    with pytest.raises(ArgumentError, match="needs the name of its result"):
        Value("", "1")
    with pytest.raises(ArgumentError, match="and a text"):
        Value("x", "")


def test_user_text_inside_a_value_is_never_a_slot():
    assert paragraph("{a}", a=Value("x", "{b} 1")).text == "{b} 1"
    assert (Paragraph(("One.",)) + Paragraph(("Two.",))).text == "One. Two."


@pytest.mark.parametrize(
    "path",
    [
        "https://x.org/a",
        "//x.org",
        "/etc/passwd",
        "../up",
        "a/../b",
        "",
        "javascript:x",
        "a b",
        ".",
    ],
)
def test_a_link_stays_beside_the_report(path):
    with pytest.raises(ArgumentError, match="must lead to a file beside the report"):
        Link(path)


def test_a_link_is_a_part_of_a_sentence():
    filled = paragraph("See {file}.", file=Link("checklists/claim_2024.docx"))
    assert filled.text == "See checklists/claim_2024.docx."
    assert not filled.for_author


def test_a_note_to_the_author_stays_one_when_sentences_are_joined():
    assert (paragraph("It is known.") + author_note("the rest.")).for_author
