"""Atomic writes, inert text, and names that are safe as file names."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.files import (
    atomic_write_bytes,
    atomic_write_text,
    clean_text,
    defuse,
    read_csv,
    sha256_file,
    slug,
    write_csv,
    write_json,
)
from usstats.errors import ArgumentError


def test_failed_write_keeps_the_old_file_and_leaves_no_temporary(tmp_path, monkeypatch):
    path = atomic_write_text(tmp_path / "a.csv", "old")

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.csv"]


def test_folder_is_made_and_line_ends_are_unix(tmp_path):
    path = atomic_write_text(tmp_path / "deep" / "er" / "a.txt", "one\r\ntwo\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_csv_keeps_every_digit(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200)})
    frame.loc[3, "x"] = np.nan
    back = pd.read_csv(write_csv(tmp_path / "x.csv", frame), float_precision="round_trip")
    pd.testing.assert_frame_equal(back, frame, check_exact=True)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_csv_text_is_no_formula_but_numbers_stay(tmp_path, start, dtype):
    frame = pd.DataFrame(
        {f"{start}name": pd.Series([f"{start}HYPERLINK(1)"], dtype=dtype), "x": [-1.5]}
    )
    text = write_csv(tmp_path / "a.csv", frame).read_text("utf-8")
    assert f"'{start}HYPERLINK(1)".replace("\r", "\n") in text
    assert pd.read_csv(tmp_path / "a.csv").shape == (1, 2)
    assert text.startswith(("'", "\"'"))
    assert text.rstrip().endswith(",-1.5")


@given(
    st.lists(
        st.text(st.sampled_from("=+-@'1.eNA \t\u4e2d\""), min_size=1, max_size=6).filter(
            lambda text: text == text.strip() and not text.startswith(("\t", "\r"))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_was_defused_is_read_as_it_was(tmp_path_factory, cells):
    frame = pd.DataFrame({"+grade": pd.Series(cells, dtype=object), "x": 1.5})
    path = write_csv(tmp_path_factory.mktemp("csv") / "a.csv", frame)
    read = read_csv(path, dtype={"+grade": str})
    assert list(read["+grade"]) == cells
    assert list(read) == ["+grade", "x"]


def test_a_column_that_is_absent_needs_no_type(tmp_path):
    path = write_csv(tmp_path / "a.csv", pd.DataFrame({"a": ["001", None]}))
    read = read_csv(path, dtype={"a": str, "b": str})
    assert read["a"].tolist()[0] == "001"
    assert read["a"].isna().tolist() == [False, True]


def test_csv_does_not_change_the_callers_frame(tmp_path):
    frame = pd.DataFrame({"a": ["=1"], "b": [1.0]})
    before = frame.copy(deep=True)
    write_csv(tmp_path / "a.csv", frame)
    pd.testing.assert_frame_equal(frame, before)


def test_duplicate_column_names_are_all_defused(tmp_path):
    frame = pd.DataFrame([["=1", "=2"]], columns=["a", "a"])
    assert write_csv(tmp_path / "a.csv", frame).read_text() == "a,a\n'=1,'=2\n"


def test_number_text_is_not_prefixed():
    assert [defuse(text) for text in ("-1.5", "+2", "-.5e-3", "-a", "")] == [
        "-1.5",
        "+2",
        "-.5e-3",
        "'-a",
        "",
    ]


def test_json_has_sorted_keys_and_plain_numbers(tmp_path):
    path = write_json(tmp_path / "a.json", {"b": np.array([1, 2]), "a": np.float64(0.1), "c": None})
    assert json.loads(path.read_text()) == {"a": 0.1, "b": [1, 2], "c": None}
    assert path.read_text().index('"a"') < path.read_text().index('"b"')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), {1, 2}])
def test_json_refuses_what_it_has_no_word_for(tmp_path, value):
    with pytest.raises(ArgumentError, match="cannot be written as JSON"):
        write_json(tmp_path / "a.json", {"x": value})
    assert not list(tmp_path.iterdir())


def test_hash_of_a_large_file_equals_the_hash_of_its_bytes(tmp_path):
    import hashlib

    content = os.urandom(3 << 20)
    path = atomic_write_bytes(tmp_path / "a", content)
    assert sha256_file(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "name", ["../x", "con", "a/b", "x" * 300, "", ".", "..", "CON", "a b", "ä", "a\x00b", "\ud800"]
)
def test_unsafe_names_become_safe_ones(name):
    safe = slug(name)
    assert safe != name
    assert 1 <= len(safe) <= 60
    assert set(safe) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert safe not in {"con", "aux", "nul"}


@given(st.text(), st.text())
def test_different_names_have_different_slugs(one, other):
    assert (slug(one) == slug(other)) == (one == other)


@given(st.text(alphabet=st.characters()))
def test_clean_text_can_be_written_anywhere(text):
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in cleaned)
