"""YAML as people mean it: `NO` stays text, a key stands once, nothing is executed or expanded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, Event, NodeEvent
from yaml.nodes import MappingNode, Node

from data_schema.errors import SchemaError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

_INTEGER = re.compile(r"^[+-]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[+-]?((0|[1-9][0-9]*)?\.[0-9]+|(0|[1-9][0-9]*)\.?)([eE][+-]?[0-9]+)?$")
_BOOL = re.compile(r"^(true|false)$")
_NULL = re.compile(r"^(null|~|)$")


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with a short list of implicit types and no second spelling of a key."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):
            msg = "an alias (`*name`): write the value out"
            raise _refusal(msg, event.start_mark)
        if isinstance(event, NodeEvent) and (event.anchor or _has_tag(event)):
            msg = "an anchor or a tag (`&name`, `!type`)"
            raise _refusal(msg, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: dict[str, int] = {}
        for key, _ in node.value:
            text = str(key.value)
            if text in seen:
                msg = f"the key {text!r}, which stands at line {seen[text]} already"
                raise _refusal(msg, key.start_mark)
            seen[text] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def _refusal(found: str, mark: Any) -> ConstructorError:
    return ConstructorError(None, None, found, mark)


def _has_tag(event: NodeEvent) -> bool:
    return getattr(event, "tag", None) is not None


for _tag, _pattern, _first in (
    ("null", _NULL, ["n", "~", ""]),
    ("bool", _BOOL, ["t", "f"]),
    ("int", _INTEGER, list("+-0123456789")),
    ("float", _FLOAT, list("+-0123456789.")),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


def load_strict_yaml(path: str | Path) -> Any:
    """Read a YAML file strictly.

    Only `true`, `false`, `null`, whole and decimal numbers are anything but text: `NO`, `0123`,
    `12:30:45` and `2024-01-05` stay as they were written. Duplicate keys, aliases, anchors and
    tags are refused.

    Raises
    ------
    SchemaError
        Naming the file, the line and the column.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "study.yaml"
    >>> _ = path.write_text("centre: NO\\nid: 0123\\nn_boot: 1000\\n")
    >>> load_strict_yaml(path)
    {'centre': 'NO', 'id': '0123', 'n_boot': 1000}
    """
    file = Path(path)
    return parse_strict_yaml(_read(file), source=file.name)


def parse_strict_yaml(text: str, *, source: str = "text") -> Any:
    """Parse YAML text by the rules of `load_strict_yaml`; `source` names it in messages."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(error.problem).removeprefix("found ")
        msg = f"{source}{where}: found {problem}."
        raise SchemaError(msg) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        msg = f"{source} cannot be read as YAML ({type(error).__name__})."
        raise SchemaError(msg) from None
    _refuse_depth(content, source)
    return content


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            msg = f"{file.name} is larger than {MAX_BYTES:,} bytes; a study file is text."
            raise SchemaError(msg)
        return file.read_text("utf-8-sig")
    except OSError as error:
        msg = f"{file.name} cannot be read: {error.strerror}."
        raise SchemaError(msg) from None
    except UnicodeDecodeError:
        msg = f"{file.name} is not UTF-8; save it as UTF-8."
        raise SchemaError(msg) from None


def _refuse_depth(content: Any, source: str) -> None:
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            msg = f"{source} is nested more than {MAX_DEPTH} levels deep."
            raise SchemaError(msg)
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
