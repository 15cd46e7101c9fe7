"""Weights files as other packages write them: their names, and values that follow from the names.

A value depends on the name of its tensor alone. A network whose tensors were put into the wrong
places, or which computes otherwise, therefore gives other logits than the package did.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values for a tensor of torch, of a size that keeps activations in bounds."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) > 1:
        drawn = rng.normal(0, np.sqrt(1.5 / np.prod(shape[1:])), shape)
    elif name.endswith(("running_var", "weight")):
        drawn = rng.uniform(0.5, 1.5, shape)
    else:
        drawn = rng.normal(0, 0.1, shape)
    return drawn.astype(np.float32)


def image(height: int, width: int, *, n: int = 2) -> np.ndarray:
    """(n, height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(1000 * height + width)
    return rng.random((n, height, width, 3), dtype=np.float32)


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Of names and shapes."""
    lines = "\n".join(f"{name} {tuple(shapes[name])}" for name in sorted(shapes))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _norm(name: str) -> list[str]:
    return [f"{name}.{part}" for part in NORM]


def resnet_names(repeats: Iterable[int], *, convolutions: int) -> Iterator[str]:
    """Tensors of a ResNet of torchvision."""
    yield from ("conv1.weight", *_norm("bn1"), "fc.weight", "fc.bias")
    for stage, n_blocks in enumerate(repeats, start=1):
        for block in range(n_blocks):
            here = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                yield from (f"{here}.conv{i}.weight", *_norm(f"{here}.bn{i}"))
            if block == 0 and (stage > 1 or convolutions == 3):
                yield from (f"{here}.downsample.0.weight", *_norm(f"{here}.downsample.1"))


def densenet121_names() -> Iterator[str]:
    """Tensors of torchvision's DenseNet121."""
    yield from ("features.conv0.weight", *_norm("features.norm0"), *_norm("features.norm5"))
    yield from ("classifier.weight", "classifier.bias")
    for block, n_layers in enumerate((6, 12, 24, 16), start=1):
        for layer in range(1, n_layers + 1):
            here = f"features.denseblock{block}.denselayer{layer}"
            for i in (1, 2):
                yield from (*_norm(f"{here}.norm{i}"), f"{here}.conv{i}.weight")
        if block < 4:
            here = f"features.transition{block}"
            yield from (*_norm(f"{here}.norm"), f"{here}.conv.weight")


def mobilenet_v2_names() -> Iterator[str]:
    """Tensors of torchvision's MobileNetV2."""
    for end in ("features.0", "features.18"):
        yield from (f"{end}.0.weight", *_norm(f"{end}.1"))
    yield from ("classifier.1.weight", "classifier.1.bias")
    for block in range(1, 18):
        here, wide = f"features.{block}.conv", 1 if block == 1 else 2
        for step in range(wide):
            yield from (f"{here}.{step}.0.weight", *_norm(f"{here}.{step}.1"))
        yield from (f"{here}.{wide}.weight", *_norm(f"{here}.{wide + 1}"))


def efficientnet_b0_names() -> Iterator[str]:
    """Tensors of torchvision's EfficientNet-B0."""
    for end in ("features.0", "features.8"):
        yield from (f"{end}.0.weight", *_norm(f"{end}.1"))
    yield from ("classifier.1.weight", "classifier.1.bias")
    for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1), start=1):
        for block in range(repeats):
            here, wide = f"features.{stage}.{block}.block", 1 if stage == 1 else 2
            for step in (*range(wide), wide + 1):
                yield from (f"{here}.{step}.0.weight", *_norm(f"{here}.{step}.1"))
            for part in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
                yield f"{here}.{wide}.{part}"


#: NASNet-A Mobile's cells: name in Keras, filters, channels of x and of p, and what p goes through.
NASNET_CELLS = (
    ("stem_1", 11, 32, 32, "nothing"),
    ("stem_2", 22, 44, 32, "reduce"),
    ("0", 44, 88, 44, "reduce"),
    ("1", 44, 264, 88, "project"),
    ("2", 44, 264, 264, "project"),
    ("3", 44, 264, 264, "project"),
    ("reduce_4", 88, 264, 264, "project"),
    ("5", 88, 352, 264, "reduce"),
    ("6", 88, 528, 352, "project"),
    ("7", 88, 528, 528, "project"),
    ("8", 88, 528, 528, "project"),
    ("reduce_8", 176, 528, 528, "project"),
    ("9", 176, 704, 528, "reduce"),
    ("10", 176, 1056, 704, "project"),
    ("11", 176, 1056, 1056, "project"),
    ("12", 176, 1056, 1056, "project"),
)
_NORMAL = (("left1", 5), ("right1", 3), ("left2", 5), ("right2", 3), ("left5", 3))
_REDUCTION = (("left1", 5), ("right1", 7), ("right2", 7), ("right3", 5), ("left4", 3))


def keras_values(layer: str, weight: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values for a weight of a Keras layer."""
    rng = np.random.default_rng(zlib.crc32(f"{layer}/{weight}".encode()))
    if weight.endswith("kernel"):
        fan = np.prod(shape[:2]) if weight == "depthwise_kernel" else np.prod(shape[:-1])
        drawn = rng.normal(0, np.sqrt(1 / fan), shape)
    elif weight in ("gamma", "moving_variance"):
        drawn = rng.uniform(0.5, 1.5, shape)
    else:
        drawn = rng.normal(0, 0.1, shape)
    return drawn.astype(np.float32)


def keras_nasnet_shapes(*, top: bool = True) -> dict[tuple[str, str], tuple[int, ...]]:
    """(layer, weight) -> shape of NASNetMobile as Keras keeps it."""
    shapes = dict(_keras_conv("stem_conv1", "stem_bn1", 3, 3, 32))
    for name, f, x, p, adjust in NASNET_CELLS:
        kind, branches = ("reduction", _REDUCTION) if "_" in name else ("normal", _NORMAL)
        shapes |= _keras_conv(f"{kind}_conv_1_{name}", f"{kind}_bn_1_{name}", 1, x, f)
        if adjust == "project":
            shapes |= _keras_conv(f"adjust_conv_projection_{name}", f"adjust_bn_{name}", 1, p, f)
        elif adjust == "reduce":
            shapes |= _keras_conv(f"adjust_conv_1_{name}", f"adjust_bn_{name}", 1, p, f // 2)
            shapes |= _keras_conv(
                f"adjust_conv_2_{name}", f"adjust_bn_{name}", 1, p, f // 2, norm=f
            )
        for branch, k in branches:
            inputs = p if name == "stem_1" and branch.startswith("right") else f
            for i, channels in ((1, inputs), (2, f)):
                here = f"separable_conv_{i}_{kind}_{branch}_{name}"
                shapes[here, "depthwise_kernel"] = (k, k, channels, 1)
                shapes[here, "pointwise_kernel"] = (1, 1, channels, f)
                shapes |= _keras_norm(f"separable_conv_{i}_bn_{kind}_{branch}_{name}", f)
    if top:
        shapes |= {("predictions", "kernel"): (1056, 1000), ("predictions", "bias"): (1000,)}
    return shapes


def _keras_conv(
    conv: str, norm_layer: str, k: int, inputs: int, outputs: int, *, norm: int | None = None
) -> dict[tuple[str, str], tuple[int, ...]]:
    kernel = {(conv, "kernel"): (k, k, inputs, outputs)}
    return kernel | _keras_norm(norm_layer, norm or outputs)


def _keras_norm(layer: str, channels: int) -> dict[tuple[str, str], tuple[int, ...]]:
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    return {(layer, part): (channels,) for part in parts}
