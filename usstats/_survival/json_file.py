"""Files of Cox models: coefficients and the baseline hazard, without any patient's covariates.

Event times are in the file, because the baseline hazard is a step at each of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from usstats._fits.json_file import (
    SpecFile,
    StrictFile,
    Text,
    check_agreement,
    check_version,
    checked_content,
    content_digest,
    file_fault,
    load_json,
    spec_of,
    write_content,
)
from usstats._survival.baseline import Baseline
from usstats.errors import SchemaError
from usstats.survival import CoxFit

SCHEMA = "usstats.cox"
SCHEMA_VERSION = 1

_SCALARS = (
    "time",
    "event",
    "ties",
    "n",
    "n_event",
    "n_cluster",
    "n_dropped",
    "n_iter",
    "log_likelihood",
    "null_log_likelihood",
    "score_chi2",
    "effective_df",
)


class _BaselineFile(StrictFile):
    times: list[float] = Field(min_length=1)
    hazard: list[float]
    variance: list[float]
    gradient: list[list[float]]
    last: float


class _CoxFile(StrictFile):
    """Everything a Cox model's file holds."""

    schema_name: Literal["usstats.cox"]
    schema_version: Literal[1]
    time: Text
    event: Text
    ties: Literal["efron", "breslow"]
    n: int = Field(gt=0)
    n_event: int = Field(gt=0)
    n_cluster: int | None
    n_dropped: int = Field(ge=0)
    n_iter: int
    log_likelihood: float
    null_log_likelihood: float
    score_chi2: float
    effective_df: float | None
    missing: dict[str, int]
    penalty: dict[str, float] | None
    spec: SpecFile
    params: dict[str, float]
    covariance: list[list[float]]
    means: list[float]
    baseline: _BaselineFile
    indices: dict[str, float]
    sha256: str


def write_cox(fit: CoxFit, path: str | Path) -> None:
    """Write a Cox model's file atomically; see `CoxFit.to_json`."""
    write_content(cox_content(fit), path)


def cox_content(fit: CoxFit) -> dict[str, Any]:
    """The model as plain values, without its digest."""
    base = fit.baseline
    return {
        "schema_name": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        **{name: getattr(fit, name) for name in _SCALARS},
        "missing": dict(fit.missing),
        "penalty": None if fit.penalty is None else dict(fit.penalty),
        "spec": fit.spec.to_dict(),
        "params": {str(name): float(value) for name, value in fit.params.items()},
        "covariance": fit.covariance.to_numpy(dtype=float).tolist(),
        "means": list(fit.means),
        "indices": {str(name): float(value) for name, value in fit.indices().items()},
        "baseline": {
            **{name: getattr(base, name).tolist() for name in _STEPS},
            "last": base.last,
        },
    }


_STEPS = ("times", "hazard", "variance", "gradient")


def read_cox(path: str | Path) -> CoxFit:
    """Read a Cox model's file; see `CoxFit.from_json`.

    Raises
    ------
    SchemaError
        Not such a file, a newer version, a missing or edited value; with its path in the file.
    """
    content = load_json(path)
    check_version(content, path, schema=SCHEMA, version=SCHEMA_VERSION)
    checked = checked_content(_CoxFile, content, path)
    spec = spec_of(checked.spec, path)
    names = list(spec.column_names[1:])
    check_agreement(names, checked.params, checked.means, checked.covariance, path)
    if checked.sha256 != content_digest(content):
        raise file_fault(path, "$.sha256", "the content does not match its digest: it was edited")
    row = checked.model_dump()
    return CoxFit(
        params=pd.Series(checked.params, name="estimate", dtype=float)[names],
        covariance=pd.DataFrame(checked.covariance, index=names, columns=names),
        spec=spec,
        means=tuple(checked.means),
        stored_indices=checked.indices,
        baseline=_baseline(checked.baseline, len(names), path),
        **{name: row[name] for name in (*_SCALARS, "missing", "penalty")},
    )


def _baseline(stored: _BaselineFile, k: int, path: str | Path) -> Baseline:
    """The steps of the hazard: as many of each, rising, by k coefficients."""
    steps = {name: np.array(getattr(stored, name), dtype=float) for name in _STEPS[:3]}
    m = steps["times"].size
    wide = len(stored.gradient) == m and all(len(row) == k for row in stored.gradient)
    if not wide or any(values.shape != (m,) for values in steps.values()):
        raise _uneven(path, f"`hazard`, `variance` and `gradient` must have {m} steps")
    rising = all((np.diff(values, prepend=0) >= 0).all() for values in steps.values())
    if not rising or stored.last < steps["times"][-1]:
        raise _uneven(path, "times and cumulative hazard must rise, up to `last`")
    return Baseline(**steps, gradient=np.array(stored.gradient), last=stored.last)


def _uneven(path: str | Path, why: str) -> SchemaError:
    return file_fault(path, "$.baseline", why)
