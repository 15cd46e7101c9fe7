"""R20 and R21: missing values, and estimates that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.models import ModelTerms
from usstats._lint.sheets import ResultTable, Sheet
from usstats._lint.wording import is_ratio
from usstats._numbers import as_numbers

_IMPUTE = (
    "impute(data, outcome=..., m=20, seed=...), fit_imputed(), and "
    "validate(recipe=Recipe(imputation='pmm'))."
)
_FIRTH = (
    "fit_logistic(method='firth') ('flic' for prediction), or merge levels; detect_separation() "
    "names the variable."
)
_MISSING_WORD = re.compile(
    r"missing|incomplete|not available|unavailable|no data|lost|"
    r"\bno\b.{0,30}\b(measurement|values?|result|record)",
    re.IGNORECASE,
)
_CODES = (-1.0, -9.0, -99.0, -999.0, 99.0, 999.0, 9999.0, 0.0)
_HUGE = 1e4


def check_holes(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R20 and R21."""
    for name, fit in evidence.fits.items():
        yield from _dropped(name, fit)
        yield from _huge_errors(f"fit {name}", _coefficients(fit), _method(fit))
    yield from _fitted_fewer(evidence)
    yield from _excluded(evidence)
    yield from _filled_in(evidence)
    for table in evidence.results:
        yield from _imputations(evidence, table)
        yield from _huge_tables(table)
        yield from _separated(table)
    yield from _few_copies(evidence)
    yield from _indicators(evidence)
    yield from _empty_cells(evidence)


def _dropped(name: str, fit: Any) -> Iterator[Finding]:
    dropped = int(getattr(fit, "n_dropped", 0) or 0)
    if dropped:
        share = dropped / (dropped + int(fit.n))
        yield found(
            "R20", "error" if share > 0.05 else "warning", f"fit {name}",
            f"{dropped} of {dropped + int(fit.n)} patients ({share:.0%}) were left out because a "
            "value was missing.",
            fix=_IMPUTE,
        )  # fmt: skip


def _fitted_fewer(evidence: Evidence) -> Iterator[Finding]:
    """Fits on disk, or in memory, of exactly the complete cases."""
    sheet = evidence.patients
    home = evidence.patients_of("development")["event"].dropna()
    if sheet is None or not len(home) or not sheet.has("patient_id"):
        return
    for model in evidence.models:
        columns = [v for v in model.variables if v in sheet.frame]
        rows = sheet.frame[sheet.frame["patient_id"].astype(str).isin(home.index)]
        complete = int(rows[columns].notna().all(axis=1).sum())
        n, where = _n_of(evidence, model)
        if n == complete < len(home) and not getattr(model.fit, "n_dropped", 0):
            lost = len(home) - complete
            yield found(
                "R20", "error" if lost > 0.05 * len(home) else "warning", where,
                f"The model was fitted on the {complete} patients without missing values; "
                f"{lost} of {len(home)} were left out.",
                fix=_IMPUTE,
            )  # fmt: skip


def _n_of(evidence: Evidence, model: ModelTerms) -> tuple[float, str]:
    if model.fit is not None:
        return float(model.fit.n), f"fit {model.name}"
    for table in evidence.results:
        if re.search(rf"(^|/)fit/{re.escape(model.name)}\.csv$", table.name):
            return table.fact("n"), table.name
    return np.nan, ""


def _excluded(evidence: Evidence) -> Iterator[Finding]:
    """Patients excluded because a measurement is missing."""
    for rule in evidence.option("exclusions", default=()):
        if hasattr(rule, "get") and _MISSING_WORD.search(str(rule.get("reason", ""))):
            yield found(
                "R20", "error", "study.yaml, exclusions",
                f"Patients are excluded for missing values ({rule.get('reason')}).",
                fix="Keep them, and impute. " + _IMPUTE,
            )  # fmt: skip
    for table in evidence.results:
        if table.has("reason", "n_patients") and table.has("step"):
            hit = table.words("reason").map(lambda text: _MISSING_WORD.search(text) is not None)
            if hit.any() and table.numbers("n_patients")[hit].sum() > 0:
                text = "The flow of patients excludes some for missing values."
                yield found("R20", "error", table.name, text, fix=_IMPUTE)


