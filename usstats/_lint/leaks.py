"""R03: patients and pictures on both sides of a split, under one name or two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import pandas as pd

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.sheets import Sheet, distinct
from usstats.leakage import ACROSS_COHORTS, ACROSS_FOLDS, CONFLICT, audit_leakage

_SPLIT = (
    "Split by patient: `make_folds(y, cluster=patient_id)`; give shared pictures to "
    "`keep_together=audit_leakage(images, hashes=...).pairs`, train again."
)
_SIDES = re.compile(
    r"[\s_.\-]*(l|r|left|right|lt|rt|od|os|li|re|a|b)$",
    re.IGNORECASE,
)
#: A column that names, for each image, the first one that shows the same picture.
LOOKALIKE = "lookalike"
#: Stricter than the audit by itself: whole ultrasound images resemble each other.
_NEAR_BITS = 2
#: So many equal measured values by chance would be a wonder.
_MANY_EQUAL = 4


def check_leaks(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R03."""
    yield from _patients_table(evidence)
    yield from _predicted_twice(evidence)
    yield from _split_tables(evidence)
    yield from _pictures(evidence)
    yield from _spellings(evidence)
    yield from _twins(evidence)
    yield from _sides_of_the_body(evidence)
    yield from _trained_on(evidence)
    yield from _audits(evidence)


def loose_id(text: str) -> str:
    """An identifier without what people type differently: case, width, spaces, leading zeros.

    >>> loose_id("P-007 ") == loose_id("p7"), loose_id("1-1") == loose_id("11")
    (True, False)
    """
    plain = unicodedata.normalize("NFKC", text).casefold().strip()
    plain = re.sub(r"[\s_.\-/]+", "-", plain)
    plain = re.sub(r"(?<=[^\W\d])-(?=\d)|(?<=\d)-(?=[^\W\d])", "", plain)
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


def _patients_table(evidence: Evidence) -> Iterator[Finding]:
    sheet = evidence.patients
    if sheet is None or not sheet.has("patient_id", "cohort"):
        return
    cohorts = sheet.frame.groupby("patient_id")["cohort"].nunique()
    twice = sheet.frame["patient_id"].map(cohorts) > 1
    if twice.any():
        yield found(
            "R03", "error", sheet.at("cohort", twice),
            f"{(cohorts > 1).sum()} patients stand in more than one cohort.",
            fix="Keep each patient in one cohort; leave the others' rows and images out.",
        )  # fmt: skip


def _predicted_twice(evidence: Evidence) -> Iterator[Finding]:
    sheet, rows = evidence.predictions, evidence.predicted
    if sheet is None or rows.empty:
        return
    out = rows[rows["role"].isin(["out_of_fold", "held_out"])]
    folds = out.groupby(["model", "patient_id"])["fold"].nunique()
    roles = rows[rows["role"].isin(["out_of_fold", "external"])]
    both = roles.groupby(["model", "patient_id"])["role"].nunique()
    for counts, column, what in (
        (folds, "fold", "are held out in more than one fold, so a network was trained on some of "
         "their images"),
        (both, "role", "are predicted both as development and as external patients"),
    ):  # fmt: skip
        names = {patient for _, patient in counts[counts > 1].index}
        if names:
            hit = sheet.frame["patient_id"].astype(str).isin(names)
            text = f"{len(names)} patients {what}."
            yield found("R03", "error", sheet.at(column, hit), text, fix=_SPLIT)


def _split_tables(evidence: Evidence) -> Iterator[Finding]:
    """A patient whose images stand in two folds or cohorts, or in another than himself."""
    for split in evidence.splits:
        if split.torn:
            text = f"{split.torn} patients stand in more than one fold."
            yield found("R03", "error", split.where, text, fix=_SPLIT)
    sheet = evidence.images
    if sheet is None or not sheet.has("patient_id"):
        return
    for column in ("fold", "split", "set", "subset", "partition", "cohort"):
        if not sheet.has(column):
            continue
        sides = sheet.frame.groupby("patient_id")[column].nunique()
        if (sides > 1).any():
            hit = sheet.frame["patient_id"].map(sides) > 1
            text = f"The images of {(sides > 1).sum()} patients stand on two sides of a split."
            yield found("R03", "error", sheet.at(column, hit), text, fix=_SPLIT)
    if sheet.has("cohort") and not evidence.cases.empty:
        own = sheet.frame["patient_id"].map(evidence.cases["cohort"])
        other = own.notna() & sheet.frame["cohort"].notna() & (own != sheet.frame["cohort"])
        if other.any():
            text = f"{other.sum()} images stand in another cohort than their patient."
            yield found("R03", "error", sheet.at("cohort", other), text, fix=_SPLIT)


