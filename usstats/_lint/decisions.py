"""R11, R12, R13 and R24: decision curves, cut-offs, and what is shown first."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.sheets import ResultTable
from usstats._numbers import as_number

_RANGE = (
    "Name the risks between which a clinician would decide either way, and why (`decision: low, "
    "high, rationale` in study.yaml; `thresholds=` in decision_curve)."
)
_CORRECTED = "validate(fit, data, recipe=...).decision_curve(thresholds) is corrected for optimism."
_FREEZE = (
    "choose_threshold() once, in development; validate(recipe=Recipe(threshold=...)) corrects its "
    "sensitivity and specificity; diagnostic_accuracy(threshold=frozen) outside."
)
_HEADLINE = (
    "Lead with the AUC, the calibration curve and the net benefit; leave F1 and accuracy out"
)
_WIDEST = 0.9
#: Patients of each outcome below which the slope of a sound model strays far by chance.
_ENOUGH = 100
_REFERENCES = ("treat_all", "treat_none", "treat all", "treat none", "all", "none")
_F1 = re.compile(
    r"^(macro[ _-]?|micro[ _-]?|weighted[ _-]?)?f[ _-]?(1|beta)?[ _-]?(score|measure)?$"
)
_ACCURACY = re.compile(r"^(overall[ _-]|balanced[ _-]|test[ _-])?acc(uracy)?$")
_BENEFIT = re.compile(r"net[ _-]?benefit|^nb[ _]")


def check_decisions(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R11, R12, R13 and R24."""
    yield from _declared_range(evidence)
    yield from _drawn_ranges(evidence)
    yield from _apparent_curves(evidence)
    yield from _miscalibrated_curves(evidence)
    for table in evidence.results:
        yield from _tested_benefit(table)
        yield from _headline(table)
    yield from _thresholds(evidence)


def _declared_range(evidence: Evidence) -> Iterator[Finding]:
    low, high = (evidence.option("decision", key) for key in ("low", "high"))
    if _is_number(low) and _is_number(high) and _too_wide(float(low), float(high)):
        text = f"The decision curve runs from {float(low):.0%} to {float(high):.0%}."
        yield found("R11", "error", "study.yaml, decision", text, fix=_RANGE)
    rationale = evidence.option("decision", "rationale")
    if evidence.option("decision") is not None and _is_empty(rationale):
        text = "The range of thresholds has no rationale."
        yield found("R11", "warning", "study.yaml, decision.rationale", text, fix=_RANGE)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _too_wide(low: float, high: float) -> bool:
    return high - low >= _WIDEST or high >= 0.99 or (low <= 0.01 and high >= 0.9)


def _is_empty(text: object) -> bool:
    return len(re.sub(r"\W|todo|tbd|xxx", "", str(text or "").lower())) < 10


def _drawn_ranges(evidence: Evidence) -> Iterator[Finding]:
    wide: list[tuple[str, float, float]] = []
    for table in evidence.results:
        at = table.numbers("threshold_probability").dropna()
        if len(at) > 1 and _too_wide(at.min(), at.max()):
            wide.append((table.name, at.min(), at.max()))
    if wide:
        name, low, high = wide[0]
        more = f" (and in {len(wide) - 1} more results)" if len(wide) > 1 else ""
        yield found(
            "R11", "error", name,
            f"Net benefit is shown at thresholds from {low:.0%} to {high:.0%}{more}.",
            fix=_RANGE,
        )  # fmt: skip


def _apparent_curves(evidence: Evidence) -> Iterator[Finding]:
    corrected = any(t.kind == "CorrectedDecisionCurve" for t in evidence.results)
    for table in evidence.results:
        if not table.has("net_benefit", "threshold_probability") or table.printed:
            continue
        if not _of_development(evidence, table) or (corrected and table.kind == "DecisionCurve"):
            continue
        own = table.frame[~table.words("model").isin(_REFERENCES)]
        if "optimism" in own or "apparent" in own:
            gap = (table.numbers("apparent") - table.numbers("net_benefit")).loc[own.index]
            if not (gap.notna().any() and (gap.abs() < 1e-12).all()):
                continue
        yield found(
            "R11", "error", table.name,
            "The decision curve of the development cohort is not corrected for optimism.",
            fix=_CORRECTED,
        )  # fmt: skip


def _of_development(evidence: Evidence, table: ResultTable) -> bool:
    if table.scope:
        return table.scope == "development"
    n = table.fact("n")
    if table.kind != "DecisionCurve" or not np.isfinite(n):
        return False
    sizes = {float(f.n) for f in evidence.fits.values() if hasattr(f, "n")}
    known = evidence.sizes
    outside = {float(known[c][0]) for c in evidence.external_cohorts if c in known}
    if "development" in known and known["development"][0] and not sizes:
        sizes = {float(known["development"][0])}
    return n in sizes - outside


