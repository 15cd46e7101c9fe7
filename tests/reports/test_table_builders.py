"""Tables made from the frames the statistics hand back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from reports.tables import (
    accuracy_table,
    auc_table,
    calibration_table,
    centre_table,
    decision_table,
    flow_table,
    model_table,
    nested_table,
    odds_ratio_table,
    performance_table,
    table_one,
    truth_table,
)
from usstats.decision import decision_curve
from usstats.delong import compare_auc
from usstats.describe import describe
from usstats.errors import ArgumentError
from usstats.external import evaluate
from usstats.imputation import pool
from usstats.logistic import fit_logistic
from usstats.nested import compare_nested
from usstats.optimism import validate
from usstats.thresholds import diagnostic_accuracy


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 400
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "fsh": rng.lognormal(1.5, 0.7, n),
            "side": rng.choice(["both", "left", "right"], n),
            "p": rng.uniform(0.05, 0.95, n),
        }
    )
    lp = np.log(frame["fsh"]) - 1.5 + special.logit(frame["p"])
    return frame.assign(y=(rng.random(n) < special.expit(lp)).astype(int))


@pytest.fixture(scope="module")
def fit(data):
    return fit_logistic("y ~ rcs(age, 3) + log(fsh) + logit(p) + side", data)


@pytest.fixture(scope="module")
def risk(fit, data) -> np.ndarray:
    return fit.predict(data)


def cells(table) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in table.rows}


def test_flow_counts_each_step_of_each_cohort():
    flow = pd.DataFrame(
        {
            "cohort": ["development"] * 3 + ["centre_2"] * 2,
            "step": ["enrolled", "excluded", "analysed", "enrolled", "analysed"],
            "reason": ["", "no lesion", "", "", ""],
            "n_patients": [256, 4, 252, 10, 10],
            "n_images": [266, 4, 262, 12, 12],
            "n_event": [98, 0, 98, 5, 5],
        }
    )
    table = flow_table(flow, labels={"centre_2": "Second centre"})
    assert [row[0] for row in table.rows] == [
        "Development",
        "Enrolled",
        "Excluded: no lesion",
        "Analysed",
        "Second centre",
        "Enrolled",
        "Analysed",
    ]
    assert table.indent == (0, 1, 1, 1, 0, 1, 1)
    assert table.rows[3][1:] == ("252", "262", "98/252 (38.9%)")
    with pytest.raises(ArgumentError, match="flow table needs the columns step, n_patients"):
        flow_table(flow.drop(columns="n_images"))


def test_table_one_shows_numbers_levels_missing_and_p(data):
    frame = data.assign(group=np.where(data["y"] == 1, "NOA", "OA"))
    frame.loc[:4, "fsh"] = np.nan
    description = describe(frame, by="group", variables=["age", "fsh", "side"])
    table = table_one(
        description.frame(),
        description.groups,
        labels={"age": "Age, y", "fsh": "FSH, IU/L"},
        nonnormal=["fsh"],
    )
    sizes = frame["group"].value_counts()
    assert table.columns[:4] == (
        "Characteristic",
        f"NOA (n = {sizes['NOA']})",
        f"OA (n = {sizes['OA']})",
        "All patients (n = 400)",
    )
    assert table.columns[4:] == ("SMD", "P valueᵃ")
    by_name = cells(table)
    mean, sd = frame["age"].mean(), frame["age"].std()
    assert by_name["Age, y, mean (SD)"][2] == f"{mean:.1f} ({sd:.1f})"
    assert "FSH, IU/L, median (IQR)" in by_name
    shown = [text.count(".") for text in by_name["Age, y, mean (SD)"][:3]]
    assert shown == [2, 2, 2], "one row keeps its decimals"
    assert by_name["Missing, n"][2] == "5"
    left = int((frame["side"] == "left").sum())
    assert by_name["left"][2] == f"{left}/400 ({100 * left / 400:.1f}%)"
    assert table.footnotes[0].startswith("Descriptive, not adjusted")
    assert ("SMD", "standardized mean difference") in table.abbreviations


def test_adjusted_p_values_are_called_adjusted(data):
    description = describe(data, by="y", variables=["age", "fsh"], adjust="holm")
    table = table_one(description.frame(), group_labels={"0": "OA", "1": "NOA"})
    assert table.footnotes[0].startswith("Adjusted for the number of comparisons")
    assert table.columns[1].startswith("OA (n = ")


def test_the_model_table_holds_every_coefficient_and_the_equation(fit):
    table = model_table(fit, labels={"age": "Age, y", "p": "Network probability"})
    assert [row[0] for row in table.rows] == [
        "Intercept",
        "Age, y",
        "Age, y′",
        "log(fsh)",
        "logit(Network probability)",
        "side: left vs both",
        "side: right vs both",
    ]
    by_name = cells(table)
    assert by_name["Age, y′"][2] == "–"
    assert by_name["Intercept"][2] == "–"
    ratio = np.exp(fit.params["log(fsh)"])
    assert by_name["log(fsh)"][2].startswith(f"{ratio:.2f} (")
    equation = table.notes[-1]
    assert equation.endswith("risk = 1 / (1 + exp(−lp)).")
    assert equation.count("×") == len(fit.params) - 1


def test_the_printed_equation_gives_the_predicted_risk(fit, data):
    equation = model_table(fit, preset="plain").notes[-1]
    body = equation.partition("lp = ")[2].partition(";")[0]
    body = body.replace(" + ", "|+").replace(" − ", "|-").replace("−", "-")
    coefficients = [float(term.partition("×")[0]) for term in body.split("|")]
    lp = fit.spec.matrix(data) @ np.array(coefficients)
    np.testing.assert_allclose(special.expit(lp), fit.predict(data), atol=1e-4)


def test_a_pooled_model_shows_the_missing_information(data):
    rng = np.random.default_rng(0)
    fits = [
        fit_logistic("y ~ age + p", data.assign(age=data["age"] + rng.normal(0, 3, len(data))))
        for _ in range(3)
    ]
    table = model_table(pool(fits))
    assert table.columns[-1] == "FMI"
    assert ("FMI", "fraction of missing information") in table.abbreviations


def test_odds_ratios_say_what_they_compare(fit):
    table = odds_ratio_table(fit.odds_ratios(per="iqr"), labels={"age": "Age, y"})
    low, high = (fit.spec.ranges["age"].lower_quartile, fit.spec.ranges["age"].upper_quartile)
    assert table.rows[0][:2] == ("Age, y", f"{high:.1f} vs {low:.1f}")
    assert table.rows[-1][1].endswith(" vs " + str(fit.spec.ranges["side"].mode))


def test_performance_puts_corrected_beside_external(fit, data, risk):
    internal = validate(fit, data, n_boot=40, seed=1)
    external = evaluate(data["y"], risk, min_events=50)
    table = performance_table(
        internal.frame(),
        {"Centre 2": external.frame()},
        intervals=internal.interval("auc").frame(),
    )
    assert table.columns == (
        "Measure",
        "Apparent",
        "Optimism",
        "Corrected (95% CI)",
        "Centre 2 (95% CI)",
    )
    by_name = cells(table)
    own = internal.frame().set_index("measure").loc["auc"]
    assert by_name["AUC"][0] == f"{own['apparent']:.3f}"
    assert by_name["AUC"][2].startswith(f"{own['corrected']:.3f} (")
    assert by_name["Calibration in the large"][:3] == ("–", "–", "–")
    assert "Centre 2: n = 400" in table.notes[1]
    assert table.notes[0].startswith("Optimism from 40 resamples")


def test_calibration_and_centres(data, risk):
    centres = np.where(np.arange(len(data)) % 2, "north", "south")
    frame = evaluate(data["y"], risk, centre=centres, min_events=50).frame()
    table = calibration_table({"North and south": frame})
    whole = frame[(frame["group"] == "overall") & frame["threshold_probability"].isna()]
    slope = whole.set_index("measure").loc["calibration_slope", "estimate"]
    assert cells(table)["Calibration slope"][0].startswith(f"{slope:.2f} (")
    by_centre = centre_table(frame)
    assert [row[0] for row in by_centre.rows] == ["All centres", "south", "north"]
    assert by_centre.rows[1][1].startswith("200 (")


def test_accuracy_gives_n_over_n_and_the_frozen_threshold(data, risk):
    frame = diagnostic_accuracy(data["y"], risk, threshold=0.4).frame()
    table = accuracy_table({"Development": frame})
    events = int(data["y"].sum())
    hits = int(((risk >= 0.4) & (data["y"] == 1)).sum())
    assert cells(table)["Sensitivity"][0] == f"{hits}/{events}"
    assert cells(table)["Sensitivity"][1].startswith(f"{hits / events:.2f} (")
    assert cells(table)["LR+"][0] == "–"
    assert table.notes[0] == "Positive: predicted risk of 0.400 or more."
    assert "Accuracy" not in cells(table)


def test_auc_contrasts(data, risk):
    risks = {"model": risk, "network": data["p"], "fsh": data["fsh"] / 100}
    comparison = compare_auc(data["y"], risks)
    table = auc_table(comparison.frame(), labels={"model": "Nomogram"})
    first = comparison.frame().iloc[0]
    assert table.rows[0][0] == "Nomogram vs network"
    assert table.rows[0][1:3] == (f"{first['auc_1']:.3f}", f"{first['auc_2']:.3f}")
    assert table.columns[-1] == "Adjusted P"
    one = compare_auc(data["y"], {"a": risk, "b": risk}).frame()
    assert auc_table(one).rows[0][3:] == ("0.000 (0.000-0.000)", ">.99")


def test_net_benefit_at_chosen_thresholds(data, risk):
    curve = decision_curve(data["y"], {"nomogram": risk}, thresholds=[0.1, 0.2, 0.3]).frame()
    table = decision_table(curve, thresholds=[0.1, 0.3], labels={"nomogram": "Nomogram"})
    assert [row[0] for row in table.rows] == ["10%", "30%"]
    assert set(table.columns[1:]) == {"Nomogram", "Treat all", "Treat none"}
    none = table.columns.index("Treat none")
    assert [row[none] for row in table.rows] == ["0.000", "0.000"]


def test_nested_models_and_the_test_of_the_terms(data):
    full, reduced = (fit_logistic(f, data) for f in ("y ~ age + p", "y ~ age"))
    frame = compare_nested(full, reduced, data, n_boot=40, seed=1).frame()
    table = nested_table(frame.assign(model_1="full", model_2="age"), labels={"age": "Age alone"})
    test = frame.set_index("measure").loc["added_terms"]
    assert table.rows[0][0] == "full vs Age alone"
    assert table.rows[0][2] == f"{test['statistic']:.2f} (1)"
    assert table.rows[0][3] == "<.001"
    assert "likelihood ratio" in table.notes[1]


def test_promise_beside_truth():
    truth = pd.DataFrame(
        {
            "measure": ["auc", "net_benefit"],
            "promised": [0.81, 0.112],
            "estimate": [0.8, 0.1],
            "conf_low": [0.75, np.nan],
            "conf_high": [0.85, np.nan],
            "best_possible": [0.9996, 0.2],
            "n": 400,
            "n_event": 150,
            "threshold": 0.3,
        }
    )
    table = truth_table(truth)
    assert table.rows[0] == ("AUC", "0.810", "0.800 (0.750-0.850)", "> 0.999")
    assert table.rows[1] == ("Net benefit at 30%", "0.112", "0.100", "0.200")


@pytest.mark.parametrize("preset", ["ama", "esr", "lancet", "nejm", "plain"])
def test_every_preset_writes_every_cell(fit, preset):
    table = model_table(fit, preset=preset)
    assert all("nan" not in cell for row in table.rows for cell in row)
    assert ("·" in table.rows[0][1]) == (preset == "lancet")
