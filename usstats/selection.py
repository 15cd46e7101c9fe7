"""Selection of terms as a step of a recipe: honest only because every resample repeats it.

There is no univariable screening here (rule R15). Both ways start from all candidate terms and
keep or drop a variable whole, with its spline columns and levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._check import Float, check_option
from usstats._fits.lasso import LassoPath, lasso_path, penalty_path
from usstats._fits.newton import newton_logistic
from usstats._fits.prepared import Prepared
from usstats._fits.shared_design import learn_from_observed
from usstats._fits.wald import wald_chi2
from usstats.design import DesignSpec
from usstats.errors import ArgumentError
from usstats.splits import make_folds
from usstats.terms import Term

Array = NDArray[Float]
Codes = NDArray[np.int64]

#: The last penalty of a tuning path, as a share of the first.
SMALLEST_SHARE = 1e-3


@dataclass(frozen=True, kw_only=True)
class BackwardElimination:
    """Drop term after term from the full model while that costs little.

    Parameters
    ----------
    p_value : float, optional
        Largest p value a term may keep its place with, for example 0.157 for one degree of
        freedom. By default Akaike's criterion: a term goes where its Wald chi-square is below
        twice its degrees of freedom.

    Notes
    -----
    Lawless and Singhal (1978), R's `rms::fastbw`: all steps are judged from the full fit, so that
    nothing is refitted on the way. A main effect stays as long as an interaction needs it. Over
    completed copies the test is that of the pooled coefficients (Rubin).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> df = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    >>> df["y"] = (rng.random(200) < 1 / (1 + np.exp(-2 * df["a"]))).astype(int)
    >>> terms = [Term(name=name) for name in "abc"]
    >>> [term.name for term in BackwardElimination()([df], "y", terms)]
    ['a']
    """

    p_value: float | None = None

    def __post_init__(self) -> None:
        if self.p_value is not None and not 0 < self.p_value < 1:
            msg = f"`p_value` must lie inside (0, 1); got {self.p_value!r}."
            raise ArgumentError(msg)

    def __call__(
        self, copies: Sequence[pd.DataFrame], outcome: str, terms: Sequence[Term]
    ) -> list[Term]:
        """The terms that stay."""
        spec = learn_from_observed(outcome, terms, copies[0])
        params, covariance = _pooled(spec, copies)
        kept = list(terms)
        while True:
            chi2 = {
                term.name: _chi2(params, covariance, spec.blocks[term.name])
                for term in _droppable(kept)
            }
            weak = [name for name in chi2 if self._is_weak(chi2[name], len(spec.blocks[name]))]
            if not weak:
                return kept
            weakest = min(weak, key=lambda name: chi2[name] - 2 * len(spec.blocks[name]))
            kept = [term for term in kept if term.name != weakest]
            params, covariance = _without(params, covariance, list(spec.blocks[weakest]))

    def _is_weak(self, chi2: float, df: int) -> bool:
        if self.p_value is None:
            return chi2 < 2 * df
        return bool(special.chdtrc(df, chi2) > self.p_value)


def _chi2(params: Array, covariance: Array, rows: Sequence[int]) -> float:
    if len(rows) == 1:
        return float(params[rows[0]] ** 2 / covariance[rows[0], rows[0]])
    return wald_chi2(params, covariance, rows)


def _without(params: Array, covariance: Array, rows: list[int]) -> tuple[Array, Array]:
    """Estimates of the rest were these coefficients zero, to first order."""
    shift = np.linalg.solve(covariance[np.ix_(rows, rows)], covariance[rows])
    return params - params[rows] @ shift, covariance - covariance[:, rows] @ shift


def _droppable(terms: Sequence[Term]) -> list[Term]:
    """Interactions, and main effects in no interaction."""
    needed = {part for term in terms for part in term.parts}
    return [term for term in terms if term.name not in needed]


def _pooled(spec: DesignSpec, copies: Sequence[pd.DataFrame]) -> tuple[Array, Array]:
    """Coefficients and total covariance over completed copies."""
    fits = [
        newton_logistic(spec.matrix(copy), copy[spec.outcome].to_numpy(dtype=float))
        for copy in copies
    ]
    params = np.array([fit.params for fit in fits])
    within = np.mean([fit.covariance for fit in fits], axis=0)
    if len(fits) == 1:
        return params[0], within
    between = np.cov(params, rowvar=False, ddof=1)
    return params.mean(axis=0), within + (1 + 1 / len(fits)) * between


@dataclass(frozen=True, kw_only=True)
class LassoTuning:
    """A lasso penalty chosen by cross-validation inside the table at hand.

    As `Recipe(penalty=LassoTuning())` with method="lasso" the penalty is chosen anew in every
    resample; as `Recipe(select=LassoTuning())` the terms with a coefficient are kept and refitted
    by the recipe's method.

    Parameters
    ----------
    rule : {"one_se", "best"}
        Largest penalty within a standard error of the smallest deviance, or the smallest itself.
    n_folds : int
        Folds hold patients whole: rows that a bootstrap drew twice are never on both sides.
    n_penalty : int
        Penalties that are tried, from the smallest that leaves nothing to a thousandth of it.
    seed : int
        How the folds are dealt.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> df = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    >>> df["y"] = (rng.random(200) < 1 / (1 + np.exp(-2 * df["a"]))).astype(int)
    >>> terms = [Term(name=name) for name in "abc"]
    >>> [term.name for term in LassoTuning()([df], "y", terms)]
    ['a']
    """

    rule: str = "one_se"
    n_folds: int = 10
    n_penalty: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        check_option(self.rule, ("one_se", "best"), name="rule")

    def __call__(
        self, copies: Sequence[pd.DataFrame], outcome: str, terms: Sequence[Term]
    ) -> list[Term]:
        """The terms that at least half of the completed copies give a coefficient."""
        return self.keep(copies, outcome, terms, np.arange(len(copies[0])))

    def keep(
        self,
        copies: Sequence[pd.DataFrame],
        outcome: str,
        terms: Sequence[Term],
        patient: Codes,
    ) -> list[Term]:
        """As calling it, for rows that belong to patients."""
        spec = learn_from_observed(outcome, terms, copies[0])
        votes = np.mean([self._coefficients(copy, spec, patient) != 0 for copy in copies], axis=0)
        kept = [term for term in terms if (votes[list(spec.blocks[term.name])] >= 0.5).any()]
        needed = {part for term in kept for part in term.parts}
        return [term for term in terms if term in kept or term.name in needed]

    def penalty(self, table: pd.DataFrame, spec: DesignSpec, patient: Codes) -> float:
        """The penalty chosen in one completed table."""
        return self._chosen(self._path(table, spec, patient))

    def _chosen(self, path: LassoPath) -> float:
        return path.one_se if self.rule == "one_se" else path.best

    def _coefficients(self, table: pd.DataFrame, spec: DesignSpec, patient: Codes) -> Array:
        path = self._path(table, spec, patient)
        chosen = int(np.flatnonzero(path.penalties == self._chosen(path))[0])
        return np.asarray(path.coefficients.to_numpy()[chosen])

    def _path(self, table: pd.DataFrame, spec: DesignSpec, patient: Codes) -> LassoPath:
        y = table[spec.outcome].to_numpy(dtype=np.int64)
        folds = make_folds(y, patient, n_folds=self.n_folds, seed=self.seed).assignment
        data = Prepared(
            spec=spec,
            X=spec.matrix(table),
            y=y,
            weights=None,
            cluster=None,
            n_dropped=0,
            missing={},
        )
        penalties = penalty_path(data, length=self.n_penalty, smallest=SMALLEST_SHARE)
        return lasso_path(data, penalties=penalties, folds=folds)
