"""What stands in a ROC plot: artists, not pixels."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from usstats.errors import ArgumentError
from usstats.plots.roc import curve_label, plot_roc
from usstats.plots.style import OKABE_ITO, REFERENCE_GREY
from usstats.results import Estimate
from usstats.roc import partial_auc, roc_curve
from usstats.thresholds import choose_threshold


@pytest.fixture(scope="module")
def curves():
    rng = np.random.default_rng(4)
    y = np.arange(120) % 2
    strong, weak = y * 1.5 + rng.normal(size=120), y * 0.5 + rng.normal(size=120)
    band = {"band": "bootstrap", "n_boot": 40, "seed": 1}
    return {"nomogram": roc_curve(y, strong, **band), "price in $": roc_curve(y, weak.round())}


READERS = pd.DataFrame(
    {
        "label": ["reader 1", "reader 2"],
        "sensitivity": [0.7, 0.8],
        "specificity": [0.9, 0.6],
    }
)


def lines(ax):
    return {artist.get_label(): artist for artist in ax.get_lines()}


def test_lines_are_the_frames_on_one_minus_specificity(curves):
    ax = plot_roc(curves)
    drawn = ax.get_lines()[1:]
    assert len(drawn) == 2
    for line, curve in zip(drawn, curves.values(), strict=True):
        frame = curve.frame()
        assert_allclose(line.get_xdata(), 1 - frame["specificity"])
        assert_allclose(line.get_ydata(), frame["sensitivity"])


def test_the_legend_says_area_and_interval_of_each_model(curves):
    texts = [text.get_text() for text in plot_roc(curves).get_legend().get_texts()]
    area = curves["nomogram"].auc
    assert texts[0] == (
        f"nomogram\nAUC {area.estimate:.2f} ({area.conf_low:.2f}\N{EN DASH}{area.conf_high:.2f})"
    )
    assert texts[1].startswith("price in \\$\nAUC ")
    assert len(texts) == 2


def test_one_curve_needs_no_name(curves):
    curve = curves["nomogram"]
    label = plot_roc(curve).get_lines()[1].get_label()
    assert label == curve_label("", curve.auc)
    assert label.startswith("AUC ")
    assert curve.plot().get_lines()[1].get_label() == label


def test_chance_is_a_grey_diagonal_without_legend_entry(curves):
    chance = plot_roc(curves).get_lines()[0]
    assert (list(chance.get_xdata()), list(chance.get_ydata())) == ([0, 1], [0, 1])
    assert to_hex(chance.get_color()).upper() == REFERENCE_GREY
    assert chance.get_label().startswith("_")


def test_series_differ_without_colour(curves):
    first, second = plot_roc(curves).get_lines()[1:]
    assert first.get_linestyle() != second.get_linestyle()
    assert to_hex(first.get_color()).upper() == OKABE_ITO[0]


def test_several_curves_carry_markers_and_one_does_not(curves):
    drawn = [line for line in plot_roc(curves).lines if line.get_marker() not in ("", "None")]
    assert len({line.get_marker() for line in drawn}) == len(curves) > 1
    name = next(iter(curves))
    assert all(line.get_marker() in ("", "None") for line in plot_roc(curves[name]).lines)


def test_band_is_drawn_where_the_curve_has_one(curves):
    band = plot_roc(curves).collections
    assert len(band) == 1
    frame = curves["nomogram"].frame()
    heights = band[0].get_paths()[0].vertices[:, 1]
    assert_allclose([heights.min(), heights.max()], [frame["conf_low"].min(), 1.0], atol=1e-12)
    assert len(plot_roc(curves, band=False).collections) == 0


def test_both_axes_show_zero_to_one_in_equal_units(curves):
    ax = plot_roc(curves)
    assert ax.get_xlim() == ax.get_ylim() == (-0.02, 1.02)
    assert ax.get_aspect() == 1.0
    assert ax.get_xlabel() == "1 \N{MINUS SIGN} specificity"
    assert ax.get_ylabel() == "Sensitivity"


def test_readers_are_single_points(curves):
    drawn = lines(plot_roc(curves, points=READERS))
    assert_allclose(drawn["reader 1"].get_xydata(), [[0.1, 0.7]])
    assert_allclose(drawn["reader 2"].get_xydata(), [[0.4, 0.8]])
    assert drawn["reader 1"].get_marker() != drawn["reader 2"].get_marker()
    assert drawn["reader 1"].get_linestyle() == "None"


def test_a_group_shares_marker_and_entry_and_is_annotated(curves):
    scale = READERS.assign(group="BI-RADS", label=["4a", "$5"])
    ax = plot_roc(curves, points=scale)
    assert_allclose(lines(ax)["BI-RADS"].get_xydata(), [[0.1, 0.7], [0.4, 0.8]])
    assert [text.get_text() for text in ax.texts] == ["4a", "\\$5"]
    assert [tuple(text.xy) for text in ax.texts] == [(pytest.approx(0.1), 0.7), (0.4, 0.8)]


def test_points_without_their_columns_are_refused(curves):
    with pytest.raises(ArgumentError, match="`points` lacks label, specificity; it has"):
        plot_roc(curves, points=READERS[["sensitivity"]])


def test_a_frozen_threshold_is_one_operating_point(curves):
    rule = choose_threshold([0, 0, 1, 1, 1], [0.1, 0.6, 0.4, 0.7, 0.9], specificity=1)
    drawn = lines(plot_roc(curves, points=rule))["threshold \N{GREATER-THAN OR EQUAL TO} 0.7"]
    assert_allclose(drawn.get_xydata(), [[1 - rule.specificity, rule.sensitivity]])


def area_of(polygon):
    x, y = polygon.get_paths()[0].vertices.T
    return abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))) / 2


@pytest.mark.parametrize(
    "limits", [{"specificity": (0.8, 1.0)}, {"sensitivity": (0.7, 0.95)}, {"specificity": (0, 1)}]
)
def test_the_shaded_part_has_the_partial_area(limits):
    rng = np.random.default_rng(2)
    y = np.arange(60) % 2
    s = (y + rng.normal(size=60)).round(1)
    ax = plot_roc(roc_curve(y, s), **limits)
    assert_allclose(area_of(ax.collections[0]), partial_auc(y, s, **limits).estimate)
    ax.figure.canvas.draw()


def test_each_curve_has_its_part_in_its_own_colour(curves):
    shaded = plot_roc(curves, band=False, specificity=(0.9, 1)).collections
    assert [to_hex(part.get_facecolor()[0][:3]).upper() for part in shaded] == list(OKABE_ITO[:2])
    with pytest.raises(ArgumentError, match="exactly one of"):
        plot_roc(curves, specificity=(0.9, 1), sensitivity=(0.9, 1))
    with pytest.raises(ArgumentError, match="two different limits inside"):
        plot_roc(curves, specificity=(90, 100))


def test_given_axes_are_used_and_settings_left_alone(curves):
    before = dict(mpl.rcParams)
    ax = Figure().add_subplot()
    assert plot_roc(curves, ax) is ax
    assert dict(mpl.rcParams) == before


def test_perfect_and_reversed_scores_are_drawn_as_they_are():
    y = np.repeat([0, 1], 10)
    perfect = plot_roc(roc_curve(y, y)).get_lines()[1]
    assert_allclose(perfect.get_xydata()[::-1], [[0, 0], [0, 1], [1, 1]])
    with pytest.warns(UserWarning, match="below 0.5"):
        against = plot_roc(roc_curve(y, -y)).get_lines()[1]
    assert_allclose(against.get_xydata()[::-1], [[0, 0], [1, 0], [1, 1]])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_every_format_can_be_saved(curves, kind):
    file = io.BytesIO()
    plot_roc(curves, points=READERS).figure.savefig(file, format=kind)
    assert file.tell() > 1000


@pytest.mark.parametrize(
    ("estimate", "shown"), [(0.9949, "0.99"), (0.9950, ">0.99"), (0.9996, ">0.99"), (1.0, "1.00")]
)
def test_an_area_below_one_is_never_shown_as_one(estimate, shown):
    area = Estimate(
        measure="auc",
        estimate=estimate,
        std_error=0.001,
        conf_low=0.98,
        conf_high=1.0,
        conf_level=0.95,
        method="delong",
        n=90,
        n_event=45,
    )
    assert curve_label("", area) == f"AUC {shown} (0.98\N{EN DASH}1.00)"


def test_no_text_is_smaller_than_six_points(curves):
    ax = plot_roc(curves, points=READERS.assign(group="readers"))
    texts = [*ax.get_legend().get_texts(), *ax.get_xticklabels(), *ax.texts, ax.xaxis.label]
    assert min(text.get_fontsize() for text in texts) >= 6
