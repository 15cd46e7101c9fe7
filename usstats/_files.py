"""Writing a file so that nobody ever finds half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name in the same folder; on success it takes the place of `path`."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text under a temporary name in the same folder, then rename."""
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
