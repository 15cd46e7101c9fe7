"""Model files: a fitted model as JSON, without any patient's row, and back again unchanged.

The reader trusts nothing: numbers must be finite, columns must be those the terms make, and a
digest shows whether anything was edited after the file was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from usstats._files import write_text
from usstats._fits.firth import ProfileLimits
from usstats.design import DesignSpec
from usstats.errors import SchemaError, UsstatsError
from usstats.logistic import LogisticFit

SCHEMA = "usstats.logistic"
SCHEMA_VERSION = 1
LARGEST_FILE = 16_000_000

Text = Annotated[str, Field(max_length=1000)]


class StrictFile(BaseModel):
    """A part of a model file: no unknown keys, no NaN, no conversion of types."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)


File = TypeVar("File", bound=StrictFile)


class _TermFile(StrictFile):
    name: Text
    type: Literal["linear", "log", "logit", "rcs", "factor", "interaction"]
    n_knots: int | None = None
    knots: list[float] | None = None
    levels: list[Text] | None = None
    parts: list[Text] | None = None


class _RangeFile(StrictFile):
    kind: Literal["number", "factor"]
    minimum: float | None = None
    lower_quartile: float | None = None
    median: float | None = None
    upper_quartile: float | None = None
    maximum: float | None = None
    values: list[float] | None = None
    levels: list[Text] | None = None
    counts: list[int] | None = None
    mode: Text | None = None


class SpecFile(StrictFile):
    """A design."""

    outcome: Text
    terms: list[_TermFile] = Field(min_length=1)
    ranges: dict[str, _RangeFile]


class _LimitsFile(StrictFile):
    conf_level: float
    low: list[float | None]
    high: list[float | None]
    statistic: list[float]
    p_value: list[float]


class _FitFile(StrictFile):
    """Everything a model file holds."""

    schema_name: Literal["usstats.logistic"]
    schema_version: Literal[1]
    method: Text
    penalty: dict[str, float] | None
    effective_df: float | None
    n: int = Field(gt=0)
    n_event: int = Field(gt=0)
    n_cluster: int | None
    n_dropped: int = Field(ge=0)
    missing: dict[str, int]
    n_iter: int
    log_likelihood: float
    null_log_likelihood: float
    spec: SpecFile
    params: dict[str, float]
    covariance: list[list[float]] | None
    means: list[float]
    centred_intercept: float
    indices: dict[str, float | None]
    penalised_log_likelihood: float | None = None
    limits: _LimitsFile | None = None
    sha256: str


def write_fit(fit: LogisticFit, path: str | Path) -> None:
    """Write a model file atomically; see `LogisticFit.to_json`."""
    write_content(fit_content(fit), path)


