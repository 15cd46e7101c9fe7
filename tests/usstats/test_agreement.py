"""Agreement: R's numbers, naive second implementations, and laws."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import load_case
from usstats.agreement import (
    bland_altman,
    cohen_kappa,
    concordance_correlation,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
)
from usstats.errors import ArgumentError, MissingDataError, PairingError, SmallSampleWarning

RATINGS = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=4, max_size=30).filter(
    lambda rows: len({value for row in rows for value in row}) > 1
)


def naive_alpha(rows, distance):
    """Krippendorff's alpha from all pairs of ratings, written out."""
    units = [[v for v in row if v is not None] for row in rows]
    units = [unit for unit in units if len(unit) > 1]
    everything = [v for unit in units for v in unit]
    n = len(everything)
    seen = sum(
        sum(distance(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1)
        for unit in units
    )
    chance = sum(distance(a, b) for a, b in itertools.permutations(everything, 2)) / (n - 1)
    return 1 - seen / chance


class TestCohen:
    @pytest.mark.parametrize("weights", ["unweighted", "linear", "quadratic"])
    def test_as_in_r(self, weights):
        case = load_case("kappa_vision")
        table = case.table()
        kappa = cohen_kappa(
            table["r.eye"],
            table["l.eye"],
            weights=None if weights == "unweighted" else weights,
            levels=case.inputs["levels"],
        )
        case.check(kappa.estimate, f"{weights}.kappa")
        case.check(kappa.std_error, f"{weights}.ase")
        case.check([kappa.conf_low, kappa.conf_high], f"{weights}.ci")
        case.check(kappa.statistic, f"{weights}.z_h0")
        case.check(kappa.p_value, f"{weights}.p_h0")
        case.check(kappa.n, "n")

    def test_agreement_and_table_as_in_r(self):
        case = load_case("kappa_vision")
        table = case.table()
        kappa = cohen_kappa(table["r.eye"], table["l.eye"])
        case.check(kappa.observed, "agreement")
        case.check(pd.crosstab(table["r.eye"], table["l.eye"]).to_numpy(), "table")
        limits = [kappa.conf_low, kappa.estimate, kappa.conf_high]
        case.check(limits, "psych.unweighted")
        case.check(kappa.std_error**2, "psych.var_unweighted")

    def test_quadratic_kappa_is_a_ratio_of_squared_gaps(self):
        rng = np.random.default_rng(3)
        a = rng.integers(0, 5, 200)
        b = np.clip(a + rng.integers(-1, 2, 200), 0, 4)
        gaps = np.subtract.outer(a, b) ** 2
        kappa = cohen_kappa(a, b, weights="quadratic")
        assert kappa.estimate == pytest.approx(1 - ((a - b) ** 2).mean() / gaps.mean(), abs=1e-12)

    def test_standard_error_by_bootstrap(self):
        rng = np.random.default_rng(8)
        a = rng.integers(0, 3, 400)
        b = np.where(rng.random(400) < 0.7, a, rng.integers(0, 3, 400))
        draws = [rng.integers(0, 400, 400) for _ in range(600)]
        spread = np.std([cohen_kappa(a[rows], b[rows]).estimate for rows in draws])
        assert cohen_kappa(a, b).std_error == pytest.approx(spread, rel=0.1)

    def test_one_image_a_patient_gives_the_plain_interval(self):
        rng = np.random.default_rng(1)
        a, b = rng.integers(0, 3, (2, 60))
        plain, clustered = cohen_kappa(a, b), cohen_kappa(a, b, cluster=np.arange(60))
        assert clustered.std_error == pytest.approx(plain.std_error, rel=1e-12)
        assert clustered.n_cluster == 60

    def test_copied_images_widen_the_interval_back_to_patients(self):
        rng = np.random.default_rng(1)
        a, b = rng.integers(0, 3, (2, 60))
        copied = cohen_kappa(np.repeat(a, 4), np.repeat(b, 4), cluster=np.repeat(np.arange(60), 4))
        assert copied.std_error == pytest.approx(cohen_kappa(a, b).std_error, rel=1e-12)

    def test_rater_order_does_not_matter(self):
        a, b = [0, 1, 2, 2, 1, 0], [0, 1, 1, 2, 2, 0]
        assert cohen_kappa(a, b, weights="linear").estimate == pytest.approx(
            cohen_kappa(b, a, weights="linear").estimate
        )

    def test_perfect_agreement_has_no_wald_interval(self):
        with pytest.warns(SmallSampleWarning, match="has no variance here"):
            kappa = cohen_kappa(["a", "b", "a"], ["a", "b", "a"])
        assert kappa.estimate == 1
        assert math.isnan(kappa.conf_low)

    def test_one_category_only_is_undefined(self):
        with pytest.warns(SmallSampleWarning, match="Only one category"):
            kappa = cohen_kappa([1, 1, 1], [1, 1, 1])
        assert math.isnan(kappa.estimate)

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            (([0, 1], [0, 1, 1]), PairingError, "`rater_1` has 2"),
            (
                ([0, None, 1], [0, 1, 1]),
                MissingDataError,
                r"1 subjects lack a rating \(first: row 1\)",
            ),
            (([], []), ArgumentError, "one row a subject"),
        ],
    )
    def test_refuses_bad_input(self, arguments, error, text):
        with pytest.raises(error, match=text):
            cohen_kappa(*arguments)

    def test_weights_need_an_order(self):
        with pytest.raises(ArgumentError, match="needs the order of the categories"):
            cohen_kappa(["mild", "severe"], ["severe", "mild"], weights="linear")
        with pytest.raises(ArgumentError, match="is not among the levels"):
            cohen_kappa(["mild", "odd"], ["mild", "mild"], levels=["mild", "severe"])
        with pytest.raises(ArgumentError, match="symmetric, with ones"):
            cohen_kappa([0, 1, 0], [1, 0, 0], weights=[[1, 0.5], [0.2, 1]])


