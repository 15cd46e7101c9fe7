"""Writing a file so that nobody ever finds half of it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text under a temporary name in the same folder, then rename."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
