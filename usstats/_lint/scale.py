"""R25: numbers that are no probabilities, and files that run code when they are opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import special

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.scores import Strength, by_network, patient_scores, strength
from usstats._lint.sheets import ResultTable, Sheet, distinct
from usstats._numbers import as_numbers

TWICE_LOW, TWICE_HIGH = float(special.expit(-1)), float(special.expit(1))
_ONCE = "Write one softmax (or sigmoid) of the network's logits: dl.predict.predict does."
_RECALIBRATE = "Recalibrate on out-of-fold logits (dl.calibrate), or update_model() outside."
_SAFE = "Save weights as safetensors with a JSON configuration, and delete the pickled file."
_PICKLED = re.compile(
    r"\.(pt|pth|pkl|pickle|joblib|ckpt|sav|h5|hdf5|keras|dill|cloudpickle)$|"
    r"pytorch_model.*\.bin$",
    re.IGNORECASE,
)
_PICKLED_WHY = "Opening such a file runs whatever code its sender put into it."
_BOUNDED = re.compile(
    r"^(auc|auroc|c_statistic|partial_auc|sensitivity|specificity|ppv|npv|accuracy|brier|f1|dice|"
    r"iou|auc_full|auc_reduced|reader_averaged_auc)$"
)
_ENOUGH = 20


def check_scale(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R25."""
    sheet = evidence.predictions
    if sheet is not None and not sheet.frame.empty:
        for column in ("probability", "probability_calibrated"):
            if sheet.has(column):
                yield from _range(sheet, column)
        yield from _sums(sheet)
        yield from _softmax(sheet)
        yield from _reordered(sheet)
        yield from _classes(evidence, sheet)
        rows = evidence.predicted
        for name, part in by_network(rows):
            yield from _strengths(evidence, sheet, name, part)
    for fused in evidence.fused:
        if fused.has("dl_prob"):
            yield from _range(fused, "dl_prob")
    if evidence.patients is not None and evidence.patients.has("dl_prob"):
        yield from _range(evidence.patients, "dl_prob")
    for table in evidence.results:
        yield from _thresholds(table)
        yield from _impossible(table)
    yield from _pickles(evidence)


def _range(sheet: Sheet, column: str) -> Iterator[Finding]:
    values = as_numbers(sheet.frame[column])
    missing, outside = values.isna(), (values < 0) | (values > 1)
    if missing.any() and not (column == "probability_calibrated" and missing.all()):
        yield found(
            "R25", "error", sheet.at(column, missing),
            f"{missing.sum()} of {len(values)} values of {column} are missing or no numbers; a "
            "missing risk is not a negative test.",
            fix="Predict these images again, or leave the patients out and say so.",
        )  # fmt: skip
    if outside.any():
        scale = (
            "percentages" if values.min() >= 0 and 2 < values.max() <= 100 else "logits or scores"
        )
        yield found(
            "R25", "error", sheet.at(column, outside),
            f"{outside.sum()} of {len(values)} values of {column} lie outside 0 to 1 "
            f"({values.min():.3g} to {values.max():.3g}): they look like {scale}.",
            fix="Divide percentages by 100. " + _ONCE,
        )  # fmt: skip
    elif distinct(values) == 1 and len(values) >= _ENOUGH:
        text = f"All values of {column} are {values.iloc[0]:.3g}."
        yield found("R25", "error", sheet.at(column), text, fix=_ONCE)
    elif set(values.dropna().unique()) <= {0.0, 1.0}:
        text = f"{column} holds only 0 and 1: these are decisions, not probabilities."
        yield found("R25", "error", sheet.at(column), text, fix=_ONCE)


def _sums(sheet: Sheet) -> Iterator[Finding]:
    """The classes of an image are all there and sum to 1."""
    if not sheet.has("class", "image_id") or sheet.frame["class"].nunique() < 2:
        return
    keys = [k for k in ("patient_id", "image_id", "model", "role") if k in sheet.frame]
    for column in ("probability", "probability_calibrated"):
        if not sheet.has(column) or sheet.frame[column].isna().all():
            continue
        values = as_numbers(sheet.frame[column])
        grouped = values.groupby([sheet.frame[k].astype(str) for k in keys])
        bad = ((grouped.transform("sum") - 1).abs() > 1e-3) | (
            grouped.transform("size") != sheet.frame["class"].nunique()
        )
        if bad.any():
            yield found(
                "R25", "error", sheet.at(column, bad),
                f"The classes of an image must sum to 1; in {bad.sum()} rows they do not (first "
                f"sum {grouped.transform('sum')[bad].iloc[0]:.3f}).",
                fix="One softmax over all classes, and one row a class. " + _ONCE,
            )  # fmt: skip
            return