class TestManyRaters:
    def test_fleiss_conger_light_as_in_r(self):
        case = load_case("fleiss_kappa_diagnoses")
        table = case.table()[case.inputs["columns"]]
        fleiss = fleiss_kappa(table)
        case.check(fleiss.estimate, "kappa")
        case.check(fleiss.statistic, "z")
        case.check(fleiss.p_value, "p")
        case.check(fleiss.n, "subjects")
        case.check(table.shape[1], "raters")
        case.check(fleiss_kappa(table, method="conger").estimate, "kappa_conger_exact")
        case.check(fleiss_kappa(table, method="light").estimate, "light_kappa")
        categories = case.value("categories")
        assert list(fleiss.levels) == categories
        each = [fleiss_kappa(table == name) for name in categories]
        case.check([kappa.estimate for kappa in each], "category_kappa")
        case.check([kappa.statistic for kappa in each], "category_z")

    def test_conger_and_light_of_two_raters_are_cohen(self):
        rng = np.random.default_rng(4)
        pair = pd.DataFrame(rng.integers(0, 3, (50, 2)))
        cohen = cohen_kappa(pair[0], pair[1]).estimate
        assert fleiss_kappa(pair, method="conger").estimate == pytest.approx(cohen)
        assert fleiss_kappa(pair, method="light").estimate == pytest.approx(cohen)

    @pytest.mark.filterwarnings("ignore:A coefficient of .* has no variance")
    @given(RATINGS)
    def test_fleiss_by_counting_pairs(self, rows):
        x = np.array(rows)
        shares = np.array([(x == c).mean() for c in np.unique(x)])
        agree = np.mean([(a == b) for row in rows for a, b in itertools.permutations(row, 2)])
        chance = (shares**2).sum()
        expected = (agree - chance) / (1 - chance)
        assert fleiss_kappa(x).estimate == pytest.approx(expected, abs=1e-12)

    def test_ac1_of_gwet_2008(self):
        """Table 1 there: 118 agreements on +, 5 on -, 2 disagreements of 125; AC1 0.981..."""
        first = [1] * 118 + [1] * 2 + [0] * 5
        second = [1] * 118 + [0] * 2 + [0] * 5
        observed, positive = 123 / 125, (120 + 118) / 250
        chance = 2 * positive * (1 - positive)
        ac1 = gwet_ac(np.column_stack([first, second]))
        assert ac1.estimate == pytest.approx((observed - chance) / (1 - chance), abs=1e-12)

    def test_ac1_does_not_collapse_when_a_category_is_rare(self):
        ratings = np.array([[1, 1]] * 95 + [[1, 0]] * 3 + [[0, 1]] * 2)
        assert cohen_kappa(*ratings.T).estimate < 0
        assert gwet_ac(ratings).estimate > 0.9

    @pytest.mark.parametrize(
        ("metric", "distance"),
        [
            ("nominal", lambda a, b: float(a != b)),
            ("interval", lambda a, b: (a - b) ** 2),
            ("ratio", lambda a, b: ((a - b) / (a + b)) ** 2 if a + b else 0.0),
        ],
    )
    def test_alpha_by_all_pairs_with_gaps(self, metric, distance):
        rng = np.random.default_rng(6)
        rows = rng.integers(1, 5, (25, 4)).astype(object)
        rows[rng.random((25, 4)) < 0.3] = None
        alpha = krippendorff_alpha(pd.DataFrame(rows).astype("Int64"), metric=metric)
        assert alpha.estimate == pytest.approx(naive_alpha(rows.tolist(), distance), abs=1e-12)

    def test_ordinal_alpha_of_two_categories_is_nominal(self):
        rng = np.random.default_rng(2)
        ratings = rng.integers(0, 2, (30, 3))
        ordinal = krippendorff_alpha(ratings, metric="ordinal").estimate
        assert ordinal == pytest.approx(krippendorff_alpha(ratings).estimate, abs=1e-12)

    def test_alpha_of_krippendorffs_own_example(self):
        """Content Analysis, chapter 12: four observers, twelve units, nominal alpha 0.743."""
        gap = None
        a = [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap]
        b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3]
        c = [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap]
        d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap]
        table = pd.DataFrame({"a": a, "b": b, "c": c, "d": d})
        for metric, printed in {
            "nominal": 0.743,
            "ordinal": 0.815,
            "interval": 0.849,
            "ratio": 0.797,
        }.items():
            assert krippendorff_alpha(table, metric=metric).estimate == pytest.approx(
                printed, abs=0.0006
            )

    @pytest.mark.parametrize("coefficient", [fleiss_kappa, gwet_ac, krippendorff_alpha])
    def test_copied_subjects_with_their_patient_keep_the_interval(self, coefficient):
        rng = np.random.default_rng(9)
        truth = rng.integers(0, 3, 40)
        ratings = np.where(rng.random((40, 3)) < 0.7, truth[:, None], rng.integers(0, 3, (40, 3)))
        once = coefficient(ratings)
        copied = coefficient(np.repeat(ratings, 3, axis=0), cluster=np.repeat(np.arange(40), 3))
        rel = 0.02 if coefficient is krippendorff_alpha else 1e-9
        assert copied.std_error == pytest.approx(once.std_error, rel=rel)

    @pytest.mark.slow
    @pytest.mark.parametrize("coefficient", [fleiss_kappa, gwet_ac, krippendorff_alpha])
    def test_interval_covers_the_population_value(self, coefficient):
        rng = np.random.default_rng(12)

        def draw(n):
            truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
            noise = rng.choice(3, (n, 4), p=[0.5, 0.3, 0.2])
            return np.where(rng.random((n, 4)) < 0.75, truth[:, None], noise)

        counts = draw(20_000)
        shares = np.array([(counts == c).mean() for c in range(3)])
        pairs = list(itertools.combinations(range(4), 2))
        agree = np.mean([(counts[:, a] == counts[:, b]).mean() for a, b in pairs])
        chance = (shares**2).sum()
        if coefficient is gwet_ac:
            chance = (shares * (1 - shares)).sum() / 2
        population = (agree - chance) / (1 - chance)
        found = [coefficient(draw(80)) for _ in range(300)]
        covered = np.mean([e.conf_low <= population <= e.conf_high for e in found])
        assert 0.91 <= covered <= 0.98

    def test_refuses_gaps_where_it_cannot_take_them(self):
        with pytest.raises(MissingDataError, match="krippendorff_alpha or gwet_ac"):
            fleiss_kappa([[1, 2, None], [1, 1, 1]])
        with pytest.raises(ArgumentError, match="No subject was rated twice"):
            gwet_ac([[1, None], [None, 2]])
        with pytest.raises(ArgumentError, match="needs numeric ratings"):
            krippendorff_alpha([["a", "b"]] * 3, metric="interval", levels=["a", "b"])


