"""The app's page in a browser: a phone's finger, a mouse, keys; what it shows is what was read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

from reports.app.page import colours
from reports.app.server import AppServer
from reports.app.source import AppRun
from reports.model_file import StudyModel
from tests.reports.app_world import HOSTILE, brightness_run, gray, serving
from tests.reports.browser import Browser, Tab, browsing
from usstats.logistic import LogisticFit, fit_logistic

PHONE = {"width": 390, "height": 844, "phone": True}
IDLE = "!document.body.classList.contains('busy')"
#: A record of everything the calculator computes from here on.
WATCH = """
(() => {
  window.seen = [];
  const predict = usstatsModel.predict;
  usstatsModel.predict = (model, values) => {
    const answer = predict(model, values);
    window.seen.push({ risk: answer.risk.estimate, total: answer.total });
    return answer;
  };
})()
"""

#: What is touched and has less than 43 pixels to be hit; a small cross has its room around it.
TOO_SMALL = """
[...document.querySelectorAll("button, input:not([type=file]), select, summary, label.button")]
  .filter((e) => e.offsetParent !== null && !e.matches(".drop"))
  .map((e) => [e.id || e.className, e.getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.width, box.height) < 43).map(([name]) => name)
"""
NAMELESS = """
[...document.querySelectorAll("button, input, canvas[role], svg[role]")]
  .filter((e) => !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby"))
  .filter((e) => !e.textContent.trim() && !(e.labels && e.labels.length)).map((e) => e.outerHTML)
"""
#: Every text that can be seen, with its size, its colour, and that of the ground it stands on.
TEXTS = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (e) => {
    const colour = numbers(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) { return colour; }
    return e.parentElement ? ground(e.parentElement) : [255, 255, 255];
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("p, b, h1, h2, h3, label, dt, dd, output, span, .button")]
    .filter((e) => e.offsetParent !== null && hasText(e) && !e.closest(".stage, .view"))
    .map((e) => [e, getComputedStyle(e)])
    .map(([e, style]) => [e.textContent.trim(), parseFloat(style.fontSize), numbers(style.color),
      ground(e)]);
})()
"""


def nomogram_fit() -> LogisticFit:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"dl_prob": rng.uniform(0.02, 0.98, 300), "fsh": rng.lognormal(2, 0.6, 300)}
    )
    lp = np.log(frame["dl_prob"] / (1 - frame["dl_prob"])) + np.log(frame["fsh"]) - 2
    frame["y"] = (rng.random(300) < expit(lp)).astype(int)
    return fit_logistic("y ~ logit(dl_prob) + log(fsh)", frame)


@pytest.fixture(scope="module")
def fit() -> LogisticFit:
    return nomogram_fit()


def study_model(fit: LogisticFit, **changes: Any) -> StudyModel:
    values = {
        "fit": fit,
        "title": "A study",
        "outcome_label": "retrieval",
        "labels": {"dl_prob": "Network probability", "fsh": "FSH"},
        "units": {"fsh": "IU/L"},
        "threshold": 0.4,
        "card": {"Development": "300 patients"},
    }
    return StudyModel(**(values | changes))


@pytest.fixture(scope="module")
def run(fit) -> AppRun:
    return brightness_run(model=study_model(fit))


@pytest.fixture(scope="module")
def server(run) -> Iterator[AppServer]:
    with serving(run) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as running:
        yield running


def opened(browser: Browser, server: AppServer, **window: Any) -> Tab:
    tab = browser.open(server.url, **window)
    tab.wait_for("document.body.classList.contains('ready')")
    return tab


@pytest.fixture
def phone(browser, server) -> Iterator[Tab]:
    tab = opened(browser, server, **PHONE)
    yield tab
    assert tab.complaints() == []
    assert {url.split("/")[2] for url in tab.requests()} == {server.url.split("/")[2]}
    tab.close()


