"""The calculator computes what the fit predicts, says what it must, and runs nothing foreign."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

from reports.calculator import (
    LARGEST_BYTES,
    calculator_html,
    calculator_nomogram,
    model_hash,
    write_calculator,
)
from tests.reports.browser import Browser, Tab, browsing
from usstats.errors import ArgumentError
from usstats.imputation import pool
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import build_nomogram
from usstats.pooled_fit import PooledFit
from usstats.survival import CoxFit, fit_cox
from usstats.updating import update_model

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">"
FORMULA = "y ~ rcs(age, 4) + log(fsh) + logit(p) + edv * side"
EXACT = {"rtol": 0, "atol": 1e-12}
TIMES = (12.0, 36.0)
#: Rows each kind of model is asked in the browser; over all kinds more than 10,000.
N_ASKED = 1000

PREDICT = """
(() => {
  const model = JSON.parse(document.getElementById("model").textContent);
  return %s.map((row) => usstatsModel.predict(model, row));
})()
"""


def patients(n: int = 400, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "fsh": rng.lognormal(1.5, 0.8, n),
            "p": rng.uniform(0.02, 0.98, n),
            "edv": rng.normal(3, 1, n),
            "side": rng.choice(["both", "left", "right"], n),
            "grade": rng.integers(0, 4, n),
        }
    )
    lp = 0.04 * (frame["age"] - 40) + np.log(frame["fsh"]) - 1.5 + 0.3 * special.logit(frame["p"])
    lp -= 0.004 * (frame["age"] - 38) ** 2 - 0.4
    months = np.minimum(rng.exponential(30 * np.exp(-0.5 * lp)), 60.0).round(1) + 0.1
    return frame.assign(
        y=(rng.random(n) < special.expit(lp)).astype(int),
        months=months,
        dead=(months < 60).astype(int),
    )


@pytest.fixture(scope="module")
def fit() -> LogisticFit:
    return fit_logistic(FORMULA, patients())


@pytest.fixture(scope="module")
def cox() -> CoxFit:
    return fit_cox("Surv(months, dead) ~ rcs(age, 3) + log(fsh) + edv * side", patients())


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as running:
        yield running


def write(fit, path: Path, **options) -> Path:
    nomogram = options.pop("nomogram", None) or build_nomogram(fit)
    options = {"title": "A study", "outcome_label": "retrieval", **options}
    return write_calculator(fit, nomogram, path, **options)


@pytest.fixture(scope="module")
def page(fit, tmp_path_factory) -> Path:
    return write(
        fit,
        tmp_path_factory.mktemp("page") / "calculator.html",
        threshold=0.4,
        units={"age": "years", "fsh": "IU/L"},
        labels={"age": "Age", "side": "Affected side", "side=left": "left testis"},
    )


@pytest.fixture
def tab(browser, page) -> Iterator[Tab]:
    opened = browser.open(page)
    yield opened
    assert opened.complaints() == []
    opened.close()


@pytest.fixture
def phone(browser, page) -> Iterator[Tab]:
    opened = browser.open(page, width=390, height=844, phone=True)
    yield opened
    assert opened.complaints() == []
    opened.close()


# ---- the same numbers ----


def pooled_fit() -> PooledFit:
    return pool([fit_logistic("y ~ age + log(fsh) + side", patients(seed=i)) for i in (1, 2, 3)])


def shrunken(method: str, **options) -> Callable[[], LogisticFit]:
    formula = "y ~ rcs(age, 3) + log(fsh) + logit(p) + side"
    return lambda: fit_logistic(formula, patients(120), method=method, **options)


MODELS: Mapping[str, Callable[[], Any]] = {
    "splines and logs": lambda: fit_logistic(FORMULA, patients()),
    "spline by factor": lambda: fit_logistic("y ~ rcs(age, 5) * side + log(fsh)", patients()),
    "number by number": lambda: fit_logistic("y ~ age * edv + log(fsh) * logit(p)", patients()),
    "factor by factor": lambda: fit_logistic("y ~ C(grade) * side + age", patients()),
    "firth": shrunken("firth"),
    "flic": shrunken("flic"),
    "flac": shrunken("flac"),
    "ridge": shrunken("ridge", penalty=2.0),
    "clustered": lambda: fit_logistic(
        "y ~ age + side", patients(), cluster=np.repeat(np.arange(100), 4)
    ),
    "pooled": pooled_fit,
    "updated": lambda: update_model(
        fit_logistic(FORMULA, patients()), patients(seed=8), method="slope"
    ),
    "refitted": lambda: update_model(pooled_fit(), patients(seed=8), method="refit"),
}


def asked(browser: Browser, page: Path, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What the page predicts for every row."""
    tab = browser.open(page)
    try:
        return list(tab.evaluate(PREDICT % rows.to_json(orient="records", double_precision=15)))
    finally:
        tab.close()


