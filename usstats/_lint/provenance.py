"""R01: where a network's probability comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.predicted import role_of
from usstats._lint.scores import Strength, by_network, patient_scores, strength
from usstats._lint.sheets import Sheet, distinct
from usstats._numbers import as_numbers

_OUT_OF_FOLD = (
    "Predict every development patient by a network that never saw the patient: "
    "`dl.crossval.cross_validate`, or `usstats run STUDY`; then `patient_probability`."
)
_PROVENANCE = (
    "Write the columns role (out_of_fold or external), fold and model_hash with every prediction."
)
#: Names under which a network's probability, or a radiomics signature, hides among covariates.
_LEARNED = re.compile(
    r"(^|[_ -])(dl|cnn|ai|deep|net|nn|resnet\w*|densenet\w*|efficientnet\w*|nasnet\w*|mobilenet\w*|"
    r"vgg\w*|vit|unet\w*|radiomics?|rad[_ -]?score|transformer|signature|model_?(score|prob\w*))"
    r"([_ -]|$)|"
    r"(prob|probability|_pred|prediction)$|^pred_",
    re.IGNORECASE,
)
_TOLERANCE = 1e-3
#: So many rows in one fold are a cohort, fewer an example.
_A_COHORT = 10


def check_provenance(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R01."""
    sheet = evidence.predictions
    if sheet is not None and not sheet.frame.empty:
        yield from _roles(sheet)
        yield from _absent(sheet)
        rows = evidence.predicted
        for name, part in by_network(rows):
            yield from _shared_networks(evidence, sheet, name, part)
            yield from _wrong_side(sheet, part)
            yield from _too_good(sheet, name, part)
        if not rows.empty:
            yield from _other_splits(evidence, sheet, rows)
    yield from _fused_roles(evidence)
    yield from _fused_values(evidence)
    yield from _unsourced_covariates(evidence)


def _roles(sheet: Sheet) -> Iterator[Finding]:
    if not sheet.has("role"):
        return
    roles = sheet.frame["role"].map(role_of)
    inside = roles == "in_sample"
    if inside.any():
        yield found(
            "R01", "error", sheet.at("role", inside),
            f"{inside.sum()} of {len(roles)} predictions are for the network's own training "
            "patients.",
            fix=_OUT_OF_FOLD,
        )  # fmt: skip
    unknown = ~roles.isin(["out_of_fold", "external", "in_sample", "tuning", "held_out"])
    if unknown.any():
        yield found(
            "R01", "error", sheet.at("role", unknown),
            f"{unknown.sum()} of {len(roles)} predictions do not say whether the network knew the "
            "patient.",
            fix=_PROVENANCE,
        )  # fmt: skip


def _absent(sheet: Sheet) -> Iterator[Finding]:
    """Columns, or cells of out-of-fold rows, without which nothing can be traced."""
    missing = [name for name in ("role", "fold", "model_hash") if not sheet.has(name)]
    if missing:
        yield found(
            "R01", "error", sheet.name,
            f"The predictions do not say where they come from: no column {', '.join(missing)}.",
            fix=_PROVENANCE,
        )  # fmt: skip
    if not sheet.has("role"):
        return
    out = sheet.frame["role"].map(role_of) == "out_of_fold"
    for name in ("fold", "model_hash"):
        bare = out & sheet.frame[name].isna() if sheet.has(name) else out & False
        if bare.any():
            yield found(
                "R01", "error", sheet.at(name, bare),
                f"{bare.sum()} out-of-fold predictions have no {name}.",
                fix=_PROVENANCE,
            )  # fmt: skip


