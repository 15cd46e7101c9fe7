"""R16, R17 and R18: enough patients, enough resamples, enough to validate in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.models import ModelTerms
from usstats._lint.sheets import ResultTable, distinct
from usstats.errors import UsstatsError
from usstats.samplesize import sample_size_development

_RESAMPLE = (
    "Develop on all patients and validate(fit, data, recipe=..., n_boot=1000, seed=...), with "
    "`.instability()`."
)
_SIZE = (
    "usstats size --parameters P --prevalence Q --auc A, before the study; fewer terms, or ridge"
)
_SPLIT_WORD = re.compile(
    r"^(internal|random|hold_?out|held_?out|test|testing|val|valid|validation|train_?test|split)"
    r"([_ -]?(set|cohort|data|validation|test|internal|\d+))*$",
    re.IGNORECASE,
)
_SETS = {"train", "training", "test", "testing", "val", "valid", "validation", "tuning", "holdout"}
#: Where no AUC is known yet, what a good model of this kind reaches; a lower one needs more.
_EXPECTED_AUC = 0.85
_FEW_RESAMPLES, _ENOUGH = 100, 100


def check_samples(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R16, R17 and R18."""
    yield from _development_size(evidence)
    yield from _shrinkage(evidence)
    yield from _split_predictions(evidence)
    yield from _split_cohorts(evidence)
    yield from _interleaved(evidence)
    yield from _split_columns(evidence)
    yield from _not_validated(evidence)
    yield from _planned_resamples(evidence)
    for table in evidence.results:
        yield from _resamples(table)
        yield from _refitted(table)
    yield from _external_size(evidence)
    yield from _curves_of_few(evidence)


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """What a model was, or will be, developed on; `auc` is NaN while it is not known."""

    df: int
    n: int
    events: int
    auc: float


def _development_size(evidence: Evidence) -> Iterator[Finding]:
    """One finding for all models of the same patients that ask for the same number."""
    short: dict[tuple[int, int, int], list[tuple[str, _Sample]]] = {}
    for model in evidence.models:
        sample = _sample_of(evidence, model)
        needed = 0 if sample is None else _needed(sample)
        if sample is not None and needed > sample.n:
            short.setdefault((sample.n, sample.events, needed), []).append((model.name, sample))
    for (n, events, needed), models in short.items():
        named = ", ".join(name for name, _ in models)
        most = max(sample.df for _, sample in models)
        aucs = "; ".join(_assumed(sample) for _, sample in models[:3])
        few = needed > 4 * n or min(events, n - events) < 5 * most
        yield found(
            "R16", "error" if few else "warning", f"model {named}",
            f"{n} patients ({events} events) are {needed - n} short of the {needed} that Riley's "
            f"criteria ask for ({aucs}).",
            fix=_SIZE,
        )  # fmt: skip


def _assumed(sample: _Sample) -> str:
    parameters = f"{sample.df} parameter{'s' if sample.df > 1 else ''}"
    known = np.isfinite(sample.auc)
    return f"{parameters}, {'' if known else 'expected '}AUC {_auc(sample):.2f}"


def _auc(sample: _Sample) -> float:
    usable = np.isfinite(sample.auc) and 0.5 < sample.auc < 1
    return min(sample.auc, 0.99) if usable else _EXPECTED_AUC


def _needed(sample: _Sample) -> int:
    try:
        rate = sample.events / sample.n
        return sample_size_development(sample.df, rate, auc=_auc(sample)).n
    except UsstatsError:
        return 0


def _sample_of(evidence: Evidence, model: ModelTerms) -> _Sample | None:
    """Parameters, patients, events and AUC of a model: of its fit, its files, or as planned."""
    area = _corrected_auc(evidence, model.name)
    if model.fit is not None:
        return _sample_of_fit(model.fit, area)
    written = [t for t in evidence.results if _is_fit(t, model.name)]
    if written:
        rows = written[0].words("term")
        df = int((~rows.isin(["intercept", "(intercept)", "const", ""])).sum())
        df = max(df, _parameters(evidence, model))
        return _usable(df, written[0].fact("n"), written[0].fact("n_event"), area)
    home = evidence.patients_of("development")["event"].dropna()
    return _usable(_parameters(evidence, model), len(home), home.sum(), area)