def exactly(rows: pd.DataFrame) -> pd.DataFrame:
    """The numbers as 15 digits in JSON give them back."""
    return pd.DataFrame(json.loads(rows.to_json(orient="records", double_precision=15)))


def column(answers: list[dict[str, Any]], *path: Any) -> np.ndarray:
    found = []
    for answer in answers:
        value = answer
        for key in path:
            value = value[key]
        found.append(np.nan if value is None else value)
    return np.array(found, dtype=float)


@pytest.mark.parametrize("kind", MODELS)
def test_the_browser_predicts_what_the_fit_predicts(kind, browser, tmp_path):
    model = MODELS[kind]()
    rows = exactly(patients(n=N_ASKED, seed=9)[list(model.spec.variables)])
    page = write(model, tmp_path / "c.html", nomogram=calculator_nomogram(model))
    answers = asked(browser, page, rows)
    expected = model.predict_interval(rows)
    np.testing.assert_allclose(column(answers, "lp"), expected["lp"], **EXACT)
    np.testing.assert_allclose(column(answers, "risk", "estimate"), model.predict(rows), **EXACT)
    np.testing.assert_allclose(column(answers, "risk", "low"), expected["conf_low"], **EXACT)
    np.testing.assert_allclose(column(answers, "risk", "high"), expected["conf_high"], **EXACT)


def test_a_cox_model_gives_survival_and_risk_at_its_times(cox, browser, tmp_path):
    rows = exactly(patients(n=N_ASKED, seed=9)[list(cox.spec.variables)])
    nomogram = build_nomogram(cox, times=TIMES, scales=("survival", "risk", "median"))
    answers = asked(browser, write(cox, tmp_path / "c.html", nomogram=nomogram), rows)
    np.testing.assert_allclose(column(answers, "lp"), cox.linear_predictor(rows), **EXACT)
    for i, time in enumerate(TIMES):
        expected = cox.predict_interval(rows, horizon=time)
        names = {"estimate": "risk", "low": "conf_low", "high": "conf_high"}
        for part, name in names.items():
            risk = column(answers, "outcomes", 2 + i, part)
            np.testing.assert_allclose(risk, expected[name], **EXACT)
        survival = column(answers, "outcomes", i, "estimate")
        np.testing.assert_allclose(survival, cox.survival(rows, time), **EXACT)
        np.testing.assert_allclose(
            column(answers, "outcomes", i, "low"), 1 - expected["conf_high"], **EXACT
        )
    first = cox.predict_interval(rows, horizon=TIMES[0])
    np.testing.assert_allclose(column(answers, "risk", "high"), first["conf_high"], **EXACT)
    medians = nomogram.read(rows)["median_survival"].replace(np.inf, np.nan)
    np.testing.assert_array_equal(column(answers, "outcomes", 4, "estimate"), medians)


def test_far_and_extreme_inputs_agree_too(fit, page, browser):
    rows = pd.DataFrame(
        {
            "age": [-50.0, 0.0, 300.0, 40.0],
            "fsh": [1e-6, 1e6, 4.0, 4.0],
            "p": [1e-9, 0.5, 1 - 1e-9, 0.5],
            "edv": [-100.0, 0.0, 100.0, 3.0],
            "side": ["both", "left", "right", "both"],
        }
    )
    got = column(asked(browser, page, rows), "risk", "estimate")
    np.testing.assert_allclose(got, fit.predict(exactly(rows)), **EXACT)


def test_a_lasso_model_has_a_risk_but_no_interval(browser, tmp_path):
    lasso = shrunken("lasso", penalty=0.02)()
    tab = browser.open(write(lasso, tmp_path / "c.html"))
    tab.evaluate("document.getElementById('typical').click()")
    assert tab.text("#risk").endswith("%")
    assert tab.text("#interval") == "No interval: this kind of model has no standard errors."
    assert "None: this kind of model has no standard errors" in tab.text(".about")
    tab.close()


