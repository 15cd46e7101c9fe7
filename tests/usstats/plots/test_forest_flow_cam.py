"""What forest plots, flow diagrams and Grad-CAM panels draw, read from their artists."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from usstats.delong import compare_auc
from usstats.errors import ArgumentError
from usstats.plots.cam import CamPanel, plot_cam_panels, plot_randomisation
from usstats.plots.flow import plot_flow
from usstats.plots.forest import plot_forest
from usstats.roc import auc


def ratios() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": ["age", "$fsh_x$", "rare"],
            "estimate": [2.0, 0.5, np.nan],
            "conf_low": [1.1, 0.2, np.nan],
            "conf_high": [3.6, 1.3, np.nan],
        }
    )


def flow() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cohort": ["development"] * 4 + ["external"] * 2,
            "step": ["enrolled", "excluded", "excluded", "analysed", "enrolled", "analysed"],
            "reason": ["", "no lesion", "no histology", "", "", ""],
            "n_patients": [256, 4, 2, 250, 100, 100],
            "n_images": [266, 4, 3, 259, 120, 120],
            "n_event": [98, 0, 1, 97, 40, 40],
        }
    )


def test_a_forest_draws_each_interval_where_it_lies():
    ax = plot_forest(ratios(), texts=["a", "b", "c"])
    drawn = {
        int(line.get_ydata()[0]): tuple(line.get_xdata())
        for line in ax.lines
        if len(line.get_xdata()) == 2 and len(set(line.get_ydata())) == 1
    }
    assert drawn == {0: (1.1, 3.6), 1: (0.2, 1.3)}
    squares = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "s"]
    assert squares == [2.0, 0.5]
    assert [text.get_text() for text in ax.texts] == ["not estimable", "a", "b", "c"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["age", r"\$fsh_x\$", "rare"]


def test_a_forest_of_differences_is_linear_with_its_own_reference():
    rng = np.random.default_rng(1)
    y = np.arange(80) % 2
    risks = {name: y + rng.normal(size=80) for name in ("a", "b", "$c")}
    frame = compare_auc(y, risks).frame()
    ax = plot_forest(frame, scale="linear", reference=0.0, xlabel="Difference of AUCs")
    assert ax.get_xscale() == "linear"
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [
        "a \N{MINUS SIGN} b",
        "a \N{MINUS SIGN} \\$c",
        "b \N{MINUS SIGN} \\$c",
    ]
    assert list(ax.lines[0].get_xdata()) == [0.0, 0.0]
    low, high = ax.get_xlim()
    assert low < min(frame["conf_low"].min(), 0)
    assert high > frame["conf_high"].max()
    assert not {"<", ">"} & {line.get_marker() for line in ax.lines}
    ax.figure.canvas.draw()
    assert len(ax.get_xticks()) <= 8


def test_a_forest_of_areas_needs_no_reference():
    y = np.arange(40) % 2
    frame = auc(y, y + 0.9 * np.sin(np.arange(40))).frame().assign(model="nomogram")
    ax = plot_forest(frame, scale="linear")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["nomogram"]
    assert all(len(set(line.get_xdata())) == len(line.get_xdata()) for line in ax.lines)
    empty = frame.assign(estimate=np.nan, conf_low=np.nan, conf_high=np.nan)
    assert plot_forest(empty, scale="linear").texts[0].get_text() == "not estimable"


def test_the_first_row_of_a_forest_is_on_top():
    ax = plot_forest(ratios())
    bottom, top = ax.get_ylim()
    assert bottom > top
    ax.figure.canvas.draw()


def test_an_endless_interval_ends_in_an_arrow_on_the_axis():
    frame = pd.DataFrame(
        {"term": ["a"], "estimate": [3.0], "conf_low": [1e-12], "conf_high": [np.inf]}
    )
    ax = plot_forest(frame)
    low, high = ax.get_xlim()
    markers = {line.get_marker(): line.get_xdata()[0] for line in ax.lines}
    assert markers["<"] == low
    assert markers[">"] == high
    assert low > 1e-6


@pytest.mark.parametrize("span", [(0.9, 1.1), (0.01, 300.0), (1e-3, 1e3), (0.5, 4.0)])
def test_a_forests_ticks_are_few_plain_and_hold_one(span):
    frame = pd.DataFrame(
        {"term": ["a"], "estimate": [1.0], "conf_low": [span[0]], "conf_high": [span[1]]}
    )
    ax = plot_forest(frame)
    ticks = list(ax.get_xticks())
    assert 1 <= len(ticks) <= 7
    assert 1.0 in ticks
    assert all("e" not in label.get_text() for label in ax.get_xticklabels())


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"estimate": [-0.7, 0.5, 1.0]}, {}, "Ratios must be positive; got -0.7"),
        ({}, {"texts": ["a"]}, "`texts` has 1 entries for 3 rows"),
        ({}, {"labels": ["a"]}, "`labels` has 1 entries for 3 rows"),
        ({}, {"scale": "sqrt"}, "`scale` must be one of 'log', 'linear'"),
        ({}, {"reference": 0.0}, "`reference` must be a number on the log axis; got 0.0"),
        ({}, {"reference": "1"}, "`reference` must be a number on the log axis; got '1'"),
    ],
)
def test_a_forest_refuses_what_it_cannot_draw(change, options, message):
    with pytest.raises(ArgumentError, match=message):
        plot_forest(ratios().assign(**change), **options)


def test_a_forest_needs_intervals_rows_and_names():
    with pytest.raises(ArgumentError, match="lacks the columns conf_high"):
        plot_forest(ratios().drop(columns="conf_high"))
    with pytest.raises(ArgumentError, match="has no rows"):
        plot_forest(ratios().iloc[:0])
    with pytest.raises(ArgumentError, match="needs `labels`"):
        plot_forest(ratios().drop(columns="term"))


def test_a_flow_has_a_box_for_each_row_and_says_its_counts():
    figure = plot_flow(flow(), labels={"external": "Centre 2"}, event="with NOA")
    boxes = [sum(isinstance(p, Rectangle) for p in ax.patches) for ax in figure.axes]
    assert boxes == [4, 2]
    texts = [text.get_text() for ax in figure.axes for text in ax.texts if text.get_text()]
    assert "Excluded: no\nhistology\n2 patients\n1 with NOA\n3 images" in texts
    assert "Analysed\n250 patients, 97 with NOA\n259 images" in texts
    assert "Centre 2" in texts


@pytest.mark.parametrize("n_cohorts", [1, 2, 3])
def test_a_flows_boxes_do_not_overlap_and_hold_their_text(n_cohorts):
    more = flow().assign(cohort="third", reason="follow-up shorter than six months")
    every = pd.concat([flow(), more], ignore_index=True)
    kept = every["cohort"].unique()[:n_cohorts]
    figure = plot_flow(every[every["cohort"].isin(kept)])
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = sorted((p.get_y(), p.get_y() + p.get_height()) for p in ax.patches)
        assert all(first[1] <= second[0] for first, second in pairwise(boxes))
        texts = [text for text in ax.texts if "\n" in text.get_text()]
        for text, patch in zip(texts, ax.patches, strict=True):
            inner, outer = text.get_window_extent(), patch.get_window_extent()
            assert outer.x0 <= inner.x0
            assert inner.x1 <= outer.x1
            assert outer.y0 <= inner.y0
            assert inner.y1 <= outer.y1


def test_a_flow_needs_its_columns():
    with pytest.raises(ArgumentError, match="lacks the columns n_event"):
        plot_flow(flow().drop(columns="n_event"))
    with pytest.raises(ArgumentError, match="has no rows"):
        plot_flow(flow().iloc[:0])


def panel(**changes) -> CamPanel:
    rng = np.random.default_rng(0)
    mask = np.zeros((24, 32), dtype=bool)
    mask[8:16, 10:20] = True
    values = {
        "image": rng.integers(0, 255, (24, 32)),
        "cam": rng.random((6, 8)),
        "mask": mask,
        "caption": "event, $risk$",
    }
    return CamPanel(**(values | changes))


def test_a_panel_shows_image_map_and_contour_of_each_case():
    figure = plot_cam_panels([panel(), panel(mask=None), panel()], columns=2)
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 6
    assert sorted(len(ax.images) for ax in drawn) == [1, 1, 1, 2, 2, 2]
    maps = [ax.images[1] for ax in drawn if len(ax.images) == 2]
    assert {image.get_cmap().name for image in maps} == {"viridis"}
    assert all(image.get_clim() == (0, 1) for image in maps)
    assert all(tuple(image.get_extent()) == (-0.5, 31.5, 23.5, -0.5) for image in maps)
    assert sum(len(ax.collections) > 0 for ax in drawn) == 4
    assert drawn[0].get_title(loc="left") == r"event, \$risk\$"


def test_the_second_image_of_a_pair_stands_below_the_first():
    rng = np.random.default_rng(1)
    outline = np.zeros((10, 12), dtype=bool)
    outline[2:5, 2:5] = True
    pair = panel(
        second_image=rng.random((10, 12, 3)), second_cam=rng.random((3, 3)), second_mask=outline
    )
    figure = plot_cam_panels([pair, panel()], columns=2, label="Evidence for $class$")
    drawn = [ax for ax in figure.axes if ax.images]
    assert [len(ax.images) for ax in drawn] == [1, 1, 2, 2, 1, 2]
    assert drawn[4].images[0].get_array().shape == (10, 12, 3)
    assert tuple(drawn[5].images[1].get_extent()) == (-0.5, 11.5, 9.5, -0.5)
    assert len(drawn[4].collections) > 0
    assert figure.axes[-1].get_xlabel() == r"Evidence for \$class\$"


def test_the_colour_bar_has_the_colours_of_the_maps_on_gray_tissue():
    cam = np.array([[0.0, 0.25, 0.5, 1.0]])
    figure = plot_cam_panels([panel(image=np.full((1, 4), 7), cam=cam, mask=None)], alpha=0.6)
    overlay = figure.axes[1].images[1]
    np.testing.assert_allclose(overlay.get_alpha(), [[0.0, 0.3, 0.6, 0.6]])
    bar = figure.axes[-1].collections[-1].cmap(np.array([0.0, 1.0]))
    top = np.array(mpl.colormaps["viridis"](1.0))[:3]
    np.testing.assert_allclose(bar[0, :3], 0.4)
    np.testing.assert_allclose(bar[1, :3], 0.6 * top + 0.4 * 0.4)


def test_no_text_of_a_panel_is_smaller_than_6_points_and_none_overlaps():
    captions = ["malignant\npredicted 0.91", "benign, a long name of a rare finding"] * 4
    figure = plot_cam_panels([panel(caption=c) for c in captions])
    figure.draw_without_rendering()
    texts = [ax._left_title for ax in figure.axes]
    texts = [text for text in texts if text.get_text()]
    labels = [*texts, figure.axes[-1].xaxis.label, *figure.axes[-1].get_xticklabels()]
    assert len(texts) == 8
    assert min(text.get_fontsize() for text in labels) >= 6
    boxes = [text.get_window_extent() for text in texts]
    pictures = [ax.get_window_extent() for ax in figure.axes if ax.images]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert not any(box.overlaps(picture) for picture in pictures)
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(174)


def test_maps_of_random_weights_start_from_1_and_fall():
    steps = pd.DataFrame(
        {
            "map": ["gray", "doppler"] * 2,
            "n_layers": [1, 1, 5, 5],
            "estimate": [0.6, 0.5, 0.1, np.nan],
            "lowest": [0.4, 0.3, -0.2, np.nan],
            "highest": [0.8, 0.7, 0.3, np.nan],
        }
    )
    ax = plot_randomisation(steps, threshold=0.5)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 1], [1, 0.6], [5, 0.1]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["gray", "doppler"]
    assert ax.lines[2].get_ydata()[0] == 0.5


def test_an_empty_or_full_mask_draws_no_contour():
    for value in (False, True):
        figure = plot_cam_panels([panel(mask=np.full((24, 32), value))])
        assert not any(ax.collections for ax in figure.axes if ax.images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cam": np.full((2, 2), 1.5)}, "The map of panel 0 must be two-dimensional"),
        ({"cam": np.full((2, 2), np.nan)}, "The map of panel 0 must be two-dimensional"),
        ({"mask": np.ones((2, 2), dtype=bool)}, r"The mask of panel 0 has shape \(2, 2\)"),
        ({"image": np.zeros((2, 2, 4))}, r"The image of panel 0 must be \(h, w\)"),
        ({"second_cam": np.zeros((2, 2))}, "Panel 0 needs `second_image` and `second_cam`"),
        (
            {"second_image": np.zeros((2, 2)), "second_cam": np.full((2, 2), 2.0)},
            "The map of panel 0 must be two-dimensional",
        ),
    ],
)
def test_a_panel_refuses_arrays_that_do_not_fit(change, message):
    with pytest.raises(ArgumentError, match=message):
        plot_cam_panels([panel(**change)])


def test_drawing_leaves_the_settings_alone():
    before = dict(mpl.rcParams)
    plot_forest(ratios())
    plot_flow(flow())
    plot_cam_panels([panel()])
    assert dict(mpl.rcParams) == before
    with pytest.raises(ArgumentError, match="at least one case"):
        plot_cam_panels([])
    with pytest.raises(ArgumentError, match="`alpha` must be an opacity"):
        plot_cam_panels([panel()], alpha=2.0)
