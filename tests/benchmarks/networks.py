"""Races of the image floor: onnxruntime against torch, on one thread, with random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.testing import assert_allclose

from dl._augmenting.variants import variants
from dl._networks.run_network import RunNetwork
from dl.export import export_onnx
from dl.inference import logits, steady_torch
from dl.onnx_network import OnnxNetwork
from dl.registry import build
from tests.benchmarks.races import Race

__all__ = ["RACES"]

NETWORK = "efficientnet_lite0"


def _pixels(size: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 1, 1, size, size), dtype=np.uint8)


def _race(what: str, size: int, module: torch.nn.Module, theirs: Callable[[], np.ndarray]) -> Race:
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "network.onnx"
    export_onnx(module, path, size=size, in_channels=1)
    network, x = OnnxNetwork(path), _pixels(size)[:, 0].astype(np.float32) / 255

    def ours(_: object = folder) -> np.ndarray:
        return np.asarray(network(x))

    return Race(
        work=f"{what}, EfficientNet-Lite0, {size} px, one image, one thread",
        peer="torch, eager, channels last",
        goal=2,
        ours=ours,
        theirs=theirs,
        agree=lambda: assert_allclose(ours()[:, 0], theirs(), rtol=1e-4, atol=1e-5),
    )


def onnxruntime_and_torch_128() -> Race:
    return _forward(128)


def onnxruntime_and_torch_224() -> Race:
    return _forward(224)


def _forward(size: int) -> Race:
    network = _network()

    def theirs() -> np.ndarray:
        with steady_torch(0):
            return logits(network, _pixels(size), [0], flip=False)

    return _race("forward pass", size, network, theirs)


def onnxruntime_and_torch_variants() -> Race:
    """Mean logit over the image, its mirror image, two rotations and two sizes."""
    network, size, tta = _network(), 128, ("rotate", "scale")
    joined = RunNetwork([network], variants(flip=True, tta=tta))

    def theirs() -> np.ndarray:
        with steady_torch(0):
            return logits(network, _pixels(size), [0], flip=True, tta=tta)

    return _race("six variants", size, joined, theirs)


def _network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build(NETWORK, n_classes=1, in_channels=1)


#: Built one at a time.
RACES: tuple[Callable[[], Race], ...] = (
    onnxruntime_and_torch_128,
    onnxruntime_and_torch_224,
    onnxruntime_and_torch_variants,
)
