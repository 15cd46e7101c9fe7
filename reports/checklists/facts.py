"""What an answer may be made of: the study file, the results of its run, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from reports.checklists.pointers import row_pointer
from reports.evidence import Evidence
from reports.narrative.words import external_model, said
from reports.pipeline import cohort_file
from reports.study import Study
from reports.text import Paragraph, Value, paragraph

__all__ = ["Answer", "Facts", "found", "not_applicable"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the run says to an item, and where it says it."""

    text: Paragraph
    where: tuple[str, ...] = ()
    applies: bool = True


def found(template: str, /, *where: str, **values: Value) -> Answer:
    """An answer in words; every number in it is a value with its address."""
    return Answer(text=paragraph(template, **values), where=where)


def not_applicable(reason: str, /, **values: Value) -> Answer:
    """The item does not arise in this study, and why."""
    return Answer(text=paragraph(reason, **values), applies=False)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A study, its results, and short names for what is often asked of them."""

    study: Study
    evidence: Evidence

    @property
    def name(self) -> str:
        """The nomogram's name."""
        return self.study.config.nomogram.name

    @cached_property
    def cohorts(self) -> tuple[str, ...]:
        """Development first, then the external ones."""
        cohorts = self.study.config.cohorts
        return (*cohorts.development, *cohorts.external)

    @property
    def external(self) -> list[str]:
        """The external cohorts."""
        return list(self.study.config.cohorts.external)

    @property
    def splits(self) -> list[str]:
        """What the results by subgroup tell apart: centre, age, ..."""
        found = self.evidence.table("examine/groups")["by"].unique()
        return [str(by) for by in found if by != "all patients"]

    def said(self, path: str, text: object) -> Value:
        """Words of the study file."""
        return said(self.study, path, text)

    def names(self, path: str, names: list[str] | tuple[str, ...]) -> Value:
        """Several names of the study file in one value."""
        return self.said(path, ", ".join(names))

    def has(self, table: str) -> bool:
        """Whether the run wrote a result."""
        return self.evidence.has(table)

    def rows(self, table: str, **where: object) -> str:
        """Pointer to a row of a result."""
        return row_pointer(table, **where)

    def external_result(self, cohort: str) -> str:
        """The evaluation of an external cohort."""
        model = external_model(self.study, self.evidence, cohort)
        return f"external/{cohort_file(cohort)}_{model}"


def section(heading: str) -> str:
    """Pointer to a section of the report.

    >>> section("limits")
    'report.html#limits'
    """
    return f"report.html#{heading}"


def table(name: str) -> str:
    """Pointer to a table of the report."""
    return f"tables/{name}.csv"


def figure(name: str) -> str:
    """Pointer to a figure of the report."""
    return f"figures/{name}.pdf"


def key(path: str) -> str:
    """Pointer to a key of the study file."""
    return f"study.yaml#{path}"