def _miscalibrated_curves(evidence: Evidence) -> Iterator[Finding]:
    """Net benefit of risks that are shown not to be risks, one finding a cohort."""
    wrong: dict[str, dict[str, str]] = {}
    for table in evidence.of_scope("external"):
        says = _miscalibration(table)
        if says:
            wrong.setdefault(table.cohort, {}).setdefault(table.model or table.name, says)
    for cohort, models in wrong.items():
        named = "; ".join(f"{model}: {says}" for model, says in models.items())
        yield found(
            "R11", "warning", f"external cohort {cohort}".strip(),
            f"Net benefit is drawn from miscalibrated risks ({named}).",
            fix="Recalibrate outside with update_model(fit, external), and show both curves.",
            why="At each threshold the curve counts patients whose stated risk is not their risk.",
        )  # fmt: skip


def _miscalibration(table: ResultTable) -> str:
    """A calibration slope or intercept that is far off, beyond chance; "" where there is none."""
    if not any("net_benefit" in m for m in table.measures):
        return ""
    frame = table.frame[table.words("group").isin(["overall", ""])]
    rows = frame.assign(measure=table.words("measure")).drop_duplicates("measure")
    rows = rows.set_index("measure")
    n, events = table.fact("n"), table.fact("n_event")
    slope, level = (1.8, 0.75) if min(events, n - events) >= _ENOUGH else (2.7, 1.5)
    checks = (
        ("calibration_slope", 1.0, slope, True),
        ("calibration_in_the_large", 0.0, level, False),
    )
    for name, right, tolerance, ratio in checks:
        if name not in rows.index:
            continue
        value, low, high = (
            as_number(rows.at[name, c]) for c in ("estimate", "conf_low", "conf_high")
        )
        far = not 1 / tolerance <= value <= tolerance if ratio else abs(value) > tolerance
        if far and abs(value - right) > 3 * (high - low) / 3.92:
            return f"{name.replace('_', ' ')} {value:.2f} ({low:.2f} to {high:.2f})"
    return ""


def _tested_benefit(table: ResultTable) -> Iterator[Finding]:
    columns = [
        c for c in table.frame if re.search(r"(^p$|p_?val|p[- ]value|p_adj)", str(c).lower())
    ]
    about = table.words("measure").str.contains("net[_ ]benefit")
    spoken = [table.name.rsplit("/", 1)[-1], *table.frame.columns]
    if table.has("net_benefit") or any(_BENEFIT.search(str(name).lower()) for name in spoken):
        about |= True
    shown = [c for c in columns if table.numbers(str(c))[about].notna().any()]
    if table.printed and about.any():
        shown = columns
    if shown:
        yield found(
            "R12", "error", table.name,
            "The net benefit has a p value.",
            fix="Show the curves, with an interval of the difference if wanted; "
            "`value_of_information` answers whether more data are needed.",
        )  # fmt: skip


def _headline(table: ResultTable) -> Iterator[Finding]:
    first = str(table.frame.columns[0]) if len(table.frame.columns) else ""
    rows = list(table.words("measure" if table.has("measure") else first))
    columns = [str(c).strip().lower() for c in table.frame.columns]
    named = [w for w in (*rows, *columns) if _F1.match(w) and len(w) > 1]
    accurate = [w for w in rows if _ACCURACY.match(w)] or [c for c in columns if _ACCURACY.match(c)]
    others = {"sensitivity", "specificity", "auc"} & {*rows, *columns}
    if accurate and not others:
        what, severity = f"{accurate[0]} is reported alone", "error"
    elif named:
        what, severity = f"{named[0]} is reported", "warning"
    elif accurate and (rows[:1] == accurate[:1] or table.printed):
        what, severity = f"{accurate[0]} is what the table leads with or shows readers", "warning"
    else:
        return
    yield found(
        "R24", "error" if severity == "error" else "warning", table.name, f"{what}.".capitalize(),
        fix=_HEADLINE + "; at a cut-off give sensitivity, specificity and predictive values.",
    )  # fmt: skip


def _thresholds(evidence: Evidence) -> Iterator[Finding]:
    chosen = [t for t in evidence.results if t.kind == "Threshold"]
    used = [t for t in evidence.results if np.isfinite(t.fact("threshold")) and _has_accuracy(t)]
    for threshold in chosen:
        yield from _chosen_outside(evidence, threshold)
        yield from _judged_at_home(evidence, threshold, used)
        yield from _outside_range(evidence, threshold)
    yield from _not_frozen(evidence, chosen, used)
    for table in evidence.results:
        yield from _several(table)
    if not chosen:
        yield from _judged_on_fit(evidence, used)


