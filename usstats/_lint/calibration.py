"""R09, R10 and R19: whether risks mean what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import special, stats

from usstats._lint.evidence import Evidence, Setting
from usstats._lint.finding import Finding, found
from usstats._lint.scores import by_network
from usstats._lint.sheets import ResultTable, Sheet

CALIBRATION = frozenset(
    {
        "calibration_slope", "calibration_in_the_large", "calibration_intercept", "oe_ratio",
        "ici", "e50", "e90", "emax", "calibration slope", "calibration in the large", "o:e ratio",
        "slope", "intercept", "citl",
    }
)  # fmt: skip
_TEST_OF_FIT = re.compile(r"hosmer|(?:^|[^a-z])h-?l(?:[^a-z]|$)|goodness.of.fit")
_AREAS = {"auc", "c_statistic", "c-statistic", "auroc", "concordance", "roc_auc"}
_EVALUATE = "evaluate(y, p, thresholds=..., seed=...): AUC, calibration, net benefit and risks"
_WEIGHTS = (
    "Train without weights or resampling, or recalibrate on out-of-fold logits "
    "(`dl.calibrate`), and write probability_calibrated."
)
_CURVES = {"Calibration", "ExternalValidation", "InternalValidation", "UpdatedModel"}


def check_calibration(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R09, R10 and R19."""
    yield from _hosmer_lemeshow(evidence)
    yield from _external_areas(evidence)
    yield from _not_evaluated(evidence)
    yield from _weighted_training(evidence)
    yield from _mean_risk(evidence)
    yield from _weighted_fits(evidence)
    yield from _matched_classes(evidence)


def calibrated(table: ResultTable) -> bool:
    """The result holds measures of calibration beyond a test."""
    return table.kind in _CURVES or bool(table.measures & CALIBRATION)


def _hosmer_lemeshow(evidence: Evidence) -> Iterator[Finding]:
    others = any(calibrated(table) for table in evidence.results)
    for table in evidence.results:
        words = table.words("measure") + table.words("method") + table.words("term")
        if table.printed and len(table.frame.columns):
            words = words + table.words(str(table.frame.columns[0]))
        named = words.str.contains(_TEST_OF_FIT).any()
        named |= any(_TEST_OF_FIT.search(str(column).lower()) for column in table.frame)
        if not (named or table.kind == "HosmerLemeshow"):
            continue
        alone = "the only measure of calibration" if not others else "beside better measures"
        yield found(
            "R09", "error" if not others else "warning" if table.printed else "note", table.name,
            f"The Hosmer-Lemeshow test is reported, {alone}.",
            fix="assess_calibration(y, p): intercept, slope and a flexible curve with its band",
        )  # fmt: skip


def _external_areas(evidence: Evidence) -> Iterator[Finding]:
    """External AUCs without calibration of the same model in the same cohort."""
    outside = [t for t in evidence.results if _is_external(evidence, t) and not t.printed]
    cohorts = {t.cohort for t in outside}
    for cohort in sorted(cohorts):
        here = [t for t in outside if t.cohort == cohort]
        areas = [t for t in here if t.measures & _AREAS or t.kind == "RocCurve"]
        judged = {t.model for t in here if calibrated(t)}
        bare = [t for t in areas if t.model not in judged and not (t.model == "" and judged)]
        if bare:
            models = ", ".join(sorted({t.model for t in bare} - {""})) or "the model"
            yield found(
                "R10", "error", bare[0].name,
                f"{models} has an AUC in {cohort or 'the external cohort'} but no calibration "
                "there.",
                fix=_EVALUATE,
            )  # fmt: skip
        elif areas and not any("net_benefit" in " ".join(_what(t)) for t in here):
            yield found(
                "R10", "warning", areas[0].name,
                f"The net benefit in {cohort or 'the external cohort'} is not reported.",
                fix=_EVALUATE,
            )  # fmt: skip


def _what(table: ResultTable) -> set[str]:
    return {*table.measures, *map(str, table.frame.columns)}


def _is_external(evidence: Evidence, table: ResultTable) -> bool:
    if table.scope:
        return table.scope == "external"
    fitted = {float(f.n) for f in evidence.fits.values() if hasattr(f, "n")}
    n = table.fact("n")
    of_area = table.kind in ("Estimate", "RocCurve") and bool(table.measures & _AREAS)
    return bool(fitted) and of_area and np.isfinite(n) and n not in fitted


def _not_evaluated(evidence: Evidence) -> Iterator[Finding]:
    """A finished run that never went to a cohort it has."""
    has_run = any(path.startswith("run/fit/") for path in evidence.files)
    seen = {table.cohort for table in evidence.of_scope("external")}
    for cohort in evidence.external_cohorts if has_run else ():
        if cohort not in seen and len(evidence.patients_of("external", cohort)):
            yield found(
                "R10", "warning", f"run/external, cohort {cohort}",
                f"The study has patients of cohort {cohort} and no result in them.",
                fix="`usstats run STUDY` evaluates every external cohort.",
            )  # fmt: skip