# ---- the form and the result ----


def fill(tab: Tab, **values: str) -> None:
    """Type into the form, by the names of variables."""
    tab.evaluate(
        f"""(() => {{
      const values = {json.dumps(values)};
      const model = JSON.parse(document.getElementById("model").textContent);
      model.variables.forEach((v, i) => {{
        if (!(v.name in values)) {{ return; }}
        const field = document.getElementById("field-" + i);
        field.value = values[v.name];
        field.dispatchEvent(new Event("input"));
      }});
    }})()"""
    )


def form(tab: Tab) -> list[str]:
    return list(
        tab.evaluate(
            "[...document.querySelectorAll('#fields :is(input, select)')].map((f) => f.value)"
        )
    )


def readings(tab: Tab) -> list[str]:
    found = "[...document.querySelectorAll('.reading')].map((r) => r.textContent)"
    return [text for text in tab.evaluate(found) if text]


PATIENT = {"age": 47.0, "fsh": 8.5, "p": 0.7, "edv": 2.5, "side": "left"}


def test_points_add_up_as_the_nomogram_reads_them(fit, tab):
    fill(tab, age="47", fsh="8,5", p="0.7", edv="2.5", side="left")
    reading = build_nomogram(fit).points(**PATIENT)
    limits = f"{100 * reading.conf_low:.1f}% to {100 * reading.conf_high:.1f}%"
    assert tab.text("#risk") == f"{100 * reading.risk:.1f}%"
    assert tab.text("#interval") == f"95% CI {limits}"
    assert tab.text("#total") == f"{reading.total:.1f}"
    points = [f"{value:.1f} points" for value in reading.points.values()]
    assert readings(tab) == [*points, f"{reading.total:.1f} points", tab.text("#risk")]
    assert [tab.text(".limits:not(:empty)")] == [limits]
    assert tab.text("#cutoff").startswith("At or above the frozen cut-off of 40.0%")
    assert tab.text(".cutoff-text") == "Cut-off 40.0%"
    assert tab.text("#outside") == ""
    assert "left testis" in tab.text("#fields")


def test_the_risk_its_interval_and_the_cut_off_stand_where_the_nomogram_puts_them(fit, tab):
    fill(tab, **{name: str(value) for name, value in PATIENT.items()})
    nomogram = build_nomogram(fit)
    reading = nomogram.points(**PATIENT)
    ends = tab.evaluate(
        "(({x, width}) => [x, x + width])(document.querySelector('.interval').getBBox())"
    )
    risk = tab.evaluate("[...document.querySelectorAll('.dot.lower')].pop().place.x")
    cut = tab.evaluate(
        "(({x, width}) => x + width / 2)(document.querySelector('path.cutoff').getBBox())"
    )
    totals = nomogram.total_of_risk([0.4, reading.risk, reading.conf_low, reading.conf_high])
    per_point = (risk - cut) / (totals[1] - totals[0])
    drawn = [(x - risk) / per_point + totals[1] for x in ends]
    np.testing.assert_allclose(drawn, totals[2:], atol=0.2)
    left = tab.evaluate("document.querySelector('g.row .axis').getAttribute('x1')")
    assert (risk - float(left)) / per_point == pytest.approx(totals[1], abs=0.2)


def test_a_risk_that_rounds_to_the_cut_off_says_on_which_side_it_is(fit, tmp_path, browser):
    risk = float(fit.predict(pd.DataFrame([PATIENT]))[0])
    tab = browser.open(write(fit, tmp_path / "c.html", threshold=risk + 1e-6))
    fill(tab, **{name: str(value) for name, value in PATIENT.items()})
    shown = re.fullmatch(
        r"Below the frozen cut-off of ([\d.]+)% \(([\d.]+)%\)\.",
        tab.text("#cutoff"),
    )
    assert shown is not None
    assert float(shown[1]) > float(shown[2])
    tab.close()


@pytest.mark.parametrize(
    ("value", "warning", "risk"),
    [
        ("400", "Outside the range the model was developed in", True),
        ("old", "Enter a number.", False),
        ("", "", False),
        ("1e400", "Enter a number.", False),
        ("1,200", "Write the number without a comma", False),
        ("４０", "", True),
        (" 40 ", "", True),
    ],
)
def test_a_value_that_cannot_be_trusted_is_flagged(tab, value, warning, risk):
    tab.evaluate("document.getElementById('typical').click()")
    fill(tab, age=value)
    shown = tab.text(".warning")
    assert shown.startswith(warning)
    assert (shown == "") == (warning == "")
    assert (tab.text("#risk") != "–") == risk
    assert (tab.text("#outside") != "") == (value == "400")