def _filled_in(evidence: Evidence) -> Iterator[Finding]:
    """A spike of one value, the mean or a code, in a measurement that otherwise rarely repeats."""
    sheet = evidence.patients
    if sheet is None:
        return
    for name in sheet.frame.select_dtypes("number"):
        values = sheet.frame[name].dropna()
        if name in ("dl_prob", "n_images", "fold", evidence.outcome_column) or len(values) < 40:
            continue
        spike = _spike(values)
        if spike:
            hit = sheet.frame[name] == spike[0]
            used = name in evidence.used_variables
            yield found(
                "R20", "error" if used else "warning", sheet.at(str(name), hit),
                f"{int(hit.sum())} patients have one and the same value of `{name}`, {spike[1]}.",
                fix="Leave unmeasured cells empty. " + _IMPUTE,
            )  # fmt: skip


def _spike(values: pd.Series[Any]) -> tuple[float, str] | None:
    counts = values.value_counts()
    top, often = float(counts.index[0]), int(counts.iloc[0])
    rest = values[values != top]
    if often < max(5, 0.03 * len(values)) or len(rest) < 20 or rest.nunique() < 15:
        return None
    if often < 4 * counts.iloc[1] or often < 4 * len(rest) / rest.nunique():
        return None
    step = _step(rest)
    for centre, word in ((rest.mean(), "mean"), (rest.median(), "median")):
        if abs(top - centre) <= max(step, 0.02 * rest.std()):
            return top, f"the {word} of the others: missing values were replaced by it"
    low, high = rest.min(), rest.max()
    outside = top < low - 0.1 * (high - low) or top > high + 0.5 * (high - low)
    if top in _CODES and (outside or (top == 0 and low > 0)):
        return top, "which looks like a code for a missing value"
    return None


def _step(values: pd.Series[Any]) -> float:
    """The precision the column is written with."""
    for decimals in range(7):
        if np.allclose(values, values.round(decimals), rtol=0, atol=1e-9):
            return float(0.51 * 10**-decimals)
    return 0.0