def choose(tab: Tab, *files: Path, field: str = "#file") -> None:
    """Choose files as the system's dialog does."""
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=root, selector=field)["nodeId"]
    tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def show(tab: Tab, file: Path) -> None:
    """Choose an image and wait until it can be cropped."""
    choose(tab, file)
    tab.wait_for(f"!document.getElementById('overlay').hidden && {IDLE}")


def read(tab: Tab) -> float:
    """Read the region; the patient's probability in full."""
    tab.click(*tab.centre("#read"))
    tab.wait_for(f"document.body.classList.contains('read') && {IDLE}")
    return probability(tab)


def probability(tab: Tab) -> float:
    return float(tab.evaluate("document.getElementById('probability').dataset.value"))


def box(tab: Tab) -> list[int]:
    names = ("left", "top", "right", "bottom")
    return [int(tab.evaluate(f"document.getElementById('{name}').value")) for name in names]


def picture(folder: Path, level: int, name: str = "scan.png", **size: int) -> Path:
    Image.fromarray(gray(level, **size)).save(folder / name)
    return folder / name


def set_box(tab: Tab, values: tuple[int, int, int, int]) -> None:
    """Type the region's numbers; twice, as an edge cannot jump over the opposite one."""
    tab.evaluate("document.getElementById('exact').open = true")
    for name, value in 2 * list(zip(("left", "top", "right", "bottom"), values, strict=True)):
        tab.evaluate(
            f"(() => {{ const e = document.getElementById('{name}'); e.value = '{value}';"
            "e.dispatchEvent(new Event('input')); })()"
        )
    assert box(tab) == list(values)


def test_an_image_is_chosen_cropped_and_read(phone, tmp_path):
    half = np.hstack([gray(64, width=400, height=600), gray(192, width=400, height=600)])
    Image.fromarray(half).save(tmp_path / "half.png")
    show(phone, tmp_path / "half.png")
    set_box(phone, (400, 100, 700, 500))
    assert read(phone) == pytest.approx(expit(2.0), abs=1e-15)
    assert phone.text("#probability") == "88.1%"
    assert phone.text("#verdict") == "At or above the cut-off"
    assert "80.2% to 93.1% by the 3 fold networks" in phone.text("#range")
    assert "not a confidence interval" in phone.text("#range")
    set_box(phone, (0, 100, 300, 500))
    assert read(phone) == pytest.approx(expit(-2.0), abs=1e-15)
    assert phone.text("#verdict") == "Below the cut-off"
    assert phone.evaluate("document.querySelectorAll('#images li').length") == 1


def test_inside_the_band_it_is_unsure(phone, tmp_path):
    show(phone, picture(tmp_path, 132))
    read(phone)
    assert phone.text("#verdict") == "Unsure"
    assert "leave this one to people" in phone.text("#meaning")
    assert phone.evaluate("document.getElementById('result').dataset.verdict") == "unsure"


def test_a_finger_moves_the_region_and_its_corners(phone, tmp_path):
    show(phone, picture(tmp_path, 100, width=800, height=800))
    before = box(phone)
    x, y = phone.centre("#frame")
    phone.swipe([(x, y), (x + 10, y + 6), (x + 20, y + 12)])
    moved = box(phone)
    steps = np.array(moved) - before
    assert steps[0] == steps[2] > 10
    assert steps[1] == steps[3] > 5
    x, y = phone.centre(".handle.se")
    phone.swipe([(x, y), (x - 15, y - 15), (x - 30, y - 30)])
    smaller = box(phone)
    assert smaller[:2] == moved[:2]
    assert smaller[2] < moved[2] - 30
    assert smaller[3] < moved[3] - 30
    phone.swipe([(x - 30, y - 30), (x - 600, y - 30)])
    assert box(phone)[2] == moved[0] + 16


