"""A file is whole or not there."""

from __future__ import annotations

import pytest

from usstats._files import write_text


def test_text_is_written_as_utf8_with_plain_line_ends(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "é\n")
    assert path.read_bytes() == b"\xc3\xa9\n"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("usstats._files.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