def _parameters(evidence: Evidence, model: ModelTerms) -> int:
    """As declared; the levels of a factor that lists none are counted in the patients."""
    frame = pd.DataFrame() if evidence.patients is None else evidence.patients.frame
    return sum(
        max(distinct(frame[term.name]) - 1, 1)
        if term.type == "factor" and not term.levels and term.name in frame
        else term.df
        for term in model.terms
    )


def _sample_of_fit(fit: Any, area: float | None) -> _Sample | None:
    n = getattr(fit, "n_cluster", None) or fit.n
    known = area is not None or not hasattr(fit, "indices")
    return _usable(
        len(fit.params) - 1, n, n * fit.n_event / fit.n, area if known else fit.indices()["auc"]
    )


def _usable(df: int, n: float, events: float, area: float | None) -> _Sample | None:
    if not (np.isfinite(n) and np.isfinite(events)) or df < 1 or not 0 < round(events) < n:
        return None
    auc = np.nan if area is None else float(area)
    return _Sample(df=df, n=int(n), events=round(events), auc=auc)


def _is_fit(table: ResultTable, name: str) -> bool:
    return re.search(rf"(^|/)fit/{re.escape(name)}\.csv$", table.name) is not None and table.has(
        "term", "estimate", "n"
    )


def _corrected_auc(evidence: Evidence, name: str) -> float | None:
    for table in evidence.results:
        if table.has("measure", "corrected") and table.model in ("", name):
            rows = table.numbers("corrected")[table.words("measure") == "auc"].dropna()
            if len(rows):
                return float(rows.iloc[0])
    return None


def _shrinkage(evidence: Evidence) -> Iterator[Finding]:
    """The slope an internal validation promises: below 0.8 the model is too large."""
    for table in evidence.results:
        if not table.has("measure", "corrected"):
            continue
        slope = table.numbers("corrected")[table.words("measure") == "calibration_slope"].dropna()
        if len(slope) and slope.iloc[0] < 0.8:
            yield found(
                "R16", "warning", table.name,
                f"The calibration slope in new patients is expected to be {slope.iloc[0]:.2f}: the "
                "model is too large for its patients.",
                fix="Fewer parameters, fit_logistic(method='ridge'), or more patients.",
            )  # fmt: skip


def _split_predictions(evidence: Evidence) -> Iterator[Finding]:
    sheet, rows = evidence.predictions, evidence.predicted
    if sheet is None or rows.empty:
        return
    test = rows["role"] == "held_out"
    if test.any():
        yield found(
            "R17", "error", sheet.at("role", sheet.frame.index.isin(rows[test].index)),
            f"{rows.loc[test, 'patient_id'].nunique()} patients are the test part of one split.",
            fix="dl.crossval.cross_validate predicts every patient out of fold. " + _RESAMPLE,
        )  # fmt: skip
    out = rows[rows["role"] == "out_of_fold"]
    development = len(evidence.patients_of("development"))
    predicted = out["patient_id"].nunique()
    if len(out) and development and predicted < 0.8 * development:
        once = distinct(out["fold"]) <= 1
        yield found(
            "R17", "error" if once else "warning", sheet.at("fold"),
            f"Only {predicted} of {development} development patients have an out-of-fold "
            f"prediction{', all in one fold' if once else ''}.",
            fix="Predict every fold: dl.crossval.cross_validate.",
        )  # fmt: skip


