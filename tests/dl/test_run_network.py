"""All networks of a run as one module: means of their answers, and where the answers come from."""

from __future__ import annotations

import pytest
import torch

from dl._augmenting.variants import variants
from dl._networks.run_network import RunNetwork, run_network
from dl.inference import as_input, logits
from dl.registry import build
from dl.run_folder import open_run
from tests.dl.worlds import tiny_config  # noqa: F401 - registers the tiny network

SIDE = 64
X = torch.rand(5, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def networks(name: str, count: int, **options) -> list[torch.nn.Module]:
    torch.manual_seed(4)
    found = [build(name, n_classes=2, in_channels=1, **options) for _ in range(count)]
    for network in found:
        torch.nn.init.normal_(network.head.weight)
    return found


@pytest.mark.parametrize("flip", [False, True])
def test_logits_are_the_mean_over_networks_and_variants(flip):
    nets = networks("tiny", 3)
    with torch.no_grad():
        found = dict(zip(*_of(RunNetwork(nets, variants(flip=flip, tta=("gain",)))), strict=True))
        shown = variants(flip=flip, tta=("gain",))
        each = torch.stack([torch.stack([net(v.show(X)) for v in shown]).mean(0) for net in nets])
    torch.testing.assert_close(found["members"], each.transpose(0, 1))
    torch.testing.assert_close(found["logits"], each.mean(0))


def _of(joined: RunNetwork) -> tuple[tuple[str, ...], tuple[torch.Tensor, ...]]:
    return joined.outputs, joined(X)


@pytest.mark.parametrize(
    ("name", "options"),
    [("tiny", {}), ("attention_resnet18", {}), ("multitask_unet", {"encoder": "resnet18"})],
)
def test_the_mean_of_the_evidence_and_the_bias_are_the_logits(name, options):
    nets = networks(name, 2, **options)
    tasks = ("classify", "segment") if name == "multitask_unet" else ("classify",)
    with torch.no_grad():
        joined = RunNetwork(nets, variants(flip=True), tasks=tasks)
        found = dict(zip(*_of(joined), strict=True))
        expected = torch.stack([(_classes(n, X) + _classes(n, X.flip(-1))) / 2 for n in nets])
    bias = torch.stack([net.head.bias for net in nets]).mean(0)
    torch.testing.assert_close(found["logits"], expected.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        found["evidence"].mean(dim=(2, 3)) + bias, found["logits"], atol=1e-4, rtol=1e-4
    )


def _classes(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    answer = network(x)
    return answer[0] if isinstance(answer, tuple) else answer


def test_evidence_of_the_mirror_image_is_turned_back():
    nets = networks("tiny", 1)
    joined = RunNetwork(nets, variants(flip=True))
    with torch.no_grad():
        plain, mirrored = (joined(x)[joined.outputs.index("evidence")] for x in (X, X.flip(-1)))
    torch.testing.assert_close(plain, mirrored.flip(-1))


def test_a_run_answers_as_its_predictions_do(finished):
    run = open_run(finished.run_dir)
    joined = run_network(run)
    pixels = (X[:, None, :, :32, :32] * 255).to(torch.uint8).numpy()
    with torch.no_grad():
        found = joined(as_input(pixels[:, 0]))[joined.outputs.index("members")]
    for fold in range(3):
        own = logits(run.network(fold), pixels, range(5), flip=True)
        torch.testing.assert_close(
            found[:, fold, 0].double(), torch.from_numpy(own), atol=1e-5, rtol=1e-5
        )
