"""External validation: discrimination, calibration, net benefit and the risks, never one alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import ArrayLike

from usstats._check import (
    check_cluster,
    check_lengths,
    check_option,
    check_outcome,
    check_risk,
    seed_or_fresh,
)
from usstats._external.centres import METHODS, centre_rows, check_centre, heterogeneity_table
from usstats._external.tables import (
    MODEL,
    OVERALL,
    in_order,
    net_benefit_rows,
    risk_distribution,
    risk_table,
)
from usstats._intervals import check_conf_level
from usstats.calibration import Calibration, assess_calibration
from usstats.decision import DecisionCurve, decision_curve
from usstats.errors import ArgumentError
from usstats.resample import Resamples
from usstats.results import Estimate, unit_of_analysis
from usstats.roc import RocCurve, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ExternalValidation", "evaluate"]

#: Used where no range is stated: 5 % to 50 %. The clinical decision should choose it (rule R11).
DEFAULT_THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 11))
#: Resamples drawn where only a seed is given.
DEFAULT_BOOT = 500


@dataclass(frozen=True, kw_only=True, repr=False)
class ExternalValidation:
    """What a model is worth in a cohort it has not seen. Made by `evaluate`.

    Attributes
    ----------
    discrimination : Estimate
        AUC; Obuchowski's variance where patients have several rows.
    calibration : Calibration
    net_benefit : DecisionCurve
        Its model is called "model".
    roc : RocCurve
        With a band where resamples were drawn.
    centres : tuple of str
    """

    discrimination: Estimate
    calibration: Calibration
    net_benefit: DecisionCurve
    roc: RocCurve
    centres: tuple[str, ...]
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    _table: pd.DataFrame = field(repr=False)
    _risks: pd.DataFrame = field(repr=False)
    _distribution: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure and group ("overall", then each centre), estimate with limits.

        `threshold_probability` is filled for net_benefit and its treat_all companion.
        """
        return self._table.copy()

    def risks(self) -> pd.DataFrame:
        """Distribution of the predicted risks by group and outcome: n, mean, SD and quantiles."""
        return self._risks.copy()

    def risk_distribution(self) -> pd.DataFrame:
        """Mean and quartiles of the risks by group and outcome, one a row with its interval.

        Columns: group, outcome, measure, estimate, std_error, conf_low, conf_high, method, n,
        n_cluster (with patients), conf_level. Limits of the mean are Wald's, those of quantiles
        Woodruff's (1952, JASA 47:635), over patients.
        """
        return self._distribution.copy()

    def heterogeneity(
        self, *, method: str = "reml", conf_level: float | None = None
    ) -> pd.DataFrame:
        """Random-effects summary over centres: how performance varies from place to place.

        Parameters
        ----------
        method : {"reml", "dl"}
            Between-centre variance by restricted maximum likelihood or DerSimonian and Laird.
        conf_level : float, optional
            That of the evaluation unless stated.

        Returns
        -------
        DataFrame
            Rows auc (pooled as a logit), oe_ratio (as a logarithm), calibration_in_the_large and
            calibration_slope. Columns: measure, scale, estimate, std_error (on that scale),
            conf_low, conf_high, conf_level, prediction_low, prediction_high (for a new centre),
            tau (on that scale), i2, statistic (Cochran's Q), df, p_value, method, n_centre.

        Raises
        ------
        ArgumentError
            No centres, or an unknown method.

        Warns
        -----
        SmallSampleWarning
            Centres without a standard error (one class, an AUC of 1) that could not enter.

        Notes
        -----
        Intervals by Hartung and Knapp on k - 1 df, prediction intervals on k - 2 (Higgins et al.
        2009; Debray et al. 2017, BMJ 356:i6460; Snell et al. 2018, Stat Methods Med Res 27:3505
        for the scales). R: ``metafor::rma(test = "knha")``. NaN with fewer than two centres,
        the prediction interval with fewer than three; with few centres it is too short (Partlett
        and Riley 2017, Stat Med 36:301).
        """
        check_option(method, METHODS, name="method")
        if not self.centres:
            msg = "There are no centres: call `evaluate` with `centre`."
            raise ArgumentError(msg)
        level = self.conf_level if conf_level is None else check_conf_level(conf_level)
        rows = self._table[self._table["group"].isin(self.centres)]
        return heterogeneity_table(rows, method=method, conf_level=level)

    def summary(self) -> str:
        """All four parts in words."""
        medians = self._risks[self._risks["group"] == OVERALL].set_index("outcome")["median"]
        return "\n".join(
            [
                self.discrimination.summary(),
                self.calibration.summary(),
                self.net_benefit.summary(),
                f"Median risk {medians['event']:.3f} in events, {medians['non_event']:.3f} in "
                "non-events",
                *([f"Centres: {', '.join(self.centres)}"] if self.centres else []),
            ]
        )

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        slope = self.calibration.frame().set_index("measure")["estimate"]["calibration_slope"]
        return (
            f"<ExternalValidation: AUC {self.discrimination.estimate:.3f}, slope {slope:.3f}, "
            f"net benefit at {self.net_benefit.thresholds.size} thresholds; n = {self.n}, "
            f"events = {self.n_event}, unit: {unit}, {self.conf_level * 100:g} % intervals>"
        )

    def plot(self, ax: Axes | None = None, *, panel: str | None = None) -> Axes:
        """Draw the four parts side by side, or one of them.

        Parameters
        ----------
        ax : Axes, optional
            What is drawn fills its area; a fresh 174 mm figure without it.
        panel : {None, "roc", "calibration", "net_benefit", "risks"}

        Returns
        -------
        Axes
            `ax`, or the axes of the first panel.
        """
        from usstats.plots.external import plot_external, plot_external_panel

        if panel is not None:
            return plot_external_panel(self, panel, ax)
        return plot_external(self, ax)


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    centre: ArrayLike | None = None,
    thresholds: ArrayLike = DEFAULT_THRESHOLDS,
    smoother: str = "loess",
    min_events: int = 100,
    prevalence: float | None = None,
    n_boot: int | None = None,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
    conf_level: float = 0.95,
) -> ExternalValidation:
    """Evaluate predicted risks in an external cohort.

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcome, 0/1 or bool.
    p : array_like, shape (n,)
        Predicted probability of the event in [0, 1], from a model fitted elsewhere.
    cluster : array_like, shape (n,), optional
        Patient labels where a patient has several rows; every interval is then over patients.
    centre : array_like, shape (n,), optional
        Centre labels: AUC, calibration in the large, slope, O:E and Brier score by centre.
    thresholds : array_like
        Range in which the clinical decision is open; 0.05 to 0.50 unless stated.
    smoother, min_events
        As in `assess_calibration`.
    prevalence : float, optional
        For the net benefit of a case-control sample.
    n_boot, seed : int, optional
        Ask for bootstrap intervals of net benefit, ICI, E50, E90, Emax and both curves; 500
        resamples where only a seed is given. Without them ICI and its companions have no
        interval; everything else has a closed one.
    resamples : Resamples or array_like, shape (n_boot, n), optional
        Explicit 0-based draws of patients instead.
    conf_level : float

    Returns
    -------
    ExternalValidation
        Discrimination, calibration, net benefit and risk distributions together (Van Calster et
        al. 2025, Lancet Digital Health).

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        The flexible curve is withheld, or a centre has one class only (NaN) or fewer than 10
        events or non-events.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> p = rng.uniform(0.05, 0.95, 600)
    >>> result = evaluate(rng.random(600) < p, p, thresholds=[0.2, 0.5])
    >>> sorted(set(result.frame()["measure"]))[:3]
    ['auc', 'brier', 'brier_scaled']
    """
    outcome, risk = check_outcome(y), check_risk(p)
    n = check_lengths(y=outcome, p=risk)
    who = check_cluster(cluster, n)
    where = check_centre(centre, n)
    drawn = _draws(n_boot, seed, resamples)
    shared: dict[str, Any] = {"cluster": cluster, "conf_level": conf_level}
    roc = roc_curve(outcome, risk, **shared, **({"band": "bootstrap", **drawn} if drawn else {}))
    calibration = assess_calibration(
        outcome, risk, smoother=smoother, min_events=min_events, **shared, **drawn
    )
    resampled: dict[str, Any] = {"ci": "bootstrap", **drawn} if drawn else {}
    curve = decision_curve(
        outcome, {MODEL: risk}, thresholds=thresholds, prevalence=prevalence, **shared, **resampled
    )
    parts = [
        roc.auc.frame(),
        calibration.frame(),
        net_benefit_rows(curve, outcome, risk, who, prevalence),
    ]
    overall = pd.concat(parts, ignore_index=True).assign(group=OVERALL)
    centres = [centre_rows(k, outcome, risk, who, rows, conf_level) for k, rows in where.items()]
    return ExternalValidation(
        discrimination=roc.auc,
        calibration=calibration,
        net_benefit=curve,
        roc=roc,
        centres=tuple(where),
        conf_level=conf_level,
        n=n,
        n_event=int(outcome.sum()),
        n_cluster=calibration.n_cluster,
        _table=in_order(pd.concat([overall, *centres], ignore_index=True)),
        _risks=risk_table(outcome, risk, where),
        _distribution=risk_distribution(outcome, risk, who, where, conf_level),
    )


def _draws(
    n_boot: int | None, seed: int | None, resamples: ArrayLike | Resamples | None
) -> dict[str, Any]:
    """What the parts need to resample; nothing where no resamples were asked for."""
    if resamples is not None:
        return {"resamples": resamples}
    if n_boot is None and seed is None:
        return {}
    return {"n_boot": DEFAULT_BOOT if n_boot is None else n_boot, "seed": seed_or_fresh(seed)}
