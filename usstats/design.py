"""Designs: what a model's terms learned from development data, frozen, and applied elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._fits.columns import (
    check_complete,
    check_describes,
    check_present,
    is_label_column,
    level_codes,
    observed_levels,
    read_numbers,
    rows_in_words,
)
from usstats._fits.variables import VariableRange, describe_variable
from usstats.errors import DesignError
from usstats.formula import ordered_terms, parse_formula
from usstats.splines import harrell_knots, rcs_basis
from usstats.terms import Term, as_terms

__all__ = [
    "INTERCEPT",
    "DesignSpec",
    "Term",
    "harrell_knots",
    "learn_design",
    "parse_formula",
    "rcs_basis",
    "read_model",
]

Float = np.float64
Matrix = NDArray[Float]

INTERCEPT = "Intercept"


def read_model(
    formula: str | None,
    outcome: str | None,
    terms: Sequence[Term | Mapping[str, Any]] | None,
) -> tuple[str, tuple[Term, ...]]:
    """Outcome and terms from a formula, or from `outcome` and `terms` where names need it.

    Raises
    ------
    DesignError
    """
    if formula is not None and outcome is None and terms is None:
        name, parsed = parse_formula(formula)
    elif formula is None and outcome is not None and terms is not None:
        name, parsed = str(outcome), ordered_terms(as_terms(terms))
    else:
        msg = "Give either a formula, or both `outcome` and `terms`."
        raise DesignError(msg)
    if name in {term.name for term in parsed}:
        msg = f"`{name}` is the outcome and cannot be a predictor too."
        raise DesignError(msg)
    return name, parsed


@dataclass(frozen=True, kw_only=True)
class DesignSpec:
    """A design matrix's recipe with everything it learned: knots, levels, ranges, means.

    Parameters
    ----------
    outcome : str
        Name of the outcome column.
    terms : tuple of Term
        Main effects in the order they were written, then interactions; knots and levels filled.
    ranges : mapping of str to VariableRange
        Per variable, where the model was developed.
    """

    outcome: str
    terms: tuple[Term, ...]
    ranges: Mapping[str, VariableRange]

    @property
    def variables(self) -> tuple[str, ...]:
        """Raw columns a prediction needs."""
        return tuple(self.mains)

    @cached_property
    def mains(self) -> dict[str, Term]:
        """Main effects by variable."""
        return {term.name: term for term in self.terms if term.type != "interaction"}

    @cached_property
    def blocks(self) -> dict[str, tuple[int, ...]]:
        """Positions of each term's columns, by the term's name."""
        blocks, start = {}, 1
        for term in self.terms:
            width = len(self._names_of(term))
            blocks[term.name] = tuple(range(start, start + width))
            start += width
        return blocks

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns as in rms, the intercept first."""
        return (INTERCEPT, *(name for term in self.terms for name in self._names_of(term)))

    def _names_of(self, term: Term) -> tuple[str, ...]:
        if term.type != "interaction":
            return term.column_names()
        first, second = (self.mains[part].column_names() for part in term.parts)
        return tuple(f"{a} * {b}" for b in second for a in first)

    def matrix(self, data: pd.DataFrame) -> Matrix:
        """The design of new rows, intercept first.

        Parameters
        ----------
        data : DataFrame
            Holds every one of `variables`; other columns are ignored.

        Returns
        -------
        ndarray, shape (n, k)

        Raises
        ------
        DesignError
            A missing column, an unseen level, text or infinity where numbers belong, a value
            outside the domain of log or logit; rows, and patients where named, are in the message.
        MissingDataError
            Missing values, counted per column.
        """
        return self.assemble(self.encode(data), len(data))

    def encode(self, data: pd.DataFrame) -> dict[str, NDArray[Float]]:
        """Checked values per variable: numbers, or positions of levels."""
        check_present(data, self.variables)
        check_complete(data, self.variables)
        return {name: _encoded(term, data) for name, term in self.mains.items()}

    def assemble(self, values: Mapping[str, NDArray[Float]], n: int) -> Matrix:
        """Columns of the design from encoded values."""
        X = np.ones((n, len(self.column_names)))
        for term in self.terms:
            X[:, self.blocks[term.name]] = self.term_columns(term, values)
        return X

    def term_columns(self, term: Term, values: Mapping[str, NDArray[Float]]) -> Matrix:
        """Columns of one term; products run over the first part fastest."""
        if term.type != "interaction":
            return term.columns(values[term.name])
        first, second = (self.mains[part].columns(values[part]) for part in term.parts)
        return np.asarray((first[:, None, :] * second[:, :, None]).reshape(len(first), -1))

    def outside_range(self, data: pd.DataFrame) -> pd.DataFrame:
        """Per row and numeric variable, whether the value lies outside development data."""
        values = self.encode(data)
        outside = {
            name: (values[name] < known.minimum) | (values[name] > known.maximum)
            for name, known in self.ranges.items()
            if known.minimum is not None and known.maximum is not None
        }
        return pd.DataFrame(outside, index=data.index)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "outcome": self.outcome,
            "terms": [term.to_dict() for term in self.terms],
            "ranges": {name: known.to_dict() for name, known in self.ranges.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DesignSpec:
        """A spec from plain values; the reader of model files checks them beforehand."""
        return cls(
            outcome=content["outcome"],
            terms=tuple(_term_of(row) for row in content["terms"]),
            ranges={name: VariableRange.from_dict(row) for name, row in content["ranges"].items()},
        )


def _term_of(row: Mapping[str, Any]) -> Term:
    lists = {key: tuple(row[key]) for key in ("knots", "levels", "parts") if key in row}
    return Term(name=row["name"], type=row["type"], n_knots=row.get("n_knots"), **lists)


def _encoded(term: Term, data: pd.DataFrame) -> NDArray[Float]:
    if term.type == "factor":
        return level_codes(data, term.name, term.levels or ())
    values = read_numbers(data, term.name)
    _check_domain(term, values, data)
    return values


def _check_domain(term: Term, values: NDArray[Float], data: pd.DataFrame) -> None:
    """log needs positive values, logit values inside (0, 1); nothing is clipped silently."""
    if term.type == "log":
        bad, domain = values <= 0, "positive values"
    elif term.type == "logit":
        bad, domain = (values <= 0) | (values >= 1), "values strictly between 0 and 1"
    else:
        return
    if bad.any():
        msg = (
            f"{term.label} needs {domain}; `{term.name}` has others in "
            f"{rows_in_words(data, bad)}. Correct them, or state a rule such as a clip beforehand."
        )
        raise DesignError(msg)


def learn_design(outcome: str, terms: Sequence[Term], data: pd.DataFrame) -> DesignSpec:
    """Fill in knots, levels, ranges and factors from development data.

    Parameters
    ----------
    outcome : str
    terms : sequence of Term
        Main effects first.
    data : DataFrame
        Development rows without missing values in the variables of the terms.

    Returns
    -------
    DesignSpec

    Raises
    ------
    DesignError, MissingDataError

    Examples
    --------
    >>> data = pd.DataFrame({"age": [4.0, 9, 12, 15], "sex": ["f", "m", "m", "f"]})
    >>> spec = learn_design("y", as_terms([{"name": "age"}, {"name": "sex"}]), data)
    >>> spec.column_names
    ('Intercept', 'age', 'sex=m')
    """
    names = [term.name for term in terms if term.type != "interaction"]
    check_present(data, names)
    check_complete(data, names)
    learned = tuple(_learned(term, data) for term in terms)
    ranges = {
        term.name: describe_variable(term, _encoded(term, data))
        for term in learned
        if term.type != "interaction"
    }
    return DesignSpec(outcome=outcome, terms=learned, ranges=ranges)


def _learned(term: Term, data: pd.DataFrame) -> Term:
    if term.type == "interaction":
        return term
    column = data[term.name]
    check_describes(column, declared=term.type == "factor")
    if term.type == "factor" or (term.type == "linear" and is_label_column(column)):
        return _learned_factor(term, data)
    if term.type == "rcs" and term.knots is None:
        values = read_numbers(data, term.name)
        knots = harrell_knots(values, term.n_knots or 0)
        return replace(term, knots=tuple(float(knot) for knot in knots))
    return term


def _learned_factor(term: Term, data: pd.DataFrame) -> Term:
    found = observed_levels(data, term.name)
    levels = found if term.levels is None else term.levels
    absent = [level for level in levels if level not in found]
    if absent:
        msg = f"`{term.name}` is declared with levels that no patient has: {absent}."
        raise DesignError(msg)
    if len(levels) < 2:
        msg = f"`{term.name}` has one level only, {list(levels)}; it cannot be a predictor."
        raise DesignError(msg)
    return replace(term, type="factor", levels=levels)
