"""Cox regression against R's survival, lifelines, and sums written out event by event."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from scipy import optimize, stats

from tests.reference import ReferenceCase, load_case, matrix_frame, read_reference_table
from tests.usstats.survival_data import cohort, tied_table
from usstats._fits.json_file import content_digest
from usstats._survival.cox_data import read_survival_model
from usstats._survival.partial_likelihood import PartialLikelihood
from usstats.decision import decision_curve_survival
from usstats.errors import (
    ArgumentError,
    DesignError,
    MissingDataError,
    OutcomeError,
    PairingError,
    SchemaError,
    SeparationError,
)
from usstats.survival import CoxFit, fit_cox

FORMULA = "Surv(time, dead) ~ age + sex + ph.ecog"
COLUMNS = ("age", "sex", "ph.ecog")


@pytest.fixture(scope="module")
def case() -> ReferenceCase:
    return load_case("surv_cox_lung")


@pytest.fixture(scope="module")
def lung(case: ReferenceCase) -> pd.DataFrame:
    table = case.table()
    return table.assign(dead=table["status"] == 2)


@pytest.fixture(scope="module")
def fit(lung: pd.DataFrame) -> CoxFit:
    return fit_cox(FORMULA, lung, missing="complete_case")


@pytest.fixture(scope="module")
def tied() -> pd.DataFrame:
    return tied_table()


class TestReference:
    def test_coefficients(self, case: ReferenceCase, fit: CoxFit) -> None:
        case.check(fit.n, "n")
        case.check(fit.n_event, "events")
        frame = fit.frame().set_index("term")
        ratios = fit.hazard_ratios().set_index("term")
        for name in COLUMNS:
            case.check(fit.params[name], f"coef.{name}")
            case.check(frame.loc[name, "std_error"], f"se.{name}")
            case.check(frame.loc[name, "statistic"], f"z.{name}")
            case.check(frame.loc[name, "p_value"], f"p.{name}")
            case.check(ratios.loc[name, "estimate"], f"hr.{name}")
            case.check(ratios.loc[name, "conf_low"], f"hr_lower.{name}")
            case.check(ratios.loc[name, "conf_high"], f"hr_upper.{name}")

    def test_covariance(self, case: ReferenceCase, fit: CoxFit) -> None:
        case.check(fit.covariance.to_numpy(), "vcov.values")
        assert list(fit.covariance.index) == list(matrix_frame(case.expected["vcov"]).index)

    def test_likelihood_and_tests(self, case: ReferenceCase, fit: CoxFit) -> None:
        case.check(fit.null_log_likelihood, "loglik_null")
        case.check(fit.log_likelihood, "loglik")
        tests = fit.tests().set_index("method")
        case.check(tests.loc["likelihood ratio", "statistic"], "lr.chi2")
        case.check(tests.loc["likelihood ratio", "df"], "lr.df")
        case.check(tests.loc["likelihood ratio", "p_value"], "lr.p")
        case.check(tests.loc["score", "statistic"], "score.chi2")
        case.check(tests.loc["score", "p_value"], "score.p")
        # R prints this one with two decimals
        case.check(round(tests.loc["wald", "statistic"], 2), "wald.chi2")

    def test_breslow_ties(self, case: ReferenceCase, lung: pd.DataFrame) -> None:
        fit = fit_cox(FORMULA, lung, ties="breslow", missing="complete_case")
        for name in COLUMNS:
            case.check(fit.params[name], f"breslow_coef.{name}")
        case.check(fit.log_likelihood, "breslow_loglik")

    def test_proportional_hazards(self, case: ReferenceCase, fit: CoxFit) -> None:
        table = fit.proportional_hazards()
        assert table["term"].tolist() == case.expected["zph"]["rows"]
        case.check(table["statistic"], "zph.chi2")
        case.check(table["df"], "zph.df")
        case.check(table["p_value"], "zph.p")

    def test_concordance(self, case: ReferenceCase, fit: CoxFit) -> None:
        case.check(fit.indices()["concordance"], "concordance")

    def test_predicted_risk_is_that_of_survfit(self, fit: CoxFit, lung: pd.DataFrame) -> None:
        expected = read_reference_table("risk_lung.csv")[["full_180", "full_365"]]
        rows = lung.dropna(subset="ph.ecog")
        np.testing.assert_allclose(fit.risk(rows, [180, 365]), expected, rtol=1e-9)
        predicted = read_reference_table("pred_lung.csv")
        np.testing.assert_allclose(fit.linear_predictor(rows), predicted["lp"], rtol=1e-8)


def naive_terms(
    beta: np.ndarray, X: np.ndarray, time: np.ndarray, event: np.ndarray, ties: str
) -> list[tuple[float, int, float, np.ndarray, float]]:
    """(time, row, log-likelihood, mean at risk, weight at risk) of every event, one by one."""
    w = np.exp(X @ beta)
    found = []
    for t in np.unique(time[event == 1]):
        risk = time >= t
        failing = np.flatnonzero((time == t) & (event == 1))
        for place, row in enumerate(failing):
            share = place / failing.size if ties == "efron" else 0.0
            weight = w * risk
            weight[failing] *= 1 - share
            mean = weight @ X / weight.sum()
            found.append((t, row, X[row] @ beta - np.log(weight.sum()), mean, weight.sum()))
    return found


def naive_log_likelihood(
    beta: np.ndarray, X: np.ndarray, time: np.ndarray, event: np.ndarray, ties: str
) -> float:
    return sum(term[2] for term in naive_terms(beta, X, time, event, ties))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
class TestAgainstSumsWrittenOut:
    def arrays(self, tied: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tied[["x", "z"]].to_numpy(), tied["days"].to_numpy(), tied["dead"].to_numpy()

    def test_maximum(self, tied: pd.DataFrame, ties: str) -> None:
        X, time, event = self.arrays(tied)
        centre, spread = X.mean(axis=0), X.std(axis=0)
        Z = (X - centre) / spread
        found = optimize.minimize(
            lambda b: -naive_log_likelihood(b, Z, time, event, ties), np.zeros(2), tol=1e-12
        )
        fit = fit_cox("Surv(days, dead) ~ x + z", tied, ties=ties)
        np.testing.assert_allclose(fit.params, found.x / spread, rtol=1e-4)
        assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-8)

    def test_derivatives(self, tied: pd.DataFrame, ties: str) -> None:
        X, time, event = self.arrays(tied)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        likelihood = PartialLikelihood.of(X, time, event, ties=ties)
        beta, step = np.array([0.3, -0.2]), 1e-5
        value, gradient, information = likelihood.derivatives(beta)
        assert value == pytest.approx(naive_log_likelihood(beta, X, time, event, ties))
        for j, direction in enumerate(np.eye(2) * step):
            ahead, behind = (likelihood.derivatives(beta + s * direction) for s in (1, -1))
            assert (ahead[0] - behind[0]) / (2 * step) == pytest.approx(gradient[j], rel=1e-6)
            np.testing.assert_allclose(
                (behind[1] - ahead[1]) / (2 * step), information[j], rtol=1e-6
            )

    def test_score_residuals(self, tied: pd.DataFrame, ties: str) -> None:
        X, time, event = self.arrays(tied)
        beta = np.array([0.3, -0.02])
        residuals = PartialLikelihood.of(X, time, event, ties=ties).score_residuals(beta)
        expected = np.zeros_like(X)
        for t, group in itertools.groupby(
            naive_terms(beta, X, time, event, ties), key=lambda term: term[0]
        ):
            terms = list(group)
            failing = (time == t) & (event == 1)
            average = np.mean([term[3] for term in terms], axis=0)
            expected[failing] += X[failing] - average
            for place, (_, _, _, mean, total) in enumerate(terms):
                weight = np.exp(X @ beta) * (time >= t)
                weight[failing] *= 1 - (place / len(terms) if ties == "efron" else 0)
                expected -= (X - mean) * weight[:, None] / total
        np.testing.assert_allclose(residuals, expected, atol=1e-10)

    def test_baseline(self, tied: pd.DataFrame, ties: str) -> None:
        X, time, event = self.arrays(tied)
        fit = fit_cox("Surv(days, dead) ~ x + z", tied, ties=ties)
        terms = naive_terms(fit.params.to_numpy(), X - X.mean(axis=0), time, event, ties)
        hazard = sum(1 / term[4] for term in terms if term[0] <= 5)
        assert fit.baseline_survival(5) == pytest.approx(np.exp(-hazard))


class TestAgainstLifelines:
    """An independent implementation; it stops when coefficients are right to five digits."""

    def test_ties_and_dummies(self, tied: pd.DataFrame) -> None:
        ours = fit_cox("Surv(days, dead) ~ x + z + group", tied)
        data = tied.assign(b=tied["group"] == "b", c=tied["group"] == "c").astype(
            {"b": float, "c": float}
        )
        theirs = CoxPHFitter().fit(data[["days", "dead", "x", "z", "b", "c"]], "days", "dead")
        np.testing.assert_allclose(ours.params, theirs.params_, rtol=2e-4)
        np.testing.assert_allclose(
            np.sqrt(np.diag(ours.covariance)), theirs.standard_errors_, rtol=1e-4
        )
        assert ours.log_likelihood == pytest.approx(theirs.log_likelihood_, abs=1e-7)

    def test_sandwich_without_ties(self) -> None:
        data = cohort(150, 8).assign(who=np.arange(150) // 3)
        ours = fit_cox("Surv(time, event) ~ x", data, cluster="who")
        theirs = CoxPHFitter().fit(
            data[["time", "event", "x", "who"]], "time", "event", cluster_col="who", robust=True
        )
        assert ours.frame()["std_error"][0] == pytest.approx(theirs.standard_errors_["x"], rel=1e-3)
        assert ours.n_cluster == 50

    def test_penalty(self, tied: pd.DataFrame) -> None:
        """lifelines' penaliser is ours per row, on standardised columns."""
        ours = fit_cox("Surv(days, dead) ~ x + z", tied, penalty=0.3 * len(tied))
        theirs = CoxPHFitter(penalizer=0.3).fit(tied[["days", "dead", "x", "z"]], "days", "dead")
        np.testing.assert_allclose(ours.params, theirs.params_, rtol=1e-3)


