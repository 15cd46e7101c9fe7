"""What a study's tables are: columns, types, units, ranges, and how to read them strictly."""

from data_schema.errors import SchemaError, UsstatsError
from data_schema.problems import Problem, assert_valid, problems_frame
from data_schema.schema import Column, TableSchema, load_schema
from data_schema.strict_yaml import load_strict_yaml

__all__ = [
    "Column",
    "Problem",
    "SchemaError",
    "TableSchema",
    "UsstatsError",
    "assert_valid",
    "load_schema",
    "load_strict_yaml",
    "pandera_schema",
    "problems_frame",
    "read_table",
    "read_tables",
]

_LAZY = {
    "read_table": "data_schema.tables",
    "read_tables": "data_schema.tables",
    "pandera_schema": "data_schema.checks",
}


def __getattr__(name: str) -> object:
    """Reading needs pandera, which `import usstats` must not pay for."""
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
