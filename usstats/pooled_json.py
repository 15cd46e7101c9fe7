"""Files of pooled models: the pooled model, and what Rubin's rules pooled, without any patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from usstats._files import write_text
from usstats.errors import UsstatsError
from usstats.model_json import (
    content_digest,
    file_fault,
    fit_content,
    fit_of_content,
    load_json,
)
from usstats.pooled_fit import PooledFit
from usstats.pooling import pool_estimates

SCHEMA = "usstats.pooled_logistic"
SCHEMA_VERSION = 1


class _PooledFile(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)

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
    model = fit_content(fit.model)
    content: dict[str, Any] = {
        "schema_name": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "pooled_model": {**model, "sha256": content_digest(model)},
        "estimates": fit.estimates.estimates.tolist(),
        "covariances": fit.estimates.covariances.tolist(),
        "dfcom": fit.estimates.dfcom,
        "conf_level": fit.estimates.conf_level,
    }
    content["sha256"] = content_digest(content)
    write_text(path, json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def read_pooled(path: str | Path) -> PooledFit:
    """Read a pooled model file; see `PooledFit.from_json`.

    Raises
    ------
    SchemaError
        Not such a file, a newer version, a missing or edited value; with its path in the file.
    """
    content = load_json(path)
    try:
        checked = _PooledFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = "$" + "".join(f".{key}" for key in first["loc"])
        raise file_fault(path, where, first["msg"]) from None
    if checked.sha256 != content_digest(content):
        raise file_fault(path, "$.sha256", "the content does not match its digest: it was edited")
    model = fit_of_content(checked.pooled_model, path)
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
