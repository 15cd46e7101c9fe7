"""Building blocks against written-out sums, and the laws they must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dl._networks.gabor import GaborStem, gabor_bank, gaussian_filter
from dl._networks.pyramid import feature_maps, find_taps
from dl.layers import (
    Cbam,
    ConvNormAct,
    CrossAttention,
    GridAttentionGate,
    MaskGate,
    MultiRateBlock,
    resize_to,
    sincos_positions,
)
from tests.dl.network_laws import without_gradient
from usstats.errors import ArgumentError


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(11)


# Gabor bank


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0, 6.0])
def test_filters_have_no_mean_and_unit_length(scale):
    bank = gabor_bank(scale).double()
    assert bank.shape == (16, 2 * int(5 * scale) + 1, 2 * int(5 * scale) + 1)
    torch.testing.assert_close(bank.sum(dim=(1, 2)), torch.zeros(16).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(bank.square().sum(dim=(1, 2)), torch.ones(16).double())


def test_an_odd_filter_is_its_formula():
    """A sine has no mean to take out, so the formula stands as it is but for its size."""
    s, j = 2.0, 3
    theta = j * math.pi / 8
    reach = range(-10, 11)
    expected = np.empty((21, 21))
    for row, y in enumerate(reach):
        for column, x in enumerate(reach):
            u = x * math.cos(theta) + y * math.sin(theta)
            v = -x * math.sin(theta) + y * math.cos(theta)
            envelope = math.exp(-(u**2 + 0.25 * v**2) / (2 * s**2))
            expected[row, column] = envelope * math.sin(2 * math.pi * u * 0.56 / s)
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(gabor_bank(s)[8 + j].numpy(), expected, atol=1e-6)


def test_even_filters_are_even_and_odd_ones_odd():
    bank = gabor_bank(4.0)
    turned = bank.flip(1, 2)
    torch.testing.assert_close(turned[:8], bank[:8])
    torch.testing.assert_close(turned[8:], -bank[8:])


@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_a_grating_is_answered_most_by_the_filter_of_its_angle(scale):
    bank = gabor_bank(scale)
    reach = bank.shape[-1] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    for j in range(8):
        theta = j * math.pi / 8
        phase = 2 * math.pi * 0.56 / scale * (x * math.cos(theta) + y * math.sin(theta))
        grating = torch.from_numpy(np.cos(phase)).float()
        assert (bank[:8] * grating).sum(dim=(1, 2)).argmax() == j


def test_a_constant_image_reaches_only_the_level():
    """Oriented filters do not see how bright an image is; the local average does."""
    stem = GaborStem(1, 4, scales=(1, 2)).eval()
    x = torch.full((1, 1, 40, 40), 0.7)
    for i in range(2):
        bank = getattr(stem, f"bank_{i}")
        assert nn.functional.conv2d(x, bank).abs().max() < 1e-5
    torch.testing.assert_close(gaussian_filter().sum(), torch.tensor(1.0))
    with torch.no_grad():
        dark, bright = stem(x * 0.1), stem(x)
        # No border effect either: the image goes on beyond its edge.
        assert (bright - bright[..., 5:6, 5:6]).abs().max() < 1e-5
        stem.mix[0].weight.data.abs_()
        assert (stem(x) - stem(x * 0.1)).abs().max() > 0.01
    assert dark.shape == (1, 4, 10, 10)


def test_the_bank_is_a_buffer_unless_it_learns():
    fixed, learning = GaborStem(3, 4, scales=(2,)), GaborStem(3, 4, scales=(2,), learnable=True)
    assert "bank_0" in dict(fixed.named_buffers())
    assert "bank_0" in fixed.state_dict()
    assert "bank_0" in dict(learning.named_parameters())
    assert torch.equal(fixed.bank_0, learning.bank_0)
    assert fixed.double().bank_0.dtype == torch.double
    x = torch.rand(2, 3, 32, 32)
    assert without_gradient(learning, lambda: learning(x)) == []


def test_colours_are_told_apart_by_the_stem():
    stem = GaborStem(3, 4, scales=(1,)).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(stem(x), stem(x.flip(1)), atol=1e-4)


# Multi-rate block


@pytest.mark.parametrize("size", [(32, 32), (31, 17), (14, 9)])
@pytest.mark.parametrize("stride", [1, 2])
def test_multi_rate_block_halves_upwards(size, stride):
    block = MultiRateBlock(3, 6, stride=stride).eval()
    out = block(torch.rand(2, 3, *size)).shape
    assert out == (2, 6, *(math.ceil(n / stride) for n in size))


def test_each_branch_sees_its_own_distance():
    """A single bright pixel answers at 0, 1, 3, 6 and 9 pixels, and nowhere else on its row."""
    block = MultiRateBlock(1, 1).eval()
    for branch in block.branches:
        nn.init.ones_(branch[0].weight)
    x = torch.zeros(1, 1, 25, 25)
    x[..., 12, 12] = 1
    reached = [branch(x)[0, 0, 12].nonzero()[:, 0].tolist() for branch in block.branches]
    assert reached == [[12], [11, 12, 13], [9, 12, 15], [6, 12, 18], [3, 12, 21]]


def test_without_rates_one_convolution_is_left():
    plain = MultiRateBlock(4, 8, rates=())
    convs = [m for m in plain.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.kernel_size for conv in convs] == [(3, 3)]


def test_gradients_reach_every_branch():
    block = MultiRateBlock(3, 4)
    x = torch.rand(2, 3, 24, 24)
    assert without_gradient(block, lambda: block(x)) == []


# Mask gate


def test_mask_gate_adds_what_the_mask_marks():
    x, m = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(MaskGate()(x, m), x * (1 + m))
    torch.testing.assert_close(MaskGate()(x, torch.zeros_like(m)), x)


def test_a_row_without_a_mask_passes_unchanged():
    x, m = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 2, 2)
    m[1] = torch.nan
    present = torch.tensor([True, False, True])
    gated = MaskGate()(x, m, present)
    assert torch.equal(gated[1], x[1])
    torch.testing.assert_close(gated[0], x[0] * (1 + resize_to(m, (4, 4))[0]))


# Positions


def test_positions_are_their_formula():
    height, width, dim = 3, 5, 256
    code = sincos_positions(height, width, dim)
    assert code.shape == (15, 256)
    for y, x, i in ((0, 0, 0), (2, 4, 7), (1, 3, 63)):
        w = 10_000 ** (-i / 63)
        place = code[y * width + x]
        expected = [math.sin(x * w), math.cos(x * w), math.sin(y * w), math.cos(y * w)]
        got = [place[quarter * 64 + i].item() for quarter in range(4)]
        assert got == pytest.approx(expected, abs=1e-6)


def test_places_have_codes_of_their_own():
    code = sincos_positions(7, 7, 32)
    distances = torch.cdist(code, code) + 10 * torch.eye(49)
    assert distances.min() > 0.1


def test_a_dim_that_cannot_be_quartered_is_refused():
    with pytest.raises(ArgumentError, match=r"`dim` must be a multiple of 4.*got 30"):
        sincos_positions(2, 2, 30)


# Cross-attention


def test_cross_attention_is_its_definition():
    """Against a loop over queries and heads."""
    layer = CrossAttention(8, heads=2).double().eval()
    x, context = torch.randn(1, 3, 8).double(), torch.randn(1, 4, 8).double()
    with torch.no_grad():
        q = layer.query(layer.norm_query(x))[0]
        k = layer.key(layer.norm_context(context))[0]
        v = layer.value(layer.norm_context(context))[0]
        rows = []
        for t in range(3):
            heads = []
            for h in (slice(0, 4), slice(4, 8)):
                weight = torch.softmax(k[:, h] @ q[t, h] / 2.0, dim=0)
                heads.append(weight @ v[:, h])
            rows.append(torch.cat(heads))
        expected = layer.out(torch.stack(rows))
        torch.testing.assert_close(layer(x, context)[0], expected)


def test_the_order_of_the_context_does_not_matter_and_its_content_does():
    layer = CrossAttention(16, heads=4).eval()
    x, context = torch.randn(2, 5, 16), torch.randn(2, 6, 16)
    with torch.no_grad():
        y = layer(x, context)
        torch.testing.assert_close(layer(x, context.flip(1)), y, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(layer(x, context.roll(1, 0)), y, atol=1e-3)


def test_query_and_context_have_their_own_normalisation():
    layer = CrossAttention(8, heads=2)
    assert layer.norm_query is not layer.norm_context
    x, context = torch.randn(2, 5, 8), torch.randn(2, 6, 8)
    assert without_gradient(layer, lambda: layer(x, context)) == []


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ArgumentError, match="multiple of `heads`; got 10 and 4"):
        CrossAttention(10, heads=4)


# Grid attention gate


@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
def test_coefficients_multiply_the_map(normalise):
    gate = GridAttentionGate(6, 10, normalise=normalise)
    x, g = torch.randn(2, 6, 8, 7), torch.randn(2, 10, 4, 4)
    y, a = gate(x, g)
    torch.testing.assert_close(y, x * a)
    assert a.shape == (2, 1, 8, 7)
    assert a.std() > 0
    assert without_gradient(gate, lambda: gate(x, g)[0]) == []


def test_softmax_coefficients_have_a_mean_of_one_and_sigmoids_start_at_one_half():
    x, g = torch.randn(3, 6, 5, 4), torch.randn(3, 10, 2, 2)
    a = GridAttentionGate(6, 10, normalise="softmax").coefficients(x, g)
    torch.testing.assert_close(a.mean(dim=(1, 2, 3)), torch.ones(3))
    gate = GridAttentionGate(6, 10)
    assert gate.psi.bias.item() == 0
    a = gate.coefficients(torch.zeros_like(x), torch.zeros_like(g))
    assert a.mean().item() == pytest.approx(0.5, abs=0.2)


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ArgumentError, match=r"`normalise` must be one of 'sigmoid', 'softmax'"):
        GridAttentionGate(4, 4, normalise="both")


# CBAM


def test_cbam_weights_lie_between_zero_and_one_and_all_of_it_learns():
    layer = Cbam(16)
    x = torch.rand(4, 16, 9, 6)
    y = layer(x)
    assert ((y >= 0) & (y <= x)).all()
    ratio = y / x
    which, where = ratio[0, :, 0, 0], ratio[0, 0]
    # One weight a channel times one weight a place.
    torch.testing.assert_close(ratio[0], which[:, None, None] * where[None] / ratio[0, 0, 0, 0])
    assert without_gradient(layer, lambda: layer(x)) == []


def test_cbam_of_few_channels():
    assert Cbam(3)(torch.rand(1, 3, 4, 4)).shape == (1, 3, 4, 4)


# Maps of a trunk


def _trunk() -> nn.Sequential:
    return nn.Sequential(
        ConvNormAct(2, 4, stride=2),
        nn.Sequential(ConvNormAct(4, 4), ConvNormAct(4, 8, stride=2)),
        ConvNormAct(8, 6),
    )


def test_taps_are_the_last_maps_of_each_resolution():
    trunk = _trunk()
    trunk[0].eval()
    modes = [m.training for m in trunk.modules()]
    state = {name: t.clone() for name, t in trunk.state_dict().items()}
    taps = find_taps(trunk, 2)
    assert [(t.module, t.channels, t.stride) for t in taps] == [("1.0.2", 4, 2), ("2.2", 6, 4)]
    assert [m.training for m in trunk.modules()] == modes
    assert all(torch.equal(state[name], t) for name, t in trunk.state_dict().items())


def test_maps_are_read_and_changed_on_the_way():
    trunk = _trunk().eval()
    x, taps = torch.rand(2, 2, 16, 16), find_taps(trunk, 2)
    with torch.no_grad():
        output, maps = feature_maps(trunk, x, taps)
        torch.testing.assert_close(output, trunk(x))
        torch.testing.assert_close(maps[0], trunk[1][0](trunk[0](x)))
        assert torch.equal(maps[1], output)
        changed, _ = feature_maps(trunk, x, taps[:1], lambda i, m: 2 * m)
        torch.testing.assert_close(changed, trunk[2](trunk[1][1](2 * maps[0])))
    assert all(not m._forward_hooks for m in trunk.modules())


def test_hooks_are_gone_after_a_failure():
    trunk = _trunk()
    taps = find_taps(trunk, 2)
    with pytest.raises(RuntimeError):
        feature_maps(trunk, torch.rand(1, 3, 16, 16), taps)
    assert all(not m._forward_hooks for m in trunk.modules())
