"""Shared chart style: no global state, nothing carried by colour alone, labels made harmless."""

from __future__ import annotations

import io
import itertools

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from usstats.plots import style


def luminance(colour):
    return sum(
        w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
        for w, c in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True)
    )


def test_series_differ_without_colour():
    styles = [style.series_style(i) for i in range(6)]
    for column in ("linestyle", "marker", "color"):
        assert len({str(one[column]) for one in styles}) == 6


def test_series_repeat_late_and_never_together():
    pairs = [(s["linestyle"], s["marker"]) for s in map(style.series_style, range(42))]
    assert len({str(pair) for pair in pairs}) == 42
    assert style.series_style(8)["color"] == style.OKABE_ITO[0]


def test_line_style_has_no_marker():
    assert "marker" not in style.line_style(3)
    assert style.line_style(3)["color"] == style.series_style(3)["color"]


def test_early_colours_stand_out_on_white_and_from_each_other():
    for colour in style.OKABE_ITO[:4]:
        assert 1.05 / (luminance(colour) + 0.05) >= 3.0
    for one, other in itertools.combinations(style.OKABE_ITO, 2):
        assert max(abs(a - b) for a, b in zip(to_rgb(one), to_rgb(other), strict=True)) > 0.15


def test_settings_return_even_after_an_error():
    before = dict(mpl.rcParams)
    with style.journal_style(font_size=9):
        assert mpl.rcParams["font.size"] == 9
        assert (mpl.rcParams["pdf.fonttype"], mpl.rcParams["svg.fonttype"]) == (42, "none")
    with pytest.raises(ZeroDivisionError), style.journal_style():
        raise ZeroDivisionError
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("font_size", [5, 6, 8, 12])
def test_small_type_stays_legible(font_size):
    with style.journal_style(font_size=font_size):
        assert min(mpl.rcParams[f"{k}tick.labelsize"] for k in "xy") >= 6
        assert mpl.rcParams["legend.fontsize"] >= 6


def test_fonts_are_installed_ones():
    with style.journal_style():
        families = mpl.rcParams["font.sans-serif"]
    assert families[-1] == "DejaVu Sans"
    assert set(families) <= {font.name for font in mpl.font_manager.fontManager.ttflist}


def test_new_axes_has_the_width_of_a_column_and_pyplot_does_not_know_it():
    import matplotlib.pyplot as plt

    known = plt.get_fignums()
    ax = style.new_axes()
    assert tuple(ax.figure.get_size_inches() * 25.4) == pytest.approx((84, 84))
    tall = style.new_axes(width_mm=170, height_mm=60)
    assert tuple(tall.figure.get_size_inches() * 25.4) == pytest.approx((170, 60))
    assert plt.get_fignums() == known
    assert style.new_axes(ax) is ax


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nomogram", "nomogram"),
        ("$\\frac{1}{0}$", "\\$\\frac{1}{0}\\$"),
        ("already \\$ safe", "already \\$ safe"),
        ("_hidden", " _hidden"),
        ("two\nlines\tand  gaps", "two lines and gaps"),
        ("bell\x07", "bell\N{REPLACEMENT CHARACTER}"),
        ("a\u202eb", "ab"),
        ("lone \ud800", "lone \N{REPLACEMENT CHARACTER}"),
        ("", " "),
        ("   ", " "),
        (None, "None"),
        (3.5, "3.5"),
    ],
)
def test_plain_text(text, shown):
    assert style.plain(text) == shown


def test_long_text_is_wrapped_and_cut():
    wrapped = style.plain("serum follicle-stimulating hormone before surgery", width=20)
    assert max(map(len, wrapped.split("\n"))) <= 20
    cut = style.plain("x" * 500, width=50, longest=100).replace("\n", "")
    assert len(cut) == 100
    assert cut.endswith("\N{HORIZONTAL ELLIPSIS}")


def drawn(label):
    figure = Figure(figsize=(2, 2))
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    ax.plot([0, 1], label=label)
    legend = ax.legend()
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return [text.get_text() for text in legend.get_texts()]


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet="$\\{}^_%&#~ab \n\t\u202e", min_size=1, max_size=30))
def test_any_label_can_be_drawn_and_is_shown(text):
    assert drawn(style.plain(text)) == [style.plain(text)]