def test_the_region_follows_keys_and_stays_inside(browser, server, tmp_path):
    tab = opened(browser, server)
    show(tab, picture(tmp_path, 100, width=100, height=100))
    assert tab.evaluate("document.activeElement.id") == "frame"
    start = box(tab)
    tab.press("ArrowRight", 3)
    tab.press("ArrowDown", 2)
    assert box(tab) == [start[0] + 3, start[1] + 2, start[2] + 3, start[3] + 2]
    tab.press("ArrowLeft", 60)
    assert box(tab)[0] == 0
    assert box(tab)[2] == start[2] - start[0]
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.dataset.corner") == "nw"
    tab.press("ArrowDown", 5)
    assert box(tab)[1] == start[1] + 7
    said = tab.evaluate("document.activeElement.getAttribute('aria-label')")
    assert said.startswith(f"Upper left corner of the region, at 0, {start[1] + 7} pixels")
    assert tab.complaints() == []
    tab.close()


def test_several_images_of_a_patient_are_one_probability(phone, tmp_path):
    show(phone, picture(tmp_path, 192, "one.png"))
    first = read(phone)
    phone.click(*phone.centre("#add"))
    show(phone, picture(tmp_path, 128, "two.png"))
    both = read(phone)
    assert first == pytest.approx(expit(2.0))
    assert both == pytest.approx(expit(1.0))
    assert "over 2 images" in phone.text("#range")
    assert phone.evaluate("document.querySelectorAll('#images li').length") == 2
    phone.click(*phone.centre("#images li:first-child .drop"))
    phone.wait_for(f"document.querySelectorAll('#images li').length === 1 && {IDLE}")
    assert probability(phone) == pytest.approx(0.5)
    phone.click(*phone.centre("#new"))
    assert phone.text("#probability") == "–"
    assert phone.evaluate("document.getElementById('patient').hidden")


def test_the_nomogram_is_filled_with_the_probability_in_full(phone, fit, tmp_path):
    phone.evaluate(WATCH)
    show(phone, picture(tmp_path, 151))
    p = read(phone)
    field, fsh = "#field-0", "12.5"
    assert phone.evaluate(f"document.querySelector('{field}').value") == f"{p:.4g}"
    assert "from the image" in phone.text("#field-0-range")
    phone.click(*phone.centre("#field-1"))
    phone.write(fsh)
    seen = phone.evaluate("window.seen[window.seen.length - 1]")
    patient = pd.DataFrame({"dl_prob": [p], "fsh": [float(fsh)]})
    assert seen["risk"] == pytest.approx(fit.predict(patient)[0], abs=1e-12)
    assert phone.text("#risk") == f"{100 * fit.predict(patient)[0]:.1f}%"
    assert "frozen cut-off of 40.0%" in phone.text("#cutoff")
    phone.click(*phone.centre("#typical"))
    assert phone.evaluate(f"document.querySelector('{field}').value") == f"{p:.4g}"
    phone.click(*phone.centre(field))
    phone.evaluate(f"document.querySelector('{field}').select()")
    phone.write("0.99999")
    assert "Outside the range" in phone.text("#field-0-warning")
    assert "from the image" not in phone.text("#field-0-range")
    phone.click(*phone.centre("#new"))
    assert phone.evaluate(f"document.querySelector('{field}').value") == ""


def test_the_map_lies_over_the_region_in_even_colours(phone, tmp_path):
    show(phone, picture(tmp_path, 151, width=300, height=300))
    read(phone)
    corner = """(() => {
      const map = document.getElementById("map");
      const copy = Object.assign(document.createElement("canvas"), {
        width: map.width, height: map.height });
      const context = copy.getContext("2d", { willReadFrequently: true });
      context.drawImage(map, 0, 0);
      const at = (x, y) => [...context.getImageData(x, y, 1, 1).data.slice(0, 3)];
      return [at(20, 20), at(map.width - 20, map.height - 20)];
    })()"""
    strongest, nothing = phone.evaluate(corner)
    assert nothing == pytest.approx([151] * 3, abs=3)
    top = np.array([int(colours()[-6 + 2 * i :][:2], 16) for i in range(3)])
    assert strongest == pytest.approx(0.6 * top + 0.4 * 151, abs=8)
    phone.evaluate(
        "(() => { const e = document.getElementById('opacity'); e.value = 0;"
        "e.dispatchEvent(new Event('input')); })()"
    )
    assert phone.evaluate(corner)[0] == pytest.approx([151] * 3, abs=3)
    assert "where the evidence lies" in phone.evaluate(
        "document.getElementById('map').getAttribute('aria-label')"
    )


