"""Boxes, crops that keep the aspect, and measurements against a ruler laid on every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from dl.errors import MaskError
from dl.geometry import crop_roi, grow_box, lesion_geometry, letterbox, roi_box
from usstats.errors import ArgumentError


def ellipse(a: float, b: float, degrees: float, size: int = 160) -> np.ndarray:
    """Half axes a (along the angle, from horizontal) and b, in pixels."""
    y, x = np.mgrid[:size, :size] - size / 2
    t = np.deg2rad(degrees)
    u, v = x * np.cos(t) + y * np.sin(t), -x * np.sin(t) + y * np.cos(t)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def brute_feret(mask: np.ndarray, spacing: np.ndarray) -> float:
    rows, columns = np.nonzero(mask)
    corners = {
        (r + i, c + j) for r, c in zip(rows, columns, strict=True) for i in (0, 1) for j in (0, 1)
    }
    return float(pdist(np.array(sorted(corners)) * spacing).max())


@pytest.mark.parametrize(
    ("a", "b", "degrees"), [(60, 30, 0), (60, 30, 90), (55, 20, 37), (40, 40, 0)]
)
def test_diameter_and_area_of_an_ellipse(a, b, degrees):
    size = lesion_geometry(ellipse(a, b, degrees), 0.1)
    assert size.max_diameter_mm == pytest.approx(0.2 * a, abs=0.15)
    assert size.area_mm2 == pytest.approx(np.pi * a * b * 0.01, rel=0.01)
    assert size.n_parts == 1


@given(st.integers(0, 10_000), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
@settings(max_examples=40, deadline=None)
def test_diameter_is_the_longest_distance_of_any_two_corners(seed, down, across):
    rng = np.random.default_rng(seed)
    mask = ellipse(*rng.uniform(2, 9, 2), rng.uniform(0, 180), size=24)
    mask[12, 12] = True
    spacing = np.array([down, across])
    got = lesion_geometry(mask, spacing).max_diameter_mm
    assert got == pytest.approx(brute_feret(mask, spacing), rel=1e-12)


def test_one_pixel_and_a_line_have_a_diameter():
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert lesion_geometry(mask, 1.0).max_diameter_mm == pytest.approx(2**0.5)
    mask[4, 2:7] = True
    assert lesion_geometry(mask, 1.0).max_diameter_mm == pytest.approx(26**0.5)


def test_spacing_of_rows_and_columns_is_kept_apart():
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:20, 10:25] = True
    size = lesion_geometry(mask, (0.2, 0.1))
    assert (size.height_mm, size.width_mm) == (2.0, 1.5)
    assert size.taller_than_wide
    assert not lesion_geometry(mask, 0.1).taller_than_wide
    assert size.area_mm2 == pytest.approx(150 * 0.02)


def test_the_largest_part_is_measured_and_specks_are_not_counted():
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:50, 10:50] = True
    mask[70:80, 70:80] = True
    mask[95, 5] = True
    size = lesion_geometry(mask, 1.0)
    assert (size.width_mm, size.n_parts) == (40.0, 2)
    assert roi_box(mask, mask.shape) == (10, 10, 80, 80)


@pytest.mark.parametrize("spacing", [0, -0.1, np.nan, np.inf, (0.1, 0), (0.1, 0.1, 0.1), "wide"])
def test_spacing_must_be_positive_millimetres(spacing):
    with pytest.raises(ArgumentError, match="`pixel_spacing_mm`"):
        lesion_geometry(np.ones((5, 5), dtype=bool), spacing)


def test_an_empty_a_flat_and_a_strange_mask_are_refused():
    with pytest.raises(MaskError, match="empty"):
        lesion_geometry(np.zeros((5, 5), dtype=bool), 1.0)
    with pytest.raises(MaskError, match=r"\(height, width\)"):
        lesion_geometry(np.ones((5, 5, 3), dtype=bool), 1.0)
    with pytest.raises(MaskError, match="mask is 5 x 4 pixels and its image 6 x 4"):
        roi_box(np.ones((4, 5), dtype=bool), (4, 6))


@pytest.mark.parametrize(
    "box",
    [(0, 0, 7, 5), (-1, 0, 3, 3), (3, 1, 3, 4), (4, 1, 3, 4), (0, 0, 3, 6), (0, 0, np.nan, 3)],
)
def test_a_box_outside_its_image_is_refused(box):
    with pytest.raises(MaskError, match="box"):
        roi_box(np.array(box, dtype=float), (5, 6))


@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_box_of_a_polygon_holds_every_pixel_it_touches(start):
    """Whatever its first corner and its direction; the bounds of a triangle are seen by eye."""
    corners = np.roll([(2.5, 1.0), (8.0, 1.2), (5.1, 6.7)], start, axis=0)
    assert roi_box(corners.ravel(), (10, 12)) == (2, 1, 8, 7)
    assert roi_box(corners[::-1].ravel(), (10, 12)) == (2, 1, 8, 7)


@pytest.mark.parametrize(
    ("polygon", "reason"),
    [
        ((1, 1, 3, 3, 5, 5), "3 corners encloses no area"),
        ((1, 1, 3, 1, 2, 9), r"reaches from \(1, 1\) to \(3, 9\), beyond the image of 6 x 5"),
        ((1, 1, 3, 1, 2, 2, 4), "x1 y1 x2 y2 x3 y3 ... in pixels; got 7 numbers"),
        ((1, 1, 3, 1, np.inf, 2), "got 6 numbers"),
        ((1, 1, 3), r"a polygon x1 y1 .*; got \[1.0, 1.0, 3.0\]"),
    ],
)
def test_a_polygon_that_is_none_is_refused(polygon, reason):
    with pytest.raises(MaskError, match=reason):
        roi_box(np.array(polygon, dtype=float), (5, 6))


@given(st.integers(0, 10_000), st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_grown_box_holds_the_box_and_stays_inside(seed, margin):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(20, 60, 2))
    left, top = rng.integers(0, shape[1] - 5), rng.integers(0, shape[0] - 5)
    right, bottom = rng.integers(left + 1, shape[1]), rng.integers(top + 1, shape[0])
    a, b, c, d = grow_box((left, top, right, bottom), shape, margin=margin)
    extra = round(margin * max(right - left, bottom - top))
    assert (a, b) == (max(left - extra, 0), max(top - extra, 0))
    assert (c, d) == (min(right + extra, shape[1]), min(bottom + extra, shape[0]))


@pytest.mark.parametrize("margin", [-0.1, np.nan, np.inf])
def test_a_margin_must_be_a_share(margin):
    with pytest.raises(ArgumentError, match="`margin`"):
        grow_box((1, 1, 3, 3), (9, 9), margin=margin)


def test_a_crop_shows_the_same_pixels_and_does_not_resize():
    image = np.arange(60 * 80 * 3).reshape(60, 80, 3)
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:30, 40:60] = True
    for roi in (mask, (40, 20, 60, 30)):
        np.testing.assert_array_equal(crop_roi(image, roi, margin=0), image[20:30, 40:60])
        np.testing.assert_array_equal(crop_roi(image, roi, margin=0.5), image[10:40, 30:70])
        np.testing.assert_array_equal(crop_roi(image, roi, margin=5), image)


@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (33, 57), (1, 500), (64, 64)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_letterbox_keeps_the_aspect(shape, channels):
    image = np.full((*shape, *channels), 255, dtype=np.uint8)
    boxed = letterbox(image, 32)
    assert boxed.shape == (32, 32, *channels)
    seen = boxed.reshape(32, 32, -1).any(axis=-1)
    height, width = seen.any(axis=1).sum(), seen.any(axis=0).sum()
    assert max(height, width) == 32
    scale = 32 / max(shape)
    assert height == max(1, round(shape[0] * scale))
    assert width == max(1, round(shape[1] * scale))
    assert abs(int(seen.argmax(axis=1).max()) - (32 - width) // 2) <= 1


def test_a_letterboxed_mask_stays_a_mask_where_the_image_is():
    disc = ellipse(30, 15, 20, size=100)[:, 10:90]
    boxed = letterbox(disc, 64)
    assert boxed.dtype == bool
    gray = letterbox(disc.astype(np.uint8) * 255, 64) > 127
    assert (boxed != gray).mean() < 0.01
