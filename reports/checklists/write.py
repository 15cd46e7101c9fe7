"""Filled checklists as Word and CSV files with identical cells."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from reports.checklists.facts import Facts
from reports.checklists.fill import Entry, fill
from reports.checklists.items import GUIDELINES, Guideline, load_guideline
from reports.checklists.pointers import Pointer, follow, parse_pointers
from reports.checklists.sections import FOLDER
from reports.checklists.word import checklist_docx
from reports.files import atomic_write_bytes
from reports.report import ReportContent, ReportFigure
from reports.tables import Table, write_table
from usstats.errors import SchemaError, UsstatsWarning

__all__ = ["LostPointerWarning", "checklist_table", "lost_pointers", "write_checklists"]

COLUMNS = ("Item", "Section", "Topic", "Asked for", "Status", "Answer", "Where")
WHERE = COLUMNS[-1]
#: Of the width of a Word page.
SHARES = (0.05, 0.11, 0.11, 0.19, 0.09, 0.25, 0.2)


class LostPointerWarning(UsstatsWarning):
    """A checklist points to something this run does not have."""


def write_checklists(facts: Facts, content: ReportContent, report: Path) -> list[Path]:
    """Write every checklist into the folder `checklists` of a report.

    Parameters
    ----------
    facts : Facts
    content : ReportContent
        What the report shows, for the numbers of its tables and figures.
    report : Path
        Folder of the report, all other files of which are written.

    Warns
    -----
    LostPointerWarning
        A pointer that leads nowhere; it is left out.
    """
    labels = exhibit_labels(content)
    paths = []
    for name in GUIDELINES:
        guideline = load_guideline(name)
        entries = fill(guideline, facts)
        where = [_resolved(entry, labels, report, facts.study.root) for entry in entries]
        table = checklist_table(guideline, entries, where, title=content.title)
        folder = report / FOLDER
        word = checklist_docx(table, shares=SHARES)
        paths.append(atomic_write_bytes(folder / f"{name}.docx", word))
        paths.append(write_table(table, folder, formats=("csv",))["csv"])
    return paths


def exhibit_labels(content: ReportContent) -> dict[str, str]:
    """File of each table and figure -> its number in the report."""
    blocks = [block for section in content.sections for block in section.blocks]
    tables = {f"tables/{b.id}.csv": b.label for b in blocks if isinstance(b, Table)}
    figures = {f"figures/{b.id}.pdf": b.label for b in blocks if isinstance(b, ReportFigure)}
    headings = {f"report.html#{part.id}": part.heading for part in content.sections}
    return {**tables, **figures, **headings}


def _resolved(
    entry: Entry, labels: Mapping[str, str], report: Path, root: Path
) -> tuple[Pointer, ...]:
    found = []
    for target in entry.where:
        try:
            follow(target, report=report, root=root)
        except SchemaError as error:
            warnings.warn(str(error), LostPointerWarning, stacklevel=2)
        else:
            found.append(Pointer(target, labels.get(target, "")))
    return tuple(found)


def checklist_table(
    guideline: Guideline,
    entries: list[Entry],
    where: list[tuple[Pointer, ...]],
    *,
    title: str = "",
) -> Table:
    """One row an item: what is asked for, what the run says, and where.

    Parameters
    ----------
    guideline : Guideline
    entries : list of Entry
    where : list of tuple of Pointer
        Of each entry.
    title : str
        Of the study.
    """
    rows = tuple(
        (
            entry.item.item,
            entry.item.section,
            entry.item.topic,
            entry.item.asks,
            entry.state,
            entry.text,
            "; ".join(map(str, pointers)),
        )
        for entry, pointers in zip(entries, where, strict=True)
    )
    return Table(
        id=guideline.id,
        title=f"{guideline.name}: {title}" if title else guideline.name,
        columns=COLUMNS,
        rows=rows,
        align=("left",) * len(COLUMNS),
        notes=(
            f"{guideline.title}. {guideline.source}; doi:{guideline.doi}.",
            "Topics in our own words; the published checklist is the one to submit. Where: files "
            "are relative to the report's folder, run/ and study.yaml to the study's folder.",
        ),
    )


def lost_pointers(report: Path, root: Path) -> list[str]:
    """Follow every pointer of the checklists written; one line for each that leads nowhere.

    Parameters
    ----------
    report : Path
        Folder of the report.
    root : Path
        The study folder.
    """
    return list(_lost(report, root))


def _lost(report: Path, root: Path) -> Iterator[str]:
    for path in sorted((report / FOLDER).glob("*.csv")):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for item, cell in zip(table["Item"], table[WHERE], strict=True):
            for target in parse_pointers(cell):
                try:
                    follow(target, report=report, root=root)
                except SchemaError as error:
                    yield f"{FOLDER}/{path.name}, item {item}: {error}"