def _split_cohorts(evidence: Evidence) -> Iterator[Finding]:
    for cohort in evidence.external_cohorts:
        if _SPLIT_WORD.match(cohort.strip()):
            yield found(
                "R17", "error", "cohorts.external",
                f"The cohort {cohort} is called external, and its name says that it is a part "
                "split off the same patients.",
                fix="Add it to cohorts.development. " + _RESAMPLE,
            )  # fmt: skip


def _interleaved(evidence: Evidence) -> Iterator[Finding]:
    """An "external" cohort dealt from one numbered list of one centre is a random split."""
    sheet = evidence.patients
    if sheet is None or evidence.cases.empty or not sheet.has("centre"):
        return
    named = sheet.frame.assign(patient_id=sheet.frame["patient_id"].astype(str))
    centre = named.drop_duplicates("patient_id").set_index("patient_id")["centre"].astype(str)
    cases = evidence.cases.assign(centre=centre)
    parts = pd.Series(cases.index, index=cases.index).str.extract(r"^(\D*)(\d+)$")
    for cohort in evidence.external_cohorts:
        both = cases[(cases["side"] == "development") | (cases["cohort"] == cohort)]
        where = parts.loc[both.index]
        if where.isna().any().any() or distinct(where[0]) != 1 or len(both) < 60:
            continue
        order = both.assign(number=where[1].astype(float)).sort_values("number")["side"]
        table = pd.crosstab(both["centre"], both["side"])
        alike = table.shape[0] == 1 or stats.chi2_contingency(table).pvalue > 0.05
        if alike and _looks_random(order == "external"):
            yield found(
                "R17", "warning", "patients.csv, column cohort",
                f"The patients of cohort {cohort} are scattered at random through the numbered "
                "list of the development patients and come from the same centres: it looks like "
                "a random split.",
                fix="Say what separates the cohort in time or place, or add it to development.",
            )  # fmt: skip


def _looks_random(outside: pd.Series[bool]) -> bool:
    """Wald and Wolfowitz's number of runs is what chance gives."""
    x = outside.to_numpy()
    n, m = int(x.sum()), int((~x).sum())
    if min(n, m) < 20:
        return False
    runs = 1 + int((x[1:] != x[:-1]).sum())
    mean = 1 + 2 * n * m / (n + m)
    variance = (mean - 1) * (mean - 2) / (n + m - 1)
    return bool(abs(runs - mean) < 2.6 * np.sqrt(variance))


def _split_columns(evidence: Evidence) -> Iterator[Finding]:
    for sheet in (evidence.patients, evidence.images, evidence.predictions):
        for column in ("split", "set", "subset", "partition", "dataset", "group"):
            if sheet is None or not sheet.has(column):
                continue
            values = {_set_name(v) for v in sheet.frame[column].dropna().unique()}
            if len(values & _SETS) > 1:
                yield found(
                    "R17", "error", sheet.at(column),
                    f"The patients are split once, into {', '.join(sorted(values))}.",
                    fix=_RESAMPLE,
                )  # fmt: skip


def _set_name(value: object) -> str:
    """`Training set`, `train` and `internal validation cohort` by their first telling word."""
    words = re.sub(r"[^a-z]+", " ", str(value).lower()).split()
    plain = [w for w in words if w not in {"set", "cohort", "data", "internal", "group", "sample"}]
    return " ".join(plain)


def _not_validated(evidence: Evidence) -> Iterator[Finding]:
    fitted = {m[1] for p in evidence.files if (m := re.match(r"run/fit/(\w+)\.csv$", p))}
    models = [model.name for model in evidence.models if model.name in fitted]
    missing = [n for n in models if f"run/validate/{n}.csv" not in evidence.files]
    if missing:
        yield found(
            "R17", "error", "run/validate",
            f"{', '.join(missing)}: fitted, and not validated by resampling.",
            fix="`usstats run STUDY` validates every model. " + _RESAMPLE,
        )  # fmt: skip


