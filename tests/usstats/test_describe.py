"""Table 1 against R's tableone, against slow second implementations, and by its laws."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats

from tests.reference import load_case
from usstats._describe.two_way import fisher_test
from usstats.describe import adjust_p_values, describe
from usstats.errors import (
    ArgumentError,
    MissingDataError,
    PairingError,
    RiskError,
    SchemaError,
)

CASES = ("table1_birthwt", "table1_appx_missing")
NUMBERS = {
    "n": "n", "missing": "n_missing", "mean": "mean", "sd": "sd", "median": "median",
    "p25": "q1", "p75": "q3", "min": "min", "max": "max",
}  # fmt: skip


def described(case, **options):
    inputs = case.inputs
    variables = [*inputs["continuous"], *inputs["categorical"]]
    return describe(
        case.table(),
        by=inputs["group"],
        variables=variables,
        categorical=inputs["categorical"],
        **options,
    )


def rows(description, variable: str) -> pd.DataFrame:
    frame = description.frame()
    return frame[(frame["variable"] == variable) & (frame["group"] != "overall")]


def p_value(description, variable: str, method: str) -> float:
    table = description.tests().set_index(["variable", "method"])
    return table.loc[(variable, method), "p_value"]


@pytest.mark.parametrize("case_id", CASES)
def test_numbers_match_tableone(case_id):
    case = load_case(case_id)
    result = described(case)
    for name in case.inputs["continuous"]:
        mine = rows(result, name)
        for theirs, ours in NUMBERS.items():
            case.check(mine[ours], f"{name}.{theirs}")
        case.check(mine["smd"].iloc[:1], f"{name}.smd")
        case.check(mine["p_value"].iloc[0], f"{name}.p_tableone_normal")
        case.check(p_value(result, name, "Kruskal-Wallis test"), f"{name}.p_tableone_nonnormal")
        case.check(p_value(result, name, "Welch t test"), f"{name}.welch.p")


@pytest.mark.parametrize("case_id", CASES)
def test_sizes_of_the_groups_match_tableone(case_id):
    case = load_case(case_id)
    groups = described(case).groups.set_index("group")
    case.check(groups.loc[case.expected["groups"], "n_patients"], "n")


@pytest.mark.parametrize("case_id", CASES)
def test_statistics_of_the_tests_match_r(case_id):
    case = load_case(case_id)
    table = described(case).tests().set_index(["variable", "method"])
    for name in case.inputs["continuous"]:
        welch = table.loc[(name, "Welch t test")]
        case.check(welch["statistic"], f"{name}.welch.t")
        case.check(welch["df"], f"{name}.welch.df")
        student = table.loc[(name, "t test, equal variances")]
        case.check(student["statistic"], f"{name}.student.t")
        case.check(student["p_value"], f"{name}.student.p")
        ranks = table.loc[(name, "Kruskal-Wallis test")]
        case.check(ranks["statistic"], f"{name}.kruskal.chi2")
        case.check(ranks["p_value"], f"{name}.kruskal.p")
        case.check(ranks["p_value"], f"{name}.wilcoxon.p_nocc")


@pytest.mark.parametrize("case_id", CASES)
def test_levels_match_tableone(case_id):
    case = load_case(case_id)
    result = described(case, exact=case.inputs["categorical"])
    for name in case.inputs["categorical"]:
        mine = rows(result, name)
        assert mine["level"].unique().tolist() == case.expected[name]["levels"]
        case.check(mine["count"].to_numpy().reshape(-1, 2), f"{name}.counts")
        case.check(mine["percent"].to_numpy().reshape(-1, 2), f"{name}.percent_of_group")
        case.check(mine["n_missing"].iloc[:2], f"{name}.missing")
        case.check(mine["smd"].iloc[:1], f"{name}.smd")
        case.check(mine["p_value"].iloc[0], f"{name}.p_fisher")


@pytest.mark.parametrize("case_id", CASES)
def test_tests_of_levels_match_r(case_id):
    case = load_case(case_id)
    table = described(case).tests().set_index(["variable", "method"])
    for name in case.inputs["categorical"]:
        found = table.loc[name]
        plain, default = found.loc["chi-square test"], found.iloc[0]
        case.check(plain["statistic"], f"{name}.chi2")
        case.check(plain["df"], f"{name}.df")
        case.check(plain["p_value"], f"{name}.p_chi2")
        case.check(default["p_value"], f"{name}.p_chi2_yates")
        case.check(default["p_value"], f"{name}.p_tableone_approx")


@pytest.mark.parametrize("method", ["bonferroni", "holm", "hochberg", "hommel", "BH", "BY"])
def test_p_values_are_adjusted_as_in_r(method):
    case = load_case("p_adjust")
    case.check(adjust_p_values(case.inputs["p"], method), method)


@pytest.mark.parametrize("method", ["bonferroni", "holm", "hochberg", "hommel", "BH", "BY", "none"])
def test_laws_of_adjustment(method):
    rng = np.random.default_rng(1)
    p = rng.random(9) ** 2
    adjusted = adjust_p_values(p, method)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    order = rng.permutation(9)
    assert_allclose(adjust_p_values(p[order], method), adjusted[order])
    with_gap = adjust_p_values([*p, np.nan], method)
    assert np.isnan(with_gap[-1])
    assert_allclose(with_gap[:-1], adjusted)


def test_holm_hochberg_hommel_are_ordered():
    p = np.random.default_rng(2).random(7) ** 3
    holm, hochberg, hommel = (adjust_p_values(p, m) for m in ("holm", "hochberg", "hommel"))
    assert (hommel <= hochberg + 1e-15).all()
    assert (hochberg <= holm + 1e-15).all()


def test_adjustment_refuses_what_is_no_p_value():
    with pytest.raises(RiskError, match=r"must lie in \[0, 1\]"):
        adjust_p_values([0.2, 1.3])
    with pytest.raises(ArgumentError, match="`method`"):
        adjust_p_values([0.2], "sidak")


def slow_fisher(table: np.ndarray) -> float:
    """All tables with the margins, their exact probabilities by binomial coefficients."""
    sizes, goal = table.sum(axis=1), int(table[:, 0].sum())
    total = math.comb(int(sizes.sum()), goal)
    weight = {
        column: math.prod(math.comb(int(n), x) for n, x in zip(sizes, column, strict=True))
        for column in itertools.product(*(range(int(n) + 1) for n in sizes))
        if sum(column) == goal
    }
    observed = weight[tuple(table[:, 0].tolist())]
    return sum(w for w in weight.values() if w <= observed) / total


@pytest.mark.parametrize(
    "table", [[[3, 1], [1, 3]], [[5, 0], [2, 6]], [[4, 2], [1, 5], [3, 0]], [[1, 2]] * 4]
)
def test_exact_test_lists_every_table(table):
    counts = np.array(table, dtype=float)
    assert_allclose(fisher_test(counts).p_value, slow_fisher(counts.astype(int)))


def test_exact_test_agrees_with_scipy_on_a_large_table():
    table = np.array([[120, 80], [40, 65]], dtype=float)
    assert_allclose(fisher_test(table).p_value, stats.fisher_exact(table).pvalue, rtol=1e-9)


def three_groups() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    group = np.repeat(["a", "b", "c"], [30, 25, 20])
    shift = pd.Series(group).map({"a": 0.0, "b": 0.4, "c": 0.9})
    return pd.DataFrame(
        {
            "group": group,
            "x": rng.normal(size=75) + shift,
            "level": rng.choice(["p", "q", "r"], 75),
        }
    )


def test_three_groups_average_the_pairs():
    result = describe(three_groups(), by="group")
    pairs = result.differences
    assert pairs[pairs["variable"] == "x"][["group_1", "group_2"]].to_numpy().tolist() == [
        ["a", "b"], ["a", "c"], ["b", "c"],
    ]  # fmt: skip
    mean = pairs[pairs["variable"] == "x"]["smd"].mean()
    assert_allclose(rows(result, "x")["smd"], mean)
    two = describe(three_groups().query("group != 'b'"), by="group")
    assert_allclose(rows(two, "x")["smd"].iloc[0], pairs["smd"].iloc[1])


def test_three_groups_are_tested_by_analysis_of_variance():
    data = three_groups()
    samples = [part["x"] for _, part in data.groupby("group")]
    result = describe(data, by="group", continuous_test="welch")
    assert_allclose(p_value(result, "x", "analysis of variance"), stats.f_oneway(*samples).pvalue)
    assert_allclose(rows(result, "x")["p_value"], stats.f_oneway(*samples, equal_var=False).pvalue)


def test_binary_smd_is_the_difference_over_the_pooled_sd():
    data = pd.DataFrame(
        {"g": [0] * 10 + [1] * 10, "c": ["y"] * 3 + ["n"] * 7 + ["y"] * 6 + ["n"] * 4}
    )
    expected = 0.3 / np.sqrt((0.3 * 0.7 + 0.6 * 0.4) / 2)
    assert_allclose(rows(describe(data, by="g"), "c")["smd"], expected)


def test_swapping_groups_changes_only_the_sign_of_t():
    data = three_groups().query("group != 'c'")
    swapped = data.assign(group=data["group"].map({"a": "z", "b": "b"}))
    one, two = (describe(table, by="group") for table in (data, swapped))
    assert_allclose(one.differences["smd"], two.differences["smd"])
    assert_allclose(one.tests()["p_value"], two.tests()["p_value"])
    t = [table.tests()["statistic"].iloc[0] for table in (one, two)]
    assert_allclose(t[0], -t[1])


def test_linear_change_of_a_number_changes_no_test():
    data = three_groups()
    one = describe(data, by="group")
    two = describe(data.assign(x=100 - 7 * data["x"]), by="group")
    assert_allclose(one.tests()["p_value"], two.tests()["p_value"], rtol=1e-9)
    assert_allclose(one.differences["smd"], two.differences["smd"], rtol=1e-9)


def images_of_patients() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": ["p1", "p1", "p1", "p2", "p3", "p3"],
            "noa": [0, 0, 0, 1, 1, 1],
            "fsh": [4.0, 4.0, np.nan, 12.0, 20.0, 20.0],
            "side": ["left"] * 6,
        }
    )


def test_statistics_are_per_patient_and_images_are_counted_apart():
    result = describe(images_of_patients(), by="noa", patient_id="patient_id")
    assert result.groups.to_numpy().tolist() == [["0", 1, 3], ["1", 2, 3], ["overall", 3, 6]]
    fsh = rows(result, "fsh")
    assert fsh["n"].tolist() == [1, 2]
    assert fsh["mean"].tolist() == [4.0, 16.0]
    assert result.unit == "patient"
    assert "n = 0: 1, 1: 2, overall: 3; unit: patient" in repr(result)


def test_a_covariate_that_changes_within_a_patient_is_refused():
    data = images_of_patients()
    data.loc[1, "fsh"] = 5.0
    data.loc[4, "side"] = "right"
    with pytest.raises(PairingError, match=r"fsh \(in 1 patients\), side \(in 1 patients\)"):
        describe(data, by="noa", patient_id="patient_id")


def images_in_groups(n_patients: int = 40, *, seed: int = 5, shift: float = 0.0) -> pd.DataFrame:
    """One to five images a patient, whose sizes and echo patterns resemble each other."""
    rng = np.random.default_rng(seed)
    n_images = rng.integers(1, 6, n_patients)
    patient = np.repeat(np.arange(n_patients), n_images)
    group = np.arange(n_patients) % 2
    own = rng.normal(size=n_patients) + shift * group
    size = own[patient] + 0.5 * rng.normal(size=patient.size)
    pattern = np.where(own + rng.normal(size=n_patients) > 0, "mixed", "hypo")[patient]
    pattern[rng.random(patient.size) < 0.2] = "cyst"
    return pd.DataFrame({"id": patient, "noa": group[patient], "size": size, "pattern": pattern})


def per_image(data: pd.DataFrame, **options):
    return describe(data, by="noa", patient_id="id", per_image=["size", "pattern"], **options)


def test_columns_of_images_are_counted_over_images_and_tested_by_patient():
    data = images_in_groups().assign(age=lambda table: 30 + table["id"] % 7)
    frame = per_image(data).frame()
    size = frame[frame["variable"] == "size"].set_index("group")
    assert size["n"].to_dict() == {**data["noa"].astype(str).value_counts(), "overall": len(data)}
    assert_allclose(size.loc["1", "mean"], data.query("noa == 1")["size"].mean())
    assert frame.query("variable == 'age' and group == 'overall'")["n"].tolist() == [40]
    facts = frame.groupby("variable").first()
    assert facts["unit"].to_dict() == {"age": "patient", "pattern": "image", "size": "image"}
    assert facts["method"].to_dict() == {
        "age": "t test, equal variances",
        "pattern": "Wald test of shares, clustered by patient",
        "size": "Wald test of means, clustered by patient",
    }
    ranked = per_image(data, nonnormal=True).frame().groupby("variable")["method"].first()
    assert ranked["size"] == "Wald test of ranks, clustered by patient"


def test_the_clustered_test_of_a_number_is_that_of_statsmodels():
    data = images_in_groups(shift=0.8)
    design = sm.add_constant(data["noa"])
    fit = sm.GEE(data["size"], design, groups=data["id"]).fit(cov_type="bias_reduced")
    found = per_image(data).tests().set_index("variable").loc["size"].iloc[0]
    assert_allclose(found["statistic"], fit.tvalues["noa"] ** 2 * 20 / 19, rtol=1e-6)
    assert_allclose(found["p_value"], stats.f.sf(found["statistic"], 1, 38), rtol=1e-9)


def test_the_clustered_test_of_levels_leaves_out_each_patient():
    data = images_in_groups()
    dummies = pd.get_dummies(data["pattern"]).astype(float)[["hypo", "mixed"]]

    def apart(rows: pd.Series) -> np.ndarray:
        shares = dummies[rows].groupby(data["noa"]).mean().to_numpy()
        return shares[1] - shares[0]

    everybody = apart(data["id"] >= 0)
    shifts = np.array([apart(data["id"] != i) - everybody for i in range(40)])
    wald = everybody @ np.linalg.inv(shifts.T @ shifts * 19 / 20) @ everybody
    found = per_image(data).tests().set_index("variable").loc["pattern"]
    assert_allclose(found["statistic"], wald / 2 * 37 / 38, rtol=1e-9)
    assert_allclose(found["p_value"], stats.f.sf(found["statistic"], 2, 37), rtol=1e-9)


def test_one_image_a_patient_gives_welchs_statistic():
    data = images_in_groups(shift=0.5).drop_duplicates("id")
    found = per_image(data).tests().set_index("variable").loc["size"].iloc[0]
    one, two = (data.loc[data["noa"] == group, "size"] for group in (0, 1))
    welch = stats.ttest_ind(one, two, equal_var=False)
    assert_allclose(found["statistic"], welch.statistic**2, rtol=1e-9)


def test_copies_of_images_change_no_clustered_test():
    data = images_in_groups()
    twice = pd.concat([data, data], ignore_index=True)
    for option in ({}, {"nonnormal": True}):
        once, doubled = (per_image(table, **option).tests()["p_value"] for table in (data, twice))
        assert_allclose(doubled, once, rtol=1e-9)
    rows = describe(data, by="noa", variables=["size"]).tests()["p_value"]
    copied = describe(twice, by="noa", variables=["size"]).tests()["p_value"]
    assert (copied < rows).all()


def test_order_of_images_and_names_of_patients_do_not_matter():
    data = images_in_groups()
    mixed = data.sample(frac=1, random_state=1).assign(
        id=lambda table: "P" + table["id"].astype(str)
    )
    assert_allclose(per_image(mixed).tests()["p_value"], per_image(data).tests()["p_value"])


def test_missing_images_are_left_out_of_the_clustered_test():
    data = images_in_groups()
    holes = data.assign(size=data["size"].where(data.index % 3 > 0))
    found, complete = per_image(holes), per_image(holes.dropna())
    assert_allclose(
        found.tests().set_index("variable").loc["size", "p_value"],
        complete.tests().set_index("variable").loc["size", "p_value"],
        rtol=1e-9,
    )
    overall = found.frame().query("variable == 'size' and group == 'overall'")
    assert overall["n_missing"].tolist() == [holes["size"].isna().sum()]


def test_a_clustered_test_of_one_patient_or_a_constant_is_nan():
    data = images_in_groups()
    assert per_image(data[data["id"] < 2]).tests()["p_value"].isna().all()
    assert per_image(data.assign(size=2.5, pattern="hypo")).tests()["p_value"].isna().all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patient_id": None}, "`per_image` needs `patient_id`"),
        ({"exact": ["pattern"]}, "`exact` names pattern, which `per_image` names too"),
        ({"variables": ["pattern"]}, "`per_image` names size, which `variables` does not hold"),
    ],
)
def test_what_per_image_cannot_mean(options, text):
    given = {"patient_id": "id", "per_image": ["size", "pattern"], **options}
    with pytest.raises(ArgumentError, match=text):
        describe(images_in_groups(), by="noa", **given)


@pytest.mark.slow
def test_clustered_tests_keep_their_level_where_tests_of_images_do_not():
    clustered, plain = [], []
    for seed in range(500):
        data = images_in_groups(120, seed=seed)
        clustered.append(per_image(data).tests()["p_value"].to_numpy() < 0.05)
        tests = describe(data, by="noa", variables=["size", "pattern"]).tests()
        chosen = tests["method"].isin(["t test, equal variances", "chi-square test"])
        plain.append(tests.loc[chosen, "p_value"].to_numpy() < 0.05)
    rejected, naive = np.mean(clustered, axis=0), np.mean(plain, axis=0)
    assert ((rejected > 0.03) & (rejected < 0.07)).all(), rejected
    assert (naive > 0.12).all(), naive


def test_bools_and_zero_one_columns_are_levels():
    data = pd.DataFrame(
        {
            "g": list("aabb"),
            "b": [True, False, True, True],
            "i": [0, 1, np.nan, 1],
            "k": [1, 2, 3, 4],
        }
    )
    frame = describe(data, by="g").frame()
    levels = frame.groupby("variable")["level"].unique().map(list).to_dict()
    assert levels == {"b": ["False", "True"], "i": ["0", "1"], "k": [""]}


def test_categories_keep_their_order_and_empty_levels():
    stage = pd.Categorical(["low", "high", "low", "low"], categories=["low", "mid", "high"])
    frame = describe(pd.DataFrame({"g": list("aabb"), "stage": stage}), by="g").frame()
    assert frame["level"].unique().tolist() == ["low", "mid", "high"]
    assert frame[frame["level"] == "mid"]["count"].tolist() == [0, 0, 0]


def test_one_group_and_no_group():
    data = pd.DataFrame({"x": [1.0, 2.0, 4.0], "g": "a"})
    alone = describe(data, by=None, variables=["x"])
    assert alone.frame()["group"].tolist() == ["overall"]
    assert alone.frame()["mean"].tolist() == [7 / 3]
    assert describe(data, by="g").tests().empty


def test_what_cannot_be_computed_is_nan():
    data = pd.DataFrame(
        {
            "g": list("aabb"),
            "same": [2.0] * 4,
            "empty": np.nan,
            "one": ["k"] * 4,
            "few": [5, 7, 9, np.nan],
        }
    )
    frame = describe(data, by="g").frame().set_index(["variable", "group"])
    assert np.isnan(frame.loc["same", "p_value"]).all()
    assert frame.loc["same", "smd"].tolist() == [0.0] * 3
    assert np.isnan(frame.loc["empty", "mean"]).all()
    assert frame.loc["empty", "n_missing"].tolist() == [2, 2, 4]
    assert np.isnan(frame.loc["one", "p_value"]).all()
    assert np.isnan(frame.loc[("few", "b"), "sd"])


def test_switches_and_choices():
    data = three_groups()
    bare = describe(data, by="group", smd=False, tests=False)
    assert bare.tests().empty
    assert bare.frame()[["smd", "p_value"]].isna().all(axis=None)
    ranks = describe(data, by="group", nonnormal=["x"], adjust="holm").frame()
    assert "Kruskal-Wallis test" in set(ranks["method"])
    by_variable = ranks.groupby("variable")[["p_value", "p_adjusted"]].first()
    assert_allclose(by_variable["p_adjusted"], adjust_p_values(by_variable["p_value"]))
    assert (describe(data, by="group", nonnormal=True).frame()["method"] != "").all()


@pytest.mark.parametrize(
    ("data", "options", "error", "text"),
    [
        (pd.DataFrame({"x": [1.0]}), {"by": "g"}, SchemaError, "lacks the columns g"),
        (pd.DataFrame({"x": [], "g": []}), {"by": "g"}, SchemaError, "has no rows"),
        (
            pd.DataFrame({"x": [1.0, 2.0], "g": ["a", None]}),
            {"by": "g"},
            MissingDataError,
            "`g` is missing in 1 of 2 rows",
        ),
        (
            pd.DataFrame({"x": [1.0, np.inf], "g": ["a", "b"]}),
            {"by": "g"},
            RiskError,
            "`x` holds 1 infinite",
        ),
        (
            pd.DataFrame({"x": [1.0, 2.0], "g": ["a", "overall"]}),
            {"by": "g"},
            ArgumentError,
            "group called 'overall'",
        ),
        (
            pd.DataFrame({"x": [1.0, 2.0], "g": ["a", "b"]}),
            {"by": "g", "continuous_test": "z"},
            ArgumentError,
            "'student', 'welch'",
        ),
        (
            pd.DataFrame({"x": [1.0, 2.0], "g": ["a", "b"], "id": ["p", None]}),
            {"by": "g", "patient_id": "id"},
            MissingDataError,
            "`id` is missing",
        ),
    ],
)
def test_bad_arguments(data, options, error, text):
    with pytest.raises(error, match=text):
        describe(data, **options)


def test_five_hundred_by_twenty_takes_less_than_a_quarter_second():
    rng = np.random.default_rng(0)
    numbers = {f"x{i}": rng.normal(size=500) for i in range(10)}
    levels = {f"c{i}": rng.choice(list("abc"), 500) for i in range(10)}
    data = pd.DataFrame(numbers | levels | {"g": rng.integers(0, 2, 500)})
    describe(data, by="g")
    started = time.perf_counter()
    describe(data, by="g")
    assert time.perf_counter() - started < 0.25
