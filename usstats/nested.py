"""What an added term is worth: a likelihood-ratio test, and the AUC change with an interval.

DeLong's test between nested models on their own data is not offered: it has no power there, and
its null distribution is wrong (Demler, Pencina and D'Agostino 2012; rule R06).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import Float
from usstats._fits.likelihood import log_likelihood
from usstats._fits.newton import newton_logistic
from usstats._fits.wald import wald_chi2
from usstats._imputing.rubin import PooledTest, pool_likelihood_ratio
from usstats._imputing.tables import Imputations
from usstats._intervals import check_conf_level
from usstats._resampling.draws import Resamples, as_resamples
from usstats._validation.indexes import TIED_DECIMALS, rank_indexes
from usstats._validation.plans import BootstrapPlan
from usstats._validation.refits import BatchRefits
from usstats.errors import ArgumentError, DesignError, PairingError
from usstats.logistic import LogisticFit
from usstats.pooled_fit import PooledFit
from usstats.resample import check_failures
from usstats.results import Estimate

Array = NDArray[Float]
Fit = LogisticFit | PooledFit
Designs = list[tuple[Array, Array]]

pairs = partial(zip, strict=True)


@dataclass(frozen=True, kw_only=True)
class NestedComparison:
    """A model against itself without some terms. Made by `compare_nested`.

    Attributes
    ----------
    terms : tuple of str
        Columns of the full model that the reduced one lacks.
    statistic, df, p_value, test : float, int, float, str
        Of the test that their coefficients are zero.
    df_residual : float
        Denominator of an F test over imputations; infinite for a chi-square test.
    auc_full, auc_reduced, auc_change : Estimate
        Corrected for optimism, with location-shifted bootstrap intervals.
    apparent : mapping
        The same three before correction.
    """

    terms: tuple[str, ...]
    statistic: float
    df: int
    df_residual: float
    p_value: float
    test: str
    auc_full: Estimate
    auc_reduced: Estimate
    auc_change: Estimate
    apparent: dict[str, float] = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Rows auc_full, auc_reduced and auc_change, then the test of the added terms.

        Columns of the shared vocabulary; `apparent` is the AUC before correction.
        """
        estimates = (self.auc_full, self.auc_reduced, self.auc_change)
        table = pd.concat([e.frame() for e in estimates], ignore_index=True)
        table["apparent"] = [self.apparent[e.measure] for e in estimates]
        row = {
            "measure": "added_terms",
            "statistic": self.statistic,
            "df": self.df,
            "df_residual": self.df_residual,
            "p_value": self.p_value,
            "method": self.test,
            "n": self.auc_full.n,
            "n_event": self.auc_full.n_event,
        }
        return pd.concat([table, pd.DataFrame([row])], ignore_index=True)

    def summary(self) -> str:
        """Test and AUC change in one line."""
        change = self.auc_change
        return (
            f"{' + '.join(self.terms)}: {self.test} {self.statistic:.2f}, df {self.df}, "
            f"p = {self.p_value:.3g}; AUC {self.auc_reduced.estimate:.3f} to "
            f"{self.auc_full.estimate:.3f}, change {change.estimate:.3f} "
            f"({change.conf_level * 100:g} % {change.conf_low:.3f} to {change.conf_high:.3f}), "
            f"{change.method}; n = {change.n}, events = {change.n_event}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def compare_nested(
    full: Fit,
    reduced: Fit,
    data: pd.DataFrame | Imputations,
    *,
    conf_level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    cluster: ArrayLike | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> NestedComparison:
    """Test added terms by likelihood and give the AUC change with an interval.

    Parameters
    ----------
    full, reduced : LogisticFit, or PooledFit over the same imputations
        Maximum-likelihood fits of the same patients; the reduced design must be contained in the
        full one.
    data : pandas.DataFrame or Imputations
        What they were fitted on.
    conf_level : float
    n_boot, seed : int
        Resamples; both models are refitted in each. Over imputations each resample is of one
        completed copy, in turn (Schomaker and Heumann 2018, "MI Boot").
    cluster : array_like, shape (n,), optional
        Patient labels where patients have several rows: whole patients are drawn, and the test
        becomes the Wald test with the fits' sandwich covariance.
    resamples : Resamples or array_like, optional
        Explicit 0-based draws (n_boot, n).

    Returns
    -------
    NestedComparison
        The AUCs are corrected for optimism by the same resamples; intervals are the percentile
        intervals of the refits moved by the optimism (Noma et al. 2021).

    Raises
    ------
    PairingError
        Fits of different patients: a term with missing values must not decide who is compared.
    DesignError
        Models that are not nested.
    ArgumentError
        Penalised fits: their likelihoods have no chi-square distribution.

    Notes
    -----
    Test: likelihood ratio for a LogisticFit; over imputations Meng and Rubin's (1992) D3, the
    same numbers as `mice::D3`.

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> rng = np.random.default_rng(1)
    >>> df = pd.DataFrame({"x": rng.normal(size=150), "z": rng.normal(size=150)})
    >>> df["y"] = (rng.random(150) < 1 / (1 + np.exp(-df["x"]))).astype(int)
    >>> fits = fit_logistic("y ~ x + z", df), fit_logistic("y ~ x", df)
    >>> result = compare_nested(*fits, df, n_boot=100, seed=1)
    >>> result.terms, result.df
    (('z',), 1)
    """
    level = check_conf_level(conf_level)
    copies = list(data) if isinstance(data, Imputations) else [data]
    _check_pair(full, reduced, copies)
    designs = [(full.spec.matrix(copy), reduced.spec.matrix(copy)) for copy in copies]
    _check_nested(designs[0], full, reduced)
    cluster = _patients(full, cluster)
    draws = as_resamples(resamples, full.n, n_boot=n_boot, seed=seed, cluster=cluster)
    y = [copy[full.spec.outcome].to_numpy(dtype=float) for copy in copies]
    test = _test(full, reduced, designs, y, clustered=cluster is not None)
    changes = _auc_replicates(designs, y, draws)
    lp = [(full.linear_predictor(copy), reduced.linear_predictor(copy)) for copy in copies]
    return _comparison(full, reduced, test, _apparent(lp, y), changes, draws, level, cluster)


@dataclass(frozen=True)
class _Test:
    statistic: float
    df: int
    df_residual: float
    p_value: float
    name: str


def _check_pair(full: Fit, reduced: Fit, copies: list[pd.DataFrame]) -> None:
    if isinstance(full, PooledFit) != isinstance(reduced, PooledFit):
        msg = "`full` and `reduced` must both be single fits, or both be pooled over imputations."
        raise PairingError(msg)
    sizes = {len(copies), *(fit.m for fit in (full, reduced) if isinstance(fit, PooledFit))}
    if isinstance(full, PooledFit) and len(sizes) > 1:
        msg = (
            "`full`, `reduced` and `data` must be of the same imputations; found "
            f"{sorted(sizes)} of them."
        )
        raise PairingError(msg)
    if not full.n == reduced.n == len(copies[0]):
        msg = (
            f"The models were fitted on {full.n} and {reduced.n} rows, `data` has "
            f"{len(copies[0])}. Compare them on the same patients: impute, or leave the rows with "
            "a missing value out of both."
        )
        raise PairingError(msg)
    methods = {full.method, reduced.method}
    if methods != {"ml"}:
        msg = f"Nested models are compared by maximum likelihood; these were fitted by {methods}."
        raise ArgumentError(msg)


def _patients(full: Fit, cluster: ArrayLike | None) -> ArrayLike | None:
    """Labels of the call, or those the full model was fitted with.

    Raises
    ------
    ArgumentError
        A model of clustered rows that has come from a file, without its labels.
    """
    model = full.fits[0] if isinstance(full, PooledFit) and full.fits else full
    known = model.development if isinstance(model, LogisticFit) else None
    if cluster is None and known is not None:
        return known.cluster
    if cluster is None and full.n_cluster is not None:
        msg = "`full` was fitted on patients with several rows; pass their labels as `cluster`."
        raise ArgumentError(msg)
    return cluster


def _check_nested(design: tuple[Array, Array], full: Fit, reduced: Fit) -> None:
    """The reduced columns must be combinations of the full ones, and fewer."""
    X, X_reduced = (Z / np.maximum(np.abs(Z).max(axis=0), 1e-300) for Z in design)
    solution = np.linalg.lstsq(X, X_reduced, rcond=None)[0]
    left = np.abs(X_reduced - X @ solution).max(axis=0) > 1e-7
    same_outcome = full.spec.outcome == reduced.spec.outcome
    if left.any() or X_reduced.shape[1] >= X.shape[1] or not same_outcome:
        strange = [n for n, out in zip(reduced.spec.column_names, left, strict=True) if out]
        msg = (
            f"`reduced` ({', '.join(reduced.spec.column_names[1:])}) is not nested in `full` "
            f"({', '.join(full.spec.column_names[1:])}); not contained: {strange}. Compare such "
            "models by `compare_auc` on patients that neither has seen."
        )
        raise DesignError(msg)


def _test(full: Fit, reduced: Fit, designs: Designs, y: list[Array], *, clustered: bool) -> _Test:
    added = [name for name in full.spec.column_names if name not in reduced.spec.column_names]
    df = len(full.params) - len(reduced.params)
    if isinstance(full, PooledFit) and isinstance(reduced, PooledFit):
        pooled = full.estimates.wald(added) if clustered else _d3(full, reduced, designs, y)
        return _Test(pooled.statistic, df, pooled.df_residual, pooled.p_value, f"{pooled.method} F")
    if clustered:
        return _sandwich_wald(full, added)
    chi2 = max(2 * (full.log_likelihood - reduced.log_likelihood), 0.0)
    return _Test(chi2, df, np.inf, float(special.chdtrc(df, chi2)), "likelihood ratio chi-square")


def _sandwich_wald(full: Fit, added: list[str]) -> _Test:
    if full.n_cluster is None:
        msg = (
            "`cluster` was given, but `full` was fitted without it; a likelihood ratio takes rows "
            "of one patient for independent. Fit with fit_logistic(..., cluster=...)."
        )
        raise ArgumentError(msg)
    rows = [list(full.spec.column_names).index(name) for name in added]
    params, V = (np.asarray(part, dtype=Float) for part in (full.params, full.covariance))
    chi2 = wald_chi2(params, V, rows)
    p = float(special.chdtrc(len(rows), chi2))
    return _Test(chi2, len(rows), np.inf, p, "Wald chi-square, sandwich by cluster")


def _d3(full: PooledFit, reduced: PooledFit, designs: Designs, y: list[Array]) -> PooledTest:
    """Likelihoods of the m tables at their own and at the pooled estimates of both models."""
    own, pooled = [], []
    params = [np.asarray(fit.params, dtype=Float) for fit in (full, reduced)]
    for pair, outcome in pairs(designs, y):
        reached = [newton_logistic(X, outcome).log_likelihood for X in pair]
        shared = [float(log_likelihood(X @ b, outcome)) for X, b in pairs(pair, params)]
        own.append(2 * (reached[0] - reached[1]))
        pooled.append(2 * (shared[0] - shared[1]))
    return pool_likelihood_ratio(own, pooled, df=len(full.params) - len(reduced.params))


def _auc(X_lp: Array, y: Array, w: Array) -> Array:
    return rank_indexes(np.round(X_lp, TIED_DECIMALS), y, w)[0]


def _apparent(lp: list[tuple[Array, Array]], y: list[Array]) -> Array:
    """AUC of both models on the data, averaged over copies: (2,)."""
    values = [_auc(np.array(pair), own, np.ones((2, own.size))) for pair, own in pairs(lp, y)]
    return np.asarray(np.mean(values, axis=0))


def _auc_replicates(designs: Designs, y: list[Array], draws: Resamples) -> tuple[Array, Array]:
    """AUC of both refitted models in and outside each resample, each (n_boot, 2).

    Copy k of an imputed table serves the replicates k, k + m, k + 2 m, ...
    """
    plan = BootstrapPlan(resamples=draws, method="bootstrap")
    training, test = np.full((2, len(draws), 2), np.nan)
    for k, (pair, outcome) in enumerate(zip(designs, y, strict=True)):
        mine = np.arange(len(draws)) % len(designs) == k
        for j, X in enumerate(pair):
            refits = BatchRefits.fit(X, outcome, plan, only=mine)
            for chunk in refits.chunks():
                side = chunk.training
                training[chunk.which, j] = _auc(side.lp, side.y, side.w)
                test[chunk.which, j] = _auc(side.lp, side.y, np.ones_like(side.lp))
    return training, test


def _comparison(
    full: Fit,
    reduced: Fit,
    test: _Test,
    apparent: Array,
    replicates: tuple[Array, Array],
    draws: Resamples,
    level: float,
    cluster: ArrayLike | None,
) -> NestedComparison:
    names = ("auc_full", "auc_reduced", "auc_change")
    own = dict(zip(names, (*apparent, apparent[0] - apparent[1]), strict=True))
    training, seen = (np.column_stack([s, s[:, 0] - s[:, 1]]) for s in replicates)
    n_failed = check_failures(training[:, 2])
    optimism = np.nanmean(training - seen, axis=0)
    shifted = training - optimism
    limits = np.nanquantile(shifted, [(1 - level) / 2, (1 + level) / 2], axis=0)
    method = "optimism-corrected, location-shifted bootstrap"
    estimates = {
        name: Estimate(
            measure=name,
            estimate=float(own[name] - optimism[j]),
            std_error=float(np.nanstd(shifted[:, j], ddof=1)),
            conf_low=float(limits[0, j]),
            conf_high=float(limits[1, j]),
            conf_level=level,
            method=method,
            n=full.n,
            n_event=full.n_event,
            n_cluster=None if cluster is None else draws.n_unit,
            n_boot=len(draws),
            n_failed=n_failed,
            seed=draws.seed,
        )
        for j, name in enumerate(names)
    }
    added = [n for n in full.spec.column_names if n not in reduced.spec.column_names]
    return NestedComparison(
        terms=tuple(added),
        statistic=test.statistic,
        df=test.df,
        df_residual=test.df_residual,
        p_value=test.p_value,
        test=test.name,
        apparent={name: float(value) for name, value in own.items()},
        **estimates,
    )
