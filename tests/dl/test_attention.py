"""Gates that gate: their coefficients reach the logits, and learn; the evidence adds up."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dl import registry
from dl._networks.attention import AttentionNet, attention_resnet18
from dl.losses import cross_entropy, deep_supervision
from tests.dl.network_laws import fit, n_parameters, without_gradient
from usstats.errors import ArgumentError

X = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(3))


def small(**options) -> AttentionNet:
    """On a trunk that is faster than ResNet18; the gates do not know which it is."""
    torch.manual_seed(2)
    settings = {"n_classes": 3, "in_channels": 1, "encoder": "mobilenet_v2"}
    return AttentionNet(**(settings | options)).eval()


@pytest.fixture(scope="module")
def network() -> AttentionNet:
    torch.manual_seed(2)
    return attention_resnet18(n_classes=3, in_channels=1).eval()


class _Scaled(nn.Module):
    """A gate whose coefficients are multiplied by a number."""

    def __init__(self, gate: nn.Module, factor: float) -> None:
        super().__init__()
        self.gate, self.factor = gate, factor

    def forward(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        a = self.factor * self.gate.coefficients(x, g)
        return a * x, a


def _with_gates_scaled(net: AttentionNet, which: int, factor: float) -> Tensor:
    gates = list(net.gates)
    net.gates[which] = _Scaled(gates[which], factor)
    try:
        with torch.no_grad():
            return net(X)
    finally:
        net.gates[which] = gates[which]


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (70, 50)])
def test_shapes(network, size):
    x = torch.rand(2, 1, *size)
    with torch.no_grad():
        assert network(x).shape == (2, 3)
        fine, coarse = network.coefficients(x)
    assert fine.shape == (2, 1, -(-size[0] // 8), -(-size[1] // 8))
    assert coarse.shape == (2, 1, -(-size[0] // 16), -(-size[1] // 16))


@pytest.mark.parametrize("which", [0, 1])
def test_gates_of_zero_change_the_answer(network, which):
    with torch.no_grad():
        y = network(X)
    torch.testing.assert_close(_with_gates_scaled(network, which, 1.0), y)
    assert (_with_gates_scaled(network, which, 0.0) - y).abs().max() > 1e-3


def test_a_closed_gate_takes_its_map_out_of_the_answer(network):
    """The logits are then what the other maps' evidence and the bias say."""
    with torch.no_grad():
        shares = [e.mean(dim=(2, 3)) for e in network.evidence(X)]
        expected = shares[0] + shares[2] + network.head.bias
    torch.testing.assert_close(_with_gates_scaled(network, 1, 0.0), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
def test_evidence_adds_up_to_the_logits(normalise):
    net = small(normalise=normalise)
    with torch.no_grad():
        total = sum(e.mean(dim=(2, 3)) for e in net.evidence(X)) + net.head.bias
        torch.testing.assert_close(total, net(X), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
@pytest.mark.parametrize("deep", [False, True])
def test_gradients_reach_every_parameter(normalise, deep):
    net = small(normalise=normalise, deep_supervision=deep)
    assert without_gradient(net, lambda: net(X, auxiliary=True)) == []


def test_gradients_flow_through_the_coefficients(network):
    """Of the logits, to what theta, phi and psi are made of."""
    network.train()
    network.zero_grad()
    network(X).square().sum().backward()
    for gate in network.gates:
        for part in (gate.theta.weight, gate.phi.weight, gate.psi.weight, gate.psi.bias):
            assert part.grad.abs().max() > 1e-8
    network.eval()


def test_coefficients_differ_between_places(network):
    with torch.no_grad():
        for a in network.coefficients(X):
            assert ((a > 0) & (a < 1)).all()
            assert a.flatten(1).std(dim=1).min() > 1e-4


def test_one_at_a_time_is_all_at_once(network):
    with torch.no_grad():
        y = network(X)
        for i in range(3):
            torch.testing.assert_close(network(X[i : i + 1])[0], y[i], atol=1e-5, rtol=0)


def test_logits_are_no_probabilities():
    net = small()
    with torch.no_grad():
        net.head.weight.mul_(100)
        y = net(X)
    assert y.abs().max() > 1
    assert (y.sum(dim=1) - 1).abs().min() > 1e-3


def test_deep_supervision_is_for_training():
    net, plain = small(deep_supervision=True), small()
    with torch.no_grad():
        y, *own = net(X, auxiliary=True)
        assert torch.equal(net(X), y)
        assert isinstance(plain(X, auxiliary=True), Tensor)
        features = net.features(X).split(net.widths, dim=1)
        for head, part, logits in zip(net.deep_heads, features, own, strict=True):
            torch.testing.assert_close(head(part), logits)
    extra = sum((width + 1) * 3 for width in net.widths)
    assert n_parameters(net) - n_parameters(plain) == extra


def test_the_registry_builds_it():
    net = registry.build("attention_resnet18", n_classes=2, deep_supervision=True)
    assert net.widths == (128, 256, 512)
    assert net.deep_heads is not None
    with pytest.raises(ArgumentError, match="normalise"):
        registry.build("attention_resnet18", n_classes=2, normalise="no")


def test_it_learns_three_textures():
    generator = torch.Generator().manual_seed(4)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    textures = torch.stack([x.sin(), y.sin(), (0.3 * (x + y)).sin()])
    labels = torch.arange(9) % 3
    noise = 0.2 * torch.rand(9, 1, 48, 48, generator=generator)
    images = 0.4 + 0.3 * textures[labels][:, None] + noise
    net = small(deep_supervision=True, dropout=0.0)

    def loss() -> Tensor:
        return deep_supervision(net(images, auxiliary=True), labels)

    assert fit(net, loss, steps=12, lr=2e-3) < 0.2
    with torch.no_grad():
        assert (net(images).argmax(dim=1) == labels).all()
        assert cross_entropy(net(images), labels) < 0.2