class TestLaws:
    def test_unit_of_time(self, tied: pd.DataFrame) -> None:
        fit = fit_cox("Surv(days, dead) ~ x + z", tied)
        hours = fit_cox("Surv(days, dead) ~ x + z", tied.assign(days=tied["days"] * 24))
        pd.testing.assert_series_equal(fit.params, hours.params)
        np.testing.assert_allclose(fit.risk(tied, 6), hours.risk(tied, 144), rtol=1e-12)

    def test_origin_and_unit_of_a_covariate(self, tied: pd.DataFrame) -> None:
        """x + 1e8 and x * 1e12 lose no more than the digits the column itself lost."""
        fit = fit_cox("Surv(days, dead) ~ x + z", tied)
        for far in (tied["x"] + 1e8, tied["x"] * 1e12):
            moved = tied.assign(x=far)
            np.testing.assert_allclose(
                fit_cox("Surv(days, dead) ~ x + z", moved).risk(moved, 6),
                fit.risk(tied, 6),
                rtol=1e-7,
            )

    def test_order_of_rows(self, tied: pd.DataFrame) -> None:
        fit = fit_cox("Surv(days, dead) ~ x + group", tied)
        again = fit_cox("Surv(days, dead) ~ x + group", tied.sample(frac=1, random_state=1))
        np.testing.assert_allclose(fit.params, again.params, rtol=1e-9)

    def test_one_row_a_cluster_is_the_robust_covariance(self, tied: pd.DataFrame) -> None:
        fit = fit_cox("Surv(days, dead) ~ x + z", tied, cluster=np.arange(len(tied)))
        X = tied[["x", "z"]].to_numpy()
        likelihood = PartialLikelihood.of(
            X - X.mean(axis=0), tied["days"].to_numpy(), tied["dead"].to_numpy(), ties="efron"
        )
        beta = fit.params.to_numpy()
        U = likelihood.score_residuals(beta)
        V = np.linalg.inv(likelihood.derivatives(beta)[2])
        np.testing.assert_allclose(fit.covariance, V @ U.T @ U @ V, rtol=1e-8)

    def test_copies_of_patients_within_their_cluster(self, tied: pd.DataFrame) -> None:
        """Breslow ties: every row three times leaves estimate and clustered covariance alone."""
        who = np.arange(len(tied))
        once = fit_cox("Surv(days, dead) ~ x + z", tied, cluster=who, ties="breslow")
        thrice = fit_cox(
            "Surv(days, dead) ~ x + z",
            pd.concat([tied] * 3, ignore_index=True),
            cluster=np.tile(who, 3),
            ties="breslow",
        )
        np.testing.assert_allclose(once.params, thrice.params, rtol=1e-8)
        np.testing.assert_allclose(once.covariance, thrice.covariance, rtol=1e-7)

    def test_score_test_of_two_groups_is_the_log_rank_test(self, tied: pd.DataFrame) -> None:
        """Without ties the two are the same number."""
        data = cohort(60, 5).assign(treated=np.arange(60) % 2)
        score = fit_cox("Surv(time, event) ~ treated", data).score_chi2
        treated = data["treated"] == 1
        expected = stats.logrank(
            stats.CensoredData.right_censored(data["time"][treated], data["event"][treated] == 0),
            stats.CensoredData.right_censored(data["time"][~treated], data["event"][~treated] == 0),
        )
        assert score == pytest.approx(expected.statistic**2, rel=1e-9)

    def test_survival_falls_and_risk_follows_the_linear_predictor(self, fit: CoxFit, lung) -> None:
        rows = lung.dropna(subset="ph.ecog")
        S = fit.survival(rows, [0, 30, 100, 365, 1000])
        assert (S[:, 0] == 1).all()
        assert (np.diff(S, axis=1) <= 0).all()
        rank = stats.rankdata(fit.linear_predictor(rows))
        np.testing.assert_array_equal(stats.rankdata(fit.risk(rows, 365)), rank)
        np.testing.assert_allclose(fit.risk(rows, 100) + fit.survival(rows, 100), 1)

    def test_nomogram_interface(self, fit: CoxFit, lung: pd.DataFrame) -> None:
        """S = S0 ** exp(lp), lp = X b - centre, centre = mean of X b over the fitted rows."""
        rows = lung.dropna(subset="ph.ecog")
        X = fit.spec.matrix(rows)[:, 1:]
        assert "Intercept" not in fit.params.index
        assert fit.centre == pytest.approx(float((X @ fit.params).mean()))
        np.testing.assert_allclose(fit.linear_predictor(rows), X @ fit.params - fit.centre)
        np.testing.assert_allclose(
            fit.survival(rows, 365),
            fit.baseline_survival(365) ** np.exp(fit.linear_predictor(rows)),
        )
        assert fit.baseline_survival([180.0, 365.0]).shape == (2,)

    def test_penalty_shrinks(self, tied: pd.DataFrame) -> None:
        fits = [fit_cox("Surv(days, dead) ~ x + z", tied, penalty=p) for p in (0, 1, 10, 1e6)]
        sizes = [abs(fit.params["x"]) for fit in fits]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] < 1e-4
        plain = fit_cox("Surv(days, dead) ~ x + z", tied)
        np.testing.assert_allclose(fits[0].params, plain.params, rtol=1e-10)
        assert fits[0].effective_df == pytest.approx(2)
        assert fits[2].effective_df < 2

    def test_spline_terms_have_their_own_lines(self, tied: pd.DataFrame) -> None:
        """In the analysis of variance, and as one block in the test over time."""
        fit = fit_cox("Surv(days, dead) ~ rcs(x, 3) + group", tied)
        table = fit.anova()
        assert table["term"].tolist() == ["x", "Nonlinear", "group", "TOTAL"]
        assert table["df"].tolist() == [2, 1, 2, 4]
        assert fit.proportional_hazards()["df"].tolist() == [2, 2, 4]

    def test_hazard_ratio_per_iqr(self, fit: CoxFit, lung: pd.DataFrame) -> None:
        ages = lung.dropna(subset="ph.ecog")["age"].quantile([0.25, 0.75]).to_numpy()
        row = fit.hazard_ratios("iqr").set_index("group").loc["age"]
        assert row["estimate"] == pytest.approx(np.exp(fit.params["age"] * np.ptp(ages)))

    def test_time_varying_effect_is_found(self) -> None:
        """A hazard that turns round at time 0.5 fails the test, a constant one does not."""
        rng = np.random.default_rng(7)
        x = rng.choice([-1.0, 1.0], 800)
        early = rng.exponential(np.exp(-x))
        late = 0.5 + rng.exponential(np.exp(x))
        turned = pd.DataFrame({"t": np.where(early < 0.5, early, late), "e": 1, "x": x})
        assert fit_cox("Surv(t, e) ~ x", turned).proportional_hazards()["p_value"][0] < 1e-6
        constant = turned.assign(t=early)
        for transform in ("km", "identity", "log"):
            table = fit_cox("Surv(t, e) ~ x", constant).proportional_hazards(transform)
            assert table["p_value"][0] > 0.01