def _pictures(evidence: Evidence) -> Iterator[Finding]:
    """One picture, or nearly one, under two patients on two sides."""
    sheet = evidence.images
    if sheet is None or not sheet.has("image_id", "patient_id"):
        return
    frame = sheet.frame.reset_index(drop=True)
    table = frame.assign(
        patient_id=frame["patient_id"].astype(str),
        image_id=frame["image_id"].astype(str),
        fold=frame["patient_id"].astype(str).map(_fold_by_patient(evidence)),
    )
    if not evidence.cases.empty:
        table["cohort"] = table["patient_id"].map(evidence.cases["cohort"])
        excluded = table["cohort"].isna() & table["fold"].isna()
        table = table[~excluded].reset_index(drop=True)
    audits = [_shared_pictures(table, content) for content in (*_contents(table), None)]
    shared = [leaks for leaks in audits if len(leaks)]
    if not shared:
        return
    seen = pd.concat(shared)
    for kind, rows in seen.drop_duplicates(["image_1", "image_2"]).groupby("kind", sort=False):
        images = set(rows["image_1"]) | set(rows["image_2"])
        sides = rows["side_1"].notna() & rows["side_2"].notna()
        yield found(
            "R03", "error" if sides.any() else "warning",
            sheet.at("image_id", frame["image_id"].astype(str).isin(images)),
            f"{len(rows)} pairs of patients share a picture ({kind})"
            f"{' on two sides of a split' if sides.any() else ''}.",
            fix=_SPLIT,
        )  # fmt: skip


def _shared_pictures(table: pd.DataFrame, content: list[Any] | None) -> pd.DataFrame:
    """Pairs of patients with one picture, by what identifies a file, or by its appearance."""
    audit = audit_leakage(
        table.drop(columns=["label", "sha256"], errors="ignore"),
        digests=content,
        hashes=_hashes(table) if content is None else None,
        max_distance=_NEAR_BITS,
    )
    return audit.leaks[~audit.leaks["kind"].isin([ACROSS_FOLDS, ACROSS_COHORTS, CONFLICT])]


def _contents(table: pd.DataFrame) -> Iterator[list[Any]]:
    """What identifies a file: its hash in any column that holds one, and its path."""
    for column in ("picture", LOOKALIKE, "sha256", "digest", "md5", "file_hash", "path"):
        if column in table and table[column].notna().any():
            cells = [None if pd.isna(v) else str(v) for v in table[column]]
            yield cells if column == "path" else [v and v.strip().lower() for v in cells]


def _hashes(table: pd.DataFrame) -> list[int] | None:
    for column in ("phash", "hash", "perceptual_hash", "dhash", "ahash"):
        if column not in table or table[column].isna().any():
            continue
        try:
            return [v if isinstance(v, int) else int(str(v), 16) for v in table[column].tolist()]
        except ValueError:
            continue
    return None


def _fold_by_patient(evidence: Evidence) -> dict[str, object]:
    rows = evidence.predicted
    folds: dict[str, object] = {}
    for split in evidence.splits:
        folds |= split.fold_of
    if not rows.empty:
        out = rows[(rows["role"] == "out_of_fold") & rows["fold"].notna()]
        folds |= dict(zip(out["patient_id"], out["fold"], strict=True))
    return folds


def _sides(evidence: Evidence) -> dict[str, tuple[object, object]]:
    """Cohort and fold of every patient."""
    folds = _fold_by_patient(evidence)
    cohorts = {str(k): v for k, v in evidence.cases["cohort"].items()}
    return {p: (cohorts.get(p), folds.get(p)) for p in {*folds, *cohorts}}


def _apart(sides: dict[str, tuple[object, object]], one: str, two: str) -> bool:
    """The two stand in different cohorts or folds."""
    pairs = zip(sides.get(one, (None, None)), sides.get(two, (None, None)), strict=True)
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _identifiers(evidence: Evidence) -> Iterator[tuple[Sheet, pd.Series[str]]]:
    for sheet in (evidence.patients, evidence.predictions, evidence.images):
        if sheet is not None and sheet.has("patient_id"):
            yield sheet, sheet.frame["patient_id"].dropna().astype(str)


