"""The public contract: names, keyword arguments, columns, docstrings, and what an import loads."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import usstats
from usstats.results import Result

NEEDED = inspect.Parameter.empty
BOOT = {"n_boot": 2000, "seed": None, "resamples": None}
#: Positional arguments, then keyword-only ones with their defaults. Further keyword-only
#: arguments are welcome where they have a default.
CONTRACT = {
    "auc": (["y", "s"], {"ci": "delong", "conf_level": 0.95, "cluster": None, **BOOT}),
    "partial_auc": (["y", "s"], {"specificity": None, "sensitivity": None, "corrected": False}),
    "roc_curve": (["y", "s"], {"band": None}),
    "compare_auc": (
        ["y", "risks"],
        {"contrasts": None, "cluster": None, "adjust": "holm", "margin": None, "conf_level": 0.95},
    ),
    "compare_auc_independent": (["y_1", "s_1", "y_2", "s_2"], {"conf_level": 0.95}),
    "choose_threshold": (
        ["y", "p"],
        {"criterion": "youden", "sensitivity": None, "specificity": None},
    ),
    "diagnostic_accuracy": (["y", "p"], {"threshold": NEEDED, "ci": "wilson", "cluster": None}),
    "compare_accuracy": (["y", "decision_1", "decision_2"], {"method": "mcnemar", "cluster": None}),
    "assess_calibration": (
        ["y", "p"],
        {"smoother": "loess", "band": True, "cluster": None, "min_events": 100},
    ),
    "decision_curve": (
        ["y", "risks"],
        {"thresholds": NEEDED, "prevalence": None, "harm": None, "ci": None, "cluster": None},
    ),
    "decision_curve_survival": (
        ["time", "event", "risks"],
        {"horizon": NEEDED, "thresholds": NEEDED},
    ),
    "bootstrap": (
        ["statistic", "arrays"],
        {"cluster": None, "stratify": None, "ci": "percentile", **BOOT, "n_jobs": 1},
    ),
    "fit_logistic": (
        ["formula", "data"],
        {
            "method": "ml",
            "penalty": None,
            "cluster": None,
            "weights": None,
            "outcome": None,
            "terms": None,
        },
    ),
    "validate": (
        ["fit", "data"],
        {
            "n_boot": 1000,
            "method": "bootstrap",
            "cluster": None,
            "recipe": None,
            "seed": None,
            "resamples": None,
        },
    ),
    "evaluate": (["y", "p"], {"cluster": None, "centre": None}),
    "update_model": (["fit", "data"], {"method": "auto"}),
    "reclassify": (["y", "p_old", "p_new"], {"cutoffs": None}),
    "reader_study": (
        ["data"],
        {
            "truth": NEEDED,
            "case": NEEDED,
            "reader": NEEDED,
            "condition": NEEDED,
            "rating": NEEDED,
            "method": "obuchowski-rockette",
            "covariance": "delong",
            "readers": "random",
            "cases": "random",
            "metric": "auc",
            "cluster": None,
        },
    ),
    "assistance_effect": (
        ["data"],
        {
            "truth": NEEDED,
            "case": NEEDED,
            "reader": NEEDED,
            "condition": NEEDED,
            "rating": NEEDED,
            "experience": None,
            "reading_time": None,
            "order": None,
            "margin": None,
        },
    ),
    "build_nomogram": (["fit"], {"max_points": 100, "ranges": None, "ticks": None}),
    "impute": (["data"], {"m": 20, "method": "pmm", "seed": NEEDED}),
    "pool": (["fits"], {}),
    "describe": (
        ["data"],
        {"by": NEEDED, "variables": None, "patient_id": None, "smd": True, "tests": True},
    ),
}
#: Functions whose first arguments may be left out, because others say the same.
OPTIONAL_FIRST = {
    "audit_leakage",
    "cam_report",
    "fit_cox",
    "fit_logistic",
    "multiclass_report",
    "overlap_report",
    "sample_size_auc_difference",
    "testicular_volume",
}
FUNCTIONS = [name for name in usstats.__all__ if inspect.isfunction(getattr(usstats, name))]
CLASSES = [name for name in usstats.__all__ if inspect.isclass(getattr(usstats, name))]


@pytest.mark.parametrize("name", CONTRACT)
def test_arguments_are_those_of_the_contract(name):
    assert name in usstats.__all__
    positional, keywords = CONTRACT[name]
    parameters = inspect.signature(getattr(usstats, name)).parameters
    only = {key: p for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert [key for key in parameters if key not in only] == positional
    assert {key: only[key].default for key in keywords} == keywords
    surplus = {key: p.default for key, p in only.items() if key not in keywords}
    assert NEEDED not in surplus.values()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keyword_only_and_annotated(name):
    signature = inspect.signature(getattr(usstats, name))
    assert signature.return_annotation is not NEEDED
    assert all(p.annotation is not NEEDED for p in signature.parameters.values())
    if name not in OPTIONAL_FIRST:
        free = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert all(p.default is NEEDED for p in free)


def sections(text):
    """Body of each numpydoc section."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_describes_every_argument_and_shows_an_example(name):
    function = getattr(usstats, name)
    found = sections(function.__doc__)
    assert {"Parameters", "Returns", "Examples"} <= set(found)
    assert ">>> " in found["Examples"]
    heads = re.findall(r"^(\*?\w[\w *,]*)(?: :.*)?$", found["Parameters"], flags=re.MULTILINE)
    described = {part.strip(" *") for head in heads for part in head.split(",")}
    assert set(inspect.signature(function).parameters) <= described


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_that_are_documented_exist(name):
    raised = sections(getattr(usstats, name).__doc__).get("Raises", "")
    errors = importlib.import_module("usstats.errors")
    for error in re.findall(r"\b[A-Z]\w+Error\b", raised):
        assert hasattr(errors, error) or error in {"FileNotFoundError", "FileExistsError"}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_frozen_and_every_public_method_is_described(name):
    cls = getattr(usstats, name)
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert cls.__doc__
    for method, value in inspect.getmembers(cls, callable):
        if not method.startswith("_"):
            assert inspect.getdoc(value), f"{name}.{method} has no docstring"


