"""Any registered classifier of one image trains by its name, with its options."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dl import registry
from dl._training.objective import Objective
from dl._training.optimisation import Learner, new_optimiser
from dl.crossval import cross_validate
from dl.losses import cross_entropy, deep_supervision
from dl.run_folder import open_run
from dl.train import _new_network
from tests.dl.worlds import CLASSES, tiny_config, write_classes
from usstats.errors import ArgumentError

ATTENTION = {"architecture": "attention_resnet18", "classes": CLASSES, "input_size": 32}


def test_attention_network_trains_with_deep_supervision(tmp_path):
    study = write_classes(tmp_path / "images", n=12)
    options = {"deep_supervision": True, "normalise": "softmax"}
    config = tiny_config(**ATTENTION, options=options, folds=2, epochs=2)
    table = cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    assert len(table) == 3 * len(study)
    assert np.isfinite(table["logit"]).all()
    network = open_run(tmp_path / "run").network(1)
    assert network.deep_heads is not None
    torch.manual_seed(0)
    fresh = _new_network(config)
    moved = [
        not torch.equal(a, b) for a, b in zip(network.parameters(), fresh.parameters(), strict=True)
    ]
    assert all(moved)


def test_deep_heads_add_their_share_of_the_loss():
    torch.manual_seed(1)
    config = tiny_config(**ATTENTION, options={"deep_supervision": True}, dropout=0.0)
    network = _new_network(config).eval()
    x, y = torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 2, 1])
    heads = network(x, auxiliary=True)
    expected = deep_supervision(heads, y, loss=cross_entropy)
    answer = Learner(network, config).answer(x)
    torch.testing.assert_close(Objective.of(config, y.numpy()).loss(answer, y), expected)
    assert len(answer) == 4


def test_all_that_is_new_learns_faster():
    config = tiny_config(**ATTENTION, options={"deep_supervision": True})
    network = _new_network(config)
    rates = {
        id(p): group["peak_lr"]
        for group in new_optimiser(network, config).param_groups
        for p in group["params"]
    }
    for name, parameter in network.named_parameters():
        new = name.partition(".")[0] in ("head", "gates", "deep_heads")
        assert rates[id(parameter)] == (config.head_lr if new else config.lr)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ("resnet18", "densenet121", "nasnet_mobile", "mobilenet_v2")
        if name in registry.names()
    ],
)
def test_one_step_of_other_classifiers(name):
    torch.manual_seed(2)
    config = tiny_config(architecture=name, classes=CLASSES, input_size=32)
    network = _new_network(config).train()
    learner = Learner(network, config)
    x, y = torch.rand(3, 1, 32, 32), torch.tensor([0, 1, 2])
    loss = Objective.of(config, y.numpy()).loss(learner.answer(x), y)
    assert learner.step(loss, 0.0)
    assert all(p.grad is not None for p in network.parameters())


def test_unknown_options_are_refused(tmp_path):
    study = write_classes(tmp_path / "images", n=12)
    config = tiny_config(classes=CLASSES, options={"gates": 3}, folds=2)
    with pytest.raises(ArgumentError, match="no option of tiny to set"):
        cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
