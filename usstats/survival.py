"""Cox regression as a frozen model: hazard ratios, tests, survival and risk at a horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from usstats._check import check_option
from usstats._fits.tables import wald_table
from usstats._fits.wald import anova_table, variance_inflation, wald_chi2
from usstats._intervals import check_conf_level, normal_quantile
from usstats._survival.baseline import Baseline
from usstats._survival.censoring import check_horizons
from usstats._survival.cox_data import CoxData, prepare_cox, read_survival_model
from usstats._survival.cox_fitting import maximise_cox
from usstats.contrasts import odds_ratio_table
from usstats.design import INTERCEPT, DesignSpec, Term
from usstats.errors import ArgumentError
from usstats.results import unit_of_analysis

__all__ = ["CoxFit", "fit_cox"]

Float = np.float64
Vector = NDArray[Float]

TIES = ("efron", "breslow")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CoxFit:
    """A fitted Cox model that can be carried to other patients.

    S(t | x) = baseline_survival(t) ** exp(linear_predictor(x)); the linear predictor is centred:
    0 for a patient whose design columns are at their means in development (rms's `cph`).

    Attributes
    ----------
    params : Series, shape (k,)
        Log hazard ratios; names as in rms, no intercept.
    covariance : DataFrame, shape (k, k)
        Their covariance; over patients where the fit had a `cluster`.
    spec : DesignSpec
        Terms, knots, levels and ranges, frozen; its matrix has a column of ones first.
    time, event : str
        Columns of follow-up and event.
    ties : str
    n, n_event : int
        Rows and events the model was fitted on.
    n_cluster : int or None
        Patients, where rows are clustered in them.
    n_dropped, missing : int, mapping
        Rows left out by missing="complete_case", and missing values per column.
    log_likelihood, null_log_likelihood : float
        Partial likelihood at the estimate (less its penalty) and at zero.
    score_chi2 : float
        Score test of all coefficients; the log-rank test where the model is one group.
    means : tuple of float, shape (k,)
        Column means of the development design.
    baseline : Baseline
        Cumulative hazard at these means, by event time.
    penalty, effective_df : mapping, float or None
        Penalty factors and degrees of freedom of a penalised fit.
    """

    params: pd.Series[float]
    covariance: pd.DataFrame
    spec: DesignSpec
    time: str
    event: str
    ties: str
    n: int
    n_event: int
    log_likelihood: float
    null_log_likelihood: float
    score_chi2: float
    means: tuple[float, ...]
    baseline: Baseline
    n_iter: int
    n_cluster: int | None = None
    n_dropped: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    penalty: Mapping[str, float] | None = None
    effective_df: float | None = None
    stored_indices: Mapping[str, float] | None = None
    development: CoxData | None = None

    @property
    def centre(self) -> float:
        """What the linear predictor is centred by: column means times coefficients."""
        return float(np.asarray(self.means) @ self.params.to_numpy(dtype=float))

    def linear_predictor(self, data: pd.DataFrame) -> Vector:
        """X beta - `centre` of new rows, shape (n,): the log hazard ratio against the means.

        Raises
        ------
        DesignError, MissingDataError
            As `DesignSpec.matrix`.
        """
        return self._lp(self.spec.matrix(data))

    def _lp(self, X: NDArray[Float]) -> Vector:
        centred = X[:, 1:] - np.asarray(self.means)
        return np.asarray(centred @ self.params.to_numpy(dtype=float))

    def baseline_survival(self, times: ArrayLike) -> Vector:
        """S0 at some times, for a patient whose linear predictor is 0; shape of `times`.

        Raises
        ------
        ArgumentError
            A time that is negative or after the longest follow-up.
        """
        at = check_horizons(times, self.baseline.last, zero=True)
        return np.asarray(np.exp(-self.baseline.hazard_at(at)).reshape(np.shape(times)))

    def survival(self, data: pd.DataFrame, times: ArrayLike) -> NDArray[Float]:
        """S(t | x) of new rows: (n,) for one time, (n, m) for a list of m.

        Raises
        ------
        ArgumentError, DesignError, MissingDataError
        """
        return np.exp(-self._hazard(data, times))

    def risk(self, data: pd.DataFrame, horizon: ArrayLike) -> NDArray[Float]:
        """1 - S(horizon | x), the risk of the event by then; shapes as `survival`."""
        return -np.expm1(-self._hazard(data, horizon))

    def _hazard(self, data: pd.DataFrame, times: ArrayLike) -> NDArray[Float]:
        at = check_horizons(times, self.baseline.last, zero=True)
        hazard = np.exp(self.linear_predictor(data))[:, None] * self.baseline.hazard_at(at)
        return hazard[:, 0] if np.ndim(times) == 0 else hazard

    def predict(self, data: pd.DataFrame, *, horizon: float) -> Vector:
        """Risk of the event by the horizon, shape (n,): what a decision curve takes."""
        return self.risk(data, float(horizon))

    def predict_interval(
        self, data: pd.DataFrame, *, horizon: float, conf_level: float = 0.95
    ) -> pd.DataFrame:
        """Linear predictor, risk by the horizon and its limits, one row a patient.

        The limits come from log(-log S), whose `std_error` counts the coefficients' error and
        that of the baseline hazard (R: ``survfit(conf.type = "log-log")``).
        """
        X, level = self.spec.matrix(data), check_conf_level(conf_level)
        at = check_horizons(float(horizon), self.baseline.last, name="horizon")
        lp, V = self._lp(X), self.covariance.to_numpy(dtype=float)
        hazard = float(self.baseline.hazard_at(at)[0])
        if hazard == 0:
            msg = f"No event happened by the horizon {horizon:g}: its risk has no interval."
            raise ArgumentError(msg)
        slope = X[:, 1:] - np.asarray(self.means) - self.baseline.gradient_at(at)[0] / hazard
        variance = self.baseline.variance_at(at)[0] / hazard**2
        std_error = np.sqrt(variance + np.einsum("ij,jk,ik->i", slope, V, slope))
        z = normal_quantile(level) * std_error
        return pd.DataFrame(
            {
                "lp": lp,
                "std_error": std_error,
                "risk": -np.expm1(-hazard * np.exp(lp)),
                "conf_low": -np.expm1(-hazard * np.exp(lp - z)),
                "conf_high": -np.expm1(-hazard * np.exp(lp + z)),
                "conf_level": level,
            },
            index=data.index,
        )

    @property
    def method_in_words(self) -> str:
        """Ties, penalty, and how the covariance was obtained where that is special."""
        penalised = "" if self.penalty is None else ", penalised"
        robust = "" if self.n_cluster is None else ", sandwich by cluster"
        return f"cox, {self.ties} ties{penalised}{robust}"

    def frame(self, *, conf_level: float = 0.95) -> pd.DataFrame:
        """One row per coefficient: estimate (log hazard ratio), interval, Wald z and p."""
        return wald_table(self, check_conf_level(conf_level))

    def hazard_ratios(self, per: str = "unit", *, conf_level: float = 0.95) -> pd.DataFrame:
        """Hazard ratios per unit or per interquartile range; see `odds_ratio_table`."""
        params, covariance = self._with_intercept()
        return odds_ratio_table(self.spec, params, covariance, per=per, conf_level=conf_level)

    def anova(self) -> pd.DataFrame:
        """Wald tests of whole variables, curvature and interactions; rows as `anova.rms`."""
        return anova_table(self.spec, *self._with_intercept())

    def vif(self) -> pd.Series[float]:
        """Variance inflation per coefficient, as `rms::vif`."""
        return variance_inflation(self._with_intercept()[1])

    def _with_intercept(self) -> tuple[pd.Series[float], pd.DataFrame]:
        """Coefficients and covariance as the design's columns stand: a zero for the ones."""
        names = [INTERCEPT, *self.params.index]
        return (
            self.params.reindex(names, fill_value=0.0),
            self.covariance.reindex(index=names, columns=names, fill_value=0.0),
        )

    def proportional_hazards(self, transform: str = "km") -> pd.DataFrame:
        """Test that the hazard ratios stay the same over time.

        Parameters
        ----------
        transform : {"km", "identity", "log"}
            The clock g(t): 1 - Kaplan-Meier just before t, time, or its logarithm.

        Returns
        -------
        DataFrame
            term, statistic (chi-square), df, p_value, method; the last row is GLOBAL.

        Raises
        ------
        ArgumentError
            A penalised fit, or one read from a file.

        Notes
        -----
        Score test of the terms times g(t), as ``cox.zph`` of R's survival 3; Grambsch and
        Therneau (1994), Biometrika 81:515.
        """
        from usstats._survival.proportional_hazards import proportional_hazards_table

        return proportional_hazards_table(self, transform)

    def indices(self) -> pd.Series[float]:
        """Apparent performance: lr_chi2, nagelkerke_r2, concordance, dxy, g (as rms's `cph`)."""
        if self.development is None:
            return pd.Series(self.stored_indices, name="estimate").rename_axis("measure")
        from usstats._survival.cox_indices import cox_indices

        return cox_indices(self, self.development, self._lp(self.development.X))

    def tests(self) -> pd.DataFrame:
        """Likelihood-ratio, Wald and score tests of all coefficients: method, statistic, df, p."""
        b, V = self.params.to_numpy(dtype=Float), self.covariance.to_numpy(dtype=Float)
        found = {
            "likelihood ratio": 2 * (self.log_likelihood - self.null_log_likelihood),
            "wald": wald_chi2(np.asarray(b), np.asarray(V), range(b.size)),
            "score": self.score_chi2,
        }
        df = b.size if self.effective_df is None else self.effective_df
        rows = [
            {
                "statistic": chi2,
                "df": df,
                "p_value": float(special.chdtrc(df, chi2)),
                "method": name,
            }
            for name, chi2 in found.items()
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """The model in text: sample, hazard ratios with intervals, and its tests."""
        table = self.hazard_ratios()[
            ["term", "contrast", "estimate", "conf_low", "conf_high", "p_value"]
        ]
        overall = self.tests().to_string(index=False, float_format="%.4g")
        return f"{self!r}\n{table.to_string(index=False, float_format='%.4g')}\n{overall}"

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster, row="row")
        return (
            f"<CoxFit Surv({self.time}, {self.event}): {len(self.params)} df, "
            f"{self.method_in_words}; n = {self.n}, events = {self.n_event}, unit: {unit}, "
            f"{self.n_dropped} rows with missing values left out>"
        )

    def to_json(self, path: str | Path) -> None:
        """Write the model, without any patient's covariates, atomically."""
        from usstats._survival.json_file import write_cox

        write_cox(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> CoxFit:
        """Read a model back; an edited, damaged or newer file is refused.

        Raises
        ------
        SchemaError
            With the path of the fault inside the file.
        """
        from usstats._survival.json_file import read_cox

        return read_cox(path)


def fit_cox(
    formula: str | DesignSpec | None = None,
    data: pd.DataFrame | None = None,
    *,
    time: str | None = None,
    event: str | None = None,
    terms: Sequence[Term | Mapping[str, Any]] | None = None,
    ties: str = "efron",
    penalty: float | Mapping[str, float] | None = None,
    cluster: str | ArrayLike | None = None,
    missing: str = "error",
) -> CoxFit:
    """Fit a Cox proportional hazards model.

    Parameters
    ----------
    formula : str or DesignSpec
        "Surv(time, event) ~ rcs(age, 3) + sex", or "~ rcs(age, 3) + sex" with the columns named
        by `time` and `event`. A DesignSpec refits an earlier model's columns, knots and levels.
    data : DataFrame, n rows
        Development data.
    time, event : str
        Columns of follow-up (not negative, in one unit) and event: 0/1 or bool, 1 where
        follow-up ended with the event.
    terms : list of Term or dict
        Instead of a formula, where names hold spaces or units.
    ties : {"efron", "breslow"}
        How events at the same time are counted.
    penalty : float or mapping, optional
        Quadratic penalty in the scale of the columns, as that of `fit_logistic`'s ridge.
    cluster : str or array_like, shape (n,), optional
        Column or labels of patients with several rows; the covariance is then the sandwich over
        patients (Lin and Wei 1989; R: ``coxph(cluster = )``).
    missing : {"error", "complete_case"}
        Refuse missing values, or leave those rows out and record how many.

    Returns
    -------
    CoxFit

    Raises
    ------
    DesignError, MissingDataError, OutcomeError, ArgumentError, PairingError
    SeparationError
        A monotone likelihood; the variable is named.
    FitError
        The likelihood was not maximised.

    Notes
    -----
    Efron (1977), Breslow (1974); R: ``survival::coxph``, ``rms::cph``. The baseline hazard takes
    ties as the likelihood does, so that survival is that of ``survfit.coxph``.

    Examples
    --------
    >>> data = pd.DataFrame(
    ...     {"months": [2, 3, 5, 8, 9, 12], "dead": [1, 1, 0, 1, 0, 1], "x": [3, 1, 2, 2, 0, 1]})
    >>> fit = fit_cox("Surv(months, dead) ~ x", data)
    >>> fit.params.round(3).to_dict()
    {'x': 1.402}
    >>> fit.risk(data.head(2), 6).round(3)
    array([0.89 , 0.125])
    """
    check_option(ties, TIES, name="ties")
    model = read_survival_model(formula, time, event, terms)
    prepared = prepare_cox(
        model, data, cluster=cluster, missing=missing, penalised=penalty is not None
    )
    solution = maximise_cox(prepared, ties=ties, penalty=penalty)
    names = list(prepared.spec.column_names[1:])
    return CoxFit(
        params=pd.Series(solution.params, index=names, name="estimate"),
        covariance=pd.DataFrame(solution.covariance, index=names, columns=names),
        spec=prepared.spec,
        time=model.time,
        event=model.event,
        ties=ties,
        n=len(prepared.y),
        n_event=int(prepared.y.sum()),
        n_cluster=None if prepared.cluster is None else int(prepared.cluster.max()) + 1,
        n_dropped=prepared.n_dropped,
        missing=prepared.missing,
        log_likelihood=solution.log_likelihood,
        null_log_likelihood=solution.null_log_likelihood,
        score_chi2=solution.score_chi2,
        means=tuple(float(mean) for mean in solution.means),
        baseline=solution.baseline,
        penalty=solution.penalty,
        effective_df=solution.effective_df,
        n_iter=solution.n_iter,
        development=prepared,
    )