class TestRiskInterval:
    def test_gradient_of_the_baseline(self, tied: pd.DataFrame) -> None:
        """The standard error's delta method, against differences of the hazard itself."""
        fit = fit_cox("Surv(days, dead) ~ x + z", tied)
        X, new = tied[["x", "z"]].to_numpy(), tied.iloc[[4]]
        time, event = tied["days"].to_numpy(), tied["dead"].to_numpy()
        row = new[["x", "z"]].to_numpy()[0]

        def log_hazard(beta: np.ndarray) -> float:
            terms = naive_terms(beta, X - row, time, event, "efron")
            return float(np.log(sum(1 / term[4] for term in terms if term[0] <= 6)))

        beta = fit.params.to_numpy()
        slope = optimize.approx_fprime(beta, log_hazard, 1e-7)
        terms = naive_terms(beta, X - row, time, event, "efron")
        steps = np.array([1 / term[4] for term in terms if term[0] <= 6])
        variance = (steps**2).sum() / steps.sum() ** 2
        expected = np.sqrt(variance + slope @ fit.covariance.to_numpy() @ slope)
        found = fit.predict_interval(new, horizon=6)
        assert found["std_error"].iloc[0] == pytest.approx(expected, rel=1e-4)
        assert found["risk"].iloc[0] == pytest.approx(-np.expm1(-steps.sum()))
        assert (found["conf_low"] < found["risk"]).all()
        assert (found["risk"] < found["conf_high"]).all()

    @pytest.mark.slow
    def test_coverage(self) -> None:
        """95 % limits of the risk by time 1 at x = 0.5 hold the truth in 93 to 97 % of cohorts."""
        new, truth = pd.DataFrame({"x": [0.5]}), -np.expm1(-np.exp(0.5))
        held = []
        for seed in range(1000):
            fit = fit_cox("Surv(time, event) ~ x", cohort(150, seed))
            row = fit.predict_interval(new, horizon=1).iloc[0]
            held.append(row["conf_low"] <= truth <= row["conf_high"])
        assert 0.93 <= np.mean(held) <= 0.97