def test_a_probability_given_as_a_percentage_is_refused(tab):
    fill(tab, p="87")
    assert "Enter a number between 0 and 1." in tab.text("#fields")


def test_the_page_of_a_cox_model_names_its_times(cox, tmp_path, browser):
    nomogram = build_nomogram(cox, times=TIMES, time_unit="months")
    page = write(cox, tmp_path / "c.html", nomogram=nomogram, outcome_label="death", threshold=0.3)
    tab = browser.open(page)
    fill(tab, age="47", fsh="8.5", edv="2.5", side="left")
    reading = nomogram.points(**{name: PATIENT[name] for name in ("age", "fsh", "edv", "side")})
    assert tab.text("#what") == "Death: predicted risk by 12 months"
    assert tab.text("#risk") == f"{100 * reading.risk:.1f}%"
    rows = tab.evaluate("[...document.querySelectorAll('#others tr')].map((r) => r.textContent)")
    shown = [own for own in reading.outcomes if (own.measure, own.time) != ("risk", 12)]
    assert [own.measure for own in shown] == ["survival", "survival", "risk"]
    for text, own in zip(rows, shown, strict=True):
        assert text.startswith(own.title.replace("dead", "death"))
        low, high = 100 * own.conf_low, 100 * own.conf_high
        assert text.endswith(f"{100 * own.estimate:.1f}% ({low:.1f}% to {high:.1f}%)")
    hazard = -np.log(cox.baseline_survival(12.0))
    assert f"Baseline cumulative hazard by 12 months{hazard:.6f}" in re.sub(
        r"\s*\n\s*", "", tab.text("details")
    )
    tab.close()


# ---- the live nomogram ----


def at_axis(tab: Tab, row: int, value: float, *, run: int = 0) -> tuple[float, float]:
    """Where a value stands on the screen, by the place of its tick label on the row."""
    tab.centre(f"g.row:nth-of-type({row})")
    return tuple(
        tab.evaluate(
            f"""(() => {{
      const row = document.querySelectorAll("g.row")[{row - 1}];
      const texts = [...row.querySelectorAll(".tick-text")];
      const text = texts.filter((t) => t.textContent === "{value:g}")[{run}];
      const b = text.getBoundingClientRect();
      return [b.x + b.width / 2, b.y - 8];
    }})()"""
        )
    )


def place(tab: Tab, number: int) -> tuple[float, float]:
    """Centre of the marker of a group of axes."""
    return tuple(
        tab.evaluate(
            f"""(() => {{
      const target = document.querySelectorAll(".marker .target")[{number}];
      const b = target.getBoundingClientRect();
      return [b.x + b.width / 2, b.y + b.height / 2];
    }})()"""
        )
    )


AGE, FSH, P, EDV = 2, 3, 4, 5
SLIDER = ("valuemin", "valuemax", "valuenow", "valuetext")
TARGETS = "input, select, button, summary, .marker .target"


def test_a_dragged_marker_moves_the_form_and_the_risk(fit, tab):
    tab.evaluate("document.getElementById('typical').click()")
    tab.centre("#nomogram")
    x, y = place(tab, 1)
    goal = at_axis(tab, FSH, 10)
    x, y = place(tab, 1)
    tab.drag([(x, y), (x + 10, y), (goal[0], y + 60)])
    values = dict(zip(fit.spec.variables, form(tab), strict=True))
    assert float(values["fsh"]) == pytest.approx(10, rel=0.02)
    rows = pd.DataFrame([{k: v if k == "side" else float(v) for k, v in values.items()}])
    assert tab.text("#risk") == f"{100 * fit.predict(rows)[0]:.1f}%"
    assert place(tab, 1)[0] == pytest.approx(goal[0], abs=2)


def test_typing_moves_the_marker_to_the_value_on_its_axis(tab):
    for value in (0.5, 5, 50):
        fill(tab, fsh=str(value))
        goal = at_axis(tab, FSH, value)
        assert place(tab, 1)[0] == pytest.approx(goal[0], abs=1.5)