def _spellings(evidence: Evidence) -> Iterator[Finding]:
    """Identifiers that differ by case, spaces or leading zeros only."""
    for sheet, names in _identifiers(evidence):
        distinct = pd.Series(names.unique())
        if distinct.map(lambda n: n.strip().isdigit()).all():
            continue
        loose = distinct.map(loose_id)
        near = set(distinct[loose.duplicated(keep=False)])
        if near:
            hit = sheet.frame["patient_id"].astype(str).isin(near)
            yield found(
                "R03", "error", sheet.at("patient_id", hit),
                f"{len(near)} patient identifiers differ only by case, spaces or zeros from "
                "another: one patient may stand on two sides under two names.",
                fix="Write each patient's identifier in one way, then split again.",
            )  # fmt: skip
            return


def _twins(evidence: Evidence) -> Iterator[Finding]:
    """Two patients with the same measured values are one patient under two names (or a copy)."""
    sheet = evidence.patients
    if sheet is None or not sheet.has("patient_id"):
        return
    measured = _measured(sheet.frame)
    if measured.shape[1] < _MANY_EQUAL:
        return
    full = measured[measured.notna().sum(axis=1) >= _MANY_EQUAL]
    keys = full.round(9).apply(tuple, axis=1).map(str)
    copies = full.index[keys.duplicated(keep=False)]
    names = sheet.frame.loc[copies, "patient_id"].astype(str)
    groups = [g.tolist() for _, g in names.groupby(keys.loc[copies]) if len(set(g)) > 1]
    if not groups:
        return
    sides = _sides(evidence)
    across = [g for g in groups if any(_apart(sides, g[0], other) for other in g[1:])]
    hit = sheet.frame.index.isin(copies)
    events = evidence.cases["event"].reindex([n for g in groups for n in g])
    if len(groups) >= 5 and distinct(events) == 1 and events.notna().all():
        yield found(
            "R19", "error", sheet.at("patient_id", hit),
            f"{len(groups)} groups of patients with one and the same outcome share every measured "
            "value: as after oversampling the rarer class.",
            fix="Keep each patient once. If the outcome is rare, say so and leave it rare.",
        )  # fmt: skip
    yield found(
        "R03", "error" if across else "warning", sheet.at("patient_id", hit),
        f"{len(groups)} groups of patients share every measured value under different "
        f"identifiers{', on two sides of a split' if across else ''}.",
        fix="Find out whether they are one patient, and keep one identifier. " + _SPLIT,
    )  # fmt: skip


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns on a scale fine enough that equal values mean something."""
    numbers = frame.select_dtypes("number").drop(
        columns=["dl_prob", "n_images", "fold", "event"], errors="ignore"
    )
    return numbers.loc[:, numbers.nunique() >= 8]


def _sides_of_the_body(evidence: Evidence) -> Iterator[Finding]:
    """P01_L and P01_R are one patient."""
    sides = _sides(evidence)
    stems: dict[str, list[str]] = {}
    for name in sides:
        match = _SIDES.search(name)
        if match and match.start() > 0 and not name[match.start() - 1 : match.start()].isalpha():
            stems.setdefault(name[: match.start()], []).append(name)
    paired = {stem: names for stem, names in stems.items() if len(names) == 2}
    across = [names for names in paired.values() if _apart(sides, *names)]
    sheet = evidence.patients or evidence.predictions
    if len(paired) < 3 or not across or sheet is None:
        return
    hit = sheet.frame["patient_id"].astype(str).isin({n for names in across for n in names})
    yield found(
        "R03", "error", sheet.at("patient_id", hit),
        f"{len(across)} pairs of identifiers differ only by the side (left, right) and stand on "
        "two sides of a split: they are the two organs of one patient.",
        fix="Give both sides one patient_id, then split again.",
    )  # fmt: skip


def _trained_on(evidence: Evidence) -> Iterator[Finding]:
    """The training folder's own lists: nobody is trained on and held out."""
    for fold in evidence.folds:
        train, held_out = (fold.patients.get(p, frozenset()) for p in ("train", "held_out"))
        if train & held_out:
            yield found(
                "R03", "error", fold.where,
                f"Fold {fold.fold} was trained on {len(train & held_out)} of the {len(held_out)} "
                "patients it holds out.",
                fix=_SPLIT,
            )  # fmt: skip


def _audits(evidence: Evidence) -> Iterator[Finding]:
    for table in evidence.results:
        leaks = getattr(table.source, "leaks", None)
        if table.kind == "LeakageAudit" and leaks is not None and len(leaks):
            kinds = ", ".join(f"{n} x {kind}" for kind, n in leaks["kind"].value_counts().items())
            yield found("R03", "error", table.name, f"The audit found {kinds}.", fix=_SPLIT)
