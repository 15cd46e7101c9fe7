"""What stands in the figure of overlaps: artists, not pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from usstats.errors import ArgumentError, EmptyMaskWarning
from usstats.overlap import cam_report, overlap_report

TABLE = pd.DataFrame(
    {
        "patient_id": [1, 1, 2, 2, 3, 3],
        "image_id": [1, 1, 2, 2, 3, 3],
        "class": ["nodule", "vessel"] * 3,
        "dice": [0.9, 0.5, 0.8, 0.6, 0.7, np.nan],
        "hd95": [1.0, 2.0, 1.5, 2.5, 2.0, np.nan],
    }
)


@pytest.fixture(scope="module")
def report():
    with pytest.warns(EmptyMaskWarning):
        return overlap_report(TABLE)


def test_points_are_the_images_and_diamonds_the_means(report):
    ax = report.plot()
    drawn = [line for line in ax.lines if len(line.get_ydata()) > 1]
    np.testing.assert_allclose(drawn[0].get_ydata(), [0.9, 0.8, 0.7])
    np.testing.assert_allclose(drawn[1].get_ydata(), [0.5, 0.6])
    means = [container.lines[0].get_ydata()[0] for container in ax.containers]
    np.testing.assert_allclose(means, [0.8, 0.55])
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["nodule\n3 images", "vessel\n3 images\n1 undefined"]
    assert drawn[0].get_marker() != drawn[1].get_marker()
    assert ax.get_ylabel() == "Dice's coefficient"


def test_bars_are_the_limits_of_the_frame(report):
    ax = report.plot(measure="hd95", unit="mm")
    rows = report.frame().set_index(["measure", "group"])
    for container, name in zip(ax.containers, ("nodule", "vessel"), strict=True):
        segment = container.lines[2][0].get_segments()[0]
        low, high = rows.loc[("hd95", name), ["conf_low", "conf_high"]]
        np.testing.assert_allclose(sorted(segment[:, 1]), [low, high])
    assert ax.get_ylabel() == "HD95 (pixels)"


def test_a_measure_that_is_absent_is_refused(report):
    with pytest.raises(ArgumentError, match="`measure` must be one of 'dice', 'hd95'"):
        report.plot(measure="iou")


def test_masks_without_classes_share_one_column():
    masks = np.zeros((4, 6, 6), dtype=bool)
    masks[:, 1:4, 1:4] = True
    other = np.stack([np.roll(m, i % 2, axis=0) for i, m in enumerate(masks)])
    report = overlap_report(masks, other, patient_id=[1, 2, 3, 4], spacing=0.1)
    ax = report.plot(measure="hd95", unit="mm")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4 images"]
    assert ax.get_ylabel() == "HD95 (mm)"


def test_maps_stand_beside_chance():
    rng = np.random.default_rng(2)
    masks = np.zeros((8, 12, 12), dtype=bool)
    masks[:, 3:8, 3:8] = True
    cams = rng.random(masks.shape) + masks
    report = cam_report(cams, masks, patient_id=[1, 1, 2, 2, 3, 3, 4, 4], average="patient")
    ax = report.plot()
    rows = report.frame().set_index(["measure", "group"])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "Energy in mask",
        "Pointing game",
        "IoU at fixed area",
    ]
    for container, measure in zip(
        ax.containers, ("energy_in_mask", "pointing_hit", "iou"), strict=True
    ):
        own = rows.loc[(measure, "map")]
        assert container.lines[0].get_xdata()[0] == own["estimate"]
        segment = container.lines[2][0].get_segments()[0]
        np.testing.assert_allclose(sorted(segment[:, 0]), [own["conf_low"], own["conf_high"]])
    marks = [line for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata())]
    found = [line.get_xdata()[0] for line in marks]
    assert found == [
        rows.loc[(m, "chance"), "estimate"] for m in ("energy_in_mask", "pointing_hit", "iou")
    ]
    assert ax.get_xlabel() == "Mean over patients"
    assert ax.get_legend().get_texts()[0].get_text() == "Map (95 % CI)"