def test_a_click_on_an_axis_or_on_a_number_sets_it(tab):
    x, y = at_axis(tab, FSH, 20)
    tab.click(x, y)
    assert float(form(tab)[1]) == pytest.approx(20, rel=0.02)
    x, y = at_axis(tab, FSH, 5)
    tab.click(x, y + 14)
    assert form(tab)[1] == "5"
    assert form(tab)[0] == ""


def test_a_click_on_another_level_s_axis_sets_the_level_too(tab):
    tab.evaluate("document.getElementById('typical').click()")
    texts = tab.evaluate("[...document.querySelectorAll('g.row .given')].map((t) => t.textContent)")
    assert texts == ["Affected side = both", "Affected side = left testis", "Affected side = right"]
    x, y = at_axis(tab, EDV + 1, 0)
    tab.click(x, y)
    assert form(tab)[4] == "left"
    others = tab.evaluate("[...document.querySelectorAll('g.row.other')].length")
    assert others == 2
    assert place(tab, 3)[1] == pytest.approx(y, abs=16)


def test_an_axis_that_turns_back_is_read_on_the_line_that_was_touched(tmp_path, browser):
    frame = patients(600)
    bowed = fit_logistic("y ~ rcs(age, 3) + log(fsh)", frame)
    axis = build_nomogram(bowed).axes[0]
    assert len(axis.turns) == 1
    tab = browser.open(write(bowed, tmp_path / "c.html"))
    late = max(axis.values)
    x, y = at_axis(tab, AGE, late)
    tab.click(x, y)
    assert float(form(tab)[0]) == pytest.approx(late, abs=1)
    lower = place(tab, 0)
    x, y = at_axis(tab, AGE, min(axis.values))
    tab.click(x, y)
    assert float(form(tab)[0]) == pytest.approx(min(axis.values), abs=1)
    assert place(tab, 0)[1] < lower[1] - 20
    tab.close()


def test_between_held_values_the_marker_is_hollow_on_the_nearest_axis(tmp_path, browser):
    held = fit_logistic("y ~ age * edv + log(fsh)", patients())
    nomogram = build_nomogram(held, hold={"edv": (2.0, 4.0)})
    tab = browser.open(write(held, tmp_path / "c.html", nomogram=nomogram))
    ys = []
    for edv, hollow in ((2, False), (2.4, True), (3.6, True), (4, False)):
        fill(tab, age="45", edv=str(edv), fsh="5")
        reading = nomogram.points(age=45.0, edv=float(edv), fsh=5.0)
        assert readings(tab)[0] == f"{reading.points['age * edv']:.1f} points"
        assert (
            tab.evaluate("document.querySelector('.marker').classList.contains('between')")
            == hollow
        )
        assert ("Hollow marker: edv lies between" in tab.text("#between")) == hollow
        ys.append(place(tab, 0)[1])
    assert ys[0] == ys[1] < ys[2] == ys[3]
    x, y = place(tab, 0)
    fill(tab, edv="3.6")
    tab.drag([(x, y), (x + 20, y), (x + 40, y)])
    assert form(tab)[1] == "3.6"
    assert float(form(tab)[0]) != 45
    tab.close()


def test_arrow_keys_move_a_focused_marker_in_round_steps(tab):
    tab.evaluate("document.getElementById('typical').click()")
    fill(tab, fsh="5")
    tab.evaluate("document.querySelectorAll('.marker')[1].focus()")
    tab.press("ArrowRight")
    assert float(form(tab)[1]) > 5
    tab.press("ArrowLeft")
    assert float(form(tab)[1]) == 5
    tab.press("PageUp")
    far = float(form(tab)[1])
    assert far > 6
    tab.press("PageDown", 2)
    assert float(form(tab)[1]) < 5
    tab.press("End")
    assert form(tab)[1] == "100"
    tab.press("ArrowUp")
    assert form(tab)[1] == "100"
    tab.press("Home")
    assert float(form(tab)[1]) == 0.2
    said = ["role", *(f"aria-{name}" for name in ("label", *SLIDER))]
    shown = tab.evaluate(f"{said}.map((name) => document.activeElement.getAttribute(name))")
    assert shown[:5] == ["slider", "fsh, IU/L", "0.2", "100", "0.2"]
    assert shown[5] == "0.2 IU/L, 0.0 points"


