"""R02 and R04: which network speaks outside, and how it was chosen."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import special

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.predicted import role_of
from usstats._lint.scores import by_network, patient_scores, strength
from usstats._lint.sheets import ResultTable, Sheet, distinct
from usstats.errors import RiskError, ShiftWarning
from usstats.shift import logit_shift

_STATE = (
    "State the rule (for example: mean logit of the fold networks), apply it to every external "
    "patient, and write its model_hash."
)
_RECALIBRATE = "Recalibrate outside: `update_model(fit, external)`, and report both cohorts."
_NESTED = (
    "Choose inside each training fold, on its tuning patients (`dl.crossval.cross_validate` does), "
    "or name the network before looking and report all of them."
)
#: Stricter than `logit_shift` by itself: a linter asks every study, most of which have no shift.
_LEVEL, _TOLERANCE = 0.999, 0.3
_EPOCH = re.compile(r"(epoch|ep|step|ckpt|checkpoint|seed|run|trial)[_-]?\d+|(^|_)best(_|$)", re.I)
_MANY_NETWORKS = 3
_TRIAL = re.compile(
    r"^(epoch|trial|config\w*|architecture|backbone|network|lr|learning[_ ]rate|seed|run)$"
)
_JUDGED = re.compile(
    r"^(test|held[_ -]?out|outer|external)[_ -]?(set[_ -]|fold[_ -])?(auc|auroc|acc\w*|loss|f1)\b"
)


def check_networks(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R02 and R04."""
    sheet, rows = evidence.predictions, evidence.predicted
    if sheet is not None and not rows.empty:
        for name, part in by_network(rows):
            outside = part[part["role"] == "external"]
            if len(outside):
                yield from _external_weights(sheet, name, part, outside)
                yield from _uncombined(sheet, name, outside)
        yield from _shifts(evidence, sheet, rows)
        yield from _tuning_rows(sheet)
        yield from _candidates(evidence, sheet, rows)
    yield from _shift_tables(evidence)
    yield from _other_network(evidence)
    yield from _tuning_folds(evidence)
    yield from _configurations(evidence)
    for table in evidence.results:
        yield from _searched(table)


def _external_weights(
    sheet: Sheet, name: str, rows: pd.DataFrame, outside: pd.DataFrame
) -> Iterator[Finding]:
    unnamed = outside["hash"] == ""
    if unnamed.any():
        where = sheet.at("model_hash", sheet.frame.index.isin(outside[unnamed].index))
        text = f"{unnamed.sum()} external predictions do not say which weights made them."
        yield found("R02", "error", where, text, fix=_STATE)
        return
    own_fold = set(rows.loc[rows["role"] == "out_of_fold", "hash"]) & set(outside["hash"])
    varying = outside.groupby("cohort", dropna=False)["hash"].nunique()
    if varying.max() == 1 and distinct(outside["hash"]) > 1:
        text = f"Network {name} has other weights in each external cohort."
        yield found("R02", "warning", sheet.at("model_hash"), text, fix=_STATE)
    elif varying.max() > 1:
        text = (
            f"The external patients of network {name} were predicted by {varying.max()} different "
            "sets of weights, some by one and some by another."
        )
        yield found("R02", "error", sheet.at("model_hash"), text, fix=_STATE)
    elif own_fold and distinct(rows.loc[rows["role"] == "out_of_fold", "hash"]) > 1:
        text = (
            f"The external patients of network {name} were predicted by the network of a single "
            "fold; nothing says why by this one."
        )
        yield found("R02", "warning", sheet.at("model_hash"), text, fix=_STATE)
    elif outside["fold"].notna().any():
        text = "External predictions carry a fold: it is not clear which networks speak outside."
        yield found("R02", "warning", sheet.at("fold"), text, fix=_STATE)


def _uncombined(sheet: Sheet, name: str, outside: pd.DataFrame) -> Iterator[Finding]:
    if not sheet.has("image_id"):
        return
    again = outside.duplicated(["patient_id", "image_id"], keep=False)
    if again.any():
        yield found(
            "R02", "error", sheet.at("image_id", sheet.frame.index.isin(outside[again].index)),
            f"External images of network {name} have several rows each: the networks of the folds "
            "were not combined by a stated rule.",
            fix=_STATE,
        )  # fmt: skip


