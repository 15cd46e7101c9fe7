"""Pictures of nomograms: no text is covered or cropped, whatever the model."""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tests.usstats.models import appendicitis, appx_nomogram_fit, birthwt_nomogram_fit
from usstats.errors import ArgumentError, UsstatsWarning
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import Nomogram, build_nomogram
from usstats.plots._labels import monotone_runs, spread, thinned, wrap
from usstats.plots.nomogram import plot_nomogram

LONG = "a label of forty characters, more or less"


def gallery_data(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    data = pd.DataFrame(
        {
            "z": rng.normal(size=n) - 3,
            "p": rng.beta(0.7, 0.7, n).clip(0.001, 0.999),
            "pressure": rng.uniform(40, 200, n).round(),
            "fsh": np.exp(rng.normal(scale=1.5, size=n)),
            "six": rng.choice(["I", "II", "III", "IV", "V", "VI"], n),
            "long": rng.choice([f"{LONG} {i}" for i in range(6)], n),
            "cjk": rng.choice(["睾丸体积减小", "正常", "附睾增大伴回声不均匀且血流信号增多"], n),
            "flag": rng.random(n) < 0.5,
            "grade": rng.integers(1, 8, n),
        }
    )
    wave = 3 * np.sin(data["z"] * 1.7) + 0.01 * (data["pressure"] - 120)
    lp = wave - 0.5 * data["z"] + 2 * data["p"] + 0.3 * data["grade"] + 1.0 * data["flag"] - 3
    return data.assign(y=(rng.random(n) < 1 / (1 + np.exp(-lp))).astype(int))


FORMULAS = {
    "negative": "y ~ z + p + pressure",
    "turning": "y ~ rcs(z, 5) + rcs(pressure, 4)",
    "transforms": "y ~ log(fsh) + logit(p) + rcs(pressure, 3)",
    "six levels": "y ~ six + grade + flag",
    "long labels": "y ~ long + p + z",
    "characters": "y ~ cjk + pressure",
    "interaction": "y ~ rcs(z, 4)*six + p",
    "crossed factors": "y ~ six*flag + long",
    "numbers as factor": "y ~ C(grade)*flag + pressure",
}
LABELS = {
    "z": "Epididymal head diameter on the side of the lesion, standardised (SD)",
    "pressure": "收缩压 (mmHg)",
    "y": "non-obstructive azoospermia with $ and _underscores_",
}


@cache
def gallery_fit(name: str) -> LogisticFit:
    return fit_logistic(FORMULAS[name], gallery_data())


def text_boxes(ax: Axes) -> list[tuple[str, Bbox]]:
    ax.figure.canvas.draw()
    shown = [text for text in ax.texts if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in shown]


def assert_readable(ax: Axes) -> None:
    """No text covers another, none leaves the figure."""
    boxes, page = text_boxes(ax), ax.figure.bbox
    for text, box in boxes:
        assert box.x0 >= page.x0, f"{text!r} is cropped on the left"
        assert box.x1 <= page.x1, f"{text!r} is cropped on the right"
        assert box.y0 >= page.y0, f"{text!r} is cropped below"
        assert box.y1 <= page.y1, f"{text!r} is cropped above"
    for (a, first), (b, second) in combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 0 or high <= 0, f"{a!r} covers {b!r}"


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("width_mm", [84.0, 174.0])
def test_no_text_is_covered_or_cropped(name: str, width_mm: float) -> None:
    nomogram = build_nomogram(gallery_fit(name))
    ax = plot_nomogram(nomogram, width_mm=width_mm, labels=LABELS, show_lp=True)
    assert ax.figure.get_figwidth() == pytest.approx(width_mm / 25.4)
    assert_readable(ax)


@pytest.mark.parametrize("name", ["turning", "six levels", "interaction", "characters"])
def test_overlays_keep_the_text_readable(name: str) -> None:
    nomogram, data = build_nomogram(gallery_fit(name)), gallery_data()
    patient = data.iloc[3][list(nomogram.spec.variables)].to_dict()
    ax = plot_nomogram(
        nomogram, patient=patient, cutoff=0.35, density=data, labels=LABELS, width_mm=84
    )
    assert_readable(ax)
    note = ax.texts[-1].get_text()
    risk = float(gallery_fit(name).predict(data.iloc[[3]])[0])
    assert f"{risk:.2f}" in note
    assert "Cut-off 0.35" in note


def ticks_of(ax: Axes, name: str) -> dict[str, float]:
    """Label -> horizontal position, of the row that bears a name."""
    texts = ax.texts
    start = next(i for i, text in enumerate(texts) if text.get_text() == name)
    rest = texts[start + 1 :]
    stop = next((i for i, text in enumerate(rest) if text.get_ha() == "left"), len(rest))
    return {text.get_text(): text.get_position()[0] for text in rest[:stop]}


def test_labels_stand_at_the_points_of_their_values() -> None:
    nomogram = build_nomogram(appx_nomogram_fit())
    ax = nomogram.plot()
    ruler = ticks_of(ax, "Points")
    per_point = (ruler["100"] - ruler["0"]) / 100
    age = next(axis for axis in nomogram.axes if axis.name == "age")
    shown = ticks_of(ax, "age")
    assert len(shown) >= 4
    for label, x in shown.items():
        points = age.points[age.labels.index(label)]
        assert x == pytest.approx(ruler["0"] + per_point * points, abs=1e-6)
    totals, risks = ticks_of(ax, "Total points"), ticks_of(ax, "Risk of appendicitis")
    per_total = (totals["200"] - totals["0"]) / 200
    for label, x in risks.items():
        total = float(nomogram.total_of_risk(float(label)))
        assert x == pytest.approx(totals["0"] + per_total * total, abs=1e-6)


def test_a_patient_is_marked_where_the_reading_says() -> None:
    nomogram = build_nomogram(appx_nomogram_fit())
    patient = {"age": 11.0, "wbc": 9.0, "crp": 30.0, "sex": "male", "perit": "no"}
    ax = nomogram.plot(patient=patient)
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    ruler = ticks_of(ax, "Points")
    reading = nomogram.points(**patient)
    found = [(x - ruler["0"]) / (ruler["100"] - ruler["0"]) * 100 for x in marks[:5]]
    np.testing.assert_allclose(found, list(reading.points.values()), atol=1e-6)


def test_every_level_is_labelled_and_the_ruler_stands_on_top() -> None:
    ax = plot_nomogram(build_nomogram(birthwt_nomogram_fit()), width_mm=84)
    texts = [text.get_text() for text in ax.texts]
    assert texts[0] == "Points"
    assert {"white", "black", "other", "no", "yes"} <= set(texts)
    assert texts.index("age") < texts.index("Total points") < texts.index("Risk of low")


def test_global_settings_are_left_alone() -> None:
    before = dict(mpl.rcParams)
    plot_nomogram(build_nomogram(birthwt_nomogram_fit()))
    assert dict(mpl.rcParams) == before


def test_given_axes_are_used_and_warned_of_when_too_low() -> None:
    nomogram = build_nomogram(birthwt_nomogram_fit())
    roomy = Figure(figsize=(7, 6)).add_subplot()
    assert plot_nomogram(nomogram, roomy) is roomy
    assert_readable(roomy)
    low = Figure(figsize=(7, 1)).add_subplot()
    with pytest.warns(UsstatsWarning, match="mm high and the nomogram needs"):
        plot_nomogram(nomogram, low)


def test_options_are_checked() -> None:
    nomogram = build_nomogram(birthwt_nomogram_fit())
    with pytest.raises(ArgumentError, match="`cutoff` must lie strictly between 0 and 1"):
        nomogram.plot(cutoff=1.0)
    with pytest.raises(ArgumentError, match="A reading needs"):
        nomogram.plot(patient={"age": 3})


def test_hostile_labels_are_drawn_as_text() -> None:
    nomogram = build_nomogram(appx_nomogram_fit())
    ax = nomogram.plot(labels={"age": r"$\frac{1}{0}$", "wbc": "\x00 a\u202eb", "crp": "_x" * 60})
    ax.figure.canvas.draw()
    assert_readable(ax)


def test_density_follows_the_data() -> None:
    nomogram: Nomogram = build_nomogram(appx_nomogram_fit())
    ax = nomogram.plot(density=appendicitis())
    assert len(ax.collections) == 6


def _measure(text: str) -> tuple[float, float]:
    lines = text.split("\n")
    return 5.0 * max(len(line) for line in lines), 8.0 * len(lines)


def test_labels_of_levels_never_overlap_and_all_stay() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        n = int(rng.integers(2, 9))
        ticks = list(rng.uniform(100, 300, n))
        texts = ["x" * int(rng.integers(1, 12)) for _ in range(n)]
        placed = spread(ticks, texts, _measure, 80, 320)
        assert sorted(p.tick for p in placed) == sorted(ticks)
        for row in {p.row for p in placed}:
            boxes = sorted(
                (p.centre - _measure(p.text)[0] / 2, p.centre + _measure(p.text)[0] / 2)
                for p in placed
                if p.row == row
            )
            assert all(b[0] - a[1] > -1e-9 for a, b in pairwise(boxes))
            assert boxes[0][0] >= 80 - 1e-9
            assert boxes[-1][1] <= 320 + 1e-9


def test_numbers_are_thinned_evenly_or_by_what_fits() -> None:
    even = thinned([0, 10, 20, 30, 40], ["00", "11", "22", "33", "44"], _measure)
    assert [p.text for p in even] == ["00", "22", "44"]
    crowded = thinned([0, 1, 2, 50, 51], ["a", "b", "c", "d", "e"], _measure)
    assert [p.text for p in crowded] == ["a", "e"]
    backwards = thinned([40, 20, 0], ["4", "2", "0"], _measure)
    assert [p.text for p in backwards] == ["4", "2", "0"]


def test_axes_that_turn_back_are_split_at_the_turn() -> None:
    assert monotone_runs([0, 3, 5, 4, 1, 2]) == [[0, 1, 2], [3, 4], [5]]
    assert monotone_runs([5, 3, 1]) == [[0, 1, 2]]
    assert monotone_runs([2, 2, 1]) == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("resistive index", 9, ["resistive", "index"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("睾丸体积减小", 4, ["睾丸", "体积", "减小"]),
        ("a b c", 20, ["a b c"]),
    ],
)
def test_wrapping_counts_wide_characters_twice(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width).split("\n") == lines
