"""The calculator computes what the fit predicts, says what it must, and runs nothing foreign."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

from reports.calculator import LARGEST_BYTES, calculator_html, model_hash, write_calculator
from tests.reports.browser import REPORT, rendered, report_of
from usstats.errors import ArgumentError
from usstats.imputation import pool
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">"
FORMULA = "y ~ rcs(age, 4) + log(fsh) + logit(p) + edv * side"


def patients(n: int = 400, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "fsh": rng.lognormal(1.5, 0.8, n),
            "p": rng.uniform(0.02, 0.98, n),
            "edv": rng.normal(3, 1, n),
            "side": rng.choice(["both", "left", "right"], n),
        }
    )
    lp = 0.04 * (frame["age"] - 40) + np.log(frame["fsh"]) - 1.5 + 0.3 * special.logit(frame["p"])
    return frame.assign(y=(rng.random(n) < special.expit(lp)).astype(int))


@pytest.fixture(scope="module")
def fit() -> LogisticFit:
    return fit_logistic(FORMULA, patients())


def write(fit, path: Path, **options) -> Path:
    options = {"title": "A study", "outcome_label": "Retrieval", **options}
    return write_calculator(fit, build_nomogram(fit), path, **options)


def with_driver(page: Path, script: str) -> Path:
    """A copy of the page with one more script, allowed by its hash: the policy stays in force."""
    code = REPORT + script
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    text = page.read_text("utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ")
    return_to = page.with_name("driven.html")
    return_to.write_text(text.replace("</body>", f"<script>{code}</script></body>"), "utf-8")
    return return_to


def browser_predictions(fit, rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    page = write(fit, folder / "calculator.html")
    inputs = json.dumps(rows.to_dict("records")).replace("<", "\\u003c")
    driver = (
        'const model = JSON.parse(document.getElementById("model").textContent);'
        f"driverReport({inputs}.map((row) => usstatsModel.predict(model, row)));"
    )
    return pd.DataFrame(report_of(with_driver(page, driver)))


def test_the_browser_predicts_what_the_fit_predicts(fit, tmp_path):
    rows = patients(n=1200, seed=9).drop(columns="y")
    got = browser_predictions(fit, rows, tmp_path)
    expected = fit.predict_interval(rows)
    np.testing.assert_allclose(got["lp"], expected["lp"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(got["risk"], fit.predict(rows), rtol=0, atol=1e-12)
    np.testing.assert_allclose(got["low"], expected["conf_low"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(got["high"], expected["conf_high"], rtol=0, atol=1e-12)


def test_far_and_extreme_inputs_agree_too(fit, tmp_path):
    rows = pd.DataFrame(
        {
            "age": [-50.0, 0.0, 300.0, 40.0],
            "fsh": [1e-6, 1e6, 4.0, 4.0],
            "p": [1e-9, 0.5, 1 - 1e-9, 0.5],
            "edv": [-100.0, 0.0, 100.0, 3.0],
            "side": ["both", "left", "right", "both"],
        }
    )
    got = browser_predictions(fit, rows, tmp_path)
    np.testing.assert_allclose(got["risk"], fit.predict(rows), rtol=0, atol=1e-12)


def test_a_model_pooled_over_imputations_is_carried_the_same_way(tmp_path):
    pooled = pool([fit_logistic("y ~ age + log(fsh)", patients(seed=i)) for i in (1, 2, 3)])
    rows = patients(n=200, seed=9)[["age", "fsh"]]
    got = browser_predictions(pooled, rows, tmp_path)
    np.testing.assert_allclose(got["risk"], pooled.predict(rows), rtol=0, atol=1e-12)
    expected = pooled.predict_interval(rows)
    np.testing.assert_allclose(got["low"], expected["conf_low"], rtol=0, atol=1e-12)


def test_points_add_up_as_the_nomogram_reads_them(fit, tmp_path):
    page = write(fit, tmp_path / "c.html", threshold=0.4)
    values = {"age": "47", "fsh": "8,5", "p": "0.7", "edv": "2.5", "side": "left"}
    driver = (
        f"const values = {json.dumps(values)};"
        + """
      const model = JSON.parse(document.getElementById("model").textContent);
      model.variables.forEach((v, i) => {
        const field = document.getElementById("field-" + i);
        field.value = values[v.name];
        field.dispatchEvent(new Event("input"));
      });
      const text = (id) => document.getElementById(id).textContent;
      driverReport({risk: text("risk"), total: text("total"), cutoff: text("cutoff"),
        interval: text("interval"), outside: text("outside"),
        readings: [...document.querySelectorAll(".reading")].map((r) => r.textContent),
        requests: performance.getEntriesByType("resource").length});
    """
    )
    shown = report_of(with_driver(page, driver))
    reading = build_nomogram(fit).points(age=47.0, fsh=8.5, p=0.7, edv=2.5, side="left")
    assert shown["risk"] == f"{100 * reading.risk:.1f}%"
    assert shown["total"] == f"{reading.total:.1f}"
    limits = f"{100 * reading.conf_low:.1f}% to {100 * reading.conf_high:.1f}%"
    assert shown["interval"] == f"95% confidence interval {limits}"
    expected = [f"{value:.1f} points" for value in reading.points.values()]
    assert [text for text in shown["readings"][:-2] if text] == expected
    assert shown["readings"][-2:] == [f"{reading.total:.1f} points", shown["risk"]]
    assert shown["cutoff"].startswith("At or above the cut-off of 40.0%")
    assert shown["outside"] == ""
    assert shown["requests"] == 0


@pytest.mark.parametrize(
    ("value", "warning"),
    [
        ("400", "Outside the range the model was developed in"),
        ("old", "Enter a number."),
        ("", ""),
        ("1e400", "Enter a number."),
    ],
)
def test_a_value_that_cannot_be_trusted_is_flagged(fit, tmp_path, value, warning):
    page = write(fit, tmp_path / "c.html")
    driver = (
        f"const value = {json.dumps(value)};"
        + """
      document.getElementById("typical").click();
      const field = document.getElementById("field-0");
      field.value = value;
      field.dispatchEvent(new Event("input"));
      driverReport({risk: document.getElementById("risk").textContent,
        warning: field.parentElement.querySelector(".warning").textContent});
    """
    )
    shown = report_of(with_driver(page, driver))
    assert shown["warning"].startswith(warning)
    assert (shown["warning"] == "") == (warning == "")
    assert (shown["risk"] == "–") == (value != "400")


def test_a_hostile_column_name_is_only_text(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {HOSTILE: rng.normal(size=200), "side": rng.choice([HOSTILE, "b"], 200)}
    ).assign(y=rng.integers(0, 2, 200))
    terms = [{"name": HOSTILE}, {"name": "side", "type": "factor"}]
    hostile = fit_logistic(None, frame, outcome="y", terms=terms)
    page = write(
        hostile,
        tmp_path / "c.html",
        title=HOSTILE,
        outcome_label=HOSTILE,
        labels={"side": HOSTILE},
        units={"side": HOSTILE},
        model_card={HOSTILE: HOSTILE},
    )
    assert page.read_text("utf-8").count("<script") == 3
    shown = report_of(
        with_driver(
            page,
            """document.getElementById("typical").click();
            driverReport({title: document.title, images: document.images.length,
              scripts: document.scripts.length,
              labels: [...document.querySelectorAll("label")].map((x) => x.textContent),
              risk: document.getElementById("risk").textContent});""",
        )
    )
    assert shown["title"] == HOSTILE
    assert shown["images"] == 0
    assert shown["scripts"] == 4
    assert shown["labels"][0] == HOSTILE
    assert shown["risk"].endswith("%")


def test_a_script_of_someone_else_does_not_run(fit, tmp_path):
    page = write(fit, tmp_path / "c.html")
    text = page.read_text("utf-8")
    page.write_text(text.replace("</body>", "<script>document.title='owned'</script></body>"))
    assert "<title>A study</title>" in rendered(page)


def test_the_page_is_small_closed_and_says_what_it_is(fit, tmp_path):
    page = write(fit, tmp_path / "c.html", synthetic=True, model_card={"Population": "Men"})
    text = page.read_text("utf-8")
    assert len(text.encode()) < LARGEST_BYTES
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"] * 2
    assert "default-src 'none'" in text
    assert "unsafe-inline" not in text
    assert text.count("Research use only; not a medical device") == 2
    assert "SYNTHETIC" in text
    assert model_hash(fit) in text
    assert "Population" in text


def test_two_pages_of_one_model_are_equal_and_carry_no_patient(fit, tmp_path):
    one = write(fit, tmp_path / "a.html").read_bytes()
    assert one == write(fit, tmp_path / "b.html").read_bytes()
    first = patients().iloc[0]
    assert str(first["fsh"]).encode() not in one
    assert b"patient_id" not in one


def test_the_hash_changes_with_the_model(fit):
    other = fit_logistic(FORMULA, patients(seed=6))
    assert model_hash(fit) != model_hash(other)
    assert model_hash(fit) == model_hash(fit_logistic(FORMULA, patients()))


def test_a_wrong_nomogram_or_threshold_is_refused(fit):
    other = build_nomogram(fit_logistic(FORMULA, patients(seed=6)))
    options = {"title": "t", "outcome_label": "o"}
    with pytest.raises(ArgumentError, match="`nomogram` was not built from `fit`"):
        calculator_html(fit, other, **options)
    with pytest.raises(ArgumentError, match=r"`threshold` must be a risk between 0 and 1; got 40"):
        calculator_html(fit, build_nomogram(fit), threshold=40, **options)
