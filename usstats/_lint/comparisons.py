"""R06, R07 and R08: how models are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.models import ModelTerms
from usstats._lint.sheets import ResultTable
from usstats._numbers import as_numbers

_NESTED = (
    "compare_nested(full, reduced, data): likelihood-ratio test, and the AUC change with an "
    "interval but without a p value."
)
_HOLM = "compare_auc(y, risks, contrasts=[(...), (...)], adjust='holm'), contrasts named beforehand"
_RECLASSIFY = (
    "Leave it out; show the likelihood-ratio test and the difference in net benefit. If a journal "
    "insists, reclassify() with its parts for events and non-events."
)
_RECLASSIFIED = re.compile(r"(?:^|[^a-z])(?:c?nri|idi)(?:$|[^a-z])|reclassification[ _]imp")
_WHOLE = {"nomogram", "combined", "fusion", "fused", "full", "extended", "integrated", "joint"}
_PART = {"clinical", "network", "dl", "reduced", "base", "baseline", "image", "hormones"}


def check_comparisons(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R06, R07 and R08."""
    contrasts = [table for table in evidence.results if _compares(table)]
    for table in contrasts:
        yield from _nested(evidence, table)
        yield from _unadjusted(table)
    for table in evidence.results:
        yield from _conditions(table)
    yield from _one_by_one(contrasts)
    for table in evidence.results:
        yield from _reclassification(table)


def _compares(table: ResultTable) -> bool:
    """Differences of AUCs between named models, with a test."""
    if table.kind and table.kind != "AucComparison":
        return False
    if not table.has("model_1", "model_2") or _tested(table).empty:
        return False
    words = " ".join(
        [*set(table.words("measure")), *set(table.words("method")), table.name.lower()]
    )
    words += str(table.facts.get("method", "")).lower()
    return table.kind == "AucComparison" or "delong" in words or "auc_1" in table.frame


def _tested(table: ResultTable) -> pd.DataFrame:
    """The rows with a p value that are no test of added terms."""
    measure, method = table.words("measure"), table.words("method")
    other = measure.str.contains("added_terms|net_benefit") | method.str.contains("likelihood|wald")
    shown = table.frame[table.numbers("p_value").notna() & ~other]
    return shown if {"model_1", "model_2"} <= set(shown) else shown.iloc[:0]