class TestIcc:
    def test_as_in_r(self):
        case = load_case("icc_shrout_fleiss")
        ratings = case.table()[case.inputs["columns"]]
        rows = icc(ratings).frame().set_index("measure")
        for form, row in rows.iterrows():
            case.check(row["estimate"], f"{form}.icc")
            case.check(row["statistic"], f"{form}.F")
            case.check(row["df"], f"{form}.df1")
            case.check(row["df_2"], f"{form}.df2")
            case.check(row["p_value"], f"{form}.p")
            case.check([row["conf_low"], row["conf_high"]], f"{form}.ci")

    def test_as_in_the_package_irr(self):
        case = load_case("icc_shrout_fleiss")
        ratings = case.table()[case.inputs["columns"]]
        rows = icc(ratings, average_limits="irr").frame().set_index("measure")
        names = {
            "ICC1": "oneway_single",
            "ICC1k": "oneway_average",
            "ICC2": "twoway_agreement_single",
            "ICC2k": "twoway_agreement_average",
            "ICC3": "twoway_consistency_single",
            "ICC3k": "twoway_consistency_average",
        }
        for form, name in names.items():
            row = rows.loc[form]
            case.check(row["estimate"], f"irr.{name}.icc")
            case.check([row["conf_low"], row["conf_high"]], f"irr.{name}.ci")
            case.check(row["statistic"], f"irr.{name}.F")
            if not form.startswith("ICC2"):
                case.check(row["p_value"], f"irr.{name}.p")

    def test_variance_components_are_recovered(self):
        rng = np.random.default_rng(7)
        n, k = 4000, 4
        x = rng.normal(0, 2, (n, 1)) + np.array([-1.5, 0, 0.5, 1.0]) + rng.normal(0, 1, (n, k))
        raters = np.var([-1.5, 0, 0.5, 1.0], ddof=1)
        found = icc(x)
        assert found.form("ICC3").estimate == pytest.approx(4 / 5, abs=0.02)
        assert found.form("ICC2").estimate == pytest.approx(4 / (5 + raters), abs=0.02)

    def test_consistency_ignores_a_rater_who_reads_higher(self):
        x = np.random.default_rng(0).normal(size=(20, 3)) + np.arange(20)[:, None]
        shifted = x + np.array([0, 0, 50])
        same, other = icc(x), icc(shifted)
        assert other.form("ICC3").estimate == pytest.approx(same.form("ICC3").estimate, abs=1e-9)
        assert other.form("ICC2").estimate < 0.2

    def test_patients_are_resampled_whole(self):
        rng = np.random.default_rng(5)
        patient = np.repeat(np.arange(15), 4)
        x = rng.normal(0, 2, 15)[patient, None] + rng.normal(0, 1, (60, 2))
        found = icc(x, cluster=patient, n_boot=300, seed=1).form("ICC2")
        assert found.n_cluster == 15
        assert found.conf_high - found.conf_low > (
            icc(x).form("ICC2").conf_high - icc(x).form("ICC2").conf_low
        )

    def test_refuses_bad_input(self):
        with pytest.raises(MissingDataError, match=r"1 subjects lack .*row 1"):
            icc([[1.0, 2.0], [np.nan, 1.0], [2.0, 2.0]])
        with pytest.raises(ArgumentError, match="Measurements must be numbers"):
            icc([["a", "b"], ["c", "d"]])
        with pytest.raises(ArgumentError, match="Two or more subjects"):
            icc([[1.0, 2.0]])
        with pytest.raises(ArgumentError, match="`form` must be one of"):
            icc([[1.0, 2.0], [2.0, 3.0], [3.0, 5.0]]).form("ICC4")

    def test_identical_raters(self):
        rows = icc([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]).frame()
        np.testing.assert_allclose(rows[["estimate", "conf_low", "conf_high"]], 1, rtol=1e-12)


