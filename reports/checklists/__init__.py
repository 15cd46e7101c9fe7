"""Reporting checklists filled from a run's own artefacts, and the five items most often missed."""

from reports.checklists.facts import Facts
from reports.checklists.fill import Entry, fill
from reports.checklists.items import GUIDELINES, Guideline, load_guideline
from reports.checklists.sections import reporting_sections
from reports.checklists.tables import reporting_tables
from reports.checklists.write import lost_pointers, write_checklists

__all__ = [
    "GUIDELINES",
    "Entry",
    "Facts",
    "Guideline",
    "fill",
    "load_guideline",
    "lost_pointers",
    "reporting_sections",
    "reporting_tables",
    "write_checklists",
]