def _shared_networks(
    evidence: Evidence, sheet: Sheet, name: str, rows: pd.DataFrame
) -> Iterator[Finding]:
    """One network for several folds has seen most of the patients it predicts."""
    out = rows[(rows["role"] == "out_of_fold") & rows["fold"].notna()]
    if out.empty:
        return
    traced = out[out["hash"] != ""]
    shared = traced.groupby("hash")["fold"].nunique()
    if (shared > 1).any():
        reused = sheet.frame.index.isin(traced[traced["hash"].isin(shared[shared > 1].index)].index)
        yield found(
            "R01", "error", sheet.at("model_hash", reused),
            f"{_named(name)} predicted {shared.max()} folds with the same weights, which were "
            "therefore trained on patients of all folds but one.",
            fix=_OUT_OF_FOLD,
        )  # fmt: skip
    elif distinct(out["fold"]) == 1 and len(out) >= _A_COHORT and _covers_everybody(evidence, out):
        yield found(
            "R01", "error", sheet.at("fold"),
            f"All {out['patient_id'].nunique()} development patients of {_named(name)} stand in "
            "one fold, so no other patients were left to train on.",
            fix=_OUT_OF_FOLD,
        )  # fmt: skip


def _covers_everybody(evidence: Evidence, out: pd.DataFrame) -> bool:
    """Whether the rows' patients are the whole development cohort, as far as it is known."""
    return out["patient_id"].nunique() >= 0.9 * len(evidence.patients_of("development"))


def _wrong_side(sheet: Sheet, rows: pd.DataFrame) -> Iterator[Finding]:
    known = rows[rows["side"].isin(["development", "external"])]
    for role, side, what in (
        ("external", "development", "development patients carry the role external: the networks "
         "that predict outside were trained on them"),
        ("out_of_fold", "external", "patients of an external cohort carry the role out_of_fold: "
         "they were among the patients the networks were trained on"),
    ):  # fmt: skip
        wrong = known[(known["role"] == role) & (known["side"] == side)]
        if len(wrong):
            yield found(
                "R01", "error", sheet.at("role", sheet.frame.index.isin(wrong.index)),
                f"{wrong['patient_id'].nunique()} {what}.",
                fix=_OUT_OF_FOLD,
            )  # fmt: skip


def _too_good(sheet: Sheet, name: str, rows: pd.DataFrame) -> Iterator[Finding]:
    """Out-of-fold only by name: near-perfect at home, ordinary outside."""
    home = strength(patient_scores(rows[rows["role"] == "out_of_fold"]))
    away = strength(patient_scores(rows[rows["role"] == "external"]))
    if home is None:
        return
    if away is None:
        suspicious, outside = home.auc > 0.995 and home.n >= 60, ""
    else:
        gap = home.auc - away.auc
        z = gap / max(np.hypot(home.auc_error, away.auc_error), 1e-9)
        perfect = home.auc > 0.985 and gap > 0.04 and z > 2.6
        steep = home.slope > 2.5 * max(away.slope, 0) and _apart(home, away) > 3.3 and gap > 0.05
        suspicious = perfect or (home.auc > 0.93 and gap > 0.12 and z > 3.3) or steep
        outside = f", but {away.auc:.3f} in the external cohort"
    if suspicious:
        yield found(
            "R01", "error" if home.auc > 0.985 else "warning", sheet.at("probability"),
            f"{_named(name)} separates development patients with an AUC of {home.auc:.3f}"
            f"{outside}: its values look as if they were predicted for its own training patients.",
            fix="Check that each fold's network was trained without the fold. " + _OUT_OF_FOLD,
        )  # fmt: skip


def _apart(home: Strength, away: Strength) -> float:
    """Difference of the slopes in standard errors; 0 where a slope does not exist."""
    error = float(np.hypot(home.slope_error, away.slope_error))
    return (home.slope - away.slope) / error if error > 0 else 0.0


def _other_splits(evidence: Evidence, sheet: Sheet, rows: pd.DataFrame) -> Iterator[Finding]:
    """The fold of a prediction is the fold of the split, and its weights are that fold's."""
    out = rows[(rows["role"] == "out_of_fold") & rows["fold"].notna()]
    for split in evidence.splits:
        own = out[out["model"] == split.network] if split.network else out
        expected = as_numbers(own["patient_id"].map(split.fold_of))
        other = expected.notna() & (expected != own["fold"])
        if other.any():
            yield found(
                "R01", "error", sheet.at("fold", sheet.frame.index.isin(own[other].index)),
                f"{own.loc[other, 'patient_id'].nunique()} patients are predicted in another fold "
                f"than {split.where} held them out in: that network was trained on them.",
                fix=_OUT_OF_FOLD,
            )  # fmt: skip
    yield from _other_weights(evidence, sheet, out)


