"""Figures have the width, fonts and bytes a journal can rely on."""

from __future__ import annotations

import re
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reports.figures import FIGURE_PRESETS, FigurePreset, figure_preset, letter_panels, save_figure
from reports.files import sha256_file
from reports.panels import flow_diagram
from usstats.agreement import bland_altman
from usstats.errors import ArgumentError, MissingGlyphWarning, SchemaError
from usstats.plots.multiclass import plot_confusion
from usstats.plots.readers import plot_reader_change


def drawn(size: float = 8) -> Figure:
    figure = Figure(figsize=(3.3, 3.0))
    ax = figure.add_axes((0.2, 0.2, 0.7, 0.7))
    ax.plot([0, 1], [0, 1], label="a")
    ax.fill_between([0, 1], [0, 0.5], [0.2, 1], alpha=0.3)
    ax.set_xlabel("1 − specificity", fontsize=size)
    return figure


@pytest.mark.parametrize("preset", sorted(FIGURE_PRESETS))
@pytest.mark.parametrize("width", ["single", "double"])
def test_every_format_has_the_exact_width(tmp_path, preset, width):
    wanted = figure_preset(preset).width_mm(width)
    files = save_figure(drawn(), tmp_path, "roc", preset, width=width, kind="halftone")
    svg = re.search(r'<svg[^>]* width="([\d.]+)pt"', files["svg"].read_text("utf-8"))
    pdf = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", files["pdf"].read_bytes())
    with Image.open(files["png"]) as image:
        raster = image.width / files.dpi * 25.4
    for found in (float(svg[1]) / 72 * 25.4, float(pdf[1]) / 72 * 25.4, raster, files.width_mm):
        assert found == pytest.approx(wanted, abs=0.2)


def test_two_runs_write_the_same_bytes(tmp_path):
    formats = ("pdf", "svg", "png", "tiff")
    one = save_figure(drawn(), tmp_path / "a", "roc", kind="halftone", formats=formats)
    two = save_figure(drawn(), tmp_path / "b", "roc", kind="halftone", formats=formats)
    assert [sha256_file(path) for path in one] == [sha256_file(path) for path in two]


def test_fonts_stay_fonts_and_the_record_says_which(tmp_path):
    files = save_figure(drawn(), tmp_path, "roc", kind="halftone")
    pdf = files["pdf"].read_bytes()
    assert b"/Type3" not in pdf
    assert files.fonts
    assert all(font.encode() in pdf for font in files.fonts)
    svg = files["svg"].read_text("utf-8")
    assert ">1 − specificity</text>" in svg
    assert files.record()["fonts"] == list(files.fonts)
    assert "font-family: 'Arial', 'Helvetica'" in svg


def test_no_day_and_no_program_in_the_metadata(tmp_path):
    files = save_figure(drawn(), tmp_path, "roc", kind="halftone")
    for path in files:
        content = path.read_bytes()
        assert b"CreationDate" not in content
        assert b"atplotlib v" not in content
        assert b"dc:date" not in content


def test_small_text_is_refused_by_name(tmp_path):
    with pytest.raises(
        ArgumentError, match=r"smaller than 6 pt \(first: '1 − specificity', 5 pt\)"
    ):
        save_figure(drawn(size=5), tmp_path, "roc")
    assert not list(tmp_path.iterdir())


def test_the_figure_and_the_settings_are_left_as_they_were(tmp_path):
    figure, before = drawn(), dict(mpl.rcParams)
    size = figure.get_size_inches().copy()
    save_figure(figure, tmp_path, "roc", width="double", kind="halftone")
    assert (figure.get_size_inches() == size).all()
    assert dict(mpl.rcParams) == before


def test_tiff_is_flat_rgb(tmp_path):
    files = save_figure(drawn(), tmp_path, "roc", kind="halftone", formats=("tiff",))
    with Image.open(files["tiff"]) as image:
        assert image.mode == "RGB"
        assert image.info["compression"] == "tiff_lzw"
        assert image.info["dpi"] == (300, 300)


def test_presets_carry_their_source_and_can_be_ones_own(tmp_path):
    assert all(preset.source and preset.date for preset in FIGURE_PRESETS.values())
    own = FigurePreset(
        name="own",
        width_single_mm=80,
        width_double_mm=160,
        dpi_line=100,
        dpi_combination=100,
        dpi_halftone=100,
        source="a journal",
        date="2026",
    )
    assert save_figure(drawn(), tmp_path, "x", own).width_mm == pytest.approx(80)
    assert save_figure(drawn(), tmp_path, "x", own, width=123.4).width_mm == pytest.approx(123.4)
    with pytest.raises(ArgumentError, match="`preset` must be one of"):
        figure_preset("nature")


