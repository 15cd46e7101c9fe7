"""Pictures of nomograms: no text is covered or cropped, whatever the model."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.usstats.models import appendicitis, appx_nomogram_fit, birthwt_nomogram_fit
from tests.usstats.plots.drawn_text import assert_readable
from tests.usstats.plots.nomogram_gallery import (
    GALLERY,
    gallery_data,
    gallery_nomogram,
    overlays,
)
from usstats._nomogram.density import axis_density
from usstats.errors import ArgumentError, MissingGlyphWarning, UsstatsWarning
from usstats.nomogram import Nomogram, build_nomogram
from usstats.plots import _fonts
from usstats.plots._labels import roundness, spread, thinned, wrap
from usstats.plots.nomogram import plot_nomogram
from usstats.thresholds import choose_threshold

#: Drawn at every run; the others with the slow tests.
QUICK = (
    "negative slopes",
    "seven knots",
    "long levels",
    "Chinese levels",
    "hostile names",
    "huge effects",
    "factor by factor",
    "two splines, one held",
    "Cox, three times and median",
)


def drawn(name: str, **options: Any) -> Axes:
    """A model of the gallery; characters that no font here has become squares."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingGlyphWarning)
        return gallery_nomogram(name).plot(**{**GALLERY[name].plot, **options})


@pytest.mark.parametrize("name", QUICK)
def test_no_text_is_covered_or_cropped(name: str) -> None:
    ax = drawn(name, width_mm=84, **overlays(name))
    assert ax.figure.get_figwidth() == pytest.approx(84 / 25.4)
    assert_readable(ax, "png")


@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_files_of_other_kinds_are_readable_too(kind: str) -> None:
    for name in ("two factors of six", "long levels"):
        assert_readable(drawn(name, **overlays(name)), kind)


@pytest.mark.slow
@pytest.mark.parametrize("width_mm", [84.0, 174.0])
@pytest.mark.parametrize("name", GALLERY)
def test_the_whole_gallery_is_readable(name: str, width_mm: float) -> None:
    for kind in ("png", "pdf", "svg"):
        assert_readable(drawn(name, width_mm=width_mm, **overlays(name)), kind)
    assert_readable(drawn(name, width_mm=width_mm, labels=GALLERY[name].labels), "png")


def test_the_gallery_holds_sixty_models() -> None:
    assert len(GALLERY) == 60
    assert set(QUICK) <= set(GALLERY)


def test_crowded_text_is_noticed() -> None:
    ax = drawn("one number")
    ax.text(6, 9, "over the points", fontsize=8)
    with pytest.raises(AssertionError, match="covers"):
        assert_readable(ax, "png")
    ax.texts[-1].set_position((-5, -5))
    with pytest.raises(AssertionError, match="is cropped"):
        assert_readable(ax, "png")


def test_the_notes_say_what_was_read() -> None:
    name = "negative slopes"
    ax = drawn(name, **overlays(name))
    note = ax.texts[-1].get_text()
    reading = gallery_nomogram(name).points(**overlays(name)["patient"])
    assert f"{reading.risk:.2f} (95% CI {reading.conf_low:.2f} to " in note
    assert "Cut-off 0.35: beyond the risks points can reach" in note
    assert "Outside development data" not in note


@pytest.mark.parametrize(
    ("lp", "text"),
    [(0.0, "0.50"), (-6.0, "0.002"), (7.5, "0.9994"), (-12.0, "<0.0001"), (20.0, ">0.9999")],
)
def test_small_and_large_risks_are_written_with_enough_digits(lp: float, text: str) -> None:
    from usstats.plots._nomogram_notes import _probability

    assert _probability(1 / (1 + np.exp(-lp))) == text


def test_a_cox_nomogram_shows_every_time_and_the_patients_survival() -> None:
    name = "Cox, three times and median"
    ax = drawn(name, **overlays(name))
    texts = [text.get_text() for text in ax.texts]
    assert {"Survival at 12 months", "Risk of dead by 36 months"} <= set(texts)
    assert "Median time to dead (months)" in texts
    note = " ".join(texts[-1].split())
    assert "survival at 24 months 0." in note
    assert "median time to dead (months) " in note
    assert "risk of dead" not in note
    assert note.endswith("Cut-off 0.35 for the risk by 12 months")


def test_a_value_between_held_ones_is_drawn_hollow_and_said_so() -> None:
    name = "two numbers, one held"
    patient = {"z": -3.0, "pressure": 100.0, "p": 0.3}
    ax = drawn(name, patient=patient)
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1
    assert "pressure lies between those drawn" in " ".join(ax.texts[-1].get_text().split())
    exact = drawn(name, patient={**patient, "pressure": 120.0})
    assert not [line for line in exact.lines if line.get_markerfacecolor() == "white"]