def _weighted_training(evidence: Evidence) -> Iterator[Finding]:
    weighted = [setting for setting in evidence.settings if reweights(setting)]
    if weighted and not _recalibrated(evidence):
        yield found(
            "R19", "error", weighted[0].where,
            f"The network was trained with {weighted[0].key.split('.')[-1]} = "
            f"{weighted[0].value}, and its probabilities were not recalibrated afterwards.",
            fix=_WEIGHTS,
        )  # fmt: skip


def reweights(setting: Setting) -> bool:
    """A training option that changes the classes' weight in the loss or in the sample."""
    key, value = setting.key.lower().rsplit(".", 1)[-1], setting.value
    word = str(value).strip().lower()
    if value in (None, False) or word in ("none", "no", "off", "false", "0", "null", "1", "1.0"):
        return False
    if key in ("loss", "loss_function", "criterion", "objective"):
        return any(w in word for w in ("focal", "weighted", "balanced", "tversky", "class_bal"))
    names: tuple[str, ...] = (
        "class_weight",
        "pos_weight",
        "oversampl",
        "undersampl",
        "smote",
        "adasyn",
        "sampler",
    )
    names += ("balanc", "upsampl", "downsampl", "resampling", "focal", "imbalance", "rebalanc")
    if not any(name in key for name in names) and key not in ("sampling", "augment_minority"):
        return False
    return word not in ("random", "shuffle", "sequential", "patient", "uniform")


def _recalibrated(evidence: Evidence) -> bool:
    rows = evidence.predicted
    if rows.empty or rows["calibrated"].isna().any():
        return False
    return bool(((rows["calibrated"] - rows["raw"]).abs() > 1e-6).any() or rows["raw"].isna().all())


def _mean_risk(evidence: Evidence) -> Iterator[Finding]:
    """Risks that average towards one half although the event is rarer or commoner than that."""
    sheet, rows = evidence.predictions, evidence.predicted
    if sheet is None or rows.empty:
        return
    for name, part in by_network(rows):
        out = part[(part["role"] == "out_of_fold") & part["p"].between(0, 1)]
        patients = out.groupby("patient_id")[["p", "event"]].mean().dropna()
        shift = _towards_half(patients)
        if shift is not None:
            yield from _reweighted(sheet, name, shift)


def _towards_half(patients: pd.DataFrame) -> tuple[float, float] | None:
    n, events = len(patients), patients["event"].sum()
    if min(events, n - events) < 10:
        return None
    mean, rate = float(patients["p"].mean()), float(events / n)
    error = np.sqrt(((patients["event"] - patients["p"]) ** 2).mean() / n)
    gap = special.logit(mean) - special.logit(rate)
    towards = abs(mean - 0.5) < abs(rate - 0.5) and (mean - rate) * (0.5 - rate) > 0
    beyond = abs(gap) > 0.5 and abs(mean - rate) > 4 * error
    return (mean, rate) if towards and beyond else None


def _reweighted(sheet: Sheet, name: str, shift: tuple[float, float]) -> Iterator[Finding]:
    mean, rate = shift
    yield found(
        "R19", "error", sheet.at("probability"),
        f"The probabilities of network {name} average {mean:.0%} where {rate:.0%} of the patients "
        "have the event: as after oversampling, class weights or focal loss.",
        fix=_WEIGHTS,
    )  # fmt: skip


def _weighted_fits(evidence: Evidence) -> Iterator[Finding]:
    for name, fit in evidence.fits.items():
        prepared = getattr(fit, "development", None)
        weights, y = getattr(prepared, "weights", None), getattr(prepared, "y", None)
        if weights is None or y is None:
            continue
        w, event = np.asarray(weights, dtype=float), np.asarray(y).astype(bool)
        groups = [np.unique(w[event]), np.unique(w[~event])]
        if all(g.size == 1 for g in groups) and not np.isclose(groups[0][0], groups[1][0]):
            yield found(
                "R19", "error", f"fit {name}",
                "The model was fitted with another weight for events than for non-events.",
                fix="Fit without weights; a rare outcome needs no balancing.",
            )  # fmt: skip


def _matched_classes(evidence: Evidence) -> Iterator[Finding]:
    """As many events as non-events to the patient, and another share of events outside."""
    home = evidence.patients_of("development")["event"].dropna()
    if len(home) < 80 or home.sum() * 2 != len(home):
        return
    for cohort in evidence.external_cohorts:
        there = evidence.patients_of("external", cohort)["event"].dropna()
        if len(there) < 40:
            continue
        counts = [[t.sum(), len(t) - t.sum()] for t in (home, there)]
        if min(min(row) for row in counts) > 0 and stats.chi2_contingency(counts).pvalue < 1e-3:
            yield found(
                "R19", "warning", "development cohort",
                f"Exactly half of the {len(home)} development patients have the event, and "
                f"{there.mean():.0%} of cohort {cohort}: the classes seem to have been evened out.",
                fix="Develop on patients as they come; or give the prevalence, and recalibrate: "
                "update_model(fit, external, method='intercept').",
            )  # fmt: skip
