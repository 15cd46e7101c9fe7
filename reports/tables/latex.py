r"""Tables as LaTeX: booktabs rules, every character escaped, headers on each page.

The text is a fragment for `\input`; its first lines are the preamble it needs. There is no
`siunitx`: a cell such as `0.91 (0.86-0.95)` is text, aligned at its mark by invisible digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.markup import italic_runs
from reports.tables.table import LANDSCAPE_CHARACTERS, PORTRAIT_CHARACTERS, Table

__all__ = ["escaped", "latex_text"]

PREAMBLE = (
    r"% Preamble: \usepackage[T1]{fontenc} \usepackage{array,booktabs,longtable,pdflscape}",
    "% For A4 with margins of 25 mm; letters beyond Latin and Greek need XeLaTeX or LuaLaTeX.",
)
_LONGEST_LINE = 40
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": r"\ensuremath{-}",
    "–": "--",
    "—": "---",
    "·": r"\textperiodcentered{}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "∞": r"\ensuremath{\infty}",
    "≈": r"\ensuremath{\approx}",
    "≠": r"\ensuremath{\neq}",
    "→": r"\ensuremath{\rightarrow}",
    "′": r"\ensuremath{'}",
    "\N{NO-BREAK SPACE}": "~",
}
_LETTERS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", _LETTERS.split(), strict=True))
_RAISED = dict(
    zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", "0123456789-abcdefghijklmnoprstuvwxyz", strict=True)
)
_ESCAPES = str.maketrans(
    _SPECIAL
    | {letter: rf"\ensuremath{{\{name}}}" for letter, name in _GREEK.items()}
    | {mark: rf"\textsuperscript{{{plain}}}" for mark, plain in _RAISED.items()}
)


def escaped(text: str) -> str:
    r"""Text that LaTeX prints as it stands.

    Examples
    --------
    >>> escaped("38/252 (15.1%) & <.001")
    '38/252 (15.1\\%) \\& \\textless{}.001'
    >>> escaped("[a]"), escaped("--")
    ('{}[a]', '-{}-')
    """
    apart = text.replace("--", "-\N{WORD JOINER}-").replace("--", "-\N{WORD JOINER}-")
    safe = apart.translate(_ESCAPES).replace("\N{WORD JOINER}", "{}")
    return f"{{}}{safe}" if safe.startswith(("[", "*")) else safe


def latex_text(table: Table) -> str:
    r"""One table as a fragment for `\input`.

    Numbers align at their decimal mark by invisible zeros, so that a cell stays one cell.

    Parameters
    ----------
    table : Table

    Examples
    --------
    >>> table = Table(id="t", title="AUC", columns=("Model", "AUC"), rows=(("Nomogram", "0.91"),))
    >>> print(latex_text(table))
    % Preamble: \usepackage[T1]{fontenc} \usepackage{array,booktabs,longtable,pdflscape}
    % For A4 with margins of 25 mm; letters beyond Latin and Greek need XeLaTeX or LuaLaTeX.
    \begingroup\footnotesize\setlength{\tabcolsep}{3pt}
    \begin{longtable}{@{}ll@{}}
    \caption{AUC}\label{tab:t}\\
    \toprule
    Model & AUC \\
    \midrule
    \endhead
    Nomogram & 0.91 \\
    \bottomrule
    \end{longtable}
    \endgroup
    <BLANKLINE>
    """
    return "\n".join([*PREAMBLE, *_lines(table), ""])


def _lines(table: Table) -> Iterator[str]:
    if table.is_wide:
        yield r"\begin{landscape}"
    yield r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}"
    yield rf"\begin{{longtable}}{{@{{}}{_column_types(table)}@{{}}}}"
    yield rf"\caption{{{_text(table.title, table.italics)}}}\label{{tab:{_label(table.id)}}}\\"
    yield r"\toprule"
    yield f"{' & '.join(_text(header, table.italics) for header in table.columns)} \\\\"
    yield r"\midrule"
    yield r"\endhead"
    for cells, indent in zip(table.rows, table.indent, strict=True):
        yield f"{' & '.join(_cells(table, cells, indent))} \\\\"
    yield r"\bottomrule"
    yield r"\end{longtable}"
    for text in table.lines_below:
        yield rf"\par\noindent {_text(text, table.italics)}"
    yield r"\endgroup"
    if table.is_wide:
        yield r"\end{landscape}"


def _text(text: str, italics: Sequence[str]) -> str:
    parts = italic_runs(text, italics)
    return "".join(rf"\textit{{{escaped(p)}}}" if is_i else escaped(p) for p, is_i in parts)


def _cells(table: Table, cells: tuple[str, ...], indent: int) -> Iterator[str]:
    for position, text in enumerate(cells):
        before = rf"\hspace{{{indent}em}}" if position == 0 and indent else ""
        if table.align[position] == "decimal" and text:
            missing = table.whole_widths[position] - len(table.whole_part(text))
            before += rf"\phantom{{{'0' * missing}}}" if missing else ""
        yield before + escaped(text)


def _column_types(table: Table) -> str:
    """Natural widths where they fit, shares of the line where texts must break."""
    room = LANDSCAPE_CHARACTERS if table.is_wide else PORTRAIT_CHARACTERS
    texts = [row[i] for row in table.rows for i, a in enumerate(table.align) if a == "left"]
    too_long = max((len(text) for text in texts), default=0) > _LONGEST_LINE
    if sum(table.column_widths) <= room and not too_long:
        return "".join("c" if align == "center" else "l" for align in table.align)
    widths = table.fitted_widths(room)
    shares = (width / max(sum(widths), room) for width in widths)
    return "".join(
        rf">{{\raggedright\arraybackslash}}p{{\dimexpr{share:.3f}\linewidth-2\tabcolsep\relax}}"
        for share in shares
    )


def _label(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-:") else "-" for c in name)