class TestBlandAltman:
    def test_as_in_r(self):
        case = load_case("bland_altman_pefr")
        table = case.table()
        found = bland_altman(table[case.inputs["method1"]], table[case.inputs["method2"]])
        rows = found.frame().set_index("measure")
        case.check(found.n, "n")
        case.check(found.sd, "sd")
        case.check(rows.loc["bias", "estimate"], "bias")
        case.check(rows.loc["bias", "std_error"], "bias_se")
        case.check(rows.loc["bias", ["conf_low", "conf_high"]], "bias_ci")
        case.check(rows.loc["loa_lower", "estimate"], "loa_lower")
        case.check(rows.loc["loa_upper", "estimate"], "loa_upper")
        case.check(rows.loc["loa_upper", "std_error"], "loa_se")
        case.check(rows.loc["loa_lower", ["conf_low", "conf_high"]], "lower_loa_ci")
        case.check(rows.loc["loa_upper", ["conf_low", "conf_high"]], "upper_loa_ci")
        case.check(rows.loc["proportional_slope", "estimate"], "proportional_slope")
        case.check(rows.loc["proportional_slope", "p_value"], "proportional_p")

    def test_concordance_as_in_r(self):
        case = load_case("bland_altman_pefr")
        table = case.table()
        found = concordance_correlation(
            table[case.inputs["method1"]], table[case.inputs["method2"]]
        )
        case.check([found.estimate, found.conf_low, found.conf_high], "ccc")

    def test_swapping_the_methods_mirrors_the_limits(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(10, 2, (2, 30))
        there, back = (bland_altman(a, b).frame().set_index("measure") for a, b in ((x, y), (y, x)))
        assert there.loc["loa_upper", "conf_high"] == pytest.approx(
            -back.loc["loa_lower", "conf_low"]
        )
        assert there.loc["bias", "estimate"] == pytest.approx(-back.loc["bias", "estimate"])

    def test_one_pair_a_patient_gives_the_plain_numbers(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(10, 2, (2, 30))
        plain, clustered = bland_altman(x, y), bland_altman(x, y, cluster=np.arange(30))
        own = clustered.frame().drop(columns="n_cluster")
        pd.testing.assert_frame_equal(plain.frame().iloc[:3], own.iloc[:3])

    def test_repeated_measurements_recover_both_variances(self):
        rng = np.random.default_rng(11)
        size = rng.integers(1, 6, 3000)
        patient = np.repeat(np.arange(3000), size)
        d = rng.normal(1, 2, 3000)[patient] + rng.normal(0, 1.5, len(patient))
        base = rng.normal(50, 5, len(patient))
        found = bland_altman(base + d, base, cluster=patient)
        assert found.sd == pytest.approx(2.5, rel=0.03)
        assert found.method == "mover"

    @pytest.mark.slow
    def test_repeated_measurements_cover_the_true_limit(self):
        rng = np.random.default_rng(13)
        true_upper, covered, plain = 1.96 * 2.5, 0, 0
        for _ in range(500):
            patient = np.repeat(np.arange(25), rng.integers(1, 6, 25))
            d = rng.normal(0, 2, 25)[patient] + rng.normal(0, 1.5, len(patient))
            zero = np.zeros(len(patient))
            for cluster in (patient, None):
                row = bland_altman(d, zero, cluster=cluster).frame().set_index("measure")
                low, high = row.loc["loa_upper", ["conf_low", "conf_high"]]
                hit = low <= true_upper <= high
                covered += hit and cluster is not None
                plain += hit and cluster is None
        assert 0.92 <= covered / 500 <= 0.98
        assert plain < covered

    def test_concordance_by_patients_left_out_agrees_with_lin(self):
        rng = np.random.default_rng(2)
        x = rng.normal(size=300)
        y = x + rng.normal(0.2, 0.5, 300)
        lin, left_out = (
            concordance_correlation(x, y, cluster=c).std_error for c in (None, np.arange(300))
        )
        assert left_out == pytest.approx(lin, rel=0.1)

    def test_refuses_bad_input(self):
        with pytest.raises(ArgumentError, match="three or more pairs"):
            bland_altman([1.0, 2.0], [1.0, 2.0])
        with pytest.raises(PairingError, match="one value each"):
            bland_altman([1.0, 2.0, 3.0], [1.0, 2.0])
        with pytest.raises(ArgumentError, match="both methods to vary"):
            concordance_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])


