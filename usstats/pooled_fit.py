"""A logistic model over completed tables: m fits of one design, pooled by Rubin's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._check import Float
from usstats._fits.shared_design import check_same_design, learn_from_observed
from usstats._fits.wald import anova_rows, variance_inflation
from usstats._imputing.rubin import PooledEstimates, pool_estimates
from usstats._imputing.tables import Imputations
from usstats.contrasts import contrast_row, contrasts_of, odds_ratio_table
from usstats.design import DesignSpec, read_model
from usstats.errors import ArgumentError, PairingError
from usstats.logistic import LogisticFit, fit_logistic
from usstats.results import COLUMNS
from usstats.terms import Term

Vector = NDArray[Float]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PooledFit:
    """A logistic model pooled over imputations; it reads like a `LogisticFit`.

    Attributes
    ----------
    model : LogisticFit
        The pooled coefficients with their total covariance; what predictions are made from.
    estimates : PooledEstimates
        Within and between variances, degrees of freedom, fmi.
    fits : tuple of LogisticFit
        The m fits; empty for a model read from a file.
    """

    model: LogisticFit
    estimates: PooledEstimates
    fits: tuple[LogisticFit, ...] = ()

    @property
    def m(self) -> int:
        """Number of completed tables."""
        return self.estimates.m

    @property
    def params(self) -> pd.Series[float]:
        """Pooled coefficients."""
        return self.model.params

    @property
    def covariance(self) -> pd.DataFrame:
        """Total covariance: within + (1 + 1/m) between imputations."""
        return self.model.covariance

    @property
    def spec(self) -> DesignSpec:
        """The one design of all m fits."""
        return self.model.spec

    @property
    def method(self) -> str:
        """The estimator of the m fits."""
        return self.model.method

    @property
    def penalty(self) -> Mapping[str, float] | None:
        """Penalty of the m fits."""
        return self.model.penalty

    @property
    def n(self) -> int:
        """Rows of each completed table."""
        return self.model.n

    @property
    def n_event(self) -> int:
        """Events (their mean, rounded, where the outcome itself was imputed)."""
        return self.model.n_event

    @property
    def n_cluster(self) -> int | None:
        """Patients, where rows are clustered in them."""
        return self.model.n_cluster

    @property
    def log_likelihood(self) -> float:
        """Mean over the completed tables, at the pooled coefficients."""
        return self.model.log_likelihood

    @property
    def null_log_likelihood(self) -> float:
        """Mean over the completed tables, with the intercept alone."""
        return self.model.null_log_likelihood

    def linear_predictor(self, data: pd.DataFrame) -> Vector:
        """Linear predictor (log odds) of complete new rows by the pooled coefficients."""
        return self.model.linear_predictor(data)

    def predict(self, data: pd.DataFrame) -> Vector:
        """Probability of the event: the inverse logit of the pooled linear predictor.

        The same number a nomogram or a calculator made from this model gives. (The mean of the m
        models' risks differs a little and is not what is carried to other patients.)
        """
        return self.model.predict(data)

    def predict_interval(self, data: pd.DataFrame, *, conf_level: float = 0.95) -> pd.DataFrame:
        """As `LogisticFit.predict_interval`, with the total covariance."""
        return self.model.predict_interval(data, conf_level=conf_level)

    def frame(self, *, conf_level: float | None = None) -> pd.DataFrame:
        """One row a coefficient: t interval with Barnard-Rubin df, riv, lambda and fmi."""
        table = self.estimates.frame(conf_level=conf_level)
        table = table.assign(method=self.method_in_words, n=self.n, n_event=self.n_event)
        shared = [column for column in COLUMNS if column in table]
        return table[shared + [column for column in table if column not in COLUMNS]]

    @property
    def method_in_words(self) -> str:
        """The estimator and the number of imputations."""
        return f"{self.model.method_in_words}, {self.m} imputations (Rubin)"

    def anova(self, *, method: str = "D1") -> pd.DataFrame:
        """Pooled Wald tests of whole variables, curvature and interactions.

        Parameters
        ----------
        method : {"D1", "D2"}
            As `PooledEstimates.wald`.

        Returns
        -------
        DataFrame
            group, term, statistic (F), df, df_residual, p_value, riv, method; rows as in
            `LogisticFit.anova`.
        """
        names = self.params.index
        rows = []
        for group, term, positions in anova_rows(self.spec):
            test = self.estimates.wald([names[j] for j in positions], method=method)
            rows.append({"group": group, "term": term, **test.frame().iloc[0]})
        return pd.DataFrame(rows)

    def odds_ratios(self, per: str = "unit", *, conf_level: float = 0.95) -> pd.DataFrame:
        """Odds ratios as `LogisticFit.odds_ratios`, with t intervals of the pooled contrasts."""
        table = odds_ratio_table(
            self.spec, self.params, self.covariance, per=per, conf_level=conf_level
        )
        mains = self.spec.mains.values()
        rows = [c for term in mains for c in contrasts_of(self.spec, term, per=per)]
        D = np.array([contrast_row(self.spec, contrast) for contrast in rows])
        pooled = self._contrasts(D).frame(conf_level=conf_level)
        low, high = np.exp(pooled["conf_low"]), np.exp(pooled["conf_high"])
        return table.assign(
            conf_low=low,
            conf_high=high,
            statistic=pooled["statistic"],
            df=pooled["df"],
            p_value=pooled["p_value"],
            method="wald, pooled (Rubin)",
        )

    def _contrasts(self, D: NDArray[Float]) -> PooledEstimates:
        own = self.estimates
        return pool_estimates(own.estimates @ D.T, D @ own.covariances @ D.T, dfcom=own.dfcom)

    def vif(self) -> pd.Series[float]:
        """Variance inflation from the mean covariance within imputations."""
        names = self.params.index
        within = pd.DataFrame(self.estimates.within, index=names, columns=names)
        return variance_inflation(within)

    def indices(self) -> pd.Series[float]:
        """Apparent performance of the pooled model, averaged over the completed tables."""
        return self.model.indices()

    def summary(self) -> str:
        """The model in text: sample, coefficients with intervals and fmi."""
        columns = ["term", "estimate", "std_error", "conf_low", "conf_high", "p_value", "fmi"]
        text = self.frame()[columns].to_string(index=False, float_format="%.4g")
        return f"{self!r}\n{text}"

    def to_json(self, path: str | Path) -> None:
        """Write the pooled model and what was pooled, without any patient's row, atomically."""
        from usstats._imputing.json_file import write_pooled

        write_pooled(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> PooledFit:
        """Read a pooled model back; an edited, damaged or newer file is refused.

        Raises
        ------
        SchemaError
            With the path of the fault inside the file.
        """
        from usstats._imputing.json_file import read_pooled

        return read_pooled(path)

    def __repr__(self) -> str:
        return (
            f"<PooledFit {self.spec.outcome}: {len(self.params) - 1} df, {self.method_in_words}; "
            f"n = {self.n}, events = {self.n_event}>"
        )


def pool(fits: Sequence[LogisticFit], *, conf_level: float = 0.95) -> PooledFit:
    """Pool logistic fits of one design over completed tables by Rubin's rules.

    Parameters
    ----------
    fits : sequence of LogisticFit
        One a completed table, all of the same design: terms, knots and levels. Knots placed by
        each copy's own quantiles differ; `fit_imputed` places them once, from the observed
        values.
    conf_level : float

    Returns
    -------
    PooledFit

    Raises
    ------
    PairingError
        Fewer than two fits, or fits of different numbers of rows.
    DesignError
        Fits of different designs; the first difference is named.

    Notes
    -----
    Rubin (1987); degrees of freedom of Barnard and Rubin (1999) with n minus the number of
    coefficients for complete data. The same numbers as `mice::pool`.

    Examples
    --------
    >>> from usstats._imputing.tables import impute
    >>> df = pd.DataFrame({"x": [0.1, 0.4, None, 0.9, 1.3, 1.1, 0.2, 1.8],
    ...                    "y": [0, 1, 0, 0, 1, 1, 0, 1]})
    >>> pooled = pool([fit_logistic("y ~ x", copy) for copy in impute(df, m=5, seed=1)])
    >>> pooled
    <PooledFit y: 1 df, ml, 5 imputations (Rubin); n = 8, events = 4>
    """
    models = (fits,) if isinstance(fits, LogisticFit) else tuple(fits)
    _check_fits(models)
    estimates = pool_estimates(
        np.array([fit.params.to_numpy() for fit in models]),
        np.array([fit.covariance.to_numpy() for fit in models]),
        dfcom=models[0].n - len(models[0].params),
        names=models[0].spec.column_names,
        conf_level=conf_level,
    )
    return PooledFit(model=_carrier(models, estimates), estimates=estimates, fits=models)


def fit_imputed(
    formula: str | DesignSpec | None,
    imputations: Imputations,
    *,
    outcome: str | None = None,
    terms: Sequence[Term | Mapping[str, Any]] | None = None,
    method: str = "ml",
    penalty: Any = None,
    conf_level: float = 0.95,
) -> PooledFit:
    """Fit one design in every completed table and pool.

    Knots, levels and ranges are learned once, from the observed values of each variable, so that
    all m fits share them.

    Parameters
    ----------
    formula, outcome, terms, method, penalty
        As in `fit_logistic`.
    imputations : Imputations
    conf_level : float

    Returns
    -------
    PooledFit

    Raises
    ------
    ArgumentError
        The outcome was no part of the imputation models (rule R20).

    Examples
    --------
    >>> from usstats._imputing.tables import impute
    >>> rng = np.random.default_rng(1)
    >>> df = pd.DataFrame({"x": rng.normal(size=60)})
    >>> df["y"] = (rng.random(60) < 1 / (1 + np.exp(-df["x"]))).astype(int)
    >>> df.loc[:9, "x"] = None
    >>> fit_imputed("y ~ rcs(x, 3)", impute(df, m=5, seed=1, outcome="y")).m
    5
    """
    if isinstance(formula, DesignSpec):
        spec = formula
    else:
        spec = learn_from_observed(*read_model(formula, outcome, terms), imputations.original)
    check_outcome_imputed_with(imputations, spec.outcome)
    copies = [fit_logistic(spec, copy, method=method, penalty=penalty) for copy in imputations]
    pooled = pool(copies, conf_level=conf_level)
    return replace(pooled, model=replace(pooled.model, spec=spec))


def check_outcome_imputed_with(imputations: Imputations, outcome: str) -> None:
    """Refuse imputations whose models did not know the outcome.

    Raises
    ------
    ArgumentError
    """
    if outcome not in imputations.variables:
        msg = (
            f"The outcome {outcome!r} was no part of the imputation models, so imputed predictors "
            f"have lost their association with it. Impute again with outcome={outcome!r}."
        )
        raise ArgumentError(msg)


def _check_fits(fits: tuple[LogisticFit, ...]) -> None:
    strange = [type(fit).__name__ for fit in fits if not isinstance(fit, LogisticFit)]
    if strange or len(fits) < 2:
        msg = (
            f"`fits` must hold at least two LogisticFit, one a completed table; got {len(fits)} "
            f"{strange or ''}. Other models are pooled by `pool_estimates`."
        )
        raise PairingError(msg)
    if len({fit.n for fit in fits}) > 1:
        msg = f"`fits` are of different numbers of rows: {sorted({fit.n for fit in fits})}."
        raise PairingError(msg)
    first = fits[0].spec
    for i, fit in enumerate(fits[1:], start=1):
        check_same_design(first, fit.spec, i)


def _carrier(fits: tuple[LogisticFit, ...], pooled: PooledEstimates) -> LogisticFit:
    """The pooled coefficients as a LogisticFit; its indexes are means over the copies."""
    names = list(pooled.names)
    means = np.mean([fit.means for fit in fits], axis=0)
    at_means = [
        fit.centred_intercept + (means - fit.means)[1:] @ fit.params.to_numpy()[1:] for fit in fits
    ]
    model = replace(
        fits[0],
        params=pd.Series(pooled.estimate, index=names, name="estimate"),
        covariance=pd.DataFrame(pooled.covariance, index=names, columns=names),
        n_event=round(float(np.mean([fit.n_event for fit in fits]))),
        means=tuple(float(mean) for mean in means),
        centred_intercept=float(np.mean(at_means)),
        n_iter=max(fit.n_iter for fit in fits),
    )
    return _with_mean_indices(model, fits)


def _with_mean_indices(model: LogisticFit, fits: tuple[LogisticFit, ...]) -> LogisticFit:
    on_copies = [_on_copy(model, fit) for fit in fits if fit.development is not None]
    tables = [copy.indices() for copy in on_copies]
    stored = pd.concat(tables, axis=1).mean(axis=1).drop("lr_p") if tables else pd.Series()
    return replace(
        model,
        log_likelihood=_mean(on_copies, lambda fit: fit.log_likelihood),
        null_log_likelihood=_mean(on_copies, lambda fit: fit.null_log_likelihood),
        stored_indices={str(name): float(value) for name, value in stored.items()},
        development=None,
    )


def _on_copy(model: LogisticFit, fit: LogisticFit) -> LogisticFit:
    """The pooled model on one completed table."""
    data = fit.development
    if data is None:
        return model
    lp = model._lp(data.X)
    terms = data.y * special.log_expit(lp) + (1 - data.y) * special.log_expit(-lp)
    weights = np.ones(len(lp)) if data.weights is None else data.weights
    return replace(
        model,
        log_likelihood=float(weights @ terms),
        null_log_likelihood=fit.null_log_likelihood,
        development=data,
    )


def _mean(fits: Sequence[LogisticFit], read: Callable[[LogisticFit], float]) -> float:
    return float(np.mean([read(fit) for fit in fits])) if fits else float("nan")