def test_the_frozen_threshold_is_marked_where_its_risk_stands() -> None:
    data = gallery_data()
    nomogram = gallery_nomogram("five knots")
    threshold = choose_threshold(data["y"], nomogram.read(data)["risk"].to_numpy())
    ax = nomogram.plot(cutoff=threshold)
    (mark,) = [line for line in ax.lines if line.get_marker() == "v"]
    totals = ticks_of(ax, "Total points")
    per_point = (totals["100"] - totals["0"]) / 100
    expected = totals["0"] + per_point * float(nomogram.total_of_risk(threshold.value))
    assert float(mark.get_xdata()[0]) == pytest.approx(expected, abs=1e-6)


def test_a_character_without_a_font_is_warned_of_by_name(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(_fonts, "CJK_FONTS", ())
    nomogram = build_nomogram(birthwt_nomogram_fit())
    with pytest.warns(MissingGlyphWarning) as caught:
        ax = nomogram.plot(labels={"age": "年龄（岁）", "race=white": "年"})
    (warning,) = caught
    assert str(warning.message) == (
        "No installed font has 5 characters of the labels (年龄（岁）); they are drawn as empty "
        'squares. Install "Noto Sans CJK SC" (Debian and Ubuntu: fonts-noto-cjk) and start Python '
        "again."
    )
    assert _fonts.NO_GLYPH * 5 in {text.get_text() for text in ax.texts}


@pytest.mark.parametrize(
    ("characters", "font"),
    [
        ("정상", "Noto Sans CJK KR"),
        ("ひ", "Noto Sans CJK JP"),
        ("ꦲ", "Noto Sans font of their script"),
    ],
)
def test_the_font_that_is_advised_suits_the_script(characters: str, font: str) -> None:
    assert font in _fonts.advice(characters)


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
    found = [(x - ruler["0"]) / (ruler["100"] - ruler["0"]) * 100 for x in marks[2:]]
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
    assert_readable(roomy, "png")
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
    assert_readable(ax, "png")


def test_density_follows_the_data() -> None:
    nomogram: Nomogram = build_nomogram(appx_nomogram_fit())
    ax = nomogram.plot(density=appendicitis())
    folded = sum(len(axis.turns) for axis in nomogram.axes)
    assert len(ax.collections) == len(nomogram.axes) + 1 + folded


def test_each_patient_counts_on_the_axis_and_the_stretch_he_is_read_on() -> None:
    data, nomogram = gallery_data(), gallery_nomogram("spline by factor")
    table = axis_density(nomogram, data)
    for axis in nomogram.axes:
        if axis.variable != "z":
            continue
        mine = data.loc[data["six"] == axis.given["six"], "z"].to_numpy()
        points = nomogram.read(data)["z * six"].to_numpy()[data["six"] == axis.given["six"]]
        for run in set(axis.run_of(mine)):
            part = table[(table["term"] == axis.name) & (table["run"] == run)]
            inside = np.clip(points[axis.run_of(mine) == run] / 100, 0, 1)
            assert part["share"].min() <= inside.min() + 1e-9
            assert part["share"].max() >= inside.max() - 1e-9
    assert table["height"].max() == pytest.approx(1)


def test_values_that_patients_share_are_spikes_at_their_ticks() -> None:
    data, nomogram = gallery_data(), gallery_nomogram("six levels")
    table = axis_density(nomogram, data)
    (grade,) = [axis for axis in nomogram.axes if axis.name == "grade"]
    part = table[table["term"] == "grade"]
    assert part["spike"].all()
    np.testing.assert_allclose(np.sort(part["share"]), np.sort(grade.points) / 100, atol=1e-8)
    counts = data["grade"].value_counts().sort_index().to_numpy()
    heights = part.sort_values("share")["height"].to_numpy()
    order = np.argsort(grade.points)
    np.testing.assert_allclose(heights, counts[order] / counts.max())


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


def test_round_numbers_are_labelled_before_others() -> None:
    assert sorted(["0.02", "0.1", "300", "1", "25", "5"], key=roundness)[:2] == ["0.1", "1"]
    placed = thinned([0, 12, 24, 36, 60], ["0.01", "0.02", "0.1", "0.2", "1"], _measure)
    assert [p.text for p in placed] == ["0.01", "0.1", "1"]


def test_a_label_that_must_not_be_cut_gets_narrower_rows_first() -> None:
    texts = [f"characters, more {i}" for i in range(4)]
    placed = spread([10.0, 20.0, 30.0, 60.0], texts, _measure, 0, 125)
    assert {p.text for p in placed} == {f"characters,\nmore {i}" for i in range(4)}
    assert {p.row for p in placed} == {-1, 1}


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("resistive index", 9, ["resistive", "index"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("睾丸体积减小", 4, ["睾丸", "体积", "减小"]),
        ("a b c", 20, ["a b c"]),
        ("直径（毫米）", 11, ["直径（毫", "米）"]),
    ],
)
def test_wrapping_counts_wide_characters_twice(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width).split("\n") == lines
