"""Files that are either wholly there or not at all, and text that stays text in every program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dl.fingerprint import sha256_file
from usstats.errors import ArgumentError

__all__ = [
    "FORMULA_STARTS",
    "atomic_write_bytes",
    "atomic_write_text",
    "clean_text",
    "defuse",
    "json_text",
    "read_csv",
    "sha256_bytes",
    "sha256_file",
    "slug",
    "write_csv",
    "write_json",
]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: What a spreadsheet takes for the beginning of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: What `defuse` wrote, or what it has to set apart from that.
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")
_PORTS = {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
_DEVICE_NAMES = {"con", "prn", "aux", "nul"} | _PORTS


def atomic_write_bytes(path: str | Path, content: bytes) -> Path:
    """Write `content` to `path`: after a crash the old file or the new one is there, never half.

    Parameters
    ----------
    path : str or Path
        The folder is made if it does not exist.
    content : bytes

    Returns
    -------
    Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write_bytes(Path(folder) / "a.bin", b"abc").read_bytes()
    b'abc'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_beside(target) as (handle, temporary):
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    _sync_folder(target.parent)
    return target


def atomic_write_text(path: str | Path, text: str) -> Path:
    r"""Write UTF-8 text with `\n` line ends, atomically.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write_text(Path(folder) / "a.txt", "one\r\ntwo").read_bytes()
    b'one\ntwo'
    """
    writable = _SURROGATE.sub(_REPLACEMENT, text.replace("\r\n", "\n"))
    return atomic_write_bytes(path, writable.encode("utf-8"))


def write_csv(path: str | Path, frame: pd.DataFrame) -> Path:
    """Write a frame as CSV: full precision, missing values empty, text that is no formula.

    Parameters
    ----------
    path : str or Path
    frame : DataFrame
        The index is not written.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"label": ["=1+1", "a"], "x": [-1.5, 0.1 + 0.2]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_csv(Path(folder) / "a.csv", frame).read_text())
    label,x
    '=1+1,-1.5
    a,0.30000000000000004
    """
    buffer = StringIO()
    _defused(frame).to_csv(buffer, index=False, lineterminator="\n")
    return atomic_write_text(path, buffer.getvalue())


def read_csv(path: str | Path, *, dtype: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Read what `write_csv` wrote, text as it was before it was made inert.

    Only an empty cell is missing: a centre called NA stays one.

    Parameters
    ----------
    path : str or Path
    dtype : mapping of column to type, optional
        Columns that are absent do no harm.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"=grade": ["+", "-", "'=", "NA", None], "x": [-1.5, 2, 3, 4, 5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_csv(write_csv(Path(folder) / "a.csv", frame)).equals(frame)
    True
    """
    types = {defuse(name): kind for name, kind in (dtype or {}).items()}
    frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    for position, kind in enumerate(frame.dtypes):
        if kind.kind not in "biufc":
            cells = [_live(cell) for cell in frame.iloc[:, position]]
            frame.isetitem(position, pd.Series(cells, index=frame.index, dtype=kind))
    frame.columns = [_live(name) for name in frame.columns]
    return frame


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON with sorted keys; a NaN or an infinity is refused, not written.

    Raises
    ------
    ArgumentError
        A value JSON has no word for.
    """
    return atomic_write_text(path, json_text(content) + "\n")


def json_text(content: Any, *, indent: int | None = 2) -> str:
    """Return `content` as JSON; numpy scalars and arrays become numbers and lists.

    Examples
    --------
    >>> json_text({"b": np.float64(0.5), "a": [np.int64(1)]}, indent=None)
    '{"a": [1], "b": 0.5}'
    """
    try:
        return json.dumps(
            content,
            allow_nan=False,
            sort_keys=True,
            ensure_ascii=False,
            indent=indent,
            default=_plain_value,
        )
    except (TypeError, ValueError) as error:
        msg = f"`content` cannot be written as JSON: {error}. Replace undefined numbers by None."
        raise ArgumentError(msg) from None


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def slug(name: str, *, limit: int = 48) -> str:
    """Return a file name for any text: safe on every system, and different for different names.

    A name that is already safe is kept; whatever had to change gets eight digits of its hash.

    Examples
    --------
    >>> slug("roc_internal")
    'roc_internal'
    >>> slug("../x") == slug("..\\\\x"), slug("../x")[:2]
    (False, 'x-')
    """
    safe = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:limit].strip("-")
    if safe == name and safe and safe not in _DEVICE_NAMES:
        return safe
    digest = sha256_bytes(name.encode("utf-8", "surrogatepass"))[:8]
    return f"{safe or 'name'}-{digest}"


def clean_text(text: str) -> str:
    r"""Replace what no document may hold (control characters, lone surrogates) by U+FFFD.

    Line breaks and tabs become a blank, so that a cell stays a cell.

    Examples
    --------
    >>> clean_text("a\x00b\tc")
    'a\ufffdb c'
    """
    return re.sub(r"[\t\r\n]+", " ", _CONTROL.sub(_REPLACEMENT, text))


def defuse(text: str) -> str:
    """Prefix what a spreadsheet would run as a formula with an apostrophe; numbers stay.

    Examples
    --------
    >>> defuse("=HYPERLINK(1)"), defuse("-1.5"), defuse("plain")
    ("'=HYPERLINK(1)", '-1.5', 'plain')
    """
    runs = text.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(text)
    return f"'{text}" if runs or _DEFUSED.match(text) else text


def _live(cell: Any) -> Any:
    """A cell as it was before `defuse`."""
    return cell[1:] if isinstance(cell, str) and _DEFUSED.match(cell) else cell


def _defused(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every text cell and every header made inert."""
    inert = frame.copy()
    for position, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pd.CategoricalDtype) or dtype.kind not in "biufcmM":
            cells = [_inert(cell) for cell in frame.iloc[:, position]]
            inert.isetitem(position, pd.Series(cells, index=frame.index, dtype=object))
    inert.columns = [_inert(name) for name in frame.columns]
    return inert


def _inert(cell: Any) -> Any:
    """A text cell no program runs or breaks a line at; anything else as it is."""
    if not isinstance(cell, str):
        return cell
    return _CONTROL.sub(_REPLACEMENT, re.sub(r"\r\n?", "\n", defuse(cell)))


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return value.as_posix()
    msg = f"a value of type {type(value).__name__} has no JSON form"
    raise TypeError(msg)


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[tuple[int, Path]]:
    """A temporary file in the target's folder that is gone afterwards, whatever happened."""
    prefix = f".{target.name[:40]}."
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".tmp")
    temporary = Path(name)
    try:
        yield handle, temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where folders can be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
