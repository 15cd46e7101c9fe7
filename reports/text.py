"""Sentences whose numbers can be traced: every digit in the text comes from a named result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reports.files import clean_text
from usstats.errors import ArgumentError

__all__ = ["Link", "Paragraph", "Value", "author_note", "joined", "paragraph", "plural"]

_SLOT = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_PATH = re.compile(r"[A-Za-z0-9_.\-]+(?:/[A-Za-z0-9_.\-]+)*/?")


@dataclass(frozen=True)
class Value:
    """A piece of text that stands for a result.

    Attributes
    ----------
    result : str
        Where it comes from, for example `validate.auc.corrected`; the page keeps it as
        `data-result`.
    text : str
        How it is printed.
    """

    result: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean_text(str(self.text)))
        if not self.result or not self.text:
            msg = f"A value needs the name of its result and a text; got {self!r}."
            raise ArgumentError(msg)


@dataclass(frozen=True)
class Link:
    """A file beside the report, by its path from there.

    Raises
    ------
    ArgumentError
        A path that leaves the report's folder, or an address of the network.
    """

    path: str

    def __post_init__(self) -> None:
        parts = self.path.rstrip("/").split("/")
        if not _PATH.fullmatch(self.path) or not all(part.strip(".") for part in parts):
            msg = f"`path` must lead to a file beside the report; got {self.path!r}."
            raise ArgumentError(msg)

    @property
    def text(self) -> str:
        """How it is printed."""
        return self.path


@dataclass(frozen=True)
class Paragraph:
    """Plain text, values and links in the order they are read.

    Attributes
    ----------
    parts : tuple of str, Value or Link
    for_author : bool
        Whether it asks the author for what no run can know; shown as a thing still to be done.
    """

    parts: tuple[str | Value | Link, ...]
    for_author: bool = False

    @property
    def text(self) -> str:
        """The paragraph as plain text."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def __add__(self, other: Paragraph) -> Paragraph:
        return Paragraph((*self.parts, " ", *other.parts), self.for_author or other.for_author)


def author_note(text: str) -> Paragraph:
    """What the author must still say, marked as such.

    >>> author_note("who outlined the images.").text
    'Author to state: who outlined the images.'
    """
    return Paragraph((f"Author to state: {text}",), for_author=True)


def paragraph(template: str, /, **values: Value | Link) -> Paragraph:
    """Fill a sentence with values; a digit that is not part of a value is refused.

    Parameters
    ----------
    template : str
        Text with slots such as `{auc}`.
    **values : Value or Link
        One for each slot.

    Raises
    ------
    ArgumentError
        A digit in the template, a slot without a value, a value without a slot.

    Examples
    --------
    >>> paragraph("The AUC was {auc}.", auc=Value("validate.auc", "0.84")).text
    'The AUC was 0.84.'
    >>> paragraph("The AUC was 0.84.")
    Traceback (most recent call last):
    ...
    usstats.errors.ArgumentError: The text 'The AUC was 0.84.' holds a number of its own; ...
    """
    slots = _SLOT.split(template)
    texts, names = slots[::2], slots[1::2]
    if any(character.isdigit() for text in texts for character in text):
        msg = f"The text {template!r} holds a number of its own; pass it as a Value of its result."
        raise ArgumentError(msg)
    if set(names) != set(values):
        unmatched = ", ".join(sorted(set(names) ^ set(values)))
        msg = f"Slots and values of {template!r} do not match: {unmatched}."
        raise ArgumentError(msg)
    parts: list[str | Value | Link] = [texts[0]]
    for name, text in zip(names, texts[1:], strict=True):
        parts += [values[name], text]
    return Paragraph(tuple(part for part in parts if part))


def plural(count: int, one: str, many: str | None = None) -> str:
    """The noun that goes with a count.

    >>> plural(1, "patient"), plural(2, "patient"), plural(0, "biopsy", "biopsies")
    ('patient', 'patients', 'biopsies')
    """
    return one if count == 1 else many or f"{one}s"


def joined(parts: Sequence[str]) -> str:
    """Parts of a sentence in one list.

    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
