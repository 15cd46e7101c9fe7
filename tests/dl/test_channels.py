"""Several images in one tensor: what stands where, and a network that is none the wiser."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from dl import registry
from dl._networks.stacked import StackedInputs, channel_layout, network_of
from dl._training.optimisation import new_optimiser
from dl.channels import ChannelLayout
from dl.checkpoint import load_weights, save_weights
from dl.export import export_onnx
from dl.onnx_network import OnnxNetwork
from tests.dl.worlds import tiny_config
from usstats.errors import ArgumentError

PAIR = ChannelLayout((("gray", 1), ("doppler", 3), ("mask", 1)))
SMALL = {
    "dim": 16,
    "heads": 2,
    "depth": 1,
    "channels": [4, 4, 8, 8, 16],
    "scales": [1.0],
}


def pair_config(**values):
    options = SMALL | values.pop("options", {})
    return tiny_config(architecture="dual_aspp", options=options, flip_views=False, **values)


@pytest.fixture
def images() -> torch.Tensor:
    """The second row has no Doppler image, the third no mask."""
    x = torch.rand(3, 5, 48, 48, generator=torch.Generator().manual_seed(1))
    x[1, 1:4], x[2, 4] = 0, 0
    return x


@pytest.fixture
def network() -> StackedInputs:
    torch.manual_seed(0)
    return network_of(pair_config()).eval()


def test_blocks_share_the_channels_out():
    x = np.arange(5 * 4).reshape(5, 2, 2)
    parts = [PAIR.take(x, name) for name in PAIR.names]
    np.testing.assert_array_equal(np.concatenate(parts), x)
    assert [PAIR.channels(name) for name in PAIR.names] == [1, 3, 1]
    assert PAIR.pictures == ("gray", "doppler")


def test_absence_is_seen_alike_in_arrays_and_tensors(images):
    for name, expected in (
        ("gray", [True, True, True]),
        ("doppler", [True, False, True]),
        ("mask", [True, True, False]),
    ):
        assert PAIR.present(images, name).tolist() == expected
        assert PAIR.present(images.numpy(), name).tolist() == expected


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ((("gray", 1), ("colour", 3)), "`blocks` must be one of"),
        ((("gray", 1), ("gray", 1)), "each block once"),
        ((("gray", 0),), "each block once, with 1 or more channels"),
        ((("mask", 1),), "must hold a picture"),
        ((), "must hold a picture"),
    ],
)
def test_impossible_layouts_are_refused(blocks, message):
    with pytest.raises(ArgumentError, match=message):
        ChannelLayout(blocks)


def test_an_unknown_block_is_refused():
    with pytest.raises(ArgumentError, match="`block` must be one of"):
        PAIR.slice("image")


def test_layouts_follow_the_architecture():
    assert channel_layout(pair_config()) == PAIR
    assert channel_layout(tiny_config()).blocks == (("image", 1),)
    assert channel_layout(tiny_config(colour="rgb")).blocks == (("image", 3),)
    assert registry.layout_of("timm/any", 3).blocks == (("image", 3),)


def test_one_tensor_gives_the_logits_of_its_parts(network, images):
    has_doppler, has_mask = torch.tensor([True, False, True]), torch.tensor([True, True, False])
    with torch.no_grad():
        parts = network.network(
            images[:, :1],
            images[:, 1:4],
            images[:, 4:],
            has_doppler=has_doppler,
            has_mask=has_mask,
        )
        assert torch.equal(network(images), parts)


def test_a_network_of_one_image_is_not_wrapped():
    assert not isinstance(network_of(tiny_config()), StackedInputs)


def test_a_row_without_doppler_is_answered_as_if_alone(network, images):
    with torch.no_grad():
        alone = network.network(images[1:2, :1], None, images[1:2, 4:])
        torch.testing.assert_close(network(images)[1:2], alone, rtol=0, atol=1e-6)


def test_attributes_are_the_networks_own(network):
    assert network.head is network.network.head
    assert network.gray.trunk is network.network.gray.trunk
    assert not hasattr(network, "classify")
    with pytest.raises(AttributeError, match="no_such_part"):
        _ = network.no_such_part


def test_a_checkpoint_is_that_of_the_registered_network(network, images, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, network, architecture="dual_aspp", facts={})
    bare = registry.build("dual_aspp", n_classes=1, in_channels=3, weights=path, **SMALL)
    again = network_of(pair_config())
    load_weights(again, path, architecture="dual_aspp")
    with torch.no_grad():
        expected = network(images)
        assert torch.equal(StackedInputs(bare, PAIR)(images), expected)
        assert torch.equal(again.eval()(images), expected)


def test_a_copy_is_independent(network, images):
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(images)
        twin.head[-1].bias += 1
        assert torch.equal(network(images), before)
        torch.testing.assert_close(twin(images), before + 1)


def test_the_head_learns_at_its_own_rate():
    config = pair_config(lr=0.001, head_lr=0.01)
    network = network_of(config)
    rate = {
        parameter: group["peak_lr"]
        for group in new_optimiser(network, config).param_groups
        for parameter in group["params"]
    }
    assert {rate[p] for p in network.head.parameters()} == {0.01}
    assert {rate[p] for p in network.gray.parameters()} == {0.001}
    assert len(rate) == len(list(network.parameters()))


@pytest.mark.slow
def test_onnx_answers_as_torch_with_and_without_doppler(network, images, tmp_path):
    file = export_onnx(network, tmp_path / "pair.onnx", size=48, in_channels=5)
    assert file.inputs == {"image": (None, 5, 48, 48)}
    with torch.no_grad():
        expected = network(images).numpy()
    found = OnnxNetwork(file.path)(images.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)