def _softmax(sheet: Sheet) -> Iterator[Finding]:
    """probability = one softmax of logit, not none and not two."""
    if not sheet.has("probability"):
        return
    p = as_numbers(sheet.frame["probability"]).to_numpy(dtype=float)
    logit = _logits(sheet)
    if not ((p >= 0) & (p <= 1)).any():
        return
    once = special.expit(logit) if _two_class(sheet) else _over_classes(sheet, logit)
    twice = _applied_twice(p, logit, once) if _two_class(sheet) else _squeezed(sheet, p, once)
    if twice:
        yield found("R25", "error", sheet.at("probability"), twice, fix=_ONCE)
        return
    apart = np.isfinite(p) & np.isfinite(once) & (np.abs(p - once) > 1e-3)
    if apart.any():
        as_is = np.nanmax(np.abs(p - logit)) < 1e-6
        yield found(
            "R25", "error", sheet.at("logit", apart),
            f"{apart.sum()} of {len(p)} rows have a probability that is not the softmax of their "
            f"logit{': the column logit holds the probabilities themselves' if as_is else ''}.",
            fix=_ONCE,
        )  # fmt: skip


def _over_classes(sheet: Sheet, logit: np.ndarray) -> np.ndarray:
    """Softmax of the logits of an image's classes."""
    keys = [k for k in ("patient_id", "image_id", "model", "role", "fold") if k in sheet.frame]
    groups = [sheet.frame[k].astype(str) for k in keys]
    values = pd.Series(logit)
    if not groups or values.isna().any():
        return np.full(len(logit), np.nan)
    powers = pd.Series(np.exp(values - values.groupby(groups).transform("max")))
    return np.asarray(powers / powers.groupby(groups).transform("sum"))


def _squeezed(sheet: Sheet, p: np.ndarray, once: np.ndarray) -> str:
    """A softmax of k probabilities lies between 1 / (1 + (k - 1) e) and e / (e + k - 1)."""
    k, known = distinct(sheet.frame["class"]), p[np.isfinite(p)]
    low, high = 1 / (1 + (k - 1) * np.e), np.e / (np.e + k - 1)
    if known.size < _ENOUGH * k or known.min() < low or known.max() > high:
        return ""
    confirmed = np.allclose(p, once, rtol=0, atol=1e-3)
    return "" if confirmed or np.ptp(known) == 0 else _as_if_twice(known)


def _as_if_twice(p: np.ndarray) -> str:
    return (
        f"All {p.size} probabilities lie between {p.min():.3f} and {p.max():.3f}, as if a "
        "softmax had been applied twice."
    )


def _logits(sheet: Sheet) -> np.ndarray:
    if not sheet.has("logit"):
        return np.full(len(sheet.frame), np.nan)
    return as_numbers(sheet.frame["logit"]).to_numpy(dtype=float)


def _two_class(sheet: Sheet) -> bool:
    return not sheet.has("class") or distinct(sheet.frame["class"]) <= 1


def _applied_twice(p: np.ndarray, logit: np.ndarray, inside: np.ndarray) -> str:
    known = np.isfinite(p)
    p, logit, inside = p[known], logit[known], inside[known]
    if p.size < _ENOUGH or np.ptp(p) == 0:
        return ""
    again = (special.expit(2 * inside - 1), special.expit(inside))
    proven = any(np.allclose(p, q, rtol=0, atol=1e-6) for q in again)
    squeezed = p.max() <= TWICE_HIGH and p.min() >= TWICE_LOW
    confirmed = np.allclose(p, inside, rtol=0, atol=1e-3) and logit.min() < -0.1
    return _as_if_twice(p) if proven or (squeezed and not confirmed) else ""


def _reordered(sheet: Sheet) -> Iterator[Finding]:
    """Calibration by temperature or Platt keeps the order within the network of a fold."""
    if not sheet.has("probability", "probability_calibrated") or not _two_class(sheet):
        return
    keys = [k for k in ("model", "fold", "role") if k in sheet.frame]
    columns = ["probability", "probability_calibrated"]
    numbers = sheet.frame[columns].apply(as_numbers)
    groups = [sheet.frame[k].astype(str) for k in keys] or [pd.Series(0, index=numbers.index)]
    worst = 1.0
    for _, part in numbers.groupby(groups):
        known = part.dropna()
        if len(known) >= _ENOUGH and known.nunique().min() > 5:
            worst = min(worst, known.corr(method="spearman").to_numpy()[0, 1])
    if worst < 0.9:
        yield found(
            "R25", "error" if worst < 0 else "warning", sheet.at("probability_calibrated"),
            f"Calibration changed the order of the patients (rank correlation {worst:.2f}): it "
            "belongs to other rows, or was fitted the wrong way round.",
            fix=_RECALIBRATE,
        )  # fmt: skip


