"""R14 and R15: covariates cut into groups, and covariates chosen by their p values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.models import ModelTerms, TermFacts
from usstats._lint.sheets import ResultTable, distinct

_KEEP = "Keep the measured value: a linear, log(x) or rcs(x, 3) term."
_CHOOSE = (
    "Choose the terms by knowledge before looking; if a selection is wanted, repeat it in every "
    "resample: validate(recipe=Recipe(select=...)) with its stability table; or penalise."
)
_CUT_WORD = re.compile(
    r"(^|[_ .\-(])(gt|ge|lt|le|gte|lte|above|below|over|under|high|low|higher|lower|elevated|"
    r"raised|increased|decreased|reduced|abnormal|normal|large|small|pos|neg|positive|negative|old|young|elderly|cut|cutoff|bin|binned|binary|cat|"
    r"category|group|grp|dich\w*|tertile|quartile|quintile|q[2-5]|class|level|threshold|flag)"
    r"\d*([_ .\-)\d]|$)|[<>≤≥]",
    re.IGNORECASE,
)
_CUT_LEVEL = re.compile(
    r"[<>≤≥]|^\s*[\[(]?\s*-?\d+([.,]\d+)?\s*(-|–|to|,)\s*-?\d+([.,]\d+)?\s*[\])]?\s*$|"
    r"^(high|low|normal|elevated|raised|reduced|abnormal|medium|intermediate|large|small|old|young|elderly)$|^q[1-5]$|"
    r"(tertile|quartile|quintile)",
    re.IGNORECASE,
)
_MOST_GROUPS, _FINE, _MOST_TESTED = 5, 12, 80
_SELECTED_NAME = re.compile(r"stepwise|backward|forward|univaria|selected|screened", re.IGNORECASE)
_UNIVARIABLE = re.compile(r"uni-?varia|univariate|bivaria", re.IGNORECASE)
_MULTIVARIABLE = re.compile(r"multi-?varia", re.IGNORECASE)


def check_covariates(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R14 and R15."""
    yield from _cut_columns(evidence)
    yield from _cut_terms(evidence)
    yield from _named_selection(evidence)
    yield from _univariable_tables(evidence)
    yield from _kept_the_significant(evidence)


def _cut_columns(evidence: Evidence) -> Iterator[Finding]:
    """Columns of patients that are a measured value in two to five groups."""
    sheet = evidence.patients
    if sheet is None:
        return
    used = set(evidence.used_variables)
    aside = {"patient_id", "cohort", "centre", evidence.outcome_column}
    aside.add(evidence.option("comparator", "column"))
    for name in [c for c in sheet.frame if c not in aside]:
        says = _how_cut(evidence, sheet.frame, str(name))
        if says:
            severity = "error" if name in used else "note"
            yield found(
                "R14", "error" if severity == "error" else "note", sheet.at(str(name)),
                f"`{name}` {says}{'' if name in used else '; no model uses it'}.",
                fix=_KEEP,
            )  # fmt: skip


def _how_cut(evidence: Evidence, frame: pd.DataFrame, name: str) -> str:
    values = frame[name].dropna()
    groups = values.nunique()
    if not 2 <= groups <= _MOST_GROUPS or len(values) < 20:
        return ""
    source = _source(frame, name, _scales(frame, evidence))
    if source:
        return f"is `{source}` cut into {groups} groups"
    if name in evidence.known_numbers and groups <= 3:
        return f"is a measured value that takes only {groups} different values here: it was cut"
    levels = [str(v) for v in values.unique()]
    if sum(bool(_CUT_LEVEL.search(level)) for level in levels) >= min(2, groups):
        return f"has levels that are ranges ({', '.join(sorted(levels)[:3])})"
    stem = _cut_name(evidence, frame, name)
    return f"is `{stem}` cut into {groups} groups, by its name" if stem else ""


def _scales(frame: pd.DataFrame, evidence: Evidence) -> list[str]:
    aside = {"dl_prob", "n_images", "fold", evidence.outcome_column, "event"}
    numbers = frame.select_dtypes("number").columns
    return [c for c in numbers if c not in aside and frame[c].nunique() >= _FINE]


def _source(frame: pd.DataFrame, name: str, scales: list[str]) -> str:
    """The measured column whose sorted values fall into the groups one after the other."""
    for scale in scales:
        both = frame[[name, scale]].dropna()
        if scale == name or len(both) < 20:
            continue
        span = both.groupby(name, observed=True)[scale].agg(["min", "max", "size"])
        span = span.sort_values("min")
        if (
            span["size"].min() >= 3
            and (span["max"].iloc[:-1].to_numpy() <= span["min"].iloc[1:].to_numpy()).all()
        ):
            return scale
    return ""


def _cut_name(evidence: Evidence, frame: pd.DataFrame, name: str) -> str:
    """The measured value in a name such as high_fsh, fsh_gt_10 or FSH>7.6."""
    if not _CUT_WORD.search(name):
        return ""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    known = {*evidence.known_numbers, *map(str, _scales(frame, evidence))} - {name}
    hits = [n for n in known if re.search(rf"(^|_){re.escape(n.lower())}(_|\d|$)", plain)]
    return max(hits, key=len) if hits else ""


