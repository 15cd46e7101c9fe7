"""Exit codes of the command line, and what is said about an error. It imports nothing heavy."""

from __future__ import annotations

import traceback
from pathlib import Path

__all__ = ["NOT_TRUSTWORTHY", "OUR_BUG", "STOPPED", "USER_INPUT", "explained"]

USER_INPUT, NOT_TRUSTWORTHY, OUR_BUG, STOPPED = 2, 3, 1, 130


def explained(error: Exception) -> tuple[str, int]:
    """What to say about an error, and the exit code; no value of a user's table is repeated.

    >>> explained(KeyError("Maria"))[1]
    1
    """
    from usstats.errors import FitError, ResampleError, UsstatsError

    if isinstance(error, FitError | ResampleError):
        return f"Not trustworthy: {error}", NOT_TRUSTWORTHY
    if isinstance(error, UsstatsError):
        return f"Error: {error}", USER_INPUT
    if isinstance(error, ModuleNotFoundError):
        install = "Install the image part with: pip install 'usstats[dl]'"
        return f"Error: this command needs the package {error.name!r}. {install}", USER_INPUT
    if isinstance(error, OSError):
        return f"Error: {error.strerror or error}: {error.filename or ''}", OUR_BUG
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return (
        f"Internal error ({type(error).__name__}{place}). This is a bug in usstats; please report "
        "the command that led here.",
        OUR_BUG,
    )
