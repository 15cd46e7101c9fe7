"""Expected values computed in R, with the package, version and call that made them.

The numbers live in `cases/`; the tables that may be copied live in `data/`. The other tables
stay where their licence keeps them: in the folder named by USSTATS_SHARED (by default a folder
`shared` beside the repository); a test that needs an absent one skips and says so.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.reference.recording import Comparison, largest_difference, record

HERE = Path(__file__).parent
CASES = HERE / "cases"
SHARED = Path(os.environ.get("USSTATS_SHARED", HERE.parents[1].parent / "shared"))
DEFAULT_ATOL = 1e-9


def shared_path(*parts: str) -> Path:
    """A path inside the shared folder, or a skip that names what is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} is not in the shared data folder (set USSTATS_SHARED)")
    return path


def read_reference_table(name: str) -> pd.DataFrame:
    """One of the tables the cases were computed from."""
    own = HERE / "data" / name
    path = own if own.exists() else shared_path("reference", "data", name)
    return pd.read_csv(path)


@dataclass(frozen=True)
class ReferenceCase:
    """One JSON file of expected numbers."""

    content: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.content["id"]

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.content["inputs"]

    @property
    def expected(self) -> Mapping[str, Any]:
        return self.content["expected"]

    def table(self, position: int = 0) -> pd.DataFrame:
        names = self.content["data"]
        return read_reference_table(names if isinstance(names, str) else names[position])

    def value(self, path: str) -> Any:
        """The expected value at a dotted path, "Inf" and null turned into numbers."""
        return _numbers(_descend(self.expected, path))

    def tolerance(self, path: str) -> tuple[float, float]:
        """(rtol, atol) by the longest prefix that has its own."""
        return (
            _longest_prefix(self.content.get("rtol_by"), path, self.content["rtol"]),
            _longest_prefix(
                self.content.get("atol_by"), path, self.content.get("atol", DEFAULT_ATOL)
            ),
        )

    def check(self, got: Any, path: str) -> None:
        """Assert |got - expected| <= atol + rtol |expected| for all numbers at `path`.

        Where names lie below `path`, `got` is a mapping (or series) with exactly those names.
        """
        expected = _descend(self.expected, path)
        if isinstance(expected, Mapping):
            assert set(got.keys()) == set(expected), f"{self.id}: names at {path!r}"
            for name in expected:
                self.check(got[name], f"{path}.{name}" if path else name)
            return
        self._check_numbers(
            np.asarray(got, dtype=float), np.asarray(_numbers(expected), dtype=float), path
        )

    def _check_numbers(self, got: NDArray[Any], expected: NDArray[Any], path: str) -> None:
        """One expected number may be written as a list; beyond that nothing is broadcast."""
        where = f"{self.id}: {path}"
        if got.squeeze().shape != expected.squeeze().shape:
            pytest.fail(f"{where}: shape {got.shape}, expected {expected.shape}")
        rtol, atol = self.tolerance(path)
        got, expected = got.ravel(), expected.ravel()
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, err_msg=where)
        record(
            Comparison(
                case=self.id,
                path=path,
                n=expected.size,
                difference=largest_difference(got, expected, rtol, atol),
                rtol=rtol,
            )
        )


def load_case(case_id: str) -> ReferenceCase:
    return ReferenceCase(json.loads((CASES / f"{case_id}.json").read_text("utf-8")))


def leaves(case: ReferenceCase) -> dict[str, int]:
    """How many numbers the case expects at each path; paths that hold only words are left out."""
    counted = {path: _count(node) for path, node in _walk(case.expected, "")}
    return {path: n for path, n in counted.items() if n}


def matrix_frame(matrix: Mapping[str, Any]) -> pd.DataFrame:
    """A {rows, cols, values} matrix as a labelled frame."""
    return pd.DataFrame(_numbers(matrix["values"]), index=matrix["rows"], columns=matrix["cols"])


def _descend(node: Any, path: str) -> Any:
    """Follow a dotted path; a key may hold dots itself, and the longest one wins."""
    if not path:
        return node
    keys = [key for key in node if path == key or path.startswith(f"{key}.")]
    if not keys:
        msg = f"no key of {list(node)} begins the path {path!r}"
        raise KeyError(msg)
    key = max(keys, key=len)
    return _descend(node[key], path[len(key) + 1 :])


def _walk(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        yield path, node
        return
    for key, inner in node.items():
        yield from _walk(inner, f"{path}.{key}" if path else key)


def _count(node: Any) -> int:
    """Numbers, infinities and nulls in a value or nested list."""
    if isinstance(node, list):
        return sum(map(_count, node))
    return int(not isinstance(node, str) or node in ("Inf", "-Inf"))


def _numbers(node: Any) -> Any:
    if isinstance(node, list):
        return [_numbers(item) for item in node]
    if node is None:
        return math.nan
    if node in ("Inf", "-Inf"):
        return float(node.lower())
    return node


def _longest_prefix(table: Mapping[str, float] | None, path: str, default: float) -> float:
    matches = [key for key in (table or {}) if path == key or path.startswith(f"{key}.")]
    return (table or {})[max(matches, key=len)] if matches else default
