"""How far a run is and how long it will still take; it loads no torch."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

__all__ = [
    "ConsoleProgress",
    "EpochWatcher",
    "Progress",
    "console_progress",
    "read_log",
    "reporter",
]

_INTERVAL = 0.5


class Progress(Protocol):
    """Anything that wants to hear how far a run is."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps of a stage are over; `note` says what the last one gave."""

    def close(self) -> None:
        """Nothing more will come."""


def console_progress(stream: TextIO | None = None) -> ConsoleProgress:
    """Bars with the time left on a terminal; elsewhere a line an epoch at most."""
    return ConsoleProgress(stream)


def reporter(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    """A function of (done, total) that reports one stage."""
    if progress is None:
        return None
    return lambda done, total: progress.update(stage, done, total)


class ConsoleProgress:
    """Progress on a terminal or in a log file.

    Parameters
    ----------
    stream : file, optional
        Standard error by default.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> progress = console_progress(stream)
    >>> progress.update("training", 1, 50, "fold 1, epoch 1: tuning AUC 0.71")
    >>> progress.close()
    >>> stream.getvalue()
    'training 1/50: fold 1, epoch 1: tuning AUC 0.71\\n'
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._said: dict[str, int] = {}

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a stage, or write a line where there is something to say."""
        if self._stream.isatty():
            self._move(stage, done, total, note)
        elif self._said.get(stage) != done and (note or done == total):
            self._said[stage] = done
            self._stream.write(f"{stage} {done}/{total}{': ' if note else ''}{note}\n")
            self._stream.flush()

    def close(self) -> None:
        """Stop drawing; the finished bars stay."""
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}

    def _move(self, stage: str, done: int, total: int, note: str) -> None:
        if self._bars is None:
            self._bars = _new_bars(self._stream)
            self._bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note="")
        task = self._tasks[stage]
        self._bars.update(task, completed=done, total=total, **({"note": note} if note else {}))


def _new_bars(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=stream),
    )


class EpochWatcher:
    """Reads the epoch logs that training processes write, and tells a progress about them.

    Parameters
    ----------
    progress : Progress or None
    logs : sequence of Path
        One log file a fold, in the order of the folds; absent until its first epoch is over.
    epochs : int
        Of every fold.
    """

    def __init__(self, progress: Progress | None, logs: Sequence[Path], *, epochs: int) -> None:
        self._progress, self._logs, self._epochs = progress, list(logs), epochs
        self._seen = [0] * len(self._logs)
        self._left_out = [0] * len(self._logs)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._look()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._stop.set()
            self._thread.join()
            self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        for fold, log in enumerate(self._logs):
            for record in read_log(log)[self._seen[fold] :]:
                self._seen[fold] += 1
                if "stopped_epoch" in record:
                    self._left_out[fold] = self._epochs - record["stopped_epoch"]
                self._say(fold, record)

    def _say(self, fold: int, record: dict[str, Any]) -> None:
        total = self._epochs * len(self._logs)
        names = {"tuning_auc": "AUC", "tuning_dice": "Dice"}
        parts = [f"{name} {record[key]:.3f}" for key, name in names.items() if key in record]
        note = (
            f"fold {fold + 1} of {len(self._logs)}, epoch {record['epoch']} of {self._epochs}: "
            f"loss {record['train_loss']:.3f}, tuning loss {record['tuning_loss']:.3f}, "
            f"tuning {', '.join(parts)}{'; stopped early' * ('stopped_epoch' in record)}"
        )
        if self._progress is not None:
            done = sum(self._seen) + sum(self._left_out)
            self._progress.update("training", done, total, note)


def read_log(log: Path) -> list[dict[str, Any]]:
    """The records of an epoch log, one line an epoch; none while there is no file."""
    if not log.is_file():
        return []
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]