@pytest.mark.parametrize("content", [b"<svg/>", b"", b"\xff\xd8\xff\xe0broken"])
def test_what_is_no_image_is_said_and_the_page_goes_on(browser, server, tmp_path, content):
    tab = opened(browser, server, **PHONE)
    (tmp_path / "bad.png").write_bytes(content)
    choose(tab, tmp_path / "bad.png")
    tab.wait_for(f"document.getElementById('fault').textContent !== '' && {IDLE}")
    assert tab.text("#fault").endswith(".")
    show(tab, picture(tmp_path, 160))
    assert tab.text("#fault") == ""
    tab.close()


def test_a_large_file_is_refused_before_it_is_sent(phone, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(20_000_001))
    before = len(phone.requests())
    choose(phone, tmp_path / "large.png")
    phone.wait_for("document.getElementById('fault').textContent !== ''")
    assert "20 MB" in phone.text("#fault")
    assert len(phone.requests()) == before


def test_names_that_are_code_stay_inert(browser, fit, tmp_path):
    named = study_model(fit, labels={"dl_prob": HOSTILE, "fsh": HOSTILE}, outcome_label=HOSTILE)
    run = brightness_run(model=named, title=HOSTILE, event=HOSTILE, card={HOSTILE: HOSTILE})
    name = "<img src=x onerror=document.title='owned'>.png"
    with serving(run) as server:
        tab = opened(browser, server, **PHONE)
        show(tab, picture(tmp_path, 132, name))
        read(tab)
        assert tab.evaluate("document.title") == HOSTILE
        assert tab.evaluate("document.querySelectorAll('img').length") == 0
        assert name not in tab.evaluate("document.documentElement.outerHTML")
        assert tab.complaints() == []
        tab.close()


def test_it_works_without_a_nomogram_and_without_a_map(browser, tmp_path):
    class Mapless(type(brightness_run().network)):
        def predict(self, image: Any, *, roi: Any = None) -> Any:
            return replace(super().predict(image, roi=roi), evidence=None)

    with serving(brightness_run(network=Mapless())) as server:
        tab = opened(browser, server, **PHONE)
        assert not tab.evaluate("document.getElementById('form') !== null")
        show(tab, picture(tmp_path, 160))
        read(tab)
        assert tab.text("#blank") == "This network gives no map of its evidence."
        assert tab.complaints() == []
        tab.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen_and_nothing_shifts(browser, server, width):
    tab = opened(browser, server, width=width, height=844, phone=width < 700)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    shift = tab.evaluate(
        "new Promise((done) => { let sum = 0; new PerformanceObserver((list) => {"
        "list.getEntries().forEach((e) => { sum += e.value; }); })"
        ".observe({ type: 'layout-shift', buffered: true }); setTimeout(() => done(sum), 200); })"
    )
    assert shift < 0.01
    tab.close()


def test_everything_that_answers_to_a_finger_has_a_name_and_room(phone, tmp_path):
    show(phone, picture(tmp_path, 160))
    read(phone)
    assert phone.evaluate(TOO_SMALL) == []
    assert phone.evaluate(NAMELESS) == []


def contrast(one: list[float], two: list[float]) -> float:
    def luminance(colour: list[float]) -> float:
        c = np.array(colour[:3]) / 255
        linear = np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, server, scheme, tmp_path):
    tab = opened(browser, server, **PHONE)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.call("Emulation.setEmulatedMedia", features=features)
    show(tab, picture(tmp_path, 132))
    read(tab)
    faint = [
        (text, ratio)
        for text, size, ink, ground in tab.evaluate(TEXTS)
        if (ratio := contrast(ink, ground)) < (2.99 if size >= 24 else 4.5)
    ]
    assert faint == []
    tab.close()
