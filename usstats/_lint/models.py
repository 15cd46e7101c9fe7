"""Models as lists of terms, from study.yaml or from a fit, alike to every rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Free parameters of a term: a spline has one less than knots, a factor one less than levels.
_DEFAULT_KNOTS, _DEFAULT_LEVELS = 3, 2


@dataclass(frozen=True, kw_only=True)
class TermFacts:
    """One term: its column, its shape, and the levels of a factor."""

    name: str
    type: str = "linear"
    df: int = 1
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelTerms:
    """A model by name; `fit` where it was fitted in memory."""

    name: str
    terms: tuple[TermFacts, ...]
    fit: Any = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns the model needs, each once."""
        parts = [part.strip() for t in self.terms for part in _parts(t.name)]
        return tuple(dict.fromkeys(parts))

    @property
    def df(self) -> int:
        """Parameters without the intercept."""
        return sum(term.df for term in self.terms)

    def contains(self, other: ModelTerms) -> bool:
        """The other model is this one without some terms."""
        return set(other.variables) < set(self.variables)


def _parts(name: str) -> Sequence[str]:
    for mark in (" * ", ":"):
        if mark in name:
            return name.split(mark)
    return (name,)


def declared_models(models: Any) -> tuple[ModelTerms, ...]:
    """The models of study.yaml; what is not a model is passed over."""
    if not isinstance(models, list | tuple):
        return ()
    return tuple(
        ModelTerms(name=str(model.get("name", i)), terms=tuple(_declared(model["terms"])))
        for i, model in enumerate(models)
        if isinstance(model, Mapping) and isinstance(model.get("terms"), list | tuple)
    )


def _declared(terms: Iterable[Any]) -> Iterable[TermFacts]:
    for term in terms:
        if isinstance(term, str):
            yield TermFacts(name=term)
        elif isinstance(term, Mapping) and "name" in term:
            levels = tuple(map(str, term.get("levels") or ()))
            kind = str(term.get("type", "linear"))
            yield TermFacts(
                name=str(term["name"]), type=kind, levels=levels, df=_df(kind, term, levels)
            )


def _df(kind: str, term: Mapping[str, Any], levels: tuple[str, ...]) -> int:
    if kind == "rcs":
        knots = term.get("knots") or _DEFAULT_KNOTS
        return max(1, (len(knots) if isinstance(knots, list | tuple) else int(knots)) - 1)
    if kind == "factor":
        return max(1, (len(levels) or _DEFAULT_LEVELS) - 1)
    return 1


def fitted_models(fits: Mapping[str, Any]) -> tuple[ModelTerms, ...]:
    """The models of fitted objects that carry a design."""
    return tuple(
        ModelTerms(name=name, terms=tuple(_fitted(fit.spec)), fit=fit)
        for name, fit in fits.items()
        if hasattr(fit, "spec")
    )


def _fitted(spec: Any) -> Iterable[TermFacts]:
    for term in spec.terms:
        yield TermFacts(
            name=term.name,
            type=term.type,
            df=len(spec.blocks[term.name]),
            levels=tuple(term.levels or ()),
        )
