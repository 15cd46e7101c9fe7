"""One design for all completed copies of a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from usstats._fits.columns import check_present
from usstats.design import DesignSpec, learn_design
from usstats.errors import DesignError
from usstats.terms import Term


def learn_from_observed(outcome: str, terms: Sequence[Term], data: pd.DataFrame) -> DesignSpec:
    """Learn knots, levels and ranges of each variable from its observed values.

    Examples
    --------
    >>> from usstats.design import read_model
    >>> df = pd.DataFrame({"x": [1.0, None, 3.0, 4.0], "s": ["a", "b", None, "a"]})
    >>> learn_from_observed(*read_model("y ~ x + s", None, None), df).column_names
    ('Intercept', 'x', 's=b')
    """
    mains = [term for term in terms if term.type != "interaction"]
    products = tuple(term for term in terms if term.type == "interaction")
    names = [term.name for term in mains]
    check_present(data, names)
    if not data[names].isna().to_numpy().any():
        return learn_design(outcome, [*mains, *products], data)
    specs = [learn_design(outcome, [term], data[[term.name]].dropna()) for term in mains]
    return DesignSpec(
        outcome=outcome,
        terms=(*(spec.terms[0] for spec in specs), *products),
        ranges={name: known for spec in specs for name, known in spec.ranges.items()},
    )


def check_same_design(first: DesignSpec, other: DesignSpec, i: int) -> None:
    """Refuse to pool fits whose terms, knots or levels differ.

    Raises
    ------
    DesignError
        Naming the first difference.
    """
    pairs = zip(first.terms, other.terms, strict=False)
    differing = [(a, b) for a, b in pairs if a != b]
    if not differing and len(first.terms) == len(other.terms):
        return
    what = "the number of terms differs"
    if differing:
        a, b = differing[0]
        what = f"{a.name!r} has knots {a.knots} and {b.knots}"
        if a.knots == b.knots:
            what = f"{a.name!r} has levels {a.levels} and {b.levels}"
    msg = (
        f"`fits` 0 and {i} have different designs: {what}. Use `fit_imputed`, which learns the "
        "design once, or fit every copy with the same DesignSpec."
    )
    raise DesignError(msg)
