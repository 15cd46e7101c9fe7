"""Files of pooled models: the pooled model, and what Rubin's rules pooled, without any patient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from usstats._fits.json_file import (
    StrictFile,
    check_version,
    checked_content,
    content_digest,
    fault_below,
    file_fault,
    fit_content,
    fit_of_content,
    load_json,
    write_content,
)
from usstats._imputing.rubin import pool_estimates
from usstats.errors import SchemaError, UsstatsError
from usstats.pooled_fit import PooledFit

SCHEMA = "usstats.pooled_logistic"
SCHEMA_VERSION = 1


class _PooledFile(StrictFile):
    schema_name: Literal["usstats.pooled_logistic"]
    schema_version: Literal[1]
    pooled_model: dict[str, Any]
    estimates: list[list[float]] = Field(min_length=2)
    covariances: list[list[list[float]]] = Field(min_length=2)
    dfcom: float = Field(gt=0)
    conf_level: float = Field(gt=0, lt=1)
    sha256: str


def write_pooled(fit: PooledFit, path: str | Path) -> None:
    """Write a pooled model file atomically; see `PooledFit.to_json`."""
    write_content(pooled_content(fit), path)


def pooled_content(fit: PooledFit) -> dict[str, Any]:
    """The model as plain values, without its digest."""
    model = fit_content(fit.model)
    return {
        "schema_name": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "pooled_model": {**model, "sha256": content_digest(model)},
        "estimates": fit.estimates.estimates.tolist(),
        "covariances": fit.estimates.covariances.tolist(),
        "dfcom": fit.estimates.dfcom,
        "conf_level": fit.estimates.conf_level,
    }


def read_pooled(path: str | Path) -> PooledFit:
    """Read a pooled model file; see `PooledFit.from_json`.

    Raises
    ------
    SchemaError
        Not such a file, a newer version, a missing or edited value; with its path in the file.
    """
    return pooled_of_content(load_json(path), path)


def pooled_of_content(content: Mapping[str, Any], path: str | Path) -> PooledFit:
    """The checked model in the plain values of a file; `path` names the file in messages."""
    check_version(content, path, schema=SCHEMA, version=SCHEMA_VERSION)
    checked = checked_content(_PooledFile, content, path)
    if checked.sha256 != content_digest(content):
        raise file_fault(path, "$.sha256", "the content does not match its digest: it was edited")
    try:
        model = fit_of_content(checked.pooled_model, path)
    except SchemaError as error:
        raise fault_below(error, "$.pooled_model") from None
    try:
        estimates = pool_estimates(
            checked.estimates,
            np.array(checked.covariances),
            dfcom=checked.dfcom,
            names=model.spec.column_names,
            conf_level=checked.conf_level,
        )
    except (UsstatsError, ValueError) as error:
        raise file_fault(path, "$.estimates", str(error)) from None
    if not np.allclose(estimates.estimate, model.params.to_numpy(dtype=float)):
        raise file_fault(path, "$.estimates", "do not pool to the coefficients of the model")
    return PooledFit(model=model, estimates=estimates)