class TestCalls:
    """The ways to name time, event and terms."""

    def test_spellings_agree(self, tied: pd.DataFrame) -> None:
        expected = fit_cox("Surv(days, dead) ~ x + z", tied).params
        renamed = tied.rename(columns={"days": "follow-up (days)", "dead": "died?"})
        named = {"time": "days", "event": "dead"}
        fits = [
            fit_cox("~ x + z", tied, **named),
            fit_cox("x + z", tied, **named),
            fit_cox(data=tied, terms=[{"name": "x"}, {"name": "z"}], **named),
            fit_cox("~ x + z", renamed, time="follow-up (days)", event="died?"),
        ]
        for fit in fits:
            pd.testing.assert_series_equal(fit.params, expected)
        assert fits[-1].time == "follow-up (days)"
        assert fits[-1].event == "died?"

    def test_refit_of_a_design(self, tied: pd.DataFrame) -> None:
        fit = fit_cox("Surv(days, dead) ~ rcs(x, 3)", tied)
        again = fit_cox(fit.spec, tied.iloc[:60], time="days")
        assert again.spec is fit.spec
        assert list(again.params.index) == ["x", "x'"]

    def test_kinds_of_columns(self, tied: pd.DataFrame) -> None:
        expected = fit_cox("Surv(days, dead) ~ x", tied).params
        for dtype in ("Int64", "boolean", bool, float):
            pd.testing.assert_series_equal(
                fit_cox("Surv(days, dead) ~ x", tied.astype({"dead": dtype})).params, expected
            )
        nullable = tied.astype({"days": "Int64", "x": "Float64"})
        pd.testing.assert_series_equal(fit_cox("Surv(days, dead) ~ x", nullable).params, expected)

    @pytest.mark.parametrize(
        ("formula", "options", "text"),
        [
            ("dead ~ x", {}, r'The left side of a Cox formula is "Surv\(time, event\)"'),
            ("~ x", {}, "needs the names of two columns"),
            ("~ x", {"time": "days"}, "needs the names of two columns"),
            (None, {"time": "days", "event": "dead"}, "either a formula, or `terms`"),
            ("Surv(days, dead) ~ x", {"time": "z"}, r"The formula says Surv\(days, dead\)"),
            ("Surv(days, dead) ~ x + days", {}, "`days` is the time or the event"),
            ("Surv(days, days) ~ x", {}, "`days` is the time or the event"),
            ("Surv(days, dead) ~ sqrt(x)", {}, r"at character 20: .*calls sqrt\(\)"),
            ("Surv(days, late) ~ x", {}, "no column `late`"),
            ("Surv(days, dead) ~ patient_id", {}, "names patients"),
        ],
    )
    def test_refused(self, tied: pd.DataFrame, formula, options, text: str) -> None:
        with pytest.raises(DesignError, match=text):
            fit_cox(formula, tied, **options)

    def test_position_in_a_message_is_that_of_the_formula(self) -> None:
        with pytest.raises(DesignError, match=r"character 13: '\^ 2' is not part"):
            read_survival_model("Surv(t,e)~x ^ 2", None, None, None)