def test_the_list_of_names_is_sorted_and_complete():
    assert list(usstats.__all__) == sorted(usstats.__all__)
    assert len(set(usstats.__all__)) == len(usstats.__all__)
    assert all(hasattr(usstats, name) for name in usstats.__all__)
    assert re.match(r"\d+", usstats.__version__)


# ------------------------------------------------------------------------------ what comes back

N = 80


def cohort():
    rng = np.random.default_rng(5)
    y = np.arange(N) % 2
    x = rng.normal(size=N) + y
    level = np.array(["a", "b", "c"])[rng.integers(0, 3, N)]
    return pd.DataFrame({"y": y, "x": x, "level": level, "p": 1 / (1 + np.exp(0.5 - x))})


DATA = cohort()
Y, S, P = (DATA[name].to_numpy() for name in ("y", "x", "p"))
DRAWN = {"n_boot": 20, "seed": 1}
FIT = usstats.fit_logistic("y ~ x + level", DATA)
COMPARISON = [
    "model_1",
    "model_2",
    "auc_1",
    "auc_2",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "statistic",
    "p_value",
    "p_adjusted",
]
NET_BENEFIT = [
    "model",
    "threshold_probability",
    "net_benefit",
    "standardized_net_benefit",
    "interventions_avoided",
]
ESTIMATE = ["measure", "estimate", "std_error", "conf_low", "conf_high", "conf_level", "method"]
LIMITS = ["conf_low", "conf_high"]
ROC = ["threshold", "sensitivity", "specificity"]
VALIDATED = [
    "measure",
    "apparent",
    "training",
    "test",
    "optimism",
    "corrected",
    "n_boot",
    "n_failed",
]


def survival_curve():
    return usstats.decision_curve_survival(
        np.arange(1.0, N + 1), Y, {"m": P}, horizon=30, thresholds=[0.2, 0.3]
    )


