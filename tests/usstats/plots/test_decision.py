"""What stands in a decision curve plot: artists, not pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from usstats.decision import decision_curve
from usstats.errors import ArgumentError
from usstats.plots.decision import MEASURES, plot_decision


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
    return {artist.get_label(): artist for artist in ax.get_lines()}


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
    styles = {
        (str(artist._dash_pattern), artist.get_linewidth()) for artist in curve.plot().get_lines()
    }
    assert len(styles) == len(curve.plot().get_lines())


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
