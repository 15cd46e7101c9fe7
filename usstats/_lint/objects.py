"""Results and tables of any kind, turned into what the rules can read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from usstats._lint.parsing import plain_table
from usstats._lint.sheets import ResultTable
from usstats._lint.wording import in_words, is_result

FACTS = (
    "n", "n_event", "n_cluster", "n_boot", "n_failed", "n_reader", "adjust", "method", "threshold",
    "value", "criterion", "conf_level", "unit",
)  # fmt: skip
FITS = ("LogisticFit", "PooledFit")
_DEVELOPMENT = {"InternalValidation", "CorrectedDecisionCurve", "NestedComparison"}
_OUTSIDE = re.compile(r"(^|[^a-z])(external|ext|temporal|geographic|prospective)([^a-z]|$)", re.I)
_HOME = re.compile(r"(^|[^a-z])(development|dev|internal|apparent|training)([^a-z]|$)", re.I)
_SUFFIX = re.compile(r"_(calibration|decision|auc|roc|accuracy|risks|curve|histogram)$")


def result_table(result: Any, name: str = "", *, cohorts: Sequence[str] = ()) -> ResultTable:
    """A result object, or a frame of results, under a name."""
    if isinstance(result, pd.DataFrame):
        return placed(name or "results", in_words(plain_table(result)), cohorts)
    kind = type(result).__name__
    frame = plain_table(result.frame()) if hasattr(result, "frame") else pd.DataFrame()
    scope, cohort, model = place_of(name, cohorts)
    if kind == "ExternalValidation" or (kind in _DEVELOPMENT):
        scope = "development" if kind in _DEVELOPMENT else "external"
    return ResultTable(
        name=name or kind,
        frame=frame,
        kind=kind,
        scope=scope,
        cohort=cohort,
        model=model,
        facts={k: getattr(result, k) for k in FACTS if _is_plain(getattr(result, k, None))},
        source=result,
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | np.number) and not isinstance(value, bool)


def placed(
    name: str, frame: pd.DataFrame, cohorts: Sequence[str], *, printed: bool = False
) -> ResultTable:
    """A table of results whose name says where it belongs."""
    scope, cohort, model = place_of(name, cohorts)
    return ResultTable(
        name=name, frame=frame, scope=scope, cohort=cohort, model=model, printed=printed
    )


def place_of(name: str, cohorts: Iterable[str]) -> tuple[str, str, str]:
    """Scope, cohort and model in a name such as run/external/prospective_nomogram_auc.csv."""
    parts = name.split("/")
    stem = _SUFFIX.sub("", re.sub(r"\.csv$", "", parts[-1]))
    folder = parts[-2] if len(parts) > 1 else ""
    named = sorted((c for c in cohorts if _spelled(stem, c)), key=len, reverse=True)
    if folder == "external" or named or _OUTSIDE.search(name):
        cohort = named[0] if named else ""
        model = stem.replace(_spelled(stem, cohort), "", 1).strip("_- ") if cohort else stem
        return "external", cohort, "" if model == "accuracy" else model
    if folder in ("fit", "validate", "compare"):
        return "development", "", "" if stem in ("accuracy", "nested", "discrimination") else stem
    return ("development", "", "") if _HOME.search(name) else ("", "", "")


def _spelled(stem: str, cohort: str) -> str:
    """How a file's name spells a cohort: as it is, or, where it is no file name, with its hash.

    The hash is that of `reports.files.slug`.
    """
    if re.search(rf"(^|[^a-zA-Z0-9]){re.escape(cohort)}([^a-zA-Z0-9]|$)", stem):
        return cohort
    digest = hashlib.sha256(cohort.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    hashed = re.match(rf"[a-z0-9_-]*-{digest}", stem)
    return hashed[0] if hashed else cohort if stem.startswith(f"{cohort}_") else ""


def kind_of_table(frame: pd.DataFrame) -> str:
    """What a table is, by its columns: readings, predictions, images, patients or results."""
    columns = {str(c) for c in frame.columns}
    if {"reader", "condition"} <= columns and {"rating", "case"} & columns:
        return "readings"
    if {"patient_id", "dl_prob", "role"} <= columns:
        return "fused"
    traces = {"probability", "probability_calibrated", "logit", "role", "model_hash"}
    if traces & columns and {"patient_id", "image_id"} & columns:
        return "predictions"
    if "image_id" in columns:
        return "images"
    if "patient_id" in columns:
        return "patients"
    return "results" if is_result(columns) else ""


def flattened(content: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every plain value of nested mappings and lists with its dotted path."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from flattened(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield from flattened(value, f"{prefix}.{i}")
    else:
        yield prefix, content
