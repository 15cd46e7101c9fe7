"""A formula string is a short spelling of terms: read by a small grammar, never evaluated.

formula  = name "~" sum
sum      = product { "+" product }
product  = factor { "*" factor }        a*b is a + b + a:b
factor   = atom { ":" atom }
atom     = name | ("log" | "logit" | "C") "(" name ")" | "rcs" "(" name "," knots ")"
knots    = integer | "knots" "=" "[" number { "," number } "]"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NoReturn

from usstats.errors import DesignError
from usstats.terms import Term, interaction

LONGEST_FORMULA = 4000
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.]*)"
    r"|(?P<sign>[~+*:(),=\[\]])|(?P<end>$))"
)
_FUNCTIONS = {"log": "log", "logit": "logit", "C": "factor", "rcs": "rcs"}
_GRAMMAR = "Terms are x, log(x), logit(x), rcs(x, 3 to 7), rcs(x, knots=[...]), C(x), a:b and a*b."


def parse_formula(formula: str) -> tuple[str, tuple[Term, ...]]:
    """Read a formula into the outcome's name and its terms, main effects first.

    Parameters
    ----------
    formula : str
        For example "noa ~ logit(dl_prob) + rcs(fsh, 3) + log(volume) + edv". A name holds
        letters, digits, dots and underscores; columns with other names are given as terms.

    Returns
    -------
    outcome : str
    terms : tuple of Term

    Raises
    ------
    DesignError
        Anything outside the grammar; the message shows where.

    Examples
    --------
    >>> outcome, terms = parse_formula("noa ~ logit(p) + rcs(fsh, 3) + age*sex")
    >>> outcome, [term.label for term in terms]
    ('noa', ['logit(p)', 'fsh', 'age', 'sex', 'age * sex'])
    """
    return _Parser(formula).formula()


class _Parser:
    """One pass over the tokens of one formula."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or len(text) > LONGEST_FORMULA:
            msg = f"A formula is a text of at most {LONGEST_FORMULA} characters."
            raise DesignError(msg)
        self.text = text
        self.tokens = list(self._read())
        self.position = 0
        self.spelled_out: list[Term] = []

    def _read(self) -> Iterator[tuple[str, str, int]]:
        at = 0
        while True:
            match = _TOKEN.match(self.text, at)
            if match is None:
                self._refuse("is not part of the grammar", self._skip_blank(at))
            kind = str(match.lastgroup)
            yield kind, match.group(kind), match.start(kind)
            if kind == "end":
                return
            at = match.end()

    def _skip_blank(self, at: int) -> int:
        return at + len(self.text[at:]) - len(self.text[at:].lstrip())

    def _refuse(self, reason: str, at: int | None = None) -> NoReturn:
        start = self.tokens[self.position][2] if at is None else at
        found = self.text[start : start + 20] or "the end"
        msg = f"The formula cannot be read at character {start + 1}: {found!r} {reason}. {_GRAMMAR}"
        raise DesignError(msg)

    def _peek(self) -> str:
        return self.tokens[self.position][1]

    def _take(self, kind: str, wanted: str) -> str:
        if self.tokens[self.position][0] != kind:
            self._refuse(f"stands where {wanted} should")
        self.position += 1
        return self.tokens[self.position - 1][1]

    def _sign(self, sign: str) -> None:
        if self._peek() != sign:
            self._refuse(f"stands where {sign!r} should")
        self.position += 1

    def formula(self) -> tuple[str, tuple[Term, ...]]:
        outcome = self._take("name", "the outcome's name")
        self._sign("~")
        terms = self._product()
        while self._peek() == "+":
            self._sign("+")
            terms += self._product()
        if self.tokens[self.position][0] != "end":
            self._refuse("is not part of the grammar")
        return outcome, ordered_terms(terms, self.spelled_out)

    def _product(self) -> list[Term]:
        start = self.position
        factors = [self._factor()]
        while self._peek() == "*":
            self._sign("*")
            factors.append(self._factor())
        if len(factors) == 1:
            return factors[0]
        if len(factors) > 2 or any(len(factor) > 1 for factor in factors):
            self.position = start
            self._refuse("multiplies more than two terms; only two can interact")
        first, second = factors[0][0], factors[1][0]
        return [first, second, interaction(first.name, second.name)]

    def _factor(self) -> list[Term]:
        start = self.position
        atoms = [self._atom()]
        while self._peek() == ":":
            self._sign(":")
            atoms.append(self._atom())
        if len(atoms) == 1:
            return atoms
        if len(atoms) > 2:
            self.position = start
            self._refuse("joins more than two terms; only two can interact")
        self.spelled_out += [atom for atom in atoms if atom.type != "linear"]
        return [interaction(atoms[0].name, atoms[1].name)]

    def _atom(self) -> Term:
        start = self.position
        name = self._take("name", "a column or a function of one")
        if self._peek() != "(":
            return Term(name=name)
        if name not in _FUNCTIONS:
            self.position = start
            self._refuse(f"calls {name}(), which does not exist here")
        self._sign("(")
        column = self._take("name", "a column's name")
        term = self._spline(column) if name == "rcs" else Term(name=column, type=_FUNCTIONS[name])
        self._sign(")")
        return term

    def _spline(self, column: str) -> Term:
        self._sign(",")
        if self._peek() != "knots":
            number = self._take("number", "a number of knots")
            if not number.isdigit():
                self.position -= 1
                self._refuse("is not a whole number of knots")
            return Term(name=column, type="rcs", n_knots=int(number))
        self._take("name", "knots")
        self._sign("=")
        self._sign("[")
        knots = [float(self._take("number", "a knot"))]
        while self._peek() == ",":
            self._sign(",")
            knots.append(float(self._take("number", "a knot")))
        self._sign("]")
        return Term(name=column, type="rcs", knots=tuple(knots))


def ordered_terms(terms: Sequence[Term], inside: Sequence[Term] = ()) -> tuple[Term, ...]:
    """Main effects first, then interactions; a term named twice counts once.

    `inside` holds what interactions spelled out: it must be what the main effects are.

    Raises
    ------
    DesignError
        One column in two different main effects, or an interaction without its main effects.
    """
    distinct = list(dict.fromkeys(terms))
    mains = [term for term in distinct if term.type != "interaction"]
    products = [term for term in distinct if term.type == "interaction"]
    _one_form_each([*mains, *(term for term in inside if term.name in {m.name for m in mains})])
    names = [term.name for term in mains]
    for product in products:
        absent = [part for part in product.parts if part not in names]
        if absent:
            msg = (
                f"The interaction {product.name!r} needs the main effect of {absent}: write "
                f"{'*'.join(product.parts)}."
            )
            raise DesignError(msg)
    return (*mains, *_once(products))


def _one_form_each(mains: list[Term]) -> None:
    """Refuse a column that enters as two different main effects."""
    seen: dict[str, Term] = {}
    for term in mains:
        if seen.setdefault(term.name, term) != term:
            msg = (
                f"`{term.name}` enters twice, as {seen[term.name].type} and as {term.type}. "
                "Keep one; a curve is rcs(x, 3)."
            )
            raise DesignError(msg)


def _once(products: list[Term]) -> list[Term]:
    """a:b and b:a are the same interaction."""
    return list({frozenset(term.parts): term for term in reversed(products)}.values())[::-1]