def _cut_terms(evidence: Evidence) -> Iterator[Finding]:
    """Terms that are cuts by their type, levels or name, where the column is not at hand."""
    seen = set() if evidence.patients is None else set(evidence.patients.frame.columns)
    for model in evidence.models:
        for term in model.terms:
            says = _term_cut(evidence, model, term, known=term.name in seen)
            if says:
                text = f"`{term.name}` {says}."
                yield found("R14", "error", f"model {model.name}", text, fix=_KEEP)


def _term_cut(evidence: Evidence, model: ModelTerms, term: TermFacts, *, known: bool) -> str:
    if term.type == "factor" and term.name in evidence.known_numbers:
        return "is a measured value and enters the model as a factor"
    cut = [level for level in term.levels if _CUT_LEVEL.search(level)]
    if not known and len(cut) >= 2:
        return f"has levels that are ranges ({', '.join(cut[:3])})"
    if known:
        return ""
    empty = pd.DataFrame()
    stem = _cut_name(evidence, empty, term.name) or _sibling(model, term)
    return f"is `{stem}` cut into groups, by its name" if stem and _binary(model, term) else ""


def _sibling(model: ModelTerms, term: TermFacts) -> str:
    if not _CUT_WORD.search(term.name):
        return ""
    others = [v for v in model.variables if v != term.name and v.lower() in term.name.lower()]
    return others[0] if others else ""


def _binary(model: ModelTerms, term: TermFacts) -> bool:
    """A factor, or a number that was 0 or 1 throughout; unknown counts as binary."""
    ranges = getattr(getattr(model.fit, "spec", None), "ranges", {})
    known = ranges.get(term.name)
    if known is None or term.type == "factor":
        return term.type in ("factor", "linear")
    return 0 < len(getattr(known, "values", ())) <= _MOST_GROUPS


def _named_selection(evidence: Evidence) -> Iterator[Finding]:
    for model in evidence.models:
        if _SELECTED_NAME.search(model.name):
            yield found(
                "R15", "error", f"model {model.name}",
                "By its name the model was chosen by p values or stepwise.",
                fix=_CHOOSE,
            )  # fmt: skip


def _univariable_tables(evidence: Evidence) -> Iterator[Finding]:
    """Univariable tests beside a model of the variables that passed them."""
    for table in evidence.results:
        words = " ".join([table.name, *map(str, table.frame.columns), *set(table.words("method"))])
        words += " ".join(set(table.words("model")) | set(table.words("analysis")))
        if not _UNIVARIABLE.search(words):
            continue
        both = _MULTIVARIABLE.search(words) is not None
        yield found(
            "R15", "error", table.name,
            "Univariable results stand beside the model"
            f"{', whose variables were taken from those with a small p value' if both else ''}.",
            fix=_CHOOSE,
        )  # fmt: skip


def _kept_the_significant(evidence: Evidence) -> Iterator[Finding]:
    """The first model holds exactly the variables with p < 0.05, out of many."""
    tables = [t for t in evidence.results if _is_table_one(evidence, t)]
    tested = [(t.name, _first_p(t)) for t in tables] or list(_own_tests(evidence))
    for where, p in tested:
        for model in evidence.models[:1]:
            kept = set(model.variables) & set(p.index)
            small = set(p[p < 0.05].index)
            rejected = len(p) - len(kept)
            if len(p) >= 8 and len(kept) >= 2 and kept == small and rejected >= 5:
                yield found(
                    "R15", "warning", where,
                    f"Model {model.name} holds exactly the {len(kept)} of {len(p)} variables with "
                    "a univariable p < 0.05: as after screening.",
                    fix=_CHOOSE,
                )  # fmt: skip


def _first_p(table: ResultTable) -> pd.Series[float]:
    return table.numbers("p_value").groupby(table.frame["variable"].astype(str)).first().dropna()


def _own_tests(evidence: Evidence) -> Iterator[tuple[str, pd.Series[float]]]:
    """Univariable p values of the patients table, where no Table 1 is given."""
    sheet = evidence.patients
    if sheet is None or not sheet.has("patient_id"):
        return
    event = sheet.frame["patient_id"].astype(str).map(evidence.patients_of("development")["event"])
    aside = {"patient_id", "cohort", "dl_prob", "n_images", "fold", evidence.outcome_column}
    columns = [c for c in sheet.frame if c not in aside][:_MOST_TESTED]
    p = {str(c): _univariable_p(sheet.frame[c], event) for c in columns}
    yield sheet.name, pd.Series(p, dtype=float).dropna()


def _univariable_p(values: pd.Series[Any], event: pd.Series[float]) -> float:
    known = values.notna() & event.notna()
    x, y = values[known], event[known]
    if len(x) < 40 or distinct(y) < 2 or distinct(x) < 2:
        return np.nan
    if pd.api.types.is_numeric_dtype(x):
        return float(stats.mannwhitneyu(x[y == 1], x[y == 0]).pvalue)
    if distinct(x) > 10:
        return np.nan
    return float(stats.chi2_contingency(pd.crosstab(x.astype(str), y)).pvalue)


def _is_table_one(evidence: Evidence, table: ResultTable) -> bool:
    """Table 1 by outcome, in the development cohort."""
    if not table.has("variable", "p_value", "group"):
        return False
    if table.kind != "Description" and not re.search(r"describe/(?!cohort)", table.name):
        return False
    groups = set(table.words("group")) - {"overall"}
    cohorts = {c.lower() for c in evidence.cases["cohort"].unique()}
    return (
        len(groups) == 2
        and not groups & cohorts
        and bool(np.isfinite(table.numbers("p_value")).any())
    )