def _classes(evidence: Evidence, sheet: Sheet) -> Iterator[Finding]:
    """Two classes are written as the rows of the event."""
    positive = evidence.option("outcome", "positive")
    if positive is None or not sheet.has("class"):
        return
    classes = set(sheet.frame["class"].dropna().astype(str))
    if classes and str(positive) not in classes:
        yield found(
            "R25", "error", sheet.at("class"),
            f"The predictions are about {', '.join(sorted(classes)[:3])}, and the event of the "
            f"study is {positive}.",
            fix="Write the probability of the event in rows of its class.",
        )  # fmt: skip


def _strengths(
    evidence: Evidence, sheet: Sheet, name: str, rows: pd.DataFrame
) -> Iterator[Finding]:
    """Direction and slope of the out-of-fold logits, and of the external ones without results."""
    groups = [("development", rows[rows["role"] == "out_of_fold"])]
    judged = any("calibration_slope" in t.measures for t in evidence.of_scope("external"))
    outside = rows[rows["role"] == "external"]
    if not judged:
        parts = outside.groupby("cohort", dropna=False)
        groups += [(f"cohort {c}" if isinstance(c, str) else "outside", g) for c, g in parts]
    label = f"network {name}" if name else "the network"
    for place, part in groups:
        found_here = strength(patient_scores(part))
        says = "" if found_here is None else _says(found_here)
        if says:
            reverse = "AUC" in says
            yield found(
                "R25", "error" if reverse else "warning", sheet.at("probability"),
                f"The {says} of {label} in {place}.",
                fix="Check which class the column is about." if reverse else _RECALIBRATE,
            )  # fmt: skip


def _says(s: Strength) -> str:
    if s.auc < 0.5 and (0.5 - s.auc) > 3 * s.auc_error:
        return f"AUC is {s.auc:.2f}, below one half: the probabilities are those of the other class"
    far = not 0.5 <= s.slope <= 2.0 and abs(s.slope - 1) > 3 * s.slope_error
    which = "too extreme" if s.slope < 1 else "too timid"
    return f"calibration slope is {s.slope:.2f}, the risks are {which}," if far else ""


def _thresholds(table: ResultTable) -> Iterator[Finding]:
    value = table.fact("value") if table.kind == "Threshold" else table.fact("threshold")
    relevant = table.kind in ("Threshold", "DiagnosticAccuracy") or bool(
        {"sensitivity", "specificity"} & table.measures
    )
    if relevant and np.isfinite(value) and not 0 <= value <= 1:
        yield found(
            "R25", "error", table.name,
            f"The cut-off is {value:.4g}, which is no probability.",
            fix="Choose the cut-off on the model's risk: choose_threshold(y, fit.predict(data)).",
        )  # fmt: skip


def _impossible(table: ResultTable) -> Iterator[Finding]:
    """Measures outside their range, or limits that do not hold the estimate."""
    if table.printed or not table.has("measure", "estimate"):
        return
    bounded = table.words("measure").map(lambda m: _BOUNDED.match(m) is not None)
    low, value, high = (table.numbers(c) for c in ("conf_low", "estimate", "conf_high"))
    beyond = bounded & ((value > 1 + 1e-12) | (value < -1e-12) | (high > 1 + 1e-12) | (low < -1))
    crossed = (low > value + 1e-9) | (high < value - 1e-9)
    crossed &= ~table.words("measure").str.contains("net_benefit")
    for wrong, what in ((beyond, "outside its range"), (bounded & crossed, "outside its interval")):
        if wrong.any():
            names = ", ".join(sorted(set(table.words("measure")[wrong]))[:3])
            text = f"{names}: an estimate or a limit lies {what}."
            fix = "Compute it again with usstats; limits of an AUC stay within 0 and 1."
            yield found("R25", "error", table.name, text, fix=fix)


def _pickles(evidence: Evidence) -> Iterator[Finding]:
    pickled = [path for path in evidence.files if _PICKLED.search(path)]
    if pickled:
        more = f" and {len(pickled) - 3} more" if len(pickled) > 3 else ""
        yield found(
            "R25", "error", ", ".join(pickled[:3]) + more,
            f"{len(pickled)} pickled or opaque checkpoint(s) lie in the study folder.",
            fix=_SAFE, why=_PICKLED_WHY,
        )  # fmt: skip
