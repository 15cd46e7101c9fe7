"""Augmentation is repeatable, keeps the range, and does nothing when it is switched off."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from dl.augment import augment_batch
from dl.config import AugmentConfig

CHANGES = {
    "flip": 1.0,
    "rotate": 30.0,
    "scale": 0.4,
    "translate": 0.3,
    "gain": 0.3,
    "gamma": 0.5,
    "speckle": 0.3,
    "shadow": 1.0,
}


def images(n: int = 6, channels: int = 1) -> torch.Tensor:
    """Smooth gray between black borders."""
    generator = Generator().manual_seed(5)
    coarse = torch.rand(n, channels, 5, 5, generator=generator) * 0.6 + 0.2
    return torch.nn.functional.pad(torch.nn.functional.interpolate(coarse, 24), (4, 4, 4, 4))


def changed(x: torch.Tensor, seed: int = 1, **amounts: float) -> torch.Tensor:
    none = dict.fromkeys(CHANGES, 0.0)
    return augment_batch(x, AugmentConfig(**(none | amounts)), Generator().manual_seed(seed))


def test_no_change_is_the_identity():
    x = images()
    assert torch.equal(augment_batch(x, AugmentConfig.none(), Generator().manual_seed(1)), x)


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_changes_is_repeatable_and_keeps_range_and_input(name):
    x = images(channels=3)
    before = x.clone()
    y = changed(x, **{name: CHANGES[name]})
    assert torch.equal(x, before)
    assert y.shape == x.shape
    assert not torch.equal(y, x)
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
    assert torch.equal(y, changed(x, **{name: CHANGES[name]}))
    if name != "flip":
        assert not torch.equal(y, changed(x, seed=2, **{name: CHANGES[name]}))


def test_the_generator_is_the_only_source_of_randomness():
    x = images()
    config = AugmentConfig()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = augment_batch(x, config, Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(one, augment_batch(x, config, Generator().manual_seed(3)))


def test_a_certain_flip_mirrors_left_and_right_only():
    x = images()
    torch.testing.assert_close(changed(x, flip=1.0), x.flip(-1), atol=1e-5, rtol=0)
    twice = changed(changed(x, flip=1.0), flip=1.0)
    torch.testing.assert_close(twice, x, atol=1e-5, rtol=0)


def test_a_flip_of_one_half_flips_about_half():
    x = images(1).expand(400, -1, -1, -1)
    y = changed(x, flip=0.5)
    flipped = (y - x.flip(-1)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert 160 < int(flipped.sum()) < 240


@pytest.mark.parametrize("name", ["gain", "gamma", "speckle", "shadow"])
def test_black_borders_stay_black_under_changes_of_brightness(name):
    y = changed(images(), **{name: CHANGES[name]})
    assert not y[..., :4, :].any()
    assert not y[..., :4].any()


def test_gain_adds_the_same_to_every_pixel_of_an_image():
    x = images()
    shift = (changed(x, gain=0.15) - x)[..., 8:-8, 8:-8]
    assert float(shift.amax(dim=(1, 2, 3)).sub(shift.amin(dim=(1, 2, 3))).max()) < 1e-6
    assert len({round(float(v), 4) for v in shift[:, 0, 0, 0]}) == len(x)
    assert float(shift.abs().max()) <= 0.15


def test_colours_share_their_noise_and_shadow():
    gray = images().expand(-1, 3, -1, -1)
    y = changed(gray, speckle=0.3, shadow=1.0, rotate=20.0)
    torch.testing.assert_close(y[:, 0], y[:, 2])


def test_a_shadow_only_darkens_and_more_below():
    x = torch.full((50, 1, 40, 40), 0.5)
    y = changed(x, shadow=1.0)
    assert bool((y <= x).all())
    lost = (x - y).mean(dim=(0, 1, 3))
    assert lost[-1] > 10 * lost[0]


def test_a_shift_is_bounded():
    x = torch.zeros(200, 1, 41, 41)
    x[:, :, 20, 20] = 1
    y = changed(x, translate=0.2)
    place = y.flatten(1).argmax(dim=1)
    off = torch.stack([place // 41 - 20, place % 41 - 20]).abs()
    assert 6 <= int(off.max()) <= 9
