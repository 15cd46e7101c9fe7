"""The report's sentences: what was done, what was found, what it cannot tell."""

from reports.narrative.limits import author_section, limits_section, warnings_section
from reports.narrative.methods import methods_section
from reports.narrative.results import key_results, result_sections

__all__ = [
    "author_section",
    "key_results",
    "limits_section",
    "methods_section",
    "result_sections",
    "warnings_section",
]
