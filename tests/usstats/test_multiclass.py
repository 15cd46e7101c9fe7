"""Several classes: R's numbers, what two classes must give, relabelling, and bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from tests.reference import load_case
from usstats.calibration import assess_calibration
from usstats.errors import (
    ArgumentError,
    DirectionWarning,
    OutcomeError,
    PairingError,
    ProbabilityWarning,
    ResampleError,
    RiskError,
    SmallSampleWarning,
    UsstatsWarning,
)
from usstats.multiclass import (
    assess_multiclass_calibration,
    compare_multiclass_auc,
    multiclass_auc,
    multiclass_report,
)
from usstats.proportions import clopper_pearson, wilson
from usstats.roc import auc
from usstats.thresholds import diagnostic_accuracy

CONFUSION = load_case("multiclass_confusion_skin3_p")
ROC = load_case("roc_skin3_multiclass")
CLASSES = ["benign", "BCC", "melanoma"]
COLUMNS = ["p_benign", "p_bcc", "p_melanoma"]
CARET = {
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
    "Pos Pred Value": "ppv",
    "Neg Pred Value": "npv",
    "Precision": "ppv",
    "Recall": "sensitivity",
    "F1": "f1",
    "Prevalence": "prevalence",
    "Detection Rate": "detection_rate",
    "Detection Prevalence": "detection_prevalence",
    "Balanced Accuracy": "balanced_accuracy",
}
ALL = tuple(dict.fromkeys(["accuracy", *CARET.values()]))
AVERAGES = ["hand-till", "macro", "weighted", "micro"]


def softmax(logits):
    return special.softmax(logits, axis=1)


def world(n=240, k=3, seed=1, strength=1.5):
    """Classes and honest probabilities, patients of three images each."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k))
    y = rng.integers(0, k, n)
    logits[np.arange(n), y] += strength
    return y, softmax(logits)


def skin():
    table = CONFUSION.table()
    return table["truth"], table[COLUMNS]


# ---------------------------------------------------------------------------------- reference


def test_confusion_matrix_and_class_table_of_caret():
    report = multiclass_report(*skin(), classes=CLASSES, measures=ALL)
    CONFUSION.check(report.confusion(), "table_pred_by_truth")
    wide = report.frame().set_index(["group", "measure"])["estimate"]
    expected = CONFUSION.expected["by_class"]
    got = [[wide[row, CARET[column]] for column in expected["cols"]] for row in expected["rows"]]
    CONFUSION.check(got, "by_class.values")
    assert report.confusion().index.tolist() == CONFUSION.expected["levels"]
    assert (report.confusion().index.name, report.confusion().columns.name) == (
        "predicted",
        "truth",
    )


def test_overall_accuracy_kappa_and_tests_of_caret():
    overall = multiclass_report(*skin(), classes=CLASSES, ci="clopper-pearson").overall()
    rows = overall.set_index("measure")
    got = {
        "Accuracy": rows.loc["accuracy", "estimate"],
        "Kappa": rows.loc["kappa", "estimate"],
        "AccuracyLower": rows.loc["accuracy", "conf_low"],
        "AccuracyUpper": rows.loc["accuracy", "conf_high"],
        "AccuracyNull": rows.loc["no_information_rate", "estimate"],
        "AccuracyPValue": rows.loc["accuracy", "p_value"],
        "McnemarPValue": rows.loc["symmetry", "p_value"],
    }
    CONFUSION.check(got, "overall")


def test_averages_of_the_class_table():
    report = multiclass_report(
        *skin(), classes=CLASSES, measures=ALL, averages=["macro", "weighted"]
    )
    rows = report.averages().set_index(["group", "measure"])["estimate"]
    macro = {"f1": rows["macro", "f1"], "sensitivity": rows["macro", "sensitivity"]}
    CONFUSION.check(macro | {"precision": rows["macro", "ppv"]}, "macro")
    CONFUSION.check(rows["weighted", "f1"], "weighted_f1")


def test_auc_of_proc():
    found = multiclass_auc(*skin(), classes=CLASSES)
    rows = found.frame().set_index(["measure", "group"])
    for name in CLASSES:
        row = rows.loc[("auc", name)]
        ROC.check({"auc": row["estimate"], "ci95": [row["conf_low"], row["conf_high"]]}, name)
    ROC.check(rows.loc[("auc_macro", "all"), "estimate"], "macro_auc")
    ROC.check(rows.loc[("auc_weighted", "all"), "estimate"], "weighted_auc")
    ROC.check(found.estimate, "hand_till_M")


# ------------------------------------------------------------------------ second implementations


