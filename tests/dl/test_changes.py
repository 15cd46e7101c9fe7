"""Single changes of levels at given amounts: directions, units, and second implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Generator, Tensor

from dl._augmenting import changes

PLAIN = {
    "gain": changes.gain,
    "gamma": changes.gamma,
    "contrast": changes.contrast,
    "attenuation": changes.attenuation,
    "blur": changes.blur,
}
RANDOM = {
    "tgc": changes.tgc,
    "haze": changes.haze,
    "speckle": changes.speckle,
    "shadow": changes.shadow,
}


def scans(n: int = 3, side: int = 32) -> Tensor:
    return torch.rand(n, 1, side, side, generator=Generator().manual_seed(1)) * 0.7 + 0.2


def applied(name: str, x: Tensor, amount: Tensor, seed: int = 1) -> Tensor:
    if name in PLAIN:
        return PLAIN[name](x, amount)
    return RANDOM[name](x, amount, Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [*PLAIN, *RANDOM])
def test_amount_zero_changes_nothing(name):
    x = scans()
    torch.testing.assert_close(applied(name, x, torch.zeros(3)), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [*PLAIN, *RANDOM])
def test_every_image_has_its_own_amount(name):
    x = scans(1).expand(2, -1, -1, -1)
    y = applied(name, x, torch.tensor([0.0, 2.0 if name == "blur" else 0.3]))
    torch.testing.assert_close(y[0], x[0], atol=1e-6, rtol=0)
    assert float((y[1] - x[1]).abs().mean()) > 0.002


@pytest.mark.parametrize("name", [*PLAIN, *RANDOM])
def test_a_larger_amount_changes_more(name):
    x = scans()
    amounts = torch.tensor([2.0, 4.0] if name == "blur" else [0.1, 0.3])
    moved = [float((applied(name, x, a.expand(3)) - x).abs().mean()) for a in amounts]
    assert moved[1] > moved[0] > 0


def test_attenuation_is_exponential_in_depth():
    y = changes.attenuation(torch.ones(1, 1, 11, 2), torch.tensor([0.7]))[0, 0, :, 0]
    expected = [math.exp(-0.7 * depth / 10) for depth in range(11)]
    assert y.tolist() == pytest.approx(expected, rel=1e-6)


def test_gamma_and_contrast_have_known_directions():
    x = scans()
    up, down = torch.full((3,), 0.4), torch.full((3,), -0.4)
    assert changes.gamma(x, up).mean() < x.mean() < changes.gamma(x, down).mean()
    assert changes.contrast(x, up).std() > x.std() > changes.contrast(x, down).std()
    torch.testing.assert_close(changes.contrast(x, down).mean(), x.mean(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("sigma", [0.5, 1.7])
def test_blur_is_that_of_scipy(sigma):
    x = scans(2, 128)
    y = changes.blur(x, torch.tensor([sigma, sigma])).numpy()
    reach = max(1, math.ceil(3 * sigma))
    for i in range(2):
        naive = gaussian_filter(x[i, 0].numpy(), sigma, mode="nearest", radius=reach)
        np.testing.assert_allclose(y[i, 0], naive, atol=1e-5)


def test_blur_is_a_share_of_the_side():
    small = changes.blur(torch.eye(64)[None, None], torch.tensor([2.0]))
    naive = gaussian_filter(np.eye(64), 1.0, mode="nearest", radius=3)
    np.testing.assert_allclose(small[0, 0].numpy(), naive, atol=1e-5)


def test_haze_fills_small_gaps_but_not_the_border():
    x = torch.full((1, 1, 64, 64), 0.4)
    x[..., 30:32, 30:32] = 0
    x[..., :, :12] = 0
    y = changes.haze(x, torch.tensor([0.3]), Generator().manual_seed(2))
    assert float(y[..., 30:32, 30:32].min()) > 0
    assert not y[..., :, :8].any()


def test_tgc_has_eight_sliders():
    x = torch.full((1, 1, 71, 1), 0.5)
    curve = changes.tgc(x, torch.tensor([0.2]), Generator().manual_seed(3))[0, 0, :, 0] - 0.5
    knots = curve[::10]
    straight = np.interp(np.arange(71), np.arange(0, 71, 10), knots.numpy())
    np.testing.assert_allclose(curve.numpy(), straight, atol=1e-6)
    assert len(knots) == changes.SLIDERS


@pytest.mark.parametrize("name", RANDOM)
def test_the_generator_alone_decides(name):
    x = scans()
    amount = torch.full((3,), 0.3)
    assert torch.equal(applied(name, x, amount), applied(name, x, amount))
    assert not torch.equal(applied(name, x, amount), applied(name, x, amount, seed=2))