def _several(table: ResultTable) -> Iterator[Finding]:
    """One table that lists a cut-off of its own for each cohort."""
    accurate = any(re.match(r"sensitivity|specificity", str(c).lower()) for c in table.frame)
    if not table.has("threshold", "cohort") or not accurate or table.printed:
        return
    models = table.words("model")
    cutoffs = table.numbers("threshold").groupby([models, table.words("cohort")]).first().dropna()
    if (cutoffs.groupby(level=0).nunique() > 1).any():
        yield found(
            "R13", "error", table.name,
            f"Each cohort has a cut-off of its own ({cutoffs.min():.4g} to {cutoffs.max():.4g}).",
            fix=_FREEZE,
        )  # fmt: skip


def _has_accuracy(table: ResultTable) -> bool:
    return (
        bool({"sensitivity", "specificity"} & table.measures) or table.kind == "DiagnosticAccuracy"
    )


def _chosen_outside(evidence: Evidence, threshold: ResultTable) -> Iterator[Finding]:
    n, events = threshold.fact("n"), threshold.fact("n_event")
    development = evidence.patients_of("development")
    known = development["event"].dropna()
    outside = [t for t in evidence.results if t.kind == "ExternalValidation" and t.fact("n") == n]
    for cohort in evidence.external_cohorts:
        there = evidence.patients_of("external", cohort)["event"]
        if (len(there), there.sum()) == (n, events) and (len(known), known.sum()) != (n, events):
            outside.append(threshold)
    fitted = {float(f.n) for f in evidence.fits.values() if hasattr(f, "n")}
    if outside and n not in fitted and len(known) != n:
        yield found(
            "R13", "error", threshold.name,
            f"The cut-off was chosen in the external cohort (n = {n:.0f}, events = {events:.0f}) "
            "that it is meant to be tested in.",
            fix=_FREEZE,
        )  # fmt: skip


def _judged_at_home(
    evidence: Evidence, threshold: ResultTable, used: list[ResultTable]
) -> Iterator[Finding]:
    if str(threshold.facts.get("criterion", "")) in ("fixed", "decreed", "clinical"):
        return
    corrected = any(
        "corrected" in t.frame and "sensitivity" in t.measures for t in evidence.results
    )
    for table in () if corrected else used:
        same = all(table.fact(k) == threshold.fact(k) for k in ("n", "n_event"))
        if same and np.isclose(table.fact("threshold"), threshold.fact("value"), rtol=0, atol=1e-9):
            yield found(
                "R13", "error", table.name,
                f"Sensitivity and specificity are those of the {table.fact('n'):.0f} patients the "
                "cut-off was chosen on, and are not corrected.",
                fix=_FREEZE,
            )  # fmt: skip


def _judged_on_fit(evidence: Evidence, used: list[ResultTable]) -> Iterator[Finding]:
    """Accuracy in development without a word on where the cut-off comes from."""
    corrected = any(
        "corrected" in t.frame and "sensitivity" in t.measures for t in evidence.results
    )
    fitted = {float(f.n) for f in evidence.fits.values() if hasattr(f, "n")}
    for table in () if corrected else used:
        if table.scope == "development" or (not table.scope and table.fact("n") in fitted):
            yield found(
                "R13", "warning", table.name,
                f"Accuracy at {table.fact('threshold'):.3g} is given for the development patients, "
                "and nothing says how the cut-off was chosen or corrects for the choice.",
                fix=_FREEZE,
            )  # fmt: skip


def _outside_range(evidence: Evidence, threshold: ResultTable) -> Iterator[Finding]:
    low, high = (evidence.option("decision", key) for key in ("low", "high"))
    value = threshold.fact("value")
    if _is_number(low) and _is_number(high) and not low <= value <= high:
        yield found(
            "R13", "note", threshold.name,
            f"The cut-off {value:.2f} lies outside the range {low:g} to {high:g} in which the "
            "study says a clinician would decide either way.",
            fix="Choose the cut-off by its consequences: `cutoff: sensitivity` in study.yaml.",
        )  # fmt: skip


def _not_frozen(
    evidence: Evidence, chosen: list[ResultTable], used: list[ResultTable]
) -> Iterator[Finding]:
    """One cut-off for all cohorts: the frozen one."""
    frozen = {round(t.fact("value"), 9) for t in chosen}
    frozen = frozen or {round(t.fact("threshold"), 9) for t in used if t.scope == "development"}
    outside = [t for t in used if t.scope == "external"]
    strange = [t for t in outside if frozen and round(t.fact("threshold"), 9) not in frozen]
    values = {round(t.fact("threshold"), 9) for t in outside}
    if not frozen and len(values) > 1:
        strange = outside
    for table in strange[:1]:
        home = f", not the {min(frozen):.4g} of development" if frozen else ", in each another"
        yield found(
            "R13", "error", table.name,
            f"The external accuracy is at the cut-off {table.fact('threshold'):.4g}{home}.",
            fix=_FREEZE,
        )  # fmt: skip
