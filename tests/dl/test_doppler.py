"""Colour flow is told from gray tissue by its chroma, on drawn pixels and on real files."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from dl.doppler import chroma, coloured_share, flow_pixels, is_doppler, separate_flow
from dl.images import read_image
from usstats.errors import ArgumentError


def duplex(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gray noise with a red and a blue patch, and where they are."""
    gray = rng.integers(0, 256, (40, 50), dtype=np.uint8)
    image, flow = np.repeat(gray[..., None], 3, axis=2), np.zeros((40, 50), dtype=bool)
    for rows, colour in ((slice(5, 10), (180, 30, 10)), (slice(20, 22), (0, 40, 220))):
        image[rows, 10:20], flow[rows, 10:20] = colour, True
    return image, flow


def test_flow_is_exactly_where_it_was_drawn():
    image, flow = duplex(np.random.default_rng(1))
    np.testing.assert_array_equal(flow_pixels(image), flow)
    assert coloured_share(image) == flow.mean()


def test_chroma_equals_a_naive_one_and_knows_no_gray():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    naive = [[max(map(int, p)) - min(map(int, p)) for p in row] for row in image]
    np.testing.assert_array_equal(chroma(image), naive)
    assert not chroma(image[..., 0]).any()


def test_order_of_the_colours_does_not_matter():
    image, _ = duplex(np.random.default_rng(3))
    np.testing.assert_array_equal(flow_pixels(image), flow_pixels(image[..., ::-1]))


def test_tissue_and_flow_together_are_the_image():
    image, flow = duplex(np.random.default_rng(4))
    tissue, colours = separate_flow(image)
    assert not tissue[flow].any()
    assert not colours[~flow].any()
    np.testing.assert_array_equal(colours + tissue[..., None], image)


def test_a_gray_image_is_all_tissue():
    gray = np.random.default_rng(5).integers(0, 256, (8, 8), dtype=np.uint8)
    tissue, colours = separate_flow(gray)
    np.testing.assert_array_equal(tissue, gray)
    assert colours.shape == (8, 8, 3)
    assert not colours.any()
    assert not is_doppler(gray)


@pytest.mark.parametrize(
    ("file", "frame", "expected"),
    [
        ("examples_rgb_color.dcm", None, True),
        ("examples_jpeg2k.dcm", None, True),
        ("examples_ybr_color.dcm", 0, False),
        ("examples_palette.dcm", None, False),
    ],
)
def test_real_power_doppler_is_found_and_gray_scale_with_coloured_frames_is_not(
    file, frame, expected
):
    image = read_image(get_testdata_file(file), frame=frame)
    assert image.ndim == 3
    assert is_doppler(image) is expected


@pytest.mark.parametrize("image", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4)), [1, 2]])
def test_other_pixels_are_refused(image):
    with pytest.raises(ArgumentError, match=r"`image` must be uint8 \(H, W\) or \(H, W, 3\)"):
        chroma(image)
