"""Augmentation is repeatable, keeps the range, and does nothing when it is switched off."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Generator

from dl.augment import augment_batch, augment_with_masks
from dl.channels import ChannelLayout
from dl.config import AugmentConfig
from dl.errors import ConfigError

CHANGES = {
    "flip": 1.0,
    "rotate": 30.0,
    "scale": 0.4,
    "translate": 0.3,
    "gain": 0.3,
    "gamma": 0.5,
    "speckle": 0.3,
    "shadow": 1.0,
    "shear": 20.0,
    "attenuation": 1.0,
    "tgc": 0.3,
    "haze": 0.5,
    "blur": 3.0,
    "photo": 1.0,
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


@pytest.mark.parametrize(
    "name", ["gain", "gamma", "attenuation", "tgc", "speckle", "haze", "shadow"]
)
def test_black_borders_stay_black_under_changes_of_brightness(name):
    y = changed(images(), **{name: CHANGES[name]})
    assert not y[..., :4, :].any()
    assert not y[..., :4].any()


def test_the_default_draws_what_it_always_drew():
    """Means, mean squares and one pixel of six images, recorded before there were other changes."""
    x = torch.rand(6, 1, 40, 40, generator=Generator().manual_seed(5))
    y = augment_batch(x, AugmentConfig(), Generator().manual_seed(1))
    mean = [0.46602309, 0.40821224, 0.47462052, 0.50036532, 0.59564018, 0.38140458]
    square = [0.28192702, 0.21300754, 0.26777887, 0.29149979, 0.41992667, 0.21465968]
    pixel = [0.70854580, 0.43858117, 0.45606074, 0.74672973, 0.73284268, 0.58676314]
    for got, expected in ((y.mean((1, 2, 3)), mean), (y.square().mean((1, 2, 3)), square)):
        torch.testing.assert_close(got, torch.tensor(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(y[:, 0, 20, 20], torch.tensor(pixel), atol=1e-5, rtol=0)


def test_new_changes_are_off_by_default():
    new = ["shear", "attenuation", "tgc", "haze", "grain", "blur", "photo"]
    assert [getattr(AugmentConfig(), name) for name in new] == [0.0] * len(new)


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


PAIR = ChannelLayout((("gray", 1), ("doppler", 3), ("mask", 1)))
LEVELS = {
    name: CHANGES[name]
    for name in CHANGES
    if name in {"gain", "gamma", "attenuation", "tgc", "speckle", "haze", "shadow", "blur"}
}


def pair(n: int = 5) -> torch.Tensor:
    """Gray, a disc of flow in many colours, and the disc as a mask."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 40), indexing="ij")
    disc = ((x**2 + y**2) < 0.4).float().expand(n, 1, -1, -1)
    colours = torch.rand(n, 3, 5, 5, generator=Generator().manual_seed(2)) * 0.5 + 0.1
    colours = torch.nn.functional.interpolate(colours, 40)
    gray = torch.rand(n, 1, 40, 40, generator=Generator().manual_seed(3))
    return torch.cat([gray, colours * disc, disc], dim=1)


def hue_and_saturation(rgb: torch.Tensor) -> torch.Tensor:
    """Of pixels that are not black: colours over the brightest of them."""
    top = rgb.amax(dim=1, keepdim=True)
    return torch.where(top > 0.02, rgb / top.clamp_min(0.02), 0.0)


def test_levels_change_pictures_and_never_a_mask():
    x = pair()
    y = augment_batch(
        x,
        AugmentConfig(**(dict.fromkeys(CHANGES, 0.0) | LEVELS)),
        Generator().manual_seed(1),
        layout=PAIR,
    )
    assert torch.equal(y[:, 4], x[:, 4])
    assert not torch.equal(y[:, 0], x[:, 0])
    assert not torch.equal(y[:, 1:4], x[:, 1:4])


@pytest.mark.parametrize("name", LEVELS)
def test_flow_keeps_its_hue(name):
    x = pair()
    y = augment_batch(
        x,
        AugmentConfig(**(dict.fromkeys(CHANGES, 0.0) | {name: LEVELS[name]})),
        Generator().manual_seed(1),
        layout=PAIR,
    )
    both = ((x[:, 1:4].amax(1) > 0.05) & (y[:, 1:4].amax(1) > 0.05))[:, None]
    before, after = (hue_and_saturation(z[:, 1:4]) * both for z in (x, y))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=0)


def test_without_the_layout_a_gain_would_change_hues():
    x = pair()
    y = changed(x, gain=0.3)
    both = (x[:, 1:4].amax(1) > 0.05)[:, None]
    moved = (hue_and_saturation(x[:, 1:4]) - hue_and_saturation(y[:, 1:4])) * both
    assert float(moved.abs().max()) > 0.05