def _nested(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    if table.scope == "external" or not _on_own_data(evidence, table):
        return
    models = {model.name: model for model in evidence.models}
    rows = _tested(table).to_dict("records")
    sure = [r for r in rows if _contain(models, r, alone=len(rows) == 1)]
    likely = [r for r in rows if r not in sure and _sounds_nested(models, r)]
    for pairs, severity, word in ((sure, "error", "are"), (likely, "warning", "seem to be")):
        if pairs:
            named = "; ".join(f"{r['model_1']} and {r['model_2']}" for r in pairs[:3])
            yield found(
                "R06", "error" if severity == "error" else "warning", table.name,
                f"DeLong's test compares models that {word} nested ({named}) on the patients they "
                "were fitted on.",
                fix=_NESTED,
            )  # fmt: skip


def _on_own_data(evidence: Evidence, table: ResultTable) -> bool:
    """Whether the comparison can be on the fits' own patients."""
    groups, outside = set(table.words("group")) - {""}, evidence.external_cohorts
    if groups and groups <= {cohort.lower() for cohort in outside}:
        return False
    n = table.fact("n")
    sizes = {float(fit.n) for fit in evidence.fits.values() if hasattr(fit, "n")}
    if table.scope == "development" or not np.isfinite(n):
        return True
    if sizes:
        return n in sizes
    development = evidence.sizes.get("development", (0, 0))[0]
    return development == 0 or n >= 0.5 * development


def _contain(models: Mapping[str, ModelTerms], row: Mapping[Any, Any], *, alone: bool) -> bool:
    one, two = models.get(str(row["model_1"])), models.get(str(row["model_2"]))
    if one is None and two is None and alone and len(models) == 2:
        one, two = models.values()
    return one is not None and two is not None and (one.contains(two) or two.contains(one))


def _sounds_nested(models: Mapping[str, ModelTerms], row: Mapping[Any, Any]) -> bool:
    """By the names alone, where the terms are not known: "clinical" and "clinical + dl"."""
    names = [str(row["model_1"]).lower(), str(row["model_2"]).lower()]
    if all(name in {m.lower() for m in models} for name in names):
        return False
    one, two = (set(re.findall(r"[a-z0-9]+", name)) for name in names)
    joined = any(mark in name for name in names for mark in ("+", "with", "plus", " and "))
    whole_and_part = (one & _WHOLE and two & _PART) or (two & _WHOLE and one & _PART)
    return bool((joined and (one < two or two < one)) or whole_and_part)


def _unadjusted(table: ResultTable) -> Iterator[Finding]:
    rows = _tested(table)
    if len(rows) < 2 or not _raw(table, rows):
        return
    yield found(
        "R07", "error" if len(rows) > 2 else "warning", table.name,
        f"{len(rows)} comparisons of AUCs were tested without adjusting their p values.",
        fix=_HOLM,
    )  # fmt: skip


def _raw(table: ResultTable, rows: pd.DataFrame) -> bool:
    """p values that were not adjusted: said so, or equal to those before adjustment."""
    if "adjust" in table.facts:
        return str(table.facts["adjust"]).lower() in ("none", "", "false")
    if "p_adjusted" not in rows:
        return True
    raw, adjusted = (as_numbers(rows[c]) for c in ("p_value", "p_adjusted"))
    return bool(adjusted.isna().all() or ((raw - adjusted).abs() < 1e-12).all())


def _conditions(table: ResultTable) -> Iterator[Finding]:
    """Differences between several conditions of a reader study."""
    pairs = getattr(table.source, "differences", ())
    if table.kind == "ReaderStudy" and len(pairs) > 2 and table.facts.get("adjust") == "none":
        yield found(
            "R07", "error", table.name,
            f"{len(pairs)} differences between conditions were tested without adjustment.",
            fix="reader_study(..., adjust='holm')",
        )  # fmt: skip


def _one_by_one(contrasts: list[ResultTable]) -> Iterator[Finding]:
    """Many comparisons, each in a result of its own, where no adjustment can reach them."""
    single = [t for t in contrasts if len(_tested(t)) == 1]
    groups: dict[tuple[str, str, float], int] = {}
    for table in single:
        key = (table.scope, table.cohort, table.fact("n"))
        groups[key] = groups.get(key, 0) + 1
    most = max(groups.values(), default=0)
    if most > 2:
        yield found(
            "R07", "error", f"{most} separate comparisons",
            f"{most} AUC differences of the same patients were tested one at a time, without any "
            "adjustment for their number.",
            fix=_HOLM,
        )  # fmt: skip


def _reclassification(table: ResultTable) -> Iterator[Finding]:
    words = table.words("measure") + " " + table.words(_first_column(table))
    named = words.str.contains(_RECLASSIFIED)
    columns = [str(c).lower() for c in table.frame if _RECLASSIFIED.search(str(c).lower())]
    if not named.any() and not columns:
        return
    named |= not named.any()
    p_values = [c for c in table.frame if re.search(r"(^p$|p_?val|p[- ]value)", str(c).lower())]
    tested = any(_filled(table.frame[column][named]) for column in p_values)
    parts = words.str.contains("event") | any("event" in column for column in columns)
    severity = "error" if tested or not parts.any() else "warning"
    what = "with a p value" if tested else "without its parts" if not parts.any() else "reported"
    yield found(
        "R08", "error" if severity == "error" else "warning", table.name,
        f"NRI or IDI is {what}.",
        fix=_RECLASSIFY,
    )  # fmt: skip


def _first_column(table: ResultTable) -> str:
    return str(table.frame.columns[0]) if len(table.frame.columns) else ""


def _filled(cells: pd.Series[Any]) -> bool:
    text = cells.fillna("").astype(str).str.strip()
    return bool((~text.isin(["", "nan", "–", "-", "—"])).any())