def test_panels_are_lettered_in_the_presets_case():
    figure = Figure()
    axes = figure.subplots(1, 2)
    letter_panels(axes, "springer")
    letter_panels(axes, "radiology")
    assert [text.get_text() for ax in axes for text in ax.texts] == ["a", "A", "b", "B"]
    assert {text.get_fontweight() for ax in axes for text in ax.texts} == {"bold"}
    many = Figure().subplots(4, 7).ravel()
    letter_panels(many)
    assert [many[i].texts[0].get_text() for i in (25, 26, 27)] == ["z", "aa", "ab"]


def test_axes_stand_for_their_figure(tmp_path):
    figure = drawn()
    one = save_figure(figure, tmp_path / "a", "roc", kind="halftone", formats=("png",))
    two = save_figure(figure.axes[0], tmp_path / "b", "roc", kind="halftone", formats=("png",))
    assert sha256_file(one["png"]) == sha256_file(two["png"])
    with pytest.raises(ArgumentError, match="must be a matplotlib Figure or Axes; got str"):
        save_figure("roc", tmp_path, "roc")


def test_a_preset_is_read_from_a_file_of_ones_own(tmp_path):
    path = tmp_path / "own.yaml"
    text = (
        "name: own\nwidth_single_mm: 80\nwidth_double_mm: 160\ndpi_line: 600\n"
        "dpi_combination: 300\ndpi_halftone: 300\nsource: a journal\ndate: '2026-11'\n"
        "fonts: [Times New Roman]\n"
    )
    path.write_text(text, "utf-8")
    preset = FigurePreset.from_file(path)
    assert (preset.width_mm("double"), preset.dpi("line")) == (160, 600)
    assert preset.fonts == ("Times New Roman",)
    path.write_text(text.replace("source: a journal\n", ""), "utf-8")
    with pytest.raises(SchemaError, match=r"own\.yaml is no figure preset; it needs date, dpi_com"):
        FigurePreset.from_file(path)
    path.write_text(text + "colour: red\n", "utf-8")
    with pytest.raises(SchemaError, match="is no figure preset"):
        FigurePreset.from_file(path)


def test_widths_nobody_verified_say_so():
    unsure = {name for name, preset in FIGURE_PRESETS.items() if not preset.verified}
    assert unsure == {"lancet", "jama", "radiology"}
    assert all(re.fullmatch(r"20\d\d-\d\d", preset.date) for preset in FIGURE_PRESETS.values())


def charts() -> dict[str, Callable[[], Figure]]:
    """A picture of every kind the report may hold, drawn small."""
    rng = np.random.default_rng(0)
    flow = pd.DataFrame(
        {
            "cohort": "development",
            "step": ["enrolled", "excluded", "analysed"],
            "reason": ["", "no lesion", ""],
            "n_patients": [256, 4, 252],
            "n_images": [266, 4, 262],
            "n_event": [98, 0, 98],
        }
    )
    x = rng.normal(20, 4, 30)
    classes = pd.DataFrame(rng.integers(1, 40, (3, 3)), index=list("abc"), columns=list("abc"))
    readers = pd.DataFrame(
        {
            "measure": "auc",
            "reader": ["A", "A", "B", "B"],
            "condition": ["unaided", "aided"] * 2,
            "estimate": [0.7, 0.8, 0.75, 0.74],
        }
    )
    return {
        "flow": lambda: flow_diagram(flow),
        "confusion": lambda: plot_confusion(classes),
        "readers": lambda: plot_reader_change(readers),
        "agreement": lambda: bland_altman(x, x + rng.normal(0.5, 1, 30)).plot(),
    }


@pytest.mark.parametrize("name", sorted(charts()))
def test_every_chart_is_saved_by_the_same_function(tmp_path, name):
    """Two drawings of the same data are the same files, in every format, without Type 3 fonts."""
    formats = ("pdf", "svg", "png", "tiff")
    width = "double" if name == "flow" else "single"
    one, two = (
        save_figure(
            charts()[name](),
            tmp_path / folder,
            name,
            "european_radiology",
            width=width,
            kind="halftone",
            formats=formats,
        )
        for folder in "ab"
    )
    assert [sha256_file(path) for path in one] == [sha256_file(path) for path in two]
    pdf = one["pdf"].read_bytes()
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    for kind in ("png", "tiff"):
        with Image.open(one[kind]) as image:
            assert image.width / one.dpi * 25.4 == pytest.approx(one.width_mm, abs=0.2)
    assert "DejaVuSans" not in one.fonts or "LiberationSans" not in one.fonts


def test_characters_without_a_font_are_named_once_and_kept_in_the_svg(tmp_path):
    figure = drawn()
    figure.axes[0].set_title("\U00012000 and \U00012000")
    with pytest.warns(MissingGlyphWarning, match="1 character of the labels") as warned:
        files = save_figure(figure, tmp_path, "cuneiform")
    assert len(warned) == 1
    assert "\U00012000" in files["svg"].read_text("utf-8")
