"""Figures have the width, fonts and bytes a journal can rely on."""

from __future__ import annotations

import re

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reports.figures import FIGURE_PRESETS, FigurePreset, figure_preset, letter_panels, save_figure
from reports.files import sha256_file
from usstats.errors import ArgumentError


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