def naive_auc(events, others):
    return np.mean([(a > b) + (a == b) / 2 for a in events for b in others])


def test_hand_and_till_by_counting_pairs_with_ties():
    y, p = world(90, 4, seed=3)
    p = np.round(p, 1)
    p /= p.sum(axis=1, keepdims=True)
    ordered = [naive_auc(p[y == i, i], p[y == j, i]) for i in range(4) for j in range(4) if i != j]
    found = multiclass_auc(y, p)
    assert found.estimate == pytest.approx(np.mean(ordered))
    np.testing.assert_allclose(found.pairs()["estimate"], ordered)
    rest = [naive_auc(p[y == k, k], p[y != k, k]) for k in range(4)]
    assert multiclass_auc(y, p, average="macro").estimate == pytest.approx(np.mean(rest))
    shares = np.bincount(y) / len(y)
    assert multiclass_auc(y, p, average="weighted").estimate == pytest.approx(rest @ shares)


@pytest.mark.parametrize("cluster", [None, np.arange(240) // 3])
def test_micro_is_the_auc_of_all_decisions_clustered_by_case(cluster):
    y, p = world()
    unit = np.arange(240) if cluster is None else cluster
    pooled = auc((y[:, None] == np.arange(3)).ravel(), p.ravel(), cluster=np.repeat(unit, 3))
    found = multiclass_auc(y, p, average="micro", cluster=cluster)
    assert found.estimate == pytest.approx(pooled.estimate)
    assert found.std_error == pytest.approx(pooled.std_error)


@pytest.mark.parametrize("cluster", [None, np.arange(240) // 3])
@pytest.mark.parametrize("average", AVERAGES)
def test_analytic_standard_errors_are_those_of_the_jackknife(average, cluster):
    """Leaving each patient out in turn knows nothing of placement values."""
    y, p = world(strength=1.0)
    unit = np.arange(240) if cluster is None else cluster
    k = unit.max() + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        left_out = [
            multiclass_auc(y[unit != u], p[unit != u], average=average).estimate for u in range(k)
        ]
    jackknife = np.sqrt((k - 1) / k * np.square(left_out - np.mean(left_out)).sum())
    found = multiclass_auc(y, p, average=average, cluster=cluster)
    # "weighted" takes the class shares as fixed, the jackknife does not.
    assert found.std_error == pytest.approx(jackknife, rel=0.06)


@pytest.mark.parametrize("average", AVERAGES)
def test_resamples_give_the_statistic_of_the_drawn_rows(average):
    y, p = world(60)
    rows = np.random.default_rng(2).integers(0, 60, (4, 60))
    found = multiclass_auc(y, p, average=average, ci="bootstrap", resamples=rows)
    by_hand = [multiclass_auc(y[r], p[r], average=average).estimate for r in rows]
    assert found.std_error == pytest.approx(np.std(by_hand, ddof=1))
    assert (found.conf_low, found.conf_high) == pytest.approx(
        tuple(np.quantile(by_hand, [0.025, 0.975]))
    )
    assert (found.n_boot, found.n_failed, found.seed) == (4, 0, None)


def test_f1_limits_are_those_of_the_share_in_the_union():
    y, p = world()
    chosen = p.argmax(axis=1)
    for ci, interval in (("wilson", wilson), ("clopper-pearson", clopper_pearson)):
        row = multiclass_report(y, chosen, measures=["f1"], ci=ci).frame().iloc[0]
        tp, union = ((y == 0) & (chosen == 0)).sum(), ((y == 0) | (chosen == 0)).sum()
        limits = interval(int(tp), int(union))
        assert row["conf_low"] == pytest.approx(2 * limits.low / (1 + limits.low))
        assert row["conf_high"] == pytest.approx(2 * limits.high / (1 + limits.high))
        assert row["estimate"] == pytest.approx(2 * tp / (union + tp))


@pytest.mark.parametrize("cluster", [None, np.arange(120) // 3])
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_delta_method_of_averages_agrees_with_the_jackknife(average, cluster):
    y, p = world(120)
    chosen, unit = p.argmax(axis=1), np.arange(120) if cluster is None else cluster
    k = unit.max() + 1

    def values(rows, **options):
        report = multiclass_report(
            y[rows], chosen[rows], classes=[0, 1, 2], measures=ALL, averages=[average], **options
        )
        return report.averages()

    left_out = np.array([values(unit != u)["estimate"] for u in range(k)])
    spread = np.sqrt((k - 1) / k * np.square(left_out - left_out.mean(axis=0)).sum(axis=0))
    found = values(np.ones(120, dtype=bool), cluster=cluster)["std_error"]
    np.testing.assert_allclose(found, spread, rtol=0.05, atol=1e-12)


def test_full_recalibration_matrix_is_that_of_statsmodels():
    mnlogit = pytest.importorskip("statsmodels.api").MNLogit
    y, p = world(500)
    lp = np.log(p[:, 1:] / p[:, :1])
    other = mnlogit(y, np.column_stack([np.ones(500), lp])).fit(disp=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        found = assess_multiclass_calibration(y, p).slope_matrix()
    np.testing.assert_allclose(found["estimate"], other.params[1:].T.ravel(), rtol=1e-6)
    np.testing.assert_allclose(found["std_error"], other.bse[1:].T.ravel(), rtol=1e-5)
    assert found[["group", "term"]].values.tolist() == [
        ["1", "lp 1"],
        ["1", "lp 2"],
        ["2", "lp 1"],
        ["2", "lp 2"],
    ]


# -------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("cluster", [None, np.arange(240) // 3])
@pytest.mark.parametrize("average", ["hand-till", "macro", "weighted"])
def test_two_classes_give_the_ordinary_auc(average, cluster):
    y, p = world(k=2)
    one = multiclass_auc(y, p, average=average, cluster=cluster)
    other = auc(y, p[:, 1], cluster=cluster)
    assert one.estimate == pytest.approx(other.estimate, rel=1e-12)
    assert one.std_error == pytest.approx(other.std_error, rel=1e-9)
    assert (one.conf_low, one.conf_high) == pytest.approx((other.conf_low, other.conf_high))


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("ci", ["delong", "logit"])
def test_one_image_a_patient_gives_the_unclustered_interval(average, ci):
    y, p = world()
    plain = multiclass_auc(y, p, average=average, ci=ci)
    clustered = multiclass_auc(y, p, average=average, ci=ci, cluster=np.arange(240))
    assert clustered.std_error == pytest.approx(plain.std_error, rel=1e-12)
    assert clustered.conf_low == pytest.approx(plain.conf_low)
    assert clustered.n_cluster == 240


def test_images_copied_widen_nothing_when_patients_are_counted():
    y, p = world()
    copied = np.repeat(np.arange(240), 3)
    once = multiclass_auc(y, p)
    thrice = multiclass_auc(y[copied], p[copied], cluster=copied)
    assert thrice.estimate == pytest.approx(once.estimate)
    assert thrice.std_error == pytest.approx(once.std_error, rel=1e-9)
    assert multiclass_auc(y[copied], p[copied]).std_error < 0.7 * once.std_error


@pytest.mark.parametrize("order", [["c", "a", "b"], ["b", "c", "a"]])
def test_relabelling_the_classes_permutes_the_rows(order):
    y, p = world()
    names = np.array(["a", "b", "c"])
    truth, table = names[y], pd.DataFrame(p, columns=names)
    one, two = multiclass_auc(truth, table), multiclass_auc(truth, table, classes=order)
    assert two.estimate == pytest.approx(one.estimate)
    assert two.std_error == pytest.approx(one.std_error)
    first, second = (found.frame().set_index(["measure", "group"]) for found in (one, two))
    assert [group for measure, group in second.index if measure == "auc"] == order
    numbers = ["estimate", "std_error", "conf_low", "conf_high"]
    pd.testing.assert_frame_equal(first.loc[second.index, numbers], second[numbers])
    reports = [multiclass_report(truth, p=table, classes=c) for c in (None, order)]
    by_key = [r.frame().set_index(["measure", "group"])[numbers] for r in reports]
    pd.testing.assert_frame_equal(by_key[0].loc[by_key[1].index], by_key[1])
    pd.testing.assert_frame_equal(
        reports[0].confusion().loc[order, order], reports[1].confusion(), check_names=False
    )


@pytest.mark.parametrize("cluster", [None, np.arange(240) // 3])
def test_rows_of_the_report_are_those_of_diagnostic_accuracy(cluster):
    y, p = world()
    frame = multiclass_report(y, p, cluster=cluster).frame()
    for k in range(3):
        event, positive = y == k, (p.argmax(axis=1) == k).astype(float)
        other = diagnostic_accuracy(event, positive, threshold=0.5, cluster=cluster).frame()
        own = frame[frame["group"] == str(k)].set_index("measure")
        other = other.set_index("measure").loc[own.index]
        for column in ("estimate", "conf_low", "conf_high", "numerator", "denominator"):
            np.testing.assert_allclose(own[column].astype(float), other[column].astype(float))


def test_weighted_sensitivity_is_accuracy():
    y, p = world()
    report = multiclass_report(y, p, measures=["sensitivity"], averages=["weighted"])
    overall = report.overall().set_index("measure").loc["accuracy"]
    row = report.averages().iloc[0]
    assert row["estimate"] == pytest.approx(overall["estimate"])
    assert row["std_error"] == pytest.approx(overall["std_error"])


def test_swapping_models_flips_the_sign_and_nothing_else():
    y, p = world()
    q = softmax(np.log(p) * 0.7 + np.random.default_rng(4).normal(0, 0.6, p.shape))
    for average in AVERAGES:
        one = compare_multiclass_auc(y, p, q, average=average).frame().iloc[0]
        two = compare_multiclass_auc(y, q, p, average=average).frame().iloc[0]
        assert one["estimate"] == pytest.approx(-two["estimate"])
        assert one["p_value"] == pytest.approx(two["p_value"])
        assert one["conf_low"] == pytest.approx(-two["conf_high"])


def test_comparison_of_two_classes_is_delongs_test():
    from usstats.delong import compare_auc

    y, p = world(k=2)
    q = softmax(np.log(p) + np.random.default_rng(4).normal(0, 0.8, p.shape))
    other = compare_auc(y, {"p": p[:, 1], "q": q[:, 1]}).frame().iloc[0]
    for average in ("hand-till", "macro"):
        row = compare_multiclass_auc(y, p, q, average=average).frame().iloc[0]
        for column in ("estimate", "std_error", "statistic", "p_value", "conf_low"):
            assert row[column] == pytest.approx(other[column], rel=1e-9)


def test_a_comparison_with_itself_is_identical():
    y, p = world()
    for ci in ("delong", "bootstrap"):
        row = compare_multiclass_auc(y, p, p, ci=ci, n_boot=20, seed=1).frame().iloc[0]
        assert (row["estimate"], row["conf_low"], row["conf_high"]) == (0, 0, 0)
        assert (row["p_value"], row["note"]) == (1.0, "identical")


def test_difference_from_a_bootstrap_uses_the_same_draws_for_both():
    y, p = world(90)
    q = softmax(np.log(p) + np.random.default_rng(4).normal(0, 0.6, p.shape))
    rows = np.random.default_rng(2).integers(0, 90, (5, 90))
    found = compare_multiclass_auc(y, p, q, average="macro", ci="bootstrap", resamples=rows)
    by_hand = [
        multiclass_auc(y[r], p[r], average="macro").estimate
        - multiclass_auc(y[r], q[r], average="macro").estimate
        for r in rows
    ]
    assert found.frame()["std_error"].iloc[0] == pytest.approx(np.std(by_hand, ddof=1))


def test_bootstrap_repeats_and_is_near_the_analytic_error():
    y, p = world(strength=1.0)
    cluster = np.arange(240) // 3
    one, two = (
        multiclass_auc(y, p, cluster=cluster, ci="bootstrap", n_boot=400, seed=5) for _ in range(2)
    )
    assert one.conf_low == two.conf_low
    analytic = multiclass_auc(y, p, cluster=cluster).std_error
    assert one.std_error == pytest.approx(analytic, rel=0.15)
    assert one.frame().loc[0, ["n_boot", "n_failed", "seed"]].tolist() == [400, 0, 5]


def test_bca_differs_from_percentiles_and_holds_the_estimate():
    y, p = world(strength=1.0)
    found = multiclass_auc(y, p, ci="bca", n_boot=400, seed=5)
    assert found.method == "bootstrap bca"
    assert found.conf_low < found.estimate < found.conf_high
    assert found.conf_low != multiclass_auc(y, p, ci="percentile", n_boot=400, seed=5).conf_low


@pytest.mark.parametrize("ci", ["delong", "logit", "bootstrap"])
def test_perfect_separation_has_limits_below_one(ci):
    y = np.repeat([0, 1, 2], 8)
    p = np.full((24, 3), 0.1) + 0.7 * (y[:, None] == np.arange(3))
    found = multiclass_auc(y, p, ci=ci, n_boot=50, seed=1)
    assert found.estimate == 1
    assert 0.5 < found.conf_low < 1
    assert found.conf_high == 1
    assert found.method == "newcombe"


def test_calibration_of_two_classes_is_the_binary_one():
    y, p = world(600, 2)
    cluster = np.arange(600) // 2
    binary = assess_calibration(y, p[:, 1], cluster=cluster).frame().set_index("measure")
    found = assess_multiclass_calibration(y, p, cluster=cluster).frame()
    rows = found.set_index(["measure", "group"])
    for measure in ("calibration_in_the_large", "calibration_slope"):
        for column in ("estimate", "std_error", "conf_low", "conf_high"):
            expected = binary.loc[measure, column]
            assert rows.loc[(measure, "1"), column] == pytest.approx(expected, rel=1e-6)
    assert rows.loc[("brier", "all"), "estimate"] == pytest.approx(
        2 * binary.loc["brier", "estimate"]
    )
    for column in ("estimate", "std_error"):
        assert rows.loc[("brier_scaled", "all"), column] == pytest.approx(
            binary.loc["brier_scaled", column]
        )


def test_honest_probabilities_have_intercepts_0_and_slopes_1():
    rng = np.random.default_rng(3)
    p = softmax(rng.normal(0, 1.2, (3000, 3)))
    y = (rng.random((3000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    rows = assess_multiclass_calibration(y, p, smoother="rcs").frame().set_index("measure")
    for measure, truth in (("calibration_in_the_large", 0), ("calibration_slope", 1)):
        z = (rows.loc[measure, "estimate"] - truth) / rows.loc[measure, "std_error"]
        assert (np.abs(z) < 3).all()
    sharp = softmax(2 * np.log(p))
    slopes = assess_multiclass_calibration(y, sharp, smoother="rcs").frame().set_index("measure")
    np.testing.assert_allclose(slopes.loc["calibration_slope", "estimate"], 0.5, atol=0.08)


def test_recalibration_undoes_itself():
    """Logits moved by a_k and scaled by b have intercepts and slopes that say exactly so."""
    y, p = world(900)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        before = assess_multiclass_calibration(y, p).slope_matrix()["estimate"]
        moved = softmax(2.5 * np.log(p) + np.array([0.0, 1.0, -2.0]))
        after = assess_multiclass_calibration(y, moved).slope_matrix()["estimate"]
    np.testing.assert_allclose(after, before / 2.5, rtol=1e-6)


def test_the_reference_class_can_be_chosen():
    y, p = world(600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        found = assess_multiclass_calibration(y, p, reference=2)
        other = assess_multiclass_calibration(y, p[:, [2, 0, 1]], classes=[2, 0, 1])
    assert found.reference == 2
    for frame in (found.frame(), other.frame()):
        assert frame.loc[frame["measure"] == "calibration_slope", "group"].tolist() == ["0", "1"]
    np.testing.assert_allclose(found.frame()["estimate"][:4], other.frame()["estimate"][:4])
    with pytest.raises(ArgumentError, match="`reference` must be one of '0', '1', '2'"):
        assess_multiclass_calibration(y, p, reference="x")


# ------------------------------------------------------------------- what an input may look like


FORMS = {
    "text and DataFrame": lambda n, y, p: (n[y], pd.DataFrame(p, columns=n)),
    "lists": lambda n, y, p: (list(n[y]), {name: list(p[:, k]) for k, name in enumerate(n)}),
    "categorical and array": lambda n, y, p: (pd.Categorical(n[y], categories=n), p),
    "categorical series": lambda n, y, p: (
        pd.Series(pd.Categorical(n[y], categories=n), index=range(5, 5 + len(y))),
        pd.DataFrame(p, columns=n),
    ),
    "nullable": lambda n, y, p: (
        pd.array(n[y], dtype="string"),
        pd.DataFrame(p, columns=n).convert_dtypes(),
    ),
    "numbers counting columns": lambda n, y, p: (y, p),
    "nullable integers": lambda n, y, p: (pd.array(y, dtype="Int64"), p),
    "floats": lambda n, y, p: (y.astype(float), p.tolist()),
    "numbers and text columns": lambda n, y, p: (y, pd.DataFrame(p, columns=["0", "1", "2"])),
    "shuffled columns": lambda n, y, p: (n[y], pd.DataFrame(p, columns=n)[["c", "a", "b"]]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_and_probabilities_gives_the_same_number(form):
    y, p = world()
    truth, table = FORMS[form](np.array(["a", "b", "c"]), y, p)
    assert multiclass_auc(truth, table).estimate == pytest.approx(multiclass_auc(y, p).estimate)
    report = multiclass_report(truth, p=table)
    expected = multiclass_report(y, p).overall()["estimate"]
    np.testing.assert_allclose(report.overall()["estimate"], expected)


def test_bool_classes_and_foreign_column_names():
    y, p = world(k=2)
    expected = auc(y, p[:, 1]).estimate
    assert multiclass_auc(y.astype(bool), p).estimate == pytest.approx(expected)
    table = pd.DataFrame(p, columns=["p_no", "p_yes"])
    found = multiclass_auc(np.array(["no", "yes"])[y], table, classes=["no", "yes"])
    assert found.estimate == pytest.approx(expected)
    assert found.classes == ("no", "yes")


def test_decisions_without_declared_classes_take_all_that_are_seen():
    report = multiclass_report(["b", "a", "a"], ["c", "a", "b"], measures=["accuracy"])
    assert report.classes == ("a", "b", "c")
    assert multiclass_report([10, 9, 9], [9, 9, 10]).classes == (9, 10)


def test_classes_may_leave_out_a_column():
    """Hand and Till on the classes present, probabilities as they are."""
    y, p = world()
    keep = y != 2
    table = pd.DataFrame(p, columns=["a", "b", "c"])[keep]
    truth = np.array(["a", "b", "c"])[y[keep]]
    found = multiclass_auc(truth, table, classes=["a", "b"])
    by_hand = (auc(truth == "a", table["a"]).estimate + auc(truth == "b", table["b"]).estimate) / 2
    assert found.estimate == pytest.approx(by_hand)


def test_a_class_without_cases_is_nan_and_named():
    y, p = world()
    y = np.where(y == 2, 0, y)
    with pytest.warns(SmallSampleWarning, match=r"No case of \[2\]"):
        found = multiclass_auc(y, p)
    assert np.isnan([found.estimate, found.std_error, found.conf_low]).all()
    rows = found.frame().set_index(["measure", "group"])["estimate"]
    assert np.isnan(rows["auc", "2"])
    assert np.isnan(rows["auc_macro", "all"])
    assert np.isfinite(
        [rows["auc", "0"], rows["auc_micro", "all"], rows["auc_weighted", "all"]]
    ).all()
    assert "2" not in found.curves()
    with pytest.warns(SmallSampleWarning, match=r"Undefined \(NaN\).*sensitivity of 2"):
        report = multiclass_report(y, p)
    assert np.isnan(report.frame().set_index(["measure", "group"])["estimate"]["sensitivity", "2"])
    with pytest.warns(SmallSampleWarning, match="No case"):
        multiclass_auc(y, p, ci="bootstrap", n_boot=20, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        rows = assess_multiclass_calibration(y, p).frame().set_index("measure")
    assert rows.loc["calibration_slope", "estimate"].isna().all()
    assert np.isfinite(rows.loc["brier", "estimate"])


def test_one_class_only_is_refused():
    _, p = world(20)
    for call in (multiclass_auc, assess_multiclass_calibration):
        with pytest.raises(OutcomeError, match=r"`y` holds only 0 \(n = 20\)"):
            call(np.zeros(20, dtype=int), p)
    with pytest.raises(OutcomeError, match="only one class, 'a'"):
        multiclass_report(["a", "a"], ["a", "a"])


def test_a_class_of_one_case_has_limits_from_newcombe():
    y, p = world(60)
    y[y == 2] = 0
    y[np.argsort(p[:, 2])[50]] = 2
    with pytest.warns(SmallSampleWarning, match=r"5 or fewer cases: 2 \(1\)"):
        found = multiclass_auc(y, p)
    assert found.method == "newcombe"
    assert np.isnan(found.std_error)
    assert 0 <= found.conf_low < found.estimate < found.conf_high <= 1


BAD = {
    "logits": (lambda p: np.log(p), RiskError, r"`p` must lie in \[0, 1\].*softmax once"),
    "percent": (lambda p: 100 * p, RiskError, "Divide percentages by 100"),
    "sigmoids": (lambda p: np.sqrt(p), RiskError, r"must sum to 1; 40 of 40.*row 0 sums to 1\.\d"),
    "nan": (lambda p: np.where(p > 0.9, np.nan, p), RiskError, "rows with missing or infinite"),
    "text": (
        lambda p: [*p.astype(str).astype(object).tolist()[:-1], ["a"] * 3],
        RiskError,
        "table of numbers",
    ),
    "vector": (lambda p: p[:, 0], RiskError, r"shape \(40,\)"),
    "short": (lambda p: p[:-1], PairingError, "`y` has 40 cases and `p` 39 rows"),
    "twice": (
        lambda p: pd.DataFrame(p, columns=["a", "a", "b"]),
        ArgumentError,
        "columns of the same name",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("call", [multiclass_auc, multiclass_report, assess_multiclass_calibration])
def test_bad_probabilities_are_refused_with_advice(call, case):
    y, p = world(40, strength=4)
    spoil, error, text = BAD[case]
    with pytest.raises(error, match=text):
        call(y, p=spoil(p))


def test_bad_labels_are_refused_with_advice():
    y, p = world(40)
    names = np.array(["a", "b", "c"])
    with pytest.raises(ArgumentError, match="declare `classes` in the order of the columns"):
        multiclass_auc(names[y], p)
    with pytest.raises(OutcomeError, match=r"`y` holds \['c'\], which is not among the classes"):
        multiclass_auc(names[y], p[:, :2] / p[:, :2].sum(axis=1, keepdims=True), classes=["a", "b"])
    with pytest.raises(OutcomeError, match=r"`y` has 1 missing labels \(first at row 3\)"):
        multiclass_auc([*names[y][:3], None, *names[y][4:]], pd.DataFrame(p, columns=names))
    with pytest.raises(ArgumentError, match="3 columns for 2 classes"):
        multiclass_auc(names[y], p, classes=["a", "b"])
    with pytest.raises(ArgumentError, match=r"no column for the classes \['d'\]"):
        multiclass_auc(names[y], pd.DataFrame(p, columns=names), classes=["a", "b", "d"])
    with pytest.raises(ArgumentError, match="two or more classes, each once"):
        multiclass_auc(names[y], p, classes=["a", "a", "b"])
    with pytest.raises(OutcomeError, match="not among the classes"):
        multiclass_report(["a", "b"], ["a", "z"], classes=["a", "b"])
    with pytest.raises(PairingError, match="`y` has 2 cases and `predicted` 3"):
        multiclass_report(["a", "b"], ["a", "b", "b"])
    with pytest.raises(ArgumentError, match="one of them"):
        multiclass_report(y)
    with pytest.raises(ArgumentError, match="one of them"):
        multiclass_report(y, y, p=p)
    with pytest.raises(OutcomeError, match="numbers here and as text there"):
        multiclass_report([0, 1, 1], ["0", "1", "0"])
    with pytest.raises(OutcomeError, match="`predicted` has 1 missing labels"):
        multiclass_report(["a", "b"], ["a", np.nan])


def test_bad_options_are_refused():
    y, p = world(40)
    with pytest.raises(ArgumentError, match="`average` must be one of 'hand-till'"):
        multiclass_auc(y, p, average="mean")
    with pytest.raises(ArgumentError, match="`measures` must be one of"):
        multiclass_report(y, p, measures=["ece"])
    with pytest.raises(ArgumentError, match="`conf_level`"):
        multiclass_auc(y, p, conf_level=95)
    with pytest.raises(ArgumentError, match="`seed`"):
        multiclass_auc(y, p, ci="bootstrap", seed=-1)
    with pytest.raises(PairingError, match="`cases` has 40, `cluster` has 39"):
        multiclass_auc(y, p, cluster=np.arange(39))
    with (
        pytest.warns(SmallSampleWarning, match=r"fewer patients: 0 \(1\)"),
        pytest.raises(ResampleError, match="one patient"),
    ):
        multiclass_auc(y, p, ci="bootstrap", seed=1, cluster=np.zeros(40))
    one, two = pd.DataFrame(p, columns=[0, 1, 2]), pd.DataFrame(p, columns=[0, 1, "d"])
    with pytest.raises(ArgumentError, match=r"no column for the classes \[2\]"):
        compare_multiclass_auc(y, one, two)


def test_softmax_applied_twice_is_told_and_honest_doubt_is_not():
    y, p = world(200, strength=3)
    with pytest.warns(ProbabilityWarning, match="apply the softmax exactly once"):
        found = multiclass_auc(y, softmax(p))
    assert found.estimate > 0.8
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProbabilityWarning)
        warnings.simplefilter("ignore", DirectionWarning)
        for doubtful in (rng.dirichlet([30, 30, 30], 200), rng.dirichlet([5, 5, 5], 200), p):
            multiclass_auc(y, doubtful)
        for q in (p, softmax(rng.normal(0, 3, (200, 3)))):
            multiclass_report(y, q)


def test_columns_in_the_wrong_order_are_told():
    y, p = world(strength=3)
    with pytest.warns(DirectionWarning, match="columns are in the order of the classes"):
        multiclass_auc(y, p[:, [1, 2, 0]])


def test_distorting_training_is_told():
    y, p = world(900, strength=1)
    honest = {"min_events": 0, "smoother": "rcs"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProbabilityWarning)
        quiet = assess_multiclass_calibration(y, p, loss="Cross-entropy", sampling="none", **honest)
    assert quiet.caveat is None
    with pytest.warns(ProbabilityWarning, match=r"loss 'focal' and sampling 'oversampling'.*R19"):
        found = assess_multiclass_calibration(y, p, loss="focal", sampling="oversampling", **honest)
    assert "recalibration" in found.caveat
    shifted = softmax(np.log(p) + np.array([0, 0, 0.7]))
    with pytest.warns(
        ProbabilityWarning, match=r"mean probability against share.*2 0\.\d+ against"
    ):
        assess_multiclass_calibration(y, shifted, **honest)
    assert found.summary().endswith("(R19).")


def test_curves_are_withheld_once_by_name():
    y, p = world(200, seed=2, strength=1)
    with pytest.warns(SmallSampleWarning, match=r"0: The flexible.*1: The flexible.*2: ") as told:
        found = assess_multiclass_calibration(y, p)
    assert len([w for w in told if w.category is SmallSampleWarning]) == 1
    assert found.curves()["observed"].isna().all()


def test_zero_probabilities_and_separation_are_told():
    y = np.repeat([0, 1, 2], 40)
    p = (y[:, None] == np.arange(3)).astype(float)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = assess_multiclass_calibration(y, p, min_events=0, smoother="rcs")
    texts = " ".join(str(w.message) for w in told)
    assert "240 probabilities are 0" in texts
    assert "calibration slopes do not exist (NaN)" in texts
    rows = found.frame().set_index("measure")
    assert rows.loc["calibration_slope", "estimate"].isna().all()
    assert rows.loc["brier", "estimate"] == 0


# ------------------------------------------------------------------------------ what comes back


def test_frames_speak_the_shared_words():
    y, p = world()
    cluster = np.arange(240) // 3
    found = multiclass_auc(y, p, cluster=cluster)
    assert found.frame().columns.tolist() == [
        "measure",
        "group",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "conf_level",
        "method",
        "n",
        "n_event",
        "n_cluster",
    ]
    assert repr(found).startswith("<auc_hand_till 0.")
    assert "obuchowski; n = 240, unit: patient (80 clusters), 3 classes" in repr(found)
    report = multiclass_report(y, p, cluster=cluster)
    assert {"measure", "group", "estimate", "conf_low", "method", "n", "n_event"} <= set(
        report.frame()
    )
    assert "unit: patient (80 clusters), 95 % intervals" in repr(report)
    assert report.overall()["p_value"].notna().tolist() == [False, True, False, False]
    comparison = compare_multiclass_auc(y, p, p**2 / (p**2).sum(axis=1, keepdims=True))
    assert "3 classes" in repr(comparison)
    assert "p_value" not in comparison.by_class()


def test_results_cannot_be_changed_from_outside():
    y, p = world()
    found, report = multiclass_auc(y, p), multiclass_report(y, p)
    for frame in (found.frame, report.frame, report.confusion, report.overall):
        changed = frame()
        changed["n"] = -1
        assert "n" not in frame() or not (frame()["n"] == -1).any()


def test_shares_of_the_confusion_matrix():
    y, p = world()
    report = multiclass_report(y, p)
    np.testing.assert_allclose(report.confusion(normalise="truth").sum(axis=0), 1)
    np.testing.assert_allclose(report.confusion(normalise="predicted").sum(axis=1), 1)
    assert report.confusion(normalise="all").to_numpy().sum() == pytest.approx(1)
    with pytest.raises(ArgumentError, match="`normalise`"):
        report.confusion(normalise="rows")


def test_symmetry_of_two_classes_is_mcnemar_with_correction():
    y, chosen = np.array([0] * 30 + [1] * 30), np.array([0] * 22 + [1] * 8 + [1] * 27 + [0] * 3)
    row = multiclass_report(y, chosen).overall().set_index("measure").loc["symmetry"]
    assert row["statistic"] == pytest.approx((8 - 3 - 1) ** 2 / 11)
    assert row["p_value"] == pytest.approx(stats.chi2.sf(16 / 11, 1))


@pytest.mark.slow
@pytest.mark.parametrize("average", ["hand-till", "macro", "micro"])
def test_clustered_intervals_cover_and_unclustered_ones_do_not(average):
    """Images of a patient share class and noise; the truth is the mean over many studies."""
    rng = np.random.default_rng(9)

    def study(n_patients):
        size = rng.integers(1, 7, n_patients)
        patient = np.repeat(np.arange(n_patients), size)
        y = rng.integers(0, 3, n_patients)[patient]
        logits = rng.normal(0, 1.2, (n_patients, 3))[patient]
        logits += rng.normal(0, 0.5, logits.shape)
        logits[np.arange(len(y)), y] += 1.2
        return y, softmax(logits), patient

    y, p, _ = study(60_000)
    truth = multiclass_auc(y, p, average=average).estimate
    hits = {True: 0, False: 0}
    for _ in range(400):
        y, p, patient = study(120)
        for clustered in hits:
            found = multiclass_auc(y, p, average=average, cluster=patient if clustered else None)
            hits[clustered] += found.conf_low <= truth <= found.conf_high
    assert 0.92 < hits[True] / 400 < 0.975
    assert hits[False] / 400 < 0.85