def _shifts(evidence: Evidence, sheet: Sheet, rows: pd.DataFrame) -> Iterator[Finding]:
    """The logit's distribution within outcome groups, at home and outside."""
    if any("shifted" in table.frame for table in evidence.results):
        return
    for name, part in by_network(rows):
        home = patient_scores(part[part["role"] == "out_of_fold"])
        outside = part[part["role"] == "external"]
        for cohort, there in outside.groupby("cohort", dropna=False):
            shifted = _shifted(home, patient_scores(there))
            if shifted:
                label = f" in cohort {cohort}" if isinstance(cohort, str) else " outside"
                yield found(
                    "R02", "warning", sheet.at("probability"),
                    f"The logit of network {name} is distributed otherwise{label}: {shifted}.",
                    fix=_RECALIBRATE,
                )  # fmt: skip


def _shifted(home: pd.DataFrame, away: pd.DataFrame) -> str:
    """What shifted, in words; patients with and without the event are compared apart, so that
    another prevalence is no shift."""
    known = home["event"].notna().all() and away["event"].notna().all()
    if len(home) == 0 or len(away) == 0:
        return ""
    levels = sorted(set(home["event"]) & set(away["event"])) if known else [None]
    kinds = [_shift(home, away, level) for level in levels]
    return next((text for text in kinds if text), "")


def _shift(home: pd.DataFrame, away: pd.DataFrame, level: float | None) -> str:
    pair = [
        special.expit((t if level is None else t[t["event"] == level])["score"].to_numpy())
        for t in (home, away)
    ]
    if min(p.size for p in pair) < 20:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShiftWarning)
        try:
            shift = logit_shift(*pair, tolerance=_TOLERANCE, conf_level=_LEVEL)
        except RiskError:
            return ""
    if not shift.shifted:
        return ""
    group = "" if level is None else f" among patients with{'' if level else 'out'} the event"
    return f"{shift.estimate:+.2f} SD, SD ratio {shift.sd_ratio:.2f}{group}"


def _shift_tables(evidence: Evidence) -> Iterator[Finding]:
    """The comparison a run has made itself."""
    for table in evidence.results:
        if not table.has("shifted"):
            continue
        for row in table.frame[table.words("shifted") == "true"].to_dict("records"):
            yield found(
                "R02", "warning", table.name,
                f"The logit of network {row.get('model', '')} is distributed otherwise in cohort "
                f"{row.get('group', '')}: {float(row['estimate']):+.2f} SD, SD ratio "
                f"{float(row.get('sd_ratio', np.nan)):.2f}.",
                fix=_RECALIBRATE,
            )  # fmt: skip


def _other_network(evidence: Evidence) -> Iterator[Finding]:
    """A nomogram fitted on one network's probability and fed with another's."""
    home = evidence.option("fusion", "network")
    others = evidence.option("fusion", "external", default={})
    for cohort, network in others.items() if hasattr(others, "items") else ():
        fed = any(
            table.cohort == cohort and table.model in {m.name for m in evidence.models if m.name}
            for table in evidence.of_scope("external")
        )
        if network != home:
            yield found(
                "R02", "warning" if fed else "note", "study.yaml, fusion.external",
                f"The models are fitted on the probability of network {home}; cohort {cohort} gets "
                f"that of network {network}.",
                fix="Say so in the paper, judge that network by itself, and do not carry the "
                "nomogram's coefficients over without `update_model`.",
            )  # fmt: skip


def _tuning_rows(sheet: Sheet) -> Iterator[Finding]:
    if not sheet.has("role"):
        return
    tuned = sheet.frame["role"].map(role_of) == "tuning"
    if tuned.any():
        yield found(
            "R04", "error", sheet.at("role", tuned),
            f"{tuned.sum()} predictions are for tuning patients, on whom the epoch was chosen.",
            fix=_NESTED,
        )  # fmt: skip


