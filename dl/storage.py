"""Files that are whole or absent, and a run folder with one writer; it loads no torch."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from dl.errors import ResumeError, RunLockedError
from usstats._files import atomic_path, write_text
from usstats.errors import ArgumentError

__all__ = [
    "atomic_path",
    "damaged",
    "read_json",
    "run_lock",
    "tied_to",
    "wait_for_lock",
    "write_json",
    "write_text",
]

_POLL_SECONDS = 0.2


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; NaN is refused."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, *, needs: Collection[str] = ()) -> Any:
    """Read JSON of a run folder.

    Parameters
    ----------
    path : Path
    needs : collection of str
        Keys that the object must have.

    Raises
    ------
    ResumeError
        The file is absent or damaged.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError:
        msg = (
            f"{path} is absent; the run folder is not complete. Run cross_validate again, or use "
            "a fresh folder."
        )
        raise ResumeError(msg) from None
    except ValueError:
        raise damaged(path) from None
    if needs and not (isinstance(content, dict) and set(needs) <= set(content)):
        raise damaged(path)
    return content


def damaged(path: Path) -> ResumeError:
    """The error of a file of a run folder that does not hold what was written."""
    msg = f"{path} is damaged. Remove it and run cross_validate again, or use a fresh folder."
    return ResumeError(msg)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run folder for one writer.

    The operating system drops the lock with the process that held it, however that ended, so
    that a lock left by a killed run never stands in the way.

    Raises
    ------
    RunLockedError
        Another process holds the folder; its process number is given.
    """
    with _lock_file(folder) as file:
        if not _try_lock(file.fileno()):
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            msg = (
                f"Another process (number {holder}) is working in {folder}. Wait for it, or "
                "choose another run folder."
            )
            raise RunLockedError(msg)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            _unlock(file.fileno())


@contextmanager
def wait_for_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one writer, after whoever holds it now has let go."""
    with _lock_file(folder) as file:
        while not _try_lock(file.fileno()):
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            _unlock(file.fileno())


@contextmanager
def tied_to(parent: int) -> Iterator[None]:
    """End this process at once when the process `parent` that started it is gone.

    A worker that outlives a killed run would go on writing beside the run that resumes it.
    """
    if os.getpid() == parent:
        yield
        return
    finished = threading.Event()
    watch = threading.Thread(target=_end_with, args=(parent, finished), daemon=True)
    watch.start()
    try:
        yield
    finally:
        finished.set()


def _end_with(parent: int, finished: threading.Event) -> None:
    while not finished.wait(_POLL_SECONDS):
        if os.getppid() != parent:
            os._exit(1)


def _lock_file(folder: Path) -> TextIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / ".lock").open("a+", encoding="ascii")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        msg = f"`run_dir`: {folder} cannot be written to ({reason}). Choose another folder."
        raise ArgumentError(msg) from None


try:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

except ImportError:  # pragma: no cover - Windows
    import msvcrt

    # The locked byte lies far behind the text, which others must be able to read.
    _FAR = 1 << 20

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
