"""Files are whole or absent, and a run folder has one writer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dl.errors import ResumeError, RunLockedError
from dl.storage import atomic_path, read_json, run_lock, write_json
from usstats.errors import ArgumentError

HOLD = """
import sys, time
from pathlib import Path
from dl.storage import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_file_appears_when_it_is_finished(tmp_path):
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    path = tmp_path / "a.txt"
    with pytest.raises((KeyboardInterrupt, OSError)), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_json_round_trip_and_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, None, "ü"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, None, "ü"]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"x": [1, None, "ü"]}


@pytest.mark.parametrize(
    ("content", "word"), [(None, "absent"), (b"{", "damaged"), (b"\xff", "damaged")]
)
def test_json_that_cannot_be_read_is_a_resume_error(tmp_path, content, word):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ResumeError, match=rf"a\.json is {word}"):
        read_json(tmp_path / "a.json")


def test_the_lock_is_released_after_work_and_after_an_error(tmp_path):
    with run_lock(tmp_path), pytest.raises(RunLockedError), run_lock(tmp_path):
        pass
    with pytest.raises(KeyError), run_lock(tmp_path):
        raise KeyError
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert (tmp_path / ".lock").read_text() == ""


def test_the_lock_of_another_process_holds_until_it_dies(tmp_path):
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunLockedError, match=f"number {process.pid}"), run_lock(tmp_path):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        try:
            with run_lock(tmp_path):
                return
        except RunLockedError:
            time.sleep(0.02)
    pytest.fail("a lock outlived its process")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ArgumentError, match=r"`run_dir`.*Choose another folder"),
        run_lock(tmp_path / "file" / "run"),
    ):
        pass