def _planned_resamples(evidence: Evidence) -> Iterator[Finding]:
    n_boot = evidence.option("validation", "n_boot")
    if isinstance(n_boot, int) and n_boot < _FEW_RESAMPLES:
        text = f"The internal validation is to rest on {n_boot} refits."
        yield found("R17", "warning", "study.yaml, validation.n_boot", text, fix="n_boot: 1000")


def _resamples(table: ResultTable) -> Iterator[Finding]:
    if not (table.kind == "InternalValidation" or table.has("measure", "optimism", "corrected")):
        return
    n_boot = table.fact("n_boot") if table.kind else table.numbers("n_boot").max()
    failed = table.fact("n_failed") if table.kind else table.numbers("n_failed").max()
    crossed = str(table.facts.get("method", "")) == "crossvalidation"
    least = 10 if crossed else _FEW_RESAMPLES
    if np.isfinite(n_boot) and n_boot < least:
        text = f"The internal validation rests on {n_boot:.0f} refits."
        yield found("R17", "warning", table.name, text, fix="validate(..., n_boot=1000, seed=...)")
    if np.isfinite(failed) and failed > 0.05 * max(n_boot, 1):
        text = f"{failed:.0f} of {n_boot:.0f} refits failed; the corrected values leave them out."
        yield found(
            "R17", "warning", table.name, text,
            fix="fit_logistic(method='firth'), or fewer terms and knots",
        )  # fmt: skip


def _external_size(evidence: Evidence) -> Iterator[Finding]:
    counted: dict[str, tuple[int, int]] = {}
    for cohort in evidence.external_cohorts:
        event = evidence.patients_of("external", cohort)["event"].dropna()
        if len(event):
            counted[cohort] = (int(event.sum()), int((1 - event).sum()))
    for table in evidence.results:
        n, events = table.fact("n"), table.fact("n_event")
        outside = table.kind == "ExternalValidation" or table.scope == "external"
        if outside and table.cohort not in counted and np.isfinite(n) and np.isfinite(events):
            counted[table.cohort or table.name] = (int(events), int(n - events))
    for cohort, (events, others) in counted.items():
        if min(events, others) < _ENOUGH:
            yield found(
                "R18", "error" if min(events, others) < 10 else "warning", f"cohort {cohort}",
                f"The validation cohort has {events} patients with and {others} without the event; "
                "at least 100 of each are needed.",
                fix="usstats size gives the number; until then report wide intervals and draw no "
                "flexible calibration curve.",
            )  # fmt: skip


def _curves_of_few(evidence: Evidence) -> Iterator[Finding]:
    """A flexible calibration curve of fewer than 100 events or non-events."""
    drawn = []
    for table in evidence.results:
        flexible = table.words("measure") == "ici"
        shown = table.numbers("estimate")[flexible].notna().any()
        n, events = table.fact("n"), table.fact("n_event")
        if table.scope != "development" and shown and min(events, n - events) < _ENOUGH:
            drawn.append(table)
    if drawn:
        n, events = drawn[0].fact("n"), drawn[0].fact("n_event")
        yield found(
            "R18", "warning", drawn[0].name,
            f"A flexible calibration curve is drawn from {events:.0f} events and {n - events:.0f} "
            "non-events.",
            fix="assess_calibration() withholds it below 100 of each; leave min_events as it is.",
        )  # fmt: skip


def _refitted(table: ResultTable) -> Iterator[Finding]:
    """An update that estimates every coefficient anew is a new development."""
    n, events = table.fact("n"), table.fact("n_event")
    if table.kind != "UpdatedModel" or str(table.facts.get("method")) != "refit":
        return
    df = len(table.source.params) - 1
    if min(events, n - events) < 10 * df:
        yield found(
            "R16", "warning", table.name,
            f"All {df} coefficients were estimated anew from {events:.0f} events and "
            f"{n - events:.0f} non-events.",
            fix="update_model(method='intercept') or 'slope': fewer parameters to estimate.",
        )  # fmt: skip
