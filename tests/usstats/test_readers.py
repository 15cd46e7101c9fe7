"""Reader studies: MRMCaov 0.3.0 on the VanDyke readings, naive second implementations, laws."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from tests.reference import load_case
from usstats._roc.limits import newcombe_limits
from usstats.delong import compare_auc
from usstats.errors import (
    ArgumentError,
    DesignError,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
    UsstatsError,
)
from usstats.proportions import wilson
from usstats.readers import reader_study
from usstats.roc import partial_auc

VANDYKE = {
    "truth": "truth",
    "case": "case",
    "reader": "reader",
    "condition": "treatment",
    "rating": "rating",
}
COLUMNS = {name: name for name in ("truth", "case", "reader", "condition", "rating")}
DESIGNS = {"rrrc": {}, "frrc": {"readers": "fixed"}, "rrfc": {"cases": "fixed"}}
CASES = [
    ("delong", "rrrc"),
    ("delong", "frrc"),
    ("delong", "rrfc"),
    ("jackknife", "rrrc"),
    ("jackknife", "frrc"),
    ("unbiased", "rrrc"),
]


def simulate(seed=1, *, n=24, readers=3, conditions=("aided", "unaided"), levels=6, gain=0.8):
    """Readings on a scale with many ties; readers and cases have effects of their own."""
    rng = np.random.default_rng(seed)
    names = ["case", "reader", "condition"]
    people = [f"R{j + 1}" for j in range(readers)]
    data = pd.MultiIndex.from_product([range(n), people, conditions], names=names)
    data = data.to_frame(index=False).assign(truth=lambda d: (d["case"] % 3 == 0).astype(int))
    of_case, of_reader = rng.normal(size=n), rng.normal(0, 0.4, size=readers)
    reader = data["reader"].map({name: k for k, name in enumerate(people)})
    step = data["condition"].map({name: k for k, name in enumerate(conditions)})
    signal = data["truth"] * (1 + of_reader[reader] + gain * (len(conditions) - 1 - step))
    noise = of_case[data["case"]] + rng.normal(size=len(data))
    data["rating"] = np.clip(np.round(levels / 3 + signal + noise), 0, levels)
    return data


def study(data, **options):
    return reader_study(data, **(COLUMNS | options))


# ---- R ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("covariance", "design"), CASES)
def test_equals_mrmcaov(covariance, design):
    case = load_case(f"mrmc_vandyke_{covariance}")
    found = reader_study(case.table(), covariance=covariance, **VANDYKE, **DESIGNS[design])
    fixed = design == "frrc"
    case.check(found.reader_means["estimate"], f"{design}.reader_auc.empirical_auc")
    case.check(found.anova["mean_square"], f"{design}.ms.mean_sq")
    case.check(found.anova["df"], f"{design}.ms.df")
    case.check([found.test.statistic], f"{design}.test.{'X2' if fixed else 'F'}")
    case.check([found.test.df1], f"{design}.test.{'df' if fixed else 'df1'}")
    case.check([found.test.p_value], f"{design}.test.p_value")
    if not fixed:
        case.check([found.test.df2], f"{design}.test.df2")
        case.check(found.differences["df"], f"{design}.differences.df")
        case.check(found.means["df"], f"{design}.means.df")
    if design != "rrfc":
        case.check([found.test.denominator], f"{design}.test.Denominator")
        case.check(found.components["estimate"], f"{design}.components.estimate")
        case.check(found.components["correlation"], f"{design}.components.correlation")
    for column, path in {"estimate": "Estimate", "std_error": "StdErr"}.items():
        case.check(found.differences[column], f"{design}.differences.{path}")
        case.check(found.means[column], f"{design}.means.{path}")
    case.check(found.differences["p_value"], f"{design}.differences.p_value")
    case.check(found.differences["statistic"], f"{design}.differences.{'z' if fixed else 't'}")
    limits = ["conf_low", "conf_high"]
    case.check(found.differences[limits], f"{design}.differences.CI")
    case.check(found.means[limits], f"{design}.means.CI")
    if fixed:
        case.check(found.reader_means["std_error"], "frrc.reader_means.StdErr")
        case.check(found.reader_means[limits], "frrc.reader_means.CI")
        columns = {"estimate": "Estimate", "std_error": "StdErr", "statistic": "z"}
        for column, path in columns.items() | {("p_value", "p_value")}:
            case.check(found.reader_differences[column], f"frrc.reader_differences.{path}")
        case.check(found.reader_differences[limits], "frrc.reader_differences.CI")


def test_nested_cases_of_mrmcaov_lose_their_covariances():
    # MRMCaov: columns case2 (cases nested in readers) and case3 (nested in treatments) of VanDyke
    data = load_case("mrmc_vandyke_jackknife").table()
    for name, outer in {"case2": "reader", "case3": "treatment"}.items():
        data[name] = data[outer].astype(str) + "." + data["case"].astype(str)
    in_readers = reader_study(data, covariance="jackknife", **VANDYKE | {"case": "case2"})
    terms = in_readers.components.set_index("term")["estimate"]
    assert in_readers.design == "cases nested in readers"
    assert_allclose(terms[["Cov2", "Cov3"]], 0, atol=1e-12)
    assert terms["Cov1"] > 1e-4
    # F = MS(T) / MS(T:R), with its df
    assert_allclose(in_readers.test.statistic, 8.704, rtol=1e-6)
    assert_allclose(in_readers.test.df2, 4, rtol=1e-6)
    in_conditions = reader_study(data, covariance="unbiased", **VANDYKE | {"case": "case3"})
    terms = in_conditions.components.set_index("term")["estimate"]
    assert in_conditions.design == "cases nested in conditions"
    assert_allclose(terms[["Cov1", "Cov3"]], 0, atol=1e-12)
    mean_square = in_conditions.anova.set_index("term")["mean_square"]
    denominator = mean_square["condition:reader"] + 5 * terms["Cov2"]
    assert_allclose(in_conditions.test.denominator, denominator)


# ---- second implementations ---------------------------------------------------------------------


def kernel(y, s):
    events, others = s[y == 1][:, None], s[y == 0][None, :]
    return (events > others) + (events == others) / 2


def naive_value(metric, y, s):
    if metric == "auc":
        return kernel(y, s).mean()
    if metric == "sensitivity":
        return np.mean(s[y == 1] >= 3)
    if metric == "specificity":
        return np.mean(s[y == 0] < 3)
    sensitivity = metric == "pauc_sensitivity"
    focus = {"sensitivity": (0.5, 0.9)} if sensitivity else {"specificity": (0.6, 1.0)}
    area = partial_auc(y, s, **focus).estimate
    # McClish, continued below chance: (1 + (area - 0.08) / (0.4 - 0.08)) / 2
    return (1 + (area - 0.08) / 0.32) / 2 if metric == "pauc_corrected" else area


METRICS = {
    "auc": {},
    "sensitivity": {"metric": "sensitivity", "threshold": 3},
    "specificity": {"metric": "specificity", "threshold": 3},
    "pauc": {"metric": "partial_auc", "specificity": (0.6, 1.0)},
    "pauc_sensitivity": {"metric": "partial_auc", "sensitivity": (0.9, 0.5)},
    "pauc_corrected": {
        "metric": "partial_auc",
        "specificity": (0.6, 1.0),
        "corrected": True,
    },
}


def literal_jackknife(data, metric, unit):
    """Leave every unit out in turn and compute every figure anew."""
    if metric in ("sensitivity", "specificity"):
        data = data[data["truth"] == (metric == "sensitivity")]
    cells = [c for _, c in data.groupby(["condition", "reader"])]
    rows = [
        [naive_value(metric, *c.loc[c[unit] != u, ["truth", "rating"]].to_numpy().T) for c in cells]
        for u in data[unit].unique()
    ]
    n = len(rows)
    return (n - 1) ** 2 / n * np.cov(np.array(rows).T)


@pytest.mark.parametrize("metric", METRICS)
def test_jackknife_equals_the_literal_loop(metric):
    data = simulate(33, n=27)
    found = study(data, covariance="jackknife", **METRICS[metric])
    cells = [c for _, c in data.groupby(["condition", "reader"])]
    expected = [naive_value(metric, *c[["truth", "rating"]].to_numpy().T) for c in cells]
    assert_allclose(found.reader_means["estimate"], expected, rtol=1e-12)
    assert_allclose(found.covariances, literal_jackknife(data, metric, "case"), atol=1e-13)


@pytest.mark.parametrize("metric", ["auc", "sensitivity", "specificity", "pauc"])
def test_jackknife_of_missing_reads_equals_the_literal_loop(metric):
    data = simulate(4, n=30).drop(index=[5, 17, 18, 19, 40, 77, 101]).reset_index(drop=True)
    found = study(data, covariance="jackknife", **METRICS[metric])
    assert found.design == "partly crossed (7 of 180 readings missing)"
    assert_allclose(found.covariances, literal_jackknife(data, metric, "case"), atol=1e-13)


@pytest.mark.parametrize("metric", METRICS)
def test_clustered_jackknife_leaves_patients_out(metric):
    data = simulate(5, n=36).assign(patient=lambda d: d["case"] // 2)
    found = study(data, covariance="jackknife", cluster="patient", **METRICS[metric])
    assert found.n_cluster == 18
    assert_allclose(found.covariances, literal_jackknife(data, metric, "patient"), atol=1e-13)


def brute_unbiased(data, a, b):
    """Gallas: E[A_a A_b] is their product; E[A]^2 averages pairs of pairs that share no case."""
    one, other = ({(y, c): s for y, c, s in data[k]} for k in (a, b))

    def score(s, e, f):
        return (s[1, e] > s[0, f]) + (s[1, e] == s[0, f]) / 2

    def cases(s, y):
        return [c for truth, c in s if truth == y]

    total = count = 0
    for e in cases(one, 1):
        for f in cases(one, 0):
            for e2 in cases(other, 1):
                for f2 in cases(other, 0):
                    if e != e2 and f != f2:
                        total += score(one, e, f) * score(other, e2, f2)
                        count += 1
    means = [
        np.mean([score(s, e, f) for e in cases(s, 1) for f in cases(s, 0)]) for s in (one, other)
    ]
    return means[0] * means[1] - total / count


@pytest.mark.parametrize("drop", [[], [3, 8, 20]])
def test_unbiased_covariance_equals_brute_force(drop):
    data = simulate(6, n=12, readers=2).drop(index=drop).reset_index(drop=True)
    found = study(data, covariance="unbiased").covariances
    cells = {
        key: cell[["truth", "case", "rating"]].to_numpy()
        for key, cell in data.groupby(["condition", "reader"])
    }
    expected = [[brute_unbiased(cells, a, b) for b in found.columns] for a in found.index]
    assert_allclose(found, expected, atol=1e-13)


def test_unbiased_covariance_of_a_proportion_is_the_sample_covariance():
    data = simulate(7)
    found = study(data, covariance="unbiased", metric="sensitivity", threshold=3).covariances
    events = data[data["truth"] == 1]
    wide = events.assign(call=events["rating"] >= 3).pivot_table(
        index="case", columns=["condition", "reader"], values="call"
    )[list(found.columns)]
    assert_allclose(found, np.cov(wide.to_numpy(float).T) / len(wide), atol=1e-15)


def test_one_case_a_patient_gives_the_unclustered_numbers():
    data = simulate(8).assign(patient=lambda d: "p" + d["case"].astype(str))
    for metric in METRICS.values():
        for covariance in ("delong", "jackknife"):
            plain = study(data, covariance=covariance, **metric)
            clustered = study(data, covariance=covariance, cluster="patient", **metric)
            assert_allclose(clustered.covariances, plain.covariances, atol=1e-14)
            assert clustered.n_cluster == 24


def test_patients_may_be_one_label_a_row():
    data = simulate(8).assign(patient=lambda d: d["case"] // 2)
    expected = study(data, cluster="patient").frame()
    pd.testing.assert_frame_equal(study(data, cluster=data["patient"]).frame(), expected)
    pd.testing.assert_frame_equal(study(data, cluster=list(data["patient"])).frame(), expected)
    with pytest.raises(PairingError, match="one value a row \\(144\\)"):
        study(data, cluster=[1, 2])


def test_delong_with_patients_is_obuchowski_of_each_pair():
    data = simulate(9, n=40, readers=2).assign(patient=lambda d: d["case"] // 3)
    found = study(data, cluster="patient")
    wide = data.pivot_table(index="case", columns=["condition", "reader"], values="rating")
    by_case = data.drop_duplicates("case").set_index("case")
    for reader in ("R1", "R2"):
        risks = {c: wide[c, reader] for c in ("aided", "unaided")}
        row = compare_auc(by_case["truth"], risks, cluster=by_case["patient"]).frame().iloc[0]
        own = found.reader_differences.set_index("reader").loc[reader]
        for column in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
            assert_allclose(own[column], row[column], rtol=1e-10)


def test_one_reader_reduces_to_compare_auc():
    data = simulate(10, n=60, readers=1)
    with pytest.warns(SmallSampleWarning, match="single reader"):
        found = study(data)
    wide = data.pivot_table(index="case", columns="condition", values="rating")
    y = data.drop_duplicates("case")["truth"]
    row = compare_auc(y, {"aided": wide["aided"], "unaided": wide["unaided"]}).frame().iloc[0]
    difference = found.differences.iloc[0]
    for column in ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"):
        assert_allclose(difference[column], row[column], rtol=1e-10)
    assert_allclose(found.test.statistic, row["statistic"] ** 2)
    assert found.readers == "fixed"
    assert "1 readers (fixed)" in repr(found)


def test_three_conditions_by_the_formulas():
    data = simulate(11, n=45, readers=4, conditions=("a", "b", "c"))
    found = study(data)
    wide = found.reader_means.pivot_table(index="reader", columns="condition", values="estimate")
    T = wide.to_numpy()
    J, I = T.shape  # noqa: E741
    effect = T - T.mean(axis=0) - T.mean(axis=1, keepdims=True) + T.mean()
    ms_tr = (effect**2).sum() / ((I - 1) * (J - 1))
    ms_t = J * T.mean(axis=0).var(ddof=1)
    S = found.covariances
    across = [(a, b) for a in S.index for b in S.columns]
    cov2 = np.mean([S.loc[a, b] for a, b in across if a[0] == b[0] and a[1] != b[1]])
    cov3 = np.mean([S.loc[a, b] for a, b in across if a[0] != b[0] and a[1] != b[1]])
    denominator = ms_tr + J * max(cov2 - cov3, 0)
    df2 = denominator**2 / (ms_tr**2 / ((I - 1) * (J - 1)))
    assert_allclose(found.test.statistic, ms_t / denominator)
    assert_allclose(found.test.p_value, stats.f.sf(ms_t / denominator, I - 1, df2))
    assert_allclose(found.differences["std_error"], np.sqrt(2 / J * denominator))
    assert_allclose(found.differences["p_adjusted"].min(), 3 * found.differences["p_value"].min())
    named = study(data, contrasts=[("c", "a")])
    assert_allclose(named.differences["estimate"], -found.differences["estimate"][1])
    assert_allclose(named.differences["p_adjusted"], found.differences["p_value"][1])
    assert len(found.reader_differences) == 12


def test_readers_nested_in_conditions_by_the_formulas():
    data = simulate(12, n=45, readers=7)
    own = {f"R{j}": "aided" if j <= 4 else "unaided" for j in range(1, 8)}
    data = data[data["condition"] == data["reader"].map(own)]
    found = study(data)
    groups = [g["estimate"].to_numpy() for _, g in found.reader_means.groupby("condition")]
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / 5
    S = found.covariances.to_numpy()
    cov2 = (S[:4, :4].sum() + S[4:, 4:].sum() - np.trace(S)) / (12 + 6)
    cov3 = S[:4, 4:].mean()
    shared = max(cov2 - cov3, 0)
    row = found.differences.iloc[0]
    variance = within * (1 / 4 + 1 / 3) + 2 * shared
    assert found.design == "readers nested in conditions"
    assert_allclose(row["std_error"], np.sqrt(variance))
    assert_allclose(row["statistic"] ** 2, found.test.statistic)
    harmonic = 2 / (1 / 4 + 1 / 3)
    assert_allclose(row["df"], (within + harmonic * shared) ** 2 / (within**2 / 5))
    assert found.reader_differences.empty
    assert "reader(condition)" in set(found.components["term"])
    fixed = study(data, readers="fixed").differences.iloc[0]
    weights = np.repeat([1 / 4, -1 / 3], [4, 3])
    assert_allclose(fixed["estimate"], weights @ found.reader_means["estimate"])
    assert 0.7 < fixed["std_error"] ** 2 / (weights @ S @ weights) < 1.4


def test_a_split_plot_keeps_the_expectation_of_its_denominator():
    """Two groups of readers with cases of their own: variance of the difference by fixed readers
    is the quadratic form of the covariances, whatever the pattern of missing reads."""
    data = simulate(13, n=48, readers=4)
    first = data["reader"].isin(["R1", "R2"])
    data = data[first == (data["case"] < 24)]
    found = study(data, covariance="jackknife", readers="fixed")
    S = found.covariances.to_numpy()
    assert_allclose(S[:2, 2:4], 0, atol=1e-15)
    weights = np.repeat([1 / 4, -1 / 4], 4)
    row = found.differences.iloc[0]
    assert_allclose(row["std_error"] ** 2, weights @ S @ weights, rtol=1e-10)


def test_fixed_readers_variance_is_the_quadratic_form():
    found = study(simulate(14), readers="fixed")
    weights = np.repeat([1 / 3, -1 / 3], 3)
    expected = weights @ found.covariances.to_numpy() @ weights
    assert_allclose(found.differences["std_error"][0] ** 2, expected, rtol=1e-10)


# ---- laws ---------------------------------------------------------------------------------------


def test_swapping_conditions_flips_the_sign():
    data = simulate(15)
    names = {"aided": "unaided", "unaided": "aided"}
    one = study(data).differences.iloc[0]
    other = study(data.replace({"condition": names})).differences.iloc[0]
    for column in ("estimate", "statistic"):
        assert_allclose(other[column], -one[column])
    assert_allclose([other["conf_low"], other["conf_high"]], [-one["conf_high"], -one["conf_low"]])
    assert_allclose(other["p_value"], one["p_value"])


@pytest.mark.parametrize("covariance", ["delong", "jackknife", "unbiased"])
def test_order_of_rows_and_names_do_not_matter(covariance):
    data = simulate(16)
    expected = study(data, covariance=covariance).frame()
    shuffled = data.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(study(shuffled, covariance=covariance).frame(), expected)
    renamed = data.assign(
        reader=data["reader"].map({"R1": 30, "R2": 10, "R3": 20}),
        case=data["case"].map(lambda c: f"{97 * c % 101:03d}"),
        rating=np.exp(data["rating"]),
    )
    row, same = (study(d, covariance=covariance).differences.iloc[0] for d in (data, renamed))
    numbers = ["estimate", "std_error", "df", "p_value"]
    assert_allclose(row[numbers].astype(float), same[numbers].astype(float), rtol=1e-9)


def test_copied_readers_leave_the_estimates():
    data = simulate(17)
    copies = pd.concat([data.assign(reader=data["reader"] + f"-{k}") for k in range(3)])
    one, three = study(data), study(copies)
    assert_allclose(three.means["estimate"], one.means["estimate"])
    assert_allclose(three.differences["estimate"], one.differences["estimate"])
    # copied fixed readers add nothing, not even precision
    fixed = [study(d, readers="fixed").differences["std_error"][0] for d in (data, copies)]
    weights = np.repeat([1, -1], 3) / 3
    assert_allclose(fixed[0] ** 2, weights @ one.covariances.to_numpy() @ weights)
    assert_allclose(fixed[1], fixed[0])


def test_identical_conditions_have_no_difference():
    data = simulate(18)
    same = data[data["condition"] == "aided"]
    both = pd.concat([same, same.assign(condition="again")])
    found = study(both)
    assert found.differences["estimate"][0] == 0
    assert found.differences["p_value"][0] == 1
    assert found.test.p_value == 1


def test_categories_order_conditions():
    data = simulate(19)
    order = pd.Categorical(data["condition"], categories=["unaided", "aided", "never"])
    found = study(data.assign(condition=order))
    assert found.differences["condition_1"].tolist() == ["unaided"]
    assert found.means["condition"].tolist() == ["unaided", "aided"]


def test_minus_infinity_is_a_rating_below_all_others():
    data = simulate(20)
    marked = data.assign(rating=data["rating"].replace(0, -np.inf))
    pd.testing.assert_frame_equal(study(marked).frame(), study(data).frame())


def test_one_condition_has_means_and_no_test():
    data = simulate(21)
    found = study(data[data["condition"] == "aided"])
    both = study(data)
    assert found.test is None
    assert found.differences.empty
    assert_allclose(found.means["std_error"], both.means["std_error"][:1])
    assert set(found.frame()["measure"]) == {"auc", "reader_averaged_auc"}


def test_non_inferiority_margin():
    data = simulate(22, n=60)
    found = study(data, margin=0.05).differences.iloc[0]
    t = (found["estimate"] + 0.05) / found["std_error"]
    assert_allclose(found["p_noninferior"], stats.t.sf(t, found["df"]))
    assert found["noninferior"] == (found["conf_low"] > -0.05)


# ---- results ------------------------------------------------------------------------------------


def test_frame_and_texts():
    found = study(simulate(23))
    frame = found.frame()
    assert frame["measure"].value_counts().to_dict() == {
        "auc": 6,
        "reader_difference": 3,
        "reader_averaged_auc": 2,
        "difference": 1,
    }
    assert {"n", "n_event", "conf_level", "method", "p_adjusted"} <= set(frame)
    assert frame.loc[frame["measure"] == "difference", "condition"].item() == "aided - unaided"
    assert repr(found).startswith("<reader study of auc: 3 readers (random), 2 conditions, n = 24")
    assert "unit: case" in repr(found)
    assert "F(1," in found.summary()
    assert "aided - unaided: " in found.summary()
    assert frame["conf_high"][:8].max() <= 1


def test_ints_bools_and_nullable_columns_are_read_alike():
    data = simulate(24)
    expected = study(data).frame()
    other = data.assign(
        truth=data["truth"].astype("boolean"),
        rating=data["rating"].astype("Int64"),
        case=data["case"].astype("Int32"),
        reader=data["reader"].astype("string"),
        condition=data["condition"].astype("category"),
    )
    pd.testing.assert_frame_equal(study(other).frame(), expected)
    odd = data.rename(columns={"rating": "Confidence (0-100) $", "case": " id"})
    found = study(odd, rating="Confidence (0-100) $", case=" id").frame()
    pd.testing.assert_frame_equal(found, expected)


def test_a_class_with_one_case_has_no_standard_error():
    data = simulate(25)
    data = data[(data["truth"] == 0) | (data["case"] == 0)]
    for covariance in ("delong", "jackknife", "unbiased"):
        with pytest.warns(SmallSampleWarning, match="single case"):
            found = study(data, covariance=covariance)
        assert np.isfinite(found.means["estimate"]).all()
        assert found.differences["p_value"].isna().all()


def test_a_perfect_reader_has_a_score_interval():
    data = simulate(34)
    perfect = data["reader"] == "R1"
    data["rating"] = data["rating"].where(~perfect, 6 * data["truth"] + data["case"] % 2)
    found = study(data).reader_means.query("reader == 'R1'")
    low, high = newcombe_limits(1.0, 8, 16, 0.95)
    assert (found["estimate"] == 1).all()
    assert_allclose(found[["conf_low", "conf_high"]], [[low, high]] * 2)
    calls = study(data, metric="sensitivity", threshold=3).reader_means.query("reader == 'R1'")
    assert_allclose(calls["conf_low"], wilson(8, 8).low)
    own = study(data).reader_differences.query("reader == 'R1'")
    assert (own["p_value"] == 1).all()


# ---- bad files ----------------------------------------------------------------------------------


def broken(kind):
    """A file with one fault at a known reader, case, condition and row."""
    data = simulate(26)
    row = data.index[(data["reader"] == "R2") & (data["case"] == 7)][1]
    if kind == "missing cell":
        return data.drop(index=row)
    if kind == "lost condition":
        return data[(data["reader"] != "R2") | (data["condition"] == "aided")]
    if kind == "duplicate":
        return pd.concat([data, data.loc[[row]]])
    if kind == "one rating":
        flat = (data["reader"] == "R2") & (data["condition"] == "unaided")
        return data.assign(rating=data["rating"].mask(flat, 3.0))
    column, value = {
        "truth differs": ("truth", 1),
        "nan rating": ("rating", np.nan),
        "infinite rating": ("rating", np.inf),
        "text rating": ("rating", "four"),
        "no reader": ("reader", None),
        "blank condition": ("condition", " "),
        "text truth": ("truth", "yes"),
        "nan truth": ("truth", np.nan),
    }[kind]
    data = data.astype({column: object})
    data.loc[row, column] = value
    return data


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("missing cell", DesignError, ["'R2'", "case 7", "'unaided'", "row 42", "jackknife"]),
        ("lost condition", DesignError, ["'R2'", "'unaided'", "row 2"]),
        ("duplicate", PairingError, ["'R2'", "case 7", "'unaided'", "rows 45 and 144"]),
        ("one rating", RiskError, ["'R2'", "'unaided'", "case 0", "row 3", "rated 3"]),
        ("truth differs", OutcomeError, ["'R2'", "case 7", "'unaided'", "row 45", "row 42"]),
        ("nan rating", RiskError, ["'R2'", "case 7", "'unaided'", "row 45"]),
        ("infinite rating", RiskError, ["'R2'", "case 7", "'unaided'", "row 45"]),
        ("text rating", RiskError, ["'four'", "'R2'", "case 7", "'unaided'", "row 45"]),
        ("no reader", DesignError, ["`reader`", "1 rows", "45"]),
        ("blank condition", DesignError, ["`condition`", "1 rows", "45"]),
        ("text truth", OutcomeError, ["'yes'", "'R2'", "case 7", "'unaided'", "row 45"]),
        ("nan truth", OutcomeError, ["nan", "'R2'", "case 7", "'unaided'", "row 45"]),
    ],
)
def test_a_bad_file_is_answered_with_reader_case_condition_and_row(kind, error, words):
    with pytest.raises(error) as caught:
        study(broken(kind))
    assert isinstance(caught.value, UsstatsError)
    for word in words:
        assert word in str(caught.value)


def test_other_codings_of_the_truth_are_refused_with_advice():
    data = simulate(27)
    with pytest.raises(OutcomeError, match="Declare the event"):
        study(data.assign(truth=data["truth"] + 1))
    with pytest.raises(OutcomeError, match="say which one is the event"):
        study(data.assign(truth=np.where(data["truth"] == 1, "sick", "well")))


def test_a_misspelt_condition_is_named_with_its_row():
    data = simulate(27)
    data.loc[45, "condition"] = "unaded"
    with pytest.raises(DesignError, match="'unaded' occurs in 1 rows of only 1 of 3 readers") as e:
        study(data)
    assert "reader 'R2', case 7 at row 45" in str(e.value)


def test_one_class_and_readers_without_a_class():
    data = simulate(27)
    with pytest.raises(OutcomeError, match="holds no events"):
        study(data.assign(truth=0))
    lacking = data[(data["reader"] != "R1") | (data["truth"] == 0)]
    with pytest.raises(OutcomeError, match="Reader 'R1' read no events in condition 'aided'"):
        study(lacking, covariance="jackknife")


def test_a_case_of_two_patients():
    data = simulate(28)
    patient = data["case"].where(data.index != 45, 99)
    with pytest.raises(PairingError, match="case 7, condition 'unaided' is patient 99 at row 45"):
        study(data.assign(patient=patient), cluster="patient")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "dbm"}, "`method` must be one of 'obuchowski-rockette'"),
        ({"covariance": "bootstrap"}, "`covariance` must be one of"),
        ({"metric": "f1"}, "`metric` must be one of"),
        ({"readers": "fixed", "cases": "fixed"}, "nothing is random"),
        ({"threshold": 3}, "belongs to sensitivity and specificity"),
        ({"metric": "partial_auc"}, "exactly one of"),
        ({"specificity": (0.8, 1)}, "belong to metric='partial_auc'"),
        ({"contrasts": [("aided", "aided")]}, "`contrasts` must be pairs of"),
        ({"margin": 2}, "`margin` must lie inside"),
        ({"conf_level": 95}, "`conf_level` must lie inside"),
        ({"reader": "case"}, "are the same column"),
        ({"metric": "sensitivity", "threshold": "high"}, "`threshold` must be a number"),
    ],
)
def test_options_are_checked(options, words):
    with pytest.raises(ArgumentError, match=words):
        study(simulate(29), **options)


def test_other_refusals():
    data = simulate(30)
    with pytest.raises(DesignError, match="no column `score`"):
        study(data, rating="score")
    with pytest.raises(DesignError, match="must be a pandas DataFrame"):
        study([1, 2])
    with pytest.raises(RiskError, match="must be a decision 0/1"):
        study(data, metric="sensitivity")
    with pytest.raises(ArgumentError, match="independent cases"):
        study(data.assign(p=data["case"] // 2), covariance="unbiased", cluster="p")
    with pytest.raises(ArgumentError, match="a mean over cases or pairs"):
        study(data, covariance="unbiased", metric="partial_auc", specificity=(0.5, 1))


# ---- speed and calibration of the test ----------------------------------------------------------


def test_fourteen_readers_and_300_cases_take_a_fraction_of_a_second():
    data = simulate(31, n=300, readers=14)
    start = time.perf_counter()
    study(data, covariance="jackknife")
    assert time.perf_counter() - start < 25.8 / 100


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["delong", "jackknife", "unbiased"])
def test_type_one_error_with_random_readers_and_cases(covariance):
    """Roe and Metz (1997) model without a difference: 5 readers, 50 + 50 cases, 1,000 studies."""
    rng = np.random.default_rng(2007)
    names = ["condition", "reader", "case"]
    grid = pd.MultiIndex.from_product([("a", "b"), range(5), range(100)], names=names)
    data = grid.to_frame(index=False).assign(truth=lambda d: d["case"] % 2)
    rejected, covered = 0, 0
    for _ in range(1000):
        parts = {
            (1, 5, 1): 0.11,  # reader x truth
            (2, 5, 1): 0.03,
            (1, 1, 100): 0.3,
            (2, 1, 100): 0.3,
            (1, 5, 100): 0.2,
            (2, 5, 100): 0.2,
        }
        x = np.zeros((2, 5, 100))
        for shape, variance in parts.items():
            noise = rng.normal(0, np.sqrt(variance), size=shape)
            if shape[2] == 1:
                other = rng.normal(0, np.sqrt(variance), size=shape)
                noise = np.where(np.arange(100) % 2 == 1, noise, other)
            x = x + noise
        x = x + 1.5 * (np.arange(100) % 2)
        found = study(data.assign(rating=x.ravel()), covariance=covariance)
        rejected += found.test.p_value < 0.05
        covered += found.differences["conf_low"][0] <= 0 <= found.differences["conf_high"][0]
    assert rejected == 1000 - covered
    assert 0.03 <= rejected / 1000 <= 0.065
