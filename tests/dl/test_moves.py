"""Geometry: identities, directions, and what inverse movements undo."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dl._augmenting.moves import affine, plain_grid, projective_grid, resample, warp

ONE = torch.ones(1)
ZERO = torch.zeros(1)
STILL = torch.zeros(1, 2)


def picture(side: int = 33) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    return torch.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2) * 6)[None, None]


def centre(image: Tensor) -> tuple[float, float]:
    weight = image[0, 0] / image.sum()
    grid = plain_grid(image.shape, image)
    return float((weight * grid[..., 0]).sum()), float((weight * grid[..., 1]).sum())


def test_no_movement_is_the_identity():
    theta = affine(angle=ZERO, size=ONE, shift=STILL, shear=ZERO)
    torch.testing.assert_close(warp(picture(), None, theta)[0], picture(), atol=1e-6, rtol=0)


def test_a_mirror_twice_is_the_identity():
    theta = affine(angle=ZERO, size=ONE, shift=STILL, mirror=-ONE)
    once, _ = warp(picture(), None, theta)
    torch.testing.assert_close(once, picture().flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(warp(once, None, theta)[0], picture(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["angle", "shear", "shift"])
def test_there_and_back(kind):
    def theta(sign: float) -> Tensor:
        values = {"angle": ZERO, "size": ONE, "shift": STILL, "shear": ZERO}
        amount = torch.tensor([0.2]) if kind != "shift" else torch.tensor([[0.1, -0.05]])
        return affine(**(values | {kind: sign * amount}))

    there, _ = warp(picture(), None, theta(1))
    back, _ = warp(there, None, theta(-1))
    assert float((there - picture()).abs().max()) > 0.05
    assert float((back - picture())[..., 6:-6, 6:-6].abs().max()) < 0.03


def test_shifts_and_sizes_have_known_directions():
    theta = affine(angle=ZERO, size=ONE, shift=torch.tensor([[0.2, 0.1]]))
    x, y = centre(warp(picture(), None, theta)[0])
    x_0, y_0 = centre(picture())
    assert x_0 - x == pytest.approx(0.2, abs=0.03)
    assert y_0 - y == pytest.approx(0.1, abs=0.03)
    small, _ = warp(picture(), None, affine(angle=ZERO, size=2 * ONE, shift=STILL))
    assert float(small.sum() / picture().sum()) == pytest.approx(0.25, rel=0.05)


def test_a_rotation_turns_the_centre_of_gravity():
    angle = 0.3
    turned, _ = warp(picture(), None, affine(angle=torch.tensor([angle]), size=ONE, shift=STILL))
    x, y = centre(picture())
    back = complex(x, y) * complex(math.cos(angle), -math.sin(angle))
    assert complex(*centre(turned)) == pytest.approx(back, abs=0.02)


def test_a_homography_keeps_straight_lines_and_meets_its_corners():
    matrix = torch.tensor([[[1.0, 0.1, 0.02], [-0.1, 0.9, 0.0], [0.1, -0.05, 1.0]]])
    grid = projective_grid(matrix, (9, 9))[0].double().numpy()
    for line in (grid[4], grid[:, 2], grid[np.arange(9), np.arange(9)]):
        (x_0, y_0), (x_1, y_1) = line[0], line[-1]
        off = (line[:, 0] - x_0) * (y_1 - y_0) - (line[:, 1] - y_0) * (x_1 - x_0)
        assert np.abs(off).max() < 1e-6
    x, y = -8 / 9, 8 / 9
    w = 1 + 0.1 * x - 0.05 * y
    expected = ((x + 0.1 * y + 0.02) / w, (-0.1 * x + 0.9 * y) / w)
    np.testing.assert_allclose(grid[8, 0], expected, atol=1e-6)


def test_masks_take_the_nearest_pixel_and_are_unknown_outside():
    mask = (picture()[:, 0] > 0.5).long()
    grid = plain_grid(mask.shape, picture())[None, ..., :2] + 0.5
    _, moved = resample(picture(), mask, grid)
    assert set(moved.unique().tolist()) == {-1, 0, 1}
    assert moved.dtype == mask.dtype
