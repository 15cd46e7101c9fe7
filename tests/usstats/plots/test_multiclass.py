"""What stands in the figures of several classes: artists, not pixels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from usstats.errors import ArgumentError, UsstatsWarning
from usstats.multiclass import assess_multiclass_calibration, multiclass_auc, multiclass_report
from usstats.plots.style import percent

NAMES = np.array(["benign", "BCC", "$melanoma$"])


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1.5, 1.5, 1.0], 500)
    y = (rng.random((500, 1)) > p.cumsum(axis=1)).sum(axis=1)
    return NAMES[y], p


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("normalise", ["truth", "predicted", "all"])
def test_cells_hold_counts_and_shares(world, normalise):
    report = multiclass_report(*world, classes=NAMES)
    ax = report.plot(normalise=normalise)
    counts = report.confusion().to_numpy().ravel()
    shares = report.confusion(normalise=normalise).to_numpy().ravel()
    expected = [f"{n}\n{percent(s)}" for n, s in zip(counts, shares, strict=True)]
    assert [text.get_text() for text in ax.texts] == expected
    np.testing.assert_allclose(ax.images[0].get_array().ravel(), shares)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("True class", "Predicted class")
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert shown == ["benign", "BCC", "\\$melanoma\\$"]


def test_text_in_a_cell_stands_out_from_its_shade(world):
    """Contrast by the formula of the web guidelines, also for grey prints."""
    ax = multiclass_report(*world, classes=NAMES).plot()
    image = ax.images[0]

    def luminance(colour):
        channel = np.asarray(to_rgb(colour))
        linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    shades = image.cmap(image.norm(image.get_array().ravel()))
    for shade, text in zip(shades, ax.texts, strict=True):
        light, dark = sorted([luminance(shade[:3]), luminance(text.get_color())], reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.0


def test_every_shade_has_readable_text():
    from matplotlib import colormaps

    from usstats.plots.multiclass import DARK

    for share in np.linspace(0, 1, 101):
        channel = np.asarray(colormaps["Blues"](share)[:3])
        linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
        shade = linear @ [0.2126, 0.7152, 0.0722]
        contrast = 1.05 / (shade + 0.05) if share > DARK else (shade + 0.05) / 0.05
        assert contrast > 3.0


def test_an_absent_class_has_counts_without_shares(world):
    truth = np.where(world[0] == "BCC", "benign", world[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        ax = multiclass_report(truth, world[1], classes=NAMES).plot()
    cells = [text.get_text() for text in ax.texts]
    assert cells[1::3] == ["0", "0", "0"]


def test_unknown_share_is_refused(world):
    with pytest.raises(ArgumentError, match="`normalise` must be one of 'truth'"):
        multiclass_report(*world, classes=NAMES).plot(normalise="rows")


def test_long_names_of_many_classes_are_turned():
    names = [f"a rather long class {i}" for i in range(5)]
    y = np.array(names * 4)
    ax = multiclass_report(y, np.roll(y, 5 * 3 + 1)).plot()
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {45.0}
    assert {
        label.get_rotation()
        for label in multiclass_report([1, 2, 1, 2, 2], [1, 2, 2, 2, 1]).plot().get_xticklabels()
    } == {0.0}


@pytest.mark.parametrize("ci", ["delong", "bootstrap"])
def test_legend_of_the_curves_gives_the_intervals_of_the_table(world, ci):
    found = multiclass_auc(*world, classes=NAMES, ci=ci, n_boot=30, seed=1)
    ax = found.plot()
    rows = found.frame().iloc[4:]
    for text, row in zip(texts(ax), rows.to_dict("records"), strict=True):
        assert f"({row['conf_low']:.2f}–{row['conf_high']:.2f})" in text
    assert f"M {found.estimate:.2f} ({found.conf_low:.2f}" in ax.get_legend().get_title().get_text()
    for line, curve in zip(ax.lines[1:], found.curves().values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), curve.frame()["sensitivity"])
    assert len({line.get_linestyle() for line in ax.lines[1:]}) == 3


def test_calibration_curves_are_those_of_the_frame(world):
    found = assess_multiclass_calibration(*world, classes=NAMES, min_events=0)
    ax = found.plot()
    curves = found.curves()
    for line, name in zip(ax.lines[1:], NAMES, strict=True):
        own = curves[curves["group"] == name].dropna(subset="observed")
        np.testing.assert_allclose(line.get_xdata(), own["predicted"])
        np.testing.assert_allclose(line.get_ydata(), own["observed"].clip(0, 1))
    assert len(ax.collections) == 3
    assert len(found.plot(band=False).collections) == 0
    assert texts(ax)[0] == "Ideal"
    assert texts(ax)[3] == f"\\$melanoma\\$ ({(world[0] == NAMES[2]).sum()} cases)"


def test_a_withheld_curve_is_drawn_as_a_logistic_line_and_says_so(world):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsstatsWarning)
        ax = assess_multiclass_calibration(*world, classes=NAMES, min_events=400).plot()
    assert all(text.endswith("; logistic)") for text in texts(ax)[1:])
