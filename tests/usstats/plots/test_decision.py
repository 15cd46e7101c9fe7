"""What stands in a decision curve plot: artists, not pixels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from usstats.decision import decision_curve
from usstats.errors import ArgumentError
from usstats.plots.decision import INFORMATION, MEASURES, plot_decision


@pytest.fixture(scope="module")
def curve():
    rng = np.random.default_rng(1)
    p = rng.random(200)
    y = rng.random(200) < p
    risks = {"nomogram": p, "cost in $": np.clip(p + rng.normal(0, 0.2, 200), 0.01, 0.99)}
    return decision_curve(
        y, risks, thresholds=np.arange(5, 61) / 100, ci="bootstrap", n_boot=30, seed=1
    )


def lines(ax):
    """The curves by their label; edges of bands have none."""
    named = {artist.get_label(): artist for artist in ax.get_lines()}
    return {label: artist for label, artist in named.items() if not label.startswith("_")}


@pytest.mark.parametrize("measure", MEASURES)
def test_lines_are_the_frame(curve, measure):
    ax = curve.plot(measure=measure)
    frame = curve.frame()
    drawn = lines(ax)
    pairs = {"nomogram": "nomogram", "Treat all": "treat_all", "Treat none": "treat_none"}
    for label, model in pairs.items():
        rows = frame[frame["model"] == model]
        np.testing.assert_allclose(drawn[label].get_xdata(), rows["threshold_probability"])
        np.testing.assert_allclose(drawn[label].get_ydata(), rows[measure])
    assert ax.get_ylabel() == MEASURES[measure]


def test_axis_is_the_stated_range_of_thresholds(curve):
    assert curve.plot().get_xlim() == (0.05, 0.6)


def test_series_differ_without_colour(curve):
    drawn = lines(curve.plot()).values()
    styles = {(str(artist._dash_pattern), artist.get_linewidth()) for artist in drawn}
    assert len(styles) == len(drawn) == 4


def test_edges_of_a_band_have_the_style_of_their_model(curve):
    ax = curve.plot()
    edges = [artist for artist in ax.get_lines() if artist.get_label().startswith("_")]
    styles = [artist.get_linestyle() for artist in edges]
    assert styles == ["-", "-", "--", "--"]
    frame = curve.frame()
    np.testing.assert_allclose(
        edges[3].get_ydata(), frame.loc[frame["model"] == "cost in $", "conf_high"]
    )
    assert len(curve.plot(band=False).get_lines()) == 4


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("names", [("a", "b"), ("a nomogram of clinic, hormones and images",) * 2])
def test_legend_covers_no_curve(curve, measure, names):
    frame = curve.frame()
    renamed = {"nomogram": f"{names[0]} 1", "cost in $": f"{names[1]} 2"}
    saved = SimpleNamespace(frame=lambda: frame.replace({"model": renamed}))
    ax = plot_decision(saved, measure=measure)
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    for artist in ax.get_lines():
        path = artist.get_transform().transform_path(artist.get_path())
        assert not path.intersects_bbox(box, filled=False)


@pytest.mark.parametrize("measure", INFORMATION)
def test_value_of_information_is_its_frame(curve, measure):
    found = curve.value_of_information()
    ax = found.plot(measure=measure)
    frame = found.frame()
    drawn = lines(ax)
    assert list(drawn) == ["nomogram", "cost in \\$"]
    np.testing.assert_allclose(
        drawn["nomogram"].get_ydata(), frame.loc[frame["model"] == "nomogram", measure]
    )
    assert ax.get_ylabel() == INFORMATION[measure]
    assert ax.get_xlim() == (0.05, 0.6)
    assert ax.get_ylim()[0] == 0


def test_an_unknown_side_of_information_is_refused(curve):
    with pytest.raises(ArgumentError, match="`measure` must be one of 'p_useful', 'evpi'"):
        curve.value_of_information().plot(measure="net_benefit")


def test_names_from_a_table_start_no_formula(curve):
    assert "cost in \\$" in lines(curve.plot())


def test_band_belongs_to_net_benefit_alone(curve):
    assert len(curve.plot().collections) == 2
    assert len(curve.plot(band=False).collections) == 0
    assert len(curve.plot(measure="interventions_avoided").collections) == 0


def test_treat_all_does_not_set_the_scale(curve):
    bottom, top = curve.plot().get_ylim()
    assert -bottom < 0.3 * top


def test_one_threshold_and_a_given_axes():
    curve = decision_curve([0, 1, 1], {"m": [0.1, 0.4, 0.6]}, thresholds=[0.3])
    ax = Figure().add_subplot()
    assert plot_decision(curve, ax, legend=False) is ax
    assert ax.get_legend() is None


def test_an_unknown_measure_is_refused(curve):
    with pytest.raises(ArgumentError, match="`measure` must be one of 'net_benefit'"):
        curve.plot(measure="auc")