def write_content(content: Mapping[str, Any], path: str | Path) -> None:
    """Plain values and their digest as a file."""
    signed = {**content, "sha256": content_digest(content)}
    write_text(path, json.dumps(signed, allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def fit_content(fit: LogisticFit) -> dict[str, Any]:
    """The model as plain values, without its digest."""
    scalars = ("method", "effective_df", "n", "n_event", "n_cluster", "n_dropped", "n_iter")
    indices = {name: float(value) for name, value in fit.indices().items()}
    no_errors = bool(fit.covariance.isna().to_numpy().all())
    return {
        "schema_name": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        **{name: getattr(fit, name) for name in scalars},
        "penalty": None if fit.penalty is None else dict(fit.penalty),
        "missing": dict(fit.missing),
        "log_likelihood": fit.log_likelihood,
        "null_log_likelihood": fit.null_log_likelihood,
        "spec": fit.spec.to_dict(),
        "params": {name: float(value) for name, value in fit.params.items()},
        "covariance": None if no_errors else fit.covariance.to_numpy(dtype=float).tolist(),
        "means": list(fit.means),
        "centred_intercept": fit.centred_intercept,
        "indices": {k: v if np.isfinite(v) else None for k, v in indices.items()},
        "penalised_log_likelihood": fit.penalised_log_likelihood,
        "limits": _limits_content(fit.limits),
    }


def _limits_content(limits: ProfileLimits | None) -> dict[str, Any] | None:
    """Profile limits; infinite ones as null."""
    if limits is None:
        return None
    row = {name: list(getattr(limits, name)) for name in ("low", "high", "statistic", "p_value")}
    for name in ("low", "high"):
        row[name] = [v if np.isfinite(v) else None for v in row[name]]
    return {"conf_level": limits.conf_level, **row}


def _limits(stored: _LimitsFile | None) -> ProfileLimits | None:
    if stored is None:
        return None
    return ProfileLimits(
        conf_level=stored.conf_level,
        low=tuple(-np.inf if v is None else v for v in stored.low),
        high=tuple(np.inf if v is None else v for v in stored.high),
        statistic=tuple(stored.statistic),
        p_value=tuple(stored.p_value),
    )


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of everything but the digest itself, independent of spaces; order counts."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_fit(path: str | Path) -> LogisticFit:
    """Read a model file; see `LogisticFit.from_json`.

    Raises
    ------
    SchemaError
        Not such a file, a newer version, a missing or edited value; with its path in the file.
    """
    return fit_of_content(load_json(path), path)


def fit_of_content(content: Mapping[str, Any], path: str | Path) -> LogisticFit:
    """The checked model in the plain values of a file; `path` names the file in messages."""
    check_version(content, path, schema=SCHEMA, version=SCHEMA_VERSION)
    checked = checked_content(_FitFile, content, path)
    spec = spec_of(checked.spec, path)
    names = list(spec.column_names)
    check_agreement(names, checked.params, checked.means, checked.covariance, path)
    if checked.sha256 != content_digest(content):
        raise file_fault(path, "$.sha256", "the content does not match its digest: it was edited")
    return _fit(checked, spec)


def checked_content(kind: type[File], content: Mapping[str, Any], path: str | Path) -> File:
    """Plain values as a file of the kind, or the path of the first fault."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise file_fault(path, json_path(first["loc"]), first["msg"]) from None


def file_fault(path: str | Path, where: str, why: str) -> SchemaError:
    msg = f"{Path(path).name}: {where}: {why}. Write the model again with `to_json`."
    return SchemaError(msg)


def fault_below(error: SchemaError, where: str) -> SchemaError:
    """The fault of a part of a file, with its path from the top of the file."""
    return SchemaError(str(error).replace(": $", f": {where}", 1))


def json_path(location: tuple[int | str, ...]) -> str:
    """A place in a file, as $.spec.terms[0]."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location)


def load_json(source: str | Path) -> dict[str, Any]:
    """A JSON object from a file of sensible size, without duplicate keys."""
    path = Path(source)
    if path.stat().st_size > LARGEST_FILE:
        raise file_fault(path, "$", f"larger than {LARGEST_FILE} bytes")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise file_fault(path, f"$..{twice}", "the key occurs twice")
        return dict(pairs)

    try:
        content = json.loads(path.read_text("utf-8"), object_pairs_hook=unique)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise file_fault(path, "$", f"not readable as JSON ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise file_fault(path, "$", "not a model file")
    return content


def check_version(
    content: Mapping[str, Any], path: str | Path, *, schema: str, version: int
) -> None:
    """Refuse other kinds of files, and files of newer software."""
    if content.get("schema_name") != schema:
        raise file_fault(path, "$.schema_name", f"expected {schema!r}")
    found = content.get("schema_version")
    if isinstance(found, int) and found > version:
        why = f"version {found} is newer than this software reads ({version}); update it"
        raise file_fault(path, "$.schema_version", why)


def spec_of(stored: SpecFile, path: str | Path) -> DesignSpec:
    """The design in a file, whose ranges must cover its variables."""
    plain = stored.model_dump(exclude_none=True)
    try:
        spec = DesignSpec.from_dict(plain)
        names = spec.column_names
    except (UsstatsError, KeyError) as error:
        raise file_fault(path, "$.spec.terms", str(error)) from None
    if not names or set(spec.ranges) != set(spec.variables):
        raise file_fault(path, "$.spec.ranges", "does not cover the variables of the terms")
    return spec


def check_agreement(
    names: list[str],
    params: Mapping[str, float],
    means: Sequence[float],
    covariance: list[list[float]] | None,
    path: str | Path,
) -> None:
    """Coefficients, covariance and means must be those of the terms, in their order."""
    found = list(params)
    if found != names:
        wrong = next((n for n in names if n not in found), None)
        why = f"`{wrong}` is missing" if wrong else f"the order must be that of the terms, {names}"
        raise file_fault(path, "$.params", why)
    if len(means) != len(names):
        raise file_fault(path, "$.means", f"must hold {len(names)} numbers")
    V = covariance
    if V is None:
        return
    if len(V) != len(names) or any(len(row) != len(names) for row in V):
        raise file_fault(path, "$.covariance", f"must be {len(names)} x {len(names)}")
    if not np.allclose(V, np.transpose(V)) or (np.diag(V) <= 0).any():
        raise file_fault(path, "$.covariance", "is not a covariance matrix")


def _fit(checked: _FitFile, spec: DesignSpec) -> LogisticFit:
    names, V = list(spec.column_names), checked.covariance
    row = checked.model_dump()
    same = ("method", "penalty", "effective_df", "n", "n_event", "n_cluster", "n_dropped")
    also = ("missing", "n_iter", "log_likelihood", "null_log_likelihood", "centred_intercept")
    indices = {k: np.nan if v is None else v for k, v in checked.indices.items()}
    return LogisticFit(
        params=pd.Series(checked.params, name="estimate")[names],
        covariance=pd.DataFrame(
            np.full((len(names), len(names)), np.nan) if V is None else V,
            index=names,
            columns=names,
        ),
        stored_limits=_limits(checked.limits),
        penalised_log_likelihood=checked.penalised_log_likelihood,
        spec=spec,
        means=tuple(checked.means),
        stored_indices=indices,
        **{name: row[name] for name in (*same, *also)},
    )
