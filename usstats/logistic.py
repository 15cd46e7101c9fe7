"""Logistic regression as a frozen model: coefficients, tests, odds ratios and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import check_option
from usstats._fits.estimators import PENALISED, check_method, maximise
from usstats._fits.firth import ProfileLimits, firth_limits
from usstats._fits.fitting import prepare
from usstats._fits.likelihood_ratio import likelihood_ratio_table
from usstats._fits.newton import newton_logistic
from usstats._fits.newton_batch import newton_logistic_batch
from usstats._fits.prepared import Prepared
from usstats._fits.tables import PROFILED, coefficient_table, with_profile
from usstats._fits.wald import anova_table, variance_inflation
from usstats._intervals import check_conf_level, wald_interval
from usstats.contrasts import odds_ratio_table
from usstats.design import DesignSpec, Term
from usstats.errors import ArgumentError
from usstats.indices import fit_indices
from usstats.results import unit_of_analysis

__all__ = ["LogisticFit", "fit_logistic", "newton_logistic", "newton_logistic_batch"]

Float = np.float64
Vector = NDArray[Float]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LogisticFit:
    """A fitted logistic model that can be carried to other patients.

    Attributes
    ----------
    params : Series, shape (k,)
        Coefficients; names as in rms, the intercept first.
    covariance : DataFrame, shape (k, k)
        Their covariance; over patients where the fit had a `cluster`.
    spec : DesignSpec
        Terms, knots, levels and ranges, frozen.
    method : str
    penalty : mapping or None
        Penalty factors of a penalised fit.
    n, n_event : int
        Rows and events the model was fitted on.
    n_cluster : int or None
        Patients, where rows are clustered in them.
    n_dropped, missing : int, mapping
        Rows left out by missing="complete_case", and missing values per column.
    log_likelihood, null_log_likelihood : float
        At the estimate and with the intercept alone; that of a ridge fit is less its penalty, as
        the deviance of R's `lrm`.
    penalised_log_likelihood : float or None
        What a penalised fit maximised.
    effective_df : float or None
        Degrees of freedom of the slopes of a penalised fit.
    means : tuple of float
        Column means of the development design (0 for the intercept); `centred_intercept` is the
        linear predictor there. Predictions use both, so that no digits are lost.
    """

    params: pd.Series[float]
    covariance: pd.DataFrame
    spec: DesignSpec
    method: str
    n: int
    n_event: int
    log_likelihood: float
    null_log_likelihood: float
    means: tuple[float, ...]
    centred_intercept: float
    n_iter: int
    n_cluster: int | None = None
    n_dropped: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    penalty: Mapping[str, float] | None = None
    effective_df: float | None = None
    penalised_log_likelihood: float | None = None
    stored_limits: ProfileLimits | None = None
    stored_indices: Mapping[str, float] | None = None
    development: Prepared | None = None

    def linear_predictor(self, data: pd.DataFrame) -> Vector:
        """Linear predictor (log odds) of new rows, shape (n,).

        Raises
        ------
        DesignError, MissingDataError
            As `DesignSpec.matrix`.
        """
        return self._lp(self.spec.matrix(data))

    def _lp(self, X: NDArray[Float]) -> Vector:
        slopes = self.params.to_numpy(dtype=float)[1:]
        centred = X[:, 1:] - np.asarray(self.means)[1:]
        return np.asarray(self.centred_intercept + centred @ slopes)

    def predict(self, data: pd.DataFrame) -> Vector:
        """Probability of the event for new rows, shape (n,)."""
        return np.asarray(special.expit(self.linear_predictor(data)))

    def predict_interval(self, data: pd.DataFrame, *, conf_level: float = 0.95) -> pd.DataFrame:
        """Linear predictor, its standard error, the risk and its Wald limits, one row a patient."""
        X, level = self.spec.matrix(data), check_conf_level(conf_level)
        lp, V = self._lp(X), self.covariance.to_numpy(dtype=float)
        std_error = np.sqrt(np.einsum("ij,jk,ik->i", X, V, X))
        low, high = wald_interval(lp, std_error, level)
        return pd.DataFrame(
            {
                "lp": lp,
                "std_error": std_error,
                "risk": special.expit(lp),
                "conf_low": special.expit(low),
                "conf_high": special.expit(high),
                "conf_level": level,
            },
            index=data.index,
        )

    def frame(self, *, conf_level: float = 0.95) -> pd.DataFrame:
        """One row per coefficient: estimate (log odds), interval, test and p.

        Wald z, except for Firth's method: profile limits and the chi-square of the penalised
        likelihood ratio, with its df. A lasso fit has no standard errors.

        Raises
        ------
        ArgumentError
            Profile limits at another level of a model read from a file.
        """
        return coefficient_table(self, check_conf_level(conf_level))

    def profile_limits(self, conf_level: float = 0.95) -> ProfileLimits | None:
        """Profile limits of a Firth or FLIC fit; None for other methods."""
        if self.method not in PROFILED:
            return None
        known = self.limits
        if known is None or known.conf_level == conf_level:
            return known
        if self.development is None:
            msg = "Profile limits at another level need the data; this model was read from a file."
            raise ArgumentError(msg)
        return firth_limits(self.development, conf_level=conf_level)

    @cached_property
    def limits(self) -> ProfileLimits | None:
        """The 95 % profile limits of a Firth or FLIC fit, computed once; None for others."""
        if self.method not in PROFILED:
            return None
        if self.stored_limits is not None or self.development is None:
            return self.stored_limits
        return firth_limits(self.development)

    @property
    def method_in_words(self) -> str:
        """The estimator, and how the covariance was obtained where that is special."""
        if self.method == "lasso":
            return "lasso, no standard errors"
        return self.method if self.n_cluster is None else f"{self.method}, sandwich by cluster"

    def anova(self, test: str = "wald") -> pd.DataFrame:
        """Tests of whole variables, their curvature and their interactions.

        Parameters
        ----------
        test : {"wald", "lr"}
            Wald chi-square from the covariance, or the likelihood ratio against the model refitted
            without the columns; for Firth's method the penalised likelihood ratio.

        Returns
        -------
        DataFrame
            group, term, statistic, df, p_value, method; rows and labels as R's `rms::anova`.

        Raises
        ------
        ArgumentError
            "lr" of a ridge, lasso or FLAC fit, of clustered rows, or of a model read from a file;
            "wald" of a lasso fit, which has no covariance.
        """
        check_option(test, ("wald", "lr"), name="test")
        if test == "lr":
            return likelihood_ratio_table(
                self.development,
                self.log_likelihood,
                method=self.method,
                clustered=self.n_cluster is not None,
            )
        if self.method == "lasso":
            msg = "A lasso fit has no covariance and no tests; see the path with `lasso_path`."
            raise ArgumentError(msg)
        return anova_table(self.spec, self.params, self.covariance)

    def odds_ratios(self, per: str = "unit", *, conf_level: float = 0.95) -> pd.DataFrame:
        """Odds ratios per unit or per interquartile range; see `odds_ratio_table`.

        Contrasts of one coefficient of a Firth fit have profile limits; the others Wald limits.
        """
        table = odds_ratio_table(
            self.spec, self.params, self.covariance, per=per, conf_level=conf_level
        )
        return with_profile(self, table, per) if self.method in PROFILED else table

    def vif(self) -> pd.Series[float]:
        """Variance inflation per coefficient, as `rms::vif`."""
        return variance_inflation(self.covariance)

    def indices(self) -> pd.Series[float]:
        """Apparent performance: lr_chi2, nagelkerke_r2, auc, dxy, brier, g, gp and more."""
        if self.development is None:
            return pd.Series(self.stored_indices, name="estimate").rename_axis("measure")
        data = self.development
        return fit_indices(
            data.y.astype(float),
            self._lp(data.X),
            data.weights,
            (self.null_log_likelihood, self.log_likelihood),
            len(self.params),
        )

    def summary(self) -> str:
        """The model in text: sample, coefficients with intervals, and its indexes."""
        table = self.frame()[["term", "estimate", "std_error", "conf_low", "conf_high", "p_value"]]
        indices = self.indices()
        figures = ", ".join(
            f"{name} {indices[name]:.3f}" for name in ("lr_chi2", "nagelkerke_r2", "auc", "brier")
        )
        return f"{self!r}\n{table.to_string(index=False, float_format='%.4g')}\n{figures}"

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster, row="row")
        return (
            f"<LogisticFit {self.spec.outcome}: {len(self.params) - 1} df, "
            f"{self.method_in_words}; n = {self.n}, events = {self.n_event}, unit: {unit}, "
            f"{self.n_dropped} rows with missing values left out>"
        )

    def to_json(self, path: str | Path) -> None:
        """Write the model, without any patient's row, atomically."""
        from usstats._fits.json_file import write_fit

        write_fit(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> LogisticFit:
        """Read a model back; an edited, damaged or newer file is refused.

        Raises
        ------
        SchemaError
            With the path of the fault inside the file.
        """
        from usstats._fits.json_file import read_fit

        return read_fit(path)


def fit_logistic(
    formula: str | DesignSpec | None = None,
    data: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    terms: Sequence[Term | Mapping[str, Any]] | None = None,
    method: str = "ml",
    penalty: float | Mapping[str, float] | None = None,
    cluster: str | ArrayLike | None = None,
    weights: str | ArrayLike | None = None,
    missing: str = "error",
) -> LogisticFit:
    """Fit a logistic model.

    Parameters
    ----------
    formula : str or DesignSpec
        "noa ~ logit(dl_prob) + rcs(fsh, 3) + log(volume) + edv". A DesignSpec refits an earlier
        model's columns, knots and levels as they are.
    data : DataFrame, n rows
        Development data; the outcome is 0/1 or bool.
    outcome, terms : str, list of Term or dict
        Instead of a formula, where names hold spaces or units.
    method : {"ml", "firth", "flic", "flac", "ridge", "lasso"}
        "firth": Jeffreys' penalty, finite under separation, with profile limits; "flic" and
        "flac" correct its intercept for prediction. "ridge": rms's quadratic penalty. "lasso":
        glmnet's L1 penalty, without standard errors.
    penalty : float or mapping, optional
        "ridge": a factor, or factors for simple, nonlinear, interaction and
        nonlinear.interaction columns; by default that with the largest corrected AIC. "lasso":
        glmnet's lambda, to be chosen with `lasso_path`.
    cluster : str or array_like, shape (n,), optional
        Column or labels of patients with several rows; the covariance of "ml" and "ridge" is then
        the Huber-White sandwich over patients, without a small-sample factor (R's `robcov`).
    weights : str or array_like, shape (n,), optional
        Positive case weights.
    missing : {"error", "complete_case"}
        Refuse missing values, or leave those rows out and record how many.

    Returns
    -------
    LogisticFit

    Raises
    ------
    DesignError
        A formula outside the grammar, constant or dependent columns, n <= number of parameters,
        infinite values, an identifier or the outcome among the predictors.
    MissingDataError, OutcomeError, ArgumentError, PairingError
    SeparationError
        Maximum likelihood of separated data; the variable is named.
    FitError
        The likelihood was not maximised.

    Warns
    -----
    SmallSampleWarning
        A level with one patient only.

    Notes
    -----
    Newton's method with internal scaling; the same numbers as R's `rms::lrm(eps = 1e-11)`. Firth:
    Heinze and Schemper (2002), R's `logistf`; FLIC and FLAC: Puhr et al. (2017).

    Examples
    --------
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0, 1, 2, 3, 4, 5]})
    >>> fit_logistic("y ~ x", data).params.round(3).to_dict()
    {'Intercept': -3.035, 'x': 1.214}
    """
    check_method(method)
    prepared = prepare(
        formula,
        data,
        outcome=outcome,
        terms=terms,
        cluster=cluster,
        weights=weights,
        missing=missing,
        penalised=PENALISED[method],
    )
    solution = maximise(prepared, method=method, penalty=penalty)
    names = list(prepared.spec.column_names)
    return LogisticFit(
        params=pd.Series(solution.params, index=names, name="estimate"),
        covariance=pd.DataFrame(solution.covariance, index=names, columns=names),
        spec=prepared.spec,
        method=method,
        penalty=solution.penalty,
        effective_df=solution.effective_df,
        penalised_log_likelihood=solution.penalised_log_likelihood,
        n=len(prepared.y),
        n_event=int(prepared.y.sum()),
        n_cluster=None if prepared.cluster is None else int(prepared.cluster.max()) + 1,
        n_dropped=prepared.n_dropped,
        missing=prepared.missing,
        log_likelihood=solution.log_likelihood,
        null_log_likelihood=solution.null_log_likelihood,
        means=tuple(float(mean) for mean in solution.means),
        centred_intercept=solution.centred_intercept,
        n_iter=solution.n_iter,
        development=prepared,
    )
