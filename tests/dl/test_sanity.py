"""Maps that follow the weights pass the randomisation check, and those that do not are named."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from dl.cam import METHODS, Cam
from dl.errors import InsensitiveMapWarning
from dl.registry import build
from dl.sanity import randomisation_check
from tests.dl import worlds  # noqa: F401 - registers the tiny network
from usstats.errors import ArgumentError

X = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))


class Brightness(Cam):
    """Shows the image and calls it evidence."""

    def _raw(self, x, toward):
        return {"image": x[:, 0]}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(2)
    own = build("tiny", n_classes=3, in_channels=1)
    nn.init.normal_(own.head.weight)
    return own


def test_the_network_is_left_as_it_was(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    state = torch.get_rng_state()
    randomisation_check(network, X, steps=2, threshold=1.0)
    assert network.training
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_layers_are_drawn_from_the_head_down_and_stay_random(network):
    frame = randomisation_check(network, X, steps=3, threshold=1.0).frame()
    assert frame["randomised"].tolist() == ["head.weight", "trunk.top.weight", "trunk.stem.weight"]
    assert frame["n_layers"].tolist() == [1, 2, 3]
    whole = randomisation_check(network, X, order="full", threshold=1.0).frame()
    assert whole["randomised"].tolist() == ["trunk.stem.weight"]
    # The same draws in the same order: the last step of the cascade is the full randomisation.
    assert whole["estimate"].iloc[0] == frame["estimate"].iloc[-1]
    together = randomisation_check(network, X, steps=2, threshold=1.0).frame()
    assert together["n_layers"].tolist() == [2, 3]


def test_the_estimate_is_spearmans_correlation_with_the_maps_of_fresh_weights(network):
    check = randomisation_check(
        network, X, method="layercam", toward=1, order="full", draws=1, threshold=1.0, seed=5
    )
    generator, fresh = torch.Generator().manual_seed(5), copy.deepcopy(network)
    with torch.no_grad():
        for weight in (fresh.head.weight, fresh.trunk.top.weight, fresh.trunk.stem.weight):
            scale = float((weight**2).mean()) ** 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    with METHODS["layercam"](network) as a, METHODS["layercam"](fresh) as b:
        pairs = list(zip(a(X, toward=1).numpy(), b(X, toward=1).numpy(), strict=True))
    expected = [stats.spearmanr(one.ravel(), two.ravel()).statistic for one, two in pairs]
    row = check.frame().iloc[0]
    assert row["estimate"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert row["lowest"] == pytest.approx(min(expected), abs=1e-5)
    assert row["highest"] == pytest.approx(max(expected), abs=1e-5)


def test_a_trained_networks_maps_change(finished):
    from dl.inference import as_input
    from dl.prepare import Preparation
    from dl.run_folder import open_run

    run = open_run(finished.run_dir)
    preparation = Preparation.of(run.config)
    rows = range(8)
    views = [preparation.compose(preparation.read(finished.study, row))[0] for row in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InsensitiveMapWarning)
        check = randomisation_check(run.network(0), as_input(np.stack(views)), draws=20, seed=1)
    assert check.passed
    assert abs(check.correlation) < 0.35


def test_a_map_that_only_shows_the_image_is_named(network, monkeypatch):
    monkeypatch.setitem(METHODS, "brightness", Brightness)
    with pytest.warns(InsensitiveMapWarning, match=r"hardly depend on the weights: .* is 1.00 \(n"):
        check = randomisation_check(network, X, method="brightness")
    assert not check.passed
    assert check.correlation == pytest.approx(1)
    assert "trunk.stem.weight: 1.000" in check.summary()


def test_maps_of_a_single_value_are_undefined_and_said_to_be(network):
    with torch.no_grad():
        network.head.weight.zero_()
    with pytest.warns(InsensitiveMapWarning, match="cannot be told"):
        check = randomisation_check(network, X, toward=0, order="full")
    row = check.frame().iloc[0]
    assert np.isnan(row["estimate"])
    assert row["n_undefined"] == row["n"] == 16


@pytest.mark.parametrize("method", ["gradcam++", "eigencam", "cam", "occlusion"])
def test_every_method_can_be_checked(network, method):
    check = randomisation_check(network, X[:2], method=method, steps=2, draws=2, threshold=1.0)
    assert check.n == 2
    assert np.isfinite(check.frame()["estimate"]).all()
    assert f"check of {method}" in repr(check)


def test_without_a_class_the_trained_networks_own_is_asked_for_throughout(network):
    with torch.no_grad():
        best = network(X).argmax(dim=1)
    given = randomisation_check(network, X, toward=best, steps=2, threshold=1.0)
    assert given.frame().equals(randomisation_check(network, X, steps=2, threshold=1.0).frame())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"method": "saliency"}, "`method` must be one of"),
        ({"order": "upwards"}, "`order` must be one of 'cascading', 'full'"),
        ({"draws": 0}, "`draws` must be a whole number of at least 1"),
        ({"steps": 0}, "`steps` must be a whole number of at least 1"),
        ({"seed": -1}, "`seed` must be a whole number"),
        ({"layer": "trunk.peak"}, "is no part of the network"),
        ({"method": "occlusion", "layer": "trunk"}, "looks at no layer"),
    ],
)
def test_impossible_checks_are_refused(network, option, message):
    with pytest.raises(ArgumentError, match=message):
        randomisation_check(network, X, **option)