def _other_weights(evidence: Evidence, sheet: Sheet, out: pd.DataFrame) -> Iterator[Finding]:
    trained = {(f.network, f.fold): f.model_hash for f in evidence.folds if f.model_hash}
    if not trained:
        return
    pairs = zip(out["model"], out["fold"].astype(int), strict=True)
    expected = pd.Series([trained.get(pair, "") for pair in pairs], index=out.index, dtype=object)
    short = [not h or not w or w.startswith(h) for h, w in zip(out["hash"], expected, strict=True)]
    other = ~pd.Series(short, index=out.index)
    if other.any():
        yield found(
            "R01", "error", sheet.at("model_hash", sheet.frame.index.isin(out[other].index)),
            f"{other.sum()} out-of-fold predictions were not made by the weights of their fold "
            "that lie in the run folder.",
            fix=_OUT_OF_FOLD,
        )  # fmt: skip


def _fused_roles(evidence: Evidence) -> Iterator[Finding]:
    for sheet in evidence.fused:
        if not sheet.has("role"):
            continue
        inside = sheet.frame["role"].map(role_of) == "in_sample"
        if inside.any():
            yield found(
                "R01", "error", sheet.at("role", inside),
                f"{inside.sum()} patients enter the models with the network's value for its own "
                "training patients.",
                fix=_OUT_OF_FOLD,
            )  # fmt: skip


def _fused_values(evidence: Evidence) -> Iterator[Finding]:
    """The probability of a patient that enters the models is the mean of the images' own."""
    rows = evidence.predicted
    if rows.empty:
        return
    network = str(evidence.option("fusion", "network", default=""))
    chosen = rows[(rows["model"] == network) | (network == "")]
    out = chosen[chosen["role"] == "out_of_fold"]
    candidates = [s for s in (*evidence.fused, evidence.patients) if s is not None]
    for sheet in candidates:
        if sheet.has("patient_id", "dl_prob") and distinct(out["model"]) == 1:
            yield from _other_values(evidence, sheet, out)


def _other_values(evidence: Evidence, sheet: Sheet, out: pd.DataFrame) -> Iterator[Finding]:
    value = as_numbers(sheet.frame["dl_prob"])
    patients = sheet.frame["patient_id"].astype(str)
    low, high = (out.groupby("patient_id")["p"].agg(how) for how in ("min", "max"))
    outside = (value < patients.map(low) - _TOLERANCE) | (value > patients.map(high) + _TOLERANCE)
    if outside.any():
        yield found(
            "R01", "error", sheet.at("dl_prob", outside),
            f"{outside.sum()} patients have a network probability outside the range of their own "
            "out-of-fold predictions: it comes from somewhere else.",
            fix="Fuse again: `patient_probability(predictions)` or `usstats run STUDY`.",
        )  # fmt: skip


def _unsourced_covariates(evidence: Evidence) -> Iterator[Finding]:
    """A network's value typed into the patients table has no fold and no hash."""
    sheet = evidence.patients
    if sheet is None:
        return
    for name in evidence.used_variables:
        if name not in sheet.frame or not _LEARNED.search(name) or _traced(evidence, name):
            continue
        values = as_numbers(sheet.frame[name])
        if values.nunique() > 10:
            yield found(
                "R01", "error", sheet.at(name),
                f"The models use `{name}`, a learned value that stands among the covariates "
                "without fold or model hash.",
                fix="Move it to predictions.csv with role, fold and model_hash of every row.",
            )  # fmt: skip


def _traced(evidence: Evidence, name: str) -> bool:
    return name == "dl_prob" and evidence.predictions is not None


def _named(network: str) -> str:
    return f"Network {network}" if network else "The network"