class TestBadInput:
    @pytest.mark.parametrize(
        ("column", "values", "error", "text"),
        [
            ("days", lambda t: -t["days"], OutcomeError, "`days` must not be negative; 80 of 80"),
            ("days", lambda t: t["days"].where(t["x"] < 1), MissingDataError, "`days` 1"),
            ("days", lambda t: t["days"].replace(2.0, np.inf), OutcomeError, "`days` must be fin"),
            ("days", lambda t: pd.to_datetime("2020-01-01"), OutcomeError, "`days` holds dates"),
            ("days", lambda t: "12 months", OutcomeError, "`days` must be numeric"),
            ("dead", lambda t: 0, OutcomeError, r"`dead` holds no event \(n = 80\)"),
            ("dead", lambda t: t["dead"] + 1, OutcomeError, r"must be 0/1 or bool; it holds \["),
            ("dead", lambda t: "yes", OutcomeError, "holds labels"),
            ("dead", lambda t: t["dead"].where(t["x"] < 1), OutcomeError, "missing outcomes"),
            ("x", lambda t: t["x"].where(t["x"] < 1), MissingDataError, "`x` 1"),
            ("x", lambda t: 4.0, DesignError, r"without variation.*`x` \(always 4\)"),
            ("x", lambda t: 2 * t["z"], DesignError, "depend on each other: `x`, `z`"),
        ],
    )
    def test_columns(self, tied: pd.DataFrame, column, values, error, text: str) -> None:
        with pytest.raises(error, match=text):
            fit_cox("Surv(days, dead) ~ x + z", tied.assign(**{column: values(tied)}))

    def test_options(self, tied: pd.DataFrame) -> None:
        with pytest.raises(ArgumentError, match="`ties` must be one of 'efron', 'breslow'"):
            fit_cox("Surv(days, dead) ~ x", tied, ties="exact")
        with pytest.raises(ArgumentError, match="`data` is missing"):
            fit_cox("Surv(days, dead) ~ x")
        with pytest.raises(ArgumentError, match="`missing` must be one of"):
            fit_cox("Surv(days, dead) ~ x", tied, missing="drop")
        with pytest.raises(ArgumentError, match="`penalty` must be a number >= 0"):
            fit_cox("Surv(days, dead) ~ x", tied, penalty=-1)
        with pytest.raises(PairingError, match="`cluster` holds one patient"):
            fit_cox("Surv(days, dead) ~ x", tied, cluster=np.zeros(80))
        with pytest.raises(DesignError, match="only 2 rows"):
            fit_cox("Surv(days, dead) ~ x + z", tied.head(2))

    @pytest.mark.parametrize("horizon", [-1, 1e6, np.nan, np.inf, "a year"])
    def test_horizons(self, fit: CoxFit, lung: pd.DataFrame, horizon) -> None:
        rows = lung.dropna(subset="ph.ecog")
        with pytest.raises(ArgumentError, match=r"`times` must be"):
            fit.risk(rows, horizon)
        with pytest.raises(ArgumentError, match=r"`times` must be"):
            fit.baseline_survival(horizon)

    def test_new_patients(self, fit: CoxFit, lung: pd.DataFrame) -> None:
        with pytest.raises(MissingDataError, match=r"`ph.ecog` 1"):
            fit.risk(lung, 365)
        with pytest.raises(DesignError, match="no column `age`"):
            fit.risk(lung.drop(columns="age"), 365)

    def test_complete_cases_are_counted(self, fit: CoxFit) -> None:
        assert fit.n_dropped == 1
        assert dict(fit.missing) == {"ph.ecog": 1}

    def test_no_interval_before_the_first_event(self, tied: pd.DataFrame) -> None:
        data = tied.assign(days=tied["days"] + 10)
        fit = fit_cox("Surv(days, dead) ~ x", data)
        with pytest.raises(ArgumentError, match="No event happened by the horizon 5"):
            fit.predict_interval(data, horizon=5)

    def test_test_of_proportional_hazards_needs_data(self, tied: pd.DataFrame) -> None:
        with pytest.raises(ArgumentError, match="needs a fit with no penalty"):
            fit_cox("Surv(days, dead) ~ x", tied, penalty=1).proportional_hazards()
        zero = fit_cox("Surv(days, dead) ~ x", tied.assign(days=tied["days"] - 1))
        with pytest.raises(ArgumentError, match="needs positive event times; `days` holds 0"):
            zero.proportional_hazards("log")


