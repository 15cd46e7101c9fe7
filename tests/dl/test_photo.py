"""Photos of screens: repeatable, in range, recognisable, and with the marks of a photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from dl import photo
from dl.photo import photograph, photograph_batch
from usstats.errors import ArgumentError


def screen(side: int = 96) -> np.ndarray:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side] / side
    disc = ((x - 0.5) ** 2 + (y - 0.45) ** 2) < 0.05
    return np.clip((110 - 80 * disc) * rng.gamma(16, 1 / 16, (side, side)), 0, 255).astype(np.uint8)


def test_a_photo_is_in_colour_repeatable_and_leaves_its_screen_alone():
    image = screen()
    before = image.copy()
    one = photograph(image, np.random.default_rng(5))
    assert (one.shape, one.dtype) == ((96, 96, 3), np.uint8)
    assert np.array_equal(one, photograph(image, np.random.default_rng(5)))
    assert not np.array_equal(one, photograph(image, np.random.default_rng(6)))
    assert np.array_equal(image, before)


def test_strength_zero_is_the_screen_itself():
    image = screen()
    assert np.array_equal(
        photograph(image, np.random.default_rng(1), strength=0), np.repeat(image[..., None], 3, 2)
    )


def test_the_picture_stays_recognisable_and_weak_photos_more_so():
    image = screen()
    likeness = {}
    for strength in (0.2, 1.0):
        rng = np.random.default_rng(3)
        photos = [photograph(image, rng, strength=strength).mean(axis=2) for _ in range(12)]
        likeness[strength] = np.mean(
            [
                np.corrcoef(p[16:-16, 16:-16].ravel(), image[16:-16, 16:-16].ravel())[0, 1]
                for p in photos
            ]
        )
    assert likeness[0.2] > likeness[1.0] > 0.3
    assert likeness[0.2] > 0.6


def test_photos_differ_in_white_balance():
    rng = np.random.default_rng(4)
    ratios = []
    for _ in range(20):
        red, _, blue = photograph(screen(48), rng).reshape(-1, 3).mean(axis=0)
        ratios.append(red / blue)
    assert min(ratios) < 0.9 < 1.1 < max(ratios)


def test_black_is_lifted_and_white_may_be_reflected():
    rng = np.random.default_rng(2)
    dark = [photograph(np.zeros((48, 48), np.uint8), rng) for _ in range(20)]
    assert np.mean([p.mean() for p in dark]) > 5
    assert max(p.max() for p in dark) > 60


def test_moire_is_a_slow_wave_of_the_screens_grid():
    """Squarely seen, a grid of 5 periods more than pixels shows as 5 waves."""
    side = 64
    n = torch.zeros(1)
    light = photo._light(n, (1, 3, side, side), Generator().manual_seed(1))
    grid = photo.plain_grid((side, side), torch.ones(1))[None, ..., :2]
    values = {name: getattr(light, name) for name in light.__dataclass_fields__}
    known = photo._Light(
        **(values | {"fringes": torch.tensor([[5.0, 0.0]]), "ripple": torch.tensor([0.2])})
    )
    waves = photo._screen_grid(grid, known)[0, 0].mean(dim=0) - 1
    spectrum = torch.fft.rfft(waves).abs()
    assert int(spectrum[1:].argmax()) + 1 == 5
    assert 0.1 < float(waves.abs().max()) <= 0.2 + 1e-6


def test_gray_networks_get_gray_photos_and_masks_move_along():
    x = torch.from_numpy(screen()).float()[None, None].expand(6, -1, -1, -1) / 255
    mask = (torch.from_numpy(screen()) < 60).long().expand(6, -1, -1)
    y, moved = photograph_batch(x, mask, torch.ones(6), Generator().manual_seed(3))
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
    assert moved.shape == mask.shape
    assert -1 in moved
    for i in range(6):
        inside, outside = y[i, 0][moved[i] == 1].mean(), y[i, 0][moved[i] == 0].mean()
        assert inside < outside


def test_images_of_strength_zero_are_left_alone():
    x = torch.rand(4, 3, 32, 32, generator=Generator().manual_seed(1))
    y, none = photograph_batch(x, None, torch.tensor([0.0, 1, 0, 0.5]), Generator().manual_seed(3))
    assert none is None
    assert torch.equal(y[[0, 2]], x[[0, 2]])
    assert not torch.equal(y[1], x[1])


def test_an_oblong_picture_keeps_its_shape():
    image = np.full((40, 70, 3), 90, np.uint8)
    assert photograph(image, np.random.default_rng(1)).shape == (40, 70, 3)


@pytest.mark.parametrize(
    ("image", "strength", "text"),
    [
        (np.zeros((8, 8)), 1.0, r"`image` must be uint8 .* got float64 \(8, 8\)"),
        (np.zeros((0, 8), np.uint8), 1.0, r"`image` must be uint8 .* got uint8 \(0, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), 1.0, r"got uint8 \(8, 8, 4\)"),
        (np.zeros((8, 8), np.uint8), 1.5, r"`strength` must lie in \[0, 1\]; got 1.5"),
    ],
)
def test_refused_input(image, strength, text):
    with pytest.raises(ArgumentError, match=text):
        photograph(image, np.random.default_rng(1), strength=strength)
