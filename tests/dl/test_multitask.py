"""Class and mask from one trunk; a case gives the tasks it has and no other."""

from __future__ import annotations

import pytest
import torch

from dl import registry
from dl._networks.multitask import MultiTaskUNet, TaskLogits, multitask_unet
from dl.ensemble import DeepEnsemble
from dl.losses import MISSING, UncertaintyWeights, multitask_loss
from tests.dl.network_laws import fit, without_gradient

GENERATOR = torch.Generator().manual_seed(9)
X = torch.rand(4, 1, 64, 64, generator=GENERATOR)
MASKS = torch.zeros(4, 64, 64, dtype=torch.long)
MASKS[:, 20:40, 10:50] = 1
LABELS = torch.tensor([0, 1, 1, 0])
NO_LABELS, NO_MASKS = torch.full_like(LABELS, MISSING), torch.full_like(MASKS, MISSING)


def small(**options) -> MultiTaskUNet:
    torch.manual_seed(2)
    settings = {"n_classes": 2, "in_channels": 1, "encoder": "mobilenet_v2"}
    return multitask_unet(**(settings | {"widths": (24, 16, 12, 8)} | options)).eval()


@pytest.mark.parametrize("size", [(64, 64), (50, 70), (97, 33)])
def test_shapes(size):
    net = small(n_classes=3, n_mask_classes=4)
    with torch.no_grad():
        logits = net(torch.rand(2, 1, *size))
    assert isinstance(logits, TaskLogits)
    assert logits.classify.shape == (2, 3)
    assert logits.segment.shape == (2, 4, *size)


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "resnet18"])
def test_any_encoder(encoder):
    with torch.no_grad():
        classify, segment = small(encoder=encoder)(X)
    assert (classify.shape, segment.shape) == ((4, 2), (4, 1, 64, 64))


@pytest.mark.parametrize("attention", [True, False])
def test_gradients_reach_every_parameter(attention):
    net = small(attention=attention)
    assert without_gradient(net, lambda: net(X)) == []


def test_one_at_a_time_is_all_at_once():
    net = small()
    with torch.no_grad():
        together = net(X)
        for i in range(4):
            for one, all_ in zip(net(X[i : i + 1]), together, strict=True):
                torch.testing.assert_close(one[0], all_[i], atol=1e-5, rtol=0)


def test_the_class_alone_is_the_class_of_both():
    net = small()
    with torch.no_grad():
        torch.testing.assert_close(net.classify(X), net(X).classify)
        torch.testing.assert_close(net.head(net.features(X)), net(X).classify)


def test_logits_are_no_probabilities():
    net = small()
    with torch.no_grad():
        net.head.weight.mul_(100)
        y = net(X).classify
    assert y.abs().max() > 1
    assert (y.sum(dim=1) - 1).abs().min() > 1e-3


def _gradients(labels, masks) -> tuple[float, float, float]:
    """Largest gradient in the class head, in the decoder and mask head, and in the trunk."""
    net = small().train()
    multitask_loss(net(X), labels, masks).total.backward()

    def largest(*prefixes: str) -> float:
        return max(
            p.grad.abs().max().item()
            for name, p in net.named_parameters()
            if name.startswith(prefixes)
        )

    return largest("head."), largest("decoder.", "mask_head."), largest("trunk.")


def test_cases_without_masks_or_labels_give_only_their_task():
    head, decoder, trunk = _gradients(LABELS, NO_MASKS)
    assert head > 0
    assert decoder == 0
    assert trunk > 0
    head, decoder, trunk = _gradients(NO_LABELS, MASKS)
    assert head == 0
    assert decoder > 0
    assert trunk > 0
    assert _gradients(NO_LABELS, NO_MASKS) == (0, 0, 0)


def test_learned_task_weights_train_with_it():
    net, weigh = small(), UncertaintyWeights(2)
    net.train()
    losses = multitask_loss(net(X), LABELS, MASKS, weights=weigh)
    torch.testing.assert_close(losses.total, losses.classify + losses.segment)
    losses.total.backward()
    assert (weigh.log_variance.grad != 0).all()
    weigh.zero_grad()
    multitask_loss(net(X), LABELS, NO_MASKS, weights=weigh).total.backward()
    assert weigh.log_variance.grad[0] != 0
    assert weigh.log_variance.grad[1] == 0


def test_an_ensemble_takes_the_class():
    nets = [small(), small(encoder="resnet18")]
    with torch.no_grad():
        found = DeepEnsemble(nets).eval().member_logits(X)
        torch.testing.assert_close(found[1], nets[1](X).classify)
    assert found.shape == (2, 4, 2)


def test_the_registry_builds_it():
    known = registry.entry("multitask_unet")
    assert known.tasks == ("classify", "segment")
    net = registry.build("multitask_unet", n_classes=2, n_mask_classes=3, encoder="resnet18")
    with torch.no_grad():
        logits = net(torch.rand(1, 3, 64, 64))
    assert [tuple(y.shape) for y in logits] == [(1, 2), (1, 3, 64, 64)]
    assert net.head.out_features == 2


def test_it_learns_both_tasks_from_halves_of_the_cases():
    """Large squares are events; half of the cases have no mask, the other half no label."""
    generator = torch.Generator().manual_seed(1)
    x = 0.3 * torch.rand(8, 1, 48, 48, generator=generator)
    masks = torch.zeros(8, 48, 48, dtype=torch.long)
    truth = torch.arange(8) % 2
    for i in range(8):
        side = 28 if truth[i] else 12
        masks[i, 8 : 8 + side, 4 + i : 4 + i + side] = 1
    x += 0.5 * masks[:, None]
    labels, outlines = truth.clone(), masks.clone()
    labels[4:], outlines[:4] = MISSING, MISSING
    net = small(encoder="resnet18", attention=False, dropout=0.0)
    fit(net, lambda: multitask_loss(net(x), labels, outlines).total, steps=11, lr=1e-2)
    with torch.no_grad():
        classify, segment = net(x)
    assert (classify.argmax(dim=1) == truth).all()
    found, wanted = segment[:, 0] > 0, masks == 1
    dice = 2 * (found & wanted).sum() / (found.sum() + wanted.sum())
    assert dice > 0.8
