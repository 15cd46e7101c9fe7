"""Inference does not depend on batches, and leaves torch as it found it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dl.inference import as_input, features, logits, steady_torch
from dl.registry import build


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(4)
    own = build("efficientnet_lite0", n_classes=1, in_channels=1, weights="imagenet")
    torch.nn.init.normal_(own.head.weight)
    return own


VIEWS = np.random.default_rng(1).integers(0, 256, (37, 2, 1, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_batches_of_one_and_of_many_agree(network, flip):
    rows = np.arange(37)
    with steady_torch(0):
        one = logits(network, VIEWS, rows, flip=flip, batch_size=1)
        many = logits(network, VIEWS, rows, flip=flip, batch_size=32)
        back = logits(network, VIEWS, rows[::-1], flip=flip, batch_size=32)[::-1]
    np.testing.assert_allclose(one, many, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one, back, rtol=1e-5, atol=1e-5)
    assert one.std() > 1e-3


def test_logit_is_the_mean_over_views_and_their_mirror_images(network):
    with steady_torch(0), torch.no_grad():
        x = as_input(VIEWS[5])
        plain, mirrored = network(x)[:, 0], network(x.flip(-1))[:, 0]
        got = [logits(network, VIEWS, [5], flip=flip)[0] for flip in (False, True)]
    assert got[0] == pytest.approx(float(plain.mean()), abs=1e-5)
    assert got[1] == pytest.approx(float((plain + mirrored).mean() / 2), abs=1e-5)


def test_the_head_of_the_mean_feature_is_the_mean_logit(network):
    with steady_torch(0):
        table = features(network, VIEWS, np.arange(6), flip=True)
        expected = logits(network, VIEWS, np.arange(6), flip=True)
    weight = network.head.weight[0].detach().double().numpy()
    np.testing.assert_allclose(
        table @ weight + float(network.head.bias.detach()), expected, atol=1e-4
    )


def test_input_runs_from_0_to_1():
    x = as_input(np.array([[[[0, 51, 255]]]], dtype=np.uint8))
    torch.testing.assert_close(x, torch.tensor([[[[0.0, 0.2, 1.0]]]]))


def test_steady_torch_repeats_and_leaves_torch_as_it_was():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    drawn = []
    for _ in range(2):
        with pytest.raises(KeyError), steady_torch(3):  # noqa: PT012 - fails at the end
            assert torch.get_num_threads() == 1
            assert torch.are_deterministic_algorithms_enabled()
            drawn.append(torch.rand(4))
            raise KeyError
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
