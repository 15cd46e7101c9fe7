"""A patient's answer does not depend on the images' order, on padding or on other patients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dl._networks.pooling import AttentionPool, PatientNetwork, patient_bags
from dl.ensemble import DeepEnsemble
from dl.layers import ImageClassifier, Standardise
from dl.losses import cross_entropy
from tests.dl.network_laws import fit, without_gradient
from usstats.errors import ArgumentError, PairingError

X = torch.rand(7, 1, 12, 12, generator=torch.Generator().manual_seed(1))
PATIENT = torch.tensor([2, 0, 1, 2, 0, 2, 3])


def image_network(n_classes: int = 2) -> ImageClassifier:
    trunk = nn.Sequential(nn.Conv2d(1, 6, 3, stride=2), nn.Tanh())
    net = ImageClassifier(
        trunk, n_features=6, n_classes=n_classes, standardise=Standardise(0.5, 0.25)
    )
    nn.init.normal_(net.head.weight)
    return net


@pytest.fixture
def network() -> PatientNetwork:
    torch.manual_seed(3)
    return PatientNetwork(image_network(), width=8).eval()


def answer(network: PatientNetwork, x=X, patient=PATIENT) -> torch.Tensor:
    with torch.no_grad():
        return network(x, patient)


def test_one_row_a_patient(network):
    assert answer(network).shape == (4, 2)


def test_a_patient_by_hand(network):
    """Patient 2 has images 0, 3 and 5."""
    with torch.no_grad():
        h = network.network.features(X[[0, 3, 5]])
        pool = network.pool
        raw = (pool.what(h).tanh() * pool.whether(h).sigmoid()) @ pool.weigh.weight[0]
        weight = raw.exp() / raw.exp().sum()
        expected = network.head((weight[:, None] * h).sum(dim=0))
        torch.testing.assert_close(answer(network)[2], expected)
        torch.testing.assert_close(network.weights(X, PATIENT)[[0, 3, 5]], weight)


def test_weights_are_in_the_images_order_and_sum_to_one(network):
    with torch.no_grad():
        weights = network.weights(X, PATIENT)
        order = torch.randperm(7, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(network.weights(X[order], PATIENT[order]), weights[order])
    sums = torch.zeros(4).index_add(0, PATIENT, weights)
    torch.testing.assert_close(sums, torch.ones(4))
    assert (weights[PATIENT == 2] - 1 / 3).abs().max() > 1e-3


def test_the_order_of_the_images_does_not_matter(network):
    order = torch.randperm(7, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(answer(network, X[order], PATIENT[order]), answer(network))


def test_a_patient_alone_is_the_patient_among_others(network):
    together = answer(network)
    for code in range(4):
        own = code == PATIENT
        alone = answer(network, X[own], torch.zeros(int(own.sum()), dtype=torch.long))
        torch.testing.assert_close(alone[0], together[code], atol=1e-5, rtol=0)


def test_a_single_image_is_answered_by_the_image_network(network):
    with torch.no_grad():
        torch.testing.assert_close(answer(network, X, torch.arange(7)), network.network(X))


def test_equal_images_are_answered_as_one(network):
    twice = answer(network, X[[0, 0, 0]], torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(twice, answer(network, X[:1], torch.zeros(1, dtype=torch.long)))


def test_places_without_an_image_are_not_looked_at():
    torch.manual_seed(1)
    pool = AttentionPool(5, width=4)
    bags = torch.randn(2, 3, 5)
    present = torch.tensor([[True, True, False], [True, False, False]])
    pooled, weights = pool(bags, present)
    wild = bags.masked_fill(~present[:, :, None], torch.nan)
    torch.testing.assert_close(pool(wild, present), (pooled, weights))
    wider = torch.cat([bags, torch.full((2, 4, 5), 1e9)], dim=1)
    more = torch.cat([present, torch.zeros(2, 4, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(pool(wider, more)[0], pooled)
    assert (weights[~present] == 0).all()
    torch.testing.assert_close(pooled[1], bags[1, 0])


def test_gradients_reach_every_parameter_and_no_padding(network):
    assert without_gradient(network, lambda: network(X, PATIENT)) == []
    bags = torch.randn(2, 3, 5, requires_grad=True)
    present = torch.tensor([[True, True, False], [True, False, False]])
    AttentionPool(5)(bags, present)[0].square().sum().backward()
    assert (bags.grad[~present] == 0).all()
    assert (bags.grad[present] != 0).any()


def test_bags_hold_each_image_once():
    features = torch.arange(14.0).view(7, 2)
    bags, present = patient_bags(features, PATIENT)
    assert bags.shape == (4, 3, 2)
    assert present.sum(dim=1).tolist() == [2, 1, 3, 1]
    assert bags[2].tolist() == features[[0, 3, 5]].tolist()
    assert (bags[~present] == 0).all()


@pytest.mark.parametrize(
    ("patient", "message"),
    [
        (torch.tensor([0, 1]), r"one code for each of the 7 images .*got shape \(2,\)"),
        (torch.tensor([0, 0, 0, 2, 2, 2, 2]), "patient 1 of 3 has no image. Recode"),
    ],
)
def test_codes_that_do_not_fit_are_refused(patient, message):
    with pytest.raises(PairingError, match=message):
        patient_bags(X, patient)


def test_the_one_telling_image_is_found():
    """Events have one bright image among dark ones, at any place: what a mean washes out."""
    generator = torch.Generator().manual_seed(2)
    n, m = 24, 4
    x = 0.2 * torch.rand(n * m, 1, 12, 12, generator=generator)
    patient, labels = torch.arange(n).repeat_interleave(m), torch.arange(n) % 2
    telling = torch.randint(m, (n,), generator=generator) + m * torch.arange(n)
    x[telling[labels == 1]] += 0.6
    torch.manual_seed(1)
    net = PatientNetwork(image_network(), width=16)
    assert fit(net, lambda: cross_entropy(net(x, patient), labels), steps=60, lr=0.03) < 0.1
    with torch.no_grad():
        weights = net.weights(x, patient)[telling[labels == 1]]
    assert weights.mean() > 0.5


# Ensembles


def test_an_ensemble_is_the_mean_logit():
    torch.manual_seed(1)
    nets = [image_network(), image_network(), image_network()]
    ensemble = DeepEnsemble(nets).eval()
    with torch.no_grad():
        expected = torch.stack([net(X) for net in nets])
        torch.testing.assert_close(ensemble.member_logits(X), expected)
        torch.testing.assert_close(ensemble(X), expected.mean(dim=0))


def test_an_ensemble_of_one_is_that_network():
    net = image_network().eval()
    with torch.no_grad():
        assert torch.equal(DeepEnsemble([net])(X), net(X))


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ArgumentError, match="`networks` is empty"):
        DeepEnsemble([])
