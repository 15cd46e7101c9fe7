"""R22 and R23: reader studies and subgroups."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from usstats._lint.evidence import Evidence
from usstats._lint.finding import Finding, found
from usstats._lint.sheets import ResultTable, Sheet, distinct
from usstats._numbers import as_numbers

_DESIGN = (
    "assistance_effect(data, ..., order='session', washout=28): counterbalanced order, washout "
    "of weeks, and both stated."
)
_RANDOM = "reader_study(data, ..., readers='random', cases='random'), every reader by itself"
_INTERACTION = "assistance_effect(data, ..., experience='experience').interaction, with interval"
_SHORT_WASHOUT = 14
#: Fewer cases can be in any order by chance.
_A_LIST = 20
_RANK = re.compile(r"expert|junior|senior|resident|novice|trainee|specialist|beginner")
_POOLED = re.compile(
    r"^(mean|average|averaged|avg|consensus|majority|pooled|all|panel|readers|"
    r"experts?|juniors?|seniors?|radiologists?)$"
)
_AIDED = re.compile(
    r"(^|[^n])aided|assist|with[_ ]?(ai|dl|network|cad|model)|(^|_)(ai|cad)$|\+\s*ai", re.I
)
_UNAIDED = re.compile(r"unaided|alone|without|unassisted|no[_ ]?(ai|cad)", re.I)


def check_readers(evidence: Evidence) -> Iterator[Finding]:
    """Findings of R22 and R23."""
    sheet = evidence.readings
    if sheet is not None and sheet.has("reader", "condition") and not sheet.frame.empty:
        yield from _averaged(sheet)
        yield from _crossing(sheet)
        yield from _order(sheet)
        yield from _washout(sheet)
        yield from _sorted_cases(evidence, sheet)
    for table in evidence.results:
        yield from _fixed_readers(table)
        yield from _assistance(table)
        yield from _pooled_readings(evidence, table)
        yield from _group_p_values(evidence, table)
    yield from _separate_studies(evidence)
    yield from _no_subgroup_test(evidence)


def _averaged(sheet: Sheet) -> Iterator[Finding]:
    readers = sheet.frame["reader"].dropna().astype(str).str.strip().str.lower()
    pooled = readers.map(lambda r: _POOLED.match(r) is not None)
    if pooled.any() or distinct(readers) == 1:
        what = (
            "A reader is a group or an average of several"
            if pooled.any()
            else "There is a single reader"
        )
        yield found(
            "R22", "error", sheet.at("reader", None),
            f"{what}: nothing can be said about readers in general.",
            fix="Keep one row a reader, case and condition. " + _RANDOM,
        )  # fmt: skip


def _crossing(sheet: Sheet) -> Iterator[Finding]:
    frame = sheet.frame
    if not sheet.has("case"):
        return
    again = frame.duplicated(["reader", "case", "condition"], keep=False)
    if again.any():
        text = f"{again.sum()} rows repeat a reader, case and condition."
        yield found("R22", "error", sheet.at("case", again), text, fix="Keep one reading each.")
    conditions = frame.groupby("reader")["condition"].nunique()
    if (conditions < frame["condition"].nunique()).any():
        lone = int((conditions < frame["condition"].nunique()).sum())
        text = f"{lone} readers read in one condition only: readers and condition are confounded."
        yield found("R22", "error", sheet.at("condition"), text, fix=_DESIGN)
        return
    cells = frame.drop_duplicates(["reader", "case", "condition"])
    full = frame["reader"].nunique() * frame["case"].nunique() * frame["condition"].nunique()
    if len(cells) < full:
        yield found(
            "R22", "warning", sheet.name,
            f"{full - len(cells)} of {full} readings are missing: the study is not fully crossed.",
            fix="Say why, and analyse with reader_study(), which takes the readings there are.",
        )  # fmt: skip


def _pairs(sheet: Sheet) -> tuple[str, str] | None:
    """The conditions (unaided, aided) by their names."""
    names = [str(c) for c in sheet.frame["condition"].dropna().unique()]
    if len(names) != 2:
        return None
    without = [n for n in names if _UNAIDED.search(n)]
    with_aid = [n for n in names if n not in without and _AIDED.search(n)]
    if len(without) == 1 and len(with_aid) == 1:
        return without[0], with_aid[0]
    other = [n for n in names if n not in (*without, *with_aid)]
    if len(other) == 1 and (without or with_aid):
        return (without[0], other[0]) if without else (other[0], with_aid[0])
    return None


def _order(sheet: Sheet) -> Iterator[Finding]:
    """Whether the aided reading always came second, or nobody knows."""
    pair = _pairs(sheet)
    if pair is None or not sheet.has("case"):
        return
    columns = [c for c in ("session", "period", "visit", "date") if sheet.has(c)]
    columns += ["order"] if sheet.has("order") else []
    usable = next((c for c in columns if sheet.frame[c].notna().all()), None)
    if usable is None:
        text = "The order of reading is not recorded."
        yield found("R22", "warning", sheet.name, text, fix="Write session and order. " + _DESIGN)
        return
    first = _aided_first(sheet.frame, pair, columns)
    if first is None or first.empty:
        return
    share = float(first.mean())
    if share in (0.0, 1.0):
        which = "aided" if share == 0 else "unaided"
        yield found(
            "R22", "error", sheet.at(usable),
            f"The {which} reading always came second: its effect cannot be told from that of a "
            "second look.",
            fix=_DESIGN,
        )  # fmt: skip
    elif not 0.25 <= share <= 0.75:
        yield found(
            "R22", "warning", sheet.at(usable),
            f"The aided reading came first in {share:.0%} of the pairs: the order is not balanced.",
            fix=_DESIGN,
        )  # fmt: skip


def _aided_first(
    frame: pd.DataFrame, pair: tuple[str, str], columns: list[str]
) -> pd.Series[bool] | None:
    once = frame.drop_duplicates(["reader", "case", "condition"])
    sides = [once[once["condition"].astype(str) == c].set_index(["reader", "case"]) for c in pair]
    both = sides[0].index.intersection(sides[1].index)
    for name in columns:
        before, after = (side.loc[both, name] for side in sides)
        try:
            differ = before != after
            if differ.mean() > 0.5:
                return pd.Series(after[differ] < before[differ])
        except TypeError:
            continue
    return None


def _sorted_cases(evidence: Evidence, sheet: Sheet) -> Iterator[Finding]:
    """Cases read in the order of their truth, or by everybody in one and the same order."""
    if not sheet.has("case", "order"):
        return
    truth = sheet.frame["case"].astype(str).map(evidence.cases["event"].to_dict())
    rows = sheet.frame.assign(order=as_numbers(sheet.frame["order"]), truth=truth)
    lists = [part for _, part in rows.groupby(["reader", "condition"]) if len(part) >= _A_LIST]
    told = [part for part in lists if _ranks(part) in (0.0, 1.0)]
    if told:
        yield found(
            "R22", "error", sheet.at("order"),
            f"In {len(told)} of {len(lists)} reading lists all cases of one outcome come before "
            "those of the other: the place in the list tells the answer.",
            fix="Draw the order of the cases at random, anew for every reader and session.",
        )  # fmt: skip
    sequences = {tuple(part.sort_values("order")["case"].astype(str)) for part in lists}
    if len(lists) > 2 and len(sequences) == 1:
        yield found(
            "R22", "warning", sheet.at("order"),
            f"All {len(lists)} reading lists have the cases in one and the same order: fatigue and "
            "memory of the first reading fall on the same cases.",
            fix="Draw the order of the cases at random, anew for every reader and session.",
        )  # fmt: skip


def _ranks(part: pd.DataFrame) -> float:
    """Share of pairs of an event and a non-event in which the event was read later."""
    known = part.dropna(subset=["order", "truth"])
    later, sooner = (known.loc[known["truth"] == y, "order"].to_numpy() for y in (1, 0))
    if min(len(later), len(sooner)) < _A_LIST // 4:
        return np.nan
    return float((later[:, None] > sooner[None, :]).mean())


def _washout(sheet: Sheet) -> Iterator[Finding]:
    if not sheet.has("washout"):
        return
    days = as_numbers(sheet.frame["washout"])
    short = days < _SHORT_WASHOUT
    if days.isna().all() or short.any():
        what = "is empty" if days.isna().all() else f"is as short as {days.min():.0f} days"
        yield found(
            "R22", "error" if days.isna().all() or days.min() < 1 else "warning",
            sheet.at("washout", short), f"The washout between the two readings {what}.",
            fix="Wait four weeks, as usual, and shuffle the cases. " + _DESIGN,
        )  # fmt: skip


def _fixed_readers(table: ResultTable) -> Iterator[Finding]:
    study = getattr(table.source, "study", table.source)
    readers, cases = (str(getattr(study, name, "")) for name in ("readers", "cases"))
    methods = set(table.words("method")) | {str(table.facts.get("method", "")).lower()}
    fixed = readers == "fixed" or any("fixed readers" in m for m in methods)
    fixed_cases = cases == "fixed" or any("fixed cases" in m for m in methods)
    if fixed or fixed_cases:
        what = " and ".join(w for w, f in (("readers", fixed), ("cases", fixed_cases)) if f)
        yield found(
            "R22", "warning", table.name,
            f"The {what} are treated as fixed: the result speaks for these {what} only.",
            fix=_RANDOM,
        )  # fmt: skip
    n_reader = table.fact("n_reader")
    if n_reader == 1 and ("reader" in table.frame or table.kind == "ReaderStudy"):
        text = "The reader study has a single reader."
        yield found("R22", "error", table.name, text, fix=_RANDOM)


def _assistance(table: ResultTable) -> Iterator[Finding]:
    order = getattr(table.source, "order", None)
    if table.kind != "AssistanceEffect" or order is None:
        return
    if getattr(order, "confounded", False):
        text = "The aided reading always came second, without a washout."
        yield found("R22", "error", table.name, text, fix=_DESIGN)
    elif order.sequences == "one":
        text = "All pairs were read in one order; only the washout stands against memory."
        yield found("R22", "warning", table.name, text, fix=_DESIGN)
    elif order.sequences == "unknown":
        text = f"The order of reading is not recorded ({order.summary()})."
        yield found("R22", "warning", table.name, text, fix=_DESIGN)
    elif not order.washout:
        text = "The order is balanced, but no washout is given."
        yield found("R22", "warning", table.name, text, fix=_DESIGN)


def _pooled_readings(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    """An AUC over all readings counts every case as often as there are readers."""
    sheet = evidence.readings
    if sheet is None or not sheet.has("reader", "case") or table.printed:
        return
    cases, readers = sheet.frame["case"].nunique(), sheet.frame["reader"].nunique()
    counts = {cases * readers, len(sheet.frame)} - {cases}
    n = table.fact("n")
    if readers > 1 and n in counts and not np.isfinite(table.fact("n_cluster")):
        yield found(
            "R22", "error", table.name,
            f"The result counts {n:.0f} readings of {cases} cases by {readers} readers as "
            "independent cases.",
            fix=_RANDOM,
        )  # fmt: skip


def _interacts(evidence: Evidence) -> bool:
    """Some result is the difference between groups."""
    words = (" ".join([t.name, *t.measures, *t.words("term")]) for t in evidence.results)
    return any("interaction" in text.lower() for text in words)


def _group_p_values(evidence: Evidence, table: ResultTable) -> Iterator[Finding]:
    """p values of one effect in several groups, and none of their difference."""
    if table.kind == "AssistanceEffect":
        source = table.source
        if len(source.by_experience) > 1 and not len(source.interaction):
            text = "The effect of the aid is tested in each group, and not between them."
            yield found("R23", "error", table.name, text, fix=_INTERACTION)
        return
    column = next((c for c in ("experience", "subgroup", "group") if table.has(c)), None)
    column = column or _readers_by_rank(table)
    if column is None or table.has("variable") or table.has("contrast") or table.printed:
        return
    if _interacts(evidence) or "shifted" in table.frame:
        return
    tested = table.frame[table.numbers("p_value").notna()]
    effect = table.words("measure").loc[tested.index].str.contains("diff|effect|change|aided|delta")
    effect |= any(re.search(r"change|gain|delta|differ", str(c).lower()) for c in table.frame)
    effect |= "condition" in table.frame or "model_1" in table.frame or "reader" in table.name
    groups = tested.loc[effect, column].dropna().astype(str)
    if distinct(groups[~groups.str.lower().isin(["overall", "all", ""])]) > 1:
        yield found(
            "R23", "error", table.name,
            f"The same effect has a p value in each {column}, and there is no test of the "
            "difference between them.",
            fix=_INTERACTION,
        )  # fmt: skip


def _readers_by_rank(table: ResultTable) -> str | None:
    """The column that tells experts from beginners, whatever it is called."""
    for column in table.frame.columns[:2]:
        words = table.words(str(column))
        if len(words) > 1 and words.str.contains(_RANK).all():
            return str(column)
    return None


def _separate_studies(evidence: Evidence) -> Iterator[Finding]:
    """Two reader studies of the same cases, one a group of readers."""
    studies = [t for t in evidence.results if t.kind in ("ReaderStudy", "AssistanceEffect")]
    groups: dict[float, list[ResultTable]] = {}
    for table in studies:
        groups.setdefault(table.fact("n"), []).append(table)
    for tables in groups.values():
        names = [frozenset(t.words("reader")) - {"", "none"} for t in tables]
        apart = len(names) > 1 and not any(
            a & b for i, a in enumerate(names) for b in names[i + 1 :]
        )
        if apart and all(names):
            yield found(
                "R23", "error", " and ".join(t.name for t in tables),
                f"{len(tables)} groups of readers of the same cases were analysed apart, each with "
                "its own p value.",
                fix=_INTERACTION,
            )  # fmt: skip


def _no_subgroup_test(evidence: Evidence) -> Iterator[Finding]:
    """Result files of experts and of juniors, and none of their difference."""
    words = re.compile(r"(expert|junior|senior|resident|novice)s?", re.I)
    named = [t for t in evidence.results if words.search(t.name) and not t.printed]
    tested = [t for t in named if t.numbers("p_value").notna().any()]
    groups = {m.group(1).lower() for t in tested if (m := words.search(t.name))}
    if len(groups) > 1 and not _interacts(evidence):
        yield found(
            "R23", "error", ", ".join(t.name for t in tested[:2]),
            f"{' and '.join(sorted(groups))} are analysed apart, each with its own p value.",
            fix=_INTERACTION,
        )  # fmt: skip
