"""Whoever wants to hear how far a run is hears every epoch once."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from dl._training.allocator import keep_freed_memory
from dl.crossval import cross_validate
from dl.progress import EpochWatcher, console_progress, reporter
from tests.dl.worlds import tiny_config, write_world


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple] = []
        self.closed = 0

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.said.append((stage, done, total, note))

    def close(self) -> None:
        self.closed += 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def epoch(n: int) -> str:
    return json.dumps({"epoch": n, "train_loss": 0.5, "tuning_loss": 0.4, "tuning_auc": 0.75})


def test_every_epoch_of_every_fold_is_told_once(tmp_path):
    logs = [tmp_path / "0", tmp_path / "1"]
    logs[0].write_text(epoch(1) + "\n")
    heard = Heard()
    with EpochWatcher(heard, logs, epochs=2):
        assert [row[1:3] for row in heard.said] == [(1, 4)]
        logs[0].write_text(epoch(1) + "\n" + epoch(2) + "\n")
        logs[1].write_text(epoch(1) + "\n")
    assert [row[1:3] for row in heard.said] == [(1, 4), (2, 4), (3, 4)]
    assert heard.said[-1][3] == (
        "fold 2 of 2, epoch 1 of 2: loss 0.500, tuning loss 0.400, tuning AUC 0.750"
    )


def test_a_fold_that_stops_early_counts_as_done(tmp_path):
    record = json.loads(epoch(1)) | {"stopped_epoch": 1}
    (tmp_path / "0").write_text(json.dumps(record) + "\n")
    heard = Heard()
    with EpochWatcher(heard, [tmp_path / "0"], epochs=7):
        pass
    assert heard.said[-1][1:3] == (7, 7)
    assert heard.said[-1][3].endswith("tuning AUC 0.750; stopped early")


def test_without_a_listener_nothing_is_read(tmp_path):
    (tmp_path / "0").write_text("not json")
    with EpochWatcher(None, [tmp_path / "0"], epochs=2):
        pass
    assert reporter(None, "x") is None


def test_a_run_tells_of_images_and_epochs_and_closes(tmp_path):
    study, heard = write_world(tmp_path / "images", n=12), Heard()
    cross_validate(study, tiny_config(epochs=2), run_dir=tmp_path / "run", progress=heard, n_jobs=1)
    images = [row[1:3] for row in heard.said if row[0] == "reading images"]
    epochs = [row[1:3] for row in heard.said if row[0] == "training"]
    assert images == [(i, 18) for i in range(1, 19)]
    assert epochs == [(i, 6) for i in range(1, 7)]
    assert heard.closed == 1


def test_progress_is_closed_after_an_error(tmp_path):
    study, heard = write_world(tmp_path / "images", n=4), Heard()
    with pytest.raises(ValueError, match="Use at most 2"):
        cross_validate(study, tiny_config(), run_dir=tmp_path / "run", progress=heard, n_jobs=1)
    assert heard.closed == 1


def test_a_log_file_gets_lines_and_a_terminal_gets_bars():
    stream = io.StringIO()
    progress = console_progress(stream)
    for done in (1, 2, 2, 3):
        progress.update("reading images", done, 3)
    progress.close()
    assert stream.getvalue() == "reading images 3/3\n"
    terminal = Terminal()
    progress = console_progress(terminal)
    progress.update("training", 1, 4, "fold [1]")
    progress.update("training", 2, 4)
    progress.close()
    assert "training" in terminal.getvalue()
    assert "fold [1]" in terminal.getvalue()


def test_freed_memory_can_be_kept_on_linux():
    code = "from dl._training.allocator import keep_freed_memory as k; print(k(), k())"
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    if sys.platform.startswith("linux"):
        assert answer.stdout.split() in (["True", "True"], ["False", "False"])
    else:
        assert answer.stdout.split() == ["False", "False"]


def test_elsewhere_the_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr("dl._training.allocator.sys.platform", "darwin")
    monkeypatch.setattr("dl._training.allocator.ctypes.CDLL", lambda name: pytest.fail("asked"))
    assert keep_freed_memory() is False
