"""From a user's call to arrays: the front door of `fit_cox`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats._fits.columns import check_present, missing_counts
from usstats._fits.fitting import (
    check_size,
    checked_cluster,
    kept_rows,
    per_row,
    warn_of_lone_levels,
)
from usstats._fits.prepared import Prepared
from usstats._roc.rank import check_full_rank
from usstats._survival.censoring import check_follow_up
from usstats.design import DesignSpec, Term, learn_design, parse_formula
from usstats.errors import ArgumentError, DesignError
from usstats.formula import ordered_terms
from usstats.terms import as_terms

_SURV = re.compile(r"\s*Surv\s*\(\s*([^\W\d][\w.]*)\s*,\s*([^\W\d][\w.]*)\s*\)\s*(?=~)")
_LEFT = re.compile(r"\s*(?=~)")
#: Stands for the left side of a formula that has none.
_PLACEHOLDER = "event_"

Given = Sequence[Term | Mapping[str, Any]] | None


@dataclass(frozen=True, kw_only=True)
class CoxData(Prepared):
    """Checked development data of a Cox fit; `y` is the event, `X` has a column of ones first."""

    time: NDArray[np.float64] = field(repr=False)
    time_name: str


@dataclass(frozen=True, kw_only=True)
class SurvivalModel:
    """Which columns are time and event, and the terms; `spec` where they were learned before."""

    time: str
    event: str
    terms: tuple[Term, ...]
    spec: DesignSpec | None = None

    @property
    def variables(self) -> list[str]:
        """Every column the model reads, the event first."""
        mains = (term.name for term in self.terms if term.type != "interaction")
        return [self.event, self.time, *mains]


def read_survival_model(
    formula: str | DesignSpec | None, time: str | None, event: str | None, terms: Given
) -> SurvivalModel:
    """Time, event and terms from what the caller gave.

    Raises
    ------
    DesignError
    """
    if isinstance(formula, DesignSpec):
        model = _model(time, event or formula.outcome, formula.terms, formula)
    elif isinstance(formula, str) and terms is None:
        model = _from_formula(formula, time, event)
    elif formula is None and terms is not None:
        model = _model(time, event, ordered_terms(as_terms(terms)), None)
    else:
        msg = "Give either a formula, or `terms` with `time` and `event`."
        raise DesignError(msg)
    for name in (model.time, model.event):
        if model.variables.count(name) > 1:
            msg = f"`{name}` is the time or the event and cannot be a predictor too."
            raise DesignError(msg)
    return model


def _from_formula(formula: str, time: str | None, event: str | None) -> SurvivalModel:
    """ "Surv(time, event) ~ terms", or "~ terms" with the two names as arguments."""
    surv = _SURV.match(formula)
    if surv is not None:
        if (time or surv[1], event or surv[2]) != (surv[1], surv[2]):
            msg = f"The formula says Surv({surv[1]}, {surv[2]}); leave out `time` and `event`."
            raise DesignError(msg)
        _, parsed = parse_formula(surv[2].ljust(surv.end()) + formula[surv.end() :])
        return _model(surv[1], surv[2], parsed, None)
    left = _LEFT.match(formula)
    if left is None and "~" in formula:
        msg = (
            'The left side of a Cox formula is "Surv(time, event)" with the names of the two '
            f"columns, or is left empty and `time` and `event` are named; got {formula!r}."
        )
        raise DesignError(msg)
    right = formula[left.end() + 1 :] if left else formula
    _, parsed = parse_formula(f"{_PLACEHOLDER} ~ {right}")
    return _model(time, event, parsed, None)


def _model(
    time: str | None, event: str | None, terms: tuple[Term, ...], spec: DesignSpec | None
) -> SurvivalModel:
    if not isinstance(time, str) or not isinstance(event, str):
        msg = (
            "A Cox model needs the names of two columns: `time`, the follow-up, and `event`, 1 "
            'where it ended with the event. Write "Surv(time, event) ~ ..." or pass both.'
        )
        raise DesignError(msg)
    return SurvivalModel(time=time, event=event, terms=terms, spec=spec)


def prepare_cox(
    model: SurvivalModel,
    data: pd.DataFrame | None,
    *,
    cluster: str | ArrayLike | None,
    missing: str,
    penalised: bool,
) -> CoxData:
    """Check a call's arguments and learn its design."""
    check_option(missing, ("error", "complete_case"), name="missing")
    if data is None:
        msg = "`data` is missing: pass the development table as a DataFrame."
        raise ArgumentError(msg)
    check_present(data, model.variables)
    kept = kept_rows(data, model.variables, missing)
    rows = data.loc[kept] if not kept.all() else data
    follow_up = check_follow_up(
        rows[model.time], rows[model.event], names=(model.time, model.event)
    )
    spec = model.spec or learn_design(model.event, model.terms, rows)
    X = spec.matrix(rows)
    check_size(X, spec, penalised=penalised)
    if not penalised:
        check_full_rank(X, spec.column_names)
    warn_of_lone_levels(spec)
    return CoxData(
        spec=spec,
        X=X,
        y=follow_up.event,
        time=follow_up.time,
        time_name=model.time,
        weights=None,
        cluster=checked_cluster(per_row(cluster, data, kept, "cluster"), follow_up.n),
        n_dropped=int((~kept).sum()),
        missing=missing_counts(data, model.variables),
    )
