"""Which part of a text is a symbol in italics: the P of a p value, never a letter of a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["italic_runs"]

_BEFORE_VALUE = r"(?=\s+value|\s?[=<>])"


def italic_runs(text: str, symbols: Sequence[str] = ()) -> Iterator[tuple[str, bool]]:
    """The parts of a text in order, each with whether it is set in italics.

    Parameters
    ----------
    text : str
    symbols : sequence of str
        For example `("p",)`; a symbol counts before `value` or a relation, and after `Adjusted`.

    Examples
    --------
    >>> list(italic_runs("p value", ["p"]))
    [('p', True), (' value', False)]
    >>> list(italic_runs("P<.001 in group P", ["P"]))
    [('P', True), ('<.001 in group P', False)]
    >>> list(italic_runs("plain"))
    [('plain', False)]
    """
    start = 0
    if symbols:
        names = "|".join(re.escape(symbol) for symbol in symbols)
        pattern = rf"(?<!\w)(?:{names}){_BEFORE_VALUE}|(?<=Adjusted )(?:{names})$"
        for found in re.finditer(pattern, text):
            if found.start() > start:
                yield text[start : found.start()], False
            yield found.group(), True
            start = found.end()
    if start < len(text) or not text:
        yield text[start:], False