class TestMonotoneLikelihood:
    def test_level_without_events(self, tied: pd.DataFrame) -> None:
        data = tied.assign(dead=np.where(tied["group"] == "b", 0, tied["dead"]))
        with pytest.raises(SeparationError, match="Monotone likelihood: at every event `group`"):
            fit_cox("Surv(days, dead) ~ x + group", data)
        assert np.isfinite(fit_cox("Surv(days, dead) ~ x + group", data, penalty=1).params).all()

    def test_perfect_ranking(self) -> None:
        data = pd.DataFrame({"t": np.arange(1.0, 21), "e": 1, "x": np.arange(20.0)[::-1]})
        noise = np.random.default_rng(2).normal(size=20)
        with pytest.raises(SeparationError, match="at every event `x` is extreme"):
            fit_cox("Surv(t, e) ~ x + noise", data.assign(noise=noise))

    def test_one_event(self) -> None:
        data = pd.DataFrame({"t": [3.0, 1, 2, 4], "e": [0, 1, 0, 0], "x": [1.0, 5, 2, 3]})
        with pytest.raises(SeparationError, match="1 events in 4 rows"):
            fit_cox("Surv(t, e) ~ x", data)

    def test_strong_effect_is_no_monotone_one(self) -> None:
        """A spread of the linear predictor over 15 is looked at, and let pass."""
        data = cohort(300, 4, effect=4.0)
        fit = fit_cox("Surv(time, event) ~ x", data)
        assert np.ptp(fit.linear_predictor(data)) > 15
        assert fit.params["x"] == pytest.approx(4.0, rel=0.2)


