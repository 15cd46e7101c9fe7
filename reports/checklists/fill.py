"""A guideline and a run become a filled checklist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from reports.checklists.answers_data import DATA
from reports.checklists.answers_model import MODEL
from reports.checklists.answers_results import RESULTS
from reports.checklists.facts import Answer, Facts
from reports.checklists.items import Guideline, Item
from reports.text import Paragraph

__all__ = ["ANSWERS", "STATES", "Entry", "fill", "state_counts"]

REPORTED = "reported"
PARTLY = "partly reported"
AUTHOR = "author to state"
NOT_APPLICABLE = "not applicable"
STATES = (REPORTED, PARTLY, AUTHOR, NOT_APPLICABLE)
NOTHING_KNOWN = "The run holds nothing about this"

#: Everything a run can say, by the name a guideline's item asks for it.
ANSWERS: Mapping[str, Callable[[Facts], Answer | None]] = MappingProxyType(
    {**DATA, **MODEL, **RESULTS}
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One item of a checklist with what the run says to it."""

    item: Item
    answer: Answer | None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.answer is None:
            return AUTHOR
        if not self.answer.applies:
            return NOT_APPLICABLE
        return PARTLY if self.item.author else REPORTED

    @property
    def text(self) -> str:
        """The answer, then what is left to the author."""
        said = self.answer.text if self.answer else Paragraph(())
        if self.state in (REPORTED, NOT_APPLICABLE):
            return said.text
        left = self.item.author or NOTHING_KNOWN
        return f"{said.text} Author to state: {left}.".strip()

    @property
    def where(self) -> tuple[str, ...]:
        """Pointers to what the answer is read from."""
        return self.answer.where if self.answer else ()


def fill(guideline: Guideline, facts: Facts) -> list[Entry]:
    """Every item in the guideline's order, answered as far as the run can.

    Parameters
    ----------
    guideline : Guideline
    facts : Facts
    """
    return list(_entries(guideline, facts))


def _entries(guideline: Guideline, facts: Facts) -> Iterator[Entry]:
    for item in guideline.items:
        answer = ANSWERS[item.answer](facts) if item.answer else None
        yield Entry(item=item, answer=answer)


def state_counts(entries: list[Entry]) -> dict[str, int]:
    """How many items are in each state."""
    states = [entry.state for entry in entries]
    return {state: states.count(state) for state in STATES}
