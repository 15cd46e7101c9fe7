"""Paths that came from a table: inside the study folder, or refused."""

from __future__ import annotations

import re
from pathlib import Path

from usstats.errors import SchemaError

__all__ = ["resolve_inside"]

_DRIVE = re.compile(r"^[A-Za-z]:")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{d}{i}" for d in ("com", "lpt") for i in range(10)}


def resolve_inside(root: Path, text: str) -> Path:
    """The file a table names, relative to `root`; the file need not exist.

    Parameters
    ----------
    root
        The study folder.
    text
        A cell of a table: forward slashes, relative.

    Raises
    ------
    SchemaError
        The path is empty, absolute, a URL, climbs out of the folder by `..` or by a link, or
        means something else on another system. The message does not repeat the path.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> resolve_inside(root, "images/a.png").name
    'a.png'
    >>> resolve_inside(root, "../a.png")
    Traceback (most recent call last):
    ...
    data_schema.errors.SchemaError: a path that climbs out of the study folder by `..`
    """
    fault = _fault(text)
    if fault is not None:
        msg = f"a path {fault}"
        raise SchemaError(msg)
    try:
        resolved = (root / text).resolve()
    except (OSError, RuntimeError) as error:
        msg = f"a path that cannot be followed ({type(error).__name__})"
        raise SchemaError(msg) from None
    if not resolved.is_relative_to(root.resolve()):
        msg = "a link that leads out of the study folder"
        raise SchemaError(msg)
    return resolved


def _fault(text: str) -> str | None:
    """What is wrong with a path before the disk is asked."""
    parts = re.split(r"[/\\]", text)
    checks = {
        "that is empty": not text.strip(),
        "with a character no file name has": any(ord(letter) < 32 for letter in text),
        "that is a URL": bool(_SCHEME.match(text)) or text.lower().startswith("file:"),
        "that is absolute": text.startswith(("/", "\\", "~")) or bool(_DRIVE.match(text)),
        "that climbs out of the study folder by `..`": ".." in parts,
        "with backslashes": "\\" in text,
        "that names a device": any(part.split(".")[0].lower() in _DEVICES for part in parts),
        "with a name that ends in a dot or a space": any(
            part != part.rstrip(" .") for part in parts if part != "."
        ),
        "that is longer than 1,000 characters": len(text) > 1000,
    }
    return next((fault for fault, present in checks.items() if present), None)
