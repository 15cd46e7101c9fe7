"""The closed vocabulary of model terms and the columns each becomes.

Every kind of term here is also evaluated by the HTML calculator and reloaded from JSON; that is
why the set is closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from usstats.errors import DesignError
from usstats.splines import check_knot_count, check_knots, rcs_basis

Float = np.float64

KINDS = ("linear", "log", "logit", "rcs", "factor", "interaction")
TERM_KEYS = ("name", "type", "knots", "levels")


@dataclass(frozen=True, kw_only=True)
class Term:
    """One term of a model.

    Parameters
    ----------
    name : str
        Column of the table; for an interaction the two columns joined by " * ".
    type : {"linear", "log", "logit", "rcs", "factor", "interaction"}
        A linear term on a column of text, booleans or categories becomes a factor when the
        design learns its data.
    n_knots : int, optional
        How many of Harrell's knots a spline takes.
    knots : tuple of float, optional
        Where they are; set by the user, or learned from development data.
    levels : tuple of str, optional
        Levels of a factor, reference first; set by the user, or learned.
    parts : tuple of str
        The two columns of an interaction.
    """

    name: str
    type: str = "linear"
    n_knots: int | None = None
    knots: tuple[float, ...] | None = None
    levels: tuple[str, ...] | None = None
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.type not in KINDS:
            msg = f"A term's type is one of {', '.join(KINDS)}; `{self.name}` has {self.type!r}."
            raise DesignError(msg)
        if self.type == "rcs":
            _check_spline(self)
        elif self.n_knots is not None or self.knots is not None:
            msg = f"`{self.name}` is a {self.type} term; only an rcs term has knots."
            raise DesignError(msg)

    @property
    def label(self) -> str:
        """The term as a formula spells it."""
        if self.type in ("log", "logit"):
            return f"{self.type}({self.name})"
        return self.name

    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, as rms gives them."""
        if self.type == "rcs":
            return tuple(self.name + "'" * j for j in range(len(self.knots or ()) - 1))
        if self.type == "factor":
            return tuple(f"{self.name}={level}" for level in (self.levels or ())[1:])
        return (self.label,)

    def columns(self, values: NDArray[Any]) -> NDArray[Float]:
        """Columns of the design, (n, number of columns).

        `values` are floats, or for a factor the positions of the levels.
        """
        if self.type == "rcs":
            return rcs_basis(values, self.knots or ())
        if self.type == "factor":
            dummies = values[:, None] == np.arange(1, len(self.levels or ()))
            return np.asarray(dummies, dtype=float)
        return np.asarray(_TRANSFORMS[self.type](values), dtype=float)[:, None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what does not apply is left out."""
        row: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.n_knots is not None:
            row["n_knots"] = self.n_knots
        for key in ("knots", "levels", "parts"):
            if getattr(self, key):
                row[key] = list(getattr(self, key))
        return row


_TRANSFORMS = {"linear": np.asarray, "log": np.log, "logit": special.logit}


def _check_spline(term: Term) -> None:
    if term.knots is not None:
        check_knots(term.knots)
    elif term.n_knots is None:
        msg = f"`{term.name}`: an rcs term needs `knots`, a number from 3 to 7 or a list."
        raise DesignError(msg)
    else:
        check_knot_count(term.n_knots)


def interaction(first: str, second: str) -> Term:
    """The product of two columns' terms, named as in rms."""
    if first == second:
        msg = f"`{first}` cannot interact with itself; for a curve use rcs({first}, 3)."
        raise DesignError(msg)
    return Term(name=f"{first} * {second}", type="interaction", parts=(first, second))


def as_terms(terms: Sequence[Term | Mapping[str, Any]]) -> tuple[Term, ...]:
    """Terms from a list of `Term` or of dicts with name, type, knots and levels.

    Raises
    ------
    DesignError

    Examples
    --------
    >>> [t.label for t in as_terms([{"name": "age"}, {"name": "fsh", "type": "log"}])]
    ['age', 'log(fsh)']
    """
    if isinstance(terms, str | Mapping) or not isinstance(terms, Sequence) or not terms:
        msg = "`terms` must be a list of terms, for example [{'name': 'age', 'type': 'linear'}]."
        raise DesignError(msg)
    given = [_checked(term) for term in terms]
    names = [term.name if isinstance(term, Term) else str(term["name"]) for term in given]
    return tuple(term if isinstance(term, Term) else _from_mapping(term, names) for term in given)


def _checked(term: Term | Mapping[str, Any]) -> Term | Mapping[str, Any]:
    if isinstance(term, Term):
        return term
    if not isinstance(term, Mapping) or "name" not in term:
        msg = f"A term is a dict with `name` and `type`; got {term!r}."
        raise DesignError(msg)
    unknown = sorted(set(map(str, term)) - set(TERM_KEYS))
    if unknown:
        msg = f"Unknown keys in the term `{term['name']}`: {unknown}; known are {TERM_KEYS}."
        raise DesignError(msg)
    return term


def _from_mapping(term: Mapping[str, Any], names: list[str]) -> Term:
    kind = str(term.get("type", "linear"))
    if kind == "interaction":
        return interaction(*_pair(term["name"], names))
    knots, levels = term.get("knots"), term.get("levels")
    counted = isinstance(knots, int)
    return Term(
        name=str(term["name"]),
        type=kind,
        n_knots=knots if counted else None,
        knots=None if counted or knots is None else tuple(_numbers(term["name"], knots)),
        levels=None if levels is None else tuple(str(level) for level in levels),
    )


def _numbers(name: object, knots: Any) -> list[float]:
    try:
        return [float(knot) for knot in knots]
    except (TypeError, ValueError):
        msg = f"`{name}`: knots must be a number of knots or a list of numbers; got {knots!r}."
        raise DesignError(msg) from None


def _pair(name: Any, names: list[str]) -> tuple[str, str]:
    """The two columns of an interaction: a list of two, or "a:b" whose halves are terms."""
    if isinstance(name, Sequence) and not isinstance(name, str) and len(name) == 2:
        return str(name[0]), str(name[1])
    text = str(name)
    for first in names:
        for separator in (" * ", "*", ":"):
            second = text.removeprefix(first + separator)
            if second != text and second in names:
                return first, second
    msg = (
        f"The interaction {text!r} must join two of the listed terms, for example "
        "{'name': 'age:sex', 'type': 'interaction'}; the main effects have to be listed too."
    )
    raise DesignError(msg)