def test_tab_walks_through_fields_buttons_and_markers(tab):
    tab.evaluate("document.getElementById('field-0').focus()")
    walked = []
    for _ in range(12):
        walked.append(
            tab.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('class')"
            )
        )
        tab.press("Tab")
    fields = [f"field-{i}" for i in range(5)]
    assert walked == [*fields, "typical", "clear", "print", *["marker unset"] * 4]


def test_an_untouched_marker_has_no_value_until_a_key_is_pressed(fit, tab):
    assert form(tab) == [""] * 5
    tab.evaluate("document.querySelectorAll('.marker')[0].focus()")
    valuetext = "document.activeElement.getAttribute('aria-valuetext')"
    assert tab.evaluate(valuetext) == "not entered"
    tab.press("ArrowRight")
    assert float(form(tab)[0]) == pytest.approx(fit.spec.ranges["age"].median, abs=0.5)
    assert form(tab)[1:] == [""] * 4
    assert tab.text("#interval").startswith("Still needed: fsh, p")


def test_the_result_is_spoken_once_the_values_rest(tab):
    fill(tab, **{name: str(value) for name, value in PATIENT.items()})
    assert tab.text("#spoken") == ""
    tab.wait_for("document.getElementById('spoken').textContent !== ''")
    spoken = tab.text("#spoken")
    assert tab.text("#risk") in spoken
    assert "cut-off" in spoken
    assert tab.evaluate("document.getElementById('spoken').getAttribute('aria-live')") == "polite"
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_markers_glide_only_where_motion_is_welcome(browser, page):
    for calm, seconds in ((True, "0s"), (False, "0.18s")):
        tab = browser.open(page, calm=calm)
        style = "getComputedStyle(document.querySelector('.marker')).transitionDuration"
        assert tab.evaluate(style) == seconds
        tab.close()


# ---- a phone, and paper ----


def test_a_phone_shows_all_without_scrolling_sideways(phone):
    phone.evaluate("document.getElementById('typical').click()")
    fill(phone, age="400")
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    boxes = phone.evaluate(
        f"""[...document.querySelectorAll("{TARGETS}")].map((e) => {{
          const b = e.getBoundingClientRect(); return [b.width, b.height]; }})"""
    )
    assert len(boxes) == 5 + 3 + 1 + 4
    assert np.min(boxes) >= 44 - 0.01
    wide = phone.evaluate(
        """[...document.querySelectorAll("svg text")].filter((e) => {
          const b = e.getBoundingClientRect(); return b.width && (b.left < 0 || b.right > 390); })
          .map((e) => e.textContent)"""
    )
    assert wide == []


def test_a_finger_drags_a_marker_sideways_and_scrolls_the_page_upwards(phone):
    phone.evaluate("document.getElementById('typical').click()")
    phone.centre(".drawing h2")
    x, y = place(phone, 1)
    before = form(phone)
    phone.swipe([(x, y), (x + 12, y), (x + 40, y + 3)])
    after = form(phone)
    assert float(after[1]) > float(before[1])
    assert place(phone, 1)[0] == pytest.approx(x + 40, abs=3)
    scrolled = phone.evaluate("scrollY")
    x, y = at_axis(phone, FSH, 1)
    phone.swipe([(x, y), (x, y - 20), (x, y - 60), (x, y - 120)])
    phone.wait_for(f"scrollY > {scrolled}")
    assert form(phone) == after


def test_the_result_stays_in_sight_and_keeps_its_height(phone):
    heights = []
    for value in ("", "40", "400"):
        fill(phone, age=value, fsh="5", p="0.5", edv="3", side="left")
        phone.evaluate("scrollTo(0, 700)")
        box = phone.evaluate(
            "(({ top, height }) => [top, height])"
            "(document.querySelector('.answer').getBoundingClientRect())"
        )
        assert box[0] == 0
        heights.append(box[1])
    assert np.ptp(heights) == 0
    assert phone.text("#outside") == "Extrapolated beyond development: Age."


def test_a_tap_on_an_axis_sets_it(phone):
    phone.centre(".drawing h2")
    x, y = at_axis(phone, FSH, 10)
    phone.swipe([(x, y)])
    assert float(form(phone)[1]) == pytest.approx(10, rel=0.05)


def test_turning_the_phone_redraws_and_keeps_the_patient(phone):
    phone.evaluate("document.getElementById('typical').click()")
    phone.evaluate("document.querySelectorAll('.marker')[1].focus()")
    before = readings(phone)[1:]
    phone.resize(844, 390, phone=True)
    phone.wait_for("document.getElementById('nomogram').getAttribute('width') > 700")
    assert phone.evaluate("document.documentElement.scrollWidth") == 844
    assert [text.partition(" (")[0] for text in before] == readings(phone)[1:]
    assert phone.evaluate("document.activeElement === document.querySelectorAll('.marker')[1]")