@pytest.mark.parametrize("photo", [0.0, 1.0])
def test_a_missing_block_stays_missing(photo):
    x = pair()
    x[::2, 1:4] = 0
    x[1::2, 4] = 0
    amounts = CHANGES | {"photo": photo}
    y = augment_batch(x, AugmentConfig(**amounts), Generator().manual_seed(1), layout=PAIR)
    assert PAIR.present(y, "doppler").tolist() == PAIR.present(x, "doppler").tolist()
    assert PAIR.present(y, "mask").tolist() == PAIR.present(x, "mask").tolist()


def test_a_layout_of_one_picture_changes_nothing():
    x = images()
    alone = ChannelLayout((("image", 1),))
    one, two = (
        augment_batch(x, AugmentConfig(**CHANGES), Generator().manual_seed(4), layout=layout)
        for layout in (None, alone)
    )
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["flip", "rotate", "shear", "scale", "translate", "photo"])
def test_picture_stacked_mask_and_label_mask_move_together(name):
    x = pair()
    labels = x[:, 4].long()
    config = AugmentConfig(**(dict.fromkeys(CHANGES, 0.0) | {name: CHANGES[name]}))
    y, moved = augment_with_masks(x, labels, config, Generator().manual_seed(6), layout=PAIR)
    stacked = y[:, 4] > 0.5
    agree = ((moved == 1) == stacked).float().mean()
    assert agree > 0.98
    assert not torch.equal(stacked, x[:, 4] > 0.5) or name == "flip"
    if name != "photo":
        flow = y[:, 1:4].amax(1) > 0.05
        assert (flow == stacked).float().mean() > 0.95


def test_what_comes_from_outside_is_an_unknown_mask():
    _, moved = augment_with_masks(
        torch.ones(8, 1, 20, 20),
        torch.ones(8, 20, 20).long(),
        AugmentConfig(**(dict.fromkeys(CHANGES, 0.0) | {"shear": 20.0})),
        Generator().manual_seed(1),
    )
    assert set(moved.unique().tolist()) == {-1, 1}


def test_attenuation_and_tgc_act_by_depth_only():
    x = torch.full((20, 1, 40, 30), 0.5)
    for name in ("attenuation", "tgc"):
        y = changed(x, **{name: 0.4})
        assert torch.equal(y, y[..., :1].expand_as(y))
    falls = changed(x, attenuation=2.0)[:, 0, :, 0].diff(dim=1)
    assert bool((falls <= 0).all())
    assert float(falls.mean()) < -0.002
    assert float((changed(x, tgc=0.2) - x).abs().max()) <= 0.2 + 1e-6


def test_haze_only_brightens_and_most_near_the_probe():
    x = images() * 0.5
    y = changed(x, haze=0.5)
    assert bool((y >= x).all())
    gained = (y - x).mean(dim=(0, 1, 3))
    assert gained[4:12].mean() > 2 * gained[-12:-4].mean()


def test_grain_correlates_the_noise_and_keeps_its_strength():
    x = torch.full((8, 1, 128, 128), 0.4)

    def neighbours(grain: float) -> tuple[float, float, float]:
        noise = changed(x, speckle=0.1, grain=grain)[:, 0] / 0.4 - 1
        across = (noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var()
        along = (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()
        return float(across), float(along), float(noise.std())

    white, spread = neighbours(0.0), neighbours(2.0)
    assert abs(white[0]) < 0.02
    assert spread[0] > spread[1] > 0.6
    assert white[2] == pytest.approx(0.1, rel=0.02)
    assert spread[2] == pytest.approx(0.1, rel=0.1)


def test_mean_brightness_goes_where_gamma_and_gain_say():
    x = images()
    for name in ("gain", "gamma"):
        means = changed(x.expand(-1, -1, -1, -1), **{name: 0.3}).mean((1, 2, 3)) / x.mean((1, 2, 3))
        assert means.min() < 1 < means.max()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"shear": 31.0}, "`augment.shear` must lie from 0 to 30; got 31.0"),
        ({"photo": 1.5}, "`augment.photo` must lie from 0 to 1; got 1.5"),
        ({"haze": -0.1}, "`augment.haze` must lie from 0 to 0.9; got -0.1"),
        ({"blur": True}, "`augment.blur` must be float; got True"),
    ],
)
def test_refused_amounts(values, text):
    with pytest.raises(ConfigError, match=text):
        AugmentConfig(**values)


def test_photos_alone_are_switched_on_by_their_probability():
    only = replace(AugmentConfig.none(), photo=1.0)
    x = torch.rand(2, 1, 32, 32, generator=Generator().manual_seed(1))
    assert not torch.equal(augment_batch(x, only, Generator().manual_seed(2)), x)