class TestFiles:
    def test_round_trip(self, fit: CoxFit, lung: pd.DataFrame, tmp_path: Path) -> None:
        path, rows = tmp_path / "cox.json", lung.dropna(subset="ph.ecog")
        fit.to_json(path)
        again = CoxFit.from_json(path)
        np.testing.assert_array_equal(again.risk(rows, [90, 365]), fit.risk(rows, [90, 365]))
        pd.testing.assert_frame_equal(again.frame(), fit.frame())
        pd.testing.assert_frame_equal(again.hazard_ratios("iqr"), fit.hazard_ratios("iqr"))
        pd.testing.assert_frame_equal(
            again.predict_interval(rows, horizon=365), fit.predict_interval(rows, horizon=365)
        )
        pd.testing.assert_series_equal(again.indices(), fit.indices())
        assert repr(again) == repr(fit)
        again.to_json(tmp_path / "twice.json")
        assert (tmp_path / "twice.json").read_bytes() == path.read_bytes()
        with pytest.raises(ArgumentError, match="this model was read from a file"):
            again.proportional_hazards()

    def test_splines_factors_and_penalty(self, tied: pd.DataFrame, tmp_path: Path) -> None:
        fit = fit_cox(
            "Surv(days, dead) ~ rcs(x, 3) * group", tied, penalty={"simple": 1, "nonlinear": 3}
        )
        fit.to_json(tmp_path / "cox.json")
        again = CoxFit.from_json(tmp_path / "cox.json")
        np.testing.assert_array_equal(again.risk(tied, 5), fit.risk(tied, 5))
        assert again.penalty == fit.penalty

    def edited(self, fit: CoxFit, tmp_path: Path, change, *, sign: bool) -> Path:
        path = tmp_path / "cox.json"
        fit.to_json(path)
        content = json.loads(path.read_text("utf-8"))
        change(content)
        if sign:
            content["sha256"] = content_digest(content)
        path.write_text(json.dumps(content), "utf-8")
        return path

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda c: c["params"].update(age=0.5), r"\$.sha256: the content does not match"),
            (lambda c: c["params"].pop("age"), r"\$.params: `age` is missing"),
            (lambda c: c.update(schema_version=9), r"version 9 is newer"),
            (lambda c: c.update(schema_name="usstats.logistic"), r"expected 'usstats.cox'"),
            (lambda c: c.update(ties="exact"), r"\$.ties"),
            (lambda c: c.update(ties=None), r"\$.ties"),
            (lambda c: c["baseline"]["hazard"].pop(), r"must have \d+ steps"),
            (lambda c: c["baseline"]["hazard"].reverse(), "must rise"),
            (lambda c: c["baseline"].update(last=3.0), "up to `last`"),
            (lambda c: c["means"].pop(), r"\$.means: must hold 3 numbers"),
            (lambda c: c.update(extra=1), r"\$.extra"),
        ],
    )
    def test_faults(self, fit: CoxFit, tmp_path: Path, change, text: str) -> None:
        with pytest.raises(SchemaError, match=text):
            CoxFit.from_json(self.edited(fit, tmp_path, change, sign="sha256" not in text))