def test_a_printed_page_holds_result_and_nomogram(tab, tmp_path):
    tab.evaluate("document.getElementById('typical').click()")
    content = tab.pdf(tmp_path / "c.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", content)) == 1
    assert float(tab.evaluate("document.getElementById('nomogram').getAttribute('width')")) > 700


# ---- a closed page ----


def test_a_hostile_column_name_is_only_text(tmp_path, browser):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            HOSTILE: rng.normal(size=200),
            "side": rng.choice([HOSTILE, "b"], 200),
            "__proto__": rng.normal(size=200),
        }
    ).assign(y=rng.integers(0, 2, 200))
    terms = [
        {"name": HOSTILE},
        {"name": "side", "type": "factor"},
        {"name": [HOSTILE, "side"], "type": "interaction"},
        {"name": "__proto__"},
    ]
    hostile = fit_logistic(None, frame, outcome="y", terms=terms)
    page = write(
        hostile,
        tmp_path / "c.html",
        title=HOSTILE,
        outcome_label=HOSTILE,
        labels={"side": HOSTILE},
        units={"side": HOSTILE, HOSTILE: HOSTILE},
        model_card={HOSTILE: HOSTILE},
    )
    assert page.read_text("utf-8").count("<script") == 6
    tab = browser.open(page)
    tab.evaluate("document.getElementById('typical').click()")
    tab.wait_for("document.getElementById('spoken').textContent !== ''")
    assert tab.evaluate("document.title") == HOSTILE
    assert tab.evaluate("[document.images.length, document.scripts.length]") == [0, 6]
    assert tab.text("label bdi") == HOSTILE
    assert tab.text("svg .axis-name").startswith("Points")
    assert tab.evaluate("document.querySelector('.marker').getAttribute('aria-label')").startswith(
        HOSTILE
    )
    assert tab.text("#risk").endswith("%")
    assert tab.complaints() == []
    assert tab.requests() == [page.as_uri()]
    tab.close()


def test_names_that_utf8_cannot_hold_are_carried(tmp_path, browser):
    frame = patients().rename(columns={"age": "a\ud800ge"})
    odd = fit_logistic(None, frame, outcome="y", terms=[{"name": "a\ud800ge"}, {"name": "fsh"}])
    tab = browser.open(write(odd, tmp_path / "c.html"))
    tab.evaluate("document.getElementById('typical').click()")
    assert tab.text("#risk").endswith("%")
    tab.close()


def test_a_script_of_someone_else_does_not_run(page, tmp_path, browser):
    foreign = tmp_path / "foreign.html"
    text = page.read_text("utf-8")
    foreign.write_text(
        text.replace("</body>", "<script>document.title='owned'</script><img src=x></body>"),
        "utf-8",
    )
    tab = browser.open(foreign)
    assert tab.evaluate("document.title") == "A study"
    assert any("Content Security Policy" in text for text in tab.complaints())
    with pytest.raises(AssertionError, match="TrustedHTML"):
        tab.evaluate("document.body.innerHTML = '<b>x</b>'")
    tab.close()


def test_the_page_asks_for_nothing_and_keeps_nothing(tab, page):
    tab.evaluate("document.getElementById('typical').click()")
    assert tab.requests() == [page.as_uri()]
    kept = "[document.cookie, Object.keys(localStorage).length, Object.keys(sessionStorage).length]"
    assert tab.evaluate(kept) == ["", 0, 0]


def test_the_page_is_small_closed_and_says_what_it_is(fit, tmp_path):
    page = write(fit, tmp_path / "c.html", synthetic=True, model_card={"Population": "Men"})
    text = page.read_text("utf-8")
    assert len(text.encode()) < LARGEST_BYTES
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text
    assert "unsafe-inline" not in text
    assert text.count("Research use only; not a medical device") == 2
    assert "SYNTHETIC" in text
    assert model_hash(fit) in text
    assert "Population" in text


