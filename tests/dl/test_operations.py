"""Policies applied to batches: chances, magnitudes, masks and pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from dl._augmenting import changes
from dl._augmenting.operations import apply_policy
from dl.augment import augment_batch, augment_with_masks
from dl.channels import ChannelLayout
from dl.config import AugmentConfig
from dl.policy import OPERATIONS, Policy


def scans(n: int = 6, channels: int = 1, side: int = 32) -> Tensor:
    coarse = torch.rand(n, channels, 6, 6, generator=Generator().manual_seed(5)) * 0.6 + 0.2
    return torch.nn.functional.interpolate(coarse, side)


def applied(x: Tensor, plain: list, seed: int = 1, **options) -> Tensor:
    return apply_policy(x, None, Policy.of(plain), Generator().manual_seed(seed), **options)[0]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_changes_visibly_repeatably_and_keeps_range_and_input(name):
    x = scans(channels=3, side=96)
    before = x.clone()
    for magnitude in (OPERATIONS[name].low, OPERATIONS[name].top):
        y = applied(x, [[[name, 1.0, magnitude]]])
        assert torch.equal(x, before)
        assert y.shape == x.shape
        assert 0 <= float(y.min()) <= float(y.max()) <= 1
        assert torch.equal(y, applied(x, [[[name, 1.0, magnitude]]]))
        assert bool(((y - x).abs().amax(dim=(1, 2, 3)) > 0.004).all())


@pytest.mark.parametrize("name", OPERATIONS)
def test_magnitude_zero_is_the_identity(name):
    x = scans()
    assert torch.equal(applied(x, [[[name, 1.0, 0]]]), x)


def test_an_operation_happens_with_its_probability():
    x = scans(1).expand(600, -1, -1, -1)
    y = applied(x, [[["attenuation", 0.3, 0.5]]])
    share = ((y - x).abs().amax(dim=(1, 2, 3)) > 0).float().mean()
    assert float(share) == pytest.approx(0.3, abs=0.06)


def test_sub_policies_are_drawn_with_equal_chances_and_apply_both_operations():
    x = scans(1).expand(600, -1, -1, -1)
    plain = [[["gamma", 1, 0.4], ["attenuation", 1, 0.5]], [["blur", 1, 1.0]]]
    y = applied(x, plain)
    dark = {
        sign: changes.attenuation(
            changes.gamma(x[:1], torch.tensor([sign * 0.4])), torch.tensor([0.5])
        )
        for sign in (-1, 1)
    }
    found = [
        ((y - d).abs().amax(dim=(1, 2, 3)) < 1e-5).float().mean().item() for d in dark.values()
    ]
    assert found == pytest.approx([0.25, 0.25], abs=0.06)
    blurred = changes.blur(x[:1], torch.ones(1))
    assert ((y - blurred).abs().amax(dim=(1, 2, 3)) < 1e-5).float().mean() == pytest.approx(
        0.5, abs=0.06
    )


@pytest.mark.parametrize("name", ["rotate", "shear", "scale", "translate_x", "photo"])
def test_masks_move_with_their_images(name):
    x = scans(8, side=48)
    masks = (x[:, 0] > 0.5).long()
    policy = Policy.of([[[name, 1.0, OPERATIONS[name].top]]])
    stacked = ChannelLayout((("gray", 1), ("mask", 1)))
    both = torch.cat([x, masks[:, None].float()], dim=1)
    y, moved = apply_policy(both, masks, policy, Generator().manual_seed(2), stacked)
    assert ((y[:, 1] > 0.5) == (moved == 1)).float().mean() > 0.98
    assert not torch.equal(moved, masks)


@pytest.mark.parametrize("name", ["gain", "tgc", "speckle", "haze", "blur"])
def test_levels_leave_masks_alone(name):
    x = scans(4, channels=2)
    stacked = ChannelLayout((("gray", 1), ("mask", 1)))
    plain = [[[name, 1.0, OPERATIONS[name].top]]]
    y = applied(x, plain, layout=stacked)
    assert torch.equal(y[:, 1], x[:, 1])
    assert not torch.equal(y[:, 0], x[:, 0])


def test_augmentation_applies_the_policy_first_and_then_the_rest():
    x = scans()
    plain = [[["gain", 1.0, 0.1]]]
    flip = AugmentConfig(**(AugmentConfig.none().__dict__ | {"flip": 1.0}))
    y = augment_batch(x, flip, Generator().manual_seed(1), policy=plain)
    torch.testing.assert_close(y.flip(-1), applied(x, plain), atol=1e-5, rtol=0)
    same, masks = augment_with_masks(
        x, torch.zeros(6, 32, 32).long(), flip, Generator().manual_seed(1), policy=plain
    )
    assert torch.equal(same, y)
    assert masks.shape == (6, 32, 32)
