"""Wrong input through every public door: a classed error with advice, or a named warning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import usstats
from usstats.errors import (
    ArgumentError,
    DesignError,
    DirectionWarning,
    MissingDataError,
    OutcomeError,
    PairingError,
    ResampleError,
    RiskError,
    SchemaError,
    SeparationError,
    SmallSampleWarning,
    UsstatsError,
    UsstatsWarning,
)

N = 60
TIME = np.arange(1.0, N + 1)


def _data():
    rng = np.random.default_rng(0)
    y = np.arange(N) % 2
    x = rng.normal(size=N) + y
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "z": rng.normal(size=N),
            "g": np.array(["a", "b", "c"])[np.arange(N) % 3],
            "constant": 1.0,
            "again": x,
            "linear": 2 * x + 1,
        }
    )


DATA = _data()
Y, X = DATA["y"].to_numpy(), DATA["x"].to_numpy()
P = 1 / (1 + np.exp(-X))
FIT = usstats.fit_logistic("y ~ x + g", DATA)


def fit_on(y=Y, x=X, **options):
    return usstats.fit_logistic("y ~ x", pd.DataFrame({"y": y, "x": x}), **options)


#: Every function that takes an outcome and scores, given an outcome.
OUTCOME = {
    "auc": lambda y: usstats.auc(y, P),
    "partial_auc": lambda y: usstats.partial_auc(y, P, specificity=(0.8, 1)),
    "roc_curve": lambda y: usstats.roc_curve(y, P),
    "compare_auc": lambda y: usstats.compare_auc(y, {"a": P, "b": X}),
    "compare_auc_independent": lambda y: usstats.compare_auc_independent(y, P, Y, X),
    "choose_threshold": lambda y: usstats.choose_threshold(y, P),
    "assess_calibration": lambda y: usstats.assess_calibration(y, P, min_events=10),
    "decision_curve": lambda y: usstats.decision_curve(y, {"m": P}, thresholds=[0.2]),
    "evaluate": lambda y: usstats.evaluate(y, P, min_events=10),
    "make_folds": lambda y: usstats.make_folds(y, np.arange(N), seed=1),
}
ANY_CLASS = {
    "diagnostic_accuracy": lambda y: usstats.diagnostic_accuracy(y, P, threshold=0.5),
    "compare_accuracy": lambda y: usstats.compare_accuracy(y, P > 0.5, P > 0.6),
    "decision_curve_survival": lambda y: usstats.decision_curve_survival(
        TIME, y, {"m": P}, horizon=20, thresholds=[0.2]
    ),
}
FITTED = {"fit_logistic": fit_on}

WRONG_OUTCOMES = [
    ("missing", np.where(Y == 1, np.nan, 0), r"has 30 missing outcomes \(first at row 1, 3, 5\)"),
    ("one and two", Y + 1, r"must be 0/1 or bool; it holds \[1, 2\]. Declare the event"),
    ("text", np.array(["no", "yes"])[Y], r"holds labels \['no', 'yes'\]; say which one is the"),
    ("three classes", np.arange(N) % 3, r"must be 0/1 or bool; it holds \[0, 1, 2\]"),
    ("infinite", np.where(Y == 1, np.inf, 0), "must be 0/1 or bool; it holds"),
]


#: Where codes 1 and 2 have a meaning of their own.
COMPETING = {
    ("decision_curve_survival", "one and two"),
    ("decision_curve_survival", "three classes"),
}


@pytest.mark.parametrize(
    ("name", "kind", "y", "text"),
    [
        (name, *wrong)
        for name in (*OUTCOME, *ANY_CLASS, *FITTED)
        for wrong in WRONG_OUTCOMES
        if (name, wrong[0]) not in COMPETING
    ],
)
def test_wrong_labels_are_refused_everywhere(name, kind, y, text):
    with pytest.raises(OutcomeError, match=text):
        (OUTCOME | ANY_CLASS | FITTED)[name](y)


def test_events_of_one_and_two_ask_which_is_censored():
    with pytest.raises(OutcomeError, match="holds 1 and 2 but no 0"):
        ANY_CLASS["decision_curve_survival"](Y + 1)


@pytest.mark.parametrize("name", [*OUTCOME, *ANY_CLASS])
def test_shapes_of_the_outcome(name):
    call = (OUTCOME | ANY_CLASS)[name]
    with pytest.raises(PairingError, match=r"must describe the same cases.* has 59"):
        call(Y[:-1])
    with pytest.raises(OutcomeError, match=r"must be one-dimensional; it has shape \(60, 1\)"):
        call(Y[:, None])
    with pytest.raises(OutcomeError, match="is empty: there are no cases"):
        call([])


@pytest.mark.parametrize("name", [*OUTCOME, *FITTED])
@pytest.mark.parametrize(("value", "text"), [(0, "only non-events"), (1, "only events")])
def test_a_single_class_is_refused(name, value, text):
    with pytest.raises(OutcomeError, match=rf"{text} \(n = 60\); both classes are needed"):
        (OUTCOME | FITTED)[name](np.full(N, value))


@pytest.mark.parametrize("name", ["diagnostic_accuracy", "compare_accuracy"])
def test_a_single_class_leaves_half_the_table(name):
    with pytest.warns(SmallSampleWarning):
        frame = ANY_CLASS[name](np.ones(N)).frame().set_index("measure")
    assert np.isfinite(frame.loc["sensitivity", "estimate"])
    assert np.isnan(frame.loc["specificity", "estimate"])


#: The same, given scores; the first take any scale, the others probabilities alone.
SCORES = {
    "auc": lambda s: usstats.auc(Y, s),
    "auc_clustered": lambda s: usstats.auc(Y, s, cluster=np.arange(N) // 3),
    "auc_bootstrap": lambda s: usstats.auc(Y, s, ci="percentile", n_boot=20, seed=1),
    "partial_auc": lambda s: usstats.partial_auc(Y, s, specificity=(0.8, 1)),
    "roc_curve": lambda s: usstats.roc_curve(Y, s),
    "compare_auc": lambda s: usstats.compare_auc(Y, {"a": s, "b": X}),
    "compare_auc_independent": lambda s: usstats.compare_auc_independent(Y, s, Y, X),
    "choose_threshold": lambda s: usstats.choose_threshold(Y, s),
    "diagnostic_accuracy": lambda s: usstats.diagnostic_accuracy(Y, s, threshold=0.5),
}
RISKS = {
    "assess_calibration": lambda p: usstats.assess_calibration(Y, p, min_events=10),
    "calibration_rcs": lambda p: usstats.assess_calibration(Y, p, min_events=10, smoother="rcs"),
    "decision_curve": lambda p: usstats.decision_curve(Y, {"m": p}, thresholds=[0.2]),
    "decision_curve_survival": lambda p: usstats.decision_curve_survival(
        TIME, Y, {"m": p}, horizon=20, thresholds=[0.2]
    ),
    "evaluate": lambda p: usstats.evaluate(Y, p, min_events=10),
}
ALL_SCORES = SCORES | RISKS


def spoilt(value, at=2):
    p = P.copy()
    p[at] = value
    return p


@pytest.mark.parametrize("name", ALL_SCORES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(name, value):
    text = r"must be finite; 1 of 60 values are missing or infinite \(first at row 2\)"
    with pytest.raises(RiskError, match=text):
        ALL_SCORES[name](spoilt(value))


@pytest.mark.parametrize("name", ALL_SCORES)
def test_scores_of_another_kind_or_shape(name):
    with pytest.raises(RiskError, match="must be numeric; it holds values such as"):
        ALL_SCORES[name](np.full(N, "high"))
    with pytest.raises(PairingError, match="has 59"):
        ALL_SCORES[name](P[:-1])
    with pytest.raises(RiskError, match=r"one-dimensional; it has shape \(60, 2\)"):
        ALL_SCORES[name](np.column_stack([1 - P, P]))


@pytest.mark.parametrize("name", RISKS)
@pytest.mark.parametrize(
    ("p", "text"),
    [
        (spoilt(1.7), r"1 of 60 values do not \(first: 1.70, row 2\). If these are logits"),
        (spoilt(-0.1), r"first: -0.10, row 2"),
        (100 * P, "60 of 60 values do not .* percentages, divide by 100"),
    ],
)
def test_risks_must_be_probabilities(name, p, text):
    with pytest.raises(RiskError, match=rf"must lie in \[0, 1\]; .*{text}"):
        RISKS[name](p)


@pytest.mark.parametrize("name", [*SCORES, "decision_curve", "decision_curve_survival"])
@pytest.mark.filterwarnings("ignore::usstats.errors.SmallSampleWarning")
def test_tied_scores_say_nothing_and_break_nothing(name):
    assert len(ALL_SCORES[name](np.full(N, 0.5)).frame())


def test_tied_scores_have_the_area_of_chance_with_an_interval():
    tied = usstats.auc(Y, np.full(N, 0.5))
    assert tied.estimate == 0.5
    assert tied.conf_low < 0.4
    assert tied.conf_high > 0.6


@pytest.mark.parametrize("name", ["assess_calibration", "calibration_rcs", "evaluate"])
@pytest.mark.filterwarnings("ignore:The flexible calibration curve is withheld")
def test_tied_risks_have_no_slope(name):
    with pytest.warns(UsstatsWarning, match="slope does not exist .NaN.: the predictions are all"):
        frame = RISKS[name](np.full(N, 0.5)).frame().set_index("measure")
    assert np.isnan(frame.loc["calibration_slope", "estimate"])
    assert np.isfinite(frame.loc["calibration_in_the_large", "estimate"])


def test_reversed_scores_are_reported_as_they_are():
    with pytest.warns(DirectionWarning):
        assert usstats.auc(Y, -X).estimate < 0.5


@pytest.mark.parametrize("name", ["assess_calibration", "evaluate"])
def test_risks_of_exactly_zero_or_one_are_named(name):
    with pytest.warns(UsstatsWarning, match="1 of 60 risks are exactly 0 or 1"):
        RISKS[name](spoilt(1.0))


# --------------------------------------------------------------------------------- clusters

CLUSTERED = {
    "auc": lambda c: usstats.auc(Y, P, cluster=c),
    "partial_auc": lambda c: usstats.partial_auc(
        Y, P, specificity=(0.8, 1), cluster=c, n_boot=20, seed=1
    ),
    "roc_curve": lambda c: usstats.roc_curve(Y, P, cluster=c),
    "compare_auc": lambda c: usstats.compare_auc(Y, {"a": P, "b": DATA["z"]}, cluster=c),
    "diagnostic_accuracy": lambda c: usstats.diagnostic_accuracy(Y, P, threshold=0.5, cluster=c),
    "compare_accuracy": lambda c: usstats.compare_accuracy(Y, P > 0.5, P > 0.6, cluster=c),
    "assess_calibration": lambda c: usstats.assess_calibration(Y, P, cluster=c, min_events=10),
    "decision_curve": lambda c: usstats.decision_curve(Y, {"m": P}, thresholds=[0.2], cluster=c),
    "decision_curve_survival": lambda c: usstats.decision_curve_survival(
        TIME, Y, {"m": P}, horizon=20, thresholds=[0.2], cluster=c
    ),
    "evaluate": lambda c: usstats.evaluate(Y, P, cluster=c, min_events=10),
    "evaluate centre": lambda c: usstats.evaluate(Y, P, centre=c, min_events=10),
    "bootstrap": lambda c: usstats.bootstrap(np.mean, P, cluster=c, n_boot=20, seed=1),
    "fit_logistic": lambda c: fit_on(cluster=c),
    "validate": lambda c: usstats.validate(FIT, DATA, cluster=c, n_boot=20, seed=1),
    "make_folds": lambda c: usstats.make_folds(Y, c, seed=1),
}


@pytest.mark.parametrize("name", CLUSTERED)
def test_clusters_need_one_label_a_case(name):
    label = "centre" if name.endswith("centre") else "cluster"
    with pytest.raises(PairingError, match=f"`{label}` has 59"):
        CLUSTERED[name](np.arange(N - 1))
    missing = np.array([None, *range(N - 1)], dtype=object)
    with pytest.raises(PairingError, match=f"`{label}` has 1 missing labels .first at row 0"):
        CLUSTERED[name](missing)


ONE = np.zeros(N)


@pytest.mark.parametrize("name", ["diagnostic_accuracy", "compare_accuracy", "compare_auc"])
def test_one_patient_has_no_interval(name):
    with pytest.warns(SmallSampleWarning):
        frame = CLUSTERED[name](ONE).frame()
    assert frame[["conf_low", "conf_high"]].isna().all().all()
    assert "p_value" not in frame or frame["p_value"].isna().all()


def test_one_patient_leaves_the_area_all_but_unknown():
    with pytest.warns(SmallSampleWarning, match="One class has only 1 patient"):
        got = usstats.auc(Y, P, cluster=ONE)
    assert got.conf_high - got.conf_low > 0.8


@pytest.mark.parametrize("name", ["bootstrap", "validate"])
def test_one_patient_cannot_be_resampled(name):
    with pytest.raises(ResampleError, match="one patient to draw from"):
        CLUSTERED[name](ONE)


def test_one_patient_has_no_sandwich():
    with pytest.raises(PairingError, match="`cluster` holds one patient"):
        CLUSTERED["fit_logistic"](ONE)
    with pytest.raises(DesignError, match="no column `patient`"):
        fit_on(cluster="patient")


# ------------------------------------------------------------------------------- resampling

RESAMPLED = {
    "auc": lambda **o: usstats.auc(Y, P, ci="percentile", **o),
    "partial_auc": lambda **o: usstats.partial_auc(
        Y, P, specificity=(0.8, 1), ci="percentile", **o
    ),
    "roc_curve": lambda **o: usstats.roc_curve(Y, P, band="bootstrap", **o),
    "bootstrap": lambda **o: usstats.bootstrap(np.mean, P, **o),
    "decision_curve": lambda **o: usstats.decision_curve(
        Y, {"m": P}, thresholds=[0.2], ci="bootstrap", **o
    ),
    "decision_curve_survival": lambda **o: usstats.decision_curve_survival(
        TIME, Y, {"m": P}, horizon=20, thresholds=[0.2], ci="bootstrap", **o
    ),
    "validate": lambda **o: usstats.validate(FIT, DATA, **o),
    "assess_calibration": lambda **o: usstats.assess_calibration(Y, P, min_events=10, **o),
    "evaluate": lambda **o: usstats.evaluate(Y, P, min_events=10, **o),
    "Resamples.draw": lambda **o: usstats.Resamples.draw(N, **o),
}


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize("n_boot", [0, -5, 1, 2.5, np.nan, "ten", True, 10**9])
def test_numbers_of_resamples(name, n_boot):
    with pytest.raises(ArgumentError, match="`n_boot` must be a whole number from 2 to 1000000"):
        RESAMPLED[name](n_boot=n_boot, seed=1)


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize("seed", [-1, 1.5, "abc", True, 2**63])
def test_seeds(name, seed):
    with pytest.raises(ArgumentError, match=r"`seed` must be a whole number from 0 .*; got"):
        RESAMPLED[name](n_boot=10, seed=seed)


def _told_seed(result):
    """Of the result, or of its rows where each measure has its own method."""
    return result.seed if hasattr(result, "seed") else int(result.frame()["seed"].dropna().iloc[0])


@pytest.mark.parametrize("name", RESAMPLED)
def test_a_fresh_seed_is_told_and_repeats_the_result(name):
    first, other = (RESAMPLED[name](n_boot=10) for _ in range(2))
    seed = _told_seed(first)
    assert seed != _told_seed(other)
    again = RESAMPLED[name](n_boot=10, seed=seed)
    if name == "Resamples.draw":
        np.testing.assert_array_equal(first.counts(), again.counts())
    else:
        pd.testing.assert_frame_equal(first.frame(), again.frame())


@pytest.mark.parametrize("name", ["bootstrap", "validate"])
@pytest.mark.parametrize("n_jobs", [0, 1.5, "all"])
def test_numbers_of_workers(name, n_jobs):
    with pytest.raises(ArgumentError, match="`n_jobs` must be a number of workers"):
        RESAMPLED[name](n_boot=10, seed=1, n_jobs=n_jobs)


@pytest.mark.parametrize("conf_level", [0, 1, 95, -0.5, np.nan, "0.95", None])
@pytest.mark.parametrize(
    "call",
    [
        lambda c: usstats.auc(Y, P, conf_level=c),
        lambda c: usstats.compare_auc(Y, {"a": P, "b": X}, conf_level=c),
        lambda c: usstats.diagnostic_accuracy(Y, P, threshold=0.5, conf_level=c),
        lambda c: usstats.compare_accuracy(Y, P > 0.5, P > 0.6, conf_level=c),
        lambda c: usstats.bootstrap(np.mean, P, n_boot=20, seed=1, conf_level=c),
        lambda c: usstats.assess_calibration(Y, P, min_events=10, conf_level=c),
    ],
)
def test_confidence_levels(call, conf_level):
    with pytest.raises(ArgumentError, match=r"`conf_level` must lie inside \(0, 1\)"):
        call(conf_level)


# --------------------------------------------------------------------------- thresholds, ranges


@pytest.mark.parametrize(
    ("thresholds", "error", "text"),
    [
        ([], RiskError, "`thresholds` is empty"),
        ([0.2, 1.2], RiskError, r"must lie in \[0, 1\); 1 of 2 do not \(first: 1.2\)"),
        ([20, 30], RiskError, "percentages, divide by 100"),
        ([-0.1, 0.2], RiskError, "first: -0.1"),
        ([0.1, np.nan], RiskError, "`thresholds` must be finite"),
        (["a"], RiskError, "`thresholds` must be numeric"),
        ([[0.2]], RiskError, "`thresholds` must be one-dimensional"),
        ([0.3, 0.2], ArgumentError, "must ascend without duplicates; 0.2 does not"),
        ([0.2, 0.2], ArgumentError, "must ascend without duplicates"),
    ],
)
def test_threshold_probabilities(thresholds, error, text):
    for call in (
        lambda: usstats.decision_curve(Y, {"m": P}, thresholds=thresholds),
        lambda: usstats.evaluate(Y, P, thresholds=thresholds, min_events=10),
        lambda: usstats.decision_curve_survival(
            TIME, Y, {"m": P}, horizon=20, thresholds=thresholds
        ),
    ):
        with pytest.raises(error, match=text):
            call()


def test_the_threshold_one_is_left_out_and_said_so():
    with pytest.warns(UsstatsWarning, match="Threshold 1 was left out"):
        frame = usstats.decision_curve(Y, {"m": P}, thresholds=[0.5, 1.0]).frame()
    assert frame["threshold_probability"].unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: usstats.partial_auc(Y, P), ArgumentError, "exactly one of"),
        (
            lambda: usstats.partial_auc(Y, P, specificity=0.9),
            ArgumentError,
            "two different limits inside .0, 1.; got 0.9",
        ),
        (
            lambda: usstats.partial_auc(Y, P, specificity=(0.9, 1.2)),
            ArgumentError,
            "two different limits",
        ),
        (
            lambda: usstats.partial_auc(Y, P, sensitivity=("a", 1)),
            ArgumentError,
            "`sensitivity` must be two different limits",
        ),
        (lambda: usstats.decision_curve(Y, P, thresholds=[0.2]), ArgumentError, "got ndarray"),
        (lambda: usstats.decision_curve(Y, {}, thresholds=[0.2]), ArgumentError, "must map model"),
        (
            lambda: usstats.decision_curve(Y, {"m": P}, thresholds=[0.2], prevalence=1),
            ArgumentError,
            r"`prevalence` must be a number inside \(0, 1\); got 1",
        ),
        (
            lambda: usstats.decision_curve(Y, {"m": P}, thresholds=[0.2], harm={"q": 0.1}),
            ArgumentError,
            "`harm` names 'q'",
        ),
        (
            lambda: usstats.decision_curve_survival(
                TIME, Y, {"m": P}, horizon=100, thresholds=[0.2]
            ),
            ArgumentError,
            "not after the end of follow-up .60.; got 100",
        ),
        (
            lambda: usstats.decision_curve_survival(
                -TIME, Y, {"m": P}, horizon=10, thresholds=[0.2]
            ),
            ArgumentError,
            "`time` must not be negative; 60 values are",
        ),
        (
            lambda: usstats.assess_calibration(Y, P, smoother="gam"),
            ArgumentError,
            "`smoother` must be one of 'loess', 'rcs'",
        ),
        (lambda: usstats.assess_calibration(Y, P, min_events=-1), ArgumentError, "0 or more"),
        (lambda: usstats.make_folds(Y, np.arange(N), n_folds=1, seed=1), ArgumentError, "least 2"),
        (
            lambda: usstats.make_folds(Y, np.arange(N), n_folds=50, seed=1),
            ResampleError,
            "Every fold needs a patient of each class",
        ),
        (lambda: usstats.bootstrap(np.mean, n_boot=9, seed=1), ArgumentError, "at least one array"),
    ],
)
def test_ranges_and_options(call, error, text):
    with pytest.raises(error, match=text):
        call()


# ----------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("y ~ __import__('os').system('id')", "cannot be read at character"),
        ("y ~ __import__(os)", "calls __import__.., which does not exist here"),
        ("y ~ `x`", "'`x`' is not part of the grammar"),
        ("y ~ eval(x)", "calls eval.., which does not exist here"),
        ("y ~ x; z", "'; z' is not part of the grammar"),
        ("y ~ x.__class__", "no column `x.__class__`"),
        ("y ~ lambda: x", "needs the main effect"),
        ("y ~ poly(x, 2)", "calls poly"),
        ("y ~ x**2", "stands where a column"),
        ("y ~ (x)", "stands where a column"),
        ("y ~ 1", "stands where a column"),
        ("y ~ x ~ z", "is not part of the grammar"),
        ("~ x", "stands where the outcome's name should"),
        ("y", "stands where '~' should"),
        ("", "stands where the outcome's name should"),
        ("y ~ absent", "no column `absent`"),
        ("absent ~ x", "no column `absent`"),
        ("y ~ y + x", "`y` is the outcome and cannot be a predictor too"),
        ("y ~ constant", r"without variation cannot be predictors: `constant` \(always 1\)"),
        ("y ~ x + again", "`x`, `again`. One of them is a linear combination"),
        ("y ~ x + linear", "`x`, `linear`. One of them is a linear combination"),
        ("y ~ rcs(x, 9)", "A spline takes 3 to 7 knots; got 9"),
        ("y ~ rcs(constant, 3)", "Only 0 distinct knots"),
        ("y ~ rcs(g, 3)", "`g` must be numeric here"),
        ("y ~ log(z)", r"log\(z\) needs positive values; `z` has others in 27 of 60 rows"),
        ("y ~ logit(z)", "strictly between 0 and 1"),
    ],
)
def test_formulas(formula, text):
    with pytest.raises(DesignError, match=text):
        usstats.fit_logistic(formula, DATA)


@pytest.mark.parametrize("name", ["x y; drop", "__import__('os')", "`x`", "a$b", "é ² ~"])
def test_names_that_are_no_formula_still_work_as_terms(name):
    data = DATA.rename(columns={"x": name})
    fit = usstats.fit_logistic(None, data, outcome="y", terms=[{"name": name, "type": "linear"}])
    np.testing.assert_allclose(fit.params.to_numpy(), fit_on().params.to_numpy())
    assert fit.params.index[1] == name


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: usstats.fit_logistic("y ~ x"), ArgumentError, "`data` is missing"),
        (lambda: usstats.fit_logistic("y ~ x", X), DesignError, "pandas DataFrame; got ndarray"),
        (lambda: usstats.fit_logistic("y ~ x", DATA[:0]), DesignError, "`data` has no rows"),
        (
            lambda: usstats.fit_logistic("y ~ x + z + g", DATA[:5]),
            DesignError,
            "has 5 parameters .* and only 5 rows",
        ),
        (
            lambda: usstats.fit_logistic("y ~ x", pd.concat([DATA, DATA[["x"]]], axis=1)),
            DesignError,
            "2 columns named `x`; rename them",
        ),
        (lambda: fit_on(x=spoilt(np.nan)), MissingDataError, "`x` 1; 1 of 60 rows .first: row 2"),
        (lambda: fit_on(x=spoilt(np.inf)), DesignError, "`x` is infinite in 1 of 60 rows"),
        (lambda: fit_on(x=Y * 2.0), SeparationError, "Complete separation: `x`"),
        (lambda: fit_on(method="bayes"), ArgumentError, "`method` must be one of 'ml', 'firth'"),
        (lambda: fit_on(penalty=1.0), ArgumentError, "takes no `penalty`"),
        (lambda: fit_on(method="ridge", penalty=-1.0), ArgumentError, "must be a number >= 0"),
        (lambda: fit_on(weights=-np.ones(N)), ArgumentError, "`weights` must be positive"),
        (lambda: fit_on(weights=np.ones(N - 1)), PairingError, "`weights` has 59"),
        (
            lambda: FIT.predict(DATA.assign(g="zz")),
            DesignError,
            r"`g` holds levels the model was not developed with: \['zz'\] in 60 of 60 rows",
        ),
        (lambda: FIT.predict(DATA[["x"]]), DesignError, "no column `g`"),
        (lambda: FIT.predict(DATA.assign(x="high")), DesignError, "`x` must be numeric here"),
        (lambda: FIT.predict(DATA.assign(x=np.nan)), MissingDataError, "`x` 60; 60 of 60 rows"),
        (lambda: usstats.validate("fit", DATA, seed=1), ArgumentError, "got str and DataFrame"),
        (
            lambda: usstats.validate(FIT, DATA[["y"]], n_boot=9, seed=1),
            DesignError,
            "no column `x`",
        ),
        (
            lambda: usstats.validate(FIT, DATA[:40], n_boot=9, seed=1),
            PairingError,
            "developed on 60 rows, `data` has 40",
        ),
        (
            lambda: usstats.validate(FIT, DATA, method="loo", seed=1),
            ArgumentError,
            "`method` must be one of 'bootstrap'",
        ),
        (lambda: usstats.build_nomogram("fit"), ArgumentError, "fitted model .*; got str"),
        (lambda: usstats.build_nomogram(FIT, max_points=0), ArgumentError, "must be positive"),
        (
            lambda: usstats.build_nomogram(FIT, ranges={"g": (0, 1)}),
            ArgumentError,
            "are for numeric variables, .'x'.; got 'g'",
        ),
        (
            lambda: usstats.build_nomogram(FIT, ranges={"x": (1, 0)}),
            ArgumentError,
            "at least two increasing numbers",
        ),
        (
            lambda: usstats.build_nomogram(FIT).points(x=0.0, g="zz"),
            DesignError,
            "levels the model was not developed with",
        ),
        (
            lambda: usstats.build_nomogram(FIT).points(x=0.0),
            ArgumentError,
            r"missing \['g'\], unknown \[\]",
        ),
    ],
)
def test_models(call, error, text):
    with pytest.raises(error, match=text):
        call()


# ------------------------------------------------------------------------------------- tables


HOLED = DATA[["y", "x", "g"]].assign(x=spoilt(np.nan))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: usstats.impute(X, m=3, seed=1), ArgumentError, "DataFrame with rows; got ndarray"),
        (lambda: usstats.impute(HOLED, m=0, seed=1), ArgumentError, "`m` must be a whole number"),
        (lambda: usstats.impute(HOLED, m=3, seed=None), ArgumentError, "`seed` must be a whole"),
        (
            lambda: usstats.impute(HOLED, m=3, seed=1, method="magic"),
            ArgumentError,
            "`method` must",
        ),
        (
            lambda: usstats.impute(HOLED, m=3, seed=1, variables=["q"]),
            ArgumentError,
            "not in `data`",
        ),
        (
            lambda: usstats.impute(HOLED.assign(x=np.nan), m=3, seed=1),
            MissingDataError,
            "'x' has no observed value at all",
        ),
        (
            lambda: usstats.impute(HOLED.assign(z=np.inf), m=3, seed=1),
            DesignError,
            "'z' has 60 infinite values",
        ),
        (lambda: usstats.pool([]), PairingError, "at least two LogisticFit"),
        (lambda: usstats.pool(FIT), PairingError, "at least two LogisticFit.*got 1"),
        (lambda: usstats.pool([1, 2]), PairingError, r"\['int', 'int'\]"),
        (lambda: usstats.pool([FIT, fit_on()]), DesignError, "different designs"),
        (lambda: usstats.describe(X, by="y"), SchemaError, "pandas DataFrame; got ndarray"),
        (lambda: usstats.describe(DATA, by="q"), SchemaError, "`data` lacks the columns q"),
        (lambda: usstats.describe(DATA, by="y", variables=["q"]), SchemaError, "columns q"),
        (lambda: usstats.describe(DATA[:0], by="y"), SchemaError, "`data` has no rows"),
        (
            lambda: usstats.describe(DATA.assign(x=np.inf), by="y"),
            RiskError,
            "`x` holds 60 infinite values",
        ),
        (
            lambda: usstats.describe(DATA.assign(who=1), by="y", patient_id="who"),
            PairingError,
            "differ between the images of one patient",
        ),
    ],
)
def test_tables(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_every_error_is_a_value_error_of_ours():
    assert issubclass(UsstatsError, ValueError)
    errors = vars(usstats.errors).values()
    ours = [e for e in errors if isinstance(e, type) and issubclass(e, ValueError)]
    assert all(issubclass(e, UsstatsError) for e in ours)
    assert len(ours) >= 12