def test_two_pages_of_one_model_are_equal_and_carry_no_patient(fit, cox, tmp_path):
    one = write(fit, tmp_path / "a.html").read_bytes()
    assert one == write(fit, tmp_path / "b.html").read_bytes()
    survival = write(cox, tmp_path / "c.html", nomogram=build_nomogram(cox, times=TIMES))
    for row in patients().head(20).to_dict("records"):
        for name in ("age", "fsh", "p", "edv"):
            inner = fit.spec.ranges[name].minimum < row[name] < fit.spec.ranges[name].maximum
            assert not inner or str(row[name]).encode() not in one + survival.read_bytes()
    assert b"patient_id" not in one


@pytest.mark.parametrize("kind", ["logistic", "cox", "pooled", "updated"])
def test_the_hash_on_the_page_is_that_of_the_model_s_file(kind, fit, cox, tmp_path):
    makers: dict[str, Callable[[], Any]] = {
        "logistic": lambda: fit,
        "cox": lambda: cox,
        "pooled": pooled_fit,
        "updated": MODELS["updated"],
    }
    model = makers[kind]()
    model.to_json(tmp_path / "model.json")
    content = json.loads((tmp_path / "model.json").read_text("utf-8"))
    signed = content["pooled_model"] if kind == "pooled" else content
    assert model_hash(model) == signed["sha256"]
    if kind != "updated":
        assert model_hash(type(model).from_json(tmp_path / "model.json")) == model_hash(model)


def test_the_hash_changes_with_the_model(fit):
    assert model_hash(fit) != model_hash(fit_logistic(FORMULA, patients(seed=6)))
    assert model_hash(fit) == model_hash(fit_logistic(FORMULA, patients()))


def test_the_card_says_how_a_model_was_updated(tmp_path):
    updated = MODELS["updated"]()
    text = write(updated, tmp_path / "c.html").read_text("utf-8")
    assert "Intercept and slope were updated (logistic recalibration): 400 patients" in text


def test_numbers_that_interact_are_held_at_their_quartiles():
    held = fit_logistic("y ~ age * edv + log(fsh)", patients())
    known = held.spec.ranges["edv"]
    given = [axis.given["edv"] for axis in calculator_nomogram(held).axes if axis.given]
    quartiles = (known.lower_quartile, known.median, known.upper_quartile)
    assert [float(text) for text in given] == [float(f"{value:.3g}") for value in quartiles]
    own = calculator_nomogram(held, hold={"age": (30.0, 50.0)})
    assert [axis.variable for axis in own.axes][:2] == ["edv", "edv"]


def test_what_cannot_be_a_calculator_is_refused(fit, cox):
    options: dict[str, Any] = {"title": "t", "outcome_label": "o"}
    other = build_nomogram(fit_logistic(FORMULA, patients(seed=6)))
    with pytest.raises(ArgumentError, match="`nomogram` was not built from `fit`"):
        calculator_html(fit, other, **options)
    with pytest.raises(ArgumentError, match="`nomogram` was not built from `fit`"):
        calculator_html(cox, build_nomogram(fit), **options)
    with pytest.raises(ArgumentError, match=r"`threshold` must be a risk between 0 and 1; got 40"):
        calculator_html(fit, build_nomogram(fit), threshold=40, **options)
    with pytest.raises(ArgumentError, match="`threshold` must be a risk"):
        calculator_html(fit, build_nomogram(fit), threshold=True, **options)
    with pytest.raises(ArgumentError, match="must be a logistic, pooled, updated or Cox model"):
        calculator_html(object(), build_nomogram(fit), **options)  # type: ignore[arg-type]


def test_a_page_that_would_be_too_large_is_refused(tmp_path):
    many = fit_cox("Surv(months, dead) ~ rcs(age, 5) + edv * side", patients(900))
    nomogram = build_nomogram(many, times=12, scales=("risk", "median"))
    with pytest.raises(ArgumentError, match=r"more than 150000\. Use fewer ticks; .*the median"):
        write(many, tmp_path / "c.html", nomogram=nomogram)
    assert list(tmp_path.iterdir()) == []


def test_a_nomogram_of_the_same_coefficients_but_another_baseline_is_refused(cox, tmp_path):
    baseline = replace(cox.baseline, hazard=cox.baseline.hazard * 2)
    doubled = build_nomogram(replace(cox, baseline=baseline), times=TIMES)
    with pytest.raises(ArgumentError, match="`nomogram` was not built from `fit`"):
        write(cox, tmp_path / "c.html", nomogram=doubled)
    assert not (tmp_path / "c.html").exists()