class TestReading:
    def test_repr(self, fit: CoxFit) -> None:
        assert repr(fit) == (
            "<CoxFit Surv(time, dead): 3 df, cox, efron ties; n = 227, events = 164, unit: row, "
            "1 rows with missing values left out>"
        )

    def test_summary(self, fit: CoxFit) -> None:
        text = fit.summary()
        assert "likelihood ratio" in text
        assert "ph.ecog" in text

    def test_frame_of_a_clustered_fit(self, tied: pd.DataFrame) -> None:
        frame = fit_cox("Surv(days, dead) ~ x", tied, cluster="patient_id").frame()
        assert frame["n_cluster"][0] == tied["patient_id"].nunique()
        assert frame["method"][0] == "cox, efron ties, sandwich by cluster"

    def test_indices(self, fit: CoxFit, lung: pd.DataFrame) -> None:
        """Nagelkerke's R2 by its formula, g as the mean distance of all pairs."""
        found, n = fit.indices(), fit.n
        lr = 2 * (fit.log_likelihood - fit.null_log_likelihood)
        r2 = (1 - np.exp(-lr / n)) / (1 - np.exp(2 * fit.null_log_likelihood / n))
        lp = fit.linear_predictor(lung.dropna(subset="ph.ecog"))
        pairs = np.abs(lp[:, None] - lp).sum() / (n * (n - 1))
        assert found["nagelkerke_r2"] == pytest.approx(r2)
        assert found["g"] == pytest.approx(pairs)
        assert found["dxy"] == pytest.approx(2 * found["concordance"] - 1)

    def test_results_do_not_change(self, fit: CoxFit) -> None:
        with pytest.raises(AttributeError):
            fit.n = 3  # type: ignore[misc]


def test_risks_feed_the_survival_decision_curve() -> None:
    """At low thresholds a true model is worth as much as treating all, later more than both."""
    data = cohort(3000, 11)
    fit = fit_cox("Surv(time, event) ~ x", data)
    curve = decision_curve_survival(
        data["time"],
        data["event"],
        {"cox": fit.predict(data, horizon=1)},
        horizon=1,
        thresholds=[0.01, 0.5, 0.7],
    )
    benefit = curve.frame().pivot_table(
        index="threshold_probability", columns="model", values="net_benefit"
    )
    assert benefit.loc[0.01, "cox"] == pytest.approx(benefit.loc[0.01, "treat_all"], abs=2e-3)
    assert (benefit.loc[[0.5, 0.7], "cox"] > benefit.loc[[0.5, 0.7], "treat_all"] + 0.05).all()
    assert (benefit.loc[[0.5, 0.7], "cox"] > 0.05).all()


def test_import_loads_no_lifelines() -> None:
    code = "import sys, usstats.survival; print('lifelines' in sys.modules)"
    found = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


def test_lone_level_warns(tied: pd.DataFrame) -> None:
    data = tied.assign(group=["lone", *tied["group"][1:]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_cox("Surv(days, dead) ~ x + group", data, penalty=1)
    assert any("one patient only has level ['lone']" in str(w.message) for w in caught)