def _candidates(evidence: Evidence, sheet: Sheet, rows: pd.DataFrame) -> Iterator[Finding]:
    """Several networks judged on the same held-out patients, and the best of them used."""
    out = rows[rows["role"].isin(["out_of_fold", "held_out"])]
    names = [name for name in out["model"].unique() if name]
    epochs = [name for name in names if _EPOCH.search(name)]
    counted = "epoch" in sheet.frame and (
        sheet.frame.groupby(["patient_id", "image_id"])["epoch"].nunique().max() > 1
        if sheet.has("image_id")
        else False
    )
    if counted or (len(names) > 1 and epochs):
        text = (
            "Several epochs, seeds or checkpoints of one network predict the same held-out "
            "patients: nothing shows that the one reported was not chosen by its result there."
        )
        where = sheet.at("epoch" if counted else "model")
        yield found("R04", "error", where, text, fix=_NESTED)
    elif len(names) >= _MANY_NETWORKS:
        yield from _best_of(evidence, sheet, out, names)


def _best_of(
    evidence: Evidence, sheet: Sheet, out: pd.DataFrame, names: list[str]
) -> Iterator[Finding]:
    used = evidence.option("fusion", "network")
    areas = {
        name: s.auc
        for name in names
        if (s := strength(patient_scores(out[out["model"] == name]))) is not None
    }
    best = max(areas, key=lambda name: areas[name]) if areas else None
    spread = max(areas.values()) - min(areas.values()) if areas else np.nan
    if used is not None and best != used:
        return
    if used is None and len(names) <= _MANY_NETWORKS:
        return
    gap = f" (AUC {min(areas.values()):.3f} to {max(areas.values()):.3f})" if areas else ""
    chosen = f"the one used, {used}, is the best of them" if used else "one of them will be used"
    yield found(
        "R04", "warning" if len(names) > _MANY_NETWORKS else "note", sheet.at("model"),
        f"{len(names)} networks were judged on the same held-out patients{gap}, and {chosen}; "
        f"part of its lead{'' if np.isnan(spread) else f' of {spread:.3f}'} is luck.",
        fix=_NESTED,
    )  # fmt: skip


def _tuning_folds(evidence: Evidence) -> Iterator[Finding]:
    """Tuning patients of a fold are no held-out patients; nothing is logged on the latter."""
    for fold in evidence.folds:
        tuning, held_out = (fold.patients.get(part, frozenset()) for part in ("tuning", "held_out"))
        if tuning & held_out:
            text = (
                f"Fold {fold.fold} chose its epoch on {len(tuning & held_out)} of the "
                f"{len(held_out)} patients it holds out."
            )
            yield found("R04", "error", fold.where, text, fix=_NESTED)
        watched = sorted(k for k in fold.logged if re.match(r"(held_?out|test|outer)_", k))
        if watched:
            text = f"Training of fold {fold.fold} watched {', '.join(watched)} after every epoch."
            yield found("R04", "error", fold.where, text, fix=_NESTED)


def _configurations(evidence: Evidence) -> Iterator[Finding]:
    """Folders of one network under several configurations: so often was it tried."""
    tried: dict[str, set[str]] = {}
    for path in evidence.files:
        match = re.match(r"run/train/(.+)-([0-9a-f]{8})/predictions\.csv$", path)
        if match:
            tried.setdefault(match[1], set()).add(match[2])
    for network, ways in tried.items():
        if len(ways) >= _MANY_NETWORKS:
            yield found(
                "R04", "warning", f"run/train, network {network}",
                f"The network was trained and judged in {len(ways)} configurations on the same "
                "folds.",
                fix="Report how many were tried, or keep the configuration chosen beforehand. "
                + _NESTED,
            )  # fmt: skip


def _searched(table: ResultTable) -> Iterator[Finding]:
    """A list of trials with what each reached on held-out patients."""
    columns = [str(c).strip().lower() for c in table.frame.columns]
    judged = [c for c in columns if _JUDGED.match(c)]
    if judged and len(table.frame) >= _MANY_NETWORKS and any(_TRIAL.match(c) for c in columns):
        yield found(
            "R04", "error", table.name,
            f"{len(table.frame)} trials are listed with their {judged[0]}: the one that is used "
            "was, or could be, chosen on the patients it is judged on.",
            fix=_NESTED,
        )  # fmt: skip
