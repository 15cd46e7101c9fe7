"""Sample size and power: R's numbers, and simulations of the very studies they plan."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import usstats
from tests.reference import load_case
from usstats._sizes.development import cox_snell_of_auc
from usstats._sizes.roc import binormal_covariance
from usstats._sizes.validation import hanley_mcneil_newcombe
from usstats.errors import ArgumentError
from usstats.samplesize import (
    design_effect,
    power_auc,
    power_auc_difference,
    power_readers,
    sample_size_accuracy,
    sample_size_auc,
    sample_size_auc_difference,
    sample_size_development,
    sample_size_development_survival,
    sample_size_readers,
    sample_size_validation,
)

PILOT = {
    "reader_condition": 0.0002,
    "error": 0.0008,
    "cov_1": 0.00034,
    "cov_2": 0.00034,
    "cov_3": 0.00024,
    "n_case": 114,
}
R_COLUMNS = [
    "n",
    "shrinkage",
    "parameters",
    "r2_cox_snell",
    "r2_max",
    "r2_nagelkerke",
    "events_per_parameter",
]


class TestDevelopment:
    @pytest.mark.parametrize(
        ("which", "arguments"),
        [
            ("a", {"parameters": 24, "prevalence": 0.174, "r2_cox_snell": 0.288}),
            ("b", {"parameters": 8, "prevalence": 0.4, "r2_nagelkerke": 0.25}),
            ("c", {"parameters": 12, "prevalence": 0.05, "r2_cox_snell": 0.1, "shrinkage": 0.95}),
        ],
    )
    def test_binary_as_pmsampsize(self, which, arguments):
        case = load_case("samplesize_pmsampsize_binary")
        needed = sample_size_development(**arguments)
        printed = np.array(case.value(f"{which}.table"))[:3]
        digits = [0, 3, 0, 3, 3, 3, 2]
        ours = needed.criteria[R_COLUMNS].to_numpy(dtype=float)
        atol = np.array([0.5 * 10.0**-d if d else 0.0 for d in digits])
        assert (np.abs(ours - printed) <= atol * 1.001).all()
        case.check(needed.n, f"{which}.sample_size")
        case.check(needed.n_event, f"{which}.events")
        case.check(needed.criteria["shrinkage"].iloc[2], f"{which}.final_shrinkage")
        case.check(needed.criteria["r2_cox_snell"].iloc[0], f"{which}.rsquared")
        case.check(needed.criteria["r2_max"].iloc[0], f"{which}.max_r2a")
        case.check(needed.criteria["r2_nagelkerke"].iloc[0], f"{which}.nag_r2")

    def test_survival_as_pmsampsize(self):
        case = load_case("samplesize_pmsampsize_survival")
        needed = sample_size_development_survival(
            30, 0.065, horizon=2, mean_follow_up=2.07, r2_cox_snell=0.051
        )
        printed = np.array(case.value("a.table"))
        assert needed.criteria["n"].tolist()[:2] == printed[:2, 0].tolist()
        case.check(needed.n, "a.sample_size")
        case.check(needed.n_event, "a.events")
        case.check(needed.criteria["r2_max"].iloc[0], "a.max_r2a")
        case.check(needed.criteria["r2_nagelkerke"].iloc[0], "a.nag_r2")
        case.check(needed.criteria["shrinkage"].iloc[0], "a.final_shrinkage")

    def test_noa_study_is_a_hundred_patients_short(self):
        needed = sample_size_development(6, 0.42, auc=0.85)
        assert needed.n == 375
        assert needed.shortfall(275) == 100
        assert needed.assess(275).startswith("275 patients are 100 short of the 375")
        assert needed.assess(400).startswith("400 patients meet every criterion")

    def test_r2_of_an_auc_is_what_a_large_fit_finds(self):
        rng = np.random.default_rng(5)
        y = (rng.random(400_000) < 0.3).astype(int)
        lp = rng.normal(y * math.sqrt(2) * special.ndtri(0.8), 1)
        fit = usstats.fit_logistic("y ~ lp", pd.DataFrame({"y": y, "lp": lp}))
        r2 = 1 - math.exp(-2 * (fit.log_likelihood - fit.null_log_likelihood) / len(y))
        assert r2 == pytest.approx(cox_snell_of_auc(0.8, 0.3), abs=0.003)

    def test_first_criterion_solves_the_shrinkage_formula(self):
        """S = 1 + p / (n ln(1 - R2 / S)) holds at n, and fails for one patient fewer."""
        p, r2 = 10, 0.2
        n = sample_size_development(p, 0.3, r2_cox_snell=r2).criteria["n"].iloc[0]
        expected = [1 + p / (size * math.log(1 - r2 / 0.9)) for size in (n - 1, n)]
        assert expected[0] < 0.9 <= expected[1]

    def test_third_survival_criterion_is_the_smallest_precise_enough(self):
        rate, at, follow_up = 0.1, 3.0, 2.5
        needed = sample_size_development_survival(
            5, rate, horizon=at, mean_follow_up=follow_up, r2_cox_snell=0.1, margin=0.02
        )
        n = needed.criteria.set_index("criterion").loc["overall risk", "n"]

        def reach(size: int) -> float:
            half = 1.959964 * math.sqrt(rate / (follow_up * size))
            risk = [1 - math.exp(-(rate + side * half) * at) for side in (-1, 0, 1)]
            return max(risk[1] - risk[0], risk[2] - risk[1])

        assert reach(n) <= 0.02 < reach(n - 1)

    def test_more_parameters_never_need_fewer_patients(self):
        sizes = [sample_size_development(p, 0.1, auc=0.75).n for p in range(1, 40)]
        assert sizes == sorted(sizes)

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"parameters": 0, "prevalence": 0.3, "auc": 0.8}, "`parameters` must be a whole"),
            ({"parameters": 5, "prevalence": 1.2, "auc": 0.8}, "`prevalence` must be a number"),
            ({"parameters": 5, "prevalence": 0.3}, "exactly once: `auc`"),
            ({"parameters": 5, "prevalence": 0.3, "auc": 0.8, "r2_cox_snell": 0.1}, "exactly once"),
            ({"parameters": 5, "prevalence": 0.3, "auc": 0.4}, "`auc` must be a number"),
            ({"parameters": 5, "prevalence": 0.01, "r2_cox_snell": 0.4}, "`r2_cox_snell` must be"),
            (
                {"parameters": 5, "prevalence": 0.5, "r2_cox_snell": 0.6, "shrinkage": 0.5},
                "no sample size follows",
            ),
        ],
    )
    def test_refuses_what_makes_no_sense(self, arguments, text):
        with pytest.raises(ArgumentError, match=text):
            sample_size_development(**arguments)


class TestValidation:
    def test_as_pmvalsampsize(self):
        case = load_case("samplesize_pmvalsampsize")
        needed = sample_size_validation(0.018, 0.8, lp_mean=-5, lp_sd=2.5, oe_width=1)
        rows = needed.criteria.set_index("criterion")
        case.check(needed.n, "a.sample_size")
        case.check(rows.loc["oe_ratio", "std_error"], "a.se_oe")
        case.check(rows.loc["calibration_slope", "std_error"], "a.se_cslope")
        case.check(rows.loc["auc", "std_error"], "a.se_cstat")
        printed = np.array(case.value("a.table"))[:3, 0]
        np.testing.assert_allclose(rows["n"], printed, rtol=0.01)
        half = special.ndtri(0.975) * rows.loc["oe_ratio", "std_error"]
        case.check(math.exp(-half), "a.lb_oe")
        case.check(math.exp(half), "a.ub_oe")

    def test_slope_size_by_simulated_information(self):
        rng = np.random.default_rng(2)
        lp = rng.normal(-1, 1.3, 1_000_000)
        w = special.expit(lp) * special.expit(-lp)
        information = np.array([w.mean(), (w * lp).mean(), (w * lp**2).mean()])
        se = 0.2 / (2 * special.ndtri(0.975))
        n = information[0] / (se**2 * (information[0] * information[2] - information[1] ** 2))
        rows = sample_size_validation(0.3, 0.8, lp_mean=-1, lp_sd=1.3).criteria
        assert rows.set_index("criterion").loc["calibration_slope", "n"] == pytest.approx(
            n, rel=0.01
        )

    def test_default_linear_predictor_has_the_prevalence_and_the_auc(self):
        """Its information equals that of the mixture drawn at random."""
        rng = np.random.default_rng(3)
        d, middle = math.sqrt(2) * special.ndtri(0.8), special.logit(0.3)
        y = rng.random(1_000_000) < 0.3
        lp = rng.normal(middle + np.where(y, 1, -1) * d**2 / 2, d)
        assert special.expit(lp).mean() == pytest.approx(0.3, abs=0.002)
        given = usstats.auc(y[:100_000], lp[:100_000]).estimate
        assert given == pytest.approx(0.8, abs=0.005)

    def test_auc_row_is_the_smallest_precise_enough(self):
        n = sample_size_validation(0.3, 0.8).criteria.set_index("criterion").loc["auc", "n"]
        widths = [
            2 * special.ndtri(0.975) * math.sqrt(hanley_mcneil_newcombe(0.8, size, 0.3))
            for size in (n - 1, n)
        ]
        assert widths[0] > 0.1 >= widths[1]

    def test_net_benefit_size_by_simulation(self):
        """At the size given, the standard deviation of standardised net benefit is as asked."""
        phi, at, se, sp = 0.3, 0.2, 0.9, 0.6
        needed = sample_size_validation(
            phi, 0.8, threshold=at, sensitivity=se, specificity=sp, net_benefit_width=0.1
        )
        row = needed.criteria.set_index("criterion").loc["standardized_net_benefit"]
        rng = np.random.default_rng(4)
        n = int(row["n"])
        events = rng.binomial(n, phi, 20_000)
        true_positive = rng.binomial(events, se)
        false_positive = rng.binomial(n - events, 1 - sp)
        benefit = (true_positive - false_positive * at / (1 - at)) / events
        assert benefit.mean() == pytest.approx(row["estimate"], abs=0.001)
        assert benefit.std() == pytest.approx(row["std_error"], rel=0.03)

    def test_refuses_half_of_what_belongs_together(self):
        with pytest.raises(ArgumentError, match="`lp_mean` and `lp_sd` together"):
            sample_size_validation(0.3, 0.8, lp_mean=0)
        with pytest.raises(ArgumentError, match="`sensitivity` and `specificity` together"):
            sample_size_validation(0.3, 0.8, threshold=0.2)
        with pytest.raises(ArgumentError, match="more than 1e"):
            sample_size_validation(0.3, 0.8, slope_width=1e-5)

    def test_buderer_as_epir(self):
        case = load_case("samplesize_se_sp_buderer")
        case.check([sample_size_accuracy(0.9, 0.3).n], "a")
        case.check([sample_size_accuracy(0.85, 0.3, measure="specificity").n], "b")

    def test_relative_margin_is_a_share_of_the_expected_value(self):
        relative = sample_size_accuracy(0.8, 0.3, margin=0.1, relative=True)
        assert relative.n == sample_size_accuracy(0.8, 0.3, margin=0.08).n


class TestAuc:
    def test_as_proc(self):
        case = load_case("roc_power_basic")
        for which, needed in {
            "a": sample_size_auc(0.8, power=0.9),
            "c": sample_size_auc(0.7, power=0.8, ratio=2),
        }.items():
            case.check(needed.criteria["n_event"].iloc[0], f"{which}.ncases")
            case.check(needed.criteria["n_nonevent"].iloc[0], f"{which}.ncontrols")
        case.check(power_auc(0.75, n_event=40, n_nonevent=60), "b.power")

    def test_pilot_as_proc(self):
        case = load_case("roc_power_basic")
        table = case.table()
        y = (table["outcome"] == "Poor").astype(int)
        needed = sample_size_auc_difference(pilot=(y, table["s100b"], table["ndka"]))
        case.check(needed.criteria["n_event"].iloc[0], "d.ncases")
        case.check(needed.criteria["n_nonevent"].iloc[0], "d.ncontrols")
        pilot = (y, table["s100b"], table["wfns"])
        case.check(power_auc_difference(pilot=pilot, n_event=int(y.sum())), "e.power")

    def test_power_and_size_are_inverse(self):
        needed = sample_size_auc_difference(0.9, 0.8, correlation=0.4, power=0.85, ratio=3)
        row = needed.criteria.iloc[0]
        reached = power_auc_difference(
            0.9, 0.8, n_event=row["n_event"], n_nonevent=row["n_nonevent"], correlation=0.4
        )
        assert reached == pytest.approx(0.85, abs=1e-12)

    def test_binormal_covariance_by_simulation(self):
        rng = np.random.default_rng(0)
        r, m, n = 0.5, 100, 200
        root = np.linalg.cholesky([[1, r], [r, 1]])
        shift = math.sqrt(2) * special.ndtri([0.8, 0.7])
        y = np.r_[np.ones(m, int), np.zeros(n, int)]
        aucs = []
        for _ in range(1500):
            scores = rng.normal(size=(m + n, 2)) @ root.T + np.outer(y, shift)
            ranks = stats.rankdata(scores, axis=0)[:m].sum(axis=0)
            aucs.append((ranks - m * (m + 1) / 2) / (m * n))
        simulated = m * np.cov(np.transpose(aucs))
        assert simulated[0, 1] == pytest.approx(binormal_covariance(0.8, 0.7, r, n / m), rel=0.12)
        assert simulated[0, 0] == pytest.approx(binormal_covariance(0.8, 0.8, 1, n / m), rel=0.12)

    def test_pairing_helps_more_the_more_the_scores_agree(self):
        sizes = [
            sample_size_auc_difference(0.85, 0.75, correlation=r).n for r in (0.0, 0.3, 0.6, 0.9)
        ]
        assert sizes == sorted(sizes, reverse=True)

    def test_refuses_what_makes_no_sense(self):
        with pytest.raises(ArgumentError, match=r"Both AUCs are 0\.8"):
            sample_size_auc_difference(0.8, 0.8)
        with pytest.raises(ArgumentError, match="either both expected AUCs or a `pilot`"):
            sample_size_auc_difference(0.8)
        with pytest.raises(ArgumentError, match="`power` must be a number"):
            sample_size_auc(0.8, power=90)


class TestDesignEffect:
    def test_one_image_a_patient_changes_nothing(self):
        assert design_effect(1, 0.7) == 1.0

    def test_identical_images_are_worth_one(self):
        needed = sample_size_auc(0.8)
        row = needed.for_images(images_per_patient=5, icc=1.0).iloc[0]
        assert row["n_image"] == 5 * needed.n
        assert row["n_patient"] == needed.n

    def test_variance_of_a_mean_by_simulation(self):
        rng = np.random.default_rng(1)
        sizes = rng.integers(1, 8, 2000)
        icc, m, cv = 0.4, sizes.mean(), sizes.std() / sizes.mean()
        patient = np.repeat(np.arange(2000), sizes)
        means = [
            (
                np.sqrt(icc) * rng.normal(size=2000)[patient]
                + np.sqrt(1 - icc) * rng.normal(size=len(patient))
            ).mean()
            for _ in range(1000)
        ]
        effect = np.var(means) * len(patient)
        assert effect == pytest.approx(design_effect(m, icc, cv=cv), rel=0.15)

    def test_refuses_fewer_than_one_image(self):
        with pytest.raises(ArgumentError, match="`images_per_patient`"):
            design_effect(0.5, 0.2)


class TestReaders:
    def test_grid_is_the_power_of_each_study(self):
        grid = sample_size_readers(0.05, variances=PILOT, readers=[4, 8], cases=[80, 160])
        assert grid.table().shape == (2, 2)
        one = power_readers(0.05, variances=PILOT, n_reader=8, n_case=160)
        assert grid.table().loc[8, 160] == one
        assert (grid.frame()["sufficient"] == (grid.frame()["power"] >= 0.8)).all()

    def test_smallest_is_the_fewest_cases_that_suffice(self):
        grid = sample_size_readers(0.05, variances=PILOT, readers=[6], cases=range(40, 400, 20))
        enough = grid.frame().query("sufficient")["n_case"].min()
        assert grid.smallest()["n_case"].tolist() == [enough]

    def test_power_grows_with_readers_cases_and_difference(self):
        table = sample_size_readers(0.04, variances=PILOT).table()
        assert (table.diff(axis=0).dropna() > -1e-12).all(axis=None)
        assert (table.diff(axis=1).dropna(axis=1) > -1e-12).all(axis=None)
        assert power_readers(0.0, variances=PILOT, n_reader=5, n_case=100) == pytest.approx(0.05)

    @pytest.mark.parametrize("random_readers", [True, False])
    def test_power_by_simulating_the_model(self, random_readers):
        """Figures of merit drawn from the model, tested by the F (chi-square) test itself."""
        rng = np.random.default_rng(11)
        j, n_case, d = 6, 150, 0.05
        shrink = PILOT["n_case"] / n_case
        error, c1, c2, c3 = (PILOT[k] * shrink for k in ("error", "cov_1", "cov_2", "cov_3"))
        same_reader = np.kron(np.ones((2, 2)), np.eye(j)).astype(bool)
        same_condition = np.kron(np.eye(2), np.ones((j, j))).astype(bool)
        v = np.select(
            [same_reader & same_condition, same_reader, same_condition], [error, c1, c2], c3
        )
        merit = rng.multivariate_normal(np.zeros(2 * j), v, 6000).reshape(-1, 2, j)
        merit[:, 0] += d
        if random_readers:
            merit += rng.normal(0, math.sqrt(PILOT["reader_condition"]), merit.shape)
        gap = merit[:, 0] - merit[:, 1]
        ms_t = j * gap.mean(axis=1) ** 2 / 2
        if random_readers:
            ms_tr = gap.var(axis=1, ddof=1) / 2
            noise = ms_tr + j * (c2 - c3)
            df = (noise / ms_tr) ** 2 * (j - 1)
            rejected = ms_t / noise > stats.f.isf(0.05, 1, df)
        else:
            rejected = ms_t / (error - c1 + (j - 1) * (c2 - c3)) > stats.chi2.isf(0.05, 1)
        power = power_readers(
            d, variances=PILOT, n_reader=j, n_case=n_case, random_readers=random_readers
        )
        assert rejected.mean() == pytest.approx(power, abs=0.035)

    def test_refuses_what_makes_no_sense(self):
        partial = {name: value for name, value in PILOT.items() if name != "cov_3"}
        with pytest.raises(ArgumentError, match="lacks cov_3"):
            power_readers(0.05, variances=partial, n_reader=5, n_case=100)
        with pytest.raises(ArgumentError, match="error variance must exceed"):
            power_readers(0.05, variances=PILOT | {"error": 0.0001}, n_reader=5, n_case=100)
        with pytest.raises(ArgumentError, match="nothing varies"):
            power_readers(
                0.05,
                variances=PILOT,
                n_reader=5,
                n_case=100,
                random_readers=False,
                random_cases=False,
            )
        with pytest.raises(ArgumentError, match="`readers` is empty"):
            sample_size_readers(0.05, variances=PILOT, readers=[])

    def test_plot_draws_one_line_for_each_number_of_cases(self):
        grid = sample_size_readers(0.05, variances=PILOT, readers=[4, 8], cases=[80, 160])
        ax = grid.plot()
        drawn = {line.get_label(): list(line.get_ydata()) for line in ax.lines[1:]}
        assert drawn == {
            f"{cases} cases": grid.table()[cases].tolist() for cases in grid.table().columns
        }


def test_a_nagelkerke_r2_becomes_cox_snells_with_three_decimals():
    # 0.3 of a maximum of 0.7053 is 0.2116, which pmsampsize takes as 0.212: 745 patients, not 747
    needed = sample_size_development(20, 0.3, r2_nagelkerke=0.3)
    by_hand = math.ceil(20 / ((0.9 - 1) * math.log(1 - 0.212 / 0.9)))
    assert needed.criteria["n"].iloc[0] == by_hand == 745
    tiny = sample_size_development(2, 0.01, r2_nagelkerke=0.002)
    assert tiny.criteria["r2_cox_snell"].iloc[0] > 0


def test_a_grid_of_readers_is_named_in_a_line():
    pilot = {
        "reader_condition": 0.0002,
        "error": 0.0008,
        "cov_1": 0.00034,
        "cov_2": 0.00034,
        "cov_3": 0.00024,
        "n_case": 114,
    }
    grid = sample_size_readers(0.05, variances=pilot)
    assert len(repr(grid)) < 200
    assert repr(grid).count("readers x") == 3  # the heading, the first and the last that suffice
    assert grid.summary().count("readers x") > 3
