"""Finished replicates on disk, so that a long validation that was killed goes on where it stopped.

A folder holds a manifest, which says of what data and recipe the replicates are, and shards of
replicates as plain arrays. Nothing is pickled, and every file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import pandas as pd

from usstats._files import atomic_path, write_text
from usstats._validation.plans import Plan
from usstats._validation.refits import Refit
from usstats.errors import ArgumentError, ResampleError
from usstats.recipe import Kitchen

FORMAT = "usstats checkpoint 1"
MANIFEST = "manifest.json"
#: Replicates in a file: what a kill can cost at most.
SHARD = 16

Cook = Callable[[Sequence[int]], Iterable[Refit | None]]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder of finished replicates of one validation.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @classmethod
    def open(cls, path: str | Path, kitchen: Kitchen) -> Checkpoint:
        """Start a folder, or take up one of the same data and recipe.

        Raises
        ------
        ResampleError
            The folder is of other data, another recipe, seed or version, or holds something else.
        ArgumentError
            Not a path.
        """
        if not isinstance(path, str | os.PathLike):
            msg = f"`checkpoint` must be the path of a folder; got {path!r}."
            raise ArgumentError(msg)
        folder, own = Path(path), fingerprint(kitchen)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            _refuse_foreign(folder, own)
            return cls(folder=folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, "parts": own}, indent=1)
        write_text(folder / MANIFEST, text + "\n")
        return cls(folder=folder)

    def replicates(self, plan: Plan, cook: Cook) -> Iterator[Refit | None]:
        """All replicates of a plan: those found, and the others, written as soon as they are made.

        Raises
        ------
        ResampleError
            A file of replicates with other draws, or a damaged one.
        """
        for start in range(0, plan.n_boot, SHARD):
            which = range(start, min(start + SHARD, plan.n_boot))
            path = self.folder / f"replicates_{start:07d}.npz"
            found = _read_shard(path, plan, which) if path.exists() else []
            missing = which[len(found) :]
            if missing:
                found = [*found, *cook(missing)]
                _write_shard(path, plan, which, found)
            yield from found


def _refuse_foreign(folder: Path, own: Mapping[str, str]) -> None:
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        parts = dict(content["parts"]) if content["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        parts = {}
    if not parts:
        msg = f"`checkpoint` {str(folder)!r} is no folder of replicates; give a new one."
        raise ResampleError(msg)
    other = [name for name, value in own.items() if parts.get(name) != value]
    if other:
        msg = (
            f"`checkpoint` {str(folder)!r} holds replicates of other {' and '.join(other)} than "
            "this validation. Give a new folder, or delete it."
        )
        raise ResampleError(msg)


def _write_shard(path: Path, plan: Plan, which: range, found: Sequence[Refit | None]) -> None:
    content: dict[str, Any] = {"draws": np.array([_draw_hash(plan, i) for i in which])}
    for k, refit in enumerate(found):
        if refit is not None:
            content[f"training_{k}"], content[f"test_{k}"] = refit.training, refit.test
            content[f"terms_{k}"] = np.array(refit.terms, dtype=np.str_)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **content)


def _read_shard(path: Path, plan: Plan, which: range) -> list[Refit | None]:
    """Replicates of a file, as many as the plan wants and the file has."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
        draws = [str(draw) for draw in content["draws"]]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        msg = f"`checkpoint`: {path.name} is damaged; delete it and these replicates are made anew."
        raise ResampleError(msg) from None
    for draw, i in zip(draws, which, strict=False):
        if draw != _draw_hash(plan, i):
            msg = (
                f"`checkpoint`: replicate {i} in {path.name} was drawn differently, by another "
                "`seed`, `cluster`, `stratify` or `resamples`. Give a new folder, or delete it."
            )
            raise ResampleError(msg)
    return [_refit_of(content, k) for k in range(min(len(draws), len(which)))]


def _refit_of(content: Mapping[str, Any], k: int) -> Refit | None:
    if f"training_{k}" not in content:
        return None
    terms = tuple(str(term) for term in content[f"terms_{k}"])
    return Refit(training=content[f"training_{k}"], test=content[f"test_{k}"], terms=terms)


def _draw_hash(plan: Plan, i: int) -> str:
    return _digest(np.ascontiguousarray(plan.train_rows(i), dtype=np.int64).tobytes())


def fingerprint(kitchen: Kitchen) -> dict[str, str]:
    """Hashes of everything but the draws that a replicate depends on."""
    recipe, spec = kitchen.recipe, kitchen.spec
    learned = "" if spec is None else json.dumps(spec.to_dict(), sort_keys=True, default=str)
    tables = [kitchen.data, *kitchen.originals]
    return {
        "data": _digest(b"".join(_table_bytes(table) for table in tables)),
        "steps": _digest((_in_words(recipe) + learned).encode()),
        "seeds": str(kitchen.seed),
        "versions": _version(),
    }


def _version() -> str:
    try:
        return version("usstats")
    except PackageNotFoundError:
        return "0+unknown"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _table_bytes(table: pd.DataFrame) -> bytes:
    facts = [f"{name!r} {dtype}" for name, dtype in table.dtypes.items()]
    values = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return "\n".join(facts).encode() + values.tobytes()


def _in_words(value: Any) -> str:
    """A text that is the same for the same recipe in another process."""
    if is_dataclass(value) and not isinstance(value, type):
        inside = [f"{f.name}={_in_words(getattr(value, f.name))}" for f in fields(value)]
        return f"{type(value).__qualname__}({', '.join(inside)})"
    if isinstance(value, FunctionType):
        bound = [_in_words(cell.cell_contents) for cell in value.__closure__ or ()]
        defaults = _in_words(value.__defaults__)
        return f"{value.__qualname__} {_code(value.__code__)} {bound} {defaults}"
    if isinstance(value, Mapping):
        return str({str(key): _in_words(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return str([_in_words(item) for item in value])
    if callable(value):
        return f"{type(value).__qualname__} {_in_words(dict(vars(value)))}"
    return repr(value)


def _code(code: CodeType) -> str:
    """A hash of what a function does, nested functions included."""
    inner = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return _digest(code.co_code + repr((code.co_names, inner)).encode())
