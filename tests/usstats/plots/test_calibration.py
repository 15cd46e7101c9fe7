"""What stands in a calibration plot: artists, not pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import special

from usstats._calibration.histogram import risk_histogram
from usstats.calibration import assess_calibration
from usstats.errors import SmallSampleWarning
from usstats.plots.calibration import (
    plot_calibration,
    plot_corrected_calibration,
    weak_text,
)


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(3)
    p = special.expit(rng.normal(0, 1.2, 400))
    return assess_calibration(rng.random(400) < p, p)


def line(ax, label):
    return next(artist for artist in ax.get_lines() if artist.get_label().startswith(label))


def test_the_curve_is_the_frame(calibration):
    ax = calibration.plot()
    frame = calibration.curve()
    drawn = line(ax, "Flexible curve")
    np.testing.assert_allclose(drawn.get_xdata(), frame["predicted"])
    np.testing.assert_allclose(drawn.get_ydata(), frame["observed"].clip(0, 1))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted risk", "Observed proportion")
    assert ax.get_title() == ""


def test_curve_and_ideal_differ_in_style_and_not_only_in_colour(calibration):
    ax = calibration.plot()
    assert line(ax, "Ideal").get_linestyle() != line(ax, "Flexible curve").get_linestyle()


def test_bars_hold_every_case_on_one_scale(calibration):
    ax = calibration.plot()
    bins = calibration.histogram()
    up, down = (np.array([bar.get_height() for bar in container]) for container in ax.containers)
    scale = up.sum() / bins["n_event"].sum()
    np.testing.assert_allclose(up, scale * bins["n_event"])
    np.testing.assert_allclose(down, -scale * bins["n_nonevent"])


def test_band_legend_and_text_can_be_left_out(calibration):
    ax = plot_calibration(calibration, band=False, legend=False, text=False)
    assert len(ax.collections) == 0
    assert ax.get_legend() is None
    assert len(ax.texts) == 0
    full = plot_calibration(calibration)
    assert "95% band" in [text.get_text() for text in full.get_legend().get_texts()]


def test_text_states_the_weak_measures_and_the_sample(calibration):
    text = weak_text(calibration.frame())
    assert [row.split()[0] for row in text.splitlines()] == [
        "Intercept",
        "Slope",
        "O:E",
        "ICI",
        "n",
    ]
    assert "n = 400" in text
    assert "-" not in text


def test_a_given_axes_is_used(calibration):
    ax = Figure().add_subplot()
    assert calibration.plot(ax) is ax


def test_withheld_curve_is_replaced_by_the_logistic_line():
    rng = np.random.default_rng(3)
    p = special.expit(rng.normal(0, 1.2, 80))
    y = rng.random(80) < p
    with pytest.warns(SmallSampleWarning, match="withheld"):
        result = assess_calibration(y, p)
    ax = result.plot()
    drawn = line(ax, "Logistic recalibration")
    values = result.frame().set_index("measure")["estimate"]
    lp = values["recalibration_intercept"] + values["calibration_slope"] * special.logit(
        drawn.get_xdata()
    )
    np.testing.assert_allclose(drawn.get_ydata(), special.expit(lp))
    assert "withheld" in drawn.get_label()


def test_constant_risks_still_draw():
    with pytest.warns(SmallSampleWarning):
        result = assess_calibration(np.tile([0, 1], 100), np.full(200, 0.4))
    assert len(result.plot().get_lines()) == 2


def test_the_numbers_of_a_plot_have_no_negative_zero_and_round_half_up():
    rows = {
        "calibration_in_the_large": (-0.004, -0.045, 0.045),
        "calibration_slope": (0.045, -0.5, 1.005),
        "oe_ratio": (1.0, 0.9, 1.1),
        "ici": (0.01, np.nan, np.nan),
        "brier": (0.1, np.nan, np.nan),
    }
    frame = pd.DataFrame(
        [(name, *numbers, 90, 40) for name, numbers in rows.items()],
        columns=["measure", "estimate", "conf_low", "conf_high", "n", "n_event"],
    )
    lines = weak_text(frame).split("\n")
    assert lines[0] == "Intercept 0.00 (\N{MINUS SIGN}0.05 to 0.05)"
    assert lines[1] == "Slope 0.05 (\N{MINUS SIGN}0.50 to 1.01)"
    assert lines[3] == "ICI 0.01"


def test_the_corrected_curve_stands_over_its_histogram():
    curve = pd.DataFrame({"predicted": [0.2, 0.8], "apparent": [0.2, 0.8], "corrected": [0.3, 0.7]})
    bins = risk_histogram([0, 1, 1], [0.1, 0.7, 0.9])
    ax = plot_corrected_calibration(curve, histogram=bins)
    heights = [patch.get_height() for patch in ax.patches]
    assert sum(height > 0 for height in heights) == 2
    assert sum(height < 0 for height in heights) == 1
    assert ax.get_ylim()[0] < 0
