"""Grad-CAM leaves the network as it was, follows its weights, and is compared with the mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dl.cam import GradCam, unit_map
from dl.registry import build
from tests.dl import worlds  # noqa: F401 - registers the tiny network
from usstats.errors import ArgumentError


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(2)
    own = build("tiny", n_classes=1, in_channels=1)
    nn.init.normal_(own.head.weight)
    own.train()
    own.trunk.norm.eval()
    return own


X = torch.rand(3, 1, 64, 48, generator=torch.Generator().manual_seed(1))


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_network_is_left_as_it_was(network, error):
    before, weights = modes(network), {k: v.clone() for k, v in network.state_dict().items()}
    network.head.weight.grad = torch.ones_like(network.head.weight)
    try:
        with GradCam(network) as cam:
            assert hooks(network) == 1
            assert not any(modes(network))
            cam(X)
            if error is not None:
                raise error
    except (KeyboardInterrupt, RuntimeError):
        assert error is not None
    assert modes(network) == before
    assert hooks(network) == 0
    assert all(torch.equal(weights[k], v) for k, v in network.state_dict().items())
    assert torch.equal(network.head.weight.grad, torch.ones_like(network.head.weight))
    assert network.trunk.stem.weight.grad is None


def test_a_failing_forward_pass_leaves_the_network_as_it_was(network):
    before = modes(network)
    with pytest.raises(RuntimeError), GradCam(network) as cam:
        cam(torch.rand(1, 2, 32, 32))
    assert (modes(network), hooks(network)) == (before, 0)


@pytest.mark.parametrize("toward", ["event", "non_event"])
def test_map_is_the_relu_of_the_weighted_features(network, toward):
    """A linear head over a global mean: the gradient is the head's weight over the map's area."""
    with GradCam(network) as cam:
        found = cam(X, toward=toward)
    network.eval()
    with torch.no_grad():
        maps = network.trunk(network.standardise(X))
        sign = 1 if toward == "event" else -1
        area = maps.shape[-1] * maps.shape[-2]
        raw = torch.einsum("c,nchw->nhw", sign * network.head.weight[0] / area, maps).relu()
        expected = nn.functional.interpolate(raw[:, None], X.shape[-2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(found, expected)
    assert float(found.max()) > 0


def test_the_map_of_an_image_does_not_depend_on_its_company(network):
    with GradCam(network) as cam:
        torch.testing.assert_close(cam(X)[1], cam(X[1:2])[0])


def test_other_weights_give_another_map(network):
    """The sanity check of Adebayo et al. 2018."""
    with GradCam(network) as cam:
        before = unit_map(cam(X)[0])
        nn.init.normal_(network.trunk.top.weight)
        after = unit_map(cam(X)[0])
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] < 0.9
    with GradCam(network) as cam:
        np.testing.assert_array_equal(after, unit_map(cam(X)[0]))


def test_misuse_is_refused(network):
    with pytest.raises(ArgumentError, match="inside its `with` block"):
        GradCam(network)(X)
    with pytest.raises(ArgumentError, match="`toward` must be one of"), GradCam(network) as cam:
        cam(X, toward="benign")


def test_a_map_of_zeros_stays_zero():
    assert not unit_map(torch.zeros(4, 4)).any()