def leave_one_out_se(coefficient, table, cluster):
    without = []
    for label in np.unique(cluster):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            without.append(coefficient(table[cluster != label]).estimate)
    k = len(without)
    return np.sqrt((k - 1) ** 2 / k * np.var(without, ddof=1))


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize(
    "coefficient",
    [
        *(partial(fleiss_kappa, method=m) for m in ("fleiss", "conger", "light")),
        *(partial(gwet_ac, weights=w) for w in (None, "quadratic")),
        *(partial(krippendorff_alpha, metric=m) for m in ("nominal", "ordinal", "interval")),
    ],
)
def test_the_jackknife_is_that_of_leaving_out_by_hand(coefficient, clustered):
    rng = np.random.default_rng(5)
    truth = rng.integers(1, 5, 24)
    table = np.where(rng.random((24, 3)) < 0.6, truth[:, None], rng.integers(1, 5, (24, 3)))
    fixed = partial(coefficient, levels=[1, 2, 3, 4])
    labels = np.arange(24) // 2 if clustered else np.arange(24)
    found = fixed(table, cluster=labels if clustered else None)
    assert found.std_error == pytest.approx(leave_one_out_se(fixed, table, labels), rel=1e-9)


def test_cost_grows_with_the_subjects_and_not_with_their_square():
    rng = np.random.default_rng(6)
    start = time.perf_counter()
    fleiss_kappa(rng.integers(0, 4, (4000, 5)))
    krippendorff_alpha(rng.normal(size=(1500, 4)).round(1), metric="interval")
    assert time.perf_counter() - start < 10  # a pass over the data per subject took minutes


