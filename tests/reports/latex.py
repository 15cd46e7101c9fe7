"""A reader of the LaTeX our tables use, written apart from what writes it."""

from __future__ import annotations

import re
import unicodedata

#: What a command stands for; those without an entry print their argument.
PRINTED = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textquotedbl": '"',
    "textperiodcentered": "·",
}
MATHS = {
    "-": "−",
    "'": "′",
    r"\times": "×",
    r"\pm": "±",
    r"\leq": "≤",
    r"\geq": "≥",
    r"\infty": "∞",
    r"\approx": "≈",
    r"\neq": "≠",
    r"\rightarrow": "→",
}
UNPRINTED = ("phantom", "hspace")
RAISED = str.maketrans(
    "0123456789-abcdefghijklmnoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
)
TOKEN = re.compile(
    r"\\(?P<command>[A-Za-z]+)(?:\{(?P<argument>[^{}]*)\})?"
    r"|\\(?P<escaped>[&%$#_{}])"
    r"|(?P<tie>~)|(?P<nothing>\{\})|(?P<dashes>--)|(?P<plain>.)",
    re.S,
)


def latex_cells(text: str) -> list[str]:
    """The printed text of every cell of a table, the headers first."""
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0]
    rows = body.replace("\\midrule\n\\endhead\n", "").removesuffix(" \\\\\n").split(" \\\\\n")
    return [printed(cell) for row in rows for cell in split_cells(row)]


def split_cells(row: str) -> list[str]:
    """Cells between the ampersands that are not escaped."""
    return re.split(r" (?<!\\)& ", row)


def printed(cell: str) -> str:
    """What a reader of the page sees."""
    return "".join(_printed(found) for found in TOKEN.finditer(cell))


def _printed(found: re.Match[str]) -> str:
    command, argument = found["command"], found["argument"] or ""
    if command is None:
        if found["dashes"]:
            return "–"
        if found["tie"]:
            return "\N{NO-BREAK SPACE}"
        return found["escaped"] or found["plain"] or ""
    if command in UNPRINTED:
        return ""
    if command == "ensuremath":
        return MATHS.get(argument) or greek(argument.removeprefix("\\"))
    if command == "textsuperscript":
        return argument.translate(RAISED)
    return PRINTED.get(command, "") + argument


def greek(name: str) -> str:
    """The letter of a command such as `alpha`, by its Unicode name."""
    case = "SMALL" if name.islower() else "CAPITAL"
    return unicodedata.lookup(f"GREEK {case} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}")
