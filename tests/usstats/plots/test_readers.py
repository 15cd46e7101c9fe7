"""What stands in the charts of readers: artists, not pixels."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation
from numpy.testing import assert_allclose

from usstats.errors import ArgumentError
from usstats.plots.readers import plot_reader_change, plot_reader_points
from usstats.plots.style import MARKERS, OKABE_ITO, new_axes
from usstats.readers import reader_study
from usstats.roc import roc_curve

POINTS = pd.DataFrame(
    {
        "reader": ["A", "B", "C"] * 2,
        "condition": ["aided"] * 3 + ["unaided"] * 3,
        "group": ["expert", "junior", "junior"] * 2,
        "sensitivity": [0.9, 0.8, 0.8, 0.9, 0.6, 0.7],
        "specificity": [0.9, 0.8, 0.85, 0.8, 0.7, 0.6],
    }
)
FIGURES = pd.DataFrame(
    {
        "measure": ["auc"] * 6 + ["reader_averaged_auc"] * 2,
        "reader": ["A", "B", "C"] * 2 + [None, None],
        "condition": ["aided"] * 3 + ["unaided"] * 3 + ["aided", "unaided"],
        "estimate": [0.9, 0.8, 0.85, 0.92, 0.6, 0.7, 0.85, 0.74],
        "conf_low": [np.nan] * 6 + [0.8, 0.7],
        "conf_high": [np.nan] * 6 + [0.9, 0.8],
    }
)


@pytest.fixture(scope="module")
def curve():
    rng = np.random.default_rng(4)
    y = np.arange(80) % 2
    return roc_curve(y, y * 1.5 + rng.normal(size=80), band="bootstrap", n_boot=40, seed=1)


def spots(ax):
    """(marker, face) -> points, in the order drawn."""
    found = {}
    for line in ax.get_lines():
        if line.get_linestyle() == "None":
            key = (line.get_marker(), to_hex(line.get_markerfacecolor()), line.get_markersize())
            found.setdefault(key, []).append(np.transpose(line.get_data()))
    return found


def test_points_are_open_without_and_filled_with_the_aid(curve):
    ax = plot_reader_points(POINTS, curve={"network": curve})
    drawn = spots(ax)
    junior = POINTS[(POINTS["group"] == "junior") & (POINTS["condition"] == "aided")]
    expected = np.column_stack([1 - junior["specificity"], junior["sensitivity"]])
    assert_allclose(drawn[MARKERS[1], OKABE_ITO[2].lower(), 3.2][0], expected)
    mean = drawn[MARKERS[1], OKABE_ITO[2].lower(), 7][0]
    assert_allclose(mean, [expected.mean(axis=0)])
    faces = {face for _, face, _ in drawn}
    assert "#ffffff" in faces
    assert len(ax.collections) == 1  # the band


def test_arrows_lead_from_unaided_to_aided():
    arrows = [c for c in plot_reader_points(POINTS).texts if isinstance(c, Annotation)]
    ends = {tuple(np.round([*a.xyann, *a.xy], 6)) for a in arrows}
    assert (0.3, 0.6, 0.2, 0.8) in {tuple(map(float, e)) for e in ends}
    assert len(arrows) == 4  # three readers and the mean of the juniors
    swapped = plot_reader_points(POINTS, conditions=["aided", "unaided"])
    assert (0.2, 0.8, 0.3, 0.6) in {
        tuple(float(round(v, 6)) for v in (*a.xyann, *a.xy)) for a in swapped.texts
    }


def test_the_legend_names_curve_groups_and_conditions(curve):
    ax = plot_reader_points(POINTS, curve={"network": curve})
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0].startswith("network\nAUC 0.")
    assert texts[1:] == ["expert (1)", "junior (2)", "unaided", "aided", "mean (large)"]
    plain = plot_reader_points(POINTS.drop(columns="group").query("condition == 'aided'"))
    assert [t.get_text() for t in plain.get_legend().get_texts()] == ["aided", "mean (large)"]


def test_rows_are_readers_by_their_unaided_figure():
    ax = plot_reader_change(FIGURES)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["B", "C", "A", "average"]
    lines = [line for line in ax.get_lines() if line.get_linestyle() != "None"]
    assert_allclose(lines[0].get_xdata(), [0.6, 0.8])
    dashed = [line.get_linestyle() == "--" for line in lines[:3]]
    assert dashed == [False, False, True]  # A does worse with the aid
    intervals = [line.get_xdata().tolist() for line in lines if line.get_color() == "#404040"]
    assert intervals == [[0.7, 0.8], [0.8, 0.9]]
    assert ax.get_xlabel() == "AUC"


def test_groups_stay_together():
    frame = FIGURES.assign(group=["x", "y", "x"] * 2 + [None, None])
    ax = plot_reader_change(frame)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["C", "A", "B", "average"]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["x (2)", "y (1)", "unaided", "aided", "lower aided"]


def test_three_conditions_have_markers_of_their_own():
    third = FIGURES.assign(condition="third").dropna(subset="reader").head(3)
    ax = plot_reader_change(pd.concat([FIGURES, third]))
    markers = {marker for marker, *_ in spots(ax)}
    assert set(MARKERS[:3]) <= markers
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["unaided", "aided", "third"]


def test_a_study_draws_itself_and_hostile_names_do_no_harm():
    rng = np.random.default_rng(1)
    names = ["$\\frac{1}{", "_b", "x" * 90]
    grid = pd.MultiIndex.from_product(
        [range(30), names, ["a $1", "b $2"]], names=["case", "reader", "condition"]
    ).to_frame(index=False)
    grid["truth"] = grid["case"] % 2
    grid["rating"] = grid["truth"] + rng.normal(size=len(grid))
    columns = {name: name for name in ("truth", "case", "reader", "condition", "rating")}
    before = dict(mpl.rcParams)
    ax = reader_study(grid, **columns).plot()
    ax.figure.savefig(io.BytesIO())
    assert dict(mpl.rcParams) == before
    given = new_axes()
    assert reader_study(grid, **columns).plot(given) is given


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_reader_points(POINTS.drop(columns="reader")), "lacks the columns reader"),
        (lambda: plot_reader_points(POINTS.head(0)), "has no rows"),
        (lambda: plot_reader_points(POINTS, conditions=["x"]), "must be out of"),
        (lambda: plot_reader_change(FIGURES.tail(2)), "no reader's figure"),
        (
            lambda: plot_reader_points(pd.concat([POINTS, POINTS.assign(condition="c")])),
            "one or two conditions",
        ),
    ],
)
def test_bad_tables_are_refused(draw, words):
    with pytest.raises(ArgumentError, match=words):
        draw()