def test_subjects_that_do_not_differ_have_no_icc():
    with pytest.warns(SmallSampleWarning, match="do not differ at all"):
        found = icc([[3.0, 3.0], [3.0, 3.0], [3.0, 3.0]])
    assert found.frame()["estimate"].isna().all()


@pytest.mark.parametrize(("cluster", "method"), [(None, "bland-altman"), ([1, 1, 2, 3], "mover")])
def test_limits_of_agreement_tell_their_method_and_patients(cluster, method):
    frame = bland_altman([1.0, 2.0, 4.0, 3.0], [1.5, 1.0, 3.0, 3.5], cluster=cluster).frame()
    assert set(frame["method"]) == {method}
    assert ("n_cluster" in frame) == (cluster is not None)


@pytest.mark.parametrize(
    ("coefficient", "ratings"),
    [
        (lambda t: cohen_kappa(*np.transpose(t)), [[0, 0], [1, 1], [0, 0], [1, 1]]),
        (fleiss_kappa, [[0, 0], [1, 1], [0, 0], [1, 1]]),
        (krippendorff_alpha, [[0, 0], [1, 1], [0, 0], [1, 1]]),
        (lambda t: concordance_correlation(*np.transpose(t)), [[1, 1], [2, 2], [3, 3], [5, 5]]),
    ],
)
def test_perfect_agreement_has_no_interval_and_says_so(coefficient, ratings):
    with pytest.warns(SmallSampleWarning, match="has no variance"):
        found = coefficient(ratings)
    assert found.estimate == pytest.approx(1.0)
    assert np.isnan([found.conf_low, found.conf_high]).all()


def test_a_concordance_of_uncorrelated_methods_has_an_interval():
    found = concordance_correlation([1.0, 2.0, 3.0, 2.0], [1.0, 2.0, 1.0, 2.0])
    assert found.estimate == pytest.approx(0.0)
    assert found.conf_low < 0 < found.conf_high
    near = concordance_correlation([1.0, 2.0, 3.0, 2.0], [1.0, 2.0, 1.0 + 1e-7, 2.0])
    assert found.conf_high == pytest.approx(near.conf_high, abs=1e-5)


def test_yes_and_no_meet_one_and_zero():
    mixed = cohen_kappa([True, False, True, True], [1, 0, 0, 1])
    assert mixed.estimate == cohen_kappa([1, 0, 1, 1], [1, 0, 0, 1]).estimate