RESULTS = {
    "auc": (lambda: usstats.auc(Y, S), ESTIMATE),
    "partial_auc": (lambda: usstats.partial_auc(Y, S, specificity=(0.8, 1)), ESTIMATE),
    "bootstrap": (lambda: usstats.bootstrap(np.mean, S, **DRAWN), ESTIMATE),
    "roc_curve": (lambda: usstats.roc_curve(Y, S), ROC),
    "roc_band": (lambda: usstats.roc_curve(Y, S, band="bootstrap", **DRAWN), ROC + LIMITS),
    "compare_auc": (lambda: usstats.compare_auc(Y, {"a": S, "b": S**2}), COMPARISON),
    "independent": (lambda: usstats.compare_auc_independent(Y, S, Y, S**2), COMPARISON),
    "threshold": (lambda: usstats.choose_threshold(Y, P), ["value", "criterion"]),
    "diagnostic": (
        lambda: usstats.diagnostic_accuracy(Y, P, threshold=0.5),
        ["measure", "estimate", "std_error", *LIMITS],
    ),
    "accuracy": (
        lambda: usstats.compare_accuracy(Y, P > 0.5, P > 0.4),
        ["measure", "estimate_1", "estimate_2", "estimate", "std_error", *LIMITS],
    ),
    "calibration": (lambda: usstats.assess_calibration(Y, P, min_events=10, **DRAWN), ESTIMATE),
    "decision": (lambda: usstats.decision_curve(Y, {"m": P}, thresholds=[0.2, 0.3]), NET_BENEFIT),
    "decision_band": (
        lambda: usstats.decision_curve(Y, {"m": P}, thresholds=[0.2, 0.3], ci="bootstrap", **DRAWN),
        NET_BENEFIT + LIMITS,
    ),
    "survival": (survival_curve, NET_BENEFIT),
    "fit": (lambda: FIT, ["term", "estimate", "std_error", *LIMITS]),
    "validate": (lambda: usstats.validate(FIT, DATA, **DRAWN), VALIDATED),
    "evaluate": (lambda: usstats.evaluate(Y, P, min_events=10, **DRAWN), ["group", "measure"]),
    "nomogram": (lambda: usstats.build_nomogram(FIT), ["kind", "term", "label", "value"]),
    "impute": (lambda: usstats.impute(DATA, m=2, seed=1), ["variable", "n", "n_missing"]),
    "pool": (lambda: usstats.pool([FIT, FIT]), ["term", "estimate", "std_error", *LIMITS]),
    "describe": (lambda: usstats.describe(DATA, by="y"), ["variable", "level", "group", "n"]),
    "folds": (lambda: usstats.make_folds(Y, np.arange(N), seed=1), ["patient_id", "fold"]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_frames_begin_with_the_promised_columns(name):
    make, columns = RESULTS[name]
    frame = make().frame()
    assert list(frame.columns[: len(columns)]) == columns
    assert list(frame.index) == list(range(len(frame)))
    assert frame.columns.is_unique


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_frozen_and_say_what_they_are(name):
    result = RESULTS[name][0]()
    assert isinstance(result, Result)
    assert "\n" not in repr(result)
    assert repr(result).startswith("<")
    assert str(N) in repr(result) or name in {"nomogram", "roc_curve", "roc_band"}
    assert result.summary()
    first = dataclasses.fields(result)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, first, None)


@pytest.mark.parametrize("name", RESULTS)
def test_a_frame_handed_out_is_a_copy(name):
    result = RESULTS[name][0]()
    before = result.frame()
    spoilt = result.frame()
    last = spoilt.columns.get_loc(spoilt.select_dtypes("number").columns[-1])
    spoilt.iloc[:, last] = -1 - spoilt.iloc[:, last]
    spoilt.iloc[:, 0] = spoilt.iloc[::-1, 0].to_numpy()
    spoilt["more"] = 1
    pd.testing.assert_frame_equal(result.frame(), before)


def rows(name):
    return RESULTS[name][0]().frame()["measure"].tolist()


def test_rows_of_the_contract():
    assert rows("diagnostic") == [
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
    assert rows("validate")[:7] == [
        "auc",
        "dxy",
        "nagelkerke_r2",
        "brier",
        "calibration_intercept",
        "calibration_slope",
        "emax",
    ]
    assert {"df", "fmi"} <= set(usstats.pool([FIT, FIT]).frame().columns)
    evaluated = set(rows("evaluate"))
    assert {"auc", "calibration_slope", "calibration_in_the_large", "net_benefit"} <= evaluated


def test_a_fit_offers_what_the_contract_names():
    assert FIT.params.index.tolist() == ["Intercept", "x", "level=b", "level=c"]
    assert FIT.covariance.columns.tolist() == FIT.params.index.tolist()
    assert FIT.log_likelihood > FIT.null_log_likelihood
    risk, lp = FIT.predict(DATA), FIT.linear_predictor(DATA)
    np.testing.assert_allclose(np.log(risk / (1 - risk)), lp)
    named = {"lr_chi2", "nagelkerke_r2", "auc", "brier", "dxy"}
    assert named <= set(FIT.indices().index)
    for table in (FIT.anova(), FIT.odds_ratios(per="unit"), FIT.odds_ratios(per="iqr"), FIT.vif()):
        assert len(table)


def test_a_nomogram_offers_what_the_contract_names():
    nomogram = usstats.build_nomogram(FIT)
    assert [axis.name for axis in nomogram.axes] == ["x", "level"]
    axis = nomogram.axes[0]
    assert len(axis.values) == len(axis.points)
    patient = DATA.iloc[[3]]
    reading = nomogram.points(x=patient["x"].iloc[0], level=patient["level"].iloc[0])
    np.testing.assert_allclose(sum(reading.points.values()), reading.total)
    np.testing.assert_allclose(reading.risk, FIT.predict(patient)[0])
    np.testing.assert_allclose(nomogram.risk(reading.total), reading.risk)


# ---------------------------------------------------------------------------------- the import

CHILD = """
import socket, sys

def refused(*args, **kwargs):
    raise AssertionError("an import opened a connection")

socket.socket.connect = refused
socket.create_connection = socket.getaddrinfo = refused
before = set(sys.modules)
import usstats
heavy = {"torch", "matplotlib", "seaborn", "lifelines", "sklearn", "dl", "reports"}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
for name in usstats.__all__:
    getattr(usstats, name)
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""


def test_import_loads_nothing_heavy_and_takes_no_network():
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error::DeprecationWarning:usstats", "-c", CHILD],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_import_leaves_global_state_alone():
    code = (
        "import numpy as np, warnings\n"
        "errors, filters = np.geterr(), list(warnings.filters)\n"
        "state = np.random.get_state()[1][:5]\n"
        "import usstats\n"
        "assert np.geterr() == errors\n"
        "assert (np.random.get_state()[1][:5] == state).all()\n"
        "ours = [f for f in warnings.filters if f not in filters]\n"
        "assert not any('usstats' in str(f) for f in ours), ours\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)  # noqa: S603
