"""What every configuration refuses: unknown or repeated keys, and values of another type."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from dl.errors import ConfigError

__all__ = ["check_types", "refuse_repeated", "refuse_unknown"]


def refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What `json.loads(object_pairs_hook=...)` calls for an object; a repeated key is an error."""
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        first = next(key for key, _ in pairs if key in seen or seen.add(key))
        msg = f"`{first}` stands twice in the configuration; which of them is meant?"
        raise ConfigError(msg)
    return content


def refuse_unknown(cls: type, values: Mapping[str, Any], prefix: str) -> None:
    """Every key must be a field of the dataclass; `prefix` stands before it in the message."""
    unknown = sorted(set(values) - {item.name for item in fields(cls)})
    if unknown:
        names = ", ".join(f"`{prefix}{name}`" for name in unknown)
        msg = f"The configuration has no field {names}; check the spelling."
        raise ConfigError(msg)


def check_types(config: Any, prefix: str) -> None:
    """Whole numbers for int, finite numbers for float, and text, never a bool for a number.

    Lists, paths and numbers of numpy become what JSON would give back.
    """
    hints = get_type_hints(type(config))
    for item in fields(config):
        hint = hints[item.name]
        value = _plain(getattr(config, item.name), hint)
        object.__setattr__(config, item.name, value)
        if not _fits(value, hint):
            what = getattr(hint, "__name__", None) or str(hint)
            msg = f"`{prefix}{item.name}` must be {what}; got {value!r}."
            raise ConfigError(msg)
        if hint is float:
            object.__setattr__(config, item.name, float(value))
        elif isinstance(value, tuple) and float in _parts(hint):
            object.__setattr__(config, item.name, tuple(map(float, value)))
        elif isinstance(value, tuple) and Any in _parts(hint):
            object.__setattr__(config, item.name, tuple(json.loads(json.dumps(value))))


def _plain(value: Any, hint: Any) -> Any:
    """A list where a tuple is meant, a path as text, and numbers of numpy as Python's."""
    if isinstance(value, list) and _parts(hint):
        return tuple(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if isinstance(value, np.generic) else value


def _parts(hint: Any) -> set[Any]:
    """The types a tuple of this hint, optional or not, may hold."""
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return {part for option in options if get_origin(option) is tuple for part in get_args(option)}


def _fits(value: Any, hint: Any) -> bool:
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is Any:
        return _is_json(value)
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        part = get_args(hint)[0]
        return isinstance(value, tuple) and all(_fits(v, part) for v in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and _is_plain(value)
    return isinstance(value, hint)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _is_plain(value: Any) -> bool:
    """JSON gives it back unchanged."""
    return _is_json(value) and bool(json.loads(json.dumps(value)) == value)
