"""Thresholds and the two-by-two table: R values, the decision rule counted out, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import special, stats

from tests.reference import load_case, read_reference_table
from usstats.errors import ArgumentError, OutcomeError, PairingError, RiskError, SmallSampleWarning
from usstats.proportions import clopper_pearson, wilson
from usstats.thresholds import Threshold, choose_threshold, compare_accuracy, diagnostic_accuracy

MEASURES = [
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "lr_pos",
    "lr_neg",
    "dor",
    "accuracy",
    "youden",
]


def asah():
    table = read_reference_table("asah.csv")
    return (table["outcome"] == "Poor").to_numpy(int), table


def images():
    table = load_case("cluster_mcnemar_images").table()
    return table["label"].to_numpy(), table["patient"].to_numpy(), table


def measure(result, name):
    return result.frame().set_index("measure").loc[name]


def cells(accuracy):
    """The two-by-two table behind the measures."""
    right, wrong = (measure(accuracy, name) for name in ("sensitivity", "specificity"))
    return {
        "tp": right["numerator"],
        "fn": right["denominator"] - right["numerator"],
        "tn": wrong["numerator"],
        "fp": wrong["denominator"] - wrong["numerator"],
    }


def counted(y, positive):
    """Cells of the table, one case at a time."""
    cells = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for event, called in zip(y, positive, strict=True):
        cells[
            {(1, 1): "tp", (0, 1): "fp", (1, 0): "fn", (0, 0): "tn"}[int(event), int(called)]
        ] += 1
    return cells


# ------------------------------------------------------------------ choosing a threshold


@pytest.mark.parametrize(
    ("path", "marker", "options"),
    [
        ("s100b_youden", "s100b", {}),
        ("s100b_topleft", "s100b", {"criterion": "closest_topleft"}),
        ("s100b_youden_cost2_prev02", "s100b", {"cost": 2, "prevalence": 0.2}),
        ("wfns_youden", "wfns", {}),
        ("ndka_topleft", "ndka", {"criterion": "closest_topleft"}),
    ],
)
@pytest.mark.filterwarnings("ignore::usstats.errors.SmallSampleWarning")  # a rule without alarms
def test_best_threshold_equals_coords(path, marker, options):
    # coords(roc, "best", best.method =, best.weights =); pROC's threshold is a mid-point
    case = load_case("roc_asah_coords")
    y, table = asah()
    chosen = choose_threshold(y, table[marker], **options)
    case.check([chosen.sensitivity], f"{path}.sensitivity")
    case.check([chosen.specificity], f"{path}.specificity")
    observed = np.unique(table[marker])
    below = observed[observed < chosen.value].max()
    case.check([(below + chosen.value) / 2], f"{path}.threshold")
    accuracy = diagnostic_accuracy(y, table[marker], threshold=chosen)
    for name in ("accuracy", "ppv", "npv"):
        case.check([measure(accuracy, name)["estimate"]], f"{path}.{name}")
    for name, value in cells(accuracy).items():
        case.check(value, f"{path}.{name}")
    r = 2.0 if "cost" in options else 1.0
    missed, alarms = 1 - chosen.sensitivity, 1 - chosen.specificity
    case.check(chosen.sensitivity + r * chosen.specificity, f"{path}.youden")
    case.check(missed**2 + r * alarms**2, f"{path}.closest.topleft")
    assert (chosen.n, chosen.n_event) == (113, 41)


def test_given_threshold_equals_coords():
    case = load_case("roc_asah_coords")
    y, table = asah()
    accuracy = diagnostic_accuracy(y, table["s100b"], threshold=0.205)
    for name in ("sensitivity", "specificity", "accuracy", "ppv", "npv"):
        case.check([measure(accuracy, name)["estimate"]], f"s100b_at_threshold.{name}")
    case.check([measure(accuracy, "youden")["estimate"] + 1], "s100b_at_threshold.youden")
    for name, value in cells(accuracy).items():
        case.check(value, f"s100b_at_threshold.{name}")
    case.check(accuracy.threshold, "s100b_at_threshold.threshold")


def test_targets_lie_on_either_side_of_the_interpolated_point():
    # pROC interpolates between observed thresholds; a usable rule takes the one that reaches
    case = load_case("roc_asah_coords")
    y, table = asah()
    specific = choose_threshold(y, table["s100b"], specificity=0.9)
    assert specific.specificity >= 0.9
    assert specific.sensitivity <= case.value("s100b_at_sp090.sensitivity")[0] + 1e-12
    sensitive = choose_threshold(y, table["s100b"], sensitivity=0.8)
    assert sensitive.sensitivity >= 0.8
    assert sensitive.specificity <= case.value("s100b_at_se080.specificity")[0] + 1e-12


scored = st.lists(st.integers(0, 8), min_size=4, max_size=25)


def rates_at_every_value(y, s):
    for t in sorted(set(s.tolist())):
        yield t, (s[y == 1] >= t).mean(), (s[y == 0] < t).mean()


@settings(max_examples=80, deadline=None)
@given(scored, st.randoms(use_true_random=False))
def test_rules_equal_a_search_through_all_values(values, random):
    s = np.array(values, dtype=float)
    y = np.array([0, 1, *(random.randint(0, 1) for _ in range(len(s) - 2))])
    rates = list(rates_at_every_value(y, s))
    best = max(se + sp for _, se, sp in rates)
    lowest = min(t for t, se, sp in rates if se + sp > best - 1e-9)
    assert choose_threshold(y, s).value == lowest
    nearest = min((1 - se) ** 2 + (1 - sp) ** 2 for _, se, sp in rates)
    corner = choose_threshold(y, s, criterion="closest_topleft").value
    assert corner == min(t for t, se, sp in rates if (1 - se) ** 2 + (1 - sp) ** 2 < nearest + 1e-9)
    highest = max(t for t, se, _ in rates if se >= 0.75)
    assert choose_threshold(y, s, sensitivity=0.75).value == highest
    reaching = [t for t, _, sp in rates if sp >= 0.5]
    if reaching:
        assert choose_threshold(y, s, specificity=0.5).value == min(reaching)


def test_perfect_reversed_and_tied_scores():
    y = np.array([0, 0, 0, 1, 1])
    s = np.array([1.0, 2, 3, 4, 5])
    perfect = choose_threshold(y, s)
    assert (perfect.value, perfect.sensitivity, perfect.specificity) == (4.0, 1.0, 1.0)
    against = choose_threshold(y, -s)
    assert (against.value, against.sensitivity, against.specificity) == (-5.0, 1.0, 0.0)
    tied = choose_threshold(y, np.full(5, 0.3))
    assert (tied.value, tied.sensitivity, tied.specificity) == (0.3, 1.0, 0.0)


def test_a_costly_miss_lowers_the_threshold():
    rng = np.random.default_rng(2)
    y = np.arange(200) % 2
    s = y + rng.normal(size=200)
    values = [choose_threshold(y, s, cost=c, prevalence=0.5).value for c in (0.1, 1, 10)]
    assert values == sorted(values, reverse=True)
    assert values[1] == choose_threshold(y, s).value
    assert values[0] > values[2]


def test_only_ranks_matter():
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    lp = y + rng.normal(size=60)
    risk = special.expit(lp)
    assert_allclose(choose_threshold(y, risk).value, special.expit(choose_threshold(y, lp).value))


def test_a_threshold_is_frozen_and_decides_with_equality():
    rule = choose_threshold([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.9], sensitivity=1)
    assert rule.criterion == "sensitivity >= 1"
    assert rule.decide([0.3, 0.3 - 1e-9, 0.31]).tolist() == [True, False, True]
    with pytest.raises(AttributeError):
        rule.value = 0.5
    assert rule.frame().loc[0, ["value", "n", "n_event"]].tolist() == [0.3, 4, 2]
    assert "development data" in repr(rule)
    with pytest.raises(RiskError, match="`p` must be finite; 1 of 2"):
        rule.decide([0.1, np.nan])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"y": [0, 0, 0, 0]}, OutcomeError, "only non-events"),
        ({"p": [0.1, 0.2, 0.3]}, PairingError, "`y` has 4, `p` has 3"),
        ({"p": [0.1, np.inf, 0.3, 0.4]}, RiskError, "`p` must be finite; 1 of 4"),
        ({"criterion": "best"}, ArgumentError, "`criterion` must be one of 'youden'"),
        ({"sensitivity": 0.9, "specificity": 0.9}, ArgumentError, "Give one target"),
        ({"sensitivity": 90}, ArgumentError, r"`sensitivity` must lie in \(0, 1\]; got 90"),
        ({"sensitivity": "0.9"}, ArgumentError, "`sensitivity` must lie in .*got '0.9'"),
        ({"specificity": 0}, ArgumentError, "`specificity` must lie in"),
        ({"sensitivity": np.nan}, ArgumentError, "got nan"),
        ({"cost": 2}, ArgumentError, "`cost` needs the `prevalence`"),
        (
            {"cost": 0, "prevalence": 0.1},
            ArgumentError,
            r"`cost` must be a number inside \(0, inf\); got 0",
        ),
        (
            {"cost": np.nan, "prevalence": 0.1},
            ArgumentError,
            r"`cost` must be a number inside .*got nan",
        ),
        ({"prevalence": 1}, ArgumentError, r"`prevalence` must be a number inside \(0, 1\); got 1"),
        (
            {"p": [0.9, 0.2, 0.3, 0.9], "specificity": 0.9},
            ArgumentError,
            "No observed value reaches specificity 0.9; the highest is 0.500",
        ),
    ],
)
def test_messages_of_choosing(options, error, text):
    arguments = {"y": [0, 0, 1, 1], "p": [0.1, 0.2, 0.3, 0.4]} | options
    with pytest.raises(error, match=text):
        choose_threshold(arguments.pop("y"), arguments.pop("p"), **arguments)


# ---------------------------------------------------------------- accuracy at a threshold


EPI_R = {
    "sensitivity": "se",
    "specificity": "sp",
    "ppv": "pv.pos",
    "npv": "pv.neg",
    "lr_pos": "lr.pos",
    "lr_neg": "lr.neg",
    "dor": "diag.or",
    "accuracy": "diag.ac",
    "youden": "youden",
}


@pytest.mark.parametrize(("ci", "path"), [("clopper-pearson", "exact"), ("wilson", "wilson")])
def test_accuracy_equals_epi_tests(ci, path):
    case = load_case("diag_epitests_torsion_model")
    table = case.table()
    got = diagnostic_accuracy(table["torsion"], table["model"], threshold=0.5, ci=ci)
    for name, theirs in EPI_R.items():
        row = measure(got, name)
        case.check([row["estimate"], row["conf_low"], row["conf_high"]], f"{path}.{theirs}")
    for name, value in cells(got).items():
        case.check(value, f"table.{name}")
    for name, theirs in (
        ("sensitivity", "p.tndp"),
        ("specificity", "p.tpdn"),
        ("ppv", "p.dntp"),
        ("npv", "p.dptn"),
    ):
        row = measure(got, name)
        turned = [1 - row[column] for column in ("estimate", "conf_high", "conf_low")]
        case.check(turned, f"{path}.{theirs}")
    n = cells(got)
    interval = {"exact": clopper_pearson, "wilson": wilson}[path]
    for theirs, x in {
        "ap": n["tp"] + n["fp"],
        "tp": n["tp"] + n["fn"],
        "p.rin": n["tp"] + n["fp"],
        "p.rout": n["fn"] + n["tn"],
    }.items():
        limits = interval(x, got.n)
        case.check([x / got.n, limits.low, limits.high], f"{path}.{theirs}")
    row = measure(got, "youden")
    case.check([1 / row[c] for c in ("estimate", "conf_high", "conf_low")], f"{path}.nndx")
    assert got.frame()["measure"].tolist() == MEASURES
    assert counted(table["torsion"], table["model"]) == case.value("table")


@pytest.mark.parametrize("test", [1, 2])
def test_wald_limits_equal_dtcompair(test):
    case = load_case("diag_paired_paired1")
    table = case.table()
    got = diagnostic_accuracy(table["d"], table[f"y{test}"], threshold=1, ci="wald")
    for name in ("sensitivity", "specificity", "ppv", "npv"):
        row = measure(got, name)
        case.check(row["estimate"], f"acc{test}.{name}.est")
        case.check(row["std_error"], f"acc{test}.{name}.se")
        case.check([row["conf_low"]], f"acc{test}.{name}.lcl")
        case.check([row["conf_high"]], f"acc{test}.{name}.ucl")
    for name, path in (("lr_pos", "pdlr"), ("lr_neg", "ndlr")):
        row = measure(got, name)
        case.check(row["estimate"], f"acc{test}.{path}.est")
        case.check(row["std_error"], f"acc{test}.{path}.se.ln")
        case.check([row["conf_low"]], f"acc{test}.{path}.lcl")
        case.check([row["conf_high"]], f"acc{test}.{path}.ucl")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=12, max_size=40))
def test_estimates_equal_the_counts(cases):
    y = np.array([1, 1, 0, 0, *(event for event, _ in cases)], dtype=int)
    s = np.array([5, 0, 5, 0, *(value for _, value in cases)], dtype=float)
    n = counted(y, s >= 3)
    got = diagnostic_accuracy(y, s, threshold=3).frame().set_index("measure")["estimate"]
    se, sp = n["tp"] / (n["tp"] + n["fn"]), n["tn"] / (n["tn"] + n["fp"])
    expected = {
        "sensitivity": se,
        "specificity": sp,
        "ppv": n["tp"] / (n["tp"] + n["fp"]),
        "npv": n["tn"] / (n["tn"] + n["fn"]),
        "lr_pos": se / (1 - sp),
        "lr_neg": (1 - se) / sp,
        "dor": n["tp"] * n["tn"] / (n["fp"] * n["fn"]),
        "accuracy": (n["tp"] + n["tn"]) / len(y),
        "youden": se + sp - 1,
    }
    assert_allclose(got[list(expected)], list(expected.values()), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("clustered", [False, True])
def test_calling_the_other_class_the_event_swaps_the_measures(clustered):
    y, patient, table = images()
    s = table["model_a"].to_numpy()
    cluster = patient if clustered else None
    here = diagnostic_accuracy(y, s, threshold=0.5, cluster=cluster).frame().set_index("measure")
    turned = diagnostic_accuracy(1 - y, s < 0.5, threshold=1, cluster=cluster)
    there = turned.frame().set_index("measure")
    columns = ["estimate", "std_error", "conf_low", "conf_high"]
    for one, other in {"sensitivity": "specificity", "ppv": "npv"}.items():
        assert_allclose(
            here.loc[one, columns].astype(float), there.loc[other, columns].astype(float)
        )
    assert_allclose(
        [here.loc["lr_pos", "estimate"], here.loc["lr_pos", "conf_low"]],
        [1 / there.loc["lr_neg", "estimate"], 1 / there.loc["lr_neg", "conf_high"]],
    )
    assert_allclose(here.loc["dor", "conf_high"], there.loc["dor", "conf_high"])


def test_equality_with_the_threshold_is_positive():
    got = diagnostic_accuracy([0, 0, 1, 1], [0.2, 0.5, 0.2, 0.5], threshold=0.5)
    assert measure(got, "sensitivity")["numerator"] == 1
    assert measure(got, "specificity")["numerator"] == 1


def test_perfect_rule_has_undefined_ratios_and_honest_proportions():
    y = np.repeat([0, 1], [30, 20])
    with pytest.warns(SmallSampleWarning, match="lr_pos, lr_neg, dor"):
        got = diagnostic_accuracy(y, y, threshold=1, ci="clopper-pearson")
    sensitivity = measure(got, "sensitivity")
    assert (sensitivity["estimate"], sensitivity["conf_high"]) == (1.0, 1.0)
    assert_allclose(sensitivity["conf_low"], 0.025 ** (1 / 20))
    assert measure(got, "lr_neg")["estimate"] == 0.0
    assert np.isinf(measure(got, "lr_pos")["estimate"])


def test_nobody_positive_leaves_no_predictive_value():
    with pytest.warns(SmallSampleWarning, match="ppv, lr_pos, dor"):
        got = diagnostic_accuracy([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], threshold=0.9)
    assert np.isnan(measure(got, "ppv")["estimate"])
    assert measure(got, "ppv")["method"] == "undefined"
    assert measure(got, "specificity")["estimate"] == 1.0


def test_one_class_alone_still_has_its_own_measure():
    with pytest.warns(SmallSampleWarning, match="specificity"):
        got = diagnostic_accuracy([1, 1, 1], [0.2, 0.6, 0.7], threshold=0.5)
    assert_allclose(measure(got, "sensitivity")["estimate"], 2 / 3)
    assert np.isnan(measure(got, "specificity")["estimate"])


def test_logit_limits_equal_binom():
    case = load_case("diag_binomial_ci")
    for name, x, n in (("a_45_50_95", 45, 50), ("b_8_120_95", 8, 120)):
        positive = np.r_[np.ones(x), np.zeros(n - x)]
        y, s = np.r_[np.ones(n), 0, 0], np.r_[positive, 0, 1]
        row = measure(diagnostic_accuracy(y, s, threshold=1, ci="logit"), "sensitivity")
        case.check([row["estimate"], row["conf_low"], row["conf_high"]], f"{name}.logit")


@pytest.mark.parametrize("model", ["a", "b"])
def test_clustered_sensitivity_equals_svymean(model):
    case = load_case("cluster_mcnemar_images")
    y, patient, table = images()
    for ci in ("wald", "logit"):
        got = diagnostic_accuracy(y, table[f"pos_{model}"], threshold=1, cluster=patient, ci=ci)
        row = measure(got, "sensitivity")
        case.check(row["estimate"], f"sens_{model}.estimate")
        case.check(row["std_error"], f"sens_{model}.se")
        case.check([row["conf_low"], row["conf_high"]], f"sens_{model}.ci_{ci}")
    assert "unit: patient (275 clusters)" in repr(got)


def left_out_std_error(statistic, y, positive, cluster):
    """Jackknife over patients."""
    values = [
        statistic(counted(y[cluster != c], positive[cluster != c])) for c in np.unique(cluster)
    ]
    k = len(values)
    return np.sqrt((k - 1) / k * ((values - np.mean(values)) ** 2).sum())


RATIOS = {
    "ppv": lambda n: n["tp"] / (n["tp"] + n["fp"]),
    "lr_pos": lambda n: np.log(n["tp"] / (n["tp"] + n["fn"]) / (n["fp"] / (n["fp"] + n["tn"]))),
    "lr_neg": lambda n: np.log(n["fn"] / (n["tp"] + n["fn"]) / (n["tn"] / (n["fp"] + n["tn"]))),
    "dor": lambda n: np.log(n["tp"] * n["tn"] / n["fp"] / n["fn"]),
    "youden": lambda n: n["tp"] / (n["tp"] + n["fn"]) + n["tn"] / (n["fp"] + n["tn"]),
}


@pytest.mark.parametrize("name", RATIOS)
def test_linearised_errors_agree_with_leaving_patients_out(name):
    y, patient, table = images()
    positive = table["pos_a"].to_numpy()
    got = diagnostic_accuracy(y, positive, threshold=1, cluster=patient)
    slow = left_out_std_error(RATIOS[name], y, positive, patient)
    assert_allclose(measure(got, name)["std_error"], slow, rtol=0.03)


def test_copies_of_an_image_carry_no_information():
    y, _, table = images()
    y, s = y[:150], table["pos_a"].to_numpy()[:150]
    rows = np.repeat(np.arange(150), 3)
    once = diagnostic_accuracy(y, s, threshold=1, cluster=np.arange(150)).frame()
    thrice = diagnostic_accuracy(y[rows], s[rows], threshold=1, cluster=rows).frame()
    columns = ["estimate", "std_error", "conf_low", "conf_high"]
    assert_allclose(thrice[columns], once[columns], rtol=1e-12)


def test_one_image_a_patient_differs_by_the_finite_sample_factor():
    y, _, table = images()
    plain = diagnostic_accuracy(y, table["pos_a"], threshold=1, ci="wald")
    clustered = diagnostic_accuracy(
        y, table["pos_a"], threshold=1, ci="wald", cluster=np.arange(len(y))
    )
    m = y.sum()
    assert_allclose(
        measure(clustered, "sensitivity")["std_error"],
        measure(plain, "sensitivity")["std_error"] * np.sqrt(m / (m - 1)),
    )


def test_full_sensitivity_with_clusters_counts_patients():
    y = np.repeat([0, 1], 40)
    patient = np.arange(80) // 4
    with pytest.warns(SmallSampleWarning, match="lr_pos, lr_neg, dor"):
        got = diagnostic_accuracy(y, y, threshold=1, cluster=patient)
    z2 = stats.norm.ppf(0.975) ** 2
    row = measure(got, "sensitivity")
    assert_allclose([row["conf_low"], row["conf_high"]], [10 / (10 + z2), 1.0])
    assert row["method"] == "wilson, clustered"


def test_one_patient_has_no_limits():
    with pytest.warns(SmallSampleWarning, match="single patient"):
        got = diagnostic_accuracy([0, 1, 0, 1], [0, 1, 1, 0], threshold=1, cluster=[7, 7, 7, 7])
    assert measure(got, "sensitivity")["estimate"] == 0.5
    assert got.frame()["conf_low"].isna().all()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"threshold": "youden"}, ArgumentError, "Choose it in development"),
        ({"threshold": np.nan}, ArgumentError, "finite number or a Threshold; got nan"),
        ({"threshold": [0.5]}, ArgumentError, r"got \[0.5\]"),
        ({"threshold": True}, ArgumentError, "got True"),
        ({"ci": "exact"}, ArgumentError, "`ci` must be one of 'wilson'"),
        ({"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
        ({"y": [1, 2, 1, 2]}, OutcomeError, r"it holds \[1, 2\]"),
        ({"p": [0.1, 0.2]}, PairingError, "`y` has 4, `p` has 2"),
        ({"cluster": [1, 2, 3]}, PairingError, "`cluster` has 3"),
        ({"cluster": [1, 2, 3, None]}, PairingError, "1 missing labels"),
    ],
)
def test_messages_of_accuracy(options, error, text):
    arguments = {"y": [0, 0, 1, 1], "p": [0.1, 0.6, 0.3, 0.9], "threshold": 0.5} | options
    with pytest.raises(error, match=text):
        diagnostic_accuracy(arguments.pop("y"), arguments.pop("p"), **arguments)


def test_summary_names_every_measure():
    got = diagnostic_accuracy([0, 0, 1, 1], [0.1, 0.6, 0.3, 0.9], threshold=0.5)
    assert [line.split()[0] for line in got.summary().splitlines()[1:]] == MEASURES
    assert "at >= 0.5: wilson, 95 % intervals; n = 4, events = 2, unit: case" in repr(got)


# ------------------------------------------------------------- two decisions on the same cases


def paired():
    case = load_case("diag_paired_paired1")
    table = case.table()
    return case, (table["d"], table["y1"], table["y2"])


def test_paired_comparison_equals_dtcompair():
    # DTComPair subtracts the other way round
    case, (y, one, two) = paired()
    got, turned = compare_accuracy(y, one, two), compare_accuracy(y, two, one, ci="wald")
    for name, path in (("sensitivity", "sens"), ("specificity", "spec")):
        row, there = measure(got, name), measure(turned, name)
        case.check(row["statistic"], f"{path}_mcnemar.chi2")
        case.check(row["p_value"], f"{path}_mcnemar.p")
        for ci, limits in (("tango", got), ("wald", turned)):
            case.check(row["estimate_1"], f"diff_{ci}.{path}.test1")
            case.check(row["estimate_2"], f"diff_{ci}.{path}.test2")
            case.check(-row["estimate"], f"diff_{ci}.{path}.diff")
            sign = -1 if limits is got else 1
            ends = sorted([sign * measure(limits, name)[c] for c in ("conf_low", "conf_high")])
            case.check(ends[0], f"diff_{ci}.{path}.diff.lcl")
            case.check(ends[1], f"diff_{ci}.{path}.diff.ucl")
        case.check(there["std_error"], f"diff_wald.{path}.diff.se")
        discordant = sorted([row["n_10"], row["n_01"]])
        assert discordant == sorted(case.value(f"{path}_mcnemar.{n}") for n in ("n10", "n01"))
    # n01 of a class: test 1 wrong (negative among events) and test 2 right
    for name, path in (("sensitivity", "sens_mcnemar"), ("accuracy", "all_mcnemar_accuracy")):
        row = measure(turned, name)
        case.check(sorted([row["n_10"], row["n_01"]])[0], f"{path}.n01")
        case.check(sorted([row["n_10"], row["n_01"]])[1], f"{path}.n10")
    row = measure(turned, "specificity")
    case.check(row["n_01"], "spec_mcnemar.n01")
    case.check(row["n_10"], "spec_mcnemar.n10")


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("mcnemar", ""), ("mcnemar_corrected", "_corrected"), ("exact", "_exact"), ("midp", "_midp")],
)
def test_paired_tests_equal_r(method, suffix):
    case, arrays = paired()
    got = compare_accuracy(*arrays, method=method)
    for name, path in (
        ("sensitivity", "sens_mcnemar"),
        ("specificity", "spec_mcnemar"),
        ("accuracy", "all_mcnemar_accuracy"),
    ):
        row = measure(got, name)
        case.check(row["p_value"], f"{path}.p{suffix}")
        assert row["method"] == method
        if "mcnemar" in method:
            case.check(row["statistic"], f"{path}.chi2{suffix}")


@pytest.mark.parametrize(("predictive", "path"), [("weighted", "wgs"), ("score", "gs")])
@pytest.mark.parametrize("name", ["ppv", "npv"])
def test_predictive_values_equal_dtcompair(predictive, path, name):
    case, (y, one, two) = paired()
    row = measure(compare_accuracy(y, two, one, predictive=predictive), name)
    found = {
        "test1": row["estimate_2"],
        "test2": row["estimate_1"],
        "diff": row["estimate"],
        "test.statistic": row["statistic"],
        "p.value": row["p_value"],
    }
    for key, value in found.items():
        case.check(value, f"{name}_{path}.{key}")


RATIO_CASES = [
    ("ppv", "rppv", True, ("rppv", "se.log.rppv", "lcl.rppv", "ucl.rppv", "p.value")),
    ("npv", "rnpv", True, ("rnpv", "se.log.rnpv", "lcl.rnpv", "ucl.rnpv", "p.value")),
    ("lr_pos", "pdlr_ratio", False, ("ratio", "se.log", "lcl", "ucl", "p.value")),
    ("lr_neg", "ndlr_ratio", False, ("ratio", "se.log", "lcl", "ucl", "p.value")),
    (
        "sensitivity",
        "rel_sens_spec.sens",
        True,
        ("rel.sens", "se.log.rel.sens", "lcl.rel.sens", "ucl.rel.sens", "pval.rel.sens"),
    ),
    (
        "specificity",
        "rel_sens_spec.spec",
        True,
        ("rel.spec", "se.log.rel.spec", "lcl.rel.spec", "ucl.rel.spec", "pval.rel.spec"),
    ),
]


@pytest.mark.parametrize(("name", "path", "second_over_first", "keys"), RATIO_CASES)
def test_ratios_equal_dtcompair(name, path, second_over_first, keys):
    case, (y, one, two) = paired()
    decisions = (two, one) if second_over_first else (one, two)
    row = measure(compare_accuracy(y, *decisions, effect="ratio"), name)
    columns = ("estimate", "std_error", "conf_low", "conf_high", "p_value")
    for column, key in zip(columns, keys, strict=True):
        case.check(row[column], f"{path}.{key}")
    first, second = (
        ("estimate_2", "estimate_1") if second_over_first else ("estimate_1", "estimate_2")
    )
    case.check(row[first], f"{path}.test1")
    case.check(row[second], f"{path}.test2")
    if keys[-1] == "p.value":
        case.check(row["statistic"], f"{path}.test.statistic")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("mcnemar", "yang"),
        ("obuchowski", "obuchowski"),
        ("durkalski", "durkalski"),
        ("eliasziw", "eliasziw"),
    ],
)
def test_clustered_comparison_equals_clust_bin_pair(method, path):
    case = load_case("cluster_mcnemar_images")
    y, patient, table = images()
    got = compare_accuracy(y, table["pos_a"], table["pos_b"], method=method, cluster=patient)
    row = measure(got, "sensitivity")
    case.check(row["statistic"], f"sensitivity_test.{path}.chi2")
    case.check(row["p_value"], f"sensitivity_test.{path}.p")
    case.check(row["n_10"], "sensitivity_test.discordant_10")
    case.check(row["n_01"], "sensitivity_test.discordant_01")
    case.check(row["estimate_1"], "sens_a.estimate")
    case.check(row["estimate_2"], "sens_b.estimate")
    plain = measure(compare_accuracy(y, table["pos_a"], table["pos_b"]), "sensitivity")
    case.check(plain["p_value"], "sensitivity_test.mcnemar_ignoring_clusters.p")
    case.check(plain["statistic"], "sensitivity_test.mcnemar_ignoring_clusters.chi2")
    assert row["method"] == f"{path}, clustered"


def ratios_left_out(y, one, two, cluster):
    """Jackknife over patients of the differences and log ratios, from counts."""

    def statistics(rows):
        cells = [counted(y[rows], d[rows]) for d in (one, two)]
        values = []
        for name in ("ppv", "npv"):
            hit, missed = ("tp", "fp") if name == "ppv" else ("tn", "fn")
            shares = [n[hit] / (n[hit] + n[missed]) for n in cells]
            values += [shares[0] - shares[1], np.log(shares[0] / shares[1])]
        for name in ("lr_pos", "lr_neg"):
            values.append(RATIOS[name](cells[0]) - RATIOS[name](cells[1]))
        return values

    units = np.unique(cluster)
    values = np.array([statistics(cluster != c) for c in units])
    k = len(units)
    return np.sqrt((k - 1) / k * ((values - values.mean(axis=0)) ** 2).sum(axis=0))


@pytest.mark.parametrize("clustered", [False, True])
def test_linearised_comparisons_agree_with_leaving_out(clustered):
    y, patient, table = images()
    one, two = (table[name].to_numpy() for name in ("pos_a", "pos_b"))
    unit = patient if clustered else np.arange(len(y))
    slow = ratios_left_out(y, one, two, unit)
    cluster = patient if clustered else None
    gaps = compare_accuracy(y, one, two, cluster=cluster)
    ratios = compare_accuracy(y, one, two, cluster=cluster, effect="ratio")
    fast = [
        measure(result, name)["std_error"] for name in ("ppv", "npv") for result in (gaps, ratios)
    ] + [measure(ratios, name)["std_error"] for name in ("lr_pos", "lr_neg")]
    assert_allclose(fast, slow, rtol=0.03)


def test_generalised_score_equals_its_regression_form():
    # Leisenring et al. (2000): one row a positive test, the score of the test's coefficient
    _, (y, one, two) = paired()
    rows = [(d, test) for d, a, b in zip(y, one, two, strict=True) for test in [0] * a + [1] * b]
    outcome, test = np.array(rows).T
    subject = np.repeat(np.arange(len(y)), np.asarray(one) + np.asarray(two))
    score = np.bincount(subject, (outcome - outcome.mean()) * (test - test.mean()))
    expected = score.sum() ** 2 / (score**2).sum()
    got = measure(compare_accuracy(y, one, two, predictive="score"), "ppv")
    assert_allclose(got["statistic"], expected, rtol=1e-12)


def test_copies_of_an_image_do_not_sharpen_a_comparison():
    y, _, table = images()
    rows = np.repeat(np.arange(150), 3)
    y, a, b = (np.asarray(v)[:150] for v in (y, table["pos_a"], table["pos_b"]))
    for effect in ("difference", "ratio"):
        once = compare_accuracy(y, a, b, cluster=np.arange(150), effect=effect).frame()
        thrice = compare_accuracy(y[rows], a[rows], b[rows], cluster=rows, effect=effect).frame()
        columns = ["estimate", "std_error", "conf_low", "conf_high", "p_value"]
        assert_allclose(thrice[columns], once[columns], rtol=1e-12)


def test_ratios_turn_with_the_decisions():
    y, patient, table = images()
    arrays = (table["pos_a"], table["pos_b"])
    for cluster in (None, patient):
        there = compare_accuracy(y, *arrays, effect="ratio", cluster=cluster).frame()
        back = compare_accuracy(y, *arrays[::-1], effect="ratio", cluster=cluster).frame()
        assert_allclose(there["estimate"], 1 / back["estimate"])
        assert_allclose(there["conf_low"], 1 / back["conf_high"])
        assert_allclose(there["p_value"], back["p_value"])


def test_a_decision_without_positives_has_no_predictive_value():
    with pytest.warns(SmallSampleWarning, match="compare ppv on"):
        got = compare_accuracy([0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1])
    row = measure(got, "ppv")
    assert np.isnan(row["p_value"])
    assert row["method"] == "undefined"
    assert measure(got, "sensitivity")["estimate"] == -0.5
    with pytest.warns(SmallSampleWarning, match="ppv, lr_pos"):
        compare_accuracy([0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1], effect="ratio")


def test_decisions_that_agree_have_p_one_and_limits_of_doubt():
    y, decision = np.repeat([0, 1], 20), np.tile([0, 0, 0, 1], 10)
    for cluster in (None, np.arange(40) // 2):
        frame = compare_accuracy(y, decision, decision, cluster=cluster).frame()
        assert (frame["estimate"] == 0).all()
        assert (frame["p_value"] == 1).all()
        assert (frame["conf_low"] < 0).all()
        assert (frame["conf_high"] > 0).all()
        with pytest.warns(SmallSampleWarning, match="the decisions agree"):
            ratio = compare_accuracy(y, decision, decision, cluster=cluster, effect="ratio")
        assert (ratio.frame()["estimate"] == 1).all()
        assert (ratio.frame()["p_value"] == 1).all()
        assert ratio.frame()["conf_low"].isna().all()


@pytest.mark.parametrize("clustered", [False, True])
def test_swapping_the_decisions_turns_the_difference(clustered):
    y, patient, table = images()
    cluster = patient if clustered else None
    there = compare_accuracy(y, table["pos_a"], table["pos_b"], cluster=cluster).frame()
    back = compare_accuracy(y, table["pos_b"], table["pos_a"], cluster=cluster).frame()
    assert_allclose(there["estimate"], -back["estimate"])
    assert_allclose(there["conf_low"], -back["conf_high"], rtol=1e-9)
    assert_allclose(there["p_value"], back["p_value"])


def test_clustered_standard_error_is_the_patient_sum():
    y, patient, table = images()
    a, b = table["pos_a"].to_numpy(), table["pos_b"].to_numpy()
    row = measure(compare_accuracy(y, a, b, cluster=patient), "sensitivity")
    event = y == 1
    gap = (a - b)[event]
    sums = [
        (gap[patient[event] == c] - gap.mean()).sum() / len(gap) for c in np.unique(patient[event])
    ]
    k = len(sums)
    assert_allclose(row["std_error"], np.sqrt(k / (k - 1) * np.square(sums).sum()))


def test_a_class_without_cases_is_nan():
    with pytest.warns(SmallSampleWarning, match="compare specificity on"):
        got = compare_accuracy([1, 1, 1], [1, 0, 1], [0, 0, 1])
    assert np.isnan(measure(got, "specificity")["p_value"])
    assert measure(got, "sensitivity")["denominator"] == 3


def test_one_patient_cannot_be_tested():
    with pytest.warns(SmallSampleWarning, match="one patient"):
        got = compare_accuracy([0, 1, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0], cluster=[3, 3, 3, 3])
    assert got.frame()[["p_value", "std_error", "conf_low"]].isna().all().all()


def test_thresholds_feed_the_comparison():
    y, _, table = images()
    rule = choose_threshold(y, table["model_a"], sensitivity=0.8)
    assert isinstance(rule, Threshold)
    got = compare_accuracy(y, rule.decide(table["model_a"]), table["pos_b"])
    assert measure(got, "sensitivity")["estimate_1"] == rule.sensitivity
    assert "comparison of two decisions: mcnemar" in repr(got)
    assert got.summary().count("p = ") == 5


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"decision_1": [0.2, 0.7, 0.4, 0.9]}, ArgumentError, "Apply a threshold first"),
        ({"decision_2": [1, 2, 1, 2]}, OutcomeError, "`decision_2` must be 0/1 or bool"),
        ({"decision_2": ["no", "yes"] * 2}, OutcomeError, "`decision_2` holds labels"),
        ({"decision_2": [1, 0, 1, np.nan]}, OutcomeError, "`decision_2` has 1 missing"),
        ({"decision_2": [1, 0]}, PairingError, "`decision_2` has 2"),
        ({"y": [0, 1, 2, 1]}, OutcomeError, "`y` must be 0/1"),
        ({"method": "chi2"}, ArgumentError, "`method` must be one of 'mcnemar'"),
        ({"effect": "odds"}, ArgumentError, "`effect` must be one of 'difference', 'ratio'"),
        ({"ci": "wilson"}, ArgumentError, "`ci` must be one of 'tango', 'wald'"),
        ({"predictive": "gs"}, ArgumentError, "`predictive` must be one of 'weighted', 'score'"),
        ({"method": "durkalski"}, ArgumentError, "needs `cluster`"),
        (
            {"method": "exact", "cluster": [1, 1, 2, 2]},
            ArgumentError,
            "does not allow for `cluster`",
        ),
        ({"cluster": [1, 1]}, PairingError, "`cluster` has 2"),
        ({"conf_level": 1}, ArgumentError, "`conf_level` must lie inside"),
    ],
)
def test_messages_of_comparing(options, error, text):
    arguments = {"y": [0, 0, 1, 1], "decision_1": [0, 1, 1, 0], "decision_2": [0, 0, 1, 1]}
    arguments |= options
    order = [arguments.pop(name) for name in ("y", "decision_1", "decision_2")]
    with pytest.raises(error, match=text):
        compare_accuracy(*order, **arguments)