def _imputations(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    if table.kind != "Imputations":
        return
    made = table.source
    outcomes = {evidence.outcome_column, *(f.spec.outcome for f in evidence.fits.values())} - {None}
    known = outcomes or {v for v in made.original.columns if str(v).lower() in _OUTCOME_NAMES}
    used = {*made.variables, made.outcome}
    if (known and not known & used) or (not known and made.outcome is None):
        yield found(
            "R20", "error" if known else "warning", table.name,
            "The outcome is not among the variables of the imputation models.",
            fix=_IMPUTE,
        )  # fmt: skip
    if made.m < 5:
        text = f"Only {made.m} completed table(s) were drawn: the uncertainty is not carried over."
        yield found("R20", "error" if made.m == 1 else "warning", table.name, text, fix=_IMPUTE)


_OUTCOME_NAMES = {"outcome", "event", "y", "noa", "malignant", "target", "truth"}


def _few_copies(evidence: Evidence) -> Iterator[Finding]:
    m = evidence.option("imputation", "m")
    sheet = evidence.patients
    if sheet is None or not isinstance(m, int) or m >= 5:
        return
    columns = [v for v in evidence.used_variables if v in sheet.frame]
    holes = sheet.frame[columns].isna().any(axis=1).mean() if columns else 0
    if holes > 0.02:
        yield found(
            "R20", "warning", "study.yaml, imputation.m",
            f"{m} completed tables for {holes:.0%} of patients with missing values.",
            fix="imputation: m: 20",
        )  # fmt: skip


def _method(fit: Any) -> str:
    return str(getattr(fit, "method", "ml"))


def _coefficients(fit: Any) -> pd.DataFrame:
    """Estimate and standard error per standard deviation-like unit: the interquartile range."""
    if not hasattr(fit, "params") or not hasattr(fit, "covariance"):
        return pd.DataFrame(columns=["term", "estimate", "std_error"])
    covariance = fit.covariance
    if covariance is None or getattr(fit, "method", "") == "lasso":
        return pd.DataFrame(columns=["term", "estimate", "std_error"])
    errors = np.sqrt(np.diag(covariance.to_numpy(dtype=float)))
    estimates = fit.params.to_numpy(dtype=float)
    scale = _column_scale(fit)
    return pd.DataFrame(
        {"term": list(fit.params.index), "estimate": estimates * scale, "std_error": errors * scale}
    )


def _column_scale(fit: Any) -> np.ndarray:
    """Spread of each column of the design, where the fit still has it; else 1."""
    prepared = getattr(fit, "development", None)
    X = getattr(prepared, "X", None)
    if X is None or X.shape[1] != len(fit.params):
        return np.ones(len(fit.params))
    return np.asarray(np.maximum(np.asarray(X, dtype=float).std(axis=0), 1e-12))


def _huge_errors(where: str, table: pd.DataFrame, method: str) -> Iterator[Finding]:
    """In log odds per spread of the covariate, nothing real has an error above five."""
    if method not in ("ml", ""):
        return
    term = table["term"].astype(str).str.lower()
    slopes = ~term.isin(["intercept", "(intercept)", "const"])
    error, size = (as_numbers(table[c]) for c in ("std_error", "estimate"))
    separated = slopes & (error > 5) & (size.abs() > 5) & (error > 0.5 * size.abs())
    if separated.any():
        names = ", ".join(table.loc[separated, "term"].astype(str).head(3))
        yield found(
            "R21", "error", where,
            f"{names}: standard error {error[separated].max():.3g} on the log-odds scale.",
            fix=_FIRTH,
        )  # fmt: skip


def _huge_tables(table: ResultTable) -> Iterator[Finding]:
    named = next((name for name in ("term", "variable") if table.has(name)), None)
    if table.kind or table.printed or named is None or not table.has("estimate"):
        return
    words = " ".join(set(table.words("method")))
    if any(w in words for w in ("firth", "ridge", "lasso", "flic", "flac")):
        return
    if table.has("contrast") or "odds" in table.name or is_ratio(table.frame):
        low, high = table.numbers("conf_low"), table.numbers("conf_high")
        wide = (high > 0) & ((high / low.clip(lower=1e-300) > _HUGE) | ~np.isfinite(high))
        wide &= high.notna()
        if wide.any():
            names = ", ".join(table.frame.loc[wide, named].astype(str).head(3))
            text = f"{names}: the interval of the odds ratio spans more than four powers of ten."
            yield found("R21", "error", table.name, text, fix=_FIRTH)
    elif table.has("term", "std_error"):
        lone = table.frame.assign(std_error=table.numbers("std_error"))
        yield from _huge_errors(table.name, lone, "ml")


def _empty_cells(evidence: Evidence) -> Iterator[Finding]:
    """A level, or a range of values, in which every patient has the same outcome."""
    sheet = evidence.patients
    if sheet is None or not sheet.has("patient_id") or _penalised(evidence):
        return
    event = sheet.frame["patient_id"].astype(str).map(evidence.patients_of("development")["event"])
    for name in evidence.used_variables:
        if name not in sheet.frame:
            continue
        known = sheet.frame[name].notna() & event.notna()
        says = _separates(sheet.frame.loc[known, name], event[known])
        if says:
            yield found(
                "R21", "error", _place(sheet, name),
                f"`{name}` {says}: its maximum-likelihood estimate is infinite.",
                fix=_FIRTH,
            )  # fmt: skip


def _place(sheet: Sheet, name: str) -> str:
    return sheet.at(name)


def _penalised(evidence: Evidence) -> bool:
    methods = {_method(fit) for fit in evidence.fits.values()}
    for table in evidence.results:
        if re.search(r"(^|/)fit/\w+\.csv$", table.name) and table.has("term", "method"):
            methods |= {m.split(",")[0].strip() for m in table.words("method")}
    return bool(methods) and not methods & {"ml", "ml, sandwich by cluster", ""}


def _separates(values: pd.Series[Any], event: pd.Series[float]) -> str:
    if len(values) < 10 or event.nunique() < 2:
        return ""
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > 5:
        low, high = (values[event == y] for y in (0, 1))
        apart = low.max() < high.min() or high.max() < low.min()
        return "separates patients with and without the event perfectly" if apart else ""
    table = pd.crosstab(values.astype(str), event)
    if table.shape[0] < 2:
        return ""
    empty = table.index[(table == 0).any(axis=1) & (table.sum(axis=1) >= 5)]
    if not len(empty):
        return ""
    return f"has a level in which all {int(table.loc[empty[0]].sum())} patients have one outcome"


def _separated(table: ResultTable) -> Iterator[Finding]:
    if table.kind == "Separation" and getattr(table.source, "separated", False):
        text = f"{table.source.summary()}.".capitalize()
        yield found("R21", "error", table.name, text, fix=_FIRTH)


def _indicators(evidence: Evidence) -> Iterator[Finding]:
    """A covariate that says that another one is missing."""
    for name in evidence.used_variables:
        if re.search(r"(^|_)(missing|is_?na|not_measured|unknown)(_|$)", name, re.IGNORECASE):
            text = f"`{name}` tells the model that a value is missing (missing-indicator method)."
            yield found("R20", "error", f"covariate {name}", text, fix=_IMPUTE)
